//! Many functions that nobody calls but requests, over hours, some of which become slower: series of durations.
//!
//! Requests come more often by day than by night, and everything is a little slower when they do, so that no day is flat.
//! A function that becomes slower does so at once, with a new version a little before, or without one.

use std::{collections::BinaryHeap, sync::Arc};

use loopscope_analyzer::{
    attribute::{Attributes, Value},
    identity::Resource,
    span::{ArrivalTime, SpanKind},
};

use crate::{
    dice::Dice,
    performance::telling,
    render::{self, Draft, Exporter, text},
    truth::nanos,
    world::{Export, START, timed::Timed},
};

/// Sigma of the logarithm of durations.
const SIGMA: f64 = 0.6;

/// How much more often than at night requests come by day, as a part of the mean.
const DAY: f64 = 0.4;

/// How much slower everything is by day, as a part of the mean.
const SLOWER_BY_DAY: f64 = 0.02;

/// Part of the runs that start an instance.
const COLD: f64 = 0.005;

/// Seconds from the end of a run to the arrival of its span, median.
const EXPORT_DELAY: f64 = 0.5;

/// Series to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Seed of everything.
    pub seed: u64,
    /// Functions, a series each.
    pub functions: usize,
    /// Hours.
    pub hours: f64,
    /// Runs of each function in a minute, the mean over a day.
    pub per_minute: f64,
    /// What becomes slower, at most once for each function.
    pub slowdowns: Vec<Slowdown>,
}

/// A function that becomes slower.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slowdown {
    /// The function.
    pub function: usize,
    /// Hours from the beginning.
    pub at: f64,
    /// How many times as long it takes from then on.
    pub factor: f64,
    /// A new version was deployed five minutes before.
    pub is_deployed: bool,
}

/// The telemetry of all series, in order of arrival.
pub struct Series {
    plan: Plan,
    dice: Dice,
    functions: Vec<Function>,
    exports: BinaryHeap<Timed<Export>>,
    order: u64,
    now: u64,
}

struct Function {
    name: Arc<str>,
    seconds: f64,
    versions: [Arc<Resource>; 2],
}

impl Plan {
    /// The name of a function.
    pub fn name(&self, function: usize) -> String {
        format!("series-{function}")
    }
}

impl Series {
    /// Begins.
    pub fn new(plan: Plan) -> Self {
        let mut dice = Dice::new(plan.seed, "series");
        let functions = (0..plan.functions)
            .map(|at| {
                let name = plan.name(at);
                Function {
                    seconds: dice.lognormal(0.08, 0.9),
                    versions: ["1", "2"].map(|version| telling::function(&name, version, at as u32)),
                    name: name.into(),
                }
            })
            .collect();
        Self { plan, dice, functions, exports: BinaryHeap::new(), order: 0, now: START }
    }

    /// The time of the next run; `None` at the end. Runs are drawn at the pace of the busiest hour and left out by chance
    /// in all others.
    fn advance(&mut self) -> Option<u64> {
        let most = self.plan.per_minute / 60.0 * self.plan.functions as f64 * (1.0 + DAY);
        let end = START + nanos(self.plan.hours * 3_600.0);
        loop {
            self.now += nanos(self.dice.wait(most)).max(1);
            if self.now >= end {
                return None;
            }
            if self.dice.chance((1.0 + DAY * day(self.now)) / (1.0 + DAY)) {
                return Some(self.now);
            }
        }
    }

    fn run(&mut self, at: u64) {
        let place = self.dice.below(self.functions.len());
        let hours = (at - START) as f64 / 3.6e12;
        let slowdown = self.plan.slowdowns.iter().find(|slowdown| slowdown.function == place);
        let factor = slowdown.filter(|slowdown| slowdown.at <= hours).map_or(1.0, |slowdown| slowdown.factor);
        let is_new = slowdown.is_some_and(|slowdown| slowdown.is_deployed && slowdown.at - 1.0 / 12.0 <= hours);
        let dice = &mut self.dice;
        let function = &self.functions[place];
        let is_cold = dice.chance(COLD);
        let init = if is_cold { dice.lognormal(0.3, 0.4) } else { 0.0 };
        let seconds = dice.lognormal(function.seconds, SIGMA) * factor * (1.0 + SLOWER_BY_DAY * day(at)) + init;
        let by = Exporter {
            name: Arc::clone(&function.name),
            resource: Arc::clone(&function.versions[usize::from(is_new)]),
            skew: 0,
        };
        let end = at + nanos(seconds);
        let draft = Draft {
            by: &by,
            trace_id: dice.trace_id(),
            span_id: dice.span_id(),
            parent: None,
            kind: SpanKind::Server,
            start: at,
            end,
            error: false,
        };
        let mut attributes = Attributes::default();
        attributes.insert("faas.trigger", text("http"));
        if is_cold {
            attributes.insert("faas.coldstart", Value::Bool(true));
        }
        let span = render::span(&draft, format!("POST /{}", function.name), attributes, Vec::new());
        let arrival = end + nanos(dice.lognormal(EXPORT_DELAY, 0.5));
        self.order += 1;
        let export = Export { at: ArrivalTime(arrival), spans: vec![span] };
        self.exports.push(Timed { at: arrival, order: self.order, what: export });
    }
}

/// 1 at noon, -1 at midnight; the beginning is midnight.
fn day(at: u64) -> f64 {
    let days = (at - START) as f64 / 8.64e13;
    -(days * std::f64::consts::TAU).cos()
}

impl Iterator for Series {
    type Item = Export;

    fn next(&mut self) -> Option<Export> {
        while self.exports.peek().is_none_or(|export| export.at > self.now) {
            let Some(at) = self.advance() else { break };
            self.run(at);
        }
        Some(self.exports.pop()?.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slowdown_begins_when_it_is_planned() {
        let slowdown = Slowdown { function: 0, at: 2.0, factor: 3.0, is_deployed: true };
        let plan = Plan { seed: 1, functions: 2, hours: 4.0, per_minute: 20.0, slowdowns: vec![slowdown] };
        let (mut medians, mut last) = ([[Vec::new(), Vec::new()], [Vec::new(), Vec::new()]], 0);
        for export in Series::new(plan) {
            assert!(export.at.0 >= last);
            last = export.at.0;
            let span = &export.spans[0];
            let late = usize::from(span.start.0 - START >= nanos(7_200.0));
            let function = usize::from(&*span.name == "POST /series-1");
            medians[function][late].push(span.duration_nanos());
        }
        let ratio = |of: &mut [Vec<u64>; 2]| {
            let median = |values: &mut Vec<u64>| {
                values.sort_unstable();
                values[values.len() / 2] as f64
            };
            let [before, after] = of;
            median(after) / median(before)
        };
        assert!((ratio(&mut medians[0]) - 3.0).abs() < 0.4);
        assert!((ratio(&mut medians[1]) - 1.0).abs() < 0.15);
    }
}
