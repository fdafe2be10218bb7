//! Where time is spent.

use std::sync::Arc;

use crate::snapshot::NodeId;

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
