//! What runs are charged: their time as the platform rounds it, times their memory, and a price for each.
//!
//! Where the platform told what it charged for runs, that counts. Otherwise whoever counted the runs rounded each by
//! itself (`record/billed.rs`); where a platform rounds in a way that is not counted, the quantiles of the durations stand
//! in, which is right to about 1 %. What runs use is not known here.

use super::{PlatformPrice, Rate};
use crate::{
    record::{Billed, Charged, ROUNDINGS},
    sketch::DDSketch,
    window::quantile,
};

/// Quantiles that stand in for single runs.
const STEPS: u32 = 200;

/// Quantiles that stand in for the memory of single runs.
const MEMORY_STEPS: u32 = 20;

/// What is known of the runs of a function.
#[derive(Clone, Copy)]
pub(crate) struct Runs<'a> {
    /// Runs that were kept.
    pub(crate) kept: f64,
    /// Runs that they stand for, and of these the ones that started an instance.
    pub(crate) invocations: f64,
    pub(crate) cold_starts: f64,
    /// What they took.
    pub(crate) billed: &'a Billed,
    /// How long they took.
    pub(crate) durations: &'a DDSketch,
    /// What was told of charges beside spans.
    pub(crate) told: Charged,
    /// Memory that they used, MiB, where it was told.
    pub(crate) used_memory_mb: Option<&'a DDSketch>,
}

/// Prices of one function at its memory.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Charge {
    /// Time that one run is charged for, a mean, milliseconds.
    pub(crate) ms_per_run: f64,
    /// The part of it that starting instances takes, before their first runs.
    pub(crate) init_ms_per_run: f64,
    /// Memory that is charged, GiB.
    pub(crate) gib: f64,
    /// A millisecond.
    pub(crate) per_ms: f64,
    /// A run, whatever it takes.
    pub(crate) per_run: f64,
    /// True where time costs in which a run waits.
    pub(crate) charges_waiting: bool,
}

impl Charge {
    /// What runs of which so much is known are charged for.
    pub(crate) fn of(price: &PlatformPrice, memory_mb: u32, runs: Runs<'_>) -> Self {
        let init_ms = init_ms_per_run(price, runs);
        let own = ms_per_run(price, runs.billed, runs.durations) + init_ms;
        // What the platform charged says all, of the runs that it told of.
        let told = runs.told;
        let ms_per_run = if told.runs > 0.0 && runs.kept > 0.0 {
            let share = (told.runs / runs.kept).min(1.0);
            share * told.ms / told.runs + (1.0 - share) * own
        } else {
            own
        };
        let Rate { gib, per_ms } = rate(price, memory_mb, runs.used_memory_mb);
        Self {
            ms_per_run,
            init_ms_per_run: init_ms,
            gib,
            per_ms,
            per_run: price.per_request,
            charges_waiting: price.charges_waiting,
        }
    }

    /// What one run costs, without the resources that it uses.
    pub(crate) fn run(&self) -> f64 {
        self.ms_per_run * self.per_ms + self.per_run
    }

    /// What a millisecond costs in which a run waits.
    pub(crate) fn per_waiting_ms(&self) -> f64 {
        if self.charges_waiting { self.per_ms } else { 0.0 }
    }
}

/// Prices at the memory that is charged: that which is configured, or that which runs used.
fn rate(price: &PlatformPrice, memory_mb: u32, used: Option<&DDSketch>) -> Rate {
    let Some(used) = used.filter(|used| price.charges_used_memory && used.count() > 0) else {
        return price.rate(memory_mb);
    };
    let at = |step: u32| price.rate(quantile(used, (f64::from(step) + 0.5) / f64::from(MEMORY_STEPS)).ceil() as u32);
    let sum = (0..MEMORY_STEPS).map(at).fold((0.0, 0.0), |(gib, per_ms), rate| (gib + rate.gib, per_ms + rate.per_ms));
    Rate { gib: sum.0 / f64::from(MEMORY_STEPS), per_ms: sum.1 / f64::from(MEMORY_STEPS) }
}

/// Time of starting instances that is charged, for each run.
fn init_ms_per_run(price: &PlatformPrice, runs: Runs<'_>) -> f64 {
    let told = runs.told;
    if !price.charges_init || told.starts <= 0.0 || runs.invocations <= 0.0 {
        return 0.0;
    }
    // Where runs say that they started an instance, that counts: telemetry beside spans may be of all runs or of some.
    let starts = if runs.cold_starts > 0.0 { runs.cold_starts } else { told.starts };
    told.init_ms / told.starts * (starts / runs.invocations).min(1.0)
}

fn ms_per_run(price: &PlatformPrice, billed: &Billed, durations: &DDSketch) -> f64 {
    if !price.charges_waiting {
        let is_known = billed.settled > 0.0 && price.rounding_ms == 1.0 && price.minimum_ms <= 1.0;
        return if is_known { billed.own_rounded_ms / billed.settled } else { billed.mean_own_ms() };
    }
    if price.rounding_ms == 0.0 && price.minimum_ms == 0.0 || billed.timed <= 0.0 {
        return billed.mean_ms();
    }
    // The least that is charged is a step, so a smaller minimum says nothing.
    let minimum = price.minimum_ms.max(price.rounding_ms);
    let counted = ROUNDINGS.iter().zip(billed.rounded_ms);
    let exact = counted
        .filter(|(way, _)| f64::from(way.minimum_ms) == minimum && f64::from(way.step_ms) == price.rounding_ms)
        .map(|(_, sum)| sum / billed.timed)
        .next();
    exact.unwrap_or_else(|| by_quantiles(price, billed, durations))
}

/// Rounds each of some quantiles, and makes up for what their mean is off.
fn by_quantiles(price: &PlatformPrice, billed: &Billed, durations: &DDSketch) -> f64 {
    let at = |step: u32| quantile(durations, (f64::from(step) + 0.5) / f64::from(STEPS));
    let (raw, charged) =
        (0..STEPS).map(at).fold((0.0, 0.0), |(raw, charged), ms| (raw + ms, charged + price.charged(ms)));
    let mean = billed.mean_ms();
    if raw > 0.0 { (charged / f64::from(STEPS) + mean - raw / f64::from(STEPS)).max(0.0) } else { price.charged(mean) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{price::tests::table, sampling::Sampling, window::sketch};

    fn charged(minimum_ms: f64, rounding_ms: f64, runs_ms: &[f64]) -> f64 {
        let (mut billed, mut durations) = (Billed::default(), sketch());
        for ms in runs_ms {
            billed.ran((ms * 1e6) as u64, Sampling::ALWAYS, false);
            durations.add(*ms);
        }
        let price = PlatformPrice { minimum_ms, rounding_ms, ..table().platforms.remove(0) };
        ms_per_run(&price, &billed, &durations)
    }

    #[test]
    fn ways_of_rounding_that_are_counted_are_exact() {
        let runs = [0.2, 1.2, 99.5, 100.5, 333.3];
        let mean = |sum: f64| sum / 5.0;
        assert_eq!(charged(1.0, 1.0, &runs), mean(1.0 + 2.0 + 100.0 + 101.0 + 334.0));
        assert_eq!(charged(0.0, 1.0, &runs), mean(1.0 + 2.0 + 100.0 + 101.0 + 334.0));
        assert_eq!(charged(100.0, 100.0, &runs), mean(100.0 * 3.0 + 200.0 + 400.0));
        assert_eq!(charged(100.0, 1.0, &runs), mean(100.0 * 3.0 + 101.0 + 334.0));
        assert!((charged(0.0, 0.0, &runs) - mean(534.7)).abs() < 1e-9);
        assert_eq!(charged(1.0, 1.0, &[]), 0.0);
    }

    #[test]
    fn what_the_platform_charged_counts_where_it_is_told() {
        let (mut billed, mut durations, mut used) = (Billed::default(), sketch(), sketch());
        for _ in 0..10 {
            billed.ran(100_000_000, Sampling::ALWAYS, false);
            durations.add(100.0);
        }
        let charged = |told: Charged, used_memory_mb: Option<&DDSketch>, price: &PlatformPrice| {
            let (billed, durations) = (&billed, &durations);
            let (invocations, cold_starts) = (10.0, 0.0);
            let runs = Runs { kept: 10.0, invocations, cold_starts, billed, durations, told, used_memory_mb };
            Charge::of(price, 1_024, runs)
        };
        let lambda = table().platforms.remove(0);
        assert_eq!(charged(Charged::default(), None, &lambda).ms_per_run, 100.0);
        let started = Charged { starts: 1.0, init_ms: 500.0, ..Charged::default() };
        assert_eq!(charged(started, None, &lambda).ms_per_run, 150.0, "one instance was started");
        let free = PlatformPrice { charges_init: false, ..lambda.clone() };
        assert_eq!(charged(started, None, &free).ms_per_run, 100.0);
        let told = Charged { ms: 600.0, runs: 5.0, ..started };
        assert_eq!(charged(told, None, &lambda).ms_per_run, (120.0 + 150.0) / 2.0);
        let by_use = PlatformPrice { charges_used_memory: true, memory_step_mb: 128, ..lambda };
        assert_eq!(charged(told, None, &by_use).gib, 1.0, "what runs use is not known");
        used.add(200.0);
        assert_eq!(charged(told, Some(&used), &by_use).gib, 0.25);
    }

    #[test]
    fn other_ways_are_right_to_a_hundredth() {
        let runs: Vec<f64> = (1..=2_000).map(|at| f64::from(at) * 0.37).collect();
        for (minimum_ms, rounding_ms) in [(0.0, 10.0), (50.0, 10.0), (250.0, 50.0), (5.0, 0.0)] {
            let price = PlatformPrice { minimum_ms, rounding_ms, ..table().platforms.remove(0) };
            let exact = runs.iter().map(|ms| price.charged(*ms)).sum::<f64>() / runs.len() as f64;
            let found = charged(minimum_ms, rounding_ms, &runs);
            assert!((found / exact - 1.0).abs() < 0.01, "{minimum_ms} {rounding_ms}: {found} for {exact}");
        }
    }
}
