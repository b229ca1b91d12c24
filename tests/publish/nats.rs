//! A real `nats-server` with JetStream on a port and a folder of its own, and a look into its stream.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::jetstream::{self, Context, stream};

/// How long anything may take that is not expected to take long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Stream and subjects as the settings' defaults have them.
pub(crate) fn stream_config() -> stream::Config {
    stream::Config {
        name: "OPS_FINDINGS".to_owned(),
        subjects: vec!["ops.findings.>".to_owned()],
        ..stream::Config::default()
    }
}

/// Waits until `condition` holds, asking every few milliseconds.
pub(crate) async fn within(what: &str, condition: impl Fn() -> bool) {
    let mut asking = tokio::time::interval(Duration::from_millis(5));
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited too long for {what}");
        asking.tick().await;
    }
}

/// A running or killed server; killed and its folder removed when dropped.
pub(crate) struct NatsServer {
    program: PathBuf,
    folder: PathBuf,
    arguments: Vec<String>,
    port: u16,
    admin: Option<&'static str>,
    child: Option<Child>,
}

/// A message in the stream.
pub(crate) struct Stored {
    pub(crate) id: String,
    pub(crate) subject: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl NatsServer {
    /// A running server; `None`, and a word about it, where there is no `nats-server`.
    pub(crate) fn start(arguments: &[&str]) -> Option<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let Some(program) = find_program() else {
            println!("skipped: there is no nats-server");
            return None;
        };
        let name = format!(
            "nats-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        let arguments = arguments
            .iter()
            .map(|&argument| argument.to_owned())
            .collect();
        let mut server = Self {
            program,
            folder,
            arguments,
            port: 0,
            admin: None,
            child: None,
        };
        server.restart();
        Some(server)
    }

    /// A running server with this configuration, in which `admin` with the password `secret` may do everything.
    pub(crate) fn start_with_config(config: &str) -> Option<Self> {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("nats-{}.conf", std::process::id()));
        std::fs::write(&path, config).expect("a file can be written");
        let mut server = Self::start(&["-c", path.to_str().expect("the path is text")])?;
        server.admin = Some("admin:secret");
        Some(server)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(crate) fn url_for(&self, user: &str) -> String {
        format!("nats://{user}@127.0.0.1:{}", self.port)
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it runs");
            child.wait().expect("it can be waited for");
        }
    }

    /// Starts it where it was: same folder, and the port it had if it had one.
    pub(crate) fn restart(&mut self) {
        let port = if self.port == 0 {
            "-1".to_owned()
        } else {
            self.port.to_string()
        };
        let mut child = Command::new(&self.program)
            .args(["-js", "-a", "127.0.0.1", "-p", &port, "-sd"])
            .arg(&self.folder)
            .args(&self.arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("nats-server can be started");
        let log = BufReader::new(child.stderr.take().expect("it is piped"));
        self.child = Some(child);
        let (lines, seen) = mpsc::channel();
        // Reads to the end, so that the server never waits for room in the pipe.
        std::thread::spawn(move || {
            log.lines()
                .map_while(Result::ok)
                .for_each(|line| drop(lines.send(line)))
        });
        let mut last = VecDeque::new();
        loop {
            let line = seen
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|_| panic!("nats-server does not start: {last:#?}"));
            if let Some((_, port)) =
                line.split_once("Listening for client connections on 127.0.0.1:")
            {
                self.port = port.trim().parse().expect("a port");
            }
            if line.contains("Server is ready") {
                return;
            }
            last.push_back(line);
        }
    }

    async fn jetstream(&self) -> Context {
        let mut options = async_nats::ConnectOptions::new();
        if let Some((user, password)) = self.admin.and_then(|admin| admin.split_once(':')) {
            options = options.user_and_password(user.to_owned(), password.to_owned());
        }
        jetstream::new(options.connect(self.url()).await.expect("the server runs"))
    }

    pub(crate) async fn make_stream(&self, config: stream::Config) {
        self.jetstream()
            .await
            .create_stream(config)
            .await
            .expect("a stream can be made");
    }

    pub(crate) async fn update_stream(&self, config: stream::Config) {
        self.jetstream()
            .await
            .update_stream(config)
            .await
            .expect("a stream can be changed");
    }

    pub(crate) async fn delete_stream(&self) {
        self.jetstream()
            .await
            .delete_stream("OPS_FINDINGS")
            .await
            .expect("a stream can be deleted");
    }

    pub(crate) async fn stream_config(&self) -> Option<stream::Config> {
        let stream = self
            .jetstream()
            .await
            .get_stream("OPS_FINDINGS")
            .await
            .ok()?;
        Some(stream.cached_info().config.clone())
    }

    /// Everything in the stream, in its order.
    pub(crate) async fn stored(&self) -> Vec<Stored> {
        let stream = self
            .jetstream()
            .await
            .get_stream("OPS_FINDINGS")
            .await
            .expect("the stream is there");
        let state = stream.cached_info().state.clone();
        let mut stored = Vec::new();
        for sequence in state.first_sequence..=state.last_sequence {
            let Ok(message) = stream.get_raw_message(sequence).await else {
                continue;
            };
            if message.subject.as_str() == PROBE {
                continue;
            }
            stored.push(Stored {
                id: message
                    .headers
                    .get("Nats-Msg-Id")
                    .expect("every message has an id")
                    .to_string(),
                subject: message.subject.to_string(),
                headers: message.headers,
                body: message.payload.to_vec(),
            });
        }
        stored
    }

    /// Waits until what was published before is outside of the duplicate window: a message with the same id as one
    /// published now is taken again.
    pub(crate) async fn wait_for_duplicate_window(&self) {
        let jetstream = self.jetstream().await;
        let deadline = Instant::now() + PATIENCE;
        let mut first = true;
        loop {
            assert!(
                Instant::now() < deadline,
                "the duplicate window does not end"
            );
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Msg-Id", "probe");
            let ack = jetstream
                .publish_with_headers(PROBE, headers, "".into())
                .await
                .expect("the server runs");
            if !ack.await.expect("the stream takes it").duplicate && !std::mem::take(&mut first) {
                return;
            }
        }
    }
}

/// Where [`NatsServer::wait_for_duplicate_window`] publishes.
const PROBE: &str = "ops.findings.probe";

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn find_program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        // Debian's is where only root's path leads.
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join("nats-server"))
        .find(|program| program.is_file())
}
