//! Decorators: functions that do little but call one other for one caller, and pay while they wait for it.
//!
//! Authorisers, loggers and adapters are of this kind. Both functions are charged for the time of the inner one, which
//! is why it is worth knowing (double billing: Baldini et al., "The serverless trilemma", 2017).

use super::{
    confidence,
    map::{EDGE_SHARE, Map, Node},
};
use crate::{
    record::EdgeKey,
    sampling::rounded,
    sketch::DDSketch,
    snapshot::{Decorator, EdgeKind},
};

/// Most of its time that may be its own.
const SELF_SHARE: f64 = 0.15;

/// Seconds of a day.
const DAY: f64 = 86_400.0;

/// How far from one call for each run it may be.
const CALLS_OFF: f64 = 0.05;

/// Finds the decorators.
pub(super) fn decorators(map: &Map<'_>) -> Vec<Decorator> {
    map.nodes.values().filter_map(|node| decorator(map, node)).collect()
}

fn decorator(map: &Map<'_>, node: &Node<'_>) -> Option<Decorator> {
    let (ins, outs) = (node.main_ins(), node.main_outs());
    let ([caller], [callee]) = (&ins[..], &outs[..]) else { return None };
    let is_sync = caller.is_call && callee.is_call;
    // Whoever is called from outside as well has more than one caller, and whoever uses a store more than one way out.
    let is_only_caller = caller.count >= (1.0 - EDGE_SHARE) * node.runs();
    let stored: f64 = node.stores.iter().map(|(_, count)| count).sum();
    let is_only_out = stored < EDGE_SHARE * (stored + callee.count);
    let calls_per_run = callee.count / node.runs();
    let is_one_to_one = (calls_per_run - 1.0).abs() <= CALLS_OFF;
    let (caller, callee) = (caller.function?, callee.function?);
    if !is_sync || !is_only_caller || !is_only_out || !is_one_to_one || caller == node.id || callee == node.id {
        return None;
    }
    let total_ms = node.counts.duration.sum().filter(|total| *total > 0.0)?;
    // Runs that are measured and not yet settled have no time of their own yet.
    let own_ms = mean(&node.counts.self_time)?;
    let mean_ms = mean(&node.counts.duration)?;
    let self_share = own_ms / mean_ms;
    if self_share > SELF_SHARE {
        return None;
    }
    let called = map.measured.edges.get(&EdgeKey { source: node.id, target: callee, kind: EdgeKind::Call })?;
    let wait_ms = (mean(&called.duration)? * calls_per_run).min(mean_ms);
    let waiting_share = wait_ms / mean_ms;
    // What was measured is what was kept.
    let waiting_ms = waiting_share * total_ms * node.runs() / node.seen().max(1.0);
    let price = map.around.per_second.get(&node.id).filter(|_| map.measured.seconds > 0.0);
    Some(Decorator {
        function: map.name(node.id),
        caller: map.name(caller),
        callee: map.name(callee),
        runs: rounded(node.runs()),
        calls_per_run,
        self_share,
        waiting_share,
        waiting_ms,
        waiting_cost_per_day: price.map(|price| price * waiting_ms / 1_000.0 / map.measured.seconds * DAY),
        confidence: confidence(node.seen()),
    })
}

fn mean(sketch: &DDSketch) -> Option<f64> {
    sketch.sum().filter(|_| sketch.count() > 0).map(|sum| sum / sketch.count() as f64)
}
