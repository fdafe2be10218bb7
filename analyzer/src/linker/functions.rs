//! Functions as dense numbers, so that paths are small; those unseen for longest go when there are too many.

use rustc_hash::FxHashMap;

use crate::{snapshot::NodeId, span::ArrivalTime};

/// The functions that the linker has met.
#[derive(Default)]
pub(super) struct Functions {
    by_node: FxHashMap<NodeId, (u32, ArrivalTime)>,
    nodes: FxHashMap<u32, NodeId>,
    next: u32,
}

impl Functions {
    /// The number of a function, and how many functions went to make room for it.
    pub(super) fn index(&mut self, now: ArrivalTime, node: NodeId, capacity: usize) -> (u32, u64) {
        if let Some((index, last)) = self.by_node.get_mut(&node) {
            *last = now;
            return (*index, 0);
        }
        let evicted = if self.by_node.len() >= capacity { self.evict(capacity / 10 + 1) } else { 0 };
        let index = self.next;
        self.next = self.next.wrapping_add(1);
        self.by_node.insert(node, (index, now));
        self.nodes.insert(index, node);
        (index, evicted)
    }

    /// The function behind a number; `None` when it went.
    pub(super) fn node(&self, index: u32) -> Option<NodeId> {
        self.nodes.get(&index).copied()
    }

    fn evict(&mut self, count: usize) -> u64 {
        let mut by_age: Vec<(ArrivalTime, NodeId)> =
            self.by_node.iter().map(|(node, (_, last))| (*last, *node)).collect();
        by_age.sort_unstable();
        by_age.truncate(count);
        for (_, node) in &by_age {
            if let Some((index, _)) = self.by_node.remove(node) {
                self.nodes.remove(&index);
            }
        }
        by_age.len() as u64
    }
}
