//! The parts of critical paths, and what would be without some of them.

use proptest::prelude::*;

use super::*;

/// Each span is a place of its own.
fn waits(spans: &[(u64, u64, Option<u32>)]) -> Waits {
    let spans: Vec<TimedSpan> =
        spans.iter().map(|(start, end, parent)| TimedSpan { start: *start, end: *end, parent: *parent }).collect();
    Waits::new(&spans, |span, _| span)
}

fn all(waits: &Waits, gone: u32) -> Without<'_> {
    waits.without(gone, &waits.order)
}

/// Time on the critical path of the first span by place, and drag.
fn shares(spans: &[(u64, u64, Option<u32>)]) -> Vec<(u64, u64)> {
    let waits = waits(spans);
    let whole = all(&waits, u32::MAX).duration(0);
    let path = waits.path(0);
    (0..spans.len() as u32)
        .map(|place| {
            let critical = path.iter().filter(|part| part.place == place).map(|part| part.end - part.start).sum();
            (critical, whole - all(&waits, place).duration(0))
        })
        .collect()
}

/// Checks that the parts cover the time from `start` to `end`, each moment once.
fn tiles(mut path: Vec<Segment>, start: u64, end: u64) -> bool {
    path.sort_unstable_by_key(|part| part.start);
    let covered = path.iter().try_fold(start, |at, part| (part.start == at && part.end > at).then_some(part.end));
    covered == Some(end)
}

#[test]
fn one_after_the_other_all_count_with_all_of_their_time() {
    // A child that ends when the next begins is not beside it.
    let spans = [(0, 100, None), (10, 40, Some(0)), (40, 90, Some(0)), (50, 60, Some(2))];
    assert_eq!(shares(&spans), [(20, 20), (30, 30), (40, 40), (10, 10)]);
    assert!(waits(&spans).is_serial(0, &[0, 1, 2, 3]));
}

#[test]
fn of_two_at_once_the_later_counts_until_the_other_becomes_critical() {
    let spans = [(0, 100, None), (10, 80, Some(0)), (10, 60, Some(0))];
    assert_eq!(shares(&spans), [(30, 30), (70, 20), (0, 0)]);
    assert!(!waits(&spans).is_serial(0, &[0, 1, 2]));
}

#[test]
fn what_began_after_a_branch_waits_for_it() {
    // Two branches, and what needs both: the shorter branch is all that is left when the longer goes.
    let spans = [(0, 100, None), (0, 50, Some(0)), (0, 30, Some(0)), (50, 100, Some(0))];
    assert_eq!(shares(&spans), [(0, 0), (50, 20), (0, 0), (50, 50)]);
}

#[test]
fn who_outlives_its_parent_counts_while_that_waits() {
    let spans = [(100, 200, None), (150, 300, Some(0)), (50, 120, Some(0)), (300, 400, Some(0))];
    assert_eq!(shares(&spans), [(30, 30), (50, 50), (20, 20), (0, 0)]);
    assert_eq!(waits(&spans).time(1), (150, 200));
}

#[test]
fn a_small_overlap_is_an_error_of_clocks() {
    let apart = |overlap: u64| {
        let spans = [(0, 100_000, None), (0, 50_000 + overlap, Some(0)), (50_000, 100_000, Some(0))];
        shares(&spans)[1].0
    };
    assert_eq!((apart(0), apart(1_000), apart(1_001)), (50_000, 50_000, 0));
    // What is inside the last moments of another does not take over from it.
    let spans = [(0, 100_000, None), (0, 100_000, Some(0)), (99_500, 99_600, Some(0))];
    assert_eq!(shares(&spans)[1].0, 100_000);
    // Nor is more than 2 ms an error, however long the parent is.
    let spans = [(0, 1_000_000_000, None), (0, 503_000_000, Some(0)), (500_000_000, 1_000_000_000, Some(0))];
    assert_eq!(shares(&spans)[1].0, 0);
}

#[test]
fn a_path_to_a_moment_ends_there() {
    let spans = [(0, 100, None), (10, 40, Some(0)), (50, 90, Some(0)), (60, 60, Some(2)), (20, 45, Some(0))];
    let waits = waits(&spans);
    assert!(tiles(waits.path_to(3, 60), 0, 60));
    let places: u64 =
        waits.path_to(3, 60).iter().filter(|part| part.place == 4).map(|part| part.end - part.start).sum();
    assert_eq!(places, 25);
    assert_eq!(all(&waits, u32::MAX).time_to(3, 60), 60);
    // Without the second, the first is over at 40, and the rest as long after it as before.
    assert_eq!(all(&waits, 4).time_to(3, 60), 55);
}

#[test]
fn a_deep_tree_does_not_overflow_the_stack() {
    let depth = 200_000_u32;
    let spans: Vec<_> = (0..depth).map(|at| (u64::from(at), u64::from(2 * depth - at), at.checked_sub(1))).collect();
    let waits = waits(&spans);
    assert!(tiles(waits.path(0), 0, u64::from(2 * depth)));
    assert!(tiles(waits.path_to(depth - 1, u64::MAX), 0, u64::from(depth + 1)));
    assert_eq!(all(&waits, 7).duration(0), u64::from(2 * depth) - 2);
}

#[test]
fn a_ring_of_parents_hangs_below_nobody() {
    let waits = waits(&[(0, 10, Some(2)), (0, 10, Some(0)), (0, 10, Some(1)), (0, 10, None)]);
    for span in 0..4 {
        assert!(tiles(waits.path(span), 0, 10));
        assert!(tiles(waits.path_to(span, 10), 0, 10));
    }
}

fn trees() -> impl Strategy<Value = Vec<(u64, u64, Option<u32>)>> {
    let span = (0_u64..1_000, 0_u64..1_000, any::<prop::sample::Index>(), 0_u32..20);
    prop::collection::vec(span, 1..80).prop_map(|spans| {
        (0_usize..)
            .zip(spans)
            .map(|(at, (start, length, parent, near))| {
                // Some trees are deep: the parent is one of those right before.
                let parent = (at > 0).then(|| match near {
                    0..10 => at - 1,
                    _ => parent.index(at),
                });
                (start, start + length, parent.map(|parent| parent as u32))
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn the_parts_add_up_to_the_whole(spans in trees(), stretch in 1_u64..5_000, part in 0_u64..=1_000) {
        let spans: Vec<_> = spans.iter().map(|(start, end, parent)| (start * stretch, end * stretch, *parent)).collect();
        let waits = waits(&spans);
        let normal = all(&waits, u32::MAX);
        let root = waits.time(0).0;
        for span in 0..spans.len() as u32 {
            let (start, end) = waits.time(span);
            if start < end {
                prop_assert!(tiles(waits.path(span), start, end));
            }
            prop_assert_eq!(normal.duration(span), end - start);
            let until = start + (end - start) * part / 1_000;
            prop_assert_eq!(normal.time_to(span, until), until - root);
            if root < until {
                prop_assert!(tiles(waits.path_to(span, until), root, until));
            }
        }
    }

    #[test]
    fn no_more_can_go_than_is_on_the_path(spans in trees()) {
        for (critical, drag) in shares(&spans) {
            prop_assert!(drag <= critical, "{drag} of {critical}");
        }
        let (waits, total) = (waits(&spans), spans[0].1 - spans[0].0);
        if waits.is_serial(0, &waits.order) {
            prop_assert!(shares(&spans).iter().all(|(critical, drag)| critical == drag));
        }
        prop_assert_eq!(shares(&spans).iter().map(|(critical, _)| critical).sum::<u64>(), total);
    }

    #[test]
    fn places_without_time_change_nothing(spans in trees(), at in any::<prop::sample::Index>()) {
        let empty = at.index(spans.len());
        let mut more = spans.clone();
        more.push((spans[empty].0, spans[empty].0, Some(empty as u32)));
        let mut shares_before = shares(&spans);
        shares_before.push((0, 0));
        prop_assert_eq!(shares_before, shares(&more));
    }
}
