//! An owner of unsent messages without a database.

use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, watch};
use trommel::publish::{Outbox, OutboxRequest, Pending};

use super::nats::PATIENCE;

/// Answers publishers and remembers what they sent. Gone when dropped.
pub(crate) struct Owner {
    requests: mpsc::Sender<OutboxRequest>,
    unsent: Arc<Mutex<Vec<Pending>>>,
    newest: watch::Sender<i64>,
    sent: watch::Receiver<Vec<i64>>,
    task: tokio::task::JoinHandle<()>,
}

impl Owner {
    pub(crate) fn new(messages: Vec<Pending>) -> Self {
        let (requests, mut received) = mpsc::channel(1);
        let (tell_sent, sent) = watch::channel(Vec::new());
        let unsent = Arc::new(Mutex::new(messages));
        let shared = Arc::clone(&unsent);
        let task = tokio::spawn(async move {
            while let Some(request) = received.recv().await {
                let mut unsent = shared.lock().expect("not poisoned");
                match request {
                    OutboxRequest::Next { after, reply } => {
                        let next = unsent.iter().find(|pending| pending.seq > after).cloned();
                        let _ = reply.send(next);
                    }
                    OutboxRequest::Sent { seq } => {
                        unsent.retain(|pending| pending.seq != seq);
                        tell_sent.send_modify(|sent| sent.push(seq));
                    }
                }
            }
        });
        Self {
            requests,
            unsent,
            newest: watch::channel(0).0,
            sent,
            task,
        }
    }

    pub(crate) fn outbox(&self) -> Outbox {
        Outbox::new(self.requests.clone(), self.newest.subscribe())
    }

    /// As a commit does: first it is there, then it is said.
    pub(crate) fn put(&self, pending: Pending) {
        let seq = pending.seq;
        self.unsent.lock().expect("not poisoned").push(pending);
        self.newest.send_replace(seq);
    }

    /// The places of the first messages that were sent, once there are `count`, in the order in which they were.
    pub(crate) async fn wait_for_sent(&self, count: usize) -> Vec<i64> {
        let mut sent = self.sent.clone();
        let enough = sent.wait_for(|sent| sent.len() >= count);
        let sent = tokio::time::timeout(PATIENCE, enough).await;
        let sent = sent.unwrap_or_else(|_| {
            panic!(
                "{count} messages are not sent, only {:?}",
                self.sent.borrow()
            )
        });
        sent.expect("the owner is there").clone()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.task.abort();
    }
}
