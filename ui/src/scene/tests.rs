//! Shapes, routes and labels of whole scenes.

use super::label::{Conditions, Owner, place};
use super::shape::RADIUS;
use super::*;
use loopscope_proto::v1::{Edge, Graph, LiveEvent, Loop};
use proptest::prelude::*;

fn function(id: &str, x: f64, y: f64) -> Function {
    Function {
        id: id.into(),
        name: format!("media-production-{id}"),
        rate_per_second: 2.0,
        x,
        y,
        ..Function::default()
    }
}

fn edge(source: &str, target: &str, kind: &str) -> Edge {
    let (source, target, kind) = (source.into(), target.into(), kind.into());
    Edge { source, target, kind, calls: 10, errors: 1, rate_per_second: 3.0, p95_ms: 80.0, ..Edge::default() }
}

fn model(functions: Vec<Function>, edges: Vec<Edge>, loops: Vec<Loop>) -> Model {
    let graph = Some(Graph { functions, edges, resources: vec![] });
    let mut model = Model::default();
    model.apply(LiveEvent { sequence: 1, snapshot: true, graph, loops, ..LiveEvent::default() });
    model
}

/// Layers 220 apart and rows 110 apart, as the server lays them out.
fn grid(columns: usize, rows: usize) -> Vec<Function> {
    let place = |at: usize| ((at / rows) as f64 * 220.0, (at % rows) as f64 * 110.0);
    (0..columns * rows).map(|at| function(&format!("f{at:03}"), place(at).0, place(at).1)).collect()
}

fn conditions(zoom: f64) -> Conditions<'static> {
    Conditions { zoom, measure: &|text, size| text.chars().count() as f64 * size * 0.58, focus: None, loop_id: None }
}

#[test]
fn forward_edges_run_right_and_back_edges_above() {
    let nodes = vec![function("a", 0.0, 0.0), function("b", 220.0, 0.0), function("c", 440.0, 0.0)];
    let scene = Scene::build(&model(nodes, vec![edge("a", "b", "call"), edge("c", "a", "call")], vec![]));
    let forward = scene.edge("a", "b").expect("the edge is there").curve;
    assert!(forward.from.x > 0.0 && forward.to.x < 220.0 && forward.angle(1.0).cos() > 0.9);
    let back = scene.edge("c", "a").expect("the edge is there").curve;
    assert!(back.at(0.5).y < -RADIUS.1 - 20.0, "the arc clears the node between: {back:?}");
}

#[test]
fn the_two_ways_of_a_pair_keep_apart() {
    let nodes = vec![function("a", 0.0, 0.0), function("b", 220.0, 0.0)];
    let scene = Scene::build(&model(nodes, vec![edge("a", "b", "call"), edge("b", "a", "message")], vec![]));
    let (there, back) = (scene.edge("a", "b"), scene.edge("b", "a"));
    let (there, back) = (there.expect("there").curve.at(0.5), back.expect("back").curve.at(0.5));
    assert!(there.distance(back) > 25.0);
}

#[test]
fn an_edge_bends_around_a_node_in_its_way() {
    let nodes = vec![function("a", 0.0, 0.0), function("b", 220.0, 0.0), function("c", 440.0, 0.0)];
    let scene = Scene::build(&model(nodes, vec![edge("a", "c", "call")], vec![]));
    let middle = scene.node("b").expect("b is there").outline();
    let curve = scene.edge("a", "c").expect("the edge is there").curve;
    assert!(curve.samples(40).all(|p| !middle.contains(p)));
}

#[test]
fn a_teardrop_keeps_away_from_other_edges() {
    let nodes = vec![function("a", 0.0, 0.0), function("b", 0.0, -110.0)];
    let scene = Scene::build(&model(nodes, vec![edge("a", "a", "call"), edge("a", "b", "call")], vec![]));
    let tear = scene.edge("a", "a").expect("the edge is there").curve;
    let tip = Point::default().angle_to(tear.at(0.5));
    assert!(crate::geometry::angle_between(tip, -std::f64::consts::FRAC_PI_2) > 0.6);
}

#[test]
fn parallel_edges_become_one_line_with_the_sum() {
    let nodes = vec![function("a", 0.0, 0.0), function("b", 220.0, 0.0)];
    let edges = vec![edge("a", "b", "message"), edge("a", "b", "publish")];
    let scene = Scene::build(&model(nodes, edges, vec![]));
    assert_eq!(scene.edges.len(), 1);
    assert_eq!(scene.edges[0].rate, 6.0);
    assert!(scene.edges[0].asynchronous);
    assert_eq!(scene.edges[0].label, "6/s · 10 % err · p95 80 ms");
}

#[test]
fn a_loop_has_a_rail_for_each_step_and_only_a_loud_one_stresses_its_nodes() {
    let nodes = vec![function("a", 0.0, 0.0), function("b", 220.0, 0.0), function("c", 0.0, 110.0)];
    let it = Loop {
        id: "L".into(),
        path: vec!["a".into(), "b".into()],
        state: LoopState::Growing.into(),
        severity: Severity::Warning.into(),
        max_depth: 9,
        laps: 30,
        ..Loop::default()
    };
    let edges = vec![edge("a", "b", "call"), edge("b", "a", "call")];
    let quiet = Loop { severity: Severity::Info.into(), ..it.clone() };
    let calm = Scene::build(&model(nodes.clone(), edges.clone(), vec![quiet]));
    assert!(!calm.loops[0].is_loud() && calm.nodes.iter().all(|node| !node.in_loud_loop));
    let scene = Scene::build(&model(nodes, edges, vec![it]));
    assert!(scene.loops[0].is_loud());
    assert_eq!(scene.loops[0].rails.len(), 2);
    assert!(scene.node("a").expect("a").in_loud_loop && !scene.node("c").expect("c").in_loud_loop);
    let labels = place(&scene, &conditions(1.0));
    assert!(labels.iter().any(|it| it.owner == Owner::Loop("L".into()) && it.text.starts_with("↻ 9 laps deep")));
}

#[test]
fn pointing_finds_nodes_before_edges_and_nothing_in_the_void() {
    let nodes = vec![function("a", 0.0, 0.0), function("b", 220.0, 0.0)];
    let scene = Scene::build(&model(nodes, vec![edge("a", "b", "call")], vec![]));
    assert_eq!(scene.hit(Point::new(5.0, 5.0), 4.0), Some(Selection::Node("a".into())));
    let on_edge = Some(Selection::Edge { source: "a".into(), target: "b".into() });
    assert_eq!(scene.hit(Point::new(110.0, 3.0), 6.0), on_edge);
    assert_eq!(scene.hit(Point::new(110.0, 60.0), 6.0), None);
}

#[test]
fn arrows_walk_along_edges_and_columns() {
    let scene = Scene::build(&model(grid(2, 2), vec![edge("f000", "f003", "call")], vec![]));
    assert_eq!(scene.step("f000", Direction::Right), Some("f003"));
    assert_eq!(scene.step("f003", Direction::Left), Some("f000"));
    assert_eq!(scene.step("f000", Direction::Down), Some("f001"));
    assert_eq!(scene.step("f000", Direction::Left), None);
}

#[test]
fn every_name_has_room_at_the_usual_zoom() {
    let scene = Scene::build(&model(grid(6, 5), vec![], vec![]));
    for zoom in [0.6, 1.0, 1.4] {
        let labels = place(&scene, &conditions(zoom));
        assert_eq!(labels.len(), 30, "at zoom {zoom}");
        assert!(labels.iter().all(|it| it.text.ends_with(|last: char| last.is_ascii_digit())), "the last part is kept");
    }
}

proptest! {
    #[test]
    fn text_never_covers_text_or_nodes(
        places in proptest::collection::vec((0_u8..8, 0_u8..8), 1..40),
        zoom in 0.2..3.0_f64,
    ) {
        let nodes = places.iter().enumerate();
        let nodes = nodes.map(|(at, (x, y))| function(&format!("n{at}"), f64::from(*x) * 90.0, f64::from(*y) * 60.0));
        let edges = (1..places.len()).map(|at| edge(&format!("n{}", at - 1), &format!("n{at}"), "call")).collect();
        let scene = Scene::build(&model(nodes.collect(), edges, vec![]));
        let labels = place(&scene, &conditions(zoom));
        for (at, label) in labels.iter().enumerate() {
            prop_assert!(labels[at + 1..].iter().all(|other| !other.area.overlaps(label.area)));
            prop_assert!(scene.nodes.iter().all(|node| !node.outline().overlaps(label.area)));
        }
    }
}
