//! The detector: hits in, changes to findings out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashSet;

use super::changes::{self, Changes, KeyName};
use super::correlation::Correlations;
use super::coverage::{Clock, Losses};
use super::keys::{HORIZON_MIN, KeyRef, RuleState, Tenant, covers};
use super::lifecycle::KeyState;
use super::report::OWN_TENANT;
use super::settings::{OpenKind, Settings, Sizes, Tally};
use super::shield::shield;
use super::silence::Silences;
use super::step::{Context, Group, Told};
use super::tape::Tape;
use super::watchers::{Keys, Spoken, Streams, Watchers};
use crate::batch::StreamId;
use crate::finding::Redactor;
use crate::hit::{Hit, Key, Progress, Role, RuleIndex, Scanned};
use crate::rules::{RuleSet, Severity};
use crate::time::Timestamp;

/// An entry further in the future than this is treated as of now.
const FUTURE_MAX: Duration = Duration::from_secs(600);

/// A clock that only moves on is stored when it is so far ahead of what is stored, so that log in which nothing matches costs the disk
/// nothing for each push. After a crash it stands so far behind at most: every timer that had rung was stored with the clock, so nothing
/// happens twice or otherwise; only what comes late in between is not told as late.
const CLOCK_STORED_EVERY: Duration = Duration::from_secs(10);

/// How far the clock moves on before identities that are past their horizon are looked for, in each rule: a horizon is an hour or more.
const EXPIRED_EVERY: Duration = Duration::from_secs(1);

/// Most tenants: each has a clock of its own.
const TENANTS_MAX: usize = 1024;

/// Applies hits to windows and findings. The only owner of that state; pure: it is told the time and does no I/O.
///
/// The same scanned batches in the same order give the same findings, byte for byte; entries of one batch may be in any order.
pub struct Detector {
    pub(super) settings: Settings,
    pub(super) redactor: Redactor,
    pub(super) silences: Silences,
    pub(super) rules: Arc<RuleSet>,
    pub(super) states: Vec<RuleState>,
    pub(super) tenants: BTreeMap<Arc<str>, Tenant>,
    pub(super) watchers: Watchers,
    pub(super) identities: usize,
    /// Where the clock stood when those past their horizon were last forgotten.
    expired: Timestamp,
    /// About what all keys take in memory, in bytes.
    pub(super) keys_bytes: usize,
    /// What was not seen of any tenant, also of those that are not known yet.
    losses: Losses,
    pub(super) correlations: Correlations,
    /// Keys whose messages open findings of other rules hold back, with these.
    pub(super) hidden: BTreeMap<KeyRef, BTreeSet<KeyRef>>,
    /// Keys that have something to say at this instant.
    telling: BTreeSet<KeyRef>,
    /// Keys of which findings of other rules may be made, that changed at this instant.
    pub(super) stirred: BTreeSet<KeyRef>,
    /// Rules that look at all of their keys together, of which one opened or matched at this instant.
    pub(super) counting: BTreeSet<RuleIndex>,
    steps: u64,
    /// Keys that are to be stored: those that say that they [changed](KeyState::changed), and those that are gone.
    pub(super) changed: Vec<KeyRef>,
    /// Tenants whose clocks are to be stored with the next changes, whatever else there is.
    changed_clocks: BTreeSet<Arc<str>>,
    /// Tenants whose clocks have only moved on.
    moved_clocks: BTreeSet<Arc<str>>,
    pub(super) changes: Changes,
    pub(super) tally: Tally,
    /// Rules that have matches which the tally does not know yet.
    matched: Vec<RuleIndex>,
    tape: Option<Tape>,
}

impl Detector {
    /// A detector that has seen nothing.
    #[must_use]
    pub fn new(settings: Settings, redactor: Redactor, rules: Arc<RuleSet>) -> Self {
        let states = rules
            .rules
            .iter()
            .map(|rule| RuleState::new(rule, &settings))
            .collect();
        Self {
            settings,
            redactor,
            silences: Silences::default(),
            states,
            tenants: BTreeMap::new(),
            watchers: Watchers::default(),
            identities: 0,
            expired: Timestamp::MIN,
            keys_bytes: 0,
            losses: Losses::default(),
            correlations: Correlations::new(&rules),
            hidden: BTreeMap::new(),
            telling: BTreeSet::new(),
            stirred: BTreeSet::new(),
            counting: BTreeSet::new(),
            steps: 0,
            changed: Vec::new(),
            changed_clocks: BTreeSet::new(),
            moved_clocks: BTreeSet::new(),
            changes: Changes::default(),
            tally: Tally::default(),
            matched: Vec::new(),
            tape: None,
            rules,
        }
    }

    /// `text` without its secrets, as quoted lines are.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        self.redactor.redact(text.as_bytes(), &[])
    }

    /// From now on what is matched is recorded too: [`Changes::taped`].
    pub fn record_matches(&mut self) {
        self.tape = Some(Tape::default());
    }

    /// The rules it applies.
    #[must_use]
    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// Applies one batch that was received at the wall-clock time `now`.
    ///
    /// Cost: for each hit a few look-ups by hash, and logarithmic in the timers that are set; linear in the batch's entries for its progress,
    /// and in the keys that have not heard of their streams since they matched.
    pub fn apply(&mut self, scanned: Scanned, now: Timestamp) {
        let Scanned { mut hits, progress } = scanned;
        let tenant = Arc::clone(&progress.tenant);
        self.advance(&progress, now);
        for (rule, oldest) in &progress.oldest {
            self.states[rule.0 as usize].see(&tenant, (*oldest).min(now), &mut self.changes);
        }
        let Some(newest) = self.tenants.get(&tenant).map(|tenant| tenant.clock.newest) else {
            return;
        };

        let mut clean = None;
        hits.retain_mut(|hit| self.admit(&tenant, hit, now, &mut clean));
        hits.sort_by(|a, b| {
            (a.at, a.rule, &a.key)
                .cmp(&(b.at, b.rule, &b.key))
                .then_with(|| (&a.labels, &a.line).cmp(&(&b.labels, &b.line)))
        });
        let spoken = self.spoken(&hits, &progress, now);
        let mut rest = hits.into_iter().peekable();
        while let Some(at) = rest.peek().map(|hit| hit.at) {
            // What was due before this time is settled before it, whatever other entries the batch has.
            self.fire(&tenant, at.min(now), &spoken);
            let together: Vec<Hit> =
                std::iter::from_fn(|| rest.next_if(|hit| hit.at == at)).collect();
            self.apply_together(&tenant, at, together, &spoken);
            self.end_instant(&tenant, at, &spoken);
        }
        self.fire(&tenant, newest.min(now), &spoken);
        self.watch(&progress, &spoken, now);
        self.forget_identities();
    }

    /// Lets the time of findings about trommel itself pass: it is the wall clock's, whatever is pushed.
    pub fn tick_own(&mut self, now: Timestamp) {
        let own: Arc<str> = OWN_TENANT.into();
        if let Some(tenant) = self.tenants.get_mut(&own) {
            // Not a change worth writing: after a restart it is told again.
            tenant.clock.advance(now, None);
            self.fire(&own, now, &Spoken::default());
        }
    }

    /// Lets wall-clock time pass: clocks that entries from the future have moved are no longer held back by it.
    pub fn tick(&mut self, now: Timestamp) {
        let tenants: Vec<_> = self
            .tenants
            .iter()
            .map(|(name, tenant)| (Arc::clone(name), tenant.clock.newest))
            .collect();
        for (tenant, newest) in tenants {
            self.fire(&tenant, newest.min(now), &Spoken::default());
        }
    }

    /// Ends a replay or a test at `until`: what is due then, or before, happens.
    pub fn finish(&mut self, until: Timestamp) {
        let tenants: Vec<_> = self.tenants.keys().cloned().collect();
        for tenant in tenants {
            if let Some(tenant) = self.tenants.get_mut(&tenant) {
                tenant.clock.advance(until, None);
            }
            // `fire` settles what lies before a time; the next nanosecond is the first that has `until` behind it.
            let late_by = self.states.iter().map(|state| state.late_by).max();
            self.fire(
                &tenant,
                until
                    .plus(late_by.unwrap_or_default())
                    .plus(Duration::from_nanos(1)),
                &Spoken::default(),
            );
        }
    }

    /// Entries were shed between `from` and `to`: findings of that time say so.
    pub fn lose(&mut self, from: Timestamp, to: Timestamp) {
        self.losses.add(from, to);
        for (name, tenant) in &mut self.tenants {
            tenant.clock.losses.add(from, to);
            self.changed_clocks.insert(Arc::clone(name));
        }
    }

    /// Takes what happened besides findings since the last call.
    pub fn take_tally(&mut self) -> Tally {
        self.tally_matches();
        std::mem::take(&mut self.tally)
    }

    /// Tells the tally what each rule has counted.
    pub(super) fn tally_matches(&mut self) {
        for rule in std::mem::take(&mut self.matched) {
            let state = &mut self.states[rule.0 as usize];
            let matches = self.tally.matches.entry(Arc::clone(&state.name));
            *matches.or_default() += std::mem::take(&mut state.matches);
        }
    }

    /// How long a pause of the tee may be before what was logged meanwhile counts as not seen; `None` where nothing can be missed.
    #[must_use]
    pub fn silence(&self) -> Option<Duration> {
        self.settings.silence
    }

    /// Whether a finding of `rule` is open.
    ///
    /// # Panics
    /// If `rule` is from another rule set.
    #[must_use]
    pub fn has_open(&self, rule: RuleIndex) -> bool {
        !self.states[rule.0 as usize].ranks.open.is_empty()
    }

    /// How much it holds. Cost: linear in the number of keys.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        let mut sizes = Sizes {
            keys: 0,
            keys_bytes: self.keys_bytes,
            identities: self.identities,
            open: BTreeMap::new(),
        };
        for (rule, state) in self.rules.rules.iter().zip(&self.states) {
            sizes.keys += state.keys.len();
            let mut open = Severity::ALL.map(|_| 0);
            for severity in state.keys.values().filter_map(|key| key.open_severity()) {
                open[severity as usize] += 1;
            }
            for (severity, open) in Severity::ALL.into_iter().zip(open) {
                if open > 0 {
                    let kind = OpenKind {
                        domain: rule.domain.clone(),
                        incident_type: rule.incident_type.clone(),
                        severity,
                    };
                    *sizes.open.entry(kind).or_default() += open;
                }
            }
        }
        sizes
    }

    /// How many messages there are since they were last taken.
    #[must_use]
    pub fn told(&self) -> usize {
        self.changes.told()
    }

    /// How many keys have changed since the last call of [`take_changes`](Self::take_changes).
    #[must_use]
    pub fn changed(&self) -> usize {
        self.changed.len() + self.changes.keys.len()
    }

    /// Takes everything that has changed since the last call: messages, and the state to be stored with them.
    pub fn take_changes(&mut self) -> Changes {
        self.save_changed();
        if !self.changes.is_empty() {
            // What was decided is stored with the time at which it was.
            self.save_clocks();
        }
        for name in std::mem::take(&mut self.changed_clocks) {
            self.moved_clocks.remove(&name);
            if let Some(tenant) = self.tenants.get_mut(&name) {
                tenant.stored = tenant.clock.newest;
                self.changes.save_clock(&name, &tenant.clock);
            }
        }
        if let Some(tape) = &mut self.tape {
            (self.changes.taped, self.changes.tape_counts) = tape.take();
        }
        std::mem::take(&mut self.changes)
    }

    /// Has the next changes hold how far time has come, also where nothing else has changed: for the last ones.
    pub fn save_clocks(&mut self) {
        self.changed_clocks.append(&mut self.moved_clocks);
    }

    /// Notes the state of every key that has changed, under the name that it is stored by.
    pub(super) fn save_changed(&mut self) {
        self.fit();
        for at in std::mem::take(&mut self.changed) {
            let state = &mut self.states[at.rule.0 as usize];
            let rule = self.rules.rule(at.rule);
            let name = KeyName {
                rule: Arc::clone(&state.name),
                tenant: Arc::clone(&at.tenant),
                by: at.key.clone(),
            };
            let saved = state.keys.get_mut(&at).map(|key| {
                key.changed = false;
                key.redact(&self.redactor, rule);
                changes::save_key(state.meaning, &rule.by, key)
            });
            self.changes.keys.insert(name, saved);
        }
    }

    fn is_too_old(&self, at: Timestamp, now: Timestamp) -> bool {
        self.settings
            .max_age
            .is_some_and(|max_age| now.since(at) > max_age)
    }

    /// Moves the tenant's clock on through the batch's entries.
    fn advance(&mut self, progress: &Progress, now: Timestamp) {
        let usable = |at: &Timestamp| if at.since(now) > FUTURE_MAX { now } else { *at };
        let Some((mut oldest, mut newest)) = Timestamp::span(progress.times.iter().copied()) else {
            return;
        };
        // In nearly all batches nothing is late or ahead, and the two tell so for all that are between.
        if self.is_too_old(oldest, now) || newest.since(now) > FUTURE_MAX {
            self.tally_late_and_ahead(&progress.times, now);
            (oldest, newest) =
                Timestamp::span(progress.times.iter().map(usable)).unwrap_or((now, now));
        }
        let Some(tenant) = self.tenants.get_mut(&progress.tenant) else {
            self.start(&progress.tenant, oldest, newest);
            return;
        };
        let Tenant {
            clock,
            stored,
            before,
            ..
        } = tenant;
        *before = clock.newest;
        // Of ourselves nothing is missed.
        let silence = self
            .settings
            .silence
            .filter(|_| *progress.tenant != *OWN_TENANT);
        let was_silent = silence.is_some_and(|silence| newest.since(*before) > silence);
        if was_silent {
            let mut times: Vec<_> = progress
                .times
                .iter()
                .map(usable)
                .filter(|at| at > before)
                .collect();
            times.sort_unstable();
            // What waits for quiet is due later by a silence; its timers ring at the old time and set themselves anew.
            times.into_iter().for_each(|at| clock.advance(at, silence));
        } else {
            clock.advance(newest, None);
        }
        if was_silent || newest.since(*stored) >= CLOCK_STORED_EVERY {
            self.changed_clocks.insert(Arc::clone(&progress.tenant));
        } else if newest > *before {
            self.moved_clocks.insert(Arc::clone(&progress.tenant));
        }
    }

    fn tally_late_and_ahead(&mut self, times: &[Timestamp], now: Timestamp) {
        for at in times {
            self.tally.late += u64::from(self.is_too_old(*at, now));
            let ahead = at.since(now);
            if ahead > FUTURE_MAX {
                self.tally.future += 1;
                self.tally.future_most = self.tally.future_most.max(ahead);
            }
        }
    }

    fn start(&mut self, tenant: &Arc<str>, oldest: Timestamp, newest: Timestamp) {
        if self.tenants.len() >= TENANTS_MAX {
            self.tally.tenants_refused += 1;
            return;
        }
        let mut clock = Clock::starting(oldest);
        clock.advance(newest, None);
        if **tenant != *OWN_TENANT {
            clock.losses = self.losses.clone();
        }
        self.tenants
            .insert(Arc::clone(tenant), Tenant::new(clock, oldest));
        self.changed_clocks.insert(Arc::clone(tenant));
        self.expect(tenant, oldest);
    }

    /// Arms the keys that are expected though nothing has matched: those that a rule names, and the one key of a rule on few
    /// entries without `by`. Keys that are known already stay as they are.
    pub(super) fn expect(&mut self, tenant: &Arc<str>, from: Timestamp) {
        // Findings about trommel itself have a tenant of their own, in which nothing is missed.
        if **tenant == *OWN_TENANT {
            return;
        }
        let expected: Vec<_> = self
            .rules
            .iter()
            .flat_map(|(index, rule)| {
                let keys = super::keys::expected(rule).into_iter();
                keys.map(move |key| KeyRef::new(index, tenant, &key))
            })
            .filter(|at| self.key(at).is_none())
            .collect();
        for at in expected {
            self.step(&at, &Spoken::default(), |key, _| key.arm(from));
        }
    }

    /// The state of a key, if there is any.
    pub(super) fn key(&self, at: &KeyRef) -> Option<&KeyState> {
        let state = &self.states[at.rule.0 as usize];
        state.keys.get(at).map(Box::as_ref)
    }

    /// Whether a hit counts: not too old, not a repeat. Brings one from the future to now. `clean` is what [`shield`] knows of the one before.
    fn admit(
        &mut self,
        tenant: &Arc<str>,
        hit: &mut Hit,
        now: Timestamp,
        clean: &mut Option<Key>,
    ) -> bool {
        if self.is_too_old(hit.at, now) {
            return false;
        }
        shield(hit, self.rules.rule(hit.rule), &self.redactor, clean);
        let state = &mut self.states[hit.rule.0 as usize];
        if state.repeats_matter && !state.identities.remember(hit.at, hit.entry) {
            self.tally.duplicates += 1;
            let at = KeyRef::new(hit.rule, tenant, &hit.key);
            if let Some(key) = state.keys.get_mut(&at) {
                key.count_duplicate();
            }
            return false;
        }
        if state.repeats_matter {
            self.identities += 1;
            self.changes.remember(state.meaning, hit.at, hit.entry);
        }
        // What counts in a denominator only is no match.
        if hit.role == Role::Match && self.rules.rule(hit.rule).is_match(hit.parts) {
            if state.matches == 0 {
                self.matched.push(hit.rule);
            }
            state.matches += 1;
        }
        if hit.at.since(now) > FUTURE_MAX {
            hit.at = now;
        }
        if let Some(tape) = &mut self.tape {
            let rule = self.rules.rule(hit.rule);
            tape.see(hit, &state.name, rule, tenant, &self.redactor);
        }
        true
    }

    /// The times at which the streams that matter spoke in this batch.
    fn spoken(&self, hits: &[Hit], progress: &Progress, now: Timestamp) -> Spoken {
        let hit: FxHashSet<StreamId> = hits.iter().map(|hit| hit.stream).collect();
        let mut spoken = Spoken::default();
        for (stream, times) in progress.by_stream() {
            if self.watchers.has(stream) || hit.contains(&stream) {
                spoken
                    .entry(stream)
                    .or_default()
                    .extend(times.iter().map(|at| (*at).min(now)));
            }
        }
        spoken.values_mut().for_each(|times| times.sort_unstable());
        spoken
    }

    /// Applies all hits of one time, key by key in the order of rules and keys.
    fn apply_together(
        &mut self,
        tenant: &Arc<str>,
        at: Timestamp,
        hits: Vec<Hit>,
        spoken: &Spoken,
    ) {
        let before = self.tenants.get(tenant).map_or(at, |tenant| tenant.before);
        let group = |rule: RuleIndex| {
            let state = &self.states[rule.0 as usize];
            let late = at.plus(state.late_by) < before;
            Group::empty(at, state.identities.uncertain(at), late)
        };
        if let [hit] = &*hits
            && hit.role == Role::Match
        {
            // Nearly always.
            let key = KeyRef::new(hit.rule, tenant, &hit.key);
            let group = Group {
                matches: hits,
                ..group(key.rule)
            };
            self.step(&key, spoken, |state, cx| state.apply(cx, group));
            return;
        }
        let mut groups: BTreeMap<KeyRef, Group> = BTreeMap::new();
        let (matches, recoveries): (Vec<_>, Vec<_>) =
            hits.into_iter().partition(|hit| hit.role == Role::Match);
        for hit in matches {
            groups
                .entry(KeyRef::new(hit.rule, tenant, &hit.key))
                .or_insert_with(|| group(hit.rule))
                .matches
                .push(hit);
        }
        for recovery in recoveries {
            let keys = &self.states[recovery.rule.0 as usize].keys;
            let meant = |key: &KeyRef| key.rule == recovery.rule && covers(&recovery.key, &key.key);
            if recovery.key.iter().all(|part| !part.is_empty()) {
                // It names one key: no need to look at the others.
                let one = KeyRef::new(recovery.rule, tenant, &recovery.key);
                if keys.contains_key(&one) {
                    groups.entry(one).or_insert_with(|| group(recovery.rule));
                }
            } else {
                let known = keys.keys().filter(|key| key.tenant == *tenant);
                for key in known.filter(|key| meant(key)) {
                    (groups.entry(key.clone())).or_insert_with(|| group(recovery.rule));
                }
            }
            let told = groups.iter_mut().filter(|(key, _)| meant(key));
            told.for_each(|(_, group)| group.recovered = true);
        }
        for (key, group) in groups {
            self.step(&key, spoken, |state, cx| state.apply(cx, group));
        }
    }

    /// Settles what is due before `to`, minus `late_by`, and applies what was held back for it, in order of time, rule and key.
    fn fire(&mut self, tenant: &Arc<str>, to: Timestamp, spoken: &Spoken) {
        while let Some((at, due)) = self
            .tenants
            .get_mut(tenant)
            .and_then(|tenant| tenant.due_before(to))
        {
            // At one instant all entries go first, then timers.
            for key in &due.ready {
                self.step(key, spoken, |state, cx| state.release(cx));
            }
            for key in &due.timers {
                self.ring(at, key, spoken);
            }
            self.end_instant(tenant, at, spoken);
        }
    }

    /// All that happened at one instant has happened: findings are made of findings, severities follow from other keys, and
    /// what there is to say is said, in order of rule and key, a finding after its parts.
    pub(super) fn end_instant(&mut self, tenant: &Arc<str>, at: Timestamp, spoken: &Spoken) {
        self.escalate_over_keys(tenant, at, spoken);
        self.correlate(tenant, at, spoken);
        self.tell(spoken);
    }

    /// Has every key say what it has to.
    pub(super) fn tell(&mut self, spoken: &Spoken) {
        let mut telling: Vec<KeyRef> = std::mem::take(&mut self.telling).into_iter().collect();
        telling.sort_by_key(|key| self.correlations.depth(key.rule));
        for key in telling {
            let hidden = self.hidden.contains_key(&key);
            let mut told = Told::default();
            self.step(&key, spoken, |state, cx| {
                told.findings.extend(state.take_owed());
                state.announce(cx, hidden, &mut told);
            });
            told.findings.iter().for_each(|it| self.changes.tell(it));
            self.changes.ended.append(&mut told.ended);
        }
    }

    /// A key's timer rang: what is due is settled, and a key that nothing can touch any more is forgotten.
    fn ring(&mut self, due: Timestamp, key: &KeyRef, spoken: &Spoken) {
        let lateness = self.settings.lateness();
        // The timer of a key that was evicted rings in vain.
        if self.key(key).is_none() {
            return;
        }
        let mut expired = false;
        self.step(key, spoken, |state, cx| {
            state.timer = None;
            match state.deadline(cx) {
                Some(deadline) if deadline <= due => state.settle(cx, deadline),
                _ => {
                    expired = state
                        .expires(cx, lateness)
                        .is_some_and(|expires| expires <= due)
                }
            }
        });
        if expired {
            self.remove(key);
        }
    }

    /// What a step of the key at `at` looks at, between batches.
    pub(super) fn context<'a>(&'a self, at: &'a KeyRef) -> Option<Context<'a>> {
        let state = &self.states[at.rule.0 as usize];
        Some(Context {
            rule: self.rules.rule(at.rule),
            tenant: &at.tenant,
            key: &at.key,
            clock: &self.tenants.get(&at.tenant)?.clock,
            origin: &self.settings.origin,
            redactor: &self.redactor,
            silences: &self.silences,
            seen_from: state.seen.get(&at.tenant).copied(),
            streams: Streams {
                spoken: None,
                watchers: &self.watchers,
            },
        })
    }

    /// Lets one key take one step and keeps everything around it true: timers, watchers, bounds, what has to be stored.
    pub(super) fn step(
        &mut self,
        at: &KeyRef,
        spoken: &Spoken,
        act: impl FnOnce(&mut KeyState, &Context<'_>),
    ) {
        let known = self.states[at.rule.0 as usize].keys.contains_key(at);
        if !known && self.tenants.contains_key(&at.tenant) && !self.make_room(at.rule) {
            let state = &self.states[at.rule.0 as usize];
            let refused = self.tally.keys_refused.entry(Arc::clone(&state.name));
            *refused.or_default() += 1;
            return;
        }
        let Some(Tenant {
            clock,
            timers,
            ready,
            before: clock_before,
            ..
        }) = self.tenants.get_mut(&at.tenant)
        else {
            return;
        };
        let state = &mut self.states[at.rule.0 as usize];
        let rule = self.rules.rule(at.rule);
        let cx = Context {
            rule,
            tenant: &at.tenant,
            key: &at.key,
            clock,
            origin: &self.settings.origin,
            redactor: &self.redactor,
            silences: &self.silences,
            seen_from: state.seen.get(&at.tenant).copied(),
            streams: Streams {
                spoken: Some(spoken),
                watchers: &self.watchers,
            },
        };
        let entry = state.keys.entry(at.clone());
        // The name that it has had from the beginning, so that it is there once.
        let at = &entry.key().clone();
        let key = entry.or_insert_with(|| Box::new(KeyState::new(rule)));
        let before = (key.is_open(), key.last_match());
        act(key, &cx);
        if self.correlations.is_part(at.rule) && before != (key.is_open(), key.last_match()) {
            self.stirred.insert(at.clone());
        }
        if state.escalates_over_keys && key.is_open() && before != (true, key.last_match()) {
            self.counting.insert(at.rule);
        }
        if key.has_to_say() {
            self.telling.insert(at.clone());
        }
        // Not by the clock: it has come to the end of the batch at hand, which may hold days.
        key.trim(&cx, clock_before.minus(self.settings.lateness()));
        if let Some(first) = key.ready(&cx) {
            ready.insert((first, at.clone()));
        }
        let wake = key
            .deadline(&cx)
            .into_iter()
            .chain(key.expires(&cx, self.settings.lateness()))
            .min();
        timers.wake(state.late_by, at, key, wake);
        if key.listens(rule, clock.newest) {
            self.watchers.listen(at, key);
        }
        self.steps += 1;
        let (was_open, is_new) = (before.0, key.reckoned() == 0);
        let is_open = key.is_open();
        state.ranks.touch(at, key, self.steps, was_open);
        if !std::mem::replace(&mut key.changed, true) {
            self.changed.push(at.clone());
        }
        // Between these it grows by no more than the batch at hand has.
        if is_new || is_open != was_open {
            self.reckon(at);
        }
    }

    pub(super) fn remove(&mut self, at: &KeyRef) {
        let state = &mut self.states[at.rule.0 as usize];
        if let Some(key) = state.keys.remove(at) {
            state.bytes -= key.reckoned();
            self.keys_bytes -= key.reckoned();
            state.ranks.remove(at, &key);
        }
        self.changed.push(at.clone());
    }

    /// Tells the keys that listen which of their streams spoke in this batch.
    fn watch(&mut self, progress: &Progress, spoken: &Spoken, now: Timestamp) {
        let max_age = self.settings.max_age;
        let from = max_age.map_or(Timestamp::MIN, |max_age| now.minus(max_age));
        for (stream, times) in progress.by_stream() {
            if let Some((_, newest)) = Timestamp::span(times.iter().copied()) {
                self.watchers.saw(stream, newest.min(now), from);
            }
        }
        let mut keys = Keys {
            rules: &self.rules,
            states: &mut self.states,
            tenants: &self.tenants,
            changed: &mut self.changed,
        };
        for (stream, times) in spoken {
            self.watchers.tell(*stream, times, &mut keys);
        }
        self.watchers.sweep(&mut keys);
    }

    /// Forgets identities that are past their horizon, and the oldest beyond the bound.
    fn forget_identities(&mut self) {
        // No tenant's entry that is still admitted is older than `max_age`, which no horizon is shorter than.
        let Some(clock) = self
            .tenants
            .values()
            .map(|tenant| tenant.clock.newest)
            .max()
        else {
            return;
        };
        if clock.since(self.expired) >= EXPIRED_EVERY {
            self.expired = clock;
            let mut horizon = HORIZON_MIN;
            for state in &mut self.states {
                self.identities -= state.identities.expire(clock);
                horizon = horizon.max(state.identities.horizon());
            }
            self.changes.forget_identities_before = Some(clock.minus(horizon));
        }
        while self.identities > self.settings.identities_max {
            let oldest = self
                .states
                .iter_mut()
                .filter(|state| state.identities.oldest().is_some());
            let Some(state) = oldest.min_by_key(|state| state.identities.oldest()) else {
                return;
            };
            let forgotten = state.identities.forget_oldest();
            self.identities -= forgotten;
            self.tally.identities_evicted += forgotten as u64;
            self.changes
                .save_forgotten(state.meaning, state.identities.forgotten());
        }
    }
}
