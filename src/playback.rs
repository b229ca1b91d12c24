//! Entries that are at hand in, messages out: scanner and detector without the shell of a live run.
//!
//! `trommel replay` and `trommel test` both play with this, so they cannot disagree. Time is the log's: the wall clock is the
//! newest entry, nothing is late by age, nothing is missed ([`Settings::replay`]).
//!
//! Entries are gathered into batches, as pushes are. Those of one time always share a batch, because a condition is looked at
//! when all entries of a time are in; and a batch spans no long time, because the detector's clock is at its newest entry when
//! the oldest is applied. Apart from that it makes no difference where one ends.

use std::sync::Arc;
use std::time::Duration;

use crate::batch::{Batch, Labels, Stream};
use crate::detect::{Detector, Settings, Tally};
use crate::finding::{Finding, Message, MessageSettings, Origin, Redactor};
use crate::hit::{Progress, Scanned};
use crate::scan::{Scanner, Scratch};
use crate::time::Timestamp;

/// Plays entries to a detector that has seen nothing.
///
/// ```text
/// for each entry:  if let Some(scanned) = playback.add(…) { playback.apply(scanned) }
/// at the end:      playback.flush(), as above; then playback.finish(until)
/// ```
pub struct Playback {
    scanner: Arc<Scanner>,
    scratch: Scratch,
    /// What waits to be scanned.
    batch: Batch,
    detector: Detector,
    origin: Origin,
    messages: MessageSettings,
    /// The time of the entry added last.
    last: Option<Timestamp>,
    /// The newest entry that was applied, or the latest arrival: the wall clock.
    newest: Option<Timestamp>,
}

/// What a batch or the end of the log made of findings.
#[derive(Debug, Default)]
pub struct Played {
    /// Every new revision of a finding, in the order in which it would be sent.
    pub findings: Vec<Finding>,
    /// Findings that ended without a message: one-shot events.
    pub ended: Vec<Finding>,
}

/// Text and entries of a batch after which it ends with the next time: enough to scan at full speed.
const BATCH_BYTES: usize = 1 << 20;
const BATCH_ENTRIES: usize = 1 << 14;
/// The same for the time between its first entry and the next: well below an hour, beyond which an entry is too late to count.
const BATCH_SPAN: Duration = Duration::from_secs(600);
/// Text and entries of a batch after which it ends in any case: memory is bounded however many entries have one time.
/// Those beyond are as if they had come in a second push.
const BATCH_BYTES_MAX: usize = 16 << 20;
const BATCH_ENTRIES_MAX: usize = 1 << 18;

impl Playback {
    /// Plays to the rules of `scanner`.
    #[must_use]
    pub fn new(scanner: impl Into<Arc<Scanner>>, settings: Settings) -> Self {
        let scanner = scanner.into();
        let rules = Arc::clone(scanner.rules());
        Self {
            scanner,
            scratch: Scratch::default(),
            batch: Batch::default(),
            origin: settings.origin.clone(),
            detector: Detector::new(settings, Redactor::new(Vec::new()), rules),
            messages: MessageSettings::default(),
            last: None,
            newest: None,
        }
    }

    /// Adds the entry that arrives next; arrival in order of time is the caller's affair. When a batch is complete without it,
    /// gives what was found there, for [`Playback::apply`].
    #[must_use]
    pub fn add(
        &mut self,
        stream: &Arc<Stream>,
        at: Timestamp,
        line: &[u8],
        metadata: &[(Vec<u8>, Vec<u8>)],
    ) -> Option<Scanned> {
        let (bytes, entries) = (self.batch.block.len(), self.batch.entries.len());
        let complete = if self.last == Some(at) {
            bytes >= BATCH_BYTES_MAX || entries >= BATCH_ENTRIES_MAX
        } else {
            let first = self.batch.entries.first();
            bytes >= BATCH_BYTES
                || entries >= BATCH_ENTRIES
                || first.is_some_and(|first| at.since(first.at) >= BATCH_SPAN)
        };
        let scanned = if complete { self.flush() } else { None };
        self.last = Some(at);
        self.batch.push(stream, at, line, metadata);
        scanned
    }

    /// Completes the batch: entries added later arrive later. `None` if there are none in it.
    #[must_use]
    pub fn flush(&mut self) -> Option<Scanned> {
        if self.batch.entries.is_empty() {
            return None;
        }
        let tenant = Arc::from("");
        let scanned = self
            .scanner
            .scan_whole(&self.batch, &tenant, &mut self.scratch);
        self.batch.clear();
        Some(scanned)
    }

    /// Lets the detector decide what a batch means.
    pub fn apply(&mut self, scanned: Scanned) -> Played {
        let newest = scanned.progress.times.iter().copied().max();
        let now = self.newest.max(newest).unwrap_or_default();
        self.apply_at(scanned, now)
    }

    /// The same for a batch that arrives at `now`: its entries may be older, or from the future.
    pub fn apply_at(&mut self, scanned: Scanned, now: Timestamp) -> Played {
        self.newest = self.newest.max(Some(now));
        self.detector.apply(scanned, now);
        self.played()
    }

    /// Lets the clock come to `now` without a word from any stream that a rule could know.
    pub fn pass(&mut self, now: Timestamp) -> Played {
        let labels = Labels::new([("__playback__".into(), "clock".into())]);
        let nobody = Stream::new(Arc::from(""), labels);
        let progress = Progress {
            tenant: nobody.tenant,
            streams: vec![(nobody.id, 1)],
            times: vec![now],
            oldest: Vec::new(),
        };
        let hits = Vec::new();
        self.apply_at(Scanned { hits, progress }, now)
    }

    /// Ends it at `until`: what is due then, or before, happens. Every batch has been applied.
    pub fn finish(&mut self, until: Timestamp) -> Played {
        self.detector.finish(until);
        self.played()
    }

    /// The newest entry that was applied.
    #[must_use]
    pub fn newest(&self) -> Option<Timestamp> {
        self.newest
    }

    /// The message that tells of `finding`.
    #[must_use]
    pub fn message(&self, finding: &Finding) -> Message {
        Message::new(finding, &finding.finding_key, &self.origin, &self.messages)
    }

    /// Takes what happened besides findings since the last call.
    pub fn take_tally(&mut self) -> Tally {
        self.detector.take_tally()
    }

    fn played(&mut self) -> Played {
        let mut changes = self.detector.take_changes();
        Played {
            findings: changes.take_findings().collect(),
            ended: changes.ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;
    use crate::rules::{Condition, Item, Match, Needs, Rule, RuleSet, Threshold};

    /// Five lines that say `bad` within ten seconds are a finding.
    fn playback() -> Playback {
        let bad = Item::Text {
            text: "bad".to_owned(),
            ignore_case: false,
        };
        let matches = Match {
            any: vec![bad],
            ..Match::default()
        };
        let rule = Rule {
            condition: Condition::Count(Threshold {
                needs: Needs::AtLeast(NonZeroU64::new(5).expect("not zero")),
                window: Duration::from_secs(10),
            }),
            incident_type: "test".to_owned(),
            ..Rule::new("bad", matches)
        };
        let rules = RuleSet {
            rules: vec![Arc::new(rule)],
            ..RuleSet::default()
        };
        let origin = Origin {
            cluster: "default".to_owned(),
            environment: String::new(),
            instance: "default".to_owned(),
            grafana: None,
        };
        Playback::new(Scanner::new(Arc::new(rules)), Settings::replay(origin))
    }

    fn stream() -> Arc<Stream> {
        Arc::new(Stream::new(Arc::from(""), Labels::default()))
    }

    /// One line a second, three of four bad, then half an hour of quiet, and the same two days later; `alone` tells which entries
    /// begin a batch.
    fn messages(alone: impl Fn(i64) -> bool) -> Vec<Vec<u8>> {
        let (mut playback, stream) = (playback(), stream());
        let mut findings = Vec::new();
        let day = 86_400;
        for second in (0..40)
            .chain([1800])
            .chain(2 * day..2 * day + 40)
            .chain([3 * day])
        {
            let line: &[u8] = if second % 4 == 0 { b"good" } else { b"bad" };
            let mut scanned = Vec::new();
            if alone(second) {
                scanned.extend(playback.flush());
            }
            scanned.extend(playback.add(
                &stream,
                Timestamp::new(second * 1_000_000_000),
                line,
                &[],
            ));
            for scanned in scanned {
                findings.extend(playback.apply(scanned).findings);
            }
        }
        if let Some(scanned) = playback.flush() {
            findings.extend(playback.apply(scanned).findings);
        }
        let end = playback.newest().expect("entries were applied");
        findings.extend(playback.finish(end).findings);
        let messages = findings
            .iter()
            .map(|finding| playback.message(finding).body);
        messages.collect()
    }

    #[test]
    fn messages_are_the_same_wherever_batches_end() {
        let whole = messages(|_| false);
        let kinds = [".observed", ".recovered", ".observed", ".recovered"];
        assert_eq!(whole.len(), kinds.len());
        for (message, kind) in whole.iter().zip(kinds) {
            let message = std::str::from_utf8(message).expect("JSON");
            assert!(message.contains(kind), "{message}");
        }
        assert_eq!(messages(|_| true), whole);
        assert_eq!(messages(|second| second % 3 == 0), whole);
    }

    #[test]
    fn a_batch_spans_less_than_ten_minutes() {
        let (mut playback, stream) = (playback(), stream());
        let mut add = |second: i64| {
            let at = Timestamp::new(second * 1_000_000_000);
            let complete = playback.add(&stream, at, b"good", &[]);
            complete.map(|scanned| scanned.progress.times.len())
        };
        let complete = [0, 300, 599, 600, 1199, 1200].map(&mut add);
        assert_eq!(complete, [None, None, None, Some(3), None, Some(2)]);
    }

    /// How many entries the first batch has if `count` entries have one time and others follow.
    fn first_batch(count: usize) -> usize {
        let (mut playback, stream) = (playback(), stream());
        let entries = (0..count).map(|_| 1).chain(2..);
        let mut complete =
            entries.filter_map(|at| playback.add(&stream, Timestamp::new(at), b"good", &[]));
        let first = complete.next().expect("entries go on for ever");
        first.progress.times.len()
    }

    #[test]
    fn entries_of_one_time_share_a_batch_up_to_a_bound() {
        assert_eq!(first_batch(1), BATCH_ENTRIES);
        assert_eq!(first_batch(BATCH_ENTRIES), BATCH_ENTRIES);
        assert_eq!(first_batch(BATCH_ENTRIES + 1), BATCH_ENTRIES + 1);
        assert_eq!(first_batch(BATCH_ENTRIES_MAX), BATCH_ENTRIES_MAX);
        assert_eq!(first_batch(BATCH_ENTRIES_MAX + 1), BATCH_ENTRIES_MAX);
    }
}
