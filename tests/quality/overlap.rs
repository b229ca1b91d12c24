//! One cause should be one finding, so a line that one rule catches is that rule's alone, with few exceptions.

use std::collections::BTreeSet;
use std::fmt::Write;

use expect_test::expect;
use trommel::rules::{Condition, Rule};
use trommel::scan::matching_rules;

use super::pack;

/// Whether each matching line is a fault of its own. Rates, steps of sequences and what only proves a point share lines with others.
fn is_of_single_lines(rule: &Rule) -> bool {
    let is_told = rule.suppress.is_empty();
    is_told && matches!(rule.condition, Condition::Count(_))
}

#[test]
fn a_line_that_one_rule_catches_is_no_other_rule_s_but_for_these() {
    let rules = pack::rules();
    let mut pairs = BTreeSet::new();
    for rule in &rules.rules {
        let lines = rule.catches.iter().map(String::as_str);
        for (line, matching) in rule.catches.iter().zip(matching_rules(&rules, lines)) {
            let matching: Vec<_> = matching
                .iter()
                .map(|index| &rules.rules[index.0 as usize])
                .collect();
            let of_itself = matching.iter().any(|other| other.id == rule.id);
            assert!(of_itself, "{} does not catch {line}", rule.id);
            if !is_of_single_lines(rule) {
                continue;
            }
            let others = matching.iter().filter(|other| is_of_single_lines(other));
            pairs.extend(others.map(|other| (&*rule.id, &*other.id)));
        }
    }
    let mut told = String::new();
    for (rule, other) in pairs.iter().filter(|(rule, other)| rule != other) {
        writeln!(told, "{rule}: {other}").expect("a String");
    }
    expect![[r#"
        login_bruteforce: login_failure
        login_failure: login_bruteforce
        node_not_ready: node_pods_lost
        node_pods_lost: node_not_ready
        panic_stacktrace: stacktrace_repeated
        stacktrace_repeated: panic_stacktrace
    "#]]
    .assert_eq(&told);
}
