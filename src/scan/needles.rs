//! Texts that a line needs besides a literal, so that a rule is worth asking about it.
//!
//! Rules that look for the same text share a literal, and most of them also need another that the line lacks. To find that out by
//! their expressions takes microseconds for each, as these have left the processor's cache; the texts of all lie here in one piece.

use memchr::{memchr_iter, memmem};

use super::literals::{Cue, Literal, needed};
use super::ordinary;
use crate::rules::{Item, Match};

/// Most texts of one question: what has three may as well be asked.
const TEXTS_MAX: usize = 3;

/// Lists of texts.
#[derive(Debug)]
pub(super) struct Needles {
    /// For each text how long it is, which of its bytes is the rarest, and the text; behind each list a zero. The first list is empty.
    bytes: Vec<u8>,
}

/// Which list of a [`Needles`].
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
        Self { bytes: vec![0] }
    }
}

impl Needles {
    /// What a line needs to fulfil `matches` by the item of `cue` once it holds `literal`.
    pub(super) fn add(&mut self, matches: &Match, literal: &Literal, cue: Cue) -> Needed {
        let of_any = cue.item.checked_sub(matches.all.len());
        let items = (matches.all.iter()).chain(of_any.map(|item| &matches.any[item]));
        let mut texts: Vec<&[u8]> = items.flat_map(needed_by).collect();
        texts.retain(|text| memmem::find(&literal.bytes, text).is_none());
        // The longest say the most.
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        texts.truncate(TEXTS_MAX);
        if texts.is_empty() {
            return Needed::NOTHING;
        }
        let list = Needed(self.bytes.len() as u32);
        for text in texts {
            // What holds a text holds its beginning.
            let text = &text[..text.len().min(usize::from(u8::MAX))];
            let rarest = (0..text.len()).min_by_key(|&at| ordinary::occurrences_of_byte(text[at]));
            let rarest = rarest.expect("a text that is needed has bytes");
            self.bytes.extend([text.len() as u8, rarest as u8]);
            self.bytes.extend(text);
        }
        self.bytes.push(0);
        list
    }

    /// Whether `line` holds all texts of `list`.
    pub(super) fn are_in(&self, list: Needed, line: &[u8]) -> bool {
        let mut rest = &self.bytes[list.0 as usize..];
        while let &[len, rarest, ref behind @ ..] = rest
            && len > 0
        {
            let (text, behind) = behind.split_at(usize::from(len));
            if !is_in(text, usize::from(rarest), line) {
                return false;
            }
            rest = behind;
        }
        true
    }
}

/// Whether `text`, whose rarest byte is number `rarest`, lies in `line`.
fn is_in(text: &[u8], rarest: usize, line: &[u8]) -> bool {
    let from = line.get(rarest..).unwrap_or_default();
    memchr_iter(text[rarest], from).any(|start| line[start..].starts_with(text))
}

fn needed_by(item: &Item) -> Vec<&[u8]> {
    match item {
        Item::Text {
            text,
            ignore_case: false,
        } => vec![text.as_bytes()],
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
    fn all_items_and_the_one_asked_about_are_needed_but_not_what_the_literal_says() {
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
        let by_any = needles.add(&matches, &literal(" lost quorum"), cue(2));
        assert!(needles.are_in(by_any, b"code 1 from node etcd[1]: "));
        assert!(!needles.are_in(by_any, b"code 1 from node etc d[1]: "));
        assert!(!needles.are_in(by_any, b"code 1 for node etcd[1]: "));
        assert!(!needles.are_in(by_any, b""));
        let by_all = needles.add(&matches, &literal(" from node"), cue(0));
        assert!(needles.are_in(by_all, b"code 1"));
        assert!(!needles.are_in(by_all, b"cod"));

        let nothing = needles.add(&all_of([text("quota")]), &literal("quota"), cue(0));
        assert!(nothing.is_nothing());
        assert!(needles.are_in(nothing, b""));
        let long = "long ".repeat(99);
        let long = needles.add(&all_of([text(&long)]), &literal("x"), cue(0));
        assert!(needles.are_in(long, "long ".repeat(51).as_bytes()));
        assert!(!needles.are_in(long, "long ".repeat(50).as_bytes()));
    }

    proptest! {
        #[test]
        fn a_text_is_found_wherever_it_lies(text in "[ab]{1,4}", rarest in any::<prop::sample::Index>(), line in "[abc]{0,12}") {
            let rarest = rarest.index(text.len());
            prop_assert_eq!(is_in(text.as_bytes(), rarest, line.as_bytes()), line.contains(&text));
        }
    }
}
