//! What is known of one finding while it is open, and until it can come back no more.

use serde::{Deserialize, Serialize};

use super::packed::Packed;
use crate::detect::report;
use crate::detect::step::Context;
use crate::finding::{Finding, Related};
use crate::rules::Severity;
use crate::time::Timestamp;

/// A finding: open, or recovered last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::detect) struct Episode {
    pub(in crate::detect) finding_id: String,
    /// As they were at opening: the subject of its messages follows from them.
    pub(in crate::detect) domain: String,
    pub(in crate::detect) incident_type: String,
    pub(in crate::detect) observed_at: Timestamp,
    /// When it opened last: at first, or again.
    pub(in crate::detect) opened_at: Timestamp,
    /// Entries before this are of no finding, or of the one that recovered before it opened again.
    pub(super) own_from: Timestamp,
    pub(in crate::detect) recovered_at: Option<Timestamp>,
    pub(in crate::detect) revision: u64,
    pub(in crate::detect) severity: Severity,
    pub(in crate::detect) severity_max: Severity,
    pub(in crate::detect) first_seen: Timestamp,
    pub(in crate::detect) last_seen: Timestamp,
    pub(in crate::detect) total: u64,
    pub(in crate::detect) since_message: u64,
    pub(in crate::detect) suppressed: u64,
    pub(in crate::detect) flaps: u64,
    pub(in crate::detect) late: u64,
    pub(in crate::detect) duplicates: u64,
    pub(in crate::detect) last_message: Timestamp,
    /// When a message was last made or held back: what `cooldown` and reminders count from.
    pub(super) last_said: Timestamp,
    /// The last entry at whose time the condition held.
    pub(super) held: Timestamp,
    /// When a condition on few stopped being true; `None` while it is.
    pub(super) stopped: Option<Timestamp>,
    /// Findings that it is part of, or that are its parts.
    pub(in crate::detect) related: Vec<Related>,
    /// The last message, to close the finding when its rule is gone.
    pub(in crate::detect) told: Packed,
}

/// What a finding begins with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beginning {
    pub(super) first_seen: Timestamp,
    pub(super) last_seen: Timestamp,
    /// Matches so far.
    pub(super) total: u64,
}

impl Episode {
    /// A finding that opens at `at`.
    pub(super) fn new(cx: &Context<'_>, at: Timestamp, from: Beginning) -> Self {
        Self {
            finding_id: report::finding_id(cx, at),
            domain: cx.rule.domain.clone(),
            incident_type: cx.rule.incident_type.clone(),
            observed_at: at,
            opened_at: at,
            own_from: from.first_seen,
            recovered_at: None,
            revision: 0,
            severity: cx.rule.severity,
            severity_max: cx.rule.severity,
            first_seen: from.first_seen,
            last_seen: from.last_seen,
            total: from.total,
            since_message: from.total,
            suppressed: 0,
            flaps: 0,
            late: 0,
            duplicates: 0,
            last_message: at,
            last_said: at,
            held: at,
            stopped: None,
            related: Vec::new(),
            told: Packed::Nothing,
        }
    }

    /// A finding as it was last told, by whomever.
    pub(in crate::detect) fn recalled(told: &Finding) -> Self {
        Self {
            finding_id: told.finding_id.clone(),
            domain: told.domain.clone(),
            incident_type: told.incident_type.clone(),
            observed_at: told.observed_at,
            opened_at: told.observed_at,
            own_from: told.first_seen,
            recovered_at: None,
            revision: told.revision,
            severity: told.severity,
            severity_max: told.severity_max,
            first_seen: told.first_seen,
            last_seen: told.last_seen,
            total: told.counts.total,
            since_message: 0,
            suppressed: told.counts.suppressed,
            flaps: told.counts.flaps,
            late: told.counts.late,
            duplicates: told.counts.duplicates_dropped,
            last_message: told.time,
            last_said: told.time,
            held: told.last_seen.max(told.observed_at),
            stopped: None,
            related: told.related.clone(),
            told: Packed::new(told),
        }
    }

    /// Memory beside itself, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        let related = self.related.iter();
        let related = related
            .map(|it| size_of_val(it) + it.finding_id.len() + it.rule.len() + it.relation.len());
        self.finding_id.capacity()
            + self.domain.len()
            + self.incident_type.len()
            + related.sum::<usize>()
            + self.told.heap_bytes()
    }

    /// It opens again at `at`, within the cooldown; `from.total` matches came since it recovered.
    pub(super) fn reopen(&mut self, cx: &Context<'_>, at: Timestamp, from: Beginning) {
        self.total += from.total;
        self.since_message += from.total;
        self.flaps += 1;
        self.recovered_at = None;
        self.severity = cx.rule.severity;
        self.severity_max = self.severity_max.max(cx.rule.severity);
        self.last_seen = self.last_seen.max(from.last_seen);
        self.opened_at = at;
        self.held = at;
        self.stopped = None;
        self.related.clear();
    }

    /// Raises the severity; true if it was lower.
    pub(super) fn raise(&mut self, to: Severity) -> bool {
        let rises = to > self.severity;
        if rises {
            self.severity = to;
            self.severity_max = self.severity_max.max(to);
        }
        rises
    }
}
