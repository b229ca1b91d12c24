//! The `Content-Type` of a push, as Go reads it: Loki takes a malformed one for a bad request.

/// What a body is, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MediaType {
    /// `application/json`
    Json,
    /// Anything else, which Loki takes for protobuf.
    Other,
}

/// Reads a media type with its parameters; `None` when it is missing or malformed.
/// Source: `ParseMediaType`, Go `mime/mediatype.go`.
pub(super) fn parse(header: &[u8]) -> Option<MediaType> {
    let (base, mut rest) = match header.iter().position(|&byte| byte == b';') {
        Some(at) => header.split_at(at),
        None => (header, &header[header.len()..]),
    };
    let base = base.trim_ascii();
    let (main, after) = token(base)?;
    if !after.is_empty() {
        let (_sub, after) = token(after.strip_prefix(b"/")?)?;
        if !after.is_empty() {
            return None;
        }
    }
    debug_assert!(!main.is_empty(), "a token has a character");

    let mut names: Vec<Vec<u8>> = Vec::new();
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() || rest == b";" {
            break;
        }
        let (name, after) = token(rest.strip_prefix(b";")?.trim_ascii_start())?;
        let after = after.trim_ascii_start().strip_prefix(b"=")?;
        rest = value(after.trim_ascii_start())?;
        let name = name.to_ascii_lowercase();
        if names.contains(&name) {
            return None;
        }
        names.push(name);
    }
    Some(if base.eq_ignore_ascii_case(b"application/json") {
        MediaType::Json
    } else {
        MediaType::Other
    })
}

/// A token of at least one character, and what follows it. Source: RFC 2045, section 5.1.
fn token(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = text
        .iter()
        .position(|byte| !byte.is_ascii_graphic() || b"()<>@,;:\\\"/[]?=".contains(byte))
        .unwrap_or(text.len());
    (length > 0).then(|| text.split_at(length))
}

/// What follows a parameter's value, a token or a quoted string.
fn value(text: &[u8]) -> Option<&[u8]> {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        return Some(token(text)?.1);
    };
    let mut escaped = false;
    for (at, &byte) in quoted.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'"' => return Some(&quoted[at + 1..]),
            b'\\' => escaped = true,
            b'\r' | b'\n' => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_recognised_with_parameters_and_in_any_case() {
        for header in [
            "application/json",
            " Application/JSON ",
            "application/json; charset=utf-8",
            "application/json;charset=\"utf-8\" ; x=y",
            "application/json;",
            "application/json ; a=\"q\\\";\" ;",
        ] {
            assert_eq!(parse(header.as_bytes()), Some(MediaType::Json), "{header}");
        }
    }

    #[test]
    fn everything_else_that_is_well_formed_is_something_else() {
        for header in [
            "application/x-protobuf",
            "application/jsonn",
            "text/plain; charset=utf-8",
            "json",
        ] {
            assert_eq!(parse(header.as_bytes()), Some(MediaType::Other), "{header}");
        }
    }

    #[test]
    fn a_missing_or_malformed_type_is_none() {
        for header in [
            "",
            ";",
            "/json",
            "application/",
            "application/json x",
            "application/json; charsetutf-8",
            "application/json; charset=",
            "application/json; =utf-8",
            "application/json; a=b; A=c",
            "application/json; a=\"b",
            "application/json; a=b c=d",
            "appli\u{e9}cation/json",
        ] {
            assert_eq!(parse(header.as_bytes()), None, "{header}");
        }
    }
}
