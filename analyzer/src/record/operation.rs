//! Laps of operations, as a shard hands them to the linker.

use std::sync::Arc;

use crate::{
    sampling::Sampling,
    snapshot::{LoopId, NodeId},
    span::{EventTime, TraceId},
};

/// An operation began again below itself.
#[derive(Clone, Debug, PartialEq)]
pub struct OperationLap {
    /// What it went through.
    pub cycle: Arc<OperationCycle>,
    /// Identifies the operation that began again, with its function.
    pub operation: u64,
    /// The trace it was seen in.
    pub trace_id: TraceId,
    /// When the earlier occurrence began.
    pub start: EventTime,
    /// From there to the beginning of the later one.
    pub nanos: u64,
    /// Occurrences on the path of the trace so far, at least 2; a lower bound where spans came before their parents.
    pub occurrences: u32,
    /// How probable it was that its trace was kept.
    pub sampling: Sampling,
    /// True when the two are of different invocations, so that the lap is one of its function as well.
    pub is_covered: bool,
}

/// The operations between two occurrences of one of them.
#[derive(Debug, PartialEq, Eq)]
pub struct OperationCycle {
    /// Persistent identity.
    pub id: LoopId,
    /// The operations in canonical rotation.
    pub operations: Vec<Arc<str>>,
    /// Their functions, where neighbours that are the same are one.
    pub functions: Vec<NodeId>,
    /// The loop of functions that its laps go round if they are covered.
    pub function_loop: LoopId,
}
