//! `trommel replay`: the whole detector on recorded logs, in their own time.

use clap::Args;

use super::input::InputArgs;

/// Run the detector over recorded logs, in their own time
///
/// Writes the messages that a live run would have published, one CloudEvent per line.
#[derive(Debug, Clone, Args)]
pub struct ReplayArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "its fields are the arguments' help")]
    pub input: InputArgs,
    /// A table of what each rule found, in place of messages
    #[arg(long)]
    pub summary: bool,
}

#[cfg(test)]
mod tests {
    use super::super::input::Input;
    use super::super::tests::parse;
    use super::*;

    #[test]
    fn what_logcli_prints_can_be_replayed() {
        let arguments: ReplayArgs = parse(&["--input", "logcli", "--summary", "x"]).expect("fine");
        assert_eq!(arguments.input.input, Input::Logcli);
        assert!(arguments.summary);
    }
}
