//! Tests of what is one invocation, and of how its time is measured.

use expect_test::expect;

use super::Engine;
use crate::{
    config::Config,
    fixture::{SECOND, START, Story, analyse, describe},
    span::{ArrivalTime, EventTime, Span, SpanId, SpanKind},
};

#[test]
fn a_function_that_calls_itself_is_a_loop_and_its_own_parts_are_not() {
    let mut story = Story::default();
    let run = story.root("a");
    story.call(&run, "a");
    let mut part = story.spans[0].clone();
    part.span_id = SpanId([9; 8]);
    part.parent_span_id = Some(story.spans[0].span_id);
    for kind in [SpanKind::Consumer, SpanKind::Server, SpanKind::Internal, SpanKind::Unspecified] {
        let mut spans = story.spans.clone();
        spans.insert(0, Span { kind, ..part.clone() });
        let snapshot = analyse(spans, 1, 1);
        assert_eq!(snapshot.functions[0].invocations, 2, "{kind:?}");
        assert_eq!(snapshot.loops[0].max_depth, 1, "{kind:?}");
    }
}

#[test]
fn spans_without_a_kind_enter_where_the_function_changes() {
    let mut story = Story::parse("a -> b -> a");
    for span in &mut story.spans {
        span.kind = SpanKind::Unspecified;
    }
    let found = describe(&analyse(story.spans, 1, 1));
    expect![[r#"
        a -call-> b x1
        b -call-> a x1
        loop a b (a b) Unknown Info depth 1 chains 1 laps 1"#]]
    .assert_eq(&found);
}

#[test]
fn an_internal_span_whose_parent_never_comes_is_an_invocation_in_the_end() {
    let mut story = Story::parse("a");
    story.last().kind = SpanKind::Internal;
    story.last().parent_span_id = Some(SpanId([5; 8]));
    assert_eq!(analyse(story.spans, 1, 1).functions[0].invocations, 1);
}

#[test]
fn self_time_and_gap_are_told_apart() {
    // a: 10 ms, of which 8 ms in a call whose callee works 6 ms; the call begins a second later in the fixture,
    // so it is moved into its caller first.
    let mut story = Story::parse("a -> b");
    let start = story.spans[0].start.0;
    for (span, (from, to)) in story.spans.iter_mut().zip([(0, 10), (1, 9), (2, 8)]) {
        span.start = EventTime(start + from * 1_000_000);
        span.end = EventTime(start + to * 1_000_000);
    }
    let hotspots = analyse(story.spans, 1, 10).hotspots.list;
    let found: Vec<String> = hotspots
        .iter()
        .map(|spot| {
            format!("{} {} {} {:.0} ms {:.1}", spot.rank, spot.name, spot.edge.is_some(), spot.p95_ms, spot.share)
        })
        .collect();
    assert_eq!(found[0], "1 b false 6 ms 0.6");
    assert!(found.contains(&"2 a false 2 ms 0.2".to_owned()) || found.contains(&"3 a false 2 ms 0.2".to_owned()));
    assert!(found.iter().any(|spot| spot.ends_with("a true 2 ms 0.2")), "{found:?}");
}

#[test]
fn children_of_a_late_parent_are_one_invocation_and_not_measured() {
    let mut story = Story::parse("a -> b");
    let root = story.spans.remove(0);
    let client = story.spans.remove(0);
    let mut engine = Engine::new(&Config::recommended(), 1);
    let clients = (0..100_u64).map(|at| Span { span_id: SpanId((1_000 + at).to_be_bytes()), ..client.clone() });
    engine.ingest(START, clients);
    let at = |seconds: u64| ArrivalTime(START.0 + seconds * SECOND);
    engine.tick(at(31));
    assert_eq!(engine.snapshot(at(31)).functions[0].invocations, 1);
    engine.ingest(at(36), [Span { end: EventTime(root.start.0 + 60 * SECOND), ..root }]);
    engine.tick(at(60));
    let function = &engine.snapshot(at(60)).functions[0];
    assert_eq!(function.invocations, 1);
    assert!((function.p50_ms - 60_000.0).abs() < 1_200.0, "{}", function.p50_ms);
}

#[test]
fn an_invocation_whose_caller_waits_for_its_own_is_measured_at_once() {
    let mut story = Story::parse("a -> b");
    for span in &mut story.spans {
        span.kind = SpanKind::Unspecified;
    }
    let mut engine = Engine::new(&Config::recommended(), 1);
    engine.ingest(START, story.spans[1..].to_vec());
    let called = engine.snapshot(START).functions.into_iter().find(|function| &*function.name == "b").unwrap();
    assert!((called.p95_ms - 6.0).abs() < 0.1, "{}", called.p95_ms);
}

#[test]
fn a_caller_that_is_exported_late_still_takes_the_time_of_its_callee_from_the_roots() {
    let spans = Story::parse("a -> b").spans;
    let mut engine = Engine::new(&Config::recommended(), 1);
    engine.ingest(START, [spans[2].clone()]);
    let at = |seconds: u64| ArrivalTime(START.0 + seconds * SECOND);
    engine.tick(at(5));
    engine.ingest(at(5), spans[..2].to_vec());
    engine.tick(at(10));
    let share: f64 = engine.snapshot(at(10)).hotspots.list.iter().find(|spot| &*spot.name == "b").unwrap().share;
    assert!((share - 0.6).abs() < 0.02, "6 of 10 ms, and not of 16: {share}");
}

#[test]
fn an_edge_is_measured_on_both_ends() {
    // The client span takes 8 ms, the server span 6.
    let snapshot = analyse(Story::parse("a -> b").spans, 1, 1);
    let edge = &snapshot.edges[0];
    for (found, expected) in [(Some(edge.p95_ms), 8.0), (edge.server_p95_ms, 6.0), (edge.gap_p95_ms, 2.0)] {
        assert!((found.unwrap() / expected - 1.0).abs() < 0.02, "{found:?}");
    }
    let one_side = analyse(Story::parse("a ~q~> b").spans, 1, 1);
    assert!(one_side.edges.iter().all(|edge| edge.server_p95_ms.is_none() && edge.gap_p95_ms.is_none()));
}
