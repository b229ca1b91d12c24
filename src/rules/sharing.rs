//! Lines that several rules match: what the example lines of a set say about the rules that they do not belong to.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::condition::Condition;
use super::lint::{Settled, apart};
use super::load::Example;
use super::model::{Exclude, Rule, RuleSet};
use super::problem::{Code, Problem, SourceText};
use super::read::Draft;
use crate::hit::RuleIndex;

/// Most pairs of rules that are reported.
const SHARED_MAX: usize = 100;
/// Most pairs of rules that are looked at: some tenths of a second.
const LOOKED_AT_MAX: usize = 1_000_000;

/// What is known about lines that several rules match before any line has been tried.
#[derive(Debug, Default)]
pub struct Sharing {
    /// Pairs of ids, in order, of which it was told that they overlap.
    told: HashSet<(String, String)>,
    /// For the id of each rule that allows it the place in `in_vain` of what it would have allowed for nothing.
    allowed: HashMap<String, usize>,
    /// `None` for rules that ship and that no file asked for: nobody need be told of those.
    in_vain: Vec<Option<Problem>>,
}

impl Sharing {
    pub(super) fn new(settled: Settled, drafts: &[(usize, Draft)], sources: &[SourceText]) -> Self {
        let id = |place: usize| drafts[place].1.rule.id.clone();
        let mut sharing = Self::default();
        let told = settled.overlapping.into_iter();
        sharing.told.extend(told.map(|(a, b)| pair(id(a), id(b))));
        for (file, fault, places) in settled.sharing {
            let next = sharing.in_vain.len();
            let source = sources.get(file);
            let problem = source.map(|source| Problem::new(source, fault));
            sharing.in_vain.push(problem);
            let ids = places.into_iter().map(|place| (id(place), next));
            sharing.allowed.extend(ids);
        }
        sharing
    }

    /// Warnings about lines of `catches` that another rule matches too, each pair of rules once, and about what was allowed in
    /// vain. `matching` tells for each of `examples` the rules of `set` whose `match` it fulfils, whatever their streams.
    ///
    /// At most a hundred pairs are reported, and a million looked at: rules that share their lines come in bunches, and a hundred
    /// copies of one rule are five thousand pairs.
    ///
    /// # Panics
    /// If `matching` is shorter than `examples`, or names a rule of another set.
    #[must_use]
    pub fn problems(
        &self,
        set: &RuleSet,
        examples: &[Example],
        matching: &[Arc<[RuleIndex]>],
    ) -> Vec<Problem> {
        let mut problems = Vec::new();
        let index = |id: &str| Some(set.find(id)?.0);
        let told = self.told.iter();
        let told = told.filter_map(|(a, b)| Some(pair(index(a)?, index(b)?)));
        let mut told: HashSet<_> = told.collect();
        let mut needed = HashSet::new();
        let mut looked_at = 0;
        for (example, matching) in examples.iter().zip(matching) {
            let Some((own, rule)) = set.find(&example.rule).filter(|_| example.must_match) else {
                continue;
            };
            looked_at += matching.len();
            if looked_at > LOOKED_AT_MAX {
                // What else is needed is not known.
                return problems;
            }
            let allowed = self.allowed.get(&rule.id);
            for &other in &**matching {
                if other == own || !told.insert(pair(own, other)) {
                    continue;
                }
                let other = set.rule(other);
                if !one_cause(rule, other) {
                    continue;
                }
                match allowed {
                    Some(allow) => {
                        needed.insert(*allow);
                    }
                    None if problems.len() == SHARED_MAX => {}
                    None => problems.push(Problem {
                        level: Code::SharedLine.level(),
                        code: Code::SharedLine,
                        message: format!(
                            "`{}` matches this line of `{}` too: two findings for one cause",
                            other.id, rule.id
                        ),
                        help: Some(format!(
                            "in `{}` write `none: [{{rule: {}}}]`, or tell their streams apart",
                            other.id, rule.id
                        )),
                        ..example.problem()
                    }),
                }
            }
        }
        let in_vain = self.in_vain.iter().enumerate();
        problems.extend(
            in_vain
                .filter(|(place, _)| !needed.contains(place))
                .filter_map(|(_, problem)| problem.clone()),
        );
        problems
    }
}

/// Whether a line that both match makes two findings of one cause. What counts shares or different values, or waits for what does
/// not come, reads the lines of other rules on purpose.
fn one_cause(rule: &Rule, other: &Rule) -> bool {
    let counts = |rule: &Rule| matches!(rule.condition, Condition::Count(_));
    let leaves = |rule: &Rule, to: &Rule| {
        let mut none = rule.matches.none.iter();
        none.any(|exclude| matches!(exclude, Exclude::Rule(id) if *id == to.id))
    };
    counts(rule)
        && counts(other)
        && !leaves(rule, other)
        && !leaves(other, rule)
        && !apart(&rule.selector, &other.selector)
}

fn pair<T: PartialOrd>(a: T, b: T) -> (T, T) {
    if a <= b { (a, b) } else { (b, a) }
}
