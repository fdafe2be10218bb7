//! The layout of one connected group of nodes as a whole, when none of them has a place yet.
//!
//! Columns by rank, order by barycentre sweeps, rows by means of neighbours, and at last nodes step aside from lines
//! that pass through them.

use super::{canvas::Canvas, grid::Slot, order::order, rank::Ranks, topology::Topology};

/// Sweeps in which columns follow their neighbours.
const ROW_SWEEPS: usize = 12;
/// A column is split when it has more rows than this and than the square root of the nodes asks for.
const FULL_COLUMN: usize = 16;
/// Nodes that may step aside; in a thicket with more of them it would not help.
const STEPS_ASIDE: usize = 500;

/// A group with the slots of its nodes; the upper left corner of the group is at 0, 0.
#[derive(Debug)]
pub(super) struct Block {
    /// In the order of the group's indices.
    pub(super) slots: Vec<Slot>,
    pub(super) columns: i32,
    pub(super) rows: i32,
}

/// Lays out a connected graph. O((n + m) log n) for each of a fixed number of sweeps.
pub(super) fn arrange(topology: &Topology) -> Block {
    let ranks = Ranks::new(topology);
    let first = ranks.of.iter().min().copied().unwrap_or_default();
    let mut columns = Vec::new();
    for (node, rank) in ranks.of.iter().enumerate() {
        let column = rank - first;
        if columns.len() <= column {
            columns.resize(column + 1, Vec::new());
        }
        columns[column].push(node);
    }
    // The rank of a pulled source may leave a column empty.
    columns.retain(|column| !column.is_empty());
    order(topology, &mut columns);
    let columns = split(columns, topology.len());
    let mut canvas = Canvas::new(topology);
    for (node, slot) in rows(topology, &columns).into_iter().enumerate() {
        canvas.put(node, slot);
    }
    step_aside(&mut canvas);
    fit(canvas.slots.into_iter().flatten().collect())
}

/// Splits columns that are much too high into neighbouring ones.
fn split(columns: Vec<Vec<usize>>, nodes: usize) -> Vec<Vec<usize>> {
    let full = FULL_COLUMN.max(((nodes as f64).sqrt() * 1.5) as usize);
    columns
        .into_iter()
        .flat_map(|column| {
            let parts = column.len().div_ceil(full).max(1);
            (0..parts).map(move |part| column.iter().copied().skip(part).step_by(parts).collect::<Vec<_>>())
        })
        .collect()
}

/// Gives each node a row near those of its neighbours without changing the order in a column.
fn rows(topology: &Topology, columns: &[Vec<usize>]) -> Vec<Slot> {
    let mut slots = vec![Slot { column: 0, row: 0 }; topology.len()];
    for (number, column) in (0..).zip(columns) {
        let middle = (column.len() as i32 - 1) / 2;
        for (row, node) in (0..).zip(column) {
            slots[*node] = Slot { column: number, row: row - middle };
        }
    }
    for sweep in 0..ROW_SWEEPS {
        let last = sweep + 2 >= ROW_SWEEPS;
        for step in 0..columns.len() {
            let column = if sweep % 2 == 0 { &columns[step] } else { &columns[columns.len() - 1 - step] };
            let wishes: Vec<f64> = column
                .iter()
                .map(|node| {
                    let here = slots[*node].column;
                    let wanted = |there: i32| there != here && (last || (there < here) == (sweep % 2 == 0));
                    mean_row(topology, &slots, *node, wanted).unwrap_or_else(|| f64::from(slots[*node].row))
                })
                .collect();
            for (node, row) in column.iter().zip(spread(&wishes)) {
                slots[*node].row = row;
            }
        }
    }
    slots
}

fn mean_row(topology: &Topology, slots: &[Slot], node: usize, wanted: impl Fn(i32) -> bool) -> Option<f64> {
    let (mut sum, mut weight) = (0.0, 0.0);
    for (neighbour, _) in topology.neighbours(node) {
        let slot = slots[neighbour];
        if wanted(slot.column) {
            let nearness = 1.0 / f64::from(slots[node].column.abs_diff(slot.column));
            sum += nearness * f64::from(slot.row);
            weight += nearness;
        }
    }
    (weight > 0.0).then(|| sum / weight)
}

/// Rows in the order of the wishes, each its own, with the smallest sum of squared distances to the wishes before
/// rounding: isotonic regression by pooling adjacent violators. O(k).
fn spread(wishes: &[f64]) -> Vec<i32> {
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for (place, wish) in wishes.iter().enumerate() {
        let mut pool = (wish - place as f64, 1);
        while let Some(above) = pools.last().copied() {
            if above.0 / above.1 as f64 <= pool.0 / pool.1 as f64 {
                break;
            }
            pools.pop();
            pool = (above.0 + pool.0, above.1 + pool.1);
        }
        pools.push(pool);
    }
    let rows =
        pools.into_iter().flat_map(|(sum, count)| std::iter::repeat_n((sum / count as f64).round() as i32, count));
    (0..).zip(rows).map(|(place, row)| row + place).collect()
}

/// Moves nodes that stand on the line between two others to a free slot of their column, if that is better.
fn step_aside(canvas: &mut Canvas<'_>) {
    let mut crossed: Vec<Slot> = Vec::new();
    for (source, target, _) in &canvas.topology.edges {
        if let (Some(from), Some(to)) = (canvas.slots[*source], canvas.slots[*target]) {
            crossed.extend(canvas.nodes_on_line(from, to));
        }
    }
    crossed.sort_unstable();
    crossed.dedup();
    let mut standing: Vec<(Slot, usize)> =
        canvas.slots.iter().enumerate().filter_map(|(node, slot)| Some(((*slot)?, node))).collect();
    standing.sort_unstable();
    for slot in crossed.into_iter().take(STEPS_ASIDE) {
        if let Ok(at) = standing.binary_search_by_key(&slot, |(slot, _)| *slot) {
            let node = standing[at].1;
            canvas.lift(node);
            let better = canvas.best_slot(node, slot.column, f64::from(slot.row), 1);
            canvas.put(node, better);
        }
    }
}

fn fit(mut slots: Vec<Slot>) -> Block {
    let left = slots.iter().map(|slot| slot.column).min().unwrap_or_default();
    let top = slots.iter().map(|slot| slot.row).min().unwrap_or_default();
    slots.iter_mut().for_each(|slot| *slot = slot.moved(-left, -top));
    let columns = slots.iter().map(|slot| slot.column + 1).max().unwrap_or_default();
    let rows = slots.iter().map(|slot| slot.row + 1).max().unwrap_or_default();
    Block { slots, columns, rows }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_keep_their_order_and_are_never_shared(mut wishes in prop::collection::vec(-50.0..50.0, 0..30)) {
            wishes.sort_unstable_by(f64::total_cmp);
            let rows = spread(&wishes);
            prop_assert!(rows.is_sorted_by(|a, b| a < b));
            prop_assert_eq!(rows.len(), wishes.len());
        }
    }

    #[test]
    fn two_wishes_for_one_row_share_the_way() {
        assert_eq!(spread(&[4.0, 4.0, 9.0]), [4, 5, 9]);
        assert_eq!(spread(&[0.0, 0.0, 0.0]), [-1, 0, 1]);
    }
}
