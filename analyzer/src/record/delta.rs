//! What a shard or the linker has counted since it was asked last; deltas are merged by addition.

use std::{mem, sync::Arc, time::Duration};

use rustc_hash::{FxBuildHasher, FxHashMap};

use super::{
    Anomalies, AttemptDelta, AttemptKey, Belief, Exemplars, FlowCounts, FlowKey, Samples, TraceProfile, Versions,
};
use crate::{
    generations::Dropped,
    identity::{Function, TouchedResource},
    sampling::Sampling,
    sketch::DDSketch,
    snapshot::{EdgeKind, Losses, NodeId, ResourceNode},
    span::{EventTime, TraceId},
    state::state,
    window::{merge, sketch},
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
    pub(crate) anomalies: Anomalies,
    pub(crate) losses: Losses,
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
    pub(crate) self_time: DDSketch,
    pub(crate) exemplars: Exemplars,
    pub(crate) versions: Versions,
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
    pub(crate) trace_id: TraceId,
    /// How sure it is that it went this way.
    pub(crate) confidence: f32,
    /// How probable it was that all it is seen from was kept.
    pub(crate) sampling: Sampling,
}

impl FunctionDelta {
    fn new(function: &Arc<Function>) -> Self {
        Self {
            function: Arc::clone(function),
            kept: 0,
            invocations: 0.0,
            errors: 0.0,
            cold_starts: 0.0,
            last_seen: EventTime(0),
            duration: sketch(),
            self_time: sketch(),
            exemplars: Exemplars::default(),
            versions: Versions::default(),
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
        merge(&mut self.self_time, &other.self_time);
        self.exemplars.merge(&other.exemplars);
        self.versions.merge(&other.versions);
    }

    /// Counts a run, or takes one back.
    pub(crate) fn run(&mut self, is_more: bool, sampling: Sampling, error: bool, cold_start: bool) {
        let (kept, count) = if is_more { (1, sampling.adjusted_count()) } else { (-1, -sampling.adjusted_count()) };
        self.kept += kept;
        self.invocations += count;
        self.errors += if error { count } else { 0.0 };
        self.cold_starts += if cold_start { count } else { 0.0 };
    }
}

impl EdgeDelta {
    fn new() -> Self {
        Self {
            kept: 0,
            belief: Belief::default(),
            calls: 0.0,
            errors: 0.0,
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
        self.functions.entry(function.id).or_insert_with(|| FunctionDelta::new(function))
    }

    /// A resource was touched; the last who speaks of it counts.
    pub(crate) fn touch(&mut self, resource: TouchedResource<'_>) {
        match self.resources.get_mut(&resource.id) {
            Some(known) if resource.is_as(known) => {}
            Some(known) => *known = resource.to_node(),
            None => drop(self.resources.insert(resource.id, resource.to_node())),
        }
    }

    /// Counts one call over an edge.
    pub(crate) fn call(&mut self, key: EdgeKey, call: &Call) {
        let edge = self.edges.entry(key).or_insert_with(EdgeDelta::new);
        let count = call.sampling.adjusted_count();
        edge.kept += 1;
        edge.calls += count;
        edge.errors += if call.error { count } else { 0.0 };
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
        self.roots_overflowed += other.roots_overflowed;
        self.profiles_overflowed += other.profiles_overflowed;
        self.traces_cut += other.traces_cut;
        self.trace_spans_dropped += other.trace_spans_dropped;
        self.clock_offsets_dropped += other.clock_offsets_dropped;
        self.pipelines_dropped += other.pipelines_dropped;
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
    self_time,
    exemplars,
    versions
});
state!(EdgeDelta { kept, belief, calls, errors, duration, gap, server, exemplars });
