//! The detector against a slow, obvious model of one rule, and against itself in other batchings.
//!
//! Time is in seconds from an epoch of its own, so that a case can be read; the model walks through every one of them.

mod classes;
mod recall;
mod room;
mod silence;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::{Changes, Detector, Saved, Settings};
use crate::batch::{EntryId, Labels, StreamId};
use crate::finding::{Finding, Origin, Reason, Redactor, State};
use crate::hit::{Hit, Key, Parts, Progress, Role, RuleIndex, Scanned};
use crate::rules::{Absent, Condition, Match, Needs, Recover, Rule, RuleSet, Threshold};
use crate::time::Timestamp;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_parts(1_000_000 + seconds, 0)
}

fn origin() -> Origin {
    Origin {
        cluster: "c".into(),
        environment: String::new(),
        instance: "default".into(),
        grafana: None,
    }
}

/// `>= count in window`, recovering after `quiet`, without cooldown or `for`.
fn rule(id: &str, count: u64, window: u64, quiet: u64) -> Rule {
    let needs = Needs::AtLeast(count.try_into().expect("tests ask for at least one"));
    Rule {
        condition: Condition::Count(Threshold {
            needs,
            window: seconds(window),
        }),
        by: vec!["pod".into()],
        recover: Recover::Quiet(seconds(quiet)),
        incident_type: "t".into(),
        domain: "d".into(),
        hash: "0123456789abcdef".into(),
        meaning: format!("{:016x}", count * 1_000_003 + window),
        ..Rule::new(id, Match::default())
    }
}

fn set(rules: impl IntoIterator<Item = Rule>) -> Arc<RuleSet> {
    Arc::new(RuleSet {
        rules: rules.into_iter().map(Arc::new).collect(),
        ..RuleSet::default()
    })
}

/// One entry of a made-up log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: i64,
    pod: u8,
    /// Makes equal entries of one time different.
    line: u8,
    role: Option<Role>,
}

fn hit(at: i64, pod: u8, line: u8) -> Entry {
    Entry {
        at,
        pod,
        line,
        role: Some(Role::Match),
    }
}

/// An entry that matches nothing.
fn other(at: i64, pod: u8) -> Entry {
    Entry {
        at,
        pod,
        line: 255,
        role: None,
    }
}

fn scanned(entries: &[Entry]) -> Scanned {
    let mut scanned = Scanned {
        hits: Vec::new(),
        progress: Progress {
            tenant: "".into(),
            ..Progress::default()
        },
    };
    for entry in entries {
        let stream = StreamId(u64::from(entry.pod));
        let pod: Box<str> = format!("p{}", entry.pod).into();
        if let Some(role) = entry.role {
            scanned.hits.push(Hit {
                rule: RuleIndex(0),
                role,
                parts: Parts::MATCH,
                at: at(entry.at),
                stream,
                labels: Arc::new(Labels::new([("pod".into(), pod.clone())])),
                entry: EntryId(
                    entry.at as u64 * 65_536 + u64::from(entry.pod) * 256 + u64::from(entry.line),
                ),
                key: Key::from([pod]),
                values: Box::default(),
                captures: Box::default(),
                line: format!("line {}", entry.line).into_bytes().into(),
            });
        }
        scanned.progress.streams.push((stream, 1));
        scanned.progress.times.push(at(entry.at));
    }
    scanned
}

fn detector(settings: Settings, rules: &Arc<RuleSet>) -> Detector {
    Detector::new(settings, Redactor::new(Vec::new()), Arc::clone(rules))
}

/// Feeds `batches` as they are and ends at `until`.
fn run(
    settings: Settings,
    rules: &Arc<RuleSet>,
    batches: &[Vec<Entry>],
    until: i64,
) -> Vec<Finding> {
    let mut detector = detector(settings, rules);
    for batch in batches {
        detector.apply(scanned(batch), at(1_000_000));
    }
    detector.finish(at(until));
    detector.take_changes().findings()
}

fn replay(rules: &Arc<RuleSet>, entries: &[Entry], until: i64) -> Vec<Finding> {
    run(
        Settings::replay(origin()),
        rules,
        &[entries.to_vec()],
        until,
    )
}

fn printed(findings: &[Finding]) -> String {
    let time = |time: Timestamp| (time.nanos() - at(0).nanos()) / 1_000_000_000;
    let line = |finding: &Finding| {
        let state = match (finding.state, finding.revision) {
            (State::Recovered, _) => "recovered",
            (State::Open, 1) => "observed",
            (State::Open, _) => "updated",
        };
        format!(
            "{} {state} {} {:?} window={} total={} seen={}..{} flaps={} evidence={:?}\n",
            time(finding.time),
            finding.dedupe_key,
            finding.reason,
            finding.counts.window,
            finding.counts.total,
            time(finding.first_seen),
            time(finding.last_seen),
            finding.counts.flaps,
            finding
                .evidence
                .lines
                .iter()
                .map(|line| time(line.time))
                .collect::<Vec<_>>(),
        )
    };
    findings.iter().map(line).collect()
}

#[track_caller]
fn check(rule: Rule, entries: &[Entry], until: i64, expected: &Expect) {
    expected.assert_eq(&printed(&replay(&set([rule]), entries, until)));
}

#[test]
fn the_fifth_match_opens_one_finding_and_quiet_from_the_last_match_that_held_closes_it() {
    let entries = [
        hit(0, 1, 0),
        hit(60, 1, 0),
        hit(120, 1, 0),
        hit(180, 1, 0),
        hit(240, 1, 0),
        other(700, 1),
    ];
    check(
        rule("r", 5, 600, 600),
        &entries,
        839,
        &expect![[r#"
        240 observed r{pod=p1} Opened window=5 total=5 seen=0..240 flaps=0 evidence=[0, 120, 180, 240]
    "#]],
    );
    check(
        rule("r", 5, 600, 600),
        &entries,
        840,
        &expect![[r#"
            240 observed r{pod=p1} Opened window=5 total=5 seen=0..240 flaps=0 evidence=[0, 120, 180, 240]
            840 recovered r{pod=p1} Quiet window=0 total=5 seen=0..240 flaps=0 evidence=[0, 120, 180, 240]
        "#]],
    );
}

#[test]
fn a_scope_is_where_trommel_is_unless_an_entry_says_otherwise() {
    let scope = |by: &str, pod: &str| {
        let rule = Rule {
            by: vec![by.into()],
            ..rule("r", 1, 60, 60)
        };
        let mut scanned = scanned(&[hit(0, 1, 0)]);
        scanned.hits[0].key = Key::from([pod]);
        let mut detector = detector(Settings::replay(origin()), &set([rule]));
        detector.apply(scanned, at(0));
        let found = detector.take_changes().findings().remove(0);
        format!("{:?}", found.resource_scope)
    };
    let here = r#"{"cluster": "c", "environment": "", "tenant": ""}"#;
    assert_eq!(scope("cluster", ""), here);
    assert_eq!(scope("cluster", "d"), here.replace("\"c\"", "\"d\""));
    assert_eq!(
        scope("pod", ""),
        here.replace("\"tenant\"", "\"pod\": \"\", \"tenant\"")
    );
}

#[test]
fn a_query_asks_only_for_labels_that_all_streams_have() {
    let logql = |labels: &[&str]| {
        let mut batch = scanned(&[hit(0, 1, 0), hit(1, 1, 1)]);
        for (hit, name) in batch.hits.iter_mut().zip(labels) {
            hit.labels = Arc::new(Labels::new([((*name).into(), "p1".into())]));
        }
        let mut detector = detector(Settings::replay(origin()), &set([rule("r", 2, 60, 60)]));
        detector.apply(batch, at(1));
        detector.take_changes().findings().remove(0).logs.logql
    };
    assert_eq!(logql(&["pod", "pod"]), r#"{pod="p1"}"#);
    let any = r#"{service_name=~".+"}"#;
    assert_eq!(logql(&["unit", "pod"]), any);
    assert_eq!(logql(&["pod", "unit"]), any);
}

#[test]
fn four_matches_say_nothing() {
    check(
        rule("r", 5, 600, 600),
        &[
            hit(0, 1, 0),
            hit(1, 1, 0),
            hit(2, 1, 0),
            hit(3, 1, 0),
            hit(3, 1, 0),
        ],
        2000,
        &expect![[""]],
    );
}

// SEMANTICS 4, 19
#[test]
fn a_stream_that_said_nothing_since_the_last_match_recovers_as_silent() {
    check(
        rule("r", 1, 60, 60),
        &[hit(0, 1, 0), other(50, 2), other(100, 2)],
        100,
        &expect![[r#"
        0 observed r{pod=p1} Opened window=1 total=1 seen=0..0 flaps=0 evidence=[0]
        60 recovered r{pod=p1} Silent window=0 total=1 seen=0..0 flaps=0 evidence=[0]
    "#]],
    );
}

/// Whatever is pushed first: nobody listened to the stream when its younger entry came.
#[test]
fn a_match_that_comes_later_than_a_younger_entry_of_its_stream_recovers_as_quiet() {
    let rules = set([rule("r", 1, 60, 60)]);
    let (younger, late) = (vec![other(50, 1)], vec![hit(40, 1, 0)]);
    for batches in [[younger.clone(), late.clone()], [late, younger]] {
        let found = run(Settings::replay(origin()), &rules, &batches, 120);
        let reasons: Vec<_> = found.iter().map(|it| (it.time, it.reason)).collect();
        assert_eq!(
            reasons,
            [(at(40), Reason::Opened), (at(100), Reason::Quiet)]
        );
    }
}

/// The finding knows that its stream went on when the late match comes, by an entry from after the deadline.
#[test]
fn a_late_match_hears_what_comes_with_it() {
    let rules = set([rule("r", 1, 60, 60)]);
    let settings = Settings {
        late_by: seconds(100),
        ..Settings::replay(origin())
    };
    let batches = [
        vec![hit(0, 1, 0)],
        vec![other(5, 1)],
        vec![other(75, 1)],
        vec![hit(10, 1, 1), other(20, 1)],
    ];
    let found = run(settings, &rules, &batches, 200);
    let last = found.last().map(|it| (it.time, it.reason));
    assert_eq!(last, Some((at(70), Reason::Quiet)));
}

#[test]
fn streams_that_never_come_again_are_forgotten_and_what_listens_goes_on() {
    let mut detector = detector(Settings::replay(origin()), &set([rule("r", 1, 60, 60)]));
    for n in 0u8..=255 {
        for pod in 0..20 {
            // Each in a stream of its own, for one of twenty keys that are always open.
            let mut scanned = scanned(&[hit(i64::from(n), pod, 0)]);
            let stream = StreamId(u64::from(n) * 20 + u64::from(pod));
            scanned.hits[0].stream = stream;
            scanned.progress.streams[0].0 = stream;
            detector.apply(scanned, at(1_000_000));
            detector.take_changes();
        }
    }
    // Sixty-four for each key, and as many again that are of no use.
    let places = detector.watchers.places();
    assert!((20 * 64..=2 * 20 * 64 + 1024).contains(&places), "{places}");
}

/// A key whose finding is over and cannot open again hears nothing, whether or not anything has looked at it since.
#[test]
fn what_a_key_has_heard_does_not_depend_on_a_reload() {
    let rules = || {
        set([Rule {
            cooldown: Duration::ZERO,
            ..rule("r", 1, 1, 5)
        }])
    };
    let entries = [hit(0, 0, 0), other(11, 1), other(37, 0), hit(32, 0, 0)];
    let found = |reload: bool| {
        let mut detector = detector(Settings::replay(origin()), &rules());
        for entry in &entries {
            if reload {
                detector.set_rules(rules());
            }
            detector.apply(scanned(std::slice::from_ref(entry)), at(1_000_000));
        }
        detector.finish(at(120));
        printed(&detector.take_changes().findings())
    };
    assert_eq!(found(true), found(false));
}

#[test]
fn a_match_exactly_at_the_deadline_keeps_it_open_and_one_just_after_reopens_it() {
    check(
        rule("r", 1, 60, 60),
        &[hit(0, 1, 0), hit(60, 1, 0), hit(121, 1, 0)],
        150,
        &expect![[r#"
        0 observed r{pod=p1} Opened window=1 total=1 seen=0..0 flaps=0 evidence=[0]
        120 recovered r{pod=p1} Silent window=0 total=2 seen=0..60 flaps=0 evidence=[0, 60]
        121 updated r{pod=p1} Reopened window=1 total=3 seen=0..121 flaps=1 evidence=[0, 60, 121]
    "#]],
    );
}

#[test]
fn a_match_a_cooldown_after_recovery_is_a_new_finding() {
    let mut rule = rule("r", 1, 60, 60);
    rule.cooldown = seconds(100);
    check(
        rule.clone(),
        &[hit(0, 1, 0), hit(159, 1, 0)],
        160,
        &expect![[r#"
        0 observed r{pod=p1} Opened window=1 total=1 seen=0..0 flaps=0 evidence=[0]
        60 recovered r{pod=p1} Silent window=0 total=1 seen=0..0 flaps=0 evidence=[0]
        159 updated r{pod=p1} Reopened window=1 total=2 seen=0..159 flaps=1 evidence=[0, 159]
    "#]],
    );
    check(
        rule,
        &[hit(0, 1, 0), hit(160, 1, 0)],
        160,
        &expect![[r#"
        0 observed r{pod=p1} Opened window=1 total=1 seen=0..0 flaps=0 evidence=[0]
        60 recovered r{pod=p1} Silent window=0 total=1 seen=0..0 flaps=0 evidence=[0]
        160 observed r{pod=p1} Opened window=1 total=1 seen=160..160 flaps=0 evidence=[160]
    "#]],
    );
}

#[test]
fn an_open_finding_says_so_again_once_a_cooldown_has_passed() {
    let mut rule = rule("r", 1, 60, 600);
    rule.cooldown = seconds(100);
    check(
        rule,
        &[hit(0, 1, 0), hit(99, 1, 0), hit(100, 1, 0), hit(199, 1, 0)],
        300,
        &expect![[r#"
        0 observed r{pod=p1} Opened window=1 total=1 seen=0..0 flaps=0 evidence=[0]
        100 updated r{pod=p1} StillMatching window=2 total=3 seen=0..100 flaps=0 evidence=[0, 99, 100]
    "#]],
    );
}

#[test]
fn a_condition_must_hold_for_its_for_also_as_entries_leave() {
    let entries = [
        hit(0, 1, 0),
        hit(60, 1, 0),
        hit(120, 1, 0),
        hit(180, 1, 0),
        hit(240, 1, 0),
    ];
    let holding = |hold| Rule {
        hold: seconds(hold),
        ..rule("r", 5, 600, 900)
    };
    // It is true from 240 until the first entry leaves at 600.
    check(
        holding(359),
        &entries,
        700,
        &expect![[r#"
        599 observed r{pod=p1} Opened window=5 total=5 seen=0..240 flaps=0 evidence=[0, 120, 180, 240]
    "#]],
    );
    check(holding(360), &entries, 2000, &expect![[""]]);
}

#[test]
fn an_entry_that_says_so_ends_a_finding_and_empties_the_window() {
    let mut rule = rule("r", 2, 600, 600);
    rule.recover = Recover::Match {
        after: None,
        when: Box::default(),
    };
    let over = |at, pod| Entry {
        at,
        pod,
        line: 9,
        role: Some(Role::Recovery),
    };
    check(
        rule,
        &[
            hit(0, 1, 0),
            over(1, 1),
            hit(2, 1, 0),
            hit(3, 1, 0),
            over(9, 2),
            over(10, 1),
        ],
        9000,
        &expect![[r#"
        3 observed r{pod=p1} Opened window=2 total=2 seen=2..3 flaps=0 evidence=[2, 3]
        10 recovered r{pod=p1} MatchedRecovery window=0 total=2 seen=2..3 flaps=0 evidence=[2, 3]
    "#]],
    );
}

#[test]
fn a_one_shot_event_ends_unannounced_once_a_cooldown_has_passed_without_a_match() {
    let mut rule = rule("r", 1, 60, 60);
    rule.recover = Recover::Never;
    rule.cooldown = seconds(100);
    check(
        rule,
        &[hit(0, 1, 0), hit(99, 1, 0), hit(199, 1, 0), hit(300, 1, 0)],
        90_000,
        &expect![[r#"
        0 observed r{pod=p1} Opened window=1 total=1 seen=0..0 flaps=0 evidence=[0]
        199 updated r{pod=p1} StillMatching window=1 total=3 seen=0..199 flaps=0 evidence=[0, 99, 199]
        300 observed r{pod=p1} Opened window=1 total=1 seen=300..300 flaps=0 evidence=[300]
    "#]],
    );
}

#[test]
fn an_open_finding_is_told_of_once_a_day() {
    let day = 24 * 3600;
    let mut rule = rule("r", 1, 60, 60);
    rule.recover = Recover::Match {
        after: None,
        when: Box::default(),
    };
    check(
        rule,
        &[hit(0, 1, 0)],
        2 * day,
        &expect![[r#"
        0 observed r{pod=p1} Opened window=1 total=1 seen=0..0 flaps=0 evidence=[0]
        86400 updated r{pod=p1} Reminder window=0 total=1 seen=0..0 flaps=0 evidence=[0]
        172800 updated r{pod=p1} Reminder window=0 total=1 seen=0..0 flaps=0 evidence=[0]
    "#]],
    );
}

#[test]
fn too_few_entries_are_told_a_window_after_the_first_and_when_the_last_one_too_many_leaves() {
    let few = Threshold {
        needs: Needs::AtMost(1),
        window: seconds(60),
    };
    let rule = Rule {
        condition: Condition::Count(few),
        ..rule("r", 1, 60, 30)
    };
    check(
        rule,
        &[
            hit(0, 1, 0),
            hit(50, 1, 0),
            hit(59, 1, 0),
            hit(200, 1, 0),
            hit(201, 1, 0),
        ],
        500,
        &expect![[r#"
        110 observed r{pod=p1} Opened window=1 total=1 seen=59..59 flaps=0 evidence=[59]
        231 recovered r{pod=p1} Silent window=2 total=3 seen=59..201 flaps=0 evidence=[59, 200, 201]
        260 updated r{pod=p1} Reopened window=1 total=3 seen=59..201 flaps=1 evidence=[59, 200, 201]
    "#]],
    );
}

// SEMANTICS 6
#[test]
fn quiet_does_not_pass_while_the_tee_is_silent() {
    let rules = set([rule("r", 1, 60, 600)]);
    let batches = [
        vec![hit(0, 1, 0)],
        vec![other(300, 2)],
        vec![other(2000, 2)],
        vec![other(2299, 2)],
        vec![other(2320, 2)],
    ];
    let live = Settings {
        late_by: seconds(10),
        ..Settings::live(origin())
    };
    // Four minutes of quiet were seen before the silence of 1700 s; the rest comes after it.
    let settings = Settings {
        max_age: None,
        ..live
    };
    let found = run(settings, &rules, &batches, 2320);
    expect![[r#"
        0 observed r{pod=p1} Opened window=1 total=1 seen=0..0 flaps=0 evidence=[0]
        2300 recovered r{pod=p1} Silent window=0 total=1 seen=0..0 flaps=0 evidence=[0]
    "#]]
    .assert_eq(&printed(&found));
    assert_eq!(found[1].detector.coverage, crate::finding::Coverage::Gap);
}

// SEMANTICS 6, 27
#[test]
fn an_absence_goes_on_after_a_silence_of_the_tee_and_what_was_seen_of_it_before_counts() {
    let absent = Rule {
        condition: Condition::Absent(Absent {
            span: seconds(900),
            expect: Vec::new(),
            forget: None,
        }),
        ..rule("r", 1, 60, 600)
    };
    let rules = set([absent]);
    let settings = Settings {
        late_by: seconds(10),
        max_age: None,
        ..Settings::live(origin())
    };
    let batches = |end: i64| {
        let times = [300, 2000, 2299, 2590, end].map(|at| vec![other(at, 2)]);
        [vec![vec![hit(0, 1, 0)]], times.into()].concat()
    };
    // Five minutes before the silence of 1700 s, and ten after it.
    let found = run(settings.clone(), &rules, &batches(2620), 2620);
    expect![[r#"
        2600 observed r{pod=p1} Opened window=0 total=0 seen=2600..2600 flaps=0 evidence=[]
    "#]]
    .assert_eq(&printed(&found));
    assert_eq!(found[0].detector.coverage, crate::finding::Coverage::Gap);
    let found = run(settings, &rules, &batches(2599), 2599);
    expect![""].assert_eq(&printed(&found));
}

// SEMANTICS 7
#[test]
fn messages_of_one_instant_are_in_order_of_their_keys_however_the_entries_came() {
    let rules = set([rule("r", 1, 60, 10)]);
    let found = replay(&rules, &[hit(0, 3, 0), hit(0, 1, 0), hit(0, 2, 0)], 10);
    let told: Vec<_> = found.iter().map(|finding| &*finding.dedupe_key).collect();
    let keys = ["r{pod=p1}", "r{pod=p2}", "r{pod=p3}"];
    assert_eq!(told, [keys, keys].concat());
}

// SEMANTICS 8
#[test]
fn of_equal_times_the_lines_decide_what_is_quoted_however_the_entries_came() {
    let rules = set([rule("r", 3, 60, 10)]);
    for lines in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let entries = lines.map(|line| hit(0, 1, line));
        let found = replay(&rules, &entries, 0);
        let quoted: Vec<_> = (found[0].evidence.lines.iter())
            .map(|line| &*line.line)
            .collect();
        assert_eq!(quoted, ["line 0", "line 1", "line 2"]);
    }
}

#[test]
fn entries_older_than_max_age_decide_nothing_and_those_from_the_future_count_as_now() {
    let rules = set([rule("r", 1, 60, 600)]);
    let mut detector = detector(Settings::live(origin()), &rules);
    detector.apply(scanned(&[hit(0, 1, 0)]), at(3601));
    detector.apply(scanned(&[hit(9000, 2, 0)]), at(3601));
    let findings = detector.take_changes().findings();
    let tally = detector.take_tally();
    assert_eq!((tally.late, tally.future), (1, 1));
    assert_eq!(findings.len(), 1);
    assert_eq!(
        (findings[0].dedupe_key.as_str(), findings[0].time),
        ("r{pod=p2}", at(3601))
    );
}

// SEMANTICS 36
#[test]
fn beyond_its_bound_the_key_longest_untouched_is_evicted_and_open_ones_never() {
    let rules = set([rule("r", 2, 60, 600)]);
    let settings = Settings {
        keys_max: 2,
        ..Settings::replay(origin())
    };
    let mut detector = detector(settings, &rules);
    let entries = [
        hit(0, 1, 0),
        hit(1, 2, 0),
        hit(2, 3, 0),
        hit(3, 1, 1),
        hit(4, 3, 1),
        hit(5, 1, 2),
        hit(6, 4, 0),
    ];
    detector.apply(scanned(&entries), at(1_000_000));
    // p1 is evicted for p3, p2 for p1; then p3 and p1 open and p4 finds no room.
    expect![[r#"
        4 observed r{pod=p3} Opened window=2 total=2 seen=2..4 flaps=0 evidence=[2, 4]
        5 observed r{pod=p1} Opened window=2 total=2 seen=3..5 flaps=0 evidence=[3, 5]
    "#]]
    .assert_eq(&printed(&detector.take_changes().findings()));
    let tally = detector.take_tally();
    let counts = [tally.keys_evicted, tally.keys_refused].map(|keys| keys.values().sum::<u64>());
    assert_eq!(counts, [2, 1]);
}

// SEMANTICS 35
#[test]
fn what_may_repeat_forgotten_entries_counts_but_opens_nothing() {
    let rules = set([rule("r", 1, 60, 10)]);
    let settings = Settings {
        identities_max: 2,
        ..Settings::replay(origin())
    };
    let mut detector = detector(settings, &rules);
    detector.apply(
        scanned(&[hit(0, 1, 0), hit(1000, 1, 0), hit(2000, 1, 0)]),
        at(1_000_000),
    );
    detector.take_changes();
    detector.apply(scanned(&[hit(0, 2, 0)]), at(1_000_000));
    assert_eq!(printed(&detector.take_changes().findings()), "");
    assert!(detector.take_tally().identities_evicted > 0);
}

/// Stores everything and starts again from it, as after `kill -9`.
fn restarted(settings: &Settings, rules: &Arc<RuleSet>, changes: &Changes) -> Detector {
    let mut again = detector(settings.clone(), rules);
    again.restore(saved(changes)).expect("just written");
    again
}

fn saved(changes: &Changes) -> Saved {
    Saved {
        keys: changes
            .keys
            .iter()
            .filter_map(|(name, state)| Some((name.clone(), state.clone()?)))
            .collect(),
        state: changes
            .state
            .iter()
            .map(|(name, state)| (name.clone(), state.clone()))
            .collect(),
        identities: changes
            .identities(Timestamp::MAX)
            .map(|(_, row)| row)
            .into_iter()
            .collect(),
    }
}

#[test]
fn a_one_shot_finding_that_ends_after_a_restart_is_recorded_as_the_one_it_was() {
    let rules = set([Rule {
        recover: Recover::Never,
        ..rule("r", 1, 60, 600)
    }]);
    let settings = Settings::replay(origin());
    let mut first = detector(settings.clone(), &rules);
    first.apply(scanned(&[hit(0, 1, 0)]), at(1_000_000));
    let changes = first.take_changes();
    let told = &changes.findings()[0];

    let mut again = restarted(&settings, &rules, &changes);
    again.finish(at(1_000_000));
    let changes = again.take_changes();
    assert!(changes.findings().is_empty());
    let ended = &changes.ended[0];
    assert_eq!(
        (&ended.finding_id, &ended.finding_key, ended.state),
        (&told.finding_id, &told.finding_key, State::Recovered)
    );
    assert!(ended.time > told.time);
}

#[test]
fn a_changed_rule_keeps_its_open_findings_and_a_removed_one_closes_them() {
    let entries = [hit(0, 1, 0), hit(1, 1, 1), hit(1, 2, 0)];
    let mut detector = detector(Settings::replay(origin()), &set([rule("r", 2, 60, 600)]));
    detector.apply(scanned(&entries), at(1_000_000));
    detector.set_rules(set([rule("r", 3, 60, 600)]));
    detector.apply(scanned(&[hit(2, 2, 5), hit(3, 2, 6)]), at(1_000_000));
    detector.set_rules(set([rule("other", 3, 60, 600)]));
    expect![[r#"
        1 observed r{pod=p1} Opened window=2 total=2 seen=0..1 flaps=0 evidence=[0, 1]
        3 recovered r{pod=p1} RuleRemoved window=2 total=2 seen=0..1 flaps=0 evidence=[0, 1]
    "#]]
    .assert_eq(&printed(&detector.take_changes().findings()));
}

/// A rule set in which `r` has the place `place`, among rules that nothing hits.
fn set_around(r: Rule, place: u32) -> Arc<RuleSet> {
    let before = (0..place).map(|n| rule(&format!("a{n}"), 2, 60, 600));
    set(before.chain([r, rule("s", 3, 60, 600)]))
}

/// What was scanned for a set in which the one rule that is hit has the place `place`.
fn scanned_for(place: u32, entries: &[Entry]) -> Scanned {
    let mut scanned = scanned(entries);
    for hit in &mut scanned.hits {
        hit.rule = RuleIndex(place);
    }
    scanned
}

#[test]
fn what_changed_before_a_reload_is_stored_under_its_own_rule() {
    let rules = set_around(rule("r", 2, 60, 600), 1);
    let mut detector = detector(Settings::replay(origin()), &rules);
    detector.apply(scanned_for(1, &[hit(0, 1, 0)]), at(1_000_000));
    detector.set_rules(set_around(rule("r", 2, 60, 600), 3));
    let keys = detector.take_changes().keys;
    let stored: Vec<_> = keys
        .iter()
        .map(|(name, state)| (&*name.rule, state.is_some()))
        .collect();
    assert_eq!(stored, [("r", true)]);

    detector.apply(scanned_for(3, &[hit(1, 2, 0)]), at(1_000_000));
    detector.set_rules(set([rule("s", 3, 60, 600)]));
    let keys = detector.take_changes().keys;
    let stored: Vec<_> = keys
        .iter()
        .map(|(name, state)| {
            (
                &*name.rule,
                name.by.get(0).unwrap_or_default(),
                state.is_some(),
            )
        })
        .collect();
    assert_eq!(stored, [("r", "p1", false), ("r", "p2", false)]);
}

#[test]
fn only_keys_of_rules_that_have_changed_are_stored_anew() {
    let [same, other] = ["s", "t"].map(|id| rule(id, 2, 60, 600));
    let described = |rule: &Rule, hash: &str| Rule {
        hash: hash.to_owned(),
        ..rule.clone()
    };
    let rules = set([described(&same, "1"), described(&other, "1")]);
    let mut detector = detector(Settings::replay(origin()), &rules);
    let mut of_both = scanned(&[hit(0, 1, 0), hit(0, 2, 0)]);
    of_both.hits[1].rule = RuleIndex(1);
    detector.apply(of_both, at(1_000_000));
    let stored = |detector: &mut Detector| -> Vec<String> {
        let keys = detector.take_changes().keys.into_keys();
        keys.map(|name| name.rule.to_string()).collect()
    };
    assert_eq!(stored(&mut detector), ["s", "t"]);
    let rules = set([described(&same, "1"), described(&other, "2")]);
    detector.set_rules(Arc::clone(&rules));
    assert_eq!(stored(&mut detector), ["t"]);
    let redactor = Redactor::new(Vec::new());
    detector.set_settings(Settings::replay(origin()), redactor, rules);
    assert_eq!(stored(&mut detector), ["s", "t"]);
}

#[test]
fn fewer_keys_forget_those_longest_untouched_and_never_an_open_finding() {
    let of_three = |keys_max| Rule {
        keys_max,
        ..rule("r", 2, 60, 600)
    };
    let mut detector = detector(Settings::replay(origin()), &set([of_three(None)]));
    // The findings of p0 and p1 are open; of the others p3 is the one longest untouched.
    let entries = [
        hit(0, 0, 0),
        hit(1, 0, 1),
        hit(2, 1, 0),
        hit(3, 1, 1),
        hit(4, 3, 0),
        hit(5, 2, 0),
    ];
    for entry in entries {
        detector.apply(scanned(&[entry]), at(1_000_000));
    }
    detector.set_rules(set([of_three(Some(3))]));
    assert_eq!(detector.sizes().keys, 3);
    detector.apply(scanned(&[hit(6, 2, 1)]), at(1_000_000));
    detector.set_rules(set([of_three(Some(1))]));
    assert_eq!(detector.sizes().keys, 3, "all are open");
    detector.take_tally();
    detector.apply(scanned(&[hit(7, 3, 1), hit(8, 3, 2)]), at(1_000_000));
    assert_eq!(detector.take_tally().keys_refused.values().sum::<u64>(), 2);
    detector.finish(at(10_000));
    expect![[r#"
        1 observed r{pod=p0} Opened window=2 total=2 seen=0..1 flaps=0 evidence=[0, 1]
        3 observed r{pod=p1} Opened window=2 total=2 seen=2..3 flaps=0 evidence=[2, 3]
        6 observed r{pod=p2} Opened window=2 total=2 seen=5..6 flaps=0 evidence=[5, 6]
        601 recovered r{pod=p0} Silent window=0 total=2 seen=0..1 flaps=0 evidence=[0, 1]
        603 recovered r{pod=p1} Silent window=0 total=2 seen=2..3 flaps=0 evidence=[2, 3]
        606 recovered r{pod=p2} Silent window=0 total=2 seen=5..6 flaps=0 evidence=[5, 6]
    "#]]
    .assert_eq(&printed(&detector.take_changes().findings()));
}

#[test]
fn a_repeat_is_known_when_entries_may_be_older_than_before() {
    let max_age = |hours: u64| Settings {
        max_age: Some(seconds(hours * 3600)),
        ..Settings::live(origin())
    };
    let rules = set([rule("r", 2, 60, 600)]);
    let mut detector = detector(max_age(1), &rules);
    let entry = hit(0, 1, 0);
    detector.apply(scanned(&[entry]), at(0));
    detector.set_settings(max_age(100), Redactor::new(Vec::new()), rules);
    detector.apply(scanned(&[entry]), at(50 * 3600));
    assert_eq!(detector.take_tally().duplicates, 1);
}

/// A rule's settings as the properties vary them.
#[derive(Debug, Clone)]
struct Shape {
    needs: Needs,
    window: u64,
    quiet: u64,
    hold: u64,
    cooldown: u64,
}

impl Shape {
    fn rule(&self) -> Rule {
        Rule {
            condition: Condition::Count(Threshold {
                needs: self.needs,
                window: seconds(self.window),
            }),
            hold: seconds(self.hold),
            cooldown: seconds(self.cooldown),
            ..rule("r", 1, self.window, self.quiet)
        }
    }
}

fn shapes() -> impl Strategy<Value = Shape> {
    let needs = prop_oneof![
        (1u64..5).prop_map(|count| Needs::AtLeast(count.try_into().expect("from one"))),
        (0u64..3).prop_map(Needs::AtMost),
    ];
    let hold = prop_oneof![Just(0), 0u64..8];
    (needs, 1u64..15, 1u64..15, hold, 0u64..40).prop_map(
        |(needs, window, quiet, hold, cooldown)| Shape {
            needs,
            window,
            quiet,
            hold,
            cooldown,
        },
    )
}

fn logs() -> impl Strategy<Value = Vec<Entry>> {
    let entry = (0i64..80, 0u8..2, 0u8..2, prop::bool::weighted(0.8)).prop_map(
        |(at, pod, line, matches)| {
            if matches {
                hit(at, pod, line)
            } else {
                other(at, pod)
            }
        },
    );
    prop::collection::vec(entry, 1..40)
}

/// One key of one rule, second by second: what opens, when it recovers, and what comes back.
fn model(shape: &Shape, entries: &[Entry], pod: u8, until: i64) -> Vec<(i64, &'static str, u64)> {
    let mut entries: Vec<Entry> = entries
        .iter()
        .copied()
        .filter(|entry| entry.pod == pod && entry.role.is_some())
        .collect();
    entries.sort();
    entries.dedup();
    let count = |t: i64| {
        entries
            .iter()
            .filter(|entry| t - (shape.window as i64) < entry.at && entry.at <= t)
            .count() as u64
    };
    let armed = entries.first().map(|entry| entry.at);
    let true_at = |t: i64| match shape.needs {
        Needs::AtLeast(needed) => count(t) >= needed.get(),
        Needs::AtMost(most) => {
            armed.is_some_and(|armed| t >= armed + shape.window as i64) && count(t) <= most
        }
    };
    let many = matches!(shape.needs, Needs::AtLeast(_));
    let mut told = Vec::new();
    let (mut open, mut since, mut quiet_from) = (false, None, None);
    let mut recovered: Option<i64> = None;
    for t in 0..=until {
        let matched = entries.iter().any(|entry| entry.at == t);
        if open {
            if many && matched && true_at(t) {
                quiet_from = Some(t);
            } else if !many && true_at(t) {
                quiet_from = None;
            } else if !many && quiet_from.is_none() {
                quiet_from = Some(t);
            }
        } else if !true_at(t) {
            since = None;
        } else if since.is_none() && (matched || !many) {
            // Many matches begin a stretch when one of them arrives; few, by themselves.
            since = Some(t);
        }
        if !open && since.is_some_and(|since| t - since >= shape.hold as i64) {
            let again = recovered.is_some_and(|recovered| t < recovered + shape.cooldown as i64);
            told.push((t, if again { "reopened" } else { "opened" }, count(t)));
            open = true;
            quiet_from = many
                .then(|| {
                    entries
                        .iter()
                        .map(|entry| entry.at)
                        .filter(|at| *at <= t)
                        .max()
                })
                .flatten();
        }
        // A finding that opens after its quiet has passed recovers at once.
        if open && quiet_from.is_some_and(|from| t - from >= shape.quiet as i64) {
            (open, since, recovered) = (false, None, Some(t));
            told.push((t, "recovered", 0));
        }
    }
    told
}

fn told(findings: &[Finding], pod: u8) -> Vec<(i64, &'static str, u64)> {
    let name = format!("r{{pod=p{pod}}}");
    let seconds = |time: Timestamp| (time.nanos() - at(0).nanos()) / 1_000_000_000;
    let of_pod = findings.iter().filter(|finding| finding.dedupe_key == name);
    of_pod
        .filter_map(|finding| {
            use crate::finding::Reason::{Opened, Quiet, Reopened, Silent};
            match finding.reason {
                Opened => Some((seconds(finding.time), "opened", finding.counts.window)),
                Reopened => Some((seconds(finding.time), "reopened", finding.counts.window)),
                Quiet | Silent => Some((seconds(finding.time), "recovered", 0)),
                _ => None,
            }
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, max_shrink_iters: 512, ..ProptestConfig::default() })]

    #[test]
    fn findings_open_and_recover_as_in_a_walk_through_every_second(shape in shapes(), entries in logs()) {
        let found = replay(&set([shape.rule()]), &entries, 120);
        for pod in 0..2 {
            prop_assert_eq!(told(&found, pod), model(&shape, &entries, pod, 120));
        }
    }

    #[test]
    fn permuting_a_batch_splitting_it_in_order_of_time_or_sending_it_twice_changes_nothing(
        shape in shapes(), (entries, shuffled) in logs().prop_flat_map(|log| (Just(log.clone()), Just(log).prop_shuffle())),
        cuts in prop::collection::vec(0i64..80, 0..6), late_by in 0u64..12,
    ) {
        let rules = set([shape.rule()]);
        let settings = Settings { late_by: seconds(late_by), ..Settings::replay(origin()) };
        let whole = run(settings.clone(), &rules, std::slice::from_ref(&entries), 120);
        let bytes = |findings: &[Finding]| -> Vec<String> {
            let json = |finding: &Finding| {
                let mut finding = finding.clone();
                finding.counts.duplicates_dropped = 0;
                format!("{}{finding:?}", printed(std::slice::from_ref(&finding)))
            };
            findings.iter().map(json).collect()
        };
        prop_assert_eq!(printed(&run(settings.clone(), &rules, std::slice::from_ref(&shuffled), 120)), printed(&whole));
        prop_assert!(bytes(&run(settings.clone(), &rules, &[shuffled], 120)) == bytes(&whole));

        let mut cuts = cuts;
        cuts.sort_unstable();
        let mut parts = vec![Vec::new(); cuts.len() + 1];
        for entry in &entries {
            parts[cuts.partition_point(|cut| *cut <= entry.at)].push(*entry);
        }
        let split = run(settings.clone(), &rules, &parts, 120);
        prop_assert_eq!(printed(&split), printed(&whole), "split in order of time");
        prop_assert!(bytes(&split) == bytes(&whole), "split in order of time");

        let twice = [parts.clone(), parts].concat();
        let sent_twice: Vec<_> = twice[..twice.len() / 2].iter().flat_map(|part| [part.clone(), part.clone()]).collect();
        let sent_twice = run(settings, &rules, &sent_twice, 120);
        prop_assert!(bytes(&sent_twice) == bytes(&whole), "each part sent twice");
    }

    #[test]
    fn entries_out_of_order_by_no_more_than_late_by_open_and_close_the_same(
        shape in shapes(), entries in logs(), delays in prop::collection::vec(0i64..3, 40),
    ) {
        // A pause shorter than `late_by` can be filled by a late match: then two findings are one.
        let shape = Shape { quiet: shape.quiet + 3, ..shape };
        let rules = set([shape.rule()]);
        let mut arrivals: Vec<_> = entries.iter().zip(&delays).map(|(entry, delay)| (entry.at + delay, *entry)).collect();
        arrivals.sort_by_key(|(arrival, _)| *arrival);
        let batches: Vec<_> = arrivals.into_iter().map(|(_, entry)| vec![entry]).collect();
        let settings = Settings { late_by: seconds(3), ..Settings::replay(origin()) };
        let found = run(settings, &rules, &batches, 120);
        for pod in 0..2 {
            let (found, expected) = (told(&found, pod), model(&shape, &entries, pod, 120));
            // Whether it is a new finding or an old one again follows from the time at which it opens,
            // and that is the time of the entry that came first.
            let states = |told: &[(i64, &'static str, u64)]| {
                told.iter().map(|(_, state, _)| *state == "recovered").collect::<Vec<_>>()
            };
            prop_assert_eq!(states(&found), states(&expected), "{:?} against {:?}", found, expected);
        }
    }

    #[test]
    fn a_reload_before_every_batch_changes_nothing_for_a_rule_that_stays(
        shape in shapes(), entries in logs(), late_by in 0u64..12, places in prop::collection::vec(0u32..4, 40),
        taken in prop::collection::vec(any::<bool>(), 40),
    ) {
        let settings = Settings { late_by: seconds(late_by), ..Settings::replay(origin()) };
        let batches: Vec<_> = entries.iter().map(|entry| vec![*entry]).collect();
        let whole = run(settings.clone(), &set([shape.rule()]), &batches, 120);

        let mut detector = detector(settings.clone(), &set([shape.rule()]));
        let mut changes = Changes::default();
        for (batch, (place, taken)) in batches.iter().zip(places.into_iter().zip(taken)) {
            // Prose and the rules around it may change, and its place with them.
            let rule = Rule { description: Some(place.to_string()), ..shape.rule() };
            detector.set_rules(set_around(rule, place));
            detector.apply(scanned_for(place, batch), at(1_000_000));
            if taken {
                changes.extend(detector.take_changes());
            }
        }
        detector.finish(at(120));
        changes.extend(detector.take_changes());
        prop_assert_eq!(printed(&changes.findings()), printed(&whole));

        // And what is on disk is what it holds.
        let mut again = restarted(&settings, &set([shape.rule()]), &changes);
        detector.set_rules(set([shape.rule()]));
        for detector in [&mut again, &mut detector] {
            detector.take_changes();
            detector.apply(scanned(&[hit(121, 0, 7), hit(121, 1, 7)]), at(1_000_000));
            detector.finish(at(300));
        }
        let found = printed(&again.take_changes().findings());
        prop_assert_eq!(found, printed(&detector.take_changes().findings()));
    }

    #[test]
    fn a_restart_after_every_batch_changes_nothing(shape in shapes(), entries in logs(), late_by in 0u64..12) {
        let rules = set([shape.rule()]);
        let settings = Settings { late_by: seconds(late_by), ..Settings::replay(origin()) };
        let mut entries = entries;
        entries.sort();
        let batches: Vec<Vec<Entry>> = entries.chunk_by(|a, b| a.at == b.at).map(<[Entry]>::to_vec).collect();
        let whole = run(settings.clone(), &rules, &batches, 120);

        let mut disk = Changes::default();
        for batch in &batches {
            let mut detector = restarted(&settings, &rules, &disk);
            detector.apply(scanned(batch), at(1_000_000));
            disk.extend(detector.take_changes());
        }
        let mut detector = restarted(&settings, &rules, &disk);
        detector.finish(at(120));
        disk.extend(detector.take_changes());
        prop_assert_eq!(printed(&disk.findings()), printed(&whole));
    }
}

// SEMANTICS 2
#[test]
fn time_that_only_passes_is_stored_every_ten_seconds_with_what_is_decided_and_at_the_end() {
    let rules = set([rule("r", 2, 60, 600)]);
    let mut detector = detector(Settings::replay(origin()), &rules);
    let mut stored = |entry| {
        detector.apply(scanned(&[entry]), at(1_000_000));
        let changes = detector.take_changes();
        (!changes.state.is_empty(), !changes.keys.is_empty())
    };
    assert_eq!(stored(other(0, 1)), (true, false), "a tenant is new");
    assert_eq!(stored(other(9, 1)), (false, false));
    assert_eq!(stored(other(10, 1)), (true, false));
    assert_eq!(stored(hit(12, 1, 0)), (true, true));
    assert_eq!(stored(other(21, 1)), (false, false));
    assert_eq!(stored(other(21, 2)), (false, false), "time stands still");
    detector.save_clocks();
    assert_eq!(detector.take_changes().state.len(), 1);
    detector.save_clocks();
    assert!(detector.take_changes().is_empty());
}
