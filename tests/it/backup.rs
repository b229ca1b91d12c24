//! A copy of the database, as `docs/operations.md` says to make it and to put it back.

use std::fs;

use rusqlite::Connection;

use crate::support::incident::{Incident, RULES};
use crate::support::trommel::Setup;

#[test]
fn a_copy_made_while_trommel_runs_is_a_state_to_go_on_from() {
    let setup = Setup::new(RULES).with_data();
    let incident = Incident::new();
    let copy = setup.data().with_extension("copy");

    let trommel = setup.start();
    trommel.push(&incident.failures("backend")[..4]);
    Connection::open(setup.data().join("trommel.db"))
        .and_then(|database| database.execute("VACUUM INTO ?1", [copy.to_string_lossy()]))
        .expect("a reader disturbs nobody");
    // Not in the copy.
    trommel.push(&[incident.failure("frontend", 4)]);
    trommel.push(&[incident.failure("backend", 5)]);
    trommel.wait_for("the finding", |event| event.state() == "observed");
    trommel.kill();

    for name in ["trommel.db", "trommel.db-wal", "trommel.db-shm"] {
        // The last two are there after a kill, and not after a clean end.
        let _ = fs::remove_file(setup.data().join(name));
    }
    fs::rename(&copy, setup.data().join("trommel.db")).expect("it was made");

    let trommel = setup.start();
    trommel.push(&[incident.failure("backend", 6)]);
    let observed = trommel.wait_for("the finding", |event| event.state() == "observed");
    assert_eq!(observed.data("first_seen"), &incident.rfc3339(0));
    assert_eq!(observed.text("time"), incident.rfc3339(6));
    assert_eq!(observed.data("counts")["window"], 5);
}
