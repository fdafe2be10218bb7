//! What the engine knows at one moment, as plain data.
//!
//! These are values to read, show and send; nothing here computes. The wire twins with their JSON form live outside
//! this crate. Lists are ordered as their fields say, never by hash.

use std::{fmt, sync::Arc};

use crate::state::state;
use crate::{
    intended::IntendedState,
    price::LoopCost,
    span::{EventTime, SpanId, TraceId},
};

/// Persistent identity of a function or a resource: a hash of what it is, the same in every run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

/// Persistent identity of a loop: a hash of its level and of the canonical rotation of its function ids.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoopId(pub u128);

/// Everything the engine knows at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Ordered by id.
    pub functions: Vec<FunctionNode>,
    /// Ordered by id.
    pub resources: Vec<ResourceNode>,
    /// Ordered by source, target and kind.
    pub edges: Vec<Edge>,
    /// The worst first.
    pub loops: Vec<Loop>,
    /// By rank.
    pub hotspots: Vec<Hotspot>,
    /// What cannot be right in the input, by kind.
    pub anomalies: Vec<Anomaly>,
    /// What was counted and what was let go.
    pub losses: Losses,
}

/// A function with its numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionNode {
    /// Persistent identity.
    pub id: NodeId,
    /// The name people know it by.
    pub name: Arc<str>,
    /// The environment, or an empty text.
    pub environment: Arc<str>,
    /// What runs it, such as `aws_lambda` or `service`.
    pub platform: Arc<str>,
    /// Runs.
    pub invocations: u64,
    /// Runs that ended with an error.
    pub errors: u64,
    /// Runs that started a new instance.
    pub cold_starts: u64,
    /// Duration of a run over all time, milliseconds.
    pub p50_ms: f64,
    /// Duration of a run over all time, milliseconds.
    pub p95_ms: f64,
    /// Duration over the current window, milliseconds.
    pub current_p95_ms: Option<f64>,
    /// Duration over the baseline window, milliseconds; `None` while learning.
    pub baseline_p95_ms: Option<f64>,
    /// Runs a second over the current window.
    pub rate_per_second: f64,
    /// When it last ran.
    pub last_seen: EventTime,
    /// Traces that show it, the newest first.
    pub exemplars: Vec<TraceId>,
    /// Ids under which it was met as well, before it was clear that they are one function.
    pub aliases: Vec<NodeId>,
}

/// A queue, topic, bucket, table or schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceNode {
    /// Persistent identity.
    pub id: NodeId,
    /// The name people know it by.
    pub name: Arc<str>,
    /// What it is.
    pub kind: ResourceKind,
    /// The system that provides it, or an empty text.
    pub system: Arc<str>,
}

/// What a resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceKind {
    /// Messages for one reader.
    Queue,
    /// Messages for many readers.
    Topic,
    /// Objects.
    Bucket,
    /// Rows of one collection.
    Table,
    /// A database whose collections are not named.
    Database,
    /// A clock that triggers.
    Schedule,
}

/// What an edge stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EdgeKind {
    /// A function calls another and waits.
    Call,
    /// A function causes a run of another by a message whose carrier is not known.
    Message,
    /// A function sends to a queue or a topic.
    Publish,
    /// A resource triggers a function.
    Deliver,
    /// A function changes what a resource holds.
    Write,
    /// A function asks what a resource holds.
    Read,
}

/// An edge with its numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// Where it starts.
    pub source: NodeId,
    /// Where it ends.
    pub target: NodeId,
    /// What it stands for.
    pub kind: EdgeKind,
    /// Calls.
    pub calls: u64,
    /// Calls that failed.
    pub errors: u64,
    /// How sure it is that the calls went this way, 0 to 1: below 1 where parents and links are missing.
    pub confidence: f64,
    /// Duration as the caller saw it, milliseconds.
    pub p50_ms: f64,
    /// Duration as the caller saw it, milliseconds.
    pub p95_ms: f64,
    /// The caller's time minus the callee's, milliseconds; `None` when only one side was seen.
    pub gap_p95_ms: Option<f64>,
    /// Calls a second over the current window.
    pub rate_per_second: f64,
    /// Traces that show it, the newest first.
    pub exemplars: Vec<TraceId>,
}

/// A cycle with its statistics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loop {
    /// Persistent identity.
    pub id: LoopId,
    /// What the cycle is made of.
    pub level: LoopLevel,
    /// The functions in canonical rotation.
    pub functions: Vec<NodeId>,
    /// Names of the functions, in the same order.
    pub names: Vec<Arc<str>>,
    /// The operations that its laps went through, from the first function on; bounded.
    pub operations: Vec<Arc<str>>,
    /// True for a loop of level operation whose laps are laps of a loop of level function as well.
    pub is_covered: bool,
    /// The environment of its functions.
    pub environment: Arc<str>,
    /// All nodes of one lap, resources included, from the first function on.
    pub path: Vec<NodeId>,
    /// What kinds of loop it is, in the order of [`LoopClass`].
    pub classes: Vec<LoopClass>,
    /// How it behaves now.
    pub state: LoopState,
    /// What the detectors make of it.
    pub assessment: Assessment,
    /// Which detectors made it an alarm, or would with a little more.
    pub reasons: Vec<Reason>,
    /// How much it matters.
    pub severity: Severity,
    /// How sure it is that its laps belong together, 0 to 1: 1 where parents and links join them.
    pub confidence: f64,
    /// Laps of the deepest chain.
    pub max_depth: u32,
    /// Probability that a benign chain of this loop gets as deep as the deepest open one; `None` without laps.
    pub depth_probability: Option<f64>,
    /// Laps at which a chain of this loop is an alarm, as learned from its history; `None` without laps.
    pub alarm_depth: Option<u32>,
    /// Chains that went round at least once; without laps, chains that handled the same entity, or exports of exports.
    pub chains: u64,
    /// Chains that may still go on.
    pub open_chains: u64,
    /// Chains that ended by themselves and taught the loop how deep its chains go.
    pub learned_chains: u64,
    /// Laps of all chains together.
    pub laps: u64,
    /// Further laps that each lap causes; `None` until there are enough.
    pub reproduction: Option<Reproduction>,
    /// Seconds in which the laps double; `None` unless they grow.
    pub doubling_seconds: Option<f64>,
    /// Median time of a lap, milliseconds; `None` for a latent loop.
    pub lap_p50_ms: Option<f64>,
    /// 99th percentile of the time of a lap, milliseconds; `None` for a latent loop.
    pub lap_p99_ms: Option<f64>,
    /// Laps a minute over the current window.
    pub laps_per_minute: f64,
    /// When its first lap began, or when the cycle was first complete.
    pub first_seen: EventTime,
    /// When its last lap began.
    pub last_seen: EventTime,
    /// Traces that show it, the deepest first.
    pub exemplars: Vec<TraceId>,
    /// What is tried again and again, and how often; `None` for all that go round.
    pub retry_storm: Option<RetryStorm>,
    /// What it costs; `None` for a latent loop, one of operations, and without prices.
    pub cost: Option<LoopCost>,
    /// The declaration that somebody intends it; `None` when nobody does.
    pub intended: Option<IntendedState>,
    /// Versions of its functions that replaced others in the hour before its first lap, the latest first.
    pub changes: Vec<VersionChange>,
    /// Whether its platform would stop it; `None` where the platform has no guard.
    pub platform_guard: Option<PlatformGuard>,
}

/// A version of a function that replaced another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionChange {
    /// The function.
    pub function: NodeId,
    /// Its name.
    pub name: Arc<str>,
    /// The version before.
    pub from: Arc<str>,
    /// The new version.
    pub to: Arc<str>,
    /// When the new one was first seen.
    pub at: EventTime,
}

/// What a platform's own guard against recursion makes of a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlatformGuard {
    /// The guard: `aws_lambda` or `cloudflare_workers`.
    pub name: &'static str,
    /// Invocations of one function on one chain after which the platform drops the next; `None` when it does not see
    /// the whole lap.
    pub stops_at: Option<u32>,
    /// The first hop that it does not follow.
    pub uncovered: Option<(NodeId, NodeId)>,
}

/// Requests that are tried again and again; such a finding has no laps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryStorm {
    /// What was wanted: each once, however often it was tried.
    pub requests: u64,
    /// All attempts, the first ones included.
    pub attempts: u64,
    /// Requests that took more than one.
    pub retried: u64,
    /// The resource that is asked, or that delivers; `None` when it is not known.
    pub over: Option<NodeId>,
    /// Attempts that one request takes.
    pub attempts_per_request: f64,
    /// Attempts at the bottom for one request here, where the function that is asked tries again as well.
    pub amplification: f64,
}

/// What the cycle of a loop is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LoopLevel {
    /// A function runs again, caused by its own earlier run.
    #[default]
    Function,
    /// An operation of a function begins again below itself, through other operations.
    Operation,
}

/// How a loop behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LoopState {
    /// Not known yet.
    #[default]
    Unknown,
    /// A cycle in the graph that no chain has gone round twice.
    Latent,
    /// Each lap causes more than one: the laps multiply.
    Growing,
    /// Each lap causes about one: the loop keeps itself alive.
    Persistent,
    /// Each lap causes less than one, or none came for several lap times.
    Dying,
    /// No lap for so long that the loop is over.
    Closed,
}

/// Further laps that each lap causes, from the laps of the recent past: R of epidemiology.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reproduction {
    /// The estimate.
    pub mean: f64,
    /// Lower end of the interval that holds the truth with a probability of 95 %.
    pub low: f64,
    /// Upper end of that interval.
    pub high: f64,
}

/// What kind of loop one is; one loop can be of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LoopClass {
    /// A cycle in the graph that no chain has gone round twice.
    Latent,
    /// A function runs again within one trace.
    Reentry,
    /// A lap goes from one trace to another.
    CrossTrace,
    /// A function causes itself without another in between.
    Itself,
    /// The same request is made again and again because it fails.
    RetryStorm,
    /// A function fails and sends what it could not handle to its own trigger.
    Poison,
    /// One lap causes more than one.
    FanOut,
    /// Its chains end by themselves, and it is known how deep they go.
    Bounded,
    /// A lap takes ten minutes or longer.
    Slow,
    /// A function arms its own schedule, or fills its own queue, without anything from outside.
    SelfTimer,
    /// The same entity is handled again and again.
    NoProgress,
    /// Telemetry about the telemetry.
    Telemetry,
}

/// What the detectors make of a loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Assessment {
    /// Nothing that its history would not explain.
    #[default]
    Unremarkable,
    /// Deeper than nearly all benign chains; people are not told yet.
    Suspect,
    /// People have to be told.
    Alarm,
}

/// Which detector spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// One chain is deeper than benign ones get.
    Depth,
    /// Laps cause more laps than they used to, over all chains.
    Rate,
    /// One chain branches, and grows from lap to lap.
    FanOut,
    /// Laps are slow and few, and still deeper than benign ones.
    Slow,
    /// A declared bound is broken.
    BrokenBound,
    /// The same entity is handled again and again by different chains.
    NoProgress,
    /// A function exports the spans of its own exports.
    Telemetry,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    #[default]
    Info,
    /// Worth a look today.
    Warning,
    /// Worth waking somebody.
    Critical,
}

/// A function or an edge on which time is spent.
#[derive(Clone, Debug, PartialEq)]
pub struct Hotspot {
    /// Place in the list, from 1.
    pub rank: u32,
    /// The function, or the calling function of the edge.
    pub function: NodeId,
    /// Its name.
    pub name: Arc<str>,
    /// Source and target when the time is not the function's own.
    pub edge: Option<(NodeId, NodeId)>,
    /// What the time is spent on.
    pub cause: HotspotCause,
    /// 95th percentile of the time spent there, milliseconds.
    pub p95_ms: f64,
    /// The same over the baseline window; `None` while learning.
    pub baseline_p95_ms: Option<f64>,
    /// Part of the root's time, 0 to 1.
    pub share: f64,
    /// Runs or calls in the current window.
    pub samples: u64,
}

/// What time is spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HotspotCause {
    /// The function's own work.
    Own,
    /// What the caller waits longer than the callee works.
    Gap,
    /// A resource that the function waits for.
    Resource,
}

/// Something in the input that cannot be right, with evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// What is wrong.
    pub kind: AnomalyKind,
    /// How often it was met.
    pub count: u64,
    /// Where it was met, the first ones.
    pub exemplars: Vec<AnomalyExemplar>,
}

/// One place where an anomaly was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnomalyExemplar {
    /// The trace.
    pub trace_id: TraceId,
    /// The spans: all of a ring, otherwise the one that is wrong.
    pub spans: Vec<SpanId>,
}

/// What is wrong with an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnomalyKind {
    /// Spans whose parents form a ring.
    ParentRing,
    /// A time that cannot be: an end before its start, a start of zero or in the future, a run of a month.
    BrokenClock,
    /// A span whose parent never came.
    Orphan,
    /// A span seen before.
    Duplicate,
    /// A span that begins before its parent does.
    ChildBeforeParent,
}

/// What the engine counted, and what it had to let go to stay within its bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Losses {
    /// Spans taken in.
    pub spans: u64,
    /// Spans seen before, counted once.
    pub duplicates: u64,
    /// Invocations whose parent span never came.
    pub orphans: u64,
    /// Spans whose parents form a ring.
    pub parent_rings: u64,
    /// Spans with impossible times or ids that were mended.
    pub mended: u64,
    /// Links beyond the bound of one span.
    pub links_dropped: u64,
    /// Spans and invocations dropped from an index because it was full.
    pub index_evictions: u64,
    /// Age of the youngest record that was dropped because an index was full, nanoseconds.
    pub youngest_eviction_nanos: Option<u64>,
    /// Functions and resources let go because there were too many.
    pub functions_overflowed: u64,
    /// Edges let go because there were too many.
    pub edges_overflowed: u64,
    /// Loops let go because there were too many.
    pub loops_overflowed: u64,
    /// Keys that could join a cause with what it caused, let go because there were too many.
    pub continuations_dropped: u64,
    /// Paths with more different functions than are counted, so that depths on them may be too small.
    pub paths_trimmed: u64,
    /// Laps that could not be followed back to where they began, because they are too long.
    pub look_backs_cut: u64,
    /// Invocations under which no lap is looked for when their cause comes late, because their chain has too many.
    pub openings_dropped: u64,
    /// Loops of one chain that are not deepened when its cause comes late, because it has too many.
    pub fragment_laps_dropped: u64,
    /// Entities let go while they might still have been handled again, because there were too many.
    pub entities_dropped: u64,
}

impl ResourceKind {
    /// The lower-case word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Topic => "topic",
            Self::Bucket => "bucket",
            Self::Table => "table",
            Self::Database => "database",
            Self::Schedule => "schedule",
        }
    }
}

impl LoopClass {
    /// The lower-case word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Latent => "latent",
            Self::Reentry => "reentry",
            Self::CrossTrace => "cross_trace",
            Self::Itself => "self",
            Self::RetryStorm => "retry_storm",
            Self::Poison => "poison",
            Self::FanOut => "fan_out",
            Self::Bounded => "bounded",
            Self::Slow => "slow",
            Self::SelfTimer => "self_timer",
            Self::NoProgress => "no_progress",
            Self::Telemetry => "telemetry",
        }
    }
}

impl Assessment {
    /// The lower-case word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unremarkable => "unremarkable",
            Self::Suspect => "suspect",
            Self::Alarm => "alarm",
        }
    }
}

impl Reason {
    /// The lower-case word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Depth => "depth",
            Self::Rate => "rate",
            Self::FanOut => "fan_out",
            Self::Slow => "slow",
            Self::BrokenBound => "broken_bound",
            Self::NoProgress => "no_progress",
            Self::Telemetry => "telemetry",
        }
    }
}

impl LoopLevel {
    /// The lower-case word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Operation => "operation",
        }
    }
}

impl AnomalyKind {
    /// All kinds, in the order of snapshots.
    pub const ALL: [Self; 5] =
        [Self::ParentRing, Self::BrokenClock, Self::Orphan, Self::Duplicate, Self::ChildBeforeParent];

    /// The lower-case word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::ParentRing => "parent_ring",
            Self::BrokenClock => "broken_clock",
            Self::Orphan => "orphan",
            Self::Duplicate => "duplicate",
            Self::ChildBeforeParent => "child_before_parent",
        }
    }
}

impl HotspotCause {
    /// The lower-case word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Own => "self",
            Self::Gap => "gap",
            Self::Resource => "resource",
        }
    }
}

impl EdgeKind {
    /// The lower-case word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Message => "message",
            Self::Publish => "publish",
            Self::Deliver => "deliver",
            Self::Write => "write",
            Self::Read => "read",
        }
    }

    /// True when the edge can carry a cause from its source to its target; reading causes nothing.
    pub fn is_causal(self) -> bool {
        self != Self::Read
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for LoopId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for LoopId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

state!(FunctionNode {
    id,
    name,
    environment,
    platform,
    invocations,
    errors,
    cold_starts,
    p50_ms,
    p95_ms,
    current_p95_ms,
    baseline_p95_ms,
    rate_per_second,
    last_seen,
    exemplars,
    aliases
});
state!(ResourceNode { id, name, kind, system });
state!(Reproduction { mean, low, high });
state!(Anomaly { kind, count, exemplars });
state!(AnomalyExemplar { trace_id, spans });
state!(Losses {
    spans,
    duplicates,
    orphans,
    parent_rings,
    mended,
    links_dropped,
    index_evictions,
    youngest_eviction_nanos,
    functions_overflowed,
    edges_overflowed,
    loops_overflowed,
    continuations_dropped,
    paths_trimmed,
    look_backs_cut,
    openings_dropped,
    fragment_laps_dropped,
    entities_dropped
});
state!(
    enum ResourceKind {
        Queue,
        Topic,
        Bucket,
        Table,
        Database,
        Schedule,
    }
);
state!(
    enum EdgeKind {
        Call,
        Message,
        Publish,
        Deliver,
        Write,
        Read,
    }
);
state!(
    enum LoopLevel {
        Function,
        Operation,
    }
);
state!(
    enum LoopState {
        Unknown,
        Latent,
        Growing,
        Persistent,
        Dying,
        Closed,
    }
);
state!(
    enum LoopClass {
        Latent,
        Reentry,
        CrossTrace,
        Itself,
        RetryStorm,
        Poison,
        FanOut,
        Bounded,
        Slow,
        SelfTimer,
        NoProgress,
        Telemetry,
    }
);
state!(
    enum Assessment {
        Unremarkable,
        Suspect,
        Alarm,
    }
);
state!(
    enum Reason {
        Depth,
        Rate,
        FanOut,
        Slow,
        BrokenBound,
        NoProgress,
        Telemetry,
    }
);
state!(
    enum AnomalyKind {
        ParentRing,
        BrokenClock,
        Orphan,
        Duplicate,
        ChildBeforeParent,
    }
);
state!(NodeId(inner));
state!(LoopId(inner));
