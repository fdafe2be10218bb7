//! What cannot be right in the input, counted, with the first places where it was met.

use smallvec::SmallVec;

use crate::{
    snapshot::{Anomaly, AnomalyExemplar, AnomalyKind},
    span::{SpanId, TraceId},
    state::state,
};

/// Places that are kept of one kind.
const EXEMPLARS: usize = 5;

/// Spans that are kept of one place; a longer ring is cut off.
pub(crate) const SPANS: usize = 64;

/// Anomalies since the last delta, or of all time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Anomalies(SmallVec<[Anomaly; 2]>);

impl Anomalies {
    /// Counts one, met at these spans.
    pub(crate) fn add(&mut self, kind: AnomalyKind, trace_id: TraceId, spans: impl IntoIterator<Item = SpanId>) {
        let known = self.count(kind, 1);
        if known.exemplars.len() < EXEMPLARS {
            known.exemplars.push(AnomalyExemplar { trace_id, spans: spans.into_iter().take(SPANS).collect() });
        }
    }

    /// Counts some whose places are not known any more.
    pub(crate) fn count(&mut self, kind: AnomalyKind, times: u64) -> &mut Anomaly {
        let place = match self.0.iter().position(|known| known.kind == kind) {
            Some(place) => place,
            None => {
                self.0.push(Anomaly { kind, count: 0, exemplars: Vec::new() });
                self.0.len() - 1
            }
        };
        let known = &mut self.0[place];
        known.count += times;
        known
    }

    /// Adds what another part has met.
    pub(crate) fn merge(&mut self, other: &Self) {
        for met in &other.0 {
            let known = self.count(met.kind, met.count);
            let room = EXEMPLARS.saturating_sub(known.exemplars.len());
            known.exemplars.extend(met.exemplars.iter().take(room).cloned());
        }
    }

    /// All, by kind.
    pub(crate) fn list(&self) -> Vec<Anomaly> {
        let mut list = self.0.to_vec();
        list.sort_by_key(|anomaly| anomaly.kind);
        list
    }
}

state!(Anomalies(inner));
