use serde_json::{Value, json};

use super::super::input::Times;
use super::super::input::tests::{gzip, zstd};
use super::super::tests::{Scratch, parse, trommel};
use super::*;
use crate::batch::Batch;
use crate::push::{self, Encoded, Form, Interner, Limits};
use crate::time::Timestamp;

const RULES: &str = r#"
rules:
  - id: ldap_timeout
    selector: namespace=image-factory
    match: LDAP Result Code 200
    threshold: 5 in 10m
    by: [namespace]
    severity: warning
    recover: 10m
    incident_type: identity_provider_unreachable
    catches: ['LDAP Result Code 200 "Network Error"']
  - {id: other, match: never written anywhere, incident_type: workload_failure}
"#;

/// Minutes and lines: five failures within ten minutes, then quiet for long enough.
fn incident() -> Vec<(i64, &'static str)> {
    let failures = (0..5).map(|minute| (minute, r#"LDAP Result Code 200 "Network Error""#));
    let quiet = (3..=8).map(|pair| (2 * pair, "GET /api/projects 200"));
    failures.chain(quiet).collect()
}

const BEGIN: i64 = 1_767_607_200_000_000_000;

fn time(minute: i64) -> String {
    Timestamp::new(BEGIN + minute * 60_000_000_000).to_string()
}

fn jsonl(lines: &[(i64, &str)]) -> String {
    lines
        .iter()
        .map(|(minute, line)| {
            let labels = json!({"namespace": "image-factory"});
            json!({"labels": labels, "line": line, "ts": time(*minute)}).to_string() + "\n"
        })
        .collect()
}

/// Type, time, id and total of each message that the replay of `text` writes.
#[track_caller]
fn replayed(arguments: &[&str], text: &str) -> Vec<String> {
    let files = Scratch::new();
    let (rules, file) = (files.write("rules.yaml", RULES), files.write("log", text));
    let line = [&["replay", "--rules", &rules], arguments, &[&file]].concat();
    let (exit, out, diagnostics) = trommel(&line);
    assert_eq!(exit, Exit::Fine, "{diagnostics}");
    out.lines()
        .map(|line| {
            let event: Value = serde_json::from_str(line).expect("a message is JSON");
            let kind = event["type"]
                .as_str()
                .and_then(|kind| kind.rsplit('.').next());
            let kind = kind.expect("a type").to_owned();
            let total = &event["data"]["counts"]["total"];
            let text = |name: &str| event[name].as_str().expect("a text").to_owned();
            format!("{kind} {} {} {total}", text("time"), text("id"))
        })
        .collect()
}

const JSONL: &[&str] = &["--input", "jsonl"];

#[test]
fn an_incident_opens_with_its_fifth_line_and_recovers_after_ten_quiet_minutes() {
    let messages = replayed(JSONL, &jsonl(&incident()));
    let [observed, recovered] = &messages[..] else {
        panic!("{messages:#?}");
    };
    assert!(
        observed.starts_with(&format!("observed {} ", time(4))),
        "{observed}"
    );
    assert!(observed.ends_with(":1 5"), "{observed}");
    assert!(
        recovered.starts_with(&format!("recovered {} ", time(14))),
        "{recovered}"
    );
    assert!(recovered.ends_with(":2 5"), "{recovered}");
}

// SEMANTICS 2: the clock ends at the last entry, and what is open stays open.
#[test]
fn four_lines_are_not_enough_and_an_incident_that_goes_on_stays_open() {
    assert_eq!(replayed(JSONL, &jsonl(&incident()[1..])), [""; 0]);
    assert_eq!(replayed(JSONL, &jsonl(&incident()[..9])).len(), 1);
}

#[test]
fn order_forms_and_files_make_no_difference() {
    let lines = incident();
    let expected = replayed(JSONL, &jsonl(&lines));

    let mut backwards = lines.clone();
    backwards.reverse();
    assert_eq!(replayed(JSONL, &jsonl(&backwards)), expected);

    let logcli: String = backwards
        .iter()
        .map(|(minute, line)| format!("{} {{}}   {line}\n", time(*minute)))
        .collect();
    let labels = ["--labels", r#"{namespace="image-factory"}"#];
    let arguments = [&["--input", "logcli"], &labels[..]].concat();
    assert_eq!(replayed(&arguments, &logcli), expected);

    let push = json!({"streams": [{
        "stream": {"namespace": "image-factory"},
        "values": lines.iter().map(|(minute, line)| {
            json!([(BEGIN + minute * 60_000_000_000).to_string(), line])
        }).collect::<Vec<_>>(),
    }]});
    assert_eq!(replayed(&["--input", "push"], &push.to_string()), expected);

    let raw: String = lines
        .iter()
        .map(|(minute, line)| format!("{} {line}\n", time(*minute)))
        .collect();
    // The time is part of a raw line, and of nothing that makes the finding's id.
    assert_eq!(replayed(&labels, &raw), expected);

    let files = Scratch::new();
    let rules = files.write("rules.yaml", RULES);
    let (even, odd): (Vec<_>, Vec<_>) = lines.iter().partition(|(minute, _)| minute % 2 == 0);
    let (even, odd) = (
        files.write("a", jsonl(&even)),
        files.write("b", jsonl(&odd)),
    );
    let line = ["replay", "--rules", &rules, "--input", "jsonl", &even, &odd];
    let (_, out, _) = trommel(&line);
    let both: Vec<_> = out.lines().collect();
    assert_eq!(both.len(), expected.len());
    for (message, expected) in both.iter().zip(&expected) {
        let id = expected.split(' ').nth(2).expect("an id");
        assert!(message.contains(id), "{message}");
    }
}

#[test]
fn streams_that_are_left_out_live_are_left_out_here() {
    let text = jsonl(&incident());
    let labels = ["--labels", r#"{container="trommel"}"#];
    assert_eq!(replayed(&[JSONL, &labels].concat(), &text), [""; 0]);
}

#[test]
fn the_cluster_is_part_of_ids() {
    let text = jsonl(&incident());
    let here = replayed(JSONL, &text);
    let default = replayed(
        &[JSONL, &["--cluster", "default", "--environment", "e"]].concat(),
        &text,
    );
    let there = replayed(&[JSONL, &["--cluster", "c1"]].concat(), &text);
    assert_eq!(default, here);
    assert_ne!(there, here);
    let (exit, _, diagnostics) = trommel(&["replay", "--cluster", "a b", "nowhere"]);
    assert_eq!(exit, Exit::CouldNotRun);
    assert!(diagnostics.contains("cluster"), "{diagnostics}");
}

/// What the replay of these files writes, byte for byte.
#[track_caller]
fn written(arguments: &[&str], contents: &[Vec<u8>]) -> String {
    let files = Scratch::new();
    let rules = files.write("rules.yaml", RULES);
    let names = contents.iter().enumerate();
    let names: Vec<_> = names
        .map(|(place, bytes)| files.write(&place.to_string(), bytes))
        .collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let line = [&["replay", "--rules", &rules], JSONL, arguments, &names].concat();
    let (exit, out, diagnostics) = trommel(&line);
    assert_eq!((exit, &*diagnostics), (Exit::Fine, ""));
    out
}

// SEMANTICS 5: input in descending order is turned.
#[test]
fn messages_are_the_same_bytes_however_the_log_is_split_packed_or_turned() {
    let lines = incident();
    let bytes = |lines: &[(i64, &str)]| jsonl(lines).into_bytes();
    let backward: Vec<_> = lines.iter().copied().rev().collect();
    let hand = |hand: usize| {
        let lines = lines.iter().copied().skip(hand).step_by(3);
        bytes(&lines.collect::<Vec<_>>())
    };
    let expected = written(&[], &[bytes(&lines)]);
    assert_eq!(expected.lines().count(), 2);
    for (what, contents) in [
        ("backward", vec![bytes(&backward)]),
        ("gzip", vec![gzip(&bytes(&lines))]),
        ("zstd", vec![zstd(&bytes(&lines))]),
        ("cut in two", vec![bytes(&lines[..3]), bytes(&lines[3..])]),
        (
            "newest file first",
            vec![bytes(&lines[3..]), bytes(&lines[..3])],
        ),
        ("dealt to three", (0..3).map(hand).collect()),
        (
            "all of it",
            vec![
                bytes(&lines[..2]),
                gzip(&bytes(&lines[5..])),
                zstd(&bytes(&backward[6..9])),
            ],
        ),
    ] {
        assert_eq!(written(&[], &contents), expected, "{what}");
        assert_eq!(written(&["--sort"], &contents), expected, "{what}, sorted");
    }
}

#[test]
fn a_log_begins_at_from_and_ends_before_to() {
    let text = jsonl(&incident());
    let count = |arguments: &[&str]| replayed(&[JSONL, arguments].concat(), &text).len();
    let just_after = |minute: i64| Timestamp::new(BEGIN + minute * 60_000_000_000 + 1).to_string();
    // Failures at minutes 0 to 4, the recovery at minute 14.
    assert_eq!(count(&["--from", &time(0)]), 2);
    assert_eq!(count(&["--from", &just_after(0)]), 0);
    assert_eq!(count(&["--to", &time(4)]), 0);
    assert_eq!(count(&["--to", &just_after(4)]), 1);
    // What stays open at the end is not closed by the end.
    assert_eq!(count(&["--to", &time(14)]), 1);
    assert_eq!(count(&["--to", &just_after(14)]), 2);
    assert_eq!(count(&["--from", "2026-01-05", "--to", "2026-01-06"]), 2);
    assert_eq!(count(&["--from", "2026-01-05T11:00:00+01:00"]), 2);
}

#[test]
fn times_between_which_nothing_lies_are_pointed_out() {
    let files = Scratch::new();
    let file = files.write("log", jsonl(&incident()));
    let line = ["replay", "--input", "jsonl", &file];
    let (exit, out, diagnostics) = trommel(&[&line[..], &["--to", "2026-01-05"]].concat());
    assert_eq!((exit, &*out), (Exit::Fine, ""));
    assert_eq!(diagnostics, "note: no line lies between --from and --to\n");
    let span = ["--from", "2026-01-06", "--to", "2026-01-06"];
    let (exit, _, diagnostics) = trommel(&[&line[..], &span].concat());
    assert_eq!(exit, Exit::CouldNotRun);
    assert_eq!(
        diagnostics,
        "trommel: --from 2026-01-06T00:00:00Z is not before --to 2026-01-06T00:00:00Z: no time lies between them\n"
    );
}

#[test]
fn a_time_is_rfc_3339_or_a_date() {
    for wrong in ["yesterday", "2026-13-01", "2026-01-05T10:00:00", "1h", ""] {
        let told = parse::<ReplayArgs>(&["--from", wrong]).expect_err(wrong);
        assert!(
            told.contains("neither an RFC 3339 time such as 2026-01-31T09:30:00Z nor a date"),
            "{told}"
        );
    }
}

#[test]
fn the_summary_counts_what_each_rule_found() {
    let files = Scratch::new();
    let rules = files.write("rules.yaml", RULES);
    let repeated = jsonl(&incident()) + &jsonl(&incident()[..2]);
    let file = files.write("log", repeated);
    let line = [
        "replay",
        "--summary",
        "--rules",
        &rules,
        "--input",
        "jsonl",
        &file,
    ];
    let (exit, out, diagnostics) = trommel(&line);
    assert_eq!(exit, Exit::Fine);
    expect_test::expect![[r#"
        RULE          MATCHES  FINDINGS  PER DAY  MESSAGES  OPEN  LONGEST  NOISIEST KEYS
        ldap_timeout        5         1  -               2     0  4m       5 ldap_timeout{namespace=image-factory}
        other               0         0  -               0     0  -

        RULE          THRESHOLD  WINDOW  FINDINGS IF THE COUNT WERE
        ldap_timeout  5 in 10m   10m     3: 1, 4: 1, 5: 1, 6: 0, 10: 0
    "#]]
    .assert_eq(&out);
    assert_eq!(
        diagnostics,
        "note: left out 2 matches of lines that repeat another of the same stream and time\n"
    );
}

#[test]
fn the_summary_tells_of_other_counts_what_rules_with_them_find() {
    let files = Scratch::new();
    let file = files.write("log", jsonl(&incident()));
    let summary = |rules: &str| -> Value {
        let line = ["replay", "--summary", "--format", "json", "--rules", rules];
        let (exit, out, _) = trommel(&[&line, JSONL, &[&*file]].concat());
        assert_eq!(exit, Exit::Fine);
        serde_json::from_str(&out).expect("JSON")
    };
    let whole = summary(&files.write("rules.yaml", RULES));
    let others = whole["rules"][0]["what_if"].as_array().expect("a list");
    assert_eq!(others.len(), 5);
    for other in others {
        let threshold = format!("{} in 10m", other["count"]);
        let rules = files.write("other.yaml", RULES.replace("5 in 10m", &threshold));
        let found = &summary(&rules)["rules"][0];
        assert_eq!(found["threshold"], *threshold);
        assert_eq!(found["findings"], other["findings"], "{threshold}");
    }
}

#[test]
fn lines_without_a_time_are_refused_with_what_to_do() {
    let files = Scratch::new();
    let file = files.write("log", "no time\n");
    let (exit, out, diagnostics) = trommel(&["replay", &file]);
    assert_eq!((exit, &*out), (Exit::CouldNotRun, ""));
    expect_test::expect![[r#"
        log:1: no time: an RFC 3339 time must begin the line, or be the `ts` of --input jsonl
        trommel: nothing could be read
    "#]]
    .assert_eq(&files.strip(&diagnostics));
}

#[test]
fn entries_have_the_identity_that_they_have_when_they_are_pushed() {
    let pushed = r#"{"streams":[{"stream":{"a":"b"},"values":[["1767607200000000000","2026-01-05T10:00:00Z stdout F x"]]}]}"#;
    let request = Encoded {
        tenant: &Arc::from(""),
        form: Form::V1,
        content_type: Some(b"application/json"),
        content_encoding: None,
        body: pushed.as_bytes(),
    };
    let mut scratch = push::Scratch::default();
    scratch
        .decode(&request, &Limits::default(), &Interner::new(9), &mut |_| {
            true
        })
        .expect("valid");

    let files = Scratch::new();
    let file = files.write("log", "2026-01-05T10:00:00Z stdout F x\n");
    let arguments: ReplayArgs = parse(&["--labels", r#"{a="b"}"#, &file]).expect("fine");
    let mut batch = Batch::default();
    let mut add = |entry: Recorded| {
        entry.add_to(&mut batch);
        Ok(())
    };
    let (rules, mut diagnostics) = (RuleSet::default(), Vec::new());
    arguments
        .input
        .read(&rules, Times::Needed, &mut diagnostics, &mut add)
        .expect("it is there");

    let identity = |batch: &Batch| {
        let (stream, entry) = (&batch.streams[0].stream, &batch.entries[0]);
        (stream.id, entry.id(stream, batch.bytes(entry.line)))
    };
    assert_eq!(identity(&batch), identity(scratch.batch()));
    assert_eq!(batch.line(&batch.entries[0]), b"x");
}

#[test]
fn what_logcli_prints_can_be_replayed() {
    let arguments: ReplayArgs = parse(&["--input", "logcli", "--summary", "x"]).expect("fine");
    assert_eq!(arguments.input.input, Input::Logcli);
    assert!(arguments.summary);
}
