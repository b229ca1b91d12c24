//! What makes a finding of matches: the kinds of conditions, one variant each.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use super::model::{Comparison, Match};
use crate::hit::Key;
use crate::time::format_duration;

/// When a rule's finding opens.
#[derive(Debug, Clone)]
pub enum Condition {
    /// `5 in 10m`, and every match of a rule that says nothing.
    Count(Threshold),
    /// `3 distinct pod in 10m`.
    Distinct(Distinct),
    /// `> 5% in 5m`.
    Ratio(Ratio),
    /// `3x in 5m vs 1h`.
    Spike(Spike),
    /// Nothing came for a while.
    Absent(Absent),
    /// Matches in a given order.
    Sequence(Sequence),
    /// Findings of other rules at the same time.
    Correlate(Correlate),
    /// A value not seen before: that of the rule's [`values`](super::Rule::values)`[0]`.
    NewValue {
        /// How long after a key's first match every value is learned without a word.
        learn: Duration,
    },
    /// A template of lines not seen before.
    NewPattern {
        /// How long after a key's first match every template is learned without a word.
        learn: Duration,
        /// How often a new template must occur.
        threshold: Threshold,
    },
}

impl Condition {
    /// What kind of rule it makes: the key that is present.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Count(_) | Self::Distinct(_) | Self::Ratio(_) | Self::Spike(_) => "threshold",
            Self::Absent(_) => "absent",
            Self::Sequence(_) => "sequence",
            Self::Correlate(_) => "correlate",
            Self::NewValue { .. } => "new_value",
            Self::NewPattern { .. } => "new_pattern",
        }
    }

    /// The window that counts in messages are of.
    #[must_use]
    pub fn window(&self) -> Duration {
        match self {
            Self::Count(threshold) | Self::NewPattern { threshold, .. } => threshold.window,
            Self::Distinct(distinct) => distinct.threshold.window,
            Self::Ratio(ratio) => ratio.window,
            Self::Spike(spike) => spike.window,
            Self::Absent(absent) => absent.span,
            Self::Sequence(sequence) => sequence.within,
            Self::Correlate(correlate) => correlate.within,
            Self::NewValue { .. } => Threshold::EVERY.window,
        }
    }

    /// Whether it wants few entries rather than many: it becomes true as time passes without any.
    #[must_use]
    pub fn wants_few(&self) -> bool {
        let few = |needs: Needs| matches!(needs, Needs::AtMost(_));
        match self {
            Self::Count(threshold) => few(threshold.needs),
            Self::Distinct(distinct) => few(distinct.threshold.needs),
            Self::Ratio(Ratio { comparison, .. }) | Self::Spike(Spike { comparison, .. }) => {
                matches!(comparison, Comparison::Below | Comparison::AtMost)
            }
            Self::Absent(_) => true,
            _ => false,
        }
    }

    /// Whether it can hold for a time: what `for` needs.
    #[must_use]
    pub fn is_windowed(&self) -> bool {
        match self {
            Self::Count(threshold) => *threshold != Threshold::EVERY,
            Self::Distinct(_) | Self::Ratio(_) | Self::Spike(_) => true,
            _ => false,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = |span: Duration| format_duration(span);
        match self {
            Self::Count(threshold) => threshold.fmt(f),
            Self::Distinct(distinct) => {
                let Distinct {
                    name, threshold, ..
                } = distinct;
                let (operator, count) = threshold.needs.parts();
                write!(
                    f,
                    "{operator}{count} distinct {name} in {}",
                    span(threshold.window)
                )
            }
            Self::Ratio(ratio) => {
                let operator = operator(ratio.comparison);
                write!(f, "{operator}{}% in {}", ratio.percent, span(ratio.window))
            }
            Self::Spike(spike) => {
                let Spike {
                    comparison,
                    factor,
                    window,
                    past,
                    ..
                } = spike;
                let operator = operator(*comparison);
                write!(
                    f,
                    "{operator}{factor}x in {} vs {}",
                    span(*window),
                    span(*past)
                )
            }
            Self::Absent(absent) => write!(f, "nothing for {}", span(absent.span)),
            Self::Sequence(sequence) => {
                let steps = match sequence.steps.len() {
                    1 => "1 step".to_owned(),
                    steps => format!("{steps} steps"),
                };
                let last = if sequence.absent.is_some() {
                    ", and not the last,"
                } else {
                    ""
                };
                write!(f, "{steps}{last} within {}", span(sequence.within))
            }
            Self::Correlate(correlate) => {
                let list = |parts: &[Part]| {
                    parts
                        .iter()
                        .map(Part::as_str)
                        .collect::<Vec<_>>()
                        .join(", ")
                };
                let mut groups = Vec::new();
                if !correlate.all.is_empty() {
                    groups.push(format!("all of {}", list(&correlate.all)));
                }
                if !correlate.any.is_empty() {
                    groups.push(format!(
                        "{} of {}",
                        correlate.at_least,
                        list(&correlate.any)
                    ));
                }
                if !correlate.none.is_empty() {
                    groups.push(format!("none of {}", list(&correlate.none)));
                }
                write!(f, "{} within {}", groups.join(", "), span(correlate.within))
            }
            Self::NewValue { learn } => write!(f, "a new value after {}", span(*learn)),
            Self::NewPattern { learn, threshold } => {
                write!(f, "a new pattern after {}, {threshold}", span(*learn))
            }
        }
    }
}

/// A comparison as it stands in front of a number; at least needs none.
fn operator(comparison: Comparison) -> String {
    match comparison {
        Comparison::AtLeast => String::new(),
        other => format!("{other} "),
    }
}

/// `N in T`: the condition on the number of counted entries in a trailing window of event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold {
    /// Whether many entries fulfil it, or few.
    pub needs: Needs,
    /// The window, never zero.
    pub window: Duration,
}

/// The count that fulfils a [`Threshold`], with its comparison resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// This many or more (`5`, `>= 5`, `> 4`).
    AtLeast(NonZeroU64),
    /// This many or fewer (`<= 4`, `< 5`).
    AtMost(u64),
}

impl Needs {
    /// Whether `count` is enough, or few enough.
    #[must_use]
    pub fn met_by(self, count: u64) -> bool {
        match self {
            Self::AtLeast(needed) => count >= needed.get(),
            Self::AtMost(most) => count <= most,
        }
    }

    /// The operator in front, and the count.
    fn parts(self) -> (&'static str, u64) {
        match self {
            Self::AtLeast(count) => ("", count.get()),
            Self::AtMost(count) => ("<= ", count),
        }
    }
}

impl Threshold {
    /// What a rule without `threshold` has: every match fulfils it. Counts in messages are those of five minutes.
    pub const EVERY: Self = Self {
        needs: Needs::AtLeast(NonZeroU64::MIN),
        window: Duration::from_secs(300),
    };
}

/// `5 in 10m`, `every match`, `<= 4 in 10m`.
impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::EVERY {
            return f.write_str("every match");
        }
        let (operator, count) = self.needs.parts();
        write!(f, "{operator}{count} in {}", format_duration(self.window))
    }
}

/// `N distinct NAME in T`: a count of different values. A missing or empty value is not counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distinct {
    /// What is counted: a label, field or capture.
    pub name: String,
    /// Its place in the rule's [`values`](super::Rule::values).
    pub value: usize,
    /// How many, within which time.
    pub threshold: Threshold,
}

/// A number with at most six decimals, exact: `0.5`, `99.9`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimal {
    /// Millionths.
    pub millionths: u64,
}

impl Decimal {
    /// How many of its units are one.
    pub const ONE: u64 = 1_000_000;
    /// Most decimals.
    const DECIMALS_MAX: usize = 6;

    /// Reads digits, and after a point up to six more; `None` for anything else, and for what does not fit.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (whole, rest) = match text.split_once('.') {
            Some((_, "")) => return None,
            Some(pieces) => pieces,
            None => (text, ""),
        };
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(rest) || rest.len() > Self::DECIMALS_MAX {
            return None;
        }
        let whole: u64 = whole.parse().ok()?;
        let rest: u64 = format!("{rest:0<6}").parse().ok()?;
        let millionths = whole.checked_mul(Self::ONE)?.checked_add(rest)?;
        Some(Self { millionths })
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.millionths / Self::ONE, self.millionths % Self::ONE);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        let rest = format!("{rest:06}");
        write!(f, "{whole}.{}", rest.trim_end_matches('0'))
    }
}

/// `> P% in T`: the share of matches among the entries that `match` or `total` match.
#[derive(Debug, Clone)]
pub struct Ratio {
    /// `>=`, `>`, `<` or `<=`.
    pub comparison: Comparison,
    /// The share, in percent: 0 to 100.
    pub percent: Decimal,
    /// The window, never zero.
    pub window: Duration,
    /// What counts in the denominator beside matches; every entry of the rule's streams when there is none.
    pub total: Option<Box<Match>>,
    /// No verdict while the denominator is smaller.
    pub min_count: u64,
}

/// `Nx in T vs P`: the count of a window against that of the time before it, scaled to the window's length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spike {
    /// `>=`, `>`, `<` or `<=`.
    pub comparison: Comparison,
    /// How many times the past.
    pub factor: Decimal,
    /// The window, never zero.
    pub window: Duration,
    /// The time before the window, at least as long as it.
    pub past: Duration,
    /// No verdict while the window's count is smaller; with `<` and `<=`: while the scaled past is smaller.
    pub min_count: u64,
}

/// Nothing matched for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    /// How long, never zero.
    pub span: Duration,
    /// Keys that must appear even if never seen.
    pub expect: Vec<Key>,
    /// A key that has been away this long is expected no more; not one of `expect`.
    pub forget: Option<Duration>,
}

/// Matches in a given order.
#[derive(Debug, Clone)]
pub struct Sequence {
    /// From the first entry to the last, never zero.
    pub within: Duration,
    /// What must come, in this order; at least one.
    pub steps: Vec<Step>,
    /// What must not come after them within the same time.
    pub absent: Option<Box<Match>>,
}

/// A step of a [`Sequence`].
#[derive(Debug, Clone)]
pub struct Step {
    /// Which entries.
    pub matches: Match,
    /// How many.
    pub count: NonZeroU32,
}

/// Findings of other rules at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correlate {
    /// How old a part's last match may be when the finding opens, never zero.
    pub within: Duration,
    /// Each of these must be there.
    pub all: Vec<Part>,
    /// [`Correlate::at_least`] of these must be there.
    pub any: Vec<Part>,
    /// None of these may be there when it opens.
    pub none: Vec<Part>,
    /// How many of `any`; 1 unless the rule says more, 0 without `any`.
    pub at_least: usize,
    /// Whether its parts' own messages are held back while it is open.
    pub hides: bool,
}

/// A part of a [`Correlate`]. A rule that is off, and a type that no rule has, is never there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Findings of the rule with this id.
    Rule(String),
    /// Findings of any rule of this incident type.
    IncidentType(String),
}

impl Part {
    /// The id or the type.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Rule(name) | Self::IncidentType(name) => name,
        }
    }
}
