//! The dashboard of `deploy/grafana/`: each of its queries returns something where Prometheus scrapes a trommel at work.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use trommel::telemetry::METRICS;

use crate::support::exporter::{Exporter, alloys_metrics};
use crate::support::incident::{Incident, RULES};
use crate::support::loki_write::{LokiWrite, Target};
use crate::support::nats::NatsServer;
use crate::support::page::{found, read, root};
use crate::support::program;
use crate::support::proxy::Proxy;
use crate::support::server::Server;
use crate::support::trommel::Setup;
use crate::support::wait;

const DASHBOARD: &str = "deploy/grafana/trommel.json";

#[test]
fn the_dashboard_is_what_its_script_writes() {
    let Some(python) = program::find("python3") else {
        return;
    };
    let written = program::succeed(
        Command::new(python).arg(root().join("deploy/grafana/dashboard.py")),
        "",
    );
    assert!(
        written == read(DASHBOARD),
        "run deploy/grafana/dashboard.py > {DASHBOARD}"
    );
}

#[test]
fn panels_lie_beside_each_other_and_say_what_they_show() {
    let dashboard = dashboard();
    let mut cells = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in panels(&dashboard) {
        let place = |name: &str| panel["gridPos"][name].as_u64().expect("a number");
        let title = panel["title"].as_str().expect("it has one");
        assert!(
            ids.insert(panel["id"].as_u64()),
            "{title}: another has its id"
        );
        assert!(place("x") + place("w") <= 24, "{title} is beyond the edge");
        for (x, y) in (0..place("w")).flat_map(|x| (0..place("h")).map(move |y| (x, y))) {
            assert!(
                cells.insert((place("x") + x, place("y") + y)),
                "{title} lies on another"
            );
        }
        if panel["type"] != "row" {
            assert!(
                !panel["description"].as_str().unwrap_or_default().is_empty(),
                "{title}"
            );
            assert!(!queries(panel).is_empty(), "{title} shows nothing");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        }
    }
}

#[test]
fn panels_show_metrics_that_exist() {
    for query in panels(&dashboard()).iter().flat_map(queries) {
        for name in found("((?:trommel|loki)_[a-z_]+)", &query) {
            let ends = ["_bucket", "_sum", "_count"];
            let measured = ends
                .iter()
                .find_map(|end| name.strip_suffix(end))
                .unwrap_or(&name);
            let is_known = METRICS.iter().any(|metric| metric.name == measured)
                || measured.starts_with("loki_write_");
            assert!(is_known, "{name} in {query}");
        }
    }
}

#[test]
fn every_panel_has_something_to_show_when_trommel_is_at_work() {
    let Some(nats) = NatsServer::running() else {
        return;
    };
    let trommel = Setup::new(RULES).with_data().with_nats(&nats.url()).start();
    let loki = Proxy::start(None, []);
    let targets = [loki.address(), trommel.push_address()].map(Target::new);
    let settings = crate::support::alloy::Settings {
        batch_wait: Duration::from_millis(100),
        ..Default::default()
    };
    let sender = Arc::new(LokiWrite::start(&targets, &settings));
    let measured = Arc::clone(&sender);
    let alloy = Exporter::start(move || alloys_metrics(&measured));
    let config = format!(
        r#"
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: trommel
    static_configs: [{{targets: ["{}"]}}]
  - job_name: alloy
    static_configs: [{{targets: ["{}"]}}]
"#,
        trommel.admin_address(),
        alloy.address()
    );
    let Some(prometheus) = Server::prometheus(&config, &[]) else {
        return;
    };

    let working = Arc::new(AtomicBool::new(true));
    let (works, logs) = (Arc::clone(&working), Arc::clone(&sender));
    let log = std::thread::spawn(move || {
        let incident = Incident::new();
        let mut number = 0;
        while works.load(Ordering::Relaxed) {
            // A new component each time: findings that open as long as it is watched.
            let component = format!("c{number}");
            let mut entries = incident.failures(&component);
            for entry in &mut entries {
                entry.at = now();
            }
            // The same once more, and one from two hours ago.
            entries.push(entries[0].clone());
            let mut late = entries[0].clone();
            late.at -= 2 * 3600 * 1_000_000_000;
            entries.push(late);
            for entry in entries {
                logs.offer(&Arc::new(entry));
            }
            number += 1;
            // The pace of the log.
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let dashboard = dashboard();
    let mut shown = 0;
    for panel in panels(&dashboard) {
        for query in queries(panel) {
            let query = query
                .replace("$__rate_interval", "10s")
                .replace("$__range", "1m");
            let query = query.replace("$job", ".*").replace("$instance", ".*");
            assert!(!query.contains('$'), "a variable that nobody sets: {query}");
            let title = &panel["title"];
            wait::until(&format!("{title} to show something: {query}"), || {
                let samples = prometheus
                    .query(&query)
                    .unwrap_or_else(|error| panic!("{title}: {query}: {error}"));
                let numbers = samples.iter().any(|sample| sample["value"][1] != "NaN");
                numbers.then_some(())
            });
            shown += 1;
        }
    }
    assert!(shown > 20, "{shown}");
    working.store(false, Ordering::Relaxed);
    log.join().expect("it does not panic");
}

fn dashboard() -> Value {
    serde_json::from_str(&read(DASHBOARD)).expect("it is JSON")
}

fn panels(dashboard: &Value) -> &[Value] {
    let panels = dashboard["panels"].as_array().expect("it has panels");
    assert!(panels.len() > 15);
    panels
}

fn queries(panel: &Value) -> Vec<String> {
    let targets = panel["targets"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    targets
        .iter()
        .map(|target| target["expr"].as_str().expect("a query").to_owned())
        .collect()
}

/// Nanoseconds since the epoch.
fn now() -> i64 {
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is past 1970");
    i64::try_from(wall.as_nanos()).expect("before the year 2262")
}
