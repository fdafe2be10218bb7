//! What a shard or the linker has counted since it was asked last; deltas are merged by addition.

use std::{mem, sync::Arc, time::Duration};

use rustc_hash::{FxBuildHasher, FxHashMap};

use super::{
    Anomalies, AttemptDelta, AttemptKey, Belief, Billed, Exemplars, FlowCounts, FlowKey, Nature, Observed, Outs, Pace,
    Passing, Reported, Samples, StateUse, TraceProfile, Versions, observed::merge_into,
};
use crate::{
    facts::{FactRecord, Told},
    generations::Dropped,
    identity::{Function, TouchedResource},
    sampling::Sampling,
    sketch::DDSketch,
    snapshot::{EdgeKind, Losses, NodeId, ResourceNode},
    span::{EventTime, TraceId},
    state::state,
    window::{merge, millis, sketch},
};

/// Names an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EdgeKey {
    pub(crate) source: NodeId,
    pub(crate) target: NodeId,
    pub(crate) kind: EdgeKind,
}

/// Changes to the graph since the last delta.
#[derive(Clone, Default)]
pub struct Delta {
    pub(crate) functions: FxHashMap<NodeId, FunctionDelta>,
    pub(crate) resources: FxHashMap<NodeId, ResourceNode>,
    pub(crate) edges: FxHashMap<EdgeKey, EdgeDelta>,
    /// Time of invocations that no other waits for, milliseconds.
    pub(crate) root_ms: f64,
    /// Attempts at what has failed.
    pub(crate) attempts: FxHashMap<AttemptKey, AttemptDelta>,
    /// Invocations of unknown cause.
    pub(crate) flows: FxHashMap<FlowKey, FlowCounts>,
    /// Where the time of the traces went that were looked at.
    pub(crate) profiles: Vec<TraceProfile>,
    /// What messages caused.
    pub(crate) passing: Passing,
    pub(crate) anomalies: Anomalies,
    pub(crate) losses: Losses,
    pub(crate) begun: Begun,
}

/// Functions, resources and edges that came into a delta since somebody looked.
#[derive(Clone, Default)]
pub(crate) struct Begun {
    pub(crate) nodes: Vec<NodeId>,
    pub(crate) edges: Vec<EdgeKey>,
}

/// Changes to one function; counts can shrink when what looked like an invocation turns out to be a part of another.
#[derive(Clone)]
pub(crate) struct FunctionDelta {
    pub(crate) function: Arc<Function>,
    /// Runs that were kept.
    pub(crate) kept: i64,
    /// Runs that they stand for, and of these.
    pub(crate) invocations: f64,
    pub(crate) errors: f64,
    pub(crate) cold_starts: f64,
    pub(crate) last_seen: EventTime,
    pub(crate) duration: DDSketch,
    /// The part of `duration` that cold runs are.
    pub(crate) cold_duration: Option<Box<DDSketch>>,
    pub(crate) self_time: DDSketch,
    /// What is charged for the runs.
    pub(crate) billed: Billed,
    /// Runs by the minute; only where time is known, that is not in a shard.
    pub(crate) pace: Pace,
    pub(crate) state_use: StateUse,
    /// How it is configured, as far as telemetry says.
    pub(crate) told: Told,
    pub(crate) observed: Option<Box<Observed>>,
    /// What metrics say that it did.
    pub(crate) reported: Option<Box<Reported>>,
    pub(crate) exemplars: Exemplars,
    pub(crate) versions: Versions,
    /// How the runs that are over began.
    pub(crate) nature: Nature,
    /// What the runs that are over called and sent.
    pub(crate) outs: Outs,
}

/// One run, as its entry span shows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) sampling: Sampling,
    pub(crate) error: bool,
    pub(crate) cold_start: bool,
    /// True when the platform ended it because it took too long.
    pub(crate) timed_out: bool,
}

/// How a run went that is over.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ended {
    /// True when it started an instance.
    pub(crate) is_cold: bool,
    /// True when it failed.
    pub(crate) is_failed: bool,
}

/// Changes to one edge.
#[derive(Clone)]
pub(crate) struct EdgeDelta {
    /// Calls that were kept.
    pub(crate) kept: u64,
    pub(crate) belief: Belief,
    /// Calls that they stand for, and of these.
    pub(crate) calls: f64,
    pub(crate) errors: f64,
    /// Calls that were refused because there were too many.
    pub(crate) throttles: f64,
    pub(crate) duration: DDSketch,
    pub(crate) gap: Option<DDSketch>,
    /// The callee's time of the calls that the caller timed as well.
    pub(crate) server: Samples,
    pub(crate) exemplars: Exemplars,
}

/// One call over an edge.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    pub(crate) duration_ms: f64,
    /// The callee's time, where the caller's is known as well: the rest is the gap between the two.
    pub(crate) server_ms: Option<f64>,
    pub(crate) error: bool,
    /// True when it was refused because there were too many.
    pub(crate) throttled: bool,
    pub(crate) trace_id: TraceId,
    /// How sure it is that it went this way.
    pub(crate) confidence: f32,
    /// How probable it was that all it is seen from was kept.
    pub(crate) sampling: Sampling,
}

impl FunctionDelta {
    /// A function of which nothing was counted.
    pub(crate) fn new(function: &Arc<Function>) -> Self {
        Self {
            function: Arc::clone(function),
            kept: 0,
            invocations: 0.0,
            errors: 0.0,
            cold_starts: 0.0,
            last_seen: EventTime(0),
            duration: sketch(),
            cold_duration: None,
            self_time: sketch(),
            billed: Billed::default(),
            pace: Pace::default(),
            state_use: StateUse::default(),
            told: Told::default(),
            observed: None,
            reported: None,
            exemplars: Exemplars::default(),
            versions: Versions::default(),
            nature: Nature::default(),
            outs: Outs::default(),
        }
    }

    /// Adds what was counted elsewhere, or later.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.kept += other.kept;
        self.invocations += other.invocations;
        self.errors += other.errors;
        self.cold_starts += other.cold_starts;
        self.last_seen = self.last_seen.max(other.last_seen);
        merge(&mut self.duration, &other.duration);
        merge_into(&mut self.cold_duration, other.cold_duration.as_deref());
        merge(&mut self.self_time, &other.self_time);
        self.billed.merge(&other.billed);
        self.pace.merge(&other.pace);
        self.state_use.merge(&other.state_use);
        self.told.update(other.told);
        if let Some(observed) = &other.observed {
            self.observed().merge(observed);
        }
        if let Some(reported) = &other.reported {
            self.reported.get_or_insert_default().merge(reported);
        }
        self.exemplars.merge(&other.exemplars);
        self.versions.merge(&other.versions);
        self.nature.merge(&other.nature);
        self.outs.merge(&other.outs);
    }

    /// Counts a run, or takes one back.
    pub(crate) fn run(&mut self, is_more: bool, run: Run) {
        let adjusted = run.sampling.adjusted_count();
        let (kept, count) = if is_more { (1, adjusted) } else { (-1, -adjusted) };
        self.kept += kept;
        self.invocations += count;
        self.errors += if run.error { count } else { 0.0 };
        self.cold_starts += if run.cold_start { count } else { 0.0 };
        if run.timed_out {
            self.observed().span_time_outs += count;
        }
    }

    /// Counts how long a run took, and what is charged for it.
    pub(crate) fn ran(&mut self, nanos: u64, sampling: Sampling, ended: Ended) {
        self.billed.ran(nanos, sampling, ended.is_cold);
        self.took(millis(nanos), ended);
    }

    /// Counts how long a run took.
    pub(crate) fn took(&mut self, duration_ms: f64, ended: Ended) {
        self.duration.add(duration_ms);
        if ended.is_cold {
            self.cold_duration.get_or_insert_with(|| Box::new(sketch())).add(duration_ms);
        }
        if ended.is_failed {
            self.observed().failed.get_or_insert_with(|| Box::new(sketch())).add(duration_ms);
        }
    }

    /// Room for what is rarely observed.
    pub(crate) fn observed(&mut self) -> &mut Observed {
        self.observed.get_or_insert_default()
    }
}

impl EdgeDelta {
    fn new() -> Self {
        Self {
            kept: 0,
            belief: Belief::default(),
            calls: 0.0,
            errors: 0.0,
            throttles: 0.0,
            duration: sketch(),
            gap: None,
            server: Samples::default(),
            exemplars: Exemplars::default(),
        }
    }

    /// Adds what was counted elsewhere, or later.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.kept += other.kept;
        self.belief.merge(other.belief);
        self.calls += other.calls;
        self.errors += other.errors;
        self.throttles += other.throttles;
        merge(&mut self.duration, &other.duration);
        if let Some(gap) = &other.gap {
            merge(self.gap.get_or_insert_with(sketch), gap);
        }
        self.server.merge(&other.server);
        self.exemplars.merge(&other.exemplars);
    }
}

impl Delta {
    /// True when nothing changed.
    pub fn is_empty(&self) -> bool {
        self.functions.is_empty()
            && self.edges.is_empty()
            && self.resources.is_empty()
            && self.losses == Losses::default()
            && self.attempts.is_empty()
            && self.flows.is_empty()
            && self.profiles.is_empty()
            && self.passing.is_empty()
            && self.anomalies == Anomalies::default()
            && self.root_ms == 0.0
    }

    /// Takes what has gathered and starts anew.
    pub(crate) fn take(&mut self) -> Self {
        // The next is likely about as many functions and edges as this one.
        let next = Self {
            functions: FxHashMap::with_capacity_and_hasher(self.functions.len(), FxBuildHasher),
            edges: FxHashMap::with_capacity_and_hasher(self.edges.len(), FxBuildHasher),
            ..Self::default()
        };
        mem::replace(self, next)
    }

    pub(crate) fn function(&mut self, function: &Arc<Function>) -> &mut FunctionDelta {
        let begun = &mut self.begun.nodes;
        self.functions.entry(function.id).or_insert_with(|| {
            begun.push(function.id);
            FunctionDelta::new(function)
        })
    }

    /// Takes in what is said of a run beyond its spans. Who does not say which function it was says nothing.
    pub(crate) fn learn(&mut self, fact: &FactRecord) {
        if fact.function.is_app {
            return;
        }
        let function = self.function(&fact.function);
        function.last_seen = function.last_seen.max(fact.at);
        function.told.update(fact.told());
        function.observed().learn(fact);
    }

    /// A resource was touched; the last who speaks of it counts, but a trigger that does not say what provides it.
    pub(crate) fn touch(&mut self, resource: TouchedResource<'_>) {
        match self.resources.get_mut(&resource.id) {
            Some(known) if resource.is_as(known) || resource.system.is_empty() && !known.system.is_empty() => {}
            Some(known) => *known = resource.to_node(),
            None => {
                self.begun.nodes.push(resource.id);
                self.resources.insert(resource.id, resource.to_node());
            }
        }
    }

    /// Counts a call that was counted before as failed.
    pub(crate) fn fail(&mut self, key: EdgeKey, sampling: Sampling) {
        let begun = &mut self.begun.edges;
        let edge = self.edges.entry(key).or_insert_with(|| {
            begun.push(key);
            EdgeDelta::new()
        });
        edge.errors += sampling.adjusted_count();
    }

    /// Counts one call over an edge.
    pub(crate) fn call(&mut self, key: EdgeKey, call: &Call) {
        let begun = &mut self.begun.edges;
        let edge = self.edges.entry(key).or_insert_with(|| {
            begun.push(key);
            EdgeDelta::new()
        });
        let count = call.sampling.adjusted_count();
        edge.kept += 1;
        edge.calls += count;
        edge.errors += if call.error { count } else { 0.0 };
        edge.throttles += if call.throttled { count } else { 0.0 };
        edge.belief.add(call.confidence);
        edge.duration.add(call.duration_ms);
        if let Some(server_ms) = call.server_ms {
            edge.server.add(server_ms);
            edge.gap.get_or_insert_with(sketch).add((call.duration_ms - server_ms).max(0.0));
        }
        edge.exemplars.add(call.trace_id);
    }
}

impl Losses {
    /// Adds what another part of the engine counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.spans += other.spans;
        self.duplicates += other.duplicates;
        self.orphans += other.orphans;
        self.parent_rings += other.parent_rings;
        self.mended += other.mended;
        self.links_dropped += other.links_dropped;
        self.index_evictions += other.index_evictions;
        self.functions_overflowed += other.functions_overflowed;
        self.edges_overflowed += other.edges_overflowed;
        self.loops_overflowed += other.loops_overflowed;
        self.continuations_dropped += other.continuations_dropped;
        self.paths_trimmed += other.paths_trimmed;
        self.look_backs_cut += other.look_backs_cut;
        self.openings_dropped += other.openings_dropped;
        self.fragment_laps_dropped += other.fragment_laps_dropped;
        self.entities_dropped += other.entities_dropped;
        self.sampling_clipped += other.sampling_clipped;
        self.exceptions_unmatched += other.exceptions_unmatched;
        self.exceptions_without_span += other.exceptions_without_span;
        self.exceptions_joined += other.exceptions_joined;
        self.roots_overflowed += other.roots_overflowed;
        self.profiles_overflowed += other.profiles_overflowed;
        self.traces_cut += other.traces_cut;
        self.trace_spans_dropped += other.trace_spans_dropped;
        self.clock_offsets_dropped += other.clock_offsets_dropped;
        self.pipelines_dropped += other.pipelines_dropped;
        self.metric_streams_dropped += other.metric_streams_dropped;
        self.metric_points_passed_over += other.metric_points_passed_over;
        self.youngest_eviction_nanos = match (self.youngest_eviction_nanos, other.youngest_eviction_nanos) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }

    /// Counts what a rotation dropped because an index was full.
    pub(crate) fn count_dropped<V>(&mut self, dropped: &Dropped<V>) {
        if let Some(age) = dropped.youngest_age {
            self.count_evicted(dropped.records.len() as u64, age);
        }
    }

    /// Counts records that went before their time.
    pub(crate) fn count_evicted(&mut self, records: u64, age: Duration) {
        self.index_evictions += records;
        let nanos = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
        self.youngest_eviction_nanos = Some(self.youngest_eviction_nanos.map_or(nanos, |known| known.min(nanos)));
    }
}

state!(EdgeKey { source, target, kind });
state!(FunctionDelta {
    function,
    kept,
    invocations,
    errors,
    cold_starts,
    last_seen,
    duration,
    cold_duration,
    self_time,
    billed,
    pace,
    state_use,
    told,
    observed,
    reported,
    exemplars,
    versions,
    nature,
    outs
});
state!(EdgeDelta { kept, belief, calls, errors, throttles, duration, gap, server, exemplars });
