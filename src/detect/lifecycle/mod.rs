//! The life of one key: quiet, waiting for its `for`, open, recovered, open again.
//!
//! Matches decide when they arrive; what depends on something *not* happening (recovery, `for`, too few entries, what must not
//! come) is due at a [deadline](KeyState::deadline) of event time and is settled once the tenant's clock has passed it by
//! `late_by`. Until then a match from after the deadline is held back, and one from before it still counts.
//! So the outcome is that of the entries in order of time, however they were batched.
//!
//! - `taking`: what entries mean to the condition of each class.
//! - `episode`: what is known of one finding. `escalation`: what makes it worse.
//! - `telling`: when a message is made, and when it is held back.
//! - `memory`: what a key takes, and how it takes less.
//! - `parent`: findings that are made of other findings. `sources`: whether what matched goes on. `rare`: what most keys have not. `packed`: the last message.

mod episode;
mod escalation;
mod memory;
mod packed;
mod parent;
mod rare;
mod sources;
mod taking;
mod telling;

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use episode::Beginning;
pub(super) use episode::Episode;
use escalation::Escalations;
pub(in crate::detect) use packed::Packed;
pub(super) use parent::{Joined, PartSeen};
use rare::Rare;
pub(super) use sources::Heard;
use sources::{Source, Sources};
use taking::Learned;
use telling::Telling;

use super::condition::{Counted, Side};
use super::evidence::Quotes;
use super::report;
use super::step::{Context, Group};
use crate::batch::StreamId;
use crate::finding::{Finding, Reason, Redactor};
use crate::rules::{Condition, EscalateWhen, Recover, Rule, Severity, Threshold};
use crate::time::Timestamp;

/// An open finding says so again when it has said nothing for this long, so that its last message never ages out of a stream
/// that keeps messages for days.
const REMINDER: Duration = Duration::from_secs(24 * 3600);

/// One nanosecond: the least time between two instants.
const INSTANT: Duration = Duration::from_nanos(1);

/// One key of one rule: what its condition has counted, its finding, and what waits.
///
/// Memory: that of [`Counted`], [`Escalations`] and [`Learned`]; 16 quoted lines of at most 2 KiB; a packed message of about 1 KiB
/// while there is one; 40 bytes for each of 64 label sets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct KeyState {
    counted: Counted,
    escalations: Rare<Escalations>,
    learned: Learned,
    quotes: Quotes,
    /// Values for the summary, of the newest match.
    captures: Option<Box<(Timestamp, Captures)>>,
    /// Of which label sets its matches are.
    sources: Sources,
    phase: Phase,
    /// The finding that is open, or that recovered last.
    episode: Option<Box<Episode>>,
    telling: Rare<Telling>,
    marks: Rare<Marks>,
    /// The newest entry that was taken.
    newest: Option<Timestamp>,
    /// Findings that it is made of, for a rule on findings.
    joined: Rare<Vec<Joined>>,
    /// When the key was last touched, as a count of steps: the one longest untouched is evicted first.
    #[serde(skip)]
    pub(super) touched: u64,
    /// What was last reckoned that it takes in memory, in bytes.
    #[serde(skip)]
    pub(super) reckoned: u32,
    /// The timer that is set for it.
    #[serde(skip)]
    pub(super) timer: Option<Timestamp>,
    /// Whether it is among the keys that are to be stored.
    #[serde(skip)]
    pub(super) changed: bool,
}

/// Where a key stands that is more than a count of matches: one of which nothing was ever said has none of these.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Marks {
    held_back: VecDeque<Group>,
    /// First match, or from when on the key is expected: nothing is said of few, or of new, before a whole window since.
    armed: Option<Timestamp>,
    /// Nothing opens at or before this time: a recovery is never taken back.
    settled: Option<Timestamp>,
    /// Up to when it has been seen that the condition went on being true, or not being so: entries from before may be gone.
    looked: Option<Timestamp>,
    /// Entries at or before this time were taken out by a recovery.
    emptied: Option<Timestamp>,
}

/// Names and values of a summary.
type Captures = Box<[(Box<str>, Box<str>)]>;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    #[default]
    Idle,
    /// The condition is true since then; whether for as long as `for` wants is seen when that time is over.
    Waiting(Timestamp),
    Open,
}

impl KeyState {
    /// A key that nothing is known of.
    pub(super) fn new(rule: &Rule) -> Self {
        Self {
            counted: Counted::new(&rule.condition),
            escalations: Rare::new(Escalations::new(rule)),
            learned: Learned::new(&rule.condition),
            quotes: Quotes::default(),
            captures: None,
            sources: Sources::default(),
            phase: Phase::Idle,
            episode: None,
            telling: Rare::default(),
            marks: Rare::default(),
            newest: None,
            joined: Rare::default(),
            touched: 0,
            reckoned: 0,
            timer: None,
            changed: false,
        }
    }

    /// A key whose finding is open as it was last `told`; nothing that was logged before `now` is known.
    pub(super) fn recalled(
        rule: &Rule,
        told: &Finding,
        joined: Vec<Joined>,
        now: Timestamp,
    ) -> Self {
        Self {
            quotes: Quotes::recalled(&told.evidence.lines),
            phase: Phase::Open,
            episode: Some(Box::new(Episode::recalled(told))),
            newest: Some(told.last_seen),
            marks: Rare::new(Marks {
                armed: rule.condition.wants_few().then_some(now),
                ..Marks::default()
            }),
            joined: Rare::new(joined),
            ..Self::new(rule)
        }
    }

    /// The key is expected from `at` on, though nothing has matched.
    pub(super) fn arm(&mut self, at: Timestamp) {
        self.marks.make().armed.get_or_insert(at);
    }

    fn held_back(&self) -> &VecDeque<Group> {
        static NONE: VecDeque<Group> = VecDeque::new();
        self.marks.get().map_or(&NONE, |marks| &marks.held_back)
    }

    fn held_back_mut(&mut self) -> impl Iterator<Item = &mut Group> {
        let marks = self.marks.get_mut().into_iter();
        marks.flat_map(|marks| &mut marks.held_back)
    }

    fn armed(&self) -> Option<Timestamp> {
        self.marks.get()?.armed
    }

    fn settled(&self) -> Option<Timestamp> {
        self.marks.get()?.settled
    }

    fn settle_to(&mut self, at: Timestamp) {
        let marks = self.marks.make();
        marks.settled = marks.settled.max(Some(at));
    }

    fn looked(&self) -> Option<Timestamp> {
        self.marks.get()?.looked
    }

    fn emptied(&self) -> Option<Timestamp> {
        self.marks.get()?.emptied
    }

    fn is_waiting(&self) -> bool {
        matches!(self.phase, Phase::Waiting(_))
    }

    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// The severity of the open finding, if there is one.
    pub(super) fn open_severity(&self) -> Option<Severity> {
        let episode = self.episode.as_ref().filter(|_| self.is_open())?;
        Some(episode.severity)
    }

    /// The newest match.
    pub(super) fn last_match(&self) -> Option<Timestamp> {
        self.sources.last_match()
    }

    /// The label sets that matched: a finding is quiet if one of them goes on without a match.
    pub(super) fn sources_mut(&mut self) -> impl Iterator<Item = &mut Source> {
        self.sources.iter_mut()
    }

    /// Whether `stream` is one of them.
    pub(super) fn has_stream(&self, stream: StreamId) -> bool {
        self.sources.get(stream).is_some()
    }

    /// It has no place among those that listen to `stream`.
    pub(super) fn leave(&mut self, stream: StreamId) {
        self.sources
            .get_mut(stream)
            .into_iter()
            .for_each(Source::leave);
    }

    /// The same of all its streams.
    pub(super) fn leave_all(&mut self) {
        self.sources.iter_mut().for_each(Source::leave);
    }

    /// Whether entries wait for what is due before them.
    pub(super) fn holds_back(&self) -> bool {
        !self.held_back().is_empty()
    }

    /// A repeated entry of this key came and was not counted.
    pub(super) fn count_duplicate(&mut self) {
        if let (Phase::Open, Some(episode)) = (self.phase, &mut self.episode) {
            episode.duplicates += 1;
        }
    }

    /// Whether it matters to this key that its streams speak, at the time `now`. It does to a finding that may open again, which
    /// then goes on with the matches that it had; and where enough others may come later than the match that a finding opens with.
    pub(super) fn listens(&self, rule: &Rule, now: Timestamp) -> bool {
        let recovered = self.episode.as_ref().and_then(|it| it.recovered_at);
        let may_reopen = recovered.is_some_and(|at| now < at.plus(rule.cooldown));
        let may_open = match &rule.condition {
            Condition::Ratio(ratio) => self.last_match().map(|at| at.plus(ratio.window)),
            _ => None,
        };
        self.phase != Phase::Idle
            || self.armed().is_some()
            || may_reopen
            || may_open.is_some_and(|until| now < until)
    }

    /// `stream` had entries at `times`, in order; `None` if it is not one of its own.
    pub(super) fn hear(&mut self, stream: StreamId, times: &[Timestamp]) -> Option<Heard> {
        let waits = self.holds_back();
        let mut heard = self.sources.hear(stream, times, waits)?;
        for group in self.held_back_mut() {
            let own = group.matches.iter().any(|hit| hit.stream == stream);
            heard.is_news |= own && sources::earlier(&mut group.heard, group.at, times);
        }
        Some(heard)
    }

    /// The next time at which something is due if no match comes before.
    pub(super) fn deadline(&self, cx: &Context<'_>) -> Option<Timestamp> {
        let own = match self.phase {
            Phase::Idle => self.few_from(cx),
            Phase::Waiting(since) => Some(cx.clock.after(since, cx.rule.hold)),
            Phase::Open => {
                let dues = [
                    self.over_at(cx),
                    self.stops_at(cx),
                    self.starts_again_at(cx),
                    self.worse_at(cx),
                    self.reminder_at(cx),
                ];
                dues.into_iter().flatten().min()
            }
        };
        let others = [
            own,
            self.waited_at(cx),
            self.forgotten_at(cx),
            self.held_until(),
        ];
        others.into_iter().flatten().min()
    }

    /// When the first group that was held back can be applied: its own time, once nothing is due before it.
    pub(super) fn ready(&self, cx: &Context<'_>) -> Option<Timestamp> {
        let first = self.held_back().front()?.at;
        self.deadline(cx)
            .is_none_or(|deadline| first <= deadline)
            .then_some(first)
    }

    /// When the finding is over if nothing matches any more; not before it has opened.
    fn over_at(&self, cx: &Context<'_>) -> Option<Timestamp> {
        let episode = self.episode.as_ref()?;
        let over = if let Recover::Never = cx.rule.recover {
            cx.clock.after(episode.last_seen, cx.rule.cooldown)
        } else {
            let quiet_from = match cx.asked().side() {
                Side::Many => episode.held,
                Side::Few => episode.stopped?,
            };
            cx.clock.after(quiet_from, cx.rule.recover.quiet()?)
        };
        Some(over.max(episode.opened_at))
    }

    /// When a condition on few stops being true.
    fn stops_at(&self, cx: &Context<'_>) -> Option<Timestamp> {
        let episode = self.episode.as_ref()?;
        if !self.walks(cx) || episode.stopped.is_some() {
            return None;
        }
        let from = self.looked().unwrap_or(episode.opened_at);
        self.counted.next_false(from, Timestamp::MAX, &cx.asked())
    }

    /// When a condition on few that had stopped is true again.
    fn starts_again_at(&self, cx: &Context<'_>) -> Option<Timestamp> {
        let stopped = self.episode.as_ref()?.stopped?;
        self.true_from(
            cx,
            self.looked().map_or(stopped, |looked| looked.max(stopped)),
        )
    }

    /// When the finding gets worse with age.
    fn worse_at(&self, cx: &Context<'_>) -> Option<Timestamp> {
        let episode = self.episode.as_ref()?;
        let ages = cx
            .rule
            .escalate
            .iter()
            .filter_map(|escalation| match escalation.when {
                EscalateWhen::After(age) if escalation.to > episode.severity => Some(age),
                _ => None,
            });
        ages.min().map(|age| episode.opened_at.plus(age))
    }

    fn reminder_at(&self, cx: &Context<'_>) -> Option<Timestamp> {
        let episode = self.episode.as_ref()?;
        (!matches!(cx.rule.recover, Recover::Never)).then(|| episode.last_said.plus(REMINDER))
    }

    /// Whether its condition is on few and changes as entries leave: an absence ends with the first match instead.
    fn walks(&self, cx: &Context<'_>) -> bool {
        cx.asked().side() == Side::Few && !matches!(cx.rule.condition, Condition::Absent(_))
    }

    /// From when a condition on few is true if nothing else comes; `None` for the other kind and for a key that is not armed.
    fn few_from(&self, cx: &Context<'_>) -> Option<Timestamp> {
        if cx.asked().side() == Side::Many {
            return None;
        }
        let whole = cx.clock.after(self.armed()?, cx.rule.condition.window());
        let settled = self.settled().map(|settled| settled.plus(INSTANT));
        let from = [settled, self.looked()]
            .into_iter()
            .flatten()
            .fold(whole, Timestamp::max);
        self.true_from(cx, from)
    }

    /// The first time at or after `from` at which the condition is true of a whole window that was seen.
    fn true_from(&self, cx: &Context<'_>, from: Timestamp) -> Option<Timestamp> {
        let window = cx.rule.condition.window();
        if matches!(cx.rule.condition, Condition::Absent(_)) {
            // There is only one last match, so what was seen of its absence before a silence goes on counting after it.
            let last = self.counted.newest();
            return Some(last.map_or(from, |last| from.max(cx.clock.after(last, window))));
        }
        let mut at = from;
        loop {
            let holds = self.counted.next_true(at, &cx.asked())?;
            // What was not seen may have held entries: it does not count as time without any.
            let seen = cx.clock.after(holds.minus(window), window);
            if seen <= holds {
                return Some(holds);
            }
            at = seen;
        }
    }

    /// When the key can be forgotten: nothing that may still come could tell the difference.
    pub(super) fn expires(&self, cx: &Context<'_>, lateness: Duration) -> Option<Timestamp> {
        let busy = self.phase != Phase::Idle
            || self.holds_back()
            || self.armed().is_some()
            || self.held_until().is_some()
            || self.learned.waits();
        if busy {
            return None;
        }
        let newest = self.newest.max(self.settled()).max(self.emptied())?;
        Some(
            newest
                .plus(horizon(cx.rule))
                .plus(lateness)
                .plus(cx.rule.cooldown),
        )
    }

    /// Applies what came at one time, or holds it back.
    pub(super) fn apply(&mut self, cx: &Context<'_>, group: Group) {
        match self.deadline(cx) {
            Some(deadline) if group.at > deadline => self.hold_back(group),
            _ => self.take(cx, group),
        }
    }

    /// Applies the first group that was held back, if it is [ready](KeyState::ready).
    pub(super) fn release(&mut self, cx: &Context<'_>) {
        if self.ready(cx).is_some()
            && let Some(group) = self.marks.make().held_back.pop_front()
        {
            self.take(cx, group);
        }
    }

    /// Settles what was due at [`KeyState::deadline`]: at one instant recovery first, then `for`, escalation, the end of a
    /// suppression, a reminder.
    pub(super) fn settle(&mut self, cx: &Context<'_>, deadline: Timestamp) {
        let due = |at: Option<Timestamp>| at.is_some_and(|at| at <= deadline);
        if due(self.forgotten_at(cx)) {
            self.forget(cx, deadline);
        } else if due(self.waited_at(cx)) {
            self.settle_waiting_steps(cx, deadline);
        } else {
            match self.phase {
                Phase::Idle if due(self.few_from(cx)) => self.begin(cx, deadline),
                Phase::Waiting(since) if due(Some(cx.clock.after(since, cx.rule.hold))) => {
                    self.settle_waiting(cx, since, deadline);
                }
                Phase::Open => self.settle_open(cx, deadline),
                _ => {}
            }
        }
        if due(self.held_until()) {
            self.window_ended(cx, deadline);
        }
    }

    /// `for` is over at `deadline`: was the condition true all the time?
    fn settle_waiting(&mut self, cx: &Context<'_>, since: Timestamp, deadline: Timestamp) {
        let asked = cx.asked();
        let from = self.looked().map_or(since, |looked| looked.max(since));
        let Some(stopped) = self.counted.next_false(from, deadline, &asked) else {
            self.open(cx, deadline);
            return;
        };
        self.phase = Phase::Idle;
        match asked.side() {
            // Matches that came since may have begun a stretch of their own.
            Side::Many => {
                if let Some(since) = self.counted.any_true(stopped, &asked) {
                    self.wait(since);
                }
            }
            Side::Few => self.marks.make().looked = Some(stopped),
        }
    }

    fn settle_open(&mut self, cx: &Context<'_>, deadline: Timestamp) {
        let due = |at: Option<Timestamp>| at.is_some_and(|at| at <= deadline);
        if due(self.stops_at(cx)) || due(self.starts_again_at(cx)) {
            let again = due(self.starts_again_at(cx));
            self.marks.make().looked = Some(deadline);
            if let Some(episode) = &mut self.episode {
                episode.stopped = (!again).then_some(deadline);
            }
        } else if due(self.over_at(cx)) {
            if let Recover::Never = cx.rule.recover {
                self.end_unannounced(cx, deadline);
            } else {
                let reason = self.quiet_or_silent(cx, deadline);
                self.recover(cx, deadline, reason);
            }
        } else if due(self.worse_at(cx)) {
            self.grow_worse(cx, deadline);
        } else if due(self.reminder_at(cx)) {
            self.say(Reason::Reminder, deadline);
        }
    }

    /// Whether its streams went on without a match up to `deadline`, or said nothing.
    fn quiet_or_silent(&self, cx: &Context<'_>, deadline: Timestamp) -> Reason {
        if self.sources.went_on(deadline, cx.streams) {
            Reason::Quiet
        } else {
            Reason::Silent
        }
    }

    /// Looks at the condition after entries at `at`; `matched` tells whether any of them matches.
    fn decide(&mut self, cx: &Context<'_>, at: Timestamp, matched: bool) {
        let asked = cx.asked();
        let many = asked.side() == Side::Many;
        match self.phase {
            Phase::Idle if many => {
                // Where enough have come together; never at a time that is settled.
                let from = self
                    .settled()
                    .map_or(at, |settled| at.max(settled.plus(INSTANT)));
                if let Some(held) = self.counted.first_true(from, &asked) {
                    self.begin(cx, held);
                }
            }
            // A late match may let the stretch begin earlier.
            Phase::Waiting(since) if many && at < since => {
                let from = self
                    .settled()
                    .map_or(at, |settled| at.max(settled.plus(INSTANT)));
                if let Some(held) = self.counted.first_true(from, &asked)
                    && held < since
                {
                    self.wait(held);
                }
            }
            Phase::Open => {
                if many {
                    self.extend(cx, at);
                }
                if matched {
                    self.worsen(cx, at);
                    let episode = self.episode.as_ref();
                    if episode.is_some_and(|it| at >= it.last_said.plus(cx.rule.cooldown)) {
                        self.say(Reason::StillMatching, at);
                    }
                }
            }
            Phase::Idle | Phase::Waiting(_) => {}
        }
    }

    /// The condition is true from `at` on.
    fn begin(&mut self, cx: &Context<'_>, at: Timestamp) {
        if cx.rule.hold.is_zero() {
            self.open(cx, at);
        } else {
            self.wait(at);
        }
    }

    fn wait(&mut self, since: Timestamp) {
        self.phase = Phase::Waiting(since);
        self.marks.make().looked = Some(since);
    }

    /// Notes what is seen of the condition up to `upto`, before entries go that it is seen from.
    fn look(&mut self, cx: &Context<'_>, upto: Timestamp) {
        let Some(looked) = self.looked() else {
            // A key of which nothing was said yet has been silent so far.
            if self.few_from(cx).is_some_and(|few| few > upto) {
                self.marks.make().looked = Some(upto);
            }
            return;
        };
        if looked >= upto {
            return;
        }
        let stopped = self.episode.as_ref().and_then(|episode| episode.stopped);
        let unchanged = match self.phase {
            Phase::Waiting(_) => self.counted.next_false(looked, upto, &cx.asked()).is_none(),
            Phase::Open if !self.walks(cx) => false,
            Phase::Open if stopped.is_none() => {
                self.counted.next_false(looked, upto, &cx.asked()).is_none()
            }
            Phase::Open => self.starts_again_at(cx).is_none_or(|again| again > upto),
            Phase::Idle => self.few_from(cx).is_some_and(|few| few > upto),
        };
        if unchanged {
            self.marks.make().looked = Some(upto);
        }
    }

    fn open(&mut self, cx: &Context<'_>, at: Timestamp) {
        let asked = cx.asked();
        let window = cx.rule.condition.window();
        let newest = self.counted.newest().unwrap_or(at);
        let first_seen = self.counted.oldest(at, &asked).unwrap_or(at);
        let from = Beginning {
            first_seen,
            last_seen: newest.max(first_seen),
            total: self.counted.matches(at, &asked) + self.counted.matches_after(at),
        };
        let unseen_from = |recovered: Timestamp| recovered.max(at.minus(window));
        let again = self.can_reopen(cx, at).map(|recovered| Beginning {
            total: self.counted.matches_after(unseen_from(recovered)),
            ..from
        });
        self.start(cx, at, from, again);
        if asked.side() == Side::Many {
            // After `for`, and for late entries, the condition may have held at entries around `at`; a match just as old as the
            // window has left it.
            let from = at.minus(window).plus(INSTANT);
            let held = self.counted.last_true(from, at, &asked);
            if let (Some(held), Some(episode)) = (held, &mut self.episode) {
                episode.held = held;
            }
            self.extend(cx, at);
        }
        self.marks.make().looked = Some(at);
        self.worsen(cx, first_seen);
    }

    /// When the last finding recovered, if it goes on with one that opens at `at`.
    fn can_reopen(&self, cx: &Context<'_>, at: Timestamp) -> Option<Timestamp> {
        let recovered = self.episode.as_ref()?.recovered_at?;
        (at < recovered.plus(cx.rule.cooldown)).then_some(recovered)
    }

    /// Opens a finding, or the last one again where `again` says with what.
    fn start(
        &mut self,
        cx: &Context<'_>,
        at: Timestamp,
        from: Beginning,
        again: Option<Beginning>,
    ) {
        let lines = cx.rule.evidence.lines;
        self.phase = Phase::Open;
        match (again, &mut self.episode) {
            (Some(from), Some(episode)) => {
                let recovered = episode.recovered_at.unwrap_or(at);
                episode.reopen(cx, at, from);
                episode.own_from = recovered.plus(INSTANT);
                self.quotes.reopen(lines);
                self.say(Reason::Reopened, at);
            }
            _ => {
                self.quotes.open(from.first_seen, lines);
                self.sources.begin(from.first_seen);
                self.episode = Some(Box::new(Episode::new(cx, at, from)));
                self.say(Reason::Opened, at);
            }
        }
        if let (Some(escalations), Some(episode)) = (self.escalations.get_mut(), &self.episode) {
            escalations.begin(episode.own_from);
        }
    }

    /// Moves on the last entry at whose time the condition held, as far as each is in time for the next.
    fn extend(&mut self, cx: &Context<'_>, at: Timestamp) {
        while let Some(episode) = &self.episode {
            let over = self.over_at(cx).unwrap_or(Timestamp::MAX);
            match self
                .counted
                .last_true(at.max(episode.held), over, &cx.asked())
            {
                Some(held) if held > episode.held => {
                    if let Some(episode) = &mut self.episode {
                        episode.held = held;
                    }
                }
                _ => return,
            }
        }
    }

    /// Raises the severity as entries from `at` on call for.
    fn worsen(&mut self, cx: &Context<'_>, at: Timestamp) {
        let Some(episode) = &mut self.episode else {
            return;
        };
        let escalations = self.escalations.get();
        let called = escalations.and_then(|it| it.severity(cx.rule, episode.own_from, at));
        if let Some((to, when)) = called
            && episode.raise(to)
        {
            let opened = episode.opened_at;
            self.say(Reason::Escalated, when.max(at).max(opened));
        }
    }

    /// Raises the severity as its age calls for.
    fn grow_worse(&mut self, cx: &Context<'_>, at: Timestamp) {
        let Some(episode) = &mut self.episode else {
            return;
        };
        let opened = episode.opened_at;
        let called = cx.rule.escalate.iter().filter(|escalation| {
            matches!(escalation.when, EscalateWhen::After(age) if opened.plus(age) <= at)
        });
        if let Some(to) = called.map(|escalation| escalation.to).max()
            && episode.raise(to)
        {
            self.say(Reason::Escalated, at);
        }
    }

    /// Raises the severity because of what other keys of the rule counted.
    pub(super) fn raise(&mut self, to: Severity, at: Timestamp) {
        if self.is_open()
            && self
                .episode
                .as_mut()
                .is_some_and(|episode| episode.raise(to))
        {
            self.say(Reason::Escalated, at);
        }
    }

    fn recover_by_match(&mut self, cx: &Context<'_>, at: Timestamp) {
        self.counted.clear_through(at);
        self.learned.clear_through(at);
        let marks = self.marks.make();
        marks.emptied = marks.emptied.max(Some(at));
        marks.armed = marks.armed.map(|armed| armed.max(at));
        match self.phase {
            Phase::Idle => {}
            Phase::Waiting(_) => {
                self.phase = Phase::Idle;
                marks.looked = marks.looked.max(Some(at));
                if let Some(newest) = self.counted.newest() {
                    self.decide(cx, newest, false);
                }
            }
            // One that came late, after matches that are newer, only empties the window.
            Phase::Open => {
                if self
                    .episode
                    .as_ref()
                    .is_some_and(|episode| episode.last_seen <= at)
                {
                    self.recover(cx, at, Reason::MatchedRecovery);
                }
            }
        }
    }

    fn recover(&mut self, cx: &Context<'_>, at: Timestamp, reason: Reason) {
        self.phase = Phase::Idle;
        self.settle_to(at);
        if let Some(episode) = &mut self.episode {
            episode.recovered_at = Some(at);
            self.learned
                .finding_over(&cx.rule.condition, episode.first_seen);
        }
        self.say(reason, at);
    }

    /// A one-shot event is over: nobody is told.
    fn end_unannounced(&mut self, cx: &Context<'_>, at: Timestamp) {
        self.phase = Phase::Idle;
        self.settle_to(at);
        let told = self.episode.take().and_then(|it| it.told.unpack());
        if let Some(told) = told {
            self.telling.make().end(report::ended(told, cx, at));
        }
    }

    /// The rule has changed: what was counted under its old meaning is gone, an open finding goes on.
    pub(super) fn restart_counting(&mut self, rule: &Rule) {
        let open = self.is_open();
        *self = Self {
            quotes: std::mem::take(&mut self.quotes),
            captures: self.captures.take(),
            sources: std::mem::take(&mut self.sources),
            phase: if open { Phase::Open } else { Phase::Idle },
            episode: self.episode.take(),
            telling: std::mem::take(&mut self.telling),
            marks: Rare::new(Marks {
                settled: self.settled(),
                ..Marks::default()
            }),
            newest: self.newest,
            joined: std::mem::take(&mut self.joined),
            ..Self::new(rule)
        };
        self.quotes.reopen(rule.evidence.lines);
    }

    /// The rule may have other escalations than when the key was stored.
    pub(super) fn fit(&mut self, rule: &Rule) {
        if !self.escalations.get().is_some_and(|it| it.fit(rule)) {
            self.escalations = Rare::new(Escalations::new(rule));
        }
    }

    /// The rule is gone: an open finding ends at `at`.
    pub(super) fn remove_rule(
        &mut self,
        at: Timestamp,
        cluster: &str,
        tenant: &str,
    ) -> Option<Finding> {
        if !self.is_open() {
            return None;
        }
        let episode = self.episode.take()?;
        let told = episode.told.unpack()?;
        Some(report::rule_removed(told, &episode, at, cluster, tenant))
    }

    /// Redacts what is kept, before it is written to disk.
    pub(super) fn redact(&mut self, redactor: &Redactor, rule: &Rule) {
        self.quotes.redact(redactor, &rule.evidence);
        for hit in self.held_back_mut().flat_map(|group| &mut group.matches) {
            hit.line = redactor
                .redact(&hit.line, &rule.evidence.redact)
                .into_bytes()
                .into();
        }
    }

    /// Forgets entries that matter to nothing at or after `clock`, and gives back the room for what is over.
    pub(super) fn trim(&mut self, cx: &Context<'_>, clock: Timestamp) {
        self.telling.tidy();
        self.marks.tidy();
        self.joined.tidy();
        self.look(cx, clock);
        self.counted.forget_before(clock, &cx.asked());
        if let Some(escalations) = self.escalations.get_mut() {
            escalations.forget_before(cx.rule, clock);
        }
        self.learned.forget_before(clock, &cx.rule.condition);
    }
}

/// How far back entries of a rule matter to its condition and its escalations.
pub(super) fn horizon(rule: &Rule) -> Duration {
    let past = match &rule.condition {
        Condition::Spike(spike) => spike.past,
        _ => Duration::ZERO,
    };
    let escalate = rule
        .escalate
        .iter()
        .map(|escalation| match &escalation.when {
            EscalateWhen::Count(threshold) => threshold.window,
            EscalateWhen::Distinct(distinct) => distinct.threshold.window,
            EscalateWhen::After(_) | EscalateWhen::Match(_) => Duration::ZERO,
        });
    let window = rule.condition.window().max(Threshold::EVERY.window);
    escalate.fold(window + past, Duration::max)
}
