//! What a shard hands on: records for the linker and deltas for the aggregate.
//!
//! Both are values without references, so that they can cross a thread or a machine. Deltas are merged by addition:
//! their order does not matter.

mod anomaly;
mod attempt;
mod operation;

use std::{mem, sync::Arc, time::Duration};

use rustc_hash::FxHashMap;
use sketches_ddsketch::DDSketch;
use smallvec::SmallVec;

use crate::state::state;
use crate::{
    generations::Dropped,
    identity::Function,
    snapshot::{EdgeKind, Losses, NodeId, ResourceNode},
    span::{EventTime, SpanId, TraceId},
    window::sketch,
};
pub(crate) use anomaly::{Anomalies, SPANS};
pub(crate) use attempt::{AttemptDelta, AttemptKey, Attempts};
pub use operation::{OperationCycle, OperationLap};

/// Identifies a span over all traces: a hash of trace id and span id, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanKey(pub(crate) u64);

impl SpanKey {
    /// The key of a span.
    pub fn new(trace_id: TraceId, span_id: SpanId) -> Self {
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(&trace_id.0);
        bytes[16..].copy_from_slice(&span_id.0);
        Self(xxhash_rust::xxh3::xxh3_64(&bytes).max(1))
    }

    /// The key of the other span, where two share one id.
    pub(crate) fn pair(self) -> Self {
        Self((self.0 ^ 0x9e37_79b9_7f4a_7c15).max(1))
    }
}

/// How the two sides of a cause that left no parent and no link are known to belong together, the surest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyClass {
    /// The span itself, which a link names.
    Span,
    /// The id of a run, which its caller got as an answer.
    Request,
    /// The id of a message.
    Message,
    /// A version of an object.
    Version,
    /// A change in the stream of a table.
    Sequence,
    /// An object, whichever version.
    Object,
    /// A schedule, or the function that it starts.
    Schedule,
    /// A conversation of messages.
    Conversation,
    /// The resource between them and the time alone.
    Time,
}

/// What both sides of a cause know, as a hash that includes the class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// How it is known.
    pub class: KeyClass,
    /// What is known.
    pub hash: u64,
}

impl Key {
    /// A hash of the conversation, if the key is one; otherwise 0.
    pub(crate) fn conversation(self) -> u32 {
        if self.class == KeyClass::Conversation { (self.hash as u32).max(1) } else { 0 }
    }
}

impl KeyClass {
    /// How sure a match is, over 0 and at most 1. For [`KeyClass::Time`] that is a matter of each match.
    pub fn confidence(self) -> f32 {
        match self {
            Self::Span => 1.0,
            Self::Request | Self::Message => 0.98,
            Self::Version => 0.95,
            Self::Sequence => 0.9,
            Self::Object | Self::Schedule => 0.85,
            Self::Conversation => 0.7,
            Self::Time => 0.0,
        }
    }

    /// True when nobody else has the key, so that a match needs no comparison with others.
    pub fn is_unique(self) -> bool {
        self < Self::Object
    }
}

/// What started an invocation, as its entry span says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// A request, or nothing is said.
    #[default]
    Request,
    /// A message.
    Queue,
    /// A change of what a store holds.
    Store,
    /// A schedule.
    Schedule,
}

/// One fact for the linker.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// An invocation began; its key is that of its entry span.
    Entry {
        /// Key of the entry span.
        key: SpanKey,
        /// What ran.
        function: NodeId,
        /// The trace it was seen in.
        trace_id: TraceId,
        /// When it began.
        start: EventTime,
        /// The invocation that caused it, when that is known already.
        parent: Option<SpanKey>,
        /// Hash of the id that the platform gave the run, 0 without one: a retry has the same.
        run: u64,
        /// True when nothing says what caused it, and another function may have invoked it.
        is_open: bool,
        /// What started it.
        trigger: Trigger,
        /// True when it ended with an error.
        failed: bool,
    },
    /// A function is known under further ids where less is told of it; comes before its first entry.
    Names {
        /// The function.
        function: NodeId,
        /// The further ids, the most telling first.
        also: SmallVec<[NodeId; 4]>,
    },
    /// The invocation that caused another became known.
    Cause {
        /// Key of the caused invocation.
        child: SpanKey,
        /// Key of the causing invocation.
        parent: SpanKey,
    },
    /// What looked like an invocation is a part of another.
    Same {
        /// Key of what looked like an invocation.
        part: SpanKey,
        /// Key of the invocation.
        whole: SpanKey,
    },
    /// A span that is not an entry belongs to an invocation; links may name it.
    Belongs {
        /// Key of the span.
        span: SpanKey,
        /// Key of the invocation.
        invocation: SpanKey,
        /// The resource it publishes to or writes.
        publishes: Option<NodeId>,
        /// When it ended.
        end: EventTime,
    },
    /// A span link: an invocation was caused by a span of any trace.
    Link {
        /// Key of the caused invocation.
        child: SpanKey,
        /// Key of the causing span.
        cause: SpanKey,
        /// The resource that delivered the message.
        delivered_by: Option<NodeId>,
        /// What part of the invocation the cause accounts for: 1 over the messages of its batch.
        credit: f32,
    },
    /// An outbound span may have caused an invocation that knows the same key.
    Offer {
        /// What the span knows of what it caused.
        key: Key,
        /// Key of the invocation that the span belongs to.
        cause: SpanKey,
        /// The resource that it publishes to or writes.
        destination: Option<NodeId>,
        /// When it ended.
        end: EventTime,
        /// True when the answer may take days, as that of a schedule.
        is_slow: bool,
    },
    /// A send over a resource, or a call of a function by name, is the cause of an invocation for certain.
    Answer {
        /// Key of the caused invocation.
        child: SpanKey,
        /// Key of the causing invocation.
        cause: SpanKey,
        /// The resource or the function.
        over: NodeId,
        /// When the send ended, or the call began.
        end: EventTime,
    },
    /// An invocation may have been caused by an outbound span that knows the same key.
    Seek {
        /// What the invocation knows of its cause.
        key: Key,
        /// Key of the invocation.
        child: SpanKey,
        /// The resource that delivered what it handles.
        destination: Option<NodeId>,
        /// When it began to handle it.
        start: EventTime,
        /// What part of the invocation the cause accounts for.
        credit: f32,
        /// Key of the span that a link to the same cause names, 0 without one: one of the two is enough.
        link: u64,
    },
    /// An invocation handles what its author calls an entity.
    Handled {
        /// Key of the invocation.
        invocation: SpanKey,
        /// Hash of the entity.
        entity: u64,
    },
    /// A span of an export of telemetry, which was exported itself.
    Export {
        /// Who exports.
        function: NodeId,
        /// The trace it was seen in.
        trace_id: TraceId,
        /// When it began.
        start: EventTime,
    },
    /// An operation began again below itself.
    Operation(OperationLap),
}

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
    pub(crate) anomalies: Anomalies,
    pub(crate) losses: Losses,
}

/// Changes to one function; counts can shrink when what looked like an invocation turns out to be a part of another.
#[derive(Clone)]
pub(crate) struct FunctionDelta {
    pub(crate) function: Arc<Function>,
    pub(crate) invocations: i64,
    pub(crate) errors: i64,
    pub(crate) cold_starts: i64,
    pub(crate) last_seen: EventTime,
    pub(crate) duration: DDSketch,
    pub(crate) self_time: DDSketch,
    pub(crate) exemplars: Exemplars,
    pub(crate) versions: Versions,
}

/// Changes to one edge.
#[derive(Clone)]
pub(crate) struct EdgeDelta {
    pub(crate) calls: u64,
    pub(crate) belief: Belief,
    pub(crate) errors: u64,
    pub(crate) duration: DDSketch,
    pub(crate) gap: Option<DDSketch>,
    pub(crate) exemplars: Exemplars,
}

/// How sure it is that calls went over an edge, for the calls that are not certain.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Belief {
    /// Calls that are not certain.
    pub(crate) calls: u64,
    /// Sum of their confidences.
    pub(crate) sum: f64,
}

impl Belief {
    pub(crate) fn add(&mut self, confidence: f32) {
        if confidence < 1.0 {
            self.calls += 1;
            self.sum += f64::from(confidence);
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.calls += other.calls;
        self.sum += other.sum;
    }

    /// How sure an edge with so many calls is: certain calls count fully, the others with the lower bound of the
    /// Wilson interval (95 %) of their mean.
    pub(crate) fn confidence(self, calls: u64) -> f64 {
        if self.calls == 0 {
            return 1.0;
        }
        const Z2: f64 = 1.96 * 1.96;
        let n = self.calls as f64;
        let mean = (self.sum / n).clamp(0.0, 1.0);
        let margin = (Z2 * (mean * (1.0 - mean) + Z2 / (4.0 * n)) / n).sqrt();
        let lower = (mean + Z2 / (2.0 * n) - margin) / (1.0 + Z2 / n);
        let certain = calls.saturating_sub(self.calls) as f64;
        (certain + n * lower) / (certain + n)
    }
}

/// Traces that show a node or an edge.
pub(crate) const EXEMPLARS: usize = 5;

/// The newest traces that show something, the newest last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exemplars(SmallVec<[TraceId; EXEMPLARS]>);

impl Exemplars {
    pub(crate) fn add(&mut self, trace_id: TraceId) {
        if let Some(place) = self.0.iter().position(|known| *known == trace_id) {
            self.0.remove(place);
        } else if self.0.len() == EXEMPLARS {
            self.0.remove(0);
        }
        self.0.push(trace_id);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for trace_id in &other.0 {
            self.add(*trace_id);
        }
    }

    /// The newest first.
    pub(crate) fn newest_first(&self) -> Vec<TraceId> {
        self.0.iter().rev().copied().collect()
    }
}

/// Versions of a function that are kept.
const VERSIONS: usize = 4;

/// The versions of a function that came last, each with the time it was first seen, the newest last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Versions(SmallVec<[(Arc<str>, EventTime); 1]>);

impl Versions {
    /// Takes note of a version that ran at `at`.
    pub(crate) fn see(&mut self, version: &str, at: EventTime) {
        match self.0.iter_mut().find(|(known, _)| &**known == version) {
            Some((_, first)) if *first <= at => return,
            Some((_, first)) => *first = at,
            None => self.0.push((version.into(), at)),
        }
        self.0.sort_by_key(|(_, first)| *first);
        if self.0.len() > VERSIONS {
            self.0.remove(0);
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (version, at) in &other.0 {
            self.see(version, *at);
        }
    }

    pub(crate) fn as_slice(&self) -> &[(Arc<str>, EventTime)] {
        &self.0
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
            && self.anomalies == Anomalies::default()
            && self.root_ms == 0.0
    }

    /// Takes what has gathered and starts anew.
    pub(crate) fn take(&mut self) -> Self {
        mem::take(self)
    }

    pub(crate) fn function(&mut self, function: &Arc<Function>) -> &mut FunctionDelta {
        self.functions.entry(function.id).or_insert_with(|| FunctionDelta {
            function: Arc::clone(function),
            invocations: 0,
            errors: 0,
            cold_starts: 0,
            last_seen: EventTime(0),
            duration: sketch(),
            self_time: sketch(),
            exemplars: Exemplars::default(),
            versions: Versions::default(),
        })
    }

    /// Counts one call over an edge.
    pub(crate) fn call(&mut self, key: EdgeKey, duration_ms: f64, gap_ms: Option<f64>, error: bool, trace_id: TraceId) {
        self.believe(key, duration_ms, gap_ms, error, trace_id, 1.0);
    }

    /// Counts one call over an edge that is not certain.
    pub(crate) fn believe(
        &mut self,
        key: EdgeKey,
        duration_ms: f64,
        gap_ms: Option<f64>,
        error: bool,
        trace_id: TraceId,
        confidence: f32,
    ) {
        let edge = self.edges.entry(key).or_insert_with(|| EdgeDelta {
            belief: Belief::default(),
            calls: 0,
            errors: 0,
            duration: sketch(),
            gap: None,
            exemplars: Exemplars::default(),
        });
        edge.calls += 1;
        edge.belief.add(confidence);
        edge.errors += u64::from(error);
        edge.duration.add(duration_ms);
        if let Some(gap_ms) = gap_ms {
            edge.gap.get_or_insert_with(sketch).add(gap_ms);
        }
        edge.exemplars.add(trace_id);
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

state!(Key { class, hash });
state!(EdgeKey { source, target, kind });
state!(Belief { calls, sum });
state!(
    enum KeyClass {
        Span,
        Request,
        Message,
        Version,
        Sequence,
        Object,
        Schedule,
        Conversation,
        Time,
    }
);
state!(
    enum Trigger {
        Request,
        Queue,
        Store,
        Schedule,
    }
);
state!(Exemplars(inner));
state!(Versions(inner));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn belief_grows_with_the_calls_and_never_over_their_mean() {
        let belief = |calls: u64, each: f32| {
            let mut belief = Belief::default();
            (0..calls).for_each(|_| belief.add(each));
            belief.confidence(calls)
        };
        assert_eq!(belief(10, 1.0), 1.0);
        assert!(belief(1, 0.98) < belief(10, 0.98) && belief(10, 0.98) < belief(1_000, 0.98));
        assert!((0.96..0.98).contains(&belief(1_000, 0.98)));
        let half = Belief { calls: 100, sum: 98.0 }.confidence(200);
        assert!(half > belief(100, 0.98) && half < 1.0, "certain calls lift it: {half}");
    }
}
