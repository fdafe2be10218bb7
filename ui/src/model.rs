//! What the page knows, and how one live event changes it.
//!
//! Plain state without signals or IO, so that it is tested natively: `client.rs` brings the events, `app.rs` keeps
//! one model in a signal.

use std::collections::{BTreeMap, BTreeSet};

use loopscope_proto::v1::{Edge, Function, Hotspot, LiveEvent, Loop, LoopState, Resource, Severity, Status};

/// Source, target and kind of an edge.
pub type EdgeKey = (String, String, String);

/// All that the live stream has told so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// True once a snapshot has come: before it there is nothing that a delta could change.
    pub ready: bool,
    /// Number of the last event.
    pub sequence: u64,
    /// The functions by id.
    pub functions: BTreeMap<String, Function>,
    /// The resources by id.
    pub resources: BTreeMap<String, Resource>,
    /// The edges by source, target and kind.
    pub edges: BTreeMap<EdgeKey, Edge>,
    /// The loops by id.
    pub loops: BTreeMap<String, Loop>,
    /// The hotspots by rank.
    pub hotspots: Vec<Hotspot>,
    /// The counters; absent before the first snapshot.
    pub status: Option<Status>,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The model holds it now.
    Yes,
    /// At least one event before it is missing; the reader has to start again with a snapshot.
    Gap,
}

impl Model {
    /// Takes in one event.
    pub fn apply(&mut self, event: LiveEvent) -> Applied {
        if event.snapshot {
            *self = Self { ready: true, ..Self::default() };
        } else if !self.ready || self.sequence + 1 != event.sequence {
            return Applied::Gap;
        }
        self.sequence = event.sequence;
        self.remove(&event.removed_nodes, &event.removed_loops);
        let graph = event.graph.unwrap_or_default();
        self.functions.extend(graph.functions.into_iter().map(|it| (it.id.clone(), it)));
        self.resources.extend(graph.resources.into_iter().map(|it| (it.id.clone(), it)));
        let edges = graph.edges.into_iter();
        self.edges.extend(edges.map(|it| ((it.source.clone(), it.target.clone(), it.kind.clone()), it)));
        self.loops.extend(event.loops.into_iter().map(|it| (it.id.clone(), it)));
        if let Some(hotspots) = event.hotspots {
            self.hotspots = hotspots.hotspots;
        }
        if event.status.is_some() {
            self.status = event.status;
        }
        Applied::Yes
    }

    fn remove(&mut self, nodes: &[String], loops: &[String]) {
        for id in loops {
            self.loops.remove(id);
        }
        if nodes.is_empty() {
            return;
        }
        let gone: BTreeSet<&String> = nodes.iter().collect();
        self.functions.retain(|id, _| !gone.contains(id));
        self.resources.retain(|id, _| !gone.contains(id));
        self.edges.retain(|(source, target, _), _| !gone.contains(source) && !gone.contains(target));
    }

    /// True while there is nothing to draw.
    pub fn is_empty(&self) -> bool {
        self.functions.is_empty() && self.resources.is_empty()
    }

    /// Spans accepted since the collector started.
    pub fn spans_received(&self) -> u64 {
        self.status.as_ref().map_or(0, |status| status.spans_received)
    }

    /// The name of a node, or its id when it is not known.
    pub fn node_name<'a>(&'a self, id: &'a str) -> &'a str {
        let function = self.functions.get(id).map(|it| it.name.as_str());
        function.or_else(|| self.resources.get(id).map(|it| it.name.as_str())).filter(|it| !it.is_empty()).unwrap_or(id)
    }

    /// True when the id names a node of the graph.
    pub fn has_node(&self, id: &str) -> bool {
        self.functions.contains_key(id) || self.resources.contains_key(id)
    }

    /// All edges from one node to another.
    pub fn edges_between<'a>(&'a self, source: &'a str, target: &'a str) -> impl Iterator<Item = &'a Edge> {
        let from = (source.to_owned(), target.to_owned(), String::new());
        self.edges.range(from..).map(|(_, edge)| edge).take_while(move |it| it.source == source && it.target == target)
    }

    /// The loops that pass a node.
    pub fn loops_through<'a>(&'a self, node: &'a str) -> impl Iterator<Item = &'a Loop> {
        self.loops.values().filter(move |it| it.path.iter().any(|id| id == node))
    }

    /// All loops, the worst first: by severity, then by what the detectors make of them, then by how alive they are, then
    /// by depth.
    pub fn ranked_loops(&self) -> Vec<&Loop> {
        let mut loops: Vec<&Loop> = self.loops.values().collect();
        loops.sort_by_key(|it| {
            std::cmp::Reverse((it.severity, suspicion(&it.assessment), liveness(it.state()), it.max_depth, it.laps))
        });
        loops
    }

    /// Loops somebody should look at now: not over, and of more than passing interest.
    pub fn open_loops(&self) -> usize {
        let open = |it: &&Loop| it.state() != LoopState::Closed && it.severity() != Severity::Info;
        self.loops.values().filter(open).count()
    }
}

/// Consecutive nodes of one lap, the way back included.
pub fn lap_edges(path: &[String]) -> impl Iterator<Item = (&str, &str)> {
    let next = path.iter().cycle().skip(1);
    path.iter().zip(next).map(|(source, target)| (source.as_str(), target.as_str()))
}

/// How the time of a function now compares with its baseline; `None` while it learns.
pub fn slowness(function: &Function) -> Option<f64> {
    let baseline = function.baseline_p95_ms.filter(|it| *it > 0.0)?;
    Some(function.current_p95_ms? / baseline)
}

fn suspicion(assessment: &str) -> u8 {
    match assessment {
        "alarm" => 2,
        "suspect" => 1,
        _ => 0,
    }
}

fn liveness(state: LoopState) -> u8 {
    match state {
        LoopState::Growing => 5,
        LoopState::Persistent => 4,
        LoopState::Dying => 3,
        LoopState::Unknown => 2,
        LoopState::Latent => 1,
        LoopState::Closed => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loopscope_proto::v1::{Graph, HotspotList};
    use proptest::prelude::*;

    fn function(id: &str, invocations: u64) -> Function {
        Function { id: id.into(), name: format!("fn-{id}"), invocations, ..Function::default() }
    }

    fn edge(source: &str, target: &str, kind: &str) -> Edge {
        Edge { source: source.into(), target: target.into(), kind: kind.into(), ..Edge::default() }
    }

    fn snapshot(sequence: u64) -> LiveEvent {
        let functions = vec![function("a", 1), function("b", 1)];
        let edges = vec![edge("a", "b", "call"), edge("a", "b", "message"), edge("b", "a", "call")];
        let graph = Graph { functions, edges, resources: vec![] };
        let status = Some(Status { spans_received: 7, ..Status::default() });
        LiveEvent { sequence, snapshot: true, graph: Some(graph), status, ..LiveEvent::default() }
    }

    #[test]
    fn a_snapshot_then_deltas() {
        let mut model = Model::default();
        assert_eq!(model.apply(snapshot(40)), Applied::Yes);
        let graph = Graph { functions: vec![function("a", 9)], ..Graph::default() };
        let delta = LiveEvent { sequence: 41, graph: Some(graph), ..LiveEvent::default() };
        assert_eq!(model.apply(delta), Applied::Yes);
        assert_eq!(model.functions["a"].invocations, 9);
        assert_eq!(model.functions["b"].invocations, 1);
        assert_eq!(model.spans_received(), 7, "an event without counters keeps the old ones");
        assert_eq!(model.edges_between("a", "b").count(), 2);
    }

    #[test]
    fn a_missing_event_is_a_gap_and_changes_nothing() {
        let mut model = Model::default();
        let delta = LiveEvent { sequence: 1, ..LiveEvent::default() };
        assert_eq!(model.apply(delta), Applied::Gap, "the first event must be a snapshot");
        model.apply(snapshot(3));
        let before = model.clone();
        let late = LiveEvent { sequence: 5, removed_nodes: vec!["a".into()], ..LiveEvent::default() };
        assert_eq!(model.apply(late), Applied::Gap);
        assert_eq!(model, before);
        assert_eq!(model.apply(snapshot(9)), Applied::Yes);
    }

    #[test]
    fn a_node_takes_its_edges_along() {
        let mut model = Model::default();
        model.apply(snapshot(1));
        let delta = LiveEvent { sequence: 2, removed_nodes: vec!["b".into()], ..LiveEvent::default() };
        assert_eq!(model.apply(delta), Applied::Yes);
        assert!(model.edges.is_empty() && !model.has_node("b") && model.has_node("a"));
    }

    #[test]
    fn hotspots_are_replaced_as_a_whole_and_only_when_present() {
        let mut model = Model::default();
        let hotspots =
            Some(HotspotList { hotspots: vec![Hotspot::default(), Hotspot::default()], ..HotspotList::default() });
        model.apply(LiveEvent { hotspots, ..snapshot(1) });
        model.apply(LiveEvent { sequence: 2, ..LiveEvent::default() });
        assert_eq!(model.hotspots.len(), 2);
        let none = Some(HotspotList::default());
        model.apply(LiveEvent { sequence: 3, hotspots: none, ..LiveEvent::default() });
        assert!(model.hotspots.is_empty());
    }

    #[test]
    fn the_worst_loop_comes_first() {
        let make = |id: &str, state: LoopState, severity: Severity| Loop {
            id: id.into(),
            state: state.into(),
            severity: severity.into(),
            ..Loop::default()
        };
        let loops = vec![
            make("quiet", LoopState::Persistent, Severity::Info),
            Loop { assessment: "suspect".into(), ..make("odd", LoopState::Dying, Severity::Info) },
            make("over", LoopState::Closed, Severity::Critical),
            make("fire", LoopState::Growing, Severity::Critical),
        ];
        let mut model = Model::default();
        model.apply(LiveEvent { loops, ..snapshot(1) });
        let order: Vec<&str> = model.ranked_loops().iter().map(|it| it.id.as_str()).collect();
        assert_eq!(order, ["fire", "over", "odd", "quiet"]);
        assert_eq!(model.open_loops(), 1);
    }

    #[test]
    fn a_lap_comes_back_to_its_start() {
        let path: Vec<String> = ["a", "b", "c"].map(String::from).into();
        assert_eq!(lap_edges(&path).collect::<Vec<_>>(), [("a", "b"), ("b", "c"), ("c", "a")]);
        assert_eq!(lap_edges(&path[..1]).collect::<Vec<_>>(), [("a", "a")]);
    }

    proptest! {
        #[test]
        fn a_snapshot_forgets_whatever_was_before(removed in proptest::collection::vec("[a-d]", 0..4), n in 0_u64..9) {
            let mut dirty = Model::default();
            dirty.apply(snapshot(n));
            dirty.apply(LiveEvent { sequence: n + 1, removed_nodes: removed, ..LiveEvent::default() });
            dirty.apply(snapshot(n + 50));
            let mut clean = Model::default();
            clean.apply(snapshot(n + 50));
            prop_assert_eq!(dirty, clean);
        }
    }
}
