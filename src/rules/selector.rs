//! Which streams a rule reads: Loki's stream selector, `namespace="x", pod!~"test-.*"`.

use regex_automata::meta::Regex;

use crate::batch::Labels;

/// A conjunction of label matchers; an empty one selects every stream.
#[derive(Debug, Clone, Default)]
pub struct Selector(pub Vec<Matcher>);

/// One label and what its value must be. A label that a stream lacks has the empty value, as in Loki.
#[derive(Debug, Clone)]
pub struct Matcher {
    /// The label's name.
    pub name: String,
    /// The condition on its value.
    pub test: Test,
}

/// A condition on a label's value.
#[derive(Debug, Clone)]
pub enum Test {
    /// `=`
    Equal(String),
    /// `!=`
    NotEqual(String),
    /// `=~`, anchored at both ends: the expression as written, and compiled.
    Matches(String, Regex),
    /// `!~`, anchored at both ends.
    MatchesNot(String, Regex),
    /// One of several values: a map selector's list.
    OneOf(Vec<String>),
}

impl Selector {
    /// Whether a stream with `labels` is selected.
    #[must_use]
    pub fn selects(&self, labels: &Labels) -> bool {
        self.0.iter().all(|matcher| {
            let value = labels.get(&matcher.name).unwrap_or_default();
            match &matcher.test {
                Test::Equal(wanted) => value == wanted,
                Test::NotEqual(unwanted) => value != unwanted,
                Test::Matches(_, regex) => regex.is_match(value),
                Test::MatchesNot(_, regex) => !regex.is_match(value),
                Test::OneOf(wanted) => wanted.iter().any(|wanted| wanted == value),
            }
        })
    }
}
