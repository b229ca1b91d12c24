//! Results as JUnit XML, which CI systems show beside a build.
//!
//! There is no standard; this keeps to what Jenkins, GitLab and GitHub's reporters have in common:
//! `testsuites` › `testsuite` › `testcase` › `failure` or `error`.

use std::fmt::Write as _;

/// The results of one test file.
#[derive(Debug)]
pub(super) struct Cases {
    file: String,
    cases: Vec<Case>,
}

/// The result of one test.
#[derive(Debug)]
pub(super) struct Case {
    name: String,
    line: usize,
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    Passed,
    Failed(String),
    Error(String),
}

impl Cases {
    pub(super) fn new(file: &str) -> Self {
        let file = file.to_owned();
        let cases = Vec::new();
        Self { file, cases }
    }

    pub(super) fn add(&mut self, case: Case) {
        self.cases.push(case);
    }

    fn counts(&self) -> [usize; 3] {
        let count = |wanted: fn(&Outcome) -> bool| {
            let outcomes = self.cases.iter().map(|case| &case.outcome);
            outcomes.filter(|outcome| wanted(outcome)).count()
        };
        [
            self.cases.len(),
            count(|outcome| matches!(outcome, Outcome::Failed(_))),
            count(|outcome| matches!(outcome, Outcome::Error(_))),
        ]
    }
}

impl Case {
    pub(super) fn passed(name: &str, line: usize) -> Self {
        Self::new(name, line, Outcome::Passed)
    }

    /// A test that failed, and what is different.
    pub(super) fn failed(name: &str, line: usize, text: String) -> Self {
        Self::new(name, line, Outcome::Failed(text))
    }

    /// A test that could not run, and why.
    pub(super) fn error(name: &str, line: usize, text: String) -> Self {
        Self::new(name, line, Outcome::Error(text))
    }

    fn new(name: &str, line: usize, outcome: Outcome) -> Self {
        let name = name.to_owned();
        Self {
            name,
            line,
            outcome,
        }
    }
}

/// The whole document.
pub(super) fn xml(results: &[Cases]) -> String {
    let mut all = [0; 3];
    for cases in results {
        for (sum, count) in all.iter_mut().zip(cases.counts()) {
            *sum += count;
        }
    }
    let counts = |[tests, failures, errors]: [usize; 3]| {
        format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"0\"")
    };
    let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    let mut line = |text: String| writeln!(out, "{text}").expect("writing to a String cannot fail");
    line(format!("<testsuites name=\"trommel\" {}>", counts(all)));
    for cases in results {
        let file = escaped(&cases.file);
        line(format!(
            "  <testsuite name=\"{file}\" {}>",
            counts(cases.counts())
        ));
        for case in &cases.cases {
            let name = escaped(&case.name);
            let open = format!(
                "    <testcase name=\"{name}\" classname=\"{file}\" file=\"{file}\" line=\"{}\"",
                case.line
            );
            let (what, text) = match &case.outcome {
                Outcome::Passed => {
                    line(format!("{open}/>"));
                    continue;
                }
                Outcome::Failed(text) => ("failure", text),
                Outcome::Error(text) => ("error", text),
            };
            let first = escaped(text.lines().next().unwrap_or_default());
            line(format!("{open}>"));
            // Between tags a line end is only that.
            let text = escaped(text).replace("&#10;", "\n");
            line(format!("      <{what} message=\"{first}\">{text}</{what}>"));
            line("    </testcase>".to_owned());
        }
        line("  </testsuite>".to_owned());
    }
    line("</testsuites>".to_owned());
    out
}

/// `text` as it may stand in an attribute or between tags. Characters that XML 1.0 allows in no form become U+FFFD.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            '\r' => out.push_str("&#13;"),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
