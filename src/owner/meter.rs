//! What happened in the minute under way, until it is a [`Sample`].
//!
//! The counts are those of the metrics, taken where these are counted; so the page and `/metrics` tell the same.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::detect::Tally;
use crate::push::Pressure;
use crate::record::Sample;
use crate::telemetry::Durations;
use crate::time::Timestamp;

const MINUTE: i64 = 60_000_000_000;

/// Collects until the wall clock begins another minute.
pub(super) struct Meter {
    /// Since when.
    began: Timestamp,
    /// Entries, shed entries, shed requests and early entries that a sample already has.
    told: [u64; 4],
    /// Findings that opened.
    pub(super) observed: u64,
    late: u64,
    duplicates: u64,
    lag: Durations,
}

impl Meter {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            began: now,
            told: [0; 4],
            observed: 0,
            late: 0,
            duplicates: 0,
            lag: Durations::default(),
        }
    }

    /// A request was that far behind.
    pub(super) fn note_lag(&self, lag: Duration) {
        self.lag.record(lag);
    }

    pub(super) fn note(&mut self, tally: &Tally) {
        self.late += tally.late;
        self.duplicates += tally.duplicates;
    }

    /// What the minute comes to that is over at `now`, if one is.
    pub(super) fn look(&mut self, pressure: &Pressure, now: Timestamp) -> Option<Sample> {
        if now.nanos().div_euclid(MINUTE) == self.began.nanos().div_euclid(MINUTE) {
            return None;
        }
        let span = now.since(self.began);
        self.began = now;
        if span.is_zero() {
            // The clock was put back: what was counted is a part of the next.
            return None;
        }
        let entries = pressure.entries.load(Ordering::Relaxed);
        let [shed, requests, early] = pressure.counted();
        let counted = [entries, shed, requests, early];
        let told = std::mem::replace(&mut self.told, counted);
        let [entries, entries_shed, requests_shed, entries_early] =
            std::array::from_fn(|at| counted[at].saturating_sub(told[at]));
        Some(Sample {
            at: now,
            span,
            entries,
            entries_shed,
            requests_shed,
            entries_early,
            entries_late: std::mem::take(&mut self.late),
            duplicates: std::mem::take(&mut self.duplicates),
            findings_observed: std::mem::take(&mut self.observed),
            lag: self.lag.take([0.5, 0.99]),
            answer: pressure.answers.take([0.5, 0.99]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_minute_is_told_once_with_what_happened_in_it() {
        let at = |seconds: i64| Timestamp::new(1_790_000_040_000_000_000 + seconds * 1_000_000_000);
        let pressure = Pressure::default();
        let mut meter = Meter::new(at(20));
        pressure.entries.store(100, Ordering::Relaxed);
        pressure.answers.record(Duration::from_millis(3));
        meter.note_lag(Duration::from_secs(1));
        meter.observed += 2;
        assert_eq!(meter.look(&pressure, at(59)), None);
        let first = meter.look(&pressure, at(60)).expect("a minute is over");
        assert_eq!((first.at, first.span), (at(60), Duration::from_secs(40)));
        assert_eq!((first.entries, first.findings_observed), (100, 2));
        assert!(first.lag.is_some() && first.answer.is_some());

        pressure.entries.store(130, Ordering::Relaxed);
        pressure.shed_entries.store(7, Ordering::Relaxed);
        let second = meter.look(&pressure, at(121)).expect("a minute is over");
        assert_eq!((second.entries, second.entries_shed), (30, 7));
        assert_eq!((second.findings_observed, second.lag), (0, None));
        assert_eq!(second.answer, None);

        // A clock that is put back makes no minute, and loses nothing.
        pressure.entries.store(131, Ordering::Relaxed);
        assert_eq!(meter.look(&pressure, at(-600)), None);
        let third = meter.look(&pressure, at(-540)).expect("a minute is over");
        assert_eq!((third.entries, third.span.as_secs()), (1, 60));
    }
}
