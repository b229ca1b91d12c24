//! Messages that wait for their ack, in order.
//!
//! The publisher reads rows into its own memory and goes on from the place of the last one, so a row that is replaced
//! or dropped while it is in flight does no harm: it is sent that once, its ack deletes nothing, and nobody reads it again.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::finding::Kind;

use super::commit::{CommitOutcome, NewMessage, OutboxRow, kind_from_text, kind_to_text};

/// How much waits.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Waiting {
    pub(super) messages: u64,
    pub(super) bytes: u64,
    /// Place of the newest message ever.
    pub(super) last_seq: i64,
}

impl Waiting {
    pub(super) fn count(connection: &Connection) -> rusqlite::Result<Self> {
        let (messages, bytes) = connection.query_row(
            "SELECT count(*), coalesce(sum(bytes), 0) FROM outbox",
            [],
            |row| Ok((unsigned(row, 0)?, unsigned(row, 1)?)),
        )?;
        let last_seq = connection
            .query_row(
                "SELECT seq FROM sqlite_sequence WHERE name = 'outbox'",
                [],
                |row| row.get(0),
            )
            .optional()?
            .unwrap_or(0);
        Ok(Self {
            messages,
            bytes,
            last_seq,
        })
    }

    fn lose(&mut self, bytes: u64) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::unsigned_abs)
}

/// Deletes the rows whose acks are back.
pub(super) fn forget(
    connection: &Connection,
    sent: &[i64],
    waiting: &mut Waiting,
) -> rusqlite::Result<()> {
    let mut delete =
        connection.prepare_cached("DELETE FROM outbox WHERE seq = ?1 RETURNING bytes")?;
    for seq in sent {
        if let Some(bytes) = delete.query_row([seq], |row| unsigned(row, 0)).optional()? {
            waiting.lose(bytes);
        }
    }
    Ok(())
}

/// Appends `messages`; an `updated` takes the place of one that still waits, and the bound is kept.
pub(super) fn append(
    connection: &Connection,
    messages: &[NewMessage],
    bytes_max: u64,
    waiting: &mut Waiting,
    outcome: &mut CommitOutcome,
) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO outbox (id, finding_id, kind, subject, headers, body, bytes)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO NOTHING",
    )?;
    let mut replace = connection.prepare_cached(
        "DELETE FROM outbox WHERE finding_id = ?1 AND kind = 'updated' AND seq < ?2 RETURNING bytes",
    )?;
    for message in messages {
        let bytes = message.bytes();
        let inserted = insert.execute(params![
            message.id,
            message.finding_id,
            kind_to_text(message.kind),
            message.subject,
            message.headers,
            message.body,
            bytes.cast_signed(),
        ])?;
        if inserted == 0 {
            outcome.repeated += 1;
            continue;
        }
        let seq = connection.last_insert_rowid();
        waiting.messages += 1;
        waiting.bytes += bytes;
        waiting.last_seq = seq;
        if message.kind == Some(Kind::Updated) {
            let mut rows = replace.query(params![message.finding_id, seq])?;
            while let Some(row) = rows.next()? {
                waiting.lose(unsigned(row, 0)?);
                outcome.replaced += 1;
            }
        }
    }
    keep_bound(connection, bytes_max, waiting, outcome)
}

fn keep_bound(
    connection: &Connection,
    bytes_max: u64,
    waiting: &mut Waiting,
    outcome: &mut CommitOutcome,
) -> rusqlite::Result<()> {
    for which in [" WHERE kind = 'updated'", ""] {
        let mut delete = connection.prepare_cached(&format!(
            "DELETE FROM outbox WHERE seq = (SELECT seq FROM outbox{which} ORDER BY seq LIMIT 1)
             RETURNING bytes, kind"
        ))?;
        while waiting.bytes > bytes_max {
            let deleted = delete
                .query_row([], |row| Ok((unsigned(row, 0)?, kind(row, 1)?)))
                .optional()?;
            let Some((bytes, kind)) = deleted else { break };
            waiting.lose(bytes);
            outcome.dropped.count(kind);
        }
    }
    Ok(())
}

/// The place of the first message.
pub(super) fn first(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    connection.query_row("SELECT min(seq) FROM outbox", [], |row| row.get(0))
}

/// The first `limit` messages after the place `after`, in order.
pub(super) fn read(
    connection: &Connection,
    after: i64,
    limit: usize,
) -> rusqlite::Result<Vec<OutboxRow>> {
    connection
        .prepare(
            "SELECT seq, id, finding_id, kind, subject, headers, body FROM outbox
             WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        )?
        .query_map(
            params![after, i64::try_from(limit).unwrap_or(i64::MAX)],
            |row| {
                Ok(OutboxRow {
                    seq: row.get(0)?,
                    message: NewMessage {
                        id: row.get(1)?,
                        finding_id: row.get(2)?,
                        kind: kind(row, 3)?,
                        subject: row.get(4)?,
                        headers: row.get(5)?,
                        body: row.get(6)?,
                    },
                })
            },
        )?
        .collect()
}

fn kind(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Kind>> {
    let text: String = row.get(column)?;
    kind_from_text(&text).ok_or_else(|| super::store::unknown(column, &text))
}

#[cfg(test)]
mod tests {
    use super::super::commit::{Commit, Dropped, Limits};
    use super::super::store::Store;
    use super::super::testing::message;
    use super::*;

    fn store(outbox_bytes_max: u64) -> Store {
        let limits = Limits {
            outbox_bytes_max,
            ..Limits::default()
        };
        Store::open(None, limits).expect("memory")
    }

    fn send(store: &mut Store, messages: Vec<NewMessage>) -> CommitOutcome {
        let commit = Commit {
            messages,
            ..Commit::default()
        };
        store.commit(&commit).expect("memory")
    }

    fn ack(store: &mut Store, sent: Vec<i64>) {
        let commit = Commit {
            sent,
            ..Commit::default()
        };
        store.commit(&commit).expect("memory");
    }

    fn waiting(store: &Store) -> Vec<(i64, String)> {
        let rows = store.unsent(0, 100).expect("sound");
        rows.into_iter()
            .map(|row| (row.seq, row.message.id))
            .collect()
    }

    fn rows(expected: &[(i64, &str)]) -> Vec<(i64, String)> {
        expected
            .iter()
            .map(|&(seq, id)| (seq, id.to_owned()))
            .collect()
    }

    #[test]
    fn a_waiting_update_is_replaced_by_a_newer_one_of_the_same_finding_only() {
        let mut store = store(1 << 20);
        let outcome = send(
            &mut store,
            vec![
                message("a", 1, Kind::Observed),
                message("a", 2, Kind::Updated),
                message("b", 2, Kind::Updated),
                message("a", 3, Kind::Recovered),
                message("a", 4, Kind::Updated),
            ],
        );
        assert_eq!((outcome.replaced, outcome.dropped.total()), (1, 0));
        assert_eq!(
            waiting(&store),
            rows(&[(1, "a:1"), (3, "b:2"), (4, "a:3"), (5, "a:4")])
        );
    }

    #[test]
    fn an_update_replaced_while_in_flight_is_neither_sent_again_nor_missed_by_its_ack() {
        let mut store = store(1 << 20);
        send(
            &mut store,
            vec![
                message("a", 1, Kind::Observed),
                message("a", 2, Kind::Updated),
            ],
        );
        let in_flight = store.unsent(0, 100).expect("sound");
        send(&mut store, vec![message("a", 3, Kind::Updated)]);
        ack(&mut store, in_flight.iter().map(|row| row.seq).collect());
        assert_eq!(waiting(&store), rows(&[(3, "a:3")]));
        assert_eq!(store.sizes().expect("sound").outbox_messages, 1);
    }

    #[test]
    fn a_place_is_never_used_twice() {
        let mut store = store(1 << 20);
        assert_eq!(
            send(&mut store, vec![message("a", 1, Kind::Observed)]).last_seq,
            1
        );
        ack(&mut store, vec![1]);
        assert_eq!(send(&mut store, vec![]).last_seq, 1);
        assert_eq!(
            send(&mut store, vec![message("b", 1, Kind::Observed)]).last_seq,
            2
        );
        assert_eq!(store.unsent(1, 100).expect("sound").len(), 1);
        assert_eq!(store.unsent(2, 100).expect("sound").len(), 0);
    }

    #[test]
    fn a_message_id_waits_once() {
        let mut store = store(1 << 20);
        let outcome = send(
            &mut store,
            vec![
                message("a", 1, Kind::Updated),
                message("a", 1, Kind::Updated),
            ],
        );
        assert_eq!((outcome.repeated, outcome.replaced), (1, 0));
        assert_eq!(waiting(&store), rows(&[(1, "a:1")]));
    }

    #[test]
    fn at_the_bound_the_oldest_updates_go_first_and_then_the_oldest_of_any_kind() {
        let one = message("a", 1, Kind::Observed).bytes();
        let mut store = store(3 * one);
        let outcome = send(
            &mut store,
            vec![
                message("a", 1, Kind::Observed),
                message("b", 2, Kind::Updated),
                message("c", 2, Kind::Updated),
            ],
        );
        assert_eq!(outcome.dropped.total(), 0, "just full");
        let outcome = send(&mut store, vec![message("d", 3, Kind::Recovered)]);
        assert_eq!(
            outcome.dropped,
            Dropped {
                updated: 1,
                ..Dropped::default()
            }
        );
        assert_eq!(waiting(&store), rows(&[(1, "a:1"), (3, "c:2"), (4, "d:3")]));

        let outcome = send(
            &mut store,
            vec![
                message("e", 1, Kind::Observed),
                message("f", 1, Kind::Observed),
            ],
        );
        assert_eq!(
            outcome.dropped,
            Dropped {
                updated: 1,
                observed: 1,
                ..Dropped::default()
            }
        );
        assert_eq!(waiting(&store), rows(&[(4, "d:3"), (5, "e:1"), (6, "f:1")]));
    }
}
