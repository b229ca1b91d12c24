//! The pure part of trommel's work in this process: from a request's bytes to hits, without sockets, threads, windows or disk.

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, anyhow};
use trommel::push::{Encoded, Form, Interner, Limits, Scratch};
use trommel::rules::RuleSet;
use trommel::scan::{self, Scanner};

use crate::batches::Bodies;

/// One worker's decoder and scanner.
pub(crate) struct Pipeline {
    tenant: Arc<str>,
    limits: Limits,
    interner: Interner,
    decoder: Scratch,
    scanner: Scanner,
    scratch: scan::Scratch,
}

/// What the pipeline took for some requests.
pub(crate) struct Took {
    pub(crate) bytes_per_second: f64,
    pub(crate) cpu_seconds_per_gigabyte: f64,
    pub(crate) hits: usize,
}

impl Pipeline {
    pub(crate) fn new(rules: Arc<RuleSet>) -> Self {
        let limits = Limits::default();
        Self {
            tenant: "".into(),
            interner: Interner::new(limits.streams_interned_max),
            limits,
            decoder: Scratch::default(),
            scanner: Scanner::new(rules),
            scratch: scan::Scratch::default(),
        }
    }

    /// Decodes and scans all of `bodies`.
    ///
    /// # Errors
    /// When one cannot be decoded, or the system does not tell this thread's time.
    pub(crate) fn run(&mut self, bodies: &Bodies) -> Result<Took> {
        let mut hits = Vec::new();
        let mut count = 0;
        let (began, cpu) = (Instant::now(), thread_seconds()?);
        for body in &bodies.packed {
            let encoded = Encoded {
                tenant: &self.tenant,
                form: Form::V1,
                content_type: Some(b"application/x-protobuf"),
                content_encoding: Some(b"snappy"),
                body,
            };
            self.decoder
                .decode(&encoded, &self.limits, &self.interner, &mut |_| true)?;
            let batch = self.decoder.batch();
            let entries = 0..batch.entries.len();
            self.scanner
                .scan(batch, entries, &mut self.scratch, &mut hits);
            count += hits.len();
            hits.clear();
        }
        let cpu = thread_seconds()? - cpu;
        let bytes = bodies.total_bytes() as f64;
        Ok(Took {
            bytes_per_second: bytes / began.elapsed().as_secs_f64(),
            cpu_seconds_per_gigabyte: cpu / (bytes / 1e9),
            hits: count,
        })
    }
}

/// How long this thread has had a core, to the nanosecond. What others take from it meanwhile is not in it.
pub(crate) fn thread_seconds() -> Result<f64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = text
        .split(' ')
        .next()
        .and_then(|word| word.parse::<f64>().ok());
    nanos
        .map(|nanos| nanos / 1e9)
        .ok_or_else(|| anyhow!("no time in {text}"))
}
