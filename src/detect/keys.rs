//! Where keys, and what is due for them, are kept: by rule within its bound, by tenant in order of time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::coverage::Clock;
use super::identities::Identities;
use super::lifecycle::KeyState;
use super::settings::{Settings, Tally};
use crate::hit::{Key, RuleIndex};
use crate::rules::Rule;
use crate::time::Timestamp;

/// Identities are remembered at least this long.
pub(super) const HORIZON_MIN: Duration = Duration::from_secs(3600);

/// A key's place: rule, tenant, `by` values. Its order is that of messages of one instant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct KeyRef {
    pub(super) rule: RuleIndex,
    pub(super) tenant: Arc<str>,
    pub(super) key: Key,
}

/// A tenant's time: how far its log has come, and what is due when.
pub(super) struct Tenant {
    pub(super) clock: Clock,
    /// The newest entry before the batch at hand: what is `late_by` older than that came late.
    pub(super) before: Timestamp,
    pub(super) timers: BTreeSet<(Timestamp, KeyRef)>,
}

impl Tenant {
    /// Takes the first timer that is due before `to`.
    pub(super) fn due_before(&mut self, to: Timestamp) -> Option<(Timestamp, KeyRef)> {
        self.timers
            .first()
            .is_some_and(|(due, _)| *due < to)
            .then(|| self.timers.pop_first())?
    }
}

pub(super) struct RuleState {
    pub(super) name: Arc<str>,
    pub(super) meaning: u64,
    pub(super) keys: BTreeMap<(Arc<str>, Key), KeyState>,
    /// Keys that are not open, longest untouched first.
    pub(super) idle: BTreeMap<u64, (Arc<str>, Key)>,
    pub(super) identities: Identities,
}

impl RuleState {
    pub(super) fn new(rule: &Rule, settings: &Settings) -> Self {
        let horizon = rule
            .threshold()
            .window
            .max(settings.lateness())
            .max(HORIZON_MIN);
        Self {
            name: Arc::from(rule.id.as_str()),
            meaning: u64::from_str_radix(&rule.meaning, 16).unwrap_or_default(),
            keys: BTreeMap::new(),
            idle: BTreeMap::new(),
            identities: Identities::new(horizon),
        }
    }

    /// Makes room for one more key: the one longest untouched and not open goes. False if all are open.
    pub(super) fn make_room(
        &mut self,
        settings: &Settings,
        tally: &mut Tally,
        gone: impl FnOnce((Arc<str>, Key)),
    ) -> bool {
        if self.keys.len() < settings.keys_max {
            return true;
        }
        let Some((_, place)) = self.idle.pop_first() else {
            tally.keys_refused += 1;
            return false;
        };
        self.keys.remove(&place);
        tally.keys_evicted += 1;
        gone(place);
        true
    }
}

/// Whether a recovery's key means `key`: equal, part by part, where it has a value.
pub(super) fn covers(recovery: &Key, key: &Key) -> bool {
    recovery
        .iter()
        .zip(key.iter())
        .all(|(wanted, part)| wanted.is_empty() || wanted == part)
}
