//! An explanation for programs: an object in each line.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::super::input::Recorded;
use crate::batch::trim_line;
use crate::explain::{Misses, Report, Tally, Told};
use crate::finding::{Finding, Kind};
use crate::rules::Rule;

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
    #[serde(flatten)]
    told: Told,
}

/// A line and everything about it.
pub(super) fn line(
    out: &mut impl Write,
    rule: &Rule,
    entry: &Recorded,
    report: &Report<'_>,
) -> io::Result<()> {
    let bytes = trim_line(&entry.line);
    let told = LineTold {
        file: &entry.file,
        n: entry.n,
        time: entry.at.map(|at| at.to_string()),
        labels: entry.stream.labels.iter().collect(),
        line: &String::from_utf8_lossy(bytes),
        told: Told::of(rule, report, bytes),
    };
    write(out, &told)
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
