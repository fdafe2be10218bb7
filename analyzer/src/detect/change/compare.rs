//! Whether what was measured after a moment is other than what was before: enough, and not by chance.
//!
//! Times are compared by rank (`detect/rank_test.rs`), shares by their difference. Both need an effect that matters
//! beside a probability, because among many values any difference is certain.

use statrs::distribution::{ContinuousCDF as _, Normal};

use super::{
    gauge::{Direction, LEAST_SHARE},
    summed::Sum,
};
use crate::{detect::rank_test, sketch::DDSketch, window::quantile};

/// How much more probable it must be that a value after is larger than one before than that it is smaller: a probability
/// of 0.56.
const LEAST_DELTA: f64 = 0.12;
/// How much the 95th percentile must differ: this part of it,
const LEAST_PART: f64 = 0.1;
/// and this many milliseconds.
const LEAST_MS: f64 = 5.0;
/// Values on either side without which nothing is said.
pub(super) const LEAST_SAMPLES: usize = 20;
/// How many of the changes that are told may be by chance (Benjamini and Hochberg, 1995).
const FALSE_DISCOVERIES: f64 = 0.01;

/// The probability that the difference is by chance; `None` when it does not matter.
pub(super) fn differs(before: &Sum, after: &Sum, direction: Direction) -> Option<f64> {
    match (before, after) {
        (Sum::Times(before), Sum::Times(after)) => times_differ(before, after, direction),
        (Sum::Share { of, events }, Sum::Share { of: of_after, events: events_after }) => {
            shares_differ((*of, *events), (*of_after, *events_after), direction)
        }
        _ => None,
    }
}

/// Which of these probabilities are small enough, all of them considered: the largest that is.
pub(super) fn accepted(probabilities: &[f64]) -> f64 {
    let mut sorted = probabilities.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len() as f64;
    let is_small = |(rank, p): &(f64, f64)| *p <= FALSE_DISCOVERIES * rank / count;
    let ranked = (1..).map(f64::from).zip(sorted);
    ranked.filter(is_small).last().map_or(-1.0, |(_, p)| p)
}

fn times_differ(before: &DDSketch, after: &DDSketch, direction: Direction) -> Option<f64> {
    if before.count() < LEAST_SAMPLES || after.count() < LEAST_SAMPLES {
        return None;
    }
    let sign = if direction == Direction::Regression { 1.0 } else { -1.0 };
    let (n, m) = (before.count() as f64, after.count() as f64);
    let delta = sign * rank_test::delta(before, after);
    let (p95_before, p95_after) = (quantile(before, 0.95), quantile(after, 0.95));
    let needed = (LEAST_PART * p95_before).max(LEAST_MS);
    if delta < LEAST_DELTA || sign * (p95_after - p95_before) < needed {
        return None;
    }
    Some(upper_tail(rank_test::z(delta, n, m)))
}

fn shares_differ(before: (f64, f64), after: (f64, f64), direction: Direction) -> Option<f64> {
    let (n, m) = (before.0, after.0);
    if n < LEAST_SAMPLES as f64 || m < LEAST_SAMPLES as f64 {
        return None;
    }
    let (share_before, share_after) = (before.1 / n, after.1 / m);
    let (low, high) = match direction {
        Direction::Regression => (share_before, share_after),
        Direction::Improvement => (share_after, share_before),
    };
    if high - low < LEAST_SHARE || high < 1.5 * low {
        return None;
    }
    let share = (before.1 + after.1) / (n + m);
    Some(upper_tail((high - low) / (share * (1.0 - share) * (1.0 / n + 1.0 / m)).sqrt()))
}

/// The probability that a standard normal is larger.
fn upper_tail(z: f64) -> f64 {
    Normal::standard().sf(z)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sketch::of;

    #[test]
    fn a_difference_must_matter_and_not_be_by_chance() {
        let spread = |scale: f64, count: usize| -> Sum {
            Sum::Times(of(&(0..count).map(|at| scale * (100.0 + (at * 37 % 100) as f64)).collect::<Vec<_>>()))
        };
        let p = |scale: f64, count: usize| differs(&spread(1.0, 10_000), &spread(scale, count), Direction::Regression);
        assert_eq!(p(1.0, 1_000), None);
        assert_eq!(p(1.05, 10_000), None, "certain, and nobody would notice");
        assert!(p(1.3, 1_000).unwrap() < 1e-9);
        assert!(p(1.3, 20).unwrap() > p(1.3, 100).unwrap());
        assert_eq!(p(1.3, 19), None);
        assert_eq!(differs(&spread(1.0, 100), &spread(1.3, 100), Direction::Improvement), None);
        assert!(differs(&spread(1.3, 100), &spread(1.0, 100), Direction::Improvement).is_some());
        assert_eq!(differs(&spread(0.01, 100), &spread(0.02, 100), Direction::Regression), None, "a millisecond");
    }

    #[test]
    fn shares_must_differ_by_points_and_in_proportion() {
        let share = |of: f64, events: f64| Sum::Share { of, events };
        let p = |after| differs(&share(10_000.0, 100.0), &after, Direction::Regression);
        assert!(p(share(100.0, 20.0)).unwrap() < 1e-9);
        assert_eq!(p(share(1_000.0, 20.0)), None, "a point more");
        assert!(differs(&share(100.0, 20.0), &share(100.0, 1.0), Direction::Improvement).unwrap() < 1e-3);
    }

    #[test]
    fn among_many_a_small_probability_is_needed() {
        assert_eq!(accepted(&[0.009]), 0.009);
        assert!(accepted(&[0.009, 0.5, 0.5]) < 0.0);
        assert_eq!(accepted(&[0.009, 0.001, 0.003, 0.5]), 0.003);
    }
}
