//! The settings file of a running trommel, and which settings change with it.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use xxhash_rust::xxh3::xxh3_128;

use super::{Digest, READS_MAX};
use crate::config::{Changed, Config, ConfigError, Log, Written};
use crate::finding::Origin;

/// Settings that change while trommel runs; a name that ends with a dot means all below it. All others take effect after a restart.
pub const LIVE: [&str; 10] = [
    "builtin",
    "detect.",
    "evidence.redact",
    "evidence.sensitive_namespaces",
    "exclude",
    "grafana.",
    "log.level",
    "reload_interval",
    "rules",
    "rules_writable",
];

/// The settings file, with what else the settings are made of.
pub struct SettingsFile {
    path: Option<PathBuf>,
    load: Box<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>,
}

impl SettingsFile {
    /// The file at `path`, if there is one; `load` reads it, and whatever goes before it, anew.
    #[must_use]
    pub fn new(
        path: Option<PathBuf>,
        load: impl Fn() -> Result<Config, ConfigError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            path,
            load: Box::new(load),
        }
    }

    /// What the file holds; that it cannot be read is a content of its own. Blocks while it reads.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let read = self.path.as_ref().map(fs::read);
        Digest(match read {
            None => 0,
            Some(Ok(text)) => xxh3_128(&text),
            Some(Err(error)) => xxh3_128(format!("cannot read it: {error}").as_bytes()),
        })
    }

    /// The settings as they are written now, with what the file held before they were read: if somebody was just writing it, that is
    /// another content than the next look will find. Blocks while it reads.
    ///
    /// # Errors
    /// As [`Config::load`], beside the digest.
    pub fn load(&self) -> (Digest, Result<Config, ConfigError>) {
        let mut digest = self.digest();
        for _ in 1..READS_MAX {
            let loaded = (self.load)();
            let after = self.digest();
            if after == digest {
                return (digest, loaded);
            }
            digest = after;
        }
        (digest, (self.load)())
    }
}

impl fmt::Debug for SettingsFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        f.debug_struct("SettingsFile")
            .field("path", path)
            .finish_non_exhaustive()
    }
}

/// What another settings file means for a trommel that runs.
#[derive(Debug)]
pub(super) struct Next {
    /// The settings that are in use from now on.
    pub(super) config: Config,
    /// What changes now.
    pub(super) now: Vec<Changed>,
    /// What is written otherwise than trommel was started with, and takes effect after a restart.
    pub(super) after_restart: Vec<Changed>,
}

impl Next {
    /// `written` is what was read; `started` are the settings that trommel was started with, `before` what was read last.
    pub(super) fn new(started: &Config, before: &Written, written: Config) -> Self {
        let is_live = |changed: &Changed| {
            LIVE.iter().any(|live| match live.strip_suffix('.') {
                Some(_) => changed.key.starts_with(live),
                None => changed.key == *live,
            })
        };
        let now = before.changed_in(&written.written).into_iter();
        let later = started.written.changed_in(&written.written).into_iter();
        Self {
            now: now.filter(is_live).collect(),
            after_restart: later.filter(|changed| !is_live(changed)).collect(),
            config: Config {
                rules: written.rules,
                rules_writable: written.rules_writable,
                builtin: written.builtin,
                detect: written.detect,
                redact: written.redact,
                sensitive_namespaces: written.sensitive_namespaces,
                exclude: written.exclude,
                reload_interval: written.reload_interval,
                log: Log {
                    level: written.log.level,
                    ..started.log.clone()
                },
                origin: Origin {
                    grafana: written.origin.grafana,
                    ..started.origin.clone()
                },
                written: written.written,
                ..started.clone()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RawConfig;

    fn config(raw: RawConfig) -> Config {
        Config::check(raw).expect("fine")
    }

    fn written(json: &str) -> Config {
        config(serde_json::from_str(json).expect("settings"))
    }

    #[test]
    fn what_cannot_change_stays_and_is_named_and_the_rest_changes() {
        let started = config(RawConfig::default());
        let next = Next::new(
            &started,
            &started.written,
            written(
                r#"{"listen": "127.0.0.1:9", "exclude": ["app=a"], "log": {"level": "debug", "format": "text"}, "environment": "demo"}"#,
            ),
        );
        let texts = |changed: &[Changed]| -> Vec<String> {
            changed.iter().map(|changed| changed.text.clone()).collect()
        };
        assert_eq!(
            texts(&next.after_restart),
            [
                "`environment` changed from nothing to `demo`",
                "`listen` changed from `127.0.0.1:3101` to `127.0.0.1:9`",
                "`log.format` changed from `auto` to `text`",
            ]
        );
        let now: Vec<&str> = next.now.iter().map(|changed| &*changed.key).collect();
        assert_eq!(now, ["exclude", "log.level"]);
        assert_eq!(next.config.listen, Config::LISTEN);
        assert_eq!(next.config.origin, started.origin);
        assert_eq!(
            (&*next.config.log.level, next.config.log.format),
            ("debug", started.log.format)
        );
        assert_eq!(next.config.exclude.len(), 1);

        // Back again, nothing waits for a restart any more.
        let back = Next::new(&started, &next.config.written, config(RawConfig::default()));
        assert!(back.after_restart.is_empty());
        assert_eq!(back.now.len(), 2);
    }

    #[test]
    fn every_setting_that_is_said_to_change_does() {
        let started = config(RawConfig::default());
        for (live, json) in [
            ("builtin", r#"{"builtin": false}"#),
            ("detect.", r#"{"detect": {"late_by": "1s"}}"#),
            ("detect.", r#"{"detect": {"max_age": "9h"}}"#),
            ("detect.", r#"{"detect": {"tee_silent_after": "1m"}}"#),
            ("detect.", r#"{"detect": {"keys_max": 7}}"#),
            ("detect.", r#"{"detect": {"keys_bytes_max": "7MiB"}}"#),
            ("detect.", r#"{"detect": {"identities_max": 7000}}"#),
            ("evidence.redact", r#"{"evidence": {"redact": ["x+"]}}"#),
            (
                "evidence.sensitive_namespaces",
                r#"{"evidence": {"sensitive_namespaces": ["vault"]}}"#,
            ),
            ("exclude", r#"{"exclude": []}"#),
            (
                "grafana.",
                r#"{"grafana": {"url": "http://g", "datasource": "d"}}"#,
            ),
            ("log.level", r#"{"log": {"level": "debug"}}"#),
            ("reload_interval", r#"{"reload_interval": "1s"}"#),
            ("rules", r#"{"rules": ["r"]}"#),
        ] {
            let next = Next::new(&started, &started.written, written(json));
            assert!(LIVE.contains(&live), "{live}");
            assert!(!next.now.is_empty(), "{live}");
            assert!(next.after_restart.is_empty(), "{live}");
            assert_ne!(
                format!("{:?}", next.config),
                format!("{started:?}"),
                "{live}"
            );
        }
    }
}
