//! Findings by what is in their text. In SQL each would be read as JSON, and written anew in small letters, before anything is known of it.

use memchr::memmem;
use serde_json::Value;

use super::commit::FindingFilter;

/// What the text of a finding must have.
#[derive(Debug)]
pub(super) struct Sieve<'f> {
    /// In small letters, as far as these are ASCII.
    text: Option<String>,
    /// Each label, as it is written in JSON.
    pairs: Vec<String>,
    labels: &'f [(String, String)],
}

impl<'f> Sieve<'f> {
    pub(super) fn new(filter: &'f FindingFilter) -> Self {
        let quoted = |text: &String| serde_json::to_string(text).unwrap_or_default();
        let labels = &filter.labels;
        let pair = |(name, value): &(String, String)| format!("{}:{}", quoted(name), quoted(value));
        Self {
            text: filter.text.as_deref().map(str::to_ascii_lowercase),
            pairs: labels.iter().map(pair).collect(),
            labels,
        }
    }

    /// Whether the finding that `body` is, as JSON without spaces, passes.
    pub(super) fn takes(&self, body: &str) -> bool {
        let has = |text: &str, of: &str| memmem::find(of.as_bytes(), text.as_bytes()).is_some();
        // Most of those that lack a label are seen without being read, and reading takes ten times as long as looking for a text.
        self.pairs.iter().all(|pair| has(pair, body))
            && (self.text.as_ref()).is_none_or(|text| has(text, &body.to_ascii_lowercase()))
            && (self.labels.is_empty() || self.has_labels(body))
    }

    /// Whether each label is in the finding's scope, or on a line of its evidence.
    fn has_labels(&self, body: &str) -> bool {
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        let lines = body["evidence"]["lines"].as_array();
        let mut sets: Vec<&Value> = vec![&body["resource_scope"]];
        sets.extend(lines.into_iter().flatten().map(|line| &line["labels"]));
        let has = |(name, value): &(String, String)| sets.iter().any(|set| set[name] == *value);
        self.labels.iter().all(has)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_anywhere_and_labels_are_where_labels_are() {
        let body = r#"{"summary":"Ünder PRESSURE","resource_scope":{"ns":"a\"b"},"evidence":{"lines":[{"labels":{"pod":"x"}}]},"rule":{"id":"x"}}"#;
        let takes = |text: Option<&str>, labels: &[(&str, &str)]| {
            let labels = labels.iter();
            let filter = FindingFilter {
                text: text.map(str::to_owned),
                labels: labels
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
                ..FindingFilter::default()
            };
            Sieve::new(&filter).takes(body)
        };
        assert!(takes(None, &[]));
        assert!(takes(Some("nder pressurE"), &[]));
        assert!(!takes(Some("ünder"), &[]), "only ASCII letters are alike");
        assert!(takes(None, &[("ns", "a\"b"), ("pod", "x")]));
        assert!(!takes(None, &[("ns", "a\"b"), ("pod", "y")]));
        assert!(!takes(None, &[("id", "x")]), "no label");
        assert!(!takes(Some("nowhere"), &[("pod", "x")]));
    }
}
