//! Reads what was measured in a range of time, the running minute included.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use loopscope_analyzer::{detect::change::Change, measured::Measured, span::ArrivalTime, windows::Range};
use rusqlite::Connection;

use super::{Running, Shared, WindowError, keeper::FRESH, table};

/// How long a reader waits for the running minute; the engine looks up four times a second.
const PATIENCE: Duration = Duration::from_secs(2);

/// The windows, for readers. All calls block; an async task goes through `spawn_blocking`.
pub struct Windows {
    connection: Mutex<Connection>,
    shared: Arc<Shared>,
}

impl Windows {
    pub(super) fn new(connection: Connection, shared: Arc<Shared>) -> Self {
        Self { connection: Mutex::new(connection), shared }
    }

    /// What was measured in the whole windows around this time, and which time that is: it ends at `now` at the latest.
    /// [`Measured::seconds`] says how much of it was seen.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn measured(&self, asked: Range, now: ArrivalTime) -> Result<(Measured, Range), WindowError> {
        let whole = asked.snapped(now);
        let running = if whole.to > now { self.running() } else { None };
        // What ended before the running minute is on disk, or on its way there.
        drop(self.shared.wait(PATIENCE, |shown| shown.written >= shown.sent));
        let end = running.as_ref().map_or(whole.to, |running| whole.to.min(running.since));
        let stored = Range { from: whole.from, to: end };
        let mut all = {
            let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
            table::measured(&connection, stored)?
        };
        if let Some(running) = running.filter(|running| running.since >= whole.from && running.since < whole.to) {
            all.merge(&running.measured);
        }
        Ok((all, Range { to: whole.to.min(now), ..whole }))
    }

    /// What changed, the newest last, as far as it was known a minute ago.
    pub fn changes(&self) -> Arc<Vec<Change>> {
        Arc::clone(&self.shared.lock().changes)
    }

    /// The running minute as it is now or was a second ago; `None` while the engine has no time to show it.
    fn running(&self) -> Option<Arc<Running>> {
        let fresh = |running: &Arc<Running>| running.taken.elapsed() < FRESH;
        {
            let mut shown = self.shared.lock();
            if let Some(running) = shown.running.as_ref().filter(|running| fresh(running)) {
                return Some(Arc::clone(running));
            }
            shown.is_asked = true;
        }
        let shown = self.shared.wait(PATIENCE, |shown| !shown.is_asked);
        shown.running.clone().filter(|_| !shown.is_asked)
    }
}
