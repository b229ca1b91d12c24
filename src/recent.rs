//! Lines that came lately, a few of each stream, so that somebody who writes a rule has something to try it on.
//!
//! In memory only, never on disk; nothing of sensitive namespaces; redacted when they are shown. A sample, not a log: of a push every second at most, and
//! of each of its streams the last lines. Whoever has no time to wait for the lock takes none.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::batch::{Batch, EntryId, Labels, Stream, StreamId};
use crate::finding::Redactor;
use crate::rules::Selector;
use crate::time::Timestamp;

/// How often a worker takes a sample.
pub const EVERY: Duration = Duration::from_secs(1);
/// Lines that are kept of a stream.
const LINES_MAX: usize = 10;
/// Lines that one sample takes of a stream.
const LINES_EACH: usize = 3;
/// Streams that one sample takes lines of.
const STREAMS_EACH: usize = 64;
/// How much of a line is kept, in bytes.
const LINE_BYTES_MAX: usize = 512;
/// What a stream takes beside its lines: labels and places in tables.
const STREAM_BYTES: usize = 768;
/// What a line takes beside its text.
const ENTRY_BYTES: usize = 64;

/// The lines.
#[derive(Debug)]
pub struct Recent {
    kept: Mutex<Kept>,
    bytes_max: usize,
}

#[derive(Debug)]
struct Kept {
    redactor: Redactor,
    streams: FxHashMap<StreamId, Ring>,
    /// Streams by the turn in which they last had lines taken.
    order: BTreeMap<u64, StreamId>,
    turn: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Ring {
    stream: Arc<Stream>,
    turn: u64,
    lines: VecDeque<(Timestamp, EntryId, Box<[u8]>)>,
}

/// A line of a stream, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecentLine {
    /// The entry's time.
    pub at: Timestamp,
    /// The tenant, empty when none was sent.
    pub tenant: Arc<str>,
    /// The stream's labels, redacted.
    pub labels: Labels,
    /// The line, redacted and cut.
    pub line: String,
    /// The entry's identity.
    pub entry: EntryId,
}

impl Recent {
    /// Keeps at most `bytes_max` bytes, about; what `redactor` hides is not kept.
    #[must_use]
    pub fn new(bytes_max: usize, redactor: Redactor) -> Self {
        let kept = Kept {
            redactor,
            streams: FxHashMap::default(),
            order: BTreeMap::new(),
            turn: 0,
            bytes: 0,
        };
        Self {
            kept: Mutex::new(kept),
            bytes_max,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Redacts by other settings from now on, and forgets what they hide.
    pub fn set_redactor(&self, redactor: Redactor) {
        let mut kept = self.lock();
        kept.redactor = redactor;
        let hidden: Vec<StreamId> = kept
            .streams
            .iter()
            .filter(|(_, ring)| kept.redactor.hides(&ring.stream.labels))
            .map(|(id, _)| *id)
            .collect();
        for id in hidden {
            kept.forget(id);
        }
    }

    /// Takes a few of `entries`, of streams that are not `left_out`. Does nothing where somebody else has the lock.
    pub fn sample(
        &self,
        batch: &Batch,
        entries: &Range<usize>,
        left_out: impl Fn(&Labels) -> bool,
    ) {
        let Ok(mut kept) = self.kept.try_lock() else {
            return;
        };
        let parts = batch
            .streams
            .iter()
            .map(|part| (part, part.entries_within(entries)));
        let parts = parts.filter(|(part, of_it)| {
            !of_it.is_empty()
                && !kept.redactor.hides(&part.stream.labels)
                && !left_out(&part.stream.labels)
        });
        let parts: Vec<_> = parts.take(STREAMS_EACH).collect();
        for (part, of_it) in parts {
            let ring = kept.touch(&part.stream);
            let before = ring.bytes();
            for entry in &batch.entries[of_it.end - of_it.len().min(LINES_EACH)..of_it.end] {
                let id = entry.id(&part.stream, batch.bytes(entry.line));
                let line = batch.line(entry);
                let line = &line[..line.len().min(LINE_BYTES_MAX)];
                if ring.lines.len() >= LINES_MAX {
                    ring.lines.pop_front();
                }
                ring.lines.push_back((entry.at, id, line.into()));
            }
            let after = ring.bytes();
            kept.bytes = kept.bytes - before + after;
            while kept.bytes > self.bytes_max {
                let Some(oldest) = kept.order.first_key_value().map(|(_, id)| *id) else {
                    break;
                };
                kept.forget(oldest);
            }
        }
    }

    /// Lines of streams that `selector` selects, those of the stream that spoke last first, at most `limit`.
    #[must_use]
    pub fn lines(&self, selector: &Selector, limit: usize) -> Vec<RecentLine> {
        let kept = self.lock();
        let streams = kept
            .order
            .values()
            .rev()
            .filter_map(|id| kept.streams.get(id));
        let selected = streams.filter(|ring| selector.selects(&ring.stream.labels));
        let lines = selected.flat_map(|ring| {
            let labels = ring.stream.labels.iter().map(|(name, value)| {
                let value = kept.redactor.redact(value.as_bytes(), &[]);
                (Box::from(name), Box::from(value))
            });
            let labels = Labels::new(labels);
            let tenant = &ring.stream.tenant;
            let redactor = &kept.redactor;
            ring.lines.iter().map(move |(at, entry, line)| RecentLine {
                at: *at,
                tenant: Arc::clone(tenant),
                labels: labels.clone(),
                line: redactor.redact(line, &[]),
                entry: *entry,
            })
        });
        lines.take(limit).collect()
    }

    /// How much it holds, in bytes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }
}

impl Kept {
    /// The place of `stream`, which is the newest from now on.
    fn touch(&mut self, stream: &Arc<Stream>) -> &mut Ring {
        self.turn += 1;
        let turn = self.turn;
        let bytes = &mut self.bytes;
        let ring = self.streams.entry(stream.id).or_insert_with(|| {
            *bytes += STREAM_BYTES;
            Ring {
                stream: Arc::clone(stream),
                turn,
                lines: VecDeque::with_capacity(LINES_MAX),
            }
        });
        self.order.remove(&ring.turn);
        ring.turn = turn;
        self.order.insert(turn, stream.id);
        ring
    }

    fn forget(&mut self, id: StreamId) {
        if let Some(ring) = self.streams.remove(&id) {
            self.order.remove(&ring.turn);
            self.bytes -= STREAM_BYTES + ring.bytes();
        }
    }
}

impl Ring {
    fn bytes(&self) -> usize {
        let texts = self
            .lines
            .iter()
            .map(|(_, _, line)| line.len() + ENTRY_BYTES);
        texts.sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::Test;

    fn batch(app: &str, namespace: &str, lines: &[&str]) -> Batch {
        let labels = [("app", app), ("namespace", namespace)];
        let labels = Labels::new(labels.map(|(name, value)| (name.into(), value.into())));
        let stream = Arc::new(Stream::new(Arc::from("t"), labels));
        let mut batch = Batch::default();
        for (at, line) in lines.iter().enumerate() {
            batch.push(&stream, Timestamp::new(at as i64), line.as_bytes(), &[]);
        }
        batch
    }

    fn recent(bytes_max: usize) -> Recent {
        let redactor = Redactor::new(Vec::new()).with_sensitive_namespaces(vec!["vault".into()]);
        Recent::new(bytes_max, redactor)
    }

    fn sample(recent: &Recent, batch: &Batch) {
        recent.sample(batch, &(0..batch.entries.len()), |_| false);
    }

    fn texts(recent: &Recent, selector: &Selector) -> Vec<String> {
        let lines = recent.lines(selector, 99).into_iter();
        lines.map(|line| line.line).collect()
    }

    #[test]
    fn the_last_lines_of_each_stream_are_kept_redacted_and_none_of_what_is_sensitive() {
        let recent = recent(1 << 20);
        sample(
            &recent,
            &batch("api", "apps", &["1", "2", "3", "password=hunter2x9"]),
        );
        sample(&recent, &batch("web", "apps", &["w"]));
        sample(&recent, &batch("vault", "vault", &["unsealed"]));
        let all = Selector::default();
        let shown = texts(&recent, &all);
        assert_eq!(shown.len(), 4);
        assert_eq!(shown[..3], ["w", "2", "3"]);
        assert!(!shown[3].contains("hunter2"), "{shown:?}");
        let api = Selector(vec![crate::rules::Matcher {
            name: "app".to_owned(),
            test: Test::Equal("api".to_owned()),
        }]);
        assert_eq!(texts(&recent, &api).len(), 3);
        for _ in 0..9 {
            sample(&recent, &batch("api", "apps", &["x", "y", "z"]));
        }
        assert_eq!(texts(&recent, &api).len(), LINES_MAX);
        let hides = Redactor::new(Vec::new()).with_sensitive_namespaces(vec!["apps".into()]);
        recent.set_redactor(hides);
        assert_eq!((texts(&recent, &all).len(), recent.bytes()), (0, 0));
    }

    #[test]
    fn what_no_rule_reads_is_not_kept_and_who_cannot_have_the_lock_goes_on() {
        let recent = recent(1 << 20);
        let of_api = batch("api", "apps", &["1"]);
        recent.sample(&of_api, &(0..1), |labels| labels.get("app") == Some("api"));
        assert_eq!(recent.bytes(), 0);
        let held = recent.lock();
        sample(&recent, &of_api);
        drop(held);
        assert_eq!(recent.bytes(), 0);
    }

    proptest! {
        #[test]
        fn it_stays_within_its_bound_and_the_newest_stream_is_there(
            pushes in prop::collection::vec((0..30u8, 0..900usize), 1..60),
        ) {
            let recent = recent(8 << 10);
            for (app, length) in pushes {
                let line = "x".repeat(length);
                sample(&recent, &batch(&app.to_string(), "apps", &[&line, &line]));
                prop_assert!(recent.bytes() <= 8 << 10);
                let lines = recent.lines(&Selector::default(), 1);
                prop_assert_eq!(lines[0].labels.get("app"), Some(&*app.to_string()));
            }
        }
    }
}
