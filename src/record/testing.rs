//! Directories and rows for this room's tests.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::detect::KeyName;
use crate::finding::Kind;

use tokio::sync::watch;

use super::commit::{Commit, FindingRow, Limits, NewMessage};
use super::reader::{Archive, Reader};
use super::samples::Sample;
use super::store::Store;
use crate::finding::State;
use crate::rules::Severity;
use crate::time::Timestamp;

/// A directory of its own, removed at the end. It does not exist until somebody makes it.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir =
            std::env::temp_dir().join(format!("trommel-record-{}-{number}", std::process::id()));
        // A process of the same id may have left one behind.
        let _ = std::fs::remove_dir_all(&dir);
        Self(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) fn key(rule: &str, by: &[&str]) -> KeyName {
    KeyName {
        rule: rule.into(),
        tenant: "".into(),
        by: by.iter().collect(),
    }
}

pub(super) fn message(finding_id: &str, revision: u64, kind: Kind) -> NewMessage {
    NewMessage {
        id: format!("{finding_id}:{revision}"),
        finding_id: finding_id.to_owned(),
        kind: Some(kind),
        subject: "ops.findings.runtime_services.oom.0123456789abcdef".to_owned(),
        headers: "{}".to_owned(),
        body: format!("{{\"revision\":{revision}}}"),
    }
}

pub(crate) fn finding(finding_id: &str, state: State, changed_at: i64) -> FindingRow {
    FindingRow {
        finding_id: finding_id.to_owned(),
        finding_key: "0123456789abcdef".to_owned(),
        rule: "r".to_owned(),
        state,
        severity: Severity::Warning,
        domain: "runtime_services".to_owned(),
        incident_type: "oom".to_owned(),
        changed_at: Timestamp::new(changed_at),
        body: "{}".to_owned(),
        revision: 1,
        outline: "{}".to_owned(),
    }
}

/// What was measured in the minute `number` since the epoch.
pub(crate) fn sample(number: u32) -> Sample {
    let micros = |micros| Duration::from_micros(micros);
    Sample {
        at: Timestamp::default().plus(Duration::from_secs(60) * number),
        span: Duration::from_secs(60),
        entries: 6000,
        entries_shed: 1,
        requests_shed: 2,
        entries_early: 3,
        entries_late: 4,
        duplicates: 5,
        findings_observed: 6,
        lag: Some([micros(700_000), micros(800_000)]),
        answer: Some([micros(900), micros(1001)]),
    }
}

/// A database in memory that holds `findings`, to be looked at.
pub(crate) fn archive_of(findings: Vec<FindingRow>) -> Archive {
    archive_with(&Commit {
        findings,
        ..Commit::default()
    })
}

/// A database in memory that holds what `commit` has, to be looked at.
pub(crate) fn archive_with(commit: &Commit) -> Archive {
    let mut store = Store::open(None, Limits::default()).expect("memory");
    store.commit(commit).expect("there is room");
    Archive::open(reader(&store)).expect("a thread")
}

/// Reads what `store` has committed.
pub(crate) fn reader(store: &Store) -> Reader {
    let nothing = watch::channel(Vec::new()).1;
    store.reader(nothing).expect("the database is there")
}
