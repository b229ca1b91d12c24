//! A running trommel: the rooms joined by channels, from the push port to the publishers.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tracing::{error, info, warn};

use crate::access::{self, Gate, Listener};
use crate::acts::acts;
use crate::config::{self, Config, Memory};
use crate::detect::Detector;
use crate::finding::MessageSettings;
use crate::inspector::Inspection;
use crate::owner::{Inbox, Owner, OwnerError, Standing, Surroundings};
use crate::publish::{
    NatsError, NatsSettings, Outbox, OutboxRequest, Recall, Status, publish_to_writer,
    recall_and_publish_to_nats,
};
use crate::push::{ENTRY_BYTES, Limits, Phase, Pressure, Server};
use crate::recent::Recent;
use crate::record::{self, Archive, Store, StoreError};
use crate::reload::{
    Beginning, Reached, Reloader, Reloads, RuleSources, Status as ReloadStatus, detect_settings,
    redactor, reloads,
};
use crate::scan::Scanner;
use crate::selected::Selected;
use crate::telemetry::{self, Telemetry};
use crate::time::WallClock;
use crate::trial::Terms;
use crate::web::{self, Admin, Trying};
use crate::workshop::Workshop;

/// Most scanned requests that wait for the owner. They hold hits, not blocks; what does not fit is shed at the deadline.
const SUBMISSIONS_MAX: usize = 256;

/// How often histograms are folded, so that samples nobody scrapes do not pile up.
const UPKEEP: Duration = Duration::from_secs(5);

/// How often it is looked for rules without a stream: far more often than a day has hours.
const UNSELECTED: Duration = Duration::from_secs(60);

/// How long requests under way may take to end once trommel stops.
const REQUESTS: Duration = Duration::from_secs(5);

/// How long publishers may go on with what waits after that.
const FLUSH: Duration = Duration::from_secs(3);

/// How long the last commit may take after that. Only a disk that hangs takes longer; what it does not take was not answered as recorded.
const LAST_COMMIT: Duration = Duration::from_secs(5);

/// Why a trommel could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address} ({key}): {error}")]
    Listen {
        /// The setting.
        key: &'static str,
        /// Its value.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// Files of certificates, tokens or passwords cannot be used: one line for each.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Access(Vec<access::Problem>),
    /// The data directory cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What it holds cannot be used.
    #[error(transparent)]
    Owner(#[from] OwnerError),
    /// A thread or runtime cannot be made.
    #[error("cannot start the detector's thread: {0}")]
    Thread(io::Error),
}

/// A running trommel.
pub struct Service {
    push: SocketAddr,
    admin: SocketAddr,
    phase: watch::Sender<Phase>,
    ready: watch::Sender<bool>,
    stop_owner: watch::Sender<bool>,
    stop_web: watch::Sender<bool>,
    serving: tokio::task::JoinHandle<()>,
    beside: JoinSet<()>,
    publishing: JoinSet<()>,
    outbox: mpsc::Sender<OutboxRequest>,
    owner: JoinHandle<()>,
    reloads: Reloads,
}

impl Service {
    /// Starts everything: when this returns, pushes are taken.
    ///
    /// # Errors
    /// [`StartError`] for an address, a directory or state that cannot be used. NATS need not be there.
    pub async fn start(beginning: Beginning, clock: WallClock) -> Result<Self, StartError> {
        let Beginning {
            config,
            settings,
            settings_digest,
            rules,
            rules_digest,
        } = beginning;
        let telemetry = telemetry::install();
        let rules = Arc::new(rules.with_own());
        let scanner = Scanner::new(Arc::clone(&rules)).excluding(config.exclude.clone());
        let selected = Arc::new(Mutex::new(Selected::new(&rules, clock())));
        let (unselected_sender, unselected) = watch::channel(Vec::new());

        let [push_gate, admin_gate] = gates(&config)?;
        let push_listener = listen("listen", config.listen).await?;
        let admin_listener = listen("admin_listen", config.admin_listen).await?;
        let (push, admin) = (
            local(&push_listener, config.listen),
            local(&admin_listener, config.admin_listen),
        );

        let history_bytes_max = match config.data {
            Some(_) => config.history_bytes_max,
            None => (config.history_bytes_max).min(record::Limits::HISTORY_BYTES_MAX_IN_MEMORY),
        };
        let matches_bytes_max = match config.data {
            Some(_) => config.matches_bytes_max,
            None => (config.matches_bytes_max).min(record::Limits::MATCHES_BYTES_MAX_IN_MEMORY),
        };
        let store = Store::open(
            config.data.as_deref(),
            record::Limits {
                outbox_bytes_max: config.outbox_bytes_max,
                history_bytes_max,
                history_max_age: config.history_max_age,
                matches_bytes_max,
                ..record::Limits::default()
            },
        )?;
        let redactor = redactor(&config);
        let mut detector = Detector::new(
            detect_settings(&config),
            redactor.clone(),
            Arc::clone(&rules),
        );
        if matches_bytes_max > 0 {
            detector.record_matches();
        }
        let pressure = Arc::new(Pressure::default());
        let (newest_sender, newest) = watch::channel(0);
        let (changed_sender, changed) = watch::channel(());
        let (unsaved_sender, unsaved) = watch::channel(Vec::new());
        let (standing_sender, standing) = watch::channel(Standing::of_start(clock()));
        let archive = Archive::open(store.reader(unsaved)?).map_err(StartError::Thread)?;
        let (submissions, submissions_inbox) = mpsc::channel(SUBMISSIONS_MAX);
        let (outbox, outbox_inbox) = mpsc::channel(64);
        let (changes, changes_inbox) = mpsc::channel(4);
        let (acts, acts_inbox) = acts();
        let (stop_owner, owner_stop) = watch::channel(false);
        let subject_prefix = config.nats.as_ref().map(|nats| nats.subject_prefix.clone());
        let mut messages = MessageSettings::default();
        messages.subject_prefix = subject_prefix.unwrap_or(messages.subject_prefix);
        let nats_status = config.nats.is_some().then(Arc::<Status>::default);
        let owner = Owner::new(
            detector,
            store,
            Surroundings {
                origin: config.origin.clone(),
                messages,
                clock: Arc::clone(&clock),
                pressure: Arc::clone(&pressure),
                publishers: usize::from(config.nats.is_some()) + usize::from(config.stdout),
                nats: nats_status.clone(),
                newest: newest_sender,
                changed: changed_sender,
                unsaved: unsaved_sender,
                standing: standing_sender,
            },
        )?;
        let read_back = config.nats.as_ref().map(|nats| nats.read_back);
        let read_back = read_back.filter(|time| owner.knows_nothing() && !time.is_zero());
        let (recall, recalled) = read_back
            .map(|patience| {
                let (reply, recalled) = oneshot::channel();
                let source = config.origin.source();
                (Recall { source, reply }, (recalled, patience))
            })
            .unzip();
        let inbox = Inbox {
            recall: recalled,
            submissions: submissions_inbox,
            outbox: outbox_inbox,
            changes: changes_inbox,
            acts: acts_inbox,
            stop: owner_stop,
        };
        let owner = spawn_owner(owner, inbox)?;

        let publishing = publish(&config, nats_status, recall, &outbox, &newest);
        let (ready, readiness) = watch::channel(true);
        let (stop_web, web_stop) = watch::channel(false);
        let (rules_sender, rules_in_use) = watch::channel(Arc::clone(&rules));
        let (status_sender, status) = watch::channel(ReloadStatus::loaded(clock()));
        let (terms_sender, terms) = watch::channel(Arc::new(Terms::of(&config)));
        let recent = config.recent_lines.then(|| {
            let bytes_max = count(config.memory.recent());
            Arc::new(Recent::new(bytes_max, redactor))
        });
        let (reloads, reload_inbox) = reloads();
        let (sources_sender, sources) = watch::channel(RuleSources::of(&config));
        let mut beside = JoinSet::new();
        beside.spawn(web::serve(
            admin_listener,
            Arc::new(Admin {
                telemetry: telemetry.clone(),
                archive,
                changed,
                workshop: Workshop::new(sources, rules_in_use.clone()),
                standing,
                rules: rules_in_use,
                unselected,
                status,
                reloads: reloads.clone(),
                acts,
                clock: Arc::clone(&clock),
                ready: readiness,
                trying: Trying::new(terms, recent.clone(), Arc::clone(&clock)),
            }),
            Arc::clone(&admin_gate),
            web_stop,
        ));
        beside.spawn(access::keep_up([Arc::clone(&push_gate), admin_gate]));
        beside.spawn(keep_up(telemetry.clone()));
        beside.spawn(tell_unselected(
            Arc::clone(&selected),
            Arc::clone(&clock),
            unselected_sender,
        ));

        let inspection = Inspection::new(
            scanner,
            Arc::clone(&selected),
            recent.clone(),
            Arc::clone(&clock),
        );
        let server = Server::new(
            push_limits(&config.limits, config.memory),
            inspection.inspector(),
            submissions,
            pressure,
            Arc::clone(&clock),
        );
        let server = Arc::new(server.behind(push_gate));
        let (phase, phases) = watch::channel(Phase::Serving);
        let serving = tokio::spawn(Arc::clone(&server).serve(push_listener, phases));
        let reached = Reached {
            server,
            inspection,
            owner: changes,
            selected,
            rules: rules_sender,
            sources: sources_sender,
            status: status_sender,
            terms: terms_sender,
            recent,
            telemetry,
            clock,
        };
        let reloader = Reloader::new(config, settings, settings_digest, rules_digest, reached);
        beside.spawn(reloader.drive(reload_inbox));
        info!(push = %push, admin = %admin, "listening");
        Ok(Self {
            push,
            admin,
            phase,
            ready,
            stop_owner,
            stop_web,
            serving,
            beside,
            publishing,
            outbox,
            owner,
            reloads,
        })
    }

    /// Where pushes are taken.
    #[must_use]
    pub fn push_address(&self) -> SocketAddr {
        self.push
    }

    /// Where metrics, health and the API are.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// Where a reload of rules and settings is asked for.
    #[must_use]
    pub fn reloads(&self) -> Reloads {
        self.reloads.clone()
    }

    /// Stops in order: readiness ends at once, while every push is served for `delay` more; then no request is accepted, those under way
    /// are recorded and answered, what waits is published as far as it can be, and everything ends.
    ///
    /// Takes at most `delay` and 13 seconds. Dropping the future cuts it short; what was recorded stays recorded.
    pub async fn stop(mut self, delay: Duration) {
        // Receivers may have gone already; then there is nothing to stop.
        let _ = self.ready.send(false);
        let _ = self.phase.send(Phase::Leaving);
        tokio::time::sleep(delay).await;
        let by = Instant::now() + REQUESTS;
        let _ = self.phase.send(Phase::Stopping { by });
        if (&mut self.serving).await.is_err() {
            error!("the push server ended in a panic");
        }
        let flushed = timeout_at(Instant::now() + FLUSH, self.flush()).await;
        if flushed.is_err() && !self.publishing.is_empty() {
            warn!(
                "messages are left unsent; they are sent after the next start if there is a data directory"
            );
        }
        let _ = self.stop_owner.send(true);
        let _ = self.stop_web.send(true);
        let owner = self.owner;
        let ended = tokio::task::spawn_blocking(move || owner.join());
        match timeout_at(Instant::now() + LAST_COMMIT, ended).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(_)) | Err(_)) => error!("the detector's thread ended in a panic"),
            Err(_) => error!("the last commit took longer than {LAST_COMMIT:?} and is given up"),
        }
        self.publishing.shutdown().await;
        self.beside.shutdown().await;
    }

    /// Returns when nothing waits to be sent any more.
    async fn flush(&mut self) {
        loop {
            let (reply, answer) = tokio::sync::oneshot::channel();
            let request = OutboxRequest::Next { after: 0, reply };
            if self.outbox.send(request).await.is_err() || matches!(answer.await, Ok(None) | Err(_))
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// What both listeners ask of their clients; with the same errors for the files that NATS asks for.
fn gates(config: &Config) -> Result<[Arc<Gate>; 2], StartError> {
    let push = Gate::open(Listener::Push, &config.push);
    let admin = Gate::open(Listener::Admin, &config.admin);
    let nats = config.nats.as_ref().map(NatsSettings::from);
    let nats = nats.map_or(Ok(()), |nats| nats.check_files());
    match (push, admin, nats) {
        (Ok(push), Ok(admin), Ok(())) => Ok([push, admin].map(Arc::new)),
        (push, admin, nats) => {
            let problems = [push.err(), admin.err(), nats.err()].into_iter().flatten();
            Err(StartError::Access(problems.flatten().collect()))
        }
    }
}

async fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| StartError::Listen {
            key,
            address,
            error,
        })
}

/// The port that was picked, where 0 was asked for.
fn local(listener: &TcpListener, asked: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(asked)
}

fn spawn_owner(owner: Owner, inbox: Inbox) -> Result<JoinHandle<()>, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(StartError::Thread)?;
    std::thread::Builder::new()
        .name("owner".to_owned())
        .spawn(move || runtime.block_on(owner.drive(inbox)))
        .map_err(StartError::Thread)
}

fn publish(
    config: &Config,
    status: Option<Arc<Status>>,
    recall: Option<Recall>,
    outbox: &mpsc::Sender<OutboxRequest>,
    newest: &watch::Receiver<i64>,
) -> JoinSet<()> {
    let mut publishing = JoinSet::new();
    if let Some(nats) = &config.nats {
        let settings = NatsSettings::from(nats);
        let outbox = Outbox::new(outbox.clone(), newest.clone());
        let status = status.unwrap_or_default();
        publishing.spawn(async move {
            let ended: Result<(), NatsError> =
                recall_and_publish_to_nats(recall, outbox, &settings, status).await;
            if let Err(error) = ended {
                error!(%error, "NATS can never be reached with these settings; findings wait in the outbox");
            }
        });
    }
    if config.stdout {
        let outbox = Outbox::new(outbox.clone(), newest.clone());
        publishing.spawn(async move {
            let written = match own_stdout() {
                Ok(stdout) => publish_to_writer(outbox, stdout, Arc::default()).await,
                Err(error) => Err(error),
            };
            if let Err(error) = written {
                error!(%error, "findings can no longer be written to stdout; they wait in the outbox");
            }
        });
    }
    publishing
}

/// Stdout without the lock that all of the process shares: whoever holds it while a reader has stopped reading would keep the process from ending.
fn own_stdout() -> io::Result<File> {
    io::stdout().as_fd().try_clone_to_owned().map(File::from)
}

async fn keep_up(telemetry: Telemetry) {
    let mut tick = tokio::time::interval(UPKEEP);
    loop {
        tick.tick().await;
        telemetry.upkeep();
    }
}

/// Tells once a minute which rules have had no stream for a day: each when it begins and when it ends.
async fn tell_unselected(
    selected: Arc<Mutex<Selected>>,
    clock: WallClock,
    told: watch::Sender<Vec<String>>,
) {
    let mut tick = tokio::time::interval(UNSELECTED);
    loop {
        tick.tick().await;
        let without: Vec<String> = {
            let selected = selected.lock().unwrap_or_else(PoisonError::into_inner);
            let without = selected.unselected(clock());
            without.into_iter().map(str::to_owned).collect()
        };
        metrics::gauge!(telemetry::RULES_UNSELECTED).set(without.len() as f64);
        let before = told.send_replace(without.clone());
        for rule in without.iter().filter(|rule| !before.contains(rule)) {
            warn!(
                rule,
                "the rule's selector has matched no stream for 24 hours"
            );
        }
        for rule in before.iter().filter(|rule| !without.contains(rule)) {
            info!(rule, "the rule's selector matches a stream again");
        }
    }
}

fn push_limits(limits: &config::Limits, memory: Memory) -> Limits {
    Limits {
        // So that the index of one request fits into the half of what may be in flight.
        entries_max: count(limits.in_flight_bytes_max / 2) / ENTRY_BYTES,
        kept_bytes_max: count(memory.kept()),
        body_bytes_max: count(limits.body_bytes_max),
        decompressed_bytes_max: count(limits.decompressed_bytes_max),
        labels_bytes_max: count(limits.labels_bytes_max),
        line_bytes_max: count(limits.line_bytes_max),
        streams_interned_max: count(limits.streams_max),
        connections_max: count(limits.connections_max),
        header_read: limits.header_timeout,
        body_read: limits.body_timeout,
        answer_within: limits.answer_deadline,
        bytes_in_flight_max: count(limits.in_flight_bytes_max),
        ..Limits::default()
    }
}

/// A checked setting as a count of things in memory; what does not fit there is no bound.
fn count(setting: u64) -> usize {
    usize::try_from(setting).unwrap_or(usize::MAX)
}
