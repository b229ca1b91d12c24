//! The database as people look at it: read on a connection and a thread of its own.
//!
//! In WAL mode a reader sees the last commit and holds up none, so however long somebody searches, pushes are answered.
//! In memory a commit waits for the question under way; there little is kept to search through.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tracing::error;

use super::audit::{self, AuditFilter, AuditRow};
use super::commit::{FindingFilter, FindingRow, KindRow, OpenCounts, Told};
use super::error::StoreError;
use super::samples::{self, Sample};
use super::tape::{self, Activity, Coverage};
use super::{history, silences};
use crate::detect::Taped;
use crate::silence::Silence;
use crate::time::Timestamp;

/// Questions that wait for the one before them.
const QUESTIONS_MAX: usize = 16;
/// How long a question may wait and be worked on.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Kinds of findings that are told of. A rule has one, and more only as it changes.
const KINDS_MAX: u32 = 1000;
/// Steps of SQLite's machine between looks at the clock: some tenths of a millisecond.
const STEPS: i32 = 10_000;

/// Reads the database. Each answer is of one moment, after some commit and before the next.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    path: PathBuf,
    /// What the disk does not take is the case nevertheless.
    unsaved: watch::Receiver<Vec<FindingRow>>,
    /// When the question under way began.
    began: Arc<Mutex<Instant>>,
}

impl Reader {
    /// Reads through `connection`, which is to the database at `path` and changes nothing; `unsaved` are findings that are not in it yet.
    pub(super) fn new(
        mut connection: Connection,
        path: PathBuf,
        unsaved: watch::Receiver<Vec<FindingRow>>,
    ) -> rusqlite::Result<Self> {
        connection.pragma_update(None, "query_only", true)?;
        // SQLite opens the log at the first look, by its path; from then on it is read even if the directory is moved away.
        connection.query_row("SELECT count(*) FROM findings", [], |_| Ok(()))?;
        let began = Arc::new(Mutex::new(Instant::now()));
        let clock = Arc::clone(&began);
        let too_long = move || {
            let began = clock.lock().unwrap_or_else(PoisonError::into_inner);
            began.elapsed() > ANSWER_WITHIN
        };
        connection.progress_handler(STEPS, Some(too_long))?;
        Ok(Self {
            connection,
            path,
            unsaved,
            began,
        })
    }

    /// Findings by `filter`, the newest change first, each without its outline.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a row cannot be read; [`StoreError::Sqlite`] when it takes longer than 5 s.
    pub fn findings(&self, filter: &FindingFilter) -> Result<Vec<FindingRow>, StoreError> {
        let mut rows = self.read(|connection| history::read(connection, filter))?;
        let unsaved = self.unsaved.borrow();
        if !unsaved.is_empty() {
            rows.retain(|row| unsaved.iter().all(|it| it.finding_id != row.finding_id));
            rows.extend(unsaved.iter().filter(|row| filter.takes(row)).cloned());
            rows.sort_by(|a, b| b.place().cmp(&a.place()));
            rows.truncate(filter.limit);
        }
        Ok(rows)
    }

    /// One finding with its timeline; `None` if there is none of this id.
    ///
    /// # Errors
    /// As [`findings`](Self::findings).
    pub fn told(&self, finding_id: &str) -> Result<Option<Told>, StoreError> {
        let told = self.read(|connection| history::told(connection, finding_id))?;
        let unsaved = self.unsaved.borrow();
        let newer = unsaved.iter().find(|row| row.finding_id == finding_id);
        Ok(match (told, newer) {
            (told, None) => told,
            (told, Some(row)) => {
                let mut outlines = told.map_or_else(Vec::new, |told| told.outlines);
                outlines.push(row.outline.clone());
                let finding = row.clone();
                Some(Told { finding, outlines })
            }
        })
    }

    /// What there are findings of, in order: at most a thousand kinds.
    ///
    /// # Errors
    /// As [`findings`](Self::findings).
    pub fn kinds(&self) -> Result<Vec<KindRow>, StoreError> {
        self.read(|connection| history::kinds(connection, KINDS_MAX))
    }

    /// How many findings are open.
    ///
    /// # Errors
    /// As [`findings`](Self::findings).
    pub fn open(&self) -> Result<OpenCounts, StoreError> {
        let unsaved = self.unsaved.borrow();
        self.read(|connection| history::open(connection, &unsaved))
    }

    /// Recorded matches since `since`, in order of time: of one rule, or of all; at most `limit`, the newest.
    ///
    /// # Errors
    /// As [`findings`](Self::findings).
    pub fn matches(
        &self,
        rule: Option<&str>,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<Taped>, StoreError> {
        self.read(|connection| tape::read(connection, rule, since, limit))
    }

    /// How much of what the rule matched since `since` is recorded.
    ///
    /// # Errors
    /// As [`findings`](Self::findings).
    pub fn coverage(&self, rule: &str, since: Timestamp) -> Result<Coverage, StoreError> {
        self.read(|connection| tape::coverage(connection, rule, since))
    }

    /// What rules have done since `since`, by id; of one that did nothing, nothing.
    ///
    /// # Errors
    /// As [`findings`](Self::findings).
    pub fn activity(&self, since: Timestamp) -> Result<BTreeMap<String, Activity>, StoreError> {
        self.read(|connection| tape::activity(connection, since))
    }

    /// What was measured, oldest first: all that is kept, or what ended at `since` or later.
    ///
    /// # Errors
    /// As [`findings`](Self::findings).
    pub fn samples(&self, since: Option<Timestamp>) -> Result<Vec<Sample>, StoreError> {
        self.read(|connection| samples::read(connection, since))
    }

    /// What people did, by `filter`, the newest first.
    ///
    /// # Errors
    /// As [`findings`](Self::findings).
    pub fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditRow>, StoreError> {
        self.read(|connection| audit::read(connection, filter))
    }

    /// All silences: those that go on, and those that ended not long ago; the one that ends last first.
    ///
    /// # Errors
    /// As [`findings`](Self::findings).
    pub fn silences(&self) -> Result<Vec<Silence>, StoreError> {
        self.read(silences::read)
    }

    /// What `query` reads of the database.
    pub(super) fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        query(&self.connection).map_err(|error| StoreError::reading(&self.path, error))
    }
}

/// A question to the database: what reads it and gives the answer to whoever waits.
type Question = Box<dyn FnOnce(&Reader) + Send>;

/// Where the database is asked. Clones ask the same thread, which ends with the last of them.
#[derive(Debug, Clone)]
pub struct Archive {
    questions: mpsc::Sender<Question>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// Others asked much, or the question takes long.
    #[error("the database is busy; try again")]
    Busy,
    /// The database cannot be read.
    #[error("the database cannot be read; the log says why")]
    Unreadable,
}

impl Archive {
    /// Begins to answer from `reader`, on a thread of its own.
    ///
    /// # Errors
    /// What the system says when there can be no thread.
    pub fn open(reader: Reader) -> io::Result<Self> {
        let (questions, mut asked) = mpsc::channel::<Question>(QUESTIONS_MAX);
        thread::Builder::new()
            .name("reader".to_owned())
            .spawn(move || {
                while let Some(question) = asked.blocking_recv() {
                    *reader.began.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                    question(&reader);
                }
            })?;
        Ok(Self { questions })
    }

    /// What `question` reads.
    ///
    /// # Errors
    /// [`ArchiveError::Busy`] when that takes longer than 5 s, [`ArchiveError::Unreadable`] when it fails: the log says with what.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ArchiveError> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            let question: Question = Box::new(|reader| {
                // Who asked may have gone.
                drop(reply.send(question(reader)));
            });
            self.questions.send(question).await.ok()?;
            answer.await.ok()
        };
        let answer = timeout(ANSWER_WITHIN, asked)
            .await
            .map_err(|_| ArchiveError::Busy)?;
        match answer {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(error)) => {
                error!(%error, "what somebody asked cannot be read");
                Err(ArchiveError::Unreadable)
            }
            None => Err(ArchiveError::Unreadable),
        }
    }
}
