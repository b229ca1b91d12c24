//! Who trommel is to NATS: secrets from files, read anew for each connection, so that what changes there counts from the next one on.

use std::path::{Path, PathBuf};

use async_nats::{Auth, AuthError, ConnectOptions};
use nkeys::KeyPair;

use crate::access::{NamedFile, Problem, Secret, check_authorities, check_pair, password, token};

/// How trommel shows who it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Login {
    /// Not at all, or by what the url says.
    #[default]
    Nothing,
    /// By a credentials file (user JWT and nkey seed), as `nsc` writes it.
    Credentials(PathBuf),
    /// By a file with the seed of an nkey.
    Nkey(PathBuf),
    /// By a file with a token.
    Token(PathBuf),
    /// By a user's name, and a file with the password.
    Password {
        /// The name.
        user: String,
        /// The file.
        file: PathBuf,
    },
}

/// PEM files for TLS to NATS. Where there is any, a server without TLS is refused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// Authorities one of which must have signed the server's certificate; without it, those that the system trusts.
    pub authorities: Option<PathBuf>,
    /// Trommel's own certificate, and its key.
    pub own: Option<(PathBuf, PathBuf)>,
}

impl Login {
    /// Options that begin with this. The server's nonce is signed with whatever key the file then has.
    pub(super) fn options(&self) -> ConnectOptions {
        if *self == Self::Nothing {
            return ConnectOptions::new();
        }
        let login = self.clone();
        ConnectOptions::with_auth_callback(move |nonce| {
            let login = login.clone();
            // A disk may hang, and others are waiting for this thread.
            let read = tokio::task::spawn_blocking(move || login.auth(&nonce));
            async move {
                match read.await {
                    Ok(Ok(auth)) => Ok(auth),
                    Ok(Err(problem)) => Err(AuthError::new(problem)),
                    Err(error) => Err(AuthError::new(error)),
                }
            }
        })
    }

    /// What the server wants to see for `nonce`.
    pub(super) fn auth(&self, nonce: &[u8]) -> Result<Auth, Problem> {
        let mut auth = Auth::new();
        match self {
            Self::Nothing => {}
            Self::Credentials(path) => {
                let (jwt, key) = read("nats.creds", path, credentials)?;
                auth.jwt = Some(jwt.expose().to_owned());
                auth.signature = Some(sign("nats.creds", path, &key, nonce)?);
            }
            Self::Nkey(path) => {
                let key = read("nats.nkey_file", path, seed)?;
                auth.nkey = Some(key.public_key());
                auth.signature = Some(sign("nats.nkey_file", path, &key, nonce)?);
            }
            Self::Token(path) => {
                let token = read("nats.token_file", path, token)?;
                auth.token = Some(token.expose().to_owned());
            }
            Self::Password { user, file } => {
                let password = read("nats.password_file", file, password)?;
                auth.username = Some(user.clone());
                auth.password = Some(password.expose().to_owned());
            }
        }
        Ok(auth)
    }
}

impl Tls {
    /// `options` with this. The files are read for each connection.
    pub(super) fn add_to(&self, mut options: ConnectOptions) -> ConnectOptions {
        if let Some(path) = &self.authorities {
            options = options.add_root_certificates(path.clone());
        }
        if let Some((certificate, key)) = &self.own {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        // Whoever sits in between could say that the server has no TLS, and then read the token.
        options.require_tls(*self != Self::default())
    }

    /// Whether the files can be used as they are.
    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        if let Some(path) = &self.authorities {
            let authorities = NamedFile::new("nats.ca_file", path);
            problems.extend(check_authorities(&authorities).err());
        }
        if let Some((certificate, key)) = &self.own {
            let certificate = NamedFile::new("nats.cert_file", certificate);
            let key = NamedFile::new("nats.key_file", key);
            problems.extend(check_pair(&certificate, &key).err());
        }
    }
}

fn read<T>(
    key: &str,
    path: &Path,
    parse: impl Fn(&[u8]) -> Result<T, String>,
) -> Result<T, Problem> {
    let file = NamedFile::new(key, path);
    let content = file.read()?;
    parse(&content).map_err(|problem| file.problem(problem))
}

fn sign(key: &str, path: &Path, pair: &KeyPair, nonce: &[u8]) -> Result<Vec<u8>, Problem> {
    pair.sign(nonce)
        .map_err(|_| NamedFile::new(key, path).problem("holds a key that cannot sign"))
}

/// The seed of an nkey.
fn seed(content: &[u8]) -> Result<KeyPair, String> {
    std::str::from_utf8(content.trim_ascii())
        .ok()
        .and_then(|seed| KeyPair::from_seed(seed).ok())
        .ok_or_else(|| "holds no seed of an nkey; expected `SU…`".to_owned())
}

/// The user's JWT and key in a credentials file. Source: <https://docs.nats.io/using-nats/developer/connecting/creds>: the first two words
/// that have a line of dashes above and below.
fn credentials(content: &[u8]) -> Result<(Secret, KeyPair), String> {
    let wrong =
        || "holds no credentials; expected a user's JWT and seed, as `nsc` writes them".to_owned();
    let text = std::str::from_utf8(content).map_err(|_| wrong())?;
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut words = lines.windows(3).filter_map(|lines| match lines {
        // A line between two pieces is none of them.
        [_, "", _] => None,
        [above, word, below] if above.starts_with("---") && below.starts_with("---") => Some(*word),
        _ => None,
    });
    let (jwt, key) = words.next().zip(words.next()).ok_or_else(wrong)?;
    let key = seed(key.as_bytes()).map_err(|_| wrong())?;
    Ok((token(jwt.as_bytes()).map_err(|_| wrong())?, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_seed_is_refused() {
        let public = KeyPair::new_user().public_key();
        for text in ["", "\n", "S", "SU", "SUAM", "ÄÖÜ", &public, &"S".repeat(58)] {
            assert!(seed(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn credentials_are_read_as_nsc_writes_them() {
        let key = KeyPair::new_user();
        let written = format!(
            "-----BEGIN NATS USER JWT-----\neyJ0.e30.c2ln\n------END NATS USER JWT------\n\n\
             ************************* IMPORTANT *************************\nNKEY Seed printed below can be used to sign and prove identity.\n\
             NKEYs are sensitive and should be treated as secrets.\n\n-----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n\n\
             *************************************************************\n",
            key.seed().expect("a new key has a seed")
        );
        let (before, note) = written.split_once("*****").expect("the note");
        let (_, after) = note.split_once("secrets.\n").expect("its end");
        let without_note = format!("{before}{}", after.trim_start());
        for text in [&written, &written.replace('\n', "\r\n"), &without_note] {
            let (jwt, read) = credentials(text.as_bytes()).expect("as nsc writes it");
            assert_eq!(jwt.expose(), "eyJ0.e30.c2ln");
            assert_eq!(read.public_key(), key.public_key());
        }
        let short = &written[..written.find("SEED-----").expect("it is there")];
        for text in ["", "SUAM", short, &written.replace("\nSU", "\nXX")] {
            let problem = match credentials(text.as_bytes()) {
                Err(problem) => problem,
                Ok(_) => panic!("{text} holds no credentials"),
            };
            assert_eq!(
                problem,
                "holds no credentials; expected a user's JWT and seed, as `nsc` writes them"
            );
        }
    }
}
