//! Recorded logs as `scan` and `replay` take them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Recorded logs, and the rules to try on them.
#[derive(Debug, Clone, Args)]
pub struct InputArgs {
    /// Rule file or directory; may be given several times [default: the rules that ship with trommel]
    #[arg(long, value_name = "PATH")]
    pub rules: Vec<PathBuf>,
    /// What the files hold
    #[arg(long, value_enum, default_value_t)]
    pub input: Input,
    /// Labels of lines that bring none of their own, such as '{namespace="shop", app="api"}'
    #[arg(long, value_name = "LABELS")]
    pub labels: Option<String>,
    /// Files to read; `-` is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    pub files: Vec<PathBuf>,
}

/// What a file of recorded logs holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Input {
    /// One line of log each
    #[default]
    Raw,
    /// One object each: {"labels":{…},"line":"…","ts":"RFC 3339, optional"}
    Jsonl,
    /// Lines as a container runtime writes them: time, stream, F or P, message
    Cri,
    /// One push request's body, as Alloy sends it
    Push,
    /// What `logcli query` prints
    Logcli,
}
