//! Entries in order of time.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Entries of one key in order of time, each with what a condition needs to know of it.
///
/// They may come in any order; each takes its place among the others. Who inserts keeps a bound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::detect) struct Points<T>(VecDeque<(Timestamp, T)>);

impl<T> Default for Points<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Points<T> {
    /// Puts an entry behind those of its time and before later ones. Cost: constant in order, linear in the later ones otherwise.
    pub(super) fn insert(&mut self, at: Timestamp, what: T) {
        if self.0.back().is_none_or(|(newest, _)| *newest <= at) {
            self.0.push_back((at, what));
        } else {
            let place = self.upto(at);
            self.0.insert(place, (at, what));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The time of the entry at `place`.
    pub(super) fn time(&self, place: usize) -> Timestamp {
        self.0[place].0
    }

    pub(super) fn get(&self, place: usize) -> &T {
        &self.0[place].1
    }

    pub(super) fn get_mut(&mut self, place: usize) -> &mut T {
        &mut self.0[place].1
    }

    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.0.back().map(|(at, _)| *at)
    }

    /// The place behind the last entry at or before `at`.
    pub(super) fn upto(&self, at: Timestamp) -> usize {
        // Most questions are about the newest entry.
        match self.0.back() {
            Some((newest, _)) if *newest <= at => self.0.len(),
            _ => self.0.partition_point(|(time, _)| *time <= at),
        }
    }

    /// The place of the first entry at or after `at`.
    pub(super) fn before(&self, at: Timestamp) -> usize {
        self.0.partition_point(|(time, _)| *time < at)
    }

    /// The number of entries in the window that ends at `at`.
    pub(super) fn count(&self, at: Timestamp, window: Duration) -> usize {
        self.upto(at) - self.upto(at.minus(window))
    }

    /// Those in the window that ends at `at`.
    pub(super) fn within(
        &self,
        at: Timestamp,
        window: Duration,
    ) -> impl Iterator<Item = &(Timestamp, T)> {
        self.0.range(self.upto(at.minus(window))..self.upto(at))
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &(Timestamp, T)> {
        self.0.iter()
    }

    /// Forgets the entries at and before `at`.
    pub(super) fn clear_through(&mut self, at: Timestamp) {
        self.0.drain(..self.upto(at));
    }

    /// Forgets the oldest until there are `most`.
    pub(super) fn keep_newest(&mut self, most: usize) {
        if self.0.len() > most {
            self.0.drain(..self.0.len() - most);
        }
    }

    /// Keeps those that `keep` says, told in order of time.
    pub(super) fn retain(&mut self, keep: impl FnMut(&(Timestamp, T)) -> bool) {
        self.0.retain(keep);
    }
}
