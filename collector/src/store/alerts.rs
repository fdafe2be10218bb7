//! What was told: the history that the page shows.

use loopscope_analyzer::span::ArrivalTime;
use loopscope_proto::v1::AlertRecord;
use rusqlite::{Connection, Transaction};

use super::{StoreError, to_column, to_count};

/// Most alerts that are kept; beyond it the oldest go.
pub const MAX_ALERTS: usize = 1_000;

/// Adds an alert; one that is there already stays as it is.
///
/// # Errors
/// Those of SQLite.
pub fn append(transaction: &Transaction<'_>, message_id: &str, body: &str, now: ArrivalTime) -> Result<(), StoreError> {
    append_within(transaction, message_id, body, now, MAX_ALERTS)
}

/// The newest alerts and what became of their messages, the newest first; without their incidents.
///
/// # Errors
/// Those of SQLite, or when a row is not ours.
pub fn newest(connection: &Connection, limit: usize) -> Result<Vec<AlertRecord>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT message_id, body,
            (SELECT count(*) FROM outbox o WHERE o.message_id = a.message_id AND o.state = 'delivered'),
            (SELECT count(*) FROM outbox o WHERE o.message_id = a.message_id AND o.state = 'pending'),
            (SELECT count(*) FROM outbox o WHERE o.message_id = a.message_id AND o.state = 'failed')
         FROM alerts a ORDER BY sequence DESC LIMIT ?1",
    )?;
    let mut rows = statement.query([to_count(limit)])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        let body: String = row.get(1)?;
        let alert = serde_json::from_str(&body)
            .map_err(|error| StoreError::Row { table: "alerts", reason: error.to_string() })?;
        records.push(AlertRecord {
            id: row.get(0)?,
            alert: Some(alert),
            delivered: row.get(2)?,
            pending: row.get(3)?,
            failed: row.get(4)?,
            incident: None,
        });
    }
    Ok(records)
}

fn append_within(
    transaction: &Transaction<'_>,
    message_id: &str,
    body: &str,
    now: ArrivalTime,
    bound: usize,
) -> Result<(), StoreError> {
    transaction
        .prepare_cached("INSERT OR IGNORE INTO alerts (message_id, created_at, body) VALUES (?1, ?2, ?3)")?
        .execute((message_id, to_column(now), body))?;
    transaction
        .prepare_cached(
            "DELETE FROM alerts WHERE sequence IN (SELECT sequence FROM alerts ORDER BY sequence DESC LIMIT -1 OFFSET ?1)",
        )?
        .execute([to_count(bound)])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, outbox};

    #[test]
    fn the_newest_come_first_with_their_deliveries() {
        let store = Store::in_memory().unwrap();
        let now = ArrivalTime(1);
        store
            .write(|transaction| {
                for id in ["msg_1", "msg_2", "msg_2", "msg_3"] {
                    append_within(transaction, id, &format!(r#"{{"type": "{id}"}}"#), now, 2)?;
                }
                outbox::enqueue(transaction, "msg_3", "{}", &["http://a/", "http://b/", "http://c/"], now)?;
                let message = outbox::next(transaction, "http://a/")?.expect("one is pending");
                outbox::delivered(transaction, message.sequence)?;
                let message = outbox::next(transaction, "http://b/")?.expect("one is pending");
                outbox::failed(transaction, message.sequence, "test")
            })
            .unwrap();
        let records = store.alert_history(10).unwrap();
        let ids: Vec<&str> = records.iter().map(|record| record.id.as_str()).collect();
        assert_eq!(ids, ["msg_3", "msg_2"]);
        assert_eq!((records[0].delivered, records[0].pending, records[0].failed), (1, 1, 1));
        assert_eq!(records[0].alert.as_ref().unwrap().r#type, "msg_3");
        assert_eq!(store.alert_history(1).unwrap().len(), 1);
    }
}
