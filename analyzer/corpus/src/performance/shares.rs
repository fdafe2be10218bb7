//! What the requests of a healthy system wait for, as parts of all that they wait for.

use crate::{
    performance::{
        simulator::{Change, Simulator, Trace, summed},
        system::{Spot, System},
    },
    truth::nanos,
};

/// What requests wait for, over many of them.
#[derive(Clone, Debug, Default)]
pub struct Shares(Vec<Vec<(Spot, f64)>>);

impl Shares {
    /// Runs some requests of a healthy system to see what they wait for, and what the slow ones do.
    pub fn new(system: &System, seed: u64, requests: u64) -> Self {
        let mut simulator = Simulator::new(system, seed, Change::default());
        let mut by_root: Vec<Vec<Trace>> = system.roots.iter().map(|_| Vec::new()).collect();
        for number in 0..requests {
            let trace = simulator.trace(number, nanos(number as f64), 0.0);
            by_root[trace.root].push(trace);
        }
        Self(by_root.into_iter().map(of_root).collect())
    }

    /// The largest part that a place has in what the requests of a root wait for.
    pub fn largest(&self, spot: Spot) -> f64 {
        let of_root =
            |shares: &Vec<(Spot, f64)>| shares.iter().find(|(known, _)| *known == spot).map(|(_, share)| *share);
        self.0.iter().filter_map(of_root).fold(0.0, f64::max)
    }

    /// True when some requests wait for the place, or when it is none.
    pub fn is_critical(&self, spot: Option<Spot>) -> bool {
        spot.is_none_or(|spot| self.largest(spot) > 0.005)
    }
}

fn of_root(traces: Vec<Trace>) -> Vec<(Spot, f64)> {
    let all: u64 = traces.iter().map(Trace::duration).sum();
    let critical = summed(traces.into_iter().flat_map(|trace| trace.critical).collect());
    critical.into_iter().map(|(spot, nanos)| (spot, nanos as f64 / all.max(1) as f64)).collect()
}
