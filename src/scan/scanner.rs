//! Batch × rules → hits: the room's front.
//!
//! Every rule takes one of three paths, decided once; [`Cost`] says which.
//!
//! 1. **Long literals.** Every line that it could hit contains one of some literals of at least eight bytes.
//!    One sweep over the block looks for those of all such rules at once.
//! 2. **Short literals**, of four to seven bytes: a second, denser sweep, made only if there are such rules.
//! 3. **Every line.** Nothing to look for: the rule is asked about each line of the streams that it selects.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::confirm::{Searchers, Work};
use super::hits::{Keys, Readings};
use super::line::Line;
use super::pass::Pass;
use super::plan::{Ask, Cost, Plan, Required, Tier};
use super::spent::{Ledger, Spent};
use crate::batch::{Batch, Labels};
use crate::hit::{Hit, Progress, RuleIndex, Scanned};
use crate::rules::{Condition, Exclusion, RuleSet};
use crate::time::Timestamp;

/// The rules of a set, prepared for finding their hits in batches. Immutable: all workers share one.
#[derive(Debug)]
pub struct Scanner {
    rules: Arc<RuleSet>,
    costs: Vec<Cost>,
    pub(super) plans: Vec<Plan>,
    /// In how many ways keys are read.
    readings: usize,
    pub(super) tiers: Vec<Tier>,
    /// Places of the rules without literals.
    pub(super) every_line: Vec<usize>,
    /// The rules that compare with their past.
    spikes: Vec<RuleIndex>,
    exclusions: Vec<Exclusion>,
}

impl Scanner {
    /// Prepares `rules`: some microseconds and kilobytes for each.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>) -> Self {
        let mut searchers = Searchers::default();
        let plans = rules.rules.iter();
        let mut readings = Readings::default();
        let plans = plans.map(|rule| Plan::new(rule, &rules, &mut searchers, &mut readings));
        let mut plans: Vec<_> = plans.collect();
        let (required, costs) = Required::of(&rules);
        // Before the sweeps are built, which takes as much again for a moment.
        searchers.are_complete();
        let tiers = Tier::build(required, &mut plans, &costs);
        let every_line = (0..costs.len()).filter(|&rule| costs[rule] == Cost::EveryLine);
        let spikes = rules.iter();
        let spikes = spikes.filter(|(_, rule)| matches!(rule.condition, Condition::Spike(_)));
        Self {
            every_line: every_line.collect(),
            spikes: spikes.map(|(rule, _)| rule).collect(),
            readings: readings.count,
            plans,
            tiers,
            costs,
            rules,
            exclusions: Vec::new(),
        }
    }

    /// The same, but no rule reads what one of `exclusions` leaves out.
    #[must_use]
    pub fn excluding(mut self, exclusions: Vec<Exclusion>) -> Self {
        self.exclusions = exclusions;
        self
    }

    /// Whether `line`, of the batch's stream number `stream`, is left out. Asked about hits only: they are rare.
    pub(super) fn leaves_out(
        &self,
        stream: usize,
        line: &Line<'_>,
        concerned: &mut Concerned,
    ) -> bool {
        if concerned.stream != Some(stream) {
            concerned.stream = Some(stream);
            concerned.by.clear();
            let by = self.exclusions.iter().enumerate();
            let by = by.filter(|(_, exclusion)| exclusion.concerns(&line.stream.labels));
            concerned.by.extend(by.map(|(place, _)| place));
        }
        let mut by = concerned.by.iter();
        by.any(|place| self.exclusions[*place].leaves_out(line.bytes))
    }

    /// The rules that are looked for.
    #[must_use]
    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// How `rule` is looked for.
    ///
    /// # Panics
    /// If `rule` is from another rule set.
    #[must_use]
    pub fn cost(&self, rule: RuleIndex) -> Cost {
        self.costs[rule.0 as usize]
    }

    /// For each rule the literals that it is looked for by: every line that it hits contains one. None for [`Cost::EveryLine`].
    #[must_use]
    pub fn literals(&self) -> Vec<Vec<&[u8]>> {
        let mut by_rule = vec![Vec::new(); self.plans.len()];
        for tier in &self.tiers {
            for (literal, asks) in tier.literals.iter().zip(&tier.asks) {
                // Asks are in order of their rules.
                for asks in asks.chunk_by(|a, b| a.rule == b.rule) {
                    by_rule[asks[0].rule].push(&*literal.bytes);
                }
            }
        }
        by_rule
    }

    /// Appends to `hits` those of the entries `entries` of `batch`, in no particular order.
    ///
    /// Allocates nothing as long as nothing hits, once `scratch` has served a few batches.
    ///
    /// # Panics
    /// If `entries` reaches beyond the entries of `batch`.
    pub fn scan(
        &self,
        batch: &Batch,
        entries: Range<usize>,
        scratch: &mut Scratch,
        hits: &mut Vec<Hit>,
    ) {
        if entries.is_empty() {
            return;
        }
        scratch.begin(self);
        Pass {
            scanner: self,
            batch,
            scratch,
            hits,
        }
        .run(entries);
    }

    /// All that `batch`, one of `tenant`, says.
    pub fn scan_whole(&self, batch: &Batch, tenant: &Arc<str>, scratch: &mut Scratch) -> Scanned {
        let all = 0..batch.entries.len();
        let mut scanned = Scanned {
            progress: Progress::of(batch, tenant, all.end),
            ..Scanned::default()
        };
        self.note_oldest(batch, all.clone(), &mut scanned.progress.oldest);
        self.scan(batch, all, scratch, &mut scanned.hits);
        scanned
    }

    /// Keeps in `oldest` for each rule that compares with its past the oldest of `entries` in the streams that it reads, whether
    /// their lines match or not: how far back its past can be known. Each rule is there once, in order, and only if it reads one.
    ///
    /// Costs a look at the selector of each such rule for each stream.
    ///
    /// # Panics
    /// If `entries` reaches beyond the entries of `batch`.
    pub fn note_oldest(
        &self,
        batch: &Batch,
        entries: Range<usize>,
        oldest: &mut Vec<(RuleIndex, Timestamp)>,
    ) {
        if self.spikes.is_empty() {
            return;
        }
        for stream in &batch.streams {
            let present = stream.entries_within(&entries);
            let times = batch.entries[present].iter().map(|entry| entry.at);
            let Some(at) = times.min() else { continue };
            if self.leaves_out_stream(&stream.stream.labels) {
                continue;
            }
            for &rule in &self.spikes {
                let known = oldest.binary_search_by_key(&rule, |(rule, _)| *rule);
                if known.is_ok_and(|place| oldest[place].1 <= at)
                    || !self.plans[rule.0 as usize].selects(&stream.stream)
                {
                    continue;
                }
                match known {
                    Ok(place) => oldest[place].1 = at,
                    Err(place) => oldest.insert(place, (rule, at)),
                }
            }
        }
    }

    pub(crate) fn leaves_out_stream(&self, labels: &Labels) -> bool {
        let mut exclusions = self.exclusions.iter();
        exclusions.any(|exclusion| exclusion.is_whole() && exclusion.concerns(labels))
    }
}

/// What one worker keeps from batch to batch, so that scanning need not allocate. It fits any scanner.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Whose rules the rest is about.
    rules: Option<Arc<RuleSet>>,
    /// What is known about each rule within the batch.
    pub(super) by_rule: Vec<RuleState>,
    /// For each literal of a tier the entry in which it was last found, counted from one; zero is none.
    pub(super) literal_found_in: Vec<u32>,
    /// What the literals found in the entry ask.
    pub(super) asks: Vec<Ask>,
    /// Rules to ask about every line of one stream.
    pub(super) asked: Vec<usize>,
    pub(super) work: Work,
    pub(super) keys: Keys,
    pub(super) concerned: Concerned,
    /// For each rule how many lines it was asked about, and how long that took.
    pub(super) ledger: Ledger,
}

/// Which exclusions concern the stream that was last hit.
#[derive(Debug, Default)]
pub(super) struct Concerned {
    pub(super) stream: Option<usize>,
    by: Vec<usize>,
}

/// What is known about a rule within a batch.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RuleState {
    /// The stream that its selector was last asked about, counted from one; zero is none.
    pub(super) stream: u32,
    /// Whether it selects that stream.
    pub(super) selected: bool,
}

impl Scratch {
    /// One that times some of the questions to rules by `clock`.
    #[must_use]
    pub fn timed_by(clock: fn() -> Instant) -> Self {
        Self {
            ledger: Ledger::new(0, Some(clock)),
            ..Self::default()
        }
    }

    /// Tells `tell` of every rule that had candidates since the last call, and what these cost.
    pub fn take_spent(&mut self, tell: impl FnMut(RuleIndex, Spent)) {
        self.ledger.take(tell);
    }

    fn begin(&mut self, scanner: &Scanner) {
        let known = self.rules.as_ref();
        if !known.is_some_and(|rules| Arc::ptr_eq(rules, &scanner.rules)) {
            *self = Self {
                rules: Some(Arc::clone(&scanner.rules)),
                ledger: Ledger::new(scanner.plans.len(), self.ledger.clock),
                ..Self::default()
            };
        }
        self.by_rule.clear();
        self.by_rule
            .resize(scanner.plans.len(), RuleState::default());
        self.keys.begin(scanner.readings);
        self.work.caches.begin();
        self.concerned = Concerned::default();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::literals::LONGER;
    use super::super::testing::{Sent, any_of, batch, labels, rule, rule_set, text};
    use super::*;
    use crate::rules::{
        Comparison, Decimal, LoadOptions, Matcher, Rule, Selector, Spike, Test, builtin, load,
    };

    /// A rule that compares the streams whose `app` is `app` with their past.
    fn spike(id: &str, app: &str) -> Rule {
        let test = Test::Equal(app.to_owned());
        Rule {
            selector: Selector(vec![Matcher {
                name: "app".to_owned(),
                test,
            }]),
            condition: Condition::Spike(Spike {
                comparison: Comparison::AtLeast,
                factor: Decimal {
                    millionths: 3 * Decimal::ONE,
                },
                window: Duration::from_secs(300),
                past: Duration::from_secs(3600),
                min_count: 20,
            }),
            ..rule(id, any_of([text("quota exceeded")]))
        }
    }

    /// One shorter text, whosever it is, narrows the stride for all lines.
    #[test]
    fn the_rules_that_ship_look_for_no_text_that_narrows_the_stride() {
        let rules = load(&builtin(), &LoadOptions::default()).set;
        let rules = Arc::new(rules.expect("they are valid"));
        let scanner = Scanner::new(Arc::clone(&rules));
        let short: Vec<_> = (rules.rules.iter().zip(scanner.literals()))
            .flat_map(|(rule, literals)| literals.into_iter().map(|literal| (&*rule.id, literal)))
            .filter(|(_, literal)| literal.len() < LONGER)
            .map(|(rule, literal)| format!("{rule}: {:?}", String::from_utf8_lossy(literal)))
            .collect();
        assert!(short.is_empty(), "{short:#?}");
    }

    // SEMANTICS 13
    #[test]
    fn a_rule_with_a_past_is_told_the_oldest_entry_of_its_streams_whether_that_matches_or_not() {
        let rules = rule_set([
            rule("a", any_of([text("quota exceeded")])),
            spike("b", "db"),
            spike("c", "web"),
            spike("d", "none"),
        ]);
        let lines = |count| vec![Sent::from("nothing"); count];
        let mut batch = batch(
            &[
                (labels(&[("app", "web")]), lines(3)),
                (labels(&[("app", "db")]), lines(2)),
                (labels(&[("app", "web"), ("pod", "x")]), lines(2)),
            ],
            "",
        );
        for (entry, at) in batch.entries.iter_mut().zip([50, 40, 60, 70, 80, 30, 90]) {
            entry.at = Timestamp::new(at);
        }
        let scanner = Scanner::new(rules);
        let (b, c) = (RuleIndex(1), RuleIndex(2));
        let tenant = Arc::from("t");
        let whole = scanner.scan_whole(&batch, &tenant, &mut Scratch::default());
        let oldest = [(b, Timestamp::new(70)), (c, Timestamp::new(30))];
        assert_eq!(whole.progress.oldest, oldest);
        assert_eq!(whole.progress.times.len(), 7);

        // In pieces, in any order, it comes to the same.
        let mut pieces = Vec::new();
        for piece in [4..7, 0..0, 0..2, 2..4] {
            scanner.note_oldest(&batch, piece, &mut pieces);
        }
        assert_eq!(pieces, oldest);
        let mut some = Vec::new();
        scanner.note_oldest(&batch, 1..3, &mut some);
        assert_eq!(some, [(c, Timestamp::new(40))]);

        let db = Exclusion::parse("app=db").expect("a selector");
        let quoting = Exclusion::parse("app=web |= \"query=\"").expect("both");
        let scanner = Scanner::new(Arc::clone(scanner.rules())).excluding(vec![db, quoting]);
        let whole = scanner.scan_whole(&batch, &tenant, &mut Scratch::default());
        assert_eq!(whole.progress.oldest, [(c, Timestamp::new(30))]);
    }
}
