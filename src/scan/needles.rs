//! The text that a line needs besides a literal, so that a rule is worth asking about it.
//!
//! Rules that look for the same text share a literal, and most of them also need another that the line lacks. To find that out by
//! their expressions takes microseconds for each, as these have left the processor's cache; the texts of all lie here in one piece. To
//! look for more than one text a question costs more than it saves (200 to 5 000 rules, 2026-11-29).

use memchr::{memchr_iter, memmem};

use super::literals::{Cue, Literal, needed};
use super::ordinary;
use crate::rules::{Item, Match};

/// A text for each question that has one.
#[derive(Debug)]
pub(super) struct Needles {
    /// For each text how long it is, which of its bytes is the rarest, and the text itself. The first one is empty.
    bytes: Vec<u8>,
}

/// Where a text begins in [`Needles`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Needed(u32);

impl Needed {
    const NOTHING: Self = Self(0);

    pub(super) fn is_nothing(self) -> bool {
        self == Self::NOTHING
    }
}

impl Default for Needles {
    fn default() -> Self {
        Self { bytes: vec![0, 0] }
    }
}

impl Needles {
    /// What a line needs to fulfil `matches` by the item of `cue` once it holds `literal`.
    pub(super) fn add(&mut self, matches: &Match, literal: &Literal, cue: Cue) -> Needed {
        let of_any = cue.item.checked_sub(matches.all.len());
        let items = (matches.all.iter()).chain(of_any.map(|item| &matches.any[item]));
        let texts = items.flat_map(needed_by);
        let unsaid = texts.filter(|text| memmem::find(&literal.bytes, text).is_none());
        // The longest says the most.
        let Some(text) = unsaid.max_by_key(|text| text.len()) else {
            return Needed::NOTHING;
        };
        // What holds a text holds its beginning.
        let text = &text[..text.len().min(usize::from(u8::MAX))];
        let rarest = (0..text.len()).min_by_key(|&at| ordinary::occurrences_of_byte(text[at]));
        let rarest = rarest.expect("no literal lacks a text without bytes");
        let needed = Needed(self.bytes.len() as u32);
        self.bytes.extend([text.len() as u8, rarest as u8]);
        self.bytes.extend(text);
        needed
    }

    /// Whether `line` holds what is needed.
    pub(super) fn is_in(&self, needed: Needed, line: &[u8]) -> bool {
        let at = needed.0 as usize;
        let [len, rarest] = [self.bytes[at], self.bytes[at + 1]].map(usize::from);
        len == 0 || is_in(&self.bytes[at + 2..][..len], rarest, line)
    }
}

/// Whether `text`, whose rarest byte is number `rarest`, lies in `line`.
fn is_in(text: &[u8], rarest: usize, line: &[u8]) -> bool {
    let from = line.get(rarest..).unwrap_or_default();
    memchr_iter(text[rarest], from).any(|start| line[start..].starts_with(text))
}

fn needed_by(item: &Item) -> Vec<Box<[u8]>> {
    match item {
        Item::Text {
            text,
            ignore_case: false,
        } => vec![text.as_bytes().into()],
        Item::Text {
            ignore_case: true, ..
        } => Vec::new(),
        Item::Regex(pattern) => needed(pattern),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scan::testing::{all_of, any_of, regex, text};

    #[test]
    fn the_longest_text_of_all_items_and_the_one_asked_about_is_needed_unless_the_literal_says_it()
    {
        let matches = Match {
            all: vec![regex(r"code \d+ from node")],
            ..any_of([
                text("disk is full"),
                regex(r"etcd\[\d+\]: .*(lost quorum)+"),
            ])
        };
        let mut needles = Needles::default();
        let literal = |text: &str| Literal {
            bytes: text.as_bytes().into(),
            ignore_case: false,
        };
        let cue = |item| Cue {
            item,
            is_item: false,
        };
        let by_any = needles.add(&matches, &literal("etcd["), cue(2));
        assert!(needles.is_in(by_any, b"lost quorum"));
        assert!(!needles.is_in(by_any, b"lost quorun, code 1 from"));
        assert!(!needles.is_in(by_any, b""));
        let of_all = needles.add(&matches, &literal(" lost quorum"), cue(2));
        assert!(needles.is_in(of_all, b"1 from node etcd"));
        assert!(!needles.is_in(of_all, b"lost quorum"));
        let by_all = needles.add(&matches, &literal(" from node"), cue(0));
        assert!(needles.is_in(by_all, b"code 1"));
        assert!(!needles.is_in(by_all, b"cod"));

        let nothing = needles.add(&all_of([text("quota")]), &literal("quota"), cue(0));
        assert!(nothing.is_nothing());
        assert!(needles.is_in(nothing, b""));
        let long = "long ".repeat(99);
        let long = needles.add(&all_of([text(&long)]), &literal("x"), cue(0));
        assert!(needles.is_in(long, "long ".repeat(51).as_bytes()));
        assert!(!needles.is_in(long, "long ".repeat(50).as_bytes()));
    }

    proptest! {
        #[test]
        fn a_text_is_found_wherever_it_lies(text in "[ab]{1,4}", rarest in any::<prop::sample::Index>(), line in "[abc]{0,12}") {
            let rarest = rarest.index(text.len());
            prop_assert_eq!(is_in(text.as_bytes(), rarest, line.as_bytes()), line.contains(&text));
        }
    }
}
