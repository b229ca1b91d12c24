//! Event time: an entry's own timestamp in nanoseconds, and the durations that rules and settings are written in.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Nanoseconds since the Unix epoch, as Loki's wire format carries them.
///
/// Arithmetic saturates: a hostile entry at the end of time must not wrap to its beginning.
/// A time that may be missing takes 8 bytes as well, of which each key of a rule has ten.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "i64", into = "i64")]
pub struct Timestamp(
    /// With the sign turned round, so that the order is that of the times, and zero is the one `i64` that is none of them.
    NonZeroU64,
);

/// The wall clock, as the shell is given it: tests bring their own, and let it jump.
pub type WallClock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

impl Timestamp {
    /// The earliest time there is: `i64::MIN + 1` nanoseconds.
    pub const MIN: Self = Self(NonZeroU64::MIN);
    /// The latest time there is: `i64::MAX` nanoseconds.
    pub const MAX: Self = Self(NonZeroU64::MAX);

    /// So many nanoseconds after the epoch; `i64::MIN` counts as one more.
    #[must_use]
    pub const fn new(nanos: i64) -> Self {
        match NonZeroU64::new(nanos.cast_unsigned() ^ SIGN) {
            Some(turned) => Self(turned),
            None => Self::MIN,
        }
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        (self.0.get() ^ SIGN).cast_signed()
    }

    /// The time `seconds` and `nanos` after the epoch, as protobuf's `Timestamp` writes it.
    #[must_use]
    pub fn from_parts(seconds: i64, nanos: i64) -> Self {
        Self::new(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }

    /// The earliest and the latest of `times`, in any order. One pass without branches, for what each entry's time goes through.
    #[must_use]
    pub fn span(times: impl IntoIterator<Item = Self>) -> Option<(Self, Self)> {
        let mut times = times.into_iter();
        let first = times.next()?;
        Some(times.fold((first, first), |(earliest, latest), at| {
            (earliest.min(at), latest.max(at))
        }))
    }

    /// The second that it lies in, without a fraction.
    #[must_use]
    pub const fn whole_second(self) -> Self {
        Self::new(self.nanos() - self.nanos().rem_euclid(1_000_000_000))
    }

    /// The wall clock, for the shell around the pure rooms; they are told the time and never call this.
    #[must_use]
    pub fn wall_clock() -> Self {
        let since_epoch = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Self::default().plus(since_epoch)
    }

    /// This time, `duration` later.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self::new(self.nanos().saturating_add(nanos(duration)))
    }

    /// This time, `duration` earlier.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self::new(self.nanos().saturating_sub(nanos(duration)))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }
}

/// The bit that tells negative numbers.
const SIGN: u64 = 1 << 63;

/// The epoch.
impl Default for Timestamp {
    fn default() -> Self {
        Self::new(0)
    }
}

impl From<i64> for Timestamp {
    fn from(nanos: i64) -> Self {
        Self::new(nanos)
    }
}

impl From<Timestamp> for i64 {
    fn from(at: Timestamp) -> Self {
        at.nanos()
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Timestamp").field(&self.nanos()).finish()
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// RFC 3339 in UTC, with as many fractional digits as the time has.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.nanos())) {
            Ok(time) => write!(f, "{time}"),
            Err(_) => write!(f, "{}ns", self.nanos()),
        }
    }
}

/// RFC 3339 with any offset.
impl FromStr for Timestamp {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let time: jiff::Timestamp = text
            .parse()
            .map_err(|_| TimeError::Timestamp(text.to_owned()))?;
        i64::try_from(time.as_nanosecond())
            .map(Self::new)
            .map_err(|_| TimeError::Timestamp(text.to_owned()))
    }
}

impl Timestamp {
    /// Reads RFC 3339 with any offset; a time that is too early or too late to be told in nanoseconds is the first or the last that can be.
    ///
    /// # Errors
    /// When it is no such time.
    pub fn nearest(text: &str) -> Result<Self, TimeError> {
        let time: jiff::Timestamp = text
            .parse()
            .map_err(|_| TimeError::Timestamp(text.to_owned()))?;
        let beyond = match time.as_second() {
            ..0 => Self::MIN,
            0.. => Self::MAX,
        };
        Ok(i64::try_from(time.as_nanosecond()).map_or(beyond, Self::new))
    }
}

/// A time or duration that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not a Prometheus duration.
    #[error("`{0}` is not a duration; write it as in Prometheus: 30s, 10m, 1h30m, 1d")]
    Duration(String),
    /// Not an RFC 3339 time.
    #[error("`{0}` is not an RFC 3339 time such as 2026-01-31T09:30:00Z")]
    Timestamp(String),
}

/// Units of a Prometheus duration, longest first, in milliseconds.
/// Source: `ParseDuration`, prometheus/common `model/time.go`: each unit at most once, in this order.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Reads a duration as Prometheus writes it: `90s`, `1h30m`, `1d`, and `0`.
///
/// # Errors
/// [`TimeError::Duration`] for anything else: a number without a unit, units out of order or twice, more than 292 years.
pub fn parse_duration(text: &str) -> Result<Duration, TimeError> {
    let wrong = || TimeError::Duration(text.to_owned());
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = 0u64;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.len()
            - rest
                .trim_start_matches(|c: char| c.is_ascii_alphabetic())
                .len();
        let (_, scale) = units
            .find(|(unit, _)| *unit == &rest[..letters])
            .ok_or_else(wrong)?;
        rest = &rest[letters..];
        total = number
            .checked_mul(*scale)
            .and_then(|ms| total.checked_add(ms))
            .ok_or_else(wrong)?;
    }
    if text.is_empty() || total > (i64::MAX / 1_000_000) as u64 {
        return Err(wrong());
    }
    Ok(Duration::from_millis(total))
}

/// Writes a duration as Prometheus does, to the millisecond: `1h30m`, `0s`.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    // Years and weeks read worse than days: `7d` is what people write.
    for (unit, scale) in UNITS.iter().filter(|(unit, _)| !matches!(*unit, "y" | "w")) {
        if rest >= *scale {
            text.push_str(&format!("{}{unit}", rest / scale));
            rest %= scale;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_beyond_all_that_can_be_told_is_the_last_or_the_first() {
        let nearest = |text| Timestamp::nearest(text).map_err(|error| error.to_string());
        assert_eq!(
            nearest("1970-01-01T01:00:00.5+01:00"),
            Ok(Timestamp::new(500_000_000))
        );
        assert_eq!(
            nearest("2262-04-11T23:47:16.854775807Z"),
            Ok(Timestamp::MAX)
        );
        assert_eq!(nearest("2262-04-11T23:47:17Z"), Ok(Timestamp::MAX));
        assert_eq!(nearest("5293-10-06T08:00:21Z"), Ok(Timestamp::MAX));
        assert_eq!(nearest("0001-01-01T00:00:00Z"), Ok(Timestamp::MIN));
        assert!(nearest("today").is_err());
    }

    #[test]
    fn durations_are_read_as_prometheus_reads_them() {
        for (text, seconds) in [
            ("0", 0),
            ("0s", 0),
            ("90s", 90),
            ("10m", 600),
            ("1h30m", 5400),
            ("1d", 86_400),
            ("1w", 604_800),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_secs(seconds)),
                "{text}"
            );
        }
        for text in [
            "",
            "10",
            "m",
            "30m1h",
            "1m1m",
            "1.5h",
            "-1m",
            "1 m",
            "1M",
            "99999999999999999999s",
            "300y",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_written_as_people_write_them() {
        for text in ["0s", "1ms", "90ms", "10m", "1h30m", "7d", "26h"] {
            let duration = parse_duration(text).expect("valid");
            assert_eq!(
                parse_duration(&format_duration(duration)),
                Ok(duration),
                "{text}"
            );
        }
        assert_eq!(format_duration(Duration::from_secs(26 * 3600)), "1d2h");
    }

    #[test]
    fn the_ends_of_time_saturate() {
        assert_eq!(Timestamp::MAX.plus(Duration::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.minus(Duration::MAX), Timestamp::MIN);
        assert_eq!(Timestamp::from_parts(i64::MAX, 999), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.since(Timestamp::MAX), Duration::ZERO);
        assert_eq!(
            Timestamp::MAX.since(Timestamp::MIN),
            Duration::from_nanos(u64::MAX - 1)
        );
        assert_eq!(Timestamp::new(0).to_string(), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn times_are_in_the_order_of_their_nanoseconds_and_one_that_may_be_missing_takes_no_more() {
        let nanos = [i64::MIN + 1, -5, -1, 0, 1, i64::MAX];
        let times = nanos.map(Timestamp::new);
        assert!(times.is_sorted());
        assert_eq!(times.map(Timestamp::nanos), nanos);
        assert_eq!(Timestamp::new(i64::MIN), Timestamp::MIN);
        assert_eq!(size_of::<Option<Timestamp>>(), 8);
    }
}
