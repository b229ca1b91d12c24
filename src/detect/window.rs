//! Counts entries in a trailing window of event time, exactly.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::rules::{Needs, Threshold};
use crate::time::Timestamp;

/// The counted entries of one key, by time, and what a [`Threshold`] says of them.
///
/// A window at `t` is `(t - span, t]`. Entries may come in any order; each takes its place among the others.
/// Holds at most [`Window::entries_max`] times, 8 bytes each; beyond it the oldest go and counts mean "at least".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Window {
    times: VecDeque<Timestamp>,
}

impl Window {
    /// How many times a window of `threshold` holds: enough to count ten times what it asks for.
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

    /// Puts an entry in its place. Cost: constant in order, linear in the entries after it otherwise.
    pub(super) fn insert(&mut self, at: Timestamp, threshold: &Threshold) {
        if self.times.back().is_none_or(|newest| *newest <= at) {
            self.times.push_back(at);
        } else {
            let place = self.upto(at);
            self.times.insert(place, at);
        }
        if self.times.len() > Self::entries_max(threshold) {
            self.times.pop_front();
        }
    }

    /// Forgets the entries at and before `at`.
    pub(super) fn clear_through(&mut self, at: Timestamp) {
        self.times.drain(..self.upto(at));
    }

    /// The number of entries in the window that ends at `at`.
    pub(super) fn count(&self, at: Timestamp, threshold: &Threshold) -> u64 {
        (self.upto(at) - self.upto(at.minus(threshold.window))) as u64
    }

    /// The number of entries after `at`.
    pub(super) fn count_after(&self, at: Timestamp) -> u64 {
        (self.times.len() - self.upto(at)) as u64
    }

    /// The oldest entry in the window that ends at `at`.
    pub(super) fn oldest(&self, at: Timestamp, threshold: &Threshold) -> Option<Timestamp> {
        self.times
            .get(self.upto(at.minus(threshold.window)))
            .copied()
            .filter(|oldest| *oldest <= at)
    }

    /// The newest entry.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.times.back().copied()
    }

    /// Whether the condition is true at `at`.
    pub(super) fn holds(&self, at: Timestamp, threshold: &Threshold) -> bool {
        let count = self.count(at, threshold);
        match threshold.needs {
            Needs::AtLeast(needed) => count >= needed.get(),
            Needs::AtMost(most) => count <= most,
        }
    }

    /// The first entry in `[from, from + span)` at whose time enough entries have come together.
    /// After an entry at `from` these are all the instants that it can have made true. `AtLeast` only.
    pub(super) fn first_hold(&self, from: Timestamp, threshold: &Threshold) -> Option<Timestamp> {
        let end = from.plus(threshold.window);
        self.times
            .range(self.before(from)..)
            .take_while(|at| **at < end || **at == from)
            .copied()
            .find(|at| self.holds(*at, threshold))
    }

    /// The newest entry in `[from, to]` at whose time the condition is true. `AtLeast` only.
    pub(super) fn last_hold(
        &self,
        from: Timestamp,
        to: Timestamp,
        threshold: &Threshold,
    ) -> Option<Timestamp> {
        if from > to {
            return None;
        }
        self.times
            .range(self.before(from)..self.upto(to))
            .rev()
            .copied()
            .find(|at| self.holds(*at, threshold))
    }

    /// The stretch `[start, end)` around `at`, at which the condition is true, without a moment in between at which it is not.
    /// `AtLeast` only.
    pub(super) fn stretch(&self, at: Timestamp, threshold: &Threshold) -> (Timestamp, Timestamp) {
        let Needs::AtLeast(needed) = threshold.needs else {
            return (at, at);
        };
        let needed = usize::try_from(needed.get()).unwrap_or(usize::MAX);
        // An entry at place `i` makes the condition true until the entry `needed - 1` before it leaves the window.
        let end_of = |place: usize| {
            let first = (place + 1).checked_sub(needed)?;
            let end = self.times[first].plus(threshold.window);
            (end > self.times[place]).then_some(end)
        };
        let Some(here) = self.upto(at).checked_sub(1) else {
            return (at, at);
        };
        let Some(mut end) = end_of(here) else {
            return (at, at);
        };
        let mut start = self.times[here];
        for place in (0..here).rev() {
            match end_of(place) {
                Some(end) if end >= start => start = self.times[place],
                // Only the last of several entries of one time counts them all.
                None if self.times[place] == start => {}
                _ => break,
            }
        }
        for place in here + 1..self.times.len() {
            match end_of(place) {
                Some(next) if self.times[place] <= end => end = end.max(next),
                None if self.times.get(place + 1) == Some(&self.times[place]) => {}
                _ => break,
            }
        }
        (start, end)
    }

    /// The entry whose leaving makes the condition true, if one has to leave first. `AtMost` only.
    pub(super) fn last_to_leave(&self, threshold: &Threshold) -> Option<Timestamp> {
        let Needs::AtMost(most) = threshold.needs else {
            return None;
        };
        let kept = usize::try_from(most).unwrap_or(usize::MAX);
        self.times
            .len()
            .checked_sub(1)?
            .checked_sub(kept)
            .map(|place| self.times[place])
    }

    /// Whether there are few at `from` and at every entry after it. `AtMost` only.
    pub(super) fn stays_few(&self, from: Timestamp, threshold: &Threshold) -> bool {
        let mut after = self.times.range(self.before(from)..);
        self.holds(from, threshold) && after.all(|at| self.holds(*at, threshold))
    }

    /// Since when there have been too many without a pause, if there are at the entry at `at`. `AtMost` only.
    pub(super) fn too_many_since(&self, at: Timestamp, threshold: &Threshold) -> Timestamp {
        let mut since = at;
        // Between two entries the count only falls, so the moment before the later one has the fewest.
        while let Some(place) = self.before(since).checked_sub(1)
            && !self.holds(since.minus(Duration::from_nanos(1)), threshold)
        {
            since = self.times[place];
        }
        since
    }

    /// Forgets entries that no window at or after `at` holds.
    pub(super) fn forget_before(&mut self, at: Timestamp, span: Duration) {
        self.clear_through(at.minus(span));
    }

    /// The place behind the last entry at or before `at`.
    fn upto(&self, at: Timestamp) -> usize {
        // Most questions are about the newest entry.
        match self.times.back() {
            Some(newest) if *newest <= at => self.times.len(),
            _ => self.times.partition_point(|time| *time <= at),
        }
    }

    /// The place of the first entry at or after `at`.
    fn before(&self, at: Timestamp) -> usize {
        self.times.partition_point(|time| *time < at)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use proptest::prelude::*;

    use super::*;

    fn at_least(count: u64, window: u64) -> Threshold {
        let count = NonZeroU64::new(count).expect("tests ask for at least one");
        Threshold {
            needs: Needs::AtLeast(count),
            window: Duration::from_nanos(window),
        }
    }

    fn window(times: &[i64], threshold: &Threshold) -> Window {
        let mut window = Window::default();
        times
            .iter()
            .for_each(|at| window.insert(Timestamp(*at), threshold));
        window
    }

    #[test]
    fn an_entry_leaves_exactly_one_span_after_it_came() {
        let five = at_least(5, 10);
        let window = window(&[0, 1, 2, 3, 4], &five);
        assert!(!window.holds(Timestamp(3), &five));
        assert!(window.holds(Timestamp(4), &five));
        assert!(window.holds(Timestamp(9), &five));
        assert!(!window.holds(Timestamp(10), &five));
        assert_eq!(
            window.stretch(Timestamp(4), &five),
            (Timestamp(4), Timestamp(10))
        );
    }

    #[test]
    fn beyond_its_bound_the_oldest_go() {
        let one = at_least(1, 10_000);
        let mut window = Window::default();
        (0..1_500).for_each(|at| window.insert(Timestamp(at), &one));
        assert_eq!(window.count(Timestamp(1_499), &one), 1_000);
        assert_eq!(window.oldest(Timestamp(1_499), &one), Some(Timestamp(500)));
    }

    /// What the window is held against: a list, and counting by hand.
    fn counted(times: &[i64], at: i64, span: i64) -> u64 {
        times
            .iter()
            .filter(|time| at - span < **time && **time <= at)
            .count() as u64
    }

    proptest! {
        #[test]
        fn every_answer_is_that_of_counting_by_hand(
            times in prop::collection::vec(0i64..40, 1..30), needed in 1u64..6, span in 1i64..12, at in -5i64..60,
        ) {
            let threshold = at_least(needed, span as u64);
            let window = window(&times, &threshold);
            let holds = |at: i64| counted(&times, at, span) >= needed;
            prop_assert_eq!(window.count(Timestamp(at), &threshold), counted(&times, at, span));
            prop_assert_eq!(window.holds(Timestamp(at), &threshold), holds(at));

            let mut sorted = times.clone();
            sorted.sort_unstable();
            let first = sorted.iter().copied().find(|time| (at..at + span).contains(time) && holds(*time));
            prop_assert_eq!(window.first_hold(Timestamp(at), &threshold), first.map(Timestamp));
            let last = sorted.iter().rev().copied().find(|time| (at..=at + 7).contains(time) && holds(*time));
            prop_assert_eq!(window.last_hold(Timestamp(at), Timestamp(at + 7), &threshold), last.map(Timestamp));

            if times.contains(&at) && holds(at) {
                let start = (-5..=at).rev().take_while(|t| holds(*t)).last().expect("holds at `at`");
                let end = (at..80).find(|t| !holds(*t)).expect("all have left");
                prop_assert_eq!(window.stretch(Timestamp(at), &threshold), (Timestamp(start), Timestamp(end)));
            }
        }

        #[test]
        fn few_enough_is_true_from_when_the_last_one_too_many_leaves(
            times in prop::collection::vec(0i64..40, 0..30), most in 0u64..6, span in 1i64..12,
        ) {
            let threshold = Threshold { needs: Needs::AtMost(most), window: Duration::from_nanos(span as u64) };
            let window = window(&times, &threshold);
            let newest = times.iter().copied().max().unwrap_or(0);
            let by_hand = (newest..).find(|at| counted(&times, *at, span) <= most).expect("all leave");
            let told = window.last_to_leave(&threshold).map_or(newest, |leaves| (leaves.0 + span).max(newest));
            prop_assert_eq!(told, by_hand);
        }
    }
}
