//! What people do: silences, and the record of all that was done.

use metrics::counter;
use tracing::info;

use super::Owner;
use crate::acts::Act;
use crate::audit::{self, Deed, Entry, What};
use crate::record::NewMessage;
use crate::silence::{Silence, SilenceError, Wanted};
use crate::telemetry as names;
use crate::time::format_duration;

/// Tells somebody that what they did is on disk.
pub(super) type Answer = Box<dyn FnOnce() + Send>;

impl Owner {
    /// Does what somebody wants done, and returns the answer for when that is on disk.
    pub(super) fn act(&mut self, act: Act) -> Answer {
        match act {
            // Who asked may have gone.
            Act::Record { deed, done } => {
                let entry = self.write_down(deed);
                Box::new(move || drop(done.send(entry)))
            }
            Act::Silence { wanted, done } => {
                let made = self.silence(wanted);
                Box::new(move || drop(done.send(made)))
            }
            Act::EndSilence {
                id,
                who,
                reason,
                done,
            } => {
                let ended = self.end_silence(&id, who, reason);
                Box::new(move || drop(done.send(ended)))
            }
        }
    }

    fn silence(&mut self, wanted: Wanted) -> Result<Silence, SilenceError> {
        wanted.check()?;
        let Wanted {
            scope,
            lasts,
            who,
            reason,
        } = wanted;
        let from = (self.clock)();
        let silence = Silence {
            id: Entry::id_of(&self.origin.source(), from, self.deeds),
            scope,
            from,
            until: from.plus(lasts),
            who: who.clone(),
            reason: self.detector.redact(&reason),
            ended_by: None,
        };
        self.deeds += 1;
        let made = self.detector.add_silence(silence.clone());
        if let Err(SilenceError::Full) = made {
            counter!(names::SILENCES_REFUSED_TOTAL).increment(1);
        }
        let gone = made?.map(|id| (id, None));
        self.waiting.silences.extend(gone);
        self.save_silence(&silence);
        let lasts = format_duration(lasts);
        self.write_down(Deed {
            who,
            what: What::SilenceCreated,
            target: silence.id.clone(),
            reason,
            diff: format!(
                "{} is silent for {lasts}, until {}",
                silence.scope, silence.until
            ),
        });
        Ok(silence)
    }

    fn end_silence(
        &mut self,
        id: &str,
        who: String,
        reason: String,
    ) -> Result<Silence, SilenceError> {
        let ended = self.detector.end_silence(id, (self.clock)(), &who)?;
        self.save_silence(&ended);
        self.write_down(Deed {
            who,
            what: What::SilenceEnded,
            target: ended.id.clone(),
            reason,
            diff: format!("{} is silent no longer", ended.scope),
        });
        Ok(ended)
    }

    fn save_silence(&mut self, silence: &Silence) {
        let row = (silence.id.clone(), Some(silence.clone()));
        self.waiting.silences.push(row);
    }

    /// Has `deed` written with the next commit, and told.
    fn write_down(&mut self, deed: Deed) -> Entry {
        let now = (self.clock)();
        let id = Entry::id_of(&self.origin.source(), now, self.deeds);
        self.deeds += 1;
        let entry = Entry::new(id, now, deed, |text| self.detector.redact(text));
        info!(who = entry.who, what = %entry.what, target = entry.target, "changed");
        if self.publishers > 0 {
            let event = audit::Event::new(&entry, &self.origin, &self.messages);
            self.waiting.messages.push(NewMessage {
                id: event.id,
                finding_id: entry.id.clone(),
                kind: None,
                subject: event.subject,
                headers: serde_json::to_string(&event.headers).expect("pairs of strings are JSON"),
                body: event.body,
            });
        }
        self.waiting.audit.push(entry.clone());
        entry
    }
}
