//! What a detector is told before it starts, and what it tells about itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::finding::Origin;
use crate::rules::Severity;

/// How the detector decides what the rules leave open.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How far entries may be out of order without changing what opens.
    pub late_by: Duration,
    /// Entries older than this at receipt decide nothing; `None` where time is the log's alone (replay, tests).
    pub max_age: Option<Duration>,
    /// A longer stretch without any entry counts as not seen; `None` where nothing can be missed (replay, tests).
    pub silence: Option<Duration>,
    /// Most keys of one rule.
    pub keys_max: usize,
    /// Most memory that keys of all rules together take, in bytes.
    pub keys_bytes_max: usize,
    /// Most remembered identities of entries, all rules together; 10 to 20 bytes each.
    pub identities_max: usize,
    /// Whose findings these are.
    pub origin: Origin,
}

impl Settings {
    /// How late an entry may come and still count, where `max_age` does not apply.
    const LATENESS: Duration = Duration::from_secs(3600);
    /// Longest pause of the tee that is no gap.
    pub const SILENCE: Duration = Duration::from_secs(300);
    /// Default of `late_by`: Alloy sends a batch at least every second and retries within a few.
    pub const LATE_BY: Duration = Duration::from_secs(10);
    /// Default of `max_age`: the age at which the documented Alloy configuration drops entries of the tee.
    pub const MAX_AGE: Duration = Duration::from_secs(3600);
    /// Default of `keys_max`: more things wrong at once, under one rule, than anybody looks at.
    pub const KEYS_MAX: usize = 10_000;
    /// Default of `keys_bytes_max`: some 12 000 keys with a match or two, or 1500 open findings.
    pub const KEYS_BYTES_MAX: usize = 13 << 20;
    /// Default of `identities_max`, at most 10 MB: a hundred matches a second for more than an hour.
    pub const IDENTITIES_MAX: usize = 500_000;

    /// What a live detector uses.
    #[must_use]
    pub fn live(origin: Origin) -> Self {
        Self {
            late_by: Self::LATE_BY,
            max_age: Some(Self::MAX_AGE),
            silence: Some(Self::SILENCE),
            keys_max: Self::KEYS_MAX,
            keys_bytes_max: Self::KEYS_BYTES_MAX,
            identities_max: Self::IDENTITIES_MAX,
            origin,
        }
    }

    /// What replay and tests use: time is the log's, nothing is late, nothing is missed.
    #[must_use]
    pub fn replay(origin: Origin) -> Self {
        Self {
            late_by: Duration::ZERO,
            max_age: None,
            silence: None,
            ..Self::live(origin)
        }
    }

    pub(super) fn lateness(&self) -> Duration {
        self.max_age.unwrap_or(Self::LATENESS)
    }
}

/// What happened besides findings, since it was last taken: for metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Counted matches, by rule id.
    pub matches: BTreeMap<Arc<str>, u64>,
    /// Hits that were repeats.
    pub duplicates: u64,
    /// Entries too old to decide anything.
    pub late: u64,
    /// Entries from further in the future than ten minutes.
    pub future: u64,
    /// How far the furthest of those was in the future.
    pub future_most: Duration,
    /// Keys evicted for want of room, by rule id.
    pub keys_evicted: BTreeMap<Arc<str>, u64>,
    /// Matches of new keys refused because all were open, by rule id.
    pub keys_refused: BTreeMap<Arc<str>, u64>,
    /// How often an open finding came to keep less of its window, for want of memory, by rule id.
    pub keys_cut: BTreeMap<Arc<str>, u64>,
    /// Identities forgotten before their time.
    pub identities_evicted: u64,
    /// Batches of tenants beyond the bound, which decided nothing.
    pub tenants_refused: u64,
}

/// What open findings are counted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpenKind {
    /// The domain of their rules.
    pub domain: String,
    /// The incident type of their rules.
    pub incident_type: String,
    /// How severe they are now.
    pub severity: Severity,
}

/// How much a detector holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizes {
    /// Keys of all rules.
    pub keys: usize,
    /// About what they take in memory, in bytes.
    pub keys_bytes: usize,
    /// Remembered identities of entries.
    pub identities: usize,
    /// How many findings are open, without those kinds of which none is.
    pub open: BTreeMap<OpenKind, usize>,
}
