//! `Sun 10:00-12:00 Europe/Moscow`: when a rule's messages are held back.

use crate::time::Timestamp;

/// One window of `suppress`, once or every week, in event time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    start: Timestamp,
    end: Timestamp,
}

impl Schedule {
    /// The end of its window `[start, end)` that holds `at`, if one does.
    #[must_use]
    pub fn until(&self, at: Timestamp) -> Option<Timestamp> {
        (self.start <= at && at < self.end).then_some(self.end)
    }
}
