//! Each finding about trommel itself: provoked, told once, over when the fault is, and the same after a restart.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use crate::batch::EntryId;
use crate::detect::Settings;
use crate::finding::State;
use crate::owner::tests::{START, next, owner_of, rules, scanned, settings, submission};
use crate::owner::{Inbox, Owner};
use crate::publish::OutboxRequest;
use crate::push::{Pressure, Submission};
use crate::record::testing::TempDir;
use crate::record::{FindingFilter, FindingRow, Limits, Reader, Store};
use crate::rules::{Rule, RuleSet};
use crate::time::Timestamp;

const SECOND: i64 = 1_000_000_000;

/// Everything around an owner: its clock, what is pushed, who publishes.
struct Around {
    pressure: Arc<Pressure>,
    nanos: Arc<AtomicI64>,
    submissions: mpsc::Sender<Submission>,
    reader: Reader,
    outbox: mpsc::Sender<OutboxRequest>,
    stop: watch::Sender<bool>,
    /// The place of the last message that was looked at.
    after: i64,
    /// Whether that is then sent.
    takes: bool,
    /// How many lines were pushed.
    entries: AtomicU64,
}

fn around(store: Store, settings: Settings, rules: Arc<RuleSet>) -> (Owner, Inbox, Around) {
    around_from(0, store, settings, rules)
}

/// One that is started that many seconds after the start of others.
fn around_from(
    seconds: i64,
    store: Store,
    settings: Settings,
    rules: Arc<RuleSet>,
) -> (Owner, Inbox, Around) {
    let pressure = Arc::default();
    let nanos = Arc::new(AtomicI64::new(seconds * SECOND));
    let (owner, mut inbox, outbox, stop) = owner_of(store, settings, rules, &pressure, &nanos);
    let submissions;
    (submissions, inbox.submissions) = mpsc::channel(8);
    let reader = owner.store.reader(owner.unsaved.subscribe());
    let around = Around {
        pressure,
        nanos,
        submissions,
        reader: reader.expect("the database is there"),
        outbox,
        stop,
        after: 0,
        takes: true,
        entries: AtomicU64::new(1),
    };
    (owner, inbox, around)
}

fn in_memory(rules: Arc<RuleSet>) -> (Owner, Inbox, Around) {
    let store = Store::open(None, Limits::default()).expect("memory is there");
    around(store, settings(), rules)
}

impl Around {
    /// Sets the clock to that many seconds after the start.
    fn at(&self, seconds: i64) {
        self.nanos.store(seconds * SECOND, Ordering::Relaxed);
    }

    /// Something is pushed that no rule is interested in.
    fn push(&self) {
        let now = START + self.nanos.load(Ordering::Relaxed);
        self.pressure.pushed_at.store(now, Ordering::Relaxed);
    }

    /// A line is pushed that rule 0 matches, `ahead` seconds ahead of the clock, and is recorded.
    async fn hit(&self, key: &str, ahead: i64) {
        self.push();
        let now = Timestamp::new(START + self.nanos.load(Ordering::Relaxed));
        let mut scanned = scanned(0);
        let at = Timestamp::new(now.nanos() + ahead * SECOND);
        scanned.progress.times = vec![at];
        scanned.hits[0].at = at;
        scanned.hits[0].entry = EntryId(self.entries.fetch_add(1, Ordering::Relaxed));
        if !key.is_empty() {
            scanned.hits[0].key = [key].into();
        }
        let (submission, on_disk) = submission(scanned);
        let sent = self.submissions.try_send(Submission {
            received: now,
            ..submission
        });
        assert!(sent.is_ok(), "there is room");
        // Where the commit fails, it is not told.
        let _ = on_disk.await;
    }

    /// The next message, as soon as there is one.
    async fn next(&mut self) -> Value {
        let patience = Duration::from_secs(100);
        let next = tokio::time::timeout(patience, next(&self.outbox, self.after));
        let (seq, message) = next.await.expect("a message");
        self.after = seq;
        if self.takes {
            self.send(seq).await;
        }
        message
    }

    /// The next message about `rule`, and that it is `observed`, `updated` or `recovered`.
    async fn told(&mut self, what: &str, rule: &str) -> Value {
        loop {
            let message = self.next().await;
            if message["data"]["rule"]["id"] == rule {
                assert_eq!(
                    message["type"],
                    format!("sre.detector.finding.{what}"),
                    "{message}"
                );
                return message;
            }
        }
    }

    /// Lets some ticks come in which the clock goes on by a second each, and nothing is said.
    async fn says_nothing(&self) {
        for _ in 0..5 {
            self.nanos.fetch_add(SECOND, Ordering::Relaxed);
            tokio::time::advance(Duration::from_secs(1)).await;
            let (reply, answer) = oneshot::channel();
            let after = self.after;
            let request = OutboxRequest::Next { after, reply };
            self.outbox.send(request).await.expect("the owner is there");
            let said = answer.await.expect("the owner answers");
            assert!(said.is_none(), "{said:?}");
        }
    }

    /// Tells that a message was sent, and waits until that is known: requests are served in order.
    async fn send(&self, seq: i64) {
        let sent = OutboxRequest::Sent { seq };
        self.outbox.send(sent).await.expect("the owner is there");
        let (reply, answer) = oneshot::channel();
        let request = OutboxRequest::Next { after: seq, reply };
        self.outbox.send(request).await.expect("the owner is there");
        answer.await.expect("the owner answers");
    }

    /// What the admin port shows as open.
    fn open(&self) -> Vec<FindingRow> {
        let filter = FindingFilter {
            state: Some(State::Open),
            limit: 10,
            ..FindingFilter::default()
        };
        self.reader.findings(&filter).expect("it can be read")
    }

    fn stop(&self) {
        let _ = self.stop.send(true);
    }
}

fn summary(message: &Value) -> &str {
    message["data"]["summary"].as_str().expect("a text")
}

#[tokio::test(start_paused = true)]
async fn a_tee_that_goes_silent_is_one_finding_until_the_next_push() {
    let (owner, inbox, mut around) = in_memory(rules(&[]));
    let asks = async {
        around.push();
        around.at(295);
        around.says_nothing().await;
        around.at(301);
        let observed = around.told("observed", "trommel_tee_silent").await;
        assert_eq!(
            summary(&observed),
            "trommel sees no logs and finds nothing: nothing has been pushed for 5m1s, since 2026-09-21T14:13:20Z"
        );
        assert_eq!(observed["data"]["domain"], "operator_channels");
        assert_eq!(observed["data"]["incident_type"], "detector_impaired");
        around.at(3600);
        around.says_nothing().await;
        around.push();
        let recovered = around.told("recovered", "trommel_tee_silent").await;
        assert_eq!(
            recovered["data"]["finding_id"],
            observed["data"]["finding_id"]
        );
        assert_eq!(recovered["data"]["reason"], "matched_recovery");
        around.says_nothing().await;
        around.stop();
    };
    tokio::join!(owner.drive(inbox), asks);
}

#[tokio::test(start_paused = true)]
async fn a_trommel_that_was_never_sent_anything_is_blind_too() {
    let (owner, inbox, mut around) = in_memory(rules(&[]));
    let asks = async {
        around.at(290);
        around.says_nothing().await;
        around.at(301);
        let observed = around.told("observed", "trommel_tee_silent").await;
        assert_eq!(
            summary(&observed),
            "trommel sees no logs and finds nothing: nothing has been pushed since the start, 5m1s ago"
        );
        around.at(302);
        around.push();
        around.told("recovered", "trommel_tee_silent").await;
        around.stop();
    };
    tokio::join!(owner.drive(inbox), asks);
}

#[tokio::test(start_paused = true)]
async fn a_restart_neither_tells_again_of_a_silent_tee_nor_takes_it_back() {
    let dir = TempDir::new();
    let open = || Store::open(Some(dir.path()), Limits::default()).expect("ours");
    let (owner, inbox, mut before) = around(open(), settings(), rules(&[]));
    let asks = async {
        before.at(301);
        let observed = before.told("observed", "trommel_tee_silent").await;
        before.stop();
        (observed, before)
    };
    let ((), (observed, before)) = tokio::join!(owner.drive(inbox), asks);

    let (owner, inbox, mut after) = around_from(310, open(), settings(), rules(&[]));
    after.after = before.after;
    let asks = async {
        after.says_nothing().await;
        after.push();
        let recovered = after.told("recovered", "trommel_tee_silent").await;
        assert_eq!(
            recovered["data"]["finding_id"],
            observed["data"]["finding_id"]
        );
        after.stop();
    };
    tokio::join!(owner.drive(inbox), asks);
}

#[tokio::test(start_paused = true)]
async fn messages_that_nobody_takes_are_a_finding_of_its_own_until_they_move() {
    let (owner, inbox, mut around) = in_memory(rules(&["r"]));
    around.takes = false;
    let asks = async {
        around.hit("", 0).await;
        around.told("observed", "r").await;
        // The tick that finds it in line.
        around.says_nothing().await;
        around.at(295);
        around.push();
        around.says_nothing().await;
        around.at(302);
        let observed = around.told("observed", "trommel_publish_stalled").await;
        assert_eq!(
            summary(&observed),
            "findings do not go out: 1 messages wait, the first in line for 5m1s; nobody takes them"
        );
        around.push();
        around.says_nothing().await;
        let open = around.open();
        assert!(open.iter().any(|row| row.rule == "trommel_publish_stalled"));
        for seq in 1..=around.after {
            around.send(seq).await;
        }
        around.told("recovered", "trommel_publish_stalled").await;
        around.says_nothing().await;
        around.stop();
    };
    tokio::join!(owner.drive(inbox), asks);
}

#[tokio::test(start_paused = true)]
async fn an_overload_is_told_with_its_numbers_and_what_was_shed_makes_a_gap() {
    let mut each = Rule::new("each", crate::rules::Match::default());
    each.by = vec!["k".to_owned()];
    let set = RuleSet {
        rules: vec![Arc::new(each)],
        ..RuleSet::default()
    };
    let (owner, inbox, mut around) = in_memory(Arc::new(set.with_own()));
    let coverage = |message: &Value| message["data"]["detector"]["coverage"].clone();
    let asks = async {
        around.hit("a", 0).await;
        assert_eq!(coverage(&around.told("observed", "each").await), "complete");
        around.says_nothing().await;
        around.pressure.early_entries.store(3, Ordering::Relaxed);
        let observed = around.told("observed", "trommel_overloaded").await;
        assert_eq!(
            observed["data"]["evidence"]["lines"][0]["line"],
            "0 entries and 0 whole requests were not inspected; 3 entries were answered before they were on disk"
        );
        // They were inspected all the same.
        around.hit("b", 0).await;
        assert_eq!(coverage(&around.told("observed", "each").await), "complete");

        around.pressure.shed_entries.store(5, Ordering::Relaxed);
        around.pressure.shed_requests.store(1, Ordering::Relaxed);
        around.says_nothing().await;
        around.hit("c", 0).await;
        assert_eq!(coverage(&around.told("observed", "each").await), "gap");

        // It goes on for a while, and is over when nothing was shed for as long as the rule says.
        for second in 60..120 {
            around.at(second);
            around.pressure.shed_entries.fetch_add(1, Ordering::Relaxed);
            around.says_nothing().await;
        }
        around.at(900);
        around.push();
        let recovered = around.told("recovered", "trommel_overloaded").await;
        assert_eq!(
            recovered["data"]["finding_id"],
            observed["data"]["finding_id"]
        );
        around.stop();
    };
    tokio::join!(owner.drive(inbox), asks);
}

#[tokio::test(start_paused = true)]
async fn entries_from_the_future_are_told_with_their_number_and_the_furthest() {
    let (owner, inbox, mut around) = in_memory(rules(&["r"]));
    let asks = async {
        around.hit("", 600).await;
        around.told("observed", "r").await;
        around.says_nothing().await;
        around.hit("", 3 * 3600).await;
        around.hit("", 601).await;
        let observed = around.told("observed", "trommel_clock_skew").await;
        assert_eq!(
            summary(&observed),
            "entries come from the future: 2 entries, the furthest by 3h"
        );
        // No storm, however long it goes on.
        for _ in 0..20 {
            around.hit("", 3600).await;
            around.says_nothing().await;
        }
        around.at(800);
        around.push();
        around.told("recovered", "trommel_clock_skew").await;
        around.stop();
    };
    tokio::join!(owner.drive(inbox), asks);
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_has_too_many_keys_is_named_with_how_many() {
    let mut many = Rule::new("many", crate::rules::Match::default());
    many.by = vec!["k".to_owned()];
    many.keys_max = Some(2);
    let set = RuleSet {
        rules: vec![Arc::new(many)],
        ..RuleSet::default()
    };
    let (owner, inbox, mut around) = in_memory(Arc::new(set.with_own()));
    let asks = async {
        for key in ["a", "b", "c", "d", "e"] {
            around.hit(key, 0).await;
        }
        let observed = around.told("observed", "trommel_keys_evicted").await;
        assert_eq!(observed["subject"], "trommel_keys_evicted{rule=many}");
        assert_eq!(
            summary(&observed),
            "a rule has more keys than it may: many: 0 keys were forgotten, 3 matches of new keys were not counted, 0 times an open finding kept less of its window"
        );
        around.at(700);
        around.push();
        around.told("recovered", "trommel_keys_evicted").await;
        around.stop();
    };
    tokio::join!(owner.drive(inbox), asks);
}

#[tokio::test(start_paused = true)]
async fn messages_that_had_to_go_unsent_are_told_by_kind() {
    let limits = Limits {
        outbox_bytes_max: 3000,
        ..Limits::default()
    };
    let store = Store::open(None, limits).expect("memory is there");
    let (owner, inbox, mut around) = around(store, settings(), rules(&["r"]));
    around.takes = false;
    let asks = async {
        for minute in 0..4 {
            around.at(minute * 20 * 60);
            around.hit("", 0).await;
        }
        let observed = around.told("observed", "trommel_messages_lost").await;
        assert!(
            summary(&observed).contains(" recovered while they waited for NATS; 0 while"),
            "{observed}"
        );
        around.takes = true;
        for seq in 1..=around.after {
            around.send(seq).await;
        }
        around.says_nothing().await;
        around.at(5000);
        around.push();
        around.told("recovered", "trommel_messages_lost").await;
        around.stop();
    };
    tokio::join!(owner.drive(inbox), asks);
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_takes_nothing_is_shown_at_once_and_told_when_it_does_again() {
    let dir = TempDir::new();
    let store = Store::open(Some(dir.path()), Limits::default()).expect("ours");
    let (owner, inbox, mut around) = around(store, settings(), rules(&["r"]));
    let aside = dir.path().with_extension("aside");
    let asks = async {
        fs::rename(dir.path(), &aside).expect("ours");
        around.hit("", 0).await;
        around.says_nothing().await;
        let open = around.open();
        let rules: Vec<&str> = open.iter().map(|row| &*row.rule).collect();
        assert_eq!(rules, ["trommel_disk_full", "r"]);
        fs::rename(&aside, dir.path()).expect("free");
        let observed = around.told("observed", "trommel_disk_full").await;
        assert!(
            summary(&observed).contains("is no longer the file that was opened"),
            "{observed}"
        );
        around.says_nothing().await;
        around.at(700);
        around.push();
        around.told("recovered", "trommel_disk_full").await;
        around.stop();
    };
    tokio::join!(owner.drive(inbox), asks);
}
