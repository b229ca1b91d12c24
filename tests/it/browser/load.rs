//! How fast the page is with much to show, and whether those who look at it cost those who push.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use trommel::time::Timestamp;

use crate::support::browser::Browser;
use crate::support::http::{Client, Request};
use crate::support::loki::{self, Entry};
use crate::support::trommel::{Setup, Trommel};
use crate::support::wait;

const RULES: usize = 1000;
/// Findings of each rule that are over.
const ROUNDS: i64 = 10;
const OPEN: usize = 200;
const VISITS: usize = 9;
const PUSHES: usize = 400;
const VIEWERS: usize = 20;

#[test]
#[ignore = "a measure; scripts/page-load runs it"]
fn much_to_show_is_shown_at_once() {
    let browser = Browser::start().expect("scripts/install-test-tools installs Chromium");
    let setup = Setup::new(&rules())
        .with_data()
        .with_settings("history_bytes_max: 256MiB\ndetect:\n  max_age: 1d\n");
    let trommel = setup.start();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = i64::try_from(now.expect("past 1970").as_nanos()).expect("not that late");
    let minute = |minute: i64| now - 180 * 60_000_000_000 + minute * 60_000_000_000;
    for round in 0..ROUNDS {
        push(&trommel, minute(round * 12), RULES, "web");
        // What is over is over since its stream went on without it.
        let calm = (1..12).map(|later| Entry {
            line: "level=info request done".to_owned(),
            ..entry(0, minute(round * 12 + later), "web")
        });
        trommel.push_json(&calm.collect::<Vec<_>>());
    }
    push(&trommel, minute(175), OPEN, "web");
    wait::within(Duration::from_secs(120), "what is over to be over", || {
        let open = trommel.metric("trommel_findings_open", "golden_signals");
        (open as usize == OPEN).then_some(())
    });

    println!("| page | answer | first contentful paint |\n|---|---|---|");
    let first = trommel.admin("/api/v1/findings?limit=1").text();
    let first: serde_json::Value = serde_json::from_str(&first).expect("JSON");
    let one = format!(
        "/findings/{}",
        first["findings"][0]["finding_id"].as_str().expect("an id")
    );
    let (since, until) = (Timestamp::new(minute(40)), Timestamp::new(minute(50)));
    let of_a_time = format!("/findings?since={since}&until={until}");
    let paths = [
        "/",
        "/findings",
        "/findings?state=recovered&severity=warning",
        // All that is known is looked through, for ten and for none.
        "/findings?text=fault+0999",
        "/findings?text=nowhere",
        "/findings?label=app%3Dweb&text=fault+0999",
        "/findings?label=app%3Dnowhere",
        &*of_a_time,
        "/rules",
        "/rules/fault_0999",
        &*one,
    ];
    for path in paths {
        let mut answers = Vec::new();
        let mut paints = Vec::new();
        for _ in 0..VISITS {
            browser.open(&trommel, path);
            browser.until(
                "the first paint",
                "return performance.getEntriesByName('first-contentful-paint').length === 1",
            );
            let times = browser.ask("const page = performance.getEntriesByType('navigation')[0]; return [page.responseEnd - page.requestStart, performance.getEntriesByName('first-contentful-paint')[0].startTime]");
            answers.push(times[0].as_f64().expect("milliseconds"));
            paints.push(times[1].as_f64().expect("milliseconds"));
        }
        println!(
            "| `{path}` | {:.0} ms | {:.0} ms |",
            median(&mut answers),
            median(&mut paints)
        );
    }
    drop(browser);

    println!(
        "\n| pages open | answer to a push, half of all | 99 of a hundred | slowest |\n|---|---|---|---|"
    );
    for viewers in [0, VIEWERS] {
        let stop = Arc::new(AtomicBool::new(false));
        let looking: Vec<_> = (0..viewers)
            .map(|_| {
                let (admin, stop) = (trommel.admin_address(), Arc::clone(&stop));
                std::thread::spawn(move || look(admin, &stop))
            })
            .collect();
        let mut client = Client::new(trommel.push_address());
        let mut times = Vec::new();
        for number in 0..PUSHES {
            // Each opens a finding, so that every page has something to show anew.
            let at = minute(178) + i64::try_from(number).expect("few") * 1_000_000;
            let entry = entry(number % RULES, at, &format!("load-{viewers}-{number}"));
            let request = Request::push_json(loki::json(&[entry]));
            let began = Instant::now();
            let answer = client.send(&request).expect("an answer");
            times.push(began.elapsed().as_secs_f64() * 1e3);
            assert_eq!(answer.status, 204);
            std::thread::sleep(Duration::from_millis(20));
        }
        stop.store(true, Ordering::Relaxed);
        let renewed: usize = looking
            .into_iter()
            .map(|one| one.join().expect("it ends"))
            .sum();
        times.sort_by(f64::total_cmp);
        println!(
            "| {viewers}, renewed {renewed} times | {:.1} ms | {:.1} ms | {:.1} ms |",
            times[PUSHES / 2],
            times[PUSHES * 99 / 100],
            times[PUSHES - 1]
        );
    }
}

/// Does what an open page does until `stop`; tells how often it was renewed.
fn look(admin: SocketAddr, stop: &AtomicBool) -> usize {
    let mut events = TcpStream::connect(admin).expect("it listens");
    events
        .set_read_timeout(Some(Duration::from_millis(200)))
        .expect("a socket");
    events
        .write_all(format!("GET /events HTTP/1.1\r\nHost: {admin}\r\n\r\n").as_bytes())
        .expect("it is open");
    let mut pages = Client::with_timeout(admin, wait::PATIENCE);
    let mut events = BufReader::new(events);
    let mut renewed = 0;
    let mut line = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        // A time-out keeps what came of a line.
        if events.read_until(b'\n', &mut line).is_err() {
            continue;
        }
        if line.starts_with(b"event: changed") {
            let page = Request::get("/").with_header("Accept", "text/html");
            assert_eq!(pages.send(&page).expect("a page").status, 200);
            renewed += 1;
        }
        line.clear();
    }
    renewed
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn rules() -> String {
    let mut rules = "rules:\n".to_owned();
    for number in 0..RULES {
        rules += format!(
            "  - id: fault_{number:04}\n    match: 'fault {number:04} '\n    by: [namespace, app]\n    recover: 5m\n    cooldown: 1m\n    \
             incident_type: error_spike\n    summary: 'fault {number:04} in {{namespace}}/{{app}}'\n    \
             catches: ['fault {number:04} here']\n    passes: ['fine']\n"
        )
        .as_str();
    }
    rules
}

#[track_caller]
fn push(trommel: &Trommel, at: i64, faults: usize, app: &str) {
    let entries: Vec<_> = (0..faults).map(|number| entry(number, at, app)).collect();
    for some in entries.chunks(200) {
        trommel.push_json(some);
    }
}

fn entry(number: usize, at: i64, app: &str) -> Entry {
    let labels = [("namespace", "shop"), ("app", app)];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Entry {
        labels: BTreeMap::from(labels),
        at,
        line: format!("level=error fault {number:04} here: connection reset by peer"),
    }
}
