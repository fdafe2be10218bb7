//! The rows of the windows: one for each length and start, with a blob of all that was measured.
//!
//! One blob for all series of a window, because they are written and read together, and compress ten times better than
//! apart. It knows SQLite and zstd, and not what is in a blob.

use std::{collections::BTreeSet, io::Read as _, path::Path, time::Duration};

use loopscope_analyzer::{
    detect::change::Past,
    measured::Measured,
    span::ArrivalTime,
    windows::{Length, Range, WINDOW_FORMAT},
};
use rusqlite::{Connection, OptionalExtension as _};

use super::WindowError;
use crate::store;

/// How long to wait for another process, such as a backup, that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How hard to compress: what takes little time.
const LEVEL: i32 = 1;

/// Bound on the bytes of one window before it is compressed: 100,000 edges that all moved take a tenth of it.
const MAX_WINDOW_BYTES: u64 = 1 << 28;

const TABLES: &str = "
    DROP TABLE IF EXISTS windows;
    DROP TABLE IF EXISTS watch;
    CREATE TABLE windows (
        length INTEGER NOT NULL, -- seconds
        start INTEGER NOT NULL,  -- seconds since 1970-01-01 UTC
        seconds REAL NOT NULL,   -- of these were seen
        bytes INTEGER NOT NULL,
        blob BLOB NOT NULL,
        UNIQUE (length, start)
    ) STRICT;
    CREATE TABLE watch (only INTEGER PRIMARY KEY CHECK (only = 1), blob BLOB NOT NULL) STRICT;
";

/// Opens the file; windows of another format are let go.
pub(super) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    store::keep_private(path);
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    let format: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if format != i64::from(WINDOW_FORMAT) {
        if format != 0 {
            tracing::warn!(format, known = WINDOW_FORMAT, "the windows are of another format; they begin anew");
        }
        connection.execute_batch(TABLES)?;
        connection.pragma_update(None, "user_version", WINDOW_FORMAT)?;
    }
    Ok(connection)
}

/// Writes a window in place of the one that was there, unless that has seen clearly more of its time.
pub(super) fn put(
    connection: &Connection,
    length: Length,
    start: ArrivalTime,
    measured: &Measured,
) -> Result<(), WindowError> {
    let blob = zstd::bulk::compress(&measured.to_bytes(), LEVEL)?;
    connection
        .prepare_cached(
            "INSERT INTO windows (length, start, seconds, bytes, blob) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (length, start) DO UPDATE SET
                seconds = excluded.seconds, bytes = excluded.bytes, blob = excluded.blob
             WHERE excluded.seconds + 1 >= windows.seconds",
        )?
        .execute((to_length(length), to_second(start), measured.seconds, count(blob.len()), blob))?;
    Ok(())
}

/// Reads a window; `None` when there is none, or when it is damaged.
pub(super) fn get(
    connection: &Connection,
    length: Length,
    start: ArrivalTime,
) -> Result<Option<Measured>, WindowError> {
    let mut statement = connection.prepare_cached("SELECT blob FROM windows WHERE length = ?1 AND start = ?2")?;
    let blob: Option<Vec<u8>> =
        statement.query_row((to_length(length), to_second(start)), |row| row.get(0)).optional()?;
    let Some(blob) = blob else { return Ok(None) };
    let measured = read(&blob).and_then(|bytes| Measured::from_bytes(&bytes));
    if measured.is_none() {
        tracing::warn!(?length, start = start.0, "a window cannot be read; it is passed over");
    }
    Ok(measured)
}

fn read(blob: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    let decoder = zstd::stream::read::Decoder::new(blob).ok()?;
    decoder.take(MAX_WINDOW_BYTES).read_to_end(&mut plain).ok()?;
    Some(plain)
}

/// The windows that begin in some time.
pub(super) fn kept(connection: &Connection, time: Range) -> Result<BTreeSet<(Length, ArrivalTime)>, WindowError> {
    let mut statement = connection
        .prepare_cached("SELECT length, start FROM windows WHERE length = ?1 AND start >= ?2 AND start < ?3")?;
    let mut found = BTreeSet::new();
    for length in Length::ALL {
        let end = to_second(ArrivalTime(time.to.0.saturating_add(999_999_999)));
        let rows = statement.query_map((to_length(length), to_second(time.from), end), |row| row.get::<_, i64>(1))?;
        for row in rows {
            found.insert((length, from_second(row?)));
        }
    }
    Ok(found)
}

/// All that was measured in some time, by the longest windows that fit.
pub(super) fn measured(connection: &Connection, time: Range) -> Result<Measured, WindowError> {
    let mut all = Measured::default();
    for (length, start) in time.covered_by(&kept(connection, time)?) {
        if let Some(window) = get(connection, length, start)? {
            all.merge(&window);
        }
    }
    Ok(all)
}

/// The windows behind a connection, for the watch.
pub(super) struct Rows<'a>(pub(super) &'a Connection);

impl Past for Rows<'_> {
    fn each(&self, time: Range, take: &mut dyn FnMut(ArrivalTime, &Measured)) {
        let mut read = || -> Result<(), WindowError> {
            for (length, start) in time.covered_by(&kept(self.0, time)?) {
                if let Some(window) = get(self.0, length, start)? {
                    take(start, &window);
                }
            }
            Ok(())
        };
        if let Err(error) = read() {
            tracing::error!(%error, "windows cannot be read; what changed may go unseen");
        }
    }
}

/// What was saved of the watch; `None` when nothing was.
pub(super) fn load_watch(connection: &Connection) -> Result<Option<Vec<u8>>, WindowError> {
    let blob: Option<Vec<u8>> = connection.query_row("SELECT blob FROM watch", [], |row| row.get(0)).optional()?;
    Ok(blob.as_deref().and_then(read))
}

/// Saves the watch in place of what was saved before.
pub(super) fn save_watch(connection: &Connection, bytes: &[u8]) -> Result<(), WindowError> {
    connection
        .prepare_cached(
            "INSERT INTO watch (only, blob) VALUES (1, ?1) ON CONFLICT (only) DO UPDATE SET blob = excluded.blob",
        )?
        .execute([zstd::bulk::compress(bytes, LEVEL)?])?;
    Ok(())
}

/// The newest window of a length.
pub(super) fn newest(connection: &Connection, length: Length) -> Result<Option<ArrivalTime>, WindowError> {
    let mut statement = connection.prepare_cached("SELECT max(start) FROM windows WHERE length = ?1")?;
    let start: Option<i64> = statement.query_row([to_length(length)], |row| row.get(0))?;
    Ok(start.map(from_second))
}

/// Lets windows of a length go that are older than it is kept, and the oldest beyond `bytes`; how many those were.
pub(super) fn prune(connection: &Connection, length: Length, now: ArrivalTime, bytes: u64) -> Result<u64, WindowError> {
    let oldest = ArrivalTime(now.0.saturating_sub(nanos(length.kept() + length.duration())));
    connection
        .prepare_cached("DELETE FROM windows WHERE length = ?1 AND start < ?2")?
        .execute((to_length(length), to_second(oldest)))?;
    let mut statement = connection.prepare_cached("SELECT coalesce(sum(bytes), 0) FROM windows WHERE length = ?1")?;
    let mut dropped = 0;
    while statement.query_row([to_length(length)], |row| row.get::<_, i64>(0))? > count(bytes) {
        dropped += connection
            .prepare_cached(
                "DELETE FROM windows WHERE length = ?1 AND start =
                    (SELECT min(start) FROM windows WHERE length = ?1)",
            )?
            .execute([to_length(length)])?;
    }
    Ok(dropped as u64)
}

fn to_length(length: Length) -> i64 {
    count(length.duration().as_secs())
}

fn to_second(time: ArrivalTime) -> i64 {
    count(time.0 / 1_000_000_000)
}

fn from_second(second: i64) -> ArrivalTime {
    ArrivalTime(u64::try_from(second).unwrap_or_default().saturating_mul(1_000_000_000))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// SQLite has signed numbers only.
fn count(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}
