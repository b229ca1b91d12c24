//! Names whose values are too many, or missing where they are needed; and labels and levels that do not last.

use regex_syntax::hir::{Hir, HirKind};

use super::{parts, place_of};
use crate::rules::condition::Condition;
use crate::rules::derived::is_derived;
use crate::rules::model::{FieldCondition, Item, Match};
use crate::rules::problem::{Code, Fault, shortened};
use crate::rules::read::Draft;
use crate::rules::selector::{Selector, Test};

/// Names with about as many values as there are requests, users or pods: each value is a finding of its own.
const MANY_VALUED: [&str; 33] = [
    "addr",
    "client_addr",
    "client_ip",
    "container_id",
    "correlation_id",
    "duration",
    "email",
    "filename",
    "id",
    "instance",
    "ip",
    "latency",
    "line",
    "message",
    "msg",
    "path",
    "pid",
    "pod",
    "pod_ip",
    "pod_name",
    "remote_addr",
    "request_id",
    "session",
    "session_id",
    "span_id",
    "time",
    "timestamp",
    "trace_id",
    "ts",
    "uid",
    "url",
    "user",
    "uuid",
];

/// Names of the level of a line. `detected_level` is not among them: it is the same for every spelling.
const LEVELS: [&str; 6] = [
    "level",
    "levelname",
    "log_level",
    "loglevel",
    "lvl",
    "severity",
];

/// What programs call levels.
const LEVEL_WORDS: [&str; 12] = [
    "critical",
    "debug",
    "err",
    "error",
    "fatal",
    "info",
    "notice",
    "panic",
    "trace",
    "warn",
    "warning",
    "emergency",
];

pub(super) fn lint(draft: &Draft, warn: &mut impl FnMut(Fault)) {
    if draft.rule.catches.is_empty() && !draft.rule.parts().is_empty() {
        warn(
            Fault::new(
                Code::NoExamples,
                draft.id_span.clone(),
                format!("`{}` has no `catches`", draft.rule.id),
            )
            .help("add a line that it must match, and under `passes` one that it must not: `check` runs them"),
        );
    }
    many_valued(draft, warn);
    maybe_missing(draft, warn);
    level_case(draft, warn);
    one_pod(draft, warn);
}

fn many_valued(draft: &Draft, warn: &mut impl FnMut(Fault)) {
    for (name, span) in draft.rule.by.iter().zip(&draft.by_spans) {
        let last = name.rsplit('.').next().unwrap_or(name);
        if MANY_VALUED.binary_search(&last).is_ok() {
            warn(
                Fault::new(
                    Code::ManyKeys,
                    span.clone(),
                    format!("`{name}` has many values, and every one is a finding of its own"),
                )
                .help("prefer what fails together: `[namespace, workload]`"),
            );
        }
    }
}

/// Captures that only some matches bring, where a value is needed of each.
fn maybe_missing(draft: &Draft, warn: &mut impl FnMut(Fault)) {
    let rule = &draft.rule;
    let sought = rule.parts();
    let missing = |name: &str| {
        // A name is also that of a label or field, which a match may rely on, or derived from what the line is about.
        let elsewhere = is_derived(name)
            || rule.selector.0.iter().any(|matcher| matcher.name == name)
            || sought
                .iter()
                .any(|part| part.fields.iter().any(|field| field.name == name));
        let mut brings = sought.iter().map(|part| Brings::of(part, name));
        let first = brings.next().unwrap_or(Brings::Never);
        !elsewhere
            && (first == Brings::Sometimes
                || brings.any(|next| next != first || next == Brings::Sometimes))
    };
    let fault = |span, name: &str, then: &str| {
        let name = shortened(name);
        Fault::new(
            Code::MaybeMissing,
            span,
            format!("only some matches capture `{name}`: {then}"),
        )
        .help(format!("capture it in every item: `(?P<{name}>…)`"))
    };
    for (name, span) in rule.by.iter().zip(&draft.by_spans) {
        if missing(name) {
            warn(fault(
                span.clone(),
                name,
                "the others are all one key, with an empty value",
            ));
        }
    }
    if let Condition::Distinct(distinct) = &rule.condition
        && missing(&distinct.name)
    {
        let span = place_of(draft, "threshold");
        warn(fault(span, &distinct.name, "the others are not counted"));
    }
    for name in rule.summary.iter().flat_map(|summary| &summary.captures) {
        if missing(name) {
            let span = place_of(draft, "summary");
            warn(fault(
                span,
                name,
                "for the others the summary has a hole there",
            ));
        }
    }
}

/// How many matches have a value for a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Brings {
    Always,
    Sometimes,
    Never,
}

impl Brings {
    fn of(matches: &Match, name: &str) -> Self {
        let Match { any, all, .. } = matches;
        let always = |item: &Item| match item {
            Item::Regex(pattern) => has(pattern, name) && always(&pattern.hir(), name),
            Item::Text { .. } => false,
        };
        let sometimes = |item: &Item| match item {
            Item::Regex(pattern) => has(pattern, name),
            Item::Text { .. } => false,
        };
        if !any.iter().chain(all).any(sometimes) {
            Self::Never
        } else if all.iter().any(always) || !any.is_empty() && any.iter().all(always) {
            Self::Always
        } else {
            Self::Sometimes
        }
    }
}

fn has(pattern: &crate::rules::model::Pattern, name: &str) -> bool {
    pattern.group_names().any(|capture| capture == name)
}

/// Whether every match of an expression goes through the group `name`.
fn always(hir: &Hir, name: &str) -> bool {
    match hir.kind() {
        HirKind::Capture(capture) => {
            capture.name.as_deref() == Some(name) || always(&capture.sub, name)
        }
        HirKind::Concat(parts) => parts.iter().any(|part| always(part, name)),
        HirKind::Alternation(parts) => parts.iter().all(|part| always(part, name)),
        HirKind::Repetition(repetition) => repetition.min > 0 && always(&repetition.sub, name),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => false,
    }
}

/// A level that is compared in one case only, in streams of any program.
fn level_case(draft: &Draft, warn: &mut impl FnMut(Fault)) {
    if !draft.rule.selector.0.is_empty() {
        // Whoever chose a program knows how it writes.
        return;
    }
    for (written, matches) in parts(draft) {
        for field in &matches.fields {
            let last = field.name.rsplit('.').next().unwrap_or(&field.name);
            if !LEVELS.contains(&last.to_ascii_lowercase().as_str()) {
                continue;
            }
            let exact = |condition: &FieldCondition| match condition {
                FieldCondition::Equals {
                    text,
                    ignore_case: false,
                } => Some(text.clone()),
                _ => None,
            };
            let Some(words) = field.accepts.iter().map(exact).collect::<Option<Vec<_>>>() else {
                continue;
            };
            let alone = |word: &&String| {
                let spellings = words
                    .iter()
                    .filter(|other| other.eq_ignore_ascii_case(word));
                LEVEL_WORDS.contains(&word.to_ascii_lowercase().as_str()) && spellings.count() == 1
            };
            if let Some(word) = words.iter().find(alone) {
                let (lower, upper) = (word.to_ascii_lowercase(), word.to_ascii_uppercase());
                let other = if *word == lower { upper } else { lower };
                warn(
                    Fault::new(
                        Code::LevelCase,
                        written.span.clone(),
                        format!("programs that write `{other}` are missed: `{word}` is compared letter by letter"),
                    )
                    .help("write `ignore_case: true`, or compare `detected_level`, which knows all spellings"),
                );
                return;
            }
        }
    }
}

/// A pod's name that the next rollout changes.
fn one_pod(draft: &Draft, warn: &mut impl FnMut(Fault)) {
    let keys = [
        ("selector", Some(&draft.rule.selector)),
        ("unless", draft.rule.unless.as_ref()),
    ];
    for (key, selector) in keys {
        let Some(pod) = selector.and_then(made_up_pod) else {
            continue;
        };
        let workload = pod.rsplitn(3, '-').nth(2).unwrap_or(pod);
        warn(
            Fault::new(
                Code::OnePod,
                place_of(draft, key),
                format!(
                    "the pod `{}` has another name after the next rollout",
                    shortened(pod)
                ),
            )
            .help(format!(
                "write `pod=~\"{}-.*\"`, or select by `app` or `container`",
                shortened(workload)
            )),
        );
    }
}

/// The first pod whose name ends as a ReplicaSet makes it up: the hash of its template, and five letters of its own.
/// Source: `SafeEncodeString` and `GenerateName`, kubernetes/apimachinery `pkg/util/rand` and kubernetes/apiserver `storage/names`:
/// letters and digits without vowels, so that no words come out.
fn made_up_pod(selector: &Selector) -> Option<&String> {
    let values = selector
        .0
        .iter()
        .filter(|matcher| matches!(&*matcher.name, "pod" | "pod_name"));
    let mut values = values.flat_map(|matcher| match &matcher.test {
        Test::Equal(value) => std::slice::from_ref(value),
        Test::OneOf(values) => values,
        _ => &[],
    });
    let random = |piece: Option<&str>, lengths: std::ops::RangeInclusive<usize>| {
        piece.is_some_and(|piece| {
            lengths.contains(&piece.len())
                && piece
                    .bytes()
                    .all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte))
        })
    };
    values.find(|value| {
        let mut pieces = value.rsplitn(3, '-');
        random(pieces.next(), 5..=5) && random(pieces.next(), 8..=10) && pieces.next().is_some()
    })
}
