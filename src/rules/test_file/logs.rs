//! Lines as a test's `logs` has them: `4m30s {component=frontend} failed to connect`, `0m +1m x5 again`, `4m@20m late`.

use std::num::NonZeroU32;
use std::ops::Range;
use std::time::Duration;

use crate::batch::Labels;
use crate::rules::problem::{Code, Fault, shortened};
use crate::time::{format_duration, parse_duration};

/// Most entries of one test, repetitions counted.
const ENTRIES_MAX: u64 = 1_000_000;
/// Most text of one test in bytes, repetitions counted: what arrives together is one batch.
const TEXT_BYTES_MAX: u64 = 256 << 20;
/// Latest time of a line. Times of entries end in 2262.
pub(in crate::rules) const OFFSET_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);

/// A line of a test, or several that differ in their time alone.
#[derive(Debug, Clone, PartialEq)]
pub struct LogLine {
    /// Time of the first, from the test's start on.
    pub at: Duration,
    /// Time from one to the next.
    pub step: Duration,
    /// How many.
    pub count: NonZeroU32,
    /// When they all arrive, where that is not when they are written.
    pub arrives: Option<Duration>,
    /// Their labels: the line's over the test's.
    pub labels: Labels,
    /// What is logged.
    pub text: String,
    pub(super) span: Range<usize>,
}

impl LogLine {
    /// The times of its entries, and when each arrives.
    pub fn times(&self) -> impl Iterator<Item = (Duration, Duration)> {
        (0..self.count.get()).map(|place| {
            let at = self.at + self.step * place;
            (at, self.arrives.unwrap_or(at))
        })
    }

    /// When its last entry arrives.
    pub(in crate::rules) fn ends(&self) -> Duration {
        self.arrives
            .unwrap_or_else(|| self.at + self.step * (self.count.get() - 1))
    }

    pub(in crate::rules) fn span(&self) -> &Range<usize> {
        &self.span
    }
}

/// The lines of one `logs`, while they are read.
#[derive(Debug, Default)]
pub(in crate::rules) struct Logs {
    pub(in crate::rules) lines: Vec<LogLine>,
    /// Point into the line that they are about.
    pub(in crate::rules) faults: Vec<Fault>,
    entries: u64,
    bytes: u64,
}

impl Logs {
    /// Reads one line of the text, which stands in the file where `place` says for a piece of it. `labels` are the test's.
    pub(in crate::rules) fn line(
        &mut self,
        line: &str,
        labels: &Labels,
        place: impl Fn(Range<usize>) -> Range<usize>,
    ) {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            return;
        }
        let before = self.faults.len();
        match self.entry(line, labels) {
            Ok(mut read) => {
                read.span = place(trimmed(line));
                self.lines.push(read);
            }
            Err(fault) => self.faults.push(fault),
        }
        for fault in &mut self.faults[before..] {
            fault.at = place(fault.at.clone());
        }
    }

    fn entry(&mut self, line: &str, labels: &Labels) -> Result<LogLine, Fault> {
        let mut words = Words { line, at: 0 };
        let (at, arrives) = time(&mut words)?;
        let (step, count) = repetition(&mut words)?;
        let fault = |message: String| Fault::new(Code::TestLine, trimmed(line), message);
        let last = step
            .checked_mul(count.get() - 1)
            .and_then(|all| all.checked_add(at))
            .filter(|last| *last <= OFFSET_MAX && arrives.is_none_or(|at| at <= OFFSET_MAX));
        let Some(last) = last else {
            return Err(fault(format!(
                "the line comes later than {}, which is the longest that a test can last",
                format_duration(OFFSET_MAX)
            )));
        };
        if let Some(arrives) = arrives.filter(|arrives| count.get() > 1 && *arrives < last) {
            return Err(fault(format!(
                "all repetitions arrive at {}, and the last is of {}",
                format_duration(arrives),
                format_duration(last)
            ))
            .help("write the lines one by one, each with its own time of arrival"));
        }
        self.entries += u64::from(count.get());
        self.bytes += u64::from(count.get()) * line.len() as u64;
        let limit = if self.entries > ENTRIES_MAX {
            Some(format!("{ENTRIES_MAX} lines"))
        } else {
            (self.bytes > TEXT_BYTES_MAX).then(|| format!("{TEXT_BYTES_MAX} bytes of text"))
        };
        if let Some(limit) = limit {
            let message = format!("the test has more than {limit}, repetitions counted");
            return Err(Fault::new(Code::TooMany, trimmed(line), message));
        }
        let rest = &line[words.at..];
        let text = match label_set(rest) {
            Some((own, text)) => {
                let merged = labels.iter().chain(own.iter().map(|(n, v)| (&**n, &**v)));
                let labels = Labels::new(merged.map(|(name, value)| (name.into(), value.into())));
                return Ok(LogLine {
                    at,
                    step,
                    count,
                    arrives,
                    labels,
                    text: text.to_owned(),
                    span: 0..0,
                });
            }
            None => rest,
        };
        if text.is_empty() {
            return Err(fault("the line has no text behind its time".to_owned())
                .help("an empty line is written with `{} ` and nothing behind it"));
        }
        self.faults.extend(looks_like(text, words.at));
        Ok(LogLine {
            at,
            step,
            count,
            arrives,
            labels: labels.clone(),
            text: text.to_owned(),
            span: 0..0,
        })
    }
}

/// A line, word by word.
struct Words<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Words<'a> {
    /// The next word and where it stands, without taking it. Blanks before it are passed.
    fn peek(&mut self) -> (&'a str, Range<usize>) {
        let rest = &self.line[self.at..];
        self.at += rest.len() - rest.trim_start_matches(BLANK).len();
        let rest = &self.line[self.at..];
        let word = rest.split(BLANK).next().unwrap_or_default();
        (word, self.at..self.at + word.len())
    }

    /// Goes behind the word that ends at `end`, and the blanks after it.
    fn pass(&mut self, end: usize) {
        self.at = end;
        self.peek();
    }
}

const BLANK: [char; 2] = [' ', '\t'];

/// `4m`, or `4m@20m`: when it is written, and when it arrives if that is not the same.
fn time(words: &mut Words<'_>) -> Result<(Duration, Option<Duration>), Fault> {
    let (word, place) = words.peek();
    let whole = place.clone();
    let (at, arrives) = match word.split_once('@') {
        Some((at, arrives)) => (at, Some(arrives)),
        None => (word, None),
    };
    let duration = |text: &str, place: Range<usize>| {
        if text.is_empty() {
            let fault = Fault::new(
                Code::TestLine,
                whole.clone(),
                "there is no time on one side of this `@`",
            );
            return Err(fault.help("`4m@20m` is a line of 4m that arrives at 20m"));
        }
        parse_duration(&shortened(text)).map_err(|_| {
            let fault = Fault::new(
                Code::TestLine,
                place,
                format!(
                    "`{}` is not a time since the start of the test",
                    shortened(text)
                ),
            );
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            fault.help(if digits {
                format!("write `{0}s` or `{0}m`", shortened(text))
            } else {
                "every line begins with one: `0m`, `90s`, `1h30m`; `4m@20m` arrives late".to_owned()
            })
        })
    };
    let split = place.start + at.len();
    let read = duration(at, place.start..split)?;
    let arrives = arrives.map(|text| duration(text, split + 1..place.end));
    let arrives = arrives.transpose()?.filter(|arrives| *arrives != read);
    words.pass(place.end);
    Ok((read, arrives))
}

/// `+1m x5`: only as a pair.
fn repetition(words: &mut Words<'_>) -> Result<(Duration, NonZeroU32), Fault> {
    let once = (Duration::ZERO, NonZeroU32::MIN);
    let began = words.at;
    let (step, place) = words.peek();
    let Some(Ok(step)) = step.strip_prefix('+').map(parse_duration) else {
        return Ok(once);
    };
    words.pass(place.end);
    let (count, place) = words.peek();
    let digits = count.strip_prefix('x').filter(|digits| is_number(digits));
    let Some(digits) = digits else {
        words.at = began;
        return Ok(once);
    };
    let Some(count) = digits.parse().ok().and_then(NonZeroU32::new) else {
        let message = format!("`{}` is no number of lines", shortened(count));
        let help = format!("it is a number from 1 to {ENTRIES_MAX}");
        return Err(Fault::new(Code::TestLine, place, message).help(help));
    };
    words.pass(place.end);
    Ok((step, count))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

type Pairs = Vec<(String, String)>;

/// `{name=value, …} ` and what comes behind it; `None` where the line begins with anything else.
///
/// Behind a set, blanks are passed, so that lines can be aligned. Behind `{} ` the line begins at once, whatever it is.
fn label_set(rest: &str) -> Option<(Pairs, &str)> {
    let mut scan = rest.strip_prefix('{')?;
    let mut pairs = Vec::new();
    let skip = |text: &mut &str| *text = text.trim_start_matches(BLANK);
    skip(&mut scan);
    if !scan.starts_with('}') {
        loop {
            skip(&mut scan);
            let name = name(scan)?;
            scan = &scan[name.len()..];
            skip(&mut scan);
            scan = scan.strip_prefix('=')?;
            skip(&mut scan);
            let (value, behind) = match scan.strip_prefix('"') {
                Some(quoted) => unquote(quoted)?,
                None => {
                    let end = scan.find([',', '}', '"', '{', ' ', '\t'])?;
                    (scan[..end].to_owned(), &scan[end..])
                }
            };
            pairs.push((name.to_owned(), value));
            scan = behind;
            skip(&mut scan);
            match scan.strip_prefix(',') {
                Some(behind) => scan = behind,
                None => break,
            }
        }
    }
    let behind = scan.strip_prefix('}')?;
    let text = behind.strip_prefix(BLANK)?;
    if pairs.is_empty() {
        return Some((pairs, text));
    }
    Some((pairs, text.trim_start_matches(BLANK)))
}

/// The name of a label that `text` begins with.
pub(in crate::rules) fn name(text: &str) -> Option<&str> {
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    let name = &text[..end];
    (!name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit())).then_some(name)
}

/// A text in double quotes, the first of which is gone already, and what comes behind it.
pub(super) fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                'u' => unicode(&mut chars)?,
                same @ ('"' | '\\') => same,
                _ => return None,
            }),
            c => value.push(c),
        }
    }
    None
}

/// `{1b}`: the rest of an escape that names a character.
fn unicode(chars: &mut std::str::CharIndices<'_>) -> Option<char> {
    let mut digits = String::new();
    if chars.next()?.1 != '{' {
        return None;
    }
    loop {
        match chars.next()?.1 {
            '}' => break char::from_u32(u32::from_str_radix(&digits, 16).ok()?),
            digit if digits.len() < 6 => digits.push(digit),
            _ => break None,
        }
    }
}

/// The warning for a line that looks like what it is not taken for.
fn looks_like(text: &str, at: usize) -> Option<Fault> {
    let word = text.split(BLANK).next().unwrap_or_default();
    let is_time = |prefix: char| {
        let time = word.strip_prefix(prefix);
        time.is_some_and(|time| parse_duration(time).is_ok())
    };
    let is_count = word.strip_prefix('x').is_some_and(is_number);
    let (length, message, help) = if is_time('+') || is_count {
        let help = "a line is repeated with both, directly behind the time: `0m +1m x5 …`";
        (word.len(), "is text here, and repeats nothing", help)
    } else if is_time('@') {
        let help = "when a line arrives is written without a blank: `4m@20m …`";
        (word.len(), "is text here, and no time of arrival", help)
    } else {
        let inside = text.strip_prefix('{')?.trim_start_matches(BLANK);
        let name = name(inside)?;
        let behind = inside[name.len()..].trim_start_matches(BLANK);
        if !behind.starts_with(['=', '!']) {
            return None;
        }
        let help =
            "labels are written `{name=value, other=\"a value\"} `, with a blank behind them";
        let end = text.find('}').map_or(word.len(), |end| end + 1);
        (end, "is text here, and no labels", help)
    };
    let shown = shortened(&text[..length]);
    let fault = Fault::new(
        Code::TestLooksLike,
        at..at + length,
        format!("`{shown}` {message}"),
    );
    Some(fault.help(format!("{help}; if it is text, write `{{}} ` before it")))
}

/// The part of a line that is not blank.
fn trimmed(line: &str) -> Range<usize> {
    let start = line.len() - line.trim_start().len();
    start..line.trim_end().len().max(start)
}
