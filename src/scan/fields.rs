//! A field of a line: a JSON path or a logfmt key, found without building anything.
//!
//! Both readers are lenient, because lines are cut and mixed with prose: what precedes the first damage counts.
//! A key that occurs twice has its first value. Cost is one pass over the line for each segment of the name.

use memchr::{memchr, memchr2};

use crate::rules::Parse;

/// The value of the field `name` in `line`, as text: strings without quotes and escapes, everything else as written.
///
/// In JSON a literal key beats a dotted path, and `null` is missing. In logfmt a key without `=` is missing.
/// A value with escapes is written to `buffer`; every other borrows from `line`.
pub(crate) fn find<'v>(
    parse: Parse,
    line: &'v [u8],
    name: &str,
    buffer: &'v mut Vec<u8>,
) -> Option<&'v [u8]> {
    let value = match notation(parse, line)? {
        Notation::Json => path(line, name.as_bytes(), buffer)?,
        Notation::Logfmt => {
            let pair = Pairs::lenient(line).find(|pair| pair.key == name.as_bytes())?;
            pair.value?
        }
    };
    Some(match value {
        Value::Text(raw) => unescaped(raw, buffer),
        Value::Object(raw) | Value::Other(raw) => raw,
    })
}

/// How a line writes its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notation {
    Json,
    Logfmt,
}

/// How the fields of `line` are written, if it has any under `parse`.
pub(super) fn notation(parse: Parse, line: &[u8]) -> Option<Notation> {
    let json = line.first() == Some(&b'{');
    match parse {
        Parse::Auto if json => Some(Notation::Json),
        Parse::Auto if begins_with_pair(line) => Some(Notation::Logfmt),
        Parse::Json if json => Some(Notation::Json),
        Parse::Logfmt => Some(Notation::Logfmt),
        Parse::Auto | Parse::Json | Parse::None => None,
    }
}

/// Whether `line` begins with `name=`.
fn begins_with_pair(line: &[u8]) -> bool {
    let name_len = line
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || b"_.-@".contains(byte))
        .count();
    name_len > 0 && !line[0].is_ascii_digit() && line.get(name_len) == Some(&b'=')
}

/// A value as it stands in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// What a quoted string holds, escapes and all.
    Text(&'a [u8]),
    /// A JSON object with its braces.
    Object(&'a [u8]),
    /// A number, a word, an array, an unquoted logfmt value.
    Other(&'a [u8]),
}

/// The value at `name` in a JSON object. The longest key that begins `name` is tried first, so a literal key beats a path.
fn path<'a>(object: &'a [u8], name: &[u8], buffer: &mut Vec<u8>) -> Option<Value<'a>> {
    if let Some(value) = member(object, name, buffer) {
        return Some(value);
    }
    (0..name.len())
        .rev()
        .filter(|&at| name[at] == b'.')
        .find_map(|at| match member(object, &name[..at], buffer)? {
            Value::Object(inner) => path(inner, &name[at + 1..], buffer),
            Value::Text(_) | Value::Other(_) => None,
        })
}

fn member<'a>(object: &'a [u8], key: &[u8], buffer: &mut Vec<u8>) -> Option<Value<'a>> {
    Members::of(object)
        .find(|member| unescaped(member.key, buffer) == key && member.value != NULL)
        .map(|member| member.value)
}

const NULL: Value = Value::Other(b"null");

/// The members of a JSON object, in order, up to the first damage.
pub(super) struct Members<'a> {
    text: &'a [u8],
    at: usize,
}

/// One member of a JSON object.
pub(super) struct Member<'a> {
    /// The key as written, without quotes.
    pub(super) key: &'a [u8],
    /// Its value.
    pub(super) value: Value<'a>,
}

impl<'a> Members<'a> {
    /// The members of the object that `text` begins with; none if it does not begin with one.
    pub(super) fn of(text: &'a [u8]) -> Self {
        let at = if text.first() == Some(&b'{') {
            1
        } else {
            text.len()
        };
        Self { text, at }
    }

    fn skip(&mut self, blank: impl Fn(u8) -> bool) -> Option<u8> {
        let blanks = self.text[self.at..].iter().take_while(|&&b| blank(b));
        self.at += blanks.count();
        self.text.get(self.at).copied()
    }

    /// Steps over the string whose opening quote is next, and gives what it holds.
    fn string(&mut self) -> Option<&'a [u8]> {
        let start = self.at + 1;
        let end = string_end(self.text, start)?;
        self.at = end + 1;
        Some(&self.text[start..end])
    }

    fn value(&mut self) -> Option<Value<'a>> {
        let start = self.at;
        match self.text.get(start)? {
            b'"' => self.string().map(Value::Text),
            open @ (b'{' | b'[') => {
                self.at = nested_end(self.text, start)?;
                let raw = &self.text[start..self.at];
                Some(if *open == b'{' {
                    Value::Object(raw)
                } else {
                    Value::Other(raw)
                })
            }
            _ => {
                let word = self.text[start..]
                    .iter()
                    .position(|b| b",}] \t\r\n".contains(b))?;
                self.at += word;
                (word > 0).then(|| Value::Other(&self.text[start..self.at]))
            }
        }
    }

    fn member(&mut self) -> Option<Member<'a>> {
        if self.skip(|b| b == b',' || b.is_ascii_whitespace())? != b'"' {
            return None;
        }
        let key = self.string()?;
        if self.skip(|b| b.is_ascii_whitespace())? != b':' {
            return None;
        }
        self.at += 1;
        self.skip(|b| b.is_ascii_whitespace())?;
        let value = self.value()?;
        Some(Member { key, value })
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Member<'a>> {
        let member = self.member();
        if member.is_none() {
            self.at = self.text.len();
        }
        member
    }
}

/// Where the quote is that closes the string beginning at `at`.
fn string_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// Where the object or array that begins at `at` has ended. A loop, not a recursion: depth is the log's to choose.
fn nested_end(text: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match text.get(at)? {
            b'"' => at = string_end(text, at + 1)?,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// The pairs of a logfmt line, in order.
pub(super) struct Pairs<'a> {
    line: &'a [u8],
    at: usize,
    strict: bool,
}

/// One pair of a logfmt line.
pub(super) struct Pair<'a> {
    /// What stands before `=`.
    pub(super) key: &'a [u8],
    /// What stands after it; `None` without one.
    pub(super) value: Option<Value<'a>>,
}

impl<'a> Pairs<'a> {
    /// Every pair of `line`; what is none is stepped over.
    pub(super) fn lenient(line: &'a [u8]) -> Self {
        Self {
            line,
            at: 0,
            strict: false,
        }
    }

    /// The pairs before the first thing that is none: where Loki's decoder stops
    /// (`pkg/logql/log/logfmt/decode.go`).
    pub(super) fn strict(line: &'a [u8]) -> Self {
        Self {
            line,
            at: 0,
            strict: true,
        }
    }

    /// Bytes until `stop` says so, stepped over.
    fn until(&mut self, stop: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = &self.line[self.at..];
        let len = rest.iter().position(|&b| stop(b)).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    fn value(&mut self) -> Option<Value<'a>> {
        if self.line.get(self.at) == Some(&b'"') {
            let start = self.at + 1;
            let Some(end) = string_end(self.line, start) else {
                self.at = self.line.len();
                return None;
            };
            self.at = end + 1;
            return Some(Value::Text(&self.line[start..end]));
        }
        let value = self.until(|b| b <= b' ');
        let damaged = self.strict && memchr2(b'=', b'"', value).is_some();
        (!damaged).then_some(Value::Other(value))
    }

    /// The next pair, or `Err` for something that is none.
    fn pair(&mut self) -> Result<Option<Pair<'a>>, ()> {
        self.until(|b| b > b' ');
        if self.at == self.line.len() {
            return Ok(None);
        }
        let key = self.until(|b| b <= b' ' || b == b'=' || b == b'"');
        match self.line.get(self.at) {
            Some(b'=') if !key.is_empty() => {
                self.at += 1;
                let value = self.value().ok_or(())?;
                Ok(Some(Pair {
                    key,
                    value: Some(value),
                }))
            }
            Some(b'=') => {
                self.at += 1;
                Err(())
            }
            Some(b'"') => {
                self.at = string_end(self.line, self.at + 1).map_or(self.line.len(), |end| end + 1);
                Err(())
            }
            _ => Ok(Some(Pair { key, value: None })),
        }
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Pair<'a>;

    fn next(&mut self) -> Option<Pair<'a>> {
        loop {
            match self.pair() {
                Ok(pair) => return pair,
                Err(()) if self.strict => {
                    self.at = self.line.len();
                    return None;
                }
                Err(()) => {}
            }
        }
    }
}

/// `raw` without its escapes; written to `buffer` only when it has some.
fn unescaped<'v>(raw: &'v [u8], buffer: &'v mut Vec<u8>) -> &'v [u8] {
    let Some(mut at) = memchr(b'\\', raw) else {
        return raw;
    };
    buffer.clear();
    buffer.extend_from_slice(&raw[..at]);
    while at < raw.len() {
        if raw[at] != b'\\' {
            buffer.push(raw[at]);
            at += 1;
            continue;
        }
        at += 2;
        let plain = match raw.get(at - 1) {
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'r') => b'\r',
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(&plain @ (b'"' | b'\\' | b'/')) => plain,
            Some(b'u') => {
                let c = unicode_escape(raw, &mut at).unwrap_or(char::REPLACEMENT_CHARACTER);
                buffer.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            // No escape that we know: the backslash stands for itself.
            Some(&other) => {
                buffer.push(b'\\');
                other
            }
            None => b'\\',
        };
        buffer.push(plain);
    }
    buffer
}

/// The character of `\uXXXX` whose digits begin at `at`, with its second half if it is a surrogate pair.
fn unicode_escape(raw: &[u8], at: &mut usize) -> Option<char> {
    let unit = |at: usize| {
        let digits = std::str::from_utf8(raw.get(at..at + 4)?).ok()?;
        digits
            .bytes()
            .all(|b| b.is_ascii_hexdigit())
            .then(|| u32::from_str_radix(digits, 16).ok())?
    };
    let first = unit(*at)?;
    *at += 4;
    if !(0xd800..0xdc00).contains(&first) || raw.get(*at..*at + 2) != Some(b"\\u") {
        return char::from_u32(first);
    }
    let second = unit(*at + 2).filter(|second| (0xdc00..0xe000).contains(second))?;
    *at += 6;
    char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::*;

    #[track_caller]
    fn check(parse: Parse, line: &str, name: &str, expected: Option<&str>) {
        let mut buffer = Vec::new();
        let found = find(parse, line.as_bytes(), name, &mut buffer);
        let found = found.map(|value| String::from_utf8_lossy(value).into_owned());
        assert_eq!(found.as_deref(), expected, "{name} in {line}");
    }

    #[test]
    fn a_json_path_reaches_strings_numbers_objects_and_arrays() {
        let line = r#"{"a" : {"b":{"c":7,"d":[1,{"x":"}"}]}},"msg":"say \"hi\" \u00e9\ud83d\ude00","ok":true,"none":null}"#;
        check(Parse::Auto, line, "a.b.c", Some("7"));
        check(Parse::Auto, line, "a.b.d", Some(r#"[1,{"x":"}"}]"#));
        check(
            Parse::Auto,
            line,
            "a.b",
            Some(r#"{"c":7,"d":[1,{"x":"}"}]}"#),
        );
        check(Parse::Auto, line, "msg", Some("say \"hi\" é😀"));
        check(Parse::Auto, line, "ok", Some("true"));
        check(Parse::Auto, line, "none", None);
        check(Parse::Auto, line, "a.x", None);
        check(Parse::Auto, line, "ok.x", None);
        check(Parse::Logfmt, line, "msg", None);
        check(Parse::None, line, "ok", None);
    }

    #[test]
    fn a_literal_key_beats_a_dotted_path() {
        check(
            Parse::Json,
            r#"{"log":{"level":"path"},"log.level":"key"}"#,
            "log.level",
            Some("key"),
        );
        check(
            Parse::Json,
            r#"{"log":{"level":"path"},"log.level":null}"#,
            "log.level",
            Some("path"),
        );
        check(
            Parse::Json,
            r#"{"a":{"b.c":1},"a.b":{"c":2}}"#,
            "a.b.c",
            Some("2"),
        );
        check(Parse::Json, r#"{"a":1,"a":2}"#, "a", Some("1"));
        check(Parse::Json, r#"{"\u0061":1}"#, "a", Some("1"));
    }

    #[test]
    fn what_precedes_the_damage_counts() {
        check(Parse::Json, r#"{"a":"x","b":{"c":1,"d"#, "a", Some("x"));
        check(Parse::Json, r#"{"a":"x","b":{"c":1,"d"#, "b.c", None);
        check(Parse::Json, r#"{"a":"x"#, "a", None);
        check(Parse::Json, r#"{"a":12"#, "a", None);
        check(Parse::Json, r#"{"a":1} tail {"b":2}"#, "b", None);
        check(Parse::Json, r#" {"a":1}"#, "a", None);
        check(
            Parse::Json,
            r#"{"a":"\ud83d\u0041 \q \u00"}"#,
            "a",
            Some("\u{fffd}A \\q \u{fffd}00"),
        );
    }

    #[test]
    fn logfmt_pairs_are_found_among_prose() {
        let line =
            r#"level=info empty= url=http://x?a=b msg="say \"hi\"" bare stray"quoted k=v" last=1 "#;
        check(Parse::Auto, line, "level", Some("info"));
        check(Parse::Auto, line, "empty", Some(""));
        check(Parse::Auto, line, "url", Some("http://x?a=b"));
        check(Parse::Auto, line, "msg", Some("say \"hi\""));
        check(Parse::Auto, line, "bare", None);
        check(Parse::Auto, line, "k", None);
        check(Parse::Auto, line, "last", Some("1"));
        check(Parse::Auto, r#"a=1 b="unclosed c=2"#, "b", None);
        check(Parse::Auto, r#"a=1 b="unclosed c=2"#, "c", None);
        let klog = r#"E0102 15:04:05.000000 1 file.go:1] "Failed" err="boom" pod="a/b""#;
        check(Parse::Auto, klog, "pod", None);
        check(Parse::Logfmt, klog, "pod", Some("a/b"));
        check(Parse::Auto, "x: a=1", "a", None);
        check(Parse::Auto, "=1 a=2", "a", None);
    }

    fn json_value() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            ".*".prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
                prop::collection::btree_map("[ab.\"\u{e9}]{1,3}", inner, 0..4)
                    .prop_map(Json::from_iter),
            ]
        })
    }

    proptest! {
        #[test]
        fn top_level_members_are_what_a_full_parser_reads(
            object in prop::collection::btree_map("[abc\"\\\\\n\u{e9}]{0,4}", json_value(), 0..6),
        ) {
            let line = Json::from_iter(object.clone()).to_string();
            let mut buffer = Vec::new();
            for (key, value) in &object {
                let expected = match value {
                    Json::Null => None,
                    Json::String(text) => Some(text.clone()),
                    other => Some(other.to_string()),
                };
                let found = find(Parse::Json, line.as_bytes(), key, &mut buffer)
                    .map(|found| String::from_utf8_lossy(found).into_owned());
                prop_assert_eq!(found, expected, "{} in {}", key, &line);
            }
        }

        #[test]
        fn no_line_makes_the_readers_panic(line in "[{}\\[\\]\",:=\\\\ua0 ]{0,40}", name in "[a.]{0,4}") {
            let mut buffer = Vec::new();
            for parse in [Parse::Auto, Parse::Json, Parse::Logfmt] {
                find(parse, line.as_bytes(), &name, &mut buffer);
            }
            Pairs::strict(line.as_bytes()).count();
        }
    }
}
