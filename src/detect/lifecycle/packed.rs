//! The last message of a finding, packed.

use serde::{Deserialize, Serialize};

use crate::finding::Finding;

/// A message as bytes, which are read only when a finding ends without another: a third of the memory, and stored as they are each time that
/// something else of the key has changed. Its time and its finding's key are not in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::detect) enum Packed {
    #[default]
    Nothing,
    /// As it was stored before messages were packed.
    Whole(Box<Finding>),
    Bytes(#[serde(with = "crate::detect::bytes")] Box<[u8]>),
}

impl Packed {
    pub(in crate::detect) fn new(finding: &Finding) -> Self {
        let bytes = postcard::to_stdvec(finding);
        Self::Bytes(bytes.expect("its parts are of known length").into())
    }

    pub(in crate::detect) fn unpack(&self) -> Option<Finding> {
        match self {
            Self::Nothing => None,
            Self::Whole(finding) => Some((**finding).clone()),
            Self::Bytes(bytes) => postcard::from_bytes(bytes).ok(),
        }
    }

    /// Memory beside itself, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Whole(finding) => super::memory::finding_bytes(finding),
            Self::Bytes(bytes) => bytes.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::sample;
    use crate::time::Timestamp;

    #[test]
    fn a_message_comes_back_as_it_was_also_one_that_was_stored_whole() {
        // What is told anew with each message.
        let finding = Finding {
            time: Timestamp::default(),
            finding_key: String::new(),
            ..sample()
        };
        let packed = Packed::new(&finding);
        let stored = postcard::to_stdvec(&packed).expect("bytes");
        let packed: Packed = postcard::from_bytes(&stored).expect("as stored");
        assert_eq!(packed.unpack(), Some(finding.clone()));

        let whole = postcard::to_stdvec(&Some(Box::new(finding.clone()))).expect("its parts");
        let packed: Packed = postcard::from_bytes(&whole).expect("as it was stored");
        assert_eq!(packed.unpack(), Some(finding));
        let none = postcard::to_stdvec(&None::<Box<Finding>>).expect("nothing");
        let packed: Packed = postcard::from_bytes(&none).expect("as it was stored");
        assert_eq!(packed.unpack(), None);
    }
}
