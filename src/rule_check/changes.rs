//! What is different between two rule sets.

use schemars::JsonSchema;
use serde::Serialize;

use crate::rules::RuleSet;

/// Ids of rules that are not as they were, each list in order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct Changes {
    /// Those that were not there, or off.
    pub added: Vec<String>,
    /// Those that are gone, or off.
    pub removed: Vec<String>,
    /// Those that say something else; what counts for them is in `meaning`.
    pub changed: Vec<String>,
    /// Those of `changed` that begin with empty windows, because what decides their findings is different.
    pub begins_anew: Vec<String>,
}

impl Changes {
    /// Whether nothing is different.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// What is different in `after`.
#[must_use]
pub fn changes(before: &RuleSet, after: &RuleSet) -> Changes {
    let mut changes = Changes::default();
    for rule in &before.rules {
        match after.find(&rule.id) {
            None => changes.removed.push(rule.id.clone()),
            Some((_, new)) if new.hash != rule.hash || new.meaning != rule.meaning => {
                changes.changed.push(rule.id.clone());
                if new.meaning != rule.meaning {
                    changes.begins_anew.push(rule.id.clone());
                }
            }
            Some(_) => {}
        }
    }
    let is_new = |id: &&String| before.find(id).is_none();
    let ids = after.rules.iter().map(|rule| &rule.id);
    changes.added.extend(ids.filter(is_new).cloned());
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{LoadOptions, SourceText, load};

    fn set(text: &str) -> RuleSet {
        let source = SourceText {
            name: "a.yaml".to_owned(),
            text: text.to_owned(),
        };
        let loaded = load(&[source], &LoadOptions::default());
        loaded.set.expect("valid")
    }

    #[test]
    fn rules_come_go_and_change() {
        let rule = |id: &str, rest: &str| {
            format!(
                "  - {{id: {id}, match: connection refused, incident_type: error_spike{rest}}}\n"
            )
        };
        let before = format!(
            "rules:\n{}{}{}{}",
            rule("a", ""),
            rule("b", ""),
            rule("c", ""),
            rule("d", "")
        );
        let after = format!(
            "rules:\n{}{}{}{}{}",
            rule("d", ""),
            rule("a", ", cooldown: 1h"),
            rule("b", ", threshold: 7 in 1h"),
            rule("c", ", enabled: false"),
            rule("e", ""),
        );
        let expected = Changes {
            added: vec!["e".to_owned()],
            removed: vec!["c".to_owned()],
            changed: vec!["a".to_owned(), "b".to_owned()],
            begins_anew: vec!["b".to_owned()],
        };
        assert_eq!(changes(&set(&before), &set(&after)), expected);
        assert!(changes(&set(&after), &set(&after)).is_empty());
    }
}
