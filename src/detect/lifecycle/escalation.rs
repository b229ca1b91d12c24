//! What raises the severity of one key's finding.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::detect::condition::{Asked, Counted, hash};
use crate::hit::Hit;
use crate::rules::{Condition, EscalateWhen, Rule, Severity};
use crate::time::Timestamp;

/// What each escalation of the rule has counted for one key, in the rule's order.
///
/// Memory: a window of its own for each count or distinct count (8 or 16 bytes an entry, see [`Counted`]), 12 bytes otherwise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Escalations {
    /// A hash of what is counted: it is no part of a rule's meaning, so it may change under a key.
    of: u64,
    counters: Vec<Counter>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Counter {
    /// By age, or over all keys of the rule: nothing to count here.
    Elsewhere,
    Window(Counted),
    /// The newest entry that fulfils the match.
    Marked(Option<Timestamp>),
}

impl Escalations {
    pub(super) fn new(rule: &Rule) -> Self {
        let counter = |when: &EscalateWhen| match when {
            EscalateWhen::After(_) => Counter::Elsewhere,
            EscalateWhen::Distinct(distinct) if rule.by.contains(&distinct.name) => {
                Counter::Elsewhere
            }
            EscalateWhen::Match(_) => Counter::Marked(None),
            when => condition(when).map_or(Counter::Elsewhere, |condition| {
                Counter::Window(Counted::new(&condition))
            }),
        };
        Self {
            of: hash_of(rule),
            counters: rule.escalate.iter().map(|it| counter(&it.when)).collect(),
        }
    }

    /// Whether it was made for the escalations of `rule`.
    pub(super) fn fit(&self, rule: &Rule) -> bool {
        self.of == hash_of(rule)
    }

    /// Memory beside itself, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        let windows = self.counters.iter().map(|counter| match counter {
            Counter::Window(counted) => counted.heap_bytes(),
            Counter::Elsewhere | Counter::Marked(_) => 0,
        });
        windows.sum::<usize>() + self.counters.capacity() * size_of::<Counter>()
    }

    /// Counts `matches` of one time, with their hits as far as these are kept.
    pub(super) fn count(&mut self, rule: &Rule, at: Timestamp, hits: &[Hit], matches: u64) {
        let mut marks = 0;
        for (escalation, counter) in rule.escalate.iter().zip(&mut self.counters) {
            let mark = marks;
            marks += usize::from(matches!(escalation.when, EscalateWhen::Match(_)));
            match counter {
                Counter::Elsewhere => {}
                Counter::Marked(newest) => {
                    if hits.iter().any(|hit| hit.parts.escalates(mark)) {
                        *newest = (*newest).max(Some(at));
                    }
                }
                Counter::Window(counted) => {
                    let Some(condition) = condition(&escalation.when) else {
                        continue;
                    };
                    let asked = asked(&condition);
                    if let EscalateWhen::Distinct(distinct) = &escalation.when {
                        let values = hits.iter().filter_map(|hit| hit.values.get(distinct.value));
                        for value in values.filter(|value| !value.is_empty()) {
                            counted.add_value(at, hash(value), &asked);
                        }
                    } else {
                        counted.add(at, matches, matches, &asked);
                    }
                }
            }
        }
    }

    /// The highest severity that entries at or after `from` call for, if one does at or after `at`, and when it does.
    pub(super) fn severity(
        &self,
        rule: &Rule,
        from: Timestamp,
        at: Timestamp,
    ) -> Option<(Severity, Timestamp)> {
        let called = rule.escalate.iter().zip(&self.counters);
        let called = called.filter_map(|(escalation, counter)| {
            let when = match counter {
                Counter::Elsewhere => None,
                Counter::Marked(newest) => newest.filter(|newest| *newest >= from),
                Counter::Window(counted) => {
                    let condition = condition(&escalation.when)?;
                    counted.any_true(at, &asked(&condition))
                }
            };
            Some((escalation.to, when?))
        });
        called.max_by_key(|(to, when)| (*to, std::cmp::Reverse(*when)))
    }

    /// A finding begins: entries before `from` are not its own.
    pub(super) fn begin(&mut self, from: Timestamp) {
        for counter in &mut self.counters {
            if let Counter::Window(counted) = counter {
                counted.clear_through(from.minus(Duration::from_nanos(1)));
            }
        }
    }

    /// Forgets entries too old to matter at `clock`.
    pub(super) fn forget_before(&mut self, rule: &Rule, clock: Timestamp) {
        for (escalation, counter) in rule.escalate.iter().zip(&mut self.counters) {
            if let Counter::Window(counted) = counter
                && let Some(condition) = condition(&escalation.when)
            {
                counted.forget_before(clock, &asked(&condition));
            }
        }
    }
}

fn hash_of(rule: &Rule) -> u64 {
    if rule.escalate.is_empty() {
        return 0;
    }
    hash(&format!("{:?} {:?}", rule.escalate, rule.values))
}

/// An escalation's condition as one that is counted.
fn condition(when: &EscalateWhen) -> Option<Condition> {
    match when {
        EscalateWhen::Count(threshold) => Some(Condition::Count(*threshold)),
        EscalateWhen::Distinct(distinct) => Some(Condition::Distinct(distinct.clone())),
        EscalateWhen::After(_) | EscalateWhen::Match(_) => None,
    }
}

fn asked(condition: &Condition) -> Asked<'_> {
    Asked {
        condition,
        full_from: Timestamp::MIN,
    }
}
