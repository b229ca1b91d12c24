//! Schemas and readers together: what one refuses, the other refuses too, save for what a schema cannot say.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::*;
use crate::rules::keys::{KEYS, Place};
use crate::rules::test_file::TestFile;

/// Every key of rule files, with values that are valid.
const RULES: &str = r#"
defaults: {owner: platform, severity: critical, cooldown: 1h}
domains: [{id: own, display_name: Own, description: Ours}]
incident_types:
  - id: own_type
    domain: own
    display_name: A type
    description: What it is
    default_severity: info
    always_critical: false
    policy:
      automatic: [observe, {contain: suspend the job}]
      approval: [{recover: restart}]
      human_only: [disruptive]
      environments: {staging: {automatic: [notify], approval: [{contain: scale down}], human_only: [{disruptive: wipe}]}}
rules:
  - id: full
    name: A name
    description: What it means
    version: 1.10
    tags: [one, two]
    enabled: true
    environments: [staging, production]
    selector: {namespace: a, pod: [b, c]}
    unless: app=b
    parse: json
    match: {any: [LDAP failed, {re: 'user (?P<user>\S+) refused'}], all: 403 of many, none: [retry, {re: "x+y"}, {rule: other}], fields: {status: ">= 500", level: [error, fatal]}}
    ignore_case: true
    threshold: "> 4 in 10m"
    by: [namespace, user]
    for: 2m
    severity: info
    escalate: [{to: critical, after: 10m}, {to: warning, threshold: 50 in 10m}, {to: critical, match: panic of all}]
    confidence: high
    recover: {after: 20m, match: connected again}
    cooldown: 30m
    suppress: [Sun 10:00-12:00 Europe/Moscow]
    incident_type: identity_provider_unreachable
    domain: identity_security
    summary: "{count} for {user} in {window}"
    runbook: https://runbooks.example/ldap
    route: nights
    actions: [observe, notify]
    hints: [other]
    keys_max: 100
    late_by: 10s
    evidence: {lines: 2, redact: ['card \d+']}
    allow: [L001]
  - {id: other, match: [no such host, nothing], incident_type: workload_failure, recover: never, catches: nothing, passes: [fine]}
  - {id: share, match: failed, total: [asked, answered], min_count: 50, threshold: 5% in 5m, incident_type: own_type}
  - {id: gone, match: beat, absent: {for: 15m, expect: [{cluster: a}], forget: 24h}, by: [cluster], incident_type: own_type}
  - {id: gone_too, selector: app=x, absent: 15m, incident_type: own_type}
  - {id: order, sequence: {within: 5m, steps: [{match: begun, count: 2}, {match: done, absent: true}]}, incident_type: own_type}
  - {id: both, correlate: {within: 5m, all: [other], any: [share, order], none: gone_too, at_least: 1, hides: true}, incident_type: own_type}
  - {id: value, match: pulled, new_value: {field: image, learn: 24h}, incident_type: own_type}
  - {id: pattern, selector: app=x, match: failed, new_pattern: {learn: 24h, threshold: 5 in 1m}, incident_type: own_type}
  - {id: ldap_unavailable, extends: ldap_unavailable, cooldown: 1h}
"#;

const TESTS: &str = r#"
rules: [a.yaml]
tests:
  - name: it opens
    labels: {namespace: shop, app: api}
    logs: "0m +1m x5 failed"
    until: 20m
    expect: [4m observed a severity=warning count=5, 14m recovered a]
    start: 2026-03-29T00:30:00+01:00
    only: [a, b]
    environment: staging
  - {name: nothing, logs: 0m fine, expect: []}
"#;

/// What a value can be replaced with, of every type, and values that are slips of real ones.
fn replacements(value: &Value) -> Vec<Value> {
    let mut all = vec![
        Value::Null,
        json!(true),
        json!(5),
        json!(-1),
        json!(1.5),
        json!(99_999_999),
        json!(""),
        json!("nonsense"),
        json!("Not A Word!"),
        json!("10"),
        json!("1d1h"),
        json!([]),
        json!({}),
        json!([[1]]),
        json!({"nonsense": {"a": []}}),
        json!([value]),
        json!([value, {"nonsense": [1]}]),
    ];
    if let Value::String(text) = value {
        all.push(json!(text.to_uppercase()));
        all.push(json!(format!("{text}?!")));
        all.push(json!({"re": text}));
    }
    all
}

/// Every file that differs from `whole` in one place, and what is different.
pub(crate) fn mutations(whole: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    places(whole, &mut Vec::new(), &mut |path, value| {
        let shown = path.join("/");
        let pointer = |path: &[String]| {
            let escaped = path
                .iter()
                .map(|key| format!("/{}", key.replace('~', "~0").replace('/', "~1")));
            escaped.collect::<String>()
        };
        for other in replacements(value) {
            let mut file = whole.clone();
            *file.pointer_mut(&pointer(path)).expect("it is there") = other.clone();
            found.push((format!("{shown} = {other}"), file));
        }
        let Value::Object(map) = value else { return };
        let mut with = |change: &dyn Fn(&mut Map<String, Value>), what: String| {
            let mut file = whole.clone();
            let at = file.pointer_mut(&pointer(path)).expect("it is there");
            change(at.as_object_mut().expect("a map"));
            found.push((what, file));
        };
        with(
            &|map| drop(map.insert("not_a_key".to_owned(), json!("x"))),
            format!("{shown} + not_a_key"),
        );
        for key in map.keys() {
            with(&|map| drop(map.remove(key)), format!("{shown} - {key}"));
        }
    });
    found
}

fn places(value: &Value, path: &mut Vec<String>, each: &mut impl FnMut(&[String], &Value)) {
    each(path, value);
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), value))
            .collect(),
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.map(|(at, value)| (at.to_string(), value)).collect()
        }
        _ => return,
    };
    for (key, child) in children {
        path.push(key);
        places(child, path, each);
        path.pop();
    }
}

/// What the reader alone refuses: code, a piece of the message (of every message, if empty), and why a schema cannot say it.
type Beyond = (Code, &'static str, &'static str);

/// Compares a schema with its reader on `whole` and everything that differs from it in one place.
#[track_caller]
fn check(schema: &Value, whole: &str, beyond: &[Beyond], read: impl Fn(&str) -> Vec<Problem>) {
    let validator = jsonschema::validator_for(schema).expect("a JSON Schema");
    let whole: Value = serde_saphyr::from_str(whole).expect("YAML");
    let errors = |file: &Value| -> Vec<Problem> {
        let problems = read(&file.to_string()).into_iter();
        problems
            .filter(|problem| problem.level == Level::Error)
            .collect()
    };
    assert!(errors(&whole).is_empty(), "{:?}", errors(&whole));
    let refusals = validator.iter_errors(&whole);
    let refusals: Vec<_> = refusals.map(|error| error.to_string()).collect();
    assert!(refusals.is_empty(), "{refusals:?}");
    let (mut apart, mut used, mut refused) = (BTreeSet::new(), BTreeSet::new(), 0);
    for (what, file) in mutations(&whole) {
        let (valid, errors) = (validator.is_valid(&file), errors(&file));
        refused += usize::from(!valid);
        if !valid && errors.is_empty() {
            apart.insert(format!("the schema alone refuses {what}"));
        }
        if valid {
            let said = |error: &Problem| {
                beyond.iter().position(|(code, piece, _)| {
                    *code == error.code && error.message.contains(piece)
                })
            };
            for error in &errors {
                match said(error) {
                    Some(place) => drop(used.insert(place)),
                    None => drop(apart.insert(format!(
                        "the reader alone refuses {what}: {} {}",
                        error.code, error.message
                    ))),
                }
            }
        }
    }
    let apart: Vec<_> = apart.into_iter().collect();
    assert!(apart.is_empty(), "{}\n{}", apart.len(), apart.join("\n"));
    let idle = (0..beyond.len()).filter(|place| !used.contains(place));
    let idle: Vec<_> = idle.map(|place| beyond[place]).collect();
    assert!(idle.is_empty(), "never met: {idle:?}");
    assert!(refused > 100, "the schema refuses only {refused}");
}

#[test]
fn rule_files_are_refused_by_schema_and_reader_alike() {
    check(&schema(), RULES, BEYOND_RULES, |text| {
        load_any(&[source("rules.yaml", text)]).problems
    });
}

#[rustfmt::skip]
const BEYOND_RULES: &[Beyond] = &[
    (Code::UnknownType, "", "incident types and domains may be in other files"),
    (Code::UnknownRule, "", "rules may be in other files"),
    (Code::Selector, "", "a selector is a language of its own"),
    (Code::Placeholder, "", "what may stand in a summary depends on the rest of the rule"),
    (Code::Conflict, "", "a key may be in `defaults`, and which go together depends on the kind of rule"),
    (Code::Threshold, "`for` needs a `threshold`", "the threshold may be in `defaults`"),
    (Code::Constraint, "", "it is about what another file says of the type"),
    (Code::Missing, "the rule has no `incident_type`", "it may be in `defaults`, or in the rule that is extended"),
    (Code::Missing, "the incident type `own_type` has no `domain`", "one that ships needs none"),
    (Code::Missing, "the file has no `rules`", "a file may have types alone"),
    (Code::Missing, "` of `selector` has no value", "a key without a value is a selector's matcher: `{app=\"x\"}`"),
    (Code::Match, "compares numbers", "a comparison is part of a text"),
    (Code::Value, "is not the name of a label, field or capture", "a name of a field may have any letters and dots"),
    (Code::Value, "has no time of day", "a time of silence is a language of its own"),
    (Code::Value, "has no end", "the same"),
    (Code::Value, "a day is missing", "the same"),
    (Code::Value, "there is no time zone", "the same"),
    (Code::Value, "is 1h at most", "a duration is a text"),
    (Code::Value, "`forget` must be longer than `for`", "it compares two keys"),
    (Code::Value, "`at_least` is a number", "it is at most the number of parts"),
    (Code::Value, "` is not in `", "it compares two keys"),
];

#[test]
fn a_rule_needs_no_match_where_the_defaults_say_what_may_not_be_absent() {
    let validator = jsonschema::validator_for(&schema()).expect("a JSON Schema");
    for (defaults, fine) in [("{absent: 15m}", true), ("{cooldown: 15m}", false)] {
        let text = format!(
            "defaults: {defaults}\nrules: [{{id: x, selector: app=y, incident_type: error_spike}}]"
        );
        assert_eq!(
            load_any(&[source("a", &text)]).set.is_some(),
            fine,
            "{text}"
        );
        let file: Value = serde_saphyr::from_str(&text).expect("YAML");
        assert_eq!(validator.is_valid(&file), fine, "{text}");
    }
}

#[test]
fn test_files_are_refused_by_schema_and_reader_alike() {
    check(&test_schema(), TESTS, BEYOND_TESTS, |text| {
        TestFile::read(&source("a_test.yaml", text)).problems
    });
}

#[rustfmt::skip]
const BEYOND_TESTS: &[Beyond] = &[
    (Code::TestLine, "", "every line of `logs` is read, which is a language of its own"),
];

#[test]
fn the_compared_files_have_every_key() {
    for (text, of_tests) in [(RULES, false), (TESTS, true)] {
        let whole: Value = serde_saphyr::from_str(text).expect("YAML");
        let mut written = BTreeSet::new();
        places(&whole, &mut Vec::new(), &mut |path, _| {
            written.extend(path.last().cloned())
        });
        for key in KEYS {
            if matches!(key.place, Place::TestFile | Place::Test) == of_tests {
                assert!(written.contains(key.name), "{}", key.name);
            }
        }
    }
}

/// The files below a folder of the project.
fn files(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "yaml") {
                let text = fs::read_to_string(&path).expect("readable");
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn what_ships_begins_with_the_line_that_tells_editors_its_schema_and_is_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let validators = [schema(), test_schema()]
        .map(|schema| jsonschema::validator_for(&schema).expect("a JSON Schema"));
    let shipped = files("rules");
    assert!(shipped.len() > 5);
    for (path, text) in shipped.iter().chain(&files("tests/rules/cases")) {
        let of_tests = path.to_string_lossy().ends_with("_test.yaml");
        let file: Value = serde_saphyr::from_str(text).expect("YAML");
        let errors = validators[usize::from(of_tests)].iter_errors(&file);
        let errors: Vec<_> = errors.map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
        let below = path.strip_prefix(root).expect("of the project");
        if below.starts_with("rules") {
            let up = "../".repeat(below.components().count() - 1);
            let kind = if of_tests { "tests" } else { "rules" };
            let line = format!("# yaml-language-server: $schema={up}schema/{kind}/1.json");
            let first = text.lines().next();
            assert_eq!(first, Some(&*line), "the first line of {}", path.display());
        }
    }
}
