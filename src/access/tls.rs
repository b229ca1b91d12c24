//! TLS at a listener: from PEM files to a configuration, and from a socket to a stream.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{Error as PemError, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{Error, RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;

use super::Listener;
use super::file::{Content, NamedFile, Problem};
use super::kept::Blame;
use crate::telemetry::TLS_HANDSHAKES_FAILED_TOTAL;

/// The first byte of a TLS connection. Source: RFC 8446, section 5.1, `handshake(22)`.
const HANDSHAKE: u8 = 22;

/// What somebody is told who speaks HTTP where TLS is spoken. Alloy does not retry a 400, but would retry a connection that breaks.
const SPEAKS_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 32\r\n\
    Connection: close\r\n\r\nthis port speaks TLS: use https\n";

/// Makes a configuration of the contents of a certificate file, a key file, and perhaps a file with the authorities for clients.
///
/// A client without a certificate may connect all the same: it is refused by an answer, which it can understand, and probes,
/// which have none, are answered. One whose certificate is not signed by these authorities cannot connect.
pub(super) fn config(contents: &[Content]) -> Result<ServerConfig, Blame> {
    let (certificate, key, clients) = (&contents[0], &contents[1], contents.get(2));
    let chain = certificates(certificate).map_err(|problem| (0, problem))?;
    let key = private_key(key).map_err(|problem| (1, problem))?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("ring has what TLS 1.2 and 1.3 need");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let roots = authorities(pem).map_err(|problem| (2, problem))?;
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| (2, format!("cannot be used: {error}")))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| match error {
            Error::InconsistentKeys(_) => (1, "does not belong to the certificate".to_owned()),
            Error::InvalidCertificate(_) => (0, format!("holds no usable certificate: {error}")),
            _ => (
                1,
                "holds no usable private key; expected RSA, ECDSA or Ed25519".to_owned(),
            ),
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Whether a file holds a certificate, and another its key.
pub(crate) fn check_pair(certificate: &NamedFile, key: &NamedFile) -> Result<(), Problem> {
    let contents = [certificate.read()?, key.read()?];
    config(&contents).map(drop).map_err(|(place, problem)| {
        let file = [certificate, key][place];
        file.problem(problem)
    })
}

/// Whether a file holds authorities.
pub(crate) fn check_authorities(file: &NamedFile) -> Result<(), Problem> {
    authorities(&file.read()?)
        .map(drop)
        .map_err(|problem| file.problem(problem))
}

fn authorities(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(pem)? {
        roots
            .add(authority)
            .map_err(|error| format!("holds no usable certificate: {error}"))?;
    }
    Ok(roots)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, PemError> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err("holds no certificate; expected PEM with `BEGIN CERTIFICATE`".to_owned()),
        // What the error would show may be a part of a key.
        Err(_) => Err("is damaged: it is not PEM".to_owned()),
    }
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        PemError::NoItemsFound => {
            "holds no private key; expected PEM with `BEGIN PRIVATE KEY`, not encrypted".to_owned()
        }
        _ => "is damaged: it is not PEM".to_owned(),
    })
}

/// Shakes hands with whoever is at the other end of `socket`, who has `within` for it. `None` when nothing came of it, which is counted.
pub(super) async fn accept(
    listener: Listener,
    config: Arc<ServerConfig>,
    mut socket: TcpStream,
    within: Duration,
) -> Option<TlsStream<TcpStream>> {
    let handshake = async {
        let mut first = [0];
        socket.peek(&mut first).await.map_err(|_| "broken")?;
        if first[0] != HANDSHAKE && first[0].is_ascii_uppercase() {
            // When it breaks nobody is there to be told.
            let _ = tell_that_this_is_tls(&mut socket).await;
            return Err("plain");
        }
        TlsAcceptor::from(config)
            .accept(socket)
            .await
            .map_err(|error| {
                tracing::debug!(listener = listener.word(), %error, "TLS handshake failed");
                "broken"
            })
    };
    let reason = match timeout(within, handshake).await {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(reason)) => reason,
        Err(_) => "timeout",
    };
    metrics::counter!(TLS_HANDSHAKES_FAILED_TOTAL, "listener" => listener.word(), "reason" => reason)
        .increment(1);
    None
}

/// Answers, and reads on until the client has heard it: a connection that is closed on unread bytes is reset, and the answer lost.
async fn tell_that_this_is_tls(socket: &mut TcpStream) -> std::io::Result<()> {
    socket.write_all(SPEAKS_TLS).await?;
    socket.shutdown().await?;
    let mut unread = [0; 8 << 10];
    while socket.read(&mut unread).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn pem(text: &str) -> Content {
        Content::new(text.as_bytes().to_vec())
    }

    /// A certificate that signs itself, and its key.
    fn pair() -> (Content, Content) {
        let key = KeyPair::generate().expect("ring makes keys");
        let certificate = CertificateParams::new(["localhost".to_owned()])
            .expect("a name")
            .self_signed(&key)
            .expect("it signs");
        (pem(&certificate.pem()), pem(&key.serialize_pem()))
    }

    #[track_caller]
    fn check(contents: &[&Content], expected: Blame) {
        let contents: Vec<Content> = contents.iter().map(|&content| content.clone()).collect();
        assert_eq!(config(&contents).expect_err("unusable"), expected);
    }

    #[test]
    fn the_file_that_is_wrong_is_to_blame() {
        let ((certificate, key), (other, _)) = (pair(), pair());
        let contents = [certificate.clone(), key.clone(), other.clone()];
        assert!(config(&contents[..2]).is_ok() && config(&contents).is_ok());

        let nothing = pem("nothing\n");
        let no_certificate = "holds no certificate; expected PEM with `BEGIN CERTIFICATE`";
        check(&[&nothing, &key], (0, no_certificate.to_owned()));
        check(&[&key, &key], (0, no_certificate.to_owned()));
        check(
            &[&certificate, &key, &nothing],
            (2, no_certificate.to_owned()),
        );
        check(
            &[&certificate, &certificate],
            (
                1,
                "holds no private key; expected PEM with `BEGIN PRIVATE KEY`, not encrypted"
                    .to_owned(),
            ),
        );
        check(
            &[&other, &key],
            (1, "does not belong to the certificate".to_owned()),
        );
        let damaged = |name: &str| {
            pem(&format!(
                "-----BEGIN {name}-----\nc2VjcmV0\n-----END {name}-----\n"
            ))
        };
        check(
            &[&certificate, &damaged("PRIVATE KEY")],
            (
                1,
                "holds no usable private key; expected RSA, ECDSA or Ed25519".to_owned(),
            ),
        );
        check(
            &[&damaged("CERTIFICATE"), &key],
            (
                0,
                "holds no usable certificate: invalid peer certificate: BadEncoding".to_owned(),
            ),
        );
        check(
            &[&pem("-----BEGIN CERTIFICATE-----\nc2VjcmV0\n"), &key],
            (0, "is damaged: it is not PEM".to_owned()),
        );
    }

    #[test]
    fn the_answer_to_plain_http_is_as_long_as_it_says() {
        let answer = std::str::from_utf8(SPEAKS_TLS).expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let length = format!("Content-Length: {}\r\n", body.len());
        assert!(head.contains(&length), "{length}");
    }
}
