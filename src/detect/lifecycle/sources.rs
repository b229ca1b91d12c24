//! Which label sets a key's matches are of, and whether these go on: what tells `quiet` from `silent`.
//!
//! Known is what came while the key listened, what comes with a match in one push, and the newest entry of each label set: a match may come
//! later than younger entries, pushed before it. After a restart such entries from before it are not known.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::batch::StreamId;
use crate::detect::watchers::Streams;
use crate::time::Timestamp;

/// How many label sets of a key are remembered.
const STREAMS_MAX: usize = 64;

/// What a place among those that listen to a stream takes, and the stream's own where it has no other listener.
const PLACE_BYTES: usize = 120;

/// The label sets of one key's matches. 40 bytes for each of 64.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sources {
    /// The newest match.
    last_match: Option<Timestamp>,
    /// Mostly there is no other than one.
    streams: SmallVec<[Source; 1]>,
}

/// One label set of a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::detect) struct Source {
    pub(in crate::detect) stream: StreamId,
    /// Its newest match.
    matched: Timestamp,
    /// Its first entry after the key's newest match.
    pub(in crate::detect) heard: Option<Timestamp>,
    /// Whether the key has a place among those that wait for the stream.
    #[serde(skip)]
    pub(in crate::detect) waits: bool,
    /// The same, among those that have heard it.
    #[serde(skip)]
    pub(in crate::detect) is_placed: bool,
}

impl Source {
    /// The key no longer has a place in the stream.
    pub(super) fn leave(&mut self) {
        (self.waits, self.is_placed) = (false, false);
    }
}

/// What a key knows of a stream that has spoken.
#[derive(Debug, Clone, Copy)]
pub(in crate::detect) struct Heard {
    /// The first entry after the key's newest match.
    pub(in crate::detect) at: Option<Timestamp>,
    /// Whether it waits for more.
    pub(in crate::detect) waits: bool,
    /// Whether it is to have a place among those that have heard the stream, and had none.
    pub(in crate::detect) is_new: bool,
    /// Whether that is worth remembering on disk.
    pub(in crate::detect) is_news: bool,
}

impl Sources {
    /// Memory beside itself, in bytes, with the key's places among those that listen.
    pub(super) fn heap_bytes(&self) -> usize {
        let places = self.streams.iter();
        let places = places.map(|it| usize::from(it.waits) + usize::from(it.is_placed));
        let spilled = usize::from(self.streams.spilled()) * self.streams.capacity();
        spilled * size_of::<Source>() + places.sum::<usize>() * PLACE_BYTES
    }

    pub(super) fn last_match(&self) -> Option<Timestamp> {
        self.last_match
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Source> {
        self.streams.iter_mut()
    }

    pub(super) fn get(&self, stream: StreamId) -> Option<&Source> {
        self.streams.iter().find(|source| source.stream == stream)
    }

    pub(super) fn get_mut(&mut self, stream: StreamId) -> Option<&mut Source> {
        self.iter_mut().find(|source| source.stream == stream)
    }

    /// `stream` had a match, or an entry that counts towards one, at `at`.
    pub(super) fn add(&mut self, stream: StreamId, at: Timestamp) {
        if let Some(source) = self.get_mut(stream) {
            source.matched = source.matched.max(at);
            return;
        }
        if self.streams.len() == STREAMS_MAX {
            self.streams.remove(0);
        }
        self.streams.push(Source {
            stream,
            matched: at,
            heard: None,
            waits: false,
            is_placed: false,
        });
    }

    /// A match came at `at`; `heard` is the first entry of its own streams after it, if that is known.
    pub(super) fn matched(&mut self, at: Timestamp, heard: Option<Timestamp>, known: Streams<'_>) {
        if self.last_match.is_some_and(|last| at <= last) {
            return;
        }
        self.last_match = Some(at);
        for source in &mut self.streams {
            let own = heard.filter(|_| source.matched == at);
            let later = || known.newest(source.stream).filter(|newest| *newest > at);
            source.heard = own.or_else(later);
        }
    }

    /// `stream` had entries at `times`, in order; it has its place accordingly, which `waits` says whatever it hears.
    /// `None` if it is not known.
    pub(super) fn hear(
        &mut self,
        stream: StreamId,
        times: &[Timestamp],
        waits: bool,
    ) -> Option<Heard> {
        let last = self.last_match;
        let source = self.get_mut(stream)?;
        let is_news = last.is_some_and(|last| earlier(&mut source.heard, last, times));
        source.waits = waits || source.heard.is_none();
        let is_new = !source.waits && !source.is_placed;
        source.is_placed |= is_new;
        Some(Heard {
            at: source.heard,
            waits: source.waits,
            is_new,
            is_news,
        })
    }

    /// A finding begins with entries from `from` on: label sets that matched only before are not its own.
    pub(super) fn begin(&mut self, from: Timestamp) {
        self.streams.retain(|source| source.matched >= from);
    }

    /// Whether one of them had an entry after the newest match, up to `deadline`.
    pub(super) fn went_on(&self, deadline: Timestamp, known: Streams<'_>) -> bool {
        let from = self.last_match.unwrap_or(deadline);
        self.streams.iter().any(|source| {
            source.heard.is_some_and(|heard| heard <= deadline)
                || known.spoke(source.stream, from, deadline)
        })
    }
}

/// Takes the first of `times` after `after`, if it is earlier than what is known; true if one of them is after it at all.
pub(super) fn earlier(
    known: &mut Option<Timestamp>,
    after: Timestamp,
    times: &[Timestamp],
) -> bool {
    let first = times.get(times.partition_point(|time| *time <= after));
    let news = first.filter(|first| known.is_none_or(|known| **first < known));
    *known = news.copied().or(*known);
    news.is_some()
}
