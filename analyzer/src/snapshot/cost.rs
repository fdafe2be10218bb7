//! What functions cost in some time, and where it goes.
//!
//! Amounts are of the currency of the prices, at list prices. Every amount is a part of the total once: that of a
//! trigger, an edge, a pipeline or an owner is another cut through the same total.

use std::sync::Arc;

use crate::{
    price::{BreakEven, ContainerPrices, HOURS_PER_MONTH},
    snapshot::{EdgeKind, NodeId},
};

/// What functions cost in some time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CostReport {
    /// The currency, such as `USD`; empty when there are no prices.
    pub currency: Arc<str>,
    /// How long the time was, seconds.
    pub seconds: f64,
    /// All functions together.
    pub total: Costs,
    /// The part of the total that rests on assumed memory, or on prices of another platform.
    pub assumed: f64,
    /// The dearest first, at most [`crate::price::LISTED`].
    pub functions: Vec<FunctionCost>,
    /// The dearest first, by what their calls cause.
    pub edges: Vec<EdgeCost>,
    /// The dearest first.
    pub pipelines: Vec<PipelineCost>,
    /// What set it all off, the dearest first.
    pub triggers: Vec<TriggerCost>,
    /// By application; a function of several counts for each.
    pub apps: Vec<GroupCost>,
    /// By owner.
    pub owners: Vec<GroupCost>,
    /// By environment.
    pub environments: Vec<GroupCost>,
    /// The prices that were used.
    pub prices: Vec<PriceUsed>,
    /// What is assumed of containers.
    pub containers: Option<Arc<ContainerPrices>>,
}

/// What something costs, part by part.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Costs {
    /// The time of runs.
    pub time: f64,
    /// The runs, whatever they take.
    pub requests: f64,
    /// Resources that the runs used.
    pub calls: f64,
    /// Of the time: runs waiting for anything.
    pub waiting: f64,
    /// Of the waiting: waiting for another function, which is paid for as well.
    pub double_billed: f64,
    /// Of the time: what runs that started a new instance took longer.
    pub cold: f64,
}

/// What a function costs.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionCost {
    /// The function.
    pub id: NodeId,
    /// Its name.
    pub name: Arc<str>,
    /// Its environment, or an empty text.
    pub environment: Arc<str>,
    /// What runs it.
    pub platform: Arc<str>,
    /// Who is asked about it, or an empty text.
    pub owner: Arc<str>,
    /// Its applications.
    pub apps: Vec<Arc<str>>,
    /// Runs, those that sampling left out included.
    pub requests: f64,
    /// Memory times time that is charged.
    pub gb_seconds: f64,
    /// Time of a run, a mean, milliseconds.
    pub mean_ms: f64,
    /// Its configured memory, MiB.
    pub memory_mb: u32,
    /// What it costs.
    pub costs: Costs,
    /// True when its memory or the prices of its platform are assumed.
    pub is_assumed: bool,
    /// Runs a second, a mean.
    pub per_second: f64,
    /// Runs a second in the busiest minute.
    pub peak_per_second: f64,
    /// Standard deviation over mean of the runs by the minute; `None` for less than two minutes.
    pub variation: Option<f64>,
    /// The same as containers; `None` when nobody said what those cost, or no size holds it.
    pub break_even: Option<BreakEven>,
    /// Whether it belongs in a function, the surest first.
    pub verdicts: Vec<FitVerdict>,
}

/// Whether a function belongs in a function.
#[derive(Clone, Debug, PartialEq)]
pub struct FitVerdict {
    /// What it is.
    pub fit: Fit,
    /// The same for people.
    pub words: String,
    /// How sure it is, 0 to 1: few samples, few minutes or assumed facts lower it.
    pub confidence: f64,
    /// The numbers that led to it, by name.
    pub numbers: Vec<(&'static str, f64)>,
    /// What would change it.
    pub would_change: String,
}

/// Whether a function belongs in a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fit {
    /// Nothing speaks against it.
    Fits,
    /// Its runs take so long that a time-out or a lost instance loses much.
    LongRunning,
    /// It takes so much memory that few platforms give it, and each start is dear.
    MemoryHeavy,
    /// It always runs, and containers would cost less.
    SustainedTraffic,
    /// It spends its time asking stores for what it does not keep.
    ChattyState,
}

/// What calls over an edge cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EdgeCost {
    /// Where it starts.
    pub source: NodeId,
    /// Where it ends.
    pub target: NodeId,
    /// What it stands for.
    pub kind: EdgeKind,
    /// Calls, those that sampling left out included.
    pub calls: f64,
    /// The uses of a resource themselves.
    pub uses: f64,
    /// What the caller pays while it waits for them.
    pub waiting: f64,
    /// What they cause at the other end, with all that follows from it.
    pub downstream: f64,
    /// True for an edge within a loop: what it causes is then what one lap of its target costs, no more.
    pub is_in_loop: bool,
}

/// What a chain of functions costs that hand on to each other by messages.
#[derive(Clone, Debug, PartialEq)]
pub struct PipelineCost {
    /// Functions and resources, from the first on.
    pub path: Vec<NodeId>,
    /// The names of the functions.
    pub names: Vec<Arc<str>>,
    /// Runs of the first function.
    pub entries: f64,
    /// What its stages cost.
    pub stages: f64,
    /// What the functions cost that stages call and wait for.
    pub called: f64,
}

/// What a trigger has set off.
#[derive(Clone, Debug, PartialEq)]
pub struct TriggerCost {
    /// The function that is asked from outside, or the resource that nobody here fills.
    pub id: NodeId,
    /// Its name.
    pub name: Arc<str>,
    /// `request` for a function, the kind of a resource, or `unknown` where only a loop is seen and not how it began.
    pub kind: &'static str,
    /// How often it set something off.
    pub entries: f64,
    /// What all of it cost, to the end.
    pub cost: f64,
}

/// What functions cost that have something in common.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupCost {
    /// What they have in common; empty where nothing is said.
    pub name: Arc<str>,
    /// Functions.
    pub functions: u64,
    /// What they cost.
    pub costs: Costs,
}

/// A price that was used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PriceUsed {
    /// What is priced: a platform with its processor, or a system and how it is used.
    pub item: String,
    /// The day on which it was true.
    pub as_of: Arc<str>,
}

impl Costs {
    /// All of it; waiting, double billing and cold starts are parts of the time.
    pub fn total(&self) -> f64 {
        self.time + self.requests + self.calls
    }

    /// A month at this pace, of which so many seconds were watched; 0 when none were.
    pub fn per_month(&self, seconds: f64) -> f64 {
        if seconds > 0.0 { self.total() / seconds * 3_600.0 * HOURS_PER_MONTH } else { 0.0 }
    }

    /// Adds another.
    pub(crate) fn add(&mut self, other: &Self) {
        self.time += other.time;
        self.requests += other.requests;
        self.calls += other.calls;
        self.waiting += other.waiting;
        self.double_billed += other.double_billed;
        self.cold += other.cold;
    }
}

impl EdgeCost {
    /// All that the calls cost: themselves, the waiting, and what they cause.
    pub fn total(&self) -> f64 {
        self.uses + self.waiting + self.downstream
    }
}

impl PipelineCost {
    /// All of it.
    pub fn total(&self) -> f64 {
        self.stages + self.called
    }
}

impl Fit {
    /// The lower-case word for programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fits => "fits",
            Self::LongRunning => "long_running",
            Self::MemoryHeavy => "memory_heavy",
            Self::SustainedTraffic => "sustained_traffic",
            Self::ChattyState => "chatty_state",
        }
    }
}
