//! `docs/deploy.md`, followed as an operator would: what its commands name is there, and what they promise happens.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;
use trommel::time::Timestamp;

use super::nats::{set_up, small, streams};
use super::rendered::{Rendered, items, root, text};
use crate::support::follower::{example, python};
use crate::support::incident::Incident;
use crate::support::loki::Entry;
use crate::support::page::{found, prose, read};
use crate::support::program;
use crate::support::scratch::Scratch;
use crate::support::trommel::Setup;
use crate::support::wait;

const PAGE: &str = "docs/deploy.md";

#[test]
fn every_path_on_the_page_is_there() {
    let page = read(PAGE);
    let ends = |c: char| c.is_whitespace() || "`()[],;:|\"'#<>".contains(c);
    let paths: Vec<_> = page
        .split(ends)
        .map(|word| word.trim_start_matches("../").trim_end_matches('.'))
        .filter(|word| word.starts_with("deploy/"))
        .collect();
    assert!(paths.len() > 20, "{paths:?}");
    for path in paths {
        assert!(root().join(path).exists(), "{path}");
    }
}

/// Every command line of the page that begins with `program`, without what it is piped into and what is said of it.
fn commands(program: &str) -> Vec<String> {
    let page = read(PAGE);
    let blocks = found(r"(?s)```sh\n(.*?)```", &page);
    let lines = blocks.iter().flat_map(|block| block.lines());
    let inline = found(r"`((?:kubectl|helm) [^`]*)`", &prose(&page));
    let whole = lines
        .map(|line| line.split("   #").next().unwrap_or_default().to_owned())
        .chain(inline.iter().map(|line| line.replace('\n', " ")));
    whole
        .flat_map(|line| found(&format!(r"(?:^|[|(] ?)({program} [^|&]*)"), &line))
        .map(|command| command.trim().to_owned())
        .collect()
}

#[test]
fn every_command_of_the_page_is_one_and_what_it_names_is_there() {
    let (Some(kubectl), Some(helm)) = (program::find("kubectl"), program::find("helm")) else {
        return;
    };
    let secrets = Scratch::new();
    let authority = secrets.write("ca.crt", "an authority");
    let mut make = Command::new(root().join("deploy/make-secrets"));
    let secrets = program::succeed(make.arg("monitoring").arg(authority), "");
    let mut applied = vec![Rendered::read("make-secrets", &secrets)];
    let (mut said, mut wrong) = (0, Vec::new());
    for line in commands("kubectl") {
        let words: Vec<_> = line.split_whitespace().collect();
        // Of what is applied, all is there for the commands below it, too.
        for folder in found(r" -k (\S+)", &line) {
            applied.extend(Rendered::kustomize(&folder));
        }
        said += 1;
        wrong.extend(flags_unknown(&kubectl, &words));
        if let ["kubectl", "create", "namespace" | "deployment", ..] = words[..] {
            let mut create = Command::new(&kubectl);
            create
                .args(&words[1..])
                .args(["--dry-run=client", "-o", "name"]);
            program::succeed(&mut create, "");
        }
    }
    for line in commands("helm") {
        said += 1;
        wrong.extend(flags_unknown(
            &helm,
            &line.split_whitespace().collect::<Vec<_>>(),
        ));
    }
    assert!(
        said > 20 && applied.len() > 5,
        "{said} commands, {} folders",
        applied.len()
    );

    let page = read(PAGE);
    let anywhere = |kind: &str, name: &str| applied.iter().find_map(|one| one.get(kind, name));
    for (word, kind) in [
        ("deployment", "Deployment"),
        ("statefulset", "StatefulSet"),
        ("service", "Service"),
        ("job", "Job"),
    ] {
        for name in commands("kubectl")
            .iter()
            .flat_map(|line| found(&format!(r" {word}/(\S+)"), line))
        {
            let Some(object) = anywhere(kind, &name) else {
                wrong.push(format!("there is no {kind} {name}"));
                continue;
            };
            for port in found(&format!(r"port-forward service/{name} (\d+)"), &page) {
                let ports: Vec<_> = items(&object["spec"]["ports"])
                    .map(|one| one["port"].to_string())
                    .collect();
                if kind == "Service" && !ports.contains(&port) {
                    wrong.push(format!("Service {name} has no port {port}"));
                }
            }
        }
    }
    let asked = found(r"get secret (\S+ -o jsonpath='\{\.data\.[^}]+)\}'", &page);
    assert!(asked.len() > 4, "{asked:?}");
    for one in asked {
        let (name, key) = one
            .split_once(" -o jsonpath='{.data.")
            .expect("both are there");
        let key = key.replace('\\', "");
        let is_there = match anywhere("Secret", name) {
            Some(secret) => secret["stringData"][&key].is_string(),
            // cert-manager makes it of what the page shows.
            None => page.contains(&format!("secretName: {name}\n")) && key == "ca.crt",
        };
        if !is_there {
            wrong.push(format!("Secret {name} has no {key}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    let Some(python) = python() else {
        return;
    };
    let mut help = example(&python, "robot.py", "nats://127.0.0.1:4222");
    let help = program::succeed(help.arg("--help"), "");
    for flag in found(r"(robot\.py[^\n]*)", &page)
        .iter()
        .flat_map(|line| found(r"(--[a-z-]+)", line))
    {
        assert!(help.contains(&flag), "robot.py has no {flag}");
    }
}

/// The long flags of a command line of kubectl or helm that its subcommand does not know.
fn flags_unknown(program: &std::path::Path, words: &[&str]) -> Vec<String> {
    let own: Vec<_> = words[1..]
        .iter()
        .skip_while(|word| word.starts_with('-') || **word == "monitoring")
        .take_while(|word| {
            word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-')
        })
        .take(match words {
            [_, "create", ..] => 2,
            _ if words.contains(&"rollout") => 2,
            _ => 1,
        })
        .collect();
    let output = program::run(Command::new(program).args(own).arg("--help"), "");
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    let flags = words.iter().filter(|word| word.starts_with("--"));
    flags
        .map(|flag| flag.split('=').next().unwrap_or_default())
        .filter(|flag| {
            !help.contains(&format!("{flag} "))
                && !help.contains(&format!("{flag}="))
                && *flag != "--namespace"
        })
        .map(|flag| format!("`{}` has no {flag}", words.join(" ")))
        .collect()
}

/// What the page breaks in the demo: kubelet's events about an image that is nowhere, as Alloy sends them.
#[test]
fn an_image_that_is_nowhere_is_a_finding_within_two_minutes() {
    let Some(demo) = Rendered::kustomize("deploy/kustomize/overlays/demo") else {
        return;
    };
    let [broken] = &found(
        r"kubectl create deployment broken --image=(\S+)",
        &read(PAGE),
    )[..] else {
        panic!("the page breaks one thing");
    };
    let begin = Incident::new().at(0);
    let pull = format!(
        r#"Failed to pull image \"{broken}\": failed to pull and unpack image \"{broken}\": failed to resolve reference \"{broken}\": failed to do request: Head \"https://registry.example/v2/not-there/manifests/1\": dial tcp: lookup registry.example on 10.96.0.10:53: no such host"#
    );
    let back_off = format!(r#"Back-off pulling image \"{broken}\""#);
    // An attempt, and the next one after ten seconds and some.
    let entries = [
        (0, "Failed", "Warning", 1, pull.as_str()),
        (0, "Failed", "Warning", 1, "Error: ErrImagePull"),
        (1, "BackOff", "Normal", 1, back_off.as_str()),
        (1, "Failed", "Warning", 1, "Error: ImagePullBackOff"),
        (14, "Failed", "Warning", 2, pull.as_str()),
        (14, "Failed", "Warning", 2, "Error: ErrImagePull"),
    ]
    .map(|(second, reason, kind, count, message)| Entry {
        labels: [
            ("cluster", "demo"),
            ("environment", "demo"),
            ("job", "kubernetes-events"),
            ("namespace", "default"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        at: begin + second * 1_000_000_000,
        line: format!(
            r#"name=broken-5d9c7b8f4-x2x4z kind=Pod objectAPIversion=v1 objectRV=812 eventRV=90{second} sourcecomponent=kubelet sourcehost=node-1 reason={reason} type={kind} count={count} msg="{message}" "#
        ),
    });
    let scratch = Scratch::new();
    let rules = demo.file("trommel-rules", "thresholds.yaml");
    let rules = scratch.write("thresholds.yaml", rules);
    let trommel = Setup::with_builtin_rules()
        .arg("--rules")
        .arg(rules)
        .start();
    trommel.push(&entries);
    let finding = wait::until("the finding", || {
        let answer = trommel.admin("/api/v1/findings?state=open");
        let answer: Value = serde_json::from_slice(&answer.body).expect("JSON");
        let open = items(&answer["findings"]).find(|one| one["rule"]["id"] == "image_pull_backoff");
        open.cloned()
    });
    assert_eq!(
        text(&finding["dedupe_key"]),
        "image_pull_backoff{namespace=default,workload=broken}"
    );
    // With the second attempt, which comes well within two minutes.
    let second = Timestamp::new(begin + 14 * 1_000_000_000).to_string();
    assert_eq!(text(&finding["observed_at"]), second);
}

#[test]
fn the_streams_keep_what_the_page_says() {
    let Some((nats, secrets)) = small() else {
        return;
    };
    set_up(&nats, &secrets);
    let kept = streams(&nats, &secrets);
    let page = read(PAGE);
    let rows = page.lines().filter(|line| line.starts_with("| `OPS_"));
    let mut told = BTreeMap::new();
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [names, subjects, keeps] = cells[..] else {
            panic!("a row with other columns: {row}");
        };
        let [names, subjects] = [names, subjects].map(|cell| found("`([^`]+)`", cell));
        for (name, subject) in names.into_iter().zip(subjects) {
            told.insert(name, format!("{subject}: {keeps}"));
        }
    }
    assert_eq!(told, kept);
}
