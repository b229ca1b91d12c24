//! Where a rule's keys come from: its own, and behind them its file's defaults.

use std::ops::Range;

use super::value::Entries;
use crate::rules::yaml::Node;

/// The keys that say what kind of rule it is; a rule has at most one. `threshold` comes last: beside another it is the mistake.
pub(super) const CLASSES: [&str; 6] = [
    "absent",
    "sequence",
    "correlate",
    "new_value",
    "new_pattern",
    "threshold",
];

/// A rule's keys, layer behind layer.
pub(super) struct Keys<'n> {
    /// What the rule itself says.
    pub(super) own: Entries<'n>,
    /// What its file says for every rule; nothing where it is these that are read.
    pub(super) defaults: Option<&'n Entries<'n>>,
}

impl<'n> Keys<'n> {
    fn layers(&self) -> impl Iterator<Item = &Entries<'n>> {
        std::iter::once(&self.own).chain(self.defaults)
    }

    /// What kind of rule it is: the class key of the first layer that has one. Those behind it are replaced with it.
    pub(super) fn class(&self) -> Option<&'static str> {
        self.layers().find_map(|layer| {
            let mut classes = CLASSES.into_iter();
            classes.find(|class| layer.entry(class).is_some())
        })
    }

    /// The value of `name`; of the class keys only the one that counts has one.
    pub(super) fn get(&self, name: &str) -> Option<&'n Node> {
        if CLASSES.contains(&name) && self.class() != Some(name) {
            return None;
        }
        self.layers().find_map(|layer| layer.get(name))
    }

    /// Where the value of each key stands, of those that count.
    pub(super) fn written(&self) -> Vec<(&'static str, Range<usize>)> {
        let mut written: Vec<(&'static str, Range<usize>)> = Vec::new();
        for (name, _) in self.layers().flat_map(|layer| layer.names()) {
            let known = written.iter().any(|(known, _)| *known == name);
            if let Some(node) = self.get(name).filter(|_| !known) {
                written.push((name, node.span.clone()));
            }
        }
        written
    }

    /// Whether it is defaults that are read: their values are checked, and not how they fit together.
    pub(super) fn are_defaults(&self) -> bool {
        self.defaults.is_none()
    }
}
