//! `trommel explain`: why a rule does or does not fire.

mod json;
mod text;

use std::sync::Arc;

use anyhow::anyhow;
use clap::{Args, ValueEnum};

use super::input::{InputArgs, Recorded, Times};
use super::output::Output;
use super::{Exit, compile};
use crate::batch::Batch;
use crate::config::{Config, RawConfig};
use crate::detect::{Detector, Settings};
use crate::explain::{Explainer, Report, Tally};
use crate::finding::{Finding, Redactor};
use crate::rules::{Condition, Part, Rule};
use crate::scan::{Line, Scanner, Scratch};
use crate::time::Timestamp;

/// Show line by line why a rule does or does not fire
///
/// For each line that matters: whether the selector takes its stream, what matched and where, what spoilt it, which field
/// failed, its key, and how full the window is then; between the lines what the detector makes of them. The summary names what
/// came nearest and what is missing. Of lines that fail in the same way the first three are shown. Lines are put in order of
/// time first, in memory; those without a time are explained, but count in no window. Exit code 0 whether the rule fires or not.
#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
    /// The rule's id
    #[arg(value_name = "RULE")]
    pub rule: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "its fields are the arguments' help")]
    pub input: InputArgs,
    /// Show every line, also those that come nowhere near
    #[arg(long)]
    pub all: bool,
    /// How it is written
    #[arg(long, value_enum, default_value_t)]
    pub format: ExplainFormat,
}

/// How an explanation is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ExplainFormat {
    /// For people
    #[default]
    Text,
    /// One object each: {"line":…} for a line, {"finding":…} for a message, {"summary":…} at the end
    Json,
}

/// Writes the explanation.
pub(super) fn run(
    arguments: &ExplainArgs,
    out: &mut impl Output,
    diagnostics: &mut impl Output,
) -> anyhow::Result<Exit> {
    let config = Config::check(RawConfig::default())?;
    let rules = compile::compile(&arguments.input.rules, diagnostics)?;
    let Some((index, rule)) = rules.find(&arguments.rule) else {
        let id = &arguments.rule;
        let hint = match rules.meant(id) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "is it in the files given with --rules, and enabled?".to_owned(),
        };
        return Err(anyhow!("no rule has the id `{id}`; {hint}"));
    };
    let mut entries = Vec::new();
    let mut keep = |entry| {
        entries.push(entry);
        Ok(())
    };
    arguments
        .input
        .read(&rules, Times::Optional, diagnostics, &mut keep)?;

    let scanner = Scanner::new(Arc::clone(&rules)).excluding(config.exclude.clone());
    let settings = Settings::replay(config.origin);
    let mut detector = Detector::new(settings, Redactor::new(Vec::new()), Arc::clone(&rules));
    let mut explainer = Explainer::new(&rules, rule, &config.exclude);
    let mut scratch = Scratch::default();
    let (mut one, mut together) = (Batch::default(), Batch::default());
    let tenant = Arc::from("");
    let mut writer = Writer {
        arguments,
        rule,
        color: out.shows_color(),
        out,
    };
    let mut newest = None;
    for group in in_order(&entries).chunk_by(|a, b| a.0 == b.0) {
        let mut reports = Vec::new();
        together.clear();
        for (_, entry) in group {
            one.clear();
            entry.add_to(&mut one);
            let (stream, sent) = (&one.streams[0].stream, &one.entries[0]);
            let id = sent.id(stream, one.bytes(sent.line));
            let report = explainer.line(&Line::of(&one, stream, sent), id, entry.at);
            if arguments.all || report.is_telling {
                reports.push((entry, report));
            }
            if entry.at.is_some() {
                entry.add_to(&mut together);
            }
        }
        let at = group[0].0;
        let mut findings = Vec::new();
        if !together.entries.is_empty() {
            let mut scanned = scanner.scan_whole(&together, &tenant, &mut scratch);
            // Whoever looks at findings needs them all; nobody else needs another rule's.
            if !matches!(rule.condition, Condition::Correlate(_)) {
                scanned.hits.retain(|hit| hit.rule == index);
            }
            newest = newest.max(at);
            detector.apply(scanned, at.unwrap_or_default());
            findings = told(&mut detector, rule, &mut explainer);
        }
        // What was due before these lines stands before them.
        let due = findings.partition_point(|finding| Some(finding.time) < at);
        writer.findings(&findings[..due])?;
        for (entry, report) in &reports {
            writer.line(entry, report)?;
        }
        writer.findings(&findings[due..])?;
    }
    if let Some(newest) = newest {
        detector.finish(newest);
        let findings = told(&mut detector, rule, &mut explainer);
        writer.findings(&findings)?;
    }
    writer.summary(&explainer.finish())?;
    Ok(Exit::Fine)
}

/// The entries in order of time; one without a time stays behind the one that it follows in its file.
fn in_order(entries: &[Recorded]) -> Vec<(Option<Timestamp>, &Recorded)> {
    let mut last: Option<(&str, Timestamp)> = None;
    let mut placed: Vec<_> = entries
        .iter()
        .map(|entry| {
            let before = last.filter(|(file, _)| **file == *entry.file);
            let at = entry.at.or(before.map(|(_, at)| at));
            last = at.map(|at| (&*entry.file, at));
            (at, entry)
        })
        .collect();
    placed.sort_by_key(|(at, _)| *at);
    placed
}

/// Takes what the detector has to say of the rule, or of those whose findings the rule looks at.
fn told(detector: &mut Detector, rule: &Rule, explainer: &mut Explainer<'_>) -> Vec<Finding> {
    let findings = detector.take_changes().take_findings();
    let mut findings: Vec<_> = findings.filter(|it| concerns(rule, it)).collect();
    findings.sort_by_key(|finding| finding.time);
    for finding in &findings {
        explainer.finding(
            &finding.finding_id,
            &finding.rule.id,
            &finding.incident_type,
        );
    }
    findings
}

fn concerns(rule: &Rule, finding: &Finding) -> bool {
    let is_part = |part: &Part| match part {
        Part::Rule(id) => *id == finding.rule.id,
        Part::IncidentType(incident_type) => *incident_type == finding.incident_type,
    };
    finding.rule.id == rule.id
        || match &rule.condition {
            Condition::Correlate(correlate) => {
                let mut parts = correlate
                    .all
                    .iter()
                    .chain(&correlate.any)
                    .chain(&correlate.none);
                parts.any(is_part)
            }
            _ => false,
        }
}

/// Where it goes and how.
struct Writer<'a, O> {
    arguments: &'a ExplainArgs,
    rule: &'a Rule,
    color: bool,
    out: &'a mut O,
}

impl<O: Output> Writer<'_, O> {
    fn line(&mut self, entry: &Recorded, report: &Report<'_>) -> std::io::Result<()> {
        match self.arguments.format {
            ExplainFormat::Text => text::line(self.out, self.rule, entry, report, self.color),
            ExplainFormat::Json => json::line(self.out, self.rule, entry, report),
        }
    }

    fn findings(&mut self, findings: &[Finding]) -> std::io::Result<()> {
        findings
            .iter()
            .try_for_each(|finding| match self.arguments.format {
                ExplainFormat::Text => text::finding(self.out, finding, self.color),
                ExplainFormat::Json => json::finding(self.out, finding),
            })
    }

    fn summary(&mut self, tally: &Tally<'_>) -> std::io::Result<()> {
        match self.arguments.format {
            ExplainFormat::Text => text::summary(self.out, self.rule, tally, self.color),
            ExplainFormat::Json => json::summary(self.out, self.rule, tally),
        }
    }
}

#[cfg(test)]
mod tests;
