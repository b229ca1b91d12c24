//! Why a line that comes near is no match: the one thing that would have to be otherwise.

use crate::rules::{Condition, FieldCondition, FieldTest, Item, Matcher, Rule, Selector};
use crate::scan::{Explained, FieldSeen, ItemSeen, Near, Seen, Spoiler};

/// What kept a line from being a match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miss {
    /// How near it came.
    pub nearness: Nearness,
    /// What is said of lines like it, after "12 lines …": the same for all that fail in the same way.
    pub reason: String,
    /// What this one has in place of what is wanted.
    pub value: Option<String>,
}

/// How near a line came to being a match, from far to near.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nearness {
    /// It has another value in a field, and the rule asks for nothing else.
    Field,
    /// It has some of the items.
    Items,
    /// An item is there in another spelling.
    Spelling,
    /// It has all items, but another value in a field.
    ItemsButField,
    /// Only something that must not be there is there.
    Spoilt,
    /// It fulfils everything, but the rule does not read it.
    Unread,
}

/// What kept the line from being a match of `rule`, if it came near.
pub(super) fn nearest_miss(rule: &Rule, explained: &Explained<'_>) -> Option<Miss> {
    let is_match = explained
        .verdict
        .as_ref()
        .is_some_and(|verdict| rule.is_match(verdict.parts));
    if explained.is_read() {
        let parts = explained
            .parts
            .iter()
            .take(rule.own_parts().len())
            .enumerate();
        let misses = parts.filter_map(|(n, seen)| {
            let mut miss = of_part(seen)?;
            if rule.own_parts().len() > 1 {
                miss.reason = format!("{}, for {}", miss.reason, part_name(rule, n));
            }
            Some(miss)
        });
        // Of equally near ones the first.
        return misses.reduce(|best, miss| {
            if miss.nearness > best.nearness {
                miss
            } else {
                best
            }
        });
    }
    is_match.then(|| unread(explained))
}

fn unread(explained: &Explained<'_>) -> Miss {
    let (reason, value) = if let Some(exclusion) = explained.excluded {
        (
            format!("would match, but `exclude` leaves it out for all rules: {exclusion}"),
            None,
        )
    } else if let Some(unless) = explained.unless {
        (
            format!("would match, but `unless` leaves out the stream: {unless}"),
            None,
        )
    } else {
        let (wanted, values) = unselected(&explained.unselected);
        (
            format!("would match, but the selector wants {wanted}"),
            Some(values),
        )
    };
    Miss {
        nearness: Nearness::Unread,
        reason,
        value,
    }
}

/// The matchers that a stream does not fulfil, and what it has in their place.
pub(super) fn unselected(matchers: &[(&Matcher, Box<str>)]) -> (String, String) {
    let wanted = Selector(
        matchers
            .iter()
            .map(|(matcher, _)| (*matcher).clone())
            .collect(),
    );
    let values: Vec<_> = matchers
        .iter()
        .map(|(matcher, value)| {
            is(
                &matcher.name,
                Some(&**value).filter(|value| !value.is_empty()),
            )
        })
        .collect();
    (wanted.to_string(), values.join(", "))
}

fn is(name: &str, value: Option<&str>) -> String {
    match value {
        Some(value) => format!("{name} is `{value}`"),
        None => format!("{name} is missing"),
    }
}

/// Whether a line that does not fulfil a `match` comes near it.
#[must_use]
pub fn comes_near(seen: &Seen<'_>) -> bool {
    of_part(seen).is_some()
}

fn of_part(seen: &Seen<'_>) -> Option<Miss> {
    let miss = |nearness, reason| {
        Some(Miss {
            nearness,
            reason,
            value: None,
        })
    };
    if !seen.has_items() {
        return match spelling(seen) {
            Some(reason) => miss(Nearness::Spelling, reason),
            None => miss(Nearness::Items, lacking(seen)?),
        };
    }
    if let Some(failed) = seen.fields.iter().find(|field| !field.holds) {
        return field(seen, failed);
    }
    match seen.spoilt_by.first()? {
        Spoiler::Item(item, _) => miss(
            Nearness::Spoilt,
            format!("would match, but for {} in `none`", item_wanted(item)),
        ),
        Spoiler::Rule(id) => miss(
            Nearness::Spoilt,
            format!("would match, but `none` leaves it to the rule `{id}`"),
        ),
    }
}

/// What is said of an item that is there in another spelling, if one that is missing is.
fn spelling(seen: &Seen<'_>) -> Option<String> {
    let any = seen
        .any
        .iter()
        .filter(|_| seen.any.iter().all(|item| item.at.is_none()));
    seen.all.iter().chain(any).find_map(|item| {
        let wanted = item_wanted(item.item);
        Some(match item.near.as_ref()? {
            Near::OtherCase(_) => {
                format!("where {wanted} stands in other letters: `ignore_case: true` would find it")
            }
            Near::Escaped(_) => format!(
                "where {wanted} stands with backslashes, as in JSON: write it as it stands there"
            ),
            Near::Unescaped(_) => {
                format!("where {wanted} stands without backslashes: write it as it stands there")
            }
        })
    })
}

/// What is said of a line that has some of what is asked for, but not all items.
fn lacking(seen: &Seen<'_>) -> Option<String> {
    let is_there = |item: &&ItemSeen<'_>| item.at.is_some();
    let present = seen.all.iter().chain(&seen.any).find(is_there);
    let missing = match seen.all.iter().find(|item| item.at.is_none()) {
        Some(item) => format!("{} of `all`", item_wanted(item.item)),
        None => "any item of `any`".to_owned(),
    };
    match present {
        Some(present) => Some(format!(
            "with {}, but without {missing}",
            item_wanted(present.item)
        )),
        // A field that fits tells of a line that is meant, where there is nothing else to go by.
        None => {
            let field = seen.fields.iter().find(|field| field.holds)?;
            Some(format!(
                "with {}, but without {missing}",
                field_wanted(field.test)
            ))
        }
    }
}

fn field(seen: &Seen<'_>, failed: &FieldSeen<'_>) -> Option<Miss> {
    let has_others =
        !seen.all.is_empty() || !seen.any.is_empty() || seen.fields.iter().any(|field| field.holds);
    // A line that has nothing of what is asked for does not come near.
    if failed.value.is_none() && !has_others {
        return None;
    }
    Some(Miss {
        nearness: if has_others {
            Nearness::ItemsButField
        } else {
            Nearness::Field
        },
        reason: format!("would match, but {} is wanted", field_wanted(failed.test)),
        value: Some(is(&failed.test.name, failed.value.as_deref())),
    })
}

/// `the text` or /the expression/, as a rule asks for it.
#[must_use]
pub fn item_wanted(item: &Item) -> String {
    match item {
        Item::Text { text, .. } => format!("`{text}`"),
        Item::Regex(pattern) => format!("{pattern:?}"),
    }
}

/// `status >= 500`, `level = error or fatal`, as a rule asks for it.
#[must_use]
pub fn field_wanted(test: &FieldTest) -> String {
    let accepts = test.accepts.iter().map(|condition| match condition {
        FieldCondition::Equals { text, .. } => format!("= `{text}`"),
        FieldCondition::Compare(comparison, bound) => format!("{comparison} {bound}"),
        FieldCondition::Regex(pattern) => format!("~ {pattern:?}"),
    });
    format!("{} {}", test.name, accepts.collect::<Vec<_>>().join(" or "))
}

/// What the `n`-th part of `rule` is called.
#[must_use]
pub fn part_name(rule: &Rule, n: usize) -> String {
    match &rule.condition {
        Condition::Ratio(_) if n > 0 => "total".to_owned(),
        Condition::Sequence(sequence) if n < sequence.steps.len() => format!("step {}", n + 1),
        Condition::Sequence(_) => "the step that must not come".to_owned(),
        _ => "match".to_owned(),
    }
}
