//! Counts many entries in trailing windows of event time, in little memory.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::points::Points;
use crate::time::Timestamp;

/// Most points of [`Sums`]: 24 bytes each.
pub(super) const POINTS_MAX: usize = 512;

/// How finely a window is divided once there are too many points.
const RESOLUTION: u32 = 128;

/// How many entries came and how many of them matched, by time.
///
/// Entries of one time are one point. While there are at most [`POINTS_MAX`] points, counts are exact; beyond, entries within
/// a 128th of the span are taken together at the time of the newest. So an entry may count up to 0.8 % of the span longer
/// than it should, and never shorter. If that is still too many, the oldest go, and nothing is said of windows that held them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::detect) struct Sums {
    points: Points<Sum>,
    /// What was counted in points that are gone.
    gone: Sum,
    /// The newest point that went for want of room.
    unknown_through: Option<Timestamp>,
}

/// Entries and matches up to a point, this one included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::detect) struct Sum {
    pub(super) matches: u64,
    pub(super) entries: u64,
}

impl Sums {
    pub(super) fn points(&self) -> &Points<Sum> {
        &self.points
    }

    /// Counts entries of one time, some of which match. `span` is the window that is asked about.
    pub(super) fn insert(&mut self, at: Timestamp, added: Sum, span: Duration) {
        let place = self.points.upto(at);
        let known = place > 0 && self.points.time(place - 1) == at;
        if !known {
            let before = self.before(place);
            self.points.insert(at, before);
        }
        let mut place = if known { place - 1 } else { place };
        while let Some(sum) = self.points.get_mut(place) {
            sum.matches += added.matches;
            sum.entries += added.entries;
            place += 1;
        }
        if self.points.len() > POINTS_MAX {
            self.coarsen(span, RESOLUTION, POINTS_MAX - POINTS_MAX / 4);
        }
    }

    /// Entries and matches in the window that ends at `at`; `None` where that is not known any more.
    pub(super) fn window(&self, at: Timestamp, window: Duration) -> Option<Sum> {
        let from = at.minus(window);
        if self.unknown_through.is_some_and(|unknown| from < unknown) {
            return None;
        }
        let start = self.before(self.points.upto(from));
        let end = self.before(self.points.upto(at));
        Some(Sum {
            matches: end.matches - start.matches,
            entries: end.entries - start.entries,
        })
    }

    /// Whether the point at `place` has matches.
    pub(super) fn has_match(&self, place: usize) -> bool {
        self.points.get(place).matches > self.before(place).matches
    }

    /// The number of matches after `at`.
    pub(super) fn matches_after(&self, at: Timestamp) -> u64 {
        self.before(self.points.len()).matches - self.before(self.points.upto(at)).matches
    }

    pub(super) fn clear_through(&mut self, at: Timestamp) {
        self.gone = self.before(self.points.upto(at));
        self.points.clear_through(at);
    }

    /// What was counted before the point at `place`.
    fn before(&self, place: usize) -> Sum {
        match place.checked_sub(1) {
            Some(last) => *self.points.get(last),
            None => self.gone,
        }
    }

    /// Memory beside itself, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        self.points.heap_bytes()
    }

    /// Takes entries within an eighth of `span` together, for want of memory.
    pub(super) fn keep_few(&mut self, span: Duration) {
        self.coarsen(span, RESOLUTION / 16, POINTS_MAX / 16);
        self.points.shrink();
    }

    /// Takes entries within one of `cells` parts of `span` together, and lets the oldest go until there are `kept` points.
    fn coarsen(&mut self, span: Duration, cells: u32, kept: usize) {
        let cell = i64::try_from((span / cells).as_nanos().max(1)).unwrap_or(i64::MAX);
        let cells: Vec<i64> = self
            .points
            .iter()
            .map(|(at, _)| at.nanos().div_euclid(cell))
            .collect();
        let mut place = 0;
        self.points.retain(|_| {
            place += 1;
            // The last point of a cell has all sums of those before it.
            cells.get(place) != Some(&cells[place - 1])
        });
        if let Some(excess) = self.points.len().checked_sub(kept + 1) {
            let newest_gone = self.points.time(excess);
            self.unknown_through = self.unknown_through.max(Some(newest_gone));
            self.clear_through(newest_gone);
        }
    }
}
