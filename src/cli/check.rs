//! `trommel check`: are the rules right, before they run.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::output::{Output, counted, visible, write_table};
use super::{Exit, compile};
use crate::rule_check;
use crate::rules::{
    Code, Condition, FilesRead, Level, LoadOptions, Loaded, Problem, Rule, explain, report,
};
use crate::scan::{Cost, Scanner};

/// Compile rules, lint them, and try their example lines
///
/// Every error and warning has a code, which --explain tells about. A warning that is meant is allowed in the rule:
/// `allow: [L003]`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXIT_CODES)]
pub struct CheckArgs {
    /// Rule files and directories [default: the rules that ship with trommel]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// How problems are written
    #[arg(long, value_enum, default_value_t)]
    pub format: CheckFormat,
    /// Warnings that count as errors: `warnings` for all, or codes such as L003; separated by commas
    #[arg(long, value_name = "WHICH", value_delimiter = ',', value_parser = denied)]
    pub deny: Vec<Deny>,
    /// Also show how each rule is looked for, and by which texts: what costs most first
    #[arg(long)]
    pub costs: bool,
    /// Explain a code such as L003, or `all`; without one, list them
    #[arg(
        long,
        value_name = "CODE",
        num_args = 0..=1,
        default_missing_value = "list",
        value_parser = explained,
        conflicts_with_all = ["paths", "format", "deny", "costs"]
    )]
    pub explain: Option<Explain>,
}

const EXIT_CODES: &str = "Exit codes: 0 no errors, whatever the warnings; 1 a rule is wrong, an example line is not matched as stated, or there is a
warning that --deny names; 2 a file cannot be read, or the arguments are wrong.";

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
    /// A SARIF 2.1.0 log, for code hosts and editors
    Sarif,
}

/// Warnings that count as errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deny {
    /// All of them.
    Warnings,
    /// Those with this code.
    Code(Code),
}

/// What is explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Explain {
    /// Each code in a line.
    List,
    /// Each code in full.
    All,
    /// One code in full.
    Code(Code),
}

/// Reads a value of `--deny`.
fn denied(text: &str) -> Result<Deny, String> {
    match Code::find(text) {
        _ if text == "warnings" => Ok(Deny::Warnings),
        Some(code) if code.level() == Level::Warning => Ok(Deny::Code(code)),
        Some(code) => Err(format!("{code} is an error already")),
        None => Err(unknown_code(text)),
    }
}

/// Reads a value of `--explain`.
fn explained(text: &str) -> Result<Explain, String> {
    match text {
        "list" => Ok(Explain::List),
        "all" => Ok(Explain::All),
        _ => match Code::find(text) {
            Some(code) => Ok(Explain::Code(code)),
            None => Err(unknown_code(text)),
        },
    }
}

fn unknown_code(text: &str) -> String {
    let text = visible(text);
    match Code::meant(&text) {
        Some(meant) => format!("there is no code {text}; did you mean {meant}?"),
        None => format!("there is no code {text}; `trommel check --explain` lists them all"),
    }
}

/// Prints what is wrong with the rules.
pub(super) fn run(
    arguments: &CheckArgs,
    out: &mut impl Output,
    diagnostics: &mut impl Output,
) -> anyhow::Result<Exit> {
    if let Some(explain) = arguments.explain {
        out.write_all(explanation(explain).as_bytes())?;
        return Ok(Exit::Fine);
    }
    if arguments.costs && arguments.format != CheckFormat::Text {
        anyhow::bail!("--costs is a table for people, and goes with --format text only");
    }
    let FilesRead {
        sources,
        problems: unread,
    } = compile::read(&arguments.paths);
    let unreadable = |problem: &Problem| problem.code == Code::Unreadable;
    let could_not_run = unread.iter().any(unreadable);
    let Loaded {
        set,
        problems: found,
        ..
    } = rule_check::check(&sources, &LoadOptions::default());
    let problems: Vec<Problem> = unread
        .into_iter()
        .chain(found)
        .map(|problem| deny(problem, &arguments.deny))
        .collect();

    let written = match arguments.format {
        CheckFormat::Text => report::text(&problems, &sources, out.shows_color()),
        CheckFormat::Json => format!("{}\n", report::json(&problems)),
        CheckFormat::Github => report::github(&problems),
        CheckFormat::Sarif => format!("{}\n", report::sarif(&problems)),
    };
    out.write_all(written.as_bytes())?;
    let rules = set.as_ref().map(|set| counted(set.rules.len(), "rule"));
    if let Some(set) = set {
        let scanner = Scanner::new(set.into());
        if arguments.costs {
            table_of_costs(&scanner, out)?;
        }
        // The result comes first where both go to one terminal.
        out.flush()?;
        if !arguments.costs {
            note_costs(&scanner, diagnostics)?;
        }
    }
    out.flush()?;
    let count = |level| {
        let problems = problems.iter();
        problems.filter(|problem| problem.level == level).count()
    };
    let (errors, warnings) = (count(Level::Error), count(Level::Warning));
    if let (Some(first), CheckFormat::Text) = (problems.first(), arguments.format) {
        let code = first.code;
        writeln!(
            diagnostics,
            "`trommel check --explain {code}` says more about {code}"
        )?;
    }
    if let Some(rules) = rules {
        write!(diagnostics, "{rules} in ")?;
    }
    let files = counted(sources.len(), "file");
    let (tally, more) = (counted(errors, "error"), counted(warnings, "warning"));
    writeln!(diagnostics, "{files}: {tally}, {more}")?;
    Ok(if could_not_run {
        Exit::CouldNotRun
    } else if errors > 0 {
        Exit::Problems
    } else {
        Exit::Fine
    })
}

fn explanation(explain: Explain) -> String {
    match explain {
        Explain::List => explain::list(),
        Explain::Code(code) => explain::explain(code),
        Explain::All => {
            let all: Vec<_> = Code::ALL
                .iter()
                .map(|&code| explain::explain(code))
                .collect();
            all.join("\n\n")
        }
    }
}

/// `problem`, as an error if `deny` names it.
fn deny(problem: Problem, deny: &[Deny]) -> Problem {
    let named = deny.iter().any(|deny| match deny {
        Deny::Warnings => true,
        Deny::Code(code) => *code == problem.code,
    });
    let level = if named { Level::Error } else { problem.level };
    Problem { level, ..problem }
}

/// Tells which rules the search for long literals cannot find.
fn note_costs(scanner: &Scanner, diagnostics: &mut impl Output) -> anyhow::Result<()> {
    for (index, rule) in scanner.rules().iter() {
        let cost = match scanner.cost(index) {
            _ if totals_every_line(rule) => {
                "counts every line of its streams, because it has no `total`"
            }
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

/// Whether it is a ratio to all lines of its streams.
fn totals_every_line(rule: &Rule) -> bool {
    matches!(&rule.condition, Condition::Ratio(ratio) if ratio.total.is_none())
}

/// Shows how each rule is looked for, the dearest first.
fn table_of_costs(scanner: &Scanner, out: &mut impl Output) -> anyhow::Result<()> {
    const TEXTS_MAX: usize = 4;
    let literals = scanner.literals();
    let mut rules: Vec<_> = scanner.rules().iter().collect();
    rules.sort_by_key(|(index, _)| std::cmp::Reverse(scanner.cost(*index)));
    let rows: Vec<_> = rules
        .into_iter()
        .map(|(index, rule)| {
            let cost = match scanner.cost(index) {
                Cost::LongLiterals => "texts",
                Cost::ShortLiterals => "short texts",
                Cost::EveryLine if rule.selector.0.is_empty() => "every line",
                Cost::EveryLine => "every line of its streams",
            };
            let texts = &literals[index.0 as usize];
            let shown = texts.iter().take(TEXTS_MAX).map(|text| {
                let text = visible(&String::from_utf8_lossy(text));
                format!("`{text}`")
            });
            let mut shown = shown.collect::<Vec<_>>().join(", ");
            if texts.len() > TEXTS_MAX {
                shown.push_str(&format!(" and {} more", texts.len() - TEXTS_MAX));
            }
            [rule.id.clone(), cost.to_owned(), shown]
        })
        .collect();
    write_table(out, ["RULE", "LOOKED FOR BY", "TEXTS"], &rows)?;
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
            tally.ends_with(" rules in 9 files: 0 errors, 0 warnings"),
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
        assert_eq!(
            diagnostics,
            "`trommel check --explain R019` says more about R019\n1 rule in 1 file: 2 errors, 0 warnings\n"
        );
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
        assert!(
            diagnostics.ends_with("\n0 rules in 0 files: 1 error, 0 warnings\n"),
            "{diagnostics}"
        );

        let rules = files.write(
            "rules.yaml",
            "rules: [{id: a, match: connection refused, incident_type: workload_failure}]",
        );
        let (exit, _, diagnostics) = trommel(&["check", &rules]);
        assert_eq!(exit, Exit::Fine);
        assert!(
            diagnostics.ends_with("\n1 rule in 1 file: 0 errors, 1 warning\n"),
            "{diagnostics}"
        );
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

    /// The codes of what `check` finds in `text`.
    fn codes(text: &str) -> Vec<String> {
        let files = Scratch::new();
        let rules = files.write("rules.yaml", text);
        let (_, out, _) = trommel(&["check", "--format", "json", &rules]);
        let problems: Vec<serde_json::Value> = serde_json::from_str(&out).expect("JSON");
        let code = |problem: &serde_json::Value| problem["code"].as_str().map(str::to_owned);
        problems.iter().filter_map(code).collect()
    }

    #[test]
    fn every_example_of_an_explanation_has_its_problem_and_none_when_put_right() {
        for &code in Code::ALL {
            let explanation = explain::Explanation::of(code);
            // An unreadable file is no text, files of tests have a command of their own, and `check` looks at the rules of all
            // environments.
            if matches!(code, Code::Unreadable | Code::NoEnvironment) || code.is_of_tests() {
                continue;
            }
            let (wrong, mut right) = (codes(explanation.wrong), codes(explanation.right));
            assert!(wrong.contains(&code.to_string()), "{code}: {wrong:?}");
            // Examples are short, and every lint but that for examples of lines is silent about them.
            right.retain(|code| code != "L005");
            assert!(right.is_empty(), "{code}: {right:?}");
        }
    }

    #[test]
    fn every_example_of_a_file_of_tests_has_its_problem_and_passes_when_put_right() {
        let files = Scratch::new();
        files.write(
            "rules.yaml",
            "rules: [{id: disk_full, match: no space left on device, incident_type: node_disk_pressure}]",
        );
        for &code in Code::ALL.iter().filter(|code| code.is_of_tests()) {
            let explanation = explain::Explanation::of(code);
            let test = |text: &str| {
                let path = files.write("a_test.yaml", text);
                let (exit, out, diagnostics) = trommel(&["test", &path]);
                (exit, format!("{out}{diagnostics}"))
            };
            let (_, wrong) = test(explanation.wrong);
            assert!(wrong.contains(&format!("[{code}]")), "{code}: {wrong}");
            let (exit, right) = test(explanation.right);
            assert_eq!(exit, Exit::Fine, "{code}: {right}");
            assert!(!right.contains("warning["), "{code}: {right}");
        }
    }

    #[test]
    fn a_code_is_explained_in_either_case_and_an_unknown_one_leads_to_the_one_that_was_meant() {
        let (exit, out, diagnostics) = trommel(&["check", "--explain", "l003"]);
        assert_eq!((exit, &*diagnostics), (Exit::Fine, ""));
        assert!(out.starts_with("warning L003: "), "{out}");
        assert!(out.contains("`allow: [L003]`"), "{out}");
        let (_, list, _) = trommel(&["check", "--explain"]);
        assert_eq!(list.lines().count(), Code::ALL.len());
        let (_, all, _) = trommel(&["check", "--explain", "all"]);
        assert!(
            Code::ALL
                .iter()
                .all(|code| all.contains(&explain::explain(*code)))
        );

        let wrong = |line: &[&str]| parse::<CheckArgs>(line).expect_err("refused");
        let error = wrong(&["--explain", "L3"]);
        assert!(
            error.contains("there is no code L3; did you mean L003?"),
            "{error}"
        );
        let error = wrong(&["--explain", "nonsense"]);
        assert!(
            error.contains("`trommel check --explain` lists them all"),
            "{error}"
        );
        assert_eq!(trommel(&["check", "--explain", "L3"]).0, Exit::CouldNotRun);
        wrong(&["--explain", "L003", "rules.yaml"]);
    }

    #[test]
    fn a_denied_warning_is_an_error_and_another_is_not() {
        let files = Scratch::new();
        let rules = files.write(
            "rules.yaml",
            "rules: [{id: a, match: connection refused, by: [user], incident_type: workload_failure}]",
        );
        let check = |deny: &[&str]| {
            let (exit, out, diagnostics) = trommel(&[&["check", &*rules], deny].concat());
            let tally = diagnostics.lines().last().unwrap_or_default().to_owned();
            (exit, out, tally)
        };
        let (exit, out, tally) = check(&["--deny", "l004"]);
        assert_eq!(exit, Exit::Problems);
        assert!(
            out.contains("error[L004]") && out.contains("warning[L005]"),
            "{out}"
        );
        assert!(tally.ends_with("1 error, 1 warning"), "{tally}");
        for deny in [
            &["--deny", "warnings"][..],
            &["--deny", "L004,L005"],
            &["--deny", "L004", "--deny", "L005"],
        ] {
            let (exit, _, tally) = check(deny);
            assert_eq!(exit, Exit::Problems, "{deny:?}");
            assert!(tally.ends_with("2 errors, 0 warnings"), "{tally}");
        }
        assert_eq!(check(&["--deny", "L003"]).0, Exit::Fine);
        let (exit, _, _) = check(&[]);
        assert_eq!(exit, Exit::Fine);
        for (deny, why) in [
            ("L999", "there is no code L999"),
            ("R004", "R004 is an error already"),
        ] {
            let error = parse::<CheckArgs>(&["--deny", deny]).expect_err("refused");
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn an_allowed_warning_is_not_given_and_cannot_be_denied() {
        let text = "rules: [{id: a, match: connection refused, by: [user], incident_type: workload_failure, allow: [L004, L005]}]";
        assert_eq!(codes(text), Vec::<String>::new());
        let files = Scratch::new();
        let rules = files.write("rules.yaml", text);
        assert_eq!(
            trommel(&["check", &rules, "--deny", "warnings"]).0,
            Exit::Fine
        );
    }

    const SHARED: &str = "
rules:
  - {id: general, match: i/o timeout, incident_type: workload_failure, catches: 'push: i/o timeout'}
  - {id: ldap, match: LDAP Result Code, incident_type: workload_failure, catches: ['LDAP Result Code 200: i/o timeout', 'LDAP Result Code 201: i/o timeout']}
";

    #[test]
    fn a_line_that_another_rule_matches_too_is_told_once_for_each_pair() {
        let files = Scratch::new();
        let rules = files.write("rules.yaml", SHARED);
        let (exit, out, _) = trommel(&["check", &rules]);
        assert_eq!(exit, Exit::Fine);
        expect_test::expect![[r#"
            warning[L011]: `general` matches this line of `ldap` too: two findings for one cause
             --> rules.yaml:4:84
              |
            4 |   - {id: ldap, match: LDAP Result Code, incident_type: workload_failure, catches: ['LDAP Result Code 200: i/o timeout', 'LDAP Result ...
              |                                                                                    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              |
              = help: in `general` write `none: [{rule: ldap}]`, or tell their streams apart

        "#]].assert_eq(&files.strip(&out));
        // Their streams are apart, one leaves its lines to the other, or one of them counts something else than its matches.
        for (from, to) in [
            ("match: i/o", "selector: app=a, match: i/o"),
            (
                "match: i/o timeout",
                "match: {any: i/o timeout, none: [{rule: ldap}]}",
            ),
        ] {
            let apart = SHARED
                .replace(from, to)
                .replace("match: LDAP", "selector: app=b, match: LDAP");
            assert_eq!(codes(&apart), Vec::<String>::new(), "{to}");
        }
    }

    #[test]
    fn a_shared_line_may_be_allowed_and_an_allow_without_one_is_in_vain() {
        let allowed = SHARED.replace("match: LDAP", "allow: [L011], match: LDAP");
        assert_eq!(codes(&allowed), Vec::<String>::new());
        let by_default = format!("defaults: {{allow: [L011]}}{SHARED}");
        assert_eq!(codes(&by_default), Vec::<String>::new());
        let in_vain = by_default.replace("match: i/o timeout, ", "match: 'push: i/o', ");
        assert_eq!(codes(&in_vain), ["L010"]);
    }

    #[test]
    fn the_table_of_costs_names_the_texts_and_begins_with_the_dearest() {
        let files = Scratch::new();
        let rules = files.write(
            "rules.yaml",
            "rules:
  - {id: long, match: [connection refused, no route to host], incident_type: workload_failure, catches: ['connection refused']}
  - {id: fields, selector: app=shop, match: {fields: {status: '>= 500'}}, incident_type: workload_failure, catches: ['status=500']}
  - {id: short, selector: app=shop, match: OOM1, incident_type: workload_failure, catches: ['OOM1']}
",
        );
        let (exit, out, diagnostics) = trommel(&["check", "--costs", &rules]);
        assert_eq!(exit, Exit::Fine);
        expect_test::expect![[r#"
            RULE    LOOKED FOR BY              TEXTS
            fields  every line of its streams
            short   short texts                `OOM1`
            long    texts                      `connection refused`, `no route to host`
        "#]]
        .assert_eq(&out);
        assert_eq!(diagnostics, "3 rules in 1 file: 0 errors, 0 warnings\n");
        let (exit, _, diagnostics) = trommel(&["check", "--costs", "--format", "json", &rules]);
        assert_eq!(exit, Exit::CouldNotRun);
        assert!(diagnostics.contains("--format text only"), "{diagnostics}");
    }

    #[test]
    fn sarif_is_one_log_with_a_result_for_each_problem() {
        let files = Scratch::new();
        let rules = files.write("rules.yaml", "rules:\n  - {id: a, mach: x}\n");
        let (exit, out, _) = trommel(&["check", "--format", "sarif", &rules]);
        assert_eq!(exit, Exit::Problems);
        let log: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!(log["runs"][0]["results"].as_array().map(Vec::len), Some(3));
    }

    #[test]
    fn help_states_the_exit_codes() {
        let help = CheckArgs::augment_args(clap::Command::new("check"));
        let help = help.clone().render_long_help().to_string();
        assert!(help.contains("Exit codes: 0 no errors"), "{help}");
    }
}
