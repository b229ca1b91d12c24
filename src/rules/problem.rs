//! What is wrong with a rule file, and exactly where.

use std::ops::Range;

use schemars::JsonSchema;
use serde::Serialize;

pub(super) use super::code::{Code, Level};

/// Most errors, and most warnings, that are kept of one file: nobody reads further.
pub(super) const FAULTS_MAX: usize = 200;

/// A rule file: how it is named to people, and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceText {
    /// Path as given, or `builtin/….yaml`.
    pub name: String,
    /// The whole file.
    pub text: String,
}

impl SourceText {
    /// The line that holds the byte `at`, its range without line end, and its one-based number.
    pub(super) fn line_at(&self, at: usize) -> (Range<usize>, usize) {
        let bytes = self.text.as_bytes();
        let at = at.min(bytes.len());
        let start = memchr::memrchr(b'\n', &bytes[..at]).map_or(0, |newline| newline + 1);
        let mut end = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |length| at + length);
        if end > start && bytes[end - 1] == b'\r' {
            end -= 1;
        }
        let number = memchr::memchr_iter(b'\n', &bytes[..start]).count() + 1;
        (start..end, number)
    }

    /// The one-based line and column of the byte `at`. A byte order mark is no character.
    fn place_of(&self, at: usize) -> (usize, usize) {
        let (line, number) = self.line_at(at);
        let before = self.slice(&(line.start..at.min(self.text.len())));
        let column = before.trim_start_matches('\u{feff}').chars().count() + 1;
        (number, column)
    }

    /// The piece of the text at `span`; empty where `span` is none of it.
    pub(super) fn slice(&self, span: &Range<usize>) -> &str {
        self.text.get(span.clone()).unwrap_or_default()
    }
}

/// One thing that is wrong, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Problem {
    /// Whether it refuses the rules.
    pub level: Level,
    /// What kind: `trommel check --explain` tells more.
    #[schemars(with = "String")]
    pub code: Code,
    /// The path that the rules know the file by; `text` for a text that came along.
    pub file: String,
    /// One-based line; 1 when the problem is the file itself.
    pub line: usize,
    /// One-based column, in characters.
    pub column: usize,
    /// The line where the place ends.
    pub end_line: usize,
    /// The column behind its last character.
    pub end_column: usize,
    /// The same place in bytes of the file.
    #[schemars(with = "Span")]
    pub span: Range<usize>,
    /// What is wrong: lowercase, no full stop.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// Id of the rule that it is in; none for what `defaults` say, or the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// How a [`Problem`]'s `span` is written.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its description is used")]
struct Span {
    /// The first byte.
    start: usize,
    /// The one behind the last.
    end: usize,
}

impl Problem {
    /// `fault`, found in `source`.
    pub(super) fn new(source: &SourceText, fault: Fault) -> Self {
        let (line, column) = source.place_of(fault.at.start);
        let (end_line, end_column) = source.place_of(fault.at.end.max(fault.at.start));
        Self {
            level: fault.code.level(),
            code: fault.code,
            file: source.name.clone(),
            line,
            column,
            end_line,
            end_column,
            span: fault.at,
            message: fault.message,
            help: fault.help,
            rule: None,
        }
    }

    /// A problem of a whole file, which may not have been read.
    pub(super) fn of_file(code: Code, file: &str, message: String) -> Self {
        Self {
            level: code.level(),
            code,
            file: file.to_owned(),
            line: 1,
            column: 1,
            end_line: 1,
            end_column: 1,
            span: 0..0,
            message,
            help: None,
            rule: None,
        }
    }
}

/// A problem whose file is known from where it was found. `at` is in bytes: of the file, or of the text that was parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: Code,
    pub(super) at: Range<usize>,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Fault {
    pub(super) fn new(code: Code, at: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            code,
            at,
            message: message.into(),
            help: None,
        }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// `text` as it can be written in YAML so that it stays a text: in single quotes where possible.
pub(super) fn quoted(text: &str) -> String {
    if text.contains('\'') && !text.contains(['"', '\\']) {
        format!("\"{text}\"")
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// `text`, short enough for a message.
pub(super) fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    match text.char_indices().nth(CHARS_MAX) {
        None => text.to_owned(),
        Some((cut, _)) => format!("{}…", &text[..cut]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_are_one_based_and_count_characters() {
        let source = SourceText {
            name: "a.yaml".to_owned(),
            text: "\u{feff}a: é\r\nöb: x".to_owned(),
        };
        let place = |at: usize| {
            let problem = Problem::new(&source, Fault::new(Code::Syntax, at..at, ""));
            (problem.line, problem.column)
        };
        assert_eq!(place(3), (1, 1));
        assert_eq!(place(6), (1, 4));
        assert_eq!(place(10), (2, 1));
        assert_eq!(place(12), (2, 2));
        assert_eq!(place(16), (2, 6));
        assert_eq!(place(9999), (2, 6));
        assert_eq!(source.line_at(4).0, 0..8);
    }

    #[test]
    fn a_text_is_quoted_so_that_yaml_reads_it_back() {
        assert_eq!(quoted("a: b"), "'a: b'");
        assert_eq!(quoted("it's"), "\"it's\"");
        assert_eq!(quoted("it's \"x\""), "'it''s \"x\"'");
    }
}
