//! What is kept of traces, within its bounds and in any order, and how it is asked for.

use proptest::prelude::*;

use super::*;
use crate::{
    fixture::{SECOND, START},
    measured::Measured,
    record::{Piece, Place},
    span::{EventTime, TraceId},
    state::{bytes_of, value_of},
};

fn profile(number: u64, start: u64, duration_ms: f64) -> TraceProfile {
    let piece =
        |place, critical_ms| Piece { place, critical_ms, drag_ms: critical_ms, calls: 1, in_a_row: 1, retries: 0 };
    TraceProfile {
        function: NodeId(1),
        operation: "GET /".into(),
        until: None,
        trace_id: TraceId(u128::from(number + 1).to_be_bytes()),
        start: EventTime(start),
        duration_ms,
        weight: 1.0,
        pieces: vec![
            piece(Place::Own(NodeId(1)), duration_ms / 4.0),
            piece(Place::Own(NodeId(2)), duration_ms * 3.0 / 4.0),
        ],
    }
}

fn name(node: NodeId) -> Arc<str> {
    format!("f{}", node.0).into()
}

fn rank(roots: &Roots, range: Range) -> Option<Hotspots> {
    let none = Measured::default();
    roots.hotspots(range, Wanted::All, 50, Calls { current: &none, before: &none }, &name)
}

/// One trace a second for a while, as slow as `duration_ms` says of each.
fn stream(seconds: u64, duration_ms: impl Fn(u64) -> f64) -> Roots {
    let mut roots = Roots::default();
    for second in 0..seconds {
        let now = START.0 + second * SECOND;
        let duration_ms = duration_ms(second);
        roots.add(ArrivalTime(now + SECOND * 60), false, profile(second, now, duration_ms), &mut Losses::default());
    }
    roots
}

#[test]
fn a_range_is_answered_from_its_own_traces_and_says_what_it_covers() {
    let roots = stream(1_000, |second| if second < 500 { 10.0 } else { 20.0 });
    let at = |second: u64| ArrivalTime(START.0 + second * SECOND);
    let early = rank(&roots, Range { from: at(100), to: at(200) }).unwrap();
    assert_eq!((early.roots[0].samples, early.roots[0].p95_ms), (100, 10.0));
    let Range { from, to } = early.paths.unwrap();
    assert!(at(100) <= from && from < at(101) && at(199) < to && to <= at(200), "{from:?} {to:?}");
    assert_eq!(&*early.list[0].name, "f2");
    let tail = early.list[0].tail.as_ref().unwrap();
    assert!((tail.share - 0.75).abs() < 1e-9 && (tail.saves_10_ms - 0.75).abs() < 1e-9, "{tail:?}");
    assert_eq!((tail.root.function, tail.calls_per_trace), (NodeId(1), 1.0));
    assert_eq!(rank(&roots, Range::ALL).unwrap().roots[0].p95_ms, 20.0);
    assert!(rank(&roots, Range { from: at(5_000), to: at(6_000) }).is_none());
    let id = early.roots[0].id;
    assert!(roots.knows(Wanted::Id(id.0)) && roots.knows(Wanted::Id(1)) && !roots.knows(Wanted::Id(2)));
}

#[test]
fn what_is_let_go_is_stood_for_by_what_is_kept() {
    let roots = stream(20_000, |second| (second % 100) as f64);
    assert_eq!(rank(&roots, Range::ALL).unwrap().roots[0].samples, TRACES as u64);
    let at = |second: u64| ArrivalTime(START.0 + second * SECOND);
    let hour = rank(&roots, Range { from: at(16_400), to: at(20_000) }).unwrap();
    assert!((hour.roots[0].traces / 3_600.0 - 1.0).abs() < 0.1, "{hour:?}");
    let recent = rank(&roots, Range { from: at(19_000), to: at(20_000) }).unwrap();
    let older = rank(&roots, Range { from: at(10_000), to: at(11_000) }).unwrap();
    assert!((recent.roots[0].traces / 1_000.0 - 1.0).abs() < 0.15, "{recent:?}");
    assert!(recent.roots[0].samples > 10 * older.roots[0].samples, "the newest are known best");
    assert!(recent.list[0].confidence > older.list[0].confidence);
}

#[test]
fn there_is_a_bound_on_root_operations_and_on_pieces() {
    let (mut roots, mut losses) = (Roots::default(), Losses::default());
    for number in 0..ROOTS as u64 + 5 {
        let operation = format!("GET /{number}").into();
        roots.add(START, false, TraceProfile { operation, ..profile(number, START.0, 1.0) }, &mut losses);
    }
    assert_eq!((roots.samples.len(), losses.roots_overflowed), (ROOTS, 5));
    let pieces = |number: u64| {
        let place = |node| Piece { place: Place::Own(NodeId(node)), ..profile(0, 0, 1.0).pieces[0] };
        TraceProfile { pieces: (0..1_000).map(place).collect(), ..profile(number, START.0, 1.0) }
    };
    (0..600).for_each(|number| roots.add(START, false, pieces(number), &mut losses));
    assert!(roots.pieces <= PIECES && losses.profiles_overflowed > 90, "{} {losses:?}", roots.pieces);
    assert_eq!(roots.pieces, roots.samples.values().map(|sample| sample.pieces()).sum::<usize>());
    assert_eq!(roots.samples.len(), ROOTS, "the largest paid for it");
}

#[test]
fn functions_that_turn_out_to_be_others_take_their_traces_along() {
    let mut roots = stream(10, |_| 8.0);
    roots.rename(|node| if node.0 == 2 { NodeId(1) } else { node });
    let found = rank(&roots, Range::ALL).unwrap();
    assert_eq!((found.list.len(), found.list[0].function), (1, NodeId(1)));
    assert!((found.list[0].share - 1.0).abs() < 1e-9);
}

#[test]
fn a_trace_with_impossible_times_breaks_nothing() {
    let mut roots = Roots::default();
    for (number, (duration_ms, weight)) in
        [(f64::NAN, 1.0), (-1.0, 1.0), (1.0, f64::NAN), (1.0, 0.0), (f64::INFINITY, 1.0), (5.0, 1.0)]
            .into_iter()
            .enumerate()
    {
        let made = TraceProfile { weight, ..profile(number as u64, u64::MAX, duration_ms) };
        roots.add(START, false, made, &mut Losses::default());
    }
    let found = rank(&roots, Range::ALL).unwrap();
    assert_eq!(found.roots[0].samples, 1);
    assert!(found.list.iter().all(|spot| spot.share.is_finite() && spot.confidence.is_finite()));
}

proptest! {
    #[test]
    fn neither_order_nor_a_restart_changes_what_is_kept(
        traces in prop::collection::btree_set((0u64..2_000, 1u32..1_000), 1..60),
        order in any::<u64>(),
    ) {
        let all = |traces: &[(u64, u32)]| {
            let mut roots = Roots::default();
            for (number, duration) in traces {
                let made = profile(*number, START.0 + u64::from(*duration), f64::from(*duration));
                roots.add(ArrivalTime(START.0 + 600 * SECOND), false, made, &mut Losses::default());
            }
            roots
        };
        let mut traces: Vec<(u64, u32)> = traces.into_iter().collect();
        let forward = all(&traces);
        traces.sort_by_key(|trace| (trace.0 ^ order).wrapping_mul(order | 1));
        prop_assert_eq!(&forward, &all(&traces));
        let loaded: Option<Roots> = value_of(&bytes_of(&forward));
        prop_assert_eq!(loaded, Some(forward));
    }

    #[test]
    fn shares_of_the_tail_add_up(durations in prop::collection::vec((0.1f64..1e4, 0.1f64..50.0), 1..80)) {
        let mut roots = Roots::default();
        for (number, (duration_ms, weight)) in (0..).zip(&durations) {
            let made = TraceProfile { weight: *weight, ..profile(number, START.0, *duration_ms) };
            roots.add(START, false, made, &mut Losses::default());
        }
        let found = rank(&roots, Range::ALL).unwrap();
        let shares: f64 = found.list.iter().filter_map(|spot| Some(spot.tail.as_ref()?.share)).sum();
        prop_assert!((shares - 1.0).abs() < 1e-9);
        let longest = durations.iter().map(|(duration_ms, _)| *duration_ms).fold(0.0, f64::max);
        for spot in &found.list {
            let tail = spot.tail.as_ref().unwrap();
            prop_assert!(0.0 <= tail.saves_10_ms && tail.saves_10_ms <= tail.saves_50_ms);
            prop_assert!(tail.saves_50_ms <= 0.5 * longest + 1e-9);
            prop_assert!((0.0..=1.0).contains(&spot.confidence) && (0.0..=1.0).contains(&spot.share));
        }
    }
}
