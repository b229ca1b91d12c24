//! Silences, as JSON.

use rusqlite::{Connection, params};

use super::store::unknown;
use crate::silence::Silence;

/// Writes silences by their ids; `None` forgets one.
pub(super) fn write(
    connection: &Connection,
    silences: &[(String, Option<Silence>)],
) -> rusqlite::Result<()> {
    for (id, silence) in silences {
        match silence {
            Some(silence) => {
                let value = serde_json::to_string(silence).expect("a silence is plain data");
                connection
                    .prepare_cached(
                        "INSERT INTO silences (id, value) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET value = ?2",
                    )?
                    .execute(params![id, value])?
            }
            None => connection
                .prepare_cached("DELETE FROM silences WHERE id = ?1")?
                .execute([id])?,
        };
    }
    Ok(())
}

/// All silences, the one that ends last first.
pub(super) fn read(connection: &Connection) -> rusqlite::Result<Vec<Silence>> {
    let mut silences = connection
        .prepare_cached("SELECT value FROM silences")?
        .query_map([], |row| {
            let value: String = row.get(0)?;
            serde_json::from_str(&value).map_err(|_| unknown(0, &value))
        })?
        .collect::<Result<Vec<Silence>, _>>()?;
    silences.sort_by(|a, b| (b.until, &b.id).cmp(&(a.until, &a.id)));
    Ok(silences)
}
