//! Takes a span in: reads what it says, mends its times, and keeps what later spans need of it.
//!
//! Where it stands among the other spans of its trace is `shard/place.rs`'s.

use std::time::Duration;

use super::{
    Shard,
    clue::{Clues, Ends, may_be_invoked, run_of, trigger_of},
    kept::SpanRecord,
    limit::Limit,
    timing::{self, Seen},
};
use crate::{
    attribute::Attribute,
    facts::memory_mb,
    identity::{Habitat, function_of, invoked_by, touch_of},
    record::SpanKey,
    sampling::Sampling,
    snapshot::EdgeKind,
    span::{ArrivalTime, EventTime, Span},
};

/// Clocks may run ahead of the collector's by this much; what lies further in the future is no time at all.
const FUTURE: Duration = Duration::from_secs(600);

/// No run takes longer; what says so has a broken clock.
const LONGEST_NANOS: u64 = 30 * 24 * 3_600 * 1_000_000_000;

impl Shard {
    /// Keeps what later spans need of this one; true when it has a place among the spans of its trace.
    pub(super) fn keep(&mut self, now: ArrivalTime, key: u64, span: &Span) -> bool {
        let function = function_of(span);
        let touch = touch_of(span);
        let parent = span.parent_span_id.map_or(0, |id| SpanKey::new(span.trace_id, id).0);
        let invokes = if span.kind.is_outbound() { invoked_by(span) } else { None };
        let ends = Ends { function: function.id, invoked: invokes };
        let mut cause = 0;
        let clues = Clues::of(span, key, parent, touch.as_ref(), ends, self.config.links_per_span);
        if !clues.is_empty() {
            cause = clues.links.first().map_or(0, |link| link.cause);
            self.clues.insert(key, clues);
        }
        self.delta.losses.links_dropped += span.links.len().saturating_sub(self.config.links_per_span) as u64;
        let trigger = trigger_of(span, touch.as_ref());
        if let Some(touch) = touch {
            self.delta.touch(touch.node);
        }
        let (start, duration_nanos) = self.mend_times(now, span);
        let (sampling, is_clipped) = Sampling::of(span.sampling);
        self.delta.losses.sampling_clipped += u64::from(is_clipped);
        // A function is there as soon as one of its spans is, even while it is not clear what that span belongs to.
        if !function.is_app {
            let seen = self.delta.function(&function);
            seen.last_seen = seen.last_seen.max(start);
            let version = span.resource.attributes.text(Attribute::FaasVersion);
            if let Some(version) = version.or_else(|| span.attributes.text(Attribute::FaasVersion)) {
                seen.versions.see(version, start);
            }
            seen.told.memory_mb = memory_of(span).or(seen.told.memory_mb);
        }
        let is_placed = !self.count_init(&function, span);
        // What leaves a function may speak of the one that it calls.
        let habitat = if span.kind.is_outbound() { Habitat::default() } else { Habitat::of(span) };
        let parent = self.pair(key, span, parent);
        let occurrence = self.operations.first(function.id, span);
        self.spans.insert(
            key,
            SpanRecord {
                function,
                occurrence,
                trace_id: span.trace_id,
                span_id: span.span_id,
                parent: if parent == key { 0 } else { parent },
                invocation: 0,
                start,
                has_sound_start: start == span.start,
                duration_nanos,
                touches: touch.map(|touch| touch.node.id).into(),
                touch_kind: touch.map_or(EdgeKind::Read, |touch| touch.kind),
                invokes: invokes.into(),
                trigger,
                instance: habitat.instance,
                is_faas: habitat.is_faas,
                sampling,
                is_open: span.parent_span_id.is_none() && span.links.is_empty() && may_be_invoked(span),
                run: if span.kind.is_outbound() { 0 } else { run_of(&span.attributes).unwrap_or(0) },
                kind: span.kind,
                error: span.error,
                is_failed: false,
                limit: Limit::of(span),
                cold_start: span.attributes.truth(Attribute::FaasColdstart) == Some(true),
                is_call_counted: false,
                is_answered: false,
                has_pair: false,
                is_looked_at: false,
            },
        );
        self.look(now, key, span, cause);
        is_placed
    }

    /// Keeps the times of a span of a trace that is looked at closely.
    fn look(&mut self, now: ArrivalTime, key: u64, span: &Span, cause: u64) {
        let trace = (timing::hash_of(span.trace_id), span.trace_id);
        if !self.timing.may_look_at(trace.0) {
            return;
        }
        let Self { timing, operations, spans, delta, .. } = self;
        timing.see(now, trace, spans, delta, || Some(Seen::of(key, span, spans.get(key)?, cause, operations)));
    }

    /// Start and duration; where a clock is broken, the arrival and no time.
    fn mend_times(&mut self, now: ArrivalTime, span: &Span) -> (EventTime, u64) {
        let latest = now.after(FUTURE).0;
        let is_start_broken = span.start.0 == 0 || span.start.0 > latest;
        let is_end_broken = span.end < span.start || span.end.0 > latest || span.duration_nanos() > LONGEST_NANOS;
        if is_start_broken || is_end_broken {
            self.has_broken_clock(span);
        }
        let start = if is_start_broken { EventTime(now.0) } else { span.start };
        (start, if is_start_broken || is_end_broken { 0 } else { span.duration_nanos() })
    }
}

/// The memory of its function's instances, MiB, which exporters write on resources, and some on what is handled.
fn memory_of(span: &Span) -> Option<u32> {
    let by_span = || span.attributes.number(Attribute::FaasMaxMemory).and_then(memory_mb);
    span.resource.memory_mb.or_else(|| if span.kind.is_inbound() { by_span() } else { None })
}
