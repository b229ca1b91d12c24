//! Loki first: whatever happens to trommel as the second endpoint, what reaches Loki, and when, is as it would be without it.
//!
//! [`LokiWrite`] is the least protected way in which Alloy can send to both: one component, one entry after the other to each
//! endpoint, each waiting for room in trommel's queue before the next one goes to Loki. "Loki" is a server that answers 204 and
//! remembers what came when.
//!
//! A trial has *windows*, in the order A, B, B, A: in an A the second endpoint is a server that does nothing but answer 204, in a B it
//! is the real trommel, which has its trouble in all of them. Entries are due at fixed times by the clock, whatever happened to those before, so that
//! a sender which had to wait shows as delay. Compared are the entries that reached Loki in a second, and how long
//! after they were due. Each trial prints its figures.
//!
//! What is asserted always does not hang on the speed of the machine: every entry reaches Loki once and in order; trommel answers
//! each batch at the first attempt, with 2xx, before Alloy's time-out; no entry ever waits for room in trommel's queue. While
//! trommel is stopped or gone, [`Bounds`] take the place of the second. `TROMMEL_LOKI_FIRST=long` takes long windows with Alloy's own
//! batches of a second and asserts the 2 % and the answer deadline as well.

use std::ffi::OsStr;
use std::fmt;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::support::alloy::Settings;
use crate::support::alloy_file::AlloyFile;
use crate::support::http::{Client, Request};
use crate::support::loki::{self, Entry};
use crate::support::loki_write::{Bounds, LokiWrite, Target, Traffic};
use crate::support::nats::NatsServer;
use crate::support::proxy::Proxy;
use crate::support::trommel::{Setup, Trommel};
use crate::support::wait;

/// Every twentieth line of [`entry`] opens a finding.
const RULES: &str = r#"
rules:
  - id: each_user
    match: {re: 'timed out for (?P<user>\S+)'}
    by: [user]
    incident_type: login_failure_spike
"#;

/// The answer deadline, which the trials leave at its default.
const ANSWER_DEADLINE: Duration = Duration::from_millis(500);
/// What an answer may take beyond the deadline in the long mode: for the network, the scheduler, and the piece that is being inspected.
const MARGIN: Duration = Duration::from_millis(250);

#[test]
fn a_calm_trommel() {
    let trial = Trial::new("no trouble");
    let trommel = Setup::new(RULES).with_data().start();
    let outcome = trial.run(&trommel);
    outcome.is_answered_at_once();
    outcome.is_done_in_time(&trommel);
}

#[test]
fn nats_that_is_dead() {
    let trial = Trial::new("NATS dead");
    let Some(nats) = NatsServer::stopped() else {
        return;
    };
    let setup = Setup::new(RULES).with_data().with_nats(&nats.url());
    // A start without state would ask it what was open, and record nothing meanwhile.
    let trommel = setup.with_settings("nats: {read_back: 0s}").start();
    finds_without_nats(&trial, &trommel);
}

/// The trouble is NATS's alone: everything is inspected and recorded in time, and what is found waits.
#[track_caller]
fn finds_without_nats(trial: &Trial, trommel: &Trommel) {
    let outcome = trial.run(trommel);
    outcome.is_answered_at_once();
    outcome.is_done_in_time(trommel);
    wait::until("findings that wait for NATS", || {
        (trommel.metric("trommel_outbox_messages", "") > 0.0).then_some(())
    });
}

#[test]
fn nats_that_hangs() {
    let trial = Trial::new("NATS hanging");
    let Some(nats) = NatsServer::running() else {
        return;
    };
    let trommel = Setup::new(RULES).with_data().with_nats(&nats.url()).start();
    trommel.push(&[entry(0, now())]);
    nats.wait_for_findings(1);
    nats.hang();
    finds_without_nats(&trial, &trommel);
}

/// A file system of its own, as small as that, in a name space of its own: mounting it takes no root, and it goes with trommel.
#[test]
fn a_disk_that_is_full() {
    let trial = Trial::new("disk full");
    let setup = Setup::new(RULES).with_data();
    let data = setup.data();
    std::fs::create_dir_all(&data).expect("the target folder is writable");
    let mount = r#"mount -t tmpfs -o size=128m trommel "$0" && exec "$@""#;
    let under: [&OsStr; 6] =
        ["--user", "--map-root-user", "--mount", "sh", "-c", mount].map(OsStr::new);
    let can = std::process::Command::new("unshare")
        .args(&under[..5])
        .args([mount.as_ref(), data.as_os_str(), "true".as_ref()])
        .output();
    if !can.is_ok_and(|output| output.status.success()) {
        eprintln!(
            "skipped: a small file system cannot be mounted here, even in a name space of its own"
        );
        return;
    }
    let under = [&under[..], &[data.as_os_str()]].concat();
    let setup = setup.under("unshare", &under);
    let trommel = setup.start();
    trommel.push(&[entry(0, now())]);
    trommel.wait_for("a finding", |event| event.state() == "observed");

    // As trommel sees its directory.
    let root = format!("/proc/{}/root", trommel.id());
    let filler = Path::new(&root)
        .join(data.strip_prefix("/").expect("absolute"))
        .join("filler");
    let mut file = std::fs::File::create(&filler).expect("the small file system is writable");
    while file.write_all(&[0; 1 << 16]).is_ok() {}
    let outcome = trial.run(&trommel);
    outcome.is_answered_at_once();
    assert!(trommel.metric("trommel_commit_failures_total", "") > 0.0);
    outcome.is_early(&trommel);

    // It ends without a restart, and nothing that was found meanwhile is lost.
    drop(file);
    std::fs::remove_file(&filler).expect("it is there");
    trommel.wait_for("the finding about it", |event| {
        event.text("subject") == "trommel_overloaded"
    });
    let found = trommel.metric("trommel_findings_total", "each_user");
    wait::until("every finding to be told", || {
        let told = trommel
            .events()
            .iter()
            .filter(|event| event.text("subject").starts_with("each_user"))
            .count();
        (told as f64 >= found).then_some(())
    });
}

/// Somebody else holds the lock that a commit needs, as a forgotten `sqlite3` would.
#[test]
fn a_disk_that_does_not_take_commits() {
    let trial = Trial::new("database locked");
    let setup = Setup::new(RULES).with_data();
    let trommel = setup.start();
    let somebody =
        rusqlite::Connection::open(setup.data().join("trommel.db")).expect("it is there");
    somebody.busy_timeout(wait::PATIENCE).expect("a number");
    somebody.execute_batch("BEGIN IMMEDIATE").expect("free");
    let outcome = trial.run(&trommel);
    outcome.is_answered_at_once();
    outcome.is_early(&trommel);
    somebody.execute_batch("ROLLBACK").expect("begun");
    trommel.wait_for("the finding about it", |event| {
        event.text("subject") == "trommel_overloaded"
    });
}

/// Each sync takes longer than an answer may: strace makes the process that asks for one wait.
#[test]
fn a_disk_that_syncs_slowly() {
    let trial = Trial::new("slow fsync");
    let can = std::process::Command::new("strace")
        .args(["-f", "--seccomp-bpf", "true"])
        .output();
    if !can.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no strace here, or it may not trace");
        return;
    }
    let setup = Setup::new(RULES).with_data();
    // The file is made without it.
    setup.start().kill();
    let setup = setup.under(
        "strace",
        &[
            "-D",
            "-f",
            "-qq",
            "--seccomp-bpf",
            "-o",
            "/dev/null",
            "-e",
            "trace=fsync,fdatasync",
            "-e",
            "inject=fsync,fdatasync:delay_enter=700ms",
        ]
        .map(OsStr::new),
    );
    let trommel = setup.start();
    let outcome = trial.run(&trommel);
    outcome.is_answered_at_once();
    outcome.is_early(&trommel);
}

#[test]
fn an_overload() {
    let trial = Trial::new("overload");
    let setup = Setup::new(RULES).with_data();
    let trommel = setup.start();
    let entries_each = 30_000;
    let request = request_of(entries_each, |number| entry(number, now()));
    // Repeats, which have to be looked at all the same.
    let others = Others::start(&trommel, 256, move |_| Arc::clone(&request));
    wait::until("entries to be shed", || {
        let undone = Undone::of(&trommel);
        (undone.shed_entries + undone.shed_requests > 0.0).then_some(())
    });
    let outcome = trial.run(&trommel);
    wait::until("the finding about it", || says_it_is_overloaded(&trommel));
    let inspected = trommel.metric("trommel_entries_total", "") - Undone::of(&trommel).shed_entries;
    let answers = others.stop();
    let offered = (answers.count * entries_each) as f64;
    println!(
        "overload: {answers}; {:.1} times as many entries as were inspected",
        offered / inspected
    );
    outcome.is_answered_at_once();
    assert_eq!(answers.bad, 0, "every sender gets 204: {answers}");
}

#[test]
fn a_rule_that_matches_every_line() {
    let trial = Trial::new("every line matches");
    let trommel = Setup::new(r#"
rules:
  - {id: any, match: "n=", threshold: 5 in 1m, by: [component], incident_type: error_spike}
  - {id: all, match: {re: 'n=(?P<number>\d+)'}, threshold: 20 distinct number in 1m, by: [component], incident_type: error_spike}
"#).with_data().start();
    let others = Others::start(&trommel, 4, |_| {
        request_of(2000, |number| entry(number, now()))
    });
    let outcome = trial.run(&trommel);
    let answers = others.stop();
    println!("every line matches: {answers}");
    outcome.is_answered_at_once();
    assert_eq!(answers.bad, 0, "{answers}");
    outcome.says_what_is_undone(&trommel);
}

#[test]
fn a_hundred_thousand_new_keys_a_second() {
    let trial = Trial::new("new keys");
    let trommel = Setup::new(
        r#"
rules:
  - id: each_user
    match: {re: 'timed out for (?P<user>\S+)'}
    threshold: 5 in 1m
    by: [user]
    incident_type: login_failure_spike
"#,
    )
    .with_data()
    .start();
    let labels = [("namespace".to_owned(), "shop".to_owned())];
    let tenth = Duration::from_millis(100);
    let others = Others::every(&trommel, tenth, move |request| {
        let at = now();
        request_of(10_000, |number| Entry {
            labels: labels.clone().into(),
            at,
            line: format!("timed out for user{request}-{number}"),
        })
    });
    let outcome = trial.run(&trommel);
    let answers = others.stop();
    println!("new keys: {answers}");
    outcome.is_answered_at_once();
    assert_eq!(answers.bad, 0, "{answers}");
    outcome.says_what_is_undone(&trommel);
}

/// The process stands still: it takes connections and bytes as the kernel buffers them, and does not answer.
#[test]
fn a_trommel_that_is_stopped_for_a_while() {
    let mut trial = Trial::new("SIGSTOP");
    let minute = trial.strict.then_some(Duration::from_secs(60));
    if let Some(minute) = minute {
        (trial.windows, trial.window) = (4, minute);
    }
    let setup = Setup::new(RULES).with_data();
    let trommel = setup.start();
    let absences = Mutex::new(Vec::new());
    let outcome = trial.run_while(&Target::new(trommel.push_address()), |alloy| {
        trommel.signal("STOP");
        let begin = Instant::now();
        wait_for(minute.unwrap_or(wait::PATIENCE), || {
            minute.is_none() && alloy.traffic(1).failures > 0
        });
        trommel.signal("CONT");
        absences.lock().expect("no panic").push(begin.elapsed());
    });
    outcome.is_lost_within(
        &absences.into_inner().expect("no panic"),
        trial.settings.remote_timeout,
    );
}

#[test]
fn a_trommel_that_is_restarted() {
    let trial = Trial::new("restart");
    let setup = Setup::new(RULES).with_data();
    let trommel = setup.start();
    // While it is gone, this leads to a port where nobody listens.
    let target = Target::new(trommel.push_address());
    let (trommel, absences) = (Mutex::new(Some(trommel)), Mutex::new(Vec::new()));
    let outcome = trial.run_while(&target, |_| {
        let mut trommel = trommel.lock().expect("no panic");
        let begin = Instant::now();
        let status = trommel.take().expect("it runs").terminate();
        assert_eq!(status.code(), Some(0));
        let next = setup.start();
        target.lead_to(next.push_address());
        absences.lock().expect("no panic").push(begin.elapsed());
        *trommel = Some(next);
    });
    outcome.is_lost_within(&absences.into_inner().expect("no panic"), Duration::ZERO);
}

/// The next one is there before the last one goes, each with a directory of its own, and the service leads new connections to it.
#[test]
fn a_trommel_that_is_replaced_by_the_next() {
    let trial = Trial::new("rolling replacement");
    let start = || {
        Setup::new(RULES)
            .with_data()
            .with_shutdown_delay("500ms")
            .start()
    };
    let trommel = start();
    let target = Target::new(trommel.push_address());
    let trommel = Mutex::new(Some(trommel));
    let outcome = trial.run_while(&target, |_| {
        let next = start();
        target.lead_to(next.push_address());
        let mut trommel = trommel.lock().expect("no panic");
        let status = trommel.replace(next).expect("it runs").terminate();
        assert_eq!(status.code(), Some(0));
    });
    outcome.is_answered_at_once();
}

/// What all of this would notice: the sender does hold up Loki where the second endpoint gives it reason.
#[test]
fn a_second_endpoint_that_hangs_holds_up_the_first_once_its_queue_is_full() {
    let sink = Proxy::start(None, []);
    // Takes connections, as far as the kernel does that by itself.
    let hangs = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = hangs.local_addr().expect("a bound socket has an address");
    let settings = Settings {
        batch_size: 1000,
        batch_wait: Duration::from_millis(50),
        max_backoff_retries: 1,
        remote_timeout: wait::PATIENCE,
        ..documented()
    };
    let targets = [sink.address(), address].map(Target::new);
    let alloy = LokiWrite::start(&targets, &settings);
    let count = 1000;
    std::thread::scope(|scope| {
        let offering = scope.spawn(|| {
            for number in 0..count {
                alloy.offer(&Arc::new(entry(number, now())));
            }
        });
        wait::until("an entry to wait", || {
            (alloy.traffic(1).overflows > 0).then_some(())
        });
        assert!(!offering.is_finished());
        drop(hangs);
    });
    let traffic = alloy.stop();
    assert_eq!(traffic[0].report.sent, count);
    let dropped: usize = traffic[1].report.dropped.values().sum();
    assert_eq!((traffic[1].report.sent, dropped), (0, count));
}

#[test]
fn the_alloy_configuration_tells_its_operator_the_bounds_that_its_settings_make() {
    let bounds = Bounds(documented());
    let told = std::fs::read_to_string(ALLOY)
        .expect("it is there")
        .split_whitespace()
        .filter(|word| *word != "//")
        .collect::<Vec<_>>()
        .join(" ");
    for bound in [
        format!(
            "loses nothing while trommel is gone for less than {:?}",
            bounds.gives_up_after(Duration::ZERO)
        ),
        format!(
            "or hangs for less than {:?}",
            bounds.gives_up_after(documented().remote_timeout)
        ),
        format!(
            "{} batches of 1 MiB for each minute",
            bounds.lost(Duration::from_secs(60), Duration::ZERO)
        ),
        format!(
            "{} for each minute that it hangs",
            bounds.lost(Duration::from_secs(60), documented().remote_timeout)
        ),
        format!("{} MiB of lines", bounds.slack_bytes() >> 20),
    ] {
        assert!(told.contains(&bound), "not in {ALLOY}: {bound}");
    }
}

const ALLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/alloy/second-endpoint.alloy");

/// Alloy's settings as `alloy/second-endpoint.alloy` has them, the others at Alloy's defaults.
fn documented() -> Settings {
    let text = std::fs::read_to_string(ALLOY).expect("it is there");
    let file = AlloyFile::read(&[(ALLOY, &text)]);
    file.unwrap_or_else(|error| panic!("{error}")).settings()
}

/// How a trial is run. Only one is run at a time.
struct Trial {
    what: &'static str,
    windows: usize,
    window: Duration,
    /// Alloy's settings for both endpoints.
    settings: Settings,
    /// Whether what depends on the machine is asserted as well.
    strict: bool,
    _alone: MutexGuard<'static, ()>,
}

/// Entries that are due in a second; with the lines of [`entry`], a quarter of a megabyte.
const ENTRIES_PER_SECOND: u32 = 2000;

impl Trial {
    fn new(what: &'static str) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let strict = std::env::var_os("TROMMEL_LOKI_FIRST").is_some_and(|mode| mode == "long");
        let mut settings = documented();
        let (windows, window) = if strict {
            (8, Duration::from_secs(10))
        } else {
            // As many batches in a short window as there are in a long one.
            settings.batch_wait = Duration::from_millis(50);
            (4, Duration::from_millis(500))
        };
        Self {
            what,
            windows,
            window,
            settings,
            strict,
            _alone: ALONE.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    fn run(&self, trommel: &Trommel) -> Outcome<'_> {
        self.run_while(&Target::new(trommel.push_address()), |_| {})
    }

    /// Windows without trommel and with it, in turn. `meanwhile` is called at the beginning of each with it, which is not over before that returns.
    fn run_while(&self, trommel: &Target, meanwhile: impl Fn(&LokiWrite) + Sync) -> Outcome<'_> {
        let nothing = Proxy::start(None, []);
        let nothing = Target::new(nothing.address());
        let mut outcome = Outcome {
            trial: self,
            without: Vec::new(),
            with: Vec::new(),
        };
        for number in 0..self.windows {
            if matches!(number % 4, 1 | 2) {
                outcome.with.push(self.window(trommel, &meanwhile));
            } else {
                outcome.without.push(self.window(&nothing, &|_| {}));
            }
        }
        outcome
    }

    fn window(&self, second: &Target, meanwhile: &(impl Fn(&LokiWrite) + Sync)) -> Window {
        let sink = Proxy::start(None, []);
        let targets = [Target::new(sink.address()), second.clone()];
        let alloy = LokiWrite::start(&targets, &self.settings);
        let (begin, wall) = (Instant::now(), now());
        let due = |number: usize| Duration::from_secs(1) * number as u32 / ENTRIES_PER_SECOND;
        let mut number = 0;
        std::thread::scope(|scope| {
            let meanwhile = scope.spawn(|| meanwhile(&alloy));
            while due(number) < self.window || !meanwhile.is_finished() {
                let early = due(number).saturating_sub(begin.elapsed());
                if !early.is_zero() {
                    // The pace of the log. A sender that was held up catches up without a rest.
                    std::thread::sleep(early.max(Duration::from_millis(2)));
                }
                let at = wall + i64::try_from(due(number).as_nanos()).expect("minutes");
                alloy.offer(&Arc::new(entry(number, at)));
                number += 1;
            }
        });
        let traffic = alloy.stop();
        let [first, second] = <[Traffic; 2]>::try_from(traffic).expect("two endpoints");
        assert_eq!(first.report.sent, number, "Loki is well");

        let (mut delays, mut last) = (Vec::with_capacity(number), begin);
        for (arrival, request) in sink.take_seen() {
            last = arrival;
            // A batch is written stream by stream.
            let mut numbers: Vec<_> = loki::lines(&request.body)
                .iter()
                .map(|line| number_of(line))
                .collect();
            numbers.sort_unstable();
            for number in numbers {
                assert_eq!(
                    number,
                    delays.len(),
                    "every entry reaches Loki once and in order"
                );
                delays.push(arrival.saturating_duration_since(begin + due(number)));
            }
        }
        assert_eq!(delays.len(), number, "every entry reaches Loki");
        Window {
            entries_per_second: number as f64 / (last - begin).as_secs_f64(),
            mean_delay: delays.iter().sum::<Duration>().as_secs_f64() / number as f64,
            entries: number,
            second,
        }
    }
}

/// What one window came to.
#[derive(Debug)]
struct Window {
    /// From the first entry's due time to the arrival of the last at Loki.
    entries_per_second: f64,
    /// From an entry's due time to its arrival at Loki, in seconds.
    mean_delay: f64,
    entries: usize,
    second: Traffic,
}

/// What a trial came to.
struct Outcome<'a> {
    trial: &'a Trial,
    without: Vec<Window>,
    with: Vec<Window>,
}

impl Outcome<'_> {
    /// Prints the figures, and holds those of Loki against the promise.
    #[track_caller]
    fn keeps_loki_first(&self) {
        let what = self.trial.what;
        let rate = |windows: &[Window]| median(windows, |window| window.entries_per_second);
        let delay = |windows: &[Window]| median(windows, |window| window.mean_delay);
        let (with, without) = (delay(&self.with), delay(&self.without));
        let (rates, delays) = (rate(&self.with) / rate(&self.without), with / without);
        println!(
            "{what}: throughput {rates:.4}, delay {delays:.4} of that without trommel ({:.1} ms); {self}",
            without * 1e3,
        );
        if self.trial.strict {
            assert!(rates >= 0.98, "{what}: throughput {rates}");
            assert!(delays <= 1.02, "{what}: delay {delays}");
        } else {
            // Only a stall is as long as this, whatever the machine.
            assert!(
                with < without + 2.0,
                "{what}: delay {with} s, without trommel {without} s"
            );
        }
        for Window { second, .. } in &self.with {
            assert_eq!(
                second.overflows, 0,
                "{what}: Loki's entries wait for trommel's queue"
            );
        }
    }

    /// As [`Outcome::keeps_loki_first`], and trommel answers everything at the first attempt.
    #[track_caller]
    fn is_answered_at_once(&self) {
        self.keeps_loki_first();
        let what = self.trial.what;
        for Window {
            second, entries, ..
        } in &self.with
        {
            assert_eq!(second.refusals, [0; 0], "{what}: only 2xx");
            assert_eq!(second.failures, 0, "{what}: no attempt fails");
            assert_eq!(second.report.sent, *entries, "{what}");
            let limit = match self.trial.strict {
                true => ANSWER_DEADLINE + MARGIN,
                false => self.trial.settings.remote_timeout,
            };
            assert!(second.slowest < limit, "{what}: {:?}", second.slowest);
        }
    }

    /// As [`Outcome::keeps_loki_first`], and the absences of trommel lose no more than the settings allow; each attempt takes `attempt`.
    #[track_caller]
    fn is_lost_within(&self, absences: &[Duration], attempt: Duration) {
        self.keeps_loki_first();
        let bounds = Bounds(self.trial.settings.clone());
        for (
            Window {
                second, entries, ..
            },
            absence,
        ) in self.with.iter().zip(absences)
        {
            let bound = bounds.lost(*absence, attempt);
            let what = self.trial.what;
            println!(
                "{what}: absent for {absence:.1?}, {} batches lost, at most {bound}",
                second.batches_dropped
            );
            assert_eq!(second.refusals, [0; 0], "{what}: no answer but 2xx");
            assert!(second.batches_dropped <= bound, "{what}: {second:?}");
            let dropped: usize = second.report.dropped.values().sum();
            assert_eq!(second.report.sent + dropped, *entries, "{what}: {second:?}");
            assert!(
                dropped == 0 || second.batches_dropped > 0,
                "{what}: {second:?}"
            );
        }
    }

    /// Everything was inspected and on disk before it was answered. Where the machine made that impossible, it is said.
    #[track_caller]
    fn is_done_in_time(&self, trommel: &Trommel) {
        let undone = self.says_what_is_undone(trommel);
        assert!(
            !self.trial.strict || undone == Undone::default(),
            "{}: {undone:?}",
            self.trial.what
        );
    }

    /// Everything was inspected, but much of it was answered before it was on disk, and a finding says so.
    #[track_caller]
    fn is_early(&self, trommel: &Trommel) {
        let undone = self.says_what_is_undone(trommel);
        assert!(undone.early > 0.0, "{}: {undone:?}", self.trial.what);
        assert!(
            !self.trial.strict || undone.shed() == 0.0,
            "{}: {undone:?}",
            self.trial.what
        );
    }

    /// What was not done is counted, and there is a finding about it, open whether or not it can be told, if and only if there is something.
    #[track_caller]
    fn says_what_is_undone(&self, trommel: &Trommel) -> Undone {
        let undone = Undone::of(trommel);
        println!("{}: {undone:?}", self.trial.what);
        if undone == Undone::default() {
            assert!(says_it_is_overloaded(trommel).is_none());
        } else {
            wait::until("the finding about it", || says_it_is_overloaded(trommel));
        }
        undone
    }
}

impl fmt::Display for Outcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = || self.with.iter().map(|window| &window.second);
        write!(
            f,
            "{} windows of {:?} with {ENTRIES_PER_SECOND} entries/s; trommel's slowest answer {:.0?}, {} attempts failed, {} batches dropped",
            self.trial.windows,
            self.trial.window,
            seconds().map(|one| one.slowest).max().unwrap_or_default(),
            seconds().map(|one| one.failures).sum::<usize>(),
            seconds().map(|one| one.batches_dropped).sum::<usize>(),
        )
    }
}

fn median(windows: &[Window], of: impl Fn(&Window) -> f64) -> f64 {
    let mut values: Vec<_> = windows.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2])
}

/// What trommel has counted as not done before the answer.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Undone {
    shed_entries: f64,
    shed_requests: f64,
    early: f64,
}

impl Undone {
    #[track_caller]
    fn of(trommel: &Trommel) -> Self {
        Self {
            shed_entries: trommel.metric("trommel_entries_shed_total", ""),
            shed_requests: trommel.metric("trommel_requests_shed_total", ""),
            early: trommel.metric("trommel_entries_early_total", ""),
        }
    }

    fn shed(self) -> f64 {
        self.shed_entries + self.shed_requests
    }
}

/// Whether the finding about it is open, also where no message can be written.
fn says_it_is_overloaded(trommel: &Trommel) -> Option<()> {
    (trommel.metric(
        "trommel_findings_total",
        r#"rule="trommel_overloaded",state="observed""#,
    ) > 0.0)
        .then_some(())
}

/// Other senders beside the one that is measured: other Alloys.
struct Others {
    begin: Instant,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Answer>>>,
}

/// What they send, by its number.
trait Requests: Fn(u32) -> Arc<Request> + Send + Sync + 'static {}

impl<F: Fn(u32) -> Arc<Request> + Send + Sync + 'static> Requests for F {}

/// The status, if there was one, and how long it took.
type Answer = (Option<u16>, Duration);

/// What they were answered.
struct Answers {
    count: usize,
    took: Duration,
    /// Not with 204, or not at all.
    bad: usize,
    median: Duration,
    slowest: Duration,
}

impl Others {
    /// So many that send the first, the second, … request, each the next as soon as it is answered.
    fn start(trommel: &Trommel, count: usize, request: impl Requests) -> Self {
        Self::send(trommel, count, Duration::ZERO, request)
    }

    /// Enough to send a request in each period.
    fn every(trommel: &Trommel, period: Duration, request: impl Requests) -> Self {
        Self::send(trommel, 32, period, request)
    }

    fn send(trommel: &Trommel, count: usize, period: Duration, request: impl Requests) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let shared = Arc::new((request, AtomicU32::new(0)));
        let begin = Instant::now();
        let threads = (0..count).map(|_| {
            let (stop, shared) = (Arc::clone(&stop), Arc::clone(&shared));
            let mut client =
                Client::with_timeout(trommel.push_address(), wait::PATIENCE).without_repeats();
            std::thread::spawn(move || {
                let (request, next) = &*shared;
                let mut answers = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep((period * number).saturating_sub(begin.elapsed()));
                    let request = request(number);
                    let sent = Instant::now();
                    let answer = client.send(&request);
                    answers.push((answer.ok().map(|answer| answer.status), sent.elapsed()));
                }
                answers
            })
        });
        Self {
            threads: threads.collect(),
            stop,
            begin,
        }
    }

    fn stop(self) -> Answers {
        self.stop.store(true, Ordering::Relaxed);
        let answers = self
            .threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("no panic"));
        let (statuses, mut times): (Vec<_>, Vec<_>) = answers.unzip();
        times.sort_unstable();
        Answers {
            count: times.len(),
            took: self.begin.elapsed(),
            bad: statuses
                .iter()
                .filter(|status| **status != Some(204))
                .count(),
            median: times.get(times.len() / 2).copied().unwrap_or_default(),
            slowest: times.last().copied().unwrap_or_default(),
        }
    }
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests of others in {:.1?}, {} not answered with 204, half within {:.0?}, all within {:.0?}",
            self.count, self.took, self.bad, self.median, self.slowest
        )
    }
}

/// An entry of about 120 bytes; one of twenty matches.
fn entry(number: usize, at: i64) -> Entry {
    let component = format!("c{}", number % 20);
    let line = if number.is_multiple_of(20) {
        format!("n={number} ERROR directory timed out for user{at}")
    } else {
        format!(
            "n={number} INFO GET /api/projects/41/pipelines?page=2 200 12ms trace=6f1c0a77b2e94d51 agent=glab/1.80"
        )
    };
    Entry {
        labels: [("namespace", "shop"), ("component", &component)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        at,
        line,
    }
}

/// The number that [`entry`] has written.
fn number_of(line: &str) -> usize {
    let word = line
        .split(' ')
        .next()
        .and_then(|word| word.strip_prefix("n="));
    word.and_then(|number| number.parse().ok())
        .expect("our own line")
}

/// A request of so many entries.
fn request_of(count: usize, entry: impl Fn(usize) -> Entry) -> Arc<Request> {
    let entries: Vec<_> = (0..count).map(entry).collect();
    Arc::new(Request::push_protobuf(loki::protobuf(&entries)))
}

/// Waits until something is so, at most for `limit`.
fn wait_for(limit: Duration, is: impl Fn() -> bool) {
    let begin = Instant::now();
    while begin.elapsed() < limit && !is() {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Nanoseconds since the epoch.
fn now() -> i64 {
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is past 1970");
    i64::try_from(wall.as_nanos()).expect("before the year 2262")
}
