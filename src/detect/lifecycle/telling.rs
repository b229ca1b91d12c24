//! When a message is made of what happened, and when it is held back.

use serde::{Deserialize, Serialize};

use super::KeyState;
use super::packed::Packed;
use crate::detect::report;
use crate::detect::step::{Context, Told};
use crate::finding::{Finding, Reason};
use crate::time::Timestamp;

/// What a key has to say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Telling {
    /// What happened at this instant: one message tells it all.
    #[serde(skip)]
    pending: Option<(Reason, Timestamp)>,
    /// When the suppression ends that holds messages back.
    until: Option<Timestamp>,
    /// Something of the open finding was held back.
    held: bool,
    /// The recovery of a finding that was announced, held back by a suppression; its revision is the next.
    owed: Option<Box<Finding>>,
    /// A finding that ended without a message.
    #[serde(skip)]
    ended: Option<Box<Finding>>,
}

impl Telling {
    /// The recovery that waits for a suppression to end.
    pub(super) fn owed(&self) -> Option<&Finding> {
        self.owed.as_deref()
    }

    /// Why there is something to say.
    pub(super) fn why(&self) -> Option<Reason> {
        self.pending.map(|(reason, _)| reason)
    }

    pub(super) fn end(&mut self, ended: Finding) {
        self.ended = Some(Box::new(ended));
    }
}

/// Which of two reasons of one instant is told.
fn rank(reason: Reason) -> u8 {
    match reason {
        Reason::Reminder => 0,
        Reason::StillMatching => 1,
        Reason::PartJoined => 2,
        Reason::Escalated => 3,
        Reason::WindowEnded => 4,
        Reason::Opened | Reason::Reopened => 5,
        Reason::Quiet | Reason::Silent | Reason::MatchedRecovery | Reason::RuleRemoved => 6,
    }
}

impl KeyState {
    /// When the suppression ends that holds messages back.
    pub(super) fn held_until(&self) -> Option<Timestamp> {
        self.telling.get()?.until
    }

    /// Notes that something happened that has to be said.
    pub(super) fn say(&mut self, reason: Reason, at: Timestamp) {
        let pending = &mut self.telling.make().pending;
        if pending.is_none_or(|(other, _)| rank(reason) > rank(other)) {
            *pending = Some((reason, at));
        }
    }

    /// Whether there is something to say.
    pub(in crate::detect) fn has_to_say(&self) -> bool {
        self.telling.get().is_some_and(|telling| {
            telling.pending.is_some()
                || telling.ended.is_some()
                || (telling.owed.is_some() && telling.until.is_none())
        })
    }

    /// Makes the message of this instant, unless it is held back: by a suppression, or, where it is `hidden`, by a finding that
    /// it is a part of. Held messages use no revision.
    pub(in crate::detect) fn announce(&mut self, cx: &Context<'_>, hidden: bool, out: &mut Told) {
        let telling = self.telling.make();
        out.ended.extend(telling.ended.take().map(|ended| *ended));
        let (Some((reason, at)), Some(episode)) = (telling.pending.take(), &mut self.episode)
        else {
            return;
        };
        episode.last_said = at;
        let over = episode.recovered_at.is_some();
        let unheard = episode.revision == 0;
        if reason == Reason::Reopened {
            // It goes on: that it was over need not be told any more.
            telling.owed = None;
        }
        if let Some(until) = cx.suppressed_until(at) {
            telling.until = Some(until);
            telling.held = !over;
            episode.suppressed += 1;
            if over && !unheard {
                let mut owed = self.render(cx, Reason::WindowEnded, at);
                if let Some(owed) = &mut owed {
                    owed.revision += 1;
                }
                self.telling.make().owed = owed.map(Box::new);
            }
            return;
        }
        if hidden && !over {
            telling.held = true;
            episode.suppressed += 1;
            return;
        }
        telling.held = false;
        if over && unheard {
            // Nobody heard that it began.
            return;
        }
        episode.revision += 1;
        let Some(finding) = self.render(cx, reason, at) else {
            return;
        };
        if let Some(episode) = &mut self.episode {
            episode.last_message = at;
            episode.since_message = 0;
            episode.told = Packed::new(&finding);
        }
        out.findings.push(finding);
    }

    /// A suppression ends at `at`, or another begins there.
    pub(super) fn window_ended(&mut self, cx: &Context<'_>, at: Timestamp) {
        let until = cx.suppressed_until(at);
        self.telling.make().until = until;
        if until.is_none() {
            self.unhide(at);
        }
    }

    /// A silence was ended at `at`: what it holds back waits no longer, unless something else holds it. What the log, which may be ahead
    /// of who ended it, has had to say since then is said now, as of its own time: no message is from before what it tells.
    pub(in crate::detect) fn reconsider(&mut self, cx: &Context<'_>, at: Timestamp) {
        if self.held_until().is_none_or(|until| until <= at) {
            return;
        }
        let last_said = self.episode.as_ref().map(|episode| episode.last_said);
        match last_said.filter(|said| *said > at) {
            Some(said) => self.window_ended(cx, said),
            None => self.telling.make().until = cx.suppressed_until(at).or(Some(at)),
        }
    }

    /// Whether messages are held back by a suppression.
    pub(in crate::detect) fn is_held(&self) -> bool {
        self.held_until().is_some()
    }

    /// Nothing holds messages back any more.
    pub(in crate::detect) fn unhide(&mut self, at: Timestamp) {
        let is_held = |telling: &Telling| telling.held && telling.until.is_none();
        if self.is_open() && self.telling.get().is_some_and(is_held) {
            self.say(Reason::WindowEnded, at);
        }
    }

    /// The recovery that was held back until a suppression ended.
    pub(in crate::detect) fn take_owed(&mut self) -> Option<Finding> {
        let telling = self.telling.get_mut()?;
        if telling.until.is_some() {
            return None;
        }
        let owed = *telling.owed.take()?;
        if let Some(episode) = &mut self.episode
            && episode.finding_id == owed.finding_id
        {
            episode.revision = owed.revision;
            episode.last_message = owed.time;
            episode.since_message = 0;
            episode.told = Packed::new(&owed);
        }
        Some(owed)
    }

    /// The finding as it is at `at`.
    fn render(&mut self, cx: &Context<'_>, reason: Reason, at: Timestamp) -> Option<Finding> {
        let episode = self.episode.as_ref()?;
        let evidence = self
            .quotes
            .told(at.max(episode.last_seen), cx.redactor, &cx.rule.evidence);
        let captures = self.captures.as_deref();
        let captures = captures.map_or(&[][..], |(_, captures)| captures);
        let count = self.window_count(cx, at);
        Some(report::finding(
            cx, episode, reason, at, count, captures, evidence,
        ))
    }
}
