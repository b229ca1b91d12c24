//! The rule files of a running trommel, for whoever looks at them and changes them: the files are the one truth, and stay it.
//!
//! - `files`: all files as they are at one moment, and what a change of one makes of them.
//! - `check`: what is wrong with that, and what it changes for the rules in use.
//! - `write`: the one place that writes: into one directory that the settings name, whole files, or nothing.
//! - `deeds`: how a change is noted for whoever asks later.
//! - `tested`: what the test files beside the rules say of one of them.
//!
//! Everything here blocks and takes what reading and compiling all rules takes, so it is done [one at a time](Workshop::work), away from
//! the tasks that answer. Rules are data: nothing here executes or fetches what one says.

mod check;
mod deeds;
mod files;
mod tested;
#[cfg(test)]
mod tests;
mod write;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

pub use check::{Checked, Diagnostic};
pub use files::{Files, Proposal, Proposed, RuleText, TEXT_BYTES_MAX, digest_of};
pub use tested::{TestResult, TestsOfRule};

use crate::reload::RuleSources;
use crate::rules::RuleSet;
use crate::rules::edit::EditError;

/// How long somebody waits for their turn and for what they asked. A check of the largest rule set takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where rule files are looked at and changed.
#[derive(Clone)]
pub struct Workshop {
    sources: watch::Receiver<RuleSources>,
    in_use: watch::Receiver<Arc<RuleSet>>,
    turn: Arc<Semaphore>,
}

/// Why something is not done.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Bad(String),
    /// It is not there.
    #[error("{0}")]
    Missing(String),
    /// The file may not be changed here.
    #[error("{0}")]
    ReadOnly(String),
    /// The file is not what was edited.
    #[error("{file} has been changed since it was read; nothing is written")]
    Conflict {
        /// The file, as it is told to people.
        file: String,
        /// What is in it now.
        hash: String,
        /// From what is in it now to what was to be written.
        diff: String,
    },
    /// The rules would be refused: what is wrong with them.
    #[error("the rules are not valid so; nothing is written")]
    Wrong(Box<Checked>),
    /// The system does not let it.
    #[error("{0}")]
    Failed(String),
    /// Others were first for too long.
    #[error(
        "rules are being checked for somebody else, or these take longer than {PATIENCE:?}; try again"
    )]
    Busy,
}

impl From<EditError> for Refused {
    fn from(error: EditError) -> Self {
        match error {
            EditError::NoRule(_) => Self::Missing(error.to_string()),
            _ => Self::Bad(error.to_string()),
        }
    }
}

/// A workshop for one piece of work, on a thread of its own.
#[derive(Debug)]
pub struct Bench {
    sources: RuleSources,
    in_use: Arc<RuleSet>,
}

impl fmt::Debug for Workshop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sources = &*self.sources.borrow();
        f.debug_struct("Workshop")
            .field("sources", sources)
            .finish_non_exhaustive()
    }
}

impl Workshop {
    /// Of rules that come from `sources`, of which `in_use` are in use.
    #[must_use]
    pub fn new(
        sources: watch::Receiver<RuleSources>,
        in_use: watch::Receiver<Arc<RuleSet>>,
    ) -> Self {
        Self {
            sources,
            in_use,
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// Does `work` when nobody else works. What is under way when patience ends goes on to its end, and others wait for it.
    ///
    /// # Errors
    /// [`Refused::Busy`] when it takes too long, [`Refused::Failed`] when it panics; and what `work` says.
    pub async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Bench) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Refused> {
        let work = async {
            let turn = Arc::clone(&self.turn).acquire_owned().await;
            let turn = turn.map_err(|_| Refused::Busy)?;
            let bench = Bench {
                sources: self.sources.borrow().clone(),
                in_use: Arc::clone(&self.in_use.borrow()),
            };
            let done = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                work(&bench)
            });
            done.await.unwrap_or_else(|_| {
                let why = "trommel itself failed over it, which is a bug; the log tells where";
                Err(Refused::Failed(why.to_owned()))
            })
        };
        timeout(PATIENCE, work).await.unwrap_or(Err(Refused::Busy))
    }
}

impl Bench {
    /// Reads every file.
    #[must_use]
    pub fn files(&self) -> Files {
        Files::read(&self.sources)
    }

    /// The rules in use.
    #[must_use]
    pub fn in_use(&self) -> &Arc<RuleSet> {
        &self.in_use
    }

    /// What is wrong with `proposed`, and what it changes.
    #[must_use]
    pub fn check(&self, files: &Files, proposed: &Proposed) -> Checked {
        check::check(files, proposed, &self.in_use)
    }

    /// Writes `proposed` for who has edited a file with the hash `edited`, unless anything is wrong with it.
    ///
    /// # Errors
    /// [`Refused`], and nothing is written.
    pub fn save(
        &self,
        files: &Files,
        proposed: &Proposed,
        edited: Option<&str>,
    ) -> Result<Checked, Refused> {
        let place = proposed.writable.as_ref();
        let place = place.map_err(|why| Refused::ReadOnly(why.clone()))?;
        if let Some(edited) = edited
            && edited != proposed.hash()
        {
            return Err(proposed.conflict());
        }
        let checked = self.check(files, proposed);
        if checked.errors > 0 {
            return Err(Refused::Wrong(Box::new(checked)));
        }
        write::write(place, proposed)?;
        Ok(checked)
    }

    /// What the test files beside the rules say of the rule `id`, now.
    #[must_use]
    pub fn tests(&self, id: &str) -> TestsOfRule {
        tested::tests(&self.sources, id)
    }
}
