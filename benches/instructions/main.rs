//! Has a change made the hot path longer? Counts its instructions, which no other load on the machine changes.
//!
//! `scripts/instructions` runs this: it runs itself under valgrind's callgrind and compares each case with `figures` beside this
//! file, which `scripts/instructions --update` writes anew. More than one part in [`TOLERANCE`] off, in either direction, is an
//! error: what has become cheaper should not become dearer again unnoticed.
//!
//! Counted is the build of the tests, in which trommel's own code is not optimised and what it is built of a little: an optimised
//! one takes minutes to make. So a figure says whether there is more to do for a line, not how long that takes, which `floor` does.
//! `CARGO_PROFILE_DEV_OPT_LEVEL=2 cargo run --example instructions -- --print` counts an optimised build, and compares nothing.
//!
//! Figures are instructions for each MiB of decompressed requests. They hold for an x86-64 with AVX2, which is what valgrind knows
//! best, and for the compiler that the file names; elsewhere they are shown and not compared.

#[path = "../floor/lines.rs"]
#[expect(dead_code, reason = "of the kinds of lines that `floor` knows, some")]
mod lines;
#[path = "../floor/rules.rs"]
#[expect(dead_code, reason = "of the rules that `floor` knows, some")]
mod rules;
#[path = "../floor/windows.rs"]
mod windows;
#[path = "../floor/wire.rs"]
#[expect(dead_code, reason = "of what `floor` makes of requests, some")]
mod wire;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use trommel::rules::RuleSet;
use trommel::scan::{Scanner, Scratch};
use trommel::time::Timestamp;

use lines::Mix;
use windows::Windows;
use wire::{Decoder, Request};

/// How far a figure may be from the committed one: one part in so many.
const TOLERANCE: u64 = 20;

/// Cases in the order in which they run.
const CASES: [&str; 6] = [
    "decode",
    "scan, 200 rules, no line hit",
    "scan, 200 rules, 1 % of lines hit",
    "scan, 200 rules, every line hit",
    "scan, shipped rules, no line hit",
    "detect, 200 rules, 10 % of lines hit",
];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["run"] => {
            run();
            Ok(())
        }
        [] => compare(&count()?),
        ["--update"] => update(&count()?),
        ["--print"] => {
            print!("{}", as_text(&count()?)?);
            Ok(())
        }
        _ => bail!("usage: instructions [--update | --print]"),
    }
}

/// Everything between its begin and its end is counted, by its name.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
    // So that nothing follows the call above, or it would become a jump and this function would not be seen to end.
    black_box(());
}

/// Runs every case once to warm it up and once to be counted. Prints the size of its request, in bytes.
fn run() {
    let two_hundred = rules::rule_set(&rules::two_hundred());
    let shipped = rules::shipped();
    let case = |(set, examples): &(Arc<RuleSet>, Vec<String>), per_mille| {
        let request = Request::new(&Mix::Hits { per_mille }.streams(1, examples));
        (Scanner::new(Arc::clone(set)), request)
    };
    let (scanner, quiet) = case(&two_hundred, 0);
    let (_, busy) = case(&two_hundred, 10);
    let (_, storm) = case(&two_hundred, 1000);
    let (shipped, _) = case(&shipped, 0);

    let mut decoder = Decoder::new();
    twice(&quiet, || {
        black_box(decoder.decode(&quiet));
    });
    for (scanner, request) in [
        (&scanner, &quiet),
        (&scanner, &busy),
        (&scanner, &storm),
        (&shipped, &quiet),
    ] {
        let batch = decoder.decode(request);
        let mut scratch = Scratch::timed_by(Instant::now);
        let mut hits = Vec::new();
        twice(request, || {
            hits.clear();
            scanner.scan(batch, 0..batch.entries.len(), &mut scratch, &mut hits);
            black_box(&hits);
        });
    }
    let (_, tenth) = case(&two_hundred, 100);
    let batch = decoder.decode(&tenth);
    let scanned = scanner.scan_whole(batch, &"".into(), &mut Scratch::timed_by(Instant::now));
    let mut windows = Windows::new(scanner.rules());
    let mut rounds = [scanned.clone(), scanned].map(|it| Some(windows.later(it)));
    twice(&tenth, || {
        let scanned = rounds.iter_mut().find_map(Option::take);
        let scanned = scanned.expect("there is one for each time");
        windows.detector.apply(scanned, Timestamp::MAX);
        black_box(windows.detector.take_changes());
    });
}

fn twice(request: &Request, mut work: impl FnMut()) {
    work();
    counted(&mut work);
    println!("{}", request.bytes);
}

/// Instructions for each MiB, by case.
type Figures = BTreeMap<String, u64>;

/// Runs this program under callgrind, which writes one file for each time that [`counted`] ends.
fn count() -> Result<Figures> {
    let folder = std::env::temp_dir().join(format!("instructions-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let figures = count_in(&folder);
    let _ = fs::remove_dir_all(&folder);
    figures
}

fn count_in(folder: &Path) -> Result<Figures> {
    let ran = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*::counted"])
        .args(["--dump-after=*::counted", "--quiet"])
        .arg(format!(
            "--callgrind-out-file={}",
            folder.join("out").display()
        ))
        .arg(std::env::current_exe()?)
        .arg("run")
        .output()
        .context("cannot start valgrind: scripts/install-test-tools installs it")?;
    let printed = String::from_utf8_lossy(&ran.stdout);
    ensure!(
        ran.status.success(),
        "{}: {}",
        ran.status,
        String::from_utf8_lossy(&ran.stderr)
    );
    let bytes: Vec<u64> = printed.lines().map(str::parse).collect::<Result<_, _>>()?;
    ensure!(
        bytes.len() == CASES.len(),
        "not a size for each case: {printed}"
    );
    let mut figures = Figures::new();
    for ((number, case), bytes) in CASES.iter().enumerate().zip(bytes) {
        let text = fs::read_to_string(folder.join(format!("out.{}", number + 1)))?;
        let total = text
            .lines()
            .find_map(|line| line.strip_prefix("totals: ")?.parse::<u64>().ok())
            .filter(|&total| total > 0)
            .ok_or_else(|| anyhow!("callgrind counted nothing for {case}"))?;
        figures.insert((*case).to_owned(), total * (1 << 20) / bytes);
    }
    Ok(figures)
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions/figures")
}

/// What the figures depend on besides the code.
fn made_with() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output()?.stdout;
    let version = String::from_utf8(version)?;
    let simd = if cfg!(target_arch = "x86_64") && has_avx2() {
        "x86-64 with AVX2"
    } else {
        std::env::consts::ARCH
    };
    Ok(format!("{}, {simd}", version.trim()))
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    std::arch::is_x86_feature_detected!("avx2")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx2() -> bool {
    false
}

fn update(figures: &Figures) -> Result<()> {
    let text = as_text(figures)?;
    fs::write(path(), &text)?;
    print!("{text}");
    Ok(())
}

fn as_text(figures: &Figures) -> Result<String> {
    let mut text = format!("# {}\n", made_with()?);
    for case in CASES {
        writeln!(text, "{:>12}  {case}", figures[case])?;
    }
    Ok(text)
}

fn compare(now: &Figures) -> Result<()> {
    let text = fs::read_to_string(path()).context("scripts/instructions --update writes them")?;
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let (committed_with, made_with) = (first.trim_start_matches("# "), made_with()?);
    let mut committed = Figures::new();
    for line in rest.lines() {
        let (figure, case) = line
            .trim_start()
            .split_once("  ")
            .ok_or_else(|| anyhow!("{}: not a figure and a case: {line}", path().display()))?;
        committed.insert(case.to_owned(), figure.parse()?);
    }
    let mut off = 0;
    for case in CASES {
        let now = now[case];
        let was = *committed
            .get(case)
            .ok_or_else(|| anyhow!("{} has no {case}", path().display()))?;
        let percent = 100.0 * (now as f64 / was as f64 - 1.0);
        println!("{now:>12} {percent:>+6.1} %  {case}");
        off += usize::from(now.abs_diff(was) > was / TOLERANCE);
    }
    if committed_with != made_with {
        println!(
            "not compared: committed are figures of {committed_with}, these are of {made_with}"
        );
        return Ok(());
    }
    ensure!(
        off == 0,
        "{off} of {} figures are more than {} % off; if that is meant, scripts/instructions --update",
        CASES.len(),
        100 / TOLERANCE
    );
    Ok(())
}
