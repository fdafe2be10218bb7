//! Reads a segment while it is written, or when it is sealed.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use rusqlite::{Connection, OpenFlags};

use super::{Extent, extent, index};
use crate::{
    journal::{JournalError, Position, Wanted, batch},
    otlp::{Signal, key::Key},
};

/// How long a connection waits for another one's lock.
pub(super) const BUSY: Duration = Duration::from_secs(5);

/// A connection that only reads.
pub(in crate::journal) struct Reader {
    path: PathBuf,
    first: Position,
    connection: Connection,
}

/// One stored batch.
pub(in crate::journal) struct Row {
    pub(in crate::journal) position: Position,
    pub(in crate::journal) received_unix_nanos: u64,
    pub(in crate::journal) signal: Signal,
    pub(in crate::journal) items: u64,
    pub(in crate::journal) body: Bytes,
}

impl Reader {
    /// Opens the segment that begins at a position.
    pub(in crate::journal) fn open(path: &Path, first: Position) -> Result<Self, JournalError> {
        let open = || {
            // A read-only connection could not make the shared index of the write-ahead log.
            let connection =
                Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
            connection.busy_timeout(BUSY)?;
            connection.pragma_update(None, "query_only", true)?;
            Ok(connection)
        };
        match open() {
            Ok(connection) => Ok(Self { path: path.into(), first, connection }),
            Err(source) => Err(JournalError::Segment { path: path.into(), source }),
        }
    }

    pub(in crate::journal) fn first(&self) -> Position {
        self.first
    }

    pub(in crate::journal) fn extent(&self) -> Result<Extent, JournalError> {
        extent(&self.connection, self.first).map_err(|source| self.failed(source))
    }

    /// The batches from one position up to another, until their bodies exceed `max_bytes`; at least one if there is
    /// one. A damaged batch is an error for itself.
    pub(in crate::journal) fn batches(
        &self,
        from: Position,
        to: Position,
        max_bytes: usize,
    ) -> Result<Vec<Result<Row, Position>>, JournalError> {
        let read = || {
            let mut select = self.connection.prepare_cached(
                "SELECT position, received_unix_nanos, signal, body_bytes, body, items FROM batch
                 WHERE position BETWEEN ?1 AND ?2 ORDER BY position",
            )?;
            let mut rows = select.query([from.cast_signed(), to.cast_signed()])?;
            let (mut found, mut bytes) = (Vec::new(), 0);
            while bytes <= max_bytes
                && let Some(row) = rows.next()?
            {
                let row = to_row(row)?;
                bytes += row.as_ref().map_or(0, |row| row.body.len());
                found.push(row);
            }
            Ok(found)
        };
        read().map_err(|source| self.failed(source))
    }

    /// The positions of batches that may hold a key, by the index of the sealed segment.
    pub(in crate::journal) fn indexed(&self, key: Key) -> Result<Vec<Position>, JournalError> {
        index::read(&self.connection, self.first, batch::hash(key)).map_err(|source| self.failed(source))
    }

    /// The batch at a position, if it is what is wanted.
    pub(in crate::journal) fn batch_of(
        &self,
        position: Position,
        wanted: &Wanted<'_>,
    ) -> Result<Option<Row>, JournalError> {
        let holds = || {
            let mut select = self
                .connection
                .prepare_cached("SELECT trace_ids, signal, received_unix_nanos FROM batch WHERE position = ?1")?;
            let mut rows = select.query([position.cast_signed()])?;
            let Some(row) = rows.next()? else { return Ok(false) };
            let received = row.get::<_, i64>(2)?.cast_unsigned();
            Ok(row.get::<_, i64>(1)? == batch::signal_to_number(wanted.signal)
                && wanted.received.contains(&received)
                && batch::keys_of_blob(row.get_ref(0)?.as_blob()?).any(|key| wanted.keys.contains(&key)))
        };
        if !holds().map_err(|source| self.failed(source))? {
            return Ok(None);
        }
        match self.batches(position, position, 0)?.pop() {
            Some(Ok(row)) => Ok(Some(row)),
            Some(Err(position)) => Err(JournalError::Damaged { position }),
            None => Ok(None),
        }
    }

    fn failed(&self, source: rusqlite::Error) -> JournalError {
        JournalError::Segment { path: self.path.clone(), source }
    }
}

fn to_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Result<Row, Position>> {
    let position = row.get::<_, i64>(0)?.cast_unsigned();
    let length = usize::try_from(row.get::<_, i64>(3)?).ok();
    let body = length.and_then(|length| batch::unpack(row.get_ref(4).ok()?.as_blob().ok()?, length).ok());
    let signal = batch::signal_of_number(row.get(2)?);
    Ok(match signal.zip(body) {
        Some((signal, body)) => {
            let received_unix_nanos = row.get::<_, i64>(1)?.cast_unsigned();
            let items = row.get::<_, i64>(5)?.cast_unsigned();
            Ok(Row { position, received_unix_nanos, signal, items, body })
        }
        None => Err(position),
    })
}
