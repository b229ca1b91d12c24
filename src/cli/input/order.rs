//! The entries of all files in order of time, in memory that does not grow with them.
//!
//! Files are mostly in order, so they are merged as they are read. Each has a buffer in which lines that come somewhat late find
//! their place; together these hold [`OrderLimits::buffer_bytes`]. A file is opened when the log has come to its first line, so
//! any number of rotated files may be given; those that are open at once are bounded too ([`OrderLimits::side_by_side`]).
//!
//! What cannot be merged is sorted through temporary files first ([`super::runs`]): a file whose first lines show that it runs
//! backwards, as `logcli` prints it; push requests, whose streams follow one another; the files that are left when too many
//! would be open; and everything, if asked for.
//!
//! What is further out of order than its buffer holds, and did not show that before, is refused with the line that shows it:
//! nothing that was replayed can be taken back.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use super::opened::Opened;
use super::reading::Reading;
use super::runs::{RunLimits, Sorted, Sorter};
use super::unpack::Packing;
use super::{Input, Place, Recorded, Source};
use crate::cli::progress::Console;
use crate::rules::RuleSet;
use crate::time::Timestamp;

/// Which times are wanted: from the first on, up to but not including the second.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::cli) struct Span {
    pub(in crate::cli) from: Option<Timestamp>,
    pub(in crate::cli) to: Option<Timestamp>,
}

impl Span {
    fn has_begun(self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| at >= from)
    }

    fn is_over(self, at: Timestamp) -> bool {
        self.to.is_some_and(|to| at >= to)
    }
}

/// How entries are put in order.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Sorting {
    /// Whether everything is sorted through temporary files, whatever order it seems to have.
    pub(in crate::cli) all: bool,
    pub(super) limits: OrderLimits,
}

impl Sorting {
    pub(in crate::cli) fn usual(all: bool) -> Self {
        Self {
            all,
            limits: OrderLimits::usual(),
        }
    }
}

/// How much is held and open at once.
#[derive(Debug, Clone)]
pub(super) struct OrderLimits {
    /// Memory of the entries that are held for the sake of order, of all files together.
    pub(super) buffer_bytes: usize,
    /// Files that are open at once. One packed with zstd counts as [`ZSTD_WEIGHT`]: its window is some MiB.
    pub(super) side_by_side: usize,
    /// Entries of a file that tell which way it runs.
    pub(super) look_entries: usize,
    pub(super) runs: RunLimits,
}

impl OrderLimits {
    /// 32 MiB of entries: some hundred thousand lines of one file, or a thousand of each of 128.
    pub(super) fn usual() -> Self {
        Self {
            buffer_bytes: 32 << 20,
            // With the temporary files far below the 1024 that a process may mostly open.
            side_by_side: 128,
            look_entries: 1000,
            runs: RunLimits::usual(),
        }
    }
}

const ZSTD_WEIGHT: usize = 8;

/// Memory of the entries that tell which way a file runs.
const LOOK_BYTES: usize = 1 << 20;

/// How long before its first line is due a file is opened: lines after that one may belong before it.
const AHEAD: Duration = Duration::from_secs(600);

/// Gives entries in order of time.
pub(in crate::cli) struct InOrder<'a, D> {
    reading: Reading<'a, D>,
    span: Span,
    limits: OrderLimits,
    /// What one file may hold of [`OrderLimits::buffer_bytes`].
    share: usize,
    /// Files that are not open yet, the next one last.
    waiting: Vec<Waiting>,
    /// Those that are; `None` after their last entry.
    merging: Vec<Option<Merging>>,
    /// What each of `merging` gives next, by its place there.
    heads: BinaryHeap<Reverse<(Place, usize)>>,
    /// The time of the entry that was given last.
    last: Option<Timestamp>,
    /// Bytes that were read, of so many.
    read: Rc<Cell<u64>>,
    total: Option<u64>,
}

/// A file before it is merged.
struct Waiting {
    /// The earliest of its first entries; without any it is due at once.
    first: Option<Timestamp>,
    bytes: Option<u64>,
    content: Unread,
}

enum Unread {
    Closed(Source),
    /// A pipe whose first entries have been read.
    Open(Opened, Vec<Recorded>),
}

impl<'a, D: Write> InOrder<'a, D> {
    /// Looks at all files, and sorts those that have to be.
    ///
    /// # Errors
    /// When temporary files are needed and cannot be written, and when diagnostics cannot be.
    pub(super) fn new(
        sources: Vec<Source>,
        span: Span,
        sorting: Sorting,
        mut reading: Reading<'a, D>,
    ) -> anyhow::Result<Self> {
        let Sorting { all, limits } = sorting;
        let read = Rc::default();
        let (mut waiting, mut unordered) = (Vec::new(), Vec::new());
        for source in sources {
            if all || source.input == Input::Push {
                unordered.push(Waiting::closed(source));
                continue;
            }
            match look(source, &limits, &read, &mut reading)? {
                Some((file, Runs::Forward)) => waiting.push(file),
                Some((file, Runs::Otherwise)) => unordered.push(file),
                None => {}
            }
        }
        // Taken from the end: the earliest, of several the one given first.
        waiting.reverse();
        waiting.sort_by_key(|file| Reverse(file.first));
        let open = waiting.len().clamp(1, limits.side_by_side);
        let mut in_order = Self {
            reading,
            span,
            share: limits.buffer_bytes / open,
            limits,
            waiting,
            merging: Vec::new(),
            heads: BinaryHeap::new(),
            last: None,
            read,
            total: None,
        };
        let mut written = 0;
        if !unordered.is_empty() {
            in_order.begin("sorting ", total(&unordered));
            written = in_order.sort(unordered)?;
        }
        let total = total(&in_order.waiting).map(|bytes| bytes + written);
        in_order.begin("", total);
        Ok(in_order)
    }

    /// The next entry in order of time; `None` at the end of the wanted times.
    ///
    /// # Errors
    /// When a line comes too late to be put in order, temporary files cannot be used, or diagnostics cannot be written.
    pub(in crate::cli) fn next(&mut self) -> anyhow::Result<Option<Recorded>> {
        while self.waiting.last().is_some_and(|file| self.is_due(file)) {
            self.open_next()?;
        }
        let Some(Reverse(((at, ..), place))) = self.heads.pop() else {
            return Ok(None);
        };
        if self.span.is_over(at) {
            // All that is left is as late, or later.
            self.waiting.clear();
            self.merging.clear();
            self.heads.clear();
            return Ok(None);
        }
        let next = match &mut self.merging[place] {
            Some(Merging::Buffered(buffered)) => {
                let next = buffered.next();
                buffered.fill(self.span, &mut self.reading)?;
                next
            }
            Some(Merging::Sorted(sorted)) => sorted.next()?,
            None => None,
        };
        let entry = next.expect("a head is what its file gives next");
        self.peek(place);
        if let Some(last) = self.last.filter(|last| at < *last) {
            anyhow::bail!(
                "{}:{}: {at} is earlier than {last}, up to where the log has been replayed: lines are further out of order \
                 than {} bytes can put right; give --sort, or leave out what is earlier with --from",
                entry.file,
                entry.n,
                self.share,
            );
        }
        self.last = Some(at);
        self.reading.reached(at)?;
        Ok(Some(entry))
    }

    /// What else goes to stderr goes there by this.
    pub(in crate::cli) fn console(&mut self) -> &mut Console<'a, D> {
        self.reading.console()
    }

    /// Tells what was wrong with the files as a whole.
    ///
    /// # Errors
    /// When a file could not be read to its end, or nothing at all.
    pub(in crate::cli) fn end(mut self, rules: &RuleSet) -> anyhow::Result<()> {
        if self.last.is_none() && (self.span.from.is_some() || self.span.to.is_some()) {
            let note = "note: no line lies between --from and --to";
            self.console().say(note)?;
        }
        self.reading.end(rules)
    }

    fn begin(&mut self, what: &'static str, total: Option<u64>) {
        self.read.set(0);
        self.total = total;
        self.reading.console().begin(what, &self.read, total);
    }

    fn is_due(&self, file: &Waiting) -> bool {
        match (file.first, self.heads.peek()) {
            (Some(first), Some(Reverse(((next, ..), _)))) => first.minus(AHEAD) <= *next,
            _ => true,
        }
    }

    /// Opens the file that is due next. If that is one too many, it and all that wait are sorted, and are one.
    fn open_next(&mut self) -> anyhow::Result<()> {
        let Some(next) = self.waiting.pop() else {
            return Ok(());
        };
        let Some((opened, head)) = next.open(&self.read, &mut self.reading)? else {
            return Ok(());
        };
        let open: usize = self.merging.iter().flatten().map(Merging::weight).sum();
        if open > 0 && open + weight(opened.packing()) > self.limits.side_by_side {
            let mut rest = std::mem::take(&mut self.waiting);
            rest.push(Waiting::open_already(opened, head));
            let written = self.sort(rest)?;
            self.total = self.total.map(|total| total + written);
            self.reading.console().begin("", &self.read, self.total);
            return Ok(());
        }
        let mut buffered = Buffered::new(opened, self.share);
        head.into_iter()
            .for_each(|entry| buffered.take(entry, self.span));
        buffered.fill(self.span, &mut self.reading)?;
        self.merge(Merging::Buffered(Box::new(buffered)));
        Ok(())
    }

    /// Sorts files, and merges the outcome with the others. Tells how much of it is on disk.
    fn sort(&mut self, files: Vec<Waiting>) -> anyhow::Result<u64> {
        let span = self.span;
        let mut sorter = Sorter::new(self.limits.runs.clone());
        let mut add = |entry: Recorded| {
            let at = entry.at.unwrap_or_default();
            if span.has_begun(at) && !span.is_over(at) {
                sorter.add(entry)?;
            }
            anyhow::Ok(())
        };
        for file in files {
            let Some((mut opened, head)) = file.open(&self.read, &mut self.reading)? else {
                continue;
            };
            head.into_iter().try_for_each(&mut add)?;
            while let Some(entry) = opened.next(&mut self.reading)? {
                add(entry)?;
            }
        }
        let sorted = sorter.finish(&self.read)?;
        let written = sorted.bytes();
        self.merge(Merging::Sorted(Box::new(sorted)));
        Ok(written)
    }

    fn merge(&mut self, merging: Merging) {
        self.merging.push(Some(merging));
        self.peek(self.merging.len() - 1);
    }

    /// Finds out what one of `merging` gives next; one that gives nothing more is closed.
    fn peek(&mut self, place: usize) {
        let next = match &mut self.merging[place] {
            Some(Merging::Buffered(buffered)) => buffered.peek(),
            Some(Merging::Sorted(sorted)) => sorted.peek(),
            None => None,
        };
        match next {
            Some(next) => self.heads.push(Reverse((next, place))),
            None => self.merging[place] = None,
        }
    }
}

fn total(files: &[Waiting]) -> Option<u64> {
    files.iter().map(|file| file.bytes).sum()
}

fn weight(packing: Packing) -> usize {
    match packing {
        Packing::Plain | Packing::Gzip => 1,
        Packing::Zstd => ZSTD_WEIGHT,
    }
}

impl Waiting {
    fn closed(source: Source) -> Self {
        Self {
            first: None,
            bytes: source.bytes(),
            content: Unread::Closed(source),
        }
    }

    /// A file that has been opened and counted.
    fn open_already(opened: Opened, head: Vec<Recorded>) -> Self {
        Self {
            first: None,
            bytes: None,
            content: Unread::Open(opened, head),
        }
    }

    /// The file, and the entries of it that have been read; `None` if it cannot be opened.
    fn open<D: Write>(
        self,
        read: &Rc<Cell<u64>>,
        reading: &mut Reading<'_, D>,
    ) -> anyhow::Result<Option<(Opened, Vec<Recorded>)>> {
        match self.content {
            Unread::Closed(source) => {
                let opened = source.open(read, reading)?;
                Ok(opened.map(|opened| (opened, Vec::new())))
            }
            Unread::Open(opened, head) => Ok(Some((opened, head))),
        }
    }
}

/// Which way a file runs, as far as its first entries show.
enum Runs {
    Forward,
    /// Backward, or they have all the same time.
    Otherwise,
}

/// Reads the first entries of a file: when does it begin, and which way does it run? What can be read again is closed, what
/// cannot be opened is told and is `None`.
fn look<D: Write>(
    source: Source,
    limits: &OrderLimits,
    read: &Rc<Cell<u64>>,
    reading: &mut Reading<'_, D>,
) -> anyhow::Result<Option<(Waiting, Runs)>> {
    let bytes = source.bytes();
    // What is wrong with a file that is read again is told then, and what is read of it counted.
    let again = bytes.and_then(|_| source.again());
    reading.look(again.is_some());
    let unread = Rc::default();
    let counted = if again.is_some() { &unread } else { read };
    let mut opened = source.open(counted, reading)?;
    let (mut head, mut held_bytes, mut is_whole) = (Vec::new(), 0, false);
    if let Some(opened) = &mut opened {
        while head.len() < limits.look_entries && held_bytes < LOOK_BYTES {
            let Some(entry) = opened.next(reading)? else {
                is_whole = true;
                break;
            };
            held_bytes += entry.held_bytes();
            head.push(entry);
        }
    }
    reading.look(false);

    let times = || head.iter().filter_map(|entry| entry.at);
    let first = times().min();
    let runs = match (times().next(), times().next_back()) {
        (Some(begin), Some(end)) if end < begin => Runs::Otherwise,
        // `logcli` may print a whole second's lines in front.
        (Some(begin), Some(end)) if end == begin && !is_whole => Runs::Otherwise,
        _ => Runs::Forward,
    };
    let content = match (again, opened) {
        (Some(again), _) => Unread::Closed(again),
        (None, Some(opened)) => Unread::Open(opened, head),
        (None, None) => return Ok(None),
    };
    let file = Waiting {
        first,
        bytes,
        content,
    };
    Ok(Some((file, runs)))
}

/// One of the inputs of the merge.
enum Merging {
    Buffered(Box<Buffered>),
    Sorted(Box<Sorted>),
}

impl Merging {
    fn weight(&self) -> usize {
        match self {
            Self::Buffered(buffered) => weight(buffered.opened.packing()),
            // Its files are bounded by themselves.
            Self::Sorted(_) => 0,
        }
    }
}

/// A file that runs forward, with as many of its entries as it may hold.
struct Buffered {
    opened: Opened,
    bytes_max: usize,
    bytes: usize,
    ended: bool,
    /// In order: nearly all entries only pass through here.
    tail: VecDeque<Recorded>,
    /// Those that came after one that belongs behind them.
    late: BTreeMap<Place, Recorded>,
}

impl Buffered {
    fn new(opened: Opened, bytes_max: usize) -> Self {
        Self {
            opened,
            bytes_max,
            bytes: 0,
            ended: false,
            tail: VecDeque::new(),
            late: BTreeMap::new(),
        }
    }

    /// Reads until it holds what it may.
    fn fill<D: Write>(&mut self, span: Span, reading: &mut Reading<'_, D>) -> anyhow::Result<()> {
        while !self.ended && (self.bytes < self.bytes_max || self.peek().is_none()) {
            match self.opened.next(reading)? {
                Some(entry) => self.take(entry, span),
                None => self.ended = true,
            }
        }
        Ok(())
    }

    fn take(&mut self, entry: Recorded, span: Span) {
        if !span.has_begun(entry.at.unwrap_or_default()) {
            return;
        }
        self.bytes += entry.held_bytes();
        let place = entry.place();
        if self.tail.back().is_none_or(|last| last.place() <= place) {
            self.tail.push_back(entry);
        } else {
            self.late.insert(place, entry);
        }
    }

    fn peek(&self) -> Option<Place> {
        let tail = self.tail.front().map(Recorded::place);
        let late = self.late.first_key_value().map(|(place, _)| *place);
        tail.into_iter().chain(late).min()
    }

    fn next(&mut self) -> Option<Recorded> {
        let next = self.peek()?;
        let entry = match self.late.remove(&next) {
            Some(late) => Some(late),
            None => self.tail.pop_front(),
        };
        self.bytes -= entry.as_ref().map_or(0, Recorded::held_bytes);
        entry
    }
}

#[cfg(test)]
mod tests;
