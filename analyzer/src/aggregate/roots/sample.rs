//! The traces of one root operation that are kept: a priority sample (Duffield, Lund and Thorup 2007) with forward decay
//! (Cormode et al. 2009).
//!
//! Each trace draws a number from its id, and the highest of weight / number stay; a weight halves with every half-life,
//! so that new traces push old ones out. The highest priority that was let go says how many traces each of the kept stands
//! for, in any part of the time, without bias. The draw is a hash: neither order nor the number of shards matters.

use std::{cmp::Ordering, collections::BTreeSet, f64::consts::LN_2, sync::Arc, time::Duration};

use xxhash_rust::xxh3::xxh3_64;

use super::TRACES;
use crate::{
    detect::hotspot::tail::Seen,
    record::{Place, TraceProfile},
    snapshot::NodeId,
    span::ArrivalTime,
    state::state,
    windows::Range,
};

/// How long it takes until a trace counts half as much against new ones.
const HALF_LIFE: Duration = Duration::from_secs(900);

/// A sample of the traces of one root operation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    kept: BTreeSet<Kept>,
    /// The highest priority that was let go, as a logarithm; minus infinity while all are kept.
    threshold: f64,
    pieces: usize,
    newest: ArrivalTime,
}

/// A trace that is kept.
#[derive(Clone, Debug, PartialEq)]
struct Kept {
    /// Logarithm of its weight by its number.
    priority: f64,
    /// When it ended.
    at: ArrivalTime,
    /// Logarithm of how much more it counts than at time zero.
    growth: f64,
    profile: Arc<TraceProfile>,
}

impl Default for Sample {
    fn default() -> Self {
        Self { kept: BTreeSet::new(), threshold: f64::NEG_INFINITY, pieces: 0, newest: ArrivalTime(0) }
    }
}

impl Sample {
    /// Takes a trace that ended at `at`, and lets another one go when there are too many.
    pub(super) fn add(&mut self, at: ArrivalTime, keeps_old: bool, profile: TraceProfile) {
        let is_sound = |number: f64| number >= 0.0 && number.is_finite();
        if !(is_sound(profile.duration_ms) && is_sound(profile.weight) && profile.weight > 0.0) {
            return;
        }
        let growth =
            if keeps_old { 0.0 } else { LN_2 * at.since(ArrivalTime(0)).as_secs_f64() / HALF_LIFE.as_secs_f64() };
        let priority = profile.weight.ln() + growth - drawn(&profile).ln();
        self.insert(Kept { priority, at, growth, profile: Arc::new(profile) });
    }

    fn insert(&mut self, kept: Kept) {
        let pieces = kept.profile.pieces.len();
        self.newest = self.newest.max(kept.at);
        // One that is known already is the same trace told twice.
        if self.kept.insert(kept) {
            self.pieces += pieces;
        }
        if self.kept.len() > TRACES {
            self.shorten();
        }
    }

    /// Lets the trace go that counts least.
    pub(super) fn shorten(&mut self) {
        if let Some(gone) = self.kept.pop_first() {
            self.threshold = self.threshold.max(gone.priority);
            self.pieces -= gone.profile.pieces.len();
        }
    }

    /// Takes over the traces of another sample.
    pub(super) fn merge(&mut self, other: &Self) {
        self.threshold = self.threshold.max(other.threshold);
        other.kept.iter().for_each(|kept| self.insert(kept.clone()));
        // What lies below the threshold would not have been kept in one sample of all.
        while self.kept.first().is_some_and(|kept| kept.priority < self.threshold) {
            self.shorten();
        }
    }

    /// The traces that ended within a range, each with how many it stands for.
    pub(super) fn within(&self, range: Range) -> impl Iterator<Item = Seen<'_>> {
        let threshold = self.threshold;
        self.kept.iter().filter(move |kept| range.holds(kept.at)).map(move |kept| {
            let weight = kept.profile.weight.max((threshold - kept.growth).exp());
            Seen { weight, profile: &kept.profile }
        })
    }

    /// When the traces ended that are kept.
    pub(super) fn times(&self) -> impl Iterator<Item = ArrivalTime> {
        self.kept.iter().map(|kept| kept.at)
    }

    /// All places that its traces name.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        self.kept.iter().flat_map(|kept| kept.profile.pieces.iter().map(|piece| piece.place))
    }

    /// When the newest trace ended that it ever met.
    pub(super) fn newest(&self) -> ArrivalTime {
        self.newest
    }

    /// Pieces of all its profiles.
    pub(super) fn pieces(&self) -> usize {
        self.pieces
    }

    /// True when a node of its profiles is one of those.
    pub(super) fn mentions(&self, is_one: impl Fn(&NodeId) -> bool) -> bool {
        self.places().any(|place| place.nodes().iter().any(&is_one))
    }

    /// Functions turned out to be others; the draws stay what they were.
    pub(super) fn rename(&mut self, own: impl Fn(NodeId) -> NodeId) {
        let renamed = std::mem::take(&mut self.kept).into_iter().map(|kept| {
            let profile = Arc::unwrap_or_clone(kept.profile).renamed(&own);
            Kept { profile: Arc::new(profile), ..kept }
        });
        self.kept = renamed.collect();
        self.pieces = self.kept.iter().map(|kept| kept.profile.pieces.len()).sum();
    }
}

/// A number in (0, 1] that belongs to the trace and its root operation.
#[expect(clippy::cast_precision_loss, reason = "53 bits are kept, which a float holds")]
fn drawn(profile: &TraceProfile) -> f64 {
    let mut bytes = profile.trace_id.0.to_vec();
    bytes.extend_from_slice(&profile.start.0.to_le_bytes());
    bytes.extend_from_slice(profile.operation.as_bytes());
    ((xxh3_64(&bytes) >> 11) + 1) as f64 / (1_u64 << 53) as f64
}

impl Kept {
    fn order(&self, other: &Self) -> Ordering {
        let key = |kept: &Self| (kept.profile.trace_id, kept.profile.start);
        self.priority.total_cmp(&other.priority).then_with(|| key(self).cmp(&key(other)))
    }
}

impl Eq for Kept {}

impl PartialOrd for Kept {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Kept {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order(other)
    }
}

state!(Sample { kept, threshold, pieces, newest });
state!(Kept { priority, at, growth, profile });
