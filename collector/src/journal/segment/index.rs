//! The index of a sealed segment: hashes of keys with positions, sorted, in blocks of one row each.
//!
//! A row of its own for each key would cost several times the bytes and a tree walk for each at write time.

use rusqlite::{Connection, Transaction, params};

use crate::journal::Position;

/// Entries of one block.
const BLOCK: usize = 1024;

/// Bytes of one entry: a hash, and the distance of the position from the segment's first.
const ENTRY: usize = 12;

/// Sorts and writes the index.
pub(super) fn write(
    transaction: &Transaction<'_>,
    first: Position,
    entries: &mut [(u64, Position)],
) -> rusqlite::Result<()> {
    entries.sort_unstable();
    let mut insert = transaction.prepare("INSERT INTO trace_index (first_hash, entries) VALUES (?1, ?2)")?;
    for block in entries.chunks(BLOCK) {
        let bytes: Vec<u8> = block.iter().flat_map(|(hash, position)| to_bytes(*hash, position - first)).collect();
        insert.execute(params![ordered(block[0].0), bytes])?;
    }
    Ok(())
}

/// The positions of batches that may hold the key with this hash, in order.
pub(super) fn read(connection: &Connection, first: Position, hash: u64) -> rusqlite::Result<Vec<Position>> {
    // The entries of one hash may begin in the block before the first that starts with it.
    let mut blocks = connection.prepare(
        "SELECT entries FROM trace_index
         WHERE first_hash <= ?1 AND block >= coalesce(
             (SELECT block FROM trace_index WHERE first_hash < ?1 ORDER BY first_hash DESC, block DESC LIMIT 1), 0)
         ORDER BY block",
    )?;
    let mut rows = blocks.query([ordered(hash)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let entries = row.get_ref(0)?.as_blob()?.as_chunks::<ENTRY>().0;
        let begin = entries.partition_point(|entry| of_bytes(entry).0 < hash);
        found.extend(
            entries[begin..]
                .iter()
                .map(of_bytes)
                .take_while(|(of, _)| *of == hash)
                .map(|(_, distance)| first + distance),
        );
    }
    Ok(found)
}

fn to_bytes(hash: u64, distance: u64) -> [u8; ENTRY] {
    let mut bytes = [0; ENTRY];
    bytes[..8].copy_from_slice(&hash.to_be_bytes());
    // Segments are cut long before they hold this many batches.
    bytes[8..].copy_from_slice(&u32::try_from(distance).unwrap_or(u32::MAX).to_be_bytes());
    bytes
}

fn of_bytes(bytes: &[u8; ENTRY]) -> (u64, u64) {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = *bytes;
    (u64::from_be_bytes([a, b, c, d, e, f, g, h]), u32::from_be_bytes([i, j, k, l]).into())
}

/// SQLite's numbers have a sign; this keeps the order.
fn ordered(hash: u64) -> i64 {
    (hash ^ (1 << 63)).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_found_also_over_the_borders_of_blocks() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(super::super::SCHEMA).unwrap();
        let mut entries: Vec<(u64, Position)> =
            (0..5000).map(|i: u64| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15), 100 + i)).collect();
        // One hash that fills more than two blocks.
        entries.extend((0..3000).map(|i| (77, 6000 + i)));
        let transaction = connection.transaction().unwrap();
        write(&transaction, 100, &mut entries).unwrap();
        transaction.commit().unwrap();
        for (hash, position) in entries.iter().filter(|(hash, _)| *hash != 77) {
            assert_eq!(read(&connection, 100, *hash).unwrap(), [*position]);
        }
        assert_eq!(read(&connection, 100, 77).unwrap(), (6000..9000).collect::<Vec<_>>());
        assert!(read(&connection, 100, 78).unwrap().is_empty());
        assert!(read(&connection, 100, u64::MAX).unwrap().is_empty());
    }
}
