//! Other people's servers, each on a free port and in a folder of its own, killed when dropped.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::http::{Client, Request};
use super::page::read;
use super::scratch::Scratch;
use super::{program, wait};

/// A port that is free now.
pub(crate) fn free_address() -> SocketAddr {
    let free = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    free.local_addr().expect("a bound socket has an address")
}

/// A running server that speaks HTTP.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    program: PathBuf,
    arguments: Vec<String>,
    scratch: Scratch,
    child: Option<Child>,
}

impl Server {
    /// Prometheus with that configuration, and the rule files that it names in its folder.
    pub(crate) fn prometheus(config: &str, files: &[(&str, String)]) -> Option<Self> {
        let server = Self::new("prometheus", |address, scratch| {
            vec![
                format!(
                    "--config.file={}",
                    scratch.path("prometheus.yaml").display()
                ),
                format!("--storage.tsdb.path={}", scratch.path("data").display()),
                format!("--web.listen-address={address}"),
                "--log.level=warn".to_owned(),
            ]
        })?;
        server.scratch.write("prometheus.yaml", config);
        for (name, text) in files {
            server.scratch.write(name, text);
        }
        Some(server.started())
    }

    /// Alertmanager with the routes of `examples/README.md`, whose receivers go nowhere.
    pub(crate) fn alertmanager() -> Option<Self> {
        let server = Self::new("prometheus-alertmanager", |address, scratch| {
            vec![
                format!(
                    "--config.file={}",
                    scratch.path("alertmanager.yaml").display()
                ),
                format!("--storage.path={}", scratch.path("data").display()),
                format!("--web.listen-address={address}"),
                "--cluster.listen-address=".to_owned(),
                "--log.level=warn".to_owned(),
            ]
        })?;
        let page = read("examples/README.md");
        let (_, routes) = page
            .split_once("```yaml other\nroute:")
            .expect("the page has them");
        let (routes, _) = routes.split_once("```").expect("the block ends");
        let config = format!("route:{routes}receivers: [{{name: people}}, {{name: on-call}}]\n");
        server.scratch.write("alertmanager.yaml", config);
        Some(server.started())
    }

    /// `None`, with a word about it, where there is no such program.
    fn new(
        name: &str,
        arguments: impl FnOnce(SocketAddr, &Scratch) -> Vec<String>,
    ) -> Option<Self> {
        let program = program::find(name)?;
        let (address, scratch) = (free_address(), Scratch::new());
        Some(Self {
            address,
            program,
            arguments: arguments(address, &scratch),
            scratch,
            child: None,
        })
    }

    fn started(mut self) -> Self {
        self.start();
        self
    }

    /// Starts it where it was, and waits until it says that it is ready.
    #[track_caller]
    pub(crate) fn start(&mut self) {
        let log = std::fs::File::create(self.scratch.path("log")).expect("the folder is writable");
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("it can be started");
        let child = self.child.insert(child);
        let name = self.program.display().to_string();
        let ready = Request::get("/-/ready");
        wait::until(&format!("{name} to be ready"), || {
            if let Some(status) = child.try_wait().expect("a child can be asked") {
                let log = std::fs::read_to_string(self.scratch.path("log")).unwrap_or_default();
                panic!("{name} ended with {status}:\n{log}");
            }
            let answer = Client::new(self.address).send(&ready).ok()?;
            (answer.status == 200).then_some(())
        });
    }

    /// Kills it.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it runs");
            child.wait().expect("a child can be waited for");
        }
    }

    /// What it answers to a GET; `None` while that is neither 200 nor JSON.
    pub(crate) fn json(&self, path: &str) -> Option<Value> {
        let answer = Client::with_timeout(self.address, wait::PATIENCE)
            .send(&Request::get(path))
            .ok()?;
        (answer.status == 200)
            .then(|| serde_json::from_slice(&answer.body).ok())
            .flatten()
    }

    /// The alerts that Alertmanager has now; `None` while it does not answer.
    pub(crate) fn alerts(&self) -> Option<Vec<Value>> {
        let alerts = self.json("/api/v2/alerts?active=true")?;
        alerts.as_array().cloned()
    }

    /// What Prometheus answers to a query.
    ///
    /// # Errors
    /// Its own words.
    pub(crate) fn query(&self, query: &str) -> Result<Vec<Value>, String> {
        let path = format!("/api/v1/query?query={}", percent_encoded(query));
        let answer = Client::with_timeout(self.address, wait::PATIENCE).send(&Request::get(&path));
        let text = answer.map_err(|error| error.to_string())?.text();
        let answer: Value =
            serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
        match answer["data"]["result"].as_array() {
            Some(samples) => Ok(samples.clone()),
            None => Err(text),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
