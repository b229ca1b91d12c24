//! What crosses from scan to detect: hits and progress, small owned values that could as well come from another process.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::batch::{EntryId, Labels, StreamId};
use crate::time::Timestamp;

/// A rule's place in its [`RuleSet`](crate::rules::RuleSet).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleIndex(pub u32);

/// The values of a rule's `by`, in the order of the names there; empty where the entry had none.
pub type Key = Arc<[Box<str>]>;

/// What an entry means to the rule that it hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// It fulfils the rule's `match`.
    Match,
    /// It fulfils `recover.match`, and an empty part of its key means any. An entry that fulfils both is only this.
    Recovery,
}

/// One entry that one rule matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// Which rule.
    pub rule: RuleIndex,
    /// As a match, or as a recovery.
    pub role: Role,
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
    /// Values for the names in the rule's `summary` that are neither in `by` nor counts: name and value, in the summary's order.
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
}

/// All that detect is told of one batch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Scanned {
    /// Hits, in any order.
    pub hits: Vec<Hit>,
    /// What else the batch says.
    pub progress: Progress,
}
