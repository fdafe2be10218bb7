//! What readers see: an immutable picture of the graph and its findings, ready for the wire.
//!
//! The aggregator builds a view from a snapshot of the engine and publishes it; the API and the live stream only read.
//! A view knows nothing of HTTP. What changed between two views is said by [`diff`].

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use loopscope_analyzer::{
    aggregate::roots::Roots,
    detect::pattern::Surroundings,
    price::Pricing,
    snapshot::{Background, JoinedChain, Loop, LoopLevel, Losses, NodeId, Snapshot},
    span::TraceId,
};
use loopscope_proto::v1;

use crate::{
    convert,
    cut::{self, Stop, StopKind},
};

/// Bound on the exemplar traces that are kept for one node or one pair of nodes; the newest stay.
pub const EXEMPLARS_KEPT: usize = 20;

/// One picture of everything that readers can ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// The call graph with the places of its nodes.
    pub graph: v1::Graph,
    /// What else is known of its functions.
    pub backgrounds: BTreeMap<NodeId, Background>,
    /// The loops, the worst first.
    pub loops: Vec<v1::Loop>,
    /// The hotspots, by rank.
    pub hotspots: v1::HotspotList,
    /// Where the time of sampled traces went, for hotspots of other times.
    pub roots: Roots,
    /// What cannot be right in the input.
    pub anomalies: Vec<v1::Anomaly>,
    /// What is needed to price what was measured.
    pub pricing: Arc<Pricing>,
    /// What the engine counted and let go.
    pub losses: Losses,
    /// Traces that show a node, the newest first; every node of the graph has an entry.
    pub node_exemplars: BTreeMap<NodeId, Vec<TraceId>>,
    /// Traces that show any edge between two nodes, the newest first.
    pub edge_exemplars: BTreeMap<(NodeId, NodeId), Vec<TraceId>>,
    /// What patterns are told with beside counts.
    pub surroundings: Arc<Surroundings>,
    /// The causes of deepest chains that no trace names, by the id of the loop.
    pub joined: HashMap<String, Arc<JoinedChain>>,
}

impl View {
    /// Turns a snapshot into what readers see. A node without a place stands at 0, 0.
    pub fn build(snapshot: &Snapshot, places: &BTreeMap<NodeId, (f64, f64)>) -> Self {
        let place = |id| places.get(&id).copied().unwrap_or_default();
        let (node_exemplars, edge_exemplars) = exemplars(snapshot);
        Self {
            graph: v1::Graph {
                functions: snapshot.functions.iter().map(|node| convert::function(node, place(node.id))).collect(),
                resources: snapshot.resources.iter().map(|node| convert::resource(node, place(node.id))).collect(),
                edges: snapshot.edges.iter().map(convert::edge).collect(),
            },
            backgrounds: snapshot
                .functions
                .iter()
                .map(|node| node.id)
                .zip(snapshot.backgrounds.iter().cloned())
                .collect(),
            loops: snapshot.loops.iter().map(|found| loop_message(snapshot, found)).collect(),
            hotspots: convert::hotspots(&snapshot.hotspots, &function_names(snapshot)),
            roots: snapshot.roots.clone(),
            anomalies: snapshot.anomalies.iter().map(convert::anomaly).collect(),
            pricing: Arc::clone(&snapshot.pricing),
            losses: snapshot.losses,
            surroundings: Arc::clone(&snapshot.surroundings),
            node_exemplars,
            edge_exemplars,
            joined: snapshot.loops.iter().filter_map(|it| Some((it.id.to_string(), it.joined.clone()?))).collect(),
        }
    }

    /// The message that tells a reader all of it; sequence and status are for the sender to fill in.
    pub fn whole(&self) -> v1::LiveEvent {
        v1::LiveEvent {
            snapshot: true,
            graph: Some(self.graph.clone()),
            loops: self.loops.clone(),
            hotspots: Some(self.hotspots.clone()),
            ..Default::default()
        }
    }
}

/// What the functions are called.
pub fn function_names(snapshot: &Snapshot) -> BTreeMap<NodeId, String> {
    snapshot.functions.iter().map(|node| (node.id, node.name.to_string())).collect()
}

/// What changed from one view to the next, for a reader that knows the old one; `None` when nothing did.
///
/// A reader applies it in this order: nodes that are gone with all their edges, loops that are gone, then everything
/// that is listed. An edge can only go together with one of its nodes in this message; when one goes alone, or when a
/// function becomes a resource, the answer is the whole view.
pub fn diff(old: &View, new: &View) -> Option<v1::LiveEvent> {
    let functions = changed(&old.graph.functions, &new.graph.functions, |node| node.id.as_str());
    let resources = changed(&old.graph.resources, &new.graph.resources, |node| node.id.as_str());
    let loops = changed(&old.loops, &new.loops, |found| found.id.as_str());
    let mut edges = changed(&old.graph.edges, &new.graph.edges, edge_key);
    let removed_nodes: Vec<String> = functions.gone.iter().chain(&resources.gone).map(|id| (*id).to_owned()).collect();
    let gone: HashSet<&str> = removed_nodes.iter().map(String::as_str).collect();
    let turned = new.graph.functions.iter().map(|node| &node.id).chain(new.graph.resources.iter().map(|node| &node.id));
    let touches_gone = |source: &str, target: &str| gone.contains(source) || gone.contains(target);
    if turned.into_iter().any(|id| gone.contains(id.as_str()))
        || edges.gone.iter().any(|(source, target, _)| !touches_gone(source, target))
    {
        return Some(new.whole());
    }
    // The reader drops all edges of a node that is gone, so those that stay must be told again.
    if !gone.is_empty() {
        let listed: HashSet<_> = edges.upserts.iter().map(edge_key).collect();
        let kept = new.graph.edges.iter();
        let again: Vec<_> = kept
            .filter(|edge| touches_gone(&edge.source, &edge.target) && !listed.contains(&edge_key(edge)))
            .cloned()
            .collect();
        edges.upserts.extend(again);
    }
    let graph = v1::Graph { functions: functions.upserts, resources: resources.upserts, edges: edges.upserts };
    let event = v1::LiveEvent {
        graph: (graph != v1::Graph::default()).then_some(graph),
        loops: loops.upserts,
        removed_loops: loops.gone.iter().map(|id| (*id).to_owned()).collect(),
        removed_nodes,
        hotspots: (old.hotspots != new.hotspots).then(|| new.hotspots.clone()),
        ..Default::default()
    };
    (event != v1::LiveEvent::default()).then_some(event)
}

/// What changed in a list.
struct Changed<K, T> {
    upserts: Vec<T>,
    gone: Vec<K>,
}

fn changed<'a, K: Copy + Eq + std::hash::Hash, T: Clone + PartialEq>(
    old: &'a [T],
    new: &'a [T],
    key: impl Fn(&'a T) -> K,
) -> Changed<K, T> {
    let known: HashMap<K, &T> = old.iter().map(|item| (key(item), item)).collect();
    let present: HashSet<K> = new.iter().map(&key).collect();
    Changed {
        upserts: new.iter().filter(|item| known.get(&key(item)) != Some(item)).cloned().collect(),
        gone: old.iter().map(&key).filter(|key| !present.contains(key)).collect(),
    }
}

fn edge_key(edge: &v1::Edge) -> (&str, &str, &str) {
    (&edge.source, &edge.target, &edge.kind)
}

/// A loop as readers and alerts show it: with the advice where to cut it, which needs the nodes of its path.
pub fn loop_message(snapshot: &Snapshot, found: &Loop) -> v1::Loop {
    let mut message = convert::loop_(found);
    let known: Option<Vec<Stop<'_>>> =
        found.path.iter().zip(&message.path).map(|(id, text)| stop(snapshot, *id, text)).collect();
    // What goes round within a function has no trigger that could be cut.
    message.cut = known.filter(|_| found.level == LoopLevel::Function).and_then(|lap| cut::advise(&lap));
    message
}

fn stop<'a>(snapshot: &'a Snapshot, id: NodeId, text: &'a str) -> Option<Stop<'a>> {
    if let Ok(place) = snapshot.functions.binary_search_by_key(&id, |node| node.id) {
        let node = &snapshot.functions[place];
        return Some(Stop { id: text, name: &node.name, kind: StopKind::Function(&node.platform) });
    }
    let place = snapshot.resources.binary_search_by_key(&id, |node| node.id).ok()?;
    let node = &snapshot.resources[place];
    Some(Stop { id: text, name: &node.name, kind: StopKind::Resource(node.kind, &node.system) })
}

type NodeExemplars = BTreeMap<NodeId, Vec<TraceId>>;
type EdgeExemplars = BTreeMap<(NodeId, NodeId), Vec<TraceId>>;

/// Exemplars by node and by pair of nodes; a resource shows what its edges show.
fn exemplars(snapshot: &Snapshot) -> (NodeExemplars, EdgeExemplars) {
    let mut nodes = NodeExemplars::new();
    let mut edges = EdgeExemplars::new();
    for function in &snapshot.functions {
        add(nodes.entry(function.id).or_default(), &function.exemplars);
    }
    for resource in &snapshot.resources {
        nodes.entry(resource.id).or_default();
    }
    let is_resource = |id: NodeId| snapshot.resources.binary_search_by_key(&id, |resource| resource.id).is_ok();
    for edge in &snapshot.edges {
        add(edges.entry((edge.source, edge.target)).or_default(), &edge.exemplars);
        for end in [edge.source, edge.target] {
            if is_resource(end) {
                add(nodes.entry(end).or_default(), &edge.exemplars);
            }
        }
    }
    (nodes, edges)
}

fn add(known: &mut Vec<TraceId>, more: &[TraceId]) {
    for id in more {
        if known.len() < EXEMPLARS_KEPT && !known.contains(id) {
            known.push(*id);
        }
    }
}

#[cfg(test)]
mod tests;
