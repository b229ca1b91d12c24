//! From the YAML of one file to rules: every value read and checked, everything wrong reported with its place.
//!
//! Reading never stops at a mistake: what cannot be read has its default from there on, so that one run shows all of a file's
//! mistakes, and rules that refer to a broken one are not blamed for it.

mod allow;
mod condition;
mod fields;
mod fit;
mod layers;
mod life;
mod matching;
mod patterns;
mod rule;
mod streams;
mod taxonomy;
mod test_file;
mod value;

use std::collections::HashSet;
use std::ops::Range;

use layers::Keys;
pub(super) use matching::{Matching, looks_like_regex};
pub(super) use patterns::Patterns;
pub(super) use taxonomy::{DomainDraft, TaxonomyDraft, TypeDraft};
use value::Entries;

use super::keys::{NOT_DEFAULTS, Place};
use super::model::{Rule, Severity};
pub(super) use super::problem::FAULTS_MAX;
use super::problem::{Code, Fault, Level, SourceText};
use super::shipped::ShippedRule;
use super::taxonomy::ActionClass;
use super::test_file::TestFile;
use super::yaml::{Node, Value};

/// A rule as read, with the places that checks across rules report.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) rule: Rule,
    pub(super) enabled: bool,
    /// Whether it is a rule that ships.
    pub(super) ships: bool,
    /// The shipped rule that it extends.
    pub(super) extends: Option<String>,
    /// The environments that it is for, and where they are named.
    pub(super) environments: Option<(Vec<String>, Range<usize>)>,
    /// Whether it is off because it is for other environments.
    pub(super) elsewhere: bool,
    /// Whether its condition could not be read, so that it has another.
    unread: bool,
    pub(super) id_span: Range<usize>,
    pub(super) matching: Matching,
    /// Rules that its other matches exclude: those of `total`, steps, escalations and `recover`.
    pub(super) other_excludes: Vec<(String, Range<usize>)>,
    /// Where its incident type is named.
    pub(super) type_at: Range<usize>,
    /// What it says itself of what follows from the type.
    pub(super) domain: Option<(String, Range<usize>)>,
    pub(super) severity: Option<(Severity, Range<usize>)>,
    /// Its `actions`.
    pub(super) profile: Option<Vec<ActionClass>>,
    /// What its `correlate` names.
    pub(super) parts: Vec<PartDraft>,
    /// Of each name in `by`.
    pub(super) by_spans: Vec<Range<usize>>,
    /// Of each line of `catches`, and of `passes`.
    pub(super) examples: [Vec<Range<usize>>; 2],
    /// Of the whole rule.
    pub(super) span: Range<usize>,
    /// Of the value of each key that is written, in the rule or in `defaults`.
    pub(super) written: Vec<(&'static str, Range<usize>)>,
    /// Warnings that it may give, and where each is named.
    pub(super) allow: Vec<(Code, Range<usize>)>,
}

impl Draft {
    /// `rule`, with no places yet.
    fn new(rule: Rule) -> Self {
        Self {
            rule,
            enabled: true,
            ships: false,
            extends: None,
            environments: None,
            elsewhere: false,
            unread: false,
            id_span: 0..0,
            matching: Matching::default(),
            other_excludes: Vec::new(),
            type_at: 0..0,
            domain: None,
            severity: None,
            profile: None,
            parts: Vec::new(),
            by_spans: Vec::new(),
            examples: [Vec::new(), Vec::new()],
            span: 0..0,
            written: Vec::new(),
            allow: Vec::new(),
        }
    }

    /// Whether it has a `match` of its own.
    pub(super) fn has_match(&self) -> bool {
        !self.matching.span.is_empty()
    }
}

/// A part of a `correlate`: a rule or an incident type, which only all files together can tell.
#[derive(Debug, Clone)]
pub(super) struct PartDraft {
    pub(super) group: Group,
    pub(super) name: String,
    pub(super) at: Range<usize>,
}

/// Under which key of `correlate` a part stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    All,
    Any,
    None,
}

/// Reads one file. Lives as long as that; only the expressions are known from file to file.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    /// The file.
    file: &'a SourceText,
    /// What is being read: the file, or one that ships and whose rule is extended.
    source: &'a SourceText,
    /// Where a fault of an extended rule is reported, while one is read.
    inherited: Option<Range<usize>>,
    faults: Vec<Fault>,
    seen: HashSet<(Code, usize, String)>,
    patterns: &'a mut Patterns,
}

/// What one file holds.
#[derive(Debug)]
pub(super) struct FileRules {
    pub(super) drafts: Vec<Draft>,
    pub(super) taxonomy: TaxonomyDraft,
    pub(super) faults: Vec<Fault>,
}

/// Reads the rules of the document `root` of `source`.
pub(super) fn file(source: &SourceText, root: &Node, patterns: &mut Patterns) -> FileRules {
    let mut reader = Reader::new(source, patterns);
    let (drafts, taxonomy) = reader.file(root);
    FileRules {
        drafts,
        taxonomy,
        faults: reader.faults,
    }
}

/// Reads the tests of the document `root` of `source`, and what is wrong with them.
pub(super) fn test_file(source: &SourceText, root: &Node) -> (TestFile, Vec<Fault>) {
    let mut patterns = Patterns::default();
    let mut reader = Reader::new(source, &mut patterns);
    let file = reader.test_file(root);
    (file, reader.faults)
}

/// Reads only the domains and incident types of the document `root` of `source`.
pub(super) fn taxonomy(source: &SourceText, root: &Node) -> TaxonomyDraft {
    let mut patterns = Patterns::default();
    let mut reader = Reader::new(source, &mut patterns);
    let keys = reader.map(root, Place::File).unwrap_or_default();
    reader.taxonomy(&keys)
}

/// Reads a rule that ships, alone.
pub(super) fn shipped(rule: ShippedRule, patterns: &mut Patterns) -> Option<Draft> {
    let mut reader = Reader::new(rule.source, patterns);
    let defaults = rule.defaults.and_then(|node| reader.map(node, Place::Rule));
    reader.rule(rule.node, &defaults.unwrap_or_default())
}

impl<'a> Reader<'a> {
    fn new(source: &'a SourceText, patterns: &'a mut Patterns) -> Self {
        Self {
            file: source,
            source,
            inherited: None,
            faults: Vec::new(),
            seen: HashSet::new(),
            patterns,
        }
    }
}

impl Reader<'_> {
    /// Notes a fault, once: a default that is wrong is wrong for every rule.
    fn fault(&mut self, mut fault: Fault) {
        if let Some(at) = &self.inherited {
            // What a shipped rule is only warned of is not its extension's affair.
            if fault.code.level() == Level::Warning {
                return;
            }
            fault.at = at.clone();
            fault.message = format!("in the rule that this extends: {}", fault.message);
        }
        if self.room_for(fault.code.level())
            && self
                .seen
                .insert((fault.code, fault.at.start, fault.message.clone()))
        {
            self.faults.push(fault);
        }
    }

    /// Whether another fault is kept. Errors and warnings are counted apart: no number of warnings may crowd out the error that
    /// refuses the file.
    fn room_for(&self, level: Level) -> bool {
        let same = self
            .faults
            .iter()
            .filter(|fault| fault.code.level() == level);
        same.count() < FAULTS_MAX
    }

    fn file(&mut self, root: &Node) -> (Vec<Draft>, TaxonomyDraft) {
        let nothing = (Vec::new(), TaxonomyDraft::default());
        if root.value == Value::Null {
            self.fault(Fault::new(Code::NoRules, 0..0, "the file holds no rules"));
            return nothing;
        }
        if let Value::List(_) = root.value {
            self.fault(
                Fault::new(
                    Code::Shape,
                    root.span.start..root.span.start + 1,
                    "a rule file is a map, and this one is a list",
                )
                .help("put the list under `rules:`"),
            );
            return nothing;
        }
        if self.another_kind_of_file(root) {
            return nothing;
        }
        let Some(keys) = self.map(root, Place::File) else {
            return nothing;
        };
        let taxonomy = self.taxonomy(&keys);
        (self.rules(root, &keys), taxonomy)
    }

    fn rules(&mut self, root: &Node, keys: &Entries<'_>) -> Vec<Draft> {
        let defaults = keys
            .get("defaults")
            .and_then(|node| self.defaults(node))
            .unwrap_or_default();
        let Some(rules) = keys.get("rules") else {
            let others = keys.get("domains").or(keys.get("incident_types"));
            if self.faults.is_empty() && others.is_none() {
                self.fault(
                    Fault::new(Code::Missing, 0..0, "the file has no `rules`")
                        .help("write `rules:` and below it a list of rules: `- id: …`"),
                );
            }
            return Vec::new();
        };
        let Value::List(rules) = &rules.value else {
            self.fault(
                Fault::new(Code::Shape, rules.span.clone(), "`rules` must be a list")
                    .help("every rule begins with `- id: …`"),
            );
            return Vec::new();
        };
        if rules.is_empty() {
            self.fault(Fault::new(
                Code::NoRules,
                root.span.clone(),
                "the file holds no rules",
            ));
        }
        let mut drafts = Vec::new();
        for node in rules {
            // The set is refused, and each rule more would only take time and memory.
            if self.patterns.are_too_many() {
                break;
            }
            drafts.extend(self.rule(node, &defaults));
        }
        drafts
    }

    /// Reports a map that is no rule file once, and not key by key.
    fn another_kind_of_file(&mut self, root: &Node) -> bool {
        let Value::Map(entries) = &root.value else {
            return false;
        };
        let key = |name: &str| {
            let mut keys = entries.iter().map(|(key, _)| key);
            keys.find(|key| key.scalar() == Some(name))
        };
        if let Some(tests) = key("tests") {
            self.fault(
                Fault::new(
                    Code::UnknownKey,
                    tests.span.clone(),
                    "`tests` makes this a file of tests, and not of rules",
                )
                .help("name it `…_test.yaml`: such files are not read as rules"),
            );
            return true;
        }
        if let (None, Some(rule)) = (key("rules"), key("id").or(key("match"))) {
            self.fault(
                Fault::new(
                    Code::Shape,
                    rule.span.clone(),
                    "this is a rule, and a file holds a list of them",
                )
                .help(
                    "write `rules:`, and below it the rule as an item that begins with `- id: …`",
                ),
            );
            return true;
        }
        false
    }

    fn defaults<'n>(&mut self, node: &'n Node) -> Option<Entries<'n>> {
        let defaults = self.map(node, Place::Rule)?;
        for (name, key) in defaults.names() {
            if NOT_DEFAULTS.contains(&name) {
                self.fault(Fault::new(
                    Code::UnknownKey,
                    key.span.clone(),
                    format!("`{name}` belongs to one rule, and cannot be a default"),
                ));
            }
        }
        // A default that every rule overrides is checked all the same.
        let keys = Keys {
            own: defaults.clone(),
            base: None,
            defaults: None,
        };
        self.settings(&keys);
        self.one_class(&keys);
        Some(defaults)
    }
}
