//! Any body may be pushed, under any of the content types and encodings: it gives an error, or a batch that keeps its promises.
//!
//! The first byte chooses how the rest is sent. Protobuf is packed here, so that the search is not spent on snappy alone.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use trommel::batch::{Batch, Span};
use trommel::push::{Encoded, Form, Interner, Limits, Scratch};

/// Smaller than the defaults, so that the limits are met as well.
const LIMITS_BYTES: usize = 1 << 16;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, rest)) = data.split_first() else {
        return;
    };
    let json: Option<&[u8]> = Some(b"application/json");
    let protobuf: Option<&[u8]> = Some(b"application/x-protobuf");
    let (form, content_type, content_encoding, packed) = match choice % 7 {
        0 => (Form::V1, protobuf, None, true),
        1 => (Form::V1, protobuf, None, false),
        2 => (Form::V1, protobuf, Some(&b"gzip"[..]), false),
        3 => (Form::V1, json, None, false),
        4 => (Form::Legacy, json, None, false),
        5 => (Form::V1, json, Some(&b"deflate"[..]), false),
        _ => (Form::V1, Some(rest), Some(rest), false),
    };
    let body = match packed {
        true => snap::raw::Encoder::new()
            .compress_vec(rest)
            .expect("an input is far below snappy's limit"),
        false => rest.to_vec(),
    };
    let limits = Limits {
        decompressed_bytes_max: LIMITS_BYTES,
        labels_bytes_max: 256,
        line_bytes_max: 512,
        entries_max: 1000,
        ..Limits::default()
    };
    let request = Encoded {
        tenant: &Arc::from("tenant"),
        form,
        content_type,
        content_encoding,
        body: &body,
    };
    let mut scratch = Scratch::default();
    let decoded = scratch.decode(&request, &limits, &Interner::new(16), &mut |_| true);
    let batch = scratch.batch();
    match decoded {
        Ok(_) => assert!(batch.entries.len() <= limits.entries_max),
        Err(error) => assert!(batch.entries.is_empty(), "{error} left entries"),
    }
    keeps_its_promises(batch);
});

/// The invariants that `Batch` documents, which all that comes after relies on.
fn keeps_its_promises(batch: &Batch) {
    let within = |span: Span| span.range().end <= batch.block.len();
    assert!(batch.block.len() <= LIMITS_BYTES);
    let mut covered = 0;
    for stream in &batch.streams {
        assert_eq!(stream.entries.start, covered);
        assert!(stream.entries.end > covered);
        covered = stream.entries.end;
    }
    assert_eq!(covered as usize, batch.entries.len());
    let mut line_end = 0;
    for entry in &batch.entries {
        assert!(entry.line.range().start >= line_end);
        assert!(within(entry.line));
        line_end = entry.line.range().end;
        assert!(entry.metadata.range().end <= batch.metadata.len());
        assert!(batch.line(entry).len() <= entry.line.len as usize);
    }
    assert!(
        batch
            .metadata
            .iter()
            .all(|(name, value)| within(*name) && within(*value))
    );
}
