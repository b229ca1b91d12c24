//! The image: its Dockerfile, and the static binary that it is made of in a root directory where there is nothing else.

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::nats::{Robot, set_up, small};
use super::pod::{Container, Image};
use super::rendered::{Rendered, root, text};
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
    let sources: Vec<_> = sources.collect();
    // What it does without is only left out of SQLite if cargo finds its settings.
    assert!(sources.contains(&".cargo"), "{sources:?}");
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

#[test]
fn the_binary_needs_nothing_else_and_stays_within_its_limit_of_memory() {
    let (Some(image), Some((nats, secrets))) = (Image::new(), small()) else {
        return;
    };
    set_up(&nats, &secrets);
    let (Some(demo), Some(cluster)) = (
        Rendered::kustomize("deploy/kustomize/overlays/demo"),
        Rendered::kustomize("deploy/nats/overlays/small"),
    ) else {
        return;
    };
    // NATS by its name: that is what static binaries are known to fail at.
    let container = Container::trommel(&image, &demo, &secrets)
        .reaching(&cluster, "nats", nats.address())
        .with_file(
            "/etc/trommel/rules/rules.yaml",
            &RULES.replace("ldap_timeout_spike", "of_this_test"),
        );
    let Some(running) = container.start() else {
        return;
    };
    running.wait_for_log("open findings read back from nats");
    let idle = [running.resident_bytes(), running.anonymous_bytes()];
    // More than it may take at once, from more senders than there should be; what it cannot take is shed.
    let bodies: Vec<_> = (0..8).map(flood).collect();
    std::thread::scope(|scope| {
        for sender in 0..32 {
            let (running, bodies) = (&running, &bodies);
            scope.spawn(move || {
                let mut client = Client::with_timeout(running.push_address(), wait::PATIENCE);
                for number in 0..6 {
                    let body = bodies[(sender + number) % bodies.len()].clone();
                    let answer = client.send(&Request::push_protobuf(body));
                    assert_eq!(answer.expect("an answer").status, 204);
                }
            });
        }
    });
    let peak = running.peak_bytes();
    let [idle, needed] = idle.map(|bytes| bytes >> 20);
    let after = running.anonymous_bytes() >> 20;
    let (peak, limit) = (peak >> 20, container.memory_max >> 20);
    eprintln!(
        "{idle} MiB when idle, {needed} of them not the binary's file; at most {peak} MiB; {after} of its own afterwards"
    );
    let requested = container.memory_requested >> 20;
    assert!(
        needed < requested,
        "{needed} MiB when idle, and {requested} MiB are asked for"
    );
    assert!(peak > 16, "{peak} MiB are not what was measured");
    assert!(peak < limit, "{peak} MiB, and the limit is {limit} MiB");

    running.push(&Incident::new().failures("backend"));
    let robot = Robot::new(&nats, &secrets);
    wait::until("the finding", || {
        robot
            .next()
            .starts_with("ops.findings.identity_security.identity_provider_unreachable.")
            .then_some(())
    });
    // State is on its disk, and nothing is anywhere else.
    assert!(container.path("/var/lib/trommel/trommel.db").exists());
    assert_eq!(container.strays(), Vec::<String>::new());
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
