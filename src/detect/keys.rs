//! Where keys, and what is due for them, are kept: by rule within its bound, by tenant in order of time.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHasher};

use super::changes::Changes;
use super::coverage::Clock;
use super::identities::Identities;
use super::lifecycle::KeyState;
use super::settings::Settings;
use crate::hit::{Key, RuleIndex};
use crate::rules::{Condition, EscalateWhen, Rule, Severity, Threshold};
use crate::time::Timestamp;

/// Identities are remembered at least this long.
pub(super) const HORIZON_MIN: Duration = Duration::from_secs(3600);

/// Most keys of a rule on new patterns that does not say: each holds the templates of its lines.
const PATTERN_KEYS_MAX: usize = 500;

/// A key's name, shared by all places that it is kept in. Its order is that of messages of one instant.
#[derive(Debug, Clone)]
pub(super) struct KeyRef(Arc<KeyPlace>);

/// A key's place: rule, tenant, `by` values.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KeyPlace {
    pub(super) rule: RuleIndex,
    pub(super) tenant: Arc<str>,
    pub(super) key: Key,
    /// Of all the others: a key is looked up several times for each entry. 32 bits are enough for hundreds of thousands.
    hash: u32,
}

impl KeyRef {
    pub(super) fn new(rule: RuleIndex, tenant: &Arc<str>, key: &Key) -> Self {
        let mut hasher = FxHasher::default();
        (rule, tenant, key).hash(&mut hasher);
        Self(Arc::new(KeyPlace {
            rule,
            tenant: Arc::clone(tenant),
            key: key.clone(),
            // The best bits of it are the lowest.
            hash: hasher.finish() as u32,
        }))
    }

    /// Whether it is the same piece of memory, and not only an equal name.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl PartialEq for KeyRef {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.hash == other.0.hash && self.0 == other.0)
    }
}

impl Eq for KeyRef {}

impl Hash for KeyRef {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u32(self.0.hash);
    }
}

impl PartialOrd for KeyRef {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for KeyRef {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) {
            return Ordering::Equal;
        }
        self.0.cmp(&other.0)
    }
}

impl Deref for KeyRef {
    type Target = KeyPlace;

    fn deref(&self) -> &KeyPlace {
        &self.0
    }
}

/// A tenant's time: how far its log has come, and what is due when.
pub(super) struct Tenant {
    pub(super) clock: Clock,
    /// Where the clock stood when it was last stored.
    pub(super) stored: Timestamp,
    /// The newest entry before the batch at hand: what is `late_by` older than that came late.
    pub(super) before: Timestamp,
    pub(super) timers: Timers,
    /// Keys whose entries were held back and can be applied now, by the time of the first of them.
    pub(super) ready: BTreeSet<(Timestamp, KeyRef)>,
}

/// What is due when, by how long it has to wait for late entries: rules may have a `late_by` of their own.
#[derive(Default)]
pub(super) struct Timers(BTreeMap<Duration, BTreeSet<(Timestamp, KeyRef)>>);

/// What happens at one instant.
#[derive(Default)]
pub(super) struct Due {
    /// Keys whose held-back entries are of that time.
    pub(super) ready: Vec<KeyRef>,
    /// Keys whose timers ring.
    pub(super) timers: Vec<KeyRef>,
}

impl Tenant {
    /// A tenant whose log begins at `from`, with nothing due.
    pub(super) fn new(clock: Clock, from: Timestamp) -> Self {
        Self {
            stored: clock.newest,
            clock,
            before: from,
            timers: Timers::default(),
            ready: BTreeSet::new(),
        }
    }

    /// Takes what happens next: entries that were held back for what has just been settled, else timers that are due before
    /// `to` by their `late_by`. What was held back goes first even if a timer is of an earlier time: when that one rings depends
    /// on how the log was batched, and the order of messages must not.
    pub(super) fn due_before(&mut self, to: Timestamp) -> Option<(Timestamp, Due)> {
        let mut due = Due::default();
        if let Some((at, _)) = self.ready.first() {
            let at = *at;
            while self.ready.first().is_some_and(|(first, _)| *first == at) {
                due.ready.extend(self.ready.pop_first().map(|(_, key)| key));
            }
            return Some((at, due));
        }
        let at = self.timers.first_before(to)?;
        due.timers = self.timers.take(at, to);
        Some((at, due))
    }
}

impl Timers {
    /// Has `key` ring at `wake`. A timer that rings too early finds nothing due and is set anew, so only an earlier one has to be set now.
    pub(super) fn wake(
        &mut self,
        late_by: Duration,
        at: &KeyRef,
        key: &mut KeyState,
        wake: Option<Timestamp>,
    ) {
        let Some(wake) = wake.filter(|wake| key.timer.is_none_or(|timer| *wake < timer)) else {
            return;
        };
        let timers = self.0.entry(late_by).or_default();
        if let Some(timer) = key.timer.replace(wake) {
            timers.remove(&(timer, at.clone()));
        }
        timers.insert((wake, at.clone()));
    }

    fn first_before(&self, to: Timestamp) -> Option<Timestamp> {
        let firsts = self.0.iter().filter_map(|(late_by, timers)| {
            let (at, _) = timers.first()?;
            (*at < to.minus(*late_by)).then_some(*at)
        });
        firsts.min()
    }

    /// Takes the timers of the time `at` that are due before `to`, in order of rule and key.
    fn take(&mut self, at: Timestamp, to: Timestamp) -> Vec<KeyRef> {
        let mut taken = Vec::new();
        for (late_by, timers) in &mut self.0 {
            if at >= to.minus(*late_by) {
                continue;
            }
            while timers.first().is_some_and(|(first, _)| *first == at) {
                taken.extend(timers.pop_first().map(|(_, key)| key));
            }
        }
        taken.sort();
        taken
    }
}

/// The keys of a rule by which of them may go.
#[derive(Default)]
pub(super) struct Ranks {
    /// Those that are not open, longest untouched first.
    pub(super) idle: BTreeMap<u64, KeyRef>,
    /// Those that are open.
    pub(super) open: BTreeSet<KeyRef>,
}

impl Ranks {
    /// Puts a key that was touched in step number `step` where it belongs.
    pub(super) fn touch(&mut self, at: &KeyRef, key: &mut KeyState, step: u64, was_open: bool) {
        self.idle.remove(&key.touched);
        key.touched = step;
        if !key.is_open() {
            self.idle.insert(step, at.clone());
        }
        match (was_open, key.is_open()) {
            (false, true) => drop(self.open.insert(at.clone())),
            (true, false) => drop(self.open.remove(at)),
            _ => {}
        }
    }

    /// Forgets a key.
    pub(super) fn remove(&mut self, at: &KeyRef, key: &KeyState) {
        self.idle.remove(&key.touched);
        self.open.remove(at);
    }
}

pub(super) struct RuleState {
    pub(super) name: Arc<str>,
    pub(super) meaning: u64,
    pub(super) keys: FxHashMap<KeyRef, Box<KeyState>>,
    pub(super) ranks: Ranks,
    pub(super) escalates_over_keys: bool,
    pub(super) identities: Identities,
    /// Whether an entry that comes twice would count twice: where it would not, none is remembered.
    pub(super) repeats_matter: bool,
    /// By tenant, the oldest entry of streams that the rule reads, for rules that compare with their past.
    pub(super) seen: BTreeMap<Arc<str>, Timestamp>,
    pub(super) late_by: Duration,
    pub(super) keys_max: usize,
    /// What its keys take in memory, as last reckoned.
    pub(super) bytes: usize,
    /// Matches since they were last told.
    pub(super) matches: u64,
}

impl RuleState {
    pub(super) fn new(rule: &Rule, settings: &Settings) -> Self {
        let horizon = rule
            .condition
            .window()
            .max(settings.lateness())
            .max(HORIZON_MIN);
        let default_keys = match rule.condition {
            Condition::NewPattern { .. } => settings.keys_max.min(PATTERN_KEYS_MAX),
            _ => settings.keys_max,
        };
        // Time that is the log's alone waits for nobody.
        let late_by = if settings.late_by.is_zero() {
            None
        } else {
            rule.late_by
        };
        Self {
            name: Arc::from(rule.id.as_str()),
            meaning: u64::from_str_radix(&rule.meaning, 16).unwrap_or_default(),
            keys: FxHashMap::default(),
            ranks: Ranks::default(),
            escalates_over_keys: over_keys(rule).next().is_some(),
            identities: Identities::new(horizon),
            repeats_matter: !matches!(
                rule.condition,
                Condition::Absent(_) | Condition::NewValue { .. } | Condition::Correlate(_)
            ),
            seen: BTreeMap::new(),
            late_by: late_by.unwrap_or(settings.late_by),
            keys_max: rule.keys_max.unwrap_or(default_keys),
            bytes: 0,
            matches: 0,
        }
    }

    /// A stream that the rule reads had an entry at `at`.
    pub(super) fn see(&mut self, tenant: &Arc<str>, at: Timestamp, changes: &mut Changes) {
        let seen = self
            .seen
            .entry(Arc::clone(tenant))
            .or_insert(Timestamp::MAX);
        if at < *seen {
            *seen = at;
            changes.save_seen(self.meaning, tenant, at);
        }
    }
}

/// The escalations of `rule` that count over all of its keys: by different values of a name in `by`, with its place there.
pub(super) fn over_keys(rule: &Rule) -> impl Iterator<Item = (Severity, &Threshold, usize)> {
    rule.escalate.iter().filter_map(|escalation| {
        let EscalateWhen::Distinct(distinct) = &escalation.when else {
            return None;
        };
        let place = rule.by.iter().position(|name| *name == distinct.name)?;
        Some((escalation.to, &distinct.threshold, place))
    })
}

/// The keys of `rule` that are expected though nothing has matched.
pub(super) fn expected(rule: &Rule) -> Vec<Key> {
    match &rule.condition {
        Condition::Absent(absent) if !rule.by.is_empty() => absent.expect.clone(),
        condition if condition.wants_few() && rule.by.is_empty() => vec![Key::default()],
        _ => Vec::new(),
    }
}

/// Whether a recovery's key means `key`: equal, part by part, where it has a value.
pub(super) fn covers(recovery: &Key, key: &Key) -> bool {
    recovery
        .iter()
        .zip(key.iter())
        .all(|(wanted, part)| wanted.is_empty() || wanted == part)
}
