//! Loops that somebody declared as intended.

use loopscope_analyzer::span::ArrivalTime;
use loopscope_proto::v1;
use rusqlite::{Connection, Transaction};

use super::{StoreError, to_column};

/// All declarations, the oldest first.
///
/// # Errors
/// Those of SQLite, or when a row is not ours.
pub fn load(connection: &Connection) -> Result<Vec<v1::Intended>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT body FROM intended ORDER BY declared_at, id")?;
    let bodies = statement.query_map([], |row| row.get::<_, String>(0))?;
    bodies.map(|body| serde_json::from_str(&body?).map_err(wrong)).collect()
}

/// Adds a declaration or replaces the one with its id.
///
/// # Errors
/// Those of SQLite.
pub fn save(transaction: &Transaction<'_>, intended: &v1::Intended, now: ArrivalTime) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "INSERT INTO intended (id, declared_at, body) VALUES (?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET declared_at = excluded.declared_at, body = excluded.body",
        )?
        .execute((&intended.id, to_column(now), serde_json::to_string(intended).map_err(wrong)?))?;
    Ok(())
}

/// Removes a declaration; false when there is none with this id.
///
/// # Errors
/// Those of SQLite.
pub fn remove(transaction: &Transaction<'_>, id: &str) -> Result<bool, StoreError> {
    Ok(transaction.execute("DELETE FROM intended WHERE id = ?1", [id])? > 0)
}

fn wrong(reason: impl ToString) -> StoreError {
    StoreError::Row { table: "intended", reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn declarations_come_back_are_replaced_and_go() {
        let store = Store::in_memory().unwrap();
        let first = v1::Intended { id: "a".into(), max_depth: Some(3), ..Default::default() };
        let second = v1::Intended { id: "b".into(), owner: "media".into(), ..Default::default() };
        for (at, intended) in [(1, &first), (2, &second)] {
            store.write(|transaction| save(transaction, intended, ArrivalTime(at))).unwrap();
        }
        assert_eq!(store.read(load).unwrap(), [first.clone(), second.clone()]);
        let wider = v1::Intended { max_depth: Some(9), ..first };
        store.write(|transaction| save(transaction, &wider, ArrivalTime(3))).unwrap();
        assert_eq!(store.read(load).unwrap(), [second, wider]);
        assert!(store.write(|transaction| remove(transaction, "b")).unwrap());
        assert!(!store.write(|transaction| remove(transaction, "b")).unwrap());
        assert_eq!(store.read(load).unwrap().len(), 1);
    }
}
