//! How far a tenant's log has come, and where it was not seen.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// A tenant's clock: the newest entry time seen, and the stretches of event time that nothing is known of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Clock {
    /// The first entry time seen.
    pub(super) started: Timestamp,
    /// The greatest entry time seen.
    pub(super) newest: Timestamp,
    /// Stretches without any entry, `(from, to]`: they add nothing to quiet, nor to `for`. At most [`STRETCHES_MAX`].
    silences: VecDeque<(Timestamp, Timestamp)>,
    /// Stretches in which entries were shed.
    pub(super) losses: Losses,
}

/// Stretches of which something was not seen. At most [`STRETCHES_MAX`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Losses(VecDeque<(Timestamp, Timestamp)>);

impl Losses {
    /// Remembers that entries between `from` and `to` were not inspected.
    pub(super) fn add(&mut self, from: Timestamp, to: Timestamp) {
        match self.0.back_mut() {
            Some(last) if last.1 >= from => last.1 = last.1.max(to),
            _ => remember(&mut self.0, (from, to)),
        }
    }
}

/// How many silences and losses are remembered; older ones matter to nothing that is still open for long.
const STRETCHES_MAX: usize = 256;

impl Clock {
    /// A clock that starts with an entry at `at`.
    pub(super) fn starting(at: Timestamp) -> Self {
        Self {
            started: at,
            newest: at,
            silences: VecDeque::new(),
            losses: Losses::default(),
        }
    }

    /// A clock that stands at `now`; nothing before that was seen.
    pub(super) fn unseen_before(now: Timestamp) -> Self {
        let mut clock = Self::starting(now);
        remember(&mut clock.silences, (Timestamp::MIN, now));
        clock
    }

    /// Moves the clock on to `at`; a jump longer than `silence` is remembered as one. It never goes back.
    pub(super) fn advance(&mut self, at: Timestamp, silence: Option<Duration>) {
        if silence.is_some_and(|longest| at.since(self.newest) > longest) {
            remember(&mut self.silences, (self.newest, at));
        }
        self.newest = self.newest.max(at);
    }

    /// The time at which `span` has passed since `from`, silences not counted.
    pub(super) fn after(&self, from: Timestamp, span: Duration) -> Timestamp {
        let mut due = from.plus(span);
        for (start, end) in &self.silences {
            // A silence that began before `from` counts from there on; one that begins at or after `due` comes too late.
            let start = (*start).max(from);
            if *end > start && start < due {
                due = due.plus(end.since(start));
            }
        }
        due
    }

    /// Whether anything in `(from, to]` was not seen.
    pub(super) fn has_gap(&self, from: Timestamp, to: Timestamp) -> bool {
        let overlaps = |(start, end): &(Timestamp, Timestamp)| *start < to && *end > from;
        self.silences.iter().any(overlaps) || self.losses.0.iter().any(overlaps)
    }
}

fn remember(stretches: &mut VecDeque<(Timestamp, Timestamp)>, stretch: (Timestamp, Timestamp)) {
    if stretches.len() == STRETCHES_MAX {
        stretches.pop_front();
    }
    stretches.push_back(stretch);
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE: Option<Duration> = Some(Duration::from_nanos(5));

    #[test]
    fn a_jump_of_more_than_the_longest_pause_adds_nothing_to_quiet() {
        let mut clock = Clock::starting(Timestamp::new(0));
        clock.advance(Timestamp::new(5), FIVE); // Exactly the longest pause is no silence.
        clock.advance(Timestamp::new(11), FIVE);
        assert_eq!(
            clock.after(Timestamp::new(0), Duration::from_nanos(5)),
            Timestamp::new(5),
            "due before the silence began"
        );
        assert_eq!(
            clock.after(Timestamp::new(0), Duration::from_nanos(6)),
            Timestamp::new(12)
        );
        assert_eq!(
            clock.after(Timestamp::new(8), Duration::from_nanos(2)),
            Timestamp::new(13),
            "half of it came before `from`"
        );
        assert_eq!(
            clock.after(Timestamp::new(11), Duration::from_nanos(2)),
            Timestamp::new(13)
        );
        assert!(clock.has_gap(Timestamp::new(0), Timestamp::new(6)));
        assert!(!clock.has_gap(Timestamp::new(0), Timestamp::new(5)));
        assert!(!clock.has_gap(Timestamp::new(11), Timestamp::new(20)));
    }

    #[test]
    fn a_clock_never_goes_back() {
        let mut clock = Clock::starting(Timestamp::new(10));
        clock.advance(Timestamp::new(3), FIVE);
        assert_eq!(clock.newest, Timestamp::new(10));
    }
}
