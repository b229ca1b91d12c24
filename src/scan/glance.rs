//! Which rules a line has something for, told by one look before any of them is explained.
//!
//! Something is an item that one of a rule's matches asks for, in whatever case and however its quotes are escaped, or a field whose
//! value is one that is asked for. Of a rule that finds nothing of that there is nothing to explain: the line is no match of it, counts
//! nowhere, and does not come near. To say so rule by rule costs a search for each item; here the texts of all rules are looked for at
//! once, an expression is run only where a text lies that it needs, and a field is read once for all that ask for it.

use aho_corasick::AhoCorasick;
use rustc_hash::FxHashMap;

use super::explain::{escaped, unescaped};
use super::line::Line;
use super::{literals, matcher};
use crate::hit::RuleIndex;
use crate::rules::{FieldTest, Item, Parse, Pattern, RuleSet};

/// All that the rules of a set ask for, prepared to be looked for in lines.
#[derive(Debug)]
pub struct Glance<'r> {
    texts: AhoCorasick,
    /// What each of the texts tells.
    clues: Vec<Vec<Clue<'r>>>,
    /// Expressions that need no text which could be looked for.
    blind: Vec<Clue<'r>>,
    /// The tests of each field, with the places of their rules.
    fields: FxHashMap<(&'r str, Parse), Vec<(usize, &'r FieldTest)>>,
    /// For each rule whether it has a match that asks for nothing, so that every line is one.
    takes_all: Vec<bool>,
}

/// What it means that a text is found.
#[derive(Debug, Clone, Copy)]
struct Clue<'r> {
    /// Place of the rule that the line has something for,
    rule: usize,
    /// if this matches as well.
    pattern: Option<&'r Pattern>,
}

impl<'r> Glance<'r> {
    /// Prepares `rules`: some microseconds and kilobytes for each.
    #[must_use]
    pub fn new(rules: &'r RuleSet) -> Self {
        let mut texts: FxHashMap<Vec<u8>, Vec<Clue<'r>>> = FxHashMap::default();
        let mut blind = Vec::new();
        let mut fields: FxHashMap<_, Vec<_>> = FxHashMap::default();
        let mut takes_all = vec![false; rules.rules.len()];
        for (place, rule) in rules.rules.iter().enumerate() {
            // A rule on findings reads no line.
            if rule.parts().is_empty() {
                continue;
            }
            for wanted in literals::matches_of(rule) {
                let items = || wanted.all.iter().chain(&wanted.any);
                takes_all[place] |= items().next().is_none() && wanted.fields.is_empty();
                for item in items() {
                    let (spellings, pattern) = match item {
                        Item::Text { text, .. } => (Some(spellings(text)), None),
                        Item::Regex(pattern) => (needs(pattern), Some(&**pattern)),
                    };
                    let clue = Clue {
                        rule: place,
                        pattern,
                    };
                    match spellings {
                        Some(spellings) => spellings
                            .into_iter()
                            .for_each(|text| texts.entry(text).or_default().push(clue)),
                        None => blind.push(clue),
                    }
                }
                for test in &wanted.fields {
                    let tests = fields.entry((&*test.name, rule.parse)).or_default();
                    tests.push((place, test));
                }
            }
        }
        let (texts, clues): (Vec<_>, Vec<_>) = texts.into_iter().unzip();
        let texts = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(texts)
            .expect("rule files are bounded, by far less than an automaton holds");
        Self {
            texts,
            clues,
            blind,
            fields,
            takes_all,
        }
    }

    /// The rules that `line` has something for, in order. Selectors are not looked at.
    ///
    /// Costs a search through the line, and the reading of each field that is asked for.
    #[must_use]
    pub fn rules_for(&self, line: &Line<'_>) -> Vec<RuleIndex> {
        let mut has = self.takes_all.clone();
        let mut follow = |clue: &Clue<'_>| {
            let is_there = |pattern: &Pattern| pattern.regex().is_match(line.bytes);
            has[clue.rule] = has[clue.rule] || clue.pattern.is_none_or(is_there);
        };
        let mut is_known = vec![false; self.clues.len()];
        for found in self.texts.find_overlapping_iter(line.bytes) {
            let text = found.pattern().as_usize();
            if !std::mem::replace(&mut is_known[text], true) {
                self.clues[text].iter().for_each(&mut follow);
            }
        }
        self.blind.iter().for_each(follow);
        // Nothing is captured for a rule that none of its expressions match, so its fields are what the line says.
        for ((name, parse), tests) in &self.fields {
            let mut buffer = Vec::new();
            let Some(value) = line.value(name, *parse, &mut buffer) else {
                continue;
            };
            for (rule, test) in tests {
                let mut accepts = test.accepts.iter();
                has[*rule] =
                    has[*rule] || accepts.any(|condition| matcher::holds(condition, value));
            }
        }
        let places = (0..).zip(has).filter(|(_, has)| *has);
        places.map(|(place, _)| RuleIndex(place)).collect()
    }
}

/// The text in lower case as it is written, as inside JSON, and without what would be escaped there.
fn spellings(text: &str) -> Vec<Vec<u8>> {
    let spellings = [text.to_owned(), escaped(text), unescaped(text)];
    let mut spellings = spellings.map(|text| text.to_ascii_lowercase().into_bytes());
    spellings.sort_unstable();
    let mut spellings = spellings.to_vec();
    spellings.dedup();
    spellings
}

/// Texts in lower case, one of which is wherever `pattern` matches.
fn needs(pattern: &Pattern) -> Option<Vec<Vec<u8>>> {
    let texts = literals::of_pattern(pattern)?;
    Some(texts.into_iter().map(Into::into).collect())
}
