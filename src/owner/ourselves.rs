//! Findings about trommel itself: no line matches their rules, so their hits are made here.
//!
//! All of it is looked at once in a [`TICK`](super::TICK), so a fault that repeats thousands of times a second is one hit a second. What
//! comes of hits is decided as for all other rules.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tracing::{error, warn};

use super::Owner;
use crate::batch::{EntryId, Labels, StreamId};
use crate::detect::{OWN_TENANT, Tally};
use crate::hit::{Hit, Key, Parts, Progress, Role, RuleIndex, Scanned};
use crate::publish::Status;
use crate::push::Pressure;
use crate::record::Dropped;
use crate::rules::{
    CLOCK_SKEW, DETAIL, DISK_FULL, KEYS_EVICTED, MESSAGES_LOST, OVERLOADED, PUBLISH_STALLED,
    TEE_SILENT,
};
use crate::time::{Timestamp, format_duration};

/// The first message in line may wait that long: NATS may be replaced, or fail over, in less.
const STALLED_AFTER: Duration = Duration::from_secs(300);

/// What the findings about ourselves are made of: what has happened since they last told, and since when something lasts.
pub(super) struct Ourselves {
    /// Shed entries, shed requests and early entries that a finding has already told of.
    told: [u64; 3],
    /// Since when nothing was pushed, if nothing has been since the start.
    started: Timestamp,
    /// Entries from the future, and how far the furthest was.
    future: (u64, Duration),
    /// Keys that were forgotten, matches that were not counted, and open findings that were cut, by rule.
    crowded: BTreeMap<Arc<str>, [u64; 3]>,
    /// Messages dropped from the outbox.
    pub(super) dropped: Dropped,
    /// Messages dropped while they waited for a disk that takes nothing.
    pub(super) dropped_in_memory: u64,
    /// Why the last commit failed, if it did.
    pub(super) commit_error: Option<String>,
    line: Line,
}

/// The first message that waits to be sent.
#[derive(Default)]
struct Line {
    /// Its place, and since when it is the first.
    first: Option<(i64, Timestamp)>,
    /// Whether any message was sent since that was last looked at.
    moved: bool,
}

/// Something about trommel itself, as if it were a line of a log.
struct Said {
    role: Role,
    key: Key,
    line: String,
}

impl Said {
    fn that(line: String) -> Self {
        Self {
            role: Role::Match,
            key: Key::default(),
            line,
        }
    }
}

/// Whether something lasts.
enum Lasts {
    /// It does, as this says.
    Yes(String),
    /// It does not.
    No,
    /// A finding that was open before a restart stays as it is.
    Unknown,
}

impl Ourselves {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            told: [0; 3],
            started: now,
            future: (0, Duration::ZERO),
            crowded: BTreeMap::new(),
            dropped: Dropped::default(),
            dropped_in_memory: 0,
            commit_error: None,
            line: Line::default(),
        }
    }

    /// What was answered early so far was so on purpose: it is counted, and no sign of overload.
    pub(super) fn forgive_early(&mut self, pressure: &Pressure) {
        self.told[2] = pressure.early_entries.load(Ordering::Relaxed);
    }

    /// When trommel started.
    pub(super) fn started_at(&self) -> Timestamp {
        self.started
    }

    /// Since when the first message in line waits.
    pub(super) fn waits_since(&self) -> Option<Timestamp> {
        self.line.first.map(|(_, since)| since)
    }

    /// Keeps what a finding will tell of.
    pub(super) fn note(&mut self, tally: &Tally) {
        self.future.0 += tally.future;
        self.future.1 = self.future.1.max(tally.future_most);
        for (place, keys) in [&tally.keys_evicted, &tally.keys_refused, &tally.keys_cut]
            .into_iter()
            .enumerate()
        {
            for (rule, count) in keys {
                self.crowded.entry(Arc::clone(rule)).or_default()[place] += count;
            }
        }
    }

    /// A message was sent.
    pub(super) fn note_sent(&mut self) {
        self.line.moved = true;
    }

    pub(super) fn note_dropped(&mut self, dropped: Dropped) {
        self.dropped.observed += dropped.observed;
        self.dropped.updated += dropped.updated;
        self.dropped.recovered += dropped.recovered;
        self.dropped.audit += dropped.audit;
    }

    /// Whether nothing has been pushed for `silence` at `now`.
    fn silent(&self, pressure: &Pressure, silence: Duration, now: Timestamp) -> Lasts {
        let pushed = match pressure.pushed_at.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Timestamp::new(nanos)),
        };
        let pause = now.since(pushed.unwrap_or(self.started));
        match pushed {
            Some(pushed) if pause > silence => Lasts::Yes(format!(
                "nothing has been pushed for {}, since {pushed}",
                format_duration(whole_seconds(pause))
            )),
            Some(_) => Lasts::No,
            None if pause > silence => Lasts::Yes(format!(
                "nothing has been pushed since the start, {} ago",
                format_duration(whole_seconds(pause))
            )),
            None => Lasts::Unknown,
        }
    }
}

/// What has become of the line of messages that wait.
enum Moves {
    /// The first has gone out, or nothing waits.
    Yes,
    /// The first has waited for so long.
    No(Duration),
}

impl Line {
    /// Looks at it at `now`, where `first` is the first place in it.
    fn look(&mut self, first: Option<i64>, now: Timestamp) -> Moves {
        let moved = std::mem::take(&mut self.moved);
        let before = self.first;
        self.first = first.map(|first| match before {
            // One that replaces another takes over for how long that has waited.
            Some((known, since)) if !moved || first == known => (first, since.min(now)),
            _ => (first, now),
        });
        match (before, self.first) {
            (_, None) => Moves::Yes,
            (Some((known, _)), Some((first, _))) if moved && first != known => Moves::Yes,
            (_, Some((_, since))) => Moves::No(now.since(since)),
        }
    }
}

fn whole_seconds(span: Duration) -> Duration {
    Duration::from_secs(span.as_secs())
}

impl Owner {
    /// Tells of everything that is wrong with us, and lets our own time pass.
    pub(super) fn tell_of_ourselves(&mut self, now: Timestamp) {
        self.tell_of_pressure(now);
        self.tell_of_silence(now);
        self.tell_of_the_line(now);
        self.tell_of_the_disk(now);
        self.tell_of_what_was_lost(now);
        self.detector.tick_own(now);
    }

    /// Turns what load made us do into a match of the rule about it.
    fn tell_of_pressure(&mut self, now: Timestamp) {
        let counted = self.pressure.counted();
        let told = self.ourselves.told;
        let [entries, requests, early] = [0, 1, 2].map(|at| counted[at] - told[at]);
        self.ourselves.told = counted;
        if entries + requests > 0 {
            self.detector.lose(self.last_tick, now);
        }
        if entries + requests + early > 0 {
            warn!(
                entries,
                requests, early, "overloaded: shed entries and requests, early entries"
            );
            let line = format!(
                "{entries} entries and {requests} whole requests were not inspected; {early} entries were answered before they were on disk"
            );
            self.say(OVERLOADED, now, Said::that(line));
        }
    }

    fn tell_of_silence(&mut self, now: Timestamp) {
        let Some(silence) = self.detector.silence() else {
            return;
        };
        let silent = self.ourselves.silent(&self.pressure, silence, now);
        self.tell_of(TEE_SILENT, now, silent);
    }

    /// Tells whether messages go out.
    fn tell_of_the_line(&mut self, now: Timestamp) {
        // What was sent is noted by the next commit.
        if self.ourselves.commit_error.is_some() {
            return;
        }
        let first = match self.store.first_unsent() {
            Ok(first) => first,
            Err(error) => {
                error!(%error, "waiting messages cannot be read");
                return;
            }
        };
        let stalled = match self.ourselves.line.look(first, now) {
            Moves::Yes => Lasts::No,
            Moves::No(waited) if waited > STALLED_AFTER => {
                let waiting = self.store.sizes().map_or(0, |sizes| sizes.outbox_messages);
                let waited = format_duration(whole_seconds(waited));
                let trouble = self.nats.as_deref().and_then(Status::trouble);
                let trouble = trouble.unwrap_or_else(|| "nobody takes them".to_owned());
                Lasts::Yes(format!(
                    "{waiting} messages wait, the first in line for {waited}; {trouble}"
                ))
            }
            Moves::No(_) => Lasts::Unknown,
        };
        self.tell_of(PUBLISH_STALLED, now, stalled);
    }

    fn tell_of_the_disk(&mut self, now: Timestamp) {
        if let Some(error) = self.ourselves.commit_error.clone() {
            self.say(DISK_FULL, now, Said::that(error));
        }
    }

    fn tell_of_what_was_lost(&mut self, now: Timestamp) {
        let (future, most) = std::mem::take(&mut self.ourselves.future);
        if future > 0 {
            let most = format_duration(whole_seconds(most));
            let line = format!("{future} entries, the furthest by {most}");
            self.say(CLOCK_SKEW, now, Said::that(line));
        }
        for (rule, [evicted, refused, cut]) in std::mem::take(&mut self.ourselves.crowded) {
            // Of rules about ourselves that would go on for ever.
            if self
                .detector
                .rules()
                .find(&rule)
                .is_some_and(|(_, rule)| !rule.is_own())
            {
                let line = format!(
                    "{rule}: {evicted} keys were forgotten, {refused} matches of new keys were not counted, {cut} times an open finding kept less of its window"
                );
                let said = Said {
                    key: [rule].into(),
                    ..Said::that(line)
                };
                self.say(KEYS_EVICTED, now, said);
            }
        }
        let Dropped {
            observed,
            updated,
            recovered,
            audit,
        } = std::mem::take(&mut self.ourselves.dropped);
        let in_memory = std::mem::take(&mut self.ourselves.dropped_in_memory);
        if observed + updated + recovered + audit + in_memory > 0 {
            let audit = match audit {
                0 => String::new(),
                audit => format!(", {audit} about what people did"),
            };
            let line = format!(
                "{observed} observed, {updated} updated, {recovered} recovered{audit} while they waited for NATS; {in_memory} while they waited for the disk"
            );
            self.say(MESSAGES_LOST, now, Said::that(line));
        }
    }

    /// Opens the finding of `rule` about refused files, lets it go on, or with no error ends it.
    pub(super) fn tell_of_refusal(&mut self, rule: &'static str, error: Option<String>) {
        let now = (self.clock)();
        match error {
            Some(line) => self.say(rule, now, Said::that(line)),
            // It may have been opened before a restart.
            None => self.tell_of(rule, now, Lasts::No),
        }
    }

    /// Opens the finding of `rule` if it is not open, or ends it.
    fn tell_of(&mut self, rule: &str, now: Timestamp, lasts: Lasts) {
        let Some(index) = self.own(rule) else {
            return;
        };
        match (lasts, self.detector.has_open(index)) {
            (Lasts::Yes(line), false) => {
                warn!(rule, line, "trommel is impaired");
                self.say(rule, now, Said::that(line));
            }
            (Lasts::No, true) => {
                let said = Said {
                    role: Role::Recovery,
                    ..Said::that(String::new())
                };
                self.say(rule, now, said);
            }
            _ => {}
        }
    }

    fn own(&self, id: &str) -> Option<RuleIndex> {
        self.detector.rules().find(id).map(|(rule, _)| rule)
    }

    /// Applies a hit of one of the rules about ourselves.
    fn say(&mut self, rule: &str, now: Timestamp, said: Said) {
        let Some(rule) = self.own(rule) else {
            return;
        };
        let Said { role, key, line } = said;
        let first = line.lines().next().unwrap_or_default();
        let hit = Hit {
            rule,
            role,
            parts: Parts::MATCH,
            at: now,
            stream: StreamId(0),
            labels: Arc::new(Labels::default()),
            entry: entry(now, &key),
            key,
            values: Box::default(),
            captures: Box::new([(DETAIL.into(), first.into())]),
            line: line.into_bytes().into(),
        };
        let progress = Progress {
            tenant: OWN_TENANT.into(),
            streams: vec![(StreamId(0), 1)],
            times: vec![now],
            oldest: Vec::new(),
        };
        let hits = vec![hit];
        self.detector.apply(Scanned { hits, progress }, now);
    }
}

/// Several keys of one rule may have something to say at once.
fn entry(now: Timestamp, key: &Key) -> EntryId {
    let mut text = now.nanos().to_le_bytes().to_vec();
    key.iter().for_each(|value| text.extend(value.as_bytes()));
    EntryId(xxhash_rust::xxh3::xxh3_64(&text))
}

#[cfg(test)]
mod tests;
