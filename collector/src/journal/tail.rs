//! Follows the journal in the order of positions: first from disk, then live.
//!
//! A tail is for one thread that may block. It sees durable batches only, each once; what retention deleted before the
//! tail came to it is skipped, and the tail says so.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{JournalError, Position, Shared, live::Live, segment::Reader};
use crate::otlp::Signal;

/// Bound on the bodies that are read from disk at once.
const READ_AHEAD_BYTES: usize = 8 << 20;

/// Bound on the batches that are taken out of memory at once.
const TAKE_BATCHES: usize = 64;

/// Longest wait after a failure.
const REST: Duration = Duration::from_secs(1);

/// A reader of the journal at some position.
pub struct Tail {
    shared: Arc<Shared>,
    next: Position,
    ahead: VecDeque<Result<TailBatch, Position>>,
    reader: Option<Reader>,
    /// Once it is set, the tail ends at the journal's last position, and no later than then.
    ends_at: Arc<OnceLock<Instant>>,
}

/// A batch as it was accepted.
#[derive(Clone, Debug)]
pub struct TailBatch {
    /// Its place in the journal.
    pub position: Position,
    /// When it arrived, nanoseconds since 1970-01-01 UTC.
    pub received_unix_nanos: u64,
    /// What it carries.
    pub signal: Signal,
    /// How many of its items were accepted; they are its first that can be.
    pub items: u64,
    /// The protobuf bytes of the request.
    pub body: Bytes,
}

/// What a tail comes to.
#[derive(Debug)]
pub enum TailEvent {
    /// The next batch.
    Batch(TailBatch),
    /// Batches that are gone: deleted by retention, or damaged on disk.
    Skipped {
        /// The first position that is gone.
        from: Position,
        /// The position at which the tail goes on.
        to: Position,
    },
    /// A segment could not be read; the tail stays where it is and tries again at the next call.
    Failed(JournalError),
    /// Somebody called [`TailStop::stop`], and the end or the deadline is reached.
    Stopped,
}

/// Ends a tail from another thread.
#[derive(Clone)]
pub struct TailStop {
    shared: Arc<Shared>,
    ends_at: Arc<OnceLock<Instant>>,
}

/// What a look at the live state says about the next position.
enum Step {
    /// It is in `ahead` now, or the tail was stopped.
    Taken,
    /// It is gone; this is the next that is there.
    Skip(Position),
    /// It is in the segment with this first position and path, which goes up to this last position.
    Disk(Position, PathBuf, Position),
}

impl Tail {
    pub(super) fn new(shared: Arc<Shared>, position: Position) -> Self {
        let next = position.clamp(1, shared.live().next_position);
        Self { shared, next, ahead: VecDeque::new(), reader: None, ends_at: Arc::default() }
    }

    /// A handle that ends this tail.
    pub fn stop_handle(&self) -> TailStop {
        TailStop { shared: Arc::clone(&self.shared), ends_at: Arc::clone(&self.ends_at) }
    }

    /// The position of the next batch.
    pub fn position(&self) -> Position {
        self.next
    }

    /// The position of the last durable batch; 0 for an empty journal.
    pub fn last_position(&self) -> Position {
        self.shared.live().next_position - 1
    }

    /// Waits for the next event.
    #[expect(clippy::should_implement_trait, reason = "an iterator would end, and a tail does not")]
    pub fn next(&mut self) -> TailEvent {
        loop {
            if let Some(event) = self.next_timeout(Duration::from_secs(3600)) {
                return event;
            }
        }
    }

    /// Waits for the next event, but not longer than the timeout; `None` when nothing came.
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<TailEvent> {
        let deadline = Instant::now() + timeout;
        loop {
            if self.ends_at.get().is_some() && self.is_at_end(self.last_position()) {
                return Some(TailEvent::Stopped);
            }
            if let Some(batch) = self.ahead.pop_front() {
                return Some(self.pass(batch));
            }
            match self.step(deadline)? {
                Step::Taken => {}
                Step::Skip(to) => return Some(self.skip(to)),
                Step::Disk(first, path, to) => match self.read(first, &path, to) {
                    Ok(()) => {}
                    // Retention may have deleted the segment since the look at the live state.
                    Err(_) if !self.shared.live().segments.contains_key(&first) => self.reader = None,
                    Err(error) => {
                        self.reader = None;
                        self.rest(deadline);
                        return Some(TailEvent::Failed(error));
                    }
                },
            }
        }
    }

    /// True when the tail was stopped and has nothing left to read, or no time.
    fn is_at_end(&self, last: Position) -> bool {
        self.ends_at.get().is_some_and(|ends_at| self.next > last || Instant::now() >= *ends_at)
    }

    fn pass(&mut self, batch: Result<TailBatch, Position>) -> TailEvent {
        match batch {
            Ok(batch) => {
                self.next = batch.position + 1;
                TailEvent::Batch(batch)
            }
            Err(damaged) => self.skip(damaged + 1),
        }
    }

    fn skip(&mut self, to: Position) -> TailEvent {
        let from = std::mem::replace(&mut self.next, to);
        TailEvent::Skipped { from, to }
    }

    /// Waits until there is a next batch, and takes it if it is in memory; `None` at the deadline.
    fn step(&mut self, deadline: Instant) -> Option<Step> {
        let mut live = self.shared.live();
        while self.next >= live.next_position {
            let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            let woken = self.shared.live_changed.wait_timeout(live, left);
            live = woken.unwrap_or_else(PoisonError::into_inner).0;
            if self.is_at_end(live.next_position - 1) {
                return Some(Step::Taken);
            }
        }
        self.ahead.extend(live.recent_from(self.next).take(TAKE_BATCHES).cloned().map(Ok));
        if !self.ahead.is_empty() {
            return Some(Step::Taken);
        }
        Some(where_on_disk(&live, self.next))
    }

    /// Waits a little after a failure, so that a caller that tries again at once does no harm.
    fn rest(&self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now()).min(REST);
        // Whoever wakes it up early does no harm either.
        drop(self.shared.live_changed.wait_timeout(self.shared.live(), left));
    }

    fn read(&mut self, first: Position, path: &Path, to: Position) -> Result<(), JournalError> {
        let reader = match self.reader.take_if(|reader| reader.first() == first) {
            Some(reader) => reader,
            None => Reader::open(path, first)?,
        };
        let rows = reader.batches(self.next, to, READ_AHEAD_BYTES)?;
        self.reader = Some(reader);
        self.shared.counters.journal_rereads.add(rows.len() as u64);
        let mut expected = self.next;
        for row in rows {
            let position = row.as_ref().map_or_else(|position| *position, |row| row.position);
            if position > expected {
                self.ahead.push_back(Err(position - 1));
            }
            self.ahead.push_back(row.map(|row| TailBatch {
                position,
                received_unix_nanos: row.received_unix_nanos,
                signal: row.signal,
                items: row.items,
                body: row.body,
            }));
            expected = position + 1;
        }
        if expected == self.next {
            // The segment says that it holds these positions and does not.
            self.ahead.push_back(Err(to));
        }
        Ok(())
    }
}

impl TailStop {
    /// Lets the tail read up to the journal's last position, though no longer than `patience`; from then on it answers
    /// [`TailEvent::Stopped`]. The first call counts.
    pub fn stop(&self, patience: Duration) {
        self.ends_at.get_or_init(|| Instant::now() + patience);
        // With the lock held, the tail is either before its look at the flag or asleep, and so cannot miss this.
        let _live = self.shared.live();
        self.shared.live_changed.notify_all();
    }
}

fn where_on_disk(live: &Live, next: Position) -> Step {
    let after = live.segment_after(next);
    match live.segment_of(next) {
        Some((first, segment)) if segment.last.is_none_or(|last| next <= last) => {
            Step::Disk(first, segment.path.clone(), segment.last.unwrap_or(live.next_position - 1))
        }
        _ => Step::Skip(after.unwrap_or(live.next_position)),
    }
}
