//! The whole story on a laptop: a sender with Alloy's settings, trommel, NATS, a robot, Alertmanager, and Prometheus that looks on.
//!
//! Every file that is read here is one that ships; [`ALLOY`] and what follows it are the places to name others.

use crate::support::alloy_file::AlloyFile;
use crate::support::follower::{Follower, example, python};
use crate::support::nats::NatsServer;
use crate::support::page::read;
use crate::support::proxy::Proxy;
use crate::support::server::Server;
use crate::support::shop::Shop;
use crate::support::trommel::Setup;
use crate::support::wait;

/// How Alloy sends.
const ALLOY: &str = "alloy/api-mode.alloy";
/// How trommel is set up.
const SETTINGS: &str = "deploy/compose/trommel.yaml";
/// What Prometheus scrapes.
const PROMETHEUS: &str = "deploy/compose/prometheus.yaml";
/// What it alerts on.
const ALERTS: &str = "deploy/prometheus/rules.yaml";

/// A rule that recovers within seconds, so that the story is short.
const RULES: &str = r#"
rules:
  - id: directory_unreachable
    match: LDAP Result Code 200
    threshold: 5 in 1m
    by: [namespace, app]
    severity: critical
    recover: 2s
    incident_type: identity_provider_unreachable
    summary: "{namespace}/{app} cannot reach its directory: {count} errors"
"#;

#[test]
fn a_failure_reaches_robot_and_people_and_its_end_does_too_while_loki_and_alerts_stay_calm() {
    let (Some(python), Some(mut nats), Some(alertmanager)) =
        (python(), NatsServer::running(), Server::alertmanager())
    else {
        return;
    };
    let settings =
        replaced(SETTINGS, &[("nats://nats:4222", &nats.url())]) + "detect: {late_by: 1s}\n";
    let trommel = Setup::new(RULES)
        .with_data()
        .with_settings(&settings)
        .start();
    let loki = Proxy::start(None, []);
    let alloy = AlloyFile::read(&[(ALLOY, &read(ALLOY))]).unwrap_or_else(|error| panic!("{error}"));
    let failure = "ERROR auth: LDAP Result Code 200 \"Network Error\"";
    let shop = Shop::open(&alloy, &loki, trommel.push_address(), failure);
    let metrics = shop.metrics();
    let scraped = replaced(
        PROMETHEUS,
        &[
            ("trommel:3102", &trommel.admin_address().to_string()),
            ("alloy:12345", &metrics.address().to_string()),
            ("15s", "1s"),
        ],
    );
    let Some(prometheus) = Server::prometheus(&scraped, &[("rules.yaml", read(ALERTS))]) else {
        return;
    };
    let robot = Follower::start(example(&python, "robot.py", &nats.url()));
    let mut bridge = example(&python, "alertmanager.py", &nats.url());
    bridge.args([
        "--alertmanager",
        &format!("http://{}", alertmanager.address),
        "--interval",
        "600",
    ]);
    let _bridge = Follower::start(bridge);

    shop.fails(true);
    let told = |state: &str| {
        robot
            .told("robot")
            .into_iter()
            .find(|one| one["state"] == state)
    };
    let opened = wait::until("the robot to know", || told("open"));
    assert_eq!(opened["severity"], "critical");
    assert_eq!(opened["certain"], true);
    let alert = wait::until("people to know", || alertmanager.alerts()?.pop());
    assert_eq!(alert["labels"]["finding_id"], opened["finding_id"]);
    assert_eq!(alert["labels"]["cluster"], "laptop");
    assert_eq!(alert["receivers"][0]["name"], "on-call", "it is critical");
    wait::until("the recorded figure", || {
        let open = prometheus
            .query("ops_findings_open_total")
            .expect("a query");
        (open.first()?["value"][1] == "1").then_some(())
    });

    shop.fails(false);
    let over = wait::until("the robot to know of the end", || told("recovered"));
    assert_eq!(over["finding_id"], opened["finding_id"]);
    wait::until("people to know of the end", || {
        alertmanager.alerts()?.is_empty().then_some(())
    });

    // All rules were evaluated, on all that there is, and none had anything to say.
    wait::until("every rule to be evaluated", || {
        let groups = prometheus.json("/api/v1/rules")?;
        let rules: Vec<_> = groups["data"]["groups"]
            .as_array()?
            .iter()
            .flat_map(|group| group["rules"].as_array())
            .flatten()
            .cloned()
            .collect();
        let good = rules.iter().filter(|rule| rule["health"] == "ok").count();
        (good > 20 && good == rules.len()).then_some(())
    });
    wait::until("both ways to be measured", || {
        let sent = prometheus.query("ops_tee_entries_ratio").expect("a query");
        let ratio: f64 = sent.first()?["value"][1].as_str()?.parse().ok()?;
        (ratio > 0.9).then_some(())
    });
    // Those that tell of a slow machine are left out. A scrape that was late makes an alert wait for a moment only.
    let calm = r#"ALERTS{alertname!~"TrommelSlow|TrommelAnswersEarly|TrommelSheds"}"#;
    wait::until("calm alerts", || {
        let alerts = prometheus.query(calm).expect("a query");
        alerts.is_empty().then_some(())
    });

    // And they would have: NATS away is seen, and harms neither Loki nor what trommel takes.
    nats.stop();
    wait::until("the alert on NATS", || {
        let alerts = prometheus
            .query(r#"ALERTS{alertname="TrommelNatsAway"}"#)
            .expect("a query");
        alerts.first().map(drop)
    });
    let (sent, arrived) = shop.close(&loki);
    assert_eq!(arrived, sent, "every entry reached Loki once and in order");
    assert_eq!(
        trommel.metric("trommel_entries_total", ""),
        sent.len() as f64
    );
}

/// A file that ships, with what is elsewhere here.
#[track_caller]
fn replaced(path: &str, names: &[(&str, &str)]) -> String {
    let mut text = read(path);
    for (name, here) in names {
        assert!(text.contains(name), "{path} has no {name}");
        text = text.replace(name, here);
    }
    text
}
