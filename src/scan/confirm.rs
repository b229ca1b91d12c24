//! A rule's `match`, prepared for being asked often: the answer that `matcher` gives, without allocating.

use std::sync::Arc;

use aho_corasick::AhoCorasick;
use memchr::{memchr, memmem};
use regex_automata::meta::{Cache, Regex};
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::{Input, PatternID};
use rustc_hash::FxHashMap;

use super::line::Line;
use super::matcher::{compares, equal, number};
use super::plan::Ask;
use super::{derived, fields};
use crate::rules::{Comparison, Exclude, FieldCondition, Item, Match, Parse, Pattern, RuleSet};

/// A prepared `match`.
#[derive(Debug)]
pub(super) struct Confirm {
    parse: Parse,
    all: Vec<Finder>,
    any: Vec<Finder>,
    none: Vec<Finder>,
    /// Places of the rules in `none` whose whole match spoils this one.
    none_rules: Vec<usize>,
    fields: Vec<FieldCheck>,
}

/// What a worker keeps from line to line while confirming.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) caches: Caches,
    /// A value with escapes, unescaped.
    pub(super) value: Vec<u8>,
}

impl Confirm {
    /// Prepares `wanted`, part of a rule with this `parse`, one of `rules`.
    pub(super) fn new(wanted: &Match, parse: Parse, rules: &RuleSet, places: &mut Places) -> Self {
        let mut none = Vec::new();
        let mut none_rules = Vec::new();
        for exclude in &wanted.none {
            match exclude {
                Exclude::Item(item) => none.push(Finder::new(item, places)),
                Exclude::Rule(id) => {
                    none_rules.extend(rules.find(id).map(|(index, _)| index.0 as usize));
                }
            }
        }
        let mut finders = |items: &[Item]| -> Vec<_> {
            items.iter().map(|item| Finder::new(item, places)).collect()
        };
        let mut confirm = Self {
            parse,
            all: finders(&wanted.all),
            any: finders(&wanted.any),
            none,
            none_rules,
            fields: Vec::new(),
        };
        for test in &wanted.fields {
            let accepts = test.accepts.iter();
            let check = FieldCheck {
                name: confirm.name(&test.name),
                accepts: accepts.map(|c| Condition::new(c, places)).collect(),
            };
            confirm.fields.push(check);
        }
        confirm
    }

    /// Whether `line` fulfils it. `cues` are what its literals ask, some, if the line was searched for them: no other item of that
    /// group is there. `spoilt` tells whether the line is one of the rule's at a place, which `none` leaves it to.
    pub(super) fn fulfilled(
        &self,
        line: &Line<'_>,
        cues: Option<&[Ask]>,
        spoilt: &impl Fn(usize, &mut Work) -> bool,
        work: &mut Work,
    ) -> bool {
        let caches = &mut work.caches;
        let known = cues.into_iter().flatten().map(|ask| ask.cue);
        let is_known = |item: usize| known.clone().any(|cue| cue.is_item && cue.item == item);
        let all = self.all.iter().enumerate();
        let mut all = all.filter(|(item, _)| !is_known(*item));
        if !all.all(|(_, item)| item.is_in(line.bytes, caches)) {
            return false;
        }
        let of_any = self.all.len();
        let any = match cues {
            Some([first, ..]) if first.cue.item >= of_any => known
                .clone()
                .any(|cue| cue.is_item || self.any[cue.item - of_any].is_in(line.bytes, caches)),
            _ => self.any.is_empty() || self.any.iter().any(|item| item.is_in(line.bytes, caches)),
        };
        any && !self.none.iter().any(|item| item.is_in(line.bytes, caches))
            && self
                .fields
                .iter()
                .all(|check| self.accepts(check, line, work))
            && !self.none_rules.iter().any(|&rule| spoilt(rule, work))
    }

    fn accepts(&self, check: &FieldCheck, line: &Line<'_>, work: &mut Work) -> bool {
        let Some(value) = self.value(&check.name, line, &mut work.caches, &mut work.value) else {
            return false;
        };
        let mut conditions = check.accepts.iter();
        conditions.any(|condition| condition.holds(value, &mut work.caches))
    }

    /// Resolves `name` as far as this match can without a line.
    pub(super) fn name(&self, name: &str) -> Name {
        let items = self.all.iter().chain(&self.any).enumerate();
        let groups = items.filter_map(|(item, finder)| match finder {
            Finder::Regex(searcher) => {
                let groups = searcher.regex.group_info();
                Some((item, groups.to_index(PatternID::ZERO, name)?))
            }
            Finder::Text(_) | Finder::Folded(_) => None,
        });
        let key = name.rsplit('.').next().unwrap_or(name);
        Name {
            groups: groups.collect(),
            key: memmem::Finder::new(key).into_owned(),
            name: name.into(),
        }
    }

    /// Whether `name` means the same in all lines of the stream of `line`.
    pub(super) fn is_of_stream(&self, name: &Name, line: &Line<'_>) -> OfStream {
        if !name.groups.is_empty() {
            OfStream::No
        } else if line.stream.labels.get(&name.name).is_some() {
            OfStream::Always
        } else if derived::is_of_labels(&name.name, line) {
            OfStream::WhereSilent
        } else {
            OfStream::No
        }
    }

    /// Whether `line` itself says nothing under any of `names`, nor anything that they could be derived from before labels.
    pub(super) fn is_silent_about(&self, names: &[Name], line: &Line<'_>) -> bool {
        let may_say = |name: &Name| name.may_be_field(self.parse, line.bytes);
        line.metadata.is_empty() && !line.bytes.starts_with(b"{") && !names.iter().any(may_say)
    }

    /// What `name` means in `line`, which fulfils this match's items. See [`Line::value`]; captures come before all.
    pub(super) fn value<'v>(
        &self,
        name: &Name,
        line: &Line<'v>,
        caches: &mut Caches,
        buffer: &'v mut Vec<u8>,
    ) -> Option<&'v [u8]> {
        for &(item, group) in &name.groups {
            let finder = self
                .all
                .get(item)
                .unwrap_or_else(|| &self.any[item - self.all.len()]);
            if let Finder::Regex(searcher) = finder
                && let Some(value) = searcher.group(group, line.bytes, caches)
            {
                return Some(value);
            }
        }
        let attached = line.attached(&name.name);
        if attached.is_some() {
            return attached;
        }
        let field = if name.may_be_field(self.parse, line.bytes) {
            fields::find(self.parse, line.bytes, &name.name, buffer)
        } else {
            None
        };
        field.or_else(|| line.derived(&name.name))
    }
}

/// Whether a name means the same in the lines of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum OfStream {
    /// What the line itself says may decide.
    No,
    /// The labels decide, in lines that say nothing themselves: see [`Confirm::is_silent_about`].
    WhereSilent,
    /// It is a label.
    Always,
}

/// A name that a rule uses.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) name: Box<str>,
    /// Items that capture it and the group there, in the order in which they are asked. Items of `any` are numbered after those of `all`.
    groups: Vec<(usize, usize)>,
    /// Finds the last segment of the name, without which a line has no such field.
    key: memmem::Finder<'static>,
}

impl Name {
    /// A quick no for most lines: the key is not there, nor a backslash that could spell it otherwise.
    fn may_be_field(&self, parse: Parse, line: &[u8]) -> bool {
        fields::notation(parse, line).is_some()
            && (self.key.find(line).is_some() || memchr(b'\\', line).is_some())
    }
}

/// A prepared item.
#[derive(Debug)]
enum Finder {
    Text(Box<memmem::Finder<'static>>),
    /// A text without case: an automaton, because comparing at every place would cost line times text.
    Folded(AhoCorasick),
    Regex(Searcher),
}

impl Finder {
    fn new(item: &Item, places: &mut Places) -> Self {
        match item {
            Item::Text {
                text,
                ignore_case: false,
            } => Self::Text(Box::new(memmem::Finder::new(text).into_owned())),
            Item::Text {
                text,
                ignore_case: true,
            } => Self::Folded(
                AhoCorasick::builder()
                    .ascii_case_insensitive(true)
                    .build([text])
                    .expect(
                        "one text of a rule file is far below the automaton's limit of 2^31 states",
                    ),
            ),
            Item::Regex(pattern) => Self::Regex(Searcher::new(pattern, places)),
        }
    }

    fn is_in(&self, line: &[u8], caches: &mut Caches) -> bool {
        match self {
            Self::Text(finder) => finder.find(line).is_some(),
            Self::Folded(automaton) => automaton.is_match(line),
            Self::Regex(searcher) => searcher.is_match(line, caches),
        }
    }
}

/// A prepared test of a field.
#[derive(Debug)]
struct FieldCheck {
    name: Name,
    accepts: Vec<Condition>,
}

#[derive(Debug)]
enum Condition {
    Equals { text: Box<str>, ignore_case: bool },
    Compare(Comparison, f64),
    Regex(Searcher),
}

impl Condition {
    fn new(condition: &FieldCondition, places: &mut Places) -> Self {
        match condition {
            FieldCondition::Equals { text, ignore_case } => Self::Equals {
                text: text.as_str().into(),
                ignore_case: *ignore_case,
            },
            FieldCondition::Compare(comparison, bound) => Self::Compare(*comparison, *bound),
            FieldCondition::Regex(pattern) => Self::Regex(Searcher::new(pattern, places)),
        }
    }

    fn holds(&self, value: &[u8], caches: &mut Caches) -> bool {
        match self {
            Self::Equals { text, ignore_case } => equal(value, text, *ignore_case),
            Self::Compare(comparison, bound) => {
                number(value).is_some_and(|number| compares(*comparison, number, *bound))
            }
            Self::Regex(searcher) => searcher.is_match(value, caches),
        }
    }
}

/// A regular expression that runs in a worker's own cache, so that workers never wait for each other.
#[derive(Debug)]
struct Searcher {
    regex: Regex,
    /// Its place in [`Caches`].
    place: usize,
}

/// The places of expressions in [`Caches`], while a scanner is built: one for each, however many rules share it.
#[derive(Debug, Default)]
pub(super) struct Places(FxHashMap<*const Pattern, usize>);

/// What regular expressions write to while they search.
#[derive(Debug, Default)]
pub(super) struct Caches {
    /// Made when first needed: an expression that never runs takes no memory.
    by_place: Vec<Option<Box<Cache>>>,
    slots: Vec<Option<NonMaxUsize>>,
}

impl Searcher {
    fn new(pattern: &Arc<Pattern>, places: &mut Places) -> Self {
        let next = places.0.len();
        let place = *places.0.entry(Arc::as_ptr(pattern)).or_insert(next);
        Self {
            regex: pattern.regex.clone(),
            place,
        }
    }

    fn cache<'c>(&self, by_place: &'c mut Vec<Option<Box<Cache>>>) -> &'c mut Cache {
        if by_place.len() <= self.place {
            by_place.resize_with(self.place + 1, || None);
        }
        by_place[self.place].get_or_insert_with(|| Box::new(self.regex.create_cache()))
    }

    fn is_match(&self, text: &[u8], caches: &mut Caches) -> bool {
        let input = Input::new(text).earliest(true);
        let cache = self.cache(&mut caches.by_place);
        self.regex.search_half_with(cache, &input).is_some()
    }

    /// What `group` took of `text` in the leftmost match.
    fn group<'t>(&self, group: usize, text: &'t [u8], caches: &mut Caches) -> Option<&'t [u8]> {
        let cache = self.cache(&mut caches.by_place);
        let slots = &mut caches.slots;
        slots.clear();
        slots.resize(2 * (group + 1), None);
        self.regex
            .search_slots_with(cache, &Input::new(text), slots)?;
        let (start, end) = (slots[2 * group]?, slots[2 * group + 1]?);
        Some(&text[start.get()..end.get()])
    }
}
