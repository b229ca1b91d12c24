//! One request's body to one batch: content type, compression, then the form; every limit is checked before memory is taken.
//!
//! Source of what is accepted and what is not: `ParseLokiRequest`, grafana/loki `pkg/loghttp/push/push.go`. Streams whose labels
//! cannot be read differ on purpose: Loki refuses the whole request, here they are inspected without labels and counted.

use std::sync::Arc;

pub use super::fill::Notes;
use super::fill::{Fill, Index};
use super::inflate::{Compression, inflate};
use super::interner::Interner;
use super::json::{self, JsonError};
use super::limits::Limits;
use super::media_type::{self, MediaType};
use super::protobuf::{self, ProtobufError};
use crate::batch::Batch;

/// Which JSON a path takes; protobuf is the same for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `/loki/api/v1/push`
    V1,
    /// `/api/prom/push`
    Legacy,
}

/// A request whose body has arrived.
#[derive(Debug, Clone, Copy)]
pub struct Encoded<'a> {
    /// The tenant of `X-Scope-OrgID`; empty when none was sent.
    pub tenant: &'a Arc<str>,
    /// From the path.
    pub form: Form,
    /// The header `Content-Type`.
    pub content_type: Option<&'a [u8]>,
    /// The header `Content-Encoding`.
    pub content_encoding: Option<&'a [u8]>,
    /// The body as sent.
    pub body: &'a [u8],
}

/// Why a request was refused. The text is for the client and says what Loki would, as far as it can.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No `Content-Type`, or one that is none.
    #[error("mime: no media type, or a malformed one")]
    MediaType,
    /// A `Content-Encoding` that is not taken: only none, `snappy`, `gzip` and `deflate` are.
    #[error("Content-Encoding \"{0}\" not supported")]
    Encoding(String),
    /// Not what the compression's format demands.
    #[error("{format}: {problem}")]
    Corrupt {
        /// The format's name, as Loki's messages begin.
        format: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// Not a protobuf `PushRequest`.
    #[error(transparent)]
    Protobuf(#[from] ProtobufError),
    /// Not a JSON push request.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// More bytes than a limit allows.
    #[error("message too large: body {what} {bytes} bytes, limit is {bytes_max}")]
    TooLarge {
        /// How the bytes were counted.
        what: &'static str,
        /// How many there are, or at least.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// No stream at all.
    #[error("error at least one valid stream is required for ingestion")]
    NoStreams,
    /// Nobody's fault: the room that was asked for was not granted. Never shown to a client.
    #[error("no room for {bytes} bytes at present")]
    NoRoom {
        /// How much would have been needed so far.
        bytes: usize,
    },
}

impl DecodeError {
    /// The HTTP status that Loki answers with.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::TooLarge { .. } => 413,
            Self::NoStreams => 422,
            Self::NoRoom { .. } => 204,
            _ => 400,
        }
    }

    /// A word for metrics, from a closed set.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::MediaType => "content_type",
            Self::Encoding(_) => "content_encoding",
            Self::Corrupt { .. } => "corrupt",
            Self::Protobuf(_) => "protobuf",
            Self::Json(_) => "json",
            Self::TooLarge { .. } => "too_large",
            Self::NoStreams => "no_streams",
            Self::NoRoom { .. } => "no_room",
        }
    }
}

/// Memory for decoding, kept from request to request: in steady state a protobuf body is decoded without allocating.
#[derive(Debug, Default)]
pub struct Scratch {
    batch: Batch,
    /// What a gzip or deflate body inflates to.
    inflated: Vec<u8>,
    snappy: snap::raw::Decoder,
}

impl Scratch {
    /// The batch of the last request that was decoded without an error.
    #[must_use]
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Bytes that are kept for the next request.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        let batch = &self.batch;
        batch.block.capacity()
            + batch.streams.capacity() * size_of::<crate::batch::StreamEntries>()
            + batch.entries.capacity() * size_of::<crate::batch::Entry>()
            + batch.metadata.capacity() * size_of::<(crate::batch::Span, crate::batch::Span)>()
            + self.inflated.capacity()
    }

    /// Decodes `request` into [`Scratch::batch`]. Before it takes memory for decompressed bytes, or for the places of unusually many
    /// entries, it asks `room` for that many; what was granted belongs to this request until the next one.
    ///
    /// # Errors
    /// A [`DecodeError`] for what is malformed or beyond `limits`, and [`DecodeError::NoRoom`] when `room` refused; the batch is empty then.
    pub fn decode(
        &mut self,
        request: &Encoded<'_>,
        limits: &Limits,
        interner: &Interner,
        room: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Notes, DecodeError> {
        let decoded = self.decode_into_batch(request, limits, interner, room);
        if decoded.is_err() {
            self.batch.clear();
        }
        decoded
    }

    fn decode_into_batch(
        &mut self,
        request: &Encoded<'_>,
        limits: &Limits,
        interner: &Interner,
        room: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Notes, DecodeError> {
        if request.body.len() > limits.body_bytes_max {
            return Err(DecodeError::TooLarge {
                what: "has",
                bytes: request.body.len(),
                bytes_max: limits.body_bytes_max,
            });
        }
        let compression = match request.content_encoding.unwrap_or_default() {
            // Snappy is what protobuf is packed with whether or not a header says so; JSON is not, even if one does.
            b"" | b"snappy" => None,
            b"gzip" => Some(Compression::Gzip),
            b"deflate" => Some(Compression::Deflate),
            other => {
                let shown = &other[..other.len().min(64)];
                return Err(DecodeError::Encoding(shown.escape_ascii().to_string()));
            }
        };
        let media_type = media_type::parse(request.content_type.unwrap_or_default())
            .ok_or(DecodeError::MediaType)?;
        let bytes_max = match limits.decompressed_bytes_max {
            0 => Limits::BLOCK_BYTES_CEILING,
            max => max.min(Limits::BLOCK_BYTES_CEILING),
        };
        let body = match compression {
            None => request.body,
            Some(compression) => {
                inflate(
                    compression,
                    request.body,
                    &mut self.inflated,
                    bytes_max,
                    room,
                )?;
                &self.inflated
            }
        };

        self.batch.streams.clear();
        self.batch.entries.clear();
        self.batch.metadata.clear();
        let batch = &mut self.batch;
        if media_type == MediaType::Json {
            // Unescaped text is no longer than it was, so this bounds the block.
            check_and_ask(body.len(), bytes_max, room)?;
        } else {
            let claimed = snappy_length(body)?;
            check_and_ask(claimed, bytes_max, room)?;
            // What the last request left need not be zeroed again, for every byte is overwritten.
            batch.block.resize(claimed, 0);
            self.snappy
                .decompress(body, &mut batch.block)
                .map_err(|_| corrupt_snappy())?;
        }
        let mut fill = Fill {
            batch,
            tenant: request.tenant,
            limits,
            interner,
            notes: Notes::default(),
            index: Index::new(room),
        };
        let streams = match (media_type, request.form) {
            (MediaType::Other, _) => protobuf::decode(&mut fill)?,
            (MediaType::Json, Form::V1) => json::decode(&mut fill, body)?,
            (MediaType::Json, Form::Legacy) => json::decode_legacy(&mut fill, body)?,
        };
        if fill.index.is_refused() {
            return Err(DecodeError::NoRoom {
                bytes: fill.batch.block.len() + fill.index.bytes(),
            });
        }
        if streams == 0 {
            return Err(DecodeError::NoStreams);
        }
        Ok(fill.notes)
    }
}

fn check_and_ask(
    bytes: usize,
    bytes_max: usize,
    room: &mut dyn FnMut(usize) -> bool,
) -> Result<(), DecodeError> {
    if bytes > bytes_max {
        return Err(DecodeError::TooLarge {
            what: "decompresses to",
            bytes,
            bytes_max,
        });
    }
    if !room(bytes) {
        return Err(DecodeError::NoRoom { bytes });
    }
    Ok(())
}

/// Bytes that three bytes of snappy can stand for at most: a copy of 64.
/// Source: google/snappy `format_description.txt`, section 2.2.2.
const SNAPPY_COPY_BYTES_MAX: usize = 64;

/// The length that a snappy block claims to have, if it can have it: a lie would cost memory before it came to light.
fn snappy_length(packed: &[u8]) -> Result<usize, DecodeError> {
    let claimed = snap::raw::decompress_len(packed).map_err(|_| corrupt_snappy())?;
    let possible = (packed.len() / 3 + 1).saturating_mul(SNAPPY_COPY_BYTES_MAX);
    if packed.is_empty() || claimed > possible {
        return Err(corrupt_snappy());
    }
    Ok(claimed)
}

fn corrupt_snappy() -> DecodeError {
    DecodeError::Corrupt {
        format: "snappy",
        problem: "corrupt input".to_owned(),
    }
}
