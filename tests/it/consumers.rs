//! The consumers in `examples/`: they know what is open, whatever is restarted, and hand it on.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::event::Event;
use crate::support::follower::{Follower, example, python, rust_robot};
use crate::support::incident::{Incident, RULES};
use crate::support::nats::{NatsServer, events};
use crate::support::page::{read, root};
use crate::support::program;
use crate::support::scratch::Scratch;
use crate::support::server::Server;
use crate::support::trommel::Setup;
use crate::support::wait;

/// What runs a robot, given the server's URL.
type Robot = Box<dyn Fn(&str) -> Command>;

/// Each program that is a robot, as a command that wants the server's URL.
fn robots() -> Vec<(&'static str, Robot)> {
    let mut robots: Vec<(&str, Robot)> = Vec::new();
    if let Some(rust) = rust_robot() {
        let robot = move |url: &str| {
            let mut command = Command::new(&rust);
            command.args(["--nats", url]);
            command
        };
        robots.push(("robot.rs", Box::new(robot)));
    }
    if let Some(python) = python() {
        let robot = move |url: &str| example(&python, "robot.py", url);
        robots.push(("robot.py", Box::new(robot)));
    }
    robots
}

#[test]
fn a_robot_knows_what_is_open_however_late_it_comes() {
    let Some(nats) = NatsServer::running() else {
        return;
    };
    let trommel = Setup::new(RULES).with_nats(&nats.url()).start();
    let incident = Incident::new();
    trommel.push(&incident.whole("over"));
    trommel.push(&incident.failures_from("backend", 16));
    trommel.push(&incident.failures_from("frontend", 16));
    nats.wait_for_findings(4);
    for (name, robot) in robots() {
        let told = program::succeed(robot(&nats.url()).arg("--once"), "");
        let told: Vec<Value> = told
            .lines()
            .map(|line| serde_json::from_str(line).expect(name))
            .collect();
        let mut subjects: Vec<_> = told
            .iter()
            .map(|one| one["subject"].as_str().expect(name))
            .collect();
        subjects.sort_unstable();
        let open = ["backend", "frontend"].map(|component| {
            format!("ldap_timeout_spike{{component={component},namespace=image-factory}}")
        });
        assert_eq!(subjects, open, "{name}");
        for one in told {
            assert_eq!(one["state"], "open", "{name}");
            assert_eq!(one["certain"], true, "{name}");
            assert_eq!(one["severity"], "warning", "{name}");
            assert!(
                one["may"]
                    .as_array()
                    .is_some_and(|may| may.contains(&json!("notify"))),
                "{name}: {one}"
            );
        }
    }
}

#[test]
fn a_robot_survives_restarts_of_its_own_and_of_the_server() {
    for (name, robot) in robots() {
        let Some(mut nats) = NatsServer::running() else {
            return;
        };
        let trommel = Setup::new(RULES).with_data().with_nats(&nats.url()).start();
        let incident = Incident::new();
        // It begins before there is a stream.
        let first = Follower::start(robot(&nats.url()));
        trommel.push(&incident.failures("backend"));
        first.wait_for(name, &[("backend", "open")]);
        first.kill();
        // While nobody listens, one recovers and one opens.
        trommel.push(&incident.quiet("backend"));
        trommel.push(&incident.failures_from("frontend", 16));
        nats.wait_for_findings(3);
        let second = Follower::start(robot(&nats.url()));
        second.wait_for(name, &[("backend", "recovered"), ("frontend", "open")]);
        nats.stop();
        trommel.push(&incident.failures_from("third", 16));
        nats.start();
        let known = [
            ("backend", "recovered"),
            ("frontend", "open"),
            ("third", "open"),
        ];
        second.wait_for(name, &known);
        // Reading anew told nothing twice.
        let told = second.told(name);
        let mut ids: Vec<_> = told
            .iter()
            .map(|one| {
                (
                    one["finding_id"].clone().to_string(),
                    one["revision"].as_u64(),
                )
            })
            .collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), told.len(), "{name}: {told:?}");
    }
}

#[test]
fn a_robot_needs_no_more_permissions_than_its_page_says() {
    let page = read("examples/README.md");
    let (_, config) = page
        .split_once("```text\nauthorization")
        .expect("the page has them");
    let (config, _) = config.split_once("```").expect("the block ends");
    let config = format!("authorization{}", config.replace('…', "secret"));
    let Some(nats) = NatsServer::running_with(&config) else {
        return;
    };
    let folder = Scratch::new();
    let password = folder.write("password", "secret");
    let settings = format!(
        "nats: {{url: '{}', username: trommel, password_file: '{}'}}",
        nats.url(),
        password.display()
    );
    let trommel = Setup::new(RULES).with_settings(&settings).start();
    trommel.push(&Incident::new().failures("backend"));
    wait::until("the finding to be in the stream", || {
        (trommel.series(r#"trommel_publish_total{outcome="acked"}"#) == Some(1.0)).then_some(())
    });
    let url = nats.url().replace("nats://", "nats://robot:secret@");
    for (name, robot) in robots() {
        let follower = Follower::start(robot(&url));
        follower.wait_for(name, &[("backend", "open")]);
        // The password from a file, as a Secret is mounted.
        let mut once = robot(&nats.url());
        once.args(["--once", "--user", "robot", "--password-file"]);
        let told = program::succeed(once.arg(&password), "");
        assert_eq!(told.lines().count(), 1, "{name}: {told}");
    }
}

#[test]
fn the_examples_are_tested_with_what_they_ask_for() {
    let tested = read("tests/clients/python/requirements.txt");
    let wanted = read("examples/requirements.txt");
    for line in wanted.lines().filter(|line| !line.starts_with('#')) {
        assert!(tested.lines().any(|other| other == line), "{line}");
    }
}

#[test]
fn a_finding_is_an_alert_until_it_recovers() {
    let (Some(python), Some(nats), Some(mut alertmanager)) =
        (python(), NatsServer::running(), Server::alertmanager())
    else {
        return;
    };
    let trommel = Setup::new(RULES).with_nats(&nats.url()).start();
    let incident = Incident::new();
    let address = alertmanager.address;
    let bridge = |interval: &str| {
        let mut command = example(&python, "alertmanager.py", &nats.url());
        command.args([
            "--alertmanager",
            &format!("http://{address}"),
            "--interval",
            interval,
        ]);
        Follower::start(command)
    };
    let first = bridge("1");
    trommel.push(&incident.failures("backend"));
    let alert = wait::until("one alert", || one_of(alertmanager.alerts()?, "backend"));
    let event = trommel_event(&nats, "backend");
    let labels = &alert["labels"];
    for (name, value) in [
        ("alertname", "identity_provider_unreachable"),
        ("severity", "warning"),
        ("domain", "identity_security"),
        ("rule", "ldap_timeout_spike"),
        ("namespace", "image-factory"),
        ("component", "backend"),
        ("cluster", "default"),
        ("source", "trommel"),
        ("finding_id", event.data_text("finding_id")),
    ] {
        assert_eq!(labels[name], value, "{name} of {alert}");
    }
    assert_eq!(
        alert["annotations"]["summary"],
        "LDAP fails in image-factory/backend: 5 errors in 10m"
    );
    assert_eq!(alert["status"]["state"], "active");
    assert_eq!(
        alert["receivers"][0]["name"], "people",
        "it is no more than a warning"
    );

    // The bridge is killed, and another goes on: the same alert, for longer than the first would have kept it.
    first.kill();
    let second = bridge("1");
    let ends = |alert: &Value| alert["endsAt"].as_str().expect("a time").to_owned();
    wait::until("the alert to be sent again", || {
        let again = one_of(alertmanager.alerts()?, "backend")?;
        assert_eq!(again["fingerprint"], alert["fingerprint"]);
        (ends(&again) > ends(&alert)).then_some(())
    });
    // So is Alertmanager, with what it knew.
    alertmanager.stop();
    alertmanager.start();
    wait::until("the alert in a new Alertmanager", || {
        one_of(alertmanager.alerts()?, "backend")
    });
    second.kill();

    // One whose alerts would stay for half an hour: nothing but the recovery ends it.
    let third = bridge("600");
    let before = ends(&wait::until("the alert", || {
        one_of(alertmanager.alerts()?, "backend")
    }));
    wait::until("the alert to stay for longer", || {
        let now = ends(&one_of(alertmanager.alerts()?, "backend")?);
        let minutes = |time: &str| time[14..16].parse::<i32>().expect("RFC 3339");
        ((minutes(&now) - minutes(&before)).rem_euclid(60) > 20).then_some(())
    });
    trommel.push(&incident.quiet("backend"));
    wait::until("no alert", || {
        alertmanager.alerts()?.is_empty().then_some(())
    });
    third.kill();
}

/// Worked out by hand from the incident.
#[test]
fn messages_become_detection_findings_of_ocsf() {
    let (Some(python), Some(jq)) = (python(), program::find("jq")) else {
        return;
    };
    let trommel = Setup::new(RULES).start();
    let incident = Incident::new();
    trommel.push(&incident.whole("backend"));
    trommel.wait_for("the recovery", |event| event.state() == "recovered");
    let messages = trommel.stdout().join("\n");
    let made = program::succeed(
        Command::new(jq)
            .arg("-c")
            .arg("-f")
            .arg(root().join("examples/ocsf.jq")),
        &messages,
    );
    program::succeed(
        Command::new(python).arg(program::fixture("clients/python/ocsf.py")),
        &made,
    );

    let made: Vec<Value> = made
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let [observed, recovered] = &made[..] else {
        panic!("{made:?}");
    };
    let (observed_at, milliseconds) = (incident.at(4) / 1_000_000, incident.at(0) / 1_000_000);
    let briefly = |event: &Value| {
        json!({
            "type_uid": event["type_uid"], "activity": event["activity_name"], "status": event["status"],
            "severity_id": event["severity_id"], "confidence_id": event["confidence_id"], "count": event["count"],
            "first_seen": event["finding_info"]["first_seen_time"], "opened": event["finding_info"]["created_time"],
            "rule": event["finding_info"]["analytic"]["uid"], "resource": event["resources"][0]["name"],
            "uid": event["metadata"]["uid"],
        })
    };
    let id = trommel.events()[0].data_text("finding_id").to_owned();
    let expected = |type_uid: u32, activity: &str, status: &str, revision: u32| {
        json!({
            "type_uid": type_uid, "activity": activity, "status": status,
            "severity_id": 3, "confidence_id": 2, "count": 5,
            "first_seen": milliseconds, "opened": observed_at,
            "rule": "ldap_timeout_spike", "resource": "backend",
            "uid": format!("{id}:{revision}"),
        })
    };
    assert_eq!(briefly(observed), expected(200_401, "Create", "New", 1));
    assert_eq!(
        briefly(recovered),
        expected(200_403, "Close", "Resolved", 2)
    );
    assert_eq!(observed["time"], observed_at);
    let quoted = trommel.events()[0].data("evidence")["lines"].clone();
    let evidences = observed["evidences"].as_array().expect("a list");
    let lines: Vec<_> = evidences.iter().map(|one| one["data"].clone()).collect();
    assert_eq!(Value::Array(lines), quoted);
}

/// The only alert, if it is about `component`.
fn one_of(mut alerts: Vec<Value>, component: &str) -> Option<Value> {
    let is_one = alerts.len() == 1 && alerts[0]["labels"]["component"] == component;
    is_one.then(|| alerts.remove(0))
}

fn trommel_event(nats: &NatsServer, component: &str) -> Event {
    let events = events(&nats.findings());
    let about = events
        .into_iter()
        .find(|event| event.text("subject").contains(component));
    about.expect("it is in the stream")
}
