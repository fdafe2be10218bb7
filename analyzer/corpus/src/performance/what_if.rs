//! What a faster place would really buy: the same requests again with that place faster, and nothing else changed.
//!
//! How well the engine foretells it is told as Kendall's tau-b between what it says of the places and what comes true.

use rayon::prelude::*;

use crate::performance::{
    simulator::{Change, Trace},
    stream::{Plan, requests},
    system::{Spot, System},
};

/// The times that places are said to take, as parts of what they take.
pub const SPEEDS: [f64; 2] = [0.9, 0.5];

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
