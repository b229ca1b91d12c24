//! What the settings of who may come in must be.

use std::net::SocketAddr;

use super::check::Check;
use super::raw::RawAccess;
use crate::access::{Settings, TlsFiles, User};

impl Check {
    /// The settings below `section`. Their files are not read here.
    pub(super) fn access(&mut self, section: &str, raw: RawAccess) -> Settings {
        let mut missing = |name: &str, beside: &str| {
            self.wrong(
                &format!("{section}.{name}"),
                format!("missing: {section}.{beside} needs it"),
            );
        };
        let tls = match (raw.cert_file, raw.key_file) {
            (Some(certificate), Some(key)) => Some(TlsFiles {
                certificate,
                key,
                client_authorities: raw.client_ca_file,
            }),
            (Some(_), None) => {
                missing("key_file", "cert_file");
                None
            }
            (None, Some(_)) => {
                missing("cert_file", "key_file");
                None
            }
            (None, None) => {
                if raw.client_ca_file.is_some() {
                    missing("cert_file", "client_ca_file");
                }
                None
            }
        };
        let user = match (raw.username, raw.password_file) {
            (Some(name), Some(password)) => Some(User { name, password }),
            (Some(_), None) => {
                missing("password_file", "username");
                None
            }
            (None, Some(_)) => {
                missing("username", "password_file");
                None
            }
            (None, None) => None,
        };
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
