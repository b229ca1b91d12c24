//! What a hit takes along from its line: key, captures, and the line itself, each bounded.

use rustc_hash::FxHashMap;

use super::confirm::{Name, OfStream, Work};
use super::line::Line;
use super::plan::{Ask, Wanted};
use crate::hit::{Key, LINE_BYTES_MAX};
use crate::rules::Parse;
use crate::text::lossy;

/// Longest value, in bytes, of a part of a key or of a capture; longer ones are cut, between characters.
/// Keys are remembered for hours, so what a log line can put into one is bounded.
pub const VALUE_BYTES_MAX: usize = 1024;

/// A line that hit, and by what.
pub(super) struct HitBy<'a> {
    pub(super) wanted: &'a Wanted,
    /// What the line was searched for and holds, if it was: see [`super::confirm::Confirm::fulfilled`].
    pub(super) cues: Option<&'a [Ask]>,
    pub(super) line: Line<'a>,
}

impl HitBy<'_> {
    /// What `name` means; empty if nothing.
    fn value(&self, name: &Name, work: &mut Work) -> Box<str> {
        let (caches, buffer) = (&mut work.caches, &mut work.value);
        let confirm = &self.wanted.confirm;
        let value = confirm.value(name, &self.line, self.cues, caches, buffer);
        value.map_or_else(Box::default, to_text)
    }
}

/// Ways to read a key, numbered: matches that read the same names from the same kind of fields, and capture none of them, have one,
/// whatever their rules are.
#[derive(Debug, Default)]
pub(super) struct Readings {
    known: FxHashMap<(Parse, Vec<Box<str>>), usize>,
    /// How many there are.
    pub(super) count: usize,
}

impl Readings {
    /// The number of that by which `names` are read in a match of a rule with this `parse`.
    pub(super) fn number(&mut self, parse: Parse, names: &[Name]) -> usize {
        let new = self.count;
        let number = if names.iter().any(Name::is_captured) {
            new
        } else {
            let names = names.iter().map(|name| name.name.clone());
            *self.known.entry((parse, names.collect())).or_insert(new)
        };
        self.count += usize::from(number == new);
        number
    }
}

/// What keys have of labels alone, or of what follows from them: lines of a stream have the same there, which their hits share.
#[derive(Debug, Default)]
pub(super) struct Keys {
    by_reading: Vec<Option<SharedKey>>,
    /// The readings that have one.
    known: Vec<usize>,
}

#[derive(Debug, Clone)]
struct SharedKey {
    stream: usize,
    /// In which lines each part is the same, and what it is there, once one had it.
    parts: Box<[(OfStream, Option<Box<str>>)]>,
    /// The key, if all parts are the same.
    key: Option<Key>,
}

impl SharedKey {
    fn new(stream: usize, hit: &HitBy<'_>) -> Self {
        let HitBy { wanted, line, .. } = hit;
        let names = wanted.by.iter();
        Self {
            stream,
            parts: names
                .map(|name| (wanted.confirm.is_of_stream(name, line), None))
                .collect(),
            key: None,
        }
    }
}

impl Keys {
    /// Forgets the keys of the batch before, and makes room for so many readings.
    pub(super) fn begin(&mut self, readings: usize) {
        for reading in self.known.drain(..) {
            self.by_reading[reading] = None;
        }
        self.by_reading.resize(readings, None);
    }

    /// The key of `hit`, whose line belongs to the batch's stream number `stream`.
    pub(super) fn of(&mut self, stream: usize, hit: &HitBy<'_>, work: &mut Work) -> Key {
        let wanted = hit.wanted;
        let place = &mut self.by_reading[wanted.reading];
        let known = place.take();
        if known.is_none() {
            self.known.push(wanted.reading);
        }
        let known = known.filter(|key| key.stream == stream);
        let shared = place.insert(known.unwrap_or_else(|| SharedKey::new(stream, hit)));
        let has = |wanted: OfStream| shared.parts.iter().any(|(of, _)| *of == wanted);
        let is_silent =
            has(OfStream::WhereSilent) && wanted.confirm.is_silent_about(&wanted.by, &hit.line);
        let is_shared = |of: OfStream| match of {
            OfStream::Always => true,
            OfStream::WhereSilent => is_silent,
            OfStream::No => false,
        };
        let is_whole = shared.parts.iter().all(|(of, _)| is_shared(*of));
        if is_whole && let Some(key) = &shared.key {
            return key.clone();
        }
        let parts = wanted.by.iter().zip(&mut shared.parts);
        let key: Key = parts
            .map(|(name, (of, known))| {
                // Where all are shared, the key itself is kept.
                if !is_whole && is_shared(*of) {
                    let known = known.get_or_insert_with(|| hit.value(name, work));
                    known.clone()
                } else {
                    hit.value(name, work)
                }
            })
            .collect();
        if is_whole {
            shared.key = Some(key.clone());
        }
        key
    }
}

/// The values that the rule tells apart; an entry that only counts in a denominator has none.
pub(super) fn values(hit: &HitBy<'_>, work: &mut Work) -> Box<[Box<str>]> {
    let names = hit.wanted.values.iter();
    if hit.wanted.is_denominator {
        return names.map(|_| Box::default()).collect();
    }
    names.map(|name| hit.value(name, work)).collect()
}

/// Names in the rule's summary, each with its value.
pub(super) fn captures(hit: &HitBy<'_>, work: &mut Work) -> Box<[(Box<str>, Box<str>)]> {
    let names = hit.wanted.summary.iter();
    names
        .map(|name| (name.name.clone(), hit.value(name, work)))
        .collect()
}

/// `value` as text, cut to [`VALUE_BYTES_MAX`]. What is no UTF-8 becomes U+FFFD.
pub(super) fn to_text(value: &[u8]) -> Box<str> {
    let mut end = value.len();
    if end > VALUE_BYTES_MAX {
        end = VALUE_BYTES_MAX;
        // Back to the first byte of the character that would be cut through; a character has at most four.
        while end > VALUE_BYTES_MAX - 3 && value[end] & 0xc0 == 0x80 {
            end -= 1;
        }
    }
    lossy(&value[..end]).into()
}

/// As much of `line` as a hit carries.
pub(super) fn cut(line: &[u8]) -> Box<[u8]> {
    line[..line.len().min(LINE_BYTES_MAX)].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let long = "ж".repeat(VALUE_BYTES_MAX);
        assert_eq!(to_text(long.as_bytes()).len(), VALUE_BYTES_MAX);
        assert_eq!(
            to_text(format!("a{long}").as_bytes()).len(),
            VALUE_BYTES_MAX - 1
        );
        assert_eq!(&*to_text(b"a\xffb"), "a\u{fffd}b");
        assert!(to_text(&[0x80; VALUE_BYTES_MAX + 9]).len() <= 3 * VALUE_BYTES_MAX);
    }
}
