//! A world in virtual time: what its functions do, and the telemetry in the order in which it arrives.
//!
//! A [`World`] is an iterator of exports. It runs the functions event by event and holds each export back until its
//! time has come, so a world of any length takes little memory. What is true is counted beside it, never read from the
//! spans. What one invocation does is `world/run.rs`, how it is written as spans `render.rs`.

mod run;
pub(crate) mod timed;

use std::{collections::BinaryHeap, sync::Arc};

use loopscope_analyzer::span::{ArrivalTime, Span, TraceId};
use rustc_hash::FxHashMap;
use smallvec::{SmallVec, smallvec};

use timed::Timed;

use crate::{
    background::Background,
    dice::Dice,
    knobs::Knobs,
    render::{self, Exporter, Sent, Start},
    scenario::{Remaining, Scenario, Stream},
    truth::{LoopTruth, Truth, nanos},
};

/// When worlds begin: nanoseconds since 1970.
pub const START: u64 = 1_700_000_000_000_000_000;

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Seed of everything in it.
    pub seed: u64,
    /// How its telemetry arrives.
    pub knobs: Knobs,
    /// What is to be found in it, and what is not.
    pub scenarios: Vec<Scenario>,
    /// Functions that do nothing remarkable.
    pub background_functions: usize,
    /// Their invocations a second.
    pub background_rate: f64,
    /// Seconds after which nothing new begins.
    pub seconds: f64,
    /// Each invocation of a scenario is written down.
    pub keeps_entries: bool,
    /// Seconds in which the engine may learn; incidents until then are counted apart.
    pub history: f64,
    /// Seconds between two looks at the engine where nothing has begun to run away.
    pub tick: f64,
}

/// Spans of one request of an exporter.
#[derive(Clone, Debug)]
pub struct Export {
    /// When it arrives.
    pub at: ArrivalTime,
    /// In the order in which they were written.
    pub spans: Vec<Span>,
}

/// A world that is running.
pub struct World {
    plan: Plan,
    dice: Dice,
    functions: Vec<Vec<Function>>,
    background: Option<Background>,
    events: BinaryHeap<Timed<Event>>,
    exports: BinaryHeap<Timed<Outgoing>>,
    queues: FxHashMap<(usize, usize), Vec<Message>>,
    next: u64,
    truth: Truth,
}

struct Function {
    exporter: Exporter,
    deployed: Exporter,
    /// Where calls of it go, by way.
    queue: Arc<str>,
    bucket: Arc<str>,
    table: Arc<str>,
}

enum Event {
    Run(Box<Task>),
    Enter { scenario: usize, is_runaway: bool },
    Flush { scenario: usize, node: usize },
    Background,
}

struct Task {
    scenario: usize,
    node: usize,
    start: Start,
    messages: SmallVec<[Message; 1]>,
    request: Arc<str>,
    fails: bool,
    calls_on: bool,
}

#[derive(Clone)]
struct Message {
    sent: Option<Sent>,
    parent: Option<usize>,
    laps: u32,
    remaining: Remaining,
    conversation: Option<Arc<str>>,
    is_runaway: bool,
}

struct Outgoing {
    spans: Vec<Span>,
    /// The scenario, when this is the first export of a runaway invocation of one.
    counts_for: Option<usize>,
}

impl World {
    /// Begins a world.
    pub fn new(plan: Plan) -> Self {
        let mut dice = Dice::new(plan.seed, "world");
        let skew = nanos(plan.knobs.clock_skew) as f64;
        let functions: Vec<Vec<Function>> = plan
            .scenarios
            .iter()
            .map(|scenario| {
                (0..scenario.flow.nodes.len())
                    .map(|at| {
                        let memory = scenario.flow.nodes[at].memory_mb;
                        Function::new(&scenario.function(at), memory, dice.uniform(-skew, skew) as i64)
                    })
                    .collect()
            })
            .collect();
        let truth = Truth {
            loops: plan.scenarios.iter().map(|scenario| LoopTruth::new(scenario, START)).collect(),
            entries: Vec::new(),
        };
        let background = (plan.background_rate > 0.0).then(|| {
            Background::new(plan.seed, plan.background_functions, plan.background_rate, plan.knobs.context, skew)
        });
        let mut world = Self {
            dice,
            functions,
            background,
            events: BinaryHeap::new(),
            exports: BinaryHeap::new(),
            queues: FxHashMap::default(),
            next: 0,
            truth,
            plan,
        };
        for scenario in 0..world.plan.scenarios.len() {
            world.enter_next(scenario, false, None);
            world.enter_next(scenario, true, None);
        }
        if world.background.is_some() {
            world.schedule(START, Event::Background);
        }
        world
    }

    /// What is true up to the last export that was taken.
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    /// What the world is made of.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    fn schedule(&mut self, at: u64, what: Event) {
        self.next += 1;
        self.events.push(Timed { at, order: self.next, what });
    }

    fn happen(&mut self, at: u64, event: Event) {
        match event {
            Event::Run(task) => self.run(at, &task),
            Event::Enter { scenario, is_runaway } => self.enter(at, scenario, is_runaway),
            Event::Flush { scenario, node } => self.flush(at, scenario, node),
            Event::Background => self.run_background(at),
        }
    }

    fn stream(&self, scenario: usize, is_runaway: bool) -> Option<Stream> {
        let scenario = &self.plan.scenarios[scenario];
        if is_runaway { scenario.runaway } else { scenario.benign }
    }

    fn enter_next(&mut self, scenario: usize, is_runaway: bool, last: Option<f64>) {
        let Some(stream) = self.stream(scenario, is_runaway) else { return };
        if let Some(at) = stream.arrivals.next(last, &mut self.dice).filter(|at| *at < self.plan.seconds) {
            self.schedule(START + nanos(at), Event::Enter { scenario, is_runaway });
        }
    }

    fn enter(&mut self, at: u64, scenario: usize, is_runaway: bool) {
        let Some(stream) = self.stream(scenario, is_runaway) else { return };
        let remaining = stream.law.enter(&mut self.dice);
        let trigger = self.plan.scenarios[scenario].flow.nodes[0].trigger;
        let conversation = self.plan.scenarios[scenario].names_conversation.then(|| self.dice.uuid().into());
        let message = Message { sent: None, parent: None, laps: 0, remaining, conversation, is_runaway };
        let task = Task {
            scenario,
            node: 0,
            start: Start::Outside(trigger),
            messages: smallvec![message],
            request: self.dice.uuid().into(),
            fails: false,
            calls_on: true,
        };
        self.run(at, &task);
        self.enter_next(scenario, is_runaway, Some((at - START) as f64 / 1e9));
    }

    fn run_background(&mut self, at: u64) {
        let Some(mut background) = self.background.take() else { return };
        for (end, spans) in background.trace(at) {
            self.export(end, spans, None);
        }
        let next = at + background.wait();
        self.background = Some(background);
        if next < START + nanos(self.plan.seconds) {
            self.schedule(next, Event::Background);
        }
    }

    /// Sends the spans of an invocation to the collector; false when they never arrive.
    fn export(&mut self, end: u64, mut spans: Vec<Span>, counts_for: Option<usize>) -> bool {
        let knobs = &self.plan.knobs;
        if knobs.sampling < 1.0 {
            spans.iter_mut().for_each(|span| span.sampling = Some(knobs.sampling as f32));
        }
        let is_kept = spans.first().is_some_and(|span| is_sampled(span.trace_id, knobs.sampling));
        if !is_kept || self.dice.chance(knobs.loss) {
            return false;
        }
        let at = end + nanos(knobs.export_delay.draw(&mut self.dice));
        if self.dice.chance(knobs.duplicates) {
            let again = at + nanos(self.dice.uniform(0.1, 5.0));
            self.next += 1;
            self.exports.push(Timed {
                at: again,
                order: self.next,
                what: Outgoing { spans: spans.clone(), counts_for: None },
            });
        }
        self.next += 1;
        self.exports.push(Timed { at, order: self.next, what: Outgoing { spans, counts_for } });
        true
    }
}

impl Iterator for World {
    type Item = Export;

    fn next(&mut self) -> Option<Export> {
        loop {
            let event = self.events.peek().map(|event| event.at);
            match (event, self.exports.peek().map(|export| export.at)) {
                (Some(event), Some(export)) if export <= event => break,
                (None, _) => break,
                _ => {}
            }
            let event = self.events.pop()?;
            self.happen(event.at, event.what);
        }
        let Timed { at, what: Outgoing { spans, counts_for }, .. } = self.exports.pop()?;
        if let Some(scenario) = counts_for {
            self.truth.loops[scenario].arrived += 1;
        }
        Some(Export { at: ArrivalTime(at), spans })
    }
}

/// True when a trace is kept: the last seven bytes of its id are the randomness, as consistent sampling has it.
pub fn is_sampled(trace_id: TraceId, probability: f64) -> bool {
    let mut bytes = [0; 8];
    bytes[1..].copy_from_slice(&trace_id.0[9..]);
    let threshold = (1.0 - probability) * (1_u64 << 56) as f64;
    u64::from_be_bytes(bytes) as f64 >= threshold
}

impl Function {
    fn new(name: &str, memory_mb: u32, skew: i64) -> Self {
        let exporter =
            |version| Exporter { name: name.into(), resource: render::resource(name, version, memory_mb), skew };
        Self {
            exporter: exporter("1"),
            deployed: exporter("2"),
            queue: format!("{name}-queue").into(),
            bucket: format!("{name}-bucket").into(),
            table: format!("{name}-table").into(),
        }
    }
}

#[cfg(test)]
mod tests;
