//! Alloy's `loki.write` with several `endpoint` blocks and no write-ahead log: what comes in goes to each endpoint in turn, and an
//! endpoint whose queue is full makes everybody wait.
//!
//! Source: grafana/alloy `internal/component/common/loki/client/{consumer_fanout,endpoint,shards}.go` (2026-08-21, `66ebea85`). An
//! endpoint has one batch in the making, a queue of full ones, and one shard that sends them one after the other. A
//! batch is done when the next entry would take it over `batch_size`, or when the shard looks up, ten times per `batch_wait`, and it is
//! `batch_wait` old; while the shard is busy with retries it does not look up. An entry that finds its batch and the queue full is tried
//! again after 5 to 50 ms, for ever (`block_on_overflow` is true by default), and with it waits everything behind it.
//!
//! This is the least protected way to send to two places. `alloy/second-endpoint.alloy` puts a write-ahead log in between.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::alloy::{Report, Settings, deliver};
use super::http::{Client, Request};
use super::loki::{self, Entry};

/// Full batches that wait for the shard: `queue_config.capacity`, 10 MiB, divided by `batch_size`.
const QUEUE_BATCHES: usize = 10;

/// What the settings of an endpoint bound when nobody answers there.
#[derive(Debug)]
pub(crate) struct Bounds(pub(crate) Settings);

impl Bounds {
    /// The shortest time from the first attempt to send a batch to the end of the last, if each takes so long: an absence that is shorter loses nothing.
    pub(crate) fn gives_up_after(&self, attempt: Duration) -> Duration {
        attempt * self.0.max_backoff_retries + self.0.waits().sum::<Duration>()
    }

    /// Most batches that are given up during an absence: one after the other, the first of which may have been on its way already.
    pub(crate) fn lost(&self, absence: Duration, attempt: Duration) -> usize {
        let batches = (absence + attempt).as_nanos() / self.gives_up_after(attempt).as_nanos();
        usize::try_from(batches).expect("few")
    }

    /// Bytes of lines that find room while nothing is sent: after that, other endpoints of the same component wait.
    pub(crate) fn slack_bytes(&self) -> usize {
        (QUEUE_BATCHES + 1) * self.0.batch_size
    }
}

/// Where an endpoint's connections lead: asked for each new one, as a service's address leads to whichever pod is ready.
#[derive(Debug, Clone)]
pub(crate) struct Target(Arc<Mutex<SocketAddr>>);

impl Target {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self(Arc::new(Mutex::new(address)))
    }

    pub(crate) fn lead_to(&self, address: SocketAddr) {
        *self.0.lock().expect("nobody panics with the lock") = address;
    }

    fn address(&self) -> SocketAddr {
        *self.0.lock().expect("nobody panics with the lock")
    }
}

/// What happened at one endpoint.
#[derive(Debug, Clone, Default)]
pub(crate) struct Traffic {
    /// What became of the entries.
    pub(crate) report: Report,
    /// Batches that were given up.
    pub(crate) batches_dropped: usize,
    /// Attempts that failed, each of which Alloy counts in `loki_write_batch_retries_total`.
    pub(crate) failures: usize,
    /// Statuses other than 2xx.
    pub(crate) refusals: Vec<u16>,
    /// The longest that an answer took.
    pub(crate) slowest: Duration,
    /// Entries that found the queue full, and so held up the other endpoints.
    pub(crate) overflows: usize,
}

impl Traffic {
    fn count(&mut self, status: Option<u16>, took: Duration) {
        self.slowest = self.slowest.max(took);
        match status {
            Some(200..300) => {}
            Some(status) => {
                self.refusals.push(status);
                self.failures += 1;
            }
            None => self.failures += 1,
        }
    }
}

/// The component. Dropped without [`LokiWrite::stop`], it leaves its threads to themselves.
#[derive(Debug)]
pub(crate) struct LokiWrite {
    endpoints: Vec<Arc<Endpoint>>,
    shards: Vec<JoinHandle<()>>,
}

impl LokiWrite {
    /// One endpoint for each target, in this order.
    pub(crate) fn start(targets: &[Target], settings: &Settings) -> Self {
        let endpoints: Vec<_> = targets
            .iter()
            .map(|target| {
                Arc::new(Endpoint {
                    target: target.clone(),
                    settings: settings.clone(),
                    queue: Mutex::default(),
                    changed: Condvar::new(),
                    traffic: Mutex::default(),
                })
            })
            .collect();
        let shards = endpoints
            .iter()
            .map(|endpoint| {
                let endpoint = Arc::clone(endpoint);
                std::thread::spawn(move || endpoint.run_shard())
            })
            .collect();
        Self { endpoints, shards }
    }

    /// Hands an entry to each endpoint in turn, and waits for the room that it needs.
    pub(crate) fn offer(&self, entry: &Arc<Entry>) {
        for endpoint in &self.endpoints {
            let mut wait = Duration::from_millis(5);
            while !endpoint.enqueue(entry) {
                if wait == Duration::from_millis(5) {
                    endpoint.traffic().overflows += 1;
                }
                std::thread::sleep(wait);
                wait = (wait * 2).min(Duration::from_millis(50));
            }
        }
    }

    /// What has happened so far at the endpoint that is `place`th.
    pub(crate) fn traffic(&self, place: usize) -> Traffic {
        self.endpoints[place].traffic().clone()
    }

    /// Sends what is left, and tells what happened at each endpoint.
    pub(crate) fn stop(self) -> Vec<Traffic> {
        for endpoint in &self.endpoints {
            endpoint.queue().stopping = true;
            endpoint.changed.notify_all();
        }
        for shard in self.shards {
            shard.join().expect("a shard does not panic");
        }
        let traffic = self.endpoints.iter().map(|one| one.traffic().clone());
        traffic.collect()
    }
}

#[derive(Debug)]
struct Endpoint {
    target: Target,
    settings: Settings,
    queue: Mutex<Queue>,
    changed: Condvar,
    traffic: Mutex<Traffic>,
}

#[derive(Debug, Default)]
struct Queue {
    batch: Option<Batch>,
    full: VecDeque<Batch>,
    stopping: bool,
}

#[derive(Debug)]
struct Batch {
    entries: Vec<Arc<Entry>>,
    bytes: usize,
    begin: Instant,
}

impl Batch {
    fn new(entry: &Arc<Entry>) -> Self {
        Self {
            entries: vec![Arc::clone(entry)],
            bytes: entry.line.len(),
            begin: Instant::now(),
        }
    }
}

impl Endpoint {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("nobody panics with the lock")
    }

    fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().expect("nobody panics with the lock")
    }

    /// False when there is no room.
    fn enqueue(&self, entry: &Arc<Entry>) -> bool {
        let mut queue = self.queue();
        let queue = &mut *queue;
        match &mut queue.batch {
            Some(batch) if batch.bytes + entry.line.len() <= self.settings.batch_size => {
                batch.bytes += entry.line.len();
                batch.entries.push(Arc::clone(entry));
            }
            Some(_) if queue.full.len() >= QUEUE_BATCHES => return false,
            _ => {
                queue.full.extend(queue.batch.replace(Batch::new(entry)));
                self.changed.notify_all();
            }
        }
        true
    }

    fn run_shard(&self) {
        let mut client = Client::with_timeout(self.target.address(), self.settings.remote_timeout)
            .without_repeats();
        let begin = Instant::now();
        let period = self.settings.batch_wait / 10;
        while let Some(batch) = self.next(begin, period) {
            let request = Request::push_protobuf(loki::protobuf(&batch.entries));
            let delivery = deliver(&self.settings, &request, |request| {
                let begin = Instant::now();
                client.lead_to(self.target.address());
                let status = client.send(request).ok().map(|answer| answer.status);
                self.traffic().count(status, begin.elapsed());
                status
            });
            let mut traffic = self.traffic();
            match delivery {
                Ok(()) => traffic.report.sent += batch.entries.len(),
                Err(reason) => {
                    traffic.batches_dropped += 1;
                    *traffic.report.dropped.entry(reason).or_default() += batch.entries.len();
                }
            }
        }
    }

    /// The next batch to send; `None` at the end. The shard looks for old batches at multiples of `period` after `begin`.
    fn next(&self, begin: Instant, period: Duration) -> Option<Batch> {
        let mut queue = self.queue();
        loop {
            if let Some(batch) = queue.full.pop_front() {
                return Some(batch);
            }
            if queue.stopping {
                return queue.batch.take();
            }
            let into_period = begin.elapsed().as_nanos() % period.as_nanos();
            let rest = period - Duration::from_nanos(into_period as u64);
            let (locked, waited) = self
                .changed
                .wait_timeout_while(queue, rest, |queue| {
                    queue.full.is_empty() && !queue.stopping
                })
                .expect("nobody panics with the lock");
            queue = locked;
            let old = |batch: &mut Batch| batch.begin.elapsed() >= self.settings.batch_wait;
            if waited.timed_out()
                && let Some(batch) = queue.batch.take_if(old)
            {
                return Some(batch);
            }
        }
    }
}
