//! What is sent of an entry: one CloudEvent.
//!
//! It goes below the prefix of findings, so that whoever may publish and read these may do so here, into the same stream; but its subject has two parts
//! behind the prefix where those of findings have three: `ops.findings.*.*.*` is findings, `ops.findings.audit.*` is this.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Entry, shorten};
use crate::finding::{CONTENT_TYPE, MessageSettings, Origin};

/// Names the schema of `data`: `trommel schema audit` prints what it stands for.
pub const DATA_SCHEMA: &str = "urn:trommel:audit/1.json";
/// The part of a subject behind the prefix.
pub const AUDIT_TOKEN: &str = "audit";
/// What the `type` begins with, before [`What`](super::What).
const TYPE_PREFIX: &str = "sre.detector";

/// An entry, ready to be sent; the same entry always gives the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `<entry's id>:1`, as findings have `<id>:<revision>`.
    pub id: String,
    /// NATS subject: `<prefix>.audit.<entry's id>`, so each entry is the only message on its own.
    pub subject: String,
    /// `Content-Type`, and what happened.
    pub headers: Vec<(String, String)>,
    /// The CloudEvent, structured JSON in UTF-8, without line breaks, at most [`MessageSettings::body_bytes_max`] long.
    pub body: String,
}

impl Event {
    /// The message about `entry`, from the instance `origin`.
    #[must_use]
    pub fn new(entry: &Entry, origin: &Origin, settings: &MessageSettings) -> Self {
        let id = format!("{}:1", entry.id);
        let source = origin.source();
        let kind = format!("{TYPE_PREFIX}.{}", entry.what);
        let time = entry.time.to_string();
        let encode = |entry: &Entry| {
            let event = CloudEvent {
                specversion: "1.0",
                id: &id,
                source: &source,
                kind: &kind,
                subject: entry.subject(),
                time: &time,
                datacontenttype: "application/json",
                dataschema: DATA_SCHEMA,
                data: Data {
                    schema_version: 1,
                    entry,
                },
            };
            serde_json::to_string(&event).expect("texts and numbers always encode")
        };
        let room = settings
            .body_bytes_max
            .max(MessageSettings::BODY_BYTES_LEAST);
        let mut fits = entry.clone();
        let mut body = encode(&fits);
        // What has to be escaped takes up to six times its room.
        while body.len() > room && !(fits.diff.is_empty() && fits.reason.is_empty()) {
            let longest = match fits.diff.len() > fits.reason.len() {
                true => &mut fits.diff,
                false => &mut fits.reason,
            };
            let half = longest.len() / 2;
            shorten(longest, half);
            body = encode(&fits);
        }
        let prefix = settings.subject_prefix.trim_matches('.');
        let headers = [
            ("Content-Type", CONTENT_TYPE),
            ("Trommel-What", entry.what.as_str()),
        ];
        Self {
            subject: format!("{prefix}.{AUDIT_TOKEN}.{}", entry.id),
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            body,
            id,
        }
    }
}

impl Entry {
    /// What it is about: never empty, as CloudEvents want it.
    fn subject(&self) -> &str {
        match &*self.target {
            "" => "trommel",
            target => target,
        }
    }
}

/// One entry, as a CloudEvent: version 1.0, JSON format, structured mode.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditEvent")]
pub(super) struct CloudEvent<'a> {
    /// Version of CloudEvents.
    #[schemars(extend("const" = "1.0"))]
    specversion: &'a str,
    /// `<entry's id>:1`; also the `Nats-Msg-Id`.
    #[schemars(extend("pattern" = "^[0-9a-f]{16}:1$"))]
    id: &'a str,
    /// `/trommel/<cluster>/<instance>`
    #[schemars(extend("pattern" = "^/trommel/[^/]*/[^/]*$", "format" = "uri-reference"))]
    source: &'a str,
    /// `sre.detector.rule.changed`, `sre.detector.silence.created` and so on.
    #[serde(rename = "type")]
    #[schemars(extend("pattern" = "^sre\\.detector\\.(rule\\.|silence\\.|reloaded$)"))]
    kind: &'a str,
    /// The target, or `trommel` where there is only one such thing.
    #[schemars(extend("minLength" = 1))]
    subject: &'a str,
    /// When it was done.
    #[schemars(extend("format" = "date-time"))]
    time: &'a str,
    /// Of `data`.
    #[schemars(extend("const" = "application/json"))]
    datacontenttype: &'a str,
    /// The schema of `data`.
    #[schemars(extend("const" = DATA_SCHEMA))]
    dataschema: &'a str,
    /// What was done.
    data: Data<'a>,
}

/// An entry with the version of its form.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Audit")]
struct Data<'a> {
    /// Version of this form; a later one of the same number may have more properties.
    #[schemars(extend("const" = 1))]
    schema_version: u32,
    #[serde(flatten)]
    entry: &'a Entry,
}

#[cfg(test)]
pub(super) mod tests {
    use expect_test::expect;

    use super::super::schema::assert_valid;
    use super::super::{Deed, What};
    use super::*;
    use crate::time::Timestamp;

    pub(in crate::audit) fn entry(change: impl FnOnce(&mut Deed)) -> Entry {
        let mut deed = Deed {
            who: "ann".to_owned(),
            what: What::RuleChanged,
            target: "ldap_timeout_spike".to_owned(),
            reason: "too noisy".to_owned(),
            diff: "-threshold: 5 in 10m\n+threshold: 9 in 10m\n".to_owned(),
        };
        change(&mut deed);
        let time = Timestamp::new(1_790_000_000_000_000_000);
        Entry::new("5f1d6c0e2b7a4f90".to_owned(), time, deed, str::to_owned)
    }

    fn event(entry: &Entry) -> Event {
        let origin = Origin {
            cluster: "oke demo".to_owned(),
            environment: "staging".to_owned(),
            instance: "default".to_owned(),
            grafana: None,
        };
        Event::new(entry, &origin, &MessageSettings::default())
    }

    #[test]
    fn an_entry_is_a_cloud_event_beside_those_of_findings() {
        let event = event(&entry(|_| {}));
        assert_valid(event.body.as_bytes());
        let body: serde_json::Value = serde_json::from_str(&event.body).expect("JSON");
        expect![[r#"
            5f1d6c0e2b7a4f90:1 ops.findings.audit.5f1d6c0e2b7a4f90
            [("Content-Type", "application/cloudevents+json"), ("Trommel-What", "rule.changed")]
            {
              "data": {
                "diff": "-threshold: 5 in 10m\n+threshold: 9 in 10m\n",
                "id": "5f1d6c0e2b7a4f90",
                "reason": "too noisy",
                "schema_version": 1,
                "target": "ldap_timeout_spike",
                "time": "2026-09-21T14:13:20Z",
                "what": "rule.changed",
                "who": "ann"
              },
              "datacontenttype": "application/json",
              "dataschema": "urn:trommel:audit/1.json",
              "id": "5f1d6c0e2b7a4f90:1",
              "source": "/trommel/oke%20demo/default",
              "specversion": "1.0",
              "subject": "ldap_timeout_spike",
              "time": "2026-09-21T14:13:20Z",
              "type": "sre.detector.rule.changed"
            }"#]]
        .assert_eq(&format!(
            "{} {}\n{:?}\n{body:#}",
            event.id, event.subject, event.headers
        ));
    }

    #[test]
    fn whatever_was_done_is_as_the_schema_says_and_fits() {
        for what in What::ALL {
            let event = event(&entry(|deed| {
                deed.what = what;
                deed.target.clear();
                deed.diff = "\u{1}".repeat(1 << 20);
                deed.reason = "\u{1}".repeat(1 << 20);
            }));
            assert_valid(event.body.as_bytes());
            assert!(event.body.len() <= 32 * 1024, "{}", event.body.len());
        }
    }
}
