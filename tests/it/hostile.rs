//! Requests that mean harm, or come from a broken client: each gets a clear status or the end of its connection, is counted, costs no
//! memory that stays, and disturbs nobody who pushes meanwhile.
//!
//! What each room refuses is shown in its own tests (`tests/push`, `fuzz`); here it is the real binary, with everything at once.

use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};

use crate::support::http::{Client, Request, read_answer};
use crate::support::loki::{self, Entry, field, pack, varint};
use crate::support::trommel::{Setup, Trommel};
use crate::support::wait;

/// Every line with this word is a finding of its stream's.
const RULES: &str = r#"
rules:
  - {id: any_error, match: ERROR, by: [pod], incident_type: error_spike}
"#;

/// Short, so that what is slow is given up while the test watches.
const TIMEOUTS: &str = "limits: {header_timeout: 1s, body_timeout: 2s}";

/// Memory that trommel may have once hostile requests are over: 24 MiB of itself in a debug build, two times 16 MiB of buffers that are kept
/// for the next requests, and what the allocator keeps of what was freed: as much as the largest of them took, in pieces that do not fit together.
const LEFT_BYTES_MAX: u64 = 144 << 20;

/// Memory that trommel may have while the largest requests are there: one body as sent, inflated, and as a batch, beside the 80 MiB that are
/// in use anyway.
const PEAK_BYTES_MAX: u64 = (80 + 16 + 64 + 64) << 20;

/// How much more another round of the same may leave behind: nothing, but for where the allocator finds room.
const GROWTH_BYTES_MAX: u64 = 16 << 20;

#[test]
fn whoever_drips_is_ended_by_the_time_out_and_disturbs_nobody() {
    // Twice as many as would once have taken all the room that bodies have.
    const EACH: usize = 64;
    let trommel = Setup::new(RULES).with_settings(TIMEOUTS).start();
    let witness = Witness::start(&trommel);

    let head = "POST /loki/api/v1/push HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n";
    let kinds = [
        (String::new(), format!("{head}X-Long: ")),
        (
            format!("{head}Content-Length: 1000000\r\n\r\n"),
            " ".repeat(64),
        ),
        (
            format!("{head}Transfer-Encoding: chunked\r\n\r\n"),
            "1\r\n \r\n".repeat(64),
        ),
    ];
    let mut dripping = Vec::new();
    for (kind, (at_once, bit_by_bit)) in kinds.iter().enumerate() {
        for _ in 0..EACH {
            let mut raw = Raw::connect(trommel.push_address());
            raw.send(at_once.as_bytes()).expect("nobody ends it yet");
            dripping.push((kind, raw, bit_by_bit.bytes().cycle()));
        }
    }
    let mut statuses = vec![Vec::new(); kinds.len()];
    wait::until("all of them to be ended", || {
        dripping.retain_mut(|(kind, raw, bytes)| {
            let byte = bytes.next().expect("it goes round");
            // A write into a connection that has just been closed fails; the answer before it is there all the same.
            let _ = raw.send(&[byte]);
            let ended = raw.try_answer();
            statuses[*kind].extend(ended);
            ended.is_none()
        });
        dripping.is_empty().then_some(())
    });
    assert_eq!(statuses[0], [0; EACH], "headers have no answer to give");
    for statuses in &statuses[1..] {
        let given_up = |status: &u16| *status == 408;
        assert!(statuses.iter().all(given_up), "{statuses:?}");
        assert_eq!(statuses.len(), EACH);
    }

    assert!(witness.stop() > 0);
    let timed_out = trommel.metric("trommel_connections_timed_out_total", r#"stage="header""#);
    assert!(timed_out >= EACH as f64, "{timed_out}");
    let shed = ["trommel_requests_shed_total", "trommel_entries_shed_total"]
        .map(|name| trommel.metric(name, ""));
    assert_eq!(shed, [0.0, 0.0], "the others found room");
    let bodies = trommel.metric("trommel_push_rejected_total", r#"reason="timeout""#);
    assert_eq!(bodies, (2 * EACH) as f64);
    wait::until("only those that ask for metrics to be connected", || {
        (trommel.metric("trommel_connections", "") == 0.0).then_some(())
    });
    unharmed(&trommel);
}

#[test]
fn connections_that_are_reset_or_half_closed_at_any_byte_are_let_go() {
    let trommel = Setup::new(RULES).with_settings(TIMEOUTS).start();
    // Probes of load balancers come and go without a word, which is no trouble.
    for _ in 0..10 {
        drop(Raw::connect(trommel.push_address()));
    }
    trommel.push(&[entry("probes", "all is well")]);
    let nobody = || (trommel.metric("trommel_connections", "") == 0.0).then_some(());
    wait::until("every connection to be let go", nobody);
    let broken = "trommel_connections_broken_total";
    assert_eq!(trommel.metric(broken, ""), 0.0);

    let witness = Witness::start(&trommel);
    let request = Request::push_protobuf(loki::protobuf(&[entry("reset", "all is well")]));
    let bytes = request.bytes(trommel.push_address());
    let head = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("it has a head")
        + 4;

    let mut statuses = Vec::new();
    for length in 0..bytes.len() {
        let mut raw = Raw::connect(trommel.push_address());
        raw.send(&bytes[..length]).expect("it reads");
        if length % 2 == 0 {
            // Bytes that nobody has read make it a reset instead of an orderly end.
            drop(raw);
            continue;
        }
        raw.0.shutdown(Shutdown::Write).expect("it is connected");
        let status = raw.answer();
        let expected: &[u16] = if length < head { &[0, 400] } else { &[400] };
        assert!(expected.contains(&status), "{length} of {head}: {status}");
        statuses.push(status);
    }
    assert!(statuses.contains(&400));

    // One that has said everything may close its half and is answered.
    let mut raw = Raw::connect(trommel.push_address());
    raw.send(&bytes).expect("it reads");
    raw.0.shutdown(Shutdown::Write).expect("it is connected");
    assert_eq!(raw.answer(), 204);

    assert!(witness.stop() > 0);
    assert!(trommel.metric("trommel_push_rejected_total", r#"reason="broken""#) > 0.0);
    assert!(trommel.metric(broken, r#"reason="cut_off""#) > 0.0);
    wait::until("every connection to be let go", nobody);
    unharmed(&trommel);
}

#[test]
fn pipelined_requests_are_answered_one_by_one_in_their_order() {
    const REQUESTS: usize = 500;
    let trommel = Setup::new(RULES).with_settings(TIMEOUTS).start();
    let witness = Witness::start(&trommel);
    let good = Request::push_protobuf(loki::protobuf(&[entry("pipelined", "all is well")]));
    let bad = Request::push_json(b"no json".to_vec());
    let mut bytes = Vec::new();
    for number in 0..REQUESTS {
        let request = if number % 3 == 0 { &bad } else { &good };
        bytes.extend(request.bytes(trommel.push_address()));
    }
    let raw = Raw::connect(trommel.push_address());
    let mut writing = raw.0.try_clone().expect("a socket can be cloned");
    let writer = std::thread::spawn(move || writing.write_all(&bytes));
    let mut answers = BufReader::new(raw.0);
    for number in 0..REQUESTS {
        let expected = if number % 3 == 0 { 400 } else { 204 };
        let answer = read_answer(&mut answers).expect("each is answered");
        assert_eq!(answer.status, expected, "number {number}");
    }
    writer.join().expect("no panic").expect("all was read");
    assert!(witness.stop() > 0);

    // Whoever never reads answers is held back by TCP and costs a buffer, not memory without end.
    let before = trommel.resident_bytes();
    let mut deaf: Vec<_> = (0..50)
        .map(|_| Raw::connect(trommel.push_address()))
        .collect();
    let page = Request::get("/").bytes(trommel.push_address()).repeat(1000);
    for raw in &mut deaf {
        raw.0.set_nonblocking(true).expect("it can be");
        // Until the kernel's buffers are full, or it is a few megabytes.
        let mut written = 0;
        while written < 4 << 20
            && let Ok(bytes) = raw.0.write(&page)
        {
            written += bytes;
        }
    }
    trommel.push(&[entry("pipelined", "all is well")]);
    let grown = trommel.resident_bytes().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes for {} of them", deaf.len());
    unharmed(&trommel);
}

#[test]
fn whatever_is_sent_gets_a_clear_status_and_leaves_nothing_behind() {
    // Room for the largest of them, so that they are refused for what they are, but not for keeping two such buffers.
    let trommel = Setup::new(RULES)
        .with_settings(&format!("memory: 384MiB\n{TIMEOUTS}"))
        .start();
    let witness = Witness::start(&trommel);
    let address = trommel.push_address();
    let mut cases = heads();
    cases.extend(
        bodies()
            .into_iter()
            .map(|(what, status, request)| (what, status, request.bytes(address))),
    );

    // The first half of the rounds fills whatever is kept from request to request, the allocator's pieces included.
    let mut wrong = Vec::new();
    let mut resident = Vec::new();
    let mut peak = 0;
    for round in 0..6 {
        for (what, status, bytes) in &cases {
            let mut raw = Raw::connect(address);
            // A refusal may come, and the connection end, before all is read.
            let _ = raw.send(bytes);
            let answered = raw.answer();
            if answered != *status {
                wrong.push(format!("{what}: {answered}, not {status}"));
            }
        }
        resident.push(trommel.resident_bytes());
        peak = peak.max(trommel.peak_bytes());
        if round == 0 {
            assert!(wrong.is_empty(), "{wrong:#?}\n{}", trommel.log());
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    println!("resident after each round: {resident:?}, at most {peak}");
    // What is resident after a round depends on which buffers were kept: what grows with each is above the highest of the first in all later ones.
    let (first, later) = resident.split_at(3);
    let grown = later.iter().min().zip(first.iter().max());
    let grown = grown.map(|(lowest, highest)| lowest.saturating_sub(*highest));
    assert!(grown < Some(GROWTH_BYTES_MAX), "{resident:?}");
    let highest = resident.iter().max();
    assert!(highest < Some(&LEFT_BYTES_MAX), "{resident:?}");
    assert!(peak < PEAK_BYTES_MAX, "{peak}");

    assert!(witness.stop() > 0);
    for reason in [
        "broken",
        "content_encoding",
        "content_type",
        "corrupt",
        "json",
        "no_streams",
        "protobuf",
        "tenant",
        "too_large",
    ] {
        let label = format!("reason=\"{reason}\"");
        let rejected = trommel.metric("trommel_push_rejected_total", &label);
        assert!(rejected > 0.0, "{reason}");
    }
    for (name, label) in [
        ("trommel_connections_broken_total", r#"reason="malformed""#),
        (
            "trommel_connections_broken_total",
            r#"reason="header_too_large""#,
        ),
        ("trommel_labels_invalid_total", ""),
        ("trommel_lines_cut_total", ""),
        ("trommel_entries_late_total", ""),
        ("trommel_entries_future_total", ""),
        ("trommel_push_requests_total", r#"code="404""#),
        ("trommel_push_requests_total", r#"code="405""#),
    ] {
        assert!(trommel.metric(name, label) > 0.0, "{name} {label}");
    }
    unharmed(&trommel);
}

/// Heads that no client of Loki's sends, each with the status of its answer; 0 for the end of the connection.
fn heads() -> Vec<(&'static str, u16, Vec<u8>)> {
    let get = |rest: &str| format!("GET {rest}").into_bytes();
    let post = |headers: &str, body: &str| {
        format!(
            "POST /loki/api/v1/push HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n{headers}\r\n\r\n{body}"
        )
        .into_bytes()
    };
    let long = "a".repeat(1 << 20);
    let many: String = (0..1000).map(|n| format!("X-{n}: {n}\r\n")).collect();
    let one = r#"{"streams":[{"stream":{"a":"b"},"values":[["1","x"]]}]}"#;
    let framed = |extra: &str| post(&format!("{extra}\r\nContent-Length: {}", one.len()), one);
    let path = |path: &[u8]| [b"GET ", path, b" HTTP/1.1\r\nHost: t\r\n\r\n"].concat();
    let method = |method: &str| {
        format!("{method} /loki/api/v1/push HTTP/1.1\r\nHost: t\r\n\r\n").into_bytes()
    };
    vec![
        (
            "a header of 1 MiB",
            431,
            get(&format!("/ready HTTP/1.1\r\nX: {long}\r\n\r\n")),
        ),
        (
            "a header's name of 1 MiB",
            431,
            get(&format!("/ready HTTP/1.1\r\n{long}: x\r\n\r\n")),
        ),
        (
            "a thousand headers",
            431,
            get(&format!("/ready HTTP/1.1\r\n{many}\r\n")),
        ),
        (
            "a path of 1 MiB",
            431,
            get(&format!("/{long} HTTP/1.1\r\n\r\n")),
        ),
        ("zeros", 400, vec![0; 100]),
        (
            "TLS",
            400,
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
        ),
        ("HTTP/2", 0, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("HTTP/0.9", 400, get("/ready\r\n\r\n")),
        ("a NUL in a path", 400, path(b"/ready\0")),
        (
            "bytes that are no UTF-8 in a path",
            400,
            path(b"/ready\xff\xfe"),
        ),
        (
            "a path written in detours",
            404,
            path(b"/loki/api/v1/../v1/push"),
        ),
        (
            "an escaped NUL in a path",
            404,
            path(b"/loki/api/v1/push%00"),
        ),
        ("a page of the admin port", 404, path(b"/metrics")),
        ("a path without a slash", 400, path(b"loki/api/v1/push")),
        ("the method DELETE", 405, method("DELETE")),
        ("the method TRACE", 405, method("TRACE")),
        ("a method of our own", 405, method("BREW")),
        ("a method of bytes", 400, method("\u{1}")),
        ("a NUL in a header", 400, framed("X-Scope-OrgID: a\0b")),
        ("a header without a colon", 400, framed("X-Scope-OrgID")),
        (
            "a tenant of 300 bytes",
            400,
            framed(&format!("X-Scope-OrgID: {}", "t".repeat(300))),
        ),
        ("two lengths", 400, framed("Content-Length: 3")),
        ("a negative length", 400, post("Content-Length: -1", one)),
        (
            "a length beyond 64 bits",
            400,
            post("Content-Length: 18446744073709551616", one),
        ),
        (
            "an encoding that is none",
            400,
            framed("Content-Encoding: zip\0"),
        ),
        (
            "an encoding that is not taken",
            400,
            framed("Content-Encoding: br"),
        ),
        (
            "a transfer encoding that is not taken",
            400,
            post("Transfer-Encoding: gzip", one),
        ),
        (
            "a chunk whose size is no number",
            400,
            post("Transfer-Encoding: chunked", "x\r\n\r\n"),
        ),
        (
            "a chunk beyond 64 bits",
            400,
            post("Transfer-Encoding: chunked", "fffffffffffffffff\r\nx"),
        ),
        (
            "a chunk's extension of 1 MiB",
            400,
            post(
                "Transfer-Encoding: chunked",
                &format!("1;{long}\r\nx\r\n0\r\n\r\n"),
            ),
        ),
        (
            "trailers of 1 MiB",
            400,
            post(
                "Transfer-Encoding: chunked",
                &format!("1\r\n \r\n0\r\nX: {long}\r\n\r\n"),
            ),
        ),
        (
            "a length that is too short",
            400,
            post("Content-Length: 9", one),
        ),
        (
            "a length that is too long",
            408,
            post("Content-Length: 999", one),
        ),
        (
            "a length of 16 EiB",
            431,
            post("Content-Length: 18446744073709551615", one),
        ),
    ]
}

/// Bodies as no client sends them, in requests that are well formed, each with the status of its answer.
fn bodies() -> Vec<(&'static str, u16, Request)> {
    let json = |body: &[u8]| Request::push_json(body.to_vec());
    let snappy = |body: &[u8]| Request::push_protobuf(body.to_vec());
    let packed = |message: &[u8]| Request::push_protobuf(pack(message));
    let nested = |open: &str, depth: usize| open.repeat(depth).into_bytes();
    let at = |time: &str| {
        let body = format!(
            r#"{{"streams":[{{"stream":{{"pod":"time"}},"values":[["{time}","ERROR"]]}}]}}"#
        );
        json(body.as_bytes())
    };
    let labels = |value: &str| {
        let entry = Entry {
            labels: [("pod".to_owned(), value.to_owned())].into(),
            ..entry("", "ERROR")
        };
        Request::push_protobuf(loki::protobuf(&[entry]))
    };
    let line = |line: &str| Request::push_protobuf(loki::protobuf(&[entry("line", line)]));
    // 64 times 16 MiB of blanks in some megabyte: JSON that has not begun.
    let blanks = vec![b' '; 16 << 20];
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&blanks).expect("memory takes it");
    let gzip = gzip.finish().expect("memory takes it").repeat(64);
    let mut deflate = DeflateEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..5 {
        deflate.write_all(&blanks).expect("memory takes it");
    }
    let deflate = deflate.finish().expect("memory takes it");
    vec![
        ("nothing as JSON", 400, json(b"")),
        ("nothing as snappy", 400, snappy(b"")),
        ("snappy that claims 4 GiB", 400, snappy(b"\xff\xff\xff\xff\x0f\x00\x00\x00")),
        ("snappy that claims more than 4 GiB", 400, snappy(b"\xff\xff\xff\xff\x7f\x00\x00\x00")),
        ("snappy that holds 80 MiB", 413, packed(&vec![0; 80 << 20])),
        ("gzip of 1 GiB", 413, json(&gzip).with_header("Content-Encoding", "gzip")),
        ("deflate of 80 MiB", 413, json(&deflate).with_header("Content-Encoding", "deflate")),
        ("gzip that is none", 400, json(&[0xff; 100]).with_header("Content-Encoding", "gzip")),
        ("a body of 17 MiB", 413, json(&vec![b' '; 17 << 20])),
        ("a content type of bytes", 400, Request {
            headers: vec![("Content-Type".to_owned(), b"\xff\xfe/\x80".to_vec())],
            ..json(b"{}")
        }),
        ("a tenant of bytes", 204, at("1").with_header("X-Scope-OrgID", b"\xff\xfe\x80")),
        ("arrays in a million levels", 400, json(&nested("[", 1 << 20))),
        ("objects in a million levels", 400, json(&nested(r#"{"streams":"#, 1 << 20))),
        (
            "an unknown key in a million levels",
            400,
            json(&nested(r#"{"x":["#, 1 << 20)),
        ),
        (
            "values in a million levels",
            400,
            json(&[&br#"{"streams":[{"stream":{},"values":"#[..], &nested("[", 1 << 20)].concat()),
        ),
        ("groups in a million levels", 400, packed(&vec![0x0b; 1 << 20])),
        ("a message that is cut", 400, packed(b"\x0a\xff\xff\xff\xff\x0f")),
        ("bytes that are no UTF-8 as JSON", 204, json(b"{\"streams\":[{\"stream\":{\"pod\":\"\xff\\u0000\"},\"values\":[[\"1\",\"ERROR \xff\xfe\\u0000\"]]}]}")),
        ("no streams", 422, json(br#"{"streams":[]}"#)),
        ("the least time", 204, at("-9223372036854775808")),
        ("the greatest time", 204, at("9223372036854775807")),
        ("a time beyond 64 bits", 400, at("9223372036854775808")),
        ("the least seconds", 204, packed(&stream(br#"{pod="time"}"#, i64::MIN, i32::MIN, b"ERROR"))),
        ("the greatest seconds", 204, packed(&stream(br#"{pod="time"}"#, i64::MAX, i32::MAX, b"ERROR"))),
        ("labels of bytes", 204, packed(&stream(b"{\xff\xfe\0=\"\0\"}", 0, 0, b"ERROR \xff\0"))),
        ("labels that do not end", 204, packed(&stream(b"{pod=\"", 0, 0, b"ERROR"))),
        ("braces without end", 204, packed(&stream(&b"{".repeat(1 << 20), 0, 0, b"ERROR"))),
        ("labels of 16 MiB", 204, labels(&"a".repeat(16 << 20))),
        ("a line of 16 MiB", 204, line(&"ERROR ".repeat((16 << 20) / 6))),
        ("a line of zeros", 204, line(&"\0".repeat(1 << 20))),
    ]
}

/// A message of one entry; the strings need not be any.
fn stream(labels: &[u8], seconds: i64, nanos: i32, line: &[u8]) -> Vec<u8> {
    let time = [
        &[0x08][..],
        &varint(seconds as u64),
        &[0x10],
        &varint(i64::from(nanos) as u64),
    ]
    .concat();
    let entry = [field(1, &time), field(2, line)].concat();
    field(1, &[field(1, labels), field(2, &entry)].concat())
}

fn entry(pod: &str, line: &str) -> Entry {
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is past 1970");
    Entry {
        labels: [("pod".to_owned(), pod.to_owned())].into(),
        at: i64::try_from(wall.as_nanos()).expect("before the year 2262"),
        line: line.to_owned(),
    }
}

/// Nothing has panicked or failed, and what is pushed now is found.
#[track_caller]
fn unharmed(trommel: &Trommel) {
    trommel.push(&[entry("afterwards", "ERROR and found")]);
    trommel.wait_for("the finding about what came afterwards", |event| {
        event.state() == "observed" && event.0.to_string().contains("afterwards")
    });
    let log = trommel.log();
    for bad in ["panicked", "\"ERROR\"", "task failed"] {
        assert!(!log.contains(bad), "{log}");
    }
}

/// Somebody who pushes all the time, on one connection, and must never notice the others.
struct Witness {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Witness {
    fn start(trommel: &Trommel) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut client =
            Client::with_timeout(trommel.push_address(), wait::PATIENCE).without_repeats();
        let thread = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                let mut pushes = 0;
                while !stop.load(Ordering::Relaxed) || pushes == 0 {
                    let request =
                        Request::push_protobuf(loki::protobuf(&[entry("witness", "all is well")]));
                    let answer = client.send(&request).expect("nobody ends this connection");
                    assert_eq!(answer.status, 204, "{}", answer.text());
                    pushes += 1;
                    std::thread::yield_now();
                }
                pushes
            }
        });
        Self { stop, thread }
    }

    /// How often it has pushed, and was answered 204 each time.
    fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("every push was answered 204")
    }
}

/// A connection on which anything may be sent.
struct Raw(TcpStream);

impl Raw {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_nodelay(true).expect("it can be");
        for set in [TcpStream::set_read_timeout, TcpStream::set_write_timeout] {
            set(&stream, Some(wait::PATIENCE)).expect("it can be");
        }
        Self(stream)
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    /// The status of the next answer; 0 when the connection ends without one.
    fn answer(&mut self) -> u16 {
        let mut head = [0; 12];
        match self.0.read_exact(&mut head) {
            Ok(()) => status(&head),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                panic!("no answer and no end within {:?}", wait::PATIENCE)
            }
            Err(_) => 0,
        }
    }

    /// The same if it is there already.
    fn try_answer(&mut self) -> Option<u16> {
        self.0.set_nonblocking(true).expect("it can be");
        let mut head = [0; 12];
        let answer = match self.0.peek(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Ok(bytes) if bytes == head.len() => Some(status(&head)),
            Ok(1..) => None,
            Ok(0) | Err(_) => Some(0),
        };
        self.0.set_nonblocking(false).expect("it can be");
        answer
    }
}

fn status(head: &[u8; 12]) -> u16 {
    let text = String::from_utf8_lossy(head);
    text[9..].parse().expect("a status line")
}
