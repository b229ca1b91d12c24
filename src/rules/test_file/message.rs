//! Messages as a test's `expect` has them: `4m observed ldap_unavailable severity=warning count=5 app="a b"`.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use super::logs::unquote;
use crate::rules::keys::nearest;
use crate::rules::problem::{Code, Fault, shortened};
use crate::time::{format_duration, parse_duration};

/// A message that a test expects.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpectedMessage {
    /// Its time, from the test's start on.
    pub at: Duration,
    /// The same as it is written.
    time: String,
    /// What it tells.
    pub state: MessageState,
    /// The rule's id.
    pub rule: String,
    /// Values that it must have, in the order written.
    pub values: Vec<(String, String)>,
    /// Where it stands in the file.
    pub(in crate::rules) span: Range<usize>,
    /// Where each key stands.
    pub(in crate::rules) keys: Vec<Range<usize>>,
}

/// What a message tells of its finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageState {
    /// It is there.
    Observed,
    /// Something about it has changed.
    Updated,
    /// It is over.
    Recovered,
}

impl MessageState {
    pub(super) const ALL: [Self; 3] = [Self::Observed, Self::Updated, Self::Recovered];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observed => "observed",
            Self::Updated => "updated",
            Self::Recovered => "recovered",
        }
    }
}

/// Names of values that every message has, looked for before the rule's `by`.
pub const MESSAGE_KEYS: [&str; 10] = [
    "severity",
    "reason",
    "count",
    "total",
    "flaps",
    "coverage",
    "summary",
    "window",
    "suppressed",
    "truncated",
];

/// Names of further values, looked for after the rule's `by`.
pub(in crate::rules) const MORE_KEYS: [&str; 10] = [
    "severity_max",
    "revision",
    "first_seen",
    "last_seen",
    "since_last_message",
    "late",
    "duplicates_dropped",
    "related",
    "domain",
    "incident_type",
];

impl ExpectedMessage {
    /// The message of `rule` with `values`, written nowhere yet.
    #[must_use]
    pub fn new(
        at: Duration,
        state: MessageState,
        rule: &str,
        values: Vec<(String, String)>,
    ) -> Self {
        Self {
            at,
            time: format_duration(at),
            state,
            rule: rule.to_owned(),
            values,
            span: 0..0,
            keys: Vec::new(),
        }
    }

    /// The same, but a time that is equal to that of `other` is written as there: `24h`, and not `1d`.
    #[must_use]
    pub fn timed_as(mut self, other: &Self) -> Self {
        if self.at == other.at {
            self.time.clone_from(&other.time);
        }
        self
    }

    /// Reads a message; faults point into `text`. Its places do, too, until they are moved to where it stands.
    pub(in crate::rules) fn parse(text: &str) -> Result<Self, Fault> {
        let mut at = 0;
        let mut word = |what: &str, example: &str| {
            let rest = &text[at..];
            let start = at + (rest.len() - rest.trim_start().len());
            let word = text[start..].split_whitespace().next().unwrap_or_default();
            at = start + word.len();
            if word.is_empty() {
                let whole = 0..text.trim_end().len();
                let fault = Fault::new(
                    Code::TestMessage,
                    whole,
                    format!("the message has no {what}"),
                );
                return Err(fault.help(format!("write `{example}`")));
            }
            Ok((word, start..at))
        };
        let time = word("time", "4m observed a_rule severity=warning")?;
        let state = word("state", &format!("{} observed a_rule", time.0))?;
        let rule = word("rule", &format!("{} {} a_rule", time.0, state.0))?;
        let mut message = Self {
            at: offset(time.clone())?,
            time: time.0.to_owned(),
            state: state_of(state)?,
            rule: rule_id(rule)?,
            values: Vec::new(),
            span: 0..text.len(),
            keys: Vec::new(),
        };
        message.read_values(text, at)?;
        Ok(message)
    }

    /// What it is written with: time, state, rule, and each value with its key.
    pub fn words(&self) -> impl Iterator<Item = String> {
        let first = [
            self.time.clone(),
            self.state.as_str().to_owned(),
            self.rule.clone(),
        ];
        let values = self.values.iter();
        let values = values.map(|(key, value)| format!("{key}={}", Quoted(value)));
        first.into_iter().chain(values)
    }

    fn read_values(&mut self, text: &str, mut at: usize) -> Result<(), Fault> {
        loop {
            let rest = &text[at..];
            at += rest.len() - rest.trim_start().len();
            let rest = text[at..].trim_end();
            if rest.is_empty() {
                return Ok(());
            }
            let end = rest.find(|c: char| c == '=' || c.is_whitespace());
            let key = &rest[..end.unwrap_or(rest.len())];
            let place = at..at + key.len();
            let fault = |place: Range<usize>, message: String| {
                Fault::new(Code::TestMessage, place, message)
            };
            let Some(value) = rest[key.len()..].strip_prefix('=') else {
                let message = format!("`{}` is not `key=value`", shortened(key));
                let help = "there are no blanks around `=`; a value with blanks is quoted: `summary=\"two words\"`";
                return Err(fault(place, message).help(help));
            };
            if key.is_empty() {
                return Err(
                    fault(at..at + 1, "no key stands before this `=`".to_owned())
                        .help("there are no blanks around `=`"),
                );
            }
            let (value, behind) = match value.strip_prefix('"') {
                Some(quoted) => {
                    let read = unquote(quoted).filter(|(_, behind)| {
                        behind.is_empty() || behind.starts_with(char::is_whitespace)
                    });
                    let Some(read) = read else {
                        let value = at + key.len() + 1;
                        let message = "this quote is not closed where the value ends".to_owned();
                        return Err(fault(value..at + rest.len(), message)
                            .help("a `\"` inside is written `\\\"`, a `\\` as `\\\\`"));
                    };
                    read
                }
                None => {
                    let end = value.find(char::is_whitespace).unwrap_or(value.len());
                    (value[..end].to_owned(), &value[end..])
                }
            };
            if self.values.iter().any(|(known, _)| known == key) {
                return Err(fault(
                    place,
                    format!("`{}` is there already", shortened(key)),
                ));
            }
            self.values.push((key.to_owned(), value));
            self.keys.push(place);
            at += rest.len() - behind.len();
        }
    }

    /// Keys that no message of its rule has; `by` are the rule's.
    pub(super) fn unknown_keys(&self, by: &[String]) -> impl Iterator<Item = Fault> {
        let known: Vec<&str> = MESSAGE_KEYS
            .into_iter()
            .chain(by.iter().map(String::as_str))
            .chain(MORE_KEYS)
            .collect();
        self.values
            .iter()
            .zip(&self.keys)
            .filter_map(move |((key, _), place)| {
                if known.contains(&key.as_str()) {
                    return None;
                }
                let (id, key) = (&self.rule, shortened(key));
                let message = format!("messages of `{id}` have no `{key}`");
                let fault = Fault::new(Code::TestMessage, place.clone(), message);
                Some(match nearest(&key, known.iter().copied()) {
                    Some(meant) => fault.help(format!("did you mean `{meant}`?")),
                    None => fault.help(format!("they have {}", known.join(", "))),
                })
            })
    }
}

/// As it is written in `expect`.
impl fmt::Display for ExpectedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, word) in self.words().enumerate() {
            let blank = if place == 0 { "" } else { " " };
            write!(f, "{blank}{word}")?;
        }
        Ok(())
    }
}

/// A value as it is written: in quotes only where it needs them.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text) = self;
        let plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '"' && c != '\\';
        if !text.is_empty() && text.chars().all(plain) {
            return f.write_str(text);
        }
        f.write_str("\"")?;
        for c in text.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                '\r' => f.write_str("\\r")?,
                c if c.is_control() => write!(f, "{}", c.escape_unicode())?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}

fn offset((word, place): (&str, Range<usize>)) -> Result<Duration, Fault> {
    parse_duration(&shortened(word)).map_err(|_| {
        let message = format!(
            "`{}` is not a time since the start of the test",
            shortened(word)
        );
        Fault::new(Code::TestMessage, place, message)
            .help("a message begins with one: `4m observed a_rule`")
    })
}

fn state_of((word, place): (&str, Range<usize>)) -> Result<MessageState, Fault> {
    let states = MessageState::ALL;
    if let Some(state) = states.into_iter().find(|state| state.as_str() == word) {
        return Ok(state);
    }
    let fault = Fault::new(
        Code::TestMessage,
        place,
        format!("`{}` is no state of a message", shortened(word)),
    );
    let lower = word.to_ascii_lowercase();
    let meant = match &*lower {
        "open" | "opened" | "opens" | "firing" | "fires" | "alert" => Some("observed"),
        "closed" | "closes" | "resolved" | "over" | "ends" => Some("recovered"),
        "reopened" | "escalated" | "still_matching" | "part_joined" | "reminder" => Some("updated"),
        _ => nearest(&lower, states.map(MessageState::as_str)),
    };
    Err(fault.help(match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "it is `observed`, `updated` or `recovered`".to_owned(),
    }))
}

fn rule_id((word, place): (&str, Range<usize>)) -> Result<String, Fault> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if word.len() <= 64 && word.bytes().all(fits) {
        return Ok(word.to_owned());
    }
    let message = format!("`{}` is not the id of a rule", shortened(word));
    let fault = Fault::new(Code::TestMessage, place, message);
    Err(fault.help("the rule stands behind the state: `4m observed a_rule count=5`"))
}
