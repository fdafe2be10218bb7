//! Routers: functions that send each request one of several ways.

use std::collections::BTreeSet;

use super::{
    confidence,
    map::{EDGE_SHARE, Map, Node},
};
use crate::{
    record::Out,
    sampling::rounded,
    snapshot::{EdgeKind, NodeId, Route, Router},
};

/// Most of the runs that may send more than one way.
const CO_OCCURRENCE: f64 = 0.05;

/// Fewest of the runs that send anywhere: what mostly answers by itself does not route.
const SENDING: f64 = 0.5;

/// Finds the routers.
pub(super) fn routers(map: &Map<'_>) -> Vec<Router> {
    map.nodes.values().filter_map(|node| router(map, node)).collect()
}

fn router(map: &Map<'_>, node: &Node<'_>) -> Option<Router> {
    // What is written and triggers nobody is state, and reading causes nothing.
    let is_way = |out: &&Out| match out.kind {
        EdgeKind::Call | EdgeKind::Message | EdgeKind::Publish => true,
        EdgeKind::Write => map.deliveries.contains_key(&out.target),
        EdgeKind::Deliver | EdgeKind::Read => false,
    };
    let outs = &node.counts.outs;
    let total: f64 = outs.places.iter().filter(is_way).map(|out| out.runs).sum();
    let ways: Vec<&Out> = outs.places.iter().filter(is_way).filter(|out| out.runs >= EDGE_SHARE * total).collect();
    let targets: BTreeSet<NodeId> = ways.iter().map(|out| out.target).collect();
    if targets.len() < 2 || targets.contains(&node.id) {
        return None;
    }
    let uses: f64 = ways.iter().map(|out| out.runs).sum();
    let several = outs.together(|target| targets.contains(&target));
    // Each run that went two ways was counted twice.
    let runs = (uses - several).max(f64::MIN_POSITIVE);
    let co_occurrence = several / runs;
    let known = node.counts.nature.runs();
    if co_occurrence >= CO_OCCURRENCE || runs < SENDING * known || unseen(map, node) >= CO_OCCURRENCE * known {
        return None;
    }
    let mut routes: Vec<Route> =
        ways.iter().map(|out| Route { target: map.name(out.target), share: out.runs / runs }).collect();
    routes.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.target.cmp(&b.target)));
    // Two ways that are hardly used are hardly told apart: the rarest has to be seen.
    let rarest = ways.iter().map(|out| out.runs).fold(f64::INFINITY, f64::min);
    let seen = node.seen().min(runs);
    Some(Router {
        function: map.name(node.id),
        routes,
        runs: rounded(runs),
        co_occurrence,
        confidence: confidence(seen) * confidence(2.0 * rarest),
    })
}

/// Messages that no run is known to have sent by itself, because nobody names their carrier.
fn unseen(map: &Map<'_>, node: &Node<'_>) -> f64 {
    let is_known = |target| node.counts.outs.to(target, EdgeKind::Message).is_some();
    let ways = node.outs.iter().filter(|way| !way.is_call && way.over.is_none());
    ways.filter_map(|way| Some((way.function?, way.count)))
        .filter(|(target, _)| !is_known(*target) && map.nodes.contains_key(target))
        .map(|(_, count)| count)
        .sum()
}
