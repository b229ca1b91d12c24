//! Hits in, changes to findings out. Pure: it is told the time and does no I/O.
//!
//! - `condition`: what a key has counted, exactly, in event time, and when its condition is true.
//! - `coverage`: how far a tenant's log has come, and where it was not seen.
//! - `identities`: which entries were counted already.
//! - `lifecycle`: one key's life: waiting, open, recovered, open again; `step`: what it looks at and what it says.
//! - `correlation`: findings that are made of findings. `patterns`: templates of lines.
//! - `evidence`, `report`: what a finding says.
//! - `keys`, `settings`: where keys and timers are kept, within which bounds; `room`: what goes where these are met.
//! - `detector`: all keys of all rules, in order, within bounds.
//! - `reload`: what a new rule set keeps, and what a restart brings back.
//! - `patterns`: templates of lines, found without being told.
//! - `changes`: what has to be stored and sent; `bytes`: in one piece. `tape`: which matches are kept for trying rules.

mod bytes;
mod changes;
mod condition;
mod correlation;
mod coverage;
mod detector;
mod evidence;
mod identities;
mod keys;
mod lifecycle;
mod patterns;
mod recall;
mod reload;
mod report;
mod room;
mod settings;
mod shield;
mod silence;
mod step;
mod tape;
mod watchers;

pub use changes::{Changes, KeyName, RestoreError, Saved};
pub use detector::Detector;
pub use patterns::{Learned, TemplateId, Templates};
pub use report::OWN_TENANT;
pub use settings::{OpenKind, Settings, Sizes, Tally};
pub use tape::{ENTRIES_MAX as TAPE_ENTRIES_MAX, TapeCount, TapeRole, Taped, minute_of};

#[cfg(test)]
mod tests;
