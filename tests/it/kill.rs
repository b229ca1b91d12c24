//! 204 means done, at every moment: trommel is killed again and again under load, NATS comes and goes, and in the end the stream holds
//! what a run without any of that publishes.
//!
//! Two senders, each a tenant, push the same input through both runs, one push after the other, and send the same bytes again until they
//! are answered 204. A *round* ends in one `kill -9`. Its moment is a number of *steps* of the senders (a piece of a request is written, or an answer is
//! read) and at most two milliseconds more; in one round of six, when everything is answered; in one of eight, up to an eighth of a second after the process was made, so that start-up is hit too.
//! Those short timers are part of what is random. Nothing else here depends on time.
//!
//! `TROMMEL_KILL_ROUNDS` sets how many rounds (200 unless set), `TROMMEL_KILL_SEED` repeats the random choices of a run: each prints its seed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::support::http::{Request, read_answer};
use crate::support::loki::{self, Entry};
use crate::support::nats::{NatsServer, Published};
use crate::support::trommel::{Setup, Trommel};
use crate::support::wait;

/// One rule of each way to open and to recover; a short cooldown, so that there are updates.
const RULES: &str = r#"
rules:
  - id: many
    match: directory timed out
    threshold: 5 in 1m
    by: [component]
    cooldown: 20s
    recover: 2m
    incident_type: identity_provider_unreachable
  - id: different
    match: {re: 'timed out for (?P<user>\S+)'}
    threshold: 3 distinct user in 1m
    by: [component]
    recover: {match: healed}
    incident_type: login_failure_spike
  - id: in_order
    sequence:
      within: 2m
      steps: [{match: directory timed out, count: 3}, {match: gave up}]
    by: [component]
    severity: critical
    recover: 1m
    incident_type: error_spike
"#;

/// Nothing may be answered early or be too old because the machine is slow, nor forgotten for want of room, which thousands of findings
/// that are over fill: what this looks for is what 204 promises without exception.
const SETTINGS: &str = "
memory: 1GiB
limits: {answer_deadline: 30s}
detect: {max_age: 26h}
";

const TENANTS: [&str; 2] = ["north", "south"];
/// Pushes of one sender for each round, on average.
const PUSHES_PER_ROUND: usize = 4;
/// Steps of one push: three pieces of the request, and the answer.
const STEPS_PER_PUSH: usize = 4;
/// Event time from one push of a sender to its next.
const TICK_NANOS: i64 = 5_000_000_000;
/// Pushes from the beginning of one incident to that of the next.
const BETWEEN_INCIDENTS: usize = 8;
/// Pushes that one incident goes through, from its first failure to long after its recovery.
const INCIDENT_TICKS: usize = 48;
/// Lives of a tenth of a second publish less than is found in them; after so many of them it may catch up, or what waits would grow with the rounds
/// until the outbox is full.
const ROUNDS_WITHOUT_REST: usize = 100;
/// How long an answer may take, or all of those that a round waits for.
const PATIENCE: Duration = Duration::from_secs(300);

#[test]
fn whenever_it_is_killed_the_stream_holds_what_an_undisturbed_run_publishes() {
    let (Some(calm_nats), Some(nats)) = (NatsServer::running(), NatsServer::running()) else {
        return;
    };
    let rounds = number("TROMMEL_KILL_ROUNDS").unwrap_or(200);
    let seed = number("TROMMEL_KILL_SEED").unwrap_or_else(|| since_epoch().as_nanos() as u64);
    println!("seed {seed}, {rounds} rounds");
    let rounds = usize::try_from(rounds).expect("few");
    let input = Input::new(seed, rounds * PUSHES_PER_ROUND);

    let setup = Setup::new(RULES)
        .with_data()
        .with_settings(SETTINGS)
        .with_nats(&calm_nats.url());
    let mut calm = Run::new(setup, calm_nats);
    calm.disturb(&input, 0, &mut Random(seed));
    let expected = calm.published(&BTreeSet::new());
    let needed = ids(expected.iter().filter(|message| !is_update(message)));

    let setup = Setup::new(RULES)
        .with_data()
        .with_settings(SETTINGS)
        .with_nats(&nats.url());
    let mut run = Run::new(setup, nats);
    run.disturb(&input, rounds, &mut Random(seed));
    let published = run.published(&needed);

    let verdict = Verdict::compare(&expected, &published);
    println!("seed {seed}: {} {verdict}", run.happened);
    assert!(
        verdict.findings > rounds / 4,
        "the input makes findings: {verdict}"
    );
    assert!(verdict.problems.is_empty(), "seed {seed}: {verdict}");
}

/// What the senders push: for each tenant the requests, in order.
struct Input([Vec<Request>; 2]);

impl Input {
    /// `pushes` of each tenant; the last incidents recover as well.
    fn new(seed: u64, pushes: usize) -> Self {
        let pushes = pushes + INCIDENT_TICKS;
        let now = i64::try_from(since_epoch().as_nanos()).expect("before the year 2262");
        let begin = now - now % 1_000_000_000 - (pushes as i64 + 60) * TICK_NANOS;
        let mut random = Random(seed ^ 0x5bd1_e995);
        Self(TENANTS.map(|tenant| {
            (0..pushes)
                .map(|tick| {
                    let entries = Self::entries(tick, pushes, begin, &mut random);
                    Request::push_protobuf(loki::protobuf(&entries))
                        .with_header("X-Scope-OrgID", tenant)
                })
                .collect()
        }))
    }

    fn entries(tick: usize, pushes: usize, begin: i64, random: &mut Random) -> Vec<Entry> {
        let newest = tick / BETWEEN_INCIDENTS;
        let mut entries = Vec::new();
        for incident in newest.saturating_sub(INCIDENT_TICKS / BETWEEN_INCIDENTS)..=newest {
            let age = tick - incident * BETWEEN_INCIDENTS;
            if age >= INCIDENT_TICKS || incident * BETWEEN_INCIDENTS + INCIDENT_TICKS > pushes {
                continue;
            }
            let lines = match age {
                0..8 => (0..1 + random.below(3))
                    .map(|_| format!("ERROR directory timed out for user{}", random.below(5)))
                    .collect(),
                8 => vec!["ERROR gave up".to_owned()],
                40 => vec!["INFO healed".to_owned()],
                _ => vec!["INFO GET /api/projects 200".to_owned()],
            };
            for (place, line) in lines.into_iter().enumerate() {
                entries.push(Entry {
                    labels: [
                        ("namespace", "factory"),
                        ("component", &format!("c{incident}")),
                    ]
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .into(),
                    at: begin + tick as i64 * TICK_NANOS + place as i64 * 1_000_000,
                    line,
                });
            }
        }
        // So that the clock goes on also where no incident is.
        entries.push(Entry {
            labels: [("namespace".to_owned(), "calm".to_owned())].into(),
            at: begin + tick as i64 * TICK_NANOS,
            line: "INFO nothing happens".to_owned(),
        });
        entries
    }
}

/// One trommel after the other on the same data, and the server that they publish to.
struct Run {
    setup: Setup,
    nats: NatsServer,
    nats_is: Nats,
    last: Option<Trommel>,
    happened: Happened,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nats {
    Running,
    Stopped,
    Hanging,
}

/// What was done to a run.
#[derive(Debug, Default)]
struct Happened {
    kills: usize,
    /// Of those, the ones before it listened.
    while_starting: usize,
    /// Of those, the ones with requests under way.
    under_way: usize,
    nats_stops: usize,
    nats_hangs: usize,
    /// Pushes that were not answered, and sent again.
    resent: usize,
}

impl std::fmt::Display for Happened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} kills ({} while starting, {} with requests under way), NATS {} times killed and {} times hung, {} pushes sent again;",
            self.kills,
            self.while_starting,
            self.under_way,
            self.nats_stops,
            self.nats_hangs,
            self.resent
        )
    }
}

impl Run {
    fn new(setup: Setup, nats: NatsServer) -> Self {
        Self {
            setup,
            nats,
            nats_is: Nats::Running,
            last: None,
            happened: Happened::default(),
        }
    }

    /// Sends all of `input` while trommel is killed `rounds` times.
    fn disturb(&mut self, input: &Input, rounds: usize, random: &mut Random) {
        let road = Road::default();
        std::thread::scope(|scope| {
            for (who, requests) in input.0.iter().enumerate() {
                let road = &road;
                scope.spawn(move || {
                    // A sender that fails must not leave the others waiting.
                    let _failed = Failed(road);
                    send_all(road, who, requests);
                });
            }
            let _failed = Failed(&road);
            for round in 1..=rounds {
                self.round(&road, round, random);
            }
            self.set_nats(Nats::Running);
            road.allow(usize::MAX);
            let trommel = self.setup.start();
            road.lead_to(Some(trommel.push_address()));
            let lengths = input.0.each_ref().map(Vec::len);
            // However long that takes on this machine, as long as it goes on.
            while road.traffic().answered != lengths {
                let before = road.traffic().answered;
                road.wait(PATIENCE, |traffic| traffic.answered != before);
                assert_ne!(road.traffic().answered, before, "{}", trommel.log());
            }
            self.last = Some(trommel);
        });
        self.happened.resent = road.traffic().resent;
    }

    /// From one kill to the next.
    fn round(&mut self, road: &Road, round: usize, random: &mut Random) {
        road.allow(round * PUSHES_PER_ROUND);
        let trommel = if random.below(8) == 0 {
            self.setup
                .start_within(Duration::from_millis(random.below(125)))
        } else {
            Some(self.setup.start())
        };
        self.happened.kills += 1;
        let Some(trommel) = trommel else {
            self.happened.while_starting += 1;
            return;
        };
        let before = road.traffic().steps;
        road.lead_to(Some(trommel.push_address()));
        if round.is_multiple_of(ROUNDS_WITHOUT_REST) {
            self.set_nats(Nats::Running);
            outbox_is_empty(&trommel);
        } else if random.below(6) == 0 && road.traffic().answered != [0; 2] {
            // Not before anything is on disk: until then trommel asks NATS what was open, and rightly says of all that it finds that
            // something may be missing if nobody answers.
            self.change_nats(random);
        }
        if random.below(6) == 0 {
            // All that may be sent is answered: only the publisher works, or nobody.
            let allowed = [round * PUSHES_PER_ROUND; 2];
            road.wait(PATIENCE, |traffic| traffic.answered == allowed);
        } else {
            let steps = random.below((2 * PUSHES_PER_ROUND * STEPS_PER_PUSH) as u64) as usize;
            road.wait(PATIENCE, |traffic| traffic.steps >= before + steps);
        }
        let seen = road.traffic().steps;
        road.wait(Duration::from_micros(random.below(2000)), |traffic| {
            traffic.steps > seen
        });
        self.happened.under_way += usize::from(road.traffic().under_way > 0);
        trommel.kill();
        road.lead_to(None);
    }

    fn change_nats(&mut self, random: &mut Random) {
        self.set_nats(match (self.nats_is, random.below(2)) {
            (Nats::Running, 0) => Nats::Stopped,
            (Nats::Running, _) => Nats::Hanging,
            (Nats::Hanging, 0) => Nats::Stopped,
            _ => Nats::Running,
        });
    }

    fn set_nats(&mut self, to: Nats) {
        match (self.nats_is, to) {
            (_, Nats::Stopped) => {
                self.nats.stop();
                self.happened.nats_stops += 1;
            }
            (_, Nats::Hanging) => {
                self.nats.hang();
                self.happened.nats_hangs += 1;
            }
            (Nats::Stopped, Nats::Running) => self.nats.start(),
            (Nats::Hanging, Nats::Running) => self.nats.resume(),
            (Nats::Running, Nats::Running) => {}
        }
        self.nats_is = to;
    }

    /// What the stream holds once nothing waits any more and trommel has stopped. Waits for `needed`; what has not come in the end is lost.
    fn published(&mut self, needed: &BTreeSet<String>) -> Vec<Published> {
        let trommel = self.last.take().expect("it ran");
        // As of the last second, so the stream itself is looked at, too.
        outbox_is_empty(&trommel);
        let deadline = Instant::now() + wait::PATIENCE;
        while !needed.is_subset(&ids(self.nats.findings().iter())) && Instant::now() < deadline {}
        let status = trommel.terminate();
        assert_eq!(status.code(), Some(0));
        self.nats.findings()
    }
}

/// Waits until nothing waits to be published.
fn outbox_is_empty(trommel: &Trommel) {
    wait::until("the outbox to be empty", || {
        (trommel.series("trommel_outbox_messages") == Some(0.0)).then_some(())
    });
}

/// Where trommel is at the moment, and how far the senders are.
#[derive(Default)]
struct Road {
    traffic: Mutex<Traffic>,
    changed: Condvar,
}

#[derive(Debug, Clone, Default)]
struct Traffic {
    address: Option<SocketAddr>,
    /// Pushes that each sender may have sent by now.
    allowed: usize,
    steps: usize,
    answered: [usize; 2],
    /// Requests of which something is written and no answer read.
    under_way: usize,
    resent: usize,
    failed: bool,
}

impl Road {
    fn locked(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().expect("nobody panics with the lock")
    }

    fn traffic(&self) -> Traffic {
        self.locked().clone()
    }

    fn change(&self, change: impl FnOnce(&mut Traffic)) {
        change(&mut self.locked());
        self.changed.notify_all();
    }

    fn lead_to(&self, address: Option<SocketAddr>) {
        self.change(|traffic| traffic.address = address);
    }

    fn allow(&self, pushes: usize) {
        self.change(|traffic| traffic.allowed = pushes);
    }

    /// Waits until `is` holds, at most for `limit`.
    fn wait(&self, limit: Duration, is: impl Fn(&Traffic) -> bool) {
        let waited = self
            .changed
            .wait_timeout_while(self.locked(), limit, |traffic| {
                !traffic.failed && !is(traffic)
            });
        let failed = waited.expect("nobody panics with the lock").0.failed;
        assert!(!failed, "another thread failed");
    }

    /// Where sender number `who` may send its next push to, as soon as it may.
    fn next(&self, who: usize) -> SocketAddr {
        loop {
            self.wait(PATIENCE, |traffic| {
                traffic.address.is_some() && traffic.answered[who] < traffic.allowed
            });
            let traffic = self.traffic();
            if let Some(address) = traffic.address
                && traffic.answered[who] < traffic.allowed
            {
                return address;
            }
        }
    }
}

/// Tells the other threads when this one panics.
struct Failed<'a>(&'a Road);

impl Drop for Failed<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.change(|traffic| traffic.failed = true);
        }
    }
}

/// One request after the other, each until it is answered.
fn send_all(road: &Road, who: usize, requests: &[Request]) {
    let mut connection: Option<(SocketAddr, BufReader<TcpStream>)> = None;
    for request in requests {
        let mut attempts = 0;
        loop {
            let address = road.next(who);
            if attempts > 0 {
                road.change(|traffic| traffic.resent += 1);
            }
            attempts += 1;
            let stream = match connection.take() {
                Some((to, stream)) if to == address => Ok(stream),
                _ => TcpStream::connect_timeout(&address, wait::PATIENCE).map(BufReader::new),
            };
            let Ok(mut stream) = stream else {
                // It is being killed: refused until the next one listens.
                road.wait(Duration::from_millis(5), |traffic| {
                    traffic.address != Some(address)
                });
                continue;
            };
            road.change(|traffic| traffic.under_way += 1);
            let answer = exchange(road, &mut stream, &request.bytes(address));
            road.change(|traffic| traffic.under_way -= 1);
            if let Ok(status) = answer {
                assert_eq!(status, 204);
                connection = Some((address, stream));
                road.change(|traffic| {
                    traffic.answered[who] += 1;
                    traffic.steps += 1;
                });
                break;
            }
        }
    }
}

/// Writes a request in pieces, and reads the status of its answer.
fn exchange(road: &Road, stream: &mut BufReader<TcpStream>, bytes: &[u8]) -> io::Result<u16> {
    stream.get_ref().set_nodelay(true)?;
    stream.get_ref().set_read_timeout(Some(wait::PATIENCE))?;
    for piece in bytes.chunks(bytes.len().div_ceil(STEPS_PER_PUSH - 1)) {
        stream.get_mut().write_all(piece)?;
        road.change(|traffic| traffic.steps += 1);
    }
    read_answer(stream).map(|answer| answer.status)
}

/// How a disturbed run differs from an undisturbed one.
struct Verdict {
    findings: usize,
    messages: usize,
    lost: usize,
    duplicated: usize,
    problems: Vec<String>,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} findings in {} messages, {} lost, {} duplicated, {} problems",
            self.findings,
            self.messages,
            self.lost,
            self.duplicated,
            self.problems.len()
        )?;
        for problem in self.problems.iter().take(20) {
            write!(f, "\n{problem}")?;
        }
        Ok(())
    }
}

impl Verdict {
    /// An `updated` that waits is replaced by a newer one of the same finding, in either run; everything else must be in both, in the same
    /// order for each tenant, and word for word the same.
    fn compare(expected: &[Published], published: &[Published]) -> Self {
        let mut problems = Vec::new();
        let by_id: HashMap<&str, &Published> = expected.iter().map(|one| (id(one), one)).collect();
        let findings: BTreeSet<&str> = expected.iter().map(finding).collect();

        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        let mut revisions: HashMap<&str, u64> = HashMap::new();
        for one in published {
            *times.entry(id(one)).or_default() += 1;
            let revision = one.event.data("revision").as_u64().expect("a number");
            let before = revisions.insert(finding(one), revision).unwrap_or(0);
            if before >= revision {
                problems.push(format!("{} after revision {before}", id(one)));
            }
            match by_id.get(id(one)) {
                Some(same) if told(same) == told(one) => {}
                Some(same) => problems.push(format!(
                    "{} differs:\n  {}\n  {}",
                    id(one),
                    told(same),
                    told(one)
                )),
                None if is_update(one) && findings.contains(finding(one)) => {}
                None => problems.push(format!("{} is new: {}", id(one), told(one))),
            }
        }
        let duplicated = times.values().map(|times| times - 1).sum();
        problems.extend(
            times
                .iter()
                .filter(|(_, times)| **times > 1)
                .map(|(id, times)| format!("{id} came {times} times")),
        );

        // Not a lost one and a doubled one that make up for each other: sets.
        let lost: Vec<&str> = expected
            .iter()
            .filter(|one| !is_update(one))
            .map(id)
            .filter(|id| !times.contains_key(id))
            .collect();
        problems.extend(lost.iter().map(|id| format!("{id} is lost")));
        for (finding, last) in last_of(expected) {
            if let Some(other) = revisions.get(finding)
                && *other != last
            {
                problems.push(format!(
                    "{finding} ends with revision {other} instead of {last}"
                ));
            }
        }
        for tenant in TENANTS {
            if order(expected, tenant) != order(published, tenant) {
                problems.push(format!("the order of {tenant}'s messages differs"));
            }
        }
        Self {
            findings: findings.len(),
            messages: published.len(),
            lost: lost.len(),
            duplicated,
            problems,
        }
    }
}

fn last_of(messages: &[Published]) -> HashMap<&str, u64> {
    messages
        .iter()
        .filter_map(|one| Some((finding(one), one.event.data("revision").as_u64()?)))
        .collect()
}

fn order<'a>(messages: &'a [Published], tenant: &str) -> Vec<&'a str> {
    messages
        .iter()
        .filter(|one| one.event.data("resource_scope")["tenant"] == tenant && !is_update(one))
        .map(id)
        .collect()
}

/// The message, but for how many repeats were dropped: a push that was sent again is one.
fn told(message: &Published) -> Value {
    let mut event = message.event.0.clone();
    event["data"]["counts"]["duplicates_dropped"] = Value::Null;
    event
}

fn id(message: &Published) -> &str {
    message.event.text("id")
}

fn finding(message: &Published) -> &str {
    message.event.data_text("finding_id")
}

fn is_update(message: &Published) -> bool {
    message.event.state() == "updated"
}

fn ids<'a>(messages: impl Iterator<Item = &'a Published>) -> BTreeSet<String> {
    messages.map(|one| id(one).to_owned()).collect()
}

/// SplitMix64: the same numbers from the same seed, wherever it runs.
struct Random(u64);

impl Random {
    /// Below `bound`, which is small; 0 for 0.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is `{text}`, not a number")),
    )
}

fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is past 1970")
}
