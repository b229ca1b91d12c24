//! Which label sets a key's matches are of, and whether these go on: what tells `quiet` from `silent`.
//!
//! Known is what came while the key listened, and what comes with a match in one push. One case is left where another batching
//! says otherwise: a match that comes later than younger entries of its label set, pushed before it, opens a finding, and nothing
//! comes after that. To tell would take a memory of every label set for every key that may yet open.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::batch::StreamId;
use crate::time::Timestamp;

/// How many label sets of a key are remembered.
const STREAMS_MAX: usize = 64;

/// The label sets of one key's matches. 40 bytes for each of 64.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sources {
    /// The newest match.
    last_match: Option<Timestamp>,
    streams: VecDeque<Source>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Source {
    stream: StreamId,
    /// Its newest match.
    matched: Timestamp,
    /// Its first entry after the key's newest match.
    heard: Option<Timestamp>,
    /// Its newest entry, whether or not a match came after it.
    #[serde(skip)]
    newest: Option<Timestamp>,
}

impl Sources {
    /// Memory beside itself, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        self.streams.capacity() * size_of::<Source>()
    }

    pub(super) fn last_match(&self) -> Option<Timestamp> {
        self.last_match
    }

    pub(super) fn streams(&self) -> impl Iterator<Item = StreamId> {
        self.streams.iter().map(|source| source.stream)
    }

    /// `stream` had a match, or an entry that counts towards one, at `at`. True if it was not known.
    pub(super) fn add(&mut self, stream: StreamId, at: Timestamp) -> bool {
        let mut known = self.streams.iter_mut();
        if let Some(source) = known.find(|source| source.stream == stream) {
            source.matched = source.matched.max(at);
            return false;
        }
        if self.streams.len() == STREAMS_MAX {
            self.streams.pop_front();
        }
        if self.streams.is_empty() {
            // Mostly there is no other.
            self.streams.reserve_exact(1);
        }
        self.streams.push_back(Source {
            stream,
            matched: at,
            heard: None,
            newest: None,
        });
        true
    }

    /// A match came at `at`; `heard` is the first entry of its own streams after it, if that is known.
    pub(super) fn matched(&mut self, at: Timestamp, heard: Option<Timestamp>) {
        if self.last_match.is_some_and(|last| at <= last) {
            return;
        }
        self.last_match = Some(at);
        for source in &mut self.streams {
            let own = heard.filter(|_| source.matched == at);
            source.heard = own.or(source.newest.filter(|newest| *newest > at));
        }
    }

    /// `stream` had entries at `times`, in order. True if that is worth remembering on disk.
    pub(super) fn hear(&mut self, stream: StreamId, times: &[Timestamp]) -> bool {
        let mut known = self.streams.iter_mut();
        let Some(source) = known.find(|source| source.stream == stream) else {
            return false;
        };
        source.newest = source.newest.max(times.last().copied());
        self.last_match
            .is_some_and(|last| earlier(&mut source.heard, last, times))
    }

    /// A finding begins with entries from `from` on: label sets that matched only before are not its own.
    pub(super) fn begin(&mut self, from: Timestamp) {
        self.streams.retain(|source| source.matched >= from);
    }

    /// Whether one of them had an entry after the newest match, up to `deadline`; `spoke` knows of the batch at hand.
    pub(super) fn went_on(
        &self,
        deadline: Timestamp,
        spoke: &dyn Fn(StreamId, Timestamp, Timestamp) -> bool,
    ) -> bool {
        let from = self.last_match.unwrap_or(deadline);
        self.streams.iter().any(|source| {
            source.heard.is_some_and(|heard| heard <= deadline)
                || spoke(source.stream, from, deadline)
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
