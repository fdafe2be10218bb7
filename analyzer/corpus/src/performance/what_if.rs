//! What a faster place would really buy: the same requests again with that place faster, and nothing else changed.
//!
//! The engine sees some requests, and says what a faster place would buy. Many others are run twice, once with the place
//! faster: by how much the 95th percentile of so many requests is then expected to fall is what comes true. How well it is
//! foretold is Kendall's tau-b over the places.

use loopscope_analyzer::{
    aggregate::roots::Wanted,
    detect::hotspot::Calls,
    measured::Measured,
    snapshot::{Hotspots, NodeId, Snapshot},
    windows::Range,
};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::{
    performance::{
        hotspots::Names,
        simulator::{Change, Simulator, Trace, mix},
        stream::{Plan, requests},
        system::{Spot, System},
        watched::Watched,
    },
    truth::nanos,
};

/// The times that places are said to take, as parts of what they take.
pub const SPEEDS: [f64; 2] = [0.9, 0.5];

/// Requests of each root that the engine sees: fewer than it keeps of one, so that it is told by all of them.
const REQUESTS: f64 = 1_500.0;

/// Requests of each root that are run again with each place faster. Two halves of them rank places alike; two times as many
/// as the engine sees do not (a tau of 0.67).
const RUN_AGAIN: usize = 60_000;

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
    /// The same between two halves of the requests that were run again: how much of the order is not by chance.
    pub halves: [Option<f64>; 2],
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
    // Nothing of what the engine saw is run again: what it says is of the requests to come.
    let real = [1, 2].map(|half| savings(system, mix(plan.seed, half), root, RUN_AGAIN / 2, &places));
    let mean = |spot: usize, at: usize| f64::midpoint(real[0][spot][at], real[1][spot][at]);
    let of_pairs = |pair: &dyn Fn(usize) -> (f64, f64)| kendall(&(0..places.len()).map(pair).collect::<Vec<_>>());
    // A place that the engine does not list buys nothing, as far as it says.
    let said = |spot: usize, at: usize| foretold.get(&places[spot]).map_or(0.0, |saves| saves[at]);
    let tau = [0, 1].map(|at| of_pairs(&|spot| (said(spot, at), mean(spot, at))));
    let halves = [0, 1].map(|at| of_pairs(&|spot| (real[0][spot][at], real[1][spot][at])));
    let requests = of_root(system, plan, root).count();
    WhatIfScore {
        size: system.functions.len(),
        root: function.to_string(),
        requests,
        places: places.len(),
        tau,
        halves,
        spans: 0,
    }
}

/// What the engine says that each place of a root buys, milliseconds.
fn foretold(function: &str, snapshot: &Snapshot, names: &Names<'_>) -> FxHashMap<Spot, [f64; 2]> {
    let by_id: FxHashMap<NodeId, _> = snapshot.functions.iter().map(|node| (node.id, node.name.clone())).collect();
    let name = |id: NodeId| by_id.get(&id).cloned().unwrap_or_default();
    let none = Measured::default();
    let calls = Calls { current: &none, before: &none };
    let asked =
        |wanted| -> Hotspots { snapshot.roots.hotspots(Range::ALL, wanted, LISTED, calls, &name).unwrap_or_default() };
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

/// What the 95th percentile of a root's requests would be lower by, seconds, if a place took these parts of its time: told
/// by so many requests that are drawn from this seed.
pub fn savings(system: &System, seed: u64, root: usize, requests: usize, spots: &[Spot]) -> Vec<[f64; 2]> {
    let known = Known::new(system, seed, root, requests);
    spots.par_iter().map(|spot| SPEEDS.map(|speed| known.saving(*spot, speed))).collect()
}

/// A request as it was run first.
struct Request {
    seconds: f64,
    number: u64,
    /// What it waits for, nanoseconds.
    critical: Vec<(Spot, u64)>,
}

/// Requests of a root of which it is known how long they take.
struct Known<'a> {
    system: &'a System,
    seed: u64,
    /// The shortest first.
    requests: Vec<Request>,
    expected: Expected,
    p95: f64,
}

impl<'a> Known<'a> {
    fn new(system: &'a System, seed: u64, root: usize, count: usize) -> Self {
        let (mut simulator, roots) =
            (Simulator::new(system, seed, Change::default()), Simulator::new(system, seed, Change::default()));
        let mut requests: Vec<Request> = Vec::with_capacity(count);
        for number in (0..).filter(|number| roots.root(*number) == root).take(count) {
            let trace = simulator.trace(number, time_of(number), 0.0);
            requests.push(Request { seconds: seconds(&trace), number, critical: trace.critical });
        }
        requests.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        let expected = Expected::new(count);
        let p95 = expected.of(requests.iter().map(|request| request.seconds));
        Self { system, seed, requests, expected, p95 }
    }

    /// By how much the percentile falls if a place takes this part of its time.
    fn saving(&self, spot: Spot, speed: f64) -> f64 {
        // A request loses no more than that part of what it waits for there, and nothing if it does not wait: so only those
        // that may come to lie around the percentile have to be run.
        let least = |request: &Request| request.seconds - (1.0 - speed) * request.waits(spot).unwrap_or(0.0);
        let mut leasts: Vec<f64> = self.requests.iter().map(least).collect();
        leasts.sort_by(f64::total_cmp);
        let (from, to) = (leasts[self.expected.first], self.requests[self.expected.last].seconds);
        let mut simulator = Simulator::new(self.system, self.seed, Change { fault: None, speed: Some((spot, speed)) });
        let mut after: Vec<f64> = self
            .requests
            .iter()
            .map(|request| {
                let may_matter = request.waits(spot).is_some() && request.seconds >= from && least(request) <= to;
                if may_matter { request.again(&mut simulator) } else { request.seconds }
            })
            .collect();
        after.sort_by(f64::total_cmp);
        self.p95 - self.expected.of(after.into_iter())
    }
}

impl Request {
    /// How long it waits for a place, seconds; `None` when it does not.
    fn waits(&self, spot: Spot) -> Option<f64> {
        self.critical.iter().find(|(known, _)| *known == spot).map(|(_, nanos)| *nanos as f64 / 1e9)
    }

    fn again(&self, simulator: &mut Simulator<'_>) -> f64 {
        seconds(&simulator.trace(self.number, time_of(self.number), 0.0))
    }
}

fn seconds(trace: &Trace) -> f64 {
    trace.duration() as f64 / 1e9
}

/// Requests of a truth come one second after the other.
fn time_of(number: u64) -> u64 {
    nanos(number as f64)
}

/// The 95th percentile that [`REQUESTS`] requests are expected to have, from more of them: each rank counts as probable as
/// it is that theirs lies there (Harrell and Davis 1982). That of one sample moves by what a single request does, and so
/// says little of a place that buys little.
struct Expected {
    /// The first of the ranks that count, and the last.
    first: usize,
    last: usize,
    weights: Vec<f64>,
}

impl Expected {
    fn new(count: usize) -> Self {
        let (a, b) = ((REQUESTS + 1.0) * 0.95, (REQUESTS + 1.0) * 0.05);
        let density = |rank: usize| {
            let at = (rank as f64 + 0.5) / count as f64;
            (a - 1.0) * (at / 0.95).ln() + (b - 1.0) * ((1.0 - at) / 0.05).ln()
        };
        // Less than one part in ten million of the largest counts for nothing.
        let counts = |rank: &usize| density(*rank) > -16.0;
        let ranks: Vec<usize> = (0..count).filter(counts).collect();
        let all: f64 = ranks.iter().map(|rank| density(*rank).exp()).sum();
        Self {
            first: ranks.first().copied().unwrap_or_default(),
            last: ranks.last().copied().unwrap_or_default(),
            weights: ranks.iter().map(|rank| density(*rank).exp() / all).collect(),
        }
    }

    fn of(&self, ascending: impl Iterator<Item = f64>) -> f64 {
        self.weights.iter().zip(ascending.skip(self.first)).map(|(weight, value)| weight * value).sum()
    }
}

/// Places that the requests of a root wait for, those that take most of the time first.
pub fn places(system: &System, plan: &Plan, root: usize) -> Vec<Spot> {
    let mut waited: Vec<(Spot, u64)> = Vec::new();
    for (spot, nanos) in of_root(system, plan, root).flat_map(|trace| trace.critical) {
        match waited.iter_mut().find(|(known, _)| *known == spot) {
            Some((_, sum)) => *sum += nanos,
            None => waited.push((spot, nanos)),
        }
    }
    waited.sort_by_key(|(spot, nanos)| (std::cmp::Reverse(*nanos), *spot));
    waited.into_iter().map(|(spot, _)| spot).collect()
}

fn of_root(system: &System, plan: &Plan, root: usize) -> impl Iterator<Item = Trace> {
    requests(system, plan.clone()).filter(move |trace| trace.root == root)
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
        let saved = savings(&system, 5, 0, 300, &[first, other]);
        assert!(saved[0][1] > saved[0][0] && saved[0][0] > 0.0, "{saved:?}");
        assert_eq!(saved[1], [0.0, 0.0]);
    }

    #[test]
    fn what_is_not_run_again_would_not_matter() {
        let system = System::new(7, 30);
        let known = Known::new(&system, 7, 1, 500);
        let all: Vec<f64> = known.requests.iter().map(|request| request.seconds).collect();
        for spot in system.spots().into_iter().step_by(9) {
            let change = Change { fault: None, speed: Some((spot, 0.5)) };
            let mut simulator = Simulator::new(&system, 7, change);
            let mut after: Vec<f64> = known.requests.iter().map(|request| request.again(&mut simulator)).collect();
            after.sort_by(f64::total_cmp);
            let saved = known.expected.of(all.iter().copied()) - known.expected.of(after.into_iter());
            assert!((known.saving(spot, 0.5) - saved).abs() < 1e-7, "{}", system.words(spot));
        }
    }
}
