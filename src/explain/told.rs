//! What is said of a line and a rule, for programs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::miss::{field_wanted, item_wanted, part_name};
use super::{Outcome, Report};
use crate::rules::{Item, Rule};
use crate::scan::{FieldSeen, ItemSeen, Seen, Spoiler};

/// Everything about a line and a rule.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RuleAnswer")]
pub struct Told {
    /// What the line does: `match`, `recovery`, `denominator`, `repeat`, `untimed` or `nothing`.
    pub outcome: &'static str,
    /// Why the rule does not read its stream; empty if it does.
    pub unread: Vec<String>,
    /// Each `match` of the rule held against the line.
    pub parts: Vec<PartTold>,
    /// `recover.match` held against it.
    pub recovery: Option<PartTold>,
    /// Values of `by`; null for one that is missing.
    pub key: BTreeMap<String, Option<String>>,
    /// Values that the condition tells apart.
    pub values: BTreeMap<String, Option<String>>,
    /// Where its key stands then.
    pub standing: Option<String>,
    /// What is missing for a finding.
    pub missing: Option<String>,
    /// What is said of lines that fail as it does.
    pub miss: Option<String>,
}

/// A `match` held against the line.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Part")]
pub struct PartTold {
    /// What it is called.
    pub part: String,
    /// Whether the line fulfils it.
    pub fulfilled: bool,
    /// The items of `all` and `any`.
    pub items: Vec<ItemTold>,
    /// What of `none` is there.
    pub spoilt_by: Vec<ItemTold>,
    /// The tests of fields.
    pub fields: Vec<FieldTold>,
}

/// An item of `all`, `any` or `none`, or a rule in `none`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Item")]
pub struct ItemTold {
    /// `all`, `any` or `none`.
    pub group: &'static str,
    /// As the rule has it.
    pub item: String,
    /// Where it begins, in characters from 1; null if it is not there, or is a rule.
    pub column: Option<usize>,
}

/// The test of a field.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Field")]
pub struct FieldTold {
    /// The field.
    pub name: String,
    /// Its value; null where it has none.
    pub value: Option<String>,
    /// What is wanted.
    pub wanted: String,
    /// Whether it is so.
    pub holds: bool,
}

impl Told {
    /// What `report` says of `line` and `rule`.
    #[must_use]
    pub fn of(rule: &Rule, report: &Report<'_>, line: &[u8]) -> Self {
        let explained = &report.explained;
        let parts = explained.parts.iter().enumerate();
        let standing = match &report.outcome {
            Outcome::Match(standing) => standing.as_ref(),
            _ => None,
        };
        Self {
            outcome: report.outcome.as_str(),
            unread: unread(report),
            parts: parts
                .map(|(n, seen)| part(part_name(rule, n), seen, line))
                .collect(),
            recovery: explained
                .recovery
                .as_ref()
                .map(|seen| part("recover.match".to_owned(), seen, line)),
            key: pairs(&explained.key),
            values: pairs(&explained.values),
            standing: standing.map(ToString::to_string),
            missing: standing.and_then(|standing| standing.missing()),
            miss: report.miss.as_ref().map(|miss| miss.reason.clone()),
        }
    }
}

impl Outcome<'_> {
    /// In one word.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Match(_) => "match",
            Self::Denominator => "denominator",
            Self::Recovery => "recovery",
            Self::Repeat => "repeat",
            Self::Untimed => "untimed",
        }
    }
}

fn pairs(pairs: &[(&str, Option<Box<str>>)]) -> BTreeMap<String, Option<String>> {
    let own = |(name, value): &(&str, Option<Box<str>>)| {
        ((*name).to_owned(), value.as_deref().map(str::to_owned))
    };
    pairs.iter().map(own).collect()
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

/// Why the rule does not read the line.
#[must_use]
pub fn unread(report: &Report<'_>) -> Vec<String> {
    let explained = &report.explained;
    let selector = explained.unselected.iter().map(|(matcher, value)| {
        let is = if value.is_empty() {
            "missing".to_owned()
        } else {
            format!("`{value}`")
        };
        format!("selector: {} is {is}, {matcher} is wanted", matcher.name)
    });
    let unless = explained
        .unless
        .map(|unless| format!("selector: `unless` leaves the stream out: {unless}"));
    let excluded = explained
        .excluded
        .map(|exclusion| format!("left out for all rules by `exclude`: {exclusion}"));
    selector.chain(unless).chain(excluded).collect()
}

/// The column of the byte `at`, in characters from 1.
#[must_use]
pub fn column(line: &[u8], at: usize) -> usize {
    String::from_utf8_lossy(&line[..at]).chars().count() + 1
}
