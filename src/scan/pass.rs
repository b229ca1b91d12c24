//! One pass over a batch: from candidates in the block to questions about lines.
//!
//! A sweep proposes places. A place is mapped to its entry and must lie within the line as rules see it; then the literal found
//! there has something to ask. Behind the end of a line all that is asked about it is known, so what was not asked need not be
//! looked for, and the rules asked judge the line, once, however often their literals occur there, if it holds what they need
//! besides (`needles`).
//!
//! A line is judged at its end. To let each rule judge all its lines of a batch in a row takes as long: what the automata gain by
//! staying in the processor's cache, the lines lose (10 % and 100 % of lines hit, 200 rules, Zen 4, 2026-11-29).

use std::ops::Range;

use super::hits::{self, HitBy};
use super::line::Line;
use super::plan::{Ask, Judged, Raised, Tier};
use super::scanner::{Scanner, Scratch};
use super::search::Candidate;
use crate::batch::{Batch, Stream};
use crate::hit::{Hit, RuleIndex};

/// One call of [`Scanner::scan`].
pub(super) struct Pass<'a> {
    pub(super) scanner: &'a Scanner,
    pub(super) batch: &'a Batch,
    pub(super) scratch: &'a mut Scratch,
    pub(super) hits: &'a mut Vec<Hit>,
}

impl Pass<'_> {
    /// Finds the hits of `entries`, which are some.
    pub(super) fn run(mut self, entries: Range<usize>) {
        let scanner = self.scanner;
        for tier in 0..scanner.tiers.len() {
            self.sweep(tier, entries.clone());
        }
        if !scanner.every_line.is_empty() {
            self.ask_about_every_line(&entries);
        }
    }

    fn sweep(&mut self, number: usize, entries: Range<usize>) {
        let (batch, tier) = (self.batch, &self.scanner.tiers[number]);
        let base = batch.entries[entries.start].line.range().start;
        let text = &batch.block[base..batch.entries[entries.end - 1].line.range().end];
        let literal_found_in = &mut self.scratch.literal_found_in;
        literal_found_in.clear();
        literal_found_in.resize(tier.literals.len(), 0);
        let mut cursor = Cursor::new(batch, entries);
        tier.search.sweep(text, &mut |candidate| {
            self.consider((number, tier), candidate, text, base, &mut cursor);
        });
        self.settle(number, &cursor);
    }

    /// `text` begins at `base` in the block.
    fn consider(
        &mut self,
        (number, tier): (usize, &Tier),
        Candidate { at, literal, start }: Candidate,
        text: &[u8],
        base: usize,
        cursor: &mut Cursor<'_>,
    ) {
        let found_in = self.scratch.literal_found_in[literal];
        let is_within = cursor.is_within(base + at);
        // A line full of one literal is looked at once; its other occurrences cost a comparison of numbers.
        if is_within && found_in == cursor.place() {
            return;
        }
        let bytes = &tier.literals[literal];
        if !bytes.is_at(text, start) {
            return;
        }
        if !is_within {
            self.settle(number, cursor);
            if !cursor.seek(base + at) {
                return;
            }
        }
        // In a CRI prefix, or across the line's end, it does not count, but may yet follow in the line.
        let line = cursor.line();
        let start = base + start;
        if start < line.start || start + bytes.bytes.len() > line.end {
            return;
        }
        self.scratch.literal_found_in[literal] = cursor.place();
        self.scratch.asks.extend_from_slice(&tier.asks[literal]);
    }

    /// Answers all that was asked about the cursor's entry.
    fn settle(&mut self, tier: usize, cursor: &Cursor<'_>) {
        if self.scratch.asks.is_empty() {
            return;
        }
        // Out of the scratch while the rules in it are asked.
        let mut asks = std::mem::take(&mut self.scratch.asks);
        asks.sort_unstable();
        let raised = Raised::In { tier, asks: &asks };
        let needles = &self.scanner.tiers[tier].needles;
        let may_be = |ask: &Ask| {
            ask.needed.is_nothing() || {
                let line = &self.batch.block[cursor.line()];
                needles.is_in(ask.needed, line)
            }
        };
        for of_rule in asks.chunk_by(|a, b| a.rule == b.rule) {
            let rule = of_rule[0].rule;
            self.scratch.ledger.count(rule, 1);
            if of_rule.iter().any(may_be) && self.selects(rule, cursor) {
                self.ask(rule, raised, cursor.stream, cursor.entry);
            }
        }
        asks.clear();
        self.scratch.asks = asks;
    }

    /// Whether the rule at place `rule` reads the cursor's stream.
    fn selects(&mut self, rule: usize, cursor: &Cursor<'_>) -> bool {
        let state = &mut self.scratch.by_rule[rule];
        let stream = cursor.stream as u32 + 1;
        if state.stream != stream {
            state.stream = stream;
            state.selected = self.scanner.plans[rule].selects(cursor.stream());
        }
        state.selected
    }

    fn ask_about_every_line(&mut self, entries: &Range<usize>) {
        let (scanner, batch) = (self.scanner, self.batch);
        // Out of the scratch while the rules in it are asked.
        let mut asked = std::mem::take(&mut self.scratch.asked);
        for (place, stream) in batch.streams.iter().enumerate() {
            let present = stream.entries_within(entries);
            if present.is_empty() {
                continue;
            }
            let rules = scanner.every_line.iter().copied();
            asked.clear();
            asked.extend(rules.filter(|&rule| scanner.plans[rule].selects(&stream.stream)));
            for &rule in &asked {
                self.scratch.ledger.count(rule, present.len() as u64);
            }
            for entry in present {
                for &rule in &asked {
                    self.ask(rule, Raised::Unknown, place, entry);
                }
            }
        }
        self.scratch.asked = asked;
    }

    fn ask(&mut self, rule: usize, raised: Raised<'_>, stream: usize, entry: usize) {
        let began = self.scratch.ledger.begin(rule);
        self.judge(rule, raised, stream, entry);
        if let Some(began) = began {
            self.scratch.ledger.end(rule, began);
        }
    }

    fn judge(&mut self, rule: usize, raised: Raised<'_>, stream: usize, entry: usize) {
        let plan = &self.scanner.plans[rule];
        self.scratch.work.caches.turn_to(entry);
        let entry = &self.batch.entries[entry];
        let line = Line::of(self.batch, &self.batch.streams[stream].stream, entry);
        let work = &mut self.scratch.work;
        let judged = plan.judge(rule, &self.scanner.plans, &line, raised, work);
        let Some(Judged {
            role,
            parts,
            wanted,
        }) = judged
        else {
            return;
        };
        if self
            .scanner
            .leaves_out(stream, &line, &mut self.scratch.concerned)
        {
            return;
        }
        let hit = &HitBy {
            wanted,
            cues: plan.cues(rule, wanted, raised),
            line,
        };
        // Every line of a stream may count in a denominator, so such a hit copies none.
        let (captures, bytes) = if wanted.is_denominator {
            Default::default()
        } else {
            let captures = hits::captures(hit, work);
            (captures, hits::cut(line.bytes))
        };
        let raw = self.batch.bytes(entry.line);
        self.hits.push(Hit {
            rule: RuleIndex(rule as u32),
            role,
            parts,
            at: entry.at,
            stream: line.stream.id,
            labels: line.stream.labels.clone(),
            entry: entry.id(line.stream, raw),
            key: self.scratch.keys.of(stream, hit, work),
            values: hits::values(hit, work),
            captures,
            line: bytes,
        });
    }
}

/// The entry at a position in the block, for positions that never decrease.
struct Cursor<'a> {
    batch: &'a Batch,
    /// The entry and its stream, by place.
    entry: usize,
    stream: usize,
    /// Where the entries end that are looked at.
    end: usize,
}

impl<'a> Cursor<'a> {
    /// At the first of `entries`, which are some.
    fn new(batch: &'a Batch, entries: Range<usize>) -> Self {
        let stream = batch
            .streams
            .partition_point(|stream| stream.entries.end as usize <= entries.start);
        Self {
            batch,
            entry: entries.start,
            stream,
            end: entries.end,
        }
    }

    /// The entry's number within the batch, counted from one.
    fn place(&self) -> u32 {
        self.entry as u32 + 1
    }

    fn stream(&self) -> &'a Stream {
        &self.batch.streams[self.stream].stream
    }

    /// Whether the entry's line, as sent, contains the position.
    fn is_within(&self, at: usize) -> bool {
        self.batch.entries[self.entry].line.range().contains(&at)
    }

    /// Where in the block the entry's line lies, as rules see it.
    fn line(&self) -> Range<usize> {
        let entry = &self.batch.entries[self.entry];
        let line = self.batch.line(entry);
        // `trim_line` gives a piece of the block, so the distance of the addresses is its place there.
        let start = line.as_ptr().addr() - self.batch.block.as_ptr().addr();
        start..start + line.len()
    }

    /// Moves on to the entry whose line, as sent, contains the position; stays at the next one and says no if there is none.
    fn seek(&mut self, at: usize) -> bool {
        let entries = &self.batch.entries[..self.end];
        let is_before = |entry: usize| entries[entry].line.range().end <= at;
        // Candidates are far apart or in the same line: double the step until one is beyond.
        let mut step = 1;
        let mut low = self.entry;
        while low + step < self.end && is_before(low + step) {
            low += step;
            step *= 2;
        }
        let high = (low + step).min(self.end);
        let passed = entries[low..high].partition_point(|entry| entry.line.range().end <= at);
        // Never past the last one: a position behind it is in no line.
        self.entry = (low + passed).min(self.end - 1);
        while self.batch.streams[self.stream].entries.end as usize <= self.entry {
            self.stream += 1;
        }
        self.is_within(at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scan::testing::{Sent, batch, labels};

    proptest! {
        #[test]
        fn a_cursor_finds_the_entry_at_each_position(
            lengths in prop::collection::vec(prop::collection::vec(0..4_usize, 0..30), 1..5),
            framing in "-{0,2}",
            mut positions in prop::collection::vec(any::<prop::sample::Index>(), 1..30),
            cut in any::<prop::sample::Index>(),
        ) {
            let lines = |lengths: &Vec<usize>| lengths.iter().map(|&len| Sent::from(&*"x".repeat(len))).collect();
            let streams: Vec<_> = lengths.iter().map(|lengths| (labels(&[]), lines(lengths))).collect();
            let batch = batch(&streams, &framing);
            prop_assume!(!batch.entries.is_empty());
            let first = cut.index(batch.entries.len());
            let base = batch.entries[first].line.range().start;
            positions.sort_by_key(|position| position.index(batch.block.len() + 1));

            let mut cursor = Cursor::new(&batch, first..batch.entries.len());
            for position in positions {
                let at = base.max(position.index(batch.block.len() + 1));
                let expected = (first..batch.entries.len()).find(|&entry| batch.entries[entry].line.range().contains(&at));
                let found = cursor.seek(at).then_some(cursor.entry);
                prop_assert_eq!(found, expected, "at {}", at);
                if let Some(entry) = expected {
                    prop_assert!(batch.streams[cursor.stream].entries.contains(&(entry as u32)));
                }
            }
        }
    }
}
