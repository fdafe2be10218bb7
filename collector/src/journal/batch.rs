//! A batch on its way into the journal, and how its bytes are packed.
//!
//! Packing happens in the caller, so that the one writer only writes.

use std::{cell::RefCell, io};

use bytes::Bytes;
use loopscope_analyzer::span::TraceId;
use xxhash_rust::xxh3::xxh3_64;
use zstd::bulk::{Compressor, decompress};

use crate::otlp::Signal;

/// The lightest level: it halves the cost of the next one and still takes seven eighths of the bytes away.
const ZSTD_LEVEL: i32 = 1;

/// Bytes of a trace id in the row of its batch.
const TRACE_ID_BYTES: usize = 16;

/// A request that is ready to be written.
#[derive(Clone, Debug)]
pub struct Batch {
    /// When it arrived, nanoseconds since 1970-01-01 UTC.
    pub received_unix_nanos: u64,
    /// What it carries.
    pub signal: Signal,
    /// Accepted spans, log records or data points.
    pub items: u64,
    /// Its traces, each once, in order.
    pub trace_ids: Vec<TraceId>,
    /// The protobuf bytes of the request.
    pub body: Bytes,
    packed: Vec<u8>,
}

impl Batch {
    /// Packs a request; takes about a millisecond for each MiB of the body.
    ///
    /// # Errors
    /// When there is no memory for the compressor.
    pub fn pack(
        received_unix_nanos: u64,
        signal: Signal,
        items: u64,
        trace_ids: Vec<TraceId>,
        body: Bytes,
    ) -> io::Result<Self> {
        thread_local! {
            /// Making a compressor costs more than packing a small body.
            static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
        }
        let packed = COMPRESSOR.with_borrow_mut(|slot| {
            let compressor = match slot {
                Some(compressor) => compressor,
                None => slot.insert(Compressor::new(ZSTD_LEVEL)?),
            };
            compressor.compress(&body)
        })?;
        Ok(Self { received_unix_nanos, signal, items, trace_ids, body, packed })
    }

    /// The bytes as they are stored.
    pub(super) fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// What the batch holds in memory, about.
    pub(super) fn memory_bytes(&self) -> usize {
        self.body.len() + self.packed.len() + self.trace_ids.len() * TRACE_ID_BYTES
    }

    /// What the batch adds to its segment, about.
    pub(super) fn disk_bytes(&self) -> u64 {
        (self.packed.len() + self.trace_ids.len() * TRACE_ID_BYTES) as u64
    }
}

/// Gives back the bytes of a request; `length` is what they were before.
pub(super) fn unpack(packed: &[u8], length: usize) -> io::Result<Bytes> {
    decompress(packed, length).map(Bytes::from)
}

/// The ids as the row of the batch holds them.
pub(super) fn trace_ids_to_blob(ids: &[TraceId]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.0).collect()
}

/// The ids out of the row of a batch, in order.
pub(super) fn trace_ids_of_blob(blob: &[u8]) -> impl Iterator<Item = TraceId> {
    blob.as_chunks::<TRACE_ID_BYTES>().0.iter().map(|id| TraceId(*id))
}

/// What the indexes know of a trace id. Two ids with one hash cost a look at a batch that does not have the trace.
pub(super) fn hash(trace: TraceId) -> u64 {
    xxh3_64(&trace.0)
}

/// The number by which a signal is stored; never to be changed.
pub(super) fn signal_to_number(signal: Signal) -> i64 {
    match signal {
        Signal::Traces => 1,
        Signal::Logs => 2,
        Signal::Metrics => 3,
    }
}

/// The signal with this number.
pub(super) fn signal_of_number(number: i64) -> Option<Signal> {
    Signal::ALL.into_iter().find(|signal| signal_to_number(*signal) == number)
}
