//! A function with its numbers, and a change of its version.

use std::sync::Arc;

use crate::{
    snapshot::NodeId,
    span::{EventTime, TraceId},
    state::state,
};

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
    /// Runs, those that sampling left out included.
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
    /// Part of the runs that sampling kept: what was counted is divided by it. `None` when all were kept.
    pub sampling_probability: Option<f64>,
    /// True when logs or metrics tell of it, and no span.
    pub is_untraced: bool,
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
    aliases,
    sampling_probability,
    is_untraced
});
