//! What a rule means is decided point by point, and each point has a test that names it: `SEMANTICS 9` in a comment or a test's
//! name, or `semantics_9_` in the name of a function.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The points, as far as they say something that can be tested here.
const POINTS: [&str; 46] = [
    "matches decide when they arrive, in any order within the lateness",
    "one clock for each tenant, and a message's time is its deadline",
    "at one instant entries come before timers",
    "detection is told hits and progress, and nothing else",
    "late entries count and never take a recovery back",
    "a gap adds nothing to quiet, absence or hold",
    "the order of messages of one instant",
    "ties are broken by label set and line",
    "a window is (t - T, t], exact up to a bound",
    "when conditions are looked at, and what `for` needs",
    "fewer than: no verdict before a whole window",
    "shares: the denominator, its default and its keys",
    "spikes: the past before the window, and when it is full",
    "durations and thresholds as they are written",
    "what `count` is in messages",
    "what `total` and `first_seen` start with",
    "keys, and the identity of findings",
    "where severity comes from",
    "what quiet runs from, and quiet against silent",
    "recovery by a line",
    "findings that never recover",
    "reopening within the cooldown",
    "the cooldown limits only what repeats",
    "escalation from the opening, and never back",
    "escalation over keys, and by a match",
    "suppression windows",
    "absence",
    "sequences",
    "correlations",
    "items, groups and captures",
    "leaving lines to another rule",
    "what a name means",
    "how fields are compared",
    "how long duplicates are remembered",
    "what may be a repeat opens nothing",
    "when all keys are open",
    "extending a shipped rule",
    "what a reload keeps",
    "the hash of a rule",
    "rules of environments",
    "incident types come from the taxonomy",
    "the order of a test's lines",
    "label sets and steps in a test's lines",
    "what a test expects",
    "what a test loads",
    "tests of some rules only",
];

#[test]
fn each_point_of_what_rules_mean_has_a_test_that_names_it() {
    let mut named: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["src", "tests"] {
        read(&root.join(folder), &mut |path, text| {
            for number in numbers(text) {
                let place = path.strip_prefix(root).unwrap_or(path);
                named
                    .entry(number)
                    .or_default()
                    .insert(place.display().to_string());
            }
        });
    }
    let mut told = String::new();
    for (number, point) in (1..).zip(POINTS) {
        let places = named.remove(&number).unwrap_or_default();
        told += &format!("{number:>2} {point}: {places:?}\n");
        assert!(!places.is_empty(), "no test names point {number}: {point}");
    }
    println!("{told}");
    assert!(named.is_empty(), "there are no such points: {named:?}");
}

fn read(folder: &Path, found: &mut impl FnMut(&Path, &str)) {
    let entries = fs::read_dir(folder).expect("a folder of this project");
    for entry in entries.map(|entry| entry.expect("readable")) {
        let path = entry.path();
        let is_text = path
            .extension()
            .is_some_and(|extension| extension == "rs" || extension == "yaml");
        if path.is_dir() {
            read(&path, found);
        } else if is_text && path.file_name() != Path::new(file!()).file_name() {
            found(&path, &fs::read_to_string(&path).expect("UTF-8"));
        }
    }
}

/// The points that `text` names: `SEMANTICS 9, 10 and 11`, `semantics_38_39_`.
fn numbers(text: &str) -> Vec<usize> {
    let mut numbers = Vec::new();
    for (mark, separators) in [("SEMANTICS ", [", ", " and "]), ("semantics_", ["_", "_"])] {
        for (at, _) in text.match_indices(mark) {
            let mut rest = &text[at + mark.len()..];
            loop {
                let digits =
                    rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                let Ok(number) = rest[..digits].parse() else {
                    break;
                };
                numbers.push(number);
                rest = &rest[digits..];
                let next = separators.iter().find_map(|by| rest.strip_prefix(by));
                let Some(next) = next else { break };
                rest = next;
            }
        }
    }
    numbers
}
