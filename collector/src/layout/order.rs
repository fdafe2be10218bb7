//! The order of nodes inside each column: barycentre sweeps, of which the one with the fewest crossings is kept.

use std::collections::BTreeMap;

use super::topology::Topology;

/// Sweeps over all columns, half of them in each direction.
const SWEEPS: usize = 16;

/// Orders the nodes of each column so that few edges cross. O(m log m) for a sweep.
pub(super) fn order(topology: &Topology, columns: &mut Vec<Vec<usize>>) {
    let mut seats = Seats::new(topology, columns);
    let mut fewest = seats.crossings(topology);
    let mut sorted = columns.clone();
    for sweep in 0..SWEEPS {
        if fewest == 0 {
            break;
        }
        let to_the_right = sweep % 2 == 0;
        for step in 0..sorted.len() {
            let column = if to_the_right { step } else { sorted.len() - 1 - step };
            seats.sort(topology, &mut sorted[column], to_the_right);
        }
        let crossings = seats.crossings(topology);
        if crossings < fewest {
            fewest = crossings;
            columns.clone_from(&sorted);
        }
    }
}

/// Where each node sits now.
struct Seats {
    column: Vec<usize>,
    seat: Vec<usize>,
    /// Distance of the seat from the middle of its column.
    height: Vec<f64>,
}

impl Seats {
    fn new(topology: &Topology, columns: &[Vec<usize>]) -> Self {
        let n = topology.len();
        let mut seats = Self { column: vec![0; n], seat: vec![0; n], height: vec![0.0; n] };
        for (number, column) in columns.iter().enumerate() {
            for node in column {
                seats.column[*node] = number;
            }
            seats.assign(column);
        }
        seats
    }

    fn assign(&mut self, column: &[usize]) {
        let middle = (column.len() as f64 - 1.0) / 2.0;
        for (seat, node) in column.iter().enumerate() {
            self.seat[*node] = seat;
            self.height[*node] = seat as f64 - middle;
        }
    }

    /// Sorts a column by the barycentres of the neighbours on one side.
    fn sort(&mut self, topology: &Topology, column: &mut [usize], to_the_right: bool) {
        let mut keys: Vec<(f64, usize, usize)> = column
            .iter()
            .map(|node| {
                let height = self.barycentre(topology, *node, to_the_right).unwrap_or(self.height[*node]);
                (height, self.seat[*node], *node)
            })
            .collect();
        keys.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for (place, (_, _, node)) in column.iter_mut().zip(keys) {
            *place = node;
        }
        self.assign(column);
    }

    /// Mean height of the neighbours on one side; near ones count more.
    fn barycentre(&self, topology: &Topology, node: usize, to_the_right: bool) -> Option<f64> {
        let (mut sum, mut weight) = (0.0, 0.0);
        for (neighbour, _) in topology.neighbours(node) {
            let (here, there) = (self.column[node], self.column[neighbour]);
            if here != there && (there < here) == to_the_right {
                let nearness = 1.0 / here.abs_diff(there) as f64;
                sum += nearness * self.height[neighbour];
                weight += nearness;
            }
        }
        (weight > 0.0).then(|| sum / weight)
    }

    /// Crossings between edges that join the same two columns.
    fn crossings(&self, topology: &Topology) -> u64 {
        let mut bundles: BTreeMap<(usize, usize), Vec<(usize, usize)>> = BTreeMap::new();
        for (source, target, _) in &topology.edges {
            let (left, right) =
                if self.column[*source] <= self.column[*target] { (*source, *target) } else { (*target, *source) };
            if self.column[left] != self.column[right] {
                let bundle = bundles.entry((self.column[left], self.column[right])).or_default();
                bundle.push((self.seat[left], self.seat[right]));
            }
        }
        bundles.into_values().map(inversions).sum()
    }
}

/// Pairs of edges of which one starts above the other and ends below it. O(k log k) with a Fenwick tree.
fn inversions(mut edges: Vec<(usize, usize)>) -> u64 {
    edges.sort_unstable();
    let size = edges.iter().map(|(_, right)| right + 1).max().unwrap_or(0);
    let mut tree = vec![0_u64; size + 1];
    let mut count = 0;
    let mut start = 0;
    while start < edges.len() {
        let same = edges[start..].iter().take_while(|edge| edge.0 == edges[start].0).count();
        let group = &edges[start..start + same];
        for (_, right) in group {
            let mut at_or_above = 0;
            let mut at = right + 1;
            while at > 0 {
                at_or_above += tree[at];
                at &= at - 1;
            }
            count += start as u64 - at_or_above;
        }
        for (_, right) in group {
            let mut at = right + 1;
            while at <= size {
                tree[at] += 1;
                at += at & at.wrapping_neg();
            }
        }
        start += same;
    }
    count
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn inversions_are_counted_as_by_looking_at_all_pairs(edges in prop::collection::vec((0..9_usize, 0..9_usize), 0..40)) {
            let pairs = edges.iter().flat_map(|a| edges.iter().map(move |b| (a, b)));
            let slow = pairs.filter(|(a, b)| a.0 < b.0 && a.1 > b.1).count() as u64;
            prop_assert_eq!(inversions(edges), slow);
        }
    }
}
