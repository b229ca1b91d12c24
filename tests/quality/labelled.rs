//! Lines with the signal that each should raise. The rule of a signal has its name.
//!
//! A rule that matches a line of its signal is right; one that is named under `also` neither right nor wrong; any other is
//! wrong, and so is every rule on a line that should raise nothing. Rules that are no signal (rates, spikes, correlations)
//! read lines of signals, and are judged on hard negatives only.

use std::collections::{BTreeMap, BTreeSet};

use crate::corpus::{self, Labelled, shown};
use crate::pack::{Asker, stream};

/// Of all matches so many must be right, and of all lines so many found.
const PRECISION_MIN: f64 = 0.98;
const RECALL_MIN: f64 = 0.97;
/// The same for the lines of each signal alone.
const OF_EACH_MIN: f64 = 0.9;

/// A signal that is redacted, not reported.
pub(crate) const SECRET_LEAK: &str = "secret_leak";

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    found: usize,
    wrong: usize,
    missed: usize,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.found += other.found;
        self.wrong += other.wrong;
        self.missed += other.missed;
    }

    /// How many of the matches are right; all, if there are none.
    fn precision(self) -> f64 {
        share(self.found, self.found + self.wrong)
    }

    /// How many of the lines are found.
    fn recall(self) -> f64 {
        share(self.found, self.found + self.missed)
    }

    fn row(self, name: &str) -> String {
        format!(
            "{name:<28} {:>5} {:>5} {:>6} {:>9.3} {:>6.3}\n",
            self.found,
            self.wrong,
            self.missed,
            self.precision(),
            self.recall(),
        )
    }
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        1.0
    } else {
        part as f64 / whole as f64
    }
}

/// What the pack made of the labelled lines.
#[derive(Debug, Default)]
struct Measured {
    by_signal: BTreeMap<String, Counts>,
    /// Each mistake with its line.
    offences: Vec<String>,
    /// Rules on hard negatives, each with its line.
    on_hard_negatives: Vec<String>,
}

impl Measured {
    fn of(lines: &[Labelled]) -> Self {
        let signals: BTreeSet<&str> = lines
            .iter()
            .filter_map(|line| line.signal.as_deref())
            .filter(|signal| *signal != SECRET_LEAK)
            .collect();
        let mut asker = Asker::new();
        let mut measured = Self::default();
        for signal in &signals {
            measured
                .by_signal
                .insert((*signal).to_owned(), Counts::default());
        }
        for line in lines {
            let labels = line.labels.clone();
            let matching = asker.matching(&stream(labels), line.line.as_bytes());
            measured.count(line, &matching, &signals);
        }
        measured
    }

    fn count(&mut self, line: &Labelled, matching: &[&str], signals: &BTreeSet<&str>) {
        let wanted = line.signal.as_deref();
        let place = || {
            let Labelled { id, shape, .. } = line;
            format!("{id} {shape}: {}", shown(&line.line))
        };
        for &rule in matching {
            if line.hard_negative {
                self.on_hard_negatives
                    .push(format!("{rule} on {}", place()));
            }
            if !signals.contains(rule) {
                continue;
            }
            let counts = self.by_signal.entry(rule.to_owned()).or_default();
            if wanted == Some(rule) {
                counts.found += 1;
            } else if !line.also.iter().any(|also| also == rule) {
                counts.wrong += 1;
                let is = wanted.unwrap_or("nothing");
                self.offences
                    .push(format!("wrong: {rule}, it is {is}: {}", place()));
            }
        }
        if let Some(signal) = wanted
            && signals.contains(signal)
            && !matching.contains(&signal)
        {
            self.by_signal.entry(signal.to_owned()).or_default().missed += 1;
            let told = format!("missed: {signal}, matched by {matching:?}: {}", place());
            self.offences.push(told);
        }
    }

    fn total(&self) -> Counts {
        let mut total = Counts::default();
        self.by_signal
            .values()
            .for_each(|counts| total.add(*counts));
        total
    }

    fn table(&self) -> String {
        let mut table = format!(
            "{:<28} {:>5} {:>5} {:>6} {:>9} {:>6}\n",
            "signal", "found", "wrong", "missed", "precision", "recall"
        );
        for (signal, counts) in &self.by_signal {
            table += &counts.row(signal);
        }
        table + &self.total().row("all")
    }

    /// What is below its target.
    fn below(&self) -> Vec<String> {
        let total = self.total();
        let mut rows = vec![
            (
                "precision of all".to_owned(),
                total.precision(),
                PRECISION_MIN,
            ),
            ("recall of all".to_owned(), total.recall(), RECALL_MIN),
        ];
        for (signal, counts) in &self.by_signal {
            rows.push((
                format!("precision of {signal}"),
                counts.precision(),
                OF_EACH_MIN,
            ));
            rows.push((format!("recall of {signal}"), counts.recall(), OF_EACH_MIN));
        }
        rows.into_iter()
            .filter(|(_, measured, min)| measured < min)
            .map(|(what, measured, min)| format!("{what} is {measured:.3}, {min} is wanted"))
            .collect()
    }
}

#[test]
fn labelled_lines_raise_their_signals_and_no_others() {
    let Some(lines) = corpus::labelled("labelled lines") else {
        return;
    };
    let measured = Measured::of(&lines);
    let offences = measured.offences.join("\n");
    print!("{offences}\n\n{}", measured.table());
    let below = measured.below();
    assert!(below.is_empty(), "{}", below.join("\n"));
}

#[test]
fn hard_negatives_raise_nothing() {
    let Some(lines) = corpus::labelled("hard negatives") else {
        return;
    };
    let hard = lines.iter().filter(|line| line.hard_negative).count();
    let raised = Measured::of(&lines).on_hard_negatives;
    println!("{hard} hard negatives, {} matches", raised.len());
    assert!(raised.is_empty(), "{}", raised.join("\n"));
}

#[test]
fn counting_is_as_the_corpus_says() {
    let line = |signal: Option<&str>, also: &[&str]| Labelled {
        id: "x".to_owned(),
        labels: BTreeMap::new(),
        line: "it fails".to_owned(),
        signal: signal.map(str::to_owned),
        also: also.iter().map(|&also| also.to_owned()).collect(),
        hard_negative: signal.is_none(),
        shape: "raw".to_owned(),
    };
    let signals = BTreeSet::from(["a", "b", "c"]);
    let mut measured = Measured::default();
    let mut count = |line: Labelled, matching: &[&str]| measured.count(&line, matching, &signals);
    count(line(Some("a"), &["b"]), &["a", "b", "rate"]);
    count(line(Some("a"), &["b"]), &["b", "c"]);
    count(line(Some("b"), &[]), &["b"]);
    count(line(Some(SECRET_LEAK), &[]), &[]);
    count(line(None, &[]), &["c", "rate"]);
    count(line(None, &[]), &[]);
    let counts = |signal: &str| {
        let Counts {
            found,
            wrong,
            missed,
        } = measured.by_signal[signal];
        (found, wrong, missed)
    };
    assert_eq!(counts("a"), (1, 0, 1));
    assert_eq!(counts("b"), (1, 0, 0));
    assert_eq!(counts("c"), (0, 2, 0));
    assert_eq!(measured.on_hard_negatives.len(), 2);
    assert_eq!(measured.offences.len(), 3);
    let total = measured.total();
    assert_eq!((total.precision(), total.recall()), (0.5, 2.0 / 3.0));
    assert_eq!(measured.below().len(), 4);
}
