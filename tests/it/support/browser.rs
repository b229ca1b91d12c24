//! Chromium, driven as a person would through chromedriver, and looked at through the pages' own scripts.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use thirtyfour::prelude::*;
use thirtyfour::{ChromiumLikeCapabilities, LoggingPrefsLogLevel};
use tokio::runtime::Runtime;

use super::scratch::Scratch;
use super::trommel::Trommel;
use super::{program, wait};

/// Nothing that asks anybody on the network, or the person at the screen.
const SWITCHES: [&str; 10] = [
    "--headless",
    // Chromium runs as root only without it; what it shows here is our own page.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
];

/// How long chromedriver may take to close a browser.
const GRACE: Duration = Duration::from_secs(10);

/// A browser with one window, closed when dropped.
pub(crate) struct Browser {
    runtime: Runtime,
    driver: Option<WebDriver>,
    chromedriver: Child,
    _scratch: Scratch,
}

impl Browser {
    /// Starts one; `None`, with a word about it, where there is no Chromium.
    #[track_caller]
    pub(crate) fn start() -> Option<Self> {
        let (chromedriver, chromium) = (program::find("chromedriver")?, program::find("chromium")?);
        let scratch = Scratch::new();
        let log = scratch.path("chromedriver.log");
        let chromedriver = Command::new(chromedriver)
            .arg("--port=0")
            // A profile that is left behind by a killed browser goes with the scratch folder.
            .env("TMPDIR", scratch.path(""))
            .stdin(Stdio::null())
            .stdout(File::create(&log).expect("the folder is writable"))
            .stderr(Stdio::null())
            .spawn()
            .expect("it can be started");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let mut browser = Self {
            runtime,
            driver: None,
            chromedriver,
            _scratch: scratch,
        };
        let port = wait::until("chromedriver to tell its port", || {
            let text = std::fs::read_to_string(&log).ok()?;
            let (_, rest) = text.split_once("started successfully on port ")?;
            rest.split_once('.')?.0.parse::<u16>().ok()
        });

        let mut wanted = DesiredCapabilities::chrome();
        let profile = browser._scratch.path("profile");
        let profile = format!("--user-data-dir={}", profile.display());
        for switch in SWITCHES.into_iter().chain([&*profile]) {
            wanted.add_arg(switch).expect("a switch");
        }
        wanted
            .set_binary(&chromium.display().to_string())
            .expect("a path");
        wanted
            .set_browser_log_level(LoggingPrefsLogLevel::All)
            .expect("a level");
        let opened = WebDriver::new(format!("http://127.0.0.1:{port}"), wanted);
        let driver = browser.runtime.block_on(opened);
        browser.driver = Some(driver.expect("Chromium starts"));
        Some(browser)
    }

    fn driver(&self) -> &WebDriver {
        self.driver.as_ref().expect("it is there until the end")
    }

    /// Goes to `path` of trommel's page.
    #[track_caller]
    pub(crate) fn open(&self, trommel: &Trommel, path: &str) {
        let address = format!("http://{}{path}", trommel.admin_address());
        self.runtime
            .block_on(self.driver().goto(address))
            .expect("it can be opened");
    }

    /// The page before.
    #[track_caller]
    pub(crate) fn back(&self) {
        self.runtime
            .block_on(self.driver().back())
            .expect("there is one");
    }

    /// Path and query of where it is.
    #[track_caller]
    pub(crate) fn place(&self) -> String {
        self.ask("return location.pathname + location.search")
            .as_str()
            .expect("text")
            .to_owned()
    }

    /// What a script returns, run in the page.
    #[track_caller]
    pub(crate) fn ask(&self, script: &str) -> Value {
        self.ask_with(script, Vec::new())
    }

    /// What a script returns that finds `arguments` in its `arguments`.
    #[track_caller]
    pub(crate) fn ask_with(&self, script: &str, arguments: Vec<Value>) -> Value {
        let answer = self
            .runtime
            .block_on(self.driver().execute(script, arguments));
        answer
            .unwrap_or_else(|error| panic!("{script}: {error}"))
            .json()
            .clone()
    }

    /// What a script hands to its last argument, a function.
    #[track_caller]
    pub(crate) fn ask_later(&self, script: &str) -> Value {
        let answer = self
            .runtime
            .block_on(self.driver().execute_async(script, Vec::new()));
        answer
            .unwrap_or_else(|error| panic!("{error}"))
            .json()
            .clone()
    }

    /// The text of what `selector` finds first, as it is shown; empty where there is none.
    #[track_caller]
    pub(crate) fn text(&self, selector: &str) -> String {
        let script = "return document.querySelector(arguments[0])?.innerText ?? ''";
        let text = self.ask_with(script, vec![json!(selector)]);
        text.as_str().expect("text").to_owned()
    }

    /// Waits until `selector` shows `text`.
    #[track_caller]
    pub(crate) fn see(&self, selector: &str, text: &str) {
        let seen = std::cell::RefCell::new(String::new());
        let deadline = Instant::now() + wait::PATIENCE;
        while Instant::now() < deadline {
            seen.replace(self.text(selector));
            if seen.borrow().contains(text) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!(
            "waited for `{text}` in {selector} of {}:\n{}",
            self.place(),
            seen.borrow()
        );
    }

    /// Waits until a script returns something true.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, script: &str) {
        wait::until(what, || (self.ask(script) == json!(true)).then_some(()));
    }

    /// Clicks on what `selector` finds first, as soon as it is there.
    #[track_caller]
    pub(crate) fn click(&self, selector: &str) {
        wait::until(&format!("`{selector}` to be there and click on"), || {
            self.runtime.block_on(async {
                let found = self.driver().find(By::Css(selector)).await.ok()?;
                found.click().await.ok()
            })
        });
    }

    /// Writes into the field that `selector` finds, in the place of what was in it.
    #[track_caller]
    pub(crate) fn write(&self, selector: &str, text: &str) {
        let written = self.runtime.block_on(async {
            let field = self.driver().find(By::Css(selector)).await?;
            field.clear().await?;
            field.send_keys(text).await
        });
        written.unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// Presses keys, wherever the focus is.
    #[track_caller]
    pub(crate) fn press(&self, keys: impl Into<thirtyfour::TypingData>) {
        let keys = self.driver().action_chain().send_keys(keys);
        self.runtime
            .block_on(keys.perform())
            .expect("keys can be pressed");
    }

    /// Tells Chromium's own tools something.
    #[track_caller]
    pub(crate) fn tell(&self, method: &str, parameters: &Value) -> Value {
        let told = self
            .runtime
            .block_on(self.driver().cdp().send_raw(method, parameters));
        told.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// A window of `width` to `height` CSS pixels.
    #[track_caller]
    pub(crate) fn resize(&self, width: u32, height: u32) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.tell("Emulation.setDeviceMetricsOverride", &size);
    }

    /// As for who lives in `zone` and writes times as in `locale`.
    #[track_caller]
    pub(crate) fn live_in(&self, zone: &str, locale: &str) {
        self.tell(
            "Emulation.setTimezoneOverride",
            &json!({ "timezoneId": zone }),
        );
        self.tell("Emulation.setLocaleOverride", &json!({ "locale": locale }));
    }

    /// As for who likes it `dark` or `light`.
    #[track_caller]
    pub(crate) fn prefer(&self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.tell("Emulation.setEmulatedMedia", &features);
    }

    /// Asserts that nothing is wider than the window but what scrolls by itself.
    #[track_caller]
    pub(crate) fn fits(&self) {
        let script = "
            const room = document.documentElement.clientWidth;
            if (document.documentElement.scrollWidth <= room) return [];
            return [...document.querySelectorAll('body *')]
                .filter(it => it.getBoundingClientRect().right > room && !it.closest('.scroll *, .visually-hidden'))
                .map(it => `${it.tagName}.${it.className} ${it.getBoundingClientRect().right} > ${room}`)
                .concat(['scrolls sideways']);";
        assert_eq!(self.ask(script), json!([]), "{}", self.place());
    }

    /// What Chromium has complained of since it was last asked, save servers that do not answer: violations of the policy, errors in scripts.
    #[track_caller]
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self
            .runtime
            .block_on(self.driver().browser_log())
            .expect("the log is kept");
        log.into_iter()
            .filter(|entry| !entry.message.contains("net::ERR_"))
            .map(|entry| format!("{} {}", entry.level, entry.message))
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(driver) = self.driver.take() {
            // Where it fails, the signal below ends it.
            let _ = self.runtime.block_on(driver.quit());
        }
        // It takes a browser that it still has along; a kill would leave that behind.
        program::signal(&self.chromedriver, "TERM");
        let deadline = Instant::now() + GRACE;
        while matches!(self.chromedriver.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.chromedriver.kill();
                let _ = self.chromedriver.wait();
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
