//! What the engine says that a system costs, against its bill.

use loopscope_analyzer::snapshot::CostReport;

use crate::{
    dice::Dice,
    performance::{
        ledger::{self, Bill, Ledger},
        simulator::Change,
        stream::{Plan, requests},
        system::{Platform, System},
        watched::Watched,
    },
};

/// Seconds that a system runs.
const SECONDS: f64 = 1_800.0;

/// How close what the engine says of one system comes to its bill.
#[derive(Clone, Debug)]
pub struct CostScore {
    /// The seed.
    pub seed: u64,
    /// Functions that ran.
    pub functions: usize,
    /// Runs.
    pub runs: u64,
    /// Everything, by the bill, US dollars.
    pub billed: f64,
    /// How far the engine is off in total, as a part of the bill.
    pub total_error: f64,
    /// How far it is off for each function that ran.
    pub errors: Vec<f64>,
    /// The function that it is furthest off for.
    pub worst: String,
    /// Spans taken in.
    pub spans: u64,
}

/// Runs the engine on one system whose functions run on several platforms.
pub fn run(seed: u64, size: usize) -> CostScore {
    let mut system = System::new(seed, size);
    let mut dice = Dice::new(seed, "platforms");
    for function in &mut system.functions {
        function.platform = *dice.pick(&Platform::ALL);
    }
    let plan = Plan {
        seed,
        seconds: SECONDS,
        rate: system.roots.len() as f64,
        skew: 0.0,
        has_links: dice.chance(0.5),
        change: Change::default(),
    };
    let mut ledger = Ledger::new(&system);
    requests(&system, plan.clone()).for_each(|trace| ledger.charge(&trace));
    let mut watched = Watched::new(&system, plan, |engine| {
        engine.aggregate_mut().set_facts(ledger::prices(), ledger::facts(&system))
    });
    let report = watched.engine.cost(watched.end);
    compared(seed, &system, &ledger, &report, watched.spans)
}

fn compared(seed: u64, system: &System, ledger: &Ledger<'_>, report: &CostReport, spans: u64) -> CostScore {
    let ran: Vec<(usize, &Bill)> = ledger.bills.iter().enumerate().filter(|(_, bill)| bill.runs > 0).collect();
    let error_of = |(at, bill): &(usize, &Bill)| {
        let name = &system.functions[*at].name;
        // A function that the report does not list is off by all of its bill.
        let told = report.functions.iter().filter(|told| told.name == *name).map(|told| told.costs.total()).sum();
        error(told, bill.all())
    };
    let errors: Vec<f64> = ran.iter().map(error_of).collect();
    let worst = ran.iter().zip(&errors).max_by(|a, b| a.1.total_cmp(b.1));
    CostScore {
        seed,
        functions: ran.len(),
        runs: ran.iter().map(|(_, bill)| bill.runs).sum(),
        billed: ledger.total(),
        total_error: error(report.total.total(), ledger.total()),
        worst: worst.map_or_else(String::new, |((at, _), error)| {
            let function = &system.functions[*at];
            format!("{} ({:?}), {:.3} % off", function.name, function.platform, error * 100.0)
        }),
        errors,
        spans,
    }
}

/// How far a number is off, as a part of the true one.
fn error(told: f64, real: f64) -> f64 {
    if real > 0.0 { (told / real - 1.0).abs() } else { told.abs() }
}
