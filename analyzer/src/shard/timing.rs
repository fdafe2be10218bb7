//! Looks at some traces closely: where did their time go?
//!
//! It chooses traces (`timing/chance.rs`), keeps the times of their spans until no more come, puts them together
//! (`timing/trace.rs`) and hands the sum by place on to the aggregate (`timing/profile.rs`). What is counted of all
//! traces is not its business, nor which place matters: that is `detect/hotspot.rs`'s.

mod calls;
mod chance;
mod profile;
mod route;
mod skew;
#[cfg(test)]
mod tests;
mod trace;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{kept::SpanRecord, operation::Operations};
use crate::{
    config::Config,
    generations::Generations,
    identity::Function,
    record::{Delta, MaybeNode},
    records::Records,
    sampling::Sampling,
    snapshot::EdgeKind,
    span::{ArrivalTime, Span, SpanKind, TraceId},
};
use calls::Calls;
use chance::{Chance, Choice};
use profile::Summary;
use route::Route;
use skew::Skews;
use trace::Trace;

/// Messages on their way from one trace to another that all shards together keep, about 500 bytes each.
const ROUTES: usize = 16_384;

/// How often a trace waits once more for the one that caused it and goes on.
const WAITS: u8 = 4;

/// The looked-at traces of one shard.
pub(super) struct Timing {
    chance: Chance,
    open: Records<Open>,
    due: VecDeque<(ArrivalTime, u64)>,
    /// The largest hash of a trace that may be open.
    reach: u64,
    capacity: usize,
    spans_per_trace: usize,
    quiet: Duration,
    shards: usize,
    skews: Skews,
    routes: Generations<Route>,
}

/// What is kept of a span of a looked-at trace.
pub(super) struct Seen {
    pub(super) key: u64,
    pub(super) parent: u64,
    /// The span of another trace that caused it; 0 without one.
    pub(super) cause: u64,
    pub(super) function: Arc<Function>,
    /// Identifies function and name.
    pub(super) operation: u64,
    /// The name, for those that may be roots.
    pub(super) name: Option<Arc<str>>,
    /// Nanoseconds by the clock of the instance.
    pub(super) start: u64,
    pub(super) end: u64,
    /// Identifies the instance; 0 where none is named.
    pub(super) instance: u64,
    pub(super) touches: MaybeNode,
    pub(super) invokes: MaybeNode,
    pub(super) sampling: Sampling,
    pub(super) touch_kind: EdgeKind,
    pub(super) kind: SpanKind,
    pub(super) failed: bool,
    /// True for a span of a run that started an instance.
    pub(super) is_cold: bool,
    /// True when it shows how an instance started.
    pub(super) is_start: bool,
    /// True when its clock is sound.
    pub(super) is_timed: bool,
}

struct Open {
    trace_id: TraceId,
    weight: f64,
    last: ArrivalTime,
    spans: Vec<Seen>,
    part: Part,
    waited: u8,
}

/// What of a trace is looked at.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    All,
    /// Only spans that begin runs, because it has too many.
    Runs,
    /// Nothing: its first spans were passed over, and it stands for none, or it has too many runs.
    Nothing,
}

impl Seen {
    /// Keeps of a span what timing needs.
    pub(super) fn of(key: u64, span: &Span, record: &SpanRecord, cause: u64, operations: &Operations) -> Self {
        let operation = record.occurrence.operation();
        let may_be_root = record.parent == 0 || !span.kind.is_outbound();
        Self {
            key,
            parent: record.parent,
            cause,
            function: Arc::clone(&record.function),
            operation,
            name: if may_be_root { operations.name(operation) } else { None },
            start: record.start.0,
            end: record.end().0,
            instance: span.resource.instance(),
            touches: record.touches,
            invokes: record.invokes,
            sampling: record.sampling,
            touch_kind: record.touch_kind,
            kind: record.kind,
            failed: record.error,
            is_cold: record.cold_start,
            is_start: shows_start(span, record.cold_start),
            is_timed: record.has_sound_start && record.duration_nanos > 0,
        }
    }
}

/// True for a span that shows how an instance started: X-Ray, the extensions of Lambda and those who copy them give it
/// one of these names.
fn shows_start(span: &Span, is_cold: bool) -> bool {
    const NAMES: [&str; 6] =
        ["initialization", "init", "coldstart", "cold_start", "aws.lambda.cold_start", "platform.initruntimedone"];
    let is_inner = matches!(span.kind, SpanKind::Internal | SpanKind::Unspecified) && span.parent_span_id.is_some();
    let is_named = || NAMES.iter().any(|name| span.name.eq_ignore_ascii_case(name)) || span.name.starts_with("init ");
    is_inner && (is_named() || is_cold && span.kind == SpanKind::Internal)
}

impl Timing {
    pub(super) fn new(config: &Config, shards: usize) -> Self {
        let shards = shards.max(1);
        let chance = Chance::new(config.trace_spans_per_second as f64 / shards as f64, config.quiet);
        Self {
            reach: chance.reach(),
            chance,
            open: Records::default(),
            due: VecDeque::new(),
            capacity: (config.trace_capacity / shards).max(1),
            spans_per_trace: config.spans_per_trace,
            quiet: config.quiet,
            shards,
            skews: Skews::new(shards, config.lateness),
            routes: Generations::new(ROUTES / shards, config.lateness),
        }
    }

    /// True for a trace that is looked at, or may be.
    pub(super) fn may_look_at(&self, hash: u64) -> bool {
        hash <= self.reach
    }

    /// Takes a span in whose trace has this hash, if that is looked at.
    pub(super) fn see(
        &mut self,
        now: ArrivalTime,
        (hash, trace_id): (u64, TraceId),
        spans: &Generations<SpanRecord>,
        delta: &mut Delta,
        seen: impl FnOnce() -> Option<Seen>,
    ) {
        if !self.open.contains(hash) && !self.begin(now, hash, trace_id, spans, delta) {
            return;
        }
        let Some(open) = self.open.get_mut(hash) else { return };
        open.last = now;
        if open.part == Part::Nothing {
            delta.losses.trace_spans_dropped += u64::from(open.weight > 0.0);
            return;
        }
        let Some(seen) = seen() else { return };
        if open.part == Part::All && open.spans.len() < self.spans_per_trace {
            open.spans.push(seen);
        } else {
            delta.losses.trace_spans_dropped += open.reduce(seen, self.spans_per_trace);
        }
        self.chance.take();
    }

    /// Makes room for a trace and opens it; false when it is passed over.
    fn begin(
        &mut self,
        now: ArrivalTime,
        hash: u64,
        trace_id: TraceId,
        spans: &Generations<SpanRecord>,
        delta: &mut Delta,
    ) -> bool {
        let (weight, part) = match self.chance.choose(hash) {
            Choice::Pass => return false,
            Choice::LeaveOut => (0.0, Part::Nothing),
            Choice::Look(weight) => (weight, Part::All),
        };
        if self.open.len() >= self.capacity {
            self.chance.be_full();
            while self.open.len() >= self.capacity
                && let Some((_, oldest)) = self.due.pop_front()
            {
                delta.losses.traces_cut += u64::from(self.close(oldest, spans, delta));
            }
        }
        self.open.insert(hash, Open { trace_id, weight, last: now, spans: Vec::new(), part, waited: 0 });
        self.due.push_back((now.after(self.quiet), hash));
        true
    }

    /// Measures the traces of which no span came for a while.
    pub(super) fn tick(&mut self, now: ArrivalTime, spans: &Generations<SpanRecord>, delta: &mut Delta) {
        if self.chance.adjust(now) {
            let open = self.open.iter().map(|(hash, _)| *hash).max();
            self.reach = self.chance.reach().max(open.unwrap_or_default());
            delta.losses.clock_offsets_dropped += self.skews.rotate(now);
            let dropped = self.routes.rotate(now).filter(|dropped| dropped.youngest_age.is_some());
            delta.losses.pipelines_dropped += dropped.map_or(0, |dropped| dropped.records.len() as u64);
        }
        while self.due.front().is_some_and(|(due, _)| *due <= now) {
            let Some((_, hash)) = self.due.pop_front() else { break };
            let Some(rests_until) = self.open.get(hash).map(|open| open.last.after(self.quiet)) else { continue };
            if rests_until > now {
                self.due.push_back((rests_until, hash));
            } else if self.waits_for_cause(hash, spans) {
                self.due.push_back((now.after(self.quiet), hash));
            } else {
                self.close(hash, spans, delta);
            }
        }
    }

    /// Measures all traces, in the order in which they began.
    pub(super) fn finish(&mut self, spans: &Generations<SpanRecord>, delta: &mut Delta) {
        while let Some((_, hash)) = self.due.pop_front() {
            self.close(hash, spans, delta);
        }
    }

    /// True when the trace that caused this one is still looked at, and has not been waited for long.
    fn waits_for_cause(&mut self, hash: u64, spans: &Generations<SpanRecord>) -> bool {
        let Some(open) = self.open.get(hash).filter(|open| open.waited < WAITS) else { return false };
        let mut causes = open.spans.iter().filter(|span| span.cause != 0).filter_map(|span| spans.get(span.cause));
        let waits = causes.any(|cause| {
            let other = hash_of(cause.trace_id);
            other != hash && self.open.get(other).is_some_and(|other| other.part != Part::Nothing)
        });
        if waits && let Some(open) = self.open.get_mut(hash) {
            open.waited += 1;
        }
        waits
    }

    /// Measures a trace; false when there is nothing to measure.
    fn close(&mut self, hash: u64, spans: &Generations<SpanRecord>, delta: &mut Delta) -> bool {
        let Some(open) = self.open.remove(hash) else { return false };
        if open.part == Part::Nothing {
            return false;
        }
        let trace = Trace::of(&open.spans, open.part == Part::Runs, spans, &mut self.skews);
        let summary = Summary {
            trace: &trace,
            trace_id: open.trace_id,
            weight: open.weight,
            pairs: self.shards as f64,
            calls: Calls::of(&trace),
            routes: &self.routes,
            skews: &self.skews,
        };
        let told = summary.tell();
        delta.losses.pipelines_dropped += told.left_out;
        delta.profiles.extend(told.profiles);
        for (key, route) in told.routes {
            self.routes.insert(key, route);
        }
        true
    }
}

impl Open {
    /// Adds a span where there are too many to keep all, of which at most so many are; how many were let go.
    fn reduce(&mut self, seen: Seen, most: usize) -> u64 {
        let begins_run = |span: &Seen| span.parent == 0 || span.kind.is_inbound() || span.kind == SpanKind::Unspecified;
        let before = self.spans.len() as u64 + 1;
        if self.part == Part::All {
            self.part = Part::Runs;
            self.spans.retain(begins_run);
        }
        if begins_run(&seen) {
            self.spans.push(seen);
        }
        if self.spans.len() > most {
            self.part = Part::Nothing;
            self.spans = Vec::new();
        }
        before - self.spans.len() as u64
    }
}

/// What a trace is chosen by.
pub(super) fn hash_of(trace_id: TraceId) -> u64 {
    xxhash_rust::xxh3::xxh3_64(&trace_id.0).max(1)
}
