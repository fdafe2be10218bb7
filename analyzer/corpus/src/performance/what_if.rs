//! What a faster place would really buy: the same requests again with that place faster, and nothing else changed.
//!
//! How well the engine foretells it is told as Kendall's tau-b between what it says of the places and what comes true.

use loopscope_analyzer::{
    aggregate::roots::Wanted,
    snapshot::{Hotspots, NodeId, Snapshot},
    windows::Range,
};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::performance::{
    hotspots::Names,
    simulator::{Change, Trace},
    stream::{Plan, requests},
    system::{Spot, System},
    watched::Watched,
};

/// The times that places are said to take, as parts of what they take.
pub const SPEEDS: [f64; 2] = [0.9, 0.5];

/// Requests of each root: fewer than the engine keeps of one, so that both sides are about the same ones.
const REQUESTS: f64 = 1_500.0;

/// Requests of each root in a second.
const RATE: f64 = 1.0;

/// Hotspots that are asked for.
const LISTED: usize = 1_000;

/// How well the engine foretells what the places of one root buy.
#[derive(Clone, Debug)]
pub struct WhatIfScore {
    /// Functions of the system.
    pub size: usize,
    /// Name of the root's function.
    pub root: String,
    /// Its requests.
    pub requests: usize,
    /// Places that they wait for.
    pub places: usize,
    /// Kendall's tau-b for each of the [`SPEEDS`]; `None` when all places buy the same.
    pub tau: [Option<f64>; 2],
    /// Spans taken in, told once for a system.
    pub spans: u64,
}

/// Runs the engine on a system, and asks it about each root.
pub fn run(seed: u64, size: usize) -> Vec<WhatIfScore> {
    let system = System::new(seed, size);
    let plan = Plan {
        seed,
        seconds: REQUESTS / RATE,
        rate: RATE * system.roots.len() as f64,
        skew: 0.0,
        has_links: seed.is_multiple_of(2),
        change: Change::default(),
    };
    let mut watched = Watched::new(&system, plan.clone(), |_| {});
    let snapshot = watched.engine.snapshot(watched.end);
    let names = Names::new(&system, &snapshot);
    let mut scores: Vec<WhatIfScore> =
        (0..system.roots.len()).map(|root| score(&system, &plan, root, &snapshot, &names)).collect();
    scores.iter_mut().take(1).for_each(|score| score.spans = watched.spans);
    scores
}

fn score(system: &System, plan: &Plan, root: usize, snapshot: &Snapshot, names: &Names<'_>) -> WhatIfScore {
    let function = &system.functions[system.roots[root].function].name;
    let foretold = foretold(function, snapshot, names);
    let places = places(system, plan, root);
    let real = savings(system, plan, root, &places);
    let tau = [0, 1].map(|at| {
        // A place that the engine does not list buys nothing, as far as it says.
        let said = places.iter().map(|spot| foretold.get(spot).map_or(0.0, |saves| saves[at]));
        kendall(&said.zip(real.iter().map(|saved| saved[at])).collect::<Vec<_>>())
    });
    let requests = of_root(system, plan, root, None).count();
    WhatIfScore {
        size: system.functions.len(),
        root: function.to_string(),
        requests,
        places: places.len(),
        tau,
        spans: 0,
    }
}

/// What the engine says that each place of a root buys, milliseconds.
fn foretold(function: &str, snapshot: &Snapshot, names: &Names<'_>) -> FxHashMap<Spot, [f64; 2]> {
    let by_id: FxHashMap<NodeId, _> = snapshot.functions.iter().map(|node| (node.id, node.name.clone())).collect();
    let name = |id: NodeId| by_id.get(&id).cloned().unwrap_or_default();
    let asked = |wanted| -> Hotspots { snapshot.roots.hotspots(Range::ALL, wanted, LISTED, &name).unwrap_or_default() };
    let roots = asked(Wanted::All).roots;
    // Pipelines of messages begin at the same root, and end elsewhere.
    let own = roots.iter().find(|root| root.until.is_none() && *name(root.function) == *function);
    let Some(own) = own else { return FxHashMap::default() };
    let list = asked(Wanted::Id(own.id.0)).list;
    list.iter()
        .filter_map(|found| {
            let tail = found.tail.as_ref()?;
            Some((names.spot(found)?, [tail.saves_10_ms, tail.saves_50_ms]))
        })
        .collect()
}

/// What the 95th percentile of a root's requests would be lower by, seconds, if a place took this part of its time.
pub fn savings(system: &System, plan: &Plan, root: usize, spots: &[Spot]) -> Vec<[f64; 2]> {
    let before = p95(system, plan, root, None);
    spots.par_iter().map(|spot| SPEEDS.map(|speed| before - p95(system, plan, root, Some((*spot, speed))))).collect()
}

/// Places that the requests of a root wait for, those that take most of the time first.
pub fn places(system: &System, plan: &Plan, root: usize) -> Vec<Spot> {
    let mut waited: Vec<(Spot, u64)> = Vec::new();
    for (spot, nanos) in of_root(system, plan, root, None).flat_map(|trace| trace.critical) {
        match waited.iter_mut().find(|(known, _)| *known == spot) {
            Some((_, sum)) => *sum += nanos,
            None => waited.push((spot, nanos)),
        }
    }
    waited.sort_by_key(|(spot, nanos)| (std::cmp::Reverse(*nanos), *spot));
    waited.into_iter().map(|(spot, _)| spot).collect()
}

fn of_root(system: &System, plan: &Plan, root: usize, speed: Option<(Spot, f64)>) -> impl Iterator<Item = Trace> {
    let plan = Plan { change: Change { speed, ..plan.change }, ..plan.clone() };
    requests(system, plan).filter(move |trace| trace.root == root)
}

fn p95(system: &System, plan: &Plan, root: usize, speed: Option<(Spot, f64)>) -> f64 {
    let mut seconds: Vec<f64> = of_root(system, plan, root, speed).map(|trace| trace.duration() as f64 / 1e9).collect();
    seconds.sort_by(f64::total_cmp);
    // Between the two neighbours, because a step from one trace to the next says nothing of the place.
    let at = (seconds.len().max(1) - 1) as f64 * 0.95;
    let (low, part) = (at.floor() as usize, at.fract());
    match (seconds.get(low), seconds.get(low + 1)) {
        (Some(low), Some(high)) => low * (1.0 - part) + high * part,
        (Some(low), None) => *low,
        _ => 0.0,
    }
}

/// Kendall's tau-b of pairs: 1 when both sides have one order, -1 when they have opposite ones; ties are taken into
/// account (Kendall 1945). `None` when one side is all ties.
pub fn kendall(pairs: &[(f64, f64)]) -> Option<f64> {
    let (mut sum, mut left, mut right) = (0.0, 0.0, 0.0);
    for (at, (a, b)) in pairs.iter().enumerate() {
        for (c, d) in &pairs[at + 1..] {
            let (x, y) = (sign(a - c), sign(b - d));
            sum += x * y;
            left += x * x;
            right += y * y;
        }
    }
    (left > 0.0 && right > 0.0).then(|| sum / f64::sqrt(left * right))
}

fn sign(number: f64) -> f64 {
    if number == 0.0 { 0.0 } else { number.signum() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tau_is_one_for_one_order_and_counts_ties() {
        let same = [(1.0, 10.0), (2.0, 20.0), (3.0, 30.0)];
        assert_eq!(kendall(&same), Some(1.0));
        assert_eq!(kendall(&same.map(|(a, b)| (a, -b))), Some(-1.0));
        assert_eq!(kendall(&[(1.0, 1.0), (1.0, 2.0)]), None);
        // Five pairs in order, one tie on the left: 5 / sqrt(5 · 6).
        let tied = [(1.0, 1.0), (1.0, 2.0), (2.0, 3.0), (3.0, 4.0)];
        assert!((kendall(&tied).unwrap() - 5.0 / 30.0_f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn what_no_request_waits_for_buys_nothing() {
        let system = System::new(5, 30);
        let plan = Plan { seed: 5, seconds: 300.0, rate: 1.0, skew: 0.0, has_links: false, change: Change::default() };
        let places = places(&system, &plan, 0);
        let first = places[0];
        let other = system.spots().into_iter().find(|spot| !places.contains(spot)).unwrap();
        let saved = savings(&system, &plan, 0, &[first, other]);
        assert!(saved[0][1] > saved[0][0] && saved[0][0] > 0.0, "{saved:?}");
        assert_eq!(saved[1], [0.0, 0.0]);
    }
}
