//! Cycles in the graph: functions that can cause their own runs, whether or not any chain has gone round.
//!
//! A cycle is information, no alarm: a bucket with a prefix filter is a cycle that nothing goes round. Edges that only
//! read cause nothing and close no cycle.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use petgraph::{algo::kosaraju_scc, graph::DiGraph, graph::NodeIndex};

use crate::state::state;
use crate::{
    canonical::canonical,
    snapshot::{LoopId, NodeId},
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

/// Shortest cycles through the heaviest edges of each strongly connected component, ordered by id.
///
/// Within a component the heaviest edge that no cycle covers yet is closed by the shortest way back, until all edges
/// are covered or there are 16 cycles: enough to show, where listing all elementary cycles would be exponential.
/// Cost: one pass for the components (iterative, because graphs from traces can be deep), and one breadth-first search
/// per cycle.
///
/// `edges` are the causal edges with their calls; `is_function` tells functions from resources.
pub(crate) fn cycles(edges: &BTreeMap<(NodeId, NodeId), u64>, is_function: impl Fn(NodeId) -> bool) -> Vec<Cycle> {
    let mut graph = DiGraph::<NodeId, u64>::new();
    let mut indexes = BTreeMap::new();
    for ((source, target), calls) in edges {
        let [source, target] =
            [source, target].map(|node| *indexes.entry(*node).or_insert_with(|| graph.add_node(*node)));
        graph.add_edge(source, target, *calls);
    }
    let mut found: BTreeMap<LoopId, Cycle> = BTreeMap::new();
    for component in kosaraju_scc(&graph) {
        for path in component_cycles(&graph, &component) {
            let functions: Vec<NodeId> =
                path.into_iter().map(|index| graph[index]).filter(|node| is_function(*node)).collect();
            if !functions.is_empty() {
                let (id, functions) = canonical(&functions);
                found.entry(id).or_insert(Cycle { id, functions });
            }
        }
    }
    found.into_values().collect()
}

fn component_cycles(graph: &DiGraph<NodeId, u64>, component: &[NodeIndex]) -> Vec<Vec<NodeIndex>> {
    let members: BTreeSet<NodeIndex> = component.iter().copied().collect();
    let mut edges: Vec<(u64, NodeIndex, NodeIndex)> = members
        .iter()
        .flat_map(|source| graph.edges(*source))
        .filter_map(|edge| {
            use petgraph::visit::EdgeRef;
            members.contains(&edge.target()).then_some((*edge.weight(), edge.source(), edge.target()))
        })
        .collect();
    // The heaviest first; ids break ties, so that the answer does not depend on the order of insertion.
    edges.sort_by_key(|(calls, source, target)| (std::cmp::Reverse(*calls), graph[*source], graph[*target]));

    let mut cycles = Vec::new();
    let mut covered = BTreeSet::new();
    for (_, source, target) in edges {
        if cycles.len() == PER_COMPONENT {
            break;
        }
        if covered.contains(&(source, target)) {
            continue;
        }
        if let Some(back) = shortest_path(graph, &members, target, source) {
            covered.extend(back.iter().copied().zip(back.iter().copied().skip(1)));
            covered.insert((source, target));
            cycles.push(back);
        }
    }
    cycles
}

/// The nodes from `from` to `to`, both included.
fn shortest_path(
    graph: &DiGraph<NodeId, u64>,
    members: &BTreeSet<NodeIndex>,
    from: NodeIndex,
    to: NodeIndex,
) -> Option<Vec<NodeIndex>> {
    let mut came_from = BTreeMap::from([(from, from)]);
    let mut queue = VecDeque::from([from]);
    while let Some(node) = queue.pop_front() {
        if node == to {
            let mut path = vec![to];
            let mut at = to;
            while at != from {
                at = *came_from.get(&at)?;
                path.push(at);
            }
            path.reverse();
            return Some(path);
        }
        let mut next: Vec<NodeIndex> = graph.neighbors(node).filter(|next| members.contains(next)).collect();
        next.sort_by_key(|index| graph[*index]);
        for next in next {
            came_from.entry(next).or_insert_with(|| {
                queue.push_back(next);
                node
            });
        }
    }
    None
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
        let mut graph = BTreeMap::new();
        for path in edges.split(';') {
            let nodes: Vec<NodeId> = path.split("->").map(|name| node(name.trim())).collect();
            for pair in nodes.windows(2) {
                *graph.entry((pair[0], pair[1])).or_insert(0) += 1;
            }
        }
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
        let n = 50_000;
        let edges = (0..n).map(|at| ((NodeId(at), NodeId((at + 1) % n)), 1)).collect();
        assert_eq!(cycles(&edges, |_| true)[0].functions.len(), 50_000);
    }
}
