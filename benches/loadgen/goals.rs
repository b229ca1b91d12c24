//! The rows of the goals' table in `docs/performance.md` that a load can measure.

use std::fmt::Write as _;
use std::time::SystemTime;

use anyhow::{Result, ensure};
use clap::Args;
use serde::Serialize;

use crate::batches::Mix;
use crate::findings;
use crate::keys;
use crate::load::{Load, Quantiles, Report};
use crate::pipeline::Pipeline;
use crate::rule_files;
use crate::server::{Server, Setup};

#[derive(Args)]
pub(crate) struct GoalsArgs {
    /// Only rows whose name contains this
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// How often each comparison is made, one after the other
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,
    /// Seconds of load at half of full speed
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=120))]
    seconds: u32,
    /// The server for findings
    #[arg(long, value_name = "PROGRAM", default_value = "nats-server")]
    nats_server: String,
}

/// One row: what was measured, and in what.
#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    value: f64,
    unit: &'static str,
    limit: f64,
    aim: Option<f64>,
    /// Whether more is better.
    at_least: bool,
    load_average: f64,
}

/// All that was measured.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Goals {
    rows: Vec<Row>,
    runs: Vec<(&'static str, Report)>,
    seconds_since_epoch: u64,
}

const FULL_SPEED: &str = "over HTTP";
const HALF_SPEED: &str = "answers at half speed";
const MIXES: &str = "mixes";
const MEMORY: &str = "memory";
const ACK: &str = "push to ack";
const START: &str = "start";
const WORKERS: &str = "two workers";

/// Measures, printing each row as it comes.
///
/// # Errors
/// When a program is missing or breaks.
pub(crate) fn measure(arguments: &GoalsArgs) -> Result<Goals> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let mut goals = Goals {
        seconds_since_epoch: since.as_secs(),
        ..Goals::default()
    };
    let wanted = |name: &str| name.contains(&arguments.only);
    if wanted(FULL_SPEED) || wanted(HALF_SPEED) {
        let full = goals.full_speed(arguments.rounds)?;
        if wanted(HALF_SPEED) {
            goals.half_speed(full, arguments.seconds)?;
        }
    }
    if wanted(MIXES) {
        goals.mixes()?;
    }
    if wanted(MEMORY) {
        goals.memory()?;
    }
    if wanted(ACK) {
        goals.ack(&arguments.nats_server)?;
    }
    if wanted(START) {
        goals.start(arguments.rounds)?;
    }
    if wanted(WORKERS) {
        goals.two_workers(arguments.rounds)?;
    }
    ensure!(
        !goals.runs.is_empty() || !goals.rows.is_empty(),
        "no row is called {}",
        arguments.only
    );
    Ok(goals)
}

impl Goals {
    /// How near one core over HTTP comes to the pipeline alone on the same requests. Returns full speed, in bytes a second.
    fn full_speed(&mut self, rounds: u32) -> Result<f64> {
        let rules = rule_files::mixed(200);
        let server = Setup::new(&rules)?.start()?;
        let mut pipeline = Pipeline::new(rules.set()?);
        let load = as_answered(Mix::Quiet, 64, 600);
        let mut shares = Vec::new();
        let mut speeds = Vec::new();
        let mut fastest: f64 = 0.0;
        for _ in 0..rounds {
            let bodies = load.bodies(&rules)?;
            let alone = pipeline.run(&bodies)?;
            let report = load.run(&server, &bodies)?;
            ensure!(
                report.matches == alone.hits as f64 || report.shed_percent() > 0.0,
                "the pipeline alone found {} matches, the server otherwise: {report}",
                alone.hits
            );
            println!(
                "pipeline alone: {:.2} CPU s/GB, {:.1} MB/s",
                alone.cpu_seconds_per_gigabyte,
                alone.bytes_per_second / 1e6
            );
            if whole(&report) {
                shares.push(alone.cpu_seconds_per_gigabyte / report.cpu_seconds_per_gigabyte);
                speeds.push(report.megabytes_per_second * 1e6 / alone.bytes_per_second);
            }
            fastest = fastest.max(report.megabytes_per_second * 1e6);
            self.add_run("full speed", report);
        }
        let share = 100.0 * median(shares)?;
        self.add(
            "speed over HTTP, 64 connections, of the pipeline's own, by CPU time",
            share,
            "%",
            80.0,
            90.0,
            true,
        );
        let share = 100.0 * median(speeds)?;
        self.add(
            "speed over HTTP, 64 connections, of the pipeline's own, by the clock",
            share,
            "%",
            80.0,
            90.0,
            true,
        );
        Ok(fastest)
    }

    fn half_speed(&mut self, full: f64, seconds: u32) -> Result<()> {
        let rules = rule_files::mixed(200);
        let load = Load {
            rate: Some(full / 2.0),
            requests: (full / 2.0 * f64::from(seconds) / 1.19e6) as usize,
            ..as_answered(Mix::Quiet, 64, 0)
        };
        let names = [
            [
                "answer at half of full speed, state in memory, p50",
                "answer at half of full speed, state in memory, p99",
                "answer at half of full speed, state in memory, p99.9",
            ],
            [
                "answer at half of full speed, state on disk, p50",
                "answer at half of full speed, state on disk, p99",
                "answer at half of full speed, state on disk, p99.9",
            ],
        ];
        let setups = [Setup::new(&rules)?, Setup::new(&rules)?.with_data()];
        for (setup, names) in setups.into_iter().zip(names) {
            let server = setup.start()?;
            let report = load.run(&server, &load.bodies(&rules)?)?;
            let Quantiles { p50, p99, p999, .. } = report.answer;
            self.add_run("half speed", report);
            for (name, (value, limit)) in
                names
                    .into_iter()
                    .zip([(p50, 5.0), (p99, 20.0), (p999, 50.0)])
            {
                self.add(name, value, "ms", limit, None, false);
            }
        }
        Ok(())
    }

    /// Not goals: what busier logs cost.
    fn mixes(&mut self) -> Result<()> {
        let rules = rule_files::mixed(200);
        for (name, mix, requests) in [("busy", Mix::Busy, 300), ("storm", Mix::Storm, 60)] {
            let server = Setup::new(&rules)?.with_data().start()?;
            let load = as_answered(mix, 16, requests);
            let report = load.run(&server, &load.bodies(&rules)?)?;
            self.add_run(name, report);
        }
        Ok(())
    }

    fn memory(&mut self) -> Result<()> {
        let idle = Setup::shipped()?.start()?;
        let resident = mib(&idle)?;
        self.add(
            "memory, idle, shipped rules",
            resident,
            "MiB",
            16.0,
            10.0,
            false,
        );
        drop(idle);

        let rules = rule_files::mixed(200);
        let server = Setup::new(&rules)?.on_cpus("0,1").start()?;
        let load = as_answered(Mix::Quiet, 64, 600);
        let report = load.run(&server, &load.bodies(&rules)?)?;
        let peak = report.resident_peak_mib;
        self.add_run("memory", report);
        self.add(
            "memory, 64 connections at full load",
            peak,
            "MiB",
            64.0,
            40.0,
            false,
        );
        drop(server);

        let server = keys::server(1000, 100_000)?;
        keys::push(&server, 0..100_000)?;
        let resident = mib(&server)?;
        self.add(
            "memory, 1 000 rules and 100 000 keys",
            resident,
            "MiB",
            96.0,
            64.0,
            false,
        );
        Ok(())
    }

    fn ack(&mut self, nats_server: &str) -> Result<()> {
        let times = findings::push_to_ack(nats_server, 500)?;
        let times = Quantiles::of(&times);
        println!("push to ack: {times}");
        self.add(
            "push to JetStream's ack, p99",
            times.p99,
            "ms",
            50.0,
            20.0,
            false,
        );
        Ok(())
    }

    fn start(&mut self, rounds: u32) -> Result<()> {
        let rules = rule_files::mixed(1000);
        let starts = (0..rounds * 5).map(|_| {
            let server = Setup::new(&rules)?.start()?;
            Ok(server.ready_after.as_secs_f64() * 1000.0)
        });
        let ready = median(starts.collect::<Result<Vec<_>>>()?)?;
        self.add(
            "start to ready, 1 000 rules, median",
            ready,
            "ms",
            300.0,
            100.0,
            false,
        );
        Ok(())
    }

    /// What a second worker costs: the same load on one core and on two.
    fn two_workers(&mut self, rounds: u32) -> Result<()> {
        let rules = rule_files::mixed(200);
        let [one, two] = ["1", "0,1"].map(|cpus| Setup::new(&rules)?.on_cpus(cpus).start());
        let (one, two) = (one?, two?);
        let load = as_answered(Mix::Quiet, 64, 600);
        let mut more = Vec::new();
        for _ in 0..rounds {
            let of_one = load.run(&one, &load.bodies(&rules)?)?;
            let of_two = load.run(&two, &load.bodies(&rules)?)?;
            if whole(&of_one) && whole(&of_two) {
                more.push(of_two.cpu_seconds_per_gigabyte / of_one.cpu_seconds_per_gigabyte);
            }
            self.add_run("one worker", of_one);
            self.add_run("two workers", of_two);
        }
        let more = 100.0 * (median(more)? - 1.0);
        self.add(
            "CPU per GB, two workers more than one",
            more,
            "%",
            10.0,
            None,
            false,
        );
        Ok(())
    }

    fn add_run(&mut self, name: &'static str, report: Report) {
        print!("{name}: {report}");
        self.runs.push((name, report));
    }

    fn add(
        &mut self,
        name: &'static str,
        value: f64,
        unit: &'static str,
        limit: f64,
        aim: impl Into<Option<f64>>,
        at_least: bool,
    ) {
        let aim = aim.into();
        let holds = |bound: f64| {
            if at_least {
                value >= bound
            } else {
                value <= bound
            }
        };
        let sign = if at_least { "≥" } else { "≤" };
        let mut line = format!("# {name}: {value:.1} {unit}, goal {sign} {limit} {unit}");
        if let Some(aim) = aim {
            let _ = write!(line, ", aim {sign} {aim} {unit}");
        }
        let word = match aim {
            Some(aim) if holds(aim) => "aim reached",
            _ if holds(limit) => "goal reached",
            _ => "missed",
        };
        println!("{line}: {word}");
        self.rows.push(Row {
            name,
            value,
            unit,
            limit,
            aim,
            at_least,
            load_average: crate::load_average(),
        });
    }
}

pub(crate) fn as_answered(mix: Mix, connections: usize, requests: usize) -> Load {
    Load {
        mix,
        rate: None,
        connections,
        requests,
    }
}

fn mib(server: &Server) -> Result<f64> {
    Ok(server.metrics()?.resident_bytes() / 1048576.0)
}

/// Whether everything was inspected; what was shed took less time, and cannot be compared.
fn whole(report: &Report) -> bool {
    let whole = report.shed_percent() == 0.0;
    if !whole {
        println!("not compared, since it shed: the machine has too much else to do");
    }
    whole
}

fn median(mut values: Vec<f64>) -> Result<f64> {
    ensure!(!values.is_empty(), "there is nothing to compare");
    values.sort_by(f64::total_cmp);
    Ok(values[values.len() / 2])
}
