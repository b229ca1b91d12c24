//! From YAML to a [`RuleSet`]: everything wrong with all files is reported at once, and a set is valid or refused as a whole.

mod model;
mod pattern;
mod selector;

pub use model::{
    Comparison, Confidence, EvidenceRules, Exclude, FieldCondition, FieldTest, Item, Match, Needs,
    Parse, Pattern, Recover, Rule, RuleSet, Severity, Source, Summary, SummaryPart, Threshold,
};
pub use selector::{Matcher, Selector, Test};
