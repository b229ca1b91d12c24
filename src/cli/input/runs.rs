//! Entries in no order put in order of time, however many there are: sorted runs in temporary files, merged.
//!
//! Holds [`RunLimits::run_bytes`] of entries, and a read buffer for each run that is merged. On disk are as many bytes as the
//! entries have with their labels, in files without a name that are gone with the process, however it ends.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::iter::Peekable;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::vec;

use anyhow::Context;

use super::streams::Streams;
use super::{Place, Recorded};
use crate::batch::Labels;
use crate::push::Limits;
use crate::time::Timestamp;

/// How much is held, and how many files there are.
#[derive(Debug, Clone)]
pub(super) struct RunLimits {
    /// Memory of the entries that are held until they become a run.
    pub(super) run_bytes: usize,
    /// When there are so many runs of one size, they become one; at least two.
    pub(super) fan_in: usize,
    /// Where the files are.
    pub(super) directory: PathBuf,
}

impl RunLimits {
    /// 64 MiB held, and 64 runs of a size: what is written is 4 GiB once, 256 GiB twice, 16 TiB three times, with at most
    /// 190 files open.
    pub(super) fn usual() -> Self {
        Self {
            run_bytes: 64 << 20,
            fan_in: 64,
            directory: std::env::temp_dir(),
        }
    }

    fn problem(&self) -> String {
        let directory = self.directory.display();
        format!("cannot sort through temporary files in {directory}, which TMPDIR names")
    }
}

/// Takes entries in any order.
pub(super) struct Sorter {
    limits: RunLimits,
    /// The names of the files that entries are from.
    names: BTreeMap<u32, Arc<str>>,
    held: Vec<Recorded>,
    held_bytes: usize,
    /// Runs by size: one of a level was merged from all of the level before.
    levels: Vec<Vec<Run>>,
}

impl Sorter {
    pub(super) fn new(limits: RunLimits) -> Self {
        Self {
            limits,
            names: BTreeMap::new(),
            held: Vec::new(),
            held_bytes: 0,
            levels: Vec::new(),
        }
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// When a temporary file cannot be written.
    pub(super) fn add(&mut self, entry: Recorded) -> anyhow::Result<()> {
        self.held_bytes += entry.held_bytes();
        self.held.push(entry);
        if self.held_bytes >= self.limits.run_bytes {
            self.spill().with_context(|| self.limits.problem())?;
        }
        Ok(())
    }

    /// The entries in order of time. What is read of temporary files is counted in `read`.
    ///
    /// # Errors
    /// When a temporary file cannot be read.
    pub(super) fn finish(mut self, read: &Rc<Cell<u64>>) -> anyhow::Result<Sorted> {
        self.held.sort_unstable_by_key(Recorded::place);
        let problem = self.limits.problem();
        let runs: Vec<Run> = self.levels.into_iter().flatten().collect();
        Ok(Sorted {
            bytes: runs.iter().map(|run| run.bytes).sum(),
            merge: Merge::new(runs, read).context(problem.clone())?,
            held: self.held.into_iter().peekable(),
            names: self.names,
            streams: Streams::new(Limits::DEFAULT.streams_interned_max),
            problem,
        })
    }

    /// Makes a run of what is held.
    fn spill(&mut self) -> io::Result<()> {
        self.held.sort_unstable_by_key(Recorded::place);
        self.held_bytes = 0;
        let mut writer = RunWriter::new(&self.limits.directory)?;
        let mut record = Vec::new();
        for entry in self.held.drain(..) {
            encode(&entry, &mut record);
            writer.write(&record)?;
            self.names.entry(entry.input).or_insert(entry.file);
        }
        self.keep(writer.finish()?, 0)
    }

    /// Keeps a run, and merges those of its level when they are many.
    fn keep(&mut self, run: Run, level: usize) -> io::Result<()> {
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        self.levels[level].push(run);
        if self.levels[level].len() < self.limits.fan_in {
            return Ok(());
        }
        let runs = std::mem::take(&mut self.levels[level]);
        let mut merge = Merge::new(runs, &Rc::default())?;
        let mut writer = RunWriter::new(&self.limits.directory)?;
        while let Some(record) = merge.next()? {
            writer.write(record)?;
        }
        self.keep(writer.finish()?, level + 1)
    }
}

/// What a [`Sorter`] took, in order of time.
pub(super) struct Sorted {
    merge: Merge,
    bytes: u64,
    held: Peekable<vec::IntoIter<Recorded>>,
    names: BTreeMap<u32, Arc<str>>,
    /// By the labels as they are written.
    streams: Streams<Box<[u8]>>,
    problem: String,
}

impl Sorted {
    /// How many bytes of temporary files are there to read.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The place of the next entry.
    pub(super) fn peek(&mut self) -> Option<Place> {
        let held = self.held.peek().map(Recorded::place);
        held.into_iter().chain(self.merge.peek()).min()
    }

    /// The next entry.
    ///
    /// # Errors
    /// When a temporary file cannot be read.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Recorded>> {
        let next = self.peek();
        if let Some(held) = self.held.next_if(|held| Some(held.place()) == next) {
            return Ok(Some(held));
        }
        let Some(record) = self.merge.next().context(self.problem.clone())? else {
            return Ok(None);
        };
        decode(record, &self.names, &mut self.streams)
            .context("a temporary file does not hold what was written to it")
            .map(Some)
    }
}

/// Entries in order of time, in a file.
struct Run {
    file: File,
    bytes: u64,
}

struct RunWriter {
    writer: BufWriter<File>,
    bytes: u64,
}

/// Buffer of a file that is written or read.
const BUFFER_BYTES: usize = 64 << 10;

impl RunWriter {
    fn new(directory: &Path) -> io::Result<Self> {
        Ok(Self {
            writer: BufWriter::with_capacity(BUFFER_BYTES, nameless_file(directory)?),
            bytes: 0,
        })
    }

    fn write(&mut self, record: &[u8]) -> io::Result<()> {
        // A record is an entry, whose parts are bounded far below 4 GiB.
        self.writer
            .write_all(&(record.len() as u32).to_le_bytes())?;
        self.writer.write_all(record)?;
        self.bytes += 4 + record.len() as u64;
        Ok(())
    }

    fn finish(self) -> io::Result<Run> {
        let mut file = self.writer.into_inner()?;
        file.rewind()?;
        Ok(Run {
            file,
            bytes: self.bytes,
        })
    }
}

/// A file that only this process can reach, and that is gone when it is closed: log lines are nobody else's affair.
fn nameless_file(directory: &Path) -> io::Result<File> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = directory.join(format!("trommel-{}-{count}.run", std::process::id()));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        match options.open(&path) {
            Ok(file) => {
                fs::remove_file(&path)?;
                return Ok(file);
            }
            // Left behind by a process that had this number and was killed just then.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// The records of several runs, in order.
struct Merge {
    runs: Vec<RunReader>,
    heads: BinaryHeap<Reverse<(Place, usize)>>,
    /// The record given last.
    record: Vec<u8>,
    read: Rc<Cell<u64>>,
}

struct RunReader {
    reader: BufReader<File>,
    left: u64,
    /// The next record, unless there is none.
    record: Vec<u8>,
}

impl Merge {
    fn new(runs: Vec<Run>, read: &Rc<Cell<u64>>) -> io::Result<Self> {
        let mut merge = Self {
            runs: Vec::new(),
            heads: BinaryHeap::new(),
            record: Vec::new(),
            read: Rc::clone(read),
        };
        for Run { file, bytes } in runs {
            merge.runs.push(RunReader {
                reader: BufReader::with_capacity(BUFFER_BYTES, file),
                left: bytes,
                record: Vec::new(),
            });
            merge.advance(merge.runs.len() - 1)?;
        }
        Ok(merge)
    }

    fn peek(&self) -> Option<Place> {
        self.heads.peek().map(|Reverse((place, _))| *place)
    }

    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        let Some(Reverse((_, run))) = self.heads.pop() else {
            return Ok(None);
        };
        std::mem::swap(&mut self.record, &mut self.runs[run].record);
        self.advance(run)?;
        Ok(Some(&self.record))
    }

    /// Reads the next record of a run.
    fn advance(&mut self, run: usize) -> io::Result<()> {
        let reader = &mut self.runs[run];
        if reader.left == 0 {
            return Ok(());
        }
        let mut length = [0; 4];
        reader.reader.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length) as usize;
        reader.record.resize(length, 0);
        reader.reader.read_exact(&mut reader.record)?;
        let bytes = 4 + length as u64;
        reader.left = reader.left.saturating_sub(bytes);
        self.read.set(self.read.get() + bytes);
        let place = place(&mut &*reader.record).ok_or(io::ErrorKind::InvalidData)?;
        self.heads.push(Reverse((place, run)));
        Ok(())
    }
}

/// Writes an entry: its place, its labels as one piece, its line, its metadata. A piece is its length and its bytes.
fn encode(entry: &Recorded, record: &mut Vec<u8>) {
    let (at, input, n) = entry.place();
    record.clear();
    record.extend_from_slice(&at.nanos().to_le_bytes());
    record.extend_from_slice(&input.to_le_bytes());
    record.extend_from_slice(&n.to_le_bytes());
    let labels_at = record.len();
    put(record, b"");
    for (name, value) in entry.stream.labels.iter() {
        put(record, name.as_bytes());
        put(record, value.as_bytes());
    }
    let length = (record.len() - labels_at - 4) as u32;
    record[labels_at..labels_at + 4].copy_from_slice(&length.to_le_bytes());
    put(record, &entry.line);
    for (name, value) in &entry.metadata {
        put(record, name);
        put(record, value);
    }
}

fn put(record: &mut Vec<u8>, piece: &[u8]) {
    record.extend_from_slice(&(piece.len() as u32).to_le_bytes());
    record.extend_from_slice(piece);
}

/// Reads what [`encode`] has written; `None` if it is anything else.
fn decode(
    mut record: &[u8],
    names: &BTreeMap<u32, Arc<str>>,
    streams: &mut Streams<Box<[u8]>>,
) -> Option<Recorded> {
    let (at, input, n) = place(&mut record)?;
    let labels = take(&mut record)?;
    let stream = match streams.get(labels) {
        Some(known) => known,
        None => {
            let mut rest = labels;
            let mut pairs: Vec<(Box<str>, Box<str>)> = Vec::new();
            while !rest.is_empty() {
                let (name, value) = (take(&mut rest)?, take(&mut rest)?);
                let text = |bytes| std::str::from_utf8(bytes).ok().map(Box::from);
                pairs.push((text(name)?, text(value)?));
            }
            streams.make(labels.into(), labels.len(), Labels::new(pairs))
        }
    };
    let line = take(&mut record)?.to_vec();
    let mut metadata = Vec::new();
    while !record.is_empty() {
        let (name, value) = (take(&mut record)?, take(&mut record)?);
        metadata.push((name.to_vec(), value.to_vec()));
    }
    Some(Recorded {
        file: Arc::clone(names.get(&input)?),
        input,
        n,
        stream,
        at: Some(at),
        line,
        metadata,
    })
}

fn place(record: &mut &[u8]) -> Option<Place> {
    let at = i64::from_le_bytes(*number(record)?);
    let input = u32::from_le_bytes(*number(record)?);
    Some((
        Timestamp::new(at),
        input,
        u64::from_le_bytes(*number(record)?),
    ))
}

fn take<'a>(record: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_le_bytes(*number(record)?) as usize;
    let (piece, rest) = record.split_at_checked(length)?;
    *record = rest;
    Some(piece)
}

fn number<'a, const N: usize>(record: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (number, rest) = record.split_first_chunk()?;
    *record = rest;
    Some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::Stream;

    fn entry(at: i64, input: u32, n: u64, text: &str) -> Recorded {
        let labels = Labels::new([("text".into(), text.into())]);
        Recorded {
            file: format!("file {input}").into(),
            input,
            n,
            stream: Arc::new(Stream::new(Arc::from(""), labels)),
            at: Some(Timestamp::new(at)),
            line: text.as_bytes().to_vec(),
            metadata: vec![(b"trace".to_vec(), text.as_bytes().to_vec())],
        }
    }

    type Shown = (Place, String, Stream, Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>);

    fn shown(entry: &Recorded) -> Shown {
        let stream = Stream::new(Arc::from(""), (*entry.stream.labels).clone());
        let (line, metadata) = (entry.line.clone(), entry.metadata.clone());
        (
            entry.place(),
            entry.file.to_string(),
            stream,
            line,
            metadata,
        )
    }

    fn limits(run_bytes: usize, fan_in: usize) -> RunLimits {
        RunLimits {
            run_bytes,
            fan_in,
            ..RunLimits::usual()
        }
    }

    /// The entries in the order in which they come out, and how many bytes were on disk.
    fn sorted(entries: &[Recorded], limits: RunLimits) -> (Vec<Shown>, u64) {
        let run_bytes = limits.run_bytes;
        let mut sorter = Sorter::new(limits);
        for entry in entries {
            sorter.add(entry.clone()).expect("there is room on disk");
            assert!(sorter.held_bytes < run_bytes);
            let open: usize = sorter.levels.iter().map(Vec::len).sum();
            assert!(open <= sorter.levels.len() * (sorter.limits.fan_in - 1));
        }
        let read = Rc::default();
        let mut sorted = sorter.finish(&read).expect("it was written");
        let bytes = sorted.bytes();
        let mut out = Vec::new();
        while let Some(place) = sorted.peek() {
            let entry = sorted.next().expect("it was written").expect("it is there");
            assert_eq!(entry.place(), place);
            out.push(shown(&entry));
        }
        assert!(sorted.next().expect("it was written").is_none());
        assert_eq!(read.get(), bytes, "all of it was read");
        (out, bytes)
    }

    proptest! {
        #[test]
        fn what_comes_out_is_what_went_in_in_order_of_time_file_and_line(
            entries in prop::collection::vec((-9i64..9, 0u32..4, "[a-zé\"]{0,9}"), 0..60),
            run_bytes in 1usize..3000, fan_in in 2usize..5,
        ) {
            let entries: Vec<_> = entries.iter().enumerate()
                .map(|(n, (at, input, text))| entry(*at, *input, n as u64, text))
                .collect();
            let mut expected: Vec<_> = entries.iter().map(shown).collect();
            expected.sort_by_key(|(place, ..)| *place);
            let (out, _) = sorted(&entries, limits(run_bytes, fan_in));
            prop_assert_eq!(out, expected);
        }
    }

    #[test]
    fn few_entries_never_touch_the_disk() {
        let entries = [entry(2, 0, 1, "b"), entry(1, 0, 2, "a")];
        let limits = RunLimits {
            directory: PathBuf::from("/nowhere"),
            ..RunLimits::usual()
        };
        let (out, bytes) = sorted(&entries, limits);
        assert_eq!((out.len(), bytes), (2, 0));
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_named() {
        let mut sorter = Sorter::new(RunLimits {
            directory: PathBuf::from("/nowhere"),
            ..limits(1, 2)
        });
        let error = sorter.add(entry(1, 0, 1, "a")).expect_err("no directory");
        assert_eq!(
            error.to_string(),
            "cannot sort through temporary files in /nowhere, which TMPDIR names"
        );
    }

    #[test]
    fn runs_leave_no_name_behind() {
        let directory = std::env::temp_dir().join(format!("trommel-runs-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        let mut sorter = Sorter::new(RunLimits {
            directory: directory.clone(),
            ..limits(1, 3)
        });
        for n in 0..20 {
            sorter
                .add(entry(-n, 0, n as u64, "x"))
                .expect("there is room on disk");
        }
        let names = fs::read_dir(&directory).expect("a directory").count();
        fs::remove_dir_all(&directory).expect("it is ours");
        assert_eq!(names, 0);
    }

    #[test]
    fn what_is_no_entry_is_not_read_as_one() {
        let mut record = Vec::new();
        encode(&entry(1, 2, 3, "text"), &mut record);
        let names = BTreeMap::from([(2, Arc::from("f"))]);
        let read = |record: &[u8]| decode(record, &names, &mut Streams::new(9));
        assert!(read(&record).is_some());
        // Without its metadata it is a whole entry, too.
        let whole = record.len() - (4 + 5 + 4 + 4);
        for length in (0..record.len()).filter(|length| *length != whole) {
            assert!(read(&record[..length]).is_none(), "{length}");
        }
    }
}
