//! `trommel nats setup`: the streams that findings, and what is made of them, go to.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::output::{Output, visible};
use super::{Exit, RunArgs};
use crate::publish::{NatsSettings, StreamReport, StreamState, set_up_streams};

/// Prepare NATS for trommel and for the consumers of its findings
#[derive(Debug, Clone, Args)]
pub struct NatsArgs {
    #[command(subcommand)]
    command: NatsCommand,
}

#[derive(Debug, Clone, Subcommand)]
enum NatsCommand {
    Setup(SetupArgs),
}

/// Make the JetStream streams that are missing, and say what is wrong with those that exist
///
/// These are the stream of findings, and OPS_INCIDENTS, OPS_APPROVALS, OPS_REMEDIATIONS and OPS_CHATOPS for what consumers make of
/// them. A stream that exists is never altered. Server, credentials and TLS are the settings of `trommel run`: its file, and
/// TROMMEL_NATS_… variables.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXIT_CODES)]
pub struct SetupArgs {
    /// Settings file (YAML), as for `trommel run`
    #[arg(long, value_name = "FILE", env = "TROMMEL_CONFIG")]
    pub config: Option<PathBuf>,
    /// NATS server, such as nats://localhost:4222
    #[arg(long, value_name = "URL")]
    pub nats: Option<String>,
    /// Servers that keep each stream: 1, or 3 or 5 where as many form a cluster
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
    pub replicas: u8,
    /// Make nothing, only look
    #[arg(long)]
    pub check: bool,
}

const EXIT_CODES: &str =
    "Exit codes: 0 every stream is there as it should be; 1 one differs, or --check misses one;
2 the server cannot be reached, or refuses.";

/// How long the server may take to let us in: a pod of NATS that is about to be ready takes some seconds.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn run(arguments: &NatsArgs, out: &mut impl Output) -> anyhow::Result<Exit> {
    let NatsCommand::Setup(arguments) = &arguments.command;
    let settings = settings(arguments)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let replicas = usize::from(arguments.replicas);
    let set_up = set_up_streams(&settings, replicas, arguments.check, PATIENCE);
    let reports = runtime.block_on(set_up)?;
    for StreamReport { name, state } in &reports {
        writeln!(out, "{name:<16} {}", visible(&words(state)))?;
    }
    let is_fine =
        |report: &StreamReport| matches!(report.state, StreamState::Made | StreamState::Fine);
    Ok(if reports.iter().all(is_fine) {
        Exit::Fine
    } else {
        Exit::Problems
    })
}

fn settings(arguments: &SetupArgs) -> anyhow::Result<NatsSettings> {
    let run = RunArgs {
        config: arguments.config.clone(),
        nats: arguments.nats.clone(),
        ..RunArgs::default()
    };
    let config = run.to_config()?;
    let Some(nats) = &config.nats else {
        anyhow::bail!(
            "no NATS server is given: write --nats nats://host:4222, TROMMEL_NATS_URL, or nats.url in the file of --config"
        );
    };
    let settings = NatsSettings::from(nats);
    if let Err(problems) = settings.check_files() {
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        anyhow::bail!(problems.join("\n"));
    }
    Ok(settings)
}

fn words(state: &StreamState) -> String {
    match state {
        StreamState::Made => "made".to_owned(),
        StreamState::Missing => "missing".to_owned(),
        StreamState::Fine => "as it should be".to_owned(),
        StreamState::Differs(differences) => {
            format!("differs, and is left as it is: {}", differences.join("; "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::trommel;
    use super::*;

    #[test]
    fn it_wants_to_know_where_nats_is() {
        let (exit, out, diagnostics) = trommel(&["nats", "setup"]);
        assert_eq!((exit, &*out), (Exit::CouldNotRun, ""));
        expect_test::expect![[r#"
            trommel: no NATS server is given: write --nats nats://host:4222, TROMMEL_NATS_URL, or nats.url in the file of --config
        "#]]
        .assert_eq(&diagnostics);
    }

    #[test]
    fn what_is_wrong_with_its_files_is_said_before_anything_is_asked() {
        let file = super::super::tests::Scratch::new();
        let settings = file.write(
            "trommel.yaml",
            "nats: {url: 'nats://127.0.0.1:1', token_file: /nowhere/token}\n",
        );
        let (exit, _, diagnostics) = trommel(&["nats", "setup", "--config", &settings]);
        assert_eq!(exit, Exit::CouldNotRun);
        assert_eq!(
            diagnostics,
            "trommel: nats.token_file: /nowhere/token: cannot be read: No such file or directory (os error 2)\n"
        );
    }

    #[test]
    fn replicas_are_one_to_five() {
        for (replicas, exit) in [("0", Exit::CouldNotRun), ("6", Exit::CouldNotRun)] {
            assert_eq!(trommel(&["nats", "setup", "--replicas", replicas]).0, exit);
        }
    }
}
