//! What the engine knew at one position of the journal: the newest only.

use loopscope_analyzer::span::ArrivalTime;
use rusqlite::{Connection, OptionalExtension as _, Transaction};

use super::{StoreError, from_column, to_column};
use crate::journal::Position;

/// The bytes that were saved last, with the position that they stand for; `None` when none were.
///
/// # Errors
/// Those of SQLite.
pub fn load(connection: &Connection) -> Result<Option<(Position, Vec<u8>)>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT position, blob FROM engine_state")?;
    let row = statement.query_row([], |row| Ok((from_column(row.get(0)?), row.get(1)?))).optional()?;
    Ok(row)
}

/// Keeps bytes in place of those that were saved before.
///
/// # Errors
/// Those of SQLite.
pub fn save(
    transaction: &Transaction<'_>,
    position: Position,
    written_at: ArrivalTime,
    blob: &[u8],
) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "INSERT INTO engine_state (only, position, written_at, blob) VALUES (1, ?1, ?2, ?3)
             ON CONFLICT (only) DO UPDATE SET position = excluded.position, written_at = excluded.written_at,
                blob = excluded.blob",
        )?
        .execute((to_column(ArrivalTime(position)), to_column(written_at), blob))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn the_newest_state_replaces_the_one_before() {
        let store = Store::in_memory().unwrap();
        assert_eq!(store.read(load).unwrap(), None);
        for (position, blob) in [(3, b"old".as_slice()), (9, b"new")] {
            store.write(|transaction| save(transaction, position, ArrivalTime(1), blob)).unwrap();
        }
        assert_eq!(store.read(load).unwrap(), Some((9, b"new".to_vec())));
    }
}
