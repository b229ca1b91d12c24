//! SQLite: what must outlive a request or the process. Windows and open findings, the identities of entries
//! already counted, findings for people to look at, and messages that wait for their ack.
//!
//! One thread owns the [`Store`] and uses it synchronously. Whatever the waiting batches changed is one [`Commit`],
//! one transaction and (on disk) one `fsync`; the requests behind it are answered afterwards. What detect keeps is
//! opaque here: blobs under names, so the file's layout does not follow the detector's types.
//!
//! With a directory the database is `trommel.db` in it, readable by `sqlite3` while trommel runs. Without one the same
//! code runs on a database in memory.
//!
//! # What a commit promises
//!
//! Committed is on disk: `synchronous=FULL` syncs the write-ahead log before [`Store::commit`] returns, so neither
//! `kill -9` nor a power cut takes it back. `NORMAL` would survive only the kill, and an entry that was answered 204
//! is never sent again. The price is one sync a commit: 0.9 ms against 0.5 ms (median of 2 000 commits, 2026-11-21,
//! 2 vCPUs of an AMD EPYC, ext4 on a virtual disk), shared by all batches that wait. On a disk that syncs slowly, requests
//! are answered at their deadline and counted as early.
//!
//! # What it refuses
//!
//! A file that is not ours, is damaged, or was written by a newer trommel is reported and left exactly as it was.
//! A directory that another trommel uses is refused.

mod audit;
mod commit;
mod error;
mod file;
mod history;
#[cfg(test)]
mod model;
mod outbox;
mod reader;
mod samples;
mod sieve;
mod silences;
mod store;
mod tape;
#[cfg(test)]
pub(crate) mod testing;

pub use audit::{AuditFilter, AuditRow};
pub use commit::{
    Commit, CommitOutcome, Dropped, FindingFilter, FindingRow, KindRow, Limits, NewMessage,
    OpenCounts, OutboxRow, Saved, Sizes, Told,
};
pub use error::StoreError;
pub use reader::{Archive, ArchiveError, Reader};
pub use samples::{SAMPLES_MAX, Sample};
pub use store::Store;
pub use tape::{Activity, Coverage};
