//! One test over a rule set: lines in, in the order in which they arrive, and every message out.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::told::Told;
use crate::batch::{Labels, Stream};
use crate::detect::Settings;
use crate::finding::Origin;
use crate::playback::{Playback, Played};
use crate::rules::test_file::Test;
use crate::scan::Scanner;
use crate::time::Timestamp;

/// What came of a test.
#[derive(Debug)]
pub struct Ran {
    /// The messages of the rules that it concerns, in the order in which they would be sent.
    pub messages: Vec<Told>,
    /// How many entries each rule matched, repeats not counted.
    pub matches: BTreeMap<Arc<str>, u64>,
    /// Whether more messages would have come than [`Ran::MESSAGES_MAX`].
    pub cut: bool,
    /// Places of lines with an entry that was there already.
    pub repeats: Vec<usize>,
}

impl Ran {
    /// Most messages of one test: more are an accident that nobody reads to its end.
    pub const MESSAGES_MAX: usize = 2_000;
}

/// Runs `test` over the scanner's rules, from nothing counted and nothing open.
///
/// What arrives at one time is one batch, received when it arrives; so an entry older than [`Settings::MAX_AGE`] by then decides
/// nothing, as live. The tee is never silent: the clock stands at the time of arrival before something late is looked at.
/// Timers wait for nothing.
#[must_use]
pub fn run(test: &Test, scanner: &Arc<Scanner>) -> Ran {
    let settings = Settings {
        max_age: Some(Settings::MAX_AGE),
        ..Settings::replay(origin(test))
    };
    let Lines { entries, repeats } = lines(test);
    let mut playback = Playback::new(Arc::clone(scanner), settings);
    let mut streams = Streams::default();
    let mut all = Messages {
        test,
        scanner,
        messages: Vec::new(),
        cut: false,
    };
    // What is expected from the start is expected from 0m on.
    let begun = playback.pass(test.start);
    all.take(&playback, begun);
    for arriving in entries.chunk_by(|a, b| a.arrives == b.arrives) {
        let now = arriving[0].arrives;
        if arriving.iter().any(|entry| entry.at < now) {
            let passed = playback.pass(now);
            all.take(&playback, passed);
        }
        for entry in arriving {
            let line = &test.lines[entry.line];
            let stream = streams.get(&line.labels);
            if let Some(scanned) = playback.add(stream, entry.at, line.text.as_bytes(), &[]) {
                let played = playback.apply_at(scanned, now);
                all.take(&playback, played);
            }
        }
        if let Some(scanned) = playback.flush() {
            let played = playback.apply_at(scanned, now);
            all.take(&playback, played);
        }
        if all.cut {
            break;
        }
    }
    if !all.cut {
        let played = playback.finish(test.start.plus(test.until));
        all.take(&playback, played);
    }
    Ran {
        messages: all.messages,
        cut: all.cut,
        matches: playback.take_tally().matches,
        repeats,
    }
}

/// The messages that a test is concerned with.
struct Messages<'a> {
    test: &'a Test,
    scanner: &'a Scanner,
    messages: Vec<Told>,
    /// There was no room for all.
    cut: bool,
}

impl Messages<'_> {
    fn take(&mut self, playback: &Playback, played: Played) {
        let rules = self.scanner.rules();
        for finding in played.findings {
            let id = &finding.rule.id;
            if !self.test.concerns(id) {
                continue;
            }
            if self.messages.len() == Ran::MESSAGES_MAX {
                self.cut = true;
                return;
            }
            let by = rules.find(id).map(|(_, rule)| &*rule.by);
            let message = playback.message(&finding);
            let by = by.unwrap_or_default();
            let told = Told::new(finding, message, by, self.test.start);
            self.messages.push(told);
        }
    }
}

/// The names that its messages carry. Ids of findings follow from them, so they are the same in every run.
fn origin(test: &Test) -> Origin {
    Origin {
        cluster: "default".to_owned(),
        environment: test.environment.clone(),
        instance: "default".to_owned(),
        grafana: None,
    }
}

struct Lines {
    /// In order of arrival; of one time in the order of the text.
    entries: Vec<Arriving>,
    repeats: Vec<usize>,
}

/// An entry of a test.
struct Arriving {
    arrives: Timestamp,
    at: Timestamp,
    /// The place of its line.
    line: usize,
}

fn lines(test: &Test) -> Lines {
    let (mut entries, mut repeats) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    for (place, line) in test.lines.iter().enumerate() {
        let mut is_new = true;
        for (at, arrives) in line.times() {
            is_new &= seen.insert((at, &line.labels, &line.text));
            entries.push(Arriving {
                arrives: test.start.plus(arrives),
                at: test.start.plus(at),
                line: place,
            });
        }
        if !is_new {
            repeats.push(place);
        }
    }
    entries.sort_by_key(|entry| (entry.arrives, entry.at));
    Lines { entries, repeats }
}

/// The streams of a test, by their labels.
#[derive(Default)]
struct Streams<'a>(HashMap<&'a Labels, Arc<Stream>>);

impl<'a> Streams<'a> {
    fn get(&mut self, labels: &'a Labels) -> &Arc<Stream> {
        let new = || Arc::new(Stream::new(Arc::from(""), labels.clone()));
        self.0.entry(labels).or_insert_with(new)
    }
}
