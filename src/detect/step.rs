//! One step of a key's life: what it looks at, what it is given, and what it says.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::condition::Asked;
use super::coverage::Clock;
use super::silence::Silences;
use super::watchers::Streams;
use crate::finding::{Finding, Origin, Redactor};
use crate::hit::{Hit, Key};
use crate::rules::{Condition, Rule};
use crate::time::Timestamp;

/// What a step of a key's life looks at and cannot change.
pub(super) struct Context<'a> {
    pub(super) rule: &'a Arc<Rule>,
    pub(super) tenant: &'a str,
    pub(super) key: &'a Key,
    pub(super) clock: &'a Clock,
    pub(super) origin: &'a Origin,
    pub(super) redactor: &'a Redactor,
    pub(super) silences: &'a Silences,
    /// Since when streams that the rule reads have been seen.
    pub(super) seen_from: Option<Timestamp>,
    pub(super) streams: Streams<'a>,
}

impl Context<'_> {
    /// What the rule's condition asks of entries.
    pub(super) fn asked(&self) -> Asked<'_> {
        let condition = &self.rule.condition;
        let full_from = match (condition, self.seen_from) {
            (Condition::Spike(spike), Some(seen)) => {
                self.clock.after(seen, spike.window + spike.past)
            }
            (Condition::Spike(_), None) => Timestamp::MAX,
            _ => Timestamp::MIN,
        };
        Asked {
            condition,
            full_from,
        }
    }
}

/// What a step says.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Revisions to send.
    pub(super) findings: Vec<Finding>,
    /// Findings that ended without a message.
    pub(super) ended: Vec<Finding>,
}

/// All matches of one key at one time. They are applied together before the condition is looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Group {
    pub(super) at: Timestamp,
    pub(super) matches: Vec<Hit>,
    /// Matches beyond what is kept while held back: counted, not quoted.
    pub(super) more: u64,
    /// An entry of this time says that it is over.
    pub(super) recovered: bool,
    /// It may repeat entries that have been forgotten: it counts, but opens and announces nothing.
    pub(super) uncertain: bool,
    /// It came later than `late_by`.
    pub(super) late: bool,
    /// The first entry of its streams after it, as far as one has come while it was held back.
    pub(super) heard: Option<Timestamp>,
}

impl Group {
    /// A group of no matches yet.
    pub(super) fn empty(at: Timestamp, uncertain: bool, late: bool) -> Self {
        Self {
            at,
            matches: Vec::new(),
            more: 0,
            recovered: false,
            uncertain,
            late,
            heard: None,
        }
    }
}
