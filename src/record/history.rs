//! Findings as people see them: all that are open, and the last ones that are over.

use rusqlite::{Connection, Row, params};

use super::commit::{FindingFilter, FindingRow};
use super::store::unknown;
use crate::finding::State;
use crate::rules::Severity;
use crate::time::Timestamp;

fn state_text(state: State) -> &'static str {
    match state {
        State::Open => "open",
        State::Recovered => "recovered",
    }
}

/// Writes `findings` as they now are and keeps at most `recovered_max` of those that are over.
pub(super) fn write(
    connection: &Connection,
    findings: &[FindingRow],
    recovered_max: usize,
) -> rusqlite::Result<()> {
    let mut upsert = connection.prepare(
        "INSERT INTO findings (finding_id, finding_key, rule, state, severity, domain, incident_type, changed_at, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (finding_id) DO UPDATE SET finding_key = ?2, rule = ?3, state = ?4, severity = ?5,
             domain = ?6, incident_type = ?7, changed_at = ?8, body = ?9",
    )?;
    for finding in findings {
        upsert.execute(params![
            finding.finding_id,
            finding.finding_key,
            finding.rule,
            state_text(finding.state),
            finding.severity.to_string(),
            finding.domain,
            finding.incident_type,
            finding.changed_at.0,
            finding.body,
        ])?;
    }
    if findings.iter().any(|row| row.state == State::Recovered) {
        connection.execute(
            "DELETE FROM findings WHERE finding_id IN (
                 SELECT finding_id FROM findings WHERE state = 'recovered'
                 ORDER BY changed_at DESC, finding_id DESC LIMIT -1 OFFSET ?1)",
            [i64::try_from(recovered_max).unwrap_or(i64::MAX)],
        )?;
    }
    Ok(())
}

/// Findings by `filter`, the newest change first.
pub(super) fn read(
    connection: &Connection,
    filter: FindingFilter,
) -> rusqlite::Result<Vec<FindingRow>> {
    const COLUMNS: &str = "SELECT finding_id, finding_key, rule, state, severity, domain, incident_type, changed_at, body FROM findings";
    const ORDER: &str = "ORDER BY changed_at DESC, finding_id DESC LIMIT ?1";
    let limit = i64::try_from(filter.limit).unwrap_or(i64::MAX);
    match filter.state {
        None => connection
            .prepare(&format!("{COLUMNS} {ORDER}"))?
            .query_map(params![limit], finding)?
            .collect(),
        Some(state) => connection
            .prepare(&format!("{COLUMNS} WHERE state = ?2 {ORDER}"))?
            .query_map(params![limit, state_text(state)], finding)?
            .collect(),
    }
}

fn finding(row: &Row<'_>) -> rusqlite::Result<FindingRow> {
    let state: String = row.get(3)?;
    let severity: String = row.get(4)?;
    Ok(FindingRow {
        finding_id: row.get(0)?,
        finding_key: row.get(1)?,
        rule: row.get(2)?,
        state: [State::Open, State::Recovered]
            .into_iter()
            .find(|&known| state_text(known) == state)
            .ok_or_else(|| unknown(3, &state))?,
        severity: [Severity::Info, Severity::Warning, Severity::Critical]
            .into_iter()
            .find(|known| known.to_string() == severity)
            .ok_or_else(|| unknown(4, &severity))?,
        domain: row.get(5)?,
        incident_type: row.get(6)?,
        changed_at: Timestamp(row.get(7)?),
        body: row.get(8)?,
    })
}
