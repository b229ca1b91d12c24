//! One push request, decoded: the block of bytes that came, and an index into it.
//!
//! Lines are never copied: an [`Entry`] says where in the block its line lies. Label sets are interned
//! (one [`Stream`] for all requests that carry the same one), so an entry costs 32 bytes however long its labels are.
//! Nothing here demands UTF-8 of a line.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::time::Timestamp;

/// Identity of a stream: a hash of tenant and label set, the same in every process and on every run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StreamId(pub u64);

/// Identity of an entry as Loki sees it: a hash of tenant, label set, timestamp and line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntryId(pub u64);

/// A set of labels: sorted by name, names unique, no empty values (Loki drops those).
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Labels(Box<[(Box<str>, Box<str>)]>);

impl Labels {
    /// Builds a set from pairs in any order. Of two with the same name the last wins; empty values are dropped.
    #[must_use]
    pub fn new(pairs: impl IntoIterator<Item = (Box<str>, Box<str>)>) -> Self {
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        pairs.reverse();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        pairs.dedup_by(|next, kept| next.0 == kept.0);
        pairs.retain(|(_, value)| !value.is_empty());
        Self(pairs.into())
    }

    /// The value of the label `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .binary_search_by(|(candidate, _)| (**candidate).cmp(name))
            .ok()
            .map(|at| &*self.0[at].1)
    }

    /// What Loki's distributor would store as `service_name`: the first label that names a service, else `unknown_service`.
    #[must_use]
    pub fn service_name(&self) -> &str {
        let named = SERVICE_LABELS.iter().find_map(|name| self.get(name));
        named.unwrap_or("unknown_service")
    }

    /// Every label, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

/// Loki's canonical form: `{a="x", b="y"}`, sorted by name, values quoted with Go's escapes for `"`, `\` and control
/// characters. A name that is no Prometheus identifier is quoted too.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (place, (name, value)) in self.iter().enumerate() {
            if place > 0 {
                f.write_str(", ")?;
            }
            if is_identifier(name) {
                f.write_str(name)?;
            } else {
                write_quoted(f, name)?;
            }
            f.write_str("=")?;
            write_quoted(f, value)?;
        }
        f.write_str("}")
    }
}

fn is_identifier(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    name.bytes().next().is_some_and(letter)
        && name
            .bytes()
            .all(|byte| letter(byte) || byte.is_ascii_digit())
}

fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            // `\x` means a byte to Go; beyond ASCII a character has to be written with `\u`.
            c if c.is_ascii_control() => write!(f, "\\x{:02x}", c as u32)?,
            c if c.is_control() => write!(f, "\\u{:04x}", c as u32)?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

/// Labels that name a service, in the order in which Loki's distributor tries them.
/// Source: `discover_service_name`, grafana/loki `pkg/validation/limits.go`.
const SERVICE_LABELS: [&str; 12] = [
    "service_name",
    "service",
    "app",
    "application",
    "name",
    "app_kubernetes_io_name",
    "container",
    "container_name",
    "k8s_container_name",
    "component",
    "workload",
    "job",
];

/// One stream: a tenant's label set, with what is derived from it once.
#[derive(Debug, PartialEq, Eq)]
pub struct Stream {
    /// The tenant of `X-Scope-OrgID`; empty when none was sent.
    pub tenant: Arc<str>,
    /// The labels as sent. Hits share them.
    pub labels: Arc<Labels>,
    /// Identity, equal wherever tenant and labels are.
    pub id: StreamId,
}

impl Stream {
    /// A stream of `tenant` with `labels`; hashes them once.
    #[must_use]
    pub fn new(tenant: Arc<str>, labels: Labels) -> Self {
        let mut hash = Xxh3::new();
        hash.update(&(tenant.len() as u64).to_le_bytes());
        hash.update(tenant.as_bytes());
        for (name, value) in labels.iter() {
            hash.update(&(name.len() as u64).to_le_bytes());
            hash.update(name.as_bytes());
            hash.update(&(value.len() as u64).to_le_bytes());
            hash.update(value.as_bytes());
        }
        let id = StreamId(hash.digest());
        Self {
            tenant,
            labels: Arc::new(labels),
            id,
        }
    }
}

/// A piece of a batch's block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Length in bytes.
    pub len: u32,
}

impl Span {
    /// The same piece as a range of indices.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.start as usize + self.len as usize
    }
}

/// One log entry: when, where its line lies, and which structured metadata it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The entry's timestamp as written.
    pub at: Timestamp,
    /// Its line in the block, as sent: with line end and CRI prefix. Entries lie in the block in ascending order.
    pub line: Span,
    /// Which of the batch's metadata pairs are its own.
    pub metadata: Span,
}

/// The entries of one stream in a batch.
#[derive(Debug, Clone)]
pub struct StreamEntries {
    /// Whose entries.
    pub stream: Arc<Stream>,
    /// Which of the batch's entries; never empty, consecutive streams are consecutive ranges.
    pub entries: Range<u32>,
}

impl StreamEntries {
    /// Which of its entries are among `entries`; an empty range if none.
    #[must_use]
    pub fn entries_within(&self, entries: &Range<usize>) -> Range<usize> {
        let start = entries.start.max(self.entries.start as usize);
        start..entries.end.min(self.entries.end as usize).max(start)
    }
}

/// One decoded push request. Reused from request to request: [`Batch::clear`] keeps every allocation.
///
/// Invariants, kept by the decoders: spans lie within `block`; entries' lines do not overlap and ascend;
/// `streams` cover `entries` without gaps, in order. A block is shorter than 4 GiB.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The decompressed request (protobuf), or the unescaped lines one after another (JSON).
    pub block: Vec<u8>,
    /// The streams, in the order sent.
    pub streams: Vec<StreamEntries>,
    /// The entries of all streams, in the order sent.
    pub entries: Vec<Entry>,
    /// Structured metadata of all entries: name and value.
    pub metadata: Vec<(Span, Span)>,
}

impl Batch {
    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.block.clear();
        self.streams.clear();
        self.entries.clear();
        self.metadata.clear();
    }

    /// Adds an entry of `stream` with a copy of its line and metadata, as the decoders of pushes add those that they read.
    ///
    /// The caller keeps blocks below 4 GiB.
    pub fn push(
        &mut self,
        stream: &Arc<Stream>,
        at: Timestamp,
        line: &[u8],
        metadata: &[(Vec<u8>, Vec<u8>)],
    ) {
        let line = self.append(line);
        let first = self.metadata.len() as u32;
        for (name, value) in metadata {
            let pair = (self.append(name), self.append(value));
            self.metadata.push(pair);
        }
        let place = self.entries.len() as u32;
        self.entries.push(Entry {
            at,
            line,
            metadata: Span {
                start: first,
                len: metadata.len() as u32,
            },
        });
        match self.streams.last_mut() {
            Some(last) if last.stream.id == stream.id => last.entries.end = place + 1,
            _ => self.streams.push(StreamEntries {
                stream: Arc::clone(stream),
                entries: place..place + 1,
            }),
        }
    }

    fn append(&mut self, bytes: &[u8]) -> Span {
        let span = Span {
            start: self.block.len() as u32,
            len: bytes.len() as u32,
        };
        self.block.extend_from_slice(bytes);
        span
    }

    /// The bytes of `span`.
    #[must_use]
    pub fn bytes(&self, span: Span) -> &[u8] {
        &self.block[span.range()]
    }

    /// The line of `entry` as rules see it: see [`trim_line`].
    #[must_use]
    pub fn line(&self, entry: &Entry) -> &[u8] {
        trim_line(self.bytes(entry.line))
    }

    /// The structured metadata of `entry`: names and values.
    pub fn metadata_of(&self, entry: &Entry) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.metadata[entry.metadata.range()]
            .iter()
            .map(|(name, value)| (self.bytes(*name), self.bytes(*value)))
    }
}

impl Entry {
    /// The entry's identity in `stream`, from its line as sent (`raw`).
    #[must_use]
    pub fn id(&self, stream: &Stream, raw: &[u8]) -> EntryId {
        let mut hash = Xxh3::new();
        hash.update(&stream.id.0.to_le_bytes());
        hash.update(&self.at.nanos().to_le_bytes());
        hash.update(raw);
        EntryId(hash.digest())
    }
}

/// A line as rules see it: without one trailing `\n` or `\r\n`, and without the prefix that a CRI runtime writes
/// (`2019-05-07T18:57:50.904275087+00:00 stdout F message`), which arrives when a file is tailed without a `cri` stage.
///
/// The prefix is recognised strictly: a time that begins like RFC 3339, `stdout` or `stderr`, then `F` or `P`.
#[must_use]
pub fn trim_line(raw: &[u8]) -> &[u8] {
    let line = raw
        .strip_suffix(b"\n")
        .map_or(raw, |line| line.strip_suffix(b"\r").unwrap_or(line));
    strip_cri(line).unwrap_or(line)
}

fn strip_cri(line: &[u8]) -> Option<&[u8]> {
    // Every line passes here, so the first byte decides for nearly all of them.
    if !line.first()?.is_ascii_digit() || line.get(10) != Some(&b'T') {
        return None;
    }
    let time_end = line.iter().take(40).position(|&byte| byte == b' ')?;
    let time = &line[..time_end];
    if !time
        .iter()
        .all(|byte| byte.is_ascii_digit() || b"-:.+TZ".contains(byte))
    {
        return None;
    }
    let rest = &line[time_end + 1..];
    let rest = rest
        .strip_prefix(b"stdout ")
        .or_else(|| rest.strip_prefix(b"stderr "))?;
    let rest = rest
        .strip_prefix(b"F")
        .or_else(|| rest.strip_prefix(b"P"))?;
    match rest.first() {
        None => Some(rest),
        Some(b' ') => Some(&rest[1..]),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_and_a_cri_prefix_are_not_part_of_the_line() {
        for (raw, line) in [
            ("hello\n", "hello"),
            ("hello\r\n", "hello"),
            ("hello\n\n", "hello\n"),
            ("hello\r", "hello\r"),
            ("", ""),
            ("2019-01-01T01:00:00.000000001Z stderr F message", "message"),
            (
                "2019-05-07T18:57:50.904275087+00:00 stdout P part \n",
                "part ",
            ),
            ("2019-01-01T01:00:00.000000001Z stderr F", ""),
            (
                "2019-01-01T01:00:00.000000001Z stderr Full",
                "2019-01-01T01:00:00.000000001Z stderr Full",
            ),
            (
                "2019-01-01T01:00:00Z stdfoo F x",
                "2019-01-01T01:00:00Z stdfoo F x",
            ),
            ("3242 stderr F message", "3242 stderr F message"),
            ("i'm invalid!!!", "i'm invalid!!!"),
        ] {
            assert_eq!(trim_line(raw.as_bytes()), line.as_bytes(), "{raw}");
        }
    }

    #[test]
    fn label_sets_are_sorted_unique_and_without_empty_values() {
        let labels = Labels::new(
            [("b", "1"), ("a", "x\"y"), ("b", "2"), ("c", "")].map(|(n, v)| (n.into(), v.into())),
        );
        assert_eq!(labels.to_string(), r#"{a="x\"y", b="2"}"#);
        assert_eq!(labels.get("b"), Some("2"));
        assert_eq!(labels.get("c"), None);
        let odd = Labels::new([("a.b", "\u{7f}\u{85}é")].map(|(n, v)| (n.into(), v.into())));
        assert_eq!(odd.to_string(), r#"{"a.b"="\x7f\u0085é"}"#);
    }
}
