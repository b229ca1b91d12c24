//! `trommel check`: are the rules right, before they run.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Compile rules, lint them, and try their example lines
///
/// Exit code 1 when a rule is wrong or an example line is not matched as stated.
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
    /// One object per problem
    Json,
    /// Annotations of a GitHub workflow
    Github,
}

#[cfg(test)]
mod tests {
    use super::super::tests::parse;
    use super::*;

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
