//! `trommel test`: do rules say what they should, and nothing else.

mod junit;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use self::junit::{Case, Cases};
use super::Exit;
use super::output::{Output, counted, visible};
use crate::config::{Config, RawConfig};
use crate::rule_check;
use crate::rule_test::{DiffLine, Side, Suite};
use crate::rules::test_file::{Change, Test, update};
use crate::rules::{self, Exclusion, FilesRead, Level, Problem, SourceText, report};

/// Run the tests of rules, and try their example lines
///
/// A test says what is logged and which messages come of it; time is the log's, so days take milliseconds. Prints what is
/// different from what is expected. Only the rules that a test file names are loaded, and the lines of their `catches` and
/// `passes` are tried as well. Exit code 1 when a test fails or its file is wrong, 2 when a file cannot be read or no test
/// is there.
#[derive(Debug, Clone, Args)]
pub struct TestArgs {
    /// Test files, and directories that are searched for *_test.yaml
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
    /// Run only tests whose name or file contains this text
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Rewrite `expect` of tests that fail to what came; then read the difference
    #[arg(long)]
    pub update: bool,
    /// Also write the results to a file, as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// List the tests, and run none
    #[arg(long, conflicts_with_all = ["update", "junit"])]
    pub list: bool,
}

/// Runs the tests and prints what fails.
pub(super) fn run(
    arguments: &TestArgs,
    out: &mut impl Output,
    diagnostics: &mut impl Output,
) -> anyhow::Result<Exit> {
    let FilesRead {
        sources,
        problems: unread,
    } = rules::read_test_paths(&arguments.paths);
    let config = Config::check(RawConfig::default())?;
    let mut tester = Tester {
        arguments,
        color: out.shows_color(),
        exclusions: config.exclude,
        out,
        diagnostics,
        tally: Tally::default(),
        examples: HashSet::new(),
    };
    let unreadable = report::text(&unread, &[], tester.color);
    tester.out.write_all(unreadable.as_bytes())?;
    let mut results = Vec::new();
    for source in sources {
        results.push(tester.file(source)?);
    }
    let tally = tester.tally;
    if let Some(path) = &arguments.junit {
        let xml = junit::xml(&results);
        fs::write(path, xml).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if !arguments.list {
        writeln!(out, "{}", tally.line())?;
    }
    let nothing = tally.passed + tally.failed + tally.updated + tally.errors == 0;
    if let (true, Some(filter)) = (nothing && !arguments.list, &arguments.filter) {
        let filter = visible(filter);
        writeln!(
            diagnostics,
            "trommel: no test's name or file contains `{filter}`"
        )?;
    }
    Ok(if !unread.is_empty() || nothing && !arguments.list {
        Exit::CouldNotRun
    } else if tally.failed + tally.errors + tally.examples_failed > 0 {
        Exit::Problems
    } else {
        Exit::Fine
    })
}

/// What has been counted over all files.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    files: usize,
    passed: usize,
    failed: usize,
    updated: usize,
    left_out: usize,
    /// Files that are wrong, so that their tests could not run.
    errors: usize,
    examples: usize,
    examples_failed: usize,
}

impl Tally {
    fn line(&self) -> String {
        let tests = counted(self.passed + self.failed + self.updated, "test");
        let files = counted(self.files, "file");
        let mut line = format!("{tests} in {files}: {} passed", self.passed);
        let mut add = |count: usize, what: &str| {
            if count > 0 {
                line.push_str(&format!(", {count} {what}"));
            }
        };
        add(self.failed, "failed");
        add(self.updated, "updated");
        add(self.left_out, "left out");
        if self.errors > 0 {
            line.push_str(&format!(", {} could not run", counted(self.errors, "file")));
        }
        if self.examples > 0 {
            let lines = counted(self.examples, "example line");
            line.push_str(&match self.examples_failed {
                0 => format!("; {lines} passed"),
                failed => format!("; {lines}: {failed} failed"),
            });
        }
        line
    }
}

struct Tester<'a, O, D> {
    arguments: &'a TestArgs,
    color: bool,
    exclusions: Vec<Exclusion>,
    out: &'a mut O,
    diagnostics: &'a mut D,
    tally: Tally,
    /// Examples that were tried already, by file and place: several test files may name one rule file.
    examples: HashSet<(String, usize)>,
}

impl<O: Output, D: Output> Tester<'_, O, D> {
    fn file(&mut self, source: SourceText) -> anyhow::Result<Cases> {
        let suite = load(source, self.exclusions.clone());
        let mut cases = Cases::new(&suite.source.name);
        self.tally.files += 1;
        if self.arguments.list {
            self.list(&suite)?;
        }
        if !suite.problems.is_empty() {
            self.problems(&suite, &mut cases)?;
        }
        if self.arguments.list || suite.is_wrong() {
            return Ok(cases);
        }
        self.tests(&suite, &mut cases)?;
        if self.arguments.filter.is_none() {
            self.examples(&suite, &mut cases)?;
        }
        Ok(cases)
    }

    fn is_wanted(&self, suite: &Suite, test: &Test) -> bool {
        let filter = self.arguments.filter.as_deref();
        filter.is_none_or(|text| test.name.contains(text) || suite.source.name.contains(text))
    }

    fn list(&mut self, suite: &Suite) -> anyhow::Result<()> {
        let file = visible(&suite.source.name);
        for test in suite.tests() {
            if self.is_wanted(suite, test) {
                writeln!(self.out, "{file}:{}: {}", test.line, visible(&test.name))?;
            }
        }
        Ok(())
    }

    /// What is wrong with the files is a result, what is only odd about them is not.
    fn problems(&mut self, suite: &Suite, cases: &mut Cases) -> anyhow::Result<()> {
        let sources: Vec<SourceText> = suite.sources().cloned().collect();
        let (errors, warnings): (Vec<Problem>, Vec<Problem>) = suite
            .problems
            .iter()
            .cloned()
            .partition(|problem| problem.level == Level::Error);
        let text = report::text(&warnings, &sources, self.diagnostics.shows_color());
        self.diagnostics.write_all(text.as_bytes())?;
        if !errors.is_empty() {
            self.tally.errors += 1;
            let text = report::text(&errors, &sources, self.color);
            self.out.write_all(text.as_bytes())?;
            let shown = report::text(&errors, &sources, false);
            cases.add(Case::error("the file can be read", 1, shown));
        }
        Ok(())
    }

    fn tests(&mut self, suite: &Suite, cases: &mut Cases) -> anyhow::Result<()> {
        let mut outcomes = Vec::new();
        for (place, test) in suite.tests().iter().enumerate() {
            if !self.is_wanted(suite, test) {
                self.tally.left_out += 1;
                continue;
            }
            let outcome = suite.run(test, |ran, comparison| {
                let lines = ran.repeats.iter().filter_map(|line| test.lines.get(*line));
                let repeats = lines.map(|line| line.repeats(&suite.source)).collect();
                let set = suite.set().filter(|_| !comparison.is_equal());
                let diff = set.map(|rules| comparison.diff(rules));
                (repeats, diff.map(|diff| (diff, comparison.change(place))))
            });
            let (repeats, difference): (Vec<Problem>, _) = outcome.unwrap_or_default();
            let sources = std::slice::from_ref(&suite.source);
            let warnings = report::text(&repeats, sources, self.diagnostics.shows_color());
            self.diagnostics.write_all(warnings.as_bytes())?;
            outcomes.push((test, difference));
        }
        let differences = outcomes
            .iter()
            .filter_map(|(_, difference)| difference.as_ref());
        let changes: Vec<Change> = differences.map(|(_, change)| change.clone()).collect();
        let updated =
            self.arguments.update && !changes.is_empty() && self.update(suite, &changes)?;
        for (test, difference) in outcomes {
            let case = match difference {
                Some((diff, _)) if !updated => {
                    self.tally.failed += 1;
                    self.failure(suite, test, &diff)?;
                    let shown = diff.iter().map(|line| format!("{line}\n")).collect();
                    Case::failed(&test.name, test.line, shown)
                }
                Some(_) => {
                    self.tally.updated += 1;
                    Case::passed(&test.name, test.line)
                }
                None => {
                    self.tally.passed += 1;
                    Case::passed(&test.name, test.line)
                }
            };
            cases.add(case);
        }
        Ok(())
    }

    /// Rewrites the test file; false when that cannot be done in place.
    fn update(&mut self, suite: &Suite, changes: &[Change]) -> anyhow::Result<bool> {
        let name = visible(&suite.source.name);
        let changed = suite
            .file()
            .and_then(|file| update(&suite.source, file, changes));
        let Some(text) = changed else {
            writeln!(
                self.diagnostics,
                "{name}: note: cannot be updated in place: write its `expect` as a list below the key"
            )?;
            return Ok(false);
        };
        fs::write(&suite.source.name, text).with_context(|| format!("cannot write {name}"))?;
        let tests = counted(changes.len(), "test");
        writeln!(self.out, "{name}: updated {tests}")?;
        Ok(true)
    }

    fn failure(&mut self, suite: &Suite, test: &Test, diff: &[DiffLine]) -> anyhow::Result<()> {
        let file = visible(&suite.source.name);
        let (line, name) = (test.line, visible(&test.name));
        let failed = self.painted("1;31", "failed");
        writeln!(
            self.out,
            "{file}:{line}: {failed}: {name} (- expected, + got)"
        )?;
        for line in diff {
            let color = match line.side {
                Side::Both | Side::Note => "",
                Side::Expected => "31",
                Side::Got => "32",
            };
            let mut shown = self.painted(color, line.side.sign());
            for (word, differs) in &line.words {
                let color = if *differs {
                    format!("1;{color}")
                } else {
                    color.to_owned()
                };
                shown.push(' ');
                shown.push_str(&self.painted(&color, &visible(word)));
            }
            writeln!(self.out, "  {shown}")?;
        }
        writeln!(self.out)?;
        Ok(())
    }

    fn painted(&self, color: &str, text: &str) -> String {
        if self.color && !color.is_empty() {
            format!("\x1b[{color}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn examples(&mut self, suite: &Suite, cases: &mut Cases) -> anyhow::Result<()> {
        let Some(set) = suite.set() else {
            return Ok(());
        };
        let place = |problem: Problem| (problem.file, problem.span.start);
        let examples = suite.examples.iter();
        let new: Vec<_> = examples
            .filter(|example| self.examples.insert(place(example.problem())))
            .cloned()
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        let failures: Vec<Problem> = rule_check::failures(set, &new).collect();
        self.tally.examples += new.len();
        self.tally.examples_failed += failures.len();
        let name = "rules match the lines of their `catches`, and none of their `passes`";
        if failures.is_empty() {
            cases.add(Case::passed(name, 1));
            return Ok(());
        }
        let text = report::text(&failures, &suite.rules, self.color);
        self.out.write_all(text.as_bytes())?;
        let shown = report::text(&failures, &suite.rules, false);
        cases.add(Case::failed(name, 1, shown));
        Ok(())
    }
}

/// A test file with its rules, which it names as seen from where it is.
fn load(source: SourceText, exclusions: Vec<Exclusion>) -> Suite {
    let file = PathBuf::from(&source.name);
    let directory = file.parent().unwrap_or(Path::new(""));
    let read = |path: &str| rules::read_paths(&[directory.join(path)]);
    Suite::load(source, exclusions, read)
}

#[cfg(test)]
mod tests;
