//! Sends what waits in the outbox: to JetStream, or as lines to stdout.
//!
//! A publisher is one task. It asks the owner of the database for the next unsent message ([`Outbox`]), sends it, waits until
//! the receiver has it, and says so; only then is the message gone. So a receiver that is away costs a longer table and
//! nothing else: the publisher waits, and nobody waits for the publisher.

mod nats;
mod recall;
mod stdout;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use tokio::sync::{mpsc, oneshot, watch};

use crate::finding::Message;
use crate::telemetry;
use crate::time::Timestamp;

pub use nats::{
    Create, Login, NatsError, NatsSettings, SetupError, StreamReport, StreamState, Tls,
    publish_to_nats, recall_and_publish_to_nats, set_up_streams,
};
pub use recall::{Recall, Recalled};
pub use stdout::publish_to_writer;

/// A message that waits to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its place in the outbox. Names this message for ever: one that replaces it has a place of its own.
    pub seq: i64,
    /// `<finding_id>:<revision>`
    pub id: String,
    /// Which finding it is about; messages of one finding are sent in order.
    pub finding_id: String,
    /// NATS subject.
    pub subject: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The CloudEvent, without line breaks.
    pub body: Vec<u8>,
}

impl Pending {
    /// `message` at the place `seq`.
    #[must_use]
    pub fn new(seq: i64, message: Message) -> Self {
        Self {
            seq,
            id: message.id,
            finding_id: message.finding_id,
            subject: message.subject,
            headers: message.headers,
            body: message.body,
        }
    }
}

/// What a publisher asks of the owner of the database. Requests are answered in the order in which they came.
#[derive(Debug)]
pub enum OutboxRequest {
    /// The first unsent message after the place `after`; `None`, at once, when there is none.
    Next {
        /// A place; 0 is before the first.
        after: i64,
        /// Where the answer goes.
        reply: oneshot::Sender<Option<Pending>>,
    },
    /// The message at `seq` has arrived and need not be kept. One that is no longer there is fine.
    Sent {
        /// Its place.
        seq: i64,
    },
}

/// The unsent messages, as a publisher sees them: what it asks goes to the owner of the database over a channel.
#[derive(Debug)]
pub struct Outbox {
    requests: mpsc::Sender<OutboxRequest>,
    newest: watch::Receiver<i64>,
}

/// The owner of the database has gone; the publisher ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gone;

impl Outbox {
    /// An outbox that sends its requests to `requests`, and asks again whenever `newest`,
    /// the place of the newest message that is on disk, has changed.
    #[must_use]
    pub fn new(requests: mpsc::Sender<OutboxRequest>, newest: watch::Receiver<i64>) -> Self {
        Self { requests, newest }
    }

    /// The first unsent message after `after`.
    async fn next(&mut self, after: i64) -> Result<Option<Pending>, Gone> {
        // What comes from here on will be noticed by `changed`, so nothing is missed between the answer and the wait.
        self.newest.mark_unchanged();
        let (reply, answer) = oneshot::channel();
        let request = OutboxRequest::Next { after, reply };
        self.requests.send(request).await.map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }

    /// The first unsent message after `after`, as soon as there is one.
    async fn wait_for_next(&mut self, after: i64) -> Result<Pending, Gone> {
        loop {
            if let Some(pending) = self.next(after).await? {
                return Ok(pending);
            }
            self.changed().await?;
        }
    }

    /// Returns when the owner of the database has gone.
    async fn gone(&self) {
        self.requests.closed().await;
    }

    /// Waits until there may be more than [`Outbox::next`] last knew of.
    async fn changed(&mut self) -> Result<(), Gone> {
        self.newest.changed().await.map_err(|_| Gone)
    }

    async fn sent(&mut self, seq: i64) -> Result<(), Gone> {
        let request = OutboxRequest::Sent { seq };
        self.requests.send(request).await.map_err(|_| Gone)
    }
}

/// What a publisher is doing, for readiness, the status page, and the finding that says that it is stuck. Shared as an `Arc`.
#[derive(Debug, Default)]
pub struct Status {
    connected: AtomicBool,
    /// When that last changed, in nanoseconds since the epoch; 0 before the first time.
    since: AtomicI64,
    /// Nanoseconds since the epoch; 0 before the first.
    last_ack: AtomicI64,
    in_flight: AtomicBool,
    trouble: Mutex<Option<String>>,
}

impl Status {
    /// Whether the receiver can be reached, as far as we know.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// Wall clock when that last changed; `None` if it never did.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        match self.since.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Timestamp::new(nanos)),
        }
    }

    /// Wall clock at the last ack; `None` before the first.
    #[must_use]
    pub fn last_ack(&self) -> Option<Timestamp> {
        match self.last_ack.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Timestamp::new(nanos)),
        }
    }

    /// Whether a message is being sent, or waits to be sent again.
    #[must_use]
    pub fn in_flight(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Why nothing goes out at the moment, or why some messages are held back, in words; `None` when all is well.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble_lock().clone()
    }

    fn set_connected(&self, connected: bool) {
        if self.connected.swap(connected, Ordering::Relaxed) != connected {
            let now = Timestamp::wall_clock();
            self.since.store(now.nanos(), Ordering::Relaxed);
        }
    }

    fn set_in_flight(&self, in_flight: bool) {
        self.in_flight.store(in_flight, Ordering::Relaxed);
    }

    fn acked(&self) {
        self.last_ack
            .store(Timestamp::wall_clock().nanos(), Ordering::Relaxed);
    }

    fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble_lock() = trouble;
    }

    fn trouble_lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        // A text is whole whatever panicked meanwhile.
        self.trouble
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// How the sending of a message ended: the values of `outcome` in [`telemetry::PUBLISH_TOTAL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It was stored, or written.
    Acked,
    /// It was there already: its ack had been lost.
    Duplicate,
    /// The receiver refuses this message whenever it comes; it is held back and tried again now and then.
    Refused,
}

impl Outcome {
    fn count(self) {
        let outcome = match self {
            Self::Acked => "acked",
            Self::Duplicate => "duplicate",
            Self::Refused => "refused",
        };
        metrics::counter!(telemetry::PUBLISH_TOTAL, "outcome" => outcome).increment(1);
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinHandle;

    use super::*;

    pub(super) fn pending(seq: i64, id: &str) -> Pending {
        Pending {
            seq,
            id: id.to_owned(),
            finding_id: id.split(':').next().unwrap_or_default().to_owned(),
            subject: "ops.findings.a.b.c".to_owned(),
            headers: Vec::new(),
            body: format!("{{\"id\":\"{id}\"}}").into_bytes(),
        }
    }

    /// An owner with these messages, which goes when all are sent or the publisher has gone; it says which were sent.
    pub(super) fn outbox_of(mut unsent: Vec<Pending>) -> (Outbox, JoinHandle<Vec<i64>>) {
        let (requests, mut received) = mpsc::channel(1);
        let (newest, watched) = watch::channel(0);
        let owner = tokio::spawn(async move {
            let mut done = Vec::new();
            while !unsent.is_empty() {
                match received.recv().await {
                    Some(OutboxRequest::Next { after, reply }) => {
                        let first = unsent.iter().find(|pending| pending.seq > after);
                        let _ = reply.send(first.cloned());
                    }
                    Some(OutboxRequest::Sent { seq }) => {
                        unsent.retain(|pending| pending.seq != seq);
                        done.push(seq);
                    }
                    None => break,
                }
            }
            drop(newest);
            done
        });
        (Outbox::new(requests, watched), owner)
    }

    #[tokio::test]
    async fn a_publisher_that_found_nothing_is_woken_by_the_next_commit() {
        let (requests, mut received) = mpsc::channel(1);
        let (newest, watched) = watch::channel(0);
        let mut outbox = Outbox::new(requests, watched);
        let asking = tokio::spawn(async move { outbox.wait_for_next(0).await });
        let mut answer = async |pending: Option<Pending>| match received.recv().await {
            Some(OutboxRequest::Next { after: 0, reply }) => {
                reply.send(pending).expect("the publisher waits")
            }
            other => panic!("{other:?}"),
        };
        answer(None).await;
        newest.send_replace(7);
        answer(Some(pending(7, "a:1"))).await;
        assert_eq!(asking.await.expect("no panic"), Ok(pending(7, "a:1")));
    }
}
