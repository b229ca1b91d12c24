//! What is wrong with a rule file, and exactly where.

use std::fmt;
use std::ops::Range;

use serde::{Serialize, Serializer};

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

    /// The piece of the text at `span`; empty where `span` is none of it.
    pub(super) fn slice(&self, span: &Range<usize>) -> &str {
        self.text.get(span.clone()).unwrap_or_default()
    }
}

/// Whether a problem refuses the rule set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing loads.
    Error,
    /// It loads, and is probably not what was meant.
    Warning,
}

/// What kind of problem: `R…` are errors of rule files, `L…` warnings; from 101 on, those of test files. A code never changes its
/// meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// R001: YAML cannot read it.
    Syntax,
    /// R002: the file cannot be read, or is too large.
    Unreadable,
    /// R003: one key twice in one map.
    DuplicateKey,
    /// R004: no such key.
    UnknownKey,
    /// R006: a key that must be there is not.
    Missing,
    /// R007: a list where a text is wanted, and so on.
    Shape,
    /// R008: the right kind of value, but not one of those allowed.
    Value,
    /// R009: two rules with one id.
    DuplicateId,
    /// R010: a selector that cannot be read.
    Selector,
    /// R011: a `match` that means nothing, or too much.
    Match,
    /// R012: an expression that does not compile, or matches everything.
    Regex,
    /// R013: a `threshold` that cannot be read.
    Threshold,
    /// R014: no duration.
    Duration,
    /// R015: a summary with an unknown placeholder.
    Placeholder,
    /// R016: a rule that is referred to and does not exist.
    UnknownRule,
    /// R017: rules that exclude each other in a circle.
    Cycle,
    /// R018: too many rules, expressions or items.
    TooMany,
    /// R019: a line of `catches` that the rule does not match.
    NotCaught,
    /// R020: a line of `passes` that the rule matches.
    NotPassed,
    /// R030: keys that exclude each other.
    Conflict,
    /// R101: a line of a test's `logs` that cannot be read.
    TestLine,
    /// R102: a message of a test's `expect` that cannot be read, or that no rule can send.
    TestMessage,
    /// R031: an incident type or domain that no file describes.
    UnknownType,
    /// R032: what no file may say: a hard constraint.
    Constraint,
    /// L001: a short text, looked for in every stream.
    ShortText,
    /// L002: no text that every match must contain.
    NoRequiredText,
    /// L003: every line that another rule matches is matched here too.
    Overlap,
    /// L004: a `by` with as many values as there are requests.
    ManyKeys,
    /// L005: no `catches`.
    NoExamples,
    /// L006: a file or directory without rules.
    NoRules,
    /// L007: a text that looks like an expression.
    LooksLikeRegex,
    /// L008: a text that a YAML comment cuts short.
    CutByComment,
    /// L009: a reference to a rule that is off.
    DisabledRule,
    /// L101: a line of a test's `logs` that repeats an entry, and so does not count.
    TestRepeats,
    /// L102: a line of a test's `logs` that is read otherwise than it looks.
    TestLooksLike,
    /// L030: a rule that is off because it is for certain environments, and none is named.
    NoEnvironment,
    /// L031: the id of a rule that ships, and not its extension.
    ShippedId,
    /// L032: a key that changes nothing where it stands.
    Ineffective,
}

impl Code {
    /// The code as it is shown: `R013`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "R001",
            Self::Unreadable => "R002",
            Self::DuplicateKey => "R003",
            Self::UnknownKey => "R004",
            Self::Missing => "R006",
            Self::Shape => "R007",
            Self::Value => "R008",
            Self::DuplicateId => "R009",
            Self::Selector => "R010",
            Self::Match => "R011",
            Self::Regex => "R012",
            Self::Threshold => "R013",
            Self::Duration => "R014",
            Self::Placeholder => "R015",
            Self::UnknownRule => "R016",
            Self::Cycle => "R017",
            Self::TooMany => "R018",
            Self::NotCaught => "R019",
            Self::NotPassed => "R020",
            Self::Conflict => "R030",
            Self::TestLine => "R101",
            Self::TestMessage => "R102",
            Self::UnknownType => "R031",
            Self::Constraint => "R032",
            Self::ShortText => "L001",
            Self::NoRequiredText => "L002",
            Self::Overlap => "L003",
            Self::ManyKeys => "L004",
            Self::NoExamples => "L005",
            Self::NoRules => "L006",
            Self::LooksLikeRegex => "L007",
            Self::CutByComment => "L008",
            Self::DisabledRule => "L009",
            Self::TestRepeats => "L101",
            Self::TestLooksLike => "L102",
            Self::NoEnvironment => "L030",
            Self::ShippedId => "L031",
            Self::Ineffective => "L032",
        }
    }

    /// Errors refuse the rule set, warnings do not.
    #[must_use]
    pub fn level(self) -> Level {
        if self.as_str().starts_with('R') {
            Level::Error
        } else {
            Level::Warning
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One thing that is wrong, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Error or warning.
    pub level: Level,
    /// What kind.
    pub code: Code,
    /// Name of the file.
    pub file: String,
    /// One-based line; 1 when the problem is the file itself.
    pub line: usize,
    /// One-based column, in characters.
    pub column: usize,
    /// The same place in bytes of the file.
    pub span: Range<usize>,
    /// What is wrong: lowercase, no full stop.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl Problem {
    /// `fault`, found in `source`.
    pub(super) fn new(source: &SourceText, fault: Fault) -> Self {
        let (line, number) = source.line_at(fault.at.start);
        let before = source.slice(&(line.start..fault.at.start.min(source.text.len())));
        Self {
            level: fault.code.level(),
            code: fault.code,
            file: source.name.clone(),
            line: number,
            column: before.trim_start_matches('\u{feff}').chars().count() + 1,
            span: fault.at,
            message: fault.message,
            help: fault.help,
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
            span: 0..0,
            message,
            help: None,
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
