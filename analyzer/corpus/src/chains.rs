//! How deep harmless chains go, chain by chain, without any span: what the thresholds by depth are worth.
//!
//! Here the corpus proves that it is as hard as it says. [`REFERENCE`] holds, for a few laws, how often a chain gets to
//! 8, 16 and 32 laps, as computed for the design of the detectors; the corpus's own laws have to reproduce it. On the
//! same laws the life table of the engine is compared with fixed depths.

use loopscope_analyzer::{
    detect::life_table::{self, LifeTable},
    span::ArrivalTime,
};

use crate::{catalogue, class::Class, dice::Dice, scenario::Law, score::quantile, world::START};

/// How often a harmless chain gets to 8, 16 and 32 laps.
pub const REFERENCE: [(Class, [f64; 3]); 9] = [
    (Class::PaginationHalf, [0.004, 0.000_01, 0.0]),
    (Class::PaginationTwoThirds, [0.04, 0.002, 0.000_004]),
    (Class::PaginationMany, [0.17, 0.028, 0.0008]),
    (Class::PaginationLong, [0.43, 0.19, 0.034]),
    (Class::PaginationUniform, [0.42, 0.0, 0.0]),
    (Class::DivideSmall, [0.0, 0.0, 0.0]),
    (Class::Saga, [0.0, 0.0, 0.0]),
    (Class::PaginationLogNormal, [0.16, 0.047, 0.009]),
    (Class::PaginationPareto, [0.012, 0.004, 0.0009]),
];

/// The depths that [`REFERENCE`] speaks of.
pub const FIXED: [u32; 3] = [8, 16, 32];

/// How many of the loops of the hard population follow which law, of 400: most end early, some have heavy tails.
const POPULATION: [(Class, usize); 9] = [
    (Class::Saga, 80),
    (Class::DivideSmall, 60),
    (Class::PaginationHalf, 68),
    (Class::PaginationUniform, 36),
    (Class::PaginationTwoThirds, 68),
    (Class::PaginationMany, 40),
    (Class::PaginationLong, 16),
    (Class::PaginationLogNormal, 16),
    (Class::PaginationPareto, 16),
];

/// Chains of each loop of the hard population, a day.
const CHAINS_A_DAY: u32 = 1_000;

/// A rule by depth alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DepthRule {
    /// So many laps.
    Fixed(u32),
    /// The life table of the engine after so many chains, with this part of the benign chains allowed to be an alarm.
    Learned {
        /// Chains learned of.
        chains: u32,
        /// Part allowed.
        alpha: f64,
    },
}

/// How a rule did on one law.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reached {
    /// Laps at which it is an alarm.
    pub laps: u32,
    /// Part of the harmless chains that are one.
    pub share: f64,
}

/// How a rule did on the hard population.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hard {
    /// Part of the loops with at least one wrong alarm a day.
    pub false_loops: f64,
    /// Median laps until an endless chain is an alarm.
    pub laps_p50: f64,
    /// 90th percentile of the same.
    pub laps_p90: f64,
}

/// Laps of one harmless chain.
pub fn draw(law: Law, dice: &mut Dice) -> u32 {
    law.enter(dice).laps()
}

impl DepthRule {
    /// The words for people.
    pub fn words(self) -> String {
        match self {
            Self::Fixed(laps) => format!("fixed {laps}"),
            Self::Learned { chains: 0, alpha } => format!("life table, no history, {alpha:e}"),
            Self::Learned { chains, alpha } => format!("life table, {chains} chains, {alpha:e}"),
        }
    }

    /// Laps at which a chain of this law is an alarm.
    pub fn laps(self, law: Law, dice: &mut Dice) -> u32 {
        match self {
            Self::Fixed(laps) => laps,
            Self::Learned { chains, alpha } => {
                let mut table = LifeTable::default();
                for _ in 0..chains {
                    table.learn(ArrivalTime(START), draw(law, dice));
                }
                table.alarm_depth(alpha, life_table::UNKNOWN_CONTINUATION)
            }
        }
    }
}

/// How often harmless chains of a class get to where a rule is an alarm.
pub fn reached(class: Class, rule: DepthRule, seed: u64) -> Reached {
    let mut dice = Dice::new(seed, &format!("reached/{}/{}", class.word(), rule.words()));
    let law = catalogue::law(class, &mut dice);
    let laps = rule.laps(law, &mut dice);
    let drawn = 200_000;
    let deep = (0..drawn).filter(|_| draw(law, &mut dice) >= laps).count();
    Reached { laps, share: deep as f64 / f64::from(drawn) }
}

/// How a rule does on the hard population.
pub fn hard(rule: DepthRule, seed: u64) -> Hard {
    let mut dice = Dice::new(seed, &format!("hard/{}", rule.words()));
    let mut laps = Vec::new();
    let mut wrong = 0_u32;
    for (class, loops) in POPULATION {
        for _ in 0..loops {
            let law = catalogue::law(class, &mut dice);
            let limit = rule.laps(law, &mut dice);
            laps.push(f64::from(limit));
            wrong += u32::from((0..CHAINS_A_DAY).any(|_| draw(law, &mut dice) >= limit));
        }
    }
    let false_loops = f64::from(wrong) / laps.len() as f64;
    let part = |part| quantile(laps.clone(), part).unwrap_or(0.0);
    Hard { false_loops, laps_p50: part(0.5), laps_p90: part(0.9) }
}

/// The rules that are compared on the hard population.
pub fn rules() -> Vec<DepthRule> {
    let learned = |chains, alpha| DepthRule::Learned { chains, alpha };
    let mut rules: Vec<DepthRule> = [8, 12, 16, 32, 64].map(DepthRule::Fixed).to_vec();
    rules.extend([learned(0, 1e-4), learned(1_000, 1e-3), learned(1_000, 1e-4), learned(1_000, 1e-5)]);
    rules
}

/// The largest difference between what the corpus draws and [`REFERENCE`].
pub fn largest_deviation(seed: u64) -> f64 {
    let mut largest = 0.0_f64;
    for (class, expected) in REFERENCE {
        for (laps, expected) in FIXED.into_iter().zip(expected) {
            largest = largest.max((reached(class, DepthRule::Fixed(laps), seed).share - expected).abs());
        }
    }
    largest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpus_is_as_hard_as_it_says() {
        for seed in [1, 2, 3] {
            assert!(largest_deviation(seed) < 0.02, "{}", largest_deviation(seed));
        }
        let long = |laps| reached(Class::PaginationLong, DepthRule::Fixed(laps), 1).share;
        assert!((long(8) - 0.43).abs() < 0.02 && (long(16) - 0.19).abs() < 0.02 && (long(32) - 0.034).abs() < 0.02);
    }

    #[test]
    fn the_hard_population_has_the_wrong_alarms_that_fixed_depths_are_known_for() {
        for (laps, expected) in [(8, 0.65), (12, 0.50), (16, 0.35), (32, 0.15), (64, 0.06)] {
            let found = hard(DepthRule::Fixed(laps), 1);
            assert!((found.false_loops - expected).abs() < 0.04, "{laps}: {}", found.false_loops);
            assert_eq!(found.laps_p50, f64::from(laps));
        }
    }
}
