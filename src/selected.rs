//! Which rules have streams to read: a rule whose selector has matched nothing for a day looks for what is not there.
//!
//! Told of streams as they come and of the wall clock: what counts is how long a rule has gone without a stream while trommel
//! was running, and a log that stands still must not hide that. Nothing of it is kept: after a restart every rule has a day again.
//! After a change of rules, those have that read other streams than before.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::batch::{Stream, StreamId};
use crate::rules::{Rule, RuleSet};
use crate::time::Timestamp;

/// How long a selector may match no stream before that is told.
pub const UNSELECTED_AFTER: Duration = Duration::from_secs(24 * 3600);
/// Streams that are known to be told of, 8 bytes each. Beyond it all are forgotten and looked at again, as if they were new.
const STREAMS_MAX: usize = 100_000;

/// For each rule, when one of its streams last came.
///
/// Rules without a selector read every stream, and are never told of.
#[derive(Debug)]
pub struct Selected {
    /// The rules that have a selector, and when each was last seen to read a stream; the start, before that.
    rules: Vec<(Arc<Rule>, Timestamp)>,
    /// Streams that were looked at in this round.
    known: HashSet<StreamId>,
    /// When this round began: a stream is looked at once in each.
    round: Timestamp,
}

/// How long a stream that was looked at is not looked at again, so that a rule's last stream is known to within this.
const ROUND: Duration = Duration::from_secs(600);

impl Selected {
    /// Begins at `now`, with rules that have seen nothing.
    #[must_use]
    pub fn new(rules: &RuleSet, now: Timestamp) -> Self {
        let rules = rules.rules.iter();
        let concerned = rules.filter(|rule| !rule.selector.0.is_empty());
        Self {
            rules: concerned.map(|rule| (Arc::clone(rule), now)).collect(),
            known: HashSet::new(),
            round: now,
        }
    }

    /// Goes on with other rules. What is known of a rule that reads the same streams as before stays.
    pub fn set_rules(&mut self, rules: &RuleSet, now: Timestamp) {
        let reads = |rule: &Rule| {
            let unless = rule.unless.as_ref().map(ToString::to_string);
            (rule.id.clone(), rule.selector.to_string(), unless)
        };
        let before = self.rules.iter().map(|(rule, last)| (reads(rule), *last));
        let before: HashMap<_, _> = before.collect();
        *self = Self::new(rules, now);
        for (rule, last) in &mut self.rules {
            if let Some(seen) = before.get(&reads(rule)) {
                *last = *seen;
            }
        }
    }

    /// Tells that entries of `stream` came at `now`. A stream costs a look at every selector once in ten minutes.
    pub fn see(&mut self, stream: &Stream, now: Timestamp) {
        if now.since(self.round) >= ROUND || self.known.len() >= STREAMS_MAX {
            self.known.clear();
            self.round = now;
        }
        if !self.known.insert(stream.id) {
            return;
        }
        for (rule, last) in &mut self.rules {
            if *last < now && rule.reads(&stream.labels) {
                *last = now;
            }
        }
    }

    /// The rules that no stream came for since [`UNSELECTED_AFTER`] before `now`, by id.
    #[must_use]
    pub fn unselected(&self, now: Timestamp) -> Vec<&str> {
        let rules = self.rules.iter();
        let without = rules.filter(|(_, last)| now.since(*last) >= UNSELECTED_AFTER);
        without.map(|(rule, _)| &*rule.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Labels;
    use crate::rules::{LoadOptions, SourceText, load};

    fn selected() -> Selected {
        let text = "rules:
- {id: api, selector: app=api, unless: pod=canary, match: a failure, incident_type: workload_failure}
- {id: web, selector: app=web, match: a failure, incident_type: workload_failure}
- {id: everywhere, match: another failure, incident_type: workload_failure}
- {id: both, correlate: {within: 5m, all: [api, web]}, incident_type: workload_failure}
";
        let source = SourceText {
            name: "rules.yaml".to_owned(),
            text: text.to_owned(),
        };
        let rules = load(&[source], &LoadOptions::default()).set.expect("valid");
        Selected::new(&rules, at(0))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::new(second * 1_000_000_000)
    }

    fn stream(pairs: &[(&str, &str)]) -> Stream {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        Stream::new("".into(), Labels::new(pairs))
    }

    const DAY: i64 = 86_400;

    #[test]
    fn a_rule_without_a_stream_is_told_of_after_a_day_and_not_a_second_before() {
        let selected = selected();
        assert_eq!(selected.unselected(at(DAY - 1)), [""; 0]);
        assert_eq!(selected.unselected(at(DAY)), ["api", "web"]);
    }

    #[test]
    fn a_stream_that_comes_ends_it_and_a_day_later_it_is_told_again() {
        let mut selected = selected();
        selected.see(&stream(&[("app", "api")]), at(DAY));
        assert_eq!(selected.unselected(at(DAY)), ["web"]);
        assert_eq!(selected.unselected(at(2 * DAY - 1)), ["web"]);
        assert_eq!(selected.unselected(at(2 * DAY)), ["api", "web"]);
    }

    #[test]
    fn a_stream_that_goes_on_is_seen_again() {
        let mut selected = selected();
        for second in (0..2 * DAY).step_by(300) {
            selected.see(&stream(&[("app", "web")]), at(second));
        }
        assert_eq!(selected.unselected(at(2 * DAY)), ["api"]);
    }

    #[test]
    fn a_stream_that_is_left_out_is_none() {
        let mut selected = selected();
        selected.see(&stream(&[("app", "api"), ("pod", "canary")]), at(DAY));
        assert_eq!(selected.unselected(at(DAY)), ["api", "web"]);
    }

    #[test]
    fn after_a_change_of_rules_those_that_read_other_streams_have_a_day_again() {
        let mut selected = selected();
        let text = "rules:
- {id: api, selector: app=api, unless: pod=canary, match: another text, incident_type: workload_failure}
- {id: web, selector: app=www, match: a failure, incident_type: workload_failure}
- {id: new, selector: app=new, match: a failure, incident_type: workload_failure}
";
        let source = SourceText {
            name: "rules.yaml".to_owned(),
            text: text.to_owned(),
        };
        let rules = load(&[source], &LoadOptions::default()).set.expect("valid");
        selected.set_rules(&rules, at(DAY / 2));
        assert_eq!(selected.unselected(at(DAY)), ["api"]);
        assert_eq!(
            selected.unselected(at(DAY + DAY / 2)),
            ["api", "new", "web"]
        );
    }

    #[test]
    fn streams_beyond_the_bound_are_looked_at_again() {
        let mut selected = selected();
        for number in 0..=STREAMS_MAX {
            selected.see(&stream(&[("pod", &number.to_string())]), at(1));
        }
        assert_eq!(selected.known.len(), 1);
        selected.see(&stream(&[("app", "web")]), at(DAY));
        assert_eq!(selected.unselected(at(DAY)), ["api"]);
    }
}
