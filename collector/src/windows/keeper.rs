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
    detect::change::{Change, Watch},
    measured::Measured,
    span::ArrivalTime,
    windows::{ClosedWindow, Length, Range, ended_by},
};
use rusqlite::Connection;

use super::{Running, Shared, WindowError, table};
use crate::counters::Counters;

/// Minutes that wait to be written, each as large as a window in memory; beyond, the aggregator waits, and the journal
/// holds what comes.
const WAITING: usize = 4;

/// Bound on the bytes on disk of the windows of each length, 1 GiB in all; beyond, the oldest go.
const MAX_BYTES: [(Length, u64); 3] =
    [(Length::Minute, 384 << 20), (Length::FiveMinutes, 320 << 20), (Length::Hour, 320 << 20)];

/// How often the watch is saved; a start shows it the minutes since.
const SAVE: Duration = Duration::from_secs(300);

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
        let keeper = Keeper::new(connection, Arc::clone(&shared), counters);
        let thread = thread::Builder::new().name("windows".into()).spawn(move || keeper.run(&windows))?;
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
    }
}

struct Keeper {
    connection: Connection,
    shared: Arc<Shared>,
    counters: Arc<Counters>,
    /// The newest minute that was written.
    newest: Option<ArrivalTime>,
    watch: Watch,
    /// Up to here the watch was saved.
    saved: ArrivalTime,
}

/// Also when it panics: nobody must wait for it then.
impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.change(|shown| shown.has_ended = true);
    }
}

impl Keeper {
    fn new(connection: Connection, shared: Arc<Shared>, counters: Arc<Counters>) -> Self {
        let watch = table::load_watch(&connection).unwrap_or_default().and_then(|bytes| Watch::load(&bytes));
        let newest = table::newest(&connection, Length::Minute).unwrap_or_default();
        let watch = watch.unwrap_or_default();
        let saved = watch.seen();
        let keeper = Self { connection, shared, counters, newest, watch, saved };
        keeper.tell();
        keeper
    }

    /// Shows the watch the minutes that were written since it was saved.
    fn catch_up(&mut self) {
        if let Some(newest) = self.newest.filter(|_| self.saved > ArrivalTime(0)) {
            let time = Range { from: self.saved, to: Length::Minute.around(newest).to };
            let minutes = table::kept(&self.connection, time).unwrap_or_default();
            for (_, start) in minutes.into_iter().filter(|(length, _)| *length == Length::Minute) {
                if let Ok(Some(measured)) = table::get(&self.connection, Length::Minute, start) {
                    self.watch.take(&ClosedWindow { start, measured }, &table::Rows(&self.connection));
                }
            }
        }
        self.tell();
    }

    /// Shows what the watch knows to those who ask.
    fn tell(&self) {
        let losses = self.watch.losses();
        self.counters.series_watched.set(self.watch.series() as u64);
        self.counters.series_dropped.set(losses.series_dropped);
        self.counters.series_unwatched.set(losses.series_unwatched);
        self.counters.changes_refused.set(losses.refused);
        self.counters.changes_dropped.set(losses.changes_dropped);
        let changes: Vec<Change> = self.watch.changes().cloned().collect();
        self.shared.change(|shown| {
            if *shown.changes != changes {
                shown.changes = Arc::new(changes);
            }
        });
    }

    fn run(mut self, windows: &Receiver<ClosedWindow>) {
        self.catch_up();
        while let Ok(first) = windows.recv() {
            // A replay closes many minutes at once; one sync is enough for them.
            let batch: Vec<ClosedWindow> = std::iter::once(first).chain(windows.try_iter().take(WAITING - 1)).collect();
            match self.write(&batch) {
                Ok(()) => {
                    self.counters.windows_written.add(batch.len() as u64);
                    self.tell();
                }
                Err(error) => {
                    self.counters.windows_failed.add(batch.len() as u64);
                    tracing::error!(%error, "windows cannot be written; their minutes are missing");
                }
            }
            self.shared.change(|shown| shown.written += batch.len() as u64);
        }
        if let Err(error) = self.save() {
            tracing::error!(%error, "what is watched cannot be saved; a start looks at the last minutes again");
        }
    }

    /// Saves the watch when it has seen something since.
    fn save(&self) -> Result<(), WindowError> {
        if self.watch.seen() > self.saved { table::save_watch(&self.connection, &self.watch.save()) } else { Ok(()) }
    }

    fn write(&mut self, batch: &[ClosedWindow]) -> Result<(), WindowError> {
        let transaction = self.connection.unchecked_transaction()?;
        let (mut ended, mut newest) = (BTreeSet::new(), self.newest);
        for window in batch {
            table::put(&transaction, Length::Minute, window.start, &window.measured)?;
            ended.extend(ended_by(newest, window.start));
            newest = Some(window.start);
        }
        // The shorter first: the longer are made of them.
        for (length, start) in ended {
            roll(&transaction, length, start)?;
        }
        for window in batch {
            self.watch.take(window, &table::Rows(&transaction));
        }
        let (seen, mut saved) = (self.watch.seen(), self.saved);
        if seen.since(saved) >= SAVE {
            table::save_watch(&transaction, &self.watch.save())?;
            saved = seen;
        }
        let now = batch.last().map_or(ArrivalTime(0), |window| window.start);
        for (length, bytes) in MAX_BYTES {
            self.counters.windows_dropped.add(table::prune(&transaction, length, now, bytes)?);
        }
        transaction.commit()?;
        // Not before: what a failed write would have ended is ended by the next.
        (self.newest, self.saved) = (newest, saved);
        Ok(())
    }
}

/// Makes a window out of its parts.
fn roll(connection: &Connection, length: Length, start: ArrivalTime) -> Result<(), WindowError> {
    let Some(part) = length.part() else { return Ok(()) };
    let time = length.around(start);
    let kept = table::kept(connection, time)?;
    let mut whole: Option<Measured> = None;
    for (_, start) in kept.iter().filter(|(length, _)| *length == part) {
        if let Some(window) = table::get(connection, part, *start)? {
            whole.get_or_insert_default().merge(&window);
        }
    }
    // One without seconds counts as well: a replay over a pause knows what ran, and not for how long it was watched.
    whole.map_or(Ok(()), |whole| table::put(connection, length, start, &whole))
}
