//! What ordinary logs look like: a page of made-up lines in the formats that clusters write.
//!
//! A literal, or a part of one, that occurs here will occur everywhere, so the search is built on others where it can.
//! The page decides speed only, never what is found.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_in_lower_case_and_knows_common_words() {
        assert_eq!(TEXT_FOLDED, TEXT_FOLDED.to_ascii_lowercase());
        assert!(occurrences(b"INFO") > 5);
        assert_eq!(occurrences(b"zqxj"), 0);
    }
}
