//! The lines that a finding quotes: the first, and the last few.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::batch::Labels;
use crate::finding::{EvidenceLine, Redactor};
use crate::rules::{Condition, EvidenceRules, Needs, Rule, Threshold};
use crate::text::lossy;
use crate::time::Timestamp;

/// A line that may be quoted. Not redacted until it is stored or told: most quotes are replaced before that.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Quote {
    pub(super) at: Timestamp,
    pub(super) labels: Arc<Labels>,
    #[serde(with = "super::bytes")]
    pub(super) line: Box<[u8]>,
    pub(super) redacted: bool,
}

/// The quotes of one key, in order of time: bounded, redacted before they leave.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Quotes {
    /// The finding's first line, once there is a finding.
    first: Option<Box<Quote>>,
    /// Most keys never have another than one.
    last: SmallVec<[Quote; 1]>,
}

impl Quotes {
    /// The lines of a message, as it quoted them.
    pub(super) fn recalled(lines: &[EvidenceLine]) -> Self {
        let quote = |line: &EvidenceLine| Quote {
            at: line.time,
            labels: Arc::new(Labels::new(line.labels.iter().map(|(name, value)| {
                (Box::from(name.as_str()), Box::from(value.as_str()))
            }))),
            line: line.line.as_bytes().into(),
            redacted: true,
        };
        let (first, last) = lines.split_first().unzip();
        Self {
            first: first.map(quote).map(Box::new),
            last: last.into_iter().flatten().map(quote).collect(),
        }
    }

    /// Memory beside itself, in bytes, without labels: those it shares with whoever read the stream.
    pub(super) fn heap_bytes(&self) -> usize {
        let quotes = self.first.as_deref().into_iter().chain(&self.last);
        let spilled = usize::from(self.last.spilled()) * self.last.capacity();
        let places = spilled + usize::from(self.first.is_some());
        quotes.map(|quote| quote.line.len()).sum::<usize>() + places * size_of::<Quote>()
    }

    /// Keeps the first line and the last, for want of memory.
    pub(super) fn keep_few(&mut self) {
        self.keep_newest(1);
        self.last.shrink_to_fit();
    }

    /// How many lines are kept while no finding is open: so many that its first one is at hand when it opens,
    /// if the threshold is no more than a message may quote.
    fn before_opening(rule: &Rule) -> usize {
        let at_least = |threshold: &Threshold| match threshold.needs {
            Needs::AtLeast(needed) => usize::try_from(needed.get()).unwrap_or(usize::MAX),
            Needs::AtMost(_) => 0,
        };
        let needed = match &rule.condition {
            Condition::Count(threshold) | Condition::NewPattern { threshold, .. } => {
                at_least(threshold)
            }
            Condition::Distinct(distinct) => at_least(&distinct.threshold),
            Condition::Sequence(sequence) => {
                let counts = sequence.steps.iter().map(|step| step.count.get() as usize);
                counts.sum()
            }
            _ => 0,
        };
        needed.clamp(rule.evidence.lines, EvidenceRules::LINES_MAX)
    }

    /// Puts a quote in its place. `open` tells whether a finding is open.
    pub(super) fn add(&mut self, quote: Quote, open: bool, rule: &Rule) {
        let lines = rule.evidence.lines;
        if lines == 0 {
            return;
        }
        if let Some(first) = &mut self.first
            && quote < **first
            && open
        {
            // What came before it while no finding was open may be older still.
            self.last.push(std::mem::replace(first, quote));
            self.last.sort();
        } else {
            let place = match self.last.last() {
                Some(newest) if *newest > quote => {
                    self.last.partition_point(|other| *other <= quote)
                }
                _ => self.last.len(),
            };
            self.last.insert(place, quote);
        }
        let kept = if open {
            lines.saturating_sub(usize::from(self.first.is_some()))
        } else {
            Self::before_opening(rule)
        };
        self.keep_newest(kept);
    }

    /// A finding opens whose oldest entry is of `first_seen`: its first line stays from now on.
    pub(super) fn open(&mut self, first_seen: Timestamp, lines: usize) {
        self.last.retain(|quote| quote.at >= first_seen);
        self.first = self
            .last
            .drain(..1.min(self.last.len()))
            .next()
            .map(Box::new);
        self.reopen(lines);
    }

    /// A finding opens again: its first line is what it was.
    pub(super) fn reopen(&mut self, lines: usize) {
        self.keep_newest(lines.saturating_sub(1));
    }

    fn keep_newest(&mut self, most: usize) {
        self.last.drain(..self.last.len().saturating_sub(most));
    }

    /// The newest line.
    pub(super) fn newest(&self) -> Option<&Quote> {
        self.last.last().or(self.first.as_deref())
    }

    /// Redacts what is kept. Done before it is stored or told; each line once.
    pub(super) fn redact(&mut self, redactor: &Redactor, rules: &EvidenceRules) {
        let all = self.first.as_deref_mut().into_iter().chain(&mut self.last);
        for quote in all.filter(|quote| !quote.redacted) {
            quote.line = redactor
                .redact(&quote.line, &rules.redact)
                .into_bytes()
                .into();
            quote.redacted = true;
        }
    }

    /// The lines up to `until`, at most `lines`, redacted.
    pub(super) fn told(
        &mut self,
        until: Timestamp,
        redactor: &Redactor,
        rules: &EvidenceRules,
    ) -> Vec<EvidenceLine> {
        self.redact(redactor, rules);
        let mut told: Vec<EvidenceLine> = self
            .first
            .as_deref()
            .into_iter()
            .chain(&self.last)
            .filter(|quote| quote.at <= until)
            .map(|quote| EvidenceLine {
                time: quote.at,
                labels: quote
                    .labels
                    .iter()
                    .map(|(name, value)| (name.to_owned(), redactor.redact(value.as_bytes(), &[])))
                    .collect(),
                line: lossy(&quote.line).into_owned(),
            })
            .collect();
        if told.len() > rules.lines {
            told.drain(1..=told.len() - rules.lines);
        }
        told
    }
}
