//! What has changed, as rows and messages; and what waits while the disk takes none.

use std::time::{Duration, Instant};

use metrics::{counter, histogram};
use serde::Serialize;
use tracing::{error, info, warn};

use super::Owner;
use crate::detect::Changes;
use crate::finding::{Finding, Kind, Message, Outline, State};
use crate::record::{Commit, FindingRow, NewMessage, SAMPLES_MAX};
use crate::telemetry as names;
use crate::time::Timestamp;

/// An entry further in the future does not keep its identity longer.
const FUTURE_MAX: Duration = Duration::from_secs(600);

/// Messages of a commit that keeps failing are held in memory; beyond this many the oldest updates go, and are counted.
const HELD_MESSAGES_MAX: usize = 4096;
/// Keys that are gone are held likewise. What is beyond is forgotten: a key that is on disk comes back with a restart as it was then.
const HELD_GONE_KEYS_MAX: usize = 65_536;
/// Findings that have ended are held likewise. What is beyond is forgotten: one that is on disk is shown as it was then.
const HELD_ENDED_FINDINGS_MAX: usize = 4096;
/// Entries of what people did are held likewise; beyond it the oldest go, and are counted.
const HELD_AUDIT_MAX: usize = 256;
/// Rows of identities held likewise. What is beyond is forgotten: a repeat after a restart may then count again.
const HELD_IDENTITIES_MAX: usize = 4096;
/// Recorded matches held likewise, and their counts. What is beyond is forgotten, the oldest first.
const HELD_MATCHES_MAX: usize = 512;

impl Owner {
    /// Brings everything that has changed to disk. False if that failed; it is then tried again with the next.
    pub(super) fn commit(&mut self) -> bool {
        let changes = self.detector.take_changes();
        self.count(&changes);
        let now = (self.clock)();
        let commit = self.prepare(changes, now);
        if !commit.findings.is_empty() || !self.waiting.audit.is_empty() {
            self.changed.send_replace(());
        }
        self.waiting.absorb(commit);
        // To forget identities is no reason to write.
        let forget = self.waiting.forget_identities_before.take();
        if self.waiting.is_empty() {
            return true;
        }
        self.waiting.forget_identities_before = forget;

        let started = Instant::now();
        match self.store.commit(&self.waiting) {
            Ok(outcome) => {
                histogram!(names::COMMIT_SECONDS).record(started.elapsed().as_secs_f64());
                counter!(names::FINDINGS_FORGOTTEN_TOTAL).increment(outcome.findings_forgotten);
                counter!(names::AUDIT_FORGOTTEN_TOTAL).increment(outcome.audit_forgotten);
                counter!(names::MATCHES_FORGOTTEN_TOTAL).increment(outcome.matches_forgotten);
                if outcome.dropped.total() > 0 {
                    counter!(names::OUTBOX_DROPPED_TOTAL).increment(outcome.dropped.total());
                    self.ourselves.note_dropped(outcome.dropped);
                    warn!(
                        observed = outcome.dropped.observed,
                        updated = outcome.dropped.updated,
                        recovered = outcome.dropped.recovered,
                        audit = outcome.dropped.audit,
                        "messages dropped: they have waited for NATS until the outbox was full"
                    );
                }
                self.waiting = Commit::default();
                self.newest.send_if_modified(|newest| {
                    let news = outcome.last_seq > *newest;
                    *newest = outcome.last_seq.max(*newest);
                    news
                });
                if self.ourselves.commit_error.take().is_some() {
                    info!("the database takes commits again");
                }
                true
            }
            Err(error) => {
                counter!(names::COMMIT_FAILURES_TOTAL).increment(1);
                if self.ourselves.commit_error.is_none() {
                    error!(%error, "commit failed; it is tried again, and requests are answered before they are on disk");
                }
                let first = self.ourselves.commit_error.replace(error.to_string());
                let dropped = bound(&mut self.waiting);
                counter!(names::OUTBOX_DROPPED_TOTAL).increment(dropped);
                self.ourselves.dropped_in_memory += dropped;
                if first.is_none() {
                    self.show_unsaved();
                }
                false
            }
        }
    }

    fn prepare(&mut self, mut changes: Changes, now: Timestamp) -> Commit {
        let row = |finding: &Finding| FindingRow {
            finding_id: finding.finding_id.clone(),
            finding_key: finding.finding_key.clone(),
            rule: finding.rule.id.clone(),
            state: finding.state,
            severity: finding.severity,
            domain: finding.domain.clone(),
            incident_type: finding.incident_type.clone(),
            changed_at: finding.time,
            body: to_json(finding),
            revision: finding.revision,
            outline: to_json(&Outline::from(finding)),
        };
        let message = |finding: &Finding| {
            new_message(Message::new(
                finding,
                &finding.finding_key,
                &self.origin,
                &self.messages,
            ))
        };
        let identities = changes.identities(now.plus(FUTURE_MAX));
        let (mut messages, mut findings) = (Vec::new(), Vec::new());
        let told = changes.take_findings();
        findings.reserve_exact(told.len());
        for finding in told {
            let kind = Kind::of(&finding);
            let (rule, state) = (finding.rule.id.clone(), kind.as_str());
            counter!(names::FINDINGS_TOTAL, "rule" => rule, "state" => state).increment(1);
            self.meter.observed += u64::from(kind == Kind::Observed);
            if self.publishers > 0 {
                messages.push(message(&finding));
            }
            findings.push(row(&finding));
        }
        let untold = changes.ended.iter().chain(&changes.recalled);
        findings.extend(untold.map(row));
        Commit {
            identities: identities.into_iter().collect(),
            messages,
            findings,
            forget_identities_before: changes.forget_identities_before,
            taped: changes.taped,
            tape_counts: changes.tape_counts,
            state: changes
                .state
                .into_iter()
                .map(|(name, value)| (name, Some(value)))
                .collect(),
            keys: changes.keys.into_iter().collect(),
            ..Commit::default()
        }
    }

    fn count(&mut self, changes: &Changes) {
        let left_out = changes.tape_counts.iter().map(|count| count.left_out).sum();
        counter!(names::MATCHES_UNRECORDED_TOTAL).increment(left_out);
        let tally = self.detector.take_tally();
        self.ourselves.note(&tally);
        self.meter.note(&tally);
        for (rule, matches) in tally.matches {
            counter!(names::RULE_MATCHES_TOTAL, "rule" => rule.to_string()).increment(matches);
        }
        counter!(names::DUPLICATES_TOTAL).increment(tally.duplicates);
        counter!(names::ENTRIES_LATE_TOTAL).increment(tally.late);
        counter!(names::ENTRIES_FUTURE_TOTAL).increment(tally.future);
        counter!(names::KEYS_EVICTED_TOTAL).increment(tally.keys_evicted.values().sum());
        counter!(names::KEYS_REFUSED_TOTAL).increment(tally.keys_refused.values().sum());
        counter!(names::KEYS_CUT_TOTAL).increment(tally.keys_cut.values().sum());
        counter!(names::IDENTITIES_EVICTED_TOTAL).increment(tally.identities_evicted);
        counter!(names::TENANTS_REFUSED_TOTAL).increment(tally.tenants_refused);
    }
}

/// Keeps what waits for a disk within bounds, and tells how many messages went. What is there of open keys is bounded by the detector.
fn bound(waiting: &mut Commit) -> u64 {
    let identities = &mut waiting.identities;
    let beyond = identities.len().saturating_sub(HELD_IDENTITIES_MAX);
    identities.drain(..beyond);
    let beyond = waiting.audit.len().saturating_sub(HELD_AUDIT_MAX);
    waiting.audit.drain(..beyond);
    counter!(names::AUDIT_FORGOTTEN_TOTAL).increment(beyond as u64);
    forget_oldest(&mut waiting.keys, HELD_GONE_KEYS_MAX, |key| key.1.is_none());
    forget_oldest(&mut waiting.findings, HELD_ENDED_FINDINGS_MAX, |row| {
        row.state == State::Recovered
    });
    let beyond = waiting.taped.len().saturating_sub(HELD_MATCHES_MAX);
    counter!(names::MATCHES_FORGOTTEN_TOTAL).increment(beyond as u64);
    waiting.taped.drain(..beyond);
    let beyond = waiting.tape_counts.len().saturating_sub(HELD_MATCHES_MAX);
    waiting.tape_counts.drain(..beyond);
    let beyond = waiting.samples.len().saturating_sub(SAMPLES_MAX);
    waiting.samples.drain(..beyond);
    let beyond = waiting.messages.len().saturating_sub(HELD_MESSAGES_MAX);
    let mut excess = beyond;
    for dispensable in [true, false] {
        waiting.messages.retain(|message| {
            let goes = excess > 0 && (!dispensable || message.kind == Some(Kind::Updated));
            excess -= usize::from(goes);
            !goes
        });
    }
    beyond as u64
}

/// Leaves at most `most` of those that are `gone`, the last ones.
fn forget_oldest<T>(rows: &mut Vec<T>, most: usize, gone: impl Fn(&T) -> bool) {
    let mut beyond = rows
        .iter()
        .filter(|row| gone(row))
        .count()
        .saturating_sub(most);
    rows.retain(|row| {
        let goes = beyond > 0 && gone(row);
        beyond -= usize::from(goes);
        !goes
    });
}

/// As JSON, in no more memory than that takes: of a storm's findings there are thousands until they are on disk.
fn to_json(value: &impl Serialize) -> String {
    let mut json = serde_json::to_string(value).expect("it is plain data");
    json.shrink_to_fit();
    json
}

fn new_message(message: Message) -> NewMessage {
    NewMessage {
        id: message.id,
        finding_id: message.finding_id,
        kind: Some(message.kind),
        subject: message.subject,
        headers: serde_json::to_string(&message.headers).expect("pairs of strings are JSON"),
        body: String::from_utf8(message.body).expect("JSON is UTF-8"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::KeyName;

    #[test]
    fn what_waits_for_a_disk_is_bounded_and_the_newest_stays() {
        let name = |number: usize| KeyName {
            rule: "r".into(),
            tenant: "".into(),
            by: [number.to_string()].into(),
        };
        let message = |number: usize, kind| NewMessage {
            id: number.to_string(),
            finding_id: number.to_string(),
            kind,
            subject: String::new(),
            headers: String::new(),
            body: String::new(),
        };
        let kinds = [Kind::Observed, Kind::Updated];
        let mut waiting = Commit {
            keys: (0..HELD_GONE_KEYS_MAX + 3)
                .map(|number| (name(number), (number == 1).then(Vec::new)))
                .collect(),
            identities: (0..HELD_IDENTITIES_MAX as i64 + 2)
                .map(|number| (Timestamp::new(number), Vec::new()))
                .collect(),
            messages: (0..HELD_MESSAGES_MAX + 2)
                .map(|number| message(number, Some(kinds[usize::from(number > 2)])))
                .collect(),
            samples: (0..SAMPLES_MAX as u32 + 2)
                .map(crate::record::testing::sample)
                .collect(),
            ..Commit::default()
        };
        assert_eq!(bound(&mut waiting), 2);
        assert_eq!(waiting.samples.len(), SAMPLES_MAX);
        assert_eq!(waiting.samples[0], crate::record::testing::sample(2));
        // The first two that are gone have gone; the one between them is there.
        assert_eq!(waiting.keys.len(), HELD_GONE_KEYS_MAX + 1);
        assert_eq!(waiting.keys[0].0, name(1));
        assert_eq!(waiting.keys[1].0, name(3));
        assert_eq!(waiting.identities.len(), HELD_IDENTITIES_MAX);
        assert_eq!(waiting.identities[0].0, Timestamp::new(2));
        let left: Vec<_> = waiting
            .messages
            .iter()
            .take(4)
            .map(|one| &*one.id)
            .collect();
        assert_eq!(left, ["0", "1", "2", "5"]);
        assert_eq!(bound(&mut waiting), 0);
    }
}
