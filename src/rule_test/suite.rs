//! A test file with its rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::compare::Comparison;
use super::run::{Ran, run};
use crate::rules::test_file::{RulePath, Test, TestFile, TestsRead};
use crate::rules::{
    Example, Exclusion, FilesRead, Level, LoadOptions, Problem, RuleSet, SourceText, load,
};
use crate::scan::Scanner;

/// A test file with the rules that it names, ready to run, or everything that is wrong with them.
#[derive(Debug)]
pub struct Suite {
    /// The test file.
    pub source: SourceText,
    /// The rule files, for showing their problems.
    pub rules: Vec<SourceText>,
    /// Errors, because of which nothing can run, and warnings of the test file. Those of rule files are for `trommel check`.
    pub problems: Vec<Problem>,
    /// The lines of `catches` and `passes` of its rules.
    pub examples: Vec<Example>,
    ready: Option<Ready>,
}

#[derive(Debug)]
struct Ready {
    file: TestFile,
    /// All rules, wherever they are on.
    set: Arc<RuleSet>,
    /// By environment of the tests, empty for none: the rules that are on there.
    scanners: BTreeMap<String, Arc<Scanner>>,
}

impl Suite {
    /// Reads the test file `source`, and its rules with `read`, which is told each path as it is written.
    /// No rule reads what one of `exclusions` leaves out, as live.
    #[must_use]
    pub fn load(
        source: SourceText,
        exclusions: Vec<Exclusion>,
        mut read: impl FnMut(&str) -> FilesRead,
    ) -> Self {
        let TestsRead { file, problems } = TestFile::read(&source);
        let mut suite = Self {
            source,
            rules: Vec::new(),
            problems,
            examples: Vec::new(),
            ready: None,
        };
        let Some(file) = file else {
            return suite;
        };
        for path in &file.rules {
            suite.add(path, read(&path.path));
        }
        let loaded = load(&suite.rules, &LoadOptions::default());
        let errors = loaded.problems.into_iter();
        let errors = errors.filter(|problem| problem.level == Level::Error);
        suite.problems.extend(errors);
        if let Some(set) = loaded.set {
            suite.problems.extend(file.check(&suite.source, &set));
            suite.examples = loaded.examples;
            let mut scanners = BTreeMap::new();
            for test in &file.tests {
                let there = LoadOptions::of_instance(&test.environment);
                scanners.entry(test.environment.clone()).or_insert_with(|| {
                    let set = load(&suite.rules, &there).set.unwrap_or_default();
                    let scanner = Scanner::new(Arc::new(in_log_time(set)));
                    Arc::new(scanner.excluding(exclusions.clone()))
                });
            }
            let set = Arc::new(set);
            suite.ready = Some(Ready {
                file,
                set,
                scanners,
            });
        }
        if suite.is_wrong() {
            suite.ready = None;
        }
        suite
    }

    fn add(&mut self, path: &RulePath, found: FilesRead) {
        if found.sources.is_empty() {
            let why = found.problems.first().map(|problem| &*problem.message);
            let why = why.unwrap_or("this is a file of tests, and not of rules");
            self.problems.push(path.unreadable(&self.source, why));
            return;
        }
        let errors = found.problems.into_iter();
        let errors = errors.filter(|problem| problem.level == Level::Error);
        self.problems.extend(errors);
        for source in found.sources {
            if !self.rules.contains(&source) {
                self.rules.push(source);
            }
        }
    }

    /// Whether there is an error, so that nothing can run.
    #[must_use]
    pub fn is_wrong(&self) -> bool {
        let mut problems = self.problems.iter();
        problems.any(|problem| problem.level == Level::Error)
    }

    /// Its tests; none when it is wrong.
    #[must_use]
    pub fn tests(&self) -> &[Test] {
        self.ready.as_ref().map_or(&[], |ready| &ready.file.tests)
    }

    /// The test file as it was read, unless it is wrong.
    #[must_use]
    pub fn file(&self) -> Option<&TestFile> {
        self.ready.as_ref().map(|ready| &ready.file)
    }

    /// Its rules, unless they are wrong.
    #[must_use]
    pub fn set(&self) -> Option<&Arc<RuleSet>> {
        self.ready.as_ref().map(|ready| &ready.set)
    }

    /// Every file that problems can be about.
    pub fn sources(&self) -> impl Iterator<Item = &SourceText> {
        std::iter::once(&self.source).chain(&self.rules)
    }

    /// Runs one of its tests, and tells `each` what came of it and how that compares.
    pub fn run<T>(&self, test: &Test, each: impl FnOnce(&Ran, &Comparison<'_>) -> T) -> Option<T> {
        let ready = self.ready.as_ref()?;
        let ran = run(test, ready.scanners.get(&test.environment)?);
        let comparison = Comparison::new(test, &ran);
        Some(each(&ran, &comparison))
    }
}

/// The rules without bounds of their own on how late entries may be: those delay timers, and in a test nothing does.
fn in_log_time(mut set: RuleSet) -> RuleSet {
    for rule in &mut set.rules {
        if rule.late_by.is_some() {
            Arc::make_mut(rule).late_by = None;
        }
    }
    set
}
