//! `trommel run`: receives, detects and publishes until it is told to stop.

use std::path::PathBuf;

use clap::Args;

use crate::config::{Config, ConfigError, RawConfig, RawDetect, RawNats, Span};
use crate::time::{TimeError, parse_duration};

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
