//! Counts the edges that one span or one parent and child show.
//!
//! A message whose carrier is known is drawn through it: the sender publishes to the resource, the resource delivers
//! to the receiver. Only where neither side names a carrier is the message an edge between the functions.

use super::{SpanRecord, invocation::Invocations, limit::Limit};
use crate::{
    record::{CALL, Call, Delta, EdgeKey},
    snapshot::{EdgeKind, NodeId},
    span::SpanKind,
    window::millis,
};

/// How sure a call is that only the caller speaks of.
const NAMED: f32 = 0.8;

/// Counts the resource that a span touches.
pub(super) fn count_touch(delta: &mut Delta, span: &SpanRecord) {
    if let Some(node) = span.touches.get() {
        delta.call(touch_edge(span, node, span.touch_kind), &call(span));
    }
}

/// How a parent reaches the invocation that its child enters.
pub(super) enum Reach {
    /// Over the resource that the parent names itself.
    Named,
    /// Over a resource that only the child names.
    Carrier(NodeId),
    /// By a call, or a message that nobody names the carrier of.
    Function(EdgeKind),
}

/// How `parent` reaches the invocation whose entry is `span`.
pub(super) fn reach(span: &SpanRecord, parent: &SpanRecord) -> Reach {
    match (parent.published(), span.delivered()) {
        (Some(_), _) => Reach::Named,
        (None, Some(node)) => Reach::Carrier(node),
        (None, None) if is_message(span, parent) => Reach::Function(EdgeKind::Message),
        (None, None) => Reach::Function(EdgeKind::Call),
    }
}

/// How long the message waited by which `parent` caused the invocation whose entry is `span`, milliseconds; [`CALL`] for
/// a call.
pub(super) fn waited_ms(span: &SpanRecord, parent: &SpanRecord) -> f32 {
    let is_sent = is_message(span, parent) || parent.published().is_some() || span.delivered().is_some();
    match (is_sent, parent.kind.is_outbound()) {
        (false, _) => CALL,
        (true, true) => millis(span.start.0.saturating_sub(parent.end().0)) as f32,
        // When it was sent inside of a longer span is not known.
        (true, false) => 0.0,
    }
}

fn is_message(span: &SpanRecord, parent: &SpanRecord) -> bool {
    parent.kind == SpanKind::Producer || span.kind == SpanKind::Consumer
}

/// Counts that the invocation of `parent` caused the invocation whose entry is `span`, with the key `key`.
pub(super) fn count_call(
    delta: &mut Delta,
    invocations: &mut Invocations,
    key: u64,
    span: &SpanRecord,
    parent: &SpanRecord,
) {
    let is_message = is_message(span, parent);
    // Where the one side alone would not show it, both have to be there.
    let sampling = span.sampling.least(parent.sampling);
    let count = |delta: &mut Delta, shown_by: &SpanRecord, node, kind| {
        delta.call(touch_edge(shown_by, node, kind), &Call { sampling, ..call(shown_by) });
    };
    match (parent.published(), span.delivered()) {
        (Some(_), Some(_)) => {}
        (Some(node), None) if is_message => count(delta, span, node, EdgeKind::Deliver),
        (None, Some(node)) => count(delta, parent, node, EdgeKind::Publish),
        _ => {
            let kind = if is_message { EdgeKind::Message } else { EdgeKind::Call };
            let edge = EdgeKey { source: parent.function.id, target: span.function.id, kind };
            let is_timed_by_caller = parent.kind == SpanKind::Client;
            let duration = if is_timed_by_caller { parent.duration_nanos } else { span.duration_nanos };
            let call = Call {
                duration_ms: millis(duration),
                server_ms: is_timed_by_caller.then(|| millis(span.duration_nanos)),
                error: span.error || parent.error,
                sampling,
                ..call(span)
            };
            delta.call(edge, &call);
            if kind == EdgeKind::Call {
                invocations.called(delta, key, span, parent);
            }
        }
    }
}

/// Counts the calls that showed the invocation whose entry is `span` as failed, which was not known when they were
/// counted; `parent` is its caller, where the call was counted.
pub(super) fn fail_call(delta: &mut Delta, span: &SpanRecord, parent: Option<&SpanRecord>) {
    if let Some(node) = span.touches.get() {
        delta.fail(touch_edge(span, node, span.touch_kind), span.sampling);
    }
    let Some(parent) = parent else { return };
    let sampling = span.sampling.least(parent.sampling);
    let is_message = is_message(span, parent);
    match (parent.published(), span.delivered()) {
        (Some(node), None) if is_message => delta.fail(touch_edge(span, node, EdgeKind::Deliver), sampling),
        (_, Some(_)) => {}
        _ if parent.error => {}
        _ => {
            let kind = if is_message { EdgeKind::Message } else { EdgeKind::Call };
            delta.fail(EdgeKey { source: parent.function.id, target: span.function.id, kind }, sampling);
        }
    }
}

/// Counts a call that is known from the caller alone, which names the function that it invokes.
pub(super) fn count_invoke(delta: &mut Delta, span: &SpanRecord, function: NodeId) {
    let edge = EdgeKey { source: span.function.id, target: function, kind: EdgeKind::Call };
    delta.call(edge, &Call { confidence: NAMED, ..call(span) });
}

fn touch_edge(span: &SpanRecord, node: NodeId, kind: EdgeKind) -> EdgeKey {
    let function = span.function.id;
    match kind {
        EdgeKind::Deliver => EdgeKey { source: node, target: function, kind },
        _ => EdgeKey { source: function, target: node, kind },
    }
}

/// A call as one span shows it.
fn call(span: &SpanRecord) -> Call {
    Call {
        duration_ms: millis(span.duration_nanos),
        server_ms: None,
        error: span.error,
        throttled: span.limit == Limit::Rate,
        trace_id: span.trace_id,
        confidence: 1.0,
        sampling: span.sampling,
    }
}
