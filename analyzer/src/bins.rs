//! What a sketch holds, bin by bin: for questions that quantiles alone do not answer.
//!
//! They can be taken apart, as the cold runs from all. Quantiles of a sketch as it is are the sketch's own.

use crate::sketch::{DDSketch, bin_of, value_of};

/// Bins in the order of their values, as their number and how many samples they hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Bins(Vec<(i32, u64)>);

/// The bin of what is no time at all.
const ZERO: i32 = i32::MIN;

impl Bins {
    /// All bins of a sketch.
    pub(crate) fn of(sketch: &DDSketch) -> Self {
        let zeros = (sketch.zeros() > 0).then(|| (ZERO, sketch.zeros()));
        Self(zeros.into_iter().chain(sketch.bins()).map(|(bin, count)| (bin, u64::from(count))).collect())
    }

    /// These without others that are a part of them.
    pub(crate) fn without(&self, part: &Self) -> Self {
        let left = |(key, count): &(i32, u64)| {
            let gone = part.0.binary_search_by_key(key, |(key, _)| *key).map_or(0, |place| part.0[place].1);
            (*key, count.saturating_sub(gone))
        };
        Self(self.0.iter().map(left).filter(|(_, count)| *count > 0).collect())
    }

    /// Samples.
    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// Values with how many samples have them, from the least on.
    pub(crate) fn values(&self) -> impl DoubleEndedIterator<Item = (f64, u64)> {
        let value = |bin| if bin == ZERO { 0.0 } else { value_of(bin) };
        self.0.iter().map(move |(bin, count)| (value(*bin), *count))
    }

    /// The value that this part of the samples is at or below; 0 when there are none.
    pub(crate) fn quantile(&self, q: f64) -> f64 {
        let weighted: Vec<(f64, f64)> = self.values().map(|(value, count)| (value, count as f64)).collect();
        quantile_of(&weighted, q)
    }

    /// Samples that are at least so much; those in the bin of the value count, so it may be 2 % less.
    pub(crate) fn at_least(&self, value: f64) -> u64 {
        let least = bin_of(value).unwrap_or(ZERO);
        self.0.iter().rev().take_while(|(bin, _)| *bin >= least).map(|(_, count)| count).sum()
    }
}

/// The value that this part of the weight is at or below, of values in ascending order; 0 when there is none.
pub(crate) fn quantile_of(weighted: &[(f64, f64)], q: f64) -> f64 {
    let total: f64 = weighted.iter().map(|(_, weight)| weight).sum();
    let mut below = 0.0;
    for (value, weight) in weighted {
        below += weight;
        if below >= q * total {
            return *value;
        }
    }
    weighted.last().map_or(0.0, |(value, _)| *value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::window::sketch;

    fn filled(values: &[f64]) -> DDSketch {
        let mut sketch = sketch();
        values.iter().for_each(|value| sketch.add(*value));
        sketch
    }

    proptest! {
        #[test]
        fn bins_hold_all_samples_where_they_are(mut values in prop::collection::vec(0.0f64..1e6, 0..300)) {
            let bins = Bins::of(&filled(&values));
            prop_assert_eq!(bins.count(), values.len() as u64);
            values.sort_by(f64::total_cmp);
            let told = bins.values().flat_map(|(value, count)| (0..count).map(move |_| value));
            for (value, told) in values.iter().zip(told) {
                prop_assert!((value - told).abs() <= 0.0101 * value + 1e-9, "{} {}", value, told);
            }
        }

        #[test]
        fn what_is_taken_away_is_gone(
            some in prop::collection::vec(0.0f64..1e4, 0..100),
            others in prop::collection::vec(0.0f64..1e4, 0..100),
        ) {
            let all = Bins::of(&filled(&[&some[..], &others].concat()));
            prop_assert_eq!(all.without(&Bins::of(&filled(&some))), Bins::of(&filled(&others)));
        }
    }

    #[test]
    fn quantiles_and_tails_are_counted() {
        let values: Vec<f64> = (1..=1_000).map(f64::from).collect();
        let bins = Bins::of(&filled(&values));
        assert!((bins.quantile(0.5) / 500.0 - 1.0).abs() < 0.02);
        assert!((bins.at_least(900.0) as i64 - 100).abs() < 20);
        assert_eq!((Bins::default().quantile(0.5), Bins::default().at_least(0.0)), (0.0, 0));
        assert_eq!(bins.at_least(0.0), 1_000);
    }
}
