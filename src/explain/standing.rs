//! How far a key has come towards its rule's condition: counted from its entries in the plainest way.
//!
//! The detector decides; this only tells what it waits for. Entries come in order of time, so no window needs to be looked at
//! again, and what waits for silence (`<`, `absent`, `for`) is named and left to the detector.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt;
use std::time::Duration;

use crate::hit::{Key, Parts};
use crate::rules::{
    Absent, Comparison, Condition, Decimal, Needs, Ratio, Rule, Sequence, Spike, Step, Threshold,
};
use crate::time::{Timestamp, format_duration};

/// The entries of a rule that count, by key.
#[derive(Debug)]
pub(super) struct Tracker<'r> {
    rule: &'r Rule,
    keys: BTreeMap<Key, KeyLog>,
    /// The oldest entry of the rule's streams: since when a past is known.
    since: Option<Timestamp>,
    tightest: Option<Duration>,
}

/// What is kept of a key.
#[derive(Debug, Default)]
struct KeyLog {
    /// Its first entry.
    first: Option<Timestamp>,
    /// Entries in the window.
    window: VecDeque<Counted>,
    /// How many of them are matches: in a ratio the others only count in the denominator.
    matches: u64,
    /// How often each value is in the window.
    values: HashMap<Box<str>, u64>,
    /// Entries in the past that a spike is compared with.
    past: VecDeque<Timestamp>,
    /// Every value there ever was, for a rule on new ones.
    known: HashSet<Box<str>>,
    /// The newest matches, as many as a count wants.
    newest: VecDeque<Timestamp>,
}

/// One entry that counts.
#[derive(Debug)]
struct Counted {
    at: Timestamp,
    parts: Parts,
    value: Option<Box<str>>,
}

impl<'r> Tracker<'r> {
    /// Knows nothing yet.
    pub(super) fn new(rule: &'r Rule) -> Self {
        Self {
            rule,
            keys: BTreeMap::new(),
            since: None,
            tightest: None,
        }
    }

    /// An entry of a stream that the rule reads, whether it matches or not; not before the last one.
    pub(super) fn read(&mut self, at: Timestamp) {
        self.since.get_or_insert(at);
    }

    /// Counts an entry that fulfils `parts` and is no repeat, not before the last one. Tells where its key stands then;
    /// `None` where only the detector can tell.
    pub(super) fn count(
        &mut self,
        key: Key,
        at: Timestamp,
        parts: Parts,
        values: &[Option<Box<str>>],
    ) -> Option<Standing<'r>> {
        let log = self.keys.entry(key).or_default();
        let first = *log.first.get_or_insert(at);
        let value_at = |place: usize| values.get(place).cloned().flatten();
        let mut count = |window: Duration, value: Option<Box<str>>, keeps_past: bool| {
            log.forget_until(at.minus(window), keeps_past);
            log.add(Counted { at, parts, value });
        };
        Some(match &self.rule.condition {
            Condition::Count(threshold) => {
                count(threshold.window, None, false);
                let span = log.span_of(threshold.needs, at);
                self.tightest = self.tightest.into_iter().chain(span).min();
                Standing::Count {
                    threshold: *threshold,
                    distinct: None,
                    count: log.window.len() as u64,
                }
            }
            Condition::Distinct(distinct) => {
                count(distinct.threshold.window, value_at(distinct.value), false);
                Standing::Count {
                    threshold: distinct.threshold,
                    distinct: Some(&distinct.name),
                    count: log.values.len() as u64,
                }
            }
            Condition::Ratio(ratio) => {
                count(ratio.window, None, false);
                Standing::Ratio {
                    ratio,
                    matches: log.matches,
                    total: log.window.len() as u64,
                }
            }
            Condition::Spike(spike) => {
                count(spike.window, None, true);
                let start = at.minus(spike.window).minus(spike.past);
                while log.past.front().is_some_and(|at| *at <= start) {
                    log.past.pop_front();
                }
                let known_from = self.since.unwrap_or(at);
                Standing::Spike {
                    spike,
                    current: log.window.len() as u64,
                    past: log.past.len() as u64,
                    full_from: known_from.plus(spike.window).plus(spike.past),
                    at,
                }
            }
            Condition::Sequence(sequence) => {
                count(sequence.within, None, false);
                log.sequence(sequence)
            }
            Condition::Absent(absent) => {
                let due = at.plus(absent.span);
                Standing::Absent { absent, due }
            }
            Condition::NewValue { learn } => Standing::New(match value_at(0) {
                None => Newness::Missing,
                Some(value) => match (log.known.insert(value), first.plus(*learn)) {
                    (_, end) if at < end => Newness::Learning(end),
                    (true, _) => Newness::New,
                    (false, _) => Newness::Known,
                },
            }),
            Condition::NewPattern { learn, .. } if at < first.plus(*learn) => {
                Standing::New(Newness::Learning(first.plus(*learn)))
            }
            Condition::NewPattern { .. } | Condition::Correlate(_) => return None,
        })
    }

    /// A recovery of `key`, in which an empty value means any, empties windows.
    pub(super) fn recover(&mut self, key: &Key) {
        for (known, log) in &mut self.keys {
            let mut values = key.iter().zip(known);
            if values.all(|(value, known)| value.is_empty() || value == known) {
                log.forget_until(Timestamp::MAX, false);
                log.past.clear();
                log.newest.clear();
            }
        }
    }

    /// The shortest time in which one key had as many entries as a count wants, whatever the window.
    pub(super) fn tightest(&self) -> Option<Duration> {
        self.tightest
    }

    /// How many keys there are.
    pub(super) fn keys(&self) -> usize {
        self.keys.len()
    }
}

impl KeyLog {
    fn add(&mut self, entry: Counted) {
        self.matches += u64::from(entry.parts.has(0));
        if let Some(value) = &entry.value {
            *self.values.entry(value.clone()).or_default() += 1;
        }
        self.window.push_back(entry);
    }

    /// Takes entries up to and including `start` out of the window, which does not hold its beginning.
    fn forget_until(&mut self, start: Timestamp, keeps_past: bool) {
        while self.window.front().is_some_and(|entry| entry.at <= start) {
            let Some(entry) = self.window.pop_front() else {
                break;
            };
            self.matches -= u64::from(entry.parts.has(0));
            if let Some(value) = entry.value
                && let Some(count) = self.values.get_mut(&value)
            {
                *count -= 1;
                if *count == 0 {
                    self.values.remove(&value);
                }
            }
            if keeps_past {
                self.past.push_back(entry.at);
            }
        }
    }

    /// How long the newest entries took, if there are as many as are wanted.
    fn span_of(&mut self, needs: Needs, at: Timestamp) -> Option<Duration> {
        let Needs::AtLeast(needed) = needs else {
            return None;
        };
        self.newest.push_back(at);
        if (self.newest.len() as u64) < needed.get() {
            return None;
        }
        self.newest.pop_front().map(|first| at.since(first))
    }

    /// How many steps the window's entries make, each with the earliest that fulfil it, which leaves most for the others.
    fn sequence<'r>(&mut self, sequence: &'r Sequence) -> Standing<'r> {
        let last = sequence.steps.len();
        let newest = self
            .window
            .back()
            .map_or(Parts::default(), |entry| entry.parts);
        if sequence.absent.is_some() && newest.has(last) {
            // It cancels all that began up to its time.
            self.window.clear();
        }
        let mut rest: Vec<&Counted> = self.window.iter().collect();
        let (mut steps, mut entries) = (0, 0);
        while let Some(wanted) = sequence.steps.get(steps) {
            let Some(place) = rest.iter().position(|entry| entry.parts.has(steps)) else {
                break;
            };
            // Entries of one time come in the order that the steps need.
            let at = rest.remove(place).at;
            rest.retain(|entry| entry.at >= at);
            entries += 1;
            if entries == wanted.count.get() {
                (steps, entries) = (steps + 1, 0);
            }
        }
        if steps == last && sequence.absent.is_none() {
            // Completion forgets everything.
            self.window.clear();
        }
        Standing::Sequence {
            sequence,
            steps,
            entries,
        }
    }
}

/// Where a key stands after an entry: the numbers that its condition looks at.
#[derive(Debug, Clone)]
pub enum Standing<'r> {
    /// Entries in the window, or different values of the name `distinct`.
    Count {
        /// How many are wanted.
        threshold: Threshold,
        /// Whose values are counted.
        distinct: Option<&'r str>,
        /// How many there are.
        count: u64,
    },
    /// Matches in the window, and the denominator.
    Ratio {
        /// Which share is wanted.
        ratio: &'r Ratio,
        /// Matches.
        matches: u64,
        /// Matches and what else counts in the denominator.
        total: u64,
    },
    /// Entries in the window and in the past before it.
    Spike {
        /// What is wanted.
        spike: &'r Spike,
        /// Entries in the window.
        current: u64,
        /// Entries in the past, which is longer.
        past: u64,
        /// When the past is known in full.
        full_from: Timestamp,
        /// The newest entry.
        at: Timestamp,
    },
    /// Steps that came.
    Sequence {
        /// What is wanted.
        sequence: &'r Sequence,
        /// Steps that came in full.
        steps: usize,
        /// Entries towards the next one.
        entries: u32,
    },
    /// It was there.
    Absent {
        /// For how long it may stay away.
        absent: &'r Absent,
        /// When the finding opens if it does.
        due: Timestamp,
    },
    /// A value or a template that may be new.
    New(Newness),
}

/// Whether a value was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Newness {
    /// Everything is learned until this time.
    Learning(Timestamp),
    /// It was.
    Known,
    /// It was not.
    New,
    /// The entry has none.
    Missing,
}

impl Standing<'_> {
    /// Whether the condition holds, as far as entries alone decide it.
    #[must_use]
    pub fn holds(&self) -> bool {
        let enough = match self {
            Self::Ratio { ratio, total, .. } => *total >= ratio.min_count,
            Self::Spike { full_from, at, .. } => at >= full_from && self.lacks() == 0,
            _ => true,
        };
        enough && self.progress() >= 1.0
    }

    /// How many entries are missing for a verdict on a ratio or a spike.
    fn lacks(&self) -> u64 {
        match self {
            Self::Ratio { ratio, total, .. } => ratio.min_count.saturating_sub(*total),
            Self::Spike {
                spike,
                current,
                past,
                ..
            } => {
                let counted = match spike.comparison {
                    Comparison::Below | Comparison::AtMost => scaled(spike, *past) as u64,
                    _ => *current,
                };
                spike.min_count.saturating_sub(counted)
            }
            _ => 0,
        }
    }

    /// How near it is to holding, `min_count` aside: 1 where it does, 0 where only time can tell.
    #[must_use]
    pub fn progress(&self) -> f64 {
        match self {
            Self::Count {
                threshold, count, ..
            } => match threshold.needs {
                Needs::AtLeast(needed) => (*count as f64 / needed.get() as f64).min(1.0),
                Needs::AtMost(_) => 0.0,
            },
            Self::Ratio {
                ratio,
                matches,
                total,
            } => {
                let is = u128::from(*matches) * 100 * u128::from(Decimal::ONE);
                let wanted = u128::from(ratio.percent.millionths) * u128::from(*total);
                nearness(ratio.comparison, is, wanted)
            }
            Self::Spike {
                spike,
                current,
                past,
                ..
            } => {
                let is = u128::from(*current) * u128::from(Decimal::ONE) * spike.past.as_nanos();
                let past = u128::from(*past) * spike.window.as_nanos();
                nearness(
                    spike.comparison,
                    is,
                    u128::from(spike.factor.millionths) * past,
                )
            }
            Self::Sequence {
                sequence,
                steps,
                entries,
            } => {
                let entries_of = |steps: &[Step]| -> u64 {
                    steps.iter().map(|step| u64::from(step.count.get())).sum()
                };
                let came = entries_of(&sequence.steps[..*steps]) + u64::from(*entries);
                // Where a last step must not come, the others are not all.
                let all = entries_of(&sequence.steps) + u64::from(sequence.absent.is_some());
                came as f64 / all as f64
            }
            Self::New(Newness::New) => 1.0,
            Self::Absent { .. } | Self::New(_) => 0.0,
        }
    }

    /// What is missing for a finding, if it can be named.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        if self.holds() {
            return None;
        }
        Some(match self {
            Self::Count {
                threshold,
                distinct,
                count,
            } => {
                let window = format_duration(threshold.window);
                match (threshold.needs, distinct) {
                    (Needs::AtLeast(needed), None) => {
                        format!("{} more within {window}", needed.get() - count)
                    }
                    (Needs::AtLeast(needed), Some(name)) => {
                        let more = needed.get() - count;
                        format!("{more} more different values of `{name}` within {window}")
                    }
                    (Needs::AtMost(most), _) => format!("a whole {window} with at most {most}"),
                }
            }
            Self::Ratio { .. } | Self::Spike { .. } if self.lacks() > 0 => {
                format!(
                    "{} more: there is no verdict below `min_count`",
                    self.lacks()
                )
            }
            Self::Ratio { ratio, .. } => {
                format!("a share {} {}%", ratio.comparison, ratio.percent)
            }
            Self::Spike {
                spike,
                full_from,
                at,
                ..
            } if at < full_from => {
                let past = format_duration(spike.past);
                format!("a past of {past}, which is known in full from {full_from}")
            }
            Self::Spike { spike, .. } => {
                format!("{} {} times the past", spike.comparison, spike.factor)
            }
            Self::Sequence {
                sequence,
                steps,
                entries,
            } => {
                let within = format_duration(sequence.within);
                match sequence.steps.get(*steps) {
                    Some(step) => {
                        let more = step.count.get() - entries;
                        format!("{more} of step {}, within {within} of the first", steps + 1)
                    }
                    None => {
                        format!("that the last step does not come within {within} of the first")
                    }
                }
            }
            Self::Absent { due, .. } => format!("nothing until {due}"),
            Self::New(Newness::Learning(until)) => format!("the end of learning at {until}"),
            Self::New(Newness::Known) => "a value that was not there before".to_owned(),
            Self::New(Newness::Missing) => "a value".to_owned(),
            Self::New(Newness::New) => return None,
        })
    }
}

/// How near `is` is to comparing with `wanted` as it should; 1 only where it does.
fn nearness(comparison: Comparison, is: u128, wanted: u128) -> f64 {
    let (holds, part, whole) = match comparison {
        Comparison::AtLeast => (is >= wanted, is, wanted),
        Comparison::Above => (is > wanted, is, wanted),
        Comparison::Below => (is < wanted, wanted, is),
        Comparison::AtMost => (is <= wanted, wanted, is),
        Comparison::Equal => (is == wanted, 0, 1),
        Comparison::NotEqual => (is != wanted, 0, 1),
    };
    let nearly = 1.0 - f64::EPSILON;
    match (holds, whole) {
        (true, _) => 1.0,
        (false, 0) => nearly,
        (false, whole) => (part as f64 / whole as f64).min(nearly),
    }
}

/// `past` entries as a count for the length of the window.
fn scaled(spike: &Spike, past: u64) -> f64 {
    let lengths =
        spike.window.as_secs_f64() / spike.past.max(Duration::from_nanos(1)).as_secs_f64();
    past as f64 * lengths
}

/// `4 of 5 in 10m`
impl fmt::Display for Standing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count { threshold, .. } if *threshold == Threshold::EVERY => {
                f.write_str("every match is enough")
            }
            Self::Count {
                threshold,
                distinct,
                count,
            } => {
                let window = format_duration(threshold.window);
                let what = distinct.map_or(String::new(), |name| format!(" distinct {name}"));
                match threshold.needs {
                    Needs::AtLeast(needed) => write!(f, "{count} of {needed}{what} in {window}"),
                    Needs::AtMost(most) => {
                        write!(f, "{count}{what} in {window}, <= {most} is wanted")
                    }
                }
            }
            Self::Ratio {
                ratio,
                matches,
                total,
            } => {
                let window = format_duration(ratio.window);
                let share = *matches as f64 * 100.0 / (*total as f64).max(1.0);
                let (comparison, percent) = (ratio.comparison, ratio.percent);
                write!(
                    f,
                    "{matches} of {total} in {window} are {share:.2}%, {comparison} {percent}% is wanted"
                )
            }
            Self::Spike {
                spike,
                current,
                past,
                ..
            } => {
                let (window, before) = (format_duration(spike.window), format_duration(spike.past));
                let (comparison, factor, past) =
                    (spike.comparison, spike.factor, scaled(spike, *past));
                write!(
                    f,
                    "{current} in {window}, {past:.1} in as long of the {before} before, {comparison} {factor}x is wanted"
                )
            }
            Self::Sequence {
                sequence,
                steps,
                entries,
            } => {
                let (all, within) = (sequence.steps.len(), format_duration(sequence.within));
                write!(f, "{steps} of {all} steps within {within}")?;
                match sequence.steps.get(*steps) {
                    Some(step) if *entries > 0 => {
                        write!(f, ", {entries} of {} of step {}", step.count, steps + 1)
                    }
                    _ => Ok(()),
                }
            }
            Self::Absent { absent, .. } => {
                write!(
                    f,
                    "it came; it may stay away for {}",
                    format_duration(absent.span)
                )
            }
            Self::New(newness) => f.write_str(match newness {
                Newness::Learning(_) => "learned",
                Newness::Known => "a known value",
                Newness::New => "a new value",
                Newness::Missing => "no value",
            }),
        }
    }
}

#[cfg(test)]
mod tests;
