//! Who changed what, when and why: one entry for each change that somebody made, kept in the database and told as a message.
//!
//! An entry begins as a [`Deed`], what whoever changes something says of it. The owner of the database makes an [`Entry`] of it, with a time and an id, and
//! writes it in the commit that holds the change itself, or none. What is written is never altered; the oldest entries go beyond bounds.
//!
//! Texts come from people and from rule files, so they are cut, and redacted like lines of logs.

mod message;
mod schema;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::finding::rfc3339;
use crate::time::Timestamp;

pub use message::{AUDIT_TOKEN, DATA_SCHEMA, Event};
pub use schema::audit_schema;

/// Most bytes of a target.
const TARGET_BYTES_MAX: usize = 512;
/// Most bytes of a reason.
pub const REASON_BYTES_MAX: usize = 2 << 10;
/// Most bytes of a difference; beyond it the rest is left out, and that is said.
const DIFF_BYTES_MAX: usize = 16 << 10;
/// Where a text was cut.
const CUT: &str = "\n… cut";

/// What somebody did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum What {
    /// A rule that was not there is.
    #[serde(rename = "rule.added")]
    RuleAdded,
    /// A rule says something else.
    #[serde(rename = "rule.changed")]
    RuleChanged,
    /// A rule is no longer there.
    #[serde(rename = "rule.removed")]
    RuleRemoved,
    /// A rule that was off is on.
    #[serde(rename = "rule.enabled")]
    RuleEnabled,
    /// A rule that was on is off.
    #[serde(rename = "rule.disabled")]
    RuleDisabled,
    /// Messages are held back.
    #[serde(rename = "silence.created")]
    SilenceCreated,
    /// Somebody ended a silence before its time.
    #[serde(rename = "silence.ended")]
    SilenceEnded,
    /// Somebody had files read anew, and what was in them is in use.
    #[serde(rename = "reloaded")]
    Reloaded,
}

impl What {
    /// All there are.
    pub const ALL: [Self; 8] = [
        Self::RuleAdded,
        Self::RuleChanged,
        Self::RuleRemoved,
        Self::RuleEnabled,
        Self::RuleDisabled,
        Self::SilenceCreated,
        Self::SilenceEnded,
        Self::Reloaded,
    ];

    /// As it is stored and sent: what it is about, and what became of that.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RuleAdded => "rule.added",
            Self::RuleChanged => "rule.changed",
            Self::RuleRemoved => "rule.removed",
            Self::RuleEnabled => "rule.enabled",
            Self::RuleDisabled => "rule.disabled",
            Self::SilenceCreated => "silence.created",
            Self::SilenceEnded => "silence.ended",
            Self::Reloaded => "reloaded",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|what| what.as_str() == name)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A change, as whoever makes it tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// What they are called.
    pub who: String,
    /// What they did.
    pub what: What,
    /// To what: a rule's id, a silence's id; empty where there is only one such thing.
    pub target: String,
    /// Why, in their own words; may be empty.
    pub reason: String,
    /// What is different, for people: a unified diff, or a line that says it; may be empty.
    pub diff: String,
}

/// A change that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// 16 hex digits, unique.
    #[schemars(extend("pattern" = "^[0-9a-f]{16}$"))]
    pub id: String,
    /// When, by the wall clock.
    #[schemars(with = "String", extend("format" = "date-time"))]
    #[serde(with = "rfc3339")]
    pub time: Timestamp,
    /// Who: a user, the name of a token's file, the common name of a certificate, or `anonymous`.
    pub who: String,
    /// What they did.
    pub what: What,
    /// To what: a rule's id, a silence's id; empty where there is only one such thing.
    pub target: String,
    /// Why, in their own words; may be empty.
    pub reason: String,
    /// What is different, for people; may be empty, is redacted, and cut where it is long.
    pub diff: String,
}

impl Entry {
    /// The id of what `source` did at `time`, which was the `number`th thing that it did since it was started.
    #[must_use]
    pub fn id_of(source: &str, time: Timestamp, number: u64) -> String {
        let mut hash = Sha256::new();
        hash.update(time.nanos().to_le_bytes());
        hash.update(number.to_le_bytes());
        hash.update(source);
        let first = &hash.finalize()[..8];
        first.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// `deed`, done at `time`. `id` is unique; `redact` takes what must not be kept out of a text.
    #[must_use]
    pub fn new(id: String, time: Timestamp, deed: Deed, redact: impl Fn(&str) -> String) -> Self {
        let Deed {
            who,
            what,
            target,
            reason,
            diff,
        } = deed;
        // Redacted whole, so that no secret is cut where it would no longer be known for one.
        Self {
            id,
            time,
            who,
            what,
            target: cut(redact(&target), TARGET_BYTES_MAX),
            reason: cut(redact(&reason), REASON_BYTES_MAX),
            diff: cut(redact(&diff), DIFF_BYTES_MAX),
        }
    }
}

/// At most `bytes_max` of `text`, and a word about it where it was more.
fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        shorten(&mut text, bytes_max.saturating_sub(CUT.len()));
        text += CUT;
    }
    text
}

/// At most `bytes_max` of `text`, in whole characters.
fn shorten(text: &mut String, bytes_max: usize) {
    let end = (0..=bytes_max.min(text.len())).rev();
    let end = end.into_iter().find(|&end| text.is_char_boundary(end));
    text.truncate(end.unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_deed_has_one_name() {
        for what in What::ALL {
            assert_eq!(What::named(what.as_str()), Some(what));
            assert_eq!(serde_json::to_value(what).expect("a word"), what.as_str());
        }
        assert_eq!(What::named("rule"), None);
    }

    #[test]
    fn texts_are_redacted_first_and_cut_then() {
        let deed = Deed {
            who: "ann".to_owned(),
            what: What::RuleChanged,
            target: "r".to_owned(),
            reason: "é".repeat(REASON_BYTES_MAX),
            diff: "x".repeat(DIFF_BYTES_MAX),
        };
        let entry = Entry::new(String::new(), Timestamp::new(0), deed, |text| {
            text.replace('x', "y")
        });
        assert_eq!(entry.diff, "y".repeat(DIFF_BYTES_MAX));
        assert!(entry.reason.len() <= REASON_BYTES_MAX && entry.reason.ends_with("é\n… cut"));
    }
}
