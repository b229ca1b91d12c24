//! The JSON Schemas of rule files and of test files, for editors: yaml-language-server completes and explains keys from them.
//!
//! They are made from the table of keys, and say less than the reader checks: most texts are not parsed there, and nothing is
//! looked up in another place. What they refuse, the reader refuses too. The committed copies are `schema/rules/1.json` and
//! `schema/tests/1.json`.

use serde_json::{Map, Value, json};

use super::code::Code;
use super::keys::{ACTION_CLASSES, KEYS, Key, NOT_DEFAULTS, PROFILE, Place, Shape};

/// The JSON Schema (draft 2020-12) of a rule file.
#[must_use]
pub fn schema() -> Value {
    let mut schema = object(Place::File, |_| true);
    let extra = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:trommel:rules/1.json",
        "title": "Rules of trommel",
        // A file of comments alone holds no rules, which is a warning.
        "type": ["object", "null"],
        "description": "Rules, and what differs from the taxonomy that ships. Every key is optional.",
    });
    merge(&mut schema, extra);
    let mut definitions = definitions();
    merge(&mut definitions, taxonomy_definitions());
    merge(&mut schema, json!({"$defs": definitions}));
    // `absent` may be in `defaults`, and then a rule needs nothing of its own.
    let kinds = ["match", "absent", "sequence", "correlate", "extends"];
    let kind = json!({"anyOf": kinds.map(|key| json!({"required": [key]}))});
    let extra = json!({
        "if": {"required": ["defaults"], "properties": {"defaults": {"required": ["absent"]}}},
        "else": {"properties": {"rules": {"items": kind}}},
    });
    merge(&mut schema, extra);
    schema
}

/// The JSON Schema (draft 2020-12) of a file of tests.
#[must_use]
pub fn test_schema() -> Value {
    let mut schema = required(object(Place::TestFile, |_| true), &["rules", "tests"]);
    let test = required(object(Place::Test, |_| true), &["name", "logs", "expect"]);
    let message = json!({
        "type": "string",
        "pattern": format!("^{DURATION} +(observed|updated|recovered) +[a-z0-9_]{{1,64}}( |$)"),
    });
    let extra = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:trommel:tests/1.json",
        "title": "Tests of rules",
        "description": "What is logged, and which messages come of it. `trommel test` runs them.",
        "$defs": {
            "text": text(),
            "id": id(),
            "parts": one_or_many(&reference("id")),
            "duration": duration(),
            "labels": {
                "type": "object",
                "propertyNames": {"pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"},
                "additionalProperties": {"type": ["string", "number", "boolean"]},
                "examples": [{"namespace": "shop", "app": "api"}],
            },
            "logs": {
                "type": "string",
                "examples": ["0m +1m x5 failed to connect to LDAP\n12m GET /api/projects 200\n"],
            },
            "expect": {
                "anyOf": [message, {"type": "array", "items": message}],
                "examples": [[], ["4m observed ldap_unavailable severity=warning count=5", "14m recovered ldap_unavailable reason=quiet"]],
            },
            "environment": environment(),
            "time": {
                "type": "string",
                "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$",
                "examples": ["2026-03-29T00:30:00+01:00"],
            },
            "tests": {"type": "array", "items": test},
        },
    });
    merge(&mut schema, extra);
    schema
}

/// A text: numbers and booleans are taken as the text that they are written as.
fn text() -> Value {
    json!({"type": ["string", "number", "boolean"], "minLength": 1})
}

fn id() -> Value {
    json!({"type": ["string", "integer", "boolean"], "pattern": "^[a-z0-9_]{1,64}$", "minimum": 0})
}

fn environment() -> Value {
    json!({"type": ["string", "number", "boolean"], "pattern": "^[A-Za-z0-9._-]+$", "maxLength": 64})
}

/// An expression for a time such as `1h30m`.
const DURATION: &str =
    "(([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?|0)";

fn duration() -> Value {
    json!({
        "anyOf": [
            {"type": "string", "pattern": format!("^{DURATION}$"), "minLength": 1},
            {"const": 0},
        ],
        "examples": ["30s", "10m", "1h30m", "1d"],
    })
}

fn definitions() -> Value {
    let mut rule = object(Place::Rule, |_| true);
    // What extends a shipped rule without an id has that rule's.
    let named = ["id", "extends"].map(|key| json!({"required": [key]}));
    merge(&mut rule, json!({"anyOf": named}));
    let groups = not_empty(object(Place::Match, |key| key.name != "re"));
    let regex_item = required(object(Place::Item, |key| key.name == "re"), &["re"]);
    let rule_item = required(object(Place::Item, |key| key.name == "rule"), &["rule"]);
    let item = json!({"anyOf": [reference("text"), regex_item]});
    let exclude = json!({"anyOf": [reference("text"), regex_item, rule_item]});
    let mut escalate = required(object(Place::Escalate, |_| true), &["to"]);
    let reasons = ["after", "threshold", "match"].map(|key| json!({"required": [key]}));
    merge(&mut escalate, json!({"anyOf": reasons}));
    let allowed: Vec<&str> = Code::ALL
        .iter()
        .filter(|code| code.may_be_allowed())
        .map(|code| code.as_str())
        .collect();
    json!({
        "text": text(),
        "id": id(),
        "environments": one_or_many(&environment()),
        "url": {"type": "string", "pattern": "^https?://"},
        "duration": duration(),
        "threshold": {
            "type": "string",
            "pattern": "^\\s*(>=|>|<=|<)?\\s*([0-9]+(\\s+distinct\\s+\\S+)?|[0-9]+(\\.[0-9]{1,6})?\\s*%)\\s+in\\s+([0-9]+(ms|[smhdwy]))+\\s*$|^\\s*(>=|>|<=|<)?\\s*[0-9]+(\\.[0-9]{1,6})?x\\s+in\\s+([0-9]+(ms|[smhdwy]))+\\s+vs\\s+([0-9]+(ms|[smhdwy]))+\\s*$",
            "examples": ["5 in 10m", "<= 4 in 1h", "3 distinct pod in 10m", "> 5% in 5m", "3x in 5m vs 1h"],
        },
        "regex": {"type": ["string", "number", "boolean"], "minLength": 1, "maxLength": super::pattern::PATTERN_BYTES_MAX},
        "item": item,
        "items": one_or_many(&reference("item")),
        "excludes": one_or_many(&exclude),
        "fields": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": one_or_many(&reference("item")),
        },
        "match": {"anyOf": [reference("items"), groups]},
        "redact": one_or_many(&json!({"anyOf": [reference("regex"), regex_item]})),
        "selector": {
            "anyOf": [
                {"type": ["string", "number", "boolean"], "minLength": 1},
                {"type": "object", "additionalProperties": {"anyOf": [{"type": "null"}, one_or_many(&reference("text"))]}},
            ],
            "examples": ["namespace=image-factory, component=~\"api.*\""],
        },
        "escalate": one_or_many(&escalate),
        "recover": {
            "anyOf": [{"const": "never"}, reference("duration"), not_empty(object(Place::Recover, |_| true))],
            "examples": ["10m", "never", {"after": "10m", "match": "connected again"}],
        },
        "absent": {"anyOf": [reference("duration"), required(object(Place::Absent, |_| true), &["for"])]},
        "expect": one_or_many(&json!({"type": "object", "minProperties": 1, "additionalProperties": reference("text")})),
        "sequence": required(object(Place::Sequence, |_| true), &["within", "steps"]),
        "steps": {
            "type": "array",
            "minItems": 2,
            "maxItems": crate::hit::Parts::MAX,
            "items": required(object(Place::Step, |_| true), &["match"]),
        },
        "correlate": required(object(Place::Correlate, |_| true), &["within"]),
        "parts": one_or_many(&reference("id")),
        "new_value": required(object(Place::NewValue, |_| true), &["field"]),
        "new_pattern": object(Place::NewPattern, |_| true),
        "allow": one_or_many(&json!({"enum": allowed})),
        "evidence": object(Place::Evidence, |_| true),
        "evidence_lines": number(0, super::EvidenceRules::LINES_MAX as u64),
        "defaults": object(Place::Rule, |key| !NOT_DEFAULTS.contains(&key.name)),
        "rules": {"type": "array", "items": reference("rule")},
        "rule": rule,
    })
}

/// What a file says of incident types.
fn taxonomy_definitions() -> Value {
    let action = json!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "propertyNames": {"enum": ACTION_CLASSES},
        "additionalProperties": reference("text"),
    });
    json!({
        "domains": {"type": "array", "items": required(object(Place::Domain, |_| true), &["id"])},
        "incident_types": {"type": "array", "items": required(object(Place::IncidentType, |_| true), &["id"])},
        "policy": object(Place::Policy, |_| true),
        "overlays": {"type": "object", "additionalProperties": object(Place::Overlay, |_| true)},
        "actions": one_or_many(&json!({"anyOf": [{"enum": ACTION_CLASSES}, action]})),
    })
}

/// A map whose keys are those of `place`.
fn object(place: Place, wanted: impl Fn(&Key) -> bool) -> Value {
    let properties: Map<String, Value> = KEYS
        .iter()
        .filter(|key| key.place == place && wanted(key))
        .map(|key| (key.name.to_owned(), property(key)))
        .collect();
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

fn property(key: &Key) -> Value {
    let mut property = match key.shape {
        Shape::Text => reference("text"),
        Shape::Texts | Shape::Lines => one_or_many(&reference("text")),
        Shape::Flag => json!({"type": "boolean"}),
        Shape::Duration => reference("duration"),
        Shape::OneOf(words) => json!({"enum": words}),
        Shape::Number(least, most) => number(least, most),
        Shape::Token => reference("id"),
        Shape::Profile => one_or_many(&json!({"enum": PROFILE})),
        Shape::Def(name) => reference(name),
    };
    merge(&mut property, json!({"description": key.doc}));
    if let Some(default) = default_of(key) {
        merge(&mut property, json!({"default": default}));
    }
    property
}

/// The default that a key's description names, so that an editor fills it in.
fn default_of(key: &Key) -> Option<Value> {
    let (_, rest) = key.doc.split_once("Default: `")?;
    let (written, _) = rest.split_once('`')?;
    Some(match key.shape {
        Shape::Flag | Shape::Number(..) => serde_json::from_str(written).ok()?,
        _ => written.into(),
    })
}

/// A whole number, which may be quoted.
fn number(least: u64, most: u64) -> Value {
    json!({"type": ["integer", "string"], "minimum": least, "maximum": most, "pattern": "^[0-9]+$"})
}

/// A map with at least one key.
fn not_empty(mut object: Value) -> Value {
    merge(&mut object, json!({"minProperties": 1}));
    object
}

/// A map that must have some of its keys.
fn required(mut object: Value, keys: &[&str]) -> Value {
    merge(&mut object, json!({"required": keys}));
    object
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/$defs/{name}")})
}

fn one_or_many(item: &Value) -> Value {
    json!({"anyOf": [item, {"type": "array", "minItems": 1, "items": item}]})
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}
