//! Recorded logs as `scan` and `replay` take them.

mod forms;
mod lines;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, ValueEnum};

use self::forms::{Draft, Form};
use self::lines::Lines;
use super::output::{counted, visible};
use crate::batch::{Batch, Labels, Stream};
use crate::push::{Encoded, Form as PushForm, Interner, Limits, Scratch, labels};
use crate::rules::RuleSet;
use crate::time::Timestamp;

/// Recorded logs, and the rules to try on them.
#[derive(Debug, Clone, Args)]
pub struct InputArgs {
    /// Rule file or directory; may be given several times [default: the rules that ship with trommel]
    #[arg(long, value_name = "PATH")]
    pub rules: Vec<PathBuf>,
    /// What the files hold
    #[arg(long, value_enum, default_value_t)]
    pub input: Input,
    /// Labels that lines have besides their own, such as '{namespace="shop", app="api"}'
    #[arg(long, value_name = "LABELS")]
    pub labels: Option<String>,
    /// Files to read; `-` is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    pub files: Vec<PathBuf>,
}

/// What a file of recorded logs holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Input {
    /// One line of log each, perhaps with an RFC 3339 time in front
    #[default]
    Raw,
    /// One object each: {"labels":{…},"line":"…","ts":"RFC 3339, optional"}
    Jsonl,
    /// Lines as a container runtime writes them: time, stream, F or P, message. Read as by Alloy's stage.cri
    Cri,
    /// One push request's body, protobuf or JSON, as Alloy sends it
    Push,
    /// What `logcli query` prints. Best with --output=jsonl (whole seconds otherwise) and --include-common-labels
    Logcli,
}

/// One entry that was read.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    /// The file as it was named.
    pub(super) file: Arc<str>,
    /// The line where it begins in the file, from 1; of a push request the place of the entry.
    pub(super) n: u64,
    pub(super) stream: Arc<Stream>,
    pub(super) at: Option<Timestamp>,
    /// As it would be sent, cut to what a push may hold.
    pub(super) line: Vec<u8>,
    pub(super) metadata: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Recorded {
    /// Adds the entry to `batch`, as the decoders of pushes do.
    pub(super) fn add_to(&self, batch: &mut Batch) {
        let at = self.at.unwrap_or_default();
        batch.push(&self.stream, at, &self.line, &self.metadata);
    }
}

/// Whether entries need a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    Optional,
    Needed,
}

/// How many lines that could not be read are shown; the others are counted.
const REFUSALS_SHOWN_MAX: u64 = 10;

impl InputArgs {
    /// Reads the files, one after another, and hands each entry to `each`. Only one entry and one push request are in memory.
    ///
    /// What cannot be read is told to `diagnostics`, with its place, and left out.
    ///
    /// # Errors
    /// Labels that are none, what `each` returns, and that nothing at all could be read.
    pub(super) fn read<D: Write>(
        &self,
        rules: &RuleSet,
        times: Times,
        diagnostics: &mut D,
        each: &mut dyn FnMut(Recorded) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let limits = Limits::default();
        let added = self.labels.as_deref().unwrap_or_default();
        let added = labels::parse(added.as_bytes(), limits.labels_bytes_max).context("--labels")?;
        let mut reading = Reading {
            times,
            limits,
            added,
            streams: HashMap::new(),
            diagnostics,
            each,
            entries: 0,
            refused: 0,
            unlabelled: false,
        };
        for path in &self.files {
            reading.file(path, self.input)?;
        }
        reading.end(rules)
    }
}

/// The state of reading all files.
struct Reading<'a, D> {
    times: Times,
    limits: Limits,
    /// Labels that lines have besides their own.
    added: Labels,
    /// By the line's own labels.
    streams: HashMap<Labels, Arc<Stream>>,
    diagnostics: &'a mut D,
    each: &'a mut dyn FnMut(Recorded) -> anyhow::Result<()>,
    entries: u64,
    refused: u64,
    /// Whether there were entries without any label.
    unlabelled: bool,
}

impl<D: Write> Reading<'_, D> {
    fn file(&mut self, path: &Path, input: Input) -> anyhow::Result<()> {
        let name: Arc<str> = path.display().to_string().into();
        let opened: io::Result<Box<dyn BufRead>> = if path == Path::new("-") {
            Ok(Box::new(io::stdin().lock()))
        } else {
            File::open(path).map(|file| Box::new(BufReader::new(file)) as Box<dyn BufRead>)
        };
        match opened {
            Ok(opened) => self.opened(&name, opened, input),
            Err(error) => self.refuse(&name, None, &format!("cannot read it: {error}")),
        }
    }

    fn opened(
        &mut self,
        file: &Arc<str>,
        opened: impl BufRead,
        input: Input,
    ) -> anyhow::Result<()> {
        let mut form = match input {
            Input::Raw => Form::Raw,
            Input::Jsonl => Form::Jsonl,
            Input::Cri => Form::cri(),
            Input::Logcli => Form::logcli(),
            Input::Push => return self.push(file, opened),
        };
        let line_bytes_max = match form {
            Form::Raw => self.limits.line_bytes_max,
            // A line in quotes and with labels is longer than the line itself.
            _ => self.limits.body_bytes_max,
        };
        let mut lines = Lines::new(opened, line_bytes_max);
        loop {
            let line = match lines.next() {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(error) => {
                    let problem = format!("cannot read on: {error}");
                    self.refuse(file, Some(lines.number() + 1), &problem)?;
                    break;
                }
            };
            let fed = if line.cut && !matches!(form, Form::Raw) {
                Err(format!("longer than {line_bytes_max} bytes"))
            } else {
                form.feed(line.number, line.bytes)
            };
            match fed {
                Ok(Some(draft)) => self.entry(file, draft)?,
                Ok(None) => {}
                Err(problem) => self.refuse(file, Some(lines.number()), &problem)?,
            }
        }
        for draft in form.finish() {
            self.entry(file, draft)?;
        }
        Ok(())
    }

    fn entry(&mut self, file: &Arc<str>, draft: Draft) -> anyhow::Result<()> {
        let stream = self.stream(draft.labels);
        self.deliver(Recorded {
            file: Arc::clone(file),
            n: draft.n,
            stream,
            at: draft.at,
            line: draft.line,
            metadata: Vec::new(),
        })
    }

    fn push(&mut self, file: &Arc<str>, opened: impl Read) -> anyhow::Result<()> {
        let mut body = Vec::new();
        // One byte more than allowed is enough to see that it is too large.
        let bytes_max = self.limits.body_bytes_max as u64 + 1;
        if let Err(error) = opened.take(bytes_max).read_to_end(&mut body) {
            return self.refuse(file, None, &format!("cannot read it: {error}"));
        }
        // The first bytes of gzip begin no snappy block: its second byte would copy from before the block.
        let is_gzip = body.starts_with(b"\x1f\x8b");
        let is_json = body.trim_ascii_start().first() == Some(&b'{');
        let mut scratch = Scratch::default();
        let mut decode = |content_type: &[u8]| {
            let request = Encoded {
                tenant: &Arc::from(""),
                form: PushForm::V1,
                content_type: Some(content_type),
                content_encoding: is_gzip.then_some(b"gzip"),
                body: &body,
            };
            let interner = Interner::new(self.limits.streams_interned_max);
            scratch.decode(&request, &self.limits, &interner, &mut |_| true)
        };
        let decoded = match decode(if is_json {
            b"application/json"
        } else {
            b"application/x-protobuf"
        }) {
            // What is compressed does not show what it is.
            Err(_) if is_gzip => decode(b"application/json"),
            decoded => decoded,
        };
        match decoded {
            Err(error) => return self.refuse(file, None, &error.to_string()),
            Ok(notes) if notes.labels_invalid > 0 => {
                let problem = "labels of some streams cannot be read; their lines have none";
                self.refuse(file, None, problem)?;
            }
            Ok(_) => {}
        }
        let batch = scratch.batch();
        let mut n = 0;
        for stream in &batch.streams {
            let entries = stream.entries.start as usize..stream.entries.end as usize;
            let stream = self.stream((*stream.stream.labels).clone());
            for entry in &batch.entries[entries] {
                n += 1;
                let metadata = batch.metadata_of(entry);
                self.deliver(Recorded {
                    file: Arc::clone(file),
                    n,
                    stream: Arc::clone(&stream),
                    at: Some(entry.at),
                    line: batch.bytes(entry.line).to_vec(),
                    metadata: metadata
                        .map(|(name, value)| (name.to_vec(), value.to_vec()))
                        .collect(),
                })?;
            }
        }
        Ok(())
    }

    /// The stream of lines whose own labels are `own`.
    fn stream(&mut self, own: Labels) -> Arc<Stream> {
        if let Some(known) = self.streams.get(&own) {
            return Arc::clone(known);
        }
        let both = self.added.iter().chain(own.iter());
        let both = Labels::new(both.map(|(name, value)| (name.into(), value.into())));
        let stream = Arc::new(Stream::new(Arc::from(""), both));
        self.streams.insert(own, Arc::clone(&stream));
        stream
    }

    fn deliver(&mut self, mut entry: Recorded) -> anyhow::Result<()> {
        if self.times == Times::Needed && entry.at.is_none() {
            let problem =
                "no time: an RFC 3339 time must begin the line, or be the `ts` of --input jsonl";
            return self.refuse(&entry.file, Some(entry.n), problem);
        }
        entry.line.truncate(self.limits.line_bytes_max);
        self.unlabelled |= entry.stream.labels.iter().next().is_none();
        self.entries += 1;
        (self.each)(entry)
    }

    fn refuse(&mut self, file: &str, n: Option<u64>, problem: &str) -> anyhow::Result<()> {
        self.refused += 1;
        if self.refused <= REFUSALS_SHOWN_MAX {
            let n = n.map_or_else(String::new, |n| format!(":{n}"));
            let (file, problem) = (visible(file), visible(problem));
            writeln!(self.diagnostics, "{file}{n}: {problem}")?;
        }
        Ok(())
    }

    fn end(self, rules: &RuleSet) -> anyhow::Result<()> {
        if let Some(more) = self.refused.checked_sub(REFUSALS_SHOWN_MAX + 1) {
            let more = more + 1;
            writeln!(self.diagnostics, "{more} more could not be read")?;
        }
        if self.entries == 0 && self.refused > 0 {
            anyhow::bail!("nothing could be read");
        }
        let blind = rules.rules.iter();
        let blind = blind
            .filter(|rule| !rule.selector.selects(&Labels::default()))
            .count();
        if self.unlabelled && blind > 0 {
            let rules = counted(blind, "rule");
            writeln!(
                self.diagnostics,
                "note: {rules} with a `selector` cannot read lines without labels; give them with --labels"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
