//! The patterns that the engine finds in a system, in the words of the corpus.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use loopscope_analyzer::{
    config::Config,
    engine::Engine,
    facts::FunctionRule,
    snapshot::{Likeness, Patterns},
    span::ArrivalTime,
};

use super::{Found, Instance, Pattern, Planted};
use crate::{
    performance::{
        simulator::Change,
        stream::{Plan, Stream},
    },
    world::START,
};

/// Seconds that a system runs: longer than a function has to rest to be dead.
const SECONDS: f64 = 10.0 * 86_400.0;

/// Nanoseconds between two ticks of the engine, at least.
const TICK: u64 = 60_000_000_000;

/// Requests of each root, in the mean.
const REQUESTS: f64 = 100.0;

/// What was found in one system.
#[derive(Clone, Debug, Default)]
pub struct PatternScore {
    /// By pattern.
    pub found: BTreeMap<Pattern, Found>,
    /// What was missed or made up, in words.
    pub mistakes: Vec<String>,
    /// Functions that ran.
    pub functions: usize,
    /// Spans taken in.
    pub spans: u64,
}

/// Runs the engine on a system with so many blocks of each kind.
pub fn run(seed: u64, of_each: usize) -> PatternScore {
    let planted = Planted::new(seed, of_each);
    let plan = Plan {
        seed,
        seconds: SECONDS,
        rate: REQUESTS * planted.system.roots.len() as f64 / SECONDS,
        skew: 0.0,
        has_links: seed.is_multiple_of(2),
        change: Change::default(),
    };
    // Live, patterns are those of the running hour; in a capture, those of all of its time.
    let mut engine = Engine::new(&Config { is_capture: true, ..Config::recommended() }, 1);
    let names = planted.system.functions.iter().map(|function| &function.name).chain(&planted.idle);
    let rules = names.map(|name| FunctionRule { pattern: Arc::clone(name), ..FunctionRule::default() });
    engine.aggregate_mut().set_facts(Default::default(), rules.collect());
    let (mut last, mut tick, mut spans) = (START, START, 0);
    for export in Stream::new(&planted.system, plan) {
        last = export.at.0;
        if last >= tick {
            engine.tick(export.at);
            tick = last + TICK;
        }
        spans += export.spans.len() as u64;
        engine.ingest(export.at, export.spans);
    }
    engine.finish(ArrivalTime(last));
    let told = told(&engine.aggregate_mut().patterns());
    let mut score = PatternScore { functions: planted.system.functions.len(), spans, ..PatternScore::default() };
    for pattern in Pattern::ALL {
        score.found.insert(pattern, planted.score(pattern, &told));
    }
    score.mistakes = mistakes(&planted, &told);
    score
}

impl PatternScore {
    /// Adds another.
    pub fn merge(&mut self, other: Self) {
        for (pattern, found) in other.found {
            self.found.entry(pattern).or_default().add(found);
        }
        self.mistakes.extend(other.mistakes);
        self.functions += other.functions;
        self.spans += other.spans;
    }
}

fn told(patterns: &Patterns) -> BTreeSet<Instance> {
    let mut told = BTreeSet::new();
    let mut add = |pattern, names: &[&Arc<str>]| {
        told.insert(Instance { pattern, functions: names.iter().map(|name| Arc::clone(name)).collect() });
    };
    patterns.decorators.iter().for_each(|found| add(Pattern::Decorator, &[&found.function.name]));
    patterns.event_handlers.iter().for_each(|found| add(Pattern::EventHandler, &[&found.function.name]));
    patterns.fan_ins.iter().for_each(|found| add(Pattern::FanIn, &[&found.function.name]));
    patterns.routers.iter().for_each(|found| add(Pattern::Router, &[&found.function.name]));
    patterns.dead.iter().for_each(|found| add(Pattern::Dead, &[&found.name]));
    for found in &patterns.pipelines {
        let stages: Vec<&Arc<str>> = found.stages.iter().map(|stage| &stage.function.name).collect();
        add(Pattern::Pipeline, &stages);
    }
    for found in &patterns.fan_outs {
        found.children.iter().for_each(|child| add(Pattern::FanOut, &[&found.function.name, &child.name]));
    }
    for found in &patterns.kinds {
        match found.likeness {
            Likeness::Service => add(Pattern::ServiceLike, &[&found.function.name]),
            Likeness::Faas => add(Pattern::FaasLike, &[&found.function.name]),
            Likeness::Unclear => {}
        }
    }
    told
}

fn mistakes(planted: &Planted, told: &BTreeSet<Instance>) -> Vec<String> {
    let truth = &planted.truth;
    let words = |instance: &Instance| format!("{} | {}", instance.pattern.words(), instance.functions.join(" > "));
    let missed = truth.instances.difference(told).map(|instance| format!("missed | {}", words(instance)));
    let is_wrong = |instance: &&Instance| !truth.instances.contains(instance) && !truth.either.contains(instance);
    let wrong = told.iter().filter(is_wrong).map(|instance| format!("made up | {}", words(instance)));
    missed.chain(wrong).collect()
}
