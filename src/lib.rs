//! Trommel listens to the log stream that Loki stores and says only what matters.
//!
//! # The life of a batch
//!
//! ```text
//! push ──▶ scan ──▶ detect ──▶ record ──▶ publish
//! bytes    batch    hits       findings   messages
//! → batch  → hits   → changes  → rows     → acks
//! ```
//!
//! 1. [`push`]: one HTTP request becomes one [`batch::Batch`]: the decompressed block and an index into it. Lines are never copied.
//! 2. [`scan`]: the block is searched as a whole for the literals that the rules require; what survives becomes [`hit::Hit`]s.
//! 3. [`detect`]: one owner applies hits to windows and open findings, in order of event time. The same input gives the same findings.
//! 4. [`record`]: what a batch changed goes to disk in one transaction; then, and only then, the request is answered 204.
//! 5. [`publish`]: messages go out in order, each until its ack is seen.
//!
//! [`finding`] says what a finding is, [`rules`] what is looked for. Dependencies point one way: rules ← scan ← detect ← record,
//! and rules ← finding ← detect; `push` knows only the batch and what it hands on. The shell around them: [`owner`] is the
//! one thread that has the detector and the database, [`inspector`] is what pushes are looked at with, [`reload`] exchanges rules
//! and settings under both while they work, [`service`] joins the rooms, [`cli`] starts it. [`playback`] is the same
//! life without a shell: entries that are at hand in, messages out. `replay` feeds it from files, [`rule_test`] from a test's
//! lines. [`access`] decides who may come in; what they do there goes by way of [`acts`] to the owner, which writes it down as [`audit`] has it. [`explain`] tells why a rule does or does not fire, [`selected`] which rules have no stream to read.
//! [`trial`] tries rules beside those that are live, on lines that [`recent`] keeps and matches that [`record`] does.
//! [`rule_check`] looks at rules before they run, and [`workshop`] changes the files of those that do.
//!
//! # What is absent, and why
//!
//! - `scan`, `detect`, `finding`, `playback`, `explain` and the decoders of `push` do no I/O, read no clock and spawn nothing: they
//!   are told the time.
//! - Nothing executes, fetches or templates anything that a rule says.
//! - No answer waits for NATS, and none is 429 or 5xx for being busy: Alloy would hold back Loki's own logs.
//! - Raw lines never leave, save the few redacted ones that a finding quotes.

pub mod access;
pub mod acts;
pub mod audit;
pub mod batch;
pub mod cli;
pub mod config;
pub mod detect;
pub mod explain;
pub mod finding;
pub mod hit;
pub mod inspector;
mod key;
pub mod owner;
pub mod playback;
pub mod publish;
pub mod push;
pub mod recent;
pub mod record;
pub mod reload;
pub mod rule_check;
pub mod rule_test;
pub mod rules;
pub mod scan;
pub mod selected;
pub mod service;
pub mod silence;
pub mod telemetry;
pub mod text;
pub mod time;
pub mod trial;
pub mod web;
pub mod workshop;
