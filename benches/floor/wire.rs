//! Requests as Alloy makes them, and the way from their bytes to a batch.

use std::collections::HashMap;
use std::sync::Arc;

use trommel::batch::{Batch, Entry, Labels, Span, Stream, StreamEntries};
use trommel::time::Timestamp;

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
    labels: Vec<Labels>,
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
            labels: streams.iter().map(|stream| stream.labels.clone()).collect(),
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

/// From a request's bytes to a batch: decompression, and a walk over borrowed fields. Streams are interned beforehand,
/// as they are after the first request of an agent.
pub(crate) struct Decoder {
    streams: HashMap<Vec<u8>, Arc<Stream>>,
}

impl Decoder {
    pub(crate) fn new(requests: &[Request]) -> Self {
        let labels = requests.iter().flat_map(|request| &request.labels);
        let stream = |labels: &Labels| {
            let stream = Stream::new("".into(), labels.clone());
            (labels.to_string().into_bytes(), Arc::new(stream))
        };
        Self {
            streams: labels.map(stream).collect(),
        }
    }

    pub(crate) fn decode(&self, request: &Request, batch: &mut Batch) {
        let mut block = std::mem::take(&mut batch.block);
        batch.clear();
        decompress(&request.compressed, &mut block);
        let mut body = Reader {
            block: &block,
            at: 0,
            end: block.len(),
        };
        while let Some((_, mut message)) = body.field() {
            let first = batch.entries.len() as u32;
            let mut stream = None;
            while let Some((field, mut piece)) = message.field() {
                if field == 1 {
                    stream = self.streams.get(&block[piece.at..piece.end]);
                    continue;
                }
                let (mut seconds, mut nanos, mut line) = (0, 0, Span::default());
                while let Some((field, mut piece)) = piece.field() {
                    if field == 2 {
                        line = Span {
                            start: piece.at as u32,
                            len: (piece.end - piece.at) as u32,
                        };
                    } else {
                        piece.varint();
                        seconds = piece.varint() as i64;
                        piece.varint();
                        nanos = piece.varint() as i64;
                    }
                }
                batch.entries.push(Entry {
                    at: Timestamp::from_parts(seconds, nanos),
                    line,
                    metadata: Span::default(),
                });
            }
            batch.streams.push(StreamEntries {
                stream: stream.expect("labels come first").clone(),
                entries: first..batch.entries.len() as u32,
            });
        }
        batch.block = block;
    }
}

struct Reader<'a> {
    block: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    /// The next length-delimited field.
    fn field(&mut self) -> Option<(u64, Reader<'a>)> {
        if self.at >= self.end {
            return None;
        }
        let tag = self.varint();
        let len = self.varint() as usize;
        let at = self.at;
        self.at += len;
        Some((
            tag >> 3,
            Reader {
                block: self.block,
                at,
                end: self.at,
            },
        ))
    }

    fn varint(&mut self) -> u64 {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.block[self.at];
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }
}
