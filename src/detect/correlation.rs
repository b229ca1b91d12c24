//! Which findings are parts of which: rules on findings, in an order in which parts come before what they make.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::detector::Detector;
use super::keys::{KeyRef, over_keys};
use super::lifecycle::{KeyState, PartSeen};
use super::watchers::Spoken;
use crate::finding::Reason;
use crate::hit::{Key, RuleIndex};
use crate::rules::{Condition, Correlate, Part, Rule, RuleSet, Severity};
use crate::time::Timestamp;

/// The rules on findings of a rule set.
#[derive(Debug, Default)]
pub(super) struct Correlations {
    /// In an order in which each comes after its parts.
    pub(super) rules: Vec<Correlation>,
    /// For each rule of the set how deep below it parts go: 0 for rules on entries.
    depth: Vec<usize>,
    /// For each rule of the set whether its findings are parts of others.
    part: Vec<bool>,
}

/// A rule on findings.
#[derive(Debug)]
pub(super) struct Correlation {
    pub(super) rule: RuleIndex,
    /// The rules that each part stands for: `all`, then `any`, then `none`.
    pub(super) all: Vec<Vec<RuleIndex>>,
    pub(super) any: Vec<Vec<RuleIndex>>,
    pub(super) none: Vec<Vec<RuleIndex>>,
}

impl Correlation {
    /// The rules whose findings make this one.
    pub(super) fn makers(&self) -> impl Iterator<Item = RuleIndex> {
        self.all.iter().chain(&self.any).flatten().copied()
    }

    /// Whether findings of `rule` have a say in this one.
    pub(super) fn concerns(&self, rule: RuleIndex) -> bool {
        let mut parts = self.all.iter().chain(&self.any).chain(&self.none);
        parts.any(|rules| rules.contains(&rule))
    }
}

impl Correlations {
    /// Cost: linear in the rules and parts.
    pub(super) fn new(rules: &RuleSet) -> Self {
        let mut by_type: BTreeMap<&str, Vec<RuleIndex>> = BTreeMap::new();
        for (index, rule) in rules.iter() {
            by_type.entry(&rule.incident_type).or_default().push(index);
        }
        let resolve = |own: RuleIndex, parts: &[Part]| -> Vec<Vec<RuleIndex>> {
            let rules_of = |part: &Part| match part {
                Part::Rule(id) => rules.find(id).into_iter().map(|(index, _)| index).collect(),
                // A rule is no part of itself, though its own type may be that of its parts.
                Part::IncidentType(name) => {
                    let all = by_type.get(name.as_str()).into_iter().flatten();
                    all.copied().filter(|index| *index != own).collect()
                }
            };
            parts.iter().map(rules_of).collect()
        };
        let mut found: Vec<Correlation> = rules
            .iter()
            .filter_map(|(index, rule)| {
                let Condition::Correlate(correlate) = &rule.condition else {
                    return None;
                };
                Some(Correlation {
                    rule: index,
                    all: resolve(index, &correlate.all),
                    any: resolve(index, &correlate.any),
                    none: resolve(index, &correlate.none),
                })
            })
            .collect();
        // Rules of a set have no cycles; if they had, their depth would only stop growing.
        let mut depth = vec![0; rules.rules.len()];
        for _ in 0..found.len() {
            let mut grown = false;
            for correlation in &found {
                let parts = correlation
                    .all
                    .iter()
                    .chain(&correlation.any)
                    .chain(&correlation.none);
                let below = parts.flatten().map(|part| depth[part.0 as usize]).max();
                let own = &mut depth[correlation.rule.0 as usize];
                let least = below.map_or(1, |below| below + 1);
                if *own < least {
                    *own = least;
                    grown = true;
                }
            }
            if !grown {
                break;
            }
        }
        found.sort_by_key(|correlation| (depth[correlation.rule.0 as usize], correlation.rule));
        let mut part = vec![false; rules.rules.len()];
        for correlation in &found {
            let parts = correlation
                .all
                .iter()
                .chain(&correlation.any)
                .chain(&correlation.none);
            parts
                .flatten()
                .for_each(|rule| part[rule.0 as usize] = true);
        }
        Self {
            rules: found,
            depth,
            part,
        }
    }

    /// Whether findings of `rule` are parts of others.
    pub(super) fn is_part(&self, rule: RuleIndex) -> bool {
        self.part[rule.0 as usize]
    }

    /// How many levels of parts `rule` has below it.
    pub(super) fn depth(&self, rule: RuleIndex) -> usize {
        self.depth[rule.0 as usize]
    }
}

/// What a part says of the `by` of the rule above: `None` for a name that it has no value for, which joins any.
pub(super) type Assignment = Vec<Option<Box<str>>>;

/// Most keys that one change can concern: beyond, the others wait for a change of their own.
const CANDIDATES_MAX: usize = 256;

/// What a finding of `part` with the key `key` says of the `by` of `above`.
pub(super) fn assignment(above: &Rule, part: &Rule, key: &Key) -> Assignment {
    let value = |name: &String| {
        let place = part.by.iter().position(|other| other == name)?;
        key.get(place)
            .filter(|value| !value.is_empty())
            .map(Box::from)
    };
    above.by.iter().map(value).collect()
}

/// Whether a part with `part` is one of the finding with `key`.
pub(super) fn joins(part: &Assignment, key: &Key) -> bool {
    part.iter()
        .zip(key.iter())
        .all(|(value, wanted)| value.as_deref().is_none_or(|value| value == wanted))
}

/// The keys of the rule above that a part with `changed` may concern, in order: what it lacks comes from `others` that agree.
pub(super) fn candidates(changed: &Assignment, others: &BTreeSet<Assignment>) -> BTreeSet<Key> {
    let mut found = BTreeSet::from([changed.clone()]);
    if changed.iter().any(Option::is_none) {
        for other in others {
            let merged: Vec<_> = found.iter().filter_map(|one| merge(one, other)).collect();
            found.extend(merged);
            if found.len() > CANDIDATES_MAX {
                break;
            }
        }
    }
    // Where one says more than another, the other is only a part of it.
    let says_most = |one: &&Assignment| {
        !found
            .iter()
            .any(|other| other != *one && merge(one, other).as_ref() == Some(other))
    };
    found
        .iter()
        .filter(says_most)
        .take(CANDIDATES_MAX)
        .map(|values| {
            values
                .iter()
                .map(|value| value.clone().unwrap_or_default())
                .collect()
        })
        .collect()
}

/// Both together, if they agree.
fn merge(one: &Assignment, other: &Assignment) -> Option<Assignment> {
    one.iter()
        .zip(other)
        .map(|(one, other)| match (one, other) {
            (Some(one), Some(other)) if one != other => None,
            (one, other) => Some(one.clone().or_else(|| other.clone())),
        })
        .collect()
}

/// Whether a finding opens, or stays, given how many of its parts are there.
pub(super) fn is_made(
    rule: &Correlate,
    of: &Correlation,
    there: impl Fn(&[RuleIndex]) -> bool,
) -> bool {
    of.all.iter().all(|part| there(part))
        && of.any.iter().filter(|part| there(part)).count() >= rule.at_least
}

impl Detector {
    /// Looks at the rules on findings after what changed at the instant `at`.
    pub(super) fn correlate(&mut self, tenant: &Arc<str>, at: Timestamp, spoken: &Spoken) {
        if self.stirred.is_empty() {
            return;
        }
        // In order of depth: what is made here may be a part of what comes later.
        for place in 0..self.correlations.rules.len() {
            let above = &self.correlations.rules[place];
            let stirred = self.stirred.iter().filter(|key| above.concerns(key.rule));
            let stirred: Vec<KeyRef> = stirred.cloned().collect();
            if !stirred.is_empty() {
                for key in self.concerned(place, tenant, &stirred) {
                    self.make(place, &key, at, spoken);
                }
            }
        }
        self.stirred.clear();
    }

    /// The keys of a rule on findings that changes of its parts concern, in order.
    fn concerned(&self, place: usize, tenant: &Arc<str>, stirred: &[KeyRef]) -> BTreeSet<KeyRef> {
        let of = &self.correlations.rules[place];
        let above = self.rules.rule(of.rule);
        let says = |key: &KeyRef| assignment(above, self.rules.rule(key.rule), &key.key);
        let others: BTreeSet<Assignment> = of
            .makers()
            .flat_map(|rule| self.open_keys(rule, tenant))
            .map(|key| says(&key))
            .collect();
        let open = self.open_keys(of.rule, tenant);
        let open: Vec<KeyRef> = open.collect();
        let mut concerned = BTreeSet::new();
        for key in stirred {
            let changed = says(key);
            let found = candidates(&changed, &others).into_iter();
            concerned.extend(found.map(|key| KeyRef::new(of.rule, tenant, &key)));
            concerned.extend(open.iter().filter(|key| joins(&changed, &key.key)).cloned());
        }
        concerned
    }

    /// The open keys of `rule`, in order.
    fn open_keys(&self, rule: RuleIndex, tenant: &Arc<str>) -> impl Iterator<Item = KeyRef> {
        let first = KeyRef::new(rule, tenant, &Key::default());
        let open = self.states[rule.0 as usize].ranks.open.range(first..);
        open.take_while(move |key| key.tenant == *tenant).cloned()
    }

    /// Opens, extends or ends the finding of `key` as its parts are at `at`, or when the last of them opened.
    fn make(&mut self, place: usize, key: &KeyRef, at: Timestamp, spoken: &Spoken) {
        let of = &self.correlations.rules[place];
        let above = Arc::clone(self.rules.rule(of.rule));
        let Condition::Correlate(rule) = &above.condition else {
            return;
        };
        let joined = |part: RuleIndex| {
            let below = self.rules.rule(part);
            self.open_keys(part, &key.tenant)
                .filter(|open| joins(&assignment(&above, below, &open.key), &key.key))
                .collect::<Vec<_>>()
        };
        // A part that came late is there with those that were known before, from when they are.
        let opened = of.makers().flat_map(joined);
        let opened = opened.filter_map(|part| self.key(&part)?.opened_at()).max();
        let at = opened.map_or(at, |opened| opened.max(at));
        let is_there = |part: &KeyRef| {
            let state = self.key(part).zip(self.context(part));
            state.is_some_and(|(state, cx)| state.is_there(&cx, at, rule.within))
        };
        let is_open = self.key(key).is_some_and(KeyState::is_open);
        let any_open = |part: &[RuleIndex]| part.iter().any(|part| !joined(*part).is_empty());
        let any_there = |part: &[RuleIndex]| {
            let mut keys = part.iter().flat_map(|part| joined(*part));
            keys.any(|key| is_there(&key))
        };
        if is_open && !is_made(rule, of, any_open) {
            let reason = self.why_over(of, &key.tenant);
            self.end(key, at, reason, spoken);
            return;
        }
        let opens = || is_made(rule, of, any_there) && !of.none.iter().any(|part| any_there(part));
        if !is_open && !opens() {
            return;
        }
        let parts: BTreeSet<KeyRef> = of
            .makers()
            .flat_map(joined)
            .filter(|part| is_there(part))
            .collect();
        let seen: Vec<PartSeen> = parts
            .iter()
            .filter_map(|part| self.key(part)?.as_part(&self.context(part)?))
            .collect();
        let hides = rule.hides;
        self.step(key, spoken, |state, cx| state.parts_are_there(cx, at, seen));
        let made = self.key(key).and_then(|state| {
            let cx = self.context(key)?;
            state.as_part(&cx).map(|part| part.joined)
        });
        let Some(made) = made else { return };
        for part in parts {
            if hides {
                let by = self.hidden.entry(part.clone()).or_default();
                by.insert(key.clone());
            }
            self.step(&part, spoken, |state, _| state.is_part_of(&made));
        }
    }

    /// Why a finding is over whose parts no longer make it: as the part that ended at this instant.
    fn why_over(&self, of: &Correlation, tenant: &Arc<str>) -> Reason {
        let stirred = self.stirred.iter();
        let mut ended = stirred
            .filter(|key| key.tenant == *tenant && of.concerns(key.rule))
            .filter_map(|key| self.key(key)?.ended_by());
        ended.next().unwrap_or(Reason::Quiet)
    }

    fn end(&mut self, key: &KeyRef, at: Timestamp, reason: Reason, spoken: &Spoken) {
        self.step(key, spoken, |state, cx| {
            state.parts_are_over(cx, at, reason)
        });
        self.stop_hiding(key, at, spoken);
    }

    /// The finding of `key` is over: what it held back is told.
    pub(super) fn stop_hiding(&mut self, key: &KeyRef, at: Timestamp, spoken: &Spoken) {
        let mut shown = Vec::new();
        self.hidden.retain(|part, by| {
            let was = by.remove(key);
            if was && by.is_empty() {
                shown.push(part.clone());
            }
            !by.is_empty()
        });
        for part in shown {
            self.step(&part, spoken, |state, _| state.unhide(at));
        }
    }

    /// The open findings of a rule on findings hold back what their parts say, as they did before.
    pub(super) fn hide_again(&mut self, place: usize, tenant: &Arc<str>) {
        let rule = self.correlations.rules[place].rule;
        let hides =
            matches!(&self.rules.rule(rule).condition, Condition::Correlate(it) if it.hides);
        let open: Vec<KeyRef> = self.open_keys(rule, tenant).filter(|_| hides).collect();
        for key in open {
            let joined = self.key(&key).map_or(&[][..], KeyState::joined);
            let parts: Vec<KeyRef> = joined
                .iter()
                .filter_map(|part| {
                    let (rule, _) = self.rules.find(&part.rule)?;
                    Some(KeyRef::new(rule, tenant, &part.key))
                })
                .collect();
            for part in parts {
                self.hidden.entry(part).or_default().insert(key.clone());
            }
        }
    }

    /// Looks at the open findings that are made of others: their parts may have gone with their rules. None opens: that takes a
    /// change of a part, or a restart would say what an undisturbed run did not.
    pub(super) fn end_those_without_parts(&mut self, tenant: &Arc<str>, at: Timestamp) {
        for place in 0..self.correlations.rules.len() {
            let rule = self.correlations.rules[place].rule;
            let open: Vec<KeyRef> = self.open_keys(rule, tenant).collect();
            for key in open {
                self.make(place, &key, at, &Spoken::default());
            }
        }
        self.stirred.clear();
    }

    /// Escalations that count over all keys of a rule: when one more key counts, all that do may get worse.
    pub(super) fn escalate_over_keys(&mut self, tenant: &Arc<str>, at: Timestamp, spoken: &Spoken) {
        for rule in std::mem::take(&mut self.counting) {
            let open: Vec<KeyRef> = self.open_keys(rule, tenant).collect();
            let mut worse: Vec<(KeyRef, Severity)> = Vec::new();
            for (to, threshold, by) in over_keys(self.rules.rule(rule)) {
                let counts = |key: &&KeyRef| {
                    self.key(key)
                        .is_some_and(|state| state.counts_at(at, threshold.window))
                };
                let counted: Vec<&KeyRef> = open.iter().filter(counts).collect();
                let different: BTreeSet<&str> = counted
                    .iter()
                    .filter_map(|key| key.key.get(by))
                    .filter(|value| !value.is_empty())
                    .collect();
                if threshold.needs.met_by(different.len() as u64) {
                    worse.extend(counted.into_iter().map(|key| (key.clone(), to)));
                }
            }
            for (key, to) in worse {
                self.step(&key, spoken, |state, _| state.raise(to, at));
            }
        }
    }
}
