//! What goes where memory is short, and what does not.

use super::*;

fn bounded(keys_bytes_max: usize) -> Settings {
    Settings {
        keys_bytes_max,
        ..Settings::replay(origin())
    }
}

/// The entries as hits of the set's second rule.
fn of_second(entries: &[Entry]) -> Scanned {
    let mut scanned = scanned(entries);
    for hit in &mut scanned.hits {
        hit.rule = RuleIndex(1);
    }
    scanned
}

#[test]
fn a_rule_with_many_keys_costs_itself_its_memory() {
    let rules = set([rule("many", 2, 60, 600), rule("few", 2, 60, 600)]);
    let mut detector = detector(bounded(64 << 10), &rules);
    detector.apply(of_second(&[hit(0, 1, 0)]), at(0));
    for pod in 0..=255 {
        detector.apply(scanned(&[hit(1 + i64::from(pod) / 10, pod, 0)]), at(100));
        assert!(detector.sizes().keys_bytes <= 64 << 10);
    }
    detector.apply(of_second(&[hit(30, 1, 1)]), at(100));
    detector.take_changes().findings().iter().for_each(|found| {
        assert_eq!(found.rule.id, "few");
    });
    assert!(detector.has_open(RuleIndex(1)));
    let evicted = detector.take_tally().keys_evicted;
    assert_eq!(
        evicted.keys().map(|rule| &**rule).collect::<Vec<_>>(),
        ["many"]
    );
    assert!(evicted["many"] > 150, "{evicted:?}");
}

#[test]
fn what_is_open_stays_and_what_finds_no_room_is_counted() {
    let rules = set([rule("r", 1, 60, 600)]);
    let mut detector = detector(bounded(64 << 10), &rules);
    let mut told = 0;
    for pod in 0..100 {
        detector.apply(scanned(&[hit(0, pod, 0)]), at(100));
        told += detector.take_changes().findings().len() as u64;
    }
    let (sizes, tally) = (detector.sizes(), detector.take_tally());
    assert_eq!(sizes.keys as u64, told);
    assert!((20..60).contains(&told), "{told}");
    assert_eq!(tally.keys_refused.values().sum::<u64>(), 100 - told);
    assert_eq!(tally.keys_evicted, BTreeMap::new());
    // The last one found room for a key, and opened beyond it.
    assert!(sizes.keys_bytes < 74 << 10, "{sizes:?}");

    detector.finish(at(5000));
    assert_eq!(
        detector.take_changes().findings().len() as u64,
        told,
        "each recovers"
    );
}

#[test]
fn an_open_finding_without_room_counts_at_least_and_goes_on_as_any_other() {
    let rules = set([rule("r", 5, 3600, 600)]);
    let last = |keys_bytes_max| {
        let mut detector = detector(bounded(keys_bytes_max), &rules);
        let mut most = 0;
        for first in (0..1000).step_by(50) {
            let entries: Vec<_> = (first..first + 50).map(|n| hit(n, 1, 0)).collect();
            detector.apply(scanned(&entries), at(5000));
            detector.take_changes();
            most = most.max(detector.sizes().keys_bytes);
        }
        detector.finish(at(5000));
        let last = detector.take_changes().findings().pop();
        (
            last.expect("it recovers"),
            most,
            detector.take_tally().keys_cut.into_values().sum::<u64>(),
        )
    };
    let (roomy, took, cut) = last(1 << 20);
    assert_eq!((roomy.counts.total, cut), (1000, 0));
    let (tight, most, cut) = last(4 << 10);
    assert!(cut > 0);
    assert!(most + 6000 < took, "{most} instead of {took}");
    assert_eq!(
        (tight.counts.total, tight.recovered_at, tight.finding_id),
        (roomy.counts.total, roomy.recovered_at, roomy.finding_id)
    );
}

#[test]
fn a_lower_bound_after_a_restart_forgets_what_is_idle() {
    let rules = set([rule("r", 2, 600, 600)]);
    let mut first = detector(bounded(1 << 20), &rules);
    for pod in 0..=255 {
        first.apply(scanned(&[hit(0, pod, 0)]), at(100));
    }
    first.apply(scanned(&[hit(1, 7, 1)]), at(100));
    let changes = first.take_changes();
    assert_eq!((first.sizes().keys, changes.findings().len()), (256, 1));

    let mut again = restarted(&bounded(32 << 10), &rules, &changes);
    let sizes = again.sizes();
    assert!(sizes.keys_bytes <= 32 << 10 && sizes.keys > 10, "{sizes:?}");
    assert!(again.has_open(RuleIndex(0)));
    again.finish(at(5000));
    assert_eq!(again.take_changes().findings().len(), 1);
}
