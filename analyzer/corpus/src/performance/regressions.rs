//! Whether the engine tells what became slower, and with which version, and nothing else: series of durations span by
//! span, through an engine whose windows are kept and watched as the collector does.
//!
//! How often the sums over windows alone raise a false alarm is counted in `crate::regressions`.

use std::collections::BTreeSet;

use loopscope_analyzer::{
    config::Config,
    detect::change::{Change, Direction, Watch},
    engine::Engine,
    snapshot::NodeId,
    span::{ArrivalTime, Span},
    windows::Kept,
};
use rustc_hash::FxHashMap;

use crate::{
    dice::Dice,
    performance::series::{Plan, Series, Slowdown},
    world::START,
};

/// Nanoseconds between two ticks of the engine; what arrives between them is taken in together.
const TICK: u64 = 1_000_000_000;

/// Nanoseconds before a slowdown within which it may be said to have begun.
const EARLY: u64 = 600_000_000_000;

/// How many times as long functions take that become slower, in turn.
const FACTORS: [f64; 3] = [1.3, 1.5, 2.0];

/// Hours without any slowdown at the beginning and at the end.
const CALM: (f64, f64) = (2.0, 1.5);

/// What was told of some series.
#[derive(Clone, Debug, Default)]
pub struct ChangeScore {
    /// Series that were watched.
    pub series: usize,
    /// Hours.
    pub hours: f64,
    /// Each slowdown, and how it was told.
    pub slowdowns: Vec<Told>,
    /// Functions that were said to become slower and did not, in words.
    pub wrong: Vec<String>,
    /// Spans taken in.
    pub spans: u64,
}

/// How a slowdown was told.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// What happened.
    pub slowdown: Slowdown,
    /// Minutes until it was told; `None` when it was not.
    pub minutes: Option<f64>,
    /// The version that came with it was named; `None` when there was none and none was named.
    pub version: Option<bool>,
}

/// Watches so many functions for so many hours, a tenth of which become slower.
pub fn watched(seed: u64, functions: usize, hours: f64, per_minute: f64) -> ChangeScore {
    let mut dice = Dice::new(seed, "slowdowns");
    let slowdowns = (0..functions / 10).map(|at| Slowdown {
        function: at * 10 + dice.below(10),
        at: dice.uniform(CALM.0, hours - CALM.1),
        factor: FACTORS[at % FACTORS.len()],
        is_deployed: at % 2 == 0,
    });
    let plan = Plan { seed, functions, hours, per_minute, slowdowns: slowdowns.collect() };
    let mut watching = Watching::new();
    for export in Series::new(plan.clone()) {
        watching.tick_to(export.at.0);
        watching.gathered.extend(export.spans);
    }
    watching.tick_to(watching.tick + 120 * TICK);
    watching.score(&plan)
}

struct Watching {
    engine: Engine,
    kept: Kept,
    watch: Watch,
    gathered: Vec<Span>,
    tick: u64,
    spans: u64,
}

impl Watching {
    fn new() -> Self {
        Self {
            engine: Engine::new(&Config::recommended(), 1),
            kept: Kept::new(),
            watch: Watch::new(),
            gathered: Vec::new(),
            tick: START + TICK,
            spans: 0,
        }
    }

    fn tick_to(&mut self, at: u64) {
        while self.tick <= at {
            let now = ArrivalTime(self.tick);
            self.spans += self.gathered.len() as u64;
            self.engine.ingest(now, self.gathered.drain(..));
            self.engine.tick(now);
            for window in self.engine.aggregate_mut().take_closed() {
                self.kept.keep(&window);
                self.watch.take(&window, &self.kept);
            }
            self.tick += TICK;
        }
    }

    fn score(mut self, plan: &Plan) -> ChangeScore {
        let snapshot = self.engine.snapshot(ArrivalTime(self.tick));
        let names: FxHashMap<NodeId, &str> =
            snapshot.functions.iter().map(|function| (function.id, &*function.name)).collect();
        let slower: Vec<(&str, &Change)> = self
            .watch
            .changes()
            .filter(|change| change.direction == Direction::Regression)
            .map(|change| (names.get(&change.series.subject.function).copied().unwrap_or("?"), change))
            .collect();
        let slowdowns = plan.slowdowns.iter().map(|slowdown| told(plan, *slowdown, &slower)).collect();
        let is_right = |name: &str, change: &Change| {
            plan.slowdowns.iter().any(|slowdown| plan.name(slowdown.function) == name && is_of(change, *slowdown))
        };
        // Several aspects of one function are one message to people.
        let wrong: BTreeSet<String> = slower
            .iter()
            .filter(|(name, change)| !is_right(name, change))
            .map(|(name, change)| format!("{name} at {:.2} h", (change.found.0 - START) as f64 / 3.6e12))
            .collect();
        ChangeScore {
            series: self.watch.series(),
            hours: plan.hours,
            slowdowns,
            wrong: wrong.into_iter().collect(),
            spans: self.spans,
        }
    }
}

fn began(slowdown: Slowdown) -> u64 {
    START + (slowdown.at * 3.6e12) as u64
}

/// A function that became slower stays so: late is late, and not wrong.
fn is_of(change: &Change, slowdown: Slowdown) -> bool {
    change.since.0 + EARLY >= began(slowdown) && change.found.0 >= began(slowdown)
}

fn told(plan: &Plan, slowdown: Slowdown, slower: &[(&str, &Change)]) -> Told {
    let name = plan.name(slowdown.function);
    let first = slower
        .iter()
        .filter(|(known, change)| *known == name && is_of(change, slowdown))
        .min_by_key(|(_, change)| change.found);
    let version = first.and_then(|(_, change)| change.version.as_ref()).map(|(version, _)| &**version);
    Told {
        slowdown,
        minutes: first.map(|(_, change)| (change.found.0 - began(slowdown)) as f64 / 6e10),
        version: first.and_then(|_| match (slowdown.is_deployed, version) {
            (false, None) => None,
            (is_deployed, version) => Some(is_deployed && version == Some("2")),
        }),
    }
}
