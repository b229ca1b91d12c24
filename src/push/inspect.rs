//! Inspecting a batch for as long as there is time.

use std::ops::Range;
use std::sync::Arc;

use super::decode::{Notes, Scratch};
use crate::batch::Batch;
use crate::hit::{Generation, Hit, Progress, Scanned};

/// Looks at a batch's entries: the rules, as far as this room knows them.
///
/// While one rule set takes over from another, nobody knows which of them will be in use when a request's hits are applied. So
/// the inspector of that time has a successor, both look at every entry, and whoever applies the hits takes those of its set.
pub trait Inspect: Send + Sync {
    /// Of which rule set the hits are.
    fn generation(&self) -> Generation {
        Generation::default()
    }

    /// What else looks at the same entries, for the rule set that takes over. It has no successor itself.
    fn successor(&self) -> Option<&dyn Inspect> {
        None
    }

    /// Adds the hits of `entries` (indices into the batch's entries) to `out`, and what rules compare with their past have to
    /// know of them to [`Progress::oldest`]. The rest of the progress is not this function's concern.
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
    pub(super) generation: Generation,
    /// The same as the successor sees it, where there is one.
    pub(super) successor: Option<Box<(Generation, Scanned)>>,
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
    let inspects: Vec<&dyn Inspect> = std::iter::once(inspect)
        .chain(inspect.successor())
        .collect();
    let mut views: Vec<(Scanned, usize)> = vec![Default::default(); inspects.len()];
    let mut inspected = 0;
    while inspected < batch.entries.len()
        && views.iter_mut().all(|(scanned, told)| {
            go_on(&scanned.hits[std::mem::replace(told, scanned.hits.len())..])
        })
    {
        let rest = &batch.entries[inspected..];
        let mut bytes = 0;
        let piece = rest.iter().take_while(|entry| {
            let within = bytes < PIECE_BYTES;
            bytes += entry.line.len as usize + PIECE_ENTRY_BYTES;
            within
        });
        let end = inspected + piece.count();
        for (inspect, (scanned, _)) in inspects.iter().zip(&mut views) {
            inspect.inspect(batch, inspected..end, scanned);
        }
        inspected = end;
    }
    let mut views = inspects.iter().zip(views).map(|(inspect, (scanned, _))| {
        let progress = Progress {
            oldest: scanned.progress.oldest,
            ..Progress::of(batch, tenant, inspected)
        };
        let hits = scanned.hits;
        (inspect.generation(), Scanned { hits, progress })
    });
    let (generation, scanned) = views.next().expect("there is one inspector at least");
    let successor = views.next().map(Box::new);
    Inspected {
        scanned,
        generation,
        successor,
        notes,
        entries: batch.entries.len() as u64 + notes.entries_beyond,
        inspected: inspected as u64,
    }
}

/// Roughly the memory that hits take.
pub(super) fn held_bytes(hits: &[Hit]) -> usize {
    hits.iter()
        .map(|hit| {
            let captures = hit.captures.iter();
            let captures: usize = captures.map(|(name, value)| name.len() + value.len()).sum();
            let texts = |values: &[Box<str>]| -> usize {
                size_of_val(values) + values.iter().map(|value| value.len()).sum::<usize>()
            };
            size_of::<Hit>()
                + hit.line.len()
                + size_of_val(&*hit.captures)
                + captures
                + hit.key.heap_bytes()
                + texts(&hit.values)
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
    use crate::batch::{EntryId, StreamId};
    use crate::hit::{Parts, Role, RuleIndex};
    use crate::time::Timestamp;

    /// Remembers which pieces it was given.
    #[derive(Default)]
    struct Pieces(Mutex<Vec<Range<usize>>>);

    impl Inspect for Pieces {
        fn inspect(&self, batch: &Batch, entries: Range<usize>, out: &mut Scanned) {
            let at = batch.entries[entries.start].at;
            out.progress.oldest.push((RuleIndex(7), at));
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
        assert_eq!(progress.oldest.len(), pieces.len());
        assert_eq!(progress.oldest[5], (RuleIndex(7), Timestamp::new(35)));
        let counts: Vec<u32> = progress.streams.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [100, 100]);
        let times: Vec<i64> = progress.times.iter().map(|at| at.nanos()).collect();
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

    #[test]
    fn the_memory_of_a_hit_counts_every_text_that_it_carries() {
        let hit = |key: &[&str], values: &[&str], captures: &[(&str, &str)], line: &str| Hit {
            rule: RuleIndex(0),
            role: Role::Match,
            parts: Parts::MATCH,
            at: Timestamp::new(0),
            stream: StreamId(0),
            labels: Arc::default(),
            entry: EntryId(0),
            key: key.iter().collect(),
            values: values.iter().map(|&value| value.into()).collect(),
            captures: captures
                .iter()
                .map(|&(n, v)| (n.into(), v.into()))
                .collect(),
            line: line.as_bytes().into(),
        };
        let bare = size_of::<Hit>();
        let text = size_of::<Box<str>>();
        // Of those who share a key.
        let counts = 2 * size_of::<usize>();
        assert_eq!(held_bytes(&[]), 0);
        assert_eq!(held_bytes(&[hit(&[], &[], &[], "")]), bare);
        assert_eq!(
            held_bytes(&[
                hit(&["ab"], &[], &[], "line"),
                hit(&[], &["abc", ""], &[("name", "value")], "")
            ]),
            bare + counts + 1 + 2 + 4 + bare + 2 * text + 3 + 2 * text + 9
        );
    }
}
