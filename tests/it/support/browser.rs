//! Chromium, driven as a person would through chromedriver, and looked at through the pages' own scripts.

use std::fs::File;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::http::{Client, Request};
use super::scratch::Scratch;
use super::trommel::Trommel;
use super::{program, wait};

// Keys as WebDriver names them: <https://www.w3.org/TR/webdriver2/#keyboard-actions>.
pub(crate) const TAB: &str = "\u{e004}";
pub(crate) const ENTER: &str = "\u{e007}";

/// What an element is called in answers: <https://www.w3.org/TR/webdriver2/#elements>.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// How long a command may take: a page that is looked through by axe takes a while where others compile.
const PATIENCE: Duration = Duration::from_secs(120);

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

/// A browser with one window at first, closed when dropped.
///
/// It speaks WebDriver itself, a dozen commands in JSON: the crates that do bring a copyleft, or features of others that would make the
/// binary under test another than the one that ships.
pub(crate) struct Browser {
    address: SocketAddr,
    session: String,
    chromedriver: Child,
    scratch: Scratch,
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
            .stdin(Stdio::null())
            .stdout(File::create(&log).expect("the folder is writable"))
            .stderr(Stdio::null())
            .spawn()
            .expect("it can be started");
        let mut browser = Self {
            address: ([127, 0, 0, 1], 0).into(),
            session: String::new(),
            chromedriver,
            scratch,
        };
        let port = wait::until("chromedriver to tell its port", || {
            let text = std::fs::read_to_string(&log).ok()?;
            let (_, rest) = text.split_once("started successfully on port ")?;
            rest.split_once('.')?.0.parse::<u16>().ok()
        });
        browser.address.set_port(port);
        let profile = browser.scratch.path("profile");
        let profile = format!("--user-data-dir={}", profile.display());
        let switches: Vec<_> = SWITCHES.into_iter().chain([&*profile]).collect();
        let wanted = json!({
            "browserName": "chrome",
            "goog:chromeOptions": {"binary": chromium, "args": switches},
            "goog:loggingPrefs": {"browser": "ALL"},
        });
        let opened = browser.must(
            "/session",
            &json!({"capabilities": {"alwaysMatch": wanted}}),
        );
        let session = opened["sessionId"].as_str().expect("a session");
        browser.session = format!("/session/{session}");
        Some(browser)
    }

    /// What the browser answers to a command.
    ///
    /// # Errors
    /// Its own words.
    fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let request = Request {
            method: method.to_owned(),
            body: body.to_string().into_bytes(),
            ..Request::get(&format!("{}{path}", self.session))
        };
        let request = request.with_header("Content-Type", "application/json");
        let answer = Client::with_timeout(self.address, PATIENCE).send(&request);
        let answer = answer.map_err(|error| error.to_string())?;
        let mut told: Value =
            serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
        match answer.status {
            200 => Ok(told["value"].take()),
            _ => Err(told["value"]["message"].to_string()),
        }
    }

    #[track_caller]
    fn must(&self, path: &str, body: &Value) -> Value {
        let answer = self.send("POST", path, body);
        answer.unwrap_or_else(|why| panic!("{path}: {why}"))
    }

    /// Path of what `selector` finds first.
    fn find(&self, selector: &str) -> Result<String, String> {
        let wanted = json!({"using": "css selector", "value": selector});
        let found = self.send("POST", "/element", &wanted)?;
        let id = found[ELEMENT].as_str().ok_or("no element")?;
        Ok(format!("/element/{id}"))
    }

    /// Goes to `path` of trommel's page.
    #[track_caller]
    pub(crate) fn open(&self, trommel: &Trommel, path: &str) {
        let address = format!("http://{}{path}", trommel.admin_address());
        self.must("/url", &json!({ "url": address }));
    }

    /// A further tab, shown in the place of the one before, which is spoken of from here on. Tells what it is called.
    #[track_caller]
    pub(crate) fn open_tab(&self) -> String {
        let tab = self.open_another("tab");
        self.show_tab(&tab);
        tab
    }

    /// A further window beside those that are open, which is spoken of from here on. Tells what its tab is called.
    #[track_caller]
    pub(crate) fn open_window(&self) -> String {
        let tab = self.open_another("window");
        self.turn_to(&tab);
        tab
    }

    #[track_caller]
    fn open_another(&self, what: &str) -> String {
        let tab = self.must("/window/new", &json!({ "type": what }));
        tab["handle"].as_str().expect("text").to_owned()
    }

    /// What the tab is called that is spoken of.
    #[track_caller]
    pub(crate) fn tab(&self) -> String {
        let tab = self.send("GET", "/window", &json!({}));
        let tab = tab.expect("a tab is open");
        tab.as_str().expect("text").to_owned()
    }

    /// Speaks of another tab.
    #[track_caller]
    pub(crate) fn turn_to(&self, tab: &str) {
        self.must("/window", &json!({ "handle": tab }));
    }

    /// Speaks of another tab, and shows it.
    #[track_caller]
    pub(crate) fn show_tab(&self, tab: &str) {
        self.turn_to(tab);
        self.tell("Page.bringToFront", &json!({}));
    }

    /// The page before.
    #[track_caller]
    pub(crate) fn back(&self) {
        self.must("/back", &json!({}));
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
        self.must(
            "/execute/sync",
            &json!({"script": script, "args": arguments}),
        )
    }

    /// What a script hands to its last argument, a function.
    #[track_caller]
    pub(crate) fn ask_later(&self, script: &str) -> Value {
        self.must("/execute/async", &json!({"script": script, "args": []}))
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
            let found = self.find(selector).ok()?;
            self.send("POST", &format!("{found}/click"), &json!({}))
                .ok()
        });
    }

    /// Writes into the field that `selector` finds, in the place of what was in it.
    #[track_caller]
    pub(crate) fn write(&self, selector: &str, text: &str) {
        let field = self.find(selector);
        let field = field.unwrap_or_else(|why| panic!("{selector}: {why}"));
        self.must(&format!("{field}/clear"), &json!({}));
        self.must(&format!("{field}/value"), &json!({ "text": text }));
    }

    /// Presses keys, wherever the focus is.
    #[track_caller]
    pub(crate) fn press(&self, keys: &str) {
        let strokes: Vec<_> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|what| json!({"type": what, "value": key})))
            .collect();
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": strokes});
        self.must("/actions", &json!({ "actions": [keyboard] }));
    }

    /// Tells Chromium's own tools something.
    #[track_caller]
    pub(crate) fn tell(&self, method: &str, parameters: &Value) -> Value {
        let command = json!({"cmd": method, "params": parameters});
        self.must("/goog/cdp/execute", &command)
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
        let log = self.must("/se/log", &json!({"type": "browser"}));
        let log = log.as_array().expect("the log is kept").iter();
        log.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned())
            .filter(|message| !message.contains("net::ERR_"))
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Where it fails, the signal below ends it.
        let _ = self.send("DELETE", "", &json!({}));
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
