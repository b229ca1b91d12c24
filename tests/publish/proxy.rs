//! What lies between the publisher and the server: it loses an ack, or keeps a message for later.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::nats::PATIENCE;

/// What happens to the connection that carries the first finding. All later connections wait until [`Proxy::recover`]
/// and are then passed on untouched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The finding arrives; when the server has acknowledged it, the connection is closed and the ack lost.
    LoseAck,
    /// From the finding on nothing passes, and the connection stays open, until [`Proxy::release_held`].
    Hold,
}

/// What a finding looks like on its way to the server.
const FINDING: &[u8] = b"HPUB ops.findings.test.";

pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    server: u16,
    /// Taken by the connection that carries the first finding.
    fault: Mutex<Option<Fault>>,
    happened: watch::Sender<bool>,
    recovered: watch::Sender<bool>,
    released: watch::Sender<bool>,
    /// What the server said to what was held.
    answer: watch::Sender<Option<String>>,
}

impl Proxy {
    pub(crate) async fn start(server: u16, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let port = listener
            .local_addr()
            .expect("a bound socket has an address")
            .port();
        let shared = Arc::new(Shared {
            server,
            fault: Mutex::new(Some(fault)),
            happened: watch::channel(false).0,
            recovered: watch::channel(false).0,
            released: watch::channel(false).0,
            answer: watch::channel(None).0,
        });
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                tokio::spawn(async move { shared.pass(client).await });
            }
        });
        Self { port, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(crate) async fn wait_for_fault(&self) {
        wait(&self.shared.happened, |happened| *happened).await;
    }

    /// Lets later connections pass.
    pub(crate) fn recover(&self) {
        self.shared.recovered.send_replace(true);
    }

    /// Passes on what was held, and returns what the server says to it.
    pub(crate) async fn release_held(&self) -> String {
        self.shared.released.send_replace(true);
        wait(&self.shared.answer, Option::is_some)
            .await
            .unwrap_or_default()
    }
}

async fn wait<T: Clone>(value: &watch::Sender<T>, condition: impl FnMut(&T) -> bool) -> T {
    let mut value = value.subscribe();
    let reached = tokio::time::timeout(PATIENCE, value.wait_for(condition)).await;
    reached
        .expect("it happens")
        .expect("the sender is there")
        .clone()
}

impl Shared {
    async fn pass(&self, mut client: TcpStream) {
        if *self.happened.borrow() {
            wait(&self.recovered, |recovered| *recovered).await;
        }
        let Ok(mut server) = TcpStream::connect(("127.0.0.1", self.server)).await else {
            return;
        };
        let (mut from_client, mut from_server) = (vec![0; 65_536], vec![0; 65_536]);
        loop {
            let passed = tokio::select! {
                read = client.read(&mut from_client) => match read {
                    Ok(length @ 1..) => {
                        let bytes = &from_client[..length];
                        if let Some(fault) = self.fault_for(bytes) {
                            return self.suffer(fault, bytes, client, server).await;
                        }
                        server.write_all(bytes).await
                    }
                    _ => return,
                },
                read = server.read(&mut from_server) => match read {
                    Ok(length @ 1..) => client.write_all(&from_server[..length]).await,
                    _ => return,
                },
            };
            if passed.is_err() {
                return;
            }
        }
    }

    fn fault_for(&self, bytes: &[u8]) -> Option<Fault> {
        let finding = bytes.windows(FINDING.len()).any(|window| window == FINDING);
        finding
            .then(|| self.fault.lock().expect("not poisoned").take())
            .flatten()
    }

    async fn suffer(&self, fault: Fault, finding: &[u8], client: TcpStream, mut server: TcpStream) {
        match fault {
            Fault::LoseAck => {
                server.write_all(finding).await.expect("the server runs");
                read_until(&mut server, "\"seq\":").await;
                // Before the client can notice and come back.
                self.happened.send_replace(true);
                drop(client);
            }
            Fault::Hold => {
                self.happened.send_replace(true);
                wait(&self.released, |released| *released).await;
                server.write_all(finding).await.expect("the server runs");
                let answer = read_until(&mut server, "\"stream\":").await;
                self.answer.send_replace(Some(answer));
                drop(client);
            }
        }
    }
}

/// What the server says, up to a read that has `end` in it.
async fn read_until(server: &mut TcpStream, end: &str) -> String {
    let mut said = String::new();
    let mut bytes = vec![0; 65_536];
    while !said.contains(end) {
        let length = server.read(&mut bytes).await.expect("the server runs");
        assert!(length > 0, "the server closed the connection after {said}");
        said.push_str(&String::from_utf8_lossy(&bytes[..length]));
    }
    said
}
