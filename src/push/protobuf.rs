//! Loki's `PushRequest`, walked where it lies: the batch gets places in the block, nothing is copied, and nothing is allocated
//! once the batch has grown to its usual size.
//!
//! Schema: grafana/loki `pkg/push/push.proto`. Absent fields are zero, unknown ones are skipped, of a field given twice the last
//! counts, a message given twice is merged. The encoding is read as prost reads it, against which the walk is tested:
//! <https://protobuf.dev/programming-guides/encoding/>.
//!
//! Loki refuses a request with a time outside the years 1 to 9999; here such a time is taken as written, saturated.

use super::fill::Fill;
use crate::batch::Span;
use crate::time::Timestamp;

/// What is wrong with a protobuf message, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("protobuf: {problem} at byte {offset}")]
pub struct ProtobufError {
    /// Zero-based place in the decompressed body.
    pub offset: usize,
    /// What is wrong there.
    pub problem: &'static str,
}

/// Reads the message that is the fill's block. Tells how many streams it has, those without entries included.
pub(super) fn decode(fill: &mut Fill<'_>) -> Result<u64, ProtobufError> {
    // Taken out of the batch for the walk, so that the batch can be filled while the block is read.
    let block = std::mem::take(&mut fill.batch.block);
    let result = push_request(fill, &block);
    fill.batch.block = block;
    result
}

fn push_request(fill: &mut Fill<'_>, block: &[u8]) -> Result<u64, ProtobufError> {
    let mut streams = 0;
    let mut wire = Wire {
        block,
        at: 0,
        end: block.len(),
    };
    while let Some(key) = wire.key()? {
        match key.field {
            1 => {
                streams += 1;
                let message = wire.message(key)?;
                stream(fill, message)?;
            }
            // `format`
            2 => drop(wire.bytes(key)?),
            _ => wire.skip(key, DEPTH_MAX)?,
        }
    }
    Ok(streams)
}

fn stream(fill: &mut Fill<'_>, mut wire: Wire<'_>) -> Result<(), ProtobufError> {
    let begun = fill.mark();
    let mut labels = Span::default();
    while let Some(key) = wire.key()? {
        match key.field {
            1 => labels = wire.bytes(key)?,
            2 => {
                let message = wire.message(key)?;
                entry(fill, message)?;
            }
            // `hash`
            3 => drop(wire.integer(key)?),
            _ => wire.skip(key, DEPTH_MAX - 1)?,
        }
    }
    // Only now, since the labels may come after the entries.
    fill.stream(begun, &wire.block[labels.range()]);
    Ok(())
}

fn entry(fill: &mut Fill<'_>, mut wire: Wire<'_>) -> Result<(), ProtobufError> {
    let begun = fill.mark();
    let (mut seconds, mut nanos) = (0, 0);
    // A line that is absent lies where its entry begins, so that lines ascend.
    let mut line = wire.span(wire.at, wire.at);
    while let Some(key) = wire.key()? {
        match key.field {
            1 => {
                let message = wire.message(key)?;
                timestamp(message, &mut seconds, &mut nanos)?;
            }
            2 => line = wire.bytes(key)?,
            3 => {
                let message = wire.message(key)?;
                let (name, value) = label_pair(message)?;
                fill.metadata(name, value);
            }
            // `parsed`
            4 => {
                let message = wire.message(key)?;
                label_pair(message)?;
            }
            _ => wire.skip(key, DEPTH_MAX - 2)?,
        }
    }
    let at = Timestamp::from_parts(seconds, i64::from(nanos));
    fill.entry(begun, at, line);
    Ok(())
}

#[inline(always)]
fn timestamp(mut wire: Wire<'_>, seconds: &mut i64, nanos: &mut i32) -> Result<(), ProtobufError> {
    while let Some(key) = wire.key()? {
        match key.field {
            // A negative number is its two's complement of 64 bits, of which an `int32` keeps the lower half.
            1 => *seconds = wire.integer(key)? as i64,
            2 => *nanos = wire.integer(key)? as i32,
            _ => wire.skip(key, DEPTH_MAX - 3)?,
        }
    }
    Ok(())
}

fn label_pair(mut wire: Wire<'_>) -> Result<(Span, Span), ProtobufError> {
    let (mut name, mut value) = (Span::default(), Span::default());
    while let Some(key) = wire.key()? {
        match key.field {
            1 => name = wire.bytes(key)?,
            2 => value = wire.bytes(key)?,
            _ => wire.skip(key, DEPTH_MAX - 3)?,
        }
    }
    Ok((name, value))
}

/// Deepest nesting of messages and unknown groups, as in prost and in the C++ implementation.
const DEPTH_MAX: u32 = 100;

const VARINT: u8 = 0;
const EIGHT_BYTES: u8 = 1;
const LENGTH_DELIMITED: u8 = 2;
const GROUP_START: u8 = 3;
const GROUP_END: u8 = 4;
const FOUR_BYTES: u8 = 5;

/// A field's number and how its value is encoded.
#[derive(Debug, Clone, Copy)]
struct Key {
    field: u32,
    wire_type: u8,
}

/// One message within the block.
#[derive(Debug, Clone, Copy)]
struct Wire<'a> {
    block: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Wire<'a> {
    /// The next field; `None` at the message's end.
    #[inline(always)]
    fn key(&mut self) -> Result<Option<Key>, ProtobufError> {
        if self.at == self.end {
            return Ok(None);
        }
        let key =
            u32::try_from(self.varint()?).map_err(|_| self.error("field number overflows"))?;
        let (field, wire_type) = (key >> 3, (key & 7) as u8);
        if field == 0 {
            return Err(self.error("field number is 0"));
        }
        if wire_type > FOUR_BYTES {
            return Err(self.error("unknown wire type"));
        }
        Ok(Some(Key { field, wire_type }))
    }

    #[inline(always)]
    fn integer(&mut self, key: Key) -> Result<u64, ProtobufError> {
        self.expect(key, VARINT)?;
        self.varint()
    }

    #[inline(always)]
    fn bytes(&mut self, key: Key) -> Result<Span, ProtobufError> {
        self.expect(key, LENGTH_DELIMITED)?;
        let length = self.varint()?;
        let start = self.at;
        self.advance(length)?;
        Ok(self.span(start, self.at))
    }

    #[inline(always)]
    fn message(&mut self, key: Key) -> Result<Wire<'a>, ProtobufError> {
        let span = self.bytes(key)?.range();
        Ok(Wire {
            block: self.block,
            at: span.start,
            end: span.end,
        })
    }

    /// Skips the value of an unknown field, groups with all that is in them.
    fn skip(&mut self, key: Key, depth_left: u32) -> Result<(), ProtobufError> {
        if depth_left == 0 {
            return Err(self.error("nested too deeply"));
        }
        match key.wire_type {
            VARINT => self.varint().map(drop),
            EIGHT_BYTES => self.advance(8),
            FOUR_BYTES => self.advance(4),
            LENGTH_DELIMITED => {
                let length = self.varint()?;
                self.advance(length)
            }
            GROUP_START => loop {
                let inner = self.key()?.ok_or_else(|| self.error(TRUNCATED))?;
                if inner.wire_type == GROUP_END {
                    if inner.field != key.field {
                        return Err(self.error("unexpected end of group"));
                    }
                    return Ok(());
                }
                self.skip(inner, depth_left - 1)?;
            },
            _ => Err(self.error("unexpected end of group")),
        }
    }

    #[inline(always)]
    fn expect(&self, key: Key, wire_type: u8) -> Result<(), ProtobufError> {
        if key.wire_type == wire_type {
            Ok(())
        } else {
            Err(self.error("wrong wire type"))
        }
    }

    #[inline(always)]
    fn varint(&mut self) -> Result<u64, ProtobufError> {
        let message = &self.block[..self.end];
        let mut value = 0;
        let mut at = self.at;
        for shift in (0..63).step_by(7) {
            let Some(&byte) = message.get(at) else {
                return Err(self.error(TRUNCATED));
            };
            at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                self.at = at;
                return Ok(value);
            }
        }
        // The tenth byte holds the 64th bit only.
        match message.get(at) {
            Some(&byte) if byte <= 1 => {
                self.at = at + 1;
                Ok(value | u64::from(byte) << 63)
            }
            Some(_) => Err(self.error("integer overflows")),
            None => Err(self.error(TRUNCATED)),
        }
    }

    #[inline(always)]
    fn advance(&mut self, bytes: u64) -> Result<(), ProtobufError> {
        match usize::try_from(bytes) {
            Ok(bytes) if bytes <= self.end - self.at => {
                self.at += bytes;
                Ok(())
            }
            _ => Err(self.error(TRUNCATED)),
        }
    }

    fn span(&self, start: usize, end: usize) -> Span {
        // A block is shorter than 4 GiB.
        Span {
            start: start as u32,
            len: (end - start) as u32,
        }
    }

    #[cold]
    fn error(&self, problem: &'static str) -> ProtobufError {
        ProtobufError {
            offset: self.at,
            problem,
        }
    }
}

/// As Loki says it.
const TRUNCATED: &str = "unexpected EOF";
