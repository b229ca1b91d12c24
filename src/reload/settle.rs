//! When what is found in files is to be loaded: once it has stopped changing, and once.

/// What files hold, as one number: equal for equal content, and for nothing else that will be met. Not for use against enemies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub u128);

/// Decides, look by look, whether files are to be loaded.
#[derive(Debug)]
pub(super) struct Settle {
    /// What was loaded last, or tried to be.
    tried: Digest,
    /// What the last look found, where that was something else.
    candidate: Option<Digest>,
}

impl Settle {
    /// Begins with files that held `tried` when they were loaded.
    pub(super) fn new(tried: Digest) -> Self {
        Self {
            tried,
            candidate: None,
        }
    }

    /// A look has found `found`. True when that is to be loaded: it is not what was tried last, and the look before found it too,
    /// so nobody is in the middle of writing it.
    pub(super) fn see(&mut self, found: Digest) -> bool {
        if found == self.tried {
            self.candidate = None;
            return false;
        }
        if self.candidate.replace(found) != Some(found) {
            return false;
        }
        self.try_now(found);
        true
    }

    /// `found` is loaded without waiting for another look.
    pub(super) fn try_now(&mut self, found: Digest) {
        self.tried = found;
        self.candidate = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is loaded of what a row of looks finds, each letter a content; the first was loaded before.
    fn loaded(found: &str) -> String {
        let mut found = found.bytes();
        let digest = |byte: u8| Digest(byte.into());
        let mut settle = Settle::new(digest(found.next().expect("something was loaded")));
        let loaded = found.map(|byte| match settle.see(digest(byte)) {
            true => char::from(byte),
            false => '-',
        });
        loaded.collect()
    }

    #[test]
    fn a_change_is_loaded_when_it_is_seen_twice_in_a_row_and_once() {
        assert_eq!(loaded("aaa"), "--");
        assert_eq!(loaded("abbbb"), "-b--");
        assert_eq!(loaded("abcc"), "--c");
    }

    #[test]
    fn what_changes_from_look_to_look_is_left_alone() {
        assert_eq!(loaded("abcbcbc"), "------");
        assert_eq!(loaded("ababab"), "-----");
    }

    #[test]
    fn what_is_back_as_it_was_is_loaded_only_if_something_else_was_tried_in_between() {
        assert_eq!(loaded("abab"), "---");
        assert_eq!(loaded("abbaa"), "-b-a");
    }
}
