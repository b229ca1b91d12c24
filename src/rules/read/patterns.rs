//! The expressions of all files: each compiled once, however many rules have it, and all of them within a bound.

use std::collections::HashMap;
use std::sync::Arc;

use crate::rules::model::Pattern;
use crate::rules::pattern::{self, NFA_BYTES_MAX};
use crate::rules::problem::Fault;

/// Most memory of all compiled expressions together.
pub(super) const BYTES_MAX: usize = 128 << 20;
/// Most expressions of all rules together, those of an extended rule counted for each rule that extends it. One is looked at
/// many times before its rule runs, by lints and in search of its literals, so this bounds time: a tenth of a millisecond each.
pub(super) const USES_MAX: usize = 5_000;

/// What may match, of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Empty {
    /// One that matches the empty string is a mistake: it would match every line.
    Refused,
    /// The value of a field may be empty.
    Allowed,
}

/// Compiled expressions. Rules that share one, as those do that extend one rule, share its automaton.
#[derive(Debug, Default)]
pub(in crate::rules) struct Patterns {
    /// Memory of all so far, those of selectors included.
    bytes: usize,
    /// How many were asked for.
    uses: usize,
    /// Whether it was told that there are too many.
    told: bool,
    compiled: HashMap<(String, bool, Empty), Arc<Pattern>>,
    #[cfg(test)]
    compilations: usize,
}

impl Patterns {
    /// Whether the memory of those so far leaves room for more. To be asked before compiling, because what is counted is time as
    /// well as memory.
    pub(super) fn have_room(&self) -> bool {
        self.bytes <= BYTES_MAX
    }

    /// Counts one more that is asked for, and tells whether there is room for it.
    pub(super) fn one_more(&mut self) -> bool {
        self.uses += 1;
        self.have_room() && self.uses <= USES_MAX
    }

    /// What there is too much of, told once: it concerns every rule from there on.
    pub(super) fn too_much(&mut self) -> Option<String> {
        if std::mem::replace(&mut self.told, true) {
            return None;
        }
        Some(if self.uses > USES_MAX {
            format!(
                "the rules up to here have more than {USES_MAX} expressions, those of a rule that is extended counted each time"
            )
        } else {
            let mebibytes = BYTES_MAX >> 20;
            format!("all expressions up to here need more than {mebibytes} MiB")
        })
    }

    /// Whether there were too many, so that rules were left unread.
    pub(in crate::rules) fn are_too_many(&self) -> bool {
        self.told
    }

    /// Counts an automaton of `bytes`.
    pub(super) fn count(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Counts an expression that did not compile. It may have failed for its size, and then took as long as the largest that is
    /// allowed.
    pub(super) fn count_failed(&mut self) {
        self.bytes += NFA_BYTES_MAX;
    }

    /// `source`, compiled.
    ///
    /// # Errors
    /// As [`pattern::compile`], or if it matches the empty string where that is refused.
    pub(super) fn compile(
        &mut self,
        source: &str,
        ignore_case: bool,
        empty: Empty,
    ) -> Result<Arc<Pattern>, Fault> {
        let key = (source.to_owned(), ignore_case, empty);
        if let Some(pattern) = self.compiled.get(&key) {
            return Ok(Arc::clone(pattern));
        }
        #[cfg(test)]
        {
            self.compilations += 1;
        }
        let compiled = match empty {
            Empty::Refused => pattern::compile_nonempty(source, ignore_case),
            Empty::Allowed => pattern::compile(source, ignore_case),
        };
        let checked = compiled.inspect_err(|_| self.count_failed())?;
        self.count(checked.compiled);
        let pattern = Arc::new(checked.pattern);
        self.compiled.insert(key, Arc::clone(&pattern));
        Ok(pattern)
    }

    /// How many expressions were asked for.
    #[cfg(test)]
    pub(in crate::rules) fn uses(&self) -> usize {
        self.uses
    }

    /// How many expressions were compiled, for who asks whether each was once.
    #[cfg(test)]
    pub(in crate::rules) fn compilations(&self) -> usize {
        self.compilations
    }
}
