//! Functions as dense numbers, so that paths are small; those unseen for longest go when there are too many.

use rustc_hash::FxHashMap;

use crate::{snapshot::NodeId, span::ArrivalTime, state::state};

/// The functions that the linker has met.
#[derive(Default)]
pub(super) struct Functions {
    by_node: FxHashMap<NodeId, Known>,
    nodes: FxHashMap<u32, NodeId>,
    next: u32,
    /// What else a function was called, and its oldest id.
    names: FxHashMap<NodeId, NodeId>,
    learned: Vec<(NodeId, NodeId)>,
}

/// A function that the linker has met.
struct Known {
    index: u32,
    last: ArrivalTime,
    /// Invocations so far.
    entries: u64,
}

/// Names that are remembered for each function that may be.
const NAMES_PER_FUNCTION: usize = 5;

impl Functions {
    /// The number of a function that is invoked, and how many functions went to make room for it.
    pub(super) fn index(&mut self, now: ArrivalTime, node: NodeId, capacity: usize) -> (u32, u64) {
        let node = self.own(node);
        if let Some(known) = self.by_node.get_mut(&node) {
            known.last = now;
            known.entries += 1;
            return (known.index, 0);
        }
        let evicted = if self.by_node.len() >= capacity { self.evict(capacity / 10 + 1) } else { 0 };
        let index = self.next;
        self.next = self.next.wrapping_add(1);
        self.by_node.insert(node, Known { index, last: now, entries: 1 });
        self.nodes.insert(index, node);
        (index, evicted)
    }

    /// A function is known under further ids: whichever was met first stays its id.
    /// Hands back how many names there was no room for.
    pub(super) fn introduce(&mut self, function: NodeId, also: &[NodeId], capacity: usize) -> u64 {
        if self.names.len() + also.len() > capacity.saturating_mul(NAMES_PER_FUNCTION) {
            return also.len() as u64;
        }
        let is_known = |id: &NodeId| self.by_node.contains_key(id);
        let older = also.iter().find_map(|id| self.names.get(id).copied().filter(|older| *older != function));
        let older = older.filter(|older| also.contains(older)).or_else(|| also.iter().copied().find(|id| is_known(id)));
        if let Some(older) = older
            && !is_known(&function)
            && !self.names.contains_key(&function)
        {
            self.learn(function, older);
        }
        let own = self.names.get(&function).copied().unwrap_or(function);
        for id in also {
            if *id != own && !self.by_node.contains_key(id) && !self.names.contains_key(id) {
                self.learn(*id, own);
            }
        }
        0
    }

    /// Further ids that were learned since the last call, each with the id that stays.
    pub(super) fn take_learned(&mut self) -> Vec<(NodeId, NodeId)> {
        std::mem::take(&mut self.learned)
    }

    fn learn(&mut self, name: NodeId, own: NodeId) {
        self.names.insert(name, own);
        self.learned.push((name, own));
    }

    /// The id that a function has, whichever of its ids this is.
    pub(super) fn own(&self, node: NodeId) -> NodeId {
        if self.names.is_empty() { node } else { self.names.get(&node).copied().unwrap_or(node) }
    }

    /// The function behind a number; `None` when it went.
    pub(super) fn node(&self, index: u32) -> Option<NodeId> {
        self.nodes.get(&index).copied()
    }

    /// Invocations of a function so far.
    pub(super) fn entries(&self, node: NodeId) -> u64 {
        self.by_node.get(&node).map_or(0, |known| known.entries)
    }

    fn evict(&mut self, count: usize) -> u64 {
        let mut by_age: Vec<(ArrivalTime, NodeId)> =
            self.by_node.iter().map(|(node, known)| (known.last, *node)).collect();
        by_age.sort_unstable();
        by_age.truncate(count);
        for (_, node) in &by_age {
            if let Some(known) = self.by_node.remove(node) {
                self.nodes.remove(&known.index);
            }
        }
        by_age.len() as u64
    }
}

state!(Known { index, last, entries });
state!(Functions { by_node, nodes, next, names, learned });
