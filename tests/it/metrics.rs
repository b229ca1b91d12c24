//! What an operator sees of trommel itself.

use std::process::Command;

use crate::support::http::Request;
use crate::support::incident::{Incident, RULES};
use crate::support::program;
use crate::support::trommel::Setup;
use crate::support::wait;

#[test]
fn promtool_has_nothing_to_say_about_the_metrics() {
    let Some(promtool) = program::find("promtool") else {
        return;
    };
    let trommel = Setup::new(RULES).start();
    // Something of everything: good, repeated, damaged and refused.
    let incident = Incident::new();
    trommel.push(&incident.whole("backend"));
    trommel.push(&incident.whole("backend"));
    let mut client = trommel.push_client();
    for request in [
        Request::push_protobuf(b"\xff\xff not snappy".to_vec()),
        Request::push_json(b"{".to_vec()),
        Request::get("/loki/api/v1/push"),
        Request::get("/nowhere"),
    ] {
        let answer = client.send(&request).expect("an answer");
        assert!(
            (400..500).contains(&answer.status),
            "{}: {}",
            answer.status,
            answer.text()
        );
    }
    trommel.wait_for("the recovery", |event| event.state() == "recovered");

    let answer = trommel.admin("/metrics");
    assert_eq!(answer.status, 200);
    let content_type = answer.header("content-type").unwrap_or_default();
    assert!(content_type.starts_with("text/plain"), "{content_type}");
    program::succeed(
        Command::new(promtool).args(["check", "metrics"]),
        &answer.text(),
    );
}

#[test]
fn open_findings_are_counted_by_domain_type_and_severity_until_they_are_over() {
    let trommel = Setup::new(RULES).start();
    let incident = Incident::new();
    let series = r#"trommel_findings_open{domain="identity_security",incident_type="identity_provider_unreachable",severity="warning"}"#;
    assert_eq!(trommel.series(series), None);
    for (entries, open) in [
        (incident.failures("backend"), 1.0),
        (incident.failures("frontend"), 2.0),
        (
            [incident.quiet("backend"), incident.quiet("frontend")].concat(),
            0.0,
        ),
    ] {
        trommel.push(&entries);
        wait::until("the count of open findings", || {
            (trommel.series(series) == Some(open)).then_some(())
        });
    }
}

#[test]
fn the_probes_answer_on_both_ports() {
    let trommel = Setup::new(RULES).start();
    wait::until("readiness", || {
        (trommel.admin("/readyz").status == 200).then_some(())
    });
    for path in ["/livez", "/api/v1/findings", "/api/v1/rules"] {
        assert_eq!(trommel.admin(path).status, 200, "{path}");
    }
    let mut client = trommel.push_client();
    // Vector asks this before it pushes.
    let ready = client.send(&Request::get("/ready")).expect("an answer");
    assert_eq!(ready.status, 200);
}

#[test]
fn the_log_never_quotes_a_line() {
    let trommel = Setup::new(RULES).start();
    trommel.push(&Incident::new().whole("backend"));
    trommel.wait_for("the recovery", |event| event.state() == "recovered");
    let log = trommel.log();
    assert!(!log.contains("LDAP Result Code"), "{log}");
}
