//! Why a line is a hit of a rule, or is none: each question that is asked about it, with its answer.
//!
//! The scanner stops at the first no; here every answer is given, because the first is seldom the one that somebody looks for
//! whose rule never fires. The verdict itself is [`judge`]'s.

use std::ops::Range;

use memchr::memmem;

use super::hits::to_text;
use super::line::Line;
use super::matcher::{self, Matched, Verdict, judge};
use crate::batch::Labels;
use crate::rules::{Exclude, Exclusion, FieldTest, Item, Match, Matcher, Rule, RuleSet, Selector};

/// All there is to say about one line and one rule.
#[derive(Debug)]
pub struct Explained<'r> {
    /// Matchers of the rule's `selector` that the stream does not fulfil, each with the label's value.
    pub unselected: Vec<(&'r Matcher, Box<str>)>,
    /// The rule's `unless`, if it leaves the stream out.
    pub unless: Option<&'r Selector>,
    /// What leaves the line out for all rules.
    pub excluded: Option<&'r Exclusion>,
    /// The rule's `recover.match`.
    pub recovery: Option<Seen<'r>>,
    /// The rule's parts, in order.
    pub parts: Vec<Seen<'r>>,
    /// The rule's escalating matches, in order.
    pub escalations: Vec<Seen<'r>>,
    /// What the line is to the rule, if its stream is read.
    pub verdict: Option<Verdict>,
    /// Names of `by` with their values, read by the verdict; `None` for one that is missing.
    pub key: Vec<(&'r str, Option<Box<str>>)>,
    /// The same for the rule's [`values`](Rule::values).
    pub values: Vec<(&'r str, Option<Box<str>>)>,
}

impl Explained<'_> {
    /// Whether the rule reads the line's stream: it is selected and not left out.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.unselected.is_empty() && self.unless.is_none() && self.excluded.is_none()
    }
}

/// Asks everything about `line` and `rule`, one of `rules`, of which `exclusions` leave out lines.
///
/// Costs a search for every item of the rule, and another in any case for each text that is not there.
#[must_use]
pub fn explain<'r>(
    rules: &'r RuleSet,
    rule: &'r Rule,
    exclusions: &'r [Exclusion],
    line: &Line<'_>,
) -> Explained<'r> {
    let see = |wanted| Seen::of(rules, rule, wanted, line);
    let verdict = judge(rules, rule, line);
    let named = |names: &'r [String]| -> Vec<_> {
        let Some(Verdict { matched, .. }) = &verdict else {
            return Vec::new();
        };
        let value = |name: &str| matched.value(name, line).filter(|value| !value.is_empty());
        let value = |name: &'r String| (name.as_str(), value(name).map(|value| to_text(&value)));
        names.iter().map(value).collect()
    };
    Explained {
        recovery: matcher::recovery(rule).map(see),
        parts: rule.parts().into_iter().map(see).collect(),
        escalations: rule.escalating_matches().map(see).collect(),
        key: named(&rule.by),
        values: named(&rule.values),
        verdict,
        ..unasked(rule, exclusions, line)
    }
}

/// The same of a line that has nothing for the rule, as [`Glance`](super::Glance) says: whether it is read, and no matches.
///
/// Costs a look at selectors and exclusions.
#[must_use]
pub fn unasked<'r>(rule: &'r Rule, exclusions: &'r [Exclusion], line: &Line<'_>) -> Explained<'r> {
    let labels = &*line.stream.labels;
    let mut exclusions = exclusions.iter();
    Explained {
        unselected: unselected(&rule.selector, labels),
        unless: rule.unless.as_ref().filter(|unless| unless.selects(labels)),
        excluded: exclusions
            .find(|exclusion| exclusion.concerns(labels) && exclusion.leaves_out(line.bytes)),
        recovery: None,
        parts: Vec::new(),
        escalations: Vec::new(),
        verdict: None,
        key: Vec::new(),
        values: Vec::new(),
    }
}

fn unselected<'r>(selector: &'r Selector, labels: &Labels) -> Vec<(&'r Matcher, Box<str>)> {
    let matchers = selector.0.iter();
    matchers
        .filter(|matcher| !matcher.holds(labels))
        .map(|matcher| (matcher, matcher.value(labels).into()))
        .collect()
}

/// A line held against one `match`.
#[derive(Debug)]
pub struct Seen<'r> {
    /// The items of `all`, each of which must be there.
    pub all: Vec<ItemSeen<'r>>,
    /// The items of `any`, one of which must be there.
    pub any: Vec<ItemSeen<'r>>,
    /// What of `none` is there.
    pub spoilt_by: Vec<Spoiler<'r>>,
    /// The tests of fields.
    pub fields: Vec<FieldSeen<'r>>,
}

impl<'r> Seen<'r> {
    fn of(rules: &'r RuleSet, rule: &'r Rule, wanted: &'r Match, line: &Line<'_>) -> Self {
        let items = |items: &'r [Item]| -> Vec<_> {
            items
                .iter()
                .map(|item| ItemSeen::of(item, line.bytes))
                .collect()
        };
        let spoilt_by = wanted.none.iter().filter_map(|exclude| match exclude {
            Exclude::Item(item) => find(item, line.bytes).map(|at| Spoiler::Item(item, at)),
            Exclude::Rule(id) => {
                let (_, other) = rules.find(id)?;
                matcher::matches(rules, other, line).map(|_| Spoiler::Rule(id))
            }
        });
        let matched = Matched::of(wanted, rule.parse, line.bytes);
        let field = |test: &'r FieldTest| {
            let value = matched.value(&test.name, line);
            let holds = value.as_ref().is_some_and(|value| {
                let mut accepts = test.accepts.iter();
                accepts.any(|condition| matcher::holds(condition, value))
            });
            FieldSeen {
                test,
                value: value.map(|value| to_text(&value)),
                holds,
            }
        };
        Self {
            all: items(&wanted.all),
            any: items(&wanted.any),
            spoilt_by: spoilt_by.collect(),
            fields: wanted.fields.iter().map(field).collect(),
        }
    }

    /// Whether the line has the items that it needs.
    #[must_use]
    pub fn has_items(&self) -> bool {
        let is_there = |item: &ItemSeen<'_>| item.at.is_some();
        self.all.iter().all(is_there) && (self.any.is_empty() || self.any.iter().any(is_there))
    }

    /// Whether the line fulfils the `match`.
    #[must_use]
    pub fn is_fulfilled(&self) -> bool {
        self.has_items() && self.spoilt_by.is_empty() && self.fields.iter().all(|seen| seen.holds)
    }
}

/// An item looked for in a line.
#[derive(Debug)]
pub struct ItemSeen<'r> {
    /// What was looked for.
    pub item: &'r Item,
    /// Where its first occurrence lies, in bytes of the line.
    pub at: Option<Range<usize>>,
    /// Where something very like it lies, if it is not there itself.
    pub near: Option<Near>,
}

/// What is there in place of a text that is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Near {
    /// The text in other letters: `ignore_case` would find it.
    OtherCase(Range<usize>),
    /// The text with a backslash before quotes or backslashes, as inside JSON: it must be written so.
    Escaped(Range<usize>),
    /// The text without the backslashes before its quotes and backslashes.
    Unescaped(Range<usize>),
}

impl<'r> ItemSeen<'r> {
    fn of(item: &'r Item, line: &[u8]) -> Self {
        let at = find(item, line);
        Self {
            item,
            near: if at.is_none() { near(item, line) } else { None },
            at,
        }
    }
}

/// What spoils a match.
#[derive(Debug, Clone)]
pub enum Spoiler<'r> {
    /// An item of `none`, and where it lies in bytes of the line.
    Item(&'r Item, Range<usize>),
    /// The rule whose line it is.
    Rule(&'r str),
}

/// A field held against its test.
#[derive(Debug)]
pub struct FieldSeen<'r> {
    /// Its name and what its value must be.
    pub test: &'r FieldTest,
    /// Its value, cut as those of keys are; `None` if the line has no such field.
    pub value: Option<Box<str>>,
    /// Whether it passes.
    pub holds: bool,
}

fn find(item: &Item, line: &[u8]) -> Option<Range<usize>> {
    match item {
        Item::Text {
            text,
            ignore_case: false,
        } => find_text(text, line),
        Item::Text {
            text,
            ignore_case: true,
        } => find_folded(text, line),
        Item::Regex(pattern) => pattern.regex().find(line).map(|found| found.range()),
    }
}

fn find_text(text: &str, line: &[u8]) -> Option<Range<usize>> {
    let start = memmem::find(line, text.as_bytes())?;
    Some(start..start + text.len())
}

fn find_folded(text: &str, line: &[u8]) -> Option<Range<usize>> {
    let mut pieces = line.windows(text.len());
    let start = pieces.position(|piece| piece.eq_ignore_ascii_case(text.as_bytes()))?;
    Some(start..start + text.len())
}

fn near(item: &Item, line: &[u8]) -> Option<Near> {
    let Item::Text {
        text,
        ignore_case: false,
    } = item
    else {
        return None;
    };
    find_folded(text, line)
        .map(Near::OtherCase)
        .or_else(|| find_text(&escaped(text), line).map(Near::Escaped))
        .or_else(|| find_text(&unescaped(text), line).map(Near::Unescaped))
}

/// `text` with a backslash before quotes and backslashes, as inside JSON.
pub(super) fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"")
}

/// `text` without the backslashes before quotes and backslashes.
pub(super) fn unescaped(text: &str) -> String {
    text.replace("\\\"", "\"").replace(r"\\", "\\")
}

#[cfg(test)]
mod tests {

    use super::super::testing::{
        all_of, any_of, labels, regex, rule, rule_set, text, text_in_any_case,
    };
    use super::*;
    use crate::batch::Stream;
    use crate::rules::{Comparison, FieldCondition, Test};

    /// What is said of `line`, of the stream `{namespace="shop"}`, to a rule that wants `matches`.
    fn explained<T>(matches: Match, line: &str, told: impl FnOnce(&Explained<'_>) -> T) -> T {
        let rules = rule_set([rule("other", any_of([text("theirs")])), rule("r", matches)]);
        let (_, rule) = rules.find("r").expect("it is there");
        let stream = Stream::new("".into(), labels(&[("namespace", "shop")]));
        told(&explain(
            &rules,
            rule,
            &[],
            &Line::new(&stream, line.as_bytes()),
        ))
    }

    #[test]
    fn each_item_is_told_with_its_place_and_those_that_are_not_there_too() {
        let matches = Match {
            any: vec![text("refused"), regex("r.f"), text_in_any_case("DIAL")],
            ..all_of([text("tcp"), text("missing")])
        };
        explained(matches, "dial tcp: refused", |explained| {
            let seen = &explained.parts[0];
            let places = |items: &[ItemSeen<'_>]| -> Vec<_> {
                items.iter().map(|item| item.at.clone()).collect()
            };
            assert_eq!(places(&seen.all), [Some(5..8), None]);
            assert_eq!(places(&seen.any), [Some(10..17), Some(10..13), Some(0..4)]);
            assert!(!seen.has_items() && !seen.is_fulfilled());
            assert_eq!(explained.verdict, None);
        });
    }

    #[test]
    fn a_text_in_another_spelling_is_found_where_it_is() {
        let near = |wanted: &str, line: &str| {
            explained(any_of([text(wanted)]), line, |explained| {
                explained.parts[0].any[0].near.clone()
            })
        };
        assert_eq!(
            near("Refused", "it was REFUSED"),
            Some(Near::OtherCase(7..14))
        );
        assert_eq!(
            near(r#"say "hi""#, r#"{"msg":"say \"hi\""}"#),
            Some(Near::Escaped(8..18))
        );
        assert_eq!(
            near(r"C:\x", r#"{"path":"C:\\x"}"#),
            Some(Near::Escaped(9..14))
        );
        assert_eq!(
            near(r#"say \"hi\""#, r#"say "hi""#),
            Some(Near::Unescaped(0..8))
        );
        assert_eq!(near("Refused", "nothing of it"), None);
        assert_eq!(near("Refused", "Refused"), None);
        let any_case = explained(any_of([text_in_any_case("x")]), "y", |explained| {
            explained.parts[0].any[0].near.clone()
        });
        assert_eq!(any_case, None);
    }

    #[test]
    fn spoilers_and_fields_are_told_all_of_them_whether_items_are_there_or_not() {
        let field = |name: &str, bound| FieldTest {
            name: name.to_owned(),
            accepts: vec![FieldCondition::Compare(Comparison::AtLeast, bound)],
        };
        let none = [text("not there"), text("retry")].map(Exclude::Item);
        let matches = Match {
            none: none
                .into_iter()
                .chain([Exclude::Rule("other".to_owned())])
                .collect(),
            fields: vec![
                field("status", 500.0),
                field("took", 5.0),
                field("gone", 1.0),
            ],
            ..any_of([text("nowhere")])
        };
        explained(matches, "status=503 took=4 retry theirs", |explained| {
            let seen = &explained.parts[0];
            let spoilers: Vec<_> = seen
                .spoilt_by
                .iter()
                .map(|spoiler| match spoiler {
                    Spoiler::Item(_, at) => format!("{at:?}"),
                    Spoiler::Rule(id) => (*id).to_owned(),
                })
                .collect();
            assert_eq!(spoilers, ["18..23", "other"]);
            let fields: Vec<_> = seen
                .fields
                .iter()
                .map(|field| (field.value.as_deref(), field.holds))
                .collect();
            assert_eq!(
                fields,
                [(Some("503"), true), (Some("4"), false), (None, false)]
            );
        });
    }

    #[test]
    fn a_stream_that_is_not_read_is_told_with_each_matcher_that_it_fails() {
        let matcher = |name: &str, test| Matcher {
            name: name.to_owned(),
            test,
        };
        let mut wanted = rule("r", any_of([text("x")]));
        wanted.selector = Selector(vec![
            matcher("namespace", Test::Equal("image-factory".to_owned())),
            matcher("namespace", Test::NotEqual("x".to_owned())),
            matcher("app", Test::OneOf(vec!["a".to_owned(), "b".to_owned()])),
        ]);
        wanted.unless = Some(Selector(vec![matcher("app", Test::Equal(String::new()))]));
        wanted.by = vec!["namespace".to_owned(), "app".to_owned()];
        let rules = rule_set([wanted]);
        let stream = Stream::new("".into(), labels(&[("namespace", "shop")]));
        let exclusions = [Exclusion::parse("namespace=shop |= \"y\"").expect("both")];
        let see = |line: &str| {
            explain(
                &rules,
                &rules.rules[0],
                &exclusions,
                &Line::new(&stream, line.as_bytes()),
            )
        };
        let told = see("x");
        let failed: Vec<_> = told
            .unselected
            .iter()
            .map(|(m, value)| (m.to_string(), &**value))
            .collect();
        let expected = [
            (r#"namespace="image-factory""#, "shop"),
            (r#"app in ["a", "b"]"#, ""),
        ];
        assert_eq!(failed, expected.map(|(m, value)| (m.to_owned(), value)));
        assert!(told.unless.is_some() && told.excluded.is_none() && !told.is_read());
        // What it would be is told all the same.
        assert!(told.verdict.is_some());
        assert_eq!(
            told.key,
            [("namespace", Some("shop".into())), ("app", None)]
        );
        assert!(see("x y").excluded.is_some());
    }
}
