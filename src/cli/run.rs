//! `trommel run`: receives, detects and publishes until it is told to stop.

use std::path::PathBuf;

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Exit, sample};
use crate::config::{Config, ConfigError, RawConfig, RawDetect, RawNats, Span};
use crate::reload::{Beginning, ReloadError, Reloads, RuleFiles, RuleSources, SettingsFile};
use crate::rules::{self, RuleSet};
use crate::service::Service;
use crate::telemetry;
use crate::time::{TimeError, Timestamp, parse_duration};

/// Receive logs, detect, and publish findings
///
/// Every setting can also be written in the file, or as a variable: limits.body_bytes_max is TROMMEL_LIMITS_BODY_BYTES_MAX.
/// A flag goes before a variable, that before the file. `trommel schema config` describes them all.
#[derive(Debug, Clone, Default, Args)]
pub struct RunArgs {
    /// Settings file (YAML)
    #[arg(long, value_name = "FILE", env = "TROMMEL_CONFIG")]
    pub config: Option<PathBuf>,
    /// Rule file or directory; may be given several times
    #[arg(long, value_name = "PATH")]
    pub rules: Vec<PathBuf>,
    /// Address for log pushes [default: 127.0.0.1:3101]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Address for metrics, health and the API [default: 127.0.0.1:3102]
    #[arg(long, value_name = "ADDR")]
    pub admin_listen: Option<String>,
    /// Show metrics, findings and rules to everybody, also at an address that other hosts can reach
    #[arg(long)]
    pub insecure_admin: bool,
    /// Directory for state that outlives a restart [default: in memory only]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// NATS server to publish to, such as nats://localhost:4222 [default: none, findings go to stdout]
    #[arg(long, value_name = "URL")]
    pub nats: Option<String>,
    /// Name of the environment: chooses rules by their `environments`
    #[arg(long, value_name = "NAME")]
    pub environment: Option<String>,
    /// Name of the cluster: part of every finding's id [default: default]
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// Age beyond which an entry decides nothing [default: 1h]
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub max_age: Option<Span>,
    /// Leave out the rules that ship with trommel
    #[arg(long)]
    pub no_builtin: bool,
    /// Push a small recorded incident through the push port, to see a finding open and recover
    #[arg(long)]
    pub sample: bool,
}

fn span(text: &str) -> Result<Span, TimeError> {
    parse_duration(text).map(Span)
}

/// Runs until SIGTERM or SIGINT; a second signal ends it at once. SIGHUP has files read anew.
pub(super) fn run(arguments: &RunArgs, diagnostics: &mut impl Write) -> anyhow::Result<Exit> {
    let again = arguments.clone();
    let settings = SettingsFile::new(arguments.config.clone(), move || again.to_config());
    let (settings_digest, config) = settings.load();
    let config = config?;
    if arguments.sample && (config.push.tls.is_some() || config.push.ask_anything()) {
        anyhow::bail!(
            "--sample pushes without TLS and credentials, which `push` asks for: leave out one of them"
        );
    }
    telemetry::start_log(&config.log.level, config.log.format)?;
    let files = RuleSources::of(&config).read();
    let rules_digest = files.digest();
    let Some(rules) = load_rules(files, diagnostics)? else {
        writeln!(
            diagnostics,
            "trommel: the rules are not valid; nothing was started"
        )?;
        return Ok(Exit::CouldNotRun);
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let shutdown_delay = config.shutdown_delay;
    let ended = runtime.block_on(async {
        // Handled from here on, or a signal during the start would end the process at once.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let hangup = signal(SignalKind::hangup())?;
        let beginning = Beginning {
            config,
            settings,
            settings_digest,
            rules,
            rules_digest,
        };
        let service = Service::start(beginning, Arc::new(Timestamp::wall_clock)).await?;
        tokio::spawn(reload_on(hangup, service.reloads()));
        if arguments.sample {
            tokio::spawn(sample::push(service.push_address()));
        }
        let delay = tokio::select! {
            _ = terminate.recv() => shutdown_delay,
            // Somebody sits in front of it, and no load balancer has to hear of it first.
            _ = interrupt.recv() => Duration::ZERO,
        };
        tracing::info!(answering_for = ?delay, "stopping on a signal");
        tokio::select! {
            () = service.stop(delay) => tracing::info!("stopped"),
            _ = terminate.recv() => tracing::warn!("stopped at once on a second signal"),
            _ = interrupt.recv() => tracing::warn!("stopped at once on a second signal"),
        }
        Ok(Exit::Fine)
    });
    // Without waiting for threads that a disk or a reader of stdout holds up: all that could be saved has been.
    runtime.shutdown_background();
    ended
}

/// The rules that `files` make; problems are shown. `None` if they are not valid.
fn load_rules(files: RuleFiles, diagnostics: &mut impl Write) -> anyhow::Result<Option<RuleSet>> {
    let loaded = files.load();
    if !loaded.problems.is_empty() {
        let colour = telemetry::colour_is_wanted() && std::io::stderr().is_terminal();
        let report = rules::report::text(&loaded.problems, &loaded.sources, colour);
        write!(diagnostics, "{report}")?;
    }
    Ok(loaded.set)
}

/// Has files read anew on every signal.
async fn reload_on(mut hangup: Signal, reloads: Reloads) {
    while hangup.recv().await.is_some() {
        tracing::info!("reloading on a signal");
        // What is refused was logged where it was found.
        if reloads.reload().await == Err(ReloadError::Stopping) {
            return;
        }
    }
}

impl RunArgs {
    /// The settings that these arguments, the environment and the file make.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn to_config(&self) -> Result<Config, ConfigError> {
        // What is no UTF-8 goes on with marks in it, so that the error which follows shows it.
        let variable =
            |name: &str| std::env::var_os(name).map(|text| text.to_string_lossy().into_owned());
        Config::load(self.config.as_deref(), variable, &self.to_layer())
    }

    fn to_layer(&self) -> RawConfig {
        RawConfig {
            listen: self.listen.clone(),
            admin_listen: self.admin_listen.clone(),
            insecure_admin: self.insecure_admin.then_some(true),
            data: self.data.clone(),
            rules: (!self.rules.is_empty()).then(|| self.rules.clone()),
            builtin: self.no_builtin.then_some(false),
            environment: self.environment.clone(),
            cluster: self.cluster.clone(),
            nats: RawNats {
                url: self.nats.clone(),
                ..RawNats::default()
            },
            detect: RawDetect {
                max_age: self.max_age,
                ..RawDetect::default()
            },
            ..RawConfig::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::parse;
    use super::*;
    use crate::config::Config;

    #[test]
    fn every_flag_reaches_its_setting() {
        let arguments: RunArgs = parse(&[
            "--rules",
            "a.yaml",
            "--rules",
            "b",
            "--listen",
            "0.0.0.0:0",
            "--admin-listen",
            "[::1]:9",
            "--insecure-admin",
            "--data",
            "/var/lib/trommel",
            "--nats",
            "nats://n:4222",
            "--environment",
            "demo",
            "--cluster",
            "c1",
            "--max-age",
            "26h",
            "--no-builtin",
            "--sample",
        ])
        .expect("flags of the command");
        assert_eq!(arguments.to_layer().insecure_admin, Some(true));
        let config = Config::check(arguments.to_layer()).expect("fine");
        assert!(arguments.sample);
        assert_eq!(config.rules, [PathBuf::from("a.yaml"), PathBuf::from("b")]);
        assert_eq!(config.listen.to_string(), "0.0.0.0:0");
        assert_eq!(config.admin_listen.to_string(), "[::1]:9");
        assert_eq!(config.data, Some(PathBuf::from("/var/lib/trommel")));
        assert_eq!(config.nats.expect("given").url, "nats://n:4222");
        assert_eq!(config.origin.environment, "demo");
        assert_eq!(config.origin.cluster, "c1");
        assert_eq!(config.detect.max_age, Duration::from_secs(26 * 3600));
        assert!(!config.builtin && !config.stdout);
    }

    #[test]
    fn without_flags_nothing_is_set() {
        let arguments: RunArgs = parse(&[]).expect("no flag is required");
        assert_eq!(arguments.to_layer(), RawConfig::default());
    }

    #[test]
    fn a_wrong_duration_says_how_to_write_it() {
        let error = parse::<RunArgs>(&["--max-age", "1 day"]).expect_err("no duration");
        assert!(error.contains("30s, 10m, 1h30m, 1d"), "{error}");
    }
}
