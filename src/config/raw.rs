//! What may be written: every key with its meaning, and the forms of values.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::{Config, Detect, Limits, Log, Memory, Nats};
use crate::publish::Create;
use crate::record;
use crate::telemetry::LogFormat;
use crate::time::{TimeError, format_duration, parse_duration};

/// Settings of `trommel run`. Every key is optional.
///
/// Sizes are numbers of bytes or written as `16MiB`; durations as in Prometheus: `500ms`, `10s`, `1h30m`.
/// A flag goes before a `TROMMEL_…` variable, that before the file, that before the default.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Settings of trommel", extend("$id" = "urn:trommel:config/1.json"))]
pub struct RawConfig {
    /// Address for log pushes. Port 0 picks a free one, which the start-up log tells.
    #[schemars(extend("default" = Config::LISTEN))]
    pub listen: Option<String>,
    /// Address for metrics, health and the API. One that other hosts can reach wants credentials in `admin`.
    #[schemars(extend("default" = Config::ADMIN_LISTEN))]
    pub admin_listen: Option<String>,
    /// Who may push.
    #[serde(deserialize_with = "or_default")]
    pub push: RawAccess,
    /// Who may see metrics, findings and rules. Probes may ask `/livez` and `/readyz` whoever they are.
    #[serde(deserialize_with = "or_default")]
    pub admin: RawAccess,
    /// Whether everybody may see metrics, findings and rules at an `admin_listen` that other hosts can reach.
    #[schemars(extend("default" = Config::INSECURE_ADMIN))]
    pub insecure_admin: Option<bool>,
    /// Directory for state that outlives a restart. Without it state is in memory only.
    pub data: Option<PathBuf>,
    /// Rule files, and directories that are searched for them.
    pub rules: Option<Vec<PathBuf>>,
    /// Directory of rule files that may be changed on the page: one of `rules`, or below one. Without it the page hands out patches.
    pub rules_writable: Option<PathBuf>,
    /// Whether the rules that ship with trommel are used beside those of `rules`.
    #[schemars(extend("default" = Config::BUILTIN))]
    pub builtin: Option<bool>,
    /// Name of the environment, such as `staging`: chooses rules by their `environments`, and is in every message.
    pub environment: Option<String>,
    /// Name of the cluster: part of every finding's id.
    #[schemars(extend("default" = Config::CLUSTER))]
    pub cluster: Option<String>,
    /// Name of this trommel among those of the cluster. Never a host's or a pod's, or a restart would announce everything again.
    #[schemars(extend("default" = Config::INSTANCE))]
    pub instance: Option<String>,
    /// Where findings are published.
    #[serde(deserialize_with = "or_default")]
    pub nats: RawNats,
    /// Whether findings are written to stdout, one CloudEvent per line. Unless set, they are when `nats.url` is not.
    pub stdout: Option<bool>,
    /// Resident memory that trommel stays under, with a data directory. Defaults of limits are shares of it; those given must fit into it together.
    #[schemars(extend("default" = Size(Memory::DEFAULT.0)))]
    pub memory: Option<Size>,
    /// How windows and keys are kept.
    #[serde(deserialize_with = "or_default")]
    pub detect: RawDetect,
    /// What a push may cost.
    #[serde(deserialize_with = "or_default")]
    pub limits: RawLimits,
    /// Size of the messages that wait while NATS is away. Beyond it the oldest updates are dropped first, and counted.
    #[schemars(extend("default" = Size(record::Limits::OUTBOX_BYTES_MAX)))]
    pub outbox_bytes_max: Option<Size>,
    /// Size of findings and their timelines, for people to look back at; at most 2MiB where there is no `data`. Beyond it those that are over go, the oldest change first.
    #[schemars(extend("default" = Size(record::Limits::HISTORY_BYTES_MAX)))]
    pub history_bytes_max: Option<Size>,
    /// How long findings that are over are kept.
    #[schemars(extend("default" = Span(record::Limits::HISTORY_MAX_AGE)))]
    pub history_max_age: Option<Span>,
    /// Size of recorded matches, which rules are tried on before they are changed; at most 1MiB where there is no `data`. Beyond it the rule that has most loses its oldest. `0` records none.
    #[schemars(extend("default" = Size(record::Limits::MATCHES_BYTES_MAX)))]
    pub matches_bytes_max: Option<Size>,
    /// Whether the last ten lines of each stream are kept in memory, within a share of `memory` (1MiB of 96), to try rules on; never those of `evidence.sensitive_namespaces`.
    #[schemars(extend("default" = Config::RECENT_LINES))]
    pub recent_lines: Option<bool>,
    /// How long pushes are still answered after SIGTERM, while `/ready` already says no. Then trommel stops, which takes up to 13s more.
    #[schemars(extend("default" = Span(Config::SHUTDOWN_DELAY)))]
    pub shutdown_delay: Option<Span>,
    /// What is quoted from logs.
    #[serde(deserialize_with = "or_default")]
    pub evidence: RawEvidence,
    /// Selectors of streams that no rule reads. A list given here replaces the default; `[]` excludes nothing.
    #[schemars(extend("default" = Config::EXCLUDE))]
    pub exclude: Option<Vec<String>>,
    /// Where Grafana is, so that findings can link to their lines.
    #[serde(deserialize_with = "or_default")]
    pub grafana: RawGrafana,
    /// Trommel's own logs, on stderr.
    #[serde(deserialize_with = "or_default")]
    pub log: RawLog,
    /// How often rule files and the settings file are looked at for changes, which are taken into use when they are seen twice alike. `0` looks only on SIGHUP and `POST /-/reload`.
    #[schemars(extend("default" = Span(Config::RELOAD_INTERVAL)))]
    pub reload_interval: Option<Span>,
}

/// Who may come in. Every file is read again when it changes; one that is then wrong replaces nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawAccess {
    /// Certificate file for TLS (PEM), with those between it and its authority. Without it connections are plain.
    pub cert_file: Option<PathBuf>,
    /// File of the certificate's private key (PEM, not encrypted).
    pub key_file: Option<PathBuf>,
    /// File of authorities (PEM), one of which must have signed a client's certificate. Needs `cert_file`.
    pub client_ca_file: Option<PathBuf>,
    /// Files of bearer tokens, one token each; any of them lets a client in.
    pub token_files: Option<Vec<PathBuf>>,
    /// Name of a user for basic authentication.
    pub username: Option<String>,
    /// File of that user's password.
    pub password_file: Option<PathBuf>,
}

/// Where findings are published.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawNats {
    /// Server, `nats://host:4222` or `tls://host:4222`; several are separated by commas. Without it nothing goes to NATS. Secrets are in files.
    pub url: Option<String>,
    /// JetStream stream that findings go to.
    #[schemars(extend("default" = Nats::STREAM))]
    pub stream: Option<String>,
    /// First part of every finding's subject.
    #[schemars(extend("default" = Nats::SUBJECT_PREFIX))]
    pub subject_prefix: Option<String>,
    /// `if_missing` makes the stream when it is absent; `never` is for credentials that may only publish. An existing stream is never altered.
    #[schemars(extend("default" = Create::default()))]
    pub create: Option<Create>,
    /// How long a start without state tries to read back from the stream what was open, before it decides anything. `0` does without.
    #[schemars(extend("default" = Span(Nats::READ_BACK)))]
    pub read_back: Option<Span>,
    /// Credentials file, as `nsc` writes it. It and the files below are read for each connection.
    pub creds: Option<PathBuf>,
    /// File of an nkey's seed.
    pub nkey_file: Option<PathBuf>,
    /// File of a token.
    pub token_file: Option<PathBuf>,
    /// Name of a user.
    pub username: Option<String>,
    /// File of that user's password.
    pub password_file: Option<PathBuf>,
    /// File of authorities (PEM), one of which must have signed the server's certificate. Without it those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// File of trommel's own certificate (PEM), for servers that ask for one.
    pub cert_file: Option<PathBuf>,
    /// File of that certificate's private key (PEM, not encrypted).
    pub key_file: Option<PathBuf>,
}

/// How windows and keys are kept.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawDetect {
    /// How much entries may be out of order without changing what opens. Recoveries come that much later.
    #[schemars(extend("default" = Span(Detect::LATE_BY)))]
    pub late_by: Option<Span>,
    /// Age beyond which an entry decides nothing, so that a file that is read again raises no storm.
    #[schemars(extend("default" = Span(Detect::MAX_AGE)))]
    pub max_age: Option<Span>,
    /// Longest pause of the tee. Beyond it `trommel_tee_silent` opens, and a pause in the log counts as not seen: it lets nothing recover.
    #[schemars(extend("default" = Span(Detect::TEE_SILENT_AFTER)))]
    pub tee_silent_after: Option<Span>,
    /// Keys kept per rule. Beyond it the one that is longest untouched and not open is forgotten.
    #[schemars(extend("default" = Detect::KEYS_MAX))]
    pub keys_max: Option<u64>,
    /// Memory of the keys of all rules together, by default a share of `memory`. Beyond it the rule whose keys take most forgets those longest untouched; open ones keep less of their windows.
    #[schemars(extend("default" = Size(Detect::KEYS_BYTES_MAX)))]
    pub keys_bytes_max: Option<Size>,
    /// Entries remembered in order to know repeats, some 20 bytes each, by default a share of `memory`. Beyond it the oldest are forgotten.
    #[schemars(extend("default" = Detect::IDENTITIES_MAX))]
    pub identities_max: Option<u64>,
}

/// What a push may cost.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawLimits {
    /// Size of a request's body as sent, by default a share of `memory`. A larger one is answered 413.
    #[schemars(extend("default" = Size(Limits::BODY_BYTES_MAX)))]
    pub body_bytes_max: Option<Size>,
    /// Size of a request's body when decompressed, by default a share of `memory`. A larger one is answered 413.
    #[schemars(extend("default" = Size(Limits::DECOMPRESSED_BYTES_MAX)))]
    pub decompressed_bytes_max: Option<Size>,
    /// Open connections to the push listener, by default a share of `memory`. Further ones are closed at once.
    #[schemars(extend("default" = Limits::CONNECTIONS_MAX))]
    pub connections_max: Option<u64>,
    /// Time for a request's headers to arrive.
    #[schemars(extend("default" = Span(Limits::HEADER_TIMEOUT)))]
    pub header_timeout: Option<Span>,
    /// Time for a request's body to arrive.
    #[schemars(extend("default" = Span(Limits::BODY_TIMEOUT)))]
    pub body_timeout: Option<Span>,
    /// Size of one label set as text.
    #[schemars(extend("default" = Size(Limits::LABELS_BYTES_MAX)))]
    pub labels_bytes_max: Option<Size>,
    /// How much of a line is inspected.
    #[schemars(extend("default" = Size(Limits::LINE_BYTES_MAX)))]
    pub line_bytes_max: Option<Size>,
    /// Size of all requests that are being worked on, by default a share of `memory`. Beyond it requests are answered 204 uninspected, and counted as shed.
    #[schemars(extend("default" = Size(Limits::IN_FLIGHT_BYTES_MAX)))]
    pub in_flight_bytes_max: Option<Size>,
    /// Time after which a request is answered 204 whether or not its effect is on disk. Raising it can hold back Loki's own logs.
    #[schemars(extend("default" = Span(Limits::ANSWER_DEADLINE)))]
    pub answer_deadline: Option<Span>,
    /// Label sets remembered so that they are read only once, some 512 bytes each, by default a share of `memory`.
    #[schemars(extend("default" = Limits::STREAMS_MAX))]
    pub streams_max: Option<u64>,
}

/// What is quoted from logs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawEvidence {
    /// Regular expressions of what is redacted beside the built-in patterns.
    pub redact: Option<Vec<String>>,
    /// Namespaces of whose lines nothing is quoted: evidence has their label set, time and SHA-256, and what a rule takes from them is hashed.
    pub sensitive_namespaces: Option<Vec<String>>,
}

/// Where Grafana is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawGrafana {
    /// Base URL, such as `https://grafana.example`.
    pub url: Option<String>,
    /// Uid of the Loki data source.
    pub datasource: Option<String>,
}

/// Trommel's own logs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawLog {
    /// `error`, `warn`, `info`, `debug`, `trace`, also by part: `info,trommel::push=debug`.
    #[schemars(extend("default" = Log::LEVEL))]
    pub level: Option<String>,
    /// `text`, `json`, or `auto`: text on a terminal, JSON otherwise.
    #[schemars(extend("default" = LogFormat::default()))]
    pub format: Option<LogFormat>,
}

/// `limits:` with every line below it commented out is null, and means nothing more than that.
fn or_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

/// Units of a size. Powers of 1000 are left out: `MB` beside `MiB` is a mistake more often than a wish.
const UNITS: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// `16MiB`, or `1000B` where no larger unit divides it.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, scale) = UNITS
            .into_iter()
            .find(|(_, scale)| self.0 > 0 && self.0.is_multiple_of(*scale))
            .unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / scale)
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a size; write a number of bytes, or 16KiB, 16MiB, 16GiB");
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = &text[digits.len()..];
        let scale = match unit {
            "" => 1,
            unit => {
                UNITS
                    .iter()
                    .find(|(name, _)| *name == unit)
                    .ok_or_else(wrong)?
                    .1
            }
        };
        let number: u64 = digits.trim_end().parse().map_err(|_| wrong())?;
        number.checked_mul(scale).map(Self).ok_or_else(wrong)
    }
}

/// A number, or a text with a unit.
impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl Visitor<'_> for Written {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as 16MiB")
            }

            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<Size, E> {
                Ok(Size(bytes))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Written)
    }
}

/// A length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub Duration);

impl TryFrom<String> for Span {
    type Error = TimeError;

    fn try_from(text: String) -> Result<Self, TimeError> {
        parse_duration(&text).map(Self)
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        format_duration(span.0)
    }
}

impl JsonSchema for Size {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]+ *([KMG]iB|B)?$"})
    }
}

impl JsonSchema for Span {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^(0|([0-9]+(y|w|d|h|m|s|ms))+)$"})
    }
}
