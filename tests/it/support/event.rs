//! Messages as a consumer sees them.

use std::path::Path;
use std::sync::LazyLock;

use serde_json::Value;

/// One message: a CloudEvent in structured JSON.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event(pub(crate) Value);

static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| validator("finding"));
static AUDIT_SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| validator("audit"));

fn validator(of: &str) -> jsonschema::Validator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("schema/{of}/1.json"));
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let schema = serde_json::from_str(&text).expect("the committed schema is JSON");
    jsonschema::validator_for(&schema).expect("the committed schema is a JSON Schema")
}

/// Reads a message about what somebody did, and holds it against its committed schema; `None` for one about a finding.
#[track_caller]
pub(crate) fn read_audit(text: &str) -> Option<Value> {
    let event: Value = serde_json::from_str(text).ok()?;
    if event["dataschema"] != "urn:trommel:audit/1.json" {
        return None;
    }
    let wrong: Vec<_> = AUDIT_SCHEMA
        .iter_errors(&event)
        .map(|error| error.to_string())
        .collect();
    assert!(
        wrong.is_empty(),
        "not as the schema says: {wrong:#?}\n{text}"
    );
    Some(event)
}

impl Event {
    /// Reads a message and holds it against CloudEvents 1.0 and its committed schema.
    #[track_caller]
    pub(crate) fn read(text: &str) -> Self {
        let value = serde_json::from_str(text)
            .unwrap_or_else(|error| panic!("not a JSON message: {error}: {text}"));
        let event = Self(value);
        assert_eq!(event.text("specversion"), "1.0", "{text}");
        for attribute in [
            "id",
            "source",
            "type",
            "subject",
            "time",
            "dataschema",
            "severity",
            "incidenttype",
            "partitionkey",
        ] {
            assert!(!event.text(attribute).is_empty(), "{attribute} of {text}");
        }
        assert!(text.len() <= 32 * 1024, "{} bytes in {text}", text.len());
        let wrong: Vec<_> = SCHEMA
            .iter_errors(&event.0)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(
            wrong.is_empty(),
            "not as the schema says: {wrong:#?}\n{text}"
        );
        assert_eq!(
            event.text("id"),
            format!(
                "{}:{}",
                event.data_text("finding_id"),
                event.data("revision")
            ),
            "id of {text}"
        );
        event
    }

    /// `observed`, `updated` or `recovered`.
    pub(crate) fn state(&self) -> &str {
        self.text("type")
            .strip_prefix("sre.detector.finding.")
            .unwrap_or_default()
    }

    /// A CloudEvents attribute; empty when there is none.
    pub(crate) fn text(&self, attribute: &str) -> &str {
        self.0[attribute].as_str().unwrap_or_default()
    }

    /// A field of the finding.
    pub(crate) fn data(&self, field: &str) -> &Value {
        &self.0["data"][field]
    }

    /// A field of the finding that is a text.
    pub(crate) fn data_text(&self, field: &str) -> &str {
        self.data(field).as_str().unwrap_or_default()
    }

    /// What a person would say of it: `observed ldap_timeout_spike{component=a,namespace=b}`.
    pub(crate) fn brief(&self) -> String {
        format!("{} {}", self.state(), self.data_text("dedupe_key"))
    }
}

/// [`Event::brief`] of each.
pub(crate) fn briefs(events: &[Event]) -> Vec<String> {
    events.iter().map(Event::brief).collect()
}

/// The brief of `component`'s finding under [`super::incident::RULES`].
pub(crate) fn ldap(state: &str, component: &str) -> String {
    format!("{state} ldap_timeout_spike{{component={component},namespace=image-factory}}")
}
