//! The image: its Dockerfile, and the static binary that it is made of in a root directory where there is nothing else.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::nats::{Robot, Secrets, set_up, small};
use super::rendered::{Rendered, root, text, variables};
use crate::support::http::{Client, Request};
use crate::support::incident::{Incident, RULES};
use crate::support::loki::{self, Entry};
use crate::support::program;
use crate::support::scratch::Scratch;
use crate::support::wait;

#[test]
fn the_dockerfile_has_no_fault_that_its_linter_knows() {
    let tools = program::tools().join("deploy/bin/hadolint");
    let Some(hadolint) = program::installed("hadolint", tools) else {
        return;
    };
    program::succeed(
        Command::new(hadolint).arg(root().join("deploy/Dockerfile")),
        "",
    );
}

#[test]
fn what_the_image_is_built_from_is_all_that_cargo_needs() {
    let dockerfile =
        std::fs::read_to_string(root().join("deploy/Dockerfile")).expect("it is there");
    let ignore = std::fs::read_to_string(root().join("deploy/Dockerfile.dockerignore"))
        .expect("it is there");
    let scratch = Scratch::new();
    let copies = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "))
        .filter(|rest| !rest.starts_with("--"));
    let sources = copies.flat_map(|rest| {
        let words: Vec<_> = rest.split(' ').collect();
        words[..words.len() - 1].to_vec()
    });
    for source in sources {
        assert!(
            ignore.lines().any(|line| line == format!("!{source}")),
            "{source} is not sent to the builder"
        );
        program::succeed(
            Command::new("cp")
                .arg("-r")
                .arg(root().join(source))
                .arg(scratch.path("")),
            "",
        );
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "metadata",
        "--locked",
        "--offline",
        "--no-deps",
        "--format-version",
        "1",
    ]);
    let printed = program::succeed(cargo.current_dir(scratch.path("")), "");
    // Every target's main file is there, too.
    let metadata: Value = serde_json::from_str(&printed).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let targets = packages
        .iter()
        .filter_map(|package| package["targets"].as_array())
        .flatten();
    let files: Vec<_> = targets.map(|target| text(&target["src_path"])).collect();
    assert!(
        files.iter().any(|file| file.ends_with("src/main.rs")),
        "{files:?}"
    );
    for file in files {
        assert!(Path::new(file).exists(), "{file}");
    }
}

#[test]
fn the_image_and_the_pod_agree() {
    let dockerfile =
        std::fs::read_to_string(root().join("deploy/Dockerfile")).expect("it is there");
    let Some(demo) = Rendered::kustomize("deploy/kustomize/overlays/demo") else {
        return;
    };
    let (_, container) = demo.trommel();
    let user = &container["securityContext"]["runAsUser"];
    assert!(
        dockerfile.contains(&format!("\nUSER {user}:{user}\n")),
        "{user}"
    );
    // The kubelet gives `args` to the image's entry point.
    assert!(dockerfile.contains("\nENTRYPOINT [\"/trommel\"]\n") && container["command"].is_null());
    let version = format!("ARG VERSION={}\n", env!("CARGO_PKG_VERSION"));
    assert!(dockerfile.contains(&version), "{version}");
    assert_eq!(
        container["image"],
        concat!("trommel:", env!("CARGO_PKG_VERSION"))
    );
    let chart = std::fs::read_to_string(root().join("deploy/helm/trommel/Chart.yaml"))
        .expect("it is there");
    assert!(
        chart.contains(concat!("\nappVersion: ", env!("CARGO_PKG_VERSION"), "\n")),
        "{chart}"
    );
}

/// The static binary, as `scripts/test` builds it.
fn binary() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("it is in the target folder");
    program::installed(
        "static binary (cargo build --target x86_64-unknown-linux-musl)",
        target.join("x86_64-unknown-linux-musl/debug/trommel"),
    )
}

/// A container's root, as the demo's manifests make it: the binary, ConfigMaps, Secrets, and /etc/hosts as Kubernetes writes it.
struct Pod {
    root: Scratch,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    memory_max: u64,
}

impl Pod {
    fn new(binary: &Path, secrets: &Secrets, nats: &str) -> Option<Self> {
        let demo = Rendered::kustomize("deploy/kustomize/overlays/demo")?;
        let (_, container) = demo.trommel();
        let root = Scratch::new();
        for folder in [
            "etc/trommel/config",
            "etc/trommel/rules",
            "etc/trommel/admin",
            "etc/trommel/nats",
            "var/lib/trommel",
        ] {
            std::fs::create_dir_all(root.path(folder)).expect("the target folder is writable");
        }
        std::fs::copy(binary, root.path("trommel")).expect("the binary can be read");
        root.write("etc/hosts", "127.0.0.1 localhost nats.monitoring.svc\n");
        let settings = demo
            .file("trommel-config", "trommel.yaml")
            .replace("nats://nats.monitoring.svc:4222", nats);
        root.write("etc/trommel/config/trommel.yaml", settings);
        root.write(
            "etc/trommel/rules/rules.yaml",
            RULES.replace("ldap_timeout_spike", "of_this_test"),
        );
        root.write(
            "etc/trommel/rules/thresholds.yaml",
            demo.file("trommel-rules", "thresholds.yaml"),
        );
        root.write(
            "etc/trommel/admin/token",
            secrets.get("trommel-admin", "token"),
        );
        root.write(
            "etc/trommel/nats/password",
            secrets.get("trommel-nats", "password"),
        );
        let mut arguments: Vec<_> = super::rendered::items(&container["args"])
            .map(|arg| text(arg).to_owned())
            .collect();
        // Ports of its own beside other tests.
        for more in ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"] {
            arguments.push(more.to_owned());
        }
        let limit = text(&container["resources"]["limits"]["memory"]);
        let mebibytes: u64 = limit
            .strip_suffix("Mi")
            .and_then(|number| number.parse().ok())
            .expect("in MiB");
        Some(Self {
            root,
            arguments,
            variables: variables(container).into_iter().collect(),
            memory_max: mebibytes << 20,
        })
    }

    /// Starts it with this root directory as `/`; `None`, with a word, where the system does not let us.
    #[track_caller]
    fn start(&self) -> Option<Running> {
        let mut unshare = Command::new("unshare");
        unshare
            .args(["--user", "--map-root-user", "--root"])
            .arg(self.root.path(""))
            .arg("/trommel");
        let can = program::run(
            Command::new("unshare").args(["--user", "--map-root-user", "true"]),
            "",
        );
        if !can.status.success() {
            eprintln!("skipped: there are no user name spaces here");
            return None;
        }
        let mut child = unshare
            .args(&self.arguments)
            .env_clear()
            .envs(self.variables.clone())
            .env("TROMMEL_SHUTDOWN_DELAY", "0s")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("there is an unshare");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let mut said = Vec::new();
        let push = loop {
            let Some(Ok(line)) = lines.next() else {
                panic!("trommel does not start: {said:#?}");
            };
            let fields: Value = serde_json::from_str(&line).unwrap_or_default();
            said.push(line);
            if fields["message"] == "listening" {
                break text(&fields["push"]).parse().expect("an address");
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        Some(Running { child, push })
    }
}

/// A running one; killed when dropped. `unshare` has become trommel.
struct Running {
    child: Child,
    push: SocketAddr,
}

impl Running {
    #[track_caller]
    fn push(&self, body: Vec<u8>) {
        let answer =
            Client::with_timeout(self.push, wait::PATIENCE).send(&Request::push_protobuf(body));
        assert_eq!(answer.expect("an answer").status, 204);
    }

    /// The most memory that it has ever had.
    fn peak_bytes(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .expect("the kernel tells it");
        let kibibytes: u64 = line
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .expect("a number");
        kibibytes << 10
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_binary_needs_nothing_else_and_stays_within_its_limit_of_memory() {
    let Some(binary) = binary() else {
        return;
    };
    let Some((nats, secrets)) = small() else {
        return;
    };
    set_up(&nats, &secrets);
    // By a name: that is what static binaries are known to fail at.
    let url = nats.url().replace("127.0.0.1", "nats.monitoring.svc");
    let Some(pod) = Pod::new(&binary, &secrets, &url) else {
        return;
    };
    let Some(running) = pod.start() else {
        return;
    };
    // More than it may take at once, from more senders than there should be; what it cannot take is shed.
    let bodies: Vec<_> = (0..8).map(flood).collect();
    std::thread::scope(|scope| {
        for sender in 0..32 {
            let (running, bodies) = (&running, &bodies);
            scope.spawn(move || {
                for number in 0..6 {
                    running.push(bodies[(sender + number) % bodies.len()].clone());
                }
            });
        }
    });
    let peak = running.peak_bytes();
    assert!(peak > 16 << 20, "{peak} bytes are not what was measured");
    assert!(
        peak < pod.memory_max,
        "{} MiB, and the limit is {} MiB",
        peak >> 20,
        pod.memory_max >> 20
    );
    eprintln!("at most {} MiB", peak >> 20);

    running.push(loki::protobuf(&Incident::new().failures("backend")));
    let robot = Robot::new(&nats, &secrets);
    wait::until("the finding", || {
        robot
            .next()
            .starts_with("ops.findings.identity_security.identity_provider_unreachable.")
            .then_some(())
    });
    // State is on its disk.
    assert!(pod.root.path("var/lib/trommel/trommel.db").exists());
}

/// A push of a mebibyte: streams that never come again, and lines that rules look for.
fn flood(number: usize) -> Vec<u8> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is past 1970");
    let now = i64::try_from(now.as_nanos()).expect("before the year 2262");
    let entry = |index: usize| Entry {
        labels: [
            ("namespace".to_owned(), format!("shop-{}", index % 7)),
            ("pod".to_owned(), format!("api-{number}-{}", index / 20)),
        ]
        .into(),
        at: now + i64::try_from(index).expect("small"),
        line: format!(
            "E{index} dial tcp 10.0.0.9:389: connect: connection refused {}",
            "x".repeat(160)
        ),
    };
    loki::protobuf(&(0..4500).map(entry).collect::<Vec<_>>())
}
