//! What is known of one function beyond its numbers on the map: facts, limits, and what it waits for.

use std::sync::Arc;

use crate::{
    facts::FunctionFacts,
    snapshot::{EdgeKind, NodeId},
    span::EventTime,
};

/// What is known of one function beyond its numbers on the map, over some time.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionProfile {
    /// The function.
    pub id: NodeId,
    /// Seconds that all of it but facts and versions is of.
    pub seconds: f64,
    /// Runs in that time, those that sampling left out included.
    pub runs: f64,
    /// Runs that ended with an error.
    pub errors: f64,
    /// Runs that failed as logs or the platform say, without naming a span; they may be among `errors`.
    pub failures_in_logs: u64,
    /// What is known of it that spans do not carry, and who said so.
    pub facts: Arc<FunctionFacts>,
    /// How often instances start, and what that costs the slow runs.
    pub cold_starts: ColdStarts,
    /// What it waits for databases and stores.
    pub state: StateTax,
    /// How near it comes to its time-out.
    pub time_out: TimeOutRisk,
    /// How near it comes to its memory; `None` while nothing tells how much it uses.
    pub memory: Option<MemoryUse>,
    /// Calls that were refused because there were too many.
    pub throttles: Throttles,
    /// What metrics say that it did; `None` when none tell of it.
    pub metrics: Option<ReportedByMetrics>,
    /// Versions that came last, with the time each was first seen, the newest last.
    pub versions: Arc<[(Arc<str>, EventTime)]>,
}

/// What metrics say that a function did in some time, beside what its spans say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReportedByMetrics {
    /// Runs, failed ones included; as many as were timed where no counter tells.
    pub runs: f64,
    /// Runs that failed.
    pub errors: f64,
    /// Starts of instances.
    pub cold_starts: f64,
    /// Runs that took too long.
    pub time_outs: f64,
    /// Durations of runs, milliseconds; `None` where none were told.
    pub durations: Option<ValuesOfMetrics>,
    /// Times to start an instance, milliseconds.
    pub inits: Option<ValuesOfMetrics>,
    /// Memory used, MiB.
    pub memory_mb: Option<ValuesOfMetrics>,
    /// Runs of which spans were kept, as a part of the runs; `None` without runs, or when spans show more.
    pub traced_share: Option<f64>,
}

/// Values that metrics tell by their number, their sum and their buckets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ValuesOfMetrics {
    /// How many there were.
    pub count: f64,
    /// Their mean.
    pub mean: f64,
    /// Their 95th percentile, as exact as the buckets; `None` where there were none.
    pub p95: Option<f64>,
    /// The largest, where it was told.
    pub max: Option<f64>,
}

/// What is known of a function that no measured time holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Background {
    /// What is known of it that spans do not carry, and who said so.
    pub facts: Arc<FunctionFacts>,
    /// Versions that came last, with the time each was first seen, the newest last.
    pub versions: Arc<[(Arc<str>, EventTime)]>,
}

/// How often instances start, and what that costs the slow runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColdStarts {
    /// Runs that started an instance.
    pub count: f64,
    /// Part of all runs, 0 to 1.
    pub share: f64,
    /// Median time to start an instance, before the run begins, milliseconds; `None` where nothing tells it.
    pub init_p50_ms: Option<f64>,
    /// 95th percentile of it.
    pub init_p95_ms: Option<f64>,
    /// Median duration of a cold run, without the start, milliseconds; `None` when none is known by itself.
    pub cold_p50_ms: Option<f64>,
    /// Median duration of the other runs, milliseconds; `None` when there are none.
    pub warm_p50_ms: Option<f64>,
    /// Part of the runs around the 95th percentile that are cold, 0 to 1; `None` when no cold run is known by itself.
    pub tail_share: Option<f64>,
    /// By how much the 95th percentile would fall if cold runs were as the others, milliseconds.
    pub p95_gain_ms: Option<f64>,
    /// True when that is worth something: the slow runs are mostly cold, and would be clearly faster.
    pub dominates_tail: bool,
}

/// What a function waits for databases and stores.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StateTax {
    /// Part of the time of its runs, 0 to 1.
    pub share: f64,
    /// Of one run, milliseconds.
    pub waited_ms_per_run: f64,
    /// Uses of one run.
    pub calls_per_run: f64,
    /// Part of its runs with ten uses or more that follow one another, 0 to 1.
    pub chatty_share: f64,
    /// True when there are enough of those to show in the 95th percentile.
    pub is_chatty: bool,
    /// Where the time goes, most of it first; at most ten.
    pub stores: Vec<StoreUse>,
}

/// How a function uses one database or store in one way.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreUse {
    /// The resource.
    pub resource: NodeId,
    /// Whether it is read or written.
    pub kind: EdgeKind,
    /// Uses of one run.
    pub calls_per_run: f64,
    /// Of one use, milliseconds.
    pub mean_ms: f64,
    /// Part of all time that the function waits for stores, 0 to 1.
    pub share: f64,
}

/// How much weight what is told can bear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// Few samples: what was seen, and no more.
    #[default]
    Low,
    /// Right within a factor of ten, mostly, and rather too low than too high.
    Medium,
    /// Right within a factor of four, mostly.
    High,
}

/// How near a function comes to its time-out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimeOutRisk {
    /// The longest time a run may take, milliseconds; `None` when nobody said.
    pub limit_ms: Option<f64>,
    /// 99th percentile of the duration of a run, milliseconds.
    pub p99_ms: f64,
    /// 99.9th percentile, milliseconds.
    pub p999_ms: f64,
    /// The longest run, milliseconds.
    pub max_ms: f64,
    /// Runs that were ended because they took too long.
    pub seen: f64,
    /// The same that are to be expected in a day at the rate of this time; `None` without a limit, and while there are
    /// too few runs to say more than what was seen.
    pub expected_per_day: Option<f64>,
    /// The tail of the runs that are not cold; `None` with fewer than 5,000.
    pub warm: Option<TailFit>,
    /// The tail of the cold runs; `None` with fewer than 5,000.
    pub cold: Option<TailFit>,
    /// How much weight it can bear.
    pub confidence: Confidence,
    /// True when runs went on beyond the limit and did not fail, so that the limit is not what was said.
    pub is_limit_doubtful: bool,
    /// True when at least one a day is to be expected and the slow runs are near the limit.
    pub is_alarm: bool,
}

/// A generalised Pareto distribution fitted to the slowest twentieth of some runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TailFit {
    /// All runs, of which the tail is a part.
    pub samples: u64,
    /// Where the tail begins, milliseconds.
    pub threshold_ms: f64,
    /// Its shape ξ: above 0 for heavy tails, below 0 for tails that end.
    pub shape: f64,
    /// Its scale σ, milliseconds.
    pub scale_ms: f64,
    /// Probability that a run takes longer than the limit; `None` without a limit.
    pub beyond_limit: Option<f64>,
}

/// How near a function comes to its memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemoryUse {
    /// Memory of an instance, MiB; `None` when nobody said.
    pub limit_mb: Option<u32>,
    /// Median of what runs use, MiB.
    pub used_p50_mb: f64,
    /// 99.9th percentile, MiB.
    pub used_p999_mb: f64,
    /// Runs that it is known of.
    pub samples: u64,
    /// Part of the memory that stays free in all but one of 1,000 runs; below 0 for what takes more than it has.
    pub headroom: Option<f64>,
    /// True when that is less than a tenth.
    pub is_low: bool,
    /// Instances whose memory grows from run to run; `None` when most do not.
    pub leak: Option<Leak>,
    /// Instances with enough runs to tell.
    pub instances_judged: u32,
}

/// Memory that grows from run to run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leak {
    /// Instances of which it is certain.
    pub instances: u32,
    /// What one run adds, MiB: the median over these instances.
    pub mb_per_run: f64,
    /// Runs of one instance until its memory is full, from what its runs use in the median; `None` when its memory is
    /// not known.
    pub runs_until_full: Option<f64>,
}

/// Calls that were refused because there were too many.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Throttles {
    /// Calls of the function that were refused, as its callers or its platform tell.
    pub refused: f64,
    /// Part of all calls of it, 0 to 1.
    pub share: f64,
    /// Who was refused most, most of it first; at most ten.
    pub callers: Vec<Refusals>,
    /// Calls by the function that were refused.
    pub made: f64,
    /// Who refused most of them, most of it first; at most ten. What has no node in the graph is not among them.
    pub refused_by: Vec<Refusals>,
    /// Instances that run at the same time, in the mean.
    pub running: f64,
    /// Part of those that may, 0 to 1.
    pub concurrency_share: f64,
}

/// Calls between the function and another node that were refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusals {
    /// The other node.
    pub node: NodeId,
    /// Calls that were refused.
    pub count: f64,
    /// All calls.
    pub calls: f64,
}

/// Something that is wrong with a function, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Risk {
    /// Runs are ended because they take too long, or soon will be.
    TimeOut,
    /// Runs use nearly all of its memory.
    MemoryLow,
    /// Its memory grows from run to run.
    MemoryLeak,
    /// Calls of it are refused, one in 100 or more.
    Throttled,
    /// Its slow runs are those that start instances.
    ColdStarts,
    /// It asks databases and stores again and again.
    ChattyState,
}

/// Part of the calls that are refused from which on it is worth telling.
const THROTTLED: f64 = 0.01;

impl Risk {
    /// The lower-case word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::TimeOut => "time_out",
            Self::MemoryLow => "memory_low",
            Self::MemoryLeak => "memory_leak",
            Self::Throttled => "throttled",
            Self::ColdStarts => "cold_starts",
            Self::ChattyState => "chatty_state",
        }
    }
}

impl FunctionProfile {
    /// What is wrong with the function, the worst first.
    pub fn risks(&self) -> Vec<Risk> {
        let memory = self.memory.as_ref();
        let all = [
            (Risk::TimeOut, self.time_out.is_alarm),
            (Risk::MemoryLow, memory.is_some_and(|memory| memory.is_low)),
            (Risk::MemoryLeak, memory.is_some_and(|memory| memory.leak.is_some())),
            (Risk::Throttled, self.throttles.share >= THROTTLED),
            (Risk::ColdStarts, self.cold_starts.dominates_tail),
            (Risk::ChattyState, self.state.is_chatty),
        ];
        all.into_iter().filter_map(|(risk, is_there)| is_there.then_some(risk)).collect()
    }
}

impl Confidence {
    /// The lower-case word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}
