//! Loki's push request as clients write it.
//!
//! The messages are derived by hand from grafana/loki `pkg/push/push.proto` (2026-08-22, `65e30f84`), so that the tests
//! share nothing with the decoder they test.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use serde_json::json;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) streams: Vec<StreamAdapter>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StreamAdapter {
    #[prost(string, tag = "1")]
    pub(crate) labels: String,
    #[prost(message, repeated, tag = "2")]
    pub(crate) entries: Vec<EntryAdapter>,
    #[prost(uint64, tag = "3")]
    pub(crate) hash: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct EntryAdapter {
    #[prost(message, optional, tag = "1")]
    pub(crate) timestamp: Option<WireTimestamp>,
    #[prost(string, tag = "2")]
    pub(crate) line: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) structured_metadata: Vec<LabelPairAdapter>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct WireTimestamp {
    #[prost(int64, tag = "1")]
    pub(crate) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(crate) nanos: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct LabelPairAdapter {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

/// An entry as a test thinks of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) labels: BTreeMap<String, String>,
    /// Nanoseconds since the epoch.
    pub(crate) at: i64,
    pub(crate) line: String,
}

/// The body of a push of `entries`: protobuf in a snappy block, one stream for each label set, in order of appearance.
pub(crate) fn protobuf<E: Borrow<Entry>>(entries: &[E]) -> Vec<u8> {
    let streams = by_stream(entries)
        .into_iter()
        .map(|(labels, entries)| StreamAdapter {
            labels: canonical(labels),
            entries: entries
                .into_iter()
                .map(|entry| EntryAdapter {
                    timestamp: Some(WireTimestamp {
                        seconds: entry.at.div_euclid(1_000_000_000),
                        nanos: i32::try_from(entry.at.rem_euclid(1_000_000_000))
                            .expect("below a billion"),
                    }),
                    line: entry.line.clone(),
                    structured_metadata: Vec::new(),
                })
                .collect(),
            hash: 0,
        })
        .collect();
    let message = prost::Message::encode_to_vec(&PushRequest { streams });
    pack(&message)
}

/// A field that has a length, by number below 16.
pub(crate) fn field(number: u8, content: &[u8]) -> Vec<u8> {
    [
        &[number << 3 | 2][..],
        &varint(content.len() as u64),
        content,
    ]
    .concat()
}

/// A number as protobuf writes it.
pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A message as it goes over the wire.
pub(crate) fn pack(message: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new()
        .compress_vec(message)
        .expect("far below snappy's limit")
}

/// The lines of a push in the form of [`protobuf`], stream by stream.
///
/// # Panics
/// When it has another form.
pub(crate) fn lines(body: &[u8]) -> Vec<String> {
    let message = snap::raw::Decoder::new()
        .decompress_vec(body)
        .expect("a snappy block");
    let request: PushRequest = prost::Message::decode(&*message).expect("a push request");
    let entries = request.streams.into_iter().flat_map(|one| one.entries);
    entries.map(|entry| entry.line).collect()
}

/// The same as JSON.
pub(crate) fn json(entries: &[Entry]) -> Vec<u8> {
    let streams: Vec<_> = by_stream(entries)
        .into_iter()
        .map(|(labels, entries)| {
            let values: Vec<_> = entries
                .into_iter()
                .map(|entry| json!([entry.at.to_string(), entry.line]))
                .collect();
            json!({"stream": labels, "values": values})
        })
        .collect();
    json!({ "streams": streams }).to_string().into_bytes()
}

type Labels = BTreeMap<String, String>;

fn by_stream<E: Borrow<Entry>>(entries: &[E]) -> Vec<(&Labels, Vec<&Entry>)> {
    let mut streams: Vec<(&Labels, Vec<&Entry>)> = Vec::new();
    for entry in entries.iter().map(Borrow::borrow) {
        match streams
            .iter_mut()
            .find(|(labels, _)| **labels == entry.labels)
        {
            Some((_, entries)) => entries.push(entry),
            None => streams.push((&entry.labels, vec![entry])),
        }
    }
    streams
}

/// A label set as Alloy writes it; the tests' values need no escapes.
fn canonical(labels: &Labels) -> String {
    let pairs: Vec<_> = labels
        .iter()
        .map(|(name, value)| format!("{name}=\"{value}\""))
        .collect();
    format!("{{{}}}", pairs.join(", "))
}
