//! Reading a file of tests: its keys, the text of `logs` line by line, the messages of `expect`.

use std::ops::Range;
use std::time::Duration;

use saphyr_parser::ScalarStyle;

use super::Reader;
use super::value::{Entries, ITEMS_MAX, TEXT_BYTES_MAX};
use crate::batch::Labels;
use crate::rules::keys::{self, Place};
use crate::rules::problem::{Code, Fault, shortened};
use crate::rules::test_file::{
    ExpectedMessage, LogLine, Logs, OFFSET_MAX, OnlyRule, Places, RulePath, Test, TestFile,
    label_name,
};
use crate::rules::yaml::{Node, Value};
use crate::time::{Timestamp, format_duration};

/// Most tests in one file.
const TESTS_MAX: usize = 10_000;

impl Reader<'_> {
    pub(super) fn test_file(&mut self, root: &Node) -> TestFile {
        let mut file = TestFile {
            rules: Vec::new(),
            tests: Vec::new(),
        };
        if root.value == Value::Null {
            self.fault(Fault::new(Code::Missing, 0..0, "the file holds no tests"));
            return file;
        }
        if self.is_rules(root) {
            return file;
        }
        let Some(keys) = self.map(root, Place::TestFile) else {
            return file;
        };
        match keys.get("rules") {
            Some(node) => {
                for node in self.items(node, "`rules`") {
                    if let Some(path) = self.line(node, "a path of `rules`") {
                        let (path, span) = (path.to_owned(), node.span.clone());
                        file.rules.push(RulePath { path, span });
                    }
                }
            }
            None if self.faults.is_empty() => self.fault(
                Fault::new(Code::Missing, 0..0, "the file has no `rules`")
                    .help("write `rules: [a_file.yaml]`: which rules are tested"),
            ),
            None => {}
        }
        let Some(tests) = keys.get("tests") else {
            if self.faults.is_empty() {
                self.fault(
                    Fault::new(Code::Missing, 0..0, "the file has no `tests`")
                        .help("write `tests:` and below it a list of tests: `- name: …`"),
                );
            }
            return file;
        };
        let Value::List(tests) = &tests.value else {
            self.fault(
                Fault::new(Code::Shape, tests.span.clone(), "`tests` must be a list")
                    .help("every test begins with `- name: …`"),
            );
            return file;
        };
        if tests.len() > TESTS_MAX {
            self.fault(Fault::new(
                Code::TooMany,
                keys.entry("tests")
                    .map_or(0..0, |(key, _)| key.span.clone()),
                format!("the file has {} tests, limit is {TESTS_MAX}", tests.len()),
            ));
            return file;
        }
        file.tests = tests.iter().filter_map(|node| self.test(node)).collect();
        file
    }

    /// Reports a file of rules once, and not key by key.
    fn is_rules(&mut self, root: &Node) -> bool {
        let Value::Map(entries) = &root.value else {
            return false;
        };
        let key = |name: &str| entries.iter().find(|(key, _)| key.scalar() == Some(name));
        let is_rule = |node: &Node| matches!(node.value, Value::Map(_));
        let rules = key("rules").filter(|(_, value)| match &value.value {
            Value::List(items) => items.first().is_some_and(is_rule),
            _ => false,
        });
        if let (Some((key, _)), None) = (rules.or(key("defaults")), key("tests")) {
            self.fault(
                Fault::new(
                    Code::Shape,
                    key.span.clone(),
                    "this is a file of rules, and not of tests",
                )
                .help("name it under `rules` of a file of tests; `trommel check` tries the examples of its rules"),
            );
            return true;
        }
        false
    }

    fn test(&mut self, node: &Node) -> Option<Test> {
        let own = self.map(node, Place::Test)?;
        let (first_line, line) = self.source.line_at(node.span.start);
        let here = node.span.start..first_line.end.max(node.span.start);
        let mut missing = |key: &str, example: &str| {
            let fault = Fault::new(
                Code::Missing,
                here.clone(),
                format!("the test has no `{key}`"),
            );
            self.fault(fault.help(format!("write `{example}`")));
        };
        // A key without a value, or with a slip in it, was reported with its map.
        let is_written = |name: &str| match &node.value {
            Value::Map(entries) => entries
                .iter()
                .filter_map(|(key, _)| key.scalar())
                .any(|key| key == name || keys::meant(Place::Test, key) == Some(name)),
            _ => false,
        };
        if !is_written("name") {
            missing("name", "name: a sentence about what happens");
        }
        if !is_written("logs") {
            missing("logs", "logs: 0m what is logged");
        }
        if !is_written("expect") {
            missing(
                "expect",
                "expect: []` for no messages, or list them: `- 4m observed a_rule",
            );
        }
        let name = own.get("name").and_then(|node| self.line(node, "`name`"));
        let labels = own.get("labels").map(|node| self.labels(node));
        let logs = own.get("logs");
        let lines = logs.map(|node| self.logs(node, &labels.unwrap_or_default()));
        let lines = lines.unwrap_or_default();
        let last = lines
            .iter()
            .map(|line| line.ends())
            .max()
            .unwrap_or_default();
        let until = own.get("until").and_then(|node| self.until(node));
        if let Some(until) = until {
            for line in lines.iter().filter(|line| line.ends() > until) {
                self.fault(
                    Fault::new(
                        Code::TestLine,
                        line.span().clone(),
                        format!(
                            "this comes after the test has ended, at {}",
                            format_duration(until)
                        ),
                    )
                    .help("take the line out, or let the test last longer with `until`"),
                );
            }
        }
        Some(Test {
            name: name.unwrap_or_default().to_owned(),
            line,
            lines,
            until: until.unwrap_or(last),
            expect: own
                .get("expect")
                .map(|node| self.expect(node))
                .unwrap_or_default(),
            start: own
                .get("start")
                .and_then(|node| self.start(node))
                .unwrap_or(Test::START),
            only: own
                .get("only")
                .map(|node| self.only(node))
                .unwrap_or_default(),
            environment: own
                .get("environment")
                .and_then(|node| self.environment(node))
                .unwrap_or_default(),
            places: places(node, &own),
        })
    }

    fn labels(&mut self, node: &Node) -> Labels {
        let Value::Map(entries) = &node.value else {
            self.fault(
                Fault::new(
                    Code::Shape,
                    node.span.clone(),
                    "`labels` is a map of names and values",
                )
                .help("write `labels: {namespace: shop, app: api}`"),
            );
            return Labels::default();
        };
        let mut pairs: Vec<(Box<str>, Box<str>)> = Vec::new();
        for (key, value) in entries {
            let Some(name) = key.scalar() else { continue };
            if label_name(name) != Some(name) {
                let fault = Fault::new(
                    Code::Value,
                    key.span.clone(),
                    format!("`{}` is not the name of a label", shortened(name)),
                );
                let near = name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
                let near = Some(near).filter(|near| label_name(near) == Some(near));
                self.fault(match near {
                    Some(near) => fault.help(format!("labels have `_` there: `{near}`")),
                    None => fault.help("it is `[a-zA-Z_][a-zA-Z0-9_]*`"),
                });
                continue;
            }
            let empty = value.scalar() == Some("");
            let what = format!("the label `{name}`");
            if !empty && let Some(text) = self.line(value, &what) {
                pairs.push((name.into(), text.into()));
            }
        }
        Labels::new(pairs)
    }

    fn logs(&mut self, node: &Node, labels: &Labels) -> Vec<LogLine> {
        let Value::Scalar { text, style } = &node.value else {
            self.fault(
                Fault::new(
                    Code::Shape,
                    node.span.clone(),
                    "`logs` is one text, a line for each line of the log",
                )
                .help("write `logs: |`, and below it the lines, indented"),
            );
            return Vec::new();
        };
        let raw = self.source.slice(&node.span);
        let joined = match style {
            ScalarStyle::Folded => true,
            ScalarStyle::Literal => false,
            _ => raw.contains('\n'),
        };
        if joined {
            let end = raw.find('\n').unwrap_or(raw.len());
            self.fault(
                Fault::new(
                    Code::Shape,
                    node.span.start..node.span.start + end,
                    "YAML joins the lines of this text, and `logs` needs them apart",
                )
                .help("write `logs: |`, and below it the lines, indented"),
            );
            return Vec::new();
        }
        let starts = match style {
            ScalarStyle::Literal => self.line_starts(node, text),
            _ => None,
        };
        let mut logs = Logs::default();
        for (place, line) in text.lines().enumerate() {
            let start = starts.as_ref().map(|starts| starts[place]);
            let place = |piece: Range<usize>| match start {
                Some(start) => start + piece.start..start + piece.end,
                None => self.within(node, text, piece),
            };
            logs.line(line, labels, place);
        }
        logs.faults.into_iter().for_each(|fault| self.fault(fault));
        logs.lines
    }

    /// Where each line of a block of text begins in the file, behind its indentation.
    fn line_starts(&self, node: &Node, text: &str) -> Option<Vec<usize>> {
        let blank = text.lines().take_while(|line| line.is_empty()).count();
        // Where the block begins is where its first line does, or the first that is not blank.
        let (first, _) = self.source.line_at(node.span.start);
        [0, blank].into_iter().find_map(|before| {
            let mut at = first.start;
            for _ in 0..before {
                at = self.source.line_at(at.checked_sub(1)?).0.start;
            }
            text.lines()
                .map(|line| {
                    let (range, _) = self.source.line_at(at);
                    at = self.source.text[range.end..]
                        .find('\n')
                        .map_or(self.source.text.len(), |newline| range.end + newline + 1);
                    let written = self.source.slice(&range);
                    // A blank line may be indented less than the others.
                    let fits = written.ends_with(line);
                    fits.then(|| range.end - line.len())
                })
                .collect()
        })
    }

    fn until(&mut self, node: &Node) -> Option<Duration> {
        let until = self.duration(node, "`until`")?;
        if until > OFFSET_MAX {
            self.fault(Fault::new(
                Code::Duration,
                node.span.clone(),
                format!("`until` is at most {}", format_duration(OFFSET_MAX)),
            ));
            return None;
        }
        Some(until)
    }

    fn expect(&mut self, node: &Node) -> Vec<ExpectedMessage> {
        let items = match &node.value {
            Value::List(items) => &items[..],
            _ => std::slice::from_ref(node),
        };
        if items.len() > ITEMS_MAX {
            let message = format!(
                "`expect` has {} messages, limit is {ITEMS_MAX}",
                items.len()
            );
            self.fault(Fault::new(Code::TooMany, node.span.clone(), message));
            return Vec::new();
        }
        let mut messages = Vec::new();
        for node in items {
            let Some(text) = self.text(node, "a message of `expect`", TEXT_BYTES_MAX) else {
                continue;
            };
            match ExpectedMessage::parse(text) {
                Ok(mut message) => {
                    let keys = message.keys.iter().cloned();
                    message.keys = keys.map(|key| self.within(node, text, key)).collect();
                    message.span = node.span.clone();
                    messages.push(message);
                }
                Err(fault) => self.fault_within(node, text, fault),
            }
        }
        messages
    }

    fn start(&mut self, node: &Node) -> Option<Timestamp> {
        let text = self.text(node, "`start`", TEXT_BYTES_MAX)?;
        match text.parse() {
            Ok(start) => Some(start),
            Err(_) => {
                let fault = Fault::new(
                    Code::Value,
                    node.span.clone(),
                    format!(
                        "`start` is an RFC 3339 time, and `{}` is none",
                        shortened(text)
                    ),
                );
                self.fault(fault.help("write `2026-03-29T00:30:00+01:00`"));
                None
            }
        }
    }

    fn only(&mut self, node: &Node) -> Vec<OnlyRule> {
        let mut only = Vec::new();
        for node in self.items(node, "`only`") {
            if let Some(id) = self.token(node, "the id of a rule") {
                let span = node.span.clone();
                only.push(OnlyRule { id, span });
            }
        }
        only
    }
}

fn places(node: &Node, keys: &Entries<'_>) -> Places {
    let (key, list) = keys.entry("expect").map_or((0..0, 0..0), |(key, list)| {
        (key.span.clone(), list.span.clone())
    });
    Places {
        test: node.span.clone(),
        key,
        list,
    }
}
