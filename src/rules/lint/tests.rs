//! Each lint on what it is for, and silent just outside of it.

use expect_test::{Expect, expect};

use super::*;
use crate::rules::problem::SourceText;
use crate::rules::{LoadOptions, Problem, load};

fn problems(text: &str) -> Vec<Problem> {
    let source = SourceText {
        name: "rules.yaml".to_owned(),
        text: text.to_owned(),
    };
    load(&[source], &LoadOptions::default()).problems
}

/// The warnings of a file that must be valid, with the text that they point at.
#[track_caller]
fn check(text: &str, expected: Expect) {
    let mut shown = String::new();
    for problem in problems(text) {
        let at = text[problem.span.clone()]
            .lines()
            .next()
            .unwrap_or_default();
        let line = problem.line;
        shown += &format!("{line} {} `{at}`: {}\n", problem.code, problem.message);
    }
    expected.assert_eq(&shown);
}

/// A rule that no lint has anything to say about, with some more keys.
fn rule(keys: &str) -> String {
    format!(
        "rules:\n- id: refused\n  incident_type: workload_failure\n  catches: the login was refused\n{keys}\n"
    )
}

fn with_match(keys: &str) -> String {
    rule(&format!("  match: login was refused\n{keys}"))
}

/// The codes that a rule gets with `keys`.
#[track_caller]
fn codes(text: &str) -> Vec<String> {
    let problems = problems(text);
    problems
        .iter()
        .map(|problem| problem.code.to_string())
        .collect()
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_recovery_shorter_than_the_window_flaps() {
    check(
        &with_match("  threshold: 5 in 10m\n  recover: 9m59s"),
        expect![[r#"
            7 L013 `9m59s`: after 9m59s of quiet the window of 10m still counts what was before: the next match opens it again
        "#]],
    );
    check(
        &with_match("  threshold: 5 in 10m\n  recover: {after: 1m, match: welcome back}"),
        expect![[r#"
            7 L013 `{after: 1m, match: welcome back}`: after 1m of quiet the window of 10m still counts what was before: the next match opens it again
        "#]],
    );
    for keys in [
        "  threshold: 5 in 10m\n  recover: 10m",
        "  threshold: 5 in 10m\n  recover: 11m",
        "  threshold: 5 in 10m\n  recover: never",
        "  threshold: 5 in 10m\n  recover: {match: welcome back}",
        // Every match counts: five minutes are what is shown, and hold nothing open.
        "  recover: 1m",
        // It speaks of silence: the next line ends it.
        "  threshold: '<= 0 in 10m'\n  recover: 1m",
    ] {
        assert_eq!(codes(&with_match(keys)), NOTHING, "{keys}");
    }
}

#[test]
fn a_hold_longer_than_the_window_of_a_count_needs_matches_without_a_pause() {
    check(
        &with_match("  threshold: 5 in 10m\n  for: 10m1s"),
        expect![[r#"
            7 L014 `10m1s`: 5 in 10m would have to hold for 10m1s without a pause
        "#]],
    );
    for keys in [
        "  threshold: 5 in 10m\n  for: 10m",
        "  threshold: 5 in 10m\n  for: 2m",
        "  threshold: '<= 5 in 10m'\n  for: 20m",
    ] {
        assert_eq!(codes(&with_match(keys)), NOTHING, "{keys}");
    }
}

#[test]
fn a_cooldown_of_nothing_is_a_message_for_every_match() {
    check(
        &with_match("  cooldown: 0"),
        expect![[r#"
        6 L015 `0`: without a cooldown every match of an open finding is a message
    "#]],
    );
    for keys in ["  cooldown: 1s", "  cooldown: 0s\n  recover: never"] {
        assert_eq!(codes(&with_match(keys)), NOTHING, "{keys}");
    }
}

#[test]
fn a_capture_that_only_some_matches_bring_is_no_key() {
    check(
        &rule(
            "  match: [{re: 'login of (?P<account>\\S+) was refused'}, login was refused]
  by: [account]
  summary: '{account} cannot log in'",
        ),
        expect![[r#"
            6 L016 `account`: only some matches capture `account`: the others are all one key, with an empty value
        "#]],
    );
    check(
        &rule(
            "  match: {re: 'login( of (?P<account>\\S+))? was refused'}
  by: [account]",
        ),
        expect![[r#"
            6 L016 `account`: only some matches capture `account`: the others are all one key, with an empty value
        "#]],
    );
    check(
        &rule(
            "  match: {any: [login was refused, {re: 'login (?P<why>was)'}], fields: {level: warn}}
  ignore_case: true
  summary: 'because {why}, at {level}'",
        ),
        expect![[r#"
            7 L016 `'because {why}, at {level}'`: only some matches capture `why`: for the others the summary has a hole there
        "#]],
    );
    for keys in [
        "  match: [{re: 'of (?P<account>\\S+) is refused'}, {re: 'login (?P<account>was) refused'}]\n  by: [account]",
        "  match: {all: [{re: 'login (?P<account>was) refused'}], any: [login was, was refused]}\n  by: [account]",
        "  match: {re: 'login (?:(?P<account>was)|is|(?P<other>are)) refused'}\n  by: [namespace]",
        // It is a label too, and so has a value.
        "  selector: account!=\"\"\n  match: [{re: 'login (?P<account>was) refused'}, was refused again]\n  by: [account]",
    ] {
        assert_eq!(codes(&rule(keys)), NOTHING, "{keys}");
    }
}

#[test]
fn a_level_in_one_case_is_told_only_where_any_program_may_write_it() {
    check(
        &rule("  match: {all: login was refused, fields: {level: [error, fatal]}}"),
        expect![[r#"
            5 L012 `{all: login was refused, fields: {level: [error, fatal]}}`: programs that write `ERROR` are missed: `error` is compared letter by letter
        "#]],
    );
    check(
        &rule("  match: {all: login was refused, fields: {log.severity: ERROR}}"),
        expect![[r#"
            5 L012 `{all: login was refused, fields: {log.severity: ERROR}}`: programs that write `error` are missed: `ERROR` is compared letter by letter
        "#]],
    );
    for keys in [
        "  match: {all: login was refused, fields: {level: [error, ERROR]}}",
        "  match: {all: login was refused, fields: {level: error}}\n  ignore_case: true",
        "  match: {all: login was refused, fields: {level: {re: '(?i)^err'}}}",
        "  match: {all: login was refused, fields: {detected_level: error}}",
        "  match: {all: login was refused, fields: {level: '> 4'}}",
        "  match: {all: login was refused, fields: {state: error}}",
        "  match: {all: login was refused, fields: {level: high}}",
        "  match: {all: login was refused, fields: {level: error}}\n  selector: app=shop",
    ] {
        assert_eq!(codes(&rule(keys)), NOTHING, "{keys}");
    }
}

#[test]
fn what_can_never_be_fulfilled_is_told() {
    check(
        &rule("  match: {any: [login was refused, login is refused], none: refused}"),
        expect![[r#"
            5 L017 `login was refused`: no line can match: `none` holds `refused`, which is in every line with this
        "#]],
    );
    check(
        &rule("  match: {any: [login was refused, account is locked], none: [account]}"),
        expect![[r#"
            5 L017 `account is locked`: this never counts: `none` holds `account`, which is in every line with this
        "#]],
    );
    check(
        &rule("  match: {all: [login was refused, bad password], none: {re: 'log.n was'}}"),
        expect![[r#"
            5 L017 `login was refused`: no line can match: `none` holds `log.n was`, which is in every line with this
        "#]],
    );
    check(
        &with_match("  recover: {match: login was}"),
        expect![[r#"
        6 L017 `{match: login was}`: every match of the rule is a recovery too, so no finding opens
    "#]],
    );
    check(
        &with_match("  selector: {app: [shop, accounts]}\n  unless: app=~\"shop|acc.*\""),
        expect![[r#"
            7 L017 `app=~"shop|acc.*"`: this leaves out every stream that `selector` chooses
        "#]],
    );
    for keys in [
        "  match: {any: login was refused, none: Login}",
        "  match: {any: login was refused, none: {re: '^login'}}",
        "  match: {any: login was refused, none: login was refused again}",
        "  match: {any: {re: 'login was refused'}, none: login}",
        "  match: login was refused\n  recover: {match: login was accepted}",
        "  match: login was refused\n  recover: {match: {any: login was, fields: {state: ok}}}",
        "  match: login was refused\n  recover: {match: {all: [login was, accepted]}}",
        "  match: login was refused\n  selector: {app: [shop, accounts]}\n  unless: app=shop",
        "  match: login was refused\n  selector: app=shop\n  unless: app=shop, pod=a",
        "  match: login was refused\n  unless: app=shop",
    ] {
        assert_eq!(codes(&rule(keys)), NOTHING, "{keys}");
    }
    // In either case, where the rule says so.
    let either = rule("  match: {any: Login was refused, none: LOGIN}\n  ignore_case: true");
    assert_eq!(codes(&either), ["L017"]);
}

#[test]
fn texts_that_look_like_expressions_are_told_in_selectors_and_fields_too() {
    check(
        &with_match("  selector: namespace=shop, app=api.*\n  unless: {pod: 'a|b'}"),
        expect![[r#"
            6 L007 `namespace=shop, app=api.*`: `api.*` looks like an expression, and is compared letter by letter
            7 L007 `{pod: 'a|b'}`: `a|b` looks like an expression, and is compared letter by letter
        "#]],
    );
    check(
        &rule("  match: {all: login was refused, fields: {user: '^svc-', path: '/api/.*/x'}}"),
        expect![[r#"
            5 L007 `{all: login was refused, fields: {user: '^svc-', path: '/api/.*/x'}}`: `^svc-` looks like an expression, and is compared letter by letter
            5 L007 `{all: login was refused, fields: {user: '^svc-', path: '/api/.*/x'}}`: `/api/.*/x` looks like an expression, and is compared letter by letter
        "#]],
    );
    for keys in [
        "  match: login was refused\n  selector: app=~\"api.*\", pod=db-0.shop",
        "  match: {all: login was refused, fields: {user: {re: '^svc-'}, price: 5$}}",
    ] {
        assert_eq!(codes(&rule(keys)), NOTHING, "{keys}");
    }
}

#[test]
fn idle_ends_of_expressions_are_told() {
    check(
        &rule("  match: {any: {re: '.*login was refused'}, none: {re: 'dry run.*'}}"),
        expect![[r#"
            5 L018 `{any: {re: '.*login was refused'}, none: {re: 'dry run.*'}}`: `.*` at the end changes nothing: an expression is looked for anywhere in the line
            5 L018 `{re: '.*login was refused'}`: `.*` at the beginning changes nothing: an expression is looked for anywhere in the line
        "#]],
    );
}

#[test]
fn a_pod_of_one_rollout_is_told_and_one_of_a_set_is_not() {
    check(
        &with_match("  selector: namespace=shop, pod=accounts-api-6c9f7d8b5d-x2x4z"),
        expect![[r#"
            6 L020 `namespace=shop, pod=accounts-api-6c9f7d8b5d-x2x4z`: the pod `accounts-api-6c9f7d8b5d-x2x4z` has another name after the next rollout
        "#]],
    );
    for pod in [
        "db-0",
        "accounts-api",
        "web-abcde",
        "node-exporter-x2x4z",
        "a-monday-again",
    ] {
        let keys = format!("  selector: pod={pod}");
        assert_eq!(codes(&with_match(&keys)), NOTHING, "{pod}");
    }
}

#[test]
fn rules_that_count_something_else_than_their_matches_may_read_the_same_lines() {
    let two = |keys: &str| {
        format!(
            "rules:
- {{id: a, match: login was refused, incident_type: workload_failure, catches: login was refused}}
- {{id: b, match: was refused, incident_type: workload_failure, catches: he was refused{keys}}}
"
        )
    };
    for keys in ["", ", threshold: 5 in 10m"] {
        assert_eq!(codes(&two(keys)), ["L003"], "{keys}");
    }
    for keys in [
        ", absent: 1d",
        ", new_value: {field: image}",
        ", threshold: 5 distinct image in 10m",
        ", threshold: 3x in 5m vs 1h",
    ] {
        assert_eq!(codes(&two(keys)), NOTHING, "{keys}");
    }
}

#[test]
fn a_ratio_to_every_line_of_every_stream_is_told() {
    check(
        &with_match("  threshold: '> 5% in 5m'"),
        expect![[r#"
        6 L002 `'> 5% in 5m'`: every line of every stream counts as one of the total
    "#]],
    );
    check(
        &with_match("  threshold: '> 5% in 5m'\n  total: login"),
        expect![[r#"
            7 L001 `login`: without a `selector`, 5 bytes of text are likely to be in lines that mean something else
        "#]],
    );
    for keys in [
        "  threshold: '> 5% in 5m'\n  total: login was tried",
        "  threshold: '> 5% in 5m'\n  selector: app=shop",
    ] {
        assert_eq!(codes(&with_match(keys)), NOTHING, "{keys}");
    }
    // A share that recovers while its window still counts flaps as a count does.
    let flaps = with_match("  threshold: '> 5% in 5m'\n  selector: app=shop\n  recover: 1m");
    assert_eq!(codes(&flaps), ["L013"]);
}

#[test]
fn a_sequence_whose_steps_do_not_all_bring_its_key_is_told() {
    let sequence = |second: &str, by: &str| {
        rule(&format!(
            "  sequence:
    within: 5m
    steps:
    - {{match: {{re: 'Failed password for (?P<account>.+) from'}}, count: 5}}
    - {{match: {second}}}
  by: [{by}]"
        ))
    };
    check(
        &sequence("Accepted password from", "account"),
        expect![[r#"
            10 L016 `account`: only some matches capture `account`: the others are all one key, with an empty value
        "#]],
    );
    let both = "{re: 'Accepted password for (?P<account>.+) from'}";
    assert_eq!(codes(&sequence(both, "account")), NOTHING);
    assert_eq!(
        codes(&sequence("Accepted password from", "namespace")),
        NOTHING
    );
    check(
        &sequence("ok", "namespace"),
        expect![[r#"
        6 L001 `within: 5m`: without a `selector`, 2 bytes of text are likely to be in lines that mean something else
    "#]],
    );
}

#[test]
fn what_waits_for_any_line_or_reads_none_has_no_text_to_be_told_of() {
    for keys in ["  absent: 15m\n  selector: app=shop", "  absent: 15m"] {
        assert_eq!(codes(&rule(keys)), NOTHING, "{keys}");
    }
    let parts = "rules:\n- {id: a, match: login was refused, incident_type: workload_failure, catches: x}\n- {id: b, correlate: {within: 5m, all: [a]}, incident_type: workload_failure}\n";
    assert_eq!(codes(parts), NOTHING);
}

#[test]
fn an_escalation_to_what_the_rule_is_anyway_is_told() {
    check(
        &with_match("  severity: critical\n  escalate: [{to: critical, after: 10m}]"),
        expect![[r#"
            7 L019 `[{to: critical, after: 10m}]`: `critical` is no more than the rule's own severity, `critical`
        "#]],
    );
    check(
        &with_match("  escalate: [{to: critical, after: 10m}, {to: warning, after: 5m}]"),
        expect![[r#"
            6 L019 `[{to: critical, after: 10m}, {to: warning, after: 5m}]`: `warning` is no more than the rule's own severity, `warning`
        "#]],
    );
    for keys in [
        "  escalate: {to: critical, after: 10m}",
        "  severity: info\n  escalate: [{to: warning, after: 5m}, {to: critical, after: 10m}]",
    ] {
        assert_eq!(codes(&with_match(keys)), NOTHING, "{keys}");
    }
}

#[test]
fn an_allowed_warning_is_silent_in_its_rule_only() {
    let file = "rules:
- {id: a, match: login was refused, incident_type: workload_failure, allow: [L005]}
- {id: b, match: no space left, incident_type: workload_failure}
- {id: c, match: 'no .* left at all', incident_type: workload_failure, catches: x, allow: [L007]}
";
    check(
        file,
        expect![[r#"
        3 L005 `b`: `b` has no `catches`
    "#]],
    );
    check(
        &format!("defaults: {{allow: [L005]}}\n{file}"),
        expect![[""]],
    );
}

#[test]
fn a_default_that_every_rule_inherits_is_told_once_and_allowed_where_it_stands() {
    let file = |defaults: &str| {
        format!(
            "defaults: {{by: [user], {defaults}}}\nrules:\n- {{id: a, match: login was refused, incident_type: workload_failure, catches: x}}\n- {{id: b, match: no space left, incident_type: workload_failure, catches: x}}\n"
        )
    };
    assert_eq!(codes(&file("owner: a")), ["L004"]);
    assert_eq!(codes(&file("allow: L004")), NOTHING);
    // What stands in `defaults` and is wrong as YAML belongs to them, too.
    let cut = "defaults:\n  owner: team #3\n  allow: [L004]\n  by: user\nrules:\n- {id: a, match: login was refused, incident_type: workload_failure, catches: x}\n";
    assert_eq!(codes(cut), NOTHING);
}

#[test]
fn what_is_allowed_in_vain_is_told_once() {
    check(
        &with_match("  allow: [L004, L005]"),
        expect![[r#"
        6 L010 `L004`: nothing here needs L004 to be allowed
        6 L010 `L005`: nothing here needs L005 to be allowed
    "#]],
    );
    let defaults = format!("defaults: {{allow: [L004]}}\n{}", with_match(""));
    assert_eq!(codes(&defaults), ["L010"]);
    // A rule that is switched off is not looked at.
    assert_eq!(
        codes(&with_match("  allow: [L004]\n  enabled: false")),
        NOTHING
    );
}

#[test]
fn what_is_no_warning_cannot_be_allowed() {
    check(
        &with_match("  allow: [R013, L006, L010, L3, l004, everything, L004, L004]"),
        expect![[r#"
            6 R008 `R013`: R013 cannot be allowed
            6 R008 `L006`: L006 cannot be allowed
            6 R008 `L010`: L010 cannot be allowed
            6 R008 `L3`: there is no warning `L3`
            6 R008 `l004`: there is no warning `l004`
            6 R008 `everything`: there is no warning `everything`
            6 R008 `L004`: L004 is in `allow` already
        "#]],
    );
}

/// The rules of a file, as read.
fn drafts(text: &str) -> Vec<(usize, Draft)> {
    let source = SourceText {
        name: "rules.yaml".to_owned(),
        text: text.to_owned(),
    };
    let root = crate::rules::yaml::parse(&source, &mut Vec::new()).expect("YAML");
    let drafts =
        crate::rules::read::file(&source, &root, &mut crate::rules::read::Patterns::default())
            .drafts;
    drafts.into_iter().map(|draft| (0, draft)).collect()
}

#[test]
fn the_occurrences_that_are_compared_are_bounded() {
    let texts: Vec<String> = (1..=400).map(|length| "a".repeat(length)).collect();
    let texts = texts.join(", ");
    let rule = |id| {
        format!("- {{id: r{id}, match: [{texts}], incident_type: workload_failure, catches: x}}\n")
    };
    let drafts = drafts(&format!(
        "rules:\n{}",
        (0..10).map(rule).collect::<String>()
    ));
    assert_eq!(drafts.len(), 10);
    let mut lints = Lints::default();
    // Each of 4 000 texts holds up to 400 others in ten rules, at up to 400 places: a thousand times the bound.
    let occurrences = overlap::lint(&drafts, &mut lints);
    assert_eq!(occurrences, overlap::OCCURRENCES_MAX + 1);
    assert!(lints.found.len() <= 100);
}
