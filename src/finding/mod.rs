//! What a finding is: its fields, its message form, and what must never be in it.

mod fit;
mod id;
mod logql;
mod message;
mod model;
mod outline;
mod redact;
mod schema;
mod summary;

pub(crate) use id::shows;
pub use id::{dedupe_key, finding_id, finding_key};
#[cfg(test)]
pub(crate) use message::tests::sample;
pub use message::{CONTENT_TYPE, DATA_SCHEMA, Kind, Message, MessageSettings};
pub(crate) use model::rfc3339;
pub use model::{
    Counts, Coverage, Detector, Evidence, EvidenceLine, Finding, Grafana, LogsLink, Origin, Policy,
    Reason, Related, RuleRef, State,
};
pub use outline::Outline;
pub use redact::Redactor;
pub use schema::finding_schema;
pub(crate) use schema::schema_of;
#[cfg(test)]
pub(crate) use schema::{assert_allowed, validator};
pub use summary::{SUMMARY_CHARS_MAX, SummaryValues, summarize};
