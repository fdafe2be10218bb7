//! Puts new nodes on a map whose other nodes must not move.
//!
//! Nodes that hang on placed ones go next to them, one after the other; groups that hang on nothing are laid out as a
//! whole and go below everything else.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashSet},
};

use super::{
    block::{Block, arrange},
    canvas::Canvas,
    grid::Slot,
    rank::Ranks,
};

/// Nodes without any edge that stand side by side in one row.
const LONE_NODES_PER_ROW: usize = 8;
/// How many times wider than high a shelf of blocks may get, in slots: a slot is twice as wide as high.
const SHELF_SHAPE: f64 = 0.9;

/// Puts all nodes that have no slot yet on the canvas.
pub(super) fn insert(canvas: &mut Canvas<'_>) {
    attach(canvas);
    let unplaced: Vec<bool> = canvas.slots.iter().map(Option::is_none).collect();
    let (lone, groups): (Vec<_>, Vec<_>) =
        canvas.topology.groups(&unplaced).into_iter().partition(|group| group.len() == 1);
    stack(canvas, groups);
    line_up(canvas, lone.into_iter().flatten());
}

/// Puts nodes next to placed neighbours, from the lowest rank on, until no unplaced node has a placed neighbour.
fn attach(canvas: &mut Canvas<'_>) {
    let topology = canvas.topology;
    let has_placed_neighbour =
        |canvas: &Canvas<'_>, node: usize| topology.neighbours(node).any(|(other, _)| canvas.slots[other].is_some());
    let ready: Vec<usize> = (0..topology.len())
        .filter(|node| canvas.slots[*node].is_none() && has_placed_neighbour(canvas, *node))
        .collect();
    if ready.is_empty() {
        return;
    }
    let ranks = Ranks::new(topology);
    // Inside a rank, nodes whose neighbours are higher on the screen come first, and so cross less.
    let urgency =
        |canvas: &Canvas<'_>, node: usize| Reverse((ranks.of[node], (barycentre(canvas, node) * 8.0) as i64, node));
    let mut queue: BinaryHeap<_> = ready.into_iter().map(|node| urgency(canvas, node)).collect();
    let mut queued: HashSet<usize> = queue.iter().map(|Reverse((.., node))| *node).collect();
    while let Some(Reverse((.., node))) = queue.pop() {
        let (column, aside) = column(canvas, &ranks, node);
        let slot = canvas.best_slot(node, column, barycentre(canvas, node), aside);
        canvas.put(node, slot);
        for (neighbour, _) in topology.neighbours(node) {
            if canvas.slots[neighbour].is_none() && queued.insert(neighbour) {
                queue.push(urgency(canvas, neighbour));
            }
        }
    }
}

/// Mean row of the placed neighbours.
fn barycentre(canvas: &Canvas<'_>, node: usize) -> f64 {
    let rows = canvas.topology.neighbours(node).filter_map(|(other, _)| canvas.slots[other]);
    let (sum, count) = rows.fold((0.0, 0.0), |(sum, count), slot| (sum + f64::from(slot.row), count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}

/// The column right of the placed callers, or else left of the placed callees; edges that go back in a cycle have a
/// say only when there is no other. With it comes the direction away from them.
fn column(canvas: &Canvas<'_>, ranks: &Ranks, node: usize) -> (i32, i32) {
    let topology = canvas.topology;
    let at = |other: usize| canvas.slots[other].map(|slot| slot.column);
    let callers = |forward_only: bool| {
        let callers = topology.callers(node).iter().map(|(caller, _)| *caller);
        let wanted = callers.filter(|caller| !forward_only || ranks.is_forward(*caller, node));
        wanted.filter_map(at).max().map(|column| (column + 1, 1))
    };
    let callees = |forward_only: bool| {
        let callees = topology.callees(node).iter().map(|(callee, _)| *callee);
        let wanted = callees.filter(|callee| !forward_only || ranks.is_forward(node, *callee));
        wanted.filter_map(at).min().map(|column| (column - 1, -1))
    };
    let column = callers(true).or_else(|| callees(true)).or_else(|| callers(false)).or_else(|| callees(false));
    column.unwrap_or((0, 1))
}

/// Lays out groups as blocks and packs them below the rest, the largest first.
fn stack(canvas: &mut Canvas<'_>, groups: Vec<Vec<usize>>) {
    let mut blocks: Vec<(Vec<usize>, Block)> = groups
        .into_iter()
        .map(|group| {
            let block = arrange(&canvas.topology.part(&group));
            (group, block)
        })
        .collect();
    blocks.sort_by_key(|(group, _)| (Reverse(group.len()), group.first().copied()));
    let area: f64 = blocks.iter().map(|(_, block)| f64::from(block.columns + 1) * f64::from(block.rows + 1)).sum();
    let widest = blocks.iter().map(|(_, block)| block.columns).max().unwrap_or_default();
    let shelf = widest.max((area * SHELF_SHAPE).sqrt() as i32);
    let (mut column, mut top, mut height) = (0, below(canvas), 0);
    for (group, block) in blocks {
        if column > 0 && column + block.columns > shelf {
            (column, top, height) = (0, top + height + 1, 0);
        }
        for (node, slot) in group.iter().zip(&block.slots) {
            canvas.put(*node, slot.moved(column, top));
        }
        column += block.columns + 1;
        height = height.max(block.rows);
    }
}

/// Puts nodes without edges side by side in the last row, or in a new one when the last row has other nodes.
fn line_up(canvas: &mut Canvas<'_>, lone: impl Iterator<Item = usize>) {
    let mut row = canvas.grid.last_row().unwrap_or_default();
    let in_last_row = |slot: &Option<Slot>| slot.is_some_and(|slot| slot.row == row);
    let neighbours_by_row = canvas.slots.iter().enumerate().filter(|(_, slot)| in_last_row(slot));
    let is_for_lone_nodes = neighbours_by_row.clone().all(|(node, _)| canvas.topology.degree(node) == 0);
    let mut next = neighbours_by_row.filter_map(|(_, slot)| *slot).map(|slot| slot.column + 1).max().unwrap_or(0);
    if !is_for_lone_nodes {
        (row, next) = (below(canvas), 0);
    }
    for node in lone {
        let mut slot = Slot { column: next, row };
        while !canvas.grid.is_free(slot) || slot.column >= LONE_NODES_PER_ROW as i32 {
            slot = if slot.column + 1 < LONE_NODES_PER_ROW as i32 {
                slot.moved(1, 0)
            } else {
                Slot { column: 0, row: slot.row + 1 }
            };
        }
        canvas.put(node, slot);
        (row, next) = (slot.row, slot.column + 1);
    }
}

/// The first row below everything, with an empty row between.
fn below(canvas: &Canvas<'_>) -> i32 {
    canvas.grid.last_row().map_or(0, |row| row + 2)
}
