//! The database file: made whole, locked, recognised before it is touched.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::error::StoreError;

/// Name of the database in the data directory.
pub(super) const FILE: &str = "trommel.db";
/// Name of the lock beside it. A lock inside the database would keep `sqlite3` from reading it.
const LOCK: &str = "trommel.lock";

/// "TROM", at offset 68 of the file. Source: <https://www.sqlite.org/fileformat2.html#the_database_header>.
const APPLICATION_ID: u32 = 0x5452_4f4d;
/// Version of the schema below, at offset 60 of the file.
const SCHEMA_VERSION: u32 = 4;

/// How long a commit waits for a lock that somebody else holds: within the answer deadline, so one commit can
/// still be in time after an operator's short query.
const BUSY_TIMEOUT: Duration = Duration::from_millis(250);

/// The tables. Big values live in ordinary tables: SQLite advises `WITHOUT ROWID` for small rows only.
const SCHEMA: &str = "
CREATE TABLE keys (name TEXT NOT NULL UNIQUE, value BLOB NOT NULL) STRICT;
CREATE TABLE state (name TEXT NOT NULL UNIQUE, value BLOB NOT NULL) STRICT;
CREATE TABLE identities (seq INTEGER PRIMARY KEY, newest INTEGER NOT NULL, bytes INTEGER NOT NULL, value BLOB NOT NULL) STRICT;
CREATE INDEX identities_newest ON identities (newest);
CREATE TABLE outbox (
    -- AUTOINCREMENT: a place is never used twice, or a reader that goes on after it could miss a message.
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    finding_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    headers TEXT NOT NULL,
    body TEXT NOT NULL,
    bytes INTEGER NOT NULL
) STRICT;
CREATE INDEX outbox_kind ON outbox (kind, seq);
CREATE INDEX outbox_updated ON outbox (finding_id) WHERE kind = 'updated';
CREATE TABLE findings (
    finding_id TEXT NOT NULL UNIQUE,
    finding_key TEXT NOT NULL,
    rule TEXT NOT NULL,
    state TEXT NOT NULL,
    severity TEXT NOT NULL,
    domain TEXT NOT NULL,
    incident_type TEXT NOT NULL,
    changed_at INTEGER NOT NULL,
    body TEXT NOT NULL,
    bytes INTEGER NOT NULL
) STRICT;
CREATE INDEX findings_changed ON findings (changed_at, finding_id);
CREATE INDEX findings_state ON findings (state, changed_at, finding_id);
CREATE TABLE revisions (
    finding_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    outline TEXT NOT NULL,
    PRIMARY KEY (finding_id, revision)
) STRICT, WITHOUT ROWID;
";

/// From version 1, whose findings had no timelines.
const FROM_1: &str = "
BEGIN IMMEDIATE;
ALTER TABLE findings ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
UPDATE findings SET bytes = octet_length(body);
CREATE TABLE revisions (
    finding_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    outline TEXT NOT NULL,
    PRIMARY KEY (finding_id, revision)
) STRICT, WITHOUT ROWID;
PRAGMA user_version = 2;
COMMIT;
";

/// What version 3 has beside the tables of version 2.
const SINCE_3: &str = "
CREATE TABLE samples (
    -- The end of what it covers, in nanoseconds since the epoch.
    at INTEGER PRIMARY KEY,
    span_ms INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    entries_shed INTEGER NOT NULL,
    requests_shed INTEGER NOT NULL,
    entries_early INTEGER NOT NULL,
    entries_late INTEGER NOT NULL,
    duplicates INTEGER NOT NULL,
    findings_observed INTEGER NOT NULL,
    -- Microseconds; null when nothing was pushed.
    lag_p50 INTEGER,
    lag_p99 INTEGER,
    answer_p50 INTEGER,
    answer_p99 INTEGER
) STRICT;
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    target TEXT NOT NULL,
    reason TEXT NOT NULL,
    diff TEXT NOT NULL,
    bytes INTEGER NOT NULL
) STRICT;
CREATE TABLE silences (id TEXT NOT NULL UNIQUE, value TEXT NOT NULL) STRICT;
CREATE TABLE matches (
    rule TEXT NOT NULL,
    minute INTEGER NOT NULL,
    at INTEGER NOT NULL,
    role TEXT NOT NULL,
    tenant TEXT NOT NULL,
    labels TEXT NOT NULL,
    line TEXT NOT NULL,
    entry INTEGER NOT NULL
) STRICT;
CREATE INDEX matches_minute ON matches (rule, minute);
CREATE TABLE match_counts (
    rule TEXT NOT NULL,
    minute INTEGER NOT NULL,
    matches INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (rule, minute)
) STRICT, WITHOUT ROWID;
";

/// What version 4 has beside that.
const SINCE_4: &str = "
DROP INDEX IF EXISTS findings_kind;
-- What there are findings of, how many and since when, without reading any.
CREATE INDEX findings_kind ON findings (domain, incident_type, rule, state, changed_at);
";

/// An open database and what belongs to it. Fields drop in this order: the connection before the lock.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) connection: Connection,
    /// The database file, or the name it has in memory; for messages, further connections and the size of its log.
    pub(super) path: PathBuf,
    /// Its inode; `None` in memory.
    inode: Option<u64>,
    /// Held as long as the database is open; the system releases it when the process ends, however it ends.
    pub(super) lock: Option<File>,
}

/// Opens the database in `dir`, making both when they are missing; without `dir`, one in memory.
pub(super) fn open(dir: Option<&Path>) -> Result<Opened, StoreError> {
    match dir {
        Some(dir) => open_on_disk(dir),
        None => {
            let path = name_in_memory();
            let connection = connect(
                &path,
                OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
            )
            .and_then(|connection| create_schema(&connection).map(|()| connection))
            .map_err(|error| StoreError::sqlite(&path, error))?;
            Ok(Opened {
                connection,
                path,
                inode: None,
                lock: None,
            })
        }
    }
}

fn open_on_disk(dir: &Path) -> Result<Opened, StoreError> {
    fs::create_dir_all(dir).map_err(|source| unusable(dir, source))?;
    let lock = lock(&dir.join(LOCK))?;
    let path = dir.join(FILE);
    match File::open(&path) {
        Ok(file) => check_header(&path, file)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(dir, &path)?,
        Err(error) => return Err(unusable(&path, error)),
    }
    let connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .map_err(|error| StoreError::sqlite(&path, error))?;
    check_whole(&path, &connection)?;
    set_up_log(&connection)
        .and_then(|()| bring_up_to_date(&connection))
        .map_err(|error| StoreError::sqlite(&path, error))?;
    let inode = Some(inode(&path).map_err(|source| unusable(&path, source))?);
    Ok(Opened {
        connection,
        path,
        inode,
        lock: Some(lock),
    })
}

fn unusable(path: &Path, source: io::Error) -> StoreError {
    StoreError::Directory {
        path: path.to_owned(),
        source,
    }
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(|source| unusable(path, source))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
            lock: path.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(unusable(path, source)),
    }
}

/// Makes an empty database under another name, then renames it: a file called `trommel.db` is always a whole one,
/// so everything else under that name can be refused.
fn create(dir: &Path, path: &Path) -> Result<(), StoreError> {
    for suffix in ["-wal", "-journal"] {
        let left_over = with_suffix(path, suffix);
        // SQLite would take the old log for the new file's and write its pages into it.
        if left_over.exists() {
            return Err(StoreError::Damaged {
                file: path.to_owned(),
                found: format!("the file is missing, but `{}` exists", left_over.display()),
            });
        }
    }
    let new = with_suffix(path, ".new");
    for left_over in [new.clone(), with_suffix(&new, "-journal")] {
        match fs::remove_file(&left_over) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(unusable(&left_over, error));
            }
            _ => {}
        }
    }
    let made = Connection::open(&new)
        .and_then(|connection| {
            create_schema(&connection)?;
            connection.close().map_err(|(_, error)| error)
        })
        .map_err(|error| StoreError::sqlite(&new, error));
    made?;
    fs::rename(&new, path).map_err(|source| unusable(path, source))?;
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|source| unusable(dir, source))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn create_schema(connection: &Connection) -> rusqlite::Result<()> {
    // Only before the first table, and so that a database that once was big can be small again.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.execute_batch(&format!(
        "BEGIN; {SCHEMA} {SINCE_3} {SINCE_4} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
    ))
}

/// Makes the tables of an older version those of this one.
fn bring_up_to_date(connection: &Connection) -> rusqlite::Result<()> {
    let version: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version == 1 {
        connection.execute_batch(FROM_1)?;
    }
    if version < 3 {
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; {SINCE_3} PRAGMA user_version = 3; COMMIT;"
        ))?;
    }
    if version < 4 {
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; {SINCE_4} PRAGMA user_version = 4; COMMIT;"
        ))?;
    }
    Ok(())
}

/// Recognises the file by its first bytes, without SQLite: opening a database can already change it.
fn check_header(path: &Path, file: File) -> Result<(), StoreError> {
    let damaged = |found: String| StoreError::Damaged {
        file: path.to_owned(),
        found,
    };
    let mut header = Vec::new();
    file.take(100)
        .read_to_end(&mut header)
        .map_err(|source| unusable(path, source))?;
    if header.len() < 100 {
        return Err(damaged(format!(
            "it has only {} bytes of a header of 100",
            header.len()
        )));
    }
    if !header.starts_with(b"SQLite format 3\0") {
        return Err(damaged("it does not begin as SQLite files do".to_owned()));
    }
    let number = |at: usize| {
        u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    match (number(68), number(60)) {
        (APPLICATION_ID, 0) => Err(damaged("it has no schema version".to_owned())),
        (APPLICATION_ID, version) if version > SCHEMA_VERSION => Err(StoreError::Future {
            file: path.to_owned(),
            found: version,
            expected: SCHEMA_VERSION,
        }),
        (APPLICATION_ID, _) => Ok(()),
        (found, _) => Err(StoreError::Foreign {
            file: path.to_owned(),
            found,
            expected: APPLICATION_ID,
        }),
    }
}

/// A name that no other database in this process has, and that every connection to this one uses.
/// Source: <https://www.sqlite.org/uri.html>; a name that begins with a slash is shared (`memdb.c`).
fn name_in_memory() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    PathBuf::from(format!("file:/trommel-{number}?vfs=memdb"))
}

fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    // A path is not read as a URI: one on disk always begins with the directory.
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // The file may come from anywhere: a malformed cell is an error, and a schema cannot call functions.
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

/// Reads every page once. Tens of milliseconds for a usual file, about a second for the largest that the limits allow.
fn check_whole(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    let found: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| StoreError::sqlite(path, error))?;
    if found == "ok" {
        return Ok(());
    }
    Err(StoreError::Damaged {
        file: path.to_owned(),
        // The first line only says which database.
        found: found.lines().last().unwrap_or_default().to_owned(),
    })
}

fn set_up_log(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // Each commit syncs the log: what is committed survives a power failure on a disk that keeps its word. In NORMAL mode the last
    // commits before it would be gone, though the file would be sound. Source: <https://www.sqlite.org/pragma.html#pragma_synchronous>.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Every 4 MiB the log is written back into the file, and it keeps no more than twice that after a burst.
    // A reader that holds a transaction open for hours makes it longer: `database_bytes` shows it.
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 1024, |_| Ok(()))?;
    connection.pragma_update_and_check(None, "journal_size_limit", 8 << 20, |_| Ok(()))?;
    Ok(())
}

fn inode(path: &Path) -> io::Result<u64> {
    fs::metadata(path).map(|file| file.ino())
}

impl Opened {
    /// Whether the database is still where the next start will look for it. In WAL mode SQLite goes on writing to a file that was
    /// moved away, or deleted; in its other modes it looks at the inode too (`os_unix.c`, `fileHasMoved`).
    pub(super) fn is_in_place(&self) -> bool {
        self.inode
            .is_none_or(|opened| inode(&self.path).is_ok_and(|found| found == opened))
    }

    /// Another connection, that changes nothing.
    pub(super) fn read_only(&self) -> rusqlite::Result<Connection> {
        connect(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY)
    }

    /// Bytes of the database and of its log.
    pub(super) fn bytes(&self) -> rusqlite::Result<u64> {
        let pages: u64 = self.connection.query_row(
            "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
            [],
            |row| row.get::<_, i64>(0).map(i64::unsigned_abs),
        )?;
        let log = match self.lock {
            Some(_) => fs::metadata(with_suffix(&self.path, "-wal")).map_or(0, |file| file.len()),
            None => 0,
        };
        Ok(pages + log)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use expect_test::{Expect, expect};

    use super::super::commit::{Commit, Limits};
    use super::super::store::Store;
    use super::super::testing::{TempDir, finding, reader};
    use super::*;
    use crate::finding::State;

    /// Makes a database, lets `spoil` change its file, and shows how opening it fails; the file must stay as it was.
    #[track_caller]
    fn check(spoil: impl FnOnce(&Path), expected: Expect) {
        let dir = TempDir::new();
        drop(Store::open(Some(dir.path()), Limits::default()).expect("new"));
        let path = dir.path().join(FILE);
        spoil(&path);
        let before = fs::read(&path).ok();
        let error = Store::open(Some(dir.path()), Limits::default()).expect_err("spoilt");
        assert_eq!(fs::read(&path).ok(), before);
        let shown = error
            .to_string()
            .replace(&*dir.path().to_string_lossy(), "/data");
        expected.assert_eq(&shown);
    }

    fn patch(path: &Path, at: u64, bytes: &[u8]) {
        let file = File::options().write(true).open(path).expect("exists");
        file.write_all_at(bytes, at).expect("writable");
    }

    #[test]
    fn a_file_of_version_1_is_brought_up_to_date() {
        let dir = TempDir::new();
        let open = || Store::open(Some(dir.path()), Limits::default());
        let commit = Commit {
            findings: vec![finding("f", State::Recovered, 5)],
            ..Commit::default()
        };
        let mut store = open().expect("new");
        store.commit(&commit).expect("room");
        drop(store);
        let connection = Connection::open(dir.path().join(FILE)).expect("ours");
        connection
            .execute_batch(
                "DROP INDEX findings_kind; DROP TABLE samples; DROP TABLE audit; DROP TABLE silences; DROP TABLE matches; DROP TABLE match_counts; DROP TABLE revisions; ALTER TABLE findings DROP COLUMN bytes; PRAGMA user_version = 1;",
            )
            .expect("ours");
        drop(connection);

        let mut store = open().expect("brought up to date");
        let told = reader(&store).told("f").expect("sound");
        let told = told.expect("it is there");
        assert_eq!((told.finding.revision, told.outlines.len()), (0, 0));
        assert_eq!(store.sizes().expect("sound").history_bytes, 2);
        store.commit(&commit).expect("room");
        drop(store);
        let told = reader(&open().expect("again")).told("f").expect("sound");
        assert_eq!(told.map(|told| told.outlines.len()), Some(1));
    }

    #[test]
    fn a_file_of_version_2_keeps_what_it_has_and_gets_samples() {
        let dir = TempDir::new();
        let open = || Store::open(Some(dir.path()), Limits::default());
        let mut store = open().expect("new");
        let commit = Commit {
            findings: vec![finding("f", State::Recovered, 5)],
            ..Commit::default()
        };
        store.commit(&commit).expect("room");
        drop(store);
        let connection = Connection::open(dir.path().join(FILE)).expect("ours");
        connection
            .execute_batch(
                "DROP INDEX findings_kind; DROP TABLE samples; DROP TABLE audit; DROP TABLE silences; DROP TABLE matches; DROP TABLE match_counts; PRAGMA user_version = 2;",
            )
            .expect("ours");
        drop(connection);

        let store = open().expect("brought up to date");
        let reader = reader(&store);
        assert!(reader.told("f").expect("sound").is_some());
        assert!(reader.samples(None).expect("sound").is_empty());
    }

    #[test]
    fn a_file_of_version_3_gets_the_index_of_this_one() {
        let dir = TempDir::new();
        let open = || drop(Store::open(Some(dir.path()), Limits::default()).expect("ours"));
        let ours = || Connection::open(dir.path().join(FILE)).expect("ours");
        open();
        ours()
            .execute_batch(
                "DROP INDEX findings_kind; CREATE INDEX findings_kind ON findings (domain, incident_type, rule); PRAGMA user_version = 3;",
            )
            .expect("ours");
        open();
        let columns: u32 = ours()
            .query_row(
                "SELECT count(*) FROM pragma_index_info('findings_kind')",
                [],
                |row| row.get(0),
            )
            .expect("ours");
        assert_eq!(columns, 5);
    }

    #[test]
    fn a_second_trommel_on_the_same_directory_is_refused_until_the_first_is_gone() {
        let dir = TempDir::new();
        let first = Store::open(Some(dir.path()), Limits::default()).expect("new");
        let second = Store::open(Some(dir.path()), Limits::default()).expect_err("held");
        assert!(matches!(second, StoreError::InUse { .. }), "{second}");
        drop(first);
        Store::open(Some(dir.path()), Limits::default()).expect("free");
    }

    #[test]
    fn garbage_is_refused() {
        check(
            |path| fs::write(path, "x".repeat(5000)).expect("writable"),
            expect![
                "`/data/trommel.db` is damaged: it does not begin as SQLite files do, expected a whole SQLite database; restore it from a copy, or move it and its -wal file away to start empty"
            ],
        );
    }

    #[test]
    fn an_empty_file_is_refused() {
        check(
            |path| fs::write(path, "").expect("writable"),
            expect![
                "`/data/trommel.db` is damaged: it has only 0 bytes of a header of 100, expected a whole SQLite database; restore it from a copy, or move it and its -wal file away to start empty"
            ],
        );
    }

    #[test]
    fn a_truncated_file_is_refused() {
        check(
            |path| {
                let file = File::options().write(true).open(path).expect("exists");
                file.set_len(3 * 4096).expect("writable");
            },
            expect![
                "`/data/trommel.db` is damaged: database disk image is malformed, expected a whole SQLite database; restore it from a copy, or move it and its -wal file away to start empty"
            ],
        );
    }

    #[test]
    fn a_file_with_a_broken_page_is_refused() {
        check(
            |path| patch(path, 2 * 4096, &[0xff; 4096]),
            expect![
                "`/data/trommel.db` is damaged: Tree 3 page 3: btreeInitPage() returns error code 11, expected a whole SQLite database; restore it from a copy, or move it and its -wal file away to start empty"
            ],
        );
    }

    #[test]
    fn another_programs_database_is_refused() {
        check(
            |path| patch(path, 68, &[0, 0, 0, 0]),
            expect![
                "`/data/trommel.db` is not trommel's: application id 0x00000000, expected 0x54524f4d; name another data directory, or move the file away"
            ],
        );
    }

    #[test]
    fn a_file_of_a_newer_trommel_is_refused() {
        check(
            |path| patch(path, 60, &[0, 0, 0, 5]),
            expect![
                "`/data/trommel.db` has schema version 5, this trommel knows versions up to 4; run the newer trommel again, or move the file away to start empty"
            ],
        );
    }

    #[test]
    fn a_log_without_its_file_is_refused() {
        check(
            |path| {
                fs::rename(path, with_suffix(path, "-wal")).expect("exists");
            },
            expect![
                "`/data/trommel.db` is damaged: the file is missing, but `/data/trommel.db-wal` exists, expected a whole SQLite database; restore it from a copy, or move it and its -wal file away to start empty"
            ],
        );
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let dir = TempDir::new();
        fs::write(dir.path(), "a file").expect("writable");
        let error = Store::open(Some(&dir.path().join("data")), Limits::default()).expect_err("no");
        assert!(matches!(error, StoreError::Directory { .. }), "{error}");
        fs::remove_file(dir.path()).expect("ours");
    }

    #[test]
    fn what_a_kill_during_creation_leaves_is_made_anew() {
        let dir = TempDir::new();
        fs::create_dir(dir.path()).expect("new");
        fs::write(dir.path().join("trommel.db.new"), "half").expect("writable");
        Store::open(Some(dir.path()), Limits::default()).expect("nothing was lost");
    }
}
