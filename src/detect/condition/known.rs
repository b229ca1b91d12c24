//! Which values a key has had before.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::time::Timestamp;

/// Most values that are remembered of one key.
const VALUES_MAX: usize = 1024;

/// The values of one key, each with when it came last.
///
/// 16 bytes a value, up to [`VALUES_MAX`]; beyond it the value longest unseen is forgotten, and would be new again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::detect) struct Known(Vec<(u64, Timestamp)>);

impl Known {
    /// Memory beside itself, in bytes.
    pub(in crate::detect) fn heap_bytes(&self) -> usize {
        self.0.capacity() * size_of::<(u64, Timestamp)>()
    }

    /// Remembers that `value` came at `at`; true if it was not known.
    pub(in crate::detect) fn learn(&mut self, value: u64, at: Timestamp) -> bool {
        match self.0.binary_search_by_key(&value, |(value, _)| *value) {
            Ok(place) => {
                let last = &mut self.0[place].1;
                *last = (*last).max(at);
                false
            }
            Err(place) => {
                self.0.insert(place, (value, at));
                if self.0.len() > VALUES_MAX {
                    let unseen = self.0.iter().enumerate();
                    // The new one itself may be the oldest, if it came late: it was told all the same.
                    let oldest = unseen.min_by_key(|(_, (value, last))| (*last, *value));
                    if let Some((place, _)) = oldest {
                        self.0.remove(place);
                    }
                }
                true
            }
        }
    }
}

/// A value as it is remembered: 64 bits, the same in every run.
pub(in crate::detect) fn hash(value: &str) -> u64 {
    xxh3_64(value.as_bytes())
}
