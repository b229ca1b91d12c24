//! The search of a whole block for many literals at once, by looking at a fraction of its bytes.
//!
//! If every literal has at least `m` bytes, then of any `m - 3` neighbouring positions at which its first `m` bytes hold
//! a 4-gram, exactly one is a multiple of the stride `m - 3`. So it is enough to look at one 4-gram every `m - 3` bytes,
//! provided that the table knows the 4-grams at `m - 3` neighbouring places of each literal. Nothing is missed; what is
//! found is compared with the literals that put it there. Which neighbouring places those are is free to choose,
//! so each literal is entered where ordinary logs, and the other literals, are least like it.
//!
//! With thousands of literals much ordinary text has one of their 4-grams. So a sample that passes is asked about two bytes more,
//! those behind it or those before it, whichever its literal has: that needs no branch, and only what passes again is looked up.
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
    stride: usize,
    grams: Filter,
    /// The 4-grams with two bytes more; none where the shortest literal has no such bytes.
    wider: Option<Filter>,
    /// The 4-grams themselves by another hash, open addressing, at most half full.
    slots: Box<[Slot]>,
    slot_shift: u32,
    /// Where the literals have the 4-grams, those of one 4-gram together.
    places: Box<[Place]>,
}

/// A literal that may lie in the text: its first four sampled bytes do, ASCII case aside.
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
    gram: u32,
    /// Its places; none in a free slot.
    first: u32,
    count: u32,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    literal: u32,
    /// How far into the literal.
    offset: u32,
    /// Another 4-gram of the literal, and how far from this one it is. Nearly all text that has the first has not the second.
    check: u32,
    distance: i32,
}

impl Place {
    /// The 4-gram number `offset` of a literal's.
    fn new(literal: usize, grams: &[u32], offset: usize) -> Self {
        // The four bytes behind, as far as the literal has them, else those before.
        let other = match (offset + 4).min(grams.len() - 1) {
            same if same == offset => offset.saturating_sub(4),
            behind => behind,
        };
        Self {
            literal: literal as u32,
            offset: offset as u32,
            check: grams[other],
            distance: other as i32 - offset as i32,
        }
    }

    /// Whether `text`, which has the 4-gram at `at`, has the other one in its place.
    fn is_plausible(&self, text: &[u8], at: usize) -> bool {
        let other = at.wrapping_add_signed(self.distance as isize);
        let gram = text.get(other..other.wrapping_add(4));
        gram.is_some_and(|gram| ordinary::folded(gram) == self.check)
    }
}

/// Samples looked at together: one branch decides for all of them, and a bit stands for each.
const GROUP: usize = 64;

/// From this stride on each literal has two bytes more behind or before each of its 4-grams.
const WIDER_FROM: usize = LONG - 3;

impl Search {
    /// A search for `literals`, which all have at least [`SHORT`] bytes. The shortest decides how wide the stride can be.
    pub(super) fn new(literals: &[Literal]) -> Self {
        let shortest = literals.iter().map(|l| l.bytes.len()).min().unwrap_or(LONG);
        debug_assert!(shortest >= SHORT, "{shortest} bytes");
        let stride = match shortest - 3 {
            // The widths that `sweep` is compiled for.
            narrow @ 0..=6 => narrow,
            7 => 6,
            _ => 8,
        };

        // Those with the least choice first.
        let mut order: Vec<usize> = (0..literals.len()).collect();
        order.sort_by_key(|&literal| literals[literal].bytes.len());
        let mut by_gram: FxHashMap<u32, Vec<Place>> = FxHashMap::default();
        let mut wider = Vec::new();
        for literal in order {
            let bytes = &literals[literal].bytes;
            let grams: Vec<u32> = bytes.windows(4).map(ordinary::folded).collect();
            for offset in best_window(&grams, stride, &by_gram) {
                let place = Place::new(literal, &grams, offset);
                by_gram.entry(grams[offset]).or_default().push(place);
                if stride >= WIDER_FROM {
                    wider.push(match bytes.get(offset..offset + 6) {
                        Some(behind) => hash_of_six(six(behind), BEHIND),
                        None => hash_of_six(six(&bytes[offset - 2..offset + 4]), BEFORE),
                    });
                }
            }
        }
        Self::of_grams(stride, by_gram, wider)
    }

    fn of_grams(stride: usize, by_gram: FxHashMap<u32, Vec<Place>>, wider: Vec<u32>) -> Self {
        let slot_bits = (by_gram.len() * 2)
            .next_power_of_two()
            .trailing_zeros()
            .max(1);
        let mut search = Self {
            stride,
            grams: Filter::of(by_gram.keys().map(|&gram| hash_of(gram))),
            wider: (stride >= WIDER_FROM).then(|| Filter::of(wider.into_iter())),
            slots: vec![Slot::default(); 1 << slot_bits].into(),
            slot_shift: u32::BITS - slot_bits,
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
        match self.stride {
            1 => self.sweep_by::<1>(text, found),
            2 => self.sweep_by::<2>(text, found),
            3 => self.sweep_by::<3>(text, found),
            4 => self.sweep_by::<4>(text, found),
            5 => self.sweep_by::<5>(text, found),
            6 => self.sweep_by::<6>(text, found),
            _ => self.sweep_by::<8>(text, found),
        }
    }

    fn sweep_by<const STRIDE: usize>(&self, text: &[u8], found: &mut impl FnMut(Candidate)) {
        let mut at = 0;
        let mut passed = [0; GROUP];
        while let Some(group) = text.get(at..at + (GROUP - 1) * STRIDE + 4) {
            let known = self.grams.known::<STRIDE>(group);
            if known != 0 {
                for &sample in self.narrowed(text, at, known, STRIDE, &mut passed) {
                    self.propose(text, sample, found);
                }
            }
            at += GROUP * STRIDE;
        }
        while let Some(gram) = text.get(at..at + 4) {
            if self.grams.may_know(hash_of(ordinary::folded(gram))) != 0 {
                self.propose(text, at, found);
            }
            at += STRIDE;
        }
    }

    /// Where in `text` the samples of the group at `at` lie that are `known` and that the wider filter lets pass as well.
    #[inline(always)]
    fn narrowed<'p>(
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
                Some(wider) => wider.may_know_around(text, sample) as usize,
                None => 1,
            };
        }
        &passed[..count]
    }

    /// Tells of the literals that have the 4-gram at `at`.
    #[inline(never)]
    fn propose(&self, text: &[u8], at: usize, found: &mut impl FnMut(Candidate)) {
        let gram = ordinary::folded(&text[at..at + 4]);
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
    fn slot_of(&self, gram: u32) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = (gram.wrapping_mul(0x85EB_CA6B) >> self.slot_shift) as usize;
        while self.slots[slot].count != 0 && self.slots[slot].gram != gram {
            slot = (slot + 1) & mask;
        }
        slot
    }
}

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
    fn known<const STRIDE: usize>(&self, group: &[u8]) -> u64 {
        match self {
            Self::Small(bits) => known::<STRIDE, _>(bits, group),
            Self::Large(bits) => known::<STRIDE, _>(bits, group),
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

    /// For a filter of six bytes: 0 if the 4-gram at `at` in `text` is in it neither with the two behind it nor with the two before.
    #[inline(always)]
    fn may_know_around(&self, text: &[u8], at: usize) -> u64 {
        let around = at.checked_sub(2).and_then(|from| text.get(from..from + 8));
        let Some(around) = around.and_then(|around| around.try_into().ok()) else {
            return 1;
        };
        let around = u64::from_le_bytes(around) | FOLD;
        self.may_know(hash_of_six(around & SIX, BEFORE))
            | self.may_know(hash_of_six(around >> 16, BEHIND))
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
fn known<const STRIDE: usize, const WORDS: usize>(bits: &[u64; WORDS], group: &[u8]) -> u64 {
    let sample = |number: usize| {
        let gram = ordinary::folded(&group[number * STRIDE..number * STRIDE + 4]);
        bit(bits, hash_of(gram)) << number
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

/// The upper part of a product spreads neighbouring numbers (Knuth's multiplicative hash).
#[inline(always)]
fn hash_of(gram: u32) -> u32 {
    gram.wrapping_mul(0x9E37_79B1)
}

/// ASCII letters in either case alike, as [`ordinary::folded`] has it.
const FOLD: u64 = 0x2020_2020_2020_2020;
const SIX: u64 = (1 << 48) - 1;

/// Apart, so that a literal's bytes behind a 4-gram are not taken for another's before it.
const BEFORE: u64 = 0x9E37_79B9_7F4A_7C15;
const BEHIND: u64 = 0xC2B2_AE3D_27D4_EB4F;

/// The hash of six bytes, folded: a 4-gram with the two `side` of it.
#[inline(always)]
fn hash_of_six(six: u64, side: u64) -> u32 {
    (six.wrapping_mul(side) >> 32) as u32
}

/// Six bytes as one number, folded.
fn six(bytes: &[u8]) -> u64 {
    let mut number = [0; 8];
    number[..6].copy_from_slice(bytes);
    (u64::from_le_bytes(number) | FOLD) & SIX
}

/// Which `stride` neighbouring 4-grams of a literal to enter: those that ordinary logs and the table so far have least.
fn best_window(
    grams: &[u32],
    stride: usize,
    by_gram: &FxHashMap<u32, Vec<Place>>,
) -> std::ops::Range<usize> {
    let cost = |gram: &u32| {
        let shared = by_gram.get(gram).map_or(0, Vec::len);
        4 * ordinary::occurrences(&gram.to_le_bytes()) + shared
    };
    let costs: Vec<usize> = grams.iter().map(cost).collect();
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
            shortest in 4..12_usize,
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
