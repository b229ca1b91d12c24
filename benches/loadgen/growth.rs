//! What becomes of speed and memory as one thing grows and all else stays.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use serde::Serialize;
use serde_json::json;
use trommel::batch::Labels;

use crate::batches::{self, Bodies, Mix};
use crate::goals::as_answered;
use crate::keys;
use crate::load::Report;
use crate::rule_files;
use crate::server::Setup;
use crate::wire::SentStream;

/// Lines of one request, in bytes, that lines of any length make up.
const REQUEST_BYTES: usize = 1_190_000;

#[derive(Args)]
pub(crate) struct GrowthArgs {
    /// Only what is called so: rules, keys, connections or lines
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Requests for each point
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=3000))]
    requests: u32,
}

/// One measurement; what was not asked is absent.
#[derive(Debug, Default, Serialize)]
struct Point {
    /// How much there was of what grows.
    x: f64,
    cpu_seconds_per_gigabyte: Option<f64>,
    megabytes_per_second: Option<f64>,
    answer_p99_ms: Option<f64>,
    cpu_microseconds_per_key: Option<f64>,
    ready_ms: Option<f64>,
    resident_mib: f64,
    resident_peak_mib: f64,
    /// Share of entries.
    shed_percent: f64,
    load_average: f64,
}

/// All that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Growth {
    rules: Vec<Point>,
    keys: Vec<Point>,
    connections: Vec<Point>,
    lines: Vec<Point>,
}

/// Measures, printing each point as it comes.
///
/// # Errors
/// When a trommel cannot be started or breaks.
pub(crate) fn measure(arguments: &GrowthArgs) -> Result<Growth> {
    let requests = arguments.requests as usize;
    let points = |name: &str, xs: &[usize], point: &dyn Fn(usize) -> Result<Point>| {
        let wanted = name.contains(&arguments.only);
        let xs = xs.iter().filter(|_| wanted);
        let points = xs.map(|&x| {
            let point = point(x)?;
            println!("{name} {x}: {}", serde_json::to_string(&point)?);
            Ok(point)
        });
        points.collect::<Result<Vec<_>>>()
    };
    let growth = Growth {
        rules: points("rules", &[10, 50, 200, 1000, 5000], &|rules| {
            of_rules(rules, requests)
        })?,
        keys: points(
            "keys",
            &[10, 100, 1000, 10_000, 100_000, 1_000_000],
            &of_keys,
        )?,
        connections: points("connections", &[1, 4, 16, 64, 256, 1000], &|connections| {
            of_connections(connections, requests)
        })?,
        lines: points(
            "lines",
            &[10, 30, 100, 1000, 10_000, 100_000, 1_000_000],
            &|length| of_lines(length, requests),
        )?,
    };
    let all = [
        &growth.rules,
        &growth.keys,
        &growth.connections,
        &growth.lines,
    ];
    ensure!(
        all.iter().any(|points| !points.is_empty()),
        "nothing is called {}",
        arguments.only
    );
    Ok(growth)
}

fn of_rules(count: usize, requests: usize) -> Result<Point> {
    let rules = rule_files::mixed(count);
    let server = Setup::new(&rules)?.start()?;
    let load = as_answered(Mix::Quiet, 16, requests);
    let report = load.run(&server, &load.bodies(&rules)?)?;
    Ok(Point {
        ready_ms: Some(server.ready_after.as_secs_f64() * 1000.0),
        ..Point::of(count, &report)
    })
}

fn of_keys(count: usize) -> Result<Point> {
    let server = keys::server(10, count)?;
    let before = server.metrics()?.cpu_seconds();
    keys::push(&server, 0..count)?;
    let metrics = server.metrics()?;
    let seconds = metrics.cpu_seconds() - before;
    Ok(Point {
        x: count as f64,
        // The system counts in hundredths of a second.
        cpu_microseconds_per_key: (seconds >= 0.1).then_some(seconds * 1e6 / count as f64),
        resident_mib: metrics.resident_bytes() / 1048576.0,
        resident_peak_mib: server.resident_peak()? / 1048576.0,
        load_average: crate::load_average(),
        ..Point::default()
    })
}

fn of_connections(count: usize, requests: usize) -> Result<Point> {
    let rules = rule_files::mixed(200);
    // The usual memory, of which keys give connections what these need.
    let settings =
        json!({"limits": {"connections_max": 1100}, "detect": {"keys_bytes_max": "5MiB"}});
    let setup = Setup::new(&rules)?.with_settings(&settings.to_string())?;
    let server = setup.start()?;
    // Each connection sends some, or most of a thousand would have nothing to do.
    let load = as_answered(Mix::Quiet, count, requests.max(2 * count));
    let report = load.run(&server, &load.bodies(&rules)?)?;
    Ok(Point::of(count, &report))
}

fn of_lines(length: usize, requests: usize) -> Result<Point> {
    let rules = rule_files::mixed(200);
    let server = Setup::new(&rules)?.start()?;
    let load = as_answered(Mix::Quiet, 16, requests);
    let sets = of_length(length, &rules.examples);
    let bodies = Bodies::new(&sets, requests, Duration::from_millis(3))?;
    let report = load.run(&server, &Arc::new(bodies))?;
    Ok(Point::of(length, &report))
}

/// The usual lines of a stream in one text, cut into lines of so many bytes.
fn of_length(length: usize, examples: &[String]) -> Vec<Vec<SentStream>> {
    let usual = batches::sets(Mix::Quiet, examples);
    let sets = usual.into_iter().map(|streams| {
        // Two streams at most where one line is nearly the whole request.
        let most = (REQUEST_BYTES / length).max(1);
        let labels: Vec<Labels> = streams.iter().map(|one| one.labels.clone()).collect();
        let text: Vec<u8> = streams
            .into_iter()
            .flat_map(|one| one.lines)
            .flatten()
            .collect();
        let lines: Vec<_> = text
            .chunks_exact(length)
            .map(<[u8]>::to_vec)
            .take(most)
            .collect();
        let share = lines.len().div_ceil(labels.len());
        let streams = lines
            .chunks(share)
            .zip(labels)
            .map(|(lines, labels)| SentStream {
                labels,
                lines: lines.to_vec(),
            });
        streams.collect()
    });
    sets.collect()
}

impl Point {
    fn of(x: usize, report: &Report) -> Self {
        Self {
            x: x as f64,
            // What was shed took less.
            cpu_seconds_per_gigabyte: (report.shed_percent() < 1.0)
                .then_some(report.cpu_seconds_per_gigabyte),
            megabytes_per_second: Some(report.megabytes_per_second),
            answer_p99_ms: Some(report.answer.p99),
            resident_mib: report.resident_mib,
            resident_peak_mib: report.resident_peak_mib,
            shed_percent: report.shed_percent(),
            load_average: report.load_average,
            ..Self::default()
        }
    }
}
