//! The level that Loki's distributor would store as `detected_level`, which the tee does not carry.
//!
//! Source: `FieldDetector` in grafana/loki `pkg/distributor/field_detection.go` as of grafana/loki#19944 (November 2025),
//! with its default field names and the default depth of two JSON levels.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::fields::{Members, Pairs, Value};
use super::line::Metadata;
use crate::batch::Labels;

/// Names that hold a level, in Loki's order.
const FIELDS: [&str; 14] = [
    "level",
    "LEVEL",
    "Level",
    "log.level",
    "severity",
    "SEVERITY",
    "Severity",
    "SeverityText",
    "lvl",
    "LVL",
    "Lvl",
    "severity_text",
    "Severity_Text",
    "SEVERITY_TEXT",
];

const UNKNOWN: &str = "unknown";

/// Spellings and the level they mean, in any case.
const SPELLINGS: [(&str, &str); 14] = [
    ("trace", "trace"),
    ("trc", "trace"),
    ("debug", "debug"),
    ("dbg", "debug"),
    ("info", "info"),
    ("inf", "info"),
    ("information", "info"),
    ("warn", "warn"),
    ("wrn", "warn"),
    ("warning", "warn"),
    ("error", "error"),
    ("err", "error"),
    ("critical", "critical"),
    ("fatal", "fatal"),
];

/// Words that give away the level of a line without fields, in the order in which they win.
const WORDS: [(&str, &str); 9] = [
    ("trace", "trace"),
    ("debug", "debug"),
    ("fatal", "fatal"),
    ("critical", "critical"),
    ("error", "error"),
    ("err", "error"),
    ("warning", "warn"),
    ("warn", "warn"),
    ("info", "info"),
];

/// JSON objects within objects that are looked into.
const JSON_DEPTH: usize = 2;

/// The level of an entry: `trace`, `debug`, `info`, `warn`, `error`, `critical`, `fatal` or `unknown`;
/// a label or metadata value that is none of these is given as it is.
pub(super) fn level<'a>(labels: &'a Labels, metadata: Metadata<'a>, line: &'a [u8]) -> &'a [u8] {
    if let Some(sent) = metadata.get("detected_level") {
        return normalised(sent);
    }
    if let Some(label) = FIELDS.iter().find_map(|name| labels.get(name)) {
        return normalised(label.as_bytes());
    }
    if let Some(value) = FIELDS.iter().find_map(|name| metadata.get(name)) {
        return normalised(value);
    }
    if let Some(number) = metadata.get("severity_number") {
        return of_severity_number(number).as_bytes();
    }
    of_line(line).as_bytes()
}

fn normalised(value: &[u8]) -> &[u8] {
    known(value).map_or(value, str::as_bytes)
}

fn known(value: &[u8]) -> Option<&'static str> {
    SPELLINGS
        .iter()
        .find(|(spelling, _)| value.eq_ignore_ascii_case(spelling.as_bytes()))
        .map(|(_, level)| *level)
}

/// OpenTelemetry's severity number: four steps to a level.
fn of_severity_number(number: &[u8]) -> &'static str {
    let number = std::str::from_utf8(number)
        .ok()
        .and_then(|text| text.parse::<i64>().ok());
    match number {
        None => "info",
        Some(0) => UNKNOWN,
        Some(..=4) => "trace",
        Some(..=8) => "debug",
        Some(..=12) => "info",
        Some(..=16) => "warn",
        Some(..=20) => "error",
        Some(..=24) => "fatal",
        Some(_) => UNKNOWN,
    }
}

fn of_line(line: &[u8]) -> &'static str {
    let trimmed = line.trim_ascii();
    let field = if trimmed.first() == Some(&b'{') && trimmed.last() == Some(&b'}') {
        of_json(trimmed, JSON_DEPTH)
    } else if line.contains(&b'=') {
        of_logfmt(line)
    } else {
        None
    };
    field.and_then(known).unwrap_or_else(|| of_words(line))
}

/// The first string member with one of the names, in the order of the text.
fn of_json(object: &[u8], depth: usize) -> Option<&[u8]> {
    if depth == 0 {
        return None;
    }
    Members::of(object).find_map(|member| match member.value {
        Value::Text(value) => FIELDS
            .iter()
            .any(|name| name.as_bytes() == member.key)
            .then_some(value),
        Value::Object(inner) => of_json(inner, depth - 1),
        Value::Other(_) => None,
    })
}

/// The value of the key that comes first among the names, in any case.
fn of_logfmt(line: &[u8]) -> Option<&[u8]> {
    let mut best = None;
    let mut best_place = FIELDS.len();
    for pair in Pairs::strict(line) {
        let place = FIELDS[..best_place]
            .iter()
            .position(|name| pair.key.eq_ignore_ascii_case(name.as_bytes()));
        if let Some(place) = place {
            best_place = place;
            best = match pair.value {
                Some(Value::Text(value) | Value::Other(value)) => Some(value),
                Some(Value::Object(_)) | None => None,
            };
            if place == 0 {
                break;
            }
        }
    }
    best
}

/// The first of the words whose first occurrence stands alone.
fn of_words(line: &[u8]) -> &'static str {
    static FINDER: LazyLock<AhoCorasick> = LazyLock::new(|| {
        AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(WORDS.map(|(word, _)| word))
            .expect("nine words are far below the automaton's limits")
    });
    let mut seen = [false; WORDS.len()];
    let mut best = WORDS.len();
    for found in FINDER.find_overlapping_iter(line) {
        let place = found.pattern().as_usize();
        if std::mem::replace(&mut seen[place], true) {
            continue;
        }
        let before = found.start().checked_sub(1).map(|at| line[at]);
        let after = line.get(found.end()).copied();
        if !before.is_some_and(is_word_byte) && !after.is_some_and(is_word_byte) {
            best = best.min(place);
        }
    }
    WORDS.get(best).map_or(UNKNOWN, |(_, level)| level)
}

/// Loki looks at one byte as if it were a Latin-1 character.
fn is_word_byte(byte: u8) -> bool {
    let c = char::from(byte);
    c.is_alphabetic() || c.is_ascii_digit() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &str) {
        let labels = Labels::default();
        let found = level(&labels, Metadata::default(), line.as_bytes());
        assert_eq!(String::from_utf8_lossy(found), expected, "{line}");
    }

    #[test]
    fn a_field_of_the_line_tells_the_level() {
        check(r#"{"msg":"x","level":"ERROR"}"#, "error");
        check(r#"{"Level":"Information"}"#, "info");
        check(r#" {"log":{"level":"wrn"}} "#, "warn");
        check(r#"{"a":{"b":{"level":"error"}}}"#, "error");
        check(r#"{"a":{"b":{"level":"dbg"}}}"#, UNKNOWN);
        check(r#"{"level":50,"msg":"fine"}"#, UNKNOWN);
        check(r#"{"level":"info","severity":"error"}"#, "info");
        check("ts=1 lvl=wrn severity=err", "error");
        check("ts=1 LEVEL=Trace msg=error", "trace");
        check("level=weird msg=\"an error\"", "error");
    }

    #[test]
    fn a_word_that_stands_alone_tells_the_level_of_prose() {
        check("[ERROR] no route", "error");
        check("the referrer was fine", UNKNOWN);
        check("errors happened, then an error", UNKNOWN);
        check("ERR: info follows", "error");
        check("WARNING warn", "warn");
        check("a fatal error", "fatal");
        check("debugging info", "info");
        check("info_total 3", UNKNOWN);
        check("", UNKNOWN);
    }

    #[test]
    fn labels_and_metadata_come_before_the_line() {
        let labels = |name: &str| Labels::new([(name.into(), "WARNING".into())]);
        let found = labels("severity");
        assert_eq!(level(&found, Metadata::default(), b"error"), b"warn");
        let found = Labels::new([("level".into(), "odd".into())]);
        assert_eq!(level(&found, Metadata::default(), b"error"), b"odd");
        for (name, value, expected) in [
            ("detected_level", "ERR", "error"),
            ("lvl", "dbg", "debug"),
            ("severity_number", "17", "error"),
            ("severity_number", "0", UNKNOWN),
            ("severity_number", "many", "info"),
        ] {
            let block = [name, value].concat();
            let span = |start: usize, len: usize| crate::batch::Span {
                start: start as u32,
                len: len as u32,
            };
            let pairs = [(span(0, name.len()), span(name.len(), value.len()))];
            let metadata = Metadata::new(block.as_bytes(), &pairs);
            let none = Labels::default();
            assert_eq!(level(&none, metadata, b"info"), expected.as_bytes());
        }
    }
}
