//! What all lines of a log come to for a rule, and the answer to the question why it does not fire.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Outcome;
use super::miss::{Miss, Nearness, unselected};
use super::standing::Standing;
use crate::hit::Key;
use crate::rules::{Condition, Needs, Part, Rule, Threshold};
use crate::scan::Explained;
use crate::time::{Timestamp, format_duration};

/// Counts of lines, and what came nearest.
#[derive(Debug)]
pub struct Tally<'r> {
    rule: &'r Rule,
    /// All lines.
    pub lines: u64,
    /// Lines of streams that the rule reads.
    pub read: u64,
    /// Matches that count.
    pub matches: u64,
    /// Lines that count in a ratio's denominator only.
    pub denominators: u64,
    /// Recoveries.
    pub recoveries: u64,
    /// Repeats of entries, which do not count.
    pub repeats: u64,
    /// Matches and recoveries without a time, which do not count.
    pub untimed: u64,
    /// How many keys matches have.
    pub keys: usize,
    /// Why lines are no matches: the nearest first, of those the most frequent.
    misses: BTreeMap<(Reverse<Nearness>, String), Misses>,
    /// Lines of streams that the rule does not read.
    unread: Misses,
    /// Where a key came nearest to the condition: the first time.
    best: Option<Best<'r>>,
    /// The same with all keys taken together.
    together: Option<Best<'r>>,
    /// The shortest time in which one key had as many matches as are wanted.
    pub(super) tightest: Option<Duration>,
    /// Ids of findings, by rule and by incident type.
    findings: BTreeMap<Part, BTreeSet<String>>,
}

#[derive(Debug)]
struct Best<'r> {
    key: Key,
    at: Timestamp,
    standing: Standing<'r>,
}

/// Lines that fail in the same way.
#[derive(Debug, Default)]
pub struct Misses {
    /// How many.
    pub lines: u64,
    /// What they have in place of what is wanted, and how many each; at most [`Misses::VALUES_MAX`].
    pub values: BTreeMap<String, u64>,
}

impl Misses {
    /// Most different values kept: a log may have a new one in every line.
    pub const VALUES_MAX: usize = 100;
    /// Most values that are named.
    const NAMED_MAX: usize = 3;

    fn add(&mut self, value: Option<&str>) {
        self.lines += 1;
        let Some(value) = value else { return };
        if let Some(count) = self.values.get_mut(value) {
            *count += 1;
        } else if self.values.len() < Self::VALUES_MAX {
            self.values.insert(value.to_owned(), 1);
        }
    }

    /// The most frequent values: `namespace is shop (12), namespace is blog (3)`.
    fn named(&self) -> String {
        let mut values: Vec<_> = self.values.iter().collect();
        values.sort_by_key(|(value, count)| (Reverse(**count), *value));
        let mut named: Vec<_> = values
            .iter()
            .take(Self::NAMED_MAX)
            .map(|(value, count)| {
                if **count == self.lines {
                    (*value).clone()
                } else {
                    format!("{value} ({count})")
                }
            })
            .collect();
        if values.len() > Self::NAMED_MAX {
            named.push("…".to_owned());
        }
        named.join(", ")
    }
}

impl<'r> Tally<'r> {
    pub(super) fn new(rule: &'r Rule) -> Self {
        Self {
            rule,
            lines: 0,
            read: 0,
            matches: 0,
            denominators: 0,
            recoveries: 0,
            repeats: 0,
            untimed: 0,
            keys: 0,
            misses: BTreeMap::new(),
            unread: Misses::default(),
            best: None,
            together: None,
            tightest: None,
            findings: BTreeMap::new(),
        }
    }

    /// Counts a line; tells how many have failed as it did, itself included.
    pub(super) fn count(
        &mut self,
        explained: &Explained<'_>,
        outcome: &Outcome<'_>,
        miss: Option<&Miss>,
    ) -> u64 {
        self.lines += 1;
        if explained.is_read() {
            self.read += 1;
        } else {
            let (_, values) = unselected(&explained.unselected);
            self.unread
                .add(Some(values.as_str()).filter(|values| !values.is_empty()));
        }
        let counter = match outcome {
            Outcome::Nothing => None,
            Outcome::Match(_) => Some(&mut self.matches),
            Outcome::Denominator => Some(&mut self.denominators),
            Outcome::Recovery => Some(&mut self.recoveries),
            Outcome::Repeat => Some(&mut self.repeats),
            Outcome::Untimed => Some(&mut self.untimed),
        };
        if let Some(counter) = counter {
            *counter += 1;
        }
        let Some(miss) = miss else { return 0 };
        let misses = self
            .misses
            .entry((Reverse(miss.nearness), miss.reason.clone()));
        let misses = misses.or_default();
        misses.add(miss.value.as_deref());
        misses.lines
    }

    pub(super) fn stands(
        &mut self,
        key: &Key,
        at: Timestamp,
        alone: Option<&Standing<'r>>,
        together: Option<&Standing<'r>>,
    ) {
        for (best, standing) in [(&mut self.best, alone), (&mut self.together, together)] {
            let Some(standing) = standing else { continue };
            let rank = |standing: &Standing<'_>| (standing.holds(), standing.progress());
            if best
                .as_ref()
                .is_none_or(|best| rank(&best.standing) < rank(standing))
            {
                *best = Some(Best {
                    key: key.clone(),
                    at,
                    standing: standing.clone(),
                });
            }
        }
    }

    pub(super) fn finding(&mut self, id: &str, rule: &str, incident_type: &str) {
        for part in [
            Part::Rule(rule.to_owned()),
            Part::IncidentType(incident_type.to_owned()),
        ] {
            self.findings.entry(part).or_default().insert(id.to_owned());
        }
    }

    /// How many findings the rule made.
    #[must_use]
    pub fn findings(&self) -> usize {
        self.findings_of(&Part::Rule(self.rule.id.clone()))
    }

    fn findings_of(&self, part: &Part) -> usize {
        self.findings.get(part).map_or(0, BTreeSet::len)
    }

    /// Why lines are no matches, from near to far: what is said of them, and how many.
    pub fn misses(&self) -> impl Iterator<Item = (&str, &Misses)> {
        let mut misses: Vec<_> = self.misses.iter().collect();
        misses.sort_by_key(|((nearness, _), misses)| (*nearness, Reverse(misses.lines)));
        misses
            .into_iter()
            .map(|((_, reason), misses)| (reason.as_str(), misses))
    }

    /// The answer: what was counted, what came nearest, what was missing. A sentence each.
    #[must_use]
    pub fn answer(&self) -> Vec<String> {
        if let Condition::Correlate(correlate) = &self.rule.condition {
            let mut parts: Vec<&Part> = correlate
                .all
                .iter()
                .chain(&correlate.any)
                .chain(&correlate.none)
                .collect();
            parts.sort();
            parts.dedup();
            let of_parts = parts.into_iter().map(|part| {
                format!(
                    "{}: {}",
                    part.as_str(),
                    counted(self.findings_of(part) as u64, "finding")
                )
            });
            let head = "it reads no lines, but findings of other rules; explain those that should have been there";
            return std::iter::once(head.to_owned())
                .chain(of_parts)
                .chain(self.outcome())
                .collect();
        }
        if self.rule.is_own() {
            return vec!["no line matches it: its findings are about trommel itself".to_owned()];
        }
        let mut answer = vec![self.counts()];
        for (reason, misses) in self.misses().take(MISSES_TOLD_MAX) {
            let values = misses.named();
            let colon = if values.is_empty() { "" } else { ": " };
            answer.push(format!(
                "{} {reason}{colon}{values}",
                counted(misses.lines, "line")
            ));
        }
        if self.read == 0 && self.lines > 0 {
            let values = self.unread.named();
            let colon = if values.is_empty() { "" } else { ": " };
            answer.push(format!(
                "no line is of a stream that the rule reads{colon}{values}"
            ));
        }
        answer.extend(self.outcome());
        answer
    }

    fn counts(&self) -> String {
        let mut text = format!(
            "{}, {} of streams that the rule reads: {}",
            counted(self.lines, "line"),
            self.read,
            counted(self.matches, "match"),
        );
        for (count, what) in [
            (self.denominators, "only in the denominator"),
            (self.recoveries, "for recovery"),
            (self.repeats, "not counted, the same entries again"),
            (self.untimed, "not counted for want of a time"),
        ] {
            if count > 0 {
                text.push_str(&format!(", {count} {what}"));
            }
        }
        text
    }

    /// Whether there were findings, and what was missing if not.
    fn outcome(&self) -> Vec<String> {
        let findings = self.findings() as u64;
        if findings > 0 {
            return vec![counted(findings, "finding")];
        }
        let Some(best) = &self.best else {
            return vec!["no finding".to_owned()];
        };
        let (standing, at, key) = (&best.standing, best.at, self.of_key(&best.key));
        let missing = match standing.missing() {
            Some(missing) => format!("; missing: {missing}"),
            None if !self.rule.hold.is_zero() => {
                let hold = format_duration(self.rule.hold);
                format!("; missing: that it lasts for {hold} (`for`)")
            }
            None if !self.rule.suppress.is_empty() => {
                "; `suppress` may hold the message back".to_owned()
            }
            None => String::new(),
        };
        let at_best = format!("no finding; at best {standing}, at {at}{key}{missing}");
        if standing.holds() {
            return vec![at_best];
        }
        let splits = self
            .together
            .as_ref()
            .filter(|together| self.keys > 1 && together.standing.holds());
        let splits = splits.map(|together| {
            let (by, keys) = (self.rule.by.join(", "), self.keys);
            let together = &together.standing;
            format!(
                "`by: [{by}]` splits the matches into {keys} keys, together they have {together}"
            )
        });
        let too_short = match (self.tightest, &self.rule.condition) {
            (
                Some(span),
                Condition::Count(Threshold {
                    needs: Needs::AtLeast(needed),
                    window,
                }),
            ) => {
                let (span, window) = (format_duration(span), format_duration(*window));
                Some(format!(
                    "{needed} of one key lie {span} apart where they are closest, the window is {window}"
                ))
            }
            _ => None,
        };
        std::iter::once(at_best)
            .chain(splits)
            .chain(too_short)
            .collect()
    }

    fn of_key(&self, key: &Key) -> String {
        let pairs = self
            .rule
            .by
            .iter()
            .zip(key)
            .map(|(name, value)| format!("{name}={value}"));
        let pairs: Vec<_> = pairs.collect();
        if pairs.is_empty() {
            String::new()
        } else {
            format!(" for {}", pairs.join(", "))
        }
    }
}

/// Most reasons that the answer names: the nearest.
const MISSES_TOLD_MAX: usize = 5;

/// `1 line`, `2 lines`, `2 matches`.
fn counted(count: u64, what: &str) -> String {
    let plural = match what {
        _ if count == 1 => "",
        "match" => "es",
        _ => "s",
    };
    format!("{count} {what}{plural}")
}
