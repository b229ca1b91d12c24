//! What is no secret though it stands where one would: words of prose, values that say that there is none, names of things.

use super::MARK;

/// Words that follow `password:` or `token:` in prose and are no secrets.
pub(super) const PROSE: &str = "a an and are at authentication bad cannot could denied disabled does empty error expired failed for found from \
    has in incorrect invalid is it malformed mismatch missing must no not near of ok or rejected required revoked \
    should the this to token too unauthorized unable unknown unset via was wrong your";

/// Values that say that there is no secret here, or that somebody else has taken it out.
const EMPTY: &str =
    "null nil none undefined true false (nil) [redacted] (redacted) redacted [filtered] %s %v %q";

/// Whether a value says that there is none, or that somebody else has taken it out.
pub(super) fn is_empty_value(value: &[u8]) -> bool {
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
pub(super) fn is_ordinary(name: &[u8], value: &[u8]) -> bool {
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
