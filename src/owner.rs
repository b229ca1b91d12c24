//! The one thread that owns the detector and the database: a request's hits are applied, what they changed is committed
//! together with that of all other waiting requests, and then each is told so.
//!
//! Everything that others want of either comes here as a message: scanned requests, other rules, what publishers
//! took and sent. Whoever wants to look at findings reads the database ([`Reader`](crate::record::Reader)). So the core has no locks, and every interleaving is one of the arms of [`Owner::drive`].

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{counter, gauge, histogram};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info, warn};

use crate::acts::Act;
use crate::detect::{Detector, OpenKind, RestoreError, Saved, Settings};
use crate::finding::{MessageSettings, Origin, Redactor};
use crate::hit::{Generation, Scanned};
use crate::publish::{OutboxRequest, Pending, Recalled, Status};
use crate::push::{Pressure, Submission};
use crate::record::{Commit, FindingRow, Limits, OutboxRow, Sizes, Store, StoreError};
use crate::rules::RuleSet;
use crate::telemetry as names;
use crate::time::{Timestamp, WallClock};

mod committing;
mod deeds;
mod meter;
mod ourselves;
mod standing;

use deeds::Answer;
use meter::Meter;
use ourselves::Ourselves;

pub use standing::{Connection, Standing};

/// How often the owner looks up without being asked: timers that only wall time lets pass, findings about ourselves, gauges.
const TICK: Duration = Duration::from_secs(1);

/// How often findings that are long over are forgotten.
const LOOK_BACK_EVERY: Duration = Duration::from_secs(3600);

/// Most requests that share one commit: what waits while one `fsync` runs is far below it.
const GROUP_MAX: usize = 256;

/// How long requests are applied before what they changed is committed: one that has many hits shares its commit with few. So answers, timers
/// and questions wait for little more than one request, whatever else is in the queue.
const GROUP_TIME: Duration = Duration::from_millis(50);

/// How many messages are made before what they tell is committed: each takes some 15 KiB until it is, in all its forms.
const GROUP_MESSAGES: usize = 256;

/// How many keys change before that is committed: each takes some 0.6 KiB until then.
const GROUP_KEYS: usize = 4096;

/// How long a silence that is over is shown, and counts for entries that come late.
const SILENCE_SHOWN: Duration = Duration::from_secs(24 * 3600);
/// How long what people did is kept.
const AUDIT_MAX_AGE: Duration = Duration::from_secs(365 * 24 * 3600);
/// The detector and the database, and what is between them and the rest of the process.
pub struct Owner {
    detector: Detector,
    /// Of which rule set hits are applied.
    generation: Generation,
    store: Store,
    origin: Origin,
    messages: MessageSettings,
    clock: WallClock,
    pressure: Arc<Pressure>,
    /// What the publisher to NATS is doing, if there is one.
    nats: Option<Arc<Status>>,
    ourselves: Ourselves,
    meter: Meter,
    /// The end of the last sample.
    measured_at: Option<Timestamp>,
    /// Whether there was no state to begin with.
    knows_nothing: bool,
    last_tick: Timestamp,
    /// When findings that are long over were last forgotten.
    looked_back: Timestamp,
    /// How many findings of each kind are open, of all kinds that were open since the start.
    shown_open: BTreeMap<OpenKind, usize>,
    /// How many publishers have to send a message before it is forgotten.
    publishers: usize,
    acks: HashMap<i64, usize>,
    /// How much was done by people since the start.
    deeds: u64,
    /// Changes that are not on disk yet, those of commits that failed included.
    waiting: Commit,
    newest: watch::Sender<i64>,
    changed: watch::Sender<()>,
    unsaved: watch::Sender<Vec<FindingRow>>,
    standing: watch::Sender<Standing>,
}

/// Where the owner is asked.
pub struct Inbox {
    /// Scanned requests.
    pub submissions: mpsc::Receiver<Submission>,
    /// What publishers want.
    pub outbox: mpsc::Receiver<OutboxRequest>,
    /// Other rules and settings, and word of refused ones.
    pub changes: mpsc::Receiver<Change>,
    /// What people do.
    pub acts: mpsc::Receiver<Act>,
    /// What was open when the state was lost that this one begins without, and how long it is waited for; nothing is applied before.
    pub recall: Option<(oneshot::Receiver<Recalled>, Duration)>,
    /// Becomes true when the owner should finish what it has and end.
    pub stop: watch::Receiver<bool>,
}

/// What a reload tells the owner.
#[derive(Debug)]
pub enum Change {
    /// From here on other rules are in use.
    TakeOver(Box<TakeOver>),
    /// The files that the own rule `rule` is about were refused for `error`, or with `None` are fine.
    Refused {
        /// [`RULES_INVALID`](crate::rules::RULES_INVALID) or [`CONFIG_INVALID`](crate::rules::CONFIG_INVALID).
        rule: &'static str,
        /// What is wrong with them, a line for each thing.
        error: Option<String>,
    },
}

/// Other rules, and what else may change while trommel runs.
#[derive(Debug)]
pub struct TakeOver {
    /// The number of the set. What was inspected for the set before it alone is in the queue when this is sent; what comes
    /// afterwards was inspected for this set, or for both.
    pub generation: Generation,
    /// The rules.
    pub rules: Arc<RuleSet>,
    /// How they are applied, and what is redacted, if that changes too.
    pub settings: Option<(Settings, Redactor)>,
    /// Told when they are in use.
    pub done: oneshot::Sender<()>,
}

/// What an owner needs besides its detector and store.
pub struct Surroundings {
    /// Whose findings these are.
    pub origin: Origin,
    /// How messages are written.
    pub messages: MessageSettings,
    /// The wall clock.
    pub clock: WallClock,
    /// What load made the push server do.
    pub pressure: Arc<Pressure>,
    /// How many publishers there are.
    pub publishers: usize,
    /// What the one to NATS is doing, if there is one.
    pub nats: Option<Arc<Status>>,
    /// Where the place of the newest message on disk is told.
    pub newest: watch::Sender<i64>,
    /// Told when a finding has changed.
    pub changed: watch::Sender<()>,
    /// Where findings are shown that the disk does not take.
    pub unsaved: watch::Sender<Vec<FindingRow>>,
    /// Where it is told how things stand; whoever waits for changes wakes for those that people should see.
    pub standing: watch::Sender<Standing>,
}

/// State that could not be brought back.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// The database could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What it holds is not what this version writes.
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

impl Owner {
    /// Brings back what `store` holds into `detector`, which has seen nothing.
    ///
    /// # Errors
    /// [`OwnerError`] if that cannot be read; nothing on disk is changed.
    pub fn new(
        mut detector: Detector,
        store: Store,
        surroundings: Surroundings,
    ) -> Result<Self, OwnerError> {
        let saved = store.load()?;
        let knows_nothing = saved.keys.is_empty()
            && saved.state.is_empty()
            && saved.identities.is_empty()
            && store.first_unsent()?.is_none();
        info!(
            keys = saved.keys.len(),
            identities = saved.identities.len(),
            "state restored"
        );
        for silence in store.silences()? {
            let id = silence.id.clone();
            // A version that reads matchers otherwise: what it would have held back is told.
            if let Err(error) = detector.add_silence(silence) {
                warn!(%error, id, "a silence is not kept");
            }
        }
        detector.restore(Saved {
            keys: saved.keys,
            state: saved.state,
            identities: saved.identities.into_iter().map(|(_, row)| row).collect(),
        })?;
        let Surroundings {
            origin,
            messages,
            clock,
            pressure,
            publishers,
            nats,
            newest,
            changed,
            unsaved,
            standing,
        } = surroundings;
        let last_tick = clock();
        Ok(Self {
            detector,
            generation: Generation::default(),
            store,
            origin,
            messages,
            clock,
            pressure,
            nats,
            knows_nothing,
            ourselves: Ourselves::new(last_tick),
            meter: Meter::new(last_tick),
            measured_at: None,
            last_tick,
            looked_back: Timestamp::MIN,
            shown_open: BTreeMap::new(),
            publishers,
            acks: HashMap::new(),
            deeds: 0,
            waiting: Commit::default(),
            newest,
            changed,
            unsaved,
            standing,
        })
    }

    /// Whether it begins without any state.
    #[must_use]
    pub fn knows_nothing(&self) -> bool {
        self.knows_nothing
    }

    /// Answers until it is told to stop and no scanned request is left.
    pub async fn drive(mut self, mut inbox: Inbox) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        if !self.wait_for_recall(&mut inbox).await {
            return;
        }
        self.ourselves.forgive_early(&self.pressure);
        // A restart may have closed findings of rules that are gone.
        self.commit();
        loop {
            let mut recorded = Vec::new();
            let mut done: Option<Answer> = None;
            tokio::select! {
                Some(first) = inbox.submissions.recv() => {
                    let began = Instant::now();
                    let mut next = Some(first);
                    let mut applied = 0;
                    while let Some(submission) = next {
                        recorded.extend(self.apply(submission));
                        applied += 1;
                        let goes_on = applied < GROUP_MAX
                            && began.elapsed() < GROUP_TIME
                            && self.detector.told() < GROUP_MESSAGES
                            && self.detector.changed() < GROUP_KEYS;
                        next = goes_on.then(|| inbox.submissions.try_recv().ok()).flatten();
                    }
                }
                Some(change) = inbox.changes.recv() => match change {
                    Change::TakeOver(next) => {
                        // Of what comes in meanwhile there may be no end, and it is for both sets.
                        for _ in 0..inbox.submissions.len() {
                            let waiting = inbox.submissions.try_recv().ok();
                            recorded.extend(waiting.and_then(|submission| self.apply(submission)));
                        }
                        if self.commit() {
                            recorded.drain(..).for_each(tell);
                        }
                        self.take_over(*next);
                    }
                    Change::Refused { rule, error } => self.tell_of_refusal(rule, error),
                },
                Some(request) = inbox.outbox.recv() => {
                    self.serve(request);
                    while let Ok(request) = inbox.outbox.try_recv() {
                        self.serve(request);
                    }
                }
                Some(act) = inbox.acts.recv() => done = Some(self.act(act)),
                _ = tick.tick() => self.tick(),
                // Told to stop, or nobody is left to tell.
                _ = inbox.stop.wait_for(|stop| *stop) => {
                    inbox.submissions.close();
                    while let Some(last) = inbox.submissions.recv().await {
                        recorded.extend(self.apply(last));
                    }
                    self.detector.save_clocks();
                    if self.commit() {
                        recorded.into_iter().for_each(tell);
                    }
                    return;
                }
            }
            // Where the commit fails, the senders are dropped: the requests are answered as early.
            if self.commit() {
                recorded.into_iter().for_each(tell);
                done.into_iter().for_each(|answer| answer());
            }
            // A runtime of one thread looks at its timers only when nobody is ready, and under load somebody always is: without
            // this, the tick that tells of overload would wait for the end of it.
            tokio::task::yield_now().await;
        }
    }

    /// Waits for what was open, if it was asked for, and goes on with it. False if it is told to stop before anything came in:
    /// nothing is written then, so that the next start asks again. What did come in may have been answered, and nobody sends it twice.
    async fn wait_for_recall(&mut self, inbox: &mut Inbox) -> bool {
        let Some((mut recalled, patience)) = inbox.recall.take() else {
            return true;
        };
        tokio::select! {
            _ = inbox.stop.wait_for(|stop| *stop) => {
                if inbox.submissions.is_empty() {
                    return false;
                }
                self.give_up_recall();
            }
            found = &mut recalled => match found {
                Ok(recalled) => self.recall(recalled),
                Err(_) => self.give_up_recall(),
            },
            () = tokio::time::sleep(patience) => self.give_up_recall(),
        }
        true
    }

    fn recall(&mut self, recalled: Recalled) {
        let Recalled {
            open,
            own,
            unreadable,
        } = recalled;
        let found = open.len();
        let mut skipped = unreadable;
        // Who has never told of anything has lost nothing.
        if own > 0 {
            skipped += self.detector.recall(open, (self.clock)()) as u64;
        }
        info!(open = found, skipped, "open findings read back from nats");
        counter!(names::READ_BACK_TOTAL, "outcome" => "done").increment(1);
        counter!(names::READ_BACK_FINDINGS_TOTAL).increment(found as u64);
        counter!(names::READ_BACK_SKIPPED_TOTAL).increment(skipped);
    }

    fn give_up_recall(&mut self) {
        self.detector.begin_unseen((self.clock)());
        counter!(names::READ_BACK_TOTAL, "outcome" => "gave_up").increment(1);
        warn!(
            "there is no state, and what was open cannot be read back from nats: it may be announced again, and what is over may never be told"
        );
    }

    /// Applies what a request says to the rules in use, and returns who is to be told once that is on disk.
    fn apply(&mut self, mut submission: Submission) -> Option<oneshot::Sender<()>> {
        let received = submission.received;
        let Some(scanned) = submission.take_for(self.generation) else {
            // See `TakeOver::generation`. Its rules' places would mean other rules here, so nothing of it is applied; the request
            // is answered, and counted, as early.
            error!(
                inspected_for = submission.generation.0,
                in_use = self.generation.0,
                "a request was inspected for rules that are no longer in use; it decides nothing"
            );
            return None;
        };
        self.apply_scanned(scanned, received);
        Some(submission.recorded)
    }

    fn apply_scanned(&mut self, scanned: Scanned, received: Timestamp) {
        histogram!(names::BATCH_ENTRIES).record(scanned.progress.times.len() as f64);
        if let Some((_, newest)) = Timestamp::span(scanned.progress.times.iter().copied()) {
            let lag = received.since(newest);
            histogram!(names::EVENT_LAG_SECONDS).record(lag.as_secs_f64());
            self.meter.note_lag(lag);
        }
        self.detector.apply(scanned, received);
    }

    fn take_over(&mut self, next: TakeOver) {
        match next.settings {
            Some((settings, redactor)) => {
                self.origin = settings.origin.clone();
                self.detector.set_settings(settings, redactor, next.rules);
            }
            None => self.detector.set_rules(next.rules),
        }
        self.generation = next.generation;
        // Who asked for it may have gone.
        let _ = next.done.send(());
    }

    /// What happens without being asked.
    fn tick(&mut self) {
        let now = (self.clock)();
        self.tell_of_ourselves(now);
        self.detector.tick(now);
        self.show_unsaved();
        // Asked of the file system: once for the metrics and the page.
        let sizes = self.store.sizes().ok();
        self.measure(sizes);
        let sample = self.meter.look(&self.pressure, now);
        self.measured_at = sample.map(|sample| sample.at).or(self.measured_at);
        self.waiting.samples.extend(sample);
        self.tell_standing(sizes.unwrap_or_default());
        if now.since(self.looked_back) >= LOOK_BACK_EVERY {
            self.waiting.forget_findings_before = Some(self.store.remembers_from(now));
            let forgotten = self.detector.forget_silences(now.minus(SILENCE_SHOWN));
            let forgotten = forgotten.into_iter().map(|id| (id, None));
            self.waiting.silences.extend(forgotten);
            self.waiting.forget_audit_before = Some(now.minus(AUDIT_MAX_AGE));
            self.waiting.forget_matches_before = Some(now.minus(Limits::MATCHES_MAX_AGE));
            self.looked_back = now;
        }
        self.last_tick = now;
    }

    /// Lets whoever looks see what the disk does not take.
    fn show_unsaved(&self) {
        let unsaved = match &self.ourselves.commit_error {
            Some(_) => self.waiting.findings.clone(),
            None => Vec::new(),
        };
        self.unsaved.send_if_modified(|shown| {
            let news = !unsaved.is_empty() || !shown.is_empty();
            *shown = unsaved;
            news
        });
    }

    fn serve(&mut self, request: OutboxRequest) {
        match request {
            OutboxRequest::Next { after, reply } => {
                let next = self.store.unsent(after, 1).unwrap_or_else(|error| {
                    error!(%error, "waiting messages cannot be read");
                    Vec::new()
                });
                // The publisher may have gone.
                drop(reply.send(next.into_iter().next().map(pending)));
            }
            OutboxRequest::Sent { seq } => {
                let acks = self.acks.entry(seq).or_default();
                *acks += 1;
                if *acks >= self.publishers {
                    self.acks.remove(&seq);
                    self.ourselves.note_sent();
                    self.waiting.sent.push(seq);
                }
            }
        }
    }

    fn measure(&mut self, on_disk: Option<Sizes>) {
        let sizes = self.detector.sizes();
        gauge!(names::KEYS).set(sizes.keys as f64);
        gauge!(names::KEYS_BYTES).set(sizes.keys_bytes as f64);
        gauge!(names::IDENTITIES).set(sizes.identities as f64);
        // What was shown once is shown as zero, or it would stay what it was.
        for (kind, open) in &mut self.shown_open {
            *open = sizes.open.get(kind).copied().unwrap_or(0);
        }
        self.shown_open.extend(sizes.open);
        for (kind, open) in &self.shown_open {
            gauge!(
                names::FINDINGS_OPEN,
                "domain" => kind.domain.clone(),
                "incident_type" => kind.incident_type.clone(),
                "severity" => kind.severity.to_string(),
            )
            .set(*open as f64);
        }
        let now = (self.clock)();
        let silent = self.detector.silences().filter(|it| it.is_on(now)).count();
        gauge!(names::SILENCES_ACTIVE).set(silent as f64);
        if let Some(sizes) = on_disk {
            gauge!(names::OUTBOX_MESSAGES).set(sizes.outbox_messages as f64);
            gauge!(names::OUTBOX_BYTES).set(sizes.outbox_bytes as f64);
            gauge!(names::HISTORY_BYTES).set(sizes.history_bytes as f64);
            gauge!(names::MATCHES_BYTES).set(sizes.matches_bytes as f64);
            gauge!(names::DATABASE_BYTES).set(sizes.database_bytes as f64);
        }
    }
}

fn tell(recorded: oneshot::Sender<()>) {
    // The request may have been answered already, at its deadline.
    let _ = recorded.send(());
}

fn pending(row: OutboxRow) -> Pending {
    let OutboxRow { seq, message } = row;
    Pending {
        seq,
        id: message.id,
        finding_id: message.finding_id,
        subject: message.subject,
        headers: serde_json::from_str(&message.headers).unwrap_or_default(),
        body: message.body.into_bytes(),
    }
}

#[cfg(test)]
mod tests;
