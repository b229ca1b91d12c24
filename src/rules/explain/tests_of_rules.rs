//! What can be wrong with files of tests. Their examples test one rule, `disk_full`, in a file called `rules.yaml`.

use super::Explanation;

pub(super) const TEST_LINE: Explanation = Explanation {
    title: "a line of a test's `logs` that cannot be read",
    what: "A line of `logs` does not begin with a time since the start of the test, repeats with a number that is none, or comes after the test has ended.",
    why: "A line that is left out without a word would make a test that passes for the wrong reason.",
    wrong: "\
rules: [rules.yaml]
tests:
  - name: a full disk is told
    logs: 'no space left on device'
    expect: []",
    fix: "Begin the line with its time, such as `0m` or `90s`. A line that repeats is written `0m +1m x5 the text`: five lines, a minute apart.",
    right: "\
rules: [rules.yaml]
tests:
  - name: a full disk is told
    logs: '0m no space left on device'
    expect:
      - 0m observed disk_full",
};

pub(super) const TEST_MESSAGE: Explanation = Explanation {
    title: "a message of a test's `expect` that cannot be read",
    what: "An item of `expect` is no message: it lacks the time, the state or the rule, or names a value that no message of that rule has.",
    why: "A message that nothing can send would never come, and the test would fail whatever the rule does.",
    wrong: "\
rules: [rules.yaml]
tests:
  - name: a full disk is told
    logs: '0m no space left on device'
    expect:
      - disk_full observed",
    fix: "Write the time, the state (`observed`, `updated` or `recovered`), the rule, and then the values that must be equal.",
    right: "\
rules: [rules.yaml]
tests:
  - name: a full disk is told
    logs: '0m no space left on device'
    expect:
      - 0m observed disk_full",
};

pub(super) const TEST_REPEATS: Explanation = Explanation {
    title: "a line of a test that does not count, because it is there already",
    what: "A line of `logs` has the labels, the time and the text of another one.",
    why: "Such lines are one entry, as in Loki: a count stays where it was, which is hardly what the test is about.",
    wrong: "\
rules: [rules.yaml]
tests:
  - name: a full disk is told
    logs: '0m +0s x3 no space left on device'
    expect:
      - 0m observed disk_full",
    fix: "Give each line a time of its own, or write the line once.",
    right: "\
rules: [rules.yaml]
tests:
  - name: a full disk is told
    logs: '0m +1s x3 no space left on device'
    expect:
      - 0m observed disk_full",
};

pub(super) const TEST_LOOKS_LIKE: Explanation = Explanation {
    title: "a line of a test that is read otherwise than it looks",
    what: "The text of a line begins like a repetition, labels or a time of arrival, and is not written as one.",
    why: "It is taken as text, and the line happens once, where it was probably to happen often or elsewhere.",
    wrong: "\
rules: [rules.yaml]
tests:
  - name: a full disk is told
    logs: '0m x3 no space left on device'
    expect:
      - 0m observed disk_full",
    fix: "Write both parts of a repetition, directly behind the time: `0m +1m x3`. If it is text, write `{} ` before it.",
    right: "\
rules: [rules.yaml]
tests:
  - name: a full disk is told
    logs: '0m +1m x3 no space left on device'
    expect:
      - 0m observed disk_full",
};
