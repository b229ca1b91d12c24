//! What each rule costs: how many lines it was asked about, and about how long that took.
//!
//! Time is sampled. Two looks at a clock take some fifty nanoseconds, a question to a rule often little more, so one question in
//! [`EVERY`] is timed and stands for all of them. [`EVERY`] is a prime, so that lines that come in turns are not always timed in the same
//! one. The first that is timed is not the first that is asked: that one builds the automaton, and would stand for others that do not.
//! A rule that was asked less often has no time, and takes none that anybody would look for.
//!
//! The clock is told: without one nothing is timed, and the room reads none.

use std::time::{Duration, Instant};

use crate::hit::RuleIndex;

/// One question in so many is timed.
const EVERY: u32 = 61;

/// What a rule has cost since that was last taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// Lines that hold one of its literals, or all lines of its streams if it has none. Far more of them than hits mean that its literals
    /// are too common.
    pub candidates: u64,
    /// About how long they were looked at closely. Zero as long as no question was timed.
    pub time: Duration,
}

/// What the rules of a scanner have cost.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Reads the time; none is read without it.
    pub(super) clock: Option<fn() -> Instant>,
    by_rule: Vec<Account>,
}

#[derive(Debug, Clone, Copy)]
struct Account {
    candidates: u64,
    /// How long the timed questions took.
    timed: Duration,
    /// Questions until the next that is timed.
    left: u32,
}

impl Ledger {
    /// An empty one for `rules` rules.
    pub(super) fn new(rules: usize, clock: Option<fn() -> Instant>) -> Self {
        let account = Account {
            candidates: 0,
            timed: Duration::ZERO,
            left: EVERY / 2,
        };
        Self {
            clock,
            by_rule: vec![account; rules],
        }
    }

    /// The rule at place `rule` has `count` candidates more.
    pub(super) fn count(&mut self, rule: usize, count: u64) {
        self.by_rule[rule].candidates += count;
    }

    /// The rule at place `rule` is about to be asked: when that is, if this question is timed.
    pub(super) fn begin(&mut self, rule: usize) -> Option<Instant> {
        let clock = self.clock?;
        let account = &mut self.by_rule[rule];
        if account.left > 0 {
            account.left -= 1;
            return None;
        }
        account.left = EVERY - 1;
        Some(clock())
    }

    /// The question to the rule at place `rule` that was begun at `began` is answered.
    pub(super) fn end(&mut self, rule: usize, began: Instant) {
        if let Some(clock) = self.clock {
            self.by_rule[rule].timed += clock().saturating_duration_since(began);
        }
    }

    /// Tells `tell` of every rule that had candidates since the last call.
    pub(super) fn take(&mut self, mut tell: impl FnMut(RuleIndex, Spent)) {
        for (place, account) in self.by_rule.iter_mut().enumerate() {
            if account.candidates > 0 {
                let spent = Spent {
                    candidates: std::mem::take(&mut account.candidates),
                    time: std::mem::take(&mut account.timed).saturating_mul(EVERY),
                };
                tell(RuleIndex(place as u32), spent);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::OnceLock;

    use super::*;

    thread_local! {
        static MILLIS: Cell<u64> = const { Cell::new(0) };
    }

    /// Each look at it is a millisecond after the one before.
    fn ticking() -> Instant {
        static BEGIN: OnceLock<Instant> = OnceLock::new();
        MILLIS.set(MILLIS.get() + 1);
        *BEGIN.get_or_init(Instant::now) + Duration::from_millis(MILLIS.get())
    }

    fn ask(ledger: &mut Ledger, rule: usize, times: u32) {
        for _ in 0..times {
            ledger.count(rule, 1);
            if let Some(began) = ledger.begin(rule) {
                ledger.end(rule, began);
            }
        }
    }

    fn taken(ledger: &mut Ledger) -> Vec<(u32, u64, u128)> {
        let mut all = Vec::new();
        ledger.take(|rule, spent| all.push((rule.0, spent.candidates, spent.time.as_millis())));
        all
    }

    #[test]
    fn one_question_in_sixty_one_is_timed_and_stands_for_all() {
        let mut ledger = Ledger::new(3, Some(ticking));
        ask(&mut ledger, 0, 30);
        assert_eq!(taken(&mut ledger), [(0, 30, 0)]);
        ask(&mut ledger, 0, 1);
        ask(&mut ledger, 2, 30 + 61 + 1);
        assert_eq!(taken(&mut ledger), [(0, 1, 61), (2, 92, 122)]);
        // How far it has come is not forgotten between batches.
        ask(&mut ledger, 0, 60);
        assert_eq!(taken(&mut ledger), [(0, 60, 0)]);
        ask(&mut ledger, 0, 1);
        assert_eq!(taken(&mut ledger), [(0, 1, 61)]);
        assert_eq!(taken(&mut ledger), []);
    }

    #[test]
    fn without_a_clock_nothing_is_timed() {
        let mut ledger = Ledger::new(1, None);
        ask(&mut ledger, 0, 1000);
        assert_eq!(taken(&mut ledger), [(0, 1000, 0)]);
    }
}
