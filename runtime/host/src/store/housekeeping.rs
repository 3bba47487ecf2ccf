//! What is forgotten, and when. Each pass is bounded, so that it never delays the writes behind it for long.

use super::StoreError;
use super::number::Number;
use rusqlite::{Connection, params};

/// How long a handled message's id is remembered: longer than anyone tries to deliver it again.
pub(super) const HANDLED_AGE_MS_MAX: u64 = 60 * 60 * 1_000;

/// How many ids are remembered on a node, whatever their age: about 300 MB on disk.
const HANDLED_COUNT_MAX: u64 = 4_000_000;

/// How long an acknowledged answer's id is remembered, to recognise a second copy.
const ACKNOWLEDGED_AGE_MS_MAX: u64 = HANDLED_AGE_MS_MAX;

/// How long an answer waits for a client that does not come back.
const UNCLAIMED_AGE_MS_MAX: u64 = 7 * 24 * 60 * 60 * 1_000;

/// How many dead letters are kept; the oldest go first.
const DEAD_LETTERS_MAX: u64 = 100_000;

/// How many rows of each table one pass looks at.
const PASS_ROWS_MAX: u64 = 20_000;

/// Removes what is too old or too much, oldest first.
///
/// # Errors
/// If the database fails; what was removed before stays removed.
pub(super) fn prune(connection: &Connection, now_ms: u64) -> Result<(), StoreError> {
    connection.execute(
        "DELETE FROM handled WHERE seq IN (SELECT seq FROM handled ORDER BY seq LIMIT ?1)
         AND (at < ?2 OR seq <= (SELECT max(seq) FROM handled) - ?3)",
        params![
            Number(PASS_ROWS_MAX),
            Number(now_ms.saturating_sub(HANDLED_AGE_MS_MAX)),
            Number(HANDLED_COUNT_MAX)
        ],
    )?;
    connection.execute(
        "DELETE FROM client_mailbox WHERE cursor IN (SELECT cursor FROM client_mailbox ORDER BY cursor LIMIT ?1)
         AND at < CASE WHEN envelope IS NULL THEN ?2 ELSE ?3 END",
        params![
            Number(PASS_ROWS_MAX),
            Number(now_ms.saturating_sub(ACKNOWLEDGED_AGE_MS_MAX)),
            Number(now_ms.saturating_sub(UNCLAIMED_AGE_MS_MAX))
        ],
    )?;
    connection.execute(
        "DELETE FROM dead_letters WHERE seq IN (SELECT seq FROM dead_letters ORDER BY seq LIMIT ?1)
         AND seq <= (SELECT max(seq) FROM dead_letters) - ?2",
        params![Number(PASS_ROWS_MAX), Number(DEAD_LETTERS_MAX)],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema;

    const HOUR_MS: u64 = 60 * 60 * 1_000;

    #[test]
    fn what_is_too_old_is_forgotten_and_nothing_else() {
        let dir = tempfile::TempDir::new().expect("a temporary folder");
        let connection = schema::open_writer(&dir.path().join("store.db")).expect("it opens");
        let now = 1_000 * HOUR_MS;
        let rows = [("old", now - HOUR_MS - 1), ("young", now - HOUR_MS)];
        for (id, at) in rows {
            let handled = "INSERT INTO handled (agent, id, at) VALUES ('a', ?1, ?2)";
            connection
                .execute(handled, params![id, Number(at)])
                .expect("a row");
            for (envelope, state) in [(None, "acknowledged"), (Some("{}"), "waiting")] {
                let answer = "INSERT INTO client_mailbox (client, id, envelope, at) VALUES ('c', ?1, ?2, ?3)";
                let row = params![format!("{id} {state}"), envelope, Number(at)];
                connection.execute(answer, row).expect("a row");
            }
        }
        let check = |at: u64, handled: &str, answers: &str, waiting: u64| {
            prune(&connection, at).expect("pruned");
            let text = |sql| {
                connection
                    .query_row(sql, [], |row| row.get::<_, Option<String>>(0))
                    .expect("a row")
            };
            assert_eq!(
                text("SELECT group_concat(id) FROM handled").unwrap_or_default(),
                handled
            );
            assert_eq!(
                text("SELECT group_concat(id) FROM client_mailbox").unwrap_or_default(),
                answers
            );
            let counted = connection.query_row("SELECT waiting FROM clients", [], |row| row.get(0));
            assert_eq!(counted.map(|Number(count)| count), Ok(waiting));
        };
        check(now, "young", "old waiting,young acknowledged,young waiting", 2);
        check(now + 1, "", "old waiting,young waiting", 2);
        check(now + 7 * 24 * HOUR_MS, "", "", 0);
    }
}
