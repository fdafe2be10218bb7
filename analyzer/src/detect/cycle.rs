//! Cycles in the graph: functions that can cause their own runs, whether or not any chain has gone round.
//!
//! A cycle is information, no alarm: a bucket with a prefix filter is a cycle that nothing goes round. Edges that only
//! read cause nothing and close no cycle.

mod components;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
};

use petgraph::csr::Csr;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::{
    canonical::canonical,
    snapshot::{LoopId, NodeId},
    state::state,
};
pub(crate) use components::components;

/// Cycles reported for one strongly connected component.
const PER_COMPONENT: usize = 16;

/// A cycle in the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cycle {
    pub(crate) id: LoopId,
    /// The functions on it, resources left out, in canonical rotation.
    pub(crate) functions: Vec<NodeId>,
}

/// Edges that a search for the way back looks at; cycles that are longer than that are not told apart any more.
const LOOKED_AT: usize = 20_000;

/// The causal graph with the calls of each edge. Rows side by side: it is built anew for each search, and 100,000 edges
/// are to be looked through within a tick.
pub(crate) type Graph = Csr<(), u64>;

/// Shortest cycles through the heaviest edges of each strongly connected component, ordered by id.
///
/// Within a component the heaviest edge that no cycle covers yet is closed by the shortest way back, until all edges
/// are covered or there are 16 cycles: enough to show, where listing all elementary cycles would be exponential.
/// Cost: one pass for the components, and one breadth-first search of a bounded number of edges for each edge that is
/// tried.
///
/// `edges` are the causal edges with their calls, each once, in the order of their nodes; `is_function` tells functions
/// from resources.
pub(crate) fn cycles(edges: &[(NodeId, NodeId, u64)], is_function: impl Fn(NodeId) -> bool) -> Vec<Cycle> {
    let nodes = nodes_of(edges);
    let Some(graph) = graph_of(edges, &nodes) else { return Vec::new() };
    let (components, numbers) = components(&graph);
    let mut search = Search { graph: &graph, component: numbers, came_from: vec![(0, 0); nodes.len()], number: 0 };
    let mut found: BTreeMap<LoopId, Cycle> = BTreeMap::new();
    for component in &components {
        for path in search.cycles(component) {
            let functions: Vec<NodeId> =
                path.into_iter().map(|index| nodes[index as usize]).filter(|node| is_function(*node)).collect();
            if !functions.is_empty() {
                let (id, functions) = canonical(&functions);
                found.entry(id).or_insert(Cycle { id, functions });
            }
        }
    }
    found.into_values().collect()
}

/// The nodes in the order of their ids, which numbers them: no answer depends on the order of insertion.
fn nodes_of(edges: &[(NodeId, NodeId, u64)]) -> Vec<NodeId> {
    let met: FxHashSet<NodeId> = edges.iter().flat_map(|(source, target, _)| [*source, *target]).collect();
    let mut nodes: Vec<NodeId> = met.into_iter().collect();
    nodes.sort_unstable();
    nodes
}

/// `None` when the edges are not in their order.
fn graph_of(edges: &[(NodeId, NodeId, u64)], nodes: &[NodeId]) -> Option<Graph> {
    let numbers: FxHashMap<NodeId, u32> = nodes.iter().copied().zip(0..).collect();
    let number = |node: &NodeId| numbers.get(node).copied();
    let edges: Option<Vec<(u32, u32, u64)>> =
        edges.iter().map(|(source, target, calls)| Some((number(source)?, number(target)?, *calls))).collect();
    Graph::from_sorted_edges(&edges?).ok()
}

/// Searches within the components of a graph.
struct Search<'a> {
    graph: &'a Graph,
    /// Number of the component of each node.
    component: Vec<u32>,
    /// The number of the search that came to a node last, and from where.
    came_from: Vec<(u32, u32)>,
    number: u32,
}

impl Search<'_> {
    fn cycles(&mut self, members: &[u32]) -> Vec<Vec<u32>> {
        // A heap: the edges of a large component are many, and few of them are tried.
        let mut edges: BinaryHeap<(u64, Reverse<(u32, u32)>)> = members
            .iter()
            .flat_map(|source| {
                let targets = self.graph.neighbors_slice(*source).iter().zip(self.graph.edges_slice(*source));
                targets.map(|(target, calls)| (*calls, Reverse((*source, *target))))
            })
            .filter(|(_, Reverse((source, target)))| self.is_within(*source, *target))
            .collect();
        let mut cycles = Vec::new();
        let mut covered = FxHashSet::default();
        let mut looked_at = 0;
        while let Some((_, Reverse((source, target)))) = edges.pop() {
            if cycles.len() == PER_COMPONENT || looked_at > PER_COMPONENT * LOOKED_AT {
                break;
            }
            if covered.contains(&(source, target)) {
                continue;
            }
            if let Some(back) = self.shortest_path(target, source, &mut looked_at) {
                covered.extend(back.iter().copied().zip(back.iter().copied().skip(1)));
                covered.insert((source, target));
                cycles.push(back);
            }
        }
        cycles
    }

    fn is_within(&self, source: u32, target: u32) -> bool {
        self.component[source as usize] == self.component[target as usize]
    }

    /// The nodes from `from` to `to`, both included; `None` when the way is too long to be found.
    fn shortest_path(&mut self, from: u32, to: u32, looked_at: &mut usize) -> Option<Vec<u32>> {
        self.number += 1;
        self.came_from[from as usize] = (self.number, from);
        let mut queue = VecDeque::from([from]);
        let last = *looked_at + LOOKED_AT;
        while let Some(node) = queue.pop_front() {
            if node == to {
                let mut path = vec![to];
                while path.last() != Some(&from) {
                    path.push(self.came_from[*path.last()? as usize].1);
                }
                path.reverse();
                return Some(path);
            }
            for next in self.graph.neighbors_slice(node) {
                *looked_at += 1;
                if self.is_within(node, *next) && self.came_from[*next as usize].0 != self.number {
                    self.came_from[*next as usize] = (self.number, node);
                    queue.push_back(*next);
                }
            }
            if *looked_at > last {
                return None;
            }
        }
        None
    }
}

state!(Cycle { id, functions });

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    /// Edges like `a -> b`, several to a line as paths; capital letters are resources.
    #[track_caller]
    fn check(edges: &str, expect: Expect) {
        let node = |name: &str| NodeId(u64::from(name.as_bytes()[0]));
        let mut graph: BTreeMap<(NodeId, NodeId), u64> = BTreeMap::new();
        for path in edges.split(';') {
            let nodes: Vec<NodeId> = path.split("->").map(|name| node(name.trim())).collect();
            for pair in nodes.windows(2) {
                *graph.entry((pair[0], pair[1])).or_insert(0) += 1;
            }
        }
        let graph: Vec<_> = graph.into_iter().map(|((source, target), calls)| (source, target, calls)).collect();
        let mut found: Vec<String> = cycles(&graph, |node| node.0 >= u64::from(b'a'))
            .iter()
            .map(|cycle| {
                let names = cycle.functions.iter().map(|node| char::from(u8::try_from(node.0).unwrap()).to_string());
                names.collect::<Vec<_>>().join(" ")
            })
            .collect();
        found.sort();
        expect.assert_eq(&found.join("\n"));
    }

    #[test]
    fn a_graph_without_cycles_has_none() {
        check("a -> b -> c; a -> c", expect![""]);
    }

    #[test]
    fn a_function_that_writes_what_triggers_it_is_a_cycle_of_one() {
        check("u -> B -> t -> B", expect!["t"]);
        check("a -> a", expect!["a"]);
    }

    #[test]
    fn resources_are_left_out_of_identity() {
        check("a -> Q -> b -> a", expect!["a b"]);
        check("a -> b -> a", expect!["a b"]);
    }

    #[test]
    fn every_edge_of_a_component_is_on_a_reported_cycle() {
        check(
            "a -> b -> a; b -> c -> b; c -> a",
            expect![[r"
                a b
                a b c
                b c"]],
        );
    }

    #[test]
    fn a_long_cycle_does_not_overflow_the_stack() {
        let n = 15_000;
        let edges: Vec<_> = (0..n).map(|at| (NodeId(at), NodeId((at + 1) % n), 1)).collect();
        assert_eq!(cycles(&edges, |_| true)[0].functions.len(), 15_000);
    }
}
