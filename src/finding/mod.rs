//! What a finding is: its fields, its message form, and what must never be in it.

mod id;
mod model;
mod redact;

pub use id::{dedupe_key, finding_id, finding_key};
pub use model::{
    Counts, Coverage, Detector, Evidence, EvidenceLine, Finding, Grafana, LogsLink, Origin, Policy,
    Reason, Related, RuleRef, State,
};
pub use redact::Redactor;
