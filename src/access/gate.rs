//! The decision whether a request is answered.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use tokio::net::TcpStream;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;
use zeroize::Zeroizing;

use super::file::{self, NamedFile, Problem};
use super::kept::{Kept, Look};
use super::{Listener, Settings, name, tls};
use crate::telemetry::{CREDENTIALS_RELOADS_TOTAL, UNAUTHORIZED_TOTAL};

/// How often at most it is logged that requests are refused: whoever does not know the token sends on all the same.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// What one listener asks of its clients.
pub struct Gate {
    listener: Listener,
    tls: Option<Kept<ServerConfig>>,
    asks_certificate: bool,
    tokens: Vec<Credential>,
    user: Option<Credential>,
    told: Mutex<Told>,
}

/// A token, or a user's password, and whom it stands for.
struct Credential {
    name: Arc<str>,
    kept: Kept<Fingerprint>,
}

/// SHA-256 of what a client must show after the scheme: enough to know it again, and nothing to steal.
type Fingerprint = [u8; 32];

/// When it was last logged that requests are refused, and how many have been since.
#[derive(Default)]
struct Told {
    last: Option<Instant>,
    refused: u64,
}

/// Why a request is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It came without the certificate that it needs.
    NoCertificate,
    /// It came without credentials.
    NoCredentials,
    /// Nobody has these credentials.
    WrongCredentials,
}

impl Refusal {
    /// The refusal as a label.
    fn word(self) -> &'static str {
        match self {
            Self::NoCertificate => "no_certificate",
            Self::NoCredentials => "no_credentials",
            Self::WrongCredentials => "wrong_credentials",
        }
    }
}

/// What is known of a client before it says anything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peer {
    /// Whom the certificate is for that it has shown, and that the authorities for clients have signed.
    pub certificate: Option<Arc<str>>,
    /// Where it is, and the address at which trommel listens.
    pub addresses: Option<Addresses>,
}

/// The two ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// Where the client is.
    pub client: SocketAddr,
    /// Where it has connected to.
    pub own: SocketAddr,
    /// What trommel was told to listen on: that, or all addresses.
    pub listener: SocketAddr,
}

impl Addresses {
    /// Whether nobody on another host can be at the other end.
    #[must_use]
    pub fn are_loopback(&self) -> bool {
        let Self {
            client,
            own,
            listener,
        } = self;
        [client, own, listener]
            .iter()
            .all(|address| address.ip().to_canonical().is_loopback())
    }
}

impl Peer {
    /// The client at the other end of `stream`.
    #[must_use]
    pub fn of(stream: &TlsStream<TcpStream>) -> Self {
        let (_, session) = stream.get_ref();
        let certificate = session
            .peer_certificates()
            .and_then(|chain| chain.first())
            .map(|certificate| name::of(certificate));
        Self {
            certificate,
            addresses: None,
        }
    }

    /// With the ends of its connection.
    #[must_use]
    pub fn at(self, addresses: Option<Addresses>) -> Self {
        Self { addresses, ..self }
    }
}

/// Who sends a request, as far as a [`Gate`] can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Nobody was asked.
    Anonymous,
    /// The user of basic authentication, the name of the token's file, or else the common name in the certificate.
    Known(Arc<str>),
}

impl Identity {
    /// What nobody in particular is called.
    pub const ANONYMOUS: &str = "anonymous";

    /// A name for people, not unique: a token's file may be called like a user.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Anonymous => Self::ANONYMOUS,
            Self::Known(name) => name,
        }
    }
}

impl Gate {
    /// Reads every file that `settings` name.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn open(listener: Listener, settings: &Settings) -> Result<Self, Vec<Problem>> {
        let named =
            |name: &str, path: &Path| NamedFile::new(format!("{}.{name}", listener.word()), path);
        let mut problems = Vec::new();
        let mut note = |problem| problems.push(problem);
        let tls = settings.tls.as_ref().and_then(|files| {
            let mut all = vec![
                named("cert_file", &files.certificate),
                named("key_file", &files.key),
            ];
            let authorities = files.client_authorities.as_ref();
            all.extend(authorities.map(|path| named("client_ca_file", path)));
            Kept::open(all, tls::config).map_err(&mut note).ok()
        });
        let tokens = settings.tokens.iter().filter_map(|path| {
            let file = named("token_files", path);
            let kept = Kept::open(vec![file], |contents| {
                token(&contents[0]).map_err(|problem| (0, problem))
            });
            let name = path.file_name().unwrap_or(path.as_os_str());
            let name = name.to_string_lossy().into();
            Some(Credential {
                name,
                kept: kept.map_err(&mut note).ok()?,
            })
        });
        let tokens = tokens.collect();
        let user = settings.user.as_ref().and_then(|user| {
            let (file, name) = (named("password_file", &user.password), user.name.clone());
            let make = move |contents: &[file::Content]| {
                password(&name, &contents[0]).map_err(|problem| (0, problem))
            };
            Some(Credential {
                name: user.name.as_str().into(),
                kept: Kept::open(vec![file], make).map_err(&mut note).ok()?,
            })
        });
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            listener,
            asks_certificate: settings
                .tls
                .as_ref()
                .is_some_and(|files| files.client_authorities.is_some()),
            tls,
            tokens,
            user,
            told: Mutex::default(),
        })
    }

    /// A gate that lets everybody in, without TLS.
    #[must_use]
    pub fn wide_open(listener: Listener) -> Self {
        Self {
            listener,
            tls: None,
            asks_certificate: false,
            tokens: Vec::new(),
            user: None,
            told: Mutex::default(),
        }
    }

    /// Whether connections are TLS.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether anything is asked of a client.
    #[must_use]
    pub fn asks_anything(&self) -> bool {
        self.asks_certificate || !self.tokens.is_empty() || self.user.is_some()
    }

    /// Shakes hands with whoever is at the other end of `socket`, who has `within` for it; `None`, which is counted, when nothing came of it.
    ///
    /// # Panics
    /// If this listener has no TLS.
    pub async fn accept(
        &self,
        socket: TcpStream,
        within: Duration,
    ) -> Option<TlsStream<TcpStream>> {
        let config = self.tls.as_ref().expect("the caller has asked").get();
        tls::accept(self.listener, config, socket, within).await
    }

    /// Whether a request with these headers is answered, and who sends it. Takes as long for one wrong credential as for another.
    ///
    /// # Errors
    /// Why not; it is counted.
    pub fn judge(&self, peer: &Peer, headers: &HeaderMap) -> Result<Identity, Refusal> {
        let judged = self.decide(peer, headers);
        if let Err(refusal) = judged {
            metrics::counter!(UNAUTHORIZED_TOTAL, "listener" => self.listener.word(), "reason" => refusal.word())
                .increment(1);
            self.tell(refusal);
        }
        judged
    }

    fn decide(&self, peer: &Peer, headers: &HeaderMap) -> Result<Identity, Refusal> {
        let certificate = match &peer.certificate {
            None if self.asks_certificate => return Err(Refusal::NoCertificate),
            certificate => certificate.clone(),
        };
        if self.tokens.is_empty() && self.user.is_none() {
            return Ok(certificate.map_or(Identity::Anonymous, Identity::Known));
        }
        let mut shown = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = shown.next() else {
            return Err(Refusal::NoCredentials);
        };
        let value = value.as_bytes();
        let blank = value.iter().position(|&byte| byte == b' ');
        let (scheme, rest) = value.split_at(blank.unwrap_or(value.len()));
        let of_scheme: Vec<&Credential> = if scheme.eq_ignore_ascii_case(b"bearer") {
            self.tokens.iter().collect()
        } else if scheme.eq_ignore_ascii_case(b"basic") {
            self.user.iter().collect()
        } else {
            Vec::new()
        };
        let fingerprint = fingerprint(rest.trim_ascii());
        // All are compared, whichever it is.
        let same: Vec<Choice> = of_scheme
            .iter()
            .map(|credential| credential.kept.get().ct_eq(&fingerprint))
            .collect();
        let known = same.iter().position(|same| bool::from(*same));
        match known {
            Some(place) if shown.next().is_none() => {
                Ok(Identity::Known(Arc::clone(&of_scheme[place].name)))
            }
            _ => Err(Refusal::WrongCredentials),
        }
    }

    /// The answer to a request that is refused.
    #[must_use]
    pub fn answer(&self, refusal: Refusal) -> Response<Full<Bytes>> {
        let (status, line) = match refusal {
            // RFC 9110 wants a challenge in every 401, and there is none for certificates.
            Refusal::NoCertificate => (StatusCode::FORBIDDEN, "a client certificate is needed\n"),
            Refusal::NoCredentials => (StatusCode::UNAUTHORIZED, "credentials are needed\n"),
            Refusal::WrongCredentials => (StatusCode::UNAUTHORIZED, "wrong credentials\n"),
        };
        let mut response = Response::new(Full::from(line));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(CONTENT_TYPE, plain);
        if status == StatusCode::UNAUTHORIZED {
            if !self.tokens.is_empty() {
                let bearer = HeaderValue::from_static(r#"Bearer realm="trommel""#);
                headers.append(WWW_AUTHENTICATE, bearer);
            }
            if self.user.is_some() {
                let basic = HeaderValue::from_static(r#"Basic realm="trommel", charset="UTF-8""#);
                headers.append(WWW_AUTHENTICATE, basic);
            }
        }
        response
    }

    fn tell(&self, refusal: Refusal) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.refused += 1;
        let now = Instant::now();
        if told
            .last
            .is_none_or(|last| now.duration_since(last) >= TELL_AGAIN)
        {
            told.last = Some(now);
            let refused = std::mem::take(&mut told.refused);
            tracing::warn!(
                listener = self.listener.word(),
                reason = refusal.word(),
                refused,
                "requests are refused"
            );
        }
    }

    /// Reads the files again, and takes into use what is new and good. Reads disks: not for a task that others wait for.
    ///
    /// Tells whether all of them are good as they are now.
    pub(super) fn look(&self) -> bool {
        let mut good: Vec<bool> = self.tls.iter().map(look).collect();
        let credentials = self.tokens.iter().chain(&self.user);
        good.extend(credentials.map(|credential| look(&credential.kept)));
        !good.contains(&false)
    }
}

/// Looks at some files, and tells of what is found whoever operates trommel.
fn look<T>(kept: &Kept<T>) -> bool {
    let outcome = match kept.look() {
        Look::Same => return kept.is_good(),
        Look::Renewed => {
            for file in kept.files() {
                let path = file.path.display();
                tracing::info!(key = file.key, %path, "taken into use as it is now");
            }
            "renewed"
        }
        Look::Refused(problem) => {
            let (key, path) = (&problem.file.key, problem.file.path.display());
            let problem = &problem.problem;
            tracing::error!(key, %path, problem, "cannot be used as it is now; what it was before stays in use");
            "refused"
        }
    };
    metrics::counter!(CREDENTIALS_RELOADS_TOTAL, "outcome" => outcome).increment(1);
    kept.is_good()
}

fn token(content: &[u8]) -> Result<Fingerprint, String> {
    Ok(fingerprint(file::token(content)?.expose().as_bytes()))
}

/// Of what `user` sends with the password in a file. Source: RFC 7617, section 2.
fn password(user: &str, content: &[u8]) -> Result<Fingerprint, String> {
    let password = file::password(content)?;
    let pair = Zeroizing::new(format!("{user}:{}", password.expose()));
    let sent = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
    Ok(fingerprint(sent.as_bytes()))
}

fn fingerprint(bytes: &[u8]) -> Fingerprint {
    Sha256::digest(bytes).into()
}

/// Without anything that the files hold.
impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("listener", &self.listener)
            .finish_non_exhaustive()
    }
}
