//! The journal: every accepted request, durable before it is acknowledged, in the order of its position.
//!
//! A directory of SQLite files, the segments. One thread writes; many requests share one sync. The engine follows by
//! position with a [`Tail`], people ask for the batches of a trace. The journal stores bytes and knows nothing of what
//! they say; the door in `doors.rs` has judged them before.
//!
//! - [`batch`]: what goes in, packed by its sender.
//! - `queue`: where batches wait for the writer, within bounds.
//! - `writer`: the thread; groups, syncs, seals segments and lets the oldest go.
//! - `segment`: one SQLite file.
//! - `directory`: the files of a journal and the lock on them.
//! - `live`: what the writer shows to readers: the segments, the newest batches, the index of the open segment.
//! - [`tail`]: reads in order, first from disk, then live.
//! - `lookup`: finds the batches of a trace.

pub mod batch;
mod directory;
mod live;
mod lookup;
mod queue;
mod segment;
pub mod tail;
mod writer;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use loopscope_analyzer::span::TraceId;

use tokio::sync::oneshot;

use self::{batch::Batch, directory::Directory, live::Live, queue::Queue, tail::Tail, writer::Writer};
use crate::{counters::Counters, otlp::Signal};

pub use self::lookup::{BATCHES_PER_ANSWER, BYTES_PER_ANSWER, FoundBatches, StoredBatch, Wanted};

/// Place of a batch in the journal; the first is 1, and each next is one more.
pub type Position = u64;

/// How a journal keeps its files.
#[derive(Clone, Copy, Debug)]
pub struct JournalConfig {
    /// Segments whose newest batch is older are deleted.
    pub retention: Duration,
    /// Bound on the bytes of all files; the oldest segments are deleted to stay below.
    pub max_disk_bytes: u64,
    /// A segment is sealed when its first batch is this old.
    pub segment_age: Duration,
    /// A segment is sealed when it has this many bytes; at most an eighth of `max_disk_bytes` is used.
    pub segment_bytes: u64,
    /// True to write without a sync and to delete the files at the end: fast, and lost with the process.
    pub ephemeral: bool,
    /// How much longer each write takes than it must: an injected fault, to see what exporters do then.
    pub commit_delay: Duration,
}

/// Why a journal cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The directory or a file in it cannot be used.
    #[error("failed to use {path}: {source}")]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process has the journal open.
    #[error("another process uses the journal in {path}; stop it, or choose another data directory")]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// A segment cannot be read or written.
    #[error("failed to use the journal segment {path}: {source}; if it is damaged, move it away to go on without it")]
    Segment {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// A batch in a segment is not what was written.
    #[error("batch {position} of the journal is damaged")]
    Damaged {
        /// Its position.
        position: Position,
    },
}

/// Why a batch was not appended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The queue is full; the sender should come again later.
    #[error("the journal has too much to write at the moment")]
    Overloaded,
    /// The journal is closed or is closing.
    #[error("the journal is closed")]
    Closed,
    /// The batch could not be made durable, and is not in the journal.
    #[error("failed to write to the journal: {0}")]
    Failed(Arc<str>),
}

/// A handle on an open journal; clones share it, and the last one closes it.
#[derive(Clone)]
pub struct Journal {
    writer: Arc<WriterThread>,
}

/// What the writer, its callers and its readers share.
struct Shared {
    config: JournalConfig,
    counters: Arc<Counters>,
    queue: Mutex<Queue>,
    queue_changed: Condvar,
    live: Mutex<Live>,
    live_changed: Condvar,
    /// The files of an ephemeral journal that is closed: they go with its last reader, not before.
    kept: Mutex<Option<Directory>>,
}

struct WriterThread {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    /// Opens the journal in a directory, which is made if it is not there, and starts its writer. Blocks.
    ///
    /// # Errors
    /// When the directory cannot be used, another process uses it, or a segment is damaged.
    pub fn open(dir: &Path, config: JournalConfig, counters: Arc<Counters>) -> Result<Self, JournalError> {
        let config = JournalConfig { segment_bytes: config.segment_bytes.min(config.max_disk_bytes / 8), ..config };
        let directory = Directory::open(dir, config.ephemeral)?;
        let shared = Arc::new(Shared {
            config,
            counters,
            queue: Mutex::default(),
            queue_changed: Condvar::new(),
            live: Mutex::default(),
            live_changed: Condvar::new(),
            kept: Mutex::default(),
        });
        let writer = Writer::open(directory, Arc::clone(&shared))?;
        let thread = thread::Builder::new()
            .name("journal".into())
            .spawn(move || writer.run())
            .map_err(|source| JournalError::Io { path: dir.into(), source })?;
        Ok(Self { writer: Arc::new(WriterThread { shared, thread: Mutex::new(Some(thread)) }) })
    }

    /// Appends a batch and waits until it is durable. A caller that goes away does not undo it.
    ///
    /// # Errors
    /// [`AppendError::Overloaded`] at once when the queue is full; [`AppendError::Failed`] when the batch could not be
    /// written. The batch is not acknowledged then, and may be sent again.
    pub async fn append(&self, batch: Batch) -> Result<Position, AppendError> {
        let (ack, acknowledged) = oneshot::channel();
        self.writer.shared.enqueue(batch, ack)?;
        acknowledged.await.unwrap_or(Err(AppendError::Closed))
    }

    /// The batches that are wanted, the oldest first, within bounds. Blocks on the disk.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn batches_of(&self, wanted: &Wanted<'_>) -> Result<FoundBatches, JournalError> {
        lookup::batches_of(&self.writer.shared, wanted)
    }

    /// The batches that hold spans or log records of a trace, whenever they arrived.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn batches_of_trace(&self, trace: TraceId, signal: Signal) -> Result<FoundBatches, JournalError> {
        self.batches_of(&Wanted { keys: &[trace.into()], signal, received: 0..=u64::MAX })
    }

    /// Follows the journal from a position on; a position that is still to come begins with the next batch.
    pub fn tail_from(&self, position: Position) -> Tail {
        Tail::new(Arc::clone(&self.writer.shared), position)
    }

    /// The position of the last durable batch; 0 for an empty journal.
    pub fn last_position(&self) -> Position {
        self.writer.shared.live().next_position - 1
    }

    /// Refuses new batches, writes those that wait, and closes the files. Blocks; tails go on reading what is there.
    pub fn close(&self) {
        self.writer.close();
    }
}

impl WriterThread {
    fn close(&self) {
        self.shared.queue().close();
        self.shared.queue_changed.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the journal's writer had died");
        }
    }
}

impl Drop for WriterThread {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// A thread that panicked left the queue as it was between two calls, so that it stays usable.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enqueue(&self, batch: Batch, ack: queue::Ack) -> Result<(), AppendError> {
        self.queue().push(batch, ack)?;
        self.queue_changed.notify_one();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
