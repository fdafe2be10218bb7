//! What was counted waits for the next tick, so that what many spans did is merged once; but a function or an edge that
//! was never told of goes on at once, so that whoever hears of a loop knows its parts.
//!
//! It does not know what was counted. Who asks is the engine, and the collector's thread of a shard.

use rustc_hash::FxHashSet;

use crate::{
    config::Config,
    record::{Delta, EdgeKey},
    snapshot::NodeId,
};

/// After so many spans a delta goes on before the tick. Merging it costs little for each of them by then, and it is some
/// megabytes at most.
const SPANS: u64 = 10_000;

/// The functions and edges that were told of.
pub(super) struct News {
    functions: FxHashSet<NodeId>,
    edges: FxHashSet<EdgeKey>,
    function_capacity: usize,
    edge_capacity: usize,
}

impl News {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            functions: FxHashSet::default(),
            edges: FxHashSet::default(),
            function_capacity: config.function_capacity,
            edge_capacity: config.edge_capacity,
        }
    }

    /// True when there is something new in what has gathered, or a lot. New is said of each but once, or again after so
    /// many others as the graph has room for.
    pub(super) fn are_in(&mut self, delta: &mut Delta) -> bool {
        let mut is_new = false;
        for function in delta.begun.functions.drain(..) {
            is_new |= remember(&mut self.functions, function, self.function_capacity);
        }
        for edge in delta.begun.edges.drain(..) {
            is_new |= remember(&mut self.edges, edge, self.edge_capacity);
        }
        is_new || delta.losses.spans >= SPANS
    }
}

/// Adds one to those that are known; true when it was not.
fn remember<T: Eq + std::hash::Hash>(known: &mut FxHashSet<T>, one: T, capacity: usize) -> bool {
    if known.contains(&one) {
        return false;
    }
    if known.len() >= capacity {
        known.clear();
    }
    known.insert(one)
}
