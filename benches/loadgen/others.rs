//! The same lines and patterns for other programs: as files, and through one `RegexSet` in this process.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use regex::bytes::RegexSet;
use serde::Serialize;
use trommel::rules::Item;

use crate::batches::{self, Bodies, Mix};
use crate::pipeline::{Pipeline, thread_seconds};
use crate::rule_files;
use crate::rules;

#[derive(Args)]
pub(crate) struct OthersArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write `lines`, `literals`, `patterns` and `rules.yaml` into a folder
    Write {
        /// The folder, which must be there
        folder: PathBuf,
        /// Size of `lines`, in MB
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=2000))]
        megabytes: u32,
    },
    /// Ask one RegexSet of `patterns` about each of `lines`, as a straightforward program would
    RegexSet {
        /// The folder that was written
        folder: PathBuf,
    },
    /// Trommel's own pipeline, with the lines packed as pushes
    Pipeline {
        /// Roughly how much, in MB
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=2000))]
        megabytes: u32,
    },
}

/// What one of these did.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Done {
    bytes: usize,
    lines: usize,
    matching: usize,
    cpu_seconds: f64,
    seconds: f64,
}

/// Does what is asked, and prints it as JSON.
///
/// # Errors
/// When a file cannot be read or written.
pub(crate) fn run(arguments: &OthersArgs) -> Result<Done> {
    let done = match &arguments.command {
        Command::Write { folder, megabytes } => write(folder, *megabytes as usize * 1_000_000)?,
        Command::RegexSet { folder } => regex_set(folder)?,
        Command::Pipeline { megabytes } => pipeline(*megabytes as usize * 1_000_000)?,
    };
    println!("{}", serde_json::to_string(&done)?);
    Ok(done)
}

fn write(folder: &Path, bytes_min: usize) -> Result<Done> {
    let rules = rule_files::for_every_stream();
    let (mut literals, mut patterns) = (String::new(), String::new());
    for item in rules::two_hundred().iter().flat_map(|one| &one.matches.any) {
        let pattern = match item {
            Item::Text { text, .. } => {
                literals += &format!("{text}\n");
                regex::escape(text)
            }
            Item::Regex(pattern) => alone(&pattern.source),
        };
        patterns += &format!("{pattern}\n");
    }
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    write("literals", &literals)?;
    write("patterns", &patterns)?;
    write("rules.yaml", &rules.yaml)?;

    let sets = batches::sets(Mix::Quiet, &rules.examples);
    let mut file = std::io::BufWriter::new(fs::File::create(folder.join("lines"))?);
    let mut done = Done::default();
    for set in sets.iter().cycle() {
        if done.bytes >= bytes_min {
            break;
        }
        for line in set.iter().flat_map(|stream| &stream.lines) {
            file.write_all(line)?;
            file.write_all(b"\n")?;
            done.bytes += line.len() + 1;
            done.lines += 1;
        }
    }
    file.flush()?;
    Ok(done)
}

/// An expression that can be joined to others by `|`: without names, which only one may have, and without a flag for what follows.
fn alone(pattern: &str) -> String {
    let mut groups = pattern.split("(?P<");
    let mut text = groups.next().unwrap_or_default().to_owned();
    for group in groups {
        let (_, rest) = group.split_once('>').unwrap_or(("", group));
        text += "(?:";
        text += rest;
    }
    match text.strip_prefix("(?i)") {
        Some(rest) => format!("(?i:{rest})"),
        None => text,
    }
}

fn regex_set(folder: &Path) -> Result<Done> {
    let patterns = fs::read_to_string(folder.join("patterns"))?;
    let set = RegexSet::new(patterns.lines())?;
    let text = fs::read(folder.join("lines"))?;
    let (began, cpu) = (Instant::now(), thread_seconds()?);
    let (mut lines, mut matching) = (0, 0);
    for line in text
        .strip_suffix(b"\n")
        .unwrap_or(&text)
        .split(|&byte| byte == b'\n')
    {
        lines += 1;
        matching += usize::from(set.matches(line).matched_any());
    }
    Ok(Done {
        bytes: text.len(),
        lines,
        matching,
        cpu_seconds: thread_seconds()? - cpu,
        seconds: began.elapsed().as_secs_f64(),
    })
}

fn pipeline(bytes: usize) -> Result<Done> {
    let rules = rule_files::for_every_stream();
    let sets = batches::sets(Mix::Quiet, &rules.examples);
    let requests = bytes.div_ceil(1_190_000);
    let bodies = Bodies::new(&sets, requests, std::time::Duration::from_millis(3))?;
    let took = Pipeline::new(rules.set()?).run(&bodies)?;
    let bytes = bodies.total_bytes();
    Ok(Done {
        bytes,
        lines: bodies.lines,
        matching: took.hits,
        cpu_seconds: took.cpu_seconds_per_gigabyte * bytes as f64 / 1e9,
        seconds: bytes as f64 / took.bytes_per_second,
    })
}
