use std::io::{self, Cursor, Read};
use std::path::PathBuf;

use proptest::prelude::*;

use super::super::{Times, Where};
use super::*;
use crate::batch::Labels;
use crate::cli::tests::Scratch;
use crate::push::Limits;

/// So small that everything happens with a handful of lines.
fn tiny() -> OrderLimits {
    OrderLimits {
        buffer_bytes: 1,
        side_by_side: 2,
        look_entries: 100,
        runs: RunLimits {
            run_bytes: 1000,
            fan_in: 2,
            ..RunLimits::usual()
        },
    }
}

fn sorting(all: bool, limits: &OrderLimits) -> Sorting {
    let limits = limits.clone();
    Sorting { all, limits }
}

fn line(second: i64) -> String {
    format!("{} x\n", Timestamp::new(second * 1_000_000_000))
}

fn text(seconds: &[i64]) -> String {
    seconds.iter().map(|second| line(*second)).collect()
}

fn source(place: usize, from: Where) -> Source {
    Source {
        name: format!("f{place}").into(),
        place: place as u32,
        from,
        input: Input::Raw,
    }
}

fn pipe(place: usize, seconds: &[i64]) -> Source {
    source(place, Where::Pipe(Box::new(Cursor::new(text(seconds)))))
}

/// Second, file and line of every entry, in the order given; and why it ended, if it was before the end.
fn given(sources: Vec<Source>, span: Span, sorting: Sorting) -> (Vec<(i64, u32, u64)>, String) {
    let mut diagnostics = Vec::new();
    let reading = Reading::new(
        Times::Needed,
        Limits::default(),
        Labels::default(),
        Console::plain(&mut diagnostics),
    );
    let mut in_order = InOrder::new(sources, span, sorting, reading).expect("temporary files");
    let mut given = Vec::new();
    let refused = loop {
        match in_order.next() {
            Ok(Some(entry)) => {
                let (at, input, n) = entry.place();
                given.push((at.nanos() / 1_000_000_000, input, n));
            }
            Ok(None) => break String::new(),
            Err(error) => break error.to_string(),
        }
    };
    if refused.is_empty() {
        in_order.end(&RuleSet::default()).expect("memory");
    }
    (given, refused)
}

/// What must be given of these files.
fn expected(files: &[Vec<i64>], span: Span) -> Vec<(i64, u32, u64)> {
    let mut all = Vec::new();
    for (place, seconds) in files.iter().enumerate() {
        for (n, second) in seconds.iter().enumerate() {
            let at = Timestamp::new(second * 1_000_000_000);
            if span.from.is_none_or(|from| from <= at) && span.to.is_none_or(|to| at < to) {
                all.push((*second, place as u32, n as u64 + 1));
            }
        }
    }
    all.sort_unstable();
    all
}

const ALL: Span = Span {
    from: None,
    to: None,
};

fn pipes(files: &[Vec<i64>]) -> Vec<Source> {
    let files = files.iter().enumerate();
    files.map(|(place, seconds)| pipe(place, seconds)).collect()
}

fn written(scratch: &Scratch, files: &[Vec<i64>]) -> Vec<Source> {
    let files = files.iter().enumerate();
    files
        .map(|(place, seconds)| {
            let path = scratch.write(&place.to_string(), text(seconds));
            source(place, Where::File(PathBuf::from(path)))
        })
        .collect()
}

fn limits() -> impl Strategy<Value = OrderLimits> {
    (1usize..2000, 1usize..4, 200usize..2000, 2usize..4).prop_map(
        |(buffer_bytes, side_by_side, run_bytes, fan_in)| OrderLimits {
            buffer_bytes,
            side_by_side,
            look_entries: 100,
            runs: RunLimits {
                run_bytes,
                fan_in,
                ..RunLimits::usual()
            },
        },
    )
}

fn spans() -> impl Strategy<Value = Span> {
    let time = || prop::option::of((0i64..5000).prop_map(|at| Timestamp::new(at * 1_000_000_000)));
    (time(), time()).prop_map(|(from, to)| Span { from, to })
}

/// Files of seconds, over more than an hour, so that some are opened long after others.
fn files(files_max: usize) -> impl Strategy<Value = Vec<Vec<i64>>> {
    prop::collection::vec(prop::collection::vec(0i64..5000, 0..12), 0..files_max)
}

// SEMANTICS 5: in a replay inputs are merged by time; those in descending order are turned.
proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn files_that_run_forward_or_backward_are_merged_by_time_whatever_the_limits(
        mut files in files(6), backward in prop::collection::vec(any::<bool>(), 6),
        limits in limits(), span in spans(),
    ) {
        for (seconds, backward) in files.iter_mut().zip(backward) {
            seconds.sort_unstable();
            if backward {
                seconds.reverse();
            }
        }
        let whole = (expected(&files, span), String::new());
        prop_assert_eq!(&given(pipes(&files), span, sorting(false, &limits)), &whole);
        let scratch = Scratch::new();
        prop_assert_eq!(&given(written(&scratch, &files), span, sorting(false, &limits)), &whole);
    }

    #[test]
    fn any_order_is_put_right_if_asked_for(files in files(4), limits in limits(), span in spans()) {
        let whole = (expected(&files, span), String::new());
        prop_assert_eq!(given(pipes(&files), span, sorting(true, &limits)), whole);
    }

    #[test]
    fn any_order_is_put_right_or_refused(files in files(4), limits in limits(), span in spans()) {
        let expected = expected(&files, span);
        let (given, refused) = given(pipes(&files), span, sorting(false, &limits));
        if refused.is_empty() {
            // Reading may end at `to`: what comes too late after that is not seen.
            if span.to.is_none() {
                prop_assert_eq!(given, expected);
            }
        } else {
            prop_assert!(given.is_sorted_by_key(|(second, ..)| *second));
            prop_assert!(refused.contains(" is earlier than "), "{}", refused);
        }
    }
}

#[test]
fn lines_that_fit_the_buffer_are_put_in_order_and_one_more_is_refused() {
    // The second of twelve lines belongs behind the others.
    let seconds: Vec<i64> = [5, 100].into_iter().chain(10..20).collect();
    let bytes = {
        let stream = std::sync::Arc::new(crate::batch::Stream::new("".into(), Labels::default()));
        let recorded = Recorded {
            file: "f0".into(),
            input: 0,
            n: 1,
            stream,
            at: None,
            line: line(0).trim_end().as_bytes().to_vec(),
            metadata: Vec::new(),
        };
        recorded.held_bytes()
    };
    let limits = |lines| OrderLimits {
        look_entries: 2,
        buffer_bytes: lines * bytes,
        ..tiny()
    };
    for (lines, fits) in [(1, false), (2, true), (11, true)] {
        let (given, refused) = given(vec![pipe(0, &seconds)], ALL, sorting(false, &limits(lines)));
        assert_eq!(refused.is_empty(), fits, "{lines} {refused}");
        if fits {
            assert_eq!(given, expected(std::slice::from_ref(&seconds), ALL));
        }
    }
}

#[test]
fn a_line_that_comes_too_late_is_named_with_what_to_do() {
    let limits = OrderLimits {
        look_entries: 2,
        ..tiny()
    };
    let (given, refused) = given(
        vec![pipe(0, &[60, 120, 180, 30, 240])],
        ALL,
        sorting(false, &limits),
    );
    assert_eq!(given.len(), 3);
    assert_eq!(
        refused,
        "f0:4: 1970-01-01T00:00:30Z is earlier than 1970-01-01T00:03:00Z, up to where the log has been replayed: lines are \
         further out of order than 1 bytes can put right; give --sort, or leave out what is earlier with --from"
    );
}

#[test]
fn a_line_that_comes_too_late_does_no_harm_before_from() {
    let limits = OrderLimits {
        look_entries: 2,
        ..tiny()
    };
    let span = Span {
        from: Some(Timestamp::new(31_000_000_000)),
        to: None,
    };
    let seconds = [60, 120, 180, 30, 240];
    let (given, refused) = given(vec![pipe(0, &seconds)], span, sorting(false, &limits));
    assert_eq!(refused, "");
    assert_eq!(given, expected(&[seconds.to_vec()], span));
}

#[test]
fn a_file_that_begins_with_many_lines_of_one_time_may_run_backward_after_them() {
    let limits = OrderLimits {
        look_entries: 3,
        ..tiny()
    };
    let seconds = [50, 50, 50, 50, 40, 30, 20];
    let (given, refused) = given(vec![pipe(0, &seconds)], ALL, sorting(false, &limits));
    assert_eq!((given, &*refused), (expected(&[seconds.to_vec()], ALL), ""));
}

/// Lines without end, one a second; counts the bytes that were taken.
struct Endless {
    second: i64,
    step: i64,
    rest: Vec<u8>,
    taken: Rc<Cell<usize>>,
    lines_left: usize,
}

impl Read for Endless {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() && self.lines_left > 0 {
            self.rest = line(self.second).into_bytes();
            self.second += self.step;
            self.lines_left -= 1;
        }
        let taken = out.len().min(self.rest.len());
        out[..taken].copy_from_slice(&self.rest[..taken]);
        self.rest.drain(..taken);
        self.taken.set(self.taken.get() + taken);
        Ok(taken)
    }
}

fn endless(place: usize, begin: i64, step: i64, lines: usize) -> (Source, Rc<Cell<usize>>) {
    let taken = Rc::new(Cell::new(0));
    let lines = Endless {
        second: begin,
        step,
        rest: Vec::new(),
        taken: Rc::clone(&taken),
        lines_left: lines,
    };
    (source(place, Where::Pipe(Box::new(lines))), taken)
}

#[test]
fn however_much_there_is_no_more_is_held_than_the_limits_say() {
    const LINES: usize = 20_000;
    let limits = OrderLimits {
        buffer_bytes: 64 << 10,
        look_entries: 10,
        ..tiny()
    };
    let (first, first_taken) = endless(0, 0, 1, LINES);
    let (second, second_taken) = endless(1, 0, 1, LINES);
    let mut diagnostics = Vec::new();
    let reading = Reading::new(
        Times::Needed,
        Limits::default(),
        Labels::default(),
        Console::plain(&mut diagnostics),
    );
    let sources = vec![first, second];
    let mut in_order =
        InOrder::new(sources, ALL, sorting(false, &limits), reading).expect("nothing to sort");
    let (mut lines, mut given) = (0, 0);
    while let Some(entry) = in_order.next().expect("they are in order") {
        lines += 1;
        given += entry.line.len() + 1;
        let held = first_taken.get() + second_taken.get() - given;
        assert!(
            held < limits.buffer_bytes,
            "{held} bytes after {lines} lines"
        );
    }
    assert_eq!(lines, 2 * LINES);
    assert_eq!(given, first_taken.get() + second_taken.get());
}

#[test]
fn nothing_is_read_long_after_the_end_of_the_wanted_times() {
    let limits = OrderLimits {
        look_entries: 10,
        ..tiny()
    };
    let span = Span {
        from: None,
        to: Some(Timestamp::new(100_000_000_000)),
    };
    let (source, taken) = endless(0, 0, 1, usize::MAX);
    let (given, refused) = given(vec![source], span, sorting(false, &limits));
    assert_eq!((given.len(), &*refused), (100, ""));
    assert!(taken.get() < 102 * line(0).len(), "{}", taken.get());
}

#[test]
fn a_file_is_opened_when_the_log_has_come_near_its_first_line() {
    let scratch = Scratch::new();
    // Rotated files: each begins where the one before ends, an hour later.
    let files: Vec<Vec<i64>> = (0..20)
        .map(|hour| (0..12).map(|minutes| hour * 3600 + minutes * 300).collect())
        .collect();
    let mut diagnostics = Vec::new();
    let reading = Reading::new(
        Times::Needed,
        Limits::default(),
        Labels::default(),
        Console::plain(&mut diagnostics),
    );
    let sources = written(&scratch, &files);
    let mut in_order =
        InOrder::new(sources, ALL, sorting(false, &tiny()), reading).expect("nothing to sort");
    let (mut lines, mut open_most) = (0, 0);
    while in_order.next().expect("they are in order").is_some() {
        lines += 1;
        open_most = open_most.max(in_order.merging.iter().flatten().count());
    }
    assert_eq!((lines, open_most), (20 * 12, 2));
    assert_eq!(in_order.read.get(), in_order.total.expect("they are files"));
}

#[test]
fn when_too_many_would_be_open_the_others_are_sorted() {
    let scratch = Scratch::new();
    let files = vec![vec![0, 1000, 2000, 3000]; 10];
    let mut diagnostics = Vec::new();
    let reading = Reading::new(
        Times::Needed,
        Limits::default(),
        Labels::default(),
        Console::plain(&mut diagnostics),
    );
    let sources = written(&scratch, &files);
    let mut in_order =
        InOrder::new(sources, ALL, sorting(false, &tiny()), reading).expect("nothing to sort yet");
    let mut given = Vec::new();
    while let Some(entry) = in_order.next().expect("it is in order") {
        let (at, input, n) = entry.place();
        given.push((at.nanos() / 1_000_000_000, input, n));
        assert!(in_order.merging.iter().flatten().count() <= 3);
    }
    assert_eq!(given, expected(&files, ALL));
    assert_eq!(in_order.read.get(), in_order.total.expect("they are files"));
}
