//! Whoever can log writes into the page: text, and nothing else.

use serde_json::json;

use crate::support::browser::Browser;
use crate::support::http::Request;
use crate::support::loki::{Entry, field, pack, varint};
use crate::support::scene::Scene;
use crate::support::trommel::Setup;

/// What is taken from a line comes into the summary, the key and the evidence.
const RULES: &str = r"
rules:
  - id: hostile
    match:
      re: 'evil (?P<what>.*)'
    by: [what]
    incident_type: error_spike
    summary: 'somebody says {what}'
    catches: ['evil twin']
    passes: ['good twin']
";

#[test]
fn what_a_log_says_is_shown_and_does_nothing() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let scene = Scene::calm(&Setup::new(RULES));
    let hostile = [
        "<script>window.owned = 1</script><img src=x onerror='window.owned = 2'>",
        "\"></code></pre><style>*{display:none}</style><a href='javascript:window.owned=3'>",
        "\u{202e}txt.exe\u{2066}\u{2067}\u{200f} reversed",
        "</title></main><iframe srcdoc='<script>parent.owned=4</script>'>",
        "{{constructor.constructor('window.owned=5')()}} ${window.owned=6}",
        "\u{0} NUL \u{1b}[31m red \u{7} bell",
    ];
    for (minute, text) in (0..).zip(hostile) {
        scene.say("web", &format!("evil {text}"), minute..minute + 1);
    }
    // One word without a place to break, as long as a line may be.
    scene.say("web", &format!("evil {}", "A".repeat(1 << 20)), 10..11);
    let line = b"evil \xff\xfe\xc3\x28 not UTF-8 \xed\xa0\x80".to_vec();
    push_bytes(&scene, scene.entry("web", "", 11), &line);
    browser.open(&scene.trommel, "/findings");
    browser.until(
        "all of it",
        "return document.querySelectorAll('main tbody tr').length >= 8",
    );

    browser.resize(360, 740);
    let script = "return [...document.querySelectorAll('main tbody a')].map(it => it.getAttribute('href')).filter(it => it.startsWith('/findings/'))";
    let findings: Vec<String> = serde_json::from_value(browser.ask(script)).expect("addresses");
    assert!(findings.len() >= 8, "{findings:?}");
    let mut evidence = String::new();
    for path in ["/", "/findings", "/rules"]
        .into_iter()
        .chain(findings.iter().map(|it| &**it))
    {
        browser.open(&scene.trommel, path);
        browser.fits();
        assert_eq!(
            browser.ask("return window.owned ?? null"),
            json!(null),
            "{path}"
        );
        let foreign = "return document.querySelectorAll('main script, main img, main iframe, main style, a[href^=\"javascript:\"]').length";
        assert_eq!(browser.ask(foreign), json!(0), "{path}");
        evidence += &browser.text("main");
    }
    for text in [
        "<script>window.owned = 1</script>",
        "<style>*{display:none}</style>",
        "txt.exe",
        "NUL",
        "not UTF-8",
        "AAAAAAAAAAAAAAAAAAAAAAAA",
    ] {
        assert!(evidence.contains(text), "{text}");
    }
    // Marks that turn the direction of text round end with what was quoted: what stands behind it reads from left to right.
    let isolated = "return [...document.querySelectorAll('h1, pre, .label, dd')].every(it => getComputedStyle(it).unicodeBidi.includes('isolate') || getComputedStyle(it).unicodeBidi === 'plaintext')";
    assert_eq!(browser.ask(isolated), json!(true));
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn a_script_that_came_in_all_the_same_would_not_run() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let scene = Scene::calm(&Setup::new(RULES));
    browser.open(&scene.trommel, "/");
    browser.ask(
        "const script = document.createElement('script');
         script.textContent = 'window.owned = 1';
         document.body.append(script);
         const image = document.createElement('img');
         image.src = 'http://127.0.0.1:9/image.png';
         document.body.append(image);
         document.body.setAttribute('style', 'display: none');",
    );
    assert_eq!(browser.ask("return window.owned ?? null"), json!(null));
    assert_eq!(
        browser.ask("return getComputedStyle(document.body).display"),
        json!("block")
    );
    let complaints = browser.complaints().join("\n");
    for directive in ["script-src", "img-src", "style-src"] {
        assert!(complaints.contains(directive), "{directive}: {complaints}");
    }
}

/// Pushes `entry` with a line that need not be text.
#[track_caller]
fn push_bytes(scene: &Scene, entry: Entry, line: &[u8]) {
    let seconds = u64::try_from(entry.at / 1_000_000_000).expect("after 1970");
    let at = field(1, &[&[1 << 3][..], &varint(seconds)].concat());
    let entry = field(2, &[at, field(2, line)].concat());
    let stream = field(
        1,
        &[field(1, br#"{namespace="shop",app="web"}"#), entry].concat(),
    );
    let answer = scene
        .trommel
        .push_client()
        .send(&Request::push_protobuf(pack(&stream)))
        .expect("an answer");
    assert_eq!(answer.status, 204, "{}", answer.text());
}
