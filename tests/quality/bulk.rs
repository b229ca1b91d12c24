//! Whole logs of sixteen systems, of which most lines mean nothing. They are old system logs with real faults in them, so every
//! match is a line to read: its verdict stands in `verdicts.tsv`, by the shape of the line, without the line itself.
//!
//! `UPDATE_EXPECT=1` rewrites the counts there and adds what has no verdict yet, as `?`, which fails until somebody has read the
//! lines that the test prints.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use trommel::batch::Stream;
use trommel::scan::Scanner;
use trommel::time::Timestamp;

use crate::corpus::{self, SystemLog, shown};
use crate::pack::{self, Asker, stream};
use crate::shape::{Shape, masked};

/// Systems that did what they are for while they wrote their logs, and how that shows.
const HEALTHY: &[(&str, &str)] = &[
    (
        "android",
        "a phone in use; its warnings are about windows and wake locks",
    ),
    (
        "hdfs",
        "blocks are written, served and deleted; clients end some transfers early",
    ),
    (
        "healthapp",
        "steps are counted and stored; a few are inserted again",
    ),
    (
        "openstack",
        "servers are built, listed and deleted; some requests are for what is gone",
    ),
    ("spark", "a job runs to its end without an error"),
    (
        "windows",
        "packages are looked up and serviced; what is not there is said at level info",
    ),
];

/// Most findings in a hundred thousand lines of healthy systems.
const FINDINGS_MAX: f64 = 5.0;

const VERDICTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/quality/verdicts.tsv");
const HEADING: &str = "rule\tsystem\tshape\tcount\tverdict\twhy\n";

/// Lines of one shape that one rule matches in one system's log.
#[derive(Debug)]
struct Group {
    count: usize,
    example: String,
}

/// Which matches are meant: rule, system and shape.
type Key = (String, String, Shape);

/// What somebody who has read the lines of a group thinks of them.
#[derive(Debug, Clone)]
struct Verdict {
    count: usize,
    /// `true`, `false`, or `?` before anybody has.
    is_true: String,
    why: String,
}

fn labels(system: &str) -> Arc<Stream> {
    let pairs = [
        ("job", format!("loghub/{system}")),
        ("app", system.to_owned()),
    ];
    stream(pairs.map(|(name, value)| (name.to_owned(), value)))
}

fn matches(logs: &[SystemLog]) -> BTreeMap<Key, Group> {
    let mut asker = Asker::new();
    let mut groups: BTreeMap<Key, Group> = BTreeMap::new();
    for log in logs {
        let stream = labels(&log.system);
        for line in &log.lines {
            let matching = asker.matching(&stream, line);
            if matching.is_empty() {
                continue;
            }
            let text = String::from_utf8_lossy(line);
            let shape = Shape::of(&text);
            for rule in matching {
                let key = (rule.to_owned(), log.system.clone(), shape);
                let group = groups.entry(key).or_insert_with(|| Group {
                    count: 0,
                    example: text.clone().into_owned(),
                });
                group.count += 1;
            }
        }
    }
    groups
}

fn verdicts() -> BTreeMap<Key, Verdict> {
    let text = fs::read_to_string(VERDICTS).expect("the verdicts are there");
    let rows = text.strip_prefix(HEADING).expect("its heading");
    let rows = rows.lines().map(|row| {
        let [rule, system, shape, count, verdict, why] = row.split('\t').collect::<Vec<_>>()[..]
        else {
            panic!("not six columns: {row}");
        };
        assert!(
            matches!(verdict, "true" | "false" | "?"),
            "no verdict: {row}"
        );
        let verdict = Verdict {
            count: count.parse().expect("a count"),
            is_true: verdict.to_owned(),
            why: why.to_owned(),
        };
        let shape = Shape::parse(shape).unwrap_or_else(|| panic!("no shape: {row}"));
        ((rule.to_owned(), system.to_owned(), shape), verdict)
    });
    rows.collect()
}

fn update(found: &BTreeMap<Key, Group>, verdicts: &BTreeMap<Key, Verdict>) {
    let mut text = HEADING.to_owned();
    for (key, group) in found {
        let (rule, system, shape) = key;
        let known = verdicts.get(key);
        let is_true = known.map_or("?", |verdict| &verdict.is_true);
        let why = known.map_or("", |verdict| &verdict.why);
        text += &format!(
            "{rule}\t{system}\t{shape}\t{}\t{is_true}\t{why}\n",
            group.count
        );
    }
    fs::write(Path::new(VERDICTS), text).expect("the verdicts can be written");
}

#[test]
fn every_match_in_whole_logs_was_judged_to_be_true() {
    let Some(logs) = corpus::bulk("whole logs") else {
        return;
    };
    let found = matches(&logs);
    let known = verdicts();
    let mut faults = Vec::new();
    for (key, group) in &found {
        let (rule, system, shape) = key;
        let verdict = known.get(key);
        let judged = verdict.map_or("?", |verdict| &verdict.is_true);
        let Group { count, example } = group;
        println!(
            "{rule} {system} {shape} {count} {judged}: {}",
            shown(example)
        );
        let fault = match verdict {
            None => "nobody has judged it",
            Some(verdict) if verdict.is_true == "?" => "nobody has judged it",
            Some(verdict) if verdict.is_true != "true" => "it is false",
            Some(verdict) if verdict.why.is_empty() => "the verdict has no reason",
            Some(verdict) if verdict.count != *count => "the count is another",
            Some(_) => continue,
        };
        faults.push(format!(
            "{rule} {system} {shape}: {fault}: {}",
            shown(&masked(example))
        ));
    }
    for (rule, system, shape) in known.keys() {
        if !found.contains_key(&(rule.clone(), system.clone(), *shape)) {
            faults.push(format!("{rule} {system} {shape}: nothing matches any more"));
        }
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        update(&found, &known);
    }
    let lines: usize = logs.iter().map(|log| log.lines.len()).sum();
    let total: usize = found.values().map(|group| group.count).sum();
    println!("{total} matches of {} shapes in {lines} lines", found.len());
    assert!(
        faults.is_empty(),
        "UPDATE_EXPECT=1 lists them:\n{}",
        faults.join("\n")
    );
}

#[test]
fn healthy_systems_have_hardly_a_finding() {
    let Some(logs) = corpus::bulk("healthy systems") else {
        return;
    };
    let known: BTreeSet<&str> = logs.iter().map(|log| &*log.system).collect();
    assert!(
        HEALTHY.iter().all(|(system, _)| known.contains(system)),
        "{known:?}"
    );
    let scanner = Arc::new(Scanner::new(pack::rules()));
    let mut of_healthy = 0;
    let mut lines = 0;
    println!(
        "{:<12} {:>6} {:>8} {:>11}",
        "system", "lines", "findings", "in 100 000"
    );
    for log in &logs {
        let stream = labels(&log.system);
        let entries = timed(log).into_iter();
        let entries = entries.map(|(at, line)| (&stream, at, line));
        let findings = pack::opened(&scanner, entries);
        let is_healthy = HEALTHY.iter().any(|(system, _)| *system == log.system);
        let (found, of) = (findings.len(), log.lines.len());
        let rate = in_100_000(found, of);
        let mark = if is_healthy { "healthy" } else { "" };
        println!("{:<12} {of:>6} {found:>8} {rate:>11.1} {mark}", log.system);
        for finding in &findings {
            println!(
                "    {} {} {}",
                finding.time, finding.dedupe_key, finding.summary
            );
        }
        if is_healthy {
            of_healthy += found;
            lines += of;
        }
    }
    let rate = in_100_000(of_healthy, lines);
    println!("healthy systems: {of_healthy} findings in {lines} lines, {rate:.1} in 100 000");
    assert!(
        rate <= FINDINGS_MAX,
        "{rate} findings in 100 000 lines, {FINDINGS_MAX} are the most"
    );
}

fn in_100_000(findings: usize, lines: usize) -> f64 {
    findings as f64 * 100_000.0 / lines.max(1) as f64
}

/// The lines in order of time. One without a time is of that before it; equal ones of one second are kept apart.
fn timed(log: &SystemLog) -> Vec<(Timestamp, &[u8])> {
    let mut last = None;
    let mut dated = 0;
    let mut lines: Vec<_> = log
        .lines
        .iter()
        .enumerate()
        .map(|(n, line)| {
            let time = seconds(&log.system, &String::from_utf8_lossy(line));
            dated += usize::from(time.is_some());
            last = time.or(last);
            let nanos = u32::try_from(n).expect("few lines");
            (
                Timestamp::from_parts(last.unwrap_or_default(), nanos.into()),
                &**line,
            )
        })
        .collect();
    // A system whose times are not understood would be played in one instant.
    assert!(2 * dated > lines.len(), "{}: {dated} times", log.system);
    lines.sort_by_key(|(at, _)| *at);
    lines
}

/// The time that a line of `system` begins with, in seconds since 1970.
fn seconds(system: &str, line: &str) -> Option<i64> {
    /// Where none is written.
    const YEAR: &str = "2016";
    let word = |n: usize| line.split_whitespace().nth(n);
    let cut = |range: std::ops::Range<usize>| line.get(range);
    let (text, format) = match system {
        "bgl" | "thunderbird" => return word(1)?.parse().ok(),
        "hpc" => return word(4)?.parse().ok(),
        "android" => (format!("{YEAR}-{}", cut(0..14)?), "%Y-%m-%d %H:%M:%S"),
        "apache" => (cut(5..25)?.to_owned(), "%b %d %H:%M:%S %Y"),
        "hadoop" | "zookeeper" | "windows" => (cut(0..19)?.to_owned(), "%Y-%m-%d %H:%M:%S"),
        "hdfs" => (cut(0..13)?.to_owned(), "%y%m%d %H%M%S"),
        "healthapp" => {
            let parts: Vec<_> = line.split(':').take(3).collect();
            (parts.join(":"), "%Y%m%d-%H:%M:%S")
        }
        "linux" | "mac" | "openssh" => (format!("{YEAR} {}", cut(0..15)?), "%Y %b %e %H:%M:%S"),
        "openstack" => (
            format!("{} {}", word(1)?, cut_off(word(2)?)),
            "%Y-%m-%d %H:%M:%S",
        ),
        "proxifier" => (format!("{YEAR}.{}", cut(1..15)?), "%Y.%m.%d %H:%M:%S"),
        "spark" => (cut(0..17)?.to_owned(), "%y/%m/%d %H:%M:%S"),
        _ => panic!("a new system: say how its times are written"),
    };
    let time = jiff::civil::DateTime::strptime(format, text).ok()?;
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(time.timestamp().as_second())
}

/// A time of day without its fraction.
fn cut_off(time: &str) -> &str {
    time.split_once('.').map_or(time, |(seconds, _)| seconds)
}

#[test]
fn times_are_read_as_the_systems_write_them() {
    for (system, line, expected) in [
        ("bgl", "- 1117838570 2005.06.03 x", 1_117_838_570),
        ("hpc", "1 node-2 unix.hw x 1077804742 1 y", 1_077_804_742),
        ("android", "03-17 16:13:38.811  1702 x", 1_458_231_218),
        ("apache", "[Sun Dec 04 04:47:44 2005] x", 1_133_671_664),
        ("hadoop", "2015-10-18 18:01:47,978 INFO", 1_445_191_307),
        ("hdfs", "081109 203615 148 INFO", 1_226_262_975),
        ("healthapp", "20171223-22:15:29:606|x", 1_514_067_329),
        ("healthapp", "20171224-0:7:9:606|x", 1_514_074_029),
        ("linux", "Jun  4 15:16:01 combo", 1_465_053_361),
        (
            "openstack",
            "nova.log 2017-05-16 00:00:00.008 1",
            1_494_892_800,
        ),
        ("proxifier", "[10.30 16:49:06] x", 1_477_846_146),
        ("spark", "17/06/09 20:10:40 INFO", 1_497_039_040),
    ] {
        assert_eq!(seconds(system, line), Some(expected), "{line}");
    }
    assert_eq!(seconds("hadoop", "java.io.IOException: x"), None);
}
