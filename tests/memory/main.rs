//! What a key costs in memory: bytes that are really allocated, counted, for a rule of each class.
//!
//! Each row of [`ROWS`] is a rule, the lines that bring a key of it into a state, and how many bytes such a key may take:
//! what `docs/rules.md` promises. `cargo test --test memory -- --nocapture` prints what was measured.
//!
//! Measured is what twice as many keys take more than once as many, so what a rule costs without keys is not in it. Counted is
//! everything that the detector holds after its lines: windows, findings, evidence, timers, and the identities of the entries
//! that were counted. Labels are not, because the detector shares them with whoever read the stream. Counted is
//! what was asked for, on this thread, and what an allocator adds to each piece.

mod pushes;

use std::path::Path;
use std::sync::Arc;

use trommel::batch::{Batch, Labels, Stream};
use trommel::detect::{Detector, Settings, Templates};
use trommel::finding::{Origin, Redactor};
use trommel::rules::{LoadOptions, RuleSet, SourceText, load};
use trommel::scan::{Scanner, Scratch};
use trommel::time::Timestamp;

/// A kind of rule in one state of its keys.
struct Row {
    class: &'static str,
    /// What its keys have been through.
    state: &'static str,
    /// The rules as YAML; their `by` is `[pod]`.
    rules: &'static str,
    /// How many keys are measured. Few are enough where one takes much.
    keys: usize,
    /// How many lines each has, one a second.
    lines: usize,
    /// The n-th line of a key, from 0.
    line: fn(n: usize) -> String,
    /// What `docs/rules.md` promises of a key.
    bytes_max: usize,
}

const KIB: usize = 1024;

/// What an allocator adds to a piece of memory: eight bytes of its own, and as many on average for a round size.
const PIECE_BYTES: i64 = 16;

/// Most that the identity of a counted entry takes.
const IDENTITY_BYTES: usize = 20;

/// What keys take.
struct Held {
    /// Allocated, with the identities of their entries, and what the allocator adds.
    bytes: usize,
    /// As the detector reckons, by which it keeps its bound.
    reckoned: usize,
}

const COUNT: &str = "
  - {id: count, match: ERROR, threshold: 5 in 20m, by: [pod], incident_type: error_spike}";
const SEQUENCE: &str = "
  - id: sequence
    sequence: {within: 20m, steps: [{match: 'ERROR', count: 5}, {match: finished}]}
    by: [pod]
    incident_type: error_spike";
const WAITING: &str = "
  - id: waiting
    sequence: {within: 20m, steps: [{match: 'ERROR'}, {match: finished, absent: true}]}
    by: [pod]
    incident_type: error_spike";

const ROWS: &[Row] = &[
    Row {
        class: "count",
        state: "one match of 200 bytes",
        rules: COUNT,
        keys: 512,
        lines: 1,
        line: usual,
        bytes_max: KIB - KIB / 8,
    },
    Row {
        class: "count",
        state: "an open finding, four lines of 200 bytes quoted",
        rules: COUNT,
        keys: 512,
        lines: 5,
        line: usual,
        bytes_max: 5 * KIB,
    },
    Row {
        class: "count",
        state: "the same, and 1000 matches in the window",
        rules: COUNT,
        keys: 4,
        lines: 1000,
        line: usual,
        bytes_max: 28 * KIB,
    },
    Row {
        class: "distinct",
        state: "an open finding, 1000 different values in the window",
        rules: "
  - id: distinct
    match: {re: 'user (?P<user>\\S+)'}
    threshold: 20 distinct user in 20m
    by: [pod]
    incident_type: error_spike",
        keys: 4,
        lines: 1000,
        line: |n| long(&format!("ERROR user u{n} cannot log in")),
        bytes_max: 72 * KIB,
    },
    Row {
        class: "share",
        state: "an open finding, 1000 lines in the window",
        rules: "
  - {id: share, match: ERROR, threshold: '> 5% in 20m', by: [pod], incident_type: error_spike}",
        keys: 4,
        lines: 1000,
        line: |n| {
            if n % 4 == 0 {
                usual(n)
            } else {
                format!("INFO {n}")
            }
        },
        bytes_max: 44 * KIB,
    },
    Row {
        class: "spike",
        state: "1000 lines in the window and the past",
        rules: "
  - {id: spike, match: ERROR, threshold: 3x in 5m vs 20m, by: [pod], incident_type: error_spike}",
        keys: 4,
        lines: 1000,
        line: usual,
        bytes_max: 72 * KIB,
    },
    Row {
        class: "absent",
        state: "one match of 200 bytes",
        rules: "
  - {id: absent, match: ERROR, absent: 20m, by: [pod], incident_type: error_spike}",
        keys: 512,
        lines: 1,
        line: usual,
        bytes_max: KIB + KIB / 8,
    },
    Row {
        class: "sequence",
        state: "1000 matches of the first step",
        rules: SEQUENCE,
        keys: 4,
        lines: 1000,
        line: usual,
        bytes_max: 24 * KIB,
    },
    Row {
        class: "sequence",
        state: "1000 starts that wait for what must not come",
        rules: WAITING,
        keys: 4,
        lines: 1000,
        line: usual,
        bytes_max: 40 * KIB,
    },
    Row {
        class: "correlate",
        state: "an open finding with its two parts, each with a line of 200 bytes",
        rules: "
  - {id: part_a, match: ERROR, by: [pod], incident_type: error_spike}
  - {id: part_b, match: cannot reach, by: [pod], incident_type: error_spike}
  - id: whole
    correlate: {within: 10m, all: [part_a, part_b]}
    by: [pod]
    incident_type: error_spike",
        keys: 128,
        lines: 1,
        line: usual,
        bytes_max: 10 * KIB,
    },
    Row {
        class: "new_value",
        state: "1000 values seen",
        rules: "
  - id: new_value
    match: {re: 'user (?P<user>\\S+)'}
    new_value: {field: user, learn: 20m}
    by: [pod]
    incident_type: error_spike",
        keys: 4,
        lines: 1000,
        line: |n| format!("ERROR user u{n} cannot log in"),
        bytes_max: 20 * KIB,
    },
    Row {
        class: "new_pattern",
        state: "256 templates, 1000 lines in the window",
        rules: "
  - id: new_pattern
    match: ERROR
    new_pattern: {learn: 20m, threshold: 5 in 20m}
    by: [pod]
    incident_type: error_spike",
        keys: 4,
        lines: 1000,
        line: |n| format!("ERROR {}", vec![word(n); 1 + n % 60].join(" ")),
        bytes_max: 72 * KIB,
    },
];

/// A line of 200 bytes.
fn usual(n: usize) -> String {
    long(&format!("ERROR cannot reach the database, attempt {n}"))
}

fn long(line: &str) -> String {
    format!("{line:<200}")
}

/// A word without digits, another for each number.
fn word(n: usize) -> String {
    let digits = n.to_string();
    digits.bytes().map(|digit| char::from(digit + 49)).collect()
}

#[test]
fn a_key_takes_no_more_than_is_stated() {
    let mut table = format!(
        "{:<12} {:>6} {:>9} {:>9} {:>9}  state\n",
        "class", "keys", "bytes", "reckoned", "stated"
    );
    let mut wrong = Vec::new();
    for row in ROWS {
        let Held { bytes, reckoned } = row.measure();
        let Row {
            class,
            state,
            keys,
            bytes_max,
            ..
        } = row;
        table +=
            &format!("{class:<12} {keys:>6} {bytes:>9} {reckoned:>9} {bytes_max:>9}  {state}\n");
        if bytes > row.bytes_max {
            wrong.push(format!("{class}, {state}: more than is stated"));
        }
        // Identities are not in it: they have a bound of their own.
        let identities = row.lines * IDENTITY_BYTES;
        if !(bytes..=bytes + bytes / 2 + identities).contains(&(reckoned + identities)) {
            wrong.push(format!(
                "{class}, {state}: reckoned too low, or more than half too high"
            ));
        }
    }
    print!("{table}");
    assert!(wrong.is_empty(), "{wrong:#?}\n{table}");
}

/// With `UPDATE_EXPECT` the page is made to state them.
#[test]
fn the_page_about_rules_states_these_bounds() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md");
    let page = std::fs::read_to_string(&path).expect("the page is there");
    let mut table = "| class | a key with | at most |\n|---|---|---|\n".to_owned();
    for Row {
        class,
        state,
        bytes_max,
        ..
    } in ROWS
    {
        // Rounded up to a tenth.
        let tenths = (10 * bytes_max).div_ceil(KIB);
        let (whole, tenth) = (tenths / 10, tenths % 10);
        let kib = if tenth == 0 {
            whole.to_string()
        } else {
            format!("{whole}.{tenth}")
        };
        table += &format!("| {class} | {state} | {kib} KiB |\n");
    }
    let (open, close) = ("<!-- memory -->\n", "<!-- /memory -->");
    let (before, rest) = page.split_once(open).expect("the page has the table");
    let (written, after) = rest.split_once(close).expect("the table ends");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let page = format!("{before}{open}{table}{close}{after}");
        std::fs::write(&path, page).expect("the page can be written");
    } else {
        assert_eq!(
            written,
            table,
            "UPDATE_EXPECT=1 brings {} up to date",
            path.display()
        );
    }
}

#[test]
fn templates_of_lines_take_the_memory_that_they_say() {
    let mut templates = Templates::default();
    let counted = allocation_counter::measure(|| {
        for n in 0..300 {
            // Lengths and words of their own, so that nothing is alike.
            let line = vec![word(n); 1 + n % 60].join(" ");
            templates.learn(line.as_bytes(), Timestamp::new(n as i64));
        }
    });
    assert!(templates.len() > 100);
    let held = usize::try_from(counted.bytes_current).expect("it holds what it was given");
    assert_eq!(templates.memory_bytes(), size_of::<Templates>() + held);
}

impl Row {
    /// For each key.
    fn measure(&self) -> Held {
        let (once, twice) = (self.held(self.keys), self.held(2 * self.keys));
        Held {
            bytes: (twice.bytes - once.bytes) / self.keys,
            reckoned: (twice.reckoned - once.reckoned) / self.keys,
        }
    }

    /// What a detector holds after the row's lines for so many keys.
    fn held(&self, keys: usize) -> Held {
        let scanner = Scanner::new(self.rule_set());
        let streams: Vec<_> = (0..keys).map(stream).collect();
        let mut held = None;
        let counted = allocation_counter::measure(|| {
            let origin = Origin {
                cluster: "c".into(),
                environment: String::new(),
                instance: "default".into(),
                grafana: None,
            };
            let rules = Arc::clone(scanner.rules());
            let redactor = Redactor::new(Vec::new());
            let mut detector = Detector::new(Settings::replay(origin), redactor, rules);
            // Some lines at a time, as pushes bring them.
            for first in (0..self.lines).step_by(50) {
                let mut batch = Batch::default();
                for n in first..self.lines.min(first + 50) {
                    let at = Timestamp::from_parts(1_000_000 + n as i64, 0);
                    let line = (self.line)(n);
                    for stream in &streams {
                        batch.push(stream, at, line.as_bytes(), &[]);
                    }
                }
                let scanned = scanner.scan_whole(&batch, &"".into(), &mut Scratch::default());
                detector.apply(scanned, Timestamp::MAX);
                drop(detector.take_changes());
            }
            held = Some(detector);
        });
        let sizes = held.expect("measured").sizes();
        assert_eq!(sizes.keys % keys, 0, "{}, {}", self.class, self.state);
        let held = counted.bytes_current + PIECE_BYTES * counted.count_current;
        Held {
            bytes: usize::try_from(held).expect("it holds what it was given"),
            reckoned: sizes.keys_bytes,
        }
    }

    fn rule_set(&self) -> Arc<RuleSet> {
        let source = SourceText {
            name: format!("{}.yaml", self.class),
            text: format!("rules:{}\n", self.rules),
        };
        let loaded = load(&[source], &LoadOptions::default());
        let Some(set) = loaded.set else {
            panic!("{:#?}", loaded.problems);
        };
        Arc::new(set)
    }
}

fn stream(key: usize) -> Arc<Stream> {
    let pod = format!("image-factory-7d9f8b6c5-{key:05}");
    let labels = [("namespace", "image-factory"), ("pod", &*pod)];
    let labels = labels.map(|(name, value)| (name.into(), value.into()));
    Arc::new(Stream::new("".into(), Labels::new(labels)))
}
