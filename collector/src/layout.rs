//! The places of nodes on the map: an incremental layout of a live, cyclic, directed graph.
//!
//! The rules, in the order of their weight:
//! 1. A node that has settled never moves. A node settles a fixed time after it was first seen.
//! 2. No two nodes share a slot of the grid, and a node keeps out of the lines between others where a slot nearby
//!    allows it.
//! 3. Callers stand left of what they call; in a cycle, as little traffic as possible goes back to the left.
//! 4. A node stands as near as it can to the mean row of its neighbours.
//!
//! A node is often seen a moment before the edge that links it. It gets a place at once, so that it shows, and may be
//! placed again while it is young, together with the young nodes that hang on it, when an edge or a neighbour comes.
//!
//! This module is pure: it reads no clock, does no IO, and the order of its input does not matter. `layout/rank.rs`
//! has the ranks, `layout/block.rs` the layout of a group as a whole, `layout/insert.rs` the insertion into a map.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use loopscope_analyzer::snapshot::NodeId;

pub use self::grid::{COLUMN_WIDTH, ROW_HEIGHT};
use self::{
    canvas::Canvas,
    grid::{Grid, Slot},
    topology::Topology,
};

mod block;
mod canvas;
mod grid;
mod insert;
mod order;
mod rank;
mod topology;

/// How long a node counts as young when nothing else is said.
pub const YOUNG_FOR: Duration = Duration::from_secs(2);

/// Bound on the places that are kept. Nodes that are gone keep theirs, to find it again when they come back; when
/// there are more places than this, those that are gone for longest are forgotten.
pub const PLACES_KEPT: usize = 50_000;

/// The places of all nodes.
#[derive(Clone, Debug)]
pub struct Layout {
    young_for: Duration,
    places: BTreeMap<NodeId, (f64, f64)>,
    grid: Grid,
    young: BTreeMap<NodeId, Young>,
    gone: BTreeMap<NodeId, Duration>,
    forgotten: u64,
}

/// A node that has not settled.
#[derive(Clone, Copy, Debug)]
struct Young {
    first_seen: Duration,
    /// Edges it had when it was placed.
    degree: usize,
}

impl Layout {
    /// Starts with stored places, whose nodes count as settled; places that are not finite or far off the map are
    /// ignored.
    pub fn new(places: BTreeMap<NodeId, (f64, f64)>, young_for: Duration) -> Self {
        let mut grid = Grid::default();
        let places: BTreeMap<_, _> = places
            .into_iter()
            .filter(|(_, place)| Slot::nearest(*place).map(|slot| grid.take(slot)).is_some())
            .collect();
        let gone = places.keys().map(|id| (*id, Duration::ZERO)).collect();
        Self { young_for, places, grid, young: BTreeMap::new(), gone, forgotten: 0 }
    }

    /// Gives a place to every node that has none, and returns the nodes whose place is new or has changed, by id.
    ///
    /// `now` is the time since some fixed moment and must not go back. `nodes` and `edges` are all that there are now,
    /// in any order; the weight of an edge says how much traffic it has, and only tells which edges of a cycle are
    /// drawn backwards. Edges to nodes that are not listed are ignored. O((n + m) log n) for a first batch; O(m) for
    /// each node that comes later, and O(n log n) when nothing is new.
    pub fn update(&mut self, now: Duration, nodes: &[NodeId], edges: &[(NodeId, NodeId, f64)]) -> Vec<NodeId> {
        self.young.retain(|_, young| now.saturating_sub(young.first_seen) < self.young_for);
        if self.young.is_empty() && nodes.iter().all(|id| self.places.contains_key(id)) {
            self.note_gone(now, nodes);
            return Vec::new();
        }
        let topology = Topology::new(nodes, edges);
        let moving = self.moving(&topology);
        let changed = if moving.iter().any(|moves| *moves) { self.place_all(&topology, &moving) } else { Vec::new() };
        for (node, id) in topology.ids.iter().enumerate() {
            if moving[node] {
                let degree = topology.degree(node);
                self.young.entry(*id).or_insert(Young { first_seen: now, degree }).degree = degree;
            }
        }
        self.note_gone(now, &topology.ids);
        changed
    }

    /// The place of the centre of a node in map units, right and down.
    pub fn place(&self, id: NodeId) -> Option<(f64, f64)> {
        self.places.get(&id).copied()
    }

    /// All places, those of nodes that are gone included.
    pub fn places(&self) -> &BTreeMap<NodeId, (f64, f64)> {
        &self.places
    }

    /// Places of nodes that were gone and forgotten, because there were more than [`PLACES_KEPT`].
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Which nodes get a place now: the new ones, and the young ones that hang on news.
    ///
    /// As long as nothing has settled, any news moves all: a map at its beginning is laid out as a whole.
    fn moving(&self, topology: &Topology) -> Vec<bool> {
        let is_new = |node: usize| !self.places.contains_key(&topology.ids[node]);
        let young = |node: usize| self.young.get(&topology.ids[node]);
        let has_news =
            |node: usize| is_new(node) || young(node).is_some_and(|young| young.degree != topology.degree(node));
        let may_move: Vec<bool> = (0..topology.len()).map(|node| is_new(node) || young(node).is_some()).collect();
        let news: Vec<usize> = (0..topology.len()).filter(|node| has_news(*node)).collect();
        if news.is_empty() || may_move.iter().all(|may| *may) {
            return if news.is_empty() { vec![false; topology.len()] } else { may_move };
        }
        let mut moving = vec![false; topology.len()];
        for group in topology.groups(&may_move) {
            if group.iter().any(|node| news.binary_search(node).is_ok()) {
                group.into_iter().for_each(|node| moving[node] = true);
            }
        }
        moving
    }

    fn place_all(&mut self, topology: &Topology, moving: &[bool]) -> Vec<NodeId> {
        let mut canvas = Canvas::new(topology);
        canvas.grid = std::mem::take(&mut self.grid);
        for (node, id) in topology.ids.iter().enumerate() {
            let slot = self.places.get(id).and_then(|place| Slot::nearest(*place));
            match slot {
                Some(slot) if moving[node] => canvas.grid.release(slot),
                _ => canvas.slots[node] = slot,
            }
        }
        insert::insert(&mut canvas);
        let mut changed = Vec::new();
        for (node, id) in topology.ids.iter().enumerate().filter(|(node, _)| moving[*node]) {
            if let Some(place) = canvas.slots[node].map(Slot::place)
                && self.places.insert(*id, place) != Some(place)
            {
                changed.push(*id);
            }
        }
        self.grid = canvas.grid;
        changed
    }

    /// Remembers since when nodes are gone, and forgets the places of the longest gone when there are too many.
    fn note_gone(&mut self, now: Duration, nodes: &[NodeId]) {
        let present: BTreeSet<&NodeId> = nodes.iter().collect();
        self.gone.retain(|id, _| !present.contains(id));
        for id in self.places.keys().filter(|id| !present.contains(id)) {
            self.gone.entry(*id).or_insert(now);
        }
        let excess = self.places.len().saturating_sub(PLACES_KEPT);
        if excess == 0 {
            return;
        }
        let mut oldest: Vec<(Duration, NodeId)> = self.gone.iter().map(|(id, since)| (*since, *id)).collect();
        oldest.sort_unstable();
        for (_, id) in oldest.into_iter().take(excess) {
            if let Some(slot) = self.places.remove(&id).and_then(Slot::nearest) {
                self.grid.release(slot);
            }
            self.gone.remove(&id);
            self.young.remove(&id);
            self.forgotten += 1;
        }
    }
}

#[cfg(test)]
mod tests;
