//! Streams seen before, so that a label string that is sent again (nearly every one is) is not parsed again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::Xxh3;

use crate::batch::{Labels, Stream};

/// Parsed label sets by tenant and label bytes as sent; shared by all workers, because memory matters more here than the
/// short lock that some twenty lookups a request take.
///
/// Holds at most `streams_max` streams, and 256 bytes of label text for each of these. They stand in two generations: a new stream goes into
/// the young one, and when that is half of the bound, the old one is forgotten and the young one is old. A stream in use
/// moves back into the young one, so only those unused for long are lost; they are parsed anew, and counted. It never fails.
#[derive(Debug)]
pub struct Interner {
    generations: Mutex<Generations>,
    streams_max: usize,
    forgotten: AtomicU64,
}

/// Label text held in both generations together, for each stream that may be; a stream costs about twice its text.
const TEXT_BYTES_EACH: usize = 256;

/// How label bytes are written. The same bytes may mean different labels as a label string and as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Notation {
    /// `{a="b"}`
    Text,
    /// `{"a":"b"}`
    Json,
}

#[derive(Debug, Default)]
struct Generations {
    young: FxHashMap<u64, Known>,
    young_bytes: usize,
    old: FxHashMap<u64, Known>,
}

#[derive(Debug, Clone)]
struct Known {
    notation: Notation,
    raw: Box<[u8]>,
    stream: Arc<Stream>,
    valid: bool,
}

impl Interner {
    /// An empty interner for at most `streams_max` streams, at least two.
    #[must_use]
    pub fn new(streams_max: usize) -> Self {
        Self {
            generations: Mutex::default(),
            streams_max: streams_max.max(2),
            forgotten: AtomicU64::new(0),
        }
    }

    /// How many streams it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        let generations = self.lock();
        generations.young.len() + generations.old.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many streams were forgotten for want of room.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Relaxed)
    }

    /// The stream of `tenant` that `raw` means, and whether `raw` could be read. `read` is called for bytes not known yet;
    /// what it cannot read is the stream without labels.
    pub(super) fn stream(
        &self,
        tenant: &Arc<str>,
        notation: Notation,
        raw: &[u8],
        read: impl FnOnce() -> Option<Labels>,
    ) -> (Arc<Stream>, bool) {
        let mut hash = Xxh3::new();
        hash.update(tenant.as_bytes());
        hash.update(&[0xff, notation as u8]);
        hash.update(raw);
        let place = hash.digest();
        // Another stream at the same place, by chance or by intent, costs a parse each time and nothing else.
        let is_it = |known: &Known| {
            known.notation == notation && *known.raw == *raw && *known.stream.tenant == **tenant
        };

        if let Some(known) = self.lock().young.get(&place).filter(|known| is_it(known)) {
            return (known.stream.clone(), known.valid);
        }
        let old = self.lock().old.remove(&place);
        let known = old.filter(is_it).unwrap_or_else(|| {
            let labels = read();
            Known {
                notation,
                raw: raw.into(),
                valid: labels.is_some(),
                stream: Arc::new(Stream::new(tenant.clone(), labels.unwrap_or_default())),
            }
        });
        let answer = (known.stream.clone(), known.valid);
        self.remember(place, known);
        answer
    }

    fn remember(&self, place: u64, known: Known) {
        let mut generations = self.lock();
        generations.young_bytes += known.raw.len();
        generations.young.insert(place, known);
        if generations.young.len() >= self.streams_max / 2
            || generations.young_bytes >= self.streams_max.saturating_mul(TEXT_BYTES_EACH) / 2
        {
            generations.young_bytes = 0;
            let young = std::mem::take(&mut generations.young);
            let lost = std::mem::replace(&mut generations.old, young);
            self.forgotten
                .fetch_add(lost.len() as u64, Ordering::Relaxed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        // Every change is complete before anything could panic, so a poisoned lock guards a sound map.
        self.generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::labels;
    use super::*;

    fn intern(interner: &Interner, tenant: &str, raw: &str) -> (Arc<Stream>, bool) {
        interner.stream(&tenant.into(), Notation::Text, raw.as_bytes(), || {
            labels::parse(raw.as_bytes(), 1024).ok()
        })
    }

    #[test]
    fn the_same_labels_of_the_same_tenant_are_one_stream() {
        let interner = Interner::new(100);
        let (first, valid) = intern(&interner, "t", r#"{a="b"}"#);
        assert!(valid);
        assert!(Arc::ptr_eq(&first, &intern(&interner, "t", r#"{a="b"}"#).0));
        let (other, _) = intern(&interner, "u", r#"{a="b"}"#);
        assert_ne!(first.id, other.id);
        let (spaced, _) = intern(&interner, "t", r#"{ a="b" }"#);
        assert_eq!(first.id, spaced.id);
        assert_eq!(interner.len(), 3);
    }

    #[test]
    fn labels_that_cannot_be_read_are_remembered_as_such_and_only_in_their_notation() {
        let interner = Interner::new(100);
        let raw = r#"{"a":"b"}"#;
        for _ in 0..2 {
            let (stream, valid) = intern(&interner, "", raw);
            assert!(!valid);
            assert_eq!(*stream.labels, Labels::default());
        }
        let json = || Some(Labels::new([("a".into(), "b".into())]));
        let (stream, valid) = interner.stream(&"".into(), Notation::Json, raw.as_bytes(), json);
        assert!(valid);
        assert_eq!(stream.labels.get("a"), Some("b"));
    }

    #[test]
    fn at_the_bound_the_streams_unused_for_longest_are_forgotten_and_counted() {
        let interner = Interner::new(8);
        let (kept, _) = intern(&interner, "", r#"{kept="yes"}"#);
        for n in 0..1000 {
            intern(&interner, "", &format!("{{n=\"{n}\"}}"));
            assert!(interner.len() <= 8);
            let (again, _) = intern(&interner, "", r#"{kept="yes"}"#);
            assert!(Arc::ptr_eq(&kept, &again));
        }
        assert_eq!(interner.forgotten() + interner.len() as u64, 1001);
    }
}
