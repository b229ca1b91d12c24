//! A replay of a file gives the findings that the same lines gave when they were pushed.

use serde_json::json;

use crate::support::event::Event;
use crate::support::incident::{Incident, RULES};
use crate::support::program;
use crate::support::scratch::Scratch;
use crate::support::trommel::{Setup, command};

#[test]
fn a_replay_makes_the_same_findings_as_a_push_of_the_same_lines() {
    let incident = Incident::new();
    let mut entries = [incident.whole("backend"), incident.whole("frontend")].concat();
    entries.sort_by_key(|entry| entry.at);

    let trommel = Setup::new(RULES).start();
    for entry in &entries {
        trommel.push(std::slice::from_ref(entry));
    }
    trommel.wait_for("the last recovery", |event| {
        event.state() == "recovered" && event.data_text("dedupe_key").contains("frontend")
    });
    let live = trommel.events();

    let lines: String = entries
        .iter()
        .map(|entry| {
            let time = trommel::time::Timestamp::new(entry.at).to_string();
            json!({"labels": entry.labels, "line": entry.line, "ts": time}).to_string() + "\n"
        })
        .collect();
    let scratch = Scratch::new();
    let rules = scratch.write("rules.yaml", RULES);
    let file = scratch.write("incident.jsonl", &lines);
    let output = program::succeed(
        command()
            .args(["replay", "--input", "jsonl", "--rules"])
            .arg(rules)
            .arg(file),
        "",
    );
    let replayed: Vec<_> = output.lines().map(Event::read).collect();
    assert_eq!(identities(&replayed), identities(&live));
    assert_eq!(replayed.len(), 4);
}

/// What makes a message this one and no other: id with revision, what it says, and when in the log's time.
fn identities(events: &[Event]) -> Vec<[String; 4]> {
    let mut identities: Vec<_> = events
        .iter()
        .map(|event| {
            [
                event.text("time").to_owned(),
                event.brief(),
                event.text("id").to_owned(),
                event.data("counts")["total"].to_string(),
            ]
        })
        .collect();
    identities.sort();
    identities
}
