//! What goes from one node of the graph to another.

use crate::{snapshot::NodeId, span::TraceId, state::state};

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
    /// Calls, those that sampling left out included.
    pub calls: u64,
    /// Calls that failed.
    pub errors: u64,
    /// How sure it is that the calls went this way, 0 to 1: below 1 where parents and links are missing.
    pub confidence: f64,
    /// Duration as the caller saw it, milliseconds.
    pub p50_ms: f64,
    /// Duration as the caller saw it, milliseconds.
    pub p95_ms: f64,
    /// Duration as the callee saw it, milliseconds, of calls that both sides show; `None` when only one side was seen.
    pub server_p95_ms: Option<f64>,
    /// The caller's time minus the callee's, milliseconds; `None` when only one side was seen.
    pub gap_p95_ms: Option<f64>,
    /// Calls a second over the current window.
    pub rate_per_second: f64,
    /// Traces that show it, the newest first.
    pub exemplars: Vec<TraceId>,
    /// Part of the calls that sampling kept: what was counted is divided by it. `None` when all were kept.
    pub sampling_probability: Option<f64>,
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
