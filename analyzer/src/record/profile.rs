//! Where the time of one trace went: its critical path, summed up by place.

use std::sync::Arc;

use crate::{
    snapshot::NodeId,
    span::{EventTime, TraceId},
    state::{State, state},
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

impl TraceProfile {
    /// The same when functions turned out to be others; what was two places may be one then.
    pub(crate) fn renamed(mut self, own: impl Fn(NodeId) -> NodeId) -> Self {
        self.function = own(self.function);
        self.until = self.until.map(&own);
        self.pieces.iter_mut().for_each(|piece| piece.place = piece.place.renamed(&own));
        self.pieces = together(self.pieces);
        self
    }
}

/// Each place once.
fn together(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut merged: Vec<Piece> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match merged.iter_mut().find(|known| known.place == piece.place) {
            Some(known) => {
                known.critical_ms += piece.critical_ms;
                known.drag_ms += piece.drag_ms;
                known.calls = known.calls.saturating_add(piece.calls);
                known.in_a_row = known.in_a_row.max(piece.in_a_row);
                known.retries = known.retries.saturating_add(piece.retries);
            }
            None => merged.push(piece),
        }
    }
    merged
}

impl Place {
    /// Its nodes; a place of one node names it twice.
    pub(crate) fn nodes(self) -> [NodeId; 2] {
        match self {
            Self::Own(function) | Self::ColdStart(function) | Self::Peer(function) => [function, function],
            Self::Gap { source, target } => [source, target],
            Self::Resource { function, resource } => [function, resource],
            Self::Queue { resource, target } => [resource, target],
        }
    }

    /// The same place when functions turned out to be others.
    pub(crate) fn renamed(self, own: impl Fn(NodeId) -> NodeId) -> Self {
        match self {
            Self::Own(function) => Self::Own(own(function)),
            Self::ColdStart(function) => Self::ColdStart(own(function)),
            Self::Gap { source, target } => Self::Gap { source: own(source), target: own(target) },
            Self::Resource { function, resource } => Self::Resource { function: own(function), resource },
            Self::Queue { resource, target } => Self::Queue { resource, target: own(target) },
            Self::Peer(function) => Self::Peer(own(function)),
        }
    }
}

state!(TraceProfile { function, operation, until, trace_id, start, duration_ms, weight, pieces });
state!(Piece { place, critical_ms, drag_ms, calls, in_a_row, retries });

impl State for Place {
    fn save(&self, to: &mut Vec<u8>) {
        let (number, first, second) = match *self {
            Self::Own(function) => (0_u8, function, NodeId(0)),
            Self::ColdStart(function) => (1, function, NodeId(0)),
            Self::Gap { source, target } => (2, source, target),
            Self::Resource { function, resource } => (3, function, resource),
            Self::Queue { resource, target } => (4, resource, target),
            Self::Peer(function) => (5, function, NodeId(0)),
        };
        number.save(to);
        first.save(to);
        second.save(to);
    }

    fn load(from: &mut &[u8]) -> Option<Self> {
        let (number, first, second) = (u8::load(from)?, NodeId::load(from)?, NodeId::load(from)?);
        Some(match number {
            0 => Self::Own(first),
            1 => Self::ColdStart(first),
            2 => Self::Gap { source: first, target: second },
            3 => Self::Resource { function: first, resource: second },
            4 => Self::Queue { resource: first, target: second },
            5 => Self::Peer(first),
            _ => return None,
        })
    }
}
