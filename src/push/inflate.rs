//! Undoing a body's compression, with every byte asked for before it is allocated.

use std::io::Read;

use flate2::bufread::{DeflateDecoder, MultiGzDecoder};

use super::decode::DecodeError;

/// The compressions that are streams; snappy's block format knows its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    /// RFC 1952, any number of members.
    Gzip,
    /// RFC 1951, without zlib's frame.
    Deflate,
}

/// How much is inflated at a time, and asked for; twice as much each time up to the greater.
const STEP_BYTES_MIN: usize = 64 << 10;
const STEP_BYTES_MAX: usize = 4 << 20;

/// Inflates `packed` into `out`, replacing what is in it. `room` is asked for every further step and may refuse.
///
/// # Errors
/// [`DecodeError::Corrupt`], [`DecodeError::TooLarge`] as soon as more than `bytes_max` bytes come out, [`DecodeError::NoRoom`].
pub(super) fn inflate(
    compression: Compression,
    packed: &[u8],
    out: &mut Vec<u8>,
    bytes_max: usize,
    room: &mut dyn FnMut(usize) -> bool,
) -> Result<(), DecodeError> {
    let (mut gzip, mut deflate);
    let (format, reader): (_, &mut dyn Read) = match compression {
        Compression::Gzip => {
            gzip = MultiGzDecoder::new(packed);
            ("gzip", &mut gzip)
        }
        Compression::Deflate => {
            deflate = DeflateDecoder::new(packed);
            ("flate", &mut deflate)
        }
    };
    out.clear();
    let mut filled = 0;
    loop {
        if filled == out.len() {
            // One byte more than allowed, to see whether there is one.
            let step = filled
                .clamp(STEP_BYTES_MIN, STEP_BYTES_MAX)
                .min(bytes_max.saturating_add(1) - filled);
            if !room(step) {
                return Err(DecodeError::NoRoom {
                    bytes: filled + step,
                });
            }
            out.resize(filled + step, 0);
        }
        let read = reader
            .read(&mut out[filled..])
            .map_err(|error| DecodeError::Corrupt {
                format,
                problem: error.to_string(),
            })?;
        if read == 0 {
            break;
        }
        filled += read;
        if filled > bytes_max {
            return Err(DecodeError::TooLarge {
                what: "inflates to more than",
                bytes: bytes_max,
                bytes_max,
            });
        }
    }
    out.truncate(filled);
    Ok(())
}
