//! Puts spans into the order of their causes: by time, but a parent always before its children.
//!
//! Captures hold the spans of one process after those of another, and clocks differ, so a child may stand and begin
//! before its parent. The engine is exact for any order, yet what it keeps while it waits is bounded; in this order it
//! never waits for a parent that there is.

use loopscope_analyzer::span::{ArrivalTime, Span, SpanId, TraceId};
use rustc_hash::FxHashMap;

/// A span with the time at which it is replayed; times never go back.
pub(super) type Step = (ArrivalTime, Span);

/// When a span is replayed, and how many ancestors it has.
#[derive(Clone, Copy)]
struct Turn {
    time: u64,
    ancestors: u32,
}

/// Sorts spans; a start of zero or after `latest` is a broken clock, and such a span comes with its parent.
pub(super) fn in_causal_order(spans: Vec<Span>, latest: ArrivalTime) -> Vec<Step> {
    let is_sound = |span: &Span| span.start.0 != 0 && span.start.0 <= latest.0;
    let first = spans.iter().filter(|span| is_sound(span)).map(|span| span.start.0).min().unwrap_or(latest.0);
    let starts: Vec<u64> = spans.iter().map(|span| if is_sound(span) { span.start.0 } else { first }).collect();
    let turns = turns(&starts, &parents(&spans));
    let mut order: Vec<(Turn, Span)> = turns.into_iter().zip(spans).collect();
    order.sort_by_key(|(turn, _)| (turn.time, turn.ancestors));
    order.into_iter().map(|(turn, span)| (ArrivalTime(turn.time), span)).collect()
}

/// For each span the place of its parent, if that is there.
fn parents(spans: &[Span]) -> Vec<Option<usize>> {
    let mut places: FxHashMap<(TraceId, SpanId), usize> = FxHashMap::default();
    for (place, span) in spans.iter().enumerate() {
        places.entry((span.trace_id, span.span_id)).or_insert(place);
    }
    spans.iter().map(|span| places.get(&(span.trace_id, span.parent_span_id?)).copied()).collect()
}

/// No span before its parent; a ring of parents is cut at the span that is met first.
fn turns(starts: &[u64], parents: &[Option<usize>]) -> Vec<Turn> {
    let mut turns: Vec<Option<Turn>> = vec![None; starts.len()];
    let mut is_climbed = vec![false; starts.len()];
    let mut way = Vec::new();
    for place in 0..starts.len() {
        // A list and no recursion: chains are deep.
        let mut at = Some(place);
        while let Some(here) = at.filter(|here| turns[*here].is_none() && !is_climbed[*here]) {
            is_climbed[here] = true;
            way.push(here);
            at = parents[here];
        }
        while let Some(here) = way.pop() {
            let above = parents[here].and_then(|parent| turns[parent]);
            let (time, ancestors) = above.map_or((0, 0), |above| (above.time, above.ancestors.saturating_add(1)));
            turns[here] = Some(Turn { time: starts[here].max(time), ancestors });
        }
    }
    turns.into_iter().map(|turn| turn.unwrap_or(Turn { time: 0, ancestors: 0 })).collect()
}

#[cfg(test)]
mod tests {
    use loopscope_analyzer::{attribute::Attributes, identity::Resource, span::EventTime};
    use proptest::prelude::*;

    use super::*;

    fn span(id: u8, parent: u8, start: u64) -> Span {
        Span {
            trace_id: TraceId([1; 16]),
            span_id: SpanId([id; 8]),
            parent_span_id: (parent != 0).then_some(SpanId([parent; 8])),
            kind: Default::default(),
            name: "s".into(),
            start: EventTime(start),
            end: EventTime(start),
            error: false,
            sampling: None,
            resource: Resource::new(Attributes::default()),
            attributes: Attributes::default(),
            links: Vec::new(),
        }
    }

    fn order(spans: &[(u8, u8, u64)]) -> Vec<(u8, u64)> {
        let spans = spans.iter().map(|(id, parent, start)| span(*id, *parent, *start)).collect();
        in_causal_order(spans, ArrivalTime(1_000)).into_iter().map(|(at, span)| (span.span_id.0[0], at.0)).collect()
    }

    #[test]
    fn time_orders_and_parents_come_first() {
        assert_eq!(order(&[(1, 0, 30), (2, 0, 20), (3, 0, 10)]), [(3, 10), (2, 20), (1, 30)]);
        assert_eq!(order(&[(3, 2, 10), (2, 1, 10), (1, 0, 10)]), [(1, 10), (2, 10), (3, 10)]);
        assert_eq!(order(&[(3, 2, 5), (2, 1, 40), (1, 0, 30)]), [(1, 30), (2, 40), (3, 40)], "a clock is behind");
    }

    #[test]
    fn broken_clocks_come_with_their_parents() {
        assert_eq!(order(&[(2, 1, 0), (3, 1, u64::MAX), (1, 0, 30)]), [(1, 30), (2, 30), (3, 30)]);
        assert_eq!(order(&[(1, 0, 0)]), [(1, 1_000)]);
    }

    #[test]
    fn rings_and_missing_parents_end() {
        assert_eq!(order(&[(1, 2, 10), (2, 1, 20), (3, 9, 5)]).len(), 3);
        assert_eq!(order(&[(1, 1, 10)]), [(1, 10)]);
    }

    proptest! {
        #[test]
        fn every_parent_precedes(spans in prop::collection::vec((1u8..60, 0u64..50), 1..60)) {
            // The parent of each is an earlier one, so that there is no ring.
            let spans: Vec<(u8, u8, u64)> =
                (1..).zip(&spans).map(|(id, (parent, start))| (id, parent % id, *start)).collect();
            let order = order(&spans);
            prop_assert!(order.is_sorted_by_key(|(_, at)| *at));
            let place = |id: u8| order.iter().position(|(known, _)| *known == id);
            for (id, parent, _) in &spans {
                prop_assert!(*parent == 0 || place(*parent) < place(*id));
            }
        }
    }
}
