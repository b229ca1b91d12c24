//! What a rule is, once it has been read and checked. Past this type nothing re-checks.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use regex_automata::meta::Regex;
use regex_syntax::hir::Hir;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::{Condition, Distinct, Threshold};
use super::keys::nearest;
use super::own;
use super::problem::Problem;
use super::schedule::Schedule;
use super::selector::Selector;
use super::taxonomy::ActionClass;
use crate::batch::Labels;
use crate::hit::{Parts, RuleIndex};

/// Every rule of every file, valid as a whole. Immutable; shared as an `Arc`.
#[derive(Debug, Default)]
pub struct RuleSet {
    /// The enabled rules, sorted by id; a [`RuleIndex`] is a place in it.
    pub rules: Vec<Arc<Rule>>,
    /// Hash over all rules' [`Rule::hash`]: what `/metrics` and `/api/v1/rules` report.
    pub hash: String,
    /// The rules that the files have and that are off here, sorted by id: for people, nothing looks for them.
    pub off: Vec<Off>,
    /// What is probably not meant so, of all rules.
    pub warnings: Vec<Problem>,
}

/// A rule that is off.
#[derive(Debug, Clone)]
pub struct Off {
    /// The rule.
    pub rule: Arc<Rule>,
    /// Why it is.
    pub why: WhyOff,
}

/// Why a rule is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WhyOff {
    /// It is switched off.
    Disabled,
    /// It is for other environments.
    Elsewhere,
}

impl RuleSet {
    /// This set with the rules of findings about trommel itself. No rule that was loaded has an id of theirs.
    #[must_use]
    pub fn with_own(mut self) -> Self {
        self.rules.extend(own::all().into_iter().map(Arc::new));
        self.rules.sort_by(|a, b| a.id.cmp(&b.id));
        self
    }

    /// The rule at `index`.
    ///
    /// # Panics
    /// If `index` is from another rule set.
    #[must_use]
    pub fn rule(&self, index: RuleIndex) -> &Arc<Rule> {
        &self.rules[index.0 as usize]
    }

    /// Every rule with its index.
    pub fn iter(&self) -> impl Iterator<Item = (RuleIndex, &Arc<Rule>)> {
        // At most `RULES_MAX` rules load, far below u32.
        self.rules
            .iter()
            .enumerate()
            .map(|(place, rule)| (RuleIndex(place as u32), rule))
    }

    /// The rule with the id `id`.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<(RuleIndex, &Arc<Rule>)> {
        let place = self
            .rules
            .binary_search_by(|rule| rule.id.as_str().cmp(id))
            .ok()?;
        Some((RuleIndex(place as u32), &self.rules[place]))
    }

    /// [`warnings`](Self::warnings) about the rule `id`.
    #[must_use]
    pub fn warnings_of(&self, id: &str) -> Vec<&Problem> {
        let mut of_rule: Vec<_> = self.warnings.iter().collect();
        of_rule.retain(|problem| problem.rule.as_deref() == Some(id));
        of_rule
    }

    /// The same of all rules, by id: for who wants it of many.
    #[must_use]
    pub fn warnings_by_rule(&self) -> HashMap<&str, Vec<&Problem>> {
        let mut by_rule: HashMap<&str, Vec<&Problem>> = HashMap::new();
        for problem in &self.warnings {
            if let Some(rule) = &problem.rule {
                by_rule.entry(rule).or_default().push(problem);
            }
        }
        by_rule
    }

    /// The id of a rule that somebody who wrote `id` may have meant.
    #[must_use]
    pub fn meant(&self, id: &str) -> Option<&str> {
        nearest(id, self.rules.iter().map(|rule| rule.id.as_str()))
    }
}

/// One rule, checked and resolved: defaults filled in, patterns compiled.
#[derive(Debug, Clone)]
pub struct Rule {
    /// `[a-z0-9_]{1,64}`, unique in its rule set.
    pub id: String,
    /// Title for people.
    pub name: Option<String>,
    /// What it means, likely causes, first steps.
    pub description: Option<String>,
    /// Who looks after it.
    pub owner: Option<String>,
    /// The author's own version.
    pub version: Option<String>,
    /// Streams it reads; an empty selector is all.
    pub selector: Selector,
    /// Streams left out.
    pub unless: Option<Selector>,
    /// How fields are taken from a line.
    pub parse: Parse,
    /// Which entries count.
    pub matches: Match,
    /// What makes a finding of them. A rule that says nothing has [`Threshold::EVERY`](super::Threshold::EVERY).
    pub condition: Condition,
    /// Names whose values its hits carry, because the condition or an escalation tells them apart.
    pub values: Vec<String>,
    /// Names whose values make the key.
    pub by: Vec<String>,
    /// How long the condition must hold before a finding opens.
    pub hold: Duration,
    /// Severity at opening.
    pub severity: Severity,
    /// What raises it while a finding is open.
    pub escalate: Vec<Escalation>,
    /// How sure a match of this rule is.
    pub confidence: Confidence,
    /// When an open finding is over.
    pub recover: Recover,
    /// See [`Rule`]'s key `cooldown` in the rule language: distance of repeated messages, and of reopening.
    pub cooldown: Duration,
    /// When its messages are held back.
    pub suppress: Vec<Schedule>,
    /// `[a-z0-9_]+`: what kind of incident a finding is.
    pub incident_type: String,
    /// `[a-z0-9_]+`: the domain of that type.
    pub domain: String,
    /// The finding's one line; without one it is generated.
    pub summary: Option<Summary>,
    /// Link for people.
    pub runbook: Option<String>,
    /// Name of a notification policy.
    pub route: Option<String>,
    /// Names of rules and other things worth a look.
    pub hints: Vec<String>,
    /// What may be done about its findings, by whom: its type's policy for the environment, as far as `actions` changes it.
    pub policy: Arc<Advice>,
    /// Its `actions`: the classes that are automatic for its findings.
    pub actions: Option<Vec<ActionClass>>,
    /// What is quoted.
    pub evidence: EvidenceRules,
    /// Lines that must match.
    pub catches: Vec<String>,
    /// Lines that must not.
    pub passes: Vec<String>,
    /// 16 hex digits: hash of the whole resolved rule, prose included.
    pub hash: String,
    /// 16 hex digits: hash of what decides findings: selector, unless, parse, match, ignore_case, the condition with all that
    /// belongs to it, by and for. State survives a reload when it is unchanged.
    pub meaning: String,
    /// Most keys of this rule, where it has a bound of its own.
    pub keys_max: Option<usize>,
    /// How far its entries may be out of order, where it has a bound of its own.
    pub late_by: Option<Duration>,
    /// For people: words to find it by.
    pub tags: Vec<String>,
    /// The environments that it is for; empty for all of them. No part of its hash: it says where the rule is on, not what it is.
    pub environments: Vec<String>,
    /// Where it was written, for people: file and line.
    pub source: Source,
}

/// When an open finding becomes worse.
#[derive(Debug, Clone)]
pub struct Escalation {
    /// What its severity becomes, if that is higher.
    pub to: Severity,
    /// When.
    pub when: EscalateWhen,
}

/// What raises a finding's severity.
#[derive(Debug, Clone)]
pub enum EscalateWhen {
    /// It has been open this long.
    After(Duration),
    /// It has had this many matches within a time; at least, never at most.
    Count(Threshold),
    /// It has had this many different values within a time. One that is in `by` is counted over all keys of the rule.
    Distinct(Distinct),
    /// One of its entries fulfils this too.
    Match(Box<Match>),
}

/// What may be done about a finding, by whom: names of actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// Needs nobody.
    pub automatic: Vec<String>,
    /// Needs somebody's approval.
    pub approval: Vec<String>,
    /// For people only.
    pub human_only: Vec<String>,
}

impl Default for Advice {
    /// Looking and telling are always allowed.
    fn default() -> Self {
        Self {
            automatic: vec!["observe".to_owned(), "notify".to_owned()],
            approval: Vec::new(),
            human_only: Vec::new(),
        }
    }
}

impl Rule {
    /// Shortest quiet that ends a finding when the rule does not say.
    pub const RECOVER_MIN: Duration = Threshold::EVERY.window;
    /// [`Rule::cooldown`] when the rule does not say.
    pub const COOLDOWN: Duration = Duration::from_secs(15 * 60);
    /// [`Rule::domain`] when neither the rule nor the taxonomy says.
    pub const DOMAIN: &'static str = "application_services";

    /// Whether it reads streams with `labels`: its selector holds for them, and `unless` does not.
    #[must_use]
    pub fn reads(&self, labels: &Labels) -> bool {
        let left_out = self.unless.as_ref();
        self.selector.selects(labels) && !left_out.is_some_and(|unless| unless.selects(labels))
    }

    /// The rule that has nothing but an id and a match: every match in every stream is a finding, with the language's defaults.
    #[must_use]
    pub fn new(id: impl Into<String>, matches: Match) -> Self {
        Self {
            id: id.into(),
            name: None,
            description: None,
            owner: None,
            version: None,
            selector: Selector::default(),
            unless: None,
            parse: Parse::Auto,
            matches,
            condition: Condition::Count(Threshold::EVERY),
            values: Vec::new(),
            by: Vec::new(),
            hold: Duration::ZERO,
            severity: Severity::Warning,
            escalate: Vec::new(),
            confidence: Confidence::Medium,
            recover: Recover::Quiet(Self::RECOVER_MIN),
            cooldown: Self::COOLDOWN,
            suppress: Vec::new(),
            incident_type: String::new(),
            domain: Self::DOMAIN.to_owned(),
            summary: None,
            runbook: None,
            route: None,
            hints: Vec::new(),
            policy: Arc::default(),
            actions: None,
            evidence: EvidenceRules::default(),
            catches: Vec::new(),
            passes: Vec::new(),
            hash: String::new(),
            meaning: String::new(),
            keys_max: None,
            late_by: None,
            tags: Vec::new(),
            environments: Vec::new(),
            source: Source::default(),
        }
    }

    /// What its entries are looked at for: an entry is a hit if it fulfils one of these, and its hit says which
    /// ([`Parts`](crate::hit::Parts)). A rule on findings has none.
    #[must_use]
    pub fn parts(&self) -> Vec<&Match> {
        match &self.condition {
            Condition::Correlate(_) => Vec::new(),
            Condition::Ratio(ratio) => {
                vec![&self.matches, ratio.total.as_deref().unwrap_or(Match::ANY)]
            }
            Condition::Sequence(sequence) => {
                let steps = sequence.steps.iter().map(|step| &step.matches);
                steps.chain(sequence.absent.as_deref()).collect()
            }
            _ => vec![&self.matches],
        }
    }

    /// Those of its parts, the first ones, that make an entry a match of it; in a ratio the rest counts in the denominator only.
    #[must_use]
    pub fn own_parts(&self) -> Vec<&Match> {
        let mut parts = self.parts();
        if let Condition::Ratio(_) = self.condition {
            parts.truncate(1);
        }
        parts
    }

    /// Whether an entry that fulfils `parts` of it fulfils one of [`Rule::own_parts`].
    #[must_use]
    pub fn is_match(&self, parts: Parts) -> bool {
        !matches!(self.condition, Condition::Ratio(_)) || parts.has(0)
    }

    /// Names whose values its hits carry for the summary: those that it mentions, or the new value for a generated one.
    #[must_use]
    pub fn summary_names(&self) -> &[String] {
        match (&self.summary, &self.condition) {
            (Some(summary), _) => &summary.captures,
            (None, Condition::NewValue { .. }) => self.values.get(..1).unwrap_or_default(),
            (None, _) => &[],
        }
    }

    /// Of [`Rule::parts`], those whose entries bring a finding nearer: what names are taken from.
    pub(super) fn sought(&self) -> Vec<&Match> {
        match &self.condition {
            Condition::Correlate(_) => Vec::new(),
            Condition::Sequence(sequence) => {
                sequence.steps.iter().map(|step| &step.matches).collect()
            }
            _ => vec![&self.matches],
        }
    }

    /// Every match of the rule: its own, and those of its condition, its escalations and its recovery.
    pub(super) fn matches_mut(&mut self) -> Vec<&mut Match> {
        let mut all = vec![&mut self.matches];
        match &mut self.condition {
            Condition::Ratio(ratio) => all.extend(ratio.total.as_deref_mut()),
            Condition::Sequence(sequence) => {
                all.extend(sequence.steps.iter_mut().map(|step| &mut step.matches));
                all.extend(sequence.absent.as_deref_mut());
            }
            _ => {}
        }
        for escalation in &mut self.escalate {
            if let EscalateWhen::Match(matches) = &mut escalation.when {
                all.push(matches);
            }
        }
        if let Recover::Match { when, .. } = &mut self.recover {
            all.push(when);
        }
        all
    }

    /// The place of `name` in [`Rule::values`], where it is put if it was not there.
    pub(super) fn value_place(&mut self, name: &str) -> usize {
        let place = self.values.iter().position(|known| known == name);
        place.unwrap_or_else(|| {
            self.values.push(name.to_owned());
            self.values.len() - 1
        })
    }

    /// What raises the severity of a finding when one of its entries fulfils it, in the order of [`Rule::escalate`].
    pub fn escalating_matches(&self) -> impl Iterator<Item = &Match> {
        self.escalate
            .iter()
            .filter_map(|escalation| match &escalation.when {
                EscalateWhen::Match(matches) => Some(&**matches),
                _ => None,
            })
    }

    /// Whether no line can match it: a rule about trommel itself, whose hits come from within.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.matches
            .fields
            .iter()
            .any(|field| field.accepts.is_empty())
    }
}

/// Where something was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Source {
    /// The file as it was named to us.
    pub file: String,
    /// One-based line.
    pub line: usize,
}

/// How a line's fields are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Parse {
    /// JSON where the line starts with `{`, logfmt where it begins with `name=`.
    #[default]
    Auto,
    /// JSON only.
    Json,
    /// logfmt only.
    Logfmt,
    /// The line has no fields.
    None,
}

/// Which entries count: every group must be fulfilled; an empty one is.
#[derive(Debug, Clone, Default)]
pub struct Match {
    /// At least one of these.
    pub any: Vec<Item>,
    /// Each of these.
    pub all: Vec<Item>,
    /// Not one of these.
    pub none: Vec<Exclude>,
    /// Each of these fields as stated.
    pub fields: Vec<FieldTest>,
}

impl Match {
    /// What every line fulfils.
    pub const ANY: &'static Self = &Self {
        any: Vec::new(),
        all: Vec::new(),
        none: Vec::new(),
        fields: Vec::new(),
    };

    /// Whether every line fulfils it.
    #[must_use]
    pub fn is_any(&self) -> bool {
        let Self {
            any,
            all,
            none,
            fields,
        } = self;
        any.is_empty() && all.is_empty() && none.is_empty() && fields.is_empty()
    }
}

/// A text or an expression looked for in a line.
#[derive(Debug, Clone)]
pub enum Item {
    /// A substring of the raw line; with [`Item::Text::ignore_case`] ASCII letters are equal in both cases.
    Text {
        /// What to find, never empty.
        text: String,
        /// The rule's `ignore_case`.
        ignore_case: bool,
    },
    /// A regular expression; its named groups are captures.
    Regex(Arc<Pattern>),
}

/// What spoils a match.
#[derive(Debug, Clone)]
pub enum Exclude {
    /// This text or expression in the line.
    Item(Item),
    /// The whole `match` of another rule of the set (its selector and `unless` are not looked at).
    Rule(String),
}

/// A regular expression: bytes, linear time, bounded size. `ignore_case` is already in it.
///
/// Rules of one set that have the same expression share one.
pub struct Pattern {
    /// As written.
    pub source: String,
    /// Whether it is without regard to ASCII case.
    pub ignore_case: bool,
    /// See [`Pattern::hir`].
    pub(super) parsed: Mutex<Option<Arc<Hir>>>,
    /// The names of its groups, with their numbers.
    pub(super) groups: Box<[(Box<str>, usize)]>,
    /// See [`Pattern::regex`].
    pub(super) regex: OnceLock<Regex>,
}

/// Without the automaton, which would fill pages.
impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flag = if self.ignore_case { "i" } else { "" };
        write!(f, "/{}/{flag}", self.source)
    }
}

/// One name of `fields` and what its value must be.
#[derive(Debug, Clone)]
pub struct FieldTest {
    /// A label, structured metadata, JSON path (dotted), logfmt key or derived label.
    pub name: String,
    /// One of these must hold; a missing value fulfils none.
    pub accepts: Vec<FieldCondition>,
}

/// What a field's value must be.
#[derive(Debug, Clone)]
pub enum FieldCondition {
    /// Equal as text.
    Equals {
        /// The text.
        text: String,
        /// The rule's `ignore_case`.
        ignore_case: bool,
    },
    /// A number that compares so; no number fulfils none.
    Compare(Comparison, f64),
    /// Contains a match of the expression.
    Regex(Arc<Pattern>),
}

/// How a number is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `>=`, and the default.
    AtLeast,
    /// `>`
    Above,
    /// `<`
    Below,
    /// `<=`
    AtMost,
    /// `==`, for fields only.
    Equal,
    /// `!=`, for fields only.
    NotEqual,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtLeast => ">=",
            Self::Above => ">",
            Self::Below => "<",
            Self::AtMost => "<=",
            Self::Equal => "==",
            Self::NotEqual => "!=",
        })
    }
}

/// When an open finding is over.
#[derive(Debug, Clone)]
pub enum Recover {
    /// After this much quiet.
    Quiet(Duration),
    /// When an entry matches, or (with `after`) after this much quiet, whichever is first.
    Match {
        /// Quiet that also ends it.
        after: Option<Duration>,
        /// Read in the rule's selector.
        when: Box<Match>,
    },
    /// Never: a one-shot event; see point 21 of the semantics.
    Never,
    /// The condition itself tells: what was absent comes, what was correlated is over.
    Condition,
}

impl Recover {
    /// How long quiet must last to end a finding; `None` when quiet does not.
    #[must_use]
    pub fn quiet(&self) -> Option<Duration> {
        match self {
            Self::Quiet(after) => Some(*after),
            Self::Match { after, .. } => *after,
            Self::Never | Self::Condition => None,
        }
    }
}

/// How bad it is, in rising order.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Worth a look in working hours.
    Warning,
    /// Worth waking someone.
    Critical,
}

impl Severity {
    /// All, the mildest first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// As it is written everywhere.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The one that is written so.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|severity| severity.as_str() == text)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How sure a match of a rule is to mean what the rule says.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Often something else.
    Low,
    /// Usually right.
    Medium,
    /// All but certain.
    High,
}

/// A summary with its placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its pieces, in order.
    pub parts: Vec<SummaryPart>,
    /// Names that a hit must bring values for, each once, in the order of their first use.
    pub captures: Vec<String>,
}

/// A piece of a summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SummaryPart {
    /// As written.
    Text(String),
    /// `{count}`: what the condition counts, in its window.
    Count,
    /// `{rate}`: that count per minute.
    Rate,
    /// `{window}`: the window as written.
    Window,
    /// `{name}`, the value of `by[n]`.
    By(usize),
    /// `{name}`, any other name: the n-th of [`Summary::captures`].
    Capture(usize),
}

/// What a rule's findings quote.
#[derive(Debug, Clone)]
pub struct EvidenceRules {
    /// How many lines: the first and the last `lines - 1`. 0 to [`EvidenceRules::LINES_MAX`].
    pub lines: usize,
    /// What is redacted beside the global patterns.
    pub redact: Vec<Arc<Pattern>>,
}

impl Default for EvidenceRules {
    fn default() -> Self {
        Self {
            lines: Self::LINES_DEFAULT,
            redact: Vec::new(),
        }
    }
}

impl EvidenceRules {
    /// Lines quoted when the rule does not say.
    pub const LINES_DEFAULT: usize = 4;
    /// Most lines a rule may quote: a message has room for little more.
    pub const LINES_MAX: usize = 16;
}
