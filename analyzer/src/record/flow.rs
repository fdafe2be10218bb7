//! Invocations of unknown cause and what they sent, as shards count them.

use smallvec::SmallVec;

use crate::{sampling::Sampling, snapshot::NodeId, state::state};

/// Places that one function sends to in answer to another that are counted apart; further ones are not counted.
const OUTLETS: usize = 32;

/// Where a function gets what it handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FlowKey {
    /// Who handles it.
    pub(crate) function: NodeId,
    /// The resource that delivers it; the function itself for requests, which others make by its name.
    pub(crate) via: NodeId,
}

/// Invocations that nothing but the place tells the cause of.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct FlowCounts {
    /// Those that were kept.
    pub(crate) kept: u64,
    /// All that they stand for.
    pub(crate) invocations: f64,
    /// Messages that these handled.
    pub(crate) messages: f64,
    /// What they sent in turn, by place.
    pub(crate) outlets: SmallVec<[Outlet; 1]>,
}

/// What invocations sent over one resource, or by calling one function by its name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Outlet {
    pub(crate) over: NodeId,
    /// Messages and calls of all invocations that those which were kept stand for.
    pub(crate) sent: f64,
    /// Kept invocations that sent no more than they handled, each as the part of its messages that it sent on: all messages
    /// of a batch are decided upon at once, so that a batch says no more than a single message.
    pub(crate) once: f64,
    /// Kept invocations that sent more than they handled.
    pub(crate) more: u64,
}

impl FlowCounts {
    /// Counts an invocation that handled so many messages and sent so many to each place; how many places there are too
    /// many of.
    pub(crate) fn count(&mut self, messages: u32, sent: &[(NodeId, u32)], sampling: Sampling) -> u64 {
        let mut dropped = 0;
        let weight = sampling.adjusted_count();
        self.kept += 1;
        self.invocations += weight;
        self.messages += weight * f64::from(messages);
        for (over, sent) in sent {
            let is_more = *sent > messages;
            let once = if is_more { 0.0 } else { f64::from(*sent) / f64::from(messages.max(1)) };
            let more = u64::from(is_more);
            dropped += self.add(Outlet { over: *over, sent: weight * f64::from(*sent), once, more });
        }
        dropped
    }

    /// Adds what another shard has counted; how many places there are too many of.
    pub(crate) fn merge(&mut self, other: &Self) -> u64 {
        self.kept += other.kept;
        self.invocations += other.invocations;
        self.messages += other.messages;
        other.outlets.iter().map(|outlet| self.add(*outlet)).sum()
    }

    /// The same where places turned out to be others.
    pub(crate) fn renamed(&self, own: impl Fn(NodeId) -> NodeId) -> Self {
        let mut renamed = Self { outlets: SmallVec::new(), ..*self };
        for outlet in &self.outlets {
            renamed.add(Outlet { over: own(outlet.over), ..*outlet });
        }
        renamed
    }

    /// What was sent to a place.
    pub(crate) fn outlet(&self, over: NodeId) -> Option<&Outlet> {
        self.outlets.iter().find(|outlet| outlet.over == over)
    }

    fn add(&mut self, other: Outlet) -> u64 {
        if let Some(known) = self.outlets.iter_mut().find(|known| known.over == other.over) {
            known.sent += other.sent;
            known.once += other.once;
            known.more += other.more;
        } else if self.outlets.len() < OUTLETS {
            self.outlets.push(other);
        } else {
            return 1;
        }
        0
    }
}

state!(FlowKey { function, via });
state!(FlowCounts { kept, invocations, messages, outlets });
state!(Outlet { over, sent, once, more });
