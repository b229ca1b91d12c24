//! Rules are tried and changed on the page.

use std::fs;

use serde_json::Value;

use crate::support::browser::Browser;
use crate::support::scene::{LDAP, REFUSED, RULES, Scene, setup};
use crate::support::scratch::Scratch;
use crate::support::trommel::Setup;

/// With [`RULES`] in a folder that may be written to, or not.
fn shop(scratch: &Scratch, writable: bool) -> Setup {
    let rules = scratch.path("rules");
    fs::create_dir(&rules).expect("the folder is writable");
    fs::write(rules.join("shop.yaml"), RULES).expect("the folder is writable");
    let mut settings = format!("rules: [{}]\nreload_interval: 0\n", rules.display());
    if writable {
        settings += format!("rules_writable: {}\n", rules.display()).as_str();
    }
    Setup::with_builtin_rules()
        .arg("--no-builtin")
        .arg("--environment")
        .arg("production")
        .with_settings(&settings)
}

#[test]
fn pasted_lines_are_explained() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let scene = Scene::calm(&setup());
    browser.open(&scene.trommel, "/try");
    browser.write("textarea[name=lines]", REFUSED);
    browser.write("input[name=labels]", "namespace=shop, app=checkout");
    browser.click("form.try button");
    browser.see("main", "What would open");
    browser.see("main figure", "payments_refused");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn a_rule_is_broken_mended_saved_and_fires() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let scratch = Scratch::new();
    let scene = Scene::calm(&shop(&scratch, true));
    browser.open(&scene.trommel, "/rules/payments_refused");
    browser.write("input[name=threshold]", "2 of 10m");
    browser.click("form.change button[value=check]");
    browser.see("#result", "In place");
    let written = || fs::read_to_string(scratch.path("rules/shop.yaml")).expect("a file");
    assert_eq!(written(), RULES, "nothing is written");

    browser.write("input[name=threshold]", "2 in 10m");
    browser.write("form.change input[name=reason]", "three are too many");
    browser.click("form.change button[value=save]");
    browser.see("#result", "Saved to");
    assert!(written().contains("threshold: 2 in 10m"), "{}", written());
    scene.say("checkout", REFUSED, 0..2);
    browser.open(&scene.trommel, "/");
    browser.see("h1", "1 critical open");
    browser.see("main tbody", "Cards are refused in shop: 2 in 10m");

    // Off where it is not wanted.
    browser.open(&scene.trommel, "/rules/payments_refused");
    browser.write("input[name=environments]", "[staging]");
    browser.click("form.change button[value=save]");
    browser.see("#result", "Saved to");
    browser.see("#result", "Gone, or off from now");

    browser.open(&scene.trommel, "/audit");
    browser.see("main", "three are too many");
    browser.see("main", "payments_refused");
}

#[test]
fn a_rule_that_ships_is_cloned_broken_mended_saved_and_fires() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let scratch = Scratch::new();
    let rules = scratch.path("rules");
    fs::create_dir(&rules).expect("the folder is writable");
    fs::write(rules.join("shop.yaml"), RULES).expect("the folder is writable");
    let folder = rules.display();
    let settings = format!("rules: [{folder}]\nreload_interval: 0\nrules_writable: {folder}\n");
    let scene = Scene::calm(&Setup::with_builtin_rules().with_settings(&settings));
    browser.open(&scene.trommel, "/rules/tls_x509");
    browser.see("#change", "What is different here goes to overrides.yaml");
    browser.write("input[name=threshold]", "2 of 10m");
    browser.write("input[name=severity]", "critical");
    browser.click("form.change button[value=save]");
    browser.see("#result", "The rules are not valid so; nothing is written.");
    browser.see("#result .lines .wrong", "threshold: 2 of 10m");
    browser.see("#result .lines .wrong .mark", "▲");
    let overrides = rules.join("overrides.yaml");
    assert!(!overrides.exists());

    // What was typed is still there, and one letter is wrong.
    let severity = "return document.querySelector('input[name=severity]').value";
    assert_eq!(browser.ask(severity), "critical");
    browser.write("input[name=threshold]", "2 in 10m");
    browser.click("form.change button[value=save]");
    browser.see("#result", "Saved to overrides.yaml");
    let written = fs::read_to_string(&overrides).expect("a file");
    assert_eq!(
        written,
        "rules:\n  - extends: tls_x509\n    threshold: 2 in 10m\n    severity: critical\n"
    );
    scene.say("checkout", "x509: certificate has expired", 0..2);
    let found = scene.wait_for("observed", "tls_x509");
    assert_eq!(found.data_text("severity"), "critical");
    assert_eq!(found.data("rule")["condition"], "2 in 10m");
    browser.open(&scene.trommel, "/");
    browser.see("h1", "1 critical open");
    browser.open(&scene.trommel, "/rules/tls_x509");
    browser.see("main", "The rule that it extends");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn a_silenced_rule_tells_nothing_and_the_audit_says_why() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let scene = Scene::calm(&setup());
    browser.open(&scene.trommel, "/silences");
    browser.write("main input[name=rule]", "payments_refused");
    browser.write("main input[name=reason]", "the gateway is being replaced");
    browser.click("main form.filters button");
    browser.see("main table", "payments_refused");
    browser.see("main table", "the gateway is being replaced");
    // A silence is one of the log's time, from now on: the log began 40 minutes ago.
    scene.say("checkout", REFUSED, 41..44);
    scene.say("accounts", LDAP, 41..44);
    scene.wait_for("observed", "ldap_timeout_spike");
    let told = scene.trommel.events();
    let silent = told
        .iter()
        .all(|event| event.data("rule")["id"] != "payments_refused");
    assert!(silent, "{told:?}");

    browser.open(&scene.trommel, "/silences");
    browser.click("main table button");
    browser.see("main", "Ended in the last day");
    browser.open(&scene.trommel, "/audit");
    browser.see("main", "the gateway is being replaced");
}

#[test]
fn where_nothing_may_be_written_a_change_is_handed_out_as_a_patch() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let scratch = Scratch::new();
    let scene = Scene::calm(&shop(&scratch, false));
    browser.open(&scene.trommel, "/rules/payments_refused");
    browser.see("#change", "Download as patch");
    let save = "return document.querySelectorAll('button[value=save]').length";
    assert_eq!(browser.ask(save), 0);
    browser.write("input[name=threshold]", "2 in 10m");
    // A browser without a screen keeps no downloads: the same form, sent by a script.
    let patch = browser.ask_later(
        "const done = arguments[arguments.length - 1];
         const form = new URLSearchParams(new FormData(document.querySelector('form.change')));
         form.set('do', 'patch');
         fetch(location.pathname, { method: 'POST', body: form }).then(answer => answer.text()).then(done, error => done(String(error)));",
    );
    let Value::String(patch) = patch else {
        panic!("{patch}")
    };
    assert!(patch.contains("\n-    threshold: 3 in 10m\n"), "{patch}");
    assert!(patch.contains("\n+    threshold: 2 in 10m\n"), "{patch}");
    let written = fs::read_to_string(scratch.path("rules/shop.yaml")).expect("a file");
    assert_eq!(written, RULES);
}
