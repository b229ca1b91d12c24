//! Texts that look like expressions, and expressions that say less than they seem to.

use regex_syntax::hir::{Class, Hir, HirKind};

use super::{parts, place_of};
use crate::rules::model::{Exclude, FieldCondition, Item, Pattern};
use crate::rules::problem::{Code, Fault, quoted, shortened};
use crate::rules::read::{Draft, looks_like_regex};
use crate::rules::selector::{Selector, Test};

pub(super) fn lint(draft: &Draft, warn: &mut impl FnMut(Fault)) {
    let unless = draft.rule.unless.as_ref();
    for (key, selector) in [("selector", Some(&draft.rule.selector)), ("unless", unless)] {
        let found = selector.and_then(equal_to_an_expression);
        warn_if(found, warn, |(name, value)| {
            let value = shortened(value);
            Fault::new(
                Code::LooksLikeRegex,
                place_of(draft, key),
                format!("`{value}` looks like an expression, and is compared letter by letter"),
            )
            .help(format!(
                "write the selector as a text: {}",
                quoted(&format!("{name}=~\"{value}\""))
            ))
        });
    }
    for (written, matches) in parts(draft) {
        let fields = matches.fields.iter().flat_map(|field| {
            let conditions = field.accepts.iter();
            conditions.map(move |condition| (&field.name, condition))
        });
        for (name, condition) in fields {
            if let FieldCondition::Equals { text, .. } = condition
                && (looks_like_regex(text) || text.len() > 2 && text.starts_with('^'))
            {
                warn(
                    Fault::new(
                        Code::LooksLikeRegex,
                        written.span.clone(),
                        format!(
                            "`{}` looks like an expression, and is compared letter by letter",
                            shortened(text)
                        ),
                    )
                    .help(format!(
                        "an expression is written `{}: {{re: {}}}`",
                        shortened(name),
                        quoted(&shortened(text))
                    )),
                );
            }
        }
    }
    for (written, matches) in parts(draft) {
        let items = matches.any.iter().chain(&matches.all).enumerate();
        for (place, item) in items {
            if let Item::Regex(pattern) = item
                && let Some(end) = idle_end(pattern)
            {
                warn(idle(written.item(place), end));
            }
        }
        let none = matches.none.iter().find_map(|exclude| match exclude {
            Exclude::Item(Item::Regex(pattern)) => idle_end(pattern),
            _ => None,
        });
        warn_if(none, warn, |end| idle(written.span.clone(), end));
    }
}

fn warn_if<T>(found: Option<T>, warn: &mut impl FnMut(Fault), fault: impl FnOnce(T) -> Fault) {
    if let Some(found) = found {
        warn(fault(found));
    }
}

fn idle(span: std::ops::Range<usize>, end: &str) -> Fault {
    Fault::new(
        Code::IdleEnds,
        span,
        format!(
            "`.*` at the {end} changes nothing: an expression is looked for anywhere in the line"
        ),
    )
    .help("leave it out; `^` and `$` stand for the ends of the line")
}

/// A label that is compared with what no label is called.
fn equal_to_an_expression(selector: &Selector) -> Option<(&str, &str)> {
    selector.0.iter().find_map(|matcher| {
        let values = match &matcher.test {
            Test::Equal(value) | Test::NotEqual(value) => std::slice::from_ref(value),
            Test::OneOf(values) => values,
            Test::Matches(..) | Test::MatchesNot(..) => return None,
        };
        let marked = |value: &&String| {
            let mut marks = [".*", ".+", "(?", "|"].into_iter();
            marks.any(|mark| value.contains(mark)) || value.starts_with('^') || value.ends_with('$')
        };
        let value = values.iter().find(marked)?;
        Some((&*matcher.name, &**value))
    })
}

/// Which end of an expression is `.*`, where that says nothing.
fn idle_end(pattern: &Pattern) -> Option<&'static str> {
    let hir = pattern.hir();
    let HirKind::Concat(parts) = hir.kind() else {
        return None;
    };
    // In front of a capture it decides which of several occurrences is captured.
    if parts.first().is_some_and(is_anything) && hir.properties().explicit_captures_len() == 0 {
        return Some("beginning");
    }
    match parts.as_slice() {
        // `.+`, of which one character has to come.
        [.., one, rest] if is_anything(rest) => (!is_any_character(one)).then_some("end"),
        _ => None,
    }
}

/// `.*`: any number of any characters but line ends, as bytes.
fn is_anything(hir: &Hir) -> bool {
    let HirKind::Repetition(repetition) = hir.kind() else {
        return false;
    };
    let HirKind::Class(Class::Bytes(class)) = repetition.sub.kind() else {
        return false;
    };
    let [below, above] = class.ranges() else {
        return false;
    };
    (repetition.min, repetition.max) == (0, None)
        && (below.start(), below.end()) == (b'\0', b'\t')
        && (above.start(), above.end()) == (b'\x0b', b'\xff')
}

/// `.`: any character but a line end.
fn is_any_character(hir: &Hir) -> bool {
    let HirKind::Class(Class::Unicode(class)) = hir.kind() else {
        return false;
    };
    let [below, above] = class.ranges() else {
        return false;
    };
    (below.start(), below.end()) == ('\0', '\t')
        && (above.start(), above.end()) == ('\u{b}', char::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dot_star_outside_of_everything_is_idle() {
        for (source, end) in [
            (".*failed", Some("beginning")),
            ("failed.*", Some("end")),
            (".*?failed", Some("beginning")),
            (".*(?P<user>a) failed", None),
            ("(?P<user>a) failed.*", Some("end")),
            ("(?P<rest>failed.*)", None),
            ("^.*failed", None),
            (".+failed", None),
            ("failed.+", None),
            ("failed..*", None),
            (r"failed\.*", None),
            ("failed.*|denied", None),
            (r"failed \S*", None),
            ("failed.{0,9}", None),
        ] {
            let pattern = Pattern::compile(source, false).expect(source);
            assert_eq!(idle_end(&pattern), end, "{source}");
        }
    }
}
