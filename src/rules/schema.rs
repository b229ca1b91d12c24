//! The JSON Schema of rule files, for editors: yaml-language-server completes and explains keys from it.
//!
//! It is made from the table of keys, and says less than the reader checks: a text is not parsed there.

use serde_json::{Map, Value, json};

use super::code::Code;
use super::keys::{ACTION_CLASSES, KEYS, Key, NOT_DEFAULTS, PROFILE, Place, Shape};

/// The JSON Schema (draft 2020-12) of a rule file.
#[must_use]
pub fn schema() -> Value {
    let mut schema = object(Place::File, |_| true);
    let extra = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "rules/1.json",
        "title": "Trommel rule file",
    });
    merge(&mut schema, extra);
    let mut definitions = definitions();
    merge(&mut definitions, taxonomy_definitions());
    merge(&mut schema, json!({"$defs": definitions}));
    schema
}

fn definitions() -> Value {
    let mut rule = object(Place::Rule, |_| true);
    let kinds = ["match", "absent", "sequence", "correlate"];
    merge(
        &mut rule,
        json!({"required": ["id"], "anyOf": kinds.map(|key| json!({"required": [key]}))}),
    );
    let groups = object(Place::Match, |key| key.name != "re");
    let regex_item = object(Place::Item, |key| key.name == "re");
    let rule_item = object(Place::Item, |key| key.name == "rule");
    // Numbers and booleans are taken as the text that they are written as.
    let text = json!({"type": ["string", "number", "boolean"]});
    let item = json!({"anyOf": [reference("text"), regex_item]});
    let exclude = json!({"anyOf": [reference("text"), regex_item, rule_item]});
    let allowed: Vec<&str> = Code::ALL
        .iter()
        .filter(|code| code.may_be_allowed())
        .map(|code| code.as_str())
        .collect();
    json!({
        "text": text,
        "id": {"type": ["string", "number"], "pattern": "^[a-z0-9_]{1,64}$"},
        "url": {"type": "string", "pattern": "^https?://"},
        "duration": {
            "anyOf": [
                {"type": "string", "pattern": "^(([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?|0)$", "minLength": 1},
                {"const": 0},
            ],
            "examples": ["30s", "10m", "1h30m", "1d"],
        },
        "threshold": {
            "type": "string",
            "pattern": "^\\s*(>=|>|<=|<)?\\s*([0-9]+(\\s+distinct\\s+\\S+)?|[0-9]+(\\.[0-9]{1,6})?\\s*%)\\s+in\\s+([0-9]+(ms|[smhdwy]))+\\s*$|^\\s*(>=|>|<=|<)?\\s*[0-9]+(\\.[0-9]{1,6})?x\\s+in\\s+([0-9]+(ms|[smhdwy]))+\\s+vs\\s+([0-9]+(ms|[smhdwy]))+\\s*$",
            "examples": ["5 in 10m", "<= 4 in 1h", "3 distinct pod in 10m", "> 5% in 5m", "3x in 5m vs 1h"],
        },
        "regex": {"type": "string", "format": "regex", "minLength": 1, "maxLength": super::pattern::PATTERN_BYTES_MAX},
        "item": item,
        "items": one_or_many(&reference("item")),
        "excludes": one_or_many(&exclude),
        "fields": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": one_or_many(&reference("item")),
        },
        "match": {"anyOf": [reference("items"), groups]},
        "selector": {
            "anyOf": [
                {"type": "string"},
                {"type": "object", "additionalProperties": {"anyOf": [{"type": "null"}, one_or_many(&reference("text"))]}},
            ],
            "examples": ["namespace=image-factory, component=~\"api.*\""],
        },
        "escalate": one_or_many(&required(object(Place::Escalate, |_| true), &["to"])),
        "recover": {"anyOf": [{"const": "never"}, reference("duration"), object(Place::Recover, |_| true)]},
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
        "evidence_lines": {"type": "integer", "minimum": 0, "maximum": super::EvidenceRules::LINES_MAX},
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
        Shape::Number(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Shape::Token => reference("id"),
        Shape::Profile => one_or_many(&json!({"enum": PROFILE})),
        Shape::Def(name) => reference(name),
    };
    merge(&mut property, json!({"description": key.doc}));
    property
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
