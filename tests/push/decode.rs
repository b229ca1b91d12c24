//! Whole bodies: content types, compressions, limits, and the JSON forms.

use std::io::Write;
use std::sync::Arc;

use expect_test::{Expect, expect};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use trommel::push::{DecodeError, Encoded, Form, Interner, Limits, Notes, Scratch};

use crate::loki_proto;

const JSON: &[u8] = b"application/json";
const PROTOBUF: &[u8] = b"application/x-protobuf";

/// Everything of one request, so that a test states only what matters to it.
struct Push<'a> {
    form: Form,
    content_type: Option<&'a [u8]>,
    content_encoding: Option<&'a [u8]>,
    body: &'a [u8],
    limits: Limits,
    /// Bytes of room there are.
    room: usize,
}

impl Default for Push<'_> {
    fn default() -> Self {
        Self {
            form: Form::V1,
            content_type: Some(JSON),
            content_encoding: None,
            body: b"",
            limits: Limits::default(),
            room: usize::MAX,
        }
    }
}

impl Push<'_> {
    fn decode(&self, scratch: &mut Scratch) -> Result<Notes, DecodeError> {
        let tenant: Arc<str> = Arc::from("t");
        let request = Encoded {
            tenant: &tenant,
            form: self.form,
            content_type: self.content_type,
            content_encoding: self.content_encoding,
            body: self.body,
        };
        let mut room = self.room;
        scratch.decode(&request, &self.limits, &Interner::new(10), &mut |bytes| {
            let left = room.checked_sub(bytes);
            room = left.unwrap_or(room);
            left.is_some()
        })
    }

    /// The batch printed, one line for each entry, or the error.
    fn shown(&self) -> String {
        let mut scratch = Scratch::default();
        let notes = match self.decode(&mut scratch) {
            Ok(notes) => notes,
            Err(error) => {
                assert!(scratch.batch().entries.is_empty());
                return format!("{} {error}", error.status());
            }
        };
        let batch = scratch.batch();
        let mut shown = String::new();
        for stream in &batch.streams {
            for place in stream.entries.clone() {
                let entry = &batch.entries[place as usize];
                let line = batch.bytes(entry.line).escape_ascii();
                shown += &format!("{} {} {line}", entry.at.nanos(), stream.stream.labels);
                for (name, value) in batch.metadata_of(entry) {
                    shown += &format!(" {}={}", name.escape_ascii(), value.escape_ascii());
                }
                shown += "\n";
            }
        }
        if notes != Notes::default() {
            shown += &format!("{notes:?}");
        }
        shown
    }
}

#[track_caller]
fn json(body: &str, expected: Expect) {
    let body = body.as_bytes();
    expected.assert_eq(
        &Push {
            body,
            ..Push::default()
        }
        .shown(),
    );
}

#[track_caller]
fn legacy(body: &str, expected: Expect) {
    let (body, form) = (body.as_bytes(), Form::Legacy);
    expected.assert_eq(
        &Push {
            body,
            form,
            ..Push::default()
        }
        .shown(),
    );
}

#[test]
fn json_in_any_order_of_keys() {
    json(
        r#"{"x":[1,{}],"streams":[{"values":[["1","a"],["2","b",{"k":"v\n","l":""}]],"y":null,"stream":{"b":"2","a":"1"}}]}"#,
        expect![[r#"
            1 {a="1", b="2"} a
            2 {a="1", b="2"} b k=v\n l=
        "#]],
    );
}

#[test]
fn of_a_key_given_twice_the_last_counts() {
    json(
        r#"{"streams":[{"stream":{},"values":[["1","a"]]}],"Streams":[{"stream":{"a":"1"},"values":[["2","b"],["3","c"]],"values":[["4","d"]],"stream":{"a":"2","a":"3"}}]}"#,
        expect![[r#"
            4 {a="3"} d
        "#]],
    );
}

#[test]
fn a_label_value_may_be_anything_and_is_its_text() {
    json(
        r#"{"streams":[{"stream":{"a":1.50,"b":true,"c":{ "d": [1] },"e":null,"f":"","g":"\u00e9"},"values":[["1",""]]}]}"#,
        expect![[r#"
            1 {a="1.50", b="true", c="{ \"d\": [1] }", e="null", g="é"} 
        "#]],
    );
}

#[test]
fn streams_without_entries_are_dropped_and_null_is_no_entry() {
    json(
        r#"{"streams":[{"stream":{"a":"1"},"values":null},{"stream":{"a":"2"}},{"values":[null,["5","e"],["6"],[]]}]} and more"#,
        expect![[r#"
            5 {} e
            6 {} 
            0 {} 
        "#]],
    );
    json(r#"{"streams":[{"values":[]}]}"#, expect![""]);
}

#[test]
fn no_stream_at_all_is_422() {
    for body in [r#"{"streams":[]}"#, r#"{"streams":null}"#, "{}", "null"] {
        json(
            body,
            expect!["422 error at least one valid stream is required for ingestion"],
        );
    }
    let empty = loki_proto::push(&[]);
    let push = Push {
        content_type: Some(PROTOBUF),
        body: &empty,
        ..Push::default()
    };
    assert!(push.shown().starts_with("422 "));
}

#[test]
fn json_is_refused_where_loki_refuses_it() {
    json("", expect!["400 json: unexpected end at byte 0"]);
    json("[]", expect!["400 json: expected an object at byte 0"]);
    json(
        r#"{"streams":[null]}"#,
        expect!["400 json: expected an object at byte 12"],
    );
    json(
        r#"{"streams":[{"stream":[]}]}"#,
        expect!["400 json: `stream` is not an object at byte 24"],
    );
    json(
        r#"{"streams":[{"values":[[1,"a"]]}]}"#,
        expect!["400 json: expected a string at byte 24"],
    );
    for ts in ["1.5", "+1", "", " 1", "9223372036854775808"] {
        let body = format!(r#"{{"streams":[{{"values":[["{ts}","a"]]}}]}}"#);
        let shown = Push {
            body: body.as_bytes(),
            ..Push::default()
        }
        .shown();
        assert!(shown.contains("decimal nanoseconds"), "{shown}");
    }
    json(
        r#"{"streams":[{"values":[["1",{"a":"b"}]]}]}"#,
        expect!["400 json: expected a string at byte 28"],
    );
    json(
        r#"{"streams":[{"values":[["1","a",{"b":1}]]}]}"#,
        expect!["400 json: expected a string at byte 37"],
    );
    json(
        r#"{"streams":[{"values":[["1","a","b"]]}]}"#,
        expect!["400 json: expected an object at byte 32"],
    );
    json(
        r#"{"streams":[{"values":[["1","a"]"#,
        expect!["400 json: unexpected end at byte 32"],
    );
}

#[test]
fn lines_that_are_no_utf8_come_through_as_they_are() {
    let body =
        b"{\"streams\":[{\"stream\":{\"a\":\"\xff\"},\"values\":[[\"-1\",\"\xff\\u00ff\"]]}]}";
    let push = Push {
        body,
        ..Push::default()
    };
    expect![[r#"
        -1 {a="�"} \xff\xc3\xbf
    "#]]
    .assert_eq(&push.shown());
}

#[test]
fn the_legacy_form_goes_by_the_path() {
    let body = r#"{"streams":[{"entries":[{"line":"a","ts":"2019-09-13T18:32:22.380001319Z"},{"Line":"b","ts":"1970-01-01T01:00:00+01:00","structuredMetadata":{"k":"v"}},{}],"labels":"{a=\"b\"}"}]}"#;
    legacy(
        body,
        expect![[r#"
            1568399542380001319 {a="b"} a
            0 {a="b"} b k=v
            0 {a="b"} 
        "#]],
    );
    json(body, expect![""]);
    legacy(
        r#"{"streams":[{"stream":{"a":"b"},"values":[["1","a"]]}]}"#,
        expect![""],
    );
    legacy(
        r#"{"streams":[{"labels":"{a","entries":[{"ts":"2019-09-13T18:32:22Z"}]}]}"#,
        expect![[r#"
            1568399542000000000 {} 
            Notes { labels_invalid: 1, entries_beyond: 0, lines_cut: 0 }"#]],
    );
    legacy(
        r#"{"streams":[{"entries":[{"ts":"1"}]}]}"#,
        expect!["400 json: timestamp is not an RFC 3339 time at byte 33"],
    );
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

#[test]
fn compressions_are_undone_by_what_the_header_says() {
    let text = br#"{"streams":[{"values":[["1","a"]]}]}"#;
    let packed = loki_proto::push(&[("{}", &[(1, "a")])]);
    let (head, tail) = text.split_at(10);
    let members = [gzip(head), gzip(tail)].concat();
    for (content_type, encoding, body) in [
        (JSON, "", text.to_vec()),
        (JSON, "snappy", text.to_vec()),
        (JSON, "gzip", gzip(text)),
        (JSON, "gzip", members),
        (JSON, "deflate", deflate(text)),
        (PROTOBUF, "", packed.clone()),
        (PROTOBUF, "snappy", packed.clone()),
        (PROTOBUF, "gzip", gzip(&packed)),
        (PROTOBUF, "deflate", deflate(&packed)),
        (b"text/plain", "", packed.clone()),
    ] {
        let push = Push {
            content_type: Some(content_type),
            content_encoding: Some(encoding.as_bytes()),
            body: &body,
            ..Push::default()
        };
        assert_eq!(push.shown(), "1 {} a\n", "{encoding}");
        for length in 0..body.len() {
            let push = Push {
                body: &body[..length],
                limits: Limits::default(),
                ..push
            };
            assert!(push.shown().starts_with("400 "), "{encoding} {length}");
        }
    }
    for encoding in ["zstd", "identity", "GZIP", "gzip, snappy"] {
        let push = Push {
            content_encoding: Some(encoding.as_bytes()),
            body: text,
            ..Push::default()
        };
        assert_eq!(
            push.shown(),
            format!("400 Content-Encoding \"{encoding}\" not supported")
        );
    }
    let push = Push {
        content_type: None,
        body: text,
        ..Push::default()
    };
    assert_eq!(push.shown(), "400 mime: no media type, or a malformed one");
}

#[test]
fn limits_hold_just_at_them_and_not_beyond() {
    let text = format!(
        r#"{{"streams":[{{"values":[["1","{}"]]}}]}}"#,
        "a".repeat(100_000)
    );
    let text = text.as_bytes();
    let packed = loki_proto::push(&[("{}", &[(1, &"a".repeat(100_000))])]);
    let unpacked = snap::raw::decompress_len(&packed).expect("valid");
    for (content_type, encoding, body, inflated) in [
        (JSON, "gzip", gzip(text), text.len()),
        (JSON, "deflate", deflate(text), text.len()),
        (PROTOBUF, "snappy", packed.clone(), unpacked),
        (PROTOBUF, "gzip", gzip(&packed), unpacked),
    ] {
        let limited = |body_bytes_max, decompressed_bytes_max| {
            let push = Push {
                content_type: Some(content_type),
                content_encoding: Some(encoding.as_bytes()),
                body: &body,
                limits: Limits {
                    body_bytes_max,
                    decompressed_bytes_max,
                    ..Limits::default()
                },
                ..Push::default()
            };
            push.decode(&mut Scratch::default())
                .map_or_else(|error| error.status(), |_| 204)
        };
        assert_eq!(limited(body.len(), inflated), 204, "{encoding}");
        assert_eq!(limited(body.len(), inflated - 1), 413, "{encoding}");
        assert_eq!(limited(body.len() - 1, inflated), 413, "{encoding}");
        assert_eq!(limited(body.len(), 0), 204, "{encoding}");
    }
}

#[test]
fn no_memory_is_taken_that_was_not_granted() {
    let zeros = gzip(&vec![b' '; 64 << 20]);
    let claims = [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0; 10]].concat();
    let honest = loki_proto::push(&[("{}", &[(1, &"a".repeat(1 << 20))])]);
    for (content_type, encoding, body, room, expected) in [
        (
            JSON,
            "gzip",
            &zeros,
            1 << 20,
            DecodeError::NoRoom { bytes: 2 << 20 },
        ),
        (
            PROTOBUF,
            "",
            &honest,
            1 << 20,
            DecodeError::NoRoom {
                bytes: (1 << 20) + 20,
            },
        ),
        (
            PROTOBUF,
            "",
            &claims,
            usize::MAX,
            DecodeError::Corrupt {
                format: "snappy",
                problem: "corrupt input".to_owned(),
            },
        ),
    ] {
        let push = Push {
            content_type: Some(content_type),
            content_encoding: Some(encoding.as_bytes()),
            body,
            limits: Limits {
                decompressed_bytes_max: 0,
                ..Limits::default()
            },
            room,
            ..Push::default()
        };
        let mut scratch = Scratch::default();
        assert_eq!(push.decode(&mut scratch), Err(expected));
        assert!(scratch.kept_bytes() <= 2 << 20);
    }
}

#[test]
fn a_body_of_nothing_but_entries_asks_for_the_room_of_their_places() {
    let entries = vec![(1, ""); 100_000];
    let body = loki_proto::push(&[("{}", &entries)]);
    let push = |room| Push {
        content_type: Some(PROTOBUF),
        body: &body,
        room,
        ..Push::default()
    };
    let mut scratch = Scratch::default();
    let block = match push(0).decode(&mut scratch) {
        Err(DecodeError::NoRoom { bytes }) => bytes,
        other => panic!("{other:?}"),
    };
    // Room for the text alone is not enough, and what is refused has not been taken.
    let refused = push(block).decode(&mut scratch);
    assert!(matches!(refused, Err(DecodeError::NoRoom { bytes }) if bytes > block));
    assert!(scratch.batch().entries.is_empty());
    assert!(scratch.kept_bytes() < block + (1 << 20));
    // 64 bytes each, and up to twice as much is asked for.
    assert!(push(block + 100_000 * 128).decode(&mut scratch).is_ok());
    assert_eq!(scratch.batch().entries.len(), 100_000);
}

#[test]
fn long_lines_long_labels_and_too_many_entries_are_cut_and_counted() {
    let labels = format!(r#"{{a="{}"}}"#, "x".repeat(20));
    let body = loki_proto::push(&[
        ("{a=\"b\"}", &[(1, "12345"), (2, "123456")]),
        (&labels, &[(3, "1"), (4, "2")]),
        ("{c=\"d\"}", &[(5, "3")]),
    ]);
    let push = Push {
        content_type: Some(PROTOBUF),
        body: &body,
        limits: Limits {
            line_bytes_max: 5,
            labels_bytes_max: 20,
            entries_max: 3,
            ..Limits::default()
        },
        ..Push::default()
    };
    expect![[r#"
        1 {a="b"} 12345
        2 {a="b"} 12345
        3 {} 1
        Notes { labels_invalid: 1, entries_beyond: 2, lines_cut: 1 }"#]]
    .assert_eq(&push.shown());
}

#[test]
fn metadata_is_bounded_with_the_entries() {
    let pairs: Vec<String> = (0..9).map(|n| format!(r#""k{n}":"v""#)).collect();
    let body = format!(
        r#"{{"streams":[{{"values":[["1","a",{{{}}}],["2","b",{{"k":"v"}}]]}}]}}"#,
        pairs.join(",")
    );
    let push = Push {
        body: body.as_bytes(),
        limits: Limits {
            entries_max: 2,
            ..Limits::default()
        },
        ..Push::default()
    };
    expect![[r#"
        2 {} b k=v
        Notes { labels_invalid: 0, entries_beyond: 1, lines_cut: 0 }"#]]
    .assert_eq(&push.shown());
}
