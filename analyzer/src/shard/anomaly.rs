//! Finds in the spans of a trace what cannot be right, and says where.

use rustc_hash::FxHashSet;
use smallvec::SmallVec;

use super::{Shard, SpanRecord};
use crate::{
    record::SPANS,
    snapshot::AnomalyKind,
    span::{Span, SpanId},
};

/// A child may begin this much before its parent: clocks with milliseconds round.
const ROUNDING_NANOS: u64 = 1_000_000;

impl Shard {
    /// A span was seen before.
    pub(super) fn is_duplicate(&mut self, span: &Span) {
        self.delta.losses.duplicates += 1;
        self.delta.anomalies.add(AnomalyKind::Duplicate, span.trace_id, [span.span_id]);
    }

    /// A time of the span cannot be.
    pub(super) fn has_broken_clock(&mut self, span: &Span) {
        self.delta.losses.mended += 1;
        self.delta.anomalies.add(AnomalyKind::BrokenClock, span.trace_id, [span.span_id]);
    }

    /// The parents of these spans never came.
    pub(super) fn are_orphans(&mut self, keys: impl IntoIterator<Item = u64>) {
        for key in keys {
            self.delta.losses.orphans += 1;
            match self.spans.get(key) {
                Some(span) => self.delta.anomalies.add(AnomalyKind::Orphan, span.trace_id, [span.span_id]),
                None => drop(self.delta.anomalies.count(AnomalyKind::Orphan, 1)),
            }
        }
    }

    /// Compares the beginnings of a child and its parent.
    pub(super) fn compare_clocks(&mut self, span: &SpanRecord, parent: &SpanRecord) {
        let is_early = span.start.0.saturating_add(ROUNDING_NANOS) < parent.start.0;
        if is_early && span.has_sound_start && parent.has_sound_start {
            self.delta.anomalies.add(AnomalyKind::ChildBeforeParent, span.trace_id, [span.span_id]);
        }
    }

    /// Follows the parents of a span that was placed last of all that hang together, to see whether they lead back.
    ///
    /// Only spans that others wait for while their own parent is there can close a ring, and the climb is bounded by
    /// the spans that evidence holds; longer rings are met when their spans have waited long enough.
    pub(super) fn look_for_ring(&mut self, key: u64) {
        if let Some(span) = self.spans.get_mut(key) {
            span.is_looked_at = true;
        }
        if !self.waiting.contains(key) {
            return;
        }
        let mut ring = SmallVec::<[SpanId; 8]>::new();
        let mut at = key;
        for _ in 0..SPANS {
            let Some(span) = self.spans.get(at).filter(|span| span.is_looked_at) else { return };
            ring.push(span.span_id);
            at = span.parent;
            if at == key {
                let trace_id = span.trace_id;
                self.delta.anomalies.add(AnomalyKind::ParentRing, trace_id, ring);
                return;
            }
        }
    }

    /// A ring was met while climbing up to the span `key`, which is on it.
    pub(super) fn has_long_ring(&mut self, key: u64, climbed: &FxHashSet<u64>) {
        self.delta.losses.parent_rings += 1;
        // Shorter ones were seen when they closed.
        if climbed.len() <= SPANS {
            return;
        }
        let mut ring = Vec::new();
        let mut at = key;
        while let Some(span) = self.spans.get(at).filter(|_| ring.len() < SPANS) {
            ring.push(span.span_id);
            at = span.parent;
        }
        if let Some(span) = self.spans.get(key) {
            self.delta.anomalies.add(AnomalyKind::ParentRing, span.trace_id, ring);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        config::Config,
        engine::Engine,
        fixture::{SECOND, START, Story, analyse},
        snapshot::{Anomaly, AnomalyKind},
        span::{ArrivalTime, EventTime, Span, SpanId, SpanKind},
    };

    fn met(kind: AnomalyKind, spans: Vec<Span>, batch: usize) -> Option<Anomaly> {
        analyse(spans, 2, batch).anomalies.into_iter().find(|anomaly| anomaly.kind == kind)
    }

    fn ring(size: u64, kinds: &[SpanKind]) -> Vec<Span> {
        let template = Story::parse("a").spans.remove(0);
        let id = |at: u64| SpanId((at % size + 1).to_be_bytes());
        let kind = |at: u64| kinds[usize::try_from(at).unwrap() % kinds.len()];
        (0..size)
            .map(|at| Span { span_id: id(at), parent_span_id: Some(id(at + 1)), kind: kind(at), ..template.clone() })
            .collect()
    }

    #[test]
    fn a_ring_is_named_once_with_its_spans_whatever_their_kinds_and_order() {
        use SpanKind::{Client, Internal, Server};
        for kinds in [&[Internal][..], &[Server], &[Server, Internal, Client]] {
            for (batch, turn) in [(1, 0), (2, 1), (6, 2), (6, 5)] {
                let mut spans = ring(6, kinds);
                spans.rotate_left(turn);
                if turn % 2 == 1 {
                    spans.reverse();
                }
                let found = met(AnomalyKind::ParentRing, spans, batch).unwrap();
                assert_eq!((found.count, found.exemplars.len()), (1, 1), "{kinds:?} {batch} {turn}");
                let mut ids: Vec<u8> = found.exemplars[0].spans.iter().map(|id| id.0[7]).collect();
                ids.sort_unstable();
                assert_eq!(ids, [1, 2, 3, 4, 5, 6]);
            }
        }
    }

    #[test]
    fn a_long_ring_is_cut_off_and_a_long_chain_is_none() {
        let found = met(AnomalyKind::ParentRing, ring(1_000, &[SpanKind::Internal]), 100).unwrap();
        assert_eq!((found.count, found.exemplars[0].spans.len()), (1, super::SPANS));
        let mut chain = ring(1_000, &[SpanKind::Internal]);
        chain[999].parent_span_id = None;
        chain.reverse();
        assert_eq!(met(AnomalyKind::ParentRing, chain, 100), None);
    }

    #[test]
    fn broken_clocks_duplicates_and_early_children_are_shown() {
        let mut spans = Story::parse("a -> b").spans;
        spans.push(spans[1].clone());
        let twice = met(AnomalyKind::Duplicate, spans.clone(), 1).unwrap();
        assert_eq!((twice.count, &twice.exemplars[0].spans[0]), (1, &spans[1].span_id));
        spans.pop();
        assert!(analyse(spans.clone(), 1, 1).anomalies.is_empty());

        let mut early = spans.clone();
        early[2].start = EventTime(early[1].start.0 - SECOND);
        let found = met(AnomalyKind::ChildBeforeParent, early.clone(), 1).unwrap();
        assert_eq!((found.count, &found.exemplars[0].spans), (1, &vec![spans[2].span_id]));
        early[1].start = EventTime(0);
        let snapshot = analyse(early, 1, 1);
        let kinds: Vec<AnomalyKind> = snapshot.anomalies.iter().map(|anomaly| anomaly.kind).collect();
        assert_eq!(kinds, [AnomalyKind::BrokenClock], "a clock that was never read says nothing of others");
    }

    #[test]
    fn orphans_are_told_when_their_parents_are_late_or_the_input_ends() {
        let spans = Story::parse("a -> b").spans;
        let orphans = |engine: &mut Engine, at: ArrivalTime| {
            let anomalies = engine.snapshot(at).anomalies;
            anomalies.into_iter().find(|met| met.kind == AnomalyKind::Orphan).map(|met| met.exemplars[0].spans.clone())
        };
        let mut engine = Engine::new(&Config::recommended(), 1);
        engine.ingest(START, [spans[2].clone()]);
        for seconds in [1, 700, 1_400] {
            let at = ArrivalTime(START.0 + seconds * SECOND);
            assert_eq!(orphans(&mut engine, at), None);
            engine.tick(at);
        }
        assert_eq!(orphans(&mut engine, START), Some(vec![spans[2].span_id]));

        let mut engine = Engine::new(&Config::for_capture(3), 1);
        engine.ingest(START, [spans[2].clone()]);
        engine.finish(START);
        engine.finish(START);
        assert_eq!(orphans(&mut engine, START), Some(vec![spans[2].span_id]));
    }
}
