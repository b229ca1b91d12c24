//! What can never be fulfilled: a rule that contradicts itself says nothing, and nobody notices.

use super::place_of;
use crate::rules::model::{Exclude, Item, Match, Pattern, Recover};
use crate::rules::problem::{Code, Fault, shortened};
use crate::rules::read::Draft;
use crate::rules::selector::Test;

pub(super) fn lint(draft: &Draft, warn: &mut impl FnMut(Fault)) {
    spoilt(draft, warn);
    let rule = &draft.rule;
    if let Recover::Match { when, .. } = &rule.recover
        && implies_match(&rule.matches, when)
    {
        warn(
            Fault::new(
                Code::NeverHolds,
                place_of(draft, "recover"),
                "every match of the rule is a recovery too, so no finding opens",
            )
            .help("write what is in the line only when it is over"),
        );
    }
    if let Some(unless) = &rule.unless
        && unless.0.iter().all(|left_out| {
            let mut selected = rule.selector.0.iter();
            selected.any(|chosen| {
                chosen.name == left_out.name
                    && match &chosen.test {
                        Test::Equal(value) => left_out.test.accepts(value),
                        Test::OneOf(values) => {
                            values.iter().all(|value| left_out.test.accepts(value))
                        }
                        _ => false,
                    }
            })
        })
    {
        warn(Fault::new(
            Code::NeverHolds,
            place_of(draft, "unless"),
            "this leaves out every stream that `selector` chooses",
        ));
    }
}

/// Items that `none` always spoils: some, or with all of them the rule.
fn spoilt(draft: &Draft, warn: &mut impl FnMut(Fault)) {
    let Match { any, all, none, .. } = &draft.rule.matches;
    let spoils = |item: &Item| {
        none.iter().find_map(|exclude| match exclude {
            Exclude::Item(exclude) if implies(item, exclude) => Some(shown(exclude)),
            _ => None,
        })
    };
    let place = |item: usize| {
        let place = draft.matching.items.get(item);
        place.unwrap_or(&draft.matching.span).clone()
    };
    let never = |item: usize, what: &str, spoiler: &str| {
        Fault::new(
            Code::NeverHolds,
            place(item),
            format!("{what}: `none` holds `{spoiler}`, which is in every line with this"),
        )
        .help("write under `none` only what the lines that are meant do not have")
    };
    let required = all.iter().enumerate();
    if let Some((item, spoiler)) = required
        .filter_map(|(at, item)| Some((at, spoils(item)?)))
        .next()
    {
        warn(never(any.len() + item, "no line can match", &spoiler));
        return;
    }
    let spoilers: Vec<_> = any.iter().map(spoils).collect();
    if let [Some(first), rest @ ..] = &spoilers[..]
        && rest.iter().all(Option::is_some)
    {
        warn(never(0, "no line can match", first));
        return;
    }
    for (item, spoiler) in spoilers.iter().enumerate() {
        if let Some(spoiler) = spoiler {
            warn(never(item, "this never counts", spoiler));
        }
    }
}

/// Whether every line that fulfils `matches` fulfils `other` too, as far as texts tell.
fn implies_match(matches: &Match, other: &Match) -> bool {
    let Match {
        any,
        all,
        none,
        fields,
    } = other;
    let implied = |item: &Item| {
        matches.all.iter().any(|own| implies(own, item))
            || !matches.any.is_empty() && matches.any.iter().all(|own| implies(own, item))
    };
    !other.is_any()
        && none.is_empty()
        && fields.is_empty()
        && all.iter().all(implied)
        && (any.is_empty() || any.iter().any(implied))
}

/// Whether every line that `item` is found in holds `other` too: certain for texts only.
fn implies(item: &Item, other: &Item) -> bool {
    let Item::Text { text, ignore_case } = item else {
        return false;
    };
    match other {
        Item::Text {
            text: other,
            ignore_case: other_ignores_case,
        } => {
            if *other_ignores_case {
                text.to_ascii_lowercase()
                    .contains(&other.to_ascii_lowercase())
            } else {
                text.contains(other)
                    && !(*ignore_case && other.bytes().any(|byte| byte.is_ascii_alphabetic()))
            }
        }
        Item::Regex(pattern) => {
            let fixed = !*ignore_case || !text.bytes().any(|byte| byte.is_ascii_alphabetic());
            fixed && !looks_around(pattern) && pattern.regex().is_match(text)
        }
    }
}

/// Whether what stands beside a text can make the expression miss it: `^`, `\b`.
fn looks_around(pattern: &Pattern) -> bool {
    !pattern.hir().properties().look_set().is_empty()
}

fn shown(item: &Item) -> String {
    match item {
        Item::Text { text, .. } => shortened(text),
        Item::Regex(pattern) => shortened(&pattern.source),
    }
}
