//! R of a loop: further laps that each lap causes, with an interval that says how sure that is.
//!
//! Laps whose successors have not had the time to arrive must not count as ends, or a loop that keeps itself alive
//! looks as if it were dying. So the successors that were seen are divided by those that could have been seen by now:
//! each lap counts with the part of the lap times that is shorter than its age. The idea is that of the renewal
//! estimators of epidemiology (Cori et al., "A new framework and software to estimate time-varying reproduction
//! numbers during epidemics", 2013).

use statrs::distribution::{Beta, ContinuousCDF, Gamma};

use crate::snapshot::{LoopState, Reproduction};

/// Laps that must have had the time to be followed before R says anything.
const LEAST_EXPOSURE: f64 = 5.0;

/// Laps that an interval is made of at most: more would make it hardly narrower, and the quantiles of distributions
/// with very large parameters take for ever to find.
const MOST_LAPS: f64 = 1e4;

/// Above this at the lower end, the laps multiply.
const GROWING: f64 = 1.05;
/// Below this at the upper end, the laps die out.
const DYING: f64 = 0.9;
/// Where the interval meets this range around one, a loop keeps itself alive, unless it may as well be ...
const ALIVE: std::ops::RangeInclusive<f64> = 0.95..=1.05;
/// ... below this.
const ALIVE_AT_LEAST: f64 = 0.8;

/// R from laps that were followed (`offspring`) and laps that could have been (`exposure`).
///
/// A loop that never branches follows a lap with one or none, so its R is a probability and has a Beta distribution;
/// otherwise R has a Gamma distribution. Both start from Jeffreys' prior.
pub fn reproduction(offspring: f64, exposure: f64, is_branching: bool) -> Option<Reproduction> {
    thinned(offspring, exposure, is_branching, 1.0)
}

/// The same where only a part `seen` of the laps that follow is seen, and each of them counts in `offspring` for
/// `1 / seen`.
///
/// As many laps as were seen were drawn, and no more, so the interval is that of the part of R that is seen, made as
/// much wider: it is wide where little is seen.
pub fn thinned(offspring: f64, exposure: f64, is_branching: bool, seen: f64) -> Option<Reproduction> {
    let is_enough = exposure * seen >= LEAST_EXPOSURE && offspring >= 0.0;
    if !(is_enough && exposure.is_finite() && offspring.is_finite()) {
        return None;
    }
    let mean = offspring / exposure;
    let weight = (MOST_LAPS / exposure.max(offspring)).min(1.0);
    let (offspring, exposure) = (offspring * weight, exposure * weight);
    if is_branching {
        let posterior = Gamma::new(0.5 + offspring * seen, 0.5 + exposure * seen).ok()?;
        return Some(Reproduction { mean, low: posterior.inverse_cdf(0.025), high: posterior.inverse_cdf(0.975) });
    }
    let followed = offspring * seen;
    let ended = (exposure - followed).max(0.0);
    let posterior = Beta::new(0.5 + followed, 0.5 + ended).ok()?;
    // A chain of which no lap was the last cannot be more than certain to go on: all doubt lies below.
    let (low, high) = if ended < 0.5 { (0.05, 1.0) } else { (0.025, 0.975) };
    let quantile = |part: f64| (posterior.inverse_cdf(part) / seen).min(1.0);
    Some(Reproduction { mean: mean.min(1.0), low: quantile(low), high: if high < 1.0 { quantile(high) } else { 1.0 } })
}

/// How a loop with laps in the recent past behaves.
pub fn state(reproduction: Option<Reproduction>) -> LoopState {
    let Some(Reproduction { low, high, .. }) = reproduction else { return LoopState::Unknown };
    if low > GROWING {
        LoopState::Growing
    } else if high < DYING {
        LoopState::Dying
    } else if low > ALIVE_AT_LEAST && high >= *ALIVE.start() && low <= *ALIVE.end() {
        LoopState::Persistent
    } else {
        LoopState::Unknown
    }
}

/// Seconds in which the laps double, for laps of `mean_seconds` whose standard deviation is `cv` times the mean;
/// `None` unless `r` is above one.
///
/// Lap times are taken to have a Gamma distribution: then the growth rate solves `r (1 + rate mean cv^2)^(-1/cv^2) = 1`.
pub fn doubling_seconds(r: f64, mean_seconds: f64, cv: f64) -> Option<f64> {
    if !(r > 1.0 && mean_seconds > 0.0 && cv >= 0.0) {
        return None;
    }
    let variance = cv * cv;
    let rate =
        if variance < 1e-6 { r.ln() / mean_seconds } else { (r.powf(variance) - 1.0) / (mean_seconds * variance) };
    Some(std::f64::consts::LN_2 / rate).filter(|seconds| seconds.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_that_goes_on_is_soon_known_to_keep_itself_alive() {
        let after = |laps: f64| state(reproduction(laps, laps, false));
        assert_eq!(after(4.0), LoopState::Unknown);
        assert_eq!(after(12.0), LoopState::Persistent);
        assert_eq!(after(1_000.0), LoopState::Persistent);
    }

    #[test]
    fn what_dies_out_and_what_multiplies_is_told_apart() {
        assert_eq!(state(reproduction(50.0, 100.0, false)), LoopState::Dying);
        assert_eq!(state(reproduction(40.0, 20.0, true)), LoopState::Growing);
        assert_eq!(state(reproduction(100.0, 100.0, true)), LoopState::Persistent);
        assert_eq!(state(reproduction(10.0, 10.0, true)), LoopState::Unknown);
    }

    #[test]
    fn doubling_times_are_those_of_simulated_trees() {
        let rate = |r: f64, cv: f64| std::f64::consts::LN_2 / doubling_seconds(r, 2.0, cv).unwrap();
        // Laps of 2 s; without spread the laps double in ln 2 / ln R laps.
        assert!((rate(2.0, 0.0) - 0.3466).abs() < 1e-3);
        // With a spread the quick laps lead.
        assert!(rate(2.0, 1.0) > 0.49);
        assert_eq!(doubling_seconds(1.0, 2.0, 0.5), None);
    }

    #[test]
    fn any_number_of_laps_has_an_interval() {
        for (offspring, exposure) in [(2.7e24, 105.0), (1e9, 1e9), (0.0, 1e15), (1e15, 5.0), (3e4, 1e4)] {
            for is_branching in [false, true] {
                let found = reproduction(offspring, exposure, is_branching).unwrap();
                assert!(found.low >= 0.0 && found.low <= found.high && found.high.is_finite(), "{found:?}");
            }
        }
        assert_eq!(reproduction(f64::INFINITY, 10.0, true), None);
    }

    #[test]
    fn what_is_hidden_widens_the_interval_and_moves_nothing() {
        for is_branching in [false, true] {
            let width = |seen: f64| {
                // Of 200 laps 140 were followed, of which a part was seen.
                let found = thinned(140.0, 200.0, is_branching, seen).unwrap();
                assert!((found.mean - 0.7).abs() < 1e-9 && found.low < 0.7 && found.high > 0.7, "{seen}: {found:?}");
                found.high - found.low
            };
            // As wide as for the laps that were seen, of which there are fewer.
            let fewer = reproduction(14.0, 20.0, true).unwrap();
            assert!(width(0.5) > width(1.0) && width(0.1) > 2.0 * width(1.0));
            assert!((width(0.1) - (fewer.high - fewer.low)).abs() < 0.35, "{}", width(0.1));
        }
        assert_eq!(thinned(140.0, 200.0, true, 1.0), reproduction(140.0, 200.0, true));
        assert_eq!(thinned(14.0, 20.0, true, 0.1), None, "two laps are too few");
    }

    #[test]
    fn intervals_hold_the_truth() {
        let found = reproduction(90.0, 100.0, false).unwrap();
        assert!(found.low < 0.9 && found.low > 0.8 && found.high > 0.9 && found.high < 0.96, "{found:?}");
        let tree = reproduction(200.0, 100.0, true).unwrap();
        assert!(tree.low < 2.0 && tree.low > 1.7 && tree.high > 2.0 && tree.high < 2.35, "{tree:?}");
    }
}
