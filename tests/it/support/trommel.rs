//! The real binary, as an operator runs it.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::event::{Event, read_audit};
use super::http::{Client, Request};
use super::loki::{self, Entry};
use super::scratch::Scratch;
use super::{program, wait};

/// What to start, and the folder it works in. A second start with the same setup finds the data of the first.
#[derive(Debug)]
pub(crate) struct Setup {
    scratch: Arc<Scratch>,
    args: Vec<OsString>,
    shutdown_delay: String,
    stdout_is_read: bool,
    /// What starts it: a program and its arguments, before those of trommel. Nothing starts it itself.
    under: Vec<OsString>,
}

impl Setup {
    /// `trommel run` on free ports with `rules` and no others.
    pub(crate) fn new(rules: &str) -> Self {
        let setup = Self::with_builtin_rules();
        let file = setup.scratch.write("rules.yaml", rules);
        setup.arg("--no-builtin").arg("--rules").arg(file)
    }

    /// `trommel run` on free ports with the rules that ship.
    pub(crate) fn with_builtin_rules() -> Self {
        let setup = Self {
            scratch: Arc::new(Scratch::new()),
            args: Vec::new(),
            // Most tests that stop it have nothing to say in that time.
            shutdown_delay: "0s".to_owned(),
            stdout_is_read: true,
            under: Vec::new(),
        };
        setup
            .arg("run")
            .arg("--listen")
            .arg("127.0.0.1:0")
            .arg("--admin-listen")
            .arg("127.0.0.1:0")
    }

    /// With a data directory.
    pub(crate) fn with_data(self) -> Self {
        let data = self.scratch.path("data");
        self.arg("--data").arg(data)
    }

    /// Where its data directory is, if it has one.
    pub(crate) fn data(&self) -> PathBuf {
        self.scratch.path("data")
    }

    /// Started by a program that becomes trommel in the end: what follows its `args` is trommel and trommel's arguments.
    pub(crate) fn under(mut self, program: &str, args: &[&OsStr]) -> Self {
        self.under = vec![program.into()];
        self.under.extend(args.iter().map(OsString::from));
        self
    }

    /// With findings going to the NATS server at `url`.
    pub(crate) fn with_nats(self, url: &str) -> Self {
        self.arg("--nats").arg(url)
    }

    /// With one more argument.
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// With that time between SIGTERM and the end of answers, instead of none.
    pub(crate) fn with_shutdown_delay(mut self, delay: &str) -> Self {
        delay.clone_into(&mut self.shutdown_delay);
        self
    }

    /// With its admin port on a free port of every address instead of loopback.
    pub(crate) fn with_admin_for_everybody(self) -> Self {
        self.with_admin_at("0.0.0.0:0")
    }

    /// With its admin port at `address`.
    pub(crate) fn with_admin_at(mut self, address: &str) -> Self {
        let flag = self.args.iter().position(|arg| arg == "--admin-listen");
        let place = flag.and_then(|flag| self.args.get_mut(flag + 1));
        *place.expect("it is among the first arguments") = address.into();
        self
    }

    /// With a pipe as its stdout that nobody reads.
    pub(crate) fn with_unread_stdout(mut self) -> Self {
        self.stdout_is_read = false;
        self
    }

    /// With settings from a file.
    pub(crate) fn with_settings(self, text: &str) -> Self {
        let file = self.scratch.write("settings.yaml", text);
        self.arg("--config").arg(file)
    }

    /// Starts it and waits until it listens.
    #[track_caller]
    pub(crate) fn start(&self) -> Trommel {
        Trommel::start(self)
    }

    /// Starts it and, unless it listens within `limit`, kills it there and then.
    #[track_caller]
    pub(crate) fn start_within(&self, limit: Duration) -> Option<Trommel> {
        let mut starting = Starting::spawn(self);
        let deadline = Instant::now() + limit;
        loop {
            if let Some(ports) = starting.ports() {
                return Some(starting.listening_on(ports));
            }
            if Instant::now() >= deadline {
                starting.child.kill().expect("it runs");
                starting.child.wait().expect("a child can be waited for");
                return None;
            }
            std::thread::yield_now();
        }
    }
}

/// The binary without arguments, and without settings of whoever runs the tests: cargo's, or the one that `TROMMEL_TEST_BINARY` names.
pub(crate) fn command() -> Command {
    let built = || env!("CARGO_BIN_EXE_trommel").into();
    let program = std::env::var_os("TROMMEL_TEST_BINARY").unwrap_or_else(built);
    without_settings(Command::new(program))
}

fn without_settings(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TROMMEL_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command
}

/// A running trommel; killed when dropped.
#[derive(Debug)]
pub(crate) struct Trommel {
    child: Child,
    push: SocketAddr,
    admin: SocketAddr,
    stdout: Lines,
    stderr: Lines,
    /// What is shown at its admin port.
    authorization: Option<String>,
    /// Its files stay as long as it runs, or the setup is there to start another.
    _scratch: Arc<Scratch>,
}

impl Trommel {
    #[track_caller]
    fn start(setup: &Setup) -> Self {
        Starting::spawn(setup).wait()
    }

    /// One that `command` becomes, with whatever that says; `files` stay as long as it runs.
    #[track_caller]
    pub(crate) fn started_by(command: Command, files: Arc<Scratch>) -> Self {
        Starting::of(command, true, files).wait()
    }

    /// Which shows `authorization`, scheme and all, wherever it asks something at the admin port.
    pub(crate) fn with_authorization(mut self, authorization: &str) -> Self {
        self.authorization = Some(authorization.to_owned());
        self
    }

    /// Where it takes pushes.
    pub(crate) fn push_address(&self) -> SocketAddr {
        self.push
    }

    /// Where metrics, health and the API are.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// A connection to where it takes pushes.
    pub(crate) fn push_client(&self) -> Client {
        Client::new(self.push)
    }

    /// Pushes `entries` as Alloy does, in one request.
    ///
    /// # Panics
    /// When the answer is not 204.
    #[track_caller]
    pub(crate) fn push(&self, entries: &[Entry]) {
        self.must_accept(&Request::push_protobuf(loki::protobuf(entries)));
    }

    /// Pushes `entries` as JSON, in one request.
    #[track_caller]
    pub(crate) fn push_json(&self, entries: &[Entry]) {
        self.must_accept(&Request::push_json(loki::json(entries)));
    }

    #[track_caller]
    fn must_accept(&self, request: &Request) {
        let answer = self
            .push_client()
            .send(request)
            .unwrap_or_else(|error| panic!("push: {error}\n{}", self.stderr.text()));
        assert_eq!(
            answer.status,
            204,
            "{}\n{}",
            answer.text(),
            self.stderr.text()
        );
    }

    /// What the admin port answers to a GET of `path`.
    #[track_caller]
    pub(crate) fn admin(&self, path: &str) -> super::http::Answer {
        let mut request = Request::get(path);
        if let Some(authorization) = &self.authorization {
            request = request.with_header("Authorization", authorization);
        }
        self.admin_request(&request)
    }

    /// What the admin port answers to `request`, which may take its time.
    #[track_caller]
    pub(crate) fn admin_request(&self, request: &Request) -> super::http::Answer {
        Client::with_timeout(self.admin, wait::PATIENCE)
            .send(request)
            .unwrap_or_else(|error| panic!("{}: {error}\n{}", request.path, self.stderr.text()))
    }

    /// The sum of a metric over its labels, or over those series of it whose labels hold `label`; 0 when there is none.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str, label: &str) -> f64 {
        self.admin("/metrics")
            .text()
            .lines()
            .filter(|line| {
                line.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with(['{', ' ']) && rest.contains(label))
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Every message about a finding on stdout so far.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<Event> {
        let findings = |lines: &[String]| {
            let lines = lines.iter().filter(|line| read_audit(line).is_none());
            lines.map(|line| Event::read(line)).collect()
        };
        self.stdout.read(findings)
    }

    /// Every message on stdout so far about what somebody did.
    #[track_caller]
    pub(crate) fn audit(&self) -> Vec<Value> {
        self.stdout
            .read(|lines| lines.iter().filter_map(|line| read_audit(line)).collect())
    }

    /// Every line of stdout so far, as it is.
    pub(crate) fn stdout(&self) -> Vec<String> {
        self.stdout.read(<[String]>::to_vec)
    }

    /// Waits for the message on stdout for which `is` holds.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, is: impl Fn(&Event) -> bool) -> Event {
        wait::until(what, || self.events().into_iter().find(|event| is(event)))
    }

    /// `kill -9`: no chance to finish anything.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("a child can be waited for");
    }

    /// SIGTERM, as Kubernetes stops a pod, and what it exits with.
    #[track_caller]
    pub(crate) fn terminate(self) -> ExitStatus {
        self.signal("TERM");
        self.end()
    }

    /// SIGTERM, what it exits with, and every line of its stdout.
    #[track_caller]
    pub(crate) fn terminate_and_read(mut self) -> (ExitStatus, Vec<String>) {
        self.signal("TERM");
        let status = wait::until("trommel to end", || {
            self.child.try_wait().expect("a child can be asked")
        });
        wait::until("the end of stdout", || self.stdout.ended().then_some(()));
        (status, self.stdout())
    }

    /// Sends it SIGTERM, SIGINT, …
    pub(crate) fn signal(&self, name: &str) {
        program::signal(&self.child, name);
    }

    /// Waits until it has ended by itself, and tells what it exits with.
    #[track_caller]
    pub(crate) fn end(mut self) -> ExitStatus {
        wait::until("trommel to end", || {
            self.child.try_wait().expect("a child can be asked")
        })
    }

    /// The value of one series of `/metrics`, named with its labels as it is written there.
    #[track_caller]
    pub(crate) fn series(&self, series: &str) -> Option<f64> {
        self.admin("/metrics")
            .text()
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until its log holds `text`: a line may be on its way through the pipe.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, text: &str) {
        wait::until(&format!("the log to say `{text}`"), || {
            self.log().contains(text).then_some(())
        });
    }

    /// Memory that it has now.
    #[track_caller]
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// Memory that it has now and that is no copy of a file: what the system cannot take away.
    #[track_caller]
    pub(crate) fn anonymous_bytes(&self) -> u64 {
        self.memory("RssAnon:")
    }

    /// What of its memory now are pages of the program's own file and those of libraries.
    #[track_caller]
    pub(crate) fn program_bytes(&self) -> u64 {
        self.memory("RssFile:")
    }

    /// The most memory that it has ever had.
    #[track_caller]
    pub(crate) fn peak_bytes(&self) -> u64 {
        self.memory("VmHWM:")
    }

    #[track_caller]
    fn memory(&self, field: &str) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(path).expect("it runs, on Linux");
        let line = text.lines().find_map(|line| line.strip_prefix(field));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
        kibibytes
            .map(|kibibytes: u64| kibibytes << 10)
            .expect("the kernel tells it")
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.stderr.text()
    }
}

impl Drop for Trommel {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("trommel's log:\n{}", self.stderr.text());
        }
    }
}

/// One that may not listen yet.
struct Starting {
    child: Child,
    stdout: Lines,
    stderr: Lines,
    scratch: Arc<Scratch>,
}

impl Starting {
    fn spawn(setup: &Setup) -> Self {
        let mut command = match &setup.under[..] {
            [] => command(),
            [program, args @ ..] => {
                let mut starter = Command::new(program);
                starter.args(args).arg(command().get_program());
                without_settings(starter)
            }
        };
        command
            .env("TROMMEL_SHUTDOWN_DELAY", &setup.shutdown_delay)
            .args(&setup.args);
        Self::of(command, setup.stdout_is_read, Arc::clone(&setup.scratch))
    }

    fn of(mut command: Command, stdout_is_read: bool, scratch: Arc<Scratch>) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("cargo has built the binary");
        let stdout: Option<ChildStdout> = match stdout_is_read {
            true => child.stdout.take(),
            // Stays open with the child.
            false => None,
        };
        let stderr: ChildStderr = child.stderr.take().expect("stderr is piped");
        Self {
            child,
            stdout: match stdout {
                Some(stdout) => Lines::collect(stdout),
                None => Lines::collect(std::io::empty()),
            },
            stderr: Lines::collect(stderr),
            scratch,
        }
    }

    #[track_caller]
    fn wait(mut self) -> Trommel {
        let ports = wait::until("the start-up log to name both ports", || self.ports());
        self.listening_on(ports)
    }

    /// Where it listens, as soon as it does.
    #[track_caller]
    fn ports(&mut self) -> Option<(SocketAddr, SocketAddr)> {
        let ports = self
            .stderr
            .read(|lines| lines.iter().find_map(|line| listening(line)));
        let ended = self.child.try_wait().expect("a child can be asked");
        if let (None, Some(status)) = (ports, ended) {
            panic!("trommel ended with {status}:\n{}", self.stderr.text());
        }
        ports
    }

    fn listening_on(self, (push, admin): (SocketAddr, SocketAddr)) -> Trommel {
        Trommel {
            child: self.child,
            push,
            admin,
            stdout: self.stdout,
            stderr: self.stderr,
            authorization: None,
            _scratch: self.scratch,
        }
    }
}

/// The two addresses in `{"message":"listening","push":"…","admin":"…"}`, at the top or under `fields`.
fn listening(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = match &line["fields"] {
        Value::Null => &line,
        fields => fields,
    };
    if fields["message"] != "listening" {
        return None;
    }
    let address = |name: &str| fields[name].as_str()?.parse().ok();
    Some((address("push")?, address("admin")?))
}

/// The lines of a stream, read as they come so that the writer never blocks.
#[derive(Debug)]
pub(crate) struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
}

impl Lines {
    pub(crate) fn collect(stream: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                sink.lock().expect("nobody panics with the lock").push(line);
            }
        });
        Self { lines, reader }
    }

    /// Whether the writer has closed it, and all of it was read.
    fn ended(&self) -> bool {
        self.reader.is_finished()
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&[String]) -> T) -> T {
        let lines = self
            .lines
            .lock()
            .expect("nobody panics with the lock")
            .clone();
        look(&lines)
    }

    pub(crate) fn text(&self) -> String {
        self.read(|lines| lines.join("\n"))
    }
}
