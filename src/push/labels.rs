//! Label strings as they stand in a push request: `{namespace="a", pod="b"}`.
//!
//! The grammar is the one that Loki reads them with, Prometheus' metric descriptions: names bare or quoted, single, double and
//! back quotes, any spacing, comments, a trailing comma, a metric name in front. Source: `ParseMetric` and `lexInsideBraces`,
//! prometheus/prometheus `promql/parser`. Two things differ: bytes that are no UTF-8 become U+FFFD instead of an error, because a
//! stream is better inspected under a damaged label than not at all; and a name given twice is an error here already, where
//! Loki finds it later.

use std::fmt;

use memchr::memchr2;

use crate::batch::Labels;

/// The name that a metric name in front of the braces gets. Source: `labels.MetricName`, prometheus/prometheus `model/labels`.
const METRIC_NAME: &str = "__name__";

/// Reads a label string of at most `bytes_max` bytes. Empty values are dropped, as Loki does; `{}` and nothing at all are the empty set.
///
/// # Errors
/// [`LabelError`], with the place in the string, for a string that is too long, that Loki cannot read either, or that gives a name twice.
pub fn parse(raw: &[u8], bytes_max: usize) -> Result<Labels, LabelError> {
    if raw.len() > bytes_max {
        return Err(LabelError {
            line: 1,
            column: 1,
            problem: Problem::TooLong {
                bytes: raw.len(),
                bytes_max,
            },
        });
    }
    let mut cursor = Cursor { raw, at: 0 };
    let pairs = cursor
        .pairs()
        .map_err(|(at, problem)| LabelError::at(raw, at, problem))?;
    let mut order: Vec<usize> = (0..pairs.len()).collect();
    order.sort_by(|&a, &b| pairs[a].name.cmp(&pairs[b].name));
    if let Some(twice) = order
        .windows(2)
        .find(|two| pairs[two[0]].name == pairs[two[1]].name)
    {
        let again = &pairs[twice[1]];
        let problem = Problem::Duplicate(again.name.clone());
        return Err(LabelError::at(raw, again.at, problem));
    }
    Ok(Labels::new(
        pairs.into_iter().map(|pair| (pair.name, pair.value)),
    ))
}

/// What is wrong with a label string, and where. Written as Loki writes it: `1:4: parse error: unterminated quoted string`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: parse error: {problem}")]
pub struct LabelError {
    /// One-based.
    pub line: usize,
    /// One-based, in bytes.
    pub column: usize,
    problem: Problem,
}

impl LabelError {
    fn at(raw: &[u8], at: usize, problem: Problem) -> Self {
        let before = &raw[..at.min(raw.len())];
        let line_start = before
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        Self {
            line: 1 + before.iter().filter(|&&byte| byte == b'\n').count(),
            column: 1 + before.len() - line_start,
            problem,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Problem {
    TooLong {
        bytes: usize,
        bytes_max: usize,
    },
    Unterminated,
    Escape,
    Unexpected {
        found: Option<u8>,
        expected: &'static str,
    },
    Duplicate(Box<str>),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes, bytes_max } => {
                write!(f, "label string of {bytes} bytes, limit is {bytes_max}")
            }
            Self::Unterminated => f.write_str("unterminated quoted string"),
            Self::Escape => f.write_str("unknown escape sequence"),
            Self::Unexpected {
                found: None,
                expected,
            } => write!(f, "unexpected end of input, expected {expected}"),
            Self::Unexpected {
                found: Some(byte),
                expected,
            } => write!(
                f,
                "unexpected `{}`, expected {expected}",
                byte.escape_ascii()
            ),
            Self::Duplicate(name) => write!(f, "duplicate label name `{name}`"),
        }
    }
}

struct Pair {
    name: Box<str>,
    value: Box<str>,
    /// Where the name stands.
    at: usize,
}

struct Cursor<'a> {
    raw: &'a [u8],
    at: usize,
}

type Failed = (usize, Problem);

impl Cursor<'_> {
    fn pairs(&mut self) -> Result<Vec<Pair>, Failed> {
        let mut pairs = Vec::new();
        self.skip_blank();
        if let Some(name) = self.identifier(true) {
            pairs.push(Pair {
                name: METRIC_NAME.into(),
                value: name,
                at: 0,
            });
            self.skip_blank();
        }
        if self.peek().is_some() {
            self.expect(b'{', "`{`")?;
            loop {
                self.skip_blank();
                if self.eat(b'}') {
                    break;
                }
                pairs.push(self.pair()?);
                self.skip_blank();
                if !self.eat(b',') {
                    self.expect(b'}', "`,` or `}`")?;
                    break;
                }
            }
            self.skip_blank();
        }
        match self.peek() {
            None => Ok(pairs),
            Some(_) => Err(self.unexpected("the end")),
        }
    }

    fn pair(&mut self) -> Result<Pair, Failed> {
        let at = self.at;
        let quoted = matches!(self.peek(), Some(b'"' | b'\'' | b'`'));
        let name = if quoted {
            self.string()?
        } else {
            self.identifier(false)
                .ok_or_else(|| self.unexpected("a label name or `}`"))?
        };
        self.skip_blank();
        if quoted && matches!(self.peek(), Some(b',' | b'}')) {
            // A quoted name alone is a metric name: `{"up"}`.
            return Ok(Pair {
                name: METRIC_NAME.into(),
                value: name,
                at,
            });
        }
        self.expect(b'=', "`=`")?;
        self.skip_blank();
        if !matches!(self.peek(), Some(b'"' | b'\'' | b'`')) {
            return Err(self.unexpected("a quoted value"));
        }
        let value = self.string()?;
        Ok(Pair { name, value, at })
    }

    fn identifier(&mut self, colons: bool) -> Option<Box<str>> {
        let rest = &self.raw[self.at..];
        let length = rest
            .iter()
            .position(|&byte| {
                !(byte.is_ascii_alphanumeric() || byte == b'_' || colons && byte == b':')
            })
            .unwrap_or(rest.len());
        if length == 0 || rest[0].is_ascii_digit() {
            return None;
        }
        self.at += length;
        Some(lossy(&rest[..length]))
    }

    /// Reads a quoted string; the cursor is on its opening quote.
    fn string(&mut self) -> Result<Box<str>, Failed> {
        let start = self.at;
        let quote = self.raw[start];
        self.at += 1;
        let unterminated = (start, Problem::Unterminated);
        if quote == b'`' {
            let rest = &self.raw[self.at..];
            let length = memchr::memchr(b'`', rest).ok_or(unterminated)?;
            self.at += length + 1;
            return Ok(lossy(&rest[..length]));
        }
        let mut unescaped = Vec::new();
        loop {
            let rest = &self.raw[self.at..];
            let length = memchr2(quote, b'\\', rest).ok_or_else(|| unterminated.clone())?;
            if rest[..length].contains(&b'\n') {
                return Err(unterminated);
            }
            self.at += length + 1;
            if rest[length] == quote {
                // What Alloy and Loki write has nothing to undo: the bytes are taken as they lie.
                if unescaped.is_empty() {
                    return Ok(lossy(&rest[..length]));
                }
                unescaped.extend_from_slice(&rest[..length]);
                return Ok(lossy(&unescaped));
            }
            unescaped.extend_from_slice(&rest[..length]);
            self.escape(quote, &mut unescaped)?;
        }
    }

    /// Undoes one escape; the cursor is behind its backslash.
    fn escape(&mut self, quote: u8, out: &mut Vec<u8>) -> Result<(), Failed> {
        let start = self.at - 1;
        let letter = self.peek().ok_or((start, Problem::Unterminated))?;
        self.at += 1;
        let plain = match letter {
            b'a' => 0x07,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0x0b,
            b'\\' => b'\\',
            other if other == quote => quote,
            b'0'..=b'7' => {
                self.at -= 1;
                self.digits(3, 8, start)
                    .and_then(|code| u8::try_from(code).map_err(|_| (start, Problem::Escape)))?
            }
            b'x' => {
                let code = self.digits(2, 16, start)?;
                u8::try_from(code).expect("two hexadecimal digits make a byte")
            }
            b'u' | b'U' => {
                let count = if letter == b'u' { 4 } else { 8 };
                let code = self.digits(count, 16, start)?;
                let c = char::from_u32(code).ok_or((start, Problem::Escape))?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err((start, Problem::Escape)),
        };
        out.push(plain);
        Ok(())
    }

    /// Reads exactly `count` digits, at most eight.
    fn digits(&mut self, count: usize, radix: u32, start: usize) -> Result<u32, Failed> {
        let mut code = 0u32;
        for _ in 0..count {
            let digit = self
                .peek()
                .and_then(|byte| char::from(byte).to_digit(radix))
                .ok_or((start, Problem::Escape))?;
            code = code.wrapping_mul(radix) | digit;
            self.at += 1;
        }
        Ok(code)
    }

    fn skip_blank(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                b'#' => {
                    let rest = &self.raw[self.at..];
                    self.at += memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
                }
                _ => break,
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.raw.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), Failed> {
        if self.eat(byte) {
            Ok(())
        } else {
            Err(self.unexpected(expected))
        }
    }

    fn unexpected(&self, expected: &'static str) -> Failed {
        let found = self.peek();
        if matches!(found, Some(b'"' | b'\'' | b'`')) {
            // Loki splits the string into tokens first: of a string at the wrong place that has no end, it reports the end.
            let mut ahead = Cursor { ..*self };
            if let Err(failed) = ahead.string() {
                return failed;
            }
        }
        (self.at, Problem::Unexpected { found, expected })
    }
}

fn lossy(bytes: &[u8]) -> Box<str> {
    String::from_utf8_lossy(bytes).into()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = 16 << 10;

    #[track_caller]
    fn check(raw: &str, expected: Expect) {
        let shown = match parse(raw.as_bytes(), MAX) {
            Ok(labels) => labels.to_string(),
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn what_loki_reads_is_read_alike() {
        check(r#"{job="foo"}"#, expect![[r#"{job="foo"}"#]]);
        check(
            r#"{job="foo", env="a"}"#,
            expect![[r#"{env="a", job="foo"}"#]],
        );
        check(
            "{ \"foo\"=\"bar2\",  \t\n  'environment' = `prod`  , }",
            expect![[r#"{environment="prod", foo="bar2"}"#]],
        );
        check(r#"{job="foo", bar=""}"#, expect![[r#"{job="foo"}"#]]);
        check("{}", expect!["{}"]);
        check("", expect!["{}"]);
        check(" { } # nothing", expect!["{}"]);
        check(r#"up{job="x"}"#, expect![[r#"{__name__="up", job="x"}"#]]);
        check(
            r#"{"a b"="x", "up"}"#,
            expect![[r#"{__name__="up", "a b"="x"}"#]],
        );
    }

    #[test]
    fn escapes_are_those_of_go() {
        let labels = parse(
            br#"{a="q\" b\\ n\n t\t bell\a esc\x1b nbsp\u00a0 del\x7f \303\251 \U0001f600", b='\'', c=`\n"'`}"#,
            MAX,
        )
        .expect("valid");
        assert_eq!(
            labels.get("a"),
            Some("q\" b\\ n\n t\t bell\u{7} esc\u{1b} nbsp\u{a0} del\u{7f} é \u{1f600}")
        );
        assert_eq!(labels.get("b"), Some("'"));
        assert_eq!(labels.get("c"), Some("\\n\"'"));
        for raw in [
            r#"{a="\q"}"#,
            r#"{a="\'"}"#,
            r#"{a="\x1"}"#,
            r#"{a="\400"}"#,
            r#"{a="\ud800"}"#,
            r#"{a="\U00110000"}"#,
            r#"{a="\UFFFFFFFF"}"#,
            r#"{a="\u12"#,
            r#"{a="\"#,
        ] {
            assert!(parse(raw.as_bytes(), MAX).is_err(), "{raw}");
        }
    }

    #[test]
    fn errors_say_where() {
        check(
            r#"{ab""#,
            expect!["1:4: parse error: unterminated quoted string"],
        );
        check(
            "{a=\"b\",\n c=\"d",
            expect!["2:4: parse error: unterminated quoted string"],
        );
        check(
            "{a=\"b\n\"}",
            expect!["1:4: parse error: unterminated quoted string"],
        );
        check(
            r#"{a=b}"#,
            expect!["1:4: parse error: unexpected `b`, expected a quoted value"],
        );
        check(
            r#"{a!="b"}"#,
            expect!["1:3: parse error: unexpected `!`, expected `=`"],
        );
        check(
            r#"{a="b" c="d"}"#,
            expect!["1:8: parse error: unexpected `c`, expected `,` or `}`"],
        );
        check(
            r#"{,}"#,
            expect!["1:2: parse error: unexpected `,`, expected a label name or `}`"],
        );
        check(
            r#"{1a="b"}"#,
            expect!["1:2: parse error: unexpected `1`, expected a label name or `}`"],
        );
        check(
            r#"{a="b"} x"#,
            expect!["1:9: parse error: unexpected `x`, expected the end"],
        );
        check(
            r#"{a="b""#,
            expect!["1:7: parse error: unexpected end of input, expected `,` or `}`"],
        );
        check(
            r#"{foo="bar", foo="barf"}"#,
            expect!["1:13: parse error: duplicate label name `foo`"],
        );
        check(
            r#"{a="\z"}"#,
            expect!["1:5: parse error: unknown escape sequence"],
        );
        check(
            &format!("{{a=\"{}\"}}", "x".repeat(MAX)),
            expect!["1:1: parse error: label string of 16390 bytes, limit is 16384"],
        );
    }

    #[test]
    fn bytes_that_are_no_utf8_become_replacement_characters() {
        let labels = parse(b"{a=\"x\xffy\", b=\"\\xff\", c=\"\\xc3\\xa9\"}", MAX).expect("valid");
        assert_eq!(labels.get("a"), Some("x\u{fffd}y"));
        assert_eq!(labels.get("b"), Some("\u{fffd}"));
        assert_eq!(labels.get("c"), Some("é"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            pairs in prop::collection::vec(("[a-zA-Z_][a-zA-Z0-9_]{0,6}", any::<String>()), 0..6)
        ) {
            let labels = Labels::new(pairs.into_iter().map(|(n, v)| (n.into(), v.into())));
            // Control characters above 0x7f are written as one byte by Go and by us, which no UTF-8 reader undoes.
            prop_assume!(labels.iter().all(|(_, v)| !v.chars().any(|c| ('\u{80}'..'\u{a0}').contains(&c))));
            prop_assert_eq!(parse(labels.to_string().as_bytes(), usize::MAX), Ok(labels));
        }

        #[test]
        fn any_bytes_are_labels_or_an_error(
            raw in prop::collection::vec(prop::sample::select(b"{}=\"'`\\,ab_:1x \n#u0\xff\xc3".to_vec()), 0..40)
        ) {
            let _ = parse(&raw, MAX);
        }
    }
}
