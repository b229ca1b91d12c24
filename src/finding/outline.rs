//! What a revision said beside its evidence: an entry of a finding's timeline.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::{Counts, Coverage, Finding, Reason, State, rfc3339};
use crate::rules::Severity;
use crate::time::Timestamp;

/// One revision in few words; some 400 bytes as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outline {
    /// Which revision.
    pub revision: u64,
    /// Event time of what caused it.
    #[schemars(with = "String", extend("format" = "date-time"))]
    #[serde(with = "rfc3339")]
    pub time: Timestamp,
    /// Whether the finding was open.
    pub state: State,
    /// Why there was a message.
    pub reason: Reason,
    /// Severity then.
    pub severity: Severity,
    /// Its summary then.
    pub summary: String,
    /// Its counts then.
    pub counts: Counts,
    /// Whether every entry had been seen.
    pub coverage: Coverage,
}

impl From<&Finding> for Outline {
    fn from(finding: &Finding) -> Self {
        Self {
            revision: finding.revision,
            time: finding.time,
            state: finding.state,
            reason: finding.reason,
            severity: finding.severity,
            summary: finding.summary.clone(),
            counts: finding.counts,
            coverage: finding.detector.coverage,
        }
    }
}
