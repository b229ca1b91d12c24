//! How good the rules that ship are, on real lines: what they find, what they miss, and what they take for something it is not.
//!
//! The lines are no part of trommel: they lie beside the checkout, in `../shared/corpus`, whose README says how they are counted.
//! Without them these tests say so and pass. `cargo test --test quality -- --nocapture` prints what was measured; with
//! `TROMMEL_QUALITY_RULES=DIR` other rules are measured than those in `rules/`, and on other lines with `TROMMEL_QUALITY_CORPUS=DIR`.
//!
//! - `labelled`: lines with the signal that each should raise: precision, recall, and hard negatives.
//! - `bulk`: whole logs of sixteen systems. Every match is listed in `verdicts.tsv` with a verdict, by somebody who has read it.
//! - `redaction`: secrets that are left, and ordinary lines that are changed.
//! - `overlap`: which rules also take a line that another catches; it is a short list, and read.
//! - `page`: `docs/rule-pack.md`, written from the rules.

mod bulk;
mod corpus;
mod labelled;
mod overlap;
mod pack;
mod page;
mod redaction;
mod shape;
