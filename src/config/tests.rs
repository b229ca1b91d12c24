//! Settings as people write them.

use expect_test::{Expect, expect};

use super::*;

fn load(yaml: &str, variables: &[(&str, &str)], flags: &RawConfig) -> Result<Config, ConfigError> {
    let mut layers = settings::Layers::default();
    layers.add(&parse(Path::new("trommel.yaml"), yaml)?)?;
    layers.add_variables(|name| {
        let (_, text) = variables.iter().find(|(variable, _)| *variable == name)?;
        Some((*text).to_owned())
    })?;
    layers.add(flags)?;
    Config::check(layers.into_raw())
}

/// What a file, and the same under a variable's name, is refused with.
#[track_caller]
fn refused(yaml: &str, variables: &[(&str, &str)], expected: Expect) {
    let error = load(yaml, variables, &RawConfig::default()).expect_err("refused");
    expected.assert_eq(&error.to_string());
}

#[test]
fn a_file_with_nothing_in_it_means_the_defaults() {
    for yaml in [
        "",
        "# listen: 1.2.3.4:5\n",
        "{}",
        "limits:\n  # body_bytes_max: 1MiB\nnats:\n",
    ] {
        let config = load(yaml, &[], &RawConfig::default()).expect("fine");
        assert_eq!(config.listen, Config::LISTEN, "{yaml:?}");
        assert_eq!(config.limits.body_bytes_max, 4 << 20, "{yaml:?}");
        assert!(config.stdout && config.nats.is_none(), "{yaml:?}");
    }
}

#[test]
fn a_flag_goes_before_a_variable_that_before_the_file_and_that_before_the_default() {
    let file = "cluster: file\ninstance: file\nenvironment: file\nlimits: {body_bytes_max: 1MiB, line_bytes_max: 2048}\n";
    let variables = [
        ("TROMMEL_CLUSTER", "variable"),
        ("TROMMEL_ENVIRONMENT", "variable"),
        ("TROMMEL_INSTANCE", ""),
        ("TROMMEL_LIMITS_BODY_BYTES_MAX", "2MiB"),
    ];
    let flags = RawConfig {
        environment: Some("flag".to_owned()),
        ..RawConfig::default()
    };
    let config = load(file, &variables, &flags).expect("fine");
    assert_eq!(config.origin.instance, "file");
    assert_eq!(config.origin.cluster, "variable");
    assert_eq!(config.origin.environment, "flag");
    assert_eq!(config.limits.body_bytes_max, 2 << 20);
    assert_eq!(config.limits.line_bytes_max, 2048);
    assert_eq!(config.limits.streams_max, Limits::STREAMS_MAX);
}

#[test]
fn every_kind_of_value_can_be_given_as_a_variable() {
    let variables = [
        ("TROMMEL_LISTEN", "[::]:0"),
        ("TROMMEL_RULES", "a.yaml; dir/b ;"),
        ("TROMMEL_BUILTIN", "false"),
        ("TROMMEL_NATS_URL", "nats://a:4222,tls://b:4222"),
        ("TROMMEL_NATS_CREATE", "never"),
        ("TROMMEL_DETECT_LATE_BY", "0"),
        ("TROMMEL_DETECT_KEYS_MAX", "7"),
        ("TROMMEL_LIMITS_LABELS_BYTES_MAX", "1000"),
        ("TROMMEL_EVIDENCE_REDACT", r"card \d{4,}; pin=\S+"),
        ("TROMMEL_LOG", "debug"),
        ("TROMMEL_LOG_FORMAT", "json"),
        // Kubernetes adds these for a service of this name.
        ("TROMMEL_PORT", "tcp://10.0.0.1:3101"),
    ];
    let config = load("", &variables, &RawConfig::default()).expect("fine");
    assert_eq!(config.listen.to_string(), "[::]:0");
    assert_eq!(config.rules, [Path::new("a.yaml"), Path::new("dir/b")]);
    assert!(!config.builtin && !config.stdout);
    let nats = config.nats.expect("given");
    assert_eq!(
        (nats.create, &*nats.stream),
        (Create::Never, "OPS_FINDINGS")
    );
    assert_eq!(
        (config.detect.late_by, config.detect.keys_max),
        (Duration::ZERO, 7)
    );
    assert_eq!(config.limits.labels_bytes_max, 1000);
    assert_eq!(config.redact.len(), 2);
    assert_eq!(
        config.log,
        Log {
            level: "debug".to_owned(),
            format: LogFormat::Json
        }
    );
}

#[test]
fn each_default_in_the_table_is_what_leaving_it_out_means() {
    let bare = load("", &[], &RawConfig::default()).expect("fine");
    for setting in settings() {
        assert!(!setting.doc.is_empty(), "{}", setting.key);
        if let Some(default) = &setting.default {
            let text = default.replace("\n", ";");
            let config =
                load("", &[(&setting.variable, &text)], &RawConfig::default()).expect("fine");
            assert_eq!(
                format!("{config:?}"),
                format!("{bare:?}"),
                "{}",
                setting.key
            );
        }
    }
}

#[test]
fn the_table_holds_every_key() {
    let table: String = settings()
        .iter()
        .map(|setting| {
            format!(
                "{} {} {}\n",
                setting.key,
                setting.variable,
                setting.default.as_deref().unwrap_or("-")
            )
        })
        .collect();
    expect![[r#"
        admin.cert_file TROMMEL_ADMIN_CERT_FILE -
        admin.client_ca_file TROMMEL_ADMIN_CLIENT_CA_FILE -
        admin.key_file TROMMEL_ADMIN_KEY_FILE -
        admin.password_file TROMMEL_ADMIN_PASSWORD_FILE -
        admin.token_files TROMMEL_ADMIN_TOKEN_FILES -
        admin.username TROMMEL_ADMIN_USERNAME -
        admin_listen TROMMEL_ADMIN_LISTEN 127.0.0.1:3102
        builtin TROMMEL_BUILTIN true
        cluster TROMMEL_CLUSTER default
        data TROMMEL_DATA -
        detect.identities_max TROMMEL_DETECT_IDENTITIES_MAX 356000
        detect.keys_bytes_max TROMMEL_DETECT_KEYS_BYTES_MAX 13MiB
        detect.keys_max TROMMEL_DETECT_KEYS_MAX 10000
        detect.late_by TROMMEL_DETECT_LATE_BY 10s
        detect.max_age TROMMEL_DETECT_MAX_AGE 1h
        detect.tee_silent_after TROMMEL_DETECT_TEE_SILENT_AFTER 5m
        environment TROMMEL_ENVIRONMENT -
        evidence.redact TROMMEL_EVIDENCE_REDACT -
        evidence.sensitive_namespaces TROMMEL_EVIDENCE_SENSITIVE_NAMESPACES -
        exclude TROMMEL_EXCLUDE service_name="trommel"; container="trommel"; service_name=~"loki.*|alloy.*|grafana.*|tempo.*|mimir.*" |= "query="; service_name=~"loki.*|alloy.*|grafana.*|tempo.*|mimir.*" |= "\"query\":"
        grafana.datasource TROMMEL_GRAFANA_DATASOURCE -
        grafana.url TROMMEL_GRAFANA_URL -
        history_bytes_max TROMMEL_HISTORY_BYTES_MAX 32MiB
        history_max_age TROMMEL_HISTORY_MAX_AGE 30d
        insecure_admin TROMMEL_INSECURE_ADMIN false
        instance TROMMEL_INSTANCE default
        limits.answer_deadline TROMMEL_LIMITS_ANSWER_DEADLINE 500ms
        limits.body_bytes_max TROMMEL_LIMITS_BODY_BYTES_MAX 4MiB
        limits.body_timeout TROMMEL_LIMITS_BODY_TIMEOUT 30s
        limits.connections_max TROMMEL_LIMITS_CONNECTIONS_MAX 270
        limits.decompressed_bytes_max TROMMEL_LIMITS_DECOMPRESSED_BYTES_MAX 4MiB
        limits.header_timeout TROMMEL_LIMITS_HEADER_TIMEOUT 10s
        limits.in_flight_bytes_max TROMMEL_LIMITS_IN_FLIGHT_BYTES_MAX 16MiB
        limits.labels_bytes_max TROMMEL_LIMITS_LABELS_BYTES_MAX 16KiB
        limits.line_bytes_max TROMMEL_LIMITS_LINE_BYTES_MAX 256KiB
        limits.streams_max TROMMEL_LIMITS_STREAMS_MAX 19000
        listen TROMMEL_LISTEN 127.0.0.1:3101
        log.format TROMMEL_LOG_FORMAT auto
        log.level TROMMEL_LOG info
        matches_bytes_max TROMMEL_MATCHES_BYTES_MAX 8MiB
        memory TROMMEL_MEMORY 96MiB
        nats.ca_file TROMMEL_NATS_CA_FILE -
        nats.cert_file TROMMEL_NATS_CERT_FILE -
        nats.create TROMMEL_NATS_CREATE if_missing
        nats.creds TROMMEL_NATS_CREDS -
        nats.key_file TROMMEL_NATS_KEY_FILE -
        nats.nkey_file TROMMEL_NATS_NKEY_FILE -
        nats.password_file TROMMEL_NATS_PASSWORD_FILE -
        nats.read_back TROMMEL_NATS_READ_BACK 10s
        nats.stream TROMMEL_NATS_STREAM OPS_FINDINGS
        nats.subject_prefix TROMMEL_NATS_SUBJECT_PREFIX ops.findings
        nats.token_file TROMMEL_NATS_TOKEN_FILE -
        nats.url TROMMEL_NATS_URL -
        nats.username TROMMEL_NATS_USERNAME -
        outbox_bytes_max TROMMEL_OUTBOX_BYTES_MAX 64MiB
        push.cert_file TROMMEL_PUSH_CERT_FILE -
        push.client_ca_file TROMMEL_PUSH_CLIENT_CA_FILE -
        push.key_file TROMMEL_PUSH_KEY_FILE -
        push.password_file TROMMEL_PUSH_PASSWORD_FILE -
        push.token_files TROMMEL_PUSH_TOKEN_FILES -
        push.username TROMMEL_PUSH_USERNAME -
        recent_lines TROMMEL_RECENT_LINES true
        reload_interval TROMMEL_RELOAD_INTERVAL 500ms
        rules TROMMEL_RULES -
        rules_writable TROMMEL_RULES_WRITABLE -
        shutdown_delay TROMMEL_SHUTDOWN_DELAY 5s
        stdout TROMMEL_STDOUT -
    "#]].assert_eq(&table);
}

#[test]
fn the_schema_describes_the_file() {
    let schema = schema();
    let valid = jsonschema::validator_for(&schema).expect("a schema");
    for (written, fine) in [
        (serde_json::json!({}), true),
        (
            serde_json::json!({"listen": "0.0.0.0:3101", "limits": {"body_bytes_max": "16MiB", "line_bytes_max": 1024}}),
            true,
        ),
        (
            serde_json::json!({"rules": ["a.yaml"], "detect": {"late_by": "1m30s"}, "nats": {"create": "never"}}),
            true,
        ),
        (
            serde_json::json!({"limits": {"body_bytes_max": "16MB"}}),
            false,
        ),
        (serde_json::json!({"limits": {"body_byte_max": 1}}), false),
        (serde_json::json!({"detect": {"late_by": "10"}}), false),
        (serde_json::json!({"nats": {"create": "always"}}), false),
    ] {
        assert_eq!(valid.is_valid(&written), fine, "{written}");
        let yaml = written.to_string();
        assert_eq!(parse(Path::new("x"), &yaml).is_ok(), fine, "{written}");
    }
}

#[test]
fn what_is_allowed_together_fits_into_memory() {
    let shares = |yaml| {
        let config = load(yaml, &[], &RawConfig::default()).expect("fine");
        let (limits, detect) = (config.limits, config.detect);
        (
            limits.in_flight_bytes_max >> 20,
            limits.body_bytes_max >> 20,
            detect.keys_bytes_max >> 20,
            limits.streams_max,
        )
    };
    assert_eq!(shares(""), (16, 4, 13, 19_000));
    assert_eq!(shares("memory: 64MiB"), (8, 2, 7, 10_000));
    assert_eq!(shares("memory: 1GiB"), (248, 16, 199, 291_000));
    refused(
        "memory: 63MiB\n",
        &[],
        expect!["memory: 63MiB is not between 64MiB and 1024GiB"],
    );
    refused(
        "limits: {in_flight_bytes_max: 64MiB, connections_max: 2000}\n",
        &[],
        expect![
            "memory: 96MiB is less than the 162MiB that are allowed together: trommel itself 28MiB, buffers 9MiB, recent lines 2MiB, limits.in_flight_bytes_max 64MiB, limits.connections_max 32MiB, limits.streams_max 10MiB, detect.identities_max 7MiB, detect.keys_bytes_max 13MiB; raise it, or lower one of these"
        ],
    );
}

#[test]
fn what_is_no_setting_is_refused_with_its_place() {
    refused(
        "cluster: a\nlimits:\n  body_byte_max: 1\n",
        &[],
        expect![
            "trommel.yaml:3:3: unknown field `body_byte_max`, expected one of body_bytes_max, decompressed_bytes_max, connections_max, header_timeout, body_timeout, labels_bytes_max, line_bytes_max, in_flight_bytes_max, answer_deadline, streams_max"
        ],
    );
    refused(
        "cluster: a\nclustr: b\n",
        &[],
        expect![
            "trommel.yaml:2:1: unknown field `clustr`, expected one of listen, admin_listen, push, admin, insecure_admin, data, rules, rules_writable, builtin, environment, cluster, instance, nats, stdout, memory, detect, limits, outbox_bytes_max, history_bytes_max, history_max_age, matches_bytes_max, recent_lines, shutdown_delay, evidence, exclude, grafana, log, reload_interval"
        ],
    );
    refused(
        "listen: nowhere\n",
        &[],
        expect![
            "listen: `nowhere` is no address; write an IP address and a port, such as 0.0.0.0:3101"
        ],
    );
    refused(
        "limits:\n  body_bytes_max: 16MB\n",
        &[],
        expect![
            "trommel.yaml:2:19: `16MB` is not a size; write a number of bytes, or 16KiB, 16MiB, 16GiB"
        ],
    );
    refused(
        "limits: {body_bytes_max: -1}\n",
        &[],
        expect!["trommel.yaml:1:10: invalid type: integer `-1`, expected a size such as 16MiB"],
    );
    refused(
        "detect:\n  late_by: 10\n",
        &[],
        expect![
            "trommel.yaml:2:12: `10` is not a duration; write it as in Prometheus: 30s, 10m, 1h30m, 1d"
        ],
    );
    refused(
        "builtin: perhaps\n",
        &[],
        expect!["trommel.yaml:1:10: invalid boolean"],
    );
    refused(
        "rules: a.yaml\n",
        &[],
        expect!["trommel.yaml:1:8: expected sequence start"],
    );
    refused(
        "rules: [a.yaml\n",
        &[],
        expect!["trommel.yaml:1:8: unclosed bracket '['"],
    );
    refused(
        "nats: {url: 'nats://me:secret@host', create: always}\n",
        &[],
        expect!["trommel.yaml:1:46: unknown variant `always`, expected one of if_missing, never"],
    );
}

#[test]
fn a_variable_that_cannot_be_read_is_named() {
    refused(
        "",
        &[("TROMMEL_BUILTIN", "yes")],
        expect!["TROMMEL_BUILTIN: `yes` is neither true nor false"],
    );
    refused(
        "",
        &[("TROMMEL_LIMITS_STREAMS_MAX", "many")],
        expect!["TROMMEL_LIMITS_STREAMS_MAX: `many` is not a number"],
    );
    refused(
        "",
        &[("TROMMEL_DETECT_MAX_AGE", "soon")],
        expect![
            "TROMMEL_DETECT_MAX_AGE: `soon` is not a duration; write it as in Prometheus: 30s, 10m, 1h30m, 1d"
        ],
    );
    refused(
        "",
        &[("TROMMEL_ADMIN_LISTEN", "localhost")],
        expect![
            "admin_listen: `localhost` is no address; write an IP address and a port, such as 0.0.0.0:3102"
        ],
    );
    refused(
        "",
        &[("TROMMEL_LOG_FORMAT", "xml")],
        expect![
            "TROMMEL_LOG_FORMAT: unknown variant `xml`, expected one of `auto`, `text`, `json`"
        ],
    );
}

#[test]
fn everything_out_of_range_is_told_at_once() {
    refused(
        "cluster: my cluster
instance: ''
nats: {url: 'http://me:secret@host', stream: ops.findings, subject_prefix: ops.*}
detect: {late_by: 2m, max_age: 1m, keys_max: 0}
limits: {body_bytes_max: 1, answer_deadline: 1m, decompressed_bytes_max: 1GiB}
outbox_bytes_max: 10
evidence: {redact: ['(']}
grafana: {url: grafana.example}
log: {level: loud=loud}
",
        &[],
        expect![[r#"
            nats.stream: `ops.findings` is no stream name: no blanks, `.`, `*`, `>`, `/`, `\`
            nats.subject_prefix: `ops.*` is no subject: words without blanks or wildcards, separated by `.`
            nats.url: every server must be written as nats://host:port or tls://host:port
            nats.url: holds a user or a token; write them to a file for nats.creds, nats.nkey_file, nats.token_file or nats.password_file
            detect.keys_max: 0 is not between 1 and 1000000
            detect.late_by: 2m is more than detect.max_age, 1m
            limits.body_bytes_max: 1B is not between 1KiB and 1GiB
            limits.answer_deadline: 1m is not between 10ms and 30s
            limits.in_flight_bytes_max: 16MiB is less than limits.decompressed_bytes_max, 1GiB: such a request would never be inspected
            cluster: `my cluster` is not 1 to 64 letters, digits, `.`, `_` or `-`
            instance: `` is not 1 to 64 letters, digits, `.`, `_` or `-`
            grafana.datasource: missing: a link needs the uid of the Loki data source beside grafana.url
            outbox_bytes_max: 10B is not between 1MiB and 64GiB
            evidence.redact: `(`: unclosed group: `(`
            log.level: `loud=loud`: error parsing level filter: expected one of "off", "error", "warn", "info", "debug", "trace", or a number 0-5"#]],
    );
    refused(
        "grafana: {url: 'https://me:secret@grafana.example/@home', datasource: x}",
        &[],
        expect![
            "grafana.url: holds a user: links are in every message, for all who read them; leave it out"
        ],
    );
    refused(
        "grafana: {url: grafana.example, datasource: x}",
        &[],
        expect!["grafana.url: `grafana.example` does not begin with http:// or https://"],
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::load(
        Some(Path::new("/nonexistent/trommel.yaml")),
        |_| None,
        &RawConfig::default(),
    )
    .expect_err("missing");
    assert!(
        error.to_string().starts_with("/nonexistent/trommel.yaml: "),
        "{error}"
    );
}

/// Every setting, as it can be written.
const EVERY_SETTING: &str = r#"
listen: 127.0.0.1:3101
admin_listen: 127.0.0.1:9090
push: {cert_file: /a.crt, key_file: /a.key, client_ca_file: /ca.crt, token_files: [/a, /b], username: alloy, password_file: /p}
admin: {cert_file: /b.crt, key_file: /b.key, client_ca_file: /ca.crt, token_files: [/c], username: prometheus, password_file: /q}
insecure_admin: false
data: /var/lib/trommel
rules: [a.yaml, b]
rules_writable: b
builtin: true
environment: staging
cluster: a
instance: b
nats: {url: "nats://host:4222", stream: OPS, subject_prefix: ops.findings, create: never, read_back: 1s, creds: /a.creds, nkey_file: /a.nk, token_file: /t, username: ops, password_file: /p, ca_file: /ca.crt, cert_file: /c.crt, key_file: /c.key}
stdout: false
memory: 128MiB
detect: {late_by: 10s, max_age: 1h, tee_silent_after: 5m, keys_max: 100, keys_bytes_max: 10MiB, identities_max: 1000}
limits:
  body_bytes_max: 16MiB
  decompressed_bytes_max: 16777216
  connections_max: 9
  header_timeout: 5s
  body_timeout: 5s
  labels_bytes_max: 4KiB
  line_bytes_max: 4KiB
  in_flight_bytes_max: 64MiB
  answer_deadline: 500ms
  streams_max: 5
outbox_bytes_max: 64MiB
history_bytes_max: 1MiB
history_max_age: 1h
matches_bytes_max: 1MiB
recent_lines: false
shutdown_delay: 5s
evidence: {redact: [pin], sensitive_namespaces: [vault]}
exclude: [app=loki]
grafana: {url: "https://grafana.example", datasource: loki}
log: {level: info, format: json}
reload_interval: 1s
"#;

#[test]
fn settings_are_refused_by_schema_and_reader_alike() {
    let schema = schema();
    let valid = jsonschema::validator_for(&schema).expect("a schema");
    let whole: serde_json::Value = serde_saphyr::from_str(EVERY_SETTING).expect("YAML");
    let read = |file: &serde_json::Value| parse(Path::new("x"), &file.to_string());
    let known = settings().len();
    let written = |value: &serde_json::Value| match value.as_object() {
        Some(map) => map.len(),
        None => 1,
    };
    let all: usize = whole
        .as_object()
        .expect("a map")
        .values()
        .map(written)
        .sum();
    assert_eq!(all, known, "every setting is compared");
    assert!(valid.is_valid(&whole) && read(&whole).is_ok());
    // The reader takes numbers and switches for the text that they are written as, a number in quotes for the number, and a key
    // without a value for one that is not there. An editor may say that something is missing there.
    let lenient = ["true", "5", "-1", "1.5", "99999999", "null", "\"10\""];
    let mut apart = Vec::new();
    for (what, file) in crate::rules::tests::schema::mutations(&whole) {
        match (valid.is_valid(&file), read(&file)) {
            (true, Err(error)) => apart.push(format!("the reader alone refuses {what}: {error}")),
            (false, Ok(_))
                if lenient
                    .iter()
                    .any(|end| what.ends_with(&format!("= {end}"))) => {}
            (false, Ok(_)) => apart.push(format!("the schema alone refuses {what}")),
            _ => {}
        }
    }
    assert!(apart.is_empty(), "{}", apart.join("\n"));
}

#[test]
fn what_another_file_changes_is_told_without_its_secrets() {
    let load = |yaml| load(yaml, &[], &RawConfig::default()).expect("fine");
    let old = load("instance: first\nlimits: {body_bytes_max: 1MiB}\n");
    let new = load(
        "instance: other\nlimits: {body_bytes_max: 1024KiB}\nexclude: [app=a, 'app=b |= \"password=hunter2x9\"']\nlog: {level: info}\n",
    );
    let texts = |changed: Vec<Changed>| -> String {
        let lines = changed.into_iter().map(|changed| changed.text + "\n");
        lines.collect()
    };
    let exclude = Config::EXCLUDE.join("; ");
    assert_eq!(
        texts(old.written.changed_in(&new.written)),
        format!(
            "`exclude` changed from `{exclude}` to `app=a; app=b |= \"password=‹redacted:password›\"`\n\
             `instance` changed from `first` to `other`\n"
        )
    );
    assert_eq!(texts(old.written.changed_in(&old.written)), "");
}

#[test]
fn files_are_looked_at_every_so_often_or_never() {
    let interval = |text: &str| {
        let yaml = format!("reload_interval: '{text}'");
        load(&yaml, &[], &RawConfig::default()).map(|config| config.reload_interval)
    };
    assert_eq!(interval("0").expect("fine"), Duration::ZERO);
    assert_eq!(interval("50ms").expect("fine"), Duration::from_millis(50));
    let error = interval("49ms").expect_err("too often").to_string();
    assert_eq!(error, "reload_interval: 49ms is not between 50ms and 1h");
}

#[test]
fn what_lets_clients_in_is_whole_or_refused() {
    refused(
        "push: {cert_file: a, client_ca_file: ca, username: alloy}
admin: {key_file: b, password_file: p}
",
        &[],
        expect![[r#"
            admin.cert_file: missing: admin.key_file needs it
            admin.username: missing: admin.password_file needs it
            push.key_file: missing: push.cert_file needs it
            push.password_file: missing: push.username needs it"#]],
    );
    refused(
        "push: {client_ca_file: ca, username: 'a:b', password_file: p}",
        &[],
        expect![[r#"
            push.cert_file: missing: push.client_ca_file needs it
            push.username: `a:b` is no user name: not empty, no `:`, no control characters"#]],
    );
    let config = load(
        "push: {username: alloy, password_file: p}",
        &[
            ("TROMMEL_PUSH_TOKEN_FILES", "a; b"),
            ("TROMMEL_ADMIN_CERT_FILE", "c"),
            ("TROMMEL_ADMIN_KEY_FILE", "k"),
        ],
        &RawConfig::default(),
    )
    .expect("fine");
    assert_eq!(config.push.tokens, [Path::new("a"), Path::new("b")]);
    assert_eq!(config.push.user.expect("given").name, "alloy");
    assert!(config.admin.tls.is_some() && !config.admin.ask_anything());
}

#[test]
fn strangers_see_nothing_unless_they_are_let_in_on_purpose() {
    for (yaml, fine) in [
        ("admin_listen: 127.0.0.1:1", true),
        ("admin_listen: '[::1]:1'", true),
        ("admin_listen: '[::ffff:127.0.0.9]:1'", true),
        ("admin_listen: 0.0.0.0:1", false),
        ("admin_listen: '[::]:1'", false),
        ("admin_listen: 10.0.0.1:1", false),
        // TLS alone hides findings from those in between, and shows them to whoever asks.
        (
            "admin_listen: 0.0.0.0:1\nadmin: {cert_file: c, key_file: k}",
            false,
        ),
        ("admin_listen: 0.0.0.0:1\nadmin: {token_files: []}", false),
        ("admin_listen: 0.0.0.0:1\npush: {token_files: [t]}", false),
        ("admin_listen: 0.0.0.0:1\nadmin: {token_files: [t]}", true),
        (
            "admin_listen: 0.0.0.0:1\nadmin: {username: u, password_file: p}",
            true,
        ),
        (
            "admin_listen: 0.0.0.0:1\nadmin: {cert_file: c, key_file: k, client_ca_file: a}",
            true,
        ),
        ("admin_listen: 0.0.0.0:1\ninsecure_admin: true", true),
    ] {
        let loaded = load(yaml, &[], &RawConfig::default());
        assert_eq!(loaded.is_ok(), fine, "{yaml}: {:?}", loaded.err());
    }
    refused(
        "admin_listen: 0.0.0.0:3102",
        &[],
        expect![
            "admin_listen: 0.0.0.0:3102 can be reached from other hosts, and everybody would see findings and metrics: set admin.token_files, admin.username and admin.password_file, or admin.client_ca_file; --insecure-admin leaves it open to everybody"
        ],
    );
}

#[test]
fn nats_is_logged_in_to_in_one_way_and_by_files() {
    refused(
        "nats: {url: 'nats://me:secret@host', creds: a, token_file: t, username: u}",
        &[],
        expect![[r#"
            nats.password_file: missing: nats.username needs it
            nats.token_file: one too many beside nats.creds: there is one way to log in
            nats.url: holds a user or a token; write them to a file for nats.creds, nats.nkey_file, nats.token_file or nats.password_file"#]],
    );
    refused(
        "nats: {url: 'nats://t0ken@host', username: u, password_file: p, nkey_file: n, key_file: k}",
        &[],
        expect![[r#"
            nats.username: one too many beside nats.nkey_file: there is one way to log in
            nats.cert_file: missing: nats.key_file needs it
            nats.url: holds a user or a token; write them to a file for nats.creds, nats.nkey_file, nats.token_file or nats.password_file"#]],
    );
    let config = load(
        "nats: {url: 'tls://host'}",
        &[
            ("TROMMEL_NATS_NKEY_FILE", "n"),
            ("TROMMEL_NATS_CA_FILE", "ca"),
        ],
        &RawConfig::default(),
    )
    .expect("fine");
    let nats = config.nats.expect("given");
    assert_eq!(nats.login, Login::Nkey("n".into()));
    assert_eq!(nats.tls.authorities, Some("ca".into()));
}

#[test]
fn rule_files_can_be_changed_only_where_they_are_read() {
    let check = |writable: &str| {
        let raw = RawConfig {
            rules: Some(vec!["/etc/rules".into(), "mine".into()]),
            rules_writable: Some(writable.into()),
            ..RawConfig::default()
        };
        Config::check(raw).map(|config| config.rules_writable)
    };
    for inside in ["/etc/rules", "/etc/rules/a/b", "mine"] {
        let writable = check(inside).expect("it is read");
        assert_eq!(writable, Some(PathBuf::from(inside)));
    }
    for outside in [
        "/etc",
        "/etc/rules2",
        "/etc/rules/../other",
        "/etc/rules/.hidden",
        "",
    ] {
        let wrong = check(outside).expect_err("it is not read").to_string();
        assert!(wrong.starts_with("rules_writable: `"), "{outside}: {wrong}");
    }
}
