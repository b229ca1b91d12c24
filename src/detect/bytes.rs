//! Bytes that are stored in one piece: serde takes them one by one unless it is told.

use serde::{Deserialize, Deserializer, Serializer};

pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Box<[u8]>, D::Error> {
    Vec::deserialize(deserializer).map(Into::into)
}
