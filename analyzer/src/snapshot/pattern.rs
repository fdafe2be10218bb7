//! The patterns that a function system is made of.

use std::sync::Arc;

use crate::snapshot::{NodeId, ResourceKind};

/// The patterns of some time. Lists are ordered by runs, the most first, then by id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Patterns {
    /// Functions that wrap one other.
    pub decorators: Vec<Decorator>,
    /// Functions that events start.
    pub event_handlers: Vec<EventHandler>,
    /// Functions in a row, each of which sends to the next alone.
    pub pipelines: Vec<Pipeline>,
    /// Functions whose runs cause several others over one edge.
    pub fan_outs: Vec<FanOut>,
    /// Functions that bring together what several sent.
    pub fan_ins: Vec<FanIn>,
    /// Functions that send each request one of several ways.
    pub routers: Vec<Router>,
    /// Functions that are known and do not run.
    pub dead: Vec<DeadFunction>,
    /// What each function is by its behaviour.
    pub kinds: Vec<FunctionKind>,
    /// The currency of all amounts; empty when there are no prices.
    pub currency: Arc<str>,
    /// Messages, chains, and places that a function sends to, that there was no room to count.
    pub dropped: u64,
}

/// A function or a resource by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedNode {
    /// Persistent identity.
    pub id: NodeId,
    /// The name people know it by.
    pub name: Arc<str>,
}

/// A function that does little but call one other for one caller, and waits for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decorator {
    /// The function.
    pub function: NamedNode,
    /// The only one who calls it.
    pub caller: NamedNode,
    /// The only one whom it calls.
    pub callee: NamedNode,
    /// Its runs.
    pub runs: u64,
    /// Calls of the callee for each call of the caller.
    pub calls_per_run: f64,
    /// Part of its time that is its own, 0 to 1.
    pub self_share: f64,
    /// Part of its time in which it waits for the callee and pays all the same, 0 to 1.
    pub waiting_share: f64,
    /// Time in which it waited, milliseconds of all runs.
    pub waiting_ms: f64,
    /// What a day of that waiting costs at the pace of this time; `None` where prices or the length of the time are not
    /// known.
    pub waiting_cost_per_day: Option<f64>,
    /// How sure it is, 0 to 1; few runs say little.
    pub confidence: f64,
}

/// A function that messages or changes of stores start, and nobody calls.
#[derive(Clone, Debug, PartialEq)]
pub struct EventHandler {
    /// The function.
    pub function: NamedNode,
    /// What starts most of its runs, in the words of OpenTelemetry: `pubsub` or `datasource`.
    pub trigger: &'static str,
    /// The resources that deliver to it, the busiest first; empty where nobody names them.
    pub sources: Vec<EventSource>,
    /// Its runs.
    pub runs: u64,
    /// Part of them that events started, 0 to 1.
    pub event_share: f64,
    /// Messages of one run in the mean; `None` where no message is seen.
    pub messages_per_run: Option<f64>,
    /// How sure it is, 0 to 1.
    pub confidence: f64,
}

/// A resource that delivers to a function.
#[derive(Clone, Debug, PartialEq)]
pub struct EventSource {
    /// The resource.
    pub resource: NamedNode,
    /// What it is; `None` where that is not known.
    pub kind: Option<ResourceKind>,
    /// What it delivered.
    pub deliveries: u64,
}

/// Functions in a row, each of which sends to the next and to no other, and gets from the one before and from no other.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// The stages, the first first; at least three.
    pub stages: Vec<PipelineStage>,
    /// From the start of the first run to the end of the last, of chains that were followed from end to end; `None`
    /// where none was.
    pub end_to_end: Option<EndToEnd>,
    /// Place of the stage in `stages` whose runs take most of the time.
    pub slowest: usize,
    /// Runs of the last stage.
    pub runs: u64,
    /// How sure it is, 0 to 1.
    pub confidence: f64,
}

/// A stage of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct PipelineStage {
    /// The function.
    pub function: NamedNode,
    /// The resource over which it is sent to; `None` for the first stage, and where nobody names one.
    pub over: Option<NamedNode>,
    /// Its part of the end-to-end time in the mean, milliseconds: its run until it sends on, or all of it in the last
    /// stage; where no chain was followed its whole run.
    pub mean_ms: f64,
    /// How long its messages wait in the mean, milliseconds.
    pub wait_mean_ms: f64,
    /// 95th percentile of its whole run, milliseconds.
    pub p95_ms: f64,
}

/// How long chains take from end to end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EndToEnd {
    /// Median, milliseconds.
    pub p50_ms: f64,
    /// 95th percentile, milliseconds.
    pub p95_ms: f64,
    /// Part of the time in which messages wait, 0 to 1.
    pub queue_share: f64,
    /// Chains that were followed.
    pub chains: u64,
}

/// A function whose runs cause several others over one edge.
#[derive(Clone, Debug, PartialEq)]
pub struct FanOut {
    /// The function.
    pub function: NamedNode,
    /// The function that it calls, or the resource that it sends to.
    pub target: NamedNode,
    /// The functions that run for it, the busiest first.
    pub children: Vec<NamedNode>,
    /// Runs that used the edge.
    pub runs: u64,
    /// What one of these runs causes over it in the mean.
    pub children_per_run: f64,
    /// True for calls, which it waits for; false for messages.
    pub is_call: bool,
    /// Calls that go on at one time in the mean: 1 where each waits for the one before; `None` for messages.
    pub parallelism: Option<f64>,
    /// How much longer the slowest child of a run takes than children do; `None` where that was not seen.
    pub straggler: Option<Straggler>,
    /// How sure it is, 0 to 1.
    pub confidence: f64,
}

/// How much longer the last takes than most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Straggler {
    /// 95th percentile of the longest of each run, milliseconds.
    pub longest_p95_ms: f64,
    /// Median of all, milliseconds.
    pub p50_ms: f64,
    /// The one over the other.
    pub ratio: f64,
    /// Runs that were looked at.
    pub runs: u64,
}

/// A function that brings together what several sent.
#[derive(Clone, Debug, PartialEq)]
pub struct FanIn {
    /// The function.
    pub function: NamedNode,
    /// Who sends to it, the busiest first.
    pub producers: Vec<NamedNode>,
    /// Its runs that handled messages.
    pub runs: u64,
    /// Messages of one of these runs in the mean.
    pub messages_per_run: f64,
    /// How much longer the message that waited longest for a run waited than messages do; `None` where runs handle one
    /// message each.
    pub straggler: Option<Straggler>,
    /// How sure it is, 0 to 1.
    pub confidence: f64,
}

/// A function that sends each request one of several ways.
#[derive(Clone, Debug, PartialEq)]
pub struct Router {
    /// The function.
    pub function: NamedNode,
    /// Where it sends, the busiest first; at least two.
    pub routes: Vec<Route>,
    /// Runs that sent anywhere.
    pub runs: u64,
    /// Part of them that sent more than one way, 0 to 1.
    pub co_occurrence: f64,
    /// How sure it is, 0 to 1.
    pub confidence: f64,
}

/// One of the ways that a router sends.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// The function that it calls, or the resource that it sends to.
    pub target: NamedNode,
    /// Part of the runs that sent there, 0 to 1.
    pub share: f64,
}

/// A function that is known and does not run.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadFunction {
    /// Its id; `None` for one that only the configuration knows.
    pub id: Option<NodeId>,
    /// Its name.
    pub name: Arc<str>,
    /// True when the configuration names it.
    pub is_configured: bool,
    /// Whole days for which it has not run; as long as is known, for one that never did.
    pub quiet_days: u32,
    /// Edges that lead to it or from it.
    pub edges: u32,
}

/// What a function is by its behaviour.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionKind {
    /// The function.
    pub function: NamedNode,
    /// What it is like.
    pub likeness: Likeness,
    /// How sure it is, 0 to 1.
    pub confidence: f64,
    /// Its runs.
    pub runs: u64,
    /// Why.
    pub evidence: Vec<Evidence>,
}

/// What a function is like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Likeness {
    /// A function: short-lived instances that handle one request at a time, started by events.
    Faas,
    /// A service: few instances that live long and handle many requests at a time.
    Service,
    /// The spans do not say.
    #[default]
    Unclear,
}

/// One reason why a function is taken for what it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// What was looked at.
    pub aspect: Aspect,
    /// What it speaks for.
    pub says: Likeness,
    /// What was seen, for people.
    pub seen: String,
}

/// What is looked at to tell functions from services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aspect {
    /// Who says what it is: the attributes of its spans.
    Declared,
    /// How its instances come and go.
    Lifecycle,
    /// What starts it.
    Trigger,
    /// Where it keeps what it knows.
    State,
    /// How it takes on load.
    Scaling,
}

impl Likeness {
    /// The lower-case word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Faas => "faas",
            Self::Service => "service",
            Self::Unclear => "unclear",
        }
    }
}

impl Aspect {
    /// The lower-case word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Declared => "declared",
            Self::Lifecycle => "lifecycle",
            Self::Trigger => "trigger",
            Self::State => "state",
            Self::Scaling => "scaling",
        }
    }
}
