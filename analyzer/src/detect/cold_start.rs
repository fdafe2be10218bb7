//! Cold starts: how often instances start, how long that takes, and what it costs the slow runs.
//!
//! Exporters say so of a run (`faas.coldstart`), tell of the start of the instance alone (`init` spans, platform
//! records), or both; the start is before the run, so whoever waits for a cold run waits for both. The runs around the
//! 95th percentile, from 92.5 % to 97.5 %, say how much of the tail is cold; how much faster it would be is the 95th
//! percentile of all runs minus that of the warm ones.

use crate::{
    bins::{Bins, quantile_of},
    record::FunctionDelta,
    snapshot::ColdStarts,
    window::quantile,
};

/// The runs that are near the 95th percentile.
const BAND: (f64, f64) = (0.925, 0.975);

/// Cold runs of which this part of the tail is made dominate it.
const DOMINANT: f64 = 0.5;

/// A gain of less than this part of the 95th percentile, or of less than these milliseconds, is not worth anything.
const LEAST_GAIN: (f64, f64) = (0.1, 5.0);

/// Values that stand for all times that an instance takes to start.
const INIT_STEPS: u32 = 20;

/// What is known of cold starts of a function.
pub(crate) fn cold_starts(function: &FunctionDelta) -> ColdStarts {
    let init = function.observed.as_ref().and_then(|observed| observed.init.as_deref()).filter(|init| init.count() > 0);
    let started = init.map_or(0.0, |init| init.count() as f64);
    let count = function.cold_starts.max(started).max(0.0);
    let share = if count > 0.0 { (count / function.invocations.max(count)).clamp(0.0, 1.0) } else { 0.0 };
    let mut found = ColdStarts {
        count,
        share,
        init_p50_ms: init.map(|init| quantile(init, 0.5)),
        init_p95_ms: init.map(|init| quantile(init, 0.95)),
        ..ColdStarts::default()
    };
    let all = Bins::of(&function.duration);
    let cold = function.cold_duration.as_deref().map(Bins::of).unwrap_or_default();
    let warm = all.without(&cold);
    found.warm_p50_ms = (warm.count() > 0).then(|| warm.quantile(0.5));
    if cold.count() == 0 {
        return found;
    }
    found.cold_p50_ms = Some(cold.quantile(0.5));
    let init_ms: Vec<f64> = match init {
        Some(init) => (0..INIT_STEPS).map(|step| quantile(init, (f64::from(step) + 0.5) / 20.0)).collect(),
        None => vec![0.0],
    };
    let runs = as_waited_for(&warm, &cold, &init_ms);
    found.tail_share = tail_share(&runs);
    let p95 = quantile_of(&times(&runs), 0.95);
    let without = if warm.count() > 0 { warm.quantile(0.95) } else { cold.quantile(0.95) };
    let gain = (p95 - without).max(0.0);
    found.p95_gain_ms = Some(gain);
    let is_worth_it = gain >= (LEAST_GAIN.0 * p95).max(LEAST_GAIN.1);
    found.dominates_tail = is_worth_it && found.tail_share.is_some_and(|share| share >= DOMINANT);
    found
}

/// A time that some runs took, with its weight, and whether they were cold.
type Waited = (f64, f64, bool);

/// What those who called waited for, ascending: for a cold run also for the start of its instance.
fn as_waited_for(warm: &Bins, cold: &Bins, init_ms: &[f64]) -> Vec<Waited> {
    let mut runs: Vec<Waited> = warm.values().map(|(value, count)| (value, count as f64, false)).collect();
    for (value, count) in cold.values() {
        let weight = count as f64 / init_ms.len() as f64;
        runs.extend(init_ms.iter().map(|init_ms| (value + init_ms, weight, true)));
    }
    runs.sort_by(|a, b| a.0.total_cmp(&b.0));
    runs
}

fn times(runs: &[Waited]) -> Vec<(f64, f64)> {
    runs.iter().map(|(value, weight, _)| (*value, *weight)).collect()
}

/// The part of the band around the 95th percentile that is cold.
fn tail_share(runs: &[Waited]) -> Option<f64> {
    let total: f64 = runs.iter().map(|(_, weight, _)| weight).sum();
    let (low, high) = (BAND.0 * total, BAND.1 * total);
    let (mut below, mut cold, mut all) = (0.0, 0.0, 0.0);
    for (_, weight, is_cold) in runs {
        let inside = ((below + weight).min(high) - f64::max(below, low)).max(0.0);
        all += inside;
        cold += if *is_cold { inside } else { 0.0 };
        below += weight;
    }
    (all > 0.0).then(|| cold / all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::resource,
        record::{Delta, Ended, Run},
        sampling::Sampling,
    };

    /// 1,000 runs of which so many are cold and take so long; the others take 50 to 150 ms.
    fn function(cold: u32, cold_ms: f64, init_ms: Option<f64>) -> FunctionDelta {
        let resource = resource("f");
        let mut delta = Delta::default();
        let function = delta.function(resource.function());
        for run in 0..1_000 {
            let is_cold = run < cold;
            let sampling = Sampling::default();
            function.run(true, Run { sampling, error: false, cold_start: is_cold, timed_out: false });
            function
                .took(if is_cold { cold_ms } else { 50.0 + f64::from(run % 100) }, Ended { is_cold, is_failed: false });
            if let Some(init_ms) = init_ms.filter(|_| is_cold) {
                function.observed().start(init_ms);
            }
        }
        function.clone()
    }

    #[test]
    fn many_slow_starts_are_the_tail() {
        let found = cold_starts(&function(100, 900.0, None));
        assert!((found.share - 0.1).abs() < 1e-9 && found.dominates_tail, "{found:?}");
        assert_eq!(found.tail_share, Some(1.0));
        assert!((found.p95_gain_ms.unwrap() - (900.0 - 145.0)).abs() < 20.0, "{found:?}");
        assert!((found.cold_p50_ms.unwrap() / 900.0 - 1.0).abs() < 0.011, "{found:?}");
        assert!((found.warm_p50_ms.unwrap() / 100.0 - 1.0).abs() < 0.03, "{found:?}");
        assert_eq!(found.init_p50_ms, None);
    }

    #[test]
    fn who_waits_for_a_cold_run_waits_for_its_start() {
        let found = cold_starts(&function(100, 100.0, Some(800.0)));
        assert!((found.init_p50_ms.unwrap() / 800.0 - 1.0).abs() < 0.011, "{found:?}");
        assert!((found.p95_gain_ms.unwrap() - (900.0 - 145.0)).abs() < 20.0 && found.dominates_tail, "{found:?}");
        let none = cold_starts(&function(100, 100.0, None));
        assert!(!none.dominates_tail && none.p95_gain_ms.unwrap() < 5.0, "{none:?}");
    }

    #[test]
    fn few_starts_are_beyond_the_band() {
        let found = cold_starts(&function(10, 900.0, None));
        assert!((found.tail_share.unwrap(), found.dominates_tail) == (0.0, false), "{found:?}");
        assert!(found.p95_gain_ms.unwrap() < 5.0, "{found:?}");
    }

    #[test]
    fn without_cold_runs_there_is_nothing_to_gain() {
        let found = cold_starts(&function(0, 0.0, None));
        assert_eq!((found.count, found.share, found.tail_share, found.p95_gain_ms), (0.0, 0.0, None, None));
        let mut told = function(0, 0.0, None);
        (0..50).for_each(|_| told.observed().start(300.0));
        let found = cold_starts(&told);
        assert_eq!((found.count, found.share, found.tail_share), (50.0, 0.05, None));
        assert!(found.init_p95_ms.is_some(), "no run is known to be cold, but instances started");
    }

    #[test]
    fn where_all_runs_are_cold_only_the_start_could_go() {
        let mut all = function(1_000, 200.0, Some(400.0));
        let found = cold_starts(&all);
        assert!((found.p95_gain_ms.unwrap() - 400.0).abs() < 15.0, "{found:?}");
        assert_eq!((found.warm_p50_ms, found.share), (None, 1.0));
        all.invocations = 0.0;
        assert_eq!(cold_starts(&all).share, 1.0, "no more than all");
    }
}
