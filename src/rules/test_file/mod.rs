//! Files of tests: what is logged, and which messages must come of it.
//!
//! - `logs`: lines with offsets, as `logs` has them.
//! - `message`: messages as `expect` has them.
//! - `update`: the same file with other messages, and nothing else changed.
//!
//! This is what such a file says; what happens then is [`crate::rule_test`]'s.

mod logs;
mod message;
mod update;

use std::ops::Range;
use std::time::Duration;

pub use logs::LogLine;
pub(super) use logs::{Logs, OFFSET_MAX, name as label_name};
pub use message::{ExpectedMessage, MESSAGE_KEYS, MessageState};
pub use update::{Change, Fate, update};

use super::keys::nearest;
use super::model::RuleSet;
use super::problem::{Code, Fault, Level, Problem, SourceText, shortened};
use super::{read, yaml};
use crate::time::Timestamp;

/// A file of tests, read and checked as far as that is possible without its rules.
#[derive(Debug, Clone, PartialEq)]
pub struct TestFile {
    /// The rule files that it names, and no others, are tested.
    pub rules: Vec<RulePath>,
    /// Its tests, in the order written.
    pub tests: Vec<Test>,
}

/// A rule file, or a directory of them, as a test file names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulePath {
    /// As written: seen from the test file.
    pub path: String,
    pub(super) span: Range<usize>,
}

/// One test: what is logged from nothing on, and every message that comes of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    /// A sentence about what happens.
    pub name: String,
    /// One-based line of the file.
    pub line: usize,
    /// What is logged, in the order written.
    pub lines: Vec<LogLine>,
    /// When it ends, from the start on; no line is later.
    pub until: Duration,
    /// Every message, in the order written.
    pub expect: Vec<ExpectedMessage>,
    /// The time that offsets count from.
    pub start: Timestamp,
    /// The rules whose messages are looked at; all when there are none.
    pub only: Vec<OnlyRule>,
    /// The environment that it runs in; empty when it names none.
    pub environment: String,
    pub(super) places: Places,
}

/// A rule that a test limits itself to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnlyRule {
    /// Its id.
    pub id: String,
    pub(super) span: Range<usize>,
}

/// Where the pieces of a test stand that an update changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Places {
    /// The whole test.
    pub(super) test: Range<usize>,
    /// The key `expect`.
    pub(super) key: Range<usize>,
    /// Its value.
    pub(super) list: Range<usize>,
}

impl Test {
    /// Where a test begins when it does not say: a Thursday.
    pub const START: Timestamp = Timestamp::new(1_767_225_600_000_000_000);

    /// Whether messages of the rule `id` are looked at.
    #[must_use]
    pub fn concerns(&self, id: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only.id == id)
    }
}

/// What reading a file of tests gave: the tests, or the errors that refuse the file; warnings in either case.
#[derive(Debug)]
pub struct TestsRead {
    /// `None` when the file has an error.
    pub file: Option<TestFile>,
    /// Everything wrong with it, in the order of lines.
    pub problems: Vec<Problem>,
}

impl TestFile {
    /// Reads a file of tests.
    #[must_use]
    pub fn read(source: &SourceText) -> TestsRead {
        let mut faults = Vec::new();
        let file = yaml::parse(source, &mut faults).map(|root| {
            let (file, more) = read::test_file(source, &root);
            faults.extend(more);
            file
        });
        let valid = faults
            .iter()
            .all(|fault| fault.code.level() != Level::Error);
        faults.sort_by_key(|fault| fault.at.start);
        let problems = faults.into_iter().map(|fault| Problem::new(source, fault));
        TestsRead {
            problems: problems.collect(),
            file: file.filter(|_| valid),
        }
    }

    /// What is wrong with it beside its rules: it names one that is not there, or a value that no message has.
    /// A message of an unknown rule is no mistake of the file but one that does not come.
    #[must_use]
    pub fn check(&self, source: &SourceText, rules: &RuleSet) -> Vec<Problem> {
        let mut faults = Vec::new();
        for test in &self.tests {
            for only in &test.only {
                if rules.find(&only.id).is_none() {
                    let fault = Fault::new(
                        Code::UnknownRule,
                        only.span.clone(),
                        format!("there is no rule `{}` in the files under `rules`", only.id),
                    );
                    faults.push(match nearest_id(&only.id, rules) {
                        Some(meant) => fault.help(format!("did you mean `{meant}`?")),
                        None => fault,
                    });
                }
            }
            for expected in &test.expect {
                if let Some((_, rule)) = rules.find(&expected.rule) {
                    faults.extend(expected.unknown_keys(&rule.by));
                }
            }
        }
        let problems = faults.into_iter().map(|fault| Problem::new(source, fault));
        problems.collect()
    }
}

/// The rule that somebody who wrote `id` may have meant.
#[must_use]
pub fn nearest_id<'a>(id: &str, rules: &'a RuleSet) -> Option<&'a str> {
    nearest(id, rules.rules.iter().map(|rule| rule.id.as_str()))
}

impl RulePath {
    /// The problem that this path leads to no rules, with the reason `why`.
    #[must_use]
    pub fn unreadable(&self, source: &SourceText, why: &str) -> Problem {
        let message = format!("`{}`: {why}", shortened(&self.path));
        let fault = Fault::new(Code::Unreadable, self.span.clone(), message);
        Problem::new(
            source,
            fault.help("paths are as seen from the directory of this file"),
        )
    }
}

impl LogLine {
    /// The warning that it repeats an entry.
    #[must_use]
    pub fn repeats(&self, source: &SourceText) -> Problem {
        let fault = Fault::new(
            Code::TestRepeats,
            self.span.clone(),
            "this line has an entry that is there already: the same labels, time and text count once",
        );
        Problem::new(source, fault)
    }
}

#[cfg(test)]
mod tests;
