//! How many instances ran a function: a count of different things that merges.

use std::f64::consts::LN_2;

use smallvec::SmallVec;

use crate::state::state;

/// Instances that are counted exactly; beyond, they are estimated.
const EXACT: usize = 16;

/// Registers of the estimate: a standard error of 1.04/√256 = 6.5 %.
const REGISTERS: usize = 256;

/// The highest rank; the bits of a hash that do not choose the register allow no more than 57.
const LAST_RANK: u8 = 56;

/// A set of instances of which only the size is known.
///
/// Up to [`EXACT`] of them are kept as hashes; more go into a HyperLogLog (Flajolet et al., "HyperLogLog: the analysis of
/// a near-optimal cardinality estimation algorithm", 2007), read by the improved estimator of Ertl, "New cardinality
/// estimation algorithms for HyperLogLog sketches", 2017: the original one is biased where few registers are free.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Instances {
    exact: SmallVec<[u64; 2]>,
    /// Empty while the hashes are kept.
    registers: Vec<u8>,
}

impl Instances {
    /// Adds an instance by a hash of its id.
    pub(crate) fn add(&mut self, hash: u64) {
        if !self.registers.is_empty() {
            return self.register(hash);
        }
        if self.exact.contains(&hash) {
            return;
        }
        if self.exact.len() < EXACT {
            return self.exact.push(hash);
        }
        self.registers = vec![0; REGISTERS];
        for known in std::mem::take(&mut self.exact) {
            self.register(known);
        }
        self.register(hash);
    }

    /// Adds the instances of another set.
    pub(crate) fn merge(&mut self, other: &Self) {
        other.exact.iter().for_each(|hash| self.add(*hash));
        if other.registers.is_empty() {
            return;
        }
        if self.registers.is_empty() {
            self.registers = vec![0; REGISTERS];
            for known in std::mem::take(&mut self.exact) {
                self.register(known);
            }
        }
        for (own, more) in self.registers.iter_mut().zip(&other.registers) {
            *own = (*own).max(*more);
        }
    }

    /// How many there are, about.
    pub(crate) fn count(&self) -> f64 {
        if self.registers.is_empty() {
            return self.exact.len() as f64;
        }
        let size = REGISTERS as f64;
        let mut ranks = [0.0; LAST_RANK as usize + 1];
        for rank in &self.registers {
            ranks[usize::from(*rank.min(&LAST_RANK))] += 1.0;
        }
        // No register has a rank above the last, so Ertl's term for those that are full is nothing.
        let ranked = ranks[1..].iter().rev().fold(0.0, |sum, registers| 0.5 * (sum + registers));
        size * size / (2.0 * LN_2 * (ranked + size * of_free(ranks[0] / size)))
    }

    fn register(&mut self, hash: u64) {
        // Hashes of few bits are spread over all of them.
        let hash = xxhash_rust::xxh3::xxh3_64(&hash.to_le_bytes());
        let place = (hash % REGISTERS as u64) as usize;
        let rank = ((hash / REGISTERS as u64).trailing_zeros() + 1).min(u32::from(LAST_RANK)) as u8;
        if let Some(known) = self.registers.get_mut(place) {
            *known = (*known).max(rank);
        }
    }
}

/// What registers without a rank add, for their share of all: `x + x^2 + 2x^4 + 4x^8 + ...`, and so on without end.
fn of_free(share: f64) -> f64 {
    let (mut power, mut weight, mut sum) = (share, 1.0, share);
    loop {
        power *= power;
        let next = sum + power * weight;
        if next <= sum {
            return sum;
        }
        (sum, weight) = (next, weight * 2.0);
    }
}

state!(Instances { exact, registers });

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_merge_to_the_whole(hashes in prop::collection::vec(0u64..5_000, 0..2_000), cut in any::<prop::sample::Index>()) {
            let set = |hashes: &[u64]| {
                let mut set = Instances::default();
                hashes.iter().for_each(|hash| set.add(*hash));
                set
            };
            let (one, other) = hashes.split_at(cut.index(hashes.len() + 1));
            let mut merged = set(one);
            merged.merge(&set(other));
            prop_assert_eq!(merged.count(), set(&hashes).count());
            let mut different = hashes.clone();
            different.sort_unstable();
            different.dedup();
            let off = (merged.count() / different.len().max(1) as f64 - 1.0).abs();
            // Six standard errors; few are exact.
            prop_assert!(different.is_empty() || off < if different.len() <= EXACT { 1e-9 } else { 0.39 }, "{off}");
        }
    }
}
