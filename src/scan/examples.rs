//! Which rules match single lines, whatever streams they read: for example lines, which have no labels.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::scanner::{Scanner, Scratch};
use crate::batch::{Batch, Entry, Labels, Span, Stream, StreamEntries};
use crate::hit::{Role, RuleIndex};
use crate::rules::{Rule, RuleSet, Selector};
use crate::time::Timestamp;

/// Most rules times lines that are looked at, and most times that a rule is asked about a line: some tenths of a second.
const WORK_MAX: usize = 20_000_000;
const ASKED_MAX: u64 = 1_000_000;

/// For each line the rules of `rules` whose `match` it fulfils, in order, their selectors left aside. A line that comes again, as
/// those of rules that extend one rule do, is looked at once. Beyond a bound on the work, which only thousands of rules with
/// thousands of lines reach, nothing is known of the later lines.
#[must_use]
pub fn matching_rules<'a>(
    rules: &RuleSet,
    lines: impl IntoIterator<Item = &'a str>,
) -> Vec<Arc<[RuleIndex]>> {
    let mut distinct = Vec::new();
    let mut places = FxHashMap::default();
    let lines = lines.into_iter().map(|line| {
        *places.entry(line).or_insert_with(|| {
            distinct.push(line);
            distinct.len() - 1
        })
    });
    let lines: Vec<usize> = lines.collect();
    let matching = matching_each(rules, &distinct);
    let matching = matching.into_iter().map(Arc::from);
    let matching: Vec<Arc<[RuleIndex]>> = matching.collect();
    lines
        .into_iter()
        .map(|place| Arc::clone(&matching[place]))
        .collect()
}

fn matching_each(rules: &RuleSet, lines: &[&str]) -> Vec<Vec<RuleIndex>> {
    let everywhere = |rule: &Arc<Rule>| {
        Arc::new(Rule {
            selector: Selector::default(),
            unless: None,
            // What is not asked need not be copied.
            description: None,
            catches: Vec::new(),
            passes: Vec::new(),
            ..Rule::clone(rule)
        })
    };
    let scanner = Scanner::new(Arc::new(RuleSet {
        rules: rules.rules.iter().map(everywhere).collect(),
        ..RuleSet::default()
    }));
    let batch = batch(lines);
    let mut matching = vec![Vec::new(); batch.entries.len()];
    let mut scratch = Scratch::default();
    let mut hits = Vec::new();
    let mut asked = 0;
    let lines_max = WORK_MAX / rules.rules.len().max(1);
    for (entry, matching) in matching.iter_mut().enumerate().take(lines_max) {
        // One at a time: a line that every rule matches makes as many hits.
        scanner.scan(&batch, entry..entry + 1, &mut scratch, &mut hits);
        let matches = hits.drain(..).filter(|hit| hit.role == Role::Match);
        matching.extend(matches.map(|hit| hit.rule));
        matching.sort_unstable();
        scratch.take_spent(|_, spent| asked += spent.candidates);
        if asked > ASKED_MAX {
            break;
        }
    }
    matching
}

/// The lines as entries of one stream without labels, a nanosecond apart: no two are the same entry.
fn batch(lines: &[&str]) -> Batch {
    let mut batch = Batch::default();
    for line in lines {
        // Rule files are far below 4 GiB together.
        let span = Span {
            start: batch.block.len() as u32,
            len: line.len() as u32,
        };
        batch.block.extend_from_slice(line.as_bytes());
        batch.entries.push(Entry {
            at: Timestamp::new(batch.entries.len() as i64),
            line: span,
            metadata: Span::default(),
        });
    }
    if !batch.entries.is_empty() {
        batch.streams.push(StreamEntries {
            stream: Arc::new(Stream::new("".into(), Labels::default())),
            entries: 0..batch.entries.len() as u32,
        });
    }
    batch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::testing::{any_of, rule, text};

    #[test]
    fn a_line_is_told_of_all_rules_that_match_it_and_of_no_other() {
        let general = rule("general", any_of([text("timeout")]));
        let mut elsewhere = rule("elsewhere", any_of([text("i/o timeout")]));
        elsewhere.selector = Selector(vec![crate::rules::Matcher {
            name: "app".to_owned(),
            test: crate::rules::Test::Equal("shop".to_owned()),
        }]);
        let rules = RuleSet {
            rules: vec![Arc::new(elsewhere), Arc::new(general)],
            ..RuleSet::default()
        };
        let lines = ["dial: i/o timeout", "fine", "timeout", "dial: i/o timeout"];
        let matching = matching_rules(&rules, lines);
        let (elsewhere, general) = (RuleIndex(0), RuleIndex(1));
        assert_eq!(
            matching,
            [
                vec![elsewhere, general].into(),
                [].into(),
                vec![general].into(),
                Arc::<[RuleIndex]>::from([elsewhere, general])
            ]
        );
        assert!(Arc::ptr_eq(&matching[0], &matching[3]));
        assert!(matching_rules(&rules, []).is_empty());
    }
}
