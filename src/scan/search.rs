//! The search of a whole block for many literals at once, by looking at a fraction of its bytes.
//!
//! If every literal has at least `m` bytes, then of any `m - 3` neighbouring positions at which its first `m` bytes hold
//! a 4-gram, exactly one is a multiple of the stride `m - 3`. So it is enough to look at one 4-gram every `m - 3` bytes,
//! provided that the table knows the 4-grams at `m - 3` neighbouring places of each literal. Nothing is missed; what is
//! found is compared with the literals that put it there. Which neighbouring places those are is free to choose,
//! so each literal is entered where ordinary logs, and the other literals, are least like it.
//!
//! With hundreds of literals much ordinary text has one of their 4-grams. Where all are long enough, 6-grams are looked at instead:
//! a narrower stride, and far fewer of them in ordinary text. What passes is then asked about two bytes more, those behind the gram or
//! those before it, whichever its literal has: that needs no branch, and only what passes again is looked up.
//!
//! An automaton reads every byte and waits for the last one: about 0.3 GB/s whatever its kind. The samples do not depend
//! on each other. Text that nearly matches costs more, in proportion to its length, and no more than that.
//!
//! The other parts of the room know only [`Search::new`] and [`Search::sweep`].

use rustc_hash::FxHashMap;

use super::literals::{LONG, Literal, SHORT};
use super::ordinary;

/// A table of literals, and the stride with which a block is sampled for them.
#[derive(Debug)]
pub(super) struct Search {
    /// How many bytes a sample has: 4 or 6.
    gram: usize,
    stride: usize,
    grams: Filter,
    /// The grams with two bytes more; none where the shortest literal has not so many.
    wider: Option<Filter>,
    /// The grams themselves by another hash, open addressing, at most half full.
    slots: Box<[Slot]>,
    slot_shift: u32,
    /// Where the literals have the grams, those of one gram together.
    places: Box<[Place]>,
}

/// A literal that may lie in the text: the bytes of it that were sampled do, ASCII case aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    /// A position within the literal. These never decrease within a sweep.
    pub(super) at: usize,
    /// Which literal, by its place in the list that the search was made of.
    pub(super) literal: usize,
    /// Where it would begin.
    pub(super) start: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    gram: u64,
    /// Its places; none in a free slot.
    first: u32,
    count: u32,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    literal: u32,
    /// How far into the literal.
    offset: u32,
    /// Four other bytes of the literal, and how far from the gram they are. Nearly all text that has the gram has not these.
    check: u32,
    distance: i32,
}

impl Place {
    /// The gram of `gram` bytes at `offset` in a literal.
    fn new(literal: usize, bytes: &[u8], offset: usize, gram: usize) -> Self {
        // The four bytes behind, as far as the literal has them, else those before.
        let other = match (offset + gram).min(bytes.len() - 4) {
            within if within < offset + gram => offset.saturating_sub(4).min(within),
            behind => behind,
        };
        Self {
            literal: literal as u32,
            offset: offset as u32,
            check: ordinary::folded(&bytes[other..]),
            distance: other as i32 - offset as i32,
        }
    }

    /// Whether `text`, which has the gram at `at`, has the other bytes in their place.
    fn is_plausible(&self, text: &[u8], at: usize) -> bool {
        let other = at.wrapping_add_signed(self.distance as isize);
        let bytes = text.get(other..other.wrapping_add(4));
        bytes.is_some_and(|bytes| ordinary::folded(bytes) == self.check)
    }
}

/// Samples looked at together: one branch decides for all of them, and a bit stands for each.
const GROUP: usize = 64;

/// Bytes that a sample reads, whatever it uses of them.
const LOADED: usize = 8;

/// From so many literals on, 6-grams make up for their narrower stride, if the shortest literal has [`SIX_GRAMS_LEN`] bytes: 1 MB of
/// ordinary log takes 160 µs for 10 literals with 4-grams and 220 with 6-grams, for 200 it is 250 and 240, for 2 300 650 and 300
/// (AMD EPYC 9004, 2026-11-29).
const SIX_GRAMS_FROM: usize = 200;
const SIX_GRAMS_LEN: usize = 11;

impl Search {
    /// A search for `literals`, which all have at least [`SHORT`] bytes. The shortest decides how wide the stride can be.
    pub(super) fn new(literals: &[Literal]) -> Self {
        let shortest = literals.iter().map(|l| l.bytes.len()).min().unwrap_or(LONG);
        let long = shortest >= SIX_GRAMS_LEN && literals.len() >= SIX_GRAMS_FROM;
        Self::of(literals, shortest, if long { 6 } else { 4 })
    }

    fn of(literals: &[Literal], shortest: usize, gram: usize) -> Self {
        debug_assert!(shortest >= SHORT.max(gram), "{shortest} bytes");
        let stride = (shortest + 1 - gram).min(STRIDE_MAX);
        let has_wider = shortest >= gram + 4;

        // Those with the least choice first.
        let mut order: Vec<usize> = (0..literals.len()).collect();
        order.sort_by_key(|&literal| literals[literal].bytes.len());
        let mut by_gram: FxHashMap<u64, Vec<Place>> = FxHashMap::default();
        let mut wider = Vec::new();
        for literal in order {
            let bytes = &literals[literal].bytes;
            for offset in best_window(bytes, gram, stride, &by_gram) {
                let place = Place::new(literal, bytes, offset, gram);
                let places = by_gram.entry(number(&bytes[offset..offset + gram]));
                places.or_default().push(place);
                if has_wider {
                    let behind = bytes.get(offset..offset + gram + 2);
                    wider.push(match behind {
                        Some(behind) => hash_of(number(behind), BEHIND),
                        None => hash_of(number(&bytes[offset - 2..offset + gram]), BEFORE),
                    });
                }
            }
        }

        let slot_bits = (by_gram.len() * 2)
            .next_power_of_two()
            .trailing_zeros()
            .max(1);
        let grams = by_gram.keys().map(|&gram| hash_of(gram, ALONE));
        let mut search = Self {
            gram,
            stride,
            grams: Filter::of(grams),
            wider: has_wider.then(|| Filter::of(wider.into_iter())),
            slots: vec![Slot::default(); 1 << slot_bits].into(),
            slot_shift: u64::BITS - slot_bits,
            places: Box::default(),
        };
        let mut places = Vec::new();
        for (gram, its_places) in by_gram {
            let slot = search.slot_of(gram);
            search.slots[slot] = Slot {
                gram,
                first: places.len() as u32,
                count: its_places.len() as u32,
            };
            places.extend(its_places);
        }
        search.places = places.into();
        search
    }

    /// Tells `found` of every place in `text` where a literal may lie, and of each that does.
    pub(super) fn sweep(&self, text: &[u8], found: &mut impl FnMut(Candidate)) {
        if self.gram == 4 {
            self.sweep_for::<4>(text, found);
        } else {
            self.sweep_for::<6>(text, found);
        }
    }

    fn sweep_for<const GRAM: usize>(&self, text: &[u8], found: &mut impl FnMut(Candidate)) {
        match self.stride {
            1 => self.sweep_by::<GRAM, 1>(text, found),
            2 => self.sweep_by::<GRAM, 2>(text, found),
            3 => self.sweep_by::<GRAM, 3>(text, found),
            4 => self.sweep_by::<GRAM, 4>(text, found),
            5 => self.sweep_by::<GRAM, 5>(text, found),
            6 => self.sweep_by::<GRAM, 6>(text, found),
            7 => self.sweep_by::<GRAM, 7>(text, found),
            _ => self.sweep_by::<GRAM, STRIDE_MAX>(text, found),
        }
    }

    fn sweep_by<const GRAM: usize, const STRIDE: usize>(
        &self,
        text: &[u8],
        found: &mut impl FnMut(Candidate),
    ) {
        let mut at = 0;
        let mut passed = [0; GROUP];
        while let Some(group) = text.get(at..at + (GROUP - 1) * STRIDE + LOADED) {
            let known = self.grams.known::<GRAM, STRIDE>(group);
            if known != 0 {
                for &sample in self.narrowed::<GRAM>(text, at, known, STRIDE, &mut passed) {
                    self.propose(text, sample, loaded::<GRAM>(&text[sample..]), found);
                }
            }
            at += GROUP * STRIDE;
        }
        while let Some(gram) = text.get(at..at + GRAM) {
            self.propose(text, at, number(gram), found);
            at += STRIDE;
        }
    }

    /// Where in `text` the samples of the group at `at` lie that are `known` and that the wider filter lets pass as well.
    #[inline(always)]
    fn narrowed<'p, const GRAM: usize>(
        &self,
        text: &[u8],
        at: usize,
        mut known: u64,
        stride: usize,
        passed: &'p mut [usize; GROUP],
    ) -> &'p [usize] {
        let mut count = 0;
        while known != 0 {
            let sample = at + known.trailing_zeros() as usize * stride;
            known &= known - 1;
            // Counted or written over: no branch that could be foreseen wrongly.
            passed[count % GROUP] = sample;
            count += match &self.wider {
                Some(wider) => wider.may_know_around::<GRAM>(text, sample) as usize,
                None => 1,
            };
        }
        &passed[..count]
    }

    /// Tells of the literals that have `gram`, which is at `at`.
    #[inline(never)]
    fn propose(&self, text: &[u8], at: usize, gram: u64, found: &mut impl FnMut(Candidate)) {
        let slot = self.slots[self.slot_of(gram)];
        let places = slot.first as usize..(slot.first + slot.count) as usize;
        for place in &self.places[places] {
            if place.is_plausible(text, at)
                && let Some(start) = at.checked_sub(place.offset as usize)
            {
                found(Candidate {
                    at,
                    literal: place.literal as usize,
                    start,
                });
            }
        }
    }

    /// The slot that holds `gram`, or the free one where it would be.
    fn slot_of(&self, gram: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = (gram.wrapping_mul(0xA24B_AED4_963E_E407) >> self.slot_shift) as usize;
        while self.slots[slot].count != 0 && self.slots[slot].gram != gram {
            slot = (slot + 1) & mask;
        }
        slot
    }
}

/// Wider strides are not worth the code for each.
const STRIDE_MAX: usize = 8;

/// A set of hashes, of which it only knows that some are not in it.
#[derive(Debug)]
enum Filter {
    /// 16 KiB, which stay in the first-level cache of any processor.
    Small(Box<[u64; 1 << 11]>),
    /// 128 KiB, for the second-level cache.
    Large(Box<[u64; 1 << 14]>),
}

/// From so many hashes a large filter lets enough less pass to be worth its slower cache.
const LARGE_FROM: usize = 4096;

impl Filter {
    fn of(hashes: impl ExactSizeIterator<Item = u32>) -> Self {
        if hashes.len() < LARGE_FROM {
            Self::Small(bits_of(hashes))
        } else {
            Self::Large(bits_of(hashes))
        }
    }

    /// Which of the group's samples may be in it, one bit each.
    #[inline(always)]
    fn known<const GRAM: usize, const STRIDE: usize>(&self, group: &[u8]) -> u64 {
        match self {
            Self::Small(bits) => known::<GRAM, STRIDE, _>(bits, group),
            Self::Large(bits) => known::<GRAM, STRIDE, _>(bits, group),
        }
    }

    /// 1 if `hash` may be in it, 0 if it is not.
    #[inline(always)]
    fn may_know(&self, hash: u32) -> u64 {
        match self {
            Self::Small(bits) => bit(bits, hash),
            Self::Large(bits) => bit(bits, hash),
        }
    }

    /// For a filter of grams and two bytes: 0 if the gram at `at` in `text`, which goes on for [`LOADED`] bytes, is in it neither with
    /// the two behind it nor with the two before.
    #[inline(always)]
    fn may_know_around<const GRAM: usize>(&self, text: &[u8], at: usize) -> u64 {
        let Some(before) = at.checked_sub(2) else {
            return 1;
        };
        let behind = kept::<GRAM, 2>(load(&text[at..]));
        let before = kept::<GRAM, 2>(load(&text[before..]));
        self.may_know(hash_of(behind, BEHIND)) | self.may_know(hash_of(before, BEFORE))
    }
}

fn bits_of<const WORDS: usize>(hashes: impl Iterator<Item = u32>) -> Box<[u64; WORDS]> {
    let mut bits = Box::new([0; WORDS]);
    for hash in hashes {
        let (word, bit) = place_of::<WORDS>(hash);
        bits[word] |= 1 << bit;
    }
    bits
}

#[inline(always)]
fn known<const GRAM: usize, const STRIDE: usize, const WORDS: usize>(
    bits: &[u64; WORDS],
    group: &[u8],
) -> u64 {
    let sample = |number: usize| {
        let gram = loaded::<GRAM>(&group[number * STRIDE..]);
        bit(bits, hash_of(gram, ALONE)) << number
    };
    (0..GROUP).fold(0, |known, number| known | sample(number))
}

#[inline(always)]
fn bit<const WORDS: usize>(bits: &[u64; WORDS], hash: u32) -> u64 {
    let (word, bit) = place_of::<WORDS>(hash);
    bits[word] >> bit & 1
}

/// Word and bit for `hash`, from its upper part, which is the better mixed one.
#[inline(always)]
fn place_of<const WORDS: usize>(hash: u32) -> (usize, u32) {
    let hash = hash >> (u32::BITS - 6 - WORDS.trailing_zeros());
    ((hash >> 6) as usize, hash & 63)
}

/// Factors of the hashes, apart so that what is behind a gram is not taken for what is before another.
const ALONE: u64 = 0x9E37_79B9_7F4A_7C15;
const BEFORE: u64 = 0xD6E8_FEB8_6659_FD93;
const BEHIND: u64 = 0xC2B2_AE3D_27D4_EB4F;

/// The upper part of a product spreads neighbouring numbers (Knuth's multiplicative hash).
#[inline(always)]
fn hash_of(number: u64, factor: u64) -> u32 {
    (number.wrapping_mul(factor) >> 32) as u32
}

/// Up to eight bytes as one number, with ASCII letters in either case alike. Some other bytes fall together too, which costs a
/// comparison and no match.
fn number(bytes: &[u8]) -> u64 {
    let mut loaded = [0; LOADED];
    loaded[..bytes.len()].copy_from_slice(bytes);
    let unused = u64::BITS - 8 * bytes.len() as u32;
    (u64::from_le_bytes(loaded) | FOLD) << unused >> unused
}

const FOLD: u64 = 0x2020_2020_2020_2020;

/// The [`number`] of the gram that `text`, of eight bytes or more, begins with.
#[inline(always)]
fn loaded<const GRAM: usize>(text: &[u8]) -> u64 {
    kept::<GRAM, 0>(load(text))
}

#[inline(always)]
fn load(text: &[u8]) -> u64 {
    let bytes = text.first_chunk().expect("a sample ends before the text");
    u64::from_le_bytes(*bytes) | FOLD
}

/// The first `GRAM + MORE` bytes of eight.
#[inline(always)]
fn kept<const GRAM: usize, const MORE: usize>(eight: u64) -> u64 {
    eight & (u64::MAX >> (u64::BITS as usize - 8 * (GRAM + MORE)))
}

/// Which `stride` neighbouring grams of a literal to enter: those that ordinary logs and the table so far have least.
fn best_window(
    bytes: &[u8],
    gram: usize,
    stride: usize,
    by_gram: &FxHashMap<u64, Vec<Place>>,
) -> std::ops::Range<usize> {
    let cost = |gram: &[u8]| {
        let shared = by_gram.get(&number(gram)).map_or(0, Vec::len);
        // The page is too short to have seen every gram of six bytes; what it has least of one it has at most of the whole.
        let rarest = gram.windows(4).map(ordinary::occurrences).min();
        4 * rarest.unwrap_or(0) + shared
    };
    let costs: Vec<usize> = bytes.windows(gram).map(cost).collect();
    let start = costs
        .windows(stride)
        .enumerate()
        .min_by_key(|(_, window)| window.iter().sum::<usize>())
        .map_or(0, |(start, _)| start);
    start..start + stride
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn literal(text: &str, ignore_case: bool) -> Literal {
        Literal {
            bytes: text.as_bytes().into(),
            ignore_case,
        }
    }

    fn found(literals: &[Literal], text: &[u8]) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        let mut last = 0;
        Search::new(literals).sweep(text, &mut |candidate| {
            assert!(candidate.at >= last);
            last = candidate.at;
            if literals[candidate.literal].is_at(text, candidate.start) {
                found.push((candidate.literal, candidate.start));
            }
        });
        found.sort_unstable();
        // With grams of any length it is the same.
        let shortest = literals.iter().map(|literal| literal.bytes.len()).min();
        if let Some(shortest @ 6..) = shortest {
            let mut by_six = Vec::new();
            Search::of(literals, shortest, 6).sweep(text, &mut |candidate| {
                if literals[candidate.literal].is_at(text, candidate.start) {
                    by_six.push((candidate.literal, candidate.start));
                }
            });
            by_six.sort_unstable();
            assert_eq!(by_six, found);
        }
        found
    }

    fn occurrences(literals: &[Literal], text: &[u8]) -> Vec<(usize, usize)> {
        let pairs = literals.iter().enumerate().flat_map(|(place, literal)| {
            (0..text.len())
                .filter(|&start| literal.is_at(text, start))
                .map(move |start| (place, start))
        });
        pairs.collect()
    }

    #[test]
    fn a_literal_is_found_at_either_edge_and_across_groups() {
        let literals = [literal("connection", false)];
        for before in 0..130 {
            let text = [&vec![b'.'; before][..], b"connection"].concat();
            assert_eq!(found(&literals, &text), [(0, before)]);
        }
    }

    #[test]
    fn no_literals_find_nothing() {
        assert_eq!(
            found(&[], b"some text, long enough for a group of samples or two"),
            []
        );
    }

    proptest! {
        #[test]
        fn every_occurrence_is_found_exactly_once(
            literals in prop::collection::vec(("[abAB{\\[\u{e9}]{4,20}", any::<bool>()), 1..12),
            shortest in 4..16_usize,
            pieces in prop::collection::vec((any::<prop::sample::Index>(), "[abAB{\\[ ]{0,7}", 0..4_usize), 0..20),
        ) {
            let literals: Vec<_> = literals
                .iter()
                .map(|(text, ignore_case)| literal(&text.repeat(shortest.div_ceil(text.len())), *ignore_case))
                .collect();
            let mut text = Vec::new();
            for (which, between, cut) in pieces {
                let bytes = &which.get(&literals).bytes;
                text.extend_from_slice(&bytes[cut.min(bytes.len())..]);
                text.extend_from_slice(between.as_bytes());
            }
            prop_assert_eq!(found(&literals, &text), occurrences(&literals, &text));
        }
    }
}
