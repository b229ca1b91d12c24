//! What of a line makes its kind: its words, with whatever varies from line to line left out.
//!
//! One pass over at most [`LINE_BYTES_MAX`] bytes, nothing compiled and nothing looked up: a word with a digit in it is a
//! number, a time, an address or an id, and so is varying; a quoted word and the value of `name=value` vary too.
//! Other words stay, above all those that say how bad it is.

use std::borrow::Cow;
use std::ops::Range;

use crate::hit::LINE_BYTES_MAX;
use crate::rules::Parse;
use crate::scan;
use crate::text::lossy;

/// Stands for what varies. No line brings it: control characters separate words.
pub(super) const VARYING: &str = "\u{2}";

/// Most words of a line that are looked at. A longer line is of the kind that its first words are: what follows is mostly
/// a stack or a dump.
pub(super) const TOKENS_MAX: usize = 64;

/// Longest part of a word that is kept. Words are shorter; what is longer is a path or a blob, known by how it begins.
pub(super) const TOKEN_BYTES_MAX: usize = 32;

/// The words of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Masked {
    /// With one blank between each, none in any, none of them empty.
    pub(super) text: String,
    /// How many, at most [`TOKENS_MAX`].
    pub(super) tokens: usize,
    /// The first word in `text` that says something: neither varying nor a level. Empty when there is none.
    pub(super) lead: Range<usize>,
}

/// The words of `line`: of its message where it is JSON or logfmt and has one.
pub(super) fn mask(line: &[u8]) -> Masked {
    let message = message(&line[..line.len().min(LINE_BYTES_MAX)]);
    let text = lossy(&message);
    let mut masking = Masking::new(&text);
    masking.run();
    Masked {
        text: masking.out,
        tokens: masking.tokens,
        lead: masking.lead.unwrap_or(0..0),
    }
}

/// Whether a word says something, and does not only separate or vary.
pub(super) fn is_word(token: &str) -> bool {
    token.bytes().any(is_letter)
}

/// Words for how bad it is.
const LEVELS: [&str; 19] = [
    "alert",
    "crit",
    "critical",
    "debug",
    "emerg",
    "err",
    "error",
    "fatal",
    "fine",
    "info",
    "information",
    "notice",
    "panic",
    "severe",
    "trace",
    "verbose",
    "warn",
    "warning",
    "wrn",
];
/// Names whose values say how bad it is.
const LEVEL_NAMES: [&str; 4] = ["level", "lvl", "severity", "log.level"];
/// Names of a line's message, the first that it has counts; and of what caused it, which is said after it.
const MESSAGE_NAMES: [&[&str]; 2] = [&["msg", "message"], &["error", "err", "exception"]];
/// Names whose values are of few kinds and say something, beside those of messages and levels.
const TELLING_NAMES: [&str; 3] = ["reason", "event", "code"];

fn is_level(word: &str) -> bool {
    LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word))
}

fn is_one_of(names: &[&str], name: &str) -> bool {
    names.iter().any(|other| other.eq_ignore_ascii_case(name))
}

/// Whether the value of `name` is kept as words.
fn is_telling(name: &str) -> bool {
    is_one_of(&LEVEL_NAMES, name)
        || is_one_of(&TELLING_NAMES, name)
        || MESSAGE_NAMES.iter().any(|names| is_one_of(names, name))
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte >= 0x80
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn is_blank(byte: u8) -> bool {
    byte <= b' ' || byte == 0x7f
}

/// The pass over a text.
struct Masking<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    out: String,
    /// Where in `out` the word at hand begins.
    token: usize,
    tokens: usize,
    lead: Option<Range<usize>>,
    /// Where the quotation that is being read ends.
    closes: Option<usize>,
    /// Quotation marks of which no further pair is in the text: each search that fails is the last of its kind.
    unpaired: [bool; 2],
}

impl<'a> Masking<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            at: 0,
            out: String::with_capacity(text.len().min(256)),
            token: 0,
            tokens: 0,
            lead: None,
            closes: None,
            unpaired: [false; 2],
        }
    }

    fn run(&mut self) {
        while self.tokens < TOKENS_MAX {
            self.skip_blanks();
            if self.at == self.bytes.len() {
                break;
            }
            if self.tokens > 0 {
                self.out.push(' ');
            }
            self.token = self.out.len();
            self.token();
            self.tokens += 1;
            let token = &self.out[self.token..];
            if self.lead.is_none() && is_word(token) && !says_level(token) {
                self.lead = Some(self.token..self.out.len());
            }
        }
    }

    fn skip_blanks(&mut self) {
        while let Some(&byte) = self.bytes.get(self.at).filter(|byte| is_blank(**byte)) {
            self.at += 1;
            // A colour: `ESC [ 31 m`.
            if byte == 0x1b && self.peek() == Some(b'[') {
                let rest = &self.bytes[self.at + 1..];
                let length = rest.iter().position(|byte| (0x40..0x7f).contains(byte));
                self.at = length.map_or(self.bytes.len(), |length| self.at + length + 2);
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next_is_digit(&self) -> bool {
        self.bytes.get(self.at + 1).is_some_and(u8::is_ascii_digit)
    }

    /// One word, up to a blank or between members of a list of quoted ones.
    fn token(&mut self) {
        while let Some(byte) = self.peek().filter(|byte| !is_blank(*byte)) {
            match byte {
                b'"' | b'\'' => self.quote(byte),
                b'=' => self.value(),
                _ if is_word_byte(byte) => self.word(),
                // A sign: `-5` is a number like `5`.
                b'-' | b'+' if self.next_is_digit() => self.at += 1,
                _ => {
                    self.keep(1);
                    if byte == b',' && self.peek() == Some(b'"') {
                        return;
                    }
                }
            }
        }
    }

    /// A run of letters and digits with what joins them: `connection-refused`, `10.0.0.9:389`, `2026-01-31T10:00:00Z`.
    fn word(&mut self) {
        let mut digit = false;
        let mut end = self.at;
        for at in self.at..self.bytes.len() {
            match self.bytes[at] {
                byte if is_word_byte(byte) => {
                    digit |= byte.is_ascii_digit();
                    end = at + 1;
                }
                b'.' | b'-' | b'+' | b'@' | b'~' => {}
                // `main.rs:114` is a name and a number, `10:00` is one thing.
                b':' if digit && self.bytes.get(at + 1).is_some_and(u8::is_ascii_digit) => {}
                _ => break,
            }
        }
        if digit {
            self.vary();
            self.at = end;
        } else {
            self.keep(end - self.at);
        }
    }

    /// A quoted word varies; several are a text, and one before a colon is a name.
    fn quote(&mut self, mark: u8) {
        let kind = usize::from(mark == b'"');
        let after_word = self.at > 0 && is_word_byte(self.bytes[self.at - 1]);
        if self.closes == Some(self.at) {
            self.closes = None;
        } else if self.closes.is_none() && !self.unpaired[kind] && (mark == b'"' || !after_word) {
            match self.closing(mark) {
                None => self.unpaired[kind] = true,
                Some(end) => {
                    let quoted = &self.text[self.at + 1..end];
                    let is_name = self.bytes.get(end + 1) == Some(&b':');
                    if is_name || is_level(quoted) || quoted.bytes().any(is_blank) {
                        self.closes = Some(end);
                    } else {
                        self.keep(1);
                        self.vary();
                        self.at = end;
                    }
                }
            }
        }
        self.keep(1);
    }

    /// Where the quotation that `mark` opens here ends. An apostrophe does not end one.
    fn closing(&self, mark: u8) -> Option<usize> {
        let mut at = self.at + 1;
        while let Some(&byte) = self.bytes.get(at) {
            let within_word = || self.bytes.get(at + 1).copied().is_some_and(is_word_byte);
            if byte == mark && (mark == b'"' || !within_word()) {
                return Some(at);
            }
            at += if byte == b'\\' { 2 } else { 1 };
        }
        None
    }

    /// `=`, and what is after it in `name=value`.
    fn value(&mut self) {
        let before = &self.text[..self.at];
        self.keep(1);
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
        let name = &before[before.trim_end_matches(is_part).len()..];
        let rest = &self.text[self.at..];
        let ends =
            |c: char| c <= ' ' || matches!(c, ',' | ';' | '&' | '|' | ')' | ']' | '}' | '"' | '\'');
        let value = &rest[..rest.find(ends).unwrap_or(rest.len())];
        let is_operator = value.starts_with(['=', '>', '~']);
        if !name.is_empty()
            && !value.is_empty()
            && !is_operator
            && !is_telling(name)
            && !is_level(value)
        {
            self.vary();
            self.at += value.len();
        }
    }

    /// Copies the next `bytes`, as far as the word may be long.
    fn keep(&mut self, bytes: usize) {
        let piece = &self.text[self.at..self.at + bytes];
        let room = TOKEN_BYTES_MAX.saturating_sub(self.out.len() - self.token);
        let mut cut = piece.len().min(room);
        while !piece.is_char_boundary(cut) {
            cut -= 1;
        }
        self.out.push_str(&piece[..cut]);
        self.at += bytes;
    }

    /// Here is something that varies. A list of such things, and one in several parts, is one.
    fn vary(&mut self) {
        let token = &self.out[self.token..];
        let joined = token.trim_end_matches(['.', ',', ':', '+', '-']);
        if joined.ends_with(VARYING) {
            self.out.truncate(self.token + joined.len());
        } else if token.len() < TOKEN_BYTES_MAX {
            self.out.push_str(VARYING);
        }
    }
}

/// `[ERROR]`, `level=error`.
fn says_level(token: &str) -> bool {
    let bare = token.trim_matches(|c: char| !c.is_alphanumeric());
    is_level(bare)
        || bare
            .split_once('=')
            .is_some_and(|(name, _)| is_one_of(&LEVEL_NAMES, name))
}

/// The message of a JSON object or a logfmt line, and what caused it; the whole line where it has neither.
fn message(line: &[u8]) -> Cow<'_, [u8]> {
    let mut buffer = Vec::new();
    let mut message = Vec::new();
    for names in MESSAGE_NAMES {
        let found = names
            .iter()
            .find_map(|name| scan::field(Parse::Auto, line, name, &mut buffer).map(<[u8]>::to_vec));
        if let Some(found) = found {
            if !message.is_empty() {
                message.extend_from_slice(b": ");
            }
            message.extend_from_slice(&found);
        }
    }
    if message.is_empty() {
        Cow::Borrowed(line)
    } else {
        Cow::Owned(message)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use proptest::prelude::*;

    use super::*;

    /// The words of `line`, `*` where they vary, the first that says something in `‹›`.
    fn shown(line: &str) -> String {
        let Masked { text, lead, .. } = mask(line.as_bytes());
        let (before, lead, after) = (&text[..lead.start], &text[lead.clone()], &text[lead.end..]);
        format!("{before}‹{lead}›{after}").replace(VARYING, "*")
    }

    #[test]
    fn what_varies_is_left_out_and_words_stay() {
        let mut out = String::new();
        for line in [
            "user alice failed",
            "2026-01-31T10:00:00.123+03:00 ERROR [main] c.e.Auth - 3 of -5 attempts in 1.5ms",
            "2026/01/31 10:00:00,5 [warn] 12#12: *9 upstream timed out (110: Connection timed out)",
            "E0131 10:00:00.5       1 controller.go:114] \"Failed to sync pod\" err=\"connection refused\" pod=\"default/web-x\"",
            "dial tcp 10.0.0.9:389: i/o timeout; [fe80::a00:27ff:fe4e:66a1]:53 too",
            "read 10.0.0.9:5000->10.0.0.8:53, ids 1,2,3 and [7, 8]",
            "request 550e8400-e29b-41d4-a716-446655440000 to /api/users/42/orders/a1b2?page=2&sort=name HTTP/1.1 took 12ms",
            "user \"alice\" can't open 'x' or \"\", it's 'said' \"Network Error\"",
            "level=error user=bob reason=OOMKilled a==b x=>y n= err=EOF",
            "x=1 level=error msg=\"cannot reach node-7\" err=\"dial tcp 10.0.0.9:389: i/o timeout\"",
            "{\"level\":\"error\",\"message\":\"user \\\"bob\\\" failed\\nat x\",\"error\":\"EOF\",\"n\":1}",
            "{\"error\":{\"code\":5},\"msg\":\"cannot sync\"}",
            "{\"level\":\"error\",\"user\":\"alice\",\"ok\":false,\"text\":\"no message here\",\"n\":5}",
            "\u{1b}[31mERROR\u{1b}[0m Something\tbroke\u{1b}[",
            "an unpaired \" and \" one \" more, 'a",
            "ошибка входа пользователя 7",
            "[ERROR] - : 17",
            "",
            "  \u{7} ",
        ] {
            out.push_str(&shown(line));
            out.push('\n');
        }
        expect![[r#"
            ‹user› alice failed
            * ERROR ‹[main]› c.e.Auth - * of * attempts in *
            */*/* * [warn] *#*: ** ‹upstream› timed out (*: Connection timed out)
            * * * ‹controller.go:*]› "Failed to sync pod" err="connection refused" pod="*"
            ‹dial› tcp *: i/o timeout; [*]:* too
            ‹read› *->*, ids * and [*, *]
            ‹request› * to /api/users/*/orders/*?page=*&sor HTTP/* took *
            ‹user› "*" can't open '*' or "*", it's '*' "Network Error"
            ‹EOF›
            ‹cannot› reach *: dial tcp *: i/o timeout
            ‹user› "*" failed at x: EOF
            ‹cannot› sync: {"code":*}
            ‹{"level":"error",› "user":"*", "ok":false, "text":"no message here", "n":*}
            ERROR ‹Something› broke
            ‹an› unpaired " and " one " more, 'a
            ‹ошибка› входа пользователя *
            ‹›[ERROR] - : *
            ‹›
            ‹›
        "#]]
        .assert_eq(&out);
    }

    #[test]
    fn a_line_is_known_by_its_first_64_words_and_a_word_by_its_first_32_bytes() {
        let line = |words: usize| vec!["word"; words].join(" ");
        assert_eq!(mask(line(63).as_bytes()).tokens, 63);
        assert_eq!(mask(line(64).as_bytes()).tokens, 64);
        assert_eq!(mask(line(65).as_bytes()), mask(line(64).as_bytes()));

        let word = |length: usize| mask("x".repeat(length).as_bytes()).text.len();
        assert_eq!((word(31), word(32), word(33)), (31, 32, 32));
        // Two bytes a letter: none is cut in half.
        assert_eq!(
            mask(format!("x{}", "é".repeat(20)).as_bytes()).text.len(),
            31
        );
        assert_eq!(mask("=".repeat(40).as_bytes()).text.len(), 32);
    }

    #[test]
    fn bytes_that_are_no_text_are_letters() {
        assert_eq!(shown("a"), "‹a›");
        let Masked { text, tokens, .. } = mask(b"caf\xe9 \xff\xfe \x00\x01\x02 ok");
        assert_eq!(
            (text.as_str(), tokens),
            ("caf\u{fffd} \u{fffd}\u{fffd} ok", 3)
        );
    }

    proptest! {
        #[test]
        fn words_are_separate_and_bounded_whatever_the_line(
            line in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..300),
                "[a-c0-2 \"'=:,.{}\\\\/\u{1b}\\[é-]{0,120}".prop_map(String::into_bytes),
                "(\\{?\"[a-z]{1,7}\":\"[a-z0-9 \\\\\"]{0,20}\",?){0,9}".prop_map(String::into_bytes),
            ]
        ) {
            let Masked { text, tokens, lead } = mask(&line);
            prop_assert!(tokens <= TOKENS_MAX);
            prop_assert_eq!(text.split(' ').filter(|token| !token.is_empty()).count(), tokens);
            prop_assert_eq!(text.split(' ').count(), tokens.max(1));
            prop_assert!(text.split(' ').all(|token| token.len() <= TOKEN_BYTES_MAX));
            prop_assert!(!text.bytes().any(|byte| byte.is_ascii_digit() || byte < 2 || byte == 0x7f));
            let lead = &text[lead];
            prop_assert!(lead.is_empty() || text.split(' ').any(|token| token == lead) && is_word(lead));
        }

        #[test]
        fn other_numbers_and_quoted_words_are_the_same_line(a in any::<u32>(), b in any::<u32>(), x in "[a-z]{1,20}", y in "[a-z]{1,20}") {
            let line = |n: u32, word: &str| mask(format!("took {n}ms for id-{n} of \"{word}\" at name={word}").as_bytes());
            prop_assume!(!is_level(&x) && !is_level(&y));
            prop_assert_eq!(line(a, &x), line(b, &y));
        }
    }
}
