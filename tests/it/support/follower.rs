//! Programs of `examples/`, which go on until they are killed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::page::root;
use super::trommel::Lines;
use super::{program, wait};

/// A program that goes on, and what it prints; killed when dropped.
#[derive(Debug)]
pub(crate) struct Follower {
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

impl Follower {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it can be started");
        Self {
            stdout: Lines::collect(child.stdout.take().expect("stdout is piped")),
            stderr: Lines::collect(child.stderr.take().expect("stderr is piped")),
            child,
        }
    }

    pub(crate) fn told(&self, name: &str) -> Vec<Value> {
        self.stdout.read(|lines| {
            lines
                .iter()
                .map(|line| serde_json::from_str(line).expect(name))
                .collect()
        })
    }

    /// What it has complained of.
    pub(crate) fn errors(&self) -> String {
        self.stderr.text()
    }

    /// Waits until what it told last of each component is that.
    #[track_caller]
    pub(crate) fn wait_for(&self, name: &str, expected: &[(&str, &str)]) {
        let expected: BTreeMap<_, _> = expected
            .iter()
            .map(|(component, state)| {
                (
                    format!("ldap_timeout_spike{{component={component},namespace=image-factory}}"),
                    (*state).to_owned(),
                )
            })
            .collect();
        let mut last = BTreeMap::new();
        wait::until(
            &format!(
                "{name} to know {expected:?}; its errors: {}",
                self.stderr.text()
            ),
            || {
                let text =
                    |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
                last = self
                    .told(name)
                    .iter()
                    .map(|one| (text(one, "subject"), text(one, "state")))
                    .collect();
                (last == expected).then_some(())
            },
        );
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("a child can be waited for");
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Python with what the examples need.
pub(crate) fn python() -> Option<PathBuf> {
    program::installed("nats-py", program::tools().join("python/bin/python"))
}

/// A program of `examples/`, with the server that it reads from.
pub(crate) fn example(python: &Path, name: &str, url: &str) -> Command {
    let mut command = Command::new(python);
    command
        .arg(root().join("examples").join(name))
        .args(["--nats", url]);
    command
}

/// `examples/robot.rs`. Cargo builds it with all tests, and not with one alone: then `cargo build --example robot` does.
pub(crate) fn rust_robot() -> Option<PathBuf> {
    let trommel = PathBuf::from(env!("CARGO_BIN_EXE_trommel"));
    let robot = trommel.with_file_name("examples").join("robot");
    program::installed("cargo build --example robot", robot)
}
