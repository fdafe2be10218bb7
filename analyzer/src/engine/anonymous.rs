//! Tests of loops of which no id is known on both sides: names of queues and conversations alone.

use std::sync::Arc;

use super::Engine;
use crate::{
    attribute::{Attributes, Value},
    config::Config,
    fixture::{Run, SECOND, START, Story},
    identity::Resource,
    intended::Verdict,
    snapshot::{Assessment, Loop, LoopId, LoopState, Reason, Severity},
    span::{ArrivalTime, Span, SpanKind},
};

/// What is found when spans arrive at these seconds, and half a minute later.
fn watch(spans: Vec<(f64, Span)>) -> Vec<Loop> {
    watch_by(2, spans, None)
}

fn watch_by(shards: usize, mut spans: Vec<(f64, Span)>, said: Option<(LoopId, Verdict)>) -> Vec<Loop> {
    spans.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut engine = Engine::new(&Config::recommended(), shards);
    said.into_iter().for_each(|(id, verdict)| engine.teach(id, verdict));
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

/// Chains like `chain`, in which `%` stands for the laps; each begins a little after the one before.
fn chains(chain: &str, lap: &str, laps: impl IntoIterator<Item = usize>) -> Vec<(f64, Span)> {
    let mut story = Story::default();
    let mut spans = Vec::new();
    for (at, laps) in (0_u32..).zip(laps) {
        let before = story.spans.len();
        story.add(&chain.replace('%', &lap.repeat(laps)));
        let later = f64::from(at) * 0.37;
        for span in &mut story.spans[before..] {
            (span.start.0, span.end.0) = (span.start.0 + nanos(later), span.end.0 + nanos(later));
        }
        spans.extend(story.spans[before..].iter().map(|span| (end(span), span.clone())));
    }
    spans
}

fn nanos(seconds: f64) -> u64 {
    (seconds * SECOND as f64) as u64
}

/// Loops that are an alarm because of counts, by the names of their functions.
fn by_flow(found: &[Loop]) -> Vec<String> {
    let by_flow = found.iter().filter(|found| found.reasons.contains(&Reason::Flow));
    by_flow.map(|found| found.names.join(" ")).collect()
}

#[test]
fn many_chains_over_one_queue_that_never_end_are_found_under_the_id_of_the_loop() {
    let found = watch(chains("web ~q?~> w%", " ~q?~> w", [40; 60]));
    assert_eq!(by_flow(&found), ["w"]);
    let chain = watch(chains("w%", " ~> w", [3]));
    assert_eq!(found[0].id, chain[0].id);
    assert_eq!(found.iter().filter(|found| found.names == chain[0].names).count(), 1);
    let flow = found[0].flow.as_ref().unwrap();
    assert!(flow.reproduction.mean > 0.95 && flow.reproduction.low > 0.9, "{flow:?}");
    assert!(flow.immigrants_per_minute < flow.laps_per_minute / 10.0, "{flow:?}");
    assert_eq!((flow.hops.len(), flow.hops[0].share), (1, 1.0));
    assert!(found[0].severity >= Severity::Warning && found[0].state != LoopState::Latent);
}

#[test]
fn a_ring_of_functions_over_queues_is_found_as_the_chain_of_it_is() {
    let found = watch(chains("web ~p?~> a%", " ~q?~> b ~p?~> a", [20; 80]));
    assert_eq!(by_flow(&found), ["a b"]);
    let chain = watch(chains("a%", " ~> b ~> a", [3]));
    assert_eq!(found[0].id, chain[0].id);
}

#[test]
fn pages_pipelines_and_work_that_is_handed_on_once_are_no_loops() {
    // Of each hundred that go on so far, twenty end: mean 4.
    let lengths = || [0, 3, 1, 0, 9, 2, 14, 1, 4, 6].into_iter().cycle().take(400);
    let pages = watch(chains("web ~q?~> w%", " ~q?~> w", lengths()));
    assert_eq!(by_flow(&pages), [""; 0]);
    let r = pages[0].flow.as_ref().unwrap().reproduction;
    assert!(r.low < 0.8 && r.high > 0.8 && r.high < 0.9, "{r:?}");
    assert_eq!(watch(chains("web ~q?~> a ~p?~> b ~r?~> c", "", [0; 300])), []);
    let handed = watch(chains("w ~q?~> w", "", [0; 300]));
    assert!(by_flow(&handed).is_empty() && handed.iter().all(|found| found.severity == Severity::Info), "{handed:?}");
}

/// A tree of work that is halved so often, over one queue; each half begins a little later than the other.
fn divided(depth: u32) -> Vec<(f64, Span)> {
    let mut story = Story::default();
    let mut level: Vec<Run> = vec![story.root("w")];
    for _ in 0..depth {
        let halves = |run: &Run| [story.lose_context(run, "w", "q?"), story.lose_context(run, "w", "q?")];
        level = level.iter().flat_map(halves).collect();
    }
    story.spans.iter().map(|span| (end(span), span.clone())).collect()
}

#[test]
fn dividing_work_is_no_flood_and_what_goes_beyond_it_is() {
    assert_eq!(by_flow(&watch(divided(10))), [""; 0]);
    let found = watch(divided(12));
    assert_eq!(by_flow(&found), ["w"]);
}

#[test]
fn the_number_of_shards_changes_nothing() {
    let spans = chains("web ~q?~> w%", " ~q?~> w", [30; 20]);
    let flow = |shards| watch_by(shards, spans.clone(), None)[0].flow.clone();
    assert!(flow(1).is_some());
    assert_eq!(flow(1), flow(4));
}

#[test]
fn where_a_filter_may_stand_between_it_is_a_suspicion() {
    let mut spans = chains("web ~q?~> w%", " ~q?~> w", [40; 60]);
    for (_, span) in &mut spans {
        span.attributes.insert("messaging.system", Value::Text("kafka".into()));
    }
    let found = watch(spans);
    let alone: Vec<_> = found.iter().filter(|found| found.flow.is_some()).collect();
    assert_eq!((alone.len(), by_flow(&found)), (1, vec![]));
    assert!(alone[0].assessment >= Assessment::Suspect);
}

#[test]
fn what_ids_tell_is_not_counted() {
    assert!(watch(chains("web ~q#~> w%", " ~q#~> w", [40; 60])).iter().all(|found| found.flow.is_none()));
    assert!(watch(chains("web ~q~> w%", " ~q~> w", [40; 60])).iter().all(|found| found.flow.is_none()));
}

#[test]
fn what_somebody_expects_is_no_alarm() {
    let spans = || chains("web ~q?~> w%", " ~q?~> w", [40; 60]);
    let id = watch(spans())[0].id;
    let expected = watch_by(2, spans(), Some((id, Verdict::Expected { max_depth: 1_000 })));
    assert!(by_flow(&expected).is_empty() && expected[0].flow.is_some());
}

#[test]
fn calls_of_itself_that_all_wait_are_told_apart_by_when_they_begin() {
    let mut attributes = Attributes::default();
    for (key, value) in [("faas.name", "w"), ("cloud.provider", "aws"), ("cloud.platform", "aws_lambda")] {
        attributes.insert(key, Value::Text(value.into()));
    }
    let lambda = Resource::new(attributes);
    let mut story = Story::default();
    for depth in 0..60 {
        let before = story.spans.len();
        let run = story.root("w");
        story.call(&run, "w");
        story.spans.pop();
        story.say(&[("faas.invoked_name", "w"), ("faas.invoked_provider", "aws")]);
        // Each calls the next a quarter of a second after it began, and all of them wait for half a minute.
        for (span, begins) in story.spans[before..].iter_mut().zip([0.0, 0.245]) {
            span.start.0 = START.0 + nanos(f64::from(depth) * 0.25 + begins);
            span.end.0 = span.start.0 + nanos(30.0 - begins);
            span.resource = Arc::clone(&lambda);
        }
    }
    let found = watch(story.spans.iter().map(|span| (end(span), span.clone())).collect());
    assert!(found[0].max_depth >= 40 && found[0].severity >= Severity::Warning, "{found:#?}");
}

/// Loops of the engine so long after it was fed.
fn watch_on(spans: Vec<(f64, Span)>, seconds: u64) -> (Engine, ArrivalTime) {
    let mut engine = Engine::new(&Config::recommended(), 1);
    let mut spans = spans;
    spans.sort_by(|one, other| one.0.total_cmp(&other.0));
    let last = spans.last().map_or(0, |(at, _)| *at as u64);
    let mut spans = spans.into_iter().peekable();
    for second in 0..=last + seconds {
        let now = ArrivalTime(START.0 + second * SECOND);
        while let Some((_, span)) = spans.next_if(|(at, _)| *at < second as f64) {
            engine.ingest(now, [span]);
        }
        engine.tick(now);
    }
    (engine, ArrivalTime(START.0 + (last + seconds) * SECOND))
}

#[test]
fn a_batch_is_as_many_messages_on_both_sides() {
    let mut spans = chains("web ~q?~> w%", " ~q?~> w", [40; 60]);
    for (_, span) in &mut spans {
        span.attributes.insert("messaging.batch.message_count", Value::Int(10));
    }
    let found = watch(spans);
    assert_eq!(by_flow(&found), ["w"]);
    let r = found[0].flow.as_ref().unwrap().reproduction;
    assert!((0.9..1.1).contains(&r.mean), "{r:?}");
}

#[test]
fn a_send_that_failed_is_none() {
    let mut spans = chains("web ~q?~> w%", " ~q?~> w", [40; 60]);
    let failed = |(at, span): &(f64, Span)| {
        let mut failed = span.clone();
        failed.error = true;
        failed.span_id.0[0] = 1;
        (*at, failed)
    };
    let retries: Vec<_> = spans.iter().filter(|(_, span)| span.kind == SpanKind::Producer).map(failed).collect();
    spans.extend(retries);
    let found = watch(spans);
    let r = found.iter().find_map(|found| found.flow.as_ref()).unwrap().reproduction;
    assert!(r.mean < 1.05, "{r:?}");
}

#[test]
fn a_loop_that_is_no_alarm_any_more_is_told_as_closed() {
    let states = [60, 1_000, 3_000].map(|seconds| {
        let (engine, _) = watch_on(chains("web ~q?~> w%", " ~q?~> w", [40; 60]), seconds);
        let found = engine.loops();
        let own = found.iter().find(|found| found.names == ["w".into()]).map(|found| found.state);
        (by_flow(&found).len(), own)
    });
    assert_eq!(states[0].0, 1);
    assert_eq!(states[1], (0, Some(LoopState::Closed)));
    assert_eq!(states[2].0, 0);
}

#[test]
fn a_start_anew_keeps_an_alarm_that_counts_gave() {
    let (mut engine, now) = watch_on(chains("web ~q?~> w%", " ~q?~> w", [40; 60]), 120);
    let before = engine.loops();
    let (linker, aggregate) = engine.save(now);
    let engine = Engine::load(&Config::recommended(), 1, (&linker, &aggregate), now, []).unwrap();
    assert_eq!(by_flow(&engine.loops()), ["w"]);
    assert!(before[0].flow.is_some());
    assert_eq!(engine.loops()[0].flow, before[0].flow);
}
