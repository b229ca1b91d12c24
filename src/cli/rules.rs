//! `trommel rules`: which rules ship with trommel.

use clap::Args;

/// List the rules that ship with trommel
#[derive(Debug, Clone, Copy, Args)]
pub struct RulesArgs {
    /// One JSON object with everything about each, as /api/v1/rules answers
    #[arg(long)]
    pub json: bool,
}
