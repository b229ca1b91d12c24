use std::collections::BTreeMap;
use std::io::{self, Write};

use super::super::tests::{Scratch, trommel};
use super::*;

const RULES: &str = "rules:
  - {id: failed, match: it fails, by: [pod], incident_type: workload_failure, catches: ['now it fails'], passes: ['it works']}
";

const TESTS: &str = "# Tests of one rule.
rules: [rules.yaml]
tests:
  - name: it opens
    labels: {pod: a}
    logs: 1m it fails
    expect:
      - 1m observed failed pod=a   # at once
  - name: it says nothing of other lines
    logs: 1m it works
    expect: []
";

/// What does not happen, in two tests.
const WRONG: &str = "# Tests of one rule.
rules: [rules.yaml]
tests:
  - name: it opens
    labels: {pod: a}
    logs: 1m it fails
    expect:
      # two, perhaps
      - 1m observed failed pod=b   # at once
  - name: it works & <says> nothing
    logs: |
      1m it works
      2m it fails
    expect: []
  - name: it is over
    logs: 1m it fails
    until: 6m
    expect: [1m observed failed, 6m recovered failed]
";

/// A directory with the rules and one test file.
fn directory(tests: &str) -> Scratch {
    let files = Scratch::new();
    files.write("rules.yaml", RULES);
    files.write("rules_test.yaml", tests);
    files
}

/// Runs it over `files` and gives its exit, its result and its diagnostics.
#[track_caller]
fn tested(files: &Scratch, arguments: &[&str]) -> (Exit, String, String) {
    let path = files.path("");
    let line = [&["test", &path], arguments].concat();
    let (exit, out, diagnostics) = trommel(&line);
    (exit, files.strip(&out), files.strip(&diagnostics))
}

#[test]
fn tests_that_pass_are_one_line_for_all() {
    let (exit, out, diagnostics) = tested(&directory(TESTS), &[]);
    assert_eq!((exit, &*diagnostics), (Exit::Fine, ""));
    assert_eq!(out, "2 tests in 1 file: 2 passed; 2 example lines passed\n");
}

#[test]
fn a_test_that_fails_shows_what_is_different() {
    let (exit, out, diagnostics) = tested(&directory(WRONG), &[]);
    assert_eq!((exit, &*diagnostics), (Exit::Problems, ""));
    expect_test::expect![[r#"
        rules_test.yaml:4: failed: it opens (- expected, + got)
          - 1m observed failed pod=b
          + 1m observed failed pod=a

        rules_test.yaml:10: failed: it works & <says> nothing (- expected, + got)
          + 2m observed failed severity=warning count=1 pod=""

        3 tests in 1 file: 1 passed, 2 failed; 2 example lines passed
    "#]]
    .assert_eq(&out);
}

/// A terminal.
struct Terminal(Vec<u8>);

impl Write for Terminal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for Terminal {
    fn is_terminal(&self) -> bool {
        true
    }

    fn shows_color(&self) -> bool {
        true
    }
}

#[test]
fn on_a_terminal_what_is_different_is_coloured_and_nothing_else_reaches_it() {
    let files = directory(&WRONG.replace("it opens", "\"it \\e[2J opens\""));
    let arguments: TestArgs = super::super::tests::parse(&[&files.path("")]).expect("fine");
    let mut out = Terminal(Vec::new());
    run(&arguments, &mut out, &mut Vec::new()).expect("it runs");
    let out = String::from_utf8(out.0).expect("text");
    assert!(out.contains("it \\u{1b}[2J opens"), "{out}");
    assert!(out.contains("\x1b[1;31mpod=b\x1b[0m"), "{out}");
    assert!(out.contains("\x1b[1;32mpod=a\x1b[0m"), "{out}");
    assert!(out.contains("\x1b[32mfailed\x1b[0m"), "{out}");
}

#[test]
fn a_file_that_is_wrong_fails_and_the_others_run() {
    let files = directory(TESTS);
    files.write(
        "a_test.yaml",
        "rules: [rules.yaml, gone.yaml]\ntests: [{name: n, logs: 0m x, expect: []}]\n",
    );
    files.write(
        "b_test.yaml",
        "rules: [broken.yaml]\ntests: [{name: n, logs: 0m x, expect: []}]\n",
    );
    files.write("c_test.yaml", "rules: [rules_test.yaml]\ntests: []\n");
    files.write(
        "broken.yaml",
        "rules: [{id: x, mach: y, incident_type: workload_failure}]\n",
    );
    let (exit, out, _) = tested(&files, &[]);
    assert_eq!(exit, Exit::Problems);
    expect_test::expect![[r#"
        error[R002]: `gone.yaml`: cannot read it: No such file or directory (os error 2)
         --> a_test.yaml:1:21
          |
        1 | rules: [rules.yaml, gone.yaml]
          |                     ^^^^^^^^^
          |
          = help: paths are as seen from the directory of this file

        error[R006]: the rule has no `match`
         --> broken.yaml:1:14
          |
        1 | rules: [{id: x, mach: y, incident_type: workload_failure}]
          |              ^
          |
          = help: write `match: a text in the line`

        error[R004]: unknown key `mach` in a rule
         --> broken.yaml:1:17
          |
        1 | rules: [{id: x, mach: y, incident_type: workload_failure}]
          |                 ^^^^
          |
          = help: did you mean `match`?

        error[R002]: `rules_test.yaml`: this is a file of tests, and not of rules
         --> c_test.yaml:1:9
          |
        1 | rules: [rules_test.yaml]
          |         ^^^^^^^^^^^^^^^
          |
          = help: paths are as seen from the directory of this file

        2 tests in 4 files: 2 passed, 3 files could not run; 2 example lines passed
    "#]]
    .assert_eq(&out);
}

#[test]
fn what_cannot_be_read_and_what_is_not_there_could_not_run() {
    let files = directory(TESTS);
    let missing = files.path("missing_test.yaml");
    let (exit, out, _) = tested(&files, &[&missing]);
    assert_eq!(exit, Exit::CouldNotRun);
    assert!(out.starts_with("error[R002]: cannot read it: "), "{out}");
    assert!(
        out.ends_with("2 tests in 1 file: 2 passed; 2 example lines passed\n"),
        "{out}"
    );

    let empty = Scratch::new();
    let (exit, out, _) = tested(&empty, &[]);
    assert_eq!(exit, Exit::CouldNotRun);
    assert!(out.contains("holds no test files (*_test.yaml)"), "{out}");

    let (exit, _, diagnostics) = tested(&files, &["--filter", "nothing like it"]);
    assert_eq!(exit, Exit::CouldNotRun);
    assert_eq!(
        diagnostics,
        "trommel: no test's name or file contains `nothing like it`\n"
    );
    assert_eq!(trommel(&["test"]).0, Exit::CouldNotRun);
}

#[test]
fn warnings_are_told_and_change_nothing() {
    let files = directory(&TESTS.replace("logs: 1m it works", "logs: '0m +0s x5 it works'"));
    let (exit, out, diagnostics) = tested(&files, &[]);
    assert_eq!(exit, Exit::Fine);
    assert_eq!(out, "2 tests in 1 file: 2 passed; 2 example lines passed\n");
    expect_test::expect![[r#"
        warning[L101]: this line has an entry that is there already: the same labels, time and text count once
          --> rules_test.yaml:10:12
           |
        10 |     logs: '0m +0s x5 it works'
           |            ^^^^^^^^^^^^^^^^^^

    "#]]
    .assert_eq(&diagnostics);
}

#[test]
fn example_lines_are_tried_once_however_many_files_name_the_rules() {
    let files = directory(TESTS);
    files.write("again_test.yaml", TESTS);
    files.write("rules.yaml", RULES.replace("'it works'", "it fails too"));
    let (exit, out, _) = tested(&files, &[]);
    assert_eq!(exit, Exit::Problems);
    assert_eq!(
        out.matches("error[R020]: `failed` matches this line of its `passes`")
            .count(),
        1,
        "{out}"
    );
    assert!(
        out.ends_with("4 tests in 2 files: 4 passed; 2 example lines: 1 failed\n"),
        "{out}"
    );
}

#[test]
fn a_filter_chooses_by_name_or_file() {
    let files = directory(WRONG);
    for (filter, exit, tally) in [
        (
            "is over",
            Exit::Fine,
            "1 test in 1 file: 1 passed, 2 left out\n",
        ),
        (
            "it ",
            Exit::Problems,
            "3 tests in 1 file: 1 passed, 2 failed\n",
        ),
        (
            "rules_test",
            Exit::Problems,
            "3 tests in 1 file: 1 passed, 2 failed\n",
        ),
    ] {
        let (ended, out, _) = tested(&files, &["--filter", filter]);
        assert_eq!(ended, exit, "{filter}");
        assert!(out.ends_with(tally), "{filter}: {out}");
    }
}

#[test]
fn the_list_names_tests_and_runs_none() {
    let (exit, out, diagnostics) = tested(&directory(WRONG), &["--list", "--filter", "it "]);
    assert_eq!((exit, &*diagnostics), (Exit::Fine, ""));
    expect_test::expect![[r#"
        rules_test.yaml:4: it opens
        rules_test.yaml:10: it works & <says> nothing
        rules_test.yaml:15: it is over
    "#]]
    .assert_eq(&out);
}

#[test]
fn an_update_rewrites_what_failed_and_leaves_every_other_byte() {
    let files = directory(WRONG);
    let (exit, out, diagnostics) = tested(&files, &["--update", "--filter", "it "]);
    assert_eq!((exit, &*diagnostics), (Exit::Fine, ""));
    expect_test::expect![[r#"
        rules_test.yaml: updated 2 tests
        3 tests in 1 file: 1 passed, 2 updated
    "#]]
    .assert_eq(&out);
    let text = fs::read_to_string(files.path("rules_test.yaml")).expect("it is there");
    let expected = WRONG.replace("pod=b ", "pod=a ").replace(
        "expect: []",
        "expect:\n      - 2m observed failed severity=warning count=1 pod=\"\"",
    );
    assert_eq!(text, expected);
    assert_eq!(tested(&files, &[]).0, Exit::Fine);
}

#[test]
fn an_update_of_what_passes_writes_nothing() {
    let files = directory(TESTS);
    let path = files.path("rules_test.yaml");
    let mut permissions = fs::metadata(&path).expect("it is there").permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&path, permissions).expect("it is ours");
    assert_eq!(tested(&files, &["--update"]).0, Exit::Fine);
}

#[test]
fn a_list_that_is_somebody_elses_too_is_not_updated() {
    let tests = "rules: [rules.yaml]
tests:
  - {name: one, logs: 1m it works, expect: &nothing []}
  - {name: two, logs: 1m it fails, expect: *nothing}
";
    let files = directory(tests);
    let (exit, out, diagnostics) = tested(&files, &["--update"]);
    assert_eq!(exit, Exit::Problems);
    assert!(out.contains("rules_test.yaml:4: failed: two"), "{out}");
    assert!(
        diagnostics.contains("cannot be updated in place"),
        "{diagnostics}"
    );
    let text = fs::read_to_string(files.path("rules_test.yaml")).expect("it is there");
    assert_eq!(text, tests);
}

#[test]
fn results_as_junit_are_xml_that_says_the_same() {
    let files = directory(&WRONG.replace("it opens", "\"it \\e[2J \\\"opens\\\"\""));
    files.write("broken_test.yaml", "tests: 5\n");
    let junit = files.path("junit.xml");
    let (exit, ..) = tested(&files, &["--junit", &junit]);
    assert_eq!(exit, Exit::Problems);
    let text = files.strip(&fs::read_to_string(junit).expect("it was written"));
    let elements = elements(&text);
    let shown = elements.iter().map(|element| {
        let of = |name: &str| element.attributes.get(name).map_or("", |value| value);
        let depth = element.depth * 2;
        let (tests, failures, errors) = (of("tests"), of("failures"), of("errors"));
        let name = &element.name;
        format!(
            "{:depth$}{name} {:?} {tests} {failures} {errors} {} {:?}\n",
            "",
            of("name"),
            of("line"),
            element.text.trim()
        )
    });
    expect_test::expect![[r#"
        testsuites "trommel" 5 2 1  ""
          testsuite "broken_test.yaml" 1 0 1  ""
            testcase "the file can be read"    1 ""
              error ""     "error[R006]: the file has no `rules`\n --> broken_test.yaml:1:1\n  |\n1 | tests: 5\n  | ^\n  |\n  = help: write `rules: [a_file.yaml]`: which rules are tested\n\nerror[R007]: `tests` must be a list\n --> broken_test.yaml:1:8\n  |\n1 | tests: 5\n  |        ^\n  |\n  = help: every test begins with `- name: …`"
          testsuite "rules_test.yaml" 4 2 0  ""
            testcase "it �[2J \"opens\""    4 ""
              failure ""     "- 1m observed failed pod=b\n+ 1m observed failed pod=a"
            testcase "it works & <says> nothing"    10 ""
              failure ""     "+ 2m observed failed severity=warning count=1 pod=\"\""
            testcase "it is over"    15 ""
            testcase "rules match the lines of their `catches`, and none of their `passes`"    1 ""
    "#]].assert_eq(&shown.collect::<String>());
}

struct Element {
    depth: usize,
    name: String,
    attributes: BTreeMap<String, String>,
    text: String,
}

/// The elements of an XML document, in order. It panics where the document is not well-formed (XML 1.0, as far as it goes here: no
/// comments, no sections, no namespaces).
#[track_caller]
fn elements(document: &str) -> Vec<Element> {
    let mut rest = document
        .strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>")
        .expect("a declaration");
    let mut elements: Vec<Element> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    while let Some(at) = rest.find('<') {
        let (text, tag) = rest.split_at(at);
        match open.last() {
            Some(place) => elements[*place].text.push_str(&unescaped(text)),
            None => assert!(text.trim().is_empty(), "text outside of elements: {text}"),
        }
        let end = tag.find('>').expect("a tag ends");
        rest = &tag[end + 1..];
        let tag = &tag[1..end];
        if let Some(name) = tag.strip_prefix('/') {
            let place = open.pop().expect("it was opened");
            assert_eq!(elements[place].name, name);
            continue;
        }
        let (tag, is_closed) = match tag.strip_suffix('/') {
            Some(tag) => (tag, true),
            None => (tag, false),
        };
        let (name, mut pairs) = tag.split_once(' ').unwrap_or((tag, ""));
        let mut attributes = BTreeMap::new();
        while !pairs.trim().is_empty() {
            let (attribute, value) = pairs
                .trim_start()
                .split_once("=\"")
                .expect("a value in quotes");
            let (value, behind) = value.split_once('"').expect("quotes are closed");
            assert!(
                !value.contains('\n'),
                "an attribute loses its line ends: {value}"
            );
            let known = attributes.insert(attribute.to_owned(), unescaped(value));
            assert!(known.is_none(), "{attribute} twice");
            pairs = behind;
        }
        assert!(!open.is_empty() || elements.is_empty(), "a second root");
        if !is_closed {
            open.push(elements.len());
        }
        let depth = open.len() - usize::from(!is_closed);
        let (name, text) = (name.to_owned(), String::new());
        elements.push(Element {
            depth,
            name,
            attributes,
            text,
        });
    }
    assert!(open.is_empty() && rest.trim().is_empty());
    elements
}

#[track_caller]
fn unescaped(text: &str) -> String {
    for c in text.chars() {
        assert!(c >= ' ' || "\n\r\t".contains(c), "{c:?} in XML");
        assert!(!matches!(c, '\u{fffe}' | '\u{ffff}'), "{c:?} in XML");
    }
    let mut pieces = text.split('&');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (entity, behind) = piece.split_once(';').expect("an entity ends");
        out.push(match entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            code => {
                let code = code.strip_prefix('#').and_then(|code| code.parse().ok());
                code.and_then(char::from_u32).expect("a character")
            }
        });
        out.push_str(behind);
    }
    out
}
