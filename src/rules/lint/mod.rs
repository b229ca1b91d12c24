//! What loads and is probably not what was meant, or costs more than it looks.
//!
//! - `cost`: rules that the search for literals cannot keep away from most lines.
//! - `overlap`: rules that find each other's lines.
//! - `never`: what can never be fulfilled.
//! - `names`: names that have too many values, or none; levels and pods.
//! - `times`: window, `for`, `recover`, `cooldown` and `escalate` that do not fit together.
//! - `words`: texts that look like expressions, and expressions that say less than they seem to.
//! - `allow`: what rules allow, and what they allow in vain.
//!
//! A warning that is wrong teaches people to ignore the next one, so each of them is silent where it cannot know.

mod allow;
mod cost;
mod names;
mod never;
mod overlap;
#[cfg(test)]
mod tests;
mod times;
mod words;

use std::ops::Range;

pub(super) use allow::{Settled, settle};

use super::condition::Condition;
use super::model::Match;
use super::problem::Fault;
use super::read::Draft;
use super::selector::{Selector, Test};

/// What was found about a draft, by its place in the list of all.
pub(super) type Found = (usize, Fault);

/// Warnings about rules that are valid, and the pairs of drafts of which one was told that the other matches its lines.
#[derive(Debug, Default)]
pub(super) struct Lints {
    pub(super) found: Vec<Found>,
    pub(super) overlapping: Vec<(usize, usize)>,
}

/// Looks at all rules of a set that is valid. `drafts` are by file.
pub(super) fn lint(drafts: &[(usize, Draft)]) -> Lints {
    let mut lints = Lints::default();
    for (place, (_, draft)) in drafts.iter().enumerate() {
        if !draft.enabled {
            continue;
        }
        let mut warn = |fault| lints.found.push((place, fault));
        names::lint(draft, &mut warn);
        cost::lint(draft, &mut warn);
        never::lint(draft, &mut warn);
        times::lint(draft, &mut warn);
        words::lint(draft, &mut warn);
    }
    overlap::lint(drafts, &mut lints);
    lints
}

/// Where a match is written: as a whole, and each item of `any`, then of `all`, where that is known.
struct Written<'a> {
    span: Range<usize>,
    items: &'a [Range<usize>],
}

impl Written<'_> {
    /// Where item `place` is; the whole match where that is not known.
    fn item(&self, place: usize) -> Range<usize> {
        self.items.get(place).unwrap_or(&self.span).clone()
    }
}

/// What is looked for, and where that is written: `match`, or the key that holds it.
fn parts(draft: &Draft) -> Vec<(Written<'_>, &Match)> {
    let condition = &draft.rule.condition;
    let parts = draft.rule.parts().into_iter().enumerate();
    let written = |place| match condition {
        // Without `total` it is any line, which is not written.
        Condition::Ratio(ratio) if place > 0 && ratio.total.is_none() => None,
        Condition::Ratio(_) if place > 0 => Some(Written {
            span: place_of(draft, "total"),
            items: &[],
        }),
        _ if draft.has_match() => Some(Written {
            span: draft.matching.span.clone(),
            items: &draft.matching.items,
        }),
        _ => Some(Written {
            span: place_of(draft, condition.class()),
            items: &[],
        }),
    };
    parts
        .filter_map(|(place, matches)| Some((written(place)?, matches)))
        .collect()
}

/// Where the value of the key `name` stands; the rule's beginning where it is not written.
fn place_of(draft: &Draft, name: &str) -> Range<usize> {
    let mut written = draft.written.iter();
    written
        .find(|(key, _)| *key == name)
        .map_or_else(|| draft.id_span.clone(), |(_, span)| span.clone())
}

fn is_written(draft: &Draft, name: &str) -> bool {
    draft.written.iter().any(|(key, _)| *key == name)
}

/// Whether two selectors demand different values of one label.
pub(super) fn apart(a: &Selector, b: &Selector) -> bool {
    excludes(a, b) || excludes(b, a)
}

/// Whether `a` demands of some label one of a few values, and `b` accepts none of them.
fn excludes(a: &Selector, b: &Selector) -> bool {
    a.0.iter().any(|ours| {
        let wanted = match &ours.test {
            Test::Equal(value) => std::slice::from_ref(value),
            Test::OneOf(values) => values,
            _ => return false,
        };
        let theirs = b.0.iter().filter(|theirs| theirs.name == ours.name);
        theirs
            .into_iter()
            .any(|theirs| !wanted.iter().any(|value| theirs.test.accepts(value)))
    })
}
