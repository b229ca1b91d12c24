//! A message as a test looks at it: when, what, of which rule, and its values by name.

use std::time::Duration;

use crate::finding::{Coverage, Finding, Kind, Message, Reason, Related, State};
use crate::rules::test_file::{ExpectedMessage, MessageState};
use crate::time::{Timestamp, format_duration};

/// A message that came.
#[derive(Debug)]
pub struct Told {
    /// Its time, from the test's start on.
    pub at: Duration,
    /// What it tells.
    pub state: MessageState,
    /// What is known of the finding.
    pub finding: Finding,
    /// As it would be sent.
    pub message: Message,
    by: Vec<(String, String)>,
    start: Timestamp,
}

impl Told {
    pub(super) fn new(finding: Finding, message: Message, by: &[String], start: Timestamp) -> Self {
        let by = by.iter().map(|name| {
            let value = finding.resource_scope.get(name).cloned();
            (name.clone(), value.unwrap_or_default())
        });
        Self {
            at: finding.time.since(start),
            state: match message.kind {
                Kind::Observed => MessageState::Observed,
                Kind::Updated => MessageState::Updated,
                Kind::Recovered => MessageState::Recovered,
            },
            by: by.collect(),
            finding,
            message,
            start,
        }
    }

    /// The id of its rule.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.finding.rule.id
    }

    /// The value `key`: of the message, else of the rule's `by`, else one of the rarer ones of the message.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<String> {
        let Finding { counts, .. } = &self.finding;
        let by = || self.by.iter().find(|(name, _)| name == key);
        Some(match key {
            "severity" => self.finding.severity.to_string(),
            "reason" => reason(self.finding.reason).to_owned(),
            "count" => match self.finding.state {
                State::Recovered => counts.total.to_string(),
                State::Open => counts.window.to_string(),
            },
            "total" => counts.total.to_string(),
            "flaps" => counts.flaps.to_string(),
            "coverage" => match self.finding.detector.coverage {
                Coverage::Complete => "complete".to_owned(),
                Coverage::Gap => "gap".to_owned(),
            },
            "summary" => self.finding.summary.clone(),
            "window" => counts.window.to_string(),
            "suppressed" => counts.suppressed.to_string(),
            "truncated" => self.truncated().to_string(),
            _ => match by() {
                Some((_, value)) => value.clone(),
                None => return self.rarer(key),
            },
        })
    }

    fn rarer(&self, key: &str) -> Option<String> {
        let Finding { counts, .. } = &self.finding;
        let offset = |at: Timestamp| format_duration(at.since(self.start));
        Some(match key {
            "severity_max" => self.finding.severity_max.to_string(),
            "revision" => self.finding.revision.to_string(),
            "first_seen" => offset(self.finding.first_seen),
            "last_seen" => offset(self.finding.last_seen),
            "since_last_message" => counts.since_last_message.to_string(),
            "late" => counts.late.to_string(),
            "duplicates_dropped" => counts.duplicates_dropped.to_string(),
            "related" => {
                let related = self.finding.related.iter();
                let mut rules: Vec<&str> = related.map(|Related { rule, .. }| &**rule).collect();
                rules.sort_unstable();
                rules.join(",")
            }
            "domain" => self.finding.domain.clone(),
            "incident_type" => self.finding.incident_type.clone(),
            _ => return None,
        })
    }

    /// Whether its evidence was cut: known only once it has the form in which it is sent.
    fn truncated(&self) -> bool {
        let event: serde_json::Value =
            serde_json::from_slice(&self.message.body).unwrap_or_default();
        event["data"]["evidence"]["truncated"] == true
    }

    /// It as a test would expect it, with the values `keys` as far as it has them.
    #[must_use]
    pub fn with<'k>(&self, keys: impl IntoIterator<Item = &'k str>) -> ExpectedMessage {
        let values = keys.into_iter();
        let values = values.filter_map(|key| Some((key.to_owned(), self.value(key)?)));
        ExpectedMessage::new(self.at, self.state, self.rule(), values.collect())
    }

    /// It as a test would expect it, with what tells it from others.
    #[must_use]
    pub fn in_short(&self) -> ExpectedMessage {
        let keys: &[&str] = match self.state {
            MessageState::Observed => &["severity", "count"],
            MessageState::Updated => &["reason", "severity", "count"],
            MessageState::Recovered => &["reason", "total"],
        };
        let by = self.by.iter().map(|(name, _)| name.as_str());
        self.with(
            keys.iter()
                .copied()
                .chain(by.filter(|name| !keys.contains(name))),
        )
    }

    /// Whether it is what is expected.
    #[must_use]
    pub fn is(&self, expected: &ExpectedMessage) -> bool {
        self.at == expected.at
            && self.state == expected.state
            && self.rule() == expected.rule
            && self.differences(expected) == 0
    }

    /// How many of the expected values it has not.
    pub(super) fn differences(&self, expected: &ExpectedMessage) -> usize {
        let values = expected.values.iter();
        let differs = |(key, value): &&(String, String)| self.value(key).as_ref() != Some(value);
        values.filter(differs).count()
    }
}

fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Opened => "opened",
        Reason::StillMatching => "still_matching",
        Reason::Escalated => "escalated",
        Reason::Reopened => "reopened",
        Reason::PartJoined => "part_joined",
        Reason::Reminder => "reminder",
        Reason::WindowEnded => "window_ended",
        Reason::Quiet => "quiet",
        Reason::Silent => "silent",
        Reason::MatchedRecovery => "matched_recovery",
        Reason::RuleRemoved => "rule_removed",
    }
}
