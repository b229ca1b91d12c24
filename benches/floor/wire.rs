//! Requests as Alloy makes them, and the way from their bytes to a batch.

use std::sync::Arc;

use trommel::batch::{Batch, Labels};
use trommel::push::{Encoded, Form, Interner, Limits, Scratch};

/// One stream of a request to be.
pub(crate) struct SentStream {
    pub(crate) labels: Labels,
    pub(crate) lines: Vec<Vec<u8>>,
}

/// A protobuf push request, compressed with snappy's block format.
pub(crate) struct Request {
    pub(crate) compressed: Vec<u8>,
    /// Decompressed.
    pub(crate) bytes: usize,
    pub(crate) lines: usize,
}

impl Request {
    pub(crate) fn new(streams: &[SentStream]) -> Self {
        let mut body = Vec::new();
        let mut nanos = 0;
        for stream in streams {
            let mut message = Vec::new();
            put_bytes(&mut message, 1, stream.labels.to_string().as_bytes());
            for line in &stream.lines {
                nanos += 1_234_567;
                let mut time = Vec::new();
                put_varint(&mut time, 1 << 3);
                put_varint(&mut time, 1_767_780_930);
                put_varint(&mut time, 2 << 3);
                put_varint(&mut time, nanos % 1_000_000_000);
                let mut entry = Vec::new();
                put_bytes(&mut entry, 1, &time);
                put_bytes(&mut entry, 2, line);
                put_bytes(&mut message, 2, &entry);
            }
            put_bytes(&mut body, 1, &message);
        }
        Self {
            compressed: snap::raw::Encoder::new()
                .compress_vec(&body)
                .expect("a batch is far below snappy's limit of 4 GiB"),
            bytes: body.len(),
            lines: streams.iter().map(|stream| stream.lines.len()).sum(),
        }
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(out, field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Decompresses into `block`, whose memory is kept.
pub(crate) fn decompress(compressed: &[u8], block: &mut Vec<u8>) {
    let len = snap::raw::decompress_len(compressed).expect("we compressed it");
    if block.len() < len {
        block.resize(len, 0);
    }
    block.truncate(len);
    snap::raw::Decoder::new()
        .decompress(compressed, block)
        .expect("we compressed it");
}

/// From a request's bytes to a batch, as the server does it.
pub(crate) struct Decoder {
    tenant: Arc<str>,
    limits: Limits,
    interner: Interner,
    scratch: Scratch,
}

impl Decoder {
    pub(crate) fn new() -> Self {
        let limits = Limits::default();
        Self {
            tenant: "".into(),
            interner: Interner::new(limits.streams_interned_max),
            limits,
            scratch: Scratch::default(),
        }
    }

    pub(crate) fn decode(&mut self, request: &Request) -> &Batch {
        let encoded = Encoded {
            tenant: &self.tenant,
            form: Form::V1,
            content_type: Some(b"application/x-protobuf"),
            content_encoding: Some(b"snappy"),
            body: &request.compressed,
        };
        self.scratch
            .decode(&encoded, &self.limits, &self.interner, &mut |_| true)
            .expect("we encoded it");
        self.scratch.batch()
    }
}
