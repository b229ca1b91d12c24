//! Matches in a given order: which of them make a sequence.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::points::Points;
use crate::detect::coverage::Clock;
use crate::hit::Parts;
use crate::rules::Sequence;
use crate::time::Timestamp;

/// The entries of one key that may yet be part of a sequence, and what has begun and waits for its last step not to come.
///
/// 12 bytes an entry. Of the entries that fulfil the same steps the newest are kept, ten times as many as the rule asks for
/// and at least [`ENTRIES_MIN`]; 16 bytes a beginning, up to [`STARTS_MAX`], beyond which the oldest go.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::detect) struct Progress {
    entries: Points<Parts>,
    /// Entries at or before this time were part of a sequence, or came too late to be.
    done: Option<Timestamp>,
    /// Sequences that lack only what must not come, by when they began and when they had come so far.
    starts: VecDeque<Start>,
    /// When what must not come has come: a beginning may yet arrive that it ends.
    ends: Points<()>,
}

/// Least entries that are kept of those that fulfil the same steps.
const ENTRIES_MIN: usize = 100;

/// Most beginnings that wait at once.
const STARTS_MAX: usize = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Start {
    first: Timestamp,
    came: Timestamp,
}

/// A sequence that has come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::detect) struct Completed {
    /// The time of its first entry.
    pub(in crate::detect) first: Timestamp,
    /// When it was complete.
    pub(in crate::detect) at: Timestamp,
}

impl Progress {
    /// Memory, itself included, in bytes.
    pub(in crate::detect) fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.entries.heap_bytes()
            + self.ends.heap_bytes()
            + self.starts.capacity() * size_of::<Start>()
    }

    /// Takes the entries of one time, by the steps that each fulfils; gives the sequence that they complete, if any, and whether
    /// what must not come has come.
    pub(in crate::detect) fn take(
        &mut self,
        at: Timestamp,
        entries: impl Iterator<Item = Parts>,
        rule: &Sequence,
        clock: &Clock,
    ) -> (Option<Completed>, bool) {
        let last = rule.steps.len() - 1;
        let mut came = false;
        let mut new = false;
        for parts in entries {
            // An entry that ends a wait begins none, though it may look like a first step too.
            if rule.absent.is_some() && parts.has(rule.steps.len()) {
                if !came {
                    self.ends.insert(at, ());
                    self.ends.keep_newest(STARTS_MAX);
                }
                came = true;
            } else if self.done.is_none_or(|done| at > done) {
                self.entries.insert(at, parts);
                new = true;
            }
        }
        let mut completed = None;
        if new {
            self.keep_bounds(rule);
            // A late entry may complete a sequence whose last entry is already there.
            let until = at.plus(rule.within);
            let ends: Vec<Timestamp> = self
                .entries
                .iter()
                .filter(|(time, parts)| *time >= at && *time < until && parts.has(last))
                .map(|(time, _)| *time)
                .collect();
            completed = ends.into_iter().find_map(|end| {
                let first = self.chain(end, rule)?;
                Some(Completed { first, at: end })
            });
        }
        if let Some(done) = completed {
            self.entries.clear_through(done.at);
            if rule.absent.is_none() {
                self.done = self.done.max(Some(done.at));
            } else {
                completed = None;
                self.begin(done, rule, clock);
            }
        }
        if came {
            self.starts
                .retain(|start| start.came > at || clock.after(start.first, rule.within) < at);
        }
        (completed, came)
    }

    /// All but the last step has come: waits for that, unless it is there already.
    fn begin(&mut self, begun: Completed, rule: &Sequence, clock: &Clock) {
        let due = clock.after(begun.first, rule.within);
        let end = self.ends.before(begun.at);
        if end < self.ends.len() && self.ends.time(end) <= due {
            return;
        }
        if self.starts.len() == STARTS_MAX {
            self.starts.pop_front();
        }
        let place = self
            .starts
            .partition_point(|other| other.first <= begun.first);
        let start = Start {
            first: begun.first,
            came: begun.at,
        };
        self.starts.insert(place, start);
    }

    /// When the oldest beginning has waited long enough.
    pub(in crate::detect) fn deadline(&self, rule: &Sequence, clock: &Clock) -> Option<Timestamp> {
        let start = self.starts.front()?;
        Some(clock.after(start.first, rule.within))
    }

    /// Takes the beginnings whose wait is over at `deadline`: nothing came.
    pub(in crate::detect) fn settle(
        &mut self,
        deadline: Timestamp,
        rule: &Sequence,
        clock: &Clock,
    ) -> Option<Completed> {
        let mut first = None;
        while let Some(start) = self.starts.front()
            && clock.after(start.first, rule.within) <= deadline
        {
            first = first.or(Some(start.first));
            self.starts.pop_front();
        }
        first.map(|first| Completed {
            first,
            at: deadline,
        })
    }

    /// A recovery empties what has begun.
    pub(in crate::detect) fn clear_through(&mut self, at: Timestamp) {
        self.entries.clear_through(at);
        self.done = self.done.max(Some(at));
        self.starts.retain(|start| start.came > at);
    }

    /// Forgets entries too old to be part of anything at `clock`.
    pub(in crate::detect) fn forget_before(&mut self, clock: Timestamp, rule: &Sequence) {
        let from = clock.minus(rule.within);
        self.entries.clear_through(from);
        self.ends.clear_through(from);
    }

    /// Whether anything waits.
    pub(in crate::detect) fn waits(&self) -> bool {
        !self.starts.is_empty()
    }

    fn keep_bounds(&mut self, rule: &Sequence) {
        let asked: usize = rule
            .steps
            .iter()
            .map(|step| step.count.get() as usize)
            .sum();
        let most = asked.saturating_mul(10).max(ENTRIES_MIN);
        if self.entries.len() <= most {
            return;
        }
        let mut alike: BTreeMap<Parts, usize> = BTreeMap::new();
        for (_, parts) in self.entries.iter() {
            *alike.entry(*parts).or_default() += 1;
        }
        self.entries.retain(|(_, parts)| {
            let left = alike.get_mut(parts).expect("counted above");
            *left -= 1;
            *left < most
        });
    }

    /// The first entry of the latest sequence whose last entry is at `end`, if there is one.
    fn chain(&self, end: Timestamp, rule: &Sequence) -> Option<Timestamp> {
        // The steps still to be found, each once for every entry that it wants; the last one first.
        let mut slots: Vec<usize> = Vec::new();
        for (step, wanted) in rule.steps.iter().enumerate() {
            slots.extend(std::iter::repeat_n(step, wanted.count.get() as usize));
        }
        let mut upto = self.entries.upto(end);
        let mut first = None;
        while !slots.is_empty() {
            let at = self.entries.time(upto.checked_sub(1)?);
            if end.since(at) >= rule.within {
                return None;
            }
            let from = self.entries.before(at);
            let together: Vec<Parts> = (from..upto).map(|place| *self.entries.get(place)).collect();
            let taken = take_last(&slots, &together);
            if taken == 0 && at == end {
                return None;
            }
            if taken > 0 {
                first = Some(at);
            }
            slots.truncate(slots.len() - taken);
            upto = from;
        }
        first
    }
}

/// How many of the last `slots` the entries of one time fill at most, one slot each: as many as possible leaves least to be
/// found before them.
fn take_last(slots: &[usize], together: &[Parts]) -> usize {
    // For each entry the slot that it fills: slots are given out one by one, and earlier ones make way where they can.
    let mut filled: Vec<Option<usize>> = vec![None; together.len()];
    let mut taken = 0;
    for slot in (0..slots.len()).rev().take(together.len()) {
        let mut tried = vec![false; together.len()];
        if !give(slot, slots, together, &mut filled, &mut tried) {
            break;
        }
        taken += 1;
    }
    taken
}

/// Finds an entry for `slot`, moving other slots to other entries if need be: an augmenting path of bipartite matching.
fn give(
    slot: usize,
    slots: &[usize],
    together: &[Parts],
    filled: &mut [Option<usize>],
    tried: &mut [bool],
) -> bool {
    for entry in 0..together.len() {
        if tried[entry] || !together[entry].has(slots[slot]) {
            continue;
        }
        tried[entry] = true;
        let free = match filled[entry] {
            None => true,
            Some(other) => give(other, slots, together, filled, tried),
        };
        if free {
            filled[entry] = Some(slot);
            return true;
        }
    }
    false
}
