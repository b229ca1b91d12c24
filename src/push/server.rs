//! The push port: HTTP/1.1 with keep-alive, as Alloy speaks it to Loki.
//!
//! Alloy sends to its endpoints one after the other, so what this server does under load decides whether Loki gets its logs:
//! it never answers 429 or 5xx for being busy, and it answers within [`Limits::answer_within`] of a body's last byte.
//! What it could not inspect by then is counted as shed, what is not yet on disk as early; see [`Pressure`].
//!
//! | request | answer |
//! |---|---|
//! | `POST /loki/api/v1/push`, `POST /api/prom/push` | 204; 400, 408, 413, 422 for what the client did |
//! | `GET /ready` | 200, or 503 while leaving; to everybody |
//! | `GET /` | 200, what this is |
//! | whatever else the [`Gate`] does not let in | 401, or 403 for want of a certificate, before the body is read |

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::available_parallelism;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout_at};

use super::budget::{Budget, Claim};
use super::connection::{Activity, Watched};
use super::decode::{Form, Scratch};
use super::inspect::Inspect;
use super::interner::Interner;
use super::limits::Limits;
use super::pool::Pool;
use crate::access::{Gate, Listener, Peer};
use crate::hit::{Generation, Scanned};
use crate::telemetry::{self, Durations};
use crate::time::{Timestamp, WallClock};

/// A scanned request that waits to be applied and recorded.
#[derive(Debug)]
pub struct Submission {
    /// What the request says.
    pub scanned: Scanned,
    /// To which rule set.
    pub generation: Generation,
    /// What it says to the rule set that takes over, while one does.
    pub successor: Option<Box<(Generation, Scanned)>>,
    /// Wall clock at receipt.
    pub received: Timestamp,
    /// Told once the effect is on disk; dropped without a word when it could not be recorded.
    pub recorded: oneshot::Sender<()>,
    /// The room that the hits take. Also after their request was answered at its deadline: what waits for the owner stays within the budget.
    /// None for what takes no room of a request.
    #[expect(dead_code, reason = "given back when dropped")]
    pub(crate) room: Option<Claim>,
}

impl Submission {
    /// Takes what the request says to the rule set `generation`; `None` if it was not inspected for that.
    pub fn take_for(&mut self, generation: Generation) -> Option<Scanned> {
        if self.generation == generation {
            return Some(std::mem::take(&mut self.scanned));
        }
        let (of, scanned) = *self.successor.take()?;
        (of == generation).then_some(scanned)
    }
}

/// What load made us do, and when we last had anything to do: for the findings about ourselves.
#[derive(Debug, Default)]
pub struct Pressure {
    /// Wall clock when something was last pushed that was not refused, in nanoseconds since the epoch; 0 before the first.
    pub pushed_at: AtomicI64,
    /// Entries that were decoded.
    pub entries: AtomicU64,
    /// How long answers took, from the last byte of a request's body.
    pub answers: Durations,
    /// Entries that were decoded, answered with 204, and not inspected or not handed on.
    pub shed_entries: AtomicU64,
    /// Requests that were discarded unread, answered with 204: nobody knows how many entries they had.
    pub shed_requests: AtomicU64,
    /// Entries that were answered with 204 before their effect was on disk.
    pub early_entries: AtomicU64,
}

impl Pressure {
    /// Entries shed, requests shed and entries early, since the start.
    #[must_use]
    pub fn counted(&self) -> [u64; 3] {
        [&self.shed_entries, &self.shed_requests, &self.early_entries]
            .map(|count| count.load(Ordering::Relaxed))
    }
}

/// How far the process is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It is not.
    Serving,
    /// `/ready` says no and connections are closed after their answer, but every request is served.
    Leaving,
    /// No connection is accepted; requests under way end by the given time, or are cut off then.
    Stopping {
        /// That time.
        by: Instant,
    },
}

/// The push server: what all its connections share.
pub struct Server {
    pub(super) limits: Limits,
    pub(super) interner: Interner,
    pub(super) owner: mpsc::Sender<Submission>,
    pub(super) pressure: Arc<Pressure>,
    pub(super) clock: WallClock,
    pub(super) room_for_bodies: Budget,
    pub(super) room_for_blocks: Budget,
    /// One for each core: whoever has one may decode and inspect.
    pub(super) turns: Semaphore,
    pub(super) scratches: Pool<Scratch>,
    pub(super) bodies: Pool<Vec<u8>>,
    gate: Arc<Gate>,
    inspect: RwLock<Arc<dyn Inspect>>,
}

/// Rest after a connection could not be accepted, for want of file descriptors mostly: trying at once would only spin.
const ACCEPT_REST: Duration = Duration::from_millis(100);

impl Server {
    /// A server that inspects with `inspect` and hands on to the owner through `owner`, whose capacity bounds what waits there.
    /// `clock` says when a request was received; how long anything takes is measured otherwise, whatever it says.
    #[must_use]
    pub fn new(
        limits: Limits,
        inspect: Arc<dyn Inspect>,
        owner: mpsc::Sender<Submission>,
        pressure: Arc<Pressure>,
        clock: WallClock,
    ) -> Self {
        Self {
            interner: Interner::new(limits.streams_interned_max),
            room_for_bodies: Budget::new(limits.bytes_in_flight_max / 2),
            room_for_blocks: Budget::new(limits.bytes_in_flight_max / 2),
            turns: Semaphore::new(available_parallelism().map_or(1, NonZeroUsize::get)),
            scratches: Pool::new(limits.kept_bytes_max / 2),
            bodies: Pool::new(limits.kept_bytes_max / 2),
            limits,
            owner,
            pressure,
            gate: Arc::new(Gate::wide_open(Listener::Push)),
            clock,
            inspect: RwLock::new(inspect),
        }
    }

    /// The same, for those only whom `gate` lets in.
    #[must_use]
    pub fn behind(self, gate: Arc<Gate>) -> Self {
        Self { gate, ..self }
    }

    /// Inspects requests from now on with `inspect`; those under way go on with what they began with, and keep it until they have
    /// been handed on, or have failed to be. So once it is dropped, all that it has seen is with the owner.
    pub fn set_inspect(&self, inspect: Arc<dyn Inspect>) {
        *self.inspect.write().unwrap_or_else(PoisonError::into_inner) = inspect;
    }

    pub(super) fn inspect(&self) -> Arc<dyn Inspect> {
        self.inspect
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Serves `listener` until `phase` says to stop, or its sender is gone, which stops at once.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, mut phase: watch::Receiver<Phase>) {
        let mut connections = JoinSet::new();
        let by = loop {
            while let Some(ended) = connections.try_join_next() {
                log_panic(ended);
            }
            metrics::gauge!(telemetry::CONNECTIONS).set(connections.len() as f64);
            let to_come = phase.clone();
            tokio::select! {
                by = stopping(&mut phase) => break by,
                Some(ended) = connections.join_next() => log_panic(ended),
                accepted = listener.accept() => match accepted {
                    Ok(_) if connections.len() >= self.limits.connections_max => {
                        metrics::counter!(telemetry::CONNECTIONS_REFUSED_TOTAL).increment(1);
                    }
                    Ok((socket, _)) => {
                        connections.spawn(self.clone().serve_connection(socket, to_come));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        sleep(ACCEPT_REST).await;
                    }
                },
            }
        };
        drop(listener);
        let all_ended = async {
            while let Some(ended) = connections.join_next().await {
                log_panic(ended);
            }
        };
        let in_time = timeout_at(by, all_ended).await.is_ok();
        if !in_time {
            tracing::warn!(connections = connections.len(), "cutting off connections");
        }
        connections.shutdown().await;
        metrics::gauge!(telemetry::CONNECTIONS).set(0.0);
    }

    /// Shakes hands where TLS is spoken, and serves what comes of it.
    async fn serve_connection(
        self: Arc<Self>,
        socket: TcpStream,
        mut phase: watch::Receiver<Phase>,
    ) {
        // An answer is one small packet; without this it may wait for the client's acknowledgement of the one before.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        if !self.gate.has_tls() {
            return self.serve_stream(socket, Peer::default(), phase).await;
        }
        let stream = tokio::select! {
            stream = self.gate.accept(socket, self.limits.header_read) => stream,
            _ = stopping(&mut phase) => None,
        };
        if let Some(stream) = stream {
            let peer = Peer::of(&stream);
            self.serve_stream(stream, peer, phase).await;
        }
    }

    async fn serve_stream(
        self: Arc<Self>,
        socket: impl AsyncRead + AsyncWrite + Unpin,
        peer: Peer,
        mut phase: watch::Receiver<Phase>,
    ) {
        let activity = Activity::new();
        let io = Watched::new(socket, activity.clone());
        let now = phase.clone();
        let service = service_fn(|request| {
            activity.busy();
            let (server, activity, now, peer) = (&self, &activity, &now, &peer);
            async move {
                let response = server.answer(request, peer, now).await;
                activity.idle();
                Ok::<_, Infallible>(response)
            }
        });
        let mut http = http1::Builder::new();
        // Whoever has said everything may close its half: what was sent whole is inspected, counted and answered, and so is that of a
        // client that has gone meanwhile, which would otherwise be dropped half way, uncounted.
        http.header_read_timeout(None)
            .half_close(true)
            .max_buf_size(Limits::READ_AHEAD_BYTES_MAX);
        let connection = http.serve_connection(TokioIo::new(io), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = &mut connection => ended,
            stage = activity.out_of_time(self.limits.header_read, self.limits.idle) => {
                metrics::counter!(telemetry::CONNECTIONS_TIMED_OUT_TOTAL, "stage" => stage.word()).increment(1);
                return;
            }
            _ = stopping(&mut phase) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "connection ended");
            metrics::counter!(telemetry::CONNECTIONS_BROKEN_TOTAL, "reason" => broken_by(&error))
                .increment(1);
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        peer: &Peer,
        phase: &watch::Receiver<Phase>,
    ) -> Response<Full<Bytes>> {
        let is_get = matches!(*request.method(), Method::GET | Method::HEAD);
        let is_post = request.method() == Method::POST;
        // Probes of Kubernetes have no secrets to show.
        let is_probe = is_get && request.uri().path() == "/ready";
        if !is_probe && let Err(refusal) = self.gate.judge(peer, request.headers()) {
            return self.refuse_unread(request, self.gate.answer(refusal));
        }
        let leaving = || *phase.borrow() != Phase::Serving;
        let mut response = match request.uri().path() {
            "/loki/api/v1/push" if is_post => self.push(Form::V1, request).await,
            "/api/prom/push" if is_post => self.push(Form::Legacy, request).await,
            "/loki/api/v1/push" | "/api/prom/push" => {
                self.refuse(request, method_not_allowed("POST")).await
            }
            "/ready" if is_get && leaving() => text(StatusCode::SERVICE_UNAVAILABLE, "stopping"),
            "/ready" if is_get => text(StatusCode::OK, "ready"),
            "/" if is_get => text(
                StatusCode::OK,
                concat!(
                    "trommel ",
                    env!("CARGO_PKG_VERSION"),
                    ": detects in logs pushed to /loki/api/v1/push"
                ),
            ),
            "/ready" | "/" => self.refuse(request, method_not_allowed("GET, HEAD")).await,
            _ => {
                self.refuse(request, text(StatusCode::NOT_FOUND, "not found"))
                    .await
            }
        };
        // Strangers do not keep connections that others may want.
        if leaving() || (is_probe && self.gate.asks_anything()) {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        response
    }
}

/// Waits until it is time to stop, and says until when.
async fn stopping(phase: &mut watch::Receiver<Phase>) -> Instant {
    match phase
        .wait_for(|phase| matches!(phase, Phase::Stopping { .. }))
        .await
        .as_deref()
    {
        Ok(Phase::Stopping { by }) => *by,
        _ => Instant::now(),
    }
}

/// What ended a connection, as a label. Headers that cannot be read are answered by hyper itself, so no other counter sees them.
fn broken_by(error: &hyper::Error) -> &'static str {
    if error.is_parse_too_large() {
        "header_too_large"
    } else if error.is_parse() {
        "malformed"
    } else {
        // Closed or reset before all was said, or before the answer was taken.
        "cut_off"
    }
}

fn log_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}

/// An answer of one line.
pub(super) fn text(status: StatusCode, line: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{line}\n")));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

fn method_not_allowed(allow: &'static str) -> Response<Full<Bytes>> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
    let allow = HeaderValue::from_static(allow);
    response.headers_mut().insert(ALLOW, allow);
    response
}
