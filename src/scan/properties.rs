//! The room's chief property: a scanner of many rules finds exactly what each rule alone, asked naively about each line, finds.

use std::num::NonZeroU32;
use std::time::Duration;

use proptest::prelude::*;

use super::testing::{
    Sent, all_of, any_of, batch, labels, pattern, regex, rule, rule_set, text, text_in_any_case,
};
use super::{Cost, Glance, Line, Scanner, Scratch, Seen, VALUE_BYTES_MAX, Verdict, explain, judge};
use crate::batch::{Batch, Labels};
use crate::hit::{Hit, LINE_BYTES_MAX, Role, RuleIndex};
use crate::rules::{
    Absent, Comparison, Condition, Correlate, Decimal, Distinct, EscalateWhen, Escalation, Exclude,
    FieldCondition, FieldTest, Item, Match, Matcher, Parse, Part, Ratio, Recover, Rule, RuleSet,
    Selector, Sequence, Severity, Spike, Step, Summary, Test, Threshold,
};

/// What the scanner must find, found without it.
pub(super) fn naive(rules: &RuleSet, batch: &Batch) -> Vec<Hit> {
    let mut hits = Vec::new();
    for entries in &batch.streams {
        let stream = &*entries.stream;
        for entry in &batch.entries[entries.entries.start as usize..entries.entries.end as usize] {
            let line = Line::of(batch, stream, entry);
            for (index, rule) in rules.iter() {
                let unless = rule.unless.as_ref();
                if !rule.selector.selects(&stream.labels)
                    || unless.is_some_and(|unless| unless.selects(&stream.labels))
                {
                    continue;
                }
                let Some(Verdict {
                    role,
                    parts,
                    matched,
                }) = judge(rules, rule, &line)
                else {
                    continue;
                };
                // In a ratio's denominator, that is.
                let only_counts = role == Role::Match && !rule.is_match(parts);
                let value = |name: &str| -> Box<str> {
                    let value = matched.value(name, &line).unwrap_or_default();
                    assert!(value.len() <= VALUE_BYTES_MAX);
                    String::from_utf8_lossy(&value).into()
                };
                let captures = rule
                    .summary_names()
                    .iter()
                    .map(|name| (name.as_str().into(), value(name)));
                let values = rule.values.iter().map(|name| value(name));
                hits.push(Hit {
                    rule: index,
                    role,
                    parts,
                    at: entry.at,
                    stream: stream.id,
                    labels: stream.labels.clone(),
                    entry: entry.id(stream, batch.bytes(entry.line)),
                    key: rule.by.iter().map(|name| value(name)).collect(),
                    values: if only_counts {
                        rule.values.iter().map(|_| Box::default()).collect()
                    } else {
                        values.collect()
                    },
                    captures: if only_counts {
                        Box::default()
                    } else {
                        captures.collect()
                    },
                    line: if only_counts {
                        Box::default()
                    } else {
                        line.bytes[..line.bytes.len().min(LINE_BYTES_MAX)].into()
                    },
                });
            }
        }
    }
    in_order(hits)
}

fn in_order(mut hits: Vec<Hit>) -> Vec<Hit> {
    hits.sort_by_key(|hit| (hit.at, hit.rule));
    hits
}

pub(super) fn scanned(scanner: &Scanner, scratch: &mut Scratch, batch: &Batch) -> Vec<Hit> {
    let mut hits = Vec::new();
    scanner.scan(batch, 0..batch.entries.len(), scratch, &mut hits);
    in_order(hits)
}

/// Pieces that rules and lines are both made of: long, short, overlapping, contained in each other, beyond ASCII,
/// and what stands in CRI prefixes and labels.
const PIECES: [&str; 20] = [
    "disk quota exceeded",
    "quota exceeded",
    "exceeded exceeded",
    "Quota Exceeded",
    "connection refused",
    "connect",
    "ion refused by peer",
    "aaaaaaaa",
    "aaaaaaaaaaaab",
    "err",
    "timeout",
    "i/o timeout",
    "stdout F",
    "app=",
    "frontend",
    "ошибка диска",
    "k",
    "level=error",
    "{[@`",
    "\\\"",
];

fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(&PIECES[..]).prop_map(str::to_owned),
        2 => (prop::sample::select(&PIECES[..]), prop::sample::select(&PIECES[..]))
            .prop_map(|(a, b)| format!("{a}{b}")),
        // Near misses: a piece cut at its front or its end, or in another case.
        2 => (prop::sample::select(&PIECES[..]), any::<prop::sample::Index>(), any::<bool>())
            .prop_map(|(piece, at, front)| {
                let cuts: Vec<usize> = piece.char_indices().map(|(at, _)| at).collect();
                let at = *at.get(&cuts);
                if front { piece[at..].to_owned() } else { format!("{}~", &piece[..at]) }
            }),
        1 => prop::sample::select(&PIECES[..]).prop_map(str::to_ascii_uppercase),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        6 => piece().prop_map(|piece| regex_syntax::escape(&piece)),
        1 => Just(r"\d+".to_owned()),
        1 => Just(".*".to_owned()),
        1 => Just(r"(?P<user>\w+)".to_owned()),
        1 => Just(r"user=(?P<user>\S+)".to_owned()),
        1 => Just(r"(?P<app>\w+)".to_owned()),
        1 => Just("[ab]".to_owned()),
        1 => Just("[^ ]".to_owned()),
        1 => Just(" ".to_owned()),
        1 => Just(r"\b".to_owned()),
    ];
    let inner = leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            4 => prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| parts.concat()),
            3 => prop::collection::vec(inner.clone(), 2..4)
                .prop_map(|parts| format!("(?:{})", parts.join("|"))),
            1 => inner.clone().prop_map(|part| format!("(?:{part})?")),
            1 => inner.clone().prop_map(|part| format!("(?:{part})+")),
            1 => inner.clone().prop_map(|part| format!("(?:{part}){{2}}")),
            1 => inner.prop_map(|part| format!("(?i:{part})")),
        ]
    });
    (inner, 0..10).prop_map(|(inner, ends)| match ends {
        // Those that several rules and items have.
        8 => "exceeded|refused".to_owned(),
        9 => r"(?:quota|connection|level=)(?P<user>\S+) ?(?P<app>\w+)?".to_owned(),
        0 => format!("^(?:{inner})"),
        1 => format!("(?:{inner})$"),
        2 => format!("(?m)^(?:{inner})$"),
        _ => inner,
    })
}

fn item() -> impl Strategy<Value = Item> {
    // A group's name may come twice in one expression; such a one does not compile and is replaced by a text.
    prop_oneof![
        piece()
            .prop_filter("a text is never empty", |piece| !piece.is_empty())
            .prop_flat_map(|piece| prop_oneof![Just(text(&piece)), Just(text_in_any_case(&piece))]),
        (expression(), any::<bool>()).prop_map(|(source, ignore_case)| {
            match crate::rules::Pattern::compile(&source, ignore_case) {
                Ok(pattern) => Item::Regex(pattern),
                Err(_) => text("disk quota exceeded"),
            }
        }),
    ]
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(
        &[
            "user",
            "status",
            "level",
            "app",
            "a.b",
            "msg",
            "service_name",
            "namespace",
            "node",
            "workload",
            "run_id",
        ][..],
    )
}

fn field() -> impl Strategy<Value = FieldTest> {
    let condition = prop_oneof![
        prop::sample::select(&["error", "web", "7", "", "disk quota exceeded"][..]).prop_flat_map(
            |text| any::<bool>().prop_map(move |ignore_case| FieldCondition::Equals {
                text: text.to_owned(),
                ignore_case,
            })
        ),
        Just(FieldCondition::Compare(Comparison::AtLeast, 500.0)),
        Just(FieldCondition::Compare(Comparison::NotEqual, 7.0)),
        Just(FieldCondition::Regex(pattern("^[a-m]", false))),
    ];
    (name(), prop::collection::vec(condition, 1..3)).prop_map(|(name, accepts)| FieldTest {
        name: name.to_owned(),
        accepts,
    })
}

fn matching() -> impl Strategy<Value = Match> {
    let items = |most| prop::collection::vec(item(), 0..=most);
    let exclude = prop_oneof![
        4 => item().prop_map(Exclude::Item),
        1 => prop::sample::select(&["r0", "r1", "absent"][..])
            .prop_map(|id| Exclude::Rule(id.to_owned())),
    ];
    let none = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(exclude, 1..3)];
    let fields = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(field(), 1..3)];
    (items(3), items(2), none, fields).prop_map(|(any, all, none, fields)| Match {
        any,
        all,
        none,
        fields,
    })
}

fn selector() -> impl Strategy<Value = Selector> {
    let test = prop_oneof![
        Just(Test::Equal("web".to_owned())),
        Just(Test::NotEqual("web".to_owned())),
        Just(Test::OneOf(vec!["web".to_owned(), "db".to_owned()])),
    ];
    prop_oneof![
        2 => Just(Selector::default()),
        1 => test.prop_map(|test| Selector(vec![Matcher { name: "app".to_owned(), test }])),
    ]
}

/// A condition of any class, with values that its rule tells apart.
fn condition() -> impl Strategy<Value = (Condition, Vec<&'static str>)> {
    let window = Duration::from_secs(60);
    let threshold = Threshold {
        window,
        ..Threshold::EVERY
    };
    let percent = Decimal { millionths: 1 };
    let ratio = prop::option::of(matching()).prop_map(move |total| {
        Condition::Ratio(Ratio {
            comparison: Comparison::Above,
            percent,
            window,
            total: total.map(Box::new),
            min_count: 1,
        })
    });
    let steps = prop::collection::vec(matching(), 1..4);
    let sequence = (steps, prop::option::of(matching())).prop_map(move |(steps, absent)| {
        let steps = steps.into_iter().map(|matches| Step {
            matches,
            count: NonZeroU32::MIN,
        });
        Condition::Sequence(Sequence {
            within: window,
            steps: steps.collect(),
            absent: absent.map(Box::new),
        })
    });
    let absent = Condition::Absent(Absent {
        span: window,
        expect: Vec::new(),
        forget: None,
    });
    let spike = Condition::Spike(Spike {
        comparison: Comparison::AtLeast,
        factor: percent,
        window,
        past: window,
        min_count: 1,
    });
    let correlate = Condition::Correlate(Correlate {
        within: window,
        all: vec![Part::Rule("r0".to_owned())],
        any: Vec::new(),
        none: Vec::new(),
        at_least: 0,
        hides: false,
    });
    let distinct = name().prop_map(move |name| {
        let distinct = Distinct {
            name: name.to_owned(),
            value: 0,
            threshold,
        };
        (Condition::Distinct(distinct), vec![name])
    });
    prop_oneof![
        4 => Just((Condition::Count(threshold), Vec::new())),
        1 => distinct,
        1 => name().prop_map(move |name| (Condition::NewValue { learn: window }, vec![name])),
        1 => Just((Condition::NewPattern { learn: window, threshold }, Vec::new())),
        2 => (ratio, prop::collection::vec(name(), 0..2)),
        2 => (sequence, prop::collection::vec(name(), 0..2)),
        1 => Just((absent, Vec::new())),
        1 => Just((spike, Vec::new())),
        1 => Just((correlate, Vec::new())),
    ]
}

/// Every `match` of a rule, in whatever place.
fn matches_of(rule: &mut Rule) -> Vec<&mut Match> {
    let mut all = vec![&mut rule.matches];
    match &mut rule.condition {
        Condition::Ratio(ratio) => all.extend(ratio.total.as_deref_mut()),
        Condition::Sequence(sequence) => {
            all.extend(sequence.steps.iter_mut().map(|step| &mut step.matches));
            all.extend(sequence.absent.as_deref_mut());
        }
        _ => {}
    }
    if let Recover::Match { when, .. } = &mut rule.recover {
        all.push(when);
    }
    for escalation in &mut rule.escalate {
        if let EscalateWhen::Match(matches) = &mut escalation.when {
            all.push(matches);
        }
    }
    all
}

/// Rule number `number`. Only later ones leave lines to `r0` and `r1`, so no rule depends on itself.
fn any_rule(number: usize) -> impl Strategy<Value = Rule> {
    let parse = prop::sample::select(&[Parse::Auto, Parse::Json, Parse::Logfmt, Parse::None][..]);
    let recover = prop_oneof![
        3 => Just(Recover::Quiet(Duration::from_secs(1))),
        1 => matching().prop_map(|when| Recover::Match { after: None, when: Box::new(when) }),
    ];
    let when = prop_oneof![
        1 => Just(EscalateWhen::After(Duration::from_secs(1))),
        2 => matching().prop_map(|matches| EscalateWhen::Match(Box::new(matches))),
    ];
    let escalation = when.prop_map(|when| Escalation {
        to: Severity::Critical,
        when,
    });
    let escalate = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(escalation, 1..4)];
    let names = || prop::collection::vec(name(), 0..3);
    let summary = prop::option::of(names());
    let streams = (selector(), prop::option::of(selector()), parse);
    (
        matching(),
        condition(),
        streams,
        recover,
        escalate,
        names(),
        summary,
    )
        .prop_map(
            move |(matches, (condition, values), streams, recover, escalate, by, summary)| {
                let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
                let (selector, unless, parse) = streams;
                let mut rule = Rule {
                    selector,
                    unless,
                    parse,
                    condition,
                    values: owned(values),
                    by: owned(by),
                    escalate,
                    summary: summary.map(|captures| Summary {
                        parts: Vec::new(),
                        captures: owned(captures),
                    }),
                    recover,
                    ..rule(&format!("r{number}"), matches)
                };
                if number < 2 {
                    for matches in matches_of(&mut rule) {
                        let none = &mut matches.none;
                        none.retain(|exclude| matches!(exclude, Exclude::Item(_)));
                    }
                }
                rule
            },
        )
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    (
        any_rule(0),
        any_rule(1),
        prop::collection::vec(any_rule(2), 0..8),
    )
        .prop_map(|(first, second, mut rest)| {
            for (place, rule) in rest.iter_mut().enumerate() {
                rule.id = format!("r{}", place + 2);
            }
            [vec![first, second], rest].concat()
        })
}

fn sent() -> impl Strategy<Value = Sent> {
    let pieces = || {
        prop::collection::vec(prop_oneof![4 => piece(), 1 => Just(" ".to_owned()), 1 => Just("user=bob7 ".to_owned())], 0..5)
        .prop_map(|pieces| pieces.concat())
    };
    let line = prop_oneof![
        4 => pieces(),
        1 => pieces().prop_map(|msg| {
            format!("name=api-6b7f9c8d5-x2x4z kind=Pod eventRV=2 sourcehost=worker-a msg={msg:?} ")
        }),
        1 => pieces().prop_map(|line| format!("<30>1 2026-01-01T00:00:00Z worker-a kubelet - - - {line} pod=\"test-a-1-2/db-0\"")),
        1 => pieces().prop_map(|line| format!("2026-01-01T00:00:00.5Z stdout F {line}\n")),
        1 => (pieces(), 0..900_u32).prop_map(|(msg, status)| {
            serde_json::json!({"status": status, "msg": msg, "a": {"b": "error"}, "level": "error"}).to_string()
        }),
        1 => (pieces(), 0..900_u32).prop_map(|(msg, status)| format!("level=ERROR status={status} msg={msg:?} a.b=7\r\n")),
        1 => (0..900_u32).prop_map(|status| format!(r#"{{"st\u0061tus":{status},"\u0061":{{"b":"web"}}}}"#)),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
    ];
    let metadata = prop_oneof![
        4 => Just(Vec::new()),
        1 => (name(), piece()).prop_map(|(name, value)| vec![(name.to_owned(), value)]),
    ];
    (line, any::<bool>(), metadata).prop_map(|(line, damaged, metadata)| {
        let mut line = line.into_bytes();
        if damaged && let Some(byte) = line.last_mut() {
            *byte |= 0x80;
        }
        Sent { line, metadata }
    })
}

fn streams() -> impl Strategy<Value = Vec<(Labels, Vec<Sent>)>> {
    let value = || prop::sample::select(&["web", "db", ""][..]);
    let pod = prop::sample::select(&["", "", "api-6b7f9c8d5-x2x4z"][..]);
    let namespace = prop::sample::select(&["", "test-a-1-2"][..]);
    let labels = (value(), value(), piece(), pod, namespace).prop_map(
        |(app, user, other, pod, namespace)| {
            labels(&[
                ("app", app),
                ("user", user),
                ("other", &other),
                ("pod", pod),
                ("namespace", namespace),
            ])
        },
    );
    prop::collection::vec((labels, prop::collection::vec(sent(), 0..6)), 1..4)
}

proptest! {
    #[test]
    fn many_rules_at_once_find_what_each_finds_alone(
        rules in rules(),
        batches in prop::collection::vec((streams(), piece()), 1..3),
        cut in any::<prop::sample::Index>(),
    ) {
        let rules = rule_set(rules);
        let scanner = Scanner::new(rules.clone());
        let mut scratch = Scratch::default();
        for (streams, framing) in batches {
            let batch = batch(&streams, &framing);
            let expected = naive(&rules, &batch);
            prop_assert_eq!(&scanned(&scanner, &mut scratch, &batch), &expected);

            let cut = cut.index(batch.entries.len() + 1);
            let mut in_pieces = Vec::new();
            scanner.scan(&batch, cut..batch.entries.len(), &mut scratch, &mut in_pieces);
            scanner.scan(&batch, 0..cut, &mut scratch, &mut in_pieces);
            prop_assert_eq!(&in_order(in_pieces), &expected);
        }
    }
}

proptest! {
    #[test]
    fn what_a_glance_leaves_out_has_nothing_to_explain(rules in rules(), streams in streams()) {
        let rules = rule_set(rules);
        let glance = Glance::new(&rules);
        let batch = batch(&streams, "");
        for entries in &batch.streams {
            for entry in &batch.entries[entries.entries.start as usize..entries.entries.end as usize] {
                let line = Line::of(&batch, &entries.stream, entry);
                let rules_for = glance.rules_for(&line);
                for (index, rule) in rules.iter() {
                    if rules_for.binary_search(&index).is_ok() {
                        continue;
                    }
                    let explained = explain(&rules, rule, &[], &line);
                    prop_assert_eq!(&explained.verdict, &None);
                    for seen in &explained.parts {
                        let mut items = seen.all.iter().chain(&seen.any);
                        prop_assert!(items.all(|seen| seen.at.is_none() && seen.near.is_none()), "{}", rule.id);
                        prop_assert!(!seen.fields.iter().any(|seen| seen.holds), "{}", rule.id);
                    }
                }
            }
        }
    }

    #[test]
    fn an_explanation_never_says_otherwise_than_the_verdict(rules in rules(), streams in streams()) {
        let rules = rule_set(rules);
        let batch = batch(&streams, "");
        for entries in &batch.streams {
            for entry in &batch.entries[entries.entries.start as usize..entries.entries.end as usize] {
                let line = Line::of(&batch, &entries.stream, entry);
                for (_, rule) in rules.iter() {
                    let explained = explain(&rules, rule, &[], &line);
                    let labels = &entries.stream.labels;
                    let left_out = rule.unless.as_ref().is_some_and(|unless| unless.selects(labels));
                    prop_assert_eq!(explained.is_read(), rule.selector.selects(labels) && !left_out);

                    let verdict = judge(&rules, rule, &line);
                    prop_assert_eq!(&explained.verdict, &verdict);
                    let recovers = explained.recovery.as_ref().is_some_and(Seen::is_fulfilled);
                    let fulfilled = explained.parts.iter().map(Seen::is_fulfilled);
                    match verdict {
                        Some(Verdict { role: Role::Recovery, .. }) => prop_assert!(recovers),
                        Some(Verdict { parts, .. }) => {
                            prop_assert!(!recovers);
                            for (n, fulfilled) in fulfilled.enumerate() {
                                prop_assert_eq!(parts.has(n), fulfilled);
                            }
                            if rule.is_match(parts) {
                                for (n, seen) in explained.escalations.iter().enumerate() {
                                    prop_assert_eq!(parts.escalates(n), seen.is_fulfilled());
                                }
                            }
                        }
                        // A rule on findings reads no line, not even for its end.
                        None if explained.parts.is_empty() => {}
                        None => prop_assert!(!recovers && !fulfilled.into_iter().any(|is| is)),
                    }
                }
            }
        }
    }
}

#[track_caller]
fn check_cost(matches: Match, cost: Cost, literals: &[&str]) {
    let scanner = Scanner::new(rule_set([rule("r", matches)]));
    assert_eq!(scanner.cost(RuleIndex(0)), cost);
    let found: Vec<_> = scanner.literals()[0]
        .iter()
        .map(|literal| String::from_utf8_lossy(literal))
        .collect();
    assert_eq!(found, literals);
}

#[test]
fn a_rule_is_looked_for_by_long_literals_by_short_ones_or_on_every_line() {
    check_cost(
        any_of([text("manifest unknown"), regex("no .*such host")]),
        Cost::LongLiterals,
        &["manifest unknown", "such host"],
    );
    check_cost(
        any_of([text("manifest unknown"), text("x509")]),
        Cost::ShortLiterals,
        &["manifest unknown", "x509"],
    );
    check_cost(any_of([text("403")]), Cost::EveryLine, &[]);
    check_cost(any_of([regex(r"\d+ms")]), Cost::EveryLine, &[]);
}

#[test]
fn a_line_full_of_a_literal_is_asked_about_once() {
    let rules = rule_set([
        rule("full", any_of([text("aaaaaaaa")])),
        rule("never", all_of([text("aaaaaaaa"), text("b")])),
    ]);
    let scanner = Scanner::new(rules);
    let lines = vec![
        Sent::from(&*"a".repeat(5000)),
        Sent::from("nothing"),
        Sent::from(&*"A".repeat(5000)),
    ];
    let batch = batch(&[(labels(&[("app", "web")]), lines)], "");
    let mut scratch = Scratch::default();
    assert_eq!(scanned(&scanner, &mut scratch, &batch).len(), 1);
    let mut counts = Vec::new();
    scratch.take_spent(|rule, spent| counts.push((rule.0, spent.candidates)));
    assert_eq!(counts, [(0, 1), (1, 1)]);
    scratch.take_spent(|_, _| panic!("they were taken"));
}

#[test]
fn hits_of_a_stream_share_a_key_made_of_labels() {
    let mut shared = rule("r", any_of([text("quota exceeded")]));
    shared.by = vec!["app".to_owned()];
    let scanner = Scanner::new(rule_set([shared]));
    let lines = || {
        vec![
            Sent::from("quota exceeded"),
            Sent::from("disk quota exceeded"),
        ]
    };
    let streams = [
        (labels(&[("app", "web")]), lines()),
        (labels(&[("other", "x")]), lines()),
        (labels(&[("app", "db")]), lines()),
    ];
    let hits = scanned(&scanner, &mut Scratch::default(), &batch(&streams, ""));
    let keys: Vec<&str> = hits
        .iter()
        .map(|hit| hit.key.get(0).expect("a value"))
        .collect();
    assert_eq!(keys, ["web", "web", "", "", "db", "db"]);
    assert!(hits[0].key.is_same(&hits[1].key));
    assert!(hits[4].key.is_same(&hits[5].key));
}

#[test]
fn a_recovery_has_a_key_of_its_own() {
    let mut rule = rule("r", any_of([text("quota exceeded")]));
    rule.by = vec!["app".to_owned()];
    rule.recover = Recover::Match {
        after: None,
        when: Box::new(any_of([regex(r"quota raised for (?P<app>\w+)")])),
    };
    let rules = rule_set([rule]);
    let lines = [
        "quota exceeded",
        "quota raised for db, was: quota exceeded",
        "quota exceeded",
    ];
    let batch = batch(
        &[(labels(&[("app", "web")]), lines.map(Sent::from).into())],
        "",
    );
    let hits = scanned(
        &Scanner::new(rules.clone()),
        &mut Scratch::default(),
        &batch,
    );
    assert_eq!(hits, naive(&rules, &batch));
    let found: Vec<_> = hits
        .iter()
        .map(|hit| (hit.role, hit.key.get(0).expect("a value")))
        .collect();
    assert_eq!(
        found,
        [
            (Role::Match, "web"),
            (Role::Recovery, "db"),
            (Role::Match, "web")
        ]
    );
}

#[test]
fn a_scratch_serves_another_rule_set_after_a_reload() {
    let mut scratch = Scratch::default();
    let batch = batch(
        &[(labels(&[]), vec![Sent::from("disk quota exceeded")])],
        "",
    );
    for count in [3, 1, 2] {
        let rules = (0..count).map(|n| rule(&format!("r{n}"), any_of([text("quota exceeded")])));
        let scanner = Scanner::new(rule_set(rules));
        assert_eq!(scanned(&scanner, &mut scratch, &batch).len(), count);
    }
    assert_eq!(
        scanned(&Scanner::new(rule_set([])), &mut scratch, &batch),
        []
    );
}
