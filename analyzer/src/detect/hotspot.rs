//! Latency hotspots: where the time of the roots goes, and what it would buy to be faster there.
//!
//! A function's own time is what it does not wait for; the gap of an edge is what the caller waits longer than the callee
//! works, in networks, queues and throttles; the time of a resource is what a function waits for it.
//!
//! - With the critical paths of traces, places are ranked by what they contribute to the slowest of them: `hotspot/tail.rs`
//!   is one root operation, `hotspot/kernel.rs` which of its traces tell of the tail, `hotspot/what_if.rs` what it buys to
//!   be faster, `hotspot/cause.rs` why, `hotspot/ranking.rs` all of them in one list.
//! - Without them, this file ranks all places by how much time they took in the current window, because what is slow and
//!   rare costs less than what is fast and everywhere.
//! - For a range of time, `hotspot/sums.rs` tells what was measured in it and before it, and ranks by that where no trace
//!   is kept.
//! - Against a baseline, `hotspot/slower.rs` ranks them by how they became slower.

mod cause;
mod kernel;
pub(crate) mod ranking;
#[cfg(test)]
mod simulated;
pub(crate) mod slower;
mod sums;
pub(crate) mod tail;
mod what_if;

use std::{cmp::Reverse, sync::Arc};

use crate::{
    sketch::DDSketch,
    snapshot::{Hotspot, HotspotCause, NodeId},
    window::{Series, Time, quantile},
};

/// The time that is current at `now`, in whole minutes but for the running one.
pub use crate::window::current;

pub use self::{
    slower::Baseline,
    sums::{Calls, before, by_sums},
};

/// Hotspots that are listed unless somebody asks for more.
pub const LISTED: usize = 50;

/// Hotspots that are listed at most.
pub const LISTED_AT_MOST: usize = 1_000;

/// Time spent at one place.
pub(crate) struct Spent<'a> {
    /// The function, or the calling function of the edge.
    pub(crate) function: NodeId,
    /// Its name.
    pub(crate) name: &'a Arc<str>,
    /// Source and target when the time is spent between two functions.
    pub(crate) edge: Option<(NodeId, NodeId)>,
    /// What the time is spent on.
    pub(crate) cause: HotspotCause,
    /// Milliseconds spent there.
    pub(crate) time: &'a Series,
}

/// Ranks where time was spent in some time.
///
/// `root_ms` is the time of all roots in the same time: the invocations that no other waits for.
pub(crate) fn hotspots<'a>(
    spent: impl Iterator<Item = Spent<'a>>,
    time: Time,
    root_ms: f64,
    limit: usize,
) -> Vec<Hotspot> {
    let mut ranked: Vec<(Spent<'a>, DDSketch, f64)> = spent
        .filter_map(|spent| {
            let current = spent.time.over(time);
            let total_ms = current.sum().filter(|sum| *sum > 0.0)?;
            Some((spent, current, total_ms))
        })
        .collect();
    ranked.sort_by_key(|(spent, _, total_ms)| (Reverse(ordered(*total_ms)), spent.function, spent.edge, spent.cause));
    ranked.truncate(limit);
    (1..)
        .zip(ranked)
        .map(|(rank, (spent, current, total_ms))| Hotspot {
            rank,
            function: spent.function,
            name: Arc::clone(spent.name),
            edge: spent.edge,
            cause: spent.cause,
            p95_ms: quantile(&current, 0.95),
            baseline_p95_ms: match time {
                Time::Current(slot) => spent.time.baseline(slot).map(|baseline| quantile(&baseline, 0.95)),
                Time::All => None,
            },
            share: if root_ms > 0.0 { (total_ms / root_ms).min(1.0) } else { 0.0 },
            samples: current.count() as u64,
            confidence: ranking::confidence(current.count() as f64),
            tail: None,
            change: None,
        })
        .collect()
}

/// Sums of milliseconds are positive, and positive floats order like their bits.
fn ordered(positive: f64) -> u64 {
    positive.to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::sketch;

    fn series(samples: &[f64]) -> Series {
        let mut series = Series::new();
        let mut delta = sketch();
        samples.iter().for_each(|sample| delta.add(*sample));
        series.merge(7, &delta);
        series
    }

    #[test]
    fn what_takes_most_of_the_time_comes_first() {
        let name: Arc<str> = "f".into();
        let (often, slow, gap) = (series(&[10.0; 100]), series(&[500.0]), series(&[20.0; 10]));
        let spent = [(1, None, &slow), (2, None, &often), (2, Some((NodeId(2), NodeId(3))), &gap)].map(
            |(function, edge, time)| Spent {
                function: NodeId(function),
                name: &name,
                edge,
                cause: HotspotCause::Own,
                time,
            },
        );
        let found = hotspots(spent.into_iter(), Time::Current(7), 2_000.0, LISTED);
        let ranks: Vec<(u32, u64, bool)> = found.iter().map(|h| (h.rank, h.function.0, h.edge.is_some())).collect();
        assert_eq!(ranks, [(1, 2, false), (2, 1, false), (3, 2, true)]);
        assert!((found[0].share - 0.5).abs() < 0.01);
        assert!(found[0].baseline_p95_ms.is_none());
    }
}
