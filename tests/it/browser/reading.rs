//! Pages are for everybody: without a script, with nothing but a keyboard, in any time zone, on a telephone.

use serde_json::json;

use crate::support::browser::{Browser, ENTER, TAB};
use crate::support::scene::{Scene, setup};

#[test]
fn without_scripts_the_pages_read_and_filters_work() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let scene = Scene::troubled(&setup());
    browser.tell(
        "Emulation.setScriptExecutionDisabled",
        &json!({"value": true}),
    );
    browser.open(&scene.trommel, "/");
    browser.see("h1", "1 critical, 1 warning, 1 info open");
    browser.see("main time", " UTC");
    browser.click("main tbody a");
    browser.see(".timeline", "opened");
    browser.see("main", "payment gateway refused the card");
    browser.click("nav a[href='/findings']");
    browser.click("select[name=state] option[value=recovered]");
    browser.click("form.filters button");
    browser.see("main tbody", "LDAP fails in shop/mail");
    assert!(browser.place().contains("state=recovered"));
    browser.click("nav a[href='/rules']");
    browser.see("main", "payments_refused");
}

#[test]
fn times_are_the_readers_with_utc_on_hover() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let scene = Scene::troubled(&setup());
    // A zone without summer time, half an hour off whole ones.
    browser.live_in("Asia/Kolkata", "en-GB");
    let script = "
        const shown = [...document.querySelectorAll('main time')];
        return shown.map(it => [it.dateTime, it.title, it.textContent]);";
    for path in ["/", &scene.finding("payments_refused")] {
        browser.open(&scene.trommel, path);
        browser.until(
            "times of the zone",
            "return !document.querySelector('main time').textContent.includes('UTC')",
        );
        let times: Vec<[String; 3]> = serde_json::from_value(browser.ask(script)).expect("texts");
        assert!(times.len() > 2, "{times:?}");
        for [utc, title, text] in times {
            assert_eq!(utc, title);
            let at: jiff::Timestamp = utc.parse().expect("a time");
            let there = at.in_tz("Asia/Kolkata").expect("a zone");
            let clock = there.strftime("%H:%M:%S").to_string();
            assert!(text.contains(&clock), "{text} is not {clock}");
        }
    }
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn everything_is_reached_with_the_keyboard_in_the_order_it_is_read() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let scene = Scene::troubled(&setup());
    let focused = "
        const it = document.activeElement, style = getComputedStyle(it), box = it.getBoundingClientRect();
        return {
            name: it.innerText?.split('\\n')[0].trim() || it.name || it.tagName,
            inside: document.getElementById('main').contains(it),
            visible: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
            seen: box.right > 0 && box.bottom > 0 && box.left < innerWidth && box.top < innerHeight,
            place: [...document.querySelectorAll('*')].indexOf(it),
        };";
    for path in [
        "/",
        "/findings",
        "/rules",
        &scene.finding("payments_refused"),
    ] {
        browser.open(&scene.trommel, path);
        browser.press(TAB);
        let first = browser.ask(focused);
        assert_eq!(first["name"], "Skip to content", "{path}");
        assert_eq!(first["seen"], true, "{path}: {first}");

        // Through all of it: forwards only, always visible.
        let many = "return [...document.querySelectorAll('a, button, input, select, textarea, summary, [tabindex=\"0\"]')].filter(it => it.checkVisibility()).length";
        let many = browser.ask(many).as_u64().expect("a number");
        let mut last = first["place"].as_u64().expect("a number");
        for _ in 1..many {
            browser.press(TAB);
            let now = browser.ask(focused);
            let place = now["place"].as_u64().expect("a number");
            assert!(
                place > last,
                "{path}: {now} comes after what stands behind it"
            );
            assert_eq!(now["visible"], true, "{path}: {now}");
            assert_eq!(now["seen"], true, "{path}: {now}");
            last = place;
        }

        // The short way.
        browser.open(&scene.trommel, path);
        browser.press(TAB);
        browser.press(ENTER);
        browser.press(TAB);
        assert_eq!(browser.ask(focused)["inside"], true, "{path}");
    }
    // And a finding is opened with it.
    browser.open(&scene.trommel, "/findings");
    browser.ask("document.querySelector('main tbody a').focus()");
    browser.press(ENTER);
    browser.see("main", "Timeline");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn on_a_telephone_nothing_but_tables_scrolls_sideways() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let scene = Scene::troubled(&setup());
    browser.resize(360, 740);
    for path in [
        "/",
        "/findings",
        "/rules",
        "/rules/payments_refused",
        "/try",
        "/silences",
        "/audit",
        "/findings/0",
        &scene.finding("payments_refused"),
    ] {
        browser.open(&scene.trommel, path);
        browser.fits();
    }
}
