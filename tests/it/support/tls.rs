//! Certificates, made anew for each test, and a client that speaks TLS.

use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::http::{Answer, REMOTE_TIMEOUT, Request, read_answer};

/// An authority that signs certificates.
#[derive(Debug)]
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).expect("it signs itself");
        Self {
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// For a server on the loopback address.
    pub(crate) fn server(&self) -> Pair {
        self.server_called(&[])
    }

    /// For a server on the loopback address that has these names, too.
    pub(crate) fn server_called(&self, names: &[&str]) -> Pair {
        let names = ["127.0.0.1"]
            .iter()
            .chain(names)
            .map(|name| (*name).to_owned());
        let names: Vec<_> = names.collect();
        let mut params = CertificateParams::new(names).expect("an address, and names");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    /// For a server that has these names, and is a client of servers like it.
    pub(crate) fn peer_called(&self, names: &[String]) -> Pair {
        let mut params = CertificateParams::new(names).expect("names");
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        self.sign(params)
    }

    /// For a client.
    pub(crate) fn client(&self, name: &str) -> Pair {
        let mut params = named(name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    /// For a client, and no longer valid.
    pub(crate) fn client_of_yesteryear(&self, name: &str) -> Pair {
        let mut params = named(name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Pair {
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("it signs");
        Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// A client that trusts one authority, and may have a certificate.
#[derive(Debug, Clone)]
pub(crate) struct TlsClient {
    config: Arc<ClientConfig>,
}

impl TlsClient {
    pub(crate) fn new(trusted: &Authority, own: Option<&Pair>) -> Self {
        let mut roots = RootCertStore::empty();
        let trusted = CertificateDer::from_pem_slice(trusted.pem.as_bytes()).expect("PEM");
        roots.add(trusted).expect("a certificate");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has what TLS needs")
            .with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes())
                    .collect::<Result<_, _>>()
                    .expect("PEM");
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("PEM");
                builder.with_client_auth_cert(chain, key).expect("a pair")
            }
        };
        // As Go's client does, and so Alloy's and Prometheus's.
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self {
            config: Arc::new(config),
        }
    }

    /// A connection, on which nothing has been said yet, not even hello.
    ///
    /// # Errors
    /// As the socket says.
    pub(crate) fn connect(&self, server: SocketAddr) -> io::Result<TlsConnection> {
        let socket = TcpStream::connect_timeout(&server, REMOTE_TIMEOUT)?;
        socket.set_read_timeout(Some(REMOTE_TIMEOUT))?;
        socket.set_write_timeout(Some(REMOTE_TIMEOUT))?;
        let name = ServerName::IpAddress(server.ip().into());
        let session =
            ClientConnection::new(Arc::clone(&self.config), name).map_err(io::Error::other)?;
        Ok(TlsConnection {
            server,
            stream: BufReader::new(StreamOwned::new(session, socket)),
        })
    }

    /// Sends a request on a connection of its own.
    ///
    /// # Errors
    /// As the socket or TLS says.
    pub(crate) fn send(&self, server: SocketAddr, request: &Request) -> io::Result<Answer> {
        self.connect(server)?.send(request)
    }
}

/// A connection that is kept.
#[derive(Debug)]
pub(crate) struct TlsConnection {
    server: SocketAddr,
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
}

impl TlsConnection {
    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// As the socket or TLS says.
    pub(crate) fn send(&mut self, request: &Request) -> io::Result<Answer> {
        exchange(&mut self.stream, &request.bytes(self.server))
    }

    /// The certificate that the server has shown.
    pub(crate) fn server_certificate(&self) -> Option<Vec<u8>> {
        let shown = self.stream.get_ref().conn.peer_certificates()?;
        Some(shown.first()?.to_vec())
    }
}

fn exchange<S: Read + Write>(stream: &mut BufReader<S>, bytes: &[u8]) -> io::Result<Answer> {
    let written = stream
        .get_mut()
        .write_all(bytes)
        .and_then(|()| stream.get_mut().flush());
    // A server that refuses a body early may answer before it has read it all.
    match (written, read_answer(stream)) {
        (_, Ok(answer)) => Ok(answer),
        (Err(error), Err(_)) | (Ok(()), Err(error)) => Err(error),
    }
}

/// The certificate in a PEM text.
pub(crate) fn der(pem: &str) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem.as_bytes())
        .expect("PEM")
        .to_vec()
}
