//! Findings as people see them: all that are open, and those that are over, each with its timeline, within a bound in bytes.

use std::fmt::Write as _;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Params, Row, params, params_from_iter};

use super::commit::{Commit, FindingFilter, FindingRow, KindRow, OpenCounts, Told};
use super::sieve::Sieve;
use super::store::unknown;
use crate::finding::State;
use crate::rules::{OWN_PREFIX, Severity};
use crate::time::Timestamp;

/// Revisions of a finding that are kept beside its first: half a year of daily reminders.
const REVISIONS_MAX: u64 = 200;

/// What all findings and their timelines count for in the bound.
pub(super) fn bytes(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row("SELECT coalesce(sum(bytes), 0) FROM findings", [], |row| {
        row.get::<_, i64>(0).map(i64::unsigned_abs)
    })
}

/// Writes findings as they now are with what was said of them, and forgets those that are over beyond `bytes_max`, or have been since
/// before the time that the commit tells. `bytes` is kept up to date; the answer is how many were forgotten.
pub(super) fn write(
    connection: &Connection,
    commit: &Commit,
    bytes_max: u64,
    bytes: &mut u64,
) -> rusqlite::Result<u64> {
    for finding in &commit.findings {
        let before = put(connection, finding)?;
        let now = size(connection, &finding.finding_id)?;
        *bytes = bytes.saturating_sub(before) + now;
    }
    let mut forgotten = 0;
    if commit.findings.is_empty() && commit.forget_findings_before.is_none() {
        return Ok(forgotten);
    }
    let mut oldest = connection.prepare_cached(
        "SELECT finding_id, changed_at, bytes FROM findings WHERE state = 'recovered' ORDER BY changed_at, finding_id LIMIT 1",
    )?;
    loop {
        let oldest = oldest
            .query_row([], |row| {
                let bytes: i64 = row.get(2)?;
                Ok((
                    row.get::<_, String>(0)?,
                    Timestamp::new(row.get(1)?),
                    bytes.unsigned_abs(),
                ))
            })
            .optional()?;
        let Some((id, changed_at, size)) = oldest else {
            return Ok(forgotten);
        };
        let outdated = commit
            .forget_findings_before
            .is_some_and(|before| changed_at < before);
        if *bytes <= bytes_max && !outdated {
            return Ok(forgotten);
        }
        run(
            connection,
            "DELETE FROM findings WHERE finding_id = ?1",
            [&id],
        )?;
        run(
            connection,
            "DELETE FROM revisions WHERE finding_id = ?1",
            [&id],
        )?;
        *bytes = bytes.saturating_sub(size);
        forgotten += 1;
    }
}

/// Writes one finding, and gives what it counted for before.
fn put(connection: &Connection, finding: &FindingRow) -> rusqlite::Result<u64> {
    let before = size(connection, &finding.finding_id)?;
    // What was told stays as it was told: a finding that ends without a message has the revision of its last.
    run(
        connection,
        "INSERT OR IGNORE INTO revisions (finding_id, revision, outline) VALUES (?1, ?2, ?3)",
        params![
            finding.finding_id,
            finding.revision.cast_signed(),
            finding.outline
        ],
    )?;
    let outdated = finding.revision.saturating_sub(REVISIONS_MAX);
    run(
        connection,
        "DELETE FROM revisions WHERE finding_id = ?1 AND revision > 1 AND revision <= ?2",
        params![finding.finding_id, outdated.cast_signed()],
    )?;
    run(
        connection,
        "INSERT INTO findings (finding_id, finding_key, rule, state, severity, domain, incident_type, changed_at, body, bytes)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0)
         ON CONFLICT (finding_id) DO UPDATE SET finding_key = ?2, rule = ?3, state = ?4, severity = ?5,
             domain = ?6, incident_type = ?7, changed_at = ?8, body = ?9",
        params![
            finding.finding_id,
            finding.finding_key,
            finding.rule,
            finding.state.as_str(),
            finding.severity.as_str(),
            finding.domain,
            finding.incident_type,
            finding.changed_at.nanos(),
            finding.body,
        ],
    )?;
    run(
        connection,
        "UPDATE findings SET bytes = octet_length(body)
             + (SELECT coalesce(sum(octet_length(outline)), 0) FROM revisions WHERE finding_id = ?1)
         WHERE finding_id = ?1",
        [&finding.finding_id],
    )?;
    Ok(before)
}

/// Runs a statement that stays prepared.
fn run(connection: &Connection, statement: &str, params: impl Params) -> rusqlite::Result<usize> {
    connection.prepare_cached(statement)?.execute(params)
}

/// What a finding counts for.
fn size(connection: &Connection, finding_id: &str) -> rusqlite::Result<u64> {
    let bytes = connection
        .prepare_cached("SELECT bytes FROM findings WHERE finding_id = ?1")?
        .query_row([finding_id], |row| row.get::<_, i64>(0))
        .optional()?;
    Ok(bytes.map_or(0, i64::unsigned_abs))
}

/// Of findings in lists.
const COLUMNS: &str = "finding_id, finding_key, rule, state, severity, domain, incident_type, changed_at, body, 0, ''";
/// Which of them the finding as JSON is.
const BODY: usize = 8;
/// Of one finding.
const ALL_COLUMNS: &str = "finding_id, finding_key, rule, state, severity, domain, incident_type, changed_at, body,
    (SELECT max(revision) FROM revisions WHERE revisions.finding_id = findings.finding_id),
    (SELECT outline FROM revisions WHERE revisions.finding_id = findings.finding_id ORDER BY revision DESC LIMIT 1)";

/// Findings by `filter`, the newest change first.
pub(super) fn read(
    connection: &Connection,
    filter: &FindingFilter,
) -> rusqlite::Result<Vec<FindingRow>> {
    let mut query = format!("SELECT {COLUMNS} FROM findings WHERE true");
    let mut values: Vec<Value> = Vec::new();
    let mut only = |condition: &str, value: Option<Value>| {
        if let Some(value) = value {
            values.push(value);
            let _ = write!(
                query,
                " AND {}",
                condition.replace('?', &format!("?{}", values.len()))
            );
        }
    };
    let text = |text: &Option<String>| text.clone().map(Value::from);
    let time = |time: Option<Timestamp>| time.map(|at| Value::from(at.nanos()));
    only(
        "state = ?",
        filter.state.map(|state| state.as_str().to_owned().into()),
    );
    only(
        "severity = ?",
        filter.severity.map(|severity| severity.to_string().into()),
    );
    // The plus keeps them off the index of kinds: the rows come in order, and whoever has enough stops.
    only("+domain = ?", text(&filter.domain));
    only("+incident_type = ?", text(&filter.incident_type));
    only("+rule = ?", text(&filter.rule));
    let own = format!("{OWN_PREFIX}*");
    only(
        "(rule GLOB ?)",
        filter.own.filter(|own| *own).map(|_| own.clone().into()),
    );
    only(
        "(rule NOT GLOB ?)",
        filter.own.filter(|own| !*own).map(|_| own.into()),
    );
    only("changed_at >= ?", time(filter.since));
    only("changed_at < ?", time(filter.until));
    if let Some((at, id)) = &filter.after {
        values.extend([Value::from(at.nanos()), Value::from(id.clone())]);
        let _ = write!(
            query,
            " AND (changed_at, finding_id) < (?{}, ?{})",
            values.len() - 1,
            values.len()
        );
    }
    // No limit: how many it takes to find so many that pass is not known, and rows are read only as they are asked for.
    query.push_str(" ORDER BY changed_at DESC, finding_id DESC");
    let sieve = Sieve::new(filter);
    let mut statement = connection.prepare(&query)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while found.len() < filter.limit
        && let Some(row) = rows.next()?
    {
        if sieve.takes(row.get_ref(BODY)?.as_str()?) {
            found.push(finding(row)?);
        }
    }
    Ok(found)
}

/// What there are findings of, at most `limit` kinds.
pub(super) fn kinds(connection: &Connection, limit: u32) -> rusqlite::Result<Vec<KindRow>> {
    connection
        .prepare_cached("SELECT DISTINCT domain, incident_type, rule FROM findings ORDER BY domain, incident_type, rule LIMIT ?1")?
        .query_map([limit], |row| {
            Ok(KindRow {
                domain: row.get(0)?,
                incident_type: row.get(1)?,
                rule: row.get(2)?,
            })
        })?
        .collect()
}

/// How many are open, when those in `unsaved` are as they are there.
pub(super) fn open(
    connection: &Connection,
    unsaved: &[FindingRow],
) -> rusqlite::Result<OpenCounts> {
    let named = |name: String| Severity::named(&name).ok_or_else(|| unknown(1, &name));
    let mut counts = OpenCounts::default();
    let mut open = connection.prepare_cached(
        "SELECT rule, severity, count(*) FROM findings WHERE state = 'open' GROUP BY rule, severity",
    )?;
    let mut rows = open.query([])?;
    while let Some(row) = rows.next()? {
        let (rule, severity): (String, String) = (row.get(0)?, row.get(1)?);
        *counts.of(&rule, named(severity)?) += row.get::<_, i64>(2)?.unsigned_abs();
    }
    let mut saved = connection.prepare_cached(
        "SELECT rule, severity FROM findings WHERE finding_id = ?1 AND state = 'open'",
    )?;
    for finding in unsaved {
        let saved = saved
            .query_row([&finding.finding_id], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        if let Some::<(String, String)>((rule, severity)) = saved {
            let count = counts.of(&rule, named(severity)?);
            *count = count.saturating_sub(1);
        }
        if finding.state == State::Open {
            *counts.of(&finding.rule, finding.severity) += 1;
        }
    }
    Ok(counts)
}

/// One finding with its timeline.
pub(super) fn told(connection: &Connection, finding_id: &str) -> rusqlite::Result<Option<Told>> {
    let found = connection
        .prepare(&format!(
            "SELECT {ALL_COLUMNS} FROM findings WHERE finding_id = ?1"
        ))?
        .query_row([finding_id], finding)
        .optional()?;
    let Some(finding) = found else {
        return Ok(None);
    };
    let outlines = connection
        .prepare("SELECT outline FROM revisions WHERE finding_id = ?1 ORDER BY revision")?
        .query_map([finding_id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(Some(Told { finding, outlines }))
}

fn finding(row: &Row<'_>) -> rusqlite::Result<FindingRow> {
    let state: String = row.get(3)?;
    let severity: String = row.get(4)?;
    Ok(FindingRow {
        finding_id: row.get(0)?,
        finding_key: row.get(1)?,
        rule: row.get(2)?,
        state: State::named(&state).ok_or_else(|| unknown(3, &state))?,
        severity: Severity::named(&severity).ok_or_else(|| unknown(4, &severity))?,
        domain: row.get(5)?,
        incident_type: row.get(6)?,
        changed_at: Timestamp::new(row.get(7)?),
        body: row.get(8)?,
        // None of those that an older version wrote.
        revision: row.get::<_, Option<i64>>(9)?.map_or(0, i64::cast_unsigned),
        outline: row.get::<_, Option<String>>(10)?.unwrap_or_default(),
    })
}
