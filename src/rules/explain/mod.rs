//! What each code means, for whoever meets it: what is wrong, why it matters, an example, and the example put right.
//!
//! The examples are whole rule files, and a test checks them: the one has the problem, the other has none.

mod errors;
mod lints;
mod tests_of_rules;

use std::fmt::Write as _;

use super::code::{Code, Level};

/// What a code means.
#[derive(Debug)]
pub struct Explanation {
    /// The problem in a few words: what a list of codes shows beside it.
    pub title: &'static str,
    /// What is wrong.
    pub what: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// An example that has the problem.
    pub wrong: &'static str,
    /// What to do about it.
    pub fix: &'static str,
    /// The example put right.
    pub right: &'static str,
}

impl Explanation {
    /// What `code` means.
    #[must_use]
    pub fn of(code: Code) -> &'static Self {
        match code {
            Code::Syntax => &errors::SYNTAX,
            Code::Unreadable => &errors::UNREADABLE,
            Code::DuplicateKey => &errors::DUPLICATE_KEY,
            Code::UnknownKey => &errors::UNKNOWN_KEY,
            Code::Missing => &errors::MISSING,
            Code::Shape => &errors::SHAPE,
            Code::Value => &errors::VALUE,
            Code::DuplicateId => &errors::DUPLICATE_ID,
            Code::Selector => &errors::SELECTOR,
            Code::Match => &errors::MATCH,
            Code::Regex => &errors::REGEX,
            Code::Threshold => &errors::THRESHOLD,
            Code::Duration => &errors::DURATION,
            Code::Placeholder => &errors::PLACEHOLDER,
            Code::UnknownRule => &errors::UNKNOWN_RULE,
            Code::Cycle => &errors::CYCLE,
            Code::TooMany => &errors::TOO_MANY,
            Code::NotCaught => &errors::NOT_CAUGHT,
            Code::NotPassed => &errors::NOT_PASSED,
            Code::Conflict => &errors::CONFLICT,
            Code::UnknownType => &errors::UNKNOWN_TYPE,
            Code::Constraint => &errors::CONSTRAINT,
            Code::TestLine => &tests_of_rules::TEST_LINE,
            Code::TestMessage => &tests_of_rules::TEST_MESSAGE,
            Code::ShortText => &lints::SHORT_TEXT,
            Code::NoRequiredText => &lints::NO_REQUIRED_TEXT,
            Code::Overlap => &lints::OVERLAP,
            Code::ManyKeys => &lints::MANY_KEYS,
            Code::NoExamples => &lints::NO_EXAMPLES,
            Code::NoRules => &lints::NO_RULES,
            Code::LooksLikeRegex => &lints::LOOKS_LIKE_REGEX,
            Code::CutByComment => &lints::CUT_BY_COMMENT,
            Code::DisabledRule => &lints::DISABLED_RULE,
            Code::UnusedAllow => &lints::UNUSED_ALLOW,
            Code::SharedLine => &lints::SHARED_LINE,
            Code::LevelCase => &lints::LEVEL_CASE,
            Code::RecoverWithinWindow => &lints::RECOVER_WITHIN_WINDOW,
            Code::ForBeyondWindow => &lints::FOR_BEYOND_WINDOW,
            Code::NoCooldown => &lints::NO_COOLDOWN,
            Code::MaybeMissing => &lints::MAYBE_MISSING,
            Code::NeverHolds => &lints::NEVER_HOLDS,
            Code::IdleEnds => &lints::IDLE_ENDS,
            Code::NoEscalation => &lints::NO_ESCALATION,
            Code::OnePod => &lints::ONE_POD,
            Code::NoEnvironment => &lints::NO_ENVIRONMENT,
            Code::ShippedId => &lints::SHIPPED_ID,
            Code::Ineffective => &lints::INEFFECTIVE,
            Code::TestRepeats => &tests_of_rules::TEST_REPEATS,
            Code::TestLooksLike => &tests_of_rules::TEST_LOOKS_LIKE,
        }
    }
}

/// How a problem with `code` can be accepted where it is meant.
#[must_use]
pub fn allowance(code: Code) -> String {
    match code.level() {
        Level::Error => {
            "An error cannot be allowed: rule files make one set, valid or refused as a whole."
                .to_owned()
        }
        Level::Warning if !code.may_be_allowed() => {
            "It cannot be allowed: it is not about what a rule says.".to_owned()
        }
        Level::Warning => format!(
            "Where it is meant, allow it: `allow: [{code}]` in the rule, or in the `defaults` of its file."
        ),
    }
}

/// The whole explanation of `code` as text for a terminal, at most 100 characters wide save for examples.
#[must_use]
pub fn explain(code: Code) -> String {
    let Explanation {
        title,
        what,
        why,
        wrong,
        fix,
        right,
    } = Explanation::of(code);
    let level = code.level().as_str();
    let mut out = format!("{level} {code}: {title}\n\n");
    let paragraphs = [
        wrapped(what),
        wrapped(why),
        indented(wrong),
        wrapped(fix),
        indented(right),
        wrapped(&allowance(code)),
    ];
    out.push_str(&paragraphs.join("\n"));
    out
}

/// Every code with its title, a line each.
#[must_use]
pub fn list() -> String {
    let mut out = String::new();
    for &code in Code::ALL {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{code}  {}", Explanation::of(code).title);
    }
    out
}

/// What a terminal shows without breaking lines, and a person reads with ease.
const WIDTH: usize = 100;

fn wrapped(text: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > WIDTH {
            out.push('\n');
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out.push('\n');
    out
}

fn indented(example: &str) -> String {
    example
        .lines()
        .map(|line| format!("    {line}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_explanation_says_all_that_it_should() {
        for &code in Code::ALL {
            let text = explain(code);
            let explanation = Explanation::of(code);
            let Explanation {
                title,
                what,
                why,
                wrong,
                fix,
                right,
            } = explanation;
            for part in [what, why, fix] {
                assert!(part.ends_with('.') && part.len() > 20, "{code}: {part}");
            }
            assert!(title.len() < 70 && !title.ends_with('.'), "{code}: {title}");
            assert!(wrong != right && !wrong.is_empty(), "{code}");
            assert!(text.contains("allow"), "{code}");
            let prose = text.lines().filter(|line| !line.starts_with("    "));
            assert!(prose.map(str::len).max() <= Some(WIDTH + 10), "{text}");
        }
    }

    #[test]
    fn an_explanation_reads_from_the_mistake_to_what_to_write() {
        expect_test::expect![[r#"
            error R014: not a duration

            A time is written as in Prometheus: numbers with units, the larger unit first, such as `30s`, `10m`,
            `1h30m`, `1d`. Only `0` goes without a unit.

            A number alone could be seconds, minutes or milliseconds, and the wrong guess makes a rule that
            never speaks, or always.

                rules:
                  - id: login_refused
                    match: login was refused
                    recover: 10
                    incident_type: login_failure_spike

            Write the unit. There are `ms`, `s`, `m`, `h`, `d`, `w` and `y`.

                rules:
                  - id: login_refused
                    match: login was refused
                    recover: 10m
                    incident_type: login_failure_spike

            An error cannot be allowed: rule files make one set, valid or refused as a whole.
        "#]]
        .assert_eq(&explain(Code::Duration));
    }

    #[test]
    fn the_list_has_a_line_for_each_code() {
        let list = list();
        assert_eq!(list.lines().count(), Code::ALL.len());
        assert!(list.starts_with("R001  "), "{list}");
    }
}
