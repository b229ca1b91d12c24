//! What keeps it from starting is one clear message, and exit code 2.

use std::net::TcpListener;
use std::path::Path;

use crate::support::incident::RULES;
use crate::support::program;
use crate::support::scratch::Scratch;
use crate::support::trommel::{Setup, command};

/// Runs `trommel run` with free ports and `arguments`, which must keep it from starting, and returns what it says.
#[track_caller]
pub(crate) fn refusal(arguments: &[&str]) -> String {
    let mut command = command();
    command.args(["run", "--no-builtin"]);
    for (flag, free) in [
        ("--listen", "127.0.0.1:0"),
        ("--admin-listen", "127.0.0.1:0"),
    ] {
        if !arguments.contains(&flag) {
            command.args([flag, free]);
        }
    }
    let output = program::run(command.args(arguments), "");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{said}");
    assert!(!said.contains("listening"), "{said}");
    said
}

/// The one line of a refusal.
#[track_caller]
fn check(arguments: &[&str], expected: &str) {
    let said = refusal(arguments);
    assert_eq!(said, format!("trommel: {expected}\n"));
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("the target folder has a plain name")
}

#[test]
fn a_port_that_is_taken_is_named_with_its_setting() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = taken
        .local_addr()
        .expect("a bound socket has an address")
        .to_string();
    for (flag, key) in [("--listen", "listen"), ("--admin-listen", "admin_listen")] {
        check(
            &[flag, &address],
            &format!("cannot listen on {address} ({key}): Address already in use (os error 98)"),
        );
    }
}

#[test]
fn settings_that_cannot_be_used_are_named_with_their_place() {
    let scratch = Scratch::new();
    let file = scratch.write("trommel.yaml", "data: /tmp\nlistne: 127.0.0.1:1\n");
    let said = refusal(&["--config", text(&file)]);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.starts_with(&format!(
            "trommel: {}:2:1: unknown field `listne`",
            text(&file)
        )),
        "{said}"
    );
    let missing = scratch.path("missing.yaml");
    let said = refusal(&["--config", text(&missing)]);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(text(&missing)), "{said}");
    let said = refusal(&["--listen", "everywhere"]);
    assert!(
        said.contains("listen: `everywhere` is no address"),
        "{said}"
    );
}

#[test]
fn a_data_directory_that_cannot_be_used_is_named_and_left_as_it_is() {
    let scratch = Scratch::new();
    let file = scratch.write("data", "mine");
    let said = refusal(&["--data", text(&file)]);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(text(&file)), "{said}");
    assert_eq!(std::fs::read(&file).expect("still there"), b"mine");

    std::fs::create_dir(scratch.path("other")).expect("the target folder is writable");
    let database = scratch.write("other/trommel.db", "x".repeat(5000));
    check(
        &["--data", text(&scratch.path("other"))],
        &format!(
            "`{}` is damaged: it does not begin as SQLite files do, expected a whole SQLite database; restore it from a copy, or move it and its -wal file away to start empty",
            text(&database)
        ),
    );
}

#[test]
fn a_data_directory_that_another_trommel_has_is_free_once_that_has_ended() {
    let data = Scratch::new();
    let setup = Setup::new(RULES).arg("--data").arg(data.path("data"));
    let first = setup.start();
    let said = refusal(&["--data", text(&data.path("data"))]);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("another"), "{said}");
    first.kill();
    assert_eq!(setup.start().terminate().code(), Some(0));
}

#[test]
fn rules_that_are_wrong_are_shown_where_they_are_wrong() {
    let scratch = Scratch::new();
    let file = scratch.write(
        "rules.yaml",
        "rules:\n  - id: a\n    match: [x]\n    threshold: many\n    incident_type: error_spike\n",
    );
    let said = refusal(&["--rules", text(&file)]);
    assert!(said.contains("rules.yaml:4:"), "{said}");
    assert!(
        said.ends_with("trommel: the rules are not valid; nothing was started\n"),
        "{said}"
    );
    let missing = scratch.path("missing");
    let said = refusal(&["--rules", text(&missing)]);
    assert!(said.contains(text(&missing)), "{said}");
}
