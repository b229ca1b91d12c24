//! Loki's push request as JSON, in its two forms: `streams[].stream` with `values`, and the legacy `streams[].labels` with `entries`.
//! Which one it is, the path says, never the body: `/loki/api/v1/…` has the first, `/api/prom/push` the second.
//!
//! As strict as Loki (`LogProtoStream.UnmarshalJSON`, grafana/loki `pkg/loghttp/query.go`): a timestamp is a string of decimal
//! nanoseconds, lines and metadata values are strings, but a label's value may be anything and is then its own text.
//! Keys come in any order, unknown ones are skipped, of one given twice the last counts, `null` is an empty list.
//! What follows the request's value is not looked at.
//!
//! Lines and metadata are unescaped one after another into the block; their bytes need not be UTF-8.

mod reader;

use crate::batch::{Labels, Span};
use crate::time::Timestamp;

use super::fill::Fill;

pub use reader::JsonError;
pub(crate) use reader::{Kind, Reader};

/// Reads `text` as `/loki/api/v1/push` does. Tells how many streams it has, those without entries included.
pub(super) fn decode(fill: &mut Fill<'_>, text: &[u8]) -> Result<u64, JsonError> {
    push_request(fill, text, stream)
}

/// Reads `text` as `/api/prom/push` does.
pub(super) fn decode_legacy(fill: &mut Fill<'_>, text: &[u8]) -> Result<u64, JsonError> {
    push_request(fill, text, legacy_stream)
}

fn push_request(
    fill: &mut Fill<'_>,
    text: &[u8],
    stream: fn(&mut Fill<'_>, &mut Reader<'_>) -> Result<(), JsonError>,
) -> Result<u64, JsonError> {
    fill.batch.block.clear();
    let mut streams = 0;
    let mut reader = Reader::new(text);
    if reader.null()? {
        return Ok(0);
    }
    let begun = fill.mark();
    reader.object(|reader, name| {
        if !name.eq_ignore_ascii_case(b"streams") {
            return reader.skip();
        }
        fill.go_back(begun);
        streams = 0;
        if reader.null()? {
            return Ok(());
        }
        reader.array(|reader, _| {
            streams += 1;
            stream(fill, reader)
        })
    })?;
    Ok(streams)
}

fn stream(fill: &mut Fill<'_>, reader: &mut Reader<'_>) -> Result<(), JsonError> {
    let begun = fill.mark();
    let mut labels: &[u8] = b"{}";
    reader.object(|reader, name| {
        match name {
            b"stream" => {
                labels = reader.raw()?;
                if !labels.starts_with(b"{") {
                    return Err(reader.error("`stream` is not an object"));
                }
            }
            b"values" => {
                fill.go_back(begun);
                entries(fill, reader, value)?;
            }
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    fill.json_stream(begun, labels, || read_labels(labels));
    Ok(())
}

/// Reads the labels object of a stream, whose grammar [`stream`] has checked.
fn read_labels(object: &[u8]) -> Labels {
    let lossy = |bytes: &[u8]| Box::from(&*String::from_utf8_lossy(bytes));
    let mut pairs: Vec<(Box<str>, Box<str>)> = Vec::new();
    let read = Reader::new(object).object(|reader, name| {
        let value = match reader.kind()? {
            Kind::String => lossy(&reader.string()?),
            _ => lossy(reader.raw()?),
        };
        pairs.push((lossy(name), value));
        Ok::<_, JsonError>(())
    });
    debug_assert!(read.is_ok(), "the object was skipped as valid before");
    Labels::new(pairs)
}

fn entries(
    fill: &mut Fill<'_>,
    reader: &mut Reader<'_>,
    entry: fn(&mut Fill<'_>, &mut Reader<'_>) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    if reader.null()? {
        return Ok(());
    }
    reader.array(|reader, _| {
        if reader.null()? {
            return Ok(());
        }
        entry(fill, reader)
    })
}

/// `["<nanoseconds>", "line", {"name": "value"}]`; what follows the third element is skipped, what lacks is zero.
fn value(fill: &mut Fill<'_>, reader: &mut Reader<'_>) -> Result<(), JsonError> {
    let begun = fill.mark();
    let mut at = Timestamp::new(0);
    let mut line = next_span(fill);
    reader.array(|reader, place| {
        match place {
            0 => at = nanoseconds(reader)?,
            1 => line = string(fill, reader)?,
            2 => metadata(fill, reader)?,
            _ => reader.skip()?,
        }
        Ok::<_, JsonError>(())
    })?;
    fill.entry(begun, at, line);
    Ok(())
}

fn nanoseconds(reader: &mut Reader<'_>) -> Result<Timestamp, JsonError> {
    let digits = reader.string()?;
    // Rust reads a leading plus, Loki's parser does not.
    std::str::from_utf8(&digits)
        .ok()
        .filter(|digits| !digits.starts_with('+'))
        .and_then(|digits| digits.parse().ok())
        .map(Timestamp::new)
        .ok_or_else(|| reader.error("timestamp is not a string of decimal nanoseconds"))
}

fn metadata(fill: &mut Fill<'_>, reader: &mut Reader<'_>) -> Result<(), JsonError> {
    reader.object(|reader, name| {
        let start = next_span(fill);
        fill.batch.block.extend_from_slice(name);
        let name = until_now(fill, start);
        let value = string(fill, reader)?;
        fill.metadata(name, value);
        Ok(())
    })
}

fn legacy_stream(fill: &mut Fill<'_>, reader: &mut Reader<'_>) -> Result<(), JsonError> {
    let begun = fill.mark();
    let mut labels = Vec::new();
    reader.object(|reader, name| {
        if name.eq_ignore_ascii_case(b"labels") {
            labels.clear();
            reader.string_into(&mut labels)
        } else if name.eq_ignore_ascii_case(b"entries") {
            fill.go_back(begun);
            entries(fill, reader, legacy_entry)
        } else {
            reader.skip()
        }
    })?;
    fill.stream(begun, &labels);
    Ok(())
}

/// `{"ts": "<RFC 3339>", "line": "line", "structuredMetadata": {"name": "value"}}`
fn legacy_entry(fill: &mut Fill<'_>, reader: &mut Reader<'_>) -> Result<(), JsonError> {
    let begun = fill.mark();
    let mut at = Timestamp::new(0);
    let mut line = next_span(fill);
    reader.object(|reader, name| {
        if name.eq_ignore_ascii_case(b"ts") {
            at = rfc3339(reader)?;
        } else if name.eq_ignore_ascii_case(b"line") {
            line = string(fill, reader)?;
        } else if name.eq_ignore_ascii_case(b"structuredMetadata") {
            fill.forget_metadata(begun);
            if !reader.null()? {
                metadata(fill, reader)?;
            }
        } else {
            reader.skip()?;
        }
        Ok::<_, JsonError>(())
    })?;
    fill.entry(begun, at, line);
    Ok(())
}

fn rfc3339(reader: &mut Reader<'_>) -> Result<Timestamp, JsonError> {
    let text = reader.string()?;
    std::str::from_utf8(&text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| reader.error("timestamp is not an RFC 3339 time"))
}

/// Unescapes a string to the block's end.
fn string(fill: &mut Fill<'_>, reader: &mut Reader<'_>) -> Result<Span, JsonError> {
    let start = next_span(fill);
    reader.string_into(&mut fill.batch.block)?;
    Ok(until_now(fill, start))
}

/// The empty span at the block's end.
fn next_span(fill: &Fill<'_>) -> Span {
    // No string is longer unescaped than escaped, so the block is no longer than the text: shorter than 4 GiB.
    Span {
        start: fill.batch.block.len() as u32,
        len: 0,
    }
}

/// `span`, extended to the block's end.
fn until_now(fill: &Fill<'_>, span: Span) -> Span {
    Span {
        start: span.start,
        len: fill.batch.block.len() as u32 - span.start,
    }
}
