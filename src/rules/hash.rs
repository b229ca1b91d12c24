//! Hashes of rules: of the whole, which messages carry, and of what decides findings, which says whether state survives a reload.
//!
//! The serialisation is our own, so that no library's idea of order or format changes a hash: every text is preceded by its
//! length, every list by its count, every variant by a number.

use sha2::{Digest, Sha256};

use super::condition::Needs;
use super::model::{
    Exclude, FieldCondition, FieldTest, Item, Match, Parse, Pattern, Recover, Rule, SummaryPart,
};
use super::selector::{Selector, Test};
use crate::time::format_duration;

/// Hash of what a `match` decides. A rule that it excludes counts with its own hash, as `of_rule` gives it, so that a change
/// there is a change here.
pub(super) fn of_match(matches: &Match, of_rule: impl Fn(&str) -> String) -> String {
    let mut out = Canon::default();
    out.items(&matches.any);
    out.items(&matches.all);
    out.number(matches.none.len());
    for exclude in &matches.none {
        match exclude {
            Exclude::Item(item) => {
                out.number(0);
                out.item(item);
            }
            Exclude::Rule(id) => {
                out.number(1);
                out.text(&of_rule(id));
            }
        }
    }
    out.number(matches.fields.len());
    for field in &matches.fields {
        out.field(field);
    }
    out.finish()
}

/// Fills in [`Rule::meaning`] and [`Rule::hash`]. `matches` and `recover` are hashes of its match and of its `recover.match`.
pub(super) fn fill(rule: &mut Rule, matches: &str, recover: &str) {
    let mut out = Canon::default();
    out.selector(&rule.selector);
    out.optional(rule.unless.as_ref(), Canon::selector);
    out.number(match rule.parse {
        Parse::Auto => 0,
        Parse::Json => 1,
        Parse::Logfmt => 2,
        Parse::None => 3,
    });
    out.text(matches);
    match rule.threshold().needs {
        Needs::AtLeast(count) => out.text(&format!(">={count}")),
        Needs::AtMost(count) => out.text(&format!("<={count}")),
    }
    out.text(&format_duration(rule.threshold().window));
    out.texts(&rule.by);
    out.text(&format_duration(rule.hold));
    rule.meaning = out.finish();

    let mut out = Canon::default();
    out.text(&rule.meaning);
    out.text(&rule.id);
    for prose in [
        &rule.name,
        &rule.description,
        &rule.owner,
        &rule.version,
        &rule.runbook,
    ] {
        out.optional(prose.as_ref(), |out, text| out.text(text));
    }
    out.text(&rule.severity.to_string());
    out.number(rule.confidence as usize);
    match &rule.recover {
        Recover::Quiet(after) => out.text(&format_duration(*after)),
        Recover::Match { after, .. } => {
            out.optional(after.as_ref(), |out, after| {
                out.text(&format_duration(*after))
            });
            out.text(recover);
        }
        Recover::Never => out.text("never"),
        Recover::Condition => out.text("condition"),
    }
    out.text(&format_duration(rule.cooldown));
    out.text(&rule.incident_type);
    out.text(&rule.domain);
    out.optional(rule.summary.as_ref(), |out, summary| {
        out.number(summary.parts.len());
        for part in &summary.parts {
            out.text(&match part {
                SummaryPart::Text(text) => format!("text {text}"),
                SummaryPart::Count => "count".to_owned(),
                SummaryPart::Rate => "rate".to_owned(),
                SummaryPart::Window => "window".to_owned(),
                SummaryPart::By(place) => format!("by {place}"),
                SummaryPart::Capture(place) => format!("capture {place}"),
            });
        }
        out.texts(&summary.captures);
    });
    out.number(rule.evidence.lines);
    out.number(rule.evidence.redact.len());
    for pattern in &rule.evidence.redact {
        out.pattern(pattern);
    }
    out.texts(&rule.catches);
    out.texts(&rule.passes);
    rule.hash = out.finish();
}

/// Hash of a rule set: of its rules' ids and hashes, which are sorted by id.
pub(super) fn of_set<'a>(rules: impl Iterator<Item = &'a Rule>) -> String {
    let mut out = Canon::default();
    for rule in rules {
        out.text(&rule.id);
        out.text(&rule.hash);
    }
    out.finish()
}

#[derive(Default)]
struct Canon(Sha256);

impl Canon {
    fn number(&mut self, number: usize) {
        self.0.update((number as u64).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.0.update(text);
    }

    fn texts(&mut self, texts: &[String]) {
        self.number(texts.len());
        texts.iter().for_each(|text| self.text(text));
    }

    fn optional<T>(&mut self, value: Option<&T>, write: impl FnOnce(&mut Self, &T)) {
        self.number(usize::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn selector(&mut self, selector: &Selector) {
        self.number(selector.0.len());
        for matcher in &selector.0 {
            self.text(&matcher.name);
            match &matcher.test {
                Test::Equal(value) => self.texts(&["=".to_owned(), value.clone()]),
                Test::NotEqual(value) => self.texts(&["!=".to_owned(), value.clone()]),
                Test::Matches(value, _) => self.texts(&["=~".to_owned(), value.clone()]),
                Test::MatchesNot(value, _) => self.texts(&["!~".to_owned(), value.clone()]),
                Test::OneOf(values) => {
                    self.text("in");
                    self.texts(values);
                }
            }
        }
    }

    fn pattern(&mut self, pattern: &Pattern) {
        self.text(&pattern.source);
        self.number(usize::from(pattern.ignore_case));
    }

    fn items(&mut self, items: &[Item]) {
        self.number(items.len());
        items.iter().for_each(|item| self.item(item));
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::Text { text, ignore_case } => {
                self.number(usize::from(*ignore_case));
                self.text(text);
            }
            Item::Regex(pattern) => {
                self.number(2);
                self.pattern(pattern);
            }
        }
    }

    fn field(&mut self, field: &FieldTest) {
        self.text(&field.name);
        self.number(field.accepts.len());
        for condition in &field.accepts {
            match condition {
                FieldCondition::Equals { text, ignore_case } => {
                    self.number(usize::from(*ignore_case));
                    self.text(text);
                }
                FieldCondition::Compare(comparison, number) => {
                    self.number(2);
                    self.text(&comparison.to_string());
                    self.0.update(number.to_bits().to_le_bytes());
                }
                FieldCondition::Regex(pattern) => {
                    self.number(3);
                    self.pattern(pattern);
                }
            }
        }
    }

    /// The first 16 hex digits.
    fn finish(self) -> String {
        self.0.finalize()[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}
