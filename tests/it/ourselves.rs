//! Findings about trommel itself, as an operator makes them come and go. Those that take minutes are shown in `owner::ourselves`.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::incident::{Incident, RULES};
use crate::support::trommel::Setup;

#[test]
fn a_silent_tee_is_told_once_over_a_restart_and_recovers_with_the_next_push() {
    let setup = Setup::new(RULES)
        .with_data()
        .with_settings("detect: {tee_silent_after: 1s}");
    let trommel = setup.start();
    let observed = trommel.wait_for("the finding", |event| {
        event.brief() == "observed trommel_tee_silent"
    });
    let summary = observed.data_text("summary");
    assert!(summary.contains("since the start"), "{summary}");
    assert_eq!(observed.text("source"), "/trommel/default/default");
    trommel.kill();

    let trommel = setup.start();
    trommel.push(&Incident::new().failures("backend"));
    let recovered = trommel.wait_for("the recovery", |event| {
        event.brief() == "recovered trommel_tee_silent"
    });
    assert_eq!(
        recovered.data_text("finding_id"),
        observed.data_text("finding_id")
    );
    // What it said before it was killed may not have been written down as sent.
    let told = trommel.events();
    let observed = told.iter().filter(|event| {
        event.brief() == "observed trommel_tee_silent" && event.text("id") != observed.text("id")
    });
    assert_eq!(observed.count(), 0);
}

#[test]
fn entries_from_the_future_and_keys_beyond_the_bound_are_told_with_their_numbers() {
    let trommel = Setup::new(RULES)
        .with_settings("detect: {keys_max: 1}")
        .start();
    let incident = Incident::new();
    trommel.push(&[incident.failures("a"), incident.failures("b")].concat());
    let keys = trommel.wait_for("the finding about keys", |event| {
        event.brief() == "observed trommel_keys_evicted{rule=ldap_timeout_spike}"
    });
    assert_eq!(
        keys.data("resource_scope")["rule"],
        "ldap_timeout_spike",
        "{keys:?}"
    );

    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("the clock is past 1970").as_nanos();
    let mut ahead = incident.failure("a", 0);
    ahead.at = i64::try_from(now).expect("before the year 2262") + 7_200_000_000_000;
    trommel.push(&[ahead]);
    let skew = trommel.wait_for("the finding about clocks", |event| {
        event.brief() == "observed trommel_clock_skew"
    });
    let summary = skew.data_text("summary");
    assert!(summary.contains("1 entries, the furthest by"), "{summary}");
}
