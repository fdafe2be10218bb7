//! Worlds are what their plans say: the same by seed, in order, with the truth beside them.

use std::collections::{BTreeMap, BTreeSet};

use loopscope_analyzer::span::{SpanId, SpanKind};

use super::*;
use crate::{
    catalogue::{self, Times},
    class::Class,
    knobs::{Context, ExportDelay},
    truth::EntryTruth,
};

/// A world with one scenario of each class that stays small, with little going on besides.
fn plan(knobs: Knobs) -> Plan {
    let mut dice = Dice::new(1, "test");
    let times = Times { from: 0.0, onset: 30.0, to: 240.0 };
    let scenario = |class: Class| catalogue::scenario(class, class.word(), knobs.context, times, &mut dice);
    Plan {
        seed: 7,
        scenarios: Class::ALL.into_iter().filter(|class| !LARGE.contains(class)).map(scenario).collect(),
        knobs,
        background_functions: 30,
        background_rate: 5.0,
        seconds: 240.0,
        keeps_entries: true,
        history: 0.0,
        tick: 1.0,
    }
}

/// Classes that make thousands of invocations.
const LARGE: [Class; 7] = [
    Class::FanOutTwo,
    Class::FanOutFive,
    Class::AccumulatingFast,
    Class::Hidden,
    Class::DivideDeep,
    Class::DivideWide,
    Class::PaginationPareto,
];

fn quiet(context: Context) -> Knobs {
    Knobs { duplicates: 0.0, clock_skew: 0.0, ..Knobs::plain(context) }
}

fn spans(knobs: Knobs) -> Vec<Span> {
    World::new(plan(knobs)).flat_map(|export| export.spans).collect()
}

fn finish(knobs: Knobs) -> Truth {
    let mut world = World::new(plan(knobs));
    world.by_ref().for_each(drop);
    world.truth
}

#[test]
fn the_same_seed_gives_the_same_world() {
    let text = |plan: Plan| -> Vec<String> { World::new(plan).map(|export| format!("{export:?}")).collect() };
    let knobs = || Knobs { loss: 0.1, batch: 3, ..Knobs::plain(Context::Link) };
    let first = text(plan(knobs()));
    assert_eq!(first, text(plan(knobs())));
    assert_ne!(first, text(Plan { seed: 8, ..plan(knobs()) }));
}

#[test]
fn exports_come_in_order_of_arrival_and_never_before_their_spans_end() {
    let mut last = 0;
    for export in World::new(plan(quiet(Context::Parent))) {
        assert!(export.at.0 >= last);
        last = export.at.0;
        assert!(export.spans.iter().all(|span| span.end.0 <= export.at.0 && span.start <= span.end));
    }
    assert!(last > START + nanos(230.0));
}

#[test]
fn depth_is_what_walking_the_true_causes_gives() {
    for batch in [1, 5] {
        let entries = finish(Knobs { batch, ..quiet(Context::Link) }).entries;
        let mut deepest: Vec<BTreeMap<usize, u32>> = Vec::new();
        for entry in &entries {
            // Of each function the most occurrences on any path to here.
            let mut counts: BTreeMap<usize, u32> = BTreeMap::new();
            for parent in &entry.parents {
                assert_eq!(entries[*parent].scenario, entry.scenario);
                for (node, count) in &deepest[*parent] {
                    let known = counts.entry(*node).or_default();
                    *known = (*known).max(*count);
                }
            }
            let laps = counts.get(&entry.node).copied().unwrap_or(0);
            *counts.entry(entry.node).or_default() += 1;
            assert_eq!(laps, entry.depth, "{}", plan(quiet(Context::Link)).scenarios[entry.scenario].name);
            deepest.push(counts);
        }
        assert!(entries.iter().any(|entry| entry.depth >= 50));
    }
}

#[test]
fn tallies_are_the_sums_of_the_entries() {
    let truth = finish(quiet(Context::Parent));
    for (at, found) in truth.loops.iter().enumerate() {
        let of_it: Vec<&EntryTruth> = truth.entries.iter().filter(|entry| entry.scenario == at).collect();
        assert_eq!(found.all.invocations, of_it.len() as u64);
        assert_eq!(found.all.depth, of_it.iter().map(|entry| entry.depth).max().unwrap_or(0));
        let runaway: Vec<&&EntryTruth> = of_it.iter().filter(|entry| entry.is_runaway).collect();
        assert_eq!(found.runaway.invocations, runaway.len() as u64);
        assert_eq!(found.depth_at(u64::MAX), runaway.iter().map(|entry| entry.depth).max().unwrap_or(0));
        assert!(runaway.iter().all(|entry| found.is_runaway_at(entry.start)));
        assert_eq!(found.arrived, runaway.iter().filter(|entry| entry.is_seen).count() as u64);
    }
}

#[test]
fn every_entry_span_is_there_and_says_its_cause_as_its_context_allows() {
    for context in Context::ALL {
        let mut world = World::new(plan(quiet(context)));
        let spans: Vec<Span> = world.by_ref().flat_map(|export| export.spans).collect();
        let by_id: BTreeMap<SpanId, &Span> = spans.iter().map(|span| (span.span_id, span)).collect();
        let below = spans.iter().filter(|span| span.kind == SpanKind::Consumer);
        let consumers: BTreeMap<SpanId, &Span> = below.filter_map(|span| Some((span.parent_span_id?, span))).collect();
        for entry in world.truth.entries.iter().filter(|entry| !entry.parents.is_empty()) {
            let span = by_id[&entry.span_id];
            assert_eq!(span.trace_id, entry.trace_id);
            assert_eq!(span.parent_span_id.is_some(), context == Context::Parent);
            let mut causes: Vec<SpanId> = span.parent_span_id.into_iter().collect();
            let parts = consumers.get(&span.span_id).into_iter();
            causes.extend(std::iter::once(&span).chain(parts).flat_map(|span| &span.links).map(|link| link.span_id));
            assert_eq!(causes.len() == 1, matches!(context, Context::Parent | Context::Link));
            let parents: BTreeSet<SpanId> =
                entry.parents.iter().map(|parent| world.truth.entries[*parent].span_id).collect();
            // A cause is a span inside the true parent.
            assert!(causes.iter().all(|cause| by_id[cause].parent_span_id.is_some_and(|id| parents.contains(&id))));
        }
    }
}

#[test]
fn loss_duplicates_and_sampling_are_as_large_as_they_say() {
    // Background alone: there chance moves nothing but how much arrives.
    let spans = |knobs| -> Vec<Span> {
        let plan = Plan { scenarios: Vec::new(), background_rate: 50.0, ..plan(knobs) };
        World::new(plan).flat_map(|export| export.spans).collect()
    };
    let whole = spans(quiet(Context::Link)).len() as f64;
    let part = |knobs| spans(knobs).len() as f64 / whole;
    let near = |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 0.05, "{found} {expected}");
    near(part(Knobs { loss: 0.5, ..quiet(Context::Link) }), 0.5);
    near(part(Knobs { duplicates: 0.5, ..quiet(Context::Link) }), 1.5);
    near(part(Knobs { sampling: 0.5, ..quiet(Context::Link) }), 0.5);
    let traces: BTreeSet<TraceId> =
        spans(Knobs { sampling: 0.5, ..quiet(Context::Parent) }).iter().map(|span| span.trace_id).collect();
    assert!(traces.iter().all(|trace_id| is_sampled(*trace_id, 0.5)));
}

#[test]
fn delays_clocks_and_batches_are_as_far_off_as_they_say() {
    let late = World::new(plan(Knobs { export_delay: ExportDelay::UpTo(300.0), ..quiet(Context::Link) }));
    let waits: Vec<u64> = late
        .map(|export| export.at.0 - export.spans.iter().map(|span| span.end.0).max().unwrap_or(export.at.0))
        .collect();
    assert!(waits.iter().all(|wait| *wait <= nanos(300.0)) && waits.iter().any(|wait| *wait > nanos(250.0)));
    let skewed = World::new(plan(Knobs { clock_skew: 0.2, ..quiet(Context::Link) }));
    let clocks: BTreeSet<i64> =
        skewed.functions.iter().flatten().map(|function| function.exporter.skew / 100_000_000).collect();
    assert!(clocks.contains(&-1) && clocks.contains(&1) && clocks.iter().all(|tenths| tenths.abs() <= 2));
    let links =
        |batch| spans(Knobs { batch, ..quiet(Context::Link) }).iter().map(|span| span.links.len()).max().unwrap_or(0);
    assert_eq!(links(1), 1);
    assert!((4..=10).contains(&links(10)));
}
