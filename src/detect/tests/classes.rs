//! Every class of condition against a walk through every second that shares no code with it.
//!
//! The walk is told what is true at a second, by counting a list; what opens and recovers follows from that in the same few lines
//! for all conditions with a window.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;
use crate::rules::{
    Absent, Comparison, Correlate, Decimal, Distinct, Part, Ratio, Sequence, Spike, Step,
};

/// One entry: when, of which pod, and what it is; each class gives that its own meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    at: i64,
    pod: u8,
    /// Which of the pod's label sets it is of.
    container: u8,
    /// `OTHER` matches nothing.
    kind: u8,
    /// Makes equal entries of one time different.
    copy: u8,
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let line = (0i64..80, 0u8..2, 0u8..2, 0u8..=OTHER, 0u8..2).prop_map(
        |(at, pod, container, kind, copy)| Line {
            at,
            pod,
            container,
            kind,
            copy,
        },
    );
    prop::collection::vec(line, 1..40)
}

/// The kind of entries that no rule knows. They tell that their label set goes on.
const OTHER: u8 = 3;

/// What an entry of a kind gives to its hit of the rule number `rule`; `None` for no hit.
type Meaning = fn(kind: u8) -> Option<(Parts, &'static [&'static str])>;

fn batch(lines: &[Line], rules: &[Meaning]) -> Scanned {
    let mut scanned = Scanned::default();
    for line in lines {
        let stream = StreamId(u64::from(line.pod) * 2 + u64::from(line.container));
        let pod: Box<str> = format!("p{}", line.pod).into();
        for (rule, meaning) in rules.iter().enumerate() {
            let index = RuleIndex(rule as u32);
            match scanned
                .progress
                .oldest
                .iter_mut()
                .find(|(of, _)| *of == index)
            {
                Some((_, oldest)) => *oldest = at(line.at).min(*oldest),
                None => scanned.progress.oldest.push((index, at(line.at))),
            }
            if line.kind == OTHER {
                continue;
            }
            let Some((parts, values)) = meaning(line.kind) else {
                continue;
            };
            scanned.hits.push(Hit {
                rule: index,
                role: Role::Match,
                parts,
                at: at(line.at),
                stream,
                labels: Arc::new(Labels::new([("pod".into(), pod.clone())])),
                entry: EntryId(
                    line.at as u64 * 65_536
                        + u64::from(line.pod) * 256
                        + u64::from(line.container) * 64
                        + u64::from(line.kind) * 16
                        + u64::from(line.copy),
                ),
                key: Key::from([pod.clone()]),
                values: values.iter().map(|value| Box::from(*value)).collect(),
                captures: Box::default(),
                line: format!(
                    "kind {}",
                    ["alpha", "beta", "gamma"][usize::from(line.kind)]
                )
                .into_bytes()
                .into(),
            });
        }
        scanned.progress.streams.push((stream, 1));
        scanned.progress.times.push(at(line.at));
    }
    scanned
}

/// What is found in `lines`: as one batch, as one for each second, and with a restart after every one. All must say the same.
fn found(rules: &Arc<RuleSet>, meanings: &[Meaning], lines: &[Line]) -> Vec<Finding> {
    let run = |batches: &[Vec<Line>]| {
        let mut detector = detector(Settings::replay(origin()), rules);
        for lines in batches {
            detector.apply(batch(lines, meanings), at(1_000_000));
        }
        detector.finish(at(UNTIL));
        detector.take_changes().findings()
    };
    let whole = run(&[lines.to_vec()]);
    let mut seconds: BTreeMap<i64, Vec<Line>> = BTreeMap::new();
    for line in lines {
        seconds.entry(line.at).or_default().push(*line);
    }
    let seconds: Vec<_> = seconds.into_values().collect();
    let split = run(&seconds);
    assert_eq!(
        printed(&split),
        printed(&whole),
        "one batch for each second"
    );
    let settings = Settings::replay(origin());
    let mut disk = Changes::default();
    for lines in &seconds {
        let mut detector = restarted(&settings, rules, &disk);
        detector.apply(batch(lines, meanings), at(1_000_000));
        disk.extend(detector.take_changes());
    }
    let mut detector = restarted(&settings, rules, &disk);
    detector.finish(at(UNTIL));
    disk.extend(detector.take_changes());
    assert_eq!(
        printed(&disk.findings()),
        printed(&whole),
        "a restart after every second"
    );
    whole
}

const UNTIL: i64 = 200;

/// What the walk is told of a condition with a window.
struct Truth<'a> {
    true_at: &'a dyn Fn(i64) -> bool,
    /// Whether an entry of that second is looked at, and whether one matches.
    looked_at: &'a dyn Fn(i64) -> bool,
    matched: &'a dyn Fn(i64) -> bool,
    many: bool,
}

/// How long things take.
#[derive(Debug, Clone, Copy)]
struct Times {
    window: i64,
    quiet: i64,
    hold: i64,
    cooldown: i64,
}

fn times() -> impl Strategy<Value = Times> {
    let hold = prop_oneof![Just(0), 0i64..8];
    (1i64..15, 1i64..15, hold, 0i64..40).prop_map(|(window, quiet, hold, cooldown)| Times {
        window,
        quiet,
        hold,
        cooldown,
    })
}

impl Times {
    fn rule(self, condition: Condition) -> Rule {
        Rule {
            condition,
            hold: seconds(self.hold as u64),
            cooldown: seconds(self.cooldown as u64),
            ..rule("r", 1, 1, self.quiet as u64)
        }
    }
}

fn walk(truth: &Truth<'_>, times: Times) -> Vec<(i64, &'static str)> {
    let mut told = Vec::new();
    let (mut open, mut since, mut quiet_from) = (false, None, None);
    let mut recovered: Option<i64> = None;
    for t in 0..=UNTIL {
        let is_true = (truth.true_at)(t);
        if open {
            if truth.many && (truth.matched)(t) && is_true {
                quiet_from = Some(t);
            } else if !truth.many && is_true {
                quiet_from = None;
            } else if !truth.many && quiet_from.is_none() {
                quiet_from = Some(t);
            }
        } else if !is_true {
            since = None;
        } else if since.is_none() && ((truth.looked_at)(t) || !truth.many) {
            since = Some(t);
        }
        if !open && since.is_some_and(|since| t - since >= times.hold) {
            let again = recovered.is_some_and(|recovered| t < recovered + times.cooldown);
            told.push((t, if again { "reopened" } else { "opened" }));
            open = true;
            let held = |at: &i64| (truth.matched)(*at) && (truth.true_at)(*at);
            quiet_from = truth.many.then(|| {
                let first = t - times.window + 1;
                (first..=t).rev().find(held).unwrap_or(t)
            });
        }
        if open && quiet_from.is_some_and(|from| t - from >= times.quiet) {
            (open, since, recovered) = (false, None, Some(t));
            told.push((t, "recovered"));
        }
    }
    told
}

fn states(findings: &[Finding], rule: &str, pod: u8) -> Vec<(i64, &'static str)> {
    let name = format!("{rule}{{pod=p{pod}}}");
    let seconds = |time: Timestamp| (time.nanos() - at(0).nanos()) / 1_000_000_000;
    let of_pod = findings.iter().filter(|finding| finding.dedupe_key == name);
    of_pod
        .filter_map(|finding| {
            use crate::finding::Reason::{MatchedRecovery, Opened, Quiet, Reopened, Silent};
            match finding.reason {
                Opened => Some((seconds(finding.time), "opened")),
                Reopened => Some((seconds(finding.time), "reopened")),
                Quiet | Silent | MatchedRecovery => Some((seconds(finding.time), "recovered")),
                _ => None,
            }
        })
        .collect()
}

/// The different entries of a pod, in order.
fn of_pod(lines: &[Line], pod: u8) -> Vec<Line> {
    let of_pod: BTreeSet<Line> = lines
        .iter()
        .copied()
        .filter(|line| line.pod == pod && line.kind != OTHER)
        .collect();
    of_pod.into_iter().collect()
}

fn within(lines: &[Line], t: i64, window: i64) -> impl Iterator<Item = &Line> {
    lines
        .iter()
        .filter(move |line| t - window < line.at && line.at <= t)
}

fn needs() -> impl Strategy<Value = Needs> {
    prop_oneof![
        (1u64..4).prop_map(|count| Needs::AtLeast(count.try_into().expect("from one"))),
        (0u64..3).prop_map(Needs::AtMost),
    ]
}

fn comparisons() -> impl Strategy<Value = Comparison> {
    prop_oneof![
        Just(Comparison::AtLeast),
        Just(Comparison::Above),
        Just(Comparison::Below),
        Just(Comparison::AtMost),
    ]
}

/// Any share of a hundred; the ends often, as everything and nothing are special.
fn percents() -> impl Strategy<Value = u64> {
    prop_oneof![2 => 0u64..=100, 1 => Just(0), 1 => Just(100)]
}

fn compares(comparison: Comparison, left: u64, right: u64) -> bool {
    match comparison {
        Comparison::AtLeast => left >= right,
        Comparison::Above => left > right,
        Comparison::Below => left < right,
        _ => left <= right,
    }
}

fn decimal(whole: u64) -> Decimal {
    Decimal {
        millionths: whole * Decimal::ONE,
    }
}

const MATCH: Parts = Parts::MATCH;

/// A match as old as the window has left it: quiet does not run from there.
#[test]
fn quiet_of_a_share_does_not_run_from_a_match_that_has_left_the_window() {
    let line = |at, kind| Line {
        at,
        pod: 0,
        container: 0,
        kind,
        copy: 0,
    };
    let ratio = Ratio {
        comparison: Comparison::AtLeast,
        percent: decimal(0),
        window: seconds(7),
        total: None,
        min_count: 0,
    };
    let rules = set([Rule {
        condition: Condition::Ratio(ratio),
        cooldown: seconds(0),
        ..rule("r", 1, 1, 1)
    }]);
    let meaning: Meaning = |kind| Some((Parts(if kind == 0 { 0b11 } else { 0b10 }), &[]));
    let findings = found(&rules, &[meaning], &[line(53, 0), line(60, 1)]);
    let told = states(&findings, "r", 0);
    let expected = [
        (53, "opened"),
        (54, "recovered"),
        (60, "opened"),
        (61, "recovered"),
    ];
    assert_eq!(told, expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 2048, ..ProptestConfig::default() })]

    // SEMANTICS 10, 11, 17
    #[test]
    fn different_values_count_as_in_a_walk_through_every_second(needs in needs(), times in times(), lines in lines()) {
        // The third kind has no value.
        let meaning: Meaning = |kind| Some((MATCH, [&["a"], &["b"], &[""]][usize::from(kind)]));
        let threshold = Threshold { needs, window: seconds(times.window as u64) };
        let distinct = Distinct { name: "user".into(), value: 0, threshold };
        let rule = Rule { values: vec!["user".into()], ..times.rule(Condition::Distinct(distinct)) };
        let findings = found(&set([rule]), &[meaning], &lines);
        for pod in 0..2 {
            let lines = of_pod(&lines, pod);
            let first = lines.first().map(|line| line.at);
            let different = |t: i64| {
                let kinds: BTreeSet<u8> = within(&lines, t, times.window).map(|line| line.kind).filter(|kind| *kind < 2).collect();
                kinds.len() as u64
            };
            let many = matches!(needs, Needs::AtLeast(_));
            let valued = |t: i64| lines.iter().any(|line| line.at == t && line.kind < 2);
            let truth = Truth {
                true_at: &|t| needs.met_by(different(t)) && (many || first.is_some_and(|first| t >= first + times.window)),
                looked_at: &valued,
                matched: &valued,
                many,
            };
            prop_assert_eq!(states(&findings, "r", pod), walk(&truth, times));
        }
    }

    // SEMANTICS 10, 11, 12
    #[test]
    fn a_share_is_that_of_a_walk_through_every_second(
        comparison in comparisons(), percent in percents(), min_count in 0u64..5, times in times(), lines in lines(),
    ) {
        let meaning: Meaning = |kind| Some((Parts(if kind == 0 { 0b11 } else { 0b10 }), &[]));
        let window = seconds(times.window as u64);
        let ratio = Ratio { comparison, percent: decimal(percent), window, total: None, min_count };
        let findings = found(&set([times.rule(Condition::Ratio(ratio))]), &[meaning], &lines);
        for pod in 0..2 {
            let lines = of_pod(&lines, pod);
            let first = lines.first().map(|line| line.at);
            let many = matches!(comparison, Comparison::AtLeast | Comparison::Above);
            let holds = |t: i64| {
                let total = within(&lines, t, times.window).count() as u64;
                let matches = within(&lines, t, times.window).filter(|line| line.kind == 0).count() as u64;
                total > 0 && total >= min_count && compares(comparison, matches * 100, percent * total)
            };
            let truth = Truth {
                true_at: &|t| holds(t) && (many || first.is_some_and(|first| t >= first + times.window)),
                looked_at: &|t| lines.iter().any(|line| line.at == t),
                matched: &|t| lines.iter().any(|line| line.at == t && line.kind == 0),
                many,
            };
            prop_assert_eq!(states(&findings, "r", pod), walk(&truth, times));
        }
    }

    // SEMANTICS 10, 11, 13
    #[test]
    fn a_spike_is_that_of_a_walk_through_every_second(
        comparison in comparisons(), factor in 0u64..4, past in 1i64..30, min_count in 0u64..4, times in times(), lines in lines(),
    ) {
        let meaning: Meaning = |kind| (kind == 0).then_some((MATCH, &[]));
        let past = past.max(times.window);
        let spike = Spike {
            comparison,
            factor: decimal(factor),
            window: seconds(times.window as u64),
            past: seconds(past as u64),
            min_count,
        };
        let findings = found(&set([times.rule(Condition::Spike(spike))]), &[meaning], &lines);
        let seen = lines.iter().map(|line| line.at).min().unwrap_or(0);
        for pod in 0..2 {
            let mut lines = of_pod(&lines, pod);
            lines.retain(|line| line.kind == 0);
            let first = lines.first().map(|line| line.at);
            let many = matches!(comparison, Comparison::AtLeast | Comparison::Above);
            let holds = |t: i64| {
                let now = within(&lines, t, times.window).count() as u64;
                let then = within(&lines, t - times.window, past).count() as u64;
                let enough = if many {
                    now >= min_count.max(1)
                } else {
                    then > 0 && then * times.window as u64 >= min_count * past as u64
                };
                t >= seen + times.window + past
                    && enough
                    && compares(comparison, now * past as u64, factor * then * times.window as u64)
            };
            let matched = |t: i64| lines.iter().any(|line| line.at == t);
            let truth = Truth {
                true_at: &|t| holds(t) && (many || first.is_some_and(|first| t >= first + times.window)),
                looked_at: &matched,
                matched: &matched,
                many,
            };
            prop_assert_eq!(states(&findings, "r", pod), walk(&truth, times));
        }
    }

    // SEMANTICS 27
    #[test]
    fn what_is_missing_is_missed_as_in_a_walk_through_every_second(
        span in 1i64..20, forget in prop::option::of(1i64..20), expected in any::<bool>(), cooldown in 0i64..20, lines in lines(),
    ) {
        let meaning: Meaning = |kind| (kind == 0).then_some((MATCH, &[]));
        let forget = forget.map(|more| span + more);
        let expect = if expected { vec![Key::from(["p1"])] } else { Vec::new() };
        let absent = Absent { span: seconds(span as u64), expect, forget: forget.map(|forget| seconds(forget as u64)) };
        let rule = Rule {
            recover: Recover::Condition,
            cooldown: seconds(cooldown as u64),
            ..rule("r", 1, 1, 1)
        };
        let findings = found(&set([Rule { condition: Condition::Absent(absent), ..rule }]), &[meaning], &lines);
        let start = lines.iter().map(|line| line.at).min().unwrap_or(0);
        for pod in 0..2 {
            let lines = of_pod(&lines, pod);
            let named = expected && pod == 1;
            let (mut armed, mut open, mut recovered) = (named.then_some(start), false, None);
            let mut told = Vec::new();
            for t in 0..=UNTIL {
                if lines.iter().any(|line| line.at == t && line.kind == 0) {
                    armed = Some(t);
                    if open {
                        (open, recovered) = (false, Some(t));
                        told.push((t, "recovered"));
                    }
                }
                let Some(last) = armed else { continue };
                if !open && t - last >= span {
                    open = true;
                    let again = recovered.is_some_and(|recovered| t < recovered + cooldown);
                    told.push((t, if again { "reopened" } else { "opened" }));
                }
                if !named && forget.is_some_and(|forget| t - last >= forget) {
                    armed = None;
                    if open {
                        (open, recovered) = (false, Some(t));
                        told.push((t, "recovered"));
                    }
                }
            }
            prop_assert_eq!(states(&findings, "r", pod), told);
        }
    }

    // SEMANTICS 28
    #[test]
    fn a_sequence_completes_as_in_a_search_through_all_choices(
        within_seconds in 1i64..25, counts in prop::collection::vec(1usize..3, 2..4), quiet in 1i64..20, cooldown in 0i64..20, lines in lines(),
    ) {
        // The first kind is the first step, the second all later ones, the third any.
        let meaning: Meaning = |kind| Some((Parts([0b001, 0b110, 0b111][usize::from(kind)]), &[]));
        let steps = counts.iter().map(|count| Step {
            matches: Match::default(),
            count: NonZeroU32::new(*count as u32).expect("from one"),
        });
        let sequence = Sequence { within: seconds(within_seconds as u64), steps: steps.collect(), absent: None };
        let rule = Rule {
            condition: Condition::Sequence(sequence),
            cooldown: seconds(cooldown as u64),
            ..rule("r", 1, 1, quiet as u64)
        };
        let findings = found(&set([rule]), &[meaning], &lines);
        let slots: Vec<usize> = counts.iter().enumerate().flat_map(|(step, count)| std::iter::repeat_n(step, *count)).collect();
        for pod in 0..2 {
            let lines = of_pod(&lines, pod);
            let mut completed = BTreeSet::new();
            let mut forgotten = i64::MIN;
            for t in 0..=UNTIL {
                let at_hand: Vec<Line> = lines.iter().copied().filter(|line| forgotten < line.at && line.at <= t).collect();
                if completes(&slots, &at_hand, t, within_seconds) {
                    completed.insert(t);
                    forgotten = t;
                }
            }
            let every = |t: i64| completed.contains(&t);
            let times = Times { window: 1, quiet, hold: 0, cooldown };
            let truth = Truth { true_at: &every, looked_at: &every, matched: &every, many: true };
            prop_assert_eq!(states(&findings, "r", pod), walk(&truth, times));
        }
    }

    // SEMANTICS 28
    #[test]
    fn what_begins_and_does_not_end_is_told_when_its_time_is_over(
        within_seconds in 1i64..25, cooldown in 0i64..20, lines in lines(),
    ) {
        // The third kind looks like a beginning too, but it is the end.
        let meaning: Meaning = |kind| [Some((Parts(0b01), &[][..])), None, Some((Parts(0b11), &[][..]))][usize::from(kind)];
        let step = Step { matches: Match::default(), count: NonZeroU32::MIN };
        let sequence = Sequence {
            within: seconds(within_seconds as u64),
            steps: vec![step],
            absent: Some(Box::default()),
        };
        let rule = Rule {
            condition: Condition::Sequence(sequence),
            recover: Recover::Condition,
            cooldown: seconds(cooldown as u64),
            ..rule("r", 1, 1, 1)
        };
        let findings = found(&set([rule]), &[meaning], &lines);
        for pod in 0..2 {
            let lines = of_pod(&lines, pod);
            let (mut starts, mut open, mut recovered) = (BTreeSet::new(), false, None);
            let mut told = Vec::new();
            for t in 0..=UNTIL {
                let came = |kind: u8| lines.iter().any(|line| line.at == t && line.kind == kind);
                if came(0) {
                    starts.insert(t);
                }
                if came(2) {
                    starts.clear();
                    if open {
                        (open, recovered) = (false, Some(t));
                        told.push((t, "recovered"));
                    }
                }
                if starts.remove(&(t - within_seconds)) && !open {
                    open = true;
                    let again = recovered.is_some_and(|recovered| t < recovered + cooldown);
                    told.push((t, if again { "reopened" } else { "opened" }));
                }
            }
            prop_assert_eq!(states(&findings, "r", pod), told);
        }
    }

    #[test]
    fn a_value_is_new_once_after_its_key_has_learned(learn in 0i64..40, quiet in 1i64..20, cooldown in 0i64..20, lines in lines()) {
        let meaning: Meaning = |kind| Some((MATCH, [&["a"], &["b"], &["c"]][usize::from(kind)]));
        let rule = Rule {
            condition: Condition::NewValue { learn: seconds(learn as u64) },
            values: vec!["image".into()],
            cooldown: seconds(cooldown as u64),
            ..rule("r", 1, 1, quiet as u64)
        };
        let findings = found(&set([rule]), &[meaning], &lines);
        for pod in 0..2 {
            let lines = of_pod(&lines, pod);
            let mut known = BTreeSet::new();
            let first = lines.first().map_or(0, |line| line.at);
            let new: BTreeSet<i64> = lines.iter().filter(|line| known.insert(line.kind) && line.at >= first + learn).map(|line| line.at).collect();
            let every = |t: i64| new.contains(&t);
            let times = Times { window: 1, quiet, hold: 0, cooldown };
            let truth = Truth { true_at: &every, looked_at: &every, matched: &every, many: true };
            prop_assert_eq!(states(&findings, "r", pod), walk(&truth, times));
        }
    }

    #[test]
    fn a_pattern_is_new_until_it_is_over_or_as_old_as_learning_takes(
        learn in 0i64..40, needed in 1u64..4, mut times in times(), lines in lines(),
    ) {
        times.hold = 0;
        let meaning: Meaning = |_| Some((MATCH, &[]));
        let threshold = Threshold {
            needs: Needs::AtLeast(needed.try_into().expect("from one")),
            window: seconds(times.window as u64),
        };
        let condition = Condition::NewPattern { learn: seconds(learn as u64), threshold };
        let findings = found(&set([times.rule(condition)]), &[meaning], &lines);
        for pod in 0..2 {
            let lines = of_pod(&lines, pod);
            let armed = lines.first().map_or(0, |line| line.at);
            let mut told = Vec::new();
            // By kind: when it came first, if it is new.
            let mut new: BTreeMap<u8, i64> = BTreeMap::new();
            let mut seen = BTreeSet::new();
            let mut counted: Vec<Line> = Vec::new();
            let (mut open, mut first_seen, mut quiet_from, mut recovered): (bool, i64, i64, Option<i64>) = (false, 0, 0, None);
            for t in 0..=UNTIL {
                let mut matched = false;
                for line in lines.iter().filter(|line| line.at == t) {
                    if seen.insert(line.kind) && t >= armed + learn {
                        new.insert(line.kind, t);
                    }
                    if new.get(&line.kind).is_some_and(|first| t >= first + learn && t > *first) {
                        new.remove(&line.kind);
                    }
                    if new.contains_key(&line.kind) {
                        counted.push(*line);
                        matched = true;
                    }
                }
                let most = (0..3).map(|kind| within(&counted, t, times.window).filter(|line| line.kind == kind).count()).max();
                let holds = most.unwrap_or(0) as u64 >= needed;
                if matched && holds {
                    quiet_from = t;
                    if !open {
                        open = true;
                        let again = recovered.is_some_and(|recovered| t < recovered + times.cooldown);
                        if !again {
                            first_seen = within(&counted, t, times.window).map(|line| line.at).min().unwrap_or(t);
                        }
                        told.push((t, if again { "reopened" } else { "opened" }));
                    }
                }
                if open && t - quiet_from >= times.quiet {
                    (open, recovered) = (false, Some(t));
                    told.push((t, "recovered"));
                    new.retain(|kind, _| !counted.iter().any(|line| line.kind == *kind && line.at >= first_seen));
                }
            }
            prop_assert_eq!(states(&findings, "r", pod), told);
        }
    }

    // SEMANTICS 29
    #[test]
    fn a_finding_of_findings_is_there_as_its_parts_are(
        within_seconds in 1i64..25, cooldown in 0i64..20, quiets in prop::array::uniform3(1i64..15),
        at_least in 0usize..3, none in any::<bool>(), lines in lines(),
    ) {
        let meanings: [Meaning; 3] = [
            |kind| (kind == 0).then_some((MATCH, &[])),
            |kind| (kind == 1).then_some((MATCH, &[])),
            |kind| (kind == 2).then_some((MATCH, &[])),
        ];
        let part = |id: &str, quiet: i64| Rule { cooldown: seconds(cooldown as u64), ..rule(id, 1, 1, quiet as u64) };
        let parts = [part("a", quiets[0]), part("b", quiets[1]), part("c", quiets[2])];
        let id = |id: &str| Part::Rule(id.to_owned());
        let correlate = Correlate {
            within: seconds(within_seconds as u64),
            all: if at_least == 0 { vec![id("a"), id("b")] } else { Vec::new() },
            any: if at_least == 0 { Vec::new() } else { vec![id("a"), id("b")] },
            none: if none { vec![id("c")] } else { Vec::new() },
            at_least,
            hides: false,
        };
        let above = Rule {
            condition: Condition::Correlate(correlate),
            recover: Recover::Condition,
            ..part("r", 1)
        };
        let alone = found(&set(parts.clone()), &meanings, &lines);
        let [a, b, c] = parts;
        let findings = found(&set([a, b, c, above]), &meanings, &lines);
        let needed = if at_least == 0 { 2 } else { at_least };
        for pod in 0..2 {
            let lines = of_pod(&lines, pod);
            // When each part opened last and whether it is open, from its own findings; told before anything is looked at.
            let changes: Vec<BTreeMap<i64, Vec<&str>>> = ["a", "b", "c"].iter().map(|id| {
                let mut by_second: BTreeMap<i64, Vec<&str>> = BTreeMap::new();
                for (t, state) in states(&alone, id, pod) {
                    by_second.entry(t).or_default().push(state);
                }
                by_second
            }).collect();
            let mut is_open = [false; 3];
            let mut last: [Option<i64>; 3] = [None; 3];
            let (mut open, mut recovered) = (false, None);
            let mut told = Vec::new();
            for t in 0..=UNTIL {
                let mut look = |is_open: &[bool; 3], last: &[Option<i64>; 3], due: &[bool; 3]| {
                    let there = |part: usize| is_open[part] && !due[part] && last[part].is_some_and(|last| t - last < within_seconds);
                    if open && (0..2).filter(|part| is_open[*part]).count() < needed {
                        (open, recovered) = (false, Some(t));
                        told.push((t, "recovered"));
                    } else if !open && recovered.is_none_or(|recovered| t > recovered)
                        && (0..2).filter(|part| there(*part)).count() >= needed && !(none && there(2)) {
                        open = true;
                        let again = recovered.is_some_and(|recovered| t < recovered + cooldown);
                        told.push((t, if again { "reopened" } else { "opened" }));
                    }
                };
                // Entries first: parts open and match.
                let mut changed = false;
                let mut due = [false; 3];
                for part in 0..3 {
                    let matched = lines.iter().any(|line| line.at == t && usize::from(line.kind) == part);
                    let here = changes[part].get(&t).map_or(&[][..], Vec::as_slice);
                    if here.iter().any(|state| *state != "recovered") {
                        is_open[part] = true;
                    }
                    if matched {
                        last[part] = Some(t);
                        changed = true;
                    }
                    due[part] = here.contains(&"recovered") && !matched;
                }
                if changed {
                    look(&is_open, &last, &due);
                }
                // Then what is over.
                let mut changed = false;
                for part in 0..3 {
                    if changes[part].get(&t).is_some_and(|states| states.contains(&"recovered")) {
                        is_open[part] = false;
                        changed = true;
                    }
                }
                if changed {
                    look(&is_open, &last, &[false; 3]);
                }
            }
            prop_assert_eq!(states(&findings, "r", pod), told);
        }
    }
}

/// Whether some choice of entries, one for each slot, is a sequence whose last entry is of second `t`.
fn completes(slots: &[usize], lines: &[Line], t: i64, within: i64) -> bool {
    fn search(
        slots: &[usize],
        lines: &[Line],
        used: &mut Vec<usize>,
        from: i64,
        t: i64,
        within: i64,
    ) -> bool {
        let Some((slot, rest)) = slots.split_first() else {
            return lines[*used.last().expect("there is a slot")].at == t;
        };
        let bit = (*slot).min(2);
        (0..lines.len()).any(|place| {
            let line = lines[place];
            let fits = match line.kind {
                0 => bit == 0,
                1 => bit > 0,
                _ => true,
            };
            if !fits || line.at < from || used.contains(&place) || t - line.at >= within {
                return false;
            }
            used.push(place);
            let found = search(rest, lines, used, line.at, t, within);
            used.pop();
            found
        })
    }
    search(slots, lines, &mut Vec::new(), i64::MIN, t, within)
}
