//! Which silences hold a message back.

use super::detector::Detector;
use super::report;
use super::step::Context;
use super::watchers::Spoken;
use crate::rules::{Schedule, Selector};
use crate::silence::{SILENCES_MAX, Silence, SilenceError};
use crate::time::Timestamp;

/// Most windows that are joined to one, as for a rule's own.
const JOINED_MAX: usize = 64;

/// All silences that go on, and those that may still matter for entries that come late: at most [`SILENCES_MAX`].
#[derive(Debug, Default)]
pub(super) struct Silences(Vec<(Silence, Selector)>);

impl Context<'_> {
    /// Until when messages about findings of this key are held back at `at`, by a window of the rule or by a silence; as
    /// [`suppressed_until`](crate::rules::suppressed_until) has it for windows of the rule alone.
    ///
    /// Cost: constant for each window and each silence.
    pub(super) fn suppressed_until(&self, at: Timestamp) -> Option<Timestamp> {
        let silences: Vec<&Silence> = self.silences.of(self);
        let end = |at: Timestamp| {
            let own = self
                .rule
                .suppress
                .iter()
                .filter_map(|own: &Schedule| own.until(at));
            let silent = silences.iter().filter(|it| it.is_on(at)).map(|it| it.until);
            own.chain(silent).max()
        };
        std::iter::successors(end(at), |at| end(*at))
            .take(JOINED_MAX)
            .last()
    }
}

impl Silences {
    /// Those that are about findings of the key of `cx`.
    fn of(&self, cx: &Context<'_>) -> Vec<&Silence> {
        let rule = &*cx.rule.id;
        if self.0.iter().all(|(silence, _)| silence.scope.rule != rule) {
            return Vec::new();
        }
        let (key, labels) = (report::finding_key(cx), report::scope(cx));
        let about = |(silence, selector): &&(Silence, Selector)| {
            silence.scope.concerns(selector, rule, &key, &labels)
        };
        self.0
            .iter()
            .filter(about)
            .map(|(silence, _)| silence)
            .collect()
    }
}

impl Detector {
    /// Holds back from now on what `silence` says, which need not have begun. The answer is the id of one that was over and went for it.
    ///
    /// # Errors
    /// [`SilenceError::Full`] if as many go on at its beginning; [`SilenceError::Unclear`] if its matchers cannot be read.
    pub fn add_silence(&mut self, silence: Silence) -> Result<Option<String>, SilenceError> {
        let selector = silence.scope.selector()?;
        let mut gone = None;
        if self.silences.0.len() >= SILENCES_MAX {
            // The one that has been over for longest goes first.
            let over = self.silences.0.iter().enumerate();
            let over = over.filter(|(_, (it, _))| it.until <= silence.from);
            let Some((oldest, _)) = over.min_by_key(|(_, (it, _))| it.until) else {
                return Err(SilenceError::Full);
            };
            gone = Some(self.silences.0.remove(oldest).0.id);
        }
        self.silences.0.push((silence, selector));
        Ok(gone)
    }

    /// Ends the silence `id` at `at`, for `who`, as if it had been made so: what it holds back is told once the time of its tenant is `late_by`
    /// past that, as when it ends by itself, and what the log has had to say since then, where it is ahead, is told at once.
    ///
    /// # Errors
    /// [`SilenceError::Unknown`] if it does not go on then.
    pub fn end_silence(
        &mut self,
        id: &str,
        at: Timestamp,
        who: &str,
    ) -> Result<Silence, SilenceError> {
        let known = self.silences.0.iter_mut().find(|(it, _)| it.id == id);
        let Some((silence, _)) = known.filter(|(it, _)| it.until > at) else {
            return Err(SilenceError::Unknown(id.to_owned()));
        };
        silence.until = at.max(silence.from);
        silence.ended_by = Some(who.to_owned());
        let ended = silence.clone();
        let mut held = Vec::new();
        for state in &self.states {
            let keys = state.keys.iter().filter(|(_, key)| key.is_held());
            held.extend(keys.map(|(at, _)| at.clone()));
        }
        held.sort();
        for key in held {
            self.step(&key, &Spoken::default(), |state, cx| {
                state.reconsider(cx, ended.until);
            });
        }
        self.tell(&Spoken::default());
        Ok(ended)
    }

    /// All that are known, the first made first: those that go on, and those that ended not long ago.
    pub fn silences(&self) -> impl Iterator<Item = &Silence> {
        self.silences.0.iter().map(|(silence, _)| silence)
    }

    /// Forgets those that ended before `at`, and tells which.
    pub fn forget_silences(&mut self, at: Timestamp) -> Vec<String> {
        let over = |(it, _): &mut (Silence, Selector)| it.until < at;
        let over = self.silences.0.extract_if(.., over);
        over.map(|(silence, _)| silence.id).collect()
    }
}
