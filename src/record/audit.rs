//! Who changed what, within bounds: rows are added and, oldest first, forgotten, and never altered.

use rusqlite::{Connection, Row, params};

use super::store::unknown;
use crate::audit::{Entry, What};
use crate::time::Timestamp;

/// Most entries.
const ENTRIES_MAX: u64 = 10_000;
/// Most bytes of their texts.
const BYTES_MAX: u64 = 4 << 20;

/// Which entries to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only those of this deed.
    pub what: Option<What>,
    /// Only those about this.
    pub target: Option<String>,
    /// Only those of this person.
    pub who: Option<String>,
    /// Only those before this place.
    pub before: Option<i64>,
    /// At most this many.
    pub limit: usize,
}

/// An entry, and its place: ascending in the order of what was done, never used twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its place.
    pub place: i64,
    /// The entry.
    pub entry: Entry,
}

/// Adds `entries`, and forgets the oldest beyond the bounds and those from before `forget_before`. The answer is how many were forgotten.
pub(super) fn write(
    connection: &Connection,
    entries: &[Entry],
    forget_before: Option<Timestamp>,
) -> rusqlite::Result<u64> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO audit (id, at, who, what, target, reason, diff, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (id) DO NOTHING",
    )?;
    for entry in entries {
        let Entry {
            id,
            time,
            who,
            what,
            target,
            reason,
            diff,
        } = entry;
        let bytes = [id, who, target, reason, diff].map(String::len);
        let bytes = bytes.iter().sum::<usize>() as u64;
        insert.execute(params![
            id,
            time.nanos(),
            who,
            what.as_str(),
            target,
            reason,
            diff,
            bytes.cast_signed()
        ])?;
    }
    let mut forgotten = 0;
    if let Some(before) = forget_before {
        forgotten += connection
            .prepare_cached("DELETE FROM audit WHERE at < ?1")?
            .execute([before.nanos()])?;
    }
    if !entries.is_empty() {
        // A sum over ten thousand numbers, and only when somebody has changed something.
        forgotten += connection
            .prepare_cached(
                "DELETE FROM audit WHERE seq IN (SELECT seq FROM (
                     SELECT seq, sum(bytes) OVER newest AS size, count(*) OVER newest AS entries FROM audit
                     WINDOW newest AS (ORDER BY seq DESC)
                 ) WHERE size > ?1 OR entries > ?2)",
            )?
            .execute([BYTES_MAX.cast_signed(), ENTRIES_MAX.cast_signed()])?;
    }
    Ok(forgotten as u64)
}

/// Entries by `filter`, the newest first.
pub(super) fn read(
    connection: &Connection,
    filter: &AuditFilter,
) -> rusqlite::Result<Vec<AuditRow>> {
    let limit = i64::try_from(filter.limit).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "SELECT seq, id, at, who, what, target, reason, diff FROM audit
             WHERE (?1 IS NULL OR what = ?1) AND (?2 IS NULL OR target = ?2) AND (?3 IS NULL OR who = ?3)
                 AND (?4 IS NULL OR seq < ?4)
             ORDER BY seq DESC LIMIT ?5",
        )?
        .query_map(
            params![
                filter.what.map(What::as_str),
                filter.target,
                filter.who,
                filter.before,
                limit
            ],
            row,
        )?
        .collect()
}

fn row(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    let what: String = row.get(4)?;
    Ok(AuditRow {
        place: row.get(0)?,
        entry: Entry {
            id: row.get(1)?,
            time: Timestamp::new(row.get(2)?),
            who: row.get(3)?,
            what: What::named(&what).ok_or_else(|| unknown(4, &what))?,
            target: row.get(5)?,
            reason: row.get(6)?,
            diff: row.get(7)?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::commit::{Commit, Limits};
    use super::super::store::Store;
    use super::super::testing::{TempDir, reader};
    use super::*;

    fn entry(id: u64, diff_bytes: usize) -> Entry {
        Entry {
            id: format!("{id:016x}"),
            time: Timestamp::new(id.cast_signed()),
            who: if id.is_multiple_of(2) { "ann" } else { "ben" }.to_owned(),
            what: What::RuleChanged,
            target: format!("rule_{}", id % 3),
            reason: String::new(),
            diff: "x".repeat(diff_bytes),
        }
    }

    fn commit(audit: Vec<Entry>) -> Commit {
        Commit {
            audit,
            ..Commit::default()
        }
    }

    fn ids(store: &Store, filter: &AuditFilter) -> Vec<i64> {
        let rows = reader(store).audit(filter).expect("sound");
        rows.iter().map(|row| row.entry.time.nanos()).collect()
    }

    #[test]
    fn entries_outlive_a_restart_and_are_read_in_pages_the_newest_first() {
        let dir = TempDir::new();
        let open = || Store::open(Some(dir.path()), Limits::default()).expect("ours");
        let mut store = open();
        let done = commit((0..7).map(|id| entry(id, 9)).collect());
        store.commit(&done).expect("room");
        // A commit that was reported lost may be found: to write it again changes nothing.
        store.commit(&done).expect("room");
        drop(store);
        let store = open();
        let all = AuditFilter {
            limit: 3,
            ..AuditFilter::default()
        };
        assert_eq!(ids(&store, &all), [6, 5, 4]);
        let rows = reader(&store).audit(&all).expect("sound");
        assert_eq!(rows[0].entry, entry(6, 9));
        let next = AuditFilter {
            before: Some(rows[2].place),
            limit: 9,
            ..AuditFilter::default()
        };
        assert_eq!(ids(&store, &next), [3, 2, 1, 0]);
        let some = AuditFilter {
            who: Some("ann".to_owned()),
            target: Some("rule_0".to_owned()),
            what: Some(What::RuleChanged),
            limit: 9,
            ..AuditFilter::default()
        };
        assert_eq!(ids(&store, &some), [6, 0]);
        let none = AuditFilter {
            what: Some(What::Reloaded),
            limit: 9,
            ..AuditFilter::default()
        };
        assert!(ids(&store, &none).is_empty());
    }

    #[test]
    fn the_oldest_go_beyond_each_bound() {
        let all = AuditFilter {
            limit: usize::MAX,
            ..AuditFilter::default()
        };
        let mut store = Store::open(None, Limits::default()).expect("memory");
        let many = (0..ENTRIES_MAX + 2).map(|id| entry(id, 0)).collect();
        let outcome = store.commit(&commit(many)).expect("room");
        assert_eq!(outcome.audit_forgotten, 2);
        assert_eq!(ids(&store, &all).last(), Some(&2));

        let outdated = Commit {
            forget_audit_before: Some(Timestamp::new(9_999)),
            ..Commit::default()
        };
        let outcome = store.commit(&outdated).expect("room");
        assert_eq!(outcome.audit_forgotten, ENTRIES_MAX - 3);
        assert_eq!(ids(&store, &all), [10_001, 10_000, 9_999]);

        let large = (20_000..20_005).map(|id| entry(id, 1 << 20)).collect();
        store.commit(&commit(large)).expect("room");
        assert_eq!(
            ids(&store, &all),
            [20_004, 20_003, 20_002],
            "each is some bytes more than a MiB"
        );
    }
}
