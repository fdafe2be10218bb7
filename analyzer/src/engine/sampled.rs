//! Tests of input that was sampled: counts stand for what was dropped, and nothing is made of what sampling hides.

use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Engine;
use crate::{
    config::Config,
    fixture::{Run, SECOND, START, Story, analyse},
    snapshot::{Assessment, Loop, LoopState, Reason, Snapshot},
    span::{ArrivalTime, Span},
};

/// What a consistent sampler keeps: whole traces, by their ids.
fn sample(spans: Vec<Span>, probability: f32, seed: u64) -> Vec<Span> {
    let randomness = |span: &Span| (xxh3_64_with_seed(&span.trace_id.0, seed) >> 40) as f32 / (1 << 24) as f32;
    let kept = spans.into_iter().filter(|span| randomness(span) < probability);
    kept.map(|span| Span { sampling: Some(probability), ..span }).collect()
}

/// What is known when spans come as they end, and a few seconds go by after the last.
fn watch(spans: Vec<Span>) -> Snapshot {
    watch_each_second(spans, |_| {})
}

/// The same, and the loops of each second.
fn watch_each_second(mut spans: Vec<Span>, mut look: impl FnMut(&[Loop])) -> Snapshot {
    spans.sort_by_key(|span| span.end);
    let mut engine = Engine::new(&Config::recommended(), 2);
    let mut now = START;
    for span in spans {
        while now.0 + SECOND < span.end.0 {
            now.0 += SECOND;
            engine.tick(now);
            look(&engine.loops());
        }
        engine.ingest(ArrivalTime(now.0.max(span.end.0)), [span]);
    }
    for _ in 0..20 {
        now.0 += SECOND;
        engine.tick(now);
        look(&engine.loops());
    }
    engine.snapshot(now)
}

/// A number from 0 to 1 that looks like chance.
fn chance(seed: u64) -> f64 {
    (xxh3_64_with_seed(&seed.to_le_bytes(), 7) >> 11) as f64 / (1_u64 << 53) as f64
}

/// `f` causes itself by messages: a chain begins each 100 ms, and a lap is followed with the probability that
/// `goes_on` says for the number of its chain.
fn chains(count: u64, most: usize, goes_on: impl Fn(u64) -> f64) -> Vec<Span> {
    let mut story = Story::default();
    for chain in 0..count {
        let before = story.spans.len();
        let mut run = story.root("f");
        run = story.message(&run, "f", None);
        for lap in 1..most {
            if chance(chain << 32 | lap as u64) >= goes_on(chain) {
                break;
            }
            run = story.message(&run, "f", None);
        }
        let begun = story.spans[before].start.0;
        for span in &mut story.spans[before..] {
            let at = |time: u64| START.0 + chain * SECOND / 10 + (time - begun);
            (span.start.0, span.end.0) = (at(span.start.0), at(span.end.0));
        }
    }
    story.spans
}

/// A tree of laps in which each causes two more, to this depth.
fn tree(depth: u32) -> Vec<Span> {
    let mut story = Story::default();
    let mut runs: Vec<Run> = vec![story.root("f")];
    for _ in 0..depth {
        runs = runs.iter().flat_map(|run| [(); 2].map(|()| story.message(run, "f", Some("q")))).collect();
    }
    story.spans
}

fn only_loop(snapshot: &Snapshot) -> &Loop {
    assert_eq!(snapshot.loops.len(), 1);
    &snapshot.loops[0]
}

#[test]
fn what_is_counted_from_two_spans_is_as_rare_as_both() {
    let mut spans = Story::parse("a -> b\na ~> c").spans;
    for span in &mut spans {
        span.sampling = Some(if &*span.name == "a" { 0.5 } else { 0.25 });
    }
    spans[1].error = true;
    let snapshot = analyse(spans, 1, 10);
    let runs: Vec<_> =
        snapshot.functions.iter().map(|it| (&*it.name, it.invocations, it.sampling_probability)).collect();
    let mut sorted = runs.clone();
    sorted.sort_by_key(|(name, ..)| *name);
    assert_eq!(sorted, [("a", 4, Some(0.5)), ("b", 4, Some(0.25)), ("c", 4, Some(0.25))]);
    let mut calls: Vec<_> =
        snapshot.edges.iter().map(|it| (it.kind.word(), it.calls, it.errors, it.sampling_probability)).collect();
    calls.sort_by_key(|(kind, ..)| *kind);
    // A call is within one trace; a message leads from one trace to another.
    assert_eq!(calls, [("call", 4, 4, Some(0.25)), ("message", 8, 0, Some(0.125))]);
}

#[test]
fn what_is_whole_says_nothing_of_sampling() {
    for probability in [None, Some(1.0)] {
        let mut spans = Story::parse("a -> b ~> a").spans;
        spans.iter_mut().for_each(|span| span.sampling = probability);
        let snapshot = analyse(spans, 1, 10);
        assert!(snapshot.functions.iter().all(|it| it.sampling_probability.is_none()));
        assert!(snapshot.edges.iter().all(|it| it.sampling_probability.is_none()));
        let found = only_loop(&snapshot);
        assert_eq!((found.sampling_probability, found.next_lap_sampling_probability), (None, None));
    }
}

#[test]
fn a_span_that_claims_too_much_counts_for_less_and_is_counted() {
    let mut spans = Story::parse("a").spans;
    spans[0].sampling = Some(1e-9);
    let snapshot = analyse(spans, 1, 1);
    assert_eq!((snapshot.functions[0].invocations, snapshot.losses.sampling_clipped), (65_536, 1));
}

#[test]
fn laps_within_a_trace_are_an_alarm_at_any_sampling() {
    let mut spans = Story::parse(&format!("f{}", " -> f".repeat(40))).spans;
    spans.iter_mut().for_each(|span| span.sampling = Some(0.1));
    let mut alarmed_at = None;
    let snapshot = watch_each_second(spans, |loops| {
        if let [found] = loops
            && found.assessment == Assessment::Alarm
        {
            alarmed_at.get_or_insert(found.max_depth);
        }
    });
    let found = only_loop(&snapshot);
    assert_eq!((alarmed_at, found.alarm_depth, found.max_depth), (Some(18), Some(18), 40));
    assert_eq!(found.reasons, [Reason::Depth]);
    assert_eq!((found.laps, found.chains, found.open_chains), (400, 10, 10), "one of ten traces is here");
    assert_eq!(found.next_lap_sampling_probability, None);
    assert!((found.sampling_probability.unwrap() - 0.1).abs() < 1e-3);
    assert_eq!(found.state, LoopState::Persistent);
}

#[test]
fn depth_is_not_judged_where_sampling_hides_the_next_lap() {
    // As if chance had kept every trace: even then nothing is made of it.
    let spans = |probability| {
        let mut spans = Story::parse(&format!("f{}", " ~> f".repeat(40))).spans;
        spans.iter_mut().for_each(|span| span.sampling = Some(probability));
        spans
    };
    let hidden = watch(spans(0.1));
    let hidden = only_loop(&hidden);
    assert_eq!(
        (hidden.assessment, hidden.alarm_depth, hidden.depth_probability),
        (Assessment::Unremarkable, None, None)
    );
    assert!((hidden.next_lap_sampling_probability.unwrap() - 0.1).abs() < 1e-3);
    assert!((hidden.sampling_probability.unwrap() - 0.01).abs() < 1e-4, "both ends of a lap must be kept");
    let shown = watch(spans(0.5));
    let shown = only_loop(&shown);
    assert_eq!((shown.assessment, shown.alarm_depth), (Assessment::Alarm, Some(18)));
    assert_eq!(shown.next_lap_sampling_probability, Some(0.5));
}

#[test]
fn depth_is_judged_within_traces_where_sampling_hides_the_laps_between_them() {
    let judged = |story: &str, probability| {
        let mut spans = Story::parse(story).spans;
        spans.iter_mut().for_each(|span| span.sampling = Some(probability));
        let snapshot = watch(spans);
        let found = only_loop(&snapshot);
        (found.alarm_depth, found.is_judged_within_traces)
    };
    let mixed = format!("f{} -> f", " ~> f".repeat(40));
    assert_eq!(judged(&mixed, 0.1), (Some(18), true));
    assert_eq!(judged(&mixed, 0.5), (Some(18), false), "enough is seen");
    assert_eq!(judged(&format!("f{}", " ~> f".repeat(40)), 0.1), (None, false));
    assert_eq!(judged("f -> f -> f", 0.1), (Some(18), false), "all is seen");
}

#[test]
fn a_lap_over_two_traces_is_seen_after_another_as_often_as_both() {
    let mut spans = Story::parse(&format!("a{}", " ~> b ~> a".repeat(3))).spans;
    spans.iter_mut().for_each(|span| span.sampling = Some(0.5));
    let found = watch(spans);
    let found = only_loop(&found);
    assert_eq!((found.next_lap_sampling_probability, found.sampling_probability), (Some(0.25), Some(0.125)));
    assert_eq!(found.laps, 24);
}

#[test]
fn pieces_of_chains_teach_nothing_of_how_deep_chains_go() {
    let bounded = |probability| watch(sample(chains(1_500, 8, |_| 0.7), probability, 1)).loops.remove(0);
    let (whole, half) = (bounded(1.0), bounded(0.5));
    assert!(whole.learned_chains > 500 && whole.alarm_depth < Some(18), "{whole:?}");
    // As without any history.
    assert!(half.learned_chains == 0 && half.alarm_depth >= Some(18), "{half:?}");
}

#[test]
fn r_of_chains_over_traces_is_near_the_truth() {
    let spans = chains(3_000, 200, |_| 0.7);
    for (probability, close) in [(1.0, 0.1), (0.5, 0.25), (0.3, 0.4)] {
        let mut means = Vec::new();
        for seed in 0..2 {
            let snapshot = watch(sample(spans.clone(), probability, seed));
            let found = only_loop(&snapshot);
            let r = found.reproduction.unwrap();
            assert!(r.low < 0.7 && r.high > 0.7, "{probability}: {r:?}");
            means.push((r.mean, r.high - r.low));
            let laps = found.laps as f64 / 3_000.0;
            assert!((laps - 1.0 / 0.3).abs() < close, "{probability}: {laps} laps a chain");
            let chains = found.chains as f64 / 3_000.0;
            assert!((chains - 1.0).abs() < close, "{probability}: {chains} chains for one");
        }
        let mean = means.iter().map(|(mean, _)| mean).sum::<f64>() / 2.0;
        assert!((mean - 0.7).abs() < close / 2.0, "{probability}: {means:?}");
        assert!(means.iter().all(|(_, width)| *width < 1.0), "{probability}: {means:?}");
    }
}

#[test]
fn chains_that_all_go_on_are_an_alarm_by_their_rate_where_depth_is_hidden() {
    // For three minutes three laps in ten are followed, then all are.
    let spans = chains(2_400, 60, |chain| if chain < 1_800 { 0.3 } else { 1.0 });
    let benign = watch(sample(chains(1_800, 60, |_| 0.3), 0.15, 3));
    assert!(benign.loops.iter().all(|found| found.assessment == Assessment::Unremarkable));
    let snapshot = watch(sample(spans, 0.15, 3));
    let found = only_loop(&snapshot);
    assert_eq!((found.assessment, found.alarm_depth), (Assessment::Alarm, None), "{found:#?}");
    assert_eq!(found.reasons, [Reason::Rate]);
}

#[test]
fn a_chain_that_goes_on_for_ever_is_an_alarm_by_what_it_sends_where_depth_is_hidden() {
    let story = format!("f{}", " ~q~> f".repeat(1_500));
    let snapshot = watch(sample(Story::parse(&story).spans, 0.1, 3));
    let found = only_loop(&snapshot);
    assert_eq!((found.assessment, found.alarm_depth), (Assessment::Alarm, None), "{found:#?}");
    assert_eq!(found.reasons, [Reason::Flow]);
    let rate = found.flow.as_ref().map(|flow| flow.laps_per_minute);
    assert!(rate.is_some_and(|rate| (40.0..80.0).contains(&rate)), "a lap a second: {rate:?}");
}

#[test]
fn trees_that_sampling_cuts_into_pieces_still_grow() {
    let mut states = Vec::new();
    let spans = sample(tree(13), 0.3, 5);
    let snapshot = watch_each_second(spans, |loops| states.extend(loops.iter().map(|found| found.state)));
    assert!(states.contains(&LoopState::Growing));
    let laps = only_loop(&snapshot).laps as f64 / f64::from((2 << 13) - 2);
    assert!((0.6..1.5).contains(&laps), "{laps} of the laps");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn counts_are_right_in_the_mean(seed in any::<u64>(), probability in 0.1f32..0.9) {
        const TRACES: usize = 600;
        let spans = sample(Story::parse(&"a -> b -> c\n".repeat(TRACES)).spans, probability, seed);
        let snapshot = analyse(spans, 2, 500);
        let kept = f64::from(probability);
        let off = 6.0 * (TRACES as f64 * (1.0 - kept) / kept).sqrt() + 2.0;
        let runs = snapshot.functions.iter().map(|it| (it.invocations, it.sampling_probability));
        let calls = snapshot.edges.iter().map(|it| (it.calls, it.sampling_probability));
        for (count, part) in runs.chain(calls) {
            prop_assert!((count as f64 - TRACES as f64).abs() < off, "{count} of {TRACES} at {kept}");
            prop_assert!((part.unwrap() - kept).abs() < 1e-3);
        }
    }
}
