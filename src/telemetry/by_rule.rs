//! What is counted for each rule, kept where it can be read rule by rule.
//!
//! The recorder of `metrics` only tells everything at once, as text: a page that asks for a thousand rules would have all of it
//! written down and read again. So these few counters are kept here, and written beside the others. That lets one of them count time: of
//! the `metrics` crate counters are whole numbers.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit, counter,
};
use metrics_exporter_prometheus::PrometheusRecorder;

use super::{METRICS, RULE_CANDIDATES_TOTAL, RULE_MATCHES_TOTAL, RULE_SECONDS_TOTAL};

/// The counters that are kept here. Their one label is `rule`.
const NAMES: [&str; 3] = [
    RULE_MATCHES_TOTAL,
    RULE_CANDIDATES_TOTAL,
    RULE_SECONDS_TOTAL,
];

/// What a rule has done and taken since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OfRule {
    /// [`RULE_MATCHES_TOTAL`].
    pub matches: u64,
    /// [`RULE_CANDIDATES_TOTAL`].
    pub candidates: u64,
    /// [`RULE_SECONDS_TOTAL`].
    pub time: Duration,
}

/// The counters of each rule, by its id. As many rules as there have been since the start.
#[derive(Debug, Default)]
pub(super) struct ByRule([RwLock<BTreeMap<String, Arc<AtomicU64>>>; NAMES.len()]);

impl ByRule {
    /// The counter called `key`, if it is one that is kept here.
    fn counter(&self, key: &Key) -> Option<Arc<AtomicU64>> {
        let place = NAMES.iter().position(|name| *name == key.name())?;
        let rule = key.labels().find(|label| label.key() == "rule")?.value();
        let counters = &self.0[place];
        let known = counters
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(rule)
            .cloned();
        Some(known.unwrap_or_else(|| {
            let mut counters = counters.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(counters.entry(rule.to_owned()).or_default())
        }))
    }

    /// What is known of each rule, by its id. Cost: a look at each counter.
    pub(super) fn all(&self) -> HashMap<String, OfRule> {
        let mut all: HashMap<String, OfRule> = HashMap::new();
        for (name, counters) in NAMES.into_iter().zip(&self.0) {
            let counters = counters.read().unwrap_or_else(PoisonError::into_inner);
            for (rule, count) in &*counters {
                let count = count.load(Ordering::Relaxed);
                let rule = all.entry(rule.clone()).or_default();
                match name {
                    RULE_MATCHES_TOTAL => rule.matches = count,
                    RULE_CANDIDATES_TOTAL => rule.candidates = count,
                    _ => rule.time = Duration::from_nanos(count),
                }
            }
        }
        all
    }

    /// Appends them in Prometheus's text format. Ids of rules have nothing in them that would have to be escaped.
    pub(super) fn render(&self, text: &mut String) {
        for (name, counters) in NAMES.into_iter().zip(&self.0) {
            let counters = counters.read().unwrap_or_else(PoisonError::into_inner);
            if counters.is_empty() {
                continue;
            }
            let known = METRICS.iter().find(|metric| metric.name == name);
            let help = known.map_or("", |metric| metric.help);
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
            for (rule, count) in &*counters {
                let count = count.load(Ordering::Relaxed);
                let _ = match name {
                    RULE_SECONDS_TOTAL => {
                        let seconds = Duration::from_nanos(count).as_secs_f64();
                        writeln!(text, "{name}{{rule=\"{rule}\"}} {seconds}")
                    }
                    _ => writeln!(text, "{name}{{rule=\"{rule}\"}} {count}"),
                };
            }
            text.push('\n');
        }
    }
}

/// Adds to [`RULE_SECONDS_TOTAL`] of the rule with that id, which is kept in nanoseconds.
pub fn count_rule_time(rule: String, time: Duration) {
    let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    counter!(RULE_SECONDS_TOTAL, "rule" => rule).increment(nanoseconds);
}

/// Counts by rule here, and everything else as Prometheus's recorder does.
pub(super) struct Counting {
    pub(super) others: PrometheusRecorder,
    pub(super) by_rule: Arc<ByRule>,
}

impl Recorder for Counting {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.others.describe_counter(key, unit, description);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.others.describe_gauge(key, unit, description);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.others.describe_histogram(key, unit, description);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        match self.by_rule.counter(key) {
            Some(counter) => Counter::from_arc(counter),
            None => self.others.register_counter(key, metadata),
        }
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.others.register_gauge(key, metadata)
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        self.others.register_histogram(key, metadata)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FINDINGS_TOTAL, Telemetry, recorder};
    use super::*;

    #[test]
    fn what_a_rule_did_is_read_without_rendering_and_rendered_the_same() {
        let recorder = recorder();
        let telemetry = Telemetry::of(&recorder);
        metrics::with_local_recorder(&recorder, || {
            counter!(RULE_MATCHES_TOTAL, "rule" => "a").increment(2);
            counter!(RULE_MATCHES_TOTAL, "rule" => "a").increment(3);
            counter!(RULE_CANDIDATES_TOTAL, "rule" => "b").increment(7);
            counter!(FINDINGS_TOTAL, "rule" => "b", "state" => "observed").increment(1);
            count_rule_time("b".to_owned(), Duration::from_millis(1250));
        });
        let a = OfRule {
            matches: 5,
            ..OfRule::default()
        };
        let b = OfRule {
            candidates: 7,
            time: Duration::from_millis(1250),
            ..OfRule::default()
        };
        let expected = HashMap::from([("a".to_owned(), a), ("b".to_owned(), b)]);
        assert_eq!(telemetry.by_rule(), expected);
        let text = telemetry.render();
        for line in [
            "trommel_rule_matches_total{rule=\"a\"} 5",
            "trommel_rule_candidates_total{rule=\"b\"} 7",
            "trommel_rule_seconds_total{rule=\"b\"} 1.25",
            "trommel_findings_total{rule=\"b\",state=\"observed\"} 1",
        ] {
            let found = text.lines().filter(|it| *it == line).count();
            assert_eq!(found, 1, "{line}: {text}");
        }
    }
}
