//! Who asks, and whether they may change something.
//!
//! Whoever the gate lets in may look. To change something takes more, since a browser sends requests on behalf of any page that is open in it,
//! with the password that it remembers, and to loopback, too:
//!
//! - Where nobody is asked who they are, changes are taken on loopback only, and only by a name that can lead nowhere else: a page that has its
//!   own name point here ([DNS rebinding]) sends that name as `Host`.
//! - What a browser says of where a request comes from (`Sec-Fetch-Site`, `Origin`) must be this site.
//! - A form carries a token that only a page of this site can have: it is signed for whom the page was made for and the hour it was made in, with a key
//!   that this process has made. Programs, which send JSON and no `Origin`, need none: no page can have a browser send that elsewhere unasked.
//!
//! [DNS rebinding]: https://en.wikipedia.org/wiki/DNS_rebinding

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aide::OperationInput;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use super::answer::Refusal;
use crate::access::{Addresses, Identity, Peer};
use crate::telemetry::CHANGES_REFUSED_TOTAL;

/// Hours for which a form may be sent after its page was made.
const FORM_HOURS: u64 = 12;
/// The field of a form that has its token.
pub(super) const TOKEN: &str = "token";

/// Who asks. Part of every request that the gate has let in.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    identity: Identity,
    /// Whether anything is asked of anybody.
    asked: bool,
    addresses: Option<Addresses>,
    forms: Arc<FormKey>,
}

impl Visitor {
    /// The one at the other end of `peer`, whom a gate knows as `identity`; `asked` tells whether it asks anything of anybody.
    pub(super) fn new(peer: &Peer, identity: Identity, asked: bool, forms: Arc<FormKey>) -> Self {
        Self {
            identity,
            asked,
            addresses: peer.addresses,
            forms,
        }
    }

    /// What they are called.
    pub(super) fn name(&self) -> &str {
        self.identity.name()
    }

    /// Whether they may change anything at all, so that a form for it makes sense.
    ///
    /// # Errors
    /// Why not, and what would have to be otherwise.
    pub(super) fn may_change(&self) -> Result<(), Refusal> {
        let is_near = self.addresses.is_some_and(|it| it.are_loopback());
        if self.asked || is_near {
            return Ok(());
        }
        Err(forbidden(
            "nobody is asked here who they are, so nothing can be changed from other hosts, nor at an address that they can reach: \
             set admin.token_files, admin.username with admin.password_file, or admin.client_ca_file",
        ))
    }

    /// What a form that this visitor is shown must send as the field [`TOKEN`].
    pub(super) fn token(&self) -> String {
        self.forms.sign(&self.identity, self.forms.hour())
    }

    /// Whether `token` is one that this visitor was given some hours ago at most.
    ///
    /// # Errors
    /// That it is not.
    pub(super) fn check_token(&self, token: &str) -> Result<(), Refusal> {
        let hour = self.forms.hour();
        let known = self.forms.knows(&self.identity, hour, token);
        let checked = known.then_some(()).ok_or_else(|| {
            forbidden("the form is too old, was made for somebody else, or trommel has been restarted since: load its page again, then send it once more")
        });
        checked.inspect_err(counted("token"))
    }

    /// Whether a request with `headers`, which a browser may have sent, comes from a page of this site.
    ///
    /// # Errors
    /// Where it comes from instead.
    fn check_site(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let sites = headers.get_all("sec-fetch-site").iter();
        for site in sites.map(|site| site.to_str().unwrap_or("unreadable")) {
            // `none` is what people have typed themselves.
            if !matches!(site, "same-origin" | "none") {
                return Err(forbidden(format!(
                    "a page of another site sends this (Sec-Fetch-Site: {site}), expected one of trommel's own"
                )));
            }
        }
        let host = host(headers);
        for origin in headers.get_all(header::ORIGIN) {
            let origin = origin.to_str().unwrap_or("unreadable");
            let from = origin
                .strip_prefix("https://")
                .or_else(|| origin.strip_prefix("http://"));
            let same = from
                .zip(host)
                .is_some_and(|(from, host)| from.eq_ignore_ascii_case(host));
            if !same {
                return Err(forbidden(format!(
                    "a page of another site sends this (Origin: {origin}), expected one of trommel's own, here `{}`",
                    host.unwrap_or("nothing")
                )));
            }
        }
        Ok(())
    }

    /// Whether the name by which trommel was asked cannot be somebody else's, where nothing but that name shows who asks.
    ///
    /// # Errors
    /// By which names it may be asked.
    fn check_host(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if self.asked {
            return Ok(());
        }
        let host = host(headers);
        let is_own = |ip: IpAddr| {
            let ip = ip.to_canonical();
            let own = self.addresses.map(|it| it.own.ip().to_canonical());
            ip.is_loopback() || own == Some(ip)
        };
        let name = host.and_then(|host| host.parse::<Authority>().ok());
        let known = name.is_some_and(|authority| {
            let name = authority.host();
            let address = name.trim_start_matches('[').trim_end_matches(']');
            name.eq_ignore_ascii_case("localhost") || address.parse().is_ok_and(is_own)
        });
        known.then_some(()).ok_or_else(|| {
            forbidden(format!(
                "asked as `{}`, expected localhost or an address, as nobody is asked here who they are: any site can have a name of its own lead here",
                host.unwrap_or_default()
            ))
        })
    }
}

/// The one `Host` that a request is for.
fn host(headers: &HeaderMap) -> Option<&str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next()?.to_str().ok()?;
    hosts.next().is_none().then_some(host)
}

/// Counts a request that would have changed something, by what is in its way.
fn counted(reason: &'static str) -> impl FnOnce(&Refusal) {
    move |_| metrics::counter!(CHANGES_REFUSED_TOTAL, "reason" => reason).increment(1)
}

fn forbidden(why: impl Into<String>) -> Refusal {
    Refusal {
        status: StatusCode::FORBIDDEN,
        why: why.into(),
    }
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let visitor = parts.extensions.get::<Self>().cloned();
        Ok(visitor.expect("whoever is behind the gate has come through it"))
    }
}

impl OperationInput for Visitor {}

/// Who changes something, and may. Every handler of a request that changes something takes it; those of forms by way of [`Form`](super::form::Form).
#[derive(Debug, Clone)]
pub(super) struct Author(Visitor);

impl Author {
    /// What they are called.
    pub(super) fn name(&self) -> &str {
        self.0.name()
    }

    /// As whom their forms are made.
    pub(super) fn visitor(&self) -> &Visitor {
        &self.0
    }
}

impl<S: Sync> FromRequestParts<S> for Author {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Ok(visitor) = Visitor::from_request_parts(parts, state).await;
        visitor.may_change().inspect_err(counted("remote"))?;
        let headers = &parts.headers;
        visitor.check_host(headers).inspect_err(counted("host"))?;
        visitor.check_site(headers).inspect_err(counted("site"))?;
        Ok(Self(visitor))
    }
}

impl OperationInput for Author {}

/// Who has files read anew. That changes only what somebody may change who can write the files, so programs may from anywhere, as with Prometheus and its
/// relatives; pages of other sites may not.
#[derive(Debug, Clone)]
pub(super) struct Caller(pub(super) Visitor);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Ok(visitor) = Visitor::from_request_parts(parts, state).await;
        let headers = &parts.headers;
        visitor.check_site(headers).inspect_err(counted("site"))?;
        if headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site") {
            visitor.check_host(headers).inspect_err(counted("host"))?;
        }
        Ok(Self(visitor))
    }
}

/// Signs forms. It is new with each process, so nothing has to be kept secret on a disk; a page from before a restart is loaded again.
pub(super) struct FormKey {
    key: hmac::Key,
    made: Instant,
}

impl FormKey {
    /// A key that nobody knows.
    ///
    /// # Panics
    /// If the system has no random numbers, as it then has none for TLS either.
    pub(super) fn new() -> Self {
        let mut bytes = [0; 32];
        SystemRandom::new()
            .fill(&mut bytes)
            .expect("the system has random numbers");
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &bytes),
            made: Instant::now(),
        }
    }

    /// Hours since it was made: no clock that somebody may set.
    fn hour(&self) -> u64 {
        const HOUR: Duration = Duration::from_secs(3600);
        self.made.elapsed().as_secs() / HOUR.as_secs()
    }

    fn sign(&self, identity: &Identity, hour: u64) -> String {
        let tag = hmac::sign(&self.key, &signed(identity, hour));
        tag.as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    fn knows(&self, identity: &Identity, now: u64, token: &str) -> bool {
        let digits = |at: usize| u8::from_str_radix(token.get(2 * at..2 * at + 2)?, 16).ok();
        let Some(tag) = (0..32).map(digits).collect::<Option<Vec<u8>>>() else {
            return false;
        };
        token.len() == 64
            && (now.saturating_sub(FORM_HOURS)..=now)
                .any(|hour| hmac::verify(&self.key, &signed(identity, hour), &tag).is_ok())
    }
}

/// What a token is the signature of: nobody in particular is not somebody who is called so.
fn signed(identity: &Identity, hour: u64) -> Vec<u8> {
    let mut signed = hour.to_le_bytes().to_vec();
    match identity {
        Identity::Anonymous => signed.push(0),
        Identity::Known(name) => {
            signed.push(1);
            signed.extend_from_slice(name.as_bytes());
        }
    }
    signed
}

/// Without the key.
impl std::fmt::Debug for FormKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FormKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    const HERE: &str = "127.0.0.1:3102";

    fn visitor(asked: bool, [client, own, listener]: [&str; 3]) -> Visitor {
        let peer = Peer::default().at(Some(Addresses {
            client: client.parse().expect("an address"),
            own: own.parse().expect("an address"),
            listener: listener.parse().expect("an address"),
        }));
        Visitor::new(&peer, Identity::Anonymous, asked, Arc::new(FormKey::new()))
    }

    fn parts(visitor: Visitor, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).expect("valid").into_parts();
        parts.extensions.insert(visitor);
        parts
    }

    /// Whether a request that changes something is taken, and whether one to read files anew is.
    async fn taken(visitor: &Visitor, headers: &[(&str, &str)]) -> (bool, bool) {
        let mut parts = parts(visitor.clone(), headers);
        let author = Author::from_request_parts(&mut parts, &()).await;
        let caller = Caller::from_request_parts(&mut parts, &()).await;
        for refusal in [author.as_ref().err(), caller.as_ref().err()] {
            let status = refusal.map(|it| it.status);
            assert!(matches!(status, None | Some(StatusCode::FORBIDDEN)));
        }
        (author.is_ok(), caller.is_ok())
    }

    #[tokio::test]
    async fn without_credentials_changes_are_taken_on_loopback_only() {
        let host = [("host", HERE)];
        for (client, own, listener, changes) in [
            ("127.0.0.1:9", HERE, HERE, true),
            ("[::1]:9", "[::1]:3102", "[::1]:3102", true),
            (
                "[::ffff:127.0.0.1]:9",
                "[::ffff:127.0.0.1]:3102",
                HERE,
                true,
            ),
            ("127.0.0.1:9", HERE, "0.0.0.0:3102", false),
            ("10.0.0.9:9", "10.0.0.1:3102", "0.0.0.0:3102", false),
            ("10.0.0.1:9", "10.0.0.1:3102", "10.0.0.1:3102", false),
        ] {
            let addresses = [client, own, listener];
            let visitor_here = visitor(false, addresses);
            assert_eq!(visitor_here.may_change().is_ok(), changes, "{addresses:?}");
            assert_eq!(
                taken(&visitor_here, &host).await,
                (changes, true),
                "{addresses:?}"
            );
            assert_eq!(
                taken(&visitor(true, addresses), &host).await,
                (true, true),
                "{addresses:?}"
            );
        }
        let nowhere = Visitor::new(
            &Peer::default(),
            Identity::Anonymous,
            false,
            Arc::new(FormKey::new()),
        );
        assert!(nowhere.may_change().is_err());
    }

    #[tokio::test]
    async fn pages_of_other_sites_change_nothing_and_reload_nothing() {
        let yes = (true, true);
        let no = (false, false);
        for (headers, expected) in [
            (&[("host", HERE)][..], yes),
            (&[("host", HERE), ("sec-fetch-site", "same-origin")], yes),
            (&[("host", HERE), ("sec-fetch-site", "none")], yes),
            (&[("host", HERE), ("sec-fetch-site", "same-site")], no),
            (&[("host", HERE), ("sec-fetch-site", "cross-site")], no),
            (
                &[
                    ("host", HERE),
                    ("sec-fetch-site", "same-origin"),
                    ("sec-fetch-site", "cross-site"),
                ],
                no,
            ),
            (&[("host", HERE), ("origin", "http://127.0.0.1:3102")], yes),
            (&[("host", HERE), ("origin", "https://127.0.0.1:3102")], yes),
            (&[("host", HERE), ("origin", "http://127.0.0.1:3103")], no),
            (&[("host", HERE), ("origin", "http://127.0.0.1")], no),
            (&[("host", HERE), ("origin", "null")], no),
            (&[("host", HERE), ("origin", "http://evil.example")], no),
            (
                &[
                    ("host", "LOCALHOST:3102"),
                    ("origin", "http://localhost:3102"),
                ],
                yes,
            ),
        ] {
            for asked in [false, true] {
                let visitor = visitor(asked, ["127.0.0.1:9", HERE, HERE]);
                assert_eq!(
                    taken(&visitor, headers).await,
                    expected,
                    "{asked} {headers:?}"
                );
            }
        }
    }

    #[tokio::test]
    async fn a_name_that_anybody_can_have_lead_here_is_good_with_credentials_only() {
        for (host, own) in [
            ("localhost", true),
            ("localhost:3102", true),
            ("127.0.0.1", true),
            ("127.1.2.3:80", true),
            ("[::1]:3102", true),
            ("evil.example:3102", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example", false),
            ("10.0.0.1:3102", false),
            ("", false),
            ("@", false),
        ] {
            let here = ["127.0.0.1:9", HERE, HERE];
            let of_program = [("host", host)];
            assert_eq!(
                taken(&visitor(false, here), &of_program).await,
                (own, true),
                "{host}"
            );
            assert_eq!(
                taken(&visitor(true, here), &of_program).await,
                (true, true),
                "{host}"
            );
            let of_page = [("host", host), ("sec-fetch-site", "same-origin")];
            assert_eq!(
                taken(&visitor(false, here), &of_page).await,
                (own, own),
                "{host}"
            );
        }
        let there = visitor(false, ["10.0.0.9:9", "10.0.0.1:3102", "0.0.0.0:3102"]);
        let of_page = [
            ("host", "10.0.0.1:3102"),
            ("origin", "http://10.0.0.1:3102"),
        ];
        assert_eq!(taken(&there, &of_page).await, (false, true));
        let twice = [("host", HERE), ("host", "evil.example")];
        let here = visitor(false, ["127.0.0.1:9", HERE, HERE]);
        assert_eq!(taken(&here, &twice).await, (false, true));
    }

    #[test]
    fn a_token_is_for_one_person_one_process_and_some_hours() {
        let (key, other) = (FormKey::new(), FormKey::new());
        let nobody = Identity::Anonymous;
        let [ann, ben, called_anonymous] =
            ["ann", "ben", Identity::ANONYMOUS].map(|name| Identity::Known(name.into()));
        let token = key.sign(&ann, 20);
        assert!(key.knows(&ann, 20, &token) && key.knows(&ann, 20 + FORM_HOURS, &token));
        for (key, identity, now) in [
            (&key, &ann, 19),
            (&key, &ann, 21 + FORM_HOURS),
            (&key, &ben, 20),
            (&key, &nobody, 20),
            (&other, &ann, 20),
        ] {
            assert!(!key.knows(identity, now, &token), "{identity:?} {now}");
        }
        assert!(!key.knows(&nobody, 0, &key.sign(&called_anonymous, 0)));
        for wrong in [
            "",
            "00",
            &token[1..],
            &format!("{token}0"),
            &"é".repeat(32),
            &"0".repeat(64),
        ] {
            assert!(!key.knows(&ann, 20, wrong), "{wrong}");
        }
    }
}
