//! How probable it was that a sampler kept something, and how much that makes of what was kept.
//!
//! What was kept with a probability `p` stands for `1/p`, itself and those like it that were dropped: then a sum over
//! what was kept is right in the mean, whatever was dropped (Horvitz and Thompson, "A generalization of sampling
//! without replacement from a finite universe", 1952). Samplers decide by a random number that all spans of a trace
//! share (OpenTelemetry, "Tracestate: Probability Sampling"), so
//!
//! - two spans of one trace are both kept as often as the one that is kept less: [`Sampling::least`];
//! - two spans of different traces are both kept as often as the product says: [`Sampling::and`].
//!
//! Whatever is counted from several spans is adjusted by the probability that all of them were kept. So the spans of
//! one trace may have been sampled differently, at the function and once more on the way: an invocation counts by its
//! entry span, an edge by both of its sides. A span that says nothing of sampling counts once.

use crate::state::state;

/// Steps of the code for each halving of the probability: no probability is off by more than 0.02 %.
const STEPS: f64 = 2_048.0;

/// One span stands for no more than so many: what says more is rarer than one trace that is worth having, and would
/// outweigh all others. Two spans together stand for no more than the square of it.
pub const MOST_ADJUSTED: f64 = 65_536.0;

/// Below this chance to see the lap after a lap, the depth of a chain is no evidence: of ten laps in a row one in ten
/// million chains would show all.
const LEAST_NEXT_LAP: f32 = 0.2;

/// How probable it was that something was kept: the logarithm of the probability, in steps below 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sampling(u16);

impl Sampling {
    /// All of it is kept.
    pub const ALWAYS: Self = Self(0);

    /// What a span says of itself, and whether that is more than is believed; see [`MOST_ADJUSTED`].
    pub fn of(probability: Option<f32>) -> (Self, bool) {
        let steps = probability.map_or(0.0, |kept| -f64::from(kept).log2() * STEPS);
        let most = MOST_ADJUSTED.log2() * STEPS;
        (Self(steps.clamp(0.0, most).round() as u16), steps > most)
    }

    /// The probability that two spans of one trace were kept.
    pub fn least(self, other: Self) -> Self {
        self.max(other)
    }

    /// The probability that two spans of different traces were kept.
    pub fn and(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// True unless all of it is kept.
    pub fn is_sampled(self) -> bool {
        self != Self::ALWAYS
    }

    /// True where so many laps in a row are seen that the depth of a chain says something; see [`LEAST_NEXT_LAP`].
    pub(crate) fn shows_depth(self) -> bool {
        self <= Self::of(Some(LEAST_NEXT_LAP)).0
    }

    /// The probability, over 0 and at most 1.
    pub fn probability(self) -> f64 {
        if self.is_sampled() { (-f64::from(self.0) / STEPS).exp2() } else { 1.0 }
    }

    /// For how many it stands: 1 over the probability.
    pub fn adjusted_count(self) -> f64 {
        if self.is_sampled() { (f64::from(self.0) / STEPS).exp2() } else { 1.0 }
    }
}

/// A count as people read it.
pub(crate) fn rounded(adjusted: f64) -> u64 {
    adjusted.round().max(0.0) as u64
}

/// The part of a count that was kept; `None` when all of it was.
pub(crate) fn part_kept(kept: f64, adjusted: f64) -> Option<f64> {
    // Sums of fractions may be off by a hair.
    (kept > 0.0 && adjusted > kept * (1.0 + 1e-9)).then(|| kept / adjusted)
}

state!(Sampling(inner));

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_says_nothing_counts_once() {
        assert_eq!(Sampling::of(None), (Sampling::ALWAYS, false));
        assert_eq!(Sampling::of(Some(1.0)), (Sampling::ALWAYS, false));
        assert_eq!(Sampling::ALWAYS.adjusted_count(), 1.0);
        assert_eq!(part_kept(7.0, 7.0), None);
        assert_eq!(part_kept(0.0, 0.0), None);
    }

    #[test]
    fn halves_are_exact_and_others_nearly() {
        let count = |probability| Sampling::of(Some(probability)).0.adjusted_count();
        assert_eq!([count(0.5), count(0.25)], [2.0, 4.0]);
        for probability in [0.9, 0.3, 0.1, 0.01, 0.001] {
            assert!((count(probability) * f64::from(probability) - 1.0).abs() < 2e-4, "{probability}");
        }
    }

    #[test]
    fn no_span_stands_for_more_than_the_most() {
        for probability in [1e-6, 1e-17, f32::MIN_POSITIVE] {
            let (sampling, is_clipped) = Sampling::of(Some(probability));
            assert_eq!((sampling.adjusted_count(), is_clipped), (MOST_ADJUSTED, true));
            assert!(sampling.and(sampling).and(sampling).adjusted_count() <= MOST_ADJUSTED * MOST_ADJUSTED);
        }
    }

    /// The random number that all spans of a trace share, 0 to 1.
    fn randomness(seed: u64) -> f32 {
        (xxhash_rust::xxh3::xxh3_64(&seed.to_le_bytes()) >> 40) as f32 / (1 << 24) as f32
    }

    proptest! {
        #[test]
        fn sums_of_what_was_kept_are_right_in_the_mean(seed in any::<u32>(), one in 0.05f32..1.0, other in 0.05f32..1.0) {
            const TRACES: u64 = 20_000;
            let ((first, _), (second, _)) = (Sampling::of(Some(one)), Sampling::of(Some(other)));
            let (mut within, mut across) = (0.0, 0.0);
            for trace in 0..TRACES {
                let seed = u64::from(seed) << 32 | trace << 1;
                let (here, there) = (randomness(seed), randomness(seed | 1));
                within += if here < one && here < other { first.least(second).adjusted_count() } else { 0.0 };
                across += if here < one && there < other { first.and(second).adjusted_count() } else { 0.0 };
            }
            for (sum, kept) in [(within, one.min(other)), (across, one * other)] {
                let kept = f64::from(kept);
                // Six standard deviations of a binomial count, and what the code is off by.
                let off = 6.0 * (TRACES as f64 * (1.0 - kept) / kept).sqrt() + 4e-4 * TRACES as f64;
                prop_assert!((sum - TRACES as f64).abs() < off, "{sum} of {TRACES} at {kept}");
            }
        }
    }
}
