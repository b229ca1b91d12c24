//! A text that contains another rule's text: what the one matches, the other matches too, and one cause gives two findings.

use std::collections::{HashMap, HashSet};

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::{Lints, apart};
use crate::rules::condition::Condition;
use crate::rules::model::{Exclude, Item, Match};
use crate::rules::problem::{Code, Fault, shortened};
use crate::rules::read::Draft;

/// Most overlaps that are reported: they come in bunches.
const OVERLAPS_MAX: usize = 100;
/// Most bytes of all texts that are compared. The automaton takes some forty times that.
const TEXTS_BYTES_MAX: usize = 1 << 20;
/// Most occurrences that are looked at: texts of one letter each, repeated, have as many as the square of their number.
pub(super) const OCCURRENCES_MAX: usize = 1_000_000;

/// A text that every line with it makes a match of a rule.
struct General<'a> {
    /// The rule's place.
    place: usize,
    text: &'a str,
    ignore_case: bool,
}

/// Tells how many occurrences it looked at.
pub(super) fn lint(drafts: &[(usize, Draft)], lints: &mut Lints) -> usize {
    let general = general(drafts);
    let bytes: usize = general.iter().map(|general| general.text.len()).sum();
    let search = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .kind(Some(AhoCorasickKind::ContiguousNFA))
        .build(general.iter().map(|general| general.text));
    let Some(search) = search.ok().filter(|_| bytes <= TEXTS_BYTES_MAX) else {
        return 0;
    };
    let excludes: HashMap<usize, HashSet<&str>> = drafts
        .iter()
        .enumerate()
        .map(|(place, (_, draft))| (place, excluded(&draft.rule.matches).collect()))
        .collect();
    let mut reported = HashSet::new();
    let mut occurrences = 0;
    for (place, (_, draft)) in drafts.iter().enumerate() {
        if !opens_by_matches(draft) {
            continue;
        }
        let Match { any, all, .. } = &draft.rule.matches;
        let items = any.iter().chain(all).enumerate();
        for (item, (text, _)) in items.filter_map(|(at, item)| Some((at, text_of(item)?))) {
            for found in search.find_overlapping_iter(text) {
                occurrences += 1;
                if occurrences > OCCURRENCES_MAX {
                    return occurrences;
                }
                let General {
                    place: other,
                    text: other_text,
                    ignore_case,
                } = general[found.pattern().as_usize()];
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
                    return occurrences;
                }
                let other_id = &drafts[other].1.rule.id;
                lints
                    .found
                    .push((place, fault(draft, item, same_rule, other_id, other_text)));
                if !same_rule {
                    lints.overlapping.push((place, other));
                }
            }
        }
    }
    occurrences
}

/// Texts of rules that any line with the text matches.
fn general(drafts: &[(usize, Draft)]) -> Vec<General<'_>> {
    let drafts = drafts.iter().enumerate();
    drafts
        .filter(|(_, (_, draft))| {
            let matches = &draft.rule.matches;
            opens_by_matches(draft) && matches.all.is_empty() && matches.fields.is_empty()
        })
        .flat_map(|(place, (_, draft))| {
            let texts = draft.rule.matches.any.iter().filter_map(text_of);
            texts.map(move |(text, ignore_case)| General {
                place,
                text,
                ignore_case,
            })
        })
        .collect()
}

/// Whether its matches alone make a finding of it. What counts shares, different values or what does not come reads the lines of
/// other rules on purpose.
fn opens_by_matches(draft: &Draft) -> bool {
    draft.enabled && matches!(draft.rule.condition, Condition::Count(_))
}

/// The rules that a match leaves its lines to.
fn excluded(matches: &Match) -> impl Iterator<Item = &str> {
    matches.none.iter().filter_map(|exclude| match exclude {
        Exclude::Rule(id) => Some(id.as_str()),
        Exclude::Item(_) => None,
    })
}

fn fault(draft: &Draft, item: usize, same_rule: bool, other: &str, other_text: &str) -> Fault {
    let span = draft.matching.items[item].clone();
    let what = shortened(other_text);
    if same_rule {
        return Fault::new(
            Code::Overlap,
            span,
            format!("this text is not needed: `{what}` in the same list finds its lines too"),
        );
    }
    Fault::new(
        Code::Overlap,
        span,
        format!(
            "`{other}` looks for `{what}`, so it matches these lines too: two findings for one cause"
        ),
    )
    .help(format!("in `{other}` write `none: [{{rule: {}}}]`", draft.rule.id))
}

/// An item's text, and whether letters match in both cases.
fn text_of(item: &Item) -> Option<(&str, bool)> {
    match item {
        Item::Text { text, ignore_case } => Some((text, *ignore_case)),
        Item::Regex(_) => None,
    }
}
