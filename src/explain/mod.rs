//! What a rule makes of a log, and why: the answer to "why does it never fire?".
//!
//! [`Explainer`] takes the lines in order of time. Of each it gives every answer that [`scan::explain`](crate::scan::explain())
//! knows and where the line's key stands then; in the end it tells what came nearest and what was missing.
//!
//! - `standing`: how far a key has come towards the condition.
//! - `miss`: why a line that comes near is no match.
//! - `tally`: what all lines come to, and the answer. `told`: what programs are told of a line.
//!
//! What opens and closes findings is the detector's to decide: whoever shows all this runs one beside it, and tells its findings.
//! Pure: no I/O, no clock.

mod miss;
mod standing;
mod tally;
mod told;

use std::collections::HashSet;

use self::miss::nearest_miss;
use self::standing::Tracker;
use crate::batch::EntryId;
use crate::hit::{Key, Role};
use crate::rules::{Exclusion, Rule, RuleSet};
use crate::scan::{Explained, Line, Verdict, explain, unasked};
use crate::time::Timestamp;

pub use miss::{Miss, Nearness, comes_near, field_wanted, item_wanted, part_name};
pub use standing::{Newness, Standing};
pub use tally::{Misses, Tally};
pub use told::{FieldTold, ItemTold, PartTold, Told, column, unread};

/// Explains a log to a rule, line by line.
#[derive(Debug)]
pub struct Explainer<'r> {
    rules: &'r RuleSet,
    rule: &'r Rule,
    exclusions: &'r [Exclusion],
    tracker: Tracker<'r>,
    /// The same without `by`: whether it is the key that keeps matches apart.
    together: Tracker<'r>,
    /// Entries of the newest time that were counted.
    counted: HashSet<EntryId>,
    newest: Option<Timestamp>,
    tally: Tally<'r>,
}

/// One line, explained.
#[derive(Debug)]
pub struct Report<'r> {
    /// What was asked about it.
    pub explained: Explained<'r>,
    /// What it does.
    pub outcome: Outcome<'r>,
    /// What kept it from being a match, if it came near.
    pub miss: Option<Miss>,
    /// Whether it is worth showing: it does something, or is one of the first that fail as it does.
    pub is_telling: bool,
}

/// What a line does.
#[derive(Debug)]
pub enum Outcome<'r> {
    /// Nothing.
    Nothing,
    /// It counts as a match; where its key stands then, where that can be told.
    Match(Option<Standing<'r>>),
    /// It counts in a ratio's denominator only.
    Denominator,
    /// It ends findings of its key, and empties windows.
    Recovery,
    /// It would count, but is the same entry as one before.
    Repeat,
    /// It would count if it had a time.
    Untimed,
}

/// How many lines that fail in the same way are shown.
const EXAMPLES: u64 = 3;

impl<'r> Explainer<'r> {
    /// Explains to `rule`, one of `rules`, what lines are that `exclusions` do not leave out.
    #[must_use]
    pub fn new(rules: &'r RuleSet, rule: &'r Rule, exclusions: &'r [Exclusion]) -> Self {
        Self {
            rules,
            rule,
            exclusions,
            tracker: Tracker::new(rule),
            together: Tracker::new(rule),
            counted: HashSet::new(),
            newest: None,
            tally: Tally::new(rule),
        }
    }

    /// Explains the entry `id`, whose time is `at`, not before that of the last one.
    pub fn line(&mut self, line: &Line<'_>, id: EntryId, at: Option<Timestamp>) -> Report<'r> {
        let explained = explain(self.rules, self.rule, self.exclusions, line);
        self.report(explained, id, at)
    }

    /// Takes note of an entry that has nothing for the rule, as a [`Glance`](crate::scan::Glance) says; at the place where
    /// [`line`](Self::line) would explain it, to the same end.
    pub fn pass(&mut self, line: &Line<'_>, id: EntryId, at: Option<Timestamp>) {
        let explained = unasked(self.rule, self.exclusions, line);
        self.report(explained, id, at);
    }

    fn report(
        &mut self,
        explained: Explained<'r>,
        id: EntryId,
        at: Option<Timestamp>,
    ) -> Report<'r> {
        let outcome = self.outcome(&explained, id, at);
        let miss = match outcome {
            Outcome::Nothing | Outcome::Denominator => nearest_miss(self.rule, &explained),
            _ => None,
        };
        let alike = self.tally.count(&explained, &outcome, miss.as_ref());
        let does_something = !matches!(outcome, Outcome::Nothing | Outcome::Denominator);
        Report {
            is_telling: does_something
                || miss
                    .as_ref()
                    .is_some_and(|miss| miss.nearness > Nearness::Field)
                    && alike <= EXAMPLES,
            explained,
            outcome,
            miss,
        }
    }

    fn outcome(
        &mut self,
        explained: &Explained<'r>,
        id: EntryId,
        at: Option<Timestamp>,
    ) -> Outcome<'r> {
        if !explained.is_read() {
            return Outcome::Nothing;
        }
        if let Some(at) = at {
            self.tracker.read(at);
            self.together.read(at);
        }
        let Some(Verdict { role, parts, .. }) = explained.verdict else {
            return Outcome::Nothing;
        };
        let is_match = self.rule.is_match(parts);
        let Some(at) = at else {
            return if is_match {
                Outcome::Untimed
            } else {
                Outcome::Nothing
            };
        };
        // A repeat has the same time, so it lies among those.
        if self.newest != Some(at) {
            self.newest = Some(at);
            self.counted.clear();
        }
        if !self.counted.insert(id) {
            return if is_match {
                Outcome::Repeat
            } else {
                Outcome::Nothing
            };
        }
        let value = |(_, value): &(_, Option<Box<str>>)| value.clone();
        let parts_of_key = explained.key.iter().map(value);
        let key: Key = parts_of_key.map(Option::unwrap_or_default).collect();
        if role == Role::Recovery {
            self.tracker.recover(&key);
            self.together.recover(&Key::default());
            return Outcome::Recovery;
        }
        let values: Vec<_> = explained.values.iter().map(value).collect();
        let together = self.together.count(Key::default(), at, parts, &values);
        let standing = self.tracker.count(key.clone(), at, parts, &values);
        self.tally
            .stands(&key, at, standing.as_ref(), together.as_ref());
        if is_match {
            Outcome::Match(standing)
        } else {
            Outcome::Denominator
        }
    }

    /// A finding of any rule has come into being, or changed.
    pub fn finding(&mut self, id: &str, rule: &str, incident_type: &str) {
        self.tally.finding(id, rule, incident_type);
    }

    /// What all lines came to.
    #[must_use]
    pub fn finish(mut self) -> Tally<'r> {
        self.tally.keys = self.tracker.keys();
        self.tally.tightest = self.tracker.tightest();
        self.tally
    }
}

#[cfg(test)]
mod tests;
