//! Fan-outs: runs that cause several others over one edge, and wait for the slowest if they wait.

use super::{
    busiest, confidence,
    map::{EDGE_SHARE, Map, Node},
    straggler,
};
use crate::{
    record::{EdgeKey, FanKey, Out},
    sampling::rounded,
    snapshot::{EdgeKind, FanOut, NamedNode, NodeId, Straggler},
};

/// Fewest that a run causes over one edge in the mean, of the runs that use the edge.
const CHILDREN: f64 = 3.0;

/// Finds the fan-outs.
pub(super) fn fan_outs(map: &Map<'_>) -> Vec<FanOut> {
    map.nodes
        .values()
        .flat_map(|node| {
            let outs = node.counts.outs.places.iter().filter(|out| is_used(node, out.runs));
            let over_places = outs.filter_map(|out| fan_out(map, node, out));
            over_places.chain(uncarried(map, node)).collect::<Vec<_>>()
        })
        .collect()
}

/// Edges that few runs use are none.
fn is_used(node: &Node<'_>, runs: f64) -> bool {
    runs > 0.0 && runs >= EDGE_SHARE * node.counts.nature.runs()
}

/// Over a call, or over a resource that is sent to.
fn fan_out(map: &Map<'_>, node: &Node<'_>, out: &Out) -> Option<FanOut> {
    let is_call = out.kind == EdgeKind::Call;
    let messages = || node.outs.iter().filter(|way| !way.is_call && way.over == Some(out.target));
    let children: Vec<(f64, NamedNode)> = match out.kind {
        EdgeKind::Call => vec![(out.children, map.name(out.target))],
        EdgeKind::Publish | EdgeKind::Write if map.deliveries.contains_key(&out.target) => {
            messages().filter_map(|way| Some((way.count, map.name(way.function?)))).collect()
        }
        EdgeKind::Publish => Vec::new(),
        // Messages that nobody names the carrier of are the linker's to count.
        _ => return None,
    };
    // A topic makes several of one message; a batch of messages is one span. Which of the two says more is right.
    let caused: f64 = if is_call { 0.0 } else { children.iter().map(|(count, _)| count).sum() };
    let sends = map.measured.edges.get(&EdgeKey { source: node.id, target: out.target, kind: out.kind });
    // Sends whose run was settled before they came are missing from the runs, and their messages from neither.
    let runs_of_all = out.runs * sends.map_or(1.0, |edge| edge.calls / out.children.max(1.0)).max(1.0);
    let children_per_run = (out.children / out.runs).max(caused / runs_of_all);
    if children_per_run < CHILDREN {
        return None;
    }
    let straggler = if is_call {
        out.longest.as_ref().zip(sends).and_then(|(longest, called)| straggler(longest, &called.duration))
    } else {
        let targets = messages().filter_map(|way| way.function);
        slowest(targets.filter_map(|target| message_straggler(map, node.id, target)))
    };
    Some(FanOut {
        function: map.name(node.id),
        target: map.name(out.target),
        children: busiest(children),
        runs: rounded(out.runs),
        children_per_run,
        is_call,
        parallelism: (is_call && out.spread_ms > 0.0).then(|| (out.busy_ms / out.spread_ms).max(1.0)),
        straggler,
        confidence: confidence(out.runs.min(node.seen())),
    })
}

/// Messages of which nobody names the carrier, as far as they were followed.
fn uncarried<'a>(map: &'a Map<'_>, node: &'a Node<'_>) -> impl Iterator<Item = FanOut> + 'a {
    let ways = node.outs.iter().filter(|way| !way.is_call && way.over.is_none());
    ways.filter_map(move |way| {
        let target = way.function?;
        let fan = map.measured.passing.fans.get(&FanKey::Out(node.id, target))?;
        let children_per_run = fan.spokes / fan.runs;
        (is_used(node, way.count / children_per_run) && children_per_run >= CHILDREN).then(|| FanOut {
            function: map.name(node.id),
            target: map.name(target),
            children: vec![map.name(target)],
            runs: rounded(way.count / children_per_run),
            children_per_run,
            is_call: false,
            parallelism: None,
            straggler: message_straggler(map, node.id, target),
            confidence: confidence(fan.runs),
        })
    })
}

fn message_straggler(map: &Map<'_>, source: NodeId, target: NodeId) -> Option<Straggler> {
    let fan = map.measured.passing.fans.get(&FanKey::Out(source, target))?;
    straggler(&fan.longest, &map.measured.passing.handovers.get(&(source, target))?.time)
}

fn slowest(stragglers: impl Iterator<Item = Straggler>) -> Option<Straggler> {
    stragglers.max_by(|a, b| a.ratio.total_cmp(&b.ratio))
}
