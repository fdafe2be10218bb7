//! Memory headroom and leaks, from what platforms report of the runs of instances.
//!
//! Headroom is the part of its memory that a function leaves free in all but one of 1,000 runs; below a tenth it is
//! low. A leak is memory that grows from run to run of one instance: the slope is the median of those between all pairs
//! of runs (Theil and Sen), which a few large requests do not bend, and it is certain where a Mann-Kendall test of the
//! same pairs says so and what it adds up to is worth telling. A leak goes on: a cache that fills and the largest of the
//! requests so far grow in the first half of the runs only, and one large request in one half of them.

use crate::{
    facts::{FactSource, FunctionFacts},
    record::{InstanceMemory, Observed},
    snapshot::{Leak, MemoryUse},
    window::quantile,
};

/// Headroom below this is low.
const LOW: f64 = 0.1;

/// Runs of an instance from which on its slope is told.
const LEAST_RUNS: u32 = 20;

/// Standard deviations of the Mann-Kendall statistic from which on memory grows for certain, at 1 in 2,000 by chance.
const CERTAIN: f64 = 3.3;

/// Growth over the runs that were seen, as a part of what they use, below which it is a cache that fills.
const LEAST_GROWTH: f64 = 0.05;

/// Part of the slope over all runs that each half of them has to have.
const IN_EACH_HALF: f64 = 0.5;

/// How near a function comes to its memory; `None` while nothing tells how much it uses.
pub(crate) fn memory(observed: &Observed, facts: &FunctionFacts) -> Option<MemoryUse> {
    let used = observed.used_memory_mb.as_deref().filter(|used| used.count() > 0)?;
    let limit_mb = (facts.sources.memory != FactSource::Assumed).then_some(facts.memory_mb);
    let (used_p50_mb, used_p999_mb) = (quantile(used, 0.5), quantile(used, 0.999));
    let headroom = limit_mb.map(|limit| 1.0 - used_p999_mb / f64::from(limit));
    let judged: Vec<Trend> = observed.instances.iter().filter_map(trend).collect();
    let mut found = MemoryUse {
        limit_mb,
        used_p50_mb,
        used_p999_mb,
        samples: used.count() as u64,
        headroom,
        is_low: headroom.is_some_and(|headroom| headroom < LOW),
        leak: None,
        instances_judged: judged.len() as u32,
    };
    let mut growing: Vec<f64> = judged.iter().filter(|trend| trend.is_growing).map(|trend| trend.mb_per_run).collect();
    if growing.is_empty() || growing.len() * 2 < judged.len() {
        return Some(found);
    }
    let mb_per_run = median(&mut growing);
    let free = limit_mb.map(|limit| (f64::from(limit) - used_p50_mb).max(0.0));
    let runs_until_full = free.map(|free| free / mb_per_run);
    found.leak = Some(Leak { instances: growing.len() as u32, mb_per_run, runs_until_full });
    Some(found)
}

struct Trend {
    mb_per_run: f64,
    is_growing: bool,
}

/// How the memory of an instance changes from run to run; `None` with too few runs.
fn trend(instance: &InstanceMemory) -> Option<Trend> {
    let used = &instance.used;
    if instance.runs < LEAST_RUNS || used.len() < LEAST_RUNS as usize / 2 {
        return None;
    }
    let balance: i64 = pairs(used).map(|((_, mb), (_, later))| (later > mb) as i64 - (later < mb) as i64).sum();
    let n = used.len() as f64;
    // The variance without ties; with them it is smaller, so this is careful.
    let deviation = (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    let mb_per_run = slope(used);
    let mut values: Vec<f64> = used.iter().map(|(_, mb)| f64::from(*mb)).collect();
    let growth = mb_per_run * f64::from(instance.runs);
    let (first, second) = used.split_at(used.len() / 2);
    let goes_on = [first, second].into_iter().all(|half| slope(half) >= IN_EACH_HALF * mb_per_run);
    let is_certain = (balance - 1) as f64 >= CERTAIN * deviation;
    Some(Trend { mb_per_run, is_growing: is_certain && goes_on && growth >= LEAST_GROWTH * median(&mut values) })
}

/// Each run with each later one.
fn pairs(used: &[(u32, f32)]) -> impl Iterator<Item = ((u32, f32), (u32, f32))> {
    used.iter().enumerate().flat_map(|(place, run)| used[place + 1..].iter().map(|later| (*run, *later)))
}

/// What a run adds, MiB: the median of all pairs.
fn slope(used: &[(u32, f32)]) -> f64 {
    let between = |((run, mb), (later_run, later_mb))| f64::from(later_mb - mb) / f64::from(later_run - run).max(1.0);
    median(&mut pairs(used).map(between).collect::<Vec<f64>>())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        facts::{FactRecord, FunctionRule},
        fixture::resource,
        span::EventTime,
    };

    /// What is made of runs of some instances, each of which uses so many MiB in its run of that number.
    fn found(instances: u64, runs: u64, used_mb: impl Fn(u64, u64) -> f64) -> MemoryUse {
        let mut observed = Observed::default();
        let resource = resource("f");
        for run in 0..runs {
            for instance in 0..instances {
                observed.learn(&FactRecord {
                    instance: Some(format!("i{instance}").into()),
                    used_memory_bytes: Some((used_mb(instance, run) * 1_048_576.0) as u64),
                    ..FactRecord::about(resource.function().clone(), EventTime(run))
                });
            }
        }
        let rule = FunctionRule { pattern: "f".into(), memory_mb: Some(512), ..FunctionRule::default() };
        memory(&observed, &FunctionFacts::of("f", &[rule])).unwrap()
    }

    /// Between 0 and 1, and the same for the same run.
    fn noise(instance: u64, run: u64) -> f64 {
        let mixed = (run * 31 + instance * 17 + 5).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f64 / (1_u64 << 24) as f64
    }

    #[test]
    fn headroom_is_what_one_run_in_a_thousand_leaves() {
        let use_of = found(2, 1_000, |_, run| if run % 500 == 7 { 480.0 } else { 100.0 });
        assert!((use_of.headroom.unwrap() - (1.0 - 480.0 / 512.0)).abs() < 0.02 && use_of.is_low, "{use_of:?}");
        assert!((use_of.used_p50_mb - 100.0).abs() < 1.1 && use_of.samples == 2_000, "{use_of:?}");
        assert!(!found(1, 100, |_, _| 300.0).is_low);
    }

    #[test]
    fn memory_that_grows_from_run_to_run_is_a_leak() {
        let use_of = found(4, 200, |instance, run| 100.0 + 0.5 * run as f64 + 20.0 * noise(instance, run));
        let leak = use_of.leak.unwrap();
        assert_eq!((leak.instances, use_of.instances_judged), (4, 4));
        assert!((leak.mb_per_run - 0.5).abs() < 0.05, "{leak:?}");
        let left = (512.0 - use_of.used_p50_mb) / leak.mb_per_run;
        assert!((leak.runs_until_full.unwrap() - left).abs() < 1e-6, "{leak:?}");
    }

    #[test]
    fn noise_large_requests_a_full_cache_and_few_runs_are_none() {
        let none = |instances, runs, used_mb: &dyn Fn(u64, u64) -> f64| {
            let use_of = found(instances, runs, used_mb);
            assert_eq!(use_of.leak, None, "{use_of:?}");
        };
        none(8, 200, &|instance, run| 100.0 + 50.0 * noise(instance, run));
        none(4, 200, &|_, run| if run > 150 && run % 10 == 0 { 400.0 } else { 100.0 });
        none(4, 200, &|_, run| 100.0 + (run as f64).min(10.0));
        none(4, 200, &|_, run| 100.0 + 50.0 * (1.0 - (-(run as f64) / 25.0).exp()));
        none(4, 200, &|_, run| if run < 120 { 100.0 } else { 180.0 });
        none(4, 19, &|_, run| 100.0 + 5.0 * run as f64);
        none(4, 200, &|instance, run| if instance == 0 { 100.0 + run as f64 } else { 100.0 + noise(instance, run) });
    }

    #[test]
    fn nothing_is_told_of_what_nobody_reports() {
        assert_eq!(memory(&Observed::default(), &FunctionFacts::default()), None);
        let mut observed = Observed::default();
        let fact = FactRecord::about(resource("f").function().clone(), EventTime(1));
        observed.learn(&FactRecord { used_memory_bytes: Some(1 << 27), ..fact });
        let use_of = memory(&observed, &FunctionFacts::default()).unwrap();
        assert_eq!((use_of.limit_mb, use_of.headroom, use_of.is_low), (None, None, false), "the limit is assumed");
    }
}
