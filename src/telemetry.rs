//! Every metric, named and described in one place, and the set-up of logs.
//!
//! Metrics follow Prometheus: base units, `_total` for counters, labels from closed sets only (rule ids, outcomes),
//! never from the content of logs. A metric without labels is there from the start, as zero.
//!
//! Logs go to stderr: text on a terminal, one JSON object per line otherwise. They carry fields, and never a line
//! or a label value of a user's log above `debug`.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

mod by_rule;
mod durations;
mod process;

pub use by_rule::{OfRule, count_rule_time};
pub use durations::Durations;

use by_rule::{ByRule, Counting};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MetricType {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations by these upper bounds, and by none.
    Histogram(&'static [f64]),
}

/// One metric, as it is declared, registered and documented.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// Its name; the unit is in it.
    pub name: &'static str,
    /// How it is to be read.
    pub kind: MetricType,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

/// Declares the constants that the rooms count under and the table [`METRICS`], so that neither can lack what the other has.
macro_rules! metrics {
    ($($constant:ident = $name:literal, $kind:expr, [$($label:literal),*], $help:literal;)*) => {
        $(#[doc = $help] pub const $constant: &str = $name;)*

        /// Every metric of trommel's own; the `process_` ones are beside them.
        pub const METRICS: &[Metric] = &[
            $(Metric { name: $name, kind: $kind, labels: &[$($label),*], help: $help },)*
        ];
    };
}

use MetricType::{Counter, Gauge, Histogram};

/// Around the answer deadline of half a second; usual answers take a few milliseconds.
const ANSWER_BOUNDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
];
/// A sync of a local disk takes a millisecond, of a tired network disk a second.
const COMMIT_BOUNDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];
/// From a server next door to one that is about to time out.
const PUBLISH_BOUNDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];
/// From a live tail to a file that is read again: `late_by` is 10 s, `max_age` an hour.
const LAG_BOUNDS: &[f64] = &[
    0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 86_400.0,
];
/// Alloy sends about 1 MiB of text in some 300 KiB.
const BODY_BOUNDS: &[f64] = &[
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
];
/// Alloy's batch of 1 MiB has some thousands of entries.
const ENTRIES_BOUNDS: &[f64] = &[
    1.0, 10.0, 100.0, 1000.0, 2500.0, 5000.0, 10_000.0, 100_000.0,
];

metrics! {
    BUILD_INFO = "trommel_build_info", Gauge, ["version"], "Always 1; the label says which trommel this is.";

    PUSH_REQUESTS_TOTAL = "trommel_push_requests_total", Counter, ["code"], "Push requests by the status they were answered with.";
    PUSH_ANSWER_SECONDS = "trommel_push_answer_seconds", Histogram(ANSWER_BOUNDS), [], "Time from the last byte of a push request's body to its answer.";
    PUSH_BODY_BYTES = "trommel_push_body_bytes", Histogram(BODY_BOUNDS), [], "Size of push requests' bodies as sent.";
    PUSH_REJECTED_TOTAL = "trommel_push_rejected_total", Counter, ["reason"], "Push requests refused, by what was wrong with them.";
    REQUESTS_SHED_TOTAL = "trommel_requests_shed_total", Counter, [], "Push requests answered 204 and discarded unread, for want of memory or of time.";
    BYTES_SHED_TOTAL = "trommel_bytes_shed_total", Counter, [], "Bytes of the bodies that were discarded unread.";
    CONNECTIONS = "trommel_connections", Gauge, [], "Open connections to the push listener.";
    CONNECTIONS_REFUSED_TOTAL = "trommel_connections_refused_total", Counter, [], "Connections closed at once because too many were open.";
    VIEWERS = "trommel_viewers", Gauge, [], "Browsers with a page that is looked at and kept up to date.";
    VIEWERS_REFUSED_TOTAL = "trommel_viewers_refused_total", Counter, [], "Times that a browser was not told of changes because too many were; its pages renew themselves every half minute.";

    CONNECTIONS_TIMED_OUT_TOTAL = "trommel_connections_timed_out_total", Counter, ["stage"], "Connections closed because a header or the next request did not come in time.";
    CONNECTIONS_BROKEN_TOTAL = "trommel_connections_broken_total", Counter, ["reason"], "Connections that ended for what came on them: a header that is malformed or too large, or a request that was cut off.";

    UNAUTHORIZED_TOTAL = "trommel_unauthorized_total", Counter, ["listener", "reason"], "Requests refused for want of a certificate or of valid credentials.";
    TLS_HANDSHAKES_FAILED_TOTAL = "trommel_tls_handshakes_failed_total", Counter, ["listener", "reason"], "Connections of which nothing came because they were plain, broken or too slow where TLS is spoken.";
    CREDENTIALS_RELOADS_TOTAL = "trommel_credentials_reloads_total", Counter, ["outcome"], "Changed files of certificates, tokens and passwords, by whether they were taken into use or refused.";
    CREDENTIALS_LAST_RELOAD_SUCCESSFUL = "trommel_credentials_last_reload_successful", Gauge, [], "1 when all files of certificates, tokens and passwords are in use as they are, 0 when some cannot be used and older ones stay in use.";

    ENTRIES_TOTAL = "trommel_entries_total", Counter, [], "Log entries received.";
    ENTRIES_SHED_TOTAL = "trommel_entries_shed_total", Counter, [], "Entries that were not inspected because of overload.";
    ENTRIES_EARLY_TOTAL = "trommel_entries_early_total", Counter, [], "Entries answered at the deadline before their effect was on disk.";
    ENTRIES_LATE_TOTAL = "trommel_entries_late_total", Counter, [], "Entries older than max_age, which decide nothing.";
    ENTRIES_FUTURE_TOTAL = "trommel_entries_future_total", Counter, [], "Entries from more than ten minutes in the future, taken as of now.";
    EVENT_LAG_SECONDS = "trommel_event_lag_seconds", Histogram(LAG_BOUNDS), [], "Wall clock at receipt minus the newest entry time of a request.";
    BATCH_ENTRIES = "trommel_batch_entries", Histogram(ENTRIES_BOUNDS), [], "Entries in a push request.";
    LINES_CUT_TOTAL = "trommel_lines_cut_total", Counter, [], "Lines longer than line_bytes_max, inspected up to it.";
    LABELS_INVALID_TOTAL = "trommel_labels_invalid_total", Counter, [], "Label sets that could not be read or were too long.";
    STREAMS_FORGOTTEN_TOTAL = "trommel_streams_forgotten_total", Counter, [], "Label sets forgotten because streams_max was reached; they are read again when they come again.";

    RULE_MATCHES_TOTAL = "trommel_rule_matches_total", Counter, ["rule"], "Entries that a rule matched and that were counted.";
    RULE_CANDIDATES_TOTAL = "trommel_rule_candidates_total", Counter, ["rule"], "Entries that held a rule's literal and were looked at closely.";
    RULE_SECONDS_TOTAL = "trommel_rule_seconds_total", Counter, ["rule"], "About how long a rule's entries were looked at closely: one look in 61 is timed. The search for literals, which all rules share, is not in it.";
    RULES_LOADED = "trommel_rules_loaded", Gauge, [], "Rules in use.";
    RULES_UNSELECTED = "trommel_rules_unselected", Gauge, [], "Rules whose selector has matched no stream for 24 hours of running; /api/v1/rules and the log name them.";
    RULES_LAST_RELOAD_SUCCESSFUL = "trommel_rules_last_reload_successful", Gauge, [], "1 when the newest rule files are in use, 0 when they were refused and older rules go on.";
    RULES_LAST_RELOAD_SUCCESS_TIMESTAMP_SECONDS = "trommel_rules_last_reload_success_timestamp_seconds", Gauge, [], "When the rule files were last found valid and in use.";
    RULES_RELOADS_TOTAL = "trommel_rules_reloads_total", Counter, ["outcome"], "Times that rule files were loaded, by taken or refused; the start is one.";
    RULES_INFO = "trommel_rules_info", Gauge, ["hash"], "Always 1; the label is the hash of all rules in use, as /api/v1/rules and trommel rules show it.";

    CONFIG_LAST_RELOAD_SUCCESSFUL = "trommel_config_last_reload_successful", Gauge, [], "1 when the newest settings file is in use, 0 when it was refused and older settings go on.";
    CONFIG_LAST_RELOAD_SUCCESS_TIMESTAMP_SECONDS = "trommel_config_last_reload_success_timestamp_seconds", Gauge, [], "When the settings file was last found valid.";
    CONFIG_RELOADS_TOTAL = "trommel_config_reloads_total", Counter, ["outcome"], "Times that the settings file was loaded, by taken or refused; the start is one.";
    CONFIG_AFTER_RESTART = "trommel_config_settings_after_restart", Gauge, [], "Settings that are written otherwise than trommel was started with and take effect after a restart; /api/v1/config and the log name them.";

    DUPLICATES_TOTAL = "trommel_duplicates_total", Counter, [], "Matches that were not counted because the same entry had been.";
    KEYS = "trommel_keys", Gauge, [], "Keys with a window or an open finding.";
    KEYS_BYTES = "trommel_keys_bytes", Gauge, [], "About what keys take in memory.";
    KEYS_EVICTED_TOTAL = "trommel_keys_evicted_total", Counter, [], "Keys forgotten because keys_max or keys_bytes_max was reached.";
    KEYS_REFUSED_TOTAL = "trommel_keys_refused_total", Counter, [], "Matches that were not counted because all keys were open that there is room for.";
    KEYS_CUT_TOTAL = "trommel_keys_cut_total", Counter, [], "Times that an open finding came to keep less of its window because keys_bytes_max was reached.";
    TENANTS_REFUSED_TOTAL = "trommel_tenants_refused_total", Counter, [], "Batches that decided nothing because there were too many tenants.";
    IDENTITIES = "trommel_identities", Gauge, [], "Entries remembered in order to know repeats.";
    IDENTITIES_EVICTED_TOTAL = "trommel_identities_evicted_total", Counter, [], "Entries forgotten early because identities_max was reached.";
    FINDINGS_TOTAL = "trommel_findings_total", Counter, ["rule", "state"], "Messages about findings, by rule and by observed, updated or recovered.";
    FINDINGS_OPEN = "trommel_findings_open", Gauge, ["domain", "incident_type", "severity"], "Findings that are open; a kind is there from its first finding on.";

    COMMIT_SECONDS = "trommel_commit_seconds", Histogram(COMMIT_BOUNDS), [], "Time to put what a group of requests changed on disk.";
    COMMIT_FAILURES_TOTAL = "trommel_commit_failures_total", Counter, [], "Commits that failed; each is tried again with the next.";
    HISTORY_BYTES = "trommel_history_bytes", Gauge, [], "Size of findings and their timelines in the database.";
    FINDINGS_FORGOTTEN_TOTAL = "trommel_findings_forgotten_total", Counter, [], "Findings that were over and are no longer shown, because of history_max_age or history_bytes_max.";
    AUDIT_FORGOTTEN_TOTAL = "trommel_audit_forgotten_total", Counter, [], "Entries of what people did that are no longer shown: older than a year, or beyond 10 000 entries or 4 MiB.";
    CHANGES_REFUSED_TOTAL = "trommel_changes_refused_total", Counter, ["reason"], "Requests to the admin port that would have changed something and were refused: remote, where nobody is asked who they are and the request is not from loopback; host, for a name that may lead here from anywhere; site, from a page of another site; token, of a form that is too old or somebody else's.";
    RULE_SAVES_TOTAL = "trommel_rule_saves_total", Counter, ["outcome"], "Changes of rule files that somebody wanted saved at the admin port: saved, or refused as conflict (the file has changed meanwhile), wrong (the rules would not be valid), read_only, bad, missing, failed or busy.";
    SILENCES_ACTIVE = "trommel_silences_active", Gauge, [], "Silences that hold messages back.";
    SILENCES_REFUSED_TOTAL = "trommel_silences_refused_total", Counter, [], "Silences that were not made because there were a thousand.";
    MATCHES_BYTES = "trommel_matches_bytes", Gauge, [], "Size of recorded matches and their counts in the database.";
    MATCHES_FORGOTTEN_TOTAL = "trommel_matches_forgotten_total", Counter, [], "Recorded matches that were forgotten before three days because of matches_bytes_max, or while the disk took nothing.";
    MATCHES_UNRECORDED_TOTAL = "trommel_matches_unrecorded_total", Counter, [], "Matches that were counted but not recorded: beyond 60 of a rule and minute, or of a sensitive namespace.";
    DATABASE_BYTES = "trommel_database_bytes", Gauge, [], "Size of the database and its log.";
    OUTBOX_MESSAGES = "trommel_outbox_messages", Gauge, [], "Messages that wait for their ack.";
    OUTBOX_BYTES = "trommel_outbox_bytes", Gauge, [], "Bytes of the messages that wait for their ack.";
    OUTBOX_DROPPED_TOTAL = "trommel_outbox_dropped_total", Counter, [], "Messages never sent because outbox_bytes_max was reached.";

    PUBLISH_TOTAL = "trommel_publish_total", Counter, ["outcome"], "Messages published, by outcome.";
    PUBLISH_SECONDS = "trommel_publish_seconds", Histogram(PUBLISH_BOUNDS), [], "Time from the first attempt to send a message to its ack.";
    PUBLISH_RETRIES_TOTAL = "trommel_publish_retries_total", Counter, [], "Attempts to send a message that failed; each is made again.";
    READ_BACK_TOTAL = "trommel_read_back_total", Counter, ["outcome"], "Starts without state, by whether what was open was read back from NATS (done), or could not be in time (gave_up).";
    READ_BACK_FINDINGS_TOTAL = "trommel_read_back_findings_total", Counter, [], "Open findings that were read back from NATS.";
    READ_BACK_SKIPPED_TOTAL = "trommel_read_back_skipped_total", Counter, [], "Messages in the stream that cannot be read as findings, or not as one that could go on here.";
    NATS_CONNECTED = "trommel_nats_connected", Gauge, [], "1 while connected to NATS.";
}

/// What the process has measured, ready to be shown. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Telemetry {
    handle: PrometheusHandle,
    by_rule: Arc<ByRule>,
    /// Hash of the rules in use. The recorder would go on to show every hash that there was.
    rules: Arc<Mutex<Option<String>>>,
}

impl Telemetry {
    /// What `recorder` records.
    fn of(recorder: &Counting) -> Self {
        Self {
            handle: recorder.others.handle(),
            by_rule: Arc::clone(&recorder.by_rule),
            rules: Arc::default(),
        }
    }

    /// Everything measured so far in Prometheus's text format 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = self.handle.render();
        self.by_rule.render(&mut text);
        process::render(&mut text);
        let rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hash) = &*rules {
            let info = METRICS.iter().find(|metric| metric.name == RULES_INFO);
            let help = info.map_or("", |info| info.help);
            text += &format!(
                "# HELP {RULES_INFO} {help}\n# TYPE {RULES_INFO} gauge\n{RULES_INFO}{{hash=\"{hash}\"}} 1\n\n"
            );
        }
        text
    }

    /// What each rule has done and taken since the start, by its id; none of those that nothing was counted of. Cost: a look at each
    /// counter.
    #[must_use]
    pub fn by_rule(&self) -> HashMap<String, OfRule> {
        self.by_rule.all()
    }

    /// From now on rules with that hash, hex digits, are in use.
    pub fn tell_rules(&self, hash: &str) {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        *rules = Some(hash.to_owned());
    }

    /// Adds up what histograms have collected. To be called every few seconds, or a process that nobody scrapes keeps every observation.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

/// Makes the process's metrics visible and returns what shows them. Calling it again returns the same.
///
/// # Panics
/// If another library has installed a recorder of its own.
pub fn install() -> Telemetry {
    static INSTALLED: OnceLock<Telemetry> = OnceLock::new();
    INSTALLED
        .get_or_init(|| {
            let recorder = recorder();
            let telemetry = Telemetry::of(&recorder);
            metrics::set_global_recorder(recorder).expect("only this function installs a recorder");
            register();
            telemetry
        })
        .clone()
}

fn recorder() -> Counting {
    let mut builder = PrometheusBuilder::new();
    for metric in METRICS {
        if let Histogram(bounds) = metric.kind {
            let name = Matcher::Full(metric.name.to_owned());
            builder = builder
                .set_buckets_for_metric(name, bounds)
                .expect("every histogram has bounds");
        }
    }
    Counting {
        others: builder.build_recorder(),
        by_rule: Arc::default(),
    }
}

/// Describes every metric to the current recorder; those without labels begin at zero.
fn register() {
    for &Metric {
        name,
        kind,
        labels,
        help,
    } in METRICS
    {
        match kind {
            Counter => metrics::describe_counter!(name, help),
            Gauge => metrics::describe_gauge!(name, help),
            Histogram(_) => metrics::describe_histogram!(name, help),
        }
        match kind {
            Counter if labels.is_empty() => metrics::counter!(name).absolute(0),
            Gauge if labels.is_empty() => metrics::gauge!(name).set(0.0),
            _ => {}
        }
    }
    metrics::gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For people; coloured on a terminal unless `NO_COLOR` is set.
    Text,
    /// One object per line.
    Json,
}

/// Checks a log filter as [`start_log`] takes it: `info`, or `info,trommel::push=debug`.
///
/// # Errors
/// Whatever is wrong with it, in words.
pub fn check_log_filter(filter: &str) -> Result<(), ParseError> {
    EnvFilter::builder().parse(filter).map(drop)
}

/// Sends the process's logs to stderr. Only the first call of a process has an effect.
///
/// # Errors
/// When `filter` cannot be read.
pub fn start_log(filter: &str, format: LogFormat) -> Result<(), ParseError> {
    let filter = EnvFilter::builder().parse(filter)?;
    let terminal = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr);
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    // A second start (tests run several instances in one process) keeps the first one's settings.
    if json {
        let log = log
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .with_env_filter(filter)
            .with_filter_reloading();
        let filter = log.reload_handle();
        if log.try_init().is_ok() {
            let _ = SET_FILTER.set(Box::new(move |new| filter.reload(new)));
        }
    } else {
        let log = log
            .with_ansi(terminal && colour_is_wanted())
            .with_env_filter(filter)
            .with_filter_reloading();
        let filter = log.reload_handle();
        if log.try_init().is_ok() {
            let _ = SET_FILTER.set(Box::new(move |new| filter.reload(new)));
        }
    }
    Ok(())
}

type SetFilter = dyn Fn(EnvFilter) -> Result<(), tracing_subscriber::reload::Error> + Send + Sync;

/// Exchanges the filter of the log that was started.
static SET_FILTER: OnceLock<Box<SetFilter>> = OnceLock::new();

/// Logs by another filter from now on. Without a log nothing happens.
///
/// # Errors
/// When `filter` cannot be read.
pub fn set_log_filter(filter: &str) -> Result<(), ParseError> {
    let filter = EnvFilter::builder().parse(filter)?;
    if let Some(set) = SET_FILTER.get() {
        // It fails only when the log is gone with the process.
        let _ = set(filter);
    }
    Ok(())
}

/// Whether the user has not asked for plain text. Source: <https://no-color.org>: any value but the empty one asks.
#[must_use]
pub fn colour_is_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;
    use std::process::{Command, Stdio};

    use regex_automata::meta::Regex;

    use super::*;

    /// One observation of every metric, rendered.
    fn render_all() -> String {
        let recorder = recorder();
        let telemetry = Telemetry::of(&recorder);
        metrics::with_local_recorder(&recorder, || {
            register();
            for metric in METRICS {
                let labels: Vec<_> = metric
                    .labels
                    .iter()
                    .map(|label| metrics::Label::new(*label, "x"))
                    .collect();
                match metric.kind {
                    Counter => metrics::counter!(metric.name, labels).increment(3),
                    Gauge => metrics::gauge!(metric.name, labels).set(1.5),
                    Histogram(_) => metrics::histogram!(metric.name, labels).record(0.3),
                }
            }
            telemetry.upkeep();
            telemetry.render()
        })
    }

    #[test]
    fn names_say_their_unit_and_their_type() {
        for metric in METRICS {
            let name = metric.name;
            assert!(name.starts_with("trommel_"), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind == Counter, "{name}");
            assert!(metric.help.ends_with('.'), "{name}");
            for part in name.split('_') {
                assert!(
                    !["ms", "millis", "kb", "mb", "kib", "mib", "percent"].contains(&part),
                    "{name}"
                );
            }
            if let Histogram(bounds) = metric.kind {
                assert!(bounds.is_sorted(), "{name}");
            }
        }
        let mut names: Vec<_> = METRICS.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.len());
    }

    #[test]
    fn everything_is_rendered_with_its_type_and_help() {
        let text = render_all();
        for metric in METRICS {
            let kind = match metric.kind {
                Counter => "counter",
                Gauge => "gauge",
                Histogram(_) => "histogram",
            };
            assert!(
                text.contains(&format!("# TYPE {} {kind}\n", metric.name)),
                "{}",
                metric.name
            );
            assert!(
                text.contains(&format!("# HELP {} {}\n", metric.name, metric.help)),
                "{}",
                metric.name
            );
        }
        assert!(
            text.contains("trommel_push_answer_seconds_bucket{le=\"0.5\"} 1\n"),
            "{text}"
        );
        assert!(
            text.contains("trommel_rule_matches_total{rule=\"x\"} 3\n"),
            "{text}"
        );
    }

    #[test]
    fn metrics_without_labels_are_zero_before_anything_happened() {
        let recorder = recorder();
        metrics::with_local_recorder(&recorder, register);
        let text = Telemetry::of(&recorder).render();
        assert!(text.contains("\ntrommel_entries_shed_total 0\n"), "{text}");
        assert!(text.contains("\ntrommel_outbox_messages 0\n"), "{text}");
        assert!(text.contains("trommel_build_info{version="), "{text}");
    }

    #[test]
    fn promtool_has_nothing_to_say() {
        let promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut promtool = match promtool {
            Ok(promtool) => promtool,
            Err(error) => return println!("skipped: promtool: {error}"),
        };
        promtool
            .stdin
            .take()
            .expect("piped")
            .write_all(render_all().as_bytes())
            .expect("promtool reads all");
        let output = promtool.wait_with_output().expect("it ends");
        let said = [output.stdout, output.stderr].concat();
        assert!(
            output.status.success() && said.is_empty(),
            "{}",
            String::from_utf8_lossy(&said)
        );
    }

    #[test]
    fn every_metric_that_the_source_counts_is_declared() {
        let counted = Regex::new(r#"(?:counter|gauge|histogram)!\(\s*"([^"]*)""#).expect("valid");
        let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("readable") {
                let path = entry.expect("readable").path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let text = std::fs::read_to_string(&path).expect("source is text");
                for found in counted.captures_iter(&text) {
                    let name = &text[found.get_group(1).expect("in every match").range()];
                    assert!(
                        METRICS.iter().any(|metric| metric.name == name),
                        "{}: {name}",
                        path.display()
                    );
                }
            }
        }
    }

    #[test]
    fn a_filter_is_read_as_tracing_reads_it() {
        assert!(check_log_filter("info,trommel::push=debug").is_ok());
        assert!(check_log_filter("trommel=loud").is_err());
    }
}
