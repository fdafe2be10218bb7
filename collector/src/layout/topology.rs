//! The graph as the layout sees it: dense indices in the order of ids, so that no order of the input can matter.

use loopscope_analyzer::snapshot::NodeId;

/// Weights are whole numbers inside the layout, because sums of floats depend on their order.
const WEIGHT_STEPS: f64 = 1_000.0;
/// No edge weighs more than this, so that sums over a graph cannot overflow.
const HEAVIEST: f64 = 1e12;

/// A directed graph without self-loops and parallel edges.
#[derive(Debug)]
pub(super) struct Topology {
    /// Ids in ascending order; an index is a place in this list.
    pub(super) ids: Vec<NodeId>,
    /// Source, target and weight, ascending.
    pub(super) edges: Vec<(usize, usize, i64)>,
    callers: Vec<Vec<(usize, i64)>>,
    callees: Vec<Vec<(usize, i64)>>,
}

impl Topology {
    /// Edges of a node with itself and edges to nodes that are not listed are left out.
    pub(super) fn new(nodes: &[NodeId], edges: &[(NodeId, NodeId, f64)]) -> Self {
        let mut ids = nodes.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let index = |id: &NodeId| ids.binary_search(id).ok();
        let edges = edges
            .iter()
            .filter_map(|(source, target, weight)| Some((index(source)?, index(target)?, whole(*weight))))
            .collect();
        Self::of_indices(ids, edges)
    }

    fn of_indices(ids: Vec<NodeId>, mut edges: Vec<(usize, usize, i64)>) -> Self {
        edges.retain(|(source, target, _)| source != target);
        edges.sort_unstable();
        edges.dedup_by(|next, kept| {
            let same = (next.0, next.1) == (kept.0, kept.1);
            if same {
                kept.2 = kept.2.saturating_add(next.2);
            }
            same
        });
        let (mut callers, mut callees) = (vec![Vec::new(); ids.len()], vec![Vec::new(); ids.len()]);
        for (source, target, weight) in &edges {
            callees[*source].push((*target, *weight));
            callers[*target].push((*source, *weight));
        }
        Self { ids, edges, callers, callees }
    }

    /// The part of the graph between the given nodes, which must be ascending.
    pub(super) fn part(&self, members: &[usize]) -> Self {
        let edges = members
            .iter()
            .enumerate()
            .flat_map(|(source, member)| {
                self.callees[*member]
                    .iter()
                    .filter_map(move |(target, weight)| Some((source, members.binary_search(target).ok()?, *weight)))
            })
            .collect();
        Self::of_indices(members.iter().map(|member| self.ids[*member]).collect(), edges)
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn callers(&self, node: usize) -> &[(usize, i64)] {
        &self.callers[node]
    }

    pub(super) fn callees(&self, node: usize) -> &[(usize, i64)] {
        &self.callees[node]
    }

    /// Callers, then callees; a node that is both comes twice.
    pub(super) fn neighbours(&self, node: usize) -> impl Iterator<Item = (usize, i64)> + '_ {
        self.callers[node].iter().chain(&self.callees[node]).copied()
    }

    pub(super) fn degree(&self, node: usize) -> usize {
        self.callers[node].len() + self.callees[node].len()
    }

    /// The nodes that are wanted, in groups that hang together whatever the direction of the edges; ascending inside
    /// a group, the groups by their first node.
    pub(super) fn groups(&self, wanted: &[bool]) -> Vec<Vec<usize>> {
        let mut seen = vec![false; self.len()];
        let mut groups = Vec::new();
        for start in 0..self.len() {
            if seen[start] || !wanted[start] {
                continue;
            }
            seen[start] = true;
            let mut group = vec![start];
            let mut next = 0;
            while let Some(&node) = group.get(next) {
                next += 1;
                for (neighbour, _) in self.neighbours(node) {
                    if wanted[neighbour] && !seen[neighbour] {
                        seen[neighbour] = true;
                        group.push(neighbour);
                    }
                }
            }
            group.sort_unstable();
            groups.push(group);
        }
        groups
    }
}

fn whole(weight: f64) -> i64 {
    // NaN becomes zero in the cast. The one makes an edge without traffic still an edge.
    (weight.clamp(0.0, HEAVIEST) * WEIGHT_STEPS) as i64 + 1
}
