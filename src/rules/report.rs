//! Problems for people and machines: text with the line and a caret, JSON, GitHub's workflow commands, SARIF.

mod sarif;

use std::fmt::Write as _;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level as Title, Origin, Renderer, Snippet};

use super::problem::{Level, Problem, SourceText};

pub use sarif::sarif;

/// Longest line that is shown; of a longer one only the place is.
const LINE_BYTES_MAX: usize = 2000;

/// Problems as text: what is wrong, where, the line itself with a caret, and what to write instead.
///
/// `sources` are the files that were loaded; a problem of another file is shown without its line. `color` adds terminal
/// escapes: the caller knows whether it writes to a terminal and what `NO_COLOR` says. Control characters of the file and of
/// messages come out as symbols in either case.
#[must_use]
pub fn text(problems: &[Problem], sources: &[SourceText], color: bool) -> String {
    let renderer = if color {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let mut out = String::new();
    for problem in problems {
        let source = sources.iter().find(|source| source.name == problem.file);
        out.push_str(&one(problem, source, &renderer));
        out.push_str("\n\n");
    }
    out
}

fn one(problem: &Problem, source: Option<&SourceText>, renderer: &Renderer) -> String {
    let level = match problem.level {
        Level::Error => Title::ERROR,
        Level::Warning => Title::WARNING,
    };
    let file = visible(&problem.file);
    // An empty file, or one that could not be read, has no line to show.
    let line = source
        .filter(|source| !source.text.is_empty())
        .map(|source| (source, source.line_at(problem.span.start).0))
        .filter(|(_, line)| line.len() <= LINE_BYTES_MAX);
    let title = level
        .primary_title(&*problem.message)
        .id(problem.code.as_str());
    let group = match line {
        Some((source, line)) => {
            let text = source.slice(&line);
            let start = problem.span.start.clamp(line.start, line.end) - line.start;
            let end = problem.span.end.clamp(line.start + start, line.end) - line.start;
            title.element(
                Snippet::source(text)
                    .line_start(problem.line)
                    .path(file)
                    .annotation(AnnotationKind::Primary.span(start..end)),
            )
        }
        None => title.element(
            Origin::path(file)
                .line(problem.line)
                .char_column(problem.column),
        ),
    };
    let group = match &problem.help {
        Some(help) => group.element(Title::HELP.message(visible(help))),
        None => group,
    };
    renderer.render(&[group])
}

/// Text of rule files with its control characters as escapes, so that none reaches a terminal.
fn visible(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' => "⏎".to_owned(),
            c if c.is_control() => c.escape_default().to_string(),
            c => c.to_string(),
        })
        .collect()
}

/// `2 errors, 1 warning`; empty when there is nothing wrong.
#[must_use]
pub fn tally(problems: &[Problem]) -> String {
    let count = |level: Level, name: &str| {
        let count = problems
            .iter()
            .filter(|problem| problem.level == level)
            .count();
        let plural = if count == 1 { "" } else { "s" };
        (count > 0).then(|| format!("{count} {name}{plural}"))
    };
    [
        count(Level::Error, "error"),
        count(Level::Warning, "warning"),
    ]
    .into_iter()
    .flatten()
    .collect::<Vec<_>>()
    .join(", ")
}

/// Problems as one JSON array of [`Problem`]s, in one line.
#[must_use]
pub fn json(problems: &[Problem]) -> String {
    serde_json::to_string(problems).expect("problems are texts and numbers")
}

/// Problems as GitHub workflow commands, one to a line, which a pull request shows beside the lines that they are about.
/// Source: "Workflow commands for GitHub Actions", and `toolkit/packages/core/src/command.ts` for the escapes.
#[must_use]
pub fn github(problems: &[Problem]) -> String {
    let mut out = String::new();
    for problem in problems {
        let command = problem.level.as_str();
        let help = problem.help.as_deref();
        let message = help.map_or_else(
            || problem.message.clone(),
            |help| format!("{}: {help}", problem.message),
        );
        let data = |text: &str| {
            text.replace('%', "%25")
                .replace('\r', "%0D")
                .replace('\n', "%0A")
        };
        let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
        let end = if problem.end_line > problem.line {
            format!("endLine={},", problem.end_line)
        } else {
            String::new()
        };
        writeln!(
            out,
            "::{command} file={},line={},col={},{end}title={}::{}",
            property(&problem.file),
            problem.line,
            problem.column,
            problem.code,
            data(&message)
        )
        .expect("writing to a String cannot fail");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{LoadOptions, load};

    fn problems(text: &str) -> (Vec<Problem>, Vec<SourceText>) {
        let sources = vec![SourceText {
            name: "a,b.yaml".to_owned(),
            text: text.to_owned(),
        }];
        (load(&sources, &LoadOptions::default()).problems, sources)
    }

    #[test]
    fn every_format_says_file_line_column_and_what_to_do() {
        let (problems, sources) = problems(
            "rules:\n  - id: x\n    match: a 100% long text\n    serverity: info\n    incident_type: workload_failure\n",
        );
        expect_test::expect![[r#"
            error[R004]: unknown key `serverity` in a rule
             --> a,b.yaml:4:5
              |
            4 |     serverity: info
              |     ^^^^^^^^^
              |
              = help: did you mean `severity`?

        "#]]
        .assert_eq(&text(&problems, &sources, false));
        expect_test::expect![[r#"[{"level":"error","code":"R004","file":"a,b.yaml","line":4,"column":5,"end_line":4,"end_column":14,"span":{"start":49,"end":58},"message":"unknown key `serverity` in a rule","help":"did you mean `severity`?","rule":"x"}]"#]].assert_eq(&json(&problems));
        expect_test::expect![[r#"
            ::error file=a%2Cb.yaml,line=4,col=5,title=R004::unknown key `serverity` in a rule: did you mean `severity`?
        "#]].assert_eq(&github(&problems));
        assert_eq!(tally(&problems), "1 error");
        assert_eq!(tally(&[]), "");
    }

    #[test]
    fn a_problem_without_its_file_and_one_in_a_long_line_are_shown_by_place() {
        let (problems, _) = problems(&format!("rules: 5 # {}", "x".repeat(5000)));
        expect_test::expect![[r#"
            error[R007]: `rules` must be a list
            --> a,b.yaml:1:8
             = help: every rule begins with `- id: …`

        "#]]
        .assert_eq(&text(&problems, &[], false));
    }

    #[test]
    fn nothing_in_a_file_reaches_the_terminal_as_an_escape() {
        let (problems, sources) = problems("rules: \"\\e[31m\"\n\"\\e[2J\": 1\n");
        let text = text(&problems, &sources, false);
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(!problems.is_empty());
    }
}
