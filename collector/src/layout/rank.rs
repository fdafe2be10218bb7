//! Ranks: how far to the right a node belongs, and which edges of a cycle are drawn against the direction of reading.
//!
//! Strongly connected components come from petgraph's iterative algorithm. Inside one, a greedy order starts at the
//! node with the most inflow from outside and goes against as little weight as it can (Eades, Lin and Smyth, "A fast
//! and effective heuristic for the feedback arc set problem", 1993). What is left is acyclic; a rank is the longest
//! path to a node over it.

use std::collections::BTreeSet;

use petgraph::{algo::kosaraju_scc, graph::DiGraph};

use super::topology::Topology;

/// Ranks of the nodes of a graph.
#[derive(Debug)]
pub(super) struct Ranks {
    /// Rank of each node, from 0.
    pub(super) of: Vec<usize>,
    cycle: Vec<usize>,
    turn: Vec<usize>,
}

impl Ranks {
    /// O((n + m) log n).
    pub(super) fn new(topology: &Topology) -> Self {
        let (cycle, turn) = cycles(topology);
        let mut ranks = Self { of: vec![0; topology.len()], cycle, turn };
        let order = ranks.forward_order(topology);
        for &node in &order {
            for &(target, _) in topology.callees(node) {
                if ranks.is_forward(node, target) {
                    ranks.of[target] = ranks.of[target].max(ranks.of[node] + 1);
                }
            }
        }
        // A node that nobody calls stands right before what it calls, not at the far left.
        for &node in order.iter().rev() {
            if topology.callers(node).iter().any(|(caller, _)| ranks.is_forward(*caller, node)) {
                continue;
            }
            let callees = topology.callees(node).iter().filter(|(callee, _)| ranks.is_forward(node, *callee));
            if let Some(nearest) = callees.map(|(callee, _)| ranks.of[*callee]).min() {
                ranks.of[node] = nearest.saturating_sub(1);
            }
        }
        ranks
    }

    /// True when an edge between the two goes from left to right.
    pub(super) fn is_forward(&self, source: usize, target: usize) -> bool {
        self.cycle[source] != self.cycle[target] || self.turn[source] < self.turn[target]
    }

    /// The nodes in an order that follows all forward edges.
    fn forward_order(&self, topology: &Topology) -> Vec<usize> {
        let mut waits: Vec<usize> = (0..topology.len())
            .map(|node| topology.callers(node).iter().filter(|(caller, _)| self.is_forward(*caller, node)).count())
            .collect();
        let mut order: Vec<usize> = (0..topology.len()).filter(|node| waits[*node] == 0).collect();
        let mut next = 0;
        while let Some(&node) = order.get(next) {
            next += 1;
            for &(target, _) in topology.callees(node) {
                if self.is_forward(node, target) {
                    waits[target] -= 1;
                    if waits[target] == 0 {
                        order.push(target);
                    }
                }
            }
        }
        order
    }
}

/// For each node, the number of its strongly connected component and its turn inside that.
fn cycles(topology: &Topology) -> (Vec<usize>, Vec<usize>) {
    let mut graph = DiGraph::<(), ()>::with_capacity(topology.len(), topology.edges.len());
    let nodes: Vec<_> = (0..topology.len()).map(|_| graph.add_node(())).collect();
    for (source, target, _) in &topology.edges {
        graph.add_edge(nodes[*source], nodes[*target], ());
    }
    let (mut cycle, mut turn) = (vec![0; topology.len()], vec![0; topology.len()]);
    let components = kosaraju_scc(&graph);
    for (number, component) in components.iter().enumerate() {
        for node in component {
            cycle[node.index()] = number;
        }
    }
    for component in &components {
        if component.len() > 1 {
            // The order inside a component is arbitrary.
            let mut members: Vec<usize> = component.iter().map(|node| node.index()).collect();
            members.sort_unstable();
            for (place, member) in cut(topology, &members, &cycle).into_iter().enumerate() {
                turn[member] = place;
            }
        }
    }
    (cycle, turn)
}

/// What the greedy order knows of a node that still waits.
#[derive(Clone, Copy, Default)]
struct Waiting {
    callers: usize,
    callees: usize,
    /// Outgoing weight minus incoming weight.
    surplus: i64,
}

/// Orders the members of a cycle so that little weight goes backwards.
fn cut(topology: &Topology, members: &[usize], cycle: &[usize]) -> Vec<usize> {
    let inside = |node: usize| cycle[node] == cycle[members[0]];
    let mut waiting: Vec<Waiting> = members.iter().map(|member| waiting(topology, *member, &inside)).collect();
    let mut queue: BTreeSet<_> = waiting.iter().zip(members).map(|(node, member)| key(*node, *member)).collect();
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let mut chosen = Some(entry(topology, members, &inside));
    while let Some(node) = chosen.take().or_else(|| queue.first().map(|(.., node)| *node)) {
        let at = |node: usize| members.binary_search(&node).ok();
        let Some(place) = at(node) else { break };
        let state = waiting[place];
        queue.remove(&key(state, node));
        if state.callees == 0 && state.callers > 0 {
            right.push(node)
        } else {
            left.push(node)
        }
        let called = topology.callees(node).iter().map(|(other, weight)| (*other, *weight, true));
        let calling = topology.callers(node).iter().map(|(other, weight)| (*other, *weight, false));
        for (other, weight, is_callee) in called.chain(calling) {
            let Some(place) = at(other).filter(|place| queue.contains(&key(waiting[*place], other))) else { continue };
            queue.remove(&key(waiting[place], other));
            let state = &mut waiting[place];
            if is_callee {
                state.callers -= 1;
                state.surplus += weight;
            } else {
                state.callees -= 1;
                state.surplus -= weight;
            }
            queue.insert(key(*state, other));
        }
    }
    left.extend(right.into_iter().rev());
    left
}

fn waiting(topology: &Topology, node: usize, inside: &impl Fn(usize) -> bool) -> Waiting {
    let mut state = Waiting::default();
    for (_, weight) in topology.callers(node).iter().filter(|(other, _)| inside(*other)) {
        state.callers += 1;
        state.surplus -= weight;
    }
    for (_, weight) in topology.callees(node).iter().filter(|(other, _)| inside(*other)) {
        state.callees += 1;
        state.surplus += weight;
    }
    state
}

/// Sources come first, then sinks, then whatever gives most to those that wait.
fn key(state: Waiting, node: usize) -> (u8, i64, usize) {
    let class = match state {
        Waiting { callers: 0, .. } => 0,
        Waiting { callees: 0, .. } => 1,
        _ => 2,
    };
    (class, -state.surplus, node)
}

/// Where a cycle is entered: at the node with the most inflow from outside, or else at the one that gives most.
fn entry(topology: &Topology, members: &[usize], inside: &impl Fn(usize) -> bool) -> usize {
    let inflow = |node: usize| -> i64 {
        let outside = topology.callers(node).iter().filter(|(caller, _)| !inside(*caller));
        outside.map(|(_, weight)| *weight).fold(0, i64::saturating_add)
    };
    let best = members
        .iter()
        .max_by_key(|node| (inflow(**node), waiting(topology, **node, inside).surplus, std::cmp::Reverse(**node)));
    best.copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use loopscope_analyzer::snapshot::NodeId;

    use super::*;

    #[track_caller]
    fn check(edges: &[(u64, u64, f64)], want: &[usize]) {
        let mut nodes: Vec<_> = edges.iter().flat_map(|(a, b, _)| [NodeId(*a), NodeId(*b)]).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let edges: Vec<_> = edges.iter().map(|(a, b, weight)| (NodeId(*a), NodeId(*b), *weight)).collect();
        assert_eq!(Ranks::new(&Topology::new(&nodes, &edges)).of, want);
    }

    #[test]
    fn the_longest_path_decides() {
        check(&[(0, 1, 1.0), (1, 2, 1.0), (0, 2, 1.0)], &[0, 1, 2]);
    }

    #[test]
    fn a_source_stands_before_what_it_calls() {
        check(&[(0, 1, 1.0), (1, 2, 1.0), (3, 2, 1.0)], &[0, 1, 2, 1]);
    }

    #[test]
    fn a_cycle_begins_where_it_is_entered() {
        check(&[(0, 2, 1.0), (2, 3, 1.0), (3, 1, 1.0), (1, 2, 1.0)], &[0, 3, 1, 2]);
    }

    #[test]
    fn the_lightest_edge_of_a_cycle_goes_back() {
        check(&[(0, 1, 9.0), (1, 2, 9.0), (2, 0, 1.0)], &[0, 1, 2]);
        check(&[(0, 1, 1.0), (1, 2, 9.0), (2, 0, 9.0)], &[2, 0, 1]);
    }
}
