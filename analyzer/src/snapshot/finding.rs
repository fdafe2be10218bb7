//! A loop with all that is known of it. What people have to be told is in `assessment.rs`.

use std::sync::Arc;

use crate::{
    intended::IntendedState,
    price::LoopCost,
    snapshot::{Assessment, Flow, JoinedChain, LoopId, NodeId, Reason, Severity, VersionChange},
    span::{EventTime, TraceId},
    state::state,
};

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
    /// Laps of the deepest chain, as far as it is seen; see `next_lap_sampling_probability`.
    pub max_depth: u32,
    /// Probability that a benign chain of this loop gets as deep as the deepest open one; `None` without laps, and where
    /// sampling hides depth.
    pub depth_probability: Option<f64>,
    /// Laps at which a chain of this loop is an alarm, as learned from its history; `None` without laps, and where
    /// sampling hides so many laps that depth is not judged.
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
    /// The causes of its deepest chain that no trace names; `None` where parents and links name all.
    pub joined: Option<Arc<JoinedChain>>,
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
    /// Part of its laps that sampling kept: chains and laps are divided by it, and so is what is made of them. `None`
    /// when all were kept.
    pub sampling_probability: Option<f64>,
    /// Chance that a lap is seen after the one before it was: less than 1 where laps enter other traces that may have
    /// been dropped, so that chains look shorter than they are. `None` when it is always seen.
    pub next_lap_sampling_probability: Option<f64>,
    /// True when so few laps are seen after the one before that only chains within a trace are judged by their depth.
    pub is_judged_within_traces: bool,
    /// What counts alone tell of it; `None` where parents, links or ids tell the causes.
    pub flow: Option<Flow>,
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

impl Loop {
    /// True when its laps multiply: each causes more than one, or one chain branches and grows.
    pub fn multiplies(&self) -> bool {
        self.state == LoopState::Growing || self.reasons.contains(&Reason::FanOut)
    }

    /// True when nobody sees how deep its chains are: only counts show that they go on, or sampling hides it.
    pub fn hides_depth(&self) -> bool {
        let is_sampled_out = self.alarm_depth.is_none() && self.next_lap_sampling_probability.is_some();
        // What is judged within traces and is an alarm by another reason goes on over others.
        let is_in_others = self.is_judged_within_traces && !self.reasons.contains(&Reason::Depth);
        self.reasons.contains(&Reason::Flow) || is_sampled_out || is_in_others
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

impl LoopLevel {
    /// The lower-case word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Operation => "operation",
        }
    }
}

state!(Reproduction { mean, low, high });
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
