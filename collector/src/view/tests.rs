//! A difference, applied to the old view, gives the new one.

use std::sync::Arc;

use loopscope_analyzer::{
    snapshot::{Edge, EdgeKind, FunctionNode, ResourceKind, ResourceNode},
    span::EventTime,
};
use proptest::prelude::*;

use super::*;

/// What a reader keeps.
#[derive(Debug, Default, PartialEq)]
struct Reader {
    functions: BTreeMap<String, v1::Function>,
    resources: BTreeMap<String, v1::Resource>,
    edges: BTreeMap<(String, String, String), v1::Edge>,
    loops: BTreeMap<String, v1::Loop>,
    hotspots: v1::HotspotList,
}

impl Reader {
    fn of(view: &View) -> Self {
        let mut reader = Self::default();
        reader.apply(view.whole());
        reader
    }

    fn apply(&mut self, event: v1::LiveEvent) {
        if event.snapshot {
            *self = Self::default();
        }
        for id in event.removed_nodes {
            self.functions.remove(&id);
            self.resources.remove(&id);
            self.edges.retain(|(source, target, _), _| *source != id && *target != id);
        }
        for id in event.removed_loops {
            self.loops.remove(&id);
        }
        let graph = event.graph.unwrap_or_default();
        self.functions.extend(graph.functions.into_iter().map(|node| (node.id.clone(), node)));
        self.resources.extend(graph.resources.into_iter().map(|node| (node.id.clone(), node)));
        let key = |edge: &v1::Edge| (edge.source.clone(), edge.target.clone(), edge.kind.clone());
        self.edges.extend(graph.edges.into_iter().map(|edge| (key(&edge), edge)));
        self.loops.extend(event.loops.into_iter().map(|found| (found.id.clone(), found)));
        if let Some(hotspots) = event.hotspots {
            self.hotspots = hotspots;
        }
    }
}

fn any_view() -> impl Strategy<Value = View> {
    let id = || "[a-f]";
    let function = (id(), 0..3_u64)
        .prop_map(|(id, invocations)| (id.clone(), v1::Function { id, invocations, ..Default::default() }));
    let resource =
        (id(), 0..3_u32).prop_map(|(id, x)| (id.clone(), v1::Resource { id, x: x.into(), ..Default::default() }));
    let edge = (id(), id(), "[rw]", 0..2_u64).prop_map(|(source, target, kind, calls)| {
        let edge = v1::Edge {
            source: source.clone(),
            target: target.clone(),
            kind: kind.clone(),
            calls,
            ..Default::default()
        };
        ((source, target, kind), edge)
    });
    let found = ("[x-z]", 0..3_u64).prop_map(|(id, laps)| (id.clone(), v1::Loop { id, laps, ..Default::default() }));
    let lists = (
        prop::collection::vec(function, 0..5),
        prop::collection::vec(resource, 0..3),
        prop::collection::vec(edge, 0..8),
        prop::collection::vec(found, 0..4),
        0..3_usize,
    );
    lists.prop_map(|(functions, resources, edges, loops, spots)| View {
        graph: v1::Graph {
            functions: BTreeMap::from_iter(functions).into_values().collect(),
            resources: BTreeMap::from_iter(resources).into_values().collect(),
            edges: BTreeMap::from_iter(edges).into_values().collect(),
        },
        loops: BTreeMap::from_iter(loops).into_values().collect(),
        hotspots: v1::HotspotList { hotspots: vec![v1::Hotspot::default(); spots], ..Default::default() },
        ..View::default()
    })
}

proptest! {
    #[test]
    fn a_difference_leads_from_the_old_view_to_the_new((old, new) in (any_view(), any_view())) {
        let mut reader = Reader::of(&old);
        if let Some(event) = diff(&old, &new) {
            reader.apply(event);
        }
        prop_assert_eq!(reader, Reader::of(&new));
    }

    #[test]
    fn equal_views_differ_in_nothing(view in any_view()) {
        prop_assert_eq!(diff(&view, &view.clone()), None);
    }
}

#[test]
fn only_what_changed_is_told() {
    let named = |id: &str, invocations| v1::Function { id: id.to_owned(), invocations, ..Default::default() };
    let view =
        |functions: Vec<v1::Function>| View { graph: v1::Graph { functions, ..Default::default() }, ..View::default() };
    let old = view(vec![named("a", 1), named("b", 1), named("c", 1)]);
    let event = diff(&old, &view(vec![named("a", 1), named("b", 2), named("d", 1)])).unwrap();
    assert!(!event.snapshot);
    assert_eq!(event.graph.unwrap().functions, [named("b", 2), named("d", 1)]);
    assert_eq!(event.removed_nodes, ["c"]);
    assert_eq!(event.hotspots, None);
}

#[test]
fn an_edge_that_goes_alone_needs_the_whole_view() {
    let mut old = View::default();
    old.graph.functions = vec![v1::Function { id: "a".to_owned(), ..Default::default() }];
    old.graph.edges = vec![v1::Edge { source: "a".to_owned(), target: "a".to_owned(), ..Default::default() }];
    let mut new = old.clone();
    new.graph.edges.clear();
    assert_eq!(diff(&old, &new), Some(new.whole()));
}

#[test]
fn a_view_has_places_and_exemplars() {
    let (f, q) = (NodeId(1), NodeId(2));
    let (first, second) = (TraceId([1; 16]), TraceId([2; 16]));
    let snapshot = Snapshot {
        functions: vec![FunctionNode {
            id: f,
            name: "resize".into(),
            environment: Arc::default(),
            platform: "aws_lambda".into(),
            invocations: 3,
            errors: 0,
            cold_starts: 0,
            p50_ms: 1.0,
            p95_ms: f64::NAN,
            current_p95_ms: None,
            baseline_p95_ms: None,
            rate_per_second: 0.5,
            last_seen: EventTime(1_500_000_000),
            exemplars: vec![first],
            aliases: Vec::new(),
            is_untraced: false,
            sampling_probability: None,
        }],
        resources: vec![ResourceNode {
            id: q,
            name: "uploads".into(),
            kind: ResourceKind::Bucket,
            system: Arc::default(),
        }],
        edges: [(EdgeKind::Write, first), (EdgeKind::Read, second)]
            .map(|(kind, trace)| Edge {
                source: f,
                target: q,
                kind,
                calls: 1,
                errors: 0,
                confidence: 1.0,
                p50_ms: 1.0,
                p95_ms: 1.0,
                server_p95_ms: None,
                gap_p95_ms: None,
                rate_per_second: 0.0,
                exemplars: vec![trace],
                sampling_probability: None,
            })
            .to_vec(),
        ..Snapshot::default()
    };
    let view = View::build(&snapshot, &BTreeMap::from([(f, (220.0, 110.0))]));
    let function = &view.graph.functions[0];
    assert_eq!((function.x, function.y, function.p95_ms), (220.0, 110.0, 0.0));
    assert_eq!(function.last_seen.unwrap().to_string(), "1970-01-01T00:00:01.500Z");
    assert_eq!(view.graph.resources[0].kind, "bucket");
    assert_eq!(view.node_exemplars[&f], [first]);
    assert_eq!(view.node_exemplars[&q], [first, second]);
    assert_eq!(view.edge_exemplars[&(f, q)], [first, second]);
}
