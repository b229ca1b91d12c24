//! Rule files looked at before they run: what is wrong with them, what they change, and what may be done about what they find.
//!
//! - `changes`: rules that one set has and another has not, or has otherwise.
//! - `outcome`: who may do what about a rule's findings, in each environment.
//!
//! `trommel check` and the page ask here, so they say the same. Pure: files are read by whoever asks.

mod changes;
mod outcome;

pub use changes::{Changes, changes};
pub use outcome::{Decided, Decision, Outcome, outcome, profile};

use crate::batch::{Labels, Stream};
use crate::rules::{Example, LoadOptions, Loaded, Problem, RuleSet, SourceText, load};
use crate::scan::{Line, matches, matching_rules};

/// Loads rules and tries their example lines: the set, if it is valid, and everything wrong with it.
#[must_use]
pub fn check(sources: &[SourceText], options: &LoadOptions) -> Loaded {
    let mut loaded = load(sources, options);
    if let Some(set) = &loaded.set {
        let problems = &mut loaded.problems;
        problems.extend(failures(set, &loaded.examples));
        let lines = loaded.examples.iter().map(|example| &*example.line);
        let matching = matching_rules(set, lines);
        problems.extend(loaded.sharing.problems(set, &loaded.examples, &matching));
        let file = |problem: &Problem| {
            sources
                .iter()
                .position(|source| source.name == problem.file)
        };
        problems.sort_by_cached_key(|problem| (file(problem), problem.span.start));
    }
    loaded
}

/// The example lines that a rule does not treat as it says. They have no labels, so only the `match` is tried.
pub fn failures<'a>(
    rules: &'a RuleSet,
    examples: &'a [Example],
) -> impl Iterator<Item = Problem> + 'a {
    let fails = move |example: &&Example| {
        rules.find(&example.rule).is_some_and(|(_, rule)| {
            is_match(rules, &rule.id, &example.line) != Some(example.must_match)
        })
    };
    examples.iter().filter(fails).map(Example::problem)
}

/// Whether `line`, of a stream without labels, matches the rule `id`; `None` where there is no such rule.
#[must_use]
pub fn is_match(rules: &RuleSet, id: &str, line: &str) -> Option<bool> {
    let (_, rule) = rules.find(id)?;
    let stream = Stream::new("".into(), Labels::default());
    let line = Line::new(&stream, line.as_bytes());
    Some(matches(rules, rule, &line).is_some())
}
