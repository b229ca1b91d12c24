//! What was measured minute by minute, for the last day: what plots of "the last hours" are made of where nobody scrapes.

use std::time::Duration;

use rusqlite::{Connection, Row, params};

use crate::time::Timestamp;

/// Most samples that are kept: a day of minutes. Beyond it the oldest go.
pub const SAMPLES_MAX: usize = 1440;

/// How long samples are kept.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// What happened in about a minute. Counts are of that time only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// The end of it. Before `at - span` nothing is known, unless another sample says so: trommel did not run.
    pub at: Timestamp,
    /// How long it is: a minute, less at the start.
    pub span: Duration,
    /// Log entries received.
    pub entries: u64,
    /// Entries that were not inspected because of overload.
    pub entries_shed: u64,
    /// Requests that were discarded unread because of overload.
    pub requests_shed: u64,
    /// Entries answered before their effect was on disk.
    pub entries_early: u64,
    /// Entries older than `max_age`, which decided nothing.
    pub entries_late: u64,
    /// Matches that were not counted because the same entry had been.
    pub duplicates: u64,
    /// Findings that opened.
    pub findings_observed: u64,
    /// Wall clock at receipt minus the newest entry time of a request: median and 99th percentile; `None` when nothing was inspected.
    pub lag: Option<[Duration; 2]>,
    /// Time from the last byte of a request to its answer: median and 99th percentile; `None` when there was no request.
    pub answer: Option<[Duration; 2]>,
}

/// Writes `samples` and forgets those beyond [`SAMPLES_MAX`] and a day, and what a clock that was put back has left in the future.
pub(super) fn write(connection: &Connection, samples: &[Sample]) -> rusqlite::Result<()> {
    let Some(newest) = samples.last() else {
        return Ok(());
    };
    let mut insert = connection.prepare_cached(
        "INSERT OR REPLACE INTO samples (at, span_ms, entries, entries_shed, requests_shed, entries_early, entries_late,
             duplicates, findings_observed, lag_p50, lag_p99, answer_p50, answer_p99)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?;
    for sample in samples {
        let micros = |of: Option<[Duration; 2]>, at: usize| of.map(|of| whole(of[at].as_micros()));
        insert.execute(params![
            sample.at.nanos(),
            whole(sample.span.as_millis()),
            whole(sample.entries.into()),
            whole(sample.entries_shed.into()),
            whole(sample.requests_shed.into()),
            whole(sample.entries_early.into()),
            whole(sample.entries_late.into()),
            whole(sample.duplicates.into()),
            whole(sample.findings_observed.into()),
            micros(sample.lag, 0),
            micros(sample.lag, 1),
            micros(sample.answer, 0),
            micros(sample.answer, 1),
        ])?;
    }
    connection
        .prepare_cached("DELETE FROM samples WHERE at > ?1 OR at <= ?2")?
        .execute([newest.at.nanos(), newest.at.minus(KEPT).nanos()])?;
    connection
        .prepare_cached(
            "DELETE FROM samples WHERE at <= (SELECT at FROM samples ORDER BY at DESC LIMIT 1 OFFSET ?1)",
        )?
        .execute([whole(SAMPLES_MAX as u128)])?;
    Ok(())
}

/// Samples that ended at `since` or later, or all, oldest first.
pub(super) fn read(
    connection: &Connection,
    since: Option<Timestamp>,
) -> rusqlite::Result<Vec<Sample>> {
    connection
        .prepare_cached(
            "SELECT at, span_ms, entries, entries_shed, requests_shed, entries_early, entries_late, duplicates,
                 findings_observed, lag_p50, lag_p99, answer_p50, answer_p99
             FROM samples WHERE at >= ?1 ORDER BY at",
        )?
        .query_map([since.unwrap_or(Timestamp::MIN).nanos()], sample)?
        .collect()
}

fn sample(row: &Row<'_>) -> rusqlite::Result<Sample> {
    let count = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
    let micros = |at| {
        let micros: Option<i64> = row.get(at)?;
        Ok::<_, rusqlite::Error>(micros.map(|micros| Duration::from_micros(micros.unsigned_abs())))
    };
    let both = |at| Ok::<_, rusqlite::Error>(micros(at)?.zip(micros(at + 1)?));
    Ok(Sample {
        at: Timestamp::new(row.get(0)?),
        span: Duration::from_millis(count(1)?),
        entries: count(2)?,
        entries_shed: count(3)?,
        requests_shed: count(4)?,
        entries_early: count(5)?,
        entries_late: count(6)?,
        duplicates: count(7)?,
        findings_observed: count(8)?,
        lag: both(9)?.map(<[_; 2]>::from),
        answer: both(11)?.map(<[_; 2]>::from),
    })
}

/// As SQLite has numbers.
fn whole(number: u128) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::commit::{Commit, Limits};
    use super::super::store::Store;
    use super::super::testing::{TempDir, reader, sample};
    use super::*;

    fn commit(store: &mut Store, samples: Vec<Sample>) {
        let commit = Commit {
            samples,
            ..Commit::default()
        };
        store.commit(&commit).expect("there is room");
    }

    #[test]
    fn a_sample_is_read_as_it_was_written_also_after_a_restart() {
        let dir = TempDir::new();
        let open = || Store::open(Some(dir.path()), Limits::default()).expect("ours");
        let quiet = Sample {
            lag: None,
            answer: None,
            ..sample(1)
        };
        let busy = sample(2);
        commit(&mut open(), vec![quiet, busy]);
        let reader = reader(&open());
        assert_eq!(reader.samples(None).expect("sound"), [quiet, busy]);
        assert_eq!(reader.samples(Some(busy.at)).expect("sound"), [busy]);
    }

    #[test]
    fn there_are_never_more_than_a_day_of_them() {
        let mut store = Store::open(None, Limits::default()).expect("memory");
        commit(&mut store, (1..=1440).map(sample).collect());
        let kept = |store: &Store| reader(store).samples(None).expect("sound");
        assert_eq!(kept(&store).len(), 1440);
        commit(&mut store, vec![sample(1441)]);
        assert_eq!((kept(&store).len(), kept(&store)[0]), (1440, sample(2)));
        // More than one a minute, as after a clock that was put back a little.
        let between = |number| Sample {
            at: Timestamp::new(sample(number).at.nanos() + 1),
            ..sample(number)
        };
        commit(&mut store, (1400..=1441).map(between).collect());
        assert_eq!(kept(&store).len(), SAMPLES_MAX);
        // What lies in the future never was.
        commit(&mut store, vec![sample(1000)]);
        assert_eq!(kept(&store).last(), Some(&sample(1000)));
        commit(&mut store, vec![sample(5000)]);
        assert_eq!(kept(&store), [sample(5000)]);
    }
}
