//! Alerts and recording rules of `deploy/prometheus/`: Prometheus takes them, each alert is shown to fire and to stay quiet, and leads
//! to a section that exists.

use std::process::Command;

use serde_json::Value;
use trommel::telemetry::METRICS;

use crate::support::page::{anchors, code, found, read, root, table};
use crate::support::program;

const RULES: &str = "deploy/prometheus/rules.yaml";
const TESTS: &str = "deploy/prometheus/rules_test.yaml";

/// What is used of Alloy's metrics: `docs/sources/reference/components/loki/loki.write.md` of grafana/alloy (2026-08-21, `66ebea85`).
const ALLOYS: &[&str] = &[
    "loki_write_batch_retries_total",
    "loki_write_dropped_entries_total",
    "loki_write_entry_propagation_latency_seconds",
    "loki_write_sent_entries_total",
];

#[test]
fn promtool_takes_the_rules_and_passes_their_tests() {
    let Some(promtool) = program::find("promtool") else {
        return;
    };
    let folder = root().join("deploy/prometheus");
    for arguments in [
        ["check", "rules", "rules.yaml"],
        ["test", "rules", "rules_test.yaml"],
    ] {
        program::succeed(
            Command::new(&promtool).current_dir(&folder).args(arguments),
            "",
        );
    }
}

#[test]
fn each_alert_and_each_recorded_name_has_a_test() {
    let tests = yaml(TESTS);
    for rule in rules("alert") {
        let name = &rule["alert"];
        let cases = tests["tests"]
            .as_array()
            .expect("tests")
            .iter()
            .flat_map(|test| items(&test["alert_rule_test"]));
        let fires = cases
            .filter(|case| case["alertname"] == *name && !items(&case["exp_alerts"]).is_empty());
        assert!(fires.count() > 0, "nothing shows that {name} fires");
    }
    let tests = read(TESTS);
    for rule in rules("record") {
        let name = rule["record"].as_str().expect("a name");
        assert!(
            tests.contains(&format!("({name}")) || tests.contains(&format!("expr: {name}")),
            "{name} has no test"
        );
    }
}

#[test]
fn each_alert_leads_to_a_section_and_is_listed_on_the_page() {
    let page = read("docs/operations.md");
    let sections = anchors(&page);
    let listed = table("docs/operations.md", "alerts");
    let listed: Vec<_> = listed
        .iter()
        .map(|row| (code(&row[0]).to_owned(), row[1].clone(), row[3].clone()))
        .collect();
    let mut there = Vec::new();
    for rule in rules("alert") {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let runbook = text(&rule["annotations"]["runbook"]);
        let anchor = runbook
            .strip_prefix("docs/operations.md#")
            .unwrap_or_else(|| panic!("{runbook} is on another page"));
        assert!(sections.contains(anchor), "{runbook} leads nowhere");
        assert!(!text(&rule["annotations"]["summary"]).is_empty());
        let link = listed
            .get(there.len())
            .map(|row| row.2.clone())
            .unwrap_or_default();
        assert!(
            link.ends_with(&format!("(#{anchor})")),
            "{} leads to {anchor}, on the page to {link}",
            rule["alert"]
        );
        there.push((
            text(&rule["alert"]),
            text(&rule["labels"]["severity"]),
            link,
        ));
    }
    assert_eq!(listed, there);
}

#[test]
fn rules_name_metrics_that_exist() {
    let mut names = Vec::new();
    for rule in rules("alert").into_iter().chain(rules("record")) {
        let expression = rule["expr"].as_str().expect("an expression").to_owned();
        names.extend(found("((?:trommel|loki)_[a-z_]+)", &expression));
    }
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        let ends = ["_bucket", "_sum", "_count"];
        let measured = ends
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(&name);
        let is_ours = METRICS.iter().any(|metric| metric.name == measured);
        assert!(is_ours || ALLOYS.contains(&measured), "{name}");
    }
}

/// The rules that have that key.
fn rules(key: &str) -> Vec<Value> {
    let file = yaml(RULES);
    let rules = items(&file["groups"])
        .iter()
        .flat_map(|group| items(&group["rules"]));
    let rules: Vec<_> = rules.filter(|rule| !rule[key].is_null()).cloned().collect();
    assert!(!rules.is_empty(), "{RULES} has no {key}");
    rules
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
