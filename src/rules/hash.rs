//! Hashes of rules: of the whole, which messages carry, and of what decides findings, which says whether state survives a reload.
//!
//! The serialisation is our own, so that no library's idea of order or format changes a hash: every text is preceded by its
//! length, every list by its count, every variant by a number.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::condition::{Condition, Decimal, Needs, Part, Threshold};
use super::model::{
    Advice, Comparison, EscalateWhen, Escalation, Exclude, FieldCondition, FieldTest, Item, Match,
    Parse, Pattern, Recover, Rule, SummaryPart,
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

/// Fills in [`Rule::meaning`] and [`Rule::hash`]; `of_rule` as for [`of_match`].
pub(super) fn fill(rule: &mut Rule, of_rule: impl Fn(&str) -> String) {
    let of_match = |matches: &Match| of_match(matches, &of_rule);
    rule.meaning = meaning(rule, &of_match);
    rule.hash = whole(rule, &of_match);
}

/// What decides which findings there are, and from which state they come.
fn meaning(rule: &Rule, of_match: &impl Fn(&Match) -> String) -> String {
    let mut out = Canon::default();
    out.selector(&rule.selector);
    out.optional(rule.unless.as_ref(), Canon::selector);
    out.number(match rule.parse {
        Parse::Auto => 0,
        Parse::Json => 1,
        Parse::Logfmt => 2,
        Parse::None => 3,
    });
    out.text(&of_match(&rule.matches));
    out.condition(rule, of_match);
    out.texts(&rule.by);
    out.time(rule.hold);
    out.finish()
}

/// Everything, prose included.
fn whole(rule: &Rule, of_match: &impl Fn(&Match) -> String) -> String {
    let mut out = Canon::default();
    out.text(&rule.meaning);
    out.text(&rule.id);
    for prose in [
        &rule.name,
        &rule.description,
        &rule.owner,
        &rule.version,
        &rule.runbook,
        &rule.route,
    ] {
        out.optional(prose.as_ref(), |out, text| out.text(text));
    }
    out.text(&rule.severity.to_string());
    out.number(rule.escalate.len());
    for Escalation { to, when } in &rule.escalate {
        out.text(&to.to_string());
        match when {
            EscalateWhen::After(time) => {
                out.number(0);
                out.time(*time);
            }
            EscalateWhen::Count(threshold) => {
                out.number(1);
                out.threshold(threshold);
            }
            EscalateWhen::Distinct(distinct) => {
                out.number(2);
                out.text(&distinct.name);
                out.threshold(&distinct.threshold);
            }
            EscalateWhen::Match(matches) => {
                out.number(3);
                out.text(&of_match(matches));
            }
        }
    }
    out.number(rule.confidence as usize);
    match &rule.recover {
        Recover::Quiet(after) => out.time(*after),
        Recover::Match { after, when } => {
            out.optional(after.as_ref(), |out, after| out.time(*after));
            out.text(&of_match(when));
        }
        Recover::Never => out.text("never"),
        Recover::Condition => out.text("condition"),
    }
    out.time(rule.cooldown);
    out.number(rule.suppress.len());
    for schedule in &rule.suppress {
        out.text(&schedule.to_string());
    }
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
    let Advice {
        automatic,
        approval,
        human_only,
    } = &*rule.policy;
    for texts in [automatic, approval, human_only, &rule.hints, &rule.tags] {
        out.texts(texts);
    }
    out.optional(rule.keys_max.as_ref(), |out, most| out.number(*most));
    out.optional(rule.late_by.as_ref(), |out, time| out.time(*time));
    out.number(rule.evidence.lines);
    out.number(rule.evidence.redact.len());
    for pattern in &rule.evidence.redact {
        out.pattern(pattern);
    }
    out.texts(&rule.catches);
    out.texts(&rule.passes);
    out.finish()
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

    fn time(&mut self, time: Duration) {
        self.text(&format_duration(time));
    }

    fn threshold(&mut self, threshold: &Threshold) {
        match threshold.needs {
            Needs::AtLeast(count) => self.text(&format!(">={count}")),
            Needs::AtMost(count) => self.text(&format!("<={count}")),
        }
        self.time(threshold.window);
    }

    /// A number with its comparison, exact.
    fn compared(&mut self, comparison: Comparison, number: Decimal) {
        self.text(&comparison.to_string());
        self.text(&number.to_string());
    }

    fn condition(&mut self, rule: &Rule, of_match: &impl Fn(&Match) -> String) {
        match &rule.condition {
            Condition::Count(threshold) => {
                self.text("count");
                self.threshold(threshold);
            }
            Condition::Distinct(distinct) => {
                self.text("distinct");
                self.text(&distinct.name);
                self.threshold(&distinct.threshold);
            }
            Condition::Ratio(ratio) => {
                self.text("ratio");
                self.compared(ratio.comparison, ratio.percent);
                self.time(ratio.window);
                self.optional(ratio.total.as_ref(), |out, total| {
                    out.text(&of_match(total));
                });
                self.0.update(ratio.min_count.to_le_bytes());
            }
            Condition::Spike(spike) => {
                self.text("spike");
                self.compared(spike.comparison, spike.factor);
                self.time(spike.window);
                self.time(spike.past);
                self.0.update(spike.min_count.to_le_bytes());
            }
            Condition::Absent(absent) => {
                self.text("absent");
                self.time(absent.span);
                // The order in which keys are expected decides nothing.
                let mut expect: Vec<_> = absent.expect.iter().collect();
                expect.sort();
                self.number(expect.len());
                for value in expect.into_iter().flat_map(|key| key.iter()) {
                    self.text(value);
                }
                self.optional(absent.forget.as_ref(), |out, time| out.time(*time));
            }
            Condition::Sequence(sequence) => {
                self.text("sequence");
                self.time(sequence.within);
                self.number(sequence.steps.len());
                for step in &sequence.steps {
                    self.text(&of_match(&step.matches));
                    self.number(step.count.get() as usize);
                }
                self.optional(sequence.absent.as_ref(), |out, absent| {
                    out.text(&of_match(absent));
                });
            }
            Condition::Correlate(correlate) => {
                self.text("correlate");
                self.time(correlate.within);
                for group in [&correlate.all, &correlate.any, &correlate.none] {
                    self.number(group.len());
                    for part in group {
                        self.number(usize::from(matches!(part, Part::IncidentType(_))));
                        self.text(part.as_str());
                    }
                }
                self.number(correlate.at_least);
                self.number(usize::from(correlate.hides));
            }
            Condition::NewValue { learn } => {
                self.text("new_value");
                self.texts(&rule.values[..1]);
                self.time(*learn);
            }
            Condition::NewPattern { learn, threshold } => {
                self.text("new_pattern");
                self.time(*learn);
                self.threshold(threshold);
            }
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
