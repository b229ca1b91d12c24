//! Silences: what people want to hear nothing of for a time.
//!
//! A silence is a window of `suppress` that a rule does not have: it holds back messages of one finding, or of a rule where its labels match, from
//! the moment it was made until it ends. What that means for findings is the same as for a rule's own window, by the same clock: messages of that time are
//! held back and counted, what is open when it ends is told once. It is on disk before whoever made it is told so, and ends by itself.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::finding::rfc3339;
use crate::rules::Selector;
use crate::time::{Timestamp, format_duration};

/// Silences at once.
pub const SILENCES_MAX: usize = 1000;
/// The shortest silence.
pub const DURATION_MIN: Duration = Duration::from_secs(60);
/// The longest: what should be silent for longer is a matter of its rule.
pub const DURATION_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Most bytes of a reason, of matchers, and of an id.
const TEXT_BYTES_MAX: usize = 2 << 10;

/// A silence that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Silence {
    /// 16 hex digits, unique.
    #[schemars(extend("pattern" = "^[0-9a-f]{16}$"))]
    pub id: String,
    /// What is silent.
    #[serde(flatten)]
    pub scope: Scope,
    /// The first moment at which nothing is said.
    #[schemars(with = "String", extend("format" = "date-time"))]
    #[serde(with = "rfc3339")]
    pub from: Timestamp,
    /// The first moment at which something is said again.
    #[schemars(with = "String", extend("format" = "date-time"))]
    #[serde(with = "rfc3339")]
    pub until: Timestamp,
    /// Who made it.
    pub who: String,
    /// Why; redacted.
    pub reason: String,
    /// Who ended it before its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<String>,
}

/// What is silent: one finding, or what a rule finds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub struct Scope {
    /// Id of a finding. When it is over and another opens under the same key, that is another finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<String>,
    /// Id of a rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Which findings of that rule, by their `resource_scope`, as in a selector of Loki: `{namespace="shop", component=~"db|cache"}`. Without it all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matchers: Option<String>,
}

/// A silence that somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What is to be silent.
    pub scope: Scope,
    /// For how long.
    pub lasts: Duration,
    /// Who wants it.
    pub who: String,
    /// Why.
    pub reason: String,
}

/// Why there is no such silence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SilenceError {
    /// It is not said what is to be silent, or for how long, or why.
    #[error("{0}")]
    Unclear(String),
    /// There are as many as there may be.
    #[error(
        "there are {SILENCES_MAX} silences, and no more are kept: end some, or put a `suppress` into the rule"
    )]
    Full,
    /// None of this id goes on.
    #[error("no silence `{0}` goes on")]
    Unknown(String),
}

impl Wanted {
    /// Whether it can be made.
    ///
    /// # Errors
    /// [`SilenceError::Unclear`] says what is missing, or too much.
    pub fn check(&self) -> Result<(), SilenceError> {
        let unclear = |why: String| Err(SilenceError::Unclear(why));
        let Scope {
            finding,
            rule,
            matchers,
        } = &self.scope;
        if finding.is_some() == rule.is_some() {
            return unclear("expected either `finding` or `rule`".to_owned());
        }
        if finding.is_some() && matchers.is_some() {
            return unclear("`matchers` are for a `rule`: a `finding` is one".to_owned());
        }
        if !(DURATION_MIN..=DURATION_MAX).contains(&self.lasts) {
            return unclear(format!(
                "a silence of {} cannot be made, expected {} to {}",
                format_duration(self.lasts),
                format_duration(DURATION_MIN),
                format_duration(DURATION_MAX)
            ));
        }
        if self.reason.trim().is_empty() {
            return unclear("expected a `reason`: others will wonder".to_owned());
        }
        let texts = [finding, rule, matchers].into_iter().flatten();
        if let Some(long) = texts
            .chain([&self.reason])
            .find(|text| text.len() > TEXT_BYTES_MAX)
        {
            return unclear(format!(
                "a text of {} bytes is too long, expected {TEXT_BYTES_MAX} at most",
                long.len()
            ));
        }
        self.scope.selector().map(|_| ())
    }
}

impl Scope {
    /// Its matchers, read.
    ///
    /// # Errors
    /// [`SilenceError::Unclear`] if they cannot be.
    pub fn selector(&self) -> Result<Selector, SilenceError> {
        let text = self.matchers.as_deref().unwrap_or_default();
        text.parse()
            .map_err(|error| SilenceError::Unclear(format!("`matchers`: {error}")))
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.finding, &self.rule) {
            (Some(finding), _) => write!(f, "finding {finding}"),
            (None, rule) => {
                write!(f, "rule {}", rule.as_deref().unwrap_or_default())?;
                match &self.matchers {
                    Some(matchers) => write!(f, " {matchers}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl Silence {
    /// Whether it holds messages of the time `at` back.
    #[must_use]
    pub fn is_on(&self, at: Timestamp) -> bool {
        (self.from..self.until).contains(&at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(change: impl FnOnce(&mut Wanted)) -> Result<(), String> {
        let mut wanted = Wanted {
            scope: Scope {
                finding: None,
                rule: Some("r".to_owned()),
                matchers: Some("{namespace=\"shop\", component=~\"a|b\"}".to_owned()),
            },
            lasts: DURATION_MIN,
            who: "ann".to_owned(),
            reason: "moving house".to_owned(),
        };
        change(&mut wanted);
        wanted.check().map_err(|error| error.to_string())
    }

    #[test]
    fn it_must_be_clear_what_is_silent_and_for_how_long_and_why() {
        assert_eq!(wanted(|_| {}), Ok(()));
        assert_eq!(wanted(|it| it.lasts = DURATION_MAX), Ok(()));
        assert_eq!(wanted(|it| it.scope.matchers = None), Ok(()));
        for (change, why) in [
            (
                (|it: &mut Wanted| it.scope.rule = None) as fn(&mut Wanted),
                "expected either `finding` or `rule`",
            ),
            (
                |it| it.scope.finding = Some("f".to_owned()),
                "expected either `finding` or `rule`",
            ),
            (
                |it| {
                    it.scope.rule = None;
                    it.scope.finding = Some("f".to_owned());
                },
                "`matchers` are for a `rule`: a `finding` is one",
            ),
            (
                |it| it.lasts = DURATION_MIN - Duration::from_secs(1),
                "a silence of 59s cannot be made, expected 1m to 30d",
            ),
            (
                |it| it.lasts = DURATION_MAX + Duration::from_secs(1),
                "a silence of 30d1s cannot be made, expected 1m to 30d",
            ),
            (
                |it| it.reason = " ".to_owned(),
                "expected a `reason`: others will wonder",
            ),
            (
                |it| it.reason = "x".repeat(TEXT_BYTES_MAX + 1),
                "a text of 2049 bytes is too long, expected 2048 at most",
            ),
        ] {
            assert_eq!(wanted(change), Err(why.to_owned()));
        }
        let why = wanted(|it| it.scope.matchers = Some("{namespace=\"shop\"".to_owned()));
        assert!(why.is_err_and(|why| why.starts_with("`matchers`: ")));
    }
}
