//! Rules as the API shows them, and how things stand with them and the settings.

use serde::Serialize;

use crate::reload::{Standing, Status};
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

/// When files were taken, and what was wrong with newer ones.
#[derive(Debug, Serialize)]
struct StandingView<'a> {
    loaded_at: String,
    /// What newer files were refused for: a line for each thing. Null when there are none.
    error: Option<&'a str>,
    error_at: Option<String>,
}

impl<'a> StandingView<'a> {
    fn new(standing: &'a Standing) -> Self {
        let refused = standing.refused.as_ref();
        Self {
            loaded_at: standing.loaded_at.to_string(),
            error: refused.map(|(_, why)| &**why),
            error_at: refused.map(|(at, _)| at.to_string()),
        }
    }
}

/// `/api/v1/rules`.
#[derive(Debug, Serialize)]
pub(super) struct RulesAnswer<'a> {
    #[serde(flatten)]
    standing: StandingView<'a>,
    #[serde(flatten)]
    list: RuleList<'a>,
}

pub(super) fn rules_answer<'a>(
    rules: &'a RuleSet,
    unselected: &[String],
    status: &'a Status,
) -> RulesAnswer<'a> {
    RulesAnswer {
        standing: StandingView::new(&status.rules),
        list: rule_list(rules, unselected),
    }
}

/// `/api/v1/config`.
#[derive(Debug, Serialize)]
pub(super) struct ConfigAnswer<'a> {
    #[serde(flatten)]
    standing: StandingView<'a>,
    /// Settings that are written otherwise than they are in use.
    after_restart: &'a [String],
}

pub(super) fn config_answer(status: &Status) -> ConfigAnswer<'_> {
    ConfigAnswer {
        standing: StandingView::new(&status.config),
        after_restart: &status.after_restart,
    }
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
