//! What became slower: told by a handful of calls, where it did, and nowhere else.

use super::*;
use crate::detect::hotspot::simulated::Chance;

/// Own work of 30 functions, the gaps between them, and their calls of resources: 90 places.
fn system(chance: &mut Chance) -> Vec<(Place, f64, f64)> {
    let functions = (1..=30).map(NodeId);
    let places = functions.flat_map(|function| {
        let next = NodeId(function.0 % 30 + 1);
        [
            Place::Own(function),
            Place::Gap { source: function, target: next },
            Place::Resource { function, resource: NodeId(100 + function.0) },
        ]
    });
    places.map(|place| (place, chance.between(0.0, 4.0).exp(), chance.between(0.2, 0.6))).collect()
}

fn measure(system: &[(Place, f64, f64)], calls: u64, slower: (Place, f64), chance: &mut Chance) -> Baseline {
    let mut measured = Baseline::with_roots(0.0, calls);
    for (place, median_ms, sigma) in system {
        let factor = if *place == slower.0 { slower.1 } else { 1.0 };
        let mut times = sketch();
        (0..calls).for_each(|_| times.add(factor * chance.lognormal(*median_ms, *sigma)));
        measured.root_ms += times.sum().unwrap_or_default();
        measured.add(*place, &times, 0.0);
    }
    measured
}

impl Baseline {
    fn with_roots(root_ms: f64, roots: u64) -> Self {
        Self { root_ms, roots: roots as f64, ..Self::default() }
    }
}

fn named(node: NodeId) -> Arc<str> {
    node.to_string().into()
}

/// Part of the faults of which the culprit is among the first two.
fn found(calls: u64, factor: f64, is_wanted: fn(&Place) -> bool) -> f64 {
    const FAULTS: u64 = 20;
    let hits = (0..FAULTS).filter(|seed| {
        let chance = &mut Chance(seed * 7919 + calls);
        let system = system(chance);
        let wanted: Vec<Place> = system.iter().map(|it| it.0).filter(is_wanted).collect();
        let culprit = wanted[(chance.unit() * wanted.len() as f64) as usize];
        let before = measure(&system, calls, (culprit, 1.0), chance);
        let now = measure(&system, calls, (culprit, factor), chance);
        let ranked = rank(&now, &before, &BTreeMap::new(), &named);
        assert_eq!(ranked.len(), system.len(), "nothing is hidden");
        let is_culprit = |spot: &Hotspot| {
            (spot.function, spot.edge, spot.cause) == (function(culprit), edge(culprit), of_place(culprit))
        };
        ranked[..2].iter().any(is_culprit)
    });
    hits.count() as f64 / FAULTS as f64
}

#[test]
fn the_culprit_is_among_the_first_two_of_ninety() {
    let own: fn(&Place) -> bool = |place| matches!(place, Place::Own(_));
    let gap: fn(&Place) -> bool = |place| matches!(place, Place::Gap { .. });
    for (calls, factor) in [(500, 1.2), (100, 1.5), (12, 3.0)] {
        let (own, gap) = (found(calls, factor, own), found(calls, factor, gap));
        eprintln!("{factor} times slower, {calls} calls: own {own:.2}, gap {gap:.2}");
        assert!(own >= 0.95 && gap >= 0.95, "{factor} times slower, {calls} calls: own {own:.2}, gap {gap:.2}");
    }
}

fn times(samples: &[f64]) -> DDSketch {
    let mut times = sketch();
    samples.iter().for_each(|sample| times.add(*sample));
    times
}

#[test]
fn a_handful_of_calls_is_told_with_the_confidence_that_it_has() {
    let place = Place::Gap { source: NodeId(1), target: NodeId(2) };
    let steady = Place::Own(NodeId(1));
    let measured = |samples: &[f64]| {
        let mut measured = Baseline::with_roots(1_000.0, 10);
        measured.add(place, &times(samples), 0.0);
        measured.add(steady, &times(&[100.0; 10]), 0.0);
        measured
    };
    let confidence = |count: usize| {
        let ranked = rank(&measured(&vec![30.0; count]), &measured(&vec![10.0; count]), &BTreeMap::new(), &named);
        assert_eq!((ranked[0].cause, ranked[0].edge), (HotspotCause::Gap, Some((NodeId(1), NodeId(2)))));
        let change = ranked[0].change.unwrap();
        assert!((change.delta, (change.shift_ms / 20.0 - 1.0).abs() < 0.02) == (1.0, true), "{change:?}");
        assert!((ranked[0].baseline_p95_ms.unwrap() / 10.0 - 1.0).abs() < 0.02);
        ranked[0].confidence
    };
    let confidences = [1, 3, 10, 100].map(confidence);
    assert!(confidences[0] > 0.0 && confidences.is_sorted() && confidences[3] > 0.99, "{confidences:?}");
    assert!(confidences[1] < 0.5, "{confidences:?}");
}

#[test]
fn what_is_new_stands_between_what_is_slower_and_what_is_faster() {
    let (slower, new, faster) = (Place::Own(NodeId(1)), Place::Own(NodeId(2)), Place::Own(NodeId(3)));
    let (mut before, mut now) = (Baseline::with_roots(100.0, 9), Baseline::with_roots(100.0, 9));
    before.add(slower, &times(&[10.0; 9]), 0.0);
    before.add(faster, &times(&[50.0; 9]), 0.0);
    now.add(slower, &times(&[14.0; 9]), 0.0);
    now.add(new, &times(&[90.0; 9]), 0.0);
    now.add(faster, &times(&[20.0; 9]), 0.0);
    let ranked = rank(&now, &before, &BTreeMap::new(), &named);
    let order: Vec<(u32, u64)> = ranked.iter().map(|spot| (spot.rank, spot.function.0)).collect();
    assert_eq!(order, [(1, 1), (2, 2), (3, 3)]);
    assert_eq!((ranked[1].baseline_p95_ms, ranked[1].change, ranked[1].confidence), (None, None, 0.0));
}

#[test]
fn calls_in_a_row_are_found_although_each_is_as_fast_as_before() {
    let (caller, query) = (NodeId(1), Place::Resource { function: NodeId(1), resource: NodeId(9) });
    let measured = |calls: usize| {
        let mut measured = Baseline::with_roots(1_000.0, 10);
        measured.add(Place::Own(caller), &times(&[20.0; 10]), 0.0);
        measured.add(Place::Own(NodeId(2)), &times(&[20.0; 10]), 0.0);
        measured.add(query, &times(&vec![3.0; 10 * calls]), 30.0 * calls as f64);
        measured
    };
    let ranked = rank(&measured(15), &measured(1), &BTreeMap::new(), &named);
    assert_eq!((ranked[0].edge, ranked[0].cause), (Some((caller, NodeId(9))), HotspotCause::NPlusOne));
    assert!(ranked[0].confidence > 0.9, "{ranked:#?}");
}

#[test]
fn another_environment_is_told_by_names() {
    let measured = |function: u64, ms: f64| {
        let mut measured = Baseline::with_roots(100.0, 9);
        measured.name(NodeId(function), "shop".into());
        measured.add(Place::Own(NodeId(function)), &times(&[ms; 9]), 0.0);
        measured
    };
    let ranked = rank(&measured(1, 30.0), &measured(2, 10.0), &BTreeMap::new(), &named);
    assert!((ranked[0].baseline_p95_ms.unwrap() - 10.0).abs() < 0.2);
    let mut two = measured(1, 30.0);
    two.name(NodeId(3), "shop".into());
    two.add(Place::Own(NodeId(3)), &times(&[30.0; 9]), 0.0);
    let ranked = rank(&two, &measured(2, 10.0), &BTreeMap::new(), &named);
    assert!(ranked.iter().all(|spot| spot.baseline_p95_ms.is_none()), "a name of two says nothing");
}
