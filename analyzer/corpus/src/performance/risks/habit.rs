//! What a function at risk does, and what one does that only looks like it.

use std::sync::Arc;

use loopscope_analyzer::{facts::FunctionRule, snapshot::Risk};
use statrs::distribution::{ContinuousCDF as _, Normal};

use crate::dice::Dice;

/// Seconds that a function is watched.
pub(super) const SECONDS: f64 = 7_200.0;

/// Runs a second of a function of which a tail is asked, and of the others.
const RATES: (f64, f64) = (1.2, 0.1);

/// Time-outs a day of a function at risk, at least and at most; and of one that looks like it. What lies between is one
/// either way.
const AT_RISK: (f64, f64) = (3.0, 100.0);
const CALM: (f64, f64) = (1e-4, 0.3);

/// What a function does, run by run.
#[derive(Clone, Debug)]
pub(super) struct Habit {
    /// Runs a second.
    pub(super) rate: f64,
    /// Own work, seconds, median, and sigma of its logarithm.
    pub(super) own: (f64, f64),
    /// No run takes longer than this, seconds; it gives up by itself and does not fail.
    pub(super) longest: f64,
    /// A run that takes longer is ended, seconds.
    pub(super) time_out: f64,
    /// Runs that are ended leave a span.
    pub(super) tells_time_outs: bool,
    /// Part of the runs that wait too long for somebody else and fail, and how long they wait, seconds.
    pub(super) waits: (f64, f64),
    /// Part of the runs that start an instance beside those that have to.
    pub(super) cold: f64,
    /// How long that takes, seconds, median.
    pub(super) init: f64,
    /// An instance starts within its first run, which takes longer; else before it, as the platform reports.
    pub(super) starts_within: bool,
    /// How many runs an instance has.
    pub(super) life: u32,
    pub(super) memory: Memory,
    pub(super) state: State,
    pub(super) refused: Refused,
}

/// What an instance uses of its memory, MiB.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    pub(super) base: f64,
    /// Part of the base that a run may use besides.
    pub(super) noise: f64,
    /// What each run adds that stays.
    pub(super) leak: f64,
    /// A part of the base that fills up within so many runs, and no further.
    pub(super) fills: (f64, f64),
    /// A part of the base that one large request takes in one run of the life of an instance, and that stays.
    pub(super) large: f64,
    /// What is told is the most that the instance has used so far, as AWS does.
    pub(super) is_high_water: bool,
}

/// What a run asks of stores.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// Part of the runs that ask so often.
    pub(super) part: f64,
    pub(super) calls: (u32, u32),
    /// All at the same time, else one after the other.
    pub(super) at_once: bool,
    /// A function of somebody else is asked, and no store.
    pub(super) is_function: bool,
}

/// How the calls of its one caller fail.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) part: f64,
    pub(super) how: Failing,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Failing {
    /// Nobody calls it; requests come from outside.
    Nobody,
    /// The platform refuses it, so that nothing runs.
    Refused,
    /// It runs and fails.
    Fails,
    /// It runs, and fails because a table refuses it something.
    RefusedByTable,
    /// It runs for longer than the caller waits.
    GivenUp,
}

impl Habit {
    /// Draws one that is at risk, or looks like it; in turn, by its number. The words are for people.
    pub(super) fn new(about: Risk, is_at_risk: bool, number: usize, dice: &mut Dice) -> (&'static str, Self) {
        let healthy = Self::healthy(dice);
        match about {
            Risk::TimeOut => healthy.time_out(is_at_risk, number, dice),
            Risk::MemoryLow | Risk::MemoryLeak => healthy.leak(is_at_risk, number, dice),
            Risk::Throttled => healthy.throttled(is_at_risk, number, dice),
            Risk::ColdStarts => healthy.cold(is_at_risk, number, dice),
            Risk::ChattyState => healthy.chatty(is_at_risk, number, dice),
        }
    }

    fn healthy(dice: &mut Dice) -> Self {
        Self {
            rate: RATES.1,
            own: (dice.lognormal(0.1, 0.7), dice.uniform(0.25, 0.6)),
            longest: f64::INFINITY,
            time_out: 900.0,
            tells_time_outs: true,
            waits: (0.0, 0.0),
            cold: 0.0,
            init: dice.uniform(0.1, 0.3),
            starts_within: dice.chance(0.5),
            life: dice.between(120, 250),
            memory: Memory {
                base: dice.uniform(80.0, 180.0),
                noise: dice.uniform(0.02, 0.1),
                leak: 0.0,
                fills: (0.0, 1.0),
                large: 0.0,
                is_high_water: dice.chance(0.5),
            },
            state: State { part: 1.0, calls: (0, 3), at_once: false, is_function: false },
            refused: Refused { part: 0.0, how: Failing::Nobody },
        }
    }

    fn time_out(self, is_at_risk: bool, number: usize, dice: &mut Dice) -> (&'static str, Self) {
        let own = (dice.lognormal(0.4, 0.7), dice.uniform(0.25, 0.5));
        // A state beside the own work would add to the tail, and starts are a tail of their own.
        let state = State { calls: (0, 0), ..self.state.clone() };
        let base = Self { rate: RATES.0, own, state, starts_within: false, ..self };
        let (low, high) = if is_at_risk { AT_RISK } else { CALM };
        let a_day = low * (high / low).powf(dice.unit());
        let limit = limit_of(own, a_day / (base.rate * 86_400.0));
        if is_at_risk {
            let tells_time_outs = number.is_multiple_of(2);
            return ("some runs a day take longer than they may", Self { time_out: limit, tells_time_outs, ..base });
        }
        match number % 4 {
            0 => ("a tail that ends before the limit", Self { time_out: limit, ..base }),
            1 => {
                let longest = limit_of(own, 0.002);
                let time_out = longest * dice.uniform(1.1, 1.4);
                ("gives up before the limit", Self { longest, time_out, ..base })
            }
            2 => {
                let waits = (0.02, own.0 * 6.0);
                ("waits too long for somebody else", Self { waits, time_out: limit + waits.1, ..base })
            }
            _ => {
                let (init, cold) = (own.0 * 4.0, 0.02);
                let time_out = limit.max((init + own.0) * 4.0);
                ("slow starts far from the limit", Self { init, cold, starts_within: true, time_out, ..base })
            }
        }
    }

    fn leak(mut self, is_at_risk: bool, number: usize, dice: &mut Dice) -> (&'static str, Self) {
        self.memory.is_high_water = number.is_multiple_of(2);
        if is_at_risk {
            self.memory.leak = self.memory.base * dice.uniform(0.001, 0.008);
            return ("memory grows from run to run", self);
        }
        let words = match number % 4 {
            0 => {
                self.memory.noise = dice.uniform(0.3, 0.6);
                self.memory.is_high_water = true;
                "the most of what varies from run to run"
            }
            1 => {
                self.memory.fills = (dice.uniform(0.2, 0.6), dice.uniform(5.0, 25.0));
                "a cache that fills"
            }
            2 => {
                self.memory.large = dice.uniform(0.3, 1.0);
                self.memory.is_high_water = true;
                "a large request"
            }
            _ => {
                self.memory.noise = dice.uniform(0.5, 1.0);
                self.memory.is_high_water = false;
                "large and small requests"
            }
        };
        (words, self)
    }

    fn throttled(mut self, is_at_risk: bool, number: usize, dice: &mut Dice) -> (&'static str, Self) {
        let part = 0.02 * 15.0_f64.powf(dice.unit());
        let (part, how, words) = match (is_at_risk, number % 4) {
            (true, _) => (part, Failing::Refused, "calls are refused"),
            (_, 0) => (part, Failing::Fails, "runs fail"),
            (_, 1) => (part, Failing::RefusedByTable, "a table refuses what runs ask"),
            (_, 2) => (part, Failing::GivenUp, "callers give up"),
            _ => (0.003, Failing::Refused, "one call in 300 is refused"),
        };
        self.rate *= 3.0;
        self.refused = Refused { part, how };
        (words, self)
    }

    fn cold(mut self, is_at_risk: bool, number: usize, dice: &mut Dice) -> (&'static str, Self) {
        if is_at_risk {
            self.cold = dice.uniform(0.1, 0.5);
            self.init = self.own.0 * dice.uniform(4.0, 15.0);
            return ("a storm of slow starts", self);
        }
        let words = match number % 4 {
            0 => {
                self.cold = dice.uniform(0.0, 0.01);
                self.init = self.own.0 * dice.uniform(4.0, 15.0);
                "slow starts that are rare"
            }
            1 => {
                self.cold = dice.uniform(0.1, 0.5);
                self.init = self.own.0 * dice.uniform(0.01, 0.05);
                "starts that are often and quick"
            }
            2 => {
                self.waits = (dice.uniform(0.08, 0.15), self.own.0 * 20.0);
                self.cold = 0.05;
                self.init = self.own.0 * 0.5;
                "a slow tail for another reason"
            }
            _ => {
                self.own.1 = 1.2;
                self.cold = dice.uniform(0.02, 0.05);
                self.init = self.own.0;
                "runs that vary more than starts take"
            }
        };
        (words, self)
    }

    fn chatty(mut self, is_at_risk: bool, number: usize, dice: &mut Dice) -> (&'static str, Self) {
        let calls = (dice.between(12, 20), dice.between(20, 50));
        if is_at_risk {
            self.state = State { part: dice.uniform(0.1, 1.0), calls, at_once: false, is_function: false };
            return ("many uses of a store, one after the other", self);
        }
        let (words, state) = match number % 4 {
            0 => ("many uses of a store at once", State { part: 1.0, calls, at_once: true, is_function: false }),
            1 => ("a few uses of a store", State { part: 1.0, calls: (3, 7), at_once: false, is_function: false }),
            2 => ("one run in a hundred", State { part: 0.01, calls, at_once: false, is_function: false }),
            _ => ("many calls of a function", State { part: 1.0, calls, at_once: false, is_function: true }),
        };
        self.state = state;
        (words, self)
    }

    /// What its owner has configured.
    pub(super) fn rule(&self, name: &Arc<str>) -> FunctionRule {
        let time_out_ms = Some((self.time_out * 1e3) as u64);
        FunctionRule { pattern: Arc::clone(name), time_out_ms, ..FunctionRule::default() }
    }
}

/// The time that this part of lognormal times is above, seconds.
fn limit_of((median, sigma): (f64, f64), part: f64) -> f64 {
    median * (sigma * Normal::standard().inverse_cdf(1.0 - part)).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_part_of_the_times_is_above_the_limit() {
        let (mut dice, own) = (Dice::new(1, "limit"), (0.4, 0.5));
        let limit = limit_of(own, 0.01);
        let above = (0..100_000).filter(|_| dice.lognormal(own.0, own.1) > limit).count();
        assert!((900..1_100).contains(&above), "{above}");
    }

    #[test]
    fn a_function_at_risk_is_nearer_to_its_limit_than_one_that_is_not() {
        let mut dice = Dice::new(1, "habits");
        let time_outs_a_day = |habit: &Habit| {
            let z = (habit.time_out / habit.own.0).ln() / habit.own.1;
            habit.rate * 86_400.0 * Normal::standard().sf(z)
        };
        for number in 0..40 {
            let (_, at_risk) = Habit::new(Risk::TimeOut, true, number, &mut dice);
            assert!((2.9..101.0).contains(&time_outs_a_day(&at_risk)), "{at_risk:?}");
            let (_, calm) = Habit::new(Risk::TimeOut, false, number, &mut dice);
            assert!(time_outs_a_day(&calm) < 0.31 || calm.longest < calm.time_out, "{calm:?}");
        }
    }
}
