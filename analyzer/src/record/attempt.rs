//! Requests that were tried again, as shards and linker count them.

use std::sync::Arc;

use super::Exemplars;
use crate::{snapshot::NodeId, span::EventTime, state::state};

/// What is asked, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AttemptKey {
    /// Who asks; for a message that is delivered again, who receives it.
    pub(crate) function: NodeId,
    /// Identifies the operation that asks; 0 for deliveries.
    pub(crate) operation: u64,
    /// The resource that is asked, or that delivers.
    pub(crate) over: Option<NodeId>,
}

/// Attempts since the last delta.
#[derive(Clone)]
pub(crate) struct AttemptDelta {
    /// Name of the operation; empty for deliveries.
    pub(crate) operation: Arc<str>,
    /// The function that is asked, where a span of it was seen.
    pub(crate) callee: Option<NodeId>,
    pub(crate) counts: Attempts,
    pub(crate) first_seen: EventTime,
    pub(crate) last_seen: EventTime,
    /// Traces with requests that were tried again.
    pub(crate) exemplars: Exemplars,
}

/// How often something was asked, and how often that took another attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attempts {
    /// What was wanted: each once, however often it was tried.
    pub(crate) requests: u64,
    /// All attempts, the first ones included.
    pub(crate) attempts: u64,
    /// Requests that took more than one.
    pub(crate) retried: u64,
}

impl AttemptDelta {
    pub(crate) fn new(operation: Arc<str>, at: EventTime) -> Self {
        Self {
            operation,
            callee: None,
            counts: Attempts::default(),
            first_seen: at,
            last_seen: at,
            exemplars: Exemplars::default(),
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.counts.add(other.counts);
        self.callee = other.callee.or(self.callee);
        self.first_seen = self.first_seen.min(other.first_seen);
        self.last_seen = self.last_seen.max(other.last_seen);
        self.exemplars.merge(&other.exemplars);
        if self.operation.is_empty() {
            self.operation = Arc::clone(&other.operation);
        }
    }
}

impl Attempts {
    /// Counts the attempt with this number, from 1, at one request.
    pub(crate) fn count(&mut self, number: u32) {
        self.attempts += 1;
        self.requests += u64::from(number == 1);
        self.retried += u64::from(number == 2);
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.attempts += other.attempts;
        self.retried += other.retried;
    }

    /// Attempts that one request takes.
    #[expect(clippy::cast_precision_loss, reason = "a ratio of counts")]
    pub(crate) fn per_request(self) -> f64 {
        self.attempts as f64 / self.requests.max(1) as f64
    }
}

state!(AttemptKey { function, operation, over });
state!(AttemptDelta { operation, callee, counts, first_seen, last_seen, exemplars });
state!(Attempts { requests, attempts, retried });
