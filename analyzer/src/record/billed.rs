//! What runs took, summed up so that what they cost can be told to the millisecond.
//!
//! Platforms charge each run by itself: in steps, and not less than some minimum. A mean of durations does not tell what
//! that comes to, so a shard rounds each run in all the ways that platforms have and keeps the sums. Prices are not
//! known here; which sum counts is `price/charge.rs`'s.

use crate::{record::Observed, sampling::Sampling, state::state, window::millis};

/// A way in which platforms round the time of a run: up to a multiple of a step, and not less than some minimum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rounding {
    /// The least that is charged, milliseconds.
    pub(crate) minimum_ms: u32,
    /// The step, milliseconds.
    pub(crate) step_ms: u32,
}

/// The ways that are counted exactly: those of AWS Lambda and Alibaba, of Google Cloud, and of Azure.
pub(crate) const ROUNDINGS: [Rounding; 3] = [
    Rounding { minimum_ms: 1, step_ms: 1 },
    Rounding { minimum_ms: 100, step_ms: 100 },
    Rounding { minimum_ms: 100, step_ms: 1 },
];

/// Nanoseconds of a millisecond.
const MILLISECOND: u64 = 1_000_000;

/// What runs took. All sums are of the runs that those which were kept stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Billed {
    /// Runs of which it is known how long they took.
    pub(crate) timed: f64,
    /// Their time, milliseconds.
    pub(crate) ran_ms: f64,
    /// Their time, each run rounded by itself, milliseconds; by [`ROUNDINGS`].
    pub(crate) rounded_ms: [f64; ROUNDINGS.len()],
    /// Those of them that started a new instance.
    pub(crate) cold: f64,
    /// The time of those, milliseconds.
    pub(crate) cold_ms: f64,
    /// Runs of which it is known how long they waited.
    pub(crate) settled: f64,
    /// Their time, milliseconds.
    pub(crate) settled_ms: f64,
    /// Time in which they did not wait, milliseconds.
    pub(crate) own_ms: f64,
    /// The same, each run rounded up to a millisecond.
    pub(crate) own_rounded_ms: f64,
    /// Time in which they waited for another function, milliseconds; calls at the same time count once.
    pub(crate) blocked_ms: f64,
}

/// What telemetry beside spans told of what is charged.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Charged {
    /// Instances that were started, as far as their time is known.
    pub(crate) starts: f64,
    /// That time, milliseconds.
    pub(crate) init_ms: f64,
    /// Time that was charged for runs, milliseconds.
    pub(crate) ms: f64,
    /// The runs that it was charged for.
    pub(crate) runs: f64,
}

impl Charged {
    /// What was observed of runs.
    pub(crate) fn of(observed: &Observed) -> Self {
        let init = observed.init.as_deref().and_then(|init| init.sum());
        Self {
            starts: observed.starts() as f64,
            init_ms: init.unwrap_or_default(),
            ms: observed.billed_ms,
            runs: observed.billed_runs as f64,
        }
    }

    /// Adds what was told elsewhere, or later.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.starts += other.starts;
        self.init_ms += other.init_ms;
        self.ms += other.ms;
        self.runs += other.runs;
    }
}

impl Rounding {
    fn round(self, nanos: u64) -> f64 {
        let step = u64::from(self.step_ms) * MILLISECOND;
        millis((nanos.div_ceil(step) * step).max(u64::from(self.minimum_ms) * MILLISECOND))
    }
}

impl Billed {
    /// A run took so long.
    pub(crate) fn ran(&mut self, nanos: u64, sampling: Sampling, cold_start: bool) {
        let count = sampling.adjusted_count();
        self.timed += count;
        self.ran_ms += count * millis(nanos);
        for (sum, rounding) in self.rounded_ms.iter_mut().zip(ROUNDINGS) {
            *sum += count * rounding.round(nanos);
        }
        if cold_start {
            self.cold += count;
            self.cold_ms += count * millis(nanos);
        }
    }

    /// A run took so long, did not wait for so much of it, and waited for other functions for so much.
    pub(crate) fn settle(&mut self, nanos: u64, own_nanos: u64, blocked_nanos: u64, sampling: Sampling) {
        let count = sampling.adjusted_count();
        self.settled += count;
        self.settled_ms += count * millis(nanos);
        self.own_ms += count * millis(own_nanos);
        self.own_rounded_ms += count * ROUNDINGS[0].round(own_nanos);
        self.blocked_ms += count * millis(blocked_nanos);
    }

    /// Adds what was counted elsewhere, or later.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.timed += other.timed;
        self.ran_ms += other.ran_ms;
        for (sum, more) in self.rounded_ms.iter_mut().zip(other.rounded_ms) {
            *sum += more;
        }
        self.cold += other.cold;
        self.cold_ms += other.cold_ms;
        self.settled += other.settled;
        self.settled_ms += other.settled_ms;
        self.own_ms += other.own_ms;
        self.own_rounded_ms += other.own_rounded_ms;
        self.blocked_ms += other.blocked_ms;
    }

    /// Mean time of a run, milliseconds; 0 while none is known.
    pub(crate) fn mean_ms(&self) -> f64 {
        if self.timed > 0.0 { self.ran_ms / self.timed } else { 0.0 }
    }

    /// Mean time in which a run does not wait, milliseconds; that of the whole run while it is not known.
    pub(crate) fn mean_own_ms(&self) -> f64 {
        if self.settled > 0.0 { self.own_ms / self.settled } else { self.mean_ms() }
    }

    /// Part of the time of runs in which they wait for anything, 0 to 1.
    pub(crate) fn waiting_share(&self) -> f64 {
        share(self.settled_ms - self.own_ms, self.settled_ms)
    }

    /// Part of the time of runs in which they wait for other functions, 0 to 1.
    pub(crate) fn blocked_share(&self) -> f64 {
        share(self.blocked_ms, self.settled_ms)
    }

    /// Part of the time of runs which those that started a new instance took longer than the others, 0 to 1; 0 while
    /// there are none to compare with.
    pub(crate) fn cold_share(&self) -> f64 {
        let warm = self.timed - self.cold;
        if warm <= 0.0 {
            return 0.0;
        }
        let warm_mean = (self.ran_ms - self.cold_ms) / warm;
        share(self.cold_ms - self.cold * warm_mean, self.ran_ms)
    }
}

fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { (part / whole).clamp(0.0, 1.0) } else { 0.0 }
}

state!(Charged { starts, init_ms, ms, runs });
state!(Billed { timed, ran_ms, rounded_ms, cold, cold_ms, settled, settled_ms, own_ms, own_rounded_ms, blocked_ms });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_is_rounded_by_itself() {
        for (nanos, expected) in [
            (0, [1.0, 100.0, 100.0]),
            (1, [1.0, 100.0, 100.0]),
            (1_000_001, [2.0, 100.0, 100.0]),
            (100_000_000, [100.0, 100.0, 100.0]),
            (100_000_001, [101.0, 200.0, 101.0]),
            (250_500_000, [251.0, 300.0, 251.0]),
        ] {
            assert_eq!(ROUNDINGS.map(|rounding| rounding.round(nanos)), expected, "{nanos}");
        }
        let mut billed = Billed::default();
        for nanos in [300_000, 1_700_000] {
            billed.ran(nanos, Sampling::ALWAYS, false);
        }
        assert_eq!((billed.ran_ms, billed.rounded_ms), (2.0, [3.0, 200.0, 200.0]));
    }

    #[test]
    fn shares_are_parts_of_the_time() {
        let mut billed = Billed::default();
        for (ms, cold) in [(100, false), (100, false), (500, true)] {
            billed.ran(ms * MILLISECOND, Sampling::ALWAYS, cold);
            billed.settle(ms * MILLISECOND, 40 * MILLISECOND, 50 * MILLISECOND, Sampling::ALWAYS);
        }
        assert!((billed.cold_share() - 400.0 / 700.0).abs() < 1e-9);
        assert!((billed.waiting_share() - 580.0 / 700.0).abs() < 1e-9);
        assert!((billed.blocked_share() - 150.0 / 700.0).abs() < 1e-9);
        assert_eq!([Billed::default().cold_share(), Billed::default().waiting_share()], [0.0, 0.0]);
    }

    #[test]
    fn what_a_sampler_dropped_is_charged_too() {
        let (mut all, mut quarter) = (Billed::default(), Billed::default());
        for _ in 0..4 {
            all.ran(3 * MILLISECOND, Sampling::ALWAYS, false);
        }
        quarter.ran(3 * MILLISECOND, Sampling::of(Some(0.25)).0, false);
        assert_eq!(all, quarter);
    }
}
