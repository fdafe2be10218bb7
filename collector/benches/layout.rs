//! Time to lay out a large graph: `cargo bench -p loopscope-collector --bench layout`.

use std::{collections::BTreeMap, time::Duration};

use divan::Bencher;
use loopscope_analyzer::snapshot::NodeId;
use loopscope_collector::layout::{Layout, YOUNG_FOR};

fn main() {
    divan::main();
}

/// 1,000 nodes and 5,000 edges, the same in every run.
fn graph() -> (Vec<NodeId>, Vec<(NodeId, NodeId, f64)>) {
    let mut state = 1_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        NodeId((state >> 33) % 1_000)
    };
    ((0..1_000).map(NodeId).collect(), (0..5_000).map(|_| (random(), random(), 1.0)).collect())
}

#[divan::bench]
fn all_at_once(bencher: Bencher) {
    let (nodes, edges) = graph();
    bencher
        .with_inputs(|| Layout::new(BTreeMap::new(), YOUNG_FOR))
        .bench_values(|mut layout| layout.update(Duration::ZERO, &nodes, &edges));
}

#[divan::bench]
fn one_by_one(bencher: Bencher) {
    let (nodes, edges) = graph();
    bencher
        .with_inputs(|| Layout::new(BTreeMap::from([(NodeId(0), (0.0, 0.0))]), YOUNG_FOR))
        .bench_values(|mut layout| layout.update(Duration::ZERO, &nodes, &edges));
}
