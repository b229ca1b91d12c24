//! The life of one key: quiet, waiting for its `for`, open, recovered, open again.
//!
//! Matches decide when they arrive; what depends on something *not* happening (recovery, `for`, too few entries) is due at a
//! [deadline](KeyState::deadline) of event time and is settled once the tenant's clock has passed it by `late_by`.
//! Until then a match from after the deadline is held back, and one from before it still counts.
//! So the outcome is that of the entries in order of time, however they were batched.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::evidence::{Quote, Quotes};
use super::report;
use super::step::{Context, Group, Told};
use super::window::Window;
use crate::batch::StreamId;
use crate::finding::{Finding, Reason, Redactor};
use crate::hit::Hit;
use crate::rules::{Needs, Recover, Rule, Severity};
use crate::time::Timestamp;

/// An open finding says so again when it has said nothing for this long, so that its last message never ages out of a stream
/// that keeps messages for days.
const REMINDER: Duration = Duration::from_secs(24 * 3600);

/// How many label sets of a key are remembered for telling `quiet` from `silent`.
const STREAMS_MAX: usize = 64;

/// One key of one rule: its window, its finding, and what waits.
///
/// Memory: 8 bytes an entry in the window, up to [`Window::entries_max`]; 16 quoted lines of at most 2 KiB; a finding of about 2 KiB
/// while there is one; 24 bytes for each of 64 label sets.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct KeyState {
    window: Window,
    quotes: Quotes,
    /// Values for the summary, of the newest match.
    captures: Option<(Timestamp, Captures)>,
    /// Label sets that matched, each with the time of its newest match.
    streams: VecDeque<(StreamId, Timestamp)>,
    /// The newest match.
    last_match: Option<Timestamp>,
    /// The first entry of its streams after that.
    heard: Option<Timestamp>,
    /// The newest entry of its streams, whether or not a match came after it.
    #[serde(skip)]
    newest_heard: Option<Timestamp>,
    phase: Phase,
    /// The finding that is open, or that recovered last.
    episode: Option<Episode>,
    held_back: VecDeque<Group>,
    /// First match: a condition on few entries says nothing before a whole window since.
    armed: Option<Timestamp>,
    /// Nothing opens at or before this time: a recovery is never taken back.
    settled: Option<Timestamp>,
    /// Entries at or before this time were taken out of the window by a recovery.
    emptied: Option<Timestamp>,
    /// When the key was last touched, as a count of steps: the one longest untouched is evicted first.
    #[serde(skip)]
    pub(super) touched: u64,
    /// The timer that is set for it.
    #[serde(skip)]
    pub(super) timer: Option<Timestamp>,
}

/// Names and values of a summary.
type Captures = Box<[(Box<str>, Box<str>)]>;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    #[default]
    Idle,
    /// The condition is true in `[since, end)`, which is not yet as long as `for` wants.
    Waiting {
        since: Timestamp,
        /// When the entries known so far have left; never for a condition on few.
        end: Timestamp,
    },
    Open,
}

/// What is known of a finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Episode {
    pub(super) finding_id: String,
    /// As they were at opening: the subject of its messages follows from them.
    pub(super) domain: String,
    pub(super) incident_type: String,
    pub(super) observed_at: Timestamp,
    /// When it opened last: at first, or again.
    opened_at: Timestamp,
    pub(super) recovered_at: Option<Timestamp>,
    pub(super) revision: u64,
    pub(super) severity: Severity,
    pub(super) severity_max: Severity,
    pub(super) first_seen: Timestamp,
    pub(super) last_seen: Timestamp,
    pub(super) total: u64,
    pub(super) since_message: u64,
    pub(super) flaps: u64,
    pub(super) late: u64,
    pub(super) duplicates: u64,
    pub(super) last_message: Timestamp,
    /// The last entry at whose time the condition held.
    held: Timestamp,
    /// When too many entries came for a condition on few; `None` while it holds.
    stopped: Option<Timestamp>,
    /// The last message, to close the finding when its rule is gone.
    pub(super) told: Option<Box<Finding>>,
}

impl KeyState {
    /// A key that is expected from `at` on, though nothing has matched.
    pub(super) fn armed(at: Timestamp) -> Self {
        Self {
            armed: Some(at),
            ..Self::default()
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// The severity of the open finding, if there is one.
    pub(super) fn open_severity(&self) -> Option<Severity> {
        let episode = self.episode.as_ref().filter(|_| self.is_open())?;
        Some(episode.severity)
    }

    /// The label sets that matched: a finding is quiet if one of them goes on without a match.
    pub(super) fn streams(&self) -> impl Iterator<Item = StreamId> {
        self.streams.iter().map(|(stream, _)| *stream)
    }

    /// A repeated entry of this key came and was not counted.
    pub(super) fn count_duplicate(&mut self) {
        if let (Phase::Open, Some(episode)) = (self.phase, &mut self.episode) {
            episode.duplicates += 1;
        }
    }

    /// Whether it matters to this key that its streams speak.
    pub(super) fn listens(&self) -> bool {
        self.phase != Phase::Idle || self.armed.is_some()
    }

    /// One of its streams had entries at `times`, in order. True if that is worth remembering on disk.
    pub(super) fn hear(&mut self, times: &[Timestamp]) -> bool {
        let first_after = |at: Timestamp| {
            times
                .get(times.partition_point(|time| *time <= at))
                .copied()
        };
        let earlier = |known: &mut Option<Timestamp>, at: Timestamp| {
            let first = first_after(at).filter(|first| known.is_none_or(|known| *first < known));
            *known = first.or(*known);
            first.is_some()
        };
        self.newest_heard = self.newest_heard.max(times.last().copied());
        let mut news = self
            .last_match
            .is_some_and(|at| earlier(&mut self.heard, at));
        for group in &mut self.held_back {
            news |= earlier(&mut group.heard, group.at);
        }
        news
    }

    /// The next time at which something is due if no match comes before: the condition of few entries, the end of `for`,
    /// recovery, a reminder.
    pub(super) fn deadline(&self, cx: &Context<'_>) -> Option<Timestamp> {
        match self.phase {
            Phase::Idle => self.few_from(cx),
            Phase::Waiting { since, end } => Some(end.min(cx.clock.after(since, cx.rule.hold))),
            Phase::Open => {
                let episode = self.episode.as_ref()?;
                let over = match self.over_at(cx, episode) {
                    // A condition on few entries that holds again before recovery is due goes on.
                    Some(over) if episode.stopped.is_some() => {
                        Some(self.few_from(cx).map_or(over, |few| few.min(over)))
                    }
                    over => over,
                };
                let reminder = self.reminder_at(cx, episode);
                over.into_iter().chain(reminder).min()
            }
        }
    }

    /// When the finding is over if nothing matches any more; not before it has opened.
    fn over_at(&self, cx: &Context<'_>, episode: &Episode) -> Option<Timestamp> {
        let over = if let Recover::Never = cx.rule.recover {
            cx.clock.after(episode.last_seen, cx.rule.cooldown)
        } else {
            let quiet_from = match cx.rule.threshold().needs {
                Needs::AtLeast(_) => episode.held,
                Needs::AtMost(_) => episode.stopped?,
            };
            cx.clock.after(quiet_from, cx.rule.recover.quiet()?)
        };
        Some(over.max(episode.opened_at))
    }

    fn reminder_at(&self, cx: &Context<'_>, episode: &Episode) -> Option<Timestamp> {
        (!matches!(cx.rule.recover, Recover::Never)).then(|| episode.last_message.plus(REMINDER))
    }

    /// From when a condition on few entries is true if none comes; `None` for the other kind and for a key that is not armed.
    fn few_from(&self, cx: &Context<'_>) -> Option<Timestamp> {
        let threshold = cx.rule.threshold();
        let Needs::AtMost(_) = threshold.needs else {
            return None;
        };
        let whole = cx.clock.after(self.armed?, threshold.window);
        let left = self
            .window
            .last_to_leave(threshold)
            .map(|last| cx.clock.after(last, threshold.window));
        Some(whole.max(left.unwrap_or(whole)))
    }

    /// When the key can be forgotten: nothing that may still come could tell the difference.
    pub(super) fn expires(&self, cx: &Context<'_>, lateness: Duration) -> Option<Timestamp> {
        if self.phase != Phase::Idle || !self.held_back.is_empty() || self.armed.is_some() {
            return None;
        }
        let newest = self.window.newest().max(self.settled).max(self.emptied)?;
        Some(
            newest
                .plus(cx.rule.threshold().window)
                .plus(lateness)
                .plus(cx.rule.cooldown),
        )
    }

    /// Applies what came at one time.
    pub(super) fn apply(&mut self, cx: &Context<'_>, group: Group, out: &mut Told) {
        match self.deadline(cx) {
            Some(deadline) if group.at > deadline => self.hold_back(cx, group),
            _ => {
                self.take(cx, group, out);
                self.take_held_back(cx, out);
            }
        }
    }

    /// Settles what was due at [`KeyState::deadline`], then applies what was held back for it.
    pub(super) fn settle(&mut self, cx: &Context<'_>, deadline: Timestamp, out: &mut Told) {
        match self.phase {
            Phase::Idle => self.begin(cx, deadline, out),
            Phase::Waiting { end, .. } => {
                self.phase = Phase::Idle;
                if deadline < end {
                    self.open(cx, deadline, out);
                } else {
                    // Matches that came before a late one may begin a stretch of their own.
                    self.decide(cx, deadline, out);
                }
            }
            Phase::Open => self.settle_open(cx, deadline, out),
        }
        self.take_held_back(cx, out);
    }

    /// Applies what was held back for a deadline that is settled, or was put off.
    fn take_held_back(&mut self, cx: &Context<'_>, out: &mut Told) {
        while let Some(group) = self.held_back.pop_front() {
            if self
                .deadline(cx)
                .is_some_and(|deadline| group.at > deadline)
            {
                self.held_back.push_front(group);
                break;
            }
            self.take(cx, group, out);
        }
    }

    fn settle_open(&mut self, cx: &Context<'_>, deadline: Timestamp, out: &mut Told) {
        let Some(episode) = &self.episode else { return };
        if episode.stopped.is_some() && self.few_from(cx).is_some_and(|few| few <= deadline) {
            if let Some(episode) = &mut self.episode {
                episode.stopped = None;
            }
        } else if self
            .over_at(cx, episode)
            .is_some_and(|over| over <= deadline)
        {
            if let Recover::Never = cx.rule.recover {
                self.phase = Phase::Idle;
                self.settled = self.settled.max(Some(deadline));
                let told = self.episode.take().and_then(|episode| episode.told);
                out.ended
                    .extend(told.map(|told| report::ended(*told, deadline)));
            } else {
                let from = self.last_match.unwrap_or(episode.observed_at);
                let quiet = self.heard.is_some_and(|heard| heard <= deadline)
                    || self
                        .streams()
                        .any(|stream| (cx.spoke)(stream, from, deadline));
                self.recover(
                    cx,
                    deadline,
                    if quiet { Reason::Quiet } else { Reason::Silent },
                    out,
                );
            }
        } else {
            self.announce(cx, Reason::Reminder, deadline, out);
        }
    }

    fn hold_back(&mut self, cx: &Context<'_>, mut group: Group) {
        let held: usize = self.held_back.iter().map(|group| group.matches.len()).sum();
        let room = Window::entries_max(cx.rule.threshold()).saturating_sub(held);
        if group.matches.len() > room {
            group.more += (group.matches.len() - room) as u64;
            group.matches.truncate(room);
        }
        let place = self.held_back.partition_point(|other| other.at < group.at);
        match self.held_back.get_mut(place) {
            Some(same) if same.at == group.at => {
                same.matches.append(&mut group.matches);
                same.more += group.more;
                same.recovered |= group.recovered;
                same.uncertain |= group.uncertain;
                same.late |= group.late;
                // `heard` is told after the batch, of all groups alike.
            }
            _ => self.held_back.insert(place, group),
        }
    }

    fn take(&mut self, cx: &Context<'_>, group: Group, out: &mut Told) {
        let at = group.at;
        let count = group.matches.len() as u64 + group.more;
        self.count(cx, &group, count);
        for hit in group.matches {
            self.quote(cx, hit);
        }
        if group.recovered {
            self.recover_by_match(cx, at, out);
        } else if !group.uncertain && count > 0 {
            self.decide(cx, at, out);
        }
    }

    /// Counts matches in the window and in the open finding.
    fn count(&mut self, cx: &Context<'_>, group: &Group, count: u64) {
        let at = group.at;
        let threshold = cx.rule.threshold();
        if count > 0 && matches!(threshold.needs, Needs::AtMost(_)) {
            self.armed = Some(self.armed.map_or(at, |armed| armed.min(at)));
        }
        if self.emptied.is_none_or(|emptied| at > emptied) {
            for _ in 0..count.min(Window::entries_max(threshold) as u64) {
                self.window.insert(at, threshold);
            }
        }
        for hit in &group.matches {
            match self
                .streams
                .iter_mut()
                .find(|(stream, _)| *stream == hit.stream)
            {
                Some((_, newest)) => *newest = (*newest).max(at),
                None => {
                    if self.streams.len() == STREAMS_MAX {
                        self.streams.pop_front();
                    }
                    self.streams.push_back((hit.stream, at));
                }
            }
        }
        if let (Phase::Open, Some(episode), true) = (self.phase, &mut self.episode, count > 0) {
            episode.total += count;
            episode.since_message += count;
            episode.first_seen = episode.first_seen.min(at);
            if group.late {
                episode.late += count;
            }
            episode.last_seen = episode.last_seen.max(at);
        }
        if count > 0 && self.last_match.is_none_or(|last| at > last) {
            self.last_match = Some(at);
            self.heard = group
                .heard
                .or(self.newest_heard.filter(|heard| *heard > at));
        }
    }

    fn quote(&mut self, cx: &Context<'_>, hit: Hit) {
        if self.captures.as_ref().is_none_or(|(at, _)| *at <= hit.at) {
            self.captures = Some((hit.at, hit.captures));
        }
        let quote = Quote {
            at: hit.at,
            labels: hit.labels,
            line: hit.line,
            redacted: false,
        };
        self.quotes.add(quote, self.is_open(), cx.rule);
    }

    /// Looks at the condition after matches at `at`.
    fn decide(&mut self, cx: &Context<'_>, at: Timestamp, out: &mut Told) {
        let threshold = cx.rule.threshold();
        let many = matches!(threshold.needs, Needs::AtLeast(_));
        // Where enough matches have come together; never at a time that is settled.
        let from = self
            .settled
            .map_or(at, |settled| at.max(settled.plus(Duration::from_nanos(1))));
        let held = many
            .then(|| self.window.first_when(true, from, threshold))
            .flatten();
        match self.phase {
            Phase::Idle if many => {
                if let Some(held) = held {
                    self.begin(cx, held, out);
                }
            }
            Phase::Waiting { since, end } if many => {
                let Some(held) = held else { return };
                let further = self.window.stretch(held, threshold).1;
                if further >= since {
                    // A match in time lengthens the stretch; a late one may let it begin earlier.
                    let (since, end) = (since.min(held), end.max(further));
                    self.phase = Phase::Waiting { since, end };
                } else if cx.clock.after(held, cx.rule.hold) < further {
                    // Late matches made a stretch before it that is long enough by itself.
                    self.phase = Phase::Waiting {
                        since: held,
                        end: further,
                    };
                }
            }
            Phase::Waiting { since, .. } if !self.window.stays_few(since, threshold) => {
                self.phase = Phase::Idle;
            }
            Phase::Open => {
                if many {
                    self.extend(cx, at);
                } else if let Some(episode) = &mut self.episode
                    && let from = episode.stopped.map_or(at, |stopped| stopped.min(at))
                    && let Some(too_many) =
                        self.window
                            .last_when(false, from, Timestamp::MAX, threshold)
                {
                    // A late match may show that there were too many already before, or again after a pause.
                    episode.stopped = Some(self.window.too_many_since(too_many, threshold));
                }
                if self
                    .episode
                    .as_ref()
                    .is_some_and(|episode| at >= episode.last_message.plus(cx.rule.cooldown))
                {
                    self.announce(cx, Reason::StillMatching, at, out);
                }
            }
            Phase::Idle | Phase::Waiting { .. } => {}
        }
    }

    /// The condition is true from `at` on.
    fn begin(&mut self, cx: &Context<'_>, at: Timestamp, out: &mut Told) {
        if cx.rule.hold.is_zero() {
            self.open(cx, at, out);
        } else {
            let end = match cx.rule.threshold().needs {
                Needs::AtLeast(_) => self.window.stretch(at, cx.rule.threshold()).1,
                Needs::AtMost(_) => Timestamp::MAX,
            };
            self.phase = Phase::Waiting { since: at, end };
        }
    }

    fn open(&mut self, cx: &Context<'_>, at: Timestamp, out: &mut Told) {
        let threshold = cx.rule.threshold();
        let lines = cx.rule.evidence.lines;
        self.phase = Phase::Open;
        let reopened = self.episode.take_if(|episode| {
            episode
                .recovered_at
                .is_some_and(|recovered| at < recovered.plus(cx.rule.cooldown))
        });
        let reason = if reopened.is_some() {
            Reason::Reopened
        } else {
            Reason::Opened
        };
        let newest = self.window.newest().unwrap_or(at);
        let episode = match reopened {
            Some(mut episode) => {
                let unseen_from = episode
                    .recovered_at
                    .unwrap_or(at)
                    .max(at.minus(threshold.window));
                let count = self.window.count_after(unseen_from);
                episode.total += count;
                episode.since_message += count;
                episode.flaps += 1;
                episode.recovered_at = None;
                episode.severity = cx.rule.severity;
                episode.severity_max = episode.severity_max.max(cx.rule.severity);
                episode.last_seen = episode.last_seen.max(newest);
                episode.opened_at = at;
                episode.held = at;
                episode.stopped = None;
                self.quotes.reopen(lines);
                episode
            }
            None => {
                let first_seen = self.window.oldest(at, threshold).unwrap_or(at);
                let total = self.window.count(at, threshold) + self.window.count_after(at);
                self.quotes.open(first_seen, lines);
                self.streams.retain(|(_, matched)| *matched >= first_seen);
                Episode {
                    finding_id: report::finding_id(cx, at),
                    domain: cx.rule.domain.clone(),
                    incident_type: cx.rule.incident_type.clone(),
                    observed_at: at,
                    opened_at: at,
                    recovered_at: None,
                    revision: 0,
                    severity: cx.rule.severity,
                    severity_max: cx.rule.severity,
                    first_seen,
                    last_seen: newest.max(first_seen),
                    total,
                    since_message: total,
                    flaps: 0,
                    late: 0,
                    duplicates: 0,
                    last_message: at,
                    held: at,
                    stopped: None,
                    told: None,
                }
            }
        };
        self.episode = Some(episode);
        if let Needs::AtLeast(_) = threshold.needs {
            // After `for`, and for late entries, the condition may have held at entries around `at`.
            if let (Some(held), Some(episode)) = (
                self.window
                    .last_when(true, at.minus(threshold.window), at, threshold),
                &mut self.episode,
            ) {
                episode.held = held;
            }
            self.extend(cx, at);
        }
        self.announce(cx, reason, at, out);
    }

    /// Moves on the last entry at whose time the condition held, as far as each is in time for the next.
    fn extend(&mut self, cx: &Context<'_>, at: Timestamp) {
        while let Some(episode) = &self.episode {
            let over = self.over_at(cx, episode).unwrap_or(Timestamp::MAX);
            match self
                .window
                .last_when(true, at.max(episode.held), over, cx.rule.threshold())
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

    fn recover_by_match(&mut self, cx: &Context<'_>, at: Timestamp, out: &mut Told) {
        self.window.clear_through(at);
        self.emptied = self.emptied.max(Some(at));
        self.armed = self.armed.map(|armed| armed.max(at));
        match self.phase {
            Phase::Idle => {}
            Phase::Waiting { .. } => {
                self.phase = Phase::Idle;
                if let Some(newest) = self.window.newest() {
                    self.decide(cx, newest, out);
                }
            }
            // One that came late, after matches that are newer, only empties the window.
            Phase::Open => {
                if self
                    .episode
                    .as_ref()
                    .is_some_and(|episode| episode.last_seen <= at)
                {
                    self.recover(cx, at, Reason::MatchedRecovery, out);
                }
            }
        }
    }

    fn recover(&mut self, cx: &Context<'_>, at: Timestamp, reason: Reason, out: &mut Told) {
        self.phase = Phase::Idle;
        self.settled = self.settled.max(Some(at));
        if let Some(episode) = &mut self.episode {
            episode.recovered_at = Some(at);
        }
        self.announce(cx, reason, at, out);
    }

    /// Makes the next revision.
    fn announce(&mut self, cx: &Context<'_>, reason: Reason, at: Timestamp, out: &mut Told) {
        let Some(episode) = &mut self.episode else {
            return;
        };
        episode.revision += 1;
        let evidence = self
            .quotes
            .told(at.max(episode.last_seen), cx.redactor, &cx.rule.evidence);
        let captures = self
            .captures
            .as_ref()
            .map_or(&[][..], |(_, captures)| captures);
        let finding = report::finding(
            cx,
            episode,
            reason,
            at,
            self.window.count(at, cx.rule.threshold()),
            captures,
            evidence,
        );
        episode.last_message = at;
        episode.since_message = 0;
        episode.told = Some(Box::new(finding.clone()));
        out.findings.push(finding);
    }

    /// The rule has changed: what was counted under its old meaning is gone, an open finding goes on.
    pub(super) fn restart_counting(&mut self) {
        let open = self.is_open();
        *self = Self {
            phase: if open { Phase::Open } else { Phase::Idle },
            episode: self.episode.take(),
            quotes: std::mem::take(&mut self.quotes),
            streams: std::mem::take(&mut self.streams),
            last_match: self.last_match,
            heard: self.heard,
            settled: self.settled,
            ..Self::default()
        };
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
        let told = self.episode.take()?.told?;
        Some(report::rule_removed(*told, at, cluster, tenant))
    }

    /// Redacts what is kept, before it is written to disk.
    pub(super) fn redact(&mut self, redactor: &Redactor, rule: &Rule) {
        self.quotes.redact(redactor, &rule.evidence);
        for hit in self
            .held_back
            .iter_mut()
            .flat_map(|group| &mut group.matches)
        {
            hit.line = redactor
                .redact(&hit.line, &rule.evidence.redact)
                .into_bytes()
                .into();
        }
    }

    /// Forgets entries too old to matter at `clock`.
    pub(super) fn trim(&mut self, rule: &Rule, clock: Timestamp, lateness: Duration) {
        self.window
            .forget_before(clock.minus(lateness), rule.threshold().window);
    }
}
