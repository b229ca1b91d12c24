//! The examples of the rule language, one rule of every kind: the same messages, byte for byte, whether the log comes from a file
//! or is pushed, in whatever pieces.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use trommel::rules::SourceText;
use trommel::rules::test_file::TestFile;
use trommel::time::Timestamp;

use crate::support::loki::Entry;
use crate::support::program::{fixture, succeed};
use crate::support::scratch::Scratch;
use crate::support::trommel::{Setup, command};
use crate::support::wait;

const RULES: &str = include_str!("../rules/language.yaml");
const TESTS: &str = include_str!("../rules/language_test.yaml");

/// The log is two days long, and nothing in it may be too late to count.
const SETTINGS: &str = "detect: {max_age: 120h}";

const MINUTE: i64 = 60_000_000_000;
const DAY: i64 = 1440 * MINUTE;

#[test]
fn every_kind_of_rule_says_the_same_by_test_replay_and_push() {
    succeed(
        command().arg("check").arg(fixture("rules/language.yaml")),
        "",
    );
    succeed(command().arg("test").arg(fixture("rules")), "");

    let entries = two_days();
    let replayed = replay(&entries);
    let expected = TESTS
        .lines()
        .filter(|line| line.starts_with("      - "))
        .count();
    assert_eq!(replayed.len(), expected, "{replayed:#?}");

    let one_by_one = push(entries.chunks(1), replayed.len());
    assert_eq!(one_by_one, replayed);
    // As a collector that has to catch up sends it: many streams and five minutes in one request.
    let in_pieces = push(
        entries.chunk_by(|a, b| a.at / (5 * MINUTE) == b.at / (5 * MINUTE)),
        replayed.len(),
    );
    assert_eq!(in_pieces, replayed);
}

/// What each kind of rule has counted, learned and waits for is in the data directory: a new process goes on where the last one ended.
#[test]
fn every_kind_of_rule_goes_on_after_a_restart() {
    let entries = two_days();
    let replayed = replay(&entries);
    let setup = Setup::new(RULES).with_settings(SETTINGS).with_data();
    let mut told = Vec::new();
    // An odd number of minutes, so that restarts come before, amid and after what the rules wait for.
    for period in entries.chunk_by(|a, b| a.at / (97 * MINUTE) == b.at / (97 * MINUTE)) {
        let trommel = setup.start();
        for piece in period.chunk_by(|a, b| a.at / (5 * MINUTE) == b.at / (5 * MINUTE)) {
            trommel.push(piece);
        }
        let (status, stdout) = trommel.terminate_and_read();
        assert!(status.success(), "{status}");
        told.extend(stdout);
    }
    assert_eq!(told, replayed);
}

/// The log of the language's test, so moved that it has ended by now; in order of time.
fn two_days() -> Vec<Entry> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = i64::try_from(now.expect("the clock is past 1970").as_nanos());
    // At midnight, as the test begins: some rules know hours and days.
    let start = now.expect("before the year 2262") / DAY * DAY - 3 * DAY;
    let source = SourceText {
        name: "language_test.yaml".to_owned(),
        text: TESTS.to_owned(),
    };
    let read = TestFile::read(&source);
    let file = read.file.expect("it is a test file");
    let test = &file.tests[0];
    let mut entries = Vec::new();
    for line in &test.lines {
        for (at, _) in line.times() {
            let labels = line.labels.iter();
            entries.push(Entry {
                labels: labels
                    .map(|(name, value)| (name.to_string(), value.to_string()))
                    .collect(),
                at: start + i64::try_from(at.as_nanos()).expect("two days"),
                line: line.text.clone(),
            });
        }
    }
    entries.sort_by_key(|entry| entry.at);
    entries
}

fn replay(entries: &[Entry]) -> Vec<String> {
    let lines: String = entries
        .iter()
        .map(|entry| {
            let time = Timestamp::new(entry.at).to_string();
            json!({"labels": entry.labels, "line": entry.line, "ts": time}).to_string() + "\n"
        })
        .collect();
    let scratch = Scratch::new();
    let rules = scratch.write("rules.yaml", RULES);
    let file = scratch.write("two-days.jsonl", &lines);
    let output = succeed(
        command()
            .args(["replay", "--input", "jsonl", "--rules"])
            .arg(rules)
            .arg(file),
        "",
    );
    output.lines().map(str::to_owned).collect()
}

/// What comes of the same log, pushed in `pieces`; there are `messages` of them.
fn push<'a>(pieces: impl Iterator<Item = &'a [Entry]>, messages: usize) -> Vec<String> {
    let trommel = Setup::new(RULES).with_settings(SETTINGS).start();
    for piece in pieces {
        trommel.push(piece);
    }
    // Whatever comes beyond what is expected comes before the answer to the last push, or never.
    wait::until("every message", || {
        Some(trommel.stdout()).filter(|lines| lines.len() >= messages)
    })
}
