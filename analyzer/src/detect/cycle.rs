//! Cycles in the graph: functions that can cause their own runs, whether or not any chain has gone round.
//!
//! A cycle is information, no alarm: a bucket with a prefix filter is a cycle that nothing goes round. Edges that only
//! read cause nothing and close no cycle.

use std::collections::{BTreeMap, VecDeque};

use petgraph::{
    algo::kosaraju_scc,
    graph::{DiGraph, NodeIndex},
    visit::EdgeRef as _,
};
use rustc_hash::FxHashSet;

use crate::{
    canonical::canonical,
    snapshot::{LoopId, NodeId},
    state::state,
};

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

/// Shortest cycles through the heaviest edges of each strongly connected component, ordered by id.
///
/// Within a component the heaviest edge that no cycle covers yet is closed by the shortest way back, until all edges
/// are covered or there are 16 cycles: enough to show, where listing all elementary cycles would be exponential.
/// Cost: one pass for the components (iterative, because graphs from traces can be deep), and one breadth-first search
/// of a bounded number of edges for each edge that is tried.
///
/// `edges` are the causal edges with their calls in the order of their nodes; `is_function` tells functions from
/// resources.
pub(crate) fn cycles(edges: &[(NodeId, NodeId, u64)], is_function: impl Fn(NodeId) -> bool) -> Vec<Cycle> {
    // Nodes are numbered in the order of their ids, so that no answer depends on the order of insertion.
    let mut nodes: Vec<NodeId> = edges.iter().flat_map(|(source, target, _)| [*source, *target]).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let index = |node: NodeId| NodeIndex::new(nodes.binary_search(&node).unwrap_or_default());
    let mut graph = DiGraph::<(), u64>::with_capacity(nodes.len(), edges.len());
    for _ in &nodes {
        graph.add_node(());
    }
    // The graph gives the edges of a node back in the opposite order.
    for (source, target, calls) in edges.iter().rev() {
        graph.add_edge(index(*source), index(*target), *calls);
    }
    let components = kosaraju_scc(&graph);
    let mut search = Search::new(&graph, &components);
    let mut found: BTreeMap<LoopId, Cycle> = BTreeMap::new();
    for component in &components {
        for path in search.cycles(component) {
            let functions: Vec<NodeId> =
                path.into_iter().map(|index| nodes[index.index()]).filter(|node| is_function(*node)).collect();
            if !functions.is_empty() {
                let (id, functions) = canonical(&functions);
                found.entry(id).or_insert(Cycle { id, functions });
            }
        }
    }
    found.into_values().collect()
}

/// Searches within the components of a graph.
struct Search<'a> {
    graph: &'a DiGraph<(), u64>,
    /// Number of the component of each node.
    component: Vec<usize>,
    /// The number of the search that came to a node last, and from where.
    came_from: Vec<(u32, NodeIndex)>,
    number: u32,
}

impl<'a> Search<'a> {
    fn new(graph: &'a DiGraph<(), u64>, components: &[Vec<NodeIndex>]) -> Self {
        let mut component = vec![0; graph.node_count()];
        for (number, members) in components.iter().enumerate() {
            members.iter().for_each(|node| component[node.index()] = number);
        }
        Self { graph, component, came_from: vec![(0, NodeIndex::new(0)); graph.node_count()], number: 0 }
    }

    fn cycles(&mut self, members: &[NodeIndex]) -> Vec<Vec<NodeIndex>> {
        let graph = self.graph;
        let mut edges: Vec<(std::cmp::Reverse<u64>, NodeIndex, NodeIndex)> = members
            .iter()
            .flat_map(|source| graph.edges(*source))
            .filter(|edge| self.component[edge.source().index()] == self.component[edge.target().index()])
            .map(|edge| (std::cmp::Reverse(*edge.weight()), edge.source(), edge.target()))
            .collect();
        edges.sort_unstable();
        let mut cycles = Vec::new();
        let mut covered = FxHashSet::default();
        let mut looked_at = 0;
        for (_, source, target) in edges {
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

    /// The nodes from `from` to `to`, both included; `None` when the way is too long to be found.
    fn shortest_path(&mut self, from: NodeIndex, to: NodeIndex, looked_at: &mut usize) -> Option<Vec<NodeIndex>> {
        self.number += 1;
        self.came_from[from.index()] = (self.number, from);
        let mut queue = VecDeque::from([from]);
        let last = *looked_at + LOOKED_AT;
        while let Some(node) = queue.pop_front() {
            if node == to {
                let mut path = vec![to];
                while path.last() != Some(&from) {
                    path.push(self.came_from[path.last()?.index()].1);
                }
                path.reverse();
                return Some(path);
            }
            for next in self.graph.neighbors(node) {
                *looked_at += 1;
                let is_near = self.component[next.index()] == self.component[node.index()];
                if is_near && self.came_from[next.index()].0 != self.number {
                    self.came_from[next.index()] = (self.number, node);
                    queue.push_back(next);
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
