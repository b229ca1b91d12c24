//! What the settings of who may come in must be.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::check::Check;
use super::raw::RawAccess;
use crate::access::{Settings, TlsFiles, User};
use crate::publish::Login;

impl Check {
    /// The settings below `section`. Their files are not read here.
    pub(super) fn access(&mut self, section: &str, raw: RawAccess) -> Settings {
        if raw.client_ca_file.is_some() && raw.cert_file.is_none() && raw.key_file.is_none() {
            self.missing(section, "cert_file", "client_ca_file");
        }
        let pair = self.pair(
            section,
            ("cert_file", raw.cert_file),
            ("key_file", raw.key_file),
        );
        let tls = pair.map(|(certificate, key)| TlsFiles {
            certificate,
            key,
            client_authorities: raw.client_ca_file,
        });
        let user = self
            .pair(
                section,
                ("username", raw.username),
                ("password_file", raw.password_file),
            )
            .map(|(name, password)| User { name, password });
        // Source: RFC 7617, section 2: the colon ends the name.
        let is_name =
            |name: &str| !name.is_empty() && !name.contains(|c: char| c == ':' || c.is_control());
        if let Some(User { name, .. }) = user.as_ref().filter(|user| !is_name(&user.name)) {
            self.wrong(
                &format!("{section}.username"),
                format!("`{name}` is no user name: not empty, no `:`, no control characters"),
            );
        }
        Settings {
            tls,
            tokens: raw.token_files.unwrap_or_default(),
            user,
        }
    }

    /// How trommel shows who it is to NATS: in one way.
    pub(super) fn nats_login(
        &mut self,
        creds: Option<PathBuf>,
        nkey: Option<PathBuf>,
        token: Option<PathBuf>,
        username: Option<String>,
        password: Option<PathBuf>,
    ) -> Login {
        let user = self.pair("nats", ("username", username), ("password_file", password));
        let ways = [
            creds.map(|path| ("creds", Login::Credentials(path))),
            nkey.map(|path| ("nkey_file", Login::Nkey(path))),
            token.map(|path| ("token_file", Login::Token(path))),
            user.map(|(user, file)| ("username", Login::Password { user, file })),
        ];
        let mut given = ways.into_iter().flatten();
        let Some((first, login)) = given.next() else {
            return Login::Nothing;
        };
        for (other, _) in given {
            self.wrong(
                &format!("nats.{other}"),
                format!("one too many beside nats.{first}: there is one way to log in"),
            );
        }
        login
    }

    /// Two settings of which neither is of use without the other.
    pub(super) fn pair<A, B>(
        &mut self,
        section: &str,
        (first, one): (&str, Option<A>),
        (second, other): (&str, Option<B>),
    ) -> Option<(A, B)> {
        match (one, other) {
            (Some(one), Some(other)) => return Some((one, other)),
            (Some(_), None) => self.missing(section, second, first),
            (None, Some(_)) => self.missing(section, first, second),
            (None, None) => {}
        }
        None
    }

    fn missing(&mut self, section: &str, name: &str, beside: &str) {
        self.wrong(
            &format!("{section}.{name}"),
            format!("missing: {section}.{beside} needs it"),
        );
    }

    /// Whether strangers could look in.
    pub(super) fn exposure(&mut self, admin_listen: SocketAddr, admin: &Settings, insecure: bool) {
        if admin_listen.ip().to_canonical().is_loopback() || admin.ask_anything() || insecure {
            return;
        }
        self.wrong(
            "admin_listen",
            format!(
                "{admin_listen} can be reached from other hosts, and everybody would see findings and metrics: set admin.token_files, \
                 admin.username and admin.password_file, or admin.client_ca_file; --insecure-admin leaves it open to everybody"
            ),
        );
    }
}
