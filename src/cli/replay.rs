//! `trommel replay`: the whole detector on recorded logs, in their own time.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use clap::Args;

use super::input::{Input, InputArgs, Recorded, Times};
use super::output::{Output, write_table};
use super::{Exit, compile};
use crate::config::{Config, RawConfig};
use crate::detect::{Settings, Tally};
use crate::finding::{Finding, Kind, State};
use crate::playback::{Playback, Played};
use crate::rules::{LoadOptions, RuleSet};
use crate::scan::Scanner;

/// Run the detector over recorded logs, in their own time
///
/// Writes the messages that a live run would have published, one CloudEvent per line. Lines of all files are put in order
/// of time first, in memory. Findings have the ids that they had live if cluster and labels are the same. What a
/// live run leaves out by default, such as trommel's own streams, is left out here too.
#[derive(Debug, Clone, Args)]
pub struct ReplayArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "its fields are the arguments' help")]
    pub input: InputArgs,
    /// Name of the cluster: part of every finding's id [default: default]
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// Name of the environment
    #[arg(long, value_name = "NAME")]
    pub environment: Option<String>,
    /// A table of what each rule found, in place of messages
    #[arg(long)]
    pub summary: bool,
}

/// Prints the messages, or the table.
pub(super) fn run(
    arguments: &ReplayArgs,
    out: &mut impl Output,
    diagnostics: &mut impl Output,
) -> anyhow::Result<Exit> {
    let config = Config::check(RawConfig {
        cluster: arguments.cluster.clone(),
        environment: arguments.environment.clone(),
        ..RawConfig::default()
    })?;
    let options = LoadOptions::of_instance(&config.origin.environment);
    let rules = compile::compile_for(&options, &arguments.input.rules, diagnostics)?;
    let mut entries = Vec::new();
    let mut keep = |entry| {
        entries.push(entry);
        Ok(())
    };
    arguments
        .input
        .read(&rules, Times::Needed, diagnostics, &mut keep)?;
    // Stable: lines of one time stay in the order of their files. What `logcli` prints newest first is turned with this, too.
    entries.sort_by_key(|entry: &Recorded| entry.at);

    let scanner = Scanner::new(Arc::clone(&rules)).excluding(config.exclude);
    let mut playback = Playback::new(scanner, Settings::replay(config.origin));
    let mut summary = arguments.summary.then(Summary::default);
    for entry in &entries {
        let at = entry.at.unwrap_or_default();
        if let Some(scanned) = playback.add(&entry.stream, at, &entry.line, &entry.metadata) {
            let played = playback.apply(scanned);
            tell(&playback, &played, summary.as_mut(), out)?;
        }
    }
    if let Some(scanned) = playback.flush() {
        let played = playback.apply(scanned);
        tell(&playback, &played, summary.as_mut(), out)?;
    }
    if let Some(newest) = playback.newest() {
        let played = playback.finish(newest);
        tell(&playback, &played, summary.as_mut(), out)?;
    }
    let tally = playback.take_tally();
    if let Some(summary) = summary {
        summary.write(&rules, &tally, out)?;
    }
    notes(&tally, arguments.input.input, diagnostics)?;
    Ok(Exit::Fine)
}

/// Writes messages, or counts them.
fn tell(
    playback: &Playback,
    played: &Played,
    mut summary: Option<&mut Summary>,
    out: &mut impl Write,
) -> io::Result<()> {
    for finding in &played.findings {
        if let Some(summary) = &mut summary {
            summary.count(finding);
        } else {
            out.write_all(&playback.message(finding).body)?;
            out.write_all(b"\n")?;
        }
    }
    Ok(())
}

/// What each rule found.
#[derive(Debug, Default)]
struct Summary {
    by_rule: BTreeMap<String, RuleSummary>,
}

#[derive(Debug, Default)]
struct RuleSummary {
    observed: u64,
    updated: u64,
    recovered: u64,
    /// Every finding, and whether it is open.
    open: BTreeMap<String, bool>,
}

impl Summary {
    fn count(&mut self, finding: &Finding) {
        let rule = self.by_rule.entry(finding.rule.id.clone()).or_default();
        match Kind::of(finding) {
            Kind::Observed => rule.observed += 1,
            Kind::Updated => rule.updated += 1,
            Kind::Recovered => rule.recovered += 1,
        }
        // A finding may come back after it was over.
        let is_open = finding.state == State::Open;
        rule.open.insert(finding.finding_id.clone(), is_open);
    }

    fn write(&self, rules: &RuleSet, tally: &Tally, out: &mut impl Write) -> io::Result<()> {
        let none = RuleSummary::default();
        let rows: Vec<_> = rules
            .rules
            .iter()
            .map(|rule| {
                let found = self.by_rule.get(&rule.id).unwrap_or(&none);
                let open = found.open.values().filter(|open| **open).count();
                [
                    rule.id.clone(),
                    tally.matches.get(&*rule.id).unwrap_or(&0).to_string(),
                    found.observed.to_string(),
                    found.updated.to_string(),
                    found.recovered.to_string(),
                    open.to_string(),
                ]
            })
            .collect();
        let heading = [
            "RULE",
            "MATCHES",
            "OBSERVED",
            "UPDATED",
            "RECOVERED",
            "OPEN",
        ];
        write_table(out, heading, &rows)
    }
}

/// Tells what made the replay count less than there is.
fn notes(tally: &Tally, input: Input, diagnostics: &mut impl Write) -> io::Result<()> {
    if tally.duplicates > 0 {
        let hint = if input == Input::Logcli {
            "; `logcli --output=jsonl` writes times in full, where lines of one second differ"
        } else {
            ""
        };
        let count = tally.duplicates;
        writeln!(
            diagnostics,
            "note: left out {count} matches of lines that repeat another of the same stream and time{hint}"
        )?;
    }
    let keys = tally.keys_evicted + tally.keys_refused;
    if keys > 0 {
        let limit = Settings::KEYS_MAX;
        writeln!(
            diagnostics,
            "note: {keys} keys had no room; a rule has at most {limit} at once"
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
