//! Where the nodes of the graph stand on the map.

use std::collections::BTreeMap;

use loopscope_analyzer::snapshot::NodeId;
use rusqlite::{Connection, Transaction};

use super::{StoreError, to_count};

/// Most places that are kept; beyond it those that were placed first go, pinned ones last.
pub const MAX_PLACES: usize = 50_000;

/// All places, in map units.
///
/// # Errors
/// Those of SQLite.
pub fn load(connection: &Connection) -> Result<BTreeMap<NodeId, (f64, f64)>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT node_id, x, y FROM places")?;
    let rows = statement
        .query_map([], |row| Ok((NodeId(row.get::<_, i64>(0)?.cast_unsigned()), (row.get(1)?, row.get(2)?))))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds or moves nodes; places that are not finite are left out.
///
/// # Errors
/// Those of SQLite.
pub fn save(transaction: &Transaction<'_>, places: &[(NodeId, f64, f64)]) -> Result<(), StoreError> {
    save_within(transaction, places, MAX_PLACES)
}

fn save_within(transaction: &Transaction<'_>, places: &[(NodeId, f64, f64)], bound: usize) -> Result<(), StoreError> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO places (node_id, x, y) VALUES (?1, ?2, ?3)
         ON CONFLICT (node_id) DO UPDATE SET x = excluded.x, y = excluded.y",
    )?;
    for (node, x, y) in places.iter().filter(|(_, x, y)| x.is_finite() && y.is_finite()) {
        statement.execute((node.0.cast_signed(), x, y))?;
    }
    transaction
        .prepare_cached(
            "DELETE FROM places WHERE sequence IN (
                SELECT sequence FROM places ORDER BY pinned DESC, sequence DESC LIMIT -1 OFFSET ?1)",
        )?
        .execute([to_count(bound)])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn every_id_comes_back_and_moves() {
        let store = Store::in_memory().unwrap();
        store.save_places(&[(NodeId(u64::MAX), 1.0, 2.0), (NodeId(0), -1.5, 0.0), (NodeId(5), f64::NAN, 0.0)]).unwrap();
        store.save_places(&[(NodeId(0), 3.0, 4.0)]).unwrap();
        let expected = BTreeMap::from([(NodeId(0), (3.0, 4.0)), (NodeId(u64::MAX), (1.0, 2.0))]);
        assert_eq!(store.load_places().unwrap(), expected);
    }

    #[test]
    fn the_oldest_go_first_and_pinned_ones_last() {
        let store = Store::in_memory().unwrap();
        store.save_places(&[(NodeId(1), 0.0, 0.0), (NodeId(2), 0.0, 0.0)]).unwrap();
        store
            .write(|transaction| {
                transaction.execute("UPDATE places SET pinned = 1 WHERE node_id = 1", [])?;
                save_within(transaction, &[(NodeId(3), 0.0, 0.0)], 2)
            })
            .unwrap();
        assert_eq!(store.load_places().unwrap().into_keys().collect::<Vec<_>>(), [NodeId(1), NodeId(3)]);
    }
}
