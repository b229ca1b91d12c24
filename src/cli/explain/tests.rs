use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::super::tests::{Scratch as Files, trommel};
use super::*;

const RULES: &str = r#"
rules:
  - id: ldap_timeout
    selector: namespace=image-factory, component=~"back.*"
    match: {any: [LDAP Result Code 200, {re: 'failed to connect to (?P<what>LDAP)'}], none: [retry succeeded]}
    threshold: 5 in 10m
    by: [namespace, pod]
    recover: {after: 10m, match: directory is back}
    summary: "{what} fails in {pod}: {count}"
    incident_type: identity_provider_unreachable
  - id: slow
    match: {all: [request done], fields: {took: ">= 500"}}
    incident_type: workload_failure
  - {id: link, match: link down, incident_type: workload_failure}
"#;

/// Minute, what differs in the labels, line.
type Entry = (u32, &'static [(&'static str, &'static str)], &'static str);

fn jsonl(entries: &[Entry]) -> String {
    let entry = |(minute, differs, line): &Entry| {
        let mut labels = json!({"namespace": "image-factory", "component": "backend", "pod": "a"});
        for (name, value) in *differs {
            labels[name] = Value::from(*value);
        }
        json!({"labels": labels, "line": line, "ts": format!("2026-01-05T10:{minute:02}:00Z")})
            .to_string()
            + "\n"
    };
    entries.iter().map(entry).collect()
}

#[track_caller]
fn explained(arguments: &[&str], log: &str) -> String {
    let files = Files::new();
    let (rules, log) = (files.write("rules.yaml", RULES), files.write("log", log));
    let line = [&["explain"], arguments, &["--rules", &rules, &log]].concat();
    let (exit, out, diagnostics) = trommel(&line);
    assert_eq!(exit, Exit::Fine, "{diagnostics}");
    files.strip(&out)
}

#[track_caller]
fn check(arguments: &[&str], entries: &[Entry], expected: Expect) {
    let arguments = [arguments, &["--input", "jsonl"]].concat();
    expected.assert_eq(&explained(&arguments, &jsonl(entries)));
}

#[test]
fn a_rule_that_does_not_fire_is_explained_line_by_line_and_the_answer_names_what_came_nearest() {
    check(
        &["ldap_timeout"],
        &[
            (0, &[], r#"ERROR: LDAP Result Code 200 "Network Error""#),
            (1, &[], "LDAP Result Code 200"),
            (1, &[], "LDAP Result Code 200"),
            (2, &[("pod", "b")], "LDAP Result Code 200"),
            (3, &[], "ldap result code 200"),
            (4, &[], "LDAP Result Code 200, but retry succeeded"),
            (
                5,
                &[("namespace", "shop"), ("component", "")],
                "LDAP Result Code 200",
            ),
            (6, &[("namespace", "shop")], "LDAP Result Code 200"),
            (6, &[], "GET /"),
            (7, &[("pod", "")], "failed to connect to LDAP"),
            (8, &[("pod", "b")], "failed to connect to LDAP"),
        ],
        expect![[r#"
            log:1: 2026-01-05T10:00:00Z {component="backend", namespace="image-factory", pod="a"}
                ERROR: LDAP Result Code 200 "Network Error"
              ✓ selector
              ✓ match: `LDAP Result Code 200` at column 8
              · key: namespace=image-factory, pod=a
              · 1 of 5 in 10m; missing: 4 more within 10m
            log:2: 2026-01-05T10:01:00Z {component="backend", namespace="image-factory", pod="a"}
                LDAP Result Code 200
              ✓ selector
              ✓ match: `LDAP Result Code 200` at column 1
              · key: namespace=image-factory, pod=a
              · 2 of 5 in 10m; missing: 3 more within 10m
            log:3: 2026-01-05T10:01:00Z {component="backend", namespace="image-factory", pod="a"}
                LDAP Result Code 200
              ✓ selector
              ✓ match: `LDAP Result Code 200` at column 1
              · key: namespace=image-factory, pod=a
              ✗ the same entry again: it does not count
            log:4: 2026-01-05T10:02:00Z {component="backend", namespace="image-factory", pod="b"}
                LDAP Result Code 200
              ✓ selector
              ✓ match: `LDAP Result Code 200` at column 1
              · key: namespace=image-factory, pod=b
              · 1 of 5 in 10m; missing: 4 more within 10m
            log:5: 2026-01-05T10:03:00Z {component="backend", namespace="image-factory", pod="a"}
                ldap result code 200
              ✓ selector
              ✗ match: lacks `LDAP Result Code 200` (in other letters at column 1), /failed to connect to (?P<what>LDAP)/
            log:6: 2026-01-05T10:04:00Z {component="backend", namespace="image-factory", pod="a"}
                LDAP Result Code 200, but retry succeeded
              ✓ selector
              ✗ match: `LDAP Result Code 200` at column 1; spoilt by `retry succeeded` at column 27
            log:7: 2026-01-05T10:05:00Z {namespace="shop", pod="a"}
                LDAP Result Code 200
              ✗ selector: namespace is `shop`, namespace="image-factory" is wanted
              ✗ selector: component is missing, component=~"back.*" is wanted
              ✓ match: `LDAP Result Code 200` at column 1
              · key: namespace=shop, pod=a
            log:8: 2026-01-05T10:06:00Z {component="backend", namespace="shop", pod="a"}
                LDAP Result Code 200
              ✗ selector: namespace is `shop`, namespace="image-factory" is wanted
              ✓ match: `LDAP Result Code 200` at column 1
              · key: namespace=shop, pod=a
            log:10: 2026-01-05T10:07:00Z {component="backend", namespace="image-factory"}
                failed to connect to LDAP
              ✓ selector
              ✓ match: /failed to connect to (?P<what>LDAP)/ at column 1
              · key: namespace=image-factory, pod is missing
              · 1 of 5 in 10m; missing: 4 more within 10m
            log:11: 2026-01-05T10:08:00Z {component="backend", namespace="image-factory", pod="b"}
                failed to connect to LDAP
              ✓ selector
              ✓ match: /failed to connect to (?P<what>LDAP)/ at column 1
              · key: namespace=image-factory, pod=b
              · 2 of 5 in 10m; missing: 3 more within 10m
            ldap_timeout: 5 in 10m by namespace, pod
              11 lines, 9 of streams that the rule reads: 5 matches, 1 not counted, the same entries again
              1 line would match, but the selector wants namespace="image-factory": namespace is `shop`
              1 line would match, but the selector wants namespace="image-factory", component=~"back.*": namespace is `shop`, component is missing
              1 line would match, but for `retry succeeded` in `none`
              1 line where `LDAP Result Code 200` stands in other letters: `ignore_case: true` would find it
              no finding; at best 2 of 5 in 10m, at 2026-01-05T10:01:00Z for namespace=image-factory, pod=a; missing: 3 more within 10m
              `by: [namespace, pod]` splits the matches into 3 keys, together they have 5 of 5 in 10m
        "#]],
    );
}

#[test]
fn what_the_detector_says_stands_between_the_lines_and_a_recovery_is_explained() {
    check(
        &["ldap_timeout"],
        &[
            (0, &[], "LDAP Result Code 200"),
            (1, &[], "LDAP Result Code 200"),
            (2, &[], "LDAP Result Code 200"),
            (3, &[], "LDAP Result Code 200"),
            (4, &[], "LDAP Result Code 200"),
            (5, &[], "directory is back"),
            (6, &[], "LDAP Result Code 200"),
            (59, &[], "GET /"),
        ],
        expect![[r#"
            log:1: 2026-01-05T10:00:00Z {component="backend", namespace="image-factory", pod="a"}
                LDAP Result Code 200
              ✓ selector
              ✓ match: `LDAP Result Code 200` at column 1
              · key: namespace=image-factory, pod=a
              · 1 of 5 in 10m; missing: 4 more within 10m
            log:2: 2026-01-05T10:01:00Z {component="backend", namespace="image-factory", pod="a"}
                LDAP Result Code 200
              ✓ selector
              ✓ match: `LDAP Result Code 200` at column 1
              · key: namespace=image-factory, pod=a
              · 2 of 5 in 10m; missing: 3 more within 10m
            log:3: 2026-01-05T10:02:00Z {component="backend", namespace="image-factory", pod="a"}
                LDAP Result Code 200
              ✓ selector
              ✓ match: `LDAP Result Code 200` at column 1
              · key: namespace=image-factory, pod=a
              · 3 of 5 in 10m; missing: 2 more within 10m
            log:4: 2026-01-05T10:03:00Z {component="backend", namespace="image-factory", pod="a"}
                LDAP Result Code 200
              ✓ selector
              ✓ match: `LDAP Result Code 200` at column 1
              · key: namespace=image-factory, pod=a
              · 4 of 5 in 10m; missing: 1 more within 10m
            log:5: 2026-01-05T10:04:00Z {component="backend", namespace="image-factory", pod="a"}
                LDAP Result Code 200
              ✓ selector
              ✓ match: `LDAP Result Code 200` at column 1
              · key: namespace=image-factory, pod=a
              ✓ 5 of 5 in 10m
            => 2026-01-05T10:04:00Z observed ldap_timeout warning:  fails in a: 5
            log:6: 2026-01-05T10:05:00Z {component="backend", namespace="image-factory", pod="a"}
                directory is back
              ✓ selector
              ✓ recover.match: `directory is back` at column 1
              · key: namespace=image-factory, pod=a
              · recovery: ends what is open under its key, and empties its window
            => 2026-01-05T10:05:00Z recovered ldap_timeout warning:  fails in a: 5
            log:7: 2026-01-05T10:06:00Z {component="backend", namespace="image-factory", pod="a"}
                LDAP Result Code 200
              ✓ selector
              ✓ match: `LDAP Result Code 200` at column 1
              · key: namespace=image-factory, pod=a
              · 1 of 5 in 10m; missing: 4 more within 10m
            ldap_timeout: 5 in 10m by namespace, pod
              8 lines, 8 of streams that the rule reads: 6 matches, 1 for recovery
              1 finding
        "#]],
    );
}

#[test]
fn with_all_every_line_is_shown_and_without_only_those_that_tell_something() {
    let lines: &[Entry] = &[
        (0, &[], "GET /"),
        (1, &[], r#"{"msg":"request done","took":7}"#),
        (2, &[], r#"{"msg":"request done","took":700}"#),
    ];
    let shown = |arguments: &[&str]| {
        let text = explained(&[arguments, &["--input", "jsonl"]].concat(), &jsonl(lines));
        let shown = text
            .lines()
            .filter_map(|line| line.strip_prefix("log:")?.split(':').next());
        shown.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(shown(&["slow"]), ["2", "3"]);
    assert_eq!(shown(&["slow", "--all"]), ["1", "2", "3"]);
}

#[test]
fn lines_without_time_are_explained_in_their_place_and_count_in_no_window() {
    let log = "2026-01-05T10:01:00Z link down\nlink down\n2026-01-05T10:00:00Z link down\n";
    let text = explained(&["link", "--format", "json"], log);
    let told: Vec<_> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .map(|told| match told["outcome"].as_str() {
            Some(outcome) => format!("{} {outcome}", told["n"]),
            None => told["kind"].as_str().unwrap_or("summary").to_owned(),
        })
        .collect();
    assert_eq!(
        told,
        ["3 match", "observed", "1 match", "2 untimed", "summary"]
    );
}

#[test]
fn as_json_each_line_message_and_summary_is_an_object() {
    let text = explained(
        &["slow", "--format", "json", "--input", "jsonl"],
        &jsonl(&[
            (
                0,
                &[("namespace", "shop")],
                r#"{"msg":"ж request done","took":700}"#,
            ),
            (1, &[], r#"{"msg":"request done"}"#),
        ]),
    );
    let told: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let [line, finding, miss, summary] = &told[..] else {
        panic!("{text}");
    };
    assert_eq!(line["labels"]["namespace"], "shop");
    assert_eq!(line["outcome"], "match");
    assert_eq!(line["unread"], json!([]));
    assert_eq!(line["standing"], "every match is enough");
    assert_eq!(
        line["parts"],
        json!([{
            "part": "match",
            "fulfilled": true,
            "items": [{"group": "all", "item": "`request done`", "column": 11}],
            "spoilt_by": [],
            "fields": [{"name": "took", "value": "700", "wanted": "took >= 500", "holds": true}],
        }])
    );
    assert_eq!(
        (&finding["kind"], &finding["finding"]["rule"]["id"]),
        (&json!("observed"), &json!("slow"))
    );
    assert_eq!(miss["outcome"], "nothing");
    assert_eq!(miss["miss"], "would match, but took >= 500 is wanted");
    let summary = &summary["summary"];
    assert_eq!(
        (&summary["lines"], &summary["matches"], &summary["findings"]),
        (&json!(2), &json!(1), &json!(1))
    );
    assert_eq!(
        summary["misses"],
        json!([{"lines": 1, "reason": "would match, but took >= 500 is wanted", "values": {"took is missing": 1}}])
    );
    assert_eq!(summary["answer"][2], "1 finding");
}

/// An output that shows colours.
#[derive(Default)]
struct Terminal(Vec<u8>);

impl std::io::Write for Terminal {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Output for Terminal {
    fn is_terminal(&self) -> bool {
        true
    }

    fn shows_color(&self) -> bool {
        true
    }
}

#[test]
fn on_a_terminal_what_is_found_is_red_and_what_is_in_the_way_yellow_and_no_control_character_gets_there()
 {
    let files = Files::new();
    let rules = files.write("rules.yaml", RULES);
    let entry: Entry = (0, &[], "a LDAP Result Code 200\u{1b}[2J, retry succeeded");
    let log = files.write("log", jsonl(&[entry]));
    let line = [
        "trommel",
        "explain",
        "ldap_timeout",
        "--rules",
        &rules,
        "--input",
        "jsonl",
        &log,
    ];
    let mut out = Terminal::default();
    let exit = super::super::execute(line.map(Into::into), &mut out, &mut Vec::new());
    assert_eq!(exit, Exit::Fine);
    let text = String::from_utf8(out.0).expect("text");
    assert!(
        text.contains("    a \u{1b}[1;31mLDAP Result Code 200\u{1b}[0m\\u{1b}[2J, \u{1b}[1;33mretry succeeded\u{1b}[0m\n"),
        "{text:?}"
    );
    assert!(
        text.contains("  \u{1b}[32m✓\u{1b}[0m selector\n  \u{1b}[31m✗\u{1b}[0m match: "),
        "{text:?}"
    );
}

#[test]
fn an_unknown_rule_could_not_run_and_names_the_one_that_was_meant() {
    let files = Files::new();
    let rules = files.write("rules.yaml", RULES);
    for (id, expected) in [
        (
            "ldap_timeuot",
            "trommel: no rule has the id `ldap_timeuot`; did you mean `ldap_timeout`?\n",
        ),
        (
            "nothing",
            "trommel: no rule has the id `nothing`; is it in the files given with --rules, and enabled?\n",
        ),
    ] {
        let (exit, out, diagnostics) = trommel(&["explain", id, "--rules", &rules]);
        assert_eq!(
            (exit, &*out, &*diagnostics),
            (Exit::CouldNotRun, "", expected)
        );
    }
}
