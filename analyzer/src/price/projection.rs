//! What a loop will cost, and when it will take all instances, if it goes on as it does.
//!
//! With `N` chains under way, laps of mean length `μ`, and `R` laps caused by each lap:
//!
//! ```text
//!   R < 1   dies out: N · min(H/μ, R/(1−R)) laps are left, and as many for each chain that begins
//!   R = 1   goes on for ever: N/μ laps a second, and more with each chain that begins
//!   R > 1   grows by e^(rt), with r = (R^(c²) − 1) / (μ c²) for laps whose length varies by c
//! ```
//!
//! Laps cannot come faster than the instances that may run allow, so the rate is cut there.

/// Chains whose R lies in here are taken to go on for ever without growing; no estimate can tell it from 1.
const SELF_SUSTAINING: std::ops::RangeInclusive<f64> = 0.95..=1.05;

/// Invocations a second that one instance may answer: the limit of AWS Lambda.
const REQUESTS_PER_INSTANCE: f64 = 10.0;

/// The day over which costs are projected, seconds.
const DAY: f64 = 86_400.0;

/// Below this variation of the lap times growth is that of laps of equal length.
const LEAST_CV: f64 = 1e-3;

/// How a loop goes on, and what one lap of it takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Chains under way.
    pub active: f64,
    /// Laps caused by each lap.
    pub r: f64,
    /// Mean time of a lap, seconds.
    pub lap_mean_seconds: f64,
    /// Standard deviation of the lap time over its mean.
    pub lap_cv: f64,
    /// Chains that begin each second.
    pub immigration_per_second: f64,
    /// What one lap costs, all its functions together.
    pub cost_per_lap: f64,
    /// Time that instances run for one lap, all its functions together, seconds.
    pub busy_seconds_per_lap: f64,
    /// Invocations of one lap.
    pub invocations_per_lap: f64,
    /// Instances that may run at the same time.
    pub concurrency: f64,
}

/// What follows if nobody does anything.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Projection {
    /// Cost of an hour at the pace of now.
    pub per_hour: f64,
    /// Cost of the next 24 hours.
    pub next_24h: f64,
    /// Part of the instances that may run which the loop takes now, 0 to 1.
    pub concurrency_share: f64,
    /// Seconds until it takes all of them; `None` when it never does.
    pub seconds_to_saturation: Option<f64>,
}

/// Projects a loop. O(1).
pub fn project(load: &Load) -> Projection {
    if !(load.lap_mean_seconds.is_finite() && load.lap_mean_seconds > 0.0) {
        return Projection::default();
    }
    let rate_now = (load.active / load.lap_mean_seconds).min(load.most_laps_per_second());
    let share = load.active * load.busy_seconds_per_lap / load.lap_mean_seconds / load.concurrency.max(1.0);
    Projection {
        per_hour: rate_now * 3_600.0 * load.cost_per_lap,
        next_24h: load.laps_within(DAY) * load.cost_per_lap,
        concurrency_share: share.clamp(0.0, 1.0),
        seconds_to_saturation: load.seconds_to_saturation(),
    }
}

impl Load {
    /// Growth rate of a loop, a second; below zero when it dies out.
    pub fn growth_per_second(&self) -> f64 {
        let (mean, variation) = (self.lap_mean_seconds, self.lap_cv * self.lap_cv);
        if self.r <= 0.0 {
            return f64::NEG_INFINITY;
        }
        if self.lap_cv < LEAST_CV { self.r.ln() / mean } else { (self.r.powf(variation) - 1.0) / (mean * variation) }
    }

    /// The rate at which all instances are taken.
    fn most_laps_per_second(&self) -> f64 {
        let by_time = self.concurrency / self.busy_seconds_per_lap.max(f64::MIN_POSITIVE);
        let by_requests = REQUESTS_PER_INSTANCE * self.concurrency / self.invocations_per_lap.max(1.0);
        by_time.min(by_requests)
    }

    /// Chains at which all instances are taken.
    fn most_active(&self) -> f64 {
        self.most_laps_per_second() * self.lap_mean_seconds
    }

    fn laps_within(&self, seconds: f64) -> f64 {
        let (mean, most) = (self.lap_mean_seconds, self.most_laps_per_second());
        let expected = if self.r > *SELF_SUSTAINING.end() {
            let rate = self.growth_per_second();
            // Chains that begin are as if more had been under way from the start.
            let seed = self.active + self.immigration_per_second / rate;
            if seed <= 0.0 {
                return 0.0;
            }
            let until_cut = ((self.most_active() / seed).ln() / rate).clamp(0.0, seconds);
            seed / (mean * rate) * (rate * until_cut).exp_m1() + most * (seconds - until_cut)
        } else if self.r >= *SELF_SUSTAINING.start() {
            let free = self.most_active() - self.active;
            let until_cut = (free / self.immigration_per_second.max(f64::MIN_POSITIVE)).clamp(0.0, seconds);
            (self.active + self.immigration_per_second * until_cut / 2.0) * until_cut / mean
                + most * (seconds - until_cut)
        } else {
            let left = (self.r / (1.0 - self.r)).max(0.0);
            self.active * left.min(seconds / mean) + self.immigration_per_second * seconds * left
        };
        expected.clamp(0.0, most * seconds)
    }

    fn seconds_to_saturation(&self) -> Option<f64> {
        let instances_per_chain = self.busy_seconds_per_lap / self.lap_mean_seconds;
        let full = self.concurrency / instances_per_chain.max(f64::MIN_POSITIVE);
        if self.r < *SELF_SUSTAINING.start() || !full.is_finite() {
            return None;
        }
        if self.active >= full {
            return Some(0.0);
        }
        if self.r > *SELF_SUSTAINING.end() {
            let rate = self.growth_per_second();
            let seed = self.active + self.immigration_per_second / rate;
            (seed > 0.0).then(|| (full / seed).ln().max(0.0) / rate)
        } else {
            (self.immigration_per_second > 0.0).then(|| (full - self.active) / self.immigration_per_second)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::price::tests::{facts, table};

    /// A loop of one function with laps of a second.
    fn load(memory_mb: u32, ms: f64) -> Load {
        Load {
            active: 1.0,
            r: 1.0,
            lap_mean_seconds: 1.0,
            lap_cv: 0.0,
            immigration_per_second: 0.0,
            cost_per_lap: table().cost_per_invocation("aws_lambda", &facts(memory_mb), ms, &[]),
            busy_seconds_per_lap: ms / 1_000.0,
            invocations_per_lap: 1.0,
            concurrency: 1_000.0,
        }
    }

    #[track_caller]
    fn is_about(found: f64, expected: f64) {
        assert!((found / expected - 1.0).abs() < 0.01, "{found} is not {expected}");
    }

    #[test]
    fn one_chain_that_does_not_branch_is_cheap() {
        let projection = project(&load(1_024, 300.0));
        is_about(projection.per_hour, 0.01872);
        is_about(projection.next_24h * 30.0, 13.5);
        is_about(projection.concurrency_share, 0.0003);
        assert_eq!(projection.seconds_to_saturation, None);
    }

    #[test]
    fn the_dearest_hour_is_that_of_all_instances() {
        for (memory_mb, ms, dollars) in [(128, 100.0, 14.7), (1_024, 300.0, 62.4), (3_008, 1_000.0, 177.0)] {
            let projection = project(&Load { active: 1e9, ..load(memory_mb, ms) });
            is_about(projection.per_hour, dollars);
            is_about(projection.next_24h, dollars * 24.0);
            assert_eq!((projection.concurrency_share, projection.seconds_to_saturation), (1.0, Some(0.0)));
        }
    }

    #[test]
    fn chains_that_never_end_and_keep_beginning_take_all_instances_within_the_hour() {
        let accumulating = Load { active: 0.0, immigration_per_second: 1.0, ..load(1_024, 300.0) };
        let seconds = project(&accumulating).seconds_to_saturation.unwrap();
        is_about(seconds / 60.0, 55.6);
        is_about(accumulating.laps_within(seconds) * accumulating.cost_per_lap, 28.9);
        let rest = (DAY - seconds) * 62.4 / 3_600.0;
        is_about(project(&accumulating).next_24h, 28.9 + rest);
    }

    #[test]
    fn growth_follows_r_and_the_variation_of_laps() {
        for (r, cv, expected) in [(2.0, 0.0, std::f64::consts::LN_2), (2.0, 1.0, 1.0), (1.0, 0.5, 0.0)] {
            let rate = Load { r, lap_cv: cv, ..load(128, 1.0) }.growth_per_second();
            assert!((rate - expected).abs() < 1e-3, "{rate}");
        }
        let doubling = project(&Load { r: 2.0, ..load(1_024, 300.0) });
        is_about(doubling.seconds_to_saturation.unwrap(), (1_000.0 / 0.3_f64).log2());
        is_about(doubling.next_24h, 62.4 * 24.0);
    }

    #[test]
    fn what_dies_out_costs_what_is_left() {
        let dying = Load { r: 0.5, active: 10.0, ..load(1_024, 300.0) };
        let projection = project(&dying);
        is_about(projection.next_24h, 10.0 * dying.cost_per_lap);
        assert_eq!(projection.seconds_to_saturation, None);
        assert_eq!(project(&Load { r: 0.0, ..dying }).next_24h, 0.0);
        let fed = Load { immigration_per_second: 1.0, active: 0.0, ..dying };
        is_about(project(&fed).next_24h, DAY * fed.cost_per_lap);
    }

    #[test]
    fn a_loop_without_laps_costs_nothing() {
        for lap_mean_seconds in [0.0, f64::NAN, f64::INFINITY] {
            assert_eq!(project(&Load { lap_mean_seconds, ..load(128, 1.0) }), Projection::default());
        }
    }

    proptest! {
        #[test]
        fn no_projection_is_below_zero_beyond_the_cut_or_not_a_number(
            active in prop_oneof![Just(0.0), 0.0f64..1e7], r in 0.0f64..10.0, mean in 1e-4f64..1e6, cv in 0.0f64..3.0,
            immigration in 0.0f64..1e4, busy in 0.0f64..1e3, concurrency in 1.0f64..1e5,
        ) {
            let load = Load {
                active, r, lap_mean_seconds: mean, lap_cv: cv, immigration_per_second: immigration,
                busy_seconds_per_lap: busy, concurrency, ..load(1_024, 300.0)
            };
            let found = project(&load);
            let most = load.most_laps_per_second() * load.cost_per_lap;
            prop_assert!(found.per_hour >= 0.0 && found.per_hour <= most * 3_600.0 * 1.001, "{found:?}");
            prop_assert!(found.next_24h >= 0.0 && found.next_24h <= most * DAY * 1.001, "{found:?}");
            prop_assert!((0.0..=1.0).contains(&found.concurrency_share), "{found:?}");
            prop_assert!(found.seconds_to_saturation.is_none_or(|seconds| seconds >= 0.0), "{found:?}");
        }
    }
}
