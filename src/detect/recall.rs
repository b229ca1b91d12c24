//! Open findings that a detector without state is told of: what was announced before its memory was lost.

use std::sync::Arc;

use super::coverage::Clock;
use super::detector::Detector;
use super::keys::Tenant;
use super::lifecycle::{Episode, Joined, KeyState};
use super::reload::Kept;
use super::report::{self, OWN_TENANT};
use crate::finding::{self, Finding};
use crate::hit::{Key, RuleIndex};
use crate::rules::{Recover, Rule};
use crate::time::Timestamp;

/// A finding with its place here.
struct Placed {
    finding: Finding,
    tenant: Arc<str>,
    /// Its rule and the values of the rule's `by`, if there still is such a rule.
    place: Option<(RuleIndex, Key)>,
}

impl Detector {
    /// Nothing is known of what was logged before `now`: findings whose windows reach back further say so.
    pub fn begin_unseen(&mut self, now: Timestamp) {
        self.lose(Timestamp::MIN, now);
    }

    /// Goes on with `findings`, which were open when they were last told of, as if it had told of them; it has seen nothing else. Quiet that
    /// may have been before `now` counts for none of them, since nobody saw it. Those of rules that are gone end, and one-shot events
    /// that are over are left out.
    ///
    /// Returns how many do not belong here: of another cluster, or cut so short that their key cannot be told.
    pub fn recall(&mut self, findings: Vec<Finding>, now: Timestamp) -> usize {
        self.begin_unseen(now);
        let count = findings.len();
        let placed: Vec<Placed> = findings
            .into_iter()
            .filter_map(|finding| self.place(finding))
            .collect();
        let foreign = count - placed.len();
        for Placed {
            finding,
            tenant,
            place,
        } in &placed
        {
            if !self.tenants.contains_key(tenant) {
                let clock = Clock::unseen_before(now);
                self.changes.save_clock(tenant, &clock);
                let begun = Tenant::new(clock, now);
                self.tenants.insert(Arc::clone(tenant), begun);
            }
            let Some((index, key)) = place else {
                let episode = Episode::recalled(finding);
                let cluster = &self.settings.origin.cluster;
                let ended = report::rule_removed(finding.clone(), &episode, now, cluster, tenant);
                self.changes.tell(&ended);
                continue;
            };
            let rule = Arc::clone(self.rules.rule(*index));
            if is_over(&rule, finding, now) {
                continue;
            }
            let joined = joined(finding, &placed, &self.rules.rules);
            let kept = Kept {
                tenant: Arc::clone(tenant),
                by_values: key.clone(),
                meaning: self.states[index.0 as usize].meaning,
                by: rule.by.clone(),
                state: Box::new(KeyState::recalled(&rule, finding, joined, now)),
                stored: false,
            };
            self.changes.recalled.push(finding.clone());
            self.keep(Some(*index), &rule.id, kept);
        }
        self.settle_in();
        foreign
    }

    fn place(&self, finding: Finding) -> Option<Placed> {
        let known = self.rules.find(&finding.rule.id);
        let shown = finding.resource_scope.get("tenant")?;
        let tenant: Arc<str> = match known {
            Some((_, rule)) if rule.is_own() => OWN_TENANT.into(),
            _ => shown.as_str().into(),
        };
        let cluster = &self.settings.origin.cluster;
        if finding::finding_key(cluster, shown, &finding.dedupe_key) != finding.finding_key {
            return None;
        }
        let place = known.and_then(|(index, rule)| Some((index, key(rule, &finding)?)));
        Some(Placed {
            finding,
            tenant,
            place,
        })
    }
}

/// The values of the rule's `by`, if they are what the finding is named by.
fn key(rule: &Rule, finding: &Finding) -> Option<Key> {
    let scope = |name: &String| finding.resource_scope.get(name).map_or("", String::as_str);
    // An entry without the label `cluster` is shown with the configured one.
    let configured = ["cluster", "environment", "tenant"];
    let bare = |name: &String| {
        if configured.contains(&name.as_str()) {
            ""
        } else {
            scope(name)
        }
    };
    let readings: [Key; 2] = [
        rule.by.iter().map(scope).collect(),
        rule.by.iter().map(bare).collect(),
    ];
    let mut readings = readings.into_iter();
    readings.find(|key| finding::dedupe_key(&rule.id, &rule.by, key) == finding.dedupe_key)
}

/// A one-shot event is over without a word.
fn is_over(rule: &Rule, finding: &Finding, now: Timestamp) -> bool {
    matches!(rule.recover, Recover::Never) && finding.last_seen.plus(rule.cooldown) <= now
}

/// The parts that `finding` is made of, of those that are there.
fn joined(finding: &Finding, placed: &[Placed], rules: &[Arc<Rule>]) -> Vec<Joined> {
    let parts = finding
        .related
        .iter()
        .filter(|it| it.relation == "has_part");
    let parts = parts.filter_map(|part| {
        let there = placed
            .iter()
            .find(|it| it.finding.finding_id == part.finding_id)?;
        let (index, key) = there.place.as_ref()?;
        Some(Joined {
            rule: rules.get(index.0 as usize)?.id.clone(),
            key: key.clone(),
            finding_id: part.finding_id.clone(),
        })
    });
    parts.collect()
}
