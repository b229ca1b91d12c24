//! Silences: what people want to hear nothing of for a time.
//!
//! A silence is a window of `suppress` that a rule does not have: it holds back messages of one key of a rule, or of the rule where its labels match,
//! from the moment it was made until it ends. There is none of a single finding: who mutes what goes on and off wants the next one to be as silent. What that means for findings is the same as for a rule's own window, by the same clock: messages of that time are
//! held back and counted, what is open when it ends is told once. It is on disk before whoever made it is told so, and ends by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::finding::rfc3339;
use crate::rules::{Matcher, Selector};
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

/// What is silent: findings of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Scope {
    /// Id of the rule.
    pub rule: String,
    /// Which of its findings; without it all.
    #[serde(flatten)]
    pub only: Option<Only>,
}

/// Which findings of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Only {
    /// Those of one key: the finding that was there when the silence was made, and those after it.
    Key(FindingKey),
    /// Those whose `resource_scope` these match, as in a selector of Loki: `{namespace="shop", component=~"db|cache"}`.
    Matchers(String),
}

/// What all findings of one key of a rule have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindingKey {
    /// As in their messages: by this they are known.
    #[schemars(extend("pattern" = "^[0-9a-f]{16}$"))]
    pub finding_key: String,
    /// As in their messages: this is for people, and begins with the rule.
    pub dedupe_key: String,
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
        let Scope { rule, only } = &self.scope;
        let matchers = match only {
            Some(Only::Matchers(matchers)) => matchers,
            // What a key is called comes from a finding, which is bounded.
            Some(Only::Key(_)) | None => "",
        };
        let mut texts = [rule, matchers, &self.reason].into_iter();
        if let Some(long) = texts.find(|text| text.len() > TEXT_BYTES_MAX) {
            return unclear(format!(
                "a text of {} bytes is too long, expected {TEXT_BYTES_MAX} at most",
                long.len()
            ));
        }
        self.scope.selector().map(|_| ())
    }
}

impl Scope {
    /// Its matchers, read; those that match everything where it has none.
    ///
    /// # Errors
    /// [`SilenceError::Unclear`] if they cannot be.
    pub fn selector(&self) -> Result<Selector, SilenceError> {
        let Some(Only::Matchers(text)) = &self.only else {
            return Ok(Selector::default());
        };
        text.parse()
            .map_err(|error| SilenceError::Unclear(format!("`matchers`: {error}")))
    }

    /// Whether it is about the finding of `rule` that has `finding_key` and `resource_scope`; `selector` is its own.
    #[must_use]
    pub fn concerns(
        &self,
        selector: &Selector,
        rule: &str,
        finding_key: &str,
        resource_scope: &BTreeMap<String, String>,
    ) -> bool {
        let has = |matcher: &Matcher| {
            let value = resource_scope.get(&matcher.name).map_or("", String::as_str);
            matcher.test.accepts(value)
        };
        self.rule == rule
            && match &self.only {
                Some(Only::Key(key)) => key.finding_key == finding_key,
                Some(Only::Matchers(_)) | None => selector.0.iter().all(has),
            }
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.only {
            None => write!(f, "rule {}", self.rule),
            Some(Only::Matchers(matchers)) => write!(f, "rule {} {matchers}", self.rule),
            Some(Only::Key(key)) => write!(f, "key {}", key.dedupe_key),
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

    fn matching(matchers: &str) -> Only {
        Only::Matchers(matchers.to_owned())
    }

    fn wanted(change: impl FnOnce(&mut Wanted)) -> Result<(), String> {
        let mut wanted = Wanted {
            scope: Scope {
                rule: "r".to_owned(),
                only: Some(matching("{namespace=\"shop\", component=~\"a|b\"}")),
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
        assert_eq!(wanted(|it| it.scope.only = None), Ok(()));
        for (change, why) in [
            (
                (|it: &mut Wanted| it.lasts = DURATION_MIN - Duration::from_secs(1))
                    as fn(&mut Wanted),
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
            (
                |it| it.scope.only = Some(matching(&"x".repeat(TEXT_BYTES_MAX + 1))),
                "a text of 2049 bytes is too long, expected 2048 at most",
            ),
        ] {
            assert_eq!(wanted(change), Err(why.to_owned()));
        }
        let why = wanted(|it| it.scope.only = Some(matching("{namespace=\"shop\"")));
        assert!(why.is_err_and(|why| why.starts_with("`matchers`: ")));
    }

    #[test]
    fn it_is_written_and_read_back() {
        let key = FindingKey {
            finding_key: "0123456789abcdef".to_owned(),
            dedupe_key: "r{pod=a}".to_owned(),
        };
        for (only, text) in [
            (None, r#"{"rule":"r"}"#),
            (
                Some(matching("pod=a")),
                r#"{"rule":"r","matchers":"pod=a"}"#,
            ),
            (
                Some(Only::Key(key)),
                r#"{"rule":"r","key":{"finding_key":"0123456789abcdef","dedupe_key":"r{pod=a}"}}"#,
            ),
        ] {
            let scope = Scope {
                rule: "r".to_owned(),
                only,
            };
            assert_eq!(serde_json::to_string(&scope).expect("plain data"), text);
            assert_eq!(serde_json::from_str::<Scope>(text).expect("a scope"), scope);
        }
    }
}
