use proptest::prelude::*;

use super::tree::tests::trees;
use super::*;

fn set(rule: &str, key: &str, yaml: &str) -> Edit {
    Edit::Set {
        rule: rule.to_owned(),
        key: key.to_owned(),
        value: Tree::read(yaml).expect("YAML"),
    }
}

fn remove(rule: &str, key: &str) -> Edit {
    Edit::Remove {
        rule: rule.to_owned(),
        key: key.to_owned(),
    }
}

#[track_caller]
fn check(text: &str, edits: &[Edit], expected: expect_test::Expect) {
    let edited = edit(text, edits).expect("it can be made");
    let diff = unified("a.yaml", Some(text), &edited);
    let lines: Vec<_> = diff.lines().map(str::trim_end).collect();
    expected.assert_eq(&format!("{}\n", lines.join("\n")));
}

const FILE: &str = "# Ours.
defaults: {owner: shop}   # all of them
rules:
  # The first.
  - id: a  # named by us
    match:
      any: [x, 'y # z']   # either
      # not these
      none:
        - q
    threshold: 5 in 10m  # since the outage
    escalate:
      # slowly
      - to: critical  # told by phone
        after: 10m

  - {id: b, match: z, severity: info}  # short
  - description: |  # long
      One # no comment.
      Two.
    extends: nats_no_servers
    cooldown:
# The end.
";

#[test]
fn a_value_in_a_line_is_all_that_changes() {
    check(
        FILE,
        &[
            set("a", "threshold", "10 in 5m"),
            set("b", "severity", "critical"),
        ],
        expect_test::expect![[r#"
            --- a/a.yaml
            +++ b/a.yaml
            @@ -8,13 +8,13 @@
                   # not these
                   none:
                     - q
            -    threshold: 5 in 10m  # since the outage
            +    threshold: 10 in 5m  # since the outage
                 escalate:
                   # slowly
                   - to: critical  # told by phone
                     after: 10m

            -  - {id: b, match: z, severity: info}  # short
            +  - {id: b, match: z, severity: critical}  # short
               - description: |  # long
                   One # no comment.
                   Two.
        "#]],
    );
}

#[test]
fn comments_of_a_value_that_goes_stay() {
    check(
        FILE,
        &[
            set("a", "escalate", "{to: critical, after: 5m}"),
            remove("a", "threshold"),
            set("a", "match", "w"),
            remove("nats_no_servers", "description"),
            set("nats_no_servers", "cooldown", "1h"),
        ],
        expect_test::expect![[r#"
            --- a/a.yaml
            +++ b/a.yaml
            @@ -3,21 +3,16 @@
             rules:
               # The first.
               - id: a  # named by us
            -    match:
            -      any: [x, 'y # z']   # either
            -      # not these
            -      none:
            -        - q
            -    threshold: 5 in 10m  # since the outage
            -    escalate:
            -      # slowly
            -      - to: critical  # told by phone
            -        after: 10m
            +    match: w
            +    # either
            +    # not these
            +    # since the outage
            +    escalate: {to: critical, after: 5m}
            +    # slowly
            +    # told by phone

               - {id: b, match: z, severity: info}  # short
            -  - description: |  # long
            -      One # no comment.
            -      Two.
            -    extends: nats_no_servers
            -    cooldown:
            +  # long
            +  - extends: nats_no_servers
            +    cooldown: 1h
             # The end.
        "#]],
    );
}

#[test]
fn new_keys_stand_where_people_write_them() {
    check(
        FILE,
        &[
            set("a", "enabled", "false"),
            set("a", "cooldown", "1h"),
            set("b", "environments", "[staging, production]"),
            set("nats_no_servers", "severity", "info"),
        ],
        expect_test::expect![[r#"
            --- a/a.yaml
            +++ b/a.yaml
            @@ -3,6 +3,7 @@
             rules:
               # The first.
               - id: a  # named by us
            +    enabled: false
                 match:
                   any: [x, 'y # z']   # either
                   # not these
            @@ -13,11 +14,13 @@
                   # slowly
                   - to: critical  # told by phone
                     after: 10m
            +    cooldown: 1h
 
            -  - {id: b, match: z, severity: info}  # short
            +  - {id: b, environments: [staging, production], match: z, severity: info}  # short
               - description: |  # long
                   One # no comment.
                   Two.
                 extends: nats_no_servers
            +    severity: info
                 cooldown:
             # The end.
        "#]],
    );
}

#[test]
fn a_rule_more_goes_to_the_end() {
    let rule = [
        ("extends".to_owned(), Tree::Text("tls_x509".to_owned())),
        ("threshold".to_owned(), Tree::Text("> 5% in 5m".to_owned())),
    ];
    let add = [Edit::Add(rule.to_vec())];
    for (text, with) in [
        (
            "",
            "rules:\n  - extends: tls_x509\n    threshold: '> 5% in 5m'\n",
        ),
        (
            "# Ours.\n",
            "# Ours.\nrules:\n  - extends: tls_x509\n    threshold: '> 5% in 5m'\n",
        ),
        (
            "rules: []  # none\n",
            "rules: # none\n  - extends: tls_x509\n    threshold: '> 5% in 5m'\n",
        ),
        (
            "rules:\n",
            "rules:\n  - extends: tls_x509\n    threshold: '> 5% in 5m'\n",
        ),
        (
            "rules: [{id: a, match: x}]\n",
            "rules: [{id: a, match: x}, {extends: tls_x509, threshold: '> 5% in 5m'}]\n",
        ),
        (
            "rules:\r\n- {id: a, match: x}",
            "rules:\r\n- {id: a, match: x}\r\n- extends: tls_x509\r\n  threshold: '> 5% in 5m'\r\n",
        ),
        (
            "rules:\n  - id: a\n    match: x # y\n\ndefaults: {owner: a}\n",
            "rules:\n  - id: a\n    match: x # y\n  - extends: tls_x509\n    threshold: '> 5% in 5m'\n\ndefaults: {owner: a}\n",
        ),
    ] {
        assert_eq!(edit(text, &add).as_deref(), Ok(with), "{text}");
    }
    let twice = edit(FILE, &[add[0].clone(), add[0].clone()]);
    assert_eq!(twice, Err(EditError::Exists("tls_x509".to_owned())));
}

#[test]
fn what_cannot_be_done_is_refused_with_a_reason() {
    let refused =
        |text: &str, change: Edit| edit(text, &[change]).expect_err("refused").to_string();
    assert_eq!(
        refused(FILE, set("c", "severity", "info")),
        "the file has no rule `c`"
    );
    assert_eq!(
        refused(FILE, set("a", "serverity", "info")),
        "a rule has no key `serverity`; docs/rules.md lists those that there are"
    );
    assert_eq!(
        refused(FILE, set("a", "id", "z")),
        "`id` is what a rule is known by: change the text itself"
    );
    assert_eq!(
        refused("rules: [{id: a, match: x]\n", set("a", "severity", "info")),
        "1:9: this `{` is not closed where it should be, or a text inside it must be quoted; the file must be readable before a key of it can be changed"
    );
    let alias = "rules:\n  - {id: a, match: &m x, total: *m}\n";
    let written = "is written in a way that cannot be changed key by key, such as with an alias: change the text itself";
    assert_eq!(
        refused(alias, set("a", "match", "y")),
        format!("`match` {written}")
    );
    assert_eq!(
        refused(alias, remove("a", "match")),
        format!("`match` {written}")
    );
    // What is no list is nothing to add to, and nothing to throw away.
    for text in ["rules: to come\n", "rules:\n  a: {match: x}\n"] {
        let rule = vec![("id".to_owned(), Tree::Text("b".to_owned()))];
        assert_eq!(refused(text, Edit::Add(rule)), format!("`rules` {written}"));
    }
}

/// A rule file as people write them: every comment has a number of its own.
fn files() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        Just("x".to_owned()),
        Just("'a # b'  # c@".to_owned()),
        Just("[p, q]".to_owned()),
        Just("[p,  # c@\n       q]".to_owned()),
        Just("# c@\n      - p  # c@\n      # c@\n      - q".to_owned()),
        Just("\n      - p\n      - {re: q}".to_owned()),
        Just("|  # c@\n      l # m\n      n\n".to_owned()),
        Just("\n      any: [x]  # c@\n      # c@\n      none: y".to_owned()),
        Just(String::new()),
        Just("\"k\n      l\"".to_owned()),
    ];
    let keys = ["match", "severity", "name", "escalate", "suppress", "tags"];
    let entries = proptest::sample::subsequence(keys.to_vec(), 0..=keys.len());
    let rule = (
        entries,
        prop::collection::vec(value, 6),
        any::<bool>(),
        any::<bool>(),
    );
    let rules = prop::collection::vec(rule, 1..4);
    (rules, any::<bool>(), any::<bool>()).prop_map(|(rules, ends, windows)| {
        let mut text = "# c@\nrules:\n".to_owned();
        for (place, (keys, values, comment, first)) in rules.into_iter().enumerate() {
            let id = format!("id: r{place}");
            let mut lines: Vec<_> = keys
                .iter()
                .zip(values)
                .map(|(key, value)| format!("{key}: {value}"))
                .collect();
            lines.insert(if first { 0 } else { lines.len() }, id);
            text += if comment { "  # c@\n" } else { "\n" };
            text += &format!("  - {}\n", lines.join("\n    "));
        }
        if ends {
            text += "# c@\n";
        }
        let mut pieces = text.split('@');
        let mut text = pieces.next().unwrap_or_default().to_owned();
        for (number, piece) in pieces.enumerate() {
            text += &format!("{number}.{piece}");
        }
        if windows {
            text.replace('\n', "\r\n")
        } else {
            text
        }
    })
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let keys = [
        "match", "severity", "name", "escalate", "cooldown", "enabled", "tags",
    ];
    let rule = (0..4usize).prop_map(|place| format!("r{place}"));
    let one = (
        rule,
        proptest::sample::select(keys.to_vec()),
        prop::option::of(trees()),
    );
    let one = one.prop_map(|(rule, key, value)| match value {
        _ if rule == "r3" => Edit::Add(vec![
            ("id".to_owned(), Tree::Text(format!("n{key}"))),
            (key.to_owned(), value.unwrap_or(Tree::Nothing)),
        ]),
        Some(value) => Edit::Set {
            rule,
            key: key.to_owned(),
            value,
        },
        None => remove(&rule, key),
    });
    prop::collection::vec(one, 1..5)
}

proptest! {
    #[test]
    fn edits_of_the_text_are_edits_of_what_it_says(file in files(), edits in edits()) {
        let mut text = file.clone();
        let mut model = Tree::of(&read(&text).expect("valid"));
        for change in &edits {
            let Ok(next) = applied(&model, change) else {
                // The rule is not there, or is there already.
                prop_assert!(edit(&text, std::slice::from_ref(change)).is_err());
                continue;
            };
            let before = text;
            text = match edit(&before, std::slice::from_ref(change)) {
                Ok(text) => text,
                Err(error) => return Err(TestCaseError::fail(format!("{error}: {change:?} of\n{before}"))),
            };
            model = next;
            let read = Tree::of(&read(&text).expect("valid"));
            prop_assert!(read.says(&model), "{:?}\n{}", change, text);
            // The other rules are there, byte by byte.
            let changed = match change {
                Edit::Set { rule, .. } | Edit::Remove { rule, .. } => Some(rule),
                Edit::Add(_) => None,
            };
            for place in 0..4 {
                let id = format!("r{place}");
                let rule = place_of(&before, &id).filter(|_| changed != Some(&id));
                if let Some(rule) = rule {
                    prop_assert!(text.contains(&before[rule.clone()]), "{:?}\n{}", change, text);
                }
            }
        }
        let mut number = 0;
        while file.contains(&format!("# c{number}.")) {
            prop_assert!(text.contains(&format!("# c{number}.")), "comment {} of\n{}\nis lost by {:?}\n{}", number, file, edits, text);
            number += 1;
        }
    }
}
