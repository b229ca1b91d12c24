//! One push, from its header to its answer: read the body within bounds, decode, inspect, hand on, and wait no longer than allowed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::budget::Claim;
use super::decode::{DecodeError, Encoded, Form, Notes, Scratch};
use super::server::{
    ANSWER_SECONDS, BODY_BYTES, BYTES_SHED, ENTRIES, ENTRIES_EARLY, ENTRIES_SHED, Inspect,
    LABELS_INVALID, LINES_CUT, REJECTED, REQUESTS, REQUESTS_SHED, STREAMS_FORGOTTEN, Server, text,
};
use crate::batch::Batch;
use crate::hit::{Hit, Progress, Scanned};
use crate::owner::Submission;
use crate::time::Timestamp;

/// Room for a body is taken in steps of this many bytes as it arrives; the first, or all of a shorter body, before any of it is read.
/// So a usual body waits in line before it costs anything, and a slow sender of a large one holds little more than it has sent.
const BODY_STEP_BYTES: usize = 1 << 20;

/// Lines, in bytes, that are inspected between two looks at the clock: about a millisecond.
const PIECE_BYTES: usize = 256 << 10;

/// What an entry costs to inspect at least, in bytes of line.
const PIECE_ENTRY_BYTES: usize = 32;

/// How a body's arrival ended.
enum Arrival {
    Whole,
    TooLarge {
        bytes: usize,
    },
    /// It was discarded for want of room.
    NoRoom {
        bytes: usize,
    },
    TimedOut,
    Broken,
}

/// What became of a request whose body arrived.
enum Outcome {
    Refused(DecodeError),
    /// There was no room to decompress it in, or decoding it failed inside us.
    Unread,
    Inspected {
        scanned: Scanned,
        notes: Notes,
        /// Entries in the request.
        entries: u64,
        /// Those of them that were inspected.
        inspected: u64,
    },
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

        let mut buffer = self.bodies.take();
        let mut claim = self.budget.claim();
        let mut patience = self.limits.answer_within;
        let arrival = self
            .read(&mut body, &mut buffer, &mut claim, &mut patience, body_by)
            .await;
        let arrived = Instant::now();
        let received = Timestamp::wall_clock();
        metrics::histogram!(BODY_BYTES).record(buffer.len() as f64);

        let response = match arrival {
            Arrival::Whole => {
                let encoded = Encoded {
                    tenant: &tenant,
                    form,
                    content_type: header(&parts.headers, CONTENT_TYPE),
                    content_encoding: header(&parts.headers, CONTENT_ENCODING),
                    body: &buffer,
                };
                let by = arrived + patience;
                let outcome = self.decode_and_inspect(&encoded, &mut claim, by).await;
                self.conclude(outcome, buffer.len(), claim, received, by)
                    .await
            }
            Arrival::TooLarge { bytes } => {
                let error = DecodeError::TooLarge {
                    what: "has at least",
                    bytes,
                    bytes_max: self.limits.body_bytes_max,
                };
                rejected(
                    error.reason(),
                    StatusCode::PAYLOAD_TOO_LARGE,
                    &error.to_string(),
                )
            }
            Arrival::NoRoom { bytes } => {
                self.count_unread(bytes);
                no_content()
            }
            Arrival::TimedOut => {
                let refusal = format!("body took longer than {:?}", self.limits.body_read);
                let mut response = rejected("timeout", StatusCode::REQUEST_TIMEOUT, &refusal);
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
                response
            }
            Arrival::Broken => rejected("broken", StatusCode::BAD_REQUEST, "body ended early"),
        };
        buffer.clear();
        let kept = buffer.capacity();
        self.bodies.put(buffer, kept);
        metrics::histogram!(ANSWER_SECONDS).record(arrived.elapsed().as_secs_f64());
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
        metrics::counter!(REQUESTS, "code" => code(refusal.status())).increment(1);
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
        let mut wanted = announced.unwrap_or(bytes_max).min(BODY_STEP_BYTES);
        loop {
            if wanted > granted {
                if !claim.grow(wanted - granted, patience).await {
                    let bytes = buffer.len() + discard(body, by).await;
                    return Arrival::NoRoom { bytes };
                }
                granted = wanted;
                buffer.reserve(granted - buffer.len());
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

    /// Decodes and inspects without a pause in between, so that only as many batches are in memory as there are workers.
    async fn decode_and_inspect(
        &self,
        encoded: &Encoded<'_>,
        claim: &mut Claim,
        by: Instant,
    ) -> Outcome {
        let inspect = self.inspect();
        let mut granted = 0;
        loop {
            let mut scratch = self.scratches.take();
            let mut asked = 0;
            let tried = catch_unwind(AssertUnwindSafe(|| {
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
                    encoded,
                    notes,
                    &*inspect,
                    &mut |hits| {
                        Instant::now() < by && (hits.is_empty() || claim.try_grow(held_bytes(hits)))
                    },
                ))
            }));
            let Ok(decoded) = tried else {
                // The hook has logged the panic. The client would only send the same again, so the request is shed.
                return Outcome::Unread;
            };
            let kept = scratch.kept_bytes();
            self.scratches.put(scratch, kept);
            match decoded {
                Ok(inspected) => return inspected,
                Err(DecodeError::NoRoom { .. }) => {
                    let mut patience = by.saturating_duration_since(Instant::now());
                    if !claim.grow(asked - granted, &mut patience).await {
                        return Outcome::Unread;
                    }
                    granted = asked;
                }
                Err(error) => return Outcome::Refused(error),
            }
        }
    }

    /// Hands on what was found, waits until it is on disk or `by`, and counts.
    async fn conclude(
        &self,
        outcome: Outcome,
        body_bytes: usize,
        mut claim: Claim,
        received: Timestamp,
        by: Instant,
    ) -> Response<Full<Bytes>> {
        let (scanned, notes, entries, inspected) = match outcome {
            Outcome::Refused(error) => {
                let status = StatusCode::from_u16(error.status())
                    .expect("the statuses of decoding are valid");
                return rejected(error.reason(), status, &error.to_string());
            }
            Outcome::Unread => {
                self.count_unread(body_bytes);
                return no_content();
            }
            Outcome::Inspected {
                scanned,
                notes,
                entries,
                inspected,
            } => (scanned, notes, entries, inspected),
        };
        claim.shrink_to(held_bytes(&scanned.hits) + size_of_val(&*scanned.progress.times));
        let fate = if inspected == 0 {
            Fate::Recorded
        } else {
            self.hand_on(scanned, received, by).await
        };
        let (shed, early) = match fate {
            Fate::Recorded => (entries - inspected, 0),
            Fate::Early => (entries - inspected, inspected),
            Fate::Shed => (entries, 0),
        };
        count(ENTRIES, entries);
        count(ENTRIES_SHED, shed);
        count(ENTRIES_EARLY, early);
        count(LABELS_INVALID, notes.labels_invalid);
        count(LINES_CUT, notes.lines_cut);
        metrics::counter!(STREAMS_FORGOTTEN).absolute(self.interner.forgotten());
        let pressure = &self.pressure;
        pressure.shed_entries.fetch_add(shed, Ordering::Relaxed);
        pressure.early_entries.fetch_add(early, Ordering::Relaxed);
        no_content()
    }

    async fn hand_on(&self, scanned: Scanned, received: Timestamp, by: Instant) -> Fate {
        let Ok(Ok(place)) = timeout_at(by, self.owner.reserve()).await else {
            return Fate::Shed;
        };
        let (recorded, on_disk) = oneshot::channel();
        place.send(Submission {
            scanned,
            received,
            recorded,
        });
        match timeout_at(by, on_disk).await {
            Ok(Ok(())) => Fate::Recorded,
            // Late, or never.
            _ => Fate::Early,
        }
    }

    fn count_unread(&self, bytes: usize) {
        count(REQUESTS_SHED, 1);
        count(BYTES_SHED, bytes as u64);
        self.pressure.shed_requests.fetch_add(1, Ordering::Relaxed);
    }
}

/// What became of what was inspected.
enum Fate {
    Recorded,
    Early,
    Shed,
}

/// Inspects piece by piece for as long as `go_on`, which is told the hits of the last piece, says so before each.
fn inspect_in_time(
    scratch: &Scratch,
    encoded: &Encoded<'_>,
    notes: Notes,
    inspect: &dyn Inspect,
    go_on: &mut dyn FnMut(&[Hit]) -> bool,
) -> Outcome {
    let batch = scratch.batch();
    let mut scanned = Scanned::default();
    let (mut inspected, mut told) = (0, 0);
    while inspected < batch.entries.len() && go_on(&scanned.hits[told..]) {
        told = scanned.hits.len();
        let rest = &batch.entries[inspected..];
        let mut bytes = 0;
        let piece = rest.iter().take_while(|entry| {
            let within = bytes < PIECE_BYTES;
            bytes += entry.line.len as usize + PIECE_ENTRY_BYTES;
            within
        });
        let end = inspected + piece.count();
        inspect.inspect(batch, inspected..end, &mut scanned);
        inspected = end;
    }
    scanned.progress = progress(batch, encoded.tenant, inspected);
    Outcome::Inspected {
        scanned,
        notes,
        entries: batch.entries.len() as u64 + notes.entries_beyond,
        inspected: inspected as u64,
    }
}

/// The progress that a batch's first `inspected` entries make.
fn progress(batch: &Batch, tenant: &Arc<str>, inspected: usize) -> Progress {
    let entries = &batch.entries[..inspected];
    let streams = batch
        .streams
        .iter()
        .map_while(|stream| {
            let end = (stream.entries.end as usize).min(inspected);
            let count = end.checked_sub(stream.entries.start as usize)?;
            // A stream has fewer entries than its batch, whose indices are 32 bits.
            (count > 0).then_some((stream.stream.id, count as u32))
        })
        .collect();
    Progress {
        tenant: tenant.clone(),
        streams,
        times: entries.iter().map(|entry| entry.at).collect(),
    }
}

/// Roughly the memory that hits take.
fn held_bytes(hits: &[Hit]) -> usize {
    hits.iter()
        .map(|hit| {
            let captures = hit.captures.iter();
            let captures: usize = captures.map(|(name, value)| name.len() + value.len()).sum();
            let key: usize = hit.key.iter().map(|value| value.len()).sum();
            size_of::<Hit>() + hit.line.len() + captures + key
        })
        .sum()
}

/// Reads what is left of a body, until it ends or `by`, and tells how much it was.
async fn discard(body: &mut Incoming, by: Instant) -> usize {
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
    metrics::counter!(REQUESTS, "code" => "204").increment(1);
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn rejected(reason: &'static str, status: StatusCode, refusal: &str) -> Response<Full<Bytes>> {
    tracing::debug!(reason, refusal, "push rejected");
    metrics::counter!(REJECTED, "reason" => reason).increment(1);
    metrics::counter!(REQUESTS, "code" => code(status)).increment(1);
    text(status, refusal)
}

/// The statuses there are, as labels.
fn code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NO_CONTENT => "204",
        StatusCode::BAD_REQUEST => "400",
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
    use std::sync::Mutex;

    use super::super::interner::Interner;
    use super::super::limits::Limits;
    use super::*;

    /// Remembers which pieces it was given.
    #[derive(Default)]
    struct Pieces(Mutex<Vec<Range<usize>>>);

    impl Inspect for Pieces {
        fn inspect(&self, _: &Batch, entries: Range<usize>, _: &mut Scanned) {
            self.0.lock().expect("no panic").push(entries);
        }
    }

    /// Two streams of `count` entries each, with lines of `length` bytes, inspected for `pieces` pieces at most.
    fn inspect(
        count: usize,
        length: usize,
        pieces: usize,
    ) -> (Vec<Range<usize>>, Progress, u64, u64) {
        let line = "x".repeat(length);
        let values: Vec<String> = (0..count)
            .map(|n| format!("[\"{n}\",\"{line}\"]"))
            .collect();
        let values = values.join(",");
        let body = format!(
            r#"{{"streams":[{{"stream":{{"a":"1"}},"values":[{values}]}},{{"stream":{{"a":"2"}},"values":[{values}]}}]}}"#
        );
        let tenant: Arc<str> = Arc::from("t");
        let encoded = Encoded {
            tenant: &tenant,
            form: Form::V1,
            content_type: Some(b"application/json"),
            content_encoding: None,
            body: body.as_bytes(),
        };
        let mut scratch = Scratch::default();
        let notes = scratch
            .decode(&encoded, &Limits::default(), &Interner::new(9), &mut |_| {
                true
            })
            .expect("valid");
        let seen = Pieces::default();
        let mut left = pieces;
        let outcome = inspect_in_time(&scratch, &encoded, notes, &seen, &mut |_| {
            let more = left > 0;
            left = left.saturating_sub(1);
            more
        });
        let Outcome::Inspected {
            scanned,
            entries,
            inspected,
            ..
        } = outcome
        else {
            panic!("it was inspected");
        };
        (
            seen.0.into_inner().expect("no panic"),
            scanned.progress,
            entries,
            inspected,
        )
    }

    #[test]
    fn a_batch_is_inspected_in_pieces_that_cover_it() {
        let (pieces, progress, entries, inspected) = inspect(100, 10_000, usize::MAX);
        assert_eq!(
            pieces,
            [
                0..27,
                27..54,
                54..81,
                81..108,
                108..135,
                135..162,
                162..189,
                189..200
            ]
        );
        assert_eq!((entries, inspected), (200, 200));
        assert_eq!(&*progress.tenant, "t");
        let counts: Vec<u32> = progress.streams.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [100, 100]);
        let times: Vec<i64> = progress.times.iter().map(|at| at.0).collect();
        assert_eq!(
            times,
            [(0..100).collect::<Vec<_>>(), (0..100).collect()].concat()
        );
    }

    #[test]
    fn empty_lines_take_time_too() {
        let (pieces, ..) = inspect(5_000, 0, usize::MAX);
        assert_eq!(pieces, [0..8192, 8192..10_000]);
    }

    #[test]
    fn when_time_is_up_the_rest_makes_no_progress() {
        for (allowed, expected, counts) in [
            (0, 0, vec![]),
            (1, 27, vec![27]),
            (4, 108, vec![100, 8]),
            (7, 189, vec![100, 89]),
            (8, 200, vec![100, 100]),
        ] {
            let (pieces, progress, entries, inspected) = inspect(100, 10_000, allowed);
            assert_eq!(pieces.len(), allowed);
            assert_eq!((entries, inspected), (200, expected));
            assert_eq!(progress.times.len() as u64, expected);
            let of_streams: Vec<u32> = progress.streams.iter().map(|(_, count)| *count).collect();
            assert_eq!(of_streams, counts);
        }
    }
}
