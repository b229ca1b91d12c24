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

use super::confirm::{SearcherCount, Work};
use super::hits::Keys;
use super::line::Line;
use super::pass::Pass;
use super::plan::{Cost, Plan, Tier};
use crate::batch::Batch;
use crate::hit::{Hit, RuleIndex};
use crate::rules::{Exclusion, RuleSet};

/// The rules of a set, prepared for finding their hits in batches. Immutable: all workers share one.
#[derive(Debug)]
pub struct Scanner {
    rules: Arc<RuleSet>,
    costs: Vec<Cost>,
    pub(super) plans: Vec<Plan>,
    pub(super) tiers: Vec<Tier>,
    /// Places of the rules without literals.
    pub(super) every_line: Vec<usize>,
    exclusions: Vec<Exclusion>,
}

impl Scanner {
    /// Prepares `rules`: some microseconds and kilobytes for each.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>) -> Self {
        let mut searchers = SearcherCount::default();
        let plans = rules.rules.iter();
        let plans = plans.map(|rule| Plan::new(rule, &rules, &mut searchers));
        let plans = plans.collect();
        let (tiers, costs) = Tier::sort(&rules);
        let every_line = (0..costs.len()).filter(|&rule| costs[rule] == Cost::EveryLine);
        Self {
            every_line: every_line.collect(),
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

    /// The literals that `rule` is looked for by: every line that it hits contains one. None for [`Cost::EveryLine`].
    pub fn literals(&self, rule: RuleIndex) -> impl Iterator<Item = &[u8]> {
        let place = rule.0 as usize;
        self.tiers.iter().flat_map(move |tier| {
            let literals = tier.literals.iter().zip(&tier.wanted_by);
            literals
                .filter(move |(_, wanted_by)| wanted_by.contains(&place))
                .map(|(literal, _)| &*literal.bytes)
        })
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
}

/// What one worker keeps from batch to batch, so that scanning need not allocate. It fits any scanner.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Whose rules the rest is about.
    rules: Option<Arc<RuleSet>>,
    /// What is known about each rule within the batch.
    pub(super) by_rule: Vec<RuleState>,
    /// For each literal of a tier the entry in which it was last found, as [`RuleState`] counts.
    pub(super) literal_found_in: Vec<u32>,
    /// Rules to ask about every line of one stream.
    pub(super) asked: Vec<usize>,
    pub(super) work: Work,
    pub(super) keys: Keys,
    pub(super) concerned: Concerned,
    /// For each rule how many lines it was asked about.
    pub(super) candidates: Vec<u64>,
}

/// Which exclusions concern the stream that was last hit.
#[derive(Debug, Default)]
pub(super) struct Concerned {
    pub(super) stream: Option<usize>,
    by: Vec<usize>,
}

/// What is known about a rule within a batch. Places are counted from one; zero is none.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RuleState {
    /// The entry that it was last asked about.
    pub(super) asked_about: u32,
    /// The stream that its selector was last asked about.
    pub(super) stream: u32,
    /// Whether it selects that stream.
    pub(super) selected: bool,
}

impl Scratch {
    /// Tells `count` of every rule that had candidates since the last call, and how many: lines that hold one of its literals,
    /// or all lines of its streams if it has none. Far more candidates than hits mean that the literals are too common.
    pub fn take_candidates(&mut self, mut count: impl FnMut(RuleIndex, u64)) {
        for (place, candidates) in self.candidates.iter_mut().enumerate() {
            if *candidates > 0 {
                count(RuleIndex(place as u32), std::mem::take(candidates));
            }
        }
    }

    fn begin(&mut self, scanner: &Scanner) {
        let known = self.rules.as_ref();
        if !known.is_some_and(|rules| Arc::ptr_eq(rules, &scanner.rules)) {
            *self = Self {
                rules: Some(Arc::clone(&scanner.rules)),
                candidates: vec![0; scanner.plans.len()],
                ..Self::default()
            };
        }
        self.by_rule.clear();
        self.by_rule
            .resize(scanner.plans.len(), RuleState::default());
        self.keys.begin(scanner.plans.len());
        self.concerned = Concerned::default();
    }
}
