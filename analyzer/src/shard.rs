//! One shard: turns the spans of its traces into invocations, counts and records for the linker.
//!
//! All spans of a trace go to one shard. It knows parents and children within a trace and nothing beyond: links across
//! traces, causal depth and loops are the linker's (`linker.rs`). How a span relates to its parent:
//!
//! ```text
//!   parent        child
//!   -----------   -------------------------------------------------------------
//!   none          entry of an invocation
//!   other fn      entry, caused by the parent's invocation
//!   same fn,      entry when the parent is outbound and the child inbound (the
//!   ...           function calls itself), otherwise a part of the same invocation
//!   not here yet  inbound: entry for now, joined or merged when the parent comes;
//!                 other kinds: parked until the parent comes or the time is up
//! ```

mod anomaly;
mod attempt;
mod clue;
mod invocation;
mod naming;
mod operation;
mod touch;

use std::{collections::VecDeque, mem, sync::Arc, time::Duration};

use rustc_hash::FxHashSet;
use smallvec::SmallVec;

use crate::{
    attribute::Attribute,
    config::Config,
    generations::Generations,
    identity::{Function, function_of, invoked_by, touch_of},
    record::{Delta, Record, SpanKey, Trigger},
    snapshot::{EdgeKind, Losses, NodeId},
    span::{ArrivalTime, EventTime, LINKS_PER_SPAN, Span, SpanId, SpanKind, TraceId},
    window::millis,
};
use attempt::Attempting;
use clue::{Clues, Ends, may_be_invoked, run_of, trigger_of};
use invocation::Invocations;
use operation::{Occurrence, Operations};

/// Clocks may run ahead of the collector's by this much; what lies further in the future is no time at all.
const FUTURE: Duration = Duration::from_secs(600);

/// No run takes longer; what says so has a broken clock.
const LONGEST_NANOS: u64 = 30 * 24 * 3_600 * 1_000_000_000;

/// Children of one span that wait for it; further ones count as orphans.
const WAITING: usize = 4_096;

/// One shard of the engine.
pub struct Shard {
    config: Config,
    spans: Generations<SpanRecord>,
    /// Children that came before their parents.
    waiting: Generations<SmallVec<[u64; 2]>>,
    /// Invocations that stand for a parent which did not come, so that its children are parts of one.
    stand_ins: Generations<u64>,
    /// What spans whose invocation is not known yet know of causes.
    clues: Generations<Clues>,
    parked: VecDeque<(ArrivalTime, u64)>,
    /// Spans that found their place and whose waiting children have not been looked at.
    placed: Vec<u64>,
    /// Spans whose function became known by that of a span below.
    named: Vec<u64>,
    /// Spans that name a function they invoke, until it is clear whether its spans show the call.
    invoking: VecDeque<(ArrivalTime, u64)>,
    /// Functions whose further names were told.
    introduced: FxHashSet<NodeId>,
    capacity: usize,
    invocations: Invocations,
    operations: Operations,
    attempting: Attempting,
    delta: Delta,
    records: Vec<Record>,
}

/// What a shard has to say since it was asked last.
pub struct ShardOutput {
    /// For the aggregate.
    pub delta: Delta,
    /// For the linker, in order.
    pub records: Vec<Record>,
}

/// What is kept of a span for the lateness window.
#[derive(Clone)]
struct SpanRecord {
    function: Arc<Function>,
    trace_id: TraceId,
    span_id: SpanId,
    parent: u64,
    /// Key of the invocation it belongs to; 0 while that is not known.
    invocation: u64,
    start: EventTime,
    /// False when its clock is broken and the start is the arrival.
    has_sound_start: bool,
    duration_nanos: u64,
    touch: Option<(NodeId, EdgeKind)>,
    /// Hash of the id of the run; 0 without one.
    run: u64,
    occurrence: Occurrence,
    kind: SpanKind,
    error: bool,
    cold_start: bool,
    is_call_counted: bool,
    /// True for a caller whose callee has the same id.
    has_pair: bool,
    /// True once its place was looked for; the others of its batch are not before it.
    is_looked_at: bool,
    /// The function that it invokes by name.
    invokes: Option<NodeId>,
    /// True when a span of that function shows the call.
    is_answered: bool,
    /// True when nothing in the span says what caused it, and another function may have invoked it.
    is_open: bool,
    /// What started it, if it is an entry.
    trigger: Trigger,
}

impl Shard {
    /// Builds one of `shards` shards.
    pub fn new(config: &Config, shards: usize) -> Self {
        let capacity = (config.span_capacity / shards.max(1)).max(2);
        Self {
            spans: Generations::new(capacity, config.lateness),
            waiting: Generations::new(capacity, config.lateness),
            stand_ins: Generations::new(capacity, config.lateness),
            clues: Generations::new(capacity, config.lateness),
            parked: VecDeque::new(),
            placed: Vec::new(),
            named: Vec::new(),
            invoking: VecDeque::new(),
            introduced: FxHashSet::default(),
            capacity,
            invocations: Invocations::new(config.settle, capacity),
            operations: Operations::new(),
            attempting: Attempting::new(config),
            delta: Delta::default(),
            records: Vec::new(),
            config: config.clone(),
        }
    }

    /// Takes in spans that arrived at `now`. Spans seen before are counted and left out.
    pub fn ingest(&mut self, now: ArrivalTime, spans: impl IntoIterator<Item = Span>) {
        self.rotate(now);
        let mut fresh = Vec::new();
        for span in spans {
            self.delta.losses.spans += 1;
            let mut key = SpanKey::new(span.trace_id, span.span_id).0;
            if self.spans.get(key).is_some_and(|known| known.shares_id_with(span.kind)) {
                key = SpanKey(key).pair().0;
            }
            if self.spans.contains(key) {
                self.is_duplicate(&span);
            } else {
                self.keep(now, key, &span);
                fresh.push(key);
            }
        }
        // Placed only when the whole batch is known: children come before their parents within it.
        for key in fresh {
            self.place(now, key);
            self.cascade(now);
        }
    }

    /// Counts what was mended or let go before the spans came here.
    pub fn count(&mut self, losses: &Losses) {
        self.delta.losses.merge(losses);
    }

    /// Does what is due at `now`: promotes spans that waited long enough, settles invocations.
    pub fn tick(&mut self, now: ArrivalTime) {
        self.rotate(now);
        while self.parked.front().is_some_and(|(due, _)| *due <= now) || self.parked.len() > self.capacity {
            if let Some((_, key)) = self.parked.pop_front() {
                self.promote(now, key);
            }
        }
        while self.invoking.front().is_some_and(|(due, _)| *due <= now) || self.invoking.len() > self.capacity {
            if let Some((_, key)) = self.invoking.pop_front() {
                self.count_invoke(key);
            }
        }
        self.invocations.settle(now, &mut self.delta);
    }

    /// Does what is due when no span comes any more: all that waits is promoted, all that is open is settled.
    pub fn finish(&mut self, now: ArrivalTime) {
        while let Some((_, key)) = self.parked.pop_front() {
            self.promote(now, key);
        }
        while let Some((_, key)) = self.invoking.pop_front() {
            self.count_invoke(key);
        }
        self.invocations.settle(ArrivalTime(u64::MAX), &mut self.delta);
        let waiting: Vec<u64> = self.waiting.take_all().flat_map(|(_, children)| children).collect();
        self.are_orphans(waiting);
    }

    /// Hands over what has gathered since the last call.
    pub fn drain(&mut self) -> ShardOutput {
        ShardOutput { delta: self.delta.take(), records: mem::take(&mut self.records) }
    }

    fn rotate(&mut self, now: ArrivalTime) {
        // Before the spans, so that those who waited can be named.
        if let Some(dropped) = self.waiting.rotate(now) {
            self.are_orphans(dropped.records.into_values().flatten());
        }
        if let Some(dropped) = self.spans.rotate(now) {
            self.delta.losses.count_dropped(&dropped);
        }
        if let Some(dropped) = self.clues.rotate(now) {
            let links: usize = dropped.records.values().map(|clues| clues.links.len()).sum();
            self.delta.losses.links_dropped += links as u64;
        }
        self.stand_ins.rotate(now);
        self.operations.rotate(now);
        self.attempting.rotate(now);
    }

    fn keep(&mut self, now: ArrivalTime, key: u64, span: &Span) {
        let function = function_of(span);
        let touch = touch_of(span);
        let parent = span.parent_span_id.map_or(0, |id| SpanKey::new(span.trace_id, id).0);
        let invokes = if span.kind.is_outbound() { invoked_by(span) } else { None };
        let ends = Ends { function: function.id, invoked: invokes };
        let clues = Clues::of(span, key, parent, touch.as_ref(), ends);
        if !clues.is_empty() {
            self.clues.insert(key, clues);
        }
        self.delta.losses.links_dropped += span.links.len().saturating_sub(LINKS_PER_SPAN) as u64;
        let trigger = trigger_of(span, touch.as_ref());
        let touch = touch.map(|touch| {
            let node = (touch.node.id, touch.kind);
            self.delta.resources.insert(touch.node.id, touch.node);
            node
        });
        let (start, duration_nanos) = self.mend_times(now, span);
        // A function is there as soon as one of its spans is, even while it is not clear what that span belongs to.
        if !function.is_app {
            let seen = self.delta.function(&function);
            seen.last_seen = seen.last_seen.max(start);
            let version = span.resource.attributes.text(Attribute::FaasVersion);
            if let Some(version) = version.or_else(|| span.attributes.text(Attribute::FaasVersion)) {
                seen.versions.see(version, start);
            }
        }
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
                touch,
                invokes,
                trigger,
                is_open: span.parent_span_id.is_none() && span.links.is_empty() && may_be_invoked(span),
                run: if span.kind.is_outbound() { 0 } else { run_of(&span.attributes).unwrap_or(0) },
                kind: span.kind,
                error: span.error,
                cold_start: span.attributes.truth(Attribute::FaasColdstart) == Some(true),
                is_call_counted: false,
                is_answered: false,
                has_pair: false,
                is_looked_at: false,
            },
        );
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

    /// Finds out what a new span is, as far as its parent tells.
    fn place(&mut self, now: ArrivalTime, key: u64) {
        let Some(mut span) = self.spans.get(key).cloned() else { return };
        if span.parent != 0 {
            self.look_for_ring(key);
        }
        if span.function.is_app && !self.learn_name(key, &mut span) {
            // A host does not say which function it runs; the worker below it does.
            if self.spans.get(span.parent).is_none_or(|parent| parent.invocation == 0) && span.parent != 0 {
                self.wait(span.parent, key);
            }
            return self.park(now, key);
        }
        if span.parent == 0 {
            return self.enter(now, key, None, true);
        }
        self.find_pair(key, &mut span);
        match self.spans.get(span.parent).cloned() {
            Some(parent) if parent.invocation != 0 => self.join(now, key, &span, &parent),
            Some(parent) => {
                if let Some(function) = parent.named_by(&span) {
                    self.wait(span.parent, key);
                    self.name(span.parent, function);
                    self.park(now, key);
                    return self.named.push(span.parent);
                }
                self.wait(span.parent, key);
                if span.is_part_of(&parent) {
                    self.park(now, key);
                } else {
                    self.enter(now, key, None, true);
                    // Whose invocation called is not known yet, but which function did mostly is.
                    if !parent.function.is_app {
                        self.count_call(key, &span, &parent);
                    }
                }
            }
            None => {
                self.wait(span.parent, key);
                if span.kind.is_inbound() { self.enter(now, key, None, false) } else { self.park(now, key) }
            }
        }
    }

    fn wait(&mut self, parent: u64, child: u64) {
        match self.waiting.get_mut(parent) {
            Some(children) if children.len() < WAITING => children.push(child),
            Some(_) => self.are_orphans([child]),
            None => self.waiting.insert(parent, SmallVec::from_slice(&[child])),
        }
    }

    fn park(&mut self, now: ArrivalTime, key: u64) {
        self.parked.push_back((now.after(self.config.park), key));
    }

    /// Makes the topmost span that still waits above `key` an entry, so that all below it find their place.
    fn promote(&mut self, now: ArrivalTime, key: u64) {
        if self.spans.get(key).is_none_or(|span| span.invocation != 0) {
            return;
        }
        let mut top = key;
        let mut climbed = FxHashSet::default();
        while let Some(parent) = self.spans.get(top).map(|span| span.parent) {
            climbed.insert(top);
            if self.spans.get(parent).is_none_or(|span| span.invocation != 0) {
                break;
            }
            if climbed.contains(&parent) {
                self.has_long_ring(parent, &climbed);
                break;
            }
            top = parent;
        }
        let parent = self.spans.get(top).and_then(|span| self.spans.get(span.parent)).cloned();
        match (parent.filter(|parent| parent.invocation != 0), self.spans.get(top).cloned()) {
            // It waited for its name alone.
            (Some(parent), Some(span)) => self.join(now, top, &span, &parent),
            _ => self.stand_in(now, top),
        }
        self.cascade(now);
    }

    /// Makes a span whose parent does not come an invocation, or a part of the one that stands for that parent.
    fn stand_in(&mut self, now: ArrivalTime, key: u64) {
        let Some(span) = self.spans.get(key).cloned() else { return };
        let place = span.parent ^ span.function.id.0;
        match self.stand_ins.get(place).copied() {
            Some(invocation) => self.belong(now, key, invocation),
            None => {
                self.stand_ins.insert(place, key);
                self.enter(now, key, None, false);
            }
        }
    }

    /// Gives a span whose parent's invocation is known its place.
    fn join(&mut self, now: ArrivalTime, key: u64, span: &SpanRecord, parent: &SpanRecord) {
        if parent.invocation == key {
            // The parent was placed below this very span: a ring, counted when it was broken.
            return;
        }
        let is_placed_elsewhere = span.invocation != 0 && span.invocation != key;
        match (span.is_part_of(parent), span.invocation == key) {
            (true, false) if is_placed_elsewhere => {
                // It stood below a stand-in for this parent, which joins the parent's invocation by itself.
                if let Some(record) = self.spans.get_mut(key) {
                    record.invocation = parent.invocation;
                }
            }
            (true, false) => {
                if let Some(function) = span.named_by(parent) {
                    self.name(key, function);
                }
                self.belong(now, key, parent.invocation);
            }
            (true, true) => self.merge(key, span, parent.invocation),
            (false, false) => {
                self.enter(now, key, Some(parent.invocation), true);
                self.answer(key, parent);
                self.count_call(key, span, parent);
            }
            (false, true) => {
                self.records.push(Record::Cause { child: SpanKey(key), parent: SpanKey(parent.invocation) });
                self.answer(key, parent);
                self.count_duration(key, span);
                if !span.is_call_counted {
                    self.count_call(key, span, parent);
                }
            }
        }
        self.follow_operation(key, span, parent);
        self.compare_clocks(span, parent);
    }

    /// What the parent sent caused this invocation, and no other that may seek its cause.
    fn answer(&mut self, key: u64, parent: &SpanRecord) {
        let called = parent.invokes.map(|function| (function, parent.start));
        if let Some((over, end)) = parent.published().map(|node| (node, parent.end())).or(called) {
            let (child, cause) = (SpanKey(key), SpanKey(parent.invocation));
            self.records.push(Record::Answer { child, cause, over, end });
        }
    }

    /// Counts how long an invocation took, once.
    fn count_duration(&mut self, key: u64, span: &SpanRecord) {
        if self.invocations.make_certain(key) {
            self.delta.function(&span.function).duration.add(millis(span.duration_nanos));
        }
    }

    fn count_call(&mut self, key: u64, span: &SpanRecord, parent: &SpanRecord) {
        if let Some(record) = self.spans.get_mut(key) {
            record.is_call_counted = true;
        }
        if parent.invokes.is_some()
            && let Some(record) = self.spans.get_mut(span.parent)
        {
            record.is_answered = true;
        }
        self.attempt_reached(parent, span.function.id);
        touch::count_call(&mut self.delta, &mut self.invocations, key, span, parent);
    }

    /// A call of a function that is named by its caller alone, because its own spans are not here or lost their parent.
    fn count_invoke(&mut self, key: u64) {
        if let Some(span) = self.spans.get(key).filter(|span| !span.is_answered)
            && let Some(function) = span.invokes
        {
            touch::count_invoke(&mut self.delta, span, function);
        }
    }

    /// The span is the entry of an invocation; without certainty it may turn out to be a part of another, and is
    /// measured when that is settled.
    fn enter(&mut self, now: ArrivalTime, key: u64, parent: Option<u64>, is_certain: bool) {
        let Some(record) = self.spans.get_mut(key) else { return };
        record.invocation = key;
        let span = record.clone();
        let counts = self.delta.function(&span.function);
        counts.invocations += 1;
        counts.errors += i64::from(span.error);
        counts.cold_starts += i64::from(span.cold_start);
        counts.exemplars.add(span.trace_id);
        if is_certain {
            counts.duration.add(millis(span.duration_nanos));
        }
        self.invocations.open(now, key, &span, is_certain);
        self.introduce(&span.function);
        self.records.push(Record::Entry {
            key: SpanKey(key),
            function: span.function.id,
            trace_id: span.trace_id,
            start: span.start,
            parent: parent.map(SpanKey),
            run: span.run,
            is_open: span.is_open,
            trigger: span.trigger,
            failed: span.error,
        });
        self.placed(now, key, &span, key);
    }

    /// The span is a part of an invocation.
    fn belong(&mut self, now: ArrivalTime, key: u64, invocation: u64) {
        let Some(record) = self.spans.get_mut(key) else { return };
        record.invocation = invocation;
        let span = record.clone();
        self.records.push(Record::Belongs {
            span: SpanKey(key),
            invocation: SpanKey(invocation),
            publishes: span.published(),
            end: span.end(),
        });
        if span.kind.is_outbound() {
            self.invocations.add_child(invocation, span.start, span.end());
            self.count_attempt(&span, invocation);
        }
        self.placed(now, key, &span, invocation);
    }

    /// What looked like an invocation is a part of another.
    fn merge(&mut self, key: u64, span: &SpanRecord, invocation: u64) {
        let counts = self.delta.function(&span.function);
        counts.invocations -= 1;
        counts.errors -= i64::from(span.error);
        counts.cold_starts -= i64::from(span.cold_start);
        self.invocations.merge(key, invocation);
        if let Some(record) = self.spans.get_mut(key) {
            record.invocation = invocation;
        }
        self.records.push(Record::Same { part: SpanKey(key), whole: SpanKey(invocation) });
    }

    /// Hands on what a span that found its place knows of causes and resources, and notes it for `cascade`.
    fn placed(&mut self, now: ArrivalTime, key: u64, span: &SpanRecord, invocation: u64) {
        if let Some(clues) = self.clues.remove(key) {
            self.tell(&clues, span, SpanKey(invocation));
        }
        if span.invokes.is_some() {
            self.invoking.push_back((now.after(self.config.park), key));
        }
        touch::count_touch(&mut self.delta, span);
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

    /// Places the children that waited for spans which found their place; a list, because chains are deep.
    fn cascade(&mut self, now: ArrivalTime) {
        loop {
            while let Some(key) = self.placed.pop() {
                self.place_children(now, key);
            }
            let Some(key) = self.named.pop() else { break };
            if self.spans.get(key).is_some_and(|span| span.invocation == 0) {
                self.place(now, key);
            }
        }
    }

    fn place_children(&mut self, now: ArrivalTime, key: u64) {
        let Some(children) = self.waiting.remove(key) else { return };
        let Some(parent) = self.spans.get(key).cloned() else { return };
        for child in children {
            let Some(mut span) = self.spans.get(child).cloned() else { continue };
            let is_vague = span.function.is_app && span.invocation == 0 && !span.runs_in(&parent);
            if !is_vague || self.learn_name(child, &mut span) {
                self.join(now, child, &span, &parent);
            }
        }
    }
}

impl SpanRecord {
    /// True when the span runs inside the same invocation as its parent.
    fn is_part_of(&self, parent: &Self) -> bool {
        let calls_itself = parent.kind.is_outbound() && self.kind.is_inbound();
        self.runs_in(parent) && !calls_itself
    }

    /// True when both are of one process; one of them may not say of which of its functions.
    fn runs_in(&self, parent: &Self) -> bool {
        let (own, parents) = (&self.function, &parent.function);
        own.id == parents.id || parents.app == Some(own.id) || own.app == Some(parents.id)
    }

    /// True when a span with the same id is not the same span, but the other side of one call, as Zipkin writes it.
    fn shares_id_with(&self, kind: SpanKind) -> bool {
        let is_call = |one: SpanKind, other| one == SpanKind::Client && other == SpanKind::Server;
        is_call(self.kind, kind) || is_call(kind, self.kind)
    }

    /// The function that the span above or below it names, where it names none itself.
    fn named_by(&self, other: &Self) -> Option<Arc<Function>> {
        (other.function.app == Some(self.function.id)).then(|| Arc::clone(&other.function))
    }

    fn end(&self) -> EventTime {
        EventTime(self.start.0.saturating_add(self.duration_nanos))
    }

    /// The resource that the span sends to or changes.
    fn published(&self) -> Option<NodeId> {
        self.touch.filter(|(_, kind)| matches!(kind, EdgeKind::Publish | EdgeKind::Write)).map(|(node, _)| node)
    }

    /// The resource that delivered what the span handles.
    fn delivered(&self) -> Option<NodeId> {
        self.touch.filter(|(_, kind)| *kind == EdgeKind::Deliver).map(|(node, _)| node)
    }
}
