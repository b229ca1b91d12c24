//! Who may come in: TLS, certificates of clients, tokens and passwords, at both listeners.
//!
//! Every secret is in a file, never in a setting's value, so that it is in no process list, no environment and no dump of settings.
//! The files are read at the start, where a mistake in any of them is told with its setting and path and nothing is started, and
//! again every second: what is new and good replaces what was before, what is bad replaces nothing, is logged and counted. A request
//! is judged by what holds when it comes, a connection by what held when it began.
//!
//! What a [`Gate`] asks, it asks of every request but those of probes: a certificate if there are authorities for clients, and
//! beside it a token or a password if there are any. A request is judged before its body is read.
//!
//! Nothing here is shown: of tokens and passwords only digests are kept, errors name files and not what is in them.

mod file;
mod gate;
mod kept;
mod name;
mod secret;
mod tls;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::telemetry::CREDENTIALS_LAST_RELOAD_SUCCESSFUL;

pub use file::{NamedFile, Problem};
pub(crate) use file::{password, token};
pub use gate::{Addresses, Gate, Identity, Peer, Refusal};
pub use secret::Secret;
pub(crate) use tls::{check_authorities, check_pair};

/// How often files are compared with what is in use. They are a few kilobytes that the system has in memory.
const PERIOD: Duration = Duration::from_secs(1);

/// A listener, as its settings and metrics call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// For log pushes.
    Push,
    /// For metrics, health and the API.
    Admin,
}

impl Listener {
    /// Its name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Admin => "admin",
        }
    }
}

/// Which files decide who comes in at one listener. By default everybody does, without TLS.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// TLS; without it connections are plain.
    pub tls: Option<TlsFiles>,
    /// Files of bearer tokens, each of which is enough.
    pub tokens: Vec<PathBuf>,
    /// A user with a password, which is as good as a token.
    pub user: Option<User>,
}

impl Settings {
    /// Whether anything is asked of a client.
    #[must_use]
    pub fn ask_anything(&self) -> bool {
        let asks_certificate = self
            .tls
            .as_ref()
            .is_some_and(|files| files.client_authorities.is_some());
        asks_certificate || !self.tokens.is_empty() || self.user.is_some()
    }
}

/// PEM files for TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Authorities one of which must have signed a client's certificate; without it none is asked for.
    pub client_authorities: Option<PathBuf>,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// File of the password.
    pub password: PathBuf,
}

/// Takes into use what changes in the files of `gates`, until it is dropped.
pub async fn keep_up(gates: [Arc<Gate>; 2]) {
    // They were good when they were opened.
    metrics::gauge!(CREDENTIALS_LAST_RELOAD_SUCCESSFUL).set(1.0);
    if !gates
        .iter()
        .any(|gate| gate.has_tls() || gate.asks_anything())
    {
        return;
    }
    let mut tick = interval(PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let gates = gates.clone();
        // A disk may hang; then nothing is renewed, and nothing else waits for it.
        let looked = tokio::task::spawn_blocking(move || {
            gates.each_ref().map(|gate| gate.look()) == [true; 2]
        });
        if let Ok(good) = looked.await {
            metrics::gauge!(CREDENTIALS_LAST_RELOAD_SUCCESSFUL).set(if good { 1.0 } else { 0.0 });
        }
    }
}
