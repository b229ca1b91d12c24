//! Rules as the API shows them, and how things stand with them and the settings.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use crate::reload::Standing;
use crate::rules::{Confidence, Rule, RuleSet, Severity};
use crate::time::format_duration;
use crate::web::Admin;

/// The rules of a set, for `/api/v1/rules` and `trommel rules --json`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RuleList {
    /// Hash over all of them.
    hash: String,
    /// By id.
    rules: Vec<RuleView>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Rule")]
struct RuleView {
    id: String,
    name: Option<String>,
    /// What it means, likely causes, first steps.
    description: Option<String>,
    owner: Option<String>,
    /// The author's version.
    version: Option<String>,
    /// In words.
    condition: String,
    /// What there is one finding for each of.
    by: Vec<String>,
    /// How long the condition must hold.
    #[serde(rename = "for")]
    hold: String,
    severity: Severity,
    confidence: Confidence,
    /// Least time between two messages about one finding.
    cooldown: String,
    domain: String,
    incident_type: String,
    runbook: Option<String>,
    /// Over the whole resolved rule.
    hash: String,
    /// File and line.
    source: String,
    /// Whether its selector has matched no stream for a day of running.
    unselected: bool,
}

/// When files were taken, and what was wrong with newer ones.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct StandingView {
    #[schemars(extend("format" = "date-time"))]
    loaded_at: String,
    /// What newer files were refused for: a line for each thing. Null when there are none.
    error: Option<String>,
    error_at: Option<String>,
}

impl From<&Standing> for StandingView {
    fn from(standing: &Standing) -> Self {
        let refused = standing.refused.as_ref();
        Self {
            loaded_at: standing.loaded_at.to_string(),
            error: refused.map(|(_, why)| why.clone()),
            error_at: refused.map(|(at, _)| at.to_string()),
        }
    }
}

/// `/api/v1/rules`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Rules {
    #[serde(flatten)]
    standing: StandingView,
    #[serde(flatten)]
    list: RuleList,
}

/// `GET /api/v1/rules`.
pub(super) async fn rules(State(admin): State<Arc<Admin>>) -> Json<Rules> {
    let rules = admin.rules.borrow().clone();
    let unselected = admin.unselected.borrow().clone();
    Json(Rules {
        standing: StandingView::from(&admin.status.borrow().rules),
        list: rule_list(&rules, &unselected),
    })
}

/// `/api/v1/config`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ConfigAnswer {
    #[serde(flatten)]
    standing: StandingView,
    /// Settings that are written otherwise than they are in use.
    after_restart: Vec<String>,
}

/// `GET /api/v1/config`.
pub(super) async fn config(State(admin): State<Arc<Admin>>) -> Json<ConfigAnswer> {
    let status = admin.status.borrow();
    Json(ConfigAnswer {
        standing: StandingView::from(&status.config),
        after_restart: status.after_restart.clone(),
    })
}

/// What people and programs want to know of the rules in use; `unselected` are the ids of those that had no stream for long.
#[must_use]
pub fn rule_list(rules: &RuleSet, unselected: &[String]) -> RuleList {
    let view = |rule: &Rule| RuleView {
        id: rule.id.clone(),
        name: rule.name.clone(),
        description: rule.description.clone(),
        owner: rule.owner.clone(),
        version: rule.version.clone(),
        condition: rule.condition.to_string(),
        by: rule.by.clone(),
        hold: format_duration(rule.hold),
        severity: rule.severity,
        confidence: rule.confidence,
        cooldown: format_duration(rule.cooldown),
        domain: rule.domain.clone(),
        incident_type: rule.incident_type.clone(),
        runbook: rule.runbook.clone(),
        hash: rule.hash.clone(),
        source: format!("{}:{}", rule.source.file, rule.source.line),
        unselected: unselected.contains(&rule.id),
    };
    RuleList {
        hash: rules.hash.clone(),
        rules: rules.rules.iter().map(|rule| view(rule)).collect(),
    }
}
