//! The real lines, read from beside the checkout.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::PathBuf;

use flate2::read::GzDecoder;
use serde::Deserialize;

/// The folder with the lines.
fn folder() -> PathBuf {
    match std::env::var_os("TROMMEL_QUALITY_CORPUS") {
        Some(folder) => folder.into(),
        None => concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus").into(),
    }
}

/// A line with what it should raise.
#[derive(Debug, Deserialize)]
pub(crate) struct Labelled {
    pub(crate) id: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) line: String,
    pub(crate) signal: Option<String>,
    /// What may be raised beside it, and need not.
    pub(crate) also: Vec<String>,
    pub(crate) hard_negative: bool,
    pub(crate) shape: String,
}

/// The log of one system.
pub(crate) struct SystemLog {
    pub(crate) system: String,
    pub(crate) lines: Vec<Vec<u8>>,
}

/// The labelled lines, or `None` and a word about it.
pub(crate) fn labelled(test: &str) -> Option<Vec<Labelled>> {
    let path = folder().join("dev/labelled.jsonl");
    let Ok(text) = fs::read_to_string(&path) else {
        println!("{test}: skipped, {} is not there", path.display());
        return None;
    };
    let lines = text.lines();
    let lines = lines.map(|line| serde_json::from_str(line).expect("a labelled line"));
    Some(lines.collect())
}

/// The systems' logs by name, or `None` and a word about it.
pub(crate) fn bulk(test: &str) -> Option<Vec<SystemLog>> {
    let folder = folder().join("bulk");
    let Ok(entries) = fs::read_dir(&folder) else {
        println!("{test}: skipped, {} is not there", folder.display());
        return None;
    };
    let mut logs = Vec::new();
    for entry in entries {
        let path = entry.expect("the folder can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let Some(system) = name.strip_suffix(".log.gz") else {
            continue;
        };
        let file = fs::File::open(&path).expect("the file can be opened");
        let mut text = Vec::new();
        let read = GzDecoder::new(file).read_to_end(&mut text);
        read.expect("gzip");
        let lines = text
            .strip_suffix(b"\n")
            .unwrap_or(&text)
            .split(|&b| b == b'\n');
        logs.push(SystemLog {
            system: system.to_owned(),
            lines: lines.map(<[u8]>::to_vec).collect(),
        });
    }
    logs.sort_by(|a, b| a.system.cmp(&b.system));
    assert!(!logs.is_empty(), "{} has no logs", folder.display());
    Some(logs)
}

/// `text` on one line of a terminal.
pub(crate) fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 300;
    let text = text.chars().map(|c| if c.is_control() { '·' } else { c });
    let mut shown: String = text.take(CHARS_MAX + 1).collect();
    if shown.chars().count() > CHARS_MAX {
        shown.pop();
        shown.push('…');
    }
    shown
}
