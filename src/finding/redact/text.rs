//! Reading names, separators and values out of a line, in whatever notation it is written.

use std::cell::Cell;
use std::ops::Range;

/// How far a decision looks back or ahead: longer than any name that people give.
pub(super) const LOOK_MAX: usize = 64;

/// A line as ASCII-minded code sees it: every boundary that it finds lies beside an ASCII byte or at an end.
pub(super) struct Text<'a> {
    pub(super) bytes: &'a [u8],
    /// The last word and the last header that were read: a place within ends where they do, so that text in which every
    /// word proposes the rest of itself, such as `token={token={…`, is not read anew at each.
    word: Cell<(usize, usize)>,
    header: Cell<(usize, usize)>,
    /// Bytes read, for the proof that the cost is linear.
    #[cfg(test)]
    pub(super) read: Cell<usize>,
}

/// What lies between a name and its value.
pub(super) struct Separator {
    /// Where the value begins, its quote included.
    pub(super) value: usize,
    pub(super) sign: Sign,
    /// The name was in quotes.
    pub(super) quoted: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// `=`, `=>`, `:=`, or `:` with the value right behind it.
    Tight,
    /// `: `, which prose has too.
    Colon,
    /// `<name>`
    Tag,
    /// Nothing but blanks, or the next element of a list: `--name value`.
    Flag,
}

/// A value: what it holds, and whether quotes say so.
pub(super) struct Value {
    pub(super) content: Range<usize>,
    pub(super) quoted: bool,
}

impl<'a> Text<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            word: Cell::new((0, 0)),
            header: Cell::new((0, 0)),
            #[cfg(test)]
            read: Cell::new(0),
        }
    }

    /// Says that so many bytes were looked at; of no effect outside tests.
    fn note(&self, bytes: usize) {
        #[cfg(test)]
        self.read.set(self.read.get() + bytes);
        #[cfg(not(test))]
        let _ = bytes;
    }

    /// Where the name that holds `at` begins.
    pub(super) fn name_start(&self, at: usize) -> usize {
        let name = self.bytes[at.saturating_sub(LOOK_MAX)..at]
            .iter()
            .rev()
            .take_while(|&&byte| is_name(byte) || byte == b'.')
            .count();
        at - name
    }

    /// What follows a name that begins at `name` and whose telling part ends at `end`; `None` when the name goes on or no value comes.
    pub(super) fn separator(&self, name: usize, end: usize) -> Option<Separator> {
        // `password2` is a password, `password_file` and `tokens` are not.
        let mut at = self.until(end, |byte| !byte.is_ascii_digit());
        if self.bytes.get(at).is_some_and(|&byte| is_name(byte)) {
            return None;
        }
        if let Some(value) = self.tag_end(name, at) {
            return Some(Separator {
                value,
                sign: Sign::Tag,
                quoted: false,
            });
        }
        at = self.skip_colour(at);
        // `user[password]=`, and the same in a body.
        at += match &self.bytes[at..] {
            [b']', ..] => 1,
            [b'%', b'5', b'D' | b'd', ..] => 3,
            _ => 0,
        };
        let quote = self.until(at, |byte| byte != b'\\');
        let closed = self.bytes.get(quote).is_some_and(|&byte| is_quote(byte));
        if closed {
            at = quote + 1;
            // `["password"]=>`
            at += usize::from(self.bytes.get(at) == Some(&b']'));
        }
        // `"password": `, not the end of `"invalid password": `.
        let quoted =
            closed && name > 0 && (is_quote(self.bytes[name - 1]) || self.bytes[name - 1] == b'[');
        let after = self.skip_blanks(self.skip_colour(at));
        let rest = &self.bytes[after..];
        let signs: [(&[u8], Sign); 8] = [
            (b"=>", Sign::Tight),
            (b":=", Sign::Tight),
            (b"==", Sign::Flag),
            (b"=", Sign::Tight),
            (b": ", Sign::Colon),
            (b":", Sign::Tight),
            (b"%3D", Sign::Tight),
            (b"%3d", Sign::Tight),
        ];
        let sign = signs.iter().find(|(sign, _)| rest.starts_with(sign));
        match sign {
            // A comparison in code or in prose about code.
            Some((_, Sign::Flag)) => None,
            Some((text, sign)) => Some(Separator {
                value: self.skip_colour(self.skip_blanks(self.skip_colour(after + text.len()))),
                sign: *sign,
                quoted,
            }),
            None if self.bytes[name..].starts_with(b"--") => {
                let value = self.until(at, |byte| !b" \t\"',\\".contains(&byte));
                let flag = value > at && self.bytes.get(value) != Some(&b'-');
                flag.then_some(Separator {
                    value,
                    sign: Sign::Flag,
                    quoted,
                })
            }
            None => None,
        }
    }

    /// Where the content of a tag begins whose name is at `name` and ends at `at`: `<password>`, `<wsse:Password Type="…">`.
    fn tag_end(&self, name: usize, at: usize) -> Option<usize> {
        let before = &self.bytes[name.saturating_sub(LOOK_MAX)..name];
        let prefix = match before.split_last() {
            Some((b':', prefix)) => {
                let letters = prefix.iter().rev().take_while(|&&byte| is_name(byte));
                &prefix[..prefix.len() - letters.count()]
            }
            _ => before,
        };
        let ends = match self.bytes.get(at)? {
            b'>' => at,
            b' ' => {
                let attributes = &self.bytes[at..(at + 4 * LOOK_MAX).min(self.bytes.len())];
                at + memchr::memchr(b'>', attributes)?
            }
            _ => return None,
        };
        // `AUTH <password> called without …` is no tag.
        let filled = !self
            .bytes
            .get(ends + 1)
            .is_some_and(u8::is_ascii_whitespace);
        (prefix.ends_with(b"<") && filled).then_some(ends + 1)
    }

    /// The place behind the sequences that colour a terminal, as they are or escaped in JSON.
    fn skip_colour(&self, at: usize) -> usize {
        let mut at = at.min(self.bytes.len());
        loop {
            let escape = self.until(at, |byte| byte != b'\\');
            let rest = &self.bytes[escape..];
            let escape = escape
                + match rest {
                    [0x1b, b'[', ..] => 2,
                    _ if escape > at && rest.starts_with(b"x1b[") => 4,
                    _ if escape > at
                        && rest.len() >= 6
                        && rest[..6].eq_ignore_ascii_case(b"u001b[") =>
                    {
                        6
                    }
                    _ => return at,
                };
            let end = self.until(escape, |byte| !(byte.is_ascii_digit() || byte == b';'));
            if self.bytes.get(end) != Some(&b'm') {
                return at;
            }
            at = end + 1;
        }
    }

    pub(super) fn value(&self, separator: &Separator) -> Option<Value> {
        let at = separator.value;
        if separator.sign == Sign::Tag {
            const CDATA: &[u8] = b"<![CDATA[";
            let (start, closing) = if self.bytes[at..].starts_with(CDATA) {
                (at + CDATA.len(), b']')
            } else {
                (at, b'<')
            };
            let content = start..self.until(start, |byte| byte == closing);
            return (!content.is_empty()).then_some(Value {
                content,
                quoted: true,
            });
        }
        // `Authorization:[Bearer …]`, `[]string{"…"}`: a list, of which the first is taken; and `string(9) "…"` of PHP.
        let rest = &self.bytes[at..];
        if rest.starts_with(b"[]string{") {
            return self.value_at(at + b"[]string{".len());
        }
        if rest.starts_with(b"string(") {
            let end = self.until(at + b"string(".len(), |byte| !byte.is_ascii_digit());
            return self.value_at(self.skip_blanks(end + 1));
        }
        let list = usize::from(rest.first() == Some(&b'['));
        self.value_at(at + list)
    }

    pub(super) fn value_at(&self, at: usize) -> Option<Value> {
        // Python's `u'…'` and `b'…'`, SQL's `N'…'` and `E'…'`.
        let at = match self.bytes.get(at..) {
            Some([b'u' | b'b' | b'N' | b'E', quote, ..]) if is_quote(*quote) => at + 1,
            _ => at,
        };
        let value = self.quoted_at(at).unwrap_or_else(|| {
            let end = self.word_end(at);
            // SQL's `PASSWORD('…')`.
            const CALL: &[u8] = b"password(";
            let tail = &self.bytes[end.saturating_sub(CALL.len()).max(at)..end];
            let argument = if tail.eq_ignore_ascii_case(CALL) {
                self.quoted_at(end)
            } else {
                None
            };
            argument.unwrap_or(Value {
                content: at..end,
                quoted: false,
            })
        });
        (!value.content.is_empty()).then_some(value)
    }

    /// The text in quotes that begins at `at`, whose quote may be escaped.
    pub(super) fn quoted_at(&self, at: usize) -> Option<Value> {
        let quote = self.until(at, |byte| byte != b'\\');
        let opens = self.bytes.get(quote).is_some_and(|&byte| is_quote(byte));
        opens.then(|| Value {
            content: quote + 1..self.quote_end(quote, quote - at),
            quoted: true,
        })
    }

    /// Where the text in quotes ends that `open` begins, with `slashes` backslashes before it; the end of all when nothing closes it.
    ///
    /// A quote within `d` strings is written after `2^d - 1` backslashes. Peeling one string off halves a run of them;
    /// where nothing is left over, the quote ends that string; else it belongs to the text inside.
    fn quote_end(&self, open: usize, slashes: usize) -> usize {
        let depth = slashes.trailing_ones();
        let mut at = open + 1;
        while let Some(found) = memchr::memchr(self.bytes[open], &self.bytes[at..]) {
            self.note(found + 1);
            let quote = at + found;
            let mut run = self.slashes(at..quote);
            let start = quote - run;
            let mut inside = 0;
            while run % 2 == 1 && inside <= depth {
                run /= 2;
                inside += 1;
            }
            if inside <= depth {
                return start;
            }
            at = quote + 1;
        }
        self.bytes.len()
    }

    /// Where a value without quotes ends. A separator ends it only where a name or nothing follows: passwords hold `&`, `,` and `)`.
    pub(super) fn word_end(&self, start: usize) -> usize {
        let (from, to) = self.word.get();
        if from < start && start < to {
            return to;
        }
        let mut at = start;
        while let Some(&byte) = self.bytes.get(at) {
            let mut next = at + 1;
            let ends = match byte {
                b'<' => at > start,
                b'\\' => {
                    next = self.until(at, |byte| byte != b'\\');
                    let after = &self.bytes[next..];
                    after
                        .first()
                        .is_some_and(|&next| is_quote(next) || b"nrt".contains(&next))
                        || after.starts_with(b"u0026")
                        || after.starts_with(b"u001b")
                }
                b'&' | b';' | b',' => self.begins_pair(at + 1),
                b')' | b']' | b'}' => self.closes(at + 1),
                0x1b => true,
                byte => byte.is_ascii_whitespace() || is_quote(byte),
            };
            if ends {
                break;
            }
            at = next;
        }
        self.note(at - start);
        self.word.set((start, at));
        at
    }

    /// Where the value of a header without quotes ends: with its line, or the text that holds it.
    pub(super) fn header_end(&self, start: usize) -> usize {
        let (from, to) = self.header.get();
        if from <= start && start < to {
            return to;
        }
        let end = self.until(start, |byte| b"\"'`\n\\".contains(&byte));
        self.header.set((start, end));
        end
    }

    /// Whether a name and a separator begin at `at`, or nothing does.
    fn begins_pair(&self, at: usize) -> bool {
        let ahead = &self.bytes[at..(at + LOOK_MAX).min(self.bytes.len())];
        self.note(ahead.len());
        let name = ahead
            .iter()
            .take_while(|&&byte| is_name(byte) || b".[]".contains(&byte))
            .count();
        self.closes(at)
            || ahead.first() == Some(&b'{')
            || name > 0 && matches!(ahead.get(name), Some(b'=' | b':'))
    }

    /// Whether what came before `at` is complete there.
    fn closes(&self, at: usize) -> bool {
        self.bytes.get(at).is_none_or(|&byte| {
            byte.is_ascii_whitespace() || is_quote(byte) || b",;:)]}\\".contains(&byte)
        })
    }

    /// Whether a word that ends at `at` is the last of its line or element: no other follows after a blank.
    pub(super) fn ends_phrase(&self, at: usize) -> bool {
        let next = self.skip_blanks(at);
        self.closes(at) && (next == at || self.closes(next) || self.bytes.get(next) == Some(&b'#'))
    }

    /// Whether a name that begins at `name` begins a line or an element: what is written there is notation, not prose.
    pub(super) fn is_notation(&self, name: usize) -> bool {
        let before = &self.bytes[name.saturating_sub(LOOK_MAX)..name];
        let blanks = before
            .iter()
            .rev()
            .take_while(|&&byte| byte == b' ' || byte == b'\t')
            .count();
        match before
            .len()
            .checked_sub(blanks + 1)
            .map(|last| before[last])
        {
            None => true,
            Some(byte) => is_quote(byte) || b"\n-]{[(,;|\\?&".contains(&byte),
        }
    }

    /// The place behind whichever of `words` stands at `at`, in any case.
    pub(super) fn behind(&self, at: usize, words: &[&str]) -> Option<usize> {
        let rest = &self.bytes[at..];
        let stands = |words: &&&str| {
            rest.get(..words.len())
                .is_some_and(|text| text.eq_ignore_ascii_case(words.as_bytes()))
        };
        words.iter().find(stands).map(|words| at + words.len())
    }

    /// The place behind `text` where that comes soon after `at`.
    pub(super) fn soon(&self, at: usize, text: &str) -> Option<usize> {
        let ahead = &self.bytes[at..(at + LOOK_MAX).min(self.bytes.len())];
        let found = memchr::memmem::find(ahead, text.as_bytes())?;
        Some(at + found + text.len())
    }

    /// Where base64 that begins at `at` ends.
    pub(super) fn base64_end(&self, at: usize) -> usize {
        self.until(at, |byte| {
            !(byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
        })
    }

    /// How many backslashes `range` ends with: a quote that ends an escaped text is written after them.
    pub(super) fn slashes(&self, range: Range<usize>) -> usize {
        let bytes = self.bytes[range].iter().rev();
        bytes.take_while(|&&byte| byte == b'\\').count()
    }

    pub(super) fn skip_blanks(&self, at: usize) -> usize {
        self.until(at, |byte| byte != b' ' && byte != b'\t')
    }

    /// The first place from `at` on whose byte is `wanted`, or the end.
    pub(super) fn until(&self, at: usize, wanted: impl Fn(u8) -> bool) -> usize {
        let at = at.min(self.bytes.len());
        let rest = &self.bytes[at..];
        let read = rest
            .iter()
            .position(|&byte| wanted(byte))
            .unwrap_or(rest.len());
        self.note(read + 1);
        at + read
    }
}

pub(super) fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`')
}

pub(super) fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}
