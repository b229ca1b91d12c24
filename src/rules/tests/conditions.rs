//! Every kind of rule as it is read: what is written, what is left out, and what is meant by it.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use super::{errors, rule};
use crate::rules::*;

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

fn at_least(count: u64, window: Duration) -> Threshold {
    Threshold {
        needs: Needs::AtLeast(NonZeroU64::new(count).expect("positive")),
        window,
    }
}

fn texts(matches: &Match) -> Vec<&str> {
    let items = matches.any.iter().chain(&matches.all);
    items
        .map(|item| match item {
            Item::Text { text, .. } => text.as_str(),
            Item::Regex(pattern) => &pattern.source,
        })
        .collect()
}

#[test]
fn different_values_are_counted_by_a_name_that_hits_carry() {
    let rule = rule("match: login failed\n  threshold: 20 distinct user.name in 5m\n  by: [ip]");
    let Condition::Distinct(distinct) = &rule.condition else {
        panic!("{:?}", rule.condition)
    };
    assert_eq!((&*distinct.name, distinct.value), ("user.name", 0));
    assert_eq!(distinct.threshold, at_least(20, minutes(5)));
    assert_eq!(rule.values, ["user.name"]);
    assert_eq!(rule.condition.to_string(), "20 distinct user.name in 5m");
}

#[test]
fn a_share_has_a_total_and_a_least_count() {
    let rule = rule(
        "match: {fields: {status: '>= 500'}}\n  total: [GET, POST]\n  min_count: 50\n  threshold: '> 0.5% in 5m'\n  for: 2m\n  by: app",
    );
    let Condition::Ratio(ratio) = &rule.condition else {
        panic!("{:?}", rule.condition)
    };
    assert_eq!(ratio.comparison, Comparison::Above);
    assert_eq!(
        ratio.percent,
        Decimal {
            millionths: 500_000
        }
    );
    assert_eq!((ratio.window, ratio.min_count), (minutes(5), 50));
    let total = ratio.total.as_deref().expect("given");
    assert_eq!(texts(total), ["GET", "POST"]);
    assert_eq!(rule.hold, minutes(2));
    assert_eq!(rule.condition.to_string(), "> 0.5% in 5m");
}

#[test]
fn a_share_is_of_every_line_and_of_twenty_or_more_unless_the_rule_says_otherwise() {
    let rule = rule("match: failed\n  threshold: 5% in 5m");
    let Condition::Ratio(ratio) = &rule.condition else {
        panic!("{:?}", rule.condition)
    };
    assert!(ratio.total.is_none());
    assert_eq!(ratio.min_count, 20);
    assert_eq!(ratio.comparison, Comparison::AtLeast);
}

#[test]
fn a_spike_compares_with_a_past() {
    let rule = rule("match: failed\n  threshold: 4x in 5m vs 2h\n  min_count: 7");
    let Condition::Spike(spike) = &rule.condition else {
        panic!("{:?}", rule.condition)
    };
    assert_eq!(
        *spike,
        Spike {
            comparison: Comparison::AtLeast,
            factor: Decimal {
                millionths: 4_000_000
            },
            window: minutes(5),
            past: minutes(120),
            min_count: 7,
        }
    );
    assert_eq!(rule.condition.to_string(), "4x in 5m vs 2h");
}

#[test]
fn absence_needs_a_time_and_no_match() {
    let rule = rule("selector: app=backup\n  absent: 26h");
    let Condition::Absent(absent) = &rule.condition else {
        panic!("{:?}", rule.condition)
    };
    assert_eq!((absent.span, absent.forget), (minutes(26 * 60), None));
    assert!(absent.expect.is_empty());
    // Every line of the selector is a match.
    assert!(rule.matches.any.is_empty() && rule.matches.all.is_empty());
    assert!(matches!(rule.recover, Recover::Condition));
}

#[test]
fn absence_may_name_keys_in_the_order_of_by() {
    let rule = rule(
        "match: backup finished\n  absent: {for: 15m, forget: 1d, expect: [{job: db, cluster: a}, {cluster: b, job: 7}]}\n  by: [cluster, job]",
    );
    let Condition::Absent(absent) = &rule.condition else {
        panic!("{:?}", rule.condition)
    };
    let keys: Vec<Vec<&str>> = absent
        .expect
        .iter()
        .map(|key| key.iter().collect())
        .collect();
    assert_eq!(keys, [["a", "db"], ["b", "7"]]);
    assert_eq!(absent.forget, Some(minutes(24 * 60)));
}

#[test]
fn steps_come_in_order_each_as_often_as_it_says() {
    let rule = rule(
        r"sequence: {within: 5m, steps: [{match: {re: 'Failed for (?P<user>\S+)'}, count: 5}, {match: {re: 'Accepted for (?P<user>\S+)'}}]}
  by: [user]
  summary: '{user} after {count}'",
    );
    let Condition::Sequence(sequence) = &rule.condition else {
        panic!("{:?}", rule.condition)
    };
    let steps: Vec<_> = sequence
        .steps
        .iter()
        .map(|step| (texts(&step.matches), step.count))
        .collect();
    let count = |count| NonZeroU32::new(count).expect("positive");
    assert_eq!(
        steps,
        [
            (vec![r"Failed for (?P<user>\S+)"], count(5)),
            (vec![r"Accepted for (?P<user>\S+)"], count(1)),
        ]
    );
    assert_eq!(sequence.within, minutes(5));
    assert!(sequence.absent.is_none());
    assert_eq!(rule.recover.quiet(), Some(minutes(5)));
    assert_eq!(rule.parts().len(), 2);
}

#[test]
fn a_last_step_may_be_one_that_must_not_come() {
    let steps = "sequence: {within: 15m, steps: [{match: started}, {match: finished, absent: true}]}\n  ignore_case: true";
    let waiting = rule(steps);
    let Condition::Sequence(sequence) = &waiting.condition else {
        panic!("{:?}", waiting.condition)
    };
    assert_eq!(sequence.steps.len(), 1);
    let absent = sequence.absent.as_deref().expect("given");
    assert!(matches!(
        &absent.any[..],
        [Item::Text {
            ignore_case: true,
            ..
        }]
    ));
    assert!(matches!(waiting.recover, Recover::Condition));
    // An explicit `recover` is used.
    let explicit = rule(&format!("{steps}\n  recover: 1h"));
    assert_eq!(explicit.recover.quiet(), Some(minutes(60)));
}

#[test]
fn a_correlate_names_rules_before_incident_types() {
    let set = super::set(
        "rules:
- {id: a, match: a text of a, incident_type: error_spike}
- {id: error_spike, match: another text, incident_type: workload_failure}
- id: x
  correlate: {within: 10m, all: [a, error_spike], any: [workload_failure, detector_impaired], at_least: 2, none: [login_failure_spike], hides: true}
  by: [namespace]
  incident_type: certificate_mismatch
",
    );
    let (_, rule) = set.find("x").expect("it is there");
    let Condition::Correlate(correlate) = &rule.condition else {
        panic!("{:?}", rule.condition)
    };
    let id = |id: &str| Part::Rule(id.to_owned());
    let of_type = |name: &str| Part::IncidentType(name.to_owned());
    assert_eq!(
        *correlate,
        Correlate {
            within: minutes(10),
            all: vec![id("a"), id("error_spike")],
            any: vec![of_type("workload_failure"), of_type("detector_impaired")],
            none: vec![of_type("login_failure_spike")],
            at_least: 2,
            hides: true,
        }
    );
    assert!(matches!(rule.recover, Recover::Condition));
    assert!(rule.parts().is_empty());
}

#[test]
fn one_of_any_is_enough_and_nothing_is_hidden_unless_the_rule_says_so() {
    let set = super::set(
        "rules:
- {id: a, match: a text of a, incident_type: error_spike}
- {id: x, correlate: {within: 10m, any: a}, incident_type: certificate_mismatch}
- {id: y, correlate: {within: 10m, all: [x]}, incident_type: account_compromise}
",
    );
    let correlate = |id: &str| match &set.find(id).expect("it is there").1.condition {
        Condition::Correlate(correlate) => correlate.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!((correlate("x").at_least, correlate("x").hides), (1, false));
    assert_eq!(correlate("y").at_least, 0);
}

#[test]
fn new_values_and_new_patterns_are_learned_for_a_day_unless_the_rule_says_otherwise() {
    let day = minutes(24 * 60);
    let value = rule(
        "match: pulled\n  new_value: {field: image}\n  by: namespace\n  summary: 'a new image {image}'",
    );
    assert!(matches!(value.condition, Condition::NewValue { learn } if learn == day));
    assert_eq!(value.values, ["image"]);
    let value = rule("match: pulled\n  new_value: {field: image, learn: 0}");
    assert!(matches!(value.condition, Condition::NewValue { learn } if learn.is_zero()));

    let pattern = rule("match: error\n  new_pattern: {}");
    let Condition::NewPattern { learn, threshold } = pattern.condition else {
        panic!("{:?}", pattern.condition)
    };
    assert_eq!((learn, threshold), (day, at_least(1, minutes(1))));
    let pattern = rule("match: error\n  new_pattern: {learn: 1h, threshold: 5 in 2m}");
    let Condition::NewPattern { learn, threshold } = pattern.condition else {
        panic!("{:?}", pattern.condition)
    };
    assert_eq!((learn, threshold), (minutes(60), at_least(5, minutes(2))));
}

#[test]
fn what_ends_a_finding_when_the_rule_does_not_say_follows_from_its_kind() {
    for (keys, quiet) in [
        ("match: a\n  threshold: 3 distinct pod in 10m", 10),
        ("match: a\n  threshold: '> 5% in 7m'", 7),
        ("match: a\n  threshold: 3x in 1m vs 1h", 5),
        ("match: a\n  new_value: {field: image}", 5),
        ("match: a\n  new_pattern: {threshold: 5 in 6m}", 6),
        (
            "sequence: {within: 20m, steps: [{match: a}, {match: b}]}",
            20,
        ),
    ] {
        assert_eq!(rule(keys).recover.quiet(), Some(minutes(quiet)), "{keys}");
    }
}

#[test]
fn a_default_that_does_not_fit_a_rule_is_not_for_it() {
    let set = super::set(
        "defaults: {threshold: '> 5% in 5m', total: {fields: {status: '>= 100'}}, min_count: 50, recover: 1h}
rules:
- {id: share, match: failed, incident_type: error_spike}
- {id: count, match: failed, threshold: 5 in 10m, incident_type: error_spike}
- {id: gone, absent: 15m, incident_type: background_job_missing}
",
    );
    let rule = |id: &str| set.find(id).expect("it is there").1;
    let condition = |id: &str| rule(id).condition.to_string();
    assert_eq!(condition("share"), "> 5% in 5m");
    assert_eq!(condition("count"), "5 in 10m");
    assert_eq!(condition("gone"), "nothing for 15m");
    assert!(matches!(rule("gone").recover, Recover::Condition));
    assert_eq!(rule("count").recover.quiet(), Some(minutes(60)));
}

/// A count needs a window, 0 only goes with `<=`, and durations are Prometheus's.
#[test]
fn semantics_14_thresholds_are_read_to_the_letter() {
    let rule = rule("match: a\n  threshold: '<= 0 in 1h30m'");
    assert_eq!(rule.condition.to_string(), "<= 0 in 1h30m");
    for wrong in ["5", "0 in 5m", "'< 0 in 5m'", "5 in 5 minutes"] {
        assert!(!errors(&format!("match: a\n  threshold: {wrong}")).is_empty());
    }
}

/// `for` without a windowed condition says so.
#[test]
fn semantics_10_for_needs_a_condition_with_a_window() {
    for keys in [
        "match: a",
        "absent: 15m",
        "match: a\n  new_value: {field: image}",
        "match: a\n  new_pattern: {threshold: 5 in 1m}",
        "sequence: {within: 5m, steps: [{match: a}, {match: b}]}",
        "correlate: {within: 5m, all: [error_spike]}",
    ] {
        let errors = errors(&format!("{keys}\n  for: 2m"));
        assert!(
            errors
                .iter()
                .any(|error| error.contains("`for` needs a `threshold`")),
            "{keys}: {errors:?}"
        );
    }
    for keys in [
        "5 in 10m",
        "1 in 5m",
        "3 distinct pod in 10m",
        "5% in 5m",
        "3x in 5m vs 1h",
    ] {
        let rule = rule(&format!("match: a\n  threshold: {keys}\n  for: 2m"));
        assert_eq!(rule.hold, minutes(2));
    }
}

/// With `%`, `by` must be labels or fields.
#[test]
fn semantics_12_a_share_is_not_kept_by_captures() {
    let errors = errors(
        r"match: {re: 'user (?P<user>\S+) failed'}
  threshold: '> 5% in 5m'
  by: [app, user]",
    );
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("`user` is a capture"), "{errors:?}");
}

#[test]
fn a_rule_is_of_one_kind() {
    for (keys, expected) in [
        (
            "match: a\n  absent: 5m\n  threshold: 5 in 10m",
            "`absent` and `threshold`",
        ),
        (
            "match: a\n  new_value: {field: b}\n  new_pattern: {}",
            "`new_value` and `new_pattern`",
        ),
        (
            "match: a\n  sequence: {within: 5m, steps: [{match: a}, {match: b}]}",
            "drop `match`",
        ),
        (
            "selector: a=b\n  correlate: {within: 5m, all: [error_spike]}",
            "drop `selector`",
        ),
        (
            "recover: 5m\n  correlate: {within: 5m, all: [error_spike]}",
            "drop `recover`",
        ),
        ("recover: 5m\n  absent: 5m", "drop `recover`"),
        ("match: a\n  threshold: 5 in 10m\n  total: b", "drop it"),
        (
            "match: a\n  threshold: 3x in 5m vs 1h\n  total: b",
            "drop it",
        ),
        ("match: a\n  min_count: 5", "drop it"),
    ] {
        let errors = errors(keys);
        assert!(
            errors.len() == 1 && errors[0].contains(expected),
            "{keys}: {errors:?}"
        );
    }
}
