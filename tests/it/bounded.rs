//! Memory and disk stay within bounds, and what falls to a bound is counted: an hour of hostile log, in fast-forward.
//!
//! `TROMMEL_BOUNDED=long` sends ten times as much in each of the hour's minutes.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::http::{Client, Request};
use crate::support::loki::{self, Entry, field, pack};
use crate::support::trommel::{Setup, Trommel};
use crate::support::wait;

/// The defaults, but for what would take days to fill. The deadline is long, or a slow machine would shed what is to fill them.
const SETTINGS: &str = "
memory: 96MiB
limits: {answer_deadline: 30s}
outbox_bytes_max: 1MiB
";

const MINUTES: i64 = 60;

/// Rules that match every hostile line, beside those of [`rules`].
const EVERY_LINE: usize = 50;

/// What trommel may take, ever: `memory`.
const RESIDENT_BYTES_MAX: u64 = 96 << 20;

/// What is resident of the program's file, as it ships. A build for tests, which is hardly optimised, has more than twice of it, and that
/// says nothing of what grows with what is pushed.
const PROGRAM_BYTES: u64 = 16 << 20;

/// How much more it may have than a third of the hour before: every bound has been met by then, and what comes after is 40 MiB of lines.
const GROWTH_BYTES_MAX: u64 = 10 << 20;

/// What the data directory may hold, as `docs/testing.md` has it: 13 MiB of keys, 16 KiB for each of 1000 findings that
/// are over, 64 MiB of identities, 1 MiB of messages, 8 MiB of log; pages that are not full and less of the others come to the same.
const DATA_BYTES_MAX: u64 = 112 << 20;

#[test]
fn an_hour_of_hostile_log_stays_within_memory_and_disk_and_every_cut_is_counted() {
    let times = match std::env::var("TROMMEL_BOUNDED").as_deref() {
        Ok("long") => 20,
        _ => 2,
    };
    let setup = Setup::new(&rules())
        .with_settings(SETTINGS)
        .with_data()
        // Nobody listens there, so messages wait.
        .with_nats("nats://127.0.0.1:9");
    let trommel = setup.start();
    let mut client = Client::with_timeout(trommel.push_address(), wait::PATIENCE);
    let mut push = |body: Vec<u8>| {
        let answer = client
            .send(&Request::push_protobuf(body))
            .expect("it is answered");
        assert_eq!(answer.status, 204, "{}", answer.text());
    };

    let begin = now() - MINUTES * 60 * 1_000_000_000;
    let mut sent = 0;
    let mut resident = Vec::new();
    let mut data_bytes = 0;
    for minute in 0..MINUTES {
        let at = begin + minute * 60 * 1_000_000_000;
        for part in 0..times {
            for entries in hostile(minute, part, at) {
                sent += entries.len();
                push(loki::protobuf(&entries));
            }
            // Empty entries, in no time at all.
            let empty = if minute % 12 == 0 { 1_100_000 } else { 5000 };
            sent += empty;
            push(nothing(empty));
        }
        resident.push(trommel.resident_bytes());
        data_bytes = data_bytes.max(bytes_in(&setup.data()));
    }

    let program = trommel.program_bytes();
    let peak = trommel.peak_bytes() - program + program.min(PROGRAM_BYTES);
    let (then, end) = (
        resident[resident.len() * 2 / 3],
        resident[resident.len() - 1],
    );
    println!(
        "{sent} entries; resident MiB by five minutes {:?}, at most {} MiB with the program's file as it ships; data {} KiB",
        resident
            .iter()
            .step_by(5)
            .map(|bytes| bytes >> 20)
            .collect::<Vec<_>>(),
        peak >> 20,
        data_bytes >> 10,
    );
    let counted = counted(&trommel);
    for (name, count) in &counted {
        println!("{name} {count}");
    }
    assert!(end.saturating_sub(then) < GROWTH_BYTES_MAX, "{resident:?}");
    assert!(peak < RESIDENT_BYTES_MAX, "{peak}");
    assert!(data_bytes < DATA_BYTES_MAX, "{data_bytes}");

    assert_eq!(trommel.metric("trommel_entries_total", ""), sent as f64);
    for (name, count) in counted {
        assert!(count > 0.0, "{name}");
    }
    assert_eq!(trommel.metric("trommel_commit_failures_total", ""), 0.0);
    let log = trommel.log();
    assert!(!log.contains("panicked"), "{log}");
}

/// What fell to each bound.
fn counted(trommel: &Trommel) -> Vec<(&'static str, f64)> {
    [
        "trommel_streams_forgotten_total",
        "trommel_labels_invalid_total",
        "trommel_lines_cut_total",
        "trommel_entries_shed_total",
        "trommel_entries_late_total",
        "trommel_keys_evicted_total",
        "trommel_keys_refused_total",
        "trommel_keys_cut_total",
        "trommel_identities_evicted_total",
        "trommel_outbox_dropped_total",
    ]
    .map(|name| (name, trommel.metric(name, "")))
    .into()
}

/// One rule whose keys open at once and stay, one whose keys never open, and fifty that match every line of both.
fn rules() -> String {
    let mut rules = "rules:
  - {id: opens, match: {re: 'ERROR opens (?P<user>\\S+)'}, by: [user], recover: 15m, incident_type: error_spike}
  - {id: waits, match: {re: 'ERROR waits (?P<user>\\S+)'}, threshold: 5 in 1h, by: [user], incident_type: error_spike}
".to_owned();
    for number in 0..EVERY_LINE {
        rules += &format!(
            "  - {{id: every_{number}, match: ERROR, threshold: {} in 1h, by: [component], incident_type: error_spike}}\n",
            100 + number
        );
    }
    rules
}

/// A minute's requests.
fn hostile(minute: i64, part: i64, at: i64) -> Vec<Vec<Entry>> {
    let name = |n: i64| format!("{minute}-{part}-{n}");
    let filler = "x".repeat(150);
    let entry = |labels: &[(&str, &str)], n: i64, line: String| Entry {
        labels: labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        at: at + n * 1_000_000,
        line,
    };
    let shop = [("component", "shop")];
    let lines = |kind: &str, count: i64, filler: &str| {
        let line = |n| entry(&shop, n, format!("ERROR {kind} user-{} {filler}", name(n)));
        (0..count).map(line).collect::<Vec<_>>()
    };
    let long = "y".repeat(20 << 10);
    vec![
        // As long as lines are quoted: fewer findings fill their room then, and a build for tests gets through them.
        lines("opens", 100, &filler.repeat(12)),
        lines("waits", 80, &filler),
        // Label sets that never come again, and one that is too long.
        (0..200)
            .map(|n| {
                entry(
                    &[("pod", &name(n)), ("id", &filler)],
                    n,
                    "all is well".to_owned(),
                )
            })
            .chain([entry(&[("pod", &long)], 0, "all is well".to_owned())])
            .collect(),
        vec![entry(&shop, 0, format!("ERROR {}", "z".repeat(1 << 20)))],
    ]
}

/// A push of so many entries without time and text.
fn nothing(count: usize) -> Vec<u8> {
    let entries = field(2, b"").repeat(count);
    pack(&field(1, &[field(1, b"{a=\"b\"}"), entries].concat()))
}

/// Bytes of the files in a folder.
fn bytes_in(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).expect("it is there");
    // One may go while it is looked at.
    files
        .filter_map(|file| Some(file.ok()?.metadata().ok()?.len()))
        .sum()
}

/// Nanoseconds since the epoch.
fn now() -> i64 {
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is past 1970");
    i64::try_from(wall.as_nanos()).expect("before the year 2262")
}
