//! `trommel completions`: what a shell needs to complete our arguments.

use std::io::Write;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Exit};

/// Print completions for a shell
#[derive(Debug, Clone, Copy, Args)]
pub struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Prints the script.
pub(super) fn run(arguments: &CompletionsArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    // Not straight to `out`: the generator panics when it cannot write, and a reader may leave at any time.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "trommel", &mut script);
    out.write_all(&script)?;
    Ok(Exit::Fine)
}
