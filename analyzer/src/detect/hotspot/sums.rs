//! What all calls of a range tell of places: how long they took there, then and before, and for times of which no trace
//! is kept, where the time went.
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
    span::ArrivalTime,
    window::{BASELINE_SAMPLES, BASELINE_SLOTS, SLOT, merge, quantile, sketch},
    windows::Range,
};

/// The time that a range is compared with, as the current window is with its baseline: the time before it, as long as it
/// is, but no shorter than that baseline.
pub fn before(range: Range) -> Range {
    let least = SLOT * BASELINE_SLOTS;
    let nanos = range.to.since(range.from).max(least).as_nanos();
    let from = range.from.0.saturating_sub(u64::try_from(nanos).unwrap_or(u64::MAX));
    Range { from: ArrivalTime(from), to: range.from }
}

/// What was measured in a range, and before it.
#[derive(Clone, Copy)]
pub struct Calls<'a> {
    /// In the range itself.
    pub current: &'a Measured,
    /// In the time [`before`] it.
    pub before: &'a Measured,
}

impl Calls<'_> {
    /// All calls tell more of the time of a call than those of the sampled traces.
    pub(crate) fn tell(&self, place: Place, spot: &mut Hotspot) {
        if let Some(times) = times_at(self.current, place) {
            spot.p95_ms = quantile(&times, 0.95);
            spot.baseline_p95_ms = self.baseline(place);
        }
    }

    fn baseline(&self, place: Place) -> Option<f64> {
        let times = times_at(self.before, place).filter(|times| times.count() >= BASELINE_SAMPLES)?;
        Some(quantile(&times, 0.95))
    }
}

/// Where the time of a range went, at most `limit` places; `name` says what a function is called.
pub fn by_sums(calls: Calls<'_>, limit: usize, name: &dyn Fn(NodeId) -> Arc<str>) -> Hotspots {
    let mut places: Vec<(Place, DDSketch)> =
        places(calls.current).into_iter().filter(|(_, times)| times.sum() > Some(0.0)).collect();
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
        baseline_p95_ms: calls.baseline(place),
        share: times.sum().unwrap_or_default() / all_ms,
        samples: times.count() as u64,
        confidence: confidence(times.count() as f64),
        tail: None,
        change: None,
    };
    let list = (1..).zip(places).map(hotspot).collect();
    Hotspots { basis: Basis::Sums, list, ..Hotspots::default() }
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

/// The times of all calls of one place; `None` where none was measured, as of places that only critical paths tell.
fn times_at(measured: &Measured, place: Place) -> Option<DDSketch> {
    let edge = |source, target, kind| {
        let key = EdgeKey { source, target, kind };
        times_of(key, measured.edges.get(&key)?).map(|(_, times)| times)
    };
    let mut all = sketch();
    match place {
        Place::Own(function) => merge(&mut all, &measured.functions.get(&function)?.self_time),
        Place::Gap { source, target } => merge(&mut all, edge(source, target, EdgeKind::Call)?),
        Place::Resource { function, resource } => [EdgeKind::Publish, EdgeKind::Read, EdgeKind::Write]
            .into_iter()
            .filter_map(|kind| edge(function, resource, kind))
            .for_each(|times| merge(&mut all, times)),
        Place::ColdStart(_) | Place::Queue { .. } | Place::Peer(_) => {}
    }
    (all.count() > 0).then_some(all)
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
        let nothing = Measured::default();
        let calls = Calls { current: measured, before: &nothing };
        let found = by_sums(calls, 9, &|node| node.to_string().into());
        let causes: Vec<&str> = found.list.iter().map(|spot| spot.cause.word()).collect();
        assert_eq!(causes, ["self", "self", "gap"]);
        let shares: f64 = found.list.iter().map(|spot| spot.share).sum();
        assert!((shares - 1.0).abs() < 1e-9 && found.basis == Basis::Sums, "{found:?}");
        assert_eq!(by_sums(calls, 1, &|_| "".into()).list.len(), 1);
        let none = Calls { current: &nothing, before: measured };
        assert!(by_sums(none, 9, &|_| "".into()).list.is_empty());
    }

    #[test]
    fn a_range_is_held_against_the_time_before_it_as_now_is() {
        let mut engine = Engine::new(&Config::for_capture(100), 1);
        engine.ingest(START, Story::parse("a -> b").spans);
        engine.finish(START);
        let (_, measured) = engine.aggregate_mut().running();
        let own = Place::Own(*measured.functions.keys().next().unwrap());
        let p95 = quantile(&times_at(measured, own).unwrap(), 0.95);
        let (nothing, mut often) = (Measured::default(), Measured::default());
        (0..BASELINE_SAMPLES).for_each(|_| often.merge(measured));
        let told = |current, before| {
            let mut spot = by_sums(Calls { current: measured, before: &nothing }, 9, &|_| "".into()).list.remove(0);
            (spot.p95_ms, spot.baseline_p95_ms) = (-1.0, None);
            Calls { current, before }.tell(own, &mut spot);
            (spot.p95_ms, spot.baseline_p95_ms)
        };
        assert_eq!(told(measured, &often), (p95, Some(p95)));
        assert_eq!(told(measured, measured), (p95, None), "one call is no baseline");
        assert_eq!(told(measured, &nothing), (p95, None));
        assert_eq!(told(&nothing, measured), (-1.0, None), "what no call tells is left as it is");
        let minute = |number: u64| ArrivalTime(number * 60_000_000_000);
        let range = |from, to| Range { from: minute(from), to: minute(to) };
        assert_eq!(before(range(100, 105)), range(93, 100));
        assert_eq!(before(range(100, 160)), range(40, 100));
    }
}
