//! Inspecting a batch for as long as there is time.

use std::ops::Range;
use std::sync::Arc;

use super::decode::{Notes, Scratch};
use crate::batch::Batch;
use crate::hit::{Hit, Progress, Scanned};

/// Looks at a batch's entries: the rules, as far as this room knows them.
pub trait Inspect: Send + Sync {
    /// Adds the hits of `entries` (indices into the batch's entries) to `out`. Its progress is not this function's concern.
    ///
    /// Called on the worker that read the request, for consecutive pieces of some 256 KiB, so it must not wait for anything.
    fn inspect(&self, batch: &Batch, entries: Range<usize>, out: &mut Scanned);
}

/// Lines, in bytes, that are inspected between two looks at the clock: about a millisecond.
const PIECE_BYTES: usize = 256 << 10;

/// What an entry costs to inspect at least, in bytes of line.
const PIECE_ENTRY_BYTES: usize = 32;

/// What was found in a request, and how far that goes.
pub(super) struct Inspected {
    pub(super) scanned: Scanned,
    pub(super) notes: Notes,
    /// Entries in the request.
    pub(super) entries: u64,
    /// Those of them that were inspected, the first ones.
    pub(super) inspected: u64,
}

/// Inspects piece by piece for as long as `go_on`, which is told the hits of the last piece, says so before each.
pub(super) fn inspect_in_time(
    scratch: &Scratch,
    tenant: &Arc<str>,
    notes: Notes,
    inspect: &dyn Inspect,
    go_on: &mut dyn FnMut(&[Hit]) -> bool,
) -> Inspected {
    let batch = scratch.batch();
    let mut scanned = Scanned::default();
    let (mut inspected, mut told) = (0, 0);
    while inspected < batch.entries.len() && go_on(&scanned.hits[told..]) {
        told = scanned.hits.len();
        let rest = &batch.entries[inspected..];
        let mut bytes = 0;
        let piece = rest.iter().take_while(|entry| {
            let within = bytes < PIECE_BYTES;
            bytes += entry.line.len as usize + PIECE_ENTRY_BYTES;
            within
        });
        let end = inspected + piece.count();
        inspect.inspect(batch, inspected..end, &mut scanned);
        inspected = end;
    }
    scanned.progress = progress(batch, tenant, inspected);
    Inspected {
        scanned,
        notes,
        entries: batch.entries.len() as u64 + notes.entries_beyond,
        inspected: inspected as u64,
    }
}

/// The progress that a batch's first `inspected` entries make.
fn progress(batch: &Batch, tenant: &Arc<str>, inspected: usize) -> Progress {
    let entries = &batch.entries[..inspected];
    let streams = batch
        .streams
        .iter()
        .map_while(|stream| {
            let end = (stream.entries.end as usize).min(inspected);
            let count = end.checked_sub(stream.entries.start as usize)?;
            // A stream has fewer entries than its batch, whose indices are 32 bits.
            (count > 0).then_some((stream.stream.id, count as u32))
        })
        .collect();
    Progress {
        tenant: tenant.clone(),
        streams,
        times: entries.iter().map(|entry| entry.at).collect(),
        oldest: Vec::new(),
    }
}

/// Roughly the memory that hits take.
pub(super) fn held_bytes(hits: &[Hit]) -> usize {
    hits.iter()
        .map(|hit| {
            let captures = hit.captures.iter();
            let captures: usize = captures.map(|(name, value)| name.len() + value.len()).sum();
            let key: usize = hit.key.iter().map(|value| value.len()).sum();
            size_of::<Hit>() + hit.line.len() + captures + key
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::sync::Mutex;

    use super::super::decode::{Encoded, Form};
    use super::super::interner::Interner;
    use super::super::limits::Limits;
    use super::*;

    /// Remembers which pieces it was given.
    #[derive(Default)]
    struct Pieces(Mutex<Vec<Range<usize>>>);

    impl Inspect for Pieces {
        fn inspect(&self, _: &Batch, entries: Range<usize>, _: &mut Scanned) {
            self.0.lock().expect("no panic").push(entries);
        }
    }

    /// Two streams of `count` entries each, with lines of `length` bytes, inspected for `pieces` pieces at most.
    fn inspect(
        count: usize,
        length: usize,
        pieces: usize,
    ) -> (Vec<Range<usize>>, Progress, u64, u64) {
        let line = "x".repeat(length);
        let values: Vec<String> = (0..count)
            .map(|n| format!("[\"{n}\",\"{line}\"]"))
            .collect();
        let values = values.join(",");
        let body = format!(
            r#"{{"streams":[{{"stream":{{"a":"1"}},"values":[{values}]}},{{"stream":{{"a":"2"}},"values":[{values}]}}]}}"#
        );
        let tenant: Arc<str> = Arc::from("t");
        let encoded = Encoded {
            tenant: &tenant,
            form: Form::V1,
            content_type: Some(b"application/json"),
            content_encoding: None,
            body: body.as_bytes(),
        };
        let mut scratch = Scratch::default();
        let notes = scratch
            .decode(&encoded, &Limits::default(), &Interner::new(9), &mut |_| {
                true
            })
            .expect("valid");
        let seen = Pieces::default();
        let mut left = pieces;
        let outcome = inspect_in_time(&scratch, &tenant, notes, &seen, &mut |_| {
            let more = left > 0;
            left = left.saturating_sub(1);
            more
        });
        let Inspected {
            scanned,
            entries,
            inspected,
            ..
        } = outcome;
        (
            seen.0.into_inner().expect("no panic"),
            scanned.progress,
            entries,
            inspected,
        )
    }

    #[test]
    fn a_batch_is_inspected_in_pieces_that_cover_it() {
        let (pieces, progress, entries, inspected) = inspect(100, 10_000, usize::MAX);
        assert_eq!(
            pieces,
            [
                0..27,
                27..54,
                54..81,
                81..108,
                108..135,
                135..162,
                162..189,
                189..200
            ]
        );
        assert_eq!((entries, inspected), (200, 200));
        assert_eq!(&*progress.tenant, "t");
        let counts: Vec<u32> = progress.streams.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [100, 100]);
        let times: Vec<i64> = progress.times.iter().map(|at| at.0).collect();
        assert_eq!(
            times,
            [(0..100).collect::<Vec<_>>(), (0..100).collect()].concat()
        );
    }

    #[test]
    fn empty_lines_take_time_too() {
        let (pieces, ..) = inspect(5_000, 0, usize::MAX);
        assert_eq!(pieces, [0..8192, 8192..10_000]);
    }

    #[test]
    fn when_time_is_up_the_rest_makes_no_progress() {
        for (allowed, expected, counts) in [
            (0, 0, vec![]),
            (1, 27, vec![27]),
            (4, 108, vec![100, 8]),
            (7, 189, vec![100, 89]),
            (8, 200, vec![100, 100]),
        ] {
            let (pieces, progress, entries, inspected) = inspect(100, 10_000, allowed);
            assert_eq!(pieces.len(), allowed);
            assert_eq!((entries, inspected), (200, expected));
            assert_eq!(progress.times.len() as u64, expected);
            let of_streams: Vec<u32> = progress.streams.iter().map(|(_, count)| *count).collect();
            assert_eq!(of_streams, counts);
        }
    }
}
