//! What loads and is probably not what was meant, or costs more than it looks.

use std::collections::{HashMap, HashSet};

use aho_corasick::AhoCorasick;
use regex_syntax::hir::{Class, Hir, HirKind};

use super::model::{Exclude, Item, Match};
use super::problem::{Code, Fault, shortened};
use super::read::Draft;
use super::selector::{Selector, Test};

/// Shorter texts are searched for by a slower path, and are likelier to be in lines that mean something else.
const TEXT_BYTES_GOOD: usize = 8;
/// Most overlaps that are reported: they come in bunches.
const OVERLAPS_MAX: usize = 100;

/// Names with about as many values as there are requests, users or pods: each value is a finding of its own.
const MANY_VALUED: [&str; 33] = [
    "addr",
    "client_addr",
    "client_ip",
    "container_id",
    "correlation_id",
    "duration",
    "email",
    "filename",
    "id",
    "instance",
    "ip",
    "latency",
    "line",
    "message",
    "msg",
    "path",
    "pid",
    "pod",
    "pod_ip",
    "pod_name",
    "remote_addr",
    "request_id",
    "session",
    "session_id",
    "span_id",
    "time",
    "timestamp",
    "trace_id",
    "ts",
    "uid",
    "url",
    "user",
    "uuid",
];

/// Warnings about rules that are valid: file and fault.
pub(super) fn lint(drafts: &[(usize, Draft)]) -> Vec<(usize, Fault)> {
    let mut faults = Vec::new();
    for (file, draft) in drafts {
        if !draft.enabled {
            continue;
        }
        let mut warn = |fault| faults.push((*file, fault));
        if draft.rule.catches.is_empty() && !draft.rule.parts().is_empty() {
            warn(
                Fault::new(
                    Code::NoExamples,
                    draft.id_span.clone(),
                    format!("`{}` has no `catches`", draft.rule.id),
                )
                .help("add a line that it must match, and under `passes` one that it must not: `check` runs them"),
            );
        }
        for (name, span) in draft.rule.by.iter().zip(&draft.by_spans) {
            let last = name.rsplit('.').next().unwrap_or(name);
            if MANY_VALUED.binary_search(&last).is_ok() {
                warn(
                    Fault::new(
                        Code::ManyKeys,
                        span.clone(),
                        format!("`{name}` has many values, and every one is a finding of its own"),
                    )
                    .help("prefer what fails together: `[namespace, app]`"),
                );
            }
        }
        cost(draft).into_iter().for_each(warn);
    }
    overlaps(drafts, &mut faults);
    faults
}

/// Rules that the search for literals cannot keep away from most lines.
fn cost(draft: &Draft) -> Option<Fault> {
    if !draft.has_match() {
        return None;
    }
    let matches = &draft.rule.matches;
    let everywhere = draft.rule.selector.0.is_empty();
    let (length, item) = required_text(matches)?;
    let span = draft
        .matching
        .items
        .get(item)
        .unwrap_or(&draft.matching.span)
        .clone();
    let place = if everywhere {
        "every line of every stream"
    } else {
        "every line of its streams"
    };
    if length == 0 {
        // Fields of chosen streams are what such a rule is for.
        if matches.any.is_empty() && matches.all.is_empty() && !everywhere {
            return None;
        }
        return Some(
            Fault::new(
                Code::NoRequiredText,
                span,
                format!("no text is in every match of this, so it is tried on {place}"),
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
fn required_text(matches: &Match) -> Option<(usize, usize)> {
    let any = matches.any.iter().enumerate();
    let any = any.map(|(place, item)| (item_text(item), place)).min();
    let all = matches.all.iter().enumerate();
    let all = all
        .map(|(place, item)| (item_text(item), matches.any.len() + place))
        .max_by_key(|(length, _)| *length);
    match (any, all) {
        (Some(any), Some(all)) => Some(any.max(all)),
        (Some(one), None) | (None, Some(one)) => Some(one),
        (None, None) => Some((0, usize::MAX)),
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

/// A text that contains another rule's text: what the one matches, the other matches too, and one cause gives two findings.
fn overlaps(drafts: &[(usize, Draft)], faults: &mut Vec<(usize, Fault)>) {
    // Texts of rules that any line with the text matches, and whether letters match in both cases.
    let general: Vec<(usize, &str, bool)> = drafts
        .iter()
        .enumerate()
        .filter(|(_, (_, draft))| {
            let matches = &draft.rule.matches;
            draft.enabled && matches.all.is_empty() && matches.fields.is_empty()
        })
        .flat_map(|(place, (_, draft))| {
            let texts = draft.rule.matches.any.iter().filter_map(text_of);
            texts.map(move |(text, ignore_case)| (place, text, ignore_case))
        })
        .collect();
    let Ok(search) = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(general.iter().map(|(_, text, _)| text))
    else {
        return;
    };
    let mut reported = HashSet::new();
    let excludes: HashMap<usize, HashSet<&str>> = drafts
        .iter()
        .enumerate()
        .map(|(place, (_, draft))| {
            let none = draft.rule.matches.none.iter();
            let ids = none.filter_map(|exclude| match exclude {
                Exclude::Rule(id) => Some(id.as_str()),
                Exclude::Item(_) => None,
            });
            (place, ids.collect())
        })
        .collect();
    for (place, (_, draft)) in drafts.iter().enumerate() {
        if !draft.enabled {
            continue;
        }
        let Match { any, all, .. } = &draft.rule.matches;
        let items = any.iter().chain(all).enumerate();
        for (item, (text, _)) in items.filter_map(|(at, item)| Some((at, text_of(item)?))) {
            for found in search.find_overlapping_iter(text) {
                let (other, other_text, ignore_case) = general[found.pattern().as_usize()];
                let same_rule = other == place;
                if !ignore_case && text[found.range()] != *other_text
                    || same_rule && (text == other_text || item >= any.len())
                    || text == other_text && other > place
                    || excludes[&other].contains(draft.rule.id.as_str())
                    || apart(&draft.rule.selector, &drafts[other].1.rule.selector)
                    || !reported.insert((place.min(other), place.max(other)))
                {
                    continue;
                }
                if reported.len() > OVERLAPS_MAX {
                    return;
                }
                let span = draft.matching.items[item].clone();
                let id = &drafts[other].1.rule.id;
                let what = shortened(other_text);
                let fault = if same_rule {
                    Fault::new(
                        Code::Overlap,
                        span,
                        format!(
                            "this text is not needed: `{what}` in the same list finds its lines too"
                        ),
                    )
                } else {
                    Fault::new(
                        Code::Overlap,
                        span,
                        format!("`{id}` looks for `{what}`, so it matches these lines too: two findings for one cause"),
                    )
                    .help(format!("in `{id}` write `none: [{{rule: {}}}]`", draft.rule.id))
                };
                faults.push((drafts[place].0, fault));
            }
        }
    }
}

/// An item's text, and whether letters match in both cases.
fn text_of(item: &Item) -> Option<(&str, bool)> {
    match item {
        Item::Text { text, ignore_case } => Some((text, *ignore_case)),
        Item::Regex(_) => None,
    }
}

/// Whether two selectors demand different values of one label.
fn apart(a: &Selector, b: &Selector) -> bool {
    a.0.iter().any(|ours| {
        b.0.iter().any(|theirs| match (&ours.test, &theirs.test) {
            (Test::Equal(a), Test::Equal(b)) => ours.name == theirs.name && a != b,
            _ => false,
        })
    })
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

    #[test]
    fn many_valued_names_are_sorted_for_the_search() {
        assert!(MANY_VALUED.is_sorted());
    }
}
