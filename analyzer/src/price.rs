//! What runs cost: prices as plain data, and the cost of one invocation.
//!
//! Prices are list prices, each with the day on which it was true; whoever runs the engine hands them in. Discounts,
//! free tiers and traffic are not known here. What is known of functions is `facts.rs`; where that is nothing, documented
//! defaults stand in and the result says so. What a loop will cost if it goes on is `price/projection.rs`.

mod attribution;
mod bill;
mod charge;
mod container;
mod projection;

use std::sync::Arc;

pub use bill::{LISTED, Pricing};
pub(crate) use charge::{Charge, Runs};
pub use container::{BreakEven, ContainerPrices, ContainerSize, HOURS_PER_MONTH, Traffic, break_even};
pub use projection::{Load, Projection, project};

pub use crate::facts::{ASSUMED_CONCURRENCY, ASSUMED_MEMORY_MB, Architecture, FunctionFacts, FunctionRule};
use crate::snapshot::EdgeKind;

/// The platform whose prices stand in for those of a platform that the table does not list.
pub const ASSUMED_PLATFORM: &str = "aws_lambda";

/// What runs in the browsers of visitors costs them, and nobody else.
const FREE_PLATFORM: &str = "browser";

/// List prices, in one currency.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PriceTable {
    /// The currency of all amounts, such as `USD`.
    pub currency: Arc<str>,
    /// What running costs. The first entry that fits counts.
    pub platforms: Vec<PlatformPrice>,
    /// What using resources costs. The first entry that fits counts.
    pub calls: Vec<CallPrice>,
    /// What containers would cost; `None` when nobody said.
    pub containers: Option<ContainerPrices>,
}

/// What running on one platform costs.
#[derive(Clone, Debug, PartialEq)]
pub struct PlatformPrice {
    /// The platforms it is the price of, as [`crate::snapshot::FunctionNode::platform`] spells them.
    pub platforms: Vec<Arc<str>>,
    /// The processor it is the price of; `None` for any.
    pub architecture: Option<Architecture>,
    /// A second of one GiB of memory.
    pub per_gb_second: f64,
    /// A second of running, whatever the memory.
    pub per_second: f64,
    /// An invocation, whatever it does.
    pub per_request: f64,
    /// Shorter runs are charged as if they took this long, milliseconds.
    pub minimum_ms: f64,
    /// Runs are charged in steps of this, milliseconds.
    pub rounding_ms: f64,
    /// Memory is charged in steps of this, MiB; 0 for none.
    pub memory_step_mb: u32,
    /// True where the memory is charged that runs used, where that is known.
    pub charges_used_memory: bool,
    /// True where the time is charged that an instance takes to start, before its first run.
    pub charges_init: bool,
    /// False where only the time is charged in which a run does not wait.
    pub charges_waiting: bool,
    /// Memory with which a function has a whole processor, MiB: with less it has a part of one. 0 where the processor
    /// does not depend on the memory.
    pub vcpu_mb: u32,
    /// The day on which it was true, such as `2025-06-01`.
    pub as_of: Arc<str>,
}

/// What one use of a resource costs.
#[derive(Clone, Debug, PartialEq)]
pub struct CallPrice {
    /// Words, one of which occurs in the name of the system; case and punctuation do not count.
    pub systems: Vec<Arc<str>>,
    /// How the resource is used.
    pub kind: EdgeKind,
    /// One use.
    pub per_call: f64,
    /// The day on which it was true.
    pub as_of: Arc<str>,
}

/// What a loop costs. Amounts are of the price table's currency.
#[derive(Clone, Debug, PartialEq)]
pub struct LoopCost {
    /// All its laps so far.
    pub so_far: f64,
    /// An hour at the pace of now.
    pub per_hour: f64,
    /// The next 24 hours, if it goes on as it does.
    pub next_24h: f64,
    /// Part of the instances that may run which it takes now, 0 to 1.
    pub concurrency_share: f64,
    /// Seconds until it takes all of them; `None` when it never does.
    pub seconds_to_saturation: Option<f64>,
    /// The currency, such as `USD`.
    pub currency: Arc<str>,
    /// True when the memory of a function or the prices of its platform are assumed.
    pub is_assumed: bool,
}

/// How often an invocation uses resources of one system in one way.
#[derive(Clone, Debug, PartialEq)]
pub struct CallRate<'a> {
    /// The system that provides the resource.
    pub system: &'a str,
    /// How it is used.
    pub kind: EdgeKind,
    /// Uses for each invocation.
    pub per_invocation: f64,
}

impl Default for PlatformPrice {
    /// What costs nothing, from the start of a run to its end.
    fn default() -> Self {
        Self {
            platforms: Vec::new(),
            architecture: None,
            per_gb_second: 0.0,
            per_second: 0.0,
            per_request: 0.0,
            minimum_ms: 0.0,
            rounding_ms: 0.0,
            memory_step_mb: 0,
            charges_used_memory: false,
            charges_init: false,
            charges_waiting: true,
            vcpu_mb: 0,
            as_of: "".into(),
        }
    }
}

impl PriceTable {
    /// What one invocation costs of which only the mean duration is known, with the resources it uses.
    ///
    /// A run of `mean_ms` is charged as `memory · max(minimum, ⌈mean⌉) · price + request`; uses of a system that the
    /// table does not list cost nothing.
    pub fn cost_per_invocation(
        &self,
        platform: &str,
        facts: &FunctionFacts,
        mean_ms: f64,
        calls: &[CallRate<'_>],
    ) -> f64 {
        let run = self.platform(platform, facts.architecture).map_or(0.0, |price| price.run(facts.memory_mb, mean_ms));
        run + self.cost_of_calls(calls)
    }

    /// What the resources cost that an invocation uses.
    pub(crate) fn cost_of_calls(&self, calls: &[CallRate<'_>]) -> f64 {
        calls.iter().map(|call| call.per_invocation * self.per_call(call.system, call.kind)).sum()
    }

    /// True when the table has prices of its own for the platform.
    pub fn knows(&self, platform: &str) -> bool {
        self.platforms.iter().any(|price| price.is_for(platform))
    }

    /// What one use of a resource costs; zero when the table does not say.
    pub fn per_call(&self, system: &str, kind: EdgeKind) -> f64 {
        self.call(system, kind).map_or(0.0, |price| price.per_call)
    }

    /// The price of using a resource of this system in this way.
    pub(crate) fn call(&self, system: &str, kind: EdgeKind) -> Option<&CallPrice> {
        if system.is_empty() {
            return None;
        }
        let system = letters(system);
        let fits = |price: &&CallPrice| {
            price.kind == kind && price.systems.iter().any(|word| system.contains(letters(word).as_str()))
        };
        self.calls.iter().find(fits)
    }

    /// The prices of a platform, or those that stand in; `None` for what nobody pays for, such as a browser.
    pub(crate) fn platform(&self, platform: &str, architecture: Architecture) -> Option<&PlatformPrice> {
        if platform.eq_ignore_ascii_case(FREE_PLATFORM) {
            return None;
        }
        let find = |platform: &str| {
            let mut own = self.platforms.iter().filter(|price| price.is_for(platform));
            let first = own.clone().next();
            own.find(|price| price.architecture.is_none_or(|priced| priced == architecture)).or(first)
        };
        find(platform).or_else(|| find(ASSUMED_PLATFORM))
    }
}

/// What running costs at some memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    /// Memory that is charged, GiB.
    pub(crate) gib: f64,
    /// A millisecond.
    pub(crate) per_ms: f64,
}

impl PlatformPrice {
    /// What running costs at some memory.
    pub(crate) fn rate(&self, memory_mb: u32) -> Rate {
        let charged_mb = match self.memory_step_mb {
            0 => memory_mb,
            step => memory_mb.max(1).div_ceil(step).saturating_mul(step),
        };
        let gib = f64::from(charged_mb) / 1_024.0;
        Rate { gib, per_ms: (gib * self.per_gb_second + self.per_second) / 1_000.0 }
    }

    /// Time that one run is charged for, milliseconds.
    pub(crate) fn charged(&self, ms: f64) -> f64 {
        let rounded = if self.rounding_ms > 0.0 { (ms / self.rounding_ms).ceil() * self.rounding_ms } else { ms };
        rounded.max(self.minimum_ms)
    }

    /// What a run costs without the resources it uses.
    fn run(&self, memory_mb: u32, mean_ms: f64) -> f64 {
        self.charged(mean_ms) * self.rate(memory_mb).per_ms + self.per_request
    }

    fn is_for(&self, platform: &str) -> bool {
        self.platforms.iter().any(|known| known.eq_ignore_ascii_case(platform))
    }
}

/// The lower-case letters and digits of a name.
fn letters(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The prices of the examples: AWS Lambda and what its functions use most.
    pub(crate) fn table() -> PriceTable {
        let lambda = |architecture, per_gb_second| PlatformPrice {
            platforms: vec!["aws_lambda".into()],
            architecture: Some(architecture),
            per_gb_second,
            per_request: 2e-7,
            minimum_ms: 1.0,
            rounding_ms: 1.0,
            charges_init: true,
            vcpu_mb: 1_769,
            as_of: "2025-08-01".into(),
            ..PlatformPrice::default()
        };
        let call = |system: &str, kind, per_call| CallPrice {
            systems: vec![system.into()],
            kind,
            per_call,
            as_of: "2025-06-01".into(),
        };
        PriceTable {
            currency: "USD".into(),
            platforms: vec![lambda(Architecture::X86, 1.66667e-5), lambda(Architecture::Arm, 1.33334e-5)],
            calls: vec![call("s3", EdgeKind::Write, 5e-6), call("sqs", EdgeKind::Publish, 1.2e-6)],
            containers: Some(container::tests::fargate()),
        }
    }

    pub(crate) fn facts(memory_mb: u32) -> FunctionFacts {
        FunctionFacts { memory_mb, is_assumed: false, ..FunctionFacts::default() }
    }

    #[track_caller]
    fn check(memory_mb: u32, ms: f64, expected: f64) {
        let cost = table().cost_per_invocation("aws_lambda", &facts(memory_mb), ms, &[]);
        assert!((cost / expected - 1.0).abs() < 1e-3, "{cost}");
    }

    #[test]
    fn a_run_costs_memory_times_time_and_the_request() {
        check(1_024, 300.0, 5.2e-6);
        check(1_024, 299.2, 5.2e-6);
        check(128, 100.0, 4.083e-7);
        check(3_008, 1_000.0, 4.916e-5);
        let arm = FunctionFacts { architecture: Architecture::Arm, ..facts(1_024) };
        let cost = table().cost_per_invocation("aws_lambda", &arm, 300.0, &[]);
        assert!((cost - 4.2e-6).abs() < 1e-9, "{cost}");
    }

    #[test]
    fn what_a_run_uses_can_cost_more_than_the_run() {
        let calls = [
            CallRate { system: "aws.s3", kind: EdgeKind::Write, per_invocation: 2.0 },
            CallRate { system: "AmazonSQS", kind: EdgeKind::Publish, per_invocation: 1.0 },
            CallRate { system: "aws.s3", kind: EdgeKind::Read, per_invocation: 9.0 },
            CallRate { system: "", kind: EdgeKind::Write, per_invocation: 9.0 },
        ];
        let table = table();
        let with = table.cost_per_invocation("aws_lambda", &facts(128), 100.0, &calls);
        let without = table.cost_per_invocation("aws_lambda", &facts(128), 100.0, &[]);
        assert!((with - without - 11.2e-6).abs() < 1e-12);
    }

    #[test]
    fn an_unknown_platform_is_charged_as_the_assumed_one() {
        let table = table();
        assert!(!table.knows("service"));
        assert_eq!(
            table.cost_per_invocation("service", &facts(128), 100.0, &[]),
            table.cost_per_invocation(ASSUMED_PLATFORM, &facts(128), 100.0, &[])
        );
        assert_eq!(PriceTable::default().cost_per_invocation("aws_lambda", &facts(128), 100.0, &[]), 0.0);
    }

    #[test]
    fn a_minimum_and_steps_are_charged() {
        let price = PlatformPrice { minimum_ms: 100.0, rounding_ms: 100.0, ..table().platforms.remove(0) };
        let rest = price.per_request;
        assert!((price.run(1_024, 1.0) - rest - 1.66667e-6).abs() < 1e-12);
        assert!((price.run(1_024, 101.0) - rest - 3.33334e-6).abs() < 1e-12);
    }
}
