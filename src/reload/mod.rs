//! Rules and settings change while trommel runs: files are looked at, what is new and valid is taken into use, what is not is refused.
//!
//! # How a change is noticed
//!
//! Twice a second (`reload_interval`) all rule files and the settings file are read, and their content is compared with what was loaded
//! last. What is found twice in a row alike, and is not what was tried last, is loaded. So a file that is half written, a
//! directory that is being exchanged (Kubernetes points `..data` elsewhere, then removes what it pointed to) or an editor between
//! delete and create does not make a rule set, and a set that was refused is tried again when it has changed. SIGHUP and
//! `POST /-/reload` look at once and load what is there.
//!
//! There is no watcher (inotify, kqueue): what it tells depends on how a file is replaced, nothing comes from NFS and other network
//! file systems or from behind a symbolic link that is exchanged above the directory watched, queues overflow, and each of those
//! needs the comparison anyway to be noticed. Reading a usual directory costs a millisecond; 32 MiB, which is the most, some ten.
//!
//! # How it is taken into use
//!
//! A new set is built to the side and takes over without a request noticing, as [`inspector`](crate::inspector) tells; what becomes
//! of windows and open findings is written on [`Detector::set_rules`](crate::detect::Detector::set_rules). Everything is
//! done by one task, one change after the other.
//!
//! # What is refused
//!
//! Rules with a mistake and settings with a mistake, each as a whole: what was in use goes on. The log, `/api/v1/rules`,
//! `/api/v1/config`, metrics and a finding about trommel itself say so until valid files are there. Settings that cannot change
//! without a restart are named; the others of the same file change.

mod settings;
mod settle;
mod sources;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::{counter, gauge};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info, warn};

use crate::config::{Changed, Config};
use crate::detect::Settings;
use crate::finding::Redactor;
use crate::inspector::Inspection;
use crate::owner::{Change, TakeOver};
use crate::push::Server;
use crate::recent::Recent;
use crate::rules::{CONFIG_INVALID, RULES_INVALID, RuleSet};
use crate::scan::Scanner;
use crate::selected::Selected;
use crate::telemetry::{self, Telemetry};
use crate::time::{Timestamp, WallClock};
use crate::trial::Terms;

use settings::Next;
use settle::Settle;

pub use settings::{LIVE, SettingsFile};
pub use settle::Digest;
pub use sources::{LoadedRules, RuleFiles, RuleSources};

/// How often files are read at once to find them twice alike, when there is no time for another look: a directory that is just
/// being exchanged is then not read half and half.
const READS_MAX: usize = 5;

/// Most requests to reload that wait for the one that is under way.
const REQUESTS_MAX: usize = 16;

/// What a trommel begins with.
#[derive(Debug)]
pub struct Beginning {
    /// The settings.
    pub config: Config,
    /// Where they come from.
    pub settings: SettingsFile,
    /// What the settings file held that they come from.
    pub settings_digest: Digest,
    /// The rules, without those about trommel itself.
    pub rules: RuleSet,
    /// What the rule files held that they come from.
    pub rules_digest: Digest,
}

/// How things stand with rules and settings, for whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The rules.
    pub rules: Standing,
    /// The settings.
    pub config: Standing,
    /// What is written otherwise than trommel was started with, and takes effect after a restart: a line each.
    pub after_restart: Vec<String>,
}

/// How things stand with one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// When what is in use was last found to be what is in the files, or taken from there.
    pub loaded_at: Timestamp,
    /// When newer files were refused, and why: a line for each thing.
    pub refused: Option<(Timestamp, String)>,
}

impl Status {
    /// Everything was loaded at `at`.
    #[must_use]
    pub fn loaded(at: Timestamp) -> Self {
        let standing = Standing {
            loaded_at: at,
            refused: None,
        };
        Self {
            rules: standing.clone(),
            config: standing,
            after_restart: Vec::new(),
        }
    }
}

/// Why a reload that was asked for did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReloadError {
    /// Files are not valid; a line for each thing that is wrong.
    #[error("{0}")]
    Refused(String),
    /// Trommel is on its way out.
    #[error("stopping")]
    Stopping,
}

type Answer = Result<String, ReloadError>;

/// Where a reload is asked for. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reloads(mpsc::Sender<oneshot::Sender<Answer>>);

/// Where such requests arrive.
#[derive(Debug)]
pub struct ReloadInbox(mpsc::Receiver<oneshot::Sender<Answer>>);

/// A place to ask for reloads, and where they are served.
#[must_use]
pub fn reloads() -> (Reloads, ReloadInbox) {
    let (sender, receiver) = mpsc::channel(REQUESTS_MAX);
    (Reloads(sender), ReloadInbox(receiver))
}

impl Reloads {
    /// Has all files read and loaded at once. Says what is in use then.
    ///
    /// # Errors
    /// [`ReloadError::Refused`] if rules or settings are not valid; those that are were taken.
    pub async fn reload(&self) -> Answer {
        let (reply, answer) = oneshot::channel();
        let sent = self.0.send(reply).await;
        sent.map_err(|_| ReloadError::Stopping)?;
        answer.await.unwrap_or(Err(ReloadError::Stopping))
    }
}

/// What a reload changes, or tells.
pub struct Reached {
    /// Takes pushes.
    pub server: Arc<Server>,
    /// What it inspects them with.
    pub inspection: Inspection,
    /// Has the windows and findings.
    pub owner: mpsc::Sender<Change>,
    /// Which streams rules read.
    pub selected: Arc<Mutex<Selected>>,
    /// The rules in use, those about trommel itself included.
    pub rules: watch::Sender<Arc<RuleSet>>,
    /// Where rules come from.
    pub sources: watch::Sender<RuleSources>,
    /// How things stand.
    pub status: watch::Sender<Status>,
    /// What rules are tried with.
    pub terms: watch::Sender<Arc<Terms>>,
    /// Recent lines, where they are kept.
    pub recent: Option<Arc<Recent>>,
    /// What is measured.
    pub telemetry: Telemetry,
    /// The wall clock.
    pub clock: WallClock,
}

/// The one task that changes rules and settings.
pub struct Reloader {
    /// What trommel was started with.
    started: Config,
    /// What is in use.
    config: Config,
    settings: Arc<SettingsFile>,
    settings_seen: Settle,
    rules_seen: Settle,
    /// What the rule files held that the rules in use come from.
    rules_in_use: Digest,
    after_restart: Vec<Changed>,
    reached: Reached,
}

/// What came of looking at files.
enum Looked<T> {
    /// They are as they were when last tried, or may not be whole.
    AsBefore,
    /// They are valid.
    Valid(T),
    /// They are not; what is wrong.
    Refused(String),
}

impl Reloader {
    /// Begins with settings and rules that were loaded and are in use everywhere in `reached`; the digests are of their files.
    #[must_use]
    pub fn new(
        config: Config,
        settings: SettingsFile,
        settings_digest: Digest,
        rules_digest: Digest,
        reached: Reached,
    ) -> Self {
        let reloader = Self {
            started: config.clone(),
            config,
            settings: Arc::new(settings),
            settings_seen: Settle::new(settings_digest),
            rules_seen: Settle::new(rules_digest),
            rules_in_use: rules_digest,
            after_restart: Vec::new(),
            reached,
        };
        reloader.measure_rules();
        reloader.show_rules(None);
        reloader.show_config(None);
        reloader
    }

    /// Looks again and again, and when asked. Ends with the process.
    pub async fn drive(mut self, mut inbox: ReloadInbox) {
        // What was refused before a restart is fine now, or this one would not have started.
        self.tell_owner(RULES_INVALID, None).await;
        self.tell_owner(CONFIG_INVALID, None).await;
        loop {
            tokio::select! {
                () = pause(self.config.reload_interval) => {
                    // What came of it was told to all who can see.
                    let _ = self.look(false).await;
                }
                Some(reply) = inbox.0.recv() => {
                    // Who asked may have gone.
                    let _ = reply.send(self.look(true).await);
                }
            }
        }
    }

    /// Looks at all files and takes what is new, or all that there is if `at_once`.
    async fn look(&mut self, at_once: bool) -> Answer {
        let mut refusals = Vec::new();
        // Settings first: they say where the rules are.
        let mut changed = false;
        let config = self.look_at_settings(at_once).await;
        match &config {
            Looked::AsBefore => {}
            Looked::Valid(next) => changed = self.take_settings(next, at_once),
            Looked::Refused(why) => refusals.push(why.clone()),
        }
        let mut rules = self.look_at_rules(at_once).await;
        let in_use = Arc::clone(&self.reached.rules.borrow());
        let taken = match &rules {
            Looked::Valid(Some((rules, _))) => self.take_over(Arc::clone(rules), changed).await,
            _ if changed => self.take_over(in_use, true).await,
            _ => Ok(()),
        };
        match (taken, &rules) {
            (Ok(()), Looked::Valid(Some((_, digest)))) => self.rules_in_use = *digest,
            (Ok(()), _) => {}
            (Err(ReloadError::Refused(why)), _) => rules = Looked::Refused(why),
            (Err(ReloadError::Stopping), _) => return Err(ReloadError::Stopping),
        }
        if let Looked::Refused(why) = &rules {
            refusals.push(why.clone());
        }
        match config {
            Looked::AsBefore => {}
            Looked::Valid(_) => self.tell_config(None).await,
            Looked::Refused(why) => self.tell_config(Some(why)).await,
        }
        match rules {
            Looked::AsBefore => {}
            Looked::Valid(_) => self.tell_rules(None).await,
            Looked::Refused(why) => self.tell_rules(Some(why)).await,
        }
        if refusals.is_empty() {
            Ok(self.summary())
        } else {
            Err(ReloadError::Refused(refusals.join("\n")))
        }
    }

    async fn look_at_settings(&mut self, at_once: bool) -> Looked<Next> {
        let settings = Arc::clone(&self.settings);
        let found = match blocking(move || settings.digest()).await {
            Ok(found) => found,
            Err(bug) => return Looked::Refused(bug),
        };
        if !self.settings_seen.see(found) && !at_once {
            return Looked::AsBefore;
        }
        let settings = Arc::clone(&self.settings);
        let (digest, loaded) = match blocking(move || settings.load()).await {
            Ok(loaded) => loaded,
            Err(bug) => return Looked::Refused(bug),
        };
        self.settings_seen.try_now(digest);
        match loaded {
            Ok(config) => Looked::Valid(Next::new(&self.started, &self.config.written, config)),
            Err(error) => Looked::Refused(error.to_string()),
        }
    }

    /// The rules that the files make, with what these held; `None` for those that are in use.
    async fn look_at_rules(&mut self, at_once: bool) -> Looked<Option<(Arc<RuleSet>, Digest)>> {
        let sources = RuleSources::of(&self.config);
        let files = blocking(move || match at_once {
            true => sources.read_settled(),
            false => sources.read(),
        })
        .await;
        let files = match files {
            Ok(files) => files,
            Err(bug) => return Looked::Refused(bug),
        };
        let digest = files.digest();
        if at_once {
            self.rules_seen.try_now(digest);
        } else if !self.rules_seen.see(digest) {
            return Looked::AsBefore;
        }
        if digest == self.rules_in_use {
            return Looked::Valid(None);
        }
        let loaded = blocking(move || files.load().or_refused()).await;
        match loaded.and_then(|loaded| loaded) {
            Ok((set, warnings)) => {
                if warnings > 0 {
                    warn!(
                        warnings,
                        "there are warnings about the new rules; `trommel check` shows them"
                    );
                }
                Looked::Valid(Some((Arc::new(set.with_own()), digest)))
            }
            Err(why) => Looked::Refused(why),
        }
    }

    /// Settings that change are in use from here on; those that others have to be told of are told with the rules: then true.
    fn take_settings(&mut self, next: &Next, asked: bool) -> bool {
        self.config = next.config.clone();
        self.reached
            .terms
            .send_replace(Arc::new(Terms::of(&self.config)));
        if let Some(recent) = &self.reached.recent {
            recent.set_redactor(redactor(&self.config));
        }
        let sources = RuleSources::of(&self.config);
        self.reached.sources.send_replace(sources);
        for Changed { text, .. } in &next.now {
            info!("{text}");
        }
        for changed in &next.after_restart {
            if asked || !self.after_restart.contains(changed) {
                let text = &changed.text;
                warn!("{text}: takes effect after a restart");
            }
        }
        self.after_restart.clone_from(&next.after_restart);
        if next.now.iter().any(|changed| changed.key == "log.level")
            && let Err(error) = telemetry::set_log_filter(&self.config.log.level)
        {
            error!(%error, "the level of logs cannot be changed");
        }
        !next.now.is_empty()
    }

    /// Puts `rules` into use everywhere, and what of the settings goes with them if `settings`.
    async fn take_over(&mut self, rules: Arc<RuleSet>, settings: bool) -> Result<(), ReloadError> {
        let (of_scanner, exclude) = (Arc::clone(&rules), self.config.exclude.clone());
        let scanner = blocking(move || Scanner::new(of_scanner).excluding(exclude)).await;
        let scanner = scanner.map_err(ReloadError::Refused)?;
        let Reached {
            server,
            inspection,
            owner,
            selected,
            clock,
            ..
        } = &mut self.reached;
        let generation = inspection.begin(server, scanner).await;
        let (done, taken) = oneshot::channel();
        let next = TakeOver {
            generation,
            rules: Arc::clone(&rules),
            settings: settings.then(|| (detect_settings(&self.config), redactor(&self.config))),
            done,
        };
        // Only a trommel that ends has no owner; then nothing is scanned any more either.
        let sent = owner.send(Change::TakeOver(Box::new(next))).await;
        sent.map_err(|_| ReloadError::Stopping)?;
        taken.await.map_err(|_| ReloadError::Stopping)?;
        inspection.complete(server).await;
        let now = clock();
        selected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .set_rules(&rules, now);
        info!(
            rules = rules.rules.len(),
            hash = rules.hash,
            "rules taken into use"
        );
        self.reached.rules.send_replace(rules);
        self.measure_rules();
        Ok(())
    }

    fn measure_rules(&self) {
        let rules = self.reached.rules.borrow();
        gauge!(telemetry::RULES_LOADED).set(rules.rules.len() as f64);
        self.reached.telemetry.tell_rules(&rules.hash);
    }

    /// Says that the rule files are fine, or were refused and why.
    async fn tell_rules(&self, refused: Option<String>) {
        self.show_rules(refused.as_deref());
        self.tell_owner(RULES_INVALID, refused).await;
    }

    fn show_rules(&self, refused: Option<&str>) {
        let now = (self.reached.clock)();
        counter!(telemetry::RULES_RELOADS_TOTAL, "outcome" => outcome(refused)).increment(1);
        gauge!(telemetry::RULES_LAST_RELOAD_SUCCESSFUL).set(f64::from(refused.is_none()));
        if refused.is_none() {
            gauge!(telemetry::RULES_LAST_RELOAD_SUCCESS_TIMESTAMP_SECONDS).set(seconds(now));
        }
        for problem in refused.into_iter().flat_map(str::lines) {
            error!(
                problem,
                "rule files are refused, the rules before them go on"
            );
        }
        self.reached
            .status
            .send_modify(|status| status.rules.update(now, refused));
    }

    /// Says that the settings are fine, or were refused and why.
    async fn tell_config(&self, refused: Option<String>) {
        self.show_config(refused.as_deref());
        self.tell_owner(CONFIG_INVALID, refused).await;
    }

    fn show_config(&self, refused: Option<&str>) {
        let now = (self.reached.clock)();
        counter!(telemetry::CONFIG_RELOADS_TOTAL, "outcome" => outcome(refused)).increment(1);
        gauge!(telemetry::CONFIG_LAST_RELOAD_SUCCESSFUL).set(f64::from(refused.is_none()));
        if refused.is_none() {
            gauge!(telemetry::CONFIG_LAST_RELOAD_SUCCESS_TIMESTAMP_SECONDS).set(seconds(now));
        }
        gauge!(telemetry::CONFIG_AFTER_RESTART).set(self.after_restart.len() as f64);
        for problem in refused.into_iter().flat_map(str::lines) {
            error!(problem, "settings are refused, those before them go on");
        }
        let after_restart = self.after_restart.iter();
        let after_restart = after_restart.map(|changed| changed.text.clone()).collect();
        self.reached.status.send_modify(|status| {
            status.config.update(now, refused);
            status.after_restart = after_restart;
        });
    }

    async fn tell_owner(&self, rule: &'static str, error: Option<String>) {
        // A trommel that ends tells nothing more.
        let _ = self
            .reached
            .owner
            .send(Change::Refused { rule, error })
            .await;
    }

    /// What is in use, for whoever asked for a reload.
    fn summary(&self) -> String {
        let rules = self.reached.rules.borrow();
        let mut text = format!("{} rules, hash {}\n", rules.rules.len(), rules.hash);
        for changed in &self.after_restart {
            text += &format!("{}: takes effect after a restart\n", changed.text);
        }
        text
    }
}

impl Standing {
    fn update(&mut self, now: Timestamp, refused: Option<&str>) {
        match refused {
            Some(why) => self.refused = Some((now, why.to_owned())),
            None => {
                *self = Self {
                    loaded_at: now,
                    refused: None,
                };
            }
        }
    }
}

/// How windows and keys are kept, as `config` has it.
#[must_use]
pub fn detect_settings(config: &Config) -> Settings {
    let detect = &config.detect;
    Settings {
        late_by: detect.late_by,
        max_age: Some(detect.max_age),
        silence: Some(detect.tee_silent_after),
        // What does not fit into memory is no bound.
        keys_max: usize::try_from(detect.keys_max).unwrap_or(usize::MAX),
        keys_bytes_max: usize::try_from(detect.keys_bytes_max).unwrap_or(usize::MAX),
        identities_max: usize::try_from(detect.identities_max).unwrap_or(usize::MAX),
        ..Settings::live(config.origin.clone())
    }
}

/// What is redacted, as `config` has it.
#[must_use]
pub fn redactor(config: &Config) -> Redactor {
    Redactor::new(config.redact.clone())
        .with_sensitive_namespaces(config.sensitive_namespaces.clone())
}

fn outcome(refused: Option<&str>) -> &'static str {
    match refused {
        None => "taken",
        Some(_) => "refused",
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.nanos() as f64 / 1e9
}

/// Until it is time to look again; with no time, for ever.
async fn pause(interval: Duration) {
    if interval.is_zero() {
        std::future::pending().await
    } else {
        tokio::time::sleep(interval).await;
    }
}

/// Does on a thread of its own what takes its time. A panic in it is told, and is no reason to stop looking at files.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done),
        Err(error) if error.is_panic() => {
            Err("trommel itself failed over it, which is a bug; the log tells where".to_owned())
        }
        // The process ends, and this with it.
        Err(_) => std::future::pending().await,
    }
}
