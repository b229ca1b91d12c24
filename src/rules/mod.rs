//! From YAML to a [`RuleSet`]: everything wrong with all files is reported at once, and a set is valid or refused as a whole.
//!
//! ```text
//! files ──▶ yaml ──▶ read ──▶ load ──▶ RuleSet
//! texts     nodes    drafts   checks across rules, hashes, warnings
//!           with     (threshold, selector, pattern, summary: a text each)
//!           places
//! ```
//!
//! `keys` is the one table of the language: it drives reading, suggestions and the JSON Schema. `report` shows problems.
//! `edit` changes files and leaves the rest of them as it is.
//! `taxonomy` is what kinds of incidents there are, and who may do what about them; `shipped` is what rules may extend.
//! Nothing here executes, fetches or templates anything that a rule says.

mod code;
mod condition;
mod derived;
pub mod edit;
mod exclusion;
pub mod explain;
mod files;
mod hash;
mod keys;
mod lint;
mod load;
mod model;
mod order;
mod own;
mod pattern;
mod problem;
mod read;
mod references;
pub mod report;
mod schedule;
mod schema;
mod selector;
mod sharing;
mod shipped;
mod summary;
mod taxonomy;
pub mod test_file;
mod threshold;
mod yaml;

#[cfg(test)]
pub(crate) mod tests;

pub use code::{Code, Level};
pub use condition::{
    Absent, Condition, Correlate, Decimal, Distinct, Needs, Part, Ratio, Sequence, Spike, Step,
    Threshold,
};
pub use derived::DERIVED;
pub use exclusion::Exclusion;
pub use files::{FilesRead, builtin, read_paths, read_test_paths};
pub use load::{Environment, Example, LoadOptions, Loaded, RULES_MAX, load};
pub use model::{
    Advice, Comparison, Confidence, EscalateWhen, Escalation, EvidenceRules, Exclude,
    FieldCondition, FieldTest, Item, Match, Off, Parse, Pattern, Recover, Rule, RuleSet, Severity,
    Source, Summary, SummaryPart, WhyOff,
};
pub use own::{
    CLOCK_SKEW, CONFIG_INVALID, DETAIL, DISK_FULL, KEYS_EVICTED, MESSAGES_LOST, OVERLOADED,
    OWN_PREFIX, PUBLISH_STALLED, RULES_INVALID, TEE_SILENT, is_own,
};
pub use problem::{Problem, SourceText};
pub use schedule::{Schedule, ScheduleError, suppressed_until};
pub use schema::{schema, test_schema};
pub use selector::{Matcher, Selector, SelectorError, Test};
pub use sharing::Sharing;
pub use taxonomy::{
    Action, ActionClass, Domain, IncidentType, Origin, Permission, Policy, Profile, Statement,
    Taxonomy,
};
