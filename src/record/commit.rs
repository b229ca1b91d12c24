//! What goes into the store and what comes out of it.

use std::collections::HashSet;
use std::hash::Hash;
use std::time::Duration;

use super::samples::Sample;
use super::sieve::Sieve;
use crate::audit::Entry;
use crate::detect::{KeyName, TapeCount, Taped};
use crate::finding::{Kind, State};
use crate::rules::{Severity, is_own};
use crate::silence::Silence;
use crate::time::Timestamp;

/// What a group of batches changed. Applied whole or not at all; within a list, later entries win.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commit {
    /// State of a rule's key; `None` forgets the key.
    pub keys: Vec<(KeyName, Option<Vec<u8>>)>,
    /// Any other state under a name, such as a tenant's clock; `None` forgets it.
    pub state: Vec<(String, Option<Vec<u8>>)>,
    /// Identities of the entries that were counted: one row for the group, with the newest entry time in it.
    pub identities: Vec<(Timestamp, Vec<u8>)>,
    /// Rows of identities whose newest entry is older than this are deleted, those of this commit included.
    pub forget_identities_before: Option<Timestamp>,
    /// Messages to send, in this order.
    pub messages: Vec<NewMessage>,
    /// Findings as they now are.
    pub findings: Vec<FindingRow>,
    /// Findings that have been over since before this are forgotten.
    pub forget_findings_before: Option<Timestamp>,
    /// What people did.
    pub audit: Vec<Entry>,
    /// Silences by id; `None` forgets one.
    pub silences: Vec<(String, Option<Silence>)>,
    /// What people did before this is forgotten.
    pub forget_audit_before: Option<Timestamp>,
    /// Matched entries to be recorded.
    pub taped: Vec<Taped>,
    /// How many matches there were, by rule and minute, to be added to what is there.
    pub tape_counts: Vec<TapeCount>,
    /// Matches of minutes before this are forgotten.
    pub forget_matches_before: Option<Timestamp>,
    /// Places in the outbox whose acks are back. One that is no longer there is fine.
    pub sent: Vec<i64>,
    /// What was measured, a minute each, in order of time.
    pub samples: Vec<Sample>,
}

impl Commit {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
            && self.state.is_empty()
            && self.identities.is_empty()
            && self.forget_identities_before.is_none()
            && self.forget_findings_before.is_none()
            && self.messages.is_empty()
            && self.findings.is_empty()
            && self.audit.is_empty()
            && self.silences.is_empty()
            && self.forget_audit_before.is_none()
            && self.taped.is_empty()
            && self.tape_counts.is_empty()
            && self.forget_matches_before.is_none()
            && self.sent.is_empty()
            && self.samples.is_empty()
    }

    /// Adds what happened `later`, as if both had been committed one after the other: how a commit that failed is
    /// tried again together with the next. Of a key, state or finding in both, only the later form is kept, of a finding's timeline too.
    pub fn absorb(&mut self, later: Self) {
        replace(&mut self.keys, later.keys);
        replace(&mut self.state, later.state);
        self.findings.extend(later.findings);
        keep_last(&mut self.findings, |row| row.finding_id.clone());
        self.identities.extend(later.identities);
        self.forget_identities_before = self
            .forget_identities_before
            .max(later.forget_identities_before);
        self.forget_findings_before = self
            .forget_findings_before
            .max(later.forget_findings_before);
        self.taped.extend(later.taped);
        self.tape_counts.extend(later.tape_counts);
        self.forget_matches_before = self.forget_matches_before.max(later.forget_matches_before);
        self.messages.extend(later.messages);
        self.audit.extend(later.audit);
        replace(&mut self.silences, later.silences);
        self.forget_audit_before = self.forget_audit_before.max(later.forget_audit_before);
        self.sent.extend(later.sent);
        self.samples.extend(later.samples);
    }
}

/// Puts rows behind those that are there, of which those with the same name go; none of `later` have the same.
fn replace<N: Clone + Hash + Eq, T>(rows: &mut Vec<(N, T)>, later: Vec<(N, T)>) {
    if rows.is_empty() {
        // As nearly always: thousands of names need not be looked through.
        *rows = later;
    } else {
        rows.extend(later);
        keep_last(rows, |(name, _)| name.clone());
    }
}

/// Keeps, of rows with the same `name`, the last; the order of those kept does not change.
fn keep_last<T, N: Hash + Eq>(rows: &mut Vec<T>, name: impl Fn(&T) -> N) {
    let mut seen = HashSet::new();
    rows.reverse();
    rows.retain(|row| seen.insert(name(row)));
    rows.reverse();
}

/// `["rule","tenant",["value",…]]`: unambiguous, whatever characters the values hold, and legible in `sqlite3`.
pub(super) fn key_to_text(name: &KeyName) -> String {
    serde_json::to_string(&(&name.rule, &name.tenant, &name.by)).expect("strings are always JSON")
}

pub(super) fn key_from_text(text: &str) -> Option<KeyName> {
    let (rule, tenant, by) = serde_json::from_str(text).ok()?;
    Some(KeyName { rule, tenant, by })
}

/// The kind of a message that is about no finding, as it is stored.
const AUDIT: &str = "audit";

/// A kind as it is stored: `observed`, `updated`, `recovered`, or `audit` for a message that is about no finding.
pub(super) fn kind_to_text(kind: Option<Kind>) -> &'static str {
    kind.map_or(AUDIT, Kind::as_str)
}

/// The kind that is stored so.
pub(super) fn kind_from_text(text: &str) -> Option<Option<Kind>> {
    let kinds = [Kind::Observed, Kind::Updated, Kind::Recovered].map(Some);
    let mut kinds = kinds.into_iter().chain([None]);
    kinds.find(|kind| kind_to_text(*kind) == text)
}

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// `<finding_id>:<revision>`, unique.
    pub id: String,
    /// Which finding it is about; if none, the id of what it is about.
    pub finding_id: String,
    /// What it tells of it; `None` for a message about something that somebody did.
    pub kind: Option<Kind>,
    /// NATS subject.
    pub subject: String,
    /// Headers as a JSON object.
    pub headers: String,
    /// The CloudEvent as JSON.
    pub body: String,
}

impl NewMessage {
    /// What it counts for in `outbox_bytes_max`: the bytes of its texts.
    pub(super) fn bytes(&self) -> u64 {
        [
            &self.id,
            &self.finding_id,
            &self.subject,
            &self.headers,
            &self.body,
        ]
        .iter()
        .map(|text| text.len() as u64)
        .sum()
    }
}

/// A message that waits for its ack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its place: ascending in the order of insertion, never used twice.
    pub seq: i64,
    /// The message.
    pub message: NewMessage,
}

/// A finding as people and the API see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingRow {
    /// 16 hex digits, unique.
    pub finding_id: String,
    /// 16 hex digits, the same for every finding of a key.
    pub finding_key: String,
    /// The rule's id.
    pub rule: String,
    /// Whether it is open.
    pub state: State,
    /// Severity now.
    pub severity: Severity,
    /// Taxonomy domain.
    pub domain: String,
    /// Taxonomy incident type.
    pub incident_type: String,
    /// Event time of its newest revision.
    pub changed_at: Timestamp,
    /// The finding as JSON.
    pub body: String,
    /// Which revision of it that is; 0 in lists, which are read without timelines.
    pub revision: u64,
    /// That revision as its timeline has it, as JSON; empty in lists.
    pub outline: String,
}

/// Which findings to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FindingFilter {
    /// Only those in this state.
    pub state: Option<State>,
    /// Only those of this severity.
    pub severity: Option<Severity>,
    /// Only those of this domain.
    pub domain: Option<String>,
    /// Only those of this incident type.
    pub incident_type: Option<String>,
    /// Only those of this rule.
    pub rule: Option<String>,
    /// Only those about trommel itself, or only all others.
    pub own: Option<bool>,
    /// Only those that have each of these labels, name and value, in their resource scope or on a line of their evidence.
    pub labels: Vec<(String, String)>,
    /// Only those that have this text anywhere, ASCII letters in either case.
    pub text: Option<String>,
    /// Only those that changed at this time or later.
    pub since: Option<Timestamp>,
    /// Only those that changed before this time.
    pub until: Option<Timestamp>,
    /// Only those behind this one: its time of change, and its id.
    pub after: Option<(Timestamp, String)>,
    /// At most this many.
    pub limit: usize,
}

impl FindingRow {
    /// Its place among others: the newest change is the last.
    #[must_use]
    pub fn place(&self) -> (Timestamp, &str) {
        (self.changed_at, &self.finding_id)
    }
}

impl FindingFilter {
    /// Whether it asks for `row`, without its limit.
    #[must_use]
    pub fn takes(&self, row: &FindingRow) -> bool {
        let is = |wanted: &Option<String>, text: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == text)
        };
        let behind = |(at, id): &(Timestamp, String)| row.place() < (*at, id);
        self.state.is_none_or(|state| state == row.state)
            && self
                .severity
                .is_none_or(|severity| severity == row.severity)
            && is(&self.domain, &row.domain)
            && is(&self.incident_type, &row.incident_type)
            && is(&self.rule, &row.rule)
            && self.own.is_none_or(|own| own == is_own(&row.rule))
            && self.since.is_none_or(|since| row.changed_at >= since)
            && self.until.is_none_or(|until| row.changed_at < until)
            && self.after.as_ref().is_none_or(behind)
            && Sieve::new(self).takes(&row.body)
    }
}

/// What findings have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindRow {
    /// Taxonomy domain.
    pub domain: String,
    /// Taxonomy incident type.
    pub incident_type: String,
    /// The rule's id.
    pub rule: String,
}

/// Findings that are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenCounts {
    /// Critical ones, without those about trommel itself; so with the next.
    pub critical: u64,
    /// Warnings.
    pub warning: u64,
    /// What is good to know.
    pub info: u64,
    /// Those about trommel itself, of any severity.
    pub own: u64,
}

impl OpenCounts {
    /// The number that a finding of `rule` with `severity` is counted in.
    pub(super) fn of(&mut self, rule: &str, severity: Severity) -> &mut u64 {
        match severity {
            _ if is_own(rule) => &mut self.own,
            Severity::Critical => &mut self.critical,
            Severity::Warning => &mut self.warning,
            Severity::Info => &mut self.info,
        }
    }
}

/// A finding with all that was said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// As it is now.
    pub finding: FindingRow,
    /// Its first revision and its last ones, as JSON, oldest first.
    pub outlines: Vec<String>,
}

/// Everything that detect continues from after a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saved {
    /// State of every key, by name.
    pub keys: Vec<(KeyName, Vec<u8>)>,
    /// Other state, by name.
    pub state: Vec<(String, Vec<u8>)>,
    /// Rows of identities in the order in which they were committed, each with the newest entry time in it.
    pub identities: Vec<(Timestamp, Vec<u8>)>,
}

/// What a commit did beside what it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CommitOutcome {
    /// Messages left unsent because the outbox was full.
    pub dropped: Dropped,
    /// Waiting `updated` messages that a newer one of the same finding replaced.
    pub replaced: u64,
    /// Messages whose id already waited: ignored.
    pub repeated: u64,
    /// Rows of identities forgotten because their bound was reached: repeats of those entries may count again after a restart.
    pub identities_dropped: u64,
    /// Findings that were over and are forgotten, by age or for want of room.
    pub findings_forgotten: u64,
    /// Entries of what people did that are forgotten, by age or for want of room.
    pub audit_forgotten: u64,
    /// Recorded matches that are forgotten because their bound was reached.
    pub matches_forgotten: u64,
    /// Place of the newest message ever put into the outbox; 0 before the first.
    pub last_seq: i64,
}

/// Messages dropped by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// `observed` messages.
    pub observed: u64,
    /// `updated` messages.
    pub updated: u64,
    /// `recovered` messages.
    pub recovered: u64,
    /// Messages about what people did.
    pub audit: u64,
}

impl Dropped {
    /// All kinds together.
    #[must_use]
    pub fn total(self) -> u64 {
        self.observed + self.updated + self.recovered + self.audit
    }

    pub(super) fn count(&mut self, kind: Option<Kind>) {
        match kind {
            Some(Kind::Observed) => self.observed += 1,
            Some(Kind::Updated) => self.updated += 1,
            Some(Kind::Recovered) => self.recovered += 1,
            None => self.audit += 1,
        }
    }
}

/// What the store may hold. State of keys is bounded by whoever writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of waiting messages. Beyond it the oldest `updated` go first, then the oldest of any kind.
    pub outbox_bytes_max: u64,
    /// Bytes of findings and their timelines. Beyond it those that are over go, the oldest change first.
    pub history_bytes_max: u64,
    /// How long findings that are over are kept.
    pub history_max_age: Duration,
    /// Bytes of identities. Beyond it the rows committed first go: only an entry with a time far in the future
    /// keeps rows from being forgotten long before.
    pub identities_bytes_max: u64,
    /// Bytes of recorded matches and their counts. Beyond it the rule that has most loses its oldest.
    pub matches_bytes_max: u64,
}

impl Limits {
    /// Room for two thousand messages of the largest size, for some twenty thousand usual ones: days of NATS being away.
    pub const OUTBOX_BYTES_MAX: u64 = 64 << 20;
    /// Some ten thousand usual findings; who needs more reads the stream.
    pub const HISTORY_BYTES_MAX: u64 = 32 << 20;
    /// A month: who comes back from a holiday sees what was.
    pub const HISTORY_MAX_AGE: Duration = Duration::from_secs(30 * 24 * 3600);
    /// The most where all of it is in memory.
    pub const HISTORY_BYTES_MAX_IN_MEMORY: u64 = 2 << 20;
    /// Some twelve thousand matches, or a day of a rule that matches all the time.
    pub const MATCHES_BYTES_MAX: u64 = 8 << 20;
    /// The most where all of it is in memory.
    pub const MATCHES_BYTES_MAX_IN_MEMORY: u64 = 1 << 20;
    /// Over a weekend: who changes a rule on Monday sees what it would have done since Friday.
    pub const MATCHES_MAX_AGE: Duration = Duration::from_secs(3 * 24 * 3600);
    /// Four million identities of 16 bytes.
    pub const IDENTITIES_BYTES_MAX: u64 = 64 << 20;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            outbox_bytes_max: Self::OUTBOX_BYTES_MAX,
            history_bytes_max: Self::HISTORY_BYTES_MAX,
            history_max_age: Self::HISTORY_MAX_AGE,
            identities_bytes_max: Self::IDENTITIES_BYTES_MAX,
            matches_bytes_max: Self::MATCHES_BYTES_MAX,
        }
    }
}

/// How much the store holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sizes {
    /// Messages that wait.
    pub outbox_messages: u64,
    /// Their bytes, as counted for [`Limits::outbox_bytes_max`].
    pub outbox_bytes: u64,
    /// Bytes of findings and their timelines, as counted for [`Limits::history_bytes_max`].
    pub history_bytes: u64,
    /// Bytes of recorded matches, as counted for [`Limits::matches_bytes_max`].
    pub matches_bytes: u64,
    /// Bytes on disk (or in memory) of the database and its write-ahead log.
    pub database_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_names_survive_any_characters_and_are_never_confused() {
        let name = |rule: &str, tenant: &str, by: &[&str]| KeyName {
            rule: rule.into(),
            tenant: tenant.into(),
            by: by.iter().collect(),
        };
        let names = [
            name("r", "", &[]),
            name("r", "", &[""]),
            name("r", "", &["", ""]),
            name("r", "a", &["b,c"]),
            name("r", "a", &["b", "c"]),
            name("r", "a", &["b\",\"c"]),
            name("r", "a", &["\0", "\u{1F525}", "\n"]),
        ];
        let texts: HashSet<_> = names.iter().map(key_to_text).collect();
        assert_eq!(texts.len(), names.len());
        for name in names {
            assert_eq!(key_from_text(&key_to_text(&name)), Some(name));
        }
    }

    #[test]
    fn a_failed_commit_absorbs_the_next_and_keeps_the_later_form_of_what_is_in_both() {
        let state = |name: &str, value: Option<&[u8]>| (name.to_owned(), value.map(<[u8]>::to_vec));
        let mut first = Commit {
            state: vec![state("a", Some(b"1")), state("b", Some(b"1"))],
            forget_identities_before: Some(Timestamp::new(7)),
            sent: vec![1],
            ..Commit::default()
        };
        first.absorb(Commit {
            state: vec![state("c", Some(b"2")), state("a", None)],
            sent: vec![2],
            ..Commit::default()
        });
        assert_eq!(
            first,
            Commit {
                state: vec![
                    state("b", Some(b"1")),
                    state("c", Some(b"2")),
                    state("a", None)
                ],
                forget_identities_before: Some(Timestamp::new(7)),
                sent: vec![1, 2],
                ..Commit::default()
            }
        );
    }
}
