//! A rule's summary: text with `{name}` placeholders.

use super::keys::nearest;
use super::model::{Summary, SummaryPart};
use super::problem::{Code, Fault, shortened};

/// Reads a summary whose placeholders may be the names in `by`, the names in `others` (captures and fields) and the counts.
/// Faults, one for each placeholder that is wrong, point into `text`.
pub(super) fn parse(text: &str, by: &[String], others: &[String]) -> Result<Summary, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut summary = Summary {
        parts: Vec::new(),
        captures: Vec::new(),
    };
    let mut literal = String::new();
    let mut at = 0;
    while let Some(found) = text[at..].find(['{', '}']) {
        literal.push_str(&text[at..at + found]);
        at += found;
        let rest = &text[at..];
        if rest.starts_with("{{") || rest.starts_with("}}") {
            literal.push_str(&rest[..1]);
            at += 2;
            continue;
        }
        let Some(length) = rest.find('}').filter(|_| rest.starts_with('{')) else {
            faults.push(
                Fault::new(
                    Code::Placeholder,
                    at..at + 1,
                    format!("this `{}` belongs to no placeholder", &rest[..1]),
                )
                .help(format!("write `{0}{0}` for a brace", &rest[..1])),
            );
            at += 1;
            continue;
        };
        let name = &rest[1..length];
        match placeholder(name, by, others, &mut summary.captures) {
            Some(part) => {
                if !literal.is_empty() {
                    summary
                        .parts
                        .push(SummaryPart::Text(std::mem::take(&mut literal)));
                }
                summary.parts.push(part);
            }
            None => faults.push(unknown(name, at..at + length + 1, by, others)),
        }
        at += length + 1;
    }
    literal.push_str(&text[at..]);
    if !literal.is_empty() {
        summary.parts.push(SummaryPart::Text(literal));
    }
    if faults.is_empty() {
        Ok(summary)
    } else {
        Err(faults)
    }
}

/// What `{name}` stands for. Names of the rule come before those of counts: who calls a capture `count` means it.
fn placeholder(
    name: &str,
    by: &[String],
    others: &[String],
    captures: &mut Vec<String>,
) -> Option<SummaryPart> {
    if let Some(place) = by.iter().position(|known| known == name) {
        return Some(SummaryPart::By(place));
    }
    if others.iter().any(|known| known == name) {
        let place = captures.iter().position(|known| known == name);
        return Some(SummaryPart::Capture(place.unwrap_or_else(|| {
            captures.push(name.to_owned());
            captures.len() - 1
        })));
    }
    match name {
        "count" => Some(SummaryPart::Count),
        "rate" => Some(SummaryPart::Rate),
        "window" => Some(SummaryPart::Window),
        _ => None,
    }
}

fn unknown(name: &str, at: std::ops::Range<usize>, by: &[String], others: &[String]) -> Fault {
    let fault = Fault::new(
        Code::Placeholder,
        at,
        format!("unknown placeholder `{{{}}}`", shortened(name)),
    );
    let known: Vec<&str> = by
        .iter()
        .chain(others)
        .map(String::as_str)
        .chain(["count", "rate", "window"])
        .collect();
    match nearest(name.trim(), known.iter().copied()) {
        Some(meant) => fault.help(format!("did you mean `{{{meant}}}`?")),
        None => fault.help(format!(
            "known here: `{}`; a label or field must be in `by` first",
            shortened(&known.join("`, `"))
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn placeholders_are_names_of_by_captures_and_counts() {
        let by = names(&["namespace", "component"]);
        let summary = parse(
            "LDAP {{{user}}} in {component}: {count} in {window}, {rate}/m, {ip} {user}",
            &by,
            &names(&["ip", "user"]),
        )
        .expect("valid");
        let text = |text: &str| SummaryPart::Text(text.to_owned());
        assert_eq!(
            summary.parts,
            [
                text("LDAP {"),
                SummaryPart::Capture(0),
                text("} in "),
                SummaryPart::By(1),
                text(": "),
                SummaryPart::Count,
                text(" in "),
                SummaryPart::Window,
                text(", "),
                SummaryPart::Rate,
                text("/m, "),
                SummaryPart::Capture(1),
                text(" "),
                SummaryPart::Capture(0),
            ]
        );
        assert_eq!(summary.captures, ["user", "ip"]);
    }

    #[test]
    fn an_unknown_placeholder_names_the_one_that_was_meant() {
        let faults = parse("{namspace} {pod} {", &names(&["namespace"]), &[]).expect_err("wrong");
        let help: Vec<_> = faults.iter().filter_map(|f| f.help.as_deref()).collect();
        assert_eq!(
            help,
            [
                "did you mean `{namespace}`?",
                "known here: `namespace`, `count`, `rate`, `window`; a label or field must be in `by` first",
                "write `{{` for a brace",
            ]
        );
        assert_eq!(faults[1].at, 11..16);
    }

    proptest! {
        #[test]
        fn text_without_braces_stays_itself(text in "[^{}]{1,30}") {
            prop_assert_eq!(parse(&text, &[], &[]).map(|s| s.parts), Ok(vec![SummaryPart::Text(text)]));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[{}aé]{0,20}") {
            for fault in parse(&text, &[], &[]).err().unwrap_or_default() {
                prop_assert!(text.get(fault.at).is_some());
            }
        }
    }
}
