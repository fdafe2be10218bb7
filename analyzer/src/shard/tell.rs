//! Tells linker and aggregate of a span whose place is known: entries, parts, calls, and what it knows of causes.

use super::{
    Shard,
    clue::Clues,
    conduct::sent,
    flow::Flow,
    invocation::Wait,
    kept::SpanRecord,
    limit::Limit,
    touch::{self, Reach},
};
use crate::{
    record::{CALL, Entry, Record, SpanKey},
    snapshot::EdgeKind,
    span::{ArrivalTime, SpanKind},
    window::millis,
};

impl Shard {
    /// The span is the entry of an invocation; without certainty it may turn out to be a part of another, and is
    /// measured when that is settled.
    pub(super) fn enter(
        &mut self,
        now: ArrivalTime,
        key: u64,
        span: &SpanRecord,
        parent: Option<(u64, f32)>,
        is_certain: bool,
    ) {
        let Some(record) = self.spans.get_mut(key) else { return };
        record.invocation = key;
        let counts = self.delta.function(&span.function);
        counts.run(true, span.run());
        counts.exemplars.add(span.trace_id);
        if is_certain {
            counts.ran(span.duration_nanos, span.sampling, span.ended());
        }
        self.invocations.open(now, key, span, is_certain, Flow::of(span, parent.is_some()));
        self.introduce(&span.function);
        self.records.push(Record::Entry(Entry {
            key: SpanKey(key),
            function: span.function.id,
            trace_id: span.trace_id,
            start: span.start,
            lasted_ms: millis(span.duration_nanos) as f32,
            parent: parent.map(|(parent, _)| SpanKey(parent)),
            waited_ms: parent.map_or(CALL, |(_, waited_ms)| waited_ms),
            run: span.run,
            is_open: span.is_open,
            trigger: span.trigger,
            failed: span.error,
            sampling: span.sampling,
        }));
        self.placed(now, key, span, key);
    }

    /// The span is a part of an invocation.
    pub(super) fn belong(&mut self, now: ArrivalTime, key: u64, span: &SpanRecord, invocation: u64) {
        let Some(record) = self.spans.get_mut(key) else { return };
        record.invocation = invocation;
        self.records.push(Record::Belongs {
            span: SpanKey(key),
            invocation: SpanKey(invocation),
            publishes: span.published(),
            end: span.end(),
        });
        if span.kind.is_outbound() {
            self.invocations.add_wait(invocation, Wait::of(span));
            self.count_attempt(span, invocation);
        }
        self.placed(now, key, span, invocation);
    }

    /// What looked like an invocation is a part of another.
    pub(super) fn merge(&mut self, key: u64, span: &SpanRecord, invocation: u64) {
        self.delta.function(&span.function).run(false, span.run());
        self.invocations.merge(key, invocation);
        if span.is_failed {
            self.exceptions.failed.push(invocation);
        }
        if let Some(record) = self.spans.get_mut(key) {
            record.invocation = invocation;
        }
        self.records.push(Record::Same { part: SpanKey(key), whole: SpanKey(invocation) });
    }

    /// Hands on what a span that found its place knows of causes and resources, and notes it for `cascade`.
    fn placed(&mut self, now: ArrivalTime, key: u64, span: &SpanRecord, invocation: u64) {
        let clues = self.clues.remove(key);
        if let Some(clues) = &clues {
            self.invocations.see(invocation, clues, span);
            self.tell(clues, span, SpanKey(invocation));
        }
        if span.kind.is_inbound() {
            self.invocations.take_in(invocation, key == invocation, span, clues.as_ref());
        }
        if let Some(node) = span.published() {
            let messages = clues.map_or(1, |clues| clues.messages());
            self.invocations.send(invocation, sent(node, span.touch_kind, messages, span));
        }
        if span.invokes.get().is_some() {
            self.invoking.push_back((now.after(self.config.park), key));
        }
        touch::count_touch(&mut self.delta, span);
        if span.limit == Limit::Rate && span.kind.is_outbound() {
            self.delta.function(&span.function).observed().refused_calls += span.sampling.adjusted_count();
        }
        self.meet_exceptions(key, span, invocation);
        self.placed.push(key);
    }

    fn tell(&mut self, clues: &Clues, span: &SpanRecord, invocation: SpanKey) {
        let (start, credit, delivered_by) = (span.start, clues.credit, span.delivered());
        let seek = |key, over, link| Record::Seek { key, child: invocation, destination: over, start, credit, link };
        for link in &clues.links {
            let cause = SpanKey(link.cause);
            self.records.push(Record::Link { child: invocation, cause, delivered_by, credit });
            self.records.extend(link.message.map(|key| seek(key, delivered_by, link.cause)));
        }
        if clues.entity != 0 {
            self.records.push(Record::Handled { invocation, entity: clues.entity });
        }
        if clues.is_export {
            self.records.push(Record::Export { function: span.function.id, trace_id: span.trace_id, start });
        }
        for known in &clues.keys {
            let (key, over) = (known.key, known.over);
            self.records.push(if span.kind.is_outbound() {
                let end = if known.is_call { start } else { span.end() };
                Record::Offer { key, cause: invocation, destination: over, end, is_slow: clues.is_slow }
            } else {
                seek(key, over, 0)
            });
        }
    }

    /// What the parent sent caused this invocation, and no other that may seek its cause.
    pub(super) fn answer(&mut self, key: u64, parent: &SpanRecord) {
        let called = parent.invokes.get().map(|function| (function, parent.start));
        if let Some((over, end)) = parent.published().map(|node| (node, parent.end())).or(called) {
            let (child, cause) = (SpanKey(key), SpanKey(parent.invocation));
            self.records.push(Record::Answer { child, cause, over, end });
        }
    }

    /// The invocation of the parent waits for this one, unless a message is between them.
    pub(super) fn block(&mut self, span: &SpanRecord, parent: &SpanRecord) {
        let is_message = parent.kind == SpanKind::Producer || span.kind == SpanKind::Consumer;
        if !is_message && span.delivered().is_none() {
            self.invocations.block(span, parent);
        }
    }

    /// The invocation of `parent` reached another, by a call or by a message whose carrier it does not name.
    pub(super) fn reach(&mut self, span: &SpanRecord, parent: &SpanRecord) {
        let reached = match touch::reach(span, parent) {
            Reach::Named => return,
            Reach::Carrier(node) => sent(node, EdgeKind::Publish, 1, parent),
            Reach::Function(kind) if parent.kind.is_outbound() => sent(span.function.id, kind, 1, parent),
            Reach::Function(kind) => sent(span.function.id, kind, 1, span),
        };
        self.invocations.send(parent.invocation, reached);
    }

    /// Counts how long an invocation took, once.
    pub(super) fn count_duration(&mut self, key: u64, span: &SpanRecord) {
        if self.invocations.make_certain(key) {
            self.delta.function(&span.function).ran(span.duration_nanos, span.sampling, span.ended());
        }
    }

    pub(super) fn count_call(&mut self, key: u64, span: &SpanRecord, parent: &SpanRecord) {
        if let Some(record) = self.spans.get_mut(key) {
            record.is_call_counted = true;
        }
        if parent.invokes.get().is_some()
            && let Some(record) = self.spans.get_mut(span.parent)
        {
            record.is_answered = true;
        }
        self.attempt_reached(parent, span.function.id);
        touch::count_call(&mut self.delta, &mut self.invocations, key, span, parent);
    }

    /// A call of a function that is named by its caller alone, because its own spans are not here or lost their parent.
    pub(super) fn count_invoke(&mut self, key: u64) {
        if let Some(span) = self.spans.get(key).filter(|span| !span.is_answered)
            && let Some(function) = span.invokes.get()
        {
            self.invocations.send(span.invocation, sent(function, EdgeKind::Call, 1, span));
            touch::count_invoke(&mut self.delta, span, function);
        }
    }
}
