//! Rules as the API shows them.

use serde::Serialize;

use crate::rules::{Confidence, RuleSet, Severity};
use crate::time::format_duration;

/// The rules of a set, for `/api/v1/rules` and `trommel rules --json`.
#[derive(Debug, Serialize)]
pub struct RuleList<'a> {
    /// Hash over all of them.
    hash: &'a str,
    /// By id.
    rules: Vec<RuleView<'a>>,
}

#[derive(Debug, Serialize)]
struct RuleView<'a> {
    id: &'a str,
    name: Option<&'a str>,
    description: Option<&'a str>,
    owner: Option<&'a str>,
    version: Option<&'a str>,
    condition: String,
    by: &'a [String],
    #[serde(rename = "for")]
    hold: String,
    severity: Severity,
    confidence: Confidence,
    cooldown: String,
    domain: &'a str,
    incident_type: &'a str,
    runbook: Option<&'a str>,
    hash: &'a str,
    source: String,
    /// Whether its selector has matched no stream for a day of running.
    unselected: bool,
}

/// What people and programs want to know of the rules in use; `unselected` are the ids of those that had no stream for long.
#[must_use]
pub fn rule_list<'a>(rules: &'a RuleSet, unselected: &[String]) -> RuleList<'a> {
    RuleList {
        hash: &rules.hash,
        rules: rules
            .rules
            .iter()
            .map(|rule| RuleView {
                id: &rule.id,
                name: rule.name.as_deref(),
                description: rule.description.as_deref(),
                owner: rule.owner.as_deref(),
                version: rule.version.as_deref(),
                condition: rule.condition.to_string(),
                by: &rule.by,
                hold: format_duration(rule.hold),
                severity: rule.severity,
                confidence: rule.confidence,
                cooldown: format_duration(rule.cooldown),
                domain: &rule.domain,
                incident_type: &rule.incident_type,
                runbook: rule.runbook.as_deref(),
                hash: &rule.hash,
                source: format!("{}:{}", rule.source.file, rule.source.line),
                unselected: unselected.contains(&rule.id),
            })
            .collect(),
    }
}
