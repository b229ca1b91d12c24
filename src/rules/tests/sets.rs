//! Rule sets: what is on where.

use super::*;

const FOR_TWO: &str = "rules:
- {id: here, match: a text of its own, environments: [staging, production], incident_type: certificate_mismatch, catches: a text of its own}
- {id: everywhere, match: another text, incident_type: certificate_mismatch, catches: another text}
";

fn ids(loaded: &Loaded) -> Vec<String> {
    let set = loaded.set.as_ref().expect("valid");
    set.rules.iter().map(|rule| rule.id.clone()).collect()
}

fn load_in(environment: &str, text: &str) -> Loaded {
    load(
        &[source("rules.yaml", text)],
        &LoadOptions::of_instance(environment),
    )
}

fn messages(loaded: &Loaded) -> Vec<&str> {
    let problems = loaded.problems.iter();
    problems.map(|problem| problem.message.as_str()).collect()
}

#[test]
fn a_rule_is_on_in_its_environments() {
    for (environment, expected) in [
        ("staging", &["everywhere", "here"][..]),
        ("production", &["everywhere", "here"]),
        ("demo", &["everywhere"]),
        ("stagin", &["everywhere"]),
    ] {
        let loaded = load_in(environment, FOR_TWO);
        assert_eq!(ids(&loaded), expected, "{environment}");
        assert_eq!(messages(&loaded), [""; 0], "{environment}");
    }
}

/// Without `environment`, rules with `environments` are off, with a warning.
#[test]
fn semantics_40_an_instance_without_environment_leaves_such_rules_off_and_warns() {
    let loaded = load_in("", FOR_TWO);
    assert_eq!(ids(&loaded), ["everywhere"]);
    assert_eq!(
        messages(&loaded),
        ["`here` is off: it is for staging, production, and no environment is named here"]
    );
    // Who looks at rules without running them sees all.
    let loaded = load_any(&[source("rules.yaml", FOR_TWO)]);
    assert_eq!(ids(&loaded), ["everywhere", "here"]);
    assert_eq!(messages(&loaded), [""; 0]);
}

#[test]
fn environments_may_be_a_default_and_disabled_rules_do_not_warn() {
    let text = "defaults: {environments: demo}\nrules:
- {id: a, match: a text of its own, incident_type: certificate_mismatch, catches: a text of its own}
- {id: b, match: another text, environments: [prod.eu-1], incident_type: certificate_mismatch, catches: another text}
- {id: c, match: a third text, enabled: false, incident_type: certificate_mismatch}
";
    assert_eq!(ids(&load_in("demo", text)), ["a"]);
    assert_eq!(ids(&load_in("prod.eu-1", text)), ["b"]);
    assert_eq!(messages(&load_in("", text)).len(), 2);
}

/// A part that is disabled in this environment is a warning.
#[test]
fn semantics_29_a_part_that_is_off_here_is_a_warning() {
    let text = "rules:
- {id: a, match: a text of its own, environments: [staging], incident_type: certificate_mismatch, catches: a text of its own}
- {id: b, match: {any: another text, none: [{rule: a}]}, incident_type: error_spike, catches: another text}
- {id: c, correlate: {within: 5m, all: [a], any: [b]}, incident_type: account_compromise}
";
    assert_eq!(messages(&load_in("staging", text)), [""; 0]);
    let loaded = load_in("demo", text);
    assert_eq!(
        messages(&loaded),
        [
            "`a` is off in this environment, so it excludes nothing",
            "`a` is off in this environment, so this never opens",
        ]
    );
    assert_eq!(ids(&loaded), ["b", "c"]);
}
