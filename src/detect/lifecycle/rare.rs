//! What most keys have not.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value that is the default one in most keys, and takes no more than a pointer there. It is stored as the value itself.
#[derive(Debug, Clone)]
pub(super) struct Rare<T>(Option<Box<T>>);

impl<T> Default for Rare<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Default + PartialEq> Rare<T> {
    pub(super) fn new(value: T) -> Self {
        Self((value != T::default()).then(|| Box::new(value)))
    }

    /// The value, unless it is the default one.
    pub(super) fn get(&self) -> Option<&T> {
        self.0.as_deref()
    }

    /// The value, unless it is the default one.
    pub(super) fn get_mut(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }

    /// The value, to be changed from whatever it is.
    pub(super) fn make(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }

    /// Takes no more than it has to again.
    pub(super) fn tidy(&mut self) {
        self.0.take_if(|value| **value == T::default());
    }

    /// Memory beside itself, in bytes, without what the value refers to.
    pub(super) fn heap_bytes(&self) -> usize {
        self.get().map_or(0, size_of_val)
    }
}

impl<T: Serialize + Default> Serialize for Rare<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(value) => value.serialize(serializer),
            None => T::default().serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de> + Default + PartialEq> Deserialize<'de> for Rare<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::new)
    }
}
