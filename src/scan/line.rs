//! One line as a rule sees it: its bytes, and what its stream and its metadata say about it.

use crate::batch::{Batch, Entry, Span, Stream, trim_line};
use crate::rules::Parse;

use super::{derived, fields};

/// A line with the stream that it belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// Tenant and labels.
    pub stream: &'a Stream,
    /// Structured metadata.
    pub metadata: Metadata<'a>,
    /// The text that rules match, without line end and CRI prefix.
    pub bytes: &'a [u8],
}

impl<'a> Line<'a> {
    /// A line of `stream` without metadata, from its text as sent.
    #[must_use]
    pub fn new(stream: &'a Stream, raw: &'a [u8]) -> Self {
        Self {
            stream,
            metadata: Metadata::default(),
            bytes: trim_line(raw),
        }
    }

    /// The line of `entry`, one of `stream`'s in `batch`.
    #[must_use]
    pub fn of(batch: &'a Batch, stream: &'a Stream, entry: &Entry) -> Self {
        Self {
            stream,
            metadata: Metadata::new(&batch.block, &batch.metadata[entry.metadata.range()]),
            bytes: batch.line(entry),
        }
    }

    /// What `name` means here, captures aside: label, structured metadata, field of the line, derived, in this order.
    /// A value with escapes is written to `buffer`.
    #[must_use]
    pub fn value<'v>(&self, name: &str, parse: Parse, buffer: &'v mut Vec<u8>) -> Option<&'v [u8]>
    where
        'a: 'v,
    {
        let attached = self.attached(name);
        if attached.is_some() {
            return attached;
        }
        let field = fields::find(parse, self.bytes, name, buffer);
        field.or_else(|| self.derived(name))
    }

    /// The label, else the structured metadata called `name`.
    pub(super) fn attached(&self, name: &str) -> Option<&'a [u8]> {
        let label = self.stream.labels.get(name).map(str::as_bytes);
        label.or_else(|| self.metadata.get(name))
    }

    /// What is derived under `name` from stream, metadata and line.
    pub(super) fn derived(&self, name: &str) -> Option<&'a [u8]> {
        derived::value(name, self)
    }
}

/// The structured metadata of one entry.
#[derive(Debug, Clone, Copy, Default)]
pub struct Metadata<'a> {
    block: &'a [u8],
    pairs: &'a [(Span, Span)],
}

impl<'a> Metadata<'a> {
    /// `pairs` of name and value, as pieces of `block`.
    #[must_use]
    pub fn new(block: &'a [u8], pairs: &'a [(Span, Span)]) -> Self {
        Self { block, pairs }
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The first value called `name` that is not empty: as with labels, empty is missing.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.pairs
            .iter()
            .filter(|(candidate, _)| &self.block[candidate.range()] == name.as_bytes())
            .map(|(_, value)| &self.block[value.range()])
            .find(|value| !value.is_empty())
    }
}
