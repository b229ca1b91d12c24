//! Incident types: what follows from them, what operators add, and what no file changes.

use super::*;

const TEXT: &str = "match: a text of its own, catches: a text of its own";

/// The messages and codes of a file, without its warnings where there are errors.
fn problems(text: &str) -> Vec<String> {
    let loaded = load_any(&[source("mine.yaml", text)]);
    let refused = loaded.set.is_none();
    let problems = loaded.problems.iter();
    problems
        .filter(|problem| !refused || problem.level == Level::Error)
        .map(|problem| format!("{} {}", problem.code, problem.message))
        .collect()
}

fn advice(text: &str, environment: &str, id: &str) -> [Vec<String>; 3] {
    let sources = [source("mine.yaml", text)];
    let loaded = load(&sources, &LoadOptions::of_instance(environment));
    let report = report::text(&loaded.problems, &sources, false);
    let set = loaded.set.unwrap_or_else(|| panic!("{report}"));
    let advice = Advice::clone(&set.find(id).expect("it is there").1.policy);
    [advice.automatic, advice.approval, advice.human_only]
}

fn rule_of(incident_type: &str, keys: &str) -> String {
    format!("rules:\n- {{id: x, {TEXT}, incident_type: {incident_type}{keys}}}\n")
}

#[test]
fn every_domain_and_type_that_the_rules_speak_of_ships() {
    let taxonomy = Taxonomy::shipped();
    let domains: Vec<_> = taxonomy.domains.keys().map(String::as_str).collect();
    assert_eq!(
        domains,
        [
            "application_services",
            "golden_signals",
            "identity_security",
            "infrastructure",
            "network_ingress",
            "operator_channels",
            "release_configuration",
            "runtime_services",
        ]
    );
    let named = [
        "account_compromise",
        "auth_provider_drift",
        "background_job_buildup",
        "background_job_missing",
        "certificate_mismatch",
        "chatops_delivery_failure",
        "connectivity_failure",
        "database_connectivity_degraded",
        "detector_impaired",
        "error_spike",
        "http_error_rate_spike",
        "identity_provider_unreachable",
        "ingress_backend_unavailable",
        "ingress_configuration_drift",
        "login_failure_spike",
        "name_resolution_failure",
        "new_error_pattern",
        "node_disk_pressure",
        "node_kernel_or_hardware_fault",
        "node_unreachable_or_notready",
        "registry_pull_failure",
        "release_drift_or_partial_apply",
        "runtime_dependency_outage",
        "volume_attach_or_mount_failure",
        "workload_failure",
        "workload_unschedulable",
    ];
    let types: Vec<_> = taxonomy.types.keys().map(String::as_str).collect();
    assert_eq!(types, named);
    for known in taxonomy.types.values() {
        assert!(taxonomy.domains.contains_key(&known.domain), "{}", known.id);
        assert!(
            known.display_name.is_some() && known.description.is_some(),
            "{}",
            known.id
        );
        assert!(known.default_severity.is_some(), "{}", known.id);
    }
}

/// What may be done about the shipped types without anybody's approval, by the table of the incident classes.
#[test]
fn only_four_shipped_types_allow_more_than_looking_and_telling() {
    let taxonomy = Taxonomy::shipped();
    let mut more = Vec::new();
    for environment in ["demo", "staging", "production"] {
        for known in taxonomy.types.values() {
            let advice = known.policy(Some(environment), None).advice();
            assert_eq!(advice.automatic[..2], ["observe", "notify"], "{}", known.id);
            for action in &advice.automatic[2..] {
                more.push(format!("{environment} {} {action}\n", known.id));
            }
        }
    }
    expect![[r#"
        demo background_job_buildup delete finished jobs on the allowlist
        demo background_job_buildup suspend CronJobs on the allowlist
        demo chatops_delivery_failure use the alternate channel
        demo node_disk_pressure delete finished pods on the allowlist
        demo node_disk_pressure suspend CronJobs on the allowlist
        demo runtime_dependency_outage one limited restart
        staging background_job_buildup delete finished jobs on the allowlist
        staging background_job_buildup suspend CronJobs on the allowlist
        staging chatops_delivery_failure use the alternate channel
        staging node_disk_pressure delete finished pods on the allowlist
        staging node_disk_pressure suspend CronJobs on the allowlist
        staging runtime_dependency_outage one limited restart
        production background_job_buildup delete finished jobs on the allowlist
        production background_job_buildup suspend CronJobs on the allowlist
        production chatops_delivery_failure use the alternate channel
        production node_disk_pressure delete finished pods on the allowlist
        production node_disk_pressure suspend CronJobs on the allowlist
    "#]]
    .assert_eq(&more.concat());
}

#[test]
fn a_message_carries_the_policy_of_its_type_and_environment() {
    let [automatic, approval, human_only] = advice(
        &rule_of("identity_provider_unreachable", ""),
        "production",
        "x",
    );
    assert_eq!(automatic, ["observe", "notify"]);
    assert_eq!(approval, ["patch LDAP config", "restart backend"]);
    assert_eq!(human_only, ["disable authentication"]);
    let restart = "one limited restart".to_owned();
    let outage = rule_of("runtime_dependency_outage", "");
    assert!(advice(&outage, "demo", "x")[0].contains(&restart));
    assert!(advice(&outage, "production", "x")[1].contains(&restart));
    // Nobody said where: no overlay.
    assert!(advice(&outage, "", "x")[1].contains(&restart));
}

/// Severity: the rule's, else its type's, else warning; always critical is a floor.
#[test]
fn semantics_18_severity_is_the_rules_else_the_types_else_warning() {
    let severity = |text: &str| set(text).find("x").expect("it is there").1.severity;
    assert_eq!(severity(&rule_of("new_error_pattern", "")), Severity::Info);
    assert_eq!(
        severity(&rule_of("new_error_pattern", ", severity: warning")),
        Severity::Warning
    );
    assert_eq!(
        severity(&rule_of("account_compromise", "")),
        Severity::Critical
    );
    assert_eq!(
        severity(&rule_of("account_compromise", ", severity: info")),
        Severity::Info
    );
    let plain = format!(
        "incident_types: [{{id: plain, domain: infrastructure}}]\n{}",
        rule_of("plain", "")
    );
    assert_eq!(severity(&plain), Severity::Warning);
    let floor = rule_of("database_connectivity_degraded", ", severity: warning");
    assert_eq!(severity(&floor), Severity::Critical);
    assert_eq!(
        problems(&floor),
        [
            "L032 `severity: warning` changes nothing: `database_connectivity_degraded` is always critical"
        ]
    );
}

#[test]
fn a_domain_follows_from_the_type_and_may_not_contradict_it() {
    let rule = |keys: &str| rule_of("registry_pull_failure", keys);
    let set = set(&rule(", domain: infrastructure"));
    assert_eq!(set.rules[0].domain, "infrastructure");
    assert_eq!(
        problems(&rule(", domain: runtime_services")),
        ["R030 `registry_pull_failure` is of the domain `infrastructure`"]
    );
}

/// With the taxonomy, an unknown type is an error with a suggestion.
#[test]
fn semantics_41_an_unknown_type_is_an_error_with_a_suggestion() {
    let sources = [source("mine.yaml", &rule_of("registry_pul_failure", ""))];
    let loaded = load_any(&sources);
    assert!(loaded.set.is_none());
    let [problem] = &loaded.problems[..] else {
        panic!("{:?}", loaded.problems)
    };
    assert_eq!(problem.code, Code::UnknownType);
    assert_eq!(
        problem.help.as_deref(),
        Some("did you mean `registry_pull_failure`?")
    );
    // A default that is wrong is wrong once.
    let two = format!(
        "defaults: {{incident_type: nothing_like_it}}\nrules:\n- {{id: x, {TEXT}}}\n- {{id: y, {TEXT}}}\n"
    );
    assert_eq!(
        problems(&two),
        ["R031 there is no incident type `nothing_like_it`"]
    );
}

#[test]
fn operators_add_domains_and_types_in_any_file() {
    let types = source(
        "types.yaml",
        "domains:
- {id: billing, display_name: Billing, description: Money.}
incident_types:
- id: invoice_stuck
  domain: billing
  display_name: Invoice stuck
  default_severity: critical
  policy:
    automatic: [observe, {contain: pause the run}]
    approval: [{recover: start the run again}]
    human_only: [{disruptive: delete invoices}]
    environments: {demo: {approval: [{contain: pause the run}]}}
",
    );
    let rules = source("rules.yaml", &rule_of("invoice_stuck", ""));
    // In either order: a type may be described after the rules that use it.
    for sources in [[types.clone(), rules.clone()], [rules, types]] {
        for (environment, automatic) in [
            ("staging", &["observe", "notify", "pause the run"][..]),
            ("demo", &["observe", "notify"]),
        ] {
            let loaded = load(&sources, &LoadOptions::of_instance(environment));
            assert_eq!(loaded.problems, []);
            let set = loaded.set.expect("valid");
            let rule = &set.rules[0];
            assert_eq!(
                (&*rule.domain, rule.severity),
                ("billing", Severity::Critical)
            );
            assert_eq!(rule.policy.automatic, automatic, "{environment}");
            assert_eq!(rule.policy.human_only, ["delete invoices"]);
        }
    }
}

#[test]
fn a_shipped_type_may_be_changed_within_the_constraints() {
    let types = "incident_types:
- id: http_error_rate_spike
  default_severity: critical
  description: Ours.
  policy:
    approval: [notify]
    human_only: [{recover: roll back the release}]
    environments: {qa: {automatic: [{contain: take one pod out}]}}
";
    let [automatic, approval, human_only] = advice(
        &format!("{types}{}", rule_of("http_error_rate_spike", "")),
        "qa",
        "x",
    );
    assert_eq!(automatic, ["observe", "take one pod out"]);
    assert_eq!(approval, ["notify", "restart the backend"]);
    assert_eq!(human_only, ["roll back the release"]);
    let loaded = load_any(&[source("mine.yaml", types)]);
    let changed = &loaded.taxonomy.types["http_error_rate_spike"];
    assert_eq!(changed.description.as_deref(), Some("Ours."));
    assert_eq!(
        changed.display_name.as_deref(),
        Some("HTTP error rate spike")
    );
    assert_eq!(changed.severity(None), Severity::Critical);
}

#[test]
fn no_file_changes_the_hard_constraints() {
    for (types, expected) in [
        (
            "{id: http_error_rate_spike, policy: {automatic: [{recover: restart the backend}]}}",
            "R032 `recover` is never automatic: a hard constraint",
        ),
        (
            "{id: mine, domain: infrastructure, policy: {automatic: [disruptive]}}",
            "R032 `disruptive` is never automatic: a hard constraint",
        ),
        (
            "{id: http_error_rate_spike, policy: {environments: {demo: {automatic: [recover]}}}}",
            "R032 `recover` is never automatic: a hard constraint",
        ),
        (
            "{id: database_connectivity_degraded, default_severity: warning}",
            "R032 `database_connectivity_degraded` is always critical: a hard constraint",
        ),
        (
            "{id: database_connectivity_degraded, always_critical: false}",
            "R032 `database_connectivity_degraded` is always critical: a hard constraint",
        ),
    ] {
        assert_eq!(
            problems(&format!("incident_types: [{types}]")),
            [expected],
            "{types}"
        );
    }
    let loosened = problems(
        "incident_types: [{id: identity_provider_unreachable, policy: {approval: [{disruptive: disable authentication}]}}]",
    );
    assert_eq!(loosened.len(), 1);
    assert!(
        loosened[0].starts_with(
            "R032 `disable authentication` is for humans only, as builtin/taxonomy.yaml:"
        ),
        "{loosened:?}"
    );
    // Its own overlay neither.
    let own = problems(
        "incident_types: [{id: mine, domain: infrastructure, policy: {human_only: [{contain: pull the plug}], environments: {demo: {automatic: [{contain: pull the plug}]}}}}]",
    );
    assert_eq!(
        own,
        ["R032 `pull the plug` is for humans only, as mine.yaml:1 says: a hard constraint"]
    );
}

#[test]
fn a_rule_asks_for_looking_telling_and_containing_and_never_for_more() {
    let automatic = |actions: &str| {
        let text = rule_of("node_disk_pressure", &format!(", actions: {actions}"));
        advice(&text, "production", "x")[0].clone()
    };
    assert_eq!(automatic("[observe, notify]"), ["observe", "notify"]);
    assert_eq!(automatic("observe"), ["observe"]);
    // Looking is always allowed.
    assert_eq!(automatic("[notify]"), ["observe", "notify"]);
    assert_eq!(
        automatic("[observe, notify, contain]"),
        [
            "observe",
            "notify",
            "delete finished pods on the allowlist",
            "suspend CronJobs on the allowlist"
        ]
    );
    // A type without such an action gets the class; what repairs stays as it was.
    let contain = rule_of(
        "http_error_rate_spike",
        ", actions: [observe, notify, contain]",
    );
    let [automatic, approval, _] = advice(&contain, "production", "x");
    assert_eq!(automatic, ["observe", "notify", "contain"]);
    assert_eq!(approval, ["restart the backend", "roll back the release"]);
    for (actions, expected) in [
        (
            "[recover]",
            "R032 `recover` is never automatic: a hard constraint",
        ),
        (
            "[observe, disruptive]",
            "R032 `disruptive` is never automatic: a hard constraint",
        ),
        ("[look]", "R008 an item of `actions` cannot be `look`"),
    ] {
        let text = rule_of("node_disk_pressure", &format!(", actions: {actions}"));
        assert_eq!(problems(&text), [expected]);
    }
}

#[test]
fn what_is_for_humans_only_stays_so_whatever_a_rule_asks_for() {
    let text = format!(
        "incident_types: [{{id: mine, domain: infrastructure, policy: {{human_only: [{{contain: pull the plug}}]}}}}]\n{}",
        rule_of("mine", ", actions: [observe, notify, contain]")
    );
    let [automatic, _, human_only] = advice(&text, "demo", "x");
    assert_eq!(automatic, ["observe", "notify"]);
    assert_eq!(human_only, ["pull the plug"]);
}

proptest! {
    /// Whatever an operator's file and a rule say: nothing that repairs or hurts is automatic, and what ships as human only stays.
    #[test]
    fn no_file_that_loads_loosens_what_is_hard(
        said in prop::collection::vec((0usize..3, 0usize..5, 0usize..3, 0usize..3), 0..6),
        profile in 0usize..8,
    ) {
        let mut lists = vec![vec![Vec::new(); 3]; 3];
        for (environment, class, permission, name) in said {
            let class = ActionClass::ALL[class];
            let names = ["disable authentication", "restart backend", "anything"];
            lists[environment][permission].push(format!("{{{class}: {}}}", names[name]));
        }
        let policy = |lists: &[Vec<String>]| {
            let permissions = ["automatic", "approval", "human_only"].iter().zip(lists);
            let given = permissions.filter(|(_, list)| !list.is_empty());
            given.map(|(name, list)| format!("{name}: [{}]", list.join(", "))).collect::<Vec<_>>().join(", ")
        };
        let overlays = format!("environments: {{demo: {{{}}}, production: {{{}}}}}", policy(&lists[1]), policy(&lists[2]));
        let base = policy(&lists[0]);
        let comma = if base.is_empty() { "" } else { ", " };
        let classes: Vec<_> = ["observe", "notify", "contain"].iter().enumerate().filter(|(bit, _)| profile & 1 << bit != 0).map(|(_, class)| *class).collect();
        let actions = if classes.is_empty() { String::new() } else { format!(", actions: [{}]", classes.join(", ")) };
        let text = format!(
            "incident_types: [{{id: identity_provider_unreachable, policy: {{{base}{comma}{overlays}}}}}]\n{}",
            rule_of("identity_provider_unreachable", &actions)
        );
        for environment in ["demo", "staging", "production"] {
            let sources = [source("mine.yaml", &text)];
            let loaded = load(&sources, &LoadOptions::of_instance(environment));
            let Some(set) = loaded.set else { continue };
            let known = &loaded.taxonomy.types["identity_provider_unreachable"];
            let rule = &set.rules[0];
            let profile = rule.actions.clone().map(|classes| Profile { classes, rule: rule.id.clone(), source: rule.source.clone() });
            let policy = known.policy(Some(environment), profile.as_ref());
            prop_assert_eq!(&policy.advice(), &*rule.policy);
            for decision in &policy.decisions {
                if decision.permission == Permission::Automatic {
                    prop_assert!(decision.action.class <= ActionClass::Contain, "{:?}", decision);
                }
            }
            prop_assert!(rule.policy.human_only.contains(&"disable authentication".to_owned()));
        }
    }
}
