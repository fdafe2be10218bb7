//! What functions and edges did in some time: the input of everything that is told of a window.
//!
//! It is what the deltas of that time add up to, so windows merge by addition. It decides nothing: what is made of it is
//! the business of the detectors (`detect.rs`).

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use crate::{
    identity::Function,
    record::{Delta, EdgeDelta, EdgeKey, FunctionDelta, Passing},
    snapshot::NodeId,
    state::state,
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
    /// Adds what was counted since, in the minute of this number; `own` says what the id of a function is where it has
    /// several. There is room for so many functions, of which the last is [`Function::other`], and edges; how many edges
    /// there was no room for.
    pub(crate) fn add(
        &mut self,
        minute: u64,
        delta: &Delta,
        own: impl Fn(NodeId) -> NodeId,
        (functions, edges): (usize, usize),
    ) -> u64 {
        let mut dropped = 0;
        for (id, function) in &delta.functions {
            let to = own(*id);
            if self.functions.len() + 1 >= functions && !self.functions.contains_key(&to) {
                let more = FunctionDelta { function: Arc::new(Function::other()), ..function.clone() };
                self.add_function(Function::OTHER, &more).pace.add(minute, function.invocations);
                continue;
            }
            self.add_function(to, function).pace.add(minute, function.invocations);
            self.rename_outs(to, &own);
        }
        for (key, edge) in &delta.edges {
            let key = EdgeKey { source: own(key.source), target: own(key.target), ..*key };
            if self.edges.len() >= edges && !self.edges.contains_key(&key) {
                dropped += 1;
            } else {
                self.add_edge(key, edge);
            }
        }
        self.passing.merge_renamed(&delta.passing, &own);
        dropped
    }

    /// The functions that it has counts of.
    pub fn functions(&self) -> impl Iterator<Item = &Arc<Function>> {
        self.functions.values().map(|counts| &counts.function)
    }

    /// A function that it has counts of.
    pub fn function(&self, id: NodeId) -> Option<&Arc<Function>> {
        self.functions.get(&id).map(|counts| &counts.function)
    }

    /// Adds another time, that does not overlap with this one.
    pub fn merge(&mut self, other: &Self) {
        self.seconds += other.seconds;
        for (id, function) in &other.functions {
            self.add_function(*id, function);
        }
        for (key, edge) in &other.edges {
            self.add_edge(*key, edge);
        }
        self.passing.merge(&other.passing);
    }

    /// Puts together what was counted under several ids of one function.
    pub fn rename(&mut self, own: impl Fn(NodeId) -> NodeId) {
        let moved: Vec<NodeId> = self.functions.keys().filter(|id| own(**id) != **id).copied().collect();
        for id in moved {
            if let Some(function) = self.functions.remove(&id) {
                self.add_function(own(id), &function);
            }
        }
        let renamed = |key: EdgeKey| EdgeKey { source: own(key.source), target: own(key.target), ..key };
        let moved: Vec<EdgeKey> = self.edges.keys().filter(|key| renamed(**key) != **key).copied().collect();
        for key in moved {
            if let Some(edge) = self.edges.remove(&key) {
                self.add_edge(renamed(key), &edge);
            }
        }
        let callers: Vec<NodeId> = self.functions.keys().copied().collect();
        callers.into_iter().for_each(|caller| self.rename_outs(caller, &own));
        if self.passing.is_moved(&own) {
            let passing = std::mem::take(&mut self.passing);
            self.passing.merge_renamed(&passing, &own);
        }
    }

    /// Puts together where the runs of a function go.
    fn rename_outs(&mut self, caller: NodeId, own: impl Fn(NodeId) -> NodeId) {
        if let Some(function) = self.functions.get_mut(&caller)
            && function.outs.is_moved(&own)
        {
            function.outs = function.outs.renamed(own);
        }
    }

    fn add_function(&mut self, id: NodeId, more: &FunctionDelta) -> &mut FunctionDelta {
        match self.functions.entry(id) {
            Entry::Occupied(known) => {
                let known = known.into_mut();
                known.merge(more);
                known
            }
            Entry::Vacant(place) => place.insert(more.clone()),
        }
    }

    fn add_edge(&mut self, key: EdgeKey, more: &EdgeDelta) {
        match self.edges.get_mut(&key) {
            Some(known) => known.merge(more),
            None => drop(self.edges.insert(key, more.clone())),
        }
    }
}

state!(Measured { seconds, functions, edges, passing });
