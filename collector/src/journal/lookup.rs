//! Finds the batches of traces, functions and runs, by the index in memory and those of the sealed segments.

use std::{collections::BTreeSet, ops::RangeInclusive};

use bytes::Bytes;

use super::{JournalError, Position, Shared, segment::Reader};
use crate::otlp::{Signal, key::Key};

/// Bound on the batches of one answer; the newest are given when there are more.
pub const BATCHES_PER_ANSWER: usize = 256;

/// Bound on the bodies of one answer, bytes; one more batch may stand across it.
pub const BYTES_PER_ANSWER: usize = 64 << 20;

/// What is looked for.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// Batches that are found by any of these.
    pub keys: &'a [Key],
    /// What they carry.
    pub signal: Signal,
    /// When they arrived, nanoseconds since 1970-01-01 UTC.
    pub received: RangeInclusive<u64>,
}

/// The batches that were found.
#[derive(Clone, Debug, Default)]
pub struct FoundBatches {
    /// The batches, the oldest first.
    pub batches: Vec<StoredBatch>,
    /// True when older batches were left out to stay within the bounds.
    pub truncated: bool,
}

/// A batch that is found by what was looked for.
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

pub(super) fn batches_of(shared: &Shared, wanted: &Wanted<'_>) -> Result<FoundBatches, JournalError> {
    let (open_positions, segments) = {
        let live = shared.live();
        (live.open_positions(wanted.keys), live.segments.clone())
    };
    let mut found = FoundBatches::default();
    let mut bytes = 0;
    'segments: for (first, segment) in segments.into_iter().rev() {
        // The open segment says only at its end when its newest batch arrived.
        if segment.last.is_some() && segment.newest_unix_nanos < *wanted.received.start() {
            continue;
        }
        let reader = match Reader::open(&segment.path, first) {
            Ok(reader) => reader,
            // Retention may have deleted it since the look at the live state.
            Err(_) if !shared.live().segments.contains_key(&first) => continue,
            Err(error) => return Err(error),
        };
        let mut positions = BTreeSet::new();
        if segment.last.is_none() {
            positions.extend(open_positions.iter().copied());
        } else {
            for key in wanted.keys {
                positions.extend(reader.indexed(*key)?);
            }
        }
        for position in positions.into_iter().rev() {
            let Some(row) = reader.batch_of(position, wanted)? else { continue };
            if found.batches.len() >= BATCHES_PER_ANSWER || bytes >= BYTES_PER_ANSWER {
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
