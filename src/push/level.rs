//! The level of an entry, derived as Loki's distributor derives `detected_level`, for rules that ask for `level`.
//!
//! Source: `extractLogLevel`, grafana/loki `pkg/distributor/field_detection.go` as of pull request 19944 (2025-11), with the
//! defaults of `log_level_fields` and `log_level_from_json_max_depth`. One thing differs: a level's word is looked for at every
//! place in the line, not only at its first, so that `stderr` does not hide `err`.

use std::borrow::Cow;

use super::json::{JsonError, Kind, Reader};
use crate::batch::Labels;

/// Names whose value is a level, the earlier before the later.
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

/// Words for levels, and the level that each is. Compared without regard to ASCII case.
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

/// Words looked for in a line that has no field, in this order.
const KEYWORDS: [(&str, &str); 9] = [
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

/// How many objects deep a JSON line is looked into.
const JSON_DEPTH: usize = 2;

const UNKNOWN: &str = "unknown";

/// The level of an entry: one of `trace`, `debug`, `info`, `warn`, `error`, `critical`, `fatal`, `unknown`, or what a label or
/// metadata says and nobody knows, as it is written. Costs a pass over `line` or a few, so it is for entries that a rule asks about.
pub fn level<'a, M>(labels: &'a Labels, metadata: M, line: &[u8]) -> Cow<'a, str>
where
    M: Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
{
    let find = |wanted: &str| {
        let mut pairs = metadata.clone();
        pairs
            .find(|(name, value)| *name == wanted.as_bytes() && !value.is_empty())
            .map(|(_, value)| value)
    };
    if let Some(value) = find("detected_level") {
        return normal(value);
    }
    if let Some(value) = FIELDS.iter().find_map(|field| labels.get(field)) {
        return normal(value.as_bytes());
    }
    if let Some(value) = FIELDS.iter().find_map(|field| find(field)) {
        return normal(value);
    }
    if let Some(number) = find("severity_number") {
        return Cow::Borrowed(of_severity_number(number));
    }
    Cow::Borrowed(of_line(line))
}

fn normal(value: &[u8]) -> Cow<'_, str> {
    known(value).map_or_else(|| String::from_utf8_lossy(value), Cow::Borrowed)
}

fn known(value: &[u8]) -> Option<&'static str> {
    SPELLINGS
        .iter()
        .find(|(word, _)| value.eq_ignore_ascii_case(word.as_bytes()))
        .map(|(_, level)| *level)
}

/// Source: OpenTelemetry logs data model, `SeverityNumber`.
fn of_severity_number(text: &[u8]) -> &'static str {
    let number = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse::<i64>().ok());
    match number {
        None => "info",
        Some(0) => UNKNOWN,
        Some(..=4) => "trace",
        Some(5..=8) => "debug",
        Some(9..=12) => "info",
        Some(13..=16) => "warn",
        Some(17..=20) => "error",
        Some(21..=24) => "fatal",
        Some(_) => UNKNOWN,
    }
}

fn of_line(line: &[u8]) -> &'static str {
    let trimmed = line.trim_ascii();
    let field = if trimmed.starts_with(b"{") && trimmed.ends_with(b"}") {
        of_json(trimmed)
    } else if memchr::memchr(b'=', line).is_some() {
        logfmt_value(line).and_then(known)
    } else {
        None
    };
    field.unwrap_or_else(|| of_words(line))
}

/// Stops the reading of a JSON line.
enum Stop {
    Found(Option<&'static str>),
    Damaged,
}

impl From<JsonError> for Stop {
    fn from(_: JsonError) -> Self {
        Self::Damaged
    }
}

/// The level in the first text member, at any depth looked into, whose name is one of [`FIELDS`].
fn of_json(line: &[u8]) -> Option<&'static str> {
    match look_into(&mut Reader::new(line), 1) {
        Err(Stop::Found(level)) => level,
        Ok(()) | Err(Stop::Damaged) => None,
    }
}

fn look_into(reader: &mut Reader<'_>, depth: usize) -> Result<(), Stop> {
    reader.object(|reader, name| {
        match reader.kind()? {
            Kind::String if FIELDS.iter().any(|field| field.as_bytes() == name) => {
                return Err(Stop::Found(known(&reader.string()?)));
            }
            Kind::Object if depth < JSON_DEPTH => look_into(reader, depth + 1)?,
            _ => reader.skip()?,
        }
        Ok(())
    })
}

/// The value of the logfmt key that comes first in [`FIELDS`]; keys are compared without regard to case, escapes are left as they are.
/// A line that stops being logfmt is not read further. Source: grafana/loki `pkg/logql/log/logfmt/decode.go`.
fn logfmt_value(line: &[u8]) -> Option<&[u8]> {
    let mut best: Option<(usize, &[u8])> = None;
    let mut rest = line;
    loop {
        rest = &rest[rest.iter().position(|&byte| byte > b' ')?..];
        let key_length = until(rest, |byte| byte == b'=' || byte == b'"' || byte <= b' ');
        let key = &rest[..key_length];
        rest = &rest[key_length..];
        let value = match rest.first() {
            Some(b'=') if !key.is_empty() => {
                rest = &rest[1..];
                let value = if rest.first() == Some(&b'"') {
                    quoted(rest)
                } else {
                    plain(rest)
                };
                let Some(value) = value else { break };
                rest = &rest[value.len()..];
                value
                    .strip_prefix(b"\"")
                    .map_or(value, |open| &open[..open.len() - 1])
            }
            Some(b'=' | b'"') => break,
            _ => &[],
        };
        let rank = FIELDS
            .iter()
            .position(|field| key.eq_ignore_ascii_case(field.as_bytes()));
        if let Some(rank) = rank
            && best.is_none_or(|(so_far, _)| rank < so_far)
        {
            best = Some((rank, value));
        }
        if rank == Some(0) || rest.iter().all(|&byte| byte <= b' ') {
            break;
        }
    }
    best.map(|(_, value)| value)
}

/// A quoted value with its quotes.
fn quoted(text: &[u8]) -> Option<&[u8]> {
    let mut escaped = false;
    let end = text.iter().skip(1).position(|&byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some(&text[..end + 2])
}

/// An unquoted value; `None` when something stands in it that may not.
fn plain(text: &[u8]) -> Option<&[u8]> {
    let value = &text[..until(text, |byte| byte <= b' ')];
    (!value.contains(&b'=') && !value.contains(&b'"')).then_some(value)
}

fn until(text: &[u8], ends: impl Fn(u8) -> bool) -> usize {
    text.iter()
        .position(|&byte| ends(byte))
        .unwrap_or(text.len())
}

fn of_words(line: &[u8]) -> &'static str {
    KEYWORDS
        .iter()
        .find(|(word, _)| has_word(line, word.as_bytes()))
        .map_or(UNKNOWN, |(_, level)| level)
}

/// Whether `word`, in ASCII lower case, stands in `line` in any case with no letter, digit or underscore beside it.
fn has_word(line: &[u8], word: &[u8]) -> bool {
    let inside = |at: Option<usize>| {
        at.and_then(|at| line.get(at))
            .is_some_and(|&byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let first = word[0];
    memchr::memchr2_iter(first, first.to_ascii_uppercase(), line).any(|at| {
        let end = at + word.len();
        line.get(at..end)
            .is_some_and(|found| found.eq_ignore_ascii_case(word))
            && !inside(at.checked_sub(1))
            && !inside(Some(end))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(labels: &[(&str, &str)], metadata: &[(&str, &str)], line: &str) -> String {
        let labels = Labels::new(labels.iter().map(|(n, v)| ((*n).into(), (*v).into())));
        let metadata = metadata.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes()));
        level(&labels, metadata, line.as_bytes()).into_owned()
    }

    #[test]
    fn labels_come_before_metadata_before_the_line() {
        let line = r#"{"level":"debug"}"#;
        assert_eq!(of(&[], &[], line), "debug");
        assert_eq!(of(&[], &[("severity_number", "17")], line), "error");
        assert_eq!(
            of(&[], &[("lvl", "WRN"), ("severity_number", "17")], line),
            "warn"
        );
        assert_eq!(
            of(&[("severity", "Information")], &[("level", "WRN")], line),
            "info"
        );
        assert_eq!(
            of(
                &[("level", "info")],
                &[("detected_level", "Critical")],
                line
            ),
            "critical"
        );
        assert_eq!(of(&[("level", "NOTICE")], &[], line), "NOTICE");
    }

    #[test]
    fn severity_numbers_are_those_of_opentelemetry() {
        for (number, expected) in [
            ("0", "unknown"),
            ("1", "trace"),
            ("4", "trace"),
            ("5", "debug"),
            ("9", "info"),
            ("16", "warn"),
            ("17", "error"),
            ("24", "fatal"),
            ("25", "unknown"),
            ("x", "info"),
        ] {
            assert_eq!(of(&[], &[("severity_number", number)], ""), expected);
        }
    }

    #[test]
    fn json_lines_are_read_two_objects_deep() {
        for (line, expected) in [
            (r#"{"msg":"error","level":"WARN"}"#, "warn"),
            (r#" {"log":{"level":"fatal"}} "#, "fatal"),
            (r#"{"a":{"b":{"level":"fatal"}}}"#, "fatal"),
            (r#"{"a":{"b":{"level":"50"}},"severity":"err"}"#, "error"),
            (r#"{"level":30,"lvl":"dbg"}"#, "debug"),
            (r#"{"log.level":"trc"}"#, "trace"),
            (r#"{"level":"strange","msg":"an error"}"#, "error"),
            (r#"{"msg":"x"}"#, "unknown"),
            (r#"{"msg":"x", level: error}"#, "error"),
        ] {
            assert_eq!(of(&[], &[], line), expected, "{line}");
        }
    }

    #[test]
    fn logfmt_lines_are_read_up_to_where_they_stop_being_logfmt() {
        for (line, expected) in [
            ("level=warn msg=\"an error\"", "warn"),
            ("msg=\"an error\" LEVEL=Debug", "debug"),
            ("severity=error level=info", "info"),
            ("lvl=wrn severity=crit=x level=info", "warn"),
            ("lvl=\"trc\" x", "trace"),
            ("level= msg=fatal", "fatal"),
            ("a=b c", "unknown"),
            ("=level", "unknown"),
            ("level=\"err", "error"),
            ("level=\"", "unknown"),
        ] {
            assert_eq!(of(&[], &[], line), expected, "{line}");
        }
    }

    #[test]
    fn words_count_only_whole() {
        for (line, expected) in [
            ("ERROR connection refused", "error"),
            ("[Warning] disk", "warn"),
            ("http referrer and errors, no_error", "unknown"),
            ("to stderr: err 5", "error"),
            ("I0102 information", "unknown"),
            ("INFO then DEBUG", "debug"),
            ("", "unknown"),
        ] {
            assert_eq!(of(&[], &[], line), expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_line_has_a_level(
            line in prop::collection::vec(prop::sample::select(b"levl=\"\\ {}:,eror\n\xff".to_vec()), 0..40)
        ) {
            let labels = Labels::default();
            level(&labels, std::iter::empty(), &line);
        }
    }
}
