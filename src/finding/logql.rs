//! Where the raw lines of a finding are: a LogQL query made from its rule, and a link that opens it in Grafana.

use std::collections::HashSet;
use std::time::Duration;

use super::message::uri_segment;
use super::model::{LogsLink, Origin};
use crate::rules::{Exclude, Item, Match, Rule, Selector, Test};
use crate::time::Timestamp;

/// What is shown before the first and after the last entry of a finding.
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// Longest query: beyond it the line filters are left out, and the query shows more than the rule matched.
const QUERY_CHARS_MAX: usize = 4096;

impl LogsLink {
    /// The lines that `rule` reads of the streams with `labels` (those `by` values of a finding that are labels),
    /// from a little before `first_seen` to a little after `last_seen`.
    ///
    /// The query never leaves out what the rule matched, but may show more: it has no words for fields, for the `match` of
    /// another rule, and for an `unless` of several labels; a sequence's is of all its steps together. Of a rule that reads no
    /// lines, on findings or on trommel itself, it is empty.
    #[must_use]
    pub fn new<'a>(
        rule: &Rule,
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
        first_seen: Timestamp,
        last_seen: Timestamp,
        origin: &Origin,
    ) -> Self {
        let logql = query(rule, labels);
        let from = first_seen.minus(MARGIN);
        let to = last_seen.plus(MARGIN);
        let grafana = origin.grafana.as_ref().filter(|_| !logql.is_empty());
        let url = grafana.map(|grafana| {
            let panes = explore_panes(&grafana.datasource, &logql, from, to);
            format!(
                "{}/explore?schemaVersion=1&panes={}",
                grafana.url,
                uri_segment(&panes)
            )
        });
        Self {
            logql,
            from,
            to,
            url,
        }
    }
}

fn query<'a>(rule: &Rule, labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let parts = rule.own_parts();
    if parts.is_empty() || rule.is_own() {
        return String::new();
    }
    let selector = selector(rule, labels);
    let filters = match parts[..] {
        [matches] => filters_of(matches),
        _ => filters_of_any(&parts),
    };
    if selector.len() + filters.len() > QUERY_CHARS_MAX {
        selector
    } else {
        selector + &filters
    }
}

/// The state of Explore with one pane, as the address of Grafana 10 and later holds it
/// (`panes`, schema version 1: grafana/grafana `public/app/features/explore/hooks/useStateSync/migrators/v1.ts`).
fn explore_panes(datasource: &str, logql: &str, from: Timestamp, to: Timestamp) -> String {
    let milliseconds = |time: Timestamp| time.nanos().div_euclid(1_000_000).to_string();
    let source = serde_json::json!({"type": "loki", "uid": datasource});
    serde_json::json!({"logs": {
        "datasource": datasource,
        "queries": [{"refId": "A", "datasource": source, "editorMode": "code", "queryType": "range", "expr": logql}],
        "range": {"from": milliseconds(from), "to": milliseconds(to)},
    }})
    .to_string()
}

fn selector<'a>(rule: &Rule, labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    // Loki refuses matchers on names that are no label names.
    let labels: Vec<_> = labels
        .into_iter()
        .filter(|(name, _)| is_label_name(name))
        .collect();
    let mut matchers: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}={}", quote(value)))
        .collect();
    // Loki wants one matcher that the empty value does not fulfil.
    let mut bounded = labels.iter().any(|(_, value)| !value.is_empty());
    for matcher in &rule.selector.0 {
        if labels.iter().any(|(name, _)| *name == matcher.name) {
            continue;
        }
        let (sign, value) = written(&matcher.test);
        matchers.push(format!("{}{sign}{}", matcher.name, quote(&value)));
        let only = Selector(vec![matcher.clone()]);
        bounded |= matches!(sign, "=" | "=~") && !only.selects(&crate::batch::Labels::default());
    }
    // Of several labels all must fit for a stream to be left out, which matchers cannot say.
    if let Some([matcher]) = rule.unless.as_ref().map(|unless| &*unless.0) {
        let (sign, value) = written(&matcher.test);
        let opposite = match sign {
            "=" => "!=",
            "!=" => "=",
            "=~" => "!~",
            _ => "=~",
        };
        matchers.push(format!("{}{opposite}{}", matcher.name, quote(&value)));
    }
    if !bounded {
        // Loki gives every stream a `service_name`.
        matchers.push("service_name=~\".+\"".to_owned());
    }
    format!("{{{}}}", matchers.join(", "))
}

fn written(test: &Test) -> (&'static str, String) {
    match test {
        Test::Equal(value) => ("=", value.clone()),
        Test::NotEqual(value) => ("!=", value.clone()),
        Test::Matches(source, _) => ("=~", source.clone()),
        Test::MatchesNot(source, _) => ("!~", source.clone()),
        Test::OneOf(values) => {
            let values: Vec<_> = values
                .iter()
                .map(|value| regex_syntax::escape(value))
                .collect();
            ("=~", values.join("|"))
        }
    }
}

/// What lines that fulfil `matches` pass.
fn filters_of(matches: &Match) -> String {
    let all = matches.all.iter().map(|item| filter("|=", "|~", &[item]));
    let any: Vec<_> = matches.any.iter().collect();
    let any = (!any.is_empty()).then(|| filter("|=", "|~", &any));
    let none = matches.none.iter().filter_map(|exclude| match exclude {
        Exclude::Item(item) => Some(filter("!=", "!~", &[item])),
        Exclude::Rule(_) => None,
    });
    all.chain(any).chain(none).collect()
}

/// What lines that fulfil one of `parts` pass: each of those has one of these items.
fn filters_of_any(parts: &[&Match]) -> String {
    let mut items = Vec::new();
    for part in parts {
        let required = match part.all.first() {
            Some(item) => std::slice::from_ref(item),
            None => &part.any[..],
        };
        if required.is_empty() {
            return String::new();
        }
        items.extend(required);
    }
    let mut known = HashSet::new();
    items.retain(|item| known.insert(as_expression(item, true)));
    filter("|=", "|~", &items)
}

/// A filter for one of `items`: with the sign `text` if it is one text, else with `expression`.
fn filter(text: &str, expression: &str, items: &[&Item]) -> String {
    let (sign, value) = match items {
        [
            Item::Text {
                text: value,
                ignore_case: false,
            },
        ] => (text, value.clone()),
        items => {
            let parts: Vec<_> = items
                .iter()
                .map(|item| as_expression(item, items.len() > 1))
                .collect();
            (expression, parts.join("|"))
        }
    };
    format!(" {sign} {}", quote(&value))
}

/// `item` as an expression; `grouped` when others follow it in an alternation.
fn as_expression(item: &Item, grouped: bool) -> String {
    let (source, ignore_case) = match item {
        Item::Text { text, ignore_case } => (regex_syntax::escape(text), *ignore_case),
        Item::Regex(pattern) => (pattern.source.clone(), pattern.ignore_case),
    };
    match (ignore_case, grouped) {
        (true, true) => format!("(?i:{source})"),
        (true, false) => format!("(?i){source}"),
        // A text has no `|` that an alternation around it could tear; an expression may.
        (false, true) if matches!(item, Item::Regex(_)) => format!("(?:{source})"),
        (false, _) => source,
    }
}

/// A string of LogQL: in double quotes, with Go's escapes.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn is_label_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
pub(super) mod tests {
    use std::num::{NonZeroU32, NonZeroU64};

    use regex_automata::meta::Regex;

    use super::*;
    use crate::finding::Grafana;
    use crate::finding::message::tests::origin;
    use crate::rules::{
        Absent, Comparison, Condition, Correlate, Decimal, Matcher, Needs, OVERLOADED, Part,
        Pattern, Ratio, RuleSet, Sequence, Step, Threshold,
    };

    /// `5 in 10m` by namespace and component, with nothing to match.
    pub(in crate::finding) fn rule() -> Rule {
        Rule {
            name: Some("LDAP timeout spike".to_owned()),
            condition: Condition::Count(Threshold {
                needs: Needs::AtLeast(NonZeroU64::new(5).expect("not zero")),
                window: Duration::from_secs(600),
            }),
            by: vec!["namespace".to_owned(), "component".to_owned()],
            incident_type: "identity_provider_unreachable".to_owned(),
            domain: "identity_security".to_owned(),
            ..Rule::new("ldap_timeout_spike", Match::default())
        }
    }

    fn item(text: &str) -> Item {
        Item::Text {
            text: text.to_owned(),
            ignore_case: false,
        }
    }

    fn any_case(text: &str) -> Item {
        Item::Text {
            text: text.to_owned(),
            ignore_case: true,
        }
    }

    fn regex(source: &str, ignore_case: bool) -> Item {
        Item::Regex(Pattern::compile(source, ignore_case).expect("valid"))
    }

    fn matcher(name: &str, test: Test) -> Matcher {
        Matcher {
            name: name.to_owned(),
            test,
        }
    }

    #[track_caller]
    fn check(rule: &Rule, labels: &[(&str, &str)], expected: &str) {
        let labels = labels.iter().copied();
        let link = LogsLink::new(
            rule,
            labels,
            Timestamp::new(0),
            Timestamp::new(0),
            &origin(),
        );
        assert_eq!(link.logql, expected);
    }

    #[test]
    fn a_query_selects_the_finding_s_streams_and_the_rule_s_lines() {
        let mut rule = rule();
        rule.selector = Selector(vec![
            matcher("namespace", Test::Equal("image-factory".to_owned())),
            matcher("pod", Test::NotEqual("x".to_owned())),
        ]);
        rule.matches.any = vec![item("LDAP Result Code 200"), item("failed (LDAP)")];
        rule.matches.none = vec![
            Exclude::Item(item("retry \"ok\"")),
            Exclude::Rule("other".to_owned()),
        ];
        check(
            &rule,
            &[("namespace", "image-factory"), ("component", "backend")],
            r#"{namespace="image-factory", component="backend", pod!="x"} |~ "LDAP Result Code 200|failed \\(LDAP\\)" != "retry \"ok\"""#,
        );
    }

    #[test]
    fn items_become_filters_of_their_kind() {
        let base = rule();
        for (all, any, expected) in [
            (vec![item("a"), item("b")], vec![], r#" |= "a" |= "b""#),
            (vec![any_case("a.b")], vec![], r#" |~ "(?i)a\\.b""#),
            (vec![regex(r"a|\d", false)], vec![], r#" |~ "a|\\d""#),
            (vec![], vec![item("a")], r#" |= "a""#),
            (
                vec![],
                vec![any_case("a"), item("b|")],
                r#" |~ "(?i:a)|b\\|""#,
            ),
            (
                vec![],
                vec![regex("a|b", false), regex("c", true)],
                r#" |~ "(?:a|b)|(?i:c)""#,
            ),
            (vec![item("a\n\u{1}é")], vec![], " |= \"a\\n\\u0001é\""),
        ] {
            let rule = Rule {
                matches: Match {
                    all,
                    any,
                    ..Match::default()
                },
                ..base.clone()
            };
            check(
                &rule,
                &[("namespace", "a")],
                &format!(r#"{{namespace="a"}}{expected}"#),
            );
        }
    }

    /// The rule in another class.
    fn with(condition: Condition) -> Rule {
        let mut rule = Rule {
            condition,
            ..rule()
        };
        rule.matches.any = vec![item("own")];
        rule
    }

    fn sequence(steps: Vec<Match>, absent: Option<Match>) -> Rule {
        let steps = steps.into_iter().map(|matches| Step {
            matches,
            count: NonZeroU32::MIN,
        });
        let mut rule = with(Condition::Sequence(Sequence {
            within: Duration::from_secs(60),
            steps: steps.collect(),
            absent: absent.map(Box::new),
        }));
        rule.matches = Match::default();
        rule
    }

    fn any(items: Vec<Item>) -> Match {
        Match {
            any: items,
            ..Match::default()
        }
    }

    #[test]
    fn a_sequence_s_query_is_of_any_of_its_steps_once_each() {
        let labels = [("namespace", "a")];
        let one = any(vec![item("a"), item("b")]);
        let both = Match {
            all: vec![item("c"), item("d")],
            none: vec![Exclude::Item(item("e"))],
            ..Match::default()
        };
        check(
            &sequence(vec![one.clone(), both.clone()], Some(any(vec![item("b")]))),
            &labels,
            r#"{namespace="a"} |~ "a|b|c""#,
        );
        check(
            &sequence(
                vec![any(vec![item("a")]), any(vec![item("a")])],
                Some(any(vec![item("a")])),
            ),
            &labels,
            r#"{namespace="a"} |= "a""#,
        );
        check(
            &sequence(vec![both], None),
            &labels,
            r#"{namespace="a"} |= "c" |= "d" != "e""#,
        );
        // A step without items may be any line.
        check(
            &sequence(vec![one, Match::default()], None),
            &labels,
            r#"{namespace="a"}"#,
        );
    }

    #[test]
    fn each_class_has_the_query_of_the_lines_that_are_its_own() {
        let minute = Duration::from_secs(60);
        let labels = [("namespace", "a")];
        let ratio = Condition::Ratio(Ratio {
            comparison: Comparison::Above,
            percent: Decimal {
                millionths: 5 * Decimal::ONE,
            },
            window: minute,
            total: Some(Box::new(any(vec![item("request")]))),
            min_count: 20,
        });
        check(&with(ratio), &labels, r#"{namespace="a"} |= "own""#);
        let absent = || {
            Condition::Absent(Absent {
                span: minute,
                expect: Vec::new(),
                forget: None,
            })
        };
        check(&with(absent()), &labels, r#"{namespace="a"} |= "own""#);
        let mut anything = with(absent());
        anything.matches = Match::default();
        check(&anything, &labels, r#"{namespace="a"}"#);
        let new_value = Condition::NewValue { learn: minute };
        check(&with(new_value), &labels, r#"{namespace="a"} |= "own""#);
    }

    #[test]
    fn what_reads_no_lines_has_no_query_and_no_link() {
        let correlate = with(Condition::Correlate(Correlate {
            within: Duration::from_secs(60),
            all: vec![Part::Rule("a".to_owned())],
            any: Vec::new(),
            none: Vec::new(),
            at_least: 0,
            hides: false,
        }));
        let set = RuleSet::default().with_own();
        let (_, own) = set.find(OVERLOADED).expect("it ships");
        for rule in [&correlate, &**own] {
            let origin = Origin {
                grafana: Some(Grafana {
                    url: "https://grafana.example".to_owned(),
                    datasource: "loki-1".to_owned(),
                }),
                ..origin()
            };
            let link = LogsLink::new(rule, [], Timestamp::new(0), Timestamp::new(0), &origin);
            assert_eq!((&*link.logql, link.url), ("", None));
        }
    }

    #[test]
    fn a_selector_always_has_a_matcher_that_loki_accepts() {
        let matches = |source: &str| {
            let anchored = Regex::new(&format!("^(?:{source})$")).expect("valid");
            Test::Matches(source.to_owned(), anchored)
        };
        let mut rule = rule();
        check(&rule, &[], r#"{service_name=~".+"}"#);
        check(
            &rule,
            &[("namespace", "")],
            r#"{namespace="", service_name=~".+"}"#,
        );
        check(
            &rule,
            &[("user.name", "bob"), ("", "x")],
            r#"{service_name=~".+"}"#,
        );
        rule.selector = Selector(vec![matcher("pod", matches("a?"))]);
        check(&rule, &[], r#"{pod=~"a?", service_name=~".+"}"#);
        rule.selector = Selector(vec![matcher("pod", matches("a.*"))]);
        check(&rule, &[], r#"{pod=~"a.*"}"#);
        rule.selector = Selector(vec![matcher(
            "pod",
            Test::OneOf(vec!["a.b".to_owned(), "c".to_owned()]),
        )]);
        check(&rule, &[], r#"{pod=~"a\\.b|c"}"#);
        rule.unless = Some(Selector(vec![matcher("app", Test::Equal("x".to_owned()))]));
        check(&rule, &[], r#"{pod=~"a\\.b|c", app!="x"}"#);
    }

    #[test]
    fn a_query_that_is_too_long_shows_the_streams_only() {
        let mut rule = rule();
        rule.matches.any = vec![item(&"x".repeat(3000)), item(&"y".repeat(3000))];
        check(&rule, &[("namespace", "a")], r#"{namespace="a"}"#);
    }

    #[test]
    fn a_link_opens_the_query_in_grafana_with_some_minutes_around_it() {
        let mut rule = rule();
        rule.matches.any = vec![item("a & b")];
        let origin = Origin {
            grafana: Some(Grafana {
                url: "https://grafana.example".to_owned(),
                datasource: "loki-1".to_owned(),
            }),
            ..origin()
        };
        let time = |text: &str| text.parse::<Timestamp>().expect("a time");
        let link = LogsLink::new(
            &rule,
            [("namespace", "x")],
            time("2026-11-20T09:58:02Z"),
            time("2026-11-20T10:18:59.5Z"),
            &origin,
        );
        assert_eq!(link.from, time("2026-11-20T09:53:02Z"));
        assert_eq!(link.to, time("2026-11-20T10:23:59.5Z"));
        let url = link.url.expect("Grafana is configured");
        let panes = url
            .strip_prefix("https://grafana.example/explore?schemaVersion=1&panes=")
            .expect("the address of Explore");
        assert!(
            panes
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte))
        );
        let mut decoded = Vec::new();
        let mut rest = panes.bytes();
        while let Some(byte) = rest.next() {
            decoded.push(match byte {
                b'%' => {
                    let digits = [rest.next(), rest.next()]
                        .map(|digit| char::from(digit.expect("two digits")));
                    u8::from_str_radix(&digits.iter().collect::<String>(), 16).expect("hexadecimal")
                }
                byte => byte,
            });
        }
        let panes: serde_json::Value = serde_json::from_slice(&decoded).expect("JSON");
        assert_eq!(panes["logs"]["datasource"], "loki-1");
        assert_eq!(
            panes["logs"]["queries"][0]["expr"],
            r#"{namespace="x"} |= "a & b""#
        );
        assert_eq!(panes["logs"]["range"]["from"], "1795168382000");
        assert_eq!(panes["logs"]["range"]["to"], "1795170239500");
    }
}
