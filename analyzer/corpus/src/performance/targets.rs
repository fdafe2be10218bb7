//! What the engine has to reach in telling where time and money go, as numbers.
//!
//! As with the loops (`crate::targets`), a target that is not reached is shown as such; none is loosened to pass.

use loopscope_analyzer::snapshot::Risk;

use crate::{
    performance::{
        hotspots::FaultScore,
        patterns::{Found, Pattern},
        regressions::Told,
        risks::RISKS,
        score::{DrawnScore, Score},
        suites::BASELINE_OF_A_DAY,
        what_if::SPEEDS,
    },
    score::share,
    targets::{Target, Wanted},
};

/// Ranks within which a culprit has to be.
pub const WITHIN: usize = 2;

/// How many times as long a function has to take for its slowdown to be asked for.
const FELT: f64 = 1.5;

/// All targets, as far as they were measured.
pub fn targets(score: &Score) -> Vec<Target> {
    let mut targets = Vec::new();
    places(score, &mut targets);
    changes(score, &mut targets);
    patterns(score, &mut targets);
    risks(score, &mut targets);
    costs(score, &mut targets);
    targets
}

/// Part of the faults whose culprit stands within so many ranks.
pub fn found_within(faults: &[&FaultScore], ranks: usize) -> f64 {
    let found = faults.iter().filter(|fault| fault.rank.is_some_and(|rank| rank <= ranks)).count();
    share(found as u64, faults.len() as u64)
}

/// A pattern over all systems.
pub fn found_of(score: &Score, pattern: Pattern) -> Option<Found> {
    let mut sum = Found::default();
    let parts = score.patterns.iter().filter_map(|part| part.found.get(&pattern));
    parts.clone().for_each(|found| sum.add(*found));
    (parts.count() > 0).then_some(sum)
}

/// A risk over all functions, and how many of them look like it.
pub fn risk_of(score: &Score, risk: Risk) -> Option<(Found, u64)> {
    let (mut sum, mut look_alikes) = (Found::default(), 0);
    for part in &score.risks {
        sum.add(part.found.get(&risk).copied().unwrap_or_default());
        look_alikes += part.look_alikes.get(&risk).copied().unwrap_or_default();
    }
    (!score.risks.is_empty()).then_some((sum, look_alikes))
}

/// All slowdowns of series that were told span by span.
pub fn slowdowns(score: &Score) -> impl Iterator<Item = &Told> {
    score.changes.iter().flat_map(|change| &change.slowdowns)
}

fn places(score: &Score, targets: &mut Vec<Target>) {
    let faults: Vec<&FaultScore> = score.faults.iter().collect();
    targets.push(Target::new(
        "culprits of injected faults within the first two ranks",
        Wanted::AtLeast(0.95),
        (!faults.is_empty()).then(|| found_within(&faults, WITHIN)),
    ));
    let least = faults.iter().map(|fault| fault.candidates as f64).reduce(f64::min);
    targets.push(Target::new("places in the smallest of these systems", Wanted::AtLeast(50.0), least));
    for (at, speed) in SPEEDS.into_iter().enumerate() {
        let taus: Vec<f64> = score.what_ifs.iter().filter_map(|found| found.tau[at]).collect();
        let mean = taus.iter().sum::<f64>() / taus.len() as f64;
        targets.push(Target::new(
            &format!("Kendall's tau of {:.0} % faster, foretold and true, mean of the roots", (1.0 - speed) * 100.0),
            Wanted::AtLeast(0.8),
            (!taus.is_empty()).then_some(mean),
        ));
    }
}

fn changes(score: &Score, targets: &mut Vec<Target>) {
    targets.push(Target::new(
        "false regressions a day over 10,000 series, windows drawn, before they are confirmed",
        Wanted::AtMost(1.0),
        score.drawn.iter().find(|drawn| drawn.words == BASELINE_OF_A_DAY).map(DrawnScore::regressions_a_day),
    ));
    let days: f64 = score.changes.iter().map(|change| change.hours / 24.0).sum();
    let wrong = score.changes.iter().map(|change| change.wrong.len()).sum::<usize>() as f64;
    targets.push(Target::new(
        "false regressions a day over 100 functions, span by span",
        Wanted::AtMost(1.0),
        (days > 0.0).then(|| wrong / days),
    ));
    let felt: Vec<&Told> = slowdowns(score).filter(|told| told.slowdown.factor >= FELT).collect();
    let part = |of: &[&Told], is_so: fn(&Told) -> bool| {
        let count = of.iter().filter(|told| is_so(told)).count();
        (!of.is_empty()).then(|| share(count as u64, of.len() as u64))
    };
    targets.push(Target::new(
        "functions 1.5 times slower and more that are told within an hour",
        Wanted::AtLeast(0.95),
        part(&felt, |told| told.minutes.is_some_and(|minutes| minutes <= 60.0)),
    ));
    let named: Vec<&Told> = slowdowns(score).filter(|told| told.version.is_some()).collect();
    targets.push(Target::new(
        "of those told, new versions that are named",
        Wanted::AtLeast(0.95),
        part(&named, |told| told.version == Some(true)),
    ));
}

fn patterns(score: &Score, targets: &mut Vec<Target>) {
    for pattern in Pattern::ALL {
        let found = found_of(score, pattern);
        let words = pattern.words();
        let planted = found.map(|found| found.planted as f64);
        targets.push(Target::new(&format!("{words}: instances"), Wanted::AtLeast(20.0), planted));
        targets.push(Target::new(&format!("{words}: precision"), Wanted::AtLeast(0.9), found.map(Found::precision)));
        targets.push(Target::new(&format!("{words}: recall"), Wanted::AtLeast(0.9), found.map(Found::recall)));
    }
}

fn risks(score: &Score, targets: &mut Vec<Target>) {
    for risk in RISKS {
        let found = risk_of(score, risk);
        let words = risk.word().replace('_', " ");
        let mut add = |what: &str, wanted, measured| {
            targets.push(Target::new(&format!("{words}: {what}"), Wanted::AtLeast(wanted), measured));
        };
        add("functions at risk", 20.0, found.map(|(found, _)| found.planted as f64));
        add("functions that look like it", 20.0, found.map(|(_, look_alikes)| look_alikes as f64));
        add("precision", 0.9, found.map(|(found, _)| found.precision()));
        add("recall", 0.9, found.map(|(found, _)| found.recall()));
    }
}

fn costs(score: &Score, targets: &mut Vec<Target>) {
    let largest = |errors: &mut dyn Iterator<Item = f64>| errors.reduce(f64::max);
    targets.push(Target::new(
        "cost of a system off its bill, largest",
        Wanted::AtMost(0.01),
        largest(&mut score.costs.iter().map(|cost| cost.total_error)),
    ));
    targets.push(Target::new(
        "cost of a function off its bill, largest",
        Wanted::AtMost(0.01),
        largest(&mut score.costs.iter().flat_map(|cost| cost.errors.iter().copied())),
    ));
}
