//! Pages that stay open keep up.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use crate::support::browser::{Browser, ENTER};
use crate::support::scene::{LDAP, REFUSED, Scene, setup};
use crate::support::server::free_address;
use crate::support::trommel::Setup;
use crate::support::wait;

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

#[test]
fn many_tabs_of_one_browser_load_and_those_that_are_hidden_catch_up_when_they_are_shown() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let scene = Scene::calm(&setup());
    let load = || {
        browser.open(&scene.trommel, "/");
        browser.see("h1", "Nothing is wrong");
        browser.ask("window.first = true");
    };
    let mut tabs = vec![browser.tab()];
    load();
    // Two more than the connections that a browser has for one server.
    for _ in 0..7 {
        tabs.push(browser.open_tab());
        load();
    }
    let one_listens = || {
        wait::until("only the tab that is shown to listen", || {
            (scene.trommel.metric("trommel_viewers", "") == 1.0).then_some(())
        });
    };
    one_listens();
    scene.say("checkout", REFUSED, 0..3);
    browser.see("h1", "1 critical open");
    for tab in &tabs {
        browser.show_tab(tab);
        browser.see("h1", "1 critical open");
    }
    one_listens();
    browser.show_tab(&tabs[0]);
    one_listens();
    scene.say("accounts", LDAP, 0..3);
    browser.see("h1", "1 critical, 1 warning open");
    assert_eq!(browser.ask("return window.first"), json!(true), "no reload");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn many_windows_beside_each_other_are_told_over_one_connection() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let scene = Scene::calm(&setup());
    let mut windows = Vec::new();
    for _ in 0..8 {
        windows.push(browser.open_window());
        browser.open(&scene.trommel, "/");
        browser.see("h1", "Nothing is wrong");
    }
    scene.say("checkout", REFUSED, 0..3);
    for window in &windows {
        browser.turn_to(window);
        browser.see("h1", "1 critical open");
        assert_eq!(browser.ask("return document.hidden"), json!(false));
    }
    assert_eq!(scene.trommel.metric("trommel_viewers", ""), 1.0);
}

#[test]
fn a_page_that_was_left_holds_no_connection() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let scene = Scene::calm(&setup());
    // Browsers keep pages for whoever goes back; one that still listens would keep its connection too, and the seventh wait for it.
    for _ in 0..2 {
        for path in ["/", "/findings", "/rules", "/try", "/silences", "/audit"] {
            browser.open(&scene.trommel, path);
        }
    }
    wait::until("only the page that is shown to listen", || {
        (scene.trommel.metric("trommel_viewers", "") == 1.0).then_some(())
    });
    browser.back();
    browser.see("h1", "Silences");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn a_browser_that_is_one_too_many_says_that_it_is_not_live() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let scene = Scene::calm(&setup());
    let admin = scene.trommel.admin_address();
    let events = format!("GET /events HTTP/1.1\r\nHost: {admin}\r\n\r\n");
    let mut others = Vec::new();
    while scene.trommel.metric("trommel_viewers_refused_total", "") == 0.0 {
        let mut other = TcpStream::connect(admin).expect("it listens");
        other.write_all(events.as_bytes()).expect("it is open");
        let answered = other.read(&mut [0; 64]).expect("an answer");
        assert!(answered > 0, "it is let in and told, or refused");
        others.push(other);
    }
    browser.open(&scene.trommel, "/");
    browser.see(
        "#live",
        "renewed every 30 s: too many browsers look at trommel",
    );
    // Nobody is shut out of anything else.
    assert_eq!(scene.trommel.admin("/livez").status, 200);
    drop(others);
    browser.until(
        "the page to be live for who comes back to it",
        "document.dispatchEvent(new Event('visibilitychange'));
         return document.getElementById('live').textContent === ''",
    );
}
