//! An application that gets into trouble, and Alloy beside it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::alloy_file::AlloyFile;
use super::exporter::{Exporter, alloys_metrics};
use super::loki::{self, Entry};
use super::loki_write::{LokiWrite, Target};
use super::proxy::Proxy;
use super::wait;

/// An application that logs, and the sender that hands its lines to Loki and to trommel.
pub(crate) struct Shop {
    sender: Arc<LokiWrite>,
    failing: Arc<AtomicBool>,
    open: Arc<AtomicBool>,
    /// Its lines, in order.
    log: std::thread::JoinHandle<Vec<String>>,
}

impl Shop {
    /// Opens one whose failures are `failure`, and which sends as the `loki.write` for trommel of `alloy` says, but ten times as often.
    pub(crate) fn open(
        alloy: &AlloyFile,
        loki: &Proxy,
        trommel: SocketAddr,
        failure: &'static str,
    ) -> Self {
        let mut settings = alloy.settings();
        settings.batch_wait = Duration::from_millis(100);
        let targets = [loki.address(), trommel].map(Target::new);
        let sender = Arc::new(LokiWrite::start(&targets, &settings));
        let (failing, open) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicBool::new(true)),
        );
        let (fails, logs, alloy) = (Arc::clone(&failing), Arc::clone(&open), Arc::clone(&sender));
        let log = std::thread::spawn(move || {
            let mut lines = Vec::new();
            while logs.load(Ordering::Relaxed) {
                let number = lines.len();
                let line = match fails.load(Ordering::Relaxed) {
                    true => format!("n={number} {failure}"),
                    false => format!("n={number} INFO http: GET /api/projects 200"),
                };
                let wall = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .expect("the clock is past 1970");
                let labels = [("namespace", "shop"), ("app", "backend")];
                let entry = Entry {
                    labels: labels
                        .map(|(name, value)| (name.to_owned(), value.to_owned()))
                        .into(),
                    at: i64::try_from(wall.as_nanos()).expect("before the year 2262"),
                    line: line.clone(),
                };
                alloy.offer(&Arc::new(entry));
                lines.push(line);
                // The pace of the log.
                std::thread::sleep(Duration::from_millis(20));
            }
            lines
        });
        Self {
            sender,
            failing,
            open,
            log,
        }
    }

    /// Whether its lines are failures from now on.
    pub(crate) fn fails(&self, does: bool) {
        self.failing.store(does, Ordering::Relaxed);
    }

    /// What Alloy would show of the sender.
    pub(crate) fn metrics(&self) -> Exporter {
        let sender = Arc::clone(&self.sender);
        Exporter::start(move || alloys_metrics(&sender))
    }

    /// The lines that it logged, and those that reached Loki, when trommel has its last one too.
    pub(crate) fn close(self, loki: &Proxy) -> (Vec<String>, Vec<String>) {
        self.open.store(false, Ordering::Relaxed);
        let lines = self.log.join().expect("it does not panic");
        wait::until("everything to be sent", || {
            (0..2)
                .all(|place| self.sender.traffic(place).report.sent == lines.len())
                .then_some(())
        });
        let seen = loki.seen();
        (
            lines,
            seen.iter()
                .flat_map(|request| loki::lines(&request.body))
                .collect(),
        )
    }
}
