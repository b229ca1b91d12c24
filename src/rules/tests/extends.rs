//! Rules that extend one that ships.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::hit::RuleIndex;
use crate::rules::{read, yaml};

const MINUTE: Duration = Duration::from_secs(60);

/// Loads an operator's file, with or without the rules that ship.
fn load_with(text: &str, with_shipped: bool) -> (Loaded, Vec<SourceText>) {
    let mut sources = vec![source("mine.yaml", text)];
    if with_shipped {
        sources.extend(builtin());
    }
    (load_any(&sources), sources)
}

#[track_caller]
fn valid(text: &str, with_shipped: bool) -> RuleSet {
    let (loaded, sources) = load_with(text, with_shipped);
    let report = report::text(&loaded.problems, &sources, false);
    loaded.set.unwrap_or_else(|| panic!("{report}"))
}

fn shipped_rule(id: &str) -> Rule {
    let set = load_any(&builtin()).set.expect("valid");
    Rule::clone(set.find(id).expect("it ships").1)
}

fn messages(text: &str, with_shipped: bool) -> Vec<String> {
    let (loaded, _) = load_with(text, with_shipped);
    let problems = loaded.problems.iter();
    problems
        .map(|problem| {
            format!(
                "{}:{} {} {}",
                problem.file, problem.line, problem.code, problem.message
            )
        })
        .collect()
}

/// The same or no id replaces the shipped rule; the shipped keys, then the given ones, each replaced whole.
#[test]
fn semantics_37_an_extension_without_an_id_replaces_the_shipped_rule() {
    let before = shipped_rule("ldap_unavailable");
    for id in ["", "id: ldap_unavailable, "] {
        let set = valid(
            &format!(
                "rules:\n- {{{id}extends: ldap_unavailable, threshold: 9 in 1m, by: [cluster], summary: '{{count}} in {{cluster}}'}}\n"
            ),
            true,
        );
        assert_eq!(
            set.rules.len(),
            load_any(&builtin()).set.expect("valid").rules.len()
        );
        let (_, rule) = set.find("ldap_unavailable").expect("it is there");
        assert_eq!(rule.condition.to_string(), "9 in 1m");
        assert_eq!(rule.by, ["cluster"]);
        assert_eq!((&*rule.source.file, rule.source.line), ("mine.yaml", 2));
        // The rest is the shipped rule's.
        assert_eq!(rule.name, before.name);
        assert_eq!(rule.owner, before.owner);
        assert_eq!(rule.incident_type, before.incident_type);
        assert_eq!(rule.catches, before.catches);
        assert_eq!(
            format!("{:?}", rule.matches),
            format!("{:?}", before.matches)
        );
        assert_ne!((&rule.hash, &rule.meaning), (&before.hash, &before.meaning));
    }
}

/// A new id adds one.
#[test]
fn semantics_37_an_extension_with_a_new_id_stands_beside_the_shipped_rule() {
    let text = "rules:\n- {id: ldap_in_demo, extends: ldap_unavailable, selector: namespace=demo, severity: info}\n";
    let set = valid(text, true);
    let (_, added) = set.find("ldap_in_demo").expect("it is there");
    assert_eq!(added.severity, Severity::Info);
    let (_, shipped) = set.find("ldap_unavailable").expect("it is still there");
    assert_eq!(shipped.hash, shipped_rule("ldap_unavailable").hash);
}

/// `defaults` fill only what neither has.
#[test]
fn semantics_37_defaults_fill_only_what_neither_has() {
    let before = shipped_rule("ldap_unavailable");
    let set = valid(
        "defaults: {owner: me, threshold: 99 in 1h, runbook: https://runbooks.example, cooldown: 1h}
rules:
- {extends: ldap_unavailable, confidence: low}
",
        false,
    );
    let (_, rule) = set.find("ldap_unavailable").expect("it is there");
    assert_eq!(rule.owner, before.owner);
    assert_eq!(rule.condition.to_string(), before.condition.to_string());
    assert_eq!(rule.runbook.as_deref(), Some("https://runbooks.example"));
    assert_eq!(rule.cooldown, 60 * MINUTE);
    assert_eq!(rule.confidence, Confidence::Low);
}

#[test]
fn an_extension_may_turn_a_shipped_rule_off() {
    let set = valid(
        "rules:\n- {extends: ldap_unavailable, enabled: false}\n",
        true,
    );
    assert!(set.find("ldap_unavailable").is_none());
    let (loaded, _) = load_with(
        "rules:\n- {extends: ldap_unavailable, enabled: false}\n",
        true,
    );
    // Another shipped rule leaves its lines to it.
    let warnings: BTreeSet<_> = loaded.problems.iter().map(|problem| problem.code).collect();
    assert!(
        warnings.iter().all(|code| code.level() == Level::Warning),
        "{warnings:?}"
    );
}

#[test]
fn an_extension_of_another_kind_drops_what_its_kind_cannot_use() {
    // The shipped rule counts and recovers by quiet; absence does neither.
    let set = valid(
        "rules:\n- {id: no_ldap_errors, extends: ldap_unavailable, absent: 1d}\n",
        false,
    );
    let (_, rule) = set.find("no_ldap_errors").expect("it is there");
    assert_eq!(rule.condition.to_string(), "nothing for 1d");
    assert!(matches!(rule.recover, Recover::Condition));
}

#[test]
fn examples_go_with_the_match() {
    let before = shipped_rule("ldap_unavailable");
    let set = valid(
        "rules:
- {extends: ldap_unavailable, match: directory refused us}
- {id: kept, extends: ldap_unavailable, severity: info}
- {id: own, extends: ldap_unavailable, match: directory refused us, catches: 'the directory refused us'}
",
        false,
    );
    let examples = |id: &str| set.find(id).expect("it is there").1.catches.clone();
    assert!(examples("ldap_unavailable").is_empty());
    assert_eq!(examples("kept"), before.catches);
    assert_eq!(examples("own"), ["the directory refused us"]);
}

#[test]
fn ignoring_case_reads_the_shipped_match_anew() {
    let set = valid(
        "rules:\n- {extends: nats_no_servers, ignore_case: true}\n",
        false,
    );
    let (_, rule) = set.find("nats_no_servers").expect("it is there");
    let ignores = |item: &Item| match item {
        Item::Text { ignore_case, .. } => *ignore_case,
        Item::Regex(pattern) => pattern.ignore_case,
    };
    assert!(rule.matches.any.iter().all(ignores));
}

#[test]
fn shipped_rules_that_others_name_are_there_without_their_files() {
    let set = valid(
        "rules:
- {id: other_errors, selector: app=a, match: {any: a text of its own, none: [{rule: tls_x509}]}, incident_type: error_spike}
- {id: both, correlate: {within: 10m, all: [other_errors, nats_no_servers]}, incident_type: workload_failure}
",
        false,
    );
    let ids: Vec<_> = set.rules.iter().map(|rule| &*rule.id).collect();
    assert_eq!(ids, ["both", "nats_no_servers", "other_errors", "tls_x509"]);
}

#[test]
fn the_id_of_a_shipped_rule_is_taken_where_that_rule_is_loaded_too() {
    let text = "rules:\n- {id: tls_x509, match: a text of its own, incident_type: error_spike, catches: a text of its own}\n";
    let with = messages(text, true);
    assert_eq!(with.len(), 1, "{with:?}");
    assert!(
        with[0]
            .starts_with("mine.yaml:2 R009 `tls_x509` is already the id of the rule at builtin/"),
        "{with:?}"
    );
    assert_eq!(
        messages(text, false),
        [
            "mine.yaml:2 L031 `tls_x509` is the id of a rule that ships, which `trommel run` loads too"
        ]
    );
}

#[test]
fn what_no_longer_fits_in_an_extended_rule_is_reported_where_it_is_named() {
    // The shipped summary names what is not in `by` any more.
    let before = shipped_rule("nats_no_servers");
    assert!(before.by.contains(&"workload".to_owned()));
    let messages = messages(
        "rules:\n- extends: nats_no_servers\n  by: [cluster]\n",
        true,
    );
    assert!(
        messages.iter().all(|message| message
            .starts_with("mine.yaml:2 R015 in the rule that this extends: unknown placeholder")),
        "{messages:?}"
    );
    assert!(!messages.is_empty());
}

#[test]
fn shipped_rules_from_the_disk_are_shipped_rules() {
    let mut sources = builtin();
    for source in &mut sources {
        source.name = source.name.replace("builtin/", "/somewhere/rules/");
    }
    let loaded = load_any(&sources);
    assert_eq!(loaded.problems, []);
}

/// Every shipped rule can be extended as it is, and then is what it was.
#[test]
fn extending_nothing_changes_nothing() {
    let set = load_any(&builtin()).set.expect("valid");
    for rule in &set.rules {
        let extended = valid(&format!("rules:\n- extends: {}\n", rule.id), true);
        let (_, extended) = extended.find(&rule.id).expect("it is there");
        assert_eq!(
            (&extended.hash, &extended.meaning),
            (&rule.hash, &rule.meaning)
        );
    }
}

#[test]
fn every_rule_that_ships_can_be_extended_by_a_file_that_stands_alone() {
    let shipped = load(&builtin(), &LoadOptions::default());
    for rule in &shipped.set.expect("they are fine").rules {
        let own = SourceText {
            name: "own.yaml".to_owned(),
            text: format!("rules:\n  - {{extends: {}, owner: me}}\n", rule.id),
        };
        let loaded = load(&[own], &LoadOptions::default());
        let set = loaded.set.expect("it is fine");
        let (_, own) = set.find(&rule.id).expect("it has the id");
        assert_eq!(own.meaning, rule.meaning, "{}", rule.id);
    }
}

/// As many as an operator would have to write by machine. What they have in common is worth one compilation, and what the copies
/// have to say about each other a hundred warnings.
#[test]
fn many_extensions_of_a_rule_share_its_expressions_and_are_warned_of_in_bounds() {
    let text = |count: usize| {
        let rules = (0..count).map(|n| format!("- {{id: copy_{n}, extends: login_failure}}\n"));
        format!("rules:\n{}", rules.collect::<String>())
    };
    let compilations = |count: usize| {
        let source = source("mine.yaml", &text(count));
        let root = yaml::parse(&source, &mut Vec::new()).expect("YAML");
        let mut patterns = read::Patterns::default();
        read::file(&source, &root, &mut patterns);
        patterns.compilations()
    };
    assert!(compilations(1) > 0);
    assert_eq!(compilations(50), compilations(1));

    let (loaded, _) = load_with(&text(50), false);
    let set = loaded.set.expect("valid");
    let copies: Vec<RuleIndex> = set.iter().map(|(index, _)| index).collect();
    let everyone = vec![copies.into(); loaded.examples.len()];
    let shared = loaded.sharing.problems(&set, &loaded.examples, &everyone);
    assert_eq!(shared.len(), 100);
}

#[test]
fn more_expressions_than_can_be_looked_at_are_one_error_and_nothing_more_is_read() {
    let rules = (0..20_000).map(|n| format!("- {{id: copy_{n}, extends: login_failure}}\n"));
    let text = format!("rules:\n{}", rules.collect::<String>());
    let source = source("mine.yaml", &text);
    let root = yaml::parse(&source, &mut Vec::new()).expect("YAML");
    let mut patterns = read::Patterns::default();
    let read = read::file(&source, &root, &mut patterns);
    assert!(read.drafts.len() < 1000, "{}", read.drafts.len());

    let messages = messages(&text, false);
    assert_eq!(messages.len(), 1, "{messages:#?}");
    let place = format!("mine.yaml:{} R018", read.drafts.len() + 1);
    assert!(messages[0].starts_with(&place), "{messages:#?}");
    assert!(messages[0].ends_with("the rules up to here have more than 5000 expressions, those of a rule that is extended counted each time"), "{messages:#?}");
}

#[test]
fn a_selector_is_an_expression_only_where_it_holds_one() {
    let uses = |selector: &str| {
        let rule = format!(
            "- {{id: x, selector: '{selector}', match: a text in the line, incident_type: workload_failure}}\n"
        );
        let source = source("mine.yaml", &format!("rules:\n{rule}"));
        let root = yaml::parse(&source, &mut Vec::new()).expect("YAML");
        let mut patterns = read::Patterns::default();
        read::file(&source, &root, &mut patterns);
        patterns.uses()
    };
    assert_eq!(uses("app=shop, pod!=x"), 0);
    assert_eq!(uses("app=~\"a.*\", pod!~\"b.*\", namespace=c"), 2);
}
