//! What a finding is: its fields, its message form, and what must never be in it.

mod model;

pub use model::{
    Counts, Coverage, Detector, Evidence, EvidenceLine, Finding, Grafana, LogsLink, Origin, Policy,
    Reason, Related, RuleRef, State,
};
