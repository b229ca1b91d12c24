//! An explanation for programs: an object in each line.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::super::input::Recorded;
use super::{column, unread};
use crate::batch::trim_line;
use crate::explain::{Misses, Outcome, Report, Tally, field_wanted, item_wanted, part_name};
use crate::finding::{Finding, Kind};
use crate::rules::{Item, Rule};
use crate::scan::{FieldSeen, ItemSeen, Seen, Spoiler};

fn write(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let line = serde_json::to_string(value).map_err(io::Error::from)?;
    writeln!(out, "{line}")
}

/// A line and everything about it.
#[derive(Serialize)]
struct LineTold<'a> {
    file: &'a str,
    n: u64,
    time: Option<String>,
    labels: BTreeMap<&'a str, &'a str>,
    line: &'a str,
    /// What it does.
    outcome: &'static str,
    /// Why the rule does not read its stream; empty if it does.
    unread: Vec<String>,
    parts: Vec<PartTold>,
    recovery: Option<PartTold>,
    /// Values of `by`; null for one that is missing.
    key: BTreeMap<&'a str, Option<&'a str>>,
    /// Values that the condition tells apart.
    values: BTreeMap<&'a str, Option<&'a str>>,
    /// Where its key stands then.
    standing: Option<String>,
    /// What is missing for a finding.
    missing: Option<String>,
    /// What is said of lines that fail as it does.
    miss: Option<&'a str>,
}

/// A `match` held against the line.
#[derive(Serialize)]
struct PartTold {
    part: String,
    fulfilled: bool,
    items: Vec<ItemTold>,
    spoilt_by: Vec<ItemTold>,
    fields: Vec<FieldTold>,
}

/// An item of `all`, `any` or `none`, or a rule in `none`.
#[derive(Serialize)]
struct ItemTold {
    group: &'static str,
    item: String,
    /// Where it begins, in characters from 1; null if it is not there, or is a rule.
    column: Option<usize>,
}

#[derive(Serialize)]
struct FieldTold {
    name: String,
    value: Option<String>,
    wanted: String,
    holds: bool,
}

/// A line and everything about it.
pub(super) fn line(
    out: &mut impl Write,
    rule: &Rule,
    entry: &Recorded,
    report: &Report<'_>,
) -> io::Result<()> {
    let explained = &report.explained;
    let bytes = trim_line(&entry.line);
    let parts = explained.parts.iter().enumerate();
    let standing = match &report.outcome {
        Outcome::Match(standing) => standing.as_ref(),
        _ => None,
    };
    let told = LineTold {
        file: &entry.file,
        n: entry.n,
        time: entry.at.map(|at| at.to_string()),
        labels: entry.stream.labels.iter().collect(),
        line: &String::from_utf8_lossy(bytes),
        outcome: match report.outcome {
            Outcome::Nothing => "nothing",
            Outcome::Match(_) => "match",
            Outcome::Denominator => "denominator",
            Outcome::Recovery => "recovery",
            Outcome::Repeat => "repeat",
            Outcome::Untimed => "untimed",
        },
        unread: unread(report),
        parts: parts
            .map(|(n, seen)| part(part_name(rule, n), seen, bytes))
            .collect(),
        recovery: explained
            .recovery
            .as_ref()
            .map(|seen| part("recover.match".to_owned(), seen, bytes)),
        key: pairs(&explained.key),
        values: pairs(&explained.values),
        standing: standing.map(ToString::to_string),
        missing: standing.and_then(|standing| standing.missing()),
        miss: report.miss.as_ref().map(|miss| miss.reason.as_str()),
    };
    write(out, &told)
}

fn pairs<'a>(pairs: &'a [(&'a str, Option<Box<str>>)]) -> BTreeMap<&'a str, Option<&'a str>> {
    pairs
        .iter()
        .map(|(name, value)| (*name, value.as_deref()))
        .collect()
}

fn part(name: String, seen: &Seen<'_>, line: &[u8]) -> PartTold {
    let told = |group, item: &Item, start: Option<usize>| ItemTold {
        group,
        item: item_wanted(item),
        column: start.map(|start| column(line, start)),
    };
    let start = |seen: &ItemSeen<'_>| seen.at.as_ref().map(|at| at.start);
    let all = seen
        .all
        .iter()
        .map(|seen| told("all", seen.item, start(seen)));
    let any = seen
        .any
        .iter()
        .map(|seen| told("any", seen.item, start(seen)));
    let spoilt_by = seen.spoilt_by.iter().map(|spoiler| match spoiler {
        Spoiler::Item(item, at) => told("none", item, Some(at.start)),
        Spoiler::Rule(id) => ItemTold {
            group: "none",
            item: format!("rule {id}"),
            column: None,
        },
    });
    let field = |seen: &FieldSeen<'_>| FieldTold {
        name: seen.test.name.clone(),
        value: seen.value.as_deref().map(str::to_owned),
        wanted: field_wanted(seen.test),
        holds: seen.holds,
    };
    PartTold {
        part: name,
        fulfilled: seen.is_fulfilled(),
        items: all.chain(any).collect(),
        spoilt_by: spoilt_by.collect(),
        fields: seen.fields.iter().map(field).collect(),
    }
}

/// What the detector says: the `data` of a message, and which kind it is.
pub(super) fn finding(out: &mut impl Write, finding: &Finding) -> io::Result<()> {
    #[derive(Serialize)]
    struct FindingTold<'a> {
        time: String,
        kind: &'static str,
        finding: &'a Finding,
    }
    let told = FindingTold {
        time: finding.time.to_string(),
        kind: Kind::of(finding).as_str(),
        finding,
    };
    write(out, &told)
}

/// The answer, and what it is made of.
pub(super) fn summary(out: &mut impl Write, rule: &Rule, tally: &Tally<'_>) -> io::Result<()> {
    #[derive(Serialize)]
    struct SummaryTold<'a> {
        summary: Counts<'a>,
    }
    #[derive(Serialize)]
    struct Counts<'a> {
        rule: &'a str,
        condition: String,
        lines: u64,
        read: u64,
        matches: u64,
        denominators: u64,
        recoveries: u64,
        repeats: u64,
        untimed: u64,
        keys: usize,
        findings: usize,
        /// From near to far.
        misses: Vec<MissTold<'a>>,
        answer: Vec<String>,
    }
    #[derive(Serialize)]
    struct MissTold<'a> {
        lines: u64,
        reason: &'a str,
        /// What they have in place of what is wanted, with how many each; not more than a hundred.
        values: &'a BTreeMap<String, u64>,
    }
    let misses = tally
        .misses()
        .map(|(reason, Misses { lines, values })| MissTold {
            lines: *lines,
            reason,
            values,
        });
    let summary = Counts {
        rule: &rule.id,
        condition: rule.condition.to_string(),
        lines: tally.lines,
        read: tally.read,
        matches: tally.matches,
        denominators: tally.denominators,
        recoveries: tally.recoveries,
        repeats: tally.repeats,
        untimed: tally.untimed,
        keys: tally.keys,
        findings: tally.findings(),
        misses: misses.collect(),
        answer: tally.answer(),
    };
    write(out, &SummaryTold { summary })
}
