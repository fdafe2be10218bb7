//! What containers would cost in place of a function, and from which rate on they cost less.
//!
//! ```text
//!   capacity of a task   min(concurrency · 1000/ms, 1000 · vCPU/cpu_ms)   requests a second
//!   tasks                max(min, rate / (utilisation · capacity), busiest minute / capacity), rounded up
//!   an hour              tasks · (vCPU · price + GiB · price) + load balancer
//!   break-even           n · task + load balancer = 3600 · λ* · cost of a run,  for the least n that can serve λ*
//! ```
//!
//! Who runs the numbers decides nothing: whether somebody should move is `detect/fit.rs`'s. What a run uses costs the
//! same both ways and is left out.

use std::sync::Arc;

/// Hours of a month, as clouds count them.
pub const HOURS_PER_MONTH: f64 = 730.0;

/// What containers cost, and what is assumed of them.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerPrices {
    /// What is priced, such as `AWS Fargate`.
    pub name: Arc<str>,
    /// A virtual processor for an hour.
    pub per_vcpu_hour: f64,
    /// A GiB of memory for an hour.
    pub per_gb_hour: f64,
    /// What distributes the requests, an hour.
    pub load_balancer_per_hour: f64,
    /// Part of its capacity that a task is filled to, over 0 and at most 1.
    pub utilisation: f64,
    /// Tasks that always run, so that one may fail.
    pub min_tasks: u32,
    /// Sizes of tasks to choose from.
    pub sizes: Vec<ContainerSize>,
    /// The day on which the prices were true.
    pub as_of: Arc<str>,
}

/// A size of a task.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ContainerSize {
    /// Virtual processors.
    pub vcpu: f64,
    /// Memory, GiB.
    pub gb: f64,
    /// Requests that it serves at the same time.
    pub concurrency: u32,
}

/// The load of a function.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Runs a second, a mean.
    pub per_second: f64,
    /// Runs a second in the busiest minute.
    pub peak_per_second: f64,
    /// Time of a run, a mean, milliseconds.
    pub mean_ms: f64,
    /// Time of a processor that a run takes at most, milliseconds; 0 where the processor does not matter.
    pub cpu_ms: f64,
    /// Memory of the function, MiB.
    pub memory_mb: u32,
    /// What a run costs as a function, without the resources it uses.
    pub cost_per_run: f64,
}

/// A function and the containers that would do the same, at the same load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BreakEven {
    /// The size that costs least at this load, of those that hold the memory of the function.
    pub size: ContainerSize,
    /// Requests a second that a task serves when it is filled to what is assumed.
    pub per_task: f64,
    /// Tasks that this load takes.
    pub tasks: f64,
    /// A month of the function.
    pub function_per_month: f64,
    /// A month of the containers.
    pub containers_per_month: f64,
    /// Runs a second from which on containers of this size cost less, at an even load; `None` when they never do.
    pub rate_per_second: Option<f64>,
}

impl BreakEven {
    /// Cost of the containers as a part of that of the function; `None` for a function that costs nothing.
    pub fn ratio(&self) -> Option<f64> {
        (self.function_per_month > 0.0).then(|| self.containers_per_month / self.function_per_month)
    }
}

impl ContainerPrices {
    /// A task for an hour.
    pub fn per_task_hour(&self, size: ContainerSize) -> f64 {
        size.vcpu * self.per_vcpu_hour + size.gb * self.per_gb_hour
    }
}

/// Compares a function with containers; `None` when no size holds its memory, or nothing is known of its runs. O(sizes).
pub fn break_even(prices: &ContainerPrices, traffic: &Traffic) -> Option<BreakEven> {
    let fitting = prices.sizes.iter().filter(|size| size.gb * 1_024.0 >= f64::from(traffic.memory_mb));
    let all = fitting.filter_map(|size| with_size(prices, traffic, *size));
    all.min_by(|one, other| one.containers_per_month.total_cmp(&other.containers_per_month))
}

/// Compares a function with containers of one size; `None` when nothing is known of its runs.
fn with_size(prices: &ContainerPrices, traffic: &Traffic, size: ContainerSize) -> Option<BreakEven> {
    if traffic.mean_ms <= 0.0 {
        return None;
    }
    let by_time = f64::from(size.concurrency) * 1_000.0 / traffic.mean_ms;
    let by_processor = if traffic.cpu_ms > 0.0 { size.vcpu * 1_000.0 / traffic.cpu_ms } else { f64::INFINITY };
    let full = by_time.min(by_processor);
    let per_task = full * prices.utilisation;
    let needed = (traffic.per_second / per_task).max(traffic.peak_per_second / full);
    let tasks = needed.ceil().max(f64::from(prices.min_tasks));
    let per_hour = tasks * prices.per_task_hour(size) + prices.load_balancer_per_hour;
    Some(BreakEven {
        size,
        per_task,
        tasks,
        function_per_month: traffic.per_second * traffic.cost_per_run * 3_600.0 * HOURS_PER_MONTH,
        containers_per_month: per_hour * HOURS_PER_MONTH,
        rate_per_second: crossing(prices, size, per_task, traffic.cost_per_run),
    })
}

/// The rate at which both cost the same: with `n` tasks it is `(n · task + load balancer) / cost of a run`, and the least
/// `n` counts whose capacity reaches that far.
fn crossing(prices: &ContainerPrices, size: ContainerSize, per_task: f64, cost_per_run: f64) -> Option<f64> {
    let (task, balancer) = (prices.per_task_hour(size), prices.load_balancer_per_hour);
    let saved_per_task = 3_600.0 * cost_per_run * per_task - task;
    if saved_per_task <= 0.0 {
        return None;
    }
    let tasks = (balancer / saved_per_task).ceil().max(f64::from(prices.min_tasks));
    Some((tasks * task + balancer) / (3_600.0 * cost_per_run))
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::price::tests::{facts, table};

    const SMALL: ContainerSize = ContainerSize { vcpu: 0.25, gb: 0.5, concurrency: 2 };
    const LARGE: ContainerSize = ContainerSize { vcpu: 1.0, gb: 2.0, concurrency: 8 };

    pub(crate) fn fargate() -> ContainerPrices {
        ContainerPrices {
            name: "AWS Fargate".into(),
            per_vcpu_hour: 0.04048,
            per_gb_hour: 0.004445,
            load_balancer_per_hour: 0.03,
            utilisation: 0.6,
            min_tasks: 2,
            sizes: vec![SMALL, LARGE],
            as_of: "2025-06-01".into(),
        }
    }

    fn traffic(memory_mb: u32, mean_ms: f64, per_second: f64) -> Traffic {
        let cost_per_run = table().cost_per_invocation("aws_lambda", &facts(memory_mb), mean_ms, &[]);
        Traffic { per_second, peak_per_second: per_second, mean_ms, cpu_ms: 0.0, memory_mb, cost_per_run }
    }

    #[track_caller]
    fn is_within(found: f64, expected: f64, part: f64) {
        assert!((found / expected - 1.0).abs() < part, "{found} is not {expected}");
    }

    /// Rows are those of a table of 2025 for AWS, whose numbers were printed with two digits: memory, milliseconds,
    /// break-even against the small and the large size, and cost as a multiple of containers at scale. It prints 149
    /// and 8.2 where its own formula gives 148.0 and 8.14.
    #[test]
    fn break_even_is_that_of_the_published_table() {
        let rows = [
            (128, 20.0, 63.0, 148.0, 4.2),
            (512, 50.0, 25.0, 58.0, 4.3),
            (512, 200.0, 8.14, 19.0, 3.3),
            (1_024, 200.0, 4.3, 10.0, 6.2),
            (1_024, 1_000.0, 0.9, 2.1, 5.9),
        ];
        for (memory_mb, mean_ms, small, large, at_scale) in rows {
            let of = |size, rate| with_size(&fargate(), &traffic(memory_mb, mean_ms, rate), size).unwrap();
            is_within(of(SMALL, 1.0).rate_per_second.unwrap(), small, 0.016);
            is_within(of(LARGE, 1.0).rate_per_second.unwrap(), large, 0.013);
            let many = of(LARGE, 1e6);
            is_within(1.0 / many.ratio().unwrap(), at_scale, 0.011);
            let even = of(LARGE, of(LARGE, 1.0).rate_per_second.unwrap());
            is_within(even.ratio().unwrap(), 1.0, 1e-9);
        }
        // "About 5 million a day", and "0.9 million a day".
        let a_day =
            |memory, ms| with_size(&fargate(), &traffic(memory, ms, 1.0), LARGE).unwrap().rate_per_second.unwrap();
        is_within(a_day(512, 50.0) * 86_400.0, 5e6, 0.01);
        is_within(a_day(1_024, 200.0) * 86_400.0, 0.9e6, 0.03);
    }

    #[test]
    fn the_cheapest_size_that_holds_the_memory_is_taken() {
        let size =
            |memory_mb, per_second| break_even(&fargate(), &traffic(memory_mb, 50.0, per_second)).map(|it| it.size);
        assert_eq!(size(256, 1.0), Some(SMALL));
        assert_eq!(size(1_024, 1.0), Some(LARGE), "the small one has half a GiB");
        assert_eq!(size(4_096, 1.0), None);
        assert!(break_even(&fargate(), &Traffic { mean_ms: 0.0, ..traffic(256, 50.0, 1.0) }).is_none());
    }

    #[test]
    fn the_busiest_minute_and_the_processor_take_tasks() {
        // 8 at a time of 50 ms are 160 a second, of which 96 are used.
        let even = with_size(&fargate(), &traffic(1_024, 50.0, 900.0), LARGE).unwrap();
        assert_eq!((even.per_task, even.tasks), (96.0, 10.0));
        let burst = Traffic { peak_per_second: 4_000.0, ..traffic(1_024, 50.0, 900.0) };
        assert_eq!(with_size(&fargate(), &burst, LARGE).unwrap().tasks, 25.0);
        let busy = Traffic { cpu_ms: 25.0, ..traffic(1_024, 50.0, 900.0) };
        assert_eq!(with_size(&fargate(), &busy, LARGE).unwrap().per_task, 24.0);
    }

    #[test]
    fn what_a_processor_is_busy_with_all_the_time_never_pays() {
        let busy = Traffic { cpu_ms: 1_000.0, ..traffic(128, 1_000.0, 10.0) };
        assert_eq!(with_size(&fargate(), &busy, LARGE).unwrap().rate_per_second, None);
    }

    proptest! {
        #[test]
        fn at_the_break_even_both_cost_the_same(
            memory_mb in 128u32..2_048, mean_ms in 1.0f64..30_000.0, cpu_share in 0.0f64..1.0, large in any::<bool>(),
        ) {
            let size = if large { LARGE } else { SMALL };
            let one = Traffic { cpu_ms: mean_ms * cpu_share, ..traffic(memory_mb, mean_ms, 1.0) };
            if let Some(rate) = with_size(&fargate(), &one, size).unwrap().rate_per_second {
                let at = Traffic { per_second: rate, peak_per_second: rate, ..one };
                let even = with_size(&fargate(), &at, size).unwrap();
                prop_assert!((even.ratio().unwrap() - 1.0).abs() < 1e-6, "{even:?}");
                let twice = Traffic { per_second: 4.0 * rate, peak_per_second: 4.0 * rate, ..one };
                prop_assert!(with_size(&fargate(), &twice, size).unwrap().ratio().unwrap() < 1.0);
            }
        }
    }
}
