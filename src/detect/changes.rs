//! What leaves the detector: messages to send, and the state that a restart needs.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::coverage::Clock;
use super::identities::Identity;
use super::lifecycle::{KeyState, Packed};
use super::tape::{TapeCount, Taped};
use crate::batch::EntryId;
use crate::finding::Finding;
use crate::hit::Key;
use crate::time::Timestamp;

/// The name of a key as it is stored: it outlives rule sets and processes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName {
    /// The rule's id.
    pub rule: Arc<str>,
    /// The tenant, empty when none was sent.
    pub tenant: Arc<str>,
    /// The values of the rule's `by`.
    pub by: Key,
}

/// What has changed since it was last taken. State is opaque bytes, in a form that only the same schema version reads.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Keys and their state; `None` for one that is gone.
    pub keys: BTreeMap<KeyName, Option<Vec<u8>>>,
    /// Clocks and what has been forgotten, by name.
    pub state: BTreeMap<String, Vec<u8>>,
    /// Identities that were counted.
    identities: Vec<Identity>,
    /// Identities whose newest time is before this are of no more use.
    pub forget_identities_before: Option<Timestamp>,
    /// New revisions of findings, in the order in which they must be sent.
    told: Vec<PackedMessage>,
    /// Findings that ended without a message: one-shot events. For the record only.
    pub ended: Vec<Finding>,
    /// Findings that others have told of and that go on here. For the record only.
    pub recalled: Vec<Finding>,
    /// Matched entries to be recorded, where they are.
    pub taped: Vec<Taped>,
    /// How many matches there were, by rule and minute, where they are recorded.
    pub tape_counts: Vec<TapeCount>,
}

/// A message until it is on disk. Packed, since in a storm there are thousands.
#[derive(Debug, Clone, PartialEq)]
struct PackedMessage {
    time: Timestamp,
    finding_key: Box<str>,
    rest: Packed,
}

impl PackedMessage {
    fn new(finding: &Finding) -> Self {
        Self {
            time: finding.time,
            finding_key: finding.finding_key.as_str().into(),
            rest: Packed::new(finding),
        }
    }

    fn unpack(self) -> Finding {
        Finding {
            time: self.time,
            finding_key: self.finding_key.into(),
            ..self.rest.unpack().expect("what was packed here unpacks")
        }
    }
}

impl Changes {
    /// Takes the new revisions of findings, in the order in which they must be sent: each takes its full size when its turn comes.
    pub fn take_findings(&mut self) -> impl ExactSizeIterator<Item = Finding> + use<> {
        std::mem::take(&mut self.told)
            .into_iter()
            .map(PackedMessage::unpack)
    }

    /// The same, which stay.
    #[cfg(test)]
    pub(super) fn findings(&self) -> Vec<Finding> {
        self.told
            .iter()
            .cloned()
            .map(PackedMessage::unpack)
            .collect()
    }

    /// How many there are.
    #[must_use]
    pub fn told(&self) -> usize {
        self.told.len()
    }

    /// Adds a new revision of a finding.
    pub(super) fn tell(&mut self, finding: &Finding) {
        self.told.push(PackedMessage::new(finding));
    }

    /// Whether there is nothing to store.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
            && self.state.is_empty()
            && self.identities.is_empty()
            && self.told.is_empty()
    }

    /// Adds what changed after `self`.
    pub fn extend(&mut self, later: Self) {
        self.keys.extend(later.keys);
        self.state.extend(later.state);
        self.identities.extend(later.identities);
        self.told.extend(later.told);
        self.ended.extend(later.ended);
        self.recalled.extend(later.recalled);
        self.taped.extend(later.taped);
        self.tape_counts.extend(later.tape_counts);
        self.forget_identities_before = later
            .forget_identities_before
            .or(self.forget_identities_before);
    }

    /// The counted identities as one compact row, with the newest time in it; `None` when there are none.
    /// A time after `ceiling` counts as that, or one entry from the far future would keep its row for ever.
    #[must_use]
    pub fn identities(&self, ceiling: Timestamp) -> Option<(Timestamp, Vec<u8>)> {
        let newest = self.identities.iter().map(|identity| identity.at).max()?;
        Some((newest.min(ceiling), encode(&self.identities)))
    }

    pub(super) fn remember(&mut self, meaning: u64, at: Timestamp, entry: EntryId) {
        self.identities.push(Identity { meaning, at, entry });
    }

    /// A key is gone.
    pub(super) fn forget_key(&mut self, rule: &str, tenant: &Arc<str>, by: &Key) {
        let name = KeyName {
            rule: rule.into(),
            tenant: Arc::clone(tenant),
            by: by.clone(),
        };
        self.keys.insert(name, None);
    }

    pub(super) fn save_clock(&mut self, tenant: &str, clock: &Clock) {
        self.state.insert(format!("{CLOCK}{tenant}"), encode(clock));
    }

    /// Since when streams that a rule reads have been seen.
    pub(super) fn save_seen(&mut self, meaning: u64, tenant: &str, since: Timestamp) {
        self.state
            .insert(format!("{SEEN}{meaning:016x}:{tenant}"), encode(&since));
    }

    pub(super) fn save_forgotten(&mut self, meaning: u64, forgotten: Option<Timestamp>) {
        self.state
            .insert(format!("{FORGOTTEN}{meaning:016x}"), encode(&forgotten));
    }
}

const CLOCK: &str = "clock:";
const FORGOTTEN: &str = "forgotten:";
const SEEN: &str = "seen:";

/// A key's state with what tells whether it still means the same.
#[derive(Deserialize)]
pub(super) struct SavedKey {
    pub(super) meaning: u64,
    pub(super) by: Vec<String>,
    pub(super) state: Box<KeyState>,
}

/// All state of a detector, as it was stored.
#[derive(Debug, Clone, Default)]
pub struct Saved {
    /// Keys and their state.
    pub keys: Vec<(KeyName, Vec<u8>)>,
    /// Named pieces of state.
    pub state: Vec<(String, Vec<u8>)>,
    /// Rows of identities, oldest first.
    pub identities: Vec<Vec<u8>>,
}

/// Stored state that cannot be read: written by another version, or damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "stored state of {what} cannot be read ({cause}); it was written by another version or is damaged"
)]
pub struct RestoreError {
    what: String,
    cause: String,
}

/// What was restored, readable.
pub(super) struct Restored {
    pub(super) keys: Vec<(KeyName, SavedKey)>,
    pub(super) clocks: Vec<(String, Clock)>,
    pub(super) forgotten: Vec<(u64, Option<Timestamp>)>,
    /// Meaning of the rule, tenant, since when.
    pub(super) seen: Vec<(u64, String, Timestamp)>,
    pub(super) identities: Vec<Identity>,
}

impl Saved {
    pub(super) fn read(self) -> Result<Restored, RestoreError> {
        let mut restored = Restored {
            keys: Vec::new(),
            clocks: Vec::new(),
            forgotten: Vec::new(),
            seen: Vec::new(),
            identities: Vec::new(),
        };
        for (name, bytes) in self.keys {
            let key = decode(&bytes, || {
                format!("key {} {:?} of rule {}", name.tenant, name.by, name.rule)
            })?;
            restored.keys.push((name, key));
        }
        for (name, bytes) in self.state {
            if let Some(tenant) = name.strip_prefix(CLOCK) {
                restored
                    .clocks
                    .push((tenant.to_owned(), decode(&bytes, || name.clone())?));
            } else if let Some(meaning) = name.strip_prefix(FORGOTTEN) {
                let meaning = u64::from_str_radix(meaning, 16).unwrap_or_default();
                restored
                    .forgotten
                    .push((meaning, decode(&bytes, || name.clone())?));
            } else if let Some((meaning, tenant)) = name
                .strip_prefix(SEEN)
                .and_then(|name| name.split_once(':'))
            {
                let meaning = u64::from_str_radix(meaning, 16).unwrap_or_default();
                let since = decode(&bytes, || name.clone())?;
                restored.seen.push((meaning, tenant.to_owned(), since));
            }
        }
        for bytes in self.identities {
            let row: Vec<Identity> = decode(&bytes, || "identities".to_owned())?;
            restored.identities.extend(row);
        }
        Ok(restored)
    }
}

pub(super) fn save_key(meaning: u64, by: &[String], state: &KeyState) -> Vec<u8> {
    // Borrowed twin of `SavedKey`: the state stays where it is.
    encode(&(meaning, by, state))
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    let bytes = postcard::to_stdvec(value);
    let mut bytes = bytes.expect("plain structures of known length always serialise");
    // Of a storm's keys there are thousands until they are on disk.
    bytes.shrink_to_fit();
    bytes
}

fn decode<'a, T: Deserialize<'a>>(
    bytes: &'a [u8],
    what: impl Fn() -> String,
) -> Result<T, RestoreError> {
    postcard::from_bytes(bytes).map_err(|error| RestoreError {
        what: what(),
        cause: error.to_string(),
    })
}
