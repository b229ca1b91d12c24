//! Metrics for Prometheus to scrape, of what has no metrics of its own here: a sender that stands in for Alloy.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::http::Request;
use super::loki_write::LokiWrite;

/// A server that answers every request with what is measured then. Stops when dropped.
#[derive(Debug)]
pub(crate) struct Exporter {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Exporter {
    pub(crate) fn start(measure: impl Fn() -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let acceptor = std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let mut reader = BufReader::new(connection);
                if let Ok(Some(_)) = Request::read(&mut reader) {
                    let body = measure();
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                        body.len()
                    );
                    // Prometheus asks again if it does not get it.
                    let _ = reader
                        .get_mut()
                        .write_all((head + body.as_str()).as_bytes());
                }
            }
        });
        Self {
            address,
            stopping,
            acceptor: Some(acceptor),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        // Wakes the acceptor, which then sees that it is to stop.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

/// What Alloy would show of a sender whose endpoints are Loki's and trommel's, in this order.
pub(crate) fn alloys_metrics(sender: &LokiWrite) -> String {
    let mut text = String::new();
    for (place, component) in ["loki.write.loki", "loki.write.trommel"]
        .into_iter()
        .enumerate()
    {
        let traffic = sender.traffic(place);
        let (sent, dropped) = (
            traffic.report.sent,
            traffic.report.dropped.values().sum::<usize>(),
        );
        let done = sent + dropped;
        for (name, value) in [
            ("loki_write_sent_entries_total", sent as f64),
            ("loki_write_dropped_entries_total", dropped as f64),
            ("loki_write_batch_retries_total", traffic.failures as f64),
            // Nobody measures each entry here: none takes longer than the slowest answer.
            (
                "loki_write_entry_propagation_latency_seconds_sum",
                done as f64 * traffic.slowest.as_secs_f64(),
            ),
            (
                "loki_write_entry_propagation_latency_seconds_count",
                done as f64,
            ),
        ] {
            text += &format!("{name}{{component_id=\"{component}\"}} {value}\n");
        }
    }
    text
}
