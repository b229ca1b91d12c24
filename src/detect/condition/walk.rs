//! A window that moves forward in time over entries, from one change to the next.

use std::time::Duration;

use rustc_hash::FxHashMap;

use super::points::Points;
use crate::rules::Needs;
use crate::time::Timestamp;

/// What of the entries in a window is counted.
pub(super) trait Tally<T>: Default {
    fn enter(&mut self, what: &T);
    fn leave(&mut self, what: &T);
    fn count(&self) -> u64;
}

/// Every entry.
#[derive(Debug, Default)]
pub(super) struct Each(u64);

impl<T> Tally<T> for Each {
    fn enter(&mut self, _: &T) {
        self.0 += 1;
    }

    fn leave(&mut self, _: &T) {
        self.0 -= 1;
    }

    fn count(&self) -> u64 {
        self.0
    }
}

/// Different values, and how often each is there.
#[derive(Debug, Clone, Default)]
pub(super) struct Different(pub(super) FxHashMap<u64, u32>);

impl Tally<u64> for Different {
    fn enter(&mut self, value: &u64) {
        *self.0.entry(*value).or_default() += 1;
    }

    fn leave(&mut self, value: &u64) {
        if let Some(count) = self.0.get_mut(value) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(value);
            }
        }
    }

    fn count(&self) -> u64 {
        self.0.len() as u64
    }
}

/// Whether `needs` is met by `counted` entries in the window that ends at `at`. Windows from which entries have gone for the bound's
/// sake hold more than is counted, so they are never taken to hold few: that nothing is known is no silence.
pub(super) fn met<T>(
    points: &Points<T>,
    at: Timestamp,
    window: Duration,
    needs: Needs,
    counted: u64,
) -> bool {
    let is_sure = matches!(needs, Needs::AtLeast(_))
        || points.complete_from(window).is_none_or(|from| at >= from);
    is_sure && needs.met_by(counted)
}

/// The first instant from `from` up to `until` at which whether `needs` is met is `wanted`, if nothing else comes.
///
/// Cost: linear in the entries that come or leave on the way, whatever is counted.
pub(super) fn first<T, C: Tally<T>>(
    points: &Points<T>,
    window: Duration,
    needs: Needs,
    (from, until): (Timestamp, Timestamp),
    wanted: bool,
) -> Option<Timestamp> {
    let mut tally = C::default();
    let (mut left, mut arrived) = (points.upto(from.minus(window)), points.upto(from));
    for place in left..arrived {
        tally.enter(points.get(place));
    }
    let mut at = from;
    while at <= until {
        if met(points, at, window, needs, tally.count()) == wanted {
            return Some(at);
        }
        let arrives = (arrived < points.len()).then(|| points.time(arrived));
        let leaves = (left < arrived).then(|| points.time(left).plus(window));
        let known = points.complete_from(window).filter(|known| *known > at);
        let next = [arrives, leaves, known].into_iter().flatten().min()?;
        // At the end of time nothing is later.
        if next <= at {
            return None;
        }
        at = next;
        while arrived < points.len() && points.time(arrived) <= at {
            tally.enter(points.get(arrived));
            arrived += 1;
        }
        while left < arrived && points.time(left).plus(window) <= at {
            tally.leave(points.get(left));
            left += 1;
        }
    }
    None
}
