//! What a revision says: the finding's fields from a key's state. No decisions are made here.

use std::collections::BTreeMap;

use super::lifecycle::Episode;
use super::step::Context;
use crate::finding::{
    self, Counts, Coverage, Detector, Evidence, EvidenceLine, Finding, LogsLink, Policy, Reason,
    RuleRef, State, SummaryValues,
};
use crate::rules::Rule;
use crate::time::Timestamp;

/// The tenant of findings about trommel itself: no header can hold a line end, so nobody else has it. Shown as none.
pub const OWN_TENANT: &str = "\ntrommel";

fn tenant<'a>(cx: &Context<'a>) -> &'a str {
    if cx.tenant == OWN_TENANT {
        ""
    } else {
        cx.tenant
    }
}

fn dedupe_key(cx: &Context<'_>) -> String {
    finding::dedupe_key(&cx.rule.id, &cx.rule.by, cx.key)
}

/// What all findings of this key are known by.
pub(super) fn finding_key(cx: &Context<'_>) -> String {
    finding::finding_key(&cx.origin.cluster, tenant(cx), &dedupe_key(cx))
}

/// The id of the finding that opens at `at`.
pub(super) fn finding_id(cx: &Context<'_>, at: Timestamp) -> String {
    finding::finding_id(&cx.origin.cluster, tenant(cx), &dedupe_key(cx), at)
}

/// The revision that `episode` has come to at `at`.
pub(super) fn finding(
    cx: &Context<'_>,
    episode: &Episode,
    reason: Reason,
    at: Timestamp,
    window_count: u64,
    captures: &[(Box<str>, Box<str>)],
    lines: Vec<EvidenceLine>,
) -> Finding {
    let rule = cx.rule;
    let state = match episode.recovered_at {
        Some(_) => State::Recovered,
        None => State::Open,
    };
    let window = rule.condition.window();
    // A recovery is of the whole finding, everything else of the window.
    let count = match state {
        State::Recovered => episode.total,
        State::Open => window_count,
    };
    let dedupe_key = dedupe_key(cx);
    let by_labels = by_labels(cx, &lines);
    let unseen_from = at.minus(window).min(episode.last_message);
    let coverage = if cx.clock.has_gap(unseen_from, at) {
        Coverage::Gap
    } else {
        Coverage::Complete
    };
    Finding {
        schema_version: 1,
        finding_id: episode.finding_id.clone(),
        revision: episode.revision,
        state,
        reason,
        source: "logs".to_owned(),
        domain: episode.domain.clone(),
        incident_type: episode.incident_type.clone(),
        severity: episode.severity,
        severity_max: episode.severity_max,
        confidence: rule.confidence,
        summary: finding::summarize(
            &SummaryValues {
                rule,
                key: cx.key,
                captures,
                count,
                state,
            },
            cx.redactor,
        ),
        finding_key: finding::finding_key(&cx.origin.cluster, tenant(cx), &dedupe_key),
        dedupe_key,
        resource_scope: scope(cx),
        rule: rule_ref(rule),
        counts: Counts {
            window: window_count,
            window_seconds: window.as_secs(),
            total: episode.total,
            since_last_message: episode.since_message,
            suppressed: episode.suppressed,
            late: episode.late,
            duplicates_dropped: episode.duplicates,
            flaps: episode.flaps,
        },
        first_seen: episode.first_seen,
        last_seen: episode.last_seen,
        observed_at: episode.observed_at,
        recovered_at: episode.recovered_at,
        evidence: Evidence {
            redacted: true,
            truncated: false,
            lines,
        },
        logs: LogsLink::new(
            rule,
            by_labels,
            episode.first_seen,
            episode.last_seen,
            cx.origin,
        ),
        policy: Policy {
            automatic: rule.policy.automatic.clone(),
            approval: rule.policy.approval.clone(),
            human_only: rule.policy.human_only.clone(),
        },
        runbook: rule.runbook.clone(),
        route: rule.route.clone(),
        hints: rule.hints.clone(),
        related: episode.related.clone(),
        detector: Detector {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            coverage,
        },
        time: at,
    }
}

/// The `by` names that are labels of the streams that matched, of all that are quoted: a query in Loki can ask for them. What one
/// stream has as a label may be derived from the lines of another.
fn by_labels<'a>(cx: &Context<'a>, lines: &[EvidenceLine]) -> Vec<(&'a str, &'a str)> {
    let by = cx.rule.by.iter().map(String::as_str).zip(cx.key);
    by.filter(|(name, value)| {
        let mut labels = lines.iter().map(|line| line.labels.get(*name));
        !lines.is_empty() && labels.all(|label| label.is_some_and(|label| label == value))
    })
    .collect()
}

pub(super) fn scope(cx: &Context<'_>) -> BTreeMap<String, String> {
    let configured = [
        ("cluster", cx.origin.cluster.as_str()),
        ("environment", cx.origin.environment.as_str()),
        ("tenant", tenant(cx)),
    ];
    let by = cx.rule.by.iter().map(String::as_str).zip(cx.key);
    let mut scope: BTreeMap<String, String> = configured
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    for (name, value) in by {
        // An entry without a `cluster` label is still of the configured cluster.
        let known = scope.entry(name.to_owned()).or_default();
        if !value.is_empty() {
            value.clone_into(known);
        }
    }
    scope
}

fn rule_ref(rule: &Rule) -> RuleRef {
    RuleRef {
        id: rule.id.clone(),
        version: rule.version.clone(),
        hash: rule.hash.clone(),
        owner: rule.owner.clone(),
        class: rule.condition.class().to_owned(),
        condition: rule.condition.to_string(),
    }
}

/// A finding that ended unannounced at `at`: for the record, not for sending.
pub(super) fn ended(told: Finding, cx: &Context<'_>, at: Timestamp) -> Finding {
    Finding {
        finding_key: finding_key(cx),
        state: State::Recovered,
        reason: Reason::Quiet,
        recovered_at: Some(at),
        time: at,
        ..told
    }
}

/// The last revision of a finding whose rule is gone: as it was last told, with what has been counted since.
pub(super) fn rule_removed(
    told: Finding,
    episode: &Episode,
    at: Timestamp,
    cluster: &str,
    tenant: &str,
) -> Finding {
    let tenant = if tenant == OWN_TENANT { "" } else { tenant };
    Finding {
        finding_key: finding::finding_key(cluster, tenant, &told.dedupe_key),
        revision: told.revision + 1,
        state: State::Recovered,
        reason: Reason::RuleRemoved,
        recovered_at: Some(at),
        counts: Counts {
            total: episode.total,
            since_last_message: episode.since_message,
            suppressed: episode.suppressed,
            late: episode.late,
            duplicates_dropped: episode.duplicates,
            ..told.counts
        },
        first_seen: episode.first_seen,
        last_seen: episode.last_seen,
        time: at,
        ..told
    }
}
