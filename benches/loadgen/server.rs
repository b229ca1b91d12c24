//! A trommel to measure: the binary that cargo built or another one, on free ports of this machine, and what it says of itself.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde_json::Value;

use crate::rule_files::RuleFile;

/// How long it may take to start or to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What to start.
pub(crate) struct Setup {
    folder: Folder,
    cpus: String,
    arguments: Vec<String>,
}

impl Setup {
    /// With `rules` and no others, on the second core, and no state on disk.
    ///
    /// # Errors
    /// When the rules cannot be written down.
    pub(crate) fn new(rules: &RuleFile) -> Result<Self> {
        let setup = Self::shipped()?;
        let path = setup.folder.0.join("rules.yaml");
        fs::write(&path, &rules.yaml)?;
        let path = path.display().to_string();
        Ok(setup.with(&["--no-builtin", "--rules", &path]))
    }

    /// With the rules that ship.
    ///
    /// # Errors
    /// When there is no folder to be had.
    pub(crate) fn shipped() -> Result<Self> {
        let ports = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
        let setup = Self {
            folder: Folder::new()?,
            cpus: "1".to_owned(),
            arguments: vec!["run".to_owned()],
        };
        Ok(setup.with(&ports))
    }

    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments
            .extend(arguments.iter().map(|&one| one.to_owned()));
        self
    }

    /// With a data directory.
    pub(crate) fn with_data(self) -> Self {
        let data = self.folder.0.join("data").display().to_string();
        self.with(&["--data", &data])
    }

    /// With settings from a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn with_settings(self, yaml: &str) -> Result<Self> {
        let path = self.folder.0.join("settings.yaml");
        fs::write(&path, yaml)?;
        Ok(self.with(&["--config", &path.display().to_string()]))
    }

    /// On these cores, written as for `taskset`.
    pub(crate) fn on_cpus(self, cpus: &str) -> Self {
        Self {
            cpus: cpus.to_owned(),
            ..self
        }
    }

    /// Starts it and waits until it says that it is ready.
    ///
    /// # Errors
    /// When it does not within half a minute; with what it said instead.
    pub(crate) fn start(self) -> Result<Server> {
        let began = Instant::now();
        let mut command = Command::new("taskset");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TROMMEL_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .args(["-c", &self.cpus])
            .arg(binary())
            .args(&self.arguments)
            .env("TROMMEL_LOG_FORMAT", "json")
            .env("TROMMEL_SHUTDOWN_DELAY", "0s")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start taskset, of util-linux")?;
        let stderr = child.stderr.take().expect("stderr is piped");
        let mut server = Server {
            child,
            push: ([127, 0, 0, 1], 0).into(),
            admin: ([127, 0, 0, 1], 0).into(),
            ready_after: Duration::ZERO,
            folder: self.folder,
        };
        let (push, admin, rest) = ports(BufReader::new(stderr))?;
        (server.push, server.admin) = (push, admin);
        let until = Instant::now() + PATIENCE;
        while get(push, "/ready").is_err() {
            ensure!(
                Instant::now() < until,
                "it is not ready within {PATIENCE:?}"
            );
        }
        server.ready_after = began.elapsed();
        // What it says later is for whoever looks into the folder of a run that failed; a full pipe would stop it.
        let mut log = File::create(server.folder.0.join("log"))?;
        let mut rest = rest;
        std::thread::spawn(move || std::io::copy(&mut rest, &mut log));
        Ok(server)
    }
}

/// cargo's, or the one that `TROMMEL_TEST_BINARY` names.
fn binary() -> OsString {
    let built = || env!("CARGO_BIN_EXE_trommel").into();
    std::env::var_os("TROMMEL_TEST_BINARY").unwrap_or_else(built)
}

/// Reads the log up to the line that names both ports.
fn ports(
    mut log: BufReader<ChildStderr>,
) -> Result<(SocketAddr, SocketAddr, BufReader<ChildStderr>)> {
    let mut said = String::new();
    loop {
        let from = said.len();
        if log.read_line(&mut said)? == 0 {
            bail!("trommel did not start:\n{said}");
        }
        let Ok(line) = serde_json::from_str::<Value>(&said[from..]) else {
            continue;
        };
        if line["message"] == "listening" {
            let port = |name: &str| line[name].as_str().and_then(|text| text.parse().ok());
            let both = port("push").zip(port("admin"));
            let (push, admin) = both.ok_or_else(|| anyhow!("no ports in {line}"))?;
            return Ok((push, admin, log));
        }
    }
}

/// A running trommel; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) push: SocketAddr,
    admin: SocketAddr,
    /// From its start to its first word that it is ready.
    pub(crate) ready_after: Duration,
    folder: Folder,
}

impl Server {
    /// What it says of itself now.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) fn metrics(&self) -> Result<Metrics> {
        Ok(Metrics(get(self.admin, "/metrics")?))
    }

    /// The most memory that was ever resident, in bytes.
    ///
    /// # Errors
    /// When the system does not tell.
    pub(crate) fn resident_peak(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: f64 = line
            .and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok())
            .ok_or_else(|| anyhow!("no VmHWM in {status}"))?;
        Ok(kib * 1024.0)
    }

    /// Waits until `holds` is true of what it says of itself.
    ///
    /// # Errors
    /// When that takes more than half a minute.
    pub(crate) fn wait_until(&self, holds: impl Fn(&Metrics) -> bool) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        while !holds(&self.metrics()?) {
            ensure!(Instant::now() < until, "waited {PATIENCE:?} in vain");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Metrics in Prometheus's text format.
pub(crate) struct Metrics(String);

impl Metrics {
    /// The sum of all series called `name`; 0 if there is none.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let lines = self.0.lines().filter_map(|line| line.strip_prefix(name));
        let series = lines.filter(|rest| rest.starts_with([' ', '{']));
        let values = series.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum()
    }

    /// User and system time, in seconds; to a hundredth.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.sum("process_cpu_seconds_total")
    }

    pub(crate) fn resident_bytes(&self) -> f64 {
        self.sum("process_resident_memory_bytes")
    }
}

/// The body of what `address` answers with 200.
fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut socket = TcpStream::connect_timeout(&address, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    write!(
        socket,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    ensure!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
    Ok(body.to_owned())
}

/// A folder that goes when it is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// A new one below `target/tmp`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn new() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("loadgen-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
