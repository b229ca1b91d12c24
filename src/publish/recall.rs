//! What the stream says is open: for a start without state.

use serde::Deserialize;
use tokio::sync::oneshot;

use crate::finding::{Finding, State};
use crate::time::Timestamp;

/// Asks for the findings that one trommel has told of last.
#[derive(Debug)]
pub struct Recall {
    /// The `source` of its messages.
    pub source: String,
    /// Where the answer goes. Whoever asked may give up.
    pub reply: oneshot::Sender<Recalled>,
}

/// What the last message on each subject says.
#[derive(Debug, Default)]
pub struct Recalled {
    /// Findings that are open.
    pub open: Vec<Finding>,
    /// Messages of that trommel, whatever they say.
    pub own: u64,
    /// Messages that cannot be read as findings.
    pub unreadable: u64,
}

impl Recalled {
    /// Takes in the message `body`, of which that of `source` counts.
    pub(super) fn take(&mut self, source: &str, body: &[u8]) {
        #[derive(Deserialize)]
        struct Head {
            source: String,
        }
        #[derive(Deserialize)]
        struct Event {
            id: String,
            time: String,
            partitionkey: String,
            data: Finding,
        }
        let Ok(head) = serde_json::from_slice::<Head>(body) else {
            self.unreadable += 1;
            return;
        };
        if head.source != source {
            return;
        }
        let event = serde_json::from_slice::<Event>(body).ok();
        let finding = event.and_then(|event| {
            let time: Timestamp = event.time.parse().ok()?;
            let finding = Finding {
                time,
                finding_key: event.partitionkey,
                ..event.data
            };
            let id = format!("{}:{}", finding.finding_id, finding.revision);
            (id == event.id).then_some(finding)
        });
        let Some(finding) = finding else {
            self.unreadable += 1;
            return;
        };
        self.own += 1;
        if finding.state == State::Open {
            self.open.push(finding);
        }
    }
}
