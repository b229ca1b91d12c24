//! The small Loki, and the way from a finding to its lines in it.

use serde_json::Value;
use trommel::time::parse_duration;

use super::rendered::{Rendered, items, text};
use crate::support::event::Event;
use crate::support::incident::{Incident, RULES};
use crate::support::trommel::Setup;

#[test]
fn it_keeps_three_to_seven_days_on_one_disk_and_deletes_what_is_older() {
    let Some(demo) = Rendered::kustomize("deploy/kustomize/overlays/demo") else {
        return;
    };
    let settings: Value =
        serde_saphyr::from_str(demo.file("loki-config", "loki.yaml")).expect("YAML");
    let compactor = &settings["compactor"];
    assert_eq!(compactor["retention_enabled"], true);
    // Without it Loki refuses to start with retention.
    assert_eq!(
        compactor["delete_request_store"],
        settings["schema_config"]["configs"][0]["object_store"]
    );
    assert_eq!(settings["common"]["replication_factor"], 1);
    let loki = &demo.must_get("StatefulSet", "loki")["spec"];
    assert_eq!(loki["replicas"], 1);
    let arguments = items(&loki["template"]["spec"]["containers"][0]["args"]).map(text);
    let here = arguments
        .filter_map(|arg| arg.strip_prefix("-store.retention="))
        .last()
        .expect("the demo has its own");
    for retention in [text(&settings["limits_config"]["retention_period"]), here] {
        let days = parse_duration(retention).expect("a duration").as_secs() / 86_400;
        assert!((3..=7).contains(&days), "{retention}");
    }
    // What a query may span is what is kept.
    let [kept, asked] = ["retention_period", "max_query_length"]
        .map(|key| parse_duration(text(&settings["limits_config"][key])).expect("a duration"));
    assert!(asked >= kept);
    let port = settings["server"]["http_listen_port"].as_u64();
    assert_eq!(
        demo.must_get("Service", "loki")["spec"]["ports"][0]["port"].as_u64(),
        port
    );
}

#[test]
fn a_finding_links_to_its_lines_in_the_data_source_that_comes_with_loki() {
    let Some(demo) = Rendered::kustomize("deploy/kustomize/overlays/demo") else {
        return;
    };
    let sources: Value =
        serde_saphyr::from_str(demo.file("loki-datasource", "datasource.yaml")).expect("YAML");
    let source = &sources["datasources"][0];
    assert_eq!(source["url"], "http://loki.monitoring.svc:3100");
    assert_eq!(
        demo.must_get("Service", "loki")["metadata"]["namespace"],
        "monitoring"
    );

    let settings: Value =
        serde_saphyr::from_str(demo.file("trommel-config", "trommel.yaml")).expect("YAML");
    let grafana = serde_json::json!({"grafana": settings["grafana"]}).to_string();
    let trommel = Setup::new(RULES).with_settings(&grafana).start();
    trommel.push(&Incident::new().failures("backend"));
    let finding: Event = trommel.wait_for("a finding", |event| event.state() == "observed");
    let url = text(&finding.data("logs")["url"]);
    assert!(
        url.starts_with(&format!("{}/explore?", text(&settings["grafana"]["url"]))),
        "{url}"
    );
    let quoted = format!("%22datasource%22%3A%22{}%22", text(&source["uid"]));
    assert!(url.contains(&quoted), "{quoted} is not in {url}");
}
