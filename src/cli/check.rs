//! `trommel check`: are the rules right, before they run.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::output::{Output, counted, visible};
use super::{Exit, compile};
use crate::batch::{Labels, Stream};
use crate::rules::{
    self, Code, Example, FilesRead, Level, LoadOptions, Loaded, Problem, RuleSet, report,
};
use crate::scan::{Cost, Line, Scanner, matches};

/// Compile rules, lint them, and try their example lines
///
/// Exit code 1 when a rule is wrong or an example line is not matched as stated, 2 when a file cannot be read.
/// Warnings leave it 0.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Rule files and directories [default: the rules that ship with trommel]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// How problems are written
    #[arg(long, value_enum, default_value_t)]
    pub format: CheckFormat,
}

/// How problems are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum CheckFormat {
    /// For people, with the line and a caret
    #[default]
    Text,
    /// One array of objects, one for each problem
    Json,
    /// Annotations of a GitHub workflow
    Github,
}

/// Prints what is wrong with the rules.
pub(super) fn run(
    arguments: &CheckArgs,
    out: &mut impl Output,
    diagnostics: &mut impl Output,
) -> anyhow::Result<Exit> {
    let FilesRead {
        sources,
        problems: unread,
    } = compile::read(&arguments.paths);
    let Loaded {
        set,
        problems: wrong,
        examples,
        ..
    } = rules::load(&sources, &LoadOptions::default());
    let failed = set.iter().flat_map(|set| failures(set, &examples));
    let problems: Vec<Problem> = unread.iter().cloned().chain(wrong).chain(failed).collect();

    let written = match arguments.format {
        CheckFormat::Text => report::text(&problems, &sources, out.shows_color()),
        CheckFormat::Json => format!("{}\n", report::json(&problems)),
        CheckFormat::Github => report::github(&problems),
    };
    out.write_all(written.as_bytes())?;
    // The result comes first where both go to one terminal.
    out.flush()?;
    let files = counted(sources.len(), "file");
    if let Some(set) = set {
        let rules = counted(set.rules.len(), "rule");
        costs(set, diagnostics)?;
        write!(diagnostics, "{rules} in ")?;
    }
    let count = |level| {
        problems
            .iter()
            .filter(|problem| problem.level == level)
            .count()
    };
    let (errors, warnings) = (count(Level::Error), count(Level::Warning));
    let (tally, more) = (counted(errors, "error"), counted(warnings, "warning"));
    writeln!(diagnostics, "{files}: {tally}, {more}")?;
    Ok(
        if unread
            .iter()
            .any(|problem| problem.code == Code::Unreadable)
        {
            Exit::CouldNotRun
        } else if errors > 0 {
            Exit::Problems
        } else {
            Exit::Fine
        },
    )
}

/// The example lines that a rule does not treat as it says. They have no labels, so only the `match` is tried.
pub(super) fn failures<'a>(
    rules: &'a RuleSet,
    examples: &'a [Example],
) -> impl Iterator<Item = Problem> + 'a {
    let stream = Stream::new("".into(), Labels::default());
    let fails = move |example: &&Example| {
        let line = Line::new(&stream, example.line.as_bytes());
        rules
            .find(&example.rule)
            .is_some_and(|(_, rule)| matches(rules, rule, &line).is_some() != example.must_match)
    };
    examples.iter().filter(fails).map(Example::problem)
}

/// Tells which rules the search for long literals cannot find.
fn costs(rules: RuleSet, diagnostics: &mut impl Output) -> anyhow::Result<()> {
    let scanner = Scanner::new(rules.into());
    for (index, rule) in scanner.rules().iter() {
        let cost = match scanner.cost(index) {
            Cost::LongLiterals => continue,
            Cost::ShortLiterals => {
                "is looked for by texts of four to seven bytes, in a second search of every push"
            }
            Cost::EveryLine if rule.selector.0.is_empty() => {
                "requires no text, so it is tried on every line of every stream"
            }
            Cost::EveryLine => "requires no text, so it is tried on every line of its streams",
        };
        let (file, line) = (visible(&rule.source.file), rule.source.line);
        writeln!(diagnostics, "{file}:{line}: note: `{}` {cost}", rule.id)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Scratch, parse, trommel};
    use super::*;

    #[test]
    fn the_shipped_rules_are_clean() {
        let (exit, out, diagnostics) = trommel(&["check"]);
        assert_eq!((exit, &*out), (Exit::Fine, ""));
        let (tally, notes) = diagnostics
            .trim_end()
            .rsplit_once('\n')
            .map_or((diagnostics.trim_end(), ""), |(notes, tally)| {
                (tally, notes)
            });
        assert!(
            tally.ends_with(" rules in 5 files: 0 errors, 0 warnings"),
            "{tally}"
        );
        assert_eq!(notes, "");
    }

    #[test]
    fn example_lines_are_tried_without_labels() {
        let files = Scratch::new();
        let rules = files.write(
            "rules.yaml",
            "rules:
  - id: refused
    selector: app=shop
    match: connection refused
    incident_type: workload_failure
    catches: ['dial: connection refused', 'dial: connection reset']
    passes: ['connected', 'was: connection refused']
",
        );
        let (exit, out, diagnostics) = trommel(&["check", &rules]);
        assert_eq!(exit, Exit::Problems);
        expect_test::expect![[r#"
            error[R019]: `refused` does not match this line of its `catches`
             --> rules.yaml:6:43
              |
            6 |     catches: ['dial: connection refused', 'dial: connection reset']
              |                                           ^^^^^^^^^^^^^^^^^^^^^^^^

            error[R020]: `refused` matches this line of its `passes`
             --> rules.yaml:7:27
              |
            7 |     passes: ['connected', 'was: connection refused']
              |                           ^^^^^^^^^^^^^^^^^^^^^^^^^

        "#]]
        .assert_eq(&files.strip(&out));
        assert_eq!(diagnostics, "1 rule in 1 file: 2 errors, 0 warnings\n");
    }

    #[test]
    fn problems_come_as_json_and_as_annotations() {
        let files = Scratch::new();
        let rules = files.write("rules.yaml", "rules:\n  - {id: a, mach: x}\n");
        let (exit, out, diagnostics) = trommel(&["check", "--format", "json", &rules]);
        assert_eq!(exit, Exit::Problems);
        assert!(diagnostics.starts_with("1 file: "), "{diagnostics}");
        let problems: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!(problems[0]["line"], 2);
        let (exit, out, _) = trommel(&["check", "--format", "github", &rules]);
        assert_eq!(exit, Exit::Problems);
        assert!(out.starts_with("::error file="), "{out}");
    }

    #[test]
    fn what_a_rule_costs_is_noted() {
        let files = Scratch::new();
        let rules = files.write(
            "rules.yaml",
            "rules:
  - {id: fields, selector: app=shop, match: {fields: {status: '>= 500'}}, incident_type: workload_failure, catches: ['status=500']}
  - {id: long, match: connection refused, incident_type: workload_failure, catches: ['connection refused']}
  - {id: short, selector: app=shop, match: OOM1, incident_type: workload_failure, catches: ['OOM1']}
",
        );
        let (exit, out, diagnostics) = trommel(&["check", &rules]);
        assert_eq!((exit, &*out), (Exit::Fine, ""));
        expect_test::expect![[r#"
            rules.yaml:2: note: `fields` requires no text, so it is tried on every line of its streams
            rules.yaml:4: note: `short` is looked for by texts of four to seven bytes, in a second search of every push
            3 rules in 1 file: 0 errors, 0 warnings
        "#]]
        .assert_eq(&files.strip(&diagnostics));
    }

    #[test]
    fn what_cannot_be_read_could_not_be_checked_and_warnings_are_fine() {
        let files = Scratch::new();
        let (exit, out, diagnostics) = trommel(&["check", &files.path("missing.yaml")]);
        assert_eq!(exit, Exit::CouldNotRun);
        assert!(out.starts_with("error[R002]: cannot read it: "), "{out}");
        assert_eq!(diagnostics, "0 rules in 0 files: 1 error, 0 warnings\n");

        let rules = files.write(
            "rules.yaml",
            "rules: [{id: a, match: connection refused, incident_type: workload_failure}]",
        );
        let (exit, _, diagnostics) = trommel(&["check", &rules]);
        assert_eq!(exit, Exit::Fine);
        assert_eq!(diagnostics, "1 rule in 1 file: 0 errors, 1 warning\n");
    }

    #[test]
    fn paths_and_a_format_may_be_given() {
        let arguments: CheckArgs = parse(&["a.yaml", "dir", "--format", "github"]).expect("fine");
        assert_eq!(arguments.paths.len(), 2);
        assert_eq!(arguments.format, CheckFormat::Github);
        let bare: CheckArgs = parse(&[]).expect("fine");
        assert_eq!(bare.format, CheckFormat::Text);
        assert!(parse::<CheckArgs>(&["--format", "xml"]).is_err());
    }
}
