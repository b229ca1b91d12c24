//! The connection: made and kept up in the background, with what it has to tell.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, Event, ServerAddr};
use tokio::sync::Notify;

use super::jetstream::Complaint;
use super::{NatsError, NatsSettings};
use crate::publish::Status;
use crate::telemetry::NATS_CONNECTED;

/// What the connection's task tells the publisher.
#[derive(Default)]
pub(super) struct News {
    pub(super) connected: Notify,
    pub(super) complaint: Complaint,
}

/// A client that connects in the background, as often as it takes.
pub(super) async fn connect(
    settings: &NatsSettings,
    status: &Arc<Status>,
    news: &Arc<News>,
) -> Result<Client, NatsError> {
    let (servers, user) = servers(&settings.url)?;
    let (events_status, events_news) = (Arc::clone(status), Arc::clone(news));
    let mut options = settings
        .login
        .options()
        .name("trommel")
        // Answers come below a prefix of their own, so that permissions can keep them from other clients, and theirs from us.
        .custom_inbox_prefix("_INBOX.trommel")
        // The first connection may take as long as any other: trommel starts without NATS.
        .retry_on_initial_connect()
        // A dead connection is noticed after three of these.
        .ping_interval(Duration::from_secs(15))
        .event_callback(move |event| {
            on_event(&event, &events_status, &events_news);
            std::future::ready(())
        });
    options = settings.tls.add_to(options);
    options = match user {
        Some((user, Some(password))) => options.user_and_password(user, password),
        Some((token, None)) => options.token(token),
        None => options,
    };
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

/// Says so wherever it is shown.
pub(super) fn set_connected(status: &Status, connected: bool) {
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
}
