//! Recorded logs as `scan` and `replay` take them.
//!
//! - `unpack`: bytes of a file, out of gzip or zstd; `lines`: its lines; `forms`: what an entry is in which notation.
//! - `opened`: the entries of one file; `reading`, `streams`: what all files have in common, and what is told of them.

mod forms;
mod lines;
mod opened;
mod reading;
mod streams;
mod unpack;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, ValueEnum};

use self::opened::Opened;
use self::reading::Reading;
use crate::batch::{Batch, Stream};
use crate::push::{Limits, labels};
use crate::rules::RuleSet;
use crate::time::Timestamp;

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
    /// The line where it begins in the file, from 1; of a push request the place of the entry.
    pub(super) n: u64,
    pub(super) stream: Arc<Stream>,
    pub(super) at: Option<Timestamp>,
    /// As it would be sent, cut to what a push may hold.
    pub(super) line: Vec<u8>,
    pub(super) metadata: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Recorded {
    /// Adds the entry to `batch`, as the decoders of pushes do.
    pub(super) fn add_to(&self, batch: &mut Batch) {
        let at = self.at.unwrap_or_default();
        batch.push(&self.stream, at, &self.line, &self.metadata);
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
        let mut reading = self.reading(times, diagnostics)?;
        for source in self.sources() {
            let Some(mut opened) = source.open(&mut reading)? else {
                continue;
            };
            while let Some(entry) = opened.next(&mut reading)? {
                each(entry)?;
            }
        }
        reading.end(rules)
    }

    fn reading<'a, D: Write>(
        &self,
        times: Times,
        diagnostics: &'a mut D,
    ) -> anyhow::Result<Reading<'a, D>> {
        let limits = Limits::default();
        let added = self.labels.as_deref().unwrap_or_default();
        let added = labels::parse(added.as_bytes(), limits.labels_bytes_max).context("--labels")?;
        Ok(Reading::new(times, limits, added, diagnostics))
    }

    fn sources(&self) -> impl Iterator<Item = Source> {
        self.files.iter().map(|path| Source {
            name: path.display().to_string().into(),
            from: if path == Path::new("-") {
                Where::Pipe(Box::new(io::stdin()))
            } else {
                Where::File(path.clone())
            },
            input: self.input,
        })
    }
}

/// A file that has not been opened.
struct Source {
    name: Arc<str>,
    from: Where,
    input: Input,
}

enum Where {
    File(PathBuf),
    /// What can be read only once.
    Pipe(Box<dyn Read>),
}

impl Source {
    /// Opens it, to be read from the start. One that cannot be opened is told, and is `None`.
    fn open<D: Write>(self, reading: &mut Reading<'_, D>) -> anyhow::Result<Option<Opened>> {
        let name = Arc::clone(&self.name);
        match self.try_open(reading.limits()) {
            Ok(opened) => Ok(Some(opened)),
            Err(error) => {
                reading.fail(&name, None, &format!("cannot read it: {error}"))?;
                Ok(None)
            }
        }
    }

    fn try_open(self, limits: &Limits) -> io::Result<Opened> {
        let file: Box<dyn Read> = match self.from {
            Where::File(path) => Box::new(File::open(path)?),
            Where::Pipe(pipe) => pipe,
        };
        let reader = unpack::unpack(file)?;
        Ok(Opened::new(self.name, reader, self.input, limits))
    }
}

#[cfg(test)]
pub(super) mod tests;
