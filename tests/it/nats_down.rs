//! NATS that is not there, hangs, or dies: pushes are answered as ever, and every finding arrives once, in order.

use std::time::{Duration, Instant};

use crate::support::event::{briefs, ldap};
use crate::support::http::{REMOTE_TIMEOUT, Request};
use crate::support::incident::{Incident, RULES};
use crate::support::loki;
use crate::support::nats::{NatsServer, events};
use crate::support::trommel::{Setup, Trommel};
use crate::support::wait;

#[test]
fn findings_made_before_nats_is_there_arrive_in_order_once_it_is() {
    let Some(mut nats) = NatsServer::stopped() else {
        return;
    };
    let trommel = Setup::new(RULES).with_nats(&nats.url()).start();
    let incident = Incident::new();
    trommel.push(&incident.failures("backend"));
    trommel.push(&incident.failures("frontend"));
    trommel.push(&[incident.quiet("backend"), incident.quiet("frontend")].concat());

    nats.start();
    let messages = nats.wait_for_findings(4);
    assert_eq!(
        briefs(&events(&messages)),
        [
            ldap("observed", "backend"),
            ldap("observed", "frontend"),
            ldap("recovered", "backend"),
            ldap("recovered", "frontend"),
        ]
    );
}

#[test]
fn findings_that_wait_for_nats_survive_kill_9() {
    let Some(mut nats) = NatsServer::stopped() else {
        return;
    };
    // Nothing is decided, so nothing is on disk, while a start without state asks what was open.
    let setup = Setup::new(RULES)
        .with_data()
        .with_nats(&nats.url())
        .with_settings("nats: {read_back: 0s}");
    let incident = Incident::new();
    let trommel = setup.start();
    trommel.push(&incident.failures("backend"));
    trommel.kill();

    nats.start();
    let trommel = setup.start();
    nats.wait_for_findings(1);
    trommel.push(&incident.quiet("backend"));
    let messages = nats.wait_for_findings(2);
    assert_eq!(
        briefs(&events(&messages)),
        [ldap("observed", "backend"), ldap("recovered", "backend")]
    );
}

#[test]
fn a_hanging_nats_delays_no_answer_and_loses_no_finding() {
    let Some(nats) = NatsServer::running() else {
        return;
    };
    let trommel = Setup::new(RULES).with_nats(&nats.url()).start();
    let incident = Incident::new();
    trommel.push(&incident.failures("before"));
    nats.wait_for_findings(1);

    nats.hang();
    // Each opens a finding, so each has something to publish; the client gives up after Alloy's time-out.
    let components: Vec<_> = (0..40).map(|number| format!("hang{number:02}")).collect();
    let slowest = components
        .iter()
        .map(|component| answer_time(&trommel, incident, component))
        .max()
        .expect("several");
    assert!(slowest < REMOTE_TIMEOUT, "{slowest:?}");
    nats.resume();

    let messages = nats.wait_for_findings(1 + components.len());
    let mut expected = vec![ldap("observed", "before")];
    expected.extend(
        components
            .iter()
            .map(|component| ldap("observed", component)),
    );
    assert_eq!(briefs(&events(&messages)), expected);
    for counter in ["trommel_entries_shed_total", "trommel_entries_early_total"] {
        assert_eq!(trommel.metric(counter, ""), 0.0, "{counter}");
    }
}

#[test]
fn a_nats_that_dies_and_comes_back_has_every_finding_once() {
    let Some(mut nats) = NatsServer::running() else {
        return;
    };
    let trommel = Setup::new(RULES).with_nats(&nats.url()).start();
    let incident = Incident::new();
    trommel.push(&incident.failures("a"));
    nats.wait_for_findings(1);
    for component in ["b", "c"] {
        // In the middle of things: the ack of this one may or may not get through.
        trommel.push(&incident.failures(component));
        nats.stop();
        nats.start();
    }
    trommel.push(&incident.failures("d"));
    let messages = nats.wait_for_findings(4);
    assert_eq!(
        briefs(&events(&messages)),
        ["a", "b", "c", "d"].map(|component| ldap("observed", component))
    );
}

#[test]
fn a_trommel_that_nats_never_hears_from_still_stops_when_told() {
    let Some(nats) = NatsServer::stopped() else {
        return;
    };
    let trommel = Setup::new(RULES).with_nats(&nats.url()).start();
    trommel.push(&Incident::new().failures("backend"));
    let status = trommel.terminate();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_finding_that_waits_is_on_the_admin_port_meanwhile() {
    let Some(nats) = NatsServer::stopped() else {
        return;
    };
    let trommel = Setup::new(RULES).with_nats(&nats.url()).start();
    trommel.push(&Incident::new().failures("backend"));
    wait::until("the finding on the admin port", || {
        let answer = trommel.admin("/api/v1/findings");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
            .text()
            .contains("ldap_timeout_spike{component=backend,namespace=image-factory}")
            .then_some(())
    });
}

fn answer_time(trommel: &Trommel, incident: Incident, component: &str) -> Duration {
    let body = loki::protobuf(&incident.failures(component));
    let begin = Instant::now();
    let answer = trommel
        .push_client()
        .send(&Request::push_protobuf(body))
        .expect("an answer within Alloy's time-out");
    assert_eq!(answer.status, 204);
    begin.elapsed()
}
