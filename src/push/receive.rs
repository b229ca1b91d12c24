//! One push, from its header to its answer: read the body within bounds, decode, inspect, hand on, and wait no longer than allowed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, EXPECT, HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;
use tokio::task::block_in_place;
use tokio::time::{Instant, timeout_at};

use super::budget::Claim;
use super::decode::{DecodeError, Encoded, Form};
use super::inspect::{Inspect, Inspected, held_bytes, inspect_in_time};
use super::limits::Limits;
use super::server::Submission;
use super::server::{Server, text};
use crate::telemetry;
use crate::time::Timestamp;

/// Room for a body is taken in steps of this many bytes as it arrives, or all of a shorter rest at once. So a usual body waits in line
/// before it costs much, and a slow sender of a large one holds little more than it has sent.
const BODY_STEP_BYTES: usize = 1 << 20;

/// Room for the first bytes of a body, taken before any of it is read. Until they are there it has no more: whoever announces much
/// and sends it byte by byte keeps nobody else out, on [`Limits::connections_max`] connections neither (16 MiB of 32 by default).
const BODY_FIRST_BYTES: usize = 16 << 10;

/// How a body's arrival ended.
enum Arrival {
    Whole,
    TooLarge {
        bytes: usize,
    },
    /// For want of room; that many bytes were read and forgotten.
    NoRoom {
        discarded: usize,
    },
    TimedOut,
    Broken,
}

impl Arrival {
    /// What becomes of a body that did not arrive whole.
    fn outcome(self, limits: &Limits) -> Outcome {
        let (reason, status, text) = match self {
            Self::NoRoom { discarded } => return Outcome::Unread { discarded },
            Self::TooLarge { bytes } => {
                return DecodeError::TooLarge {
                    what: "has at least",
                    bytes,
                    bytes_max: limits.body_bytes_max,
                }
                .into();
            }
            Self::TimedOut => (
                "timeout",
                StatusCode::REQUEST_TIMEOUT,
                format!("body took longer than {:?}", limits.body_read),
            ),
            Self::Broken | Self::Whole => (
                "broken",
                StatusCode::BAD_REQUEST,
                "body ended early".to_owned(),
            ),
        };
        Outcome::Refused {
            reason,
            status,
            text,
        }
    }
}

/// What became of a request.
enum Outcome {
    Refused {
        /// As a label.
        reason: &'static str,
        status: StatusCode,
        text: String,
    },
    /// There was no room for it, or decoding it failed inside us. So many bytes more than the buffer has were read.
    Unread {
        discarded: usize,
    },
    Inspected(Inspected, Arc<dyn Inspect>),
}

impl From<DecodeError> for Outcome {
    fn from(error: DecodeError) -> Self {
        Self::Refused {
            reason: error.reason(),
            status: StatusCode::from_u16(error.status())
                .expect("the statuses of decoding are valid"),
            text: error.to_string(),
        }
    }
}

impl Server {
    /// Answers a push.
    pub(super) async fn push(
        &self,
        form: Form,
        request: Request<Incoming>,
    ) -> Response<Full<Bytes>> {
        let (parts, mut body) = request.into_parts();
        let body_by = Instant::now() + self.limits.body_read;
        let tenant = match self.tenant(&parts.headers) {
            Ok(tenant) => tenant,
            Err(refusal) => {
                discard(&mut body, body_by).await;
                return rejected("tenant", StatusCode::BAD_REQUEST, &refusal);
            }
        };

        let mut buffer = Vec::new();
        let mut claim = self.room_for_bodies.claim();
        let mut patience = self.limits.answer_within;
        let arrival = self
            .read(&mut body, &mut buffer, &mut claim, &mut patience, body_by)
            .await;
        let arrived = Instant::now();
        let received = (self.clock)();
        let by = arrived + patience;
        let body_bytes = buffer.len();
        metrics::histogram!(telemetry::PUSH_BODY_BYTES).record(body_bytes as f64);

        // Decompressing has room of its own, which the owner never asks for: a request that holds room never waits for another that
        // waits for it, so under overload some are served rather than all shed.
        let mut inspecting = self.room_for_blocks.claim();
        let outcome = match arrival {
            Arrival::Whole => {
                let encoded = Encoded {
                    tenant: &tenant,
                    form,
                    content_type: header(&parts.headers, CONTENT_TYPE),
                    content_encoding: header(&parts.headers, CONTENT_ENCODING),
                    body: &buffer,
                };
                self.decode_and_inspect(&encoded, &mut inspecting, by).await
            }
            refused => refused.outcome(&self.limits),
        };
        buffer.clear();
        let kept = buffer.capacity();
        if kept > BODY_FIRST_BYTES {
            self.bodies.put(buffer, kept);
        }
        drop(claim);

        let response = match outcome {
            Outcome::Refused {
                reason,
                status,
                text,
            } => rejected(reason, status, &text),
            Outcome::Unread { discarded } => {
                self.note_push(received);
                self.count_unread(body_bytes + discarded);
                no_content()
            }
            Outcome::Inspected(inspected, inspect) => {
                self.note_push(received);
                self.conclude(inspected, inspect, inspecting, received, by)
                    .await
            }
        };
        let took = arrived.elapsed();
        metrics::histogram!(telemetry::PUSH_ANSWER_SECONDS).record(took.as_secs_f64());
        self.pressure.answers.record(took);
        response
    }

    /// Gives a refusal once the body is read: one that is sent before may be lost with the connection, which to Alloy looks like a
    /// failure worth retrying for minutes.
    pub(super) async fn refuse(
        &self,
        request: Request<Incoming>,
        refusal: Response<Full<Bytes>>,
    ) -> Response<Full<Bytes>> {
        let by = Instant::now() + self.limits.body_read;
        discard(&mut request.into_body(), by).await;
        metrics::counter!(telemetry::PUSH_REQUESTS_TOTAL, "code" => code(refusal.status()))
            .increment(1);
        refusal
    }

    /// Gives a refusal at once, and closes the connection. The body is read and forgotten beside it, as far as one may be long, or the
    /// answer might be lost with the connection; whoever waits for `100 Continue` has not sent any.
    pub(super) fn refuse_unread(
        &self,
        request: Request<Incoming>,
        mut refusal: Response<Full<Bytes>>,
    ) -> Response<Full<Bytes>> {
        metrics::counter!(telemetry::PUSH_REQUESTS_TOTAL, "code" => code(refusal.status()))
            .increment(1);
        metrics::counter!(telemetry::PUSH_REJECTED_TOTAL, "reason" => "unauthorized").increment(1);
        if !request.headers().contains_key(EXPECT) {
            let by = Instant::now() + self.limits.body_read;
            let mut body = Limited::new(request.into_body(), self.limits.body_bytes_max);
            tokio::spawn(async move { discard(&mut body, by).await });
        }
        let close = HeaderValue::from_static("close");
        refusal.headers_mut().insert(CONNECTION, close);
        refusal
    }

    fn tenant(&self, headers: &HeaderMap) -> Result<Arc<str>, String> {
        let tenant = headers
            .get("x-scope-orgid")
            .map_or(&b""[..], HeaderValue::as_bytes);
        let (bytes, bytes_max) = (tenant.len(), self.limits.tenant_bytes_max);
        if bytes > bytes_max {
            return Err(format!("tenant of {bytes} bytes, limit is {bytes_max}"));
        }
        Ok(String::from_utf8_lossy(tenant).into())
    }

    /// Reads a body into `buffer` while there is room for it; what may not be kept is read and forgotten.
    async fn read(
        &self,
        body: &mut Incoming,
        buffer: &mut Vec<u8>,
        claim: &mut Claim,
        patience: &mut Duration,
        by: Instant,
    ) -> Arrival {
        let bytes_max = self.limits.body_bytes_max;
        let announced = body
            .size_hint()
            .exact()
            .map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        if let Some(bytes) = announced.filter(|&bytes| bytes > bytes_max) {
            discard(body, by).await;
            return Arrival::TooLarge { bytes };
        }
        let mut granted = 0;
        let mut wanted = announced.unwrap_or(bytes_max).min(BODY_FIRST_BYTES);
        loop {
            if wanted > granted {
                if !claim.grow(wanted - granted, patience).await {
                    let discarded = discard(body, by).await;
                    return Arrival::NoRoom { discarded };
                }
                granted = self.make_room(buffer, wanted, claim);
            }
            let data = match timeout_at(by, body.frame()).await {
                Err(_) => return Arrival::TimedOut,
                Ok(None) => return Arrival::Whole,
                Ok(Some(Err(_))) => return Arrival::Broken,
                // Trailers say nothing that we ask about.
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            };
            let bytes = buffer.len() + data.len();
            if bytes > bytes_max {
                let bytes = bytes + discard(body, by).await;
                return Arrival::TooLarge { bytes };
            }
            // What is read ahead of the grant is one frame, bounded by what hyper reads ahead.
            buffer.extend_from_slice(&data);
            if bytes >= granted {
                let rest = announced.unwrap_or(bytes_max).saturating_sub(bytes);
                wanted = bytes + rest.min(BODY_STEP_BYTES);
            }
        }
    }

    /// Makes room in `buffer` for `bytes` in all, which are claimed, and tells how much there is now: more in a buffer that was kept, and
    /// then that is claimed too. Nothing is held that does not count: growing as vectors do would hold up to twice as much, and
    /// everybody who sends slowly, or waits for room, could have a large buffer of the pool.
    fn make_room(&self, buffer: &mut Vec<u8>, bytes: usize, claim: &mut Claim) -> usize {
        // The first few bytes are not worth one, and what is beyond a step is not worth copying.
        if bytes > BODY_FIRST_BYTES && buffer.len() < BODY_STEP_BYTES {
            let all = self.limits.bytes_in_flight_max / 2;
            let fits = |kept: usize| (bytes..=all).contains(&kept) && claim.try_grow(kept - bytes);
            let smaller = |kept: usize| kept < bytes;
            let kept = self.bodies.take_if(fits);
            // So that what is kept becomes what is needed, and does not stay in the way of it.
            if let Some(mut kept) = kept.or_else(|| self.bodies.take_if(smaller)) {
                kept.reserve_exact(bytes);
                kept.extend_from_slice(buffer);
                *buffer = kept;
            }
        }
        buffer.reserve_exact(bytes - buffer.len());
        buffer.capacity()
    }

    /// Decodes and inspects without a pause in between, in as many requests at once as there are cores: so only as many batches are in memory,
    /// and while they are at it, the runtime's workers read and answer the others. A request whose turn does not come in half of the
    /// time that is left is shed; the other half is for its inspection and the disk.
    async fn decode_and_inspect(
        &self,
        encoded: &Encoded<'_>,
        claim: &mut Claim,
        by: Instant,
    ) -> Outcome {
        let inspect = self.inspect();
        let mut granted = 0;
        loop {
            let now = Instant::now();
            let turn_by = now + by.saturating_duration_since(now) / 2;
            let Ok(turn) = timeout_at(turn_by, self.turns.acquire()).await else {
                return Outcome::Unread { discarded: 0 };
            };
            let mut scratch = self.scratches.take();
            let mut asked = 0;
            let attempt = AssertUnwindSafe(|| {
                let notes =
                    scratch.decode(encoded, &self.limits, &self.interner, &mut |bytes| {
                        asked += bytes;
                        let more = asked.saturating_sub(granted);
                        let grows = more == 0 || claim.try_grow(more);
                        granted += if grows { more } else { 0 };
                        grows
                    })?;
                Ok(inspect_in_time(
                    &scratch,
                    encoded.tenant,
                    notes,
                    &*inspect,
                    &mut |hits| {
                        Instant::now() < by && (hits.is_empty() || claim.try_grow(held_bytes(hits)))
                    },
                ))
            });
            let tried = aside(|| catch_unwind(attempt));
            drop(turn);
            let Ok(decoded) = tried else {
                // The hook has logged the panic. The client would only send the same again, so the request is shed.
                return Outcome::Unread { discarded: 0 };
            };
            let kept = scratch.kept_bytes();
            self.scratches.put(scratch, kept);
            match decoded {
                Ok(inspected) => return Outcome::Inspected(inspected, inspect),
                Err(DecodeError::NoRoom { .. }) => {
                    let mut patience = by.saturating_duration_since(Instant::now());
                    claim.shrink_to(0);
                    if !claim.grow(asked, &mut patience).await {
                        return Outcome::Unread { discarded: 0 };
                    }
                    granted = asked;
                }
                Err(error) => return error.into(),
            }
        }
    }

    /// Hands on what was found, waits until it is on disk or `by`, and counts.
    async fn conclude(
        &self,
        inspected: Inspected,
        inspect: Arc<dyn Inspect>,
        mut claim: Claim,
        received: Timestamp,
        by: Instant,
    ) -> Response<Full<Bytes>> {
        let Inspected {
            scanned,
            generation,
            successor,
            notes,
            entries,
            inspected,
        } = inspected;
        let views = std::iter::once(&scanned).chain(successor.as_deref().map(|(_, view)| view));
        let held = views.map(|view| held_bytes(&view.hits) + size_of_val(&*view.progress.times));
        claim.shrink_to(held.sum());
        let fate = if inspected == 0 {
            Fate::Recorded
        } else {
            let (recorded, on_disk) = oneshot::channel();
            let submission = Submission {
                scanned,
                generation,
                successor,
                received,
                recorded,
                room: Some(claim),
            };
            self.hand_on(submission, inspect, on_disk, by).await
        };
        let (shed, early) = match fate {
            Fate::Recorded => (entries - inspected, 0),
            Fate::Early => (entries - inspected, inspected),
            Fate::Shed => (entries, 0),
        };
        count(telemetry::ENTRIES_TOTAL, entries);
        count(telemetry::ENTRIES_SHED_TOTAL, shed);
        count(telemetry::ENTRIES_EARLY_TOTAL, early);
        count(telemetry::LABELS_INVALID_TOTAL, notes.labels_invalid);
        count(telemetry::LINES_CUT_TOTAL, notes.lines_cut);
        metrics::counter!(telemetry::STREAMS_FORGOTTEN_TOTAL).absolute(self.interner.forgotten());
        let pressure = &self.pressure;
        pressure.entries.fetch_add(entries, Ordering::Relaxed);
        pressure.shed_entries.fetch_add(shed, Ordering::Relaxed);
        pressure.early_entries.fetch_add(early, Ordering::Relaxed);
        no_content()
    }

    async fn hand_on(
        &self,
        submission: Submission,
        inspect: Arc<dyn Inspect>,
        on_disk: oneshot::Receiver<()>,
        by: Instant,
    ) -> Fate {
        let Ok(Ok(place)) = timeout_at(by, self.owner.reserve()).await else {
            return Fate::Shed;
        };
        place.send(submission);
        // Not a moment earlier: who waits for the end of an inspector takes what it saw to be in the queue.
        drop(inspect);
        match timeout_at(by, on_disk).await {
            Ok(Ok(())) => Fate::Recorded,
            // Late, or never.
            _ => Fate::Early,
        }
    }

    /// The tee is alive, whatever becomes of what it sent.
    fn note_push(&self, received: Timestamp) {
        self.pressure
            .pushed_at
            .store(received.nanos(), Ordering::Relaxed);
    }

    fn count_unread(&self, bytes: usize) {
        count(telemetry::REQUESTS_SHED_TOTAL, 1);
        count(telemetry::BYTES_SHED_TOTAL, bytes as u64);
        self.pressure.shed_requests.fetch_add(1, Ordering::Relaxed);
    }
}

/// Does what takes long, on this thread, while another takes over what else this one would have to do.
fn aside<T>(long: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => block_in_place(long),
        // There is no other: everything waits.
        _ => long(),
    }
}

/// What became of what was inspected.
enum Fate {
    Recorded,
    Early,
    Shed,
}

/// Reads what is left of a body, until it ends or `by`, and tells how much it was.
async fn discard(body: &mut (impl Body<Data = Bytes> + Unpin), by: Instant) -> usize {
    let mut bytes = 0;
    while let Ok(Some(Ok(frame))) = timeout_at(by, body.frame()).await {
        bytes += frame.data_ref().map_or(0, Bytes::len);
    }
    bytes
}

fn header(headers: &HeaderMap, name: hyper::header::HeaderName) -> Option<&[u8]> {
    headers.get(name).map(HeaderValue::as_bytes)
}

fn no_content() -> Response<Full<Bytes>> {
    metrics::counter!(telemetry::PUSH_REQUESTS_TOTAL, "code" => "204").increment(1);
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn rejected(reason: &'static str, status: StatusCode, refusal: &str) -> Response<Full<Bytes>> {
    tracing::debug!(reason, refusal, "push rejected");
    metrics::counter!(telemetry::PUSH_REJECTED_TOTAL, "reason" => reason).increment(1);
    metrics::counter!(telemetry::PUSH_REQUESTS_TOTAL, "code" => code(status)).increment(1);
    let mut response = text(status, refusal);
    if status == StatusCode::REQUEST_TIMEOUT {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}

/// The statuses there are, as labels.
fn code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NO_CONTENT => "204",
        StatusCode::BAD_REQUEST => "400",
        StatusCode::UNAUTHORIZED => "401",
        StatusCode::FORBIDDEN => "403",
        StatusCode::NOT_FOUND => "404",
        StatusCode::METHOD_NOT_ALLOWED => "405",
        StatusCode::REQUEST_TIMEOUT => "408",
        StatusCode::PAYLOAD_TOO_LARGE => "413",
        StatusCode::UNPROCESSABLE_ENTITY => "422",
        _ => "other",
    }
}

fn count(name: &'static str, by: u64) {
    if by > 0 {
        metrics::counter!(name).increment(by);
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::{mpsc, watch};
    use tokio::time::sleep;

    use super::super::server::Phase;
    use super::*;
    use crate::batch::Batch;
    use crate::hit::Scanned;

    const MIB: usize = 1 << 20;

    struct Nothing;

    impl Inspect for Nothing {
        fn inspect(&self, _: &Batch, _: Range<usize>, _: &mut Scanned) {}
    }

    /// A server whose bodies may take `room` bytes, and whose pool has one buffer of a MiB.
    fn server(room: usize) -> Arc<Server> {
        let limits = Limits {
            bytes_in_flight_max: 2 * room,
            ..Limits::default()
        };
        let (owner, _) = mpsc::channel(1);
        let clock = Arc::new(Timestamp::wall_clock);
        let server = Server::new(limits, Arc::new(Nothing), owner, Arc::default(), clock);
        server.bodies.put(Vec::with_capacity(MIB), MIB);
        Arc::new(server)
    }

    fn made_room(server: &Server, claim: &mut Claim, bytes: usize) -> Vec<u8> {
        assert!(claim.try_grow(bytes));
        let mut buffer = b"begun".to_vec();
        let granted = server.make_room(&mut buffer, bytes, claim);
        assert_eq!(buffer, b"begun");
        assert_eq!((granted, claim.bytes()), (buffer.capacity(), granted));
        buffer
    }

    #[test]
    fn a_buffer_that_was_kept_counts_with_all_of_its_memory() {
        let server = server(3 * MIB / 2);
        let mut claim = server.room_for_bodies.claim();
        assert_eq!(made_room(&server, &mut claim, MIB / 2).capacity(), MIB);
        // Whoever has room for half of one gets a new one of half the size.
        server.bodies.put(Vec::with_capacity(MIB), MIB);
        let mut other = server.room_for_bodies.claim();
        assert_eq!(made_room(&server, &mut other, MIB / 2).capacity(), MIB / 2);
        assert_eq!(server.bodies.take().capacity(), MIB);
    }

    #[test]
    fn a_buffer_that_is_too_small_grows_to_what_is_needed_and_no_further() {
        let server = server(4 * MIB);
        let mut claim = server.room_for_bodies.claim();
        let bytes = MIB + 1;
        assert_eq!(made_room(&server, &mut claim, bytes).capacity(), bytes);
        assert_eq!(server.bodies.take().capacity(), 0);
    }

    #[tokio::test]
    async fn who_waits_for_room_or_sends_slowly_has_no_buffer_of_the_pool() {
        let server = server(2 * MIB);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        let (_phase, phases) = watch::channel(Phase::Serving);
        tokio::spawn(Arc::clone(&server).serve(listener, phases));
        let mut client = TcpStream::connect(address).await.expect("it listens");
        let begun =
            b"POST /loki/api/v1/push HTTP/1.1\r\nHost: t\r\nContent-Length: 900000\r\n\r\nbegun";
        client.write_all(begun).await.expect("it reads");
        let by = Instant::now() + Duration::from_secs(30);
        while server.room_for_bodies.claim().try_grow(2 * MIB) {
            assert!(Instant::now() < by, "it never claimed room");
            sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(server.bodies.take().capacity(), MIB);
    }
}
