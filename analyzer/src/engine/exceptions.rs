//! Exceptions of log records beside the spans that they name: in any order, however often, an invocation fails once.

use proptest::prelude::*;

use super::*;
use crate::{
    attribute::Value,
    facts::{InstanceId, RunId},
    fixture::{SECOND, START, Story},
    span::EventTime,
};

/// Spans and logs come an hour after they happened.
const HOUR: u64 = 3_600 * SECOND;

/// By what the logs name the run that failed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    Span,
    Run,
    Instance,
}

/// What happened, in this order: `front` calls `back`, and logs of both tell of exceptions.
fn errors(order: &[usize], shards: usize, by: By) -> (Vec<(String, u64)>, Vec<u64>) {
    let mut story = Story::parse("front -> back");
    for (at, span) in story.spans.iter_mut().enumerate() {
        let text = |name: &str| Value::Text(format!("{name}-{at}").into());
        span.attributes.insert("faas.invocation_id", text("run"));
        span.attributes.insert("faas.instance", text("instance"));
    }
    let spans = std::mem::take(&mut story.spans);
    let mut engine = Engine::new(&Config::recommended(), shards);
    for (step, pick) in order.iter().enumerate() {
        let now = ArrivalTime(START.0 + HOUR + step as u64);
        let number = pick / 2 % spans.len();
        let span = &spans[number];
        if pick % 2 == 0 {
            engine.ingest(now, [span.clone()]);
            continue;
        }
        let at = EventTime(span.start.0 + 1);
        engine.fail(
            now,
            [match by {
                By::Span => ExceptionRecord::Span { trace_id: span.trace_id, span_id: span.span_id },
                By::Run => ExceptionRecord::Run { run: RunId::of(&format!("run-{number}")), at },
                By::Instance => {
                    ExceptionRecord::Instance { instance: InstanceId::of(&format!("instance-{number}")), at }
                }
            }],
        );
    }
    engine.finish(ArrivalTime(START.0 + 2 * HOUR));
    let snapshot = engine.snapshot(ArrivalTime(START.0 + 2 * HOUR));
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
    for by in [By::Span, By::Run, By::Instance] {
        let (functions, edges) = errors(&all(), 1, by);
        assert_eq!(functions, [("back".to_owned(), 1), ("front".to_owned(), 1)], "{by:?}");
        assert_eq!(edges, [1], "{by:?}");
    }
}

#[test]
fn one_of_several_tries_is_known_by_the_time_and_a_busy_instance_says_nothing() {
    let text = |text: &str| Value::Text(text.into());
    let mut engine = Engine::new(&Config::recommended(), 2);
    let now = ArrivalTime(START.0 + HOUR);
    let mut tries = Story::parse("shop\nshop\nshop").spans;
    for (number, span) in tries.iter_mut().enumerate() {
        span.attributes.insert("faas.invocation_id", text("same"));
        span.attributes.insert("faas.instance", text(["one", "two", "two"][number]));
        // The first ran by itself, the others at the same time.
        let start = span.start.0 + [0, 60, 60][number] * SECOND;
        (span.start, span.end) = (EventTime(start), EventTime(start + 5 * SECOND));
    }
    let at = |number: usize| EventTime(tries[number].start.0 + 3 * SECOND);
    engine.ingest(now, tries.clone());
    let run = ExceptionRecord::Run { run: RunId::of("same"), at: at(0) };
    let nowhere = ExceptionRecord::Run { run: RunId::of("same"), at: EventTime(at(2).0 + HOUR) };
    let busy = ExceptionRecord::Instance { instance: InstanceId::of("two"), at: at(1) };
    engine.fail(now, [run, run, nowhere, busy]);
    engine.finish(ArrivalTime(START.0 + 2 * HOUR));
    let snapshot = engine.snapshot(ArrivalTime(START.0 + 2 * HOUR));
    assert_eq!(snapshot.functions[0].errors, 1);
    assert_eq!((snapshot.losses.exceptions_without_span, snapshot.losses.exceptions_joined), (4, 2));
}

proptest! {
    #[test]
    fn the_order_of_logs_and_spans_changes_nothing(
        order in Just([all(), all()].concat()).prop_shuffle(),
        shards in 1usize..3,
        by in prop::sample::select(vec![By::Span, By::Run, By::Instance]),
    ) {
        prop_assert_eq!(errors(&order, shards, by), errors(&all(), 1, by));
    }
}
