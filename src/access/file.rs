//! The files that settings name: read within bounds, and complained of by setting, path and what is wrong.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::Secret;

/// What a file holds; wiped when it goes.
pub(crate) type Content = Zeroizing<Vec<u8>>;

/// Far beyond any chain of certificates; a file that is larger was named by mistake.
const BYTES_MAX: u64 = 1 << 20;

/// A file, and the setting that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// The setting.
    pub key: String,
    /// Its value.
    pub path: PathBuf,
}

/// What is wrong with a file. Nothing that it holds is in here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}: {problem}", file.key, file.path.display())]
pub struct Problem {
    /// The file.
    pub file: NamedFile,
    /// What is wrong with it, in words.
    pub problem: String,
}

impl NamedFile {
    /// The file at `path`, which the setting `key` names.
    pub fn new(key: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self {
            key: key.into(),
            path: path.into(),
        }
    }

    /// Complains of this file.
    pub(crate) fn problem(&self, problem: impl Into<String>) -> Problem {
        Problem {
            file: self.clone(),
            problem: problem.into(),
        }
    }

    /// Reads it. An empty one is a mistake, and so is what is no regular file: a pipe would be waited for.
    pub(crate) fn read(&self) -> Result<Content, Problem> {
        let cannot = |error: std::io::Error| self.problem(format!("cannot be read: {error}"));
        if !std::fs::metadata(&self.path).map_err(cannot)?.is_file() {
            return Err(self.problem("is not a regular file"));
        }
        let mut content = Content::default();
        let file = File::open(&self.path).map_err(cannot)?;
        file.take(BYTES_MAX + 1)
            .read_to_end(&mut content)
            .map_err(cannot)?;
        match content.len() as u64 {
            0 => Err(self.problem("is empty")),
            bytes if bytes > BYTES_MAX => {
                Err(self.problem(format!("is larger than {BYTES_MAX} bytes")))
            }
            _ => Ok(content),
        }
    }
}

/// A token: one word of visible ASCII, as it goes through a header. White space around it, such as the line break that editors add,
/// is not part of it; Prometheus and Alloy read such files alike.
pub(crate) fn token(content: &[u8]) -> Result<Secret, String> {
    let token = content.trim_ascii();
    if token.is_empty() {
        return Err("is empty but for white space".to_owned());
    }
    match std::str::from_utf8(token) {
        Ok(text) if token.iter().all(u8::is_ascii_graphic) => Ok(Secret::new(text.to_owned())),
        _ => Err("holds no token; expected one word of visible ASCII characters".to_owned()),
    }
}

/// A password: one line of UTF-8, without the white space around it.
pub(crate) fn password(content: &[u8]) -> Result<Secret, String> {
    let text = std::str::from_utf8(content)
        .map_err(|_| "holds no password; expected one line of UTF-8".to_owned())?
        .trim();
    if text.is_empty() {
        return Err("is empty but for white space".to_owned());
    }
    if text.contains(char::is_control) {
        return Err("holds no password; expected one line without control characters".to_owned());
    }
    Ok(Secret::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_around_a_token_is_no_part_of_it() {
        for content in ["s3cret", "s3cret\n", "\t s3cret\r\n\n"] {
            let token = token(content.as_bytes()).expect("a token");
            assert_eq!(token.expose(), "s3cret", "{content:?}");
        }
        let password = password("pass wörd\r\n".as_bytes()).expect("a password");
        assert_eq!(password.expose(), "pass wörd");
    }

    #[test]
    fn what_could_not_go_through_a_header_is_refused_without_being_shown() {
        for content in [
            &b" \n"[..],
            b"two words",
            b"two\nlines",
            "tökén".as_bytes(),
            b"\xff",
        ] {
            let problem = token(content).expect_err("no token");
            assert!(
                !problem.contains("two") && !problem.contains('ö'),
                "{problem}"
            );
        }
        for content in [&b"\r\n"[..], b"two\nlines", b"\xff", b"nul\0"] {
            let problem = password(content).expect_err("no password");
            assert!(
                !problem.contains("two") && !problem.contains("nul"),
                "{problem}"
            );
        }
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_with_its_setting() {
        let said = |path: &str| {
            NamedFile::new("push.token_files", path)
                .read()
                .expect_err("unusable")
                .to_string()
        };
        assert_eq!(
            said("/nonexistent/token"),
            "push.token_files: /nonexistent/token: cannot be read: No such file or directory (os error 2)"
        );
        assert_eq!(said("/"), "push.token_files: /: is not a regular file");
        assert_eq!(
            said("/dev/zero"),
            "push.token_files: /dev/zero: is not a regular file"
        );
    }

    #[test]
    fn a_secret_is_not_shown() {
        let secret = Secret::new("s3cret".to_owned());
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }
}
