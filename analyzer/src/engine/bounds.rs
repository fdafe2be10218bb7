//! Tests of corrupt input and of full indexes: what is mended, what goes, and what is never lost.

use super::Engine;
use crate::{
    config::Config,
    fixture::{SECOND, START, Story, analyse, resource},
    identity::Function,
    span::{ArrivalTime, EventTime, Span, SpanId, SpanKind},
};

#[test]
fn a_ring_of_parents_ends_and_is_counted() {
    let n: u64 = 1_000;
    let spans: Vec<Span> = (0..n)
        .map(|at| {
            let mut story = Story::parse("a");
            let mut span = story.spans.remove(0);
            span.kind = SpanKind::Internal;
            span.span_id = SpanId((at + 1).to_be_bytes());
            span.parent_span_id = Some(SpanId(((at + 1) % n + 1).to_be_bytes()));
            span
        })
        .collect();
    let snapshot = analyse(spans, 1, 100);
    assert_eq!(snapshot.losses.parent_rings, 1);
    assert_eq!(snapshot.functions[0].invocations, 1);
}

#[test]
fn broken_clocks_are_mended_and_counted() {
    let mut story = Story::parse("a\na\na");
    story.spans[0].end = EventTime(1);
    story.spans[1].start = EventTime(0);
    story.spans[2].start = EventTime(u64::MAX - 5);
    story.spans[2].end = EventTime(u64::MAX);
    let snapshot = analyse(story.spans, 1, 10);
    assert_eq!(snapshot.losses.mended, 3);
    assert!(snapshot.functions[0].p95_ms < 1.0, "what has no time takes none: {}", snapshot.functions[0].p95_ms);
    assert!(snapshot.functions[0].last_seen.0 < START.0 + 60 * SECOND);
}

#[test]
fn a_long_chain_is_exact_in_any_order_and_flat_on_the_stack() {
    let laps = 20_000;
    let mut spans = Story::parse(&format!("a{}", " -> a".repeat(laps))).spans;
    for _ in 0..2 {
        let found = analyse(spans.clone(), 1, 512).loops;
        assert_eq!((found[0].max_depth as usize, found[0].chains), (laps, 1));
        spans.reverse();
    }
}

#[test]
fn a_full_index_loses_the_oldest_and_never_the_newest() {
    let config = Config { span_capacity: 64, invocation_capacity: 32, ..Config::recommended() };
    let mut engine = Engine::new(&config, 1);
    let noise = Story::parse(&"x\n".repeat(500)).spans;
    engine.ingest(START, noise);
    let now = ArrivalTime(START.0 + SECOND);
    let mut chain = Story::parse(&format!("a{}", " ~> a".repeat(9))).spans;
    for span in &mut chain {
        span.trace_id.0[0] = 1;
        span.links.iter_mut().for_each(|link| link.trace_id.0[0] = 1);
    }
    engine.ingest(now, chain);
    engine.tick(now);
    let snapshot = engine.snapshot(now);
    assert_eq!(snapshot.loops[0].max_depth, 9);
    assert!(snapshot.losses.index_evictions > 0);
}

#[test]
fn a_flood_of_names_does_not_hide_a_loop() {
    let config = Config { function_capacity: 20, edge_capacity: 20, ..Config::recommended() };
    let mut engine = Engine::new(&config, 1);
    for at in 0..100 {
        let mut story = Story::parse("a -> b");
        for span in &mut story.spans {
            span.trace_id.0[0] = at + 1;
            span.resource = resource(&format!("f{at}"));
        }
        engine.ingest(ArrivalTime(START.0 + u64::from(at)), story.spans);
    }
    let now = ArrivalTime(START.0 + SECOND);
    engine.ingest(now, Story::parse(&format!("loop{}", " ~> loop".repeat(19))).spans);
    let snapshot = engine.snapshot(now);
    assert_eq!((snapshot.loops[0].names.as_slice(), snapshot.loops[0].max_depth), (&["loop".into()][..], 19));
    assert!(snapshot.functions.len() <= 20);
    assert!(snapshot.edges.iter().any(|edge| edge.source == snapshot.loops[0].functions[0]));
    assert_eq!(snapshot.losses.functions_overflowed % 3, 0, "a tenth and one, each counted once");
    // Those that went are counted as one other, on the map and in the window, and are part of no loop.
    let runs: u64 = snapshot.functions.iter().map(|node| node.invocations).sum();
    assert_eq!(runs, 220);
    assert!(snapshot.functions.iter().any(|node| node.id == Function::OTHER && &*node.name == "other"));
    assert!(snapshot.edges.iter().all(|edge| ![edge.source, edge.target].contains(&Function::OTHER)));
    let (_, measured) = engine.aggregate_mut().running();
    let of_window: f64 = measured.functions.values().map(|counts| counts.invocations).sum();
    assert_eq!((of_window, measured.functions.len()), (220.0, 20));
}
