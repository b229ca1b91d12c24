//! `trommel replay`: the whole detector on recorded logs, in their own time.

mod summary;

use std::io::{self, Write};
use std::sync::Arc;

use clap::{Args, ValueEnum};

use self::summary::Summary;
use super::input::{Input, InputArgs, Recorded, Sorting, Span};
use super::output::Output;
use super::progress::{Console, ShowProgress};
use super::{Exit, compile};
use crate::config::{Config, RawConfig};
use crate::detect::{Settings, Tally};
use crate::hit::Scanned;
use crate::playback::{Playback, Played};
use crate::rules::{LoadOptions, RuleSet};
use crate::scan::Scanner;
use crate::time::Timestamp;

/// Run the detector over recorded logs, in their own time
///
/// Writes the messages that a live run would have published, one CloudEvent per line. Findings have the ids that they had
/// live if cluster and labels are the same. What a live run leaves out by default, such as trommel's own streams, is left
/// out here too.
///
/// Any number of files of any size are merged by time as they are read, in constant memory. A file may be somewhat out of
/// order. One that runs backwards, as logcli prints it, is recognised and sorted through temporary files in TMPDIR, and so
/// are push requests. What is further out of order is refused with the line that shows it; --sort takes it. Exit code 2
/// when a file could not be read to its end.
#[derive(Debug, Clone, Args)]
pub struct ReplayArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "its fields are the arguments' help")]
    pub input: InputArgs,
    /// Leave out lines before this: an RFC 3339 time, or a date, which begins at midnight UTC
    ///
    /// As if the log began here: windows are empty, nothing is open, and what lies before decides nothing. To judge a day as a
    /// live run would have, begin as much earlier as the longest window.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub from: Option<Timestamp>,
    /// Leave out lines at this time and later
    ///
    /// The log ends with the last line before it; what is open then stays open. Files in order of time are not read further.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub to: Option<Timestamp>,
    /// Sort all lines through temporary files first, for input in no order
    ///
    /// Takes as much room in TMPDIR as the unpacked lines with their labels.
    #[arg(long)]
    pub sort: bool,
    /// Name of the cluster: part of every finding's id [default: default]
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// Name of the environment
    #[arg(long, value_name = "NAME")]
    pub environment: Option<String>,
    /// A table of what each rule found, in place of messages, and what other thresholds would have found
    ///
    /// For each rule: matches, findings (each counted once, however often it came back), findings a day, messages, how many are
    /// still open, the longest, and the keys with most matches. Below it, for rules that count: how many findings there would
    /// have been with lower and higher counts in the same window.
    #[arg(long)]
    pub summary: bool,
    /// How the summary is written
    #[arg(long, value_enum, default_value_t, requires = "summary")]
    pub format: SummaryFormat,
    /// Whether to show on stderr how far it has come, once it has taken a second
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pub progress: ShowProgress,
}

/// How the summary is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum SummaryFormat {
    /// Tables for people
    #[default]
    Text,
    /// One object, with times in seconds
    Json,
}

/// Reads an RFC 3339 time, or a date.
fn time(text: &str) -> Result<Timestamp, String> {
    // A date alone: what comes without an offset after a time would be taken for midnight.
    if text.len() == "2026-01-31".len()
        && let Ok(date) = text.parse::<jiff::civil::Date>()
        && let Ok(midnight) = date.to_zoned(jiff::tz::TimeZone::UTC)
        && let Ok(nanos) = i64::try_from(midnight.timestamp().as_nanosecond())
    {
        return Ok(Timestamp::new(nanos));
    }
    text.parse().map_err(|_| {
        "neither an RFC 3339 time such as 2026-01-31T09:30:00Z nor a date such as 2026-01-31"
            .to_owned()
    })
}

/// Prints the messages, or the table.
pub(super) fn run(
    arguments: &ReplayArgs,
    out: &mut impl Output,
    diagnostics: &mut impl Output,
) -> anyhow::Result<Exit> {
    let config = Config::check(RawConfig {
        cluster: arguments.cluster.clone(),
        environment: arguments.environment.clone(),
        ..RawConfig::default()
    })?;
    let span = Span {
        from: arguments.from,
        to: arguments.to,
    };
    if let (Some(from), Some(to)) = (span.from, span.to)
        && from >= to
    {
        anyhow::bail!("--from {from} is not before --to {to}: no time lies between them");
    }
    let options = LoadOptions::of_instance(&config.origin.environment);
    let rules = compile::compile_for(&options, &arguments.input.rules, diagnostics)?;
    let scanner = Scanner::new(Arc::clone(&rules)).excluding(config.exclude);
    let settings = Settings::replay(config.origin);
    let mut replay = Replay {
        summary: arguments
            .summary
            .then(|| Summary::new(&rules, &settings, arguments.format)),
        playback: Playback::new(scanner, settings),
        out,
    };
    let console = Console::new(diagnostics, arguments.progress.wanted(diagnostics));
    let sorting = Sorting::usual(arguments.sort);
    let mut entries = arguments.input.in_order(span, sorting, console)?;
    while let Some(entry) = entries.next()? {
        replay.line(&entry, entries.console())?;
    }
    let tally = replay.end(entries.console(), &rules)?;
    notes(&tally, arguments.input.input, entries.console())?;
    entries.end(&rules)?;
    Ok(Exit::Fine)
}

/// What is done with the lines of the log.
struct Replay<'a, O> {
    playback: Playback,
    summary: Option<Summary>,
    out: &'a mut O,
}

impl<O: Write> Replay<'_, O> {
    fn line<D: Write>(&mut self, entry: &Recorded, console: &mut Console<'_, D>) -> io::Result<()> {
        let at = entry.at.unwrap_or_default();
        let (line, metadata) = (&entry.line, &entry.metadata);
        let complete = self.playback.add(&entry.stream, at, line, metadata);
        self.batch(complete, console)
    }

    fn batch<D: Write>(
        &mut self,
        scanned: Option<Scanned>,
        console: &mut Console<'_, D>,
    ) -> io::Result<()> {
        let Some(scanned) = scanned else {
            return Ok(());
        };
        if let Some(summary) = &mut self.summary {
            summary.apply(&scanned);
        }
        let played = self.playback.apply(scanned);
        self.tell(&played, console)
    }

    /// Writes messages, or counts them.
    fn tell<D: Write>(&mut self, played: &Played, console: &mut Console<'_, D>) -> io::Result<()> {
        if let Some(summary) = &mut self.summary {
            summary.count(played);
            return Ok(());
        }
        for finding in &played.findings {
            // Both may go to one terminal.
            console.erase()?;
            self.out.write_all(&self.playback.message(finding).body)?;
            self.out.write_all(b"\n")?;
        }
        Ok(())
    }

    fn end<D: Write>(mut self, console: &mut Console<'_, D>, rules: &RuleSet) -> io::Result<Tally> {
        let rest = self.playback.flush();
        self.batch(rest, console)?;
        if let Some(newest) = self.playback.newest() {
            let played = self.playback.finish(newest);
            self.tell(&played, console)?;
            if let Some(summary) = &mut self.summary {
                summary.finish(newest);
            }
        }
        console.erase()?;
        let tally = self.playback.take_tally();
        if let Some(summary) = self.summary {
            summary.write(rules, &tally, self.out)?;
        }
        Ok(tally)
    }
}

/// Tells what made the replay count less than there is.
fn notes<D: Write>(tally: &Tally, input: Input, console: &mut Console<'_, D>) -> io::Result<()> {
    if tally.duplicates > 0 {
        let hint = if input == Input::Logcli {
            "; `logcli --output=jsonl` writes times in full, where lines of one second differ"
        } else {
            ""
        };
        let count = tally.duplicates;
        console.say(&format!(
            "note: left out {count} matches of lines that repeat another of the same stream and time{hint}"
        ))?;
    }
    let keys = tally
        .keys_evicted
        .values()
        .chain(tally.keys_refused.values())
        .sum::<u64>();
    if keys > 0 {
        let limit = Settings::KEYS_MAX;
        console.say(&format!(
            "note: {keys} keys had no room; a rule has at most {limit} at once"
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
