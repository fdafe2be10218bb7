//! Time-out risk: how probable it is that a run takes longer than it may.
//!
//! Warm and cold runs are two distributions: one fit over both overestimates the risk about ten times, so each has its
//! own tail (`detect/tail.rs`). With fewer than 5,000 runs there is no fit, and what is told is what was seen. It is an
//! alarm when at least one time-out a day is to be expected, and one was seen or one run in a thousand takes 0.7 of the
//! limit.
//!
//! A time-out shows as a failed run that took as long as the limit, as the platform's words on a span
//! (`shard/limit.rs`), or as a fact that other telemetry brings. Often the run that timed out is never exported: then
//! the fit is all that there is. It does not hold where a function has a shorter time-out of its own.

use crate::{
    bins::Bins,
    detect::tail::{self, LEAST_SAMPLES, Tail},
    facts::FunctionFacts,
    record::FunctionDelta,
    snapshot::{Confidence, TailFit, TimeOutRisk},
};

/// The 99.9th percentile is near the limit from this part of it on.
const NEAR: f64 = 0.7;

/// Expected time-outs in a day from which on it is an alarm.
const PER_DAY: f64 = 1.0;

/// Samples from which on estimates are mostly right within a factor of four.
const MANY_SAMPLES: u64 = 20_000;

/// A run that succeeded after this many times the limit shows that the limit is another one.
const BEYOND_DOUBT: f64 = 1.05;

/// Runs that ought to have taken longer than any did, for it to be no chance: once in a thousand times.
const MISSING: f64 = 7.0;

/// How many times as many runs stand there as just before.
const PILE: u64 = 3;

/// Times from this part of a time on are that time, by the bins of a sketch.
const END: f64 = 0.98;

const DAY_SECONDS: f64 = 86_400.0;

/// Rates are not taken from less time than this, seconds.
const LEAST_SECONDS: f64 = 60.0;

/// How near a function comes to its time-out, from what it did in so many seconds.
pub(crate) fn time_out(function: &FunctionDelta, facts: &FunctionFacts, seconds: f64) -> TimeOutRisk {
    let all = Bins::of(&function.duration);
    let limit_ms = facts.time_out_ms.map(|ms| ms as f64).filter(|ms| *ms > 0.0);
    let mut risk = TimeOutRisk {
        limit_ms,
        p99_ms: all.quantile(0.99),
        p999_ms: all.quantile(0.999),
        max_ms: function.duration.quantile(1.0).unwrap_or_default(),
        seen: told(function),
        ..TimeOutRisk::default()
    };
    let Some(limit) = limit_ms else { return risk };
    // What was kept stands for as many runs as there were.
    let each = if all.count() > 0 { function.invocations.max(0.0) / all.count() as f64 } else { 0.0 };
    let failed = function.observed.as_ref().and_then(|it| it.failed.as_deref()).map(Bins::of).unwrap_or_default();
    risk.seen = risk.seen.max(failed.at_least(limit) as f64 * each);
    risk.is_limit_doubtful = all.without(&failed).at_least(limit * BEYOND_DOUBT) > 0;
    let cold = function.cold_duration.as_deref().map(Bins::of).unwrap_or_default();
    let warm = all.without(&cold);
    let days = seconds.max(LEAST_SECONDS) / DAY_SECONDS;
    let (warm_tail, cold_tail) = (tail::fit(&warm, limit_ms), tail::fit(&cold, limit_ms));
    let expected = |bins: &Bins, tail: Option<&Tail>| {
        let runs = bins.count() as f64 * each;
        tail.map(|tail| if gives_up(bins, tail, limit) { 0.0 } else { tail.beyond(limit) * runs })
    };
    let fitted = [expected(&warm, warm_tail.as_ref()), expected(&cold, cold_tail.as_ref())];
    let is_told = risk.seen > 0.0 || fitted.iter().any(Option::is_some);
    // Time-outs that were seen are no less than what is to be expected.
    let expected = fitted.iter().flatten().sum::<f64>().max(risk.seen) / days;
    risk.expected_per_day = (is_told && !risk.is_limit_doubtful).then_some(expected);
    risk.warm = warm_tail.map(|tail| shown(&tail, limit));
    risk.cold = cold_tail.map(|tail| shown(&tail, limit));
    risk.confidence = confidence(warm.count().max(cold.count()));
    let is_near = risk.p999_ms >= NEAR * limit || risk.seen > 0.0;
    risk.is_alarm = is_near && risk.expected_per_day.is_some_and(|expected| expected >= PER_DAY);
    risk
}

/// True when runs end by themselves before the limit: those that would have taken longer stand at the longest time that was
/// seen. Where longer ones are merely not told, none stand there.
fn gives_up(bins: &Bins, tail: &Tail, limit: f64) -> bool {
    let longest = bins.values().next_back().map_or(0.0, |(value, _)| value);
    let longer = tail.beyond(longest) * bins.count() as f64;
    let at_the_end = bins.at_least(longest * END);
    let just_before = bins.at_least(longest * END * END) - at_the_end;
    let stand_there = at_the_end as f64 >= longer / 2.0 && at_the_end >= PILE * just_before;
    longest < limit * END && longer >= MISSING && stand_there
}

/// Time-outs that are told of: by spans or by other telemetry, which may both speak of the same ones.
fn told(function: &FunctionDelta) -> f64 {
    let Some(observed) = &function.observed else { return 0.0 };
    observed.span_time_outs.max(observed.told_time_outs as f64).max(0.0)
}

fn shown(tail: &Tail, limit: f64) -> TailFit {
    TailFit {
        samples: tail.samples,
        threshold_ms: tail.threshold,
        shape: tail.shape,
        scale_ms: tail.scale,
        beyond_limit: Some(tail.beyond(limit)),
    }
}

fn confidence(samples: u64) -> Confidence {
    match samples {
        MANY_SAMPLES.. => Confidence::High,
        LEAST_SAMPLES.. => Confidence::Medium,
        _ => Confidence::Low,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::resource,
        record::{Delta, Ended, Run},
        sampling::Sampling,
        window::sketch,
    };

    const HOUR: f64 = 3_600.0;

    fn add(function: &mut FunctionDelta, ms: f64, error: bool, is_cold: bool) {
        let sampling = Sampling::default();
        function.run(true, Run { sampling, error, cold_start: is_cold, timed_out: false });
        function.took(ms, Ended { is_cold, is_failed: error });
    }

    /// Runs whose times are exponential with this mean, evenly spread over it, and cold ones of another.
    fn function(warm: (u32, f64), cold: (u32, f64), limit: f64) -> FunctionDelta {
        let resource = resource("f");
        let mut delta = Delta::default();
        let function = delta.function(resource.function());
        for ((runs, mean_ms), is_cold) in [(warm, false), (cold, true)] {
            for run in 0..runs {
                let ms = -(1.0 - (f64::from(run) + 0.5) / f64::from(runs)).ln() * mean_ms;
                add(function, ms.min(limit), ms >= limit, is_cold);
            }
        }
        function.clone()
    }

    fn facts(time_out_ms: u64) -> FunctionFacts {
        FunctionFacts { time_out_ms: Some(time_out_ms), ..FunctionFacts::default() }
    }

    #[test]
    fn what_has_not_happened_yet_is_expected() {
        // One in 10,000 takes longer than 921 ms.
        let risk = time_out(&function((5_000, 100.0), (0, 0.0), f64::INFINITY), &facts(950), HOUR);
        let tail = risk.warm.unwrap();
        assert_eq!((risk.seen, risk.confidence, tail.samples), (0.0, Confidence::Medium, 5_000));
        let truth = (-9.5_f64).exp();
        assert!((0.5..2.0).contains(&(tail.beyond_limit.unwrap() / truth)), "{risk:?}");
        let expected = truth * 5_000.0 * 24.0;
        assert!((0.5..2.0).contains(&(risk.expected_per_day.unwrap() / expected)) && risk.is_alarm, "{risk:?}");
        let far = time_out(&function((5_000, 100.0), (0, 0.0), f64::INFINITY), &facts(30_000), HOUR);
        assert!(!far.is_alarm && far.expected_per_day.unwrap() < 0.01, "{far:?}");
    }

    #[test]
    fn cold_runs_are_a_distribution_of_their_own() {
        let both = function((95_000, 20.0), (5_000, 200.0), f64::INFINITY);
        let risk = time_out(&both, &facts(2_000), HOUR);
        let truth = (-10.0_f64).exp() * 5_000.0 * 24.0;
        assert!((0.4..2.5).contains(&(risk.expected_per_day.unwrap() / truth)), "{risk:?}");
        assert!(risk.warm.unwrap().beyond_limit.unwrap() < 1e-12, "{risk:?}");
        let mut mixed = both;
        mixed.cold_duration = None;
        let wrong = time_out(&mixed, &facts(2_000), HOUR).expected_per_day.unwrap();
        assert!(wrong > 3.0 * truth, "one fit over both is too dark: {wrong} for {truth}");
    }

    #[test]
    fn few_runs_tell_what_was_seen_and_no_more() {
        let risk = time_out(&function((1_000, 100.0), (0, 0.0), 500.0), &facts(500), HOUR);
        assert_eq!((risk.warm, risk.confidence, risk.is_limit_doubtful), (None, Confidence::Low, false));
        // e^-5 of them.
        assert!((risk.seen - 7.0).abs() <= 1.0 && risk.is_alarm, "{risk:?}");
        assert!((risk.expected_per_day.unwrap() - 24.0 * risk.seen).abs() < 1e-6, "{risk:?}");
        let quiet = time_out(&function((1_000, 100.0), (0, 0.0), f64::INFINITY), &facts(5_000), HOUR);
        assert_eq!((quiet.expected_per_day, quiet.is_alarm, quiet.seen), (None, false, 0.0));
        assert!(quiet.max_ms > quiet.p99_ms);
    }

    #[test]
    fn who_gives_up_before_the_limit_does_not_reach_it() {
        let limit = facts(750);
        let none = time_out(&function((20_000, 100.0), (0, 0.0), 600.0), &limit, HOUR);
        assert!(!none.is_alarm && none.expected_per_day == Some(0.0), "{none:?}");
        // Those that are longer are not told: none stands at the end.
        let mut cut = function((20_000, 100.0), (0, 0.0), f64::INFINITY);
        let told: Vec<(f64, u64)> = Bins::of(&cut.duration).values().filter(|(value, _)| *value < 600.0).collect();
        cut.duration = sketch();
        told.iter().for_each(|(value, count)| (0..*count).for_each(|_| cut.duration.add(*value)));
        let risk = time_out(&cut, &limit, HOUR);
        assert!(risk.is_alarm, "{risk:?}");
    }

    #[test]
    fn a_limit_that_runs_outlive_is_doubted() {
        let risk = time_out(&function((6_000, 100.0), (0, 0.0), f64::INFINITY), &facts(300), HOUR);
        assert!(risk.is_limit_doubtful && !risk.is_alarm && risk.expected_per_day.is_none(), "{risk:?}");
    }

    #[test]
    fn runs_that_failed_early_are_no_time_outs_and_excuse_no_long_ones() {
        let mut failing = function((1_000, 100.0), (0, 0.0), f64::INFINITY);
        (0..50).for_each(|_| add(&mut failing, 5.0, true, false));
        let risk = time_out(&failing, &facts(400), HOUR);
        assert!(risk.seen == 0.0 && risk.is_limit_doubtful && !risk.is_alarm, "{risk:?}");
        let mut ended = function((1_000, 20.0), (0, 0.0), f64::INFINITY);
        (0..3).for_each(|_| add(&mut ended, 401.0, true, false));
        let risk = time_out(&ended, &facts(400), HOUR);
        assert!(risk.seen == 3.0 && !risk.is_limit_doubtful && risk.is_alarm, "{risk:?}");
    }

    #[test]
    fn without_a_limit_only_what_was_told_counts() {
        let mut told = function((100, 10.0), (0, 0.0), f64::INFINITY);
        told.observed().told_time_outs = 3;
        told.observed().span_time_outs = 2.0;
        let risk = time_out(&told, &FunctionFacts::default(), HOUR);
        assert_eq!((risk.seen, risk.limit_ms, risk.expected_per_day, risk.is_alarm), (3.0, None, None, false));
        let risk = time_out(&told, &facts(1_000), HOUR);
        assert!(risk.is_alarm && risk.expected_per_day == Some(72.0), "{risk:?}");
    }
}
