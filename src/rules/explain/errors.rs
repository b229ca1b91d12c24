//! The errors, one by one.

use super::Explanation;

pub(super) const SYNTAX: Explanation = Explanation {
    title: "YAML cannot read it",
    what: "The file is no YAML, or uses what YAML has and rules have no use for: a tag, an anchor that nothing refers to, a merge key `<<`, a second document.",
    why: "Behind the place of the mistake nothing can be trusted, so the file is refused. Nearly always it is a text that should have been quoted: YAML gives a meaning of its own to `: ` and ` #`, and to texts that begin with one of * & ! | > % @ ` [ { ' \".",
    wrong: "\
rules:
  - id: svc_refused
    match: *.svc refused the connection
    incident_type: runtime_dependency_outage",
    fix: "Put the text in single quotes. Inside them only the single quote is special, and is written twice.",
    right: "\
rules:
  - id: svc_refused
    match: '*.svc refused the connection'
    incident_type: runtime_dependency_outage",
};

pub(super) const UNREADABLE: Explanation = Explanation {
    title: "a file cannot be read",
    what: "A path does not exist or may not be read, leads to something that is no file (a pipe, a device), or to a file that is too large or not UTF-8.",
    why: "Rule files make one set. A rule that is silently missing is worse than an old one, so what cannot be read is no smaller error than what is wrong in it.",
    wrong: "$ trommel check rules/idenity.yaml",
    fix: "Correct the path or its permissions. Save the file as UTF-8. Split a large one: all files of a directory make one set.",
    right: "$ trommel check rules/identity.yaml",
};

pub(super) const DUPLICATE_KEY: Explanation = Explanation {
    title: "one key twice in one map",
    what: "A key is written twice in one map, and only one of its values could count.",
    why: "YAML forbids it, and what reads it anyway takes the first value or the last: a rule would mean one thing here and another elsewhere.",
    wrong: "\
rules:
  - id: disk_full
    match: no space left on device
    match: disk quota exceeded
    incident_type: node_disk_pressure",
    fix: "Remove one of them. Several values of one key make a list; of `match` it means any of them.",
    right: "\
rules:
  - id: disk_full
    match: [no space left on device, disk quota exceeded]
    incident_type: node_disk_pressure",
};

pub(super) const UNKNOWN_KEY: Explanation = Explanation {
    title: "no such key",
    what: "A map has a key that rules do not know, or that belongs elsewhere.",
    why: "A key that is ignored is a rule that does not do what it says. A slip in `threshold` would make every match a finding.",
    wrong: "\
rules:
  - id: disk_full
    match: no space left on device
    treshold: 5 in 10m
    incident_type: node_disk_pressure",
    fix: "The report names the key that was meant, or all that are known there. What is for people only goes into `description`.",
    right: "\
rules:
  - id: disk_full
    match: no space left on device
    threshold: 5 in 10m
    incident_type: node_disk_pressure",
};

pub(super) const MISSING: Explanation = Explanation {
    title: "something that must be there is not",
    what: "A rule lacks a key that it needs, or a key has no value or an empty list.",
    why: "Every rule needs `id`, something to look for, and `incident_type`; everything else has a default. A key without a value is more often an unfinished thought than a wish for the default.",
    wrong: "\
rules:
  - id: disk_full
    match: no space left on device
    by:",
    fix: "Add what is missing. For the default, leave the key out altogether. The text `null` must be quoted.",
    right: "\
rules:
  - id: disk_full
    match: no space left on device
    by: [namespace, app]
    incident_type: node_disk_pressure",
};

pub(super) const SHAPE: Explanation = Explanation {
    title: "a map, a list or a text where another is wanted",
    what: "The value has the wrong form: a list where one text is wanted, a text where a map is, a map where YAML saw `: ` in a text.",
    why: "The value cannot be read as what the key needs. Mostly a text with `: ` in it was meant and YAML took it for a map.",
    wrong: "\
rules:
  - id: nats_away
    match:
      - nats: no servers available
    incident_type: runtime_dependency_outage",
    fix: "Quote texts that hold `: ` or begin with `[` or `{`. Where one value is wanted, write one.",
    right: "\
rules:
  - id: nats_away
    match:
      - 'nats: no servers available'
    incident_type: runtime_dependency_outage",
};

pub(super) const VALUE: Explanation = Explanation {
    title: "a value that is not allowed here",
    what: "The value has the right form and is none of those that the key takes: an unknown word, a name with other characters than it may have, a text that is empty or too long.",
    why: "Severities, types and ids go into subjects, metrics and messages, which others route by. A word that nobody knows would go nowhere.",
    wrong: "\
rules:
  - id: disk_full
    match: no space left on device
    severity: error
    incident_type: node_disk_pressure",
    fix: "The report says what is allowed, and what was probably meant.",
    right: "\
rules:
  - id: disk_full
    match: no space left on device
    severity: critical
    incident_type: node_disk_pressure",
};

pub(super) const DUPLICATE_ID: Explanation = Explanation {
    title: "an id that is taken",
    what: "Two rules have the same id, or a rule has one that trommel keeps for findings about itself (`trommel_…`).",
    why: "The id is part of every finding's key and of metrics: findings of two rules could not be told apart.",
    wrong: "\
rules:
  - id: disk_full
    match: no space left on device
    incident_type: node_disk_pressure
  - id: disk_full
    match: disk quota exceeded
    incident_type: node_disk_pressure",
    fix: "Choose another id; ids are unique over all files, those that ship with trommel included.",
    right: "\
rules:
  - id: disk_full
    match: no space left on device
    incident_type: node_disk_pressure
  - id: quota_full
    match: disk quota exceeded
    incident_type: node_disk_pressure",
};

pub(super) const SELECTOR: Explanation = Explanation {
    title: "a selector that cannot be read, or selects nothing",
    what: "`selector` or `unless` is not what Loki would read between braces, names a label that cannot exist, or demands two values of one label.",
    why: "A selector that means something else than was thought leaves streams unread without a word.",
    wrong: "\
rules:
  - id: api_refused
    selector: app=api, app=worker
    match: connection refused
    incident_type: runtime_dependency_outage",
    fix: "Write matchers with `=`, `!=`, `=~` or `!~`, separated by commas, or a map of labels and values. Braces and quotes are optional; `=~` must match the whole value.",
    right: "\
rules:
  - id: api_refused
    selector: app=~\"api|worker\"
    match: connection refused
    incident_type: runtime_dependency_outage",
};

pub(super) const MATCH: Explanation = Explanation {
    title: "a match that means nothing, or too much",
    what: "The `match` is empty, mixes `re` with groups, or uses a group or a comparison in a way that has no meaning.",
    why: "An empty match is every line of every stream, and two forms in one map leave it open which one counts.",
    wrong: "\
rules:
  - id: ldap_failed
    match: {re: 'LDAP .* has failed', none: retry succeeded}
    incident_type: identity_provider_unreachable",
    fix: "A match is a text, a list of texts (any of them), or a map of `any`, `all`, `none` and `fields`, all of which must hold. An expression beside groups is an item of one.",
    right: "\
rules:
  - id: ldap_failed
    match: {all: [{re: 'LDAP .* has failed'}], none: retry succeeded}
    incident_type: identity_provider_unreachable",
};

pub(super) const REGEX: Explanation = Explanation {
    title: "an expression that does not compile, or matches everything",
    what: "The regular expression has a syntax error, uses what cannot be matched in linear time (look-around, backreferences), compiles to more memory than it may have, or matches the empty string.",
    why: "Expressions run on untrusted lines, so their time and memory must be bounded. One that matches the empty string matches every line.",
    wrong: "\
rules:
  - id: ldap_failed
    match: {re: 'LDAP (?!OK)'}
    incident_type: identity_provider_unreachable",
    fix: "The syntax is that of Rust's `regex`. What must not be in the line goes under `none`; counted repetitions such as `{1000}` are the usual reason for too much memory.",
    right: "\
rules:
  - id: ldap_failed
    match: {any: LDAP Result Code, none: LDAP Result Code 0}
    incident_type: identity_provider_unreachable",
};

pub(super) const THRESHOLD: Explanation = Explanation {
    title: "a threshold that cannot be read",
    what: "`threshold` is no sentence such as `5 in 10m`, `3 distinct pod in 10m`, `> 5% in 5m` or `3x in 5m vs 1h`, or it asks for what can never be or always is.",
    why: "How often within which time is what makes a finding of matches. There is no number that would be a safe guess.",
    wrong: "\
rules:
  - id: login_refused
    match: login was refused
    threshold: 5 per 10m
    incident_type: login_failure_spike",
    fix: "Write a count, `in`, and a time. `>=`, `>`, `<` or `<=` may stand in front, quoted, because `>` begins a block of text in YAML; without one it is at least.",
    right: "\
rules:
  - id: login_refused
    match: login was refused
    threshold: 5 in 10m
    incident_type: login_failure_spike",
};

pub(super) const DURATION: Explanation = Explanation {
    title: "not a duration",
    what: "A time is written as in Prometheus: numbers with units, the larger unit first, such as `30s`, `10m`, `1h30m`, `1d`. Only `0` goes without a unit.",
    why: "A number alone could be seconds, minutes or milliseconds, and the wrong guess makes a rule that never speaks, or always.",
    wrong: "\
rules:
  - id: login_refused
    match: login was refused
    recover: 10
    incident_type: login_failure_spike",
    fix: "Write the unit. There are `ms`, `s`, `m`, `h`, `d`, `w` and `y`.",
    right: "\
rules:
  - id: login_refused
    match: login was refused
    recover: 10m
    incident_type: login_failure_spike",
};

pub(super) const PLACEHOLDER: Explanation = Explanation {
    title: "an unknown placeholder in a summary",
    what: "`{name}` in `summary` is no name of `by`, no capture, no name under `fields`, and none of `count`, `rate` and `window`.",
    why: "The summary is what people read first. A placeholder that nothing fills would leave a hole in it.",
    wrong: "\
rules:
  - id: login_refused
    match: login was refused
    by: [namespace]
    summary: '{count} logins to {app} were refused'
    incident_type: login_failure_spike",
    fix: "Add the label or field to `by`, or capture it with `(?P<name>…)`. A brace that is no placeholder is written twice.",
    right: "\
rules:
  - id: login_refused
    match: login was refused
    by: [namespace, app]
    summary: '{count} logins to {app} were refused'
    incident_type: login_failure_spike",
};

pub(super) const UNKNOWN_RULE: Explanation = Explanation {
    title: "a rule that is referred to and does not exist",
    what: "A rule names another one by an id that no file has.",
    why: "A part that cannot exist would never exclude, explain or hide anything.",
    wrong: "\
rules:
  - id: dial_failed
    match: {any: 'dial tcp: i/o timeout', none: [{rule: ldap_timout}]}
    incident_type: runtime_dependency_outage
  - id: ldap_timeout
    match: LDAP Result Code 200
    incident_type: identity_provider_unreachable",
    fix: "Correct the id. When only some files are given to `check`, give it those that hold the other rules too.",
    right: "\
rules:
  - id: dial_failed
    match: {any: 'dial tcp: i/o timeout', none: [{rule: ldap_timeout}]}
    incident_type: runtime_dependency_outage
  - id: ldap_timeout
    match: LDAP Result Code 200
    incident_type: identity_provider_unreachable",
};

pub(super) const CYCLE: Explanation = Explanation {
    title: "rules that refer to each other in a circle",
    what: "A rule depends on another one that depends on it, directly or through others.",
    why: "Whether either of them matches could not be decided: each waits for the other.",
    wrong: "\
rules:
  - id: dial_failed
    match: {any: i/o timeout, none: [{rule: ldap_timeout}]}
    incident_type: runtime_dependency_outage
  - id: ldap_timeout
    match: {any: LDAP Result Code 200, none: [{rule: dial_failed}]}
    incident_type: identity_provider_unreachable",
    fix: "Let the general rule exclude the specific one, and not the other way round.",
    right: "\
rules:
  - id: dial_failed
    match: {any: i/o timeout, none: [{rule: ldap_timeout}]}
    incident_type: runtime_dependency_outage
  - id: ldap_timeout
    match: LDAP Result Code 200
    incident_type: identity_provider_unreachable",
};

pub(super) const TOO_MANY: Explanation = Explanation {
    title: "more than there may be",
    what: "There are too many files, rules, items, names or levels of nesting, or all expressions together need too much memory. The report names the limit.",
    why: "What rules cost is paid on every start and reload, and partly for every line. Far beyond the limits lies a mistake, such as a wrong path or a list that a program wrote.",
    wrong: "\
rules:
  - id: nested
    match: {any: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[a]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}
    incident_type: workload_failure",
    fix: "Say less: one expression instead of a thousand texts, one rule with `by` instead of one for each service.",
    right: "\
rules:
  - id: nested
    match: a text in the line
    incident_type: workload_failure",
};

pub(super) const CONFLICT: Explanation = Explanation {
    title: "keys that exclude each other",
    what: "A rule has two of the keys that say what kind of rule it is, or a key that its kind has no use for.",
    why: "Which of them should count cannot be told, and a key that is ignored is a rule that does not do what it says.",
    wrong: "\
rules:
  - id: backup_missing
    match: the backup has finished
    absent: 26h
    threshold: 5 in 10m
    incident_type: background_job_missing",
    fix: "Drop one of them, or make two rules. How often is said by `threshold`, in which order by `sequence`, for how long nothing by `absent`.",
    right: "\
rules:
  - id: backup_missing
    match: the backup has finished
    absent: 26h
    incident_type: background_job_missing",
};

pub(super) const UNKNOWN_TYPE: Explanation = Explanation {
    title: "an incident type or domain that no file describes",
    what: "`incident_type` is none of those that ship, and no file describes it under `incident_types`; or a type is of a domain that nobody describes.",
    why: "Domain, default severity and policy follow from the type, and robots act on it. A slip of the pen would be a type of its own, for which nobody listens.",
    wrong: "\
rules:
  - id: disk_full
    match: no space left on device
    incident_type: node_disk_presure",
    fix: "Write one of those that `trommel policy` lists, or describe the new one in a rule file: `incident_types: [{id: …, domain: …}]`.",
    right: "\
rules:
  - id: disk_full
    match: no space left on device
    incident_type: node_disk_pressure",
};

pub(super) const CONSTRAINT: Explanation = Explanation {
    title: "what no file may change",
    what: "A policy makes `recover` or `disruptive` actions automatic, or takes from people what only they may do.",
    why: "Messages carry the policy as advice to robots. What cannot be undone is never done without a person, whatever a file says.",
    wrong: "\
incident_types:
  - id: node_disk_pressure
    policy: {automatic: [{disruptive: reboot the node}]}
rules:
  - id: disk_full
    match: no space left on device
    incident_type: node_disk_pressure",
    fix: "Put the action under `approval`, or leave it where it is.",
    right: "\
incident_types:
  - id: node_disk_pressure
    policy: {approval: [{disruptive: reboot the node}]}
rules:
  - id: disk_full
    match: no space left on device
    incident_type: node_disk_pressure",
};

pub(super) const NOT_CAUGHT: Explanation = Explanation {
    title: "a line of `catches` is not matched",
    what: "A line that the rule says it catches does not fulfil its `match`.",
    why: "Either the example is no line that the rule is meant for, or the rule would miss the very thing that it was written for.",
    wrong: "\
rules:
  - id: disk_full
    match: No space left on device
    incident_type: node_disk_pressure
    catches: 'write /data/wal: no space left on device'",
    fix: "Compare letter by letter: case counts unless `ignore_case: true`, and `none` may spoil the match. Example lines have no labels, so a rule on fields must find them in the line.",
    right: "\
rules:
  - id: disk_full
    match: no space left on device
    incident_type: node_disk_pressure
    catches: 'write /data/wal: no space left on device'",
};

pub(super) const NOT_PASSED: Explanation = Explanation {
    title: "a line of `passes` is matched",
    what: "A line that the rule says it lets pass fulfils its `match`.",
    why: "Such lines are there because they look like trouble and are none: the rule would raise a false alarm.",
    wrong: "\
rules:
  - id: ldap_failed
    match: LDAP Result Code
    incident_type: identity_provider_unreachable
    catches: 'auth: LDAP Result Code 200'
    passes: 'auth: LDAP Result Code 0'",
    fix: "Make the match narrower, or put what tells the harmless line under `none`.",
    right: "\
rules:
  - id: ldap_failed
    match: LDAP Result Code 200
    incident_type: identity_provider_unreachable
    catches: 'auth: LDAP Result Code 200'
    passes: 'auth: LDAP Result Code 0'",
};
