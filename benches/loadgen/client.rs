//! Connections that send what is due and note when it was answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::batches::Bodies;

/// Longest answer time that is told apart from longer ones, in microseconds.
const ANSWER_MAX: u64 = 60_000_000;

/// Most time that a run may take beyond what it was planned to take.
const GRACE: Duration = Duration::from_secs(60);

/// Most time that a run may be planned to take.
const PLANNED_MAX: Duration = Duration::from_secs(600);

/// When requests are sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// Each as soon as its connection is free.
    AsAnswered,
    /// One in each such interval, whether or not those before are answered.
    Every(Duration),
}

/// What came of a run.
pub(crate) struct Answers {
    /// From when a request was due to its answer, in microseconds.
    pub(crate) since_due: Histogram<u64>,
    /// From when its first byte was sent, which is later where its connection still waited for the answer before.
    pub(crate) since_sent: Histogram<u64>,
    /// From the first request to the last answer.
    pub(crate) took: Duration,
}

/// Sends all of `bodies` to `server`, on this machine, from so many connections.
///
/// # Errors
/// When `server` is elsewhere, a connection breaks, or it takes a minute longer than planned.
pub(crate) fn send(
    server: SocketAddr,
    bodies: &Arc<Bodies>,
    connections: usize,
    pace: Pace,
) -> Result<Answers> {
    ensure!(
        server.ip().is_loopback(),
        "{server} is not on this machine: load goes nowhere else"
    );
    // One thread: the cores are for whom we measure.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(send_all(server, bodies, connections, pace))
}

async fn send_all(
    server: SocketAddr,
    bodies: &Arc<Bodies>,
    connections: usize,
    pace: Pace,
) -> Result<Answers> {
    let mut opened = Vec::new();
    for _ in 0..connections {
        opened.push(Connection::open(server).await?);
    }
    let planned = match pace {
        Pace::AsAnswered => Duration::ZERO,
        Pace::Every(interval) => interval * bodies.packed.len() as u32,
    };
    ensure!(
        planned <= PLANNED_MAX,
        "{} requests would take {planned:?}, limit is {PLANNED_MAX:?}: send fewer, or faster",
        bodies.packed.len()
    );
    // A little later, so that no connection is late for its first.
    let begin = Instant::now() + Duration::from_millis(50);
    let next = Arc::new(AtomicUsize::new(0));
    let mut running = JoinSet::new();
    for (number, connection) in opened.into_iter().enumerate() {
        let bodies = Arc::clone(bodies);
        let next = Arc::clone(&next);
        // With a pace each connection has requests of its own, or a busy one would leave its to those that are free.
        let mine = (number..).step_by(connections);
        running.spawn(async move {
            match pace {
                Pace::AsAnswered => {
                    let free = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)));
                    connection.send(&bodies, free, begin, |_| None).await
                }
                Pace::Every(interval) => {
                    let due = |number| Some(begin + interval * number as u32);
                    connection.send(&bodies, mine, begin, due).await
                }
            }
        });
    }
    let mut all = Answers::none()?;
    let by = begin + planned + GRACE;
    while let Some(ended) = timeout_at(by, running.join_next())
        .await
        .context("the server does not keep up: a minute over time, and given up")?
    {
        all.add(ended??)?;
    }
    Ok(all)
}

/// One connection that is kept open, as Alloy keeps its own.
pub(crate) struct Connection {
    socket: TcpStream,
    head: String,
    answers: Answers,
}

impl Connection {
    /// Connects to `server`.
    ///
    /// # Errors
    /// When nobody listens there.
    pub(crate) async fn open(server: SocketAddr) -> Result<Self> {
        let socket = TcpStream::connect(server).await;
        let socket = socket.with_context(|| format!("cannot connect to {server}"))?;
        socket.set_nodelay(true)?;
        Ok(Self {
            socket,
            head: head(server),
            answers: Answers::none()?,
        })
    }

    /// Sends those of `numbers` that there are, each when it is due.
    async fn send(
        mut self,
        bodies: &Bodies,
        numbers: impl Iterator<Item = usize>,
        begin: Instant,
        due: impl Fn(usize) -> Option<Instant>,
    ) -> Result<Answers> {
        sleep_until(begin).await;
        for number in numbers {
            let Some(body) = bodies.packed.get(number) else {
                break;
            };
            let due = due(number);
            if let Some(due) = due {
                sleep_until(due).await;
            }
            let sent = Instant::now();
            self.exchange(body).await?;
            let answered = Instant::now();
            let micros = |since: Instant| (answered - since).as_micros() as u64;
            let answers = &mut self.answers;
            answers
                .since_due
                .saturating_record(micros(due.unwrap_or(sent)));
            answers.since_sent.saturating_record(micros(sent));
            answers.took = answered - begin;
        }
        Ok(self.answers)
    }

    /// Sends one request and waits for its answer.
    ///
    /// # Errors
    /// When it is not 204, or none comes.
    pub(crate) async fn exchange(&mut self, body: &[u8]) -> Result<()> {
        let head = format!("{}{}\r\n\r\n", self.head, body.len());
        self.socket.write_all(head.as_bytes()).await?;
        self.socket.write_all(body).await?;
        let mut answer = Vec::with_capacity(512);
        // A 204 has no body, and any other answer ends the run.
        while !answer.ends_with(b"\r\n\r\n") {
            if self.socket.read_buf(&mut answer).await? == 0 {
                bail!("the server closed a connection");
            }
        }
        ensure!(
            answer.starts_with(b"HTTP/1.1 204 "),
            "the server answered {}",
            String::from_utf8_lossy(&answer)
        );
        Ok(())
    }
}

impl Answers {
    fn none() -> Result<Self> {
        let empty = Histogram::new_with_bounds(1, ANSWER_MAX, 3)?;
        Ok(Self {
            since_due: empty.clone(),
            since_sent: empty,
            took: Duration::ZERO,
        })
    }

    fn add(&mut self, other: Self) -> Result<()> {
        self.since_due.add(other.since_due)?;
        self.since_sent.add(other.since_sent)?;
        self.took = self.took.max(other.took);
        Ok(())
    }
}

/// A request up to the number that says how long its body is.
fn head(server: SocketAddr) -> String {
    format!(
        "POST /loki/api/v1/push HTTP/1.1\r\nHost: {server}\r\nUser-Agent: Alloy/v1.11.0\r\n\
         Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\nContent-Length: "
    )
}
