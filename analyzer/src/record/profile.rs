//! Where the time of one trace went: its critical path, summed up by place.

use std::sync::Arc;

use crate::{
    snapshot::NodeId,
    span::{EventTime, TraceId},
};

/// Where the time of one trace went.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TraceProfile {
    /// The function of its root.
    pub(crate) function: NodeId,
    /// The operation of its root: the name of its span.
    pub(crate) operation: Arc<str>,
    pub(crate) trace_id: TraceId,
    pub(crate) start: EventTime,
    /// From the start of the root to its end, milliseconds.
    pub(crate) duration_ms: f64,
    /// How many traces it stands for: itself, and those like it that were not looked at.
    pub(crate) weight: f64,
    /// Each place once. Their critical times add up to the duration.
    pub(crate) pieces: Vec<Piece>,
}

/// What one place contributed to one trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Piece {
    pub(crate) place: Place,
    /// Its time on the critical path, milliseconds.
    pub(crate) critical_ms: f64,
    /// How much of it can go before another branch becomes critical, milliseconds.
    pub(crate) drag_ms: f64,
    /// How often the trace came by.
    pub(crate) calls: u32,
    /// The most calls of one operation in a row, one after the other, below one parent.
    pub(crate) in_a_row: u32,
    /// Of the calls, those that tried again what had failed.
    pub(crate) retries: u32,
}

/// Where time can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    /// The function's own work.
    Own(NodeId),
    /// Starting an instance of the function.
    ColdStart(NodeId),
    /// Between a caller's span and its callee's: network, queueing, throttling.
    Gap { source: NodeId, target: NodeId },
    /// The function waits for a resource.
    Resource { function: NodeId, resource: NodeId },
    /// A message waits in a resource until a function handles it.
    Queue { resource: NodeId, target: NodeId },
}
