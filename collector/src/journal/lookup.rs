//! Finds the batches of a trace, by the index in memory and those of the sealed segments.

use bytes::Bytes;
use loopscope_analyzer::span::TraceId;

use super::{JournalError, Position, Shared, segment::Reader};
use crate::otlp::Signal;

/// Bound on the batches of one answer; the newest are given when there are more.
pub const BATCHES_PER_TRACE: usize = 256;

/// Bound on the bodies of one answer, bytes; one more batch may stand across it.
pub const BYTES_PER_TRACE: usize = 64 << 20;

/// The batches of one trace.
#[derive(Clone, Debug, Default)]
pub struct TraceBatches {
    /// The batches, the oldest first.
    pub batches: Vec<StoredBatch>,
    /// True when older batches were left out to stay within the bounds.
    pub truncated: bool,
}

/// A batch that holds spans or log records of the trace.
#[derive(Clone, Debug)]
pub struct StoredBatch {
    /// Its place in the journal.
    pub position: Position,
    /// When it arrived, nanoseconds since 1970-01-01 UTC.
    pub received_unix_nanos: u64,
    /// How many of its items were accepted; they are its first that can be.
    pub items: u64,
    /// The protobuf bytes of the request.
    pub body: Bytes,
}

pub(super) fn batches_of_trace(shared: &Shared, trace: TraceId, signal: Signal) -> Result<TraceBatches, JournalError> {
    let (open_positions, segments) = {
        let live = shared.live();
        (live.open_positions(trace), live.segments.clone())
    };
    let mut found = TraceBatches::default();
    let mut bytes = 0;
    'segments: for (first, segment) in segments.into_iter().rev() {
        let reader = match Reader::open(&segment.path, first) {
            Ok(reader) => reader,
            // Retention may have deleted it since the look at the live state.
            Err(_) if !shared.live().segments.contains_key(&first) => continue,
            Err(error) => return Err(error),
        };
        let positions = if segment.last.is_some() { reader.indexed(trace)? } else { open_positions.clone() };
        for position in positions.into_iter().rev() {
            let row = reader.batch_with(position, trace)?;
            let Some(row) = row.filter(|row| row.signal == signal) else { continue };
            if found.batches.len() >= BATCHES_PER_TRACE || bytes >= BYTES_PER_TRACE {
                found.truncated = true;
                break 'segments;
            }
            bytes += row.body.len();
            found.batches.push(StoredBatch {
                position,
                received_unix_nanos: row.received_unix_nanos,
                items: row.items,
                body: row.body,
            });
        }
    }
    found.batches.reverse();
    Ok(found)
}
