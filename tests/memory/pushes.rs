//! What a push costs in memory once the buffers have their size: allocations, counted exactly, and bytes for a stream.

#[path = "../support/loki_proto.rs"]
mod loki_proto;

use std::sync::{Arc, Mutex};

use allocation_counter::measure;
use trommel::hit::{Progress, Scanned};
use trommel::inspector::Inspection;
use trommel::push::{Encoded, Form, Inspect, Interner, Limits, Scratch};
use trommel::rules::{LoadOptions, RuleSet, builtin, load};
use trommel::scan::Scanner;
use trommel::selected::Selected;
use trommel::time::Timestamp;

/// Streams of each push.
const STREAMS: usize = 20;

#[test]
fn a_push_without_hits_allocates_the_same_few_times_however_many_lines_it_has() {
    let mut worker = Worker::new();
    let pushes = [1, 10, 500].map(|lines| push(0, lines));
    for _ in 0..3 {
        for body in &pushes {
            worker.take(body);
        }
    }
    for body in &pushes {
        let decoding = measure(|| worker.decode(body));
        assert_eq!(decoding.count_total, 0, "{decoding:?}");
        let inspecting = measure(|| worker.inspect());
        // The times of all entries, the rules that compare with their past, and the list of streams, which grows in four steps.
        assert_eq!(inspecting.count_total, 6, "{inspecting:?}");
    }
    // Nothing stays, and what more lines need meanwhile is the room for their times.
    let [few, .., many] = pushes.map(|body| measure(|| worker.take(&body)));
    assert_eq!((few.bytes_current, many.bytes_current), (0, 0));
    let times = (STREAMS * (500 - 1) * size_of::<Timestamp>()) as u64;
    assert!(many.bytes_max - few.bytes_max <= times, "{few:?} {many:?}");
}

/// Stated in `docs/performance.md`, for 190 bytes of labels.
const STREAM_BYTES_MAX: i64 = 800;

#[test]
fn a_stream_takes_no_more_than_is_stated() {
    let mut worker = Worker::new();
    let pushes: Vec<_> = (0..100).map(|n| push(n, 1)).collect();
    let counted = measure(|| pushes.iter().for_each(|body| worker.take(body)));
    let streams = i64::try_from(worker.interner.len()).expect("they are few");
    assert_eq!(streams, 2000);
    let bytes = counted.bytes_current / streams;
    println!("{bytes} bytes for each of {streams} streams, {STREAM_BYTES_MAX} stated");
    assert!(bytes <= STREAM_BYTES_MAX, "{bytes} bytes for a stream");
}

/// Twenty streams of push number `n`, each with so many lines that nothing looks for.
fn push(n: usize, lines: usize) -> Vec<u8> {
    let line = "level=info ts=2026-01-07T10:15:00Z caller=server.go:12 msg=\"request completed\" method=GET path=/users took=12ms";
    let entries: Vec<_> = (0..lines as i64).map(|at| (at, line)).collect();
    let labels: Vec<_> = (0..STREAMS).map(|stream| labels(n, stream)).collect();
    let streams: Vec<_> = labels.iter().map(|labels| (&**labels, &*entries)).collect();
    loki_proto::push(&streams)
}

fn labels(n: usize, stream: usize) -> String {
    format!(
        r#"{{cluster="demo", namespace="team-{stream}", app="frontend", container="main", pod="frontend-7d9f8b6c5d-{n:05}", service_name="frontend", job="team-{stream}/frontend", stream="stderr"}}"#
    )
}

/// What one worker of the push server has, with the rules that ship.
struct Worker {
    tenant: Arc<str>,
    limits: Limits,
    interner: Interner,
    decoder: Scratch,
    inspect: Arc<dyn Inspect>,
    _inspection: Inspection,
}

impl Worker {
    fn new() -> Self {
        let rules = load(&builtin(), &LoadOptions::default()).set;
        let rules: Arc<RuleSet> = Arc::new(rules.expect("the rules that ship are valid"));
        let now = || Timestamp::new(1_790_000_000_000_000_000);
        let selected = Arc::new(Mutex::new(Selected::new(&rules, now())));
        let inspection = Inspection::new(Scanner::new(rules), selected, None, Arc::new(now));
        let limits = Limits::default();
        Self {
            tenant: "".into(),
            interner: Interner::new(limits.streams_interned_max),
            limits,
            decoder: Scratch::default(),
            inspect: inspection.inspector(),
            _inspection: inspection,
        }
    }

    fn decode(&mut self, body: &[u8]) {
        let encoded = Encoded {
            tenant: &self.tenant,
            form: Form::V1,
            content_type: Some(b"application/x-protobuf"),
            content_encoding: Some(b"snappy"),
            body,
        };
        let decoded = self
            .decoder
            .decode(&encoded, &self.limits, &self.interner, &mut |_| true);
        decoded.expect("a request as Alloy sends it");
    }

    fn inspect(&self) {
        let batch = self.decoder.batch();
        let entries = batch.entries.len();
        let mut scanned = Scanned {
            progress: Progress::of(batch, &self.tenant, entries),
            ..Scanned::default()
        };
        self.inspect.inspect(batch, 0..entries, &mut scanned);
        assert!(scanned.hits.is_empty(), "{:?}", scanned.hits);
    }

    fn take(&mut self, body: &[u8]) {
        self.decode(body);
        self.inspect();
    }
}
