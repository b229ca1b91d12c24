//! What a line must contain for a rule to match it: sets of literals, one of which every matching line holds.
//!
//! They are taken from texts and out of regular expressions, inner parts included. A rule usually offers several sets
//! (each item of `all`, each stretch of an expression); the one that ordinary logs hold least is taken.

use memchr::memmem;
use regex_syntax::hir::{Class, Hir, HirKind, Repetition};

use super::{matcher, ordinary};
use crate::rules::{Item, Match, Pattern, Rule};

/// What a literal in a line says about a match: one of its items may be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Cue {
    /// Which item; those of `any` are numbered after those of `all`.
    pub(super) item: usize,
    /// Whether the literal is all that the item asks for.
    pub(super) is_item: bool,
}

/// Bytes that are found in the block before anything else is looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Literal {
    pub(super) bytes: Box<[u8]>,
    /// ASCII letters are equal in both cases.
    pub(super) ignore_case: bool,
}

impl Literal {
    /// Whether it lies in `text` at `start`.
    pub(super) fn is_at(&self, text: &[u8], start: usize) -> bool {
        let Some(found) = text.get(start..start + self.bytes.len()) else {
            return false;
        };
        if self.ignore_case {
            found.eq_ignore_ascii_case(&self.bytes)
        } else {
            found == &*self.bytes
        }
    }
}

/// From this length a literal is found by the widest sampling: see `search`.
pub(super) const LONG: usize = 8;
/// From this length it is found by longer samples, which hardly any ordinary text has: one shorter literal among thousands makes all
/// of them dearer to look for.
pub(super) const LONGER: usize = 11;
/// Shorter ones are worth no search: nearly every line would be a candidate.
pub(super) const SHORT: usize = 4;
/// Shortest literals of an expression that are looked for in a line before it is.
const GUARD: usize = 2;
/// Shortest text of an expression that is looked for in a line before the rule is asked.
const NEEDED: usize = 3;

/// Most strings that a stretch of an expression is multiplied out into.
const PRODUCT_MAX: usize = 64;
/// Most alternatives of an expression that are looked for one by one.
const ALTERNATIVES_MAX: usize = 256;
/// Longest string made by multiplying out; a longer one tells no more.
const BYTES_MAX: usize = 128;

/// Literals one of which is in every line that fulfils `matches`, each with what it says of it, or `None` when there is no such
/// set worth searching. All cues are about items of one group: about one of `all`, or about each of `any`.
///
/// Fields give none: their value may be a label, structured metadata, or spelled with escapes.
pub(super) fn required(matches: &Match) -> Option<Vec<(Literal, Cue)>> {
    let cued = |(number, item): (usize, &Item)| {
        let cue = Cue {
            item: number,
            is_item: matches!(item, Item::Text { .. }),
        };
        let literals = of_item(item)?.into_iter();
        Some(literals.map(|literal| (literal, cue)).collect::<Vec<_>>())
    };
    let of_all = matches.all.iter().enumerate().filter_map(cued);
    let of_any = if matches.any.is_empty() {
        None
    } else {
        let items = (matches.all.len()..).zip(&matches.any);
        let sets: Option<Vec<_>> = items.map(cued).collect();
        sets.map(|sets| sets.concat())
    };
    let cost = |set: &[(Literal, Cue)]| cost(set.iter().map(|(literal, _)| literal));
    of_all
        .chain(of_any)
        .min_by(|a, b| cost(a).total_cmp(&cost(b)))
}

/// For each of [`matches_of`] `rule` literals one of which is in every line that fulfils it.
/// `None` if one of them has no such set.
pub(super) fn of_rule(rule: &Rule) -> Option<Vec<Vec<(Literal, Cue)>>> {
    matches_of(rule).map(required).collect()
}

/// The matches of `rule` that are asked about: its parts in order and then its recovery.
pub(super) fn matches_of(rule: &Rule) -> impl Iterator<Item = &Match> {
    rule.parts().into_iter().chain(matcher::recovery(rule))
}

fn of_item(item: &Item) -> Option<Vec<Literal>> {
    match item {
        Item::Text { text, ignore_case } => usable(
            vec![Literal {
                bytes: text.as_bytes().into(),
                ignore_case: *ignore_case,
            }],
            SHORT,
        ),
        Item::Regex(pattern) => Stretch::of(&pattern.hir(), SHORT).best(SHORT),
    }
}

/// Bytes, one of which each text has that `pattern` matches, with letters in lower case: what is looked for in a line before the
/// expression is. `None` if they are too short for that.
pub(super) fn of_pattern(pattern: &Pattern) -> Option<Vec<Box<[u8]>>> {
    let set = Stretch::of(&pattern.hir(), GUARD).best(GUARD)?;
    let folded = set
        .iter()
        .map(|literal| literal.bytes.to_ascii_lowercase().into());
    let mut folded: Vec<Box<[u8]>> = folded.collect();
    folded.sort_unstable_by(|a, b| a.len().cmp(&b.len()).then(a.cmp(b)));
    // What has another one within says no more than that.
    let mut needed: Vec<Box<[u8]>> = Vec::new();
    for literal in folded {
        if !needed
            .iter()
            .any(|other| memmem::find(&literal, other).is_some())
        {
            needed.push(literal);
        }
    }
    Some(needed)
}

/// Texts that each text has within which `pattern` matches, as they are written. Not all of them.
pub(super) fn needed(pattern: &Pattern) -> Vec<Box<[u8]>> {
    fn collect(hir: &Hir, needed: &mut Vec<Box<[u8]>>) {
        match hir.kind() {
            HirKind::Literal(text) if text.0.len() >= NEEDED => needed.push(text.0.clone()),
            HirKind::Capture(capture) => collect(&capture.sub, needed),
            HirKind::Repetition(repetition) if repetition.min > 0 => {
                collect(&repetition.sub, needed);
            }
            HirKind::Concat(parts) => parts.iter().for_each(|part| collect(part, needed)),
            HirKind::Empty
            | HirKind::Literal(_)
            | HirKind::Class(_)
            | HirKind::Look(_)
            | HirKind::Repetition(_)
            | HirKind::Alternation(_) => {}
        }
    }
    let mut needed = Vec::new();
    collect(&pattern.hir(), &mut needed);
    needed
}

/// What is known of all texts that a part of an expression matches.
struct Stretch {
    /// They are among these, if these are few.
    exact: Option<Vec<Literal>>,
    /// Each contains one of these.
    inner: Option<Vec<Literal>>,
}

impl Stretch {
    const UNKNOWN: Self = Self {
        exact: None,
        inner: None,
    };

    fn exactly(set: Vec<Literal>) -> Self {
        Self {
            exact: Some(set),
            inner: None,
        }
    }

    /// What is known of `hir`, as far as that is in literals of `shortest` bytes or more.
    fn of(hir: &Hir, shortest: usize) -> Self {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => Self::exactly(vec![literal(b"", false)]),
            HirKind::Literal(text) => Self::exactly(vec![literal(&text.0, false)]),
            HirKind::Class(class) => Self::of_class(class),
            HirKind::Capture(capture) => Self::of(&capture.sub, shortest),
            HirKind::Repetition(repetition) => Self::of_repetition(repetition, shortest),
            HirKind::Concat(parts) => Self::of_concat(parts, shortest),
            HirKind::Alternation(parts) => Self::of_alternation(parts, shortest),
        }
    }

    /// Few characters are looked for one by one; a letter in both cases is one literal without case.
    fn of_class(class: &Class) -> Self {
        const FEW: u32 = 8;
        let members: Option<Vec<Vec<u8>>> = match class {
            Class::Unicode(class) => {
                let ranges = || {
                    class
                        .ranges()
                        .iter()
                        .map(|range| range.start()..=range.end())
                };
                let count: u32 = ranges()
                    .map(|r| u32::from(*r.end()) - u32::from(*r.start()) + 1)
                    .sum();
                let bytes = |c: char| c.encode_utf8(&mut [0; 4]).as_bytes().to_vec();
                (count <= FEW).then(|| ranges().flatten().map(bytes).collect())
            }
            Class::Bytes(class) => {
                let ranges = || {
                    class
                        .ranges()
                        .iter()
                        .map(|range| range.start()..=range.end())
                };
                let count: u32 = ranges().map(|r| u32::from(*r.end() - *r.start()) + 1).sum();
                (count <= FEW).then(|| ranges().flatten().map(|byte| vec![byte]).collect())
            }
        };
        // `\s` alone is six, and says next to nothing.
        let blanks = |members: &Vec<Vec<u8>>| {
            members.len() > 2
                && members
                    .iter()
                    .all(|member| member[0].is_ascii_whitespace() || member[0] == b'\x0b')
        };
        let Some(members) = members.filter(|members| !blanks(members)) else {
            return Self::UNKNOWN;
        };
        let both_cases = |member: &[u8]| {
            member[0].is_ascii_alphabetic()
                && members.contains(&member.to_ascii_lowercase())
                && members.contains(&member.to_ascii_uppercase())
        };
        let set = members
            .iter()
            .filter(|member| !(both_cases(member) && member[0].is_ascii_uppercase()))
            .map(|member| literal(member, both_cases(member)));
        Self::exactly(set.collect())
    }

    fn of_repetition(repetition: &Repetition, shortest: usize) -> Self {
        let sub = Self::of(&repetition.sub, shortest);
        match (repetition.min, repetition.max) {
            (0, Some(1)) => match sub.exact {
                Some(mut set) => {
                    set.push(literal(b"", false));
                    Self::exactly(set)
                }
                None => Self::UNKNOWN,
            },
            (0, _) => Self::UNKNOWN,
            (min, max) => {
                let repeated = sub.exact.as_ref().and_then(|set| {
                    (1..min).try_fold(set.clone(), |product, _| multiplied(&product, set))
                });
                match repeated {
                    Some(set) if max == Some(min) => Self::exactly(set),
                    repeated => Self {
                        exact: None,
                        inner: better(
                            repeated.and_then(|set| usable(set, shortest)),
                            sub.best(shortest),
                        ),
                    },
                }
            }
        }
    }

    fn of_concat(parts: &[Hir], shortest: usize) -> Self {
        let mut run = vec![literal(b"", false)];
        let mut inner = None;
        let mut whole = true;
        for part in parts {
            let part = Self::of(part, shortest);
            let product = part.exact.as_ref().and_then(|next| multiplied(&run, next));
            if let Some(product) = product {
                run = product;
                continue;
            }
            whole = false;
            // Where the product would be too large, a new run begins with this part.
            let next = part.exact.unwrap_or_else(|| vec![literal(b"", false)]);
            inner = better(inner, usable(std::mem::replace(&mut run, next), shortest));
            inner = better(inner, part.inner);
        }
        if whole {
            return Self::exactly(run);
        }
        Self {
            exact: None,
            inner: better(inner, usable(run, shortest)),
        }
    }

    fn of_alternation(parts: &[Hir], shortest: usize) -> Self {
        let parts: Vec<_> = parts.iter().map(|part| Self::of(part, shortest)).collect();
        let exact: Option<Vec<_>> = parts.iter().map(|part| part.exact.clone()).collect();
        if let Some(exact) = exact {
            let exact = exact.concat();
            if exact.len() <= ALTERNATIVES_MAX {
                return Self::exactly(exact);
            }
            return Self::UNKNOWN;
        }
        let inner: Option<Vec<_>> = parts.into_iter().map(|part| part.best(shortest)).collect();
        Self {
            exact: None,
            inner: inner
                .map(|sets| sets.concat())
                .filter(|set| set.len() <= ALTERNATIVES_MAX),
        }
    }

    /// The best set that every match contains.
    fn best(self, shortest: usize) -> Option<Vec<Literal>> {
        better(self.exact.and_then(|set| usable(set, shortest)), self.inner)
    }
}

fn literal(bytes: &[u8], ignore_case: bool) -> Literal {
    Literal {
        bytes: bytes.into(),
        ignore_case,
    }
}

/// Every string of `heads` followed by every one of `tails`, unless that is too many or too long.
fn multiplied(heads: &[Literal], tails: &[Literal]) -> Option<Vec<Literal>> {
    let longest = |set: &[Literal]| set.iter().map(|l| l.bytes.len()).max().unwrap_or(0);
    // An alternation may stand alone in its whole width; in a product it must not multiply.
    let count = heads.len() * tails.len();
    let few =
        count <= PRODUCT_MAX || (count <= ALTERNATIVES_MAX && heads.len().min(tails.len()) == 1);
    if !few || longest(heads) + longest(tails) > BYTES_MAX {
        return None;
    }
    let product = heads.iter().flat_map(|head| {
        tails.iter().map(move |tail| Literal {
            bytes: [&*head.bytes, &*tail.bytes].concat().into(),
            // Without case altogether if without case in part: it only proposes, and proposes no less.
            ignore_case: head.ignore_case || tail.ignore_case,
        })
    });
    Some(product.collect())
}

/// `set`, if its literals have `shortest` bytes or more, so that it is worth searching.
fn usable(mut set: Vec<Literal>, shortest: usize) -> Option<Vec<Literal>> {
    set.sort_unstable();
    set.dedup();
    (!set.is_empty() && set.iter().all(|literal| literal.bytes.len() >= shortest)).then_some(set)
}

fn better(a: Option<Vec<Literal>>, b: Option<Vec<Literal>>) -> Option<Vec<Literal>> {
    match (a, b) {
        (Some(a), Some(b)) if cost(&b) < cost(&a) => Some(b),
        (Some(a), _) => Some(a),
        (None, b) => b,
    }
}

/// How much work `set` is expected to make, in no unit: what ordinary logs hold of it, and how many literals it has.
fn cost<'a>(set: impl IntoIterator<Item = &'a Literal, IntoIter: Clone>) -> f64 {
    let set = set.into_iter();
    let shortest = set.clone().map(|l| l.bytes.len()).min().unwrap_or(0);
    // A short literal needs a denser search of its own over the whole block: any long one is better.
    let search = match shortest {
        ..LONG => 1e6,
        LONG..LONGER => 1e3,
        LONGER.. => 0.0,
    };
    let candidates: f64 = set
        .map(|literal| {
            let folded = literal.bytes.to_ascii_lowercase();
            let whole = memmem::find_iter(ordinary::TEXT_FOLDED.as_bytes(), &folded).count();
            let parts: usize = folded.windows(4).map(ordinary::occurrences).sum();
            let grams = folded.len().saturating_sub(3).max(1);
            // A whole literal in ordinary text makes candidates, its parts only near misses.
            20.0 * whole as f64 + parts as f64 / grams as f64 + 2.0 / grams as f64
        })
        .sum();
    search + candidates
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::testing::{all_of, any_of, regex, text};

    #[track_caller]
    fn check(matches: &Match, expected: &[&str]) {
        let found = required(matches).unwrap_or_default();
        let found: Vec<_> = found
            .iter()
            .map(|(literal, _)| {
                let bytes = String::from_utf8_lossy(&literal.bytes);
                format!("{}{bytes}", if literal.ignore_case { "(i)" } else { "" })
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn inner_parts_of_an_expression_are_found() {
        check(
            &any_of([regex(r"^\d+ user (?P<u>\S+) denied access to \S+")]),
            &[" denied access to "],
        );
        check(
            &any_of([regex(r#""level":"(fatal|error)""#)]),
            &["\"level\":\"error\"", "\"level\":\"fatal\""],
        );
        check(
            &any_of([regex("dial tcp .*(no route to host|net unreachable)")]),
            &["net unreachable", "no route to host"],
        );
        check(
            &any_of([regex("(?:quota )?exhausted{2}now")]),
            &["exhausteddnow", "quota exhausteddnow"],
        );
        check(&any_of([regex("(?:overflow!)+")]), &["overflow!"]);
        check(&any_of([regex(r"\d+|[a-z]+")]), &[]);
        check(&any_of([regex("abc")]), &[]);
        check(&any_of([regex("(overflow)*")]), &[]);
        check(&any_of([regex("ошибка диска")]), &["ошибка диска"]);
    }

    #[test]
    fn letters_in_both_cases_make_one_literal_without_case() {
        check(
            &any_of([regex("(?i-u)quota exceeded")]),
            &["(i)quota exceeded"],
        );
        check(
            &any_of([regex("[Qq]uota exceeded")]),
            &["(i)quota exceeded"],
        );
        // Unicode knows a long s and a Kelvin sign.
        check(
            &any_of([regex("(?i)disque plein")]),
            &["(i)disque plein", "(i)diſque plein"],
        );
    }

    #[test]
    fn before_an_expression_the_fewest_folded_literals_are_looked_for() {
        let pattern = Pattern::compile(
            r#"[|][=~] ?\\*["`]|\b(?:expr|exprs)\\*"?[:=]|(?i-u:As (?:Expected|expectedly))"#,
            false,
        );
        let found = of_pattern(&pattern.expect("it compiles")).unwrap_or_default();
        let found: Vec<_> = found.iter().map(|l| String::from_utf8_lossy(l)).collect();
        assert_eq!(found, ["|=", "|~", "expr", "as expected"]);
        let short = Pattern::compile(r"a\d", false).expect("it compiles");
        assert_eq!(of_pattern(&short), None);
    }

    #[test]
    fn an_expression_needs_what_is_written_in_each_of_its_matches() {
        let texts = |source| {
            let pattern = Pattern::compile(source, false).expect("it compiles");
            let texts = needed(&pattern).into_iter();
            texts
                .map(|text| String::from_utf8_lossy(&text).into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            texts(r"etcd\[\d+\]: .*(lost quorum)+"),
            ["etcd[", "]: ", "lost quorum"]
        );
        assert_eq!(
            texts(r"^(?P<a>took|was) \d+ms.* (?:evicted)? at (?:once )*(?i:now)"),
            [" at "]
        );
        assert_eq!(texts(r"(?:abc|abd|)x"), [""; 0]);
    }

    #[test]
    fn any_needs_a_literal_of_each_item_and_all_of_one() {
        check(&any_of([text("disk is full"), regex(r"\d+")]), &[]);
        check(
            &any_of([text("disk is full"), regex("read-only file ?system")]),
            &[
                "disk is full",
                "read-only file system",
                "read-only filesystem",
            ],
        );
        check(
            &all_of([text("abc"), text("quota exceeded"), regex(r"\d+")]),
            &["quota exceeded"],
        );
        check(&Match::default(), &[]);
    }

    #[test]
    fn the_rarer_and_longer_literal_is_taken() {
        check(
            &all_of([text("level=error"), text("quota exceeded")]),
            &["quota exceeded"],
        );
        check(
            &all_of([text("\"level\":\"info\""), text("zoneinfo lost")]),
            &["zoneinfo lost"],
        );
        check(
            &all_of([text("zqxj"), text("connection refused")]),
            &["connection refused"],
        );
        // Long before rare, where that decides how all the others are looked for.
        check(
            &all_of([text("zqxjvwky"), text("status=error")]),
            &["status=error"],
        );
    }

    #[test]
    fn a_cue_names_the_item_and_whether_the_literal_is_all_of_it() {
        let cues = |matches: &Match| -> Vec<_> {
            let required = required(matches).unwrap_or_default().into_iter();
            required.map(|(_, cue)| (cue.item, cue.is_item)).collect()
        };
        let any = any_of([
            text("disk is full"),
            regex("read-only file ?system"),
            text("quota exceeded"),
        ]);
        assert_eq!(cues(&any), [(0, true), (1, false), (1, false), (2, true)]);
        let all = all_of([text("level=error"), text("quota exceeded")]);
        assert_eq!(cues(&all), [(1, true)]);
        let both = Match {
            all: all.all,
            any: vec![text("zoneinfo lost"), regex("no such zo?ne")],
            ..Match::default()
        };
        assert_eq!(cues(&both), [(1, true)]);
        let by_any = Match {
            all: vec![text("abc"), text("level=info")],
            ..any
        };
        let items: Vec<_> = cues(&by_any).into_iter().map(|(item, _)| item).collect();
        assert_eq!(items, [2, 3, 3, 4]);
    }
}
