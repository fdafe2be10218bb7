//! What each place contributes to the slowest traces of one root operation, and what it would buy to make it faster.
//!
//! The derivative of a quantile by the weight of a part is the expectation of that part at the quantile (Tasche, arXiv
//! math/0104190), so the share of a place in the tail is its mean critical time in the traces around the 95th percentile
//! (`kernel.rs`). The mean over all traces misleads: of two parallel branches of equal mean, the one that varies more makes
//! the tail.
//! What a larger change buys is resampled (`what_if.rs`), as a first order overstates it.

use std::collections::BTreeMap;

use super::{
    cause::Evidence,
    kernel::Kernel,
    what_if::{Saving, WhatIf},
};
use crate::{
    record::{Piece, Place, TraceProfile},
    snapshot::HotspotCause,
};

/// The quantile that is looked at.
pub(super) const QUANTILE: f64 = 0.95;

/// A trace, and how many it stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) weight: f64,
    pub(crate) profile: &'a TraceProfile,
}

/// The slowest traces of one root operation.
#[derive(Clone, Debug)]
pub(crate) struct Tail {
    /// Traces that were looked at.
    pub(crate) samples: usize,
    /// Traces that they stand for.
    pub(crate) traces: f64,
    /// 95th percentile of the duration, milliseconds.
    pub(crate) p95_ms: f64,
    /// Time of all traces together, milliseconds.
    pub(super) total_ms: f64,
    pub(super) places: BTreeMap<Place, Part>,
}

/// What one place contributes.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// Mean critical time in the traces around the 95th percentile, milliseconds.
    pub(super) tail_ms: f64,
    /// Critical time in all traces together, milliseconds.
    pub(super) total_ms: f64,
    pub(super) calls: f64,
    /// How much lower the 95th percentile were if this took 10 % and 50 % less, milliseconds.
    pub(super) saves_ms: (f64, f64),
    pub(super) cause: HotspotCause,
    /// Traces that came by.
    pub(super) samples: usize,
    /// How many traces of equal weight would tell as much (Kish).
    pub(super) effective: f64,
    /// Critical time of one call in each trace that came by, with the calls it stands for.
    pub(super) times: Vec<(f64, f64)>,
}

/// One trace of a tail.
struct Trace<'a> {
    weight: f64,
    /// How much of the mean over the tail it is.
    in_tail: f64,
    profile: &'a TraceProfile,
}

impl Tail {
    /// Looks at traces of one root operation; `None` when there are none.
    pub(crate) fn of(mut seen: Vec<Seen<'_>>) -> Option<Self> {
        let order = |seen: &Seen<'_>| (seen.profile.trace_id, seen.profile.start);
        seen.sort_by(|a, b| {
            a.profile.duration_ms.total_cmp(&b.profile.duration_ms).then_with(|| order(a).cmp(&order(b)))
        });
        let traces: f64 = seen.iter().map(|seen| seen.weight).sum();
        let durations: Vec<(f64, f64)> = seen.iter().map(|seen| (seen.profile.duration_ms, seen.weight)).collect();
        let p95_ms = weighted_quantile(&durations, QUANTILE)?;
        let kernel = Kernel::of(&durations)?;
        let seen: Vec<Trace<'_>> = seen
            .into_iter()
            .zip(kernel.parts(&durations))
            .map(|(Seen { weight, profile }, in_tail)| Trace { weight, in_tail, profile })
            .collect();
        let begins_ms = seen.iter().find(|trace| trace.in_tail > 0.0)?.profile.duration_ms;
        let what_if = WhatIf { durations: &durations, kernel, begins_ms, tail_ms: kernel.mean(&durations, 0.0) };
        let places =
            places(&seen).into_iter().map(|(place, pieces)| (place, Part::of(place, &pieces, &seen, &what_if)));
        Some(Self {
            samples: seen.len(),
            traces,
            p95_ms,
            total_ms: seen.iter().map(|trace| trace.weight * trace.profile.duration_ms).sum(),
            places: places.collect(),
        })
    }
}

impl Part {
    fn of(place: Place, pieces: &[Saving<'_>], seen: &[Trace<'_>], what_if: &WhatIf<'_>) -> Self {
        let mut evidence = Evidence::default();
        let (mut tail_ms, mut total_ms, mut calls) = (0.0, 0.0, 0.0);
        let (mut weight, mut squares) = (0.0, 0.0);
        let mut times = Vec::with_capacity(pieces.len());
        for Saving { trace, piece } in pieces {
            let trace = &seen[*trace];
            tail_ms += trace.in_tail * piece.critical_ms;
            total_ms += trace.weight * piece.critical_ms;
            calls += trace.weight * f64::from(piece.calls);
            weight += trace.weight;
            squares += trace.weight * trace.weight;
            evidence.add(trace.in_tail, trace.weight, piece);
            let each = f64::from(piece.calls.max(1));
            times.push((piece.critical_ms / each, trace.weight * each));
        }
        Self {
            tail_ms,
            total_ms,
            calls,
            saves_ms: (what_if.saves_ms(0.1, pieces), what_if.saves_ms(0.5, pieces)),
            cause: evidence.cause(place),
            samples: pieces.len(),
            effective: weight * weight / squares,
            times,
        }
    }
}

/// The pieces of each place, each with the trace it is of, in the order of the traces.
fn places<'a>(seen: &[Trace<'a>]) -> BTreeMap<Place, Vec<Saving<'a>>> {
    let mut places: BTreeMap<Place, Vec<Saving<'a>>> = BTreeMap::new();
    for (trace, of) in seen.iter().enumerate() {
        for piece in of.profile.pieces.iter().filter(|piece| is_sound(piece)) {
            places.entry(piece.place).or_default().push(Saving { trace, piece });
        }
    }
    places
}

fn is_sound(piece: &Piece) -> bool {
    piece.critical_ms.is_finite() && piece.critical_ms >= 0.0
}

/// The least value below or at which that part of the weight lies; values with their weights, in ascending order. `None`
/// when there is nothing.
pub(super) fn weighted_quantile(ascending: &[(f64, f64)], quantile: f64) -> Option<f64> {
    let total: f64 = ascending.iter().map(|(_, weight)| weight).sum();
    let above = (1.0 - quantile) * total * (1.0 + 1e-9);
    let mut met = 0.0;
    let reached = ascending.iter().rev().find(|(_, weight)| {
        met += weight;
        met > above
    });
    reached.or(ascending.first()).map(|(value, _)| *value)
}
