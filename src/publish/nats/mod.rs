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
//! Needed permissions: publish to the subjects and to `$JS.API.STREAM.MSG.GET.<stream>`, subscribe to `_INBOX.>`;
//! for [`Create::IfMissing`] also `$JS.API.STREAM.INFO.<stream>` and `$JS.API.STREAM.CREATE.<stream>`.

mod jetstream;
mod stream;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{
    Gone, NATS_CONNECTED, Outbox, Outcome, PUBLISH_RETRIES_TOTAL, PUBLISH_SECONDS, Pending, Status,
};
use jetstream::{Complaint, JetStream, Trouble};

/// Where messages go, and how patient the publisher is.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsSettings {
    /// Servers, `nats://host:4222` or `tls://host:4222`, separated by commas.
    /// User and password, or a token alone, may stand before an `@`; one of the servers is enough.
    pub url: String,
    /// A credentials file (user JWT and nkey seed), as `nsc` writes it.
    pub credentials: Option<PathBuf>,
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
            credentials: None,
            stream: "OPS_FINDINGS".to_owned(),
            subject_prefix: "ops.findings".to_owned(),
            create: Create::IfMissing,
            ack_timeout: Duration::from_secs(5),
            retry_max: Duration::from_secs(10),
        }
    }
}

/// Without the url, which may hold a password.
impl std::fmt::Debug for NatsSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsSettings")
            .field("credentials", &self.credentials)
            .field("stream", &self.stream)
            .field("subject_prefix", &self.subject_prefix)
            .field("create", &self.create)
            .finish_non_exhaustive()
    }
}

/// Whether the stream is made. One that exists is never altered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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
    /// The credentials file cannot be read.
    #[error("cannot read nats credentials from {path}: {problem}", path = path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// Why not.
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
    // An owner that has gone is the regular end.
    let Err(Gone) = publisher.run(&mut outbox).await;
    Ok(())
}

/// What the connection's task tells the publisher.
#[derive(Default)]
struct News {
    connected: Notify,
    complaint: Complaint,
}

async fn connect(
    settings: &NatsSettings,
    status: &Arc<Status>,
    news: &Arc<News>,
) -> Result<Client, NatsError> {
    let (servers, user) = servers(&settings.url)?;
    let (events_status, events_news) = (Arc::clone(status), Arc::clone(news));
    let mut options = ConnectOptions::new()
        .name("trommel")
        // The first connection may take as long as any other: trommel starts without NATS.
        .retry_on_initial_connect()
        // A dead connection is noticed after three of these.
        .ping_interval(Duration::from_secs(15))
        .event_callback(move |event| {
            on_event(&event, &events_status, &events_news);
            std::future::ready(())
        });
    options = match user {
        Some((user, Some(password))) => options.user_and_password(user, password),
        Some((token, None)) => options.token(token),
        None => options,
    };
    if let Some(path) = &settings.credentials {
        options =
            options
                .credentials_file(path)
                .await
                .map_err(|problem| NatsError::Credentials {
                    path: path.clone(),
                    problem,
                })?;
    }
    options
        .connect(servers)
        .await
        .map_err(|error| NatsError::Url {
            server: String::new(),
            problem: std::io::Error::other(error),
        })
}

fn on_event(event: &Event, status: &Status, news: &News) {
    match event {
        Event::Connected => {
            tracing::info!("connected to nats");
            set_connected(status, true);
            news.connected.notify_one();
        }
        Event::Disconnected => {
            tracing::warn!("connection to nats lost");
            set_connected(status, false);
        }
        // The end of the publisher.
        Event::Closed => set_connected(status, false),
        // Permission violations come this way; the request that caused one is never answered.
        Event::ServerError(error) => news.complaint.set(error.to_string()),
        Event::ClientError(error) => news.complaint.set(error.to_string()),
        event => tracing::debug!(%event, "nats"),
    }
}

fn set_connected(status: &Status, connected: bool) {
    status.set_connected(connected);
    metrics::gauge!(NATS_CONNECTED).set(if connected { 1.0 } else { 0.0 });
}

/// A user, and a password; without one the user is a token.
type UserInfo = Option<(String, Option<String>)>;

/// The addresses of `url` without their user info, and the first user info.
///
/// The client ignores user info in addresses (async-nats 0.51), and shows addresses in its logs.
fn servers(url: &str) -> Result<(Vec<ServerAddr>, UserInfo), NatsError> {
    let mut servers = Vec::new();
    let mut user = None;
    for server in url.split(',').map(str::trim) {
        let wrong = |problem| NatsError::Url {
            server: server
                .rsplit_once('@')
                .map_or(server, |(_, host)| host)
                .to_owned(),
            problem,
        };
        let mut address = server.parse::<ServerAddr>().map_err(wrong)?.into_inner();
        if !address.username().is_empty() && user.is_none() {
            user = Some((
                percent_decode(address.username()),
                address.password().map(percent_decode),
            ));
        }
        // These fail for addresses without a host only, which have no user info either.
        let _ = address.set_password(None);
        let _ = address.set_username("");
        servers.push(ServerAddr::from_url(address).map_err(wrong)?);
    }
    Ok((servers, user))
}

fn percent_decode(text: &str) -> String {
    let mut decoded = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = (byte == b'%')
            .then(|| after.get(..2))
            .flatten()
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        rest = if escaped.is_some() {
            &after[2..]
        } else {
            after
        };
        decoded.push(escaped.unwrap_or(byte));
    }
    String::from_utf8_lossy(&decoded).into_owned()
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
    /// When the next walk begins, if anything is held back.
    again: Instant,
}

impl Pass {
    const HELD_MAX: usize = 1000;

    fn new() -> Self {
        Self {
            after: 0,
            held: HashSet::new(),
            again: Instant::now(),
        }
    }

    fn is_over(&self) -> bool {
        !self.held.is_empty() && Instant::now() >= self.again
    }
}

impl Publisher<'_> {
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
                Ok(()) => outbox.sent(pending.seq).await?,
                Err(trouble) => {
                    Outcome::Refused.count();
                    self.report(&trouble);
                    pass.again = Instant::now() + 6 * self.settings.retry_max;
                    pass.held.insert(pending.finding_id);
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
                    metrics::histogram!(PUBLISH_SECONDS).record(started.elapsed());
                    self.status.acked();
                    self.all_is_well();
                    return Ok(());
                }
                Err(trouble @ Trouble::Refused(_)) => return Err(trouble),
                Err(trouble) => {
                    metrics::counter!(PUBLISH_RETRIES_TOTAL).increment(1);
                    self.report(&trouble);
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

    fn all_is_well(&mut self) {
        if !self.said.is_empty() {
            tracing::info!("findings are being published again");
            self.said.clear();
        }
        self.status.set_trouble(None);
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
    fn user_info_is_taken_out_of_addresses() {
        let (addresses, user) = servers("nats://ops:p%40ss%2@a:4222, tls://b").expect("valid");
        assert_eq!(user, Some(("ops".to_owned(), Some("p@ss%2".to_owned()))));
        let shown: Vec<_> = addresses
            .iter()
            .map(|address| address.as_url_str())
            .collect();
        assert_eq!(shown, ["nats://a:4222", "tls://b"]);
        assert_eq!(
            servers("nats://t0ken@a").expect("valid").1,
            Some(("t0ken".to_owned(), None))
        );
        assert_eq!(servers("127.0.0.1:4222").expect("valid").1, None);
    }

    #[test]
    fn an_error_about_an_address_does_not_show_its_password() {
        let error = servers("http://me:hunter2@host:1").expect_err("no such scheme");
        assert_eq!(
            error.to_string(),
            "`host:1` is not the address of a nats server: invalid scheme for NATS server URL: http"
        );
        let settings = NatsSettings::new("nats://me:hunter2@host".to_owned());
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

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
