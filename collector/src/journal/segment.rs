//! One SQLite file of the journal: its schema, how it is written, sealed and read.
//!
//! A segment is written by one connection and read by others. It uses a write-ahead log with `synchronous=FULL`: a
//! commit appends to the log and syncs it once, and the pages reach the file itself later, so that a group of batches
//! costs one sync. Bodies are long and mostly fill pages of their own; a small page wastes the least of the last one.

mod index;
mod reader;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};

pub(super) use self::reader::Reader;
use super::{
    JournalError, Position,
    batch::{self, Batch},
    queue::Ack,
};

/// Written into every file, so that a later version knows what it reads.
const FORMAT: i64 = 1;

/// SQLite's own choice, and the right one here: bodies are long and mostly fill pages of their own.
const PAGE_BYTES: u64 = 4096;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS batch (
        position INTEGER PRIMARY KEY,
        received_unix_nanos INTEGER NOT NULL,
        signal INTEGER NOT NULL,
        items INTEGER NOT NULL,
        trace_ids BLOB NOT NULL,
        body_bytes INTEGER NOT NULL,
        body BLOB NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS trace_index (
        block INTEGER PRIMARY KEY,
        first_hash INTEGER NOT NULL,
        entries BLOB NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS trace_index_first_hash ON trace_index (first_hash);
    CREATE TABLE IF NOT EXISTS seal (
        last_position INTEGER NOT NULL,
        newest_unix_nanos INTEGER NOT NULL
    ) STRICT;
";

/// A segment that is open for writing.
pub(super) struct Segment {
    path: PathBuf,
    first: Position,
    connection: Connection,
}

/// What a segment says of itself when it is opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// Its last position; one before its first if it is empty.
    pub(super) last: Position,
    /// When its first batch arrived; 0 if it is empty.
    pub(super) oldest_unix_nanos: u64,
    /// When its newest batch arrived; 0 if it is empty.
    pub(super) newest_unix_nanos: u64,
    /// True when nothing is to be added to it.
    pub(super) sealed: bool,
}

impl Segment {
    /// Opens or makes the segment that begins at a position. What a crash left in its log is taken in by SQLite.
    pub(super) fn open(path: PathBuf, first: Position, durable: bool) -> Result<Self, JournalError> {
        let open = || {
            let connection = Connection::open_with_flags(
                &path,
                OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
            )?;
            connection.busy_timeout(reader::BUSY)?;
            connection.pragma_update(None, "page_size", PAGE_BYTES.cast_signed())?;
            connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
            connection.pragma_update(None, "synchronous", if durable { "full" } else { "off" })?;
            connection.execute_batch(SCHEMA)?;
            connection.pragma_update(None, "user_version", FORMAT)?;
            Ok(connection)
        };
        match open() {
            Ok(connection) => Ok(Self { path, first, connection }),
            Err(source) => Err(JournalError::Segment { path, source }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn first(&self) -> Position {
        self.first
    }

    /// Bounds the log: SQLite moves it into the file at the end of the commit that makes it longer.
    pub(super) fn bound_log(&self, bytes: u64) -> Result<(), JournalError> {
        let pages = (bytes / PAGE_BYTES).cast_signed();
        self.connection.pragma_update(None, "wal_autocheckpoint", pages).map_err(|source| self.failed(source))
    }

    pub(super) fn extent(&self) -> Result<Extent, JournalError> {
        extent(&self.connection, self.first).map_err(|source| self.failed(source))
    }

    /// Makes a group of batches durable, the first at the given position; all of them or none.
    pub(super) fn insert(&mut self, first: Position, group: &[(Batch, Ack)]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let mut insert = transaction.prepare_cached("INSERT INTO batch VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
        for (position, (batch, _)) in (first..).zip(group) {
            insert.execute(params![
                position.cast_signed(),
                batch.received_unix_nanos.cast_signed(),
                batch::signal_to_number(batch.signal),
                batch.items.cast_signed(),
                batch::keys_to_blob(&batch.keys),
                batch.body.len() as i64,
                batch.packed(),
            ])?;
        }
        drop(insert);
        transaction.commit()
    }

    /// Hashes of the keys of all batches with their positions, in the order of positions.
    pub(super) fn read_index(&self) -> Result<Vec<(u64, Position)>, JournalError> {
        let read = || {
            let mut found = Vec::new();
            let mut batches = self.connection.prepare("SELECT position, trace_ids FROM batch ORDER BY position")?;
            let mut rows = batches.query([])?;
            while let Some(row) = rows.next()? {
                let position = row.get::<_, i64>(0)?.cast_unsigned();
                let keys = row.get_ref(1)?.as_blob()?;
                found.extend(batch::keys_of_blob(keys).map(|key| (batch::hash(key), position)));
            }
            Ok(found)
        };
        read().map_err(|source| self.failed(source))
    }

    /// Writes the sorted index, and says that nothing will be added. The index is left sorted.
    pub(super) fn seal(&mut self, index: &mut [(u64, Position)]) -> Result<Extent, JournalError> {
        let extent = self.extent()?;
        let mut seal = || {
            let transaction = self.connection.transaction()?;
            index::write(&transaction, self.first, index)?;
            transaction.execute(
                "INSERT INTO seal VALUES (?1, ?2)",
                [extent.last.cast_signed(), extent.newest_unix_nanos.cast_signed()],
            )?;
            transaction.commit()?;
            // Readers may hold the log for a moment; closing the last connection moves it then.
            self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        };
        match seal() {
            Ok(()) => Ok(Extent { sealed: true, ..extent }),
            Err(source) => Err(self.failed(source)),
        }
    }

    fn failed(&self, source: rusqlite::Error) -> JournalError {
        JournalError::Segment { path: self.path.clone(), source }
    }

    /// Lets a test run into a full disk.
    #[cfg(test)]
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }
}

fn extent(connection: &Connection, first: Position) -> rusqlite::Result<Extent> {
    let number = |row: &rusqlite::Row<'_>, column| row.get::<_, i64>(column).map(i64::cast_unsigned);
    let received = |order: &str| {
        connection
            .query_row(
                &format!("SELECT position, received_unix_nanos FROM batch ORDER BY position {order} LIMIT 1"),
                [],
                |row| Ok((number(row, 0)?, number(row, 1)?)),
            )
            .optional()
    };
    let sealed = connection
        .query_row("SELECT last_position, newest_unix_nanos FROM seal", [], |row| {
            Ok((number(row, 0)?, number(row, 1)?))
        })
        .optional()?;
    let oldest_unix_nanos = received("ASC")?.map_or(0, |(_, received)| received);
    let newest = match sealed {
        Some(newest) => Some(newest),
        None => received("DESC")?,
    };
    let (last, newest_unix_nanos) = newest.unwrap_or((first - 1, 0));
    Ok(Extent { last, oldest_unix_nanos, newest_unix_nanos, sealed: sealed.is_some() })
}
