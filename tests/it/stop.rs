//! Told to stop, it says so first, goes on answering, saves what it has, and ends with 0 in time; told twice, it ends at once.
//!
//! A delay of a minute is one that these tests would not live to see the end of: what happens before it does not hang on speed.

use crate::support::event::{briefs, ldap};
use crate::support::http::{Answer, Request};
use crate::support::incident::{Incident, RULES};
use crate::support::loki;
use crate::support::nats::{NatsServer, events};
use crate::support::trommel::{Setup, Trommel};
use crate::support::wait;

#[test]
fn after_sigterm_it_is_unready_and_still_answers_until_a_second_one_ends_it() {
    let setup = Setup::new(RULES).with_data().with_shutdown_delay("1m");
    let incident = Incident::new();
    let trommel = setup.start();
    assert_eq!(ready(&trommel).status, 200);
    assert_eq!(trommel.admin("/readyz").status, 200);

    trommel.signal("TERM");
    wait::until("/ready to say no", || {
        (ready(&trommel).status == 503).then_some(())
    });
    assert_eq!(trommel.admin("/readyz").status, 503);
    assert_eq!(trommel.admin("/livez").status, 200);
    // New connections, and with each answer the advice to come back elsewhere.
    let failures = incident.failures("backend");
    for failure in &failures[..4] {
        let body = loki::protobuf(std::slice::from_ref(failure));
        let answer = trommel
            .push_client()
            .send(&Request::push_protobuf(body))
            .expect("it is still answered");
        assert_eq!(answer.status, 204);
        assert_eq!(answer.header("connection"), Some("close"));
    }

    trommel.signal("TERM");
    assert_eq!(trommel.end().code(), Some(0));
    let trommel = setup.start();
    trommel.push(&failures[4..]);
    let observed = trommel.wait_for("the finding", |event| event.state() == "observed");
    assert_eq!(observed.data("counts")["window"], 5);
}

#[test]
fn what_is_answered_204_while_it_stops_is_recorded() {
    let setup = Setup::new(RULES)
        .with_data()
        .with_shutdown_delay("300ms")
        .arg("--max-age")
        .arg("2h");
    let incident = Incident::new();
    let trommel = setup.start();
    trommel.signal("TERM");
    // Each of these opens a finding, on a connection of its own, until nobody answers any more.
    let components: Vec<_> = (0..400)
        .map(|number| format!("c{number:03}"))
        .take_while(|component| {
            let body = loki::protobuf(&incident.failures(component));
            let sent = trommel.push_client().send(&Request::push_protobuf(body));
            sent.is_ok_and(|answer| answer.status == 204)
        })
        .collect();
    assert!(!components.is_empty(), "pushes are answered after SIGTERM");
    assert_eq!(trommel.end().code(), Some(0));

    let trommel = setup.start();
    let findings = trommel
        .admin("/api/v1/findings?state=open&limit=500")
        .text();
    for component in &components {
        let key = format!("{{component={component},namespace=image-factory}}");
        assert!(findings.contains(&key), "{component} of {components:?}");
    }
}

#[test]
fn ctrl_c_does_not_wait_for_load_balancers() {
    let trommel = Setup::new(RULES).with_shutdown_delay("5m").start();
    trommel.signal("INT");
    assert_eq!(trommel.end().code(), Some(0));
}

#[test]
fn what_it_found_just_before_is_published_before_it_ends() {
    let Some(nats) = NatsServer::running() else {
        return;
    };
    let trommel = Setup::new(RULES).with_nats(&nats.url()).start();
    trommel.push(&Incident::new().failures("backend"));
    // No data directory: what it did not publish would be gone.
    assert_eq!(trommel.terminate().code(), Some(0));
    assert_eq!(
        briefs(&events(&nats.findings())),
        [ldap("observed", "backend")]
    );
}

#[test]
fn what_a_hanging_nats_does_not_take_is_published_after_the_next_start() {
    let Some(nats) = NatsServer::running() else {
        return;
    };
    let setup = Setup::new(RULES).with_data().with_nats(&nats.url());
    let trommel = setup.start();
    trommel.wait_for_log("open findings read back");
    nats.hang();
    trommel.push(&Incident::new().failures("backend"));
    assert_eq!(trommel.terminate().code(), Some(0));
    the_next_start_publishes(&setup, &nats);
}

#[test]
fn what_comes_while_a_hanging_nats_is_asked_what_was_open_is_recorded() {
    let Some(nats) = NatsServer::running() else {
        return;
    };
    let setup = Setup::new(RULES).with_data().with_nats(&nats.url());
    nats.hang();
    let trommel = setup.start();
    trommel.push(&Incident::new().failures("backend"));
    assert_eq!(trommel.terminate().code(), Some(0));
    the_next_start_publishes(&setup, &nats);
}

#[track_caller]
fn the_next_start_publishes(setup: &Setup, nats: &NatsServer) {
    nats.resume();
    let _trommel = setup.start();
    assert_eq!(
        briefs(&events(&nats.wait_for_findings(1))),
        [ldap("observed", "backend")]
    );
}

#[test]
fn a_reader_of_stdout_that_has_stopped_does_not_keep_it_from_ending() {
    let trommel = Setup::new(RULES).with_unread_stdout().start();
    let incident = Incident::new();
    // More than a pipe holds, at some 2 KiB a message.
    for number in 0..100 {
        trommel.push(&incident.failures(&format!("c{number}")));
    }
    assert_eq!(trommel.terminate().code(), Some(0));
}

fn ready(trommel: &Trommel) -> Answer {
    trommel
        .push_client()
        .send(&Request::get("/ready"))
        .expect("the push port answers")
}
