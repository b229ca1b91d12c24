//! A trommel that begins without state, since its pod has moved: what is open is read back from the stream.

use std::collections::BTreeSet;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::event::briefs;
use crate::support::loki::Entry;
use crate::support::nats::{NatsServer, Published, events};
use crate::support::trommel::{Setup, Trommel};
use crate::support::wait;

const RULES: &str = r#"
rules:
  - id: ldap_timeout_spike
    match: LDAP Result Code 200
    threshold: 3 in 1m
    by: [component]
    recover: 2s
    incident_type: identity_provider_unreachable
    catches: ["LDAP Result Code 200"]
    passes: ["LDAP Result Code 0"]
"#;

const SETTINGS: &str = "detect: {late_by: 0s}";

fn setup(nats: &NatsServer, settings: &str) -> Setup {
    Setup::new(RULES)
        .with_data()
        .with_nats(&nats.url())
        .with_settings(&format!("{SETTINGS}\n{settings}"))
}

/// What `component` logs now: as many lines as the rule asks for.
fn lines(component: &str, line: &str) -> Vec<Entry> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("the clock is past 1970").as_nanos();
    let now = i64::try_from(now).expect("before the year 2262");
    (0..3)
        .map(|number| Entry {
            labels: [("component".to_owned(), component.to_owned())].into(),
            at: now - 2 + number,
            line: line.to_owned(),
        })
        .collect()
}

fn fail(trommel: &Trommel, component: &str) {
    trommel.push(&lines(component, "LDAP Result Code 200"));
}

/// Goes on without failures until the stream has `count` messages.
fn quiet(trommel: &Trommel, nats: &NatsServer, component: &str, count: usize) -> Vec<Published> {
    wait::until("the recovery", || {
        trommel.push(&lines(component, "LDAP Result Code 0"));
        let findings = nats.findings();
        (findings.len() >= count).then_some(findings)
    })
}

fn is_read_back(trommel: &Trommel) {
    wait::until("open findings to be read back", || {
        (trommel.metric("trommel_read_back_total", r#"outcome="done""#) > 0.0).then_some(())
    });
}

#[test]
fn an_open_finding_goes_on_under_its_id_and_recovers() {
    let Some(nats) = NatsServer::running() else {
        return;
    };
    let setup = setup(&nats, "");
    let trommel = setup.start();
    fail(&trommel, "backend");
    nats.wait_for_findings(1);
    trommel.kill();
    fs::remove_dir_all(setup.data()).expect("ours");

    let trommel = setup.start();
    // Nothing is decided before it is known what was open.
    fail(&trommel, "backend");
    is_read_back(&trommel);
    assert_eq!(trommel.metric("trommel_read_back_findings_total", ""), 1.0);
    let open = trommel.admin("/api/v1/findings?state=open").text();
    assert_eq!(open.matches("\"finding_id\"").count(), 1, "{open}");
    fail(&trommel, "backend");
    let messages = quiet(&trommel, &nats, "backend", 2);
    let subject = "ldap_timeout_spike{component=backend}";
    assert_eq!(
        briefs(&events(&messages)),
        [
            format!("observed {subject}"),
            format!("recovered {subject}")
        ]
    );
    let events = events(&messages);
    let ids: BTreeSet<_> = events.iter().map(|it| it.data_text("finding_id")).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(events[1].data("revision"), 2);
    assert_eq!(events[1].data("detector")["coverage"], "gap");

    // From here on it is all its own memory.
    trommel.kill();
    let trommel = setup.start();
    assert_eq!(trommel.metric("trommel_read_back_total", ""), 0.0);
}

#[test]
fn what_is_over_stays_so_what_is_anothers_is_left_alone_and_garbage_is_counted() {
    let Some(nats) = NatsServer::running() else {
        return;
    };
    let other = setup(&nats, "instance: other").start();
    fail(&other, "others");
    nats.wait_for_findings(1);
    other.kill();
    let setup = setup(&nats, "");
    let trommel = setup.start();
    is_read_back(&trommel);
    fail(&trommel, "backend");
    nats.wait_for_findings(2);
    quiet(&trommel, &nats, "backend", 3);
    trommel.kill();
    fs::remove_dir_all(setup.data()).expect("ours");
    nats.publish("ops.findings.a.b.c", "{\"source\":");
    nats.publish(
        "ops.findings.a.b.d",
        r#"{"source":"/trommel/default/default","id":"f:1","data":{}}"#,
    );

    let trommel = setup.start();
    is_read_back(&trommel);
    assert_eq!(trommel.metric("trommel_read_back_findings_total", ""), 0.0);
    assert_eq!(trommel.metric("trommel_read_back_skipped_total", ""), 2.0);
    let open = trommel.admin("/api/v1/findings?state=open").text();
    assert!(!open.contains("finding_id"), "{open}");
    // What comes now is new.
    fail(&trommel, "backend");
    wait::until("a second finding", || {
        let open = trommel.admin("/api/v1/findings?state=open").text();
        (open.matches("\"finding_id\"").count() == 1).then_some(())
    });
}

#[test]
fn where_nats_cannot_be_reached_in_time_it_goes_on_without_and_says_so() {
    let Some(nats) = NatsServer::stopped() else {
        return;
    };
    let trommel = setup(&nats, "nats: {read_back: 1s}").start();
    fail(&trommel, "backend");
    wait::until("the finding", || {
        let open = trommel.admin("/api/v1/findings?state=open").text();
        open.contains("component=backend").then_some(())
    });
    assert_eq!(
        trommel.metric("trommel_read_back_total", r#"outcome="gave_up""#),
        1.0
    );
    let log = trommel.log();
    assert!(log.contains("cannot be read back from nats"), "{log}");
    let open = trommel.admin("/api/v1/findings?state=open").text();
    assert!(open.contains(r#""coverage":"gap""#), "{open}");
}
