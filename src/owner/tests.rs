use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::audit::{Deed, What};
use crate::batch::{EntryId, StreamId};
use crate::detect::Settings;
use crate::finding::Redactor;
use crate::hit::{Hit, Key, Parts, Progress, Role, RuleIndex};
use crate::rules::{Match, OVERLOADED, Rule};
use crate::silence::{SilenceError, Wanted};

pub(super) const START: i64 = 1_790_000_000_000_000_000;

/// An owner on a database in memory whose clock is `nanos` after [`START`], and where to ask it.
pub(super) fn owner(
    pressure: &Arc<Pressure>,
    nanos: &Arc<AtomicI64>,
) -> (
    Owner,
    Inbox,
    mpsc::Sender<OutboxRequest>,
    watch::Sender<bool>,
) {
    let store = Store::open(None, Limits::default()).expect("memory is there");
    owner_of(store, settings(), rules(&[]), pressure, nanos)
}

pub(super) fn settings() -> Settings {
    Settings::live(Origin {
        cluster: "c".to_owned(),
        environment: String::new(),
        instance: "default".to_owned(),
        grafana: None,
    })
}

/// The same on `store`, with these settings and rules.
pub(super) fn owner_of(
    store: Store,
    settings: Settings,
    rules: Arc<RuleSet>,
    pressure: &Arc<Pressure>,
    nanos: &Arc<AtomicI64>,
) -> (
    Owner,
    Inbox,
    mpsc::Sender<OutboxRequest>,
    watch::Sender<bool>,
) {
    let origin = settings.origin.clone();
    let detector = Detector::new(settings, Redactor::new(Vec::new()), rules);
    let nanos = Arc::clone(nanos);
    let surroundings = Surroundings {
        origin,
        messages: MessageSettings::default(),
        clock: Arc::new(move || Timestamp::new(START + nanos.load(Ordering::Relaxed))),
        pressure: Arc::clone(pressure),
        publishers: 1,
        nats: None,
        newest: watch::channel(0).0,
        changed: watch::channel(()).0,
        unsaved: watch::channel(Vec::new()).0,
        standing: watch::channel(Standing::of_start(Timestamp::new(START))).0,
    };
    let owner = Owner::new(detector, store, surroundings).expect("nothing to restore");
    // Where nobody asks, the channel is closed and its arm of the loop rests.
    let (outbox, outbox_inbox) = mpsc::channel(1);
    let (stop, stopped) = watch::channel(false);
    let inbox = Inbox {
        submissions: mpsc::channel(1).1,
        outbox: outbox_inbox,
        changes: mpsc::channel(1).1,
        acts: mpsc::channel(1).1,
        recall: None,
        stop: stopped,
    };
    (owner, inbox, outbox, stop)
}

/// The first message after `after`, as soon as there is one.
pub(super) async fn next(
    outbox: &mpsc::Sender<OutboxRequest>,
    after: i64,
) -> (i64, serde_json::Value) {
    loop {
        let (reply, answer) = oneshot::channel();
        let request = OutboxRequest::Next { after, reply };
        outbox.send(request).await.expect("the owner is there");
        if let Some(pending) = answer.await.expect("the owner answers") {
            let body = serde_json::from_slice(&pending.body).expect("a message is JSON");
            return (pending.seq, body);
        }
        // Time is paused: this only lets the owner's own timer come.
        tokio::time::advance(Duration::from_secs(1)).await;
    }
}

pub(super) fn scanned(rule: u32) -> Scanned {
    let at = Timestamp::new(START);
    let hit = Hit {
        rule: RuleIndex(rule),
        role: Role::Match,
        parts: Parts::MATCH,
        at,
        stream: StreamId(1),
        labels: Arc::default(),
        entry: EntryId(1),
        key: Key::default(),
        values: Box::default(),
        captures: Box::default(),
        line: b"a line".as_slice().into(),
    };
    let progress = Progress {
        streams: vec![(StreamId(1), 1)],
        times: vec![at],
        ..Progress::default()
    };
    let hits = vec![hit];
    Scanned { hits, progress }
}

/// A request that says `scanned`, inspected for the first rules and received at [`START`]; and where it is told that it is on disk.
pub(super) fn submission(scanned: Scanned) -> (Submission, oneshot::Receiver<()>) {
    let (recorded, on_disk) = oneshot::channel();
    let submission = Submission {
        scanned,
        generation: Generation::default(),
        successor: None,
        received: Timestamp::new(START),
        recorded,
        room: None,
    };
    (submission, on_disk)
}

/// The rules `ids`, which no line matches, and those about trommel itself.
pub(super) fn rules(ids: &[&str]) -> Arc<RuleSet> {
    let rules = ids
        .iter()
        .map(|id| Arc::new(Rule::new(*id, Match::default())));
    let set = RuleSet {
        rules: rules.collect(),
        ..RuleSet::default()
    };
    Arc::new(set.with_own())
}

#[tokio::test(start_paused = true)]
async fn each_request_is_judged_by_the_rules_in_use_when_its_turn_comes() {
    let (pressure, nanos) = (Arc::new(Pressure::default()), Arc::new(AtomicI64::new(0)));
    let (owner, mut inbox, outbox, stop) = owner(&pressure, &nanos);
    let (submissions, changes);
    (submissions, inbox.submissions) = mpsc::channel(8);
    (changes, inbox.changes) = mpsc::channel(8);
    let [zero, one, two] = [0, 1, 2].map(Generation);
    let take_over = |generation, ids: &[&str]| {
        let (done, taken) = oneshot::channel();
        let next = TakeOver {
            generation,
            rules: rules(ids),
            settings: None,
            done,
        };
        let sent = changes.try_send(Change::TakeOver(Box::new(next)));
        assert!(sent.is_ok(), "there is room");
        taken
    };
    // What was inspected for which sets, with the place of the rule that is hit.
    let submit = |generation, rule, successor: Option<(Generation, u32)>| {
        let (submission, on_disk) = submission(scanned(rule));
        let sent = submissions.try_send(Submission {
            generation,
            successor: successor.map(|(next, rule)| Box::new((next, scanned(rule)))),
            ..submission
        });
        assert!(sent.is_ok(), "there is room");
        on_disk
    };
    let asks = async {
        let taken = take_over(one, &["a"]);
        taken.await.expect("it is taken");
        // Both wait when the next set comes: the first for the old set alone, the second for both.
        let old = submit(one, 0, None);
        let both = submit(one, 0, Some((two, 1)));
        let taken = take_over(two, &["0", "b"]);
        old.await.expect("recorded");
        both.await.expect("recorded");
        taken.await.expect("it is taken");
        let both = submit(one, 0, Some((two, 1)));
        both.await.expect("recorded");
        // Nothing is applied that is not for the set in use, and who sent it is told so by silence.
        for generation in [zero, one] {
            let stale = submit(generation, 0, None);
            stale.await.expect_err("not recorded");
        }
        let mut told = Vec::new();
        let mut after = 0;
        for _ in 0..3 {
            let (seq, message) = next(&outbox, after).await;
            after = seq;
            let subject = message["subject"].as_str().unwrap_or_default();
            told.push(format!("{subject} {}", message["data"]["reason"]));
        }
        assert_eq!(
            told,
            [r#"a "opened""#, r#"a "rule_removed""#, r#"b "opened""#]
        );
        let (reply, answer) = oneshot::channel();
        let request = OutboxRequest::Next { after, reply };
        outbox.send(request).await.expect("the owner is there");
        assert!(answer.await.expect("an answer").is_none());
        let _ = stop.send(true);
    };
    tokio::join!(owner.drive(inbox), asks);
}

#[tokio::test(start_paused = true)]
async fn stopped_before_it_knows_what_was_open_it_records_what_came_and_otherwise_writes_nothing() {
    let (pressure, nanos) = (Arc::new(Pressure::default()), Arc::new(AtomicI64::new(0)));
    let folder = crate::record::testing::TempDir::new();
    let begin = || {
        let store = Store::open(Some(folder.path()), Limits::default()).expect("it opens");
        owner_of(store, settings(), rules(&["a"]), &pressure, &nanos)
    };
    // `true`: a request waits.
    for waits in [false, true] {
        let (owner, mut inbox, _outbox, stop) = begin();
        assert!(owner.knows_nothing());
        let (_nats, recalled) = oneshot::channel();
        inbox.recall = Some((recalled, Duration::from_secs(10)));
        let submissions;
        (submissions, inbox.submissions) = mpsc::channel(1);
        let on_disk = waits.then(|| {
            let (submission, on_disk) = submission(scanned(0));
            assert!(submissions.try_send(submission).is_ok(), "there is room");
            on_disk
        });
        drop(submissions);
        let _ = stop.send(true);
        owner.drive(inbox).await;
        if let Some(on_disk) = on_disk {
            on_disk.await.expect("recorded");
        }
    }
    let (owner, inbox, outbox, stop) = begin();
    let asks = async {
        let (_, told) = next(&outbox, 0).await;
        assert_eq!(told["subject"], "a");
        let _ = stop.send(true);
    };
    tokio::join!(owner.drive(inbox), asks);
}

#[tokio::test(start_paused = true)]
async fn what_people_do_is_written_down_and_told_before_they_are_answered() {
    let (pressure, nanos) = (Arc::new(Pressure::default()), Arc::new(AtomicI64::new(0)));
    let (owner, mut inbox, outbox, stop) = owner(&pressure, &nanos);
    let acts;
    (acts, inbox.acts) = crate::acts::acts();
    let reader = crate::record::testing::reader(&owner.store);
    let all = crate::record::AuditFilter {
        limit: 9,
        ..crate::record::AuditFilter::default()
    };
    let asks = async {
        let deed = Deed {
            who: "ann".to_owned(),
            what: What::RuleChanged,
            target: "r".to_owned(),
            reason: "too noisy".to_owned(),
            diff: "+  password=hunter2 is in it".to_owned(),
        };
        let entry = acts.record(deed).await.expect("on disk");
        let read = reader.audit(&all).expect("sound");
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].entry, entry);
        assert!(!entry.diff.contains("hunter2"), "{}", entry.diff);
        let (seq, told) = next(&outbox, 0).await;
        assert_eq!(told["type"], "sre.detector.rule.changed");
        assert_eq!(told["data"]["id"], *entry.id);

        let wanted = Wanted {
            scope: crate::silence::Scope {
                rule: "r".to_owned(),
                only: None,
            },
            lasts: Duration::from_secs(60),
            who: "ben".to_owned(),
            reason: "token=s3cr3t-t0k3n-value".to_owned(),
        };
        let made = acts.silence(wanted.clone()).await.expect("on disk");
        let made = made.expect("there is room");
        assert!(!made.reason.contains("s3cr3t"), "{}", made.reason);
        assert_eq!(
            reader.silences().expect("sound"),
            std::slice::from_ref(&made)
        );
        let (seq, told) = next(&outbox, seq).await;
        assert_eq!(told["type"], "sre.detector.silence.created");
        assert_eq!(
            (&told["data"]["target"], &told["data"]["who"]),
            (&made.id.as_str().into(), &"ben".into())
        );

        let end = || acts.end_silence(made.id.clone(), "ann".to_owned(), String::new());
        let ended = end().await.expect("on disk").expect("it goes on");
        assert_eq!(ended.until, ended.from);
        assert_eq!(reader.silences().expect("sound"), [ended]);
        let (_, told) = next(&outbox, seq).await;
        assert_eq!(told["type"], "sre.detector.silence.ended");
        let again = end().await.expect("answered");
        assert!(matches!(again, Err(SilenceError::Unknown(_))), "{again:?}");
        assert_eq!(reader.audit(&all).expect("sound").len(), 3);

        let unclear = Wanted {
            reason: String::new(),
            ..wanted
        };
        let refused = acts.silence(unclear).await.expect("answered");
        assert!(
            matches!(refused, Err(SilenceError::Unclear(_))),
            "{refused:?}"
        );
        let _ = stop.send(true);
    };
    tokio::join!(owner.drive(inbox), asks);
}

#[test]
fn what_is_matched_is_recorded_with_the_commit_of_its_request() {
    let (pressure, nanos) = (Arc::new(Pressure::default()), Arc::new(AtomicI64::new(0)));
    let store = Store::open(None, Limits::default()).expect("memory is there");
    let (mut owner, ..) = owner_of(store, settings(), rules(&["a"]), &pressure, &nanos);
    owner.detector.record_matches();
    owner.apply_scanned(scanned(0), Timestamp::new(START));
    assert!(owner.commit());
    let tape = crate::record::testing::reader(&owner.store);
    let matches = tape
        .matches(Some("a"), Timestamp::new(0), 9)
        .expect("sound");
    assert_eq!(matches.len(), 1);
    assert_eq!(
        (matches[0].at, &*matches[0].line),
        (Timestamp::new(START), "a line")
    );
    let coverage = tape.coverage("a", Timestamp::new(0)).expect("sound");
    assert_eq!((coverage.matches, coverage.recorded), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn each_minute_is_measured_and_how_things_stand_is_told() {
    let (pressure, nanos) = (Arc::new(Pressure::default()), Arc::new(AtomicI64::new(0)));
    let (mut owner, inbox, outbox, stop) = owner(&pressure, &nanos);
    let (told, mut standing) = watch::channel(Standing::of_start(Timestamp::new(0)));
    owner.standing = told;
    let reader = crate::record::testing::reader(&owner.store);
    let asks = async {
        pressure.entries.store(42, Ordering::Relaxed);
        pressure.pushed_at.store(START, Ordering::Relaxed);
        nanos.store(61 * 1_000_000_000, Ordering::Relaxed);
        let measured = standing.wait_for(|it| it.measured_at.is_some());
        let started_at = measured.await.expect("the owner is there").started_at;
        assert_eq!(started_at, Timestamp::new(START));
        // An answer means that the commit after the tick is done.
        let (reply, answer) = oneshot::channel();
        let request = OutboxRequest::Next { after: 0, reply };
        outbox.send(request).await.expect("the owner is there");
        assert!(answer.await.expect("an answer").is_none());
        let samples = reader.samples(None).expect("sound");
        assert_eq!(samples.len(), 1);
        assert_eq!((samples[0].entries, samples[0].span.as_secs()), (42, 61));
        let _ = stop.send(true);
    };
    tokio::join!(owner.drive(inbox), asks);
}

#[tokio::test(start_paused = true)]
async fn overload_is_one_finding_with_its_figures_and_recovers_when_it_is_over() {
    let (pressure, nanos) = (Arc::new(Pressure::default()), Arc::new(AtomicI64::new(0)));
    let (owner, inbox, outbox, stop) = owner(&pressure, &nanos);
    let asks = async {
        pressure.shed_entries.store(7, Ordering::Relaxed);
        pressure.early_entries.store(2, Ordering::Relaxed);
        let (seq, observed) = next(&outbox, 0).await;
        assert_eq!(observed["type"], "sre.detector.finding.observed");
        assert_eq!(observed["subject"], OVERLOADED);
        assert_eq!(observed["data"]["incident_type"], "detector_impaired");
        let line = &observed["data"]["evidence"]["lines"][0]["line"];
        assert_eq!(
            line,
            "7 entries and 0 whole requests were not inspected; 2 entries were answered before they were on disk"
        );
        nanos.store(700 * 1_000_000_000, Ordering::Relaxed);
        // The tee is alive, and what was told has gone out.
        let pushed = START + 700 * 1_000_000_000;
        pressure.pushed_at.store(pushed, Ordering::Relaxed);
        let sent = outbox.send(OutboxRequest::Sent { seq }).await;
        sent.expect("the owner is there");
        let (_, recovered) = next(&outbox, seq).await;
        assert_eq!(recovered["type"], "sre.detector.finding.recovered");
        assert_eq!(
            recovered["data"]["finding_id"],
            observed["data"]["finding_id"]
        );
        let _ = stop.send(true);
    };
    tokio::join!(owner.drive(inbox), asks);
}
