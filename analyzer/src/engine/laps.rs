//! Tests of what counts as a lap, how sure and how much of one it is, and when laps are an alarm.

use super::Engine;
use crate::{
    attribute::Value,
    config::Config,
    fixture::{SECOND, START, Story, analyse, describe},
    snapshot::{Assessment, Reason, Severity},
    span::{ArrivalTime, EventTime, Span, SpanKind},
};

#[test]
fn a_lap_is_as_sure_as_its_causes_together() {
    for (story, expected) in [
        ("a -> b ~> a", 1.0),
        ("a => b -> a", 0.98),
        ("a => b ~q#~> a", 0.98 * 0.98),
        ("a ~s/k#~> b ~s/l~> a", 0.95 * 0.95),
        // What repeats within a lap is a lap of its own, and makes the outer one no less sure.
        ("a ~> b => b => b ~> a", 1.0),
    ] {
        let snapshot = analyse(Story::parse(story).spans, 2, 3);
        let longest = snapshot.loops.iter().filter(|found| found.laps > 0).max_by_key(|found| found.names.len());
        let confidence = longest.unwrap().confidence;
        assert!((confidence - expected).abs() < 1e-6, "{story}: {confidence}");
    }
}

#[test]
fn a_batch_shares_its_credit_among_its_messages() {
    // Two laps of one cycle: one alone and known by its id, one as one of four messages with a link.
    let mut story = Story::default();
    let first = story.root("f");
    let second = story.lose_context(&first, "f", "q#");
    let others: Vec<_> = (0..3).map(|_| story.root("g")).collect();
    let causes: Vec<_> = [&second].into_iter().chain(&others).collect();
    story.handle(&causes, "f");
    let snapshot = analyse(story.spans, 1, 50);
    let own = snapshot.loops.iter().find(|found| found.names.len() == 1).unwrap();
    assert_eq!((own.laps, own.max_depth), (2, 2));
    let expected = (0.98 + 0.25) / 1.25;
    assert!((own.confidence - expected).abs() < 1e-6, "{}", own.confidence);
}

#[test]
fn what_is_delivered_again_is_no_lap() {
    for story in ["a ~q#~> b ~q#~> b", "a => b => b", "a ~q?~> b"] {
        let mut spans = Story::parse(story).spans;
        let depth = |spans: &[Span]| {
            let snapshot = analyse(spans.to_vec(), 2, 2);
            let deepest = snapshot.loops.iter().map(|found| found.max_depth).max().unwrap_or(0);
            let runs = snapshot.functions.iter().find(|function| &*function.name == "b").unwrap().invocations;
            (deepest, runs)
        };
        let (once, runs) = depth(&spans);
        let last = spans.last().unwrap().clone();
        for (at, by) in [(1, 40_u64), (2, 90)] {
            let (trace_id, start) = (crate::span::TraceId([90 + at; 16]), EventTime(last.start.0 + by * SECOND));
            spans.push(Span { trace_id, start, end: EventTime(start.0 + SECOND), ..last.clone() });
        }
        assert_eq!(depth(&spans), (once, runs + 2), "{story}");
        spans.reverse();
        assert_eq!(depth(&spans), (once, runs + 2), "{story} backwards");
    }
}

#[test]
fn another_attempt_below_the_first_is_no_lap() {
    let mut story = Story::parse("a -> b -> a -> b");
    for span in story.spans.iter_mut().filter(|span| span.kind == SpanKind::Server) {
        if span.resource.function().name.as_ref() == "a" {
            span.attributes.insert("faas.invocation_id", Value::Text("one".into()));
        }
    }
    for order in [false, true] {
        if order {
            story.spans.reverse();
        }
        let snapshot = analyse(story.spans.clone(), 1, 1);
        let depths: Vec<_> = snapshot.loops.iter().map(|found| (found.laps, found.max_depth)).collect();
        assert_eq!(depths, [(1, 1)], "b comes round, and a does not");
    }
}

#[test]
fn a_schedule_that_a_function_sets_for_itself_is_a_loop() {
    // An hour a lap: what was an hour ago is long gone, but for what waits for a schedule.
    for story in [
        "a ~s+~> a ~s+~> a ~s+~> a",
        "a ~s+l~> a ~s+l~> a ~s+l~> a",
        "a ~s+p~> a ~s+p~> a ~s+p~> a",
        "a ~s+~> b ~> c ~> a ~s+~> b ~> c ~> a ~s+~> b ~> c ~> a",
    ] {
        let mut engine = Engine::new(&Config::recommended(), 2);
        let mut now = START;
        for span in Story::parse(story).spans {
            while now.0 < span.end.0 {
                now.0 += 20 * SECOND;
                engine.tick(now);
            }
            engine.ingest(now, [span]);
        }
        (0..3).for_each(|at| engine.tick(ArrivalTime(now.0 + at * 20 * SECOND)));
        let snapshot = engine.snapshot(now);
        let found: Vec<_> = snapshot.loops.iter().map(|found| (found.names.len(), found.max_depth)).collect();
        assert_eq!(found, [(if story.contains('b') { 3 } else { 1 }, 3)], "{}", describe(&snapshot));
    }
}

#[test]
fn laps_that_double_are_an_alarm_before_300_invocations() {
    for is_message in [true, false] {
        let mut story = Story::default();
        let mut leaves = vec![story.root("a")];
        for _ in 0..5 {
            let next = leaves.iter().flat_map(|run| [run; 2]);
            leaves =
                next.map(|run| if is_message { story.message(run, "a", None) } else { story.call(run, "a") }).collect();
        }
        let snapshot = analyse(story.spans.clone(), 1, 5);
        assert_eq!(snapshot.loops[0].assessment, Assessment::Unremarkable);
        for run in leaves.iter().take(64).flat_map(|run| [run; 2]) {
            if is_message {
                story.message(run, "a", None)
            } else {
                story.call(run, "a")
            };
        }
        let found = &analyse(story.spans, 1, 5).loops[0];
        assert_eq!(found.assessment, Assessment::Alarm, "{found:?}");
        assert_eq!((found.reasons.as_slice(), found.severity), (&[Reason::FanOut][..], Severity::Critical));
    }
}

#[test]
fn a_new_loop_is_suspect_at_7_laps_and_an_alarm_at_18() {
    use Assessment::{Alarm, Suspect, Unremarkable};
    for (laps, expected) in [(4, Unremarkable), (6, Unremarkable), (7, Suspect), (17, Suspect), (18, Alarm)] {
        let snapshot = analyse(Story::parse(&format!("a{}", " ~> a".repeat(laps))).spans, 1, 1);
        let found = &snapshot.loops[0];
        assert_eq!((found.assessment, found.max_depth as usize, found.chains), (expected, laps, 1));
        assert_eq!(found.severity > Severity::Info, expected == Alarm);
    }
}
