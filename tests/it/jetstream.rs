//! Findings in a real JetStream: each once, whatever is pushed again and however.

use crate::support::event::{briefs, ldap};
use crate::support::incident::{Incident, RULES};
use crate::support::loki::Entry;
use crate::support::nats::{NatsServer, Published, events};
use crate::support::trommel::{Setup, Trommel};

#[test]
fn an_incident_is_two_messages_however_often_and_however_cut_it_is_pushed() {
    let Some(nats) = NatsServer::running() else {
        return;
    };
    let trommel = Setup::new(RULES).with_nats(&nats.url()).start();
    let incident = Incident::new();
    let failures = incident.failures("backend");

    trommel.push(&failures);
    nats.wait_for_findings(1);
    push_again_in_other_shapes(&trommel, &failures);

    trommel.push(&incident.quiet("backend"));
    let messages = nats.wait_for_findings(2);
    push_again_in_other_shapes(&trommel, &incident.whole("backend"));

    // Messages come in order, so one that should not be there comes before that of the second incident.
    trommel.push(&incident.failures_from("frontend", 16));
    let all = nats.wait_for_findings(3);
    assert_eq!(
        briefs(&events(&all)),
        [
            ldap("observed", "backend"),
            ldap("recovered", "backend"),
            ldap("observed", "frontend"),
        ]
    );
    tells_the_incident(&messages, incident);
}

fn push_again_in_other_shapes(trommel: &Trommel, entries: &[Entry]) {
    trommel.push(entries);
    for entry in entries {
        trommel.push(std::slice::from_ref(entry));
    }
    let (front, back) = entries.split_at(entries.len() / 2);
    trommel.push(back);
    trommel.push(front);
    // A second client, with another encoding.
    trommel.push_json(entries);
}

fn tells_the_incident(messages: &[Published], incident: Incident) {
    let [observed, recovered] = messages else {
        panic!("two messages, not {messages:#?}");
    };
    for message in messages {
        let event = &message.event;
        let header = |name: &str| message.headers.get(name).map(String::as_str);
        assert_eq!(header("Nats-Msg-Id"), Some(event.text("id")));
        assert_eq!(header("Nats-Expected-Stream"), Some("OPS_FINDINGS"));
        assert_eq!(header("Content-Type"), Some("application/cloudevents+json"));
        assert_eq!(header("Trommel-Rule"), Some("ldap_timeout_spike"));
        assert_eq!(header("Trommel-Severity"), Some("warning"));
        assert_eq!(header("Trommel-State"), Some(event.data_text("state")));
        let subject: Vec<_> = message.subject.split('.').collect();
        assert_eq!(
            subject,
            [
                "ops",
                "findings",
                event.data_text("domain"),
                "identity_provider_unreachable",
                event.text("partitionkey"),
            ]
        );
        assert_eq!(event.data("observed_at"), &incident.rfc3339(4));
        assert_eq!(event.data("first_seen"), &incident.rfc3339(0));
        assert_eq!(event.data("last_seen"), &incident.rfc3339(4));
        assert_eq!(event.data("counts")["total"], 5);
        assert_eq!(event.data("detector")["coverage"], "complete");
    }
    assert_eq!(
        observed.event.data("finding_id"),
        recovered.event.data("finding_id")
    );
    assert_eq!(observed.subject, recovered.subject);

    let observed = &observed.event;
    assert_eq!(observed.text("time"), incident.rfc3339(4));
    assert_eq!(observed.data("state"), "open");
    assert_eq!(observed.data("reason"), "opened");
    assert_eq!(observed.data("revision"), 1);
    assert_eq!(observed.data("counts")["window"], 5);
    assert_eq!(
        observed.data("summary"),
        "LDAP fails in image-factory/backend: 5 errors in 10m"
    );
    let recovered = &recovered.event;
    assert_eq!(recovered.text("time"), incident.rfc3339(14));
    assert_eq!(recovered.data("state"), "recovered");
    assert_eq!(recovered.data("reason"), "quiet");
    assert_eq!(recovered.data("revision"), 2);
    assert_eq!(recovered.data("recovered_at"), &incident.rfc3339(14));
}

#[test]
fn two_detectors_that_read_the_same_tee_publish_a_finding_once() {
    let Some(nats) = NatsServer::running() else {
        return;
    };
    let setups = [(); 2].map(|()| Setup::new(RULES).with_nats(&nats.url()));
    let [first, second] = setups.each_ref().map(Setup::start);
    let incident = Incident::new();
    first.push(&incident.failures("backend"));
    nats.wait_for_findings(1);
    second.push(&incident.failures("backend"));
    second.push(&incident.failures("frontend"));
    let all = nats.wait_for_findings(2);
    assert_eq!(
        briefs(&events(&all)),
        [ldap("observed", "backend"), ldap("observed", "frontend")]
    );
}

#[test]
fn the_stream_is_made_with_bounds() {
    let Some(nats) = NatsServer::running() else {
        return;
    };
    let trommel = Setup::new(RULES).with_nats(&nats.url()).start();
    trommel.push(&Incident::new().failures("backend"));
    nats.wait_for_findings(1);
    let config = nats.stream_config();
    assert_eq!(config.subjects, ["ops.findings.>"]);
    assert_eq!(config.max_age.as_secs(), 7 * 24 * 3600);
    assert_eq!(config.max_bytes, 256 << 20);
    assert_eq!(config.max_messages_per_subject, 32);
    assert_eq!(config.max_message_size, 64 << 10);
    assert_eq!(config.duplicate_window.as_secs(), 600);
}
