//! What crosses from scan to detect: hits and progress, small owned values that could as well come from another process.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::batch::{Batch, EntryId, Labels, StreamId};
use crate::time::Timestamp;

/// A rule's place in its [`RuleSet`](crate::rules::RuleSet).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleIndex(pub u32);

/// Which rule set hits are of: a process numbers its sets in the order in which they come into use, the first is 0. A rule's
/// place in one set says nothing about any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Generation(pub u64);

impl Generation {
    /// That of the set that takes over from this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

pub use crate::key::{Key, Values};

/// What an entry means to the rule that it hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// It fulfils the rule's `match`.
    Match,
    /// It fulfils `recover.match`, and an empty part of its key means any. An entry that fulfils both is only this.
    Recovery,
}

/// What of a rule an entry fulfils, one bit each: the n-th of [`Rule::parts`](crate::rules::Rule::parts) is bit n, the n-th of
/// [`Rule::escalating_matches`](crate::rules::Rule::escalating_matches) is bit `16 + n`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Parts(pub u32);

impl Parts {
    /// Most parts of a rule, and most escalating matches.
    pub const MAX: usize = 16;

    /// Only the rule's one match.
    pub const MATCH: Self = Self(1);

    /// Whether part `n` is fulfilled.
    #[must_use]
    pub fn has(self, n: usize) -> bool {
        self.0 & (1 << n) != 0
    }

    /// Whether the escalating match `n` is fulfilled.
    #[must_use]
    pub fn escalates(self, n: usize) -> bool {
        self.has(Self::MAX + n)
    }

    /// With part `n` fulfilled.
    #[must_use]
    pub fn with(self, n: usize) -> Self {
        Self(self.0 | 1 << n)
    }
}

/// One entry that one rule matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// Which rule.
    pub rule: RuleIndex,
    /// As a match, or as a recovery.
    pub role: Role,
    /// What of the rule it fulfils; of no meaning for a recovery.
    pub parts: Parts,
    /// The entry's own time, as written.
    pub at: Timestamp,
    /// The entry's stream.
    pub stream: StreamId,
    /// The labels of that stream.
    pub labels: Arc<Labels>,
    /// The entry's identity, without the rule.
    pub entry: EntryId,
    /// The rule's `by` values.
    pub key: Key,
    /// Values of the rule's [`values`](crate::rules::Rule::values), in their order; empty where the entry had none.
    pub values: Box<[Box<str>]>,
    /// Name and value of each of the rule's [`summary_names`](crate::rules::Rule::summary_names), in their order.
    pub captures: Box<[(Box<str>, Box<str>)]>,
    /// The line as rules see it, not redacted, cut to [`LINE_BYTES_MAX`].
    pub line: Box<[u8]>,
}

/// How much of a line a hit carries: enough for evidence, bounded for memory. A longer line ends with nothing in its place.
pub const LINE_BYTES_MAX: usize = 2048;

/// What a batch says besides its hits: that time went on, and which streams spoke.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// The batch's tenant.
    pub tenant: Arc<str>,
    /// The streams of the batch, each with how many of `times` are its own, in order.
    pub streams: Vec<(StreamId, u32)>,
    /// The times of all entries, as written, stream by stream in the order sent.
    pub times: Vec<Timestamp>,
    /// For each rule that compares with its past and reads a stream of the batch, in order: the oldest entry there.
    pub oldest: Vec<(RuleIndex, Timestamp)>,
}

impl Progress {
    /// What the first `entries` entries of `batch`, one of `tenant`, say; `oldest` is for the scanner to tell.
    #[must_use]
    pub fn of(batch: &Batch, tenant: &Arc<str>, entries: usize) -> Self {
        let streams = batch.streams.iter().map_while(|stream| {
            let end = (stream.entries.end as usize).min(entries);
            let count = end.checked_sub(stream.entries.start as usize)?;
            // A stream has fewer entries than its batch, whose indices are 32 bits.
            (count > 0).then_some((stream.stream.id, count as u32))
        });
        let times = batch.entries[..entries].iter().map(|entry| entry.at);
        Self {
            tenant: tenant.clone(),
            streams: streams.collect(),
            times: times.collect(),
            oldest: Vec::new(),
        }
    }

    /// The times of each stream's entries.
    pub(crate) fn by_stream(&self) -> impl Iterator<Item = (StreamId, &[Timestamp])> {
        let mut rest = &*self.times;
        self.streams.iter().map(move |(stream, count)| {
            let (times, after) = rest.split_at(*count as usize);
            rest = after;
            (*stream, times)
        })
    }
}

/// All that detect is told of one batch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Scanned {
    /// Hits, in any order.
    pub hits: Vec<Hit>,
    /// What else the batch says.
    pub progress: Progress,
}
