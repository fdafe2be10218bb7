//! Whether a function belongs in a function.
//!
//! Functions pay for what they use and lose what they hold when they end. That fits short work that comes in bursts, and
//! fits less
//!
//! - *long-running* work: p95 of a minute or more, or of half the time-out, since a time-out throws away what was done;
//! - *memory-heavy* work: 3 GiB or more;
//! - *sustained traffic*: an even rate at which containers that always run cost less (`price/container.rs`);
//! - *chatty state*: work that spends its time asking stores for what it cannot keep.
//!
//! Thresholds are judgements. Each verdict says how sure it is, and what would change it.

use crate::{
    price::BreakEven,
    snapshot::{Fit, FitVerdict},
};

/// Runs whose 95th percentile is this long are long, milliseconds.
const LONG_MS: f64 = 60_000.0;

/// So are those that take this part of their time-out.
const LONG_SHARE: f64 = 0.5;

/// Memory from which on it is much, MiB.
const MUCH_MEMORY_MB: u32 = 3 * 1_024;

/// A rate by the minute is even when its standard deviation is below this part of its mean.
const EVEN: f64 = 0.5;

/// Part of their time in which runs wait for stores from which on it is much, if they use them several times.
const MUCH_TIME: f64 = 0.5;

/// Several uses.
const SEVERAL_CALLS: f64 = 3.0;

/// Samples at which one is half sure.
const HALF_SURE: f64 = 20.0;

/// Minutes of a day: an even rate is one that is even by day and by night.
const DAY_MINUTES: f64 = 1_440.0;

/// How sure what rests on assumed memory or prices can be.
const ASSUMED: f64 = 0.5;

/// How sure one can be that a function uses the memory that it is given.
const GIVEN: f64 = 0.7;

/// How a function works.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Habits {
    /// Runs that were seen.
    pub(crate) runs: f64,
    /// 95th percentile of their time, milliseconds.
    pub(crate) p95_ms: f64,
    /// Longest time a run may take, milliseconds.
    pub(crate) time_out_ms: Option<u64>,
    /// 95th percentile of the memory that they use, MiB; `None` when nobody said.
    pub(crate) used_memory_mb: Option<f64>,
    /// Runs of which somebody said.
    pub(crate) memory_samples: f64,
    /// Memory that is configured, MiB; `None` when nobody said.
    pub(crate) memory_mb: Option<u32>,
    /// Runs a second, a mean.
    pub(crate) per_second: f64,
    /// Standard deviation over mean of the runs by the minute.
    pub(crate) variation: Option<f64>,
    /// How long it was watched, minutes.
    pub(crate) minutes: f64,
    /// The same as containers.
    pub(crate) break_even: Option<BreakEven>,
    /// True when its memory or the prices of its platform are assumed.
    pub(crate) is_assumed: bool,
    /// Uses of stores by one run.
    pub(crate) store_calls: f64,
    /// Part of their time in which runs wait for stores, 0 to 1.
    pub(crate) store_share: f64,
    /// True where runs use stores many times, one use after the other: see `detect/state_tax.rs`.
    pub(crate) is_chatty: bool,
}

/// Judges a function: all that speaks against it, the surest first, or that it fits. O(1).
pub(crate) fn judge(habits: &Habits) -> Vec<FitVerdict> {
    let all = [long_running(habits), memory_heavy(habits), sustained_traffic(habits), chatty_state(habits)];
    let mut found: Vec<FitVerdict> = all.into_iter().flatten().collect();
    found.sort_by(|one, other| other.confidence.total_cmp(&one.confidence).then(one.fit.cmp(&other.fit)));
    if found.is_empty() {
        found.push(fits(habits));
    }
    found
}

fn long_running(habits: &Habits) -> Option<FitVerdict> {
    let limit_ms = habits.time_out_ms.map(|limit| limit as f64).filter(|limit| *limit > 0.0);
    let share = limit_ms.map_or(0.0, |limit| habits.p95_ms / limit);
    if habits.p95_ms < LONG_MS && share < LONG_SHARE {
        return None;
    }
    let seconds = habits.p95_ms / 1_000.0;
    let words = if share >= LONG_SHARE {
        format!(
            "long-running: one run in twenty takes {} s or more, {:.0} % of its time-out",
            short(seconds),
            share * 100.0
        )
    } else {
        format!("long-running: one run in twenty takes {} s or more", short(seconds))
    };
    let mut numbers = vec![("p95_ms", habits.p95_ms)];
    numbers.extend(limit_ms.map(|limit| ("time_out_ms", limit)));
    let aim = limit_ms.map_or(LONG_MS, |limit| LONG_MS.min(limit * LONG_SHARE)) / 1_000.0;
    Some(FitVerdict {
        fit: Fit::LongRunning,
        words,
        confidence: by_samples(habits.runs),
        numbers,
        would_change: format!(
            "runs that take less than {} s at p95: split the work, or hand the rest to a queue",
            short(aim)
        ),
    })
}

fn memory_heavy(habits: &Habits) -> Option<FitVerdict> {
    // What it uses says more than what it is given.
    let (memory_mb, words, name) = match (habits.used_memory_mb, habits.memory_mb) {
        (Some(used), _) => (used, "uses", "used_memory_mb"),
        (None, Some(given)) => (f64::from(given), "is given", "memory_mb"),
        (None, None) => return None,
    };
    if memory_mb < f64::from(MUCH_MEMORY_MB) {
        return None;
    }
    Some(FitVerdict {
        fit: Fit::MemoryHeavy,
        words: format!("memory-heavy: it {words} {} GiB", short(memory_mb / 1_024.0)),
        confidence: if habits.used_memory_mb.is_some() { by_samples(habits.memory_samples) } else { GIVEN },
        numbers: vec![(name, memory_mb)],
        would_change: "less than 3 GiB of memory: stream what it loads, or keep models and indexes in a service"
            .to_owned(),
    })
}

fn sustained_traffic(habits: &Habits) -> Option<FitVerdict> {
    let (even, variation) = (habits.break_even?, habits.variation?);
    let ratio = even.ratio()?;
    if variation >= EVEN || ratio >= 1.0 || habits.per_second < even.rate_per_second? {
        return None;
    }
    let mut numbers = vec![("rate_per_second", habits.per_second), ("variation", variation), ("ratio", ratio)];
    numbers.extend(even.rate_per_second.map(|rate| ("break_even_per_second", rate)));
    Some(FitVerdict {
        fit: Fit::SustainedTraffic,
        words: format!("sustained traffic: containers would cost {:.0} % of this", ratio * 100.0),
        confidence: known(habits) * (habits.minutes / DAY_MINUTES).min(1.0),
        numbers,
        would_change: format!(
            "less than {} runs a second, or bursts with pauses between them",
            short(even.rate_per_second.unwrap_or_default())
        ),
    })
}

fn chatty_state(habits: &Habits) -> Option<FitVerdict> {
    let takes_long = habits.store_calls >= SEVERAL_CALLS && habits.store_share >= MUCH_TIME;
    if !habits.is_chatty && !takes_long {
        return None;
    }
    let (calls, percent) = (short(habits.store_calls), habits.store_share * 100.0);
    Some(FitVerdict {
        fit: Fit::ChattyState,
        words: format!("chatty state: a run uses stores {calls} times and waits for them {percent:.0} % of its time"),
        confidence: by_samples(habits.runs),
        numbers: vec![("store_calls_per_run", habits.store_calls), ("store_share", habits.store_share)],
        would_change: "fewer uses: ask for many things at once, or keep what does not change".to_owned(),
    })
}

fn fits(habits: &Habits) -> FitVerdict {
    let mut numbers = vec![("p95_ms", habits.p95_ms), ("rate_per_second", habits.per_second)];
    numbers.extend(habits.variation.map(|variation| ("variation", variation)));
    numbers.extend(habits.break_even.and_then(|even| even.ratio()).map(|ratio| ("ratio", ratio)));
    let would_change = match habits.break_even.and_then(|even| even.rate_per_second) {
        Some(rate) => format!("an even load of more than {} runs a second, or runs of a minute", short(rate)),
        None => "runs of a minute, or of half the time-out".to_owned(),
    };
    FitVerdict { fit: Fit::Fits, words: "fits".to_owned(), confidence: known(habits), numbers, would_change }
}

/// How sure one can be of what runs take.
fn by_samples(runs: f64) -> f64 {
    runs / (runs + HALF_SURE)
}

/// How sure one can be of what runs cost.
fn known(habits: &Habits) -> f64 {
    by_samples(habits.runs) * if habits.is_assumed { ASSUMED } else { 1.0 }
}

/// A number with two digits, or all of its whole ones.
fn short(number: f64) -> String {
    match number {
        number if number >= 10.0 => format!("{number:.0}"),
        number if number >= 1.0 => format!("{number:.1}"),
        number => format!("{number:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::price::ContainerSize;

    fn habits() -> Habits {
        Habits {
            runs: 180.0,
            p95_ms: 300.0,
            time_out_ms: Some(30_000),
            used_memory_mb: None,
            memory_samples: 0.0,
            memory_mb: Some(512),
            per_second: 2.0,
            variation: Some(1.2),
            minutes: 1_440.0,
            break_even: Some(BreakEven {
                size: ContainerSize { vcpu: 1.0, gb: 2.0, concurrency: 8 },
                per_task: 24.0,
                tasks: 2.0,
                function_per_month: 10.0,
                containers_per_month: 94.0,
                rate_per_second: Some(19.2),
            }),
            is_assumed: false,
            store_calls: 1.0,
            store_share: 0.1,
            is_chatty: false,
        }
    }

    fn check(habits: &Habits, expected: Expect) {
        let numbers = |it: &FitVerdict| it.numbers.iter().map(|(name, value)| format!(" {name}={value:.3}")).collect();
        let line = |it: &FitVerdict| {
            let numbers: String = numbers(it);
            format!("{:.2} {}\n  but: {}\n {numbers}", it.confidence, it.words, it.would_change)
        };
        expected.assert_eq(&judge(habits).iter().map(line).collect::<Vec<_>>().join("\n"));
    }

    fn sustained() -> Habits {
        let even = BreakEven { function_per_month: 303.0, ..habits().break_even.unwrap() };
        Habits { per_second: 60.0, variation: Some(0.3), break_even: Some(even), ..habits() }
    }

    #[test]
    fn short_work_that_comes_in_bursts_fits() {
        check(
            &habits(),
            expect![[r#"
            0.90 fits
              but: an even load of more than 19 runs a second, or runs of a minute
              p95_ms=300.000 rate_per_second=2.000 variation=1.200 ratio=9.400"#]],
        );
        let unknown = Habits { variation: None, break_even: None, runs: 5.0, is_assumed: true, ..habits() };
        check(
            &unknown,
            expect![[r#"
            0.10 fits
              but: runs of a minute, or of half the time-out
              p95_ms=300.000 rate_per_second=2.000"#]],
        );
    }

    #[test]
    fn what_speaks_against_it_is_said_in_words() {
        check(
            &Habits { p95_ms: 61_000.0, time_out_ms: None, ..habits() },
            expect![[r#"
            0.90 long-running: one run in twenty takes 61 s or more
              but: runs that take less than 60 s at p95: split the work, or hand the rest to a queue
              p95_ms=61000.000"#]],
        );
        check(
            &Habits { p95_ms: 16_000.0, ..habits() },
            expect![[r#"
            0.90 long-running: one run in twenty takes 16 s or more, 53 % of its time-out
              but: runs that take less than 15 s at p95: split the work, or hand the rest to a queue
              p95_ms=16000.000 time_out_ms=30000.000"#]],
        );
        check(
            &Habits { memory_mb: Some(4_096), ..habits() },
            expect![[r#"
            0.70 memory-heavy: it is given 4.0 GiB
              but: less than 3 GiB of memory: stream what it loads, or keep models and indexes in a service
              memory_mb=4096.000"#]],
        );
        check(
            &sustained(),
            expect![[r#"
            0.90 sustained traffic: containers would cost 31 % of this
              but: less than 19 runs a second, or bursts with pauses between them
              rate_per_second=60.000 variation=0.300 ratio=0.310 break_even_per_second=19.200"#]],
        );
        check(
            &Habits { store_calls: 12.0, store_share: 0.3, is_chatty: true, ..habits() },
            expect![[r#"
            0.90 chatty state: a run uses stores 12 times and waits for them 30 % of its time
              but: fewer uses: ask for many things at once, or keep what does not change
              store_calls_per_run=12.000 store_share=0.300"#]],
        );
        check(
            &Habits {
                store_calls: 4.0,
                store_share: 0.65,
                used_memory_mb: Some(3_500.0),
                memory_samples: 180.0,
                ..habits()
            },
            expect![[r#"
            0.90 memory-heavy: it uses 3.4 GiB
              but: less than 3 GiB of memory: stream what it loads, or keep models and indexes in a service
              used_memory_mb=3500.000
            0.90 chatty state: a run uses stores 4.0 times and waits for them 65 % of its time
              but: fewer uses: ask for many things at once, or keep what does not change
              store_calls_per_run=4.000 store_share=0.650"#]],
        );
    }

    #[test]
    fn memory_that_is_given_and_not_used_is_not_heavy() {
        let unused = Habits { memory_mb: Some(8_192), used_memory_mb: Some(900.0), memory_samples: 180.0, ..habits() };
        assert_eq!(judge(&unused)[0].fit, Fit::Fits);
    }

    #[test]
    fn what_is_not_even_not_dear_or_not_known_is_not_sustained() {
        let is_sustained = |habits: &Habits| judge(habits).iter().any(|it| it.fit == Fit::SustainedTraffic);
        assert!(is_sustained(&sustained()));
        let cheap = BreakEven { function_per_month: 90.0, ..sustained().break_even.unwrap() };
        for other in [
            Habits { variation: Some(0.5), ..sustained() },
            Habits { variation: None, ..sustained() },
            Habits { per_second: 19.0, ..sustained() },
            Habits { break_even: Some(cheap), ..sustained() },
            Habits { break_even: None, ..sustained() },
        ] {
            assert!(!is_sustained(&other), "{other:?}");
        }
    }

    #[test]
    fn an_hour_is_less_sure_than_a_day_and_assumed_memory_than_known_one() {
        let sure = |habits: &Habits| judge(habits)[0].confidence;
        let hour = Habits { minutes: 60.0, ..sustained() };
        let assumed = Habits { is_assumed: true, ..sustained() };
        assert!((sure(&sustained()) - 0.9).abs() < 1e-9);
        assert!((sure(&hour) - 0.9 / 24.0).abs() < 1e-9);
        assert!((sure(&assumed) - 0.45).abs() < 1e-9);
    }
}
