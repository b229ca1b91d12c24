//! The pages of the project, read as text.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex_automata::meta::Regex;

/// The folder of the project.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// A file of the project.
#[track_caller]
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The rows of the table between the markers `name`, cell by cell, without its head.
pub(crate) fn table(page: &str, name: &str) -> Vec<Vec<String>> {
    let text = read(page);
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (_, rest) = text.split_once(&open).expect("the page has the table");
    let (table, _) = rest.split_once(&close).expect("the table ends");
    let cells = |line: &str| {
        let line = line.trim_start_matches('|').trim_end_matches('|');
        line.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let rows: Vec<Vec<_>> = table.lines().skip(2).map(cells).collect();
    assert!(!rows.is_empty(), "{page}: {name} is empty");
    rows
}

/// What a cell has between backticks.
pub(crate) fn code(cell: &str) -> &str {
    let inner = cell
        .strip_prefix('`')
        .and_then(|rest| rest.split('`').next());
    inner.unwrap_or_else(|| panic!("`{cell}` is not between backticks"))
}

/// The first group of every match.
pub(crate) fn found(pattern: &str, text: &str) -> Vec<String> {
    let regex = Regex::new(pattern).expect("valid");
    let group = |captures: regex_automata::util::captures::Captures| {
        text[captures.get_group(1).expect("in every match").range()].to_owned()
    };
    regex.captures_iter(text).map(group).collect()
}

/// A page without its fenced blocks.
pub(crate) fn prose(page: &str) -> String {
    let mut inside = false;
    let mut prose = String::new();
    for line in page.lines() {
        let fence = line.starts_with("```");
        inside ^= fence;
        if !inside && !fence {
            prose += line;
            prose.push('\n');
        }
    }
    prose
}

/// The anchors of a page's headings, as GitHub makes them.
pub(crate) fn anchors(page: &str) -> BTreeSet<String> {
    let prose = prose(page);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}
