//! Pictures of the pages, of which `docs/images` has some.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use crate::support::browser::Browser;
use crate::support::page::root;
use crate::support::scene::{Scene, setup};
use crate::support::wait;

/// Of a desk's screen and a telephone's: name, width, and the most height that is shown.
const SCREENS: [(&str, u32, u64); 2] = [("desktop", 1200, 1100), ("phone", 390, 1300)];

#[test]
#[ignore = "writes pictures; scripts/screenshots runs it"]
fn pictures_of_the_pages() {
    let browser = Browser::start().expect("scripts/install-test-tools installs Chromium");
    let folder = std::env::var_os("TROMMEL_SCREENSHOTS")
        .map_or_else(|| root().join("target/screenshots"), PathBuf::from);
    fs::create_dir_all(&folder).expect("the folder can be made");
    let scene = Scene::troubled(&setup());
    browser.live_in("Europe/Berlin", "en-GB");
    browser.tell("Emulation.setScrollbarsHidden", &json!({"hidden": true}));
    let finding = scene.finding("payments_refused");
    browser.open(&scene.trommel, "/");
    // What was measured is known when its minute is over.
    let measured = "return !document.querySelector('.plots').innerText.includes('unknown')";
    wait::within(Duration::from_secs(120), "what was measured", || {
        (browser.ask(measured) == json!(true)).then_some(())
    });
    let pages = [
        ("overview", "/"),
        ("findings", "/findings"),
        ("finding", &*finding),
        ("rules", "/rules"),
    ];
    for (page, path) in pages {
        for (screen, width, height_max) in SCREENS {
            for scheme in ["light", "dark"] {
                browser.resize(width, 800);
                browser.prefer(scheme);
                browser.open(&scene.trommel, path);
                browser.until("the page", "return document.readyState === 'complete'");
                let height = browser.ask("return document.documentElement.scrollHeight");
                let height = height.as_u64().expect("a number").min(height_max);
                let picture = browser.tell(
                    "Page.captureScreenshot",
                    &json!({
                        "format": "webp",
                        "quality": 80,
                        "captureBeyondViewport": true,
                        "clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1},
                    }),
                );
                let picture = picture["data"].as_str().expect("base64");
                let picture = BASE64_STANDARD.decode(picture).expect("base64");
                let name = format!("{page}-{screen}-{scheme}.webp");
                fs::write(folder.join(name), picture).expect("the folder is writable");
            }
        }
    }
}
