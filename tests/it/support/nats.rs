//! A real `nats-server` with JetStream, which the tests start, stop and hang; and a consumer of its stream.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use async_nats::jetstream::{self, consumer};

use super::event::{Event, read_audit};
use super::scratch::Scratch;
use super::{program, wait};

/// The stream of findings.
const STREAM: &str = "OPS_FINDINGS";

/// A server on a port and a folder of its own, running or not; killed when dropped.
#[derive(Debug)]
pub(crate) struct NatsServer {
    program: PathBuf,
    address: SocketAddr,
    scratch: Scratch,
    has_config: bool,
    child: Option<Child>,
}

impl NatsServer {
    /// A server that is not running yet; `None`, with a word about it, where there is no `nats-server`.
    pub(crate) fn stopped() -> Option<Self> {
        let program = program::find("nats-server")?;
        let free = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = free.local_addr().expect("a bound socket has an address");
        Some(Self {
            program,
            address,
            scratch: Scratch::new(),
            has_config: false,
            child: None,
        })
    }

    /// A running server with more in its configuration. Of such a one only trommel knows how to read.
    pub(crate) fn running_with(config: &str) -> Option<Self> {
        let mut server = Self::stopped()?;
        server.scratch.write("nats.conf", config);
        server.has_config = true;
        server.start();
        Some(server)
    }

    /// A running server.
    pub(crate) fn running() -> Option<Self> {
        let mut server = Self::stopped()?;
        server.start();
        Some(server)
    }

    /// What to give to `--nats`.
    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Starts it, on the port and the folder that it had before, and waits until it takes connections.
    #[track_caller]
    pub(crate) fn start(&mut self) {
        let mut command = Command::new(&self.program);
        if self.has_config {
            command.arg("-c").arg(self.scratch.path("nats.conf"));
        }
        let child = command
            .args(["-js", "-a", "127.0.0.1", "-p"])
            .arg(self.address.port().to_string())
            .arg("-sd")
            .arg(self.scratch.path("jetstream"))
            .arg("-l")
            .arg(self.scratch.path("nats.log"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server can be started");
        let child = self.child.insert(child);
        wait::until("nats-server to listen", || {
            if let Some(status) = child.try_wait().expect("a child can be asked") {
                let log =
                    std::fs::read_to_string(self.scratch.path("nats.log")).unwrap_or_default();
                panic!("nats-server ended with {status}:\n{log}");
            }
            TcpStream::connect(self.address).ok()
        });
    }

    /// Kills it; what it has acknowledged is in its folder.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it runs");
            child.wait().expect("a child can be waited for");
        }
    }

    /// From now on it takes connections and bytes as the kernel buffers them, and does nothing with them.
    pub(crate) fn hang(&self) {
        program::signal(self.child.as_ref().expect("it runs"), "STOP");
    }

    /// It goes on where it hung.
    pub(crate) fn resume(&self) {
        program::signal(self.child.as_ref().expect("it runs"), "CONT");
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.scratch.path("nats.log")).expect("it has begun to log")
    }

    /// Where it takes connections.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    async fn client(&self) -> async_nats::Client {
        async_nats::connect(self.url())
            .await
            .expect("nats-server runs")
    }

    /// Everything in the stream of findings, from its first message, as a consumer that comes late sees it.
    /// Nothing while there is no such stream.
    #[track_caller]
    pub(crate) fn findings(&self) -> Vec<Published> {
        block_on(async {
            tokio::time::timeout(wait::PATIENCE, read_stream(&self.url()))
                .await
                .expect("nats-server answers")
        })
    }

    /// Waits until the stream holds at least `count` messages, and returns all of them.
    #[track_caller]
    pub(crate) fn wait_for_findings(&self, count: usize) -> Vec<Published> {
        wait::until(&format!("{count} messages in {STREAM}"), || {
            let findings = self.findings();
            (findings.len() >= count).then_some(findings)
        })
    }

    /// Puts a message into the stream that is none of trommel's.
    #[track_caller]
    pub(crate) fn publish(&self, subject: &'static str, body: &'static str) {
        block_on(async {
            let client = self.client().await;
            let request = async_nats::Request::new()
                .payload(body.into())
                .inbox(client.new_inbox());
            let ack = client.send_request(subject, request).await;
            let ack = ack.expect("it is answered").payload;
            assert!(ack.starts_with(br#"{"stream""#), "{ack:?}");
        });
    }

    /// The configuration of the stream of findings.
    #[track_caller]
    pub(crate) fn stream_config(&self) -> jetstream::stream::Config {
        block_on(async {
            let client = self.client().await;
            let stream = jetstream::new(client)
                .get_stream(STREAM)
                .await
                .expect("the stream is there");
            stream.cached_info().config.clone()
        })
    }
}

/// Waits for what the server says: tests have no runtime of their own.
fn block_on<T>(asked: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made");
    runtime.block_on(asked)
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A message in the stream.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    pub(crate) subject: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) event: Event,
}

/// The messages' events.
pub(crate) fn events(messages: &[Published]) -> Vec<Event> {
    messages
        .iter()
        .map(|message| message.event.clone())
        .collect()
}

async fn read_stream(url: &str) -> Vec<Published> {
    let client = async_nats::connect(url).await.expect("nats-server runs");
    let Ok(stream) = jetstream::new(client.clone()).get_stream(STREAM).await else {
        return Vec::new();
    };
    let consumer = stream
        .create_consumer(consumer::pull::Config {
            deliver_policy: consumer::DeliverPolicy::All,
            ack_policy: consumer::AckPolicy::None,
            inactive_threshold: Duration::from_secs(30),
            ..consumer::pull::Config::default()
        })
        .await
        .expect("a consumer can be made");
    let info = consumer.cached_info();
    let next = format!("$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{}", info.name);
    let mut messages = Vec::new();
    for _ in 0..info.num_pending {
        // With an inbox of its own: the message keeps its subject, so the client's shared inbox would not know it.
        let request = async_nats::Request::new()
            .payload("1".into())
            .inbox(client.new_inbox());
        let message = client
            .send_request(next.clone(), request)
            .await
            .expect("a pending message is delivered");
        let headers = message.headers.unwrap_or_default();
        // What people did is in the same stream, under subjects that no consumer of findings asks for.
        if read_audit(&String::from_utf8_lossy(&message.payload)).is_some() {
            continue;
        }
        messages.push(Published {
            subject: message.subject.to_string(),
            headers: headers
                .iter()
                .filter_map(|(name, values)| {
                    Some((name.to_string(), values.first()?.as_str().to_owned()))
                })
                .collect(),
            event: Event::read(&String::from_utf8_lossy(&message.payload)),
        });
    }
    messages
}
