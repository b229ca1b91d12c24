//! What becomes of a finding once it is open, as rules say it.

use std::num::NonZeroU64;
use std::time::Duration;

use super::{errors, rule};
use crate::rules::*;
use crate::time::Timestamp;

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn severity_rises_by_age_count_different_values_and_by_a_line() {
    let rule = rule(
        "match: refused
  by: [node]
  threshold: 5 distinct pod in 10m
  escalate:
  - {to: critical, after: 10m}
  - {to: warning, threshold: 50 in 10m}
  - {to: critical, threshold: '> 1 distinct node in 10m'}
  - {to: critical, threshold: 9 distinct pod in 1h}
  - {to: critical, match: {any: [kube-system, ingress], none: [{re: 'dry.run'}]}}
  severity: info",
    );
    let shown: Vec<_> = rule
        .escalate
        .iter()
        .map(|escalation| {
            let when = match &escalation.when {
                EscalateWhen::After(time) => format!("after {time:?}"),
                EscalateWhen::Count(threshold) => threshold.to_string(),
                EscalateWhen::Distinct(distinct) => {
                    format!("value {} {:?}", distinct.value, distinct.threshold)
                }
                EscalateWhen::Match(matches) => {
                    format!("match {} {}", matches.any.len(), matches.none.len())
                }
            };
            format!("{} {when}\n", escalation.to)
        })
        .collect();
    expect_test::expect![[r#"
        critical after 600s
        warning 50 in 10m
        critical value 1 Threshold { needs: AtLeast(2), window: 600s }
        critical value 0 Threshold { needs: AtLeast(9), window: 3600s }
        critical match 2 1
    "#]]
    .assert_eq(&shown.concat());
    // Each name once, the condition's own first.
    assert_eq!(rule.values, ["pod", "node"]);
    assert_eq!(rule.escalating_matches().count(), 1);
    assert_eq!(rule.severity, Severity::Info);
}

#[test]
fn an_escalation_alone_needs_no_list() {
    let rule = rule("match: refused\n  escalate: {to: critical, threshold: 7 in 1m}");
    let [escalation] = &rule.escalate[..] else {
        panic!("{:?}", rule.escalate)
    };
    let EscalateWhen::Count(threshold) = escalation.when else {
        panic!("{escalation:?}")
    };
    assert_eq!(threshold.window, MINUTE);
    assert_eq!(
        threshold.needs,
        Needs::AtLeast(NonZeroU64::new(7).expect("positive"))
    );
}

#[test]
fn sixteen_escalating_matches_are_the_most() {
    let rule_with = |matches: usize| {
        let item = "{to: critical, match: a text}";
        format!(
            "match: refused\n  escalate: [{}]",
            [item].repeat(matches).join(", ")
        )
    };
    assert_eq!(rule(&rule_with(16)).escalating_matches().count(), 16);
    assert_eq!(
        errors(&rule_with(17)),
        ["`escalate` has more than 16 matches"]
    );
}

#[test]
fn an_absent_or_correlated_finding_escalates_by_age_only() {
    for keys in [
        "absent: 15m",
        "correlate: {within: 5m, all: [certificate_mismatch_of_another_kind]}",
    ] {
        let escalate = "escalate: [{to: critical, threshold: 5 in 10m}]";
        let errors = errors(&format!("{keys}\n  {escalate}"));
        assert!(
            errors
                .iter()
                .any(|error| error.contains("`threshold` never happens")),
            "{errors:?}"
        );
    }
    let rule = rule("absent: 15m\n  escalate: [{to: critical, after: 1h}]");
    assert_eq!(rule.escalate.len(), 1);
}

#[test]
fn windows_of_suppression_are_a_text_or_a_list() {
    let one = rule("match: refused\n  suppress: 2026-12-24T00:00Z/2026-12-26T00:00Z");
    let at: Timestamp = "2026-12-25T12:00:00Z".parse().expect("a time");
    let end: Timestamp = "2026-12-26T00:00:00Z".parse().expect("a time");
    assert_eq!(one.suppress.len(), 1);
    assert_eq!(one.suppress[0].until(at), Some(end));
    let two = rule(
        "match: refused\n  suppress: [Sun 10:00-12:00 Europe/Moscow, Mon-Fri 02:00-03:00 UTC]",
    );
    assert_eq!(two.suppress.len(), 2);
    assert_eq!(
        errors("match: refused\n  suppress: Sun 10:00-12:00").len(),
        1
    );
}

#[test]
fn what_is_carried_to_messages_and_the_bounds_of_a_rule_are_read() {
    let rule = rule(
        "match: refused
  route: team-a
  hints: [stale_ldap_host, a look at the directory]
  tags: ldap
  late_by: 1h
  keys_max: 1000000",
    );
    assert_eq!(rule.route.as_deref(), Some("team-a"));
    assert_eq!(rule.hints, ["stale_ldap_host", "a look at the directory"]);
    assert_eq!(rule.tags, ["ldap"]);
    assert_eq!(
        (rule.late_by, rule.keys_max),
        (Some(60 * MINUTE), Some(1_000_000))
    );
    for (wrong, error) in [
        (
            "late_by: 61m",
            "`late_by` is 1h at most: timers wait that long",
        ),
        ("keys_max: 0", "`keys_max` is a number from 1 to 1000000"),
        (
            "keys_max: 1000001",
            "`keys_max` is a number from 1 to 1000000",
        ),
        (
            "route: [a, b]",
            "`route` must be one text, and this is a list",
        ),
    ] {
        assert_eq!(errors(&format!("match: refused\n  {wrong}")), [error]);
    }
}

/// `recover: {match}` without `after` means no quiet recovery.
#[test]
fn semantics_20_a_finding_ends_by_quiet_by_a_line_by_both_or_never() {
    let recover = |text: &str| rule(&format!("match: refused\n  recover: {text}")).recover;
    assert_eq!(recover("10m").quiet(), Some(10 * MINUTE));
    assert_eq!(recover("{after: 10m}").quiet(), Some(10 * MINUTE));
    assert!(matches!(recover("never"), Recover::Never));
    let both = recover("{after: 10m, match: {all: [restored, {re: 'o.k'}]}}");
    assert_eq!(both.quiet(), Some(10 * MINUTE));
    let Recover::Match { when, .. } = both else {
        panic!("{both:?}")
    };
    assert_eq!(when.all.len(), 2);
    // Without `after`, quiet ends nothing.
    assert!(matches!(
        recover("{match: restored}"),
        Recover::Match { after: None, .. }
    ));
}
