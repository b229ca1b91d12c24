//! Loki's push messages as prost types, derived by hand from grafana/loki `pkg/push/push.proto`: the encoder of the tests and
//! benches, and the decoder that ours is compared with. Strings are bytes here, as in Go they need not be UTF-8.

#![allow(dead_code, missing_docs, unreachable_pub)]

#[derive(Clone, PartialEq, prost::Message)]
pub struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    pub streams: Vec<Stream>,
    #[prost(bytes = "vec", tag = "2")]
    pub format: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Stream {
    #[prost(bytes = "vec", tag = "1")]
    pub labels: Vec<u8>,
    #[prost(message, repeated, tag = "2")]
    pub entries: Vec<Entry>,
    #[prost(uint64, tag = "3")]
    pub hash: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Entry {
    #[prost(message, optional, tag = "1")]
    pub timestamp: Option<Timestamp>,
    #[prost(bytes = "vec", tag = "2")]
    pub line: Vec<u8>,
    #[prost(message, repeated, tag = "3")]
    pub structured_metadata: Vec<LabelPair>,
    #[prost(message, repeated, tag = "4")]
    pub parsed: Vec<LabelPair>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Timestamp {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct LabelPair {
    #[prost(bytes = "vec", tag = "1")]
    pub name: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

/// A request as Alloy sends it: one stream for each label string, snappy's block format.
pub fn push(streams: &[(&str, &[(i64, &str)])]) -> Vec<u8> {
    let request = PushRequest {
        streams: streams
            .iter()
            .map(|(labels, entries)| Stream {
                labels: labels.as_bytes().to_vec(),
                entries: entries.iter().map(|(at, line)| entry(*at, line)).collect(),
                hash: 0,
            })
            .collect(),
        format: Vec::new(),
    };
    snappy(&prost::Message::encode_to_vec(&request))
}

/// An entry at `at` nanoseconds.
pub fn entry(at: i64, line: &str) -> Entry {
    Entry {
        timestamp: Some(Timestamp {
            seconds: at.div_euclid(1_000_000_000),
            nanos: at.rem_euclid(1_000_000_000) as i32,
        }),
        line: line.as_bytes().to_vec(),
        ..Entry::default()
    }
}

/// Snappy's block format.
pub fn snappy(bytes: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new()
        .compress_vec(bytes)
        .expect("a test's body is below 4 GiB")
}
