//! How evenly something happens: counts by the minute, as sums that merge.
//!
//! Whoever keeps them says in which minute it happened; what an even pace is good for is not known here.

use crate::state::state;

/// Counts by the minute. Only the minute that runs is kept apart; those before are a sum of squares and the largest.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Pace {
    /// Number of the minute that runs.
    minute: u64,
    /// Its count.
    open: f64,
    /// Squares of the counts of the minutes before it.
    squares: f64,
    /// The largest of those counts.
    most: f64,
}

impl Pace {
    /// So many happened in a minute.
    pub(crate) fn add(&mut self, minute: u64, count: f64) {
        self.merge(&Self { minute, open: count, ..Self::default() });
    }

    /// Adds what was counted elsewhere or later; a minute is whole as long as it is merged before a later one begins.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.squares += other.squares;
        self.most = self.most.max(other.most);
        let (earlier, later) = if self.minute <= other.minute { (*self, *other) } else { (*other, *self) };
        self.minute = later.minute;
        if earlier.minute == later.minute {
            self.open = earlier.open + later.open;
        } else {
            self.squares += earlier.open * earlier.open;
            self.most = self.most.max(earlier.open);
            self.open = later.open;
        }
    }

    /// The largest count of a minute.
    pub(crate) fn peak(&self) -> f64 {
        self.most.max(self.open)
    }

    /// Standard deviation over mean of the counts of so many minutes, in which `total` happened; minutes without any
    /// count as well. `None` for less than two minutes, or when nothing happened.
    pub(crate) fn variation(&self, total: f64, minutes: f64) -> Option<f64> {
        if minutes < 2.0 || total <= 0.0 {
            return None;
        }
        let mean = total / minutes;
        let variance = (self.squares + self.open * self.open) / minutes - mean * mean;
        Some(variance.max(0.0).sqrt() / mean)
    }
}

state!(Pace { minute, open, squares, most });

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_even_pace_does_not_vary_and_a_burst_does() {
        let (mut even, mut burst) = (Pace::default(), Pace::default());
        for minute in 0..100 {
            for _ in 0..10 {
                even.add(minute, 6.0);
            }
        }
        burst.add(50, 6_000.0);
        assert_eq!((even.variation(6_000.0, 100.0), even.peak()), (Some(0.0), 60.0));
        assert!((burst.variation(6_000.0, 100.0).unwrap() - 99.0_f64.sqrt()).abs() < 1e-9);
        assert_eq!((burst.peak(), burst.variation(6_000.0, 1.0)), (6_000.0, None));
    }

    proptest! {
        #[test]
        fn windows_merge_to_the_whole(counts in prop::collection::vec(0u32..1_000, 2..50), cut in 0usize..50) {
            let stamped: Vec<(u64, f64)> = (1..).zip(counts.iter().map(|count| f64::from(*count))).collect();
            let of = |part: &[(u64, f64)]| {
                let mut pace = Pace::default();
                part.iter().for_each(|(minute, count)| pace.add(*minute, *count));
                pace
            };
            let (before, after) = stamped.split_at(cut.min(stamped.len()));
            let mut merged = of(before);
            merged.merge(&of(after));
            prop_assert_eq!(merged, of(&stamped));
        }
    }
}
