//! The push port over real sockets: answers, deadlines, shedding, stopping. Where time matters it is paused.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use trommel::batch::Batch;
use trommel::hit::{Generation, Hit, Key, Parts, Role, RuleIndex, Scanned};
use trommel::push::Submission;
use trommel::push::{Inspect, Limits, Phase, Pressure, Server};
use trommel::time::Timestamp;

use crate::http::Client;
use crate::loki_proto;
use crate::vectors;

const ONE: &str = r#"{"streams":[{"stream":{"a":"b"},"values":[["1","x"],["2","y"]]}]}"#;

/// Rules that match nothing.
struct Nothing;

impl Inspect for Nothing {
    fn inspect(&self, _: &Batch, _: Range<usize>, _: &mut Scanned) {}
}

/// Rules that fail.
struct Panics;

impl Inspect for Panics {
    fn inspect(&self, _: &Batch, _: Range<usize>, _: &mut Scanned) {
        panic!("a bug in a rule");
    }
}

/// Rules that match every entry.
struct Everything;

impl Inspect for Everything {
    fn inspect(&self, batch: &Batch, entries: Range<usize>, out: &mut Scanned) {
        for entry in &batch.entries[entries] {
            let stream = &batch.streams[0].stream;
            out.hits.push(Hit {
                rule: RuleIndex(0),
                role: Role::Match,
                parts: Parts::MATCH,
                at: entry.at,
                stream: stream.id,
                labels: Arc::clone(&stream.labels),
                entry: entry.id(stream, batch.bytes(entry.line)),
                key: Key::default(),
                values: Box::default(),
                captures: Box::from([]),
                line: batch.line(entry).into(),
            });
        }
    }
}

/// Rules that take as long as it is not open.
#[derive(Default)]
struct Gate(Mutex<Waiting>, Condvar);

#[derive(Default)]
struct Waiting {
    waiting: usize,
    open: bool,
}

impl Inspect for Gate {
    fn inspect(&self, _: &Batch, _: Range<usize>, _: &mut Scanned) {
        let mut state = self.0.lock().expect("no panic");
        state.waiting += 1;
        let opened = self.1.wait_while(state, |state| !state.open);
        drop(opened.expect("no panic"));
    }
}

struct Running {
    address: SocketAddr,
    server: Arc<Server>,
    pressure: Arc<Pressure>,
    submissions: mpsc::Receiver<Submission>,
    phase: watch::Sender<Phase>,
    task: JoinHandle<()>,
}

impl Running {
    /// A server whose owner has room for `queue` submissions.
    async fn start(limits: Limits, queue: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (owner, submissions) = mpsc::channel(queue);
        let pressure = Arc::new(Pressure::default());
        let clock = Arc::new(Timestamp::wall_clock);
        let server = Server::new(limits, Arc::new(Nothing), owner, pressure.clone(), clock);
        let server = Arc::new(server);
        let (phase, phases) = watch::channel(Phase::Serving);
        let task = tokio::spawn(server.clone().serve(listener, phases));
        Self {
            address,
            server,
            pressure,
            submissions,
            phase,
            task,
        }
    }

    async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// A client's push that goes on by itself.
    fn pushing(&self, body: &'static str) -> JoinHandle<u16> {
        let address = self.address;
        tokio::spawn(async move { Client::connect(address).await.push(body).await.status })
    }

    /// Entries shed, requests shed, entries early.
    fn pressure(&self) -> [u64; 3] {
        self.pressure.counted()
    }
}

/// Limits for tests in real time: patient, so that a slow machine changes nothing.
fn patient() -> Limits {
    Limits {
        answer_within: Duration::from_secs(600),
        body_read: Duration::from_secs(600),
        header_read: Duration::from_secs(600),
        ..Limits::default()
    }
}

/// Records whatever comes.
fn record(mut submissions: mpsc::Receiver<Submission>) {
    tokio::spawn(async move {
        while let Some(submission) = submissions.recv().await {
            let _ = submission.recorded.send(());
        }
    });
}

#[tokio::test]
async fn every_vector_is_answered_as_stated() {
    let Some(vectors) = vectors::load("every_vector_is_answered_as_stated") else {
        return;
    };
    for case in vectors::cases(&vectors) {
        let limits = Limits {
            body_bytes_max: case.limits.body_bytes_max,
            decompressed_bytes_max: case.limits.decompressed_bytes_max,
            line_bytes_max: case.limits.line_bytes_max,
            ..patient()
        };
        let running = Running::start(limits, 1).await;
        record(running.submissions);
        let mut client = Client::connect(running.address).await;
        let headers: Vec<(&str, &[u8])> = case
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
            .collect();
        let first_line = format!("{} {}", case.method, case.path);
        // Twice on one connection: no answer may leave it unusable.
        for _ in 0..2 {
            let answer = client.request(&first_line, &headers, &case.body).await;
            assert_eq!(u64::from(answer.status), case.status, "{}", case.id);
            if answer.status != 204 {
                assert!(answer.headers.contains("content-type: text/plain"));
                assert!(answer.body.ends_with('\n'), "{}", case.id);
            }
        }
    }
}

/// Or whoever can push could speak in trommel's own name.
#[test]
fn no_request_can_name_the_tenant_of_findings_about_trommel_itself() {
    let header = hyper::header::HeaderValue::from_bytes(trommel::detect::OWN_TENANT.as_bytes());
    header.expect_err("no header has a line end");
}

#[tokio::test]
async fn the_answer_waits_until_the_owner_has_recorded() {
    let mut running = Running::start(patient(), 1).await;
    let address = running.address;
    let pushing = tokio::spawn(async move {
        let body = loki_proto::push(&[(r#"{a="b"}"#, &[(7, "x"), (9, "y")]), ("{}", &[(8, "z")])]);
        let headers: [(&str, &[u8]); 2] = [
            ("Content-Type", b"application/x-protobuf"),
            ("X-Scope-OrgID", b"team-a\xff"),
        ];
        let mut client = Client::connect(address).await;
        client
            .request("POST /loki/api/v1/push", &headers, &body)
            .await
    });
    let submission = running.submissions.recv().await.expect("a submission");
    assert!(!pushing.is_finished());
    let progress = submission.scanned.progress;
    assert_eq!(&*progress.tenant, "team-a\u{fffd}");
    assert_eq!(
        progress.times,
        [Timestamp::new(7), Timestamp::new(9), Timestamp::new(8)]
    );
    let counts: Vec<u32> = progress.streams.iter().map(|(_, count)| *count).collect();
    assert_eq!(counts, [2, 1]);
    submission.recorded.send(()).expect("it waits");
    let answer = pushing.await.expect("no panic");
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    assert_eq!(running.pressure(), [0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_never_records_costs_the_deadline_and_is_counted_early() {
    let mut running = Running::start(Limits::default(), 1).await;
    let began = Instant::now();
    let pushing = running.pushing(ONE);
    let submission = running.submissions.recv().await.expect("a submission");
    assert_eq!(pushing.await.expect("no panic"), 204);
    assert_eq!(began.elapsed().as_millis() / 10, 50);
    assert_eq!(running.pressure(), [0, 0, 2]);
    drop(submission);
}

#[tokio::test]
async fn an_owner_that_cannot_record_is_not_waited_for() {
    let mut running = Running::start(patient(), 1).await;
    let pushing = running.pushing(ONE);
    drop(running.submissions.recv().await.expect("a submission"));
    assert_eq!(pushing.await.expect("no panic"), 204);
    assert_eq!(running.pressure(), [0, 0, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_sheds_at_the_deadline() {
    let running = Running::start(Limits::default(), 1).await;
    let (first, second) = (running.pushing(ONE), running.pushing(ONE));
    assert_eq!(first.await.expect("no panic"), 204);
    assert_eq!(second.await.expect("no panic"), 204);
    // One waits in the queue unrecorded, the other found no place.
    assert_eq!(running.pressure(), [2, 0, 2]);
}

#[tokio::test]
async fn without_an_owner_everything_is_shed() {
    let mut running = Running::start(patient(), 1).await;
    running.submissions.close();
    assert_eq!(running.pushing(ONE).await.expect("no panic"), 204);
    assert_eq!(running.pressure(), [2, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn without_room_a_body_is_read_away_and_answered_at_the_deadline() {
    let limits = Limits {
        bytes_in_flight_max: 100,
        ..Limits::default()
    };
    let running = Running::start(limits, 8).await;
    let mut holder = running.client().await;
    let head = "POST /loki/api/v1/push HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n";
    holder
        .send(format!("{head}Content-Length: {}\r\n\r\n", ONE.len()))
        .await;
    holder.send(&ONE[..20]).await;
    tokio::time::sleep(Duration::from_millis(1)).await;

    let began = Instant::now();
    let mut other = running.client().await;
    assert_eq!(other.push(ONE).await.status, 204);
    assert_eq!(began.elapsed().as_millis() / 10, 50);
    assert_eq!(running.pressure(), [0, 1, 0]);

    // The holder is served as if nothing had been, and the other connection goes on.
    record(running.submissions);
    holder.send(&ONE[20..]).await;
    assert_eq!(holder.answer().await.expect("an answer").status, 204);
    assert_eq!(other.push(ONE).await.status, 204);
    let counts = [
        &running.pressure.shed_entries,
        &running.pressure.shed_requests,
    ];
    assert_eq!(counts.map(|count| count.load(Ordering::Relaxed)), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn bodies_that_trickle_in_keep_no_room_from_others() {
    let limits = Limits {
        bytes_in_flight_max: 4 << 20,
        ..Limits::default()
    };
    let running = Running::start(limits, 8).await;
    let head = "POST /loki/api/v1/push HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n";
    let mut slow = Vec::new();
    for _ in 0..100 {
        let mut client = running.client().await;
        client
            .send(format!("{head}Content-Length: 10000000\r\n\r\n "))
            .await;
        slow.push(client);
    }
    tokio::time::sleep(Duration::from_millis(1)).await;

    record(running.submissions);
    let mut other = Client::connect(running.address).await;
    assert_eq!(other.push(ONE).await.status, 204);
    let shed = &running.pressure.shed_requests;
    assert_eq!(shed.load(Ordering::Relaxed), 0);
    assert_eq!(slow[0].answer().await.expect("an answer").status, 408);
}

#[tokio::test]
async fn a_request_larger_than_the_whole_budget_is_served_alone() {
    let limits = Limits {
        bytes_in_flight_max: 100,
        ..patient()
    };
    let mut running = Running::start(limits, 1).await;
    let address = running.address;
    let pushing = tokio::spawn(async move {
        let body = loki_proto::push(&[("{}", &[(1, &"a".repeat(100_000))])]);
        let headers: [(&str, &[u8]); 1] = [("Content-Type", b"application/x-protobuf")];
        let mut client = Client::connect(address).await;
        client
            .request("POST /loki/api/v1/push", &headers, &body)
            .await
    });
    let submission = running.submissions.recv().await.expect("a submission");
    submission.recorded.send(()).expect("it waits");
    assert_eq!(pushing.await.expect("no panic").status, 204);
    assert_eq!(running.pressure(), [0, 0, 0]);
}

/// Rules that match every entry, with others that match nothing and will take over.
struct TakenOver(Arc<Everything>);

impl Inspect for TakenOver {
    fn generation(&self) -> Generation {
        Generation(7)
    }

    fn successor(&self) -> Option<&dyn Inspect> {
        struct Next;

        impl Inspect for Next {
            fn generation(&self) -> Generation {
                Generation(8)
            }

            fn inspect(&self, batch: &Batch, entries: Range<usize>, out: &mut Scanned) {
                Everything.inspect(batch, entries.start..entries.start + 1, out);
            }
        }

        Some(&Next)
    }

    fn inspect(&self, batch: &Batch, entries: Range<usize>, out: &mut Scanned) {
        self.0.inspect(batch, entries, out);
    }
}

#[tokio::test(start_paused = true)]
async fn while_rules_change_a_request_tells_both_what_it_says() {
    let mut running = Running::start(Limits::default(), 8).await;
    running
        .server
        .set_inspect(Arc::new(TakenOver(Arc::new(Everything))));
    for (generation, hits) in [(7, Some(2)), (8, Some(1)), (6, None)] {
        let pushing = running.pushing(ONE);
        let mut submission = running.submissions.recv().await.expect("a submission");
        let said = submission.take_for(Generation(generation));
        if let Some(said) = &said {
            assert_eq!(said.progress.times.len(), 2);
        }
        assert_eq!(said.map(|said| said.hits.len()), hits);
        submission.recorded.send(()).expect("it waits");
        assert_eq!(pushing.await.expect("no panic"), 204);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_keeps_what_it_was_inspected_with_until_it_is_in_the_queue() {
    // The queue has room for one.
    let mut running = Running::start(Limits::default(), 1).await;
    let rules = Arc::new(Everything);
    let held = Arc::downgrade(&rules);
    running.server.set_inspect(Arc::new(TakenOver(rules)));
    let first = running.pushing(ONE);
    while running.submissions.is_empty() {
        tokio::task::yield_now().await;
    }
    let second = running.pushing(ONE);
    // Time passes only when nothing else can be done: the second waits for room.
    tokio::time::sleep(Duration::from_millis(100)).await;
    running.server.set_inspect(Arc::new(Nothing));
    assert!(held.upgrade().is_some(), "the second is not handed on yet");

    let submission = running.submissions.recv().await.expect("the first");
    submission.recorded.send(()).expect("it waits");
    while running.submissions.is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(
        held.upgrade().is_none(),
        "the second waits for the disk only"
    );
    let submission = running.submissions.recv().await.expect("the second");
    assert_eq!(submission.scanned.hits.len(), 2);
    submission.recorded.send(()).expect("it waits");
    assert_eq!(first.await.expect("no panic"), 204);
    assert_eq!(second.await.expect("no panic"), 204);
}

#[tokio::test(start_paused = true)]
async fn hits_take_room_until_they_are_recorded_and_others_wait_for_it() {
    let limits = Limits {
        bytes_in_flight_max: 8 << 10,
        ..Limits::default()
    };
    let mut running = Running::start(limits, 8).await;
    running.server.set_inspect(Arc::new(Everything));
    let long: &str = Box::leak(
        ONE.replace("\"x\"", &format!("\"{}\"", "x".repeat(2000)))
            .into(),
    );
    let began = Instant::now();
    let first = running.pushing(long);
    let held = running.submissions.recv().await.expect("a submission");
    assert_eq!(held.scanned.hits.len(), 2);

    // What the second decompresses to no longer fits beside the first one's hits.
    let second = running.pushing(long);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(running.submissions.try_recv().is_err());
    {
        // The rest of it goes as well.
        let held = held;
        held.recorded.send(()).expect("it waits");
    }
    let next = running.submissions.recv().await.expect("a submission");
    assert_eq!(began.elapsed().as_millis() / 10, 20);
    assert_eq!(first.await.expect("no panic"), 204);
    assert_eq!(running.pressure(), [0, 0, 0]);

    // The second is answered at its deadline, but its hits are still there: the third waits for their room until its own, in vain.
    assert_eq!(second.await.expect("no panic"), 204);
    assert_eq!(began.elapsed().as_millis() / 10, 50);
    assert_eq!(running.pushing(long).await.expect("no panic"), 204);
    assert_eq!(began.elapsed().as_millis() / 10, 100);
    assert_eq!(running.pressure(), [0, 1, 2]);
    drop(next);
    let fourth = running.pushing(long);
    assert!(running.submissions.recv().await.is_some());
    assert_eq!(fourth.await.expect("no panic"), 204);
    assert_eq!(running.pressure(), [0, 1, 4]);
}

/// As many requests are being inspected as there are cores, and one worker reads and answers all others.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn inspections_that_take_long_keep_nobody_else_from_an_answer() {
    let running = Running::start(Limits::default(), 8).await;
    let gate = Arc::new(Gate::default());
    running.server.set_inspect(gate.clone());
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let slow: Vec<_> = (0..cores).map(|_| running.pushing(ONE)).collect();
    while gate.0.lock().expect("no panic").waiting < cores {
        tokio::task::yield_now().await;
    }

    let mut client = running.client().await;
    assert_eq!(client.request("GET /ready", &[], b"").await.status, 200);
    assert_eq!(client.push(ONE).await.status, 204);
    assert_eq!(running.pressure(), [0, 1, 0]);
    gate.0.lock().expect("no panic").open = true;
    gate.1.notify_all();
    for pushing in slow {
        assert_eq!(pushing.await.expect("no panic"), 204);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_has_no_time_sheds_what_is_not_inspected() {
    let limits = Limits {
        answer_within: Duration::ZERO,
        ..Limits::default()
    };
    let running = Running::start(limits, 1).await;
    assert_eq!(running.pushing(ONE).await.expect("no panic"), 204);
    assert_eq!(running.pressure(), [2, 0, 0]);
}

#[tokio::test]
async fn a_panic_in_the_rules_sheds_that_request_and_no_other() {
    let running = Running::start(patient(), 1).await;
    running.server.set_inspect(Arc::new(Panics));
    let mut client = running.client().await;
    assert_eq!(client.push(ONE).await.status, 204);
    assert_eq!(running.pressure(), [0, 1, 0]);
    running.server.set_inspect(Arc::new(Nothing));
    let pressure = running.pressure.clone();
    record(running.submissions);
    assert_eq!(client.push(ONE).await.status, 204);
    assert_eq!(pressure.shed_requests.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn paths_and_methods_that_are_not_served_say_so() {
    let running = Running::start(patient(), 1).await;
    let mut client = running.client().await;
    for (first_line, status, allow) in [
        ("GET /", 200, None),
        ("GET /ready", 200, None),
        ("POST /ready", 405, Some("get, head")),
        ("GET /loki/api/v1/push", 405, Some("post")),
        ("PUT /api/prom/push", 405, Some("post")),
        ("POST /otlp/v1/logs", 404, None),
        ("POST /loki/api/v1/push/", 404, None),
    ] {
        let answer = client.request(first_line, &[], b"any body").await;
        assert_eq!(answer.status, status, "{first_line}");
        if let Some(allow) = allow {
            assert!(answer.headers.contains(&format!("allow: {allow}\r\n")));
        }
        if status == 200 {
            // A body that nobody asked for ends the connection.
            client = running.client().await;
        }
    }
    assert_eq!(client.request("GET /ready", &[], b"").await.body, "ready\n");
}

#[tokio::test]
async fn a_body_or_tenant_that_is_too_long_is_refused_and_the_connection_goes_on() {
    let limits = Limits {
        body_bytes_max: 100,
        tenant_bytes_max: 4,
        ..patient()
    };
    let running = Running::start(limits, 1).await;
    record(running.submissions);
    let mut client = Client::connect(running.address).await;
    let long = format!("{ONE}{}", " ".repeat(101 - ONE.len()));
    let answer = client.push(&long).await;
    assert_eq!(answer.status, 413);
    assert_eq!(
        answer.body,
        "message too large: body has at least 101 bytes, limit is 100\n"
    );
    assert_eq!(client.push(&long[..100]).await.status, 204);
    let headers: [(&str, &[u8]); 1] = [("X-Scope-OrgID", b"12345")];
    let answer = client
        .request("POST /loki/api/v1/push", &headers, ONE.as_bytes())
        .await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.body, "tenant of 5 bytes, limit is 4\n");

    let head = "POST /loki/api/v1/push HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(head).await;
    for _ in 0..20 {
        client.send("a\r\n0123456789\r\n").await;
    }
    client.send("0\r\n\r\n").await;
    assert_eq!(client.answer().await.expect("an answer").status, 413);
    assert_eq!(client.push(ONE).await.status, 204);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_end_is_given_up() {
    let limits = Limits {
        body_bytes_max: 100,
        ..Limits::default()
    };
    let running = Running::start(limits, 1).await;
    for (chunks, status) in [(5, 408), (20, 413)] {
        let began = Instant::now();
        let mut client = running.client().await;
        client
            .send(
                "POST /loki/api/v1/push HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n",
            )
            .await;
        for _ in 0..chunks {
            client.send("a\r\n0123456789\r\n").await;
        }
        assert_eq!(client.answer().await.expect("an answer").status, status);
        assert_eq!(began.elapsed().as_secs(), 10);
        assert!(client.is_closed().await);
    }
    assert_eq!(running.pressure(), [0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_header_is_given_up_however_it_drips() {
    let running = Running::start(Limits::default(), 1).await;
    let began = Instant::now();
    let mut silent = running.client().await;
    assert!(silent.is_closed().await);
    assert_eq!(began.elapsed().as_secs(), 10);

    let began = Instant::now();
    let mut client = running.client().await;
    assert_eq!(client.request("GET /ready", &[], b"").await.status, 200);
    tokio::time::sleep(Duration::from_secs(100)).await;
    for byte in ["G", "E", "T", " ", "/"] {
        client.send(byte).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(client.is_closed().await);
    assert_eq!(began.elapsed().as_secs(), 110);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_outlives_alloys_five_minutes_but_not_ten() {
    let running = Running::start(Limits::default(), 1).await;
    record(running.submissions);
    let mut client = Client::connect(running.address).await;
    for _ in 0..3 {
        assert_eq!(client.push(ONE).await.status, 204);
        tokio::time::sleep(Duration::from_secs(599)).await;
    }
    let began = Instant::now();
    assert!(client.is_closed().await);
    assert_eq!(began.elapsed().as_secs(), 1);
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_the_others_go_on() {
    let limits = Limits {
        connections_max: 2,
        ..patient()
    };
    let running = Running::start(limits, 1).await;
    let mut first = running.client().await;
    let mut second = running.client().await;
    for client in [&mut first, &mut second] {
        assert_eq!(client.request("GET /ready", &[], b"").await.status, 200);
    }
    assert!(running.client().await.is_closed().await);
    assert_eq!(first.request("GET /ready", &[], b"").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn on_the_way_out_it_is_unready_first_then_serves_what_is_under_way() {
    let mut running = Running::start(Limits::default(), 1).await;
    let mut idle = running.client().await;
    assert_eq!(idle.request("GET /ready", &[], b"").await.status, 200);

    running.phase.send_replace(Phase::Leaving);
    let mut asking = running.client().await;
    let answer = asking.request("GET /ready", &[], b"").await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "stopping\n"));
    assert!(answer.headers.contains("connection: close"));
    assert!(asking.is_closed().await);

    let pushing = running.pushing(ONE);
    let submission = running.submissions.recv().await.expect("still served");
    let by = Instant::now() + Duration::from_secs(5);
    running.phase.send_replace(Phase::Stopping { by });
    assert!(idle.is_closed().await);
    submission.recorded.send(()).expect("it waits");
    assert_eq!(pushing.await.expect("no panic"), 204);
    running.task.await.expect("no panic");
    assert!(Instant::now() < by);
    assert!(
        tokio::net::TcpStream::connect(running.address)
            .await
            .is_err()
    );
}

#[tokio::test(start_paused = true)]
async fn what_does_not_end_by_the_deadline_is_cut_off() {
    let running = Running::start(Limits::default(), 1).await;
    let mut client = running.client().await;
    client
        .send("POST /loki/api/v1/push HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n12345")
        .await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    let by = Instant::now() + Duration::from_secs(2);
    running.phase.send_replace(Phase::Stopping { by });
    running.task.await.expect("no panic");
    assert_eq!(Instant::now().duration_since(by).as_millis() / 10, 0);
    assert!(client.is_closed().await);
}
