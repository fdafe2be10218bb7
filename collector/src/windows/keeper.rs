//! The thread that keeps windows: writes each minute, rolls minutes up, and lets go of what is old.

use std::{
    collections::BTreeSet,
    io,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use loopscope_analyzer::{
    measured::Measured,
    span::ArrivalTime,
    windows::{ClosedWindow, Length, ended_by},
};
use rusqlite::Connection;

use super::{Running, Shared, WindowError, table};
use crate::counters::Counters;

/// Minutes that wait to be written; beyond, the aggregator waits, and the journal holds what comes.
const WAITING: usize = 64;

/// Bound on the bytes on disk of the windows of each length, 1 GiB in all; beyond, the oldest go.
const MAX_BYTES: [(Length, u64); 3] =
    [(Length::Minute, 384 << 20), (Length::FiveMinutes, 320 << 20), (Length::Hour, 320 << 20)];

/// How long a state of the engine waits for the windows before it. A disk that takes longer has failed them by then.
const FLUSH: Duration = Duration::from_secs(30);

/// A running minute is shown again for this long, so that many questions copy it once.
pub(super) const FRESH: Duration = Duration::from_secs(1);

/// Where the aggregator puts windows. Dropping it waits until all is written.
pub struct Inlet {
    sender: Option<SyncSender<ClosedWindow>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Inlet {
    pub(super) fn start(connection: Connection, shared: Arc<Shared>, counters: Arc<Counters>) -> io::Result<Self> {
        let (sender, windows) = sync_channel(WAITING);
        let known = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("windows".into())
            .spawn(move || Keeper { connection, shared: known, counters, newest: None }.run(&windows))?;
        Ok(Self { sender: Some(sender), shared, thread: Some(thread) })
    }

    /// Hands over minutes that have ended; waits while too many are being written.
    pub fn keep(&self, closed: Vec<ClosedWindow>) {
        for window in closed {
            self.shared.change(|shown| shown.sent += 1);
            if self.sender.as_ref().is_none_or(|sender| sender.send(window).is_err()) {
                // Nobody must wait for it.
                self.shared.change(|shown| shown.written += 1);
                tracing::error!("the thread that keeps windows is gone; a minute is not kept");
            }
        }
    }

    /// True when somebody waits for the running minute.
    pub fn is_asked(&self) -> bool {
        self.shared.lock().is_asked
    }

    /// Shows the running minute to those who asked.
    pub fn show(&self, since: ArrivalTime, measured: Measured) {
        let running = Some(Arc::new(Running { since, taken: Instant::now(), measured }));
        self.shared.change(|shown| (shown.is_asked, shown.running) = (false, running));
    }

    /// Waits until all that was handed over is on disk.
    pub fn flush(&self) {
        drop(self.shared.wait(FLUSH, |shown| shown.written >= shown.sent));
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        drop(self.sender.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that keeps windows had panicked");
        }
        self.shared.change(|shown| shown.has_ended = true);
    }
}

struct Keeper {
    connection: Connection,
    shared: Arc<Shared>,
    counters: Arc<Counters>,
    /// The newest minute that was written.
    newest: Option<ArrivalTime>,
}

impl Keeper {
    fn run(mut self, windows: &Receiver<ClosedWindow>) {
        self.newest = table::newest(&self.connection, Length::Minute).unwrap_or_default();
        while let Ok(first) = windows.recv() {
            // A replay closes many minutes at once; one sync is enough for them.
            let batch: Vec<ClosedWindow> = std::iter::once(first).chain(windows.try_iter().take(WAITING - 1)).collect();
            match self.write(&batch) {
                Ok(()) => self.counters.windows_written.add(batch.len() as u64),
                Err(error) => {
                    self.counters.windows_failed.add(batch.len() as u64);
                    tracing::error!(%error, "windows cannot be written; their minutes are missing");
                }
            }
            self.shared.change(|shown| shown.written += batch.len() as u64);
        }
    }

    fn write(&mut self, batch: &[ClosedWindow]) -> Result<(), WindowError> {
        let transaction = self.connection.unchecked_transaction()?;
        let mut ended = BTreeSet::new();
        for window in batch {
            table::put(&transaction, Length::Minute, window.start, &window.measured)?;
            ended.extend(ended_by(self.newest, window.start));
            self.newest = Some(window.start);
        }
        // The shorter first: the longer are made of them.
        for (length, start) in ended {
            roll(&transaction, length, start)?;
        }
        let now = batch.last().map_or(ArrivalTime(0), |window| window.start);
        for (length, bytes) in MAX_BYTES {
            self.counters.windows_dropped.add(table::prune(&transaction, length, now, bytes)?);
        }
        transaction.commit()?;
        Ok(())
    }
}

/// Makes a window out of its parts.
fn roll(connection: &Connection, length: Length, start: ArrivalTime) -> Result<(), WindowError> {
    let Some(part) = length.part() else { return Ok(()) };
    let time = length.around(start);
    let kept = table::kept(connection, time)?;
    let mut whole = Measured::default();
    for (_, start) in kept.iter().filter(|(length, _)| *length == part) {
        if let Some(window) = table::get(connection, part, *start)? {
            whole.merge(&window);
        }
    }
    if whole.seconds > 0.0 { table::put(connection, length, start, &whole) } else { Ok(()) }
}
