//! What a shard keeps of a span for the lateness window.

use std::sync::Arc;

use super::{limit::Limit, operation::Occurrence};
use crate::{
    identity::Function,
    record::{Ended, MaybeNode, Run, Trigger},
    sampling::Sampling,
    snapshot::{EdgeKind, NodeId},
    span::{EventTime, SpanId, SpanKind, TraceId},
};

/// What is kept of a span for the lateness window.
#[derive(Clone)]
pub(super) struct SpanRecord {
    pub(super) function: Arc<Function>,
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) parent: u64,
    /// Key of the invocation it belongs to; 0 while that is not known.
    pub(super) invocation: u64,
    pub(super) start: EventTime,
    /// False when its clock is broken and the start is the arrival.
    pub(super) has_sound_start: bool,
    pub(super) duration_nanos: u64,
    /// The resource that it touches, and how.
    pub(super) touches: MaybeNode,
    pub(super) touch_kind: EdgeKind,
    /// Hash of the id of the run; 0 without one.
    pub(super) run: u64,
    pub(super) occurrence: Occurrence,
    pub(super) kind: SpanKind,
    pub(super) error: bool,
    /// True for an entry of whose invocation an exception was told.
    pub(super) is_failed: bool,
    pub(super) cold_start: bool,
    pub(super) limit: Limit,
    pub(super) is_call_counted: bool,
    /// True for a caller whose callee has the same id.
    pub(super) has_pair: bool,
    /// True once its place was looked for; the others of its batch are not before it.
    pub(super) is_looked_at: bool,
    /// The function that it invokes by name.
    pub(super) invokes: MaybeNode,
    /// True when a span of that function shows the call.
    pub(super) is_answered: bool,
    /// True when nothing in the span says what caused it, and another function may have invoked it.
    pub(super) is_open: bool,
    /// What started it, if it is an entry.
    pub(super) trigger: Trigger,
    /// Hash of the instance that ran it; 0 when nothing is said of it.
    pub(super) instance: u32,
    /// True when it has attributes that only functions have; what leaves a function is not asked.
    pub(super) is_faas: bool,
    /// How probable it was that it was kept.
    pub(super) sampling: Sampling,
}

impl SpanRecord {
    /// True when the span runs inside the same invocation as its parent.
    pub(super) fn is_part_of(&self, parent: &Self) -> bool {
        let calls_itself = parent.kind.is_outbound() && self.kind.is_inbound();
        self.runs_in(parent) && !calls_itself
    }

    /// True when both are of one process; one of them may not say of which of its functions.
    pub(super) fn runs_in(&self, parent: &Self) -> bool {
        is_one_process(&self.function, &parent.function)
    }

    /// True when a span with the same id is not the same span, but the other side of one call, as Zipkin writes it.
    pub(super) fn shares_id_with(&self, kind: SpanKind) -> bool {
        let is_call = |one: SpanKind, other| one == SpanKind::Client && other == SpanKind::Server;
        is_call(self.kind, kind) || is_call(kind, self.kind)
    }

    /// The function that the span above or below it names, where it names none itself.
    pub(super) fn named_by(&self, other: &Self) -> Option<Arc<Function>> {
        (other.function.app == Some(self.function.id)).then(|| Arc::clone(&other.function))
    }

    /// How the run went that it is the entry of.
    pub(super) fn ended(&self) -> Ended {
        Ended { is_cold: self.cold_start, is_failed: self.error }
    }

    /// The run whose entry it is.
    pub(super) fn run(&self) -> Run {
        let timed_out = self.limit == Limit::Time && !self.kind.is_outbound();
        Run { sampling: self.sampling, error: self.error, cold_start: self.cold_start, timed_out }
    }

    /// True when the span waits for a database or another store.
    pub(super) fn uses_state(&self) -> bool {
        let is_use = matches!(self.touch_kind, EdgeKind::Read | EdgeKind::Write);
        is_use && self.kind.is_outbound() && self.touches.get().is_some()
    }

    pub(super) fn end(&self) -> EventTime {
        EventTime(self.start.0.saturating_add(self.duration_nanos))
    }

    /// The resource that the span sends to or changes.
    pub(super) fn published(&self) -> Option<NodeId> {
        self.touches.get().filter(|_| matches!(self.touch_kind, EdgeKind::Publish | EdgeKind::Write))
    }

    /// The resource that delivered what the span handles.
    pub(super) fn delivered(&self) -> Option<NodeId> {
        self.touches.get().filter(|_| self.touch_kind == EdgeKind::Deliver)
    }
}

/// True when both are one function, or one of them is the process that runs the other.
pub(super) fn is_one_process(one: &Function, other: &Function) -> bool {
    one.id == other.id || other.app == Some(one.id) || one.app == Some(other.id)
}
