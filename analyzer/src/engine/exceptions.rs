//! Exceptions of log records beside the spans that they name: in any order, however often, an invocation fails once.

use proptest::prelude::*;

use super::*;
use crate::fixture::Story;

/// What happened, in this order: `front` calls `back`, and spans of both tell of exceptions.
fn errors(order: &[usize], shards: usize) -> (Vec<(String, u64)>, Vec<u64>) {
    let mut story = Story::parse("front -> back");
    let spans = std::mem::take(&mut story.spans);
    let mut engine = Engine::new(&Config::recommended(), shards);
    for (step, pick) in order.iter().enumerate() {
        let now = ArrivalTime(1_000_000_000_000 + step as u64);
        let span = &spans[pick / 2 % spans.len()];
        if pick % 2 == 0 {
            engine.ingest(now, [span.clone()]);
        } else {
            engine.fail(now, [ExceptionRecord { trace_id: span.trace_id, span_id: span.span_id }]);
        }
    }
    engine.finish(ArrivalTime(2_000_000_000_000));
    let snapshot = engine.snapshot(ArrivalTime(2_000_000_000_000));
    let mut functions: Vec<_> = snapshot.functions.iter().map(|it| (it.name.to_string(), it.errors)).collect();
    functions.sort();
    (functions, snapshot.edges.iter().map(|it| it.errors).collect())
}

fn all() -> Vec<usize> {
    let spans = Story::parse("front -> back").spans.len();
    (0..spans * 2).collect()
}

#[test]
fn an_exception_in_a_log_fails_its_invocation() {
    let (functions, edges) = errors(&all(), 1);
    assert_eq!(functions, [("back".to_owned(), 1), ("front".to_owned(), 1)]);
    assert_eq!(edges, [1]);
}

proptest! {
    #[test]
    fn the_order_of_logs_and_spans_changes_nothing(
        order in Just([all(), all()].concat()).prop_shuffle(), shards in 1usize..3
    ) {
        prop_assert_eq!(errors(&order, shards), errors(&all(), 1));
    }
}
