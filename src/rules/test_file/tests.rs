//! Files of tests: what they say, what is wrong with them, and what an update leaves alone.

use std::fs;
use std::path::{Path, PathBuf};

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::batch::Labels;
use crate::rules::{LoadOptions, load, report};
use crate::time::format_duration;

fn source(text: &str) -> SourceText {
    SourceText {
        name: "rules_test.yaml".to_owned(),
        text: text.to_owned(),
    }
}

/// Reads a file that must be valid.
#[track_caller]
fn file(text: &str) -> TestFile {
    let source = source(text);
    let TestsRead { file, problems } = TestFile::read(&source);
    file.unwrap_or_else(|| panic!("{}", report::text(&problems, &[source], false)))
}

/// The lines of a test with the labels `app=shop, team=a`, one to a line.
#[track_caller]
fn check_logs(logs: &str, expected: &Expect) {
    let indented: String = logs.lines().map(|line| format!("      {line}\n")).collect();
    let text = format!(
        "rules: [a.yaml]\ntests:\n  - name: n\n    labels: {{app: shop, team: a}}\n    logs: |2\n{indented}    expect: []\n"
    );
    let text = text.replace("|2", "|");
    let file = file(&text);
    let shown = file.tests[0].lines.iter().map(|line| {
        let times = line.times().map(|(at, arrives)| {
            if at == arrives {
                return format_duration(at);
            }
            format!("{}@{}", format_duration(at), format_duration(arrives))
        });
        let times: Vec<_> = times.collect();
        format!("{} {} {:?}\n", times.join(" "), line.labels, line.text)
    });
    expected.assert_eq(&shown.collect::<String>());
}

/// SEMANTICS 42 and 43.
#[test]
fn a_line_has_a_time_perhaps_an_arrival_a_repetition_and_labels_and_the_rest_is_text() {
    check_logs(
        "# a comment
0 text

  0m   text after blanks
90s text
1h30m +30s x3 again
4m@20m late
0m@9m +1m x2 held back
5m@5m on time
4m +1m no repetition
5m {} +1m x5 guarded
6m a # is no comment",
        &expect![[r#"
            0s {app="shop", team="a"} "text"
            0s {app="shop", team="a"} "text after blanks"
            1m30s {app="shop", team="a"} "text"
            1h30m 1h30m30s 1h31m {app="shop", team="a"} "again"
            4m@20m {app="shop", team="a"} "late"
            0s@9m 1m@9m {app="shop", team="a"} "held back"
            5m {app="shop", team="a"} "on time"
            4m {app="shop", team="a"} "+1m no repetition"
            5m {app="shop", team="a"} "+1m x5 guarded"
            6m {app="shop", team="a"} "a # is no comment"
        "#]],
    );
}

/// SEMANTICS 43 and 46.
#[test]
fn labels_of_a_line_go_over_those_of_the_test_and_an_empty_value_takes_one_away() {
    check_logs(
        r#"0m {app=web} text
0m {app="w \"e\" b", zone=b}    aligned
0m { app = web , team = "" } blanks
0m {team=} text
0m +1m x2 {app=web} both
0m {app=web} {app=api} the second is text
0m {app=web} {} so is this"#,
        &expect![[r#"
            0s {app="web", team="a"} "text"
            0s {app="w \"e\" b", team="a", zone="b"} "aligned"
            0s {app="web"} "blanks"
            0s {app="shop"} "text"
            0s 1m {app="web", team="a"} "both"
            0s {app="web", team="a"} "{app=api} the second is text"
            0s {app="web", team="a"} "{} so is this"
        "#]],
    );
}

/// SEMANTICS 43.
#[test]
fn what_is_no_label_set_is_text_to_its_end_and_braces_alone_guard_it() {
    check_logs(
        "0m {\"level\":\"error\",\"app\":\"web\"}
0m {}
0m {} {app=web} text
0m {}    four blanks, of which one belongs to the guard
0m {} \n0m {app=two words} text
0m {app=web}
0m {app=web}text
0m {app} text
0m {1=2} text",
        &expect![[r#"
            0s {app="shop", team="a"} "{\"level\":\"error\",\"app\":\"web\"}"
            0s {app="shop", team="a"} "{}"
            0s {app="shop", team="a"} "{app=web} text"
            0s {app="shop", team="a"} "   four blanks, of which one belongs to the guard"
            0s {app="shop", team="a"} ""
            0s {app="shop", team="a"} "{app=two words} text"
            0s {app="shop", team="a"} "{app=web}"
            0s {app="shop", team="a"} "{app=web}text"
            0s {app="shop", team="a"} "{app} text"
            0s {app="shop", team="a"} "{1=2} text"
        "#]],
    );
}

/// SEMANTICS 44 and 45.
#[test]
fn a_test_ends_with_its_last_line_and_begins_with_the_year_unless_it_says_otherwise() {
    let text = "rules: [a.yaml]
tests:
  - {name: bare, logs: '0m +1m x5 x', expect: []}
  - {name: late, logs: '0m@7m x', expect: []}
  - {name: silent, logs: '', expect: []}
  - {name: all, logs: '0m x', until: 1h, start: 2026-03-29T00:30:00+01:00, only: a, environment: demo, expect: []}
";
    let shown = file(text).tests.into_iter().map(|test| {
        let until = format_duration(test.until);
        let only: Vec<_> = test.only.iter().map(|only| &*only.id).collect();
        format!(
            "{} {} {until} {} {only:?} {:?}\n",
            test.line, test.name, test.start, test.environment
        )
    });
    expect![[r#"
        3 bare 4m 2026-01-01T00:00:00Z [] ""
        4 late 7m 2026-01-01T00:00:00Z [] ""
        5 silent 0s 2026-01-01T00:00:00Z [] ""
        6 all 1h 2026-03-28T23:30:00Z ["a"] "demo"
    "#]]
    .assert_eq(&shown.collect::<String>());
}

/// SEMANTICS 44.
#[test]
fn a_message_is_time_state_rule_and_values_in_quotes_where_they_need_them() {
    let message = |text: &str| ExpectedMessage::parse(text).expect("a message");
    let read = message(
        r#"  1h30m  recovered a_1  reason=quiet  summary="a \"b\" = \\ c" pod= by.name=x=y "#,
    );
    assert_eq!(read.at, Duration::from_secs(5400));
    assert_eq!((read.state, &*read.rule), (MessageState::Recovered, "a_1"));
    let values = [
        ("reason", "quiet"),
        ("summary", r#"a "b" = \ c"#),
        ("pod", ""),
        ("by.name", "x=y"),
    ];
    assert_eq!(
        read.values,
        values.map(|(key, value)| (key.to_owned(), value.to_owned()))
    );
    assert_eq!(
        read.to_string(),
        r#"1h30m recovered a_1 reason=quiet summary="a \"b\" = \\ c" pod="" by.name=x=y"#
    );
    assert_eq!(message("0 observed a").values, []);
}

#[test]
fn a_file_is_checked_against_its_rules() {
    let rules = "rules:
  - {id: ldap_down, match: a text, by: [namespace, http.status], incident_type: workload_failure}
";
    let set = load(&[source(rules)], &LoadOptions::default())
        .set
        .expect("valid");
    let source = source(
        "rules: [a.yaml]
tests:
  - name: n
    logs: 0m x
    only: [ldap_down, ldap_dawn, x]
    expect:
      - 0m observed ldap_down severity=warning namespace=a http.status=500 revision=1
      - 0m observed ldap_down severty=warning pod=x
      - 0m observed ldap_dawn pod=x
",
    );
    let file = TestFile::read(&source).file.expect("valid");
    let problems = file.check(&source, &set);
    expect![[r#"
        error[R016]: there is no rule `ldap_dawn` in the files under `rules`
         --> rules_test.yaml:5:23
          |
        5 |     only: [ldap_down, ldap_dawn, x]
          |                       ^^^^^^^^^
          |
          = help: did you mean `ldap_down`?

        error[R016]: there is no rule `x` in the files under `rules`
         --> rules_test.yaml:5:34
          |
        5 |     only: [ldap_down, ldap_dawn, x]
          |                                  ^

        error[R102]: messages of `ldap_down` have no `severty`
         --> rules_test.yaml:8:31
          |
        8 |       - 0m observed ldap_down severty=warning pod=x
          |                               ^^^^^^^
          |
          = help: did you mean `severity`?

        error[R102]: messages of `ldap_down` have no `pod`
         --> rules_test.yaml:8:47
          |
        8 |       - 0m observed ldap_down severty=warning pod=x
          |                                               ^^^
          |
          = help: they have severity, reason, count, total, flaps, coverage, summary, window, suppressed, truncated, namespace, http.status, severity_max, revision, first_seen, last_seen, since_last_message, late, duplicates_dropped, related, domain, incident_type

    "#]]
    .assert_eq(&report::text(&problems, &[source], false));
}

#[test]
fn broken_files_are_reported_as_the_files_beside_them_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules/broken_tests");
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("the folder of broken tests")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    paths.sort();
    assert!(paths.len() >= 20, "only {} broken files", paths.len());
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let source = SourceText {
            name: name.into_owned(),
            text: fs::read_to_string(&path).expect("a text"),
        };
        let read = TestFile::read(&source);
        assert!(!read.problems.is_empty(), "{} is not broken", source.name);
        let shown = report::text(&read.problems, &[source], false);
        expect_test::expect_file![path.with_extension("txt")].assert_eq(&shown);
    }
}

/// A file with what an update meets: comments, items in quotes, lists in brackets, a test in braces.
const LIVED_IN: &str = "# Tests of a.
rules: [a.yaml]   # one

tests:
  - name: first
    logs: |
      # said
      0m +1m x5   a text
    until: 1h
    expect:
      # the opening
      - 4m observed a count=5   # five
      - '14m recovered a reason=quiet'

      # nothing more
  - name: second
    logs: 0m a text
    expect: []   # nothing
    labels: {app: shop}
  - {name: third, logs: '0m a text', expect: [0m observed a, 5m recovered a]}
  - name: fourth
    logs: 0m a text
    expect: [0m observed a]
";

fn message(text: &str) -> ExpectedMessage {
    ExpectedMessage::parse(text).expect("a message")
}

/// The lines of [`LIVED_IN`] that `changes` take away and put in.
#[track_caller]
fn check_update(changes: &[Change], expected: &Expect) {
    let source = source(LIVED_IN);
    let file = file(LIVED_IN);
    let text = update(&source, &file, changes).expect("it can be done in place");
    let (mut old, new): (Vec<_>, Vec<_>) = (LIVED_IN.lines().collect(), text.lines().collect());
    let mut shown = String::new();
    for line in new {
        match old.iter().position(|other| *other == line) {
            Some(place) => {
                let gone = old.drain(..=place).collect::<Vec<_>>();
                for line in &gone[..place] {
                    shown.push_str(&format!("-{line}\n"));
                }
            }
            None => shown.push_str(&format!("+{line}\n")),
        }
    }
    shown.extend(old.iter().map(|line| format!("-{line}\n")));
    expected.assert_eq(&shown);
}

#[test]
fn an_update_changes_messages_and_nothing_beside_them() {
    let replace = |text: &str| Fate::Replace(message(text));
    let change = |test, fates: &[Fate], added: &[&str]| Change {
        test,
        fates: fates.to_vec(),
        added: added.iter().map(|text| message(text)).collect(),
    };
    check_update(
        &[change(
            0,
            &[Fate::Keep, replace("15m recovered a reason=silent")],
            &[
                "1m observed b",
                "10m updated a summary=\"a: 5\"",
                "20m recovered b",
            ],
        )],
        &expect![[r#"
            +      - 1m observed b
            +      - '10m updated a summary="a: 5"'
            +      - 15m recovered a reason=silent
            +      - 20m recovered b
            -      - '14m recovered a reason=quiet'
        "#]],
    );
    check_update(
        &[
            change(0, &[Fate::Remove, Fate::Remove], &[]),
            change(1, &[], &["0m observed a count=1", "5m recovered a"]),
            change(
                2,
                &[Fate::Keep, replace("6m recovered a")],
                &["1m updated a"],
            ),
            change(3, &[Fate::Remove], &[]),
        ],
        &expect![[r#"
            +    expect: []
            -    expect:
            -      - 4m observed a count=5   # five
            -      - '14m recovered a reason=quiet'
            +    expect:
            +      - 0m observed a count=1
            +      - 5m recovered a   # nothing
            -    expect: []   # nothing
            +  - {name: third, logs: '0m a text', expect: ['0m observed a', '1m updated a', '6m recovered a']}
            -  - {name: third, logs: '0m a text', expect: [0m observed a, 5m recovered a]}
            +    expect: []
            -    expect: [0m observed a]
        "#]],
    );
    check_update(
        &[
            change(0, &[Fate::Remove, Fate::Remove], &["3m observed c"]),
            change(2, &[Fate::Remove, Fate::Remove], &[]),
            change(3, &[Fate::Keep], &["5m recovered a"]),
        ],
        &expect![[r#"
            +      - 3m observed c
            -      - 4m observed a count=5   # five
            -      - '14m recovered a reason=quiet'
            +  - {name: third, logs: '0m a text', expect: []}
            -  - {name: third, logs: '0m a text', expect: [0m observed a, 5m recovered a]}
            +    expect:
            +      - 0m observed a
            +      - 5m recovered a
            -    expect: [0m observed a]
        "#]],
    );
}

#[test]
fn an_update_that_would_change_something_else_is_refused() {
    for text in [
        "rules: [a.yaml]\ntests:\n- {name: a, logs: 0m x, expect: &x [0m observed a]}\n- {name: b, logs: 0m x, expect: *x}\n",
        "rules: [a.yaml]\ntests:\n- name: a\n  logs: 0m x\n  expect: &x\n  - 0m observed a\n- {name: b, logs: 0m x, expect: *x}\n",
    ] {
        let file = file(text);
        for test in 0..2 {
            let change = Change {
                test,
                fates: vec![Fate::Replace(message("1m observed a"))],
                added: Vec::new(),
            };
            assert_eq!(update(&source(text), &file, &[change]), None, "{text}");
        }
    }
}

#[test]
fn line_ends_of_another_system_stay_what_they_are() {
    let text = LIVED_IN.replace('\n', "\r\n");
    let file = file(&text);
    let change = Change {
        test: 0,
        fates: vec![Fate::Keep, Fate::Remove],
        added: vec![message("20m recovered b")],
    };
    let updated = update(&source(&text), &file, &[change]).expect("it can be done in place");
    assert_eq!(
        updated.matches('\n').count(),
        updated.matches("\r\n").count()
    );
    assert_eq!(updated.lines().count(), text.lines().count());
}

/// A message as people and rules make them.
fn any_message() -> impl Strategy<Value = ExpectedMessage> {
    let state = prop::sample::select(MessageState::ALL.to_vec());
    let value = ("[a-z.]{1,4}", "[ -~é\n\t\u{1b}]{0,6}");
    let values = prop::collection::btree_map(value.0, value.1, 0..3);
    (0u64..100_000, state, "[a-z_]{1,3}", values).prop_map(|(at, state, rule, values)| {
        let at = Duration::from_millis(at * 500);
        ExpectedMessage::new(at, state, &rule, values.into_iter().collect())
    })
}

proptest! {
    #[test]
    fn a_message_reads_back_as_it_is_written(message in any_message()) {
        let text = message.to_string();
        let read = ExpectedMessage::parse(&text).map_err(|fault| TestCaseError::fail(format!("{fault:?}")))?;
        prop_assert_eq!((read.at, read.state, &read.rule, &read.values), (message.at, message.state, &message.rule, &message.values));
        prop_assert_eq!(read.to_string(), text);
    }

    #[test]
    fn no_text_makes_reading_panic(text in "[ 0-9mshx@+{}=,\"\\\\a-c\té#-]{0,40}") {
        if let Err(fault) = ExpectedMessage::parse(&text) {
            prop_assert!(text.get(fault.at.clone()).is_some(), "{fault:?}");
        }
        let mut logs = Logs::default();
        logs.line(&text, &Labels::default(), |piece| piece);
        for fault in &logs.faults {
            prop_assert!(text.get(fault.at.clone()).is_some(), "{fault:?}");
        }
    }

    /// A valid file with a piece cut out and another put in.
    #[test]
    fn no_damaged_file_makes_reading_panic(from in 0usize..700, length in 0usize..30, put in "[ :{}\\[\\]'\"\n|>é@+-]{0,4}") {
        let mut text = LIVED_IN.to_owned();
        let end = (from + length).min(text.len());
        text.replace_range(from.min(end)..end, &put);
        let source = source(&text);
        let read = TestFile::read(&source);
        for problem in &read.problems {
            prop_assert!(text.get(problem.span.clone()).is_some(), "{problem:?}");
        }
        let shown = report::text(&read.problems, &[source], true);
        prop_assert_eq!(shown.is_empty(), read.problems.is_empty());
    }

    /// Whatever was expected and whatever comes, the updated file says what came and keeps every comment.
    #[test]
    fn an_update_says_what_came(
        fates in prop::collection::vec(prop::option::of(prop::option::of(any_message())), 6),
        added in prop::collection::vec((0usize..4, any_message()), 0..5),
    ) {
        let file = file(LIVED_IN);
        let mut fates = fates.into_iter().map(|fate| match fate {
            None => Fate::Remove,
            Some(None) => Fate::Keep,
            Some(Some(message)) => Fate::Replace(message),
        });
        let changes: Vec<Change> = file.tests.iter().enumerate().map(|(test, of)| Change {
            test,
            fates: fates.by_ref().take(of.expect.len()).collect(),
            added: added.iter().filter(|(of, _)| *of == test).map(|(_, message)| message.clone()).collect(),
        }).collect();
        let text = update(&source(LIVED_IN), &file, &changes);
        let text = text.ok_or_else(|| TestCaseError::fail("refused"))?;
        for comment in LIVED_IN.lines().filter_map(|line| line.split_once('#')).map(|(_, comment)| comment) {
            prop_assert!(text.contains(comment) || comment == " five", "{comment} is gone from {text}");
        }
    }
}
