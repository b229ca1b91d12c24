//! What test files say of a rule.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Serialize;

use crate::config::{Config, RawConfig};
use crate::reload::RuleSources;
use crate::rule_test::Suite;
use crate::rules::{SourceText, read_paths, read_test_paths};

/// Most tests that are run for one answer.
const TESTS_MAX: usize = 100;
/// After so long no further one is begun.
const TIME_MAX: Duration = Duration::from_secs(5);

/// The tests that name a rule.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct TestsOfRule {
    /// What came of each.
    pub tests: Vec<TestResult>,
    /// Files of tests that name it and could not be run, and why.
    pub broken: Vec<String>,
    /// Whether there are more than were run.
    pub cut: bool,
}

/// What came of a test.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TestResult {
    /// Its file.
    pub file: String,
    /// The one-based line where it begins.
    pub line: usize,
    /// Its name.
    pub name: String,
    /// Whether what came is what it expects.
    pub passed: bool,
    /// Where not, what is different: `-` expected, `+` came.
    pub difference: Vec<String>,
}

pub(super) fn tests(sources: &RuleSources, id: &str) -> TestsOfRule {
    let begun = Instant::now();
    let mut found = TestsOfRule::default();
    let is_test = |path: &PathBuf| path.is_dir() || path.to_string_lossy().ends_with("_test.yaml");
    let paths: Vec<PathBuf> = sources
        .paths()
        .iter()
        .filter(|it| is_test(it))
        .cloned()
        .collect();
    let exclusions =
        Config::check(RawConfig::default()).map_or_else(|_| Vec::new(), |it| it.exclude);
    for source in read_test_paths(&paths).sources {
        if !source.text.contains(id) {
            continue;
        }
        if begun.elapsed() > TIME_MAX || found.tests.len() >= TESTS_MAX {
            found.cut = true;
            break;
        }
        let suite = load(source, exclusions.clone());
        if suite.is_wrong() {
            let file = suite.source.name.clone();
            let first = suite.problems.first().map(|it| it.message.clone());
            found
                .broken
                .push(format!("{file}: {}", first.unwrap_or_default()));
            continue;
        }
        for test in suite.tests() {
            let names = test.only.iter().any(|only| only.id == id)
                || test.expect.iter().any(|message| message.rule == id);
            if !names {
                continue;
            }
            if begun.elapsed() > TIME_MAX || found.tests.len() >= TESTS_MAX {
                found.cut = true;
                break;
            }
            let difference = suite.run(test, |_, comparison| {
                let set = suite.set().filter(|_| !comparison.is_equal());
                let diff = set.map(|rules| comparison.diff(rules)).unwrap_or_default();
                diff.iter().map(ToString::to_string).collect::<Vec<_>>()
            });
            let difference = difference.unwrap_or_default();
            found.tests.push(TestResult {
                file: suite.source.name.clone(),
                line: test.line,
                name: test.name.clone(),
                passed: difference.is_empty(),
                difference,
            });
        }
    }
    found
}

/// A test file with its rules, which it names as seen from where it is.
fn load(source: SourceText, exclusions: Vec<crate::rules::Exclusion>) -> Suite {
    let file = PathBuf::from(&source.name);
    let directory = file.parent().unwrap_or(Path::new("")).to_owned();
    Suite::load(source, exclusions, |path| {
        read_paths(&[directory.join(path)])
    })
}
