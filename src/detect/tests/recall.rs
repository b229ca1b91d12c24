//! What a detector without state makes of findings that were told before, and when findings say that something was not seen.

use super::*;
use crate::finding::{Coverage, Reason};

fn live() -> Settings {
    Settings {
        late_by: Duration::ZERO,
        max_age: None,
        ..Settings::live(origin())
    }
}

/// What was told of a match at 0.
fn told(rule: &Rule) -> Vec<Finding> {
    let mut before = detector(live(), &set([rule.clone()]));
    before.apply(scanned(&[hit(0, 1, 0)]), at(0));
    let findings = before.take_changes().findings();
    assert_eq!(findings.len(), 1);
    findings
}

fn coverages(findings: &[Finding]) -> Vec<Coverage> {
    let of = findings.iter().map(|finding| finding.detector.coverage);
    of.collect()
}

#[test]
fn entries_that_were_shed_are_a_gap_of_the_windows_they_fall_into_and_of_no_other() {
    let mut detector = detector(live(), &set([rule("r", 1, 60, 250)]));
    detector.apply(scanned(&[hit(0, 1, 0)]), at(0));
    detector.lose(at(100), at(110));
    for second in [105, 169, 171] {
        detector.apply(scanned(&[hit(second, second as u8, 0)]), at(second));
    }
    // Of the first one, something was not seen since its last message; of the last one, nothing.
    detector.apply(scanned(&[other(430, 9)]), at(430));
    let found = detector.take_changes().findings();
    expect![[r#"
        0 observed r{pod=p1} Opened window=1 total=1 seen=0..0 flaps=0 evidence=[0]
        105 observed r{pod=p105} Opened window=1 total=1 seen=105..105 flaps=0 evidence=[105]
        169 observed r{pod=p169} Opened window=1 total=1 seen=169..169 flaps=0 evidence=[169]
        171 observed r{pod=p171} Opened window=1 total=1 seen=171..171 flaps=0 evidence=[171]
        250 recovered r{pod=p1} Silent window=0 total=1 seen=0..0 flaps=0 evidence=[0]
        355 recovered r{pod=p105} Silent window=0 total=1 seen=105..105 flaps=0 evidence=[105]
        419 recovered r{pod=p169} Silent window=0 total=1 seen=169..169 flaps=0 evidence=[169]
        421 recovered r{pod=p171} Silent window=0 total=1 seen=171..171 flaps=0 evidence=[171]
    "#]]
    .assert_eq(&printed(&found));
    use Coverage::{Complete, Gap};
    assert_eq!(
        coverages(&found),
        [Complete, Gap, Gap, Complete, Gap, Gap, Complete, Complete]
    );
}

#[test]
fn what_was_shed_before_a_tenants_first_entry_is_a_gap_of_its_windows_too() {
    let mut detector = detector(live(), &set([rule("r", 1, 60, 250)]));
    detector.lose(at(90), at(100));
    detector.lose(at(100), at(110));
    for second in [105, 169, 171] {
        detector.apply(scanned(&[hit(second, second as u8, 0)]), at(second));
    }
    use Coverage::{Complete, Gap};
    assert_eq!(
        coverages(&detector.take_changes().findings()),
        [Gap, Gap, Complete]
    );
}

#[test]
fn a_recalled_finding_goes_on_and_quiet_that_nobody_saw_does_not_end_it() {
    let rule = rule("r", 1, 60, 250);
    let told = told(&rule);
    let mut detector = detector(live(), &set([rule]));
    assert_eq!(detector.recall(told.clone(), at(2000)), 0);
    detector.apply(scanned(&[hit(2001, 1, 1), hit(2001, 2, 0)]), at(2001));
    detector.apply(scanned(&[other(2252, 9)]), at(2252));
    let changes = detector.take_changes();
    assert_eq!(changes.recalled, told);
    let found = changes.findings();
    expect![[r#"
        2001 updated r{pod=p1} StillMatching window=1 total=2 seen=0..2001 flaps=0 evidence=[0, 2001]
        2001 observed r{pod=p2} Opened window=1 total=1 seen=2001..2001 flaps=0 evidence=[2001]
        2251 recovered r{pod=p1} Silent window=0 total=2 seen=0..2001 flaps=0 evidence=[0, 2001]
        2251 recovered r{pod=p2} Silent window=0 total=1 seen=2001..2001 flaps=0 evidence=[2001]
    "#]]
    .assert_eq(&printed(&found));
    assert_eq!(found[0].finding_id, told[0].finding_id);
    assert_eq!(found[0].revision, 2);
    // From a window after the start on, everything was seen.
    use Coverage::{Complete, Gap};
    assert_eq!(coverages(&found), [Gap, Gap, Complete, Complete]);
}

#[test]
fn without_a_match_a_recalled_finding_recovers_once_its_quiet_was_seen() {
    let rule = rule("r", 1, 60, 250);
    let mut detector = detector(live(), &set([rule.clone()]));
    detector.recall(told(&rule), at(2000));
    detector.apply(scanned(&[other(2001, 9), other(2250, 9)]), at(2250));
    assert!(detector.take_changes().findings().is_empty());
    detector.apply(scanned(&[other(2251, 9)]), at(2251));
    let found = detector.take_changes().findings();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].state, found[0].revision), (State::Recovered, 2));
    assert_eq!(coverages(&found), [Coverage::Gap]);
}

#[test]
fn a_recalled_finding_survives_the_next_restart() {
    let rule = rule("r", 1, 60, 250);
    let rules = set([rule.clone()]);
    let mut detector = detector(live(), &rules);
    detector.recall(told(&rule), at(2000));
    let mut detector = restarted(&live(), &rules, &detector.take_changes());
    detector.apply(scanned(&[other(2001, 9), other(2251, 9)]), at(2251));
    let found = detector.take_changes().findings();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].state, found[0].revision), (State::Recovered, 2));
}

#[test]
fn recalled_findings_of_rules_that_are_gone_or_are_by_something_else_end() {
    let rule = rule("r", 1, 60, 250);
    let told = told(&rule);
    let otherwise = Rule {
        by: vec!["node".into()],
        ..rule
    };
    for rules in [set([]), set([otherwise])] {
        let mut detector = detector(live(), &rules);
        assert_eq!(detector.recall(told.clone(), at(2000)), 0);
        let found = detector.take_changes().findings();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].reason, Reason::RuleRemoved);
        assert_eq!(found[0].finding_id, told[0].finding_id);
        assert_eq!(found[0].finding_key, told[0].finding_key);
    }
}

#[test]
fn one_shot_events_that_are_over_and_findings_of_elsewhere_are_not_recalled() {
    let once = Rule {
        recover: Recover::Never,
        cooldown: seconds(100),
        ..rule("r", 1, 60, 250)
    };
    for (now, open) in [(99, true), (100, false)] {
        let mut detector = detector(live(), &set([once.clone()]));
        assert_eq!(detector.recall(told(&once), at(now)), 0);
        assert_eq!(detector.has_open(RuleIndex(0)), open);
        assert!(detector.take_changes().findings().is_empty());
    }
    let elsewhere = Settings {
        origin: Origin {
            cluster: "elsewhere".into(),
            ..origin()
        },
        ..live()
    };
    let mut detector = detector(elsewhere, &set([once.clone()]));
    assert_eq!(detector.recall(told(&once), at(50)), 1);
    assert!(!detector.has_open(RuleIndex(0)));
}
