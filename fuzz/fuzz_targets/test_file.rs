//! Any text may be a file of tests: it is refused with a reason, or its tests run to their end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trommel::rule_test::Suite;
use trommel::rules::{self, FilesRead, SourceText};

/// Entries of a test that is run: a line may stand for a million, which takes longer than an input may.
const ENTRIES_MAX: u64 = 1000;

const RULES: &str = "
rules:
  - {id: count, match: ERROR, threshold: 3 in 5m, by: [pod], incident_type: error_spike}
  - {id: gone, match: beat, absent: 10m, by: [pod], incident_type: error_spike}
  - {id: share, match: ERROR, threshold: '> 5% in 5m', incident_type: error_spike}
";

fuzz_target!(|text: &str| {
    let source = SourceText {
        name: "fuzz_test.yaml".to_owned(),
        text: text.to_owned(),
    };
    let suite = Suite::load(source, Vec::new(), |path| {
        let rules = SourceText {
            name: path.to_owned(),
            text: RULES.to_owned(),
        };
        FilesRead {
            sources: vec![rules],
            problems: Vec::new(),
        }
    });
    let sources: Vec<_> = suite.sources().cloned().collect();
    let _ = rules::report::text(&suite.problems, &sources, false);
    assert!(!suite.is_wrong() || suite.tests().is_empty());
    for test in suite.tests() {
        let entries: u64 = test
            .lines
            .iter()
            .map(|line| u64::from(line.count.get()))
            .sum();
        if entries <= ENTRIES_MAX {
            suite.run(test, |ran, _| {
                assert!(ran.messages.len() <= trommel::rule_test::Ran::MESSAGES_MAX);
            });
        }
    }
});
