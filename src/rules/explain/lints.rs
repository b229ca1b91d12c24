//! The warnings, one by one.

use super::Explanation;

pub(super) const SHORT_TEXT: Explanation = Explanation {
    title: "a short text, looked for in every stream",
    what: "The rule has no `selector`, and what every match must contain is shorter than eight bytes.",
    why: "So few letters are in lines of other programs too, where they mean something else. They also need a second, denser search of every push.",
    wrong: "\
rules:
  - id: process_killed
    match: OOM
    incident_type: workload_failure",
    fix: "Write more of the message, or choose the streams with a `selector`.",
    right: "\
rules:
  - id: process_killed
    match: 'Memory cgroup out of memory: Killed process'
    incident_type: workload_failure",
};

pub(super) const NO_REQUIRED_TEXT: Explanation = Explanation {
    title: "no text that every match must contain",
    what: "Nothing in the `match` says for sure what a line must contain: an expression without a fixed piece of text, a list with one, or only `fields`.",
    why: "Lines are found by a fast search for texts that matches must contain. Without one the rule reads every byte of every line that it selects, which costs some seven times what the search for all other rules does.",
    wrong: "\
rules:
  - id: server_error
    match: {re: '\\b[1-5]\\d\\d\\b'}
    incident_type: http_error_rate_spike",
    fix: "Require a text of eight bytes or more, in the expression or beside it under `all`; or choose the streams with a `selector`.",
    right: "\
rules:
  - id: server_error
    match: {re: 'HTTP/1\\.1\" [1-5]\\d\\d\\b'}
    incident_type: http_error_rate_spike",
};

pub(super) const OVERLAP: Explanation = Explanation {
    title: "another rule matches these lines too",
    what: "A text of one rule contains a text of another, so every line that the one matches, the other matches too. Or two texts of one list do, and the longer one is not needed.",
    why: "One cause makes two findings, and two people look into it.",
    wrong: "\
rules:
  - id: dial_failed
    match: i/o timeout
    incident_type: runtime_dependency_outage
  - id: ldap_timeout
    match: 'LDAP: i/o timeout'
    incident_type: identity_provider_unreachable",
    fix: "Let the general rule leave to the specific one what is its own.",
    right: "\
rules:
  - id: dial_failed
    match: {any: i/o timeout, none: [{rule: ldap_timeout}]}
    incident_type: runtime_dependency_outage
  - id: ldap_timeout
    match: 'LDAP: i/o timeout'
    incident_type: identity_provider_unreachable",
};

pub(super) const MANY_KEYS: Explanation = Explanation {
    title: "a `by` of something that has very many values",
    what: "A name in `by` usually has as many values as there are requests, users, addresses or pods.",
    why: "Every value is a finding of its own, with a window of its own: an outage becomes a thousand findings of one match each, and no threshold is ever reached. Keys beyond `keys_max` are forgotten.",
    wrong: "\
rules:
  - id: db_refused
    match: connection refused by database
    by: [namespace, request_id]
    incident_type: database_connectivity_degraded",
    fix: "Name what fails together, such as `[namespace, workload]`. To count different values, write `20 distinct user in 5m`.",
    right: "\
rules:
  - id: db_refused
    match: connection refused by database
    by: [namespace, workload]
    incident_type: database_connectivity_degraded",
};

pub(super) const NO_EXAMPLES: Explanation = Explanation {
    title: "no `catches`",
    what: "The rule has no example of a line that it must match.",
    why: "A slip in a text makes a rule that never speaks, and nobody notices: quiet is what a good system looks like too. An example is tried by every `check`, for as long as the rule lives.",
    wrong: "\
rules:
  - id: disk_full
    match: no space left on device
    incident_type: node_disk_pressure",
    fix: "Copy a real line into `catches`, and one that looks alike and is harmless into `passes`.",
    right: "\
rules:
  - id: disk_full
    match: no space left on device
    incident_type: node_disk_pressure
    catches: 'write /data/wal: no space left on device'
    passes: 'no space left in the queue, retrying'",
};

pub(super) const NO_RULES: Explanation = Explanation {
    title: "a file or directory without rules",
    what: "A rule file holds no rule, or a directory no rule file (`*.yaml` or `*.yml`, tests and hidden files apart).",
    why: "Mostly the path is wrong, or a mount is empty, and nothing would be looked for.",
    wrong: "rules: []",
    fix: "Correct the path, or remove the file.",
    right: "\
rules:
  - id: disk_full
    match: no space left on device
    incident_type: node_disk_pressure",
};

pub(super) const LOOKS_LIKE_REGEX: Explanation = Explanation {
    title: "a text that looks like an expression",
    what: "A text holds `.*`, `\\d+` or the like, and is looked for letter by letter. Or a selector compares with `=` where `=~` was meant.",
    why: "No line holds these characters as they are written, so the rule never matches.",
    wrong: "\
rules:
  - id: login_refused
    match: 'login of .* was refused'
    incident_type: login_failure_spike",
    fix: "Write `{re: …}` for an expression, or better the piece of text that every such line has. In a selector write `=~`.",
    right: "\
rules:
  - id: login_refused
    match: {re: 'login of \\S+ was refused'}
    incident_type: login_failure_spike",
};

pub(super) const CUT_BY_COMMENT: Explanation = Explanation {
    title: "a text that a comment cuts short",
    what: "A text without quotes goes on after ` #`, where YAML begins a comment.",
    why: "What follows is not part of the text, so the rule matches more than was meant.",
    wrong: "\
rules:
  - id: mount_failed
    match: failed to mount volume #3
    incident_type: workload_failure",
    fix: "Quote the text. Where it is a comment, put a blank after the `#`.",
    right: "\
rules:
  - id: mount_failed
    match: 'failed to mount volume #3'
    incident_type: workload_failure",
};

pub(super) const DISABLED_RULE: Explanation = Explanation {
    title: "a reference to a rule that is disabled",
    what: "A rule refers to one that is there and switched off.",
    why: "A disabled rule excludes nothing and is never part of anything, so this one matches more, or less, than it seems.",
    wrong: "\
rules:
  - id: dial_failed
    match: {any: i/o timeout, none: [{rule: ldap_timeout}]}
    incident_type: runtime_dependency_outage
  - id: ldap_timeout
    enabled: false
    match: LDAP Result Code 200
    incident_type: identity_provider_unreachable",
    fix: "Switch the other rule on, or take the reference out.",
    right: "\
rules:
  - id: dial_failed
    match: {any: i/o timeout, none: LDAP Result Code 200}
    incident_type: runtime_dependency_outage",
};

pub(super) const UNUSED_ALLOW: Explanation = Explanation {
    title: "an `allow` that allows nothing",
    what: "`allow` names a warning that the rule does not give; in `defaults`, one that no rule of the file gives.",
    why: "It is left from an earlier form of the rule, and would hide the warning on the day when it is due again.",
    wrong: "\
rules:
  - id: disk_full
    match: no space left on device
    allow: [L004]
    incident_type: node_disk_pressure",
    fix: "Remove the code from the list.",
    right: "\
rules:
  - id: disk_full
    match: no space left on device
    incident_type: node_disk_pressure",
};

pub(super) const SHARED_LINE: Explanation = Explanation {
    title: "another rule matches a line of `catches` too",
    what: "A line that this rule is meant for is matched by another rule as well, in streams that both may read.",
    why: "One cause makes two findings, and two people look into it.",
    wrong: "\
rules:
  - id: ldap_failed
    match: LDAP Result Code 200
    incident_type: identity_provider_unreachable
    catches: 'auth: LDAP Result Code 200: i/o timeout'
  - id: dial_failed
    match: i/o timeout
    incident_type: runtime_dependency_outage
    catches: 'push failed: dial tcp: i/o timeout'",
    fix: "Let the general rule leave the line to the specific one, or tell their streams apart with `selector`.",
    right: "\
rules:
  - id: ldap_failed
    match: LDAP Result Code 200
    incident_type: identity_provider_unreachable
    catches: 'auth: LDAP Result Code 200: i/o timeout'
  - id: dial_failed
    match: {any: i/o timeout, none: [{rule: ldap_failed}]}
    incident_type: runtime_dependency_outage
    catches: 'push failed: dial tcp: i/o timeout'",
};

pub(super) const LEVEL_CASE: Explanation = Explanation {
    title: "a level in one case only",
    what: "A field such as `level` is compared with a word in one case, in streams of any program.",
    why: "Programs write `error`, `ERROR` and `Error`. Fields are compared letter by letter, so the rule misses those that write it otherwise.",
    wrong: "\
rules:
  - id: payment_failed
    match: {all: payment was not booked, fields: {level: error}}
    incident_type: workload_failure",
    fix: "Write `ignore_case: true`, or compare `detected_level`, which is the same for every spelling.",
    right: "\
rules:
  - id: payment_failed
    match: {all: payment was not booked, fields: {detected_level: error}}
    incident_type: workload_failure",
};

pub(super) const RECOVER_WITHIN_WINDOW: Explanation = Explanation {
    title: "a recovery that comes before the window is empty",
    what: "`recover` is shorter than the threshold's window.",
    why: "When the quiet is over, the window still holds the matches from before. A single new one is enough to open the finding again: it flaps.",
    wrong: "\
rules:
  - id: login_refused
    match: login was refused
    threshold: 5 in 10m
    recover: 1m
    incident_type: login_failure_spike",
    fix: "Make `recover` at least as long as the window, which is the default, or make the window shorter.",
    right: "\
rules:
  - id: login_refused
    match: login was refused
    threshold: 5 in 10m
    recover: 10m
    incident_type: login_failure_spike",
};

pub(super) const FOR_BEYOND_WINDOW: Explanation = Explanation {
    title: "a `for` that is longer than the window",
    what: "`for` is longer than the window of a count.",
    why: "A count holds for no longer than its window after the last match, so `for` is reached only if there is a match in every stretch of that length, without one pause. What fails now and then is never reported.",
    wrong: "\
rules:
  - id: login_refused
    match: login was refused
    threshold: 5 in 1m
    for: 15m
    incident_type: login_failure_spike",
    fix: "Count over the longer time instead: it says how often within how long, and forgives a pause.",
    right: "\
rules:
  - id: login_refused
    match: login was refused
    threshold: 75 in 15m
    incident_type: login_failure_spike",
};

pub(super) const NO_COOLDOWN: Explanation = Explanation {
    title: "a message for every match",
    what: "`cooldown` is 0, so every match of an open finding is announced.",
    why: "A fault that logs a thousand lines a second sends a thousand messages a second to whoever receives them.",
    wrong: "\
rules:
  - id: disk_full
    match: no space left on device
    cooldown: 0
    incident_type: node_disk_pressure",
    fix: "Leave the key out for 15 minutes, or write how often somebody should be told. What happens once, and is over, has `recover: never`.",
    right: "\
rules:
  - id: disk_full
    match: no space left on device
    cooldown: 5m
    incident_type: node_disk_pressure",
};

pub(super) const MAYBE_MISSING: Explanation = Explanation {
    title: "a name that only some matches have a value for",
    what: "`by`, `threshold` or `summary` uses a capture that not every item of the match brings: another item has no such group, or the group is optional.",
    why: "Where it is missing the value is empty: all such lines share one key and one count, and the summary has a hole.",
    wrong: "\
rules:
  - id: login_refused
    match:
      - re: 'login of (?P<account>\\S+) was refused'
      - account is locked
    by: [account]
    incident_type: login_failure_spike",
    fix: "Capture the value in every item, or make a rule of its own of the lines that do not have it.",
    right: "\
rules:
  - id: login_refused
    match:
      - re: 'login of (?P<account>\\S+) was refused'
      - re: 'account (?P<account>\\S+) is locked'
    by: [account]
    incident_type: login_failure_spike",
};

pub(super) const NEVER_HOLDS: Explanation = Explanation {
    title: "something that can never be fulfilled",
    what: "The rule contradicts itself: `none` holds what the match requires, `unless` leaves out what `selector` chooses, or every match is a recovery.",
    why: "The rule, or that part of it, never speaks.",
    wrong: "\
rules:
  - id: login_refused
    match: {any: login was refused, none: login}
    incident_type: login_failure_spike",
    fix: "Write under `none` only what tells the harmless lines from the others.",
    right: "\
rules:
  - id: login_refused
    match: {any: login was refused, none: dry run}
    incident_type: login_failure_spike",
};

pub(super) const IDLE_ENDS: Explanation = Explanation {
    title: "`.*` at an end of an expression",
    what: "An expression begins or ends with `.*`.",
    why: "An expression is looked for anywhere in the line, so `.*` at its ends changes nothing; at the beginning it only makes the search slower.",
    wrong: "\
rules:
  - id: login_refused
    match: {re: '.*login of \\S+ was refused.*'}
    incident_type: login_failure_spike",
    fix: "Leave it out. `^` and `$` tie an expression to the ends of the line.",
    right: "\
rules:
  - id: login_refused
    match: {re: 'login of \\S+ was refused'}
    incident_type: login_failure_spike",
};

pub(super) const NO_ESCALATION: Explanation = Explanation {
    title: "an escalation that raises nothing",
    what: "A step of `escalate` leads to a severity that the rule has from the beginning, or to a lower one.",
    why: "Severity never falls while a finding is open, so the step does nothing.",
    wrong: "\
rules:
  - id: disk_full
    match: no space left on device
    severity: critical
    escalate: [{to: critical, after: 10m}]
    incident_type: node_disk_pressure",
    fix: "Begin lower, or leave the step out.",
    right: "\
rules:
  - id: disk_full
    match: no space left on device
    severity: warning
    escalate: [{to: critical, after: 10m}]
    incident_type: node_disk_pressure",
};

pub(super) const ONE_POD: Explanation = Explanation {
    title: "a selector of one pod of one rollout",
    what: "The selector names a pod whose name ends as Kubernetes makes names up.",
    why: "The next rollout gives the pod another name, and the rule reads nothing from then on.",
    wrong: "\
rules:
  - id: login_refused
    selector: namespace=shop, pod=accounts-6c9f7d8b5d-x2x4z
    match: login was refused
    incident_type: login_failure_spike",
    fix: "Select by what stays: `app`, `container`, or `pod=~\"accounts-.*\"`.",
    right: "\
rules:
  - id: login_refused
    selector: namespace=shop, pod=~\"accounts-.*\"
    match: login was refused
    incident_type: login_failure_spike",
};

pub(super) const NO_ENVIRONMENT: Explanation = Explanation {
    title: "a rule that is off, because no environment is named",
    what: "The rule is for certain `environments`, and where it was loaded nobody said which one it is.",
    why: "It is off there. A rule for production that runs nowhere looks just like one that has nothing to tell.",
    wrong: "\
rules:
  - id: disk_full
    match: no space left on device
    environments: [production]
    incident_type: node_disk_pressure",
    fix: "Set `environment` in the settings, or give `--environment`; or take the key out of a rule that is for everywhere.",
    right: "\
rules:
  - id: disk_full
    match: no space left on device
    incident_type: node_disk_pressure",
};

pub(super) const SHIPPED_ID: Explanation = Explanation {
    title: "the id of a rule that ships",
    what: "The rule has the id of one that ships with trommel, and does not say that it extends it.",
    why: "`trommel run` loads the rules that ship, too, and refuses two rules with one id.",
    wrong: "\
rules:
  - id: tls_x509
    match: certificate has expired or is not yet valid
    incident_type: certificate_mismatch",
    fix: "To change the rule that ships, write `extends` with its id; else choose another id, or run with `--no-builtin`.",
    right: "\
rules:
  - id: certificate_not_valid
    match: certificate has expired or is not yet valid
    incident_type: certificate_mismatch",
};

pub(super) const INEFFECTIVE: Explanation = Explanation {
    title: "a key that changes nothing where it stands",
    what: "A key is read and has no effect: the incident type decides it, or nothing ever gives it a value.",
    why: "Whoever wrote it expects something of it. It is a leftover, or another key is missing.",
    wrong: "\
rules:
  - id: database_gone
    match: could not connect to the database
    severity: warning
    incident_type: database_connectivity_degraded",
    fix: "Take it out, or write what it belongs to.",
    right: "\
rules:
  - id: database_gone
    match: could not connect to the database
    incident_type: database_connectivity_degraded",
};
