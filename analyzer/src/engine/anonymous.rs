//! Tests of loops of which no id is known on both sides: names of queues and conversations alone.

use super::Engine;
use crate::{
    config::Config,
    fixture::{SECOND, START, Story},
    snapshot::{Loop, Severity},
    span::{ArrivalTime, Span},
};

/// What is found when spans arrive at these seconds, and half a minute later.
fn watch(spans: Vec<(f64, Span)>) -> Vec<Loop> {
    let mut spans = spans;
    spans.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut engine = Engine::new(&Config::recommended(), 2);
    let mut now = START;
    for (at, span) in spans {
        let at = START.0 + (at * SECOND as f64) as u64;
        while now.0 + SECOND <= at {
            now.0 += SECOND;
            engine.tick(now);
        }
        engine.ingest(ArrivalTime(at), [span]);
    }
    for _ in 0..30 {
        now.0 += SECOND;
        engine.tick(now);
    }
    engine.loops()
}

/// When a span ends, in seconds.
fn end(span: &Span) -> f64 {
    (span.end.0 - START.0) as f64 / SECOND as f64
}

#[test]
fn a_sender_that_comes_late_is_still_the_cause() {
    let laps = |late: f64| {
        let spans = Story::parse(&format!("a{}", " ~q?~> a".repeat(30))).spans;
        // What the ninth invocation sends becomes known when the tenth has been looked at in vain.
        let of_the_ninth = |span: &Span| span.trace_id == spans[17].trace_id;
        let arrival = |span: &Span| end(span) + if of_the_ninth(span) { late } else { 0.0 };
        let found = watch(spans.iter().map(|span| (arrival(span), span.clone())).collect());
        (found[0].max_depth, found[0].chains)
    };
    assert_eq!([laps(0.0), laps(8.0)], [(30, 1), (30, 1)]);
}

#[test]
fn a_conversation_is_one_assumption_however_long_the_lap_is() {
    let found = watch(
        Story::parse(&format!("a{}", " ~q@~> b ~p@~> c ~r@~> a".repeat(20)))
            .spans
            .into_iter()
            .map(|span| (end(&span), span))
            .collect(),
    );
    assert_eq!((found[0].max_depth, found[0].severity), (20, Severity::Warning));
    assert!((found[0].confidence - 0.7).abs() < 1e-6, "{}", found[0].confidence);
}
