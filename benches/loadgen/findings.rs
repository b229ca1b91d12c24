//! From a push to the finding in JetStream.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use async_nats::jetstream::{self, consumer, consumer::push::Ordered};
use futures_util::StreamExt as _;
use hdrhistogram::Histogram;
use serde_json::json;
use tokio::time::{sleep, timeout};
use trommel::batch::Labels;

use crate::batches::Bodies;
use crate::client::Connection;
use crate::rule_files::{self, RuleFile};
use crate::server::{Folder, Setup};
use crate::wire::SentStream;

/// How long NATS and a finding may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Pushes `count` lines one after the other, each of which opens a finding of its own, and tells the times, in microseconds, until a
/// consumer of the stream had them: it gets what is stored, so this is a little more than the time to the ack.
///
/// # Errors
/// When there is no such `program`, or a finding does not come.
pub(crate) fn push_to_ack(program: &str, count: usize) -> Result<Histogram<u64>> {
    let nats = Nats::start(program)?;
    let rules = RuleFile {
        yaml: json!({"rules": [rule_files::keys()]}).to_string(),
        examples: Vec::new(),
    };
    let server = Setup::new(&rules)?
        .on_cpus("0,1")
        .with_data()
        .with(&["--nats", &format!("nats://{}", nats.address)])
        .start()?;
    server.wait_until(|metrics| metrics.sum("trommel_nats_connected") == 1.0)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(times(nats.address, server.push, count))
}

async fn times(nats: SocketAddr, push: SocketAddr, count: usize) -> Result<Histogram<u64>> {
    let mut pushes = Pushes {
        connection: Connection::open(push).await?,
        count: 0,
    };
    // The stream is made for the first finding.
    pushes.next().await?;
    let mut messages = messages(nats).await?;
    pushes.expect_in(&mut messages).await?;
    let mut times = Histogram::new_with_bounds(1, 60_000_000, 3)?;
    for _ in 0..count {
        let began = pushes.next().await?;
        pushes.expect_in(&mut messages).await?;
        times.record(began.elapsed().as_micros() as u64)?;
    }
    Ok(times)
}

/// All findings in the stream, as soon as there is one.
async fn messages(nats: SocketAddr) -> Result<Ordered> {
    let client = async_nats::connect(format!("nats://{nats}")).await?;
    let jetstream = jetstream::new(client.clone());
    let until = Instant::now() + PATIENCE;
    let stream = loop {
        match jetstream.get_stream("OPS_FINDINGS").await {
            Ok(stream) => break stream,
            Err(error) if Instant::now() > until => return Err(error.into()),
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    };
    let config = consumer::push::OrderedConfig {
        deliver_subject: client.new_inbox(),
        ..Default::default()
    };
    Ok(stream.create_consumer(config).await?.messages().await?)
}

/// Pushes of one line, each with a key of its own.
struct Pushes {
    connection: Connection,
    count: usize,
}

impl Pushes {
    /// Makes the next one, and tells when it began.
    async fn next(&mut self) -> Result<Instant> {
        self.count += 1;
        let labels = [("namespace", "team-1"), ("app", "login")];
        let stream = SentStream {
            labels: Labels::new(labels.map(|(name, value)| (name.into(), value.into()))),
            lines: vec![format!("login failed for user-{}", self.count).into_bytes()],
        };
        let bodies = Bodies::new(&[vec![stream]], 1, Duration::ZERO)?;
        let began = Instant::now();
        self.connection.exchange(&bodies.packed[0]).await?;
        Ok(began)
    }

    /// Waits for the finding of the last one.
    async fn expect_in(&self, messages: &mut Ordered) -> Result<()> {
        let message = timeout(PATIENCE, messages.next()).await?;
        let message = message.context("the stream ended")??;
        let text = String::from_utf8_lossy(&message.payload);
        ensure!(
            text.contains(&format!("login_failed{{user=user-{}}}", self.count)),
            "another finding came: {text}"
        );
        Ok(())
    }
}

/// A server with JetStream on a free port; killed when dropped.
struct Nats {
    address: SocketAddr,
    child: Child,
    _folder: Folder,
}

impl Nats {
    fn start(program: &str) -> Result<Self> {
        let folder = Folder::new()?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = Command::new(program)
            .args(["-js", "-a", "127.0.0.1", "-p", &address.port().to_string()])
            .arg("-sd")
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {program}; see --nats-server"))?;
        let mut nats = Self {
            address,
            child,
            _folder: folder,
        };
        let until = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(address).is_err() {
            if let Some(status) = nats.child.try_wait()? {
                bail!("{program} ended with {status}");
            }
            ensure!(Instant::now() < until, "{program} does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(nats)
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
