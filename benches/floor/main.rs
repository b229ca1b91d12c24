//! How near is the whole path from a request's bytes to hits to the floor, which is decompressing those bytes?
//!
//! Rows with `applied` in their name go on to the windows: each hit is counted for its key, as the owner of that state does it.
//!
//! `cargo bench --bench floor` takes half a minute; `-- shipped` measures the rows with that word alone, `-- --seed=7` on other lines than
//! those that the scanner was tuned on. Every row is measured in every round, one after the other, so that what
//! else the machine does falls on all of them. Each request is timed alone, in less than a scheduler's slice, and a row's figure is the
//! sum of its requests' medians. Ratios are times relative to decompression alone.
//! The number of hits is checked against the plain matcher before anything is timed.

mod lines;
mod rules;
mod windows;
mod wire;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use trommel::rules::{RuleSet, Selector};
use trommel::scan::{Line, Scanner, Scratch, judge};
use trommel::time::Timestamp;

use lines::Mix;
use windows::Windows;
use wire::{Decoder, Request};

const ROUNDS: usize = 25;
/// Different batches in each row: enough that no branch predictor learns them by heart.
const BATCHES: u64 = 6;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (flags, words): (Vec<_>, Vec<_>) = arguments.iter().partition(|word| word.starts_with('-'));
    let seed = flags.iter().find_map(|flag| flag.strip_prefix("--seed="));
    let seed = seed.map_or(0, |seed| seed.parse().expect("a seed is a whole number"));

    let signatures = rules::two_hundred();
    let two_hundred = rules::rule_set(&signatures);
    let thousand = rules::rule_set(&rules::thousand());
    let five_thousand = rules::rule_set(&rules::five_thousand());
    let shipped = rules::shipped();
    let simplest = rules::five_simplest(&shipped);
    let plus = |signature| rules::rule_set(&[&signatures[..], &[signature]].concat());

    let quiet = || Mix::Hits { per_mille: 1 };
    let row = |name, rules: &(Arc<RuleSet>, Vec<String>), mix| Row::new(name, rules, mix, seed);
    let mut rows = vec![
        row("five simplest shipped rules, 0.1 %", &simplest, quiet()),
        row("shipped rules, 0.1 % of lines hit", &shipped, quiet()),
        // What of that is not for hits.
        row(
            "shipped rules, none hit",
            &shipped,
            Mix::Hits { per_mille: 0 },
        ),
        row(
            "shipped rules, 10 %",
            &shipped,
            Mix::Hits { per_mille: 100 },
        ),
        row("200 rules, 0.1 %", &two_hundred, quiet()),
        row("200 rules, 0.1 %, applied", &two_hundred, quiet()).applied(),
        row(
            "200 rules, 10 %",
            &two_hundred,
            Mix::Hits { per_mille: 100 },
        ),
        row(
            "200 rules, 10 %, applied",
            &two_hundred,
            Mix::Hits { per_mille: 100 },
        )
        .applied(),
        row(
            "200 rules, 100 %",
            &two_hundred,
            Mix::Hits { per_mille: 1000 },
        ),
        row(
            "200 rules, near misses in every line",
            &two_hundred,
            Mix::NearMisses,
        ),
        row("1000 rules, 0.1 %", &thousand, quiet()),
        row("5000 rules, 0.1 %", &five_thousand, quiet()),
        row("200 rules and a short text", &plus(rules::short()), quiet()),
        row(
            "200 rules and an expression without text",
            &plus(rules::without_text()),
            quiet(),
        ),
        row("200 rules and a field", &plus(rules::field()), quiet()),
    ];
    match lines::corpus() {
        Some(lines) => rows.extend([
            row("200 rules, corpus", &two_hundred, Mix::Given(lines.clone())),
            row(
                "five simplest shipped rules, corpus",
                &simplest,
                Mix::Given(lines.clone()),
            ),
            row("shipped rules, corpus", &shipped, Mix::Given(lines)),
        ]),
        None => eprintln!("skipped: no corpus beside the checkout"),
    }
    rows.retain(|row| words.iter().all(|word| row.name.contains(word.as_str())));
    assert!(!rows.is_empty(), "no row is called {words:?}");
    for row in &mut rows {
        row.check();
        // With `--candidates` also: which rules are asked about how many lines, the most first.
        if flags.iter().any(|flag| *flag == "--candidates") {
            row.print_candidates();
        }
    }

    let mut floor = Vec::new();
    let mut walk = Vec::new();
    let mut times = vec![Vec::new(); rows.len()];
    for _ in 0..ROUNDS {
        floor.push(rows[0].decompress());
        walk.push(rows[0].walk());
        for (row, times) in rows.iter_mut().zip(&mut times) {
            // Compressibility differs from row to row, so each is compared with its own floor.
            times.push((row.decompress(), row.scan()));
        }
    }

    let first = &rows[0];
    println!(
        "{} batches of {:.2} MB, {} lines each, compressed {:.1} times; median of {ROUNDS} rounds\n",
        BATCHES,
        first.bytes() as f64 / 1e6 / BATCHES as f64,
        first.requests[0].lines,
        first.bytes() as f64 / first.compressed_bytes() as f64,
    );
    println!(
        "{:<44} {:>6} {:>6} {:>6} {:>9}",
        "", "GB/s", "ratio", "best", "hits"
    );
    print("decompression alone", first.bytes(), &floor, &floor, None);
    print("decompression and walk", first.bytes(), &walk, &floor, None);
    for (row, times) in rows.iter().zip(times) {
        let (floor, time): (Vec<_>, Vec<_>) = times.into_iter().unzip();
        print(row.name, row.bytes(), &time, &floor, Some(row.hits));
    }
}

/// The times of one round, for each request.
type Round = Vec<Duration>;

/// Speed and ratio of the medians; on a machine that does other things, the ratio of the best rounds says more.
fn print(name: &str, bytes: usize, time: &[Round], floor: &[Round], hits: Option<usize>) {
    let speed = bytes as f64 / median(time).as_secs_f64() / 1e9;
    let ratio = median(time).div_duration_f64(median(floor));
    let best = best(time).div_duration_f64(best(floor));
    let hits = hits.map_or_else(String::new, |hits| hits.to_string());
    println!("{name:<44} {speed:>6.2} {ratio:>6.2} {best:>6.2} {hits:>9}");
}

fn median(rounds: &[Round]) -> Duration {
    of_each_request(rounds, |times| times[times.len() / 2])
}

fn best(rounds: &[Round]) -> Duration {
    of_each_request(rounds, |times| times[0])
}

/// The sum of what `pick` takes from the sorted times of each request.
fn of_each_request(rounds: &[Round], pick: impl Fn(&[Duration]) -> Duration) -> Duration {
    let requests = 0..rounds[0].len();
    let picked = requests.map(|request| {
        let mut times: Vec<_> = rounds.iter().map(|round| round[request]).collect();
        times.sort_unstable();
        pick(&times)
    });
    picked.sum()
}

/// One measurement: rules, and requests to find their hits in.
struct Row {
    name: &'static str,
    rules: Arc<RuleSet>,
    scanner: Scanner,
    requests: Vec<Request>,
    decoder: Decoder,
    block: Vec<u8>,
    scratch: Scratch,
    /// In all requests together.
    hits: usize,
    windows: Option<Windows>,
}

impl Row {
    /// Of `rules` and examples of what they catch, with lines made from `seed`.
    fn new(
        name: &'static str,
        (rules, examples): &(Arc<RuleSet>, Vec<String>),
        mix: Mix,
        seed: u64,
    ) -> Self {
        let seeds = (0..BATCHES).map(|batch| seed * BATCHES + batch);
        let requests = seeds.map(|seed| Request::new(&mix.streams(seed, examples)));
        let requests: Vec<_> = requests.collect();
        Self {
            name,
            scanner: Scanner::new(rules.clone()),
            rules: rules.clone(),
            decoder: Decoder::new(),
            requests,
            block: Vec::new(),
            scratch: Scratch::default(),
            hits: 0,
            windows: None,
        }
    }

    /// The same, on to the windows.
    fn applied(self) -> Self {
        Self {
            windows: Some(Windows::new(&self.rules)),
            ..self
        }
    }

    fn bytes(&self) -> usize {
        self.requests.iter().map(|request| request.bytes).sum()
    }

    fn compressed_bytes(&self) -> usize {
        let compressed = self.requests.iter().map(|request| request.compressed.len());
        compressed.sum()
    }

    /// Counts the hits of all requests; those of the first are held against the plain matcher.
    fn check(&mut self) {
        let mut counts = Vec::new();
        for request in &self.requests {
            let mut hits = Vec::new();
            let batch = self.decoder.decode(request);
            let entries = 0..batch.entries.len();
            self.scanner
                .scan(batch, entries, &mut self.scratch, &mut hits);
            counts.push(hits.len());
        }
        let batch = self.decoder.decode(&self.requests[0]);
        let mut expected = 0;
        for entries in &batch.streams {
            for entry in
                &batch.entries[entries.entries.start as usize..entries.entries.end as usize]
            {
                let line = Line::of(batch, &entries.stream, entry);
                let hits = self.rules.rules.iter();
                let selecting = hits.filter(|rule| {
                    let labels = &entries.stream.labels;
                    let left_out = |unless: &Selector| unless.selects(labels);
                    rule.selector.selects(labels) && !rule.unless.as_ref().is_some_and(left_out)
                });
                expected += selecting
                    .filter(|rule| judge(&self.rules, rule, &line).is_some())
                    .count();
            }
        }
        assert_eq!(counts[0], expected, "{}", self.name);
        self.hits = counts.iter().sum();
    }

    /// How often rules were asked, and how often they said yes, since the last call.
    fn print_candidates(&mut self) {
        let mut candidates = Vec::new();
        self.scratch
            .take_spent(|rule, spent| candidates.push((spent.candidates, rule)));
        candidates.sort_unstable_by_key(|(count, _)| std::cmp::Reverse(*count));
        println!("{}: candidates of all requests and one more", self.name);
        for (count, rule) in candidates.iter().take(20) {
            println!("  {count:>8} {}", self.rules.rules[rule.0 as usize].id);
        }
    }

    fn decompress(&mut self) -> Round {
        let block = &mut self.block;
        let times = self.requests.iter().map(|request| {
            let start = Instant::now();
            wire::decompress(&request.compressed, block);
            black_box(&*block);
            start.elapsed()
        });
        times.collect()
    }

    fn walk(&mut self) -> Round {
        let decoder = &mut self.decoder;
        let times = self.requests.iter().map(|request| {
            let start = Instant::now();
            black_box(decoder.decode(request));
            start.elapsed()
        });
        times.collect()
    }

    fn scan(&mut self) -> Round {
        if let Some(windows) = &mut self.windows {
            let tenant = Arc::from("");
            let times = self.requests.iter().map(|request| {
                let start = Instant::now();
                let batch = self.decoder.decode(request);
                let scanned = (self.scanner).scan_whole(batch, &tenant, &mut self.scratch);
                let scanning = start.elapsed();
                let scanned = windows.later(scanned);
                let start = Instant::now();
                windows.detector.apply(scanned, Timestamp::MAX);
                let applying = start.elapsed();
                // Stored with those of other batches.
                black_box(windows.detector.take_changes());
                scanning + applying
            });
            return times.collect();
        }
        let (decoder, scanner, scratch) = (&mut self.decoder, &self.scanner, &mut self.scratch);
        let mut hits = Vec::new();
        let times = self.requests.iter().map(|request| {
            let start = Instant::now();
            let batch = decoder.decode(request);
            scanner.scan(batch, 0..batch.entries.len(), scratch, &mut hits);
            black_box(&hits);
            // What becomes of hits is the next room's work; freeing them belongs to making them.
            hits.clear();
            start.elapsed()
        });
        times.collect()
    }
}
