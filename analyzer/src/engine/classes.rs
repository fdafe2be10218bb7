//! Tests of the classes of loops: for each what is one, and what only looks like it.

use super::Engine;
use crate::{
    config::Config,
    fixture::{Run, SECOND, START, Story},
    snapshot::{Assessment, Loop, LoopClass, LoopState, Reason, Severity},
    span::{ArrivalTime, EventTime, Span, TraceId},
};

/// What is found when spans come as they end, and a minute goes by after the last.
fn watch(mut spans: Vec<Span>) -> Vec<Loop> {
    spans.sort_by_key(|span| span.end);
    let mut engine = Engine::new(&Config::recommended(), 2);
    let mut now = START;
    for span in spans {
        while now.0 + 10 * SECOND < span.end.0 {
            now.0 += 10 * SECOND;
            engine.tick(now);
        }
        now.0 = now.0.max(span.end.0);
        engine.ingest(now, [span]);
    }
    for _ in 0..6 {
        now.0 += 10 * SECOND;
        engine.tick(now);
    }
    engine.loops()
}

/// Names and classes of what is found.
fn classes(spans: Vec<Span>) -> Vec<String> {
    let words = |found: &Loop| {
        let classes: Vec<&str> = found.classes.iter().map(|class| class.word()).collect();
        format!("{}: {}", found.names.join(" "), classes.join(" "))
    };
    watch(spans).iter().map(words).collect()
}

#[track_caller]
fn check(story: &str, expected: &[&str]) {
    assert_eq!(classes(Story::parse(story).spans), expected, "{story}");
}

/// So many invocations of `f`, each in a trace of its own and `seconds` after the last.
fn runs(count: u64, seconds: u64, mut run: impl FnMut(&mut Story, u64)) -> Vec<Span> {
    let mut story = Story::default();
    for at in 0..count {
        let before = story.spans.len();
        run(&mut story, at);
        for span in &mut story.spans[before..] {
            span.start.0 += at * seconds * SECOND;
            span.end.0 += at * seconds * SECOND;
        }
    }
    story.spans
}

/// An invocation that something starts.
fn started(story: &mut Story, trigger: &str) -> Run {
    let run = story.root("f");
    story.say(&[("faas.trigger", trigger)]);
    run
}

/// A client span of an invocation.
fn asks(story: &mut Story, run: &Run, attributes: &[(&str, &str)]) {
    story.call(run, "store");
    story.spans.pop();
    story.say(attributes);
}

const TABLE: [(&str, &str); 2] = [("db.system.name", "aws.dynamodb"), ("aws.dynamodb.table_names", "batches")];

fn changes(story: &mut Story, run: &Run, row: &str) {
    asks(story, run, &[TABLE[0], TABLE[1], ("db.operation.name", "UpdateItem"), ("aws.dynamodb.key", row)]);
}

#[test]
fn a_cycle_that_nothing_goes_round_is_latent() {
    check("a -> b\nb -> a", &["a b: latent"]);
}

#[test]
fn laps_are_within_a_trace_or_across_traces_and_of_one_function_or_several() {
    check("a -> b -> a -> b -> a", &["a b: reentry"]);
    check("a ~> b ~> a ~> b ~> a", &["a b: cross_trace"]);
    check("a -> a -> a", &["a: reentry self"]);
    check("a ~> a ~> a", &["a: cross_trace self"]);
    check("a -> b ~> a -> b ~> a", &["a b: cross_trace"]);
}

#[test]
fn what_is_tried_again_is_a_storm_and_no_lap() {
    let spans = runs(5, 30, |story, _| {
        let run = story.root("f");
        for _ in 0..4 {
            let called = story.call(&run, "b");
            let length = story.spans.len();
            for span in &mut story.spans[length - 2..] {
                span.error = true;
            }
            drop(called);
        }
        // One after the other.
        let length = story.spans.len();
        for (at, pair) in (0..).zip(story.spans[length - 8..].chunks_mut(2)) {
            pair.iter_mut()
                .for_each(|span| (span.start.0, span.end.0) = (span.start.0 + at * SECOND, span.end.0 + at * SECOND));
        }
    });
    let found = watch(spans);
    let words: Vec<_> = found.iter().map(|found| (found.classes.clone(), found.max_depth, found.laps)).collect();
    assert_eq!(words, [(vec![LoopClass::RetryStorm], 0, 0)]);
}

#[test]
fn what_fails_and_is_sent_again_is_poison_and_what_waits_for_a_failure_is_not() {
    let failing = |story: &str| {
        let mut spans = Story::parse(story).spans;
        spans.iter_mut().filter(|span| span.kind.is_inbound()).for_each(|span| span.error = true);
        classes(spans)
    };
    let laps = |lap: &str| format!("a{}", lap.repeat(6));
    assert_eq!(failing(&laps(" ~q#~> a")), ["a: cross_trace self poison"]);
    assert_eq!(failing(&laps(" ~q~> a")), ["a: cross_trace self poison"]);
    assert_eq!(failing(&laps(" -> b ~q~> a")), ["a b: cross_trace poison"]);
    assert_eq!(failing(&laps(" -> a")), ["a: reentry self"]);
    check(&laps(" ~q~> a"), &["a: cross_trace self"]);
}

#[test]
fn laps_that_multiply_fan_out() {
    let mut story = Story::default();
    let mut leaves = vec![story.root("f")];
    for _ in 0..7 {
        leaves = leaves.iter().flat_map(|run| [run; 2]).map(|run| story.message(run, "f", None)).collect();
    }
    assert_eq!(classes(story.spans), ["f: cross_trace self fan_out self_timer"]);
}

#[test]
fn chains_that_end_by_themselves_make_a_loop_bounded() {
    let found = classes(runs(60, 20, |story, _| {
        let first = story.root("f");
        let second = story.message(&first, "f", None);
        story.message(&second, "f", None);
    }));
    assert_eq!(found, ["f: cross_trace self bounded"]);
}

#[test]
fn who_sets_the_own_schedule_is_a_timer_and_slow_when_that_takes_long() {
    check("a ~s+~> a ~s+~> a ~s+~> a", &["a: cross_trace self slow self_timer"]);
    // Others on the way are no timer of one's own.
    check("a ~s+~> b ~> a ~s+~> b ~> a", &["a b: cross_trace slow"]);
}

#[test]
fn who_fills_the_own_queue_is_a_timer_unless_work_comes_from_outside() {
    let own = format!("a{}", " ~q~> a".repeat(30));
    check(&own, &["a: cross_trace self self_timer"]);
    // As many come from outside, in between.
    let mut story = Story::default();
    let mut run = story.root("a");
    for _ in 0..30 {
        run = story.message(&run, "a", Some("q"));
        let outside = story.root("a");
        let length = story.spans.len();
        story.spans[length - 1].start = EventTime(story.spans[length - 2].start.0);
        story.spans[length - 1].end = story.spans[length - 2].end;
        drop(outside);
    }
    assert_eq!(classes(story.spans), ["a: cross_trace self"]);
    check(&format!("a{}", " -> a".repeat(30)), &["a: reentry self"]);
}

#[test]
fn the_same_entity_in_many_chains_is_work_without_progress() {
    let found = watch(runs(25, 20, |story, _| {
        let run = started(story, "timer");
        changes(story, &run, "batch-17");
    }));
    let [found] = &found[..] else { panic!("{found:?}") };
    assert_eq!(found.classes, [LoopClass::NoProgress]);
    assert_eq!((found.max_depth, found.laps, found.state), (0, 0, LoopState::Persistent));
    assert_eq!((found.assessment, found.severity), (Assessment::Alarm, Severity::Warning));
    assert_eq!(found.reasons, [Reason::NoProgress]);
    assert!(found.chains >= 20 && found.exemplars.len() == 5, "{found:?}");
}

#[test]
fn an_entity_may_be_delivered_or_be_what_an_author_calls_one() {
    let delivered = runs(25, 20, |story, _| {
        started(story, "datasource");
        story.say(&[("faas.document.collection", "inbox"), ("faas.document.name", "a.csv")]);
    });
    assert_eq!(classes(delivered), ["f: no_progress"]);
    let named = runs(25, 20, |story, _| {
        started(story, "pubsub");
        story.say(&[("loopscope.entity.id", "order-1")]);
    });
    assert_eq!(classes(named), ["f: no_progress"]);
}

#[test]
fn work_that_makes_progress_is_none() {
    let none: [String; 0] = [];
    let each_another = runs(60, 10, |story, at| {
        let run = started(story, "timer");
        changes(story, &run, &format!("batch-{at}"));
    });
    assert_eq!(classes(each_another), none);
    let counter_beside = runs(60, 10, |story, at| {
        let run = started(story, "timer");
        changes(story, &run, "counter");
        changes(story, &run, &format!("batch-{at}"));
    });
    assert_eq!(classes(counter_beside), none);
    let asked_by_people = runs(60, 10, |story, _| {
        let run = started(story, "http");
        changes(story, &run, "popular");
    });
    assert_eq!(classes(asked_by_people), none);
    let only_reads = runs(60, 10, |story, _| {
        let run = started(story, "timer");
        asks(story, &run, &[TABLE[0], TABLE[1], ("db.operation.name", "GetItem"), ("aws.dynamodb.key", "hot")]);
    });
    assert_eq!(classes(only_reads), none);
    let seldom = runs(60, 35, |story, _| {
        let run = started(story, "timer");
        changes(story, &run, "heartbeat");
    });
    assert_eq!(classes(seldom), none);
}

#[test]
fn a_loop_a_retry_and_one_that_starts_many_are_not_work_without_progress() {
    // One object overwritten by the function that it triggers: a loop, and one chain.
    let overwritten = format!("a{}", " ~uploads/k#~> a".repeat(40));
    check(&overwritten, &["a: cross_trace self"]);
    // One message delivered forty times.
    let delivered = runs(40, 10, |story, _| {
        let run = started(story, "pubsub");
        story.say(&[("messaging.message.id", "one"), ("messaging.destination.name", "q")]);
        changes(story, &run, "row");
    });
    assert!(watch(delivered).iter().all(|found| !found.classes.contains(&LoopClass::NoProgress)));
    // One job that starts forty workers, which change its row.
    let mut story = Story::default();
    let job = story.root("job");
    for _ in 0..40 {
        let worker = story.message(&job, "worker", None);
        changes(&mut story, &worker, "job-1");
    }
    assert_eq!(classes(story.spans), [""; 0]);
}

#[test]
fn work_without_progress_is_over_when_it_stops() {
    let mut spans = runs(25, 20, |story, _| {
        let run = started(story, "timer");
        changes(story, &run, "batch-17");
    });
    let mut late = Story::parse("x").spans.remove(0);
    late.trace_id = TraceId([9; 16]);
    (late.start.0, late.end.0) = (late.start.0 + 7_200 * SECOND, late.end.0 + 7_200 * SECOND);
    spans.push(late);
    let found = watch(spans);
    let ends: Vec<_> = found.iter().map(|found| (found.state, found.assessment, found.severity)).collect();
    assert_eq!(ends, [(LoopState::Closed, Assessment::Unremarkable, Severity::Info)]);
}

#[test]
fn exports_that_are_exported_are_telemetry_about_telemetry() {
    let exports = |count: u64| {
        runs(count, 5, |story, _| {
            let run = started(story, "timer");
            asks(story, &run, &[("url.full", "http://collector:4318/v1/traces"), ("http.request.method", "POST")]);
        })
    };
    assert_eq!(classes(exports(9)), [""; 0]);
    let found = watch(exports(30));
    let [found] = &found[..] else { panic!("{found:?}") };
    assert_eq!(
        (found.classes.as_slice(), found.reasons.as_slice()),
        (&[LoopClass::Telemetry][..], &[Reason::Telemetry][..])
    );
    assert_eq!((found.chains, found.max_depth, found.severity), (21, 0, Severity::Warning));
}

#[test]
fn what_goes_on_in_two_ways_is_two_findings_and_each_can_be_expected() {
    let mut engine = Engine::new(&Config::recommended(), 1);
    let spans = runs(30, 10, |story, _| {
        let run = started(story, "timer");
        changes(story, &run, "batch-17");
        asks(story, &run, &[("rpc.service", "opentelemetry.proto.collector.trace.v1.TraceService")]);
    });
    let mut now = START;
    for span in spans {
        now = ArrivalTime(now.0.max(span.end.0));
        engine.ingest(now, [span]);
        engine.tick(now);
    }
    let mut found = engine.loops();
    assert_eq!(found.len(), 2);
    assert_ne!(found[0].id, found[1].id);
    let expected = found.remove(0);
    engine.linker.teach(expected.id, crate::intended::Verdict::Expected { max_depth: 0 });
    engine.tick(now);
    let severities: Vec<_> = engine.loops().iter().map(|found| (found.severity, found.id == expected.id)).collect();
    assert_eq!(severities, [(Severity::Warning, false), (Severity::Info, true)]);
}
