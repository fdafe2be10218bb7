//! Where the time of a window went, by sums: for times of which no trace is kept.
//!
//! All calls count, whether anybody waited for them or not.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use super::{
    LISTED_AT_MOST,
    cause::of_place,
    ordered,
    ranking::{confidence, edge, function},
};
use crate::{
    measured::Measured,
    record::{EdgeDelta, EdgeKey, Place},
    sketch::DDSketch,
    snapshot::{Basis, EdgeKind, Hotspot, Hotspots, NodeId},
    window::{merge, quantile, sketch},
};

/// Where the time went that was measured, at most `limit` places; `name` says what a function is called.
pub fn by_sums(measured: &Measured, limit: usize, name: &dyn Fn(NodeId) -> Arc<str>) -> Hotspots {
    let mut places: Vec<(Place, DDSketch)> =
        places(measured).into_iter().filter(|(_, times)| times.sum() > Some(0.0)).collect();
    let all_ms: f64 = places.iter().filter_map(|(_, times)| times.sum()).sum();
    places.sort_by_key(|(place, times)| (Reverse(ordered(times.sum().unwrap_or_default())), *place));
    places.truncate(limit.min(LISTED_AT_MOST));
    let hotspot = |(rank, (place, times)): (u32, (Place, DDSketch))| Hotspot {
        rank,
        function: function(place),
        name: name(function(place)),
        edge: edge(place),
        cause: of_place(place),
        p95_ms: quantile(&times, 0.95),
        baseline_p95_ms: None,
        share: times.sum().unwrap_or_default() / all_ms,
        samples: times.count() as u64,
        confidence: confidence(times.count() as f64),
        tail: None,
        change: None,
    };
    let list = (1..).zip(places).map(hotspot).collect();
    Hotspots { basis: Basis::Sums, range: None, list, roots: Vec::new() }
}

/// The times of all calls, by place.
fn places(measured: &Measured) -> BTreeMap<Place, DDSketch> {
    let own = measured.functions.iter().map(|(id, function)| (Place::Own(*id), &function.self_time));
    let between = measured.edges.iter().filter_map(|(key, edge)| times_of(*key, edge));
    let mut places = BTreeMap::new();
    for (place, times) in own.chain(between) {
        merge(places.entry(place).or_insert_with(sketch), times);
    }
    places
}

/// The place that an edge is, and the times that are spent there.
pub(super) fn times_of(key: EdgeKey, edge: &EdgeDelta) -> Option<(Place, &DDSketch)> {
    match key.kind {
        EdgeKind::Call => Some((Place::Gap { source: key.source, target: key.target }, edge.gap.as_ref()?)),
        EdgeKind::Publish | EdgeKind::Read | EdgeKind::Write => {
            Some((Place::Resource { function: key.source, resource: key.target }, &edge.duration))
        }
        EdgeKind::Deliver | EdgeKind::Message => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Config,
        engine::Engine,
        fixture::{START, Story},
    };

    #[test]
    fn a_window_tells_where_its_time_went() {
        let mut engine = Engine::new(&Config::for_capture(100), 1);
        engine.ingest(START, Story::parse("a -> b").spans);
        engine.finish(START);
        let (_, measured) = engine.aggregate_mut().running();
        let found = by_sums(measured, 9, &|node| node.to_string().into());
        let causes: Vec<&str> = found.list.iter().map(|spot| spot.cause.word()).collect();
        assert_eq!(causes, ["self", "self", "gap"]);
        let shares: f64 = found.list.iter().map(|spot| spot.share).sum();
        assert!((shares - 1.0).abs() < 1e-9 && found.basis == Basis::Sums, "{found:?}");
        assert_eq!(by_sums(measured, 1, &|_| "".into()).list.len(), 1);
        assert!(by_sums(&Measured::default(), 9, &|_| "".into()).list.is_empty());
    }
}
