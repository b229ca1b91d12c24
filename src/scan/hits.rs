//! What a hit takes along from its line: key, captures, and the line itself, each bounded.

use super::confirm::{Name, OfStream, Work};
use super::line::Line;
use super::plan::Wanted;
use crate::hit::{Key, LINE_BYTES_MAX};

/// Longest value, in bytes, of a part of a key or of a capture; longer ones are cut, between characters.
/// Keys are remembered for hours, so what a log line can put into one is bounded.
pub const VALUE_BYTES_MAX: usize = 1024;

/// Keys made of labels alone, or of what follows from them: lines of a stream have the same one, which their hits share.
#[derive(Debug, Default)]
pub(super) struct Keys {
    by_rule: Vec<Option<SharedKey>>,
}

#[derive(Debug, Clone)]
struct SharedKey {
    stream: usize,
    /// Number of the match that it was read by: what one captures another may take from a label.
    wanted: usize,
    /// In which lines it is the key; not [`OfStream::No`].
    of: OfStream,
    key: Key,
}

impl Keys {
    /// Forgets the keys of the batch before, and makes room for those of `rules` rules.
    pub(super) fn begin(&mut self, rules: usize) {
        self.by_rule.clear();
        self.by_rule.resize(rules, None);
    }

    /// The key of `line`, which belongs to the batch's stream number `stream` and fulfils `wanted`.
    pub(super) fn of(
        &mut self,
        rule: usize,
        stream: usize,
        wanted: &Wanted,
        line: &Line<'_>,
        work: &mut Work,
    ) -> Key {
        let shared = &mut self.by_rule[rule];
        let is_shared = |of: OfStream| match of {
            OfStream::Always => true,
            OfStream::WhereSilent => wanted.confirm.is_silent_about(&wanted.by, line),
            OfStream::No => false,
        };
        if let Some(shared) = shared
            && shared.stream == stream
            && shared.wanted == wanted.number
            && is_shared(shared.of)
        {
            return shared.key.clone();
        }
        let parts = wanted.by.iter();
        let key: Key = parts.map(|name| value(wanted, name, line, work)).collect();
        let names = wanted.by.iter();
        let of = names.map(|name| wanted.confirm.is_of_stream(name, line));
        let of = of.min().unwrap_or(OfStream::Always);
        if is_shared(of) {
            *shared = Some(SharedKey {
                stream,
                wanted: wanted.number,
                of,
                key: key.clone(),
            });
        }
        key
    }
}

/// The values that the rule tells apart; an entry that only counts in a denominator has none.
pub(super) fn values(wanted: &Wanted, line: &Line<'_>, work: &mut Work) -> Box<[Box<str>]> {
    let names = wanted.values.iter();
    if wanted.is_denominator {
        return names.map(|_| Box::default()).collect();
    }
    names.map(|name| value(wanted, name, line, work)).collect()
}

/// Names in the rule's summary, each with its value.
pub(super) fn captures(
    wanted: &Wanted,
    line: &Line<'_>,
    work: &mut Work,
) -> Box<[(Box<str>, Box<str>)]> {
    let names = wanted.summary.iter();
    names
        .map(|name| (name.name.clone(), value(wanted, name, line, work)))
        .collect()
}

/// What `name` means in `line`; empty if nothing.
fn value(wanted: &Wanted, name: &Name, line: &Line<'_>, work: &mut Work) -> Box<str> {
    let value = wanted
        .confirm
        .value(name, line, &mut work.caches, &mut work.value);
    value.map_or_else(Box::default, to_text)
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
    String::from_utf8_lossy(&value[..end]).into()
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
