//! Finds secrets in a line: one search proposes places, and a few lines of hand-written reading at each decide.
//!
//! Not expressions, because the end of a value depends on how it is quoted and how deep the quotes are escaped, and because
//! a line that was cut in the middle of a secret has no end to match.
//! Every look back or ahead is bounded by [`LOOK_MAX`] or consumes what it read, so the cost is linear in the line.

use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};

use super::MARK;
use super::text::{LOOK_MAX, Sign, Text, is_name, is_quote, is_token};

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
            .expect("a few dozen short needles always build");
        Self { needles }
    }

    /// Calls `found` for every secret of `text`, in order; ranges do not overlap and lie between characters.
    pub(super) fn find(&self, text: &str, mut found: impl FnMut(Range<usize>, &'static str)) {
        let text = Text(text.as_bytes());
        let mut done = 0;
        let mut url_read = 0;
        for place in self.needles.find_iter(text.0) {
            if place.start() < done {
                continue;
            }
            let at = place.range();
            let (needle, found_by) = NEEDLES[place.pattern().as_usize()];
            let (secret, kind) = match found_by {
                Needle::Key(kind, form) => (text.keyed(at, kind, form), kind),
                Needle::Authorization => (text.authorization(at), "authorization"),
                Needle::Cookie => (text.cookie(at), "cookie"),
                Needle::Scheme(kind) => (text.scheme(at), kind),
                Needle::CurlUser => (text.curl_user(at), "basic_auth"),
                Needle::Jwt => (text.jwt(at), "jwt"),
                Needle::PrivateKey => (text.private_key(at), "private_key"),
                Needle::Prefix(kind, length_min) => (text.prefixed(at, needle, length_min), kind),
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
                found(secret, kind);
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Needle {
    /// The end of a name whose value is a secret of this kind.
    Key(&'static str, Form),
    Authorization,
    Cookie,
    /// `Bearer` or `Basic` before a credential.
    Scheme(&'static str),
    /// `curl -u user:password`.
    CurlUser,
    /// The base64 of `{"`, with which every JSON Web Token begins.
    Jwt,
    PrivateKey,
    Url,
    /// Tokens of a well-known service: this, then at least so many letters, digits, `_` and `-`.
    Prefix(&'static str, usize),
}

/// How sure a name must be before its value is taken for a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The end of any name: `dbPassword`, `AWS_SECRET_ACCESS_KEY`, `x-auth-token`.
    Any,
    /// A word of its own, before `=` or in quotes: `DB_PASS=`, but not `bypass=` or `2 to pass: a, b`.
    Word,
    /// A word of its own in quotes, `"auth":"…"`; or after `_`, `_auth=`.
    Quoted,
}

const NEEDLES: &[(&str, Needle)] = &[
    ("password", Needle::Key("password", Form::Any)),
    ("password_confirmation", Needle::Key("password", Form::Any)),
    ("passwd", Needle::Key("password", Form::Any)),
    ("passphrase", Needle::Key("password", Form::Any)),
    ("pass", Needle::Key("password", Form::Word)),
    ("pwd", Needle::Key("password", Form::Word)),
    ("token", Needle::Key("token", Form::Any)),
    ("secret", Needle::Key("secret", Form::Any)),
    ("secret_key", Needle::Key("secret", Form::Any)),
    ("secretkey", Needle::Key("secret", Form::Any)),
    ("secret-key", Needle::Key("secret", Form::Any)),
    ("api_key", Needle::Key("api_key", Form::Any)),
    ("apikey", Needle::Key("api_key", Form::Any)),
    ("api-key", Needle::Key("api_key", Form::Any)),
    ("access_key", Needle::Key("api_key", Form::Any)),
    ("accesskey", Needle::Key("api_key", Form::Any)),
    ("access-key", Needle::Key("api_key", Form::Any)),
    ("account_key", Needle::Key("api_key", Form::Any)),
    ("accountkey", Needle::Key("api_key", Form::Any)),
    ("private_key", Needle::Key("private_key", Form::Any)),
    ("privatekey", Needle::Key("private_key", Form::Any)),
    ("private-key", Needle::Key("private_key", Form::Any)),
    ("encryption_key", Needle::Key("private_key", Form::Any)),
    ("signing_key", Needle::Key("private_key", Form::Any)),
    ("credential", Needle::Key("credential", Form::Word)),
    ("credentials", Needle::Key("credential", Form::Word)),
    ("auth", Needle::Key("credential", Form::Quoted)),
    ("authorization", Needle::Authorization),
    ("cookie", Needle::Cookie),
    ("bearer", Needle::Scheme("bearer")),
    ("basic", Needle::Scheme("basic_auth")),
    (" -u ", Needle::CurlUser),
    ("--user", Needle::CurlUser),
    ("eyj", Needle::Jwt),
    ("-----begin ", Needle::PrivateKey),
    ("://", Needle::Url),
    (":\\/\\/", Needle::Url),
    ("AKIA", Needle::Prefix("aws_key", 16)),
    ("ASIA", Needle::Prefix("aws_key", 16)),
    ("AIza", Needle::Prefix("gcp_key", 30)),
    ("ghp_", Needle::Prefix("github_token", 20)),
    ("gho_", Needle::Prefix("github_token", 20)),
    ("ghu_", Needle::Prefix("github_token", 20)),
    ("ghs_", Needle::Prefix("github_token", 20)),
    ("ghr_", Needle::Prefix("github_token", 20)),
    ("github_pat_", Needle::Prefix("github_token", 20)),
    ("glpat-", Needle::Prefix("gitlab_token", 16)),
    ("xoxa-", Needle::Prefix("slack_token", 8)),
    ("xoxb-", Needle::Prefix("slack_token", 8)),
    ("xoxp-", Needle::Prefix("slack_token", 8)),
    ("xoxr-", Needle::Prefix("slack_token", 8)),
    ("xoxs-", Needle::Prefix("slack_token", 8)),
    ("npm_", Needle::Prefix("npm_token", 30)),
    ("hvs.", Needle::Prefix("vault_token", 20)),
];

/// Words that follow `password:` or `token:` in prose and are no secrets.
const PROSE: &str = "a an and are authentication bad cannot could denied disabled does empty error expired failed for found from \
    has in incorrect invalid is it malformed mismatch missing must no not of ok or rejected required revoked \
    should the this to token too unauthorized unable unknown unset was wrong your";

/// Values that say that there is no secret here, or that somebody else has taken it out.
const EMPTY: &str =
    "null nil none undefined true false (nil) [redacted] (redacted) redacted [filtered] %s %v %q";

/// Authorization schemes whose credential is one word, which is what follows them.
const SCHEMES: &str = "basic bearer token negotiate ntlm apikey dpop key";
/// Those that have a list of parameters.
const SCHEMES_WITH_LIST: &str = "digest aws4-hmac-sha256 hmac signature oauth hawk sharedkey";

impl Text<'_> {
    /// The value of a name that ends at `key`.
    fn keyed(self, key: Range<usize>, kind: &str, form: Form) -> Option<Range<usize>> {
        let name = self.name_start(key.start);
        let separator = self.separator(name, key.end)?;
        let alone = key.start == name || !self.0[key.start - 1].is_ascii_alphabetic();
        let fits = match form {
            Form::Any => true,
            Form::Word => alone && (separator.quoted || separator.sign == Sign::Tight),
            Form::Quoted => {
                alone && (separator.quoted || key.start > name && self.0[key.start - 1] == b'_')
            }
        };
        if !fits {
            return None;
        }
        let value = self.value(&separator)?;
        let content = &self.0[value.content.clone()];
        if is_empty_value(content) || is_ordinary(&self.0[name..key.end], content) {
            return None;
        }
        if separator.sign != Sign::Colon {
            return Some(value.content);
        }
        // Prose has `: ` too: `invalid token: signature is invalid`.
        let notation = separator.quoted || self.is_notation(name);
        let likely = if value.quoted {
            notation || content.len() >= 4
        } else {
            let alone = self.ends_phrase(value.content.end) && !is_one_of(content, PROSE);
            looks_secret(content) || alone && (notation || kind == "password")
        };
        likely.then_some(value.content)
    }

    /// The credential of an `Authorization` header, its scheme left standing.
    fn authorization(self, key: Range<usize>) -> Option<Range<usize>> {
        let name = self.name_start(key.start);
        let separator = self.separator(name, key.end)?;
        let value = self.value(&separator)?;
        let Range { start, end } = value.content;
        let word_end = self.until(start, |byte| byte == b' ').min(end);
        let scheme = &self.0[start..word_end];
        let rest = self.skip_blanks(word_end);
        let content = if is_one_of(scheme, SCHEMES_WITH_LIST) {
            rest..if value.quoted {
                end
            } else {
                self.until(rest, |byte| b"\"'`\n\\".contains(&byte))
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
        let text = self.0.get(content.clone())?;
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
    fn cookie(self, key: Range<usize>) -> Option<Range<usize>> {
        let name = self.name_start(key.start);
        let separator = self.separator(name, key.end)?;
        let value = self.value(&separator)?;
        let start = value.content.start;
        let end = if value.quoted {
            value.content.end
        } else {
            self.until(start, |byte| b"\"'`\n\\".contains(&byte))
        };
        let text = &self.0[start..end];
        (text.contains(&b'=') && !is_empty_value(text)).then_some(start..end)
    }

    /// What follows `Bearer` or `Basic`, if it is no English word.
    fn scheme(self, word: Range<usize>) -> Option<Range<usize>> {
        if word.start > 0 && is_name(self.0[word.start - 1]) {
            return None;
        }
        let start = self.skip_blanks(word.end);
        let end = self.until(start, |byte| {
            !(byte.is_ascii_alphanumeric() || b"._~+/=-".contains(&byte))
        });
        let credential = &self.0[start..end];
        let spaced = start > word.end;
        let long = credential.len() >= 8 || end == self.0.len() && credential.len() >= 4;
        // `WWW-Authenticate: Bearer error_description="…"`
        let parameter =
            credential.ends_with(b"=") && self.0.get(end).is_some_and(|&byte| is_quote(byte));
        (spaced && long && !parameter && looks_secret(credential)).then_some(start..end)
    }

    /// `user:password` after `-u` or `--user`; not the `1000:1000` of a container.
    fn curl_user(self, flag: Range<usize>) -> Option<Range<usize>> {
        let after = flag.end + usize::from(self.0[flag.end - 1] != b' ');
        if after > flag.end && !matches!(self.0.get(flag.end), Some(b' ' | b'=')) {
            return None;
        }
        let value = self.value_at(self.skip_blanks(after))?;
        let text = &self.0[value.content.clone()];
        let colon = text.iter().position(|&byte| byte == b':')?;
        let password = &text[colon + 1..];
        // The `-u app:app` of a container names a user and a group.
        let before = &self.0[flag.start.saturating_sub(4 * LOOK_MAX)..flag.start];
        let likely = memchr::memmem::find(before, b"curl").is_some() || looks_secret(password);
        let secret = colon > 0
            && !password.is_empty()
            && likely
            && memchr::memmem::find(text, MARK.as_bytes()).is_none();
        secret.then_some(value.content)
    }

    fn jwt(self, at: Range<usize>) -> Option<Range<usize>> {
        let exact = &self.0[at.clone()] == b"eyJ";
        if !exact || at.start > 0 && is_token(self.0[at.start - 1]) {
            return None;
        }
        let end = self.until(at.end, |byte| {
            !(is_token(byte) || byte == b'.' || byte == b'=')
        });
        let cut = end == self.0.len() && end - at.start >= 6;
        (end - at.start >= 20 || cut).then_some(at.start..end)
    }

    /// From `-----BEGIN … PRIVATE KEY` to its end, or to that of the line.
    fn private_key(self, begin: Range<usize>) -> Option<Range<usize>> {
        const PRIVATE: &[u8] = b"PRIVATE KEY";
        let head = &self.0[begin.end..(begin.end + LOOK_MAX).min(self.0.len())];
        let head = &head[..head
            .iter()
            .position(|&byte| byte == b'-')
            .unwrap_or(head.len())];
        memchr::memmem::find(head, PRIVATE)?;
        let body = begin.end + head.len();
        let Some(closing) = memchr::memmem::find(&self.0[body..], b"-----END ") else {
            return Some(begin.start..self.0.len());
        };
        let label = body + closing + b"-----END ".len();
        let dashes = self.until(label, |byte| byte == b'-' || byte == b'\n');
        let end = self.until(dashes, |byte| byte != b'-');
        Some(begin.start..end)
    }

    fn prefixed(self, at: Range<usize>, prefix: &str, length_min: usize) -> Option<Range<usize>> {
        let exact = &self.0[at.clone()] == prefix.as_bytes();
        if !exact || at.start > 0 && is_token(self.0[at.start - 1]) {
            return None;
        }
        let end = self.until(at.end, |byte| !is_token(byte));
        let token = &self.0[at.end..end];
        let cut = end == self.0.len() && token.iter().any(u8::is_ascii_digit);
        (token.len() >= length_min || cut).then_some(at.start..end)
    }

    /// The user info of a URL, given what follows its `://`.
    fn user_info(self, url: Range<usize>) -> Option<Range<usize>> {
        let start = url.start;
        let text = &self.0[url.clone()];
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
                None => info.len() >= 16,
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
        let cut = url.end == self.0.len() && authority == text.len();
        cut.then_some(start..url.end)
    }
}

/// Whether a value says that there is none, or that somebody else has taken it out.
fn is_empty_value(value: &[u8]) -> bool {
    value.is_empty()
        || value.starts_with(MARK.as_bytes())
        || is_one_of(value, EMPTY)
        || value[0] == b'{'
        || value[0] == b'<' && value.ends_with(b">")
        || value[0] == b'$'
            && value[1..]
                .iter()
                .all(|byte| byte.is_ascii_uppercase() || b"_{}()".contains(byte))
        || value.iter().all(|&byte| byte == b'*')
        || value.len() >= 3 && value.iter().all(|byte| b"xX.-".contains(byte))
}

/// Names that have another meaning beside the secret one, with a value that tells.
fn is_ordinary(name: &[u8], value: &[u8]) -> bool {
    if name.eq_ignore_ascii_case(b"pwd") {
        // The shell's working directory.
        return matches!(value[0], b'/' | b'~');
    }
    if name.eq_ignore_ascii_case(b"secret") {
        // Kubernetes names its secrets `namespace/name`.
        let mut parts = value.split(|&byte| byte == b'/');
        let dns = |part: &[u8]| {
            !part.is_empty()
                && part.iter().all(|byte| {
                    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(byte)
                })
        };
        return value.contains(&b'/') && parts.clone().count() == 2 && parts.all(dns);
    }
    false
}

/// Whether a bare word is more than a word: digits, symbols, or capitals in the middle.
fn looks_secret(word: &[u8]) -> bool {
    let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
    let symbol = word.iter().any(|byte| b"!@#$%^*+=~?".contains(byte));
    let capital = word
        .windows(2)
        .any(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase());
    digits > 4 || digits > 0 && digits < word.len() || symbol || capital || word.len() >= 32
}

fn is_one_of(word: &[u8], words: &str) -> bool {
    let end = word
        .iter()
        .rev()
        .take_while(|byte| b".,;:!".contains(byte))
        .count();
    let word = &word[..word.len() - end];
    words
        .split(' ')
        .any(|known| known.as_bytes().eq_ignore_ascii_case(word))
}
