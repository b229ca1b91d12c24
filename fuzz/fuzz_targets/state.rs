//! Any bytes may stand in the database where a trommel before this one has left state: they are refused, or the detector goes on with them.
//!
//! The first byte chooses the piece that the rest replaces, in part or in whole.
#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use trommel::batch::{Batch, Labels, Stream};
use trommel::detect::{Detector, Saved, Settings};
use trommel::finding::{Origin, Redactor};
use trommel::hit::Scanned;
use trommel::rules::{LoadOptions, SourceText, load};
use trommel::scan::{Scanner, Scratch};
use trommel::time::Timestamp;

const RULES: &str = "
rules:
  - {id: count, match: bad, threshold: 3 in 10s, for: 5s, by: [pod], incident_type: error_spike}
  - {id: gone, match: bad, absent: 1m, by: [pod], incident_type: error_spike}
  - {id: share, match: bad, threshold: '> 5% in 1m', by: [pod], incident_type: error_spike}
  - id: steps
    sequence: {within: 1m, steps: [{match: bad}, {match: good, absent: true}]}
    by: [pod]
    incident_type: error_spike
  - id: kinds
    match: bad
    new_pattern: {learn: 1m}
    by: [pod]
    incident_type: error_spike
";

static SCANNER: LazyLock<Scanner> = LazyLock::new(|| {
    let source = SourceText {
        name: "fuzz.yaml".to_owned(),
        text: RULES.to_owned(),
    };
    let loaded = load(&[source], &LoadOptions::default());
    let set = loaded.set;
    Scanner::new(Arc::new(
        set.unwrap_or_else(|| panic!("{:#?}", loaded.problems)),
    ))
});

/// Costly to make.
static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| Redactor::new(Vec::new()));

/// What a detector has stored after some lines.
static STORED: LazyLock<Saved> = LazyLock::new(|| {
    let mut detector = fresh();
    detector.apply(lines(0), second(60));
    let changes = detector.take_changes();
    Saved {
        identities: changes
            .identities(Timestamp::MAX)
            .map(|(_, row)| row)
            .into_iter()
            .collect(),
        keys: changes
            .keys
            .into_iter()
            .filter_map(|(name, state)| Some((name, state?)))
            .collect(),
        state: changes.state.into_iter().collect(),
    }
});

fuzz_target!(|data: &[u8]| {
    let [choice, place, rest @ ..] = data else {
        return;
    };
    let mut saved = STORED.clone();
    let pieces = saved
        .keys
        .iter_mut()
        .map(|(_, piece)| piece)
        .chain(saved.state.iter_mut().map(|(_, piece)| piece))
        .chain(&mut saved.identities);
    let mut pieces: Vec<_> = pieces.collect();
    let count = pieces.len();
    let piece = &mut *pieces[usize::from(*choice) % count];
    let place = usize::from(*place).min(piece.len());
    let end = (place + rest.len()).min(piece.len());
    piece.splice(place..end, rest.iter().copied());

    let mut detector = fresh();
    if detector.restore(saved).is_ok() {
        detector.apply(lines(120), second(180));
        detector.tick(second(200));
        detector.finish(second(10_000));
        drop(detector.take_changes());
    }
});

/// Twenty lines of two pods, one a second.
fn lines(from: u64) -> Scanned {
    let mut batch = Batch::default();
    for n in 0..20 {
        let pod = if n % 2 == 0 { "a" } else { "b" };
        let labels = Labels::new([("pod".into(), pod.into())]);
        let stream = Arc::new(Stream::new("".into(), labels));
        let line = format!("{} thing", if n % 5 == 0 { "good" } else { "bad" });
        batch.push(&stream, second(from + n), line.as_bytes(), &[]);
    }
    SCANNER.scan_whole(&batch, &"".into(), &mut Scratch::default())
}

fn fresh() -> Detector {
    let origin = Origin {
        cluster: "c".to_owned(),
        environment: String::new(),
        instance: "default".to_owned(),
        grafana: None,
    };
    let rules = Arc::clone(SCANNER.rules());
    Detector::new(Settings::live(origin), REDACTOR.clone(), rules)
}

fn second(at: u64) -> Timestamp {
    Timestamp::new(1_700_000_000_000_000_000).plus(Duration::from_secs(at))
}
