//! The entries of one file, one after another.

use std::collections::VecDeque;
use std::io::{BufRead, Read, Write};
use std::sync::Arc;

use super::forms::{Draft, Form};
use super::lines::Lines;
use super::reading::Reading;
use super::unpack::Packing;
use super::{Input, Recorded};
use crate::push::{Encoded, Form as PushForm, Interner, Limits, Scratch};

/// A file that is being read.
pub(super) struct Opened {
    name: Arc<str>,
    place: u32,
    packing: Packing,
    content: Content,
}

enum Content {
    Lines(Lines<Box<dyn BufRead>>, Form),
    /// A push request that has not been read.
    Push(Box<dyn BufRead>),
    /// What is left when all has been read.
    Rest(VecDeque<Piece>),
}

/// An entry without what all files have in common.
struct Piece {
    draft: Draft,
    metadata: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Opened {
    /// The file `name`, the `place`th of all, whose unpacked bytes `reader` gives.
    pub(super) fn new(
        name: Arc<str>,
        place: u32,
        packing: Packing,
        reader: Box<dyn BufRead>,
        input: Input,
        limits: &Limits,
    ) -> Self {
        let form = match input {
            Input::Raw => Some(Form::Raw),
            Input::Jsonl => Some(Form::Jsonl),
            Input::Cri => Some(Form::cri()),
            Input::Logcli => Some(Form::logcli()),
            Input::Push => None,
        };
        let content = match form {
            None => Content::Push(reader),
            Some(form) => {
                let bytes_max = match form {
                    Form::Raw => limits.line_bytes_max,
                    // A line in quotes and with labels is longer than the line itself.
                    _ => limits.body_bytes_max,
                };
                Content::Lines(Lines::new(reader, bytes_max), form)
            }
        };
        Self {
            name,
            place,
            packing,
            content,
        }
    }

    pub(super) fn packing(&self) -> Packing {
        self.packing
    }

    /// The next entry, `None` at the end. What cannot be read is told to `reading`, and left out.
    ///
    /// # Errors
    /// Only that it could not be told.
    pub(super) fn next<D: Write>(
        &mut self,
        reading: &mut Reading<'_, D>,
    ) -> anyhow::Result<Option<Recorded>> {
        while !reading.has_seen_enough() {
            let piece = match &mut self.content {
                Content::Lines(..) => self.line(reading)?,
                Content::Push(reader) => {
                    self.content = Content::Rest(push(&self.name, reader, reading)?);
                    None
                }
                Content::Rest(rest) => match rest.pop_front() {
                    Some(piece) => Some(piece),
                    None => return Ok(None),
                },
            };
            let Some(Piece { draft, metadata }) = piece else {
                continue;
            };
            if let Some(entry) = reading.entry(&self.name, self.place, draft, metadata)? {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// Reads one line, and what entry it completes. The last one leaves [`Content::Rest`].
    fn line<D: Write>(&mut self, reading: &mut Reading<'_, D>) -> anyhow::Result<Option<Piece>> {
        let Content::Lines(lines, form) = &mut self.content else {
            return Ok(None);
        };
        let ended = match lines.next() {
            Ok(Some(line)) => {
                let n = line.number;
                let fed = if line.cut && !matches!(form, Form::Raw) {
                    let limit = reading.limits().body_bytes_max;
                    Err(format!("longer than {limit} bytes"))
                } else {
                    form.feed(n, line.bytes)
                };
                lines.release();
                match fed {
                    Ok(draft) => return Ok(draft.map(Piece::without_metadata)),
                    Err(problem) => reading.refuse(&self.name, Some(n), &problem)?,
                }
                false
            }
            Ok(None) => true,
            Err(error) => {
                let problem = format!("cannot read on: {error}");
                reading.fail(&self.name, Some(lines.number() + 1), &problem)?;
                true
            }
        };
        if ended {
            let rest = std::mem::replace(form, Form::Raw).finish();
            let rest = rest.into_iter().map(Piece::without_metadata);
            self.content = Content::Rest(rest.collect());
        }
        Ok(None)
    }
}

impl Piece {
    fn without_metadata(draft: Draft) -> Self {
        Self {
            draft,
            metadata: Vec::new(),
        }
    }
}

/// The entries of a push request. A body that was packed with gzip has been unpacked like any file.
fn push<D: Write>(
    name: &Arc<str>,
    reader: &mut dyn BufRead,
    reading: &mut Reading<'_, D>,
) -> anyhow::Result<VecDeque<Piece>> {
    let limits = Limits {
        body_bytes_max: reading.limits().decompressed_bytes_max,
        ..reading.limits().clone()
    };
    let mut body = Vec::new();
    // One byte more than allowed is enough to see that it is too large.
    let bytes_max = limits.body_bytes_max as u64 + 1;
    if let Err(error) = reader.take(bytes_max).read_to_end(&mut body) {
        reading.fail(name, None, &format!("cannot read it: {error}"))?;
        return Ok(VecDeque::new());
    }
    let is_json = body.trim_ascii_start().first() == Some(&b'{');
    let content_type: &[u8] = if is_json {
        b"application/json"
    } else {
        b"application/x-protobuf"
    };
    let request = Encoded {
        tenant: &Arc::from(""),
        form: PushForm::V1,
        content_type: Some(content_type),
        content_encoding: None,
        body: &body,
    };
    let mut scratch = Scratch::default();
    let interner = Interner::new(limits.streams_interned_max);
    match scratch.decode(&request, &limits, &interner, &mut |_| true) {
        Err(error) => {
            reading.fail(name, None, &error.to_string())?;
            return Ok(VecDeque::new());
        }
        Ok(notes) if notes.labels_invalid > 0 => {
            let problem = "labels of some streams cannot be read; their lines have none";
            reading.refuse(name, None, problem)?;
        }
        Ok(_) => {}
    }
    let batch = scratch.batch();
    let mut pieces = VecDeque::new();
    for stream in &batch.streams {
        let entries = stream.entries.start as usize..stream.entries.end as usize;
        for entry in &batch.entries[entries] {
            let metadata = batch.metadata_of(entry);
            pieces.push_back(Piece {
                draft: Draft {
                    n: pieces.len() as u64 + 1,
                    labels: (*stream.stream.labels).clone(),
                    at: Some(entry.at),
                    line: batch.bytes(entry.line).to_vec(),
                },
                metadata: metadata
                    .map(|(name, value)| (name.to_vec(), value.to_vec()))
                    .collect(),
            });
        }
    }
    Ok(pieces)
}
