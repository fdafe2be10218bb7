//! Properties: in what order, batches, shards and copies spans come does not show in what is found.

use proptest::prelude::*;

use crate::{
    fixture::{Story, analyse, describe},
    snapshot::{Loop, Snapshot},
    span::Span,
};

/// A forest of invocations: for each its function, an earlier one that caused it, and how.
fn forest() -> impl Strategy<Value = Vec<(u8, prop::sample::Index, u8)>> {
    prop::collection::vec((0u8..5, any::<prop::sample::Index>(), 0u8..10), 1..40)
}

fn grow(forest: &[(u8, prop::sample::Index, u8)]) -> Vec<Span> {
    let mut story = Story::default();
    let mut runs = Vec::new();
    for (function, cause, how) in forest {
        let name = format!("f{function}");
        let run = match (runs.is_empty(), how) {
            (true, _) | (_, 0) => story.root(&name),
            (_, 1 | 2) => story.call(cause.get(&runs), &name),
            (_, 3) => story.message(cause.get(&runs), &name, None),
            (_, 4) => story.handle(&[cause.get(&runs)], &name),
            (_, 6) => story.invoke(cause.get(&runs), &name),
            (_, 7) => story.lose_context(cause.get(&runs), &name, "p#"),
            (_, 8) => story.lose_context(cause.get(&runs), &name, "uploads/"),
            (_, 9) => story.lose_context(cause.get(&runs), &name, "files/k#"),
            _ => story.message(cause.get(&runs), &name, Some("q")),
        };
        runs.push(run);
    }
    story.spans
}

/// Identity, depth and chains of every loop, counts of every node and edge: what must not depend on the way in.
fn essence(snapshot: &Snapshot) -> String {
    // How a loop behaves is an estimate over time, so the order in which time went by may show in it.
    let edges = |line: &&str| !line.starts_with("loop ");
    let mut lines: Vec<String> = describe(snapshot).lines().filter(edges).map(str::to_owned).collect();
    lines.extend(snapshot.loops.iter().map(|found| {
        let Loop { id, functions, path, max_depth, chains, laps, .. } = found;
        format!("{id} {functions:?} {path:?} depth {max_depth} chains {chains} laps {laps}")
    }));
    lines.extend(snapshot.functions.iter().map(|f| format!("{} {} {}", f.id, f.invocations, f.p95_ms)));
    lines.sort();
    lines.join("\n")
}

/// True when a chain had more loops or openings than are kept of one: what was not kept was counted, and shows.
fn is_cut_short(snapshot: &Snapshot) -> bool {
    snapshot.losses.openings_dropped + snapshot.losses.fragment_laps_dropped > 0
}

proptest! {
    #[test]
    fn order_duplicates_batches_and_shards_do_not_show(
        forest in forest(),
        order in any::<u64>(),
        doubled in any::<u64>(),
        batch in 1usize..20,
    ) {
        let spans = grow(&forest);
        let expected = analyse(spans.clone(), 1, 1);
        prop_assume!(!is_cut_short(&expected));
        let expected = essence(&expected);
        let mut shuffled = spans.clone();
        for (at, span) in spans.iter().enumerate() {
            if doubled >> (at % 64) & 1 == 1 {
                shuffled.push(span.clone());
            }
        }
        shuffled.sort_by_key(|span| {
            xxhash_rust::xxh3::xxh3_64_with_seed(&[span.trace_id.0.as_slice(), &span.span_id.0].concat(), order)
        });
        for shards in [1, 2, 4, 8] {
            let found = analyse(shuffled.clone(), shards, batch);
            prop_assume!(!is_cut_short(&found));
            prop_assert_eq!(&essence(&found), &expected, "{} shards", shards);
        }
    }

    #[test]
    fn every_lap_in_a_new_trace_is_exact(
        cycle in 1usize..6,
        laps in 1usize..30,
        seed in any::<u64>(),
        shards in prop::sample::select(vec![1usize, 2, 4, 8]),
    ) {
        let story: String = (1..=cycle * laps).map(|at| format!(" ~> f{}", at % cycle)).collect();
        let mut spans = Story::parse(&format!("f0{story}")).spans;
        spans.sort_by_key(|span| xxhash_rust::xxh3::xxh3_64_with_seed(&span.span_id.0, seed));
        let snapshot = analyse(spans, shards, 5);
        prop_assert_eq!(snapshot.loops.len(), 1);
        let found = &snapshot.loops[0];
        prop_assert_eq!((found.functions.len(), found.max_depth as usize, found.chains), (cycle, laps, 1));
    }
}
