//! A silence is a window of `suppress` that a rule does not have: the same findings, byte for byte.

use super::*;
use crate::finding::Reason;
use crate::silence::{FindingKey, Only, SILENCES_MAX, Scope, Silence, SilenceError};

fn silence(scope: Scope, from: i64, until: i64) -> Silence {
    Silence {
        id: format!("{from:08}{until:08}"),
        scope,
        from: at(from),
        until: at(until),
        who: "ann".to_owned(),
        reason: "moving house".to_owned(),
        ended_by: None,
    }
}

fn of_rule(matchers: Option<&str>) -> Scope {
    Scope {
        rule: "r".to_owned(),
        only: matchers.map(|it| Only::Matchers(it.to_owned())),
    }
}

fn of_key_of(finding: &Finding) -> Scope {
    Scope {
        only: Some(Only::Key(FindingKey {
            finding_key: finding.finding_key.clone(),
            dedupe_key: finding.dedupe_key.clone(),
        })),
        ..of_rule(None)
    }
}

fn noisy() -> Rule {
    Rule {
        cooldown: seconds(100),
        ..rule("r", 1, 60, 300)
    }
}

/// Everything that is told of `entries`, one batch each; before the first of `cut` or later, the silence that has been made is ended then.
fn told(rule: Rule, silence: Option<Silence>, entries: &[Entry], cut: Option<i64>) -> String {
    let mut detector = detector(Settings::replay(origin()), &set([rule]));
    let id = silence.as_ref().map(|it| it.id.clone());
    if let Some(silence) = silence {
        detector.add_silence(silence).expect("there is room");
    }
    let mut cut = cut.zip(id);
    for entry in entries {
        if let Some((cut, id)) = cut.take_if(|(cut, _)| entry.at >= *cut) {
            let ended = detector.end_silence(&id, at(cut), "ben");
            assert_eq!(ended.expect("it goes on").until, at(cut));
        }
        detector.apply(scanned(&[*entry]), at(1_000_000));
    }
    detector.finish(at(10_000));
    let changes = detector.take_changes();
    format!("{:#?}", changes.findings())
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let entry = (0..2000i64, 1..3u8, any::<bool>());
    prop::collection::vec(entry, 1..40).prop_map(|mut all| {
        all.sort_unstable();
        let all = all.into_iter().enumerate();
        all.map(|(n, (at, pod, is_hit))| match is_hit {
            true => hit(at, pod, n as u8),
            false => other(at, pod),
        })
        .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_told_is_as_with_a_window_of_the_rule(
        entries in entries(),
        from in 0..2000i64,
        lasts in 1..1500i64,
        cut in prop::option::of(1..1500i64),
    ) {
        let cut = cut.filter(|cut| *cut < lasts).map(|cut| from + cut);
        // A silence that nothing comes after is never ended here.
        let cut = cut.filter(|cut| entries.iter().any(|entry| entry.at >= *cut));
        let until = cut.unwrap_or(from + lasts);
        let window = format!("{}/{}", at(from), at(until)).parse().expect("a window");
        let with_window = Rule { suppress: vec![window], ..noisy() };
        let silence = silence(of_rule(None), from, from + lasts);
        prop_assert_eq!(
            told(noisy(), Some(silence), &entries, cut),
            told(with_window, None, &entries, None)
        );
    }
}

#[test]
fn it_is_about_what_it_says_and_nothing_else() {
    let mut first = detector(Settings::replay(origin()), &set([noisy()]));
    first.apply(scanned(&[hit(0, 1, 0), hit(0, 2, 0)]), at(0));
    let found = first.take_changes().findings();
    let id = |place: usize| Some(found[place].finding_id.clone());
    for (scope, silent) in [
        (of_rule(None), [true, true]),
        (of_rule(Some("pod=p1")), [true, false]),
        (
            of_rule(Some("{pod=~\"p[23]\", cluster=\"c\"}")),
            [false, true],
        ),
        (of_rule(Some("cluster=elsewhere")), [false, false]),
        (of_rule(Some("pod!=p1, absent=\"\"")), [false, true]),
        (
            Scope {
                rule: "other".to_owned(),
                ..of_rule(None)
            },
            [false, false],
        ),
        (of_key_of(&found[1]), [false, true]),
    ] {
        let mut detector = detector(Settings::replay(origin()), &set([noisy()]));
        let silence = silence(scope.clone(), 0, 60);
        detector.add_silence(silence).expect("there is room");
        detector.apply(scanned(&[hit(0, 1, 0), hit(0, 2, 0)]), at(0));
        // Other rules, the same words: what is silent stays so.
        detector.set_rules(set([noisy()]));
        let heard: Vec<_> = detector.take_changes().findings();
        let heard = [0, 1].map(|place| {
            heard
                .iter()
                .any(|it| Some(&it.finding_id) == id(place).as_ref())
        });
        assert_eq!(heard.map(|heard| !heard), silent, "{scope}");
        detector.finish(at(100));
        let late = detector.take_changes().findings();
        for finding in &late {
            assert_eq!(
                (finding.reason, finding.counts.suppressed),
                (Reason::WindowEnded, 1)
            );
            assert_eq!(finding.time, at(60), "{scope}");
        }
        assert_eq!(
            late.len(),
            silent.iter().filter(|it| **it).count(),
            "{scope}"
        );
    }
}

#[test]
fn the_next_finding_of_a_silent_key_is_as_silent() {
    let mut detector = detector(Settings::replay(origin()), &set([noisy()]));
    detector.apply(scanned(&[hit(0, 1, 0)]), at(0));
    let found = detector.take_changes().findings();
    let made = silence(of_key_of(&found[0]), 100, 2000);
    detector.add_silence(made).expect("there is room");
    // It recovers, and another opens under the same key, and one under another.
    detector.apply(scanned(&[other(500, 1)]), at(500));
    detector.apply(scanned(&[hit(1000, 1, 1), hit(1000, 2, 1)]), at(1000));
    let heard = detector.take_changes().findings();
    let keys: Vec<_> = heard.iter().map(|it| &*it.dedupe_key).collect();
    assert_eq!(keys, ["r{pod=p2}"]);
    detector.apply(scanned(&[hit(1999, 1, 2), hit(2001, 1, 3)]), at(2001));
    let told = detector.take_changes().findings().into_iter();
    let told: Vec<_> = told
        .filter(|it| it.dedupe_key == found[0].dedupe_key)
        .map(|it| (it.time, it.reason, it.finding_id == found[0].finding_id))
        .collect();
    // The end of the first, which was announced, and the beginning of the second.
    assert_eq!(
        told,
        [
            (at(300), Reason::WindowEnded, true),
            (at(2000), Reason::WindowEnded, false),
        ]
    );
}

#[test]
fn where_the_log_is_ahead_what_was_held_back_is_told_when_the_silence_is_ended() {
    let settings = Settings {
        late_by: seconds(10),
        ..Settings::replay(origin())
    };
    let mut detector = detector(settings, &set([noisy()]));
    let made = silence(of_rule(None), 0, 1000);
    let id = made.id.clone();
    detector.add_silence(made).expect("there is room");
    // It is 100 o'clock, and the log is 400 seconds ahead: one finding is from before, the other from after.
    detector.apply(scanned(&[hit(50, 1, 0), hit(500, 2, 1)]), at(100));
    assert_eq!(detector.take_changes().findings(), []);
    let told = |detector: &mut Detector| -> Vec<_> {
        let findings = detector.take_changes().findings().into_iter();
        findings
            .map(|it| (it.observed_at, it.time, it.reason))
            .collect()
    };
    detector
        .end_silence(&id, at(100), "ben")
        .expect("it goes on");
    let late = (at(500), at(500), Reason::WindowEnded);
    assert_eq!(told(&mut detector), [late]);
    // The other waits for entries that come late, as at any end of a window.
    detector.tick(at(110));
    assert_eq!(told(&mut detector), []);
    detector.tick(at(111));
    let early = (at(50), at(100), Reason::WindowEnded);
    assert_eq!(told(&mut detector), [early]);
}

#[test]
fn a_thousand_go_on_at_once_and_one_that_is_over_makes_room() {
    let mut detector = detector(Settings::replay(origin()), &set([noisy()]));
    for n in 0..SILENCES_MAX as i64 {
        let made = detector.add_silence(silence(of_rule(None), n, 5000 + n));
        assert_eq!(made, Ok(None));
    }
    let more =
        |detector: &mut Detector, from| detector.add_silence(silence(of_rule(None), from, 9999));
    assert_eq!(more(&mut detector, 4999), Err(SilenceError::Full));
    assert_eq!(
        more(&mut detector, 5000),
        Ok(Some("0000000000005000".to_owned()))
    );
    assert_eq!(detector.silences().count(), SILENCES_MAX);

    let ended = detector.end_silence("0000000100005001", at(5000), "ben");
    assert_eq!(ended.expect("it goes on").ended_by.as_deref(), Some("ben"));
    for (id, now) in [
        ("0000000100005001", 5000),
        ("0000000200005002", 5002),
        ("none", 0),
    ] {
        let again = detector.end_silence(id, at(now), "ben");
        assert_eq!(again, Err(SilenceError::Unknown(id.to_owned())));
    }
    assert_eq!(detector.forget_silences(at(5001)), ["0000000100005001"]);
    assert_eq!(detector.silences().count(), SILENCES_MAX - 1);
}
