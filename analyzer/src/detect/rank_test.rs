//! The rank test of Mann and Whitney (1947): whether times of now are larger than those of before, whatever their law.
//!
//! Two sketches hold all that it needs: within a bin all times count as the same. What is made of the answer is for the
//! detectors that ask (`detect/change/compare.rs`, `detect/hotspot/slower.rs`).

use crate::sketch::DDSketch;

/// Cliff's delta: the probability that a value after is larger than one before, less that it is smaller; -1 to 1, and 0
/// when there is nothing to compare.
pub(crate) fn delta(before: &DDSketch, after: &DDSketch) -> f64 {
    let pairs = before.count() as f64 * after.count() as f64;
    if pairs == 0.0 {
        return 0.0;
    }
    let mut below = before.bins().peekable();
    let mut passed = f64::from(before.zeros());
    // Of those that are the same, half count.
    let mut larger = f64::from(after.zeros()) * passed / 2.0;
    for (bin, count) in after.bins() {
        while let Some((_, less)) = below.next_if(|(known, _)| *known < bin) {
            passed += f64::from(less);
        }
        let same = below.peek().filter(|(known, _)| *known == bin).map_or(0.0, |(_, same)| f64::from(*same));
        larger += f64::from(count) * (passed + same / 2.0);
    }
    2.0 * larger / pairs - 1.0
}

/// How far so many values before and after lie apart, in standard deviations of chance.
pub(crate) fn z(delta: f64, before: f64, after: f64) -> f64 {
    delta * (3.0 * before * after / (before + after + 1.0)).sqrt()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sketch::of;

    proptest! {
        #[test]
        fn delta_is_that_of_all_pairs(
            before in prop::collection::vec(0_u32..9, 1..30),
            after in prop::collection::vec(0_u32..9, 1..30),
        ) {
            let pairs = before.iter().flat_map(|a| after.iter().map(move |b| (a, b)));
            let balance: i32 = pairs.map(|(a, b)| i32::from(b > a) - i32::from(b < a)).sum();
            let expected = f64::from(balance) / (before.len() * after.len()) as f64;
            let sketch = |numbers: &[u32]| of(&numbers.iter().map(|it| f64::from(*it) * 10.0).collect::<Vec<_>>());
            prop_assert!((delta(&sketch(&before), &sketch(&after)) - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn nothing_is_neither_larger_nor_smaller() {
        assert_eq!((delta(&of(&[]), &of(&[1.0])), delta(&of(&[1.0]), &of(&[]))), (0.0, 0.0));
    }

    #[test]
    fn it_is_the_distance_from_one_half_over_its_deviation() {
        // U of 90 for 10 and 10 values: (90 - 50) / sqrt(10 * 10 * 21 / 12) = 3.0237.
        assert!((z(0.8, 10.0, 10.0) - 3.0237).abs() < 1e-4);
        assert_eq!(z(0.0, 5.0, 500.0), 0.0);
    }
}
