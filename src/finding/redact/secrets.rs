//! Finds secrets in a line: one search proposes places, and a few lines of hand-written reading at each decide.
//!
//! Not expressions, because the end of a value depends on how it is quoted and how deep the quotes are escaped, and because
//! a line that was cut in the middle of a secret has no end to match.
//! Every look back or ahead is bounded by [`LOOK_MAX`] or consumes what it read, so the cost is linear in the line.

use std::ops::Range;

use aho_corasick::{AhoCorasick, Input, MatchKind};

use super::MARK;
use super::needles::{Form, NEEDLES, Needle, VagueForm};
use super::plain::{
    COMPLAINTS, PROSE, is_empty_value, is_object, is_one_of, is_ordinary, looks_secret,
};
use super::text::{LOOK_MAX, Sign, Text, Value, is_name, is_quote, is_token};

/// Finds the places and says of what kind each secret is.
#[derive(Debug, Clone)]
pub(super) struct Finder {
    needles: AhoCorasick,
}

impl Finder {
    pub(super) fn new() -> Self {
        let needles = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::LeftmostLongest)
            .build(NEEDLES.iter().map(|(text, _)| text))
            .expect("some hundred short needles always build");
        Self { needles }
    }

    /// Calls `found` for every secret of `text`, in order; ranges do not overlap and lie between characters.
    pub(super) fn find(&self, text: &Text<'_>, mut found: impl FnMut(Range<usize>, &'static str)) {
        let mut done = 0;
        let mut url_read = 0;
        let mut from = 0;
        while let Some(place) = self
            .needles
            .find(Input::new(text.bytes).span(from..text.bytes.len()))
        {
            let at = place.range();
            // What is no secret here may begin within: `otp` hides the `password` of `rootPassword`.
            from = at.start + 1;
            let (needle, found_by) = NEEDLES[place.pattern().as_usize()];
            let (secret, kind) = match found_by {
                Needle::Key(kind, form) => (text.keyed(at, kind, form), kind),
                Needle::Authorization => (text.authorization(at), "authorization"),
                Needle::Cookie => (text.cookie(at), "cookie"),
                Needle::Sasl => (text.sasl(at.end), "basic_auth"),
                Needle::Identified => (text.identified(at.end), "password"),
                Needle::Setting => (text.setting(at.end), "password"),
                Needle::Piped => (text.piped(at.end), "password"),
                Needle::Unseal => (text.unseal(at.end), "vault_unseal_key"),
                Needle::Radius => (text.radius(at.end), "password"),
                Needle::UnsealList => (text.unseal_list(at), "vault_unseal_key"),
                Needle::Scheme(kind) => (text.scheme(at), kind),
                Needle::CurlUser => (text.curl_user(at), "basic_auth"),
                Needle::Jwt => (text.jwt(at), "jwt"),
                Needle::PrivateKey => (text.private_key(at), "private_key"),
                Needle::KeyBody => (text.key_body(at, needle), "private_key"),
                Needle::Flag(kind, programs) => (text.short_flag(at, programs), kind),
                Needle::Query(kind) => (text.query(at.end), kind),
                Needle::Path(kind) => (text.path(at.end), kind),
                Needle::Telegram => (text.telegram(at.end), "telegram_token"),
                Needle::BotToken => (text.bot_token(at), "telegram_token"),
                Needle::Oracle => (text.oracle(at.end), "url_userinfo"),
                Needle::DataSource => (text.data_source(done, at.start), "url_userinfo"),
                Needle::Prefix(kind, length_min) => (text.prefixed(at, needle, length_min), kind),
                Needle::Vague(kind, form) => (text.vague(at, needle, form), kind),
                Needle::Url => {
                    // A URL within a URL ends where the outer one does: `://://://…` must not be read anew at each.
                    if url_read <= at.end {
                        url_read = text.until(at.end, |byte| {
                            byte.is_ascii_whitespace() || b"\"'`<>\\".contains(&byte)
                        });
                    }
                    (text.user_info(at.end..url_read), "url_userinfo")
                }
            };
            if let Some(secret) = secret {
                done = secret.end;
                from = from.max(done);
                found(secret, kind);
            }
        }
    }
}

/// So many bytes may be shown of what may be the start of a word.
const SHOWN_MAX: usize = 6;

/// Authorization schemes whose credential is one word, which is what follows them.
const SCHEMES: &str = "basic bearer token negotiate ntlm apikey dpop key";
/// Those that have a list of parameters.
const SCHEMES_WITH_LIST: &str = "digest aws4-hmac-sha256 hmac signature oauth hawk sharedkey";

impl Text<'_> {
    /// The value of a name that ends at `key`.
    fn keyed(&self, key: Range<usize>, kind: &str, form: Form) -> Option<Range<usize>> {
        let name = self.name_start(key.start);
        let Some(separator) = self.separator(name, key.end) else {
            let beside = match form {
                Form::Any | Form::Long => self.beside(name, key.end),
                Form::Word | Form::Quoted => None,
            };
            return beside.or_else(|| self.announced(name, key.end, kind));
        };
        let alone = key.start == name || !self.bytes[key.start - 1].is_ascii_alphabetic();
        // `RootPass: …`
        let hump = key.start > name
            && self.bytes[key.start - 1].is_ascii_lowercase()
            && self.bytes[key.start].is_ascii_uppercase();
        let fits = match form {
            Form::Any | Form::Long => true,
            // `pass: 'x'`, but not `2 to pass: a, b`.
            Form::Word => {
                let tight = separator.sign == Sign::Tight;
                let quoted = self.quoted_at(separator.value).is_some();
                hump || alone && (separator.quoted || tight || quoted)
            }
            Form::Quoted => {
                alone && (separator.quoted || key.start > name && self.bytes[key.start - 1] == b'_')
            }
        };
        if !fits {
            return None;
        }
        let value = self.value(&separator)?;
        let content = &self.bytes[value.content.clone()];
        if is_empty_value(content) || is_ordinary(&self.bytes[name..key.end], content) {
            return None;
        }
        let cut = form == Form::Long && self.is_cut(&value.content);
        if form == Form::Long && !cut && !(content.len() >= 16 && looks_secret(content)) {
            return None;
        }
        // What is wrong with a field: `"password":"is too short"`.
        let first = content.split(|&byte| byte == b' ').next();
        if value.quoted && first.is_some_and(|first| is_one_of(first, COMPLAINTS)) {
            return None;
        }
        // `arn:aws:secretsmanager:…:secret:name`
        if kind == "secret" && name > 0 && self.bytes[name - 1] == b':' {
            return None;
        }
        if kind == "token" && !value.quoted && is_object(content) {
            return None;
        }
        if separator.sign != Sign::Colon {
            // `unexpected token = at line 3`
            let spaced = self.bytes[value.content.start - 1] == b' ';
            let prosaic = matches!(separator.sign, Sign::Tight | Sign::Flag);
            if spaced && prosaic && !value.quoted && is_one_of(content, PROSE) {
                return None;
            }
            return Some(value.content);
        }
        // Prose has `: ` too: `invalid token: signature is invalid`.
        let notation = separator.quoted || self.is_notation(name);
        let likely = if value.quoted {
            notation || content.len() >= 4
        } else {
            let alone = self.ends_phrase(value.content.end) && !is_one_of(content, PROSE);
            looks_secret(content) || cut || alone && (notation || kind == "password")
        };
        likely.then_some(value.content)
    }

    /// Where `value` lies, if it is none that says that there is no secret, and `likely`.
    fn secret_if(&self, value: Value, likely: impl FnOnce(&[u8]) -> bool) -> Option<Range<usize>> {
        let content = &self.bytes[value.content.clone()];
        (likely(content) && !is_empty_value(content)).then_some(value.content)
    }

    /// Whether a value that only its form tells ends with the text, so that it may go on where that was cut.
    fn is_cut(&self, value: &Range<usize>) -> bool {
        value.end == self.bytes.len() && value.len() > SHOWN_MAX
    }

    /// The value that is named beside the name: `"name":"DB_PASSWORD","value":"…"`, `Name:DB_PASSWORD,Value:…`, or the next element of
    /// a list, `'X-Api-Key', '…'`.
    fn beside(&self, name: usize, end: usize) -> Option<Range<usize>> {
        let next = self.until(end, |byte| !b"\"'\\, \t".contains(&byte));
        if next > end
            && let Some(named) = self.behind(next, &["value"])
        {
            let sign = self.until(named, |byte| !b"\"'\\".contains(&byte));
            if !matches!(self.bytes.get(sign)?, b':' | b'=') {
                return None;
            }
            let value = self.value_at(self.skip_blanks(sign + 1))?;
            return self.secret_if(value, |_| true);
        }
        let opened = name > 0 && is_quote(self.bytes[name - 1]);
        let quote = self.until(end, |byte| byte != b'\\');
        let closed = self.bytes.get(quote).is_some_and(|&byte| is_quote(byte));
        if !(opened && closed && self.bytes.get(quote + 1) == Some(&b',')) {
            return None;
        }
        let value = self.quoted_at(self.skip_blanks(quote + 2))?;
        let cut = self.is_cut(&value.content);
        self.secret_if(value, |content| {
            cut || content.len() >= 8 && looks_secret(content)
        })
    }

    /// `The generated password is …`, `password was set to …`, `Generated password for kim: …`.
    fn announced(&self, name: usize, end: usize, kind: &str) -> Option<Range<usize>> {
        if kind != "password" {
            return None;
        }
        // `'caching_sha2_password' BY '…'`
        let end = end + usize::from(self.bytes.get(end).is_some_and(|&byte| is_quote(byte)));
        let before = &self.bytes[name.saturating_sub("generated ".len())..name];
        let generated = before.eq_ignore_ascii_case(b"generated ");
        // MySQL's `A temporary password is generated for root@localhost: …`.
        let whose = self.behind(end, &[" is generated for "]);
        let whose = whose.or_else(|| self.behind(end, &[" for "]).filter(|_| generated));
        let start = match whose {
            Some(whose) => self.soon(whose, ": ")?,
            None => match self.behind(end, &[" is: ", " is ", " was set to ", " set to "]) {
                Some(start) => start,
                None => return self.literal(end),
            },
        };
        self.secret_if(self.value_at(start)?, |content| {
            content.len() >= 6 && looks_secret(content)
        })
    }

    /// As SQL has it: `PASSWORD '…'`, `caching_sha2_password BY '…'`, `SET PASSWORD FOR 'app'@'%' = '…'`.
    fn literal(&self, end: usize) -> Option<Range<usize>> {
        let start = match self.behind(end, &[" for '", " for \"", " for `"]) {
            Some(whose) => self.soon(whose, " = ")?,
            None => self.behind(end, &[" by ", " as ", " ", "("])?,
        };
        let value = self.value_at(start).filter(|value| value.quoted)?;
        let text = self.bytes[value.content.start - 1] == b'\'';
        self.secret_if(value, |content| text || looks_secret(content))
    }

    /// The credential of an `Authorization` header, its scheme left standing.
    fn authorization(&self, key: Range<usize>) -> Option<Range<usize>> {
        let name = self.name_start(key.start);
        let separator = self.separator(name, key.end)?;
        let value = self.value(&separator)?;
        let Range { start, end } = value.content;
        // No scheme's name is longer.
        let word = &self.bytes[start..end.min(start + LOOK_MAX)];
        let word_end = match memchr::memchr(b' ', word) {
            Some(blank) => start + blank,
            None => end,
        };
        let scheme = &self.bytes[start..word_end];
        let rest = self.skip_blanks(word_end);
        let content = if is_one_of(scheme, SCHEMES_WITH_LIST) {
            rest..if value.quoted {
                end
            } else {
                self.header_end(rest)
            }
        } else if is_one_of(scheme, SCHEMES) {
            rest..if value.quoted {
                end
            } else {
                self.word_end(rest)
            }
        } else {
            start..end
        };
        let text = self.bytes.get(content.clone())?;
        if is_empty_value(text) {
            return None;
        }
        // `authorization: user not allowed`, `Authorization: Bearer token missing`.
        let prose = !value.quoted
            && separator.sign == Sign::Colon
            && !looks_secret(text)
            && (content.start == start || is_one_of(text, PROSE));
        (!prose).then_some(content)
    }

    /// A `Cookie` or `Set-Cookie` header's pairs.
    fn cookie(&self, key: Range<usize>) -> Option<Range<usize>> {
        let name = self.name_start(key.start);
        let separator = self.separator(name, key.end)?;
        let value = self.value(&separator)?;
        let start = value.content.start;
        let end = match separator.sign {
            _ if value.quoted => value.content.end,
            // The `cookie=11` of D-Bus says nothing of what comes after it.
            Sign::Tight if !self.bytes[value.content].contains(&b'=') => return None,
            _ => self.header_end(start),
        };
        let text = &self.bytes[start..end];
        (text.contains(&b'=') && !is_empty_value(text)).then_some(start..end)
    }

    /// A credential in base64; the list of a server's mechanisms, `AUTH PLAIN LOGIN CRAM-MD5`, is none.
    fn sasl(&self, start: usize) -> Option<Range<usize>> {
        let end = self.base64_end(start);
        let credential = &self.bytes[start..end];
        let likely = credential.len() > 6
            && looks_secret(credential)
            && credential.iter().any(u8::is_ascii_lowercase);
        likely.then_some(start..end)
    }

    /// In quotes, or a word that is none of prose: `a volume identified by name`.
    fn identified(&self, start: usize) -> Option<Range<usize>> {
        let value = self.value_at(start)?;
        let quoted = value.quoted;
        self.secret_if(value, |content| quoted || looks_secret(content))
    }

    fn setting(&self, end: usize) -> Option<Range<usize>> {
        // The name may be in quotes, alone or with its value.
        let start = self.until(end, |byte| !b" \t\"'\\:=,".contains(&byte));
        let value = self.value_at(start).filter(|_| start > end)?;
        let last = self.ends_phrase(value.content.end);
        self.secret_if(value, |content| {
            last && !is_one_of(content, PROSE) || looks_secret(content)
        })
    }

    /// What is written to a program that reads a password.
    fn piped(&self, start: usize) -> Option<Range<usize>> {
        const READERS: [&[u8]; 4] = [
            b"--password-stdin",
            b"| chpasswd",
            b"passwd --stdin",
            b"sudo -S",
        ];
        let value = self.value_at(start)?;
        let after = value.content.end;
        let after = &self.bytes[after..(after + 4 * LOOK_MAX).min(self.bytes.len())];
        // Another command reads something else.
        let after = after.split(|byte| b"&;".contains(byte)).next()?;
        self.secret_if(value, |_| {
            let mut readers = READERS.iter();
            readers.any(|reader| memchr::memmem::find(after, reader).is_some())
        })
    }

    /// What FreeRADIUS was given: `Login incorrect (reason): [user/password] (from …`.
    fn radius(&self, end: usize) -> Option<Range<usize>> {
        let ahead = &self.bytes[end..(end + 4 * LOOK_MAX).min(self.bytes.len())];
        let open = memchr::memchr(b'[', ahead)?;
        let slash = open + memchr::memchr(b'/', &ahead[open..])?;
        let close = memchr::memchr(b']', &ahead[slash..]).map_or(ahead.len(), |at| slash + at);
        let password = &ahead[slash + 1..close];
        (!is_empty_value(password)).then_some(end + slash + 1..end + close)
    }

    fn unseal(&self, end: usize) -> Option<Range<usize>> {
        let colon = self.until(end, |byte| byte != b' ' && !byte.is_ascii_digit());
        let rest = self.bytes[colon..].strip_prefix(b": ")?;
        let start = self.bytes.len() - rest.len();
        let end = self.base64_end(start);
        (end - start >= 32 || end == self.bytes.len() && end > start).then_some(start..end)
    }

    fn unseal_list(&self, key: Range<usize>) -> Option<Range<usize>> {
        let name = self.name_start(key.start);
        let start = self.separator(name, key.end)?.value;
        let list = self.bytes.get(start) == Some(&b'[');
        let end = self.until(start, |byte| byte == b']');
        (list && end > start + 1).then_some(start + 1..end)
    }

    /// What follows `Bearer` or `Basic`, if it is no English word.
    fn scheme(&self, word: Range<usize>) -> Option<Range<usize>> {
        if word.start > 0 && is_name(self.bytes[word.start - 1]) {
            return None;
        }
        let start = self.skip_blanks(word.end);
        if start == word.end {
            return None;
        }
        let end = self.until(start, |byte| {
            !(byte.is_ascii_alphanumeric() || b"._~+/=-".contains(&byte))
        });
        let credential = &self.bytes[start..end];
        let long = credential.len() >= 8 || end == self.bytes.len() && credential.len() >= 4;
        // `WWW-Authenticate: Bearer error_description="…"`, `token_type=bearer expires_in=3600`
        let name = credential
            .iter()
            .take_while(|&&byte| byte.is_ascii_lowercase() || byte == b'_')
            .count();
        let parameter = credential.get(name) == Some(&b'=')
            && (name + 1 < credential.len()
                || self.bytes.get(end).is_some_and(|&byte| is_quote(byte)));
        (long && !parameter && looks_secret(credential)).then_some(start..end)
    }

    /// `user:password` after `-u` or `--user`; not the `1000:1000` of a container.
    fn curl_user(&self, flag: Range<usize>) -> Option<Range<usize>> {
        // The ` -u app:app` of a container names a user and a group.
        let curl = self.named_before(flag.start, &["curl"]);
        let long = self.bytes[flag.start] == b'-';
        let next = self.bytes.get(flag.end);
        let start = match next {
            Some(b' ') => self.skip_blanks(flag.end),
            Some(b'=') if long => flag.end + 1,
            Some(_) if curl && !long => flag.end,
            _ => return None,
        };
        let value = self.value_at(start)?;
        let text = &self.bytes[value.content.clone()];
        // Longer is nobody's name and password.
        let text = &text[..text.len().min(4 * LOOK_MAX)];
        let colon = text.iter().position(|&byte| byte == b':')?;
        let password = &text[colon + 1..];
        let likely = curl || looks_secret(password);
        let secret = colon > 0
            && !password.is_empty()
            && likely
            && memchr::memmem::find(text, MARK.as_bytes()).is_none();
        secret.then_some(value.content)
    }

    fn jwt(&self, at: Range<usize>) -> Option<Range<usize>> {
        let exact = &self.bytes[at.clone()] == b"eyJ";
        if !exact || at.start > 0 && is_token(self.bytes[at.start - 1]) {
            return None;
        }
        let end = self.until(at.end, |byte| {
            !(is_token(byte) || byte == b'.' || byte == b'=')
        });
        let cut = end == self.bytes.len() && end - at.start >= 6;
        (end - at.start >= 20 || cut).then_some(at.start..end)
    }

    /// From `-----BEGIN … PRIVATE KEY` to its end, or to that of the line.
    fn private_key(&self, begin: Range<usize>) -> Option<Range<usize>> {
        const PRIVATE: &[u8] = b"PRIVATE KEY";
        let head = &self.bytes[begin.end..(begin.end + LOOK_MAX).min(self.bytes.len())];
        let head = &head[..head
            .iter()
            .position(|&byte| byte == b'-')
            .unwrap_or(head.len())];
        memchr::memmem::find(head, PRIVATE)?;
        let body = begin.end + head.len();
        // No quote stands in one: in JSON it ends with the text that holds it.
        let quote = self.until(body, is_quote);
        let Some(closing) = memchr::memmem::find(&self.bytes[body..quote], b"-----END ") else {
            let escaped = quote < self.bytes.len();
            let slashes = if escaped {
                self.slashes(body..quote)
            } else {
                0
            };
            return Some(begin.start..quote - slashes);
        };
        let label = body + closing + b"-----END ".len();
        let dashes = self.until(label, |byte| byte == b'-' || byte == b'\n');
        let end = self.until(dashes, |byte| byte != b'-');
        Some(begin.start..end)
    }

    fn key_body(&self, at: Range<usize>, beginning: &str) -> Option<Range<usize>> {
        let exact = &self.bytes[at.clone()] == beginning.as_bytes();
        let within = at.start > 0 && is_token(self.bytes[at.start - 1]);
        let end = self.base64_end(at.end);
        (exact && !within).then_some(at.start..end)
    }

    /// Whether one of `programs` is named shortly before `at`.
    fn named_before(&self, at: usize, programs: &[&str]) -> bool {
        let before = &self.bytes[at.saturating_sub(4 * LOOK_MAX)..at];
        programs
            .iter()
            .any(|program| memchr::memmem::find(before, program.as_bytes()).is_some())
    }

    fn short_flag(&self, flag: Range<usize>, programs: &[&str]) -> Option<Range<usize>> {
        if !self.named_before(flag.start, programs) {
            return None;
        }
        self.secret_if(self.value_at(flag.end)?, |content| content[0] != b'-')
    }

    fn query(&self, start: usize) -> Option<Range<usize>> {
        let end = self.until(start, |byte| !(is_token(byte) || b"./+=%~".contains(&byte)));
        let value = &self.bytes[start..end];
        let cut = end == self.bytes.len() && value.len() >= 4;
        ((value.len() >= 10 || cut) && looks_secret(value)).then_some(start..end)
    }

    fn path(&self, start: usize) -> Option<Range<usize>> {
        let end = self.until(start, |byte| !(is_token(byte) || b"/\\@.%".contains(&byte)));
        let slashes = self.slashes(start..end);
        (end - slashes > start).then_some(start..end - slashes)
    }

    fn telegram(&self, start: usize) -> Option<Range<usize>> {
        let colon = self.until(start, |byte| !byte.is_ascii_digit());
        let mark = match &self.bytes[colon..] {
            [b':', ..] => 1,
            [b'%', b'3', b'A' | b'a', ..] => 3,
            _ => return None,
        };
        let end = self.until(colon + mark, |byte| !is_token(byte));
        let token = end - (colon + mark);
        let cut = end == self.bytes.len() && token > 0;
        (colon - start >= 6 && (token >= 30 || cut)).then_some(start..end)
    }

    /// A bot's number and, after a colon, 35 characters.
    fn bot_token(&self, at: Range<usize>) -> Option<Range<usize>> {
        let before = self.bytes[..at.start].iter().rev();
        let digits = before.take(12).take_while(|byte| byte.is_ascii_digit());
        let start = at.start - digits.count();
        let within = start > 0 && is_token(self.bytes[start - 1]);
        let likely = (8..=10).contains(&(at.start - start)) && self.bytes[at].ends_with(b"AA");
        (likely && !within).then(|| self.telegram(start)).flatten()
    }

    fn oracle(&self, start: usize) -> Option<Range<usize>> {
        let word = &self.bytes[start..self.word_end(start)];
        let word = &word[..word.len().min(4 * LOOK_MAX)];
        let slash = memchr::memchr(b'/', word)?;
        let end = memchr::memchr(b'@', word).unwrap_or(word.len());
        (0 < slash && slash + 1 < end).then_some(start..start + end)
    }

    fn data_source(&self, done: usize, at: usize) -> Option<Range<usize>> {
        let from = done.max(at.saturating_sub(4 * LOOK_MAX));
        let before = self.bytes[from..at]
            .iter()
            .rev()
            .take_while(|&&byte| {
                !byte.is_ascii_whitespace() && !is_quote(byte) && !b"=/\\".contains(&byte)
            })
            .count();
        let start = at - before;
        let colon = memchr::memchr(b':', &self.bytes[start..at])?;
        let password = &self.bytes[start + colon + 1..at];
        // A bounded look back may have begun within a character.
        let whole = self.bytes[start] & 0xc0 != 0x80;
        (whole && !is_empty_value(password)).then_some(start..at)
    }

    /// Where a token that begins at `start` ends; dots belong to it where it goes on after them.
    /// Second, whether the text ends there, so that the token may have been cut.
    fn token_end(&self, start: usize) -> (usize, bool) {
        let end = self.until(start, |byte| !(is_token(byte) || byte == b'.'));
        let dots = self.bytes[start..end]
            .iter()
            .rev()
            .take_while(|&&byte| byte == b'.')
            .count();
        (end - dots, end == self.bytes.len())
    }

    fn prefixed(&self, at: Range<usize>, prefix: &str, length_min: usize) -> Option<Range<usize>> {
        let exact = &self.bytes[at.clone()] == prefix.as_bytes();
        if !exact || at.start > 0 && is_token(self.bytes[at.start - 1]) {
            return None;
        }
        let (end, last) = self.token_end(at.end);
        let cut = last && end > at.end;
        (end - at.end >= length_min || cut).then_some(at.start..end)
    }

    fn vague(&self, at: Range<usize>, prefix: &str, form: VagueForm) -> Option<Range<usize>> {
        let exact = &self.bytes[at.clone()] == prefix.as_bytes();
        if !exact
            || at.start > 0
                && (is_token(self.bytes[at.start - 1]) || self.bytes[at.start - 1] == b'.')
        {
            return None;
        }
        let (end, last) = self.token_end(at.end);
        let token = &self.bytes[at.end..end];
        let cut = last && token.len() >= 6;
        let has = |what: fn(&u8) -> bool| token.iter().any(what);
        let digit = has(u8::is_ascii_digit);
        let length = |length: usize| token.len() == length || cut && token.len() < length;
        let fits = match form {
            VagueForm::Mixed(least) => {
                let digits = token.iter().filter(|byte| byte.is_ascii_digit()).count();
                // `sk-estimator-html-v1` is a name.
                let random = digits >= 3 && token.len() >= least || cut && digits >= 2;
                random && has(u8::is_ascii_alphabetic)
            }
            VagueForm::Hex(exactly) => {
                length(exactly) && digit && token.iter().all(u8::is_ascii_hexdigit)
            }
            VagueForm::Base62(exactly) => {
                length(exactly)
                    && digit
                    && has(u8::is_ascii_uppercase)
                    && has(u8::is_ascii_lowercase)
                    && token.iter().all(u8::is_ascii_alphanumeric)
            }
        };
        fits.then_some(at.start..end)
    }

    /// The user info of a URL, given what follows its `://`.
    fn user_info(&self, url: Range<usize>) -> Option<Range<usize>> {
        let start = url.start;
        let text = &self.bytes[url.clone()];
        let authority = text
            .iter()
            .position(|byte| b"/?#".contains(byte))
            .unwrap_or(text.len());
        // Nothing is said of a URL in which something has been redacted.
        if memchr::memmem::find(&text[..authority], MARK.as_bytes()).is_some() {
            return None;
        }
        let at = memchr::memrchr(b'@', &text[..authority]);
        if let Some(at) = at {
            let info = &text[..at];
            return match memchr::memchr(b':', info) {
                Some(colon) => !is_empty_value(&info[colon + 1..]),
                // `git@` is nobody's secret; a token may stand there alone.
                None => info.len() >= 16 && info.iter().any(u8::is_ascii_digit),
            }
            .then_some(start..start + at);
        }
        let colon = memchr::memchr(b':', &text[..authority])?;
        let port = &text[colon + 1..authority];
        let hosts = port.iter().all(|byte| {
            byte.is_ascii_digit()
                || b",:.-]".contains(byte)
                || byte.is_ascii_alphabetic() && port.contains(&b',')
        });
        if hosts || text.first() == Some(&b'[') {
            return None;
        }
        // No port, so a password: one with an unescaped `/`, or one that was cut.
        if let Some(at) = memchr::memrchr(b'@', &text[..text.len().min(4 * LOOK_MAX)]) {
            return Some(start..start + at);
        }
        let cut = url.end == self.bytes.len() && authority == text.len();
        cut.then_some(start..url.end)
    }
}
