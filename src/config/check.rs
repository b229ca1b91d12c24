//! What a value must be.

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Component, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::raw::{RawDetect, RawGrafana, RawLimits, RawLog, RawNats, Size, Span};
use super::{Config, Detect, Limits, Log, Memory, Nats};
use crate::finding::Grafana;
use crate::publish::Tls;
use crate::push;
use crate::rules::{Exclusion, Pattern};
use crate::telemetry::check_log_filter;
use crate::time::format_duration;

/// Collects everything that is wrong.
#[derive(Default)]
pub(super) struct Check(pub(super) Vec<String>);

impl Check {
    pub(super) fn wrong(&mut self, key: &str, problem: impl fmt::Display) {
        self.0.push(format!("{key}: {problem}"));
    }

    pub(super) fn address(
        &mut self,
        key: &str,
        value: Option<String>,
        default: SocketAddr,
    ) -> SocketAddr {
        let Some(value) = value else { return default };
        value.parse().unwrap_or_else(|_| {
            self.wrong(
                key,
                format!(
                    "`{value}` is no address; write an IP address and a port, such as 0.0.0.0:{}",
                    default.port()
                ),
            );
            default
        })
    }

    /// `value` where given, which must lie in `range`; else `default`, or the most there may be: a share of much memory is more.
    fn within<T: PartialOrd + Copy>(
        &mut self,
        key: &str,
        value: Option<T>,
        default: T,
        range: RangeInclusive<T>,
        show: impl Fn(T) -> String,
    ) -> T {
        let most = *range.end();
        let value = value.unwrap_or(if default > most { most } else { default });
        if !range.contains(&value) {
            let (least, most) = (show(*range.start()), show(*range.end()));
            self.wrong(
                key,
                format!("{} is not between {least} and {most}", show(value)),
            );
        }
        value
    }

    pub(super) fn size(
        &mut self,
        key: &str,
        value: Option<Size>,
        default: u64,
        range: RangeInclusive<u64>,
    ) -> u64 {
        let value = value.map(|size| size.0);
        self.within(key, value, default, range, |bytes| Size(bytes).to_string())
    }

    fn count(
        &mut self,
        key: &str,
        value: Option<u64>,
        default: u64,
        range: RangeInclusive<u64>,
    ) -> u64 {
        self.within(key, value, default, range, |count| count.to_string())
    }

    /// The range is in milliseconds.
    pub(super) fn span(
        &mut self,
        key: &str,
        value: Option<Span>,
        default: Duration,
        range_ms: RangeInclusive<u64>,
    ) -> Duration {
        let range =
            Duration::from_millis(*range_ms.start())..=Duration::from_millis(*range_ms.end());
        let value = value.map(|span| span.0);
        self.within(key, value, default, range, format_duration)
    }

    /// Zero, or long enough that looking is not all there is to do.
    pub(super) fn reload_interval(&mut self, value: Option<Span>) -> Duration {
        if value == Some(Span(Duration::ZERO)) {
            return Duration::ZERO;
        }
        self.span(
            "reload_interval",
            value,
            Config::RELOAD_INTERVAL,
            50..=3_600_000,
        )
    }

    /// A directory of `rules`, or one below: what is written elsewhere would never be read.
    pub(super) fn rules_writable(
        &mut self,
        value: Option<PathBuf>,
        rules: Option<&[PathBuf]>,
    ) -> Option<PathBuf> {
        let directory = value?;
        let is_plain = |part: Component<'_>| match part {
            Component::Normal(name) => !name.to_string_lossy().starts_with('.'),
            _ => false,
        };
        let is_read = rules.unwrap_or_default().iter().any(|path| {
            let below = directory.strip_prefix(path);
            below.is_ok_and(|below| below.components().all(is_plain))
        });
        if !is_read {
            self.wrong(
                "rules_writable",
                format!(
                    "`{}` is neither a directory of `rules` nor below one, so what is written there would not be read",
                    directory.display()
                ),
            );
        }
        Some(directory)
    }

    /// A name that can stand in a subject, a path and a message as it is. Only one with an empty default may be empty.
    pub(super) fn name(&mut self, key: &str, value: Option<String>, default: &str) -> String {
        const BYTES_MAX: usize = 64;
        let Some(value) = value else {
            return default.to_owned();
        };
        let fits = value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if !fits || value.len() > BYTES_MAX || (value.is_empty() && !default.is_empty()) {
            self.wrong(
                key,
                format!("`{value}` is not 1 to {BYTES_MAX} letters, digits, `.`, `_` or `-`"),
            );
        }
        value
    }

    pub(super) fn nats(&mut self, raw: RawNats) -> Option<Nats> {
        let RawNats {
            url,
            stream,
            subject_prefix,
            create,
            read_back,
            creds,
            nkey_file,
            token_file,
            username,
            password_file,
            ca_file,
            cert_file,
            key_file,
        } = raw;
        let read_back = self.span("nats.read_back", read_back, Nats::READ_BACK, 0..=300_000);
        let login = self.nats_login(creds, nkey_file, token_file, username, password_file);
        let tls = Tls {
            authorities: ca_file,
            own: self.pair("nats", ("cert_file", cert_file), ("key_file", key_file)),
        };
        let stream = stream.unwrap_or_else(|| Nats::STREAM.to_owned());
        let subject_prefix = subject_prefix.unwrap_or_else(|| Nats::SUBJECT_PREFIX.to_owned());
        let plain = |text: &str| {
            !text.is_empty()
                && !text
                    .contains(|c: char| c.is_whitespace() || c.is_control() || "*>/\\".contains(c))
        };
        // Source: NATS's naming rules, <https://docs.nats.io/nats-concepts/jetstream/streams>.
        if !plain(&stream) || stream.contains('.') {
            self.wrong(
                "nats.stream",
                format!("`{stream}` is no stream name: no blanks, `.`, `*`, `>`, `/`, `\\`"),
            );
        }
        if !subject_prefix.split('.').all(plain) {
            self.wrong("nats.subject_prefix", format!("`{subject_prefix}` is no subject: words without blanks or wildcards, separated by `.`"));
        }
        let url = url.filter(|url| !url.is_empty())?;
        // The value is not shown: it may hold a password.
        if !url.split(',').all(|server| {
            server
                .trim()
                .split_once("://")
                .is_some_and(|(scheme, host)| matches!(scheme, "nats" | "tls") && !host.is_empty())
        }) {
            self.wrong(
                "nats.url",
                "every server must be written as nats://host:port or tls://host:port",
            );
        }
        // Flags are in process lists, and settings in ConfigMaps.
        if url.contains('@') {
            self.wrong(
                "nats.url",
                "holds a user or a token; write them to a file for nats.creds, nats.nkey_file, nats.token_file or nats.password_file",
            );
        }
        Some(Nats {
            url,
            stream,
            subject_prefix,
            create: create.unwrap_or_default(),
            read_back,
            login,
            tls,
        })
    }

    pub(super) fn memory(&mut self, value: Option<Size>) -> Memory {
        let (least, most) = (Memory::MIN.0, Memory::MAX.0);
        Memory(self.size("memory", value, Memory::DEFAULT.0, least..=most))
    }

    pub(super) fn detect(&mut self, raw: &RawDetect, memory: Memory) -> Detect {
        const HOUR_MS: u64 = 3_600_000;
        let detect = Detect {
            late_by: self.span("detect.late_by", raw.late_by, Detect::LATE_BY, 0..=HOUR_MS),
            max_age: self.span(
                "detect.max_age",
                raw.max_age,
                Detect::MAX_AGE,
                60_000..=365 * 24 * HOUR_MS,
            ),
            tee_silent_after: self.span(
                "detect.tee_silent_after",
                raw.tee_silent_after,
                Detect::TEE_SILENT_AFTER,
                1000..=24 * HOUR_MS,
            ),
            keys_max: self.count(
                "detect.keys_max",
                raw.keys_max,
                Detect::KEYS_MAX,
                1..=1_000_000,
            ),
            keys_bytes_max: self.size(
                "detect.keys_bytes_max",
                raw.keys_bytes_max,
                memory.keys(),
                1 << 20..=1 << 40,
            ),
            identities_max: self.count(
                "detect.identities_max",
                raw.identities_max,
                memory.identities(),
                1000..=100_000_000,
            ),
        };
        if detect.late_by > detect.max_age {
            let (late_by, max_age) = (
                format_duration(detect.late_by),
                format_duration(detect.max_age),
            );
            self.wrong(
                "detect.late_by",
                format!("{late_by} is more than detect.max_age, {max_age}"),
            );
        }
        detect
    }

    pub(super) fn limits(&mut self, raw: &RawLimits, memory: Memory) -> Limits {
        let limits = Limits {
            body_bytes_max: self.size(
                "limits.body_bytes_max",
                raw.body_bytes_max,
                memory.body(push::Limits::DEFAULT.body_bytes_max as u64),
                1 << 10..=1 << 30,
            ),
            // A batch's places are 32-bit numbers.
            decompressed_bytes_max: self.size(
                "limits.decompressed_bytes_max",
                raw.decompressed_bytes_max,
                memory.body(push::Limits::DEFAULT.decompressed_bytes_max as u64),
                1 << 10..=2 << 30,
            ),
            connections_max: self.count(
                "limits.connections_max",
                raw.connections_max,
                memory.connections(),
                1..=1_000_000,
            ),
            header_timeout: self.span(
                "limits.header_timeout",
                raw.header_timeout,
                Limits::HEADER_TIMEOUT,
                100..=600_000,
            ),
            body_timeout: self.span(
                "limits.body_timeout",
                raw.body_timeout,
                Limits::BODY_TIMEOUT,
                100..=600_000,
            ),
            labels_bytes_max: self.size(
                "limits.labels_bytes_max",
                raw.labels_bytes_max,
                Limits::LABELS_BYTES_MAX,
                64..=1 << 20,
            ),
            line_bytes_max: self.size(
                "limits.line_bytes_max",
                raw.line_bytes_max,
                Limits::LINE_BYTES_MAX,
                1 << 10..=1 << 30,
            ),
            in_flight_bytes_max: self.size(
                "limits.in_flight_bytes_max",
                raw.in_flight_bytes_max,
                memory.in_flight(),
                1 << 10..=64 << 30,
            ),
            answer_deadline: self.span(
                "limits.answer_deadline",
                raw.answer_deadline,
                Limits::ANSWER_DEADLINE,
                10..=30_000,
            ),
            streams_max: self.count(
                "limits.streams_max",
                raw.streams_max,
                memory.streams(),
                1..=10_000_000,
            ),
        };
        if limits.in_flight_bytes_max < limits.decompressed_bytes_max {
            let (in_flight, one) = (
                Size(limits.in_flight_bytes_max),
                Size(limits.decompressed_bytes_max),
            );
            self.wrong("limits.in_flight_bytes_max", format!("{in_flight} is less than limits.decompressed_bytes_max, {one}: such a request would never be inspected"));
        }
        limits
    }

    pub(super) fn patterns(&mut self, key: &str, sources: Vec<String>) -> Vec<Arc<Pattern>> {
        let mut patterns = Vec::new();
        for source in sources {
            match Pattern::compile_nonempty(&source, false) {
                Ok(pattern) => patterns.push(pattern),
                Err(problem) => self.wrong(key, format!("`{source}`: {problem}")),
            }
        }
        patterns
    }

    pub(super) fn exclusions(&mut self, texts: Vec<String>) -> Vec<Exclusion> {
        let mut exclusions = Vec::new();
        for text in texts {
            match Exclusion::parse(&text) {
                Ok(exclusion) => exclusions.push(exclusion),
                Err(problem) => self.wrong("exclude", format!("`{text}`: {problem}")),
            }
        }
        exclusions
    }

    pub(super) fn grafana(&mut self, raw: RawGrafana) -> Option<Grafana> {
        match (raw.url, raw.datasource) {
            (None, None) => None,
            (Some(url), Some(datasource)) => {
                if !url.starts_with("http://") && !url.starts_with("https://") {
                    self.wrong(
                        "grafana.url",
                        format!("`{url}` does not begin with http:// or https://"),
                    );
                }
                let host = url
                    .split("://")
                    .nth(1)
                    .and_then(|rest| rest.split('/').next());
                if host.is_some_and(|host| host.contains('@')) {
                    self.wrong(
                        "grafana.url",
                        "holds a user: links are in every message, for all who read them; leave it out",
                    );
                }
                let url = url.trim_end_matches('/').to_owned();
                Some(Grafana { url, datasource })
            }
            (Some(_), None) => {
                self.wrong(
                    "grafana.datasource",
                    "missing: a link needs the uid of the Loki data source beside grafana.url",
                );
                None
            }
            (None, Some(_)) => {
                self.wrong(
                    "grafana.url",
                    "missing: a link needs it beside grafana.datasource",
                );
                None
            }
        }
    }

    pub(super) fn log(&mut self, raw: RawLog) -> Log {
        let level = raw.level.unwrap_or_else(|| Log::LEVEL.to_owned());
        if let Err(error) = check_log_filter(&level) {
            self.wrong("log.level", format!("`{level}`: {error}"));
        }
        Log {
            level,
            format: raw.format.unwrap_or_default(),
        }
    }
}
