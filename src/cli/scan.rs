//! `trommel scan`: like grep, with rules.

use std::collections::BTreeMap;
use std::io::{self, Write};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::input::{InputArgs, Recorded, Times};
use super::output::{Output, visible};
use super::{Exit, compile};
use crate::batch::Batch;
use crate::hit::Role;
use crate::scan::{Scanner, Scratch};

/// Show which rules match which lines; windows are ignored
///
/// Exit code 0 whether lines match or not, and 2 when a file could not be read to its end, or nothing at all. A rule with a
/// `selector` matches only lines with fitting labels.
#[derive(Debug, Clone, Args)]
pub struct ScanArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "its fields are the arguments' help")]
    pub input: InputArgs,
    /// How matching lines are written
    #[arg(long, value_enum, default_value_t)]
    pub format: ScanFormat,
}

/// How matching lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ScanFormat {
    /// File, number, rules and line
    #[default]
    Text,
    /// One object each: {"file","n","rules":[…],"labels","line"}
    Json,
}

/// Prints the lines that match.
pub(super) fn run(
    arguments: &ScanArgs,
    out: &mut impl Output,
    diagnostics: &mut impl Output,
) -> anyhow::Result<Exit> {
    let rules = compile::compile(&arguments.input.rules, diagnostics)?;
    let scanner = Scanner::new(rules.clone());
    let mut scratch = Scratch::default();
    let mut batch = Batch::default();
    let mut hits = Vec::new();
    let color = out.shows_color();
    // One line at a time: whoever looks at a log that is still being written sees a match when it comes.
    let mut each = |entry: Recorded| {
        batch.clear();
        hits.clear();
        entry.add_to(&mut batch);
        scanner.scan(&batch, 0..1, &mut scratch, &mut hits);
        let matches = hits
            .iter()
            .filter(|hit| hit.role == Role::Match && rules.rule(hit.rule).is_match(hit.parts));
        let mut matching: Vec<&str> = matches.map(|hit| &*rules.rule(hit.rule).id).collect();
        matching.sort_unstable();
        if !matching.is_empty() {
            match arguments.format {
                ScanFormat::Text => text(out, &entry, &matching, color),
                ScanFormat::Json => json(out, &entry, &matching),
            }?;
        }
        Ok(())
    };
    arguments
        .input
        .read(&rules, Times::Optional, diagnostics, &mut each)?;
    Ok(Exit::Fine)
}

fn text(out: &mut impl Write, entry: &Recorded, rules: &[&str], color: bool) -> io::Result<()> {
    let file = visible(&entry.file);
    let rules = rules.join(",");
    let line = visible(&String::from_utf8_lossy(&entry.line));
    if color {
        // As grep does: file magenta, number green; what we add is cyan.
        let n = entry.n;
        writeln!(
            out,
            "\x1b[35m{file}\x1b[0m:\x1b[32m{n}\x1b[0m: \x1b[36m[{rules}]\x1b[0m {line}"
        )
    } else {
        writeln!(out, "{file}:{}: [{rules}] {line}", entry.n)
    }
}

fn json(out: &mut impl Write, entry: &Recorded, rules: &[&str]) -> io::Result<()> {
    #[derive(Serialize)]
    struct MatchingLine<'a> {
        file: &'a str,
        n: u64,
        rules: &'a [&'a str],
        labels: BTreeMap<&'a str, &'a str>,
        line: &'a str,
    }
    let line = MatchingLine {
        file: &entry.file,
        n: entry.n,
        rules,
        labels: entry.stream.labels.iter().collect(),
        line: &String::from_utf8_lossy(&entry.line),
    };
    let line = serde_json::to_string(&line).map_err(io::Error::from)?;
    writeln!(out, "{line}")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::input::Input;
    use super::super::tests::parse;
    use super::*;

    #[test]
    fn without_files_standard_input_is_read() {
        let arguments: ScanArgs = parse(&[]).expect("fine");
        assert_eq!(arguments.input.files, [PathBuf::from("-")]);
        assert_eq!(arguments.input.input, Input::Raw);
        assert_eq!(arguments.format, ScanFormat::Text);
    }

    #[test]
    fn rules_labels_forms_and_files_may_be_given() {
        let arguments: ScanArgs = parse(&[
            "--rules",
            "a",
            "--rules",
            "b",
            "--input",
            "cri",
            "--labels",
            "{a=\"b\"}",
            "--format",
            "json",
            "x.log",
            "-",
        ])
        .expect("fine");
        assert_eq!(arguments.input.rules.len(), 2);
        assert_eq!(arguments.input.input, Input::Cri);
        assert_eq!(arguments.input.labels.as_deref(), Some("{a=\"b\"}"));
        assert_eq!(
            arguments.input.files,
            [PathBuf::from("x.log"), PathBuf::from("-")]
        );
        assert_eq!(arguments.format, ScanFormat::Json);
    }
}
