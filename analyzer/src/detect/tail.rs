//! How probable values are that are rarer than those that were seen: a generalised Pareto distribution for the slowest
//! twentieth, fitted by probability-weighted moments (Hosking and Wallis, 1987).
//!
//! Excesses over a high threshold follow such a distribution whatever the rest is like (Pickands, Balkema and de Haan).
//! A shape below 0, with which a tail ends, is taken for 0 unless it is certain: estimates that are too low are the worse
//! ones. At a true probability of 1 in 10,000, the median of the estimates from 5,000 samples is between 0.9 and 1.4 times
//! the truth, and four of five are between a fifth of it (a ninth where the tail is as that of a gamma distribution) and 2.5
//! times it. Fewer samples are too wild to be told. The bins of a sketch change nothing about that. Values that were cut off
//! at a limit count as if they had ended there. What one distribution is must not be mixed: see `detect/time_out.rs`.

use crate::{bins::Bins, sketch::GAMMA};

/// Fewest samples that a tail is fitted to.
pub(crate) const LEAST_SAMPLES: u64 = 5_000;

/// Part of the samples that is the tail.
const TAIL: f64 = 0.05;

/// Shapes beyond these do not occur in times, and estimates beyond them are noise.
const SHAPES: (f64, f64) = (-0.5, 0.9);

/// Standard error of a shape near 0 is this over the square root of the excesses (Hosking and Wallis, 1987, equation 14),
const ERROR: f64 = 1.1547;

/// and a shape is other than that of an exponential tail from so many of them on, at 1 in 20.
const CERTAIN: f64 = 1.645;

/// Below this the shape makes no difference to an exponential tail.
const EXPONENTIAL: f64 = 1e-6;

/// The tail of some samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tail {
    pub(crate) samples: u64,
    /// Where it begins.
    pub(crate) threshold: f64,
    /// Part of the samples that it is.
    pub(crate) part: f64,
    pub(crate) shape: f64,
    pub(crate) scale: f64,
}

impl Tail {
    /// Probability that a value is above `limit`, which is itself in the tail or beyond.
    pub(crate) fn beyond(&self, limit: f64) -> f64 {
        let excess = (limit - self.threshold).max(0.0) / self.scale;
        let left = if self.shape.abs() < EXPONENTIAL {
            (-excess).exp()
        } else {
            // A tail of negative shape ends.
            (1.0 + self.shape * excess).max(0.0).powf(-1.0 / self.shape)
        };
        self.part * left
    }
}

/// The tail of the samples; `None` when there are too few, or nothing is longer than what most are. Values from `limit`
/// on were cut off there.
pub(crate) fn fit(bins: &Bins, limit: Option<f64>) -> Option<Tail> {
    let samples = bins.count();
    if samples < LEAST_SAMPLES {
        return None;
    }
    let limit = limit.unwrap_or(f64::INFINITY);
    let (threshold, excesses) = excesses(bins, limit)?;
    let count: f64 = excesses.iter().map(|(_, weight)| weight).sum();
    let (shape, scale) = moments(&excesses, count)?;
    Some(Tail { samples, threshold, part: count / samples as f64, shape, scale })
}

/// Where the tail begins, and by how much the values in it are longer, ascending.
fn excesses(bins: &Bins, limit: f64) -> Option<(f64, Vec<(f64, f64)>)> {
    let most = (bins.count() as f64 * TAIL) as u64;
    let mut taken = 0;
    let mut values = Vec::new();
    let mut threshold = 0.0;
    for (value, count) in bins.values().rev() {
        if taken + count > most {
            // Where the bin of the first value that is not in the tail ends.
            threshold = value * f64::midpoint(1.0, GAMMA);
            break;
        }
        taken += count;
        values.push((value.min(limit), count as f64));
    }
    if values.is_empty() {
        return None;
    }
    let excess = |(value, weight): (f64, f64)| ((value - threshold).max(0.0), weight);
    values.reverse();
    Some((threshold, values.into_iter().map(excess).collect()))
}

/// Shape and scale of weighted excesses in ascending order.
fn moments(excesses: &[(f64, f64)], count: f64) -> Option<(f64, f64)> {
    let mean: f64 = excesses.iter().map(|(excess, weight)| excess * weight).sum::<f64>() / count;
    if count < 2.0 || mean <= 0.0 {
        return None;
    }
    let mut rank = 0.0;
    let mut weighted = 0.0;
    for (excess, weight) in excesses {
        // The mean of 1 - i / (n - 1) over the ranks of this bin.
        let place = 1.0 - (rank + (weight - 1.0) / 2.0) / (count - 1.0);
        weighted += place * excess * weight / count;
        rank += weight;
    }
    let spread = mean - 2.0 * weighted;
    let shape = if spread > 0.0 { 2.0 - mean / spread } else { SHAPES.0 };
    // That a tail ends is only believed where it is not by chance: what is too low misses what is to come.
    if shape < 0.0 && shape > -CERTAIN * ERROR / count.sqrt() {
        return Some((0.0, mean));
    }
    if (SHAPES.0..=SHAPES.1).contains(&shape) {
        return Some((shape, 2.0 * mean * weighted / spread));
    }
    // The scale that keeps the mean.
    let shape = shape.clamp(SHAPES.0, SHAPES.1);
    Some((shape, mean * (1.0 - shape)))
}

#[cfg(test)]
mod tests {
    use statrs::distribution::{ContinuousCDF as _, Exp, Gamma, LogNormal};

    use super::*;
    use crate::{bins::Bins, window::sketch};

    /// Numbers between 0 and 1 that look random.
    struct Dice(u64);

    impl Dice {
        fn next(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        }
    }

    /// The estimates of a probability from many samples of a distribution, ascending, divided by the truth. What is
    /// sampled are the values at 65,536 steps, which is exact enough up to the limit and far quicker.
    fn ratios(value_at: impl Fn(f64) -> f64, truth: f64, samples: u64) -> Vec<f64> {
        const STEPS: usize = 1 << 16;
        let values: Vec<f64> = (0..STEPS).map(|step| value_at((step as f64 + 0.5) / STEPS as f64)).collect();
        let limit = value_at(1.0 - truth);
        let mut dice = Dice(7);
        let mut estimate = || {
            let mut sketch = sketch();
            (0..samples).for_each(|_| sketch.add(values[(dice.next() * STEPS as f64) as usize]));
            fit(&Bins::of(&sketch), None).map_or(0.0, |tail| tail.beyond(limit) / truth)
        };
        let mut found: Vec<f64> = (0..200).map(|_| estimate()).collect();
        found.sort_by(f64::total_cmp);
        found
    }

    #[track_caller]
    fn check(name: &str, found: &[f64], low: f64, high: f64) {
        let at = |q: f64| found[(q * found.len() as f64) as usize];
        let told = format!("{name}: median {:.2}, p10 {:.2}, p90 {:.2}", at(0.5), at(0.1), at(0.9));
        assert!((0.7..1.5).contains(&at(0.5)), "{told}");
        assert!(at(0.1) >= low && at(0.9) <= high, "{told}");
    }

    #[test]
    fn one_in_ten_thousand_is_found_in_five_thousand_samples() {
        let log_normal = LogNormal::new(4.0, 0.6).unwrap();
        check("log-normal", &ratios(|p| log_normal.inverse_cdf(p), 1e-4, 5_000), 0.2, 2.5);
        let exponential = Exp::new(0.01).unwrap();
        check("exponential", &ratios(|p| exponential.inverse_cdf(p), 1e-4, 5_000), 0.4, 2.5);
        let gamma = Gamma::new(2.0, 0.02).unwrap();
        check("gamma", &ratios(|p| gamma.inverse_cdf(p), 1e-4, 5_000), 0.11, 2.5);
        check("log-normal, 20,000", &ratios(|p| log_normal.inverse_cdf(p), 1e-4, 20_000), 0.25, 4.0);
    }

    #[test]
    fn a_pareto_tail_is_itself() {
        let found = ratios(|p| 100.0 * (1.0 - p).powf(-0.25), 1e-4, 20_000);
        check("Pareto", &found, 0.4, 2.5);
    }

    #[test]
    fn what_cannot_be_fitted_is_not() {
        let of = |values: &mut dyn Iterator<Item = f64>| {
            let mut sketch = sketch();
            values.for_each(|value| sketch.add(value));
            Bins::of(&sketch)
        };
        assert_eq!(fit(&of(&mut (1..5_000).map(f64::from)), None), None, "too few");
        assert_eq!(fit(&of(&mut (0..9_000).map(|_| 20.0)), None), None, "all the same");
        assert_eq!(fit(&Bins::default(), None), None);
        let even = fit(&of(&mut (1..=100_000).map(|step| f64::from(step) / 100.0)), None).unwrap();
        assert!(even.shape < -0.3, "an even spread ends: {even:?}");
        assert_eq!(even.beyond(3_000.0), 0.0);
    }

    #[test]
    fn what_was_cut_off_counts_where_it_was() {
        let mut dice = Dice(1);
        let mut cut = sketch();
        (0..20_000).for_each(|_| cut.add((-dice.next().ln() * 100.0).min(600.0)));
        let tail = fit(&Bins::of(&cut), Some(600.0)).unwrap();
        assert!(tail.shape < 0.15, "{tail:?}");
        assert!((0.3..3.0).contains(&(tail.beyond(600.0) / (-6.0_f64).exp())), "{tail:?}");
    }
}
