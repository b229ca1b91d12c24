//! No barrier that axe knows of: names, contrasts, roles, in both colour schemes and at both widths.

use std::fs;

use serde_json::Value;

use crate::support::browser::Browser;
use crate::support::program;
use crate::support::scene::{Scene, setup};
use crate::support::trommel::Trommel;

#[test]
fn axe_finds_no_barrier_on_any_page() {
    let axe = program::tools().join("node/node_modules/axe-core/axe.min.js");
    let (Some(axe), Some(browser)) = (program::installed("axe-core", axe), Browser::start()) else {
        return;
    };
    let axe = fs::read_to_string(axe).expect("a script");
    let calm = Scene::calm(&setup());
    let mut barriers = Vec::new();
    barriers.extend(barriers_at(
        &browser,
        &axe,
        &calm.trommel,
        &["/", "/findings"],
    ));
    let scene = Scene::troubled(&setup());
    let finding = scene.finding("payments_refused");
    let paths = [
        "/",
        "/findings",
        "/findings?state=open&severity=info",
        "/findings?state=ajar",
        "/findings/0",
        "/rules",
        "/rules/payments_refused",
        "/try",
        "/silences",
        "/audit",
        &*finding,
    ];
    barriers.extend(barriers_at(&browser, &axe, &scene.trommel, &paths));
    assert!(barriers.is_empty(), "{}", barriers.join("\n"));
}

/// Rule, page and element of each barrier.
fn barriers_at(browser: &Browser, axe: &str, trommel: &Trommel, paths: &[&str]) -> Vec<String> {
    let mut barriers = Vec::new();
    for path in paths {
        browser.open(trommel, path);
        browser.ask(axe);
        for width in [360, 1280] {
            browser.resize(width, 900);
            for scheme in ["light", "dark"] {
                browser.prefer(scheme);
                let found = browser.ask_later(
                    "const done = arguments[arguments.length - 1];
                     axe.run(document, { resultTypes: ['violations'] }).then(
                       result => done(result.violations.flatMap(rule => rule.nodes.map(node =>
                         `${rule.id}: ${node.target.join(' ')}: ${node.failureSummary.replaceAll('\\n', ' ')}`))),
                       error => done([String(error)]));",
                );
                let Value::Array(found) = found else {
                    panic!("{found}")
                };
                barriers.extend(
                    found
                        .iter()
                        .map(|it| format!("{path} {scheme} {width}: {it}")),
                );
            }
        }
    }
    barriers
}
