//! Findings about trommel itself: no line matches their rules, so their hits are made here.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::warn;

use super::Owner;
use crate::batch::{EntryId, Labels, StreamId};
use crate::detect::OWN_TENANT;
use crate::hit::{Hit, Parts, Progress, Role, RuleIndex, Scanned};
use crate::push::Pressure;
use crate::rules::{ERROR, OVERLOADED};
use crate::time::Timestamp;

/// Something about trommel itself, as if it were a line of a log.
struct Said {
    role: Role,
    line: String,
    captures: Box<[(Box<str>, Box<str>)]>,
}

impl Owner {
    /// Turns what load made us do into a match of the rule about it, and lets our own time pass.
    pub(super) fn tell_of_pressure(&mut self, now: Timestamp) {
        let Pressure {
            shed_entries,
            shed_requests,
            early_entries,
        } = &*self.pressure;
        let counted =
            [shed_entries, shed_requests, early_entries].map(|count| count.load(Ordering::Relaxed));
        let [entries, requests, early] = [0, 1, 2].map(|at| counted[at] - self.told[at]);
        self.told = counted;
        if entries + requests > 0 {
            self.detector.lose(self.last_tick, now);
        }
        if entries + requests + early > 0 {
            warn!(
                entries,
                requests, early, "overloaded: shed entries and requests, early entries"
            );
            let line = format!(
                "{entries} entries and {requests} whole requests were not inspected; {early} entries were answered before they were on disk"
            );
            self.say(
                OVERLOADED,
                now,
                Said {
                    role: Role::Match,
                    line,
                    captures: Box::default(),
                },
            );
        }
        self.detector.tick_own(now);
    }

    /// Opens the finding of `rule` about refused files, lets it go on, or with no error ends it.
    pub(super) fn tell_of_refusal(&mut self, rule: &'static str, error: Option<String>) {
        let now = (self.clock)();
        match error {
            Some(line) => {
                let first = line.lines().next().unwrap_or_default();
                let captures = Box::new([(ERROR.into(), first.into())]);
                self.say(
                    rule,
                    now,
                    Said {
                        role: Role::Match,
                        line,
                        captures,
                    },
                );
            }
            // It may have been opened before a restart.
            None if self
                .own(rule)
                .is_some_and(|rule| self.detector.has_open(rule)) =>
            {
                self.say(
                    rule,
                    now,
                    Said {
                        role: Role::Recovery,
                        line: String::new(),
                        captures: Box::default(),
                    },
                )
            }
            None => {}
        }
    }

    fn own(&self, id: &str) -> Option<RuleIndex> {
        self.detector.rules().find(id).map(|(rule, _)| rule)
    }

    /// Applies a hit of one of the rules about ourselves.
    fn say(&mut self, rule: &str, now: Timestamp, said: Said) {
        let Some(rule) = self.own(rule) else {
            return;
        };
        let hit = Hit {
            rule,
            role: said.role,
            parts: Parts::MATCH,
            at: now,
            stream: StreamId(0),
            labels: Arc::new(Labels::default()),
            entry: EntryId(now.0.unsigned_abs()),
            key: Arc::default(),
            values: Box::default(),
            captures: said.captures,
            line: said.line.into_bytes().into(),
        };
        let progress = Progress {
            tenant: OWN_TENANT.into(),
            streams: vec![(StreamId(0), 1)],
            times: vec![now],
            oldest: Vec::new(),
        };
        let hits = vec![hit];
        self.detector.apply(Scanned { hits, progress }, now);
    }
}
