//! What must not leave: secrets that are left in lines, and ordinary lines that are changed.
//!
//! The secrets of the lines are known by `secrets.tsv`, which has of each its length and a hash: enough to find it, in whatever
//! it stands, and not to read it.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};
use trommel::finding::Redactor;

use crate::corpus::{self, Labelled, shown};
use crate::labelled::SECRET_LEAK;
use crate::shape::Shape;

const SECRETS: &str = include_str!("secrets.tsv");
const HEADING: &str = "bytes\thash\tkind\n";

/// How a redacted part begins.
const MARK: &str = "‹redacted:";
/// A line that begins a secret whose rest is in the lines that follow.
const BEGINS_A_KEY: &str = "PRIVATE KEY-----";

/// Lines of whole logs that do hold what must not leave: system, shape and what it is.
const HOLDS: &[(&str, &str, &str)] = &[
    ("mac", "8dd6ea835f72", "an account's name in a URL"),
    ("mac", "e30e9703c43b", "an account's name in a URL"),
];

/// A secret that is known.
struct Secret {
    bytes: usize,
    hash: &'static str,
}

fn secrets() -> Vec<Secret> {
    let rows = SECRETS.strip_prefix(HEADING).expect("its heading");
    let rows = rows.lines().map(|row| {
        let [bytes, hash, _] = row.split('\t').collect::<Vec<_>>()[..] else {
            panic!("not three columns: {row}");
        };
        Secret {
            bytes: bytes.parse().expect("a length"),
            hash,
        }
    });
    rows.collect()
}

/// The first 64 bits of a hash.
fn hash(text: &[u8]) -> String {
    let hash = Sha256::digest(text);
    hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Which secrets stand in `text`, by their hashes.
fn found<'s>(text: &str, secrets: &'s [Secret]) -> Vec<&'s str> {
    let text = text.as_bytes();
    let stands = |secret: &&Secret| {
        text.windows(secret.bytes)
            .any(|piece| hash(piece) == secret.hash)
    };
    secrets
        .iter()
        .filter(stands)
        .map(|secret| secret.hash)
        .collect()
}

#[test]
fn no_secret_is_left() {
    let Some(lines) = corpus::labelled("secrets") else {
        return;
    };
    let redactor = Redactor::new(Vec::new());
    let secrets = secrets();
    let mut used = BTreeSet::new();
    let mut faults = Vec::new();
    let is_leak = |line: &&Labelled| line.signal.as_deref() == Some(SECRET_LEAK);
    let leaks: Vec<_> = lines.iter().filter(is_leak).collect();
    for Labelled { id, line, .. } in &leaks {
        let redacted = redactor.redact(line.as_bytes(), &[]);
        let known = found(line, &secrets);
        if known.is_empty() && !line.contains(BEGINS_A_KEY) {
            faults.push(format!(
                "{id}: its secret is not in the list: {}",
                shown(line)
            ));
        }
        used.extend(known);
        let left = found(&redacted, &secrets);
        if !left.is_empty() || !redacted.contains(MARK) {
            faults.push(format!("{id}: {left:?} left: {}", shown(&redacted)));
        }
    }
    for Secret { hash, .. } in &secrets {
        if !used.contains(hash) {
            faults.push(format!("{hash} is in no line any more"));
        }
    }
    println!(
        "{} lines with secrets, {} faults",
        leaks.len(),
        faults.len()
    );
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn ordinary_lines_are_left_as_they_are() {
    let test = "ordinary lines";
    let (Some(labelled), Some(bulk)) = (corpus::labelled(test), corpus::bulk(test)) else {
        return;
    };
    let redactor = Redactor::new(Vec::new());
    let mut changed = Vec::new();
    let mut lines = 0;
    let mut held = 0;
    let mut look = |place: &str, line: &[u8]| {
        lines += 1;
        let text = String::from_utf8_lossy(line);
        let redacted = redactor.redact(line, &[]);
        if redacted == text {
            return;
        }
        let shape = Shape::of(&text).to_string();
        if HOLDS
            .iter()
            .any(|(system, held, _)| *system == place && *held == shape)
        {
            held += 1;
        } else {
            changed.push(format!(
                "{place} {shape}: {}\n    {}",
                shown(&text),
                shown(&redacted)
            ));
        }
    };
    for line in &labelled {
        if line.signal.as_deref() != Some(SECRET_LEAK) {
            look(&line.id, line.line.as_bytes());
        }
    }
    for log in &bulk {
        log.lines.iter().for_each(|line| look(&log.system, line));
    }
    println!(
        "{lines} ordinary lines, {} changed, and {held} that hold something",
        changed.len()
    );
    assert!(changed.is_empty(), "{}", changed.join("\n"));
}

#[test]
fn a_secret_is_found_wherever_it_stands() {
    assert_eq!(hash(b"hunter2"), "f52fbd32b2b3b86f");
    let secrets = [Secret {
        bytes: 7,
        hash: "f52fbd32b2b3b86f",
    }];
    assert_eq!(found("ldap://ann:hunter2@host", &secrets).len(), 1);
    assert!(found("password=hunter3", &secrets).is_empty());
    assert!(found("hunter", &secrets).is_empty());
}
