//! What requests are found by in the journal: a trace, a function, or the id of a run.
//!
//! It does not know the journal, which only compares keys. Requests of spans are found by their traces alone; those of log
//! records by all three, since many records name no trace.

use loopscope_analyzer::{snapshot::NodeId, span::TraceId};
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// Bytes of a key.
pub const KEY_BYTES: usize = 16;

/// Seeds keep functions and runs apart.
const FUNCTION: u64 = 1;
const RUN: u64 = 2;

/// What a request is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub [u8; KEY_BYTES]);

impl Key {
    /// Of a function.
    pub fn function(id: NodeId) -> Self {
        Self(xxh3_128_with_seed(&id.0.to_le_bytes(), FUNCTION).to_le_bytes())
    }

    /// Of a run, by its id (`faas.invocation_id`).
    pub fn run(id: &str) -> Self {
        Self(xxh3_128_with_seed(id.as_bytes(), RUN).to_le_bytes())
    }
}

impl From<TraceId> for Key {
    /// That of a trace is its id.
    fn from(trace: TraceId) -> Self {
        Self(trace.0)
    }
}
