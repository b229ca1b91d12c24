//! Test files as the project's own tests run them: the same form, the same parser, the same difference on failure.

use std::path::Path;
use std::sync::LazyLock;

use super::suite::Suite;
use crate::config::{Config, RawConfig};
use crate::finding::finding_schema;
use crate::rules::{FilesRead, Level, SourceText, read_paths, report};

/// What is wrong with the test file at `path`; empty when all its tests pass.
pub(crate) fn failures_of_file(path: &Path) -> String {
    let text = std::fs::read_to_string(path);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let directory = path.parent().unwrap_or(Path::new(""));
    let name = path.display().to_string();
    failures(SourceText { name, text }, |rules| {
        read_paths(&[directory.join(rules)])
    })
}

/// Runs every test of `tests`, a test file without `rules`, over `rules`, a rule file.
///
/// # Panics
/// With the difference of each test that fails, or with what is wrong with either file.
#[track_caller]
pub(crate) fn check_text(rules: &str, tests: &str) {
    let failures = failures_of_text(rules, tests);
    assert!(failures.is_empty(), "{failures}");
}

/// What [`check_text`] would complain about.
pub(crate) fn failures_of_text(rules: &str, tests: &str) -> String {
    let source = |name: &str, text: String| SourceText {
        name: name.to_owned(),
        text,
    };
    let tests = source("rules_test.yaml", format!("rules: [rules.yaml]\n{tests}"));
    failures(tests, |_| FilesRead {
        sources: vec![source("rules.yaml", rules.to_owned())],
        problems: Vec::new(),
    })
}

fn failures(source: SourceText, read: impl FnMut(&str) -> FilesRead) -> String {
    let exclusions = Config::check(RawConfig::default()).map(|config| config.exclude);
    let suite = Suite::load(source, exclusions.unwrap_or_default(), read);
    let mut out = String::new();
    let problems = suite.problems.iter();
    let problems: Vec<_> = problems
        .filter(|problem| problem.level == Level::Error)
        .cloned()
        .collect();
    let sources: Vec<_> = suite.sources().cloned().collect();
    out.push_str(&report::text(&problems, &sources, false));
    for test in suite.tests() {
        let name = &suite.source.name;
        let diff = suite.run(test, |ran, comparison| {
            for told in &ran.messages {
                let message: serde_json::Value =
                    serde_json::from_slice(&told.message.body).expect("a message is JSON");
                let invalid = MESSAGES.iter_errors(&message).next();
                assert!(invalid.is_none(), "{invalid:?} in {message}");
            }
            let rules = suite.set().expect("it ran");
            (!comparison.is_equal()).then(|| comparison.diff(rules))
        });
        let Some(Some(diff)) = diff else { continue };
        out.push_str(&format!("{name}:{}: {}\n", test.line, test.name));
        for line in diff {
            out.push_str(&format!("  {line}\n"));
        }
    }
    out
}

/// Every message of every test is one that the published schema allows.
static MESSAGES: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| jsonschema::validator_for(&finding_schema()).expect("a JSON Schema"));
