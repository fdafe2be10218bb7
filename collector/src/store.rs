//! The state that outlives the process and is not the journal: incidents, alerts, the outbox, places on the map,
//! what people declared and said, and what the engine knew.
//!
//! One SQLite file, `state.sqlite`, opened once. What a table holds and how it is bounded stands in the file of that
//! table under `store/`; this file opens, migrates and hands out transactions. It knows nothing of what the rows are
//! good for.

pub mod alerts;
pub mod engine_state;
pub mod incidents;
pub mod intended;
pub mod outbox;
pub mod places;
pub mod verdicts;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use loopscope_analyzer::{snapshot::NodeId, span::ArrivalTime};
use loopscope_proto::v1::AlertRecord;
use rusqlite::{Connection, Transaction, TransactionBehavior};

/// Name of the file in the data folder.
const FILE: &str = "state.sqlite";

/// How long to wait for another process, such as a backup, that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The steps from an empty file to today's tables; the version of a file is the number of steps it has seen. A step
/// that was released is never changed.
const MIGRATIONS: [&str; 5] = [
    include_str!("store/migrations/0001_first_tables.sql"),
    include_str!("store/migrations/0002_intended.sql"),
    include_str!("store/migrations/0003_engine_state.sql"),
    include_str!("store/migrations/0004_incidents_of_many_loops.sql"),
    include_str!("store/migrations/0005_broken_bounds.sql"),
];

/// The open state file. All calls block; an async task goes through `spawn_blocking`.
#[derive(Debug)]
pub struct Store {
    connection: Mutex<Connection>,
}

/// Why the state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened.
    #[error("{}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// A newer Loopscope has written the file.
    #[error(
        "the state was written by a newer Loopscope (its tables have version {found}, this one knows {known}); \
         start the newer one, or use another data folder"
    )]
    Newer {
        /// Version of the file.
        found: usize,
        /// Newest version that this program knows.
        known: usize,
    },
    /// SQLite cannot do what it was asked.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// A row holds something that this program never wrote.
    #[error("a row of {table} cannot be read: {reason}")]
    Row {
        /// The table.
        table: &'static str,
        /// What is wrong.
        reason: String,
    },
}

impl Store {
    /// Opens the state in this folder, which must exist, and brings its tables up to date.
    ///
    /// # Errors
    /// When the file cannot be opened, is no database, or is newer than this program.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(FILE);
        let opened = Connection::open(&path).map_err(StoreError::from).and_then(|connection| {
            keep_private(&path);
            Self::prepare(connection)
        });
        opened.map_err(|error| match error {
            StoreError::Sqlite(source) => StoreError::Open { path, source },
            other => other,
        })
    }

    /// A state that is gone when it is dropped.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::prepare(Connection::open_in_memory()?)
    }

    fn prepare(mut connection: Connection) -> Result<Self, StoreError> {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        migrate(&mut connection)?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// Runs a change as one transaction: all of it is durable when this returns, or nothing is.
    ///
    /// # Errors
    /// Those of the change and of SQLite; nothing has changed then.
    pub fn write<T>(&self, change: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let value = change(&transaction)?;
        transaction.commit()?;
        Ok(value)
    }

    /// Runs a question.
    ///
    /// # Errors
    /// Those of the question.
    pub fn read<T>(&self, question: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        question(&self.connection())
    }

    /// The places of all nodes on the map.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn load_places(&self) -> Result<BTreeMap<NodeId, (f64, f64)>, StoreError> {
        self.read(places::load)
    }

    /// Stores the places of some nodes.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn save_places(&self, places: &[(NodeId, f64, f64)]) -> Result<(), StoreError> {
        self.write(|transaction| places::save(transaction, places))
    }

    /// The newest alerts and what became of their messages, the newest first.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn alert_history(&self, limit: usize) -> Result<Vec<AlertRecord>, StoreError> {
        self.read(|connection| alerts::newest(connection, limit))
    }

    /// A panic in a transaction rolls it back, so the connection behind a poisoned lock is sound.
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Webhook URLs often hold tokens, so only the owner may read the file. SQLite gives the files beside it the same
/// rights. A file system that knows no rights is no reason to stop.
pub(crate) fn keep_private(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let rights = std::fs::Permissions::from_mode(0o600);
        if let Err(error) = std::fs::set_permissions(path, rights) {
            tracing::warn!(path = %path.display(), %error, "the state file may be readable by others");
        }
    }
    #[cfg(not(unix))]
    let _ = path;
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let seen = usize::try_from(version).unwrap_or(usize::MAX);
    let Some(missing) = MIGRATIONS.get(seen..) else {
        return Err(StoreError::Newer { found: seen, known: MIGRATIONS.len() });
    };
    for step in missing {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", to_count(MIGRATIONS.len()))?;
    transaction.commit()?;
    Ok(())
}

/// SQLite has signed numbers only; times reach its bound in the year 2262.
fn to_column(time: ArrivalTime) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

fn from_column(column: i64) -> u64 {
    u64::try_from(column).unwrap_or_default()
}

/// SQLite counts rows and versions in signed numbers.
fn to_count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_migrated_once_and_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        Store::open(folder.path()).unwrap().save_places(&[(NodeId(1), 2.0, 3.0)]).unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(store.load_places().unwrap(), BTreeMap::from([(NodeId(1), (2.0, 3.0))]));
        let (mode, synchronous): (String, i64) = store
            .read(|connection| {
                Ok((
                    connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?,
                    connection.pragma_query_value(None, "synchronous", |row| row.get(0))?,
                ))
            })
            .unwrap();
        assert_eq!((mode.as_str(), synchronous), ("wal", 2));
    }

    #[test]
    fn a_newer_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.read(|connection| Ok(connection.pragma_update(None, "user_version", 99)?)).unwrap();
        drop(store);
        let error = Store::open(folder.path()).unwrap_err();
        assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
    }

    #[test]
    fn a_missing_folder_and_a_broken_file_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let error = Store::open(&folder.path().join("missing")).unwrap_err();
        assert!(error.to_string().contains("state.sqlite"), "{error}");
        std::fs::write(folder.path().join(FILE), "this is not a database, it is a sentence").unwrap();
        assert!(Store::open(folder.path()).is_err());
    }

    #[test]
    fn a_failed_change_leaves_nothing_behind() {
        let store = Store::in_memory().unwrap();
        let failed: Result<(), _> = store.write(|transaction| {
            places::save(transaction, &[(NodeId(1), 0.0, 0.0)])?;
            Err(StoreError::Row { table: "places", reason: "test".into() })
        });
        assert!(failed.is_err());
        assert!(store.load_places().unwrap().is_empty());
    }
}
