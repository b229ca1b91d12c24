use std::num::{NonZeroU32, NonZeroU64};

use super::*;
use crate::rules::{Correlate, Distinct, Match};

fn at(second: i64) -> Timestamp {
    Timestamp::new(second * 1_000_000_000)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at_least(count: u64, window: u64) -> Threshold {
    Threshold {
        needs: Needs::AtLeast(NonZeroU64::new(count).expect("not zero")),
        window: seconds(window),
    }
}

fn decimal(millionths: u64) -> Decimal {
    Decimal { millionths }
}

/// What is said after each entry: its second, the parts that it fulfils as bits, its value; all under one key.
#[track_caller]
fn check(condition: Condition, entries: &[(i64, u32, &str)], expected: &[&str]) {
    let rule = Rule {
        condition,
        ..Rule::new("r", Match::default())
    };
    let mut tracker = Tracker::new(&rule);
    tracker.read(at(0));
    let mut told = |&(second, parts, value): &(i64, u32, &str)| {
        let value = Some(Box::<str>::from(value)).filter(|value| !value.is_empty());
        let standing = tracker.count(Key::default(), at(second), Parts(parts), &[value]);
        let Some(standing) = standing else {
            return "-".to_owned();
        };
        assert_eq!(standing.holds(), standing.missing().is_none(), "{standing}");
        let holds = if standing.holds() { " !" } else { "" };
        let missing = standing.missing();
        let missing = missing.map_or_else(String::new, |missing| format!(" ({missing})"));
        format!("{standing}{missing}{holds}")
    };
    let told: Vec<_> = entries.iter().map(&mut told).collect();
    assert_eq!(told, expected);
}

#[test]
fn a_count_is_of_the_window_without_its_beginning() {
    check(
        Condition::Count(at_least(3, 10)),
        &[
            (0, 1, ""),
            (9, 1, ""),
            (10, 1, ""),
            (18, 1, ""),
            (40, 1, ""),
        ],
        &[
            "1 of 3 in 10s (2 more within 10s)",
            "2 of 3 in 10s (1 more within 10s)",
            "2 of 3 in 10s (1 more within 10s)",
            "3 of 3 in 10s !",
            "1 of 3 in 10s (2 more within 10s)",
        ],
    );
    check(
        Condition::Count(Threshold::EVERY),
        &[(0, 1, "")],
        &["every match is enough !"],
    );
    let at_most = Threshold {
        needs: Needs::AtMost(1),
        window: seconds(10),
    };
    check(
        Condition::Count(at_most),
        &[(0, 1, "")],
        &["1 in 10s, <= 1 is wanted (a whole 10s with at most 1)"],
    );
}

#[test]
fn distinct_counts_values_and_leaves_out_those_that_are_missing() {
    let distinct = Distinct {
        name: "pod".to_owned(),
        value: 0,
        threshold: at_least(2, 10),
    };
    check(
        Condition::Distinct(distinct),
        &[
            (0, 1, "a"),
            (1, 1, "a"),
            (2, 1, ""),
            (9, 1, "b"),
            (11, 1, "b"),
        ],
        &[
            "1 of 2 distinct pod in 10s (1 more different values of `pod` within 10s)",
            "1 of 2 distinct pod in 10s (1 more different values of `pod` within 10s)",
            "1 of 2 distinct pod in 10s (1 more different values of `pod` within 10s)",
            "2 of 2 distinct pod in 10s !",
            "1 of 2 distinct pod in 10s (1 more different values of `pod` within 10s)",
        ],
    );
}

#[test]
fn a_ratio_is_exact_and_waits_for_its_denominator() {
    let ratio = |comparison| {
        Condition::Ratio(Ratio {
            comparison,
            percent: decimal(50 * Decimal::ONE),
            window: seconds(10),
            total: None,
            min_count: 3,
        })
    };
    check(
        ratio(Comparison::Above),
        &[(0, 3, ""), (1, 3, ""), (2, 2, ""), (3, 2, ""), (10, 3, "")],
        &[
            "1 of 1 in 10s are 100.00%, > 50% is wanted (2 more: there is no verdict below `min_count`)",
            "2 of 2 in 10s are 100.00%, > 50% is wanted (1 more: there is no verdict below `min_count`)",
            "2 of 3 in 10s are 66.67%, > 50% is wanted !",
            "2 of 4 in 10s are 50.00%, > 50% is wanted (a share > 50%)",
            "2 of 4 in 10s are 50.00%, > 50% is wanted (a share > 50%)",
        ],
    );
    check(
        ratio(Comparison::AtLeast),
        &[(0, 3, ""), (1, 1, ""), (2, 2, ""), (3, 2, "")],
        &[
            "1 of 1 in 10s are 100.00%, >= 50% is wanted (2 more: there is no verdict below `min_count`)",
            "2 of 2 in 10s are 100.00%, >= 50% is wanted (1 more: there is no verdict below `min_count`)",
            "2 of 3 in 10s are 66.67%, >= 50% is wanted !",
            "2 of 4 in 10s are 50.00%, >= 50% is wanted !",
        ],
    );
}

// SEMANTICS 13
#[test]
fn a_spike_waits_for_its_past_and_compares_with_that_scaled_to_the_window() {
    let spike = Spike {
        comparison: Comparison::AtLeast,
        factor: decimal(3 * Decimal::ONE),
        window: seconds(10),
        past: seconds(20),
        min_count: 2,
    };
    // At 30 the past is (0, 20], the window (20, 30]: two entries in the past are one in ten seconds.
    check(
        Condition::Spike(spike),
        &[
            (1, 1, ""),
            (20, 1, ""),
            (21, 1, ""),
            (22, 1, ""),
            (29, 1, ""),
            (30, 1, ""),
            (60, 1, ""),
            (61, 1, ""),
        ],
        &[
            "1 in 10s, 0.0 in as long of the 20s before, >= 3x is wanted (1 more: there is no verdict below `min_count`)",
            "1 in 10s, 0.5 in as long of the 20s before, >= 3x is wanted (1 more: there is no verdict below `min_count`)",
            "2 in 10s, 0.5 in as long of the 20s before, >= 3x is wanted (a past of 20s, which is known in full from 1970-01-01T00:00:30Z)",
            "3 in 10s, 0.5 in as long of the 20s before, >= 3x is wanted (a past of 20s, which is known in full from 1970-01-01T00:00:30Z)",
            "4 in 10s, 0.5 in as long of the 20s before, >= 3x is wanted (a past of 20s, which is known in full from 1970-01-01T00:00:30Z)",
            "4 in 10s, 1.0 in as long of the 20s before, >= 3x is wanted !",
            "1 in 10s, 0.0 in as long of the 20s before, >= 3x is wanted (1 more: there is no verdict below `min_count`)",
            "2 in 10s, 0.0 in as long of the 20s before, >= 3x is wanted !",
        ],
    );
}

fn sequence(counts: &[u32], absent: bool) -> Condition {
    let steps = counts.iter().map(|count| Step {
        matches: Match::default(),
        count: NonZeroU32::new(*count).expect("not zero"),
    });
    Condition::Sequence(Sequence {
        within: seconds(10),
        steps: steps.collect(),
        absent: absent.then(Box::default),
    })
}

// SEMANTICS 28
#[test]
fn a_sequence_counts_steps_in_order_and_completion_forgets_everything() {
    check(
        sequence(&[2, 1], false),
        &[
            (0, 2, ""),
            (1, 1, ""),
            (2, 1, ""),
            (3, 2, ""),
            (4, 2, ""),
            (5, 3, ""),
            (5, 3, ""),
            (5, 3, ""),
            (20, 1, ""),
            (30, 1, ""),
        ],
        &[
            "0 of 2 steps within 10s (2 of step 1, within 10s of the first)",
            "0 of 2 steps within 10s, 1 of 2 of step 1 (1 of step 1, within 10s of the first)",
            "1 of 2 steps within 10s (1 of step 2, within 10s of the first)",
            "2 of 2 steps within 10s !",
            "0 of 2 steps within 10s (2 of step 1, within 10s of the first)",
            "0 of 2 steps within 10s, 1 of 2 of step 1 (1 of step 1, within 10s of the first)",
            "1 of 2 steps within 10s (1 of step 2, within 10s of the first)",
            "2 of 2 steps within 10s !",
            "0 of 2 steps within 10s, 1 of 2 of step 1 (1 of step 1, within 10s of the first)",
            "0 of 2 steps within 10s, 1 of 2 of step 1 (1 of step 1, within 10s of the first)",
        ],
    );
    check(
        sequence(&[1], true),
        &[(0, 1, ""), (5, 2, "")],
        &[
            "1 of 1 steps within 10s (that the last step does not come within 10s of the first)",
            "0 of 1 steps within 10s (1 of step 1, within 10s of the first)",
        ],
    );
}

#[test]
fn absence_learning_and_what_only_the_detector_knows_are_named() {
    let absent = Absent {
        span: seconds(60),
        expect: Vec::new(),
        forget: None,
    };
    check(
        Condition::Absent(absent),
        &[(0, 1, "")],
        &["it came; it may stay away for 1m (nothing until 1970-01-01T00:01:00Z)"],
    );
    check(
        Condition::NewValue { learn: seconds(10) },
        &[
            (0, 1, "a"),
            (9, 1, "b"),
            (10, 1, "b"),
            (11, 1, "c"),
            (12, 1, "c"),
            (13, 1, ""),
        ],
        &[
            "learned (the end of learning at 1970-01-01T00:00:10Z)",
            "learned (the end of learning at 1970-01-01T00:00:10Z)",
            "a known value (a value that was not there before)",
            "a new value !",
            "a known value (a value that was not there before)",
            "no value (a value)",
        ],
    );
    let pattern = Condition::NewPattern {
        learn: seconds(10),
        threshold: Threshold::EVERY,
    };
    check(
        pattern,
        &[(0, 1, ""), (10, 1, "")],
        &["learned (the end of learning at 1970-01-01T00:00:10Z)", "-"],
    );
    let correlate = Correlate {
        within: seconds(10),
        all: Vec::new(),
        any: Vec::new(),
        none: Vec::new(),
        at_least: 0,
        hides: false,
    };
    check(Condition::Correlate(correlate), &[(0, 1, "")], &["-"]);
}

// SEMANTICS 20
#[test]
fn a_recovery_empties_the_windows_that_it_names_and_an_empty_value_names_all() {
    let rule = Rule {
        condition: Condition::Count(at_least(9, 60)),
        by: vec!["a".to_owned(), "b".to_owned()],
        ..Rule::new("r", Match::default())
    };
    let mut tracker = Tracker::new(&rule);
    let count = |tracker: &mut Tracker<'_>, a: &str, b: &str| {
        let standing = tracker.count([a, b].into(), at(1), Parts::MATCH, &[]);
        standing.expect("counts are told").to_string()
    };
    for (a, b) in [("x", "1"), ("x", "2"), ("y", "1")] {
        assert_eq!(count(&mut tracker, a, b), "1 of 9 in 1m");
    }
    tracker.recover(&["x", ""].into());
    let after = [("x", "1"), ("x", "2"), ("y", "1")].map(|(a, b)| count(&mut tracker, a, b));
    assert_eq!(after, ["1 of 9 in 1m", "1 of 9 in 1m", "2 of 9 in 1m"]);
    tracker.recover(&Key::default());
    assert_eq!(count(&mut tracker, "y", "1"), "1 of 9 in 1m");
    assert_eq!(tracker.keys(), 3);
}

#[test]
fn the_shortest_time_for_as_many_as_are_wanted_is_kept_whatever_the_window() {
    let rule = Rule {
        condition: Condition::Count(at_least(3, 10)),
        ..Rule::new("r", Match::default())
    };
    let mut tracker = Tracker::new(&rule);
    for (second, expected) in [
        (0, None),
        (20, None),
        (40, Some(40)),
        (45, Some(25)),
        (90, Some(25)),
    ] {
        tracker.count(Key::default(), at(second), Parts::MATCH, &[]);
        assert_eq!(tracker.tightest(), expected.map(seconds), "at {second}");
    }
}
