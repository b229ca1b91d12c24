//! What people do, handed to the owner of the database: it is done and on disk when the answer comes.

use tokio::sync::{mpsc, oneshot};

use crate::audit::{Deed, Entry};
use crate::silence::{Silence, SilenceError, Wanted};

/// Acts that wait for the one before them.
const ACTS_MAX: usize = 16;

/// Something that somebody does.
#[derive(Debug)]
pub enum Act {
    /// Writes down what was done elsewhere.
    Record {
        /// What was done.
        deed: Deed,
        /// Told when it is on disk; dropped when the disk does not take it.
        done: oneshot::Sender<Entry>,
    },
    /// Makes a silence.
    Silence {
        /// What is wanted.
        wanted: Wanted,
        /// Told when it is on disk, or why it was not made.
        done: oneshot::Sender<Result<Silence, SilenceError>>,
    },
    /// Ends a silence before its time.
    EndSilence {
        /// Which one.
        id: String,
        /// Who ends it.
        who: String,
        /// Why; may be empty.
        reason: String,
        /// Told when that is on disk, or why it was not ended.
        done: oneshot::Sender<Result<Silence, SilenceError>>,
    },
}

/// Why an act is not done, or not known to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActError {
    /// The disk does not take it now: it is written as soon as the disk does, unless trommel ends before. Or trommel is about to end.
    #[error(
        "not known to be on disk: the disk does not take it now, and it is tried again, or trommel stops; the log says which"
    )]
    NotOnDisk,
    /// Trommel is on its way out.
    #[error("stopping")]
    Stopping,
}

/// Where acts are asked for. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Acts(mpsc::Sender<Act>);

/// A place to ask for acts, and where they are served.
#[must_use]
pub fn acts() -> (Acts, mpsc::Receiver<Act>) {
    let (sender, receiver) = mpsc::channel(ACTS_MAX);
    (Acts(sender), receiver)
}

impl Acts {
    /// Writes down `deed`, and tells of it to whoever reads messages. Returns when it is on disk.
    ///
    /// # Errors
    /// [`ActError::NotOnDisk`] or [`ActError::Stopping`].
    pub async fn record(&self, deed: Deed) -> Result<Entry, ActError> {
        self.ask(|done| Act::Record { deed, done }).await
    }

    /// Makes a silence. Returns when it is on disk.
    ///
    /// # Errors
    /// As [`record`](Self::record); the inner one says why there is no such silence.
    pub async fn silence(&self, wanted: Wanted) -> Result<Result<Silence, SilenceError>, ActError> {
        self.ask(|done| Act::Silence { wanted, done }).await
    }

    /// Ends the silence `id` before its time, for `who`. Returns when that is on disk.
    ///
    /// # Errors
    /// As [`record`](Self::record); the inner one says that it does not go on.
    pub async fn end_silence(
        &self,
        id: String,
        who: String,
        reason: String,
    ) -> Result<Result<Silence, SilenceError>, ActError> {
        self.ask(|done| Act::EndSilence {
            id,
            who,
            reason,
            done,
        })
        .await
    }

    async fn ask<T>(&self, act: impl FnOnce(oneshot::Sender<T>) -> Act) -> Result<T, ActError> {
        let (done, answer) = oneshot::channel();
        let sent = self.0.send(act(done)).await;
        sent.map_err(|_| ActError::Stopping)?;
        answer.await.map_err(|_| ActError::NotOnDisk)
    }
}
