//! One run: so many requests of one kind at one pace, and what they took.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::batches::{self, Bodies, Mix};
use crate::client::{self, Pace};
use crate::load_average;
use crate::rule_files::RuleFile;
use crate::server::Server;

/// Decompressed size of a request, roughly: what turns a rate into an interval.
const REQUEST_BYTES: f64 = 1.19e6;

/// How entries of requests without a pace are spread in time: as at 400 MB/s.
const INTERVAL: Duration = Duration::from_millis(3);

/// What to send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) mix: Mix,
    /// Decompressed bytes a second; `None` is as fast as it is answered.
    pub(crate) rate: Option<f64>,
    pub(crate) connections: usize,
    pub(crate) requests: usize,
}

impl Load {
    fn interval(&self) -> Option<Duration> {
        self.rate
            .map(|rate| Duration::from_secs_f64(REQUEST_BYTES / rate))
    }

    /// The requests, with times that begin now. Each run wants new ones.
    ///
    /// # Errors
    /// As [`Bodies::new`].
    pub(crate) fn bodies(&self, rules: &RuleFile) -> Result<Arc<Bodies>> {
        let sets = batches::sets(self.mix, &rules.examples);
        let interval = self.interval().unwrap_or(INTERVAL);
        Bodies::new(&sets, self.requests, interval).map(Arc::new)
    }

    /// Sends `bodies`.
    ///
    /// # Errors
    /// As [`client::send`], and when the server does not say what it did.
    pub(crate) fn run(&self, server: &Server, bodies: &Arc<Bodies>) -> Result<Report> {
        let before = server.metrics()?;
        let pace = self.interval().map_or(Pace::AsAnswered, Pace::Every);
        let answers = client::send(server.push, bodies, self.connections, pace)?;
        let after = server.metrics()?;
        let grown = |name: &str| after.sum(name) - before.sum(name);
        let bytes = bodies.total_bytes() as f64;
        let cpu_seconds = after.cpu_seconds() - before.cpu_seconds();
        Ok(Report {
            mix: self.mix,
            connections: self.connections,
            requests: answers.since_due.len(),
            lines: bodies.lines,
            megabytes: bytes / 1e6,
            seconds: answers.took.as_secs_f64(),
            megabytes_per_second: bytes / 1e6 / answers.took.as_secs_f64(),
            asked_megabytes_per_second: self.rate.map(|rate| rate / 1e6),
            answer: Quantiles::of(&answers.since_due),
            answer_since_sent: Quantiles::of(&answers.since_sent),
            cpu_seconds,
            cpu_seconds_per_gigabyte: cpu_seconds / (bytes / 1e9),
            resident_mib: after.resident_bytes() / 1048576.0,
            resident_peak_mib: server.resident_peak()? / 1048576.0,
            matches: grown("trommel_rule_matches_total"),
            duplicates: grown("trommel_duplicates_total"),
            entries_shed: grown("trommel_entries_shed_total"),
            requests_shed: grown("trommel_requests_shed_total"),
            entries_early: grown("trommel_entries_early_total"),
            load_average: load_average(),
        })
    }
}

/// What a run took.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    mix: Mix,
    pub(crate) connections: usize,
    requests: u64,
    lines: usize,
    pub(crate) megabytes: f64,
    pub(crate) seconds: f64,
    pub(crate) megabytes_per_second: f64,
    asked_megabytes_per_second: Option<f64>,
    /// From when requests were due.
    pub(crate) answer: Quantiles,
    /// From when they were sent.
    pub(crate) answer_since_sent: Quantiles,
    pub(crate) cpu_seconds: f64,
    pub(crate) cpu_seconds_per_gigabyte: f64,
    pub(crate) resident_mib: f64,
    pub(crate) resident_peak_mib: f64,
    pub(crate) matches: f64,
    duplicates: f64,
    pub(crate) entries_shed: f64,
    requests_shed: f64,
    entries_early: f64,
    pub(crate) load_average: f64,
}

impl Report {
    /// Share of entries that were not inspected; a request that was not even read had as many as any other.
    pub(crate) fn shed_percent(&self) -> f64 {
        let unread = self.requests_shed * self.lines as f64 / self.requests as f64;
        100.0 * (self.entries_shed + unread) / self.lines as f64
    }
}

/// Answer times, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Quantiles {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl Quantiles {
    /// Of times in microseconds.
    pub(crate) fn of(times: &Histogram<u64>) -> Self {
        let at = |quantile| times.value_at_quantile(quantile) as f64 / 1000.0;
        Self {
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: times.max() as f64 / 1000.0,
        }
    }
}

impl fmt::Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            p50,
            p99,
            p999,
            max,
        } = self;
        write!(
            f,
            "p50 {p50:.1}, p99 {p99:.1}, p99.9 {p999:.1}, max {max:.1} ms"
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked = self.asked_megabytes_per_second;
        let asked = asked.map_or("as answered".to_owned(), |rate| format!("{rate:.0} asked"));
        writeln!(
            f,
            "{} requests, {} lines, {:.0} MB, {:?}, {} connections, load average {:.1}",
            self.requests,
            self.lines,
            self.megabytes,
            self.mix,
            self.connections,
            self.load_average
        )?;
        writeln!(
            f,
            "  throughput   {:.1} MB/s ({asked}), {:.1} s",
            self.megabytes_per_second, self.seconds
        )?;
        writeln!(f, "  answers      {}", self.answer)?;
        writeln!(f, "  since sent   {}", self.answer_since_sent)?;
        writeln!(
            f,
            "  server       {:.2} CPU s, {:.2} CPU s/GB, {:.1} MiB resident, {:.1} MiB at most",
            self.cpu_seconds,
            self.cpu_seconds_per_gigabyte,
            self.resident_mib,
            self.resident_peak_mib
        )?;
        writeln!(
            f,
            "  it counted   {} matches, {} duplicates; shed {} entries and {} requests; {} entries early",
            self.matches,
            self.duplicates,
            self.entries_shed,
            self.requests_shed,
            self.entries_early
        )
    }
}
