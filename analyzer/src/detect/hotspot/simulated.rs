//! A small simulator of traces with parallel branches, and how well the ranking predicts what it measures when a place is
//! really made faster.

use std::collections::BTreeMap;

use super::{
    ranking::{self, Ranked},
    tail::{Seen, Tail},
};
use crate::{
    aggregate::roots::RootKey,
    record::{Piece, Place, TraceProfile},
    snapshot::{NodeId, TailPart},
    span::{EventTime, TraceId},
};

/// Numbers that look random and are the same in each run (splitmix64).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    pub(crate) fn lognormal(&mut self, median: f64, sigma: f64) -> f64 {
        median * (sigma * self.normal()).exp()
    }
}

/// A function of a simulated system: its own work, then stages, each of which waits for the slowest of its children.
struct Function {
    place: Place,
    median_ms: f64,
    sigma: f64,
    stages: Vec<Vec<Function>>,
}

/// A system of `left` functions more; the first is its root.
fn system(chance: &mut Chance, next: &mut u64, deep: u32) -> Function {
    *next += 1;
    let place = Place::Own(NodeId(*next));
    let stages = if deep == 0 { 0 } else { 1 + (chance.unit() * 2.0) as usize };
    let stages = (0..stages)
        .map(|_| (0..1 + (chance.unit() * 3.0) as usize).map(|_| system(chance, next, deep - 1)).collect())
        .collect();
    let (median_ms, sigma) = (chance.lognormal(8.0, 0.8), chance.between(0.2, 1.0));
    Function { place, median_ms, sigma, stages }
}

/// One run: how long it took, and the pieces of its critical path with their room.
fn run(function: &Function, chance: &mut Chance, faster: (Place, f64)) -> (f64, Vec<Piece>) {
    let factor = if function.place == faster.0 { 1.0 - faster.1 } else { 1.0 };
    let own_ms = factor * chance.lognormal(function.median_ms, function.sigma);
    let piece =
        |critical_ms, drag_ms| Piece { place: function.place, critical_ms, drag_ms, calls: 1, in_a_row: 1, retries: 0 };
    let (mut total_ms, mut pieces) = (own_ms, vec![piece(own_ms, own_ms)]);
    for stage in &function.stages {
        let mut runs: Vec<(f64, Vec<Piece>)> = stage.iter().map(|child| run(child, chance, faster)).collect();
        runs.sort_by(|a, b| b.0.total_cmp(&a.0));
        let room_ms = runs[0].0 - runs.get(1).map_or(0.0, |next| next.0);
        total_ms += runs[0].0;
        for (place, (_, below)) in runs.into_iter().enumerate() {
            let bounded = |piece: Piece| match place {
                0 => Piece { drag_ms: piece.drag_ms.min(room_ms), ..piece },
                _ => Piece { critical_ms: 0.0, drag_ms: 0.0, ..piece },
            };
            pieces.extend(below.into_iter().map(bounded));
        }
    }
    (total_ms, pieces)
}

fn traces(root: &Function, seed: u64, count: u64, faster: (Place, f64)) -> Vec<TraceProfile> {
    let one = |number: u64| {
        // The same chance for each trace, whatever is made faster.
        let (duration_ms, pieces) = run(root, &mut Chance(seed ^ (number << 20)), faster);
        TraceProfile {
            function: NodeId(1),
            operation: "GET /".into(),
            until: None,
            trace_id: TraceId(u128::from(number + 1).to_be_bytes()),
            start: EventTime(number + 1),
            duration_ms,
            weight: 1.0,
            pieces,
        }
    };
    (0..count).map(one).collect()
}

fn tail_of(traces: &[TraceProfile]) -> Tail {
    Tail::of(traces.iter().map(|profile| Seen { weight: 1.0, profile }).collect()).unwrap()
}

fn ranked(traces: &[TraceProfile]) -> Ranked {
    let key = RootKey { function: NodeId(1), operation: "GET /".into(), until: None };
    ranking::rank(&[(&key, tail_of(traces))], usize::MAX, &|node| node.to_string().into())
}

/// Kendall's tau-b of two numbers of each of some things.
fn kendall(pairs: &[(f64, f64)]) -> f64 {
    let sign = |a: f64, b: f64| {
        if a > b {
            1.0
        } else if a < b {
            -1.0
        } else {
            0.0
        }
    };
    let (mut agree, mut first, mut second) = (0.0, 0.0, 0.0);
    for (place, a) in pairs.iter().enumerate() {
        for b in &pairs[..place] {
            let (x, y) = (sign(a.0, b.0), sign(a.1, b.1));
            agree += x * y;
            first += x * x;
            second += y * y;
        }
    }
    agree / f64::sqrt(first * second)
}

/// Tau of what is predicted from `sampled` traces with what a faster place really does to many, and the number of places.
fn tau(seed: u64, sampled: u64, faster: f64) -> (usize, f64) {
    const MANY: u64 = 3_000;
    let root = system(&mut Chance(seed), &mut 0, 2);
    let nowhere = (Place::Own(NodeId(0)), 0.0);
    let before_ms = tail_of(&traces(&root, seed, MANY, nowhere)).p95_ms;
    let saves = |tail: TailPart| if faster < 0.3 { tail.saves_10_ms } else { tail.saves_50_ms };
    let predicted: BTreeMap<Place, f64> = ranked(&traces(&root, seed + 1, sampled, nowhere))
        .list
        .into_iter()
        .filter_map(|(place, spot)| spot.tail.map(|tail| (place, saves(tail))))
        .collect();
    let truth = |place| before_ms - tail_of(&traces(&root, seed, MANY, (place, faster))).p95_ms;
    let pairs: Vec<(f64, f64)> = predicted.iter().map(|(place, saves)| (*saves, truth(*place))).collect();
    (pairs.len(), kendall(&pairs))
}

#[test]
fn what_a_faster_place_buys_is_ranked_as_a_run_with_it_ranks_it() {
    let mut all = Vec::new();
    for faster in [0.1, 0.5] {
        let taus: Vec<(usize, f64)> = [5, 11].map(|seed| tau(seed * 1_000_003, 2_000, faster)).to_vec();
        eprintln!("{faster}: places and tau {taus:.2?}");
        all.extend(taus);
    }
    let mean = all.iter().map(|(_, tau)| tau).sum::<f64>() / all.len() as f64;
    assert!(mean >= 0.8, "{mean} of {all:.2?}");
}
