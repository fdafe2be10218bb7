//! What the engine knows at one moment, as plain data.
//!
//! These are values to read, show and send; nothing here computes. The wire twins with their JSON form live outside
//! this crate. Lists are ordered as their fields say, never by hash. There is one file for each thing.

mod anomaly;
mod assessment;
mod chain;
mod edge;
mod finding;
mod flow;
mod function;
mod hotspot;
mod id;
mod losses;
mod resource;

pub use self::{
    anomaly::{Anomaly, AnomalyExemplar, AnomalyKind},
    assessment::{Assessment, Reason, Severity},
    chain::{JoinedCause, JoinedChain},
    edge::{Edge, EdgeKind},
    finding::{Loop, LoopClass, LoopLevel, LoopState, PlatformGuard, Reproduction, RetryStorm},
    flow::{Flow, FlowHop},
    function::{FunctionNode, VersionChange},
    hotspot::{Basis, Hotspot, HotspotCause, HotspotChange, Hotspots, RootId, RootOperation, TailPart},
    id::{LoopId, NodeId},
    losses::Losses,
    resource::{ResourceKind, ResourceNode},
};

use crate::aggregate::roots::Roots;

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
    /// Where the time goes now.
    pub hotspots: Hotspots,
    /// Where the time of traces went, for questions about other times.
    pub roots: Roots,
    /// What cannot be right in the input, by kind.
    pub anomalies: Vec<Anomaly>,
    /// What was counted and what was let go.
    pub losses: Losses,
}
