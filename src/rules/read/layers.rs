//! Where a rule's keys come from: its own, behind them those of the shipped rule that it extends, and its file's defaults.

use std::ops::Range;

use super::value::Entries;
use super::{Reader, fit};
use crate::rules::problem::SourceText;
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

/// Keys with which the lines that a rule matches change, and its examples no longer fit.
const DECIDE_EXAMPLES: [&str; 5] = ["match", "ignore_case", "parse", "sequence", "correlate"];

/// A rule's keys, layer behind layer.
pub(super) struct Keys<'n> {
    /// What the rule itself says.
    pub(super) own: Entries<'n>,
    /// What it extends.
    pub(super) base: Option<Base<'n>>,
    /// What its file says for every rule; nothing where it is these that are read.
    pub(super) defaults: Option<&'n Entries<'n>>,
}

/// A shipped rule that another extends.
pub(super) struct Base<'n> {
    pub(super) own: Entries<'n>,
    /// What its own file says for every rule.
    pub(super) defaults: Entries<'n>,
    pub(super) source: &'static SourceText,
    /// Where it is named.
    pub(super) at: Range<usize>,
}

/// A value, and the rule that it comes from where that is not the one that is read.
type Found<'k, 'n> = (&'n Node, Option<&'k Base<'n>>);

impl<'n> Keys<'n> {
    /// Every layer, in the order in which they count.
    fn layers(&self) -> impl Iterator<Item = (&Entries<'n>, Option<&Base<'n>>)> {
        let base = self.base.iter();
        let base = base.flat_map(|base| [(&base.own, Some(base)), (&base.defaults, Some(base))]);
        std::iter::once((&self.own, None))
            .chain(base)
            .chain(self.defaults.map(|defaults| (defaults, None)))
    }

    /// What kind of rule it is: the class key of the first layer that has one. Those behind it are replaced with it.
    pub(super) fn class(&self) -> Option<&'static str> {
        self.layers().find_map(|(layer, _)| {
            let mut classes = CLASSES.into_iter();
            classes.find(|class| layer.entry(class).is_some())
        })
    }

    /// The value of `name` that counts, and where it comes from.
    fn find(&self, name: &str) -> Option<Found<'_, 'n>> {
        let class = self.class();
        if CLASSES.contains(&name) && class != Some(name) || fit::misfit(class, name).is_some() {
            return None;
        }
        let mut layers = self.layers();
        let (node, base) = layers.find_map(|(layer, base)| Some((layer.get(name)?, base)))?;
        let replaced = match name {
            "catches" | "passes" => DECIDE_EXAMPLES
                .iter()
                .any(|name| self.own.entry(name).is_some()),
            "for" => class != Some("threshold"),
            _ => false,
        };
        (base.is_none() || !replaced).then_some((node, base))
    }

    /// The value of `name` that counts. Only who reads no text of it may use it without [`Reader::key`].
    pub(super) fn get(&self, name: &str) -> Option<&'n Node> {
        self.find(name).map(|(node, _)| node)
    }

    /// Where the value of each key stands, of those that count.
    pub(super) fn written(&self) -> Vec<(&'static str, Range<usize>)> {
        let mut written: Vec<(&'static str, Range<usize>)> = Vec::new();
        for (name, _) in self.layers().flat_map(|(layer, _)| layer.names()) {
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

impl Reader<'_> {
    /// Reads the value of the key `name` that counts. What is wrong with one of an extended rule is reported where it is named.
    pub(super) fn key<'n, T>(
        &mut self,
        keys: &Keys<'n>,
        name: &str,
        read: impl FnOnce(&mut Self, &'n Node) -> Option<T>,
    ) -> Option<T> {
        let (node, base) = keys.find(name)?;
        let (source, inherited) = match base {
            Some(base) => (base.source, Some(base.at.clone())),
            None => (self.file, None),
        };
        let outer = (
            std::mem::replace(&mut self.source, source),
            std::mem::replace(&mut self.inherited, inherited),
        );
        let value = read(self, node);
        (self.source, self.inherited) = outer;
        value
    }

    /// Where `span`, of what is being read, is reported: in the file itself.
    pub(super) fn place(&self, span: &Range<usize>) -> Range<usize> {
        self.inherited.as_ref().unwrap_or(span).clone()
    }
}
