//! How long things took, for quantiles of the last minute.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets of one doubling: each is an eighth wide at most.
const STEPS: usize = 8;
/// Doublings above the first bucket of microseconds: up to some four hours.
const DOUBLINGS: usize = 31;

/// Counts durations in buckets that are at most an eighth wide, from a microsecond to hours; 2 KiB. Beyond, they count as the longest.
///
/// Anybody may record at any time, for the price of one atomic addition. Who takes gets what was recorded since the last taking.
#[derive(Debug)]
pub struct Durations([AtomicU64; STEPS * (DOUBLINGS + 1)]);

impl Default for Durations {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Durations {
    /// Something took so long.
    pub fn record(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = bucket(micros).min(self.0.len() - 1);
        self.0[bucket].fetch_add(1, Ordering::Relaxed);
    }

    /// Quantiles of what was recorded since this was last called: each is at most an eighth above what really took so long. `None` if
    /// nothing was.
    pub fn take<const N: usize>(&self, quantiles: [f64; N]) -> Option<[Duration; N]> {
        let counts = self
            .0
            .each_ref()
            .map(|count| count.swap(0, Ordering::Relaxed));
        let total: u64 = counts.iter().sum();
        if total == 0 {
            return None;
        }
        Some(quantiles.map(|quantile| {
            let rank = ((quantile * total as f64).ceil() as u64).clamp(1, total);
            let mut below = 0;
            let bucket = counts.iter().position(|count| {
                below += count;
                below >= rank
            });
            Duration::from_micros(longest(bucket.unwrap_or(counts.len() - 1)))
        }))
    }
}

/// The bucket of so many microseconds: below [`STEPS`] one for each number, then [`STEPS`] for each doubling.
fn bucket(micros: u64) -> usize {
    let doublings = (micros / STEPS as u64)
        .checked_ilog2()
        .map_or(0, |log| log as usize);
    let step = (micros >> doublings) as usize;
    doublings * STEPS + step
}

/// The most microseconds that belong into a bucket.
fn longest(bucket: usize) -> u64 {
    if bucket < STEPS {
        return bucket as u64;
    }
    let (doublings, step) = (bucket / STEPS - 1, bucket % STEPS + STEPS);
    (((step + 1) as u64) << doublings) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_is_at_most_an_eighth_shorter() {
        let mut last = 0;
        for micros in (0..5000).chain([1 << 20, (1 << 34) - 1]) {
            let bucket = bucket(micros);
            assert!(bucket >= last, "{micros}");
            last = bucket;
            let longest = longest(bucket);
            assert!(
                longest >= micros && longest <= micros + micros / 8,
                "{micros}"
            );
        }
    }

    #[test]
    fn quantiles_are_of_what_came_since_the_last_look() {
        let durations = Durations::default();
        assert_eq!(durations.take([0.5]), None);
        for millis in 1..=100 {
            durations.record(Duration::from_millis(millis));
        }
        let [median, high] = durations.take([0.5, 0.99]).expect("recorded");
        assert!((50..=57).contains(&median.as_millis()), "{median:?}");
        assert!((99..=112).contains(&high.as_millis()), "{high:?}");
        assert_eq!(durations.take([0.5]), None);
        durations.record(Duration::MAX);
        assert!(durations.take([1.0]).expect("recorded")[0] > Duration::from_secs(10_000));
    }
}
