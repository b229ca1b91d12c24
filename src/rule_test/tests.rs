//! Tests of tests: what passes, what fails and how that reads, and the cases under `tests/rules/cases`.

use std::path::{Path, PathBuf};

use expect_test::{Expect, expect};

use super::testing::{check_text, failures_of_file, failures_of_text};

/// The language's example of a test file, to the letter. SEMANTICS 45: the line at 4m is a repeat and does not count.
#[test]
fn the_example_of_a_test_file_passes() {
    check_text(
        r#"
rules:
  - id: ldap_timeout_spike
    selector: namespace=image-factory, component=backend
    match: {any: [LDAP Result Code 200, failed to connect to LDAP], none: [retry succeeded]}
    threshold: 5 in 10m
    by: [namespace, component]
    recover: 10m
    incident_type: identity_provider_unreachable
"#,
        r#"
tests:
  - name: the fifth timeout within ten minutes opens one finding, ten quiet minutes close it
    labels: {namespace: image-factory, component: backend}    # for every line
    logs: |
      0m +1m x5   LDAP Result Code 200 "Network Error"
      4m30s       {component=frontend} failed to connect to LDAP
      4m          LDAP Result Code 200 "Network Error"
      12m         GET /api/projects 200
    until: 20m
    expect:
      - 4m observed ldap_timeout_spike severity=warning count=5
      - 14m recovered ldap_timeout_spike reason=quiet
  - name: four in ten minutes say nothing
    labels: {namespace: image-factory, component: backend}
    logs: "0m +2m x4  failed to connect to LDAP"
    expect: []
"#,
    );
}

/// Every line with a pod and `fails` opens a finding of that pod, which five minutes of quiet end.
const RULES: &str = r#"
rules:
  - {id: failed, match: it fails, by: [pod], summary: "{pod}: it fails", incident_type: workload_failure}
  - {id: broke, match: it breaks, threshold: 2 in 1m, recover: 10m, incident_type: workload_failure}
"#;

/// What one test of `logs`, with the further keys `more`, is told when it expects `expect`.
#[track_caller]
fn check(logs: &str, more: &str, expect: &[&str], expected: &Expect) {
    let logs: String = logs.lines().map(|line| format!("      {line}\n")).collect();
    let list = expect.iter().map(|line| format!("\n      - {line}"));
    let list = if expect.is_empty() {
        " []".to_owned()
    } else {
        list.collect()
    };
    let tests = format!(
        "tests:\n  - name: n\n    labels: {{pod: a}}\n    logs: |\n{logs}    {more}\n    expect:{list}\n"
    );
    expected.assert_eq(&failures_of_text(RULES, &tests));
}

/// SEMANTICS 44.
#[test]
fn messages_of_one_instant_come_in_any_order_and_values_that_are_not_listed_are_free() {
    let logs =
        "1m it fails\n1m {pod=b} it fails\n1m {pod=c} it fails\n2m a word\n9m {pod=b} another";
    let recoveries = [
        "6m recovered failed reason=quiet total=1 pod=a",
        "6m recovered failed pod=b",
        "6m recovered failed",
    ];
    for observed in [
        [
            "1m observed failed",
            "1m observed failed pod=a",
            "1m observed failed pod=b",
        ],
        [
            "1m observed failed pod=c",
            "1m observed failed",
            "1m observed failed severity=warning",
        ],
        [
            "1m observed failed pod=b",
            "1m observed failed pod=c summary=\"c: it fails\"",
            "1m observed failed count=1 pod=a",
        ],
    ] {
        let all: Vec<_> = recoveries
            .iter()
            .chain(&observed)
            .map(|text| format!("'{text}'"))
            .collect();
        let all: Vec<_> = all.iter().map(String::as_str).collect();
        check(logs, "", &all, &expect![[""]]);
    }
}

#[test]
fn a_message_that_is_not_listed_fails_the_test() {
    check(
        "1m it fails\n2m a word",
        "until: 1h",
        &["1m observed failed severity=warning"],
        &expect![[r#"
            rules_test.yaml:3: n
                1m observed failed severity=warning
              + 6m recovered failed reason=quiet total=1 pod=a
        "#]],
    );
    check(
        "1m it fails",
        "",
        &[],
        &expect![[r#"
            rules_test.yaml:3: n
              + 1m observed failed severity=warning count=1 pod=a
        "#]],
    );
}

#[test]
fn a_difference_shows_the_listed_values_and_what_may_be_the_cause() {
    check(
        "1m it fails\n2m it breaks\n2m30s {pod=b} it breaks\n3m01s it breaks",
        "",
        &[
            "1m observed failed severity=critical pod=a count=1",
            "3m observed broke count=3",
            "3m observed failed pod=b",
            "240s observed broken",
            "13m recovered broke",
        ],
        &expect![[r#"
            rules_test.yaml:3: n
              - 1m observed failed severity=critical pod=a count=1
              + 1m observed failed severity=warning pod=a count=1
              - 3m observed broke count=3
              + 2m30s observed broke count=2
              - 3m observed failed pod=b
              - 240s observed broken
              - 13m recovered broke
                note: `failed` matched 1 line
                note: the test ends at 3m1s; it lasts longer with `until: 4m`
                note: there is no rule `broken`; did you mean `broke`?
                note: the test ends at 3m1s; it lasts longer with `until: 13m`
                note: `broke` matched 3 lines
        "#]],
    );
}

#[test]
fn of_a_long_comparison_only_what_is_different_and_what_is_near_it_is_shown() {
    let logs: Vec<_> = (1..=20)
        .map(|second| format!("{second}s {{pod=p{second}}} it fails"))
        .collect();
    let expect: Vec<_> = (1..=20)
        .filter(|second| *second != 10)
        .map(|second| format!("{second}s observed failed"))
        .collect();
    let expect: Vec<_> = expect.iter().map(String::as_str).collect();
    check(
        &logs.join("\n"),
        "",
        &expect,
        &expect![[r#"
            rules_test.yaml:3: n
                7s observed failed
                8s observed failed
                9s observed failed
              + 10s observed failed severity=warning count=1 pod=p10
                11s observed failed
                12s observed failed
                13s observed failed
                note: 13 more messages are not shown
        "#]],
    );
}

/// SEMANTICS 42: what arrives late finds the timers of until then fired; what arrives in time does not.
#[test]
fn a_late_line_comes_after_the_timers_of_until_it_arrives() {
    check(
        "0m it breaks\n30s@30s it breaks\n31s@20m it breaks",
        "",
        &[
            "30s observed broke",
            "630s recovered broke reason=silent total=2",
        ],
        &expect![""],
    );
}

/// SEMANTICS 2 and 44: timers that are due exactly at the end fire, a nanosecond later they do not.
#[test]
fn timers_that_are_due_exactly_at_the_end_fire() {
    let observed = "1m observed failed";
    check(
        "1m it fails",
        "until: 5m59s999ms",
        &[observed],
        &expect![[""]],
    );
    let recovered = "6m recovered failed reason=silent";
    check(
        "1m it fails",
        "until: 6m",
        &[observed, recovered],
        &expect![[""]],
    );
}

/// SEMANTICS 46.
#[test]
fn only_the_named_rules_speak() {
    let logs = "1m it fails\n1m it breaks\n1m10s it breaks";
    check(
        logs,
        "only: [broke]",
        &["70s observed broke"],
        &expect![[""]],
    );
    check(
        logs,
        "only: broke",
        &["1m observed failed"],
        &expect![[r#"
            rules_test.yaml:3: n
              - 1m observed failed
              + 1m10s observed broke severity=warning count=2
                note: `failed` is not in `only`
        "#]],
    );
    check(
        logs,
        "only: brok",
        &[],
        &expect![[r#"
            error[R016]: there is no rule `brok` in the files under `rules`
             --> rules_test.yaml:9:11
              |
            9 |     only: brok
              |           ^^^^
              |
              = help: did you mean `broke`?

        "#]],
    );
}

/// SEMANTICS 5: as live, what is older than an hour when it arrives decides nothing.
#[test]
fn a_line_that_arrives_an_hour_late_still_counts_and_later_it_does_not() {
    check(
        "0m@1h it fails",
        "only: failed",
        &["0m observed failed", "5m recovered failed reason=silent"],
        &expect![[""]],
    );
    check("0m@3600001ms it fails", "", &[], &expect![[""]]);
}

/// SEMANTICS 1: an entry from more than ten minutes in the future is treated as of now.
#[test]
fn a_line_from_the_future_is_of_now_when_it_is_more_than_ten_minutes_ahead() {
    check(
        "10m@0m it fails",
        "until: 10m",
        &["10m observed failed"],
        &expect![[""]],
    );
    check(
        "10m1s@0m it fails",
        "until: 4m",
        &["0m observed failed"],
        &expect![[""]],
    );
}

#[test]
fn a_start_and_an_environment_are_those_of_the_messages() {
    check_text(
        "rules: [{id: a, match: a text, by: [environment], incident_type: workload_failure}]",
        "
tests:
  - name: named
    logs: 1h a text
    start: 2026-03-29T00:30:00+01:00
    environment: demo
    expect: [1h observed a environment=demo first_seen=1h last_seen=1h revision=1 domain=application_services]
",
    );
}

#[test]
fn more_messages_than_anybody_reads_end_the_test() {
    let failures = failures_of_text(
        "rules: [{id: a, match: a text, cooldown: 0s, incident_type: workload_failure}]",
        "
tests:
  - {name: noisy, logs: '0m +1s x2100 a text', expect: [0m observed a]}
",
    );
    assert!(
        failures.contains("more than 2000 messages came"),
        "{failures}"
    );
    assert!(
        failures.contains("more messages are not shown"),
        "{failures}"
    );
}

#[test]
fn a_test_of_years_is_one_of_a_few_lines() {
    check_text(
        "rules: [{id: a, match: a text, threshold: 2 in 52w, recover: 23h, incident_type: workload_failure}]",
        "
tests:
  - {name: slow, logs: '1y +51w x2 a text', until: 30y, expect: [1y51w observed a, 1y51w23h recovered a]}
",
    );
}

/// Hand-worked cases of what rules mean, in the form that rule authors write, and two days in which each rule of the language's
/// examples speaks; `trommel test tests/rules/cases tests/rules/language_test.yaml` runs them, too.
#[test]
fn the_cases_of_what_rules_mean_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules");
    let cases = std::fs::read_dir(folder.join("cases")).expect("the folder of cases");
    let mut paths: Vec<PathBuf> = cases
        .map(|entry| entry.expect("an entry").path())
        .chain([folder.join("language_test.yaml")])
        .filter(|path| path.to_string_lossy().ends_with("_test.yaml"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    let failures: String = paths.iter().map(|path| failures_of_file(path)).collect();
    assert!(failures.is_empty(), "\n{failures}");
}
