//! Rules of each class, hand-written lines, and the answers.

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::batch::{Entry, Labels, Span, Stream};
use crate::rules::{
    Comparison, Condition, Correlate, Decimal, Distinct, Exclude, FieldCondition, FieldTest, Item,
    Match, Matcher, Needs, Part, Pattern, Ratio, Recover, Selector, Sequence, Step, Test,
    Threshold,
};

const MINUTE: Duration = Duration::from_secs(60);

fn text(text: &str) -> Item {
    Item::Text {
        text: text.to_owned(),
        ignore_case: false,
    }
}

fn regex(source: &str) -> Item {
    Item::Regex(Pattern::compile(source, false).expect("valid"))
}

fn any(items: &[&str]) -> Match {
    Match {
        any: items.iter().map(|item| text(item)).collect(),
        ..Match::default()
    }
}

fn field(name: &str, accepts: FieldCondition) -> FieldTest {
    FieldTest {
        name: name.to_owned(),
        accepts: vec![accepts],
    }
}

fn at_least(count: u64, window: Duration) -> Threshold {
    Threshold {
        needs: Needs::AtLeast(NonZeroU64::new(count).expect("not zero")),
        window,
    }
}

/// One line a minute, of the stream `{namespace="shop"}` unless it begins with `NAMESPACE> `. `again ` repeats the line before.
fn explain_all<'r>(
    rules: &'r RuleSet,
    exclusions: &'r [Exclusion],
    lines: &[&str],
) -> (Vec<Report<'r>>, Explainer<'r>) {
    let (_, rule) = rules.find("r").expect("it is there");
    let mut explainer = Explainer::new(rules, rule, exclusions);
    let mut minute = 0;
    let mut reports = Vec::new();
    for line in lines {
        let (namespace, line) = line.split_once("> ").unwrap_or(("shop", line));
        let (line, untimed) = match line.strip_prefix("untimed ") {
            Some(line) => (line, true),
            None => (line, false),
        };
        let line = match line.strip_prefix("again ") {
            Some(line) => {
                minute -= 1;
                line
            }
            None => line,
        };
        let labels = Labels::new([("namespace".into(), namespace.into())]);
        let stream = Stream::new("".into(), labels);
        let at = Timestamp::new(minute * 60_000_000_000);
        let entry = Entry {
            at,
            line: Span::default(),
            metadata: Span::default(),
        };
        let id = entry.id(&stream, line.as_bytes());
        let line = Line::new(&stream, line.as_bytes());
        reports.push(explainer.line(&line, id, (!untimed).then_some(at)));
        minute += 1;
    }
    (reports, explainer)
}

fn set(rules: impl IntoIterator<Item = Rule>) -> RuleSet {
    let mut rules: Vec<_> = rules.into_iter().map(Arc::new).collect();
    rules.sort_by(|a, b| a.id.cmp(&b.id));
    RuleSet {
        rules,
        ..RuleSet::default()
    }
}

/// The answer after `lines`.
#[track_caller]
fn check(rule: Rule, lines: &[&str], expected: &[&str]) {
    let rules = set([rule]);
    let (_, explainer) = explain_all(&rules, &[], lines);
    assert_eq!(explainer.finish().answer(), expected);
}

fn rule(matches: Match) -> Rule {
    Rule {
        condition: Condition::Count(at_least(3, 10 * MINUTE)),
        ..Rule::new("r", matches)
    }
}

#[test]
fn streams_that_are_not_selected_are_the_answer_where_their_lines_match() {
    let selected = |rule: Rule| Rule {
        selector: Selector(vec![Matcher {
            name: "namespace".to_owned(),
            test: Test::Equal("image-factory".to_owned()),
        }]),
        ..rule
    };
    check(
        selected(rule(any(&["refused"]))),
        &["refused", "refused", "blog> refused", "> refused", "other"],
        &[
            "5 lines, 0 of streams that the rule reads: 0 matches",
            "4 lines would match, but the selector wants namespace=\"image-factory\": \
             namespace is `shop` (2), namespace is `blog` (1), namespace is missing (1)",
            "no line is of a stream that the rule reads: \
             namespace is `shop` (3), namespace is `blog` (1), namespace is missing (1)",
            "no finding",
        ],
    );
    check(
        selected(rule(any(&["refused"]))),
        &["refused", "refused", "image-factory> other"],
        &[
            "3 lines, 1 of streams that the rule reads: 0 matches",
            "2 lines would match, but the selector wants namespace=\"image-factory\": namespace is `shop`",
            "no finding",
        ],
    );
    let mut unless = rule(any(&["refused"]));
    unless.unless = Some(Selector(vec![Matcher {
        name: "namespace".to_owned(),
        test: Test::Equal("shop".to_owned()),
    }]));
    check(
        unless,
        &["refused", "blog> x"],
        &[
            "2 lines, 1 of streams that the rule reads: 0 matches",
            "1 line would match, but `unless` leaves out the stream: namespace=\"shop\"",
            "no finding",
        ],
    );
    let rules = set([rule(any(&["refused"]))]);
    let exclusions = [Exclusion::parse("namespace=shop").expect("a selector")];
    let (_, explainer) = explain_all(&rules, &exclusions, &["refused", "blog> x"]);
    assert_eq!(
        explainer.finish().answer()[1],
        "1 line would match, but `exclude` leaves it out for all rules: namespace=\"shop\""
    );
}

#[test]
fn each_way_to_come_near_has_its_reason_and_the_nearest_is_told_first() {
    let matches = Match {
        all: vec![text("Refused")],
        none: vec![
            Exclude::Item(regex("retry \\w+")),
            Exclude::Rule("other".to_owned()),
        ],
        fields: vec![field(
            "status",
            FieldCondition::Compare(Comparison::AtLeast, 500.0),
        )],
        ..any(&["dial \"tcp\"", "lookup"])
    };
    let rules = set([rule(matches), Rule::new("other", any(&["theirs"]))]);
    let lines = [
        "status=503 Refused lookup retry ok",
        "status=503 Refused lookup theirs",
        "status=200 Refused lookup",
        "status=404 Refused lookup",
        "Refused lookup",
        "status=503 refused lookup",
        "status=503 Refused dial \\\"tcp\\\"",
        "Refused",
        "lookup",
        "nothing",
        "status=503 Refused lookup",
    ];
    let (reports, explainer) = explain_all(&rules, &[], &lines);
    assert_eq!(
        explainer.finish().answer(),
        [
            "11 lines, 11 of streams that the rule reads: 1 match",
            "1 line would match, but `none` leaves it to the rule `other`",
            "1 line would match, but for /retry \\w+/ in `none`",
            "3 lines would match, but status >= 500 is wanted: status is `200` (1), status is `404` (1), status is missing (1)",
            "1 line where `Refused` stands in other letters: `ignore_case: true` would find it",
            "1 line where `dial \"tcp\"` stands with backslashes, as in JSON: write it as it stands there",
            "no finding; at best 1 of 3 in 10m, at 1970-01-01T00:10:00Z; missing: 2 more within 10m",
        ]
    );
    let telling: Vec<_> = reports.iter().map(|report| report.is_telling).collect();
    let expected = [
        true, true, true, true, true, true, true, true, true, false, true,
    ];
    assert_eq!(telling, expected);
    let reason = |n: usize| reports[n].miss.as_ref().map(|miss| miss.reason.as_str());
    assert_eq!(
        reason(7),
        Some("with `Refused`, but without any item of `any`")
    );
    assert_eq!(
        reason(8),
        Some("with `lookup`, but without `Refused` of `all`")
    );
    assert_eq!(reason(9), None);
}

#[test]
fn of_lines_that_fail_alike_three_are_shown_and_a_field_alone_shows_none() {
    let matches = Match {
        none: vec![Exclude::Item(text("retry"))],
        ..any(&["refused"])
    };
    let rules = set([rule(matches)]);
    let (reports, _) = explain_all(&rules, &[], &["refused, retry"; 5]);
    let telling: Vec<_> = reports.iter().map(|report| report.is_telling).collect();
    assert_eq!(telling, [true, true, true, false, false]);

    let server_error = field(
        "status",
        FieldCondition::Compare(Comparison::AtLeast, 500.0),
    );
    let rules = set([rule(Match {
        fields: vec![server_error],
        ..Match::default()
    })]);
    let (reports, explainer) = explain_all(&rules, &[], &["status=200", "other"]);
    assert!(reports.iter().all(|report| !report.is_telling));
    assert_eq!(
        explainer.finish().answer()[1],
        "1 line would match, but status >= 500 is wanted: status is `200`"
    );
}

#[test]
fn a_window_that_is_too_short_and_a_key_that_splits_are_named() {
    let mut by = rule(Match {
        any: vec![regex(r"refused by (?P<pod>\w+)")],
        ..Match::default()
    });
    by.by = vec!["pod".to_owned()];
    check(
        by.clone(),
        &[
            "refused by a",
            "refused by b",
            "refused by a",
            "again refused by a",
            "x",
            "refused by c",
        ],
        &[
            "6 lines, 6 of streams that the rule reads: 4 matches, 1 not counted, the same entries again",
            "no finding; at best 2 of 3 in 10m, at 1970-01-01T00:02:00Z for pod=a; missing: 1 more within 10m",
            "`by: [pod]` splits the matches into 3 keys, together they have 3 of 3 in 10m",
        ],
    );
    by.by.clear();
    by.condition = Condition::Count(at_least(3, 2 * MINUTE));
    check(
        by,
        &[
            "refused by a",
            "refused by b",
            "refused by a",
            "untimed refused by a",
        ],
        &[
            "4 lines, 4 of streams that the rule reads: 3 matches, 1 not counted for want of a time",
            "no finding; at best 2 of 3 in 2m, at 1970-01-01T00:01:00Z; missing: 1 more within 2m",
            "3 of one key lie 2m apart where they are closest, the window is 2m",
        ],
    );
}

#[test]
fn a_condition_that_held_but_not_for_long_enough_says_so_and_a_finding_ends_all_doubt() {
    let mut held = rule(any(&["refused"]));
    held.hold = 5 * MINUTE;
    let lines = ["refused", "refused", "refused"];
    check(
        held.clone(),
        &lines,
        &[
            "3 lines, 3 of streams that the rule reads: 3 matches",
            "no finding; at best 3 of 3 in 10m, at 1970-01-01T00:02:00Z; missing: that it lasts for 5m (`for`)",
        ],
    );
    let rules = set([held]);
    let (_, mut explainer) = explain_all(&rules, &[], &lines);
    for (id, rule) in [("1", "r"), ("1", "r"), ("2", "r"), ("3", "other")] {
        explainer.finding(id, rule, "test");
    }
    assert_eq!(explainer.finish().answer()[1], "2 findings");
}

#[test]
fn a_recovery_is_told_and_empties_the_window() {
    let mut rule = rule(any(&["refused"]));
    rule.recover = Recover::Match {
        after: None,
        when: Box::new(any(&["accepted"])),
    };
    let rules = set([rule]);
    let (reports, explainer) =
        explain_all(&rules, &[], &["refused", "refused", "accepted", "refused"]);
    let outcomes: Vec<_> = reports
        .iter()
        .map(|report| match &report.outcome {
            Outcome::Match(Some(standing)) => standing.to_string(),
            outcome => format!("{outcome:?}"),
        })
        .collect();
    assert_eq!(
        outcomes,
        [
            "1 of 3 in 10m",
            "2 of 3 in 10m",
            "Recovery",
            "1 of 3 in 10m"
        ]
    );
    assert_eq!(
        explainer.finish().answer()[0],
        "4 lines, 4 of streams that the rule reads: 3 matches, 1 for recovery"
    );
}

#[test]
fn a_ratio_s_denominators_are_counted_and_their_misses_told() {
    let ratio = Condition::Ratio(Ratio {
        comparison: Comparison::Above,
        percent: Decimal {
            millionths: 50 * Decimal::ONE,
        },
        window: 10 * MINUTE,
        total: Some(Box::new(any(&["status="]))),
        min_count: 2,
    });
    let rule = Rule {
        condition: ratio,
        ..rule(any(&["status=5", "PANIC"]))
    };
    check(
        rule,
        &["status=200", "status=503", "panic, status=0", "x"],
        &[
            "4 lines, 4 of streams that the rule reads: 1 match, 2 only in the denominator",
            "1 line where `PANIC` stands in other letters: `ignore_case: true` would find it",
            "no finding; at best 1 of 2 in 10m are 50.00%, > 50% is wanted, at 1970-01-01T00:01:00Z; missing: a share > 50%",
        ],
    );
}

#[test]
fn a_sequence_s_steps_are_named_where_one_does_not_come() {
    let step = |matches| Step {
        matches,
        count: NonZeroU32::MIN,
    };
    let mut failed = any(&["failed"]);
    failed.none = vec![Exclude::Item(text("retry"))];
    let accepted = Match {
        all: vec![text("Accepted"), text("for")],
        ..Match::default()
    };
    let rule = Rule {
        condition: Condition::Sequence(Sequence {
            within: 5 * MINUTE,
            steps: vec![step(failed), step(accepted)],
            absent: None,
        }),
        ..Rule::new("r", Match::default())
    };
    check(
        rule,
        &["failed", "Accepted", "failed, retry", "x"],
        &[
            "4 lines, 4 of streams that the rule reads: 1 match",
            "1 line would match, but for `retry` in `none`, for step 1",
            "1 line with `Accepted`, but without `for` of `all`, for step 2",
            "no finding; at best 1 of 2 steps within 5m, at 1970-01-01T00:00:00Z; missing: 1 of step 2, within 5m of the first",
        ],
    );
}

#[test]
fn distinct_values_are_shown_with_what_a_line_lacks() {
    let rule = Rule {
        condition: Condition::Distinct(Distinct {
            name: "user".to_owned(),
            value: 0,
            threshold: at_least(2, MINUTE),
        }),
        values: vec!["user".to_owned()],
        ..rule(any(&["failed"]))
    };
    let rules = set([rule]);
    let (reports, _) = explain_all(&rules, &[], &["user=bob failed", "failed"]);
    let values: Vec<_> = reports
        .iter()
        .map(|report| report.explained.values[0].1.as_deref())
        .collect();
    assert_eq!(values, [Some("bob"), None]);
}

#[test]
fn a_rule_on_findings_is_answered_with_those_that_were_there() {
    let part = |id: &str| Part::Rule(id.to_owned());
    let rule = Rule {
        condition: Condition::Correlate(Correlate {
            within: MINUTE,
            all: vec![part("a"), part("b")],
            any: vec![Part::IncidentType("disk_full".to_owned())],
            none: vec![part("a")],
            at_least: 1,
            hides: false,
        }),
        ..Rule::new("r", Match::default())
    };
    let rules = set([rule]);
    let (reports, mut explainer) = explain_all(&rules, &[], &["x"]);
    assert!(!reports[0].is_telling);
    explainer.finding("1", "a", "test");
    explainer.finding("2", "c", "disk_full");
    explainer.finding("3", "d", "disk_full");
    assert_eq!(
        explainer.finish().answer(),
        [
            "it reads no lines, but findings of other rules; explain those that should have been there",
            "a: 1 finding",
            "b: 0 findings",
            "disk_full: 2 findings",
            "no finding",
        ]
    );
}
