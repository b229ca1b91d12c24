//! What is no secret though it stands where one would: words of prose, values that say that there is none, names of things.

use super::MARK;

/// Words that follow `password:` or `token:` in prose and are no secrets.
pub(super) const PROSE: &str = "a an and are at authentication bad can't cannot could denied disabled does empty error expired failed for found from \
    has in incorrect invalid is it malformed mismatch missing must no not near of ok or rejected required revoked secret \
    should the this to token too unauthorized unable unknown unset via was wrong your";

/// How a text begins that says what is wrong with a field.
pub(super) const COMPLAINTS: &str =
    "can't cannot does has invalid is missing must not required should this";

/// Values that say that there is no secret here, or what became of it.
const EMPTY: &str = "null nil none undefined true false yes no (nil) (known set) unset missing invalid expired required disabled enabled \
    %s %v %q ?";

/// What others put in the place of what they have taken out, whatever stands around it.
const TAKEN_OUT: &str = "redacted filtered masked hidden protected sensitive omitted removed value_specified_in_no_log_parameter";

/// How code says where a value comes from.
const CODE: [&str; 12] = [
    "os.environ",
    "os.getenv",
    "process.env.",
    "self.",
    "settings.",
    "config.",
    "var.",
    "data.",
    "env(",
    "!vault",
    "$(",
    "%(",
];

/// Whether a value says that there is none, or that somebody else has taken it out.
pub(super) fn is_empty_value(value: &[u8]) -> bool {
    value.is_empty()
        || value.starts_with(MARK.as_bytes())
        || is_one_of(value, EMPTY)
        || is_taken_out(value)
        || CODE.iter().any(|code| value.starts_with(code.as_bytes()))
        || is_placeholder(value)
        || value[0] == b'{'
        || value[0] == b'<' && value.ends_with(b">")
        || value[0] == b'$'
            && value[1..]
                .iter()
                .all(|byte| byte.is_ascii_uppercase() || b"_{}()".contains(byte))
        || value.iter().all(|&byte| byte == b'*')
        || value.len() >= 3 && value.iter().all(|byte| b"xX.-".contains(byte))
}

/// `[REDACTED]`, `**hidden**`, `(sensitive`, `●●●●`.
fn is_taken_out(value: &[u8]) -> bool {
    let start = value.iter().position(u8::is_ascii_alphabetic);
    let end = value.iter().rposition(u8::is_ascii_alphabetic);
    match start.zip(end) {
        Some((start, end)) => {
            let around = value[..start].iter().chain(&value[end + 1..]);
            around.copied().all(|byte| !byte.is_ascii_alphanumeric())
                && is_one_of(&value[start..=end], TAKEN_OUT)
        }
        None => value
            .chunks(3)
            .all(|dot| dot == "●".as_bytes() || dot == "•".as_bytes()),
    }
}

/// What stands for a value in SQL: `$1`, `@p0`.
fn is_placeholder(value: &[u8]) -> bool {
    let number = value
        .strip_prefix(b"$")
        .or_else(|| value.strip_prefix(b"@p"));
    number.is_some_and(|number| {
        !number.is_empty() && number.len() <= 3 && number.iter().all(u8::is_ascii_digit)
    })
}

/// Names that have another meaning beside the secret one, with a value that tells.
pub(super) fn is_ordinary(name: &[u8], value: &[u8]) -> bool {
    // The hook of a login: `pam_unix(passwd:chauthtok)`.
    if value.starts_with(b"chauthtok") {
        return true;
    }
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
    // What others call the secret that they name.
    let reference = [
        &b"targetsecret"[..],
        b"tlssecret",
        b"pullsecret",
        b"existingsecret",
        b"externalsecret",
        b"casecret",
    ];
    let refers = reference.into_iter().any(ends_with);
    let mut parts = value.split(|&byte| byte == b'/');
    match parts.clone().count() {
        1 => refers && dns(value),
        // Kubernetes names its secrets `namespace/name`.
        2 => (refers || name.eq_ignore_ascii_case(b"secret")) && parts.all(dns),
        _ => false,
    }
}

/// Whether a value names something: an object as Java writes it, `Token{5a1c Activity…` and `os.BinderProxy@1f2e3d`, or
/// `com.example.matching`, perhaps with a number, `com.example.activity/4505:`.
pub(super) fn is_object(value: &[u8]) -> bool {
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
pub(super) fn looks_secret(word: &[u8]) -> bool {
    let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
    let symbol = word.iter().any(|byte| b"!@#$%^*+=~?".contains(byte));
    let capital = word
        .windows(2)
        .any(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase());
    digits > 4 || digits > 0 && digits < word.len() || symbol || capital || word.len() >= 32
}

pub(super) fn is_one_of(word: &[u8], words: &str) -> bool {
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
