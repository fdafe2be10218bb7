//! How high the engine ranks the place that became slower, among all places of a system.

use loopscope_analyzer::snapshot::{Hotspot, HotspotCause, NodeId, Snapshot};
use rustc_hash::FxHashMap;

use crate::{
    dice::Dice,
    performance::{
        fault::{Fault, Kind},
        shares::Shares,
        simulator::{Change, mix},
        stream::Plan,
        system::{Spot, System},
        watched::Watched,
    },
};

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
    /// Requests of each root before and after, in the mean.
    pub requests: (f64, f64),
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
        let function = |id: NodeId| self.functions.get(&id).copied();
        let Some((source, target)) = found.edge else {
            let own = function(found.function)?;
            return Some(if found.cause == HotspotCause::ColdStart { Spot::ColdStart(own) } else { Spot::Own(own) });
        };
        if let Some(queue) = self.queues.get(&source) {
            return Some(Spot::Queue(*queue));
        }
        let source = function(source)?;
        // Why time is spent there is said apart from where: calls in a row are a store's or a function's all the same.
        let store = || self.stores.get(&target).map(|store| Spot::Store(source, *store));
        let queue = || self.queues.get(&target).map(|queue| Spot::Send(source, *queue));
        function(target).map(|target| Spot::Gap(source, target)).or_else(store).or_else(queue)
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

/// Requests of one root in a second.
const RATE: f64 = 1.0;

/// Systems that are drawn until one has a place that can fail so.
const TRIES: u64 = 32;

/// Runs the engine on one world; `None` when no system was found that can fail so.
pub fn run(world: World) -> Option<FaultScore> {
    (0..TRIES).find_map(|attempt| attempt_at(World { seed: mix(world.seed, attempt), ..world }))
}

fn attempt_at(world: World) -> Option<FaultScore> {
    let system = System::new(world.seed, world.size);
    let shares = Shares::new(&system, world.seed, LOOK);
    let mut dice = Dice::new(world.seed, "fault");
    let fault = Fault::new(world.kind, &system, &shares, &mut dice)?;
    let before = Plan {
        seed: world.seed,
        seconds: world.requests.0 / RATE,
        rate: RATE * system.roots.len() as f64,
        skew: if dice.chance(0.5) { 0.02 } else { 0.0 },
        has_links: dice.chance(0.5),
        change: Change::default(),
    };
    let change = Change { fault: Some(fault), speed: None };
    let after = Plan { seed: mix(world.seed, 1), seconds: world.requests.1 / RATE, change, ..before.clone() };
    let mut before = Watched::new(&system, before, |_| {});
    let mut after = Watched::new(&system, after, |_| {});
    let names = Names::new(&system, &after.engine.snapshot(after.end));
    let baseline = before.engine.aggregate_mut().baseline();
    let hotspots = after.engine.aggregate_mut().slower_than(&baseline).list;
    Some(FaultScore {
        kind: world.kind,
        seed: world.seed,
        size: world.size,
        candidates: system.spots().len(),
        share: shares.largest(fault.spot),
        rank: names.rank(&fault.culprits(), &hotspots),
        words: (system.words(fault.spot), hotspots.iter().take(3).map(|found| names.words(found)).collect()),
        spans: before.spans + after.spans,
    })
}
