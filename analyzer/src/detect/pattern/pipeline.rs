//! Pipelines: functions in a row, each of which sends to the next alone, over resources that stand between them.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    confidence,
    map::{Map, Way},
};
use crate::{
    record::Stage,
    sampling::rounded,
    snapshot::{EndToEnd, NodeId, Pipeline, PipelineStage},
    window::quantile,
};

/// Fewest functions of a pipeline.
const STAGES: usize = 3;

/// Part of what comes in that need not be explained: messages are followed some seconds after the runs that they cause
/// are counted, and some come again.
const FROM_OUTSIDE: f64 = 0.2;

/// Functions from the first on, each with the resource over which the one before sends to it.
pub(crate) type Path = Vec<(NodeId, Option<NodeId>)>;

/// Finds the pipelines: the longest paths of messages on which nothing else comes in and nothing else is sent.
pub(super) fn pipelines(map: &Map<'_>) -> Vec<Pipeline> {
    paths(map).iter().filter_map(|path| pipeline(map, path)).collect()
}

/// The paths that pipelines take.
pub(super) fn paths(map: &Map<'_>) -> Vec<Path> {
    let next = hops(map);
    let inner: BTreeSet<NodeId> = next.values().filter_map(|way| way.function).collect();
    let firsts = next.keys().filter(|first| !inner.contains(first));
    let paths = firsts.map(|first| path(*first, &next));
    paths.filter(|path| path.len() >= STAGES && !is_loop(map, path)).collect()
}

/// True where one of the path sends back to the first, which is asked from outside as well.
fn is_loop(map: &Map<'_>, path: &Path) -> bool {
    let Some(first) = path.first().and_then(|(first, _)| map.nodes.get(first)) else { return false };
    let before: BTreeSet<NodeId> = first.main_ins().iter().filter_map(|way| way.function).collect();
    path.iter().any(|(function, _)| before.contains(function))
}

/// The functions that send to one other alone, which nobody else reaches, each with the way there.
fn hops(map: &Map<'_>) -> BTreeMap<NodeId, Way> {
    map.nodes
        .values()
        .filter_map(|node| {
            // What it calls and waits for, however often, is a part of its stage.
            let [way] = node.main_messages()[..] else { return None };
            let target = map.nodes.get(&way.function?)?;
            // What comes from outside is not among the ways.
            let is_only_way = way.count >= (1.0 - FROM_OUTSIDE) * target.came_in();
            (target.main_ins().len() == 1 && is_only_way && target.id != node.id).then_some((node.id, way))
        })
        .collect()
}

/// The functions from the first on, each with the way that leads to it. Ways have one end each, so that a path which
/// begins where no way ends meets no function twice.
fn path(first: NodeId, next: &BTreeMap<NodeId, Way>) -> Path {
    let mut path = vec![(first, None)];
    let mut at = first;
    while let Some((target, way)) = next.get(&at).and_then(|way| Some((way.function?, way))) {
        path.push((target, way.over));
        at = target;
    }
    path
}

fn pipeline(map: &Map<'_>, path: &[(NodeId, Option<NodeId>)]) -> Option<Pipeline> {
    let [(first, _), .., (last, _)] = path else { return None };
    let passage = map.measured.passing.passages.get(&(*first, *last));
    let stages: Vec<PipelineStage> = path
        .iter()
        .filter_map(|(function, over)| {
            let stage = passage.and_then(|passage| passage.stages.iter().find(|stage| stage.function == *function));
            stage_of(map, *function, *over, stage)
        })
        .collect();
    let slowest = (0..stages.len()).max_by(|a, b| stages[*a].mean_ms.total_cmp(&stages[*b].mean_ms))?;
    let last = map.nodes.get(last)?;
    let end_to_end = passage.map(|passage| {
        let waits: f64 = passage.stages.iter().map(|stage| stage.wait_ms).sum();
        let runs: f64 = passage.stages.iter().map(|stage| stage.run_ms).sum();
        EndToEnd {
            p50_ms: quantile(&passage.time, 0.5),
            p95_ms: quantile(&passage.time, 0.95),
            queue_share: if waits + runs > 0.0 { waits / (waits + runs) } else { 0.0 },
            chains: passage.time.count() as u64,
        }
    });
    let seen = path.iter().filter_map(|(function, _)| map.nodes.get(function)).map(|node| node.seen());
    let confidence = confidence(seen.fold(f64::INFINITY, f64::min));
    Some(Pipeline { stages, end_to_end, slowest, runs: rounded(last.runs()), confidence })
}

fn stage_of(map: &Map<'_>, function: NodeId, over: Option<NodeId>, stage: Option<&Stage>) -> Option<PipelineStage> {
    let counts = map.nodes.get(&function)?.counts;
    let mean_of = |sum: f64, count: f64| if count > 0.0 { sum / count } else { 0.0 };
    let own = || mean_of(counts.duration.sum().unwrap_or_default(), counts.duration.count() as f64);
    Some(PipelineStage {
        function: map.name(function),
        over: over.map(|over| map.name(over)),
        mean_ms: stage.map_or_else(own, |stage| mean_of(stage.run_ms, stage.runs)),
        wait_mean_ms: stage.map_or(0.0, |stage| mean_of(stage.wait_ms, stage.runs)),
        p95_ms: quantile(&counts.duration, 0.95),
    })
}
