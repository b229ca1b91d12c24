//! `trommel nats setup`: every stream that trommel and the consumers of its findings need, made where it is missing.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use async_nats::connection::State;
use async_nats::jetstream::stream::Config;

use super::connection::{News, connect};
use super::jetstream::{JetStream, Trouble};
use super::stream::{differences, findings, look_up, make, of_consumers};
use super::{NatsError, NatsSettings};
use crate::publish::Status;

/// One stream, as it was found or made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamReport {
    /// Its name.
    pub name: String,
    /// What there is to say about it.
    pub state: StreamState,
}

/// What there is to say about a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamState {
    /// It was missing, and is there now.
    Made,
    /// It is missing, and was not to be made.
    Missing,
    /// It was there, and loses nothing that trommel's would keep.
    Fine,
    /// It was there, and is left as it is: in words, what in it would lose messages.
    Differs(Vec<String>),
}

/// Why streams cannot be made or looked at.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Settings that cannot work.
    #[error(transparent)]
    Settings(#[from] NatsError),
    /// There is no server that lets us in.
    #[error("nats cannot be reached within {patience:?}: {why}")]
    Away {
        /// How long it was tried.
        patience: Duration,
        /// What the server or the network said last.
        why: String,
    },
    /// The server has no answer, or says no.
    #[error("stream `{name}`: {why}")]
    Stream {
        /// The stream's name.
        name: String,
        /// What it said.
        why: String,
    },
}

/// Looks at the stream of findings and at those for what consumers make of them, each with `replicas` replicas, and unless
/// `only_look` says otherwise makes those that are missing. One that exists is never altered.
///
/// Connecting may take `patience`. Needed permissions: publish to `$JS.API.STREAM.INFO.*` and `$JS.API.STREAM.CREATE.*`, subscribe to
/// `_INBOX.trommel.>`.
///
/// # Errors
/// When the server cannot be reached, or refuses to answer for a stream; those before it have been made.
pub async fn set_up_streams(
    settings: &NatsSettings,
    replicas: usize,
    only_look: bool,
    patience: Duration,
) -> Result<Vec<StreamReport>, SetupError> {
    let news = Arc::new(News::default());
    let client = connect(settings, &Arc::new(Status::default()), &news).await?;
    wait_for(&client, &news, patience).await?;
    let mut reports = Vec::new();
    for wanted in std::iter::once(findings(settings)).chain(of_consumers()) {
        let wanted = Config {
            num_replicas: replicas,
            ..wanted
        };
        let of_this = NatsSettings {
            stream: wanted.name.clone(),
            ..settings.clone()
        };
        let jetstream = JetStream::new(client.clone(), &of_this, Arc::clone(&news));
        let state = set_up(&jetstream, &wanted, only_look)
            .await
            .map_err(|trouble| SetupError::Stream {
                name: wanted.name.clone(),
                why: trouble.to_string(),
            })?;
        reports.push(StreamReport {
            name: wanted.name,
            state,
        });
    }
    Ok(reports)
}

async fn set_up(
    jetstream: &JetStream,
    wanted: &Config,
    only_look: bool,
) -> Result<StreamState, Trouble> {
    if look_up(jetstream).await?.is_none() {
        if only_look {
            return Ok(StreamState::Missing);
        }
        match make(jetstream, wanted).await {
            Ok(()) => return Ok(StreamState::Made),
            // Another setup, or trommel, made it just now.
            Err(Trouble::Raced) => {}
            Err(trouble) => return Err(trouble),
        }
    }
    let actual = look_up(jetstream).await?;
    let differences = actual.map_or_else(Vec::new, |actual| differences(&actual, wanted));
    Ok(if differences.is_empty() {
        StreamState::Fine
    } else {
        StreamState::Differs(differences)
    })
}

/// Waits until `client` is connected.
async fn wait_for(client: &Client, news: &News, patience: Duration) -> Result<(), SetupError> {
    let connected = tokio::time::timeout(patience, async {
        while client.connection_state() != State::Connected {
            // The event may have come before this, so the client's own state is asked again and again.
            let _ =
                tokio::time::timeout(Duration::from_millis(100), news.connected.notified()).await;
        }
    });
    connected.await.map_err(|_| SetupError::Away {
        patience,
        why: news
            .complaint
            .take()
            .unwrap_or_else(|| "nobody answers".to_owned()),
    })
}
