//! A rule prepared for the scanner, and the rules that are searched for together.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::confirm::{Confirm, Name, SearcherCount, Work};
use super::line::Line;
use super::literals::{self, LONG, Literal};
use super::matcher;
use super::search::Search;
use crate::batch::Stream;
use crate::hit::Role;
use crate::rules::{Match, Rule, RuleSet};

/// How a rule is looked for, from cheap to dear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cost {
    /// By literals of eight bytes or more: costs hardly anything until they occur.
    LongLiterals,
    /// By literals of four to seven bytes: the first such rule costs a second, denser sweep over every block.
    ShortLiterals,
    /// It is asked about each line of the streams that it selects.
    EveryLine,
}

/// A prepared rule.
#[derive(Debug)]
pub(super) struct Plan {
    rule: Arc<Rule>,
    pub(super) matches: Wanted,
    recovers: Option<Wanted>,
    /// A line that contains one of the rule's literals matches: there is nothing else to ask.
    pub(super) literal_decides: bool,
}

/// A prepared `match`, and the names that its hits need.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) confirm: Confirm,
    pub(super) by: Vec<Name>,
    pub(super) summary: Vec<Name>,
}

impl Plan {
    pub(super) fn new(rule: &Arc<Rule>, rules: &RuleSet, searchers: &mut SearcherCount) -> Self {
        let mut wanted = |wanted: &Match| {
            let confirm = Confirm::new(wanted, rule.parse, rules, searchers);
            let names = |names: &[String]| names.iter().map(|name| confirm.name(name)).collect();
            let summary = rule.summary.as_ref();
            Wanted {
                by: names(&rule.by),
                summary: summary.map_or_else(Vec::new, |summary| names(&summary.captures)),
                confirm,
            }
        };
        Self {
            matches: wanted(&rule.matches),
            recovers: matcher::recovery(rule).map(wanted),
            literal_decides: literals::decide(rule),
            rule: Arc::clone(rule),
        }
    }

    /// Whether the rule reads `stream`.
    pub(super) fn selects(&self, stream: &Stream) -> bool {
        let Rule {
            selector, unless, ..
        } = &*self.rule;
        let left_out = unless
            .as_ref()
            .is_some_and(|unless| unless.selects(&stream.labels));
        selector.selects(&stream.labels) && !left_out
    }

    /// What `line` means to the rule, with the names to read it by. `plans` are those of all rules.
    pub(super) fn judge(
        &self,
        plans: &[Self],
        line: &Line<'_>,
        work: &mut Work,
    ) -> Option<(Role, &Wanted)> {
        let rule_match = |place: usize| &plans[place].matches.confirm;
        let mut fulfilled = |wanted: &Wanted| wanted.confirm.fulfilled(line, &rule_match, work);
        if let Some(recovers) = &self.recovers
            && fulfilled(recovers)
        {
            return Some((Role::Recovery, recovers));
        }
        fulfilled(&self.matches).then_some((Role::Match, &self.matches))
    }
}

/// Rules that share a sweep.
#[derive(Debug)]
pub(super) struct Tier {
    pub(super) search: Search,
    pub(super) literals: Vec<Literal>,
    /// For each literal the places of the rules that require it.
    pub(super) wanted_by: Vec<Vec<usize>>,
}

impl Tier {
    /// Sorts rules into tiers by what they require: one for long literals and one for short ones, where there are such rules.
    /// Tells the cost of each rule.
    pub(super) fn sort(rules: &RuleSet) -> (Vec<Self>, Vec<Cost>) {
        let mut costs = Vec::with_capacity(rules.rules.len());
        let mut long = FxHashMap::default();
        let mut short = FxHashMap::default();
        for (place, rule) in rules.rules.iter().enumerate() {
            if rule.is_own() {
                // No line matches it, so none is looked at for it.
                costs.push(Cost::LongLiterals);
                continue;
            }
            let Some(literals) = literals::of_rule(rule) else {
                costs.push(Cost::EveryLine);
                continue;
            };
            // All of a rule's literals share a tier, so that a sweep alone decides which entries it was asked about.
            let (tier, cost) = if literals.iter().all(|l| l.bytes.len() >= LONG) {
                (&mut long, Cost::LongLiterals)
            } else {
                (&mut short, Cost::ShortLiterals)
            };
            costs.push(cost);
            for literal in literals {
                let wanted_by: &mut Vec<usize> = tier.entry(literal).or_default();
                if wanted_by.last() != Some(&place) {
                    wanted_by.push(place);
                }
            }
        }
        let tiers = [long, short].into_iter().filter(|tier| !tier.is_empty());
        (tiers.map(Self::new).collect(), costs)
    }

    fn new(literals: FxHashMap<Literal, Vec<usize>>) -> Self {
        let mut literals: Vec<_> = literals.into_iter().collect();
        literals.sort_unstable();
        let (literals, wanted_by): (Vec<_>, _) = literals.into_iter().unzip();
        Self {
            search: Search::new(&literals),
            literals,
            wanted_by,
        }
    }
}
