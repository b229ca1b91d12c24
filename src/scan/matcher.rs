//! What a match is, in the plainest way: one rule against one line, nothing prepared, nothing left out.
//!
//! [`matches()`] is for examples and explanations, where a line is looked at once, and it is what the scanner is tested against.
//! Its cost is that of looking for every item; a text without case costs line times text.

use memchr::memmem;

use crate::hit::{Parts, Role};
use crate::rules::{
    Comparison, Exclude, FieldCondition, FieldTest, Item, Match, Parse, Recover, Rule, RuleSet,
};

use super::line::Line;

/// What a matching line gives to its hit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched {
    /// Each named group that took part: its first value, items in the order written, `all` before `any`.
    pub captures: Vec<(Box<str>, Box<[u8]>)>,
    parse: Parse,
}

impl Matched {
    /// What `line` gives to a hit if it fulfils `wanted`, part of a rule with this `parse`.
    pub(super) fn of(wanted: &Match, parse: Parse, line: &[u8]) -> Self {
        Self {
            captures: captures(wanted, line),
            parse,
        }
    }

    /// What `name` means in `line`, which gave this match: capture, label, structured metadata, field, derived label.
    #[must_use]
    pub fn value(&self, name: &str, line: &Line<'_>) -> Option<Box<[u8]>> {
        let captured = self.captures.iter().find(|(group, _)| **group == *name);
        match captured {
            Some((_, value)) => Some(value.clone()),
            None => line.value(name, self.parse, &mut Vec::new()).map(Box::from),
        }
    }
}

/// What an entry means to a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// As a match, or as a recovery.
    pub role: Role,
    /// What of the rule it fulfils; none for a recovery.
    pub parts: Parts,
    /// What the first of those gives; for a recovery `recover.match`.
    pub matched: Matched,
}

/// Whether `line` is one of those of `rule`, one of `rules`: it fulfils its `match`, in a sequence that of any step. What only
/// counts in a denominator is none, and no line is one of a rule on findings. The rule's selector is not looked at.
#[must_use]
pub fn matches(rules: &RuleSet, rule: &Rule, line: &Line<'_>) -> Option<Matched> {
    let mut parts = rule.own_parts().into_iter();
    parts.find_map(|part| fulfils(rules, part, rule.parse, line))
}

/// What `line` means to `rule`, one of `rules`: a recovery if it fulfils `recover.match`, else perhaps a match.
/// The rule's selector is not looked at.
#[must_use]
pub fn judge(rules: &RuleSet, rule: &Rule, line: &Line<'_>) -> Option<Verdict> {
    let wanted = rule.parts();
    let fulfils = |wanted: &Match| fulfils(rules, wanted, rule.parse, line);
    // A rule on findings reads no line, not even for its end.
    let recovery = recovery(rule).filter(|_| !wanted.is_empty());
    if let Some(matched) = recovery.and_then(fulfils) {
        return Some(Verdict {
            role: Role::Recovery,
            parts: Parts::default(),
            matched,
        });
    }
    let mut parts = Parts::default();
    let mut first = None;
    for (n, wanted) in wanted.into_iter().enumerate() {
        if let Some(matched) = fulfils(wanted) {
            parts = parts.with(n);
            first = first.or(Some(matched));
        }
    }
    let matched = first?;
    // What only counts in a denominator is no entry of a finding, so it makes none worse.
    if rule.is_match(parts) {
        for (n, escalates) in rule.escalating_matches().enumerate() {
            if fulfils(escalates).is_some() {
                parts = parts.with(Parts::MAX + n);
            }
        }
    }
    Some(Verdict {
        role: Role::Match,
        parts,
        matched,
    })
}

/// The `recover.match` of `rule`.
pub(super) fn recovery(rule: &Rule) -> Option<&Match> {
    match &rule.recover {
        Recover::Match { when, .. } => Some(when),
        Recover::Quiet(_) | Recover::Never | Recover::Condition => None,
    }
}

fn fulfils(rules: &RuleSet, wanted: &Match, parse: Parse, line: &Line<'_>) -> Option<Matched> {
    let contains = |item: &Item| contains(item, line.bytes);
    if !wanted.all.iter().all(contains)
        || !(wanted.any.is_empty() || wanted.any.iter().any(contains))
    {
        return None;
    }
    let spoilt = wanted.none.iter().any(|exclude| match exclude {
        Exclude::Item(item) => contains(item),
        Exclude::Rule(id) => rules
            .find(id)
            .is_some_and(|(_, other)| matches(rules, other, line).is_some()),
    });
    if spoilt {
        return None;
    }
    let matched = Matched::of(wanted, parse, line.bytes);
    let accepted = |test: &FieldTest| {
        let value = matched.value(&test.name, line);
        value.is_some_and(|value| {
            test.accepts
                .iter()
                .any(|condition| holds(condition, &value))
        })
    };
    wanted.fields.iter().all(accepted).then_some(matched)
}

fn contains(item: &Item, line: &[u8]) -> bool {
    match item {
        Item::Text {
            text,
            ignore_case: false,
        } => memmem::find(line, text.as_bytes()).is_some(),
        Item::Text {
            text,
            ignore_case: true,
        } => line
            .windows(text.len())
            .any(|piece| piece.eq_ignore_ascii_case(text.as_bytes())),
        Item::Regex(pattern) => pattern.regex().is_match(line),
    }
}

fn captures(wanted: &Match, line: &[u8]) -> Vec<(Box<str>, Box<[u8]>)> {
    let mut found: Vec<(Box<str>, Box<[u8]>)> = Vec::new();
    for item in wanted.all.iter().chain(&wanted.any) {
        let Item::Regex(pattern) = item else {
            continue;
        };
        let mut captures = pattern.regex().create_captures();
        pattern.regex().captures(line, &mut captures);
        for name in pattern.group_names() {
            if let Some(span) = captures.get_group_by_name(name)
                && !found.iter().any(|(known, _)| **known == *name)
            {
                found.push((name.into(), line[span.range()].into()));
            }
        }
    }
    found
}

pub(super) fn holds(condition: &FieldCondition, value: &[u8]) -> bool {
    match condition {
        FieldCondition::Equals { text, ignore_case } => equal(value, text, *ignore_case),
        FieldCondition::Compare(comparison, bound) => {
            number(value).is_some_and(|number| compares(*comparison, number, *bound))
        }
        FieldCondition::Regex(pattern) => pattern.regex().is_match(value),
    }
}

/// Whether `value` is `text`, in the sense of a rule.
pub(super) fn equal(value: &[u8], text: &str, ignore_case: bool) -> bool {
    if ignore_case {
        value.eq_ignore_ascii_case(text.as_bytes())
    } else {
        value == text.as_bytes()
    }
}

/// The number that `value` is written as: decimal, with an optional exponent. Words like `inf` and `nan` are none.
pub(super) fn number(value: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(value).ok()?;
    let written = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    if written { text.parse().ok() } else { None }
}

/// Whether `number` compares to `bound` as wanted; `== 200` means exactly that number.
pub(super) fn compares(comparison: Comparison, number: f64, bound: f64) -> bool {
    match comparison {
        Comparison::AtLeast => number >= bound,
        Comparison::Above => number > bound,
        Comparison::Below => number < bound,
        Comparison::AtMost => number <= bound,
        Comparison::Equal => number == bound,
        Comparison::NotEqual => number != bound,
    }
}
