//! Takes out of a hit what must not leave, before anything remembers it: keys, values and captures reach messages and disk.

use std::borrow::Cow;
use std::cell::LazyCell;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use smallvec::SmallVec;

use crate::finding::Redactor;
use crate::hit::{Hit, Key};
use crate::rules::Rule;
use crate::text::lossy;

/// Replaces secrets among the values that a rule took from the entry; of a sensitive namespace's, everything but labels.
///
/// A value is a secret when redaction takes it out of the line, or finds one in the value itself. The line is left to be
/// redacted when it is stored or told: most are replaced before that. Deterministic, so that a recovery finds its key.
///
/// `clean` is the last key in which redaction found nothing: hits of one stream mostly share theirs.
pub(super) fn shield(hit: &mut Hit, rule: &Rule, redactor: &Redactor, clean: &mut Option<Key>) {
    let labels = Arc::clone(&hit.labels);
    if redactor.hides(&labels) {
        replace_key(hit, rule, |name, value| match labels.get(name) {
            Some(label) if label == value => changed(redactor.redact_text(value, &[])),
            _ => Some(hidden(value)),
        });
        for value in hit.values.iter_mut() {
            *value = hidden(value).into();
        }
        for (name, value) in hit.captures.iter_mut() {
            if labels.get(name) != Some(&**value) {
                *value = hidden(value).into();
            }
        }
        hit.line = format!("sha256:{}", hex(&hit.line)).into_bytes().into();
        return;
    }
    let nothing = hit.values.is_empty() && hit.captures.is_empty();
    if nothing && hit.key.iter().all(|value| value.is_empty()) {
        return;
    }
    let extra = &rule.evidence.redact;
    // Out of the hit while its values are changed.
    let line = std::mem::take(&mut hit.line);
    let text = lossy(&line);
    // Mostly not needed: labels are seldom in the line.
    let redacted = LazyCell::new(|| redactor.redact(&line, extra));
    let instead = |value: &str, is_clean: bool| {
        let is_taken = |value: &str| text.contains(value) && !redacted.contains(value);
        let is_escaped = value.contains(|it: char| it == '"' || it == '\\' || it.is_control());
        let is_taken_inside = || {
            let quoted = serde_json::to_string(value).expect("texts always encode");
            is_taken(&quoted[1..quoted.len() - 1])
        };
        if !value.is_empty() && (is_taken(value) || is_escaped && is_taken_inside()) {
            return Some("‹redacted:value›".to_owned());
        }
        if is_clean {
            return None;
        }
        changed(redactor.redact_text(value, extra))
    };
    let key = hit.key.clone();
    let same = |other: &Key| other.is_same(&key);
    let is_clean = extra.is_empty() && clean.as_ref().is_some_and(same);
    replace_key(hit, rule, |_, value| instead(value, is_clean));
    if extra.is_empty() && !is_clean && same(&hit.key) {
        *clean = Some(key);
    }
    for value in hit
        .values
        .iter_mut()
        .chain(hit.captures.iter_mut().map(|(_, value)| value))
    {
        if let Some(instead) = instead(value, false) {
            *value = instead.into();
        }
    }
    hit.line = line;
}

/// Puts what `instead` says in the place of the key's values, if it says so of any.
fn replace_key(hit: &mut Hit, rule: &Rule, instead: impl Fn(&str, &str) -> Option<String>) {
    let values = rule.by.iter().zip(&hit.key);
    let instead: SmallVec<[Option<String>; 8]> =
        values.map(|(name, value)| instead(name, value)).collect();
    if instead.iter().any(Option::is_some) {
        let values = instead.iter().zip(&hit.key);
        hit.key = values
            .map(|(instead, value)| instead.as_deref().unwrap_or(value))
            .collect();
    }
}

/// What a text has become, if it is another.
fn changed(text: Cow<'_, str>) -> Option<String> {
    match text {
        Cow::Borrowed(_) => None,
        Cow::Owned(text) => Some(text),
    }
}

/// Tells one value from another and shows neither; nothing stays nothing.
fn hidden(value: &str) -> String {
    if value.is_empty() {
        return String::new();
    }
    format!("‹redacted:sensitive:{}›", &hex(value.as_bytes())[..16])
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{EntryId, Labels, StreamId};
    use crate::hit::{Parts, Role, RuleIndex};
    use crate::rules::Match;
    use crate::time::Timestamp;

    fn shielded(namespace: &str, line: &str, value: &str) -> Hit {
        let labels = [("namespace", namespace), ("pod", "p-1")];
        let labels = labels.map(|(name, value)| (name.into(), value.into()));
        let mut hit = Hit {
            rule: RuleIndex(0),
            role: Role::Match,
            parts: Parts::MATCH,
            at: Timestamp::new(0),
            stream: StreamId(1),
            labels: Arc::new(Labels::new(labels)),
            entry: EntryId(1),
            key: [namespace, value].into(),
            values: Box::new([value.into()]),
            captures: Box::new([("v".into(), value.into())]),
            line: line.as_bytes().into(),
        };
        let rule = Rule {
            by: vec!["namespace".into(), "v".into()],
            ..Rule::new("r", Match::default())
        };
        let redactor = Redactor::new(Vec::new()).with_sensitive_namespaces(vec!["vault".into()]);
        shield(&mut hit, &rule, &redactor, &mut None);
        hit
    }

    #[test]
    fn a_value_that_is_a_secret_in_its_line_never_becomes_a_key_or_a_capture() {
        for (line, value) in [
            ("login password=hunter2x9 failed", "hunter2x9"),
            (r#"{"password":"a\"b9","n":1}"#, r#"a"b9"#),
            ("got postgres://bob:hunter2x9@db/x", "bob:hunter2x9"),
        ] {
            let hit = shielded("apps", line, value);
            assert_eq!(hit.key, ["apps", "‹redacted:value›"].into());
            assert_eq!(*hit.values, ["‹redacted:value›".into()]);
            assert_eq!(*hit.captures[0].1, *"‹redacted:value›");
        }
        let hit = shielded("apps", "login of bob failed, password=hunter2x9", "bob");
        assert_eq!(hit.key, ["apps", "bob"].into());
    }

    #[test]
    fn a_key_that_was_clean_in_one_line_is_still_looked_for_in_the_next() {
        let redactor = Redactor::new(Vec::new());
        let rule = Rule {
            by: vec!["namespace".into(), "v".into()],
            ..Rule::new("r", Match::default())
        };
        let (mut first, mut clean) = (shielded("apps", "bob is here", "bob"), None);
        shield(&mut first, &rule, &redactor, &mut clean);
        assert!(clean.as_ref().is_some_and(|key| key.is_same(&first.key)));
        let mut next = Hit {
            line: (*b"login of bob failed").into(),
            ..first.clone()
        };
        shield(&mut next, &rule, &redactor, &mut clean);
        assert!(next.key.is_same(&first.key));
        next.line = (*b"login password=bob failed").into();
        shield(&mut next, &rule, &redactor, &mut clean);
        assert_eq!(next.key.get(1), Some("‹redacted:value›"));
    }

    #[test]
    fn of_a_sensitive_namespace_only_labels_and_hashes_are_kept() {
        let hit = shielded("vault", "unsealed by alice", "alice");
        // printf alice | sha256sum; printf 'unsealed by alice' | sha256sum
        assert_eq!(
            hit.key,
            ["vault", "‹redacted:sensitive:2bd806c97f0e00af›"].into()
        );
        assert!(hit.line.starts_with(b"sha256:") && hit.line.len() == 71);
        assert!(!format!("{hit:?}").contains("alice"));
        assert_eq!(hit.key, shielded("vault", "another by alice", "alice").key);
    }
}
