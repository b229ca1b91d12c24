//! Clients that exist, and one that behaves as Alloy does: their lines become findings.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::alloy::{AlloyClient, Report, Settings, at_once};
use crate::support::event::{Event, briefs, ldap};
use crate::support::incident::{Incident, RULES, RULES_FOR_CLIENTS};
use crate::support::loki::Entry;
use crate::support::program;
use crate::support::proxy::{Fault, Proxy};
use crate::support::trommel::Setup;

/// Five lines that count, each different.
const LINES: &str = "\
payment gateway refused the card of order 1
payment gateway refused the card of order 2
payment gateway refused the card of order 3
payment accepted for order 4
payment gateway refused the card of order 5
payment gateway refused the card of order 6
";

#[test]
fn lines_pushed_by_python_logging_loki_become_a_finding() {
    let python = program::tools().join("python/bin/python");
    let Some(python) = program::installed("python-logging-loki", python) else {
        return;
    };
    let trommel = Setup::new(RULES_FOR_CLIENTS).start();
    program::succeed(
        Command::new(python)
            .arg(program::fixture("clients/python/push.py"))
            .arg(format!(
                "http://{}/loki/api/v1/push",
                trommel.push_address()
            ))
            .arg(r#"{"app": "shop"}"#),
        LINES,
    );
    let observed = trommel.wait_for("the finding", |event| event.state() == "observed");
    is_the_applications_finding(&observed);
}

#[test]
fn lines_pushed_by_winston_loki_as_protobuf_become_a_finding() {
    let modules = program::tools().join("node/node_modules");
    let (Some(_), Some(node)) = (
        program::installed("winston-loki", modules.join("winston-loki")),
        program::find("node"),
    ) else {
        return;
    };
    let trommel = Setup::new(RULES_FOR_CLIENTS).start();
    let proxy = Proxy::start(Some(trommel.push_address()), []);
    program::succeed(
        Command::new(node)
            .env("NODE_PATH", modules)
            .arg(program::fixture("clients/node/push.js"))
            .arg(format!("http://{}", proxy.address()))
            .arg(r#"{"app": "shop"}"#),
        LINES,
    );
    let observed = trommel.wait_for("the finding", |event| event.state() == "observed");
    is_the_applications_finding(&observed);
    // It falls back to JSON without a word when its compressor is missing, which would show nothing new.
    for request in proxy.seen() {
        let content_type = (
            "content-type".to_owned(),
            b"application/x-protobuf".to_vec(),
        );
        assert!(request.headers.contains(&content_type), "{request:?}");
    }
}

fn is_the_applications_finding(observed: &Event) {
    assert_eq!(observed.brief(), "observed application_error{app=shop}");
    assert_eq!(observed.data("counts")["window"], 5);
}

#[test]
fn a_batch_that_alloy_sends_again_after_a_lost_answer_counts_once() {
    for (what, fault) in [
        ("the answer is lost", Fault::Swallow),
        ("a proxy answers 429 in its stead", Fault::Spoil(429)),
        ("a proxy answers 500 in its stead", Fault::Spoil(500)),
        ("a proxy answers 503 in its stead", Fault::Spoil(503)),
    ] {
        let trommel = Setup::new(RULES).start();
        let proxy = Proxy::start(Some(trommel.push_address()), [fault, fault]);
        let mut alloy = AlloyClient::new(proxy.address(), Settings::default());
        let incident = Incident::new();

        // Four failures: counted twice or three times they would be enough.
        let four = incident.failures("backend")[..4].to_vec();
        let report = alloy.send(&at_once(four));
        assert_eq!(report.sent, 4, "{what}");
        let seen = proxy.seen();
        assert_eq!(seen.len(), 3, "{what}");
        assert!(
            seen.iter().all(|request| *request == seen[0]),
            "{what}: the same bytes again"
        );

        alloy.send(&at_once(vec![incident.failure("backend", 4)]));
        let observed = trommel.wait_for("the finding", |event| event.state() == "observed");
        assert_eq!(observed.text("time"), incident.rfc3339(4), "{what}");
        assert_eq!(observed.data("counts")["window"], 5, "{what}");
    }
}

#[test]
fn what_alloy_sends_while_trommel_is_away_arrives_when_it_is_back() {
    let setup = Setup::new(RULES).with_data();
    let trommel = setup.start();
    let proxy = Proxy::start(
        Some(trommel.push_address()),
        [Fault::Close, Fault::Refuse(502), Fault::Refuse(503)],
    );
    let mut alloy = AlloyClient::new(proxy.address(), Settings::default());
    let incident = Incident::new();
    let report = alloy.send(&at_once(incident.whole("backend")));
    assert!(report.dropped.is_empty(), "{report:?}");
    trommel.wait_for("the recovery", |event| event.state() == "recovered");
    assert_eq!(
        briefs(&trommel.events()),
        [ldap("observed", "backend"), ldap("recovered", "backend")]
    );
}

#[test]
fn small_batches_as_alloy_cuts_them_give_the_same_finding() {
    let trommel = Setup::new(RULES).start();
    let incident = Incident::new();
    let mut alloy = AlloyClient::new(
        trommel.push_address(),
        Settings {
            batch_size: 250,
            ..Settings::default()
        },
    );
    alloy.send(&at_once(incident.whole("backend")));
    let recovered = trommel.wait_for("the recovery", |event| event.state() == "recovered");
    assert_eq!(
        briefs(&trommel.events()),
        [ldap("observed", "backend"), ldap("recovered", "backend")]
    );
    assert_eq!(recovered.text("time"), incident.rfc3339(14));
    assert_eq!(recovered.data("reason"), "quiet");
}

/// The stand-in is only worth something if it does what Alloy does: held against Alloy's own test tables.
#[test]
fn the_client_batches_and_retries_as_alloys_own_tests_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/loki_push.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: no {}", path.display());
        return;
    };
    let vectors: Value = serde_json::from_str(&text).expect("the vectors are JSON");
    let cases = vectors["alloy_client_behaviour"]
        .as_array()
        .expect("a list of cases");
    let mut tried = 0;
    for case in cases {
        // A server that hangs is about Alloy's queue, which this client does not have.
        let Some(status) = case["server_status"].as_u64() else {
            continue;
        };
        tried += 1;
        let config = &case["config"];
        let lines: Vec<String> = (0..case["input_entries"].as_u64().expect("a count"))
            .map(|number| format!("line{number}"))
            .collect();
        let gap = Duration::from_millis(case["input_gap_ms"].as_u64().unwrap_or(0));
        let mut settings = Settings::default();
        if config["batch_size"] == "len(entry0)+len(entry1)" {
            settings.batch_size = lines[0].len() + lines[1].len();
        }
        if let Some(wait) = config["batch_wait"].as_str() {
            settings.batch_wait = trommel::time::parse_duration(wait).expect("a duration");
        }
        if let Some(retries) = config["max_backoff_retries"].as_u64() {
            settings.max_backoff_retries = u32::try_from(retries).expect("a few");
        }
        if let Some(retry) = config["retry_on_http_429"].as_bool() {
            settings.retry_on_http_429 = retry;
        }

        let status = u16::try_from(status).expect("a status");
        let proxy = Proxy::start(None, [Fault::Refuse(status); 16]);
        let arrivals: Vec<_> = lines
            .iter()
            .zip(0u32..)
            .map(|(line, number)| {
                let entry = Entry {
                    labels: BTreeMap::from([("app".to_owned(), "x".to_owned())]),
                    at: i64::from(number),
                    line: line.clone(),
                };
                (gap * number, entry)
            })
            .collect();
        let report = AlloyClient::new(proxy.address(), settings).send(&arrivals);

        let dropped = case["dropped"].as_object().expect("a table").iter();
        let expected = Report {
            sent: usize::try_from(case["sent_entries"].as_u64().expect("a count")).expect("small"),
            dropped: dropped
                .map(|(reason, count)| {
                    let reason = match reason.as_str() {
                        "rate_limited" => "rate_limited",
                        _ => "ingester_error",
                    };
                    (reason, count.as_u64().expect("a count") as usize)
                })
                .collect(),
        };
        assert_eq!(report, expected, "{case}");
        if let Some(attempts) = case["total_attempts"].as_u64() {
            assert_eq!(proxy.seen().len() as u64, attempts, "{case}");
        }
        if let Some(requests) = case["requests"].as_array() {
            assert_eq!(proxy.seen().len(), requests.len(), "{case}");
        }
    }
    assert!(tried >= 6, "only {tried} cases");
}
