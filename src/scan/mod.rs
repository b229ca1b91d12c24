//! From a batch to hits: which entries mean something to which rule.
//!
//! Nearly all lines mean nothing, so the work is to find that out fast. [`Scanner`] searches a batch's block as a whole, without
//! looking at lines, for literals that the rules require (`literals`, `search`); only where one lies, a line is looked up, its stream
//! held against the selector, and the rule itself asked (`confirm`). [`matches()`] is the same question asked in the plainest way,
//! for single lines; that both always agree is the room's chief property, tested on random rules and lines.
//!
//! Pure: no I/O, no clock but one that a worker brings to see what rules cost (`spent`), nothing shared but the immutable [`Scanner`];
//! each worker brings its own [`Scratch`].

mod confirm;
#[cfg(test)]
mod corpus;
mod derived;
mod examples;
mod explain;
mod fields;
mod glance;
mod grams;
mod hits;
mod level;
mod line;
mod literals;
mod matcher;
mod needles;
mod ordinary;
mod pass;
mod plan;
mod pod_name;
#[cfg(test)]
mod properties;
mod scanner;
mod search;
mod spent;
#[cfg(test)]
mod testing;

pub use examples::matching_rules;
pub use explain::{Explained, FieldSeen, ItemSeen, Near, Seen, Spoiler, explain, unasked};
pub(crate) use fields::find as field;
pub use glance::Glance;
pub use hits::VALUE_BYTES_MAX;
pub use line::{Line, Metadata};
pub use matcher::{Matched, Verdict, judge, matches};
pub use plan::Cost;
pub use scanner::{Scanner, Scratch};
pub use spent::Spent;
