//! A server between a client and trommel that can lose, delay or spoil what passes: the network on a bad day.

use std::collections::VecDeque;
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use super::http::{Client, Request};

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It never arrives, and the client is told this status.
    Refuse(u16),
    /// It arrives, and the client is told this status instead of the answer.
    Spoil(u16),
    /// It arrives, and the client hears nothing until it gives up.
    Swallow,
    /// The connection is closed before it is read.
    Close,
}

/// A server that remembers every request. Stops when dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    /// Where requests go on to; `None` means that there is nothing behind: every answer is 204.
    behind: Option<SocketAddr>,
    /// What happens to the next requests, in order; afterwards all pass.
    faults: Mutex<VecDeque<Fault>>,
    seen: Mutex<Vec<(Instant, Request)>>,
    stopping: Mutex<bool>,
}

impl Proxy {
    /// Listens on a free port; the first requests meet `faults`, one each.
    pub(crate) fn start(
        behind: Option<SocketAddr>,
        faults: impl IntoIterator<Item = Fault>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let state = Arc::new(State {
            behind,
            faults: Mutex::new(faults.into_iter().collect()),
            ..State::default()
        });
        let shared = Arc::clone(&state);
        let acceptor = std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                if *shared.stopping.lock().expect("nobody panics with the lock") {
                    return;
                }
                let shared = Arc::clone(&shared);
                // Ends when the client closes the connection.
                std::thread::spawn(move || shared.serve(connection));
            }
        });
        Self {
            address,
            state,
            acceptor: Some(acceptor),
        }
    }

    /// Where clients push.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request so far, in order of arrival.
    pub(crate) fn seen(&self) -> Vec<Request> {
        let seen = self.state.seen.lock().expect("nobody panics with the lock");
        seen.iter().map(|(_, request)| request.clone()).collect()
    }

    /// Takes out every request so far, in order of arrival, with the time when it had arrived.
    pub(crate) fn take_seen(&self) -> Vec<(Instant, Request)> {
        std::mem::take(&mut self.state.seen.lock().expect("nobody panics with the lock"))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        *self
            .state
            .stopping
            .lock()
            .expect("nobody panics with the lock") = true;
        // Wakes the acceptor, which then sees that it is to stop.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl State {
    fn serve(&self, connection: TcpStream) {
        let mut reader = BufReader::new(connection);
        while let Ok(Some(request)) = Request::read(&mut reader) {
            self.seen
                .lock()
                .expect("nobody panics with the lock")
                .push((Instant::now(), request.clone()));
            let fault = self
                .faults
                .lock()
                .expect("nobody panics with the lock")
                .pop_front();
            let status = match fault {
                Some(Fault::Close) => return,
                Some(Fault::Refuse(status)) => status,
                Some(Fault::Spoil(status)) => {
                    self.pass_on(&request);
                    status
                }
                Some(Fault::Swallow) => {
                    self.pass_on(&request);
                    continue;
                }
                None => self.pass_on(&request),
            };
            let answer = match status {
                204 => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
                status => format!("HTTP/1.1 {status} Fault\r\nContent-Length: 0\r\n\r\n"),
            };
            if reader.get_mut().write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    fn pass_on(&self, request: &Request) -> u16 {
        match self.behind {
            None => 204,
            Some(server) => match Client::new(server).send(request) {
                Ok(answer) => answer.status,
                Err(_) => 502,
            },
        }
    }
}
