//! Rules that the search for literals cannot keep away from most lines.

use regex_syntax::hir::{Class, Hir, HirKind};

use super::{Written, parts, place_of};
use crate::rules::condition::Condition;
use crate::rules::model::{Item, Match};
use crate::rules::problem::{Code, Fault};
use crate::rules::read::Draft;

/// Shorter texts are searched for by a slower path, and are likelier to be in lines that mean something else.
const TEXT_BYTES_GOOD: usize = 8;

pub(super) fn lint(draft: &Draft, warn: &mut impl FnMut(Fault)) {
    let everywhere = draft.rule.selector.0.is_empty();
    if let Condition::Ratio(ratio) = &draft.rule.condition
        && ratio.total.is_none()
        && everywhere
    {
        warn(
            Fault::new(
                Code::NoRequiredText,
                place_of(draft, "threshold"),
                "every line of every stream counts as one of the total",
            )
            .help("write which lines do under `total`, or add a `selector`"),
        );
    }
    for (written, matches) in parts(draft) {
        // Any line of the chosen streams is what such a rule waits for.
        if matches!(draft.rule.condition, Condition::Absent(_)) && !draft.has_match() {
            continue;
        }
        if let Some(fault) = of_part(draft, &written, matches, everywhere) {
            warn(fault);
        }
    }
}

fn of_part(
    draft: &Draft,
    written: &Written<'_>,
    matches: &Match,
    everywhere: bool,
) -> Option<Fault> {
    let (length, item) = required_text(matches);
    let span = written.item(item);
    let place = if everywhere {
        "every line of every stream"
    } else {
        "every line of its streams"
    };
    if length == 0 {
        let only_fields = matches.any.is_empty() && matches.all.is_empty();
        // Fields of chosen streams are what such a rule is for.
        if only_fields && !everywhere || draft.rule.is_own() {
            return None;
        }
        // An automaton that looks at every byte reads 0.3 GB/s; measured 2026-11-20 on a 2.5 GHz Cascade Lake.
        let cost = if only_fields {
            ""
        } else {
            ", at some 3 ms of CPU for each MB"
        };
        return Some(
            Fault::new(
                Code::NoRequiredText,
                span,
                format!("no text is in every match of this, so it is tried on {place}{cost}"),
            )
            .help(format!(
                "require a text of {TEXT_BYTES_GOOD} bytes or more under `all`{}",
                if everywhere {
                    ", or add a `selector`"
                } else {
                    ""
                }
            )),
        );
    }
    (everywhere && length < TEXT_BYTES_GOOD).then(|| {
        Fault::new(
            Code::ShortText,
            span,
            format!("without a `selector`, {length} bytes of text are likely to be in lines that mean something else"),
        )
        .help(format!(
            "write more of the message ({TEXT_BYTES_GOOD} bytes or more), or add a `selector`"
        ))
    })
}

/// The length of the text that every match must hold (0: there is none), and the item that makes it so short.
///
/// This is a lint's estimate: what the search really uses is scan's affair.
fn required_text(matches: &Match) -> (usize, usize) {
    let any = matches.any.iter().enumerate();
    let any = any.map(|(place, item)| (item_text(item), place)).min();
    let all = matches.all.iter().enumerate();
    let all = all
        .map(|(place, item)| (item_text(item), matches.any.len() + place))
        .max_by_key(|(length, _)| *length);
    match (any, all) {
        (Some(any), Some(all)) => any.max(all),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => (0, usize::MAX),
    }
}

fn item_text(item: &Item) -> usize {
    match item {
        Item::Text { text, .. } => text.len(),
        Item::Regex(pattern) => Run::of(&pattern.hir()).best,
    }
}

/// Longest texts in an expression, in bytes: `whole` when it is nothing but text, at its ends, and anywhere.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    whole: bool,
    start: usize,
    end: usize,
    best: usize,
}

impl Run {
    fn text(length: usize) -> Self {
        Self {
            whole: true,
            start: length,
            end: length,
            best: length,
        }
    }

    fn of(hir: &Hir) -> Self {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => Self::text(0),
            HirKind::Literal(literal) => Self::text(literal.0.len()),
            // A letter in both cases is as good as one.
            HirKind::Class(class) if class_size(class) <= 3 => {
                Self::text(class.minimum_len().unwrap_or(0))
            }
            HirKind::Class(_) => Self::default(),
            HirKind::Capture(capture) => Self::of(&capture.sub),
            HirKind::Repetition(repetition) if repetition.min == 0 => Self::default(),
            HirKind::Repetition(repetition) => {
                let inner = Self::of(&repetition.sub);
                let once = repetition.min == 1 && repetition.max == Some(1);
                Self {
                    whole: inner.whole && once,
                    ..inner
                }
            }
            HirKind::Concat(parts) => parts.iter().map(Self::of).fold(Self::text(0), Self::then),
            HirKind::Alternation(parts) => {
                let runs = parts.iter().map(Self::of);
                runs.reduce(|a, b| Self {
                    whole: false,
                    start: a.start.min(b.start),
                    end: a.end.min(b.end),
                    best: a.best.min(b.best),
                })
                .unwrap_or_default()
            }
        }
    }

    fn then(self, next: Self) -> Self {
        Self {
            whole: self.whole && next.whole,
            start: if self.whole {
                self.start + next.start
            } else {
                self.start
            },
            end: if next.whole {
                self.end + next.end
            } else {
                next.end
            },
            best: self.best.max(next.best).max(self.end + next.start),
        }
    }
}

fn class_size(class: &Class) -> usize {
    match class {
        Class::Unicode(class) => class
            .iter()
            .map(|range| (u32::from(range.end()) - u32::from(range.start()) + 1) as usize)
            .sum(),
        Class::Bytes(class) => class
            .iter()
            .map(|range| usize::from(range.end() - range.start()) + 1)
            .sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::model::Pattern;

    #[test]
    fn the_longest_text_that_every_match_holds_is_found() {
        for (source, length) in [
            ("abc", 3),
            ("abc.*defgh", 5),
            (r"user \S+ failed", 7),
            ("(?i:error)", 5),
            ("ab(cd|cde)f", 4),
            ("(abc)?d", 1),
            ("(abc)+", 3),
            ("a{3}", 1),
            (r"\d+ms", 2),
            (r"\S+", 0),
            ("a|bc", 1),
            (r"^\bfatal\b$", 5),
        ] {
            let pattern = Pattern::compile(source, false).expect(source);
            assert_eq!(Run::of(&pattern.hir()).best, length, "{source}");
        }
    }
}
