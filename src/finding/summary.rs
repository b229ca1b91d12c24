//! The one line that says what is wrong.

use std::fmt::Write;
use std::time::Duration;

use super::fit::cut;
use super::model::State;
use super::redact::Redactor;
use crate::hit::Key;
use crate::rules::{Condition, Rule, Summary, SummaryPart};
use crate::time::format_duration;

/// Longest summary, in characters: a line in a chat and the subject of a mail.
pub const SUMMARY_CHARS_MAX: usize = 300;

/// What a summary is made of.
#[derive(Debug, Clone, Copy)]
pub struct SummaryValues<'a> {
    /// The rule, with its template.
    pub rule: &'a Rule,
    /// The values of its `by`.
    pub key: &'a Key,
    /// Name and value of what else the template names, in its order: those of the newest match.
    pub captures: &'a [(Box<str>, Box<str>)],
    /// What the condition counts, in its window: entries; for `distinct` different values, for a ratio the matches (not the
    /// denominator), for a sequence completions, for a correlation the parts that are there; nothing for `absent`. Of a finding
    /// that recovered, its total.
    pub count: u64,
    /// Whether it is over.
    pub state: State,
}

/// The summary of a finding: the rule's template filled in, or without one what was counted of what, where.
///
/// One line of at most [`SUMMARY_CHARS_MAX`] characters; secrets that came with a value are redacted, characters that
/// do not show (control, direction marks) are escaped.
#[must_use]
pub fn summarize(values: &SummaryValues<'_>, redactor: &Redactor) -> String {
    let text = match &values.rule.summary {
        Some(template) => fill(template, values),
        None => generate(values),
    };
    // Redacted as a whole: `password={value}` shows only in the finished line what the value is.
    let redacted = redactor.redact(text.as_bytes(), &values.rule.evidence.redact);
    let mut line = escape(&redacted);
    cut(&mut line, SUMMARY_CHARS_MAX);
    line
}

fn fill(template: &Summary, values: &SummaryValues<'_>) -> String {
    let mut text = String::new();
    for part in &template.parts {
        match part {
            SummaryPart::Text(written) => text.push_str(written),
            SummaryPart::Count => text.push_str(&values.count.to_string()),
            SummaryPart::Rate => text.push_str(&rate(values.count, values.rule.condition.window())),
            SummaryPart::Window => text.push_str(&format_duration(values.rule.condition.window())),
            SummaryPart::By(place) => text.push_str(values.key.get(*place).unwrap_or_default()),
            SummaryPart::Capture(place) => {
                text.push_str(values.captures.get(*place).map_or("", |(_, value)| value));
            }
        }
    }
    text
}

/// `LDAP timeout spike: 5 in 10m (namespace=a, component=b)`
fn generate(values: &SummaryValues<'_>) -> String {
    let rule = values.rule;
    let mut text = rule.name.as_ref().unwrap_or(&rule.id).clone();
    text.push_str(": ");
    text.push_str(&match values.state {
        State::Open => what_holds(values),
        State::Recovered => what_is_over(values),
    });
    for (place, (name, value)) in rule.by.iter().zip(values.key).enumerate() {
        text.push_str(if place == 0 { " (" } else { ", " });
        // Writing to a String cannot fail.
        let _ = write!(text, "{name}={value}");
    }
    if !rule.by.is_empty() && !values.key.is_empty() {
        text.push(')');
    }
    text
}

/// What the condition says of the log, with its count where that tells something.
fn what_holds(values: &SummaryValues<'_>) -> String {
    let rule = values.rule;
    let window = format_duration(rule.condition.window());
    let counted = format!("{} in {window}", values.count);
    match &rule.condition {
        Condition::Count(_) => counted,
        Condition::Distinct(distinct) => {
            format!("{} distinct {} in {window}", values.count, distinct.name)
        }
        Condition::Ratio(ratio) => format!("{counted}, {} {}%", ratio.comparison, ratio.percent),
        Condition::Spike(spike) => {
            let (comparison, factor) = (spike.comparison, spike.factor);
            let past = format_duration(spike.past);
            format!("{counted}, {comparison} {factor}x that of the {past} before")
        }
        Condition::Absent(_) => format!("nothing for {window}"),
        Condition::Sequence(sequence) if sequence.absent.is_some() => {
            format!("the last step did not come within {window}")
        }
        Condition::Sequence(_) if values.count > 1 => {
            format!("all steps within {window}, {} times", values.count)
        }
        Condition::Sequence(_) => format!("all steps within {window}"),
        condition @ Condition::Correlate(_) => condition.to_string(),
        Condition::NewValue { .. } => {
            let name = rule.values.first().map_or("value", String::as_str);
            let value = values.captures.iter().find(|(known, _)| **known == *name);
            match value {
                Some((_, value)) => format!("new {name}={value}"),
                None => format!("new {name}"),
            }
        }
        Condition::NewPattern { .. } => format!("a new pattern of lines, {counted}"),
    }
}

fn what_is_over(values: &SummaryValues<'_>) -> String {
    match &values.rule.condition {
        // No entries make such a finding, so there is no count of them.
        Condition::Absent(_) | Condition::Correlate(_) => "recovered".to_owned(),
        _ => format!("recovered after {}", values.count),
    }
}

/// `3.7/min`: one digit after the point where it tells something.
fn rate(count: u64, window: Duration) -> String {
    // Counts and windows are far below 2^52, so nothing is lost.
    let per_minute = count as f64 * 60.0 / window.as_secs_f64().max(0.001);
    let rounded = (per_minute * 10.0).round() / 10.0;
    if rounded >= 10.0 || rounded.fract() == 0.0 {
        format!("{per_minute:.0}/min")
    } else {
        format!("{rounded:.1}/min")
    }
}

fn escape(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            c if c == ' ' || c == '\u{a0}' || super::id::shows(c) => line.push(c),
            c => line.extend(c.escape_unicode()),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;
    use crate::finding::logql::tests::rule;
    use crate::rules::{
        Absent, Comparison, Correlate, Decimal, Distinct, Needs, Part, Ratio, Sequence, Spike,
        Threshold,
    };

    fn text(text: &str) -> SummaryPart {
        SummaryPart::Text(text.to_owned())
    }

    #[track_caller]
    fn check(rule: &Rule, key: &[&str], capture: &str, count: u64, state: State, expected: &str) {
        let key: Key = key.iter().collect();
        let captures = [("name".into(), capture.into())];
        let values = SummaryValues {
            rule,
            key: &key,
            captures: &captures,
            count,
            state,
        };
        assert_eq!(summarize(&values, &Redactor::new(Vec::new())), expected);
    }

    fn parts(parts: Vec<SummaryPart>) -> Summary {
        Summary {
            parts,
            captures: Vec::new(),
        }
    }

    #[test]
    fn a_template_is_filled_with_values_counts_and_window() {
        let mut rule = rule();
        rule.summary = Some(parts(vec![
            text("LDAP fails in "),
            SummaryPart::By(0),
            text("/"),
            SummaryPart::By(1),
            text(": "),
            SummaryPart::Count,
            text(" errors in "),
            SummaryPart::Window,
            text(", "),
            SummaryPart::Rate,
            text(", last "),
            SummaryPart::Capture(0),
        ]));
        check(
            &rule,
            &["a", "b"],
            "bob",
            37,
            State::Open,
            "LDAP fails in a/b: 37 errors in 10m, 3.7/min, last bob",
        );
        // What a key lacks is empty, not a panic.
        check(
            &rule,
            &[],
            "",
            5,
            State::Open,
            "LDAP fails in /: 5 errors in 10m, 0.5/min, last ",
        );
    }

    #[test]
    fn without_a_template_a_summary_says_what_was_counted_and_where() {
        let mut rule = rule();
        check(
            &rule,
            &["a", "b"],
            "",
            5,
            State::Open,
            "LDAP timeout spike: 5 in 10m (namespace=a, component=b)",
        );
        check(
            &rule,
            &["a", "b"],
            "",
            112,
            State::Recovered,
            "LDAP timeout spike: recovered after 112 (namespace=a, component=b)",
        );
        rule.name = None;
        rule.by.clear();
        check(
            &rule,
            &[],
            "",
            5,
            State::Open,
            "ldap_timeout_spike: 5 in 10m",
        );
    }

    #[test]
    fn without_a_template_each_class_says_what_holds_and_that_it_is_over() {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        let decimal = |whole| Decimal {
            millionths: whole * Decimal::ONE,
        };
        let threshold = Threshold {
            needs: Needs::AtLeast(NonZeroU64::new(5).expect("not zero")),
            window: minutes(1),
        };
        let distinct = Condition::Distinct(Distinct {
            name: "user".to_owned(),
            value: 0,
            threshold,
        });
        let ratio = Condition::Ratio(Ratio {
            comparison: Comparison::Above,
            percent: decimal(5),
            window: minutes(5),
            total: None,
            min_count: 20,
        });
        let spike = Condition::Spike(Spike {
            comparison: Comparison::AtLeast,
            factor: decimal(3),
            window: minutes(5),
            past: minutes(60),
            min_count: 20,
        });
        let absent = Condition::Absent(Absent {
            span: minutes(15),
            expect: Vec::new(),
            forget: None,
        });
        let sequence = |absent| {
            Condition::Sequence(Sequence {
                within: minutes(5),
                steps: Vec::new(),
                absent,
            })
        };
        let part = |id: &str| Part::Rule(id.to_owned());
        let correlate = Condition::Correlate(Correlate {
            within: minutes(10),
            all: vec![part("a"), part("b")],
            any: Vec::new(),
            none: vec![part("c")],
            at_least: 0,
            hides: false,
        });
        let learn = minutes(60);
        for (condition, open, recovered) in [
            (distinct, "7 distinct user in 1m", "recovered after 7"),
            (ratio, "7 in 5m, > 5%", "recovered after 7"),
            (
                spike,
                "7 in 5m, >= 3x that of the 1h before",
                "recovered after 7",
            ),
            (absent, "nothing for 15m", "recovered"),
            (
                sequence(None),
                "all steps within 5m, 7 times",
                "recovered after 7",
            ),
            (
                sequence(Some(Box::default())),
                "the last step did not come within 5m",
                "recovered after 7",
            ),
            (correlate, "all of a, b, none of c within 10m", "recovered"),
            (
                Condition::NewValue { learn },
                "new name=nginx",
                "recovered after 7",
            ),
            (
                Condition::NewPattern { learn, threshold },
                "a new pattern of lines, 7 in 1m",
                "recovered after 7",
            ),
        ] {
            let rule = Rule {
                condition,
                values: vec!["name".to_owned()],
                ..rule()
            };
            for (state, text) in [(State::Open, open), (State::Recovered, recovered)] {
                let expected = format!("LDAP timeout spike: {text} (namespace=a, component=b)");
                check(&rule, &["a", "b"], "nginx", 7, state, &expected);
            }
        }
        let once = Rule {
            condition: sequence(None),
            ..rule()
        };
        check(
            &once,
            &[],
            "",
            1,
            State::Open,
            "LDAP timeout spike: all steps within 5m",
        );
    }

    #[test]
    fn rates_are_short() {
        for (count, seconds, expected) in [
            (0, 600, "0/min"),
            (1, 600, "0.1/min"),
            (37, 600, "3.7/min"),
            (40, 600, "4/min"),
            (99, 600, "9.9/min"),
            (100, 600, "10/min"),
            (123, 600, "12/min"),
            (5, 1, "300/min"),
        ] {
            assert_eq!(rate(count, Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn what_a_value_brings_along_is_redacted_escaped_and_bounded() {
        let mut rule = rule();
        rule.summary = Some(parts(vec![
            text("login with password="),
            SummaryPart::Capture(0),
        ]));
        check(
            &rule,
            &[],
            "hunter2",
            1,
            State::Open,
            "login with password=‹redacted:password›",
        );
        rule.summary = Some(Summary {
            parts: vec![text("user "), SummaryPart::Capture(0)],
            captures: vec!["user".to_owned()],
        });
        check(
            &rule,
            &[],
            "a\nb\u{1b}[31m\u{202e}",
            1,
            State::Open,
            "user a\\nb\\u{1b}[31m\\u{202e}",
        );
        let long = format!("user {}…", "ä".repeat(SUMMARY_CHARS_MAX - 6));
        check(&rule, &[], &"ä".repeat(5000), 1, State::Open, &long);
    }
}
