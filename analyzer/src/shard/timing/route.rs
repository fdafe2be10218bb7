//! How a trace came to some moment, while a message waits to be handled: the way from its root, summed up by place.

use std::sync::Arc;

use crate::{
    record::{Piece, Place, TraceProfile},
    snapshot::NodeId,
    span::{EventTime, TraceId},
    window::millis,
};

/// A way from the root of a trace to some moment.
#[derive(Clone)]
pub(super) struct Route {
    pub(super) function: NodeId,
    pub(super) operation: Arc<str>,
    pub(super) trace_id: TraceId,
    pub(super) start: EventTime,
    /// For how many it stands.
    pub(super) weight: f64,
    /// How long it is.
    pub(super) nanos: u64,
    pub(super) pieces: Vec<Piece>,
    pub(super) sent: Sent,
}

/// A message at the end of a way.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    pub(super) by: NodeId,
    /// Where to, if that has a name.
    pub(super) to: Option<NodeId>,
    /// When it had been sent, nanoseconds by the clock with this number.
    pub(super) at: u64,
    pub(super) clock: u64,
}

impl Route {
    /// Adds what one place contributes.
    pub(super) fn add(&mut self, more: Piece, nanos: u64) {
        self.nanos += nanos;
        self.pieces.push(more);
    }

    /// Makes one piece of all of a place.
    pub(super) fn sum_up(&mut self) {
        self.pieces.sort_by_key(|piece| piece.place);
        self.pieces.dedup_by(|next, known| {
            let is_same = next.place == known.place;
            if is_same {
                known.critical_ms += next.critical_ms;
                known.drag_ms += next.drag_ms;
                known.calls = known.calls.saturating_add(next.calls);
                known.in_a_row = known.in_a_row.max(next.in_a_row);
                known.retries = known.retries.saturating_add(next.retries);
            }
            is_same
        });
    }

    /// The message waits, until a function handles it.
    pub(super) fn wait(&mut self, over: Option<NodeId>, source: NodeId, target: NodeId, nanos: u64) {
        let place = match over {
            Some(resource) => Place::Queue { resource, target },
            None => Place::Gap { source, target },
        };
        self.add(Piece { calls: 1, ..piece(place, nanos, nanos) }, nanos);
    }

    /// The way as a profile.
    pub(super) fn profile(mut self, until: Option<NodeId>) -> TraceProfile {
        self.sum_up();
        TraceProfile {
            function: self.function,
            operation: self.operation,
            until,
            trace_id: self.trace_id,
            start: self.start,
            duration_ms: millis(self.nanos),
            weight: self.weight,
            pieces: self.pieces,
        }
    }
}

/// Time of a place on a critical path, of which `drag` can go; nanoseconds.
pub(super) fn piece(place: Place, critical: u64, drag: u64) -> Piece {
    Piece { place, critical_ms: millis(critical), drag_ms: millis(drag), calls: 0, in_a_row: 0, retries: 0 }
}
