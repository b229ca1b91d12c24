//! How trommel stands, for whoever asks: the database, what waits, and where it goes.

use super::Owner;
use crate::publish;
use crate::record::{self, Sizes};
use crate::time::Timestamp;

use std::path::PathBuf;
use std::sync::atomic::Ordering;

/// How things stand; looked at every second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// When trommel started.
    pub started_at: Timestamp,
    /// When something was last pushed; `None` if nothing was since the start.
    pub pushed_at: Option<Timestamp>,
    /// Where the database is; `None` in memory.
    pub database: Option<PathBuf>,
    /// How much it holds.
    pub sizes: Sizes,
    /// How much it may hold.
    pub limits: record::Limits,
    /// Why it takes nothing, if it does not.
    pub commit_error: Option<String>,
    /// Since when the message waits that is the first in line, as far as is known; `None` when none waits.
    pub waiting_since: Option<Timestamp>,
    /// The connection to NATS, if there should be one.
    pub nats: Option<Connection>,
    /// The end of the last minute that was measured.
    pub measured_at: Option<Timestamp>,
}

/// A connection to NATS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Whether it is there.
    pub connected: bool,
    /// Since when it is, or is not; `None` if it never was otherwise since the start.
    pub since: Option<Timestamp>,
    /// When the server last confirmed a message.
    pub acked_at: Option<Timestamp>,
    /// Why nothing goes out, or some messages are held back.
    pub trouble: Option<String>,
}

impl From<&publish::Status> for Connection {
    fn from(status: &publish::Status) -> Self {
        Self {
            connected: status.connected(),
            since: status.since(),
            acked_at: status.last_ack(),
            trouble: status.trouble(),
        }
    }
}

impl Standing {
    /// Of a trommel that has just started and knows nothing yet.
    #[must_use]
    pub fn of_start(started_at: Timestamp) -> Self {
        Self {
            started_at,
            pushed_at: None,
            database: None,
            sizes: Sizes::default(),
            limits: record::Limits::default(),
            commit_error: None,
            waiting_since: None,
            nats: None,
            measured_at: None,
        }
    }

    /// Whether people who look at it should look again: not for figures, which change all the time.
    fn is_news_after(&self, before: &Self) -> bool {
        let connection = |standing: &Self| {
            let nats = standing.nats.as_ref();
            nats.map(|nats| (nats.connected, nats.trouble.clone()))
        };
        connection(self) != connection(before)
            || self.commit_error.is_some() != before.commit_error.is_some()
            || self.waiting_since.is_some() != before.waiting_since.is_some()
            || self.pushed_at.is_some() != before.pushed_at.is_some()
            || self.measured_at != before.measured_at
    }
}

impl Owner {
    /// Tells how things stand.
    pub(super) fn tell_standing(&self, sizes: Sizes) {
        let pushed_at = match self.pressure.pushed_at.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Timestamp::new(nanos)),
        };
        let waiting_since = self.ourselves.waits_since();
        let standing = Standing {
            started_at: self.ourselves.started_at(),
            pushed_at,
            database: self.store.path().map(PathBuf::from),
            sizes,
            limits: self.store.limits(),
            commit_error: self.ourselves.commit_error.clone(),
            waiting_since: waiting_since.filter(|_| sizes.outbox_messages > 0),
            nats: self.nats.as_deref().map(Connection::from),
            measured_at: self.measured_at,
        };
        self.standing.send_if_modified(|told| {
            let is_news = standing.is_news_after(told);
            *told = standing;
            is_news
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_look_again_for_what_changes_and_not_for_figures() {
        let before = Standing::of_start(Timestamp::new(0));
        let news = |change: fn(&mut Standing)| {
            let mut after = before.clone();
            change(&mut after);
            after.is_news_after(&before)
        };
        assert!(!news(|_| {}));
        assert!(!news(|after| after.sizes.database_bytes = 1 << 20));
        assert!(news(|after| after.commit_error = Some("full".to_owned())));
        assert!(news(|after| after.measured_at = Some(Timestamp::new(1))));
        assert!(news(|after| after.pushed_at = Some(Timestamp::new(1))));
        assert!(news(|after| after.waiting_since = Some(Timestamp::new(1))));
        assert!(news(|after| {
            after.nats = Some(Connection {
                connected: true,
                since: None,
                acked_at: None,
                trouble: None,
            });
        }));
    }
}
