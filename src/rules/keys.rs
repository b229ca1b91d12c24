//! The rule language's keys, each described once: what reads them, suggests them and prints their JSON Schema uses this table.

use Place::{Evidence, File, Item, Match, Recover, Rule, Test, TestFile};

/// Which map a key belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The file itself.
    File,
    /// A rule, and mostly `defaults` too.
    Rule,
    /// `match`, where it is a map.
    Match,
    /// An item of `match`, where it is a map.
    Item,
    /// `recover`, where it is a map.
    Recover,
    /// `evidence`.
    Evidence,
    /// A file of tests itself.
    TestFile,
    /// One test of it.
    Test,
}

impl Place {
    /// How the map is called in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            File => "a rule file",
            Rule => "a rule",
            Match => "`match`",
            Item => "an item of `match`",
            Recover => "`recover`",
            Evidence => "`evidence`",
            TestFile => "a file of tests",
            Test => "a test",
        }
    }
}

/// What a key's value looks like; names a definition of the schema where it is more than one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    Texts,
    Flag,
    Lines,
    Duration,
    OneOf(&'static [&'static str]),
    Token,
    /// `$ref` to a definition of this name.
    Def(&'static str),
}

/// Whether this version reads a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Support {
    Now,
    /// A later version will; until then, this is what to do.
    Later(&'static str),
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) place: Place,
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) support: Support,
    /// For people: also the description in the JSON Schema.
    pub(super) doc: &'static str,
}

pub(super) const SEVERITIES: &[&str] = &["info", "warning", "critical"];
pub(super) const CONFIDENCES: &[&str] = &["low", "medium", "high"];
pub(super) const PARSES: &[&str] = &["auto", "json", "logfmt", "none"];

/// Keys that only one rule can have, so they do not go into `defaults`.
pub(super) const NOT_DEFAULTS: &[&str] = &["id", "name", "match", "catches", "passes"];

const fn now(place: Place, name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key {
        place,
        name,
        shape,
        support: Support::Now,
        doc,
    }
}

const fn later(name: &'static str, instead: &'static str) -> Key {
    Key {
        place: Rule,
        name,
        shape: Shape::Text,
        support: Support::Later(instead),
        doc: "",
    }
}

const WITHOUT: &str =
    "this version counts lines that match; take the rule out until one that supports it";

/// Every key, in the order in which people write them.
#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    now(File, "defaults", Shape::Def("defaults"), "Keys for every rule of this file that does not have them itself."),
    now(File, "rules", Shape::Def("rules"), "The rules of this file."),

    now(Rule, "id", Shape::Def("id"), "Unique over all files: `[a-z0-9_]{1,64}`. It goes into keys, metrics and messages."),
    now(Rule, "name", Shape::Text, "Title for people."),
    now(Rule, "description", Shape::Text, "What it means, likely causes, first steps."),
    now(Rule, "owner", Shape::Text, "Who looks after it."),
    now(Rule, "version", Shape::Text, "The author's own version; messages also carry a hash of the rule."),
    now(Rule, "enabled", Shape::Flag, "`false` takes the rule out; it is checked all the same. Default: `true`."),
    now(Rule, "selector", Shape::Def("selector"), "Streams by label, as in Loki: `namespace=a, component=~\"api.*\"`; or a map `{namespace: a, app: [b, c]}`. Default: all streams."),
    now(Rule, "unless", Shape::Def("selector"), "Streams left out, written like `selector`."),
    now(Rule, "parse", Shape::OneOf(PARSES), "How fields are read from a line. `auto`: JSON where it starts with `{`, logfmt where it begins with `name=`. Default: `auto`."),
    now(Rule, "match", Shape::Def("match"), "Which lines count: a text, a list of texts (any of them), or a map of `any`, `all`, `none` and `fields`, all of which must hold."),
    now(Rule, "ignore_case", Shape::Flag, "Whether ASCII letters match in both cases, in texts, expressions and field values. Default: `false`."),
    now(Rule, "threshold", Shape::Def("threshold"), "How many matches within which time make a finding: `5 in 10m`, `<= 4 in 1h`. Default: every match."),
    now(Rule, "by", Shape::Texts, "Labels, fields or captures: one finding for each combination of their values. Default: one finding for the rule."),
    now(Rule, "for", Shape::Duration, "How long the threshold must hold before a finding opens. Default: `0`."),
    now(Rule, "severity", Shape::OneOf(SEVERITIES), "How bad it is. Default: `warning`."),
    now(Rule, "confidence", Shape::OneOf(CONFIDENCES), "How sure a match is to mean what the rule says. Default: `medium`."),
    now(Rule, "recover", Shape::Def("recover"), "When a finding is over: after `10m` of quiet, `{after: 10m, match: …}` (whichever is first), or `never` for what happens once. Default: the threshold's window, at least `5m`."),
    now(Rule, "cooldown", Shape::Duration, "At most one repeated message per this time; coming back within it continues the same finding. Default: `15m`."),
    now(Rule, "incident_type", Shape::Token, "What kind of incident it is: `[a-z0-9_]{1,64}`. Part of the subject."),
    now(Rule, "domain", Shape::Token, "The domain of that type. Part of the subject. Default: `application_services`."),
    now(Rule, "summary", Shape::Text, "The finding's one line. `{name}` stands for a name of `by`, a capture, a name of `fields`, `count`, `rate` or `window`; `{{` is a brace. Default: generated."),
    now(Rule, "runbook", Shape::Def("url"), "Link for people."),
    now(Rule, "evidence", Shape::Def("evidence"), "What a finding quotes: `{lines: 4, redact: ['card \\d+']}`."),
    now(Rule, "catches", Shape::Lines, "Example lines that must match."),
    now(Rule, "passes", Shape::Lines, "Example lines that must not match."),

    later("tags", "remove it: nothing reads it"),
    later("environments", "keep the rules of one environment in a directory of their own, and name it with `--rules`"),
    later("extends", "copy the shipped rule whole, under an id of its own"),
    later("total", "this version counts, and has no ratios: write a count, such as `threshold: 20 in 5m`"),
    later("min_count", "this version counts, and has no ratios: write a count, such as `threshold: 20 in 5m`"),
    later("absent", "`threshold: \"<= 0 in 15m\"` comes near it: it speaks once a line has been seen and then none for 15m"),
    later("sequence", WITHOUT),
    later("correlate", WITHOUT),
    later("new_value", WITHOUT),
    later("new_pattern", WITHOUT),
    later("escalate", "write a second rule with a higher threshold and `severity: critical`"),
    later("suppress", "silence the findings where they are received"),
    later("route", "remove it, and route on the message's `rule`, `owner` or `severity`"),
    later("actions", "remove it: nothing reads it"),
    later("late_by", "set it for all rules in the configuration"),
    later("keys_max", "set it for all rules in the configuration"),
    later("hints", "name the rules in `description`"),

    now(Match, "any", Shape::Def("items"), "At least one of these is in the line."),
    now(Match, "all", Shape::Def("items"), "Each of these is in the line."),
    now(Match, "none", Shape::Def("excludes"), "None of these is in the line; `{rule: id}` stands for the whole `match` of that rule."),
    now(Match, "fields", Shape::Def("fields"), "Each of these fields as stated: JSON paths (dotted), logfmt keys, structured metadata, labels. `{status: \">= 500\", level: [error, fatal], user: {re: '^svc-'}}`"),
    now(Match, "re", Shape::Def("regex"), "A regular expression; not together with the groups."),

    now(Item, "re", Shape::Def("regex"), "A regular expression in the syntax of Rust's `regex`; named groups `(?P<name>…)` are captures."),
    now(Item, "rule", Shape::Def("id"), "In `none`: the whole `match` of the rule with this id."),

    now(Recover, "after", Shape::Duration, "This much quiet ends it."),
    now(Recover, "match", Shape::Def("match"), "A line of the rule's streams that matches this ends it."),

    now(Evidence, "lines", Shape::Def("evidence_lines"), "How many lines are quoted: the first and the last ones. 0 to 16; default 4."),
    now(Evidence, "redact", Shape::Texts, "Expressions whose matches are blacked out, beside what always is."),

    now(TestFile, "rules", Shape::Texts, "The rule files that are tested, and no others: paths as seen from this file."),
    now(TestFile, "tests", Shape::Def("tests"), "The tests of this file. Each begins with nothing counted and nothing open."),

    now(Test, "name", Shape::Text, "A sentence about what happens: it is shown when it does not, and `--filter` looks for it."),
    now(Test, "labels", Shape::Def("labels"), "Labels of every line: `{namespace: shop, app: api}`."),
    now(Test, "logs", Shape::Text, "What is logged, a line each: `0m a text`, `0m +1m x5 a text` for five, `4m@20m a text` for one that arrives late, `0m {app=web} a text` with labels of its own. Blank lines, and lines that begin with `#`, are skipped."),
    now(Test, "until", Shape::Duration, "When the test ends; what is due exactly then still happens. Default: the last line's time."),
    now(Test, "expect", Shape::Def("expect"), "Every message, `[]` for none: `4m observed ldap_unavailable severity=warning count=5`. What is not listed after the rule may be anything."),
    now(Test, "start", Shape::Def("time"), "The time that offsets count from. Default: `2026-01-01T00:00:00Z`."),
    now(Test, "only", Shape::Texts, "Ids of rules: messages of others are left out of this test."),
    now(Test, "environment", Shape::Text, "The environment that the test runs in: chooses rules by their `environments`."),
];

/// What people write instead, coming from other tools.
#[rustfmt::skip]
const OTHER_WORDS: &[(Place, &str, &str)] = &[
    (File, "rule", "rules"), (File, "groups", "rules"), (File, "alerts", "rules"), (File, "default", "defaults"),
    (Rule, "labels", "selector"), (Rule, "stream", "selector"), (Rule, "streams", "selector"), (Rule, "where", "selector"),
    (Rule, "expr", "match"), (Rule, "query", "match"), (Rule, "pattern", "match"), (Rule, "patterns", "match"),
    (Rule, "matches", "match"), (Rule, "regex", "match"), (Rule, "re", "match"), (Rule, "any", "match"), (Rule, "all", "match"),
    (Rule, "none", "match"), (Rule, "fields", "match"), (Rule, "exclude", "unless"), (Rule, "except", "unless"),
    (Rule, "level", "severity"), (Rule, "priority", "severity"), (Rule, "type", "incident_type"),
    (Rule, "group_by", "by"), (Rule, "groupby", "by"), (Rule, "keys", "by"), (Rule, "count", "threshold"), (Rule, "window", "threshold"),
    (Rule, "condition", "threshold"), (Rule, "duration", "for"), (Rule, "hold", "for"), (Rule, "title", "name"), (Rule, "alert", "name"),
    (Rule, "message", "summary"), (Rule, "annotations", "summary"), (Rule, "runbook_url", "runbook"), (Rule, "link", "runbook"),
    (Rule, "team", "owner"), (Rule, "disabled", "enabled"), (Rule, "format", "parse"), (Rule, "case_insensitive", "ignore_case"),
    (Rule, "ignorecase", "ignore_case"), (Rule, "examples", "catches"), (Rule, "resolve", "recover"), (Rule, "recovery", "recover"),
    (Match, "or", "any"), (Match, "and", "all"), (Match, "not", "none"), (Match, "except", "none"), (Match, "exclude", "none"),
    (Match, "regex", "re"), (Match, "regexp", "re"), (Match, "pattern", "re"), (Match, "field", "fields"), (Match, "where", "fields"),
    (Item, "regex", "re"), (Item, "regexp", "re"), (Item, "pattern", "re"), (Item, "id", "rule"),
    (TestFile, "rule", "rules"), (TestFile, "rule_files", "rules"), (TestFile, "test", "tests"), (TestFile, "cases", "tests"),
    (Test, "title", "name"), (Test, "description", "name"), (Test, "label", "labels"), (Test, "stream", "labels"), (Test, "log", "logs"),
    (Test, "lines", "logs"), (Test, "input", "logs"), (Test, "input_series", "logs"), (Test, "end", "until"), (Test, "expected", "expect"),
    (Test, "expects", "expect"), (Test, "findings", "expect"), (Test, "messages", "expect"), (Test, "from", "start"), (Test, "rules", "only"),
    (Test, "env", "environment"),
    (Recover, "quiet", "after"), (Recover, "when", "match"), (Evidence, "count", "lines"), (Evidence, "mask", "redact"),
];

/// The key `name` of `place`.
pub(super) fn find(place: Place, name: &str) -> Option<&'static Key> {
    KEYS.iter()
        .find(|key| key.place == place && key.name == name)
}

/// Whether any map of the language has the key `name`.
pub(super) fn is_key(name: &str) -> bool {
    KEYS.iter().any(|key| key.name == name)
}

/// The key of `place` that somebody who wrote `word` may have meant.
pub(super) fn meant(place: Place, word: &str) -> Option<&'static str> {
    let lower = word.to_ascii_lowercase().replace('-', "_");
    OTHER_WORDS
        .iter()
        .find(|(at, other, _)| *at == place && *other == lower)
        .map(|(_, _, key)| *key)
        .or_else(|| {
            let names = KEYS
                .iter()
                .filter(|key| key.place == place)
                .map(|key| key.name);
            nearest(&lower, names)
        })
}

/// The candidate that differs from `word` by fewest letters, if it is near enough to be a slip: one letter in a short word,
/// two in a longer one. A letter too many, too few or wrong, or two neighbours exchanged, count one.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // Nobody mistypes a word of this length, and the table below is quadratic.
    if word.len() > 80 {
        return None;
    }
    let word: Vec<char> = word.to_ascii_lowercase().chars().collect();
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let letters: Vec<char> = candidate.to_ascii_lowercase().chars().collect();
            let slack = match word.len().min(letters.len()) {
                0..=2 => 0,
                3..=4 => 1,
                _ => 2,
            };
            let distance = distance(&word, &letters);
            (distance <= slack).then_some((distance, candidate))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// Optimal string alignment distance.
fn distance(a: &[char], b: &[char]) -> usize {
    let width = b.len() + 1;
    let mut table = vec![0; (a.len() + 1) * width];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            table[i * width + j] = if i == 0 || j == 0 {
                i + j
            } else {
                let changed = usize::from(a[i - 1] != b[j - 1]);
                let mut least = (table[(i - 1) * width + j] + 1)
                    .min(table[i * width + j - 1] + 1)
                    .min(table[(i - 1) * width + j - 1] + changed);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    least = least.min(table[(i - 2) * width + j - 2] + 1);
                }
                least
            };
        }
    }
    table[a.len() * width + b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_find_the_key_that_was_meant() {
        for (word, key) in [
            ("treshold", Some("threshold")),
            ("serverity", Some("severity")),
            ("sevreity", Some("severity")),
            ("incident-type", Some("incident_type")),
            ("Match", Some("match")),
            ("mtach", Some("match")),
            ("fro", Some("for")),
            ("group_by", Some("by")),
            ("xy", None),
            ("completely", None),
        ] {
            assert_eq!(meant(Rule, word), key, "{word}");
        }
        assert_eq!(nearest(&"x".repeat(1 << 20), ["x"]), None);
    }

    #[test]
    fn every_key_of_this_version_is_described_and_every_other_word_leads_to_one() {
        for key in KEYS {
            assert_eq!(
                key.support == Support::Now,
                !key.doc.is_empty(),
                "{}",
                key.name
            );
        }
        for (place, word, key) in OTHER_WORDS {
            assert!(find(*place, key).is_some(), "{key}");
            assert!(find(*place, word).is_none(), "{word}");
        }
    }
}
