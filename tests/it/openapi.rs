//! The API keeps to its own description: schemathesis asks all that it allows, and some that it does not.

use std::process::Command;

use serde_json::Value;

use crate::support::page::read;
use crate::support::program;
use crate::support::scene::{Scene, setup};
use crate::support::scratch::Scratch;
use crate::support::trommel::Setup;

/// Questions about each operation, beside those at the edges of each parameter.
const EXAMPLES: &str = "20";

#[test]
fn the_api_answers_as_its_description_says() {
    let schemathesis = program::tools().join("python/bin/schemathesis");
    let Some(schemathesis) = program::installed("schemathesis", schemathesis) else {
        return;
    };
    let scene = Scene::troubled(&setup());
    let admin = scene.trommel.admin_address();
    let scratch = Scratch::new();
    let report = program::succeed(
        Command::new(schemathesis)
            // It leaves notes where it runs.
            .current_dir(scratch.path(""))
            .arg("run")
            .arg(format!("http://{admin}/api/v1/openapi.json"))
            .args(["--max-examples", EXAMPLES])
            // The same questions every time.
            .arg("--generation-deterministic")
            // A schema cannot say what a rule or a name of a file is: more is refused than it tells.
            .args(["--exclude-checks", "positive_data_acceptance"])
            // How fast questions come to its mind is not asked.
            .args(["--suppress-health-check", "all"])
            .args(["--request-timeout", "10", "--no-color"]),
        "",
    );
    assert!(report.contains("Stateful"), "{report}");
}

#[test]
fn the_committed_description_is_what_is_answered() {
    let trommel = Setup::with_builtin_rules().start();
    let answered: Value = serde_json::from_slice(&trommel.admin("/api/v1/openapi.json").body)
        .expect("a description is JSON");
    let committed: Value =
        serde_json::from_str(&read("schema/api/1.json")).expect("the committed one is JSON");
    assert_eq!(answered, committed);
}
