//! A rule prepared for the scanner, and the rules that are searched for together.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::confirm::{Confirm, Name, Searchers, Work};
use super::hits::Readings;
use super::line::Line;
use super::literals::{self, Cue, LONG, Literal};
use super::matcher;
use super::needles::{Needed, Needles};
use super::search::Search;
use crate::batch::Stream;
use crate::hit::{Parts, Role};
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
    /// Its [`Rule::parts`].
    parts: Vec<Wanted>,
    recovers: Option<Wanted>,
    /// Its [`Rule::escalating_matches`].
    escalates: Vec<Confirm>,
    /// How many parts, the first ones, make a line the rule's own; one after them only counts in a denominator.
    own_parts: usize,
    /// In which tier its literals are, if it has some.
    tier: Option<usize>,
}

/// A prepared `match`, and the names that its hits need.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Its number among those of its rule.
    pub(super) number: usize,
    /// Whether it only counts in a denominator, so that its hits take along nothing but their key.
    pub(super) is_denominator: bool,
    pub(super) confirm: Confirm,
    pub(super) by: Vec<Name>,
    /// By which of the scanner's [`Readings`] they make a key.
    pub(super) reading: usize,
    pub(super) values: Vec<Name>,
    pub(super) summary: Vec<Name>,
}

/// What a line means to a rule.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judged<'p> {
    pub(super) role: Role,
    pub(super) parts: Parts,
    /// The first match that it fulfils: names are read by that.
    pub(super) wanted: &'p Wanted,
}

impl Plan {
    pub(super) fn new(
        rule: &Arc<Rule>,
        rules: &RuleSet,
        searchers: &mut Searchers,
        readings: &mut Readings,
    ) -> Self {
        let own_parts = rule.own_parts().len();
        let mut wanted = |number: usize, wanted: &Match| {
            let mut confirm = Confirm::new(wanted, rule.parse, rules, searchers);
            let names = |names: &[String]| -> Vec<_> {
                names.iter().map(|name| confirm.name(name)).collect()
            };
            let by = names(&rule.by);
            let values = names(&rule.values);
            let summary = names(rule.summary_names());
            confirm.capture_for(by.iter().chain(&values).chain(&summary));
            Wanted {
                number,
                is_denominator: false,
                confirm,
                reading: readings.number(rule.parse, &by),
                by,
                values,
                summary,
            }
        };
        let parts = rule.parts().into_iter().enumerate();
        let parts: Vec<_> = parts
            .map(|(number, part)| Wanted {
                is_denominator: number >= own_parts,
                ..wanted(number, part)
            })
            .collect();
        let recovers = matcher::recovery(rule).map(|when| wanted(parts.len(), when));
        let escalates = rule
            .escalating_matches()
            .map(|matches| Confirm::new(matches, rule.parse, rules, searchers))
            .collect();
        Self {
            parts,
            recovers,
            escalates,
            own_parts,
            tier: None,
            rule: Arc::clone(rule),
        }
    }

    /// Whether the rule reads `stream`.
    pub(super) fn selects(&self, stream: &Stream) -> bool {
        self.rule.reads(&stream.labels)
    }

    /// What is known of `wanted`, a match of the rule, which is at place `this`, from what its literals ask.
    pub(super) fn cues<'a>(
        &self,
        this: usize,
        wanted: &Wanted,
        raised: Raised<'a>,
    ) -> Option<&'a [Ask]> {
        raised.by(this, self.tier).map(|asks| wanted.cues(asks))
    }

    /// What `line` means to the rule, which is at place `this` of `plans`, those of all rules.
    pub(super) fn judge(
        &self,
        this: usize,
        plans: &[Self],
        line: &Line<'_>,
        raised: Raised<'_>,
        work: &mut Work,
    ) -> Option<Judged<'_>> {
        let asks = raised.by(this, self.tier);
        let mut fulfilled = |wanted: &Wanted| wanted.is_fulfilled(asks, plans, line, raised, work);
        if let Some(recovers) = &self.recovers
            && fulfilled(recovers)
        {
            return Some(Judged {
                role: Role::Recovery,
                parts: Parts::default(),
                wanted: recovers,
            });
        }
        let mut parts = Parts::default();
        let mut first = None;
        for wanted in &self.parts {
            if fulfilled(wanted) {
                parts = parts.with(wanted.number);
                first = first.or(Some(wanted));
            }
        }
        let wanted = first?;
        if !wanted.is_denominator {
            for (n, confirm) in self.escalates.iter().enumerate() {
                if is_fulfilled(confirm, None, plans, line, raised, work) {
                    parts = parts.with(Parts::MAX + n);
                }
            }
        }
        Some(Judged {
            role: Role::Match,
            parts,
            wanted,
        })
    }

    /// Whether `line` is one of the rule's own, which spoils it for those that leave such lines to this rule.
    fn owns(
        &self,
        this: usize,
        plans: &[Self],
        line: &Line<'_>,
        raised: Raised<'_>,
        work: &mut Work,
    ) -> bool {
        let asks = raised.by(this, self.tier);
        self.parts[..self.own_parts]
            .iter()
            .any(|wanted| wanted.is_fulfilled(asks, plans, line, raised, work))
    }
}

impl Wanted {
    /// Those of `asks`, of its rule, that are about it. They are in order, so these are neighbours.
    pub(super) fn cues<'a>(&self, asks: &'a [Ask]) -> &'a [Ask] {
        let first = asks.partition_point(|ask| ask.wanted < self.number);
        let count = asks[first..].partition_point(|ask| ask.wanted == self.number);
        &asks[first..first + count]
    }

    /// Whether `line` fulfils it; `asks` are those of its rule, if they are known.
    fn is_fulfilled(
        &self,
        asks: Option<&[Ask]>,
        plans: &[Plan],
        line: &Line<'_>,
        raised: Raised<'_>,
        work: &mut Work,
    ) -> bool {
        let cues = asks.map(|asks| self.cues(asks));
        // Every line that fulfils it holds one of its literals.
        if cues.is_some_and(<[Ask]>::is_empty) {
            return false;
        }
        is_fulfilled(&self.confirm, cues, plans, line, raised, work)
    }
}

fn is_fulfilled(
    confirm: &Confirm,
    cues: Option<&[Ask]>,
    plans: &[Plan],
    line: &Line<'_>,
    raised: Raised<'_>,
    work: &mut Work,
) -> bool {
    let spoilt = |rule: usize, work: &mut Work| plans[rule].owns(rule, plans, line, raised, work);
    confirm.fulfilled(line, cues, &spoilt, work)
}

/// What a literal in a line asks of a rule: whether one of its matches is fulfilled, by one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ask {
    /// The rule's place.
    pub(super) rule: usize,
    /// Number of the match among those of the rule.
    pub(super) wanted: usize,
    pub(super) cue: Cue,
    /// What the line needs besides, by the tier's [`Needles`].
    pub(super) needed: Needed,
}

/// What a sweep has found in a line before rules are asked about it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Raised<'a> {
    /// The line was not searched: anything may be there.
    Unknown,
    /// These asks, in order. Of the matches of this tier's rules no other can be fulfilled, and by no other item.
    In { tier: usize, asks: &'a [Ask] },
}

impl<'a> Raised<'a> {
    /// What is asked of the rule at place `rule`, whose literals are in `tier`; `None` if that is not known.
    fn by(self, rule: usize, tier: Option<usize>) -> Option<&'a [Ask]> {
        match self {
            Self::In { tier: of, asks } if tier == Some(of) => {
                let first = asks.partition_point(|ask| ask.rule < rule);
                let count = asks[first..].partition_point(|ask| ask.rule == rule);
                Some(&asks[first..first + count])
            }
            Self::Unknown | Self::In { .. } => None,
        }
    }
}

/// Rules that share a sweep.
#[derive(Debug)]
pub(super) struct Tier {
    pub(super) search: Search,
    pub(super) literals: Vec<Literal>,
    /// What each literal asks when it is found.
    pub(super) asks: Vec<Box<[Ask]>>,
    pub(super) needles: Needles,
}

/// What rules require that share a tier.
#[derive(Debug, Default)]
pub(super) struct Required {
    literals: FxHashMap<Literal, Vec<Ask>>,
    needles: Needles,
}

impl Required {
    /// What `rules` require, by tier: long literals and short ones; and the cost of each rule. Nobody looks for literals in expressions
    /// afterwards.
    pub(super) fn of(rules: &RuleSet) -> ([(Self, Cost); 2], Vec<Cost>) {
        let mut costs = Vec::with_capacity(rules.rules.len());
        let mut long = Self::default();
        let mut short = Self::default();
        for (place, rule) in rules.rules.iter().enumerate() {
            if rule.is_own() || rule.parts().is_empty() {
                // No line matches it, so none is looked at for it.
                costs.push(Cost::LongLiterals);
                continue;
            }
            let Some(required) = literals::of_rule(rule) else {
                costs.push(Cost::EveryLine);
                continue;
            };
            // All of a rule's literals share a tier, so that a sweep alone decides which entries it was asked about.
            let mut all = required.iter().flatten();
            let (of_tier, cost) = if all.all(|(literal, _)| literal.bytes.len() >= LONG) {
                (&mut long, Cost::LongLiterals)
            } else {
                (&mut short, Cost::ShortLiterals)
            };
            costs.push(cost);
            let matches = literals::matches_of(rule);
            for (wanted, (literals, matches)) in required.into_iter().zip(matches).enumerate() {
                for (literal, cue) in literals {
                    let needed = of_tier.needles.add(matches, &literal, cue);
                    let asks = of_tier.literals.entry(literal).or_default();
                    asks.push(Ask {
                        rule: place,
                        wanted,
                        cue,
                        needed,
                    });
                }
            }
        }
        let required = [(long, Cost::LongLiterals), (short, Cost::ShortLiterals)];
        (required, costs)
    }
}

impl Tier {
    /// A tier for each of `required` that has rules, and tells `plans`, whose costs are `costs`, which is theirs.
    pub(super) fn build(
        required: [(Required, Cost); 2],
        plans: &mut [Plan],
        costs: &[Cost],
    ) -> Vec<Self> {
        let tiers = required
            .into_iter()
            .filter(|(required, _)| !required.literals.is_empty());
        let tiers = tiers.enumerate().map(|(number, (required, cost))| {
            for (plan, of_plan) in plans.iter_mut().zip(costs) {
                plan.tier = plan.tier.or((*of_plan == cost).then_some(number));
            }
            Self::new(required)
        });
        tiers.collect()
    }

    fn new(Required { literals, needles }: Required) -> Self {
        let mut literals: Vec<_> = literals.into_iter().collect();
        literals.sort_unstable();
        let asks = literals.iter().map(|(_, asks)| asks.as_slice().into());
        let asks = asks.collect();
        let literals: Vec<_> = literals.into_iter().map(|(literal, _)| literal).collect();
        Self {
            search: Search::new(&literals),
            literals,
            asks,
            needles,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::super::properties::{naive, scanned};
    use super::super::testing::{Sent, any_of, batch, labels, regex, rule, rule_set, text};
    use super::super::{Scanner, Scratch};
    use super::*;
    use crate::hit::{Hit, RuleIndex};
    use crate::rules::{
        Absent, Comparison, Condition, Correlate, Decimal, EscalateWhen, Escalation, Exclude, Part,
        Ratio, Recover, Sequence, Severity, Step, Summary,
    };

    const MINUTE: Duration = Duration::from_secs(60);

    fn ratio(total: Option<Match>) -> Condition {
        Condition::Ratio(Ratio {
            comparison: Comparison::Above,
            percent: Decimal { millionths: 5 },
            window: MINUTE,
            total: total.map(Box::new),
            min_count: 20,
        })
    }

    fn sequence(steps: impl IntoIterator<Item = Match>, absent: Option<Match>) -> Condition {
        let steps = steps.into_iter().map(|matches| Step {
            matches,
            count: NonZeroU32::MIN,
        });
        Condition::Sequence(Sequence {
            within: MINUTE,
            steps: steps.collect(),
            absent: absent.map(Box::new),
        })
    }

    fn with(condition: Condition, rule: Rule) -> Rule {
        Rule { condition, ..rule }
    }

    /// The hits on `lines` of the stream `{app="web"}`, which are those that plain matching finds, too.
    #[track_caller]
    fn hits(rules: &Arc<RuleSet>, lines: &[&str]) -> Vec<Hit> {
        let lines = lines.iter().copied().map(Sent::from).collect();
        let batch = batch(&[(labels(&[("app", "web")]), lines)], "");
        let hits = scanned(
            &Scanner::new(rules.clone()),
            &mut Scratch::default(),
            &batch,
        );
        assert_eq!(hits, naive(rules, &batch));
        hits
    }

    /// Which line hit, as what, and which parts it fulfils.
    fn told(hits: &[Hit]) -> Vec<(i64, Role, u32)> {
        let told = |hit: &Hit| (hit.at.nanos(), hit.role, hit.parts.0);
        hits.iter().map(told).collect()
    }

    #[test]
    fn an_entry_counts_in_a_ratio_s_numerator_denominator_or_both_and_the_denominator_copies_no_line()
     {
        let mut rule = with(
            ratio(Some(any_of([text("status=")]))),
            rule("r", any_of([text("status=5"), text("panic: ")])),
        );
        rule.by = vec!["app".to_owned()];
        rule.values = vec!["status".to_owned()];
        rule.summary = Some(Summary {
            parts: Vec::new(),
            captures: vec!["status".to_owned()],
        });
        let found = hits(
            &rule_set([rule]),
            &["status=503", "status=200", "panic: oh", "other"],
        );
        assert_eq!(
            told(&found),
            [
                (1, Role::Match, 0b11),
                (2, Role::Match, 0b10),
                (3, Role::Match, 0b01)
            ]
        );
        let keys: Vec<&str> = found
            .iter()
            .map(|hit| hit.key.get(0).expect("a value"))
            .collect();
        assert_eq!(keys, ["web"; 3]);
        let lines: Vec<_> = found.iter().map(|hit| &*hit.line).collect();
        assert_eq!(lines, [&b"status=503"[..], b"", b"panic: oh"]);
        let values: Vec<_> = found.iter().map(|hit| &*hit.values[0]).collect();
        assert_eq!(values, ["503", "", ""]);
        let captures: Vec<_> = found.iter().map(|hit| hit.captures.len()).collect();
        assert_eq!(captures, [1, 0, 1]);
    }

    // SEMANTICS 12
    #[test]
    fn without_a_total_every_line_of_the_selector_counts_in_the_denominator() {
        let rules = rule_set([with(
            ratio(None),
            rule("r", any_of([text("quota exceeded")])),
        )]);
        assert_eq!(
            Scanner::new(rules.clone()).cost(RuleIndex(0)),
            Cost::EveryLine
        );
        assert_eq!(
            told(&hits(&rules, &["quota exceeded", "", "x"])),
            [
                (1, Role::Match, 0b11),
                (2, Role::Match, 0b10),
                (3, Role::Match, 0b10)
            ]
        );
    }

    #[test]
    fn each_step_of_a_sequence_has_captures_of_its_own_and_the_first_fulfilled_one_decides() {
        let steps = [
            any_of([regex(r"Failed password for (?P<user>\w+)")]),
            any_of([regex(
                r"Accepted password for (?P<user>\w+)( via (?P<app>\w+))?",
            )]),
        ];
        let mut rule = with(
            sequence(steps, Some(any_of([text("session closed")]))),
            rule("r", Match::default()),
        );
        rule.by = vec!["user".to_owned(), "app".to_owned()];
        let rules = rule_set([rule]);
        assert_eq!(
            Scanner::new(rules.clone()).cost(RuleIndex(0)),
            Cost::LongLiterals
        );
        let found = hits(
            &rules,
            &[
                "Failed password for bob",
                "Accepted password for eve via ssh",
                "Accepted password for eve, Failed password for bob",
                "session closed",
                "nothing",
            ],
        );
        assert_eq!(
            told(&found),
            [
                (1, Role::Match, 0b001),
                (2, Role::Match, 0b010),
                (3, Role::Match, 0b011),
                (4, Role::Match, 0b100)
            ]
        );
        let keys: Vec<(&str, &str)> = found
            .iter()
            .map(|hit| {
                (
                    hit.key.get(0).expect("a value"),
                    hit.key.get(1).expect("a value"),
                )
            })
            .collect();
        assert_eq!(
            keys,
            [("bob", "web"), ("eve", "ssh"), ("bob", "web"), ("", "web")]
        );
    }

    #[test]
    fn an_absent_rule_without_match_is_hit_by_every_line_and_a_rule_on_findings_by_none() {
        let absent = Condition::Absent(Absent {
            span: MINUTE,
            expect: Vec::new(),
            forget: None,
        });
        let absent = rule_set([with(absent, rule("r", Match::default()))]);
        assert_eq!(hits(&absent, &["x", ""]).len(), 2);

        let correlate = Condition::Correlate(Correlate {
            within: MINUTE,
            all: vec![Part::Rule("other".to_owned())],
            any: Vec::new(),
            none: Vec::new(),
            at_least: 0,
            hides: false,
        });
        let mut correlate = with(correlate, rule("r", Match::default()));
        correlate.recover = Recover::Match {
            after: None,
            when: Box::default(),
        };
        let rules = rule_set([correlate]);
        let scanner = Scanner::new(rules.clone());
        assert_eq!(scanner.cost(RuleIndex(0)), Cost::LongLiterals);
        assert_eq!(hits(&rules, &["x", ""]), []);
    }

    // SEMANTICS 25
    #[test]
    fn an_escalating_match_is_told_of_matches_and_of_nothing_else() {
        let escalation = |matches| Escalation {
            to: Severity::Critical,
            when: EscalateWhen::Match(Box::new(matches)),
        };
        let after = Escalation {
            to: Severity::Critical,
            when: EscalateWhen::After(MINUTE),
        };
        let mut rule = rule("r", any_of([text("quota exceeded")]));
        rule.escalate = vec![
            escalation(any_of([text("core")])),
            after,
            escalation(any_of([text("quota")])),
        ];
        let lines = ["core quota exceeded", "quota exceeded", "core quota"];
        assert_eq!(
            told(&hits(&rule_set([rule.clone()]), &lines)),
            [(1, Role::Match, 0x3_0001), (2, Role::Match, 0x2_0001)]
        );
        rule.condition = ratio(None);
        assert_eq!(
            told(&hits(&rule_set([rule.clone()]), &lines)),
            [
                (1, Role::Match, 0x3_0003),
                (2, Role::Match, 0x2_0003),
                (3, Role::Match, 2)
            ]
        );
        rule.recover = Recover::Match {
            after: None,
            when: Box::new(any_of([text("core quota")])),
        };
        assert_eq!(
            told(&hits(&rule_set([rule]), &lines)),
            [
                (1, Role::Recovery, 0),
                (2, Role::Match, 0x2_0003),
                (3, Role::Recovery, 0)
            ]
        );
    }

    // SEMANTICS 31
    #[test]
    fn a_general_rule_leaves_to_a_specific_one_what_is_its_own() {
        let general = |other: Condition, matches: Match| {
            let mut general = rule("general", any_of([text("failed")]));
            general.matches.none = vec![Exclude::Rule("specific".to_owned())];
            let rules = rule_set([general, with(other, rule("specific", matches))]);
            let found = hits(&rules, &["failed a", "failed b", "failed c", "failed d"]);
            let of_general = found.iter().filter(|hit| hit.rule == RuleIndex(0));
            of_general.map(|hit| hit.at.nanos()).collect::<Vec<_>>()
        };
        let a = || any_of([text("failed a")]);
        let b = || any_of([text("failed b")]);
        let c = || any_of([text("failed c")]);
        let steps = sequence([a(), b()], Some(c()));
        assert_eq!(general(steps, Match::default()), [4]);
        // What only counts in a denominator is not the ratio's own.
        assert_eq!(general(ratio(Some(b())), a()), [2, 3, 4]);
        assert_eq!(general(ratio(None), a()), [2, 3, 4]);
    }
}
