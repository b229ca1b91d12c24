//! The command line: arguments in, exit code out. Each command is one file, read from top to bottom.
//!
//! stdout is the result and nothing else; diagnostics go to stderr. Exit codes are part of the contract: see [`Exit`].

mod check;
mod compile;
mod completions;
mod explain;
mod input;
mod nats;
mod output;
mod policy;
mod progress;
mod replay;
mod rules;
mod run;
mod sample;
mod scan;
mod schema;
mod test;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use output::Output;

pub use check::{CheckArgs, CheckFormat};
pub use completions::CompletionsArgs;
pub use explain::{ExplainArgs, ExplainFormat};
pub use input::{Input, InputArgs};
pub use nats::{NatsArgs, SetupArgs};
pub use policy::{PolicyArgs, PolicyFormat};
pub use progress::ShowProgress;
pub use replay::ReplayArgs;
pub use rules::RulesArgs;
pub use run::RunArgs;
pub use scan::{ScanArgs, ScanFormat};
pub use schema::{SchemaArgs, SchemaOf};
pub use test::TestArgs;

/// A log detector beside Grafana Alloy and Loki.
///
/// It takes a tee of the Loki push stream, matches every line against rules, and publishes findings, each once, to NATS JetStream or stdout.
#[derive(Debug, Parser)]
#[command(name = "trommel", version, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 fine; 1 problems, or findings where they were asked for; 2 could not run.
Colours are left out when NO_COLOR is set. TROMMEL_LOG sets the level of logs: error, warn, info, debug.";

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<RunArgs>),
    Check(CheckArgs),
    Test(TestArgs),
    Scan(ScanArgs),
    Explain(ExplainArgs),
    Replay(ReplayArgs),
    Rules(RulesArgs),
    Policy(PolicyArgs),
    Nats(NatsArgs),
    Schema(SchemaArgs),
    Completions(CompletionsArgs),
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: it did what it should and found nothing to complain about.
    Fine,
    /// 1: rules have problems, or there are findings where the question was whether there are any.
    Problems,
    /// 2: it could not run: wrong arguments, unreadable files, an address in use.
    CouldNotRun,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Fine => 0,
            Exit::Problems => 1,
            Exit::CouldNotRun => 2,
        })
    }
}

/// The whole program.
#[must_use]
pub fn main() -> ExitCode {
    let (mut out, mut diagnostics) = (io::stdout(), io::stderr());
    execute(std::env::args_os(), &mut out, &mut diagnostics).into()
}

/// Runs the command that `arguments` name, the program's own name first.
fn execute(
    arguments: impl IntoIterator<Item = OsString>,
    out: &mut impl Output,
    diagnostics: &mut impl Output,
) -> Exit {
    let command = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli.command,
        Err(answer) => return show(&answer),
    };
    let ended = match command {
        Command::Run(arguments) => run::run(&arguments, diagnostics),
        Command::Check(arguments) => check::run(&arguments, out, diagnostics),
        Command::Test(arguments) => test::run(&arguments, out, diagnostics),
        Command::Scan(arguments) => scan::run(&arguments, out, diagnostics),
        Command::Explain(arguments) => explain::run(&arguments, out, diagnostics),
        Command::Replay(arguments) => replay::run(&arguments, out, diagnostics),
        Command::Rules(arguments) => rules::run(&arguments, out, diagnostics),
        Command::Policy(arguments) => policy::run(&arguments, out, diagnostics),
        Command::Nats(arguments) => nats::run(&arguments, out),
        Command::Schema(arguments) => schema::run(&arguments, out),
        Command::Completions(arguments) => completions::run(&arguments, out),
    };
    let written = ended.and_then(|exit| {
        out.flush()?;
        Ok(exit)
    });
    match written {
        Ok(exit) => exit,
        // Whoever reads our output has seen enough, as `head` does.
        Err(error) if is_broken_pipe(&error) => Exit::Fine,
        Err(error) => {
            // With stderr gone there is nobody left to tell.
            let _ = writeln!(diagnostics, "trommel: {}", with_causes(&error));
            Exit::CouldNotRun
        }
    }
}

/// Shows help and version on stdout, misuse on stderr, coloured where wanted.
fn show(answer: &clap::Error) -> Exit {
    // With the stream gone there is nobody left to tell.
    let _ = answer.print();
    if answer.use_stderr() {
        Exit::CouldNotRun
    } else {
        Exit::Fine
    }
}

/// An error with its causes, each once: some messages hold their cause already.
fn with_causes(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    use clap::{Args, CommandFactory};

    use super::*;

    /// What a command's arguments are read as.
    pub(super) fn parse<A: Args>(line: &[&str]) -> Result<A, String> {
        let command = A::augment_args(clap::Command::new("trommel"));
        command.clone().debug_assert();
        command
            .try_get_matches_from(std::iter::once(&"trommel").chain(line))
            .and_then(|matches| A::from_arg_matches(&matches))
            .map_err(|error| error.to_string())
    }

    /// Runs a command and gives its exit, its result and its diagnostics.
    pub(super) fn trommel(line: &[&str]) -> (Exit, String, String) {
        let (mut out, mut diagnostics) = (Vec::new(), Vec::new());
        let arguments = std::iter::once(&"trommel").chain(line).map(OsString::from);
        let exit = execute(arguments, &mut out, &mut diagnostics);
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (exit, text(out), text(diagnostics))
    }

    /// A directory of its own that goes away again.
    pub(super) struct Scratch(PathBuf);

    impl Scratch {
        pub(super) fn new() -> Self {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let place = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("trommel-cli-{}-{place}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&path).expect("a temporary directory");
            Self(path)
        }

        /// Writes a file and gives its path.
        pub(super) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
            std::fs::write(self.0.join(name), bytes).expect("a file");
            self.path(name)
        }

        /// The path of `name`, whether it is there or not.
        pub(super) fn path(&self, name: &str) -> String {
            self.0.join(name).to_str().expect("ASCII").to_owned()
        }

        /// `text` without the directory, which differs from run to run.
        pub(super) fn strip(&self, text: &str) -> String {
            text.replace(&format!("{}/", self.0.display()), "")
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_definition_of_the_arguments_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_and_version_are_fine_and_misuse_could_not_run() {
        for line in [&["--help"][..], &["schema", "--help"], &["--version"]] {
            assert_eq!(trommel(line).0, Exit::Fine, "{line:?}");
        }
        for line in [
            &[][..],
            &["nonsense"],
            &["schema"],
            &["schema", "config", "--nonsense"],
        ] {
            assert_eq!(trommel(line).0, Exit::CouldNotRun, "{line:?}");
        }
    }

    #[test]
    fn help_states_the_exit_codes() {
        let help = Cli::command().render_long_help().to_string();
        assert!(
            help.contains("0 fine; 1 problems") && help.contains("2 could not run"),
            "{help}"
        );
    }

    #[test]
    fn the_schema_of_settings_is_json_on_stdout() {
        let (exit, out, diagnostics) = trommel(&["schema", "config"]);
        assert_eq!((exit, &*diagnostics), (Exit::Fine, ""));
        let schema: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!(schema["properties"]["cluster"]["default"], "default");
    }

    #[test]
    fn every_shell_gets_completions() {
        for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
            let (exit, out, _) = trommel(&["completions", shell]);
            assert_eq!(exit, Exit::Fine, "{shell}");
            assert!(out.contains("schema"), "{shell}");
        }
    }

    /// An output that fails with `kind`.
    struct Fails(io::ErrorKind);

    impl Write for Fails {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Output for Fails {
        fn shows_color(&self) -> bool {
            false
        }

        fn is_terminal(&self) -> bool {
            false
        }
    }

    #[test]
    fn a_reader_that_leaves_is_fine_and_a_full_disk_is_not() {
        let line = ["trommel", "schema", "config"].map(OsString::from);
        let mut diagnostics = Vec::new();
        let exit = execute(
            line.clone(),
            &mut Fails(io::ErrorKind::BrokenPipe),
            &mut diagnostics,
        );
        assert_eq!((exit, diagnostics.len()), (Exit::Fine, 0));
        let exit = execute(
            line,
            &mut Fails(io::ErrorKind::StorageFull),
            &mut diagnostics,
        );
        assert_eq!(exit, Exit::CouldNotRun);
        assert_eq!(diagnostics, b"trommel: no storage space\n");
    }
}
