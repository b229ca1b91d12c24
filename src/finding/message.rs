//! What is sent of a finding: one CloudEvent for each revision, with the subject and headers that it travels under.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fit::fit;
use super::model::{Finding, Origin, Reason, State};
use crate::rules::Severity;

/// Names the schema of `data`. A name, not an address: `trommel schema finding` prints what it stands for.
pub const DATA_SCHEMA: &str = "urn:trommel:finding/1.json";

/// `Content-Type` of every message: CloudEvents 1.0, JSON format, structured mode.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

/// One revision of one finding, ready to be sent; the same finding always gives the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `<finding_id>:<revision>`: unique, and the same in every attempt to send it.
    pub id: String,
    /// What it tells.
    pub kind: Kind,
    /// The finding.
    pub finding_id: String,
    /// What all findings of one key have in common.
    pub finding_key: String,
    /// Its severity now.
    pub severity: Severity,
    /// Id of the rule.
    pub rule: String,
    /// NATS subject: `<prefix>.<domain>.<incident_type>.<finding_key>`, valid whatever the parts hold.
    pub subject: String,
    /// `Content-Type` and the `Trommel-…` headers. What belongs to one attempt is added when it is sent.
    pub headers: Vec<(String, String)>,
    /// The CloudEvent, structured JSON in UTF-8, without line breaks, at most [`MessageSettings::body_bytes_max`] long.
    pub body: Vec<u8>,
}

/// What a message tells of its finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It is there: the first message of every finding.
    Observed,
    /// Something about it has changed. Of several that wait, the newest says it all.
    Updated,
    /// It is over.
    Recovered,
}

impl Kind {
    /// The last part of the CloudEvents `type`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observed => "observed",
            Self::Updated => "updated",
            Self::Recovered => "recovered",
        }
    }

    /// What the message of this revision tells.
    #[must_use]
    pub fn of(finding: &Finding) -> Self {
        match (finding.state, finding.reason) {
            (State::Recovered, _) => Self::Recovered,
            (State::Open, Reason::Opened) => Self::Observed,
            // Held messages use no revision, so the first one that is sent is the first that anybody hears,
            // though its reason may be that a suppression window has ended.
            (State::Open, _) if finding.revision == 1 => Self::Observed,
            (State::Open, _) => Self::Updated,
        }
    }
}

/// How messages are named and bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageSettings {
    /// What comes before `.observed` in the CloudEvents `type`.
    pub type_prefix: String,
    /// What comes before the domain in the subject.
    pub subject_prefix: String,
    /// Most bytes of a body; evidence goes first, then long texts are cut. At least [`MessageSettings::BODY_BYTES_LEAST`].
    pub body_bytes_max: usize,
}

impl MessageSettings {
    /// Below this a body has no room for what every message says.
    pub const BODY_BYTES_LEAST: usize = 8 * 1024;
}

impl Default for MessageSettings {
    fn default() -> Self {
        Self {
            type_prefix: "sre.detector.finding".to_owned(),
            subject_prefix: "ops.findings".to_owned(),
            // Half of what the stream takes, and a size that chat bridges and webhooks accept.
            body_bytes_max: 32 * 1024,
        }
    }
}

impl Message {
    /// The message for `finding` as it is now, from the instance `origin`.
    ///
    /// `finding_key` is [`finding_key`](super::finding_key()) of the finding's cluster, tenant and dedupe key. The subject
    /// follows from it, `domain` and `incident_type`; an open finding keeps those it was opened with.
    #[must_use]
    pub fn new(
        finding: &Finding,
        finding_key: &str,
        origin: &Origin,
        settings: &MessageSettings,
    ) -> Self {
        let kind = Kind::of(finding);
        let id = format!("{}:{}", finding.finding_id, finding.revision);
        let encode = |finding: &Finding| {
            let event = CloudEvent {
                specversion: "1.0",
                id: &id,
                source: &origin.source(),
                kind: &format!("{}.{}", settings.type_prefix, kind.as_str()),
                subject: &finding.dedupe_key,
                time: &finding.time.to_string(),
                datacontenttype: "application/json",
                dataschema: DATA_SCHEMA,
                severity: finding.severity,
                incidenttype: &finding.incident_type,
                partitionkey: finding_key,
                data: finding,
            };
            serde_json::to_vec(&event).expect("texts, numbers and maps of texts always encode")
        };
        let room = settings
            .body_bytes_max
            .max(MessageSettings::BODY_BYTES_LEAST);
        Self {
            body: fit(finding, finding_key, room, encode),
            kind,
            finding_id: finding.finding_id.clone(),
            finding_key: finding_key.to_owned(),
            severity: finding.severity,
            rule: finding.rule.id.clone(),
            subject: subject(finding, finding_key, settings),
            headers: headers(finding),
            id,
        }
    }
}

impl Origin {
    /// The `source` of all its messages: `/trommel/<cluster>/<instance>`.
    #[must_use]
    pub fn source(&self) -> String {
        let [cluster, instance] = [&self.cluster, &self.instance].map(|name| uri_segment(name));
        format!("/trommel/{cluster}/{instance}")
    }
}

fn subject(finding: &Finding, finding_key: &str, settings: &MessageSettings) -> String {
    settings
        .subject_prefix
        .split('.')
        .filter(|token| !token.is_empty())
        .chain([&*finding.domain, &finding.incident_type, finding_key])
        .map(subject_token)
        .collect::<Vec<_>>()
        .join(".")
}

/// A token that NATS takes: letters, digits, `_` and `-`; anything else (blanks, dots, wildcards) becomes `_`.
fn subject_token(text: &str) -> String {
    const CHARS_MAX: usize = 64;
    if text.is_empty() {
        return "_".to_owned();
    }
    text.chars()
        .take(CHARS_MAX)
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        })
        .collect()
}

fn headers(finding: &Finding) -> Vec<(String, String)> {
    [
        ("Content-Type", CONTENT_TYPE),
        ("Trommel-State", finding.state.as_str()),
        ("Trommel-Severity", finding.severity.as_str()),
        ("Trommel-Rule", &subject_token(&finding.rule.id)),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// A path segment of a URI reference (RFC 3986, section 3.3): all but the unreserved characters escaped.
pub(super) fn uri_segment(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

/// One revision of one finding, as a CloudEvent: version 1.0, JSON format, structured mode.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "FindingEvent")]
pub(super) struct CloudEvent<'a> {
    /// Version of CloudEvents.
    #[schemars(extend("const" = "1.0"))]
    specversion: &'a str,
    /// `<finding_id>:<revision>`; also the `Nats-Msg-Id`.
    #[schemars(extend("pattern" = "^[0-9a-f]{16}:[1-9][0-9]*$"))]
    id: &'a str,
    /// `/trommel/<cluster>/<instance>`
    #[schemars(extend("pattern" = "^/trommel/[^/]*/[^/]*$", "format" = "uri-reference"))]
    source: &'a str,
    /// `sre.detector.finding.observed`, `.updated` or `.recovered`; what comes before is configurable.
    #[serde(rename = "type")]
    #[schemars(extend("pattern" = "\\.(observed|updated|recovered)$"))]
    kind: &'a str,
    /// The dedupe key.
    #[schemars(extend("minLength" = 1))]
    subject: &'a str,
    /// Event time of what caused this revision.
    #[schemars(extend("format" = "date-time"))]
    time: &'a str,
    /// Of `data`.
    #[schemars(extend("const" = "application/json"))]
    datacontenttype: &'a str,
    /// The schema of `data`.
    #[schemars(extend("const" = DATA_SCHEMA))]
    dataschema: &'a str,
    /// Severity now.
    severity: Severity,
    /// Taxonomy incident type.
    #[schemars(extend("pattern" = "^[a-z0-9_]+$"))]
    incidenttype: &'a str,
    /// 16 hex digits that all findings of one dedupe key have in common; the last token of the subject.
    #[schemars(extend("pattern" = "^[0-9a-f]{16}$"))]
    partitionkey: &'a str,
    /// The finding.
    data: &'a Finding,
}

#[cfg(test)]
pub(crate) mod tests;
