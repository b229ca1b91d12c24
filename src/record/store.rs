//! The store itself: open, load, commit, look.

use std::path::Path;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use tokio::sync::watch;

use super::audit;
use super::commit::{
    Commit, CommitOutcome, FindingRow, Limits, OutboxRow, Saved, Sizes, key_from_text, key_to_text,
};
use super::error::StoreError;
use super::file::{self, Opened};
use super::history;
use super::outbox::{self, Waiting};
use super::reader::Reader;
use super::samples;
use super::silences;
use super::tape;
use crate::silence::Silence;
use crate::time::Timestamp;

/// The database, with one owner.
///
/// Disk use is bounded by [`Limits`], by the state of as many keys as detect keeps, and by the open findings;
/// pages that become free are given back to the file system a few at a time.
#[derive(Debug)]
pub struct Store {
    opened: Opened,
    limits: Limits,
    totals: Totals,
}

/// Statements that are kept prepared: each that a commit may need, with some for questions.
const STATEMENTS: usize = 40;

/// What is known of the tables without asking them. Changed only when a transaction has succeeded.
#[derive(Debug, Clone, Copy)]
struct Totals {
    waiting: Waiting,
    identities_bytes: u64,
    history_bytes: u64,
    matches_bytes: u64,
}

impl Store {
    /// Opens the database in `dir`, making it when it is missing; without `dir`, an empty one in memory.
    ///
    /// Reads the whole file once to see that it is sound. The directory stays locked against a second trommel
    /// until the store is dropped or the process ends.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another process has the directory; [`StoreError::Foreign`], [`StoreError::Future`] and
    /// [`StoreError::Damaged`] for a file that this program must not touch; [`StoreError::Directory`] when the system refuses.
    pub fn open(dir: Option<&Path>, limits: Limits) -> Result<Self, StoreError> {
        let opened = file::open(dir)?;
        opened
            .connection
            .set_prepared_statement_cache_capacity(STATEMENTS);
        let totals = Totals::count(&opened.connection)
            .map_err(|error| StoreError::sqlite(&opened.path, error))?;
        Ok(Self {
            opened,
            limits,
            totals,
        })
    }

    /// Everything that detect continues from.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a row cannot be read.
    pub fn load(&self) -> Result<Saved, StoreError> {
        load(&self.opened.connection).map_err(|error| self.error(error))
    }

    /// All silences.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a row cannot be read.
    pub fn silences(&self) -> Result<Vec<Silence>, StoreError> {
        silences::read(&self.opened.connection).map_err(|error| self.error(error))
    }

    /// Writes `commit` in one transaction. When this returns `Ok`, it is on disk.
    ///
    /// A commit of 100 keys of 500 bytes, 10 KiB of identities and a message of 4 KiB took 0.9 ms (median; 4 ms for the slowest
    /// in a hundred, which write the log back into the file); see the room's documentation for where.
    ///
    /// # Errors
    /// Whatever the error, nothing of `commit` is applied and the store remains usable: put what comes next into it
    /// with [`Commit::absorb`] and try again. Should the disk fail so that a commit was reported lost and yet is found after a
    /// restart, trying again has done no harm: the same message id is ignored, everything else is written as it was.
    pub fn commit(&mut self, commit: &Commit) -> Result<CommitOutcome, StoreError> {
        let mut totals = self.totals;
        let mut outcome = CommitOutcome::default();
        if !commit.is_empty() {
            if !self.opened.is_in_place() {
                return Err(StoreError::Moved {
                    file: self.opened.path.clone(),
                });
            }
            apply(
                &mut self.opened.connection,
                commit,
                self.limits,
                &mut totals,
                &mut outcome,
            )
            .map_err(|error| self.error(error))?;
            self.totals = totals;
        }
        outcome.last_seq = totals.waiting.last_seq;
        Ok(outcome)
    }

    /// At most `limit` messages that wait for their ack, in order, beginning after the place `after`; 0 is before the first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a row cannot be read.
    pub fn unsent(&self, after: i64, limit: usize) -> Result<Vec<OutboxRow>, StoreError> {
        outbox::read(&self.opened.connection, after, limit).map_err(|error| self.error(error))
    }

    /// The place of the first message that waits for its ack. Cheap.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`] when the database cannot be asked.
    pub fn first_unsent(&self) -> Result<Option<i64>, StoreError> {
        outbox::first(&self.opened.connection).map_err(|error| self.error(error))
    }

    /// Reads on a connection of its own; `unsaved` are findings as they are now, that are not on disk as such.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`] when there can be no second connection.
    pub fn reader(&self, unsaved: watch::Receiver<Vec<FindingRow>>) -> Result<Reader, StoreError> {
        let path = self.opened.path.clone();
        let connection = self.opened.read_only();
        connection
            .and_then(|connection| Reader::new(connection, path, unsaved))
            .map_err(|error| self.error(error))
    }

    /// Since when findings that are over are kept, at `now`.
    #[must_use]
    pub fn remembers_from(&self, now: Timestamp) -> Timestamp {
        now.minus(self.limits.history_max_age)
    }

    /// How much it may hold.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The database's file; `None` in memory.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.opened.lock.as_ref().map(|_| &*self.opened.path)
    }

    /// How much it holds. Cheap: all numbers but the last are kept, that is asked of the file system.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`] when the database cannot be asked.
    pub fn sizes(&self) -> Result<Sizes, StoreError> {
        Ok(Sizes {
            outbox_messages: self.totals.waiting.messages,
            outbox_bytes: self.totals.waiting.bytes,
            history_bytes: self.totals.history_bytes,
            matches_bytes: self.totals.matches_bytes,
            database_bytes: self.opened.bytes().map_err(|error| self.error(error))?,
        })
    }

    fn error(&self, error: rusqlite::Error) -> StoreError {
        StoreError::reading(&self.opened.path, error)
    }
}

impl Drop for Store {
    /// Brings the log into the file. Closing would do so, were there no [`Reader`] that may still be open.
    fn drop(&mut self) {
        let log = "PRAGMA wal_checkpoint(TRUNCATE)";
        // Where the disk takes nothing, the next start reads the log.
        let _ = (self.opened.connection).query_row(log, [], |_| Ok(()));
    }
}

impl Totals {
    fn count(connection: &Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            waiting: Waiting::count(connection)?,
            identities_bytes: connection.query_row(
                "SELECT coalesce(sum(bytes), 0) FROM identities",
                [],
                |row| row.get::<_, i64>(0).map(i64::unsigned_abs),
            )?,
            history_bytes: history::bytes(connection)?,
            matches_bytes: tape::bytes(connection)?,
        })
    }
}

fn load(connection: &Connection) -> rusqlite::Result<Saved> {
    let keys = connection
        .prepare("SELECT name, value FROM keys ORDER BY name")?
        .query_map([], |row| {
            let text: String = row.get(0)?;
            let name = key_from_text(&text).ok_or_else(|| unknown(0, &text))?;
            Ok((name, row.get(1)?))
        })?
        .collect::<Result<_, _>>()?;
    let state = connection
        .prepare("SELECT name, value FROM state ORDER BY name")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let identities = connection
        .prepare("SELECT newest, value FROM identities ORDER BY seq")?
        .query_map([], |row| Ok((Timestamp::new(row.get(0)?), row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    Ok(Saved {
        keys,
        state,
        identities,
    })
}

/// The error for a text in `column` that none of our versions writes.
pub(super) fn unknown(column: usize, text: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(
        column,
        Type::Text,
        format!("unknown value `{text}`").into(),
    )
}

fn apply(
    connection: &mut Connection,
    commit: &Commit,
    limits: Limits,
    totals: &mut Totals,
    outcome: &mut CommitOutcome,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let keys = commit.keys.iter();
    write_blobs(
        &transaction,
        "keys",
        keys.map(|(name, value)| (key_to_text(name), value)),
    )?;
    let state = commit.state.iter();
    write_blobs(
        &transaction,
        "state",
        state.map(|(name, value)| (name, value)),
    )?;
    silences::write(&transaction, &commit.silences)?;
    write_identities(&transaction, commit, limits, totals, outcome)?;
    outbox::forget(&transaction, &commit.sent, &mut totals.waiting)?;
    outbox::append(
        &transaction,
        &commit.messages,
        limits.outbox_bytes_max,
        &mut totals.waiting,
        outcome,
    )?;
    outcome.findings_forgotten = history::write(
        &transaction,
        commit,
        limits.history_bytes_max,
        &mut totals.history_bytes,
    )?;
    outcome.matches_forgotten = tape::write(
        &transaction,
        commit,
        limits.matches_bytes_max,
        &mut totals.matches_bytes,
    )?;
    samples::write(&transaction, &commit.samples)?;
    outcome.audit_forgotten =
        audit::write(&transaction, &commit.audit, commit.forget_audit_before)?;
    give_back_pages(&transaction)?;
    transaction.commit()
}

fn write_blobs<'a, N: rusqlite::ToSql>(
    connection: &Connection,
    table: &'static str,
    rows: impl Iterator<Item = (N, &'a Option<Vec<u8>>)>,
) -> rusqlite::Result<()> {
    let mut upsert = connection.prepare_cached(&format!(
        "INSERT INTO {table} (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2"
    ))?;
    let mut delete = connection.prepare_cached(&format!("DELETE FROM {table} WHERE name = ?1"))?;
    for (name, value) in rows {
        match value {
            Some(value) => upsert.execute(params![name, value])?,
            None => delete.execute(params![name])?,
        };
    }
    Ok(())
}

fn write_identities(
    connection: &Connection,
    commit: &Commit,
    limits: Limits,
    totals: &mut Totals,
    outcome: &mut CommitOutcome,
) -> rusqlite::Result<()> {
    let mut insert = connection
        .prepare_cached("INSERT INTO identities (newest, bytes, value) VALUES (?1, ?2, ?3)")?;
    for (newest, value) in &commit.identities {
        let bytes = value.len() as u64;
        insert.execute(params![newest.nanos(), bytes.cast_signed(), value])?;
        totals.identities_bytes += bytes;
    }
    let bytes = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0).map(i64::unsigned_abs);
    if let Some(before) = commit.forget_identities_before {
        // Asked with every commit, and mostly there are none.
        let old = connection
            .prepare_cached("SELECT coalesce(sum(bytes), 0) FROM identities WHERE newest < ?1")?
            .query_row([before.nanos()], bytes)?;
        if old > 0 {
            connection
                .prepare_cached("DELETE FROM identities WHERE newest < ?1")?
                .execute([before.nanos()])?;
            totals.identities_bytes = totals.identities_bytes.saturating_sub(old);
        }
    }
    let mut delete = connection.prepare_cached(
        "DELETE FROM identities WHERE seq = (SELECT min(seq) FROM identities) RETURNING bytes",
    )?;
    while totals.identities_bytes > limits.identities_bytes_max {
        let Some(deleted) = delete.query_row([], bytes).optional()? else {
            break;
        };
        totals.identities_bytes = totals.identities_bytes.saturating_sub(deleted);
        outcome.identities_dropped += 1;
    }
    Ok(())
}

/// Free pages kept for what comes next: 1 MiB. Without some, every commit would shrink the file and grow it again.
const FREE_PAGES_KEPT: i64 = 256;
/// Pages given back by one commit at most, so that a file shrinks in many small steps rather than one long one.
const FREE_PAGES_STEP: i64 = 256;

fn give_back_pages(connection: &Connection) -> rusqlite::Result<()> {
    let free: i64 = connection
        .prepare_cached("PRAGMA freelist_count")?
        .query_row([], |row| row.get(0))?;
    let spare = (free - FREE_PAGES_KEPT).min(FREE_PAGES_STEP);
    if spare > 0 {
        let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({spare})"))?;
        let mut steps = vacuum.query([])?;
        // Each step frees one page.
        while steps.next()?.is_some() {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::{Arc, Mutex};

    use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

    use super::super::commit::FindingFilter;
    use super::super::testing::{TempDir, finding, key, message, reader, sample};
    use super::*;
    use crate::finding::Kind;
    use crate::finding::State;

    fn open(dir: &TempDir) -> Store {
        Store::open(Some(dir.path()), Limits::default()).expect("a directory of our own")
    }

    fn everything() -> Commit {
        Commit {
            keys: vec![
                (key("r", &["b"]), Some(vec![1])),
                (key("r", &["a"]), Some(vec![])),
            ],
            state: vec![("clock:".to_owned(), Some(vec![7; 9000]))],
            identities: vec![(Timestamp::new(5), vec![1; 16]), (Timestamp::MAX, vec![2])],
            messages: vec![message("f", 1, Kind::Observed)],
            findings: vec![finding("f", State::Open, 5)],
            ..Commit::default()
        }
    }

    fn assert_holds_everything(store: &Store) {
        let expected = everything();
        let saved = store.load().expect("sound");
        assert_eq!(
            saved,
            Saved {
                keys: vec![(key("r", &["a"]), vec![]), (key("r", &["b"]), vec![1])],
                state: vec![("clock:".to_owned(), vec![7; 9000])],
                identities: expected.identities,
            }
        );
        let unsent = store.unsent(0, 10).expect("sound");
        assert_eq!(unsent.len(), 1);
        assert_eq!(unsent[0].message, expected.messages[0]);
        let all = FindingFilter {
            limit: 9,
            ..FindingFilter::default()
        };
        let reader = reader(store);
        let told = |row: FindingRow| reader.told(&row.finding_id).expect("sound");
        let findings = reader.findings(&all).expect("sound");
        let told = findings.into_iter().filter_map(told);
        assert_eq!(
            told.map(|told| told.finding).collect::<Vec<_>>(),
            expected.findings
        );
    }

    #[test]
    fn a_commit_prepares_no_statement_that_an_earlier_one_has_prepared() {
        let dir = TempDir::new();
        let mut store = open(&dir);
        let prepared: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&prepared);
        let authorizer = move |context: AuthContext<'_>| {
            // One of these is in each statement; beginning and ending a transaction is another one.
            if !matches!(context.action, AuthAction::Transaction { .. }) {
                let mut noted = noted.lock().expect("no test panicked");
                noted.push(format!("{:?}", context.action));
            }
            Authorization::Allow
        };
        let connection = &mut store.opened.connection;
        connection.authorizer(Some(authorizer)).expect("a hook");
        let mut number = 0;
        let mut commit = || {
            number += 1;
            let commit = Commit {
                messages: vec![message("f", number, Kind::Updated)],
                sent: vec![number.cast_signed() - 1],
                samples: vec![sample(number as u32)],
                forget_identities_before: Some(Timestamp::new(1)),
                forget_findings_before: Some(Timestamp::new(1)),
                forget_matches_before: Some(Timestamp::new(1)),
                ..everything()
            };
            store.commit(&commit).expect("it is written");
            std::mem::take(&mut *prepared.lock().expect("no test panicked"))
        };
        assert_ne!(commit(), [""; 0]);
        assert_eq!(commit(), [""; 0]);
        assert_eq!(commit(), [""; 0]);
    }

    #[test]
    fn a_restart_finds_what_was_committed() {
        let dir = TempDir::new();
        let mut store = open(&dir);
        let outcome = store.commit(&everything()).expect("room");
        assert_eq!(
            outcome,
            CommitOutcome {
                last_seq: 1,
                ..CommitOutcome::default()
            }
        );
        assert_holds_everything(&store);
        let sizes = store.sizes().expect("sound");
        drop(store);

        let store = open(&dir);
        assert_holds_everything(&store);
        let again = store.sizes().expect("sound");
        assert_eq!(
            (again.outbox_messages, again.outbox_bytes),
            (1, sizes.outbox_bytes)
        );
        assert!(again.database_bytes > 4096);
    }

    #[test]
    fn a_killed_process_leaves_a_log_from_which_the_next_one_continues() {
        let dir = TempDir::new();
        let mut store = open(&dir);
        store.commit(&everything()).expect("room");
        // What the disk holds at this moment is what a killed process would leave.
        let killed = TempDir::new();
        fs::create_dir(killed.path()).expect("new");
        for name in ["trommel.db", "trommel.db-wal"] {
            fs::copy(dir.path().join(name), killed.path().join(name)).expect("exists");
        }
        let log = fs::metadata(killed.path().join("trommel.db-wal")).expect("copied");
        assert!(
            log.len() > 0,
            "the commit is in the log, not yet in the file"
        );
        assert_holds_everything(&open(&killed));
    }

    #[test]
    fn without_a_directory_the_same_code_runs_in_memory() {
        let mut store = Store::open(None, Limits::default()).expect("memory");
        store.commit(&everything()).expect("memory");
        assert_holds_everything(&store);
        assert!(store.sizes().expect("sound").database_bytes > 4096);
    }

    #[test]
    fn a_full_disk_loses_nothing_and_the_same_commit_succeeds_when_there_is_room() {
        let dir = TempDir::new();
        let mut store = open(&dir);
        store.commit(&everything()).expect("room");
        let pages = |store: &Store, max: i64| {
            store
                .opened
                .connection
                .pragma_update_and_check(None, "max_page_count", max, |_| Ok(()))
                .expect("a pragma");
        };
        pages(&store, 1);
        let mut big = Commit {
            keys: vec![(key("r", &["a"]), Some(vec![9; 100_000]))],
            messages: vec![message("g", 1, Kind::Observed)],
            sent: vec![1],
            ..Commit::default()
        };
        let error = store.commit(&big).expect_err("no room");
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
        assert_holds_everything(&store);
        assert_eq!(store.sizes().expect("sound").outbox_messages, 1);

        pages(&store, 1 << 20);
        big.absorb(Commit {
            messages: vec![message("h", 1, Kind::Observed)],
            ..Commit::default()
        });
        assert_eq!(store.commit(&big).expect("room").last_seq, 3);
        let ids: Vec<_> = store
            .unsent(0, 10)
            .expect("sound")
            .into_iter()
            .map(|row| row.message.id)
            .collect();
        assert_eq!(ids, ["g:1", "h:1"]);
    }

    #[test]
    fn somebody_elses_lock_is_an_error_that_can_be_tried_again() {
        let dir = TempDir::new();
        let mut store = open(&dir);
        let operator = Connection::open(dir.path().join("trommel.db")).expect("readable");
        operator.execute_batch("BEGIN IMMEDIATE").expect("free");
        let error = store.commit(&everything()).expect_err("held");
        assert!(matches!(error, StoreError::Busy { .. }), "{error}");
        operator.execute_batch("ROLLBACK").expect("begun");
        store.commit(&everything()).expect("free");
        assert_holds_everything(&store);
    }

    #[test]
    fn a_file_that_was_moved_away_takes_nothing_until_it_is_back() {
        let dir = TempDir::new();
        let mut store = open(&dir);
        let aside = dir.path().with_extension("aside");
        fs::rename(dir.path(), &aside).expect("ours");
        let error = store.commit(&everything()).expect_err("not there");
        assert!(matches!(error, StoreError::Moved { .. }), "{error}");
        fs::create_dir(dir.path()).expect("free");
        fs::write(dir.path().join("trommel.db"), "another").expect("writable");
        store.commit(&everything()).expect_err("another file");
        fs::remove_dir_all(dir.path()).expect("ours");

        fs::rename(&aside, dir.path()).expect("free");
        store.commit(&everything()).expect("it is back");
        assert_holds_everything(&store);
    }

    #[test]
    fn identities_go_when_all_in_their_row_are_old_or_when_their_bound_is_reached() {
        let limits = Limits {
            identities_bytes_max: 30,
            ..Limits::default()
        };
        let mut store = Store::open(None, limits).expect("memory");
        let row = |newest, bytes| (Timestamp::new(newest), vec![newest as u8; bytes]);
        let mut commit = |identities, before: Option<i64>| {
            let commit = Commit {
                identities,
                forget_identities_before: before.map(Timestamp::new),
                ..Commit::default()
            };
            let dropped = store.commit(&commit).expect("memory").identities_dropped;
            let kept: Vec<_> = store
                .load()
                .expect("sound")
                .identities
                .iter()
                .map(|row| row.0.nanos())
                .collect();
            (kept, dropped)
        };
        assert_eq!(
            commit(vec![row(9, 10), row(1, 10), row(5, 10)], None),
            (vec![9, 1, 5], 0)
        );
        assert_eq!(commit(vec![], Some(5)), (vec![9, 5], 0));
        assert_eq!(commit(vec![row(6, 10)], None), (vec![9, 5, 6], 0));
        assert_eq!(commit(vec![row(7, 1)], None), (vec![5, 6, 7], 1));
        assert_eq!(commit(vec![row(8, 31)], None), (vec![], 4));
    }

    #[test]
    fn a_file_that_was_big_becomes_small_again() {
        let dir = TempDir::new();
        let mut store = open(&dir);
        let mut write = |value: Option<Vec<u8>>| {
            let keys = (0..100).map(|n| (key("r", &[&n.to_string()]), value.clone()));
            let commit = Commit {
                keys: keys.collect(),
                ..Commit::default()
            };
            store.commit(&commit).expect("room");
        };
        write(Some(vec![1; 100_000]));
        write(None);
        // 10 MB are some 2 500 pages, given back 256 at a time.
        for _ in 0..12 {
            write(None);
        }
        drop(store);
        let file = fs::metadata(dir.path().join("trommel.db")).expect("exists");
        assert!(file.len() < 2 << 20, "{} bytes", file.len());
    }
}
