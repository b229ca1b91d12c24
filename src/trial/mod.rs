//! Rules tried on lines before they are put into use: `explain` says of lines which rules match and why others do not, `backtest` what a changed rule
//! would have opened over the matches that were recorded. Both run what `trommel explain` and `trommel replay` run, beside what is live and
//! without touching it.
//!
//! Whoever asks gives a way to tell when it takes too long; what is tried is bounded by who reads the request and the tape.

mod backtest;
mod explain;

use std::sync::Arc;

use crate::config::Config;
use crate::finding::{Origin, Redactor};
use crate::reload::{RuleSources, redactor};
use crate::rules::{Exclusion, Level, Problem, RuleSet, SourceText};

pub use backtest::{Backtest, Material, Side, TriedEvent, TriedLine, backtest};
pub use explain::{Asked, Explanation, LineAnswer, NearRule, RuleAnswer, explain};

/// What the running trommel looks at lines with, beside its rules.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Where its rules come from.
    pub sources: RuleSources,
    /// What no rule reads.
    pub exclude: Vec<Exclusion>,
    /// Whose findings these are.
    pub origin: Origin,
    /// What is redacted.
    pub redactor: Redactor,
}

impl Terms {
    /// As `config` has them.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            sources: RuleSources::of(config),
            exclude: config.exclude.clone(),
            origin: config.origin.clone(),
            redactor: redactor(config),
        }
    }
}

/// It took longer than whoever asked would wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it takes too long, and was given up")]
pub struct TooLong;

/// Says whether there is time left.
pub type GoOn<'a> = &'a dyn Fn() -> bool;

/// How a text of rules that are tried is called.
pub const TEXT: &str = "text";

/// Rules with those of a text.
#[derive(Debug)]
pub struct Written {
    /// All rules; those of the text stand in for others of the same id.
    pub rules: Arc<RuleSet>,
    /// The ids of the rules that the text has and that are on here.
    pub ids: Vec<String>,
    /// Warnings about the text.
    pub warnings: Vec<Problem>,
}

/// The rules of the files in `terms` with those of `text`. Reads files.
///
/// # Errors
/// What is wrong, as `trommel check` says it: with the text, or with the files.
pub fn with_text(terms: &Terms, text: &str) -> Result<Written, Vec<Problem>> {
    let text = SourceText {
        name: TEXT.to_owned(),
        text: text.to_owned(),
    };
    let loaded = terms.sources.read().load_with(text);
    let Some(set) = loaded.set else {
        let errors = loaded.problems.into_iter();
        return Err(errors
            .filter(|problem| problem.level == Level::Error || problem.file != TEXT)
            .collect());
    };
    let of_text = set.rules.iter().filter(|rule| rule.source.file == TEXT);
    let problems = loaded.problems.into_iter();
    Ok(Written {
        ids: of_text.map(|rule| rule.id.clone()).collect(),
        warnings: problems.filter(|problem| problem.file == TEXT).collect(),
        rules: Arc::new(set),
    })
}

/// The rule `id` as a text of its own to be changed: what its file says, with the file's `defaults`; of one that ships, what changes it.
/// `None` if no rule in `rules` has that id, or its file is gone. Reads files.
#[must_use]
pub fn text_of(terms: &Terms, rules: &RuleSet, id: &str) -> Option<String> {
    let (_, rule) = rules.find(id)?;
    if rule.source.file.starts_with("builtin/") {
        return Some(format!(
            "rules:\n  - id: {id}\n    extends: {id}\n    # What is written here goes before what the rule has: threshold, selector, match, …\n"
        ));
    }
    let files = terms.sources.read();
    block(files.text(&rule.source.file)?, rule.source.line)
}

/// The item of `rules` that is at `line`, counted from 1, with what stands before the list.
fn block(text: &str, line: usize) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let is_item = |line: &str| line.trim_start().starts_with('-');
    let at = line.checked_sub(1).filter(|at| *at < lines.len())?;
    // A rule's place is that of its first key, which stands behind the dash.
    let first = (0..=at).rev().find(|at| is_item(lines[*at]))?;
    let depth = indent(lines[first]);
    let of_item = lines[first + 1..]
        .iter()
        .take_while(|line| line.trim().is_empty() || indent(line) > depth);
    let mut out = String::new();
    let heading = lines.iter().position(|line| line.starts_with("rules:"))?;
    let before = lines[..heading].iter();
    let keeps = |line: &&&str| !line.starts_with('#') && !line.trim().is_empty();
    for line in before.filter(keeps) {
        out += &format!("{line}\n");
    }
    out += "rules:\n";
    for line in std::iter::once(&lines[first]).chain(of_item) {
        out += &format!("{line}\n");
    }
    Some(format!("{}\n", out.trim_end()))
}

#[cfg(test)]
mod tests;
