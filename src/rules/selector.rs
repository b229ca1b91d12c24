//! Which streams a rule reads: Loki's stream selector, `namespace="x", pod!~"test-.*"`.

use std::fmt::{self, Write};
use std::ops::Range;
use std::str::FromStr;

use regex_automata::meta::Regex;

use super::pattern;
use super::problem::{Code, Fault, quoted, shortened};
use crate::batch::Labels;

/// Most matchers in one selector.
pub(super) const MATCHERS_MAX: usize = 64;

/// A conjunction of label matchers; an empty one selects every stream.
#[derive(Debug, Clone, Default)]
pub struct Selector(pub Vec<Matcher>);

/// One label and what its value must be. A label that a stream lacks has the empty value, as in Loki.
#[derive(Debug, Clone)]
pub struct Matcher {
    /// The label's name.
    pub name: String,
    /// The condition on its value.
    pub test: Test,
}

/// A condition on a label's value.
#[derive(Clone)]
pub enum Test {
    /// `=`
    Equal(String),
    /// `!=`
    NotEqual(String),
    /// `=~`, anchored at both ends: the expression as written, and compiled.
    Matches(String, Regex),
    /// `!~`, anchored at both ends.
    MatchesNot(String, Regex),
    /// One of several values: a map selector's list.
    OneOf(Vec<String>),
}

/// As in a selector, without the automaton.
impl fmt::Debug for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equal(value) => write!(f, "={}", Quoted(value)),
            Self::NotEqual(value) => write!(f, "!={}", Quoted(value)),
            Self::Matches(source, _) => write!(f, "=~{}", Quoted(source)),
            Self::MatchesNot(source, _) => write!(f, "!~{}", Quoted(source)),
            Self::OneOf(values) => write!(f, " in {values:?}"),
        }
    }
}

impl Test {
    /// Whether it holds for a label with this value.
    #[must_use]
    pub fn accepts(&self, value: &str) -> bool {
        match self {
            Self::Equal(wanted) => value == wanted,
            Self::NotEqual(unwanted) => value != unwanted,
            Self::Matches(_, regex) => regex.is_match(value),
            Self::MatchesNot(_, regex) => !regex.is_match(value),
            Self::OneOf(wanted) => wanted.iter().any(|wanted| wanted == value),
        }
    }
}

impl Matcher {
    /// The value that it looks at in `labels`; empty for a label that is not there.
    #[must_use]
    pub fn value<'l>(&self, labels: &'l Labels) -> &'l str {
        match labels.get(&self.name) {
            Some(value) => value,
            // Loki adds it when it stores; the tee does not carry it yet.
            None if self.name == "service_name" => labels.service_name(),
            None => "",
        }
    }

    /// Whether a stream with `labels` fulfils it.
    #[must_use]
    pub fn holds(&self, labels: &Labels) -> bool {
        self.test.accepts(self.value(labels))
    }
}

/// `namespace="shop"`, `app in ["a", "b"]`.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.name, self.test)
    }
}

/// Its matchers, without braces.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, matcher) in self.0.iter().enumerate() {
            f.write_str(if place == 0 { "" } else { ", " })?;
            matcher.fmt(f)?;
        }
        Ok(())
    }
}

/// Why a text is no [`Selector`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(String);

/// As in a rule.
impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        Self::parse(text).map_err(|fault| SelectorError(fault.message))
    }
}

impl Selector {
    /// Whether a stream with `labels` is selected.
    #[must_use]
    pub fn selects(&self, labels: &Labels) -> bool {
        self.0.iter().all(|matcher| matcher.holds(labels))
    }

    /// Reads a selector as rules have it: as Loki does, with braces and quotes optional.
    ///
    /// # Errors
    /// What is wrong with it, and what to write instead.
    pub fn read(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|fault| match fault.help {
            Some(help) => format!("{}; {help}", fault.message),
            None => fault.message,
        })
    }

    /// Reads a selector as Loki does, with braces and quotes optional; faults point into `text`.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let mut scan = Scan { text, at: 0 };
        scan.blanks();
        let braces = scan.take("{");
        let mut matchers = Vec::new();
        loop {
            scan.blanks();
            if scan.rest().is_empty() || braces && scan.rest().starts_with('}') {
                break;
            }
            matchers.push(scan.matcher()?);
            if matchers.len() > MATCHERS_MAX {
                return Err(Fault::new(
                    Code::TooMany,
                    0..text.len(),
                    format!("a selector has at most {MATCHERS_MAX} matchers"),
                ));
            }
            scan.blanks();
            if !scan.take(",") {
                break;
            }
        }
        if braces && !scan.take("}") {
            return Err(scan.fault_here("expected `,` or the closing `}`"));
        }
        scan.blanks();
        if !scan.rest().is_empty() {
            return Err(scan
                .fault_here("matchers are separated by commas")
                .help("write `namespace=a, app=b`; a value with blanks or commas must be quoted"));
        }
        let selector = Self(matchers);
        selector.contradiction(text)?;
        Ok(selector)
    }

    /// Two different values for one label select nothing, which nobody means.
    fn contradiction(&self, text: &str) -> Result<(), Fault> {
        for (place, matcher) in self.0.iter().enumerate() {
            let Test::Equal(value) = &matcher.test else {
                continue;
            };
            let other = self.0[..place]
                .iter()
                .find_map(|earlier| match &earlier.test {
                    Test::Equal(other) if earlier.name == matcher.name && other != value => {
                        Some(other)
                    }
                    _ => None,
                });
            if let Some(other) = other {
                let name = &matcher.name;
                return Err(Fault::new(
                    Code::Selector,
                    0..text.len(),
                    format!("no stream has both {name}={other} and {name}={value}"),
                )
                .help(format!(
                    "for either of them write {}",
                    quoted(&format!("{name}=~\"{other}|{value}\""))
                )));
            }
        }
        Ok(())
    }
}

/// Whether Loki knows labels of this name.
/// Source: `LabelName.IsValidLegacy`, prometheus/common `model/labels.go`.
pub(super) fn check_name(name: &str, at: Range<usize>) -> Result<(), Fault> {
    let bytes = name.as_bytes();
    let letter = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    let valid = bytes.first().is_some_and(letter)
        && bytes
            .iter()
            .all(|byte| letter(byte) || byte.is_ascii_digit());
    if valid {
        return Ok(());
    }
    let fault = Fault::new(
        Code::Selector,
        at,
        format!("`{}` is not the name of a label", shortened(name)),
    );
    let plain = name.replace(['.', '/', '-'], "_");
    Err(
        if plain != name
            && plain
                .bytes()
                .all(|byte| letter(&byte) || byte.is_ascii_digit())
        {
            fault.help(format!("labels have `_` there: `{plain}`"))
        } else {
            fault.help("names are `[a-zA-Z_][a-zA-Z0-9_]*`")
        },
    )
}

/// A text in double quotes, as [`unquote`] reads it: Go's escapes, which are not Rust's.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

/// The text that `quoted` means, in double quotes with escapes or in back quotes without; `None` if it is not all one quoted text.
pub(super) fn unquote(quoted: &str) -> Option<String> {
    let mut scan = Scan {
        text: quoted,
        at: 0,
    };
    let begins = quoted.starts_with(['"', '`']);
    let (text, _) = scan.value().ok().filter(|_| begins)?;
    scan.rest().is_empty().then_some(text)
}

/// A place in a selector's text.
struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn until(&mut self, end: impl Fn(char) -> bool) -> (&'a str, Range<usize>) {
        let length = self.rest().find(end).unwrap_or(self.rest().len());
        let span = self.at..self.at + length;
        self.at = span.end;
        (&self.text[span.clone()], span)
    }

    fn fault_here(&self, message: &str) -> Fault {
        let length = self.rest().chars().next().map_or(0, char::len_utf8);
        Fault::new(Code::Selector, self.at..self.at + length, message)
    }

    fn matcher(&mut self) -> Result<Matcher, Fault> {
        let (name, name_span) = self.until(|c| "=!~<>:,{}\"'`".contains(c) || c.is_whitespace());
        if name.is_empty() {
            return Err(self
                .fault_here("expected the name of a label")
                .help("write `namespace=a, component=~\"api.*\"`"));
        }
        check_name(name, name_span)?;
        self.blanks();
        let (operator, operator_span) = self.until(|c| !"=!~<>".contains(c));
        if !matches!(operator, "=" | "!=" | "=~" | "!~") {
            let fault =
                |message: String| Fault::new(Code::Selector, operator_span.clone(), message);
            return Err(match operator {
                "" if self.rest().starts_with(':') => self
                    .fault_here("`:` does not compare a label")
                    .help("write `namespace=a`, or a map: `{namespace: a, app: [b, c]}`"),
                "" => self.fault_here("expected `=`, `!=`, `=~` or `!~` after the label's name"),
                "==" => fault("`==` does not compare a label".to_owned()).help("write `=`"),
                "~" | "~=" => {
                    fault(format!("`{operator}` does not compare a label")).help("write `=~`")
                }
                _ => fault(format!("`{operator}` does not compare a label"))
                    .help("write `=`, `!=`, `=~` or `!~`"),
            });
        }
        self.blanks();
        let (value, span) = self.value()?;
        let regex = |value: &str| {
            pattern::compile_anchored(value).map_err(|mut fault| {
                // An escape makes the text longer than the value: then the whole value is shown.
                fault.at = if span.len() == value.len() || span.len() == value.len() + 2 {
                    let quote = (span.len() - value.len()) / 2;
                    span.start + quote + fault.at.start..span.start + quote + fault.at.end
                } else {
                    span.clone()
                };
                fault
            })
        };
        let test = match operator {
            "=" => Test::Equal(value),
            "!=" => Test::NotEqual(value),
            "=~" => regex(&value).map(|regex| Test::Matches(value, regex))?,
            _ => regex(&value).map(|regex| Test::MatchesNot(value, regex))?,
        };
        let name = name.to_owned();
        Ok(Matcher { name, test })
    }

    /// A value and where it stands, quotes included.
    fn value(&mut self) -> Result<(String, Range<usize>), Fault> {
        let start = self.at;
        let quote = match self.rest().chars().next() {
            Some(quote @ ('"' | '\'' | '`')) => quote,
            _ => {
                let (value, span) = self.until(|c| c == ',' || c == '}' || c.is_whitespace());
                if value.is_empty() {
                    return Err(self
                        .fault_here("expected a value")
                        .help("the empty value is written `\"\"`: a stream without the label"));
                }
                if value.contains(['{', '"', '\'', '`', '=']) {
                    return Err(Fault::new(
                        Code::Selector,
                        span,
                        "a value with braces, quotes or `=` must be quoted",
                    )
                    .help("write `pod=~\"api-[0-9]{1,3}\"`"));
                }
                return Ok((value.to_owned(), span));
            }
        };
        self.at += 1;
        let mut value = String::new();
        loop {
            let Some(c) = self.rest().chars().next() else {
                return Err(Fault::new(
                    Code::Selector,
                    start..self.text.len(),
                    format!("the quote {quote} is not closed"),
                ));
            };
            self.at += c.len_utf8();
            if c == quote {
                return Ok((value, start..self.at));
            }
            if c == '\\' && quote != '`' {
                value.push(self.escape()?);
            } else {
                value.push(c);
            }
        }
    }

    /// What follows a backslash in quotes: Go's escapes, as in Loki, and `\'`.
    fn escape(&mut self) -> Result<char, Fault> {
        let at = self.at - 1;
        let c = self.rest().chars().next().unwrap_or('\\');
        self.at += if self.rest().is_empty() {
            0
        } else {
            c.len_utf8()
        };
        let digits = |scan: &mut Self, count: usize| {
            let code = scan.rest().get(..count)?;
            let code = u32::from_str_radix(code, 16).ok()?;
            scan.at += count;
            char::from_u32(code)
        };
        let escaped = match c {
            '"' | '\\' | '\'' => Some(c),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'a' => Some('\u{7}'),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'v' => Some('\u{b}'),
            'x' => digits(self, 2),
            'u' => digits(self, 4),
            'U' => digits(self, 8),
            _ => None,
        };
        escaped.ok_or_else(|| {
            Fault::new(
                Code::Selector,
                at..self.at,
                format!("`{}` is no escape that Loki knows", &self.text[at..self.at]),
            )
            .help("in quotes write `\\\\` for a backslash, or use back quotes: app=~`v1\\.2`")
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::new(
            pairs
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into())),
        )
    }

    fn selects(selector: &str, pairs: &[(&str, &str)]) -> bool {
        Selector::parse(selector)
            .expect(selector)
            .selects(&labels(pairs))
    }

    #[test]
    fn selectors_are_read_as_in_loki_with_braces_and_quotes_optional() {
        let stream = [("namespace", "a b"), ("app", "api-2"), ("pod", "x,y}")];
        for selector in [
            "",
            "{}",
            " { } ",
            "app=api-2",
            "{app=api-2}",
            "{app=\"api-2\",}",
            "app=~api.*",
            "{ app =~ \"api-[0-9]{1,3}\" , namespace = 'a b' }",
            "namespace=`a b`, pod=\"x,y}\"",
            "app!=api, app!~api, missing=\"\", missing!=x",
            "app=\"api\\x2d2\", app=\"\\u0061pi-2\"",
            r"app=~`\w+-\d`",
            "app=~\"\\\\w+-\\\\d\"",
        ] {
            assert!(selects(selector, &stream), "{selector}");
        }
        for selector in [
            "app=api",
            "app=~api",
            "app=~pi-2",
            "app!=api-2",
            "app!~api.*",
            "missing=x",
            "missing=~.+",
        ] {
            assert!(!selects(selector, &stream), "{selector}");
        }
    }

    #[test]
    fn what_is_no_selector_says_why_and_where() {
        let mut out = String::new();
        for text in [
            "namespace",
            "namespace=",
            "=x",
            "a==b",
            "a~b",
            "a>b",
            "a: b",
            "a=b c=d",
            "a=b,,c=d",
            "{a=b",
            "a=b}",
            "a=\"b",
            "a=\"\\d\"",
            "app.kubernetes.io/name=x",
            "1a=b",
            "a=~\"(b\"",
            "a=~(b",
            "a=x, a=y",
            "a=~b{1,3}",
            "a=b=c",
            "a=\"x\\",
        ] {
            let fault = Selector::parse(text).expect_err(text);
            let at = &text[fault.at.clone()];
            out.push_str(&format!("{text:<25} at {at:?}: {}\n", fault.message));
        }
        expect_test::expect![[r#"
            namespace                 at "": expected `=`, `!=`, `=~` or `!~` after the label's name
            namespace=                at "": expected a value
            =x                        at "=": expected the name of a label
            a==b                      at "==": `==` does not compare a label
            a~b                       at "~": `~` does not compare a label
            a>b                       at ">": `>` does not compare a label
            a: b                      at ":": `:` does not compare a label
            a=b c=d                   at "c": matchers are separated by commas
            a=b,,c=d                  at ",": expected the name of a label
            {a=b                      at "": expected `,` or the closing `}`
            a=b}                      at "}": matchers are separated by commas
            a="b                      at "\"b": the quote " is not closed
            a="\d"                    at "\\d": `\d` is no escape that Loki knows
            app.kubernetes.io/name=x  at "app.kubernetes.io/name": `app.kubernetes.io/name` is not the name of a label
            1a=b                      at "1a": `1a` is not the name of a label
            a=~"(b"                   at "(": unclosed group: `(`
            a=~(b                     at "(": unclosed group: `(`
            a=x, a=y                  at "a=x, a=y": no stream has both a=x and a=y
            a=~b{1,3}                 at "b{1": a value with braces, quotes or `=` must be quoted
            a=b=c                     at "b=c": a value with braces, quotes or `=` must be quoted
            a="x\                     at "\"x\\": the quote " is not closed
        "#]].assert_eq(&out);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a={}!~\"'`\\\\,xuU0é \n]{0,24}") {
            if let Err(fault) = Selector::parse(&text) {
                prop_assert!(text.get(fault.at).is_some());
            }
        }

        #[test]
        fn a_quoted_value_is_itself(value in "[^`\\pC]{1,12}") {
            let selector = Selector::parse(&format!("app=`{value}`")).expect("valid");
            prop_assert!(selector.selects(&labels(&[("app", &value)])));
        }
    }
}
