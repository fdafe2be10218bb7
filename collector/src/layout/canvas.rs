//! The map while nodes are put on it: finds the free slot that suits a node best.

use super::{
    grid::{Grid, Slot, row_at},
    topology::Topology,
};

/// Rows above and below the wish that are weighed against each other; farther away the nearest free slot is taken.
const REACH: i32 = 6;
/// A column that has no free slot within so many rows of the wish counts as full there.
const FARTHEST_ROW: i32 = 12;
/// Part of a row that a line must keep from the centre of a node.
const CLEARANCE: f64 = 0.32;
/// Rows that a node may stray from its wish for each line through a node that this avoids.
const LINE_COST: f64 = 2.5;
/// No crowd of lines counts for more rows than this.
const LINES_COST_MOST: f64 = 5.5;
/// Columns of a line that are looked at for nodes on it.
const LONGEST_LOOK: i32 = 64;

/// Nodes of a graph on the grid.
#[derive(Debug)]
pub(super) struct Canvas<'a> {
    pub(super) topology: &'a Topology,
    pub(super) slots: Vec<Option<Slot>>,
    pub(super) grid: Grid,
}

impl<'a> Canvas<'a> {
    pub(super) fn new(topology: &'a Topology) -> Self {
        Self { topology, slots: vec![None; topology.len()], grid: Grid::default() }
    }

    pub(super) fn put(&mut self, node: usize, slot: Slot) {
        self.lift(node);
        self.slots[node] = Some(slot);
        self.grid.take(slot);
    }

    pub(super) fn lift(&mut self, node: usize) {
        if let Some(slot) = self.slots[node].take() {
            self.grid.release(slot);
        }
    }

    /// The best free slot of a column for a node that is not on the grid, or of a column beyond it in the direction of
    /// `aside` (1 or -1) when the column is full. O(m).
    ///
    /// The nearest to the wish, unless a line between two nodes would pass through a third one there.
    pub(super) fn best_slot(&self, node: usize, column: i32, wish: f64, aside: i32) -> Slot {
        let middle = wish.round() as i32;
        let rows: Vec<i32> = (middle - REACH..=middle + REACH).collect();
        let mut lines = vec![0.0; rows.len()];
        self.add_foreign_lines(node, column, &rows, &mut lines);
        let mut best: Option<(f64, Slot)> = None;
        for (row, foreign) in rows.into_iter().zip(lines) {
            let slot = Slot { column, row };
            if !self.grid.is_free(slot) {
                continue;
            }
            let lines = foreign + self.own_lines(node, slot);
            let cost = (f64::from(row) - wish).abs() + (lines * LINE_COST).min(LINES_COST_MOST);
            // Of two equal slots the lower one on the screen is taken: maps grow downwards.
            if best.is_none_or(|(least, _)| cost <= least) {
                best = Some((cost, slot));
            }
        }
        best.map_or_else(|| self.nearest_free(Slot { column, row: middle }, aside), |(_, slot)| slot)
    }

    fn nearest_free(&self, wish: Slot, aside: i32) -> Slot {
        let mut start = wish;
        loop {
            let rows = (0..=FARTHEST_ROW).flat_map(|distance| [start.moved(0, distance), start.moved(0, -distance)]);
            if let Some(slot) = rows.into_iter().find(|slot| self.grid.is_free(*slot)) {
                return slot;
            }
            start = start.moved(aside, 0);
        }
    }

    /// Counts for each row the lines between other nodes that would pass through a node there.
    fn add_foreign_lines(&self, node: usize, column: i32, rows: &[i32], lines: &mut [f64]) {
        for (source, target, _) in &self.topology.edges {
            if *source == node || *target == node {
                continue;
            }
            let (Some(from), Some(to)) = (self.slots[*source], self.slots[*target]) else { continue };
            if from.column == column && to.column == column {
                let between = from.row.min(to.row) + 1..from.row.max(to.row);
                rows.iter().zip(&mut *lines).filter(|(row, _)| between.contains(row)).for_each(|(_, n)| *n += 1.0);
            } else if let Some(at) = row_at(from, to, column) {
                let close = |row: &i32| (f64::from(*row) - at).abs() < CLEARANCE;
                rows.iter().zip(&mut *lines).filter(|(row, _)| close(row)).for_each(|(_, n)| *n += 1.0);
            }
        }
    }

    /// The node's own lines that would pass through another node.
    fn own_lines(&self, node: usize, slot: Slot) -> f64 {
        let placed = self.topology.neighbours(node).filter_map(|(neighbour, _)| self.slots[neighbour]);
        placed.filter(|other| self.meets_a_node(slot, *other)).count() as f64
    }

    /// True when the straight line between two slots passes through a node that stands between them.
    pub(super) fn meets_a_node(&self, from: Slot, to: Slot) -> bool {
        self.nodes_on_line(from, to).next().is_some()
    }

    /// Taken slots that the straight line between two slots passes through.
    pub(super) fn nodes_on_line(&self, from: Slot, to: Slot) -> impl Iterator<Item = Slot> + '_ {
        let (first, last) = (from.column.min(to.column), from.column.max(to.column));
        let upright = (first == last).then(|| from.row.min(to.row) + 1..from.row.max(to.row));
        let column = first;
        let upright = upright.into_iter().flatten().map(move |row| Slot { column, row });
        let slanted = (first + 1..last).filter_map(move |column| {
            let at = row_at(from, to, column)?;
            let row = at.round();
            ((at - row).abs() < CLEARANCE).then_some(Slot { column, row: row as i32 })
        });
        upright
            .take(LONGEST_LOOK as usize)
            .chain(slanted.take(LONGEST_LOOK as usize))
            .filter(|slot| !self.grid.is_free(*slot))
    }
}
