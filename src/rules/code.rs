//! The kinds of problems, one code each.

use std::fmt;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::keys::nearest;

/// Makes the enum, the list and the names from one table, so that none of them can miss a code.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// What kind of problem: `R…` are errors of rule files, `L…` warnings; from 101 on, those of test files. A code never
        /// changes its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// Every code: errors, then warnings, each in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The code as it is shown: `R013`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }
        }
    };
}

codes! {
    /// R001: YAML cannot read it.
    Syntax = "R001",
    /// R002: the file cannot be read, or is too large.
    Unreadable = "R002",
    /// R003: one key twice in one map.
    DuplicateKey = "R003",
    /// R004: no such key.
    UnknownKey = "R004",
    /// R006: a key that must be there is not.
    Missing = "R006",
    /// R007: a list where a text is wanted, and so on.
    Shape = "R007",
    /// R008: the right kind of value, but not one of those allowed.
    Value = "R008",
    /// R009: two rules with one id.
    DuplicateId = "R009",
    /// R010: a selector that cannot be read.
    Selector = "R010",
    /// R011: a `match` that means nothing, or too much.
    Match = "R011",
    /// R012: an expression that does not compile, or matches everything.
    Regex = "R012",
    /// R013: a `threshold` that cannot be read.
    Threshold = "R013",
    /// R014: no duration.
    Duration = "R014",
    /// R015: a summary with an unknown placeholder.
    Placeholder = "R015",
    /// R016: a rule that is referred to and does not exist.
    UnknownRule = "R016",
    /// R017: rules that exclude each other in a circle.
    Cycle = "R017",
    /// R018: too many rules, expressions or items.
    TooMany = "R018",
    /// R019: a line of `catches` that the rule does not match.
    NotCaught = "R019",
    /// R020: a line of `passes` that the rule matches.
    NotPassed = "R020",
    /// R030: keys that exclude each other.
    Conflict = "R030",
    /// R031: an incident type or domain that no file describes.
    UnknownType = "R031",
    /// R032: what no file may say: a hard constraint.
    Constraint = "R032",
    /// R101: a line of a test's `logs` that cannot be read.
    TestLine = "R101",
    /// R102: a message of a test's `expect` that cannot be read, or that no rule can send.
    TestMessage = "R102",
    /// L001: a short text, looked for in every stream.
    ShortText = "L001",
    /// L002: no text that every match must contain.
    NoRequiredText = "L002",
    /// L003: every line that another rule matches is matched here too.
    Overlap = "L003",
    /// L004: a `by` with as many values as there are requests.
    ManyKeys = "L004",
    /// L005: no `catches`.
    NoExamples = "L005",
    /// L006: a file or directory without rules.
    NoRules = "L006",
    /// L007: a text that looks like an expression.
    LooksLikeRegex = "L007",
    /// L008: a text that a YAML comment cuts short.
    CutByComment = "L008",
    /// L009: a reference to a rule that is off.
    DisabledRule = "L009",
    /// L010: an `allow` of something that does not happen.
    UnusedAllow = "L010",
    /// L011: a line of `catches` that another rule matches too.
    SharedLine = "L011",
    /// L012: a level in one case only, where every program may write it in its own.
    LevelCase = "L012",
    /// L013: a recovery that comes before the window is empty.
    RecoverWithinWindow = "L013",
    /// L014: a `for` that is longer than the window.
    ForBeyondWindow = "L014",
    /// L015: a message for every match.
    NoCooldown = "L015",
    /// L016: a name that only some matches have a value for.
    MaybeMissing = "L016",
    /// L017: a rule, or a part of it, that can never be fulfilled.
    NeverHolds = "L017",
    /// L018: `.*` at an end of an expression.
    IdleEnds = "L018",
    /// L019: an escalation that raises nothing.
    NoEscalation = "L019",
    /// L020: a selector of one pod of one rollout.
    OnePod = "L020",
    /// L030: a rule that is off because it is for certain environments, and none is named.
    NoEnvironment = "L030",
    /// L031: the id of a rule that ships, and not its extension.
    ShippedId = "L031",
    /// L032: a key that changes nothing where it stands.
    Ineffective = "L032",
    /// L101: a line of a test's `logs` that repeats an entry, and so does not count.
    TestRepeats = "L101",
    /// L102: a line of a test's `logs` that is read otherwise than it looks.
    TestLooksLike = "L102",
}

/// Whether a problem refuses the rule set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing loads.
    Error,
    /// It loads, and is probably not what was meant.
    Warning,
}

impl Level {
    /// As it is written everywhere.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl Code {
    /// Errors refuse the rule set, warnings do not.
    #[must_use]
    pub fn level(self) -> Level {
        if self.as_str().starts_with('R') {
            Level::Error
        } else {
            Level::Warning
        }
    }

    /// Whether it is about a file of tests.
    #[must_use]
    pub fn is_of_tests(self) -> bool {
        &self.as_str()[1..] > "100"
    }

    /// Whether a rule can allow it: a warning that is not about a file, nor about `allow` itself.
    #[must_use]
    pub fn may_be_allowed(self) -> bool {
        self.level() == Level::Warning
            && !self.is_of_tests()
            && !matches!(self, Self::NoRules | Self::UnusedAllow)
    }

    /// The code that is written `text`, in upper or lower case.
    #[must_use]
    pub fn find(text: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|code| code.as_str().eq_ignore_ascii_case(text))
    }

    /// The code that somebody who wrote `text`, which is none, may have meant: `L3`, `L0003`, `R31`.
    #[must_use]
    pub fn meant(text: &str) -> Option<Self> {
        let padded = text.split_at_checked(1).and_then(|(letter, digits)| {
            let number: u16 = digits.trim_start_matches(['-', '_']).parse().ok()?;
            Self::find(&format!("{letter}{number:03}"))
        });
        let names = Self::ALL.iter().map(|code| code.as_str());
        padded.or_else(|| nearest(text, names).and_then(Self::find))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_listed_errors_first_each_once_in_the_order_of_their_numbers() {
        let shown = |code: &Code| (code.level(), code.as_str());
        assert!(Code::ALL.is_sorted_by(|a, b| shown(a) < shown(b)));
        assert!(Code::ALL.is_sorted());
    }

    #[test]
    fn a_code_is_found_in_either_case_and_a_slip_finds_the_one_that_was_meant() {
        assert_eq!(Code::find("l003"), Some(Code::Overlap));
        assert_eq!(Code::find("R013"), Some(Code::Threshold));
        for (text, meant) in [
            ("L3", Some(Code::Overlap)),
            ("l0003", Some(Code::Overlap)),
            ("L-3", Some(Code::Overlap)),
            ("LOO3", None),
            ("r13", Some(Code::Threshold)),
            ("é", None),
            ("", None),
        ] {
            assert_eq!(Code::find(text), None, "{text}");
            assert_eq!(Code::meant(text), meant, "{text}");
        }
    }
}
