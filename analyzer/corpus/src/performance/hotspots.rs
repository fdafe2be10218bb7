//! How high the engine ranks the place that became slower, among all places of a system.

use loopscope_analyzer::{
    config::Config,
    engine::Engine,
    snapshot::{Hotspot, HotspotCause, NodeId, Snapshot},
    span::ArrivalTime,
};
use rustc_hash::FxHashMap;

use crate::{
    dice::Dice,
    performance::{
        fault::{Fault, Kind},
        shares::Shares,
        simulator::{Change, mix},
        stream::{Plan, Stream},
        system::{Spot, System},
    },
    world::START,
};

/// Nanoseconds between two ticks of the engine.
const TICK: u64 = 1_000_000_000;

/// Nanoseconds after the last export in which all that is open is settled.
const SETTLED: u64 = 60_000_000_000;

/// Requests of the healthy system from which it is told what it waits for.
const LOOK: u64 = 1_000;

/// One system in which something goes wrong.
#[derive(Clone, Copy, Debug)]
pub struct World {
    /// Seed of the system, of what goes wrong and of all that happens.
    pub seed: u64,
    /// Functions.
    pub size: usize,
    /// What goes wrong.
    pub kind: Kind,
}

/// How the engine did on one of them.
#[derive(Clone, Debug)]
pub struct FaultScore {
    /// What went wrong.
    pub kind: Kind,
    /// The seed.
    pub seed: u64,
    /// Functions.
    pub size: usize,
    /// Places where time can go.
    pub candidates: usize,
    /// Part of the tail that the place carried before, at the root where it carried most.
    pub share: f64,
    /// How high the engine ranks the first of the places to blame; `None` when it lists none.
    pub rank: Option<usize>,
    /// What was to blame, and what the engine ranks first, in words.
    pub words: (String, Vec<String>),
    /// Spans taken in.
    pub spans: u64,
}

/// What the engine calls the places of a system.
pub struct Names<'a> {
    system: &'a System,
    functions: FxHashMap<NodeId, usize>,
    stores: FxHashMap<NodeId, usize>,
    queues: FxHashMap<NodeId, usize>,
}

impl<'a> Names<'a> {
    /// Learns the engine's ids by name.
    pub fn new(system: &'a System, snapshot: &Snapshot) -> Self {
        let by_name = |names: &mut dyn Iterator<Item = &str>| -> FxHashMap<String, usize> {
            names.enumerate().map(|(at, name)| (name.to_owned(), at)).collect()
        };
        let functions = by_name(&mut system.functions.iter().map(|function| &*function.name));
        let stores = by_name(&mut system.stores.iter().map(|store| &*store.name));
        let queues = by_name(&mut system.queues.iter().map(|queue| &*queue.name));
        let resources = |of: &FxHashMap<String, usize>| {
            snapshot.resources.iter().filter_map(|node| Some((node.id, *of.get(&*node.name)?))).collect()
        };
        Self {
            system,
            functions: snapshot
                .functions
                .iter()
                .filter_map(|node| Some((node.id, *functions.get(&*node.name)?)))
                .collect(),
            stores: resources(&stores),
            queues: resources(&queues),
        }
    }

    /// The place that the engine speaks of; `None` when the system has no such place.
    pub fn spot(&self, found: &Hotspot) -> Option<Spot> {
        let function = *self.functions.get(&found.function)?;
        match found.cause {
            HotspotCause::Own => Some(Spot::Own(function)),
            HotspotCause::Gap => Some(Spot::Gap(function, *self.functions.get(&found.edge?.1)?)),
            HotspotCause::Resource => {
                let resource = found.edge?.1;
                let store = self.stores.get(&resource).map(|store| Spot::Store(function, *store));
                store.or_else(|| self.queues.get(&resource).map(|queue| Spot::Send(function, *queue)))
            }
        }
    }

    /// How high the first of some places stands in the engine's list, from 1.
    pub fn rank(&self, of: &[Spot], hotspots: &[Hotspot]) -> Option<usize> {
        let found = hotspots.iter().position(|found| self.spot(found).is_some_and(|spot| of.contains(&spot)));
        found.map(|place| place + 1)
    }

    fn words(&self, found: &Hotspot) -> String {
        self.spot(found).map_or_else(
            || format!("{} ({}), no such place", found.name, found.cause.word()),
            |spot| self.system.words(spot),
        )
    }
}

/// Seconds before anything is wrong, and seconds in which it is.
const SECONDS: (f64, f64) = (1_800.0, 900.0);

/// Requests of one root in a second.
const RATE: f64 = 1.0;

/// Runs the engine on one world; `None` when the system has no place that can fail so.
pub fn run(world: World) -> Option<FaultScore> {
    let system = System::new(world.seed, world.size);
    let shares = Shares::new(&system, world.seed, LOOK);
    let mut dice = Dice::new(world.seed, "fault");
    let fault = Fault::new(world.kind, &system, &shares, &mut dice)?;
    let before = Plan {
        seed: world.seed,
        seconds: SECONDS.0,
        rate: RATE * system.roots.len() as f64,
        skew: if dice.chance(0.5) { 0.02 } else { 0.0 },
        has_links: dice.chance(0.5),
        change: Change::default(),
    };
    let change = Change { fault: Some(fault), speed: None };
    let after = Plan { seed: mix(world.seed, 1), seconds: SECONDS.1, change, ..before.clone() };
    let before = Watched::new(&system, before, |_| {});
    let mut after = Watched::new(&system, after, |_| {});
    let snapshot = after.engine.snapshot(after.end);
    let names = Names::new(&system, &snapshot);
    let hotspots = &snapshot.hotspots;
    Some(FaultScore {
        kind: world.kind,
        seed: world.seed,
        size: world.size,
        candidates: system.spots().len(),
        share: shares.largest(fault.spot),
        rank: names.rank(&fault.culprits(), hotspots),
        words: (system.words(fault.spot), hotspots.iter().take(3).map(|found| names.words(found)).collect()),
        spans: before.spans + after.spans,
    })
}

/// An engine that was fed with all that a plan tells.
pub(crate) struct Watched {
    pub(crate) engine: Engine,
    /// When nothing came any more, and all that was open was settled.
    pub(crate) end: ArrivalTime,
    pub(crate) spans: u64,
}

impl Watched {
    /// Runs a plan, with a tick of the engine each second; `prepare` tells the engine what no span does.
    pub(crate) fn new(system: &System, plan: Plan, prepare: impl FnOnce(&mut Engine)) -> Self {
        let mut engine = Engine::new(&Config::recommended(), 1);
        prepare(&mut engine);
        let (mut tick, mut spans, mut last) = (START + TICK, 0, START);
        for export in Stream::new(system, plan) {
            while tick <= export.at.0 {
                engine.tick(ArrivalTime(tick));
                tick += TICK;
            }
            spans += export.spans.len() as u64;
            last = export.at.0;
            engine.ingest(export.at, export.spans);
        }
        let end = last + SETTLED;
        while tick <= end {
            engine.tick(ArrivalTime(tick));
            tick += TICK;
        }
        Self { engine, end: ArrivalTime(end), spans }
    }
}
