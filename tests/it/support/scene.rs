//! What there is to see: a shop in trouble.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::event::Event;
use super::loki::Entry;
use super::trommel::{Setup, Trommel};

/// One rule of each severity, with everything that a page shows of a rule.
pub(crate) const RULES: &str = r#"
rules:
  - id: payments_refused
    name: The payment gateway refuses cards
    description: Orders cannot be paid for.
    match: payment gateway refused
    threshold: 3 in 10m
    by: [namespace, app]
    severity: critical
    recover: 10m
    cooldown: 1m
    incident_type: error_spike
    runbook: https://runbooks.example/payments
    hints: [status of the gateway, certificates]
    summary: "Cards are refused in {namespace}: {count} in {window}"
    catches: ["payment gateway refused the card"]
    passes: ["payment accepted"]
  - id: ldap_timeout_spike
    match: LDAP Result Code 200
    threshold: 3 in 10m
    by: [namespace, app]
    severity: warning
    recover: 10m
    incident_type: identity_provider_unreachable
    summary: "LDAP fails in {namespace}/{app}: {count} errors in {window}"
    catches: ['ERROR auth: LDAP Result Code 200 "Network Error": dial tcp 10.0.0.9:389: i/o timeout']
    passes: ['INFO auth: LDAP Result Code 0']
  - id: configuration_reloaded
    match: configuration reloaded
    by: [app]
    severity: info
    recover: 5m
    incident_type: error_spike
    summary: "{app} has read its configuration anew"
    catches: ["configuration reloaded"]
    passes: ["configuration unchanged"]
"#;

pub(crate) const REFUSED: &str =
    "level=error msg=\"payment gateway refused the card\" order=4711 gateway=10.0.0.7";
pub(crate) const LDAP: &str =
    r#"ERROR auth: LDAP Result Code 200 "Network Error": dial tcp 10.0.0.9:389: i/o timeout"#;
const FINE: &str = "level=info msg=\"request done\" method=GET path=/ status=200";

/// A trommel and the beginning of the log that it is pushed.
pub(crate) struct Scene {
    pub(crate) trommel: Trommel,
    begin: i64,
}

impl Scene {
    /// Nothing has happened yet; the log begins 40 minutes back, at a whole second.
    #[track_caller]
    pub(crate) fn calm(setup: &Setup) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.expect("the clock is past 1970") - Duration::from_secs(40 * 60);
        Self {
            trommel: setup.start(),
            begin: i64::try_from(now.as_secs()).expect("not that late") * 1_000_000_000,
        }
    }

    /// One finding of each severity is open, and one is over.
    #[track_caller]
    pub(crate) fn troubled(setup: &Setup) -> Self {
        let scene = Self::calm(setup);
        scene.say("mail", LDAP, 0..3);
        scene.say("mail", FINE, 3..20);
        scene.wait_for("recovered", "ldap_timeout_spike");
        scene.say("checkout", REFUSED, 20..23);
        scene.say("accounts", LDAP, 21..24);
        scene.say("basket", "configuration reloaded", 24..25);
        for rule in ["payments_refused", "configuration_reloaded"] {
            scene.wait_for("observed", rule);
        }
        scene.trommel.wait_for("the second of LDAP", |event| {
            event.state() == "observed" && event.data_text("dedupe_key").contains("accounts")
        });
        scene
    }

    /// `app` logs `line` once in each of these minutes.
    #[track_caller]
    pub(crate) fn say(&self, app: &str, line: &str, minutes: std::ops::Range<i64>) {
        let entries: Vec<_> = minutes
            .map(|minute| self.entry(app, line, minute))
            .collect();
        self.trommel.push_json(&entries);
    }

    /// `app` goes on without trouble in each of these minutes.
    #[track_caller]
    pub(crate) fn go_on(&self, app: &str, minutes: std::ops::Range<i64>) {
        self.say(app, FINE, minutes);
    }

    pub(crate) fn entry(&self, app: &str, line: &str, minute: i64) -> Entry {
        let labels = [("namespace", "shop"), ("app", app)];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Entry {
            labels: BTreeMap::from(labels),
            at: self.begin + minute * 60_000_000_000,
            line: format!("{line} n={minute}"),
        }
    }

    /// The first message of `rule` that its finding was `observed`, `recovered`, …
    #[track_caller]
    pub(crate) fn wait_for(&self, state: &str, rule: &str) -> Event {
        self.trommel.wait_for(&format!("{rule} {state}"), |event| {
            event.state() == state && event.data("rule")["id"] == rule
        })
    }

    /// Where the page of `rule`'s first finding is.
    #[track_caller]
    pub(crate) fn finding(&self, rule: &str) -> String {
        let observed = self.wait_for("observed", rule);
        format!("/findings/{}", observed.data_text("finding_id"))
    }
}

/// With [`RULES`] and no others.
pub(crate) fn setup() -> Setup {
    Setup::new(RULES)
}
