//! A sketch of durations: quantiles within 1 %, in few bytes, that adds up with others without loss.
//!
//! It is a DDSketch (Masson, Rim, Lee: *DDSketch*, VLDB 2019) with the mapping and the ranks of DataDog's own, kept for
//! what this engine has a hundred thousand of: counts of four bytes, in no more bins than lie between the smallest and
//! the largest value. Bins are at hand, because detectors count what lies above a value and compare two sketches by
//! rank. It knows nothing of time.

use crate::state::State;

/// Ratio of the bounds of one bin, for a relative error of 1 %: (1 + .01) / (1 - .01).
pub(crate) const GAMMA: f64 = 1.01 / 0.99;
/// The first bin; what is smaller than the millionth part of a millisecond counts as zero.
const FIRST: i32 = -700;
/// The last bin, at about 5e11; what is larger is counted here.
const LAST: i32 = FIRST + 2_047;
/// The smallest value that is told apart from zero.
const SMALLEST: f64 = 1e-6;

/// Durations or other amounts, of which quantiles are known within 1 %.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DDSketch {
    /// Counts by bin, without empty ones at the ends.
    bins: Vec<u32>,
    /// Number of the first of these bins.
    first: i32,
    /// Values that are zero or less.
    zeros: u32,
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
}

impl Default for DDSketch {
    fn default() -> Self {
        let (min, max) = (f64::INFINITY, f64::NEG_INFINITY);
        Self { bins: Vec::new(), first: 0, zeros: 0, count: 0, sum: 0.0, min, max }
    }
}

impl DDSketch {
    /// Adds a value; what is no number is passed over.
    pub(crate) fn add(&mut self, value: f64) {
        self.add_times(value, 1);
    }

    /// Adds a value so many times.
    pub(crate) fn add_times(&mut self, value: f64, times: u64) {
        if value.is_nan() || times == 0 {
            return;
        }
        let more = u32::try_from(times).unwrap_or(u32::MAX);
        match bin_of(value) {
            Some(bin) => {
                self.make_room(bin, bin);
                let count = &mut self.bins[(bin - self.first) as usize];
                *count = count.saturating_add(more);
            }
            None => self.zeros = self.zeros.saturating_add(more),
        }
        self.count += times;
        self.sum += value * times as f64;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// Adds all of another.
    pub(crate) fn merge(&mut self, other: &Self) {
        if let Some(last) = other.last() {
            self.make_room(other.first, last);
            let from = (other.first - self.first) as usize;
            for (count, more) in self.bins[from..].iter_mut().zip(&other.bins) {
                *count = count.saturating_add(*more);
            }
        }
        self.zeros = self.zeros.saturating_add(other.zeros);
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// The value that a part `q` of the values does not exceed; `None` while there is none.
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        if q <= 0.0 || q >= 1.0 {
            return Some(if q <= 0.0 { self.min } else { self.max });
        }
        let rank = (q * (self.count - 1) as f64) as u64;
        let mut passed = u64::from(self.zeros);
        if rank < passed {
            return Some(0.0);
        }
        for (bin, count) in self.bins() {
            passed += u64::from(count);
            if passed > rank {
                return Some(value_of(bin));
            }
        }
        Some(self.max)
    }

    /// How many values it holds.
    pub(crate) fn count(&self) -> usize {
        usize::try_from(self.count).unwrap_or(usize::MAX)
    }

    /// The sum of the values; `None` while there is none.
    pub(crate) fn sum(&self) -> Option<f64> {
        (self.count > 0).then_some(self.sum)
    }

    /// The largest value.
    #[cfg(test)]
    pub(crate) fn max(&self) -> Option<f64> {
        (self.count > 0).then_some(self.max)
    }

    /// The bins that hold something, from the smallest values to the largest, with their counts; zeros are in none.
    pub(crate) fn bins(&self) -> impl Iterator<Item = (i32, u32)> {
        (self.first..).zip(&self.bins).filter(|(_, count)| **count > 0).map(|(bin, count)| (bin, *count))
    }

    /// Values that are in no bin.
    pub(crate) fn zeros(&self) -> u32 {
        self.zeros
    }

    fn last(&self) -> Option<i32> {
        (!self.bins.is_empty()).then(|| self.first + self.bins.len() as i32 - 1)
    }

    /// Makes bins from `low` to `high`, and no more: most sketches are of few values and will never see others.
    fn make_room(&mut self, low: i32, high: i32) {
        let Some(last) = self.last() else {
            self.bins.reserve_exact((high - low + 1) as usize);
            self.bins.resize((high - low + 1) as usize, 0);
            self.first = low;
            return;
        };
        if high > last {
            let more = (high - last) as usize;
            self.bins.reserve_exact(more);
            self.bins.resize(self.bins.len() + more, 0);
        }
        if low < self.first {
            let more = (self.first - low) as usize;
            self.bins.reserve_exact(more);
            self.bins.splice(0..0, std::iter::repeat_n(0, more));
            self.first = low;
        }
    }
}

/// The bin of a value; `None` for zero and less.
pub(crate) fn bin_of(value: f64) -> Option<i32> {
    (value > SMALLEST).then(|| ((value.ln() / GAMMA.ln()).floor() as i32).clamp(FIRST, LAST))
}

/// The value that stands for a bin: off by no more than 1 % from any that is in it.
pub(crate) fn value_of(bin: i32) -> f64 {
    (f64::from(bin) * GAMMA.ln()).exp() * (2.0 * GAMMA / (1.0 + GAMMA))
}

/// A number in as many bytes as it needs: seven bits in each, the lowest first.
fn save_number(mut number: u64, to: &mut Vec<u8>) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

fn load_number(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = u8::load(from)?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

impl State for DDSketch {
    fn save(&self, to: &mut Vec<u8>) {
        save_number(u64::from(self.zeros), to);
        save_number(self.bins().count() as u64, to);
        let mut before = FIRST;
        for (bin, count) in self.bins() {
            save_number((bin - before) as u64, to);
            save_number(u64::from(count), to);
            before = bin;
        }
        if self.count > 0 {
            [self.sum, self.min, self.max].iter().for_each(|value| value.save(to));
        }
    }

    fn load(from: &mut &[u8]) -> Option<Self> {
        let mut sketch = Self { zeros: load_number(from)?.try_into().ok()?, ..Self::default() };
        sketch.count = u64::from(sketch.zeros);
        let mut bin = FIRST;
        for _ in 0..load_number(from)? {
            bin = bin.checked_add(load_number(from)?.try_into().ok()?).filter(|bin| *bin <= LAST)?;
            let count = u32::try_from(load_number(from)?).ok()?;
            sketch.make_room(bin, bin);
            *sketch.bins.last_mut()? = count;
            sketch.count += u64::from(count);
        }
        if sketch.count > 0 {
            [sketch.sum, sketch.min, sketch.max] = <[f64; 3]>::load(from)?;
        }
        sketch.bins.shrink_to_fit();
        Some(sketch)
    }
}

/// A sketch of some values, for tests.
#[cfg(test)]
pub(crate) fn of(values: &[f64]) -> DDSketch {
    let mut sketch = DDSketch::default();
    values.iter().for_each(|value| sketch.add(*value));
    sketch
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sketches_ddsketch::{Config, DDSketch as Known};

    use super::*;
    use crate::state::{bytes_of, value_of as loaded};

    proptest! {
        #[test]
        fn it_says_what_the_known_one_says(values in prop::collection::vec(0.001..1e7_f64, 1..200), q in 0.0..1.0) {
            let mut known = Known::new(Config::new(0.01, 2_048, 1e-9));
            values.iter().for_each(|value| known.add(*value));
            let (ours, theirs) = (of(&values).quantile(q).unwrap(), known.quantile(q).unwrap().unwrap());
            prop_assert!((ours - theirs).abs() <= 1e-9 * theirs, "{ours} {theirs}");
        }

        #[test]
        fn parts_add_up_and_bytes_come_back(values in prop::collection::vec(-1.0..1e9_f64, 0..200), cut in any::<prop::sample::Index>()) {
            let all = of(&values);
            let (before, after) = values.split_at(cut.index(values.len() + 1));
            let mut merged = of(before);
            merged.merge(&of(after));
            prop_assert!((merged.sum - all.sum).abs() <= 1e-9 * all.sum.abs().max(1.0));
            merged.sum = all.sum;
            prop_assert_eq!(&merged, &all);
            prop_assert_eq!(loaded::<DDSketch>(&bytes_of(&all)), Some(all));
        }

        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(sketch) = loaded::<DDSketch>(&bytes) {
                prop_assert!(sketch.bins.len() <= 2_048);
                sketch.quantile(0.5);
            }
        }
    }

    #[test]
    fn what_is_no_duration_breaks_nothing() {
        let sketch = of(&[f64::NAN, -5.0, 0.0, f64::MAX, f64::INFINITY]);
        assert_eq!((sketch.count(), sketch.zeros(), sketch.max()), (4, 2, Some(f64::INFINITY)));
        assert_eq!(sketch.bins().collect::<Vec<_>>(), [(LAST, 2)]);
        assert_eq!(of(&[]).quantile(0.5), None);
    }
}
