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
    /// The function whose run ends it, where messages led there; `None` where it ends with the root. What is the same
    /// but for this is measured apart: how long a caller waits, and how long a pipeline takes to a stage.
    pub(crate) until: Option<NodeId>,
    pub(crate) trace_id: TraceId,
    pub(crate) start: EventTime,
    /// From the start of the root to its end, or to that of the run `until`; milliseconds.
    pub(crate) duration_ms: f64,
    /// How many traces it stands for: itself, and those like it that were not looked at or not kept.
    pub(crate) weight: f64,
    /// Each place once, those beside the critical path too. Their critical times add up to the duration.
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
    /// Starting an instance of the function. Its calls are the cold runs; where nothing shows how long the start took, it
    /// takes no time, and what it took is in what the function did itself.
    ColdStart(NodeId),
    /// Between a caller's span and its callee's: network, queueing, throttling.
    Gap { source: NodeId, target: NodeId },
    /// The function waits for a resource.
    Resource { function: NodeId, resource: NodeId },
    /// The function waits for somebody who is not known: the span names no resource, and nobody answers with spans.
    Peer(NodeId),
    /// A message waits in a resource until a function handles it.
    Queue { resource: NodeId, target: NodeId },
}
