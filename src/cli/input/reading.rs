//! What reading several files has in common: labels, streams, and what is told of lines that cannot be read.

use std::io::{self, Write};
use std::sync::Arc;

use super::forms::Draft;
use super::streams::Streams;
use super::{Recorded, Times};
use crate::batch::{Labels, Stream};
use crate::cli::output::{counted, visible};
use crate::cli::progress::Console;
use crate::push::Limits;
use crate::rules::RuleSet;
use crate::time::Timestamp;

/// How many lines that could not be read are shown; the others are counted.
const REFUSALS_SHOWN_MAX: u64 = 10;

/// After so many lines without one that can be read, a file that is only looked at shows nothing.
const LOOK_REFUSED_MAX: u64 = 1000;

/// The state of reading all files.
pub(super) struct Reading<'a, D> {
    times: Times,
    limits: Limits,
    /// Labels that lines have besides their own.
    added: Labels,
    /// By the line's own labels.
    streams: Streams<Labels>,
    console: Console<'a, D>,
    entries: u64,
    refused: u64,
    /// Files that could not be read to their end.
    failed: u64,
    /// Whether there were entries without any label.
    unlabelled: bool,
    /// While a file is only looked at, how many of its lines could not be read: it is read again later, and they are told then.
    looking: Option<u64>,
    /// How far the log has been replayed.
    reached: Option<Timestamp>,
}

impl<'a, D: Write> Reading<'a, D> {
    pub(super) fn new(
        times: Times,
        limits: Limits,
        added: Labels,
        console: Console<'a, D>,
    ) -> Self {
        Self {
            times,
            streams: Streams::new(limits.streams_interned_max),
            limits,
            added,
            console,
            entries: 0,
            refused: 0,
            failed: 0,
            unlabelled: false,
            looking: None,
            reached: None,
        }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn console(&mut self) -> &mut Console<'a, D> {
        &mut self.console
    }

    /// The log has been replayed up to `at`.
    pub(super) fn reached(&mut self, at: Timestamp) -> io::Result<()> {
        self.reached = Some(at);
        self.tick()
    }

    fn tick(&mut self) -> io::Result<()> {
        self.console.tick(self.reached)
    }

    /// From now on files are only looked at, or read.
    pub(super) fn look(&mut self, looking: bool) {
        self.looking = looking.then_some(0);
    }

    /// Whether the file at hand is only looked at, and there is nothing to see.
    pub(super) fn has_seen_enough(&self) -> bool {
        self.looking
            .is_some_and(|refused| refused >= LOOK_REFUSED_MAX)
    }

    /// Makes an entry of what a line says; what is no entry is told.
    pub(super) fn entry(
        &mut self,
        file: &Arc<str>,
        input: u32,
        draft: Draft,
        metadata: Vec<(Vec<u8>, Vec<u8>)>,
    ) -> anyhow::Result<Option<Recorded>> {
        let Draft {
            n,
            labels,
            at,
            mut line,
        } = draft;
        if self.times == Times::Needed && at.is_none() {
            let problem =
                "no time: an RFC 3339 time must begin the line, or be the `ts` of --input jsonl";
            self.refuse(file, Some(n), problem)?;
            return Ok(None);
        }
        let Some(stream) = self.stream(labels) else {
            let limit = self.limits.labels_bytes_max;
            self.refuse(file, Some(n), &format!("labels of more than {limit} bytes"))?;
            return Ok(None);
        };
        line.truncate(self.limits.line_bytes_max);
        // Many lines may be held, so none holds more than it needs.
        line.shrink_to_fit();
        if self.looking.is_none() {
            self.unlabelled |= stream.labels.iter().next().is_none();
            self.entries += 1;
            self.tick()?;
        }
        Ok(Some(Recorded {
            file: Arc::clone(file),
            input,
            n,
            stream,
            at,
            line,
            metadata,
        }))
    }

    /// The stream of lines whose own labels are `own`; `None` if those are larger than a push may have them.
    fn stream(&mut self, own: Labels) -> Option<Arc<Stream>> {
        if let Some(known) = self.streams.get(&own) {
            return Some(known);
        }
        let bytes = own.iter().map(|(name, value)| name.len() + value.len());
        let bytes: usize = bytes.sum();
        if bytes > self.limits.labels_bytes_max {
            return None;
        }
        let both = self.added.iter().chain(own.iter());
        let both = Labels::new(both.map(|(name, value)| (name.into(), value.into())));
        Some(self.streams.make(own, bytes, both))
    }

    /// Tells of a line, or of something else in a file, that cannot be read.
    pub(super) fn refuse(
        &mut self,
        file: &str,
        n: Option<u64>,
        problem: &str,
    ) -> anyhow::Result<()> {
        if let Some(refused) = &mut self.looking {
            *refused += 1;
            return Ok(());
        }
        self.refused += 1;
        if self.refused <= REFUSALS_SHOWN_MAX {
            self.tell(file, n, problem)?;
        }
        Ok(())
    }

    /// Tells of a file that cannot be read, or from line `n` on. However many there are, each is told.
    pub(super) fn fail(&mut self, file: &str, n: Option<u64>, problem: &str) -> anyhow::Result<()> {
        if self.looking.is_some() {
            return Ok(());
        }
        self.failed += 1;
        self.tell(file, n, problem)
    }

    fn tell(&mut self, file: &str, n: Option<u64>, problem: &str) -> anyhow::Result<()> {
        let n = n.map_or_else(String::new, |n| format!(":{n}"));
        let (file, problem) = (visible(file), visible(problem));
        self.console.say(&format!("{file}{n}: {problem}"))?;
        Ok(())
    }

    /// Ends the reading: what was only counted is told.
    ///
    /// # Errors
    /// When a file could not be read to its end, or nothing at all.
    pub(super) fn end(mut self, rules: &RuleSet) -> anyhow::Result<()> {
        if let Some(more) = self.refused.checked_sub(REFUSALS_SHOWN_MAX + 1) {
            let more = more + 1;
            self.console
                .say(&format!("{more} more could not be read"))?;
        }
        let blind = rules.rules.iter();
        let blind = blind
            .filter(|rule| !rule.selector.selects(&Labels::default()))
            .count();
        if self.unlabelled && blind > 0 {
            let rules = counted(blind, "rule");
            self.console.say(&format!(
                "note: {rules} with a `selector` cannot read lines without labels; give them with --labels"
            ))?;
        }
        self.console.into_out()?;
        if self.entries == 0 && self.refused + self.failed > 0 {
            anyhow::bail!("nothing could be read");
        }
        match self.failed {
            0 => Ok(()),
            1 => anyhow::bail!("1 file could not be read to its end"),
            failed => anyhow::bail!("{failed} files could not be read to their end"),
        }
    }
}
