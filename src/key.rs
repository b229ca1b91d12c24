//! A key: what a rule tells one thing that can be broken from another by.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use smallvec::SmallVec;

/// The values of a rule's `by`, in the order of the names there; empty where the entry had none.
///
/// Shared, and one piece of memory: 17 bytes and its values, each with one byte for every six bits of its length. There may be hundreds of
/// thousands. Keys are in the order of their values, and stored as a list of texts.
#[derive(Clone, Default)]
pub struct Key(
    /// Each value behind its length, six bits a character, the lowest first; [`MORE`] is set in all but the last of these.
    Arc<str>,
);

/// The bit of a character of a length that says that another follows.
const MORE: u8 = 0x40;

/// The bits of a length in one character.
const BITS: u32 = 6;

impl Key {
    /// Its values, in order.
    #[must_use]
    pub fn iter(&self) -> Values<'_> {
        Values(&self.0)
    }

    /// The value at `place`. Cost: linear in the place.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<&str> {
        self.iter().nth(place)
    }

    /// Whether it has no values, as that of a rule without `by`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is the same piece of memory, and not only equal.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The memory that it takes beside itself, whoever shares it, in bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        if self.is_empty() {
            return 0;
        }
        2 * size_of::<usize>() + self.0.len()
    }
}

/// The values of a [`Key`].
#[derive(Debug, Clone)]
pub struct Values<'a>(&'a str);

impl<'a> Iterator for Values<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let bytes = self.0.as_bytes();
        let digits = 1 + bytes.iter().position(|byte| byte & MORE == 0)?;
        let length = bytes[..digits].iter().rev().fold(0, |length, byte| {
            (length << BITS) | usize::from(byte & !MORE)
        });
        let (value, rest) = self.0[digits..].split_at(length);
        self.0 = rest;
        Some(value)
    }
}

impl<'a> IntoIterator for &'a Key {
    type Item = &'a str;
    type IntoIter = Values<'a>;

    fn into_iter(self) -> Values<'a> {
        self.iter()
    }
}

impl<T: AsRef<str>> FromIterator<T> for Key {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        // Mostly on the stack until it is whole.
        let mut text = SmallVec::<[u8; 128]>::new();
        for value in values {
            let value = value.as_ref();
            let mut length = value.len();
            while length >= usize::from(MORE) {
                text.push(MORE | (length as u8 & (MORE - 1)));
                length >>= BITS;
            }
            text.push(length as u8);
            text.extend_from_slice(value.as_bytes());
        }
        if text.is_empty() {
            return Self::default();
        }
        let text = std::str::from_utf8(&text).expect("texts, and characters between them");
        Self(text.into())
    }
}

impl<T: AsRef<str>, const N: usize> From<[T; N]> for Key {
    fn from(values: [T; N]) -> Self {
        values.into_iter().collect()
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other) || self.0 == other.0
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.is_same(other) {
            return Ordering::Equal;
        }
        self.iter().cmp(other)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Not every format takes a list whose length it does not know.
        serializer.collect_seq(self.iter().collect::<Vec<_>>())
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;

        impl<'de> Visitor<'de> for Texts {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of texts")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> Result<Key, A::Error> {
                let mut values: Vec<String> = Vec::new();
                while let Some(value) = texts.next_element()? {
                    values.push(value);
                }
                Ok(values.iter().collect())
            }
        }

        deserializer.deserialize_seq(Texts)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn its_values_are_those_it_was_made_of_however_long() {
        for length in [0, 1, 63, 64, 4095, 4096, 300_000] {
            let values = ["ж".repeat(length / 2), "x".repeat(length), String::new()];
            let key: Key = values.iter().collect();
            assert!(key.iter().eq(values.iter()), "{length}");
            assert_eq!(key.get(1), Some(&*values[1]));
            assert_eq!(key.get(3), None);
        }
        assert_eq!(Key::default().iter().next(), None);
        assert!(Key::default().is_empty());
        let one_empty = Key::from([""]);
        assert!(!one_empty.is_empty() && one_empty != Key::default());
    }

    proptest! {
        #[test]
        fn it_compares_and_is_stored_as_the_list_of_its_values(
            one in prop::collection::vec("[\0-\u{7f}ж]{0,70}", 0..4),
            other in prop::collection::vec("[\0-b]{0,2}", 0..4),
        ) {
            let keys = [&one, &other].map(|values| values.iter().collect::<Key>());
            prop_assert_eq!(keys[0].cmp(&keys[1]), one.cmp(&other));
            prop_assert_eq!(keys[0] == keys[1], one == other);
            prop_assert_eq!(format!("{:?}", keys[0]), format!("{one:?}"));
            let stored = postcard::to_allocvec(&keys[0]).expect("it encodes");
            prop_assert_eq!(&stored, &postcard::to_allocvec(&one).expect("it encodes"));
            prop_assert_eq!(&postcard::from_bytes::<Key>(&stored).expect("it decodes"), &keys[0]);
        }
    }
}
