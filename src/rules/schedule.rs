//! `Sun 10:00-12:00 Europe/Moscow`: when a rule's messages are held back.
//!
//! A window is once, between two instants, or every week, by the clock on the wall of a place. Its time zone is always
//! written: a window that silently meant UTC would be hours off for most who write one. Zones are those of the IANA
//! database that is built in, so a rule means the same on every host, and reading one does no I/O.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use jiff::ToSpan;
use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};

use super::keys::nearest;
use super::problem::{Code, Fault, shortened};
use crate::time::Timestamp;

/// Most windows that [`suppressed_until`] joins to one: two months of whole days. It bounds the cost of rules that are always silent.
const JOINED_MAX: usize = 64;

/// Minutes of a day by the clock on the wall, whatever its length.
const DAY: u16 = 24 * 60;

/// One window of `suppress`, once or every week, in event time.
///
/// Written as
/// - `Sun 10:00-12:00 Europe/Moscow`: days (`Sat,Sun`, `Mon-Fri`, none for every day), times of day, an IANA time zone.
///   An end at or before the start lies on the next day; the days are those on which a window starts. `24:00` is a day's end.
/// - `2026-12-24T00:00Z/2026-12-26T00:00Z`: two RFC 3339 times, seconds optional. Times without an offset, and days, are
///   those of a zone after them: `2026-12-24/2026-12-26 Europe/Moscow`, which ends as the 26th begins.
///
/// Where clocks change, a window is never shorter than it reads: a start that the clock shows twice is the first of the
/// two, an end the second. A start or an end that the clock skips is the first instant after what it skips, so a window
/// that lies in the skipped hour alone does not take place that day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    written: Box<str>,
    when: When,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum When {
    Once(Range<Timestamp>),
    Weekly(Weekly),
}

/// A time of day on some days of the week.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Weekly {
    days: Days,
    /// Minutes of the day on which it starts, the end one minute to two days: always after the start.
    minutes: Range<u16>,
    zone: TimeZone,
}

/// Days of the week, one bit each from Monday.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Days(u8);

impl Schedule {
    /// The end of its window `[start, end)` that holds `at`, if one does; of two that overlap, the later end.
    /// Cost: constant, a few conversions of local time.
    #[must_use]
    pub fn until(&self, at: Timestamp) -> Option<Timestamp> {
        match &self.when {
            When::Once(window) => window.contains(&at).then_some(window.end),
            When::Weekly(weekly) => weekly.until(at),
        }
    }

    /// Reads a window; faults point into `text`.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let begins_with_date = matches!(
            text.trim_start().as_bytes(),
            [y1, y2, y3, y4, b'-', m1, m2, b'-', ..]
                if [y1, y2, y3, y4, m1, m2].iter().all(|byte| byte.is_ascii_digit())
        );
        let when = if begins_with_date {
            When::Once(once(text)?)
        } else {
            When::Weekly(weekly(text)?)
        };
        Ok(Self {
            written: text.trim().into(),
            when,
        })
    }
}

/// Until when `schedules` hold back a message of the time `at`; `None` where they do not.
///
/// Windows that overlap, or begin where another ends, are one, up to 64 of them: the time is then that of the
/// last one's end, and asking again at that time goes on from there.
/// Cost: constant for each schedule and window.
#[must_use]
pub fn suppressed_until(schedules: &[Schedule], at: Timestamp) -> Option<Timestamp> {
    let end = |at| {
        schedules
            .iter()
            .filter_map(|schedule| schedule.until(at))
            .max()
    };
    std::iter::successors(end(at), |at| end(*at))
        .take(JOINED_MAX)
        .last()
}

/// As in a rule.
impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        Self::parse(text).map_err(|fault| ScheduleError(fault.message))
    }
}

/// Why a text is no [`Schedule`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScheduleError(String);

/// As written.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl Weekly {
    fn until(&self, at: Timestamp) -> Option<Timestamp> {
        let today = self.zone.to_datetime(instant(at)).date();
        // A window that started two days ago may be on, if clocks were put back meanwhile; and one of tomorrow, where they
        // were put back to before midnight after it had started.
        (-2..=1)
            .filter_map(|days| today.checked_add(i64::from(days).days()).ok())
            .filter(|day| self.days.has(day.weekday()))
            .filter_map(|day| self.window(day))
            .filter(|window| window.contains(&at))
            .map(|window| window.end)
            .max()
    }

    /// The window that starts on `day`; `None` at the ends of the calendar.
    fn window(&self, day: Date) -> Option<Range<Timestamp>> {
        let time = |minutes: u16, shown: Shown| {
            let day = day.checked_add(i64::from(minutes / DAY).days()).ok()?;
            let (hour, minute) = (minutes % DAY / 60, minutes % 60);
            let clock = day.at(hour as i8, minute as i8, 0, 0);
            shown(&self.zone, clock).ok().map(timestamp)
        };
        Some(time(self.minutes.start, first_shown)?..time(self.minutes.end, last_shown)?)
    }
}

impl Days {
    const ALL: Self = Self(0b111_1111);

    fn has(self, day: Weekday) -> bool {
        self.0 & 1 << day.to_monday_zero_offset() != 0
    }

    /// From `first` to `last`, both included, over Sunday if need be.
    fn range(first: Weekday, last: Weekday) -> Self {
        let length = first.until(last);
        (0..=length).fold(Self(0), |days, n| {
            Self(days.0 | 1 << first.wrapping_add(n).to_monday_zero_offset())
        })
    }
}

fn instant(at: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_nanosecond(i128::from(at.nanos()))
        .expect("the calendar goes on for longer than 64 bits of nanoseconds")
}

/// The nearest time that there is, where event time does not reach so far.
fn timestamp(instant: jiff::Timestamp) -> Timestamp {
    let nanos = instant.as_nanosecond();
    Timestamp::new(i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX }))
}

/// [`first_shown`] or [`last_shown`]; an error at the ends of the calendar.
type Shown = fn(&TimeZone, DateTime) -> Result<jiff::Timestamp, jiff::Error>;

/// The instant at which a clock of `zone` shows `time`, the first of two; the end of what it skips where it never does.
fn first_shown(zone: &TimeZone, time: DateTime) -> Result<jiff::Timestamp, jiff::Error> {
    match zone.to_ambiguous_timestamp(time).offset() {
        AmbiguousOffset::Gap { before, .. } => after_gap(zone, before, time),
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(time),
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(time),
    }
}

/// Like [`first_shown`], but the second of two.
fn last_shown(zone: &TimeZone, time: DateTime) -> Result<jiff::Timestamp, jiff::Error> {
    match zone.to_ambiguous_timestamp(time).offset() {
        AmbiguousOffset::Gap { before, .. } => after_gap(zone, before, time),
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(time),
        AmbiguousOffset::Fold { after, .. } => after.to_timestamp(time),
    }
}

/// The instant at which a clock was put forward over `time`. `before`: the offset that held until then.
fn after_gap(
    zone: &TimeZone,
    before: Offset,
    time: DateTime,
) -> Result<jiff::Timestamp, jiff::Error> {
    // A clock that nobody had put forward shows `time` at or after the change.
    let unchanged = before.to_timestamp(time)?;
    let change = zone
        .preceding(unchanged.checked_add(1.nanosecond())?)
        .next();
    Ok(change.map_or(unchanged, |change| change.timestamp()))
}

/// How a window of two instants is written.
const ONCE: &str = "2026-12-24T00:00Z/2026-12-26T00:00Z";
/// How a window of every week is written.
const WEEKLY: &str = "Sun 10:00-12:00 Europe/Moscow";

/// Reads [`ONCE`], and local times with a zone after them.
fn once(text: &str) -> Result<Range<Timestamp>, Fault> {
    let whole = text.trim();
    let Some((start, rest)) = whole.split_once('/') else {
        return Err(wrong(text, whole, "a window has a start and an end")
            .help(format!("write it as `{ONCE}`")));
    };
    let (start, rest) = (start.trim_end(), rest.trim_start());
    let (end, zone) = match rest.split_once(char::is_whitespace) {
        Some((end, name)) => (end, Some(zone(text, name.trim_start())?)),
        None => (rest, None),
    };
    let time = |written: &str, shown: Shown| {
        let name = shortened(written);
        let say = |message: String| wrong(text, written, message);
        let instant = match (instant_of(written), clock_of(written), &zone) {
            (Some(instant), _, None) => Some(instant),
            (None, Some(clock), Some(zone)) => shown(zone, clock).ok(),
            (Some(_), _, Some(_)) => {
                return Err(say(format!("`{name}` has an offset of its own"))
                    .help("leave out the offset, or the zone at the end"));
            }
            (None, Some(_), None) => {
                let help = if [start, end].iter().any(|time| instant_of(time).is_some()) {
                    format!("write its offset, as at the other end: `{ONCE}`")
                } else {
                    format!(
                        "write `{} UTC`, or a place's zone such as Europe/Moscow",
                        shortened(whole)
                    )
                };
                return Err(say(format!("the time zone of `{name}` is missing")).help(help));
            }
            (None, None, _) => {
                return Err(say(format!("`{name}` is not a time"))
                    .help(format!("write the window as `{ONCE}`")));
            }
        };
        // Event time is a count of nanoseconds in 64 bits.
        instant
            .and_then(|instant| i64::try_from(instant.as_nanosecond()).ok())
            .map(Timestamp::new)
            .ok_or_else(|| say(format!("`{name}` is not between the years 1678 and 2261")))
    };
    let window = time(start, first_shown)?..time(end, last_shown)?;
    if window.is_empty() {
        return Err(wrong(
            text,
            whole,
            "this window ends before it starts, or as it does",
        )
        .help("write the start, then `/`, then the end"));
    }
    Ok(window)
}

/// An RFC 3339 time with an offset.
fn instant_of(written: &str) -> Option<jiff::Timestamp> {
    written.parse().ok()
}

/// A day, or a day and a time of day, without an offset.
fn clock_of(written: &str) -> Option<DateTime> {
    let time = written.as_bytes().get("2026-12-24".len()..)?;
    let plain = |byte: &u8| matches!(byte, b'0'..=b'9' | b'T' | b':' | b'.');
    if time.iter().all(plain) {
        written.parse().ok()
    } else {
        None
    }
}

/// Reads [`WEEKLY`], and days in lists and ranges.
fn weekly(text: &str) -> Result<Weekly, Fault> {
    let whole = text.trim();
    let Some(digits) = whole.find(|c: char| c.is_ascii_digit()) else {
        let message = match whole {
            "" => "this window is empty".to_owned(),
            _ => format!("`{}` has no time of day", shortened(whole)),
        };
        return Err(
            wrong(text, whole, message).help(format!("write a window as `{WEEKLY}` or `{ONCE}`"))
        );
    };
    let (names, rest) = whole.split_at(digits);
    let days = days(text, names.trim_end())?;
    let word = |rest: &str| rest.find(char::is_whitespace).unwrap_or(rest.len());
    let (start, rest) = rest.split_at(rest.find('-').unwrap_or_else(|| word(rest)));
    let Some(rest) = rest.strip_prefix('-') else {
        let message = format!("`{}` has no end", shortened(start));
        return Err(
            wrong(text, start, message).help(format!("write a start, `-` and an end: `{WEEKLY}`"))
        );
    };
    let rest = rest.trim_start();
    let (end, name) = rest.split_at(word(rest));
    let start = minute(text, start.trim_end(), false)?;
    let end = minute(text, end, true)?;
    let name = name.trim_start();
    if name.is_empty() {
        return Err(wrong(text, whole, "the time zone is missing").help(format!(
            "write `{} UTC`, or a place's zone such as Europe/Moscow",
            shortened(whole)
        )));
    }
    let weekly = Weekly {
        days,
        minutes: start..if end > start { end } else { end + DAY },
        zone: zone(text, name)?,
    };
    if weekly.days == Days::ALL && weekly.minutes.len() == usize::from(DAY) {
        return Err(wrong(text, whole, "this window never ends")
            .help("to take the rule out, write `enabled: false`"));
    }
    Ok(weekly)
}

/// Reads `Sat,Sun` or `Mon-Fri`; every day where nothing is written.
fn days(text: &str, written: &str) -> Result<Days, Fault> {
    if written.is_empty() {
        return Ok(Days::ALL);
    }
    let mut days = Days(0);
    for part in written.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(text, first.trim())?, day(text, last.trim())?);
        days.0 |= Days::range(first, last).0;
    }
    Ok(days)
}

/// Days from Monday as they may be written, in either case.
const DAYS: [[&str; 2]; 7] = [
    ["Mon", "Monday"],
    ["Tue", "Tuesday"],
    ["Wed", "Wednesday"],
    ["Thu", "Thursday"],
    ["Fri", "Friday"],
    ["Sat", "Saturday"],
    ["Sun", "Sunday"],
];

fn day(text: &str, word: &str) -> Result<Weekday, Fault> {
    let is = |names: &[&str; 2]| names.iter().any(|name| name.eq_ignore_ascii_case(word));
    if let Some((offset, _)) = (0..).zip(&DAYS).find(|(_, names)| is(names)) {
        return Ok(Weekday::from_monday_zero_offset(offset).expect("one of seven"));
    }
    let help = match nearest(word, DAYS.into_iter().flatten()) {
        Some(day) => format!("did you mean `{day}`?"),
        None => "days are Mon, Tue, Wed, Thu, Fri, Sat and Sun: `Mon-Fri`, `Sat,Sun`".to_owned(),
    };
    let message = match word {
        "" => "a day is missing".to_owned(),
        _ => format!("`{}` is not a day of the week", shortened(word)),
    };
    Err(wrong(text, word, message).help(help))
}

/// Reads `22:00` as minutes of the day; an end may be `24:00`.
fn minute(text: &str, written: &str, is_end: bool) -> Result<u16, Fault> {
    let time = match *written.as_bytes() {
        [h, b':', m1, m2] => Some(([b'0', h], [m1, m2])),
        [h1, h2, b':', m1, m2] => Some(([h1, h2], [m1, m2])),
        _ => None,
    };
    let number = |digits: [u8; 2]| {
        let [tens, ones] = digits.map(|digit| char::from(digit).to_digit(10));
        u16::try_from(tens? * 10 + ones?).ok()
    };
    match time.and_then(|(hours, minutes)| Some((number(hours)?, number(minutes)?))) {
        Some((hours @ 0..=23, minutes @ 0..=59)) => Ok(hours * 60 + minutes),
        Some((24, 0)) if is_end => Ok(DAY),
        Some((24, 0)) => {
            Err(wrong(text, written, "24:00 can only be an end")
                .help("the next day starts at 00:00"))
        }
        _ => {
            let message = format!("`{}` is not a time of day", shortened(written));
            Err(wrong(text, written, message).help(format!(
                "write hours and minutes from 00:00 to 24:00: `{WEEKLY}`"
            )))
        }
    }
}

fn zone(text: &str, name: &str) -> Result<TimeZone, Fault> {
    let zones = TimeZoneDatabase::bundled();
    match zones.get(name) {
        Ok(zone) if !zone.is_unknown() => Ok(zone),
        _ => {
            let message = format!("there is no time zone `{}`", shortened(name));
            Err(wrong(text, name, message).help(meant(name, &zones)))
        }
    }
}

/// Abbreviations that people use, and the database does not know: most are those of several places.
const ABBREVIATIONS: [(&str, &str); 9] = [
    ("BST", "Europe/London"),
    ("CDT", "America/Chicago"),
    ("CEST", "Europe/Berlin"),
    ("EDT", "America/New_York"),
    ("MDT", "America/Denver"),
    ("MSK", "Europe/Moscow"),
    ("PDT", "America/Los_Angeles"),
    ("PST", "America/Los_Angeles"),
    ("Z", "UTC"),
];

/// What to write for a zone that does not exist.
fn meant(name: &str, zones: &TimeZoneDatabase) -> String {
    const PLACE: &str = "write a place's zone such as Europe/Moscow, or UTC";
    let first = name.split_whitespace().next().unwrap_or_default();
    if day(first, first).is_ok() {
        return format!("the days come first: `{WEEKLY}`");
    }
    let sign = first.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    if sign.starts_with(['+', '-']) {
        return format!("an offset does not follow changes of clocks: {PLACE}");
    }
    let written = name.replace(char::is_whitespace, "_");
    let known: Vec<_> = zones.available().collect();
    let near = |of: fn(&str) -> &str| {
        let names = known.iter().map(|name| name.as_str());
        // Names of another length are no slips: left out before each costs a comparison.
        let names = names.filter(|name| of(name).len().abs_diff(written.len()) <= 2);
        let nearest = nearest(&written, names.clone().map(of))?;
        names.into_iter().find(|name| of(name) == nearest)
    };
    let zone = ABBREVIATIONS
        .iter()
        .find(|(short, _)| short.eq_ignore_ascii_case(name))
        .map(|(_, zone)| *zone)
        .or_else(|| near(|name| name))
        .or_else(|| near(city));
    match zone {
        Some(zone) => format!("did you mean `{zone}`?"),
        None => PLACE.to_owned(),
    }
}

/// `Berlin` of `Europe/Berlin`.
fn city(zone: &str) -> &str {
    zone.rsplit_once('/').map_or(zone, |(_, city)| city)
}

/// A fault about `part` of `text`.
fn wrong(text: &str, part: &str, message: impl Into<String>) -> Fault {
    let start = part.as_ptr() as usize - text.as_ptr() as usize;
    Fault::new(Code::Value, start..start + part.len(), message)
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use expect_test::expect;
    use proptest::prelude::*;

    use super::*;

    const MINUTE: i64 = 60_000_000_000;

    fn at(text: &str) -> Timestamp {
        text.parse().expect(text)
    }

    /// The windows of `text` that begin in `[from, to)`, found minute by minute.
    fn windows(text: &str, from: &str, to: &str) -> String {
        let schedule: Schedule = text.parse().expect(text);
        let mut out = String::new();
        let mut now = at(from);
        while now < at(to) {
            let Some(end) = schedule.until(now) else {
                now = Timestamp::new(now.nanos() + MINUTE);
                continue;
            };
            for inside in (now.nanos()..end.nanos()).step_by(MINUTE as usize) {
                assert_eq!(schedule.until(Timestamp::new(inside)), Some(end));
            }
            out.push_str(&format!("{now} to {end}\n"));
            now = end;
        }
        out
    }

    // SEMANTICS 26
    #[test]
    fn a_window_holds_its_start_and_not_its_end() {
        for (text, start, end) in [
            (
                "Sun 10:00-12:00 Europe/Moscow",
                "2026-03-01T07:00:00Z",
                "2026-03-01T09:00:00Z",
            ),
            (
                "2026-12-24T00:00Z/2026-12-26T00:00Z",
                "2026-12-24T00:00:00Z",
                "2026-12-26T00:00:00Z",
            ),
        ] {
            let schedule: Schedule = text.parse().expect(text);
            let (start, end) = (at(start), at(end));
            assert_eq!(schedule.until(Timestamp::new(start.nanos() - 1)), None);
            assert_eq!(schedule.until(start), Some(end));
            assert_eq!(schedule.until(Timestamp::new(end.nanos() - 1)), Some(end));
            assert_eq!(schedule.until(end), None);
            assert_eq!(schedule.to_string(), text);
        }
    }

    #[test]
    fn days_are_those_on_which_a_window_starts() {
        // 2026-03-02 is a Monday.
        let week = |text| windows(text, "2026-03-02T00:00:00Z", "2026-03-09T00:00:00Z");
        expect![[r#"
            2026-03-02T21:00:00Z to 2026-03-03T05:00:00Z
            2026-03-03T21:00:00Z to 2026-03-04T05:00:00Z
            2026-03-04T21:00:00Z to 2026-03-05T05:00:00Z
            2026-03-05T21:00:00Z to 2026-03-06T05:00:00Z
            2026-03-06T21:00:00Z to 2026-03-07T05:00:00Z
        "#]]
        .assert_eq(&week("Mon-Fri 22:00-06:00 Europe/Berlin"));
        expect![[r#"
            2026-03-07T00:00:00Z to 2026-03-08T00:00:00Z
            2026-03-08T00:00:00Z to 2026-03-09T00:00:00Z
        "#]]
        .assert_eq(&week("Sat,Sun 00:00-24:00 UTC"));
        expect![[r#"
            2026-03-02T23:00:00Z to 2026-03-03T01:00:00Z
            2026-03-06T23:00:00Z to 2026-03-07T01:00:00Z
            2026-03-07T23:00:00Z to 2026-03-08T01:00:00Z
        "#]]
        .assert_eq(&week(" sat - sunday, TUE  2:00 - 4:00  europe/moscow "));
        expect![[r#"
            2026-03-02T00:00:00Z to 2026-03-02T12:00:00Z
            2026-03-03T12:00:00Z to 2026-03-04T12:00:00Z
            2026-03-08T12:00:00Z to 2026-03-09T12:00:00Z
        "#]]
        .assert_eq(&week("Sun,Tue 12:00-12:00 UTC"));
        assert_eq!(week("02:00-04:00 UTC").lines().count(), 7);
        // From Friday over the week's end to Monday.
        assert_eq!(week("Fri-Mon 02:00-04:00 UTC").lines().count(), 4);
        assert_eq!(week("Fri-Fri 02:00-04:00 UTC").lines().count(), 1);
    }

    #[test]
    fn a_window_of_two_instants_takes_any_offset_and_local_times_with_a_zone() {
        for (text, start, end) in [
            (
                "2026-12-24T00:00Z/2026-12-26T00:00Z",
                "2026-12-24T00:00:00Z",
                "2026-12-26T00:00:00Z",
            ),
            (
                "2026-12-24T03:00+03:00 / 2026-12-24T00:00:01.5Z",
                "2026-12-24T00:00:00Z",
                "2026-12-24T00:00:01.5Z",
            ),
            (
                "2026-12-24/2026-12-26 Europe/Moscow",
                "2026-12-23T21:00:00Z",
                "2026-12-25T21:00:00Z",
            ),
            (
                "2026-12-24T09:30/2026-12-24T09:31 Asia/Kathmandu",
                "2026-12-24T03:45:00Z",
                "2026-12-24T03:46:00Z",
            ),
            // A start is the first of two, an end the second.
            (
                "2026-10-25T02:30/2026-10-25T02:30 Europe/Berlin",
                "2026-10-25T00:30:00Z",
                "2026-10-25T01:30:00Z",
            ),
        ] {
            let When::Once(window) = text.parse::<Schedule>().expect(text).when else {
                panic!("{text} comes again");
            };
            assert_eq!(window, at(start)..at(end), "{text}");
        }
    }

    #[test]
    fn what_the_clock_skips_is_the_end_of_the_gap_and_what_it_shows_twice_makes_a_window_longer() {
        // Sundays alone, so that each list is of one day's windows.
        let berlin = |from: &str, to: &str| -> String {
            let line = |times: &str| {
                let found = windows(&format!("Sun {times} Europe/Berlin"), from, to);
                let found = if found.is_empty() { "none\n" } else { &found };
                format!("{times}: {found}")
            };
            [
                "02:30-04:00",
                "01:00-02:30",
                "02:10-02:50",
                "02:00-03:00",
                "00:00-02:00",
                "00:00-03:00",
                "00:00-24:00",
            ]
            .map(line)
            .concat()
        };
        // At 01:00Z the clock goes from 02:00 to 03:00.
        expect![[r#"
            02:30-04:00: 2026-03-29T01:00:00Z to 2026-03-29T02:00:00Z
            01:00-02:30: 2026-03-29T00:00:00Z to 2026-03-29T01:00:00Z
            02:10-02:50: none
            02:00-03:00: none
            00:00-02:00: 2026-03-28T23:00:00Z to 2026-03-29T01:00:00Z
            00:00-03:00: 2026-03-28T23:00:00Z to 2026-03-29T01:00:00Z
            00:00-24:00: 2026-03-28T23:00:00Z to 2026-03-29T22:00:00Z
        "#]]
        .assert_eq(&berlin("2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z"));
        // At 01:00Z the clock goes from 03:00 back to 02:00.
        expect![[r#"
            02:30-04:00: 2026-10-25T00:30:00Z to 2026-10-25T03:00:00Z
            01:00-02:30: 2026-10-24T23:00:00Z to 2026-10-25T01:30:00Z
            02:10-02:50: 2026-10-25T00:10:00Z to 2026-10-25T01:50:00Z
            02:00-03:00: 2026-10-25T00:00:00Z to 2026-10-25T02:00:00Z
            00:00-02:00: 2026-10-24T22:00:00Z to 2026-10-25T01:00:00Z
            00:00-03:00: 2026-10-24T22:00:00Z to 2026-10-25T02:00:00Z
            00:00-24:00: 2026-10-24T22:00:00Z to 2026-10-25T23:00:00Z
        "#]]
        .assert_eq(&berlin("2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z"));
        // Nights are an hour shorter and longer.
        let night = |from: &str, to: &str| windows("Sat 22:00-06:00 Europe/Berlin", from, to);
        expect![[r#"
            2026-03-28T21:00:00Z to 2026-03-29T04:00:00Z
        "#]]
        .assert_eq(&night("2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z"));
        expect![[r#"
            2026-10-24T20:00:00Z to 2026-10-25T05:00:00Z
        "#]]
        .assert_eq(&night("2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z"));
        // Clocks that went from a minute past midnight back to the day before.
        let johns = |text: &str| windows(text, "2006-10-27T12:00:00Z", "2006-10-29T12:00:00Z");
        expect![[r#"
            2006-10-28T02:00:00Z to 2006-10-29T03:00:00Z
        "#]]
        .assert_eq(&johns("Fri 23:30-23:30 America/St_Johns"));
        expect![[r#"
            2006-10-29T02:30:00Z to 2006-10-29T04:30:00Z
        "#]]
        .assert_eq(&johns("Sun 00:00-01:00 America/St_Johns"));
        // A whole day that a place left out, crossing the date line.
        let apia = |text: &str| windows(text, "2011-12-29T00:00:00Z", "2012-01-01T00:00:00Z");
        expect![[r#"
            2011-12-29T20:00:00Z to 2011-12-29T22:00:00Z
            2011-12-30T20:00:00Z to 2011-12-30T22:00:00Z
            2011-12-31T20:00:00Z to 2011-12-31T22:00:00Z
        "#]]
        .assert_eq(&apia("10:00-12:00 Pacific/Apia"));
    }

    #[test]
    fn windows_that_overlap_or_adjoin_are_one() {
        let parse = |texts: &[&str]| -> Vec<Schedule> {
            texts.iter().map(|text| text.parse().expect(text)).collect()
        };
        let weekend = parse(&[
            "Sat,Sun 00:00-24:00 UTC",
            "Mon 00:00-06:00 UTC",
            "Fri 22:00-23:59 UTC",
        ]);
        let until = |time: &str| suppressed_until(&weekend, at(time)).map(|end| end.to_string());
        assert_eq!(
            until("2026-03-07T05:00:00Z").as_deref(),
            Some("2026-03-09T06:00:00Z")
        );
        assert_eq!(
            until("2026-03-06T22:00:00Z").as_deref(),
            Some("2026-03-06T23:59:00Z")
        );
        assert_eq!(until("2026-03-06T23:59:00Z"), None);
        assert_eq!(suppressed_until(&[], at("2026-03-07T05:00:00Z")), None);

        let always = parse(&["Mon-Sat 00:00-24:00 UTC", "Sun 00:00-24:00 UTC"]);
        let start = at("2026-01-01T12:00:00Z");
        let end = suppressed_until(&always, start).expect("always");
        assert_eq!(
            end.to_string(),
            "2026-03-06T00:00:00Z",
            "64 days, and no endless loop"
        );
        assert!(suppressed_until(&always, end).is_some());
    }

    #[test]
    fn what_is_no_window_says_what_to_write() {
        let mut out = String::new();
        for text in [
            "",
            "always",
            "weekends UTC",
            "Sun 10:00 Europe/Moscow",
            "Sun 10:00-12:00",
            "10:00-12:00",
            "Son 10:00-12:00 Europe/Berlin",
            "Sunnday 10:00-12:00 Europe/Berlin",
            "Mo-Fr 10:00-12:00 Europe/Berlin",
            "Mon-Fri-Sun 10:00-12:00 UTC",
            "Sat,,Sun 10:00-12:00 UTC",
            "Sun at 10:00-12:00 UTC",
            "Sun 10-12 UTC",
            "Sun 10am-12am UTC",
            "Sun 1000-1200 UTC",
            "Sun 10:00:00-12:00:00 UTC",
            "Sun 10:00-12:60 UTC",
            "Sun 10:00-24:01 UTC",
            "Sun 24:00-02:00 UTC",
            "Sun 10:00–12:00 UTC",
            "10:00-12:00,14:00-16:00 UTC",
            "10:00-12:00 Sun Europe/Moscow",
            "Sun 10:00-12:00 Europe/Mosocw",
            "Sun 10:00-12:00 Moscow",
            "Sun 10:00-12:00 New York",
            "Sun 10:00-12:00 Berln",
            "Sun 10:00-12:00 MSK",
            "Sun 10:00-12:00 UTC+3",
            "Sun 10:00-12:00 +03:00",
            "Sun 10:00-12:00 Etc/Unknown",
            "Sun 10:00-12:00 the office",
            "00:00-24:00 UTC",
            "Mon-Sun 08:00-08:00 UTC",
            "2026-12-24",
            "2026-12-24T00:00Z",
            "2026-12-24/2026-12-26",
            "2026-12-24T00:00/2026-12-26T00:00Z",
            "2026-12-24T00:00Z/2026-12-26T00:00Z Europe/Moscow",
            "2026-12-24/2026-12-26 Mars",
            "2026-02-30/2026-03-01 UTC",
            "2026-12-24T24:00Z/2026-12-26T00:00Z",
            "2026-12-24Z/2026-12-26T00:00Z",
            "2026-12-26T00:00Z/2026-12-24T00:00Z",
            "2026-12-24T00:00Z/2026-12-24T00:00Z",
            "1500-01-01T00:00Z/2026-12-24T00:00Z",
            "9999-12-31T00:00/9999-12-31T23:00 America/New_York",
        ] {
            let fault = Schedule::parse(text).expect_err(text);
            out.push_str(&format!(
                "{text:?} at {:?}: {}; {}\n",
                &text[fault.at.clone()],
                fault.message,
                fault.help.unwrap_or_default()
            ));
        }
        expect![[r#"
            "" at "": this window is empty; write a window as `Sun 10:00-12:00 Europe/Moscow` or `2026-12-24T00:00Z/2026-12-26T00:00Z`
            "always" at "always": `always` has no time of day; write a window as `Sun 10:00-12:00 Europe/Moscow` or `2026-12-24T00:00Z/2026-12-26T00:00Z`
            "weekends UTC" at "weekends UTC": `weekends UTC` has no time of day; write a window as `Sun 10:00-12:00 Europe/Moscow` or `2026-12-24T00:00Z/2026-12-26T00:00Z`
            "Sun 10:00 Europe/Moscow" at "10:00": `10:00` has no end; write a start, `-` and an end: `Sun 10:00-12:00 Europe/Moscow`
            "Sun 10:00-12:00" at "Sun 10:00-12:00": the time zone is missing; write `Sun 10:00-12:00 UTC`, or a place's zone such as Europe/Moscow
            "10:00-12:00" at "10:00-12:00": the time zone is missing; write `10:00-12:00 UTC`, or a place's zone such as Europe/Moscow
            "Son 10:00-12:00 Europe/Berlin" at "Son": `Son` is not a day of the week; did you mean `Mon`?
            "Sunnday 10:00-12:00 Europe/Berlin" at "Sunnday": `Sunnday` is not a day of the week; did you mean `Sunday`?
            "Mo-Fr 10:00-12:00 Europe/Berlin" at "Mo": `Mo` is not a day of the week; days are Mon, Tue, Wed, Thu, Fri, Sat and Sun: `Mon-Fri`, `Sat,Sun`
            "Mon-Fri-Sun 10:00-12:00 UTC" at "Fri-Sun": `Fri-Sun` is not a day of the week; days are Mon, Tue, Wed, Thu, Fri, Sat and Sun: `Mon-Fri`, `Sat,Sun`
            "Sat,,Sun 10:00-12:00 UTC" at "": a day is missing; days are Mon, Tue, Wed, Thu, Fri, Sat and Sun: `Mon-Fri`, `Sat,Sun`
            "Sun at 10:00-12:00 UTC" at "Sun at": `Sun at` is not a day of the week; did you mean `Sunday`?
            "Sun 10-12 UTC" at "10": `10` is not a time of day; write hours and minutes from 00:00 to 24:00: `Sun 10:00-12:00 Europe/Moscow`
            "Sun 10am-12am UTC" at "10am": `10am` is not a time of day; write hours and minutes from 00:00 to 24:00: `Sun 10:00-12:00 Europe/Moscow`
            "Sun 1000-1200 UTC" at "1000": `1000` is not a time of day; write hours and minutes from 00:00 to 24:00: `Sun 10:00-12:00 Europe/Moscow`
            "Sun 10:00:00-12:00:00 UTC" at "10:00:00": `10:00:00` is not a time of day; write hours and minutes from 00:00 to 24:00: `Sun 10:00-12:00 Europe/Moscow`
            "Sun 10:00-12:60 UTC" at "12:60": `12:60` is not a time of day; write hours and minutes from 00:00 to 24:00: `Sun 10:00-12:00 Europe/Moscow`
            "Sun 10:00-24:01 UTC" at "24:01": `24:01` is not a time of day; write hours and minutes from 00:00 to 24:00: `Sun 10:00-12:00 Europe/Moscow`
            "Sun 24:00-02:00 UTC" at "24:00": 24:00 can only be an end; the next day starts at 00:00
            "Sun 10:00–12:00 UTC" at "10:00–12:00": `10:00–12:00` has no end; write a start, `-` and an end: `Sun 10:00-12:00 Europe/Moscow`
            "10:00-12:00,14:00-16:00 UTC" at "12:00,14:00-16:00": `12:00,14:00-16:00` is not a time of day; write hours and minutes from 00:00 to 24:00: `Sun 10:00-12:00 Europe/Moscow`
            "10:00-12:00 Sun Europe/Moscow" at "Sun Europe/Moscow": there is no time zone `Sun Europe/Moscow`; the days come first: `Sun 10:00-12:00 Europe/Moscow`
            "Sun 10:00-12:00 Europe/Mosocw" at "Europe/Mosocw": there is no time zone `Europe/Mosocw`; did you mean `Europe/Moscow`?
            "Sun 10:00-12:00 Moscow" at "Moscow": there is no time zone `Moscow`; did you mean `Europe/Moscow`?
            "Sun 10:00-12:00 New York" at "New York": there is no time zone `New York`; did you mean `America/New_York`?
            "Sun 10:00-12:00 Berln" at "Berln": there is no time zone `Berln`; did you mean `Europe/Berlin`?
            "Sun 10:00-12:00 MSK" at "MSK": there is no time zone `MSK`; did you mean `Europe/Moscow`?
            "Sun 10:00-12:00 UTC+3" at "UTC+3": there is no time zone `UTC+3`; an offset does not follow changes of clocks: write a place's zone such as Europe/Moscow, or UTC
            "Sun 10:00-12:00 +03:00" at "+03:00": there is no time zone `+03:00`; an offset does not follow changes of clocks: write a place's zone such as Europe/Moscow, or UTC
            "Sun 10:00-12:00 Etc/Unknown" at "Etc/Unknown": there is no time zone `Etc/Unknown`; write a place's zone such as Europe/Moscow, or UTC
            "Sun 10:00-12:00 the office" at "the office": there is no time zone `the office`; write a place's zone such as Europe/Moscow, or UTC
            "00:00-24:00 UTC" at "00:00-24:00 UTC": this window never ends; to take the rule out, write `enabled: false`
            "Mon-Sun 08:00-08:00 UTC" at "Mon-Sun 08:00-08:00 UTC": this window never ends; to take the rule out, write `enabled: false`
            "2026-12-24" at "2026-12-24": a window has a start and an end; write it as `2026-12-24T00:00Z/2026-12-26T00:00Z`
            "2026-12-24T00:00Z" at "2026-12-24T00:00Z": a window has a start and an end; write it as `2026-12-24T00:00Z/2026-12-26T00:00Z`
            "2026-12-24/2026-12-26" at "2026-12-24": the time zone of `2026-12-24` is missing; write `2026-12-24/2026-12-26 UTC`, or a place's zone such as Europe/Moscow
            "2026-12-24T00:00/2026-12-26T00:00Z" at "2026-12-24T00:00": the time zone of `2026-12-24T00:00` is missing; write its offset, as at the other end: `2026-12-24T00:00Z/2026-12-26T00:00Z`
            "2026-12-24T00:00Z/2026-12-26T00:00Z Europe/Moscow" at "2026-12-24T00:00Z": `2026-12-24T00:00Z` has an offset of its own; leave out the offset, or the zone at the end
            "2026-12-24/2026-12-26 Mars" at "Mars": there is no time zone `Mars`; write a place's zone such as Europe/Moscow, or UTC
            "2026-02-30/2026-03-01 UTC" at "2026-02-30": `2026-02-30` is not a time; write the window as `2026-12-24T00:00Z/2026-12-26T00:00Z`
            "2026-12-24T24:00Z/2026-12-26T00:00Z" at "2026-12-24T24:00Z": `2026-12-24T24:00Z` is not a time; write the window as `2026-12-24T00:00Z/2026-12-26T00:00Z`
            "2026-12-24Z/2026-12-26T00:00Z" at "2026-12-24Z": `2026-12-24Z` is not a time; write the window as `2026-12-24T00:00Z/2026-12-26T00:00Z`
            "2026-12-26T00:00Z/2026-12-24T00:00Z" at "2026-12-26T00:00Z/2026-12-24T00:00Z": this window ends before it starts, or as it does; write the start, then `/`, then the end
            "2026-12-24T00:00Z/2026-12-24T00:00Z" at "2026-12-24T00:00Z/2026-12-24T00:00Z": this window ends before it starts, or as it does; write the start, then `/`, then the end
            "1500-01-01T00:00Z/2026-12-24T00:00Z" at "1500-01-01T00:00Z": `1500-01-01T00:00Z` is not between the years 1678 and 2261; 
            "9999-12-31T00:00/9999-12-31T23:00 America/New_York" at "9999-12-31T00:00": `9999-12-31T00:00` is not between the years 1678 and 2261; 
        "#]].assert_eq(&out);
    }

    /// What a clock on the wall shows, minute by minute.
    struct Walk {
        from: Timestamp,
        shown: Vec<DateTime>,
    }

    impl Walk {
        const DAYS: i64 = 9;

        fn new(zone: &TimeZone, from: Timestamp) -> Self {
            let shown = (0..Self::DAYS * i64::from(DAY))
                .map(|n| zone.to_datetime(instant(Timestamp::new(from.nanos() + n * MINUTE))))
                .collect();
            Self { from, shown }
        }

        /// The windows of each day of the walk but the outer ones: from the first minute that shows the start or later
        /// to the last that shows the end, or to the first after all those that show less.
        fn windows(&self, days: u8, start: u16, end: u16) -> Vec<Range<Timestamp>> {
            let first = self.shown[0].date();
            let time = |n: usize| Timestamp::new(self.from.nanos() + n as i64 * MINUTE);
            (1..Self::DAYS - 2)
                .map(|n| first.checked_add(n.days()).expect("in this century"))
                .filter(|day| days >> day.weekday().to_monday_zero_offset() & 1 == 1)
                .map(|day| {
                    let at = |minutes: u16| {
                        day.at(0, 0, 0, 0)
                            .saturating_add(i64::from(minutes).minutes())
                    };
                    let (opens, closes) =
                        (at(start), at(if end > start { end } else { end + DAY }));
                    let start = self.shown.iter().position(|shown| *shown >= opens);
                    let end = self.shown.iter().rposition(|shown| *shown <= closes);
                    let end = end.map(|n| if self.shown[n] == closes { n } else { n + 1 });
                    time(start.expect("in the walk"))..time(end.expect("in the walk"))
                })
                .collect()
        }
    }

    static ZONES: LazyLock<Vec<TimeZone>> = LazyLock::new(|| {
        let names = [
            "Europe/Berlin",
            "America/New_York",
            "Australia/Lord_Howe",
            "Asia/Kathmandu",
            "Africa/Casablanca",
            // Once put back its clocks a minute after midnight, to the day before.
            "America/St_Johns",
            // Skips the hour after midnight.
            "America/Havana",
        ];
        let zone = |name| TimeZoneDatabase::bundled().get(name).expect(name);
        names.map(zone).to_vec()
    });

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        #[test]
        fn windows_are_those_that_a_walk_by_the_clock_finds(
            zone in 0usize..7, day in 13_000i64..21_000, by_change in prop::bool::weighted(0.8), days in 1u8..128,
            start in 0u16..48, end in 0u16..=48, shift in prop::sample::select(vec![0u16, 1, 15, 29]),
        ) {
            let zone = &ZONES[zone];
            let noon = Timestamp::new(day * i64::from(DAY) * MINUTE + 720 * MINUTE);
            let change = zone.following(instant(noon)).next().filter(|_| by_change);
            // Four days before the change; whole minutes, also where offsets once had seconds.
            let middle = change.map_or(noon, |change| timestamp(change.timestamp()));
            let from = Timestamp::new(middle.nanos() / MINUTE * MINUTE - 4 * i64::from(DAY) * MINUTE);
            let (start, end) = ((start * 30 + shift) % DAY, (end * 30).min(DAY));
            prop_assume!(days != 127 || end % DAY != start);

            let name = zone.iana_name().expect("from the database");
            let time = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
            let named: Vec<_> = (0..7).filter(|n| days >> n & 1 == 1).map(|n| DAYS[n][0]).collect();
            let text = format!("{} {}-{} {name}", named.join(","), time(start), time(end));
            let schedule: Schedule = text.parse().expect("well-formed");

            let walk = Walk::new(zone, from);
            let windows = walk.windows(days, start, end);
            for n in 3 * i64::from(DAY)..6 * i64::from(DAY) {
                let at = Timestamp::new(from.nanos() + n * MINUTE);
                let holding = windows.iter().filter(|window| window.contains(&at));
                let expected = holding.map(|window| window.end).max();
                prop_assert_eq!(schedule.until(at), expected, "{} at {}", &text, at);
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "[ ,/:+0-9A-Za-zé-]{0,40}", time in any::<i64>()) {
            for text in [text.clone(), format!("Sun 10:00-12:00 {text}"), format!("2026-01-01/{text}")] {
                match Schedule::parse(&text) {
                    Ok(schedule) => drop(schedule.until(Timestamp::new(time))),
                    Err(fault) => prop_assert!(text.get(fault.at).is_some()),
                }
            }
        }

        #[test]
        fn the_ends_of_time_are_times_like_others(zone in 0usize..7, back in 0i64..i64::MAX) {
            let text = format!("10:00-09:00 {}", ZONES[zone].iana_name().expect("from the database"));
            let schedule: Schedule = text.parse().expect("well-formed");
            for at in [Timestamp::new(i64::MIN + back), Timestamp::new(i64::MAX - back), Timestamp::MIN, Timestamp::MAX] {
                prop_assert!(schedule.until(at).is_none_or(|end| end > at));
            }
        }
    }
}
