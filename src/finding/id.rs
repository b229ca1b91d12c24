//! What names a finding: the key that people read, and the two hashes that machines compare.

use sha2::{Digest, Sha256};

use crate::time::Timestamp;

/// The key of a finding in readable form: `rule{name=value,…}`, sorted by name; a rule without `by` is its id alone.
///
/// `values[n]` belongs to `names[n]`. A name or value that holds one of `{},="\`, whitespace, or a character that does not
/// show is quoted and escaped, so two different keys never read alike, neither to a parser nor to an eye.
#[must_use]
pub fn dedupe_key<'a>(
    rule_id: &str,
    names: &'a [impl AsRef<str>],
    values: impl IntoIterator<Item = &'a str>,
) -> String {
    let mut pairs: Vec<(&str, &str)> = names.iter().map(AsRef::as_ref).zip(values).collect();
    if pairs.is_empty() {
        return rule_id.to_owned();
    }
    pairs.sort_unstable();
    let mut key = format!("{rule_id}{{");
    for (place, (name, value)) in pairs.into_iter().enumerate() {
        if place > 0 {
            key.push(',');
        }
        push_quoted(&mut key, name);
        key.push('=');
        push_quoted(&mut key, value);
    }
    key.push('}');
    key
}

/// 16 hex digits that stay the same for every finding of one key: the last token of its subject, and its partition key.
#[must_use]
pub fn finding_key(cluster: &str, tenant: &str, dedupe_key: &str) -> String {
    hash(&[cluster.as_bytes(), tenant.as_bytes(), dedupe_key.as_bytes()])
}

/// 16 hex digits of one finding: of its key and of `observed_at`, the time at which it opened.
/// The same logs in the same order give the same id, live and in a replay.
#[must_use]
pub fn finding_id(cluster: &str, tenant: &str, dedupe_key: &str, observed_at: Timestamp) -> String {
    hash(&[
        cluster.as_bytes(),
        tenant.as_bytes(),
        dedupe_key.as_bytes(),
        &observed_at.nanos().to_le_bytes(),
    ])
}

/// The first 8 bytes of SHA-256 over the parts, each after its length, so that no two lists of parts hash the same text.
fn hash(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize()[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn push_quoted(key: &mut String, text: &str) {
    let plain = |c: char| !matches!(c, '{' | '}' | ',' | '=' | '"' | '\\' | ' ') && shows(c);
    if text.chars().all(plain) {
        key.push_str(text);
        return;
    }
    key.push('"');
    for c in text.chars() {
        match c {
            '"' => key.push_str("\\\""),
            '\\' => key.push_str("\\\\"),
            '\n' => key.push_str("\\n"),
            '\r' => key.push_str("\\r"),
            '\t' => key.push_str("\\t"),
            ' ' => key.push(' '),
            c if shows(c) => key.push(c),
            c => key.push_str(&c.escape_unicode().to_string()),
        }
    }
    key.push('"');
}

/// Whether `c` can be seen for what it is: no control, no blank, none of the invisible characters and direction marks
/// that make one text look like another (Unicode's `Default_Ignorable_Code_Point`, those that occur in text).
pub(crate) fn shows(c: char) -> bool {
    !(c.is_control()
        || c.is_whitespace()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_lists_its_values_by_name() {
        assert_eq!(
            dedupe_key(
                "ldap_timeout_spike",
                &["namespace", "component"],
                ["image-factory", "backend"]
            ),
            "ldap_timeout_spike{component=backend,namespace=image-factory}"
        );
        assert_eq!(dedupe_key("tls_x509", &[] as &[&str], []), "tls_x509");
        assert_eq!(dedupe_key("r", &["a"], [""]), "r{a=}");
    }

    #[test]
    fn a_value_that_could_be_misread_is_quoted() {
        for (value, shown) in [
            ("10.0.0.9:389", "10.0.0.9:389"),
            ("a b", r#""a b""#),
            ("a,b=c", r#""a,b=c""#),
            (r#"say "hi""#, r#""say \"hi\"""#),
            (r"a\b", r#""a\\b""#),
            ("a\nb\u{0}", r#""a\nb\u{0}""#),
            ("pay\u{200b}ments", r#""pay\u{200b}ments""#),
            ("\u{a0}", r#""\u{a0}""#),
            ("größe", "größe"),
        ] {
            assert_eq!(dedupe_key("r", &["v"], [value]), format!("r{{v={shown}}}"));
        }
    }

    #[test]
    fn ids_are_what_the_documented_hash_gives() {
        // printf with every part after its length as 8 little-endian bytes | sha256sum
        assert_eq!(finding_key("oke-demo", "", "tls_x509"), "48c27f0debfb00eb");
        assert_eq!(
            finding_id("oke-demo", "", "tls_x509", Timestamp::new(1)),
            "96fef22c9b4532bb"
        );
    }

    #[test]
    fn what_moves_from_one_part_to_the_next_changes_the_id() {
        assert_ne!(finding_key("ab", "c", "d"), finding_key("a", "bc", "d"));
        assert_ne!(finding_key("a", "b", "cd"), finding_key("a", "bc", "d"));
        assert_ne!(
            finding_id("a", "b", "c", Timestamp::new(0)),
            finding_id("a", "b", "c", Timestamp::new(1))
        );
    }

    proptest! {
        #[test]
        fn different_values_give_different_keys(
            left in prop::collection::vec("[ab{},=\"\\\\ \n\u{200b}]{0,4}", 2),
            right in prop::collection::vec("[ab{},=\"\\\\ \n\u{200b}]{0,4}", 2),
        ) {
            let names = ["x", "y"];
            prop_assert_eq!(
                dedupe_key("r", &names, left.iter().map(String::as_str)) == dedupe_key("r", &names, right.iter().map(String::as_str)),
                left == right
            );
        }
    }
}
