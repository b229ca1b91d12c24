//! Classes as LogQL means them, and in bytes wherever that is the same: automata a tenth as large.
//!
//! Loki's expressions are RE2's: there `\d`, `\s`, `\w` and `\b` know ASCII alone, so a rule and the query in its finding's `logs` take the
//! same lines. And `[^"]*` spelled as UTF-8 is an automaton of some thirty states, as bytes of one.

use regex_syntax::ast::{
    Ast, ClassAscii, ClassAsciiKind, ClassBracketed, ClassPerl, ClassPerlKind, ClassSet,
    ClassSetItem,
};
use regex_syntax::hir::{
    Class, ClassBytes, ClassBytesRange, ClassUnicode, Hir, HirKind, Look, Repetition,
};

/// Makes `\d`, `\s`, `\w` and what they are not ASCII, inside of `[…]` too. `\p{…}` is left for those who want more.
pub(super) fn to_ascii(ast: &mut Ast) {
    match ast {
        Ast::ClassPerl(perl) => {
            *ast = Ast::ClassBracketed(Box::new(ClassBracketed {
                span: perl.span,
                negated: false,
                kind: ClassSet::Item(ascii(perl)),
            }));
        }
        Ast::ClassBracketed(class) => set_to_ascii(&mut class.kind),
        Ast::Repetition(repetition) => to_ascii(&mut repetition.ast),
        Ast::Group(group) => to_ascii(&mut group.ast),
        Ast::Alternation(alternation) => alternation.asts.iter_mut().for_each(to_ascii),
        Ast::Concat(concat) => concat.asts.iter_mut().for_each(to_ascii),
        Ast::Empty(_)
        | Ast::Flags(_)
        | Ast::Literal(_)
        | Ast::Dot(_)
        | Ast::Assertion(_)
        | Ast::ClassUnicode(_) => {}
    }
}

fn set_to_ascii(set: &mut ClassSet) {
    match set {
        ClassSet::Item(item) => item_to_ascii(item),
        ClassSet::BinaryOp(op) => {
            set_to_ascii(&mut op.lhs);
            set_to_ascii(&mut op.rhs);
        }
    }
}

fn item_to_ascii(item: &mut ClassSetItem) {
    match item {
        ClassSetItem::Perl(perl) => *item = ascii(perl),
        ClassSetItem::Bracketed(class) => set_to_ascii(&mut class.kind),
        ClassSetItem::Union(union) => union.items.iter_mut().for_each(item_to_ascii),
        ClassSetItem::Empty(_)
        | ClassSetItem::Literal(_)
        | ClassSetItem::Range(_)
        | ClassSetItem::Ascii(_)
        | ClassSetItem::Unicode(_) => {}
    }
}

fn ascii(perl: &ClassPerl) -> ClassSetItem {
    ClassSetItem::Ascii(ClassAscii {
        span: perl.span,
        kind: match perl.kind {
            ClassPerlKind::Digit => ClassAsciiKind::Digit,
            ClassPerlKind::Space => ClassAsciiKind::Space,
            ClassPerlKind::Word => ClassAsciiKind::Word,
        },
        negated: perl.negated,
    })
}

/// The same expression on every text, with bytes instead of characters where any number of them may come and all beyond ASCII are
/// among them, and with word boundaries of ASCII. On bytes that are no text it takes more: they are characters that nobody asked about.
pub(super) fn to_bytes(hir: Hir) -> Hir {
    match hir.into_kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) => Hir::literal(literal.0),
        HirKind::Class(class) => Hir::class(class),
        HirKind::Look(look) => Hir::look(ascii_look(look)),
        HirKind::Repetition(repetition) => repeated(repetition),
        HirKind::Capture(mut capture) => {
            capture.sub = Box::new(to_bytes(*capture.sub));
            Hir::capture(capture)
        }
        HirKind::Concat(parts) => Hir::concat(parts.into_iter().map(to_bytes).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.into_iter().map(to_bytes).collect()),
    }
}

fn repeated(mut repetition: Repetition) -> Hir {
    let class = match repetition.sub.kind() {
        HirKind::Class(Class::Unicode(class)) if repetition.max.is_none() => bytes_of(class),
        _ => None,
    };
    let Some(bytes) = class.map(|class| Hir::class(Class::Bytes(class))) else {
        repetition.sub = Box::new(to_bytes(*repetition.sub));
        return Hir::repetition(repetition);
    };
    // Those that must come stay characters, or two in a row could share one; of the others it does not matter how many there are.
    let must = (repetition.min > 0).then(|| {
        Hir::repetition(Repetition {
            min: repetition.min,
            max: Some(repetition.min),
            greedy: true,
            sub: repetition.sub,
        })
    });
    let rest = Hir::repetition(Repetition {
        min: 0,
        max: None,
        greedy: repetition.greedy,
        sub: Box::new(bytes),
    });
    Hir::concat(must.into_iter().chain([rest]).collect())
}

/// The class in bytes, if it has every character beyond ASCII.
fn bytes_of(class: &ClassUnicode) -> Option<ClassBytes> {
    let last = class.ranges().last()?;
    if last.start() > '\u{80}' || last.end() != char::MAX {
        return None;
    }
    let low = |c: char| u8::try_from(c).map_or(0xff, |byte| if byte < 0x80 { byte } else { 0xff });
    let ranges = class
        .iter()
        .map(|range| ClassBytesRange::new(low(range.start()).min(0x80), low(range.end())));
    Some(ClassBytes::new(ranges))
}

fn ascii_look(look: Look) -> Look {
    match look {
        Look::WordUnicode => Look::WordAscii,
        Look::WordUnicodeNegate => Look::WordAsciiNegate,
        Look::WordStartUnicode => Look::WordStartAscii,
        Look::WordEndUnicode => Look::WordEndAscii,
        Look::WordStartHalfUnicode => Look::WordStartHalfAscii,
        Look::WordEndHalfUnicode => Look::WordEndHalfAscii,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex_automata::meta::{Config, Regex};
    use regex_syntax::hir::translate::TranslatorBuilder;

    use super::*;

    fn hir(source: &str, narrow: bool) -> Hir {
        let mut ast = regex_syntax::ast::parse::Parser::new()
            .parse(source)
            .expect("valid");
        if narrow {
            to_ascii(&mut ast);
        }
        let hir = TranslatorBuilder::new()
            .utf8(false)
            .build()
            .translate(source, &ast)
            .expect("valid");
        if narrow { to_bytes(hir) } else { hir }
    }

    fn regex(source: &str, narrow: bool) -> Regex {
        Regex::builder()
            .configure(Config::new().utf8_empty(false))
            .build_from_hir(&hir(source, narrow))
            .expect("small")
    }

    #[test]
    fn what_is_about_text_in_general_becomes_bytes() {
        for (source, bytes) in [
            (r#"a[^"]*b"#, r#"(?s-u:a[^"]*b)"#),
            (r"a\S+b", r"a[^\t\n\x0B\f\r ](?-u:[^\t\n\x0b\f\r ]*)b"),
            (
                r"a[^/\s]+?b",
                r"a[^/\t\n\x0B\f\r ](?-u:[^/\t\n\x0b\f\r ]*?)b",
            ),
            (r".*a.{2,}b", r"(?-u:.*)a.{2}(?-u:.*)b"),
            (r"(?P<n>\w+)\b", r"(?P<n>[0-9A-Z_a-z]+)(?-u:\b)"),
            (r"[\w.é-]+\D\d", r"[a-zA-Z0-9_.é-]+[^0-9][0-9]"),
            // Not of every character, or of a number of them.
            (r"[^é]*.{2,3}\p{L}+", r"[^é]*.{2,3}\p{L}+"),
        ] {
            assert_eq!(hir(source, true), hir(bytes, false), "{source}");
        }
    }

    const PIECES: &[&str] = &[
        "a",
        "é",
        "[^b]",
        "[^b]*",
        "[^b]*?",
        "[^b]+",
        "[^b]+?",
        "[^b]{2,}",
        "[^é]+",
        ".",
        ".*",
        ".+?",
        ".{1,2}",
        "(?:.*a)?",
        "(?:ß|.+)",
    ];

    proptest! {
        /// The same spans on every text, where characters that ASCII leaves out play no part.
        #[test]
        fn text_is_matched_as_before(
            pieces in prop::collection::vec(prop::sample::select(PIECES), 1..6),
            line in "[abéß€𝄞 ]{0,12}",
        ) {
            let source = pieces.concat();
            let (narrow, wide) = (regex(&source, true), regex(&source, false));
            let found: Vec<_> = narrow.find_iter(&line).map(|found| found.range()).collect();
            let wanted: Vec<_> = wide.find_iter(&line).map(|found| found.range()).collect();
            prop_assert_eq!(found, wanted, "{} on {}", source, line);
        }
    }
}
