//! What a key takes in memory, and how it takes less.

use super::{Escalations, Group, Joined, KeyState, Telling};
use crate::finding::Finding;
use crate::hit::Hit;
use crate::rules::Rule;

/// What is kept about a key elsewhere: its place among the keys of its rule and among those that are idle or open, its name, and a timer.
/// With what an allocator adds to each of these and of the key's own pieces, some four in all: 16 bytes.
const PLACES_BYTES: usize = 350;

/// The same of one that has a finding: among the open ones, and among those that another holds back.
const FINDING_PLACES_BYTES: usize = 400;

/// Texts of a finding beside its evidence: ids, names, condition, query.
const FINDING_TEXT_BYTES: usize = 2048;

/// A map of labels, and the names and values in it.
const LABELS_BYTES: usize = 800;

impl KeyState {
    /// About how much memory it takes, in bytes, with what is kept about it elsewhere; without labels, and the identities of its entries,
    /// which have bounds of their own. At most a third more than what is allocated, and never less.
    /// Cost: linear in the lines that it quotes or holds back.
    pub(in crate::detect) fn memory_bytes(&self) -> usize {
        let captures = self.captures.as_deref().map_or(0, |it| {
            let texts = it.1.iter();
            let texts = texts.map(|(name, value)| 32 + name.len() + value.len());
            size_of_val(it) + texts.sum::<usize>()
        });
        let episode = self.episode.iter();
        let episode = episode.map(|it| FINDING_PLACES_BYTES + size_of_val(&**it) + it.heap_bytes());
        let owed = self.telling.get().and_then(Telling::owed);
        let held_back = self.held_back().iter();
        let joined = self.joined.get().into_iter().flatten();
        size_of::<Self>()
            + PLACES_BYTES
            + self.counted.heap_bytes()
            + self.escalations.heap_bytes()
            + self.escalations.get().map_or(0, Escalations::heap_bytes)
            + self.learned.heap_bytes()
            + self.quotes.heap_bytes()
            + self.sources.heap_bytes()
            + captures
            + episode.sum::<usize>()
            + self.telling.heap_bytes()
            + owed.map_or(0, finding_bytes)
            + self.marks.heap_bytes()
            + held_back.map(group_bytes).sum::<usize>()
            + self.joined.heap_bytes()
            + joined.map(Joined::heap_bytes).sum::<usize>()
    }

    /// What was last reckoned that it takes, in bytes; 0 before the first time.
    pub(in crate::detect) fn reckoned(&self) -> usize {
        self.reckoned as usize
    }

    /// Reckons anew.
    pub(in crate::detect) fn reckon(&mut self) {
        self.reckoned = u32::try_from(self.memory_bytes()).unwrap_or(u32::MAX);
    }

    /// Keeps as little as its condition can be decided with, for want of memory. What is counted from now on is "at least".
    pub(in crate::detect) fn keep_few(&mut self, rule: &Rule) {
        self.counted.keep_few(&rule.condition);
        self.quotes.keep_few();
    }
}

pub(super) fn finding_bytes(finding: &Finding) -> usize {
    let lines = finding.evidence.lines.iter();
    let lines = lines.map(|line| size_of_val(line) + LABELS_BYTES + line.line.len());
    size_of::<Finding>() + FINDING_TEXT_BYTES + lines.sum::<usize>()
}

fn group_bytes(group: &Group) -> usize {
    let lines = group.matches.iter().map(|hit| hit.line.len());
    size_of::<Group>() + group.matches.capacity() * size_of::<Hit>() + lines.sum::<usize>()
}
