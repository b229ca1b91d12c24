//! What in a quoted line matched: found anew when it is shown, by the rule in use on the line as it is stored.
//!
//! Nothing is marked when the rule is gone, has changed so that the line is no match any more, or when what matched was redacted.

use std::ops::Range;

use memchr::memmem;

use crate::batch::{Labels, Stream};
use crate::finding::{EvidenceLine, Finding};
use crate::rules::{Rule, RuleSet};
use crate::scan::{Line, Seen, explain};

/// For each line of the evidence what a rule of `rules` matched in it: ranges in bytes of the line, in order and apart from each other,
/// that begin and end between characters.
pub(super) fn marks(rules: &RuleSet, finding: &Finding) -> Vec<Vec<Range<usize>>> {
    let rule = rules.find(&finding.rule.id);
    let tenant = finding.resource_scope.get("tenant");
    let tenant = tenant.map(String::as_str).unwrap_or_default();
    let lines = finding.evidence.lines.iter();
    lines
        .map(|line| rule.map_or_else(Vec::new, |(_, rule)| of(rules, rule, tenant, line)))
        .collect()
}

fn of(rules: &RuleSet, rule: &Rule, tenant: &str, quoted: &EvidenceLine) -> Vec<Range<usize>> {
    let labels = quoted.labels.iter();
    let labels = labels.map(|(name, value)| (name.as_str().into(), value.as_str().into()));
    let stream = Stream::new(tenant.into(), Labels::new(labels));
    let line = Line::new(&stream, quoted.line.as_bytes());
    let explained = explain(rules, rule, &[], &line);
    let mut found = Vec::new();
    let all = explained.parts.iter().chain(&explained.escalations);
    for seen in all
        .chain(&explained.recovery)
        .filter(|seen| seen.is_fulfilled())
    {
        found.extend(places(seen, line.bytes));
    }
    // What stands before the text that rules see.
    let cut = line.bytes.as_ptr() as usize - quoted.line.as_ptr() as usize;
    let range = |it: Range<usize>| whole(&quoted.line, it.start + cut..it.end + cut);
    joined(found.into_iter().map(range).collect())
}

/// Where the items of a fulfilled `match` are, and the values of its fields.
fn places(seen: &Seen<'_>, line: &[u8]) -> Vec<Range<usize>> {
    let items = seen.all.iter().chain(&seen.any);
    let mut places: Vec<_> = items.filter_map(|item| item.at.clone()).collect();
    for field in &seen.fields {
        let value = field.value.as_deref().filter(|value| !value.is_empty());
        let place = value.and_then(|value| {
            // The value after its name: elsewhere it may mean something else.
            let after = memmem::find(line, field.test.name.as_bytes())? + field.test.name.len();
            let start = after + memmem::find(&line[after..], value.as_bytes())?;
            Some(start..start + value.len())
        });
        places.extend(place);
    }
    places
}

/// The range, wide enough to cut no character.
fn whole(text: &str, mut range: Range<usize>) -> Range<usize> {
    while !text.is_char_boundary(range.start) {
        range.start -= 1;
    }
    while !text.is_char_boundary(range.end) {
        range.end += 1;
    }
    range
}

/// In order, those that touch as one, without empty ones.
fn joined(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut joined: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::finding::Evidence;
    use crate::rules::{Exclude, Item, Match, Pattern};

    fn text(text: &str) -> Item {
        Item::Text {
            text: text.to_owned(),
            ignore_case: false,
        }
    }

    /// The line with brackets around what a rule with that `match` matched.
    fn marked(wanted: Match, line: &str) -> String {
        let rules = RuleSet {
            rules: vec![Arc::new(Rule::new("r", wanted))],
            ..RuleSet::default()
        };
        let mut finding: Finding =
            serde_json::from_str(include_str!("page/testdata/finding.json")).expect("a finding");
        finding.rule.id = "r".to_owned();
        finding.evidence = Evidence {
            lines: vec![EvidenceLine {
                line: line.to_owned(),
                ..finding.evidence.lines[0].clone()
            }],
            ..Evidence::default()
        };
        let marks = marks(&rules, &finding);
        let mut text = String::new();
        let mut end = 0;
        for mark in &marks[0] {
            text += &line[end..mark.start];
            text += &format!("[{}]", &line[mark.clone()]);
            end = mark.end;
        }
        text + &line[end..]
    }

    #[test]
    fn what_matched_is_marked_and_nothing_where_the_line_is_no_match() {
        let line = "ERROR pool exhausted after 30s, size 20";
        let all = |all: Vec<Item>| Match {
            all,
            ..Match::default()
        };
        let regex = Item::Regex(Pattern::compile(r"after \d+s", false).expect("valid"));
        assert_eq!(
            marked(all(vec![text("pool exhausted"), regex]), line),
            "ERROR [pool exhausted] [after 30s], size 20"
        );
        assert_eq!(marked(all(vec![text("pool"), text("nothing")]), line), line);
        let spoilt = Match {
            none: vec![Exclude::Item(text("size"))],
            ..all(vec![text("pool")])
        };
        assert_eq!(marked(spoilt, line), line);
        let any = Match {
            any: vec![text("pool ex"), text("exhausted"), text("missing")],
            ..Match::default()
        };
        assert_eq!(
            marked(any, line),
            "ERROR [pool exhausted] after 30s, size 20"
        );
    }

    #[test]
    fn nothing_is_marked_once_the_rule_is_gone() {
        let finding: Finding =
            serde_json::from_str(include_str!("page/testdata/finding.json")).expect("a finding");
        assert_eq!(
            marks(&RuleSet::default(), &finding),
            [Vec::<Range<usize>>::new()]
        );
    }

    #[test]
    fn a_mark_cuts_no_character() {
        assert_eq!(whole("aéb", 2..2), 1..3);
        assert_eq!(joined(vec![4..6, 1..2, 2..3, 5..5, 5..7]), [1..3, 4..7]);
    }
}
