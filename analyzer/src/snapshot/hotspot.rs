//! Where time is spent.

use std::{fmt, sync::Arc};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{snapshot::NodeId, windows::Range};

/// Where time is spent in some time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hotspots {
    /// What the ranking rests on.
    pub basis: Basis,
    /// The time that it covers; `None` for all that was ever seen.
    pub range: Option<Range>,
    /// With critical paths, the time from the first to the last trace that is still kept of it; `None` for a capture.
    pub paths: Option<Range>,
    /// The hotspots, by rank.
    pub list: Vec<Hotspot>,
    /// The root operations that were looked at, the one that takes most of the time first.
    pub roots: Vec<RootOperation>,
}

/// What a ranking rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Basis {
    /// The critical paths of a sample of traces.
    CriticalPath,
    /// Sums of the time of all calls, whether anybody waited for it or not.
    #[default]
    Sums,
    /// What became slower against a baseline.
    Baseline,
}

/// A function or an edge on which time is spent.
#[derive(Clone, Debug, PartialEq)]
pub struct Hotspot {
    /// Place in the list, from 1.
    pub rank: u32,
    /// The function, or the calling function of the edge; behind a queue the one that handles the messages.
    pub function: NodeId,
    /// Its name.
    pub name: Arc<str>,
    /// Source and target when the time is not the function's own.
    pub edge: Option<(NodeId, NodeId)>,
    /// What the time is spent on.
    pub cause: HotspotCause,
    /// 95th percentile of the time that one call spends there, milliseconds.
    pub p95_ms: f64,
    /// The same over the baseline window; `None` while learning.
    pub baseline_p95_ms: Option<f64>,
    /// Part of the root's time, 0 to 1.
    pub share: f64,
    /// Runs or calls that were measured; with critical paths, traces that came by and were looked at.
    pub samples: u64,
    /// How sure the numbers are, 0 to 1, by the number of samples.
    pub confidence: f64,
    /// What it contributes to the slowest traces; only with critical paths.
    pub tail: Option<TailPart>,
    /// How it became slower; only against a baseline that has the same place.
    pub change: Option<HotspotChange>,
}

/// What a place contributes to the slowest traces.
#[derive(Clone, Debug, PartialEq)]
pub struct TailPart {
    /// Part of the time of the traces around the 95th percentile, 0 to 1, over all root operations that were looked at.
    pub share: f64,
    /// The root operation to whose tail it contributes most; what follows is of that one.
    pub root: RootOperation,
    /// How much lower its 95th percentile were with 10 % less time here, milliseconds.
    pub saves_10_ms: f64,
    /// The same with 50 % less.
    pub saves_50_ms: f64,
    /// Calls a trace.
    pub calls_per_trace: f64,
}

/// How a place became slower, or faster.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HotspotChange {
    /// Cliff's delta of the times of a call: 1 when all are above all of the baseline, -1 when all are below.
    pub delta: f64,
    /// How far the times moved, milliseconds (Hodges and Lehmann).
    pub shift_ms: f64,
    /// Time at this place in a root invocation, on average, that there was not before, milliseconds.
    pub added_ms: f64,
    /// Calls of the baseline that were measured.
    pub baseline_samples: u64,
}

/// An operation that begins traces.
#[derive(Clone, Debug, PartialEq)]
pub struct RootOperation {
    /// Its id.
    pub id: RootId,
    /// The function of the root.
    pub function: NodeId,
    /// The name of the root span.
    pub operation: Arc<str>,
    /// The function at which a pipeline of messages ends; `None` where the time of the root itself is meant.
    pub until: Option<NodeId>,
    /// Traces, those that were not looked at included.
    pub traces: f64,
    /// Traces that were looked at.
    pub samples: u64,
    /// 95th percentile of their duration, milliseconds.
    pub p95_ms: f64,
}

/// Persistent identity of a root operation: a hash of functions and operation, the same in every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootId(pub u64);

/// What time is spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HotspotCause {
    /// The function's own work.
    Own,
    /// What the caller waits longer than the callee works: network, queueing, throttling.
    Gap,
    /// A resource, or somebody unknown, that the function waits for.
    Resource,
    /// Starting an instance of the function.
    ColdStart,
    /// A message waits until it is handled.
    Queue,
    /// Ten or more calls of one operation, one after the other.
    NPlusOne,
    /// A third of the calls or more tries again what has failed.
    Retries,
}

impl HotspotCause {
    /// The lower-case word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Own => "self",
            Self::Gap => "gap",
            Self::Resource => "resource",
            Self::ColdStart => "cold_start",
            Self::Queue => "queue",
            Self::NPlusOne => "n_plus_one",
            Self::Retries => "retries",
        }
    }
}

impl Basis {
    /// The lower-case word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::CriticalPath => "critical_path",
            Self::Sums => "sums",
            Self::Baseline => "baseline",
        }
    }
}

impl RootId {
    /// The id of an operation of a function.
    pub(crate) fn of(function: NodeId, operation: &str, until: Option<NodeId>) -> Self {
        let until = until.map_or(0, |until| until.0.rotate_left(1));
        Self(xxh3_64_with_seed(operation.as_bytes(), function.0 ^ until))
    }
}

impl fmt::Display for RootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
