//! What the engine knows at one moment, as plain data.
//!
//! These are values to read, show and send; nothing here computes. The wire twins with their JSON form live outside
//! this crate. Lists are ordered as their fields say, never by hash. There is one file for each thing.

mod anomaly;
mod assessment;
mod chain;
mod cost;
mod edge;
mod finding;
mod flow;
mod function;
mod hotspot;
mod id;
mod losses;
mod pattern;
mod profile;
mod resource;

use std::sync::Arc;

use crate::{detect::pattern::Surroundings, price::Pricing};

pub use self::{
    anomaly::{Anomaly, AnomalyExemplar, AnomalyKind},
    assessment::{Assessment, Reason, Severity},
    chain::{JoinedCause, JoinedChain},
    cost::{
        CostReport, Costs, EdgeCost, Fit, FitVerdict, FunctionCost, GroupCost, PipelineCost, PriceUsed, TriggerCost,
    },
    edge::{Edge, EdgeKind},
    finding::{Loop, LoopClass, LoopLevel, LoopState, PlatformGuard, Reproduction, RetryStorm},
    flow::{Flow, FlowHop},
    function::{FunctionNode, VersionChange},
    hotspot::{Basis, Hotspot, HotspotCause, HotspotChange, Hotspots, RootId, RootOperation, TailPart},
    id::{LoopId, NodeId},
    losses::Losses,
    pattern::{
        Aspect, DeadFunction, Decorator, EndToEnd, EventHandler, EventSource, Evidence, FanIn, FanOut, FunctionKind,
        Likeness, NamedNode, Patterns, Pipeline, PipelineStage, Route, Router, Straggler,
    },
    profile::{
        Background, ColdStarts, Confidence, FunctionProfile, Leak, MemoryUse, Refusals, ReportedByMetrics, Risk,
        StateTax, StoreUse, TailFit, Throttles, TimeOutRisk, ValuesOfMetrics,
    },
    resource::{ResourceKind, ResourceNode},
};

use crate::aggregate::roots::Roots;

/// Everything the engine knows at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Ordered by id.
    pub functions: Vec<FunctionNode>,
    /// What else is known of each of them, in the same order.
    pub backgrounds: Vec<Background>,
    /// Ordered by id.
    pub resources: Vec<ResourceNode>,
    /// Ordered by source, target and kind.
    pub edges: Vec<Edge>,
    /// The worst first.
    pub loops: Vec<Loop>,
    /// Where the time goes now.
    pub hotspots: Hotspots,
    /// Where the time of traces went, for questions about other times.
    pub roots: Roots,
    /// What is needed to tell what was measured in some time costs.
    pub pricing: Arc<Pricing>,
    /// The patterns of a capture; live they are asked for by time, with the surroundings.
    pub patterns: Arc<Patterns>,
    /// What patterns are told with beside counts.
    pub surroundings: Arc<Surroundings>,
    /// What cannot be right in the input, by kind.
    pub anomalies: Vec<Anomaly>,
    /// What was counted and what was let go.
    pub losses: Losses,
}
