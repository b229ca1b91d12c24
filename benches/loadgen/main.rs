//! How fast is the real trommel, over real sockets, and what does it take?
//!
//! `cargo bench --bench loadgen -- load --help` makes one run of load, `… -- goals` measures the rows of the table in
//! `docs/performance.md`, `… -- growth` what happens as rules, keys, connections or lines grow, `… -- others` writes lines and
//! patterns for other programs. Each starts a trommel of its own on free ports of this machine, and stops it and itself.
//!
//! Requests are Alloy's: protobuf packed with snappy, some 1.2 MB of text in twenty streams. All are made before the load begins,
//! since packing them costs as much as trommel's whole work, with times of their own, so that no entry is a repeat. They are due at
//! fixed times, and an answer's time counts from then: a server that hangs delays every request behind it, and that shows.

mod batches;
mod client;
mod findings;
mod goals;
mod growth;
mod keys;
#[path = "../floor/lines.rs"]
#[expect(dead_code, reason = "of the kinds of lines that `floor` knows, some")]
mod lines;
mod load;
mod others;
mod pipeline;
mod rule_files;
#[path = "../floor/rules.rs"]
#[expect(dead_code, reason = "of the rules that `floor` knows, some")]
mod rules;
mod server;
mod wire;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use serde::Serialize;

use batches::Mix;
use load::Load;

#[derive(Parser)]
#[command(
    name = "loadgen",
    about = "Load on a trommel of its own, on this machine"
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Also write the figures to this file
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
    /// What cargo tells every bench
    #[arg(long, global = true, hide = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Command {
    /// One run with one kind of load
    Load(LoadArgs),
    /// The rows of the goals' table
    Goals(goals::GoalsArgs),
    /// What grows with rules, keys, connections and lines
    Growth(growth::GrowthArgs),
    /// Lines and patterns as files, and a RegexSet over them, to compare with other programs
    Others(others::OthersArgs),
}

#[derive(Args)]
struct LoadArgs {
    /// Decompressed bytes a second, in MB; as fast as it answers if left out
    #[arg(long, value_name = "MB", value_parser = megabytes)]
    rate: Option<f64>,
    /// Connections that send at once
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1000))]
    connections: u32,
    /// Which lines hit
    #[arg(long, value_enum, default_value_t = Mix::Quiet)]
    mix: Mix,
    /// Requests to send; each has some 1.2 MB
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    requests: u32,
    /// Rules of the trommel
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=5000))]
    rules: u32,
    /// Cores of the trommel, as `taskset` takes them
    #[arg(long, default_value = "1")]
    cpus: String,
    /// Keep its state on disk
    #[arg(long)]
    data: bool,
}

fn megabytes(text: &str) -> Result<f64> {
    let rate: f64 = text.parse()?;
    ensure!((1.0..=10_000.0).contains(&rate), "not from 1 to 10000");
    Ok(rate)
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    // `cargo bench` runs every bench, and load is for whoever asks for it.
    let Some(command) = cli.command else {
        Cli::command().print_help()?;
        return Ok(());
    };
    match command {
        Command::Load(arguments) => {
            let load = Load {
                mix: arguments.mix,
                rate: arguments.rate.map(|megabytes| megabytes * 1e6),
                connections: arguments.connections as usize,
                requests: arguments.requests as usize,
            };
            let rules = rule_files::mixed(arguments.rules as usize);
            let mut setup = server::Setup::new(&rules)?.on_cpus(&arguments.cpus);
            if arguments.data {
                setup = setup.with_data();
            }
            let server = setup.start()?;
            let report = load.run(&server, &load.bodies(&rules)?)?;
            print!("{report}");
            save(cli.json, &report)
        }
        Command::Goals(arguments) => save(cli.json, &goals::measure(&arguments)?),
        Command::Growth(arguments) => save(cli.json, &growth::measure(&arguments)?),
        Command::Others(arguments) => save(cli.json, &others::run(&arguments)?),
    }
}

fn save(path: Option<PathBuf>, figures: &impl Serialize) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    let json = serde_json::to_string_pretty(figures)?;
    fs::write(&path, json + "\n").with_context(|| format!("cannot write {}", path.display()))
}

/// How many others wanted the cores in the last minute, as the system says it.
fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split(' ').next().and_then(|word| word.parse().ok());
    first.unwrap_or(f64::NAN)
}
