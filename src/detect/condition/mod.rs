//! What one key's condition has counted, and when it is true.
//!
//! A condition on many ([`Side::Many`]) becomes true with an entry; one on few ([`Side::Few`]) as entries leave the window,
//! or when too few come. Between the instants at which an entry comes or leaves, nothing changes: whoever walks from one
//! [change](Counted::next_change) to the next has seen every moment.
//!
//! - `points`: entries in order of time. `queue`: what holds them.
//! - `values`: different values, and the most frequent one.
//! - `sums`: many entries in little memory.
//! - `sequence`: matches in a given order.
//! - `known`: values that came before.
//! - `walk`: the next instant at which enough or few entries are in the window.

mod known;
mod points;
mod queue;
mod sequence;
mod sums;
mod values;
mod walk;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(super) use known::{Known, hash};
use points::Points;
pub(super) use sequence::{Completed, Progress};
use sums::{Sum, Sums};
use values::{Values, entries_max};

use crate::rules::{Comparison, Condition, Decimal, Ratio, Spike, Threshold};
use crate::time::Timestamp;

/// Whether a condition wants many entries or few.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Many,
    Few,
}

/// A rule's condition, and from when on its past is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) condition: &'a Condition,
    /// The first time of which a comparison with the past may speak.
    pub(super) full_from: Timestamp,
}

impl Asked<'_> {
    pub(super) fn side(&self) -> Side {
        if self.condition.wants_few() {
            Side::Few
        } else {
            Side::Many
        }
    }

    fn window(&self) -> Duration {
        self.condition.window()
    }
}

/// The entries of one key, as far as its condition asks for them.
///
/// Memory per key: `N in T` 8 bytes an entry, distinct values and templates 16, each up to ten times the threshold and at
/// least 1000 entries; a ratio 24 bytes a point, up to 512, and a comparison with the past twice that; sequences and new
/// values 16 bytes for each time that they came about, up to 1000.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Counted {
    Entries(Points<()>),
    Different(Box<Values>),
    /// Entries by their template: the most frequent one counts.
    Alike(Box<Values>),
    Share(Box<Sums>),
    Past {
        recent: Box<Sums>,
        past: Box<Sums>,
    },
    /// Events that are made of entries, each with the time of its first entry.
    Events(Points<Timestamp>),
    /// Only when the last entry came.
    Last(Option<Timestamp>),
}

impl Counted {
    /// Nothing yet.
    pub(super) fn new(condition: &Condition) -> Self {
        match condition {
            Condition::Count(_) => Self::Entries(Points::default()),
            Condition::Distinct(_) => Self::Different(Box::default()),
            Condition::NewPattern { .. } => Self::Alike(Box::default()),
            Condition::Ratio(_) => Self::Share(Box::default()),
            Condition::Spike(_) => Self::Past {
                recent: Box::default(),
                past: Box::default(),
            },
            Condition::Sequence(_) | Condition::NewValue { .. } | Condition::Correlate(_) => {
                Self::Events(Points::default())
            }
            Condition::Absent(_) => Self::Last(None),
        }
    }

    /// Counts `entries` that are not told apart, `matches` of which match, at one time.
    pub(super) fn add(&mut self, at: Timestamp, matches: u64, entries: u64, asked: &Asked<'_>) {
        match (self, asked.condition) {
            (Self::Entries(points), Condition::Count(threshold)) => {
                let most = entries_max(threshold);
                for _ in 0..matches.min(most as u64) {
                    points.insert(at, ());
                }
                points.keep_newest(most);
            }
            (Self::Share(sums), Condition::Ratio(ratio)) => {
                sums.insert(at, Sum { matches, entries }, ratio.window);
            }
            (Self::Past { recent, past }, Condition::Spike(spike)) if matches > 0 => {
                let sum = Sum { matches, entries };
                recent.insert(at, sum, spike.window);
                past.insert(at, sum, spike.past);
            }
            (Self::Last(last), _) if matches > 0 => *last = (*last).max(Some(at)),
            _ => {}
        }
    }

    /// Counts an entry with a value, or of a template.
    pub(super) fn add_value(&mut self, at: Timestamp, value: u64, asked: &Asked<'_>) {
        match (self, asked.condition) {
            (Self::Different(values), Condition::Distinct(distinct)) => {
                values.insert(at, value, &distinct.threshold, true);
            }
            (Self::Alike(values), Condition::NewPattern { threshold, .. }) => {
                values.insert(at, value, threshold, false);
            }
            _ => {}
        }
    }

    /// Counts something that came about at `at` and began with an entry at `first`.
    pub(super) fn add_event(&mut self, at: Timestamp, first: Timestamp) {
        if let Self::Events(points) = self {
            points.insert(at, first);
            points.keep_newest(entries_max(&Threshold::EVERY));
        }
    }

    /// Whether the condition is true at `at`.
    pub(super) fn holds(&self, at: Timestamp, asked: &Asked<'_>) -> bool {
        let window = asked.window();
        match (self, asked.condition) {
            (Self::Entries(points), Condition::Count(threshold)) => {
                let count = points.count(at, window) as u64;
                walk::met(points, at, window, threshold.needs, count)
            }
            (Self::Different(values), Condition::Distinct(distinct)) => {
                let needs = distinct.threshold.needs;
                let count = values.different(at, window);
                walk::met(values.points(), at, window, needs, count)
            }
            (Self::Alike(values), Condition::NewPattern { threshold, .. }) => {
                threshold.needs.met_by(values.most_of_one(at, window))
            }
            (Self::Share(sums), Condition::Ratio(ratio)) => sums
                .window(at, window)
                .is_some_and(|sum| share_holds(sum, ratio)),
            (Self::Past { recent, past }, Condition::Spike(spike)) => {
                at >= asked.full_from
                    && recent
                        .window(at, window)
                        .zip(past.window(at.minus(window), spike.past))
                        .is_some_and(|(now, then)| spike_holds(now.matches, then.matches, spike))
            }
            (Self::Events(points), _) => points.count(at, window) > 0,
            (Self::Last(last), _) => last.is_none_or(|last| at.since(last) >= window),
            _ => false,
        }
    }

    /// What the condition counts in the window that ends at `at`: entries that match, different values, the most frequent template.
    pub(super) fn count(&self, at: Timestamp, asked: &Asked<'_>) -> u64 {
        let window = asked.window();
        match self {
            Self::Different(values) => values.different(at, window),
            Self::Alike(values) => values.most_of_one(at, window),
            _ => self.matches(at, asked),
        }
    }

    /// How many matches lie in the window that ends at `at`.
    pub(super) fn matches(&self, at: Timestamp, asked: &Asked<'_>) -> u64 {
        let window = asked.window();
        match self {
            Self::Entries(points) => points.count(at, window) as u64,
            Self::Different(values) | Self::Alike(values) => {
                values.points().count(at, window) as u64
            }
            Self::Share(sums) | Self::Past { recent: sums, .. } => {
                sums.window(at, window).map_or(0, |sum| sum.matches)
            }
            Self::Events(points) => points.count(at, window) as u64,
            Self::Last(_) => 0,
        }
    }

    /// How many matches came after `at`.
    pub(super) fn matches_after(&self, at: Timestamp) -> u64 {
        match self {
            Self::Share(sums) | Self::Past { recent: sums, .. } => sums.matches_after(at),
            Self::Last(_) => 0,
            _ => (self.len() - self.upto(at)) as u64,
        }
    }

    /// The oldest entry that has a part in the window that ends at `at`.
    pub(super) fn oldest(&self, at: Timestamp, asked: &Asked<'_>) -> Option<Timestamp> {
        let (from, to) = (self.upto(at.minus(asked.window())), self.upto(at));
        if let Self::Events(points) = self {
            return (from..to).map(|place| *points.get(place)).min();
        }
        (from..to)
            .find(|place| self.is_match(*place))
            .map(|place| self.time(place))
    }

    /// The newest match.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        match self {
            Self::Last(last) => *last,
            _ => (0..self.len())
                .rev()
                .find(|place| self.is_match(*place))
                .map(|place| self.time(place)),
        }
    }

    /// The first entry in `[from, from + window)` at whose time the condition is true: after an entry at `from`, these are all
    /// at which it can have become so.
    pub(super) fn first_true(&self, from: Timestamp, asked: &Asked<'_>) -> Option<Timestamp> {
        let end = from.plus(asked.window());
        (self.before(from)..self.len())
            .map(|place| self.time(place))
            .take_while(|at| *at < end || *at == from)
            .find(|at| self.holds(*at, asked))
    }

    /// The first entry at or after `from` at whose time the condition is true.
    pub(super) fn any_true(&self, from: Timestamp, asked: &Asked<'_>) -> Option<Timestamp> {
        (self.before(from)..self.len())
            .map(|place| self.time(place))
            .find(|at| self.holds(*at, asked))
    }

    /// The newest match in `[from, to]` at whose time the condition is true.
    pub(super) fn last_true(
        &self,
        from: Timestamp,
        to: Timestamp,
        asked: &Asked<'_>,
    ) -> Option<Timestamp> {
        if from > to {
            return None;
        }
        (self.before(from)..self.upto(to))
            .rev()
            .filter(|place| self.is_match(*place))
            .map(|place| self.time(place))
            .find(|at| self.holds(*at, asked))
    }

    /// The first instant at or after `from` at which the condition is true, if nothing else comes.
    pub(super) fn next_true(&self, from: Timestamp, asked: &Asked<'_>) -> Option<Timestamp> {
        // Mostly asked about the newest entry, where the answer is at hand.
        if self.holds(from, asked) {
            return Some(from);
        }
        if let Some(found) = self.walked((from, Timestamp::MAX), true, asked) {
            return found;
        }
        let mut at = from;
        while !self.holds(at, asked) {
            at = self.next_change(at, asked)?;
        }
        Some(at)
    }

    /// The first instant from `from` up to `until` at which the condition is not true, if nothing else comes.
    pub(super) fn next_false(
        &self,
        from: Timestamp,
        until: Timestamp,
        asked: &Asked<'_>,
    ) -> Option<Timestamp> {
        if from <= until && !self.holds(from, asked) {
            return Some(from);
        }
        if let Some(found) = self.walked((from, until), false, asked) {
            return found;
        }
        let mut at = from;
        while at <= until {
            if !self.holds(at, asked) {
                return Some(at);
            }
            at = self.next_change(at, asked)?;
        }
        None
    }

    /// The first instant in a span of time at which the condition is as `wanted`, where one walk over the entries tells it.
    fn walked(
        &self,
        span: (Timestamp, Timestamp),
        wanted: bool,
        asked: &Asked<'_>,
    ) -> Option<Option<Timestamp>> {
        let window = asked.window();
        match (self, asked.condition) {
            (Self::Entries(points), Condition::Count(Threshold { needs, .. })) => Some(
                walk::first::<_, walk::Each>(points, window, *needs, span, wanted),
            ),
            (Self::Different(values), Condition::Distinct(distinct)) => {
                let (points, needs) = (values.points(), distinct.threshold.needs);
                Some(walk::first::<_, walk::Different>(
                    points, window, needs, span, wanted,
                ))
            }
            _ => None,
        }
    }

    /// The first instant after `after` at which an entry comes or leaves.
    fn next_change(&self, after: Timestamp, asked: &Asked<'_>) -> Option<Timestamp> {
        let window = asked.window();
        let first = |points: &dyn Fn(Timestamp) -> Option<Timestamp>, offset: Duration| {
            points(after.minus(offset)).map(|at| at.plus(offset))
        };
        let of = |after: Timestamp| {
            let place = self.upto(after);
            (place < self.len()).then(|| self.time(place))
        };
        let mut next = [first(&of, Duration::ZERO), first(&of, window)]
            .into_iter()
            .flatten()
            .min();
        if let (Self::Past { past, .. }, Condition::Spike(spike)) = (self, asked.condition) {
            let points = past.points();
            let of = |after: Timestamp| {
                let place = points.upto(after);
                (place < points.len()).then(|| points.time(place))
            };
            let changes = [first(&of, window), first(&of, window + spike.past)];
            let full = Some(asked.full_from).filter(|full| *full > after);
            next = next
                .into_iter()
                .chain(changes.into_iter().flatten())
                .chain(full)
                .min();
        }
        if let Self::Last(last) = self {
            let left = last.map(|last| last.plus(window));
            next = (*last)
                .into_iter()
                .chain(left)
                .filter(|at| *at > after)
                .min();
        }
        // At the end of time nothing is later.
        next.filter(|next| *next > after)
    }

    /// Forgets the entries at and before `at`.
    pub(super) fn clear_through(&mut self, at: Timestamp) {
        match self {
            Self::Entries(points) => points.clear_through(at),
            Self::Different(values) | Self::Alike(values) => values.clear_through(at),
            Self::Share(sums) => sums.clear_through(at),
            Self::Past { recent, past } => {
                recent.clear_through(at);
                past.clear_through(at);
            }
            Self::Events(points) => points.clear_through(at),
            Self::Last(_) => {}
        }
    }

    /// Forgets entries that no window at or after `at` holds.
    pub(super) fn forget_before(&mut self, at: Timestamp, asked: &Asked<'_>) {
        let from = at.minus(asked.window());
        match (self, asked.condition) {
            (Self::Past { recent, past }, Condition::Spike(spike)) => {
                recent.clear_through(from);
                past.clear_through(from.minus(spike.past));
            }
            (counted, _) => counted.clear_through(from),
        }
    }

    /// Memory beside itself, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Entries(points) => points.heap_bytes(),
            Self::Different(values) | Self::Alike(values) => {
                size_of::<Values>() + values.heap_bytes()
            }
            Self::Share(sums) => size_of::<Sums>() + sums.heap_bytes(),
            Self::Past { recent, past } => {
                2 * size_of::<Sums>() + recent.heap_bytes() + past.heap_bytes()
            }
            Self::Events(points) => points.heap_bytes(),
            Self::Last(_) => 0,
        }
    }

    /// Keeps as little as the condition can be decided with, for want of memory: a tenth of the entries, and a sixteenth of the
    /// points of a share or a comparison. What is counted is "at least" then, and times are coarser.
    pub(super) fn keep_few(&mut self, condition: &Condition) {
        match (self, condition) {
            (Self::Entries(points), Condition::Count(threshold)) => {
                points.keep_newest(entries_max(threshold) / 10);
                points.shrink();
            }
            (Self::Different(values), Condition::Distinct(distinct)) => {
                values.keep_few(&distinct.threshold, true);
            }
            (Self::Alike(values), Condition::NewPattern { threshold, .. }) => {
                values.keep_few(threshold, false);
            }
            (Self::Share(sums), Condition::Ratio(ratio)) => sums.keep_few(ratio.window),
            (Self::Past { recent, past }, Condition::Spike(spike)) => {
                recent.keep_few(spike.window);
                past.keep_few(spike.past);
            }
            _ => {}
        }
    }

    /// Whether the point at `place` has a match in it, and not only entries of a denominator.
    fn is_match(&self, place: usize) -> bool {
        match self {
            Self::Share(sums) => sums.has_match(place),
            _ => true,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Entries(points) => points.len(),
            Self::Different(values) | Self::Alike(values) => values.points().len(),
            Self::Share(sums) | Self::Past { recent: sums, .. } => sums.points().len(),
            Self::Events(points) => points.len(),
            Self::Last(_) => 0,
        }
    }

    fn time(&self, place: usize) -> Timestamp {
        match self {
            Self::Entries(points) => points.time(place),
            Self::Different(values) | Self::Alike(values) => values.points().time(place),
            Self::Share(sums) | Self::Past { recent: sums, .. } => sums.points().time(place),
            Self::Events(points) => points.time(place),
            Self::Last(_) => unreachable!("there are no places"),
        }
    }

    fn upto(&self, at: Timestamp) -> usize {
        match self {
            Self::Entries(points) => points.upto(at),
            Self::Different(values) | Self::Alike(values) => values.points().upto(at),
            Self::Share(sums) | Self::Past { recent: sums, .. } => sums.points().upto(at),
            Self::Events(points) => points.upto(at),
            Self::Last(_) => 0,
        }
    }

    fn before(&self, at: Timestamp) -> usize {
        match self {
            Self::Entries(points) => points.before(at),
            Self::Different(values) | Self::Alike(values) => values.points().before(at),
            Self::Share(sums) | Self::Past { recent: sums, .. } => sums.points().before(at),
            Self::Events(points) => points.before(at),
            Self::Last(_) => 0,
        }
    }
}

/// Whether the share of matches is as the rule wants, exactly.
fn share_holds(sum: Sum, ratio: &Ratio) -> bool {
    if sum.entries == 0 || sum.entries < ratio.min_count {
        return false;
    }
    let share = u128::from(sum.matches) * 100 * u128::from(Decimal::ONE);
    let wanted = u128::from(ratio.percent.millionths) * u128::from(sum.entries);
    compares(ratio.comparison, share, wanted)
}

/// Whether the window compares with the past as the rule wants, exactly: durations are whole milliseconds.
fn spike_holds(now: u64, then: u64, spike: &Spike) -> bool {
    let now_long = u128::from(now) * spike.past.as_millis();
    let then_long = u128::from(then) * spike.window.as_millis();
    let enough = match spike.comparison {
        // A fall is told from how much there used to be.
        Comparison::Below | Comparison::AtMost => {
            then > 0 && then_long >= u128::from(spike.min_count) * spike.past.as_millis()
        }
        _ => now >= spike.min_count.max(1),
    };
    enough
        && compares(
            spike.comparison,
            now_long.saturating_mul(u128::from(Decimal::ONE)),
            then_long.saturating_mul(u128::from(spike.factor.millionths)),
        )
}

fn compares(comparison: Comparison, left: u128, right: u128) -> bool {
    match comparison {
        Comparison::AtLeast => left >= right,
        Comparison::Above => left > right,
        Comparison::Below => left < right,
        Comparison::AtMost => left <= right,
        Comparison::Equal => left == right,
        Comparison::NotEqual => left != right,
    }
}
