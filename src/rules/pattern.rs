//! Regular expressions: compiled with bounds, over bytes, and refused where they would match everything.

mod narrow;

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use regex_automata::PatternID;
use regex_automata::meta::{Config, Regex};
use regex_syntax::ast::{
    Ast, ClassAsciiKind, ClassBracketed, ClassSet, ClassSetItem, ClassSetRange, ClassSetUnion,
    Literal, LiteralKind,
};
use regex_syntax::hir::{Hir, Look, translate::TranslatorBuilder};

use super::model::Pattern;
use super::problem::{Code, Fault, shortened};

/// Longest expression in bytes.
pub(super) const PATTERN_BYTES_MAX: usize = 4096;
/// Most memory that an expression's automaton may need. `\w{30}` needs about 1 MiB with Unicode, a typical rule 20 KiB.
pub(super) const NFA_BYTES_MAX: usize = 1 << 20;
/// Memory of one lazy DFA's cache, of which every worker may have one for each expression. Rules run an expression only on
/// lines that already hold its literal, so a small cache that is sometimes cleared is enough.
const LAZY_DFA_BYTES: usize = 256 << 10;
/// Deepest nesting of groups.
const NEST_MAX: u32 = 50;

impl Pattern {
    /// Compiles `source`, unanchored, over bytes: `.` and classes mean Unicode characters, and bytes that are no UTF-8 match
    /// none of them but end no search.
    ///
    /// # Errors
    /// A message for people when it does not compile, is longer than 4096 bytes, or compiles to more than 1 MiB.
    pub fn compile(source: &str, ignore_case: bool) -> Result<Arc<Self>, String> {
        let compiled = compile(source, ignore_case);
        compiled
            .map(|checked| Arc::new(checked.pattern))
            .map_err(|fault| fault.message)
    }

    /// As [`Pattern::compile`], for lines and redaction, where an expression that matches the empty string is a mistake.
    ///
    /// # Errors
    /// As [`Pattern::compile`], and if it matches the empty string or nothing at all.
    pub fn compile_nonempty(source: &str, ignore_case: bool) -> Result<Arc<Self>, String> {
        let compiled = compile_nonempty(source, ignore_case);
        compiled
            .map(|checked| Arc::new(checked.pattern))
            .map_err(|fault| fault.message)
    }

    /// Compiled, unanchored. It is when this is first asked for, which takes some 0.1 ms and 50 KiB: most expressions of most rules are
    /// never needed, since no line holds the literals that make a rule be asked.
    #[must_use]
    pub fn regex(&self) -> &Regex {
        self.regex.get_or_init(|| {
            let known = self.parsed().clone();
            // Not kept: who compiles it looks for no literals.
            let hir = known.unwrap_or_else(|| self.parse());
            build(&self.source, &hir).expect("it compiled when it was checked")
        })
    }

    /// The expression's parsed form, for who looks for literals in it: exactly what [`Pattern::regex`] is compiled from. Some 5 KiB, kept until
    /// [`Pattern::forget_parsed`]; who asks afterwards has it parsed anew, and kept again.
    #[must_use]
    pub fn hir(&self) -> Arc<Hir> {
        Arc::clone(self.parsed().get_or_insert_with(|| self.parse()))
    }

    /// Nobody is likely to look for literals in it any more.
    pub fn forget_parsed(&self) {
        *self.parsed() = None;
    }

    fn parse(&self) -> Arc<Hir> {
        let hir = parse(&self.source, self.ignore_case, false);
        Arc::new(hir.expect("it was parsed when it was checked"))
    }

    fn parsed(&self) -> MutexGuard<'_, Option<Arc<Hir>>> {
        // Whoever panicked left a whole form or none.
        self.parsed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names of its groups.
    pub fn group_names(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(|(name, _)| &**name)
    }

    /// The number of the group `name`.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<usize> {
        let mut groups = self.groups.iter();
        groups
            .find(|(its, _)| **its == *name)
            .map(|(_, number)| *number)
    }
}

/// An expression that was checked, and what it takes once it is compiled.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) pattern: Pattern,
    /// Bytes.
    pub(super) compiled: usize,
}

/// Compiles an expression as [`Pattern::compile`] does, to see that it does; faults point into `source`.
pub(super) fn compile(source: &str, ignore_case: bool) -> Result<Checked, Fault> {
    let hir = parse(source, ignore_case, false)?;
    let regex = build(source, &hir)?;
    let names = regex.group_info().pattern_names(PatternID::ZERO);
    let groups = names
        .enumerate()
        .filter_map(|(number, name)| Some((name?.into(), number)));
    Ok(Checked {
        compiled: regex.memory_usage(),
        pattern: Pattern {
            source: source.to_owned(),
            ignore_case,
            groups: groups.collect(),
            parsed: Mutex::new(Some(Arc::new(hir))),
            regex: OnceLock::new(),
        },
    })
}

/// Compiles an expression for lines and redaction, where one that matches the empty string is a mistake.
pub(super) fn compile_nonempty(source: &str, ignore_case: bool) -> Result<Checked, Fault> {
    let checked = compile(source, ignore_case)?;
    let whole = 0..source.len();
    match checked.pattern.hir().properties().minimum_len() {
        Some(0) => Err(Fault::new(
            Code::Regex,
            whole,
            "this expression matches the empty string, so it would match every line",
        )
        .help(
            "leave out the parts at its ends that may be empty (`.*`, `?`, an empty alternative)",
        )),
        None => Err(Fault::new(
            Code::Regex,
            whole,
            "this expression can never match",
        )),
        Some(_) => Ok(checked),
    }
}

/// Compiles a selector's expression as Loki does: anchored at both ends, `.` matches line ends too.
/// Source: `NewFastRegexMatcher`, prometheus/prometheus `model/labels/regexp.go`: `^(?s:…)$`.
pub(super) fn compile_anchored(source: &str) -> Result<Regex, Fault> {
    let hir = parse(source, false, true)?;
    let anchored = Hir::concat(vec![Hir::look(Look::Start), hir, Hir::look(Look::End)]);
    build(source, &anchored)
}

fn build(source: &str, hir: &Hir) -> Result<Regex, Fault> {
    let config = Config::new()
        .utf8_empty(false)
        .nfa_size_limit(Some(NFA_BYTES_MAX))
        .hybrid_cache_capacity(LAZY_DFA_BYTES);
    Regex::builder()
        .configure(config)
        .build_from_hir(hir)
        .map_err(|error| {
            let message = match error.size_limit() {
                Some(_) => format!(
                    "this expression compiles to more than {} KiB",
                    NFA_BYTES_MAX >> 10
                ),
                None => error.to_string(),
            };
            Fault::new(Code::Regex, 0..source.len(), message).help(
                "use fewer counted repetitions such as `{100}`; `\\w` is smaller than `\\p{L}`",
            )
        })
}

fn parse(source: &str, ignore_case: bool, dot_matches_new_line: bool) -> Result<Hir, Fault> {
    if source.len() > PATTERN_BYTES_MAX {
        return Err(Fault::new(
            Code::Regex,
            0..source.len(),
            format!(
                "the expression has {} bytes, limit is {PATTERN_BYTES_MAX}",
                source.len()
            ),
        ));
    }
    let mut ast = regex_syntax::ast::parse::ParserBuilder::new()
        .nest_limit(NEST_MAX)
        .build()
        .parse(source)
        .map_err(|error| {
            let span = error.span();
            explain(
                source,
                &error.kind().to_string(),
                span.start.offset..span.end.offset,
            )
        })?;
    narrow::to_ascii(&mut ast);
    if ignore_case {
        fold(&mut ast);
    }
    TranslatorBuilder::new()
        .utf8(false)
        .dot_matches_new_line(dot_matches_new_line)
        .build()
        .translate(source, &ast)
        .map(narrow::to_bytes)
        .map_err(|error| {
            let span = error.span();
            explain(
                source,
                &error.kind().to_string(),
                span.start.offset..span.end.offset,
            )
        })
}

/// `regex-syntax`'s message, with advice where there is some.
fn explain(source: &str, kind: &str, span: Range<usize>) -> Fault {
    let span = span.start.min(source.len())..span.end.min(source.len());
    let piece = source.get(span.clone()).unwrap_or_default();
    let fault = Fault::new(
        Code::Regex,
        span,
        if piece.is_empty() {
            kind.to_owned()
        } else {
            format!("{kind}: `{}`", shortened(piece))
        },
    );
    if kind.contains("look-around") {
        fault.help("put what must not be in the line under `none`")
    } else if kind.contains("backreference") {
        fault.help("matching is linear in time, which backreferences are not")
    } else if kind.contains("unclosed group") || kind.contains("unopened group") {
        fault.help("write `\\(` or `\\)` for the character itself")
    } else if kind.contains("unclosed character class") {
        fault.help("write `\\[` for the character itself")
    } else if kind.contains("repetition operator missing expression") {
        fault.help("write `.*` for anything, or `\\*` for the character itself")
    } else if kind.contains("unrecognized escape") {
        fault.help(
            "the syntax is that of Rust's `regex`; leave the backslash out where none is needed",
        )
    } else {
        fault
    }
}

/// Makes ASCII letters match in both cases, and nothing else: the syntax's own `(?i)` also takes `ſ` for `s` and the Kelvin
/// sign for `k`, which a search for ASCII literals in both cases would miss.
fn fold(ast: &mut Ast) {
    match ast {
        Ast::Literal(literal) => {
            if let Some(class) = both_cases(literal) {
                *ast = Ast::ClassBracketed(Box::new(class));
            }
        }
        Ast::ClassBracketed(class) => fold_set(&mut class.kind),
        Ast::Repetition(repetition) => fold(&mut repetition.ast),
        Ast::Group(group) => fold(&mut group.ast),
        Ast::Alternation(alternation) => alternation.asts.iter_mut().for_each(fold),
        Ast::Concat(concat) => concat.asts.iter_mut().for_each(fold),
        Ast::Empty(_)
        | Ast::Flags(_)
        | Ast::Dot(_)
        | Ast::Assertion(_)
        | Ast::ClassUnicode(_)
        | Ast::ClassPerl(_) => {}
    }
}

/// Folds before negation, so `[^a]` leaves out `A` too.
fn fold_set(set: &mut ClassSet) {
    match set {
        ClassSet::Item(item) => fold_item(item),
        ClassSet::BinaryOp(op) => {
            fold_set(&mut op.lhs);
            fold_set(&mut op.rhs);
        }
    }
}

fn fold_item(item: &mut ClassSetItem) {
    match item {
        ClassSetItem::Literal(literal) => {
            if let Some(class) = both_cases(literal) {
                *item = ClassSetItem::Bracketed(Box::new(class));
            }
        }
        ClassSetItem::Range(range) => {
            let mut items = vec![ClassSetItem::Range(range.clone())];
            for (from, to, other) in [('a', 'z', 'A'), ('A', 'Z', 'a')] {
                let (start, end) = (range.start.c.max(from), range.end.c.min(to));
                if start <= end {
                    let shift =
                        |c: char| char::from(other as u8 + (u32::from(c) - u32::from(from)) as u8);
                    items.push(ClassSetItem::Range(ClassSetRange {
                        span: range.span,
                        start: verbatim(&range.start, shift(start)),
                        end: verbatim(&range.end, shift(end)),
                    }));
                }
            }
            *item = ClassSetItem::Union(ClassSetUnion {
                span: range.span,
                items,
            });
        }
        ClassSetItem::Ascii(ascii) => {
            if matches!(ascii.kind, ClassAsciiKind::Lower | ClassAsciiKind::Upper) {
                ascii.kind = ClassAsciiKind::Alpha;
            }
        }
        ClassSetItem::Bracketed(class) => fold_set(&mut class.kind),
        ClassSetItem::Union(union) => union.items.iter_mut().for_each(fold_item),
        ClassSetItem::Empty(_) | ClassSetItem::Unicode(_) | ClassSetItem::Perl(_) => {}
    }
}

/// `[aA]` for a letter.
fn both_cases(literal: &Literal) -> Option<ClassBracketed> {
    literal.c.is_ascii_alphabetic().then(|| {
        let items = [
            literal.c.to_ascii_lowercase(),
            literal.c.to_ascii_uppercase(),
        ]
        .map(|c| ClassSetItem::Literal(verbatim(literal, c)))
        .into();
        ClassBracketed {
            span: literal.span,
            negated: false,
            kind: ClassSet::union(ClassSetUnion {
                span: literal.span,
                items,
            }),
        }
    })
}

fn verbatim(literal: &Literal, c: char) -> Literal {
    Literal {
        span: literal.span,
        kind: LiteralKind::Verbatim,
        c,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::{Item, LoadOptions, builtin, load};

    fn matches(source: &str, ignore_case: bool, line: &[u8]) -> bool {
        Pattern::compile(source, ignore_case)
            .expect(source)
            .regex()
            .is_match(line)
    }

    #[test]
    fn rules_that_are_loaded_take_no_memory_for_expressions_that_no_line_has_asked_for() {
        let rules = load(&builtin(), &LoadOptions::default()).set;
        let rules = rules.expect("the rules that ship are valid");
        let patterns: Vec<_> = (rules.rules.iter())
            .flat_map(|rule| rule.matches.all.iter().chain(&rule.matches.any))
            .filter_map(|item| match item {
                Item::Regex(pattern) => Some(pattern),
                Item::Text { .. } => None,
            })
            .collect();
        let compiled = || {
            let patterns = patterns.iter();
            patterns
                .filter(|pattern| pattern.regex.get().is_some())
                .count()
        };
        assert!(patterns.len() > 100);
        assert_eq!(compiled(), 0);
        assert!(!patterns[0].regex().is_match("nothing"));
        assert_eq!(compiled(), 1);
    }

    #[test]
    fn lines_that_are_no_utf8_are_searched_all_the_same() {
        assert!(matches(r"fail\S+d", false, b"\xff\xfe failed \xff"));
        assert!(matches(r"\bfailed\b", false, b"\xff\xfe failed \xff"));
        assert!(matches("é", false, "\u{e9}".as_bytes()));
        assert!(!matches("a.b", false, b"a\xffb"));
    }

    #[test]
    fn without_regard_to_case_means_ascii_letters_in_both_cases_and_nothing_else() {
        for (source, yes, no) in [
            ("status", "STaTUs", "ſtatus"),
            ("ok", "OK", "o\u{212a}"),
            ("[^a]b", "cB", "Ab"),
            ("x[a-f]+x", "xABx", "xGx"),
            ("x[^a-f]x", "xgX", "xBx"),
            ("x[W-c]x", "xAx", "xDx"),
            ("[[:upper:]]1", "a1", "-1"),
            ("x[a-z&&[^aeiou]]x", "xBx", "xEx"),
            ("é", "é", "É"),
            (r"\x41", "a", "b"),
        ] {
            assert!(matches(source, true, yes.as_bytes()), "{source} {yes}");
            assert!(!matches(source, true, no.as_bytes()), "{source} {no}");
        }
        assert!(!matches("status", false, b"STATUS"));
    }

    #[test]
    fn selectors_are_anchored_whatever_is_in_the_expression() {
        let regex = compile_anchored("(?x) a | b # either").expect("valid");
        assert!(regex.is_match("a") && regex.is_match("b"));
        assert!(!regex.is_match("ab") && !regex.is_match("xa"));
        assert!(compile_anchored("a.b").expect("valid").is_match("a\nb"));
        assert!(compile_anchored("a)|(b").is_err());
    }

    #[test]
    fn what_is_refused_says_why_and_where() {
        let mut out = String::new();
        for source in [
            "(a",
            "a)",
            "[a",
            "*a",
            "a{2,1}",
            r"\y",
            "(?P<a>x)(?P<a>y)",
            "a(?!b)",
            r"(a)\1",
            r"\p{Foo}",
            ".*",
            "a?|b",
            "^$",
            r"[^\s\S]",
            r"\p{L}{100}",
            r"(?i-u)\xff[é]",
        ] {
            let fault = compile_nonempty(source, false).expect_err(source);
            let at = &source[fault.at.clone()];
            out.push_str(&format!("{source:<18} at {at:?}: {}\n", fault.message));
        }
        expect_test::expect![[r#"
            (a                 at "(": unclosed group: `(`
            a)                 at ")": unopened group: `)`
            [a                 at "[": unclosed character class: `[`
            *a                 at "": repetition operator missing expression
            a{2,1}             at "{2,1}": invalid repetition count range, the start must be <= the end: `{2,1}`
            \y                 at "\\y": unrecognized escape sequence: `\y`
            (?P<a>x)(?P<a>y)   at "a": duplicate capture group name: `a`
            a(?!b)             at "(?!": look-around, including look-ahead and look-behind, is not supported: `(?!`
            (a)\1              at "\\1": backreferences are not supported: `\1`
            \p{Foo}            at "\\p{Foo}": Unicode property not found: `\p{Foo}`
            .*                 at ".*": this expression matches the empty string, so it would match every line
            a?|b               at "a?|b": this expression matches the empty string, so it would match every line
            ^$                 at "^$": this expression matches the empty string, so it would match every line
            [^\s\S]            at "[^\\s\\S]": this expression can never match
            \p{L}{100}         at "\\p{L}{100}": this expression compiles to more than 1024 KiB
            (?i-u)\xff[é]      at "é": Unicode not allowed here: `é`
        "#]].assert_eq(&out);
        assert!(Pattern::compile(&"a".repeat(PATTERN_BYTES_MAX + 1), false).is_err());
        assert!(Pattern::compile(&"(".repeat(2000), false).is_err());
    }

    proptest! {
        /// Against the syntax's own flag, on text where the two cannot differ.
        #[test]
        fn folding_agrees_with_the_syntax_on_ascii(source in "[a-dA-D\\[\\]^|.*+?()-]{1,12}", line in "[a-dA-D]{0,8}") {
            let (Ok(ours), Ok(theirs)) = (compile(&source, true), compile(&format!("(?i:{source})"), false)) else {
                return Ok(());
            };
            let matched = |checked: &Checked| checked.pattern.regex().is_match(&line);
            prop_assert_eq!(matched(&ours), matched(&theirs));
        }

        #[test]
        fn no_text_makes_it_panic(source in ".{0,40}") {
            for ignore_case in [false, true] {
                if let Err(fault) = compile_nonempty(&source, ignore_case) {
                    prop_assert!(source.get(fault.at).is_some());
                }
            }
        }
    }
}
