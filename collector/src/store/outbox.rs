//! Messages on their way: one row for each message and target.

use loopscope_analyzer::span::ArrivalTime;
use rusqlite::{Connection, OptionalExtension as _, Transaction};

use super::{StoreError, from_column, to_column, to_count};

/// Most rows that are kept; beyond it delivered ones go first, then failed ones, then those that wait, each the
/// oldest first.
pub const MAX_OUTBOX: usize = 50_000;

/// A message that waits for its next attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Names the row.
    pub sequence: i64,
    /// The same over all attempts and targets.
    pub message_id: String,
    /// What is sent.
    pub body: String,
    /// Attempts so far.
    pub attempts: u32,
    /// When the next one is due.
    pub next_attempt_at: ArrivalTime,
}

/// Adds one row for each target, due at once; rows that are there already stay as they are. Returns how many waiting
/// rows had to go because there were too many.
///
/// # Errors
/// Those of SQLite.
pub fn enqueue(
    transaction: &Transaction<'_>,
    message_id: &str,
    body: &str,
    targets: &[&str],
    now: ArrivalTime,
) -> Result<u64, StoreError> {
    enqueue_within(transaction, message_id, body, targets, now, MAX_OUTBOX)
}

/// The message of this target whose attempt is due first, whether that is now or later.
///
/// # Errors
/// Those of SQLite.
pub fn next(connection: &Connection, target: &str) -> Result<Option<Pending>, StoreError> {
    let message = connection
        .prepare_cached(
            "SELECT sequence, message_id, body, attempts, next_attempt_at FROM outbox
             WHERE target = ?1 AND state = 'pending' ORDER BY next_attempt_at, sequence LIMIT 1",
        )?
        .query_row([target], |row| {
            Ok(Pending {
                sequence: row.get(0)?,
                message_id: row.get(1)?,
                body: row.get(2)?,
                attempts: row.get(3)?,
                next_attempt_at: ArrivalTime(from_column(row.get(4)?)),
            })
        })
        .optional()?;
    Ok(message)
}

/// Notes that a message has arrived.
///
/// # Errors
/// Those of SQLite.
pub fn delivered(transaction: &Transaction<'_>, sequence: i64) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "UPDATE outbox SET state = 'delivered', attempts = attempts + 1, last_error = NULL WHERE sequence = ?1",
        )?
        .execute([sequence])?;
    Ok(())
}

/// Notes that an attempt has failed and when the next one is due.
///
/// # Errors
/// Those of SQLite.
pub fn retry(
    transaction: &Transaction<'_>,
    sequence: i64,
    next_attempt_at: ArrivalTime,
    error: &str,
) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "UPDATE outbox SET attempts = attempts + 1, next_attempt_at = ?2, last_error = ?3 WHERE sequence = ?1",
        )?
        .execute((sequence, to_column(next_attempt_at), error))?;
    Ok(())
}

/// Notes that the last attempt has failed.
///
/// # Errors
/// Those of SQLite.
pub fn failed(transaction: &Transaction<'_>, sequence: i64, error: &str) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "UPDATE outbox SET state = 'failed', attempts = attempts + 1, last_error = ?2 WHERE sequence = ?1",
        )?
        .execute((sequence, error))?;
    Ok(())
}

/// Gives up all messages that wait for this target; returns how many.
///
/// # Errors
/// Those of SQLite.
pub fn give_up_target(transaction: &Transaction<'_>, target: &str, error: &str) -> Result<u64, StoreError> {
    let rows = transaction
        .prepare_cached("UPDATE outbox SET state = 'failed', last_error = ?2 WHERE target = ?1 AND state = 'pending'")?
        .execute((target, error))?;
    Ok(rows as u64)
}

/// Every target for which messages wait, ordered by name.
///
/// # Errors
/// Those of SQLite.
pub fn waiting_targets(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT DISTINCT target FROM outbox WHERE state = 'pending' ORDER BY target")?;
    let targets = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(targets)
}

/// How many messages wait.
///
/// # Errors
/// Those of SQLite.
pub fn count_pending(connection: &Connection) -> Result<u64, StoreError> {
    let rows: i64 = connection
        .prepare_cached("SELECT count(*) FROM outbox WHERE state = 'pending'")?
        .query_row([], |row| row.get(0))?;
    Ok(from_column(rows))
}

fn enqueue_within(
    transaction: &Transaction<'_>,
    message_id: &str,
    body: &str,
    targets: &[&str],
    now: ArrivalTime,
    bound: usize,
) -> Result<u64, StoreError> {
    let mut insert = transaction.prepare_cached(
        "INSERT OR IGNORE INTO outbox (message_id, target, body, created_at, state, next_attempt_at)
         VALUES (?1, ?2, ?3, ?4, 'pending', ?4)",
    )?;
    for target in targets {
        insert.execute((message_id, target, body, to_column(now)))?;
    }
    let mut trim = transaction.prepare_cached(
        "DELETE FROM outbox WHERE sequence IN (
            SELECT sequence FROM outbox
            ORDER BY CASE state WHEN 'pending' THEN 0 WHEN 'failed' THEN 1 ELSE 2 END, sequence DESC
            LIMIT -1 OFFSET ?1)
         RETURNING state = 'pending'",
    )?;
    let gone = trim.query_map([to_count(bound)], |row| row.get(0))?.collect::<Result<Vec<bool>, _>>()?;
    Ok(gone.into_iter().filter(|pending| *pending).count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    const TARGET: &str = "http://a/";

    #[test]
    fn a_message_waits_until_it_is_delivered() {
        let store = Store::in_memory().unwrap();
        store.write(|t| enqueue(t, "msg_1", "{}", &[TARGET, "http://b/"], ArrivalTime(10))).unwrap();
        store.write(|t| enqueue(t, "msg_1", "other", &[TARGET], ArrivalTime(11))).unwrap();
        let first = store.read(|c| next(c, TARGET)).unwrap().unwrap();
        assert_eq!((first.body.as_str(), first.attempts, first.next_attempt_at), ("{}", 0, ArrivalTime(10)));
        store.write(|t| retry(t, first.sequence, ArrivalTime(99), "refused")).unwrap();
        store.write(|t| enqueue(t, "msg_2", "{}", &[TARGET], ArrivalTime(20))).unwrap();
        let sooner = store.read(|c| next(c, TARGET)).unwrap().unwrap();
        assert_eq!(sooner.message_id, "msg_2");
        store.write(|t| delivered(t, sooner.sequence)).unwrap();
        let again = store.read(|c| next(c, TARGET)).unwrap().unwrap();
        assert_eq!((again.attempts, again.next_attempt_at), (1, ArrivalTime(99)));
        assert_eq!(store.read(waiting_targets).unwrap(), [TARGET, "http://b/"]);
        store.write(|t| failed(t, again.sequence, "refused")).unwrap();
        assert_eq!(store.read(|c| next(c, TARGET)).unwrap(), None);
        assert_eq!(store.read(count_pending).unwrap(), 1);
        assert_eq!(store.write(|t| give_up_target(t, "http://b/", "gone")).unwrap(), 1);
        assert_eq!(store.read(count_pending).unwrap(), 0);
    }

    #[test]
    fn delivered_messages_are_forgotten_before_waiting_ones() {
        let store = Store::in_memory().unwrap();
        let add = |id: &str| store.write(|t| enqueue_within(t, id, "{}", &[TARGET], ArrivalTime(1), 2)).unwrap();
        assert_eq!((add("msg_1"), add("msg_2")), (0, 0));
        let second = store.read(|c| next(c, TARGET)).unwrap().unwrap();
        assert_eq!(second.message_id, "msg_1");
        store.write(|t| delivered(t, second.sequence)).unwrap();
        assert_eq!(add("msg_3"), 0);
        assert_eq!(add("msg_4"), 1);
        assert_eq!(store.read(|c| next(c, TARGET)).unwrap().unwrap().message_id, "msg_3");
    }
}
