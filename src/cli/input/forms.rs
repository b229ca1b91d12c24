//! The notations of recorded lines: what is an entry, what are its labels, time and text.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::batch::Labels;
use crate::push::{Limits, labels};
use crate::time::Timestamp;

/// An entry as its line says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Draft {
    /// The line in the file where it begins.
    pub(super) n: u64,
    pub(super) labels: Labels,
    pub(super) at: Option<Timestamp>,
    pub(super) line: Vec<u8>,
}

/// How the lines of one file are read, with what is known from those before.
#[derive(Debug)]
pub(super) enum Form {
    Raw,
    Jsonl,
    /// Parts of lines that have not ended yet, of stdout and of stderr.
    Cri([Option<Draft>; 2]),
    /// Its first line tells which of its notations `logcli` used.
    Logcli,
    /// The entry that further lines may belong to.
    LogcliText(Option<Draft>),
}

impl Form {
    pub(super) fn cri() -> Self {
        Self::Cri([None, None])
    }

    pub(super) fn logcli() -> Self {
        Self::Logcli
    }

    /// Reads the line `n` and gives the entry that it completes. Empty lines say nothing.
    ///
    /// # Errors
    /// What is wrong with the line, for people.
    pub(super) fn feed(&mut self, n: u64, line: &[u8]) -> Result<Option<Draft>, String> {
        if line.is_empty() && !matches!(self, Self::LogcliText(_)) {
            return Ok(None);
        }
        match self {
            Self::Raw => Ok(Some(Draft {
                n,
                labels: Labels::default(),
                at: leading_time(line).map(|(at, _)| at),
                line: line.to_vec(),
            })),
            Self::Jsonl => jsonl(n, line).map(Some),
            Self::Cri(parts) => cri(parts, n, line),
            Self::Logcli => {
                *self = if line.starts_with(b"{") {
                    Self::Jsonl
                } else {
                    Self::LogcliText(None)
                };
                self.feed(n, line)
            }
            Self::LogcliText(open) => logcli_text(open, n, line),
        }
    }

    /// The entries that the end of the file completes.
    pub(super) fn finish(self) -> Vec<Draft> {
        match self {
            Self::Cri(parts) => parts.into_iter().flatten().collect(),
            Self::LogcliText(open) => open.into_iter().map(ended).collect(),
            Self::Raw | Self::Jsonl | Self::Logcli => Vec::new(),
        }
    }
}

/// The RFC 3339 time that begins `line`, up to a blank, and what comes after it.
fn leading_time(line: &[u8]) -> Option<(Timestamp, &[u8])> {
    // Nearly all that is no time is told apart by these two.
    if !line.first()?.is_ascii_digit() || line.get(10) != Some(&b'T') {
        return None;
    }
    let end = memchr::memchr(b' ', line).unwrap_or(line.len());
    let time = std::str::from_utf8(&line[..end]).ok()?;
    let rest = line.get(end + 1..).unwrap_or_default();
    Some((time.parse().ok()?, rest))
}

/// Ours, and that of `logcli --output=jsonl`. Other keys are let pass.
#[derive(Deserialize)]
struct JsonLine {
    #[serde(default)]
    labels: BTreeMap<Box<str>, Box<str>>,
    line: String,
    #[serde(alias = "timestamp")]
    ts: Option<String>,
}

fn jsonl(n: u64, line: &[u8]) -> Result<Draft, String> {
    let JsonLine { labels, line, ts } = serde_json::from_slice(line).map_err(|error| {
        // Every object is one line, whose number is told already.
        error
            .to_string()
            .replace(" at line 1 column ", " at column ")
    })?;
    let at = ts.map(|ts| ts.parse::<Timestamp>()).transpose();
    Ok(Draft {
        n,
        labels: Labels::new(labels),
        at: at.map_err(|error| error.to_string())?,
        line: line.into_bytes(),
    })
}

/// Reads a line as Alloy's `stage.cri` does: parts are joined to the line that ends them, whose time they get, and the
/// stream is a label. Source: grafana/alloy `internal/component/loki/process/stages/extensions.go`.
fn cri(parts: &mut [Option<Draft>; 2], n: u64, line: &[u8]) -> Result<Option<Draft>, String> {
    let wrong = || "not a line of a container runtime: `time stdout|stderr F|P message`".to_owned();
    let (at, rest) = leading_time(line).ok_or_else(wrong)?;
    let (stream, rest) = rest.split_at_checked(7).ok_or_else(wrong)?;
    let (name, open) = match stream {
        b"stdout " => ("stdout", &mut parts[0]),
        b"stderr " => ("stderr", &mut parts[1]),
        _ => return Err(wrong()),
    };
    let end = memchr::memchr(b' ', rest).unwrap_or(rest.len());
    let message = rest.get(end + 1..).unwrap_or_default();
    // Further tags may follow the first, after a colon.
    let partial = match rest[..end].split(|&byte| byte == b':').next() {
        Some(b"F") => false,
        Some(b"P") => true,
        _ => return Err(wrong()),
    };
    let mut draft = open.take().unwrap_or_else(|| Draft {
        n,
        labels: Labels::new([("stream".into(), name.into())]),
        at: None,
        line: Vec::new(),
    });
    draft.at = Some(at);
    extend(&mut draft.line, message);
    if partial {
        *open = Some(draft);
        return Ok(None);
    }
    Ok(Some(draft))
}

/// Appends as much as a line may hold: parts without an end must not fill the memory.
fn extend(line: &mut Vec<u8>, more: &[u8]) {
    let room = Limits::default().line_bytes_max.saturating_sub(line.len());
    line.extend_from_slice(&more[..more.len().min(room)]);
}

/// Reads a line of `logcli query`: `time {labels}   line`, without labels if `--no-labels` was given; a line without a time
/// goes on with the entry before. Source: grafana/loki `pkg/logcli/output/default.go`.
fn logcli_text(open: &mut Option<Draft>, n: u64, line: &[u8]) -> Result<Option<Draft>, String> {
    let Some((at, rest)) = leading_time(line) else {
        let Some(open) = open else {
            return Err("not a line of `logcli query`: `time {labels} line`".to_owned());
        };
        extend(&mut open.line, b"\n");
        extend(&mut open.line, line);
        return Ok(None);
    };
    let limits = Limits::default();
    let labelled = labels_end(rest).and_then(|end| {
        let labels = labels::parse(&rest[..end], limits.labels_bytes_max).ok()?;
        Some((labels, rest[end..].trim_ascii_start()))
    });
    let (labels, text) = labelled.unwrap_or_else(|| (Labels::default(), rest));
    let mut next = Draft {
        n,
        labels,
        at: Some(at),
        line: Vec::new(),
    };
    extend(&mut next.line, text);
    Ok(open.replace(next).map(ended))
}

/// An entry that nothing more belongs to. `logcli` trims what it prints, so blank lines after it are not its own.
fn ended(mut draft: Draft) -> Draft {
    let length = draft.line.trim_ascii_end().len();
    draft.line.truncate(length);
    draft
}

/// Where the braces that `text` begins with close, outside of quotes.
fn labels_end(text: &[u8]) -> Option<usize> {
    if text.first() != Some(&b'{') {
        return None;
    }
    let mut quoted = false;
    let mut bytes = text.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' if quoted => {
                bytes.next();
            }
            b'"' => quoted = !quoted,
            b'}' if !quoted => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every entry as `n time labels line`, every refusal as `n !`.
    #[track_caller]
    fn check(mut form: Form, text: &str, expected: &[&str]) {
        let show = |draft: Draft| {
            let at = draft.at.map_or_else(|| "-".to_owned(), |at| at.to_string());
            let line = String::from_utf8_lossy(&draft.line).into_owned();
            format!("{} {at} {} {line}", draft.n, draft.labels)
        };
        let mut read = Vec::new();
        for (place, line) in text.lines().enumerate() {
            let n = place as u64 + 1;
            match form.feed(n, line.as_bytes()) {
                Ok(draft) => read.extend(draft.map(show)),
                Err(problem) => read.push(format!("{n} ! {problem}")),
            }
        }
        read.extend(form.finish().into_iter().map(show));
        assert_eq!(read, expected);
    }

    #[test]
    fn a_raw_line_has_the_time_that_it_begins_with_and_keeps_it() {
        check(
            Form::Raw,
            "2026-01-05T10:00:00+01:00 up\n\nno time\n2026-13-05T10:00:00Z odd\n2026-01-05T09:00:00.5Z",
            &[
                "1 2026-01-05T09:00:00Z {} 2026-01-05T10:00:00+01:00 up",
                "3 - {} no time",
                "4 - {} 2026-13-05T10:00:00Z odd",
                "5 2026-01-05T09:00:00.5Z {} 2026-01-05T09:00:00.5Z",
            ],
        );
    }

    #[test]
    fn an_object_gives_labels_time_and_line() {
        check(
            Form::Jsonl,
            concat!(
                r#"{"labels":{"b":"2","a":"1"},"line":"x\n","ts":"2026-01-05T10:00:00Z"}"#,
                "\n",
                r#"{"line":"y","more":1}"#,
                "\n{}\n[\n",
                r#"{"line":"z","ts":"noon"}"#
            ),
            &[
                "1 2026-01-05T10:00:00Z {a=\"1\", b=\"2\"} x\n",
                "2 - {} y",
                "3 ! missing field `line` at column 2",
                "4 ! EOF while parsing a list at column 1",
                "5 ! `noon` is not an RFC 3339 time such as 2026-01-31T09:30:00Z",
            ],
        );
    }

    #[test]
    fn parts_are_joined_to_the_line_that_ends_them_stream_by_stream() {
        check(
            Form::cri(),
            "2026-01-05T10:00:00.1Z stdout P one \n\
             2026-01-05T10:00:00.2Z stderr F:x other\n\
             2026-01-05T10:00:00.3Z stdout F whole\n\
             2026-01-05T10:00:00.4Z stdout F\n\
             2026-01-05T10:00:00.5Z stdlog F no\n\
             plain\n\
             2026-01-05T10:00:00.6Z stderr P left",
            &[
                "2 2026-01-05T10:00:00.2Z {stream=\"stderr\"} other",
                "1 2026-01-05T10:00:00.3Z {stream=\"stdout\"} one whole",
                "4 2026-01-05T10:00:00.4Z {stream=\"stdout\"} ",
                "5 ! not a line of a container runtime: `time stdout|stderr F|P message`",
                "6 ! not a line of a container runtime: `time stdout|stderr F|P message`",
                "7 2026-01-05T10:00:00.6Z {stream=\"stderr\"} left",
            ],
        );
    }

    #[test]
    fn what_logcli_prints_is_read_with_padding_continuations_and_without_labels() {
        check(
            Form::logcli(),
            "Common labels: {a=\"b\"}\n\
             2026-01-05T10:00:02Z {app=\"a}\\\"\"}   first\n\
             \tat a.b.C\n\
             \n\
             {\"not\":\"ours\"}\n\
             2026-01-05T10:00:01Z {}             second\n\
             2026-01-05T11:00:00+01:00 {\"level\":\"info\"}",
            &[
                "1 ! not a line of `logcli query`: `time {labels} line`",
                "2 2026-01-05T10:00:02Z {app=\"a}\\\"\"} first\n\tat a.b.C\n\n{\"not\":\"ours\"}",
                "6 2026-01-05T10:00:01Z {} second",
                "7 2026-01-05T10:00:00Z {} {\"level\":\"info\"}",
            ],
        );
    }

    #[test]
    fn objects_of_logcli_are_read_too() {
        check(
            Form::logcli(),
            r#"{"labels":{"a":"1"},"line":"x","timestamp":"2026-01-05T10:00:00.000000001Z"}"#,
            &["1 2026-01-05T10:00:00.000000001Z {a=\"1\"} x"],
        );
    }
}
