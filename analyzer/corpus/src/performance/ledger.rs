//! The bill of a system, written by whoever ran it: run by run, each rounded as its platform rounds, with what it used.
//!
//! The prices are the built-in ones of the collector (`collector/src/price/prices.toml`; a test compares them), the
//! arithmetic is the ledger's own, in whole nanoseconds. Starting an instance is charged where it is a part of the run,
//! and free before it, as it was on the day of the prices.

use loopscope_analyzer::{
    price::{Architecture, CallPrice, FunctionRule, PlatformPrice, PriceTable},
    snapshot::EdgeKind,
};

use crate::performance::{
    simulator::{Asked, Run, Trace},
    system::{Function, Platform, System},
};

/// What running on one platform costs, US dollars.
#[derive(Clone, Copy, Debug)]
pub struct Tariff {
    per_gb_second: f64,
    per_second: f64,
    per_request: f64,
    minimum_ms: u64,
    rounding_ms: u64,
}

/// Uses of resources and their prices: system, kind of use, US dollars.
const CALLS: [(&str, EdgeKind, f64); 6] = [
    ("sqs", EdgeKind::Publish, 0.000_001_2),
    ("sns", EdgeKind::Publish, 0.000_000_5),
    ("s3", EdgeKind::Write, 0.000_005),
    ("s3", EdgeKind::Read, 0.000_000_4),
    ("dynamodb", EdgeKind::Write, 0.000_000_625),
    ("dynamodb", EdgeKind::Read, 0.000_000_125),
];

/// The day on which the prices were true.
const AS_OF: &str = "2025-06-01";

/// What the runs of one function cost, US dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bill {
    /// Runs.
    pub runs: u64,
    /// For running.
    pub running: f64,
    /// For what the runs used.
    pub calls: f64,
    /// Of that for running, the part in which runs waited for functions that they called.
    pub waiting: f64,
}

/// The bills of all functions of a system.
#[derive(Clone, Debug)]
pub struct Ledger<'a> {
    system: &'a System,
    /// In the order of the functions.
    pub bills: Vec<Bill>,
}

impl Bill {
    /// Everything.
    pub fn all(&self) -> f64 {
        self.running + self.calls
    }
}

impl<'a> Ledger<'a> {
    /// An empty ledger.
    pub fn new(system: &'a System) -> Self {
        Self { system, bills: vec![Bill::default(); system.functions.len()] }
    }

    /// Charges all that a request started.
    pub fn charge(&mut self, trace: &Trace) {
        for run in &trace.runs {
            let function = &self.system.functions[run.function];
            let bill = &mut self.bills[run.function];
            bill.runs += 1;
            let (running, per_nano) = running(function, run);
            bill.running += running;
            bill.waiting += per_nano * waiting(run) as f64;
            bill.calls += run.outs.iter().map(|out| use_of(self.system, out.what)).sum::<f64>();
        }
    }

    /// Everything.
    pub fn total(&self) -> f64 {
        self.bills.iter().map(Bill::all).sum()
    }
}

/// What a run costs without what it uses, and what each nanosecond of it does.
fn running(function: &Function, run: &Run) -> (f64, f64) {
    let tariff = tariff(function.platform);
    let step = tariff.rounding_ms * 1_000_000;
    let charged = ((run.end - run.start).div_ceil(step) * step).max(tariff.minimum_ms * 1_000_000);
    let per_second = f64::from(function.memory_mb) / 1_024.0 * tariff.per_gb_second + tariff.per_second;
    (charged as f64 / 1e9 * per_second + tariff.per_request, per_second / 1e9)
}

/// Nanoseconds in which a run waits for functions; what it calls at the same time it waits for once.
fn waiting(run: &Run) -> u64 {
    let mut covered = run.start;
    let mut waited = 0;
    // Outs are in the order of their starts.
    for out in run.outs.iter().filter(|out| matches!(out.what, Asked::Function(_))) {
        let start = out.start.max(covered);
        waited += out.end.saturating_sub(start);
        covered = covered.max(out.end);
    }
    waited
}

fn use_of(system: &System, what: Asked) -> f64 {
    let (word, kind) = match what {
        Asked::Function(_) => return 0.0,
        Asked::Store(store, is_write) => (
            if system.stores[store].is_bucket { "s3" } else { "dynamodb" },
            if is_write { EdgeKind::Write } else { EdgeKind::Read },
        ),
        Asked::Queue(queue) => (if system.queues[queue].is_topic { "sns" } else { "sqs" }, EdgeKind::Publish),
    };
    CALLS.iter().find(|(known, use_kind, _)| *known == word && *use_kind == kind).map_or(0.0, |(.., price)| *price)
}

fn tariff(platform: Platform) -> Tariff {
    let lambda = |per_gb_second| Tariff {
        per_gb_second,
        per_second: 0.0,
        per_request: 0.000_000_2,
        minimum_ms: 1,
        rounding_ms: 1,
    };
    let google = |per_gb_second, per_second| Tariff {
        per_gb_second,
        per_second,
        per_request: 0.000_000_4,
        minimum_ms: 100,
        rounding_ms: 100,
    };
    match platform {
        Platform::Lambda => lambda(0.000_016_666_7),
        Platform::LambdaArm => lambda(0.000_013_333_4),
        Platform::GoogleFunctions => google(0.000_016_5, 0.0),
        Platform::GoogleRun => google(0.000_002_5, 0.000_024),
        // Whoever runs it pays by the hour.
        Platform::Service => {
            Tariff { per_gb_second: 0.0, per_second: 0.0, per_request: 0.0, minimum_ms: 0, rounding_ms: 1 }
        }
    }
}

/// The prices as the engine takes them.
pub fn prices() -> PriceTable {
    let platform = |platform: Platform| {
        let tariff = tariff(platform);
        PlatformPrice {
            platforms: vec![platform.told().0.into()],
            architecture: architecture(platform),
            per_gb_second: tariff.per_gb_second,
            per_second: tariff.per_second,
            per_request: tariff.per_request,
            minimum_ms: tariff.minimum_ms as f64,
            rounding_ms: tariff.rounding_ms as f64,
            as_of: AS_OF.into(),
        }
    };
    let call = |(system, kind, per_call): (&str, EdgeKind, f64)| CallPrice {
        systems: vec![system.into()],
        kind,
        per_call,
        as_of: AS_OF.into(),
    };
    PriceTable {
        currency: "USD".into(),
        platforms: Platform::ALL.map(platform).to_vec(),
        calls: CALLS.map(call).to_vec(),
    }
}

/// What is known of the functions beyond their spans, as the engine takes it.
pub fn facts(system: &System) -> Vec<FunctionRule> {
    let rule = |function: &Function| FunctionRule {
        pattern: function.name.clone(),
        memory_mb: Some(function.memory_mb),
        architecture: architecture(function.platform),
        time_out_ms: Some((function.time_out * 1e3) as u64),
        ..FunctionRule::default()
    };
    system.functions.iter().map(rule).collect()
}

fn architecture(platform: Platform) -> Option<Architecture> {
    match platform {
        Platform::Lambda => Some(Architecture::X86),
        Platform::LambdaArm => Some(Architecture::Arm),
        Platform::GoogleFunctions | Platform::GoogleRun | Platform::Service => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::performance::simulator::{Cause, Out};

    fn run(millis: f64, outs: Vec<Out>) -> Run {
        Run {
            function: 0,
            instance: 1,
            cause: Cause::Outside,
            start: 1_000,
            end: 1_000 + (millis * 1e6) as u64,
            is_cold: false,
            init: 0,
            failed: false,
            used_mb: 0.0,
            outs,
        }
    }

    fn of(platform: Platform, memory_mb: u32) -> Function {
        let mut function = System::new(1, 20).functions[0].clone();
        (function.platform, function.memory_mb) = (platform, memory_mb);
        function
    }

    #[test]
    fn runs_cost_what_a_calculator_says() {
        let check = |platform, memory_mb, millis, expected: f64| {
            let cost = running(&of(platform, memory_mb), &run(millis, Vec::new())).0;
            assert!((cost / expected - 1.0).abs() < 1e-6, "{cost}");
        };
        // 1 GiB · 0.3 s · 0.0000166667 + 0.0000002
        check(Platform::Lambda, 1_024, 299.2, 5.200_01e-6);
        check(Platform::LambdaArm, 512, 100.0, 8.666_7e-7);
        // 101 ms are 200 ms: 0.25 GiB · 0.2 s · 0.0000165 + 0.0000004
        check(Platform::GoogleFunctions, 256, 101.0, 1.225e-6);
        check(Platform::GoogleRun, 1_024, 20.0, 3.05e-6);
    }

    #[test]
    fn what_is_called_at_the_same_time_is_waited_for_once() {
        let call = |start, end| Out { what: Asked::Function(1), start, end, failed: false };
        let store = Out { what: Asked::Store(0, true), start: 2_000, end: 9_000, failed: false };
        assert_eq!(
            waiting(&run(1.0, vec![call(1_000, 2_000), store, call(10_000, 20_000), call(10_000, 15_000)])),
            11_000
        );
    }

    /// The numbers stand in two places because the ledger must not take them from whom it checks.
    #[test]
    fn the_prices_are_the_built_in_ones() {
        let text = include_str!("../../../../collector/src/price/prices.toml");
        let entries: Vec<Vec<(&str, &str)>> =
            text.split("[[").map(|entry| entry.lines().filter_map(|line| line.split_once(" = ")).collect()).collect();
        let value = |entry: &[(&str, &str)], key: &str| -> Option<String> {
            entry.iter().find(|(known, _)| *known == key).map(|(_, value)| value.trim_matches('"').to_owned())
        };
        let number = |entry: &[(&str, &str)], key: &str| -> f64 {
            value(entry, key).map_or(0.0, |value| value.parse().unwrap())
        };
        let mut seen = 0;
        for platform in Platform::ALL {
            let tariff = tariff(platform);
            let words = architecture(platform).map(|known| if known == Architecture::Arm { "arm64" } else { "x86_64" });
            let fits = |entry: &&Vec<(&str, &str)>| {
                value(entry, "platforms").is_some_and(|known| known.contains(&format!("\"{}\"", platform.told().0)))
                    && value(entry, "architecture").as_deref() == words
            };
            let entry = entries.iter().find(fits).unwrap();
            assert_eq!(number(entry, "per_gb_second"), tariff.per_gb_second);
            assert_eq!(number(entry, "per_second"), tariff.per_second);
            assert_eq!(number(entry, "per_request"), tariff.per_request);
            assert_eq!(number(entry, "minimum_ms"), tariff.minimum_ms as f64);
            assert_eq!(number(entry, "rounding_ms"), tariff.rounding_ms as f64);
            seen += 1;
        }
        for (system, kind, price) in CALLS {
            let fits = |entry: &&Vec<(&str, &str)>| {
                value(entry, "systems").is_some_and(|known| known.contains(&format!("\"{system}\"")))
                    && value(entry, "kind").as_deref() == Some(kind.word())
            };
            assert_eq!(number(entries.iter().find(fits).unwrap(), "per_call"), price);
            seen += 1;
        }
        assert_eq!(seen, 10);
    }
}
