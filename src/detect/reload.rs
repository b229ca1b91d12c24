//! What a new rule set and new settings keep, and what a restart brings back.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::changes::{RestoreError, Restored, Saved};
use super::correlation::Correlations;
use super::detector::Detector;
use super::keys::{KeyRef, RuleState, Tenant, Timers};
use super::lifecycle::KeyState;
use super::settings::Settings;
use super::watchers::Spoken;
use crate::finding::Redactor;
use crate::hit::{Key, RuleIndex};
use crate::rules::RuleSet;
use crate::time::Timestamp;

/// A key's state with the meaning and the `by` of the rule that it was made under.
pub(super) struct Kept {
    pub(super) tenant: Arc<str>,
    pub(super) by_values: Key,
    pub(super) meaning: u64,
    pub(super) by: Vec<String>,
    pub(super) state: Box<KeyState>,
    /// Whether the rule is word for word the same, and what is stored of the key is as good as ever.
    pub(super) stored: bool,
}

impl Detector {
    /// Changes to another rule set. State of a rule whose meaning is unchanged stays; a changed rule starts with empty windows and
    /// its open findings go on, unless its `by` changed; those and the open findings of a removed rule end at their tenant's time.
    ///
    /// Hits that are applied afterwards must be of `rules`: a rule's index in one set means another rule, or none, in the next.
    /// Costs a step for each key, and those of rules that have changed in anything are stored anew.
    pub fn set_rules(&mut self, rules: Arc<RuleSet>) {
        self.exchange(rules, false);
    }

    /// Goes on with `rules`; `anew` stores every key again, since it is redacted otherwise now.
    fn exchange(&mut self, rules: Arc<RuleSet>, anew: bool) {
        // What has changed is named by the places of rules, which are about to be others.
        self.save_changed();
        self.tally_matches();
        let old_rules = std::mem::replace(&mut self.rules, Arc::clone(&rules));
        let fresh = rules
            .rules
            .iter()
            .map(|rule| RuleState::new(rule, &self.settings))
            .collect();
        self.correlations = Correlations::new(&rules);
        self.hidden.clear();
        self.counting.clear();
        let old_states: Vec<RuleState> = std::mem::replace(&mut self.states, fresh);
        self.keys_bytes = 0;
        self.watchers.clear();
        self.tenants.values_mut().for_each(|tenant| {
            tenant.timers = Timers::default();
            tenant.ready.clear();
        });

        for (rule, old) in old_rules.rules.iter().zip(old_states) {
            let meaning = old.meaning;
            let now = rules.find(&rule.id);
            let place = now.map(|(index, _)| index);
            let stored = !anew
                && now.is_some_and(|(_, now)| {
                    (&now.hash, &now.meaning) == (&rule.hash, &rule.meaning)
                });
            match place.map(|index| &mut self.states[index.0 as usize]) {
                Some(new) if new.meaning == meaning => {
                    let horizon = new.identities.horizon();
                    new.identities = old.identities.with_horizon(horizon);
                    new.seen = old.seen;
                }
                _ => self.identities -= old.identities.len(),
            }
            let mut keys: Vec<_> = old.keys.into_iter().collect();
            if place.is_some_and(|index| rules.rule(index).by == rule.by) {
                // The one longest untouched is still the first to be evicted.
                keys.sort_by_key(|(_, state)| state.touched);
            } else {
                // They end, and say so in this order.
                keys.sort_by(|(a, _), (b, _)| a.cmp(b));
            }
            for (at, state) in keys {
                self.keep(
                    place,
                    &rule.id,
                    Kept {
                        tenant: Arc::clone(&at.tenant),
                        by_values: at.key.clone(),
                        meaning,
                        by: rule.by.clone(),
                        state,
                        stored,
                    },
                );
            }
        }
        self.settle_in();
    }

    /// Changes how it decides and what it redacts, and as [`Detector::set_rules`] to other rules, from now on. What is remembered stays:
    /// a key that redaction now names otherwise is another key, and what `keys_max` has no more room for is forgotten, but nothing
    /// that is open.
    pub fn set_settings(&mut self, settings: Settings, redactor: Redactor, rules: Arc<RuleSet>) {
        self.settings = settings;
        self.redactor = redactor;
        self.exchange(rules, true);
    }

    /// Brings back what was stored, into a detector that has seen nothing.
    ///
    /// # Errors
    /// If the stored state cannot be read; the detector is then unchanged.
    pub fn restore(&mut self, saved: Saved) -> Result<(), RestoreError> {
        let Restored {
            keys,
            clocks,
            forgotten,
            seen,
            identities,
        } = saved.read()?;
        for (tenant, clock) in clocks {
            let before = clock.newest;
            self.tenants
                .insert(tenant.into(), Tenant::new(clock, before));
        }
        let by_meaning: BTreeMap<u64, usize> = self
            .states
            .iter()
            .enumerate()
            .map(|(place, state)| (state.meaning, place))
            .collect();
        for (meaning, forgotten) in forgotten {
            if let Some(place) = by_meaning.get(&meaning) {
                self.states[*place].identities.set_forgotten(forgotten);
            }
        }
        for (meaning, tenant, since) in seen {
            if let Some(place) = by_meaning.get(&meaning) {
                self.states[*place].seen.insert(tenant.into(), since);
            }
        }
        for identity in identities {
            if let Some(place) = by_meaning.get(&identity.meaning)
                && self.states[*place]
                    .identities
                    .remember(identity.at, identity.entry)
            {
                self.identities += 1;
            }
        }
        for (name, saved) in keys {
            let place = self.rules.find(&name.rule).map(|(index, _)| index);
            let kept = Kept {
                tenant: name.tenant,
                by_values: name.by,
                meaning: saved.meaning,
                by: saved.by,
                state: saved.state,
                stored: false,
            };
            self.keep(place, &name.rule, kept);
        }
        self.settle_in();
        Ok(())
    }

    /// All keys are in their places under the present rules: what is expected is armed, findings that are made of others hold back
    /// what they did, and those whose parts are gone with their rules end.
    pub(super) fn settle_in(&mut self) {
        self.make_room_everywhere();
        let tenants = self.tenants.iter();
        let tenants: Vec<_> = tenants
            .map(|(name, tenant)| (Arc::clone(name), tenant.clock.newest))
            .collect();
        for (tenant, newest) in tenants {
            self.expect(&tenant, newest);
            for place in 0..self.correlations.rules.len() {
                self.hide_again(place, &tenant);
            }
            self.end_those_without_parts(&tenant, newest);
            self.end_instant(&tenant, newest, &Spoken::default());
        }
    }

    /// Puts a key of the rule `id` in its place among the present rules, or ends it.
    pub(super) fn keep(&mut self, place: Option<RuleIndex>, id: &str, kept: Kept) {
        let Kept {
            tenant,
            by_values,
            meaning,
            by,
            mut state,
            stored,
        } = kept;
        let Some(index) = place.filter(|index| self.rules.rule(*index).by == by) else {
            let at = self
                .tenants
                .get(&tenant)
                .map_or(Timestamp::MIN, |tenant| tenant.clock.newest);
            let cluster = &self.settings.origin.cluster;
            let ended = state.remove_rule(at, cluster, &tenant);
            ended.iter().for_each(|it| self.changes.tell(it));
            self.changes.forget_key(id, &tenant, &by_values);
            return;
        };
        let rule = Arc::clone(self.rules.rule(index));
        let of_rule = &mut self.states[index.0 as usize];
        if of_rule.meaning != meaning {
            state.restart_counting(&rule);
        }
        state.fit(&rule);
        state.timer = None;
        state.leave_all();
        state.reckoned = 0;
        // It has its place, however many may be kept: a bound that is lower now forgets no open finding.
        let at = KeyRef::new(index, &tenant, &by_values);
        (of_rule.keys).insert(at.clone(), Box::new(KeyState::new(&rule)));
        self.step(&at, &Spoken::default(), |key, _| *key = *state);
        if stored {
            // What the step has just said.
            self.changed.pop_if(|last| *last == at);
            if let Some(key) = self.states[index.0 as usize].keys.get_mut(&at) {
                key.changed = false;
            }
        }
    }
}
