//! Which rules match lines, and why others that come near do not.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::backtest::{TriedEvent, told};
use super::{GoOn, Terms, TooLong};
use crate::batch::{Batch, Stream};
use crate::detect::Settings;
use crate::explain::{Explainer, Nearness, Outcome, Told};
use crate::playback::Playback;
use crate::rules::{OWN_PREFIX, RuleSet};
use crate::scan::{Glance, Line, Scanner};
use crate::time::Timestamp;

/// Rules that are named of a line because it came near them.
const NEAR_MAX: usize = 5;
/// Findings that are told.
const FINDINGS_MAX: usize = 100;
/// How far apart the lines are, as far as windows go: as if somebody had just logged them all.
const STEP: Duration = Duration::from_millis(1);

/// What is asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The stream that the lines are of.
    pub stream: Arc<Stream>,
    /// The lines, as they would be sent.
    pub lines: Vec<String>,
    /// The one rule that is asked about; without it all are.
    pub rule: Option<String>,
}

/// What rules make of lines.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Explanation {
    /// How many rules were asked.
    pub rules: usize,
    /// Of each line, in order.
    pub lines: Vec<LineAnswer>,
    /// What would open, were the lines logged now, a millisecond apart, and nothing else.
    pub findings: Vec<TriedEvent>,
    /// How often a rule was asked everything about a line: of the work most.
    #[serde(skip)]
    #[schemars(skip)]
    pub questions: usize,
}

/// What rules make of a line.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LineAnswer {
    /// The line.
    pub line: String,
    /// Rules to which it does something; of one rule that was asked about, in any case.
    pub rules: Vec<RuleAnswer>,
    /// Rules that it came near, the nearest first; at most five.
    pub near: Vec<NearRule>,
    /// Rules that it came near beside those.
    pub more_near: usize,
}

/// What one rule makes of a line.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RuleOfLine")]
pub struct RuleAnswer {
    /// The rule's id.
    pub rule: String,
    /// All there is to say.
    #[serde(flatten)]
    pub told: Told,
}

/// Why a rule that a line came near does not match it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NearRule {
    /// The rule's id.
    pub rule: String,
    /// What is in the way.
    pub reason: String,
    /// What the line or its stream has in place of what is wanted.
    pub value: Option<String>,
    #[serde(skip)]
    #[schemars(skip)]
    nearness: Option<Nearness>,
}

/// Asks `rules` about the lines, as if they came from `now` on. Where not one is meant, only those are asked everything about a line
/// that it has something for: of the others there is nothing to say.
///
/// # Errors
/// [`TooLong`] when `go_on` says so.
pub fn explain(
    rules: &Arc<RuleSet>,
    terms: &Terms,
    asked: &Asked,
    now: Timestamp,
    go_on: GoOn<'_>,
) -> Result<Explanation, TooLong> {
    let glance = asked.rule.is_none().then(|| Glance::new(rules));
    explain_after(glance.as_ref(), rules, terms, asked, now, go_on)
}

/// Asks everything where `glance` says that there is something to ask; without one everywhere.
pub(super) fn explain_after(
    glance: Option<&Glance<'_>>,
    rules: &Arc<RuleSet>,
    terms: &Terms,
    asked: &Asked,
    now: Timestamp,
    go_on: GoOn<'_>,
) -> Result<Explanation, TooLong> {
    let mut batch = Batch::default();
    let mut at = now;
    for line in &asked.lines {
        batch.push(&asked.stream, at, line.as_bytes(), &[]);
        at = at.plus(STEP);
    }
    let lines = asked.lines.iter().map(|line| LineAnswer {
        line: line.clone(),
        rules: Vec::new(),
        near: Vec::new(),
        more_near: 0,
    });
    let mut answers: Vec<LineAnswer> = lines.collect();
    let lines = || {
        batch
            .entries
            .iter()
            .map(|entry| Line::of(&batch, &asked.stream, entry))
    };
    let mut rules_for = Vec::new();
    for line in lines() {
        in_time(go_on)?;
        rules_for.push(glance.map(|glance| glance.rules_for(&line)));
    }
    let (mut count, mut questions) = (0, 0);
    let wanted = rules.iter().filter(|(_, rule)| {
        let is_asked = asked.rule.as_ref().is_none_or(|asked| *asked == rule.id);
        is_asked && !rule.id.starts_with(OWN_PREFIX)
    });
    for (place, rule) in wanted {
        count += 1;
        let mut explainer = Explainer::new(rules, rule, &terms.exclude);
        for (n, line) in lines().enumerate() {
            in_time(go_on)?;
            let entry = &batch.entries[n];
            let id = entry.id(&asked.stream, batch.bytes(entry.line));
            let asks = |rules: &Vec<_>| rules.binary_search(&place).is_ok();
            if !rules_for[n].as_ref().is_none_or(asks) {
                explainer.pass(&line, id, Some(entry.at));
                continue;
            }
            questions += 1;
            let report = explainer.line(&line, id, Some(entry.at));
            let answer = &mut answers[n];
            let does_nothing = matches!(report.outcome, Outcome::Nothing | Outcome::Denominator);
            if asked.rule.is_some() || !does_nothing {
                answer.rules.push(RuleAnswer {
                    rule: rule.id.clone(),
                    told: Told::of(rule, &report, line.bytes),
                });
            } else if let Some(miss) = report.miss.filter(|miss| miss.nearness > Nearness::Field) {
                answer.add_near(NearRule {
                    rule: rule.id.clone(),
                    reason: miss.reason,
                    value: miss.value,
                    nearness: Some(miss.nearness),
                });
            }
        }
    }
    Ok(Explanation {
        rules: count,
        lines: answers,
        findings: findings(rules, terms, &batch, asked)?,
        questions,
    })
}

fn in_time(go_on: GoOn<'_>) -> Result<(), TooLong> {
    if go_on() { Ok(()) } else { Err(TooLong) }
}

impl LineAnswer {
    /// Keeps the nearest ones.
    fn add_near(&mut self, near: NearRule) {
        let place = self
            .near
            .partition_point(|other| other.nearness >= near.nearness);
        self.near.insert(place, near);
        if self.near.len() > NEAR_MAX {
            self.near.pop();
            self.more_near += 1;
        }
    }
}

/// What would open.
fn findings(
    rules: &Arc<RuleSet>,
    terms: &Terms,
    batch: &Batch,
    asked: &Asked,
) -> Result<Vec<TriedEvent>, TooLong> {
    let scanner = Scanner::new(Arc::clone(rules)).excluding(terms.exclude.clone());
    let mut playback = Playback::new(scanner, Settings::replay(terms.origin.clone()));
    let mut findings = Vec::new();
    for entry in &batch.entries {
        let line = batch.bytes(entry.line);
        if let Some(scanned) = playback.add(&asked.stream, entry.at, line, &[]) {
            findings.extend(playback.apply(scanned).findings);
        }
    }
    if let Some(scanned) = playback.flush() {
        findings.extend(playback.apply(scanned).findings);
    }
    if let Some(newest) = playback.newest() {
        findings.extend(playback.finish(newest).findings);
    }
    let concerned = findings.iter().filter(|finding| {
        let is_asked = |asked: &String| *asked == finding.rule.id;
        asked.rule.as_ref().is_none_or(is_asked)
    });
    Ok(concerned.take(FINDINGS_MAX).map(told).collect())
}
