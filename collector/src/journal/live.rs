//! What the writer shows to readers: which segments there are, the newest batches, and the traces of the open segment.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    path::PathBuf,
};

use super::{
    Position,
    batch::{self, Batch},
    tail::TailBatch,
};
use crate::otlp::key::Key;

/// Bound on the bodies that are kept in memory for readers; one that is further behind reads from disk.
pub(super) const RECENT_BYTES: usize = 32 << 20;

/// The state that readers see; only durable batches are in it.
pub(super) struct Live {
    /// The position that the next batch will get.
    pub(super) next_position: Position,
    /// By first position; the last is open, all others are sealed.
    pub(super) segments: BTreeMap<Position, SegmentInfo>,
    /// Hash of a key and position of a batch, for the open segment, in the order of positions. Looking through it
    /// all takes milliseconds, and is asked for by people only, while keeping it costs the writer next to nothing.
    pub(super) open_index: Vec<(u64, Position)>,
    recent: VecDeque<TailBatch>,
    recent_bytes: usize,
}

/// A segment as readers and retention know it.
#[derive(Clone, Debug)]
pub(super) struct SegmentInfo {
    pub(super) path: PathBuf,
    /// Its last position; `None` while it is open.
    pub(super) last: Option<Position>,
    /// When its newest batch arrived, nanoseconds since 1970-01-01 UTC.
    pub(super) newest_unix_nanos: u64,
    pub(super) bytes: u64,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            next_position: 1,
            segments: BTreeMap::new(),
            open_index: Vec::new(),
            recent: VecDeque::new(),
            recent_bytes: 0,
        }
    }
}

impl Live {
    /// Shows a batch that has become durable at the next position.
    pub(super) fn publish(&mut self, batch: &Batch) {
        let position = self.next_position;
        self.next_position += 1;
        self.open_index.extend(batch.keys.iter().map(|key| (batch::hash(*key), position)));
        self.recent_bytes += batch.body.len();
        self.recent.push_back(TailBatch {
            position,
            received_unix_nanos: batch.received_unix_nanos,
            signal: batch.signal,
            items: batch.items,
            body: batch.body.clone(),
        });
        while self.recent_bytes > RECENT_BYTES
            && let Some(oldest) = self.recent.pop_front()
        {
            self.recent_bytes -= oldest.body.len();
        }
    }

    /// Forgets the newest batches, when positions may have been given again.
    pub(super) fn forget_recent(&mut self) {
        self.recent.clear();
        self.recent_bytes = 0;
    }

    /// The batches in memory from a position on; none if that position is not in memory.
    pub(super) fn recent_from(&self, position: Position) -> impl Iterator<Item = &TailBatch> {
        let skip = self
            .recent
            .front()
            .and_then(|oldest| position.checked_sub(oldest.position))
            .and_then(|skip| usize::try_from(skip).ok())
            .unwrap_or(usize::MAX);
        self.recent.iter().skip(skip)
    }

    /// The positions of batches in the open segment that may hold one of these keys, in order.
    pub(super) fn open_positions(&self, keys: &[Key]) -> Vec<Position> {
        let hashes: HashSet<u64> = keys.iter().map(|key| batch::hash(*key)).collect();
        self.open_index.iter().filter(|(of, _)| hashes.contains(of)).map(|(_, position)| *position).collect()
    }

    /// The segment that holds a position, or would if it had not been deleted.
    pub(super) fn segment_of(&self, position: Position) -> Option<(Position, &SegmentInfo)> {
        self.segments.range(..=position).next_back().map(|(first, info)| (*first, info))
    }

    /// The first position of the segment after a position.
    pub(super) fn segment_after(&self, position: Position) -> Option<Position> {
        self.segments.range(position + 1..).next().map(|(first, _)| *first)
    }

    /// The bytes of all segments.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.values().map(|segment| segment.bytes).sum()
    }
}
