//! The rule language's keys, each described once: what reads them, suggests them and prints their JSON Schema uses this table.

use Place::{
    Absent, Correlate, Domain, Escalate, Evidence, File, IncidentType, Item, Match, NewPattern,
    NewValue, Overlay, Policy, Recover, Rule, Sequence, Step, Test, TestFile,
};

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
    /// `absent`, where it is a map.
    Absent,
    /// `sequence`.
    Sequence,
    /// An item of `steps`.
    Step,
    /// `correlate`.
    Correlate,
    /// `new_value`.
    NewValue,
    /// `new_pattern`.
    NewPattern,
    /// An item of `escalate`.
    Escalate,
    /// `recover`, where it is a map.
    Recover,
    /// `evidence`.
    Evidence,
    /// A file of tests itself.
    TestFile,
    /// One test of it.
    Test,
    /// An item of `domains`.
    Domain,
    /// An item of `incident_types`.
    IncidentType,
    /// `policy` of an incident type.
    Policy,
    /// A policy for one environment.
    Overlay,
}

impl Place {
    /// How the map is called in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            File => "a rule file",
            Rule => "a rule",
            Match => "`match`",
            Item => "an item of `match`",
            Absent => "`absent`",
            Sequence => "`sequence`",
            Step => "a step of `sequence`",
            Correlate => "`correlate`",
            NewValue => "`new_value`",
            NewPattern => "`new_pattern`",
            Escalate => "an item of `escalate`",
            Recover => "`recover`",
            Evidence => "`evidence`",
            TestFile => "a file of tests",
            Test => "a test",
            Domain => "a domain",
            IncidentType => "an incident type",
            Policy => "`policy`",
            Overlay => "the policy of an environment",
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
    /// A whole number, at least and at most.
    Number(u64, u64),
    Token,
    /// Some of [`PROFILE`].
    Profile,
    /// `$ref` to a definition of this name.
    Def(&'static str),
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) place: Place,
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// For people: also the description in the JSON Schema.
    pub(super) doc: &'static str,
}

/// In the order of `Severity::ALL`.
pub(super) const SEVERITIES: &[&str] = &["info", "warning", "critical"];
/// What severity can rise to.
pub(super) const RAISED: &[&str] = &["warning", "critical"];
pub(super) const CONFIDENCES: &[&str] = &["low", "medium", "high"];
pub(super) const PARSES: &[&str] = &["auto", "json", "logfmt", "none"];

/// What can be done about an incident, from looking to what hurts.
pub(super) const ACTION_CLASSES: &[&str] =
    &["observe", "notify", "contain", "recover", "disruptive"];
/// Those of them that a rule may ask for.
pub(super) const PROFILE: &[&str] = &["observe", "notify", "contain"];

/// Keys that only one rule can have, so they do not go into `defaults`.
pub(super) const NOT_DEFAULTS: &[&str] = &[
    "id",
    "extends",
    "name",
    "match",
    "sequence",
    "correlate",
    "catches",
    "passes",
];

const fn key(place: Place, name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key {
        place,
        name,
        shape,
        doc,
    }
}

/// Largest `min_count`.
pub(super) const MIN_COUNT_MAX: u64 = 1_000_000;
/// Largest `count` of a step: each of its entries is remembered for each key.
pub(super) const STEP_COUNT_MAX: u64 = 1000;
/// Largest `keys_max`, as in the settings.
pub(super) const KEYS_MAX_MAX: u64 = 1_000_000;
/// Most parts of a `correlate`.
pub(super) const PARTS_MAX: usize = 64;

/// Every key, in the order in which people write them.
#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    key(File, "defaults", Shape::Def("defaults"), "Keys for every rule of this file that does not have them itself."),
    key(File, "rules", Shape::Def("rules"), "The rules of this file."),
    key(File, "domains", Shape::Def("domains"), "Domains beside those that ship."),
    key(File, "incident_types", Shape::Def("incident_types"), "Incident types beside those that ship, and what differs for one that ships."),

    key(Rule, "id", Shape::Def("id"), "Unique over all files: `[a-z0-9_]{1,64}`. It goes into keys, metrics and messages."),
    key(Rule, "extends", Shape::Token, "Id of a rule that ships with trommel: the keys given here replace its keys. With the same `id` or none it replaces that rule, with another it is a rule beside it."),
    key(Rule, "name", Shape::Text, "Title for people."),
    key(Rule, "description", Shape::Text, "What it means, likely causes, first steps."),
    key(Rule, "owner", Shape::Text, "Who looks after it."),
    key(Rule, "version", Shape::Text, "The author's own version; messages also carry a hash of the rule."),
    key(Rule, "tags", Shape::Texts, "Words to find it by, for people."),
    key(Rule, "enabled", Shape::Flag, "`false` takes the rule out; it is checked all the same. Default: `true`."),
    key(Rule, "environments", Shape::Def("environments"), "Where the rule is on, by the `environment` of the settings: `[staging, production]`. Default: everywhere."),
    key(Rule, "selector", Shape::Def("selector"), "Streams by label, as in Loki: `namespace=a, component=~\"api.*\"`; or a map `{namespace: a, app: [b, c]}`. Default: all streams."),
    key(Rule, "unless", Shape::Def("selector"), "Streams left out, written like `selector`."),
    key(Rule, "parse", Shape::OneOf(PARSES), "How fields are read from a line. `auto`: JSON where it starts with `{`, logfmt where it begins with `name=`. Default: `auto`."),
    key(Rule, "match", Shape::Def("match"), "Which lines count: a text, a list of texts (any of them), or a map of `any`, `all`, `none` and `fields`, all of which must hold."),
    key(Rule, "ignore_case", Shape::Flag, "Whether ASCII letters match in both cases, in texts, expressions and field values. Default: `false`."),
    key(Rule, "threshold", Shape::Def("threshold"), "What makes a finding of matches: a count `5 in 10m`, different values `3 distinct pod in 10m`, a share `> 5% in 5m`, or a factor against the past `3x in 5m vs 1h`; each also with `>=`, `>`, `<` or `<=` in front. Default: every match."),
    key(Rule, "total", Shape::Def("match"), "For a share in percent: the lines that it is a share of, written like `match`. Default: every line of the rule's streams."),
    key(Rule, "min_count", Shape::Number(1, MIN_COUNT_MAX), "For a share and a factor: no verdict while the total, or the count, is smaller. Default: `20`."),
    key(Rule, "absent", Shape::Def("absent"), "Nothing matched for this long: `15m`, or `{for: 15m, expect: [{cluster: a}], forget: 7d}`. Without `match`, any line of the rule's streams will do."),
    key(Rule, "sequence", Shape::Def("sequence"), "Matches in a given order: `{within: 5m, steps: [{match: …, count: 5}, {match: …}]}`; a last step with `absent: true` must not come."),
    key(Rule, "correlate", Shape::Def("correlate"), "Findings of other rules at the same time, joined on `by`: `{within: 10m, all: [one_rule], any: [another, an_incident_type], none: [a_third], hides: true}`."),
    key(Rule, "new_value", Shape::Def("new_value"), "A value not seen before: `{field: image, learn: 24h}`."),
    key(Rule, "new_pattern", Shape::Def("new_pattern"), "A kind of line not seen before: `{learn: 24h, threshold: 5 in 1m}`."),
    key(Rule, "by", Shape::Texts, "Labels, fields, captures or derived names (`namespace`, `workload`, `node`, `installer`, `run_id`, `run_attempt`): one finding for each combination of their values. Default: one finding for the rule."),
    key(Rule, "for", Shape::Duration, "How long the threshold must hold before a finding opens. Default: `0`."),
    key(Rule, "severity", Shape::OneOf(SEVERITIES), "How bad it is. Default: that of the incident type, else `warning`."),
    key(Rule, "escalate", Shape::Def("escalate"), "What raises the severity of an open finding: `[{to: critical, after: 10m}, {to: critical, threshold: 50 in 10m}, {to: critical, threshold: 2 distinct node in 10m}, {to: critical, match: …}]`."),
    key(Rule, "confidence", Shape::OneOf(CONFIDENCES), "How sure a match is to mean what the rule says. Default: `medium`."),
    key(Rule, "recover", Shape::Def("recover"), "When a finding is over: after `10m` of quiet, `{after: 10m, match: …}` (whichever is first), or `never` for what happens once. Default: the threshold's window, at least `5m`."),
    key(Rule, "cooldown", Shape::Duration, "At most one repeated message per this time; coming back within it continues the same finding. Default: `15m`."),
    key(Rule, "suppress", Shape::Texts, "When messages are held back: `Sun 10:00-12:00 Europe/Moscow`, `2026-12-24T00:00Z/2026-12-26T00:00Z`. What is still open at the end is announced then."),
    key(Rule, "incident_type", Shape::Token, "What kind of incident it is: one that ships, or one under `incident_types`. Part of the subject."),
    key(Rule, "domain", Shape::Token, "The domain of that type, for readers: it follows from the type. Part of the subject."),
    key(Rule, "summary", Shape::Text, "The finding's one line. `{name}` stands for a name of `by`, a capture, a name of `fields`, `count`, `rate` or `window`; `{{` is a brace. Default: generated."),
    key(Rule, "runbook", Shape::Def("url"), "Link for people."),
    key(Rule, "route", Shape::Text, "Name of a notification policy; carried to the message."),
    key(Rule, "actions", Shape::Profile, "Which classes of actions are automatic for this rule's findings: of `observe`, `notify` and `contain`, never more. Carried to the message as advice. Default: as the incident type's policy says."),
    key(Rule, "hints", Shape::Texts, "Rules and other things worth a look together with this one; carried to the message."),
    key(Rule, "keys_max", Shape::Number(1, KEYS_MAX_MAX), "Most combinations of `by` that are kept. Default: that of the settings."),
    key(Rule, "late_by", Shape::Duration, "How far lines may be out of order, `1h` at most. Default: that of the settings."),
    key(Rule, "evidence", Shape::Def("evidence"), "What a finding quotes: `{lines: 4, redact: ['card \\d+']}`."),
    key(Rule, "catches", Shape::Lines, "Example lines that must match."),
    key(Rule, "passes", Shape::Lines, "Example lines that must not match."),
    key(Rule, "allow", Shape::Def("allow"), "Warnings that are meant here, by their codes: `[L003]`. `trommel check --explain L003` says what one is about."),


    key(Match, "any", Shape::Def("items"), "At least one of these is in the line."),
    key(Match, "all", Shape::Def("items"), "Each of these is in the line."),
    key(Match, "none", Shape::Def("excludes"), "None of these is in the line; `{rule: id}` stands for the whole `match` of that rule."),
    key(Match, "fields", Shape::Def("fields"), "Each of these fields as stated: JSON paths (dotted), logfmt keys, structured metadata, labels. `{status: \">= 500\", level: [error, fatal], user: {re: '^svc-'}}`"),
    key(Match, "re", Shape::Def("regex"), "A regular expression; not together with the groups."),

    key(Item, "re", Shape::Def("regex"), "A regular expression in the syntax of Rust's `regex`; named groups `(?P<name>…)` are captures."),
    key(Item, "rule", Shape::Def("id"), "In `none`: the whole `match` of the rule with this id."),

    key(Absent, "for", Shape::Duration, "How long nothing may come."),
    key(Absent, "expect", Shape::Def("expect"), "Keys that must appear even if never seen: maps with exactly the names of `by`."),
    key(Absent, "forget", Shape::Duration, "A key that has been away this long is expected no more; longer than `for`. Default: never."),

    key(Sequence, "within", Shape::Duration, "From the first line to the last."),
    key(Sequence, "steps", Shape::Def("steps"), "What must come, in this order: two steps or more."),

    key(Step, "match", Shape::Def("match"), "Which lines."),
    key(Step, "count", Shape::Number(1, STEP_COUNT_MAX), "How many of them. Default: `1`."),
    key(Step, "absent", Shape::Flag, "`true` for the last step: it must not come. Default: `false`."),

    key(Correlate, "within", Shape::Duration, "How long ago a part's last match may be when the finding opens."),
    key(Correlate, "all", Shape::Def("parts"), "Ids of rules, or incident types: a finding of each must be open."),
    key(Correlate, "any", Shape::Def("parts"), "Findings of `at_least` of these must be open."),
    key(Correlate, "none", Shape::Def("parts"), "No finding of these may be open when this one opens."),
    key(Correlate, "at_least", Shape::Number(1, PARTS_MAX as u64), "How many of `any`. Default: `1`."),
    key(Correlate, "hides", Shape::Flag, "Whether the messages of the parts are held back while this is open. Default: `false`."),

    key(NewValue, "field", Shape::Text, "The label, field or capture whose values are told apart."),
    key(NewValue, "learn", Shape::Duration, "How long after a key's first match every value is learned without a word. Default: `24h`."),

    key(NewPattern, "learn", Shape::Duration, "How long after a key's first match every pattern is learned without a word. Default: `24h`."),
    key(NewPattern, "threshold", Shape::Def("threshold"), "How often a new pattern must come: a count, at least. Default: `1 in 1m`."),

    key(Escalate, "to", Shape::OneOf(RAISED), "What the severity becomes, if that is higher."),
    key(Escalate, "after", Shape::Duration, "When the finding has been open this long."),
    key(Escalate, "threshold", Shape::Def("threshold"), "When it has had so many matches, `50 in 10m`, or different values, `2 distinct node in 10m`. A name of `by` is counted over all findings of the rule."),
    key(Escalate, "match", Shape::Def("match"), "When one of its lines also matches this."),

    key(Recover, "after", Shape::Duration, "This much quiet ends it."),
    key(Recover, "match", Shape::Def("match"), "A line of the rule's streams that matches this ends it."),

    key(TestFile, "rules", Shape::Texts, "The rule files that are tested, and no others: paths as seen from this file."),
    key(TestFile, "tests", Shape::Def("tests"), "The tests of this file. Each begins with nothing counted and nothing open."),

    key(Test, "name", Shape::Text, "A sentence about what happens: it is shown when it does not, and `--filter` looks for it."),
    key(Test, "labels", Shape::Def("labels"), "Labels of every line: `{namespace: shop, app: api}`."),
    key(Test, "logs", Shape::Def("logs"), "What is logged, a line each: `0m a text`, `0m +1m x5 a text` for five, `4m@20m a text` for one that arrives late, `0m {app=web} a text` with labels of its own. Blank lines, and lines that begin with `#`, are skipped."),
    key(Test, "until", Shape::Duration, "When the test ends; what is due exactly then still happens. Default: the last line's time."),
    key(Test, "expect", Shape::Def("expect"), "Every message, `[]` for none: `4m observed ldap_unavailable severity=warning count=5`. What is not listed after the rule may be anything."),
    key(Test, "start", Shape::Def("time"), "The time that offsets count from. Default: `2026-01-01T00:00:00Z`."),
    key(Test, "only", Shape::Def("parts"), "Ids of rules: messages of others are left out of this test."),
    key(Test, "environment", Shape::Def("environment"), "The environment that the test runs in: chooses rules by their `environments`."),
    key(Evidence, "lines", Shape::Def("evidence_lines"), "How many lines are quoted: the first and the last ones. 0 to 16. Default: `4`."),
    key(Evidence, "redact", Shape::Def("redact"), "Expressions whose matches are blacked out, beside what always is."),

    key(Domain, "id", Shape::Def("id"), "`[a-z0-9_]{1,64}`: the first token of subjects."),
    key(Domain, "display_name", Shape::Text, "Title for people."),
    key(Domain, "description", Shape::Text, "What belongs to it."),

    key(IncidentType, "id", Shape::Def("id"), "`[a-z0-9_]{1,64}`: the second token of subjects. That of a type that ships changes it: the keys given here replace its keys, and what `policy` says is added."),
    key(IncidentType, "domain", Shape::Token, "The id of its domain. Required for a new type."),
    key(IncidentType, "display_name", Shape::Text, "Title for people."),
    key(IncidentType, "description", Shape::Text, "What it is."),
    key(IncidentType, "default_severity", Shape::OneOf(SEVERITIES), "Severity of rules that have none. Default: `warning`."),
    key(IncidentType, "always_critical", Shape::Flag, "Whether no rule may lower its severity. Default: `false`."),
    key(IncidentType, "policy", Shape::Def("policy"), "Who may do what: `{automatic: [observe, notify], approval: [{recover: restart the workload}], human_only: [{disruptive: delete data}]}`."),

    key(Policy, "automatic", Shape::Def("actions"), "What needs nobody: never `recover`, never `disruptive`."),
    key(Policy, "approval", Shape::Def("actions"), "What needs somebody's approval."),
    key(Policy, "human_only", Shape::Def("actions"), "What only people do; no other file and no environment can change that."),
    key(Policy, "environments", Shape::Def("overlays"), "What differs in one environment: `{staging: {automatic: [{contain: one limited restart}]}}`."),

    key(Overlay, "automatic", Shape::Def("actions"), "What needs nobody there: never `recover`, never `disruptive`."),
    key(Overlay, "approval", Shape::Def("actions"), "What needs somebody's approval there."),
    key(Overlay, "human_only", Shape::Def("actions"), "What only people do there."),
];

/// What people write instead, coming from other tools.
#[rustfmt::skip]
const OTHER_WORDS: &[(Place, &str, &str)] = &[
    (File, "rule", "rules"), (File, "groups", "rules"), (File, "alerts", "rules"), (File, "default", "defaults"),
    (Rule, "extend", "extends"), (Rule, "base", "extends"), (Rule, "inherits", "extends"), (Rule, "environment", "environments"), (Rule, "env", "environments"), (Rule, "labels", "selector"), (Rule, "stream", "selector"), (Rule, "streams", "selector"), (Rule, "where", "selector"),
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
    (Absent, "within", "for"), (Absent, "after", "for"), (Absent, "keys", "expect"), (Absent, "expected", "expect"),
    (Sequence, "in", "within"), (Sequence, "window", "within"), (Sequence, "for", "within"),
    (Step, "times", "count"), (Step, "threshold", "count"), (Step, "at_least", "count"), (Step, "not", "absent"), (Step, "missing", "absent"),
    (Correlate, "window", "within"), (Correlate, "in", "within"), (Correlate, "not", "none"), (Correlate, "hide", "hides"),
    (Correlate, "min", "at_least"), (Correlate, "and", "all"), (Correlate, "or", "any"),
    (NewValue, "name", "field"), (NewValue, "label", "field"), (NewValue, "by", "field"), (NewPattern, "count", "threshold"),
    (Rule, "silence", "suppress"), (Rule, "mute", "suppress"), (Rule, "maintenance", "suppress"), (Rule, "escalation", "escalate"),
    (Rule, "receiver", "route"), (Rule, "lateness", "late_by"),
    (Escalate, "severity", "to"), (Escalate, "for", "after"), (Escalate, "count", "threshold"), (Escalate, "if", "match"),
    (TestFile, "rule", "rules"), (TestFile, "rule_files", "rules"), (TestFile, "test", "tests"), (TestFile, "cases", "tests"),
    (Test, "title", "name"), (Test, "description", "name"), (Test, "label", "labels"), (Test, "stream", "labels"), (Test, "log", "logs"),
    (Test, "lines", "logs"), (Test, "input", "logs"), (Test, "input_series", "logs"), (Test, "end", "until"), (Test, "expected", "expect"),
    (Test, "expects", "expect"), (Test, "findings", "expect"), (Test, "messages", "expect"), (Test, "from", "start"), (Test, "rules", "only"),
    (Test, "env", "environment"),
    (Rule, "policy", "actions"), (Rule, "action", "actions"), (Rule, "category", "incident_type"),
    (File, "types", "incident_types"), (File, "incidents", "incident_types"), (File, "incident_type", "incident_types"), (File, "domain", "domains"),
    (Domain, "name", "display_name"), (Domain, "title", "display_name"), (IncidentType, "name", "display_name"), (IncidentType, "title", "display_name"),
    (IncidentType, "severity", "default_severity"), (IncidentType, "critical", "always_critical"), (IncidentType, "actions", "policy"),
    (Policy, "auto", "automatic"), (Policy, "needs_approval", "approval"), (Policy, "humans_only", "human_only"), (Policy, "human", "human_only"),
    (Policy, "overlays", "environments"), (Overlay, "auto", "automatic"), (Overlay, "needs_approval", "approval"), (Overlay, "human", "human_only"),
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
    fn every_key_is_described_and_every_other_word_leads_to_one() {
        for key in KEYS {
            assert!(!key.doc.is_empty(), "{}", key.name);
        }
        for (place, word, key) in OTHER_WORDS {
            assert!(find(*place, key).is_some(), "{key}");
            assert!(find(*place, word).is_none(), "{word}");
        }
    }
}
