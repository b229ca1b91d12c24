//! Messages to NATS JetStream, each exactly once in the stream however often a connection breaks.
//!
//! An ack can be lost, and the client keeps what it could not write and writes it when it is connected again; so a message
//! that seems unsent may be there already, or may arrive later still. The duplicate window of the stream is no answer: NATS
//! can be away for longer. Instead, each attempt is a compare-and-set on the message's subject:
//!
//! 1. Look up the last message on the subject. If it is this one, or a later one of the same finding, there is nothing to do.
//! 2. Publish with `Nats-Expected-Last-Subject-Sequence` of what was found. Of all attempts for one message, the delayed ones
//!    included, the stream takes the first; any other no longer finds what it expects.
//!
//! That costs one more round trip than trusting the window; findings are rare, and it needs no memory of what went wrong before.
//! Needed permissions: publish to the subjects and to `$JS.API.STREAM.MSG.GET.<stream>`, subscribe to `_INBOX.trommel.>`;
//! for [`Create::IfMissing`] also `$JS.API.STREAM.INFO.<stream>` and `$JS.API.STREAM.CREATE.<stream>`; to read back what was open,
//! `$JS.API.CONSUMER.CREATE.<stream>` and `$JS.API.CONSUMER.MSG.NEXT.<stream>.>`.

mod connection;
mod jetstream;
mod login;
mod setup;
mod stream;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use async_nats::connection::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Gone, Outbox, Outcome, Pending, Recall, Recalled, Status};
use crate::access::Problem;
use crate::telemetry;
use connection::{News, connect, set_connected};
use jetstream::{JetStream, Trouble};
pub use login::{Login, Tls};
pub use setup::{SetupError, StreamReport, StreamState, set_up_streams};

/// Where messages go, and how patient the publisher is.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsSettings {
    /// Servers, `nats://host:4222` or `tls://host:4222`, separated by commas.
    /// User and password, or a token alone, may stand before an `@`; one of the servers is enough.
    pub url: String,
    /// How trommel shows who it is.
    pub login: Login,
    /// TLS beyond what the url says.
    pub tls: Tls,
    /// The stream.
    pub stream: String,
    /// What the subjects of all messages begin with; the stream captures `<prefix>.>`.
    pub subject_prefix: String,
    /// Whether the stream is made.
    pub create: Create,
    /// How long the server may take to answer. Beyond it the outcome is unclear, and the message is looked up.
    pub ack_timeout: Duration,
    /// Longest pause between two attempts. A message that the server refuses for what it is waits six times as long.
    pub retry_max: Duration,
}

impl NatsSettings {
    /// The stream `OPS_FINDINGS` on `ops.findings.>` at `url`, made if missing.
    #[must_use]
    pub fn new(url: String) -> Self {
        Self {
            url,
            login: Login::default(),
            tls: Tls::default(),
            stream: "OPS_FINDINGS".to_owned(),
            subject_prefix: "ops.findings".to_owned(),
            create: Create::IfMissing,
            ack_timeout: Duration::from_secs(5),
            retry_max: Duration::from_secs(10),
        }
    }
}

impl NatsSettings {
    /// Reads every file that is named here, as each connection will.
    ///
    /// # Errors
    /// Everything that is wrong with them now.
    pub fn check_files(&self) -> Result<(), Vec<Problem>> {
        let mut problems = Vec::new();
        problems.extend(self.login.auth(b"").err());
        self.tls.check(&mut problems);
        if problems.is_empty() {
            Ok(())
        } else {
            Err(problems)
        }
    }
}

/// Without the url, which may hold a password.
impl std::fmt::Debug for NatsSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsSettings")
            .field("login", &self.login)
            .field("tls", &self.tls)
            .field("stream", &self.stream)
            .field("subject_prefix", &self.subject_prefix)
            .field("create", &self.create)
            .finish_non_exhaustive()
    }
}

/// Whether the stream is made. One that exists is never altered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Create {
    /// When it is absent.
    #[default]
    IfMissing,
    /// Never, nor is it looked at: for credentials that may do no more than publish.
    Never,
}

/// Settings with which NATS can never be reached.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    /// Not the address of a server.
    #[error("`{server}` is not the address of a nats server: {problem}")]
    Url {
        /// The address without its user info.
        server: String,
        /// What is wrong with it.
        problem: std::io::Error,
    },
}

/// Publishes every message of `outbox`, in order, until the owner of the database goes.
///
/// A server that is away, hangs or lacks the stream is waited for, however long. Messages that the server refuses for what
/// they are (too large for the stream) are held back with later ones of their findings, and tried again every minute;
/// all others go on. Each cause is logged once, until something has gone well again.
///
/// Dropping the future is safe at any time: what was in flight is looked up at the next start.
///
/// # Errors
/// Only for settings that cannot work, before anything is sent.
pub async fn publish_to_nats(
    outbox: Outbox,
    settings: &NatsSettings,
    status: Arc<Status>,
) -> Result<(), NatsError> {
    recall_and_publish_to_nats(None, outbox, settings, status).await
}

/// As [`publish_to_nats`], but first answers `recall`, if there is one, unless whoever asked gives up before.
///
/// # Errors
/// As there.
pub async fn recall_and_publish_to_nats(
    recall: Option<Recall>,
    mut outbox: Outbox,
    settings: &NatsSettings,
    status: Arc<Status>,
) -> Result<(), NatsError> {
    let news = Arc::new(News::default());
    let client = connect(settings, &status, &news).await?;
    let mut publisher = Publisher {
        jetstream: JetStream::new(client.clone(), settings, Arc::clone(&news)),
        client,
        settings,
        status,
        news,
        stream_seen: false,
        said: HashSet::new(),
    };
    if let Some(recall) = recall {
        publisher.recall(recall).await;
    }
    // An owner that has gone is the regular end.
    let Err(Gone) = publisher.run(&mut outbox).await;
    Ok(())
}

/// The task's state.
struct Publisher<'a> {
    client: Client,
    jetstream: JetStream,
    settings: &'a NatsSettings,
    status: Arc<Status>,
    news: Arc<News>,
    /// Whether the stream was there when it was last looked for.
    stream_seen: bool,
    /// Causes that have been logged since something last went well; at most [`SAID_MAX`].
    said: HashSet<String>,
}

/// Beyond this many different causes in a row nothing more is learned from the log.
const SAID_MAX: usize = 100;

/// One walk through the outbox, past the messages that are held back.
struct Pass {
    after: i64,
    /// Findings of which a message was refused; at most [`Pass::HELD_MAX`], beyond which the walk waits.
    held: HashSet<String>,
    /// The last refusal, in words.
    refusal: Option<String>,
    /// When the next walk begins, if anything is held back.
    again: Instant,
}

impl Pass {
    const HELD_MAX: usize = 1000;

    fn new() -> Self {
        Self {
            after: 0,
            held: HashSet::new(),
            refusal: None,
            again: Instant::now(),
        }
    }

    fn is_over(&self) -> bool {
        !self.held.is_empty() && Instant::now() >= self.again
    }
}

impl Publisher<'_> {
    async fn recall(&mut self, recall: Recall) {
        let Recall { source, mut reply } = recall;
        let recalled = tokio::select! {
            recalled = self.read_back(&source) => recalled,
            () = reply.closed() => return,
        };
        // It may have been given up just now.
        let _ = reply.send(recalled);
    }

    async fn read_back(&mut self, source: &str) -> Recalled {
        loop {
            self.wait_until_connected().await;
            let prefix = &self.settings.subject_prefix;
            match self.jetstream.recall(prefix, source).await {
                Ok(recalled) => return recalled,
                // Where nothing was ever told, nothing is open.
                Err(Trouble::StreamMissing(_)) => return Recalled::default(),
                Err(trouble) => self.report(&trouble),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn run(&mut self, outbox: &mut Outbox) -> Result<std::convert::Infallible, Gone> {
        let mut pass = Pass::new();
        loop {
            if pass.is_over() {
                pass = Pass::new();
            }
            let full = pass.held.len() >= Pass::HELD_MAX;
            let next = if full {
                None
            } else {
                outbox.next(pass.after).await?
            };
            let Some(pending) = next else {
                tokio::select! {
                    changed = outbox.changed() => changed?,
                    () = tokio::time::sleep_until(pass.again), if !pass.held.is_empty() => {}
                }
                continue;
            };
            pass.after = pending.seq;
            if pass.held.contains(&pending.finding_id) {
                continue;
            }
            self.status.set_in_flight(true);
            let delivered = tokio::select! {
                delivered = self.deliver(&pending) => delivered,
                () = outbox.gone() => return Err(Gone),
            };
            self.status.set_in_flight(false);
            match delivered {
                Ok(()) => {
                    self.went_well(&pass);
                    outbox.sent(pending.seq).await?;
                }
                Err(trouble) => {
                    Outcome::Refused.count();
                    self.report(&trouble);
                    if pass.held.is_empty() {
                        pass.again = Instant::now() + 6 * self.settings.retry_max;
                    }
                    pass.held.insert(pending.finding_id);
                    pass.refusal = Some(trouble.to_string());
                }
            }
        }
    }

    /// Sends `pending` until it is in the stream. The only error is a refusal that waiting does not heal.
    async fn deliver(&mut self, pending: &Pending) -> Result<(), Trouble> {
        let started = Instant::now();
        let mut pause = Duration::from_millis(50);
        let mut unanswered = 0;
        loop {
            self.wait_until_connected().await;
            match self.attempt(pending).await {
                Ok(outcome) => {
                    outcome.count();
                    metrics::histogram!(telemetry::PUBLISH_SECONDS).record(started.elapsed());
                    self.status.acked();
                    return Ok(());
                }
                Err(trouble @ Trouble::Refused(_)) => return Err(trouble),
                Err(trouble) => {
                    metrics::counter!(telemetry::PUBLISH_RETRIES_TOTAL).increment(1);
                    // That somebody else published on the subject is no trouble, only a reason to look again.
                    if !matches!(trouble, Trouble::Raced) {
                        self.report(&trouble);
                    }
                    if matches!(trouble, Trouble::StreamMissing(_)) {
                        self.stream_seen = false;
                    }
                    unanswered = if matches!(trouble, Trouble::Unanswered(_)) {
                        unanswered + 1
                    } else {
                        0
                    };
                }
            }
            if unanswered >= 2 {
                // A connection that carries nothing may still look alive: a new one may reach another server.
                let _ =
                    tokio::time::timeout(self.settings.ack_timeout, self.client.force_reconnect())
                        .await;
            }
            pause = (pause * 2).min(self.settings.retry_max);
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt(&mut self, pending: &Pending) -> Result<Outcome, Trouble> {
        if !self.stream_seen {
            if self.settings.create == Create::IfMissing {
                stream::ensure(&self.jetstream, self.settings).await?;
            }
            self.stream_seen = true;
        }
        let last = self.jetstream.last_on(&pending.subject).await?;
        if last
            .id
            .as_ref()
            .is_some_and(|id| is_at_least(id, &pending.id))
        {
            return Ok(Outcome::Duplicate);
        }
        let duplicate = self.jetstream.publish(pending, last.sequence).await?;
        Ok(if duplicate {
            Outcome::Duplicate
        } else {
            Outcome::Acked
        })
    }

    async fn wait_until_connected(&mut self) {
        let mut problem = "no connection yet".to_owned();
        // The client's own state decides: an event could be lost, as its queue is bounded.
        while self.client.connection_state() != State::Connected {
            set_connected(&self.status, false);
            let second = Duration::from_secs(1);
            if tokio::time::timeout(second, self.news.connected.notified())
                .await
                .is_err()
            {
                problem = self.news.complaint.take().unwrap_or(problem);
                self.report(&Trouble::Away(problem.clone()));
            }
        }
        set_connected(&self.status, true);
    }

    /// Logs `trouble` unless it has been said already.
    fn report(&mut self, trouble: &Trouble) {
        let text = trouble.to_string();
        if self.said.len() < SAID_MAX && self.said.insert(text.clone()) {
            tracing::warn!(problem = %text, "cannot publish findings; trying again until it works");
        }
        self.status.set_trouble(Some(text));
    }

    /// A message has arrived; others may still be held back.
    fn went_well(&mut self, pass: &Pass) {
        if pass.held.is_empty() && !self.said.is_empty() {
            tracing::info!("findings are being published again");
            self.said.clear();
        }
        self.status.set_trouble(pass.refusal.clone());
    }
}

/// Whether the message `found` is `wanted`, or a later revision of the same finding.
fn is_at_least(found: &str, wanted: &str) -> bool {
    fn parts(id: &str) -> Option<(&str, u64)> {
        let (finding, revision) = id.rsplit_once(':')?;
        Some((finding, revision.parse().ok()?))
    }
    match (parts(found), parts(wanted)) {
        (Some((found, later)), Some((wanted, revision))) => found == wanted && later >= revision,
        _ => found == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_revision_of_the_same_finding_makes_an_earlier_one_superfluous() {
        for (found, wanted, superfluous) in [
            ("a:1", "a:1", true),
            ("a:10", "a:9", true),
            ("a:1", "a:2", false),
            ("b:7", "a:1", false),
            ("odd", "odd", true),
            ("odd", "a:1", false),
        ] {
            assert_eq!(is_at_least(found, wanted), superfluous, "{found} {wanted}");
        }
    }
}
