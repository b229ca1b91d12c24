//! Pages that stay open keep up.

use serde_json::json;

use crate::support::browser::{Browser, ENTER};
use crate::support::scene::{LDAP, REFUSED, Scene, setup};
use crate::support::server::free_address;
use crate::support::trommel::Setup;

#[test]
fn the_sample_is_told_on_screen_to_its_end() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let trommel = Setup::with_builtin_rules().arg("--sample").start();
    browser.open(&trommel, "/");
    browser.ask("window.first = true");
    browser.see("main tbody", "accounts in shop cannot reach LDAP");
    browser.see("main tbody", "lasted 10m");
    browser.see("h1", "Nothing is wrong");
    assert_eq!(browser.ask("return window.first"), json!(true), "no reload");

    browser.click("main tbody a");
    browser.see(".timeline", "opened");
    browser.see(
        ".timeline",
        "recovered: its streams went on without a match",
    );
    browser.see("main", "LDAP Result Code 200");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn a_finding_opens_goes_on_and_recovers_before_the_readers_eyes() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let scene = Scene::calm(&setup());
    browser.open(&scene.trommel, "/");
    browser.see("h1", "Nothing is wrong");
    browser.ask("window.first = true");
    scene.say("checkout", REFUSED, 0..3);
    browser.see("h1", "1 critical open");
    browser.see("main tbody", "Cards are refused in shop: 3 in 10m");
    scene.say("accounts", LDAP, 0..3);
    browser.see("h1", "1 critical, 1 warning open");
    assert!(
        browser
            .ask("return document.title")
            .as_str()
            .expect("text")
            .contains("1 critical, 1 warning open")
    );
    assert_eq!(browser.ask("return window.first"), json!(true), "no reload");

    browser.open(&scene.trommel, &scene.finding("payments_refused"));
    browser.see(".timeline", "opened");
    browser.ask("window.first = true");
    scene.say("checkout", REFUSED, 3..8);
    browser.see(".timeline", "goes on");
    browser.see(".lead", "open");
    scene.go_on("checkout", 8..25);
    browser.see(
        ".timeline",
        "recovered: its streams went on without a match",
    );
    browser.see(".lead", "recovered after");
    assert_eq!(browser.ask("return window.first"), json!(true), "no reload");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn a_page_whose_trommel_is_away_says_so_and_catches_up() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let setup = setup()
        .with_data()
        .with_admin_at(&free_address().to_string());
    let scene = Scene::calm(&setup);
    browser.open(&scene.trommel, "/");
    browser.see("h1", "Nothing is wrong");
    browser.ask("window.first = true");
    assert_eq!(browser.text("#live"), "");

    scene.trommel.kill();
    browser.see("#live", "not up to date");
    let scene = Scene::calm(&setup);
    scene.say("checkout", REFUSED, 0..3);
    browser.see("h1", "1 critical open");
    browser.until(
        "the warning to go",
        "return document.getElementById('live').textContent === ''",
    );
    // And from then on as before.
    scene.say("accounts", LDAP, 0..3);
    browser.see("h1", "1 critical, 1 warning open");
    assert_eq!(browser.ask("return window.first"), json!(true), "no reload");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn whoever_writes_or_reads_with_the_keyboard_is_not_interrupted() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let scene = Scene::calm(&setup());
    browser.open(&scene.trommel, "/findings");
    browser.write("input[name=text]", "ca");
    scene.say("checkout", REFUSED, 0..3);
    scene.wait_for("observed", "payments_refused");
    // A second page shows when word of it has gone out to all.
    browser.until(
        "the word that something has changed",
        "if (!window.heard) {
           window.heard = 'waits';
           fetch(location.href).then(answer => answer.text()).then(text => { window.heard = text.includes('Cards are refused') ? 'came' : null; });
         }
         return window.heard === 'came'",
    );
    browser.press("rds");
    assert_eq!(
        browser.ask("return [document.activeElement.name, document.activeElement.value]"),
        json!(["text", "cards"])
    );
    browser.press(ENTER);
    browser.see("main tbody", "Cards are refused");
    assert!(
        browser.place().contains("text=cards"),
        "{}",
        browser.place()
    );
    assert_eq!(browser.complaints(), [""; 0]);
}
