use std::collections::BTreeMap;

use expect_test::{Expect, expect};

use super::explain::explain_after;
use super::*;
use crate::batch::{EntryId, Labels, Stream};
use crate::config::RawConfig;
use crate::detect::{TapeRole, Taped};
use crate::recent::RecentLine;
use crate::record::Coverage;
use crate::rules::{LoadOptions, builtin, load};
use crate::time::Timestamp;

const RULES: &str = "rules:
- {id: refused, selector: app=api, match: connection refused, threshold: 3 in 1m, by: [app], incident_type: workload_failure}
- {id: denied, match: 'permission denied', incident_type: workload_failure}
";
const SECOND: i64 = 1_000_000_000;
const ALWAYS: GoOn<'static> = &|| true;

fn terms() -> Terms {
    let raw = RawConfig {
        builtin: Some(false),
        ..RawConfig::default()
    };
    Terms::of(&Config::check(raw).expect("nothing is wrong"))
}

fn rules() -> Arc<RuleSet> {
    let source = SourceText {
        name: "rules.yaml".to_owned(),
        text: RULES.to_owned(),
    };
    let loaded = load(&[source], &LoadOptions::default());
    Arc::new(loaded.set.expect("valid"))
}

fn stream(app: &str) -> Arc<Stream> {
    let labels = Labels::new([("app".into(), app.into())]);
    Arc::new(Stream::new(Arc::from(""), labels))
}

fn explained(app: &str, lines: &[&str], rule: Option<&str>) -> Explanation {
    let asked = Asked {
        stream: stream(app),
        lines: lines.iter().map(|line| (*line).to_owned()).collect(),
        rule: rule.map(str::to_owned),
    };
    explain(&rules(), &terms(), &asked, Timestamp::new(SECOND), ALWAYS).expect("there is time")
}

/// What is said of each line, and what opens.
#[track_caller]
fn check(app: &str, lines: &[&str], expected: Expect) {
    let explained = explained(app, lines, None);
    let mut told = String::new();
    for line in &explained.lines {
        told += &format!("{}\n", line.line);
        for of_rule in &line.rules {
            let standing = of_rule.told.standing.as_deref().unwrap_or_default();
            told += &format!("  {} {} {standing}\n", of_rule.told.outcome, of_rule.rule);
        }
        for near in &line.near {
            let value = near.value.as_deref().unwrap_or_default();
            told += &format!("  near {}: {} {value}\n", near.rule, near.reason);
        }
    }
    for event in &explained.findings {
        told += &format!("{} {} {}\n", event.kind, event.key, event.count);
    }
    expected.assert_eq(&told);
}

#[test]
fn lines_are_explained_by_all_rules_and_what_would_open_is_told() {
    let refused = "dial: connection refused";
    check(
        "api",
        &[
            refused,
            refused,
            refused,
            "all is well",
            "Permission Denied",
        ],
        expect![[r#"
            dial: connection refused
              match refused 1 of 3 in 1m
            dial: connection refused
              match refused 2 of 3 in 1m
            dial: connection refused
              match refused 3 of 3 in 1m
            all is well
            Permission Denied
              near denied: where `permission denied` stands in other letters: `ignore_case: true` would find it 
            observed refused{app=api} 3
        "#]],
    );
    check(
        "web",
        &[refused],
        expect![[r#"
        dial: connection refused
          near refused: would match, but the selector wants app="api" app is `web`
    "#]],
    );
}

/// Lines as they come: of each ten one that some rule that ships is for.
fn ordinary(rules: &RuleSet, count: usize) -> Vec<String> {
    let caught = rules.rules.iter().filter_map(|rule| rule.catches.first());
    let mut caught = caught.cycle();
    let line = |n: usize| match n % 10 {
        0 => caught.next().expect("some rule has an example").clone(),
        1..=4 => format!(
            "level=info msg=\"request done\" method=GET path=/carts/{n} status=200 took=12ms"
        ),
        5..=7 => format!(
            "{{\"level\":\"debug\",\"message\":\"cache warm\",\"entries\":{n},\"status\":304}}"
        ),
        8 => format!("2026-11-30T10:00:00Z worker {n} took the job, 3 are left"),
        _ => format!("level=error msg=\"cart {n} cannot be priced\" status=500"),
    };
    (0..count).map(line).collect()
}

fn shipped() -> Arc<RuleSet> {
    let loaded = load(&builtin(), &LoadOptions::default());
    Arc::new(loaded.set.expect("valid"))
}

#[test]
fn rules_that_a_line_has_nothing_for_are_not_asked_and_nobody_sees_a_difference() {
    let (rules, terms) = (shipped(), terms());
    let asked = Asked {
        stream: stream("api"),
        lines: ordinary(&rules, 30),
        rule: None,
    };
    let now = Timestamp::new(SECOND);
    let quick = explain(&rules, &terms, &asked, now, ALWAYS).expect("there is time");
    let whole = explain_after(None, &rules, &terms, &asked, now, ALWAYS).expect("there is time");
    let told = |explanation: &Explanation| serde_json::to_value(explanation).expect("JSON");
    assert_eq!(told(&quick), told(&whole));
    assert!(quick.lines.iter().any(|line| !line.rules.is_empty()));
    assert!(quick.lines.iter().any(|line| !line.near.is_empty()));
    assert_eq!(whole.questions, whole.rules * whole.lines.len());
}

#[test]
fn of_many_lines_few_questions_are_asked() {
    let rules = shipped();
    let asked = Asked {
        stream: stream("api"),
        lines: ordinary(&rules, 200),
        rule: None,
    };
    let explained = explain(&rules, &terms(), &asked, Timestamp::new(SECOND), ALWAYS);
    let explained = explained.expect("there is time");
    // Of each line some; without a glance they would be as many as lines times rules, some 16 000.
    assert!(explained.questions < 2000, "{}", explained.questions);
}

#[test]
fn of_one_rule_every_answer_is_given() {
    let explained = explained("web", &["all is well"], Some("refused"));
    assert_eq!((explained.rules, explained.lines.len()), (1, 1));
    let told = &explained.lines[0].rules[0].told;
    assert_eq!(told.outcome, "nothing");
    assert_eq!(told.unread.len(), 1);
    assert_eq!((told.parts.len(), told.parts[0].fulfilled), (1, false));
}

#[test]
fn who_has_no_time_gives_up() {
    let asked = Asked {
        stream: stream("api"),
        lines: vec!["x".to_owned()],
        rule: None,
    };
    let given_up = explain(&rules(), &terms(), &asked, Timestamp::new(0), &|| false);
    assert_eq!(given_up.expect_err("no time"), TooLong);
    let material = Material {
        matches: vec![taped("refused", 1, "api")],
        ..Material::default()
    };
    let rules = rules();
    let ids = ["refused".to_owned()];
    let given_up = backtest(
        &terms(),
        material,
        (&rules, "refused"),
        (&rules, &ids),
        Timestamp::new(SECOND),
        &|| false,
    );
    assert_eq!(given_up.expect_err("no time"), TooLong);
}

fn taped(rule: &str, second: i64, app: &str) -> Taped {
    Taped {
        rule: Arc::from(rule),
        role: TapeRole::Match,
        at: Timestamp::new(second * SECOND),
        tenant: Arc::from(""),
        labels: BTreeMap::from([("app".to_owned(), app.to_owned())]),
        line: format!("dial {second}: connection refused"),
        entry: EntryId(second.cast_unsigned()),
    }
}

fn played(text: &str, material: Material) -> Backtest {
    let terms = terms();
    let written = with_text(&terms, text).expect("valid");
    backtest(
        &terms,
        material,
        (&rules(), "refused"),
        (&written.rules, &written.ids),
        Timestamp::new(4000 * SECOND),
        ALWAYS,
    )
    .expect("there is time")
}

#[test]
fn a_changed_threshold_opens_what_the_rule_in_use_does_not() {
    // Two pairs of matches, far apart: three in a minute never come.
    let seconds = [10, 20, 1500, 1510];
    let mut matches: Vec<_> = seconds.map(|second| taped("refused", second, "api")).into();
    // What another rule matched too is one entry.
    matches.push(taped("other", 10, "api"));
    let material = Material {
        matches,
        coverage: Coverage {
            matches: 9,
            recorded: 4,
            since: Some(Timestamp::new(0)),
            cut_minutes: 1,
        },
        is_whole: true,
        recent: Vec::new(),
    };
    let changed = RULES.replace("3 in 1m", "2 in 1m");
    let played = played(&changed, material.clone());
    assert_eq!((played.lines, played.recent), (4, 0));
    let side = |side: &Side| (side.matches, side.opened, side.recovered);
    assert_eq!(side(&played.before), (4, 0, 0));
    assert_eq!(side(&played.after), (4, 2, 2));
    let kinds: Vec<_> = played.after.events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, ["observed", "recovered", "observed", "recovered"]);
    let notes = played.notes.join("\n");
    assert!(notes.contains("4 of 9 matches"), "{notes}");
    assert!(notes.contains("in 1 minutes more matched"), "{notes}");
    // The same rule opens the same on both sides.
    let same = self::played(RULES, material);
    assert_eq!(same.before.events, same.after.events);
}

#[test]
fn a_wider_selector_finds_what_other_rules_matched_and_what_came_lately() {
    let recent = |second: i64| RecentLine {
        at: Timestamp::new(second * SECOND),
        tenant: Arc::from(""),
        labels: Labels::new([("app".into(), "web".into())]),
        line: format!("lately {second}: connection refused"),
        entry: EntryId(second.cast_unsigned()),
    };
    let material = Material {
        matches: vec![taped("other", 10, "web")],
        recent: vec![recent(11), recent(12), recent(9999)],
        coverage: Coverage::default(),
        is_whole: true,
    };
    let wider = RULES.replace("selector: app=api, ", "");
    let played = played(&wider, material);
    // What has not come yet is left out.
    assert_eq!((played.lines, played.recent), (1, 2));
    assert_eq!((played.before.opened, played.after.opened), (0, 1));
}

#[test]
fn a_text_that_is_wrong_is_told_with_its_place() {
    let wrong = with_text(&terms(), "rules:\n- {id: x, match: a, treshold: 3 in 1m}\n");
    let problems = wrong.expect_err("wrong");
    let problem = &problems[0];
    assert_eq!((&*problem.file, problem.line), (TEXT, 2), "{problems:?}");
    assert!(problem.column > 1);
}

#[test]
fn a_rule_is_cut_out_of_its_file_with_the_defaults() {
    let text = "# A comment.\ndefaults:\n  owner: platform\nrules:\n  - id: a\n    match: x\n\n  # About b.\n  - id: b\n    match:\n      - y\n  - id: c\n    match: z\n";
    let expected = "defaults:\n  owner: platform\nrules:\n  - id: b\n    match:\n      - y\n";
    assert_eq!(block(text, 9).as_deref(), Some(expected));
    assert_eq!(block(text, 10).as_deref(), Some(expected));
    assert_eq!(block(text, 99), None);
    let flow = "rules:\n- {id: a, match: x}\n- {id: b, match: y}\n";
    assert_eq!(
        block(flow, 2).as_deref(),
        Some("rules:\n- {id: a, match: x}\n")
    );
}
