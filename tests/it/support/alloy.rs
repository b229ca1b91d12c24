//! A client that batches and retries as Alloy's `loki.write` does, one shard.
//!
//! Source: grafana/alloy `internal/component/common/loki/client/{endpoint,batch}.go` (2026-08-21, `66ebea85`): a batch is
//! sent when the next entry would take it over `batch_size` bytes of lines, or when it is `batch_wait` old; it is sent with the same
//! bytes again on 429, 5xx, time-out or a refused connection, `max_backoff_retries` times in all, and then dropped;
//! any other answer that is not 2xx drops it at once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::http::{Client, Request};
use super::loki::{self, Entry};

/// The settings of an `endpoint` block that matter here.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Bytes of lines in a batch.
    pub(crate) batch_size: usize,
    /// Age at which a batch is sent.
    pub(crate) batch_wait: Duration,
    /// Attempts for one batch.
    pub(crate) max_backoff_retries: u32,
    /// Shortest wait before the second attempt. Shortest and longest double for each further one, until the longest is
    /// [`Settings::max_backoff_period`]; Alloy's is anything in between, ours always the shortest, which gives up soonest.
    pub(crate) min_backoff_period: Duration,
    /// Longest wait before an attempt.
    pub(crate) max_backoff_period: Duration,
    /// How long an answer may take.
    pub(crate) remote_timeout: Duration,
    /// Whether 429 is tried again.
    pub(crate) retry_on_http_429: bool,
}

impl Default for Settings {
    /// Alloy's defaults for batches and attempts, with waits cut short so that a test need not wait.
    fn default() -> Self {
        Self {
            batch_size: 1 << 20,
            batch_wait: Duration::from_secs(1),
            max_backoff_retries: 10,
            min_backoff_period: Duration::from_millis(5),
            max_backoff_period: Duration::from_secs(300),
            remote_timeout: Duration::from_millis(500),
            retry_on_http_429: true,
        }
    }
}

/// What became of the entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// Entries that were answered 2xx.
    pub(crate) sent: usize,
    /// Entries that were given up, by Alloy's reason for it.
    pub(crate) dropped: BTreeMap<&'static str, usize>,
}

/// The client.
#[derive(Debug)]
pub(crate) struct AlloyClient {
    settings: Settings,
    client: Client,
}

impl AlloyClient {
    pub(crate) fn new(server: SocketAddr, settings: Settings) -> Self {
        Self {
            client: Client::with_timeout(server, settings.remote_timeout),
            settings,
        }
    }

    /// Sends entries that come to the client each so long after the first one; the waits themselves are left out.
    pub(crate) fn send(&mut self, arrivals: &[(Duration, Entry)]) -> Report {
        let mut report = Report::default();
        for batch in self.settings.cut(arrivals) {
            let body = loki::protobuf(&batch);
            match self.deliver(Request::push_protobuf(body)) {
                Ok(()) => report.sent += batch.len(),
                Err(reason) => *report.dropped.entry(reason).or_default() += batch.len(),
            }
        }
        report
    }

    fn deliver(&mut self, request: Request) -> Result<(), &'static str> {
        deliver(&self.settings, &request, |request| {
            self.client.send(request).ok().map(|answer| answer.status)
        })
    }
}

/// Sends a batch, the same bytes each time, until it is answered or given up; with Alloy's reason for that.
pub(crate) fn deliver(
    settings: &Settings,
    request: &Request,
    mut send: impl FnMut(&Request) -> Option<u16>,
) -> Result<(), &'static str> {
    let mut waits = settings.waits();
    loop {
        let reason = match send(request) {
            Some(200..300) => return Ok(()),
            Some(429) if !settings.retry_on_http_429 => return Err("rate_limited"),
            Some(429) => "rate_limited",
            Some(500..600) | None => "ingester_error",
            Some(_) => return Err("ingester_error"),
        };
        match waits.next() {
            Some(wait) => std::thread::sleep(wait),
            None => return Err(reason),
        }
    }
}

impl Settings {
    /// The waits between the attempts for one batch, one fewer than those.
    ///
    /// Source: grafana/dskit `backoff/backoff.go` (2026-08-21): no wait follows the last attempt.
    pub(crate) fn waits(&self) -> impl Iterator<Item = Duration> + use<> {
        let (mut low, most) = (self.min_backoff_period, self.max_backoff_period);
        let mut high = (low * 2).min(most);
        (1..self.max_backoff_retries).map(move |_| {
            let wait = low.min(high);
            if high < most {
                low = (low * 2).min(most);
                high = (high * 2).min(most);
            }
            wait
        })
    }

    /// Which entries go together.
    fn cut(&self, arrivals: &[(Duration, Entry)]) -> Vec<Vec<Entry>> {
        let mut batches: Vec<Vec<Entry>> = Vec::new();
        let (mut begin, mut bytes) = (Duration::ZERO, 0);
        for (arrival, entry) in arrivals {
            let full = bytes + entry.line.len() > self.batch_size;
            let old = arrival.saturating_sub(begin) >= self.batch_wait;
            match batches.last_mut() {
                Some(batch) if !full && !old => batch.push(entry.clone()),
                _ => {
                    batches.push(vec![entry.clone()]);
                    (begin, bytes) = (*arrival, 0);
                }
            }
            bytes += entry.line.len();
        }
        batches
    }
}

/// Entries that all come at once.
pub(crate) fn at_once(entries: Vec<Entry>) -> Vec<(Duration, Entry)> {
    entries
        .into_iter()
        .map(|entry| (Duration::ZERO, entry))
        .collect()
}
