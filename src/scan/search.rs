//! The search of a whole block for many literals at once, by looking at a fraction of its bytes.
//!
//! If every literal has at least `m` bytes, then of any `m - 3` neighbouring positions at which its first `m` bytes hold
//! a 4-gram, exactly one is a multiple of the stride `m - 3`. So it is enough to look at one 4-gram every `m - 3` bytes,
//! provided that the table knows of each literal a 4-gram for each remainder that its offset can leave. Nothing is missed; what is
//! found is compared with the literals that put it there. Which of the offsets with one remainder it is is free to choose: see `grams`.
//!
//! The gram chooses a word of the table and the byte behind it one of the word's bits, so that the same look asks about a byte more, if
//! the literal has one. With hundreds of literals much ordinary text has one of their 4-grams. Where all are long enough, 6-grams are
//! looked at instead: a narrower stride, and far fewer of them in ordinary text. What passes is then asked about two bytes more, those
//! behind the gram or those before it, whichever its literal has: that needs no branch, and only what passes again is looked up.
//!
//! An automaton reads every byte and waits for the last one: about 0.3 GB/s whatever its kind. The samples do not depend
//! on each other. Text that nearly matches costs more, in proportion to its length, and no more than that.
//!
//! The other parts of the room know only [`Search::new`] and [`Search::sweep`].

use rustc_hash::FxHashMap;

use super::grams::{self, Around};
use super::literals::{LONG, LONGER, Literal, SHORT};

/// A table of literals, and the stride with which a block is sampled for them.
#[derive(Debug)]
pub(super) struct Search {
    /// How many bytes a sample has: 4 or 6.
    gram: usize,
    stride: usize,
    /// How many bytes at either end of a literal are compared before it is proposed.
    checked: usize,
    /// The grams with the byte behind each.
    grams: Filter,
    /// The grams with two bytes more; none where the shortest literal has not so many.
    wider: Option<Filter>,
    /// The grams themselves by another hash, open addressing, at most half full.
    slots: Box<[Slot]>,
    slot_shift: u32,
    /// Where the literals have the grams, those of one tag together, and of these neighbours which begin and end alike. The first one
    /// is of none: a free slot has it.
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

/// Small, as these are looked at here and there and most caches hold other things.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// See [`tag`].
    tag: u32,
    /// The first of its places; zero in a free slot.
    first: u32,
}

/// Where a literal has a gram. Small as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// How far into the literal.
    offset: u32,
    /// How long the literal is.
    len: u32,
    /// Its [`ends`]. Nearly all text that has the gram has not these, and the literal itself, which lies elsewhere, need not be fetched.
    check: u32,
    /// The literal; the upper bit is set in all places of a tag but the last.
    literal: u32,
}

impl Place {
    /// That of `offset` in a literal, which has `checked` bytes or more.
    fn new(literal: usize, bytes: &[u8], offset: usize, checked: usize) -> Self {
        Self {
            offset: offset as u32,
            len: bytes.len() as u32,
            check: ends(bytes, checked),
            literal: literal as u32,
        }
    }

    /// Where the literal would begin in `text`, which has the gram at `at`, and the [`ends`] of what is there. `None` if that is not
    /// all in the text.
    fn ends_there(&self, text: &[u8], at: usize, checked: usize) -> Option<(usize, u32)> {
        let start = at.checked_sub(self.offset as usize)?;
        let bytes = text.get(start..start + self.len as usize)?;
        Some((start, ends(bytes, checked)))
    }
}

/// What stands for the first and the last `checked` of `bytes`, at most eight. Others have the same once in billions.
#[inline(always)]
fn ends(bytes: &[u8], checked: usize) -> u32 {
    let last = bytes.len() - checked;
    let (first, last) = if checked == LOADED {
        (load(bytes), load(&bytes[last..]))
    } else {
        (number(&bytes[..checked]), number(&bytes[last..]))
    };
    ((first.wrapping_mul(BEFORE) ^ last).wrapping_mul(BEHIND) >> 32) as u32
}

/// See [`Place::literal`].
const MORE: u32 = 1 << 31;

/// Samples looked at in a row, without even a loop: a third faster than one by one (Zen 5, 2026-11-29).
const RUN: usize = 8;

/// Runs looked at before those are looked at again that have something: each step is done for all, so that none waits for a branch.
const RUNS: usize = 64;

/// Samples in a row of which some passed the filter.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    /// Where the first one lies.
    first: u32,
    /// A bit for each that passed.
    known: u32,
}

/// Bytes that a run reads.
const fn run_bytes(stride: usize) -> usize {
    (RUN - 1) * stride + LOADED
}

/// Bytes that a sample reads, whatever it uses of them.
const LOADED: usize = 8;

/// From so many literals on, 6-grams make up for their narrower stride, if the shortest literal has [`LONGER`] bytes: 1.2 MB of
/// ordinary log takes 95 µs for 10 literals with 4-grams and 103 with 6-grams, for 200 it is 132 and 133, for 2 900 460 and 200 (AMD
/// Zen 5, 2026-11-29). What is left for 2 900 literals of the rules that ship, 315 µs where 15 take 155, is 195 for the first look
/// at each sample, 65 for the second at 3 %, and 50 for the 0.7 % that are looked up, most of which have what is looked for (Zen 4). To look
/// all slots up before the first place, and all places before the first literal, saves nothing. See docs/performance.md for the rest.
const SIX_GRAMS_FROM: usize = 200;

impl Search {
    /// A search for `literals`, which all have at least [`SHORT`] bytes. The shortest decides how wide the stride can be.
    pub(super) fn new(literals: &[Literal]) -> Self {
        let shortest = literals.iter().map(|l| l.bytes.len()).min().unwrap_or(LONG);
        let long = shortest >= LONGER && literals.len() >= SIX_GRAMS_FROM;
        Self::of(literals, shortest, if long { 6 } else { 4 })
    }

    fn of(literals: &[Literal], shortest: usize, gram: usize) -> Self {
        debug_assert!(shortest >= SHORT.max(gram), "{shortest} bytes");
        let stride = (shortest + 1 - gram).min(STRIDE_MAX);
        let has_wider = shortest >= gram + 4;
        let checked = shortest.min(LOADED);

        let mut by_gram: FxHashMap<u64, Vec<Place>> = FxHashMap::default();
        let mut grams = Vec::new();
        let mut wider = Vec::new();
        let chosen = grams::chosen(literals, gram, stride).into_iter();
        for (literal, chosen) in chosen.enumerate() {
            let bytes = &literals[literal].bytes;
            for (offset, around) in chosen {
                let end = offset + gram;
                let its_gram = &bytes[offset..end];
                let place = Place::new(literal, bytes, offset, checked);
                by_gram.entry(number(its_gram)).or_default().push(place);
                grams.push(Entry::of(its_gram, bytes.get(end)));
                if has_wider {
                    wider.push(match around {
                        Around::Behind => Entry::hashed(number(&bytes[offset..end + 2]), BEHIND),
                        Around::Before => Entry::hashed(number(&bytes[offset - 2..end]), BEFORE),
                    });
                }
            }
        }

        let mut by_tag: FxHashMap<u32, Vec<Place>> = FxHashMap::default();
        for (gram, places) in by_gram {
            by_tag.entry(tag(gram)).or_default().extend(places);
        }
        let slot_bits = (by_tag.len() * 2)
            .next_power_of_two()
            .trailing_zeros()
            .max(1);
        let mut search = Self {
            gram,
            stride,
            checked,
            grams: Filter::of(grams, GRAMS_SMALL_MAX),
            wider: has_wider.then(|| Filter::of(wider, WIDER_SMALL_MAX)),
            slots: vec![Slot::default(); 1 << slot_bits].into(),
            slot_shift: u32::BITS - slot_bits,
            places: Box::default(),
        };
        let mut places = vec![Place::new(0, &[0; LOADED], 0, checked)];
        for (tag, mut its_places) in by_tag {
            let slot = search.slot_of(tag);
            search.slots[slot] = Slot {
                tag,
                first: places.len() as u32,
            };
            its_places.sort_unstable();
            let (_, more) = its_places
                .split_last_mut()
                .expect("a tag is of a gram, and that of a literal");
            for place in more {
                place.literal |= MORE;
            }
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
        let mut known = [Run::default(); RUNS];
        let mut passed = [0; RUNS * RUN];
        while text.len() >= at + run_bytes(STRIDE) {
            let runs = ((text.len() - at - run_bytes(STRIDE)) / (RUN * STRIDE) + 1).min(RUNS);
            let known = self
                .grams
                .known::<GRAM, STRIDE>(&text[at..], runs, &mut known);
            for &sample in self.narrowed::<GRAM>(text, at, known, STRIDE, &mut passed) {
                self.propose(text, sample, loaded::<GRAM>(&text[sample..]), found);
            }
            at += runs * RUN * STRIDE;
        }
        while let Some(gram) = text.get(at..at + GRAM) {
            self.propose(text, at, number(gram), found);
            at += STRIDE;
        }
    }

    /// Where in `text` the samples lie that are `known`, in runs counted from `at`, and that the wider filter lets pass as well.
    #[inline(always)]
    fn narrowed<'p, const GRAM: usize>(
        &self,
        text: &[u8],
        at: usize,
        known: &[Run],
        stride: usize,
        passed: &'p mut [usize; RUNS * RUN],
    ) -> &'p [usize] {
        let mut count = 0;
        for run in known {
            let mut some = run.known;
            // Nearly always one: the loop is foreseen to end.
            while some != 0 {
                let sample = at + run.first as usize + some.trailing_zeros() as usize * stride;
                some &= some - 1;
                // Counted or written over: no branch that could be foreseen wrongly.
                passed[count % (RUNS * RUN)] = sample;
                count += match &self.wider {
                    Some(wider) => wider.may_know_around::<GRAM>(text, sample) as usize,
                    None => 1,
                };
            }
        }
        &passed[..count]
    }

    /// Tells of the literals that have `gram`, which is at `at`.
    #[inline(never)]
    fn propose(&self, text: &[u8], at: usize, gram: u64, found: &mut impl FnMut(Candidate)) {
        let first = self.slots[self.slot_of(tag(gram))].first as usize;
        if first == 0 {
            return;
        }
        let mut shape = None;
        let mut there = None;
        for place in &self.places[first..] {
            // Families of literals differ in what they are amid, so the text is read once for all of them.
            if shape != Some((place.offset, place.len)) {
                shape = Some((place.offset, place.len));
                there = place.ends_there(text, at, self.checked);
            }
            if let Some((start, check)) = there
                && check == place.check
            {
                found(Candidate {
                    at,
                    literal: (place.literal & !MORE) as usize,
                    start,
                });
            }
            if place.literal & MORE == 0 {
                return;
            }
        }
    }

    /// The slot that holds the grams with `tag`, or the free one where it would be.
    fn slot_of(&self, tag: u32) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = (tag >> self.slot_shift) as usize;
        while self.slots[slot].first != 0 && self.slots[slot].tag != tag {
            slot = (slot + 1) & mask;
        }
        slot
    }
}

/// What stands for `gram` in the slots: a hash that hardly another one has. Where one has, both are proposed, and one is found out.
#[inline(always)]
fn tag(gram: u64) -> u32 {
    (gram.wrapping_mul(SLOT) >> 32) as u32
}

/// Wider strides are not worth the code for each.
const STRIDE_MAX: usize = 8;

/// A set of grams, of which it only knows that some are not in it: a table of words, one bit of which stands for a gram.
#[derive(Debug)]
enum Filter {
    /// 16 KiB, which stay in the first-level cache of any processor.
    Small(Box<[u32; 1 << 12]>),
    /// 128 KiB, for the second-level cache.
    Large(Box<[u32; 1 << 15]>),
}

/// How many grams a small filter is for: with more, a large one lets enough less pass to be worth its slower cache.
const GRAMS_SMALL_MAX: usize = 4096;
/// The same of the wider ones, which are asked about a fortieth of the samples: what they let pass by chance hardly counts.
const WIDER_SMALL_MAX: usize = 16_384;

/// What is put into a [`Filter`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    /// Its upper bits are the place of the word, however many there are.
    hash: u64,
    bits: u32,
}

impl Entry {
    /// Of `gram` and the byte behind it, ASCII case aside; whatever that is, if there is none.
    fn of(gram: &[u8], behind: Option<&u8>) -> Self {
        Self {
            hash: number(gram).wrapping_mul(factor(gram.len())),
            bits: behind.map_or(u32::MAX, |byte| 1 << (u32::from(*byte) % u32::BITS)),
        }
    }

    /// Of `gram`, the bit by its hash as well.
    #[inline(always)]
    fn hashed(gram: u64, factor: u64) -> Self {
        let hash = gram.wrapping_mul(factor);
        Self {
            hash,
            bits: 1 << (hash >> 32 & 31),
        }
    }
}

impl Filter {
    /// A small one for up to `small_max` different entries.
    fn of(mut entries: Vec<Entry>, small_max: usize) -> Self {
        entries.sort_unstable();
        entries.dedup();
        if entries.len() <= small_max {
            Self::Small(table(&entries))
        } else {
            Self::Large(table(&entries))
        }
    }

    /// Which of the samples in the first `runs` runs of `text` may be in it.
    #[inline(always)]
    fn known<'k, const GRAM: usize, const STRIDE: usize>(
        &self,
        text: &[u8],
        runs: usize,
        known: &'k mut [Run; RUNS],
    ) -> &'k [Run] {
        let count = match self {
            Self::Small(table) => look_up::<GRAM, STRIDE, _>(table, text, runs, known),
            Self::Large(table) => look_up::<GRAM, STRIDE, _>(table, text, runs, known),
        };
        &known[..count]
    }

    /// 1 if `entry` may be in it, 0 if it is not.
    #[inline(always)]
    fn may_know(&self, entry: Entry) -> u64 {
        let word = match self {
            Self::Small(table) => table[place::<{ 1 << 12 }>(entry.hash)],
            Self::Large(table) => table[place::<{ 1 << 15 }>(entry.hash)],
        };
        u64::from(word & entry.bits != 0)
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
        self.may_know(Entry::hashed(behind, BEHIND)) | self.may_know(Entry::hashed(before, BEFORE))
    }
}

fn table<const WORDS: usize>(entries: &[Entry]) -> Box<[u32; WORDS]> {
    let mut table = Box::new([0; WORDS]);
    for entry in entries {
        table[place::<WORDS>(entry.hash)] |= entry.bits;
    }
    table
}

/// Puts those runs into `known` that have samples whose grams may be in `table`, and tells how many they are.
#[inline(always)]
fn look_up<const GRAM: usize, const STRIDE: usize, const WORDS: usize>(
    table: &[u32; WORDS],
    text: &[u8],
    runs: usize,
    known: &mut [Run; RUNS],
) -> usize {
    let mut count = 0;
    for run in 0..runs {
        let first = run * RUN * STRIDE;
        let samples = &text[first..][..run_bytes(STRIDE)];
        let some = (0..RUN).rev().fold(0, |some, number| {
            let eight = load(&samples[number * STRIDE..]);
            let word = table[place::<WORDS>(eight.wrapping_mul(factor(GRAM)))];
            let behind = (eight >> (8 * GRAM)) as u32 % u32::BITS;
            some << 1 | word >> behind & 1
        });
        known[count % RUNS] = Run {
            first: first as u32,
            known: some,
        };
        count += usize::from(some != 0);
    }
    count
}

/// The place in a table of so many words that `hash` says by its upper bits, which are the better mixed ones.
#[inline(always)]
fn place<const WORDS: usize>(hash: u64) -> usize {
    (hash >> (u64::BITS - WORDS.trailing_zeros())) as usize
}

/// What eight bytes are multiplied with for the hash of the first `gram` of them: so far up that the others do not count.
#[inline(always)]
const fn factor(gram: usize) -> u64 {
    ALONE << (u64::BITS as usize - 8 * gram)
}

/// Factors of the hashes, apart so that what is behind a gram is not taken for what is before another. The upper part of a product
/// spreads neighbouring numbers (Knuth's multiplicative hash).
const ALONE: u64 = 0x9E37_79B9_7F4A_7C15;
const BEFORE: u64 = 0xD6E8_FEB8_6659_FD93;
const BEHIND: u64 = 0xC2B2_AE3D_27D4_EB4F;
const SLOT: u64 = 0xA24B_AED4_963E_E407;

/// Up to eight bytes as one number, with ASCII letters in either case alike. Some other bytes fall together too, which costs a
/// comparison and no match.
pub(super) fn number(bytes: &[u8]) -> u64 {
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
