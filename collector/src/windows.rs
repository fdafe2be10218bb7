//! What functions and edges did over time, on disk: windows of a minute, five minutes and an hour.
//!
//! ```text
//!   aggregator -- closed minutes --> keeper (rolls, compresses, writes, watches) --> windows.sqlite --> reader --> API
//!        \------------------- the running minute, when somebody asks -------------------------^
//! ```
//!
//! A window is one row, known by its length and its start. After a restart the engine goes on at the position of its
//! state with the minute that ran there, and writes the minutes after it again: rows take the place of rows, so nothing
//! is counted twice; the watch over changes takes each minute once, and is saved with them. The bytes of the state wait until the windows before it are written, so nothing is missing either.
//! What is in a window is the analyzer's; see `analyzer/src/windows.rs`.

mod keeper;
mod reader;
mod table;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use loopscope_analyzer::{detect::change::Change, measured::Measured, span::ArrivalTime};

pub use self::{keeper::Inlet, reader::Windows};
use crate::counters::Counters;

/// Name of the file in the data folder.
const FILE: &str = "windows.sqlite";

/// Why windows could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WindowError {
    /// The file cannot be opened.
    #[error("{}: {source}; move it away to start without the past", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// SQLite cannot do what it was asked.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// A window cannot be compressed, or its thread cannot be started.
    #[error(transparent)]
    System(#[from] std::io::Error),
}

/// Opens the windows in this folder, which must exist, and starts the thread that keeps them.
///
/// # Errors
/// When the file cannot be opened or is no database, or the system gives no thread.
pub fn open(folder: &Path, counters: &Arc<Counters>) -> Result<(Inlet, Windows), WindowError> {
    let path = folder.join(FILE);
    let connect = || table::open(&path).map_err(|source| WindowError::Open { path: path.clone(), source });
    let shared = Arc::new(Shared::default());
    let inlet = Inlet::start(connect()?, Arc::clone(&shared), Arc::clone(counters))?;
    Ok((inlet, Windows::new(connect()?, shared)))
}

/// What the aggregator, the keeper and the readers tell each other.
#[derive(Default)]
struct Shared {
    state: Mutex<Shown>,
    changed: Condvar,
}

#[derive(Default)]
struct Shown {
    /// Windows that were handed to the keeper, and of these are on disk or given up.
    sent: u64,
    written: u64,
    /// True when somebody waits for the running minute.
    is_asked: bool,
    running: Option<Arc<Running>>,
    changes: Arc<Vec<Change>>,
    /// True when the engine is gone.
    has_ended: bool,
}

/// The running minute as it was when somebody asked.
struct Running {
    since: ArrivalTime,
    taken: Instant,
    measured: Measured,
}

impl Shared {
    /// A panic leaves nothing half done here, so what is behind a poisoned lock is sound.
    fn lock(&self) -> MutexGuard<'_, Shown> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Shown)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits until something holds, but no longer than the engine runs or `patience` lasts.
    fn wait(&self, patience: Duration, is_so: impl Fn(&Shown) -> bool) -> MutexGuard<'_, Shown> {
        let not_yet = |shown: &mut Shown| !is_so(shown) && !shown.has_ended;
        match self.changed.wait_timeout_while(self.lock(), patience, not_yet) {
            Ok((shown, _)) => shown,
            Err(poisoned) => poisoned.into_inner().0,
        }
    }
}

#[cfg(test)]
mod tests;
