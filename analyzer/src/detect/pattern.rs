//! The patterns that a function system is made of, read from what its functions and edges did in some time.
//!
//! All of them are taken from one picture of who causes what (`pattern/map.rs`), in which resources stand between the
//! functions and are not functions themselves. There is one file for each pattern, a plain function each. The numbers
//! that a pattern is defined by stand beside it; they are judgements, in the words of the field. What an edge is that
//! counts at all is the same for all of them: see [`map::EDGE_SHARE`].

mod dead;
mod decorator;
mod event_handler;
mod fan_in;
mod fan_out;
#[cfg(test)]
mod generated;
mod kind;
mod map;
mod pipeline;
mod router;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use crate::{
    measured::Measured,
    sketch::DDSketch,
    snapshot::{DeadFunction, NamedNode, NodeId, Patterns, ResourceNode, Straggler},
    window::quantile,
};
pub(crate) use dead::{Known, dead_functions};
use map::Map;

/// What is known of a system beyond what was counted in some time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Surroundings {
    /// The resources that functions touch.
    pub(crate) resources: BTreeMap<NodeId, ResourceNode>,
    /// What a second of each function costs, the resources that it uses apart; functions without prices are missing.
    pub(crate) per_second: BTreeMap<NodeId, f64>,
    /// The currency of these amounts; empty when there are no prices.
    pub(crate) currency: Arc<str>,
    /// The functions that are dead now.
    pub(crate) dead: Vec<DeadFunction>,
}

/// The patterns in what was counted in some time. Dead functions are those of now: no count of a time shows them.
pub fn patterns(measured: &Measured, around: &Surroundings) -> Patterns {
    let map = Map::of(measured, around);
    let mut found = Patterns {
        decorators: decorator::decorators(&map),
        event_handlers: event_handler::event_handlers(&map),
        pipelines: pipeline::pipelines(&map),
        fan_outs: fan_out::fan_outs(&map),
        fan_ins: fan_in::fan_ins(&map),
        routers: router::routers(&map),
        dead: around.dead.clone(),
        kinds: kind::kinds(&map),
        currency: Arc::clone(&around.currency),
        dropped: measured.passing.dropped + measured.functions.values().map(|it| it.outs.dropped).sum::<u64>(),
    };
    found.decorators.sort_by_key(|found| (Reverse(found.runs), found.function.id));
    found.event_handlers.sort_by_key(|found| (Reverse(found.runs), found.function.id));
    found.pipelines.sort_by_key(|found| (Reverse(found.runs), found.stages.first().map(|stage| stage.function.id)));
    found.fan_outs.sort_by_key(|found| (Reverse(found.runs), found.function.id, found.target.id));
    found.fan_ins.sort_by_key(|found| (Reverse(found.runs), found.function.id));
    found.routers.sort_by_key(|found| (Reverse(found.runs), found.function.id));
    found.kinds.sort_by_key(|found| (Reverse(found.runs), found.function.id));
    found
}

/// The paths of the pipelines in what was counted in some time, for who asks what they cost.
pub(crate) fn pipeline_paths(measured: &Measured) -> Vec<pipeline::Path> {
    pipeline::paths(&Map::of(measured, &Surroundings::default()))
}

/// How sure it is that something holds of a function of which so many runs were seen.
///
/// All patterns allow for one run in twenty that is otherwise. Were it more, so many runs without a sign of it would
/// have had a chance of less than .95ⁿ: what is left of 1 is the confidence. 14 runs are even odds, 60 are 95 %.
fn confidence(runs: f64) -> f64 {
    1.0 - 0.95_f64.powf(runs.max(0.0))
}

/// How much longer the longest of several takes than most; `None` where nothing was seen of either.
fn straggler(longest: &DDSketch, each: &DDSketch) -> Option<Straggler> {
    let (longest_p95_ms, p50_ms) = (quantile(longest, 0.95), quantile(each, 0.5));
    let is_seen = longest.count() > 0 && p50_ms > 0.0;
    is_seen.then(|| Straggler { longest_p95_ms, p50_ms, ratio: longest_p95_ms / p50_ms, runs: longest.count() as u64 })
}

/// The nodes of a list with how busy each is, the busiest first.
fn busiest(mut nodes: Vec<(f64, NamedNode)>) -> Vec<NamedNode> {
    nodes
        .sort_by(|(a, one), (b, other)| b.total_cmp(a).then_with(|| (&one.name, one.id).cmp(&(&other.name, other.id))));
    nodes.into_iter().map(|(_, node)| node).collect()
}

/// A node by a name, or by its id where it has none.
fn named(id: NodeId, name: Option<&Arc<str>>) -> NamedNode {
    NamedNode { id, name: name.map_or_else(|| id.to_string().into(), Arc::clone) }
}
