//! A batch on its way into the journal, and how its bytes are packed.
//!
//! Packing happens in the caller, so that the one writer only writes.

use std::{cell::RefCell, io};

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;
use zstd::bulk::{Compressor, decompress};

use crate::otlp::{
    Signal,
    key::{KEY_BYTES, Key},
};

/// The lightest level: it halves the cost of the next one and still takes seven eighths of the bytes away.
const ZSTD_LEVEL: i32 = 1;

/// A request that is ready to be written.
#[derive(Clone, Debug)]
pub struct Batch {
    /// When it arrived, nanoseconds since 1970-01-01 UTC.
    pub received_unix_nanos: u64,
    /// What it carries.
    pub signal: Signal,
    /// Accepted spans, log records or data points.
    pub items: u64,
    /// What it is found by, each once, in order.
    pub keys: Vec<Key>,
    /// The protobuf bytes of the request.
    pub body: Bytes,
    packed: Vec<u8>,
}

impl Batch {
    /// Packs a request; takes about a millisecond for each MiB of the body.
    ///
    /// # Errors
    /// When there is no memory for the compressor.
    pub fn pack(received_unix_nanos: u64, signal: Signal, items: u64, keys: Vec<Key>, body: Bytes) -> io::Result<Self> {
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
        Ok(Self { received_unix_nanos, signal, items, keys, body, packed })
    }

    /// The bytes as they are stored.
    pub(super) fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// What the batch holds in memory, about.
    pub(super) fn memory_bytes(&self) -> usize {
        self.body.len() + self.packed.len() + self.keys.len() * KEY_BYTES
    }

    /// What the batch adds to its segment, about.
    pub(super) fn disk_bytes(&self) -> u64 {
        (self.packed.len() + self.keys.len() * KEY_BYTES) as u64
    }
}

/// Gives back the bytes of a request; `length` is what they were before.
pub(super) fn unpack(packed: &[u8], length: usize) -> io::Result<Bytes> {
    decompress(packed, length).map(Bytes::from)
}

/// The keys as the row of the batch holds them.
pub(super) fn keys_to_blob(keys: &[Key]) -> Vec<u8> {
    keys.iter().flat_map(|key| key.0).collect()
}

/// The keys out of the row of a batch, in order.
pub(super) fn keys_of_blob(blob: &[u8]) -> impl Iterator<Item = Key> {
    blob.as_chunks::<KEY_BYTES>().0.iter().map(|key| Key(*key))
}

/// What the indexes know of a key. Two keys with one hash cost a look at a batch that does not have the one asked for.
pub(super) fn hash(key: Key) -> u64 {
    xxh3_64(&key.0)
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
