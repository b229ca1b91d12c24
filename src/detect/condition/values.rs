//! Counts different values, or how often the most frequent one came, in a trailing window of event time.

use std::time::Duration;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::points::Points;
use crate::rules::{Needs, Threshold};
use crate::time::Timestamp;

/// Entries with a value each, by time: the value is a 64-bit hash.
///
/// 16 bytes an entry, up to [`entries_max`]. Beyond it, entries go that change nothing about which values a window holds:
/// those with an equal value before and after them, less than a window apart; only then the oldest. So a count of different
/// values is exact up to half of that bound, which is five times what the threshold asks for, and means "at least" beyond.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(in crate::detect) struct Values {
    points: Points<u64>,
    /// What the window that ends at the newest entry holds; `None` when that has to be counted.
    #[serde(skip)]
    latest: Option<Latest>,
}

#[derive(Debug, Clone, Default)]
struct Latest {
    /// Place of the window's first entry.
    start: usize,
    counts: FxHashMap<u64, u32>,
}

/// Equal if they hold the same; what is kept to answer faster is not looked at.
impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        self.points == other.points
    }
}

/// How many entries are kept for `threshold`: enough to count ten times what it asks for.
pub(super) fn entries_max(threshold: &Threshold) -> usize {
    let asked = match threshold.needs {
        Needs::AtLeast(count) => count.get(),
        Needs::AtMost(count) => count,
    };
    usize::try_from(asked)
        .unwrap_or(usize::MAX)
        .saturating_mul(10)
        .max(1000)
}

impl Values {
    pub(super) fn points(&self) -> &Points<u64> {
        &self.points
    }

    /// Puts an entry in its place. `thin` tells whether repeated values may go first, as they may where only different ones count.
    pub(super) fn insert(&mut self, at: Timestamp, value: u64, threshold: &Threshold, thin: bool) {
        let in_order = self.points.newest().is_none_or(|newest| newest <= at);
        self.points.insert(at, value);
        let most = entries_max(threshold);
        if self.points.len() > most {
            self.latest = None;
            if thin {
                self.thin(threshold.window);
            }
            // With some room, so that this is not done for every entry.
            self.points.keep_newest(most - most / 8);
        }
        if let (Some(latest), true) = (&mut self.latest, in_order) {
            *latest.counts.entry(value).or_default() += 1;
        } else if in_order {
            let latest = self.latest.insert(Latest::default());
            for (_, value) in self.points.iter() {
                *latest.counts.entry(*value).or_default() += 1;
            }
        } else {
            self.latest = None;
        }
        if let Some(latest) = &mut self.latest {
            latest.move_on(&self.points, at.minus(threshold.window));
        }
    }

    /// Leaves out entries between two of the same value that are less than `window` apart: no window holds only them.
    fn thin(&mut self, window: Duration) {
        let mut next: FxHashMap<u64, Timestamp> = FxHashMap::default();
        let times: Vec<Option<Timestamp>> = {
            let mut following: Vec<_> = self
                .points
                .iter()
                .rev()
                .map(|(at, value)| next.insert(*value, *at))
                .collect();
            following.reverse();
            following
        };
        let mut kept: FxHashMap<u64, Timestamp> = FxHashMap::default();
        let mut place = 0;
        self.points.retain(|(at, value)| {
            let following = times[place];
            place += 1;
            let between = kept.get(value).zip(following);
            if between.is_some_and(|(last, next)| next.since(*last) < window) {
                return false;
            }
            kept.insert(*value, *at);
            true
        });
    }

    /// How many different values the window that ends at `at` holds.
    /// Cost: constant at the newest entry, linear in the window's entries elsewhere.
    pub(super) fn different(&self, at: Timestamp, window: Duration) -> u64 {
        self.reduce(at, window, |counts| counts.len() as u64)
    }

    /// How often the most frequent value is in the window that ends at `at`. Cost: linear in different values, else as above.
    pub(super) fn most_of_one(&self, at: Timestamp, window: Duration) -> u64 {
        self.reduce(at, window, |counts| {
            u64::from(counts.values().copied().max().unwrap_or(0))
        })
    }

    fn reduce(
        &self,
        at: Timestamp,
        window: Duration,
        answer: impl FnOnce(&FxHashMap<u64, u32>) -> u64,
    ) -> u64 {
        if let Some(latest) = &self.latest
            && self.points.newest() == Some(at)
        {
            return answer(&latest.counts);
        }
        let mut counts = FxHashMap::default();
        for (_, value) in self.points.within(at, window) {
            *counts.entry(*value).or_default() += 1;
        }
        answer(&counts)
    }

    pub(super) fn clear_through(&mut self, at: Timestamp) {
        let gone = self.points.upto(at);
        self.points.clear_through(at);
        match &mut self.latest {
            Some(latest) if latest.start >= gone => latest.start -= gone,
            latest => *latest = None,
        }
    }
}

impl Latest {
    /// Takes out the entries at and before `from`.
    fn move_on(&mut self, points: &Points<u64>, from: Timestamp) {
        while self.start < points.len() && points.time(self.start) <= from {
            let value = points.get(self.start);
            if let Some(count) = self.counts.get_mut(value) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(value);
                }
            }
            self.start += 1;
        }
    }
}
