//! Recorded matches: what rules are tried on before they are changed, within a bound in bytes that all rules share.
//!
//! Where the bound is met, the rule that has most loses its oldest minutes, with their counts: so a rule that matches all the time leaves the others
//! theirs, and what is known of a time is known with its exact count.

use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::commit::Commit;
use super::store::unknown;
use crate::batch::EntryId;
use crate::detect::{TapeRole, Taped, minute_of};
use crate::time::Timestamp;

/// What a minute of a rule counts for, beside its entries.
const MINUTE_BYTES: u64 = 48;
/// What an entry counts for, beside its texts.
const ENTRY_BYTES: u64 = 96;

/// How much of what a rule matched is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coverage {
    /// Matches in all.
    pub matches: u64,
    /// Those of them that are recorded.
    pub recorded: u64,
    /// The first minute of which anything is known.
    pub since: Option<Timestamp>,
    /// Minutes in which more matched than is recorded.
    pub cut_minutes: u64,
}

/// What a rule has done in some time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Activity {
    /// Matches, as far as they are known: none where nothing is recorded.
    pub matches: u64,
    /// The minute of the last one.
    pub last_match: Option<Timestamp>,
    /// Findings that changed.
    pub findings: u64,
    /// When one last changed, however long ago.
    pub last_finding: Option<Timestamp>,
    /// Findings that are open now.
    pub open: u64,
}

/// What all recorded matches count for in the bound.
pub(super) fn bytes(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row(
        "SELECT coalesce(sum(bytes), 0) FROM match_counts",
        [],
        |row| number(row, 0),
    )
}

/// Records and counts matches, and forgets those beyond `bytes_max` or before the time that the commit tells. `bytes` is kept up to date; the answer
/// is how many entries were forgotten for want of room.
pub(super) fn write(
    connection: &Connection,
    commit: &Commit,
    bytes_max: u64,
    bytes: &mut u64,
) -> rusqlite::Result<u64> {
    if let Some(before) = commit.forget_matches_before {
        forget_before(connection, minute_of(before), bytes)?;
    }
    if commit.taped.is_empty() && commit.tape_counts.is_empty() {
        return Ok(0);
    }
    // Matches and bytes of each rule and minute.
    let mut minutes: BTreeMap<(&str, i64), (u64, u64)> = BTreeMap::new();
    for counted in &commit.tape_counts {
        let minute = minutes.entry((&counted.rule, counted.minute));
        minute.or_default().0 += counted.matches;
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO matches (rule, minute, at, role, tenant, labels, line, entry) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    for taped in &commit.taped {
        let labels = serde_json::to_string(&taped.labels).expect("texts are JSON");
        let minute = minute_of(taped.at);
        insert.execute(params![
            &*taped.rule,
            minute,
            taped.at.nanos(),
            taped.role.as_str(),
            &*taped.tenant,
            labels,
            taped.line,
            taped.entry.0.cast_signed(),
        ])?;
        let texts = taped.rule.len() + taped.tenant.len() + labels.len() + taped.line.len();
        minutes.entry((&taped.rule, minute)).or_default().1 += ENTRY_BYTES + texts as u64;
    }
    // Not one statement that tells which it was: what `RETURNING` tells is kept in a table of its own, made anew each time.
    let mut add = connection.prepare_cached(
        "UPDATE match_counts SET matches = matches + ?3, bytes = bytes + ?4 WHERE rule = ?1 AND minute = ?2",
    )?;
    let mut begin = connection.prepare_cached(
        "INSERT INTO match_counts (rule, minute, matches, bytes) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for ((rule, minute), (matches, size)) in minutes {
        let matches = matches.cast_signed();
        let is_new = add.execute(params![rule, minute, matches, size.cast_signed()])? == 0;
        let size = size + if is_new { MINUTE_BYTES } else { 0 };
        if is_new {
            begin.execute(params![rule, minute, matches, size.cast_signed()])?;
        }
        *bytes += size;
    }
    if *bytes > bytes_max {
        // Some more, so that the next commit need not look for what to forget.
        return make_room(connection, bytes_max / 8 * 7, bytes);
    }
    Ok(0)
}

fn forget_before(connection: &Connection, minute: i64, bytes: &mut u64) -> rusqlite::Result<()> {
    let forgotten = connection
        .prepare_cached("SELECT coalesce(sum(bytes), 0) FROM match_counts WHERE minute < ?1")?
        .query_row([minute], |row| number(row, 0))?;
    if forgotten > 0 {
        connection.execute("DELETE FROM matches WHERE minute < ?1", [minute])?;
        connection.execute("DELETE FROM match_counts WHERE minute < ?1", [minute])?;
        *bytes = bytes.saturating_sub(forgotten);
    }
    Ok(())
}

/// Forgets the oldest minutes of the rules that have most until no more than `bytes_max` are left.
fn make_room(connection: &Connection, bytes_max: u64, bytes: &mut u64) -> rusqlite::Result<u64> {
    let mut rules: BinaryHeap<(u64, String)> = connection
        .prepare("SELECT sum(bytes), rule FROM match_counts GROUP BY rule")?
        .query_map([], |row| Ok((number(row, 0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut oldest = connection.prepare(
        "SELECT minute, bytes FROM match_counts WHERE rule = ?1 ORDER BY minute LIMIT 1",
    )?;
    let mut entries = connection.prepare("DELETE FROM matches WHERE rule = ?1 AND minute = ?2")?;
    let mut counts =
        connection.prepare("DELETE FROM match_counts WHERE rule = ?1 AND minute = ?2")?;
    let mut forgotten = 0;
    while *bytes > bytes_max {
        let Some((of_rule, rule)) = rules.pop() else {
            break;
        };
        let Some((minute, size)) = oldest
            .query_row([&rule], |row| Ok((row.get::<_, i64>(0)?, number(row, 1)?)))
            .optional()?
        else {
            continue;
        };
        forgotten += entries.execute(params![rule, minute])? as u64;
        counts.execute(params![rule, minute])?;
        *bytes = bytes.saturating_sub(size);
        rules.push((of_rule.saturating_sub(size), rule));
    }
    Ok(forgotten)
}

/// The newest `limit` recorded matches since `since`, of one rule or of all, in order of time.
pub(super) fn read(
    connection: &Connection,
    rule: Option<&str>,
    since: Timestamp,
    limit: usize,
) -> rusqlite::Result<Vec<Taped>> {
    let mut rows: Vec<Taped> = connection
        .prepare(
            "SELECT rule, role, at, tenant, labels, line, entry FROM matches
             WHERE at >= ?1 AND (?2 IS NULL OR rule = ?2) ORDER BY at DESC, rowid DESC LIMIT ?3",
        )?
        .query_map(
            params![
                since.nanos(),
                rule,
                i64::try_from(limit).unwrap_or(i64::MAX)
            ],
            taped,
        )?
        .collect::<Result<_, _>>()?;
    rows.reverse();
    Ok(rows)
}

fn taped(row: &Row<'_>) -> rusqlite::Result<Taped> {
    let role: String = row.get(1)?;
    let labels: String = row.get(4)?;
    Ok(Taped {
        rule: Arc::from(row.get::<_, String>(0)?),
        role: TapeRole::named(&role).ok_or_else(|| unknown(1, &role))?,
        at: Timestamp::new(row.get(2)?),
        tenant: Arc::from(row.get::<_, String>(3)?),
        labels: serde_json::from_str(&labels).map_err(|_| unknown(4, &labels))?,
        line: row.get(5)?,
        entry: EntryId(row.get::<_, i64>(6)?.cast_unsigned()),
    })
}

/// How much of what `rule` matched since `since` is recorded.
pub(super) fn coverage(
    connection: &Connection,
    rule: &str,
    since: Timestamp,
) -> rusqlite::Result<Coverage> {
    connection
        .prepare(
            "SELECT coalesce(sum(matches), 0), coalesce(sum(recorded), 0), min(minute), coalesce(sum(matches > recorded), 0) FROM (
                 SELECT minute, matches, (SELECT count(*) FROM matches AS entry
                     WHERE entry.rule = counted.rule AND entry.minute = counted.minute AND entry.role = 'match') AS recorded
                 FROM match_counts AS counted WHERE rule = ?1 AND minute >= ?2)",
        )?
        .query_row(params![rule, minute_of(since)], |row| {
            Ok(Coverage {
                matches: number(row, 0)?,
                recorded: number(row, 1)?,
                since: row.get::<_, Option<i64>>(2)?.map(at_minute),
                cut_minutes: number(row, 3)?,
            })
        })
}

/// By all that the index `findings_kind` begins with, or each finding would be read: a rule has one domain and one type at a time.
const FINDINGS_BY_RULE: &str =
    "SELECT rule, sum(changed_at >= ?1), max(changed_at), sum(state = 'open') FROM findings
    GROUP BY domain, incident_type, rule";

/// What each rule has done since `since`.
pub(super) fn activity(
    connection: &Connection,
    since: Timestamp,
) -> rusqlite::Result<BTreeMap<String, Activity>> {
    let mut rules: BTreeMap<String, Activity> = BTreeMap::new();
    let mut counted = connection.prepare(
        "SELECT rule, sum(CASE WHEN minute >= ?1 THEN matches ELSE 0 END), max(CASE WHEN matches > 0 THEN minute END)
         FROM match_counts GROUP BY rule",
    )?;
    let mut rows = counted.query([minute_of(since)])?;
    while let Some(row) = rows.next()? {
        let of_rule = rules.entry(row.get(0)?).or_default();
        of_rule.matches = number(row, 1)?;
        of_rule.last_match = row.get::<_, Option<i64>>(2)?.map(at_minute);
    }
    let mut found = connection.prepare(FINDINGS_BY_RULE)?;
    let mut rows = found.query([since.nanos()])?;
    while let Some(row) = rows.next()? {
        let of_rule = rules.entry(row.get(0)?).or_default();
        of_rule.findings += number(row, 1)?;
        of_rule.last_finding = (of_rule.last_finding).max(Some(Timestamp::new(row.get(2)?)));
        of_rule.open += number(row, 3)?;
    }
    Ok(rules)
}

fn at_minute(minute: i64) -> Timestamp {
    Timestamp::new(minute.saturating_mul(60_000_000_000))
}

fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::unsigned_abs)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::commit::{FindingRow, Limits};
    use super::super::file::FILE;
    use super::super::store::Store;
    use super::super::testing::{TempDir, finding, reader};
    use super::*;
    use crate::detect::TapeCount;
    use crate::finding::State;

    const MINUTE: i64 = 60_000_000_000;

    fn entry(rule: &str, at: i64, line: &str) -> Taped {
        Taped {
            rule: Arc::from(rule),
            role: TapeRole::Match,
            at: Timestamp::new(at),
            tenant: Arc::from("t"),
            labels: BTreeMap::from([("app".to_owned(), "api".to_owned())]),
            line: line.to_owned(),
            entry: EntryId(at.cast_unsigned()),
        }
    }

    fn count(rule: &str, minute: i64, matches: u64) -> TapeCount {
        TapeCount {
            rule: Arc::from(rule),
            minute,
            matches,
            left_out: 0,
        }
    }

    fn of(taped: Vec<Taped>, tape_counts: Vec<TapeCount>) -> Commit {
        Commit {
            taped,
            tape_counts,
            ..Commit::default()
        }
    }

    #[test]
    fn findings_of_a_rule_count_together_whatever_they_were_called_and_none_is_read() {
        let dir = TempDir::new();
        let mut store = Store::open(Some(dir.path()), Limits::default()).expect("new");
        let renamed = FindingRow {
            domain: "infrastructure".to_owned(),
            ..finding("c", State::Open, 7)
        };
        let commit = Commit {
            findings: vec![
                finding("a", State::Recovered, 5),
                finding("b", State::Recovered, 9),
                renamed,
            ],
            ..Commit::default()
        };
        store.commit(&commit).expect("room");
        let of = reader(&store).activity(Timestamp::new(6)).expect("sound")["r"].clone();
        assert_eq!(
            (of.findings, of.last_finding, of.open),
            (2, Some(Timestamp::new(9)), 1)
        );
        drop(store);

        let connection = Connection::open(dir.path().join(FILE)).expect("ours");
        let plan: String = connection
            .query_row(
                &format!("EXPLAIN QUERY PLAN {FINDINGS_BY_RULE}"),
                [0],
                |row| row.get("detail"),
            )
            .expect("ours");
        assert_eq!(plan, "SCAN findings USING COVERING INDEX findings_kind");
    }

    #[test]
    fn what_was_matched_is_there_after_a_restart_with_how_much_of_it_is_recorded() {
        let dir = TempDir::new();
        let open = || Store::open(Some(dir.path()), Limits::default()).expect("ours");
        let mut store = open();
        let first = of(vec![entry("a", 5, "one")], vec![count("a", 0, 3)]);
        store.commit(&first).expect("room");
        let more = of(
            vec![entry("a", MINUTE, "two"), entry("b", 7, "other")],
            vec![count("a", 0, 4), count("a", 1, 1), count("b", 0, 1)],
        );
        store.commit(&more).expect("room");
        let bytes = store.sizes().expect("sound").matches_bytes;
        drop(store);

        let mut store = open();
        assert_eq!(store.sizes().expect("sound").matches_bytes, bytes);
        let tape = reader(&store);
        let matches = |rule| tape.matches(rule, Timestamp::new(0), 9).expect("sound");
        assert_eq!(
            matches(Some("a")),
            [entry("a", 5, "one"), entry("a", MINUTE, "two")]
        );
        assert_eq!(matches(None).len(), 3);
        assert_eq!(
            tape.coverage("a", Timestamp::new(0)).expect("sound"),
            Coverage {
                matches: 8,
                recorded: 2,
                since: Some(Timestamp::new(0)),
                cut_minutes: 1,
            }
        );
        let of_a = tape.activity(Timestamp::new(MINUTE)).expect("sound")["a"].clone();
        assert_eq!(
            (of_a.matches, of_a.last_match),
            (1, Some(Timestamp::new(MINUTE)))
        );

        let forget = Commit {
            forget_matches_before: Some(Timestamp::new(MINUTE)),
            ..Commit::default()
        };
        store.commit(&forget).expect("room");
        assert_eq!(
            tape.matches(None, Timestamp::new(0), 9)
                .expect("sound")
                .len(),
            1
        );
        let all = Commit {
            forget_matches_before: Some(Timestamp::new(9 * MINUTE)),
            ..Commit::default()
        };
        store.commit(&all).expect("room");
        assert_eq!(store.sizes().expect("sound").matches_bytes, 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn recorded_matches_stay_within_their_bound_and_a_quiet_rule_keeps_its_own(
            commits in prop::collection::vec(prop::collection::vec((0..6i64, 0..800usize), 0..12), 1..12),
        ) {
            let limits = Limits { matches_bytes_max: 8 << 10, ..Limits::default() };
            let mut store = Store::open(None, limits).expect("memory");
            let quiet = of(vec![entry("quiet", 1, "x")], vec![count("quiet", 0, 1)]);
            store.commit(&quiet).expect("room");
            let (mut recorded, mut forgotten) = (0, 0);
            for entries in commits {
                recorded += entries.len() as u64;
                let taped = entries.iter().map(|(minute, size)| entry("loud", minute * MINUTE, &"y".repeat(*size)));
                let counts = entries.iter().map(|(minute, _)| count("loud", *minute, 1));
                let commit = of(taped.collect(), counts.collect());
                forgotten += store.commit(&commit).expect("room").matches_forgotten;
                let bytes = store.sizes().expect("sound").matches_bytes;
                prop_assert!(bytes <= 8 << 10, "{bytes}");
                // What is kept of the total is what is there.
                let there = reader(&store).read(super::bytes).expect("sound");
                prop_assert_eq!(there, bytes);
            }
            let tape = reader(&store);
            prop_assert_eq!(tape.matches(Some("quiet"), Timestamp::new(0), 9).expect("sound").len(), 1);
            let left = tape.matches(Some("loud"), Timestamp::new(0), 999).expect("sound").len() as u64;
            prop_assert_eq!(left, recorded - forgotten);
        }
    }
}
