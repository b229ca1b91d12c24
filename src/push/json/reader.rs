//! A small pull parser for JSON (RFC 8259) over bytes that need not be UTF-8: strings are unescaped straight to where they
//! belong, values nobody asks for are skipped, and what is wrong is said with its place.

use std::borrow::Cow;

/// What is wrong with a JSON text, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("json: {problem} at byte {offset}")]
pub struct JsonError {
    /// Zero-based place in the decompressed body.
    pub offset: usize,
    /// What is wrong there.
    pub problem: &'static str,
}

/// The kind of a value, known from its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

/// Deepest nesting that is followed, as in serde_json; a push needs four.
const DEPTH_MAX: usize = 128;

/// Where reading stands in a text. After an error the place is meaningless.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
        }
    }

    /// An error at the present place.
    pub(crate) fn error(&self, problem: &'static str) -> JsonError {
        JsonError {
            offset: self.at,
            problem,
        }
    }

    /// The kind of the value that follows; blanks before it are consumed.
    pub(crate) fn kind(&mut self) -> Result<Kind, JsonError> {
        self.skip_blank();
        match self.peek() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'n') => Ok(Kind::Null),
            Some(_) => Err(self.error("unexpected character")),
            None => Err(self.error("unexpected end")),
        }
    }

    /// Consumes a `null`, if one follows.
    pub(crate) fn null(&mut self) -> Result<bool, JsonError> {
        let is_null = self.kind()? == Kind::Null;
        if is_null {
            self.word(b"null")?;
        }
        Ok(is_null)
    }

    /// Reads an object; `member` is called with each unescaped name and must consume the value.
    pub(crate) fn object<E: From<JsonError>>(
        &mut self,
        mut member: impl FnMut(&mut Self, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.open(b'{', "expected an object")?;
        if self.close(b'}') {
            return Ok(());
        }
        loop {
            self.skip_blank();
            let name = self.string()?;
            self.skip_blank();
            self.expect(b':', "expected `:`")?;
            member(self, &name)?;
            if self.close(b'}') {
                return Ok(());
            }
            self.expect(b',', "expected `,` or `}`")?;
        }
    }

    /// Reads an array; `element` is called with each place and must consume the value.
    pub(crate) fn array<E: From<JsonError>>(
        &mut self,
        mut element: impl FnMut(&mut Self, usize) -> Result<(), E>,
    ) -> Result<(), E> {
        self.open(b'[', "expected an array")?;
        if self.close(b']') {
            return Ok(());
        }
        for place in 0.. {
            element(self, place)?;
            if self.close(b']') {
                break;
            }
            self.expect(b',', "expected `,` or `]`")?;
        }
        Ok(())
    }

    /// Reads a string; borrowed when it holds no escape.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, [u8]>, JsonError> {
        self.skip_blank();
        self.expect(b'"', "expected a string")?;
        let length = self.plain();
        let plain = &self.text[self.at..self.at + length];
        if self.text.get(self.at + length) == Some(&b'"') {
            self.at += length + 1;
            return Ok(Cow::Borrowed(plain));
        }
        let mut unescaped = Vec::new();
        self.string_rest(&mut unescaped)?;
        Ok(Cow::Owned(unescaped))
    }

    /// Reads a string and appends it to `out`, unescaped: never more bytes than it has in the text.
    pub(crate) fn string_into(&mut self, out: &mut Vec<u8>) -> Result<(), JsonError> {
        self.skip_blank();
        self.expect(b'"', "expected a string")?;
        self.string_rest(out)
    }

    /// Reads any value and returns its text.
    pub(crate) fn raw(&mut self) -> Result<&'a [u8], JsonError> {
        self.skip_blank();
        let start = self.at;
        self.skip()?;
        Ok(&self.text[start..self.at])
    }

    /// Reads any value and forgets it.
    pub(crate) fn skip(&mut self) -> Result<(), JsonError> {
        match self.kind()? {
            Kind::Object => self.object(|reader, _| reader.skip()),
            Kind::Array => self.array(|reader, _| reader.skip()),
            Kind::String => self.skip_string(),
            Kind::Number => self.number(),
            Kind::Bool if self.peek() == Some(b't') => self.word(b"true"),
            Kind::Bool => self.word(b"false"),
            Kind::Null => self.word(b"null"),
        }
    }

    fn skip_string(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        let mut small = Vec::new();
        loop {
            self.at += self.plain();
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.escape(&mut small)?;
                    small.clear();
                }
                Some(_) => return Err(self.error("control character in a string")),
                None => return Err(self.error("unexpected end")),
            }
        }
    }

    /// Reads up to and with the closing quote.
    fn string_rest(&mut self, out: &mut Vec<u8>) -> Result<(), JsonError> {
        loop {
            let length = self.plain();
            out.extend_from_slice(&self.text[self.at..self.at + length]);
            self.at += length;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape(out)?,
                Some(_) => return Err(self.error("control character in a string")),
                None => return Err(self.error("unexpected end")),
            }
        }
    }

    /// How many bytes of a string follow that stand for themselves.
    fn plain(&self) -> usize {
        let rest = &self.text[self.at..];
        rest.iter()
            .position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20)
            .unwrap_or(rest.len())
    }

    /// Undoes one escape; half a surrogate pair becomes U+FFFD, as in Go.
    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), JsonError> {
        self.at += 1;
        let letter = self.peek().ok_or_else(|| self.error("unexpected end"))?;
        let plain = match letter {
            b'"' | b'\\' | b'/' => letter,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                self.at += 1;
                let c = self.utf16()?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(self.error("unknown escape")),
        };
        self.at += 1;
        out.push(plain);
        Ok(())
    }

    /// Reads the digits of a `\u`, and of a second one where the two are a surrogate pair.
    fn utf16(&mut self) -> Result<char, JsonError> {
        let first = self.hex4()?;
        if (0xd800..0xdc00).contains(&first) && self.text[self.at..].starts_with(b"\\u") {
            let back = self.at;
            self.at += 2;
            let second = self.hex4()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).expect("a surrogate pair is a character"));
            }
            self.at = back;
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self
                .peek()
                .and_then(|byte| char::from(byte).to_digit(16))
                .ok_or_else(|| self.error("expected four hexadecimal digits"))?;
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }

    fn number(&mut self) -> Result<(), JsonError> {
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _sign = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let rest = &self.text[self.at..];
        let count = rest
            .iter()
            .position(|byte| !byte.is_ascii_digit())
            .unwrap_or(rest.len());
        if count == 0 {
            return Err(self.error("expected a digit"));
        }
        self.at += count;
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Result<(), JsonError> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.error("unexpected character"));
        }
        self.at += word.len();
        Ok(())
    }

    fn open(&mut self, byte: u8, problem: &'static str) -> Result<(), JsonError> {
        self.skip_blank();
        if self.depth == DEPTH_MAX {
            return Err(self.error("nested too deeply"));
        }
        self.depth += 1;
        self.expect(byte, problem)
    }

    fn close(&mut self, byte: u8) -> bool {
        self.skip_blank();
        let closed = self.eat(byte);
        self.depth -= usize::from(closed);
        closed
    }

    fn skip_blank(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, problem: &'static str) -> Result<(), JsonError> {
        if self.eat(byte) {
            Ok(())
        } else if self.at == self.text.len() {
            Err(self.error("unexpected end"))
        } else {
            Err(self.error(problem))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a whole text into serde_json's value, for comparison.
    fn value(reader: &mut Reader<'_>) -> Result<serde_json::Value, JsonError> {
        use serde_json::Value;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(match reader.kind()? {
            Kind::Object => {
                let mut members = serde_json::Map::new();
                reader.object(|reader, name| {
                    members.insert(text(name), value(reader)?);
                    Ok::<_, JsonError>(())
                })?;
                Value::Object(members)
            }
            Kind::Array => {
                let mut elements = Vec::new();
                reader.array(|reader, place| {
                    assert_eq!(place, elements.len());
                    elements.push(value(reader)?);
                    Ok::<_, JsonError>(())
                })?;
                Value::Array(elements)
            }
            Kind::String => {
                let mut out = b"before".to_vec();
                reader.string_into(&mut out)?;
                Value::String(text(&out[6..]))
            }
            _ => serde_json::from_slice(reader.raw()?).expect("skip checks the grammar"),
        })
    }

    fn whole(text: &[u8]) -> Option<serde_json::Value> {
        let mut reader = Reader::new(text);
        let value = value(&mut reader).ok()?;
        reader.skip_blank();
        (reader.at == text.len()).then_some(value)
    }

    fn skipped(text: &[u8]) -> bool {
        let mut reader = Reader::new(text);
        let skipped = reader.skip().is_ok();
        reader.skip_blank();
        skipped && reader.at == text.len()
    }

    #[test]
    fn half_a_surrogate_pair_becomes_a_replacement_character() {
        for (text, expected) in [
            (r#""\ud83d\ude00""#, "\u{1f600}"),
            (r#""\ud83d""#, "\u{fffd}"),
            (r#""\ud83dx""#, "\u{fffd}x"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
            (r#""\ude00\n""#, "\u{fffd}\n"),
        ] {
            let read = Reader::new(text.as_bytes()).string().expect("valid");
            assert_eq!(*read, *expected.as_bytes(), "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = |depth| [vec![b'['; depth], vec![b']'; depth]].concat();
        assert!(skipped(&deep(DEPTH_MAX)));
        assert!(!skipped(&deep(DEPTH_MAX + 1)));
        assert!(!skipped(&vec![b'['; 1 << 20]));
    }

    proptest! {
        #[test]
        fn texts_near_json_are_read_as_serde_json_reads_them(
            pieces in prop::collection::vec(prop::sample::select(vec![
                "{", "}", "[", "]", ",", ":", " ", "\n", "\"a\"", "\"", "\\", "\\n", "\\u0041", "\\q", "é", "\u{1}",
                "0", "1", "-", ".5", "e+3", "12", "true", "false", "null", "nul", "\"b\":", "[1,2]", "{\"c\":\"d\\\"\"}",
            ]), 0..12)
        ) {
            let text = pieces.concat();
            let expected: Option<serde_json::Value> = serde_json::from_str(&text).ok();
            // A number beyond f64 is refused by serde_json, and here by the helper above.
            prop_assert_eq!(whole(text.as_bytes()), expected.clone(), "{}", text);
            prop_assert_eq!(skipped(text.as_bytes()), expected.is_some(), "{}", text);
        }

        #[test]
        fn whatever_serde_json_writes_is_read_back(strings in prop::collection::vec(any::<String>(), 0..5)) {
            let written = serde_json::json!({ "list": strings.clone(), "last": strings.last() });
            let text = written.to_string();
            prop_assert_eq!(whole(text.as_bytes()), Some(written));
        }

        #[test]
        fn any_bytes_are_a_value_or_an_error(text in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = Reader::new(&text).skip();
        }
    }
}
