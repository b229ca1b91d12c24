//! Tests of rules: what a test file says, made to happen, and what is different from what it expects.
//!
//! - `suite`: a test file with its rules, ready to run, or everything that is wrong with it.
//! - `run`: one test over a rule set, in the log's own time: days take milliseconds.
//! - `told`: a message as a test looks at it.
//! - `compare`: messages that were expected beside those that came.
//!
//! How such files are written is [`rules::test_file`](crate::rules::test_file)'s. Pure: files are read by whoever asks.

mod compare;
mod run;
mod suite;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod told;

pub use compare::{Comparison, DiffLine, Side};
pub use run::{Ran, run};
pub use suite::Suite;
pub use told::Told;
