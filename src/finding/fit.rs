//! Makes a finding fit into a message: evidence gives way first, then texts that are longer than anybody reads.

use std::collections::BTreeMap;

use super::model::Finding;

/// What `encode` gives for `finding`, cut until it has at most `room` bytes.
///
/// Ids, states, counts and times are never touched. Costs one encoding when the finding fits as it is,
/// and some thirty at worst.
pub(super) fn fit(
    finding: &Finding,
    finding_key: &str,
    room: usize,
    encode: impl Fn(&Finding) -> Vec<u8>,
) -> Vec<u8> {
    let mut bytes = encode(finding);
    if bytes.len() <= room {
        return bytes;
    }
    let mut finding = finding.clone();
    finding.evidence.truncated = true;
    for line_chars in [512, 128] {
        shorten_evidence(&mut finding, line_chars);
        bytes = encode(&finding);
        if bytes.len() <= room {
            return bytes;
        }
    }
    while !finding.evidence.lines.is_empty() {
        // The first line shows how it began, the last ones how it is: the oldest between them goes.
        let place = usize::from(finding.evidence.lines.len() > 1);
        finding.evidence.lines.remove(place);
        bytes = encode(&finding);
        if bytes.len() <= room {
            return bytes;
        }
    }
    for chars in [1024, 256, 64, 16] {
        shorten_texts(&mut finding, finding_key, chars);
        bytes = encode(&finding);
        if bytes.len() <= room {
            break;
        }
    }
    bytes
}

fn shorten_evidence(finding: &mut Finding, line_chars: usize) {
    for line in &mut finding.evidence.lines {
        cut(&mut line.line, line_chars);
        shorten_map(&mut line.labels, 128, line_chars / 8);
    }
}

fn shorten_texts(finding: &mut Finding, finding_key: &str, chars: usize) {
    cut(&mut finding.summary, chars);
    if finding.dedupe_key.chars().count() > chars {
        // The hash keeps apart what began alike.
        cut(&mut finding.dedupe_key, chars);
        finding.dedupe_key.push('#');
        finding.dedupe_key.push_str(finding_key);
    }
    shorten_map(&mut finding.resource_scope, chars, chars / 2);
    cut(&mut finding.rule.class, chars);
    cut(&mut finding.rule.condition, chars);
    let optional = [
        &mut finding.rule.version,
        &mut finding.rule.owner,
        &mut finding.runbook,
        &mut finding.route,
    ];
    for text in optional.into_iter().flatten() {
        cut(text, chars);
    }
    // Half a query or half an address misleads.
    if finding.logs.logql.chars().count() > chars {
        finding.logs.logql.clear();
    }
    if finding
        .logs
        .url
        .as_ref()
        .is_some_and(|url| url.len() > 2 * chars)
    {
        finding.logs.url = None;
    }
    let lists = [
        &mut finding.policy.automatic,
        &mut finding.policy.approval,
        &mut finding.policy.human_only,
        &mut finding.hints,
    ];
    for list in lists {
        list.truncate(chars / 4);
        for text in list {
            cut(text, chars);
        }
    }
    finding.related.truncate(chars / 4);
    for related in &mut finding.related {
        cut(&mut related.finding_id, chars);
        cut(&mut related.rule, chars);
        cut(&mut related.relation, chars);
    }
}

/// Leaves at most `entries` entries, first those that every finding has, then the others by name.
fn shorten_map(map: &mut BTreeMap<String, String>, chars: usize, entries: usize) {
    const ALWAYS: [&str; 3] = ["cluster", "environment", "tenant"];
    let (always, others): (Vec<_>, Vec<_>) = std::mem::take(map)
        .into_iter()
        .partition(|(name, _)| ALWAYS.contains(&name.as_str()));
    for (mut name, mut value) in always.into_iter().chain(others).take(entries) {
        cut(&mut name, chars);
        cut(&mut value, chars);
        map.insert(name, value);
    }
}

/// Leaves at most `chars` characters, the last of them `…` when something was cut.
pub(super) fn cut(text: &mut String, chars: usize) {
    if text.len() <= chars {
        return;
    }
    let mut places = text.char_indices().map(|(place, _)| place);
    let Some(end) = places.nth(chars.saturating_sub(1)) else {
        return;
    };
    if places.next().is_some() {
        text.truncate(end);
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_to_so_many_characters() {
        for (text, chars, cut_text) in [
            ("", 3, ""),
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("äöü", 3, "äöü"),
            ("äöüß", 3, "äö…"),
            ("ab", 1, "…"),
        ] {
            let mut text = text.to_owned();
            cut(&mut text, chars);
            assert_eq!(text, cut_text);
        }
    }
}
