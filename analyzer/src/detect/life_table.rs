//! How deep the chains of one loop go before they end by themselves: a life table, as actuaries keep them for people.
//!
//! A fixed number of laps is wrong for nearly every loop: chains that continue with a probability of 0.9 reach 16 laps
//! one time in five, chains that continue with 0.5 one time in 65,000. So each loop learns, from its chains that ended
//! by themselves, how likely a chain of each depth is to go on. From that follows how likely a benign chain is to get
//! as deep as the one that is watched, counting what is not known yet in favour of going on: a table without history
//! still gives an answer, and one with history a sharper one.
//!
//! Depths are gathered in bins that widen as they get deeper. Within a bin the chance to go on has a Beta prior whose
//! mean is that of the bin before, so that the unseen depths behave like the deepest that was seen. Two things keep a
//! loop with a long tail from being taken for one that ends early because its few deepest chains did end: half of the
//! end of the deepest chain counts, and from bin to bin the mean falls less than the counts alone would have it.

use std::time::Duration;

use crate::{span::ArrivalTime, state::state};

/// First depth of each bin; the last has no end.
const BIN_STARTS: [u32; BINS] = [1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384];
/// Number of bins.
pub const BINS: usize = 19;

/// Weight of the prior, in laps. Two put the alarm of a loop without any history at 18 laps.
const PRIOR_LAPS: f64 = 2.0;

/// What is assumed of a loop before anything is known: half of its chains go on.
pub const UNKNOWN_CONTINUATION: f64 = 0.5;

/// What is assumed of the depths that no chain of a loop got to, when very many of them ended by themselves: the more
/// did, the less likely it is to be benign to go on where none did.
const BEYOND_KNOWN: f64 = 0.3;
/// Chains that ended by themselves after which half of the way from what is assumed at first to [`BEYOND_KNOWN`] is gone.
const HALF_KNOWN: f64 = 10.0;
/// Chains that ended by themselves after which it is known how a loop behaves.
pub const KNOWN_CHAINS: u64 = 50;

/// How much of the end of the deepest chain counts: the deepest always ended, wherever that was.
const DEEPEST_END: f64 = 0.5;
/// How much of a fall from the mean of one bin to the next is not believed.
const FALL_DOUBTED: f64 = 0.3;

/// What was learned loses half of its weight in this time, so that a loop may change its ways.
const HALF_LIFE: Duration = Duration::from_secs(7 * 24 * 3_600);
/// What was learned is made lighter in steps of at least this.
const DECAY_STEP: Duration = Duration::from_secs(600);

/// Depth below which no chain is an alarm, however unlikely it is.
pub const LEAST_ALARM: u32 = 6;
/// Depth from which a chain is an alarm when none of four times less has ended by itself, or few have ended at all.
pub const MOST_ALARM: u32 = 64;
/// Depth at which a chain of a loop without history is an alarm at the latest, and by how much each chain that ended by
/// itself may raise that: the first few may be pieces of one that lost spans have broken.
const UNKNOWN_ALARM: u32 = 18;
const RISE: u32 = 2;
/// How many times deeper than every chain that ended by itself a chain may get, beyond [`MOST_ALARM`].
const BEYOND_DEEPEST: u32 = 4;
/// Deeper chains are told to be as probable as one of this depth: they are less so, and a chain may be a million deep.
const DEEPEST_PREDICTED: u32 = 1_024;

/// Depth below which no chain is suspect.
pub const LEAST_SUSPECT: u32 = 4;
/// Probability at which a chain is suspect.
pub const SUSPECT: f64 = 1e-2;

/// The depths at which the chains of one loop went on or ended.
#[derive(Clone, Debug, PartialEq)]
pub struct LifeTable {
    continued: [f64; BINS],
    ended: [f64; BINS],
    chains: u64,
    deepest: u32,
    as_of: ArrivalTime,
}

impl Default for LifeTable {
    fn default() -> Self {
        Self { continued: [0.0; BINS], ended: [0.0; BINS], chains: 0, deepest: 0, as_of: ArrivalTime(0) }
    }
}

impl LifeTable {
    /// A chain ended by itself after `depth` laps; chains without a lap teach nothing.
    pub fn learn(&mut self, now: ArrivalTime, depth: u32) {
        if depth == 0 {
            return;
        }
        self.decay(now);
        self.chains += 1;
        self.deepest = self.deepest.max(depth);
        let last = bin(depth);
        for at in 0..last {
            self.continued[at] += f64::from(BIN_STARTS[at + 1] - BIN_STARTS[at]);
        }
        self.continued[last] += f64::from(depth - BIN_STARTS[last]);
        self.ended[last] += 1.0;
    }

    /// Chains learned of.
    pub fn chains(&self) -> u64 {
        self.chains
    }

    /// Laps that went on, and laps after which a chain ended, with the weight they still have.
    pub fn totals(&self) -> (f64, f64) {
        (self.continued.iter().sum(), self.ended.iter().sum())
    }

    /// Probability that a chain which went round once gets to `depth` laps and goes on, by what was learned.
    ///
    /// `prior` is the chance to go on where nothing was learned; see [`UNKNOWN_CONTINUATION`]. Costs O(depth).
    pub fn predictive(&self, depth: u32, prior: f64) -> f64 {
        let depth = depth.min(DEEPEST_PREDICTED);
        self.survival(prior).take_while(|(lap, _)| *lap <= depth).last().map_or(1.0, |(_, probability)| probability)
    }

    /// The first depth, and `least` at the least, that a benign chain gets to with no more than this probability.
    pub fn rarer_than(&self, probability: f64, least: u32, prior: f64) -> u32 {
        let most = self.most_alarm();
        let found = self.survival(prior).find(|(depth, p)| *depth >= least && (*p <= probability || *depth >= most));
        found.map_or(most, |(depth, _)| depth)
    }

    /// Laps at which a chain is an alarm when no more than a part `alpha` of the benign ones may be one.
    pub fn alarm_depth(&self, alpha: f64, prior: f64) -> u32 {
        self.rarer_than(alpha, LEAST_ALARM, prior)
    }

    /// Every depth with the probability that a chain gets there and goes on.
    fn survival(&self, prior: f64) -> impl Iterator<Item = (u32, f64)> {
        let known = self.chains as f64 / (HALF_KNOWN + self.chains as f64);
        let prior = prior - (prior - BEYOND_KNOWN).max(0.0) * known;
        let deepest = self.ended.iter().rposition(|ended| *ended > 0.0);
        // Laps that were continued in a bin, and those that could have been.
        let seen = move |at: usize| {
            let not_counted = if deepest == Some(at) { self.ended[at].min(1.0) * DEEPEST_END } else { 0.0 };
            (self.continued[at], self.continued[at] + self.ended[at] - not_counted)
        };
        let (mut probability, mut mean, mut at) = (1.0, prior, 0);
        (1..).map(move |depth: u32| {
            if BIN_STARTS.get(at + 1).is_some_and(|next| depth >= *next) {
                let (continued, seen) = seen(at);
                let found = (PRIOR_LAPS * mean + continued) / (PRIOR_LAPS + seen);
                mean = (found + FALL_DOUBTED * (mean - found).max(0.0)).max(prior);
                at += 1;
            }
            let more = f64::from(depth - BIN_STARTS[at]);
            let (continued, seen) = seen(at);
            probability *= (PRIOR_LAPS * mean + continued + more) / (PRIOR_LAPS + seen + more);
            (depth, probability)
        })
    }

    /// Laps from which a chain is an alarm whatever its probability. A few long chains do not move it.
    pub fn most_alarm(&self) -> u32 {
        if self.chains < KNOWN_CHAINS {
            return MOST_ALARM.min(UNKNOWN_ALARM + RISE * self.chains as u32);
        }
        MOST_ALARM.max(self.deepest.saturating_mul(BEYOND_DEEPEST).min(BEYOND_DEEPEST * BIN_STARTS[BINS - 1]))
    }

    fn decay(&mut self, now: ArrivalTime) {
        if self.as_of.0 == 0 {
            self.as_of = now;
        }
        let age = now.since(self.as_of);
        if age < DECAY_STEP {
            return;
        }
        self.as_of = now;
        let left = 0.5_f64.powf(age.as_secs_f64() / HALF_LIFE.as_secs_f64());
        self.continued.iter_mut().chain(&mut self.ended).for_each(|count| *count *= left);
    }
}

/// The chance to go on of loops that have no history yet, from all loops that have one.
///
/// It can make a new loop an alarm sooner, and never later than [`UNKNOWN_CONTINUATION`] does: that others go on for
/// long is no reason to let a new one go on.
pub fn pooled_continuation(tables: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (continued, ended) = tables.fold((0.0, 0.0), |sum, table| (sum.0 + table.0, sum.1 + table.1));
    // A handful of chains says nothing about other loops.
    if ended < 100.0 {
        UNKNOWN_CONTINUATION
    } else {
        (continued / (continued + ended)).clamp(0.3, UNKNOWN_CONTINUATION)
    }
}

/// Part of the benign chains of a loop that may be an alarm: one in ten thousand, and at most one in a hundred days.
pub fn alpha(chains_per_day: f64) -> f64 {
    (0.01 / chains_per_day.max(1.0)).min(1e-4)
}

fn bin(depth: u32) -> usize {
    BIN_STARTS.partition_point(|start| *start <= depth).saturating_sub(1)
}

state!(LifeTable { continued, ended, chains, deepest, as_of });

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;
    use crate::state::{bytes_of, value_of};

    const NOW: ArrivalTime = ArrivalTime(1_700_000_000_000_000_000);

    /// Chains that go on with probability `q` after each lap, as their expected numbers.
    fn geometric(q: f64, chains: u32) -> LifeTable {
        let mut table = LifeTable::default();
        let mut left = f64::from(chains);
        for depth in 1_u32.. {
            let ending = (left * (1.0 - q)).round().max(if left >= 1.0 { 1.0 } else { 0.0 });
            (0..ending as u32).for_each(|_| table.learn(NOW, depth));
            left -= ending;
            if left < 0.5 {
                return table;
            }
        }
        table
    }

    fn thresholds(table: &LifeTable, prior: f64) -> String {
        let reach = |p: f64| (LEAST_SUSPECT..400).find(|depth| table.predictive(*depth, prior) <= p).unwrap_or(400);
        format!("suspect {} 1e-3 {} alarm {}", reach(SUSPECT), reach(1e-3), table.alarm_depth(1e-4, prior))
    }

    #[track_caller]
    fn check(table: &LifeTable, prior: f64, expected: Expect) {
        expected.assert_eq(&thresholds(table, prior));
    }

    #[test]
    fn a_loop_without_history_is_suspect_at_7_and_an_alarm_at_18() {
        check(&LifeTable::default(), 0.5, expect!["suspect 7 1e-3 12 alarm 18"]);
        check(&LifeTable::default(), 0.3, expect!["suspect 4 1e-3 6 alarm 8"]);
    }

    #[test]
    fn history_moves_the_alarm_to_where_benign_chains_do_not_get() {
        check(&geometric(0.5, 3_000), 0.5, expect!["suspect 7 1e-3 10 alarm 13"]);
        check(&geometric(0.9, 3_000), 0.5, expect!["suspect 45 1e-3 64 alarm 74"]);
        let mut saga = LifeTable::default();
        (0..3_000).for_each(|at| saga.learn(NOW, 2 + at % 2));
        check(&saga, 0.5, expect!["suspect 4 1e-3 4 alarm 6"]);
        let mut divide = LifeTable::default();
        (0..3_000).for_each(|_| divide.learn(NOW, 6));
        check(&divide, 0.5, expect!["suspect 6 1e-3 6 alarm 8"]);
    }

    #[test]
    fn one_runaway_among_those_that_ended_would_destroy_the_threshold() {
        let clean = geometric(0.5, 1_000);
        let mut poisoned = clean.clone();
        poisoned.learn(NOW, 5_000);
        assert!(clean.alarm_depth(1e-4, 0.5) < 20);
        assert!(poisoned.alarm_depth(1e-4, 0.5) > 100);
    }

    #[test]
    fn a_loop_forgets_its_old_ways() {
        let mut table = LifeTable::default();
        (0..1_000).for_each(|_| table.learn(NOW, 30));
        let later = NOW.after(Duration::from_secs(70 * 24 * 3_600));
        (0..1_000).for_each(|_| table.learn(later, 2));
        let (continued, ended) = table.totals();
        assert!(ended < 1_003.0 && continued < 1_060.0, "{continued} {ended}");
    }

    #[test]
    fn loops_share_what_is_typical() {
        assert_eq!(pooled_continuation([(50.0, 40.0)].into_iter()), UNKNOWN_CONTINUATION);
        assert!((pooled_continuation([(400.0, 600.0)].into_iter()) - 0.4).abs() < 1e-9);
        assert_eq!(pooled_continuation([(900.0, 100.0)].into_iter()), UNKNOWN_CONTINUATION);
    }

    proptest! {
        #[test]
        fn deeper_is_never_more_likely(depths in prop::collection::vec(1u32..200, 0..50), prior in 0.3f64..0.7) {
            let mut table = LifeTable::default();
            depths.iter().for_each(|depth| table.learn(NOW, *depth));
            let mut before = 1.0;
            for depth in 1..300 {
                let p = table.predictive(depth, prior);
                prop_assert!(p <= before && p > 0.0);
                before = p;
            }
        }

        #[test]
        fn parts_make_the_whole(depths in prop::collection::vec(1u32..900, 0..50)) {
            let mut table = LifeTable::default();
            depths.iter().for_each(|depth| table.learn(NOW, *depth));
            prop_assert_eq!(value_of::<LifeTable>(&bytes_of(&table)), Some(table));
        }
    }
}
