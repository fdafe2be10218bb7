//! The thread that writes the journal: groups of batches, one sync for each group, then the acknowledgements.
//!
//! After each group, and each second, it seals a segment that is old or large enough and deletes the oldest segments
//! when they are too old or too many. A write that fails is told to those who wait for it, and the thread goes on.

use std::{
    path::Path,
    sync::{Arc, PoisonError},
    thread,
    time::Duration,
};

use super::{
    AppendError, JournalConfig, JournalError, Position, Shared,
    batch::Batch,
    directory::{self, Directory},
    live::SegmentInfo,
    queue::Ack,
    segment::{Extent, Reader, Segment},
};
use crate::clock::unix_nanos;

/// How often retention is looked at when nothing is written.
const IDLE: Duration = Duration::from_secs(1);

/// A segment is sealed when its index has this many entries, so that the index in memory stays below 32 MiB.
const INDEX_ENTRIES: usize = 2 << 20;

/// Bounds of a segment's write-ahead log: a shorter one is moved into the file too often, a longer one takes room.
const LOG_BYTES: (u64, u64) = (256 << 10, 8 << 20);

/// Writes one journal.
pub(super) struct Writer {
    /// `None` after a failure, until the segment can be opened again.
    segment: Option<Segment>,
    /// The first position of the open segment.
    first: Position,
    /// When the first batch of the open segment arrived; `None` while it is empty.
    oldest_unix_nanos: Option<u64>,
    shared: Arc<Shared>,
    /// The last field, so that the lock is held until the files are closed.
    directory: Directory,
}

impl Writer {
    /// Takes in what is on disk, seals what should be, and opens the last segment for writing.
    pub(super) fn open(directory: Directory, shared: Arc<Shared>) -> Result<Self, JournalError> {
        let mut writer = Self { segment: None, first: 1, oldest_unix_nanos: None, shared, directory };
        let segments = writer.directory.segments()?;
        for (i, first) in segments.iter().enumerate() {
            let path = writer.directory.segment_path(*first);
            let mut extent = Reader::open(&path, *first).and_then(|reader| reader.extent());
            let is_last = i + 1 == segments.len();
            if extent.as_ref().map_or(is_last, |extent| !extent.sealed) {
                // A crash may have left the last segment without its tables; opening it for writing mends that.
                let mut segment = writer.open_segment(*first)?;
                extent = segment.extent();
                if !is_last {
                    extent = Ok(segment.seal(&mut segment.read_index()?)?);
                }
            }
            let extent = extent?;
            writer.show_segment(*first, &path, extent);
        }
        writer.open_last()?;
        writer.maintain(unix_nanos());
        Ok(writer)
    }

    /// Writes until the queue is closed and empty.
    pub(super) fn run(mut self) {
        // Whatever ends this thread, nobody must wait for it.
        let _abandon = AbandonQueue(Arc::clone(&self.shared));
        while let Some(group) = self.wait() {
            if !group.is_empty() {
                self.commit(group);
            }
            self.maintain(unix_nanos());
        }
        if self.shared.config.ephemeral {
            *self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.directory);
        }
    }

    /// The next group, none after a while without one, or `None` at the end.
    fn wait(&self) -> Option<Vec<(Batch, Ack)>> {
        let mut queue = self.shared.queue();
        if queue.is_empty() && !queue.is_closed() {
            let woken = self.shared.queue_changed.wait_timeout(queue, IDLE);
            queue = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        if queue.is_empty() && queue.is_closed() { None } else { Some(queue.take_group()) }
    }

    fn commit(&mut self, group: Vec<(Batch, Ack)>) {
        if !self.shared.config.commit_delay.is_zero() {
            thread::sleep(self.shared.config.commit_delay);
        }
        self.expire(unix_nanos(), group.iter().map(|(batch, _)| batch.disk_bytes()).sum());
        match self.insert(&group) {
            Ok(()) => self.acknowledge(group),
            Err(error) => {
                tracing::error!(%error, batches = group.len(), "failed to write to the journal");
                self.shared.counters.journal_failures.add(1);
                let error: Arc<str> = error.to_string().into();
                for (_, ack) in group {
                    // A caller that has gone away wants no answer.
                    let _ = ack.send(Err(AppendError::Failed(Arc::clone(&error))));
                }
                // What is on disk now is not known: look.
                self.segment = None;
            }
        }
    }

    fn insert(&mut self, group: &[(Batch, Ack)]) -> Result<(), JournalError> {
        if self.segment.is_none() {
            self.open_last()?;
        }
        let Some(segment) = &mut self.segment else { return Ok(()) };
        let first = self.shared.live().next_position;
        segment.insert(first, group).map_err(|source| JournalError::Segment { path: segment.path().into(), source })
    }

    fn acknowledge(&mut self, group: Vec<(Batch, Ack)>) {
        let mut live = self.shared.live();
        let first = live.next_position;
        for (batch, _) in &group {
            self.oldest_unix_nanos.get_or_insert(batch.received_unix_nanos);
            if let Some(open) = live.segments.get_mut(&self.first) {
                open.newest_unix_nanos = open.newest_unix_nanos.max(batch.received_unix_nanos);
            }
            live.publish(batch);
        }
        self.shared.counters.journal_position.set(live.next_position - 1);
        drop(live);
        self.shared.counters.journal_commits.add(1);
        self.shared.live_changed.notify_all();
        for (position, (_, ack)) in (first..).zip(group) {
            // A caller that has gone away wants no answer; the batch is in the journal all the same.
            let _ = ack.send(Ok(position));
        }
    }

    /// Seals and deletes what is due.
    fn maintain(&mut self, now: u64) {
        if let Some(open) = self.shared.live().segments.get_mut(&self.first) {
            open.bytes = directory::bytes_of(&open.path);
        }
        if self.is_full(now)
            && let Err(error) = self.roll()
        {
            tracing::error!(%error, "failed to seal a segment of the journal");
            self.segment = None;
        }
        self.expire(now, 0);
        let live = self.shared.live();
        self.shared.counters.journal_bytes.set(live.bytes());
        self.shared.counters.journal_segments.set(live.segments.len() as u64);
    }

    fn is_full(&self, now: u64) -> bool {
        let config = &self.shared.config;
        let live = self.shared.live();
        self.oldest_unix_nanos.is_some_and(|oldest| is_older(oldest, config.segment_age, now))
            || self.oldest_unix_nanos.is_some()
                && (live.open_index.len() >= INDEX_ENTRIES
                    || live.segments.get(&self.first).is_some_and(|open| open.bytes >= config.segment_bytes))
    }

    /// Seals the open segment and begins a new one.
    fn roll(&mut self) -> Result<(), JournalError> {
        if self.segment.is_none() {
            self.open_last()?;
        }
        let Some(segment) = &mut self.segment else { return Ok(()) };
        let path = segment.path().to_path_buf();
        // Sealing takes long; readers must not wait for it.
        let mut index = self.shared.live().open_index.clone();
        let extent = segment.seal(&mut index)?;
        self.segment = None;
        self.show_segment(self.first, &path, extent);
        self.open_last()
    }

    /// Opens the segment that is not sealed, or begins one after the last.
    fn open_last(&mut self) -> Result<(), JournalError> {
        loop {
            let (first, is_new) = {
                let live = self.shared.live();
                match live.segments.last_key_value() {
                    Some((first, segment)) if segment.last.is_none() => (*first, false),
                    _ => (live.next_position, true),
                }
            };
            let segment = self.open_segment(first)?;
            if is_new {
                self.directory.sync()?;
            }
            let extent = segment.extent()?;
            if !extent.sealed {
                return self.take_over(segment, extent);
            }
            // It was sealed by a call that failed afterwards.
            self.show_segment(first, segment.path(), extent);
        }
    }

    /// Goes on writing to a segment.
    fn take_over(&mut self, segment: Segment, extent: Extent) -> Result<(), JournalError> {
        let index = segment.read_index()?;
        self.first = segment.first();
        self.oldest_unix_nanos = (extent.last >= self.first).then_some(extent.oldest_unix_nanos);
        {
            let mut live = self.shared.live();
            live.open_index = index;
            if live.next_position != extent.last + 1 {
                // A group that was thought lost has reached the disk; readers find it there.
                live.forget_recent();
            }
        }
        self.show_segment(self.first, segment.path(), extent);
        self.segment = Some(segment);
        Ok(())
    }

    fn open_segment(&self, first: Position) -> Result<Segment, JournalError> {
        let config = &self.shared.config;
        let segment = Segment::open(self.directory.segment_path(first), first, !config.ephemeral)?;
        segment.bound_log(log_bytes(config))?;
        Ok(segment)
    }

    fn show_segment(&self, first: Position, path: &Path, extent: Extent) {
        let mut live = self.shared.live();
        live.segments.insert(
            first,
            SegmentInfo {
                path: path.into(),
                last: extent.sealed.then_some(extent.last),
                newest_unix_nanos: extent.newest_unix_nanos,
                bytes: directory::bytes_of(path),
            },
        );
        live.next_position = live.next_position.max(extent.last + 1);
        self.shared.counters.journal_position.set(live.next_position - 1);
        drop(live);
        self.shared.live_changed.notify_all();
    }

    /// Deletes the oldest sealed segments while they are too old, or while they and what comes need too much room.
    fn expire(&self, now: u64, incoming_bytes: u64) {
        let config = &self.shared.config;
        // What comes goes through the log into the file, and the log is moved there as a whole.
        let needed = log_bytes(config) + 2 * incoming_bytes;
        loop {
            let mut live = self.shared.live();
            let over = live.bytes() + needed > config.max_disk_bytes;
            let Some(oldest) = live.segments.first_entry().filter(|oldest| {
                let segment = oldest.get();
                segment.last.is_some() && (over || is_older(segment.newest_unix_nanos, config.retention, now))
            }) else {
                return;
            };
            let segment = oldest.remove();
            drop(live);
            self.shared.counters.journal_segments_expired.add(1);
            if let Err(error) = directory::delete(&segment.path) {
                tracing::error!(path = %segment.path.display(), %error, "failed to delete a segment of the journal");
            }
        }
    }
}

/// Refuses what waits, should the writer die.
struct AbandonQueue(Arc<Shared>);

impl Drop for AbandonQueue {
    fn drop(&mut self) {
        self.0.queue().abandon();
    }
}

/// How long the write-ahead log of a segment may get.
fn log_bytes(config: &JournalConfig) -> u64 {
    (config.segment_bytes / 4).clamp(LOG_BYTES.0, LOG_BYTES.1)
}

fn is_older(unix_nanos: u64, age: Duration, now: u64) -> bool {
    u128::from(now.saturating_sub(unix_nanos)) >= age.as_nanos()
}

#[cfg(test)]
mod tests;
