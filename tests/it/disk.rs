//! Damaged disks and jumping clocks: pushes are answered, nothing panics, what is lost is counted and said, and where the fault ends, so
//! does the trouble. A disk that is full or slow is in `loki_first`.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use trommel::config::{Config, RawConfig, RawLimits, Span};
use trommel::reload::{Beginning, Digest, SettingsFile};
use trommel::rules::{LoadOptions, RuleSet, SourceText};
use trommel::service::Service;
use trommel::time::Timestamp;

use crate::support::http::{Client, Request};
use crate::support::incident::{Incident, RULES};
use crate::support::loki::{self, Entry};
use crate::support::program;
use crate::support::trommel::{Setup, Trommel};
use crate::support::wait;

/// A request waits for a commit however long that takes: what is early is so because the commit failed, not because the disk is slow.
const SETTINGS: &str = "limits: {answer_deadline: 30s}";

/// Trommel with a data directory.
fn with_data() -> Setup {
    Setup::new(RULES).with_data().with_settings(SETTINGS)
}

/// Those of `components` that have an open finding.
#[track_caller]
fn open(trommel: &Trommel, components: &[String]) -> Vec<bool> {
    let findings = trommel
        .admin("/api/v1/findings?state=open&limit=500")
        .text();
    let has = |component: &String| findings.contains(&format!("{{component={component},namespace"));
    components.iter().map(has).collect()
}

#[track_caller]
fn never_panicked(trommel: &Trommel) {
    let log = trommel.log();
    assert!(!log.contains("panicked"), "{log}");
}

/// What a power failure, or a disk that lied about a sync, leaves of the write-ahead log: its beginning, or its beginning with
/// something else behind it.
#[test]
fn of_a_log_that_is_cut_off_or_spoilt_anywhere_the_commits_before_that_are_there() {
    let setup = with_data();
    let incident = Incident::new();
    let components: Vec<_> = (0..6).map(|number| format!("c{number}")).collect();
    let trommel = setup.start();
    for component in &components {
        trommel.push(&incident.failures(component));
    }
    trommel.kill();
    let data = setup.data();
    let log = fs::read(data.join("trommel.db-wal")).expect("a killed trommel leaves its log");
    let file = fs::read(data.join("trommel.db")).expect("there is a database");

    let mut counts = Vec::new();
    for eighths in 0..=8 {
        let length = log.len() * eighths / 8;
        for spoilt in [false, true] {
            let mut left = log[..length].to_vec();
            if spoilt {
                left.resize(log.len(), 0xa5);
            }
            fs::write(data.join("trommel.db"), &file).expect("ours");
            fs::write(data.join("trommel.db-wal"), left).expect("ours");
            let _ = fs::remove_file(data.join("trommel.db-shm"));
            let trommel = setup.start();
            let there = open(&trommel, &components);
            let count = there.iter().filter(|there| **there).count();
            assert!(
                there[..count].iter().all(|there| *there),
                "the first ones: {there:?}"
            );
            counts.push(count);
            trommel.push(&incident.failures("next"));
            assert_eq!(open(&trommel, &["next".to_owned()]), [true]);
            never_panicked(&trommel);
            trommel.kill();
        }
    }
    assert!(counts.is_sorted(), "{counts:?}");
    assert_eq!(
        (counts.first(), counts.last()),
        (Some(&0), Some(&6)),
        "{counts:?}"
    );
}

#[test]
fn a_database_that_is_cut_off_or_spoilt_is_refused_with_one_message_and_left_as_it_is() {
    let setup = with_data();
    let trommel = setup.start();
    trommel.push(&Incident::new().failures("backend"));
    assert_eq!(trommel.terminate().code(), Some(0));
    let file = setup.data().join("trommel.db");
    let sound = fs::read(&file).expect("there is a database");
    let half = sound[..sound.len() / 2].to_vec();
    let mut garbage = sound.clone();
    garbage[4096..3 * 4096].fill(0xa5);
    for spoilt in [Vec::new(), sound[..50].to_vec(), half, garbage] {
        fs::write(&file, &spoilt).expect("ours");
        let said = refusal(&setup.data());
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("trommel.db` is damaged: "), "{said}");
        assert!(
            said.contains("restore it from a copy, or move it"),
            "{said}"
        );
        assert_eq!(fs::read(&file).expect("still there"), spoilt);
    }
    fs::write(&file, &sound).expect("ours");
    assert_eq!(open(&setup.start(), &["backend".to_owned()]), [true]);
}

#[track_caller]
fn refusal(data: &Path) -> String {
    let mut command = crate::support::trommel::command();
    command.args(["run", "--no-builtin", "--listen", "127.0.0.1:0"]);
    command
        .args(["--admin-listen", "127.0.0.1:0", "--data"])
        .arg(data);
    let output = program::run(&mut command, "");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    said
}

/// SQLite works on in its memory and its log, and cannot know; the next start does.
#[test]
fn a_database_that_is_spoilt_while_trommel_runs_costs_no_answer_and_the_next_start_refuses_it() {
    let setup = with_data();
    let incident = Incident::new();
    let trommel = setup.start();
    trommel.push(&incident.failures("before"));
    for name in ["trommel.db", "trommel.db-wal"] {
        let file = setup.data().join(name);
        let length = fs::metadata(&file).expect("it is there").len();
        let file = fs::File::options().write(true).open(file).expect("ours");
        file.set_len(0).expect("ours");
        file.set_len(length).expect("ours");
    }
    let components: Vec<_> = (0..20).map(|number| format!("c{number}")).collect();
    for component in &components {
        trommel.push(&incident.failures(component));
    }
    never_panicked(&trommel);
    trommel.kill();
    let said = refusal(&setup.data());
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("trommel.db` is damaged: "), "{said}");
}

fn is_overloaded(trommel: &Trommel) -> Option<()> {
    let labels = r#"rule="trommel_overloaded",state="observed""#;
    (trommel.metric("trommel_findings_total", labels) > 0.0).then_some(())
}

#[test]
fn a_data_directory_that_is_moved_away_is_said_and_goes_on_when_it_is_back() {
    let setup = with_data();
    let incident = Incident::new();
    let data = setup.data();
    let aside = data.with_extension("aside");
    let trommel = setup.start();
    trommel.push(&incident.failures("before"));

    fs::rename(&data, &aside).expect("ours");
    trommel.push(&incident.failures("meanwhile"));
    assert_eq!(trommel.metric("trommel_entries_early_total", ""), 5.0);
    assert!(trommel.metric("trommel_commit_failures_total", "") > 0.0);
    trommel.wait_for_log("is no longer the file that was opened; put it back");
    wait::until("the finding about it to open", || is_overloaded(&trommel));

    fs::rename(&aside, &data).expect("free");
    trommel.wait_for("the finding of meanwhile", |event| {
        event.text("subject").contains("meanwhile")
    });
    trommel.wait_for("the finding about it", |event| {
        event.text("subject") == "trommel_overloaded"
    });
    let disk = trommel.wait_for("the finding about the disk", |event| {
        event.text("subject") == "trommel_disk_full"
    });
    let summary = disk.data_text("summary");
    assert!(summary.contains("is no longer the file"), "{summary}");
    trommel.push(&incident.failures("after"));
    assert_eq!(trommel.metric("trommel_entries_early_total", ""), 5.0);
    never_panicked(&trommel);
    trommel.kill();
    let components = ["before", "meanwhile", "after"].map(str::to_owned);
    assert_eq!(open(&setup.start(), &components), [true; 3]);
}

/// In name spaces of its own, so that mounting takes no root.
#[test]
fn a_file_system_that_is_full_or_read_only_at_the_start_is_refused_with_one_message() {
    for (options, said) in [
        ("ro", "Read-only file system"),
        ("size=12k", "no room left to write"),
    ] {
        let setup = Setup::new(RULES);
        let data = setup.data();
        fs::create_dir_all(&data).expect("the target folder is writable");
        let mount = format!(r#"mount -t tmpfs -o {options} trommel "$0" && exec "$@""#);
        let run = |program: &OsStr, args: &[&OsStr]| {
            let mut command = std::process::Command::new("unshare");
            command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &mount]);
            program::run(command.arg(&data).arg(program).args(args), "")
        };
        if !run("true".as_ref(), &[]).status.success() {
            eprintln!("skipped: nothing can be mounted here, even in a name space of its own");
            return;
        }
        let trommel = crate::support::trommel::command();
        let args = [
            "run",
            "--no-builtin",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--data",
        ];
        let args: Vec<&OsStr> = args
            .iter()
            .map(OsStr::new)
            .chain([data.as_os_str()])
            .collect();
        let output = run(trommel.get_program(), &args);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.contains(said) && error.contains("data"), "{error}");
    }
}

const HOUR: i64 = 3_600_000_000_000;

/// The service in this process, with a clock that is set.
struct Clocked {
    service: Service,
    clock: Arc<AtomicI64>,
    /// Of the machine that writes the logs: right, and a minute on with each incident.
    log: i64,
}

impl Clocked {
    async fn start() -> Self {
        let source = SourceText {
            name: "rules.yaml".to_owned(),
            text: RULES.to_owned(),
        };
        let rules: RuleSet = trommel::rules::load(&[source], &LoadOptions::default())
            .set
            .expect("valid");
        let raw = RawConfig {
            listen: Some("127.0.0.1:0".to_owned()),
            admin_listen: Some("127.0.0.1:0".to_owned()),
            stdout: Some(false),
            limits: RawLimits {
                answer_deadline: Some(Span(wait::PATIENCE)),
                ..RawLimits::default()
            },
            // The rules are in no file.
            reload_interval: Some(Span(Duration::ZERO)),
            ..RawConfig::default()
        };
        let settings = SettingsFile::new(None, move || Config::check(raw.clone()));
        let (settings_digest, config) = settings.load();
        let beginning = Beginning {
            config: config.expect("valid"),
            settings,
            settings_digest,
            rules,
            rules_digest: Digest(0),
        };
        let log = Timestamp::wall_clock().nanos();
        let clock = Arc::new(AtomicI64::new(log));
        let shown = Arc::clone(&clock);
        let shown = Arc::new(move || Timestamp::new(shown.load(Ordering::Relaxed)));
        let service = Service::start(beginning, shown).await.expect("free ports");
        Self {
            service,
            clock,
            log,
        }
    }

    /// Five failures of `component`, a minute after the last ones in the log's time; `off` is what the clock shows beside that.
    async fn fail(&mut self, component: &str, off: i64) {
        self.log += 60_000_000_000;
        self.clock.store(self.log + off, Ordering::Relaxed);
        let labels = [("namespace", "image-factory"), ("component", component)];
        let entries: Vec<_> = (0..5)
            .map(|number| Entry {
                labels: labels
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .into(),
                at: self.log - number * 1_000_000,
                line: format!("LDAP Result Code 200 attempt={number}"),
            })
            .collect();
        let request = Request::push_protobuf(loki::protobuf(&entries));
        assert_eq!(self.ask(self.service.push_address(), request).await.0, 204);
    }

    /// Entries that were late, and those from the future. Counters are the process's: no other test here runs a service in it.
    async fn odd(&self) -> [f64; 2] {
        let metrics = self
            .ask(self.service.admin_address(), Request::get("/metrics"))
            .await
            .1;
        [
            "trommel_entries_late_total ",
            "trommel_entries_future_total ",
        ]
        .map(|name| {
            let value = metrics.lines().find_map(|line| line.strip_prefix(name));
            value.expect("it is there").parse().expect("a number")
        })
    }

    async fn is_open(&self, component: &str) -> bool {
        let request = Request::get("/api/v1/findings?state=open&limit=500");
        let findings = self.ask(self.service.admin_address(), request).await.1;
        findings.contains(&format!("{{component={component},namespace"))
    }

    async fn ask(&self, server: std::net::SocketAddr, request: Request) -> (u16, String) {
        let asked = tokio::task::spawn_blocking(move || {
            let answer = Client::with_timeout(server, wait::PATIENCE)
                .send(&request)
                .expect("an answer");
            (answer.status, answer.text())
        });
        asked.await.expect("no panic")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wall_clock_that_jumps_an_hour_either_way_costs_no_answer_and_is_over_when_it_is_set_right()
 {
    let mut clocked = Clocked::start().await;
    clocked.fail("before", 0).await;
    assert!(clocked.is_open("before").await);
    assert_eq!(clocked.odd().await, [0.0, 0.0]);

    // `max_age` is an hour: what is older opens nothing, and is counted.
    clocked.fail("late", HOUR + 1).await;
    assert!(!clocked.is_open("late").await);
    assert_eq!(clocked.odd().await, [5.0, 0.0]);
    clocked.fail("between", 0).await;

    // What is more than ten minutes ahead is taken as of now, and is counted.
    clocked.fail("future", -HOUR).await;
    assert!(clocked.is_open("future").await);
    assert_eq!(clocked.odd().await, [5.0, 5.0]);
    clocked.fail("after", 0).await;

    assert_eq!(clocked.odd().await, [5.0, 5.0]);
    for component in ["before", "between", "after"] {
        assert!(clocked.is_open(component).await, "{component}");
    }
    clocked.service.stop(std::time::Duration::ZERO).await;
}
