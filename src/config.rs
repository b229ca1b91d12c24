//! Settings of `trommel run`: what was written becomes what was checked.
//!
//! [`RawConfig`] is what a file, the environment and flags may say; [`Config`] is what passed, and nothing after it checks
//! again. A flag goes before a `TROMMEL_…` variable, that before the file, that before the default.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::access;
use crate::detect::Settings;
use crate::finding::Origin;
use crate::publish::{Create, Login, NatsSettings, Tls};
use crate::push;
use crate::record;
use crate::rules::{Exclusion, Pattern};
use crate::telemetry::LogFormat;

mod check;
mod entrance;
mod memory;
mod raw;
mod settings;
#[cfg(test)]
mod tests;
mod written;

pub use memory::Memory;
pub use raw::{
    RawAccess, RawConfig, RawDetect, RawEvidence, RawGrafana, RawLimits, RawLog, RawNats, Size,
    Span,
};
pub use settings::{LOG_VARIABLE, Setting, schema, settings};
pub use written::{Changed, Written};

/// Settings that passed every check.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address for log pushes.
    pub listen: SocketAddr,
    /// Address for metrics, health and the API.
    pub admin_listen: SocketAddr,
    /// Who may push.
    pub push: access::Settings,
    /// Who may see metrics, findings and rules.
    pub admin: access::Settings,
    /// Directory for state; in memory without it.
    pub data: Option<PathBuf>,
    /// Rule files and directories.
    pub rules: Vec<PathBuf>,
    /// The directory among them whose files the page may change.
    pub rules_writable: Option<PathBuf>,
    /// Whether the shipped rules are used.
    pub builtin: bool,
    /// Cluster, environment, instance and Grafana: what all messages have in common.
    pub origin: Origin,
    /// Where findings are published; nowhere without it.
    pub nats: Option<Nats>,
    /// Whether findings are written to stdout.
    pub stdout: bool,
    /// Resident memory that it stays under.
    pub memory: Memory,
    /// How windows and keys are kept.
    pub detect: Detect,
    /// What a push may cost.
    pub limits: Limits,
    /// Size of waiting messages.
    pub outbox_bytes_max: u64,
    /// Size of findings and their timelines.
    pub history_bytes_max: u64,
    /// How long findings that are over are kept.
    pub history_max_age: Duration,
    /// Size of recorded matches; 0 records none.
    pub matches_bytes_max: u64,
    /// Whether a few recent lines of each stream are kept in memory.
    pub recent_lines: bool,
    /// How long pushes are answered after SIGTERM.
    pub shutdown_delay: Duration,
    /// What is redacted beside the built-in patterns.
    pub redact: Vec<Arc<Pattern>>,
    /// Of whose lines nothing is quoted.
    pub sensitive_namespaces: Vec<String>,
    /// What no rule reads.
    pub exclude: Vec<Exclusion>,
    /// Trommel's own logs.
    pub log: Log,
    /// How often files are looked at for changes; zero for never.
    pub reload_interval: Duration,
    /// What all of this was made of.
    pub written: Written,
}

impl Config {
    /// One above Loki's 3100, and inside the host: nobody pushes from elsewhere without being let in.
    pub const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3101);
    /// Beside the push port, and inside the host: it shows findings to whoever asks.
    pub const ADMIN_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3102);
    /// What a finding quotes is nobody's business who has no credentials.
    pub const INSECURE_ADMIN: bool = false;
    /// A first start finds something without a rule written.
    pub const BUILTIN: bool = true;
    /// Ids need a cluster; one cluster needs no name.
    pub const CLUSTER: &str = "default";
    /// One trommel in a cluster needs no name.
    pub const INSTANCE: &str = "default";
    /// Who writes a rule wants lines to try it on.
    pub const RECENT_LINES: bool = true;
    /// Long enough for Kubernetes to tell every node that the pod takes no more; Alloy's next attempt then goes elsewhere.
    pub const SHUTDOWN_DELAY: Duration = Duration::from_secs(5);
    /// A change is seen twice before it is taken, so this puts it into use within two seconds, and reads a usual rule directory in
    /// a millisecond.
    pub const RELOAD_INTERVAL: Duration = Duration::from_millis(500);
    /// Trommel quotes what it matched, and the query logs of Loki, Alloy and Grafana quote what somebody searched for:
    /// a rule would match its own echo. Their other lines are read like anybody's.
    pub const EXCLUDE: [&str; 4] = [
        r#"service_name="trommel""#,
        r#"container="trommel""#,
        r#"service_name=~"loki.*|alloy.*|grafana.*|tempo.*|mimir.*" |= "query=""#,
        r#"service_name=~"loki.*|alloy.*|grafana.*|tempo.*|mimir.*" |= "\"query\":""#,
    ];

    /// Reads `file`, the environment and `flags`, and checks what comes of it.
    ///
    /// # Errors
    /// [`ConfigError::File`] and [`ConfigError::Yaml`] for the file, [`ConfigError::Variable`] for a variable's text, and
    /// [`ConfigError::Invalid`] with everything that is out of range, wherever it came from.
    pub fn load(
        file: Option<&Path>,
        variable: impl Fn(&str) -> Option<String>,
        flags: &RawConfig,
    ) -> Result<Self, ConfigError> {
        let mut layers = settings::Layers::default();
        if let Some(path) = file {
            let text = std::fs::read_to_string(path).map_err(|source| ConfigError::File {
                path: path.to_owned(),
                source,
            })?;
            layers.add(&parse(path, &text)?)?;
        }
        layers.add_variables(variable)?;
        layers.add(flags)?;
        Self::check(layers.into_raw())
    }

    /// Checks what was written and fills in what was not.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with everything that is wrong.
    pub fn check(raw: RawConfig) -> Result<Self, ConfigError> {
        let mut check = check::Check::default();
        let written = Written::of(&raw);
        let nats = check.nats(raw.nats);
        let admin_listen = check.address("admin_listen", raw.admin_listen, Self::ADMIN_LISTEN);
        let admin = check.access("admin", raw.admin);
        check.exposure(
            admin_listen,
            &admin,
            raw.insecure_admin.unwrap_or(Self::INSECURE_ADMIN),
        );
        let memory = check.memory(raw.memory);
        let detect = check.detect(&raw.detect, memory);
        let limits = check.limits(&raw.limits, memory);
        if let Some(problem) = memory.overdrawn(&limits, &detect) {
            check.wrong("memory", problem);
        }
        let config = Self {
            listen: check.address("listen", raw.listen, Self::LISTEN),
            admin_listen,
            push: check.access("push", raw.push),
            admin,
            data: raw.data,
            rules_writable: check.rules_writable(raw.rules_writable, raw.rules.as_deref()),
            rules: raw.rules.unwrap_or_default(),
            builtin: raw.builtin.unwrap_or(Self::BUILTIN),
            origin: Origin {
                cluster: check.name("cluster", raw.cluster, Self::CLUSTER),
                environment: check.name("environment", raw.environment, ""),
                instance: check.name("instance", raw.instance, Self::INSTANCE),
                grafana: check.grafana(raw.grafana),
            },
            stdout: raw.stdout.unwrap_or(nats.is_none()),
            nats,
            memory,
            detect,
            limits,
            outbox_bytes_max: check.size(
                "outbox_bytes_max",
                raw.outbox_bytes_max,
                record::Limits::OUTBOX_BYTES_MAX,
                1 << 20..=64 << 30,
            ),
            history_bytes_max: check.size(
                "history_bytes_max",
                raw.history_bytes_max,
                record::Limits::HISTORY_BYTES_MAX,
                1 << 16..=64 << 30,
            ),
            history_max_age: check.span(
                "history_max_age",
                raw.history_max_age,
                record::Limits::HISTORY_MAX_AGE,
                3_600_000..=10 * 365 * 24 * 3_600_000,
            ),
            matches_bytes_max: check.size(
                "matches_bytes_max",
                raw.matches_bytes_max,
                record::Limits::MATCHES_BYTES_MAX,
                0..=1 << 30,
            ),
            recent_lines: raw.recent_lines.unwrap_or(Self::RECENT_LINES),
            shutdown_delay: check.span(
                "shutdown_delay",
                raw.shutdown_delay,
                Self::SHUTDOWN_DELAY,
                0..=300_000,
            ),
            redact: check.patterns("evidence.redact", raw.evidence.redact.unwrap_or_default()),
            sensitive_namespaces: raw.evidence.sensitive_namespaces.unwrap_or_default(),
            exclude: check.exclusions(
                raw.exclude
                    .unwrap_or_else(|| Self::EXCLUDE.map(str::to_owned).to_vec()),
            ),
            log: check.log(raw.log),
            reload_interval: check.reload_interval(raw.reload_interval),
            written,
        };
        if check.0.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError::Invalid(check.0))
        }
    }
}

/// Reads the text of a settings file.
fn parse(path: &Path, text: &str) -> Result<RawConfig, ConfigError> {
    // A file with nothing but comments says nothing, and that is fine.
    serde_saphyr::from_str::<Option<RawConfig>>(text)
        .map(Option::unwrap_or_default)
        .map_err(|error| {
            let (line, column) = error
                .location()
                .map_or((1, 1), |place| (place.line(), place.column()));
            ConfigError::Yaml {
                path: path.to_owned(),
                line,
                column,
                problem: without_place(&error),
            }
        })
}

/// The message alone: its place is told in front, and the text around it may hold a password.
fn without_place(error: &serde_saphyr::Error) -> String {
    let problem = error.without_snippet().to_string();
    match problem.rsplit_once(" at line ") {
        Some((problem, _)) => problem.to_owned(),
        None => problem,
    }
}

/// Where findings are published.
#[derive(Clone, PartialEq, Eq)]
pub struct Nats {
    /// Server, or several separated by commas. May hold a password.
    pub url: String,
    /// JetStream stream that findings go to.
    pub stream: String,
    /// First part of every subject.
    pub subject_prefix: String,
    /// Whether the stream is made.
    pub create: Create,
    /// How long open findings are read back at most.
    pub read_back: Duration,
    /// How trommel shows who it is.
    pub login: Login,
    /// Files for TLS.
    pub tls: Tls,
}

impl Nats {
    /// A server that is there answers within one; one that is being replaced with trommel may take so long.
    pub const READ_BACK: Duration = Duration::from_secs(10);
    /// The stream that consumers of findings look for.
    pub const STREAM: &str = "OPS_FINDINGS";
    /// What that stream captures begins so.
    pub const SUBJECT_PREFIX: &str = "ops.findings";
}

impl From<&Nats> for NatsSettings {
    fn from(nats: &Nats) -> Self {
        Self {
            login: nats.login.clone(),
            tls: nats.tls.clone(),
            stream: nats.stream.clone(),
            subject_prefix: nats.subject_prefix.clone(),
            create: nats.create,
            ..Self::new(nats.url.clone())
        }
    }
}

/// Without the url's user and password.
impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nats")
            .field("stream", &self.stream)
            .field("subject_prefix", &self.subject_prefix)
            .field("create", &self.create)
            .field("read_back", &self.read_back)
            .finish_non_exhaustive()
    }
}

/// How windows and keys are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detect {
    /// How much entries may be out of order.
    pub late_by: Duration,
    /// Age beyond which an entry decides nothing.
    pub max_age: Duration,
    /// Longest pause of the tee that is no gap.
    pub tee_silent_after: Duration,
    /// Keys per rule.
    pub keys_max: u64,
    /// Memory of the keys of all rules.
    pub keys_bytes_max: u64,
    /// Remembered entries.
    pub identities_max: u64,
}

impl Detect {
    /// As [`Settings::LATE_BY`].
    pub const LATE_BY: Duration = Settings::LATE_BY;
    /// As [`Settings::MAX_AGE`].
    pub const MAX_AGE: Duration = Settings::MAX_AGE;
    /// As [`Settings::SILENCE`].
    pub const TEE_SILENT_AFTER: Duration = Settings::SILENCE;
    /// As [`Settings::KEYS_MAX`].
    pub const KEYS_MAX: u64 = Settings::KEYS_MAX as u64;
    /// Their share of [`Memory::DEFAULT`].
    pub const KEYS_BYTES_MAX: u64 = Memory::DEFAULT.keys();
    /// Their share of [`Memory::DEFAULT`].
    pub const IDENTITIES_MAX: u64 = Memory::DEFAULT.identities();
}

/// What a push may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a body as sent.
    pub body_bytes_max: u64,
    /// Bytes of a body when decompressed.
    pub decompressed_bytes_max: u64,
    /// Open connections.
    pub connections_max: u64,
    /// Time for headers.
    pub header_timeout: Duration,
    /// Time for a body.
    pub body_timeout: Duration,
    /// Bytes of one label set as text.
    pub labels_bytes_max: u64,
    /// Bytes of a line that are inspected.
    pub line_bytes_max: u64,
    /// Bytes of all requests that are being worked on.
    pub in_flight_bytes_max: u64,
    /// Time after which a request is answered in any case.
    pub answer_deadline: Duration,
    /// Label sets remembered.
    pub streams_max: u64,
}

impl Limits {
    /// Its share of [`Memory::DEFAULT`].
    pub const BODY_BYTES_MAX: u64 =
        Memory::DEFAULT.body(push::Limits::DEFAULT.body_bytes_max as u64);
    /// Its share of [`Memory::DEFAULT`].
    pub const DECOMPRESSED_BYTES_MAX: u64 =
        Memory::DEFAULT.body(push::Limits::DEFAULT.decompressed_bytes_max as u64);
    /// Its share of [`Memory::DEFAULT`].
    pub const CONNECTIONS_MAX: u64 = Memory::DEFAULT.connections();
    /// As [`push::Limits::header_read`].
    pub const HEADER_TIMEOUT: Duration = push::Limits::DEFAULT.header_read;
    /// Half a megabyte a second for the largest body, for clients more patient than Alloy, whose own default is 10 s.
    pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);
    /// As [`push::Limits::labels_bytes_max`].
    pub const LABELS_BYTES_MAX: u64 = push::Limits::DEFAULT.labels_bytes_max as u64;
    /// As [`push::Limits::line_bytes_max`].
    pub const LINE_BYTES_MAX: u64 = push::Limits::DEFAULT.line_bytes_max as u64;
    /// Its share of [`Memory::DEFAULT`].
    pub const IN_FLIGHT_BYTES_MAX: u64 = Memory::DEFAULT.in_flight();
    /// As [`push::Limits::answer_within`].
    pub const ANSWER_DEADLINE: Duration = push::Limits::DEFAULT.answer_within;
    /// Its share of [`Memory::DEFAULT`].
    pub const STREAMS_MAX: u64 = Memory::DEFAULT.streams();
}

/// Trommel's own logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// A filter that [`crate::telemetry::check_log_filter`] accepts.
    pub level: String,
    /// How lines are written.
    pub format: LogFormat,
}

impl Log {
    /// Starts, stops, reloads and what is wrong.
    pub const LEVEL: &str = "info";
}

/// What can be wrong with settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is no YAML, or says something that is no setting.
    #[error("{}:{line}:{column}: {problem}", path.display())]
    Yaml {
        /// The file.
        path: PathBuf,
        /// One-based line.
        line: u64,
        /// One-based column.
        column: u64,
        /// What is wrong there.
        problem: String,
    },
    /// A variable's text is not what its setting takes.
    #[error("{variable}: {problem}")]
    Variable {
        /// The variable.
        variable: String,
        /// What is wrong with its text.
        problem: String,
    },
    /// A flag cannot be represented, such as a path that is no UTF-8.
    #[error("{0}")]
    Unreadable(String),
    /// Values that are out of range: one line for each, with key, value and limit.
    #[error("{}", .0.join("\n"))]
    Invalid(Vec<String>),
}
