//! What functions and edges did in some time: the input of everything that is told of a window.
//!
//! It is what the deltas of that time add up to, so windows merge by addition. It decides nothing: what is made of it is
//! the business of the detectors (`detect.rs`).

use std::collections::BTreeMap;

use crate::{
    record::{Delta, EdgeDelta, EdgeKey, FunctionDelta, Passing},
    snapshot::NodeId,
};

/// What functions and edges did in some time.
#[derive(Clone, Default)]
pub struct Measured {
    /// How long the time was, seconds.
    pub seconds: f64,
    /// By function.
    pub(crate) functions: BTreeMap<NodeId, FunctionDelta>,
    /// By edge.
    pub(crate) edges: BTreeMap<EdgeKey, EdgeDelta>,
    /// What messages caused.
    pub(crate) passing: Passing,
}

impl Measured {
    /// Adds what was counted since.
    pub(crate) fn add(&mut self, delta: &Delta) {
        for (id, function) in &delta.functions {
            self.add_function(*id, function);
        }
        for (key, edge) in &delta.edges {
            self.add_edge(*key, edge);
        }
        self.passing.merge(&delta.passing);
    }

    /// Adds another time, that does not overlap with this one.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.seconds += other.seconds;
        for (id, function) in &other.functions {
            self.add_function(*id, function);
        }
        for (key, edge) in &other.edges {
            self.add_edge(*key, edge);
        }
        self.passing.merge(&other.passing);
    }

    /// The same where nodes turned out to be others.
    pub(crate) fn renamed(&self, own: impl Fn(NodeId) -> NodeId) -> Self {
        let mut renamed = Self { seconds: self.seconds, ..Self::default() };
        for (id, function) in &self.functions {
            let function = FunctionDelta { outs: function.outs.renamed(&own), ..function.clone() };
            renamed.add_function(own(*id), &function);
        }
        for (key, edge) in &self.edges {
            let (source, target) = (own(key.source), own(key.target));
            renamed.add_edge(EdgeKey { source, target, ..*key }, edge);
        }
        renamed.passing.merge_renamed(&self.passing, own);
        renamed
    }

    fn add_function(&mut self, id: NodeId, more: &FunctionDelta) {
        match self.functions.get_mut(&id) {
            Some(known) => known.merge(more),
            None => drop(self.functions.insert(id, more.clone())),
        }
    }

    fn add_edge(&mut self, key: EdgeKey, more: &EdgeDelta) {
        match self.edges.get_mut(&key) {
            Some(known) => known.merge(more),
            None => drop(self.edges.insert(key, more.clone())),
        }
    }
}
