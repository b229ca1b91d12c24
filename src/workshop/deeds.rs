//! What a change that was saved is called by whoever asks later who changed what.

use super::check::Checked;
use crate::audit::{Deed, What};
use crate::rules::edit;

/// Most rules of one change that are noted one by one; who replaces a whole file finds the rest in the difference.
const DEEDS_MAX: usize = 20;

impl Checked {
    /// What `who` did by saving it, and why: a deed for each rule that is different, or one about the file where none is.
    #[must_use]
    pub fn deeds(&self, who: &str, reason: &str) -> Vec<Deed> {
        let deed = |what, target: &str| Deed {
            who: who.to_owned(),
            what,
            target: target.to_owned(),
            reason: reason.to_owned(),
            diff: self.diff.clone(),
        };
        let old = self.old.as_deref().unwrap_or_default();
        let was_written = |id: &str| edit::place_of(old, id).is_some();
        let is_written = |id: &str| edit::place_of(&self.text, id).is_some();
        let changes = self.changes.clone().unwrap_or_default();
        let mut deeds = Vec::new();
        for id in &changes.added {
            let what = match was_written(id) {
                true => What::RuleEnabled,
                false => What::RuleAdded,
            };
            deeds.push(deed(what, id));
        }
        for id in &changes.removed {
            let what = match is_written(id) {
                true => What::RuleDisabled,
                false => What::RuleRemoved,
            };
            deeds.push(deed(what, id));
        }
        // Those that only refer to another rule, as `none: [{rule: ID}]` does, mean something else now, but nobody changed them.
        let touched = changes.changed.iter();
        let touched = touched.filter(|id| was_written(id) || is_written(id));
        for id in touched.chain(&self.elsewhere) {
            deeds.push(deed(What::RuleChanged, id));
        }
        deeds.truncate(DEEDS_MAX);
        if deeds.is_empty() {
            deeds.push(deed(What::RuleChanged, &self.file));
        }
        deeds
    }
}
