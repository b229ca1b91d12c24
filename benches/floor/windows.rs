//! What matches are applied to, as the owner of that state does it.

use std::sync::Arc;

use trommel::detect::{Detector, Settings};
use trommel::finding::{Origin, Redactor};
use trommel::hit::Scanned;
use trommel::rules::RuleSet;
use trommel::time::Timestamp;

/// A detector, and how often it is the next second for it.
pub(crate) struct Windows {
    pub(crate) detector: Detector,
    seconds: i64,
}

impl Windows {
    /// For `rules`, of which nothing has matched.
    pub(crate) fn new(rules: &Arc<RuleSet>) -> Self {
        let origin = Origin {
            cluster: "c".into(),
            environment: String::new(),
            instance: "default".into(),
            grafana: None,
        };
        let redactor = Redactor::new(Vec::new());
        Self {
            detector: Detector::new(Settings::replay(origin), redactor, Arc::clone(rules)),
            seconds: 0,
        }
    }

    /// What was scanned, as of a second later than the last time: or all of it would be repeats.
    pub(crate) fn later(&mut self, mut scanned: Scanned) -> Scanned {
        self.seconds += 1;
        let later = |at: Timestamp| Timestamp::new(at.nanos() + self.seconds * 1_000_000_000);
        for hit in &mut scanned.hits {
            hit.at = later(hit.at);
            hit.entry.0 = hit.entry.0.wrapping_add(self.seconds.cast_unsigned());
        }
        for at in &mut scanned.progress.times {
            *at = later(*at);
        }
        scanned
    }
}
