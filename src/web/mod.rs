//! The admin listener: metrics, health, findings and rules, for whoever operates trommel.
//!
//! It has its own port, so that a flood of pushes does not hide what is wrong and the push port can be open where this
//! one is not. Whom its [`Gate`] does not let in sees nothing but health; who may change something is said in `visitor`; what it
//! answers comes from the database, from the rule set in use and from the metrics, each through one handle in [`Admin`].

mod answer;
mod api;
mod assets;
mod events;
mod form;
mod marks;
mod page;
mod paging;
mod router;
mod trying;
mod visitor;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::ServiceExt;
use tracing::{debug, warn};

use crate::access::{Addresses, Gate, Peer};
use crate::acts::Acts;
use crate::owner::Standing;
use crate::record::Archive;
use crate::reload::{Reloads, Status};
use crate::rules::RuleSet;
use crate::telemetry::{CONNECTIONS_REFUSED_TOTAL, Telemetry};
use crate::time::WallClock;
use crate::workshop::Workshop;

pub use api::{openapi, rule_list};
pub use trying::Trying;

/// Connections served at once: a few scrapers, probes, and people with pages that keep themselves up to date. Further ones are closed at
/// once and counted.
const CONNECTIONS_MAX: usize = 64;
/// Time for a request's headers, and for the next request on an idle connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Age at which a connection is closed after the answer it is at: ends readers that never finish reading.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(600);
/// Time that a connection has to end once it was told to.
const GRACE: Duration = Duration::from_secs(5);
/// Pause after the system refuses to accept, as it does when there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the admin listener shows.
pub struct Admin {
    /// What has been measured.
    pub telemetry: Telemetry,
    /// The database.
    pub archive: Archive,
    /// Told when a finding has changed.
    pub changed: watch::Receiver<()>,
    /// How things stand with database, outbox and NATS; who waits wakes for what people should see.
    pub standing: watch::Receiver<Standing>,
    /// The rules in use.
    pub rules: watch::Receiver<Arc<RuleSet>>,
    /// Where rule files are looked at and changed.
    pub workshop: Workshop,
    /// Ids of rules whose selector has matched no stream for a day.
    pub unselected: watch::Receiver<Vec<String>>,
    /// How things stand with rules and settings.
    pub status: watch::Receiver<Status>,
    /// Has rules and settings read anew.
    pub reloads: Reloads,
    /// Has what people do done, and written down.
    pub acts: Acts,
    /// The wall clock.
    pub clock: WallClock,
    /// Whether the push port is answered. NATS has no part in it: without NATS pushes are taken all the same.
    pub ready: watch::Receiver<bool>,
    /// What rules are tried with.
    pub trying: Trying,
}

/// Answers on `listener` until `stop` is true or its sender is gone; then ends open connections within five seconds.
///
/// Whom `gate` does not let in is refused, save probes.
pub async fn serve(
    listener: TcpListener,
    admin: Arc<Admin>,
    gate: Arc<Gate>,
    mut stop: watch::Receiver<bool>,
) {
    let router = router::router(admin, Arc::clone(&gate));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|&stop| stop) => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok(_) if connections.len() >= CONNECTIONS_MAX => {
                metrics::counter!(CONNECTIONS_REFUSED_TOTAL).increment(1);
            }
            Ok((socket, client)) => {
                let addresses = addresses(&listener, &socket, client);
                let (router, gate, stop) = (router.clone(), Arc::clone(&gate), stop.clone());
                connections.spawn(begin(socket, addresses, router, gate, stop));
            }
            Err(error) => {
                warn!(%error, "the admin listener cannot accept");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    while connections.join_next().await.is_some() {}
}

/// Both ends of a connection; `None` when it has just ended.
fn addresses(listener: &TcpListener, socket: &TcpStream, client: SocketAddr) -> Option<Addresses> {
    Some(Addresses {
        client,
        own: socket.local_addr().ok()?,
        listener: listener.local_addr().ok()?,
    })
}

/// Shakes hands where TLS is spoken, and serves what comes of it.
async fn begin(
    socket: TcpStream,
    addresses: Option<Addresses>,
    router: Router,
    gate: Arc<Gate>,
    mut stop: watch::Receiver<bool>,
) {
    if !gate.has_tls() {
        let peer = Peer::default().at(addresses);
        return connection(socket, router, peer, stop).await;
    }
    let stream = tokio::select! {
        stream = gate.accept(socket, HEADER_TIMEOUT) => stream,
        _ = stop.wait_for(|&stop| stop) => None,
    };
    if let Some(stream) = stream {
        let peer = Peer::of(&stream).at(addresses);
        connection(stream, router, peer, stop).await;
    }
}

/// Serves one connection until the client ends it, it is too old, or `stop`.
async fn connection(
    socket: impl AsyncRead + AsyncWrite + Unpin + 'static,
    router: Router,
    peer: Peer,
    mut stop: watch::Receiver<bool>,
) {
    let service = service_fn(|request: hyper::Request<_>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer.clone());
        router.clone().oneshot(request)
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(socket), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = sleep(CONNECTION_AGE_MAX) => None,
        _ = stop.wait_for(|&stop| stop) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            timeout(GRACE, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        // A client that hangs up is no concern of the operator's.
        debug!(%error, "admin connection ended");
    }
}

#[cfg(test)]
mod tests {
    use axum::Extension;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::task::JoinHandle;

    use super::*;
    use crate::access::Listener;
    use crate::acts::acts;
    use crate::record::FindingRow;
    use crate::record::testing::archive_of;
    use crate::reload::reloads;
    use crate::telemetry;
    use crate::time::Timestamp;

    impl Admin {
        /// Of a trommel without rules that has found `findings`.
        pub(super) fn without_rules(findings: Vec<FindingRow>, ready: bool) -> Self {
            Self {
                telemetry: telemetry::install(),
                archive: archive_of(findings),
                changed: watch::channel(()).1,
                standing: watch::channel(Standing::of_start(Timestamp::new(0))).1,
                rules: watch::channel(Arc::new(RuleSet::default())).1,
                workshop: Workshop::empty(),
                unselected: watch::channel(Vec::new()).1,
                status: watch::channel(Status::loaded(Timestamp::new(0))).1,
                reloads: reloads().0,
                acts: acts().0,
                clock: Arc::new(|| Timestamp::new(0)),
                ready: watch::channel(ready).1,
                trying: Trying::without_rules(),
            }
        }

        /// Of a trommel with the rules that ship, which has found nothing.
        pub(super) fn with_shipped_rules() -> Self {
            let workshop = Workshop::of_paths(Vec::new(), None);
            Self {
                rules: workshop.in_use(),
                workshop,
                ..Self::without_rules(Vec::new(), true)
            }
        }

        /// What it answers to anybody on the same host.
        pub(super) fn routes(self) -> Router {
            let gate = Gate::wide_open(Listener::Admin);
            let here: SocketAddr = "127.0.0.1:3102".parse().expect("an address");
            let anybody = Extension(Peer::default().at(Some(Addresses {
                client: here,
                own: here,
                listener: here,
            })));
            router::router(Arc::new(self), Arc::new(gate)).layer(anybody)
        }
    }

    /// A connection that is served until it is told to stop.
    fn serving(server: DuplexStream, stopped: watch::Receiver<bool>) -> JoinHandle<()> {
        let routes = Admin::without_rules(Vec::new(), true).routes();
        tokio::spawn(connection(server, routes, Peer::default(), stopped))
    }

    #[tokio::test]
    async fn a_connection_serves_several_requests_and_ends_when_told_to() {
        let (mut client, server) = duplex(1 << 16);
        let (stop, stopped) = watch::channel(false);
        let serving = serving(server, stopped);
        for _ in 0..2 {
            let request = "HEAD /livez HTTP/1.1\r\nhost: x\r\n\r\n";
            client.write_all(request.as_bytes()).await.expect("open");
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n") {
                answer.push(client.read_u8().await.expect("an answer"));
            }
            let answer = String::from_utf8(answer).expect("text");
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            assert!(answer.contains("content-length: 3\r\n"), "{answer}");
        }
        stop.send(true).expect("the connection listens");
        serving.await.expect("it ends");
        assert_eq!(client.read(&mut [0]).await.expect("closed"), 0);
    }

    #[tokio::test]
    async fn bytes_that_are_no_http_end_the_connection() {
        let (mut client, server) = duplex(1 << 16);
        let (_stop, stopped) = watch::channel(false);
        let serving = serving(server, stopped);
        client
            .write_all(b"\x16\x03\x01\0\xff\r\n\r\n")
            .await
            .expect("open");
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("closed");
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        serving.await.expect("it ends");
    }
}
