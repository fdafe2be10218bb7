//! Runs the engine on a world and writes down when it said what.
//!
//! Whatever the engine holds a loop for is turned into one of a few [`Rule`]s: its own verdicts, and the simple rules
//! that it is compared with, which judge by the depth that the same engine has counted.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use loopscope_analyzer::{
    config::Config,
    engine::Engine,
    record::SpanKey,
    snapshot::{Assessment, Loop, LoopId, LoopState, Reason, Reproduction, Severity},
    span::{ArrivalTime, Span},
};
use rustc_hash::FxHashMap;

use crate::{
    truth::{LoopTruth, Truth, nanos},
    world::World,
};

/// Nanoseconds between two ticks when nothing has arrived for [`QUIET`].
const QUIET_TICK: u64 = 30_000_000_000;

/// Nanoseconds without a span after which ticks become rare.
const QUIET: u64 = 120_000_000_000;

/// Nanoseconds from the first runaway chain on in which the engine is looked at closely.
const CLOSE: u64 = 200_000_000_000;

/// Nanoseconds between two close looks.
const CLOSE_STEP: u64 = 1_000_000_000;

/// Exports that arrive within so many nanoseconds are ingested together, as a queue before the engine does.
const GATHER: u64 = 10_000_000;

const MINUTE: u64 = 60_000_000_000;

/// Confidence from which on the engine is sure of a cause.
const SURE: f32 = 0.9;

/// Invocations of a scenario from which on its R is compared.
const ESTIMATE_FROM: u64 = 100;

/// Nanoseconds between two comparisons of R.
const ESTIMATE_EACH: u64 = 60_000_000_000;

/// Nanoseconds after which causes are compared: longer than spans are late, shorter than the engine keeps them.
const COMPARE_AFTER: u64 = 480_000_000_000;

/// A rule by which a loop becomes an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The engine's own alarm.
    Alarm,
    /// The engine's own suspicion, alarms included.
    Suspect,
    /// So many laps.
    Fixed8,
    /// So many laps, where AWS stops a chain.
    Fixed16,
    /// So many laps.
    Fixed32,
    /// A cycle in the graph.
    Cycle,
}

/// What a rule said about one loop.
#[derive(Clone, Debug, Default)]
pub struct Track {
    is_on: bool,
    /// Each time it began to hold.
    pub risen: Vec<Moment>,
    /// When it first held at or after the first runaway chain.
    pub after_onset: Option<Moment>,
}

/// The state of a world when something was said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// When, nanoseconds since 1970 by the collector's clock.
    pub at: u64,
    /// Laps that the engine had counted.
    pub depth: u32,
    /// Runaway invocations that had begun.
    pub invocations: u64,
    /// Runaway invocations whose spans had arrived.
    pub arrived: u64,
    /// What they cost, US dollars.
    pub dollars: f64,
    /// What the engine named first as its reason.
    pub reason: Option<Reason>,
}

/// One loop as the engine has shown it.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// The engine's id.
    pub id: LoopId,
    /// Its functions in the engine's rotation.
    pub names: Vec<Arc<str>>,
    /// Place of the scenario that all its functions belong to.
    pub scenario: Option<usize>,
    /// The deepest it has been.
    pub max_depth: u32,
    /// By rule, in the order of [`Rule::ALL`].
    pub tracks: [Track; Rule::ALL.len()],
    /// What the engine took R for, now and then, while it was one number.
    pub estimates: Vec<Reproduction>,
    estimated_at: u64,
}

/// Causes that the engine found, compared with the true ones.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Edges {
    /// Found and true.
    pub right: u64,
    /// Found and not true.
    pub wrong: u64,
    /// True, with both sides exported, and not found.
    pub missed: u64,
    /// Of those that are right, those that the engine is sure of.
    pub surely_right: u64,
    /// Of those that are wrong, those that the engine is sure of.
    pub surely_wrong: u64,
}

/// What came of one world.
#[derive(Debug)]
pub struct Outcome {
    /// What is true.
    pub truth: Truth,
    /// What the engine has shown, by id.
    pub sightings: Vec<Sighting>,
    /// Nanoseconds in which the engine was left to learn.
    pub history: u64,
    /// Causes, by scenario.
    pub edges: Vec<Edges>,
    /// Invocations of its functions that the engine counted in the end, by scenario.
    pub counted: Vec<u64>,
    /// Seconds of virtual time.
    pub seconds: f64,
    /// Spans taken in.
    pub spans: u64,
    /// Time that the engine took.
    pub engine_time: Duration,
}

impl Edges {
    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        self.right += other.right;
        self.wrong += other.wrong;
        self.missed += other.missed;
        self.surely_right += other.surely_right;
        self.surely_wrong += other.surely_wrong;
    }
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Alarm, Self::Suspect, Self::Fixed8, Self::Fixed16, Self::Fixed32, Self::Cycle];

    /// The words for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Alarm => "Loopscope",
            Self::Suspect => "Loopscope, suspicions too",
            Self::Fixed8 => "fixed 8",
            Self::Fixed16 => "fixed 16",
            Self::Fixed32 => "fixed 32",
            Self::Cycle => "cycle in the graph",
        }
    }

    fn holds(self, found: &Loop) -> bool {
        let is_open = found.state != LoopState::Closed;
        match self {
            Self::Alarm => found.severity >= Severity::Warning && is_open,
            Self::Suspect => {
                (found.assessment >= Assessment::Suspect || found.severity >= Severity::Warning) && is_open
            }
            Self::Fixed8 => found.max_depth >= 8 && is_open,
            Self::Fixed16 => found.max_depth >= 16 && is_open,
            Self::Fixed32 => found.max_depth >= 32 && is_open,
            Self::Cycle => true,
        }
    }
}

struct Watch {
    engine: Engine,
    scenarios: FxHashMap<String, usize>,
    sightings: FxHashMap<LoopId, Sighting>,
    edges: Vec<Edges>,
    compared: usize,
    compared_at: u64,
}

/// Runs an engine on a world to its end.
pub fn run(mut world: World, config: &Config) -> Outcome {
    let began = crate::world::START;
    let functions = world.truth().loops.iter().enumerate().flat_map(|(at, _)| {
        let scenario = &world.plan().scenarios[at];
        (0..scenario.flow.nodes.len()).map(move |node| (scenario.function(node), at))
    });
    let mut watch = Watch {
        engine: Engine::new(config, 1),
        scenarios: functions.collect(),
        sightings: FxHashMap::default(),
        edges: vec![Edges::default(); world.truth().loops.len()],
        compared: 0,
        compared_at: began,
    };
    let (mut spans, mut engine_time, mut last) = (0_u64, Duration::ZERO, began);
    let pace = Pace::new(&world);
    let mut tick = began + pace.step(began);
    let mut gathered: Vec<Span> = Vec::new();
    let mut gathering = began;
    while let Some(export) = world.next() {
        let start = Instant::now();
        let at = export.at.0;
        if at >= gathering + GATHER || at >= tick {
            watch.engine.ingest(ArrivalTime(last), gathered.drain(..));
            gathering = at;
        }
        while tick <= at {
            watch.tick(tick, world.truth());
            let step = pace.step(tick);
            tick += if tick > last + QUIET { QUIET_TICK.min(at.saturating_sub(tick).max(step)) } else { step };
        }
        last = at;
        spans += export.spans.len() as u64;
        gathered.extend(export.spans);
        engine_time += start.elapsed();
    }
    watch.engine.ingest(ArrivalTime(last), gathered);
    let end = last + nanos(60.0);
    while tick <= end {
        watch.tick(tick, world.truth());
        tick += pace.step(tick);
    }
    watch.compare(u64::MAX, world.truth());
    let mut sightings: Vec<Sighting> = watch.sightings.into_values().collect();
    sightings.sort_by_key(|sighting| sighting.id);
    let seconds = (end - began) as f64 / 1e9;
    let mut counted = vec![0; world.truth().loops.len()];
    for function in watch.engine.snapshot(ArrivalTime(end)).functions {
        if let Some(scenario) = watch.scenarios.get(&*function.name) {
            counted[*scenario] += function.invocations;
        }
    }
    Outcome {
        truth: world.truth().clone(),
        sightings,
        history: nanos(world.plan().history),
        edges: watch.edges,
        counted,
        seconds,
        spans,
        engine_time,
    }
}

/// How closely the engine is looked at: each second while something has begun to run away, and as the plan says before
/// and after.
struct Pace {
    onsets: Vec<u64>,
    rest: u64,
}

impl Pace {
    fn new(world: &World) -> Self {
        let mut onsets: Vec<u64> = world.truth().loops.iter().filter_map(|found| found.t0).collect();
        onsets.sort_unstable();
        Self { onsets, rest: nanos(world.plan().tick) }
    }

    fn step(&self, at: u64) -> u64 {
        let begun = self.onsets.partition_point(|onset| *onset <= at);
        let is_close = begun.checked_sub(1).is_some_and(|last| at - self.onsets[last] < CLOSE);
        if is_close { self.rest.min(CLOSE_STEP) } else { self.rest }
    }
}

impl Watch {
    fn tick(&mut self, at: u64, truth: &Truth) {
        self.engine.tick(ArrivalTime(at));
        // Storms of retries stand among the loops, but nothing goes round in them.
        for found in self.engine.loops().into_iter().filter(|found| found.retry_storm.is_none()) {
            self.see(at, found, truth);
        }
        if at >= self.compared_at + MINUTE {
            self.compared_at = at;
            self.compare(at.saturating_sub(COMPARE_AFTER), truth);
        }
    }

    fn see(&mut self, at: u64, found: Loop, truth: &Truth) {
        let scenarios = &self.scenarios;
        let sighting = self.sightings.entry(found.id).or_insert_with(|| Sighting {
            id: found.id,
            scenario: scenario_of(&found.names, scenarios),
            names: found.names.clone(),
            max_depth: 0,
            tracks: Default::default(),
            estimates: Vec::new(),
            estimated_at: 0,
        });
        sighting.max_depth = sighting.max_depth.max(found.max_depth);
        let true_loop = sighting.scenario.map(|scenario| &truth.loops[scenario]);
        let runaway = true_loop.map(|true_loop| true_loop.runaway).unwrap_or_default();
        let arrived = true_loop.map_or(0, |true_loop| true_loop.arrived);
        if let (Some(true_loop), Some(found)) = (true_loop, found.reproduction) {
            sighting.estimate(at, true_loop, found);
        }
        let is_runaway = true_loop.is_some_and(|true_loop| true_loop.is_runaway_at(at));
        for (rule, track) in Rule::ALL.into_iter().zip(&mut sighting.tracks) {
            let is_on = rule.holds(&found);
            let moment = Moment {
                at,
                depth: found.max_depth,
                invocations: runaway.invocations,
                arrived,
                dollars: runaway.dollars,
                reason: found.reasons.first().copied(),
            };
            if is_on && !track.is_on {
                track.risen.push(moment);
            }
            if is_on && is_runaway && track.after_onset.is_none() {
                track.after_onset = Some(moment);
            }
            track.is_on = is_on;
        }
    }

    /// Compares the causes of the invocations that began before `until`.
    fn compare(&mut self, until: u64, truth: &Truth) {
        while let Some(entry) = truth.entries.get(self.compared).filter(|entry| entry.start < until) {
            self.compared += 1;
            if !entry.is_seen {
                continue;
            }
            let key = SpanKey::new(entry.trace_id, entry.span_id);
            let mut parents =
                entry.parents.iter().map(|at| &truth.entries[*at]).filter(|parent| parent.is_seen).peekable();
            let edges = &mut self.edges[entry.scenario];
            let has_parent = parents.peek().is_some();
            match self.engine.linker().cause_of(key) {
                Some((cause, confidence))
                    if parents.any(|parent| SpanKey::new(parent.trace_id, parent.span_id) == cause) =>
                {
                    edges.right += 1;
                    edges.surely_right += u64::from(confidence >= SURE);
                }
                Some((_, confidence)) => {
                    edges.wrong += 1;
                    edges.surely_wrong += u64::from(confidence >= SURE);
                    edges.missed += u64::from(has_parent);
                }
                None => edges.missed += u64::from(has_parent),
            }
        }
    }
}

impl Sighting {
    /// Writes down what R is taken for: each minute, from the time on when there is something to go by.
    fn estimate(&mut self, at: u64, truth: &LoopTruth, found: Reproduction) {
        let is_running = truth.all.invocations >= ESTIMATE_FROM && truth.all.invocations < truth.most_invocations;
        if truth.is_uniform && is_running && at >= self.estimated_at + ESTIMATE_EACH {
            self.estimated_at = at;
            self.estimates.push(found);
        }
    }
}

fn scenario_of(names: &[Arc<str>], scenarios: &FxHashMap<String, usize>) -> Option<usize> {
    let first = *scenarios.get(names.first()?.as_ref())?;
    names.iter().all(|name| scenarios.get(name.as_ref()) == Some(&first)).then_some(first)
}
