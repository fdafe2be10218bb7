//! The bill of a system, written by whoever ran it: run by run, each rounded as its platform rounds, with what it used.
//!
//! The prices are the built-in ones of the collector (`collector/src/price/prices.toml`; a test compares them), the
//! arithmetic is the ledger's own, in whole nanoseconds. Starting an instance is charged where it is a part of the run,
//! and before it where the platform does so.

use loopscope_analyzer::{
    facts::{Architecture, FunctionRule},
    price::{CallPrice, PlatformPrice, PriceTable},
    snapshot::EdgeKind,
};

use crate::performance::{
    simulator::{Asked, Trace},
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
    charges_init: bool,
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
const AS_OF: &str = "2025-08-01";

/// What the runs of one function cost, US dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bill {
    /// Runs.
    pub runs: u64,
    /// For running.
    pub running: f64,
    /// For what the runs used.
    pub calls: f64,
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
            let started = if run.starts_outside(self.system) { run.init } else { 0 };
            bill.running += running(function, run.end - run.start, started);
            bill.calls += run.outs.iter().map(|out| use_of(self.system, out.what)).sum::<f64>();
        }
    }

    /// Everything.
    pub fn total(&self) -> f64 {
        self.bills.iter().map(Bill::all).sum()
    }
}

/// What a run costs that takes so many nanoseconds after so many to start its instance, without what it uses.
fn running(function: &Function, ran: u64, started: u64) -> f64 {
    let tariff = tariff(function.platform);
    let step = tariff.rounding_ms * 1_000_000;
    let all = if tariff.charges_init { ran + started } else { ran };
    let charged = (all.div_ceil(step) * step).max(tariff.minimum_ms * 1_000_000);
    let per_second = f64::from(function.memory_mb) / 1_024.0 * tariff.per_gb_second + tariff.per_second;
    charged as f64 / 1e9 * per_second + tariff.per_request
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
        charges_init: true,
    };
    let google = |per_gb_second, per_second| Tariff {
        per_gb_second,
        per_second,
        per_request: 0.000_000_4,
        minimum_ms: 100,
        rounding_ms: 100,
        charges_init: false,
    };
    match platform {
        Platform::Lambda => lambda(0.000_016_666_7),
        Platform::LambdaArm => lambda(0.000_013_333_4),
        Platform::GoogleFunctions => google(0.000_016_5, 0.0),
        Platform::GoogleRun => google(0.000_002_5, 0.000_024),
        // Whoever runs it pays by the hour.
        Platform::Service => Tariff {
            per_gb_second: 0.0,
            per_second: 0.0,
            per_request: 0.0,
            minimum_ms: 0,
            rounding_ms: 1,
            charges_init: false,
        },
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
            charges_init: tariff.charges_init,
            as_of: AS_OF.into(),
            ..PlatformPrice::default()
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
        containers: None,
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

    fn of(platform: Platform, memory_mb: u32) -> Function {
        let mut function = System::new(1, 20).functions[0].clone();
        (function.platform, function.memory_mb) = (platform, memory_mb);
        function
    }

    #[test]
    fn runs_cost_what_a_calculator_says() {
        let check = |platform, memory_mb, millis, expected: f64| {
            let cost = running(&of(platform, memory_mb), (millis * 1e6) as u64, 0);
            assert!((cost / expected - 1.0).abs() < 1e-6, "{cost}");
        };
        // 1 GiB · 0.3 s · 0.0000166667 + 0.0000002
        check(Platform::Lambda, 1_024, 299.2, 5.200_01e-6);
        check(Platform::LambdaArm, 512, 100.0, 8.666_7e-7);
        // 101 ms are 200 ms: 0.25 GiB · 0.2 s · 0.0000165 + 0.0000004
        check(Platform::GoogleFunctions, 256, 101.0, 1.225e-6);
        check(Platform::GoogleRun, 1_024, 20.0, 3.05e-6);
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
            assert_eq!(value(entry, "charges_init").as_deref() == Some("true"), tariff.charges_init);
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
