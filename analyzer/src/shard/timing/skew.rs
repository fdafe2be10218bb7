//! How far the clocks of two instances are apart, as calls between them show.
//!
//! The callee's span lies somewhere within its caller's; in the mean as far from its start as from its end (as Jaeger
//! centres a child that leaves its parent). Of one call that says little, so it is the median over the last calls
//! between the two that counts, and only where it is more than the network can explain.

use std::time::Duration;

use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    generations::{Dropped, Generations},
    span::ArrivalTime,
};

/// Calls over which the median is taken.
const SAMPLES: usize = 50;

/// Once there are more samples, the median is taken anew after so many.
const RENEWAL: u32 = 8;

/// Offsets below this are not worth mending, nanoseconds.
const LEAST_NANOS: i64 = 1_000_000;

/// Pairs of instances that all shards together keep; the older half goes when there are more.
const PAIRS: usize = 8_192;

/// What calls between instances tell of their clocks.
pub(super) struct Skews {
    pairs: Generations<Pair>,
}

/// The times of a call: where the callee's span begins and ends within its caller's. Nanoseconds.
#[derive(Clone, Copy)]
pub(super) struct Round {
    pub(super) caller: (u64, u64),
    pub(super) callee: (u64, u64),
}

#[derive(Default)]
struct Pair {
    /// Offset, and time of the round trip without the callee's.
    samples: SmallVec<[(i64, i64); 1]>,
    count: u32,
    offset: i64,
}

impl Skews {
    pub(super) fn new(shards: usize, lateness: Duration) -> Self {
        Self { pairs: Generations::new(PAIRS / shards.max(1), lateness) }
    }

    /// How far the callee's clock is ahead of the caller's, nanoseconds, now that this call was seen; 0 where that is
    /// less than can be told.
    pub(super) fn learn(&mut self, caller: u64, callee: u64, round: Round) -> i64 {
        let key = pair_key(caller, callee);
        // A callee that takes longer than its caller waits was given up, and says nothing.
        let trip = length(round.caller).checked_sub(length(round.callee));
        let Some(trip) = trip.filter(|_| length(round.callee) > 0) else { return self.offset(caller, callee) };
        let before = signed(round.callee.0, round.caller.0);
        let after = signed(round.caller.1, round.callee.1);
        if !self.pairs.refresh(key) {
            self.pairs.insert(key, Pair::default());
        }
        let Some(pair) = self.pairs.get_mut(key) else { return 0 };
        pair.add((before / 2 - after / 2, i64::try_from(trip).unwrap_or(i64::MAX)));
        pair.offset
    }

    /// The same for instances between which no call was seen just now.
    pub(super) fn offset(&self, caller: u64, callee: u64) -> i64 {
        self.pairs.get(pair_key(caller, callee)).map_or(0, |pair| pair.offset)
    }

    pub(super) fn rotate(&mut self, now: ArrivalTime) -> u64 {
        let is_early = |dropped: Dropped<Pair>| dropped.youngest_age.map_or(0, |_| dropped.records.len() as u64);
        self.pairs.rotate(now).map_or(0, is_early)
    }
}

impl Pair {
    fn add(&mut self, sample: (i64, i64)) {
        if self.samples.len() < SAMPLES {
            self.samples.push(sample);
        } else {
            self.samples[self.count as usize % SAMPLES] = sample;
        }
        self.count = self.count.wrapping_add(1);
        if self.samples.len() < RENEWAL as usize || self.count.is_multiple_of(RENEWAL) {
            let offset = median(self.samples.iter().map(|(offset, _)| *offset));
            let trip = median(self.samples.iter().map(|(_, trip)| *trip));
            let is_told = offset.abs() > trip / 2 && offset.abs() > LEAST_NANOS;
            self.offset = if is_told { offset } else { 0 };
        }
    }
}

fn pair_key(caller: u64, callee: u64) -> u64 {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&caller.to_le_bytes());
    bytes[8..].copy_from_slice(&callee.to_le_bytes());
    xxh3_64(&bytes).max(1)
}

fn length((start, end): (u64, u64)) -> u64 {
    end.saturating_sub(start)
}

fn signed(later: u64, earlier: u64) -> i64 {
    i64::try_from(i128::from(later) - i128::from(earlier)).unwrap_or(0)
}

fn median(values: impl Iterator<Item = i64>) -> i64 {
    let mut values: SmallVec<[i64; 64]> = values.collect();
    let middle = values.len() / 2;
    if values.is_empty() { 0 } else { *values.select_nth_unstable(middle).1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// A call of 10 ms whose callee works 6 ms, by a clock that is `ahead` ms ahead, after `there` ms on the way.
    fn call(ahead: i64, there: u64) -> Round {
        let begin = (1_000 * MS + there * MS).saturating_add_signed(ahead * 1_000_000);
        Round { caller: (1_000 * MS, 1_010 * MS), callee: (begin, begin + 6 * MS) }
    }

    fn skews() -> Skews {
        Skews::new(1, Duration::from_secs(600))
    }

    #[test]
    fn a_callee_outside_of_its_caller_has_another_clock() {
        for ahead in [-500, -20, 20, 500] {
            assert_eq!(skews().learn(1, 2, call(ahead, 2)), ahead * 1_000_000);
        }
    }

    #[test]
    fn what_the_network_explains_is_no_skew() {
        for there in 0..=4 {
            assert_eq!(skews().learn(1, 2, call(0, there)), 0);
        }
    }

    #[test]
    fn single_calls_do_not_matter_and_clocks_may_change() {
        let mut skews = skews();
        for _ in 0..20 {
            skews.learn(1, 2, call(40, 1));
        }
        let offset = skews.learn(1, 2, call(-3_000, 1));
        assert_eq!(offset, 39 * 1_000_000);
        assert_eq!((skews.offset(1, 2), skews.offset(2, 1)), (offset, 0));
        for _ in 0..60 {
            skews.learn(1, 2, call(0, 2));
        }
        assert_eq!(skews.offset(1, 2), 0);
    }

    #[test]
    fn a_callee_that_was_given_up_tells_nothing() {
        let round = Round { caller: (1_000 * MS, 1_010 * MS), callee: (1_001 * MS, 4_000 * MS) };
        assert_eq!(skews().learn(1, 2, round), 0);
    }

    #[test]
    fn pairs_are_bounded_and_what_goes_is_counted() {
        let mut skews = skews();
        let mut dropped = 0;
        for callee in 0..3 * PAIRS as u64 {
            dropped += skews.rotate(ArrivalTime(1 + callee));
            skews.learn(1, callee, call(40, 1));
        }
        assert!(skews.pairs.len() <= PAIRS);
        assert!(dropped >= PAIRS as u64);
    }
}
