//! The places of all root operations in one list: by what they contribute to the tails, weighted by traffic.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

use super::tail::{Part, QUANTILE, Tail, weighted_quantile};
use crate::{
    aggregate::roots::RootKey,
    record::Place,
    snapshot::{Basis, Hotspot, Hotspots, NodeId, RootOperation, TailPart},
};

/// Relative half-width of a share of the tail when one trace around the 95th percentile tells of it: 2.3 points of 29.5
/// with a hundred of them (algorithms 4.2).
const HALF_WIDTH_OF_ONE: f64 = 0.78;

/// Part of all traces that tell of the 95th percentile, at least: with those weights they are worth more.
const IN_TAIL: f64 = 0.05;

/// The function that spends the time at a place, or waits for it.
pub(crate) fn function(place: Place) -> NodeId {
    match place {
        Place::Own(function)
        | Place::ColdStart(function)
        | Place::Resource { function, .. }
        | Place::Peer(function) => function,
        Place::Gap { source, .. } => source,
        Place::Queue { target, .. } => target,
    }
}

/// Source and target of a place that is an edge.
pub(crate) fn edge(place: Place) -> Option<(NodeId, NodeId)> {
    match place {
        Place::Own(_) | Place::ColdStart(_) | Place::Peer(_) => None,
        Place::Gap { source, target } => Some((source, target)),
        Place::Resource { function, resource } => Some((function, resource)),
        Place::Queue { resource, target } => Some((resource, target)),
    }
}

/// A start or a wait that took no time was none; work beside the critical path is still work.
fn is_shown_at_rest(place: Place) -> bool {
    matches!(place, Place::Own(_) | Place::Gap { .. } | Place::Resource { .. })
}

/// How sure a share is of which so many traces of equal weight tell: the part of its variance that is not by chance.
pub(super) fn confidence(traces: f64) -> f64 {
    let tail = traces * IN_TAIL;
    tail / (tail + HALF_WIDTH_OF_ONE * HALF_WIDTH_OF_ONE)
}

/// A place over several root operations.
struct Sum<'a> {
    /// Each with its contribution to the tail.
    parts: Vec<(f64, &'a RootKey, &'a Tail, &'a Part)>,
}

/// What some root operations spend their time on.
pub(crate) struct Ranked {
    /// The places, by rank.
    pub(crate) list: Vec<(Place, Hotspot)>,
    /// The root operations, the one that takes most of the time first.
    pub(crate) roots: Vec<RootOperation>,
}

impl Ranked {
    /// As readers see it, after somebody who knows more of a place has told it.
    pub(crate) fn hotspots_at(self, tell: impl Fn(Place, &mut Hotspot)) -> Hotspots {
        let told = |(place, mut spot)| {
            tell(place, &mut spot);
            spot
        };
        let list = self.list.into_iter().map(told).collect();
        Hotspots { basis: Basis::CriticalPath, list, roots: self.roots, ..Hotspots::default() }
    }
}

/// Ranks the places of root operations; at most `limit` of them. `name` says what a function is called.
pub(crate) fn rank(tails: &[(&RootKey, Tail)], limit: usize, name: &dyn Fn(NodeId) -> Arc<str>) -> Ranked {
    let mut sums: BTreeMap<Place, Sum<'_>> = BTreeMap::new();
    for (key, tail) in tails {
        for (place, part) in &tail.places {
            let sum = sums.entry(*place).or_insert_with(|| Sum { parts: Vec::new() });
            sum.parts.push((tail.traces * part.tail_ms, key, tail, part));
        }
    }
    let tail_ms: f64 = tails.iter().map(|(_, tail)| tail.traces * tail.p95_ms).sum();
    let total_ms: f64 = tails.iter().map(|(_, tail)| tail.total_ms).sum();
    let mut ranked: Vec<(f64, f64, Place, Sum<'_>)> = sums
        .into_iter()
        .map(|(place, sum)| (sum.contribution(), sum.total_ms(), place, sum))
        .filter(|(_, total_ms, place, _)| *total_ms > 0.0 || is_shown_at_rest(*place))
        .collect();
    ranked.sort_by(|a, b| descending(a.0, b.0).then(descending(a.1, b.1)).then(a.2.cmp(&b.2)));
    ranked.truncate(limit);
    let spots = ranked.iter().filter_map(|(_, _, place, sum)| sum.hotspot(*place, tail_ms, total_ms, name));
    let list = (1..).zip(spots).map(|(rank, spot)| (spot.0, Hotspot { rank, ..spot.1 })).collect();
    let mut roots: Vec<(f64, RootOperation)> =
        tails.iter().map(|(key, tail)| (tail.total_ms, operation(key, tail))).collect();
    roots.sort_by(|a, b| descending(a.0, b.0).then(a.1.id.cmp(&b.1.id)));
    Ranked { list, roots: roots.into_iter().map(|(_, root)| root).collect() }
}

fn descending(a: f64, b: f64) -> Ordering {
    b.total_cmp(&a)
}

fn operation(key: &RootKey, tail: &Tail) -> RootOperation {
    RootOperation {
        id: key.id(),
        function: key.function,
        operation: Arc::clone(&key.operation),
        until: key.until,
        traces: tail.traces,
        samples: tail.samples as u64,
        p95_ms: tail.p95_ms,
    }
}

impl Sum<'_> {
    fn contribution(&self) -> f64 {
        self.parts.iter().map(|(contribution, ..)| contribution).sum()
    }

    fn total_ms(&self) -> f64 {
        self.parts.iter().map(|(.., part)| part.total_ms).sum()
    }

    fn hotspot(
        &self,
        place: Place,
        tail_ms: f64,
        total_ms: f64,
        name: &dyn Fn(NodeId) -> Arc<str>,
    ) -> Option<(Place, Hotspot)> {
        let most = self
            .parts
            .iter()
            .max_by(|a, b| a.0.total_cmp(&b.0).then(a.3.total_ms.total_cmp(&b.3.total_ms)).then(b.1.cmp(a.1)));
        let (_, key, tail, part) = most?;
        let mut times: Vec<(f64, f64)> = self.parts.iter().flat_map(|(.., part)| part.times.iter().copied()).collect();
        times.sort_by(|a, b| a.0.total_cmp(&b.0));
        let of = |time: f64, whole: f64| if whole > 0.0 { (time / whole).clamp(0.0, 1.0) } else { 0.0 };
        let tail_part = TailPart {
            share: of(self.contribution(), tail_ms),
            root: operation(key, tail),
            saves_10_ms: part.saves_ms.0,
            saves_50_ms: part.saves_ms.1,
            calls_per_trace: part.calls / tail.traces,
        };
        let spot = Hotspot {
            rank: 0,
            function: function(place),
            name: name(function(place)),
            edge: edge(place),
            cause: part.cause,
            p95_ms: weighted_quantile(&times, QUANTILE)?,
            baseline_p95_ms: None,
            share: of(self.total_ms(), total_ms),
            samples: self.parts.iter().map(|(.., part)| part.samples as u64).sum(),
            confidence: confidence(self.parts.iter().map(|(.., part)| part.effective).sum()),
            tail: Some(tail_part),
            change: None,
        };
        Some((place, spot))
    }
}
