//! The few requests of JetStream's API that publishing needs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::header::{
    NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_EXPECTED_STREAM, NATS_MESSAGE_ID,
};
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::RawMessage;
use async_nats::{Client, HeaderMap, HeaderName, HeaderValue, Message, Request};
use bytes::Bytes;
use futures_util::StreamExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::connection::News;
use super::{NatsSettings, Pending, Recalled};

/// Why an attempt to publish failed. All but [`Trouble::Refused`] are worth another attempt.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// There is no connection.
    #[error("nats cannot be reached: {0}")]
    Away(String),
    /// The outcome is unclear.
    #[error("nats did not answer: {0}")]
    Unanswered(String),
    #[error("there is no stream `{0}`")]
    StreamMissing(String),
    #[error("jetstream is not enabled for this account")]
    NoJetStream,
    /// Something was stored on the subject between look-up and publishing.
    #[error("another message came between on the same subject")]
    Raced,
    /// The server says no, for a reason that somebody may do away with.
    #[error("findings cannot be stored: {0}")]
    Server(String),
    /// This message can never be stored in this stream as it is.
    #[error("nats refuses message {0}")]
    Refused(String),
    #[error("nats gave an answer that cannot be read: {0}")]
    Unreadable(String),
}

/// What the connection last complained of. Requests that the server forbids are not answered; only this tells why.
#[derive(Debug, Default)]
pub(super) struct Complaint(Mutex<Option<String>>);

impl Complaint {
    pub(super) fn set(&self, text: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    pub(super) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The last message on a subject.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Last {
    /// Its sequence in the stream; 0 when the subject has none.
    pub(super) sequence: u64,
    /// Its `Nats-Msg-Id`.
    pub(super) id: Option<String>,
}

/// Messages asked for at once, when what is open is read back: up to 64 KiB each.
const RECALL_BATCH: u64 = 100;

/// One stream's API.
pub(super) struct JetStream {
    client: Client,
    stream: String,
    timeout: Duration,
    news: Arc<News>,
}

impl JetStream {
    pub(super) fn new(client: Client, settings: &NatsSettings, news: Arc<News>) -> Self {
        Self {
            client,
            stream: settings.stream.clone(),
            timeout: settings.ack_timeout,
            news,
        }
    }

    /// The last message on `subject`, as the stream's leader sees it.
    ///
    /// By `STREAM.MSG.GET`, not the direct get of newer servers, which a replica may answer that has not heard of it yet.
    pub(super) async fn last_on(&self, subject: &str) -> Result<Last, Trouble> {
        #[derive(Deserialize)]
        struct Found {
            message: RawMessage,
        }
        let query = serde_json::json!({"last_by_subj": subject});
        match self.api::<Found>("STREAM.MSG.GET", &query).await? {
            Ok(Found { message }) => {
                let sequence = message.sequence;
                // Headers that cannot be read are not ours.
                let id = StreamMessage::try_from(message).ok().and_then(|message| {
                    Some(message.headers.get(NATS_MESSAGE_ID)?.as_str().to_owned())
                });
                Ok(Last { sequence, id })
            }
            Err((ErrorCode::NO_MESSAGE_FOUND, _)) => Ok(Last::default()),
            Err((_, text)) => Err(Trouble::Server(text)),
        }
    }

    /// Publishes `pending`, provided that `expected` is still the last sequence on its subject.
    /// Tells whether the stream had it already.
    pub(super) async fn publish(&self, pending: &Pending, expected: u64) -> Result<bool, Trouble> {
        let refused =
            |why: &str| Trouble::Refused(format!("{} on {}: {why}", pending.id, pending.subject));
        let mut headers = HeaderMap::new();
        for (name, value) in &pending.headers {
            let name: HeaderName = name
                .parse()
                .map_err(|_| refused("a header's name is invalid"))?;
            let value: HeaderValue = value
                .parse()
                .map_err(|_| refused("a header's value is invalid"))?;
            headers.insert(name, value);
        }
        headers.insert(NATS_MESSAGE_ID, pending.id.as_str());
        headers.insert(NATS_EXPECTED_STREAM, self.stream.as_str());
        headers.insert(
            NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
            HeaderValue::from(expected),
        );
        let request = Request::new()
            .headers(headers)
            .payload(Bytes::from(pending.body.clone()));
        let answer = match self.request(pending.subject.clone(), request).await? {
            Answer::Message(answer) => answer,
            // The look-up before this found the stream.
            Answer::Nobody => {
                let (stream, subject) = (&self.stream, &pending.subject);
                return Err(Trouble::Server(format!(
                    "stream `{stream}` does not capture {subject}"
                )));
            }
            Answer::TooLarge(why) => return Err(refused(&why)),
        };
        match read::<PublishAck>(&answer.payload)? {
            Ok(ack) => Ok(ack.duplicate),
            Err((code, text)) => Err(match code {
                ErrorCode::STREAM_WRONG_LAST_SEQUENCE
                | ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT
                | ErrorCode::STREAM_DUPLICATE_MESSAGE_CONFLICT => Trouble::Raced,
                ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM
                | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM => refused(&text),
                _ => Trouble::Server(text),
            }),
        }
    }

    /// Reads the last message on each subject of a finding below `prefix`, by a consumer that the server forgets when nobody asks it any more.
    pub(super) async fn recall(&self, prefix: &str, source: &str) -> Result<Recalled, Trouble> {
        #[derive(Deserialize)]
        struct Created {
            name: String,
            num_pending: u64,
        }
        let query = serde_json::json!({"stream_name": self.stream, "config": {
            "deliver_policy": "last_per_subject",
            "ack_policy": "none",
            "replay_policy": "instant",
            "filter_subject": format!("{prefix}.*.*.*"),
            "inactive_threshold": 30_000_000_000_u64,
            "mem_storage": true,
        }});
        let created = self.api::<Created>("CONSUMER.CREATE", &query).await?;
        let Created { name, num_pending } = created.map_err(|(_, text)| Trouble::Server(text))?;
        let mut recalled = Recalled::default();
        let mut left = num_pending;
        while left > 0 {
            let batch = left.min(RECALL_BATCH);
            self.next_of(&name, batch, source, &mut recalled).await?;
            left -= batch;
        }
        Ok(recalled)
    }

    /// Asks the consumer `name` for its next `batch` messages, and takes them in.
    async fn next_of(
        &self,
        name: &str,
        batch: u64,
        source: &str,
        recalled: &mut Recalled,
    ) -> Result<(), Trouble> {
        let unanswered = |why: String| Trouble::Unanswered(why);
        let inbox = self.client.new_inbox();
        let mut answers = self
            .client
            .subscribe(inbox.clone())
            .await
            .map_err(|error| unanswered(error.to_string()))?;
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{name}", self.stream);
        let query = serde_json::json!({"batch": batch, "expires": self.timeout.as_nanos() as u64});
        self.client
            .publish_with_reply(subject, inbox, query.to_string().into())
            .await
            .map_err(|error| unanswered(error.to_string()))?;
        for _ in 0..batch {
            let answer = tokio::time::timeout(self.timeout, answers.next()).await;
            let Ok(Some(message)) = answer else {
                return Err(unanswered(format!("nothing within {:?}", self.timeout)));
            };
            if let Some(status) = message.status {
                return Err(unanswered(format!("status {status} instead of messages")));
            }
            recalled.take(source, &message.payload);
        }
        Ok(())
    }

    /// Calls `$JS.API.<verb>.<stream>`. The inner error is the server's own: its code, and its words.
    pub(super) async fn api<T: DeserializeOwned>(
        &self,
        verb: &str,
        query: &impl serde::Serialize,
    ) -> Result<Result<T, (ErrorCode, String)>, Trouble> {
        let subject = format!("$JS.API.{verb}.{}", self.stream);
        let query =
            serde_json::to_vec(query).map_err(|error| Trouble::Unreadable(error.to_string()))?;
        let answer = match self
            .request(subject, Request::new().payload(query.into()))
            .await?
        {
            Answer::Message(answer) => answer,
            Answer::Nobody => return Err(Trouble::NoJetStream),
            Answer::TooLarge(why) => return Err(Trouble::Server(why)),
        };
        match read(&answer.payload)? {
            Err((ErrorCode::STREAM_NOT_FOUND, _)) => {
                Err(Trouble::StreamMissing(self.stream.clone()))
            }
            Err((
                ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT,
                _,
            )) => Err(Trouble::NoJetStream),
            answer => Ok(answer),
        }
    }

    async fn request(&self, subject: String, request: Request) -> Result<Answer, Trouble> {
        // The client's shared inbox remembers requests that are never answered for ever (async-nats 0.51), so each
        // has an inbox of its own. The time-out is around it all: a full queue of commands waits, too.
        let request = request.inbox(self.client.new_inbox()).timeout(None);
        self.news.complaint.take();
        let answered =
            tokio::time::timeout(self.timeout, self.client.send_request(subject, request)).await;
        let Ok(answered) = answered else {
            let why = self
                .news
                .complaint
                .take()
                .unwrap_or_else(|| format!("nothing within {:?}", self.timeout));
            return Err(Trouble::Unanswered(why));
        };
        match answered {
            Ok(message) => Ok(Answer::Message(message)),
            Err(error) => match error.kind() {
                RequestErrorKind::NoResponders => Ok(Answer::Nobody),
                RequestErrorKind::MaxPayloadExceeded => Ok(Answer::TooLarge(error.to_string())),
                _ => Err(Trouble::Unanswered(error.to_string())),
            },
        }
    }
}

enum Answer {
    Message(Message),
    /// Nobody listens on the subject.
    Nobody,
    /// The server's limit would not let it pass.
    TooLarge(String),
}

fn read<T: DeserializeOwned>(payload: &[u8]) -> Result<Result<T, (ErrorCode, String)>, Trouble> {
    match serde_json::from_slice(payload) {
        Ok(Response::Ok(value)) => Ok(Ok(value)),
        Ok(Response::Err { error }) => Ok(Err((error.error_code(), error.to_string()))),
        Err(error) => Err(Trouble::Unreadable(error.to_string())),
    }
}
