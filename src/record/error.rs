//! What can be wrong with a data directory or a commit.

use std::path::PathBuf;

use rusqlite::ErrorCode;

/// What can be wrong with a data directory or a commit. No variant means that anything was overwritten.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory or a file in it cannot be made, opened or locked.
    #[error("data directory: cannot use `{}`: {source}", path.display())]
    Directory {
        /// The directory or file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Another process holds the directory.
    #[error(
        "data directory: `{}` is locked by another trommel; stop that one, or give each its own directory",
        lock.display()
    )]
    InUse {
        /// The lock file.
        lock: PathBuf,
    },
    /// The file is an SQLite database, but another program's.
    #[error(
        "`{}` is not trommel's: application id {found:#010x}, expected {expected:#010x}; name another data directory, or move the file away",
        file.display()
    )]
    Foreign {
        /// The file.
        file: PathBuf,
        /// The application id in its header.
        found: u32,
        /// Ours.
        expected: u32,
    },
    /// A newer trommel wrote the file.
    #[error(
        "`{}` has schema version {found}, this trommel knows versions up to {expected}; run the newer trommel again, or move the file away to start empty",
        file.display()
    )]
    Future {
        /// The file.
        file: PathBuf,
        /// The version in it.
        found: u32,
        /// The newest that this program knows.
        expected: u32,
    },
    /// The file is no database, or a broken one.
    #[error(
        "`{}` is damaged: {found}, expected a whole SQLite database; restore it from a copy, or move it and its -wal file away to start empty",
        file.display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        found: String,
    },
    /// The disk, or the quota on it, is full. Nothing of the commit was applied; it can be tried again.
    #[error("`{}`: no room left to write: {source}", file.display())]
    Full {
        /// The database.
        file: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// Somebody else holds a lock on the database, such as an open `sqlite3`. Nothing was applied; it can be tried again.
    #[error("`{}` is held by another program: {source}", file.display())]
    Busy {
        /// The database.
        file: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The file was moved away, replaced or deleted while it was open: what is written to it would not be found again. Nothing was
    /// applied; it can be tried again, and succeeds once the file is back.
    #[error(
        "`{}` is no longer the file that was opened; put it back, or restart trommel to begin with what is there now",
        file.display()
    )]
    Moved {
        /// Where it was.
        file: PathBuf,
    },
    /// Anything else that SQLite reports. Nothing of the commit was applied.
    #[error("`{}`: {source}", file.display())]
    Sqlite {
        /// The database.
        file: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
}

impl StoreError {
    /// Sorts SQLite's error by what can be done about it.
    /// What reading `file` failed with.
    pub(super) fn reading(file: &std::path::Path, error: rusqlite::Error) -> Self {
        match error {
            // A value that we would never have written.
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..) => Self::Damaged {
                file: file.to_owned(),
                found: error.to_string(),
            },
            error => Self::sqlite(file, error),
        }
    }

    pub(super) fn sqlite(file: &std::path::Path, source: rusqlite::Error) -> Self {
        let file = file.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { file, source },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Self::Busy { file, source }
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged {
                file,
                found: source.to_string(),
            },
            _ => Self::Sqlite { file, source },
        }
    }
}
