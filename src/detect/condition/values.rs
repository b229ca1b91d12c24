//! Counts different values, or how often the most frequent one came, in a trailing window of event time.

use std::cell::RefCell;
use std::ops::Range;
use std::time::Duration;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::points::Points;
use super::walk::{Different, Tally};
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
    /// The window that was asked about last. The next one is mostly near: late entries come in order of time, and each is asked
    /// about with those around it. Counting every window anew let one push of late entries take seconds.
    #[serde(skip)]
    window: RefCell<Box<Window>>,
}

/// What a window holds; nothing, where that is not known.
#[derive(Debug, Clone, Default)]
struct Window {
    /// Places of its entries.
    places: Range<usize>,
    values: Different,
    #[cfg(test)]
    steps: usize,
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
        self.window.get_mut().make_room(self.points.upto(at), value);
        self.points.insert(at, value);
        let most = entries_max(threshold);
        if self.points.len() > most {
            **self.window.get_mut() = Window::default();
            if thin {
                self.thin(threshold.window);
            }
            // With some room, so that this is not done for every entry.
            self.points.keep_newest(most - most / 8);
        }
    }

    /// Memory beside itself, in bytes: a hash map has a byte of its own for each place, and up to an eighth of them free.
    pub(super) fn heap_bytes(&self) -> usize {
        let window = self.window.borrow();
        let places = window.values.0.capacity() * 8 / 7;
        self.points.heap_bytes() + size_of::<Window>() + places * (size_of::<(u64, u32)>() + 1)
    }

    /// Keeps as few entries as `threshold` can be decided with.
    pub(super) fn keep_few(&mut self, threshold: &Threshold, thin: bool) {
        **self.window.get_mut() = Window::default();
        if thin {
            self.thin(threshold.window);
        }
        self.points.keep_newest(entries_max(threshold) / 10);
        self.points.shrink();
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
    /// Cost: linear in the entries by which the window differs from the one that was asked about before.
    pub(super) fn different(&self, at: Timestamp, window: Duration) -> u64 {
        self.reduce(at, window, Different::count)
    }

    /// How often the most frequent value is in the window that ends at `at`. Cost: linear in different values, else as above.
    pub(super) fn most_of_one(&self, at: Timestamp, window: Duration) -> u64 {
        self.reduce(at, window, |values| {
            u64::from(values.0.values().copied().max().unwrap_or(0))
        })
    }

    fn reduce(
        &self,
        at: Timestamp,
        window: Duration,
        answer: impl FnOnce(&Different) -> u64,
    ) -> u64 {
        let places = self.points.upto(at.minus(window))..self.points.upto(at);
        let mut known = self.window.borrow_mut();
        known.move_to(&self.points, places);
        answer(&known.values)
    }

    pub(super) fn clear_through(&mut self, at: Timestamp) {
        let gone = self.points.upto(at);
        self.points.clear_through(at);
        let window = self.window.get_mut();
        if window.places.start >= gone {
            window.places.start -= gone;
            window.places.end -= gone;
        } else {
            **window = Window::default();
        }
    }
}

impl Window {
    /// An entry with `value` is about to stand at `place`.
    fn make_room(&mut self, place: usize, value: u64) {
        if place < self.places.end {
            self.places.end += 1;
            if place < self.places.start {
                self.places.start += 1;
            } else {
                self.enter(value);
            }
        }
    }

    /// Holds the entries at `places` from now on.
    fn move_to(&mut self, points: &Points<u64>, places: Range<usize>) {
        let apart = places.end <= self.places.start || self.places.end <= places.start;
        if apart {
            self.values.0.clear();
            self.places = places.start..places.start;
        }
        while self.places.end < places.end {
            self.enter(*points.get(self.places.end));
            self.places.end += 1;
        }
        while self.places.start > places.start {
            self.places.start -= 1;
            self.enter(*points.get(self.places.start));
        }
        while self.places.end > places.end {
            self.places.end -= 1;
            self.leave(*points.get(self.places.end));
        }
        while self.places.start < places.start {
            self.leave(*points.get(self.places.start));
            self.places.start += 1;
        }
    }

    fn enter(&mut self, value: u64) {
        self.values.enter(&value);
        self.count_step();
    }

    fn leave(&mut self, value: u64) {
        self.values.leave(&value);
        self.count_step();
    }

    fn count_step(&mut self) {
        #[cfg(test)]
        {
            self.steps += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn threshold(count: u64, window: u64) -> Threshold {
        Threshold {
            needs: Needs::AtLeast(count.try_into().expect("from one")),
            window: Duration::from_secs(window),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_parts(second, 0)
    }

    proptest! {
        #[test]
        fn every_window_is_as_counted_by_hand(
            window in 1u64..20,
            steps in prop::collection::vec((0i64..60, 0u64..5, 0i64..70, prop::option::weighted(0.1, 0i64..60)), 1..60),
        ) {
            let (mut values, mut entries) = (Values::default(), Vec::new());
            let threshold = threshold(1000, window);
            for (second, value, asked, forgotten) in steps {
                values.insert(at(second), value, &threshold, true);
                entries.push((second, value));
                if let Some(forgotten) = forgotten {
                    values.clear_through(at(forgotten));
                    entries.retain(|(second, _)| *second > forgotten);
                }
                let mut counts = std::collections::BTreeMap::new();
                for (second, value) in &entries {
                    if asked - (window as i64) < *second && *second <= asked {
                        *counts.entry(*value).or_insert(0u64) += 1;
                    }
                }
                prop_assert_eq!(values.different(at(asked), threshold.window), counts.len() as u64);
                prop_assert_eq!(values.most_of_one(at(asked), threshold.window), counts.values().copied().max().unwrap_or(0));
            }
        }
    }

    /// Two senders, one five seconds behind the other: half of all entries come late, in order among themselves.
    #[test]
    fn late_entries_cost_the_way_to_them_and_not_a_whole_window() {
        let threshold = threshold(20_000, 3600);
        let mut values = Values::default();
        let value = |n: i64| n.unsigned_abs();
        for n in 0..20_000 {
            values.insert(Timestamp::new(n * 1_000_000), value(n), &threshold, true);
        }
        let window = threshold.window;
        assert_eq!(
            values.different(Timestamp::new(20_000_000_000), window),
            20_000
        );
        let steps = |values: &Values| values.window.borrow().steps;
        let before = steps(&values);
        for n in 15_000..20_000 {
            let late = Timestamp::new(n * 1_000_000 + 1);
            values.insert(late, value(n + 100_000), &threshold, true);
            assert!(values.different(late, window) > 15_000);
        }
        assert!(
            steps(&values) - before < 20_000,
            "{}",
            steps(&values) - before
        );
    }
}
