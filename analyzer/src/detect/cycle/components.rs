//! The strongly connected components of a graph: nodes that can all reach each other.
//!
//! Tarjan's algorithm ("Depth-first search and linear graph algorithms", 1972) with a list in place of recursion, because
//! graphs from traces can be deeper than a stack. That of petgraph is recursive, and its Kosaraju's wants each edge from
//! both of its ends, which a graph of this form does not have.

use super::Graph;

/// A node that the search has not come to.
const UNSEEN: u32 = u32::MAX;

/// The components that have an edge within, and for each node the number of its component, those without one included.
pub(crate) fn components(graph: &Graph) -> (Vec<Vec<u32>>, Vec<u32>) {
    let mut search = Search::new(graph.node_count());
    for node in 0..graph.node_count() as u32 {
        if search.order[node as usize] == UNSEEN {
            search.descend(graph, node);
        }
    }
    (search.found, search.component)
}

struct Search {
    /// When the search came to each node.
    order: Vec<u32>,
    /// The earliest node on the way that each node can reach.
    low: Vec<u32>,
    /// Nodes whose component is not complete.
    open: Vec<u32>,
    /// The nodes on the way down, each with how many of its edges were followed.
    way: Vec<(u32, u32)>,
    component: Vec<u32>,
    count: u32,
    next: u32,
    found: Vec<Vec<u32>>,
}

impl Search {
    fn new(nodes: usize) -> Self {
        Self {
            order: vec![UNSEEN; nodes],
            low: vec![UNSEEN; nodes],
            open: Vec::new(),
            way: Vec::new(),
            component: vec![UNSEEN; nodes],
            count: 0,
            next: 0,
            found: Vec::new(),
        }
    }

    fn descend(&mut self, graph: &Graph, root: u32) {
        self.come_to(root);
        while let Some((node, followed)) = self.way.last_mut() {
            let node = *node;
            match graph.neighbors_slice(node).get(*followed as usize) {
                Some(target) => {
                    *followed += 1;
                    let target = *target as usize;
                    if self.order[target] == UNSEEN {
                        self.come_to(target as u32);
                    } else if self.component[target] == UNSEEN {
                        self.low[node as usize] = self.low[node as usize].min(self.order[target]);
                    }
                }
                None => self.leave(graph, node),
            }
        }
    }

    fn come_to(&mut self, node: u32) {
        self.order[node as usize] = self.next;
        self.low[node as usize] = self.next;
        self.next += 1;
        self.open.push(node);
        self.way.push((node, 0));
    }

    /// All below the node has been looked at: it is the first of its component, or its component goes on above it.
    fn leave(&mut self, graph: &Graph, node: u32) {
        self.way.pop();
        let low = self.low[node as usize];
        if let Some((above, _)) = self.way.last() {
            let above = &mut self.low[*above as usize];
            *above = (*above).min(low);
        }
        if low != self.order[node as usize] {
            return;
        }
        let first = self.open.iter().rposition(|open| *open == node).unwrap_or_default();
        let members = self.open.split_off(first);
        for member in &members {
            self.component[*member as usize] = self.count;
        }
        self.count += 1;
        if members.len() > 1 || graph.neighbors_slice(node).contains(&node) {
            self.found.push(members);
        }
    }
}

#[cfg(test)]
mod tests {
    use petgraph::{algo::kosaraju_scc, graph::DiGraph};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_are_those_of_kosaraju(edges in prop::collection::btree_set((0u32..12, 0u32..12), 1..40)) {
            let sorted: Vec<(u32, u32, u64)> = edges.iter().map(|(source, target)| (*source, *target, 1)).collect();
            let (found, numbers) = components(&Graph::from_sorted_edges(&sorted).unwrap());
            let others = kosaraju_scc(&DiGraph::<(), ()>::from_edges(&edges));
            let mut expected: Vec<Vec<u32>> = Vec::new();
            for other in others {
                let mut members: Vec<u32> = other.iter().map(|node| node.index() as u32).collect();
                members.sort_unstable();
                prop_assert!(members.iter().all(|node| numbers[*node as usize] == numbers[members[0] as usize]));
                if members.len() > 1 || edges.contains(&(members[0], members[0])) {
                    expected.push(members);
                }
            }
            let mut found: Vec<Vec<u32>> = found;
            found.iter_mut().for_each(|members| members.sort_unstable());
            found.sort();
            expected.sort();
            prop_assert_eq!(found, expected);
        }
    }
}
