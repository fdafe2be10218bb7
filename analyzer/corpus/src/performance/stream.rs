//! Runs a system for some time and hands out its telemetry in the order in which it arrives.
//!
//! What happens in each request is `simulator.rs`'s, how it is written `telling.rs`'s. What is true is handed out beside
//! the spans, never read from them.

use std::collections::BinaryHeap;

use loopscope_analyzer::{
    facts::FactRecord,
    span::{ArrivalTime, Span},
};

use crate::{
    dice::Dice,
    performance::{
        simulator::{Change, Simulator, Trace},
        system::System,
        telling::Teller,
    },
    truth::nanos,
    world::{Export, START, timed::Timed},
};

/// Seconds from the end of a run to the arrival of its spans, median.
const EXPORT_DELAY: f64 = 0.5;

/// Part of the exports that arrive twice.
const DUPLICATES: f64 = 0.03;

/// How a system is run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Seed of all that happens.
    pub seed: u64,
    /// Seconds after which no request comes.
    pub seconds: f64,
    /// Requests a second.
    pub rate: f64,
    /// Clocks of functions are off by up to this many seconds.
    pub skew: f64,
    /// Messages start new traces that link back.
    pub has_links: bool,
    /// What is different from the system as it was drawn.
    pub change: Change,
}

/// The telemetry of a system, in order of arrival.
pub struct Stream<'a> {
    plan: Plan,
    arrivals: Dice,
    delays: Dice,
    simulator: Simulator<'a>,
    teller: Teller<'a>,
    exports: BinaryHeap<Timed<Vec<Span>>>,
    facts: Vec<FactRecord>,
    order: u64,
    /// Number and time of the next request.
    next: Option<(u64, u64)>,
}

impl<'a> Stream<'a> {
    /// Begins to run a system.
    pub fn new(system: &'a System, plan: Plan) -> Self {
        let mut stream = Self {
            arrivals: Dice::new(plan.seed, "arrivals"),
            delays: Dice::new(plan.seed, "delays"),
            simulator: Simulator::new(system, plan.seed, plan.change),
            teller: Teller::new(system, plan.seed, plan.skew, plan.has_links),
            exports: BinaryHeap::new(),
            facts: Vec::new(),
            order: 0,
            next: Some((0, START)),
            plan,
        };
        stream.schedule(0, START);
        stream
    }

    fn schedule(&mut self, number: u64, last: u64) {
        let at = last + nanos(self.arrivals.wait(self.plan.rate)).max(1);
        self.next = (at < START + nanos(self.plan.seconds)).then_some((number, at));
    }

    /// The next request; `None` when there is none.
    fn request(&mut self) -> Option<Trace> {
        let (number, at) = self.next?;
        self.schedule(number + 1, at);
        let progress = (at - START) as f64 / nanos(self.plan.seconds).max(1) as f64;
        Some(self.simulator.trace(number, at, progress))
    }

    /// What platforms have said beside the spans since this was asked last.
    pub fn facts(&mut self) -> impl Iterator<Item = FactRecord> {
        self.facts.drain(..)
    }

    fn send(&mut self, trace: &Trace) {
        self.facts.extend(self.teller.facts(trace));
        for (end, spans) in self.teller.tell(trace) {
            let at = end + nanos(self.delays.lognormal(EXPORT_DELAY, 0.5));
            if self.delays.chance(DUPLICATES) {
                let again = at + nanos(self.delays.uniform(0.1, 5.0));
                self.push(again, spans.clone());
            }
            self.push(at, spans);
        }
    }

    fn push(&mut self, at: u64, what: Vec<Span>) {
        self.order += 1;
        self.exports.push(Timed { at, order: self.order, what });
    }
}

impl Iterator for Stream<'_> {
    type Item = Export;

    fn next(&mut self) -> Option<Export> {
        while let Some((_, at)) = self.next
            && self.exports.peek().is_none_or(|export| export.at > at)
        {
            let trace = self.request()?;
            self.send(&trace);
        }
        let Timed { at, what, .. } = self.exports.pop()?;
        Some(Export { at: ArrivalTime(at), spans: what })
    }
}

/// The requests of a plan without their spans: the same that a [`Stream`] of it tells of.
pub fn requests(system: &System, plan: Plan) -> impl Iterator<Item = Trace> {
    let mut stream = Stream::new(system, plan);
    std::iter::from_fn(move || stream.request())
}
