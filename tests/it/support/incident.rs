//! The incident that most tests tell: a directory that cannot be reached, and then can.
//!
//! Times are minutes after a beginning that lies 25 minutes back: far enough for ten quiet minutes to have passed in the
//! log's own time, near enough for nothing to be late.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::loki::Entry;

/// One rule, with every condition that the tests lean on.
pub(crate) const RULES: &str = r#"
rules:
  - id: ldap_timeout_spike
    selector: namespace=image-factory
    match: [LDAP Result Code 200, failed to connect to LDAP]
    threshold: 5 in 10m
    by: [namespace, component]
    severity: warning
    recover: 10m
    incident_type: identity_provider_unreachable
    summary: "LDAP fails in {namespace}/{component}: {count} errors in {window}"
    catches: ['ERROR auth: LDAP Result Code 200 "Network Error": dial tcp 10.0.0.9:389: i/o timeout']
    passes: ['INFO auth: LDAP Result Code 0']
"#;

/// Every line of an application counts, for clients that stamp their lines themselves.
pub(crate) const RULES_FOR_CLIENTS: &str = r#"
rules:
  - id: application_error
    match: "payment gateway refused"
    threshold: 5 in 10m
    by: [app]
    incident_type: error_spike
    catches: ["payment gateway refused the card"]
    passes: ["payment accepted"]
"#;

/// A beginning, and entries at minutes after it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Incident {
    begin: i64,
}

impl Incident {
    /// One that began 25 minutes ago, at a whole second.
    pub(crate) fn new() -> Self {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("the clock is past 1970");
        let begin = now - Duration::from_secs(25 * 60);
        Self {
            begin: i64::try_from(begin.as_secs()).expect("before the year 292 billion")
                * 1_000_000_000,
        }
    }

    /// Nanoseconds since the epoch at `minute`.
    pub(crate) fn at(self, minute: i64) -> i64 {
        self.begin + minute * 60_000_000_000
    }

    /// `minute` as messages write it.
    pub(crate) fn rfc3339(self, minute: i64) -> String {
        trommel::time::Timestamp::new(self.at(minute)).to_string()
    }

    /// One failure of `component`.
    pub(crate) fn failure(self, component: &str, minute: i64) -> Entry {
        self.entry(
            component,
            minute,
            &format!(
                r#"ERROR auth: LDAP Result Code 200 "Network Error": dial tcp 10.0.0.9:389: i/o timeout attempt={minute}"#
            ),
        )
    }

    /// Five failures at minutes 0 to 4: as many as the rule asks for, so the finding opens at minute 4.
    pub(crate) fn failures(self, component: &str) -> Vec<Entry> {
        self.failures_from(component, 0)
    }

    /// Five failures, one a minute from `minute` on. What comes after [`Incident::quiet`] has to begin at 16 or later:
    /// the log's clock has passed the recovery of anything older.
    pub(crate) fn failures_from(self, component: &str, minute: i64) -> Vec<Entry> {
        (minute..minute + 5)
            .map(|minute| self.failure(component, minute))
            .collect()
    }

    /// The component goes on without failures, from minute 6 to minute 16. Its last failure was at minute 4, so it has
    /// recovered at minute 14; the stream never pauses for five minutes, so that there is no gap.
    pub(crate) fn quiet(self, component: &str) -> Vec<Entry> {
        (3..=8)
            .map(|pair| self.entry(component, pair * 2, "INFO http: GET /api/projects 200"))
            .collect()
    }

    /// All of it.
    pub(crate) fn whole(self, component: &str) -> Vec<Entry> {
        [self.failures(component), self.quiet(component)].concat()
    }

    fn entry(self, component: &str, minute: i64, line: &str) -> Entry {
        let labels = [
            ("namespace", "image-factory"),
            ("component", component),
            ("pod", "backend-7d9f-x2x"),
        ];
        Entry {
            labels: labels
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            at: self.at(minute),
            line: line.to_owned(),
        }
    }
}
