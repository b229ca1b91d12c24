//! What each rule found in a log, and what it would have found with other thresholds.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::sync::Arc;

use serde::Serialize;

use super::super::output::{visible, write_table};
use super::SummaryFormat;
use crate::detect::{Settings, Tally};
use crate::finding::{Finding, Kind, State};
use crate::hit::Scanned;
use crate::playback::{Playback, Played};
use crate::rules::{Condition, Needs, Rule, RuleSet, Threshold};
use crate::scan::Scanner;
use crate::time::{Timestamp, format_duration};

/// How many other counts are tried for each rule that counts. Each takes a detector of its own beside that of the replay.
const TRIED: usize = 4;
/// How many keys of a rule are shown.
const KEYS_SHOWN: usize = 3;
/// Keys of one rule whose matches are told apart; those that come later are counted with the rule alone.
const KEYS_MAX: usize = 10_000;
/// Findings of one rule that are told apart, by their ids; beyond it each `observed` counts one.
const FINDINGS_MAX: usize = 100_000;

/// What a replay counts in place of writing messages.
pub(super) struct Summary {
    format: SummaryFormat,
    by_rule: BTreeMap<String, RuleSummary>,
    /// Detectors of the same rules with other counts, fed with the same hits: what they find is exact, not estimated.
    others: Vec<Other>,
    /// The first and the newest entry.
    span: Option<(Timestamp, Timestamp)>,
}

struct Other {
    playback: Playback,
    /// For each rule that counts, by its id: how many findings it had.
    findings: BTreeMap<String, Found>,
}

/// Findings, each once however often it was told of.
#[derive(Debug, Default)]
struct Found {
    /// Whether each is open.
    open: BTreeMap<String, bool>,
    /// Those that had no room.
    more: u64,
}

impl Found {
    fn add(&mut self, finding: &Finding) {
        let is_open = finding.state == State::Open;
        if self.open.len() < FINDINGS_MAX || self.open.contains_key(&finding.finding_id) {
            self.open.insert(finding.finding_id.clone(), is_open);
        } else if Kind::of(finding) == Kind::Observed {
            self.more += 1;
        }
    }

    fn count(&self) -> u64 {
        self.open.len() as u64 + self.more
    }
}

#[derive(Debug, Default)]
struct RuleSummary {
    found: Found,
    messages: u64,
    /// From the first to the last match of a finding.
    longest: std::time::Duration,
    /// Matches of each finding's key, as far as they were part of findings.
    keys: BTreeMap<String, KeySummary>,
}

#[derive(Debug, Default)]
struct KeySummary {
    /// Matches of findings that are over.
    before: u64,
    /// The finding told of last, and its matches.
    last: (String, u64),
}

/// The counts that are tried beside `needed`: about half, one less, one more, and double.
fn tried(needed: u64) -> [u64; TRIED] {
    match needed {
        1 => [2, 3, 5, 10],
        2 => [1, 3, 4, 8],
        _ => [
            needed.div_ceil(2),
            needed - 1,
            needed + 1,
            needed.saturating_mul(2),
        ],
    }
}

/// The count of a rule that is fulfilled by many matches.
fn count_of(rule: &Rule) -> Option<(u64, Threshold)> {
    match rule.condition {
        Condition::Count(threshold) => match threshold.needs {
            Needs::AtLeast(needed) => Some((needed.get(), threshold)),
            Needs::AtMost(_) => None,
        },
        _ => None,
    }
}

impl Summary {
    pub(super) fn new(rules: &RuleSet, settings: &Settings, format: SummaryFormat) -> Self {
        let counts = rules.rules.iter().any(|rule| count_of(rule).is_some());
        let others = (0..if counts { TRIED } else { 0 }).map(|number| {
            let rules = rules
                .rules
                .iter()
                .map(|rule| with_other_count(rule, number));
            let rules = RuleSet {
                rules: rules.collect(),
                ..RuleSet::default()
            };
            Other {
                playback: Playback::new(Scanner::new(Arc::new(rules)), settings.clone()),
                findings: BTreeMap::new(),
            }
        });
        Self {
            format,
            by_rule: BTreeMap::new(),
            others: others.collect(),
            span: None,
        }
    }

    /// Lets the other detectors decide what a batch means.
    pub(super) fn apply(&mut self, scanned: &Scanned) {
        for &at in &scanned.progress.times {
            let (first, newest) = self.span.get_or_insert((at, at));
            (*first, *newest) = ((*first).min(at), (*newest).max(at));
        }
        for other in &mut self.others {
            let played = other.playback.apply(scanned.clone());
            other.count(&played);
        }
    }

    /// The same for the end of the log.
    pub(super) fn finish(&mut self, newest: Timestamp) {
        for other in &mut self.others {
            let played = other.playback.finish(newest);
            other.count(&played);
        }
    }

    /// Counts what the replay itself found.
    pub(super) fn count(&mut self, played: &Played) {
        for finding in &played.findings {
            let rule = self.by_rule.entry(finding.rule.id.clone()).or_default();
            rule.messages += 1;
            rule.count(finding);
        }
        for finding in &played.ended {
            let rule = self.by_rule.entry(finding.rule.id.clone()).or_default();
            rule.count(finding);
        }
    }

    /// Writes it all; `tally` has the matches of each rule.
    pub(super) fn write(
        &self,
        rules: &RuleSet,
        tally: &Tally,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let report = self.report(rules, tally);
        match self.format {
            SummaryFormat::Json => {
                serde_json::to_writer_pretty(&mut *out, &report)?;
                writeln!(out)
            }
            SummaryFormat::Text => report.write(out),
        }
    }

    fn report<'a>(&'a self, rules: &'a RuleSet, tally: &Tally) -> Report<'a> {
        let seconds = self
            .span
            .map_or(0.0, |(first, newest)| newest.since(first).as_secs_f64());
        static NONE: std::sync::LazyLock<RuleSummary> =
            std::sync::LazyLock::new(RuleSummary::default);
        let rules = rules.rules.iter().map(|rule| {
            let summary = self.by_rule.get(&rule.id).unwrap_or(&NONE);
            let findings = summary.found.count();
            let mut keys: Vec<_> = summary
                .keys
                .iter()
                .map(|(key, counts)| (counts.before + counts.last.1, &**key))
                .collect();
            keys.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
            keys.truncate(KEYS_SHOWN);
            let mut what_if: BTreeMap<u64, u64> = BTreeMap::new();
            if let Some((needed, _)) = count_of(rule) {
                what_if.insert(needed, findings);
                for (number, other) in self.others.iter().enumerate() {
                    let found = other.findings.get(&rule.id).map_or(0, Found::count);
                    what_if.insert(tried(needed)[number], found);
                }
            }
            RuleReport {
                rule: &rule.id,
                threshold: rule.condition.to_string(),
                matches: tally.matches.get(&*rule.id).copied().unwrap_or(0),
                findings,
                // A log of an hour tells nothing of a day.
                per_day: (seconds >= 86_400.0).then(|| findings as f64 / (seconds / 86_400.0)),
                messages: summary.messages,
                open: summary.found.open.values().filter(|open| **open).count(),
                longest_seconds: summary.longest.as_secs_f64(),
                noisiest: keys
                    .into_iter()
                    .map(|(matches, key)| KeyReport { key, matches })
                    .collect(),
                what_if: what_if
                    .into_iter()
                    .map(|(count, findings)| WhatIf { count, findings })
                    .collect(),
                window_seconds: count_of(rule).map(|(_, threshold)| threshold.window.as_secs_f64()),
            }
        });
        Report {
            seconds,
            rules: rules.collect(),
        }
    }
}

impl Other {
    fn count(&mut self, played: &Played) {
        for finding in played.findings.iter().chain(&played.ended) {
            let found = self.findings.entry(finding.rule.id.clone()).or_default();
            found.add(finding);
        }
    }
}

impl RuleSummary {
    fn count(&mut self, finding: &Finding) {
        self.found.add(finding);
        self.longest = self
            .longest
            .max(finding.last_seen.since(finding.first_seen));
        let room = self.keys.len() < KEYS_MAX;
        if !room && !self.keys.contains_key(&finding.dedupe_key) {
            return;
        }
        let key = self.keys.entry(finding.dedupe_key.clone()).or_default();
        if key.last.0 != finding.finding_id {
            key.before += key.last.1;
            key.last = (finding.finding_id.clone(), 0);
        }
        key.last.1 = key.last.1.max(finding.counts.total);
    }
}

/// `rule`, with the `number`th of the counts that are tried in place of its own.
fn with_other_count(rule: &Arc<Rule>, number: usize) -> Arc<Rule> {
    let Some((needed, threshold)) = count_of(rule) else {
        return Arc::clone(rule);
    };
    let count = NonZeroU64::new(tried(needed)[number]).unwrap_or(NonZeroU64::MIN);
    let mut other = Rule::clone(rule);
    other.condition = Condition::Count(Threshold {
        needs: Needs::AtLeast(count),
        ..threshold
    });
    Arc::new(other)
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    /// From the first entry to the newest.
    seconds: f64,
    rules: Vec<RuleReport<'a>>,
}

#[derive(Debug, Serialize)]
struct RuleReport<'a> {
    rule: &'a str,
    threshold: String,
    matches: u64,
    findings: u64,
    /// `None` where the log is shorter than a day.
    per_day: Option<f64>,
    messages: u64,
    open: usize,
    longest_seconds: f64,
    noisiest: Vec<KeyReport<'a>>,
    /// Findings by count, the rule's own among them; empty for rules that do not count.
    what_if: Vec<WhatIf>,
    window_seconds: Option<f64>,
}

#[derive(Debug, Serialize)]
struct KeyReport<'a> {
    key: &'a str,
    matches: u64,
}

#[derive(Debug, Serialize)]
struct WhatIf {
    count: u64,
    findings: u64,
}

impl Report<'_> {
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let rows: Vec<_> = self
            .rules
            .iter()
            .map(|rule| {
                let keys = rule.noisiest.iter();
                let keys = keys.map(|key| format!("{} {}", key.matches, visible(key.key)));
                let longest = std::time::Duration::from_secs(rule.longest_seconds as u64);
                [
                    rule.rule.to_owned(),
                    rule.matches.to_string(),
                    rule.findings.to_string(),
                    rule.per_day
                        .map_or("-".to_owned(), |rate| format!("{rate:.1}")),
                    rule.messages.to_string(),
                    rule.open.to_string(),
                    match rule.findings {
                        0 => "-".to_owned(),
                        _ => format_duration(longest),
                    },
                    keys.collect::<Vec<_>>().join(", "),
                ]
            })
            .collect();
        let heading = [
            "RULE",
            "MATCHES",
            "FINDINGS",
            "PER DAY",
            "MESSAGES",
            "OPEN",
            "LONGEST",
            "NOISIEST KEYS",
        ];
        write_table(out, heading, &rows)?;
        let rows: Vec<_> = self
            .rules
            .iter()
            .filter(|rule| rule.matches > 0 && !rule.what_if.is_empty())
            .map(|rule| {
                let others = rule.what_if.iter();
                let others = others.map(|other| format!("{}: {}", other.count, other.findings));
                [
                    rule.rule.to_owned(),
                    rule.threshold.clone(),
                    format_duration(std::time::Duration::from_secs_f64(
                        rule.window_seconds.unwrap_or_default(),
                    )),
                    others.collect::<Vec<_>>().join(", "),
                ]
            })
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        writeln!(out)?;
        write_table(
            out,
            ["RULE", "THRESHOLD", "WINDOW", "FINDINGS IF THE COUNT WERE"],
            &rows,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tried_counts_are_others_than_the_rules_own_and_never_zero() {
        for needed in 1..100 {
            let tried = tried(needed);
            assert!(
                !tried.contains(&needed) && !tried.contains(&0),
                "{needed}: {tried:?}"
            );
        }
    }
}
