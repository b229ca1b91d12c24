//! A finding is taken along, into a chat or a ticket.

use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::scene::{Scene, setup};

const COPY: &str = "button[data-copy=as-text]";

/// What is in the clipboard.
#[track_caller]
fn clipboard(browser: &Browser) -> String {
    let text = browser.ask_later(
        "const done = arguments[arguments.length - 1];
         (window.clipboard ?? navigator.clipboard).readText().then(done, error => done(String(error)));",
    );
    let Value::String(text) = text else {
        panic!("{text}")
    };
    text
}

#[test]
fn a_finding_is_copied_as_text_with_and_without_a_clipboard_of_its_own() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let scene = Scene::troubled(&setup());
    let address = format!("http://{}", scene.trommel.admin_address());
    let permissions = json!({
        "origin": address,
        "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"],
    });
    browser.tell("Browser.grantPermissions", &permissions);
    let page = scene.finding("payments_refused");
    let found = scene.wait_for("observed", "payments_refused");
    let logql = found.data("logs")["logql"].clone();
    let logql = logql.as_str().expect("a query");
    // As over plain HTTP from elsewhere, where browsers give pages no clipboard.
    let takes_it = "window.clipboard = navigator.clipboard;
         Object.defineProperty(navigator, 'clipboard', { value: undefined });";
    for before in ["", takes_it] {
        browser.open(&scene.trommel, &page);
        browser.ask_later(
            "const done = arguments[arguments.length - 1];
             navigator.clipboard.writeText('something else').then(() => done(true), error => done(String(error)));",
        );
        browser.ask(before);
        browser.click(COPY);
        browser.see(COPY, "Copied");
        let copied = clipboard(&browser);
        let lines: Vec<&str> = copied.lines().collect();
        assert_eq!(
            lines[0], "Cards are refused in shop: 3 in 10m [critical, open]",
            "{copied}"
        );
        for line in [
            format!("finding: {}", found.data_text("finding_id")),
            "rule: payments_refused".to_owned(),
            "namespace: shop".to_owned(),
            format!("logs: {logql}"),
            "runbook: https://runbooks.example/payments".to_owned(),
        ] {
            assert!(lines.contains(&&*line), "{line}: {copied}");
        }
        assert!(copied.contains("payment gateway refused the card"));
        // Nothing of how it was done is left.
        assert_eq!(
            browser.ask("return document.querySelectorAll('body > textarea').length"),
            0
        );
    }
    // Where the browser does not let it, the button says so.
    browser.ask("document.execCommand = () => false");
    browser.see(COPY, "Copy");
    browser.until(
        "the label to be back",
        "return document.querySelector('button[data-copy=as-text]').textContent === 'Copy'",
    );
    browser.click(COPY);
    browser.see(COPY, "Not copied");
    assert_eq!(browser.complaints(), [""; 0]);
}
