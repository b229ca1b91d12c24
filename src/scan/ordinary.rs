//! What ordinary logs look like: a page of made-up lines in the formats that clusters write.
//!
//! A literal, or a part of one, that occurs here will occur everywhere, so the search is built on others where it can.
//! The page decides speed only, never what is found.

use std::ops::Range;
use std::sync::LazyLock;

use rustc_hash::FxHashMap;

/// The page, in lower case.
pub(super) const TEXT_FOLDED: &str = include_str!("ordinary.txt");

/// How often the four bytes `gram` occur on the page, regarded as [`folded`] regards them.
pub(super) fn occurrences(gram: &[u8]) -> usize {
    static COUNTS: LazyLock<FxHashMap<u32, usize>> = LazyLock::new(|| {
        let mut counts = FxHashMap::default();
        for gram in TEXT_FOLDED.as_bytes().windows(4) {
            *counts.entry(folded(gram)).or_default() += 1;
        }
        counts
    });
    COUNTS.get(&folded(gram)).copied().unwrap_or(0)
}

/// How often pieces of a text are to be expected on the page, which is too short to have seen each. A byte depends on the three before it.
#[derive(Debug)]
pub(super) struct Expected {
    /// For each four bytes of the text how often they occur.
    occurring: Vec<f32>,
    /// And how probably the last of them follows the three before it.
    following: Vec<f32>,
}

/// How often what the page has not is taken to be there.
const UNSEEN: f32 = 0.02;

impl Expected {
    pub(super) fn of(text: &[u8]) -> Self {
        static COUNTS: LazyLock<FxHashMap<u32, usize>> = LazyLock::new(|| {
            let mut counts = FxHashMap::default();
            for three in TEXT_FOLDED.as_bytes().windows(3) {
                *counts.entry(three_folded(three)).or_default() += 1;
            }
            counts
        });
        let occurring = text
            .windows(4)
            .map(|four| occurrences(four) as f32 + UNSEEN);
        let occurring: Vec<_> = occurring.collect();
        let following = text.windows(4).zip(&occurring).map(|(four, occurring)| {
            let three = COUNTS.get(&three_folded(four)).copied().unwrap_or(0);
            // Of ten bytes any may follow what is rare.
            (occurring / (three as f32 + 10.0 * UNSEEN)).min(1.0)
        });
        let following = following.collect();
        Self {
            occurring,
            following,
        }
    }

    /// How often the bytes in `range` of the text, four or more, are to be expected.
    pub(super) fn times(&self, range: Range<usize>) -> f32 {
        let following = &self.following[range.start + 1..range.end - 3];
        self.occurring[range.start] * following.iter().product::<f32>()
    }
}

/// How often `byte`, a letter in either case, occurs on the page.
pub(super) fn occurrences_of_byte(byte: u8) -> usize {
    static COUNTS: LazyLock<[usize; 256]> = LazyLock::new(|| {
        let mut counts = [0; 256];
        for byte in TEXT_FOLDED.bytes() {
            counts[usize::from(byte)] += 1;
        }
        counts
    });
    COUNTS[usize::from(byte.to_ascii_lowercase())]
}

/// Four bytes as one number, ASCII letters in either case alike. Some other bytes fall together too, which costs
/// a comparison and no match.
///
/// # Panics
/// If `gram` has fewer than four bytes.
pub(super) fn folded(gram: &[u8]) -> u32 {
    u32::from_le_bytes([gram[0], gram[1], gram[2], gram[3]]) | 0x2020_2020
}

/// The first three bytes of `gram`, [`folded`].
fn three_folded(gram: &[u8]) -> u32 {
    folded(&[gram[0], gram[1], gram[2], 0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_in_lower_case_and_knows_common_words() {
        assert_eq!(TEXT_FOLDED, TEXT_FOLDED.to_ascii_lowercase());
        assert!(occurrences(b"INFO") > 5);
        assert_eq!(occurrences(b"zqxj"), 0);
    }

    #[test]
    fn what_the_page_has_is_expected_as_often_and_what_it_has_not_hardly_ever() {
        let expected = Expected::of(b"msg=\"completed zqxj");
        assert!(expected.times(5..14) > 0.5);
        assert!(expected.times(0..14) < expected.times(5..14));
        assert!(expected.times(11..19) < 0.01);
        assert!(expected.times(15..19) < 0.1);
    }
}
