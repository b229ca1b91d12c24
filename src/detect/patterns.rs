//! Templates of lines: for now every different line is one.
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
/// t
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Templates(Vec<u64>);
pub(super) struct TemplateId(pub(super) u64);
pub(super) struct Learned {
    pub(super) template: TemplateId,
    pub(super) is_new: bool,
}
impl Templates {
    pub(super) fn learn(&mut self, line: &[u8], _at: Timestamp) -> Learned {
        let id = xxhash_rust::xxh3::xxh3_64(line);
        let is_new = !self.0.contains(&id);
        if is_new {
            self.0.push(id);
        }
        Learned {
            template: TemplateId(id),
            is_new,
        }
    }
}
