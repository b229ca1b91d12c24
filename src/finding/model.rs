//! The fields of a finding: the `data` of every message, version 1.
//!
//! `trommel schema finding` prints the JSON Schema of these types; the committed copy is `schema/finding/1.json`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules::{Confidence, Severity};
use crate::time::Timestamp;

/// One revision of one finding: what is known about it at [`Finding::time`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Version of this structure: 1.
    #[schemars(extend("const" = 1))]
    pub schema_version: u32,
    /// 16 hex digits, fixed at opening: a hash of cluster, tenant, dedupe key and `observed_at`.
    #[schemars(extend("pattern" = "^[0-9a-f]{16}$"))]
    pub finding_id: String,
    /// 1 for the first message, one more for each that follows.
    #[schemars(extend("minimum" = 1))]
    pub revision: u64,
    /// Whether it is open.
    pub state: State,
    /// Why this revision was made.
    pub reason: Reason,
    /// What it was found in: always `logs`.
    #[schemars(extend("const" = "logs"))]
    pub source: String,
    /// Taxonomy domain.
    pub domain: String,
    /// Taxonomy incident type.
    pub incident_type: String,
    /// Severity now.
    pub severity: Severity,
    /// Highest severity it ever had.
    pub severity_max: Severity,
    /// How sure a match of the rule is.
    pub confidence: Confidence,
    /// One line for people.
    pub summary: String,
    /// The key in readable form: `rule{name=value,…}`.
    pub dedupe_key: String,
    /// Where it is wrong: cluster, environment, tenant and the `by` values.
    pub resource_scope: BTreeMap<String, String>,
    /// The rule that found it.
    pub rule: RuleRef,
    /// How often.
    pub counts: Counts,
    /// Time of the oldest entry counted in it.
    #[schemars(with = "String", extend("format" = "date-time"))]
    #[serde(with = "rfc3339")]
    pub first_seen: Timestamp,
    /// Time of the newest entry counted in it.
    #[schemars(with = "String", extend("format" = "date-time"))]
    #[serde(with = "rfc3339")]
    pub last_seen: Timestamp,
    /// When it opened.
    #[schemars(with = "String", extend("format" = "date-time"))]
    #[serde(with = "rfc3339")]
    pub observed_at: Timestamp,
    /// When it recovered, if it has.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    #[serde(with = "rfc3339::option")]
    pub recovered_at: Option<Timestamp>,
    /// Lines that show it, redacted.
    pub evidence: Evidence,
    /// Where the raw lines are.
    pub logs: LogsLink,
    /// Advice for whoever acts; trommel acts on nothing.
    pub policy: Policy,
    /// Link for people.
    pub runbook: Option<String>,
    /// Name of a notification policy.
    pub route: Option<String>,
    /// Names of other rules worth a look.
    pub hints: Vec<String>,
    /// Other findings it belongs with.
    pub related: Vec<Related>,
    /// Who found it.
    pub detector: Detector,
    /// Event time of what caused this revision: the CloudEvents `time`.
    #[serde(skip)]
    #[schemars(skip)]
    pub time: Timestamp,
    /// 16 hex digits: a hash of cluster, tenant and dedupe key, the last token of the NATS subject.
    #[serde(skip)]
    #[schemars(skip)]
    pub finding_key: String,
}

/// Whether a finding is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Something is wrong.
    Open,
    /// It is over.
    Recovered,
}

impl State {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Open, Self::Recovered];

    /// As it is written everywhere.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Recovered => "recovered",
        }
    }

    /// The one that is written so.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// Why a revision was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Observed: the condition became true.
    Opened,
    /// Updated: matches went on and the cooldown has passed.
    StillMatching,
    /// Updated: severity rose.
    Escalated,
    /// Updated: it came back within the cooldown.
    Reopened,
    /// Updated: another finding became a part of it.
    PartJoined,
    /// Updated: open for another 24 h.
    Reminder,
    /// A suppression window ended.
    WindowEnded,
    /// Recovered: the rule's streams went on without a match.
    Quiet,
    /// Recovered: the rule's streams have said nothing since the last match.
    Silent,
    /// Recovered: an entry said so.
    MatchedRecovery,
    /// Recovered: the rule was removed, disabled, or changed its `by`.
    RuleRemoved,
}

/// The rule that found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleRef {
    /// Its id.
    pub id: String,
    /// The author's version.
    pub version: Option<String>,
    /// Hash of the whole resolved rule.
    pub hash: String,
    /// Who looks after it.
    pub owner: Option<String>,
    /// What kind of rule: `threshold`, `absent`, `sequence`, `correlate`, `new_value` or `new_pattern`.
    pub class: String,
    /// Its condition in words.
    pub condition: String,
}

/// How often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// What the condition counts in the rule's window at this revision's time: matches, different values, parts.
    pub window: u64,
    /// Length of that window in seconds.
    pub window_seconds: u64,
    /// Entries in the finding so far, those of the window at opening included.
    pub total: u64,
    /// Entries since the message before this one.
    pub since_last_message: u64,
    /// Messages held back by a suppression window.
    pub suppressed: u64,
    /// Counted entries that came later than `late_by`.
    pub late: u64,
    /// Repeated entries that were not counted.
    pub duplicates_dropped: u64,
    /// How often it came back within the cooldown.
    pub flaps: u64,
}

/// Lines that show a finding, redacted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// Always true: no line leaves without redaction.
    #[schemars(extend("const" = true))]
    pub redacted: bool,
    /// Whether a line was cut or left out for want of room.
    pub truncated: bool,
    /// The first line and the last ones, in order of time.
    pub lines: Vec<EvidenceLine>,
}

/// One quoted line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct EvidenceLine {
    /// The entry's time.
    #[schemars(with = "String", extend("format" = "date-time"))]
    #[serde(with = "rfc3339")]
    pub time: Timestamp,
    /// The labels of its stream.
    #[schemars(with = "BTreeMap<String, String>")]
    pub labels: BTreeMap<String, String>,
    /// The line; bytes that are no UTF-8 are shown as U+FFFD.
    pub line: String,
}

/// Where the raw lines are in Loki.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct LogsLink {
    /// A LogQL query that shows them; empty when the rule reads no lines.
    pub logql: String,
    /// Start of the time range worth showing, RFC 3339.
    #[schemars(with = "String", extend("format" = "date-time"))]
    #[serde(with = "rfc3339")]
    pub from: Timestamp,
    /// End of it.
    #[schemars(with = "String", extend("format" = "date-time"))]
    #[serde(with = "rfc3339")]
    pub to: Timestamp,
    /// Link to Grafana Explore, when a base URL is configured.
    pub url: Option<String>,
}

/// What may be done about it, as advice.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Policy {
    /// Actions that need nobody.
    pub automatic: Vec<String>,
    /// Actions that need somebody's approval.
    pub approval: Vec<String>,
    /// Actions for people only.
    pub human_only: Vec<String>,
}

/// Another finding that belongs with this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Related {
    /// Its id.
    pub finding_id: String,
    /// Its rule.
    pub rule: String,
    /// How it belongs: `part_of` where this finding is a part of the other, `has_part` where the other is a part of this.
    pub relation: String,
}

/// Who found it, and whether everything was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Detector {
    /// `trommel`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether every entry was seen.
    pub coverage: Coverage,
}

/// Whether every entry was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Coverage {
    /// As far as we know.
    #[default]
    Complete,
    /// The tee was silent, or entries were shed: do not act on a recovery.
    Gap,
}

/// Which trommel this is: what all its messages have in common. Names are configured, never taken from host or pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Name of the cluster; part of every id.
    pub cluster: String,
    /// `demo`, `staging`, `production`, …; empty when not configured.
    pub environment: String,
    /// Name of this instance, `default` unless configured.
    pub instance: String,
    /// Where Grafana is, for links: base URL and uid of the Loki data source.
    pub grafana: Option<Grafana>,
}

/// Where Grafana is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grafana {
    /// Base URL without a trailing slash.
    pub url: String,
    /// Uid of the Loki data source.
    pub datasource: String,
}

/// Times in messages: RFC 3339 in UTC.
pub(crate) mod rfc3339 {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::time::Timestamp;

    pub(crate) fn serialize<S: Serializer>(
        time: &Timestamp,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Timestamp, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }

    pub(super) mod option {
        use serde::{Deserialize, Deserializer, Serializer};

        use crate::time::Timestamp;

        pub(crate) fn serialize<S: Serializer>(
            time: &Option<Timestamp>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match time {
                // `serialize_some`, or formats that do not describe themselves could not read it back.
                Some(time) => serializer.serialize_some(&time.to_string()),
                None => serializer.serialize_none(),
            }
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Timestamp>, D::Error> {
            Option::<String>::deserialize(deserializer)?
                .map(|text| text.parse().map_err(serde::de::Error::custom))
                .transpose()
        }
    }
}
