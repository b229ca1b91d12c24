//! The room as a whole: files in, rule sets or reports out.

mod conditions;
mod extends;
mod life;
pub(crate) mod schema;
mod sets;
mod taxonomy;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

fn source(name: &str, text: &str) -> SourceText {
    SourceText {
        name: name.to_owned(),
        text: text.to_owned(),
    }
}

/// Loads rules of all environments.
fn load_any(sources: &[SourceText]) -> Loaded {
    load(sources, &LoadOptions::default())
}

/// Loads one file that must be valid.
#[track_caller]
fn set(text: &str) -> RuleSet {
    let sources = [source("rules.yaml", text)];
    let loaded = load_any(&sources);
    loaded
        .set
        .unwrap_or_else(|| panic!("{}", report::text(&loaded.problems, &sources, false)))
}

/// The rule `x` with `keys` beside its id and type, indented by two blanks; it must be valid.
#[track_caller]
fn rule(keys: &str) -> Rule {
    let set = set(&format!(
        "rules:\n- id: x\n  incident_type: certificate_mismatch\n  {keys}\n"
    ));
    let (_, rule) = set.find("x").expect("it is there");
    Rule::clone(rule)
}

/// What is wrong with the rule `x` that has `keys`.
#[track_caller]
fn errors(keys: &str) -> Vec<String> {
    let text = format!("rules:\n- id: x\n  incident_type: certificate_mismatch\n  {keys}\n");
    let loaded = load_any(&[source("rules.yaml", &text)]);
    let errors = loaded.problems.into_iter();
    errors
        .filter(|problem| problem.level == Level::Error)
        .map(|problem| problem.message)
        .collect()
}

/// The warnings of one file that must be valid.
#[track_caller]
fn check_lint(text: &str, expected: Expect) {
    let loaded = load_any(&[source("rules.yaml", text)]);
    assert!(loaded.set.is_some(), "{:?}", loaded.problems);
    let lines: Vec<_> = loaded
        .problems
        .iter()
        .map(|problem| {
            let Problem {
                code,
                line,
                message,
                ..
            } = problem;
            format!("{line} {code} {message}\n")
        })
        .collect();
    expected.assert_eq(&lines.concat());
}

const MINIMAL: &str =
    "rules:\n- id: x\n  match: a text in the line\n  incident_type: workload_failure\n";

#[test]
fn the_smallest_rule_has_the_documented_defaults() {
    let set = set(MINIMAL);
    let (_, rule) = set.find("x").expect("it is there");
    assert_eq!(rule.condition.to_string(), "every match");
    assert_eq!(rule.severity, Severity::Warning);
    assert_eq!(rule.confidence, Confidence::Medium);
    assert_eq!(rule.recover.quiet(), Some(Duration::from_secs(300)));
    assert_eq!(rule.cooldown, Duration::from_secs(900));
    assert_eq!(rule.hold, Duration::ZERO);
    assert_eq!(rule.domain, "application_services");
    assert_eq!(rule.parse, Parse::Auto);
    assert_eq!(rule.evidence.lines, 4);
    assert_eq!(
        (rule.source.file.as_str(), rule.source.line),
        ("rules.yaml", 2)
    );
    assert!(rule.selector.0.is_empty() && rule.unless.is_none() && rule.by.is_empty());
    assert_eq!((rule.hash.len(), rule.meaning.len()), (16, 16));
}

#[test]
fn every_key_of_this_version_is_read() {
    let set = set(r#"
defaults: {owner: platform, severity: critical, cooldown: 1h}
rules:
  - id: full
    name: A name
    description: |
      Two
      lines
    version: 1.10
    selector: {namespace="a", pod!~"test-.*"}
    unless: {app: [b, c], cluster: d}
    parse: json
    match:
      any: [LDAP failed, {re: 'user (?P<user>\S+) refused'}]
      all: 403
      none: [retry, {re: "x+y"}, {rule: other}]
      fields: {status: ">= 500", level: [error, fatal], "user.name": {re: '^svc-'}, n: 5}
    ignore_case: true
    threshold: "> 4 in 10m"
    by: [namespace, user]
    for: 2m
    severity: info
    confidence: high
    recover: {after: 20m, match: {all: [again, {re: "o.k"}]}}
    incident_type: identity_provider_unreachable
    domain: identity_security
    summary: "{count} for {user} with {status} in {window}"
    runbook: https://runbooks.example/ldap
    evidence: {lines: 2, redact: ['card \d+', {re: 'pin \d+'}]}
    catches: LDAP failed for 403
    passes: [a, 'b: c']
  - {id: other, match: [no, null-ish], incident_type: workload_failure, recover: never, enabled: true}
  - {id: off, match: off, incident_type: workload_failure, enabled: false}
"#);
    assert_eq!(set.rules.len(), 2);
    let (index, rule) = set.find("full").expect("it is there");
    let prose = [
        &rule.name,
        &rule.description,
        &rule.owner,
        &rule.version,
        &rule.runbook,
    ];
    let shown = [
        format!("{prose:?}"),
        format!("{:?}", rule.selector),
        format!("{:?}", rule.unless),
        format!("{:?}", rule.parse),
        format!("{:?}", rule.matches.any),
        format!("{:?}", rule.matches.all),
        format!("{:?}", rule.matches.none),
        format!("{:?}", rule.matches.fields),
        format!("{} {:?}", rule.condition, rule.hold),
        format!("{:?}", rule.by),
        format!(
            "{} {:?} {:?}",
            rule.severity, rule.confidence, rule.cooldown
        ),
        format!("{:?}", rule.recover),
        format!("{} {}", rule.incident_type, rule.domain),
        format!("{:?}", rule.summary),
        format!("{:?}", rule.evidence),
        format!("{:?} {:?}", rule.catches, rule.passes),
    ];
    expect![[r#"
        [Some("A name"), Some("Two\nlines"), Some("platform"), Some("1.10"), Some("https://runbooks.example/ldap")]
        Selector([Matcher { name: "namespace", test: ="a" }, Matcher { name: "pod", test: !~"test-.*" }])
        Some(Selector([Matcher { name: "app", test:  in ["b", "c"] }, Matcher { name: "cluster", test: ="d" }]))
        Json
        [Text { text: "LDAP failed", ignore_case: true }, Regex(/user (?P<user>\S+) refused/i)]
        [Text { text: "403", ignore_case: true }]
        [Item(Text { text: "retry", ignore_case: true }), Item(Regex(/x+y/i)), Rule("other")]
        [FieldTest { name: "status", accepts: [Compare(AtLeast, 500.0)] }, FieldTest { name: "level", accepts: [Equals { text: "error", ignore_case: true }, Equals { text: "fatal", ignore_case: true }] }, FieldTest { name: "user.name", accepts: [Regex(/^svc-/i)] }, FieldTest { name: "n", accepts: [Equals { text: "5", ignore_case: true }] }]
        5 in 10m 120s
        ["namespace", "user"]
        info High 3600s
        Match { after: Some(1200s), when: Match { any: [], all: [Text { text: "again", ignore_case: true }, Regex(/o.k/i)], none: [], fields: [] } }
        identity_provider_unreachable identity_security
        Some(Summary { parts: [Count, Text(" for "), By(1), Text(" with "), Capture(0), Text(" in "), Window], captures: ["status"] })
        EvidenceRules { lines: 2, redact: [/card \d+/, /pin \d+/] }
        ["LDAP failed for 403"] ["a", "b: c"]"#]].assert_eq(&shown.join("\n"));
    assert_eq!(set.rule(index).id, "full");
    let (_, other) = set.find("other").expect("it is there");
    assert_eq!(other.severity, Severity::Critical);
    assert_eq!(other.owner.as_deref(), Some("platform"));
    assert!(matches!(other.recover, Recover::Never));
    assert!(matches!(&other.matches.any[..], [Item::Text { text, .. }, _] if text == "no"));
}

#[test]
fn the_window_is_the_quiet_that_ends_a_finding_but_at_least_five_minutes() {
    for (window, quiet) in [("1m", 300), ("5m", 300), ("6m", 360), ("1h", 3600)] {
        let set = set(&format!("{MINIMAL}  threshold: 5 in {window}\n"));
        assert_eq!(
            set.rules[0].recover.quiet(),
            Some(Duration::from_secs(quiet))
        );
    }
}

/// The meaning of a rule is what decides its findings; the hash in messages is of everything.
#[test]
fn semantics_38_39_the_hash_follows_every_word_and_the_meaning_only_what_decides() {
    let hashes = |text: &str| {
        let set = set(text);
        let rule = set.find("x").expect("it is there").1;
        (rule.hash.clone(), rule.meaning.clone())
    };
    let (hash, meaning) = hashes(MINIMAL);
    assert_eq!(
        hashes(&format!("# a comment\n{MINIMAL}  threshold: 1 in 5m\n")),
        (hash.clone(), meaning.clone())
    );
    let (mut all, mut meanings) = (BTreeSet::new(), BTreeSet::new());
    all.insert(hash.clone());
    meanings.insert(meaning.clone());
    for prose in [
        "name: n",
        "description: d",
        "owner: o",
        "version: 2",
        "severity: info",
        "confidence: low",
        "recover: 1h",
        "recover: never",
        "recover: {match: a line}",
        "cooldown: 1h",
        "escalate: {to: critical, after: 10m}",
        "escalate: {to: critical, after: 11m}",
        "escalate: {to: critical, threshold: 5 in 10m}",
        "escalate: {to: critical, threshold: 5 distinct a in 10m}",
        "escalate: {to: critical, match: a line}",
        "suppress: Sun 10:00-12:00 UTC",
        "actions: observe",
        "route: r",
        "hints: h",
        "tags: t",
        "keys_max: 5",
        "late_by: 5s",
        "summary: s",
        "runbook: https://x",
        "evidence: {lines: 1}",
        "catches: c",
        "passes: p",
    ] {
        let (other, same) = hashes(&format!("{MINIMAL}  {prose}\n"));
        assert!(all.insert(other), "{prose}");
        assert_eq!(same, meaning, "{prose}");
    }
    for decides in [
        "selector: a=b",
        "unless: a=b",
        "parse: none",
        "ignore_case: true",
        "threshold: 2 in 5m",
        "threshold: 1 in 6m",
        "threshold: '<= 1 in 5m'",
        "threshold: 2 distinct a in 5m",
        "threshold: 2 distinct b in 5m",
        "threshold: 5% in 5m",
        "threshold: '> 5% in 5m'",
        "threshold: 5.5% in 5m",
        "threshold: 5% in 5m\n  min_count: 21",
        "threshold: 5% in 5m\n  total: a",
        "threshold: 5% in 5m\n  total: b",
        "threshold: 3x in 5m vs 1h",
        "threshold: 3x in 5m vs 2h",
        "threshold: 3x in 5m vs 1h\n  min_count: 21",
        "threshold: 2 in 5m\n  for: 1m",
        "absent: 5m",
        "absent: {for: 5m, forget: 1d}\n  by: a",
        "absent: {for: 5m, expect: [{a: 1}]}\n  by: a",
        "absent: {for: 5m, expect: [{a: 2}]}\n  by: a",
        "new_value: {field: a}",
        "new_value: {field: b}",
        "new_value: {field: a, learn: 1h}",
        "new_pattern: {learn: 1h}",
        "new_pattern: {learn: 1h, threshold: 2 in 1m}",
        "by: a",
    ] {
        let (other, different) = hashes(&format!("{MINIMAL}  {decides}\n"));
        assert!(all.insert(other), "{decides}");
        assert!(meanings.insert(different), "{decides}");
    }
    for decides in [
        "sequence: {within: 5m, steps: [{match: a}, {match: b}]}",
        "sequence: {within: 6m, steps: [{match: a}, {match: b}]}",
        "sequence: {within: 5m, steps: [{match: a, count: 2}, {match: b}]}",
        "sequence: {within: 5m, steps: [{match: a}, {match: c}]}",
        "sequence: {within: 5m, steps: [{match: a}, {match: b, absent: true}]}",
        "correlate: {within: 5m, all: [error_spike]}",
        "correlate: {within: 6m, all: [error_spike]}",
        "correlate: {within: 5m, any: [error_spike]}",
        "correlate: {within: 5m, all: [error_spike], hides: true}",
        "correlate: {within: 5m, all: [error_spike], none: [account_compromise]}",
    ] {
        let text = MINIMAL.replace("match: a text in the line", decides);
        let (other, different) = hashes(&text);
        assert!(all.insert(other), "{decides}");
        assert!(meanings.insert(different), "{decides}");
    }
    let changed = MINIMAL.replace("a text", "another text");
    assert_ne!(hashes(&changed).1, meaning);
}

/// `none` takes the whole match of another rule.
#[test]
fn semantics_31_a_rule_that_excludes_another_changes_its_meaning_with_it() {
    let meaning = |text: &str| {
        let set = set(&format!(
            "rules:\n- {{id: x, match: {{any: general, none: [{{rule: y}}]}}, incident_type: workload_failure}}\n- {{id: y, match: {text}, incident_type: workload_failure}}\n"
        ));
        set.find("x").expect("it is there").1.meaning.clone()
    };
    assert_eq!(meaning("specific"), meaning("specific"));
    assert_ne!(meaning("specific"), meaning("another"));
}

/// A map has either `re` or groups, and a group takes an item or a list.
#[test]
fn semantics_30_a_match_is_an_item_a_list_an_expression_or_groups() {
    let read = |text: &str| {
        let matches = rule(&format!("match: {text}")).matches;
        format!("{:?} {:?}", matches.any, matches.all)
    };
    let text = |text: &str| format!("Text {{ text: {text:?}, ignore_case: false }}");
    assert_eq!(read("a text"), format!("[{}] []", text("a text")));
    assert_eq!(read("[a text]"), read("a text"));
    assert_eq!(read("{any: a text}"), read("a text"));
    assert_eq!(read("{all: [a text]}"), format!("[] [{}]", text("a text")));
    assert_eq!(read("{re: 'a.text'}"), "[Regex(/a.text/)] []");
    assert_eq!(read("[{re: 'a.text'}]"), read("{re: 'a.text'}"));
    let both = errors("match: {re: 'a.text', none: b}");
    assert_eq!(
        both,
        ["`match` has either `re` or groups, and here are `re` and `none`"]
    );
}

#[test]
fn the_order_of_files_and_rules_changes_nothing() {
    let (a, b) = (MINIMAL, MINIMAL.replace("id: x", "id: a"));
    let one = load_any(&[source("1", a), source("2", &b)])
        .set
        .expect("valid");
    let two = load_any(&[source("2", &b), source("1", a)])
        .set
        .expect("valid");
    let ids = |set: &RuleSet| {
        set.iter()
            .map(|(_, rule)| rule.id.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&one), ["a", "x"]);
    assert_eq!(one.hash, two.hash);
}

#[test]
fn a_disabled_rule_is_checked_and_excludes_nothing() {
    let broken = MINIMAL.replace("  match", "  enabled: false\n  severity: bad\n  match");
    assert!(load_any(&[source("a", &broken)]).set.is_none());
    check_lint(
        "rules:\n- {id: x, match: {any: a general text, none: [{rule: y}]}, incident_type: workload_failure, catches: c}\n- {id: y, enabled: false, match: a specific text, incident_type: workload_failure}\n",
        expect![[r#"
            2 L009 `y` is disabled, so it excludes nothing
        "#]],
    );
}

#[test]
fn what_loads_and_is_probably_not_meant_is_a_warning() {
    check_lint(
        r#"
rules:
  - {id: short, match: error, incident_type: workload_failure, catches: c}
  - {id: short_but_selected, selector: app=a, match: error, incident_type: workload_failure, catches: c}
  - {id: any_number, match: {re: '\d+'}, incident_type: workload_failure, catches: c}
  - {id: required, match: {all: [{re: '\d+'}, connection refused]}, incident_type: workload_failure, catches: c}
  - {id: only_fields, match: {fields: {status: 500}}, incident_type: workload_failure, catches: c}
  - {id: selected_fields, selector: app=a, match: {fields: {status: 500}}, incident_type: workload_failure, catches: c}
  - {id: per_request, match: a text of its own, by: [http.request_id, namespace], incident_type: workload_failure, catches: c}
  - {id: general, match: [i/o timeout, i/o timeout while reading], incident_type: workload_failure, catches: c}
  - {id: specific, match: 'dial tcp: i/o timeout', incident_type: workload_failure, catches: c}
  - {id: upper_case, match: I/O TIMEOUT, incident_type: workload_failure, catches: c}
  - {id: careful, match: {any: dial tcp, none: [{rule: specific}]}, selector: app=b, incident_type: workload_failure, catches: c}
  - {id: regex_as_text, match: 'failed .* for user', incident_type: workload_failure, catches: c}
  - id: comment
    match: failed to mount volume #3
    incident_type: workload_failure
"#,
        expect![[r#"
            3 L001 without a `selector`, 5 bytes of text are likely to be in lines that mean something else
            4 L003 `short` looks for `error`, so it matches these lines too: two findings for one cause
            5 L002 no text is in every match of this, so it is tried on every line of every stream, at some 3 ms of CPU for each MB
            7 L002 no text is in every match of this, so it is tried on every line of every stream
            9 L004 `http.request_id` has many values, and every one is a finding of its own
            10 L003 this text is not needed: `i/o timeout` in the same list finds its lines too
            11 L003 `general` looks for `i/o timeout`, so it matches these lines too: two findings for one cause
            14 L007 this looks like an expression, and is looked for as the text that it is
            15 L005 `comment` has no `catches`
            16 L008 ` #` begins a comment: the text ends before it
        "#]],
    );
    check_lint(
        "",
        expect![[r#"
        1 L006 the file holds no rules
    "#]],
    );
    check_lint(
        "rules: []",
        expect![[r#"
        1 L006 the file holds no rules
    "#]],
    );
}

#[test]
fn no_number_of_warnings_hides_an_error() {
    let mut text = "rules:\n".to_owned();
    for rule in 0..500 {
        text.push_str(&format!(
            "- {{id: r{rule}, match: 'a .* in rule {rule},', incident_type: workload_failure}}\n"
        ));
    }
    assert!(load_any(&[source("a", &text)]).set.is_some());
    text.push_str("- {id: last, match: a text in the line}\n");
    let loaded = load_any(&[source("a", &text)]);
    assert!(loaded.set.is_none());
    assert!(
        loaded
            .problems
            .iter()
            .any(|problem| problem.level == Level::Error)
    );
}

#[test]
fn examples_know_where_they_were_written() {
    let sources = [source(
        "a.yaml",
        &format!("{MINIMAL}  catches: yes\n  passes:\n  - one\n  - two\n"),
    )];
    let loaded = load_any(&sources);
    let shown: Vec<_> = loaded
        .examples
        .iter()
        .map(|example| {
            let problem = example.problem();
            format!(
                "{} {} {}:{} {}\n",
                example.line, example.must_match, problem.line, problem.column, problem.message
            )
        })
        .collect();
    expect![[r#"
        yes true 5:12 `x` does not match this line of its `catches`
        one false 7:5 `x` matches this line of its `passes`
        two false 8:5 `x` matches this line of its `passes`
    "#]]
    .assert_eq(&shown.concat());
}

#[test]
fn broken_rules_are_reported_as_the_files_beside_them_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules/broken");
    let mut names: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("the folder of broken rules")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    names.sort();
    assert!(names.len() >= 100, "only {} broken rules", names.len());
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut wrong = Vec::new();
    for path in names {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let sources = [source(&name, &fs::read_to_string(&path).expect("a text"))];
        let loaded = load_any(&sources);
        assert!(!loaded.problems.is_empty(), "{name} is not broken");
        let shown = report::text(&loaded.problems, &sources, false);
        let beside = path.with_extension("txt");
        if update {
            fs::write(&beside, &shown).expect("writable");
        } else if fs::read_to_string(&beside).ok().as_deref() != Some(&shown) {
            wrong.push(shown);
        }
    }
    assert!(
        wrong.is_empty(),
        "reports differ; UPDATE_EXPECT=1 writes them:\n{}",
        wrong.concat()
    );
}

#[test]
fn one_rule_of_every_kind_loads_from_one_file() {
    let text = include_str!("../../tests/rules/language.yaml");
    let set = set(text);
    let shown: Vec<_> = set
        .rules
        .iter()
        .map(|rule| {
            let (id, class) = (&rule.id, rule.condition.class());
            format!(
                "{id}: {class}: {} ({}, {})\n",
                rule.condition, rule.severity, rule.domain
            )
        })
        .collect();
    expect![[r#"
        backup_heartbeat: absent: nothing for 1d2h (critical, application_services)
        brute_force_success: sequence: 2 steps within 5m (critical, identity_security)
        error_spike: threshold: 4x in 5m vs 2h (warning, golden_signals)
        http_5xx_ratio: threshold: > 5% in 5m (warning, golden_signals)
        ldap_host_stale: correlate: all of ldap_timeout_spike, stale_ldap_host, none of node_unreachable within 10m (critical, identity_security)
        ldap_timeout_spike: threshold: 5 in 10m (warning, identity_security)
        login_spray: threshold: 20 distinct user in 5m (warning, identity_security)
        migration_stuck: sequence: 1 step, and not the last, within 15m (critical, runtime_services)
        new_error_shape: new_pattern: a new pattern after 1d, 5 in 1m (info, golden_signals)
        new_image: new_value: a new value after 1d (info, release_configuration)
        node_unreachable: threshold: every match (warning, infrastructure)
        stale_ldap_host: threshold: every match (warning, identity_security)
        tls_x509_any: threshold: every match (warning, identity_security)
    "#]].assert_eq(&shown.concat());
    let classes: BTreeSet<_> = set
        .rules
        .iter()
        .map(|rule| rule.condition.class())
        .collect();
    assert_eq!(classes.len(), 6);
}

#[test]
fn shipped_rules_load_without_an_error_or_a_warning() {
    let sources = builtin();
    let loaded = load_any(&sources);
    assert_eq!(report::text(&loaded.problems, &sources, false), "");
    let set = loaded.set.expect("valid");
    for (_, rule) in set.iter() {
        assert!(
            rule.name.is_some() && rule.summary.is_some() && rule.description.is_some(),
            "{}",
            rule.id
        );
        let reads_lines = !rule.parts().is_empty();
        assert!(
            !reads_lines || (!rule.catches.is_empty() && !rule.passes.is_empty()),
            "{}",
            rule.id
        );
        assert!(
            !rule.by.iter().any(|name| name.contains("pod")),
            "{}",
            rule.id
        );
    }
}

#[test]
fn every_shipped_rule_file_is_in_the_binary() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let on_disk = read_paths(&[folder]).sources.len();
    assert_eq!(builtin().len(), on_disk);
}

#[test]
fn the_schema_accepts_what_loads() {
    let schema = schema();
    let validator = jsonschema::validator_for(&schema).expect("a JSON Schema");
    for source in builtin() {
        let file: serde_json::Value = serde_saphyr::from_str(&source.text).expect("YAML");
        let errors: Vec<_> = validator
            .iter_errors(&file)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{}: {errors:?}", source.name);
    }
    let file = |text: &str| serde_saphyr::from_str::<serde_json::Value>(text).expect("YAML");
    assert!(validator.is_valid(&file(MINIMAL)));
    let language = file(include_str!("../../tests/rules/language.yaml"));
    let errors = validator.iter_errors(&language);
    let errors: Vec<_> = errors.map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    for wrong in [
        "rules: 5",
        "rule: []",
        "rules: [{id: X, match: a}]",
        "rules: [{id: x, match: a, severity: bad}]",
        "rules: [{id: x}]",
    ] {
        assert!(!validator.is_valid(&file(wrong)), "{wrong}");
    }
}

proptest! {
    #[test]
    fn no_file_makes_loading_panic(text in "(rules:\n- id: x\n  )?[a-z:{}\\[\\],'\"#&*!|>%@`? \n.=~0-9-]{0,80}") {
        check_places(&text)?;
    }

    /// A valid file with a piece cut out and another put in: nearer to what people get wrong than noise.
    #[test]
    fn no_damaged_rule_makes_loading_panic(from in 0usize..2000, length in 0usize..30, put in "[ :{}\\[\\]'\"\n|>é-]{0,4}") {
        let builtin = builtin();
        let text = &builtin[from % builtin.len()].text;
        let floor = |mut at: usize| {
            at = at.min(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let (start, end) = (floor(from), floor(from + length));
        check_places(&format!("{}{put}{}", &text[..start], &text[end..]))?;
    }
}

/// Loads `text` and checks that every problem lies in it, and that all can be shown.
fn check_places(text: &str) -> Result<(), TestCaseError> {
    let sources = [source("t", text)];
    let loaded = load_any(&sources);
    for problem in &loaded.problems {
        prop_assert!(text.get(problem.span.clone()).is_some(), "{problem:?}");
    }
    prop_assert_eq!(
        report::text(&loaded.problems, &sources, true).is_empty(),
        loaded.problems.is_empty()
    );
    prop_assert_eq!(
        loaded.set.is_none(),
        loaded.problems.iter().any(|p| p.level == Level::Error)
    );
    Ok(())
}
