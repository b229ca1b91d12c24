//! Push requests as Alloy writes them: `logproto.PushRequest` in snappy's block format.

use trommel::batch::Labels;

/// One stream of a request to be, as `floor` makes them.
pub(crate) struct SentStream {
    pub(crate) labels: Labels,
    pub(crate) lines: Vec<Vec<u8>>,
}

/// Packs `streams`; `time` gives each line its own, in nanoseconds since the epoch. Also tells the size before packing.
pub(crate) fn request(
    streams: &[SentStream],
    encoder: &mut snap::raw::Encoder,
    mut time: impl FnMut() -> u64,
) -> (Vec<u8>, usize) {
    let mut body = Vec::new();
    let (mut message, mut entry, mut at) = (Vec::new(), Vec::new(), Vec::new());
    for stream in streams {
        message.clear();
        put_bytes(&mut message, 1, stream.labels.to_string().as_bytes());
        for line in &stream.lines {
            let nanos = time();
            at.clear();
            put_number(&mut at, 1, nanos / 1_000_000_000);
            put_number(&mut at, 2, nanos % 1_000_000_000);
            entry.clear();
            put_bytes(&mut entry, 1, &at);
            put_bytes(&mut entry, 2, line);
            put_bytes(&mut message, 2, &entry);
        }
        put_bytes(&mut body, 1, &message);
    }
    let packed = encoder.compress_vec(&body);
    (
        packed.expect("a batch is far below snappy's limit of 4 GiB"),
        body.len(),
    )
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_number(out: &mut Vec<u8>, field: u64, value: u64) {
    put_varint(out, field << 3);
    put_varint(out, value);
}

fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(out, field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
