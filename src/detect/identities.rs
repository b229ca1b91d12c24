//! Which entries a rule has counted already: a resent batch, a second collector or a re-read file changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};

use crate::batch::EntryId;
use crate::time::Timestamp;

/// The entries that one rule has counted within its horizon, in slices of event time so that whole slices are forgotten.
///
/// About 10 to 20 bytes an entry. The identity is 64 bits: among a million remembered entries
/// a new one is mistaken for a known one with a chance of 5 in 10^14.
#[derive(Debug, Default)]
pub(super) struct Identities {
    slices: BTreeMap<i64, Slice>,
    /// Entries at or before this time may have been forgotten.
    forgotten: Option<Timestamp>,
    slice_nanos: i64,
    horizon: Duration,
}

#[derive(Debug)]
struct Slice {
    entries: FxHashSet<EntryId>,
    newest: Timestamp,
}

/// One remembered entry, as it is written to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    /// The rule's meaning.
    pub(super) meaning: u64,
    /// The time it is remembered under: as written, even if that lies in the future.
    pub(super) at: Timestamp,
    /// The entry.
    pub(super) entry: EntryId,
}

impl Identities {
    /// How many slices a horizon has: what is forgotten early for want of room is at most this part of it at a time.
    const SLICES: i64 = 32;

    /// Remembers for `horizon` of entry time.
    pub(super) fn new(horizon: Duration) -> Self {
        let nanos = i64::try_from(horizon.as_nanos()).unwrap_or(i64::MAX);
        Self {
            slices: BTreeMap::new(),
            forgotten: None,
            slice_nanos: (nanos / Self::SLICES).max(1),
            horizon,
        }
    }

    /// The same entries, remembered for `horizon` from now on. Slices stay as long as they are: an entry is looked for in its own.
    pub(super) fn with_horizon(self, horizon: Duration) -> Self {
        Self { horizon, ..self }
    }

    /// Remembers an entry; false if it was known.
    pub(super) fn remember(&mut self, at: Timestamp, entry: EntryId) -> bool {
        let slice = self
            .slices
            .entry(at.nanos().div_euclid(self.slice_nanos))
            .or_insert_with(|| Slice {
                entries: FxHashSet::default(),
                newest: at,
            });
        slice.newest = slice.newest.max(at);
        slice.entries.insert(entry)
    }

    /// Whether an entry at `at` may be a repeat of one that has been forgotten.
    pub(super) fn uncertain(&self, at: Timestamp) -> bool {
        self.forgotten.is_some_and(|forgotten| at <= forgotten)
    }

    /// Forgets what is a horizon older than `clock`; tells how many that were.
    pub(super) fn expire(&mut self, clock: Timestamp) -> usize {
        let keep_from = clock.minus(self.horizon);
        let mut expired = 0;
        while self
            .slices
            .first_key_value()
            .is_some_and(|(_, slice)| slice.newest < keep_from)
        {
            expired += self.forget_oldest();
        }
        expired
    }

    /// Forgets the oldest slice, for want of room; tells how many entries that were.
    pub(super) fn forget_oldest(&mut self) -> usize {
        let Some((_, slice)) = self.slices.pop_first() else {
            return 0;
        };
        self.forgotten = self.forgotten.max(Some(slice.newest));
        slice.entries.len()
    }

    /// The time of the newest entry in the oldest slice.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.slices.first_key_value().map(|(_, slice)| slice.newest)
    }

    pub(super) fn len(&self) -> usize {
        self.slices.values().map(|slice| slice.entries.len()).sum()
    }

    pub(super) fn forgotten(&self) -> Option<Timestamp> {
        self.forgotten
    }

    pub(super) fn set_forgotten(&mut self, forgotten: Option<Timestamp>) {
        self.forgotten = forgotten;
    }

    pub(super) fn horizon(&self) -> Duration {
        self.horizon
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_new_once_within_the_horizon() {
        let mut seen = Identities::new(Duration::from_nanos(320));
        assert!(seen.remember(Timestamp::new(5), EntryId(1)));
        assert!(!seen.remember(Timestamp::new(5), EntryId(1)));
        assert!(seen.remember(Timestamp::new(5), EntryId(2)));
        assert_eq!(
            seen.expire(Timestamp::new(325)),
            0,
            "exactly at the horizon it is still known"
        );
        assert!(!seen.remember(Timestamp::new(5), EntryId(1)));
        assert_eq!(seen.expire(Timestamp::new(326)), 2);
        assert!(seen.uncertain(Timestamp::new(5)));
        assert!(!seen.uncertain(Timestamp::new(6)));
    }
}
