//! Random entries, repeats, batches and restarts: the detector opens exactly what counting by hand opens.
//!
//! Every two bytes are one step: what is done, and with what.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use trommel::batch::{Batch, Labels, Stream};
use trommel::detect::{Changes, Detector, Saved, Settings};
use trommel::finding::{Origin, Redactor};
use trommel::rules::{LoadOptions, SourceText, load};
use trommel::scan::{Scanner, Scratch};
use trommel::time::Timestamp;

/// A finding never ends here, so each key has at most one, and the model is one line.
const RULES: &str = "
rules:
  - {id: three, match: bad, threshold: 3 in 10s, by: [pod], recover: never, incident_type: error_spike}
";
const NEEDED: usize = 3;
const WINDOW: i64 = 10;

/// More steps say nothing new, and take longer.
const STEPS_MAX: usize = 120;

static SCANNER: LazyLock<Arc<Scanner>> = LazyLock::new(|| {
    let source = SourceText {
        name: "fuzz.yaml".to_owned(),
        text: RULES.to_owned(),
    };
    let loaded = load(&[source], &LoadOptions::default());
    let set = loaded.set;
    let set = set.unwrap_or_else(|| panic!("{:#?}", loaded.problems));
    Arc::new(Scanner::new(Arc::new(set)))
});

/// Costly to make.
static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| Redactor::new(Vec::new()));

/// An entry: its second, its pod, and a number that makes it another one.
type Event = (i64, u8, u8);

fuzz_target!(|data: &[u8]| {
    let mut real = Real::new();
    let mut events: BTreeSet<Event> = BTreeSet::new();
    let mut batch: Vec<Event> = Vec::new();
    // The first second that the batch at hand may have: entries of one time share a batch.
    let mut from = 1_000_000;
    for step in data.chunks_exact(2).take(STEPS_MAX) {
        let (what, with) = (step[0], step[1]);
        match what % 8 {
            0..=4 => batch.push((from + i64::from(with & 0b1111), with >> 6, what >> 4 & 0b11)),
            5 => batch.extend(batch.last().copied()),
            6 => {
                real.apply(&batch);
                let newest = batch.iter().map(|event| event.0).max();
                from = newest.unwrap_or(from) + 1 + i64::from(with & 0b111);
                events.extend(batch.drain(..));
            }
            _ => real.restart(),
        }
    }
    real.apply(&batch);
    events.extend(batch);
    assert_eq!(real.opened, by_hand(&events));
});

/// For each pod the first second at which enough entries lie within the window that ends there.
fn by_hand(events: &BTreeSet<Event>) -> BTreeMap<String, i64> {
    let mut opened = BTreeMap::new();
    for &(at, pod, _) in events {
        let within = events
            .iter()
            .filter(|event| event.1 == pod && event.0 <= at && event.0 > at - WINDOW);
        if within.count() >= NEEDED {
            opened.entry(name(pod)).or_insert(at);
        }
    }
    opened
}

fn name(pod: u8) -> String {
    format!("pod-{pod}")
}

/// The detector, with what a database would hold of it.
struct Real {
    detector: Detector,
    saved: Stored,
    opened: BTreeMap<String, i64>,
}

#[derive(Default)]
struct Stored {
    keys: BTreeMap<trommel::detect::KeyName, Vec<u8>>,
    state: BTreeMap<String, Vec<u8>>,
    identities: Vec<Vec<u8>>,
}

impl Real {
    fn new() -> Self {
        Self {
            detector: fresh(),
            saved: Stored::default(),
            opened: BTreeMap::new(),
        }
    }

    fn apply(&mut self, events: &[Event]) {
        let mut batch = Batch::default();
        for &(at, pod, number) in events {
            let labels = Labels::new([("pod".into(), name(pod).into())]);
            let stream = Arc::new(Stream::new("".into(), labels));
            let line = format!("bad {number}");
            batch.push(&stream, seconds(at), line.as_bytes(), &[]);
        }
        let Some(now) = events.iter().map(|event| event.0).max() else {
            return;
        };
        let scanned = SCANNER.scan_whole(&batch, &"".into(), &mut Scratch::default());
        self.detector.apply(scanned, seconds(now));
        let mut changes = self.detector.take_changes();
        for finding in changes.take_findings() {
            let pod = finding.resource_scope["pod"].clone();
            let at = finding.observed_at.nanos() / 1_000_000_000;
            assert_eq!(*self.opened.entry(pod).or_insert(at), at);
        }
        self.saved.keep(changes);
    }

    fn restart(&mut self) {
        self.detector = fresh();
        let saved = Saved {
            keys: self.saved.keys.clone().into_iter().collect(),
            state: self.saved.state.clone().into_iter().collect(),
            identities: self.saved.identities.clone(),
        };
        self.detector.restore(saved).expect("it was just stored");
    }
}

impl Stored {
    fn keep(&mut self, changes: Changes) {
        self.identities
            .extend(changes.identities(Timestamp::MAX).map(|(_, row)| row));
        for (name, state) in changes.keys {
            match state {
                Some(state) => self.keys.insert(name, state),
                None => self.keys.remove(&name),
            };
        }
        self.state.extend(changes.state);
    }
}

fn fresh() -> Detector {
    let origin = Origin {
        cluster: "c".to_owned(),
        environment: String::new(),
        instance: "default".to_owned(),
        grafana: None,
    };
    let settings = Settings::replay(origin);
    let rules = Arc::clone(SCANNER.rules());
    Detector::new(settings, REDACTOR.clone(), rules)
}

fn seconds(at: i64) -> Timestamp {
    Timestamp::from_parts(0, 0).plus(Duration::from_secs(at.unsigned_abs()))
}
