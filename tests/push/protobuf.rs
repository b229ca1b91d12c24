//! Our walk over a push request against prost's decoding of it.

use std::sync::Arc;

use proptest::prelude::*;
use prost::Message;
use trommel::batch::{Batch, Labels};
use trommel::push::labels;
use trommel::push::{DecodeError, Encoded, Form, Interner, Limits, Scratch};
use trommel::time::Timestamp;

use crate::loki_proto::{
    Entry, LabelPair, PushRequest, Stream, Timestamp as WireTime, entry, snappy,
};

/// One stream as both sides are compared: labels, then time, line and metadata of each entry.
type Plain = Vec<(Labels, Vec<(Timestamp, Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>)>)>;

/// Decodes a message that is not compressed yet.
fn ours(message: &[u8]) -> Result<Plain, DecodeError> {
    let mut scratch = Scratch::default();
    let tenant: Arc<str> = Arc::from("");
    let request = Encoded {
        tenant: &tenant,
        form: Form::V1,
        content_type: Some(b"application/x-protobuf"),
        content_encoding: None,
        body: &snappy(message),
    };
    let limits = Limits::default();
    scratch.decode(&request, &limits, &Interner::new(100), &mut |_| true)?;
    check_invariants(scratch.batch());
    Ok(plain(scratch.batch()))
}

fn plain(batch: &Batch) -> Plain {
    let pairs = |(name, value): (&[u8], &[u8])| (name.to_vec(), value.to_vec());
    batch
        .streams
        .iter()
        .map(|stream| {
            let entries = stream.entries.start as usize..stream.entries.end as usize;
            let entries = batch.entries[entries].iter().map(|entry| {
                let metadata = batch.metadata_of(entry).map(pairs).collect();
                (entry.at, batch.bytes(entry.line).to_vec(), metadata)
            });
            ((*stream.stream.labels).clone(), entries.collect())
        })
        .collect()
}

fn check_invariants(batch: &Batch) {
    let mut covered = 0;
    for stream in &batch.streams {
        assert_eq!(stream.entries.start, covered);
        assert!(stream.entries.end > covered);
        covered = stream.entries.end;
    }
    assert_eq!(covered as usize, batch.entries.len());
    let mut end = 0;
    for entry in &batch.entries {
        assert!(entry.line.range().start >= end, "lines ascend");
        end = entry.line.range().end;
    }
    assert!(end <= batch.block.len());
}

fn theirs(message: &[u8]) -> Option<Plain> {
    let request = PushRequest::decode(message).ok()?;
    if request.streams.is_empty() {
        return None;
    }
    let pairs = |pair: LabelPair| (pair.name, pair.value);
    Some(
        request
            .streams
            .into_iter()
            .filter(|stream| !stream.entries.is_empty())
            .map(|stream| {
                let entries = stream.entries.into_iter().map(|entry| {
                    let time = entry.timestamp.unwrap_or_default();
                    let at = Timestamp::from_parts(time.seconds, time.nanos.into());
                    let metadata = entry.structured_metadata.into_iter().map(pairs);
                    (at, entry.line, metadata.collect())
                });
                let labels = labels::parse(&stream.labels, usize::MAX).unwrap_or_default();
                (labels, entries.collect())
            })
            .collect(),
    )
}

#[track_caller]
fn check(message: &[u8]) {
    assert_eq!(ours(message).ok(), theirs(message), "{message:02x?}");
}

/// A length-delimited field.
fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = varint(u64::from(number) << 3 | 2);
    bytes.extend(varint(content.len() as u64));
    bytes.extend(content);
    bytes
}

fn varint(value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::encode_varint(value, &mut bytes);
    bytes
}

#[test]
fn fields_in_unusual_order_and_number_are_read_as_prost_reads_them() {
    let line = field(2, b"first");
    let again = field(2, b"the last counts");
    let seconds = field(1, &[0x08, 7]);
    let nanos = field(1, &[0x10, 9]);
    let name_only = field(3, &field(1, b"trace"));
    let whole = field(3, &[field(2, b"v"), field(1, b"n")].concat());
    let entry = field(2, &[line, seconds, again, name_only, nanos, whole].concat());
    let empty = field(2, &[]);
    let labels = field(1, br#"{late="yes"}"#);
    let stream = |parts: &[&[u8]]| field(1, &parts.concat());

    check(&stream(&[&entry, &empty, &entry, &labels]));
    check(&stream(&[&field(1, br#"{early="yes"}"#), &entry, &labels]));
    check(&stream(&[&empty]));
    check(&[stream(&[&labels]), stream(&[&entry]), field(2, b"format")].concat());
    check(&[stream(&[&labels])].concat());
    check(&[]);
    check(&field(2, b"format"));

    let decoded = ours(&stream(&[&entry, &labels])).expect("valid");
    let (labels, entries) = &decoded[0];
    assert_eq!(labels.get("late"), Some("yes"));
    assert_eq!(entries[0].0, Timestamp::new(7_000_000_009));
    assert_eq!(entries[0].1, b"the last counts");
    assert_eq!(entries[0].2.len(), 2);
}

#[test]
fn unknown_fields_of_every_wire_type_are_skipped() {
    let entry = field(2, &field(2, b"line"));
    let group = |content: &[u8]| [&[0x4b], content, &[0x4c]].concat();
    for unknown in [
        vec![
            0x48, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
        ],
        vec![0x49, 1, 2, 3, 4, 5, 6, 7, 8],
        vec![0x4d, 1, 2, 3, 4],
        field(9, b"bytes"),
        group(&[]),
        group(&group(&[field(1, b"inner"), vec![0x08, 1]].concat())),
        [varint((u64::from(u32::MAX) >> 3) << 3), vec![1]].concat(),
    ] {
        let stream = field(1, &[&unknown[..], &entry, &unknown].concat());
        let message = [unknown.clone(), stream, unknown.clone()].concat();
        assert_eq!(ours(&message).expect("valid").len(), 1, "{unknown:02x?}");
        check(&message);
        check(&field(1, &field(2, &unknown)));
        check(&field(1, &field(2, &field(1, &unknown))));
        check(&field(1, &field(2, &field(3, &unknown))));
    }
}

#[test]
fn damage_of_every_kind_is_refused() {
    let whole = field(1, &field(2, &field(2, b"line")));
    for (damage, problem) in [
        (vec![0x80], "unexpected EOF at byte 0"),
        (vec![0xff; 11], "integer overflows"),
        (
            [vec![0x48], vec![0xff; 9], vec![0x02]].concat(),
            "integer overflows",
        ),
        (vec![0x80, 0x80, 0x80, 0x80, 0x10], "field number overflows"),
        (vec![0x00, 0x01], "field number is 0"),
        (vec![0x0e], "unknown wire type"),
        (vec![0x0f], "unknown wire type"),
        (vec![0x08, 0x01], "wrong wire type"),
        (vec![0x4c], "unexpected end of group"),
        (vec![0x4b, 0x54], "unexpected end of group"),
        (vec![0x4b], "unexpected EOF"),
        (vec![0x49, 1, 2, 3], "unexpected EOF"),
        (vec![0x4d, 1], "unexpected EOF"),
        (vec![0x4a, 5, 1], "unexpected EOF"),
        (
            [vec![0x4a], vec![0xff; 9], vec![0x01]].concat(),
            "unexpected EOF",
        ),
        (field(1, &[0x0a, 9]), "unexpected EOF"),
        (field(1, &[0x10, 9]), "wrong wire type"),
        (field(1, &[0x1a, 0]), "wrong wire type"),
        (field(1, &field(2, &[0x0d, 0, 0, 0, 0])), "wrong wire type"),
        (
            field(1, &field(2, &field(1, &field(1, b"")))),
            "wrong wire type",
        ),
        (
            field(1, &field(2, &field(4, &[0x08, 0]))),
            "wrong wire type",
        ),
        (vec![0x4b; 101], "nested too deeply"),
    ] {
        for message in [damage.clone(), [whole.clone(), damage.clone()].concat()] {
            check(&message);
        }
        let error = ours(&damage).expect_err("damaged").to_string();
        assert!(error.contains(problem), "{damage:02x?}: {error}");
    }
    check(&whole[..whole.len() - 1]);
}

#[test]
fn groups_may_nest_as_deeply_as_prost_lets_them() {
    for depth in 95..=102 {
        let group = [vec![0x4b; depth], vec![0x4c; depth]].concat();
        let entry = field(2, &field(2, b"line"));
        check(&[field(1, &entry), group.clone()].concat());
        check(&field(1, &[entry.clone(), group.clone()].concat()));
        check(&field(1, &field(2, &group)));
        check(&field(1, &field(2, &field(1, &group))));
        check(&field(1, &field(2, &field(3, &group))));
    }
}

fn any_request() -> impl Strategy<Value = PushRequest> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..20);
    let pair = || (bytes(), bytes()).prop_map(|(name, value)| LabelPair { name, value });
    let pairs = || prop::collection::vec(pair(), 0..3);
    let seconds = prop_oneof![any::<i64>(), 0..2_000_000_000i64];
    let time = (seconds, any::<i32>()).prop_map(|(seconds, nanos)| WireTime { seconds, nanos });
    let any_entry = (prop::option::of(time), bytes(), pairs(), pairs()).prop_map(
        |(timestamp, line, structured_metadata, parsed)| Entry {
            timestamp,
            line,
            structured_metadata,
            parsed,
        },
    );
    let labels = prop_oneof![
        Just(br#"{a="b", c="d"}"#.to_vec()),
        Just(b"{}".to_vec()),
        bytes()
    ];
    let stream = (labels, prop::collection::vec(any_entry, 0..4), any::<u64>()).prop_map(
        |(labels, entries, hash)| Stream {
            labels,
            entries,
            hash,
        },
    );
    (prop::collection::vec(stream, 0..4), bytes())
        .prop_map(|(streams, format)| PushRequest { streams, format })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_message_is_read_as_prost_reads_it(request in any_request()) {
        check(&request.encode_to_vec());
    }

    #[test]
    fn any_damaged_message_is_read_or_refused_as_prost_does(
        request in any_request(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..4)
    ) {
        let mut message = request.encode_to_vec();
        for (place, byte, kind) in damage {
            let at = place.index(message.len() + 1);
            match kind {
                0 => message.insert(at, byte),
                1 => message.truncate(at),
                2 if at < message.len() => drop(message.remove(at)),
                _ if at < message.len() => message[at] = byte,
                _ => message.push(byte),
            }
        }
        check(&message);
    }

    #[test]
    fn any_bytes_are_read_or_refused_as_prost_does(
        message in prop::collection::vec(prop_oneof![0..0x30u8, any::<u8>()], 0..60)
    ) {
        check(&message);
    }
}

#[test]
fn decoding_the_same_again_needs_no_more_memory() {
    let lines: Vec<Entry> = (0..1000)
        .map(|n| entry(n, "a line of some length"))
        .collect();
    let request = PushRequest {
        streams: vec![Stream {
            labels: br#"{a="b"}"#.to_vec(),
            entries: lines,
            hash: 0,
        }],
        format: Vec::new(),
    };
    let body = snappy(&request.encode_to_vec());
    let tenant: Arc<str> = Arc::from("");
    let (mut scratch, interner) = (Scratch::default(), Interner::new(100));
    let mut kept = Vec::new();
    for _ in 0..3 {
        let request = Encoded {
            tenant: &tenant,
            form: Form::V1,
            content_type: Some(b"application/x-protobuf"),
            content_encoding: Some(b"snappy"),
            body: &body,
        };
        let notes = scratch.decode(&request, &Limits::default(), &interner, &mut |_| true);
        assert!(notes.is_ok());
        assert_eq!(scratch.batch().entries.len(), 1000);
        kept.push((scratch.kept_bytes(), scratch.batch().block.as_ptr()));
    }
    assert_eq!(kept[1], kept[0]);
    assert_eq!(kept[2], kept[0]);
}
