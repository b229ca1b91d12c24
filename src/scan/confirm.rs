//! A rule's `match`, prepared for being asked often: the answer that `matcher` gives, without allocating.

use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, packed};
use memchr::{memchr, memmem};
use regex_automata::Input;
use regex_automata::meta::Cache;
use regex_automata::util::primitives::NonMaxUsize;
use rustc_hash::FxHashMap;

use super::line::Line;
use super::matcher::{compares, equal, number};
use super::plan::Ask;
use super::{derived, fields, literals};
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
    pub(super) fn new(
        wanted: &Match,
        parse: Parse,
        rules: &RuleSet,
        searchers: &mut Searchers,
    ) -> Self {
        let mut none = Vec::new();
        let mut none_rules = Vec::new();
        for exclude in &wanted.none {
            match exclude {
                Exclude::Item(item) => none.push(Finder::guarded(item, searchers)),
                Exclude::Rule(id) => {
                    none_rules.extend(rules.find(id).map(|(index, _)| index.0 as usize));
                }
            }
        }
        let mut finders = |items: &[Item]| -> Vec<_> {
            items
                .iter()
                .map(|item| Finder::new(item, searchers))
                .collect()
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
                accepts: accepts.map(|c| Condition::new(c, searchers)).collect(),
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
                .all(|check| self.accepts(check, line, cues, work))
            && !self.none_rules.iter().any(|&rule| spoilt(rule, work))
    }

    fn accepts(
        &self,
        check: &FieldCheck,
        line: &Line<'_>,
        cues: Option<&[Ask]>,
        work: &mut Work,
    ) -> bool {
        let (caches, buffer) = (&mut work.caches, &mut work.value);
        let Some(value) = self.value(&check.name, line, cues, caches, buffer) else {
            return false;
        };
        let mut conditions = check.accepts.iter();
        conditions.any(|condition| condition.holds(value, &mut work.caches))
    }

    /// Whether `cues` tell that `item` is not in the line.
    fn is_absent(&self, item: usize, cues: Option<&[Ask]>) -> bool {
        let of_any = self.all.len();
        match cues {
            Some(cues @ [first, ..]) if first.cue.item >= of_any && item >= of_any => {
                cues.iter().all(|ask| ask.cue.item != item)
            }
            _ => false,
        }
    }

    /// Lets the items that capture one of `names`, resolved here, find groups with each match: every hit asks for them.
    pub(super) fn capture_for<'n>(&mut self, names: impl Iterator<Item = &'n Name>) {
        for &(item, _) in names.flat_map(|name| &name.groups) {
            let of_any = self.all.len();
            let finder = match item.checked_sub(of_any) {
                None => &mut self.all[item],
                Some(item) => &mut self.any[item],
            };
            if let Finder::Regex(searcher) = finder {
                searcher.is_captured = true;
            }
        }
    }

    /// Resolves `name` as far as this match can without a line.
    pub(super) fn name(&self, name: &str) -> Name {
        let items = self.all.iter().chain(&self.any).enumerate();
        let groups = items.filter_map(|(item, finder)| match finder {
            Finder::Regex(searcher) => Some((item, searcher.pattern.group(name)?)),
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

    /// What `name` means in `line`, which fulfils this match's items. See [`Line::value`]; captures come before all. `cues` are those
    /// that [`Confirm::fulfilled`] was told.
    pub(super) fn value<'v>(
        &self,
        name: &Name,
        line: &Line<'v>,
        cues: Option<&[Ask]>,
        caches: &mut Caches,
        buffer: &'v mut Vec<u8>,
    ) -> Option<&'v [u8]> {
        for &(item, group) in &name.groups {
            if self.is_absent(item, cues) {
                continue;
            }
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
    /// Whether an item captures it.
    pub(super) fn is_captured(&self) -> bool {
        !self.groups.is_empty()
    }

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
    fn new(item: &Item, searchers: &mut Searchers) -> Self {
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
                    // Hardly a line is asked: a tenth of a table of all states and bytes will do.
                    .kind(Some(AhoCorasickKind::ContiguousNFA))
                    .ascii_case_insensitive(true)
                    .build([text])
                    .expect(
                        "one text of a rule file is far below the automaton's limit of 2^31 states",
                    ),
            ),
            Item::Regex(pattern) => Self::Regex(Searcher::new(pattern, searchers)),
        }
    }

    /// Of an item that hardly any line has: literals of an expression are looked for before it is.
    fn guarded(item: &Item, searchers: &mut Searchers) -> Self {
        match item {
            Item::Regex(pattern) => Self::Regex(Searcher::guarded(pattern, searchers)),
            Item::Text { .. } => Self::new(item, searchers),
        }
    }

    fn is_in(&self, line: &[u8], caches: &mut Caches) -> bool {
        match self {
            Self::Text(finder) => finder.find(line).is_some(),
            Self::Folded(automaton) => automaton.is_match(line),
            Self::Regex(searcher) => searcher.is_in_line(line, caches),
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
    fn new(condition: &FieldCondition, searchers: &mut Searchers) -> Self {
        match condition {
            FieldCondition::Equals { text, ignore_case } => Self::Equals {
                text: text.as_str().into(),
                ignore_case: *ignore_case,
            },
            FieldCondition::Compare(comparison, bound) => Self::Compare(*comparison, *bound),
            FieldCondition::Regex(pattern) => Self::Regex(Searcher::new(pattern, searchers)),
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
    pattern: Arc<Pattern>,
    /// Its place in [`Caches`].
    place: usize,
    /// Whether a hit needs its groups, so that they are found with the match.
    is_captured: bool,
    /// Finds in a line in lower case what each match has. It costs a tenth of the expression, whose automaton has mostly left the
    /// processor's cache since the last hit.
    guard: Option<packed::Searcher>,
}

/// The searchers of a scanner while it is built. One that several rules have, as those do that extend one rule, is one: it is asked
/// about a line once.
#[derive(Debug, Default)]
pub(super) struct Searchers(FxHashMap<(String, bool), (Arc<Pattern>, usize)>);

impl Searchers {
    /// The rules are read: nobody looks for literals in its expressions any more.
    pub(super) fn are_complete(self) {
        for (pattern, _) in self.0.into_values() {
            pattern.forget_parsed();
        }
    }
}

/// What regular expressions write to while they search, and what they found in the line at hand.
#[derive(Debug)]
pub(super) struct Caches {
    /// Made when first needed: an expression that never runs takes no memory.
    by_place: Vec<Option<Box<Cache>>>,
    /// The line's number among all that were looked at, and its entry in the batch.
    line: u64,
    entry: Option<usize>,
    /// For each place the number of the line that was last looked at, and whether it matched.
    matched: Vec<(u64, bool)>,
    /// The groups of one searcher in one line: its place and the line's number.
    slots: Vec<Option<NonMaxUsize>>,
    slots_of: Option<(usize, u64)>,
    /// A line in lower case, and its number.
    folded: Vec<u8>,
    folded_of: u64,
}

impl Default for Caches {
    fn default() -> Self {
        Self {
            by_place: Vec::new(),
            // The first one: zero is none.
            line: 1,
            entry: None,
            matched: Vec::new(),
            slots: Vec::new(),
            slots_of: None,
            folded: Vec::new(),
            folded_of: 0,
        }
    }
}

impl Caches {
    /// From here on it is about another batch.
    pub(super) fn begin(&mut self) {
        self.entry = None;
    }

    /// From here on it is about the batch's entry number `entry`.
    pub(super) fn turn_to(&mut self, entry: usize) {
        if self.entry != Some(entry) {
            self.entry = Some(entry);
            self.line += 1;
        }
    }
}

impl Searcher {
    fn new(pattern: &Arc<Pattern>, searchers: &mut Searchers) -> Self {
        let place = searchers.0.len();
        let key = (pattern.source.clone(), pattern.ignore_case);
        let known = searchers.0.entry(key);
        // Caches belong to one compiled expression, not to any with the same source.
        let (pattern, place) = known.or_insert_with(|| (Arc::clone(pattern), place));
        Self {
            pattern: Arc::clone(pattern),
            place: *place,
            is_captured: false,
            guard: None,
        }
    }

    fn guarded(pattern: &Arc<Pattern>, searchers: &mut Searchers) -> Self {
        let guard = literals::of_pattern(pattern).and_then(|literals| {
            // None where it has no vectors, or the literals are too many for them.
            packed::Config::new().builder().extend(literals).build()
        });
        Self {
            guard,
            ..Self::new(pattern, searchers)
        }
    }

    fn cache<'c>(&self, by_place: &'c mut Vec<Option<Box<Cache>>>) -> &'c mut Cache {
        if by_place.len() <= self.place {
            by_place.resize_with(self.place + 1, || None);
        }
        by_place[self.place].get_or_insert_with(|| Box::new(self.pattern.regex().create_cache()))
    }

    fn is_match(&self, text: &[u8], caches: &mut Caches) -> bool {
        let input = Input::new(text).earliest(true);
        let cache = self.cache(&mut caches.by_place);
        self.pattern
            .regex()
            .search_half_with(cache, &input)
            .is_some()
    }

    /// Whether it matches `line`, the one that `caches` are about.
    fn is_in_line(&self, line: &[u8], caches: &mut Caches) -> bool {
        if caches.matched.len() <= self.place {
            caches.matched.resize(self.place + 1, (0, false));
        }
        let (of, matched) = caches.matched[self.place];
        if of == caches.line {
            return matched;
        }
        let matched = self.may_match(line, caches)
            && if self.is_captured {
                self.capture(line, caches)
            } else {
                self.is_match(line, caches)
            };
        caches.matched[self.place] = (caches.line, matched);
        matched
    }

    /// Whether the guard lets `line` pass, the one that `caches` are about.
    fn may_match(&self, line: &[u8], caches: &mut Caches) -> bool {
        let Some(guard) = &self.guard else {
            return true;
        };
        if caches.folded_of != caches.line {
            caches.folded_of = caches.line;
            caches.folded.clear();
            caches.folded.extend_from_slice(line);
            caches.folded.make_ascii_lowercase();
        }
        guard.find(&caches.folded).is_some()
    }

    /// Whether it matches `line`, the one that `caches` are about, and what its groups take there in the leftmost match.
    fn capture(&self, line: &[u8], caches: &mut Caches) -> bool {
        let slots = &mut caches.slots;
        slots.clear();
        let regex = self.pattern.regex();
        slots.resize(regex.group_info().slot_len(), None);
        let cache = self.cache(&mut caches.by_place);
        let found = regex.search_slots_with(cache, &Input::new(line), slots);
        if found.is_none() {
            slots.fill(None);
        }
        caches.slots_of = Some((self.place, caches.line));
        found.is_some()
    }

    /// What `group` took of `line`, the one that `caches` are about, in the leftmost match.
    fn group<'t>(&self, group: usize, line: &'t [u8], caches: &mut Caches) -> Option<&'t [u8]> {
        if caches.slots_of != Some((self.place, caches.line)) {
            self.capture(line, caches);
        }
        let (start, end) = (caches.slots[2 * group]?, caches.slots[2 * group + 1]?);
        Some(&line[start.get()..end.get()])
    }
}
