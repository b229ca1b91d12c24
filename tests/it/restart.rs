//! 204 means done: what was answered is there after `kill -9`.

use crate::support::event::{briefs, ldap};
use crate::support::incident::{Incident, RULES};
use crate::support::nats::{NatsServer, events};
use crate::support::trommel::Setup;

#[test]
fn a_window_goes_on_after_kill_9() {
    let setup = Setup::new(RULES).with_data();
    let incident = Incident::new();

    let trommel = setup.start();
    trommel.push(&incident.failures("backend")[..4]);
    trommel.kill();

    let trommel = setup.start();
    trommel.push(&[incident.failure("backend", 4)]);
    let observed = trommel.wait_for("the finding", |event| event.state() == "observed");
    assert_eq!(observed.text("time"), incident.rfc3339(4));
    assert_eq!(observed.data("first_seen"), &incident.rfc3339(0));
    assert_eq!(observed.data("counts")["window"], 5);
}

#[test]
fn entries_pushed_again_after_kill_9_count_once() {
    let setup = Setup::new(RULES).with_data();
    let incident = Incident::new();
    let four = incident.failures("backend")[..4].to_vec();

    let trommel = setup.start();
    trommel.push(&four);
    trommel.kill();

    // As Alloy does when the answer did not reach it, and when it reads its files again.
    let trommel = setup.start();
    trommel.push(&four);
    for entry in &four {
        trommel.push(std::slice::from_ref(entry));
    }
    trommel.push(&[incident.failure("backend", 4)]);
    let observed = trommel.wait_for("the finding", |event| event.state() == "observed");
    assert_eq!(observed.text("time"), incident.rfc3339(4));
    assert_eq!(observed.data("counts")["window"], 5);
    assert_eq!(observed.data("revision"), 1);
}

#[test]
fn an_open_finding_is_not_announced_again_and_still_recovers() {
    let Some(nats) = NatsServer::running() else {
        return;
    };
    let setup = Setup::new(RULES).with_data().with_nats(&nats.url());
    let incident = Incident::new();

    let trommel = setup.start();
    trommel.push(&incident.failures("backend"));
    // Killed at some moment between "not sent yet" and "acknowledged".
    trommel.kill();

    let trommel = setup.start();
    trommel.push(&incident.failures("backend"));
    let status = trommel.terminate();
    assert_eq!(status.code(), Some(0));

    let trommel = setup.start();
    trommel.push(&incident.quiet("backend"));
    nats.wait_for_findings(2);
    trommel.push(&incident.failures_from("frontend", 16));
    let messages = nats.wait_for_findings(3);
    assert_eq!(
        briefs(&events(&messages)),
        [
            ldap("observed", "backend"),
            ldap("recovered", "backend"),
            ldap("observed", "frontend"),
        ]
    );
    let [observed, recovered, _] = &messages[..] else {
        panic!("three messages");
    };
    assert_eq!(
        observed.event.data("finding_id"),
        recovered.event.data("finding_id")
    );
    assert_eq!(recovered.event.data("revision"), 2);
    assert_eq!(recovered.event.text("time"), incident.rfc3339(14));
}

#[test]
fn sigterm_ends_it_with_0_and_loses_nothing() {
    let setup = Setup::new(RULES).with_data();
    let incident = Incident::new();

    let trommel = setup.start();
    trommel.push(&incident.failures("backend")[..4]);
    let status = trommel.terminate();
    assert_eq!(status.code(), Some(0));

    let trommel = setup.start();
    trommel.push(&[incident.failure("backend", 4)]);
    trommel.wait_for("the finding", |event| event.state() == "observed");
}

#[test]
fn without_a_data_directory_a_restart_begins_anew() {
    let setup = Setup::new(RULES);
    let incident = Incident::new();

    let trommel = setup.start();
    trommel.push(&incident.failures("backend")[..4]);
    trommel.kill();

    let trommel = setup.start();
    trommel.push(&[incident.failure("backend", 4)]);
    trommel.push(&incident.failures("frontend"));
    trommel.wait_for("the other finding", |event| event.state() == "observed");
    assert_eq!(briefs(&trommel.events()), [ldap("observed", "frontend")]);
}
