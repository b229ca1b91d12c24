//! Finds secrets in a line: one search proposes places, and a few lines of hand-written reading at each decide.
//!
//! Not expressions, because the end of a value depends on how it is quoted and how deep the quotes are escaped, and because
//! a line that was cut in the middle of a secret has no end to match.
//! Every look back or ahead is bounded by [`LOOK_MAX`] or consumes what it read, so the cost is linear in the line.

use std::ops::Range;

use aho_corasick::{AhoCorasick, Input, MatchKind};

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

#[derive(Clone, Copy)]
enum Needle {
    /// The end of a name whose value is a secret of this kind.
    Key(&'static str, Form),
    Authorization,
    Cookie,
    /// `Bearer` or `Basic` before a credential.
    Scheme(&'static str),
    /// SMTP's `AUTH PLAIN` and IMAP's `AUTHENTICATE PLAIN` before a credential in base64.
    Sasl,
    /// SQL's `IDENTIFIED BY '…'`.
    Identified,
    /// A setting of Redis that is written with a blank before its value.
    Setting,
    /// `echo … | docker login --password-stdin`
    Piped,
    /// `Unseal Key 1: …`, as Vault prints it.
    Unseal,
    /// The same as a list in JSON.
    UnsealList,
    /// `curl -u user:password`.
    CurlUser,
    /// The base64 of `{"`, with which every JSON Web Token begins.
    Jwt,
    PrivateKey,
    /// How the base64 of a private key begins.
    KeyBody,
    Url,
    /// A short flag before a password, where one of these programs is named before it.
    Flag(&'static str, &'static [&'static str]),
    /// A parameter of a URL whose name is used for much else.
    Query(&'static str),
    /// A URL whose path is the secret.
    Path(&'static str),
    /// `/bot123456789:…`
    Telegram,
    /// `user/password@` of a JDBC URL.
    Oracle,
    /// `user:password` before `@tcp(`, as Go's MySQL driver has it.
    DataSource,
    /// Tokens of a well-known service: this, then at least so many letters, digits, `_` and `-`.
    Prefix(&'static str, usize),
    /// The same where ordinary words begin so too.
    Vague(&'static str, VagueForm),
}

/// What must follow a prefix that says little.
#[derive(Clone, Copy)]
enum VagueForm {
    /// At least so many letters, digits, `_`, `-` and inner dots, a digit and a letter among them.
    Mixed(usize),
    /// So many hexadecimal digits and no more.
    Hex(usize),
    /// So many letters and digits and no more, with capitals.
    Base62(usize),
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
    ("bindpw", Needle::Key("password", Form::Any)),
    ("rootpw", Needle::Key("password", Form::Any)),
    ("pw", Needle::Key("password", Form::Word)),
    ("identified by ", Needle::Identified),
    ("requirepass", Needle::Setting),
    ("masterauth", Needle::Setting),
    ("echo ", Needle::Piped),
    ("unseal key", Needle::Unseal),
    ("unseal_keys_b64", Needle::UnsealList),
    ("unseal_keys_hex", Needle::UnsealList),
    ("keys_base64", Needle::UnsealList),
    ("token", Needle::Key("token", Form::Any)),
    ("otp", Needle::Key("password", Form::Quoted)),
    ("sharedaccesskey", Needle::Key("api_key", Form::Any)),
    ("x-amz-signature", Needle::Key("signature", Form::Any)),
    ("x-goog-signature", Needle::Key("signature", Form::Any)),
    ("jsessionid", Needle::Key("session", Form::Any)),
    ("phpsessid", Needle::Key("session", Form::Any)),
    ("session_key", Needle::Key("session", Form::Any)),
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
    ("auth plain ", Needle::Sasl),
    ("auth login ", Needle::Sasl),
    ("authenticate plain ", Needle::Sasl),
    ("cookie", Needle::Cookie),
    ("bearer", Needle::Scheme("bearer")),
    ("basic", Needle::Scheme("basic_auth")),
    (" -u", Needle::CurlUser),
    ("--user", Needle::CurlUser),
    ("eyj", Needle::Jwt),
    ("-----begin ", Needle::PrivateKey),
    // How its first line begins where that is an entry of its own: OpenSSH's, PKCS#1 and PKCS#8 of 2048 and 4096 bits, SEC1, and PKCS#8 of
    // elliptic curves. RFC 8017, 5208, 5915 and 8410, in base64.
    ("b3BlbnNzaC1rZXktdjE", Needle::KeyBody),
    ("MIIEogIBAAKCAQEA", Needle::KeyBody),
    ("MIIEowIBAAKCAQEA", Needle::KeyBody),
    ("MIIEpAIBAAKCAQEA", Needle::KeyBody),
    ("MIIEpQIBAAKCAQEA", Needle::KeyBody),
    ("MIIJJwIBAAKCAgEA", Needle::KeyBody),
    ("MIIJKAIBAAKCAgEA", Needle::KeyBody),
    ("MIIJKQIBAAKCAgEA", Needle::KeyBody),
    ("MIIJKgIBAAKCAgEA", Needle::KeyBody),
    ("MIIEvAIBADANBgkqhkiG9w0BAQEFAASC", Needle::KeyBody),
    ("MIIEvQIBADANBgkqhkiG9w0BAQEFAASC", Needle::KeyBody),
    ("MIIEvgIBADANBgkqhkiG9w0BAQEFAASC", Needle::KeyBody),
    ("MIIEvwIBADANBgkqhkiG9w0BAQEFAASC", Needle::KeyBody),
    ("MIIJQQIBADANBgkqhkiG9w0BAQEFAASC", Needle::KeyBody),
    ("MIIJQgIBADANBgkqhkiG9w0BAQEFAASC", Needle::KeyBody),
    ("MIIJQwIBADANBgkqhkiG9w0BAQEFAASC", Needle::KeyBody),
    ("MIIJRAIBADANBgkqhkiG9w0BAQEFAASC", Needle::KeyBody),
    ("MHcCAQEEI", Needle::KeyBody),
    ("MIGHAgEAMBMGByqGSM49", Needle::KeyBody),
    ("MC4CAQAwBQYDK2VwBCIEI", Needle::KeyBody),
    ("://", Needle::Url),
    (":\\/\\/", Needle::Url),
    (
        " -p ",
        Needle::Flag("password", &["login", "sshpass", "ldapsearch"]),
    ),
    (" -p", Needle::Flag("password", &["mysql", "mariadb"])),
    (" -a ", Needle::Flag("password", &["redis-cli"])),
    (
        " -w ",
        Needle::Flag("password", &["ldapsearch", "ldapwhoami", "ldapmodify"]),
    ),
    ("?code=", Needle::Query("code")),
    ("&code=", Needle::Query("code")),
    ("u0026code=", Needle::Query("code")),
    ("?key=", Needle::Query("api_key")),
    ("&key=", Needle::Query("api_key")),
    ("u0026key=", Needle::Query("api_key")),
    ("?sig=", Needle::Query("signature")),
    ("&sig=", Needle::Query("signature")),
    ("u0026sig=", Needle::Query("signature")),
    ("&signature=", Needle::Query("signature")),
    ("u0026signature=", Needle::Query("signature")),
    ("hooks.slack.com/services/", Needle::Path("webhook")),
    ("hooks.slack.com\\/services\\/", Needle::Path("webhook")),
    ("discord.com/api/webhooks/", Needle::Path("webhook")),
    ("discordapp.com/api/webhooks/", Needle::Path("webhook")),
    ("webhook.office.com/webhookb2/", Needle::Path("webhook")),
    ("/bot", Needle::Telegram),
    ("jdbc:oracle:thin:", Needle::Oracle),
    ("jdbc:oracle:oci:", Needle::Oracle),
    ("@tcp(", Needle::DataSource),
    ("@unix(", Needle::DataSource),
    ("AKIA", Needle::Prefix("aws_key", 16)),
    ("ASIA", Needle::Prefix("aws_key", 16)),
    ("AIza", Needle::Prefix("gcp_key", 30)),
    ("ya29.", Needle::Prefix("gcp_token", 20)),
    ("GOCSPX-", Needle::Prefix("gcp_secret", 20)),
    ("ghp_", Needle::Prefix("github_token", 20)),
    ("gho_", Needle::Prefix("github_token", 20)),
    ("ghu_", Needle::Prefix("github_token", 20)),
    ("ghs_", Needle::Prefix("github_token", 20)),
    ("ghr_", Needle::Prefix("github_token", 20)),
    ("github_pat_", Needle::Prefix("github_token", 20)),
    ("glpat-", Needle::Prefix("gitlab_token", 16)),
    ("glrt-", Needle::Prefix("gitlab_token", 16)),
    ("gldt-", Needle::Prefix("gitlab_token", 16)),
    ("glptt-", Needle::Prefix("gitlab_token", 16)),
    ("glcbt-", Needle::Prefix("gitlab_token", 16)),
    ("glsoat-", Needle::Prefix("gitlab_token", 16)),
    ("glft-", Needle::Prefix("gitlab_token", 16)),
    ("glimt-", Needle::Prefix("gitlab_token", 16)),
    ("glagent-", Needle::Prefix("gitlab_token", 16)),
    ("xoxa-", Needle::Prefix("slack_token", 8)),
    ("xoxb-", Needle::Prefix("slack_token", 8)),
    ("xoxc-", Needle::Prefix("slack_token", 8)),
    ("xoxd-", Needle::Prefix("slack_token", 8)),
    ("xoxe-", Needle::Prefix("slack_token", 8)),
    ("xoxe.xoxp-", Needle::Prefix("slack_token", 8)),
    ("xoxp-", Needle::Prefix("slack_token", 8)),
    ("xoxr-", Needle::Prefix("slack_token", 8)),
    ("xoxs-", Needle::Prefix("slack_token", 8)),
    ("xapp-1-", Needle::Prefix("slack_token", 8)),
    ("pypi-AgE", Needle::Prefix("pypi_token", 16)),
    ("dckr_pat_", Needle::Prefix("docker_token", 16)),
    ("dckr_oat_", Needle::Prefix("docker_token", 16)),
    ("hvs.", Needle::Prefix("vault_token", 20)),
    ("hvb.", Needle::Prefix("vault_token", 20)),
    ("hvr.", Needle::Prefix("vault_token", 20)),
    ("sk_live_", Needle::Prefix("stripe_key", 10)),
    ("sk_test_", Needle::Prefix("stripe_key", 10)),
    ("rk_live_", Needle::Prefix("stripe_key", 10)),
    ("rk_test_", Needle::Prefix("stripe_key", 10)),
    ("glsa_", Needle::Prefix("grafana_token", 20)),
    ("glc_", Needle::Prefix("grafana_token", 20)),
    ("dop_v1_", Needle::Prefix("digitalocean_token", 32)),
    ("doo_v1_", Needle::Prefix("digitalocean_token", 32)),
    ("shpat_", Needle::Prefix("shopify_token", 20)),
    ("shpss_", Needle::Prefix("shopify_token", 20)),
    ("AGE-SECRET-KEY-1", Needle::Prefix("private_key", 20)),
    ("sk-ant-", Needle::Prefix("api_key", 16)),
    ("sk-proj-", Needle::Prefix("api_key", 16)),
    ("sq0csp-", Needle::Prefix("square_token", 20)),
    ("PMAK-", Needle::Prefix("postman_key", 20)),
    ("lin_api_", Needle::Prefix("linear_key", 20)),
    ("HRKU-", Needle::Prefix("heroku_key", 20)),
    ("rubygems_", Needle::Prefix("rubygems_key", 30)),
    ("tskey-", Needle::Prefix("tailscale_key", 12)),
    ("NRAK-", Needle::Prefix("newrelic_key", 20)),
    ("atlasv1.", Needle::Prefix("terraform_token", 20)),
    ("npm_", Needle::Vague("npm_token", VagueForm::Mixed(30))),
    ("hf_", Needle::Vague("api_key", VagueForm::Mixed(30))),
    ("whsec_", Needle::Vague("webhook", VagueForm::Mixed(16))),
    ("sk-", Needle::Vague("api_key", VagueForm::Mixed(20))),
    ("SG.", Needle::Vague("sendgrid_key", VagueForm::Mixed(40))),
    ("SK", Needle::Vague("twilio_key", VagueForm::Hex(32))),
    ("s.", Needle::Vague("vault_token", VagueForm::Base62(24))),
];

/// Words that follow `password:` or `token:` in prose and are no secrets.
const PROSE: &str = "a an and are at authentication bad cannot could denied disabled does empty error expired failed for found from \
    has in incorrect invalid is it malformed mismatch missing must no not near of ok or rejected required revoked \
    should the this to token too unauthorized unable unknown unset via was wrong your";

/// Values that say that there is no secret here, or that somebody else has taken it out.
const EMPTY: &str =
    "null nil none undefined true false (nil) [redacted] (redacted) redacted [filtered] %s %v %q";

/// Authorization schemes whose credential is one word, which is what follows them.
const SCHEMES: &str = "basic bearer token negotiate ntlm apikey dpop key";
/// Those that have a list of parameters.
const SCHEMES_WITH_LIST: &str = "digest aws4-hmac-sha256 hmac signature oauth hawk sharedkey";

impl Text<'_> {
    /// The value of a name that ends at `key`.
    fn keyed(&self, key: Range<usize>, kind: &str, form: Form) -> Option<Range<usize>> {
        let name = self.name_start(key.start);
        let Some(separator) = self.separator(name, key.end) else {
            return self.announced(key.end, kind);
        };
        let alone = key.start == name || !self.bytes[key.start - 1].is_ascii_alphabetic();
        // `RootPass: …`
        let hump = key.start > name
            && self.bytes[key.start - 1].is_ascii_lowercase()
            && self.bytes[key.start].is_ascii_uppercase();
        let fits = match form {
            Form::Any => true,
            Form::Word => hump || alone && (separator.quoted || separator.sign == Sign::Tight),
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
            looks_secret(content) || alone && (notation || kind == "password")
        };
        likely.then_some(value.content)
    }

    /// `The generated password is …`, `password was set to …`, or as SQL has it: `PASSWORD '…'`, `caching_sha2_password BY '…'`.
    fn announced(&self, end: usize, kind: &str) -> Option<Range<usize>> {
        if kind != "password" {
            return None;
        }
        let rest = &self.bytes[end..];
        let follows = |words: &[&str]| {
            let found = words.iter().find(|words| {
                rest.get(..words.len())
                    .is_some_and(|text| text.eq_ignore_ascii_case(words.as_bytes()))
            });
            found.map(|words| end + words.len())
        };
        // MySQL's `A temporary password is generated for root@localhost: …`.
        let start = if let Some(whose) = follows(&[" is generated for "]) {
            let whose = whose..(whose + LOOK_MAX).min(self.bytes.len());
            whose.start + memchr::memmem::find(&self.bytes[whose], b": ")? + b": ".len()
        } else if let Some(start) = follows(&[" is: ", " is ", " was set to ", " set to "]) {
            start
        } else {
            let start = follows(&[" by ", " as ", " ", "("])?;
            let value = self.quoted_at(start)?;
            let content = &self.bytes[value.content.clone()];
            let literal = self.bytes[value.content.start - 1] == b'\'' || looks_secret(content);
            return (literal && !is_empty_value(content)).then_some(value.content);
        };
        let value = self.value_at(start)?;
        let content = &self.bytes[value.content.clone()];
        let likely = content.len() >= 6 && looks_secret(content);
        (likely && !is_empty_value(content)).then_some(value.content)
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
        let end = self.until(start, |byte| {
            !(byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
        });
        let credential = &self.bytes[start..end];
        let likely = credential.len() > 6
            && looks_secret(credential)
            && credential.iter().any(u8::is_ascii_lowercase);
        likely.then_some(start..end)
    }

    /// In quotes, or a word that is none of prose: `a volume identified by name`.
    fn identified(&self, start: usize) -> Option<Range<usize>> {
        let value = self.value_at(start)?;
        let content = &self.bytes[value.content.clone()];
        let likely = value.quoted || looks_secret(content);
        (likely && !is_empty_value(content)).then_some(value.content)
    }

    fn setting(&self, end: usize) -> Option<Range<usize>> {
        // The name may be in quotes, alone or with its value.
        let start = self.until(end, |byte| !b" \t\"'\\:=,".contains(&byte));
        let value = self.value_at(start).filter(|_| start > end)?;
        let content = &self.bytes[value.content.clone()];
        let alone = self.ends_phrase(value.content.end) && !is_one_of(content, PROSE);
        let likely = alone || looks_secret(content);
        (likely && !is_empty_value(content)).then_some(value.content)
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
        let content = &self.bytes[value.content.clone()];
        let read = READERS
            .iter()
            .any(|reader| memchr::memmem::find(after, reader).is_some());
        (read && !is_empty_value(content)).then_some(value.content)
    }

    fn unseal(&self, end: usize) -> Option<Range<usize>> {
        let colon = self.until(end, |byte| byte != b' ' && !byte.is_ascii_digit());
        let rest = self.bytes[colon..].strip_prefix(b": ")?;
        let start = self.bytes.len() - rest.len();
        let end = self.until(start, |byte| {
            !(byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
        });
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
        // `WWW-Authenticate: Bearer error_description="…"`
        let parameter =
            credential.ends_with(b"=") && self.bytes.get(end).is_some_and(|&byte| is_quote(byte));
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
        let Some(closing) = memchr::memmem::find(&self.bytes[body..], b"-----END ") else {
            return Some(begin.start..self.bytes.len());
        };
        let label = body + closing + b"-----END ".len();
        let dashes = self.until(label, |byte| byte == b'-' || byte == b'\n');
        let end = self.until(dashes, |byte| byte != b'-');
        Some(begin.start..end)
    }

    fn key_body(&self, at: Range<usize>, beginning: &str) -> Option<Range<usize>> {
        let exact = &self.bytes[at.clone()] == beginning.as_bytes();
        let within = at.start > 0 && is_token(self.bytes[at.start - 1]);
        let end = self.until(at.end, |byte| {
            !(byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
        });
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
        let value = self.value_at(flag.end)?;
        let content = &self.bytes[value.content.clone()];
        (!is_empty_value(content) && content[0] != b'-').then_some(value.content)
    }

    fn query(&self, start: usize) -> Option<Range<usize>> {
        let end = self.until(start, |byte| !(is_token(byte) || b"./+=%~".contains(&byte)));
        let value = &self.bytes[start..end];
        let cut = end == self.bytes.len() && value.len() >= 4;
        ((value.len() >= 10 || cut) && looks_secret(value)).then_some(start..end)
    }

    fn path(&self, start: usize) -> Option<Range<usize>> {
        let end = self.until(start, |byte| !(is_token(byte) || b"/\\@.%".contains(&byte)));
        // The quote that ends an escaped text is written after backslashes.
        let slashes = self.bytes[start..end]
            .iter()
            .rev()
            .take_while(|&&byte| byte == b'\\')
            .count();
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
    if name.eq_ignore_ascii_case(b"pass") && value.len() <= 3 {
        // How many tests passed.
        return value.iter().all(u8::is_ascii_digit);
    }
    let ends_with = |end: &[u8]| {
        let at = name.len().checked_sub(end.len());
        at.is_some_and(|at| name[at..].eq_ignore_ascii_case(end))
    };
    if ends_with(b"token") {
        // Whose signature an assembly of .NET has, and what `POST /token` was answered.
        return ends_with(b"publickeytoken")
            || value.len() <= 3 && value.iter().all(u8::is_ascii_digit);
    }
    let dns = |part: &[u8]| {
        !part.is_empty()
            && part.iter().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(byte)
            })
    };
    if name.eq_ignore_ascii_case(b"secret") {
        // Kubernetes names its secrets `namespace/name`.
        let mut parts = value.split(|&byte| byte == b'/');
        return value.contains(&b'/') && parts.clone().count() == 2 && parts.all(dns);
    }
    // What others call the secret that they name.
    [&b"targetsecret"[..], b"tlssecret", b"pullsecret"]
        .into_iter()
        .any(ends_with)
        && dns(value)
}

/// Whether a value names something: an object as Java writes it, `Token{5a1c Activity…` and `os.BinderProxy@1f2e3d`, or
/// `com.example.matching`, perhaps with a number, `com.example.activity/4505:`.
fn is_object(value: &[u8]) -> bool {
    let name = value
        .iter()
        .take_while(|&&byte| byte.is_ascii_alphabetic() || b".$".contains(&byte))
        .count();
    let (name, rest) = value.split_at(name);
    let dots = |name: &[u8]| name.iter().filter(|&&byte| byte == b'.').count();
    match rest.first() {
        Some(b'{') => !name.is_empty(),
        Some(b'@') => {
            name.contains(&b'.') && rest.len() <= 9 && rest[1..].iter().all(u8::is_ascii_hexdigit)
        }
        Some(b'/') => {
            let number = rest[1..].strip_suffix(b":").unwrap_or(&rest[1..]);
            dots(name) >= 2 && number.iter().all(u8::is_ascii_digit)
        }
        None => dots(name) >= 2 && name.len() < 64,
        Some(_) => false,
    }
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
