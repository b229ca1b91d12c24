//! Room for keys: so many of each rule, and so much memory for those of all rules.
//!
//! What is wrong now is kept before what may yet become a finding: a key that is open is never forgotten. Where memory is short, the rule whose
//! keys take most gives up those that are longest untouched; if only open ones are left, these keep less of what they counted, and new keys
//! are refused. So a rule whose `by` is filled by an outsider's text costs itself its memory first.

use std::sync::Arc;

use super::detector::Detector;
use super::keys::KeyRef;
use crate::hit::RuleIndex;

/// What a key takes before anything is known of it, in bytes.
const NEW_KEY_BYTES: usize = 1024;

/// Where memory is short, this part of it is freed at once, so that to look for what may go costs little for each key.
const FREED_AT_ONCE: usize = 64;

impl Detector {
    /// Makes room for one key of `rule`; false if there is none.
    pub(super) fn make_room(&mut self, rule: RuleIndex) -> bool {
        let place = rule.0 as usize;
        while self.states[place].keys.len() >= self.states[place].keys_max {
            if !self.evict(place) {
                return false;
            }
        }
        self.free(NEW_KEY_BYTES)
    }

    /// Makes all bounds hold that are lower than they were, as far as keys may go.
    pub(super) fn make_room_everywhere(&mut self) {
        for place in 0..self.states.len() {
            while self.states[place].keys.len() > self.states[place].keys_max && self.evict(place) {
            }
        }
        self.free(0);
    }

    /// Makes the keys that have changed fit into memory again.
    pub(super) fn fit(&mut self) {
        let changed = std::mem::take(&mut self.changed);
        for at in &changed {
            self.reckon(at);
        }
        if !self.free(0) {
            for at in &changed {
                self.cut(at);
            }
        }
        self.changed.extend(changed);
    }

    /// Reckons anew what a key takes in memory.
    pub(super) fn reckon(&mut self, at: &KeyRef) {
        let state = &mut self.states[at.rule.0 as usize];
        if let Some(key) = state.keys.get_mut(at) {
            let before = key.reckoned();
            key.reckon();
            let now = key.reckoned();
            state.bytes = state.bytes - before + now;
            self.keys_bytes = self.keys_bytes - before + now;
        }
    }

    /// Lets an open key keep less of what it counted.
    fn cut(&mut self, at: &KeyRef) {
        let state = &mut self.states[at.rule.0 as usize];
        let Some(key) = state.keys.get_mut(at).filter(|key| key.is_open()) else {
            return;
        };
        key.keep_few(self.rules.rule(at.rule));
        let before = self.keys_bytes;
        self.reckon(at);
        if self.keys_bytes < before {
            let name = Arc::clone(&self.states[at.rule.0 as usize].name);
            *self.tally.keys_cut.entry(name).or_default() += 1;
        }
    }

    /// Frees memory until `bytes` more may be taken; false if what is left is open.
    fn free(&mut self, bytes: usize) -> bool {
        let most = self.settings.keys_bytes_max;
        if self.keys_bytes + bytes <= most {
            return true;
        }
        let wanted = most.saturating_sub(bytes.max(most / FREED_AT_ONCE));
        while self.keys_bytes > wanted {
            let with_idle = self.states.iter().enumerate();
            let with_idle = with_idle.filter(|(_, state)| !state.ranks.idle.is_empty());
            let Some((greediest, _)) = with_idle.max_by_key(|(_, state)| state.bytes) else {
                break;
            };
            let share = (self.keys_bytes - wanted).min(most / FREED_AT_ONCE);
            let goal = self.keys_bytes - share;
            while self.keys_bytes > goal && self.evict(greediest) {}
        }
        self.keys_bytes + bytes <= most
    }

    /// Forgets the key of a rule that is longest untouched; false if all are open.
    fn evict(&mut self, place: usize) -> bool {
        let state = &mut self.states[place];
        let Some((_, at)) = state.ranks.idle.pop_first() else {
            return false;
        };
        let evicted = self.tally.keys_evicted.entry(Arc::clone(&state.name));
        *evicted.or_default() += 1;
        self.remove(&at);
        true
    }
}
