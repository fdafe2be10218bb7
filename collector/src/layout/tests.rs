//! Properties and examples of the layout.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

type Edges = Vec<(NodeId, NodeId, f64)>;

const LATER: Duration = Duration::from_secs(60);

fn layout() -> Layout {
    Layout::new(BTreeMap::new(), YOUNG_FOR)
}

fn ids(n: u64) -> Vec<NodeId> {
    (0..n).map(NodeId).collect()
}

fn edges(pairs: &[(u64, u64)]) -> Edges {
    pairs.iter().map(|(a, b)| (NodeId(*a), NodeId(*b), 1.0)).collect()
}

/// Lays out a graph at once and returns column and row of each node.
fn slots(n: u64, pairs: &[(u64, u64)]) -> Vec<(i32, i32)> {
    let mut layout = layout();
    layout.update(Duration::ZERO, &ids(n), &edges(pairs));
    cells(&layout, n)
}

fn cells(layout: &Layout, n: u64) -> Vec<(i32, i32)> {
    let cell = |id| {
        let (x, y) = layout.place(NodeId(id)).unwrap();
        ((x / COLUMN_WIDTH) as i32, (y / ROW_HEIGHT) as i32)
    };
    (0..n).map(cell).collect()
}

#[track_caller]
fn assert_no_slot_is_shared(layout: &Layout) {
    let mut seen = HashMap::new();
    for (id, place) in layout.places() {
        let other = seen.insert((place.0.to_bits(), place.1.to_bits()), id);
        assert_eq!(other, None, "{id} stands where another node stands");
    }
}

/// A graph of up to 40 nodes, self-loops, parallel edges and unknown ends included.
fn any_graph() -> impl Strategy<Value = (Vec<NodeId>, Edges)> {
    let edge = (0..44_u64, 0..44_u64, 0.0..9.0).prop_map(|(a, b, weight)| (NodeId(a), NodeId(b), weight));
    ((0..40_u64).prop_map(ids), prop::collection::vec(edge, 0..90))
}

proptest! {
    #[test]
    fn the_order_of_the_input_does_not_matter(
        (nodes, edges) in any_graph(),
        (shuffled_nodes, shuffled_edges) in any_graph().prop_flat_map(|graph| (Just(graph.0).prop_shuffle(), Just(graph.1).prop_shuffle())),
        cut in 0..40_usize,
    ) {
        // The second graph shuffles itself: each is compared with its sorted twin.
        for (nodes, edges) in [(nodes, edges), (shuffled_nodes, shuffled_edges)] {
            let mut sorted = (nodes.clone(), edges.clone());
            sorted.0.sort_unstable();
            sorted.1.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2)));
            let (mut one, mut two) = (layout(), layout());
            let first: Vec<_> = nodes.iter().copied().filter(|id| id.0 < cut as u64).collect();
            let mut first_sorted = first.clone();
            first_sorted.sort_unstable();
            one.update(Duration::ZERO, &first, &edges);
            two.update(Duration::ZERO, &first_sorted, &sorted.1);
            prop_assert_eq!(one.places(), two.places());
            one.update(LATER, &nodes, &edges);
            two.update(LATER, &sorted.0, &sorted.1);
            prop_assert_eq!(one.places(), two.places());
        }
    }

    #[test]
    fn every_node_gets_a_slot_of_its_own((nodes, edges) in any_graph()) {
        let mut layout = layout();
        let placed = layout.update(Duration::ZERO, &nodes, &edges);
        prop_assert_eq!(placed, nodes);
        assert_no_slot_is_shared(&layout);
    }

    #[test]
    fn new_nodes_move_no_settled_one((nodes, edges) in any_graph(), known in 0..40_usize, wave in 1..8_usize) {
        let mut layout = layout();
        let known = known.min(nodes.len());
        layout.update(Duration::ZERO, &nodes[..known], &edges);
        let mut now = LATER;
        for until in (known..=nodes.len()).step_by(wave).chain([nodes.len()]) {
            let before = layout.places().clone();
            layout.update(now, &nodes[..until], &edges);
            for (id, place) in before {
                prop_assert_eq!(layout.place(id), Some(place));
            }
            assert_no_slot_is_shared(&layout);
            now += LATER;
        }
        prop_assert_eq!(layout.places().len(), nodes.len());
    }

    #[test]
    fn places_survive_a_restart((nodes, edges) in any_graph(), known in 0..40_usize) {
        let known = known.min(nodes.len());
        let mut running = layout();
        running.update(Duration::ZERO, &nodes[..known], &edges);
        let mut restarted = Layout::new(running.places().clone(), YOUNG_FOR);
        prop_assert_eq!(restarted.update(Duration::ZERO, &nodes[..known], &edges), Vec::new());
        running.update(LATER, &nodes, &edges);
        restarted.update(LATER, &nodes, &edges);
        prop_assert_eq!(running.places(), restarted.places());
    }

    #[test]
    fn nodes_and_edges_in_any_pieces_share_no_slot((nodes, edges) in any_graph(), steps in prop::collection::vec((0..40_usize, 0..90_usize, 0..3000_u64), 1..12)) {
        let mut layout = layout();
        let mut now = Duration::ZERO;
        for (n, m, millis) in steps {
            now += Duration::from_millis(millis);
            layout.update(now, &nodes[..n.min(nodes.len())], &edges[..m.min(edges.len())]);
            assert_no_slot_is_shared(&layout);
        }
    }
}

#[test]
fn a_chain_stands_in_one_row() {
    assert_eq!(slots(4, &[(0, 1), (1, 2), (2, 3)]), [(0, 0), (1, 0), (2, 0), (3, 0)]);
}

#[test]
fn a_loop_opens_so_that_its_way_back_meets_no_node() {
    let slots = slots(3, &[(0, 1), (1, 2), (2, 0)]);
    assert_eq!(slots.iter().map(|slot| slot.0).collect::<Vec<_>>(), [0, 1, 2]);
    assert_ne!(slots[0].1, slots[1].1);
    assert_eq!(slots[0].1, slots[2].1);
}

#[test]
fn branches_do_not_cross() {
    //        /- 1 - 6
    //      0 -- 2 - 5      ids are such that an order by id would cross
    //        \- 3 - 4
    let slots = slots(7, &[(0, 1), (0, 2), (0, 3), (1, 6), (2, 5), (3, 4)]);
    let rows = |nodes: [usize; 3]| nodes.map(|node| slots[node].1);
    let (callees, leaves) = (rows([1, 2, 3]), rows([6, 5, 4]));
    assert_eq!(callees, leaves);
    assert_eq!(slots[0].1, callees[1]);
}

#[test]
fn groups_stack_and_lone_nodes_stand_below() {
    let slots = slots(7, &[(0, 1), (1, 2), (3, 4)]);
    assert_eq!(slots, [(0, 0), (1, 0), (2, 0), (0, 2), (1, 2), (0, 4), (1, 4)]);
}

#[test]
fn lone_nodes_that_come_one_by_one_share_a_row() {
    let mut layout = layout();
    layout.update(Duration::ZERO, &ids(2), &edges(&[(0, 1)]));
    for n in 3..=5 {
        layout.update(LATER * n as u32, &ids(n), &edges(&[(0, 1)]));
    }
    assert_eq!(cells(&layout, 5), [(0, 0), (1, 0), (0, 2), (1, 2), (2, 2)]);
}

#[test]
fn a_new_callee_stands_right_of_its_caller_and_out_of_the_lines_of_others() {
    let mut layout = layout();
    // 0 -> 1 -> 2, and then 1 -> 3 -> 2: the line from 1 to 2 leaves no room between them in their row.
    layout.update(Duration::ZERO, &ids(3), &edges(&[(0, 1), (1, 2)]));
    layout.update(LATER, &ids(4), &edges(&[(0, 1), (1, 2), (1, 3)]));
    assert_eq!(cells(&layout, 4)[3], (2, 1));
    // 4 is called by 0 and 2 wants the row of both, where the line from 0 would pass through 1 and 2.
    layout.update(LATER * 2, &ids(5), &edges(&[(0, 1), (1, 2), (1, 3), (0, 4), (2, 4)]));
    let place = cells(&layout, 5)[4];
    assert_eq!(place.0, 3);
    assert_ne!(place.1, 0);
}

#[test]
fn many_new_callees_fill_more_than_one_column() {
    let star: Vec<_> = (1..200).map(|callee| (0, callee)).collect();
    let mut layout = Layout::new(BTreeMap::from([(NodeId(0), (0.0, 0.0))]), YOUNG_FOR);
    layout.update(Duration::ZERO, &ids(200), &edges(&star));
    assert_no_slot_is_shared(&layout);
    for (column, row) in cells(&layout, 200).into_iter().skip(1) {
        assert!((1..10).contains(&column) && row.abs() < 40, "{column} {row}");
    }
}

#[test]
fn a_young_node_moves_to_its_caller_when_the_edge_comes() {
    let mut layout = layout();
    layout.update(Duration::ZERO, &ids(2), &edges(&[(0, 1)]));
    let at = |millis| LATER + Duration::from_millis(millis);
    assert_eq!(layout.update(at(0), &ids(3), &edges(&[(0, 1)])), [NodeId(2)]);
    assert_eq!(cells(&layout, 3)[2], (0, 2));
    assert_eq!(layout.update(at(100), &ids(3), &edges(&[(0, 1), (1, 2)])), [NodeId(2)]);
    assert_eq!(cells(&layout, 3)[2], (2, 0));
    assert_eq!(layout.update(at(200), &ids(3), &edges(&[(0, 1), (1, 2)])), []);
}

#[test]
fn a_settled_node_stays_when_the_edge_comes_late() {
    let mut layout = layout();
    layout.update(Duration::ZERO, &ids(3), &edges(&[(0, 1)]));
    let before = layout.places().clone();
    assert_eq!(layout.update(YOUNG_FOR, &ids(3), &edges(&[(0, 1), (1, 2)])), []);
    assert_eq!(layout.places(), &before);
}

#[test]
fn a_map_at_its_beginning_is_laid_out_as_a_whole() {
    let mut layout = layout();
    let all = [(0, 1), (1, 2), (2, 3)];
    for seen in 0..=all.len() {
        let now = Duration::from_millis(250 * seen as u64);
        layout.update(now, &ids(4), &edges(&all[..seen]));
    }
    assert_eq!(cells(&layout, 4), slots(4, &all));
}

#[test]
fn a_node_that_comes_back_finds_its_place() {
    let mut layout = layout();
    layout.update(Duration::ZERO, &ids(3), &edges(&[(0, 1), (1, 2)]));
    let place = layout.place(NodeId(1));
    layout.update(LATER, &[NodeId(0), NodeId(2), NodeId(9)], &edges(&[(0, 9)]));
    assert_ne!(layout.place(NodeId(9)), place);
    layout.update(LATER * 2, &ids(3), &edges(&[(0, 1), (1, 2)]));
    assert_eq!(layout.place(NodeId(1)), place);
}

#[test]
fn the_longest_gone_are_forgotten_when_there_are_too_many() {
    let stored = (0..PLACES_KEPT as u64 + 2).map(|id| (NodeId(id), (id as f64 * COLUMN_WIDTH, 0.0))).collect();
    let mut layout = Layout::new(stored, YOUNG_FOR);
    layout.update(Duration::ZERO, &[NodeId(0)], &[]);
    assert_eq!((layout.places().len(), layout.forgotten()), (PLACES_KEPT, 2));
    assert!(layout.place(NodeId(0)).is_some());
    assert_eq!(layout.place(NodeId(1)), None);
}

#[test]
fn stored_places_off_the_map_are_placed_again() {
    let stored = BTreeMap::from([(NodeId(0), (f64::NAN, 0.0)), (NodeId(1), (12.5, -7.25))]);
    let mut layout = Layout::new(stored, YOUNG_FOR);
    assert_eq!(layout.update(Duration::ZERO, &ids(2), &edges(&[(0, 1)])), [NodeId(0)]);
    assert_eq!(layout.place(NodeId(1)), Some((12.5, -7.25)));
    assert_eq!(layout.place(NodeId(0)), Some((-COLUMN_WIDTH, 0.0)));
}

#[test]
fn long_chains_and_rings_need_no_deep_stack() {
    let n = 5_000;
    let chain: Vec<_> = (1..n).map(|id| (id - 1, id)).collect();
    let ring: Vec<_> = chain.iter().copied().chain([(n - 1, 0)]).collect();
    let deep = std::thread::Builder::new().stack_size(256 * 1024);
    let done = deep.spawn(move || (slots(n, &chain)[4_999], slots(n, &ring)[4_999].0)).unwrap().join().unwrap();
    assert_eq!(done, ((4_999, 0), 4_999));
}
