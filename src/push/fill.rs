//! Filling a batch, within its bounds: what both decoders do with a stream and its entries.

use std::sync::Arc;

use super::interner::{Interner, Notation};
use super::labels;
use super::limits::Limits;
use crate::batch::{Batch, Entry, Labels, Span, Stream, StreamEntries};
use crate::time::Timestamp;

/// What decoding had to do without, for the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Notes {
    /// Streams with entries whose labels could not be read or were too long; they have the empty label set.
    pub labels_invalid: u64,
    /// Entries beyond [`Limits::entries_max`], which are not in the batch.
    pub entries_beyond: u64,
    /// Lines cut to [`Limits::line_bytes_max`].
    pub lines_cut: u64,
}

/// Metadata pairs a batch may hold per entry that it may hold: 16 bytes each, however they are distributed.
const METADATA_PER_ENTRY: usize = 4;

/// What an entry and a pair of metadata cost beside their text: their places, of which a growing vector may have twice as many, and
/// the entry's time, which goes on to the owner and is sorted there.
pub(crate) const ENTRY_BYTES: usize = 2 * size_of::<Entry>() + 2 * size_of::<Timestamp>();
const PAIR_BYTES: usize = 2 * size_of::<(Span, Span)>();

/// How much of that is nobody's: a usual batch of Alloy's has some thousands of entries. Beyond it as much again is asked for each
/// time, so that a request which is refused and read once more comes to its end in a few attempts.
const INDEX_FREE_BYTES: usize = 512 << 10;

/// A batch being filled. The protobuf decoder reads from its block, the JSON decoder appends to it.
pub(super) struct Fill<'a> {
    pub(super) batch: &'a mut Batch,
    pub(super) tenant: &'a Arc<str>,
    pub(super) limits: &'a Limits,
    pub(super) interner: &'a Interner,
    pub(super) notes: Notes,
    /// Asked for the index's bytes: two bytes of a body may make an entry, so the text alone would not bound it.
    pub(super) index: Index<'a>,
}

/// The room that the index of a batch has.
pub(super) struct Index<'a> {
    room: &'a mut dyn FnMut(usize) -> bool,
    granted: usize,
    refused: bool,
}

impl<'a> Index<'a> {
    /// One that asks `room` for what is more than usual.
    pub(super) fn new(room: &'a mut dyn FnMut(usize) -> bool) -> Self {
        Self {
            room,
            granted: INDEX_FREE_BYTES,
            refused: false,
        }
    }

    /// Whether it was refused room, and the batch is not whole.
    pub(super) fn is_refused(&self) -> bool {
        self.refused
    }

    /// Bytes that it has, and would have needed.
    pub(super) fn bytes(&self) -> usize {
        self.granted
    }

    /// Whether there is room for one more of each. Once it was refused, it stays so.
    fn has_room(&mut self, batch: &Batch) -> bool {
        let bytes = batch.entries.len() * ENTRY_BYTES + batch.metadata.len() * PAIR_BYTES;
        if !self.refused && bytes + ENTRY_BYTES + PAIR_BYTES > self.granted {
            self.refused = !(self.room)(self.granted);
            self.granted *= 2;
        }
        !self.refused
    }
}

/// The state of a batch before a stream or an entry, to go back to or to count from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    streams: usize,
    entries: usize,
    metadata: usize,
}

impl Fill<'_> {
    pub(super) fn mark(&self) -> Mark {
        Mark {
            streams: self.batch.streams.len(),
            entries: self.batch.entries.len(),
            metadata: self.batch.metadata.len(),
        }
    }

    /// Forgets the streams and entries since `mark`: a key given twice replaces what came first.
    pub(super) fn go_back(&mut self, mark: Mark) {
        self.batch.streams.truncate(mark.streams);
        self.batch.entries.truncate(mark.entries);
        self.batch.metadata.truncate(mark.metadata);
    }

    /// Adds a metadata pair to the entry that is being read. At the bound the entry is given up by [`Fill::entry`].
    pub(super) fn metadata(&mut self, name: Span, value: Span) {
        if self.batch.metadata.len() <= self.metadata_max() && self.index.has_room(self.batch) {
            self.batch.metadata.push((name, value));
        }
    }

    /// Forgets the metadata of the entry that was begun at `begun`.
    pub(super) fn forget_metadata(&mut self, begun: Mark) {
        self.batch.metadata.truncate(begun.metadata);
    }

    /// Ends an entry: its metadata are the pairs added since `begun`.
    pub(super) fn entry(&mut self, begun: Mark, at: Timestamp, mut line: Span) {
        if self.batch.entries.len() >= self.limits.entries_max
            || self.batch.metadata.len() > self.metadata_max()
        {
            self.batch.metadata.truncate(begun.metadata);
            self.notes.entries_beyond += 1;
            return;
        }
        if !self.index.has_room(self.batch) {
            // Nothing is lost: the request is read once more when there is room.
            self.batch.metadata.truncate(begun.metadata);
            return;
        }
        if line.len as usize > self.limits.line_bytes_max {
            // It fits: the limit is less than a length that is a `u32`.
            line.len = self.limits.line_bytes_max as u32;
            self.notes.lines_cut += 1;
        }
        // A block of less than 4 GiB holds fewer pairs than that.
        let metadata = Span {
            start: begun.metadata as u32,
            len: (self.batch.metadata.len() - begun.metadata) as u32,
        };
        self.batch.entries.push(Entry { at, line, metadata });
    }

    /// Ends a stream whose labels are written as a label string: its entries are those since `begun`; without any, it is dropped.
    pub(super) fn stream(&mut self, begun: Mark, raw: &[u8]) {
        let bytes_max = self.limits.labels_bytes_max;
        self.end_stream(begun, Notation::Text, raw, || {
            labels::parse(raw, bytes_max).ok()
        });
    }

    /// Ends a stream whose labels are written as the JSON object `raw`.
    pub(super) fn json_stream(&mut self, begun: Mark, raw: &[u8], read: impl FnOnce() -> Labels) {
        self.end_stream(begun, Notation::Json, raw, || Some(read()));
    }

    fn end_stream(
        &mut self,
        begun: Mark,
        notation: Notation,
        raw: &[u8],
        read: impl FnOnce() -> Option<Labels>,
    ) {
        if self.batch.entries.len() == begun.entries {
            return;
        }
        let (stream, valid) = if raw.len() > self.limits.labels_bytes_max {
            (self.without_labels(), false)
        } else {
            self.interner.stream(self.tenant, notation, raw, read)
        };
        self.notes.labels_invalid += u64::from(!valid);
        self.batch.streams.push(StreamEntries {
            stream,
            // A block of less than 4 GiB holds fewer entries than that.
            entries: begun.entries as u32..self.batch.entries.len() as u32,
        });
    }

    fn without_labels(&self) -> Arc<Stream> {
        let none = || Some(Labels::default());
        self.interner
            .stream(self.tenant, Notation::Text, b"{}", none)
            .0
    }

    fn metadata_max(&self) -> usize {
        self.limits.entries_max.saturating_mul(METADATA_PER_ENTRY)
    }
}
