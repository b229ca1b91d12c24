//! Once: whatever is sent again, by whomever, in whatever batches, adds no message.

use std::time::Duration;

use crate::support::alloy::{AlloyClient, Settings, at_once};
use crate::support::event::{briefs, ldap};
use crate::support::incident::{Incident, RULES};
use crate::support::loki::Entry;
use crate::support::nats::{NatsServer, events};
use crate::support::trommel::{Setup, Trommel};

const COMPONENTS: [&str; 3] = ["auth", "backend", "frontend"];

/// Three components fail at once and recover, in order of time.
fn input(incident: Incident) -> Vec<Entry> {
    let mut entries: Vec<_> = COMPONENTS
        .iter()
        .flat_map(|component| incident.whole(component))
        .collect();
    entries.sort_by_key(|entry| entry.at);
    entries
}

fn expected() -> Vec<String> {
    let mut expected: Vec<_> = COMPONENTS
        .iter()
        .flat_map(|component| [ldap("observed", component), ldap("recovered", component)])
        .collect();
    expected.sort();
    expected
}

/// Sends as Alloy does, in batches of about so many bytes of lines.
fn send(trommel: &Trommel, entries: &[Entry], batch_size: usize) {
    let settings = Settings {
        batch_size,
        remote_timeout: Duration::from_secs(10),
        ..Settings::default()
    };
    let report =
        AlloyClient::new(trommel.push_address(), settings).send(&at_once(entries.to_vec()));
    assert_eq!(report.sent, entries.len(), "{report:?}");
}

/// All that the stream holds once `last`, a finding that nothing else is part of, is in it.
#[track_caller]
fn told(nats: &NatsServer, trommel: &Trommel, incident: Incident, last: &str) -> Vec<String> {
    trommel.push(&incident.failures_from(last, 17));
    let messages = nats.wait_for_findings(expected().len() + 1);
    let mut told = briefs(&events(&messages));
    // Messages go out in order, so nothing that came before is still on its way.
    assert_eq!(told.pop(), Some(ldap("observed", last)), "{told:?}");
    told.sort();
    told
}

#[test]
fn two_senders_with_other_batches_at_the_same_time_add_no_message() {
    let Some(nats) = NatsServer::running() else {
        return;
    };
    let trommel = Setup::new(RULES).with_data().with_nats(&nats.url()).start();
    let incident = Incident::new();
    let entries = input(incident);
    std::thread::scope(|scope| {
        // One entry at a time, about three at a time, all at once, and everything a second time.
        for batch_size in [1, 300, 1 << 20] {
            let (trommel, entries) = (&trommel, &entries);
            scope.spawn(move || {
                send(trommel, entries, batch_size);
                send(trommel, entries, batch_size);
            });
        }
    });
    assert_eq!(told(&nats, &trommel, incident, "last"), expected());
}

#[test]
fn a_whole_day_read_again_adds_no_message() {
    let Some(nats) = NatsServer::running() else {
        return;
    };
    let setup = Setup::new(RULES).with_data().with_nats(&nats.url());
    let incident = Incident::new();
    let entries = input(incident);
    let trommel = setup.start();
    send(&trommel, &entries, 1 << 20);
    nats.wait_for_findings(expected().len());

    // A collector without memory reads its files from their beginning: every half hour of the day had an incident that is long over. Some of
    // it was counted, some of it nobody here has ever seen, and all of it comes once more after a restart.
    let day: Vec<Entry> = (1..48)
        .rev()
        .flat_map(|half_hours| {
            input(incident).into_iter().map(move |mut entry| {
                entry.at -= half_hours * 30 * 60 * 1_000_000_000;
                entry
            })
        })
        // What is younger than an hour is new, and may be told of.
        .filter(|entry| entry.at < incident.at(-60))
        .chain(entries)
        .collect();
    send(&trommel, &day, 4000);
    assert_eq!(trommel.terminate().code(), Some(0));
    let trommel = setup.start();
    send(&trommel, &day, 1 << 20);
    assert_eq!(told(&nats, &trommel, incident, "last"), expected());
}

#[test]
fn two_trommels_that_get_the_same_add_no_message() {
    let Some(nats) = NatsServer::running() else {
        return;
    };
    // As during a rolling update with a volume for each: both are sent everything, in other batches.
    let old = Setup::new(RULES).with_data().with_nats(&nats.url()).start();
    let new = Setup::new(RULES).with_data().with_nats(&nats.url()).start();
    let incident = Incident::new();
    let entries = input(incident);
    std::thread::scope(|scope| {
        scope.spawn(|| send(&old, &entries, 300));
        scope.spawn(|| send(&new, &entries, 1 << 20));
    });
    assert_eq!(old.terminate().code(), Some(0));
    assert_eq!(told(&nats, &new, incident, "last"), expected());
}

#[test]
fn a_trommel_that_takes_over_the_data_directory_goes_on_where_the_other_ended() {
    let Some(nats) = NatsServer::running() else {
        return;
    };
    let setup = Setup::new(RULES).with_data().with_nats(&nats.url());
    let incident = Incident::new();
    let entries = input(incident);
    let (before, after) = entries.split_at(entries.len() / 2);
    let old = setup.start();
    send(&old, before, 300);
    assert_eq!(old.terminate().code(), Some(0));
    // The sender does not know what the old one answered in its last moment, and sends some of it again.
    let new = setup.start();
    send(&new, &before[before.len() / 2..], 1 << 20);
    send(&new, after, 1 << 20);
    assert_eq!(told(&nats, &new, incident, "last"), expected());
}
