//! What people said of loops: the last word on each.

use loopscope_analyzer::{intended::Verdict, snapshot::LoopId, span::ArrivalTime};
use rusqlite::{Connection, Transaction};

use super::{StoreError, from_column, to_column};

/// What somebody said of a loop, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// The loop.
    pub loop_id: LoopId,
    /// The verdict; never [`Verdict::Withdrawn`].
    pub verdict: Verdict,
    /// When it was said.
    pub at: ArrivalTime,
}

/// All verdicts, the newest first.
///
/// # Errors
/// Those of SQLite, or when a row is not ours.
pub fn load(connection: &Connection) -> Result<Vec<Said>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT loop_id, verdict, max_depth, said_at FROM verdicts ORDER BY said_at DESC, loop_id")?;
    let mut rows = statement.query([])?;
    let mut said = Vec::new();
    while let Some(row) = rows.next()? {
        let loop_id: String = row.get(0)?;
        let word: String = row.get(1)?;
        let verdict = match (word.as_str(), row.get::<_, Option<u32>>(2)?) {
            ("expected", Some(max_depth)) => Verdict::Expected { max_depth },
            ("runaway", None) => Verdict::Runaway,
            _ => return Err(wrong(format!("unknown verdict {word:?}"))),
        };
        let loop_id = LoopId(u128::from_str_radix(&loop_id, 16).map_err(wrong)?);
        said.push(Said { loop_id, verdict, at: ArrivalTime(from_column(row.get(3)?)) });
    }
    Ok(said)
}

/// Keeps a verdict in place of the one before; forgets that one when it is withdrawn.
///
/// # Errors
/// Those of SQLite.
pub fn save(transaction: &Transaction<'_>, said: &Said) -> Result<(), StoreError> {
    let loop_id = said.loop_id.to_string();
    let (word, max_depth) = match said.verdict {
        Verdict::Expected { max_depth } => ("expected", Some(max_depth)),
        Verdict::Runaway => ("runaway", None),
        Verdict::Withdrawn => {
            transaction.execute("DELETE FROM verdicts WHERE loop_id = ?1", [loop_id])?;
            return Ok(());
        }
    };
    transaction
        .prepare_cached(
            "INSERT INTO verdicts (loop_id, verdict, max_depth, said_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (loop_id) DO UPDATE SET verdict = excluded.verdict, max_depth = excluded.max_depth,
                said_at = excluded.said_at",
        )?
        .execute((loop_id, word, max_depth, to_column(said.at)))?;
    Ok(())
}

fn wrong(reason: impl ToString) -> StoreError {
    StoreError::Row { table: "verdicts", reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn the_last_word_counts_until_it_is_withdrawn() {
        let store = Store::in_memory().unwrap();
        let say = |loop_id, verdict, at| {
            let said = Said { loop_id: LoopId(loop_id), verdict, at: ArrivalTime(at) };
            store.write(|transaction| save(transaction, &said)).unwrap();
            said
        };
        say(u128::MAX, Verdict::Runaway, 1);
        let expected = say(u128::MAX, Verdict::Expected { max_depth: 20 }, 2);
        let runaway = say(7, Verdict::Runaway, 3);
        assert_eq!(store.read(load).unwrap(), [runaway, expected]);
        say(7, Verdict::Withdrawn, 4);
        assert_eq!(store.read(load).unwrap(), [expected]);
    }
}
