//! How far a long command has come: one line on a terminal, there after a second and gone at the end.

use std::cell::Cell;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use super::output::Output;
use crate::time::Timestamp;

/// When progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ShowProgress {
    /// On a terminal, where TERM is not `dumb`
    #[default]
    Auto,
    /// Not at all
    Never,
    /// Wherever stderr goes
    Always,
}

impl ShowProgress {
    /// Whether to show it where `diagnostics` go.
    pub(super) fn wanted(self, diagnostics: &impl Output) -> bool {
        match self {
            Self::Auto => {
                diagnostics.is_terminal()
                    && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
            }
            Self::Never => false,
            Self::Always => true,
        }
    }
}

/// What goes to stderr while a command runs: what is said stays, the progress is one line below it.
pub(super) struct Console<'a, D> {
    out: &'a mut D,
    started: Instant,
    meter: Option<Meter>,
    ticks: u32,
}

/// One call in so many looks at the clock.
const TICKS: u32 = 64;

impl<'a, D: Write> Console<'a, D> {
    /// Without progress.
    pub(super) fn plain(out: &'a mut D) -> Self {
        Self {
            out,
            started: Instant::now(),
            meter: None,
            ticks: 0,
        }
    }

    /// With progress, if that is wanted.
    pub(super) fn new(out: &'a mut D, wanted: bool) -> Self {
        Self {
            meter: wanted.then(Meter::default),
            ..Self::plain(out)
        }
    }

    /// Writes one line that stays.
    pub(super) fn say(&mut self, line: &str) -> io::Result<()> {
        self.erase()?;
        writeln!(self.out, "{line}")
    }

    /// A new part of the work, which the line begins with: `read` is how many bytes of `total` are done, which is unknown for
    /// what comes through a pipe.
    pub(super) fn begin(&mut self, what: &'static str, read: &Rc<Cell<u64>>, total: Option<u64>) {
        let now = self.started.elapsed();
        if let Some(meter) = &mut self.meter {
            meter.begin(what, Rc::clone(read), total, now);
        }
    }

    /// To be called all the time: the log has come to `at`.
    pub(super) fn tick(&mut self, at: Option<Timestamp>) -> io::Result<()> {
        self.ticks = self.ticks.wrapping_add(1);
        if !self.ticks.is_multiple_of(TICKS) {
            return Ok(());
        }
        let now = self.started.elapsed();
        match &mut self.meter {
            Some(meter) => meter.draw(now, at, self.out),
            None => Ok(()),
        }
    }

    /// Takes the progress away, before something else is written to the same terminal.
    pub(super) fn erase(&mut self) -> io::Result<()> {
        match &mut self.meter {
            Some(meter) => meter.erase(self.out),
            None => Ok(()),
        }
    }

    /// Takes the progress away for good.
    pub(super) fn into_out(mut self) -> io::Result<&'a mut D> {
        self.erase()?;
        Ok(self.out)
    }
}

/// Draws the line. It is told the time, as what has passed since the command began.
#[derive(Debug, Default)]
struct Meter {
    what: &'static str,
    read: Rc<Cell<u64>>,
    total: Option<u64>,
    begun: Duration,
    /// Whether the line is there, and when it was drawn last.
    shown: bool,
    drawn: Option<Duration>,
}

/// What takes less long shows nothing.
const SHOW_AFTER: Duration = Duration::from_secs(1);
/// Often enough to look alive, seldom enough to read.
const REDRAW: Duration = Duration::from_millis(200);
/// Width of the bar.
const BAR: u64 = 8;
/// Back to the start of the line, and nothing after it. Source: ECMA-48, section 8.3.41 (EL).
const ERASE: &str = "\r\x1b[K";
/// What is too wide is cut, not wrapped: only one line can be erased. Source: xterm's DECAWM.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

impl Meter {
    fn begin(
        &mut self,
        what: &'static str,
        read: Rc<Cell<u64>>,
        total: Option<u64>,
        now: Duration,
    ) {
        (self.what, self.read, self.total, self.begun) = (what, read, total, now);
    }

    fn draw(
        &mut self,
        now: Duration,
        at: Option<Timestamp>,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let due = match self.drawn {
            None => now >= SHOW_AFTER,
            Some(drawn) => now.saturating_sub(drawn) >= REDRAW,
        };
        if !due {
            return Ok(());
        }
        (self.shown, self.drawn) = (true, Some(now));
        // At once, so that nothing comes between and wrapping is never left off.
        let line = format!("{ERASE}{NO_WRAP}{}{WRAP}", self.line(now, at));
        out.write_all(line.as_bytes())?;
        out.flush()
    }

    fn erase(&mut self, out: &mut impl Write) -> io::Result<()> {
        if std::mem::take(&mut self.shown) {
            out.write_all(ERASE.as_bytes())?;
            out.flush()?;
        }
        Ok(())
    }

    fn line(&self, now: Duration, at: Option<Timestamp>) -> String {
        let (read, passed) = (self.read.get(), now.saturating_sub(self.begun));
        let rate = (u128::from(read) * 1000 / passed.as_millis().max(1)) as u64;
        let mut line = self.what.to_owned();
        // What is written while it is read grows beyond its size; then the end is as unknown as that of a pipe.
        if let Some(total) = self.total.filter(|total| *total >= read && *total > 0) {
            let filled = (read * BAR / total) as usize;
            let rest = BAR as usize - filled;
            let percent = u128::from(read) * 100 / u128::from(total);
            let _ = write!(
                line,
                "[{}{}] {percent:>3}% of {}",
                "#".repeat(filled),
                ".".repeat(rest),
                size(total)
            );
            if let Some(left) = (total - read).checked_div(rate) {
                let _ = write!(line, ", {} left", clock(left));
            }
        } else {
            let _ = write!(line, "{}", size(read));
        }
        let _ = write!(line, ", {}/s", size(rate));
        if let Some(at) = at {
            // The second is precise enough for a line that is redrawn five times in it.
            let second = Timestamp::new(
                at.nanos()
                    .div_euclid(1_000_000_000)
                    .saturating_mul(1_000_000_000),
            );
            let _ = write!(line, ", at {second}");
        }
        line
    }
}

/// `0:07`, `1:02:03`.
fn clock(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

/// `999 B`, `1.5 MiB`.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut tenths = u128::from(bytes) * 10 / 1024;
    let mut units = UNITS.iter();
    let mut unit = units.next().unwrap_or(&"KiB");
    while tenths >= 10_240
        && let Some(next) = units.next()
    {
        (tenths, unit) = (tenths / 1024, next);
    }
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::new(1_767_607_200_500_000_000);

    /// What has been drawn in all after the calls of `draw` at these times.
    fn drawn(total: Option<u64>, times: &[(u64, u64)]) -> String {
        let read = Rc::new(Cell::new(0));
        let mut meter = Meter::default();
        meter.begin("", Rc::clone(&read), total, Duration::ZERO);
        let mut out = Vec::new();
        for (millis, bytes) in times {
            read.set(*bytes);
            let now = Duration::from_millis(*millis);
            meter.draw(now, Some(AT), &mut out).expect("memory");
        }
        meter.erase(&mut out).expect("memory");
        let text = String::from_utf8(out).expect("text");
        let text = text.replace(NO_WRAP, "").replace(WRAP, "");
        text.replace(ERASE, "|")
    }

    #[test]
    fn what_ends_within_a_second_shows_nothing() {
        assert_eq!(drawn(Some(1000), &[(0, 0), (999, 900)]), "");
    }

    #[test]
    fn after_a_second_the_line_is_there_and_it_is_erased_at_the_end() {
        let line = drawn(
            Some(100 << 20),
            &[(999, 0), (1000, 25 << 20), (1199, 30 << 20)],
        );
        assert_eq!(
            line,
            "|[##......]  25% of 100.0 MiB, 0:03 left, 25.0 MiB/s, at 2026-01-05T10:00:00Z|"
        );
    }

    #[test]
    fn it_is_drawn_again_every_fifth_of_a_second() {
        let line = drawn(None, &[(1000, 1 << 20), (1199, 2 << 20), (1200, 3 << 20)]);
        assert_eq!(
            line,
            "|1.0 MiB, 1.0 MiB/s, at 2026-01-05T10:00:00Z\
             |3.0 MiB, 2.5 MiB/s, at 2026-01-05T10:00:00Z|"
        );
    }

    #[test]
    fn nothing_read_or_more_than_there_was_has_no_end_in_sight() {
        let line = |total, read| drawn(Some(total), &[(2000, read)]);
        assert_eq!(
            line(10, 0),
            "|[........]   0% of 10 B, 0 B/s, at 2026-01-05T10:00:00Z|"
        );
        assert_eq!(line(10, 11), "|11 B, 5 B/s, at 2026-01-05T10:00:00Z|");
        let all = line(10, 10);
        assert!(all.contains("[########] 100% of 10 B, 0:00 left"), "{all}");
    }

    #[test]
    fn rate_and_rest_are_those_of_the_part_at_hand() {
        let mut meter = Meter::default();
        let read = Rc::new(Cell::new(2 << 20));
        meter.begin("sorting ", read, Some(4 << 20), Duration::from_secs(10));
        assert_eq!(
            meter.line(Duration::from_secs(12), None),
            "sorting [####....]  50% of 4.0 MiB, 0:02 left, 1.0 MiB/s"
        );
    }

    #[test]
    fn what_is_said_stays_above_the_line() {
        let mut out = Vec::new();
        let mut console = Console::new(&mut out, true);
        let meter = console.meter.as_mut().expect("it is wanted");
        meter.begin("", Rc::default(), None, Duration::ZERO);
        meter
            .draw(Duration::from_secs(1), None, console.out)
            .expect("memory");
        console.say("told").expect("memory");
        console.say("more").expect("memory");
        console.into_out().expect("memory");
        let text = String::from_utf8(out).expect("text");
        assert!(
            text.ends_with(&format!("{WRAP}{ERASE}told\nmore\n")),
            "{text:?}"
        );
    }

    #[test]
    fn sizes_and_times_are_short() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_048_575, "1023.9 KiB"),
            (1_048_576, "1.0 MiB"),
            (u64::MAX, "16383.9 PiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        for (seconds, text) in [(0, "0:00"), (59, "0:59"), (60, "1:00"), (3723, "1:02:03")] {
            assert_eq!(clock(seconds), text);
        }
    }

    #[test]
    fn no_progress_reaches_what_is_no_terminal_unless_it_is_asked_for() {
        let pipe: Vec<u8> = Vec::new();
        assert!(!ShowProgress::Auto.wanted(&pipe));
        assert!(!ShowProgress::Never.wanted(&pipe));
        assert!(ShowProgress::Always.wanted(&pipe));
    }
}
