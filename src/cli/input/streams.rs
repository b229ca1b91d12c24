//! Streams that have been made already, so that entries of one share it.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use crate::batch::{Labels, Stream};

/// Streams by what they were made of.
///
/// Forgets all of them at so many streams, or at 64 MiB of keys and as much of labels; they are made anew, and are the same.
pub(super) struct Streams<K> {
    known: HashMap<K, Arc<Stream>>,
    bytes: usize,
    streams_max: usize,
}

const BYTES_MAX: usize = 64 << 20;

impl<K: Hash + Eq> Streams<K> {
    pub(super) fn new(streams_max: usize) -> Self {
        Self {
            known: HashMap::new(),
            bytes: 0,
            streams_max,
        }
    }

    /// The stream that was made of `key`, if it is known.
    pub(super) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<Arc<Stream>>
    where
        K: Borrow<Q>,
    {
        self.known.get(key).map(Arc::clone)
    }

    /// Makes the stream of `labels` and knows it by `key`, of so many bytes.
    pub(super) fn make(&mut self, key: K, key_bytes: usize, labels: Labels) -> Arc<Stream> {
        if self.known.len() >= self.streams_max || self.bytes + key_bytes > BYTES_MAX {
            self.known.clear();
            self.bytes = 0;
        }
        let stream = Arc::new(Stream::new(Arc::from(""), labels));
        self.bytes += key_bytes;
        self.known.insert(key, Arc::clone(&stream));
        stream
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_forgotten_at_their_bound_and_are_the_same_again() {
        let mut streams = Streams::new(2);
        let labels = |n: i32| Labels::new([("n".into(), n.to_string().into())]);
        let first = streams.make(1, 4, labels(1));
        assert!(Arc::ptr_eq(&first, &streams.get(&1).expect("known")));
        for n in 2..9 {
            streams.make(n, 4, labels(n));
            assert!(streams.known.len() <= 2);
        }
        assert!(streams.get(&1).is_none());
        assert_eq!(streams.make(1, 4, labels(1)), first);
        streams.make(2, BYTES_MAX, labels(2));
        assert_eq!(streams.known.len(), 1);
    }
}
