//! Recorded logs as `scan` and `replay` take them.
//!
//! - `unpack`: bytes of a file, out of gzip or zstd; `lines`: its lines; `forms`: what an entry is in which notation.
//! - `opened`: the entries of one file; `reading`, `streams`: what all files have in common, and what is told of them.
//! - `order`: the entries of all files in order of time, in memory that does not grow with them; `runs`: the same for entries in no
//!   order, through temporary files.

mod forms;
mod lines;
mod opened;
mod order;
mod reading;
mod runs;
mod streams;
mod unpack;

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, ValueEnum};

use self::opened::Opened;
use self::reading::Reading;
use super::progress::Console;
use crate::batch::{Batch, Stream};
use crate::push::{Limits, labels};
use crate::rules::RuleSet;
use crate::time::Timestamp;

pub(super) use self::order::{InOrder, Sorting, Span};

/// Recorded logs, and the rules to try on them.
#[derive(Debug, Clone, Args)]
pub struct InputArgs {
    /// Rule file or directory; may be given several times [default: the rules that ship with trommel]
    #[arg(long, value_name = "PATH")]
    pub rules: Vec<PathBuf>,
    /// What the files hold
    #[arg(long, value_enum, default_value_t)]
    pub input: Input,
    /// Labels that lines have besides their own, such as '{namespace="shop", app="api"}'
    #[arg(long, value_name = "LABELS")]
    pub labels: Option<String>,
    /// Files to read, also packed with gzip or zstd; `-` is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    pub files: Vec<PathBuf>,
}

/// What a file of recorded logs holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Input {
    /// One line of log each, perhaps with an RFC 3339 time in front
    #[default]
    Raw,
    /// One object each: {"labels":{…},"line":"…","ts":"RFC 3339, optional"}
    Jsonl,
    /// Lines as a container runtime writes them: time, stream, F or P, message. Read as by Alloy's stage.cri
    Cri,
    /// One push request's body, protobuf or JSON, as Alloy sends it
    Push,
    /// What `logcli query` prints. Best with --output=jsonl (whole seconds otherwise) and --include-common-labels
    Logcli,
}

/// One entry that was read.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    /// The file as it was named.
    pub(super) file: Arc<str>,
    /// Its place among the files.
    input: u32,
    /// The line where it begins in the file, from 1; of a push request the place of the entry.
    pub(super) n: u64,
    pub(super) stream: Arc<Stream>,
    pub(super) at: Option<Timestamp>,
    /// As it would be sent, cut to what a push may hold.
    pub(super) line: Vec<u8>,
    pub(super) metadata: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The order of entries: by time; those of one time in the order of files, and of a file in its own.
type Place = (Timestamp, u32, u64);

impl Recorded {
    /// Adds the entry to `batch`, as the decoders of pushes do.
    pub(super) fn add_to(&self, batch: &mut Batch) {
        let at = self.at.unwrap_or_default();
        batch.push(&self.stream, at, &self.line, &self.metadata);
    }

    fn place(&self) -> Place {
        (self.at.unwrap_or_default(), self.input, self.n)
    }

    /// Roughly the memory that it takes. Labels count in full, as if no other entry had the same.
    fn held_bytes(&self) -> usize {
        let labels = self.stream.labels.iter();
        let labels: usize = labels.map(|(name, value)| name.len() + value.len()).sum();
        let metadata = self.metadata.iter();
        let metadata: usize = metadata
            .map(|(name, value)| name.capacity() + value.capacity())
            .sum();
        size_of::<Self>() + self.line.capacity() + labels + metadata
    }
}

/// Whether entries need a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    Optional,
    Needed,
}

impl InputArgs {
    /// Reads the files, one after another, and hands each entry to `each`. Only one entry and one push request are in memory.
    ///
    /// What cannot be read is told to `diagnostics`, with its place, and left out.
    ///
    /// # Errors
    /// Labels that are none, what `each` returns, and at the end that a file could not be read, or nothing at all.
    pub(super) fn read<D: Write>(
        &self,
        rules: &RuleSet,
        times: Times,
        diagnostics: &mut D,
        each: &mut dyn FnMut(Recorded) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut reading = self.reading(times, Console::plain(diagnostics))?;
        for source in self.sources() {
            let Some(mut opened) = source.open(&Rc::default(), &mut reading)? else {
                continue;
            };
            while let Some(entry) = opened.next(&mut reading)? {
                each(entry)?;
            }
        }
        reading.end(rules)
    }

    /// The entries of all files whose times lie in `span`, in order of time.
    ///
    /// # Errors
    /// Labels that are none, and what [`InOrder::new`] returns.
    pub(super) fn in_order<'a, D: Write>(
        &self,
        span: Span,
        sorting: Sorting,
        console: Console<'a, D>,
    ) -> anyhow::Result<InOrder<'a, D>> {
        let reading = self.reading(Times::Needed, console)?;
        InOrder::new(self.sources(), span, sorting, reading)
    }

    fn reading<'a, D: Write>(
        &self,
        times: Times,
        console: Console<'a, D>,
    ) -> anyhow::Result<Reading<'a, D>> {
        let limits = Limits::default();
        let added = self.labels.as_deref().unwrap_or_default();
        let added = labels::parse(added.as_bytes(), limits.labels_bytes_max).context("--labels")?;
        Ok(Reading::new(times, limits, added, console))
    }

    fn sources(&self) -> Vec<Source> {
        let sources = self.files.iter().enumerate();
        sources
            .map(|(place, path)| Source {
                name: path.display().to_string().into(),
                // More arguments than that no system passes.
                place: place as u32,
                from: if path == Path::new("-") {
                    Where::Pipe(Box::new(io::stdin()))
                } else {
                    Where::File(path.clone())
                },
                input: self.input,
            })
            .collect()
    }
}

/// A file that has not been opened.
struct Source {
    name: Arc<str>,
    place: u32,
    from: Where,
    input: Input,
}

enum Where {
    File(PathBuf),
    /// What can be read only once.
    Pipe(Box<dyn Read>),
}

impl Source {
    /// How many bytes there are, if that is known; then it can also be read another time.
    fn bytes(&self) -> Option<u64> {
        match &self.from {
            Where::File(path) => {
                let metadata = fs::metadata(path).ok()?;
                metadata.is_file().then_some(metadata.len())
            }
            Where::Pipe(_) => None,
        }
    }

    /// Opens it, to be read from the start. What has been read of it is counted in `read`, packed as it is.
    /// One that cannot be opened is told, and is `None`.
    fn open<D: Write>(
        self,
        read: &Rc<Cell<u64>>,
        reading: &mut Reading<'_, D>,
    ) -> anyhow::Result<Option<Opened>> {
        let name = Arc::clone(&self.name);
        match self.try_open(read, reading.limits()) {
            Ok(opened) => Ok(Some(opened)),
            Err(error) => {
                reading.fail(&name, None, &format!("cannot read it: {error}"))?;
                Ok(None)
            }
        }
    }

    fn try_open(self, read: &Rc<Cell<u64>>, limits: &Limits) -> io::Result<Opened> {
        let file: Box<dyn Read> = match self.from {
            Where::File(path) => Box::new(File::open(path)?),
            Where::Pipe(pipe) => pipe,
        };
        let (packing, reader) = unpack::unpack(file, Rc::clone(read))?;
        Ok(Opened::new(
            self.name, self.place, packing, reader, self.input, limits,
        ))
    }

    /// The same file, to be opened another time.
    fn again(&self) -> Option<Self> {
        match &self.from {
            Where::File(path) => Some(Self {
                name: Arc::clone(&self.name),
                place: self.place,
                from: Where::File(path.clone()),
                input: self.input,
            }),
            Where::Pipe(_) => None,
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
