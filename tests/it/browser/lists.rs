//! From many findings to the one that is looked for.

use crate::support::browser::Browser;
use crate::support::scene::{Scene, setup};

#[test]
fn filters_are_in_the_address_and_survive_a_look_at_one_finding() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let scene = Scene::troubled(&setup());
    let rows = || {
        browser.until("the list", "return document.readyState === 'complete'");
        let script = "return [...document.querySelectorAll('main tbody tr')].map(row => row.querySelector('a').innerText)";
        serde_json::from_value::<Vec<String>>(browser.ask(script)).expect("texts")
    };
    browser.open(&scene.trommel, "/findings");
    assert_eq!(rows().len(), 4);

    choose(&browser, "state", "open");
    choose(&browser, "severity", "warning");
    browser.click("form.filters button");
    browser.until("the filters to be used", "return location.search !== ''");
    assert_eq!(rows(), ["LDAP fails in shop/accounts: 3 errors in 10m"]);
    let place = browser.place();
    assert!(
        place.contains("state=open") && place.contains("severity=warning"),
        "{place}"
    );

    browser.click("main tbody a");
    browser.see("h1", "LDAP fails in shop/accounts");
    browser.back();
    browser.see("h1", "Findings");
    assert_eq!(browser.place(), place);
    assert_eq!(rows().len(), 1);
    let chosen = "return document.querySelector('select[name=severity]').value";
    assert_eq!(browser.ask(chosen), "warning");

    // The same from an address that somebody has sent.
    browser.open(&scene.trommel, "/findings?rule=payments_refused");
    assert_eq!(rows(), ["Cards are refused in shop: 3 in 10m"]);
    browser.write("input[name=rule]", "");
    browser.write("input[name=text]", "OUT OF NOTHING");
    browser.click("form.filters button");
    browser.see("main", "None are known that fit.");
    browser.write("input[name=text]", "basket");
    browser.click("form.filters button");
    browser.see("main tbody", "basket has read its configuration anew");
    browser.click("form.filters a");
    browser.until(
        "all of them",
        "return document.querySelectorAll('main tbody tr').length === 4",
    );
    assert_eq!(browser.complaints(), [""; 0]);
}

#[track_caller]
fn choose(browser: &Browser, name: &str, value: &str) {
    browser.click(&format!("select[name={name}] option[value={value}]"));
}
