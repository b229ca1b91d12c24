//! The rules of `floor` as files that a trommel can be given, and as the same set in this process.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use serde_json::{Value, json};
use trommel::rules::{Item, LoadOptions, RuleSet, SourceText, load};

use crate::rules::{self, Signature};

/// Rules as text, and texts that they match.
pub(crate) struct RuleFile {
    pub(crate) yaml: String,
    pub(crate) examples: Vec<String>,
}

impl RuleFile {
    fn of(signatures: &[Signature]) -> Self {
        let rules = signatures.iter().enumerate();
        let rules: Vec<Value> = rules.map(|(number, one)| rule(number, one)).collect();
        Self {
            yaml: json!({ "rules": rules }).to_string(),
            examples: signatures.iter().map(|one| one.example.clone()).collect(),
        }
    }

    /// As the trommel that reads it has them.
    ///
    /// # Errors
    /// When they are not valid.
    pub(crate) fn set(&self) -> Result<Arc<RuleSet>> {
        let source = SourceText {
            name: "rules.yaml".to_owned(),
            text: self.yaml.clone(),
        };
        let loaded = load(&[source], &LoadOptions::default());
        let set = loaded.set.map(Arc::new);
        set.ok_or_else(|| anyhow!("{:#?}", loaded.problems))
    }
}

/// The 200 rules, without selectors: what other programs can do as well.
pub(crate) fn for_every_stream() -> RuleFile {
    let mut signatures = rules::two_hundred();
    signatures.iter_mut().for_each(|one| one.app = None);
    RuleFile::of(&signatures)
}

/// So many of texts and expressions as operators write them; every fifth reads one app only.
pub(crate) fn mixed(count: usize) -> RuleFile {
    let all = match count {
        0..=200 => rules::two_hundred(),
        201..=1000 => rules::thousand(),
        _ => rules::five_thousand(),
    };
    // Spread over all, since texts come first there and expressions last.
    let mut chosen: Vec<_> = (0..count)
        .filter_map(|n| all.get(n * all.len() / count).cloned())
        .collect();
    for (number, one) in chosen.iter_mut().enumerate() {
        one.app = (number % 5 == 0).then_some("frontend");
    }
    RuleFile::of(&chosen)
}

/// One rule that has a key for each value of `user`, and opens a finding for each.
pub(crate) fn keys() -> Value {
    json!({
        "id": "login_failed",
        "match": {"re": r"login failed for (?P<user>\S+)"},
        "by": ["user"],
        "incident_type": "error_spike",
    })
}

/// The same, but a key opens nothing before it has a thousand.
pub(crate) fn quiet_keys() -> Value {
    let mut rule = keys();
    rule["threshold"] = json!("1000 in 10m");
    rule
}

/// JSON is YAML.
fn rule(number: usize, signature: &Signature) -> Value {
    let any = signature.matches.any.iter().map(|item| match item {
        Item::Text { text, .. } => json!(text),
        Item::Regex(pattern) => json!({"re": pattern.source}),
    });
    let mut rule = json!({
        "id": format!("r{number:04}"),
        "match": {"any": any.collect::<Vec<_>>()},
        "by": ["namespace", "app"],
        "recover": "never",
        "incident_type": "error_spike",
    });
    if let Some(app) = signature.app {
        rule["selector"] = json!({"app": app});
    }
    rule
}
