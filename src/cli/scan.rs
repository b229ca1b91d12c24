//! `trommel scan`: like grep, with rules.

use clap::{Args, ValueEnum};

use super::input::InputArgs;

/// Show which rules match which lines; windows are ignored
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
