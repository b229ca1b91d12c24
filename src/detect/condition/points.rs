//! Entries in order of time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::queue::Queue;
use crate::time::Timestamp;

/// Entries of one key in order of time, each with what a condition needs to know of it.
///
/// They may come in any order; each takes its place among the others. Who inserts keeps a bound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::detect) struct Points<T> {
    entries: Queue<(Timestamp, T)>,
    /// The newest entry that went for the bound's sake: what a window counts that reaches back to it is "at least".
    crowded_out: Option<Timestamp>,
}

impl<T> Default for Points<T> {
    fn default() -> Self {
        Self {
            entries: Queue::default(),
            crowded_out: None,
        }
    }
}

impl<T> Points<T> {
    /// Puts an entry behind those of its time and before later ones. Cost: constant in order, linear in the later ones otherwise.
    pub(super) fn insert(&mut self, at: Timestamp, what: T) {
        self.entries.insert(self.upto(at), (at, what));
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Memory beside itself, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        self.entries.heap_bytes()
    }

    /// Gives back memory that is not in use.
    pub(super) fn shrink(&mut self) {
        self.entries.shrink();
    }

    /// The time of the entry at `place`.
    pub(super) fn time(&self, place: usize) -> Timestamp {
        self.entries[place].0
    }

    pub(super) fn get(&self, place: usize) -> &T {
        &self.entries[place].1
    }

    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        self.entries.get_mut(place).map(|(_, what)| what)
    }

    /// The place behind the last entry at or before `at`.
    pub(super) fn upto(&self, at: Timestamp) -> usize {
        // Most questions are about the newest entry.
        match self.entries.back() {
            Some((newest, _)) if *newest <= at => self.entries.len(),
            _ => self.entries.partition_point(|(time, _)| *time <= at),
        }
    }

    /// The place of the first entry at or after `at`.
    pub(super) fn before(&self, at: Timestamp) -> usize {
        self.entries.partition_point(|(time, _)| *time < at)
    }

    /// The number of entries in the window that ends at `at`.
    pub(super) fn count(&self, at: Timestamp, window: Duration) -> usize {
        self.upto(at) - self.upto(at.minus(window))
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &(Timestamp, T)> {
        self.entries.iter()
    }

    /// Forgets the entries at and before `at`.
    pub(super) fn clear_through(&mut self, at: Timestamp) {
        self.entries.take_first(self.upto(at));
    }

    /// Forgets the oldest until there are `most`.
    pub(super) fn keep_newest(&mut self, most: usize) {
        if self.entries.len() > most {
            let gone = self.entries.take_first(self.entries.len() - most);
            self.crowded_out = gone.map(|(at, _)| at).max(self.crowded_out);
        }
    }

    /// From when on windows of this length hold no entry that has gone for the bound's sake; `None` if all do.
    pub(super) fn complete_from(&self, window: Duration) -> Option<Timestamp> {
        self.crowded_out.map(|at| at.plus(window))
    }

    /// Keeps those that `keep` says, told in order of time.
    pub(super) fn retain(&mut self, keep: impl FnMut(&(Timestamp, T)) -> bool) {
        self.entries.retain(keep);
    }
}
