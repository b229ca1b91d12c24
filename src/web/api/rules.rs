//! Rules as the API shows them, and how things stand with them and the settings.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::reload::Standing;
use crate::rules::{Confidence, Problem, Rule, RuleSet, Severity, WhyOff};
use crate::telemetry::OfRule;
use crate::time::Timestamp;
use crate::time::format_duration;
use crate::web::Admin;

/// The rules of a set, for `/api/v1/rules` and `trommel rules --json`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RuleList {
    /// Hash over all of them.
    hash: String,
    /// Those in use, by id.
    rules: Vec<RuleView>,
    /// Those that the files have and that are off here, by id.
    off: Vec<RuleView>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Rule")]
pub(in crate::web) struct RuleView {
    id: String,
    name: Option<String>,
    /// What it means, likely causes, first steps.
    description: Option<String>,
    owner: Option<String>,
    /// The author's version.
    version: Option<String>,
    /// Which streams it reads; empty for all.
    selector: String,
    /// Which of those it leaves out.
    unless: Option<String>,
    /// What kind of rule it is: `threshold`, `absent`, `sequence` and so on.
    class: &'static str,
    /// In words.
    condition: String,
    /// What there is one finding for each of.
    by: Vec<String>,
    /// The environments that it is for; empty for all of them.
    environments: Vec<String>,
    /// Why it is off; not there where it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    off: Option<WhyOff>,
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
    /// What is probably not meant so. `trommel check` also tells of lines that several rules match.
    warnings: Vec<Problem>,
    /// What it has done; not there where nothing runs or the database is busy.
    #[serde(skip_serializing_if = "Option::is_none")]
    activity: Option<RuleActivity>,
}

/// What a rule has done.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub(in crate::web) struct RuleActivity {
    /// Matches of the last day, as far as matches are recorded.
    pub(in crate::web) matches_day: u64,
    /// Findings that changed in the last day.
    pub(in crate::web) findings_day: u64,
    /// Findings that are open.
    pub(in crate::web) open: u64,
    /// The minute of its last match, of those that are recorded.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    #[serde(serialize_with = "time")]
    pub(in crate::web) last_match: Option<Timestamp>,
    /// When a finding of its last changed.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    #[serde(serialize_with = "time")]
    pub(in crate::web) last_finding: Option<Timestamp>,
    /// What it costs: entries since the start that held a text of its and were looked at closely.
    pub(in crate::web) candidates: u64,
    /// Those of them that matched and counted.
    pub(in crate::web) confirmed: u64,
    /// About how long it took to look at them, in seconds: one look in 61 is timed. Zero where too few were to know. The search for texts,
    /// which all rules share, is not in it.
    pub(in crate::web) seconds: f64,
}

fn time<S: Serializer>(at: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    at.map(|at| at.to_string()).serialize(to)
}

/// What the rules have done, by id. Nothing where the database is busy.
pub(in crate::web) async fn activity(admin: &Admin) -> Option<HashMap<String, RuleActivity>> {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let since = admin.trying.now().minus(DAY);
    let known = admin
        .archive
        .ask(move |reader| reader.activity(since))
        .await;
    let mut rules: HashMap<String, RuleActivity> = known
        .ok()?
        .into_iter()
        .map(|(rule, known)| {
            let activity = RuleActivity {
                matches_day: known.matches,
                findings_day: known.findings,
                open: known.open,
                last_match: known.last_match,
                last_finding: known.last_finding,
                ..RuleActivity::default()
            };
            (rule, activity)
        })
        .collect();
    for (rule, counted) in admin.telemetry.by_rule() {
        let OfRule {
            matches,
            candidates,
            time,
        } = counted;
        let activity = rules.entry(rule).or_default();
        activity.candidates = candidates;
        activity.confirmed = matches;
        activity.seconds = time.as_secs_f64();
    }
    Some(rules)
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
    let activity = activity(&admin).await;
    let mut list = rule_list(&rules, &unselected);
    if let Some(mut activity) = activity {
        for rule in &mut list.rules {
            rule.activity = Some(activity.remove(&rule.id).unwrap_or_default());
        }
    }
    Json(Rules {
        standing: StandingView::from(&admin.status.borrow().rules),
        list,
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
    let warnings = rules.warnings_by_rule();
    let view = |rule: &Rule, off: Option<WhyOff>| {
        let warnings = warnings.get(&*rule.id).map_or(&[][..], Vec::as_slice);
        RuleView {
            off,
            ..view(rule, unselected.contains(&rule.id), warnings)
        }
    };
    RuleList {
        hash: rules.hash.clone(),
        rules: rules.rules.iter().map(|rule| view(rule, None)).collect(),
        off: rules
            .off
            .iter()
            .map(|it| view(&it.rule, Some(it.why)))
            .collect(),
    }
}

/// What there is to know of `rule`; `unselected` tells whether it has had no stream for long, `warnings` are about it.
pub(in crate::web) fn view(rule: &Rule, unselected: bool, warnings: &[&Problem]) -> RuleView {
    RuleView {
        id: rule.id.clone(),
        name: rule.name.clone(),
        description: rule.description.clone(),
        owner: rule.owner.clone(),
        version: rule.version.clone(),
        selector: rule.selector.to_string(),
        unless: rule.unless.as_ref().map(ToString::to_string),
        class: rule.condition.class(),
        condition: rule.condition.to_string(),
        by: rule.by.clone(),
        environments: rule.environments.clone(),
        off: None,
        hold: format_duration(rule.hold),
        severity: rule.severity,
        confidence: rule.confidence,
        cooldown: format_duration(rule.cooldown),
        domain: rule.domain.clone(),
        incident_type: rule.incident_type.clone(),
        runbook: rule.runbook.clone(),
        hash: rule.hash.clone(),
        source: format!("{}:{}", rule.source.file, rule.source.line),
        unselected,
        warnings: warnings.iter().copied().cloned().collect(),
        activity: None,
    }
}
